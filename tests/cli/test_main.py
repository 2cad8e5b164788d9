import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from getpass import getuser
from pathlib import Path
from typing import ClassVar

import boto3
import click
import pytest
from click.testing import CliRunner
from moto import mock_aws

from inventory import CreateItem, Inventory
from inventory.errors import StorageUnavailableError
from inventory_adapters import bootstrap
from inventory_adapters.cli.demo import demo_items
from inventory_adapters.cli.main import cli
from inventory_adapters.cli.output import Table
from inventory_adapters.storage.dynamodb.schema import ITEMS, create_table_arguments
from inventory_adapters.storage.memory import MemoryRepository

INVENTORY = Path(sys.executable).with_name("inventory")
MUG = ("--sku", "MUG-1", "--name", "Mug", "--category", "kitchen", "--quantity", "5")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run commands with a database and a current folder of this test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVENTORY_DB", str(tmp_path / "test.sqlite3"))

    def command(*arguments):
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return command


@pytest.fixture
def mug(run):
    return json.loads(run("items", "create", *MUG, "--json").stdout)["item"]


def fields_of(output):
    """Return the printed fields: text by name."""
    return dict(line.split(maxsplit=1) for line in output.splitlines() if " " in line)


UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def on_a_terminal(*arguments, **settings):
    """Return what a command prints on a terminal."""
    ours, theirs = pty.openpty()
    done = script(*arguments, capture_output=False, stdout=theirs, stderr=theirs, **settings)
    os.close(theirs)
    output = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0, output
    return output


def script(*arguments, **settings):
    return subprocess.run(
        [INVENTORY, *arguments],
        text=True,
        check=False,
        timeout=30,
        **({"capture_output": True} | settings),
    )


class TestItems:
    def test_json_output_is_the_http_response(self, run):
        """`--json` prints the body of the HTTP response as one document."""
        done = run("items", "create", *MUG, "--price", "12.50", "--json")

        assert done.exit_code == 0
        body = json.loads(done.stdout)
        assert body["message"] == "Item created successfully"
        assert body["item"]["price"] == 12.5
        assert body["item"]["status"] == "available"
        assert done.stderr == ""

    def test_item_is_printed_field_by_field(self, run, mug):
        """Without `--json`, an item is printed as a list of its fields and its ETag."""
        done = run("items", "get", mug["item_id"])

        assert done.exit_code == 0
        lines = fields_of(done.stdout)
        assert lines["sku"] == "MUG-1"
        assert lines["quantity"] == "5"
        assert lines["reorder_point"] == "-"
        assert lines["etag"] == '"1-0"'

    def test_update_changes_only_the_given_fields(self, run, mug):
        """A field without an option does not change."""
        done = run("items", "update", mug["item_id"], "--sku", "MUG-1", "--name", "Cup", "--json")

        item = json.loads(done.stdout)["item"]
        assert item == {**mug, "name": "Cup", "version": 2, "updated_at": item["updated_at"]}

    def test_update_clears_the_reorder_point(self, run, mug):
        """`none` clears a number that can be absent."""
        update = ("items", "update", mug["item_id"], "--sku", "MUG-1", "--json", "--reorder-point")

        given, cleared = (
            json.loads(run(*update, value).stdout)["item"]["reorder_point"]
            for value in ("3", "none")
        )

        assert (given, cleared) == (3, None)

    def test_delete_prints_the_item_and_removes_it(self, run, mug):
        """The item is printed once more and is then not found."""
        deleted = run("items", "delete", mug["item_id"], "--sku", "MUG-1", "--json")
        again = run("items", "delete", mug["item_id"], "--sku", "MUG-1")

        assert json.loads(deleted.stdout)["deleted_item"] == mug
        assert (again.exit_code, again.stdout) == (1, "")
        assert again.stderr.splitlines() == [
            "Error: Item not found",
            f"  item_id {mug['item_id']}, sku MUG-1",
        ]

    def test_markup_in_a_name_is_text(self, run):
        """A name cannot change how the output looks."""
        name = "[red]x[/red] :smile:"
        run("items", "create", "--name", name, *MUG[:2], *MUG[4:])

        assert name in run("items", "list").stdout

    def test_control_characters_are_not_printed(self, run, mug):
        """An ID cannot control the terminal."""
        done = run("items", "get", "\x1b]0;title\x07")

        assert done.exit_code == 1
        assert "item_id  ]0;title " in done.stderr


