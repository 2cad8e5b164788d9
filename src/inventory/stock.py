"""How much of a thing there is, and the movements that explain it. Pure: a verb returns the next level and its movement."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

from inventory.errors import BelowReservedError

if TYPE_CHECKING:
    from inventory.items import ItemKey, Timestamp

__all__ = ["Movement", "MovementKind", "StockLevel", "count"]


@frozen(kw_only=True)
class StockLevel:
    """
    Units of one item. No instance breaks ``0 <= reserved <= on_hand``.

    Attributes:
        on_hand: Units that are physically there; `quantity` on the wire.
        reserved: Units among them that are promised.
        seq: How many movements the item has seen.
    """

    on_hand: int
    reserved: int = 0
    seq: int = 0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.reserved <= self.on_hand or self.seq < 0:
            msg = f"no stock can be {self.on_hand} on hand, {self.reserved} reserved, at movement {self.seq}"
            raise ValueError(msg)

    @property
    def available(self) -> int:
        """Units that can still be promised."""
        return self.on_hand - self.reserved


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
        reference: What it was for: an order, a delivery note, a reservation.
        recorded_at: When it was written.
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
    recorded_at: Timestamp


def _moved(  # noqa: PLR0913 - a movement has that many sides
    key: ItemKey,
    before: StockLevel,
    kind: MovementKind,
    *,
    on_hand: int = 0,
    reserved: int = 0,
    reason: str | None = None,
    reference: str | None = None,
    at: Timestamp,
) -> tuple[StockLevel, Movement]:
    after = StockLevel(
        on_hand=before.on_hand + on_hand,
        reserved=before.reserved + reserved,
        seq=before.seq + 1,
    )
    return after, Movement(
        key=key,
        seq=after.seq,
        kind=kind,
        delta_on_hand=on_hand,
        delta_reserved=reserved,
        on_hand=after.on_hand,
        reserved=after.reserved,
        reason=reason,
        reference=reference,
        recorded_at=at,
    )


def count(  # noqa: PLR0913 - as above
    key: ItemKey,
    level: StockLevel,
    found: int,
    *,
    kind: MovementKind = MovementKind.COUNT,
    reason: str | None = None,
    at: Timestamp,
) -> tuple[StockLevel, Movement]:
    """
    Set on-hand to what was *found*, also where it is what the books say: a count that agrees is worth a line.

    Raises:
        BelowReservedError: More units than *found* are promised.
    """
    if found < level.reserved:
        raise BelowReservedError(requested=found, reserved=level.reserved)
    return _moved(key, level, kind, on_hand=found - level.on_hand, reason=reason, at=at)
