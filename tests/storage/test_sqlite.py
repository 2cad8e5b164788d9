"""What SQLite adds to the contract: a file, other processes, and things that go wrong with both."""

import json
import logging
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from typing import ClassVar

import pytest
from attrs import evolve

from inventory import (
    AdjustStock,
    CreateItem,
    Inventory,
    ItemKey,
    StorageThrottledError,
    StorageUnavailableError,
    UnreadableItemError,
    deadline,
)
from inventory.errors import StaleReadError
from inventory.items import Item
from inventory.ports import ItemFilter, ReservationWrite
from inventory.reservations import Reservation
from inventory.stock import Movement
from inventory_adapters.storage.sqlite import SqliteRepository, lists, schema
from inventory_adapters.storage.sqlite import repository as sqlite
from inventory_adapters.testing import (
    ExclusiveContract,
    ListsContract,
    RepositoryContract,
    a_record,
    a_reservation,
    a_time,
    an_edit,
    an_item,
    closed,
    creation,
    deletion,
    held,
    ledger,
    pages,
    reserving,
    rewrite,
    serving,
    together,
    walk,
)

EVERY_LIST = [
    ItemFilter(category=category, status=status, sku=sku, location=location, low_stock=low)
    for category in (None, "tools")
    for status in (None, "available")
    for sku in (None, "SKU-1")
    for location in (None, "north")
    for low in (False, True)
]


@pytest.fixture
def path(tmp_path):
    """Where the file is, or will be."""
    return tmp_path / "inventory.db"


@pytest.fixture(scope="module")
def set_up(tmp_path_factory):
    """A file as it is after the first opening, to copy: setting one up waits for the disk a dozen times."""
    path = tmp_path_factory.mktemp("set_up") / "inventory.db"
    SqliteRepository(path).close()
    return path


@pytest.fixture
def repository(path, set_up):
    """A repository in a file of its own that never waits for the disk: no test here pulls the plug."""
    shutil.copy(set_up, path)
    with SqliteRepository(path, durability="normal") as repository:
        repository._writer.execute("PRAGMA synchronous = OFF")
        yield repository


@pytest.fixture
def few_rows(monkeypatch):
    """Windows of two rows, so that a handful of items makes many."""
    monkeypatch.setattr(lists, "_WINDOW", 2)


