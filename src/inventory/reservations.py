"""Reservations: units of one or more items, held for a while, then committed, released or expired as a whole."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self

import attrs
from attrs import frozen

from inventory.errors import ItemNotFoundError, ReservationClosedError, ReservationExpiredError
from inventory.items import Item, ItemKey, Timestamp
from inventory.stock import StockChange, expire, issue, release, reserve

__all__ = [
    "FAR_SECONDS",
    "LONGEST_SECONDS",
    "RETENTION_SECONDS",
    "Reservation",
    "ReservationLine",
    "ReservationState",
    "far_after",
    "retention_cutoff",
]

LONGEST_SECONDS: Final = 31 * 24 * 60 * 60
"""How long after it was made a reservation may still be held, however often it is extended."""

FAR_SECONDS: Final = LONGEST_SECONDS + 24 * 60 * 60
"""
How far ahead a held reservation cannot end, with a day for clocks that differ.

One that does was made while a clock was ahead. It is never expired by itself: a machine whose clock is behind would otherwise
expire every open reservation.
"""

RETENTION_SECONDS: Final = 30 * 24 * 60 * 60
"""How long the record of a reservation is kept once it is closed."""


class ReservationState(StrEnum):
    """What became of a reservation."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@frozen(kw_only=True, order=True)
class ReservationLine:
    """Units of one item, at least 1."""

    key: ItemKey
    quantity: int = attrs.field(
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)]
    )


def _is_time(_reservation: object, _attribute: object, value: Timestamp) -> None:
    value.as_datetime()


@frozen(kw_only=True)
class Reservation:
    """
    Units held for a reference.

    Attributes:
        reservation_id: Made by the system; a UUID.
        lines: What is held, each item once, by key.
        state: As it is stored. A held reservation counts as expired from `expires_at` on, whether or not anything has
            noticed yet: see `state_at`.
        reference: What it is for: a cart, an order.
        created_at: When it was made.
        expires_at: Until when the units are held.
        closed_at: When it was committed, released or expired; None while it is held.
    """

    reservation_id: str
    lines: tuple[ReservationLine, ...]
    state: ReservationState = ReservationState.HELD
    reference: str | None = None
    created_at: Timestamp = attrs.field(validator=_is_time)
    expires_at: Timestamp = attrs.field(validator=_is_time)
    closed_at: Timestamp | None = None

    @classmethod
    def open(
        cls,
        reservation_id: str,
        wanted: Iterable[tuple[ItemKey, int]],
        *,
        ttl_seconds: int,
        reference: str | None,
        at: Timestamp,
    ) -> Self:
        """Make a reservation that is held from *at* on; lines of the same item are summed."""
        units: dict[ItemKey, int] = {}
        for key, quantity in wanted:
            units[key] = units.get(key, 0) + quantity
        return cls(
            reservation_id=reservation_id,
            lines=tuple(ReservationLine(key=key, quantity=units[key]) for key in sorted(units)),
            reference=reference,
            created_at=at,
            expires_at=_later(at, ttl_seconds),
        )

    @property
    def position(self) -> tuple[str, str]:
        """Where the reservation stands in the order in which reservations expire."""
        return (self.expires_at, self.reservation_id)

    @property
    def keys(self) -> tuple[ItemKey, ...]:
        """The items that are held."""
        return tuple(line.key for line in self.lines)

    def is_due(self, at: Timestamp) -> bool:
        """Tell whether the reservation is still open although its time is over."""
        return self.state is ReservationState.HELD and at >= self.expires_at

    def is_far(self, at: Timestamp) -> bool:
        """Tell whether the reservation is open and ends later than it can, as seen *at* a time."""
        return self.state is ReservationState.HELD and self.expires_at > far_after(at)

    def state_at(self, at: Timestamp) -> ReservationState:
        """Return what the reservation is at a time, swept or not."""
        return ReservationState.EXPIRED if self.is_due(at) else self.state

    def require_held(self, at: Timestamp) -> None:
        """
        Make sure that the units are still held.

        Raises:
            ReservationExpiredError: Their time is over.
            ReservationClosedError: They were committed or released.
        """
        state = self.state_at(at)
        if state is ReservationState.EXPIRED:
            raise ReservationExpiredError(
                reservation_id=self.reservation_id, expires_at=self.expires_at
            )
        if state is not ReservationState.HELD:
            raise ReservationClosedError(reservation_id=self.reservation_id, state=str(state))

    def extended(self, ttl_seconds: int, *, at: Timestamp) -> Self:
        """Return the reservation held until *ttl_seconds* from now: never shorter, and never beyond `LONGEST_SECONDS`."""
        self.require_held(at)
        latest = _later(self.created_at, LONGEST_SECONDS)
        return attrs.evolve(
            self, expires_at=max(self.expires_at, min(_later(at, ttl_seconds), latest))
        )

    def closed(self, state: ReservationState, *, at: Timestamp) -> Self:
        """Return the reservation as it is once it has been committed, released or expired."""
        return attrs.evolve(self, state=state, closed_at=at)

    def hold(self, items: Mapping[ItemKey, Item]) -> tuple[StockChange, ...]:
        """
        Promise all lines, or none.

        Raises:
            ItemNotFoundError: An item does not exist.
            InsufficientStockError: An item has fewer units available.
        """
        return self._changes(reserve, items, at=self.created_at)

    def issue(self, items: Mapping[ItemKey, Item], *, at: Timestamp) -> tuple[StockChange, ...]:
        """
        Let all lines leave.

        Raises:
            ItemNotFoundError: An item was deleted behind our back.
            InsufficientStockError: As `inventory.stock.issue`.
        """
        return self._changes(issue, items, at=at)

    def free(
        self, state: ReservationState, items: Mapping[ItemKey, Item], *, at: Timestamp
    ) -> tuple[StockChange, ...]:
        """Make all lines available again, as released or as expired; items that are gone hold nothing back."""
        there = attrs.evolve(self, lines=tuple(line for line in self.lines if line.key in items))
        verb = expire if state is ReservationState.EXPIRED else release
        return there._changes(verb, items, at=at)  # noqa: SLF001 - itself

    def _changes(
        self, verb: Callable[..., StockChange], items: Mapping[ItemKey, Item], *, at: Timestamp
    ) -> tuple[StockChange, ...]:
        changes = []
        for line in self.lines:
            if line.key not in items:
                raise ItemNotFoundError(item_id=line.key.item_id, sku=line.key.sku)
            changes.append(
                verb(
                    items[line.key],
                    line.quantity,
                    reservation_id=self.reservation_id,
                    reference=self.reference,
                    at=at,
                )
            )
        return tuple(changes)


def far_after(at: Timestamp) -> Timestamp:
    """Return the time after which no reservation ends whose clock was right."""
    return _later(at, FAR_SECONDS)


def retention_cutoff(at: Timestamp) -> Timestamp:
    """Return the time before which a closed reservation was closed long enough ago for its record to be deleted."""
    return _later(at, -RETENTION_SECONDS)


def _later(at: Timestamp, seconds: int) -> Timestamp:
    return Timestamp.of(at.as_datetime() + timedelta(seconds=seconds))
