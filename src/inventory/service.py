"""Inventory: one method per command. Each reads through the port, decides with pure values, and commits once."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from os import urandom
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from attrs import frozen

from inventory import lookup, stock
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
    InventoryError,
    ItemNotFoundError,
    PreconditionFailedError,
    ReservationNotFoundError,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StaleReadError,
    StorageError,
    UnreadableRowError,
)
from inventory.idempotency import IdempotencyKey
from inventory.items import AVAILABLE, OUT_OF_STOCK, Item, ItemKey, StockLevel, Timestamp
from inventory.paging import Page, PageLimits, PageRequest, iter_pages
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
from inventory.preconditions import IfMatch
from inventory.reservations import Reservation, ReservationState, far_from
from inventory.retry import Decision, execute
from inventory.stock import Movement, MovementKind, StockChange, Transfer
from inventory.timeouts import time_left
from inventory.validation import UNSET

if TYPE_CHECKING:
    from inventory.batch import RowResult
    from inventory.reconcile import Examined, Finding, OpenReservations

__all__ = ["Inventory", "SweepResult"]

R = TypeVar("R")

# What one refused request does for the others: as many as fit beside it in a Lambda's time.
_SWEPT_ON_DEMAND: Final = 25
_DUE_AT_ONCE: Final = 100
# Below this, a sweeper stops rather than be stopped.
_SWEEP_RESERVE_SECONDS: Final = 1.0


@frozen(kw_only=True)
class SweepResult:
    """
    What a sweep did.

    Attributes:
        expired: Reservations that were expired.
        failed: Reservations that could not be, or could not be read: they stay due, and the next sweep tries again.
    """

    expired: int = 0
    failed: int = 0


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    """
    Return a UUID of version 7: milliseconds since 1970, then 74 random bits.

    Ids that are made together stand together in an index. Random ones would touch another page of it for each item.

    Source: RFC 9562, section 5.7.
    """
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(urandom(10))
    bits = bits & ~(0xF << 76) | 0x7 << 76  # version
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@frozen
class Inventory:
    """
    The inventory system: create, find, edit, list and delete items, move and reserve their stock.

    Safe to share between threads if the repository is. Every method may raise the repository's `StorageError`; every method
    that writes may raise `ContentionError`, when others kept changing the same items. A command with an `idempotency_key`
    has its effect once, and gives the same answer each time; it raises `KeyReusedError` if the key was used for another
    request.

    Args:
        repository: Where items are kept.
        limits: Returns the page limits in force.
        clock: Returns the present time.
        new_id: Returns ids for items, reservations and writes.
        pause: Sleeps a number of seconds between two attempts at the same write.
    """

    repository: InventoryRepository
    limits: LimitsSource = attrs.field(default=PageLimits, kw_only=True)
    clock: Clock = attrs.field(default=_now, kw_only=True)
    new_id: NewId = attrs.field(default=_new_id, kw_only=True)
    pause: Callable[[float], None] = attrs.field(default=time.sleep, kw_only=True)

    # Items

    def create_item(self, command: CreateItem) -> Item:
        """Put a new item on the books, under an id that the system makes, and return it."""
        return self._execute(command, lambda: self._create(command))

    def get_item(self, query: GetItem) -> Item:
        """
        Return one item as it is now.

        Raises:
            ItemNotFoundError: There is none with this id (and SKU).
        """
        if query.sku is None:
            item = self.repository.find_item(query.item_id)
        else:
            item = lookup.get_item(self.repository, ItemKey(item_id=query.item_id, sku=query.sku))
        if item is None:
            raise ItemNotFoundError(item_id=query.item_id, sku=query.sku)
        return item

    def update_item(self, command: UpdateItem) -> Item:
        """
        Change the given fields and no others, and return the item as it then is.

        Raises:
            ItemNotFoundError: There is no such item.
            PreconditionFailedError: It is not in a state that `if_match` accepts.
            BelowReservedError: The quantity is less than what is promised.
        """
        if command.idempotency_key is not None or _touches_stock(command):
            return self._execute(command, lambda: self._update(command))
        fields = command.details
        if not fields:
            item = self._require(command.key)
            _check(command.if_match, item, stock_too=False)
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
                    raise _moved_on(stale.current) from None
        raise ItemNotFoundError(item_id=command.item_id, sku=command.sku)

    def delete_item(self, command: DeleteItem) -> Item:
        """
        Delete an item and return it as it was. Its ledger stays, and ends with a movement to 0.

        Raises:
            ItemNotFoundError: There is no such item.
            PreconditionFailedError: It is not in a state that `if_match` accepts.
            ItemInUseError: Units of it are reserved.
        """

        def decide() -> Decision[Item]:
            before = self._require(command.key)
            _check(command.if_match, before, stock_too=True)
            movement = stock.delete(before, at=self._now())
            return self._change(ItemWrite(before=before, after=None), movements=[movement]), before

        return self._execute(command, decide)

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
        return lookup.list_items(self.repository, wanted, self._page(query))

    def batch_items(self, command: BatchItems) -> "tuple[RowResult, ...]":
        """
        Create and update several items, and return what became of each row.

        Raises:
            ValidationError: All or nothing is wanted, and rows are invalid; fields are named as ``items[3].quantity``.
            DuplicateRowError: Two rows are the same item.
            BatchRefusedError: All or nothing is wanted, and rows were refused.
        """
        from inventory import batch  # noqa: PLC0415 - no other request needs it

        batch.check_unique(command.items, self._loose_keys(command))
        if command.mode != ALL_OR_NOTHING:
            return tuple(self._batch_row(command, index) for index in range(len(command.items)))
        batch.check_valid(command.items)
        return self._execute(command, lambda: self._batch(command))

    # Stock

    def adjust_stock(self, command: AdjustStock) -> StockChange:
        """
        Change on-hand by a number of units.

        Raises:
            ItemNotFoundError: There is no such item.
            InsufficientStockError: More units would leave than are available.
            StockLimitError: More units would be on hand than an item may have.
        """

        def decide() -> Decision[StockChange]:
            change = stock.adjust(
                self._require(command.key),
                command.delta,
                reason=command.reason,
                reference=command.reference,
                at=self._now(),
            )
            return self._moving(change), change

        return self._execute(command, decide)

    def count_stock(self, command: CountStock) -> StockChange:
        """
        Set on-hand to what was found.

        Raises:
            ItemNotFoundError: There is no such item.
            StaleQuantityError: On-hand is not what was expected.
            BelowReservedError: More units are promised than were found.
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
            return self._moving(change), change

        return self._execute(command, decide)

    def transfer_stock(self, command: TransferStock) -> Transfer:
        """
        Move units between two items of one SKU, both sides in one write.

        Raises:
            SameItemError: Both sides are the same item.
            SkuMismatchError: The sides are of different SKUs.
            ItemNotFoundError: An item does not exist.
            InsufficientStockError: The source has fewer units available.
            StockLimitError: The destination would have more units than an item may have.
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
            return self._moving(out, into), Transfer(source=out.item, destination=into.item)

        return self._execute(command, decide)

    def list_movements(self, query: ListMovements) -> Page[Movement]:
        """
        Return a page of an item's ledger, newest first, also when the item is gone. The last entry is the opening balance.

        Raises:
            ItemNotFoundError: There is no such item, and there never was a movement of one.
            InvalidCursorError: The page token is not one that this query gave out.
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
        Hold every line for one reference, or none of them.

        Raises:
            ItemNotFoundError: An item does not exist.
            InsufficientStockError: An item has fewer units available.
        """

        def decide() -> Decision[Reservation]:
            items = lookup.get_items(self.repository, (line.key for line in command.lines))
            stored = {asked: item.key for asked, item in items.items()}
            reservation = Reservation.open(
                self.new_id(),
                [(stored.get(line.key, line.key), line.quantity) for line in command.lines],
                ttl_seconds=command.ttl_seconds,
                reference=command.reference,
                at=self._now(),
            )
            changes = reservation.hold({item.key: item for item in items.values()})
            write = ReservationWrite(before=None, after=reservation)
            return self._moving(*changes, reservation=write), reservation

        return self._execute(command, decide)

    def get_reservation(self, query: GetReservation) -> Reservation:
        """
        Return one reservation; one whose time is over as expired, whether or not anything has noticed yet.

        Raises:
            ReservationNotFoundError: There is none with this id.
        """
        reservation = self._require_reservation(query.reservation_id)
        return attrs.evolve(reservation, state=reservation.state_at(self._now()))

    def commit_reservation(self, command: CommitReservation) -> Reservation:
        """
        Let the held units leave. Committing again changes nothing.

        Raises:
            ReservationNotFoundError: There is none with this id.
            ReservationExpiredError: Its time is over.
            ReservationClosedError: It was released.
            ItemNotFoundError: An item was deleted behind our back.
            InsufficientStockError: The promise was lost, by a fault that `reconcile` mends, and fewer units are available.
        """
        return self._close(command, ReservationState.COMMITTED)

    def release_reservation(self, command: ReleaseReservation) -> Reservation:
        """
        Make the held units available again. Releasing again changes nothing.

        Raises:
            ReservationNotFoundError: There is none with this id.
            ReservationExpiredError: Its time is over.
            ReservationClosedError: It was committed.
        """
        return self._close(command, ReservationState.RELEASED)

    def extend_reservation(self, command: ExtendReservation) -> Reservation:
        """
        Hold the units for longer.

        Raises:
            ReservationNotFoundError: There is none with this id.
            ReservationExpiredError: Its time is over.
            ReservationClosedError: It was committed or released.
        """

        def decide() -> Decision[Reservation]:
            before = self._require_reservation(command.reservation_id)
            after = before.extended(command.ttl_seconds, at=self._now())
            write = ReservationWrite(before=before, after=after)
            return self._moving(reservation=write), after

        return self._execute(command, decide)

    def expire_reservations(self, command: ExpireReservations) -> SweepResult:
        """
        Free the units of reservations whose time is over, the oldest first; with `far`, also of those that end too late.

        One that cannot be freed now, or cannot be read, does not keep the others from it. Stops early when the deadline is
        near.
        """
        expired = failed = 0
        for found in self._to_expire(command):
            if time_left() < _SWEEP_RESERVE_SECONDS:
                break
            try:
                if isinstance(found, UnreadableRowError):
                    raise found
                expired += self._expire(found.reservation_id, far=command.far)
            except InventoryError:
                failed += 1
        return SweepResult(expired=expired, failed=failed)

    # Upkeep

    def far_reservations(self) -> Iterator[Reservation]:
        """
        Yield the open reservations that end more than 32 days from now, which none can whose clock was right.

        They hold their units until `expire_reservations` is called with `far`, by a person who has looked at the clock.
        """
        after = far_from(self._now())
        pages = iter_pages(lambda page: self.repository.held_reservations(page, ends_after=after))
        return (reservation for page in pages for reservation in page.items)

    def reconcile(
        self, *, fix: bool = False, progress: Callable[[int], None] | None = None
    ) -> "Iterator[Finding]":
        """
        Check every item's stock against its ledger and the open reservations, and yield what is wrong.

        That is a `Drift` where they disagree, an `UnreadableRow` for what could not be read, and a `FarReservation` for a
        reservation that ends too late. Meant to run beside the normal business: what moves while it is being looked at is
        looked at again.

        Args:
            fix: Write a `correction` for what can be corrected: of on-hand the level is right, of reserved the reservations.
                An item whose movements cannot all be read is not corrected, and none is while a reservation cannot be read.
            progress: Called with the number of items looked at so far, after each page of them.
        """
        from inventory import reconcile  # noqa: PLC0415 - no request needs it

        open_ = reconcile.open_reservations(self.repository, self._now())
        yield from map(reconcile.UnreadableRow, open_.unreadable)
        yield from map(reconcile.FarReservation, open_.far)
        seen = 0
        for page in iter_pages(lambda page: self.repository.list_items(ItemFilter(), page)):
            yield from map(reconcile.UnreadableRow, page.unreadable)
            for listed in page.items:
                yield from self._reconcile_item(listed.key, open_, fix=fix)
            seen += len(page.items)
            if progress is not None:
                progress(seen)

    # How a use case is carried out

    def _opening(self, key: ItemKey, first: Movement | None) -> Movement | None:
        """Derive the opening entry of a ledger; read what dates it only if the *first* movement does not."""
        if first is not None and first.item_created_at is not None:
            return stock.opening(None, first)
        item = self.repository.get_item(key)
        if first is None or item is not None:
            return stock.opening(item, first)
        newest = self.repository.list_movements(key, PageRequest(size=1))
        if newest.unreadable:
            raise newest.unreadable[0]
        [last] = newest.items
        return stock.opening(None, first, last)

    def _execute(self, command: Any, decide: Callable[[], Decision[R]]) -> R:
        """Commit what *decide* returns, once; see `inventory.retry.execute`."""
        return execute(
            command,
            decide,
            repository=self.repository,
            now=self._now,
            pause=self.pause,
            expire_due=self._expire_due,
        )

    def _expire_due(self) -> bool:
        """Expire due reservations for a request that needs their units, and return whether there were any."""
        try:
            return self.expire_reservations(ExpireReservations(limit=_SWEPT_ON_DEMAND)).expired > 0
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

    def _moving(self, *changes: StockChange, reservation: ReservationWrite | None = None) -> Change:
        return self._change(
            *(ItemWrite(before=change.before, after=change.item) for change in changes),
            movements=(change.movement for change in changes),
            reservation=reservation,
        )

    def _create(self, command: CreateItem) -> Decision[Item]:
        item = self._new_item(command)
        return self._change(ItemWrite(before=None, after=item)), item

    def _new_item(self, command: CreateItem) -> Item:
        now = self._now()
        return Item(
            key=ItemKey(item_id=self.new_id(), sku=command.sku),
            name=command.name,
            description=command.description,
            category=command.category,
            price=command.price,
            status=_status_of(command),
            location=command.location,
            reorder_point=command.reorder_point,
            created_at=now,
            updated_at=now,
            level=StockLevel(on_hand=command.quantity),
        )

    def _update(self, command: UpdateItem) -> Decision[Item]:
        """Decide an update as a change of what was read: what one call to `edit_item` cannot do."""
        before = self._require(command.key)
        after, movements = self._updated(before, command)
        return self._change(ItemWrite(before=before, after=after), movements=movements), after

    def _updated(self, before: Item, command: UpdateItem) -> tuple[Item, tuple[Movement, ...]]:
        _check(command.if_match, before, stock_too=_touches_stock(command))
        now = self._now()
        after = before
        movements: tuple[Movement, ...] = ()
        if command.quantity is not UNSET:
            change = stock.count(before, command.quantity, kind=MovementKind.EDIT, at=now)
            movements = (change.movement,)
            after = attrs.evolve(change.item, updated_at=now)
        if command.details:
            after = after.edited(command.details, at=now)
        return after, movements

    def _loose_keys(self, command: BatchItems) -> dict[ItemKey, ItemKey]:
        """Return the keys of the items that rows find by a SKU that is not normalized; reads only those."""
        keys = [row.key for row in command.items if isinstance(row, UpdateItem)]
        loose = [key for key in keys if key.normalized != key]
        return {key: item.key for key, item in lookup.get_items(self.repository, loose).items()}

    def _batch(self, command: BatchItems) -> "Decision[tuple[RowResult, ...]]":
        from inventory import batch  # noqa: PLC0415

        existing = lookup.get_items(
            self.repository, (row.key for row in command.items if isinstance(row, UpdateItem))
        )
        writes: list[ItemWrite] = []
        movements: list[Movement] = []
        results: list[RowResult] = []
        refused: dict[int, InventoryError] = {}
        for index, row in enumerate(command.items):
            before: Item | None = None
            if isinstance(row, CreateItem):
                after = self._new_item(row)
            elif isinstance(row, UpdateItem):
                before = existing.get(row.key)
                try:
                    if before is None:
                        raise ItemNotFoundError(item_id=row.item_id, sku=row.sku)
                    after, moved = self._updated(before, row)
                except InventoryError as error:
                    refused[index] = error
                    continue
                movements += moved
            else:
                continue
            writes.append(ItemWrite(before=before, after=after))
            results.append(batch.RowResult.of(index, after, created=before is None))
        batch.check_none_refused(refused, rows=len(command.items))
        return self._change(*writes, movements=movements), tuple(results)

    def _batch_row(self, command: BatchItems, index: int) -> "RowResult":
        from inventory import batch  # noqa: PLC0415

        row = command.items[index]
        key = command.idempotency_key and command.idempotency_key.for_row(index)
        try:
            if isinstance(row, CreateItem):
                item = self._execute(_Keyed(row, key), lambda: self._create(row))
            elif isinstance(row, UpdateItem) and key is None:
                item = self.update_item(row)
            elif isinstance(row, UpdateItem):
                item = self._execute(_Keyed(row, key), lambda: self._update(row))
            else:
                raise row
        except InventoryError as error:
            return batch.RowResult.rejected(index, row, error)
        return batch.RowResult.of(index, item, created=isinstance(row, CreateItem))

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
            return self._moving(*changes, reservation=write), after

        return self._execute(command, decide)

    def _expire(self, reservation_id: str, *, far: bool) -> bool:
        def decide() -> Decision[bool]:
            before = self.repository.get_reservation(reservation_id)
            now = self._now()
            if before is None or not (before.is_due(now) or (far and before.is_far(now))):
                return self._change(), False
            items = self._items(before.keys)
            after = before.closed(ReservationState.EXPIRED, at=now)
            changes = before.free(ReservationState.EXPIRED, items, at=now)
            write = ReservationWrite(before=before, after=after)
            return self._moving(*changes, reservation=write), True

        return self._execute(None, decide)

    def _to_expire(self, command: ExpireReservations) -> Iterator[Reservation | UnreadableRowError]:
        """Yield up to the limit of reservations to expire; rows that cannot be read do not count."""
        now = self._now()
        held = self.repository.held_reservations
        searches = [partial(held, due_by=now)]
        if command.far:
            searches.append(partial(held, ends_after=far_from(now)))
        left = command.limit
        size = min(command.limit, _DUE_AT_ONCE)
        for search in searches:
            for page in iter_pages(search, size=size):
                yield from page.unreadable
                for reservation in page.items[:left]:
                    left -= 1
                    yield reservation
                if not left:
                    return

    def _reconcile_item(
        self, key: ItemKey, open_: "OpenReservations", *, fix: bool
    ) -> "Iterator[Finding]":
        from inventory import reconcile  # noqa: PLC0415

        try:
            # A first look that may be overtaken costs no walk over all reservations; an item that it suspects gets a second.
            examined = reconcile.examine_item(self.repository, key, lambda: open_)
            if examined.drift is None and not examined.unreadable:
                return
            examined = self._correct(key) if fix else self._examine(key)
        except UnreadableRowError as error:
            yield reconcile.UnreadableRow(error)
            return
        yield from map(reconcile.UnreadableRow, examined.unreadable)
        if examined.drift is not None:
            yield examined.drift

    def _examine(self, key: ItemKey) -> "Examined":
        from inventory import reconcile  # noqa: PLC0415

        return reconcile.examine_item(
            self.repository,
            key,
            lambda: reconcile.open_reservations(self.repository, self._now()),
        )

    def _correct(self, key: ItemKey) -> "Examined":
        from inventory import reconcile  # noqa: PLC0415

        def decide() -> "Decision[Examined]":
            examined = self._examine(key)
            before, drift = examined.item, examined.drift
            if before is None or drift is None or not examined.can_be_corrected:
                return self._change(), examined
            change = reconcile.correct(before, drift, at=self._now())
            corrected = attrs.evolve(examined, drift=attrs.evolve(drift, corrected=True))
            return self._moving(change), corrected

        return self._execute(None, decide)

    def _page(self, query: ListItems | ListMovements) -> PageRequest:
        return PageRequest(size=self.limits().page_size(query.page_size), cursor=query.page_token)

    def _items(self, keys: Iterable[ItemKey]) -> dict[ItemKey, Item]:
        wanted = tuple(keys)
        return {item.key: item for item in self.repository.get_items(wanted)} if wanted else {}

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


@frozen
class _Keyed:
    """A row of a batch, under a key that the batch's own gives it."""

    command: CreateItem | UpdateItem
    idempotency_key: IdempotencyKey | None


def _status_of(command: CreateItem) -> str:
    if command.status is not UNSET:
        return command.status
    return AVAILABLE if command.quantity else OUT_OF_STOCK


def _touches_stock(command: UpdateItem) -> bool:
    return command.quantity is not UNSET or command.reorder_point is not UNSET


def _moved_on(item: Item) -> PreconditionFailedError:
    return PreconditionFailedError(version=item.version, seq=item.level.seq)


def _check(if_match: IfMatch, item: Item, *, stock_too: bool) -> None:
    if not (if_match.accepts(item) if stock_too else if_match.accepts_version(item)):
        raise _moved_on(item)