@pytest.fixture
def aside(path, repository):
    """A connection of its own to the file of *repository*, as another process has it."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        yield db


class TestSqliteRepository(RepositoryContract):
    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository

    def spoil(self, repository, record):
        """With another program, in the file."""
        table, column, where = {
            Item: ("items", "version", "item_id = :item_id AND sku = :sku"),
            Movement: ("movements", "kind", "item_id = :item_id AND sku = :sku AND seq = :seq"),
            Reservation: ("reservations", "lines", "reservation_id = :reservation_id"),
        }[type(record)]
        key = getattr(record, "key", None)
        values = {
            "item_id": key and key.item_id,
            "sku": key and key.sku,
            "seq": getattr(record, "seq", None),
            "reservation_id": getattr(record, "reservation_id", None),
        }
        with closing(sqlite3.connect(repository._path)) as db, db:
            db.execute(f"UPDATE {table} SET {column} = 'spoiled' WHERE {where}", values)  # noqa: S608 - of constants


class TestSqliteRepositoryInSmallWindows(ListsContract):
    @pytest.fixture
    def repository(self, repository, few_rows):
        """One that looks at few rows at a time."""
        return repository


class TestFile:
    """What is in the file, and what may be."""

    def test_everything_survives_closing(self, path):
        """A repository that is opened again has what it had."""
        item = an_item(name="nul \0 inside", description="\N{FAMILY}" * 100_000)
        moved = rewrite(an_item("moved"), reserved=1)
        reservation = ReservationWrite(before=None, after=a_reservation(reference="nul \0 too"))
        with SqliteRepository(path) as repository:
            repository.commit(creation(item, an_item("moved")))
            repository.commit(
                together(moved, reservation=reservation, idempotency_record=a_record())
            )
        with SqliteRepository(str(path)) as repository:
            edited = repository.edit_item(an_edit(item, name="new"))

        with SqliteRepository(path, durability="normal") as repository:
            assert repository.get_item(item.key) == edited
            assert walk(repository, ItemFilter()) == [edited, moved.items[0].after]
            assert ledger(repository, an_item("moved").key) == [*moved.movements]
            assert held(repository) == [reservation.after]
            assert repository.get_idempotency_record("record-1") == a_record()

    def test_nul_characters_are_part_of_a_key(self, repository):
        """Text is not cut at a NUL, neither when it is stored nor when it is compared."""
        items = [an_item(f"a{end}") for end in ("", "\0", "\0\0", "\0b", "b")]
        repository.commit(creation(*items))

        assert walk(repository, ItemFilter(sku="SKU-1"), size=1) == items
        assert [repository.get_item(item.key) for item in items] == items

    def test_movements_name_the_commit_that_made_them(self, repository, aside):
        """What one decision wrote can be found by its id."""
        item = an_item()
        repository.commit(creation(item))
        change = rewrite(item, on_hand=7)
        repository.commit(change)

        rows = aside.execute("SELECT seq, write_id FROM movements").fetchall()

        assert rows == [(1, change.write_id)]

    def test_a_movement_is_never_written_over(self, repository, aside):
        """Where the place in the history is taken, the whole change is refused."""
        item = an_item()
        repository.commit(creation(item))
        repository.commit(rewrite(item, on_hand=7))
        aside.execute("UPDATE items SET quantity = 10, seq = 0")

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(item, on_hand=1))

        assert repository.get_item(item.key) == item

    @pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
    def test_durability_is_what_was_asked_for(self, path, durability, level):
        """WAL always; SQLite waits for the disk at each commit (2), or only now and then (1)."""
        with SqliteRepository(path, durability=durability) as repository:
            [mode] = repository._writer.execute("PRAGMA journal_mode").fetchone()
            [synchronous] = repository._writer.execute("PRAGMA synchronous").fetchone()

        assert (mode, synchronous) == ("wal", level)

    def test_a_name_that_sqlite_finds_special_is_a_file_like_any_other(self, tmp_path, monkeypatch):
        """Neither ":memory:" nor the marks of a URI lead anywhere else."""
        monkeypatch.chdir(tmp_path)
        names = ["100%25 #1.db", ":memory:", "a?mode=memory"]

        for name in names:
            with SqliteRepository(name) as repository:
                repository.commit(creation(an_item()))

        assert sorted(entry.name for entry in tmp_path.iterdir()) == names

    def test_a_closed_repository_says_so(self, path):
        """Closing twice is fine; using it afterwards is not."""
        repository = SqliteRepository(path)
        repository.commit(creation(an_item()))
        repository.close()
        repository.close()

        with pytest.raises(StorageUnavailableError, match="closed"):
            repository.get_item(an_item().key)
        with pytest.raises(StorageUnavailableError, match="closed"):
            repository.commit(deletion(an_item()))

    def test_a_read_under_way_outlives_the_close(self, path):
        """It finishes, and its connection is closed then."""
        repository = SqliteRepository(path)

        with repository._reading() as db:
            repository.close()
            assert db.execute("SELECT count(*) FROM items").fetchone() == (0,)

        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")

    def test_a_row_that_is_no_item_is_named_and_left_out_of_lists(self, repository, aside, caplog):
        """A read of it fails; a list warns, leaves it out, and goes on behind it."""
        items = [an_item(f"item-{number}") for number in range(4)]
        repository.commit(creation(*items))
        aside.execute("UPDATE items SET price = 'free' WHERE item_id = 'item-1'")

        with pytest.raises(UnreadableItemError) as unreadable:
            repository.get_item(items[1].key)
        with caplog.at_level(logging.WARNING):
            listed = walk(repository, ItemFilter(category="tools"), size=2)

        assert (unreadable.value.item_id, unreadable.value.sku) == ("item-1", "SKU-1")
        assert listed == [items[0], *items[2:]]
        assert len(caplog.records) == 1
        assert "item-1" in caplog.text


class TestOpening:
    """A file is opened if it is ours or new, and otherwise left as it is."""

    def refused(self, path, match):
        """Check that *path* is refused with a sentence that names it."""
        with pytest.raises(StorageUnavailableError, match=match) as refused:
            SqliteRepository(path)
        assert str(path) in refused.value.message

    def test_a_database_of_another_program_is_left_as_it_is(self, path):
        """To the byte, and with nothing put beside it."""
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE items (item_id TEXT)")
        before = path.read_bytes()

        self.refused(path, "another program")

        assert path.read_bytes() == before
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    def test_what_is_no_database_is_left_as_it_is(self, path):
        """A file of any other kind."""
        path.write_text("A letter to a friend.\n" * 100)

        self.refused(path, "not a database")

        assert path.read_text().startswith("A letter")

    def test_a_file_of_a_newer_version_is_left_as_it_is(self, path):
        """An older program would not know what it breaks."""
        SqliteRepository(path).close()
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")

        self.refused(path, "newer version")

    def test_a_place_without_a_folder_is_named(self, path):
        """The sentence says what to look at."""
        self.refused(path / "not" / "there.db", "folder")

    def test_a_folder_is_not_a_file(self, tmp_path):
        """The sentence says what to look at."""
        self.refused(tmp_path, "folder")

    def test_an_empty_file_is_a_new_one(self, path):
        """As made by mktemp, or left behind by a crash before the first write."""
        path.touch()

        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))

    def test_many_may_open_a_new_file_at_once(self, tmp_path):
        """One sets it up, the others wait for it."""

        def open_and_write(number):
            with SqliteRepository(tmp_path / f"{number % 5}.db") as repository:
                repository.commit(creation(an_item(f"item-{number}")))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(open_and_write, range(40)))

        for number in range(5):
            with SqliteRepository(tmp_path / f"{number}.db") as repository:
                assert len(walk(repository, ItemFilter())) == 8

    def test_an_older_file_is_brought_up_to_date(self, path, monkeypatch):
        """The missing migrations are applied, in order, and the items are kept."""
        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))
        more = (("CREATE TABLE one (a)",), ("INSERT INTO one VALUES (1)", "DROP TABLE movements"))
        monkeypatch.setattr(sqlite, "MIGRATIONS", sqlite.MIGRATIONS + more)

        for _ in range(2):
            with SqliteRepository(path) as repository:
                assert repository.get_item(an_item().key) == an_item()
                assert repository._writer.execute("SELECT a FROM one").fetchall() == [(1,)]

    def test_a_migration_that_fails_leaves_no_trace(self, path, monkeypatch):
        """What it did before it failed is undone, and the program of before still works."""
        SqliteRepository(path).close()
        with monkeypatch.context() as patched:
            bad = (("DROP TABLE items", "CREATE NONSENSE"),)
            patched.setattr(sqlite, "MIGRATIONS", sqlite.MIGRATIONS + bad)
            self.refused(path, "NONSENSE")

        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))


class TestStatements:
    """A read costs what it finds, and a page what it holds, wherever they are."""

    @pytest.mark.parametrize("wanted", EVERY_LIST, ids=str)
    def test_every_list_walks_its_index(self, repository, few_rows, wanted):
        """No statement scans the table or sorts."""
        items = [an_item(f"item-{n}", location="north", reorder_point=10) for n in range(5)]
        repository.commit(creation(*items))
        plans = []
        connected = sqlite._connected

        def explaining(uri):
            db = connected(uri)
            db.set_trace_callback(statements.append)
            return db

        statements = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sqlite, "_connected", explaining)
            assert walk(repository, wanted, size=3) == items
        selects = [statement for statement in statements if statement.startswith("SELECT")]
        for statement in selects:
            plan = repository._writer.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            plans += [row[3] for row in plan]

        index = {"item_id": "items_by_id", "low_stock": "items_low"}.get(
            wanted.index, f"items_by_{wanted.index}"
        )
        assert plans
        for plan in plans:
            assert plan.startswith(
                ("SEARCH items USING INDEX", "SEARCH items USING COVERING INDEX")
            )
            assert f"INDEX {index} (" in plan
            assert ">" in plan

    @pytest.mark.parametrize(
        ("statement", "plan"),
        [
            (schema.MOVEMENTS, ["movements USING PRIMARY KEY (item_id=? AND sku=? AND seq<?)"]),
            (schema.FIRST_MOVEMENT, ["movements USING PRIMARY KEY (item_id=? AND sku=?)"]),
            (
                schema.RESERVATION,
                ["reservations USING INDEX reservations_by_id (reservation_id=?)"],
            ),
            (
                schema.UPDATE_RESERVATION,
                ["reservations USING INDEX reservations_by_id (reservation_id=?)"],
            ),
            (
                schema.HELD,
                [
                    "reservations USING INDEX reservations_held ((expires_at,reservation_id)>(?,?) AND expires_at<?)"
                ],
            ),
            (
                schema.IDEMPOTENCY_RECORD,
                ["idempotency_records USING INDEX idempotency_by_id (record_id=?)"],
            ),
            (
                schema.PURGE_IDEMPOTENCY_RECORDS,
                [
                    "idempotency_records USING INTEGER PRIMARY KEY (rowid=?)",
                    "idempotency_records USING COVERING INDEX idempotency_by_expiry (expires_at<?)",
                ],
            ),
            (
                schema.PURGE_RESERVATIONS,
                [
                    "reservations USING INTEGER PRIMARY KEY (rowid=?)",
                    "reservations USING COVERING INDEX reservations_closed (closed_at<?)",
                ],
            ),
        ],
    )
    def test_every_statement_walks_its_index(self, repository, statement, plan):
        """From where it starts to where it ends, and nothing is sorted."""
        explained = repository._writer.execute(
            f"EXPLAIN QUERY PLAN {statement}", ("1",) * statement.count("?")
        ).fetchall()

        steps = [row[3] for row in explained if not row[3].startswith("LIST SUBQUERY")]
        assert steps == [f"SEARCH {step}" for step in plan]

    def test_keys_are_found_by_index(self, repository):
        """The statements that read one item look at one row."""
        for condition in ("item_id = ? AND sku = ?", "item_id = ? ORDER BY sku LIMIT 1"):
            plan = repository._writer.execute(
                f"EXPLAIN QUERY PLAN {schema.SELECT} WHERE {condition}",
                ("x",) * condition.count("?"),
            ).fetchall()

            assert [row[3].split(" (")[0] for row in plan] == [
                "SEARCH items USING INDEX items_by_id"
            ]

    def test_a_page_ends_after_so_many_rows(self, repository, few_rows, monkeypatch):
        """Where hardly any row passes, pages are short or empty, and the walk still finds all."""
        monkeypatch.setattr(lists, "_MAX_WINDOWS", 2)
        items = [
            an_item(f"item-{number:02}", location="north" if number in (7, 29) else "south")
            for number in range(30)
        ]
        repository.commit(creation(*items))

        walked = list(pages(repository, ItemFilter(category="tools", location="north"), size=10))

        assert [len(page.items) for page in walked] == [0, 1, 0, 0, 0, 0, 0, 1]
        assert [item for page in walked for item in page.items] == [items[7], items[29]]


class TestPurge:
    """Old rows go in small portions."""

    @pytest.fixture(autouse=True)
    def small_portions(self, monkeypatch):
        """Three rows to a transaction."""
        monkeypatch.setattr(sqlite, "_PURGED_AT_ONCE", 3)

    @pytest.mark.parametrize("count", [0, 2, 3, 4, 6, 7])
    def test_every_portion_is_deleted(self, repository, aside, count):
        """Also where the last one is full, or there is none."""
        for number in range(count):
            repository.commit(serving(a_record(f"record-{number}")))
            repository.commit(reserving(None, closed(a_reservation(f"reservation-{number}"))))

        assert repository.purge(a_time(10_000_000)) == 2 * count

        left = "SELECT (SELECT count(*) FROM idempotency_records) + (SELECT count(*) FROM reservations)"
        assert aside.execute(left).fetchone() == (0,)

    def test_each_portion_is_a_transaction(self, repository):
        """A writer has a turn between two of them: a purge of years is not a pause in the business."""
        for number in range(7):
            repository.commit(serving(a_record(f"record-{number}")))
        statements = []
        repository._writer.set_trace_callback(statements.append)

        repository.purge(a_time(10_000_000))

        # Three for the records, and one that finds no reservation.
        assert statements.count("COMMIT") == 3 + 1


class TestTrouble:
    """What goes wrong is said in the port's words, and nothing half-done stays."""

    def test_readers_do_not_wait_for_a_writer(self, repository, aside):
        """They see what was committed last, also while another process writes."""
        repository.commit(creation(an_item()))
        aside.execute("BEGIN IMMEDIATE")
        aside.execute("UPDATE items SET name = 'not yet'")

        assert repository.get_item(an_item().key) == an_item()
        assert walk(repository, ItemFilter()) == [an_item()]

    def test_a_writer_waits_for_another_process_as_long_as_the_request_has_time(
        self, repository, aside
    ):
        """Then it says that nothing was changed; later the same write goes through."""
        aside.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StorageThrottledError), deadline(0.05):
            repository.commit(creation(an_item()))
        assert time.monotonic() - began < sqlite._BUSY_SECONDS

        aside.execute("ROLLBACK")
        repository.commit(creation(an_item()))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_writer_goes_on_as_soon_as_another_process_is_done(self, repository, aside):
        """A short wait is not an error."""
        aside.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as thread:
            commit = thread.submit(repository.commit, creation(an_item()))
            time.sleep(0.05)
            assert not commit.done()
            aside.execute("COMMIT")

            commit.result(timeout=5)

    def test_a_writer_waits_for_its_turn_as_long_as_the_request_has_time(self, repository):
        """A thread that holds the writer up in this process counts like another process."""
        begun, free = threading.Event(), threading.Event()

        def hold():
            with repository.exclusive():
                begun.set()
                free.wait(10)

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(hold)
            begun.wait(10)
            with pytest.raises(StorageThrottledError), deadline(0.05):
                repository.commit(creation(an_item()))
            free.set()
            holding.result(10)

        repository.commit(creation(an_item()))

    def test_a_request_whose_time_is_up_may_still_write_when_nothing_hinders_it(self, repository):
        """No waiting does not mean no work."""
        with deadline(-1):
            repository.commit(creation(an_item()))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_full_disk_is_named_and_nothing_is_half_written(self, repository):
        """A change that does not fit is not kept, and a smaller one still is."""
        [used] = repository._writer.execute("PRAGMA page_count").fetchone()
        repository._writer.execute(f"PRAGMA max_page_count = {used + 3}")
        small, big = an_item("small"), an_item("big", description="x" * 100_000)

        with pytest.raises(StorageUnavailableError, match="no room left"):
            repository.commit(creation(small, big))

        assert walk(repository, ItemFilter()) == []
        repository.commit(creation(small))
        assert walk(repository, ItemFilter()) == [small]

    def test_a_file_that_may_not_be_written_to_is_still_read(self, repository):
        """The sentence says what to look at."""
        repository.commit(creation(an_item()))
        repository._writer.execute("PRAGMA query_only = ON")

        with pytest.raises(StorageUnavailableError, match="may not be written to"):
            repository.edit_item(an_edit(an_item(), name="new"))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_damaged_file_is_named(self, path):
        """Overwritten pages are noticed, not read as something."""
        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))

        with (
            SqliteRepository(path) as repository,
            pytest.raises(StorageUnavailableError, match="damaged"),
        ):
            repository.get_item(an_item().key)

    def test_a_file_that_was_taken_away_is_not_made_anew(self, path):
        """Better an error than an inventory that looks empty."""
        repository = SqliteRepository(path)
        repository._writer.close()
        path.unlink()

        with pytest.raises(StorageUnavailableError, match="replaced or deleted"):
            repository.get_item(an_item().key)
        assert not path.exists()

    @pytest.mark.parametrize("code", ["SQLITE_IOERR", "SQLITE_IOERR_FSYNC"])
    def test_a_failing_disk_is_named(self, code):
        """Whatever exactly the system said."""
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = getattr(sqlite3, code)

        with pytest.raises(StorageUnavailableError, match="disk failed"), sqlite._translated():
            raise error

    def test_what_fails_inside_a_write_undoes_it(self, repository, monkeypatch):
        """Also an error that nobody expected."""

        def fail(*_arguments):
            raise RuntimeError

        monkeypatch.setattr(sqlite, "movement_to_row", fail)
        repository.commit(creation(an_item()))

        with pytest.raises(RuntimeError):
            repository.commit(rewrite(an_item(), on_hand=1))

        assert repository.get_item(an_item().key) == an_item()
        repository.commit(rewrite(an_item(), name="still works"))


