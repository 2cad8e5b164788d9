"""
The repository for one machine: a single SQLite file, and one transaction per commit.

Readers see the last commit and never wait for a writer (WAL). Writers queue on a lock within this process, and on SQLite's own
lock between processes; several changes may share one transaction, and one wait for the disk. Lists walk an index from where the
page before ended, so that a page costs the same at any depth.
"""
# ruff: noqa: S608 - the SQL is put together from the constants of this module; every value is a parameter.

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from decimal import Decimal
from os import PathLike
from pathlib import Path
from threading import Event, Lock, local
from time import monotonic, sleep
from typing import Any, Final, Literal, NoReturn, Self

import attrs
from attrs import frozen

from inventory import StockLevel
from inventory.errors import (
    AlreadyServedError,
    StaleReadError,
    StorageError,
    StorageThrottledError,
    StorageUnavailableError,
    UnreadableItemError,
)
from inventory.idempotency import ServedRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import Change, Index, ItemEdit, ItemFilter, ItemWrite, ReservationWrite
from inventory.reservations import (
    Reservation,
    ReservationLine,
    ReservationState,
    forgotten_before,
)
from inventory.stock import Movement, MovementKind
from inventory.timeouts import time_left
from inventory_adapters.storage import cursors

__all__ = ["Durability", "SqliteRepository"]

Durability = Literal["full", "normal"]

_logger = logging.getLogger(__name__)

# "tapi" in ASCII. It tells our files from those of others, also to file(1).
APPLICATION_ID: Final = 0x74617069

# How long a writer waits for its turn; less where the deadline of the request is nearer.
_BUSY_SECONDS: Final = 2.0

# What the writer keeps of the file in memory: the indexes' pages that an import comes back to again and again.
_WRITER_CACHE_KB: Final = 32_000

# Rows of the index that are looked at for one page of a list with more filters than its index has: enough that pages are
# full but for the rarest filters, and never the whole of a large table for the sake of one page.
_WINDOW: Final = 2_000
_MAX_WINDOWS: Final = 50

# Rows that one transaction of a purge deletes: between two of them whoever waits to write has a turn.
_PURGED_AT_ONCE: Final = 500

# Greater than every seq: where a walk from the newest movement starts.
_BEYOND_EVERY_SEQ: Final = 2**63 - 1

# Sorts after every time: where a walk of all that is held ends.
_BEYOND_EVERY_TIME: Final = "~"

# SQLite turns `quantity - reserved <= reorder_point` around and then no longer knows it for the condition of the index.
_IS_LOW: Final = "reorder_point >= quantity - reserved"
_IS_HELD: Final = "state = 'held'"

# Each is applied once, in one transaction, and counted in user_version. Never edit one that was released; append.
# Text compares as BINARY, the default: byte by byte in UTF-8, which is the order of code points that `ItemFilter.position` has.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE items (
            item_id TEXT NOT NULL,
            sku TEXT NOT NULL,
            name TEXT NOT NULL,
            description TEXT NOT NULL,
            category TEXT NOT NULL,
            price TEXT NOT NULL, -- exact decimal
            status TEXT NOT NULL,
            location TEXT NOT NULL,
            reorder_point INTEGER,
            version INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            quantity INTEGER NOT NULL,
            reserved INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            CHECK (0 <= reserved AND reserved <= quantity)
        )
        """,
        "CREATE UNIQUE INDEX items_by_id ON items (item_id, sku)",
        "CREATE INDEX items_by_sku ON items (sku, item_id)",
        "CREATE INDEX items_by_category ON items (category, updated_at, item_id, sku)",
        "CREATE INDEX items_by_status ON items (status, item_id, sku)",
        f"CREATE INDEX items_low ON items (item_id, sku) WHERE {_IS_LOW}",
        """
        CREATE TABLE movements (
            item_id TEXT NOT NULL,
            sku TEXT NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            delta_on_hand INTEGER NOT NULL,
            delta_reserved INTEGER NOT NULL,
            on_hand INTEGER NOT NULL,
            reserved INTEGER NOT NULL,
            reason TEXT,
            reference TEXT,
            recorded_at TEXT NOT NULL,
            write_id TEXT NOT NULL,
            PRIMARY KEY (item_id, sku, seq)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE reservations (
            reservation_id TEXT NOT NULL,
            lines TEXT NOT NULL, -- JSON: [[item_id, sku, quantity], ...]
            state TEXT NOT NULL,
            reference TEXT,
            created_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            closed_at TEXT
        )
        """,
        "CREATE UNIQUE INDEX reservations_by_id ON reservations (reservation_id)",
        f"CREATE INDEX reservations_held ON reservations (expires_at, reservation_id) WHERE {_IS_HELD}",
        "CREATE INDEX reservations_closed ON reservations (closed_at) WHERE closed_at IS NOT NULL",
        """
        CREATE TABLE served (
            record_id TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            answer TEXT NOT NULL, -- JSON
            served_at TEXT NOT NULL,
            expires_at TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX served_by_id ON served (record_id)",
        "CREATE INDEX served_by_expiry ON served (expires_at)",
    ),
)

