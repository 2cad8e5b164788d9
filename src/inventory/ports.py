"""
Ports: the interfaces that adapters implement (storage, clock, IDs, limits).

A repository has narrow reads and one atomic write. `edit_item` exists beside it because one conditional call is cheaper than a
read and a transaction. Repositories contain no business rules; they only check the given conditions.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, Protocol, runtime_checkable

import attrs
from attrs import field, frozen

from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageLimits, PageRequest
from inventory.reservations import Reservation, ReservationState
from inventory.stock import Movement
from inventory.validation import folded, normalized

__all__ = [
    "MAX_CHANGE_SIZE",
    "Change",
    "Clock",
    "ExclusiveRepository",
    "Index",
    "InventoryRepository",
    "ItemEdit",
    "ItemFilter",
    "ItemWrite",
    "LimitsSource",
    "MovementFilter",
    "NewId",
    "ReservationFilter",
    "ReservationWrite",
    "RestorableRepository",
]

# Source: "Amazon DynamoDB Transactions: How it works", actions of one TransactWriteItems.
MAX_CHANGE_SIZE: Final = 100
"""Maximum number of rows that one change may write."""

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
        search: Words, each of which must be part of the SKU, the name or the value of an attribute. See `words`.
    """

    category: str | None = None
    status: str | None = None
    sku: str | None = None
    location: str | None = None
    low_stock: bool = False
    search: str | None = None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the search, folded; each must be in `Item.search_text`."""
        return () if self.search is None else tuple(folded(self.search).split())

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
            and (self.search is None or self._has_words(item))
        )

    def _has_words(self, item: Item) -> bool:
        text = item.search_text
        return all(word in text for word in self.words)

    def position(self, item: Item) -> tuple[str, ...]:
        """Return the sort key of *item* in the list, unique among items."""
        if self.index == "category":
            return (item.updated_at, item.item_id, item.sku)
        return (item.item_id, item.sku)


@frozen(kw_only=True)
class MovementFilter:
    """
    A filter for the movements of one item.

    Attributes:
        key: The item.
        since, until: The period that the list is for. Only cursors depend on it: because `recorded_at` never runs backwards,
            the caller of `list_movements` finds the ends of the period itself.
        last_seq: Where a list without a cursor starts; None for the newest movement.
    """

    key: ItemKey
    since: Timestamp | None = None
    until: Timestamp | None = None
    last_seq: int | None = field(default=None, eq=False)


@frozen(kw_only=True)
class ReservationFilter:
    """
    A filter for lists of held reservations; a reservation must match all parts that are set.

    Attributes:
        key: Only reservations that hold units of this item.
        reference: Only reservations with this reference.
        due_by: Only reservations that expire at this time or before.
        ends_after: Only reservations that expire after this time.
    """

    key: ItemKey | None = None
    reference: str | None = None
    due_by: Timestamp | None = None
    ends_after: Timestamp | None = None

    def matches(self, reservation: Reservation) -> bool:
        """Return whether *reservation* belongs in the list."""
        return (
            reservation.state is ReservationState.HELD
            and (self.key is None or self.key in reservation.keys)
            and (self.reference is None or reservation.reference == self.reference)
            and (self.due_by is None or reservation.expires_at <= self.due_by)
            and (self.ends_after is None or reservation.expires_at > self.ends_after)
        )


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


def _unique(change: "Change", _attribute: Any, _value: Any) -> None:
    items = {write.key for write in change.items}
    reservations = {write.after.reservation_id for write in change.reservations}
    if len(items) != len(change.items) or len(reservations) != len(change.reservations):
        msg = "a change must name each item and each reservation only once"
        raise ValueError(msg)


def _of_the_items(change: "Change", _attribute: Any, movements: tuple[Movement, ...]) -> None:
    seqs: dict[ItemKey, int] = {}
    for movement in movements:
        if movement.seq != seqs.get(movement.key, movement.seq - 1) + 1:
            msg = "the movements of one item must have consecutive seqs"
            raise ValueError(msg)
        seqs[movement.key] = movement.seq
    if not seqs.keys() <= {write.key for write in change.items}:
        msg = "a change must have no movements of other items"
        raise ValueError(msg)
    if not seqs.keys() >= {write.key for write in change.items if write.after is None}:
        msg = "a change that deletes an item must have a movement of it"
        raise ValueError(msg)


@frozen(kw_only=True)
class Change:
    """
    Everything that one use case writes, atomically.

    Attributes:
        write_id: Identifies the change. A repository that sends it twice, because a response was lost, stores it once.
        items: Items to create, update or delete, each once.
        movements: Ledger entries for the items in *items* whose level changes or that are deleted. Those of one item are in
            the order of their seqs, without gaps.
        reservations: Reservations to create, extend, commit in part or close, each once.
        idempotency_record: The record of the command's idempotency key.
    """

    write_id: str
    items: tuple[ItemWrite, ...] = ()
    movements: tuple[Movement, ...] = field(default=(), validator=_of_the_items)
    reservations: tuple[ReservationWrite, ...] = field(default=(), validator=_unique)
    idempotency_record: IdempotencyRecord | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the change writes nothing."""
        return not (self.items or self.reservations or self.idempotency_record)

    @property
    def size(self) -> int:
        """Number of rows that the change writes, at most `MAX_CHANGE_SIZE`."""
        rows = (self.items, self.movements, self.reservations)
        return sum(map(len, rows)) + (self.idempotency_record is not None)


