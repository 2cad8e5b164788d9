"""
The repository for one machine: a single SQLite file, and one transaction per commit.

Readers see the last commit and never wait for a writer (WAL). Writers queue on a lock within this process, and on SQLite's own
lock between processes; several changes may share one transaction, and one wait for the disk. Lists walk an index from where the
page before ended, so that a page costs the same at any depth.
"""
# ruff: noqa: S608 - the SQL is put together from constants; every value is a parameter.

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from os import PathLike
from pathlib import Path
from threading import Event, RLock, local
from time import monotonic, sleep
from typing import Final, Literal, NoReturn, Self

from inventory.errors import (
    DuplicateRequestError,
    StaleReadError,
    StorageError,
    StorageThrottledError,
    StorageUnavailableError,
    UnreadableRowError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import Change, ItemEdit, ItemFilter, ItemWrite, ReservationWrite
from inventory.reservations import Reservation, retention_cutoff
from inventory.stock import Movement
from inventory.timeouts import time_left
from inventory_adapters.storage import cursors
from inventory_adapters.storage.sqlite.lists import Walk
from inventory_adapters.storage.sqlite.open_files import OpenFiles
from inventory_adapters.storage.sqlite.rows import (
    Row,
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
    APPLICATION_ID,
    BEYOND_EVERY_SEQ,
    BEYOND_EVERY_TIME,
    DELETE,
    FIRST_MOVEMENT,
    HELD,
    IDEMPOTENCY_RECORD,
    INSERT,
    INSERT_MOVEMENT,
    INSERT_RESERVATION,
    MIGRATIONS,
    MOVEMENTS,
    PURGE_IDEMPOTENCY_RECORDS,
    PURGE_RESERVATIONS,
    RESERVATION,
    SELECT,
    STORE_IDEMPOTENCY_RECORD,
    UNMOVED,
    UPDATE_RESERVATION,
)
from inventory_adapters.storage.unreadable import read_rows, skipped

__all__ = ["Durability", "SqliteRepository"]

Durability = Literal["full", "normal"]

# How long a writer waits for its turn; less where the deadline of the request is nearer.
_BUSY_SECONDS: Final = 2.0

# What the writer keeps of the file in memory: the indexes' pages that an import comes back to again and again.
_WRITER_CACHE_KB: Final = 32_000

# Rows that one transaction of a purge deletes: between two of them whoever waits to write has a turn.
_PURGED_AT_ONCE: Final = 500


class SqliteRepository:
    """
    Keeps everything in one file; safe to share between threads, and the file between processes of one machine.

    Close it, or use it as a context manager. Open it after a fork, not before: SQLite's locks do not survive one. Replace the
    file only while no repository has it open. Once it is replaced, moved or deleted, every call raises
    `StorageUnavailableError`, and nothing is written to the file in its place. If the same file comes back, work goes on.

    Args:
        path: The file; made if it is not there. Beside it, while it is open, lie `-wal` and `-shm` files that belong to it.
        durability: "full" keeps every acknowledged write whatever happens. "normal" is faster and may lose the last ones when
            the machine loses power, though never when the process dies.

    Raises:
        StorageUnavailableError: The file cannot be used: it is of something else, of a newer version, damaged or out of reach.
    """

    def __init__(self, path: str | PathLike[str], *, durability: Durability = "full") -> None:
        # Absolute, so that neither a change of directory nor a name such as ":memory:" leads elsewhere.
        self._path = Path(path).absolute()
        # Reentrant, because only of such a lock a thread can say whether it has it: see `_transaction`.
        self._write_lock = RLock()
        self._idle_readers: list[sqlite3.Connection] = []
        self._closed = Event()
        self._writer = _opened(self._path, durability)
        self._files = OpenFiles(self._path)
        self._this_thread = _Thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. A write under way is waited for; reads under way finish."""
        with self._write_lock:
            self._closed.set()
            self._close_idle_readers()
            with suppress(sqlite3.Error):  # It was closed before.
                if not self._files.are_in_place():
                    self._empty_write_ahead_log()
            self._writer.close()

    def get_item(self, key: ItemKey) -> Item | None:
        with self._reading() as db:
            row = _row(db, key)
        return row_to_item(row) if row else None

    def find_item(self, item_id: str) -> Item | None:
        with self._reading() as db:
            row = db.execute(
                f"{SELECT} WHERE item_id = ? ORDER BY sku LIMIT 1", (item_id,)
            ).fetchone()
        return row_to_item(row) if row else None

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        # One statement per key: SQLite is called, not asked over a wire, so there is no round trip to save.
        with self._reading() as db:
            rows = [_row(db, key) for key in dict.fromkeys(keys)]
        return tuple(row_to_item(row) for row in rows if row)

    def list_items(self, wanted: ItemFilter, page: PageRequest) -> Page[Item]:
        walk = Walk.of(wanted)
        after = walk.start if page.cursor is None else cursors.decode_item(wanted, page.cursor)
        with self._reading() as db:
            rows, last = walk.page(db, after, page.size)
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_item, unreadable)),
            next_cursor=cursors.encode(cursors.fingerprint(wanted), last) if last else None,
            unreadable=skipped(unreadable),
        )

    def list_movements(self, key: ItemKey, page: PageRequest) -> Page[Movement]:
        before = (
            BEYOND_EVERY_SEQ if page.cursor is None else cursors.decode_movement(key, page.cursor)
        )
        with self._reading() as db:
            rows = db.execute(MOVEMENTS, (key.item_id, key.sku, before, page.size)).fetchall()
        unreadable: list[UnreadableRowError] = []
        full = len(rows) == page.size
        return Page(
            items=tuple(read_rows(rows, row_to_movement, unreadable)),
            next_cursor=cursors.encode_movement(key, seq_of(rows[-1])) if full else None,
            unreadable=skipped(unreadable),
        )

    def first_movement(self, key: ItemKey) -> Movement | None:
        with self._reading() as db:
            row = db.execute(FIRST_MOVEMENT, (key.item_id, key.sku)).fetchone()
        return row_to_movement(row) if row else None

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        with self._reading() as db:
            row = db.execute(RESERVATION, (reservation_id,)).fetchone()
        return row_to_reservation(row) if row else None

    def held_reservations(
        self,
        page: PageRequest,
        *,
        due_by: Timestamp | None = None,
        ends_after: Timestamp | None = None,
    ) -> Page[Reservation]:
        after = ("", "") if page.cursor is None else cursors.decode_reservation(page.cursor)
        until = BEYOND_EVERY_TIME if due_by is None else due_by
        with self._reading() as db:
            # One more than asked tells whether there is a next page.
            rows = db.execute(HELD, (*after, ends_after or "", until, page.size + 1)).fetchall()
        more = len(rows) > page.size
        del rows[page.size :]
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_reservation, unreadable)),
            next_cursor=cursors.encode_reservation(position_of(rows[-1])) if more else None,
            unreadable=skipped(unreadable),
        )

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
                return deleted  # The next purge goes on.
            with self._writing() as db:
                count = db.execute(sql, (until, _PURGED_AT_ONCE)).rowcount
            deleted += count
            if count < _PURGED_AT_ONCE:
                return deleted

    def commit(self, change: Change) -> None:
        parts = (change.idempotency_record, change.reservation)
        writes = len(change.items) + len(change.movements) + sum(it is not None for it in parts)
        with self._writing(writes=writes) as db:
            # First, because of all refusals this one is told first.
            if change.idempotency_record is not None:
                _store_idempotency_record(db, change.idempotency_record)
            for write in change.items:
                _store(db, write)
            _append(db, change)
            if change.reservation is not None:
                _store_reservation(db, change.reservation)

    def edit_item(self, edit: ItemEdit) -> Item:
        with self._writing() as db:
            item = _current(db, edit.key)
            if item is None or not (edit.versions is None or item.version in edit.versions):
                raise StaleReadError(item)
            edited = item.edited(edit.fields, at=edit.at)
            _store(db, ItemWrite(before=item, after=edited))
        return edited

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """See `inventory.ports.ExclusiveRepository.alone`; it waits as long for its turn as a write does."""
        if self._this_thread.is_alone:
            yield
            return
        with self._transaction():
            self._this_thread.is_alone = True
            try:
                yield
            finally:
                self._this_thread.is_alone = False

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one thread at a time: as many are open as threads ever read at once."""
        if self._this_thread.is_alone:
            with _translated():
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
            raise _translation(error) from error
        finally:
            self._idle_readers.append(db)
            if self._closed.is_set():
                self._close_idle_readers()
        self._files.check_main()

    def _new_reader(self) -> sqlite3.Connection:
        # Not even to read may a file be opened beside the write-ahead log of another.
        self._files.check_main()
        with _translated():
            # mode=ro, or a file that was taken away would be made anew, and empty.
            return _connected(f"{self._path.as_uri()}?mode=ro")

    @contextmanager
    def _writing(self, *, writes: int = 1) -> Iterator[sqlite3.Connection]:
        """Keep all of what happens inside, or none of it: so many statements that write."""
        if not self._this_thread.is_alone:
            with self._transaction():
                yield self._writer
            return
        # Some errors make SQLite roll back the whole; the rest of it must not be kept where its beginning was not.
        if not self._writer.in_transaction:
            raise StorageUnavailableError("The database has undone what was under way")
        # A statement that fails is undone by itself.
        part = _part_of_transaction(self._writer) if writes > 1 else nullcontext()
        with _translated(), part:
            yield self._writer

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """
        Make what happens inside one transaction.

        Raises:
            StorageThrottledError: The turn did not come in time; unlike when storage is unavailable, nothing was written.
        """
        # A lock of our own, because threads that wait for SQLite's poll for it, with growing pauses.
        try:
            # Inside the block: a signal may raise an exception as soon as the lock is acquired.
            if not self._write_lock.acquire(timeout=max(0.0, min(_BUSY_SECONDS, time_left()))):
                raise StorageThrottledError
            if self._closed.is_set():
                raise StorageUnavailableError("The repository is closed")
            self._check_file(self._files.check_all)
            with _translated(), _transaction(self._writer):
                yield
            self._check_file(self._files.check_main)
        finally:
            try:  # noqa: SIM105 - any call before the release could be interrupted
                self._write_lock.release()
            except RuntimeError:
                pass  # This thread did not acquire it.

    def _check_file(self, check: Callable[[], None]) -> None:
        """
        Refuse to write, or to acknowledge what was written, if *check* says that a file is not in its place.

        Raises:
            StorageUnavailableError: It was replaced or deleted.
        """
        try:
            check()
        except StorageUnavailableError:
            with suppress(sqlite3.Error):
                self._empty_write_ahead_log()
            raise

    def _empty_write_ahead_log(self) -> None:
        """Move its content into its own database, or SQLite would add it to the one that is opened in its place."""
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _close_idle_readers(self) -> None:
        while self._idle_readers:
            with suppress(IndexError):  # Another thread has just taken the last one.
                self._idle_readers.pop().close()


class _Thread(local):
    """What each thread knows of itself."""

    is_alone = False


def _row(db: sqlite3.Connection, key: ItemKey) -> Row | None:
    sql = f"{SELECT} WHERE item_id = ? AND sku = ?"
    row: Row | None = db.execute(sql, (key.item_id, key.sku)).fetchone()
    return row


def _current(db: sqlite3.Connection, key: ItemKey) -> Item | None:
    row = _row(db, key)
    return row_to_item(row) if row else None


def _store(db: sqlite3.Connection, write: ItemWrite) -> None:
    match write.before, write.after:
        case None, Item() as after:
            cursor = db.execute(INSERT, tuple(item_to_columns(after).values()))
        case Item() as before, None:
            cursor = db.execute(DELETE, _unmoved(before))
        case Item() as before, Item() as after:
            cursor = _update(db, before, after)
    if cursor.rowcount != 1:
        raise StaleReadError


def _update(db: sqlite3.Connection, before: Item, after: Item) -> sqlite3.Cursor:
    old = item_to_columns(before)
    # Only what differs: naming a column costs an update of every index that has it.
    new = {
        name: value
        for name, value in item_to_columns(after).items()
        if value != old[name] or name in ("version", "seq")
    }
    assignments = ", ".join(f"{name} = ?" for name in new)
    return db.execute(
        f"UPDATE items SET {assignments} WHERE {UNMOVED}", (*new.values(), *_unmoved(before))
    )


def _unmoved(before: Item) -> Row:
    """Return the values of the condition `UNMOVED`."""
    level = before.level
    return (before.item_id, before.sku, level.on_hand, level.reserved, level.seq, before.version)


def _append(db: sqlite3.Connection, change: Change) -> None:
    rows = [movement_to_row(movement, change.write_id) for movement in change.movements]
    try:
        db.executemany(INSERT_MOVEMENT, rows)
    except sqlite3.IntegrityError as error:
        # The place in the item's history is taken: what was decided on is not the latest.
        raise StaleReadError from error


def _store_reservation(db: sqlite3.Connection, write: ReservationWrite) -> None:
    row = reservation_to_row(write.after)
    if write.before is None:
        cursor = db.execute(INSERT_RESERVATION, row)
    else:
        before = write.before
        condition = (before.reservation_id, before.state, before.expires_at)
        cursor = db.execute(UPDATE_RESERVATION, (*row, *condition))
    if cursor.rowcount != 1:
        raise StaleReadError


def _store_idempotency_record(db: sqlite3.Connection, record: IdempotencyRecord) -> None:
    if db.execute(STORE_IDEMPOTENCY_RECORD, idempotency_record_to_row(record)).rowcount != 1:
        raise DuplicateRequestError


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    try:
        if db.in_transaction:
            # An exception from outside, such as a signal's, has left it open.
            db.execute("ROLLBACK")
        # Immediate, because a read that turns into a write cannot wait: SQLite refuses it when another has written since.
        with _shorter_wait(db):
            db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # On some errors SQLite has rolled back by itself.
            with suppress(sqlite3.Error):  # What went wrong first is what to tell.
                db.execute("ROLLBACK")
        raise


@contextmanager
def _part_of_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Undo what happens inside, and nothing before it, should it fail."""
    db.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK TO part")
                db.execute("RELEASE part")
        raise
    db.execute("RELEASE part")


@contextmanager
def _shorter_wait(db: sqlite3.Connection) -> Iterator[None]:
    """Wait for other processes no longer than the request has time."""
    left = time_left()
    if left >= _BUSY_SECONDS:
        yield
        return
    try:
        db.execute(f"PRAGMA busy_timeout = {max(0, int(left * 1000))}")
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")


def _connected(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _opened(path: Path, durability: Durability) -> sqlite3.Connection:
    """Return a connection to a file that is ours, at the present version, and in WAL mode."""
    try:
        db = _connected(path.as_uri())
    except sqlite3.Error as error:
        _refuse(
            path,
            f"cannot be opened ({error}); check that its folder exists and may be written to",
            error,
        )
    try:
        _check_owner(db, path)
        _migrate(db)
        _turn_on_wal(db, path)
        # The first read makes the -wal and -shm files of a new database: `OpenFiles` notes which they are.
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        db.execute(f"PRAGMA synchronous = {durability}")
        db.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KB}")
        # Only macOS has it: there a plain fsync leaves the last writes in the drive's cache.
        db.execute(f"PRAGMA fullfsync = {int(durability == 'full')}")
    except sqlite3.Error as error:
        db.close()
        _refuse(
            path,
            f"cannot be used ({error}); check that it is whole and that you may write to it and its folder",
            error,
        )
    except BaseException:
        db.close()
        raise
    return db


def _check_owner(db: sqlite3.Connection, path: Path) -> None:
    """Look before touching: a file of another program is left as it is, to the byte."""
    db.execute(
        "BEGIN"
    )  # One moment for all three, or another process that sets up the file looks like a stranger.
    application_id, version, tables = (
        db.execute(sql).fetchone()[0]
        for sql in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    db.execute("ROLLBACK")
    is_new = (application_id, version, tables) == (0, 0, 0)
    if application_id != APPLICATION_ID and not is_new:
        _refuse(path, "is a database of another program; choose another path")
    if version > len(MIGRATIONS):
        _refuse(
            path,
            f"was written by a newer version of this program (schema {version}, this one knows {len(MIGRATIONS)}); "
            "upgrade, or choose another path",
        )


def _migrate(db: sqlite3.Connection) -> None:
    while _version(db) < len(MIGRATIONS):
        with _transaction(db):
            version = _version(db)  # Another process may have been quicker.
            for statement in MIGRATIONS[version] if version < len(MIGRATIONS) else ():
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {min(version + 1, len(MIGRATIONS))}")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _turn_on_wal(db: sqlite3.Connection, path: Path) -> None:
    ends_at = monotonic() + _BUSY_SECONDS
    while True:
        try:
            [mode] = db.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # Two processes that open a new file at once: for this statement SQLite does not wait by itself.
            if not _is_busy(error) or monotonic() > ends_at:
                raise
            sleep(0.01)
    if mode != "wal":
        _refuse(
            path,
            "is where SQLite cannot share memory between processes (a network drive?); choose a local path",
        )


def _refuse(path: Path, why: str, cause: Exception | None = None) -> NoReturn:
    raise StorageUnavailableError(f"{path} {why}") from cause


@contextmanager
def _translated() -> Iterator[None]:
    """Turn whatever SQLite has to say into the port's errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translation(error) from error


def _translation(error: sqlite3.Error) -> StorageError:
    if _is_busy(error):
        return StorageThrottledError()
    sentence = _SENTENCES.get(_primary_code(error), "The database failed")
    return StorageUnavailableError(f"{sentence} ({error})")


_SENTENCES: Final = {
    sqlite3.SQLITE_FULL: "There is no room left for the database; free some space on its disk",
    sqlite3.SQLITE_IOERR: "The disk failed under the database; check it before going on",
    sqlite3.SQLITE_READONLY: "The database may not be written to; check the permissions of its file and folder",
    sqlite3.SQLITE_CANTOPEN: "The database can no longer be opened; check that its folder is still there",
    sqlite3.SQLITE_CORRUPT: "The database is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "The database was overwritten by something else; restore it from a backup",
}


def _is_busy(error: sqlite3.Error) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _primary_code(error: sqlite3.Error) -> int:
    # The low byte is the primary result code. Errors that the module raises by itself have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
