"""Pure verbs that create and update items."""

from typing import Any

import attrs

from inventory import stock
from inventory.commands import ATTRIBUTES, CreateItem, UpdateItem
from inventory.errors import FieldError, PreconditionFailedError, ValidationError
from inventory.items import AVAILABLE, OUT_OF_STOCK, Item, ItemKey, StockLevel, Timestamp
from inventory.preconditions import IfMatch
from inventory.stock import Movement, MovementKind
from inventory.validation import UNSET, BoundError

__all__ = [
    "concerns_stock",
    "create",
    "details",
    "precondition_failed",
    "require_match",
    "update",
]


def create(command: CreateItem, *, item_id: str, actor: str | None, at: Timestamp) -> Item:
    """Return the new item."""
    status = command.status
    if status is UNSET:
        status = AVAILABLE if command.quantity else OUT_OF_STOCK
    return Item(
        key=ItemKey(item_id=item_id, sku=command.sku),
        name=command.name,
        description=command.description,
        category=command.category,
        price=command.price,
        status=status,
        location=command.location,
        reorder_point=command.reorder_point,
        attributes=command.attributes,
        created_at=at,
        updated_at=at,
        level=StockLevel(on_hand=command.quantity),
        changed_by=actor,
    )


def update(
    before: Item, command: UpdateItem, *, actor: str | None, at: Timestamp
) -> tuple[Item, tuple[Movement, ...]]:
    """
    Return the updated item, and the movement of a new quantity.

    Raises:
        PreconditionFailedError: The item is not in a state that `if_match` accepts.
        BelowReservedError: The new quantity is less than the reserved units.
        ValidationError: The merged attributes are out of their bound.
    """
    require_match(command.if_match, before, with_stock=concerns_stock(command))
    after = before
    movements: tuple[Movement, ...] = ()
    if command.quantity is not UNSET:
        change = stock.count(before, command.quantity, kind=MovementKind.EDIT, actor=actor, at=at)
        movements = (change.movement,)
        after = attrs.evolve(change.item, updated_at=at)
    fields = details(before, command)
    if fields:
        after = after.edited(fields, actor=actor, at=at)
        # A new reorder point or status counts, too.
        crossed = stock.crossings(before, after)
        movements = tuple(attrs.evolve(movement, crossed=crossed) for movement in movements)
    return after, movements


def details(before: Item, command: UpdateItem) -> dict[str, Any]:
    """
    Return the new details of an item by name, with its attributes merged.

    Raises:
        ValidationError: The merged attributes are out of their bound.
    """
    fields = command.details
    if command.attributes is not UNSET and command.attributes:
        merged = {**before.attributes, **command.attributes}
        kept = {name: text for name, text in merged.items() if text is not None}
        try:
            fields["attributes"] = ATTRIBUTES.read(kept)
        except BoundError as error:
            errors = (FieldError("attributes", part.message) for part in error.errors)
            raise ValidationError(errors=tuple(errors)) from None
    return fields


def concerns_stock(command: UpdateItem) -> bool:
    """Return whether the update depends on the stock of the item."""
    return command.quantity is not UNSET or command.reorder_point is not UNSET


def require_match(if_match: IfMatch, item: Item, *, with_stock: bool) -> None:
    """
    Check that *item* is in an accepted state, *with_stock* or by its details alone.

    Raises:
        PreconditionFailedError: It is not.
    """
    if not (if_match.accepts(item) if with_stock else if_match.accepts_version(item)):
        raise precondition_failed(item)


def precondition_failed(item: Item) -> PreconditionFailedError:
    """Return the error for an item that is not in an accepted state."""
    return PreconditionFailedError(version=item.version, seq=item.level.seq)