class TestList:
    @pytest.fixture(autouse=True)
    def stock(self, run):
        for number in range(5):
            done = run("items", "create", *MUG, "--sku", f"MUG-{number}", "--quantity", 10**number)
            assert done.exit_code == 0

    def test_is_a_table_with_one_line_per_item(self, run):
        """In a pipe, a row is one line of any width, and numbers are right-aligned."""
        done = run("items", "list", "--category", "kitchen")

        heading, *rows = done.stdout.splitlines()
        assert heading.split()[:3] == ["SKU", "Name", "Category"]
        assert len(rows) == 5
        end = heading.index("On hand") + len("On hand")
        assert [row[:end].split()[-1] for row in rows] == ["1", "10", "100", "1000", "10000"]
        assert all(row[end - 1] != " " for row in rows)
        assert done.stderr == "5 items.\n"

    def test_prints_the_option_for_the_next_page(self, run):
        """Every page but the last names the option for the next one."""
        first = run("items", "list", "--page-size", "3")
        token = first.stderr.split("--page-token ")[1].split(",")[0]
        second = run("items", "list", "--page-size", "3", "--page-token", token)

        assert len(first.stdout.splitlines()) == 1 + 3
        assert len(second.stdout.splitlines()) == 1 + 2
        assert second.stderr == "2 items.\n"

    def test_all_prints_every_page(self, run):
        """`--all` prints all pages as one document without a next page."""
        done = run("items", "list", "--page-size", "2", "--all", "--json")

        body = json.loads(done.stdout)
        assert (body["count"], len(body["items"])) == (5, 5)
        assert "next_page_token" not in body

    @pytest.fixture
    def pages(self, monkeypatch):
        """Return the output so far at each read of a page; reading the third one fails."""
        printed = []

        class Repository(MemoryRepository):
            def list_items(self, item_filter, page):
                sys.stdout.flush()
                printed.append(sys.stdout.buffer.getvalue().decode())
                if len(printed) == 3:
                    raise StorageUnavailableError("Away")
                return super().list_items(item_filter, page)

        inventory = Inventory(Repository())
        for number in range(5):
            inventory.create_item(CreateItem(sku=f"S-{number}", name="n", category="c", quantity=1))
        monkeypatch.setattr(bootstrap, "on_sqlite", lambda *_, **__: inventory)
        return printed

    def test_all_prints_each_page_before_it_reads_the_next(self, run, pages):
        """The first line is printed at once, and pages are not collected."""
        done = run("items", "list", "--page-size", "2", "--all")

        assert [len(page.splitlines()) for page in pages] == [0, 1 + 2, 1 + 4]
        assert done.exit_code == 3
        assert done.stdout == pages[-1]
        assert done.stderr == "Error: Away\n"

    def test_all_as_json_prints_each_page_before_it_reads_the_next(self, run, pages):
        """An error ends the list and replaces the count, so the document is not taken for a complete one."""
        done = run("items", "list", "--page-size", "2", "--all", "--json")

        assert [page.count('"sku"') for page in pages] == [0, 2, 4]
        body = json.loads(done.stdout)
        assert (done.exit_code, done.stderr) == (3, "")
        assert len({item["sku"] for item in body["items"]}) == len(body["items"]) == 4
        assert body["code"] == "storage_unavailable"
        assert "count" not in body

    def test_all_reads_the_largest_pages(self, run, pages):
        """Without a page size, as few pages are read as the limits allow."""
        run("items", "list", "--all")

        assert len(pages) == 1

    def test_column_widens_with_its_rows(self, capsys):
        """A longer value widens its column from its page on, and nothing is cut."""
        table = Table("items")

        table.show([{"sku": "A", "name": "short"}])
        table.show([{"sku": "A" * 30, "name": "\u65e5\u672c"}, {"sku": "B", "name": "cup"}])

        heading, first, *later = capsys.readouterr().out.splitlines()
        assert heading.index("Name") == first.index("short") == 5
        assert [line.index(name) for line, name in zip(later, ("\u65e5", "cup"), strict=True)] == [
            32,
            32,
        ]

    def test_low_stock_is_a_flag(self, run):
        """A boolean filter needs no value."""
        run("items", "create", *MUG, "--sku", "LOW", "--reorder-point", "5")

        body = json.loads(run("items", "list", "--low-stock", "--json").stdout)

        assert [item["sku"] for item in body["items"]] == ["LOW"]


