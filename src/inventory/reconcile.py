"""Reconcile: hold an item's level against its ledger and against the reservations that are open."""

from collections.abc import Callable, Iterable, Iterator

from attrs import frozen

from inventory.errors import UnreadableRowError
from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.paging import iter_pages
from inventory.ports import InventoryRepository
from inventory.reservations import Reservation
from inventory.stock import Movement, MovementKind, StockChange

__all__ = [
    "Drift",
    "Examined",
    "FarReservation",
    "Finding",
    "OpenReservations",
    "UnreadableRow",
    "correct",
    "examine",
    "examine_item",
    "open_reservations",
]


@frozen(kw_only=True)
class Drift:
    """
    Where an item's level, its ledger and the open reservations disagree.

    Attributes:
        key: The item.
        on_hand, reserved, seq: What its level says. Of on-hand, the level is right.
        ledger_on_hand, ledger_reserved, ledger_seq: What its movements add up to.
        held: What open reservations hold of it. Of reserved, this is right.
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
    held: int
    gaps: tuple[int, ...] = ()
    corrected: bool = False

    @property
    def can_be_corrected(self) -> bool:
        """Whether a correction would change anything: a gap alone stays as it is."""
        return (self.on_hand, self.reserved, self.seq) != (
            self.ledger_on_hand,
            self.ledger_reserved,
            self.ledger_seq,
        ) or self.reserved != min(self.held, self.on_hand)


@frozen
class UnreadableRow:
    """
    A stored row that could not be read. It stays as it is: somebody has to look at it.

    Attributes:
        error: Names the row and what is wrong with it.
    """

    error: UnreadableRowError


@frozen
class FarReservation:
    """
    A reservation that was made while a clock was ahead, and holds its units for as long.

    Attributes:
        reservation: Ends later than any reservation can; see `ExpireReservations.far`.
    """

    reservation: Reservation


Finding = Drift | FarReservation | UnreadableRow
"""Something that `Inventory.reconcile` reports."""


@frozen(kw_only=True)
class OpenReservations:
    """
    What the open reservations hold.

    Attributes:
        held: Units of each item.
        far: Those that end later than any can.
        unreadable: Those that could not be read, whose units are not in *held*.
    """

    held: dict[ItemKey, int]
    far: tuple[Reservation, ...]
    unreadable: tuple[UnreadableRowError, ...]


def open_reservations(repository: InventoryRepository, at: Timestamp) -> OpenReservations:
    """Read all open reservations."""
    held: dict[ItemKey, int] = {}
    far: list[Reservation] = []
    unreadable: list[UnreadableRowError] = []
    for page in iter_pages(repository.held_reservations):
        unreadable += page.unreadable
        for reservation in page.items:
            if reservation.is_far(at):
                far.append(reservation)
            for line in reservation.lines:
                held[line.key] = held.get(line.key, 0) + line.quantity
    return OpenReservations(held=held, far=tuple(far), unreadable=tuple(unreadable))


@frozen(kw_only=True)
class Examined:
    """
    An item, held against its ledger and the open reservations.

    Attributes:
        item: As it was read; None where it is gone.
        drift: Where they disagree; None where they agree.
        unreadable: Movements of the item that could not be read.
        can_be_corrected: Whether all that a correction is computed from could be read, and it would change something.
    """

    item: Item | None
    drift: Drift | None = None
    unreadable: tuple[UnreadableRowError, ...] = ()
    can_be_corrected: bool = False


def examine_item(
    repository: InventoryRepository, key: ItemKey, reservations: Callable[[], OpenReservations]
) -> Examined:
    """
    Read an item and its ledger, and compare them with the open reservations.

    Args:
        repository: Where they are.
        key: The item.
        reservations: Returns the open reservations. Called after the item was read: what is reserved from then on moves the
            item's seq, so that a correction is refused.
    """
    item = repository.get_item(key)
    if item is None:
        return Examined(item=None)
    open_ = reservations()
    unreadable: list[UnreadableRowError] = []
    drift = examine(item, _newest_first(repository, key, unreadable), open_.held.get(key, 0))
    return Examined(
        item=item,
        drift=drift,
        unreadable=tuple(unreadable),
        can_be_corrected=drift is not None
        and drift.can_be_corrected
        and not (unreadable or open_.unreadable),
    )


def _newest_first(
    repository: InventoryRepository, key: ItemKey, unreadable: list[UnreadableRowError]
) -> Iterator[Movement]:
    for page in iter_pages(lambda page: repository.list_movements(key, page)):
        unreadable += page.unreadable
        yield from page.items


def examine(item: Item, newest_first: Iterable[Movement], held: int) -> Drift | None:
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
        held=held,
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
        reserved=min(drift.held, item.level.on_hand),
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
