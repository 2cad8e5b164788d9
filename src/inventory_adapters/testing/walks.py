"""Walks over the pages of a list, a ledger and the held reservations."""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import pytest

from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import InventoryRepository, ItemFilter
from inventory.reservations import Reservation
from inventory.stock import Movement

__all__ = ["held", "held_pages", "ledger", "ledger_pages", "pages", "part", "walk"]

T = TypeVar("T")

_MAX_PAGES: Final = 500


def _pages(
    read: Callable[[PageRequest], Page[T]], size: int, cursor: str | None = None
) -> Iterator[Page[T]]:
    """Walk what *read* pages through to its end; pages may be short or empty, but not without number."""
    for _ in range(_MAX_PAGES):
        page = read(PageRequest(size=size, cursor=cursor))
        assert len(page.items) <= size
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
    pytest.fail(f"the walk has not ended after {_MAX_PAGES} pages")


def pages(
    repository: InventoryRepository, wanted: ItemFilter, size: int = 100, cursor: str | None = None
) -> Iterator[Page[Item]]:
    """Walk the list of *wanted* to its end, page by page."""
    return _pages(lambda page: repository.list_items(wanted, page), size, cursor)


def walk(
    repository: InventoryRepository, wanted: ItemFilter, size: int = 100, cursor: str | None = None
) -> list[Item]:
    """Return what the pages of *wanted* hold, from the first (or from *cursor*) to the last."""
    return [item for page in pages(repository, wanted, size, cursor) for item in page.items]


def ledger_pages(
    repository: InventoryRepository, key: ItemKey, size: int, cursor: str | None = None
) -> Iterator[Page[Movement]]:
    """Walk the ledger of an item from the newest movement (or from *cursor*), page by page."""
    return _pages(lambda page: repository.list_movements(key, page), size, cursor)


def ledger(
    repository: InventoryRepository, key: ItemKey, size: int = 100, cursor: str | None = None
) -> list[Movement]:
    """Return the movements of an item, from the newest (or from *cursor*) to the oldest."""
    walked = ledger_pages(repository, key, size, cursor)
    return [movement for page in walked for movement in page.items]


def held_pages(
    repository: InventoryRepository, due_by: Timestamp | None, size: int
) -> Iterator[Page[Reservation]]:
    """Walk the reservations that are held, or those that expire by *due_by*, page by page."""
    return _pages(lambda page: repository.held_reservations(page, due_by=due_by), size)


def held(
    repository: InventoryRepository, *, due_by: Timestamp | None = None, size: int = 100
) -> list[Reservation]:
    """Return the reservations that are held or, of those, the ones that expire by *due_by*."""
    return [item for page in held_pages(repository, due_by, size) for item in page.items]


def part(
    repository: InventoryRepository, wanted: ItemFilter, at_least: int
) -> tuple[list[Item], str]:
    """Walk on from the start until *at_least* items have come; return them, and where the walk stands."""
    seen: list[Item] = []
    for page in pages(repository, wanted, size=at_least):
        seen += page.items
        if len(seen) >= at_least and page.next_cursor:
            return seen, page.next_cursor
    pytest.fail(f"the walk ended after {len(seen)} items")