WRITER = """
import sys
from attrs import evolve
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import an_item, creation, rewrite

repository = SqliteRepository(sys.argv[1])
for number in range(1_000_000):
    item = an_item(f"{sys.argv[2]}-{number}")
    repository.commit(creation(item))
    repository.commit(rewrite(item, on_hand=number))
    print(item.item_id, number, flush=True)
"""


def test_an_acknowledged_write_survives_a_killed_process(path):
    """Whatever a writer said it had written is there after kill -9, again and again, in a whole file."""
    acknowledged = []
    for attempt in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(attempt)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            lines = [writer.stdout.readline() for _ in range(20 + 17 * attempt)]
            writer.send_signal(signal.SIGKILL)
            # What it still said before it died counts as well; a line cut short does not.
            lines += writer.stdout.read().split("\n")[:-1]
        acknowledged += [line.split() for line in lines]

    with SqliteRepository(path) as repository:
        for item_id, number in acknowledged:
            found = repository.get_item(ItemKey(item_id=item_id, sku="SKU-1"))
            assert found == evolve(an_item(item_id, on_hand=int(number), seq=1))
        assert repository._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)


BUSINESS = """
import itertools
import json
import random
import sys
from inventory import AdjustStock, CommitReservation, CreateReservation, Inventory
from inventory.errors import ContentionError, StorageThrottledError
from inventory_adapters.storage.sqlite import SqliteRepository

path, name, *item_ids = sys.argv[1:]
chance = random.Random(name)  # The same requests, under the same keys, each time that it is started.
inventory = Inventory(SqliteRepository(path, durability="normal"))

def insist(use_case, command):
    while True:
        try:
            return use_case(command)
        except (ContentionError, StorageThrottledError):
            pass

def done(item_ids, kind, reference):
    print(json.dumps([item_ids, kind, reference]), flush=True)

for number in itertools.count():
    key = f"{name}-{number}"
    if chance.random() < 0.4:
        item_id, delta = chance.choice(item_ids), chance.randint(-3, 9)
        insist(inventory.adjust_stock, AdjustStock(
            item_id=item_id, sku="SKU-1", delta=delta or 1, reason="so it is", reference=key, idempotency_key=key))
        done([item_id], "adjust", key)
        continue
    lines = [{"item_id": item_id, "sku": "SKU-1", "quantity": 1} for item_id in item_ids]
    command = CreateReservation(lines=lines, idempotency_key=key)
    reservation_id = insist(inventory.create_reservation, command).reservation_id
    done(item_ids, "reserve", reservation_id)
    if chance.random() < 0.7:
        insist(inventory.commit_reservation, CommitReservation(reservation_id=reservation_id))
        done(item_ids, "commit", reservation_id)
"""


