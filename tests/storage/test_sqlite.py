"""SQLite beyond the contract: files, processes and failures."""

import json
import logging
import os
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
    ExpireReservations,
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
from inventory_adapters.storage.sqlite import (
    SqliteRepository,
    connections,
    errors,
    lists,
    schema,
    transactions,
)
from inventory_adapters.storage.sqlite import repository as sqlite
from inventory_adapters.testing import (
    ExclusiveContract,
    ListsContract,
    RepositoryContract,
    SnapshotContract,
    a_record,
    a_reservation,
    a_time,
    an_edit,
    an_item,
    closed,
    combined,
    creation,
    deletion,
    held,
    item_pages,
    ledger,
    list_all,
    record_change,
    reservation_change,
    rewrite,
)

EVERY_LIST = [
    ItemFilter(
        category=category, status=status, sku=sku, location=location, low_stock=low, search=search
    )
    for category in (None, "tools")
    for status in (None, "available")
    for sku in (None, "SKU-1")
    for location in (None, "north")
    for low in (False, True)
    for search in (None, "claw hammer")
]


@pytest.fixture
def path(tmp_path):
    """Return the path of the test's file."""
    return tmp_path / "inventory.db"


@pytest.fixture(scope="module")
def set_up(tmp_path_factory):
    """Return an initialized file to copy: initialization waits for the disk."""
    path = tmp_path_factory.mktemp("set_up") / "inventory.db"
    SqliteRepository(path).close()
    return path


@pytest.fixture
def repository(path, set_up):
    """Yield a repository in a new file that never waits for the disk."""
    shutil.copy(set_up, path)
    with SqliteRepository(path, durability="normal") as repository:
        repository._writer.execute("PRAGMA synchronous = OFF")
        yield repository


@pytest.fixture
def few_rows(monkeypatch):
    """Limit windows to two rows, so that a few items fill several windows."""
    monkeypatch.setattr(lists, "_WINDOW", 2)


