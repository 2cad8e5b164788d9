"""Lists of items: the request for each filter, the order of its rows, and what a page may cost."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from attrs import define, field, frozen

from inventory.items import ItemKey
from inventory.ports import ItemFilter
from inventory.timeouts import time_left
from inventory_adapters.storage.dynamodb.calls import MAX_BATCH
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.rows import Row, Value, marker_key, text
from inventory_adapters.storage.dynamodb.schema import LOW_STOCK_PK, IndexSchema

__all__ = [
    "MAX_READS",
    "Budget",
    "Chunk",
    "Place",
    "key_at",
    "list_request",
    "place_in",
    "place_of",
]

MAX_READS: Final = 10
"""The most reads that a page takes."""
_MAX_SECONDS: Final = 3.0
_MAX_BYTES: Final = 4 << 20
_ONE_READ_SECONDS: Final = 1.5

_FIRST_ROWS: Final = 100
_MAX_ROWS: Final = 2000

# Source: "DynamoDB read consistency": one unit reads 8 KB with eventual consistency, which lists use.
_BYTES_PER_UNIT: Final = 8192

_BY_ID: Final = ("item_id", "sku")
_BY_EDIT: Final = ("updated_at", "item_id", "sku")

Place = tuple[str, ...]
"""The position of a row in a list: the values that the list is ordered by."""


@frozen(kw_only=True)
class Chunk:
    """
    The result of one read of a list.

    Attributes:
        rows: The rows of the items, each after the row that the list was walked by: the same one, or one with keys only.
        end: The place of the last row that was read; None if there are no more.
        size_bytes: How much was read, including rows that a filter dropped.
        reads: How many requests it took.
    """

    rows: list[tuple[Row, Row]]
    end: Place | None
    size_bytes: float
    reads: int = 1

    @classmethod
    def of(cls, answer: Mapping[str, Any], item_filter: ItemFilter) -> Self:
        """Return the chunk in the answer to a `list_request`."""
        rows: list[Row] = answer["Items"]
        end: Row | None = answer.get("LastEvaluatedKey")
        if end is not None and item_filter.index == "low_stock":
            # The key of a marker may be a hash; its other attributes name the item.
            end = rows[-1]
        units = answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0)
        return cls(
            rows=list(zip(rows, rows, strict=True)),
            end=None if end is None else place_in(item_filter, end),
            size_bytes=units * _BYTES_PER_UNIT,
        )


@define
class Budget:
    """
    What a page may cost: a filter that few items pass must not keep a request busy for long.

    Args:
        keys_only: Whether the items are read by a batch read.
    """

    keys_only: bool
    reads: int = 0
    size_bytes: float = 0
    started: float = field(factory=time.monotonic)

    def limit(self, item_filter: ItemFilter, missing: int) -> int:
        """Return how many rows to read next if *missing* are needed."""
        maximum = MAX_BATCH if self.keys_only else _MAX_ROWS
        if not _drops_rows(item_filter):
            return min(missing, maximum)
        # Twice as many each time, because nobody knows how many a filter drops.
        return min(_FIRST_ROWS << self.reads, maximum)

    def spend(self, chunk: Chunk) -> None:
        """Add the cost of *chunk*."""
        self.reads += chunk.reads
        self.size_bytes += chunk.size_bytes

    @property
    def is_spent(self) -> bool:
        """Whether the page must end."""
        return (
            self.reads >= MAX_READS
            or self.size_bytes >= _MAX_BYTES
            or time.monotonic() - self.started >= _MAX_SECONDS
            or time_left() < _ONE_READ_SECONDS
        )


def list_request(
    item_filter: ItemFilter,
    after: Place | None,
    *,
    table: str,
    ledger_table: str,
    index: IndexSchema | None,
) -> tuple[str, dict[str, Any]]:
    """Return operation and request that read the list, by its *index* of the items table, from after a place on."""
    expression = Expression()
    request: dict[str, Any] = {"TableName": table, "ReturnConsumedCapacity": "TOTAL"}
    if after is not None:
        request["ExclusiveStartKey"] = _start_key(item_filter, after)
    if item_filter.index == "item_id":
        return "Scan", request | expression.arguments(**_filters(expression, item_filter))
    if index is None:
        request |= {"TableName": ledger_table, "ConsistentRead": True}
        condition = expression.equals("pk", text(LOW_STOCK_PK))
        return "Query", request | expression.arguments(KeyConditionExpression=condition)
    request["IndexName"] = index.name
    condition = expression.equals(item_filter.index, text(getattr(item_filter, item_filter.index)))
    # An index of keys has no attributes to filter by.
    filters = {} if index.projection == "KEYS_ONLY" else _filters(expression, item_filter)
    return "Query", request | expression.arguments(KeyConditionExpression=condition, **filters)


def place_in(item_filter: ItemFilter, row: Row) -> Place:
    """Return the place in a list of a row that the list is walked by."""
    return place_of(row, _order(item_filter))


def place_of(row: Row, attributes: Iterable[str]) -> Place:
    """Return the place of *row* in the order of *attributes*."""
    return tuple(row[attribute]["S"] for attribute in attributes)


def key_at(attributes: Iterable[str], place: Place) -> dict[str, Value]:
    """Return *place* as the attributes that it consists of."""
    return {name: text(part) for name, part in zip(attributes, place, strict=True)}


def _drops_rows(item_filter: ItemFilter) -> bool:
    """Return whether the list reads rows that do not pass the filter."""
    conditions = (
        *(item_filter.category, item_filter.status, item_filter.sku),
        *(item_filter.location, item_filter.low_stock, item_filter.search),
    )
    return sum(map(bool, conditions)) > (item_filter.index != "item_id")


def _filters(expression: Expression, item_filter: ItemFilter) -> dict[str, str]:
    """Return the conditions that the index does not already guarantee."""
    filters = [
        expression.means(name, value)
        for name, value in (("status", item_filter.status), ("location", item_filter.location))
        if value is not None and name != item_filter.index
    ]
    return {"FilterExpression": " AND ".join(filters)} if filters else {}


def _order(item_filter: ItemFilter) -> tuple[str, ...]:
    """Return the attributes that the list is ordered by, as in `ItemFilter.position`."""
    return _BY_EDIT if item_filter.index == "category" else _BY_ID


def _start_key(item_filter: ItemFilter, place: Place) -> Row:
    """Return the key after which DynamoDB continues; the row need not exist any more."""
    if item_filter.index == "low_stock":
        item_id, sku = place
        return marker_key(ItemKey(item_id=item_id, sku=sku))
    key = key_at(_order(item_filter), place)
    if item_filter.index != "item_id":
        key[item_filter.index] = text(getattr(item_filter, item_filter.index))
    return key