_COLUMNS: Final = (
    "item_id, sku, name, description, category, price, status, location, reorder_point, version, created_at, updated_at, "
    "quantity, reserved, seq"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM items"
_INSERT: Final = (
    f"INSERT INTO items ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (item_id, sku) DO NOTHING"
)

_MOVEMENT_COLUMNS: Final = (
    "item_id, sku, seq, kind, delta_on_hand, delta_reserved, on_hand, reserved, reason, reference, "
    "recorded_at"
)
_INSERT_MOVEMENT: Final = f"INSERT INTO movements ({_MOVEMENT_COLUMNS}, write_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVEMENTS: Final = (
    f"SELECT {_MOVEMENT_COLUMNS} FROM movements WHERE item_id = ? AND sku = ? AND seq < ?"
    " ORDER BY seq DESC LIMIT ?"
)
_FIRST_MOVEMENT: Final = (
    f"SELECT {_MOVEMENT_COLUMNS} FROM movements WHERE item_id = ? AND sku = ? ORDER BY seq LIMIT 1"
)

_RESERVATION_COLUMNS: Final = (
    "reservation_id, lines, state, reference, created_at, expires_at, closed_at"
)
_INSERT_RESERVATION: Final = (
    f"INSERT INTO reservations ({_RESERVATION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (reservation_id) DO NOTHING"
)
_UPDATE_RESERVATION: Final = (
    f"UPDATE reservations SET ({_RESERVATION_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?)"
    " WHERE reservation_id = ? AND state = ? AND expires_at = ?"
)
_RESERVATION: Final = f"SELECT {_RESERVATION_COLUMNS} FROM reservations WHERE reservation_id = ?"
_HELD: Final = (
    f"SELECT {_RESERVATION_COLUMNS} FROM reservations INDEXED BY reservations_held"
    f" WHERE {_IS_HELD} AND (expires_at, reservation_id) > (?, ?) AND expires_at <= ?"
    " ORDER BY expires_at, reservation_id LIMIT ?"
)

_SERVED_COLUMNS: Final = "record_id, fingerprint, answer, served_at, expires_at"
# The condition and the write in one: a record that still counts is left as it is, and no row is changed.
_SERVE: Final = (
    f"INSERT INTO served ({_SERVED_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (record_id) DO UPDATE"
    " SET fingerprint = excluded.fingerprint, answer = excluded.answer, served_at = excluded.served_at,"
    " expires_at = excluded.expires_at WHERE expires_at <= excluded.served_at"
)
_SERVED: Final = f"SELECT {_SERVED_COLUMNS} FROM served WHERE record_id = ?"

_PURGE_SERVED: Final = (
    "DELETE FROM served WHERE rowid IN (SELECT rowid FROM served WHERE expires_at <= ? LIMIT ?)"
)
_PURGE_RESERVATIONS: Final = (
    "DELETE FROM reservations"
    " WHERE rowid IN (SELECT rowid FROM reservations WHERE closed_at <= ? LIMIT ?)"
)

