"""Batches: create and update several items with one request."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import attrs
from attrs import frozen

from inventory import edits, lookup
from inventory.commands import BatchItems, CreateItem, UpdateItem
from inventory.errors import (
    BatchRefusedError,
    DuplicateRowError,
    FieldError,
    InventoryError,
    ItemNotFoundError,
    ValidationError,
)
from inventory.idempotency import IdempotencyKey
from inventory.items import Item, ItemKey, Timestamp
from inventory.ports import Change, InventoryRepository, ItemWrite, NewId
from inventory.retry import Decision
from inventory.stock import Movement

__all__ = ["RowResult", "apply_each", "check_unique", "check_valid", "decide", "stored_keys"]

Row = TypeVar("Row", CreateItem, UpdateItem)


@frozen(kw_only=True)
class RowResult:
    """
    The result of one row.

    Attributes:
        index: The index of the row, from 0.
        created: Whether the row created an item. False for one that was updated or rejected.
        item_id, sku, version, seq: The created or updated item. Of a rejected row, the ID and the SKU that it names.
        error: Why the row was rejected; None where it was applied.
    """

    index: int
    created: bool = False
    item_id: str | None = None
    sku: str | None = None
    version: int | None = None
    seq: int | None = None
    error: InventoryError | None = None

    @classmethod
    def of(cls, index: int, item: Item, *, created: bool) -> Self:
        """Return the result of a row that was applied."""
        return cls(
            index=index,
            created=created,
            item_id=item.item_id,
            sku=item.sku,
            version=item.version,
            seq=item.level.seq,
        )

    @classmethod
    def rejected(cls, index: int, row: Any, error: InventoryError) -> Self:
        """Return the result of a row that was rejected."""
        return cls(
            index=index,
            item_id=getattr(row, "item_id", None),
            sku=getattr(row, "sku", None),
            error=error,
        )


def check_unique(rows: Sequence[Any], stored: Mapping[ItemKey, ItemKey] | None = None) -> None:
    """
    Check that no two rows name the same item.

    Args:
        rows: The rows of the batch.
        stored: Keys of items that differ from the keys of their rows; see `stored_keys`.

    Raises:
        DuplicateRowError: Two rows do.
    """
    stored = stored or {}
    seen: dict[ItemKey, int] = {}
    for index, row in enumerate(rows):
        if isinstance(row, UpdateItem):
            key = stored.get(row.key, row.key)
            if seen.setdefault(key, index) != index:
                raise DuplicateRowError(
                    item_id=key.item_id, sku=key.sku, first_row=seen[key], second_row=index
                )


def check_valid(rows: Sequence[Any]) -> None:
    """
    Check that every row is a command.

    Raises:
        ValidationError: Rows are invalid; it has the errors of all of them.
    """
    errors = [
        FieldError(f"items[{index}]{'.' if error.field else ''}{error.field}", error.message)
        for index, row in enumerate(rows)
        if isinstance(row, ValidationError)
        for error in row.errors
    ]
    if errors:
        raise ValidationError(errors=tuple(errors))


def stored_keys(repository: InventoryRepository, rows: Iterable[Any]) -> dict[ItemKey, ItemKey]:
    """
    Return the stored keys of rows whose SKU is not normalized.

    Only those items are read.
    """
    keys = [row.key for row in rows if isinstance(row, UpdateItem)]
    items = lookup.get_items(repository, [key for key in keys if key.normalized != key])
    return {key: item.key for key, item in items.items()}


def decide(
    command: BatchItems,
    repository: InventoryRepository,
    *,
    new_id: NewId,
    actor: str | None,
    at: Timestamp,
) -> Decision[tuple[RowResult, ...]]:
    """
    Return one change for all rows, and the result of each.

    Raises:
        BatchRefusedError: Rows were rejected. Where reserved units were the reason, it has their number.
    """
    items = lookup.get_items(
        repository, [row.key for row in command.items if isinstance(row, UpdateItem)]
    )
    writes: list[ItemWrite] = []
    movements: list[Movement] = []
    results: list[RowResult] = []
    rejected: dict[int, InventoryError] = {}
    for index, row in enumerate(command.items):
        before: Item | None = None
        try:
            if isinstance(row, CreateItem):
                after = edits.create(row, item_id=new_id(), actor=actor, at=at)
            elif isinstance(row, UpdateItem):
                before = items.get(row.key)
                if before is None:
                    raise ItemNotFoundError(item_id=row.item_id, sku=row.sku)
                after, moved = edits.update(before, row, actor=actor, at=at)
                movements += moved
            else:
                raise row
        except InventoryError as error:
            rejected[index] = error
            continue
        writes.append(ItemWrite(before=before, after=after))
        results.append(RowResult.of(index, after, created=before is None))
    if rejected:
        raise BatchRefusedError(refused=rejected, rows=len(command.items))
    change = Change(write_id=new_id(), items=tuple(writes), movements=tuple(movements))
    return change, tuple(results)


def apply_each(
    command: BatchItems,
    *,
    create: Callable[[CreateItem], Item],
    update: Callable[[UpdateItem], Item],
) -> tuple[RowResult, ...]:
    """Apply each row by itself, with its own idempotency key."""
    results: list[RowResult] = []
    for index, row in enumerate(command.items):
        key = command.idempotency_key and command.idempotency_key.for_row(index)
        try:
            if isinstance(row, CreateItem):
                item = create(_under_key(row, key))
            elif isinstance(row, UpdateItem):
                item = update(_under_key(row, key))
            else:
                raise row
        except InventoryError as error:
            results.append(RowResult.rejected(index, row, error))
        else:
            results.append(RowResult.of(index, item, created=isinstance(row, CreateItem)))
    return tuple(results)


def _under_key(row: Row, key: IdempotencyKey | None) -> Row:
    return attrs.evolve(row, idempotency_key=key)  # type: ignore[misc] # an attrs class, made by `command`
