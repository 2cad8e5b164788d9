"""Snapshots and restores, on one connection."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from inventory.errors import TargetNotEmptyError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item
from inventory.reservations import Reservation
from inventory.snapshots import Record
from inventory.stock import Movement
from inventory_adapters.storage.sqlite.rows import (
    Row,
    hold_rows,
    idempotency_record_to_row,
    item_to_columns,
    movement_to_row,
    reservation_to_row,
    row_to_idempotency_record,
    row_to_item,
    row_to_movement,
    row_to_reservation,
)
from inventory_adapters.storage.sqlite.schema import (
    DELETE_HOLD,
    FINISH_RESTORE,
    IDEMPOTENCY_COLUMNS,
    INSERT_HOLD,
    ITEM_COLUMNS,
    MOVEMENT_COLUMNS,
    REPLACE_IDEMPOTENCY_RECORD,
    REPLACE_ITEM,
    REPLACE_MOVEMENT,
    REPLACE_RESERVATION,
    RESERVATION,
    RESERVATION_COLUMNS,
    RESTORE_ID,
    START_RESTORE,
)

__all__ = ["finish", "read_all", "restore_id", "start", "store"]

# In the order of a snapshot: reservations last.
_TABLES: Final[dict[str, tuple[str, Callable[[Row], Record]]]] = {
    "items": (ITEM_COLUMNS, row_to_item),
    "movements": (MOVEMENT_COLUMNS, row_to_movement),
    "idempotency_records": (IDEMPOTENCY_COLUMNS, row_to_idempotency_record),
    "reservations": (RESERVATION_COLUMNS, row_to_reservation),
}
_IS_EMPTY: Final = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {table})" for table in _TABLES)


def read_all(db: sqlite3.Connection) -> Iterator[Record]:
    """Yield every record, as of one moment."""
    db.execute("BEGIN")
    for table, (columns, read) in _TABLES.items():
        yield from map(read, db.execute(f"SELECT {columns} FROM {table}"))


def restore_id(db: sqlite3.Connection) -> str | None:
    """Return the ID of the restore under way, if there is one."""
    row: Row | None = db.execute(RESTORE_ID).fetchone()
    return row[0] if row else None


def start(db: sqlite3.Connection, new_id: str) -> None:
    """
    Mark the database as being restored.

    Raises:
        TargetNotEmptyError: It has records, or is being restored otherwise.
    """
    current = restore_id(db)
    if current == new_id:
        return
    if current is not None or not db.execute(f"SELECT {_IS_EMPTY}").fetchone()[0]:
        raise TargetNotEmptyError
    db.execute(START_RESTORE, (new_id,))


def store(db: sqlite3.Connection, records: Sequence[Record]) -> None:
    """
    Store *records*, each in place of the one with its key.

    Raises:
        TargetNotEmptyError: The database is not being restored.
    """
    write_id = restore_id(db)
    if write_id is None:
        raise TargetNotEmptyError
    for record in records:
        match record:
            case Item():
                db.execute(REPLACE_ITEM, (*item_to_columns(record).values(), record.search_text))
            case Movement():
                db.execute(REPLACE_MOVEMENT, movement_to_row(record, write_id))
            case IdempotencyRecord():
                db.execute(REPLACE_IDEMPOTENCY_RECORD, idempotency_record_to_row(record))
            case Reservation():
                _store_reservation(db, record)


def finish(db: sqlite3.Connection) -> None:
    """Remove the mark."""
    db.execute(FINISH_RESTORE)


def _store_reservation(db: sqlite3.Connection, reservation: Reservation) -> None:
    row: Row | None = db.execute(RESERVATION, (reservation.reservation_id,)).fetchone()
    db.executemany(DELETE_HOLD, hold_rows(row_to_reservation(row) if row else None))
    db.execute(REPLACE_RESERVATION, reservation_to_row(reservation))
    db.executemany(INSERT_HOLD, hold_rows(reservation))