_Row = tuple[Any, ...]
_Position = tuple[str, ...]


class SqliteRepository:
    """
    Keeps everything in one file; safe to share between threads, and the file between processes of one machine.

    Close it, or use it as a context manager. Open it after a fork, not before: SQLite's locks do not survive one.

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
        self._turn = Lock()
        self._idle_readers: list[sqlite3.Connection] = []
        self._closed = Event()
        self._writer = _opened(self._path, durability)
        self._this_thread = _Thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. A write under way is waited for; reads under way finish."""
        with self._turn:
            self._closed.set()
            self._close_idle_readers()
            self._writer.close()

    def get_item(self, key: ItemKey) -> Item | None:
        with self._reading() as db:
            row = _row(db, key)
        return _item(row) if row else None

    def find_item(self, item_id: str) -> Item | None:
        with self._reading() as db:
            row = db.execute(
                f"{_SELECT} WHERE item_id = ? ORDER BY sku LIMIT 1", (item_id,)
            ).fetchone()
        return _item(row) if row else None

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        # One statement per key: SQLite is called, not asked over a wire, so there is no round trip to save.
        with self._reading() as db:
            rows = [_row(db, key) for key in dict.fromkeys(keys)]
        return tuple(_item(row) for row in rows if row)

    def list_items(self, wanted: ItemFilter, page: PageRequest) -> Page[Item]:
        walk = _Walk.of(wanted)
        after = walk.start if page.cursor is None else cursors.decode_item(wanted, page.cursor)
        with self._reading() as db:
            rows, last = walk.page(db, after, page.size)
        return Page(
            items=tuple(_readable(rows)),
            next_cursor=cursors.encode(cursors.fingerprint(wanted), last) if last else None,
        )

    def list_movements(self, key: ItemKey, page: PageRequest) -> Page[Movement]:
        before = (
            _BEYOND_EVERY_SEQ if page.cursor is None else cursors.decode_movement(key, page.cursor)
        )
        with self._reading() as db:
            rows = db.execute(_MOVEMENTS, (key.item_id, key.sku, before, page.size)).fetchall()
        movements = tuple(_movement(row) for row in rows)
        full = len(movements) == page.size
        return Page(
            items=movements,
            next_cursor=cursors.encode_movement(movements[-1]) if full else None,
        )

    def first_movement(self, key: ItemKey) -> Movement | None:
        with self._reading() as db:
            row = db.execute(_FIRST_MOVEMENT, (key.item_id, key.sku)).fetchone()
        return _movement(row) if row else None

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        with self._reading() as db:
            row = db.execute(_RESERVATION, (reservation_id,)).fetchone()
        return _reservation(row) if row else None

    def held_reservations(
        self, page: PageRequest, *, due_by: Timestamp | None
    ) -> Page[Reservation]:
        after = ("", "") if page.cursor is None else cursors.decode_reservation(page.cursor)
        until = _BEYOND_EVERY_TIME if due_by is None else due_by
        with self._reading() as db:
            # One more than asked tells whether there is a next page.
            rows = db.execute(_HELD, (*after, until, page.size + 1)).fetchall()
        reservations = tuple(_reservation(row) for row in rows[: page.size])
        more = len(rows) > page.size
        return Page(
            items=reservations,
            next_cursor=cursors.encode_reservation(reservations[-1]) if more else None,
        )

    def get_served(self, record_id: str) -> ServedRecord | None:
        with self._reading() as db:
            row = db.execute(_SERVED, (record_id,)).fetchone()
        return _served(row) if row else None

    def purge(self, at: Timestamp) -> int:
        return self._purge(_PURGE_SERVED, at) + self._purge(
            _PURGE_RESERVATIONS, forgotten_before(at)
        )

    def _purge(self, sql: str, until: Timestamp) -> int:
        deleted = 0
        while True:
            with self._writing() as db:
                count = db.execute(sql, (until, _PURGED_AT_ONCE)).rowcount
            deleted += count
            if count < _PURGED_AT_ONCE:
                return deleted

    def commit(self, change: Change) -> None:
        parts = (change.served, change.reservation)
        writes = len(change.items) + len(change.movements) + sum(it is not None for it in parts)
        with self._writing(writes=writes) as db:
            # First, because of all refusals this one is told first.
            if change.served is not None:
                _serve(db, change.served)
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

    def delete_item(self, key: ItemKey, *, tags: frozenset[tuple[int, int]] | None = None) -> Item:
        with self._writing() as db:
            item = _current(db, key)
            if (
                item is None
                or item.level.reserved
                or not (tags is None or (item.version, item.level.seq) in tags)
            ):
                raise StaleReadError(item)
            db.execute("DELETE FROM items WHERE item_id = ? AND sku = ?", (key.item_id, key.sku))
        return item

    @contextmanager
    def alone(self) -> Iterator[None]:
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

    def _new_reader(self) -> sqlite3.Connection:
        with _translated():
            # mode=rw, or a file that was taken away would be made anew, and empty.
            db = _connected(f"{self._path.as_uri()}?mode=rw")
            db.execute("PRAGMA query_only = ON")
            return db

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
        if not self._turn.acquire(timeout=max(0.0, min(_BUSY_SECONDS, time_left()))):
            raise StorageThrottledError
        try:
            if self._closed.is_set():
                raise StorageUnavailableError("The repository is closed")
            with _translated(), _transaction(self._writer):
                yield
        finally:
            self._turn.release()

    def _close_idle_readers(self) -> None:
        while self._idle_readers:
            with suppress(IndexError):  # Another thread has just taken the last one.
                self._idle_readers.pop().close()