class TestStock:
    @pytest.fixture
    def adjust(self, run, mug):
        def adjusted(delta, *options):
            command = ("stock", "adjust", mug["item_id"], "--sku", "MUG-1", "--delta", delta)
            return run(*command, "--reason", "test", *options)

        return adjusted

    def test_adjustment_prints_item_and_movement(self, adjust):
        """The output has the item's new state and the ledger entry."""
        done = adjust(-2)

        message, *output = done.stdout.splitlines()
        assert (done.exit_code, message) == (0, "Stock adjusted successfully")
        item, movement = "\n".join(output).split("\nmovement\n")
        assert fields_of(item)["quantity"] == "3"
        assert fields_of(item)["etag"] == '"1-1"'
        assert fields_of(movement)["delta_on_hand"] == "-2"

    def test_removing_too_many_units_is_rejected(self, adjust, mug):
        """The error has the requested and the available units."""
        done = adjust(-6)

        assert (done.exit_code, done.stdout) == (1, "")
        error, numbers = done.stderr.splitlines()
        assert error == "Error: Insufficient stock: 6 requested, 5 available"
        assert "available 5" in numbers
        assert mug["item_id"] in numbers

    def test_repeat_with_a_key_has_no_effect(self, run, adjust, mug):
        """The second run prints the original response and reports this."""
        first, again = (adjust(-1, "--idempotency-key", "once") for _ in range(2))
        other = adjust(-2, "--idempotency-key", "once")

        assert (again.exit_code, again.stdout) == (0, first.stdout)
        assert first.stderr == ""
        assert again.stderr.startswith("This idempotency key was already used")
        assert other.exit_code == 1
        assert (
            json.loads(run("items", "get", mug["item_id"], "--json").stdout)["item"]["quantity"]
            == 4
        )

    def test_count_is_rejected_if_the_quantity_is_unexpected(self, run, mug):
        """`--expected-quantity` detects a movement during the count; `none` turns this off."""
        count = ("stock", "count", mug["item_id"], "--sku", "MUG-1", "--quantity", 7, "--json")

        rejected = run(*count, "--expected-quantity", 4)
        done = run(*count, "--expected-quantity", "none")

        assert (rejected.exit_code, json.loads(rejected.stdout)["code"]) == (1, "stale_quantity")
        assert json.loads(done.stdout)["movement"]["delta_on_hand"] == 2

    def test_transfer_moves_units_between_two_items(self, run, mug):
        """One --sku is used for both sides."""
        shop = json.loads(run("items", "create", *MUG, "--location", "shop", "--json").stdout)[
            "item"
        ]
        sides = ("--from", mug["item_id"], "--to", shop["item_id"])

        done = run("stock", "transfer", *sides, "--sku", "MUG-1", "--quantity", 2, "--json")
        output = run("stock", "transfer", *sides, "--sku", "MUG-1", "--quantity", 2)

        body = json.loads(done.stdout)
        assert (body["from"]["quantity"], body["to"]["quantity"]) == (3, 7)
        source, destination = output.stdout.split("\nto\n")
        assert (fields_of(source)["quantity"], fields_of(destination)["quantity"]) == ("1", "9")

    def test_error_of_both_sides_is_printed_once(self, run):
        """Each error names the option."""
        sides = ("--from", "", "--to", "y", "--sku", "")

        done = run("stock", "transfer", *sides, "--quantity", 0)

        assert [line.split()[0] for line in done.stderr.splitlines()[1:]] == [
            *("--from", "--sku", "--quantity")
        ]

    def test_history_is_a_table_that_ends_with_the_opening_entry(self, run, adjust, mug):
        """Movements are printed newest first with signed changes; `--all` prints all pages."""
        for delta in (3, -1):
            adjust(delta)
        history = ("stock", "history", mug["item_id"], "--sku", "MUG-1")

        table = run(*history)
        all_pages = run(*history, "--page-size", 1, "--all", "--json")

        heading, *rows = (line.split() for line in table.stdout.splitlines())
        assert heading[:6] == ["Seq", "Kind", "Actor", "On", "hand", "+/-"]
        assert [row[:4] for row in rows] == [
            ["2", "adjust", getuser(), "-1"],
            ["1", "adjust", getuser(), "+3"],
            ["0", "opening", "-", "+5"],
        ]
        assert table.stderr == "3 movements.\n"
        assert [movement["seq"] for movement in json.loads(all_pages.stdout)["movements"]] == [
            2,
            1,
            0,
        ]


@pytest.fixture
def reserved(run, mug):
    def reservation(*quantities):
        lines = (("--line", f"{mug['item_id']}:MUG-1:{quantity}") for quantity in quantities)
        done = run("reservations", "create", *(part for line in lines for part in line), "--json")
        return json.loads(done.stdout)["reservation"]

    return reservation


class TestReservations:
    def test_reservations_are_committed_released_and_extended(self, run, reserved, mug):
        """Lines of one item are summed; each command takes the id."""
        first, second = reserved(1, 2), reserved(1)
        one, two = (result["reservation_id"] for result in (first, second))

        extended = run("reservations", "extend", one, "--ttl-seconds", 3600, "--json")
        committed = run("reservations", "commit", one, "--json")
        released = run("reservations", "release", two, "--json")
        got = run("reservations", "get", one)

        assert [line["quantity"] for line in first["lines"]] == [3]
        assert json.loads(extended.stdout)["reservation"]["expires_at"] > first["expires_at"]
        assert json.loads(committed.stdout)["reservation"]["state"] == "committed"
        assert json.loads(released.stdout)["reservation"]["state"] == "released"
        assert fields_of(got.stdout)["committed"] == f"{mug['item_id']}:MUG-1:3"
        item = json.loads(run("items", "get", mug["item_id"], "--json").stdout)["item"]
        assert (item["quantity"], item["reserved"]) == (2, 0)

    def test_line_is_split_at_the_outer_colons(self, run):
        """An SKU may contain colons."""
        made = run("items", "create", *MUG, "--sku", "A:B:1", "--json")
        item_id = json.loads(made.stdout)["item"]["item_id"]

        done = run("reservations", "create", "--line", f"{item_id}:A:B:1:2", "--json")

        [line] = json.loads(done.stdout)["reservation"]["lines"]
        assert line == {"item_id": item_id, "sku": "A:B:1", "quantity": 2}

    def test_error_of_a_line_has_its_number(self, run):
        """The error tells which of several lines is invalid."""
        done = run("reservations", "create", "--line", "x:y:1", "--line", "x:y:0")

        assert done.exit_code == 1
        assert done.stderr.splitlines()[1].startswith("  --line (number 2, quantity) must be")

    def test_sweep_expires_due_reservations(self, run, reserved, mug, tmp_path):
        """The command runs the server's sweep once."""
        reserved(2)
        with sqlite3.connect(tmp_path / "test.sqlite3") as db:
            db.execute("UPDATE reservations SET expires_at = created_at")
        db.close()

        done, again = (run("sweep", "--json") for _ in range(2))
        result = run("sweep", "--limit", 7)

        assert json.loads(done.stdout) == {"expired": 1, "failed": 0, "purged": 0}
        assert json.loads(again.stdout) == {"expired": 0, "failed": 0, "purged": 0}
        assert result.stdout.startswith("0 reservations expired")
        item = json.loads(run("items", "get", mug["item_id"], "--json").stdout)["item"]
        assert item["reserved"] == 0


