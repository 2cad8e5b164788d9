"""Pure verbs that create and update items."""

import attrs

from inventory import stock
from inventory.commands import CreateItem, UpdateItem
from inventory.errors import PreconditionFailedError
from inventory.items import AVAILABLE, OUT_OF_STOCK, Item, ItemKey, StockLevel, Timestamp
from inventory.preconditions import IfMatch
from inventory.stock import Movement, MovementKind
from inventory.validation import UNSET

__all__ = ["concerns_stock", "create", "precondition_failed", "require_match", "update"]


def create(command: CreateItem, *, item_id: str, at: Timestamp) -> Item:
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
        created_at=at,
        updated_at=at,
        level=StockLevel(on_hand=command.quantity),
    )


def update(
    before: Item, command: UpdateItem, *, at: Timestamp
) -> tuple[Item, tuple[Movement, ...]]:
    """
    Return the updated item, and the movement of a new quantity.

    Raises:
        PreconditionFailedError: The item is not in a state that `if_match` accepts.
        BelowReservedError: The new quantity is less than the reserved units.
    """
    require_match(command.if_match, before, with_stock=concerns_stock(command))
    after = before
    movements: tuple[Movement, ...] = ()
    if command.quantity is not UNSET:
        change = stock.count(before, command.quantity, kind=MovementKind.EDIT, at=at)
        movements = (change.movement,)
        after = attrs.evolve(change.item, updated_at=at)
    details = command.details
    if details:
        after = after.edited(details, at=at)
    return after, movements


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
