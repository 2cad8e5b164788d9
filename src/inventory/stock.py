"""Movements of stock, and the pure verbs that make them: a verb returns an item's next state and the movement for it."""

from enum import StrEnum
from typing import Final

from attrs import field, frozen

from inventory.errors import (
    BelowReservedError,
    InsufficientStockError,
    ItemInUseError,
    StockLimitError,
)
from inventory.items import Item, ItemKey, StockLevel, Timestamp

__all__ = [
    "MAX_QUANTITY",
    "Movement",
    "MovementKind",
    "StockChange",
    "Transfer",
    "adjust",
    "count",
    "delete",
    "expire",
    "issue",
    "opening",
    "release",
    "reserve",
    "transfer",
]

MAX_QUANTITY: Final = 1_000_000_000
"""Units on hand that any verb may bring an item to; leaves every sum of 100 lines far inside 64 bits."""


class MovementKind(StrEnum):
    """Why a level changed."""

    ADJUST = "adjust"
    COUNT = "count"
    EDIT = "edit"
    RESERVE = "reserve"
    RELEASE = "release"
    EXPIRE = "expire"
    COMMIT = "commit"
    TRANSFER_OUT = "transfer_out"
    TRANSFER_IN = "transfer_in"
    CORRECTION = "correction"
    DELETE = "delete"
    OPENING = "opening"


@frozen(kw_only=True)
class Movement:
    """
    One entry of the ledger; never changed once written.

    Attributes:
        key: The item that moved.
        seq: Its place in the item's history, from 1 and without gaps; 0 for the derived opening entry.
        kind: Why the level changed.
        delta_on_hand: Units that came (positive) or left (negative).
        delta_reserved: Units that were promised (positive) or freed (negative).
        on_hand: Units on hand afterwards.
        reserved: Units reserved afterwards.
        reason: Why, in the words of the person who did it.
        reference: What it was for: an order, a delivery note.
        reservation_id: The reservation whose units moved.
        recorded_at: When it was written.
        item_created_at: When the item was created; on the first movement and on the one of kind `delete`, so that the opening
            entry can be dated once the item is gone. Stored, and not part of the wire format: None from an API.
    """

    key: ItemKey
    seq: int
    kind: MovementKind
    delta_on_hand: int
    delta_reserved: int = 0
    on_hand: int
    reserved: int
    reason: str | None = None
    reference: str | None = None
    reservation_id: str | None = None
    recorded_at: Timestamp
    item_created_at: Timestamp | None = None


@frozen(kw_only=True)
class StockChange:
    """
    What a movement did to an item.

    Attributes:
        item: The item after the movement.
        movement: The ledger entry that explains the change.
        before: The item before it; None where the change was read from an API or from an idempotency record.
    """

    item: Item
    movement: Movement
    before: Item | None = field(default=None, eq=False, repr=False)


@frozen(kw_only=True)
class Transfer:
    """
    What a transfer did.

    Attributes:
        source: The item that units left, as it then is.
        destination: The item that they came to, as it then is.
    """

    source: Item
    destination: Item


def _move(  # noqa: PLR0913 - a movement has that many sides
    item: Item,
    kind: MovementKind,
    *,
    on_hand: int = 0,
    reserved: int = 0,
    reason: str | None = None,
    reference: str | None = None,
    reservation_id: str | None = None,
    at: Timestamp,
) -> StockChange:
    before = item.level
    if on_hand > 0 and before.on_hand + on_hand > MAX_QUANTITY:
        raise StockLimitError(
            item_id=item.item_id,
            sku=item.sku,
            limit=MAX_QUANTITY,
            quantity=before.on_hand,
            requested=on_hand,
        )
    after = StockLevel(
        on_hand=before.on_hand + on_hand,
        reserved=before.reserved + reserved,
        seq=before.seq + 1,
    )
    movement = Movement(
        key=item.key,
        seq=after.seq,
        kind=kind,
        delta_on_hand=on_hand,
        delta_reserved=reserved,
        on_hand=after.on_hand,
        reserved=after.reserved,
        reason=reason,
        reference=reference,
        reservation_id=reservation_id,
        recorded_at=at,
        item_created_at=item.created_at if after.seq == 1 or kind is MovementKind.DELETE else None,
    )
    return StockChange(before=item, item=item.moved(after), movement=movement)


def _require_available(item: Item, units: int) -> None:
    if units > item.level.available:
        raise InsufficientStockError(
            item_id=item.item_id,
            sku=item.sku,
            available=item.level.available,
            requested=units,
            reserved=item.level.reserved,
        )


def adjust(
    item: Item, delta: int, *, reason: str, reference: str | None = None, at: Timestamp
) -> StockChange:
    """
    Change on-hand by *delta* units.

    Raises:
        InsufficientStockError: More units would leave than are available.
        StockLimitError: More units would be on hand than an item may have.
    """
    _require_available(item, -delta)
    return _move(
        item, MovementKind.ADJUST, on_hand=delta, reason=reason, reference=reference, at=at
    )