@frozen(kw_only=True)
class ItemEdit:
    """
    An update of details that does not depend on the current item.

    Attributes:
        write_id: Identifies the edit, as in `Change`.
        key: The item to edit.
        fields: New details by their names on `Item`; never the key, the level, the version or `reorder_point`.
        at: The new `updated_at`.
        actor: The new `changed_by`.
        versions: The item must be at one of these versions; None for any.
    """

    write_id: str
    key: ItemKey
    fields: dict[str, Any]
    at: Timestamp
    actor: str | None = None
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

    def list_movements(self, movement_filter: MovementFilter, page: PageRequest) -> Page[Movement]:
        """
        Return a page of an item's movements, newest first, whether or not the item still exists.

        A full page has a cursor even if no movement follows, so that the last page always has room for one more entry: the
        derived opening balance.

        Raises:
            InvalidCursorError: The cursor is malformed, was edited, or belongs to another item or period.
        """

    def first_movement(self, key: ItemKey) -> Movement | None:
        """
        Return the item's first movement, or None if it has none.

        If the movement with seq 1 is missing, it is the earliest one.
        """

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        """Return the reservation as it is stored, or None if it does not exist."""

    def get_reservations(self, reservation_ids: Iterable[str]) -> tuple[Reservation, ...]:
        """
        Return the reservations that exist and can be read, in any order.

        Each read may happen at another moment.
        """

    def held_reservations(self, page: PageRequest) -> Page[Reservation]:
        """
        Return a page of all reservations whose stored state is held, in any order.

        The pages contain every reservation that was held throughout.

        Raises:
            InvalidCursorError: The cursor is malformed or was edited.
        """

    def list_reservations(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        """
        Return a page of the reservations that match *reservation_filter*, the first to expire first.

        With a `key`, the pages contain every reservation that held units of the item throughout. Without it, the list may lag
        behind: a caller that acts on a reservation reads it again.

        Raises:
            InvalidCursorError: The cursor is malformed, was edited, or belongs to another filter.
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

        A reservation: its stored `revision` is that of `ReservationWrite.before`; if that is None, no reservation has its ID.

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

    def once_stored(self, call: Callable[[], None]) -> None:
        """
        Call *call* once the writes so far of this thread are stored: after its outermost exclusive block, or at once outside.

        If the block ends with an error, *call* is not called.
        """

    def items_of_skus(self, skus: Sequence[str]) -> tuple[Item, ...]:
        """
        Return all items with one of these SKUs, in any order.

        Unreadable rows are left out, as in a list.
        """


@runtime_checkable
class RestorableRepository(InventoryRepository, Protocol):
    """A repository into which a snapshot can be restored; see `inventory.snapshots`."""

    def restore_id(self) -> str | None:
        """Return the ID of the restore that was started and not finished; None if there is none."""