class TestBatch:
    @pytest.fixture
    def batch(self, run, tmp_path):
        def sent(document, *options):
            file = tmp_path / "rows.json"
            text = document if isinstance(document, str) else json.dumps(document)
            file.write_text(text, encoding="utf-8")
            return run("items", "batch", file, *options)

        return sent

    ROW: ClassVar = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 5}

    def test_rows_create_and_update(self, batch, run, mug):
        """A row with an id updates that item; each row has a result."""
        rows = [self.ROW, {"item_id": mug["item_id"], "sku": "MUG-1", "name": "Cup"}]

        done = batch({"items": rows}, "--json")

        assert done.exit_code == 0
        results = json.loads(done.stdout)["results"]
        assert [row["status"] for row in results] == [201, 200]
        assert results[1]["version"] == 2

    def test_rows_can_come_from_stdin(self, run):
        """`-` reads the rows from stdin."""
        command = ["items", "batch", "-", "--json"]

        done = CliRunner().invoke(cli, command, input=json.dumps([self.ROW]))

        assert (done.exit_code, len(json.loads(done.stdout)["results"])) == (0, 1)

    def test_rejected_row_rejects_the_batch(self, batch, run):
        """By default a batch is applied as a whole or not at all, and each rejected row is printed."""
        missing = {"item_id": "none", "sku": "MUG-1", "name": "Cup"}

        done = batch([self.ROW, missing])
        as_json = batch([self.ROW, missing], "--json")

        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "Error: 1 of 2 rows were rejected; none was applied",
            "  row 1: Item not found",
        ]
        assert [row["code"] for row in json.loads(as_json.stdout)["results"]] == [
            *("not_applied", "item_not_found")
        ]
        assert json.loads(run("items", "list", "--json").stdout)["count"] == 0

    @pytest.mark.parametrize("document", [{"mode": "per_row"}, {}])
    def test_per_row_batch_has_any_number_of_rows(self, batch, run, document):
        """Sixty rows are three requests with consecutive indexes; a rejected row does not affect the others."""
        rows = [{**self.ROW, "sku": f"MUG-{number}"} for number in range(60)]
        rows[30]["quantity"] = -1
        options = () if document else ("--mode", "per_row")

        done = batch({**document, "items": rows}, *options, "--json")

        assert done.exit_code == 1
        results = json.loads(done.stdout)["results"]
        assert [row["index"] for row in results] == [*range(60)]
        assert [row["index"] for row in results if row["status"] != 201] == [30]
        assert results[30]["details"][0]["field"] == "quantity"
        assert json.loads(run("items", "list", "--all", "--json").stdout)["count"] == 59

    def test_repeat_with_a_key_applies_rejected_rows(self, batch, run):
        """A batch can be run again until every row is applied; no row is applied twice."""
        rows = [{**self.ROW, "sku": f"MUG-{number}"} for number in range(30)]
        rows[28]["quantity"] = -1
        again = [*rows[:28], {**rows[28], "quantity": 1}, rows[29]]
        options = ("--mode", "per_row", "--idempotency-key", "import-1")

        first, second = batch(rows, *options), batch(again, *options)

        assert (first.exit_code, second.exit_code) == (1, 0)
        assert first.stderr == "30 rows, 1 rejected.\n"
        assert second.stderr == "30 rows, 0 rejected.\n"
        kept = set(second.stdout.splitlines()) - set(first.stdout.splitlines())
        assert len(kept) == 1
        assert json.loads(run("items", "list", "--all", "--json").stdout)["count"] == 30

    @pytest.mark.parametrize("text", ["", "[1", "[NaN]", '[{"sku": "A", "sku": "B"}]'])
    def test_file_that_is_not_json_is_rejected(self, batch, text):
        """An invalid file is wrong usage, and nothing is written."""
        done = batch(text)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "is not valid JSON" in done.stderr

    @pytest.mark.parametrize("document", [3, [], {}, {"items": [], "more": 1}, {"items": 3}])
    def test_document_of_another_shape_is_rejected(self, batch, document):
        """The error names the field as the file does."""
        done = batch(document, "--mode", "per_row")

        assert (done.exit_code, done.stdout) == (1, "")
        assert "--items" not in done.stderr
        assert "items" in done.stderr


