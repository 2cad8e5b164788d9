"""Pagination of lists of items, ledgers and held reservations."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar, cast

import pytest

from inventory.items import Item, ItemKey
from inventory.paging import Page, PageRequest
from inventory.ports import (
    InventoryRepository,
    ItemFilter,
    MovementFilter,
    ReservationFilter,
)
from inventory.reservations import Reservation
from inventory.stock import Movement

__all__ = [
    "first_items",
    "held",
    "held_pages",
    "item_pages",
    "ledger",
    "ledger_pages",
    "list_all",
    "with_short_pages",
]

T = TypeVar("T")

_MAX_PAGES: Final = 500


def _pages(
    read: Callable[[PageRequest], Page[T]], size: int, cursor: str | None = None
) -> Iterator[Page[T]]:
    """Yield the pages that *read* returns, which may be short or empty."""
    for _ in range(_MAX_PAGES):
        page = read(PageRequest(size=size, cursor=cursor))
        assert len(page.items) <= size
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
    pytest.fail(f"the list did not end after {_MAX_PAGES} pages")


def item_pages(
    repository: InventoryRepository,
    item_filter: ItemFilter,
    size: int = 100,
    cursor: str | None = None,
) -> Iterator[Page[Item]]:
    """Yield the pages of a list, from the first one or from *cursor*."""
    return _pages(lambda page: repository.list_items(item_filter, page), size, cursor)


def list_all(
    repository: InventoryRepository,
    item_filter: ItemFilter,
    size: int = 100,
    cursor: str | None = None,
) -> list[Item]:
    """Return the items of all pages, from the first one or from *cursor*."""
    return [
        item for page in item_pages(repository, item_filter, size, cursor) for item in page.items
    ]


def ledger_pages(
    repository: InventoryRepository,
    key: ItemKey,
    size: int,
    cursor: str | None = None,
    *,
    last_seq: int | None = None,
) -> Iterator[Page[Movement]]:
    """Yield the pages of a ledger, from the newest movement, *last_seq* or *cursor*."""
    movement_filter = MovementFilter(key=key, last_seq=last_seq)
    return _pages(partial(repository.list_movements, movement_filter), size, cursor)


def ledger(
    repository: InventoryRepository,
    key: ItemKey,
    size: int = 100,
    cursor: str | None = None,
    *,
    last_seq: int | None = None,
) -> list[Movement]:
    """Return the movements of all pages of `ledger_pages`."""
    all_pages = ledger_pages(repository, key, size, cursor, last_seq=last_seq)
    return [movement for page in all_pages for movement in page.items]


def held_pages(
    repository: InventoryRepository, *, size: int = 100, **parts: Any
) -> Iterator[Page[Reservation]]:
    """Yield pages of held reservations: all in any order, or those of a filter with these *parts*."""
    if not parts:
        return _pages(repository.held_reservations, size)
    return _pages(partial(repository.list_reservations, ReservationFilter(**parts)), size)


def held(repository: InventoryRepository, *, size: int = 100, **parts: Any) -> list[Reservation]:
    """Return the reservations of all pages of `held_pages`."""
    all_pages = held_pages(repository, size=size, **parts)
    return [reservation for page in all_pages for reservation in page.items]


def first_items(
    repository: InventoryRepository, item_filter: ItemFilter, at_least: int
) -> tuple[list[Item], str]:
    """Read pages until *at_least* items; return them and the next cursor."""
    seen: list[Item] = []
    for page in item_pages(repository, item_filter, size=at_least):
        seen += page.items
        if len(seen) >= at_least and page.next_cursor:
            return seen, page.next_cursor
    pytest.fail(f"the list ended after {len(seen)} items")


def with_short_pages(repository: InventoryRepository) -> InventoryRepository:
    """
    Return *repository* with the pages that a port allows and small stores never return.

    Before each row there is an empty page with a cursor. Code that reads pages must work with it, too.
    """
    return cast("InventoryRepository", _ShortPages(repository))


class _ShortPages:
    _EMPTY: Final = "after an empty page: "

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def list_items(self, item_filter: ItemFilter, page: PageRequest) -> Page[Item]:
        return self._short(partial(self._repository.list_items, item_filter), page)

    def list_movements(self, movement_filter: MovementFilter, page: PageRequest) -> Page[Movement]:
        return self._short(partial(self._repository.list_movements, movement_filter), page)

    def held_reservations(self, page: PageRequest) -> Page[Reservation]:
        return self._short(self._repository.held_reservations, page)

    def list_reservations(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        return self._short(partial(self._repository.list_reservations, reservation_filter), page)

    def _short(self, read: Callable[[PageRequest], Page[T]], page: PageRequest) -> Page[T]:
        cursor = page.cursor or ""
        if not cursor.startswith(self._EMPTY):
            return Page(items=(), next_cursor=self._EMPTY + cursor)
        return read(PageRequest(size=1, cursor=cursor.removeprefix(self._EMPTY) or None))
