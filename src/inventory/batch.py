"""Batches: several items created and updated by one request, and what became of each row."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from attrs import frozen

from inventory.commands import UpdateItem
from inventory.errors import (
    BatchRefusedError,
    DuplicateRowError,
    FieldError,
    InventoryError,
    ValidationError,
)
from inventory.items import Item, ItemKey

__all__ = ["RowResult", "check_none_refused", "check_unique", "check_valid"]


@frozen(kw_only=True)
class RowResult:
    """
    What became of one row.

    Attributes:
        index: The place of the row, from 0.
        created: Whether the row made an item; else it updated one, or was refused.
        item_id, sku, version, seq: The item as it then is; of a refused row, what the row says of it.
        error: Why the row was refused; None where it was not.
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
        """Return the result of a row that was not."""
        return cls(
            index=index,
            item_id=getattr(row, "item_id", None),
            sku=getattr(row, "sku", None),
            error=error,
        )


def check_unique(rows: Sequence[Any], stored_keys: Mapping[ItemKey, ItemKey] | None = None) -> None:
    """
    Make sure that no two rows are the same item.

    Args:
        rows: The rows of the batch.
        stored_keys: The keys of the items that rows find under other keys than their own.

    Raises:
        DuplicateRowError: Two are.
    """
    stored_keys = stored_keys or {}
    seen: dict[ItemKey, int] = {}
    for index, row in enumerate(rows):
        if isinstance(row, UpdateItem):
            key = stored_keys.get(row.key, row.key)
            if seen.setdefault(key, index) != index:
                raise DuplicateRowError(
                    item_id=key.item_id, sku=key.sku, first_row=seen[key], second_row=index
                )


def check_valid(rows: Sequence[Any]) -> None:
    """
    Make sure that every row is a command.

    Raises:
        ValidationError: Some are not: with the faults of all of them.
    """
    faults = [
        FieldError(f"items[{index}]{'.' if fault.field else ''}{fault.field}", fault.message)
        for index, row in enumerate(rows)
        if isinstance(row, ValidationError)
        for fault in row.errors
    ]
    if faults:
        raise ValidationError(errors=tuple(faults))


def check_none_refused(refused: Mapping[int, InventoryError], *, rows: int) -> None:
    """
    Make sure that no row was refused.

    Raises:
        BatchRefusedError: Some were. Where promised units stood in the way, it can be tried again once they are freed.
    """
    if refused:
        raise BatchRefusedError(refused=refused, rows=rows)
