"""
Reservations of units of one or more items.

A reservation is committed, released or expired as a whole.
"""

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
    "MAX_SECONDS",
    "RETENTION_SECONDS",
    "Reservation",
    "ReservationLine",
    "ReservationState",
    "far_after",
    "retention_cutoff",
]

MAX_SECONDS: Final = 31 * 24 * 60 * 60
"""Maximum duration of a reservation, extensions included."""

FAR_SECONDS: Final = MAX_SECONDS + 24 * 60 * 60
"""
The maximum duration, with a day for clocks that differ.

An open reservation that ends later than this from now was created while a clock was ahead. It does not expire by itself:
otherwise a machine whose clock is behind would expire every open reservation.
"""

RETENTION_SECONDS: Final = 30 * 24 * 60 * 60
"""How long a closed reservation is stored."""


class ReservationState(StrEnum):
    """The state of a reservation."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@frozen(kw_only=True, order=True)
class ReservationLine:
    """Reserved units of one item, at least 1."""

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
        reservation_id: A UUID that the system generates.
        lines: The reserved units of each item, in the order of the keys.
        state: The stored state. A held reservation counts as expired from `expires_at` on, even before a sweep closes it: see
            `state_at`.
        reference: A cart, an order or the like.
        created_at: When it was created.
        expires_at: When it expires.
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
        lines: Iterable[tuple[ItemKey, int]],
        *,
        ttl_seconds: int,
        reference: str | None,
        at: Timestamp,
    ) -> Self:
        """Return a new reservation; lines of the same item are added up."""
        units: dict[ItemKey, int] = {}
        for key, quantity in lines:
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
        """The sort key of the order in which reservations expire."""
        return (self.expires_at, self.reservation_id)

    @property
    def keys(self) -> tuple[ItemKey, ...]:
        """The items of the lines."""
        return tuple(line.key for line in self.lines)

    def is_due(self, at: Timestamp) -> bool:
        """Return whether the reservation has expired but is not closed."""
        return self.state is ReservationState.HELD and at >= self.expires_at

    def is_far(self, at: Timestamp) -> bool:
        """Return whether the reservation is open and ends after `far_after`."""
        return self.state is ReservationState.HELD and self.expires_at > far_after(at)

    def state_at(self, at: Timestamp) -> ReservationState:
        """Return the state at a time, even before a sweep closes the reservation."""
        return ReservationState.EXPIRED if self.is_due(at) else self.state

    def require_held(self, at: Timestamp) -> None:
        """
        Check that the reservation is held.

        Raises:
            ReservationExpiredError: It has expired.
            ReservationClosedError: It was committed or released.
        """
        state = self.state_at(at)
        if state is ReservationState.EXPIRED:
            raise ReservationExpiredError(
                reservation_id=self.reservation_id, expires_at=self.expires_at
            )
        if state is not ReservationState.HELD:
            raise ReservationClosedError(reservation_id=self.reservation_id, state=str(state))

    def extended(self, ttl_seconds: int, *, at: Timestamp) -> Self:
        """
        Return the reservation extended to *ttl_seconds* from now.

        It is never shortened, and lasts up to `MAX_SECONDS`.
        """
        self.require_held(at)
        latest = _later(self.created_at, MAX_SECONDS)
        return attrs.evolve(
            self, expires_at=max(self.expires_at, min(_later(at, ttl_seconds), latest))
        )

    def closed(self, state: ReservationState, *, at: Timestamp) -> Self:
        """Return the reservation committed, released or expired."""
        return attrs.evolve(self, state=state, closed_at=at)

    def hold(self, items: Mapping[ItemKey, Item]) -> tuple[StockChange, ...]:
        """
        Reserve the units of all lines, or of none.

        Raises:
            ItemNotFoundError: An item does not exist.
            InsufficientStockError: Fewer units of an item are available.
        """
        return self._changes(reserve, self.lines, items, at=self.created_at)

    def issue(self, items: Mapping[ItemKey, Item], *, at: Timestamp) -> tuple[StockChange, ...]:
        """
        Remove the units of all lines from stock.

        Raises:
            ItemNotFoundError: An item was deleted by another process.
            InsufficientStockError: See `inventory.stock.issue`.
        """
        return self._changes(issue, self.lines, items, at=at)

    def free(
        self, state: ReservationState, items: Mapping[ItemKey, Item], *, at: Timestamp
    ) -> tuple[StockChange, ...]:
        """
        Make the units of all lines available again, released or expired.

        Items that do not exist are skipped.
        """
        verb = expire if state is ReservationState.EXPIRED else release
        lines = [line for line in self.lines if line.key in items]
        return self._changes(verb, lines, items, at=at)

    def _changes(
        self,
        verb: Callable[..., StockChange],
        lines: Iterable[ReservationLine],
        items: Mapping[ItemKey, Item],
        *,
        at: Timestamp,
    ) -> tuple[StockChange, ...]:
        changes = []
        for line in lines:
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
    """Return the time after which reservations end only if a clock was ahead."""
    return _later(at, FAR_SECONDS)


def retention_cutoff(at: Timestamp) -> Timestamp:
    """Return the time up to which closed reservations are deleted."""
    return _later(at, -RETENTION_SECONDS)


def _later(at: Timestamp, seconds: int) -> Timestamp:
    return Timestamp.of(at.as_datetime() + timedelta(seconds=seconds))
