"""Upkeep: find and expire reservations that are due."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import Final, Self

from attrs import field, frozen

from inventory.commands import ExpireReservations
from inventory.errors import InventoryError, UnreadableRowError
from inventory.items import ItemKey, Timestamp
from inventory.paging import iter_pages
from inventory.ports import (
    MAX_CHANGE_SIZE,
    ExclusiveRepository,
    InventoryRepository,
    ReservationFilter,
    RestorableRepository,
)
from inventory.reservations import Reservation, far_after
from inventory.timeouts import time_left

__all__ = ["SWEEPER", "SweepResult", "expire_all", "expire_due_of", "far_reservations"]

SWEEPER: Final = "system:sweeper"
"""The actor of every expiry, also of one that another caller's request caused."""

# Reservations that are expired in one write. In a local database, other writers wait for each group.
_MAX_GROUP: Final = 32
_MAX_LOCAL_GROUP: Final = 16
# A sweep ends by itself before the platform ends it.
_RESERVE_SECONDS: Final = 1.0

Expire = Callable[[Sequence[Reservation]], int]
"""Expires reservations in one write, and returns the number of those that were still to be expired."""


@frozen(kw_only=True)
class SweepResult:
    """
    The result of a sweep.

    Attributes:
        expired: Number of reservations that were expired.
        failed: Number of reservations that could not be read or expired. They stay due, and the next sweep retries them.
        oldest_due_seconds: How long the oldest of them had been due when the sweep started.
        is_paused: Whether nothing was done, because the repository is being restored. Purge nothing either.
    """

    expired: int = 0
    failed: int = 0
    oldest_due_seconds: float = field(default=0, eq=False)
    is_paused: bool = False

    def __add__(self, other: Self) -> "SweepResult":
        return SweepResult(
            expired=self.expired + other.expired,
            failed=self.failed + other.failed,
            oldest_due_seconds=max(self.oldest_due_seconds, other.oldest_due_seconds),
        )


def far_reservations(repository: InventoryRepository, at: Timestamp) -> Iterator[Reservation]:
    """Yield the open reservations that end later than a reservation can."""
    far = ReservationFilter(ends_after=far_after(at))
    pages = iter_pages(partial(repository.list_reservations, far))
    return (reservation for page in pages for reservation in page.items)


def expire_all(
    repository: InventoryRepository,
    command: ExpireReservations,
    expire: Expire,
    *,
    at: Timestamp,
    threads: int,
) -> SweepResult:
    """
    Expire the reservations that are due, and with `far` those that end too late, up to the limit.

    A reservation that cannot be read or expired does not prevent the others. Ends early when the deadline is near.
    """
    if isinstance(repository, RestorableRepository) and repository.restore_id() is not None:
        return SweepResult(is_paused=True)
    context = copy_context()  # It has the deadline.

    def expire_group(group: Sequence[Reservation]) -> SweepResult:
        return context.copy().run(_expire_group, group, expire)

    rows = _to_expire(repository, command, at)
    size = _group_size(repository)
    total = SweepResult()
    with _mapping(threads) as run:
        while time_left() >= _RESERVE_SECONDS and (batch := list(islice(rows, threads * size))):
            reservations = [row for row in batch if isinstance(row, Reservation)]
            total += SweepResult(
                failed=len(batch) - len(reservations),
                oldest_due_seconds=max((_overdue(row, at) for row in reservations), default=0),
            )
            total = sum(run(expire_group, _groups(reservations, size)), total)
    return total


def expire_due_of(
    repository: InventoryRepository, key: ItemKey, expire: Expire, *, at: Timestamp
) -> bool:
    """Expire a group of the due reservations of an item, and return whether there may be more."""
    due = ReservationFilter(key=key, due_by=at)
    size = _group_size(repository)
    for page in iter_pages(partial(repository.list_reservations, due), size=size):
        if page.items:
            results = [_expire_group(group, expire) for group in _groups(page.items, size)]
            return any(result.expired for result in results) or (
                # Another process expired them.
                not any(result.failed for result in results) and time_left() >= _RESERVE_SECONDS
            )
    return False


def _to_expire(
    repository: InventoryRepository, command: ExpireReservations, at: Timestamp
) -> Iterator[Reservation | UnreadableRowError]:
    """
    Yield reservations to expire, up to the limit.

    Yield an error for each unreadable row too; these do not count.
    """
    filters = [ReservationFilter(due_by=at)]
    if command.far:
        filters.append(ReservationFilter(ends_after=far_after(at)))
    left = command.limit
    for each in filters:
        for page in iter_pages(partial(repository.list_reservations, each)):
            yield from page.unreadable
            yield from page.items[:left]
            left -= len(page.items[:left])
            if not left:
                return


def _group_size(repository: InventoryRepository) -> int:
    return _MAX_LOCAL_GROUP if isinstance(repository, ExclusiveRepository) else _MAX_GROUP


def _groups(
    reservations: Iterable[Reservation], max_length: int
) -> Iterator[tuple[Reservation, ...]]:
    """Yield groups that fit one write; reservations of the same item are in the same group where possible."""
    group: list[Reservation] = []
    keys: set[ItemKey] = set()
    size = 0
    for reservation in sorted(reservations, key=lambda reservation: reservation.keys):
        rows = 1 + len(reservation.lines)
        added = rows + len(set(reservation.keys) - keys)
        if group and (len(group) == max_length or size + added > MAX_CHANGE_SIZE):
            yield tuple(group)
            group, keys, size = [], set(), 0
            added = rows + len(reservation.keys)
        group.append(reservation)
        keys |= set(reservation.keys)
        size += added
    if group:
        yield tuple(group)


def _expire_group(group: Sequence[Reservation], expire: Expire) -> SweepResult:
    """Expire a group; if it is refused, each half of it."""
    if time_left() < _RESERVE_SECONDS:
        return SweepResult()
    try:
        return SweepResult(expired=expire(group))
    except InventoryError:
        if len(group) == 1:
            return SweepResult(failed=1)
    half = len(group) // 2
    return _expire_group(group[:half], expire) + _expire_group(group[half:], expire)


def _overdue(reservation: Reservation, at: Timestamp) -> float:
    """Return how many seconds a reservation has been due."""
    ended = reservation.expires_at.as_datetime()
    return max(0.0, (at.as_datetime() - ended).total_seconds())


@contextmanager
def _mapping(threads: int) -> Iterator[Callable[..., Iterable[SweepResult]]]:
    """Return `map`, or one that runs in *threads*."""
    if threads == 1:
        yield map
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only a sweep needs it

    with ThreadPoolExecutor(threads) as pool:
        yield pool.map