class _Thread(local):
    """What each thread knows of itself."""

    is_alone = False


@frozen
class _Walk:
    """
    One list as SQL: an index, the condition that selects a stretch of it, and the conditions that its rows must pass besides.

    The index is named, not left to the planner: no statistics and no version of SQLite then turn a walk into a scan.
    """

    index: str
    position: tuple[str, ...]
    stretch: str
    residual: str
    values: dict[str, Any]

    @classmethod
    def of(cls, wanted: ItemFilter) -> Self:
        index, position = _INDEXES[wanted.index]
        conditions = {
            name: condition for name, condition in _CONDITIONS.items() if getattr(wanted, name)
        }
        return cls(
            index=index,
            position=position,
            stretch=conditions.pop(wanted.index, "TRUE"),
            residual=" AND ".join(conditions.values()),
            values=attrs.asdict(wanted),
        )

    @property
    def start(self) -> _Position:
        """A place before every row: no part of a key is empty."""
        return ("",) * len(self.position)

    def page(
        self, db: sqlite3.Connection, after: _Position, size: int
    ) -> tuple[list[_Row], _Position | None]:
        """Return up to *size* rows from *after* on, and where the next page starts, if there is one."""
        rows: list[_Row] = []
        for _ in range(_MAX_WINDOWS):
            end = self._window_end(db, after) if self.residual else None
            # One more than asked tells whether there is a next page.
            rows += self._rows(db, after, end, limit=size + 1 - len(rows))
            if len(rows) > size:
                return rows[:size], self._position_of(rows[size - 1])
            if end is None:
                return rows, None
            after = end
        return rows, after

    def _window_end(self, db: sqlite3.Connection, after: _Position) -> _Position | None:
        """Return the place `_WINDOW` rows further on, or None where the stretch ends before."""
        sql = f"{self._select(', '.join(self.position))} LIMIT 1 OFFSET {_WINDOW - 1}"
        found: _Position | None = db.execute(sql, self._parameters(after)).fetchone()
        return found

    def _rows(
        self, db: sqlite3.Connection, after: _Position, end: _Position | None, *, limit: int
    ) -> list[_Row]:
        # The end was looked up before: what comes or goes in between cannot make this window skip a row.
        conditions = [self.residual] if self.residual else []
        if end:
            conditions.append(f"({', '.join(self.position)}) <= ({_places('end', end)})")
        sql = f"{self._select(_COLUMNS, *conditions)} LIMIT {limit:d}"
        return db.execute(sql, self._parameters(after, end or ())).fetchall()

    def _select(self, columns: str, *conditions: str) -> str:
        position = ", ".join(self.position)
        after = f"({position}) > ({_places('after', self.position)})"
        where = " AND ".join((self.stretch, after, *conditions))
        return (
            f"SELECT {columns} FROM items INDEXED BY {self.index} WHERE {where} ORDER BY {position}"
        )

    def _parameters(self, after: _Position, end: _Position = ()) -> dict[str, Any]:
        places = {f"after_{place}": part for place, part in enumerate(after)}
        places |= {f"end_{place}": part for place, part in enumerate(end)}
        return self.values | places

    def _position_of(self, row: _Row) -> _Position:
        by_name = dict(zip(_COLUMNS.split(", "), row, strict=True))
        return tuple(by_name[column] for column in self.position)