def count(
    item: Item,
    found: int,
    *,
    kind: MovementKind = MovementKind.COUNT,
    reason: str | None = None,
    at: Timestamp,
) -> StockChange:
    """
    Set on-hand to what was *found*, also where it is what the books say: a count that agrees is worth a line.

    Raises:
        BelowReservedError: More units than *found* are promised.
    """
    if found < item.level.reserved:
        raise BelowReservedError(
            item_id=item.item_id, sku=item.sku, requested=found, reserved=item.level.reserved
        )
    return _move(item, kind, on_hand=found - item.level.on_hand, reason=reason, at=at)


def transfer(
    source: Item, destination: Item, units: int, *, reference: str | None = None, at: Timestamp
) -> tuple[StockChange, StockChange]:
    """
    Move *units* from one item to another.

    Raises:
        InsufficientStockError: The source has fewer units available.
        StockLimitError: The destination would have more units than an item may have.
    """
    _require_available(source, units)
    return (
        _move(source, MovementKind.TRANSFER_OUT, on_hand=-units, reference=reference, at=at),
        _move(destination, MovementKind.TRANSFER_IN, on_hand=units, reference=reference, at=at),
    )


def reserve(
    item: Item, units: int, *, reservation_id: str, reference: str | None = None, at: Timestamp
) -> StockChange:
    """
    Reserve *units* of what is available.

    Raises:
        InsufficientStockError: Fewer units are available.
    """
    _require_available(item, units)
    return _move(
        item,
        MovementKind.RESERVE,
        reserved=units,
        reference=reference,
        reservation_id=reservation_id,
        at=at,
    )


def issue(
    item: Item, units: int, *, reservation_id: str, reference: str | None = None, at: Timestamp
) -> StockChange:
    """
    Remove reserved *units* from stock: their reservation is committed.

    Raises:
        InsufficientStockError: The reserved count was wrong (see `reconcile`), and fewer units are available.
    """
    reserved = min(units, item.level.reserved)
    _require_available(item, units - reserved)
    return _move(
        item,
        MovementKind.COMMIT,
        on_hand=-units,
        reserved=-reserved,
        reference=reference,
        reservation_id=reservation_id,
        at=at,
    )


def release(
    item: Item, units: int, *, reservation_id: str, reference: str | None = None, at: Timestamp
) -> StockChange:
    """Make reserved *units* available again; at most as many as are reserved, should that count be wrong."""
    return _move(
        item,
        MovementKind.RELEASE,
        reserved=-min(units, item.level.reserved),
        reference=reference,
        reservation_id=reservation_id,
        at=at,
    )


def expire(
    item: Item, units: int, *, reservation_id: str, reference: str | None = None, at: Timestamp
) -> StockChange:
    """Make *units* whose reservation expired available again; otherwise as `release`."""
    return _move(
        item,
        MovementKind.EXPIRE,
        reserved=-min(units, item.level.reserved),
        reference=reference,
        reservation_id=reservation_id,
        at=at,
    )


def delete(item: Item, *, at: Timestamp) -> Movement:
    """
    Return the last movement of an item that is deleted: it brings both balances to 0.

    Raises:
        ItemInUseError: Units of the item are reserved.
    """
    if item.level.reserved:
        raise ItemInUseError(item_id=item.item_id, sku=item.sku, reserved=item.level.reserved)
    return _move(item, MovementKind.DELETE, on_hand=-item.level.on_hand, at=at).movement


def opening(
    item: Item | None, first: Movement | None, last: Movement | None = None
) -> Movement | None:
    """
    Derive the entry that every history ends with: the balance before the *first* movement, dated when the item was created.

    Args:
        item: The item, if it exists. Its level is the balance where it never moved.
        first: The earliest movement.
        last: The latest movement: of a deleted item, it dates the entry should movement 1 be missing.

    Returns:
        The entry with seq 0; None if there is neither item nor movement.
    """
    if first is not None:
        created_at = first.item_created_at
        if created_at is None and item is not None:
            created_at = item.created_at
        if created_at is None and last is not None:
            created_at = last.item_created_at
        return _opening(
            first.key,
            on_hand=first.on_hand - first.delta_on_hand,
            reserved=first.reserved - first.delta_reserved,
            at=created_at or first.recorded_at,
        )
    if item is None:
        return None
    level = item.level
    return _opening(item.key, on_hand=level.on_hand, reserved=level.reserved, at=item.created_at)


def _opening(key: ItemKey, *, on_hand: int, reserved: int, at: Timestamp) -> Movement:
    return Movement(
        key=key,
        seq=0,
        kind=MovementKind.OPENING,
        delta_on_hand=on_hand,
        delta_reserved=reserved,
        on_hand=on_hand,
        reserved=reserved,
        recorded_at=at,
    )
