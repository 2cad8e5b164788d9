"""Reconcile: hold an item's level against its ledger and against the reservations that are open."""

from collections.abc import Iterable, Iterator

from attrs import frozen

from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.paging import walk
from inventory.ports import InventoryRepository
from inventory.stock import Movement, MovementKind, StockChange

__all__ = ["Drift", "correct", "examine", "newest_first", "promised_units"]


@frozen(kw_only=True)
class Drift:
    """
    Where an item's level, its ledger and the open reservations disagree.

    Attributes:
        key: The item.
        on_hand, reserved, seq: What its level says. Of on-hand, the level is right.
        ledger_on_hand, ledger_reserved, ledger_seq: What its movements add up to.
        promised: What open reservations hold of it. Of reserved, this is right.
        gaps: Movements whose balance does not follow from the one before, by seq; they can be shown, not mended.
        corrected: Whether a `correction` was written.
    """

    key: ItemKey
    on_hand: int
    reserved: int
    seq: int
    ledger_on_hand: int
    ledger_reserved: int
    ledger_seq: int
    promised: int
    gaps: tuple[int, ...] = ()
    corrected: bool = False

    @property
    def can_be_corrected(self) -> bool:
        """Whether a correction would change anything: a gap alone stays as it is."""
        return (self.on_hand, self.reserved, self.seq) != (
            self.ledger_on_hand,
            self.ledger_reserved,
            self.ledger_seq,
        ) or self.reserved != min(self.promised, self.on_hand)


def promised_units(repository: InventoryRepository) -> dict[ItemKey, int]:
    """Return how many units of each item the open reservations hold."""
    promised: dict[ItemKey, int] = {}
    for page in walk(lambda page: repository.held_reservations(page, due_by=None)):
        for reservation in page.items:
            for line in reservation.lines:
                promised[line.key] = promised.get(line.key, 0) + line.quantity
    return promised


def newest_first(repository: InventoryRepository, key: ItemKey) -> Iterator[Movement]:
    """Yield all movements of an item."""
    for page in walk(lambda page: repository.list_movements(key, page)):
        yield from page.items


def examine(item: Item, newest_first: Iterable[Movement], promised: int) -> Drift | None:
    """Return where *item*, its movements and the units that open reservations hold of it disagree; None where they agree."""
    newest: Movement | None = None
    later: Movement | None = None
    gaps = []
    for movement in newest_first:
        newest = newest or movement
        if later is not None and not _follows(movement, later):
            gaps.append(later.seq)
        later = movement
    if later is not None and later.seq != 1:
        gaps.append(later.seq)
    level = item.level
    drift = Drift(
        key=item.key,
        on_hand=level.on_hand,
        reserved=level.reserved,
        seq=level.seq,
        # Without a movement the opening entry is the level itself; only its seq and its promises can be wrong.
        ledger_on_hand=newest.on_hand if newest else level.on_hand,
        ledger_reserved=newest.reserved if newest else level.reserved,
        ledger_seq=newest.seq if newest else 0,
        promised=promised,
        gaps=tuple(gaps),
    )
    return drift if drift.gaps or drift.can_be_corrected else None


def _follows(earlier: Movement, later: Movement) -> bool:
    return (earlier.seq + 1, earlier.on_hand, earlier.reserved) == (
        later.seq,
        later.on_hand - later.delta_on_hand,
        later.reserved - later.delta_reserved,
    )


def correct(item: Item, drift: Drift, *, at: Timestamp) -> StockChange:
    """Set reserved to what the open reservations hold, with the movement that brings the ledger there."""
    level = StockLevel(
        on_hand=item.level.on_hand,
        # More promises than units cannot be kept; the item shows as many as there are.
        reserved=min(drift.promised, item.level.on_hand),
        seq=max(drift.seq, drift.ledger_seq) + 1,
    )
    movement = Movement(
        key=item.key,
        seq=level.seq,
        kind=MovementKind.CORRECTION,
        delta_on_hand=level.on_hand - drift.ledger_on_hand,
        delta_reserved=level.reserved - drift.ledger_reserved,
        on_hand=level.on_hand,
        reserved=level.reserved,
        reason="reconciled",
        recorded_at=at,
        item_created_at=None if drift.ledger_seq else item.created_at,
    )
    return StockChange(before=item, item=item.moved(level), movement=movement)