_INDEXES: Final[dict[Index, tuple[str, tuple[str, ...]]]] = {
    "sku": ("items_by_sku", ("item_id", "sku")),
    "low_stock": ("items_low", ("item_id", "sku")),
    "category": ("items_by_category", ("updated_at", "item_id", "sku")),
    "status": ("items_by_status", ("item_id", "sku")),
    "item_id": ("items_by_id", ("item_id", "sku")),
}

_CONDITIONS: Final = {
    "sku": "sku = :sku",
    "low_stock": _IS_LOW,
    "category": "category = :category",
    "status": "status = :status",
    "location": "location = :location",
}


def _places(name: str, position: tuple[str, ...]) -> str:
    return ", ".join(f":{name}_{place}" for place in range(len(position)))


def _row(db: sqlite3.Connection, key: ItemKey) -> _Row | None:
    sql = f"{_SELECT} WHERE item_id = ? AND sku = ?"
    row: _Row | None = db.execute(sql, (key.item_id, key.sku)).fetchone()
    return row


def _current(db: sqlite3.Connection, key: ItemKey) -> Item | None:
    row = _row(db, key)
    return _item(row) if row else None


def _store(db: sqlite3.Connection, write: ItemWrite) -> None:
    if write.before is None:
        cursor = db.execute(_INSERT, tuple(_columns(write.after).values()))
    else:
        cursor = _update(db, write.before, write.after)
    if cursor.rowcount != 1:
        raise StaleReadError


def _update(db: sqlite3.Connection, before: Item, after: Item) -> sqlite3.Cursor:
    old = _columns(before)
    # Only what differs: naming a column costs an update of every index that has it.
    new = {
        name: value
        for name, value in _columns(after).items()
        if value != old[name] or name in ("version", "seq")
    }
    assignments = ", ".join(f"{name} = ?" for name in new)
    return db.execute(
        f"UPDATE items SET {assignments}"
        " WHERE item_id = ? AND sku = ? AND quantity = ? AND reserved = ? AND seq = ? AND version = ?",
        (
            *new.values(),
            *(before.item_id, before.sku),
            *(before.level.on_hand, before.level.reserved, before.level.seq),
            before.version,
        ),
    )


def _columns(item: Item) -> dict[str, Any]:
    """Return the row of *item*, in the order of `_COLUMNS`."""
    return {
        "item_id": item.item_id,
        "sku": item.sku,
        "name": item.name,
        "description": item.description,
        "category": item.category,
        "price": str(item.price),
        "status": item.status,
        "location": item.location,
        "reorder_point": item.reorder_point,
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "quantity": item.level.on_hand,
        "reserved": item.level.reserved,
        "seq": item.level.seq,
    }


def _item(row: _Row) -> Item:
    item_id, sku, name, description, category, price, status, location = row[:8]
    reorder_point, version, created_at, updated_at, quantity, reserved, seq = row[8:]
    try:
        return Item(
            key=ItemKey(item_id=item_id, sku=sku),
            name=name,
            description=description,
            category=category,
            price=Decimal(price),
            status=status,
            location=location,
            reorder_point=reorder_point,
            version=version,
            created_at=Timestamp(created_at),
            updated_at=Timestamp(updated_at),
            level=StockLevel(on_hand=quantity, reserved=reserved, seq=seq),
        )
    except (ArithmeticError, TypeError, ValueError) as error:
        raise UnreadableItemError(item_id, sku, str(error)) from error