def test_a_killed_process_leaves_no_half_of_a_use_case(path):
    """Two writers die by kill -9, start over and repeat their requests: each has its effect once, and everything adds up."""
    with SqliteRepository(path) as repository:
        inventory = Inventory(repository)
        command = CreateItem(sku="SKU-1", name="Hammer", category="tools", quantity=1_000_000)
        item_ids = [inventory.create_item(command).item_id for _ in range(3)]

    acknowledged = set()
    for attempt in range(4):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", BUSINESS, str(path), name, *item_ids],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("north", "south")
        ]
        lines = [writer.stdout.readline() for writer in writers for _ in range(20 + 30 * attempt)]
        time.sleep(random.uniform(0, 0.02))  # noqa: S311 - a moment, not a secret
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            with writer:
                # What it still said before it died counts as well; a line cut short does not.
                lines += writer.stdout.read().split("\n")[:-1]
        assert all(lines), "a writer died by itself"
        acknowledged |= {line.strip() for line in lines}

    with SqliteRepository(path) as repository:
        told = Counter(
            (item_id, movement.kind, movement.reservation_id or movement.reference)
            for item_id in item_ids
            for movement in ledger(repository, ItemKey(item_id=item_id, sku="SKU-1"))
        )
        assert set(told.values()) == {1}
        for line in acknowledged:
            done_to, kind, reference = json.loads(line)
            assert all((item_id, kind, reference) in told for item_id in done_to)
        # Also what nobody was told of was done whole, or not at all.
        whole = Counter((kind, reference) for _, kind, reference in told if kind != "adjust")
        assert set(whole.values()) == {len(item_ids)}
        assert list(Inventory(repository).reconcile()) == []
        assert repository._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class TestAlone(ExclusiveContract):
    """One thread has the store to itself: several changes in one transaction, each kept or refused by itself."""

    def test_nothing_is_kept_of_what_sqlite_itself_has_undone(self, repository):
        """On some errors it rolls back the whole: the rest must not be kept where its beginning was not."""

        def go_on():
            with repository.exclusive():
                repository.commit(creation(an_item("first")))
                repository._writer.execute("ROLLBACK")
                with pytest.raises(StorageUnavailableError, match="has undone"):
                    repository.commit(creation(an_item("second")))

        with pytest.raises(StorageUnavailableError):
            go_on()

        assert walk(repository, ItemFilter()) == []
        repository.commit(creation(an_item()))

    def test_a_closed_repository_cannot_be_had(self, repository):
        """It says so, as to every other call."""
        repository.close()

        with pytest.raises(StorageUnavailableError, match="closed"), repository.exclusive():
            pytest.fail("was not closed")


