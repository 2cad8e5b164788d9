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
    BatchRefusedError,
    HeldBackError,
    InventoryError,
    ItemInUseError,
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
from inventory.paging import Limits, Page, PageRequest, walk
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
from inventory.retry import Decision, once
from inventory.stock import Moved, Movement, MovementKind
from inventory.timeouts import time_left
from inventory.validation import UNSET

if TYPE_CHECKING:
    from inventory.batch import RowResult
    from inventory.reconcile import Examined, Finding, OpenReservations

__all__ = ["Inventory", "StockChange", "Swept", "Transfer"]

R = TypeVar("R")

# What one refused request does for the others: as many as fit beside it in a Lambda's time.
_SWEPT_ON_DEMAND: Final = 25
_DUE_AT_ONCE: Final = 100
# Below this, a sweeper stops rather than be stopped.
_SWEEP_RESERVE_SECONDS: Final = 1.0


@frozen(kw_only=True)
class StockChange:
    """
    What an adjustment or a count did.

    Attributes:
        item: The item as it then is.
        movement: The ledger entry that explains it.
    """

    item: Item
    movement: Movement


@frozen(kw_only=True)
class Transfer:
    """
    What a transfer did.

    Attributes:
        source: The item that units left, as it then is.
        destination: The item that they came to, as it then is.
    """

    source: Item
    destination: Item