class TestReconcile:
    @pytest.fixture
    def tamper(self, tmp_path, mug):
        def changed(statement):
            with sqlite3.connect(tmp_path / "test.sqlite3") as db:
                db.execute(statement)
            db.close()

        return changed

    def test_without_drift_prints_a_summary(self, run, mug):
        """Without drift there is no table, and the exit code is 0."""
        done, as_json = run("reconcile"), run("reconcile", "--json")

        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "1 item checked: 0 with drift, 0 corrected.\n"
        assert json.loads(as_json.stdout) == {
            "drifts": [],
            "count": 0,
            "items_looked_at": 1,
            "unreadable": [],
            "far_reservations": [],
            "future_movements": [],
        }

    def test_drift_is_printed_and_corrected_with_fix(self, run, mug, tamper):
        """Without `--fix` nothing changes and the exit code is 1; with it the drift is corrected."""
        tamper("UPDATE items SET reserved = 2")

        looked = run("reconcile")
        fixed = run("reconcile", "--fix", "--json")
        after = run("reconcile")

        assert [result.exit_code for result in (looked, fixed, after)] == [1, 0, 0]
        heading, row = looked.stdout.splitlines()
        assert heading.startswith("SKU")
        assert row.endswith(mug["item_id"])
        [drift] = json.loads(fixed.stdout)["drifts"]
        assert (drift["sku"], drift["reserved"], drift["held"]) == ("MUG-1", 2, 0)
        assert drift["corrected"] is True
        history = run("stock", "history", mug["item_id"], "--sku", "MUG-1", "--json")
        assert json.loads(history.stdout)["movements"][0]["kind"] == "correction"

    def test_uncorrectable_drift_is_left(self, run, mug, tamper):
        """A lost movement cannot be restored, so the exit code is 1."""
        for _ in range(2):
            run(
                *("stock", "adjust", mug["item_id"], "--sku", "MUG-1"),
                *("--delta", 1, "--reason", "test"),
            )
        tamper("DELETE FROM movements WHERE seq = 1")

        done = run("reconcile", "--fix", "--json")

        [drift] = json.loads(done.stdout)["drifts"]
        assert (done.exit_code, drift["gaps"], drift["corrected"]) == (1, [2], False)

    def test_unreadable_rows_are_reported_and_the_rest_is_checked(self, run, mug, tamper):
        """An unreadable item, movement and reservation are named, and the exit code is 1."""
        items = [
            json.loads(run("items", "create", *MUG, "--sku", sku, "--json").stdout)["item"]
            for sku in ("BAD", "MOVED", "DRIFT")
        ]
        moved, drifting = items[1:]
        for _ in range(2):
            run(
                *("stock", "adjust", moved["item_id"], "--sku", "MOVED"),
                *("--delta", 1, "--reason", "test"),
            )
        run("reservations", "create", "--line", f"{mug['item_id']}:MUG-1:1")
        tamper("UPDATE items SET price = 'NaN' WHERE sku = 'BAD'")
        tamper("UPDATE movements SET kind = 'odd' WHERE sku = 'MOVED' AND seq = 1")
        tamper("UPDATE reservations SET lines = '[[1]]'")
        tamper("UPDATE items SET reserved = 1 WHERE sku = 'DRIFT'")

        result, fixed = run("reconcile"), run("reconcile", "--fix", "--json")

        document = json.loads(fixed.stdout)
        codes = [row["code"] for row in document["unreadable"]]
        assert (result.exit_code, fixed.exit_code) == (1, 1)
        assert sorted(codes) == ["unreadable_item", "unreadable_movement", "unreadable_reservation"]
        assert document["items_looked_at"] == 3
        drifts = {drift["sku"]: drift["corrected"] for drift in document["drifts"]}
        # The reservation that cannot be read may hold units of any item.
        assert drifts == {"MUG-1": False, "MOVED": False, "DRIFT": False}
        assert f"item_id {moved['item_id']}, sku MOVED, seq 1" in result.stdout
        assert "3 rows could not be read" in result.stderr
        assert drifting["sku"] in result.stdout

    def test_a_reservation_that_ends_too_late_is_reported_until_a_person_expires_it(
        self, run, reserved, mug, tamper
    ):
        """Made while a clock was ahead: a sweep leaves it alone, `sweep --far` does not."""
        reserved(2)
        tamper("UPDATE reservations SET expires_at = '2056-01-01T00:00:00.000000+00:00'")

        looked = run("reconcile")
        swept, far = run("sweep", "--json"), run("sweep", "--far", "--json")

        assert looked.exit_code == 1
        assert "ends too late, at 2056-01-01" in looked.stdout
        assert "inventory sweep --far" in looked.stdout
        assert [json.loads(done.stdout)["expired"] for done in (swept, far)] == [0, 1]
        assert run("reconcile").exit_code == 0


