"""The ledger of an item by time."""

from collections.abc import Iterable, Iterator

from inventory.commands import ListMovements
from inventory.items import ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import InventoryRepository, MovementFilter
from inventory.stock import Movement

__all__ = ["last_by", "list_period", "newest", "within"]


def newest(
    repository: InventoryRepository, key: ItemKey, last_seq: int | None = None
) -> Movement | None:
    """
    Return the newest movement of an item, or of those up to *last_seq*.

    Raises:
        UnreadableMovementError: The row cannot be read.
    """
    page = repository.list_movements(
        MovementFilter(key=key, last_seq=last_seq), PageRequest(size=1)
    )
    for error in page.unreadable:
        raise error
    return page.items[0] if page.items else None


def last_by(repository: InventoryRepository, key: ItemKey, at: Timestamp) -> Movement | None:
    """
    Return the last movement that was recorded at a time or before, or None.

    Because `recorded_at` never runs backwards within an item, a binary search finds it.
    """
    last = newest(repository, key)
    if last is None or last.recorded_at <= at:
        return last
    found = None
    low, high = 0, last.seq - 1
    while low < high:
        middle = (low + high + 1) // 2
        movement = newest(repository, key, middle)
        if movement is None or movement.recorded_at <= at:
            found, low = movement, middle
        else:
            high = movement.seq - 1
    return found


def list_period(
    repository: InventoryRepository, key: ItemKey, query: ListMovements, page: PageRequest
) -> Page[Movement]:
    """Return a page of the movements of the period, newest first."""
    last_seq = None
    if query.until is not None and page.cursor is None:
        last = last_by(repository, key, query.until)
        last_seq = 0 if last is None else last.seq
    movement_filter = MovementFilter(
        key=key, since=query.since, until=query.until, last_seq=last_seq
    )
    movements = repository.list_movements(movement_filter, page)
    items = tuple(within(query, movements.items))
    if len(items) == len(movements.items):
        return movements
    # The rest of the ledger is older than the period.
    return Page(items=items, unreadable=movements.unreadable)


def within(query: ListMovements, movements: Iterable[Movement]) -> Iterator[Movement]:
    """Yield the movements of the period."""
    for movement in movements:
        at = movement.recorded_at
        if (query.since is None or at >= query.since) and (
            query.until is None or at <= query.until
        ):
            yield movement
