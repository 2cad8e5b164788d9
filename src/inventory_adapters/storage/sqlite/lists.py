"""Lists of items and reservations as SQL: keyset pagination along one index."""

import sqlite3
from typing import Any, Final, Self

import attrs
from attrs import frozen

from inventory.ports import ItemFilter, ReservationFilter
from inventory_adapters.storage.sqlite.rows import Row
from inventory_adapters.storage.sqlite.schema import (
    BEYOND_EVERY_TEXT,
    IS_HELD,
    IS_LOW,
    ITEM_COLUMNS,
    RESERVATION_COLUMNS,
)

__all__ = ["ListQuery", "list_reservations"]

# A list with filters beyond its index reads the index in windows of this many rows, and a limited number of windows per page.
# Pages are then full except under very selective filters, and no page reads the whole of a large table.
_WINDOW: Final = 2_000
_MAX_WINDOWS: Final = 50

Position = tuple[str, ...]


@frozen
class ListQuery:
    """
    One list as SQL.

    The query names its index, so that neither statistics nor a version of SQLite can turn it into a scan.

    Attributes:
        index: The name of the index.
        position: The columns that order the list.
        indexed_condition: The condition that selects a range of the index.
        other_conditions: The conditions that rows of the range must also meet; empty if there are none.
        values: The parameters of both conditions.
    """

    index: str
    position: tuple[str, ...]
    indexed_condition: str
    other_conditions: str
    values: dict[str, Any]

    @classmethod
    def of(cls, item_filter: ItemFilter) -> Self:
        conditions = {
            name: condition for name, condition in _CONDITIONS.items() if getattr(item_filter, name)
        }
        words = {f"word_{number}": word for number, word in enumerate(item_filter.words)}
        # Not LIKE, which would need escapes.
        conditions |= {name: f"instr(search_text, :{name})" for name in words}
        name: str = item_filter.index
        if words and name in ("status", "item_id"):
            name = "search"  # Lists by status have the same order, and most items have the same status.
        index, position = _INDEXES[name]
        return cls(
            index=index,
            position=position,
            indexed_condition=conditions.pop(name, "TRUE"),
            other_conditions=" AND ".join(conditions.values()),
            values=attrs.asdict(item_filter) | words,
        )

    @property
    def start(self) -> Position:
        """A position before every row: no part of a key is empty."""
        return ("",) * len(self.position)

    def page(
        self, db: sqlite3.Connection, after: Position, size: int
    ) -> tuple[list[Row], Position | None]:
        """
        Return up to *size* rows after a position, and the next position.

        The next position is None on the last page.
        """
        rows: list[Row] = []
        for _ in range(_MAX_WINDOWS):
            end = self._window_end(db, after) if self.other_conditions else None
            # One row more than requested shows whether there is a next page.
            rows += self._rows(db, after, end, limit=size + 1 - len(rows))
            if len(rows) > size:
                return rows[:size], self._position_of(rows[size - 1])
            if end is None:
                return rows, None
            after = end
        return rows, after

    def _window_end(self, db: sqlite3.Connection, after: Position) -> Position | None:
        """Return the position `_WINDOW` rows after *after*, or None at the end."""
        sql = f"{self._select(', '.join(self.position))} LIMIT 1 OFFSET {_WINDOW - 1}"
        end: Position | None = db.execute(sql, self._parameters(after)).fetchone()
        return end

    def _rows(
        self, db: sqlite3.Connection, after: Position, end: Position | None, *, limit: int
    ) -> list[Row]:
        # The window ends at a position, not after a count, so a row inserted or deleted meanwhile cannot make it skip another.
        conditions = [self.other_conditions] if self.other_conditions else []
        if end:
            conditions.append(f"({', '.join(self.position)}) <= ({_parameter_names('end', end)})")
        sql = f"{self._select(ITEM_COLUMNS, *conditions)} LIMIT {limit:d}"
        return db.execute(sql, self._parameters(after, end or ())).fetchall()

    def _select(self, columns: str, *conditions: str) -> str:
        position = ", ".join(self.position)
        after = f"({position}) > ({_parameter_names('after', self.position)})"
        where = " AND ".join((self.indexed_condition, after, *conditions))
        return (
            f"SELECT {columns} FROM items INDEXED BY {self.index} WHERE {where} ORDER BY {position}"
        )

    def _parameters(self, after: Position, end: Position = ()) -> dict[str, Any]:
        positions = {f"after_{number}": part for number, part in enumerate(after)}
        positions |= {f"end_{number}": part for number, part in enumerate(end)}
        return self.values | positions

    def _position_of(self, row: Row) -> Position:
        by_name = dict(zip(ITEM_COLUMNS.split(", "), row, strict=True))
        return tuple(by_name[column] for column in self.position)


_INDEXES: Final = {
    "search": ("items_by_text", ("item_id", "sku")),
    "sku": ("items_by_sku", ("item_id", "sku")),
    "low_stock": ("items_low", ("item_id", "sku")),
    "category": ("items_by_category", ("updated_at", "item_id", "sku")),
    "status": ("items_by_status", ("item_id", "sku")),
    "item_id": ("items_by_id", ("item_id", "sku")),
}

_CONDITIONS: Final = {
    "sku": "sku = :sku",
    "low_stock": IS_LOW,
    "category": "category = :category",
    "status": "status = :status",
    "location": "location = :location",
}


def list_reservations(
    db: sqlite3.Connection,
    reservation_filter: ReservationFilter,
    after: Position,
    limit: int,
) -> list[Row]:
    """Return the rows of up to *limit* held reservations after a position."""
    key = reservation_filter.key
    if reservation_filter.reference is not None:
        # Before the item, because fewer reservations share a reference.
        rows = f"reservations INDEXED BY reservations_by_reference WHERE {IS_HELD} AND reference = :reference"
        if key is not None:
            rows += " AND (:item_id, :sku, expires_at, reservation_id) IN holds"
    elif key is not None:
        # CROSS, because SQLite then reads the tables in this order.
        rows = (
            "holds CROSS JOIN reservations INDEXED BY reservations_by_id USING (expires_at, reservation_id)"
            " WHERE item_id = :item_id AND sku = :sku"
        )
    else:
        rows = f"reservations INDEXED BY reservations_held WHERE {IS_HELD}"
    if reservation_filter.ends_after is not None:
        after = max(after, (reservation_filter.ends_after, BEYOND_EVERY_TEXT))
    sql = (
        f"SELECT {RESERVATION_COLUMNS} FROM {rows} AND (expires_at, reservation_id) > (:after_0, :after_1)"
        " AND expires_at <= :due_by ORDER BY expires_at, reservation_id LIMIT :limit"
    )
    values = {
        "item_id": key and key.item_id,
        "sku": key and key.sku,
        "reference": reservation_filter.reference,
        "after_0": after[0],
        "after_1": after[1],
        "due_by": reservation_filter.due_by or BEYOND_EVERY_TEXT,
        "limit": limit,
    }
    return db.execute(sql, values).fetchall()


def _parameter_names(prefix: str, position: tuple[str, ...]) -> str:
    return ", ".join(f":{prefix}_{number}" for number in range(len(position)))