def test_nobody_is_refused_where_many_want_one_item(repository):
    """Whoever was overtaken once decides the second time alone."""
    inventory = Inventory(repository)
    item = inventory.create_item(CreateItem(sku="SKU", name="Tent", category="tents", quantity=320))
    command = AdjustStock(item_id=item.item_id, sku=item.sku, delta=-1, reason="sold")

    with ThreadPoolExecutor(32) as buyers:
        for sold in [buyers.submit(inventory.adjust_stock, command) for _ in range(320)]:
            sold.result()

    left = repository.get_item(item.key)
    assert (left.level.on_hand, left.level.seq) == (0, 320)


def _files_of(path):
    return [path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm")]


@pytest.fixture
def backup(tmp_path):
    """Another database, closed, that has one item more than the one of the test: it is told by it."""
    backup = tmp_path / "backup.db"
    with SqliteRepository(backup) as other:
        other.commit(creation(an_item("backup")))
    return backup


class TestFileInItsPlace:
    """What happens to the file of an open repository is noticed before anything is acknowledged."""

    @pytest.fixture
    def repository(self, path, set_up):
        """A repository with an item whose row is still in the write-ahead log."""
        shutil.copy(set_up, path)
        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item("mine")))
            yield repository

    READS: ClassVar = {
        "get_item": lambda it: it.get_item(an_item("mine").key),
        "find_item": lambda it: it.find_item("mine"),
        "get_items": lambda it: it.get_items([an_item("mine").key]),
        "list_items": lambda it: walk(it, ItemFilter()),
        "list_movements": lambda it: ledger(it, an_item("mine").key),
        "held_reservations": held,
        "get_reservation": lambda it: it.get_reservation("none"),
        "get_idempotency_record": lambda it: it.get_idempotency_record("none"),
    }
    WRITES: ClassVar = {
        "commit": lambda it: it.commit(creation(an_item("new"))),
        "edit_item": lambda it: it.edit_item(an_edit(an_item("mine"), name="new")),
        "purge": lambda it: it.purge(a_time()),
        "alone": lambda it: _committed_alone(it, creation(an_item("new"))),
    }

    @pytest.mark.parametrize("call", [*READS, *WRITES])
    @pytest.mark.parametrize("how", ["replaced", "deleted", "moved"])
    def test_a_replaced_file_ends_every_call(self, repository, path, backup, how, call):
        """With storage trouble, for readers that are open already too; never with an answer."""
        repository.get_item(an_item("mine").key)
        if how == "replaced":
            backup.replace(path)
        elif how == "deleted":
            path.unlink()
        else:
            path.rename(path.with_name("elsewhere.db"))

        with pytest.raises(StorageUnavailableError, match="replaced or deleted"):
            (self.READS | self.WRITES)[call](repository)

    @pytest.mark.parametrize("use", ["write", "read", "nothing"])
    def test_the_file_in_its_place_is_left_alone(self, repository, path, backup, use):
        """The restored backup is served by the next one to open it, without a trace of the old file."""
        content = backup.read_bytes()
        backup.replace(path)

        if use != "nothing":
            with pytest.raises(StorageUnavailableError):
                (self.READS["get_item"] if use == "read" else self.WRITES["commit"])(repository)
        repository.close()

        assert path.read_bytes() == content
        with SqliteRepository(path) as restored:
            assert walk(restored, ItemFilter()) == [an_item("backup")]
            assert restored._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_the_file_that_was_moved_has_everything(self, repository, path, backup):
        """What was acknowledged goes with the file, also what was not yet in it."""
        moved = path.with_name("moved.db")
        path.rename(moved)
        backup.replace(path)
        with pytest.raises(StorageUnavailableError):
            repository.purge(a_time())
        repository.close()

        with SqliteRepository(moved) as again:
            assert walk(again, ItemFilter()) == [an_item("mine")]

    def test_a_file_that_comes_back_is_used_again(self, repository, path):
        """It is the file that is open, so nothing was lost."""
        away = path.with_name("away.db")
        path.rename(away)
        with pytest.raises(StorageUnavailableError):
            repository.get_item(an_item("mine").key)
        away.rename(path)

        repository.commit(creation(an_item("new")))

        repository.close()
        with SqliteRepository(path) as again:
            assert walk(again, ItemFilter()) == [an_item("mine"), an_item("new")]

    @pytest.mark.parametrize("end", ["-wal", "-shm"])
    def test_a_file_beside_it_that_is_deleted_ends_writes(self, repository, path, end):
        """Writes would be lost with the log, or not be seen by other processes; what was acknowledged is kept."""
        path.with_name(path.name + end).unlink()

        with pytest.raises(StorageUnavailableError, match="replaced or deleted"):
            repository.commit(creation(an_item("new")))

        repository.close()
        with SqliteRepository(path) as again:
            assert walk(again, ItemFilter()) == [an_item("mine")]

    def test_a_write_into_a_file_that_is_replaced_meanwhile_is_not_acknowledged(
        self, repository, path, backup
    ):
        """The file is looked at after the transaction as well as before."""
        content = backup.read_bytes()

        def replace_and_write():
            with repository.exclusive():
                repository.commit(creation(an_item("new")))
                backup.replace(path)

        with pytest.raises(StorageUnavailableError):
            replace_and_write()
        repository.close()

        assert path.read_bytes() == content
        with SqliteRepository(path) as restored:
            assert walk(restored, ItemFilter()) == [an_item("backup")]


