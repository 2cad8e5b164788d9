"""
Events: what happened to items, stock and reservations, for other systems.

An event is a fact, after the change that made it. The library derives events from the change, a SQLite file from what it
stores, and the publisher of a deployment from the streams of its tables. All three make the same events, with the same IDs.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs
from attrs import frozen

from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.ports import Change, ItemWrite
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind, crossings

__all__ = [
    "EVENT_TYPES",
    "Event",
    "ItemCreated",
    "ItemDeleted",
    "ItemEvent",
    "ItemUpdated",
    "ReservationCommitted",
    "ReservationEvent",
    "ReservationExpired",
    "ReservationExtended",
    "ReservationOpened",
    "ReservationReleased",
    "StockEvent",
    "StockLow",
    "StockMoved",
    "StockOut",
    "StockRestocked",
    "call_with",
    "events_of",
    "events_of_item",
    "events_of_movement",
    "events_of_reservation",
]

_logger = logging.getLogger(__name__)

# Fields of an item that change with its stock, or that count its versions: not among the changed fields of an update.
_COUNTERS: Final = frozenset(("key", "version", "updated_at", "changed_by", "level", "moved_at"))


@frozen(kw_only=True)
class Event:
    """
    A fact, after the change.

    Attributes:
        time: When it happened; None if that was not recorded.
        actor: Who caused it.
    """

    time: Timestamp | None
    actor: str | None

    @property
    def type(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def subject(self) -> str:
        """What it happened to: ``item/<item_id>/<sku>`` or ``reservation/<reservation_id>``."""
        return self._place[0]

    @property
    def sequence(self) -> str:
        """
        A counter of the subject, as a letter and 12 digits; of the same letter, the greatest is the latest.

        The letter names the counter: `s` for the `seq` of a movement, `v` for the `version` of an item, `r` for the `revision`
        of a reservation.
        """
        _, counter, number = self._place
        return f"{counter}{number:012}"

    @property
    def id(self) -> str:
        """The same for each repetition of the event, and for no other event."""
        return f"{self.subject}#{self.sequence}#{self.type}"

    @property
    def _place(self) -> tuple[str, str, int]:
        """The subject, the counter, and its number."""
        raise NotImplementedError


@frozen(kw_only=True)
class ItemEvent(Event):
    """
    An item was created or updated.

    Attributes:
        item: The item afterwards.
    """

    item: Item

    @property
    def _place(self) -> tuple[str, str, int]:
        return _subject(self.item.key), "v", self.item.version


@frozen(kw_only=True)
class ItemCreated(ItemEvent):
    """An item was created; its quantity is no movement."""


@frozen(kw_only=True)
class ItemUpdated(ItemEvent):
    """
    Details of an item were replaced.

    Attributes:
        changed: The names of the details that differ, sorted; empty if the same values were written again.
    """

    changed: tuple[str, ...]


@frozen(kw_only=True)
class StockMoved(Event):
    """
    The ledger has a new movement.

    Attributes:
        movement: The movement.
    """

    movement: Movement

    @property
    def _place(self) -> tuple[str, str, int]:
        return _subject(self.movement.key), "s", self.movement.seq


@frozen(kw_only=True)
class ItemDeleted(StockMoved):
    """An item was deleted. The movement is the last of its ledger."""


@frozen(kw_only=True)
class StockEvent(Event):
    """
    The available units of an item crossed a threshold.

    Attributes:
        key: The item.
        level: Its stock afterwards.
        version: The version of the item, if an edit caused it; None if a movement did.
    """

    key: ItemKey
    level: StockLevel
    version: int | None = None

    @property
    def _place(self) -> tuple[str, str, int]:
        if self.version is not None:
            return _subject(self.key), "v", self.version
        return _subject(self.key), "s", self.level.seq


@frozen(kw_only=True)
class StockLow(StockEvent):
    """The item entered the list of low stock. Leaving it is no event, and a new item that is low makes none."""


@frozen(kw_only=True)
class StockOut(StockEvent):
    """The last available unit is gone."""


@frozen(kw_only=True)
class StockRestocked(StockEvent):
    """Units are available again, after none were."""


@frozen(kw_only=True)
class ReservationEvent(Event):
    """
    A reservation was opened or changed.

    Attributes:
        reservation: The reservation afterwards.
    """

    reservation: Reservation

    @property
    def _place(self) -> tuple[str, str, int]:
        subject = f"reservation/{self.reservation.reservation_id}"
        return subject, "r", self.reservation.revision


@frozen(kw_only=True)
class ReservationOpened(ReservationEvent):
    """Units were reserved."""


@frozen(kw_only=True)
class ReservationExtended(ReservationEvent):
    """A reservation lasts longer, or was extended to a time that it had already."""


@frozen(kw_only=True)
class ReservationCommitted(ReservationEvent):
    """
    Units of a reservation have left; with the whole of it, or with a part of it, several times.

    Attributes:
        lines: The units that have left this time. `reservation` has those that are still held.
    """

    lines: tuple[ReservationLine, ...]


@frozen(kw_only=True)
class ReservationReleased(ReservationEvent):
    """The units of a reservation were made available again."""


@frozen(kw_only=True)
class ReservationExpired(ReservationEvent):
    """A reservation had expired, and a sweep or a request made its units available again."""


EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    ItemCreated,
    ItemUpdated,
    ItemDeleted,
    StockMoved,
    StockLow,
    StockOut,
    StockRestocked,
    ReservationOpened,
    ReservationExtended,
    ReservationCommitted,
    ReservationReleased,
    ReservationExpired,
)

_CROSSINGS: Final[dict[str, type[StockEvent]]] = {
    "low": StockLow,
    "out": StockOut,
    "restocked": StockRestocked,
}


def call_with(on_event: Callable[[Event], None], events: Iterable[Event]) -> None:
    """Call *on_event* with each of *events*; log what it raises."""
    for event in events:
        try:
            on_event(event)
        except Exception:
            _logger.exception("on_event failed for %s", event.id)


def events_of(change: Change) -> Iterator[Event]:
    """Yield the events of a change, in an order in which they can be applied."""
    for write in change.items:
        yield from events_of_item(write)
    for reservation in change.reservations:
        yield from events_of_reservation(reservation.before, reservation.after)
    for movement in change.movements:
        yield from events_of_movement(movement)


def events_of_item(write: ItemWrite) -> Iterator[Event]:
    """Yield the events of an item that was created or edited; those of its stock are made by its movements."""
    before, after = write.before, write.after
    if after is None:
        return
    cause: dict[str, Any] = {"time": after.updated_at, "actor": after.changed_by}
    if before is None:
        yield ItemCreated(item=after, **cause)
        return
    if after.version == before.version:
        return
    yield ItemUpdated(item=after, changed=_changed(before, after), **cause)
    if after.level.seq == before.level.seq:
        for name in _words(crossings(before, after)):
            yield _CROSSINGS[name](key=after.key, level=after.level, version=after.version, **cause)


def events_of_movement(movement: Movement) -> Iterator[Event]:
    """Yield the events of a movement."""
    cause: dict[str, Any] = {"time": movement.recorded_at, "actor": movement.actor}
    yield StockMoved(movement=movement, **cause)
    if movement.kind is MovementKind.DELETE:
        yield ItemDeleted(movement=movement, **cause)
    level = StockLevel(on_hand=movement.on_hand, reserved=movement.reserved, seq=movement.seq)
    for name in _words(movement.crossed):
        yield _CROSSINGS[name](key=movement.key, level=level, **cause)


def events_of_reservation(before: Reservation | None, after: Reservation) -> Iterator[Event]:
    """Yield the event of a reservation that was opened (without *before*) or changed."""
    if before is not None and after.revision == before.revision:
        return
    cause: dict[str, Any] = {"time": after.changed_at, "actor": after.changed_by}
    if before is None:
        yield ReservationOpened(reservation=after, **cause)
    elif after.state is ReservationState.RELEASED:
        yield ReservationReleased(reservation=after, **cause)
    elif after.state is ReservationState.EXPIRED:
        yield ReservationExpired(reservation=after, **cause)
    elif after.committed != before.committed or after.state is ReservationState.COMMITTED:
        lines = _left(before, after)
        yield ReservationCommitted(reservation=after, lines=lines, **cause)
    else:
        yield ReservationExtended(reservation=after, **cause)


def _left(before: Reservation, after: Reservation) -> tuple[ReservationLine, ...]:
    earlier = {line.key: line.quantity for line in before.committed}
    return tuple(
        attrs.evolve(line, quantity=units)
        for line in after.committed
        if (units := line.quantity - earlier.get(line.key, 0))
    )


def _changed(before: Item, after: Item) -> tuple[str, ...]:
    names = {field.name for field in attrs.fields(Item)} - _COUNTERS
    return tuple(sorted(n for n in names if getattr(before, n) != getattr(after, n)))


def _words(crossed: str | None) -> list[str]:
    return crossed.split() if crossed else []


def _subject(key: ItemKey) -> str:
    return f"item/{key.item_id}/{key.sku}"