@pytest.fixture
def aside(path, repository):
    """Yield another connection to the file, as of another process."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        yield db


class TestSqliteRepository(RepositoryContract):
    @pytest.fixture
    def repository(self, repository):
        """Return the repository that all tests of this module use."""
        return repository

    def spoil(self, repository, record):
        """Overwrite a column through another connection."""
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
            db.execute(f"UPDATE {table} SET {column} = 'spoiled' WHERE {where}", values)  # noqa: S608 - constants


class TestSnapshots(SnapshotContract):
    @pytest.fixture
    def repository(self, repository):
        """Return the repository that all tests of this module use."""
        return repository

    @pytest.fixture
    def target(self, tmp_path):
        """Yield a repository in another file."""
        with SqliteRepository(tmp_path / "target.db", durability="normal") as target:
            yield target

    def test_a_snapshot_is_of_one_moment(self, repository):
        """Writes meanwhile are not in it, and do not wait for it."""
        repository.commit(creation(an_item("first"), an_item("second")))

        snapshot = repository.snapshot()
        first = next(snapshot)
        repository.commit(deletion(an_item("second")))

        assert [first, *snapshot] == [an_item("first"), an_item("second")]

    def test_an_unreadable_row_ends_a_snapshot(self, repository):
        """A copy without it would lack a record."""
        repository.commit(creation(an_item()))
        repository._writer.execute("UPDATE items SET version = 'x'")

        with pytest.raises(UnreadableItemError):
            [*repository.snapshot()]


class TestSqliteRepositoryInSmallWindows(ListsContract):
    @pytest.fixture
    def repository(self, repository, few_rows):
        """Return a repository with small windows."""
        return repository


class TestFile:
    """Contents, names and life cycle of the file."""

    def test_data_survives_closing(self, path):
        """A repository that is opened again returns the same values."""
        item = an_item(name="nul \0 inside", description="\N{FAMILY}" * 100_000)
        moved = rewrite(an_item("moved"), reserved=1)
        reservation = ReservationWrite(before=None, after=a_reservation(reference="nul \0 too"))
        with SqliteRepository(path) as repository:
            repository.commit(creation(item, an_item("moved")))
            repository.commit(
                combined(moved, reservation=reservation, idempotency_record=a_record())
            )
        with SqliteRepository(str(path)) as repository:
            edited = repository.edit_item(an_edit(item, name="new"))

        with SqliteRepository(path, durability="normal") as repository:
            assert repository.get_item(item.key) == edited
            assert list_all(repository, ItemFilter()) == [edited, moved.items[0].after]
            assert ledger(repository, an_item("moved").key) == [*moved.movements]
            assert held(repository) == [reservation.after]
            assert repository.get_idempotency_record("record-1") == a_record()

    def test_nul_characters_are_part_of_a_key(self, repository):
        """Text is neither stored nor compared only up to a NUL."""
        items = [an_item(f"a{end}") for end in ("", "\0", "\0\0", "\0b", "b")]
        repository.commit(creation(*items))

        assert list_all(repository, ItemFilter(sku="SKU-1"), size=1) == items
        assert [repository.get_item(item.key) for item in items] == items

    def test_movements_store_the_write_id_of_their_change(self, repository, aside):
        """The movements of one change can be found by its `write_id`."""
        item = an_item()
        repository.commit(creation(item))
        change = rewrite(item, on_hand=7)
        repository.commit(change)

        rows = aside.execute("SELECT seq, write_id FROM movements").fetchall()

        assert rows == [(1, change.write_id)]

    def test_a_movement_is_never_overwritten(self, repository, aside):
        """A change with a seq that the ledger already has is rejected as a whole."""
        item = an_item()
        repository.commit(creation(item))
        repository.commit(rewrite(item, on_hand=7))
        aside.execute("UPDATE items SET quantity = 10, seq = 0, moved_at = NULL")

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(item, on_hand=1))

        assert repository.get_item(item.key) == item

    @pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
    def test_durability_sets_the_synchronous_mode(self, path, durability, level):
        """SQLite waits for the disk at each commit (2) or at checkpoints (1)."""
        with SqliteRepository(path, durability=durability) as repository:
            [mode] = repository._writer.execute("PRAGMA journal_mode").fetchone()
            [synchronous] = repository._writer.execute("PRAGMA synchronous").fetchone()

        assert (mode, synchronous) == ("wal", level)

    def test_special_names_of_sqlite_are_ordinary_file_names(self, tmp_path, monkeypatch):
        """Neither ":memory:" nor the punctuation of a URI has a special meaning."""
        monkeypatch.chdir(tmp_path)
        names = ["100%25 #1.db", ":memory:", "a?mode=memory"]

        for name in names:
            with SqliteRepository(name) as repository:
                repository.commit(creation(an_item()))

        assert sorted(entry.name for entry in tmp_path.iterdir()) == names

    def test_a_closed_repository_rejects_calls(self, path):
        """Closing twice is no error; every other call is."""
        repository = SqliteRepository(path)
        repository.commit(creation(an_item()))
        repository.close()
        repository.close()

        with pytest.raises(StorageUnavailableError, match="closed"):
            repository.get_item(an_item().key)
        with pytest.raises(StorageUnavailableError, match="closed"):
            repository.commit(deletion(an_item()))

    def test_a_running_read_finishes_after_close(self, path):
        """Its connection is closed when it ends."""
        repository = SqliteRepository(path)

        with repository._reading() as db:
            repository.close()
            assert db.execute("SELECT count(*) FROM items").fetchone() == (0,)

        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("price", "free"),
            ("attributes", "{"),
            ("attributes", '["a"]'),
            ("attributes", '{"a": 1}'),
            ("moved_at", 1),
        ],
    )
    def test_an_unreadable_row_is_skipped_in_lists(self, repository, aside, caplog, column, value):
        """A read of the row raises an error; a list logs a warning."""
        items = [an_item(f"item-{number}") for number in range(4)]
        repository.commit(creation(*items))
        # CAST, because SQLite would store a number in a TEXT column as text.
        expression = f"CAST({value} AS BLOB)" if isinstance(value, int) else f"'{value}'"
        aside.execute(f"UPDATE items SET {column} = {expression} WHERE item_id = 'item-1'")  # noqa: S608 - constants

        with pytest.raises(UnreadableItemError) as unreadable:
            repository.get_item(items[1].key)
        with caplog.at_level(logging.WARNING):
            listed = list_all(repository, ItemFilter(category="tools"), size=2)
            of_skus = repository.items_of_skus([item.sku for item in items])

        assert (unreadable.value.item_id, unreadable.value.sku) == ("item-1", "SKU-1")
        assert listed == sorted(of_skus, key=lambda item: item.key) == [items[0], *items[2:]]
        assert len(caplog.records) == 2
        assert "item-1" in caplog.text


class TestOpening:
    """A new file or one of this program is opened, any other is rejected."""

    def assert_rejected(self, path, match):
        """Check that *path* is rejected with a message that contains it."""
        with pytest.raises(StorageUnavailableError, match=match) as rejected:
            SqliteRepository(path)
        assert str(path) in rejected.value.message

    def test_a_database_of_another_program_is_left_unchanged(self, path):
        """Its bytes are the same, and no file is created beside it."""
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE items (item_id TEXT)")
        before = path.read_bytes()

        self.assert_rejected(path, "another program")

        assert path.read_bytes() == before
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    def test_a_file_that_is_no_database_is_left_unchanged(self, path):
        """A text file keeps its text."""
        path.write_text("A letter to a friend.\n" * 100)

        self.assert_rejected(path, "not a database")

        assert path.read_text().startswith("A letter")

    def test_a_file_of_a_newer_version_is_rejected(self, path):
        """An older program cannot know the newer schema."""
        SqliteRepository(path).close()
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")

        self.assert_rejected(path, "newer version")

    def test_a_missing_folder_is_reported(self, path):
        """The message names the folder as the thing to check."""
        self.assert_rejected(path / "not" / "there.db", "folder")

    def test_a_folder_is_rejected(self, tmp_path):
        """The message names the folder as the thing to check."""
        self.assert_rejected(tmp_path, "folder")

    def test_an_empty_file_is_a_new_one(self, path):
        """A crash before the first write leaves an empty file."""
        path.touch()

        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))

    @pytest.mark.skipif(os.name != "posix", reason="other systems have no mode")
    def test_a_new_file_is_for_its_owner_alone(self, path):
        """So are the files that SQLite keeps beside it; an existing file keeps its mode."""
        SqliteRepository(path).close()
        assert path.stat().st_mode & 0o777 == 0o600

        path.chmod(0o640)
        with closing(SqliteRepository(path)):
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

        assert modes == {f"{path.name}{suffix}": 0o640 for suffix in ("", "-wal", "-shm")}

    def test_many_may_open_a_new_file_at_once(self, tmp_path):
        """One connection initializes the file, and the others wait."""

        def open_and_write(number):
            with SqliteRepository(tmp_path / f"{number % 5}.db") as repository:
                repository.commit(creation(an_item(f"item-{number}")))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(open_and_write, range(40)))

        for number in range(5):
            with SqliteRepository(tmp_path / f"{number}.db") as repository:
                assert len(list_all(repository, ItemFilter())) == 8

    def test_an_older_file_is_migrated(self, path, monkeypatch):
        """The missing migrations are applied in order, and the items are kept."""
        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))
        more = (("CREATE TABLE one (a)",), ("INSERT INTO one VALUES (1)", "DROP TABLE movements"))
        monkeypatch.setattr(connections, "MIGRATIONS", connections.MIGRATIONS + more)

        for _ in range(2):
            with SqliteRepository(path) as repository:
                assert repository.get_item(an_item().key) == an_item()
                assert repository._writer.execute("SELECT a FROM one").fetchall() == [(1,)]

    def test_a_failed_migration_is_rolled_back(self, path, monkeypatch):
        """The previous version can still use the file."""
        SqliteRepository(path).close()
        with monkeypatch.context() as patched:
            bad = (("DROP TABLE items", "CREATE NONSENSE"),)
            patched.setattr(connections, "MIGRATIONS", connections.MIGRATIONS + bad)
            self.assert_rejected(path, "NONSENSE")

        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))


class TestStatements:
    """Every statement uses an index, so its cost does not grow with the table."""

    @pytest.mark.parametrize("item_filter", EVERY_LIST, ids=str)
    def test_every_list_uses_its_index(self, repository, few_rows, item_filter):
        """No statement scans the table or sorts."""
        items = [an_item(f"item-{n}", location="north", reorder_point=10) for n in range(5)]
        repository.commit(creation(*items))
        plans = []
        connect = connections._connect

        def traced_connect(uri):
            db = connect(uri)
            db.set_trace_callback(statements.append)
            return db

        statements = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(connections, "_connect", traced_connect)
            assert list_all(repository, item_filter, size=3) == items
        selects = [statement for statement in statements if statement.startswith("SELECT")]
        for statement in selects:
            plan = repository._writer.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            plans += [row[3] for row in plan]

        index = {
            "item_id": "items_by_text" if item_filter.search else "items_by_id",
            "status": "items_by_text" if item_filter.search else "items_by_status",
            "low_stock": "items_low",
        }.get(item_filter.index, f"items_by_{item_filter.index}")
        assert plans
        for plan in plans:
            assert plan.startswith(
                ("SEARCH items USING INDEX", "SEARCH items USING COVERING INDEX")
            )
            assert f"INDEX {index} (" in plan
            assert ">" in plan

    @pytest.mark.parametrize(
        ("parts", "index"),
        [
            ({}, "reservations USING INDEX reservations_held ("),
            ({"ends_after": a_time()}, "reservations USING INDEX reservations_held ("),
            ({"key": an_item().key}, "holds USING PRIMARY KEY (item_id=? AND sku=? AND "),
            (
                {"reference": "order-1"},
                "reservations USING INDEX reservations_by_reference (reference=? AND ",
            ),
            (
                {"reference": "order-1", "key": an_item().key},
                "reservations USING INDEX reservations_by_reference (reference=? AND ",
            ),
        ],
        ids=str,
    )
    def test_every_list_of_reservations_uses_its_index(self, repository, parts, index):
        """It searches a range of the index, and sorts nothing."""
        statements = []
        repository._writer.set_trace_callback(statements.append)

        with repository.exclusive():
            held(repository, **parts)

        [select] = (sql for sql in statements if sql.startswith("SELECT"))
        explained = repository._writer.execute(f"EXPLAIN QUERY PLAN {select}").fetchall()
        plan = [row[3] for row in explained]
        assert plan[0] == f"SEARCH {index}(expires_at,reservation_id)>(?,?) AND expires_at<?)"
        assert not [step for step in plan if step.startswith(("SCAN", "USE TEMP"))]

    @pytest.mark.parametrize(
        ("statement", "plan"),
        [
            (schema.MOVEMENTS, ["movements USING PRIMARY KEY (item_id=? AND sku=? AND seq<?)"]),
            (
                schema.DELETE_HOLD,
                [
                    "holds USING PRIMARY KEY (item_id=? AND sku=? AND expires_at=? AND reservation_id=?)"
                ],
            ),
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
    def test_every_statement_uses_its_index(self, repository, statement, plan):
        """It searches a range of the index, and sorts nothing."""
        explained = repository._writer.execute(
            f"EXPLAIN QUERY PLAN {statement}", ("1",) * statement.count("?")
        ).fetchall()

        steps = [row[3] for row in explained if not row[3].startswith("LIST SUBQUERY")]
        assert steps == [f"SEARCH {step}" for step in plan]

    def test_keys_are_found_by_index(self, repository):
        """The statements that read one item search the index of keys."""
        for statement in (schema.SELECT_ITEM, schema.FIND_ITEM):
            plan = repository._writer.execute(
                f"EXPLAIN QUERY PLAN {statement}", ("x",) * statement.count("?")
            ).fetchall()

            assert [row[3].split(" (")[0] for row in plan] == [
                "SEARCH items USING INDEX items_by_id"
            ]

    def test_a_page_reads_a_limited_number_of_rows(self, repository, few_rows, monkeypatch):
        """Under a selective filter, short or empty pages still have every item."""
        monkeypatch.setattr(lists, "_MAX_WINDOWS", 2)
        items = [
            an_item(f"item-{number:02}", location="north" if number in (7, 29) else "south")
            for number in range(30)
        ]
        repository.commit(creation(*items))

        listed = list(
            item_pages(repository, ItemFilter(category="tools", location="north"), size=10)
        )

        assert [len(page.items) for page in listed] == [0, 1, 0, 0, 0, 0, 0, 1]
        assert [item for page in listed for item in page.items] == [items[7], items[29]]


class TestSweep:
    """A sweep of many reservations leaves room for other writers."""

    def test_a_sweep_has_short_transactions(self, repository, monkeypatch):
        """At most 16 reservations are expired in one."""
        reservations = [a_reservation(f"r{number:02}", lines=[]) for number in range(33)]
        for reservation in reservations:
            repository.commit(reservation_change(None, reservation))
        lengths = []
        commit = repository.commit

        def counted(change):
            lengths.append(len(change.reservations))
            commit(change)

        monkeypatch.setattr(repository, "commit", counted)

        Inventory(repository).expire_reservations(ExpireReservations())

        assert lengths == [16, 16, 1]


class TestPurge:
    """A purge deletes rows in batches."""

    @pytest.fixture(autouse=True)
    def small_batches(self, monkeypatch):
        """Limit a transaction to three rows."""
        monkeypatch.setattr(sqlite, "_PURGE_BATCH", 3)

    @pytest.mark.parametrize("count", [0, 2, 3, 4, 6, 7])
    def test_every_batch_is_deleted(self, repository, aside, count):
        """The last batch may be full, and there may be no batch."""
        for number in range(count):
            repository.commit(record_change(a_record(f"record-{number}")))
            repository.commit(
                reservation_change(None, closed(a_reservation(f"reservation-{number}")))
            )

        assert repository.purge(a_time(10_000_000)) == 2 * count

        left = "SELECT (SELECT count(*) FROM idempotency_records) + (SELECT count(*) FROM reservations)"
        assert aside.execute(left).fetchone() == (0,)

    def test_each_batch_is_a_transaction(self, repository):
        """Other writers can write between two batches of a long purge."""
        for number in range(7):
            repository.commit(record_change(a_record(f"record-{number}")))
        statements = []
        repository._writer.set_trace_callback(statements.append)

        repository.purge(a_time(10_000_000))

        # Three batches of records, and one batch without reservations.
        assert statements.count("COMMIT") == 3 + 1


class TestTrouble:
    """Failures raise errors of the port, and leave no partial write."""

    def test_readers_do_not_wait_for_a_writer(self, repository, aside):
        """They see the last commit while another process writes."""
        repository.commit(creation(an_item()))
        aside.execute("BEGIN IMMEDIATE")
        aside.execute("UPDATE items SET name = 'not yet'")

        assert repository.get_item(an_item().key) == an_item()
        assert list_all(repository, ItemFilter()) == [an_item()]

    def test_a_writer_waits_for_another_process_as_long_as_the_request_has_time(
        self, repository, aside
    ):
        """Then the error says that nothing was written; a later attempt succeeds."""
        aside.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StorageThrottledError), deadline(0.05):
            repository.commit(creation(an_item()))
        assert time.monotonic() - began < transactions.BUSY_SECONDS

        aside.execute("ROLLBACK")
        repository.commit(creation(an_item()))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_writer_finds_short_gaps_between_the_writes_of_another_process(
        self, repository, aside, monkeypatch
    ):
        """An import of another process leaves no longer ones; its pauses do not grow."""
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            if len(pauses) == 50:
                aside.execute("COMMIT")

        monkeypatch.setattr(transactions, "sleep", pause)
        aside.execute("BEGIN IMMEDIATE")

        repository.commit(creation(an_item()))

        assert len(pauses) == 50
        assert max(pauses) < 0.001

    def test_a_writer_waits_for_another_thread_as_long_as_the_request_has_time(self, repository):
        """A thread of this process blocks a writer like another process does."""
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

    def test_a_request_past_its_deadline_may_write_without_waiting(self, repository):
        """The deadline limits waiting, not writing."""
        with deadline(-1):
            repository.commit(creation(an_item()))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_full_disk_is_reported_and_the_change_rolled_back(self, repository):
        """A change that does not fit is not stored; a smaller one still is."""
        [used] = repository._writer.execute("PRAGMA page_count").fetchone()
        repository._writer.execute(f"PRAGMA max_page_count = {used + 3}")
        small, big = an_item("small"), an_item("big", description="x" * 100_000)

        with pytest.raises(StorageUnavailableError, match="disk is full"):
            repository.commit(creation(small, big))

        assert list_all(repository, ItemFilter()) == []
        repository.commit(creation(small))
        assert list_all(repository, ItemFilter()) == [small]

    def test_a_read_only_file_can_still_be_read(self, repository):
        """A write raises an error that says what to check."""
        repository.commit(creation(an_item()))
        repository._writer.execute("PRAGMA query_only = ON")

        with pytest.raises(StorageUnavailableError, match="may not be written to"):
            repository.edit_item(an_edit(an_item(), name="new"))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_damaged_file_is_reported(self, path):
        """Overwritten pages raise an error instead of being read as data."""
        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item()))
            root = "SELECT rootpage FROM sqlite_master WHERE name = 'items'"
            [page] = repository._writer.execute(root).fetchone()
        with path.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)

        with (
            SqliteRepository(path) as repository,
            pytest.raises(StorageUnavailableError, match="damaged"),
        ):
            repository.get_item(an_item().key)

    def test_a_deleted_file_is_not_created_again(self, path):
        """An error is better than an inventory that looks empty."""
        repository = SqliteRepository(path)
        repository._writer.close()
        path.unlink()

        with pytest.raises(StorageUnavailableError, match="replaced or deleted"):
            repository.get_item(an_item().key)
        assert not path.exists()

    @pytest.mark.parametrize("code", ["SQLITE_IOERR", "SQLITE_IOERR_FSYNC"])
    def test_a_failing_disk_is_reported(self, code):
        """Every extended code of an I/O error has the same message."""
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = getattr(sqlite3, code)

        with pytest.raises(StorageUnavailableError, match="disk failed"), errors.translated():
            raise error

    def test_an_unexpected_error_inside_a_write_rolls_it_back(self, repository, monkeypatch):
        """An error that is not SQLite's rolls back the transaction as well."""

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
    """Every write that was acknowledged before kill -9 is in the file."""
    acknowledged = []
    for attempt in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(attempt)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            lines = [writer.stdout.readline() for _ in range(20 + 17 * attempt)]
            writer.send_signal(signal.SIGKILL)
            # The lines that it printed before it died count as well, unless cut short.
            lines += writer.stdout.read().split("\n")[:-1]
        acknowledged += [line.split() for line in lines]

    with SqliteRepository(path) as repository:
        for item_id, number in acknowledged:
            item = repository.get_item(ItemKey(item_id=item_id, sku="SKU-1"))
            assert item == evolve(an_item(item_id, on_hand=int(number), seq=1))
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
chance = random.Random(name)  # Every start sends the same requests under the same keys.
inventory = Inventory(SqliteRepository(path, durability="normal"))

