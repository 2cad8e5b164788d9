"""Lists of items as SQL: the walk along one index from where the page before ended."""
# ruff: noqa: S608 - the SQL is put together from constants; every value is a parameter.

import sqlite3
from typing import Any, Final, Self

import attrs
from attrs import frozen

from inventory.ports import Index, ItemFilter
from inventory_adapters.storage.sqlite.rows import Row
from inventory_adapters.storage.sqlite.schema import COLUMNS, IS_LOW

__all__ = ["Walk"]

# Rows of the index that are looked at for one page of a list with more filters than its index has: enough that pages are
# full but for the rarest filters, and never the whole of a large table for the sake of one page.
_WINDOW: Final = 2_000
_MAX_WINDOWS: Final = 50

Position = tuple[str, ...]


@frozen
class Walk:
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
    def start(self) -> Position:
        """A place before every row: no part of a key is empty."""
        return ("",) * len(self.position)

    def page(
        self, db: sqlite3.Connection, after: Position, size: int
    ) -> tuple[list[Row], Position | None]:
        """Return up to *size* rows from *after* on, and where the next page starts, if there is one."""
        rows: list[Row] = []
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

    def _window_end(self, db: sqlite3.Connection, after: Position) -> Position | None:
        """Return the place `_WINDOW` rows further on, or None where the stretch ends before."""
        sql = f"{self._select(', '.join(self.position))} LIMIT 1 OFFSET {_WINDOW - 1}"
        found: Position | None = db.execute(sql, self._parameters(after)).fetchone()
        return found

    def _rows(
        self, db: sqlite3.Connection, after: Position, end: Position | None, *, limit: int
    ) -> list[Row]:
        # The end was looked up before: what comes or goes in between cannot make this window skip a row.
        conditions = [self.residual] if self.residual else []
        if end:
            conditions.append(f"({', '.join(self.position)}) <= ({_places('end', end)})")
        sql = f"{self._select(COLUMNS, *conditions)} LIMIT {limit:d}"
        return db.execute(sql, self._parameters(after, end or ())).fetchall()

    def _select(self, columns: str, *conditions: str) -> str:
        position = ", ".join(self.position)
        after = f"({position}) > ({_places('after', self.position)})"
        where = " AND ".join((self.stretch, after, *conditions))
        return (
            f"SELECT {columns} FROM items INDEXED BY {self.index} WHERE {where} ORDER BY {position}"
        )

    def _parameters(self, after: Position, end: Position = ()) -> dict[str, Any]:
        places = {f"after_{place}": part for place, part in enumerate(after)}
        places |= {f"end_{place}": part for place, part in enumerate(end)}
        return self.values | places

    def _position_of(self, row: Row) -> Position:
        by_name = dict(zip(COLUMNS.split(", "), row, strict=True))
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
    "low_stock": IS_LOW,
    "category": "category = :category",
    "status": "status = :status",
    "location": "location = :location",
}


def _places(name: str, position: tuple[str, ...]) -> str:
    return ", ".join(f":{name}_{place}" for place in range(len(position)))
