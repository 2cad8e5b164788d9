"""
Inventory: one method per command.

Each method reads through the port, decides with pure values, and commits once.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from attrs import frozen

from inventory import edits, lookup, stock, upkeep
from inventory.commands import (
    ALL_OR_NOTHING,
    AdjustStock,
    BatchItems,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    ListItems,
    ListMovements,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import (
    ItemNotFoundError,
    ReservationNotFoundError,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StaleReadError,
    StorageError,
)
from inventory.ids import new_id
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageLimits, PageRequest
from inventory.ports import (
    Change,
    Clock,
    InventoryRepository,
    ItemEdit,
    ItemFilter,
    ItemWrite,
    LimitsSource,
    NewId,
    ReservationWrite,
)
from inventory.reservations import Reservation, ReservationState
from inventory.retry import Decision, Executor
from inventory.stock import Movement, StockChange, Transfer
from inventory.upkeep import SweepResult

if TYPE_CHECKING:
    from inventory.batch import RowResult
    from inventory.reconcile import Examined, Finding

__all__ = ["Inventory"]

R = TypeVar("R")

# A request that needs units expires this many reservations, which fit beside it in the time that a Lambda function has.
_EXPIRED_ON_DEMAND: Final = 25


def _now() -> datetime:
    return datetime.now(UTC)


@frozen
class Inventory:
    """
    The inventory system: manage items, their stock, and reservations.

    Instances can be shared between threads if the repository can. Every method may raise the repository's `StorageError`;
    every method that writes may raise `ContentionError`. A command with an `idempotency_key` takes effect once and returns the
    same answer each time; it raises `KeyReusedError` if the key was used for another request.

    Args:
        repository: Stores the items.
        limits: Returns the page limits in force.
        clock: Returns the current time.
        new_id: Returns IDs for items, reservations and writes.
        pause: Sleeps a number of seconds between two attempts at the same write.
    """

    repository: InventoryRepository
    limits: LimitsSource = attrs.field(default=PageLimits, kw_only=True)
    clock: Clock = attrs.field(default=_now, kw_only=True)
    new_id: NewId = attrs.field(default=new_id, kw_only=True)
    pause: Callable[[float], None] = attrs.field(default=time.sleep, kw_only=True)

    # Items

    def create_item(self, command: CreateItem) -> Item:
        """Create an item with a new ID, and return it."""

        def decide() -> Decision[Item]:
            item = edits.create(command, item_id=self.new_id(), at=self._now())
            return self._change(ItemWrite(before=None, after=item)), item

        return self._execute(command, decide)

    def get_item(self, query: GetItem) -> Item:
        """
        Return an item.

        Raises:
            ItemNotFoundError: No item has this ID (and SKU).
        """
        if query.sku is not None:
            return self._require(ItemKey(item_id=query.item_id, sku=query.sku))
        item = self.repository.find_item(query.item_id)
        if item is None:
            raise ItemNotFoundError(item_id=query.item_id)
        return item

    def update_item(self, command: UpdateItem) -> Item:
        """
        Update the given fields, leave the others, and return the updated item.

        Raises:
            ItemNotFoundError: The item does not exist.
            PreconditionFailedError: The item is not in a state that `if_match` accepts.
            BelowReservedError: The quantity is less than the reserved units.
        """
        if command.idempotency_key is None and not edits.concerns_stock(command):
            return self._edit(command)

        def decide() -> Decision[Item]:
            before = self._require(command.key)
            after, movements = edits.update(before, command, at=self._now())
            return self._change(ItemWrite(before=before, after=after), movements=movements), after

        return self._execute(command, decide)

    def delete_item(self, command: DeleteItem) -> Item:
        """
        Delete an item and return it as it was. Its movements remain; the last one brings the balances to 0.

        Raises:
            ItemNotFoundError: The item does not exist.
            PreconditionFailedError: The item is not in a state that `if_match` accepts.
            ItemInUseError: Units of the item are reserved.
        """

        def decide() -> Decision[Item]:
            before = self._require(command.key)
            edits.require_match(command.if_match, before, with_stock=True)
            movement = stock.delete(before, at=self._now())
            return self._change(ItemWrite(before=before, after=None), movements=[movement]), before

        return self._execute(command, decide)

    def list_items(self, query: ListItems) -> Page[Item]:
        """
        Return a page of the items that match every given filter.

        Raises:
            InvalidCursorError: The page token was not issued for this query.
        """
        item_filter = ItemFilter(
            category=query.category,
            status=query.status,
            sku=query.sku,
            location=query.location,
            low_stock=query.low_stock,
        )
        return lookup.list_items(self.repository, item_filter, self._page(query))

    def find_by_sku(self, sku: str, *, location: str | None = None) -> tuple[Item, ...]:
        """Return the items with this SKU, at one location or at all of them."""
        return lookup.find_by_sku(self.list_items, sku, location)

    def batch_items(self, command: BatchItems) -> "tuple[RowResult, ...]":
        """
        Create and update several items, and return the result of each row.

        Raises:
            ValidationError: The batch is atomic and rows are invalid; fields are named like ``items[3].quantity``.
            DuplicateRowError: Two rows name the same item.
            BatchRefusedError: The batch is atomic and rows were rejected.
        """
        # Loaded on use: with reconcile 3 % of a cold start, for a few requests.
        from inventory import batch  # noqa: PLC0415

        batch.check_unique(command.items, batch.stored_keys(self.repository, command.items))
        if command.mode != ALL_OR_NOTHING:
            return batch.apply_each(command, create=self.create_item, update=self.update_item)
        batch.check_valid(command.items)
        return self._execute(
            command,
            lambda: batch.decide(command, self.repository, new_id=self.new_id, at=self._now()),
        )

    # Stock

    def adjust_stock(self, command: AdjustStock) -> StockChange:
        """
        Add units to an item, or remove units from it.

        Raises:
            ItemNotFoundError: The item does not exist.
            InsufficientStockError: Fewer units are available than requested.
            StockLimitError: The item would have more units than allowed.
        """

        def decide() -> Decision[StockChange]:
            change = stock.adjust(
                self._require(command.key),
                command.delta,
                reason=command.reason,
                reference=command.reference,
                at=self._now(),
            )
            return self._change_of(change), change

        return self._execute(command, decide)

    def count_stock(self, command: CountStock) -> StockChange:
        """
        Set the quantity of an item to a physical count.

        Raises:
            ItemNotFoundError: The item does not exist.
            StaleQuantityError: The current quantity is not the expected one.
            BelowReservedError: The count is less than the reserved units.
        """

        def decide() -> Decision[StockChange]:
            before = self._require(command.key)
            expected, on_hand = command.expected_quantity, before.level.on_hand
            if expected is not None and expected != on_hand:
                raise StaleQuantityError(
                    item_id=command.item_id,
                    sku=command.sku,
                    expected_quantity=expected,
                    quantity=on_hand,
                )
            change = stock.count(before, command.quantity, reason=command.reason, at=self._now())
            return self._change_of(change), change

        return self._execute(command, decide)

    def transfer_stock(self, command: TransferStock) -> Transfer:
        """
        Move units between two items of one SKU, in one atomic write.

        Raises:
            SameItemError: Both sides are the same item.
            SkuMismatchError: The two items have different SKUs.
            ItemNotFoundError: One of the items does not exist.
            InsufficientStockError: Fewer units of the source are available than requested.
            StockLimitError: The destination would have more units than allowed.
        """
        source, destination = command.source.key, command.destination.key
        if source == destination:
            raise SameItemError
        if source.normalized.sku != destination.normalized.sku:
            raise SkuMismatchError(source=source.sku, destination=destination.sku)

        def decide() -> Decision[Transfer]:
            items = self._require_all((source, destination))
            if items[source].key == items[destination].key:
                raise SameItemError
            out, into = stock.transfer(
                items[source],
                items[destination],
                command.quantity,
                reference=command.reference,
                at=self._now(),
            )
            return self._change_of(out, into), Transfer(source=out.item, destination=into.item)

        return self._execute(command, decide)

    def list_movements(self, query: ListMovements) -> Page[Movement]:
        """
        Return a page of an item's movements, newest first. The last entry is the opening balance.

        The movements of a deleted item remain.

        Raises:
            ItemNotFoundError: The item does not exist and has no movements.
            InvalidCursorError: The page token was not issued for this query.
        """
        key = lookup.history_key(self.repository, query.key)
        page = self.repository.list_movements(key, self._page(query))
        if page.next_cursor is not None:
            return page
        first = page.items[-1] if page.items else self.repository.first_movement(key)
        opening = self._opening(key, first)
        if opening is None:
            raise ItemNotFoundError(item_id=query.item_id, sku=query.sku)
        return Page(items=(*page.items, opening))

    # Reservations

    def create_reservation(self, command: CreateReservation) -> Reservation:
        """
        Reserve the units of all lines, or of none.

        Raises:
            ItemNotFoundError: One of the items does not exist.
            InsufficientStockError: Fewer units of an item are available than requested.
        """

        def decide() -> Decision[Reservation]:
            items = lookup.get_items(self.repository, [line.key for line in command.lines])
            stored = {requested: item.key for requested, item in items.items()}
            reservation = Reservation.open(
                self.new_id(),
                [(stored.get(line.key, line.key), line.quantity) for line in command.lines],
                ttl_seconds=command.ttl_seconds,
                reference=command.reference,
                at=self._now(),
            )
            changes = reservation.hold({item.key: item for item in items.values()})
            write = ReservationWrite(before=None, after=reservation)
            return self._change_of(*changes, reservation=write), reservation

        return self._execute(command, decide)

    def get_reservation(self, query: GetReservation) -> Reservation:
        """
        Return a reservation. After its `expires_at`, its state is expired, even before a sweep has closed it.

        Raises:
            ReservationNotFoundError: No reservation has this ID.
        """
        reservation = self._require_reservation(query.reservation_id)
        return attrs.evolve(reservation, state=reservation.state_at(self._now()))

    def commit_reservation(self, command: CommitReservation) -> Reservation:
        """
        Commit a reservation: remove its units from stock. Committing it again changes nothing.

        Raises:
            ReservationNotFoundError: No reservation has this ID.
            ReservationExpiredError: The reservation has expired.
            ReservationClosedError: The reservation was released.
            ItemNotFoundError: The item was deleted by another process.
            InsufficientStockError: The reserved count was wrong (see `reconcile`), and fewer units are available.
        """
        return self._close(command, ReservationState.COMMITTED)

    def release_reservation(self, command: ReleaseReservation) -> Reservation:
        """
        Release a reservation: make its units available again. Releasing it again changes nothing.

        Raises:
            ReservationNotFoundError: No reservation has this ID.
            ReservationExpiredError: The reservation has expired.
            ReservationClosedError: The reservation was committed.
        """
        return self._close(command, ReservationState.RELEASED)

    def extend_reservation(self, command: ExtendReservation) -> Reservation:
        """
        Extend a reservation.

        Raises:
            ReservationNotFoundError: No reservation has this ID.
            ReservationExpiredError: The reservation has expired.
            ReservationClosedError: The reservation was committed or released.
        """

        def decide() -> Decision[Reservation]:
            before = self._require_reservation(command.reservation_id)
            after = before.extended(command.ttl_seconds, at=self._now())
            write = ReservationWrite(before=before, after=after)
            return self._change_of(reservation=write), after

        return self._execute(command, decide)

    # Upkeep

    def expire_reservations(self, command: ExpireReservations) -> SweepResult:
        """
        Expire the reservations that are due, and with `far` also those that end too late.

        A reservation that cannot be expired or read does not prevent the others from being expired. Stops early when the
        deadline is near.
        """
        rows = upkeep.reservations_to_expire(self.repository, command, self._now())
        return upkeep.expire_each(rows, lambda reservation: self._expire(reservation, command))

    def far_reservations(self) -> Iterator[Reservation]:
        """
        Yield the open reservations that end more than 32 days from now: created while a clock was ahead.

        They hold their units until `expire_reservations` is called with `far`, after a person has checked the clock.
        """
        return upkeep.far_reservations(self.repository, self._now())

    def reconcile(
        self, *, fix: bool = False, progress: Callable[[int], None] | None = None
    ) -> "Iterator[Finding]":
        """
        Check every item's stock against its ledger and open reservations, and yield the findings.

        A finding is a `Drift` where they disagree, an `UnreadableRow` for a row that could not be read, or a `FarReservation`
        for a reservation that ends too late. Other requests may run meanwhile: an item that changes during the check is
        checked again.

        Args:
            fix: Write a `correction` for each drift that can be corrected. The level is right about on-hand, the
                reservations about reserved. An item is not corrected if one of its movements cannot be read, and no item is
                corrected while a reservation cannot be read.
            progress: Called with the number of items checked so far, after each page of them.
        """
        from inventory import reconcile  # noqa: PLC0415 - as in batch_items

        def correct(key: ItemKey) -> "Examined":
            def decide() -> "Decision[Examined]":
                correction, examined = reconcile.decide_correction(self.repository, key, self._now)
                return self._change_of(*correction), examined

            return self._execute(None, decide)

        return reconcile.check_all(
            self.repository,
            now=self._now,
            correct=correct if fix else None,
            progress=progress,
        )

    # Shared by the use cases

    def _execute(self, command: Any, decide: Callable[[], Decision[R]]) -> R:
        executor = Executor(
            repository=self.repository,
            now=self._now,
            pause=self.pause,
            expire_due=self._expire_due,
        )
        return executor.execute(command, decide)

    def _expire_due(self) -> bool:
        """Expire due reservations, and return whether there were any."""
        try:
            return (
                self.expire_reservations(ExpireReservations(limit=_EXPIRED_ON_DEMAND)).expired > 0
            )
        except StorageError:
            return False

    def _change(
        self,
        *items: ItemWrite,
        movements: Iterable[Movement] = (),
        reservation: ReservationWrite | None = None,
    ) -> Change:
        return Change(
            write_id=self.new_id(),
            items=items,
            movements=tuple(movements),
            reservation=reservation,
        )

    def _change_of(
        self, *changes: StockChange, reservation: ReservationWrite | None = None
    ) -> Change:
        return self._change(
            *[ItemWrite(before=change.before, after=change.item) for change in changes],
            movements=[change.movement for change in changes],
            reservation=reservation,
        )

    def _edit(self, command: UpdateItem) -> Item:
        """
        Update details alone.

        One conditional write is enough; the item is not read first.
        """
        fields = command.details
        if not fields:
            item = self._require(command.key)
            edits.require_match(command.if_match, item, with_stock=False)
            return item
        for key in lookup.candidates(command.key):
            edit = ItemEdit(
                write_id=self.new_id(),
                key=key,
                fields=fields,
                at=self._now(),
                versions=command.if_match.versions,
            )
            try:
                return self.repository.edit_item(edit)
            except StaleReadError as stale:
                if stale.current is not None:
                    raise edits.precondition_failed(stale.current) from None
        raise ItemNotFoundError(item_id=command.item_id, sku=command.sku)

    def _opening(self, key: ItemKey, first: Movement | None) -> Movement | None:
        """
        Derive the opening balance of a ledger.

        Read the item or the last movement only if the *first* movement does not date it.
        """
        if first is not None and first.item_created_at is not None:
            return stock.opening(None, first)
        item = self.repository.get_item(key)
        if first is None or item is not None:
            return stock.opening(item, first)
        [last] = self.repository.list_movements(key, PageRequest(size=1)).items
        return stock.opening(None, first, last)

    def _close(
        self, command: CommitReservation | ReleaseReservation, state: ReservationState
    ) -> Reservation:
        def decide() -> Decision[Reservation]:
            before = self._require_reservation(command.reservation_id)
            if before.state is state:
                return self._change(), before
            now = self._now()
            before.require_held(now)
            items = self._items(before.keys)
            after = before.closed(state, at=now)
            commits = state is ReservationState.COMMITTED
            changes = before.issue(items, at=now) if commits else before.free(state, items, at=now)
            write = ReservationWrite(before=before, after=after)
            return self._change_of(*changes, reservation=write), after

        return self._execute(command, decide)

    def _expire(self, reservation: Reservation, command: ExpireReservations) -> bool:
        """Expire a reservation, and return whether it was still to be expired."""

        def decide() -> Decision[bool]:
            before = self.repository.get_reservation(reservation.reservation_id)
            now = self._now()
            if before is None or not (before.is_due(now) or (command.far and before.is_far(now))):
                return self._change(), False
            items = self._items(before.keys)
            after = before.closed(ReservationState.EXPIRED, at=now)
            changes = before.free(ReservationState.EXPIRED, items, at=now)
            write = ReservationWrite(before=before, after=after)
            return self._change_of(*changes, reservation=write), True

        return self._execute(None, decide)

    def _page(self, query: ListItems | ListMovements) -> PageRequest:
        return PageRequest(size=self.limits().page_size(query.page_size), cursor=query.page_token)

    def _items(self, keys: tuple[ItemKey, ...]) -> dict[ItemKey, Item]:
        return {item.key: item for item in self.repository.get_items(keys)} if keys else {}

    def _require_all(self, keys: tuple[ItemKey, ...]) -> dict[ItemKey, Item]:
        items = lookup.get_items(self.repository, keys)
        for key in keys:
            if key not in items:
                raise ItemNotFoundError(item_id=key.item_id, sku=key.sku)
        return items

    def _require(self, key: ItemKey) -> Item:
        item = lookup.get_item(self.repository, key)
        if item is None:
            raise ItemNotFoundError(item_id=key.item_id, sku=key.sku)
        return item

    def _require_reservation(self, reservation_id: str) -> Reservation:
        reservation = self.repository.get_reservation(reservation_id)
        if reservation is None:
            raise ReservationNotFoundError(reservation_id=reservation_id)
        return reservation

    def _now(self) -> Timestamp:
        return Timestamp.of(self.clock())
