"""
The repository in one SQLite file: one transaction per commit.

Readers see the last commit and never wait for a writer (WAL). Writers queue on a lock within this process, and on SQLite's own
lock between processes; several changes may share one transaction, and one wait for the disk. A list reads an index from the end
of the previous page, so a page costs the same at any depth.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from os import PathLike
from pathlib import Path
from threading import Event, RLock, local
from typing import TYPE_CHECKING, Final, Self, TypeVar

from inventory.errors import (
    DuplicateRequestError,
    StaleReadError,
    StorageThrottledError,
    StorageUnavailableError,
    UnreadableRowError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Cursor, Page, PageRequest
from inventory.ports import (
    Change,
    ItemEdit,
    ItemFilter,
    ItemWrite,
    MovementFilter,
    ReservationFilter,
    ReservationWrite,
)
from inventory.reservations import Reservation, retention_cutoff
from inventory.snapshots import Record
from inventory.stock import Movement
from inventory.timeouts import time_left
from inventory_adapters.storage import cursors
from inventory_adapters.storage.sqlite import snapshots
from inventory_adapters.storage.sqlite.connections import Durability, open_reader, open_writer
from inventory_adapters.storage.sqlite.errors import translated, translation
from inventory_adapters.storage.sqlite.lists import ListQuery, list_reservations
from inventory_adapters.storage.sqlite.open_files import OpenFiles
from inventory_adapters.storage.sqlite.rows import (
    Row,
    hold_rows,
    idempotency_record_to_row,
    item_to_columns,
    movement_to_row,
    position_of,
    reservation_to_row,
    row_to_idempotency_record,
    row_to_item,
    row_to_movement,
    row_to_reservation,
    seq_of,
)
from inventory_adapters.storage.sqlite.schema import (
    BEYOND_EVERY_SEQ,
    DELETE_HOLD,
    DELETE_ITEM,
    FIND_ITEM,
    FIRST_MOVEMENT,
    HAS_SINKS,
    IDEMPOTENCY_RECORD,
    INSERT_HOLD,
    INSERT_ITEM,
    INSERT_MOVEMENT,
    INSERT_RESERVATION,
    MIGRATIONS,
    MOVEMENTS,
    PURGE_IDEMPOTENCY_RECORDS,
    PURGE_RESERVATIONS,
    RESERVATION,
    SELECT_ITEM,
    STORE_IDEMPOTENCY_RECORD,
    UPDATE_RESERVATION,
    items_of_skus,
    update_item,
)
from inventory_adapters.storage.sqlite.transactions import BUSY_SECONDS, savepoint, transaction
from inventory_adapters.storage.unreadable import read_rows, skipped

if TYPE_CHECKING:
    from inventory_adapters.storage.sqlite.outbox import Outbox

__all__ = ["SqliteRepository"]

T = TypeVar("T")

# Rows that one transaction of a purge deletes. Other writers can write between two transactions.
_PURGE_BATCH: Final = 500


class SqliteRepository:
    """
    A repository in one SQLite file.

    Threads may share the repository, and processes of one machine may share the file. Close the repository, or use it as a
    context manager. Open it after a fork, not before: SQLite's locks do not survive a fork. Replace the file only while no
    repository has it open. After the file was replaced, moved or deleted, every call raises `StorageUnavailableError`, and
    nothing is written to the file that replaced it. If the original file returns, calls succeed again.

    Args:
        path: The file, created if it does not exist. While it is open, `-wal` and `-shm` files beside it belong to it.
        durability: "full" keeps every acknowledged write. "normal" is faster; it may lose the last writes when the machine
            loses power, but not when the process dies.

    Raises:
        StorageUnavailableError: The file belongs to another program, has a newer version, is damaged or cannot be opened.
    """

    def __init__(self, path: str | PathLike[str], *, durability: Durability = "full") -> None:
        # Absolute, so that a change of directory or a name such as ":memory:" does not select another file.
        self._path = Path(path).absolute()
        # Reentrant, because `release` of such a lock fails in a thread that does not hold it: see `_transaction`.
        self._write_lock = RLock()
        self._idle_readers: list[sqlite3.Connection] = []
        self._closed = Event()
        self._writer = open_writer(self._path, durability)
        self._files = OpenFiles(self._path)
        self._this_thread = _Thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, after the current write. Current reads may finish."""
        with self._write_lock:
            self._closed.set()
            self._close_idle_readers()
            with suppress(sqlite3.Error):  # The repository is already closed.
                if not self._files.are_in_place():
                    self._empty_write_ahead_log()
            self._writer.close()

    def get_item(self, key: ItemKey) -> Item | None:
        with self._reading() as db:
            row = _row(db, key)
        return row_to_item(row) if row else None

    def find_item(self, item_id: str) -> Item | None:
        with self._reading() as db:
            row = db.execute(FIND_ITEM, (item_id,)).fetchone()
        return row_to_item(row) if row else None

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        # One statement per key: SQLite runs in this process, so a statement for all keys would save no round trip.
        with self._reading() as db:
            rows = [_row(db, key) for key in dict.fromkeys(keys)]
        return tuple(row_to_item(row) for row in rows if row)

    def list_items(self, item_filter: ItemFilter, page: PageRequest) -> Page[Item]:
        query = ListQuery.of(item_filter)
        after = (
            query.start if page.cursor is None else cursors.decode_item(item_filter, page.cursor)
        )
        with self._reading() as db:
            rows, last = query.page(db, after, page.size)
        cursor = cursors.encode(cursors.fingerprint(item_filter), last) if last else None
        return _page(rows, row_to_item, cursor)

    def items_of_skus(self, skus: Sequence[str]) -> tuple[Item, ...]:
        with self._reading() as db:
            rows = db.execute(items_of_skus(len(skus)), skus).fetchall()
        return _page(rows, row_to_item).items

    def list_movements(self, movement_filter: MovementFilter, page: PageRequest) -> Page[Movement]:
        key, last_seq = movement_filter.key, movement_filter.last_seq
        if page.cursor is not None:
            last_seq = cursors.decode_movement(movement_filter, page.cursor) - 1
        elif last_seq is None:
            last_seq = BEYOND_EVERY_SEQ
        with self._reading() as db:
            rows = db.execute(MOVEMENTS, (key.item_id, key.sku, last_seq, page.size)).fetchall()
        full = len(rows) == page.size
        cursor = cursors.encode_movement(movement_filter, seq_of(rows[-1])) if full else None
        return _page(rows, row_to_movement, cursor)

    def first_movement(self, key: ItemKey) -> Movement | None:
        with self._reading() as db:
            row = db.execute(FIRST_MOVEMENT, (key.item_id, key.sku)).fetchone()
        return row_to_movement(row) if row else None

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        with self._reading() as db:
            row = db.execute(RESERVATION, (reservation_id,)).fetchone()
        return row_to_reservation(row) if row else None

    def get_reservations(self, reservation_ids: Iterable[str]) -> tuple[Reservation, ...]:
        with self._reading() as db:
            rows = [
                db.execute(RESERVATION, (reservation_id,)).fetchone()
                for reservation_id in dict.fromkeys(reservation_ids)
            ]
        return _page(filter(None, rows), row_to_reservation).items

    def held_reservations(self, page: PageRequest) -> Page[Reservation]:
        return self.list_reservations(ReservationFilter(), page)

    def list_reservations(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        after: tuple[str, ...] = ("", "")
        if page.cursor is not None:
            after = cursors.decode_reservation(reservation_filter, page.cursor)
        with self._reading() as db:
            # One row more than requested shows whether there is a next page.
            rows = list_reservations(db, reservation_filter, after, page.size + 1)
        cursor = None
        if len(rows) > page.size:
            del rows[page.size :]
            cursor = cursors.encode_reservation(reservation_filter, position_of(rows[-1]))
        return _page(rows, row_to_reservation, cursor)

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        with self._reading() as db:
            row = db.execute(IDEMPOTENCY_RECORD, (record_id,)).fetchone()
        return row_to_idempotency_record(row) if row else None

    def purge(self, at: Timestamp) -> int:
        return self._purge(PURGE_IDEMPOTENCY_RECORDS, at) + self._purge(
            PURGE_RESERVATIONS, retention_cutoff(at)
        )

    def _purge(self, sql: str, until: Timestamp) -> int:
        deleted = 0
        while True:
            if time_left() <= 0:
                return deleted  # The next purge deletes the rest.
            with self._writing() as db:
                count = db.execute(sql, (until, _PURGE_BATCH)).rowcount
            deleted += count
            if count < _PURGE_BATCH:
                return deleted

    def commit(self, change: Change) -> None:
        # A reservation is stored with its holds.
        with self._writing(writes=change.size + len(change.reservations)) as db:
            # First, because a duplicate request takes precedence over all other errors.
            if change.idempotency_record is not None:
                _store_idempotency_record(db, change.idempotency_record)
            for write in change.items:
                _store(db, write)
            _append(db, change)
            for reservation in change.reservations:
                _store_reservation(db, reservation)
            _store_events(db, change)

    def edit_item(self, edit: ItemEdit) -> Item:
        # The item, and its event.
        with self._writing(writes=2) as db:
            item = _current(db, edit.key)
            if item is None or not (edit.versions is None or item.version in edit.versions):
                raise StaleReadError(item)
            edited = item.edited(edit.fields, actor=edit.actor, at=edit.at)
            write = ItemWrite(before=item, after=edited)
            _store(db, write)
            _store_events(db, Change(write_id=edit.write_id, items=(write,)))
        return edited

    @property
    def schema_version(self) -> int:
        """The version of the schema of the file: the number of its migrations."""
        return len(MIGRATIONS)

    def outbox(self) -> "Outbox":
        """Return the events of the file, and where they are delivered to."""
        from inventory_adapters.storage.sqlite.outbox import Outbox  # noqa: PLC0415 - as in `_store_events`

        return Outbox(self._reading, self._writing)

    def snapshot(self) -> Iterator[Record]:
        # A connection of its own, whose transaction lasts as long as the iteration.
        with closing(self._new_reader()) as db, translated():
            yield from snapshots.read_all(db)
        self._files.check_main()

    def restore_id(self) -> str | None:
        with self._reading() as db:
            return snapshots.restore_id(db)

    def start_restore(self, restore_id: str) -> None:
        with self._writing(writes=2) as db:
            snapshots.start(db, restore_id)

    def restore(self, records: Sequence[Record]) -> None:
        with self._writing(writes=len(records)) as db:
            snapshots.store(db, records)

    def finish_restore(self) -> None:
        with self._writing() as db:
            snapshots.finish(db)

    def back_up(self, path: Path) -> None:
        """
        Write a copy of the file, as it is at one moment, to an empty or missing file; others may write meanwhile.

        Raises:
            StorageUnavailableError: The copy cannot be written.
        """
        with closing(self._new_reader()) as db, translated():
            # Not the backup API: it starts again whenever another connection writes, and may never end.
            db.execute("VACUUM INTO ?", (str(path),))
        self._files.check_main()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the write lock and one transaction: see `ExclusiveRepository`."""
        if self._this_thread.is_exclusive:
            yield
            return
        calls = self._this_thread.once_stored = []
        with self._transaction():
            self._this_thread.is_exclusive = True
            try:
                yield
            finally:
                self._this_thread.is_exclusive = False
        for call in calls:
            call()

    def once_stored(self, call: Callable[[], None]) -> None:
        if self._this_thread.is_exclusive:
            self._this_thread.once_stored.append(call)
        else:
            call()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend an idle or a new connection to this thread."""
        if self._this_thread.is_exclusive:
            with translated():
                yield self._writer
            return
        if self._closed.is_set():
            raise StorageUnavailableError("The repository is closed")
        try:
            db = self._idle_readers.pop()
        except IndexError:
            db = self._new_reader()
        try:
            yield db
        except sqlite3.Error as error:
            raise translation(error) from error
        finally:
            self._idle_readers.append(db)
            if self._closed.is_set():
                self._close_idle_readers()
        self._files.check_main()

    def _new_reader(self) -> sqlite3.Connection:
        # Even a reader must not open a file together with the write-ahead log of another file.
        self._files.check_main()
        with translated():
            return open_reader(self._path)

    @contextmanager
    def _writing(self, *, writes: int = 1) -> Iterator[sqlite3.Connection]:
        """
        Store everything that the block writes, or nothing.

        Args:
            writes: The number of writing statements in the block.
        """
        if not self._this_thread.is_exclusive:
            with self._transaction():
                yield self._writer
            return
        # After some errors SQLite rolls back the whole transaction; later writes of the block must not be stored without it.
        if not self._writer.in_transaction:
            raise StorageUnavailableError("The database rolled back the transaction")
        # SQLite itself rolls back a single statement that fails.
        part = savepoint(self._writer) if writes > 1 else nullcontext()
        with translated(), part:
            yield self._writer

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """
        Hold the write lock and a transaction for the duration of the block.

        Raises:
            StorageThrottledError: The lock was not free in time. Nothing was written.
        """
        # A lock of this process, because waiters for SQLite's lock poll with growing pauses.
        try:
            # Inside the `try`, because a signal handler may raise an exception as soon as the lock is acquired.
            if not self._write_lock.acquire(timeout=max(0.0, min(BUSY_SECONDS, time_left()))):
                raise StorageThrottledError
            if self._closed.is_set():
                raise StorageUnavailableError("The repository is closed")
            self._check_file(self._files.check_all)
            with translated(), transaction(self._writer):
                yield
            self._check_file(self._files.check_main)
        finally:
            try:  # noqa: SIM105 - a signal could interrupt `suppress` before the release
                self._write_lock.release()
            except RuntimeError:
                pass  # This thread does not hold the lock.

    def _check_file(self, check: Callable[[], None]) -> None:
        """
        Run *check* before a write is made or acknowledged.

        Raises:
            StorageUnavailableError: A file was replaced or deleted.
        """
        try:
            check()
        except StorageUnavailableError:
            with suppress(sqlite3.Error):
                self._empty_write_ahead_log()
            raise

    def _empty_write_ahead_log(self) -> None:
        """
        Move its content into its own database.

        Otherwise SQLite would apply it to a database that replaced the file.
        """
        self._writer.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")  # for readers
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._writer.execute("PRAGMA busy_timeout = 0")

    def _close_idle_readers(self) -> None:
        while self._idle_readers:
            with suppress(IndexError):  # Another thread took the last one meanwhile.
                self._idle_readers.pop().close()


class _Thread(local):
    """State of each thread: whether it is inside `exclusive()`, and what to call after it."""

    is_exclusive = False
    once_stored: list[Callable[[], None]]


def _page(rows: Iterable[Row], read: Callable[[Row], T], cursor: Cursor | None = None) -> Page[T]:
    unreadable: list[UnreadableRowError] = []
    items = tuple(read_rows(rows, read, unreadable))
    return Page(items=items, next_cursor=cursor, unreadable=skipped(unreadable))


def _row(db: sqlite3.Connection, key: ItemKey) -> Row | None:
    row: Row | None = db.execute(SELECT_ITEM, (key.item_id, key.sku)).fetchone()
    return row


def _current(db: sqlite3.Connection, key: ItemKey) -> Item | None:
    row = _row(db, key)
    return row_to_item(row) if row else None


def _store(db: sqlite3.Connection, write: ItemWrite) -> None:
    match write.before, write.after:
        case None, Item() as after:
            row = (*item_to_columns(after).values(), after.search_text)
            cursor = db.execute(INSERT_ITEM, row)
        case Item() as before, None:
            cursor = db.execute(DELETE_ITEM, _condition(before))
        case Item() as before, Item() as after:
            cursor = _update(db, before, after)
    if cursor.rowcount != 1:
        raise StaleReadError


def _update(db: sqlite3.Connection, before: Item, after: Item) -> sqlite3.Cursor:
    old = item_to_columns(before)
    # Only columns that differ: assigning a column updates every index that contains it.
    new = {
        name: value
        for name, value in item_to_columns(after).items()
        if value != old[name] or name in ("version", "seq")
    }
    if not new.keys().isdisjoint(("name", "attributes")):
        new["search_text"] = after.search_text
    return db.execute(update_item(new), (*new.values(), *_condition(before)))


def _condition(before: Item) -> Row:
    """Return the parameters of `schema.UNCHANGED`."""
    level = before.level
    return (before.item_id, before.sku, level.on_hand, level.reserved, level.seq, before.version)


def _append(db: sqlite3.Connection, change: Change) -> None:
    rows = [movement_to_row(movement, change.write_id) for movement in change.movements]
    try:
        db.executemany(INSERT_MOVEMENT, rows)
    except sqlite3.IntegrityError as error:
        # The item already has a movement with this seq, so the change is based on an old level.
        raise StaleReadError from error


def _store_reservation(db: sqlite3.Connection, write: ReservationWrite) -> None:
    row = reservation_to_row(write.after)
    if write.before is None:
        cursor = db.execute(INSERT_RESERVATION, row)
    else:
        before = write.before
        # The first three columns never change.
        values = (*row[3:], before.reservation_id, before.revision)
        cursor = db.execute(UPDATE_RESERVATION, values)
    if cursor.rowcount != 1:
        raise StaleReadError
    old, new = hold_rows(write.before), hold_rows(write.after)
    db.executemany(DELETE_HOLD, old - new)
    db.executemany(INSERT_HOLD, new - old)


def _store_events(db: sqlite3.Connection, change: Change) -> None:
    if db.execute(HAS_SINKS).fetchone():
        # Few files have a sink.
        from inventory_adapters.storage.sqlite.outbox import store_events  # noqa: PLC0415

        store_events(db, change)


def _store_idempotency_record(db: sqlite3.Connection, record: IdempotencyRecord) -> None:
    if db.execute(STORE_IDEMPOTENCY_RECORD, idempotency_record_to_row(record)).rowcount != 1:
        raise DuplicateRequestError
