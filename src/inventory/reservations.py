"""
Reservations of units of one or more items.

A reservation is released or expired as a whole, and committed as a whole or in parts.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, Self

import attrs
from attrs import frozen

from inventory.errors import (
    ItemNotFoundError,
    ItemNotHeldError,
    MoreThanHeldError,
    ReservationClosedError,
    ReservationExpiredError,
)
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
        lines: The held units of each item, in the order of the keys; once the reservation is released or expired, the units
            that were given back. Without lines, it is committed as a whole.
        committed: The units that have left. With *lines*, they are the units that were reserved at first.
        state: The stored state. A held reservation counts as expired from `expires_at` on, even before a sweep closes it: see
            `state_at`.
        reference: A cart, an order or the like.
        created_at: When it was created.
        expires_at: When it expires.
        closed_at: When it was committed, released or expired; None while it is held.
        changed_at: When it was created or last changed. Neither compared nor part of the wire format.
        revision: Number of the version of the reservation, from 1: counts extensions, commits, and closing. Neither compared
            nor part of the wire format.
        changed_by: The actor who created it or last changed it. Neither compared nor part of the wire format.
    """

    reservation_id: str
    lines: tuple[ReservationLine, ...]
    committed: tuple[ReservationLine, ...] = ()
    state: ReservationState = ReservationState.HELD
    reference: str | None = None
    created_at: Timestamp = attrs.field(validator=_is_time)
    expires_at: Timestamp = attrs.field(validator=_is_time)
    closed_at: Timestamp | None = None
    revision: int = attrs.field(default=1, eq=False)
    changed_at: Timestamp | None = attrs.field(default=None, eq=False)
    changed_by: str | None = attrs.field(default=None, eq=False)

    @classmethod
    def open(
        cls,
        reservation_id: str,
        lines: Iterable[tuple[ItemKey, int]],
        *,
        ttl_seconds: int,
        reference: str | None,
        actor: str | None,
        at: Timestamp,
    ) -> Self:
        """Return a new reservation; lines of the same item are added up."""
        return cls(
            reservation_id=reservation_id,
            lines=_lines(_sums(lines)),
            reference=reference,
            created_at=at,
            expires_at=at.plus(ttl_seconds),
            changed_at=at,
            changed_by=actor,
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

    def extended(self, ttl_seconds: int, *, actor: str | None, at: Timestamp) -> Self:
        """
        Return the reservation extended to *ttl_seconds* from now.

        It is never shortened, and lasts up to `MAX_SECONDS`.
        """
        self.require_held(at)
        latest = self.created_at.plus(MAX_SECONDS)
        expires_at = max(self.expires_at, min(at.plus(ttl_seconds), latest))
        return self._next(actor, at, expires_at=expires_at)

    def closed(self, state: ReservationState, *, actor: str | None, at: Timestamp) -> Self:
        """Return the reservation released or expired; its lines are given back."""
        return self._next(actor, at, state=state, closed_at=at)

    def units(self, lines: Iterable[tuple[ItemKey, int]]) -> dict[ItemKey, int]:
        """Return the units of *lines* by the keys of the held items; lines of the same item are added up."""
        held = set(self.keys)
        return _sums((key if key in held else key.normalized, units) for key, units in lines)

    def committed_by(
        self, units: Mapping[ItemKey, int], *, actor: str | None, at: Timestamp
    ) -> Self:
        """
        Return the reservation with these *units* committed; with nothing left, it is closed.

        Raises:
            ItemNotHeldError: The reservation does not hold one of the items.
            MoreThanHeldError: It holds fewer units of an item.
        """
        held = {line.key: line.quantity for line in self.lines}
        for key, quantity in units.items():
            if key not in held:
                raise ItemNotHeldError(item_id=key.item_id, sku=key.sku)
            if quantity > held[key]:
                raise MoreThanHeldError(
                    item_id=key.item_id, sku=key.sku, held=held[key], requested=quantity
                )
            held[key] -= quantity
        left = _lines(held)
        before = [(line.key, line.quantity) for line in self.committed]
        return self._next(
            actor,
            at,
            lines=left,
            committed=_lines(_sums([*before, *units.items()])),
            state=self.state if left else ReservationState.COMMITTED,
            closed_at=None if left else at,
        )

    def _next(self, actor: str | None, at: Timestamp, **fields: Any) -> Self:
        revision = self.revision + 1
        return attrs.evolve(self, **fields, revision=revision, changed_at=at, changed_by=actor)

    def hold(self, items: Mapping[ItemKey, Item]) -> tuple[StockChange, ...]:
        """
        Reserve the units of all lines, or of none.

        Raises:
            ItemNotFoundError: An item does not exist.
            InsufficientStockError: Fewer units of an item are available.
        """
        units = {line.key: line.quantity for line in self.lines}
        return self._changes(reserve, units, items, actor=self.changed_by, at=self.created_at)

    def issue(
        self,
        units: Mapping[ItemKey, int],
        items: Mapping[ItemKey, Item],
        *,
        actor: str | None,
        at: Timestamp,
    ) -> tuple[StockChange, ...]:
        """
        Remove *units* from stock.

        Raises:
            ItemNotFoundError: An item was deleted by another process.
            InsufficientStockError: See `inventory.stock.issue`.
        """
        return self._changes(issue, units, items, actor=actor, at=at)

    def free(
        self,
        state: ReservationState,
        items: Mapping[ItemKey, Item],
        *,
        actor: str | None,
        at: Timestamp,
    ) -> tuple[StockChange, ...]:
        """
        Make the units of all lines available again, released or expired.

        Items that do not exist are skipped.
        """
        verb = expire if state is ReservationState.EXPIRED else release
        units = {line.key: line.quantity for line in self.lines if line.key in items}
        return self._changes(verb, units, items, actor=actor, at=at)

    def _changes(
        self,
        verb: Callable[..., StockChange],
        units: Mapping[ItemKey, int],
        items: Mapping[ItemKey, Item],
        *,
        actor: str | None,
        at: Timestamp,
    ) -> tuple[StockChange, ...]:
        changes = []
        for key, quantity in units.items():
            if key not in items:
                raise ItemNotFoundError(item_id=key.item_id, sku=key.sku)
            changes.append(
                verb(
                    items[key],
                    quantity,
                    reservation_id=self.reservation_id,
                    reference=self.reference,
                    actor=actor,
                    at=at,
                )
            )
        return tuple(changes)


def far_after(at: Timestamp) -> Timestamp:
    """Return the time after which reservations end only if a clock was ahead."""
    return at.plus(FAR_SECONDS)


def retention_cutoff(at: Timestamp) -> Timestamp:
    """Return the time up to which closed reservations are deleted."""
    return at.plus(-RETENTION_SECONDS)


def _sums(lines: Iterable[tuple[ItemKey, int]]) -> dict[ItemKey, int]:
    units: dict[ItemKey, int] = {}
    for key, quantity in lines:
        units[key] = units.get(key, 0) + quantity
    return units


def _lines(units: Mapping[ItemKey, int]) -> tuple[ReservationLine, ...]:
    return tuple(
        ReservationLine(key=key, quantity=units[key]) for key in sorted(units) if units[key]
    )
