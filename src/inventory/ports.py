"""
What the outside must supply: storage, a clock, ids, limits.

A repository has narrow reads and one atomic write; `edit_item` exists beside it because one conditional call is cheaper than
a read and a transaction. It holds no rules: it checks the conditions it is handed, and says what it found.
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
"""Returns the present time, aware, to the microsecond."""

NewId = Callable[[], str]
"""Returns an id that was never given out before."""

LimitsSource = Callable[[], PageLimits]
"""Returns the page limits in force. Never raises, never takes long: it falls back to what it last knew, or to defaults."""

Index = Literal["sku", "low_stock", "category", "status", "item_id"]

# The most selective first. Where none of the first four is asked for, the walk is over all items, by id.
_PRECEDENCE: Final[tuple[Index, ...]] = ("sku", "low_stock", "category", "status")


@frozen(kw_only=True)
class ItemFilter:
    """
    Which items a list has: those that pass every filter that is set.

    Attributes:
        category, status, sku, location: The value that an item must have; None for any.
        low_stock: Whether only items at or below their reorder point pass, and of these none that is discontinued.
    """

    category: str | None = None
    status: str | None = None
    sku: str | None = None
    location: str | None = None
    low_stock: bool = False

    @property
    def index(self) -> Index:
        """The one index that the list walks; the other filters are applied to what it yields."""
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
        """Tell whether *item* belongs in the list."""
        return (
            (self.sku is None or item.sku == self.sku)
            and (not self.low_stock or item.needs_reorder)
            and (self.category is None or item.category == self.category)
            and (self.status is None or item.status == self.status)
            and (self.location is None or item.location == self.location)
        )

    def position(self, item: Item) -> tuple[str, ...]:
        """Return where *item* stands in the order of the list; no two items stand in one place."""
        if self.index == "category":
            return (item.updated_at, item.item_id, item.sku)
        return (item.item_id, item.sku)


@frozen(kw_only=True)
class ItemWrite:
    """
    The next state of one item, and the state that it replaces.

    Attributes:
        before: The item as it was read; None for one that must not exist yet.
        after: The item as it will be; None to delete it.
    """

    before: Item | None
    after: Item | None

    def __attrs_post_init__(self) -> None:
        if self.before is None and self.after is None:
            msg = "an item write has an item before, or one after, or both"
            raise ValueError(msg)

    @property
    def key(self) -> ItemKey:
        """The item."""
        item = self.before if self.after is None else self.after
        assert item is not None  # noqa: S101 - checked when the value was made
        return item.key


@frozen(kw_only=True)
class ReservationWrite:
    """
    The next state of a reservation, and the state that it was decided on.

    Attributes:
        before: The reservation as it was read; None for a new one.
        after: The reservation as it shall be.
    """

    before: Reservation | None
    after: Reservation


def _unique(_change: "Change", _attribute: Any, items: tuple[ItemWrite, ...]) -> None:
    if len({write.key for write in items}) != len(items):
        msg = "a change names each item once"
        raise ValueError(msg)


def _of_the_items(change: "Change", _attribute: Any, movements: tuple[Movement, ...]) -> None:
    moved = {movement.key for movement in movements}
    if len(moved) != len(movements) or not moved <= {write.key for write in change.items}:
        msg = "a change has one movement at most for each of its items, and none of others"
        raise ValueError(msg)
    if not moved >= {write.key for write in change.items if write.after is None}:
        msg = "a change that deletes an item has a movement for it"
        raise ValueError(msg)


@frozen(kw_only=True)
class Change:
    """
    All that one use case writes, kept as a whole or not at all.

    Attributes:
        write_id: Names the decision. A repository that sends a change twice, because an answer was lost, stores it once.
        items: Items to create, to bring from one state to the next, or to delete, no item twice.
        movements: The ledger entries that explain every difference of level in *items*; an item that is deleted always has one.
        reservation: A reservation to open, extend or close.
        idempotency_record: The answer of the command's idempotency key.
    """

    write_id: str
    items: tuple[ItemWrite, ...] = field(default=(), validator=_unique)
    movements: tuple[Movement, ...] = field(default=(), validator=_of_the_items)
    reservation: ReservationWrite | None = None
    idempotency_record: IdempotencyRecord | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.items or self.reservation or self.idempotency_record)


@frozen(kw_only=True)
class ItemEdit:
    """
    An edit of details that was decided without reading the item.

    Attributes:
        write_id: Names the decision, as in `Change`.
        key: The item to edit.
        fields: New details by their names on `Item`; never the key, the level, the version or `reorder_point`.
        at: When; becomes `updated_at`.
        versions: The edit applies only to an item at one of these; None for any.
    """

    write_id: str
    key: ItemKey
    fields: dict[str, Any]
    at: Timestamp
    versions: frozenset[int] | None = None


class InventoryRepository(Protocol):
    """
    Where items are kept.

    Every method may raise `StorageThrottledError` or `StorageUnavailableError`. A read that names a row raises
    `UnreadableItemError`, `UnreadableMovementError` or `UnreadableReservationError` for one that cannot be read; a page skips
    it, logs one warning, and lists it in `Page.unreadable`. Reads see every write that was acknowledged before they began, but
    for `list_items`, which may lag behind.
    """

    def get_item(self, key: ItemKey) -> Item | None:
        """Return the item, or None where there is none."""

    def find_item(self, item_id: str) -> Item | None:
        """Return the item with this id; of several SKUs under one id, the first by SKU."""

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        """Return those of the items that exist, in no particular order; each as of its own moment."""

    def list_items(self, wanted: ItemFilter, page: PageRequest) -> Page[Item]:
        """
        Return a page of the items that pass *wanted*, in the order of `ItemFilter.position`.

        A walk over all items may come in any order that a store has, as DynamoDB's `Scan` does. A walk from the first page to
        the one without a cursor yields every item that passed all along, and once, unless it was edited meanwhile and so
        stands elsewhere. A cursor outlives the item that it names.

        Raises:
            InvalidCursorError: The cursor is malformed, was edited, or is of another filter.
        """

    def list_movements(self, key: ItemKey, page: PageRequest) -> Page[Movement]:
        """
        Return a page of the item's movements, newest first, whether or not the item still exists.

        A page that is full has a cursor, also where no movement is left: the walk always ends on a page with room for one
        more entry, the derived opening balance.

        Raises:
            InvalidCursorError: The cursor is malformed, was edited, or is of another item.
        """

    def first_movement(self, key: ItemKey) -> Movement | None:
        """Return the item's movement with seq 1, or, should that be lost, the earliest there is."""

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        """Return the reservation as it is stored, or None where there is none."""

    def held_reservations(
        self,
        page: PageRequest,
        *,
        due_by: Timestamp | None = None,
        ends_after: Timestamp | None = None,
    ) -> Page[Reservation]:
        """
        Return a page of the reservations whose stored state is held, the one that expires first at the head.

        Args:
            page: Which page.
            due_by: Only those that expire at this time or before, as of a moment ago: it finds work for a sweeper that looks
                at each again.
            ends_after: Only those that expire after this time, as of a moment ago; not together with *due_by*. With neither,
                all of them, with every write acknowledged before the call, however long it takes, and in any order.

        Raises:
            InvalidCursorError: The cursor is malformed or was edited.
        """

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        """Return the record of an idempotency key, or None where there is none; one that has expired may still be there."""

    def purge(self, at: Timestamp) -> int:
        """
        Delete idempotency records that have expired at a time, and reservations that were closed 30 days before it.

        Returns:
            How many; 0 where storage sees to it by itself.
        """

    def commit(self, change: Change) -> None:
        """
        Store all of *change*, or none of it.

        An item of `Change.items` is stored or deleted only if its level and its version are as they were read or, for a new
        one, if its key is free. What is stored beside it that no `Item` knows is left alone. The movements of a deleted item
        stay.

        A movement is stored only if its place (`seq`) in the item's history is free, so an item under a key that once had a
        history cannot write over it. A reservation is stored only if its state and `expires_at` are as they were read or, for
        a new one, if its id is free. An idempotency record is stored only if there is none of its id, or one that had expired
        at the new one's `stored_at`.

        Raises:
            DuplicateRequestError: The idempotency key was already used; takes precedence over all other errors.
            StaleReadError: The stored state no longer matches the state *change* was based on.
        """

    def edit_item(self, edit: ItemEdit) -> Item:
        """
        Replace the given details, count the version up, and return the item as it then is.

        Raises:
            StaleReadError: There is no such item, or its version is not an accepted one; it carries the item as it is.
        """


@runtime_checkable
class ExclusiveRepository(InventoryRepository, Protocol):
    """A repository that can be had alone: one in a single place, which writers take turns at anyway."""

    def exclusive(self) -> AbstractContextManager[None]:
        """
        Give this thread the store to itself, inside the block that it begins.

        Nobody else writes meanwhile, so no decision that is made inside is overtaken. Reads see what was written inside. A
        commit or an edit that is refused leaves what was written before it; all of it is kept when the block ends, and nothing
        if it ends with an error. To acknowledge a change before then would be too early. A block within a block is part of it.

        Raises:
            StorageThrottledError: The turn did not come in time; the block was not begun.
            StorageUnavailableError: Nothing of it was kept.
        """
