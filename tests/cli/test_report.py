"""Reports: the stock at a time and the movements of a period."""

import csv
import io
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from inventory import AdjustStock, CreateItem, DeleteItem, Inventory
from inventory_adapters.cli.main import cli
from inventory_adapters.cli.storage import Storage
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import with_short_pages

MONDAY = "2026-03-02"
BERLIN = ("--timezone", "Europe/Berlin")
SUPPLIES = {"category": "kitchen", "location": "store", "quantity": 10, "price": "1.125"}


@pytest.fixture
def clock():
    """Set `clock.now` to the time of the next change."""

    class Clock:
        now = ""

        def __call__(self):
            return datetime.fromisoformat(self.now).replace(tzinfo=UTC)

    return Clock()


@pytest.fixture
def inventory(clock):
    return Inventory(MemoryRepository(), clock=clock, actor="anna")


@pytest.fixture
def run(inventory, monkeypatch):
    """Run commands on the inventory."""
    monkeypatch.setattr(Storage, "opened", lambda _storage, **_missing: nullcontext(inventory))
    monkeypatch.delenv("INVENTORY_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


@pytest.fixture
def rows(run):
    """Run a report, and return its rows."""

    def report(*arguments):
        done = run("report", *arguments)
        assert done.exit_code == 0, done.output
        return list(csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff"))))

    return report


@pytest.fixture
def week(inventory, clock):
    """A mug that is sold late on Monday in Berlin, a plate that is deleted on Tuesday, and a cup that is new on Wednesday."""
    clock.now = f"{MONDAY}T08:00"
    mug = inventory.create_item(CreateItem(sku="MUG-1", name="=Mug", **SUPPLIES))
    plate = inventory.create_item(CreateItem(sku="PLATE-1", name="Plate", **SUPPLIES))
    clock.now = f"{MONDAY}T22:59:59.999999"
    sold = {"delta": -3, "reason": "@sold", "reference": "receipt 5"}
    inventory.adjust_stock(AdjustStock(item_id=mug.item_id, sku="MUG-1", **sold))
    clock.now = f"{MONDAY}T23:00"
    inventory.adjust_stock(AdjustStock(item_id=mug.item_id, sku="MUG-1", delta=1, reason="back"))
    clock.now = "2026-03-03T12:00"
    inventory.delete_item(DeleteItem(item_id=plate.item_id, sku="PLATE-1"))
    clock.now = "2026-03-04T12:00"
    inventory.create_item(CreateItem(sku="CUP-1", name="Cup", **SUPPLIES))
    return mug, plate


class TestStock:
    def test_is_that_at_the_end_of_the_day(self, rows, week):
        """With the current price, and without the item that came later; text is no formula."""
        mug, plate = week

        by_sku = {row["sku"]: row for row in rows("stock", "--at", MONDAY, *BERLIN)}

        assert by_sku == {
            "MUG-1": {
                "item_id": mug.item_id,
                "sku": "MUG-1",
                "name": "'=Mug",
                "category": "kitchen",
                "location": "store",
                "quantity": "7",
                "reserved": "0",
                "available": "7",
                # Never with three digits behind the point, which others read as thousands.
                "current_price": "1.1250",
                "value_at_current_price": "7.8750",
                "deleted_at": "",
            },
            "PLATE-1": {
                "item_id": plate.item_id,
                "sku": "PLATE-1",
                "name": "",
                "category": "",
                "location": "",
                "quantity": "10",
                "reserved": "0",
                "available": "10",
                "current_price": "",
                "value_at_current_price": "",
                "deleted_at": "2026-03-03T12:00:00.000000+00:00",
            },
        }

    @pytest.mark.parametrize(
        ("options", "mugs"),
        [
            (("--at", MONDAY, "--timezone", "Europe/Berlin"), "7"),
            (("--at", MONDAY, "--timezone", "UTC"), "8"),
            (("--at", MONDAY, "--timezone", "Asia/Tokyo"), "10"),
            (("--at", "2026-03-02T23:59:59.999998+01:00"), "10"),
            (("--at", "2026-03-03T00:00:00+01:00"), "8"),
        ],
        ids=" ".join,
    )
    def test_time_zone_says_when_the_day_ends(self, rows, week, options, mugs):
        """A time with its offset needs none."""
        [mug] = [row for row in rows("stock", *options) if row["sku"] == "MUG-1"]

        assert mug["quantity"] == mugs

    @pytest.mark.parametrize(
        ("at", "skus"), [("2026-03-01", set()), ("2026-03-04", {"MUG-1", "CUP-1"})]
    )
    def test_lists_the_items_of_that_time(self, rows, week, at, skus):
        """Neither an item before it was created nor one after it was deleted."""
        assert {row["sku"] for row in rows("stock", "--at", at, *BERLIN)} == skus


class TestMovements:
    def test_are_those_of_the_period(self, rows, week):
        """Both ends included: with who and why, and those of the deleted item."""
        moved = rows("movements", "--since", MONDAY, "--until", "2026-03-03", *BERLIN)

        assert sorted(
            (row["sku"], row["kind"], row["delta_on_hand"], row["on_hand"]) for row in moved
        ) == [
            ("MUG-1", "adjust", "-3", "7"),
            ("MUG-1", "adjust", "1", "8"),
            ("MUG-1", "opening", "10", "10"),
            ("PLATE-1", "delete", "-10", "0"),
            ("PLATE-1", "opening", "10", "10"),
        ]
        [sold] = [row for row in moved if row["delta_on_hand"] == "-3"]
        assert (sold["actor"], sold["reason"], sold["reference"]) == ("anna", "'@sold", "receipt 5")
        assert (sold["name"], sold["recorded_at"]) == ("'=Mug", "2026-03-02T22:59:59.999999+00:00")

    def test_without_a_period_are_all(self, rows, week):
        """With the opening entry of each item."""
        assert len(rows("movements")) == 6

    def test_start_with_the_day(self, rows, week):
        """The last microsecond of Monday is not of Tuesday."""
        moved = rows("movements", "--since", "2026-03-03", *BERLIN)

        assert {row["reason"] for row in moved if row["sku"] == "MUG-1"} == {"back"}

    def test_are_read_over_empty_pages(self, inventory, rows, week):
        """No movement is missed, and none is repeated."""
        expected = [row for row in rows("movements") if row["sku"] == "MUG-1"]
        object.__setattr__(inventory, "repository", with_short_pages(inventory.repository))

        assert [row for row in rows("movements") if row["sku"] == "MUG-1"] == expected


class TestTimes:
    def test_history_and_items_take_dates(self, run, week):
        """As reports do."""
        mug, _ = week
        named = (mug.item_id, "--sku", "MUG-1", *BERLIN)

        history = run("stock", "history", *named, "--since", "2026-03-03", "--until", "2026-03-03")
        item = run("items", "get", *named, "--at", MONDAY)

        assert history.stderr == "1 movement.\n"
        assert "quantity   7" in item.stdout

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--at", "2026-02-30"), "'2026-02-30' is not a date"),
            (("--at", "9999-12-31"), "'9999-12-31' is not a date"),
            (("--at", MONDAY, "--timezone", "Berlin"), "'Berlin' is not a time zone such as"),
            (("--at", MONDAY, "--timezone", "../x"), "'../x' is not a time zone such as"),
            (("--at", "monday"), "--at must be a time with an offset"),
        ],
        ids=" ".join,
    )
    def test_errors_name_the_option(self, run, options, message):
        """Nothing is written."""
        done = run("report", "stock", *options)

        assert done.exit_code > 0
        assert message in done.stderr
        assert done.stdout == ""