class TestErrors:
    def test_errors_name_the_options(self, run):
        """All errors are printed at once, and the exit code is 1."""
        done = run("items", "create", *MUG, "--sku", " ", "--quantity", "-3", "--price", "1e3")

        assert (done.exit_code, done.stdout) == (1, "")
        heading, *faults = done.stderr.splitlines()
        assert heading == "Error: Invalid request:"
        assert [fault.split()[0] for fault in faults] == ["--sku", "--quantity", "--price"]

    def test_error_of_a_renamed_field_names_its_option(self, run):
        """The error of a page token names --page-token and not the field of HTTP."""
        done = run("items", "list", "--page-token", "")

        assert done.stderr.splitlines()[1].startswith("  --page-token must be")

    def test_json_error_is_the_http_error(self, run, mug):
        """With `--json`, stdout has the error with its code and numbers."""
        update = ("items", "update", mug["item_id"], "--sku", "MUG-1", "--name", "Cup", "--json")

        done = run(*update, "--if-match", '"7-0"')

        assert (done.exit_code, done.stderr) == (1, "")
        body = json.loads(done.stdout)
        assert (body["code"], body["version"]) == ("precondition_failed", 1)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("items", "create", "--sku", "MUG-1"),
            ("items", "create", *MUG, "--quantity", "1_000"),
            ("items", "create", *MUG, "--status", "lost"),
            ("items", "get"),
            ("items", "list", "--status", "foo"),
            ("items", "list", "--status", ""),
            ("items", "list", "--status", "Available"),
            ("items", "list", "--memory"),
            ("items", "list", "--nonsense"),
            ("items", "list", "--db", "x", "--dynamodb"),
            ("items", "list", "--table", "x"),
            ("items", "list", "--dynamodb", "--durability", "normal"),
            ("serve", "--memory", "--dynamodb"),
            ("serve", "--port", "70000"),
            ("serve", "--allowed-origin", "https://shop.example.com/"),
            ("serve", "--sweep-seconds", "-1"),
            ("tables", "create"),
            ("items", "batch"),
            ("items", "batch", "no-such-file"),
            ("stock", "adjust", "x", "--sku", "y", "--delta", "1.5", "--reason", "z"),
            ("stock", "transfer", "--from", "x", "--to", "y", "--quantity", "1"),
            ("reservations", "create"),
            ("reservations", "create", "--line", "x:y"),
            ("reservations", "create", "--line", "x:y:many"),
            ("reservations", "extend", "x"),
        ],
    )
    def test_wrong_usage_changes_nothing(self, run, tmp_path, arguments):
        """Wrong usage exits with 2 and creates no file."""
        done = run(*arguments)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "Error: " in done.stderr
        assert list(tmp_path.iterdir()) == []


def commands(group, *path):
    """Yield every command with its path, groups included."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


COMMANDS = dict(commands(cli))


class TestHelp:
    @pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
    def test_fits_a_terminal(self, run, path):
        """No line is longer than 80 columns, and no sentence is cut."""
        done = run(*path, "--help")

        assert done.exit_code == 0
        assert max(map(len, done.stdout.splitlines())) <= 80
        listed = done.stdout.partition("\nCommands:\n")[2]
        assert "..." not in listed

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_short_help_has_45_characters_at_most(self, path):
        """The list of commands shows each short help in full."""
        assert 0 < len(COMMANDS[path].short_help or COMMANDS[path].help) <= 45

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_uses_the_command_lines_spelling(self, run, path):
        """Help uses the option's spelling and not that of JSON."""
        output = run(*path, "--help").stdout

        assert not re.search(r"\bnull\b|next_page_token|\bstring\b|\w+_key\b", output)

    def test_documents_none(self, run, mug):
        """`none` is in the help and in the error of each option that accepts it."""
        update = ("items", "update", mug["item_id"], "--sku", "MUG-1")

        output = run(*update, "--help").stdout
        rejected = run(*update, "--reorder-point", "null")

        assert "--reorder-point N|none" in output
        assert "`none` clears it" in " ".join(output.split())
        assert rejected.exit_code == 2
        assert "'null' is not a whole number or none" in rejected.stderr


class TestMissingFile:
    """Commands that need an item do not create a database file: its name was mistyped."""

    ID: ClassVar = "00000000-0000-0000-0000-000000000000"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("items", "list"),
            ("items", "list", "--all"),
            ("items", "get", ID),
            ("items", "update", ID, "--sku", "x", "--name", "y"),
            ("items", "delete", ID, "--sku", "x"),
            ("stock", "adjust", ID, "--sku", "x", "--delta", "1", "--reason", "y"),
            ("stock", "history", ID, "--sku", "x"),
            ("reservations", "get", ID),
            ("sweep",),
            ("reconcile",),
            ("reconcile", "--fix"),
            ("export", "items.csv"),
            ("export", "-"),
        ],
        ids=" ".join,
    )
    def test_is_an_error(self, run, tmp_path, arguments):
        """The exit code is that of unavailable storage, and no file is created."""
        typo = tmp_path / "typo.sqlite3"

        done = run(*arguments, "--db", typo)
        as_json = run(*arguments, "--db", typo, "--json")

        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr.startswith(f"Error: Database file not found: {typo}. ")
        assert as_json.exit_code == 3
        assert json.loads(as_json.stdout)["code"] == "storage_unavailable"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "arguments",
        [
            ("items", "create", *MUG),
            ("items", "batch", "rows.json"),
            ("import", "c.csv"),
            ("demo",),
        ],
        ids=" ".join,
    )
    def test_is_created_by_commands_that_create_items(self, run, tmp_path, arguments):
        """These commands start an inventory."""
        (tmp_path / "rows.json").write_text(json.dumps([TestBatch.ROW]))
        (tmp_path / "c.csv").write_text("sku,name,category,quantity\nMUG-1,Mug,kitchen,5\n")

        done = run(*arguments, "--db", "new.sqlite3")

        assert done.exit_code == 0
        assert json.loads(run("items", "list", "--db", "new.sqlite3", "--json").stdout)["count"]

    def test_is_not_created_by_a_dry_run(self, run, tmp_path):
        """A dry run reports what an import into a new file would do."""
        (tmp_path / "c.csv").write_text("sku,name,category,quantity\nMUG-1,Mug,kitchen,5\n")

        done = run("import", "c.csv", "--dry-run", "--db", "new.sqlite3")

        assert done.exit_code == 0
        assert "1 created" in done.stderr
        assert not (tmp_path / "new.sqlite3").exists()


