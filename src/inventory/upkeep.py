"""Upkeep: find and expire reservations that are due."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from attrs import frozen

from inventory.commands import ExpireReservations
from inventory.errors import InventoryError, UnreadableRowError
from inventory.items import Timestamp
from inventory.paging import iter_pages
from inventory.ports import InventoryRepository
from inventory.reservations import Reservation, far_after
from inventory.timeouts import time_left

__all__ = ["SweepResult", "expire_each", "far_reservations", "reservations_to_expire"]

_MAX_PAGE_SIZE: Final = 100
# A sweep ends by itself before the platform ends it.
_RESERVE_SECONDS: Final = 1.0


@frozen(kw_only=True)
class SweepResult:
    """
    The result of a sweep.

    Attributes:
        expired: Number of reservations that were expired.
        failed: Number of reservations that could not be read or expired. They stay due, and the next sweep retries them.
    """

    expired: int = 0
    failed: int = 0


def far_reservations(repository: InventoryRepository, at: Timestamp) -> Iterator[Reservation]:
    """Yield the open reservations that end later than a reservation can."""
    after = far_after(at)
    pages = iter_pages(lambda page: repository.held_reservations(page, ends_after=after))
    return (reservation for page in pages for reservation in page.items)


def reservations_to_expire(
    repository: InventoryRepository, command: ExpireReservations, at: Timestamp
) -> Iterator[Reservation | UnreadableRowError]:
    """
    Yield reservations to expire, up to the limit.

    Yield an error for each unreadable row too; these do not count.
    """
    searches = [partial(repository.held_reservations, due_by=at)]
    if command.far:
        searches.append(partial(repository.held_reservations, ends_after=far_after(at)))
    left = command.limit
    size = min(command.limit, _MAX_PAGE_SIZE)
    for search in searches:
        for page in iter_pages(search, size=size):
            yield from page.unreadable
            for reservation in page.items[:left]:
                left -= 1
                yield reservation
            if not left:
                return


def expire_each(
    rows: Iterable[Reservation | UnreadableRowError], expire: Callable[[Reservation], bool]
) -> SweepResult:
    """
    Expire each reservation, and stop early when the deadline is near.

    Args:
        rows: The reservations, and errors of rows that could not be read.
        expire: Expires one and returns whether it was still due.
    """
    expired = failed = 0
    for row in rows:
        if time_left() < _RESERVE_SECONDS:
            break
        try:
            if isinstance(row, UnreadableRowError):
                raise row
            expired += expire(row)
        except InventoryError:
            failed += 1
    return SweepResult(expired=expired, failed=failed)
