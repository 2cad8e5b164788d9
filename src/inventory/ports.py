"""
Ports: the interfaces that adapters implement (storage, clock, IDs, limits).

A repository has narrow reads and one atomic write. `edit_item` exists beside it because one conditional call is cheaper than a
read and a transaction. Repositories contain no business rules; they only check the given conditions.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, Literal, Protocol, runtime_checkable

import attrs
from attrs import field, frozen

from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageLimits, PageRequest
from inventory.reservations import Reservation
from inventory.stock import Movement
from inventory.validation import normalized

__all__ = [
    "Change",
    "Clock",
    "ExclusiveRepository",
    "Index",
    "InventoryRepository",
    "ItemEdit",
    "ItemFilter",
    "ItemWrite",
    "LimitsSource",
    "NewId",
    "ReservationWrite",
]

Clock = Callable[[], datetime]
"""Returns the current time: an aware datetime, precise to the microsecond."""

NewId = Callable[[], str]
"""Returns an ID that is never returned again."""

LimitsSource = Callable[[], PageLimits]
"""
Returns the page limits in force.

Never raises or blocks: it falls back to the last known limits, or to defaults.
"""

Index = Literal["sku", "low_stock", "category", "status", "item_id"]

# The most selective first. Without one of these filters, a list reads all items by ID.
_PRECEDENCE: Final[tuple[Index, ...]] = ("sku", "low_stock", "category", "status")


@frozen(kw_only=True)
class ItemFilter:
    """
    A filter for lists; an item must match all parts that are set.

    Attributes:
        category, status, sku, location: The value that an item must have; None for any.
        low_stock: Whether an item must be at or below its reorder point and not discontinued.
    """

    category: str | None = None
    status: str | None = None
    sku: str | None = None
    location: str | None = None
    low_stock: bool = False

    @property
    def index(self) -> Index:
        """The index that the list reads; the other parts filter its rows."""
        return next((name for name in _PRECEDENCE if getattr(self, name)), "item_id")

    @property
    def normalized(self) -> "ItemFilter":
        """The filter with its values in the form that new items have."""
        return attrs.evolve(
            self,
            sku=self.sku and normalized(self.sku),
            category=self.category and normalized(self.category),
            location=self.location and normalized(self.location),
        )

    def matches(self, item: Item) -> bool:
        """Return whether *item* belongs in the list."""
        return (
            (self.sku is None or item.sku == self.sku)
            and (not self.low_stock or item.needs_reorder)
            and (self.category is None or item.category == self.category)
            and (self.status is None or item.status == self.status)
            and (self.location is None or item.location == self.location)
        )

    def position(self, item: Item) -> tuple[str, ...]:
        """Return the sort key of *item* in the list, unique among items."""
        if self.index == "category":
            return (item.updated_at, item.item_id, item.sku)
        return (item.item_id, item.sku)


@frozen(kw_only=True)
class ItemWrite:
    """
    The next state of one item, and the state that it replaces.

    Attributes:
        before: The item as it was read; None to create it.
        after: The item after the write; None to delete it.
        key: The key of the item.
    """

    before: Item | None
    after: Item | None
    key: ItemKey = field(init=False, eq=False, repr=False)

    @key.default
    def _key(self) -> ItemKey:
        item = self.before if self.after is None else self.after
        if item is None:
            msg = "an item write needs an item before, after, or both"
            raise ValueError(msg)
        return item.key


@frozen(kw_only=True)
class ReservationWrite:
    """
    The next state of a reservation, and the state that it replaces.

    Attributes:
        before: The reservation as it was read; None to create it.
        after: The reservation after the write.
    """

    before: Reservation | None
    after: Reservation


def _unique(_change: "Change", _attribute: Any, items: tuple[ItemWrite, ...]) -> None:
    if len({write.key for write in items}) != len(items):
        msg = "a change must name each item only once"
        raise ValueError(msg)


def _of_the_items(change: "Change", _attribute: Any, movements: tuple[Movement, ...]) -> None:
    moved = {movement.key for movement in movements}
    if len(moved) != len(movements) or not moved <= {write.key for write in change.items}:
        msg = "a change may have at most one movement per item, and none of other items"
        raise ValueError(msg)
    if not moved >= {write.key for write in change.items if write.after is None}:
        msg = "a change that deletes an item must have a movement of it"
        raise ValueError(msg)


@frozen(kw_only=True)
class Change:
    """
    Everything that one use case writes, atomically.

    Attributes:
        write_id: Identifies the change. A repository that sends it twice, because a response was lost, stores it once.
        items: Items to create, update or delete, each once.
        movements: One ledger entry for each item in *items* whose level changes or that is deleted.
        reservation: A reservation to create, extend or close.
        idempotency_record: The record of the command's idempotency key.
    """

    write_id: str
    items: tuple[ItemWrite, ...] = field(default=(), validator=_unique)
    movements: tuple[Movement, ...] = field(default=(), validator=_of_the_items)
    reservation: ReservationWrite | None = None
    idempotency_record: IdempotencyRecord | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the change writes nothing."""
        return not (self.items or self.reservation or self.idempotency_record)


