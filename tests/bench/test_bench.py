"""The harness itself, with tiny counts: that it runs and adds up. How fast anything is, no test asserts."""

import json
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from itertools import islice

import pytest

from bench import catalogue, cold, contention, figure, library, load, report, warm
from bench.baselines import bare_sqlite
from bench.events import Context, event
from bench.loopback import loopback
from bench.measure import Row, Spread, at_least, at_most, interleaved, ratios
from inventory import Inventory
from inventory.paging import PageRequest
from inventory.ports import ItemFilter
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import list_all


def test_every_round_gives_each_contender_one_turn():
    """No contender always goes first, and none is left out."""
    turns = []
    contenders = {name: lambda name=name: turns.append(name) or 1.0 for name in "ab"}

    samples = interleaved(contenders, rounds=3)

    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert samples == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_a_ratio_is_of_one_round():
    """A round in which the machine was slow for both changes no ratio."""
    samples = {"ours": [1.0, 10.0, 1.0], "theirs": [2.0, 20.0, 2.0]}

    assert ratios(samples, "ours", "theirs") == Spread(0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("commitment", "median", "verdict"),
    [
        (at_most(0.8), 0.8, "met"),
        (at_most(0.8), 0.81, "MISSED"),
        (at_least(10), 10.0, "met"),
        (at_least(10), 9.9, "MISSED"),
        (None, 1.0, ""),
    ],
)
def test_a_verdict_follows_from_the_median(commitment, median, verdict):
    """The bound itself is kept; without a commitment there is no verdict."""
    row = Row(
        group="warm",
        metric="GET",
        unit="of R",
        value=Spread(median, 0.0, 99.0),
        commitment=commitment,
    )

    assert row.verdict == verdict


@pytest.mark.parametrize("operation", ["get_item", "create_item", "adjust_stock", "list_items"])
def test_what_is_measured_as_warm_succeeds(operation):
    """An event of the harness is answered with success: an error would be answered too fast."""
    handler = warm.own_handlers()(operation)

    result = handler(event(operation), Context())

    assert result["statusCode"] in (200, 201)


def test_a_handler_answers_in_a_new_process(monkeypatch):
    """The child of the cold measurement names the modules that it took, and none of the denied ones."""
    code = "import sys; sys.path[:] = sys.argv[3].split(';'); from bench.first_answer import main; main()"
    path = ";".join([*sys.path, str(cold.ROOT)])
    arguments = ("inventory_adapters.lambda_entry:get_item", "get_item", path, "modules")

    with loopback() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server["AWS_ENDPOINT_URL"])
        command, environment = cold.child(code, *arguments, path=[])
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "inventory.service" in loaded
    assert not loaded & set(cold.DENIED)


def test_a_request_is_framed_by_its_length():
    """What the load generator sends is one whole HTTP request."""
    sent = load.request("POST", "/items", '{"name": "Zelt für zwei"}')

    head, _, body = sent.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize("operation", ["create", "get", "adjust", "reserve and commit", "list"])
def test_operations_of_the_library_run(operation):
    """Each operation that is timed does its work, again and again."""
    call = library.operations(Inventory(MemoryRepository()))[operation]

    call()
    call()


def test_made_items_are_what_lists_are_measured_on(tmp_path):
    """Every list that is timed has rows."""
    with library.filled(tmp_path / "x.sqlite3", 40) as store:
        for wanted in (ItemFilter(category="tents"), ItemFilter(low_stock=True), ItemFilter()):
            assert store.list_items(wanted, PageRequest(size=3)).items

    keys = [item.key for item in islice(library.make_items(), 2000)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "wanted",
    [
        ItemFilter(),
        ItemFilter(category="tents"),
        ItemFilter(status="available"),
        ItemFilter(sku="SKU-0000"),
        ItemFilter(low_stock=True),
    ],
)
def test_the_deep_page_is_the_last_but_one_item(tmp_path, wanted):
    """Behind the place where depth is measured lie a full page and one item, whatever the list."""
    with library.filled(tmp_path / "x.sqlite3", 3000) as store:
        cursor = library.near_the_end(store, wanted, 3000)

        page = store.list_items(wanted, PageRequest(size=20, cursor=cursor))
        rest = store.list_items(wanted, PageRequest(size=20, cursor=page.next_cursor))

    assert [len(page.items), len(rest.items)] == [20, 1]


def test_bare_statements_leave_what_ours_leave(tmp_path):
    """The baseline does the same work: as many items and movements as through the library."""
    counted = []
    for name in ("ours", "bare"):
        path = tmp_path / name
        with library.filled(path, 0) as store, ExitStack() as more:
            item = Inventory(store).create_item(library.NEW)
            calls = (
                library.operations(Inventory(store))
                if name == "ours"
                else more.enter_context(
                    library.bare_sqlite.operations(path, item.item_id, item.sku)
                )
            )
            for call in ("create", "adjust", "adjust"):
                calls[call]()
            with store._reading() as db:
                counted.append(
                    [db.execute(f"SELECT count(*) FROM {it}").fetchone() for it in _TABLES]  # noqa: S608
                )

    # Ours makes an item of its own to work on.
    assert [counted[0][0][0] - 1, counted[0][1]] == [counted[1][0][0], counted[1][1]]


_TABLES = ("items", "movements")


def test_what_is_imported_is_all_there(tmp_path):
    """By us and by the baseline: as many items as rows, with what the rows say."""
    file = catalogue.write_items(tmp_path / "items.csv", 60)
    found = []
    for name, imported in (("ours", catalogue.import_file), ("bare", bare_sqlite.import_file)):
        assert imported(file, tmp_path / name) == 60
        with SqliteRepository(tmp_path / name) as store:
            items = list_all(store, ItemFilter())
            found.append({(it.sku, it.name, it.price, it.level.on_hand) for it in items})

    assert len(found[0]) == 60
    assert found[0] == found[1]


def test_contention_adds_up_and_can_be_drawn():
    """Every change is accounted for, and the figure has a line for each store."""
    outcomes = [contention._threads(writers, 3) for writers in (1, 2)]

    drawn = figure.draw({"SQLite, threads": outcomes})

    assert [it.writers for it in outcomes] == [1, 2]
    assert drawn.count("<polyline") == 2


@pytest.mark.parametrize("lost", [0, 1])
def test_a_change_that_was_acknowledged_and_is_not_there_ends_the_run(lost):
    """What nobody answered for may be stored or not; all else is counted."""
    repository = MemoryRepository()
    item = Inventory(repository).create_item(library.NEW)
    tally = contention._write(repository, item, 2)
    tally.seconds += [0.1] * (1 + lost)
    tally.failed = tally.unknown = 1

    with pytest.raises(RuntimeError) if lost else nullcontext():
        contention._check(repository, item, [tally])


def test_results_go_between_the_marks(tmp_path):
    """Prose around the tables stays, and machines get the same rows."""
    page = tmp_path / "performance.md"
    page.write_text("Before.\n<!-- begin: measured -->\nold\n<!-- end: measured -->\nAfter.\n")
    row = Row(
        group="warm",
        metric="GET",
        unit="of R",
        value=Spread(0.5, 0.4, 0.6),
        commitment=at_most(0.8),
    )

    report.update_docs([row], {"commit": "abc"}, page)

    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "| GET | 0.5 (0.4 to 0.6) | of R | ≤ 0.8 | met |" in text
    assert json.loads(report.as_json([row], {}))["rows"][0]["verdict"] == "met"
