"""The reference repository: what the port means, in a dictionary and one lock."""

from collections.abc import Iterable
from threading import RLock

from inventory.errors import StaleReadError
from inventory.items import Item, ItemKey
from inventory.paging import Page, PageRequest
from inventory.ports import Change, ItemEdit, ItemFilter
from inventory.stock import Movement
from inventory_adapters.storage import cursors

__all__ = ["MemoryRepository"]


class MemoryRepository:
    """
    Keeps everything for as long as the process lives; safe to share between threads.

    A page costs a sort of what passes its filter: meant for tests, for trying things out, and for what fits in memory.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._items: dict[ItemKey, Item] = {}
        self._movements: dict[ItemKey, list[Movement]] = {}

    def get_item(self, key: ItemKey) -> Item | None:
        with self._lock:
            return self._items.get(key)

    def find_item(self, item_id: str) -> Item | None:
        with self._lock:
            keys = [key for key in self._items if key.item_id == item_id]
            return self._items[min(keys)] if keys else None

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        with self._lock:
            return tuple(self._items[key] for key in dict.fromkeys(keys) if key in self._items)

    def list_items(self, wanted: ItemFilter, page: PageRequest) -> Page[Item]:
        after = cursors.decode_item(wanted, page.cursor) if page.cursor else ()
        with self._lock:
            passing = [item for item in self._items.values() if wanted.passes(item)]
        rest = sorted(
            (item for item in passing if wanted.position(item) > after), key=wanted.position
        )
        items = tuple(rest[: page.size])
        more = len(rest) > page.size
        return Page(
            items=items,
            next_cursor=cursors.encode_item(wanted, items[-1]) if more else None,
        )

    def commit(self, change: Change) -> None:
        with self._lock:
            for write in change.items:
                if not _still(self._items.get(write.key), write.before):
                    raise StaleReadError
            for write in change.items:
                self._items[write.key] = write.after
            for movement in change.movements:
                self._movements.setdefault(movement.key, []).append(movement)

    def edit_item(self, edit: ItemEdit) -> Item:
        with self._lock:
            item = self._items.get(edit.key)
            if item is None or not (edit.versions is None or item.version in edit.versions):
                raise StaleReadError(item)
            edited = item.edited(edit.fields, at=edit.at)
            self._items[edit.key] = edited
            return edited

    def delete_item(self, key: ItemKey, *, tags: frozenset[tuple[int, int]] | None = None) -> Item:
        with self._lock:
            item = self._items.get(key)
            if (
                item is None
                or item.level.reserved
                or not (tags is None or (item.version, item.level.seq) in tags)
            ):
                raise StaleReadError(item)
            return self._items.pop(key)


def _still(current: Item | None, before: Item | None) -> bool:
    if current is None or before is None:
        return current is before
    return (current.level, current.version) == (before.level, before.version)