class TestUnavailableStorage:
    def test_database_of_another_program_is_not_changed(self, run, tmp_path):
        """A database of another program is rejected with exit code 3 and one sentence."""
        theirs = tmp_path / "theirs.db"
        with sqlite3.connect(theirs) as db:
            db.execute("CREATE TABLE songs (title TEXT)")
        db.close()
        before = theirs.read_bytes()

        for command in (("items", "list"), ("demo",), ("serve", "--port", "0")):
            done = run(*command, "--db", theirs)

            assert (done.exit_code, done.stdout) == (3, "")
            assert done.stderr.startswith(f"Error: {theirs} is a database of another program")
        assert theirs.read_bytes() == before

    def test_missing_region_credentials_or_table_is_named(self, run, monkeypatch):
        """The error names what is missing for DynamoDB."""
        with mock_aws():
            no_table = run("items", "list", "--dynamodb", "--json")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        no_credentials = run("items", "list", "--dynamodb")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION")
        no_region = run("tables", "create", "--dynamodb")

        assert [result.exit_code for result in (no_table, no_credentials, no_region)] == [3, 3, 3]
        assert "inventory-dev" in json.loads(no_table.stdout)["error"]
        assert no_table.stderr == ""
        assert "credentials" in no_credentials.stderr
        assert "region" in no_region.stderr

    def test_dynamodb_without_boto3_is_an_error(self, run, monkeypatch):
        """The error says how to install boto3."""
        monkeypatch.setitem(sys.modules, "botocore.exceptions", None)

        for command in (("items", "list"), ("tables", "create")):
            done = run(*command, "--dynamodb")

            assert done.exit_code == 3
            assert "pip install boto3" in done.stderr

    def test_debug_prints_the_traceback(self, run, tmp_path):
        """The exit code and the message stay the same."""
        done = run("--debug", "items", "list", "--db", tmp_path / "no" / "such")

        assert done.exit_code == 3
        assert "Traceback" in done.stderr
        assert StorageUnavailableError.__name__ in done.stderr


class TestDemo:
    def test_second_run_changes_nothing(self, run):
        """Items, movements and the reservation are created once."""
        first = run("demo")
        before = run("items", "list", "--all", "--json")
        second = run("demo")
        after = run("items", "list", "--all", "--json")

        count = len(list(demo_items()))
        assert 35 <= count <= 45
        assert first.stdout.startswith(f"{count} items created, 0 already present")
        assert second.stdout.startswith(f"0 items created, {count} already present")
        assert json.loads(after.stdout) == json.loads(before.stdout)

    def test_suggested_commands_work(self, run):
        """The suggested commands print a history of several kinds and an open reservation."""
        hints = [line.split(": inventory ")[1] for line in run("demo").stdout.splitlines()[1:]]

        items, history, reservation = (run(*hint.split(), "--json") for hint in hints)

        assert json.loads(items.stdout)["count"] == 20
        kinds = {movement["kind"] for movement in json.loads(history.stdout)["movements"]}
        assert kinds == {"opening", "adjust", "transfer_in", "count", "reserve"}
        assert json.loads(reservation.stdout)["reservation"]["state"] == "held"
        assert run("reconcile").exit_code == 0

    def test_data_is_varied(self):
        """The data has two locations, several categories, SKUs at both locations, and low and empty items."""
        shop = list(demo_items())

        assert {item.location for item in shop} == {"store", "warehouse"}
        assert len({item.category for item in shop}) >= 5
        assert len({item.sku for item in shop}) < len(shop)
        assert any(item.quantity == 0 for item in shop)
        assert any(0 < item.quantity <= item.reorder_point for item in shop)