def retry(use_case, command):
    while True:
        try:
            return use_case(command)
        except (ContentionError, StorageThrottledError):
            pass

def report(item_ids, kind, reference):
    print(json.dumps([item_ids, kind, reference]), flush=True)

for number in itertools.count():
    key = f"{name}-{number}"
    if chance.random() < 0.4:
        item_id, delta = chance.choice(item_ids), chance.randint(-3, 9)
        retry(inventory.adjust_stock, AdjustStock(
            item_id=item_id, sku="SKU-1", delta=delta or 1, reason="example", reference=key, idempotency_key=key))
        report([item_id], "adjust", key)
        continue
    lines = [{"item_id": item_id, "sku": "SKU-1", "quantity": 1} for item_id in item_ids]
    command = CreateReservation(lines=lines, idempotency_key=key)
    reservation_id = retry(inventory.create_reservation, command).reservation_id
    report(item_ids, "reserve", reservation_id)
    if chance.random() < 0.7:
        retry(inventory.commit_reservation, CommitReservation(reservation_id=reservation_id))
        report(item_ids, "commit", reservation_id)
"""


def test_a_killed_process_leaves_no_partial_use_case(path):
    """Killed writers restart and repeat requests: each has one effect."""
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
                # The lines that it printed before it died count as well, unless cut short.
                lines += writer.stdout.read().split("\n")[:-1]
        assert all(lines), "a writer exited before it was killed"
        acknowledged |= {line.strip() for line in lines}

    with SqliteRepository(path) as repository:
        movements = Counter(
            (item_id, movement.kind, movement.reservation_id or movement.reference)
            for item_id in item_ids
            for movement in ledger(repository, ItemKey(item_id=item_id, sku="SKU-1"))
        )
        assert set(movements.values()) == {1}
        for line in acknowledged:
            moved_ids, kind, reference = json.loads(line)
            assert all((item_id, kind, reference) in movements for item_id in moved_ids)
        # Requests that were not acknowledged moved every item as well, or none.
        lines_moved = Counter(
            (kind, reference) for _, kind, reference in movements if kind != "adjust"
        )
        assert set(lines_moved.values()) == {len(item_ids)}
        assert list(Inventory(repository).reconcile()) == []
        assert repository._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class TestExclusive(ExclusiveContract):
    """Exclusive access: several changes in one transaction."""

    def test_nothing_is_stored_after_sqlite_rolled_back_the_transaction(self, repository):
        """After some errors SQLite itself rolls back the whole transaction."""

        def write_after_rollback():
            with repository.exclusive():
                repository.commit(creation(an_item("first")))
                repository._writer.execute("ROLLBACK")
                with pytest.raises(StorageUnavailableError, match="rolled back"):
                    repository.commit(creation(an_item("second")))

        with pytest.raises(StorageUnavailableError):
            write_after_rollback()

        assert list_all(repository, ItemFilter()) == []
        repository.commit(creation(an_item()))

    def test_a_closed_repository_gives_no_exclusive_access(self, repository):
        """It raises the same error as every other call."""
        repository.close()

        with pytest.raises(StorageUnavailableError, match="closed"), repository.exclusive():
            pytest.fail("was not closed")


def test_no_request_fails_when_many_change_one_item(repository):
    """A request that met a conflict retries with exclusive access."""
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
    """Return the path of another database, with the item "backup"."""
    backup = tmp_path / "backup.db"
    with SqliteRepository(backup) as other:
        other.commit(creation(an_item("backup")))
    return backup


class TestReplacedFile:
    """A file that was replaced, moved or deleted is detected."""

    @pytest.fixture
    def repository(self, path, set_up):
        """Yield a repository with an item that is still in the log."""
        shutil.copy(set_up, path)
        with SqliteRepository(path) as repository:
            repository.commit(creation(an_item("mine")))
            yield repository

    READS: ClassVar = {
        "get_item": lambda repository: repository.get_item(an_item("mine").key),
        "find_item": lambda repository: repository.find_item("mine"),
        "get_items": lambda repository: repository.get_items([an_item("mine").key]),
        "list_items": lambda repository: list_all(repository, ItemFilter()),
        "list_movements": lambda repository: ledger(repository, an_item("mine").key),
        "held_reservations": held,
        "get_reservation": lambda repository: repository.get_reservation("none"),
        "get_idempotency_record": lambda repository: repository.get_idempotency_record("none"),
    }
    WRITES: ClassVar = {
        "commit": lambda repository: repository.commit(creation(an_item("new"))),
        "edit_item": lambda repository: repository.edit_item(an_edit(an_item("mine"), name="new")),
        "purge": lambda repository: repository.purge(a_time()),
        "exclusive": lambda repository: _commit_exclusively(repository, creation(an_item("new"))),
    }

    @pytest.mark.parametrize("call", [*READS, *WRITES])
    @pytest.mark.parametrize("how", ["replaced", "deleted", "moved"])
    def test_every_call_fails_once_the_file_is_gone(self, repository, path, backup, how, call):
        """Calls on connections that are already open fail too."""
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
    def test_the_replacing_file_is_left_unchanged(self, repository, path, backup, use):
        """A restored backup contains nothing of the old file."""
        content = backup.read_bytes()
        backup.replace(path)

        if use != "nothing":
            with pytest.raises(StorageUnavailableError):
                (self.READS["get_item"] if use == "read" else self.WRITES["commit"])(repository)
        repository.close()

        assert path.read_bytes() == content
        with SqliteRepository(path) as restored:
            assert list_all(restored, ItemFilter()) == [an_item("backup")]
            assert restored._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_a_moved_file_has_every_acknowledged_write(self, repository, path, backup):
        """Writes that were only in the write-ahead log are moved into the file."""
        moved = path.with_name("moved.db")
        path.rename(moved)
        backup.replace(path)
        with pytest.raises(StorageUnavailableError):
            repository.purge(a_time())
        repository.close()

        with SqliteRepository(moved) as again:
            assert list_all(again, ItemFilter()) == [an_item("mine")]

    def test_a_file_that_returns_is_used_again(self, repository, path):
        """It is the open file, so nothing was lost."""
        away = path.with_name("away.db")
        path.rename(away)
        with pytest.raises(StorageUnavailableError):
            repository.get_item(an_item("mine").key)
        away.rename(path)

        repository.commit(creation(an_item("new")))

        repository.close()
        with SqliteRepository(path) as again:
            assert list_all(again, ItemFilter()) == [an_item("mine"), an_item("new")]

    @pytest.mark.parametrize("end", ["-wal", "-shm"])
    def test_writes_fail_once_a_log_file_is_deleted(self, repository, path, end):
        """New writes would be lost; acknowledged writes are kept."""
        path.with_name(path.name + end).unlink()

        with pytest.raises(StorageUnavailableError, match="replaced or deleted"):
            repository.commit(creation(an_item("new")))

        repository.close()
        with SqliteRepository(path) as again:
            assert list_all(again, ItemFilter()) == [an_item("mine")]

    def test_a_write_to_a_file_that_is_replaced_meanwhile_is_not_acknowledged(
        self, repository, path, backup
    ):
        """The file is checked after the transaction as well as before."""
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
            assert list_all(restored, ItemFilter()) == [an_item("backup")]


def _commit_exclusively(repository, change):
    with repository.exclusive():
        repository.commit(change)


class Interrupted(BaseException):
    """The exception of a signal handler."""


class Interruption:
    """
    Raises `Interrupted` once, at a point where signal handlers run.

    Python runs them when a function begins and when a function written in C returns. It calls a profile function at the same
    points, and an exception of the profile function propagates from there.
    """

    def __init__(self, point):
        self._left = point
        self.was_raised = False

    def __enter__(self):
        sys.setprofile(self._profile)

    def __exit__(self, *_exc_info):
        sys.setprofile(None)

    def _profile(self, frame, kind, _argument):
        if kind not in ("call", "c_return") or frame.f_code.co_filename == __file__:
            return
        self._left -= 1
        if self._left == 0:
            self.was_raised = True
            raise Interrupted


class TestInterruption:
    """An exception of a signal handler, such as Ctrl-C, during a write."""

    WRITES: ClassVar = {
        "commit": lambda repository, name: repository.commit(creation(an_item(name))),
        "exclusive": lambda repository, name: _commit_exclusively(
            repository, creation(an_item(name))
        ),
        "edit": lambda repository, name: repository.edit_item(
            an_edit(an_item("edited"), name=name)
        ),
        "near deadline": lambda repository, name: _commit_near_deadline(
            repository, creation(an_item(name))
        ),
    }

    @pytest.mark.parametrize("write", WRITES)
    def test_leaves_neither_lock_nor_transaction(self, repository, aside, write):
        """After any interruption, every thread and process can write at once."""
        repository.commit(creation(an_item("edited")))
        point = 0
        with ThreadPoolExecutor(1) as another_thread:
            while True:
                point += 1
                interruption = Interruption(point)
                try:
                    with interruption:
                        # A separate context, because the interruption may prevent the reset of a deadline.
                        copy_context().run(self.WRITES[write], repository, f"at {point}")
                except Interrupted:
                    pass
                if not interruption.was_raised:
                    break

                # Another process.
                aside.execute("BEGIN IMMEDIATE")
                aside.execute("ROLLBACK")
                # Another thread.
                new = an_item(f"after {point}")
                another_thread.submit(repository.commit, creation(new)).result(5)
                # This thread: the write is acknowledged, and so it is stored.
                mine = an_item(f"mine {point}")
                repository.commit(creation(mine))
                for item in (new, mine):
                    [[count]] = aside.execute(
                        "SELECT count(*) FROM items WHERE item_id = ?", [item.item_id]
                    )
                    assert count == 1, point

        assert point > 20

    def test_the_next_write_rolls_back_a_transaction_that_was_left_open(self, repository, aside):
        """An interrupted transaction does not block writes for ever."""
        repository._writer.execute("BEGIN IMMEDIATE")

        repository.commit(creation(an_item()))

        assert aside.execute("SELECT count(*) FROM items").fetchone() == (1,)


def _commit_near_deadline(repository, change):
    with deadline(0.5):
        repository.commit(change)


def test_a_purge_ends_at_its_deadline_and_the_next_continues(repository, monkeypatch):
    """The deadline is no error: the next purge deletes the remaining rows."""
    monkeypatch.setattr(sqlite, "_PURGE_BATCH", 2)
    for number in range(5):
        repository.commit(record_change(a_record(f"record-{number}")))
    later = a_time(10_000_000)

    with deadline(0):
        assert repository.purge(later) == 0

    assert repository.purge(later) == 5
