"""Inventory: one method per command. Each reads through the port, decides with pure values, and commits once."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import uuid4

import attrs
from attrs import frozen

from inventory import stock
from inventory.commands import CreateItem, DeleteItem, GetItem, ListItems, UpdateItem
from inventory.deadline import time_left
from inventory.errors import (
    ContentionError,
    ItemInUseError,
    ItemNotFoundError,
    PreconditionFailedError,
    StaleReadError,
)
from inventory.fields import UNSET
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Limits, Page, PageRequest
from inventory.ports import (
    Change,
    Clock,
    InventoryRepository,
    ItemEdit,
    ItemFilter,
    ItemWrite,
    LimitsSource,
    NewId,
)
from inventory.preconditions import IfMatch
from inventory.stock import Movement, MovementKind, StockLevel

__all__ = ["Inventory"]

R = TypeVar("R")

_MAX_ATTEMPTS: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.5


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid4())


@frozen
class Inventory:
    """
    The inventory system: create, find, edit, list and delete items, and move their stock.

    Safe to share between threads if the repository is. Every method may raise the repository's `StorageError`.

    Args:
        repository: Where items are kept.
        limits: Returns the page limits in force.
        clock: Returns the present time.
        new_id: Returns ids for items and for writes.
        pause: Sleeps a number of seconds between two attempts at the same write.
    """

    repository: InventoryRepository
    limits: LimitsSource = attrs.field(default=Limits, kw_only=True)
    clock: Clock = attrs.field(default=_now, kw_only=True)
    new_id: NewId = attrs.field(default=_new_id, kw_only=True)
    pause: Callable[[float], None] = attrs.field(default=time.sleep, kw_only=True)

    def create_item(self, command: CreateItem) -> Item:
        """Put a new item on the books, under an id that the system makes, and return it."""

        def decide() -> tuple[Change, Item]:
            now = self._now()
            item = Item(
                key=ItemKey(item_id=self.new_id(), sku=command.sku),
                name=command.name,
                description=command.description,
                category=command.category,
                price=command.price,
                status=command.status,
                location=command.location,
                reorder_point=command.reorder_point,
                created_at=now,
                updated_at=now,
                level=StockLevel(on_hand=command.quantity),
            )
            write = ItemWrite(before=None, after=item)
            return Change(write_id=self.new_id(), items=(write,)), item

        return self._once(decide)

    def get_item(self, query: GetItem) -> Item:
        """
        Return one item as it is now.

        Raises:
            ItemNotFoundError: There is none with this id (and SKU).
        """
        if query.sku is None:
            item = self.repository.find_item(query.item_id)
        else:
            item = self.repository.get_item(ItemKey(item_id=query.item_id, sku=query.sku))
        if item is None:
            raise ItemNotFoundError(query.item_id, query.sku)
        return item

    def update_item(self, command: UpdateItem) -> Item:
        """
        Change the given fields and no others, and return the item as it then is.

        Raises:
            ItemNotFoundError: There is no such item.
            PreconditionFailedError: It is not in a state that `if_match` accepts.
            BelowReservedError: The quantity is less than what is promised.
            ContentionError: Others kept moving the item's stock.
        """
        if command.quantity is not UNSET or command.reorder_point is not UNSET:
            return self._once(lambda: self._edit_with_stock(command))
        fields = command.details
        if not fields:
            item = self._require(command.key)
            _check_version(command.if_match, item)
            return item
        edit = ItemEdit(
            write_id=self.new_id(),
            key=command.key,
            fields=fields,
            at=self._now(),
            versions=command.if_match.versions,
        )
        try:
            return self.repository.edit_item(edit)
        except StaleReadError as stale:
            if stale.current is None:
                raise ItemNotFoundError(command.item_id, command.sku) from None
            raise _moved_on(stale.current) from None

    def delete_item(self, command: DeleteItem) -> Item:
        """
        Take an item off the books and return it as it was. Its movements stay in the ledger.

        Raises:
            ItemNotFoundError: There is no such item.
            PreconditionFailedError: It is not in a state that `if_match` accepts.
            ItemInUseError: Units of it are reserved.
        """
        try:
            return self.repository.delete_item(command.key, tags=command.if_match.tags)
        except StaleReadError as stale:
            if stale.current is None:
                raise ItemNotFoundError(command.item_id, command.sku) from None
            _check_state(command.if_match, stale.current)
            raise ItemInUseError(stale.current.level.reserved) from None

    def list_items(self, query: ListItems) -> Page[Item]:
        """
        Return a page of the items that pass every given filter.

        Raises:
            InvalidCursorError: The page token is not one that this query gave out.
        """
        wanted = ItemFilter(
            category=query.category,
            status=query.status,
            sku=query.sku,
            location=query.location,
            low_stock=query.low_stock,
        )
        size = self.limits().page_size(query.page_size)
        return self.repository.list_items(wanted, PageRequest(size=size, cursor=query.page_token))

    def _edit_with_stock(self, command: UpdateItem) -> tuple[Change, Item]:
        before = self._require(command.key)
        _check_state(command.if_match, before)
        now = self._now()
        after = before
        movements: tuple[Movement, ...] = ()
        if command.quantity is not UNSET:
            level, movement = stock.count(
                before.key, before.level, command.quantity, kind=MovementKind.EDIT, at=now
            )
            after, movements = before.moved(level), (movement,)
        fields = command.details
        after = after.edited(fields, at=now) if fields else attrs.evolve(after, updated_at=now)
        write = ItemWrite(before=before, after=after)
        return Change(write_id=self.new_id(), items=(write,), movements=movements), after

    def _once(self, decide: Callable[[], tuple[Change, R]]) -> R:
        """Commit what *decide* decides, and let it decide anew when what it read has moved on meanwhile."""
        longest = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            change, result = decide()
            try:
                self.repository.commit(change)
            except StaleReadError:
                # Full jitter: writers that met once should not meet again.
                pause = random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
                if attempt == _MAX_ATTEMPTS or pause >= time_left():
                    raise ContentionError(attempt) from None
                self.pause(pause)
                longest = min(longest * 2, _LONGEST_PAUSE_SECONDS)
            else:
                return result
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _require(self, key: ItemKey) -> Item:
        item = self.repository.get_item(key)
        if item is None:
            raise ItemNotFoundError(key.item_id, key.sku)
        return item

    def _now(self) -> Timestamp:
        return Timestamp.of(self.clock())


def _moved_on(item: Item) -> PreconditionFailedError:
    return PreconditionFailedError(version=item.version, seq=item.level.seq)


def _check_state(if_match: IfMatch, item: Item) -> None:
    if not if_match.accepts(item):
        raise _moved_on(item)


def _check_version(if_match: IfMatch, item: Item) -> None:
    if not if_match.accepts_version(item):
        raise _moved_on(item)