def _readable(rows: Iterable[_Row]) -> Iterator[Item]:
    for row in rows:
        try:
            yield _item(row)
        except UnreadableItemError as error:
            _logger.warning(
                "Left out of a list: %r, SKU %r: %s", error.item_id, error.sku, error.why
            )


def _append(db: sqlite3.Connection, change: Change) -> None:
    rows = [_movement_row(movement, change.write_id) for movement in change.movements]
    try:
        db.executemany(_INSERT_MOVEMENT, rows)
    except sqlite3.IntegrityError as error:
        # The place in the item's history is taken: what was decided on is not the latest.
        raise StaleReadError from error


def _movement_row(movement: Movement, write_id: str) -> _Row:
    return (
        *(movement.key.item_id, movement.key.sku, movement.seq, movement.kind),
        *(movement.delta_on_hand, movement.delta_reserved, movement.on_hand, movement.reserved),
        *(movement.reason, movement.reference, movement.recorded_at, write_id),
    )


def _movement(row: _Row) -> Movement:
    item_id, sku, seq, kind, delta_on_hand, delta_reserved, on_hand, reserved = row[:8]
    reason, reference, recorded_at = row[8:]
    return Movement(
        key=ItemKey(item_id=item_id, sku=sku),
        seq=seq,
        kind=MovementKind(kind),
        delta_on_hand=delta_on_hand,
        delta_reserved=delta_reserved,
        on_hand=on_hand,
        reserved=reserved,
        reason=reason,
        reference=reference,
        recorded_at=Timestamp(recorded_at),
    )


def _store_reservation(db: sqlite3.Connection, write: ReservationWrite) -> None:
    row = _reservation_row(write.after)
    if write.before is None:
        cursor = db.execute(_INSERT_RESERVATION, row)
    else:
        before = write.before
        condition = (before.reservation_id, before.state, before.expires_at)
        cursor = db.execute(_UPDATE_RESERVATION, (*row, *condition))
    if cursor.rowcount != 1:
        raise StaleReadError


def _reservation_row(reservation: Reservation) -> _Row:
    lines = [[line.key.item_id, line.key.sku, line.quantity] for line in reservation.lines]
    return (
        *(reservation.reservation_id, json.dumps(lines, ensure_ascii=False), reservation.state),
        *(reservation.reference, reservation.created_at, reservation.expires_at),
        reservation.closed_at,
    )


def _reservation(row: _Row) -> Reservation:
    reservation_id, lines, state, reference, created_at, expires_at, closed_at = row
    return Reservation(
        reservation_id=reservation_id,
        lines=tuple(
            ReservationLine(key=ItemKey(item_id=item_id, sku=sku), quantity=quantity)
            for item_id, sku, quantity in json.loads(lines)
        ),
        state=ReservationState(state),
        reference=reference,
        created_at=Timestamp(created_at),
        expires_at=Timestamp(expires_at),
        closed_at=None if closed_at is None else Timestamp(closed_at),
    )


def _serve(db: sqlite3.Connection, served: ServedRecord) -> None:
    if db.execute(_SERVE, attrs.astuple(served)).rowcount != 1:
        raise AlreadyServedError


def _served(row: _Row) -> ServedRecord:
    record_id, fingerprint, answer, served_at, expires_at = row
    return ServedRecord(
        record_id=record_id,
        fingerprint=fingerprint,
        answer=answer,
        served_at=Timestamp(served_at),
        expires_at=Timestamp(expires_at),
    )


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    # Immediate, because a read that turns into a write cannot wait: SQLite refuses it when another has written since.
    with _shorter_wait(db):
        db.execute("BEGIN IMMEDIATE")
    try:
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
    db.execute(f"PRAGMA busy_timeout = {max(0, int(left * 1000))}")
    try:
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
