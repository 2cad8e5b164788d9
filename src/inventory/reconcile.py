"""Check each item's level against its ledger and open reservations."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs
from attrs import frozen

from inventory.errors import UnreadableRowError
from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.paging import iter_pages
from inventory.ports import InventoryRepository, ItemFilter, MovementFilter
from inventory.reservations import Reservation
from inventory.stock import Movement, MovementKind, StockChange, crossings

__all__ = [
    "SYSTEM_ACTOR",
    "Drift",
    "Examined",
    "FarReservation",
    "Finding",
    "FutureMovement",
    "OpenReservations",
    "UnreadableRow",
    "check_all",
    "correct",
    "decide_correction",
    "examine",
    "examine_item",
    "open_reservations",
]

SYSTEM_ACTOR: Final = "system:reconcile"

# The clocks of two machines may differ by less.
_CLOCK_TOLERANCE_SECONDS: Final = 60 * 60


@frozen(kw_only=True)
class Drift:
    """
    A disagreement between an item's level, its ledger and its open reservations.

    Attributes:
        key: The item.
        on_hand, reserved, seq: The item's level. It is right about on-hand.
        ledger_on_hand, ledger_reserved, ledger_seq: The balances after the item's last movement.
        held: Units in open reservations of the item. They are right about reserved.
        gaps: Movements whose balances do not follow from the one before, by seq. Gaps are reported and cannot be corrected.
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
        """Whether a correction would change anything; it does not close gaps."""
        return (self.on_hand, self.reserved, self.seq) != (
            self.ledger_on_hand,
            self.ledger_reserved,
            self.ledger_seq,
        ) or self.reserved != min(self.held, self.on_hand)


@frozen
class UnreadableRow:
    """
    A stored row that could not be read. It is left alone: a person has to look at it.

    Attributes:
        error: Names the row and what is wrong with it.
    """

    error: UnreadableRowError


@frozen
class FarReservation:
    """
    A reservation that was created while a clock was ahead, and holds its units too long.

    Attributes:
        reservation: Ends later than a reservation can; see `ExpireReservations.far`.
    """

    reservation: Reservation


@frozen
class FutureMovement:
    """
    An item whose last movement was recorded while a clock was ahead.

    Later movements have the same time until it is reached, so that times do not run backwards.

    Attributes:
        item: The item; `moved_at` is in the future.
    """

    item: Item


Finding = Drift | FarReservation | FutureMovement | UnreadableRow
"""A problem that `Inventory.reconcile` reports."""


@frozen(kw_only=True)
class OpenReservations:
    """
    All open reservations, summed by item.

    Attributes:
        held: Reserved units by item.
        far: Reservations that end later than a reservation can.
        unreadable: Reservations that could not be read; *held* lacks their units.
    """

    held: dict[ItemKey, int]
    far: tuple[Reservation, ...]
    unreadable: tuple[UnreadableRowError, ...]


@frozen(kw_only=True)
class Examined:
    """
    An item, compared with its ledger and its open reservations.

    Attributes:
        item: The item; None if it does not exist any more.
        drift: The disagreement; None if there is none.
        unreadable: Movements of the item that could not be read.
        can_be_corrected: Whether everything that a correction is computed from could be read, and it would change something.
    """

    item: Item | None
    drift: Drift | None = None
    unreadable: tuple[UnreadableRowError, ...] = ()
    can_be_corrected: bool = False


