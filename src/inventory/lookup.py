"""
Items by the keys that callers send: the exact key first, then the normalized one.

New SKUs, categories and locations are normalized, but rows of an earlier version of the API need not be. The exact text finds
those rows; where nothing is there, the normalized text finds what the caller most likely means.
"""

from collections.abc import Iterable

from inventory.errors import InvalidCursorError
from inventory.items import Item, ItemKey
from inventory.paging import Page, PageRequest
from inventory.ports import InventoryRepository, ItemFilter

__all__ = ["candidates", "get_item", "get_items", "history_key", "list_items"]


def candidates(key: ItemKey) -> tuple[ItemKey, ...]:
    """Return the keys to try, in this order."""
    other = key.normalized
    return (key,) if other == key else (key, other)


def get_item(repository: InventoryRepository, key: ItemKey) -> Item | None:
    """Return the item that *key* finds, or None."""
    for candidate in candidates(key):
        item = repository.get_item(candidate)
        if item is not None:
            return item
    return None


def get_items(repository: InventoryRepository, keys: Iterable[ItemKey]) -> dict[ItemKey, Item]:
    """Return the items that *keys* find, each under the key that the caller sent."""
    asked = tuple(dict.fromkeys(keys))
    if not asked:
        return {}
    found = {item.key: item for item in repository.get_items(asked)}
    others = {key: candidates(key)[-1] for key in asked if key not in found}
    others = {key: other for key, other in others.items() if other != key}
    if others:
        by_key = {item.key: item for item in repository.get_items(others.values())}
        found |= {key: by_key[other] for key, other in others.items() if other in by_key}
    return {key: found[key] for key in asked if key in found}


def history_key(repository: InventoryRepository, key: ItemKey) -> ItemKey:
    """Return the key of the ledger that *key* means, whether or not the item still exists."""
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
    Return a page of the items that pass *item_filter* or, where the list is empty, the normalized filter.

    Raises:
        InvalidCursorError: The cursor is of neither.
    """
    other = item_filter.normalized
    if other == item_filter:
        return repository.list_items(item_filter, page)
    try:
        found = repository.list_items(item_filter, page)
    except InvalidCursorError:
        # A cursor belongs to one filter: this one may continue the list of the normalized filter.
        return repository.list_items(other, page)
    is_empty = page.cursor is None and not found.items and found.next_cursor is None
    return repository.list_items(other, page) if is_empty else found