@frozen(kw_only=True)
class ItemEdit:
    """
    An update of details that does not depend on the current item.

    Attributes:
        write_id: Identifies the edit, as in `Change`.
        key: The item to edit.
        fields: New details by their names on `Item`; never the key, the level, the version or `reorder_point`.
        at: The new `updated_at`.
        versions: The item must be at one of these versions; None for any.
    """

    write_id: str
    key: ItemKey
    fields: dict[str, Any]
    at: Timestamp
    versions: frozenset[int] | None = None


class InventoryRepository(Protocol):
    """
    Storage for items, movements, reservations and idempotency records.

    Every method may raise `StorageThrottledError` or `StorageUnavailableError`. A read of one row raises `UnreadableItemError`,
    `UnreadableMovementError` or `UnreadableReservationError` if the row cannot be read; a page skips such a row, logs one
    warning, and lists the error in `Page.unreadable`. A read returns every write that was acknowledged before it started;
    only `list_items` may lag behind.
    """

    def get_item(self, key: ItemKey) -> Item | None:
        """Return the item, or None if it does not exist."""

    def find_item(self, item_id: str) -> Item | None:
        """
        Return the item with this ID, or None.

        If several items have the ID, it is the first by SKU.
        """

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        """
        Return the items that exist, in any order.

        Each read may happen at another moment.
        """

    def list_items(self, item_filter: ItemFilter, page: PageRequest) -> Page[Item]:
        """
        Return a page of the items that match *item_filter*, in the order of `ItemFilter.position`.

        Without a filter that has an index, the order may be any other, such as that of DynamoDB's `Scan`. The pages from the
        first to the one without a cursor contain every item that matched throughout, exactly once, unless an edit moved it to
        another position meanwhile. A cursor stays valid if the item that it names is deleted.

        Raises:
            InvalidCursorError: The cursor is malformed, was edited, or belongs to another filter.
        """

    def list_movements(self, key: ItemKey, page: PageRequest) -> Page[Movement]:
        """
        Return a page of the item's movements, newest first, whether or not the item still exists.

        A full page has a cursor even if no movement follows, so that the last page always has room for one more entry: the
        derived opening balance.

        Raises:
            InvalidCursorError: The cursor is malformed, was edited, or belongs to another item.
        """

    def first_movement(self, key: ItemKey) -> Movement | None:
        """
        Return the item's first movement, or None if it has none.

        If the movement with seq 1 is missing, it is the earliest one.
        """

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        """Return the reservation as it is stored, or None if it does not exist."""

    def held_reservations(
        self,
        page: PageRequest,
        *,
        due_by: Timestamp | None = None,
        ends_after: Timestamp | None = None,
    ) -> Page[Reservation]:
        """
        Return a page of the reservations whose stored state is held, the first to expire first.

        Without *due_by* and *ends_after*, the pages contain all of them, with every write acknowledged before the call, and in
        any order. With one of the two, the result may lag behind: the caller reads each reservation again. The two exclude
        each other.

        Args:
            page: The page to return.
            due_by: Only reservations that expire at this time or before.
            ends_after: Only reservations that expire after this time.

        Raises:
            InvalidCursorError: The cursor is malformed or was edited.
        """

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        """
        Return the record of an idempotency key, or None.

        Expired records may still be returned.
        """

    def purge(self, at: Timestamp) -> int:
        """
        Delete idempotency records that have expired at a time, and reservations that were closed 30 days before it.

        Returns:
            Number of deleted records; 0 if the storage deletes them by itself.
        """

    def commit(self, change: Change) -> None:
        """
        Store *change* atomically, if all of these conditions hold.

        An item: its stored level and version are those of `ItemWrite.before`; if that is None, no item has its key. Stored
        fields that `Item` does not have are left unchanged. The movements of a deleted item remain.

        A movement: no movement of the item has its seq, so that a new item under an old key cannot overwrite the old ledger.

        A reservation: its stored state and `expires_at` are those of `ReservationWrite.before`; if that is None, no
        reservation has its ID.

        An idempotency record: no record has its ID, or that record had expired at the new one's `stored_at`.

        Raises:
            DuplicateRequestError: The idempotency key was already used; takes precedence over all other errors.
            StaleReadError: The stored state no longer matches the state *change* was based on.
        """

    def edit_item(self, edit: ItemEdit) -> Item:
        """
        Replace the given details, increment the version, and return the updated item.

        Raises:
            StaleReadError: The item does not exist, or its version is not accepted. The error has the current item.
        """


@runtime_checkable
class ExclusiveRepository(InventoryRepository, Protocol):
    """
    A repository that supports exclusive access.

    An example is a local database with a single writer.
    """

    def exclusive(self) -> AbstractContextManager[None]:
        """
        Hold an exclusive write lock for the duration of the block.

        Because no other thread or process writes meanwhile, nothing that was read in the block becomes stale. Reads return the
        writes of the block. A commit or an edit that raises leaves the earlier writes of the block intact. All writes are
        stored when the block ends, and none if it ends with an error, so acknowledge none of them earlier. A nested block is
        part of the outer one.

        Raises:
            StorageThrottledError: The lock was not free in time; the block did not start.
            StorageUnavailableError: Nothing was stored.
        """
