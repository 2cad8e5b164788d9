"""Bare sqlite3 with the statements, schema and durability of our repository."""

import csv
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from inventory.commands import MAX_ROWS
from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["import_file", "operations"]

_COLUMNS: Final = (
    "item_id, sku, name, description, category, price, status, location, reorder_point, attributes, version, "
    "created_at, updated_at, quantity, reserved, seq, moved_at, changed_by"
)
_AT: Final = "2026-03-17T16:45:12.123456+00:00"
_SELECT: Final = f"SELECT {_COLUMNS} FROM items"  # noqa: S608 - a constant
_BY_KEY: Final = f"{_SELECT} WHERE item_id = ? AND sku = ?"
_PAGE: Final = (
    f"{_SELECT} INDEXED BY items_by_category WHERE category = :category"
    " AND (updated_at, item_id, sku) > ('', '', '') ORDER BY updated_at, item_id, sku LIMIT 21"
)
_INSERT: Final = (
    f"INSERT INTO items ({_COLUMNS}, search_text)"  # noqa: S608
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (item_id, sku) DO NOTHING"
)
_MOVE: Final = (
    "UPDATE items SET version = ?, quantity = ?, seq = ?, moved_at = ?"
    " WHERE item_id = ? AND sku = ? AND quantity = ? AND reserved = ? AND seq = ? AND version = ?"
)
_MOVEMENT: Final = (
    "INSERT INTO movements (item_id, sku, seq, kind, delta_on_hand, delta_reserved, on_hand, reserved, reason, reference,"
    " recorded_at, write_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@contextmanager
def operations(path: Path, item_id: str, sku: str) -> Iterator[dict[str, Callable[[], Any]]]:
    """
    Yield one call per operation on a file of our repository that contains the item.

    Like our repository, it has a reader and a writer connection, so that each also pays for the writes of the other.
    """
    with closing(_connected(path)) as reader, closing(_connected(path)) as db:
        yield _operations(reader, db, item_id, sku)


def import_file(file: Path, store: Path) -> int:
    """
    Insert the rows of a CSV file into a new store and return their number.

    The transactions are as large as those of our import. There are no lookups, idempotency keys or reports.
    """
    SqliteRepository(store).close()
    with closing(_connected(store)) as db, file.open(newline="", encoding="utf-8") as opened:
        db.execute("PRAGMA synchronous = FULL")
        table = csv.DictReader(opened)
        inserted = 0
        while rows := [_row(fields) for fields in islice(table, MAX_ROWS)]:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_INSERT, rows)
            db.execute("COMMIT")
            inserted += len(rows)
    return inserted


def _row(fields: dict[str, str]) -> tuple[Any, ...]:
    texts = tuple(fields[name] for name in ("sku", "name", "description", "category", "price"))
    return (
        str(uuid.uuid4()),
        *texts,
        "available",
        "default",
        None,
        "{}",
        1,
        _AT,
        _AT,
        fields["quantity"],
        0,
        0,
        None,
        None,
        f"{fields['sku']}\n{fields['name']}".lower(),
    )


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def _operations(
    reader: sqlite3.Connection, db: sqlite3.Connection, item_id: str, sku: str
) -> dict[str, Callable[[], Any]]:
    db.execute("PRAGMA synchronous = FULL")
    seqs = count(reader.execute(_BY_KEY, (item_id, sku)).fetchone()[15] + 1)

    def create() -> None:
        columns = (str(uuid.uuid4()), "SKU", "Tent", "", "new", "249.5", "available", "default")
        db.execute("BEGIN IMMEDIATE")
        db.execute(_INSERT, (*columns, None, "{}", 1, _AT, _AT, 9, 0, 0, None, None, "sku\ntent"))
        db.execute("COMMIT")

    def get() -> Any:
        return reader.execute(_BY_KEY, (item_id, sku)).fetchone()

    def adjust() -> None:
        row = get()
        quantity, reserved, seq = row[13:16]
        version, next_seq = row[10], next(seqs)
        before = (item_id, sku, quantity, reserved, seq, version)
        db.execute("BEGIN IMMEDIATE")
        db.execute(_MOVE, (version, quantity + 1, next_seq, _AT, *before))
        movement = (
            "adjust",
            1,
            0,
            quantity + 1,
            reserved,
            "delivery",
            None,
            _AT,
            str(uuid.uuid4()),
        )
        db.executemany(_MOVEMENT, [(item_id, sku, next_seq, *movement)])
        db.execute("COMMIT")

    def page() -> Any:
        return reader.execute(_PAGE, {"category": "tents"}).fetchall()

    return {"create": create, "get": get, "adjust": adjust, "list": page}
