"""Stock movements, and pure verbs that return an item with its movement."""

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
    "SkuStock",
    "StockChange",
    "Transfer",
    "adjust",
    "count",
    "crossings",
    "delete",
    "expire",
    "issue",
    "opening",
    "release",
    "reserve",
    "transfer",
]

MAX_QUANTITY: Final = 1_000_000_000
"""Maximum units on hand of an item; sums stay far below 64 bits."""


class MovementKind(StrEnum):
    """The reason that a level changed."""

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
    One immutable entry of the ledger.

    Attributes:
        key: The item.
        seq: Its position in the item's ledger, from 1 and without gaps; 0 for the derived opening balance.
        kind: The reason that the level changed.
        delta_on_hand: Units added (positive) or removed (negative).
        delta_reserved: Units reserved (positive) or made available again (negative).
        on_hand: Units on hand afterwards.
        reserved: Units reserved afterwards.
        reason: The caller's explanation.
        reference: An order, a delivery note or the like.
        reservation_id: The reservation that the units belong to.
        actor: Who caused it.
        recorded_at: When the movement was recorded; never earlier than the movement before.
        item_created_at: When the item was created. Only on the first movement and on one of kind `delete`, because they date
            the opening balance of a deleted item. Stored, but not part of the wire format: None from an API.
        crossed: What the stock became with this movement, as in `crossings`; None if nothing. Stored, but not part of the wire
            format: None from an API.
    """

    key: ItemKey
    seq: int
    kind: MovementKind
    delta_on_hand: int
    delta_reserved: int = 0
    on_hand: int
    reserved: int
    actor: str | None = None
    reason: str | None = None
    reference: str | None = None
    reservation_id: str | None = None
    recorded_at: Timestamp
    item_created_at: Timestamp | None = None
    crossed: str | None = None


@frozen(kw_only=True)
class StockChange:
    """
    A movement, and the item that it changed.

    Attributes:
        item: The item after the movement.
        movement: The ledger entry.
        before: The item before the movement; None in an answer of an API or of an idempotency record.
    """

    item: Item
    movement: Movement
    before: Item | None = field(default=None, eq=False, repr=False)


@frozen(kw_only=True)
class Transfer:
    """
    The result of a transfer.

    Attributes:
        source: The updated item that the units were taken from.
        destination: The updated item that they were added to.
    """

    source: Item
    destination: Item


@frozen(kw_only=True)
class SkuStock:
    """
    The stock of a SKU at all locations.

    Attributes:
        sku: The SKU.
        items: The items that have it, by ID.
    """

    sku: str
    items: tuple[Item, ...]

    @property
    def on_hand(self) -> int:
        """Units on hand at all locations."""
        return sum(item.level.on_hand for item in self.items)

    @property
    def reserved(self) -> int:
        """Reserved units at all locations."""
        return sum(item.level.reserved for item in self.items)

    @property
    def available(self) -> int:
        """Available units at all locations."""
        return self.on_hand - self.reserved


def _move(
    item: Item,
    kind: MovementKind,
    *,
    on_hand: int = 0,
    reserved: int = 0,
    at: Timestamp,
    **cause: str | None,
) -> StockChange:
    """
    Change both balances of an item.

    *cause* is the `actor`, `reason`, `reference` and `reservation_id` of the movement.
    """
    before = item.level
    # After a clock was ahead, movements have its time until that is reached, so that times do not run backwards.
    at = max(at, item.moved_at or at)
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
    moved = item.moved(after, at=at)
    is_deletion = kind is MovementKind.DELETE
    movement = Movement(
        key=item.key,
        seq=after.seq,
        kind=kind,
        delta_on_hand=on_hand,
        delta_reserved=reserved,
        on_hand=after.on_hand,
        reserved=after.reserved,
        recorded_at=at,
        **cause,
        item_created_at=item.created_at if after.seq == 1 or is_deletion else None,
        crossed=None if is_deletion else crossings(item, moved),
    )
    return StockChange(before=item, item=moved, movement=movement)


def crossings(before: Item, after: Item) -> str | None:
    """
    Return what the stock of an item became: words of `low`, `out` and `restocked`, separated by a space; None if nothing.

    It becomes low when the item enters the list of low stock, out with its last available unit, restocked with the first.
    """
    was, now = before.level.available, after.level.available
    words = (
        ("low", after.needs_reorder and not before.needs_reorder),
        ("out", was > 0 >= now),
        ("restocked", was <= 0 < now),
    )
    return " ".join(word for word, crossed in words if crossed) or None


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
    item: Item,
    delta: int,
    *,
    reason: str,
    reference: str | None = None,
    actor: str | None = None,
    at: Timestamp,
) -> StockChange:
    """
    Add *delta* units to on-hand, or remove them.

    Raises:
        InsufficientStockError: Fewer units are available.
        StockLimitError: More than `MAX_QUANTITY` units would be on hand.
    """
    _require_available(item, -delta)
    return _move(
        item,
        MovementKind.ADJUST,
        on_hand=delta,
        reason=reason,
        reference=reference,
        actor=actor,
        at=at,
    )


def count(
    item: Item,
    quantity: int,
    *,
    kind: MovementKind = MovementKind.COUNT,
    reason: str | None = None,
    actor: str | None = None,
    at: Timestamp,
) -> StockChange:
    """
    Set on-hand to the counted quantity. A matching count is still recorded.

    Raises:
        BelowReservedError: More units are reserved than were counted.
    """
    if quantity < item.level.reserved:
        raise BelowReservedError(
            item_id=item.item_id, sku=item.sku, requested=quantity, reserved=item.level.reserved
        )
    return _move(
        item, kind, on_hand=quantity - item.level.on_hand, reason=reason, actor=actor, at=at
    )


def transfer(
    source: Item,
    destination: Item,
    units: int,
    *,
    reference: str | None = None,
    actor: str | None = None,
    at: Timestamp,
) -> tuple[StockChange, StockChange]:
    """
    Move *units* from one item to another.

    Raises:
        InsufficientStockError: Fewer units of the source are available.
        StockLimitError: The destination would have more than `MAX_QUANTITY` units.
    """
    _require_available(source, units)
    out, into = MovementKind.TRANSFER_OUT, MovementKind.TRANSFER_IN
    return (
        _move(source, out, on_hand=-units, reference=reference, actor=actor, at=at),
        _move(destination, into, on_hand=units, reference=reference, actor=actor, at=at),
    )


def reserve(item: Item, units: int, *, at: Timestamp, **cause: str | None) -> StockChange:
    """
    Reserve *units* of an item. The *cause* of this and the next verbs is as in `adjust`, with a `reservation_id`.

    Raises:
        InsufficientStockError: Fewer units are available.
    """
    _require_available(item, units)
    return _move(item, MovementKind.RESERVE, on_hand=0, reserved=units, at=at, **cause)


def issue(item: Item, units: int, *, at: Timestamp, **cause: str | None) -> StockChange:
    """
    Remove reserved *units* from stock, because their reservation is committed.

    Raises:
        InsufficientStockError: The reserved count was wrong (see `reconcile`), and fewer units are available.
    """
    reserved = min(units, item.level.reserved)
    _require_available(item, units - reserved)
    return _move(item, MovementKind.COMMIT, on_hand=-units, reserved=-reserved, at=at, **cause)


def release(item: Item, units: int, *, at: Timestamp, **cause: str | None) -> StockChange:
    """
    Make reserved *units* available again.

    If the reserved count is lower than *units*, only that many.
    """
    reserved = -min(units, item.level.reserved)
    return _move(item, MovementKind.RELEASE, on_hand=0, reserved=reserved, at=at, **cause)


def expire(item: Item, units: int, *, at: Timestamp, **cause: str | None) -> StockChange:
    """Make *units* of an expired reservation available again, as `release` does."""
    reserved = -min(units, item.level.reserved)
    return _move(item, MovementKind.EXPIRE, on_hand=0, reserved=reserved, at=at, **cause)


def delete(item: Item, *, actor: str | None = None, at: Timestamp) -> Movement:
    """
    Return the movement of a deletion; it brings both balances to 0.

    Raises:
        ItemInUseError: Units of the item are reserved.
    """
    if item.level.reserved:
        raise ItemInUseError(item_id=item.item_id, sku=item.sku, reserved=item.level.reserved)
    on_hand = -item.level.on_hand
    return _move(item, MovementKind.DELETE, on_hand=on_hand, actor=actor, at=at).movement


def opening(
    item: Item | None, first: Movement | None, last: Movement | None = None
) -> Movement | None:
    """
    Derive the opening balance: the balance before the *first* movement, dated when the item was created.

    Args:
        item: The item, if it exists. Without movements, its level is the opening balance.
        first: The earliest movement.
        last: The latest movement. If the item is deleted and movement 1 is missing, it dates the opening balance.

    Returns:
        An entry with seq 0; None if there is neither item nor movement.
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