@frozen(kw_only=True)
class Swept:
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
    limits: LimitsSource = attrs.field(default=Limits, kw_only=True)
    clock: Clock = attrs.field(default=_now, kw_only=True)
    new_id: NewId = attrs.field(default=_new_id, kw_only=True)
    pause: Callable[[float], None] = attrs.field(default=time.sleep, kw_only=True)

    # Items

    def create_item(self, command: CreateItem) -> Item:
        """Put a new item on the books, under an id that the system makes, and return it."""
        return self._once(command, lambda: self._create(command), Item)

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
        if _touches_stock(command):
            return self._once(command, lambda: self._update(command), Item)
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
        Take an item off the books and return it as it was. Its movements stay in the ledger.

        Raises:
            ItemNotFoundError: There is no such item.
            PreconditionFailedError: It is not in a state that `if_match` accepts.
            ItemInUseError: Units of it are reserved.
        """

        def delete() -> Item:
            for key in lookup.candidates(command.key):
                try:
                    return self.repository.delete_item(key, tags=command.if_match.tags)
                except StaleReadError as stale:
                    if stale.current is not None:
                        _check(command.if_match, stale.current, stock_too=True)
                        reserved = stale.current.level.reserved
                        raise ItemInUseError(
                            item_id=key.item_id, sku=key.sku, reserved=reserved
                        ) from None
            raise ItemNotFoundError(item_id=command.item_id, sku=command.sku)

        try:
            return delete()
        except ItemInUseError as refused:
            if not self._freed_something(refused):
                raise
            return delete()

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
        return self._once(command, lambda: self._batch(command), tuple[batch.RowResult, ...])

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
            before = self._require(command.key)
            moved = stock.adjust(
                before,
                command.delta,
                reason=command.reason,
                reference=command.reference,
                at=self._now(),
            )
            return self._moving([(before, moved)]), _stock_change(moved)

        return self._once(command, decide, StockChange)

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
            moved = stock.count(before, command.quantity, reason=command.reason, at=self._now())
            return self._moving([(before, moved)]), _stock_change(moved)

        return self._once(command, decide, StockChange)

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
            change = self._moving([(items[source], out), (items[destination], into)])
            return change, Transfer(source=out[0], destination=into[0])

        return self._once(command, decide, Transfer)

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
        item = self.repository.get_item(key) if first is None else None
        opening = stock.opening(item, first)
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
            held = {item.key: item for item in items.values()}
            moved = reservation.hold(held)
            return self._reserving(None, reservation, held, moved), reservation

        return self._once(command, decide, Reservation)

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
            return self._reserving(before, after, {}, ()), after

        return self._once(command, decide, Reservation)

    def expire_reservations(self, command: ExpireReservations) -> Swept:
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
        return Swept(expired=expired, failed=failed)

    # Upkeep

    def far_reservations(self) -> Iterator[Reservation]:
        """
        Yield the open reservations that end more than 32 days from now, which none can whose clock was right.

        They hold their units until `expire_reservations` is called with `far`, by a person who has looked at the clock.
        """
        after = far_from(self._now())
        pages = walk(lambda page: self.repository.held_reservations(page, ends_after=after))
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
        for page in walk(lambda page: self.repository.list_items(ItemFilter(), page)):
            yield from map(reconcile.UnreadableRow, page.unreadable)
            for listed in page.items:
                yield from self._reconcile_item(listed.key, open_, fix=fix)
            seen += len(page.items)
            if progress is not None:
                progress(seen)

    # How a use case is carried out

    def _once(self, command: Any, decide: Callable[[], Decision[R]], kind: Any) -> R:
        """Commit what *decide* decides, once; see `inventory.retry.once`."""
        return once(
            command,
            lambda: self._decided(decide),
            kind,
            repository=self.repository,
            now=self._now,
            pause=self.pause,
        )

    def _decided(self, decide: Callable[[], Decision[R]]) -> Decision[R]:
        try:
            return decide()
        except (HeldBackError, BatchRefusedError) as refused:
            if not self._freed_something(refused):
                raise
            return decide()

    def _freed_something(self, refused: HeldBackError | BatchRefusedError) -> bool:
        """Expire what is due, if promised units stood in the way of a request that was *refused*."""
        if not refused.reserved:
            return False
        try:
            return self.expire_reservations(ExpireReservations(limit=_SWEPT_ON_DEMAND)).expired > 0
        except StorageError:
            return False

    def _change(self, *items: ItemWrite, movements: Iterable[Movement] = ()) -> Change:
        return Change(write_id=self.new_id(), items=items, movements=tuple(movements))

    def _moving(self, moves: Iterable[tuple[Item, Moved]]) -> Change:
        moves = list(moves)
        return self._change(
            *(ItemWrite(before=before, after=after) for before, (after, _) in moves),
            movements=(movement for _, (_, movement) in moves),
        )

    def _reserving(
        self,
        before: Reservation | None,
        after: Reservation,
        items: dict[ItemKey, Item],
        moved: Iterable[Moved],
    ) -> Change:
        change = self._moving((items[item.key], (item, movement)) for item, movement in moved)
        return attrs.evolve(change, reservation=ReservationWrite(before=before, after=after))

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
        write, movements = self._updated(before, command)
        return self._change(write, movements=movements), write.after

    def _updated(self, before: Item, command: UpdateItem) -> tuple[ItemWrite, tuple[Movement, ...]]:
        _check(command.if_match, before, stock_too=_touches_stock(command))
        now = self._now()
        after = before
        movements: tuple[Movement, ...] = ()
        if command.quantity is not UNSET:
            after, movement = stock.count(before, command.quantity, kind=MovementKind.EDIT, at=now)
            movements = (movement,)
            after = attrs.evolve(after, updated_at=now)
        if command.details:
            after = after.edited(command.details, at=now)
        return ItemWrite(before=before, after=after), movements

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
        writes: dict[int, ItemWrite] = {}
        movements: list[Movement] = []
        refused: dict[int, InventoryError] = {}
        for index, row in enumerate(command.items):
            if isinstance(row, CreateItem):
                writes[index] = ItemWrite(before=None, after=self._new_item(row))
            elif isinstance(row, UpdateItem):
                try:
                    if row.key not in existing:
                        raise ItemNotFoundError(item_id=row.item_id, sku=row.sku)
                    writes[index], moved = self._updated(existing[row.key], row)
                    movements += moved
                except InventoryError as error:
                    refused[index] = error
        batch.check_none_refused(refused, rows=len(command.items))
        results = tuple(
            batch.RowResult.of(index, write.after, created=write.before is None)
            for index, write in writes.items()
        )
        return self._change(*writes.values(), movements=movements), results

    def _batch_row(self, command: BatchItems, index: int) -> "RowResult":
        from inventory import batch  # noqa: PLC0415

        row = command.items[index]
        key = command.idempotency_key and command.idempotency_key.for_row(index)
        try:
            if isinstance(row, CreateItem):
                item = self._once(_Keyed(row, key), lambda: self._create(row), Item)
            elif isinstance(row, UpdateItem) and key is None:
                item = self.update_item(row)
            elif isinstance(row, UpdateItem):
                item = self._once(_Keyed(row, key), lambda: self._update(row), Item)
            else:
                raise row
        except InventoryError as error:
            return batch.RowResult.refused(index, row, error)
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
            moved = before.issue(items, at=now) if commits else before.free(state, items, at=now)
            return self._reserving(before, after, items, moved), after

        return self._once(command, decide, Reservation)

    def _expire(self, reservation_id: str, *, far: bool) -> bool:
        def decide() -> Decision[bool]:
            before = self.repository.get_reservation(reservation_id)
            now = self._now()
            if before is None or not (before.is_due(now) or (far and before.is_far(now))):
                return self._change(), False
            items = self._items(before.keys)
            after = before.closed(ReservationState.EXPIRED, at=now)
            moved = before.free(ReservationState.EXPIRED, items, at=now)
            return self._reserving(before, after, items, moved), True

        return self._once(None, decide, bool)

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
            for page in walk(search, size=size):
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
            moved = reconcile.correct(before, drift, at=self._now())
            corrected = attrs.evolve(examined, drift=attrs.evolve(drift, corrected=True))
            return self._moving([(before, moved)]), corrected

        return self._once(None, decide, reconcile.Examined)

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


def _stock_change(moved: Moved) -> StockChange:
    item, movement = moved
    return StockChange(item=item, movement=movement)


def _moved_on(item: Item) -> PreconditionFailedError:
    return PreconditionFailedError(version=item.version, seq=item.level.seq)


def _check(if_match: IfMatch, item: Item, *, stock_too: bool) -> None:
    if not (if_match.accepts(item) if stock_too else if_match.accepts_version(item)):
        raise _moved_on(item)
