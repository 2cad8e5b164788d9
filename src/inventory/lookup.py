"""
Look up items by the keys that callers send: the exact key first, then the normalized one.

New SKUs, categories and locations are normalized; those in rows of an earlier version of the API may not be. The exact text
finds those rows. If it finds nothing, the normalized text finds what the caller most likely means.
"""

from collections.abc import Callable, Iterable, Iterator

import attrs

from inventory.commands import ListItems
from inventory.errors import InvalidCursorError
from inventory.items import Item, ItemKey
from inventory.paging import Page, PageRequest, iter_pages
from inventory.ports import InventoryRepository, ItemFilter

__all__ = [
    "all_items",
    "candidates",
    "find_by_sku",
    "get_item",
    "get_items",
    "history_key",
    "list_items",
    "stored_key",
]


def candidates(key: ItemKey) -> tuple[ItemKey, ...]:
    """Return the keys to try, in order."""
    other = key.normalized
    return (key,) if other == key else (key, other)


def get_item(repository: InventoryRepository, key: ItemKey) -> Item | None:
    """Return the item with this key, or None."""
    for candidate in candidates(key):
        item = repository.get_item(candidate)
        if item is not None:
            return item
    return None


def stored_key(repository: InventoryRepository, key: ItemKey) -> ItemKey:
    """Return the key of the item that *key* names; *key* itself if there is none."""
    if key.normalized == key:
        return key
    item = get_item(repository, key)
    return key if item is None else item.key


def get_items(repository: InventoryRepository, keys: Iterable[ItemKey]) -> dict[ItemKey, Item]:
    """Return the items with these keys, by the key that the caller sent."""
    requested = tuple(dict.fromkeys(keys))
    if not requested:
        return {}
    items = {item.key: item for item in repository.get_items(requested)}
    others = {key: candidates(key)[-1] for key in requested if key not in items}
    others = {key: other for key, other in others.items() if other != key}
    if others:
        by_key = {item.key: item for item in repository.get_items(others.values())}
        items |= {key: by_key[other] for key, other in others.items() if other in by_key}
    return {key: items[key] for key in requested if key in items}


def history_key(repository: InventoryRepository, key: ItemKey) -> ItemKey:
    """Return the key of the ledger that *key* names, of a deleted item too."""
    other = key.normalized
    if (
        other == key
        or repository.get_item(key) is not None
        or repository.first_movement(key) is not None
    ):
        return key
    return other


def list_items(
    repository: InventoryRepository, item_filter: ItemFilter, page: PageRequest
) -> Page[Item]:
    """
    Return a page of the items that match *item_filter* or, if none does, the normalized filter.

    Raises:
        InvalidCursorError: The cursor belongs to neither filter.
    """
    other = item_filter.normalized
    if other == item_filter:
        return repository.list_items(item_filter, page)
    try:
        exact = repository.list_items(item_filter, page)
    except InvalidCursorError:
        # A cursor belongs to one filter: this one may continue the list of the normalized filter.
        return repository.list_items(other, page)
    is_empty = page.cursor is None and not exact.items and exact.next_cursor is None
    return repository.list_items(other, page) if is_empty else exact


def all_items(list_items: Callable[[ListItems], Page[Item]], query: ListItems) -> Iterator[Item]:
    """Yield the items of every page of *query*, from its page on."""

    def read(page: PageRequest) -> Page[Item]:
        places = {
            "page_size": query.page_size or page.size,
            "page_token": page.cursor or query.page_token,
        }
        return list_items(attrs.evolve(query, **places))  # type: ignore[misc] # made by `command`

    return (item for page in iter_pages(read) for item in page.items)


def find_by_sku(
    list_items: Callable[[ListItems], Page[Item]], sku: str, location: str | None
) -> tuple[Item, ...]:
    """Return the items with this SKU, at one location or at all of them."""
    return tuple(all_items(list_items, ListItems(sku=sku, location=location)))