@mock_aws
class TestTables:
    def test_are_created_once(self, run):
        """The first run creates both tables and enables the time to live; the second changes nothing."""
        first = run("tables", "create", "--dynamodb", "--table", "shop")
        second = run("tables", "create", "--dynamodb", "--table", "shop")

        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout.splitlines() == [
            "Table shop created.",
            "Table shop-ledger created.",
            "Time to live of shop-ledger enabled.",
        ]
        assert second.stdout.splitlines() == [
            "Table shop already exists.",
            "Table shop-ledger already exists.",
            "Time to live of shop-ledger already enabled.",
        ]

    def test_are_usable_by_other_commands(self, run):
        """Commands with --dynamodb use the created tables."""
        run("tables", "create", "--dynamodb")
        created = run("items", "create", *MUG, "--dynamodb", "--json")
        demo = run("demo", "--dynamodb")
        listed = run("items", "list", "--sku", "MUG-1", "--dynamodb", "--json")

        assert (created.exit_code, demo.exit_code) == (0, 0)
        assert json.loads(listed.stdout)["items"] == [json.loads(created.stdout)["item"]]

    def test_index_projection_is_that_of_the_table(self, run):
        """Commands list a table with indexes of keys; creating it with the default is an error."""
        keys = ("--dynamodb", "--index-projection", "keys")
        run("tables", "create", *keys)
        created = run("items", "create", *MUG, *keys, "--json")
        listed = run("items", "list", "--status", "available", *keys, "--json")
        rejected = run("tables", "create", "--dynamodb")

        assert json.loads(listed.stdout)["items"] == [json.loads(created.stdout)["item"]]
        assert rejected.exit_code == 3
        assert rejected.stderr == (
            "Error: Table inventory-dev has another projection of category-index,"
            " status-index. It cannot be changed. Use another --table or --index-projection.\n"
        )

    def test_table_without_our_indexes_is_rejected(self, run):
        """An existing table without our indexes is an error."""
        client = boto3.client("dynamodb")
        arguments = create_table_arguments(ITEMS, "inventory-dev")
        arguments["GlobalSecondaryIndexes"].pop()
        client.create_table(**arguments)

        done = run("tables", "create", "--dynamodb")

        assert done.exit_code == 3
        assert done.stderr == "Error: Table inventory-dev lacks sku-index\n"


class TestScript:
    """The installed `inventory` command."""

    def test_version_and_help_are_printed(self):
        """--version and --help exit with 0."""
        version, result = script("--version"), script("--help")

        assert version.stdout.startswith("inventory, version ")
        assert "serve" in result.stdout

    def test_default_database_is_in_the_current_folder(self, tmp_path):
        """Without a setting, the database is inventory.sqlite3."""
        environ = {name: value for name, value in os.environ.items() if name != "INVENTORY_DB"}

        created = script("items", "create", *MUG, cwd=tmp_path, env=environ)
        done = script("items", "list", "--json", cwd=tmp_path, env=environ)

        assert (created.returncode, json.loads(done.stdout)["count"]) == (0, 1)
        assert [path.name for path in tmp_path.iterdir()] == ["inventory.sqlite3"]

    @pytest.fixture
    def database(self, tmp_path):
        path = tmp_path / "test.sqlite3"
        assert script("items", "create", *MUG, "--db", path).returncode == 0
        return path

    def test_closed_pipe_is_quiet(self, database):
        """`inventory ... | head` prints no error, and exits as after SIGPIPE."""
        reader, writer = os.pipe()
        os.close(reader)

        done = script(
            *("items", "list", "--all", "--db", database),
            capture_output=False,
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        os.close(writer)

        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")

    @pytest.mark.parametrize("term", ["dumb", "xterm"])
    def test_ids_are_never_cut_or_wrapped(self, database, term):
        """Ids can be copied from a terminal of any width."""
        item = json.loads(script("items", "list", "--json", "--db", database).stdout)["items"][0]
        history = ("stock", "history", item["item_id"], "--sku", "MUG-1", "--db", database)
        lines = ("--line", f"{item['item_id']}:MUG-1:1", "--db", database)
        environ = {**os.environ, "TERM": term, "COLUMNS": "20"}

        outputs = {
            command[1]: on_a_terminal(*command, env=environ)
            for command in (
                ("items", "list", "--db", database),
                ("items", "get", item["item_id"], "--db", database),
                ("reservations", "create", *lines),
                history,
            )
        }

        assert item["item_id"] in outputs["list"]
        assert item["item_id"] in outputs["get"]
        assert f"{item['item_id']}:MUG-1:1" in outputs["create"]
        reservation_id = outputs["create"].split("reservation_id")[1].splitlines()[0]
        assert len(re.findall(UUID, reservation_id)) == 1
        assert re.findall(UUID, outputs["history"]) == re.findall(UUID, reservation_id)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
    def test_unwritable_output_is_an_error(self, database):
        """A full disk is reported in one line, and the exit code is 1."""
        with Path("/dev/full").open("w") as full:
            done = script(
                *("items", "list", "--db", database),
                capture_output=False,
                stdout=full,
                stderr=subprocess.PIPE,
            )

        assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")

    @pytest.mark.parametrize("missing", ["click", "uvicorn"])
    def test_missing_extra_is_named(self, tmp_path, missing):
        """Without the extra, the command says how to install it."""
        code = f"import sys; sys.modules[{missing!r}] = None\nfrom inventory_adapters.cli.main import main; main()"

        done = subprocess.run(
            [sys.executable, "-c", code, "serve", "--memory", "--port", "0"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=tmp_path,
        )

        assert (done.returncode, done.stdout) == (2, "")
        assert "tap-inventory[local]" in done.stderr
        assert "Traceback" not in done.stderr


def test_interrupt_is_quiet(run, monkeypatch):
    """Ctrl-C exits with 130 and prints no message."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "on_sqlite", interrupted)

    done = run("demo")

    assert (done.exit_code, done.output) == (130, "")