def _committed_alone(repository, change):
    with repository.exclusive():
        repository.commit(change)


class Interrupted(BaseException):
    """What a signal's handler raises."""


class Interruption:
    """
    Raises `Interrupted` once, at the *place*-th of the points where Python runs the handlers of signals.

    These are where a function begins, and where a function written in C has returned. A profile function is called at the same
    points, and what it raises is raised there.
    """

    def __init__(self, place):
        self._left = place
        self.has_struck = False

    def __enter__(self):
        sys.setprofile(self._look)

    def __exit__(self, *_exc_info):
        sys.setprofile(None)

    def _look(self, frame, kind, _argument):
        if kind not in ("call", "c_return") or frame.f_code.co_filename == __file__:
            return
        self._left -= 1
        if self._left == 0:
            self.has_struck = True
            raise Interrupted


class TestInterruption:
    """An exception from outside (Ctrl-C, a time limit by a signal) in the middle of a write."""

    WRITES: ClassVar = {
        "commit": lambda it, name: it.commit(creation(an_item(name))),
        "alone": lambda it, name: _committed_alone(it, creation(an_item(name))),
        "edit": lambda it, name: it.edit_item(an_edit(an_item("here"), name=name)),
        "in a hurry": lambda it, name: _committed_in_a_hurry(it, creation(an_item(name))),
    }

    @pytest.mark.parametrize("write", WRITES)
    def test_leaves_neither_lock_nor_transaction(self, repository, aside, write):
        """Wherever it strikes: the next write of any thread, and of any process, goes on at once."""
        repository.commit(creation(an_item("here")))
        place = 0
        with ThreadPoolExecutor(1) as another_thread:
            while True:
                place += 1
                interruption = Interruption(place)
                try:
                    with interruption:
                        # A context of its own: an interruption may strike before a deadline is taken back.
                        copy_context().run(self.WRITES[write], repository, f"at {place}")
                except Interrupted:
                    pass
                if not interruption.has_struck:
                    break

                # Another process.
                aside.execute("BEGIN IMMEDIATE")
                aside.execute("ROLLBACK")
                # Another thread.
                new = an_item(f"after {place}")
                another_thread.submit(repository.commit, creation(new)).result(5)
                # This thread: acknowledged, and so kept.
                mine = an_item(f"mine {place}")
                repository.commit(creation(mine))
                for item in (new, mine):
                    [[count]] = aside.execute(
                        "SELECT count(*) FROM items WHERE item_id = ?", [item.item_id]
                    )
                    assert count == 1, place
                assert repository._writer.execute("PRAGMA busy_timeout").fetchone() == (2000,)

        assert place > 20

    def test_a_transaction_that_was_left_open_is_undone_by_the_next(self, repository, aside):
        """Of all that a write can meet, it must not be this for ever."""
        repository._writer.execute("BEGIN IMMEDIATE")

        repository.commit(creation(an_item()))

        assert aside.execute("SELECT count(*) FROM items").fetchone() == (1,)


def _committed_in_a_hurry(repository, change):
    with deadline(0.5):
        repository.commit(change)


def test_a_purge_ends_with_its_deadline_and_the_next_goes_on(repository, monkeypatch):
    """Quietly: what is left is no trouble."""
    monkeypatch.setattr(sqlite, "_PURGED_AT_ONCE", 2)
    for number in range(5):
        repository.commit(serving(a_record(f"record-{number}")))
    later = a_time(10_000_000)

    with deadline(0):
        assert repository.purge(later) == 0

    assert repository.purge(later) == 5