def check_all(
    repository: InventoryRepository,
    *,
    now: Callable[[], Timestamp],
    correct: Callable[[ItemKey], Examined] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """
    Check every item, and yield the findings.

    Args:
        repository: Stores the items.
        now: Returns the current time.
        correct: Examines an item again and corrects it; None to report only.
        progress: Called with the number of items checked so far, after each page of them.
    """
    reservations = open_reservations(repository, now())
    yield from map(UnreadableRow, reservations.unreadable)
    yield from map(FarReservation, reservations.far)
    checked = 0
    for page in iter_pages(lambda page: repository.list_items(ItemFilter(), page)):
        yield from map(UnreadableRow, page.unreadable)
        latest = now().plus(_CLOCK_TOLERANCE_SECONDS)
        for item in page.items:
            if item.moved_at is not None and item.moved_at > latest:
                yield FutureMovement(item)
            try:
                # The reservations may be out of date by now. Because reading them all for each item costs too much, only an
                # item that seems wrong is examined with current ones.
                examined = examine_item(repository, item.key, lambda: reservations)
                if examined.drift is not None or examined.unreadable:
                    examined = (
                        _examine_now(repository, item.key, now)
                        if correct is None
                        else correct(item.key)
                    )
            except UnreadableRowError as error:
                yield UnreadableRow(error)
                continue
            yield from map(UnreadableRow, examined.unreadable)
            if examined.drift is not None:
                yield examined.drift
        checked += len(page.items)
        if progress is not None:
            progress(checked)


def decide_correction(
    repository: InventoryRepository, key: ItemKey, now: Callable[[], Timestamp]
) -> tuple[tuple[StockChange, ...], Examined]:
    """Examine an item, and return its correction, if it can be corrected."""
    examined = _examine_now(repository, key, now)
    item, drift = examined.item, examined.drift
    if item is None or drift is None or not examined.can_be_corrected:
        return (), examined
    corrected = attrs.evolve(examined, drift=attrs.evolve(drift, corrected=True))
    return (correct(item, drift, at=now()),), corrected


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


def examine_item(
    repository: InventoryRepository, key: ItemKey, reservations: Callable[[], OpenReservations]
) -> Examined:
    """
    Read an item and its ledger, and compare them with the open reservations.

    Args:
        repository: Stores them.
        key: The item.
        reservations: Returns the open reservations. Called after the item is read, because a later reservation raises the
            item's seq, so a correction that does not know of it conflicts.
    """
    item = repository.get_item(key)
    if item is None:
        return Examined(item=None)
    current = reservations()
    unreadable: list[UnreadableRowError] = []
    drift = examine(item, _newest_first(repository, key, unreadable), current.held.get(key, 0))
    return Examined(
        item=item,
        drift=drift,
        unreadable=tuple(unreadable),
        can_be_corrected=drift is not None
        and drift.can_be_corrected
        and not (unreadable or current.unreadable),
    )


def _examine_now(
    repository: InventoryRepository, key: ItemKey, now: Callable[[], Timestamp]
) -> Examined:
    return examine_item(repository, key, lambda: open_reservations(repository, now()))


def _newest_first(
    repository: InventoryRepository, key: ItemKey, unreadable: list[UnreadableRowError]
) -> Iterator[Movement]:
    movement_filter = MovementFilter(key=key)
    for page in iter_pages(lambda page: repository.list_movements(movement_filter, page)):
        unreadable += page.unreadable
        yield from page.items


def examine(item: Item, newest_first: Iterable[Movement], held: int) -> Drift | None:
    """
    Return the drift between *item*, its movements and its *held* units.

    Return None if they agree.
    """
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
        # Without a movement the opening balance is the level itself. Only its seq and its reserved units can be wrong.
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
    """
    Set reserved to the held units.

    The movement brings the ledger to the corrected level.
    """
    level = StockLevel(
        on_hand=item.level.on_hand,
        # More units may be held than are on hand; the level cannot show more than those.
        reserved=min(drift.held, item.level.on_hand),
        seq=max(drift.seq, drift.ledger_seq) + 1,
    )
    at = max(at, item.moved_at or at)
    after = item.moved(level, at=at)
    movement = Movement(
        key=item.key,
        seq=level.seq,
        kind=MovementKind.CORRECTION,
        delta_on_hand=level.on_hand - drift.ledger_on_hand,
        delta_reserved=level.reserved - drift.ledger_reserved,
        on_hand=level.on_hand,
        reserved=level.reserved,
        actor=SYSTEM_ACTOR,
        reason="reconciled",
        recorded_at=at,
        item_created_at=None if drift.ledger_seq else item.created_at,
        crossed=crossings(item, after),
    )
    return StockChange(before=item, item=after, movement=movement)
