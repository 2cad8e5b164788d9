"""
Inventory: one method per command.

Each method reads through the port, decides with pure values, and commits once.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs
from attrs import frozen

from inventory import edits, history, lookup, stock, upkeep
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
    GetStock,
    ListItems,
    ListMovements,
    ListReservations,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import (
    FieldError,
    InsufficientStockError,
    ItemNotFoundError,
    KeyRequiredError,
    ReservationNotFoundError,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StaleReadError,
    StorageError,
    TooManyLocationsError,
    ValidationError,
)
from inventory.ids import new_id
from inventory.items import Item, ItemAt, ItemKey, StockLevel, Timestamp
from inventory.paging import Page, PageLimits, PageRequest, iter_pages
from inventory.ports import (
    Change,
    Clock,
    ExclusiveRepository,
    InventoryRepository,
    ItemEdit,
    ItemFilter,
    ItemWrite,
    LimitsSource,
    NewId,
    ReservationFilter,
    ReservationWrite,
)
from inventory.reservations import Reservation, ReservationState
from inventory.retry import Decision, Executor
from inventory.stock import Movement, SkuStock, StockChange, Transfer
from inventory.upkeep import SweepResult
from inventory.validation import UNSET

if TYPE_CHECKING:
    from inventory.batch import RowResult
    from inventory.events import Event
    from inventory.reconcile import Examined, Finding

__all__ = ["Inventory"]

R = TypeVar("R")

_MAX_ACTOR: Final = 256
_MAX_LOCATIONS: Final = 100


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
        actor: Who causes the changes; recorded with each of them. See `acting_as`.
        on_event: Called with each event of `inventory.events` after its change is stored, and after the outermost block of
            `exclusive` in which it was made. Called at most once: not if the process dies before. What it raises is logged.
    """

    repository: InventoryRepository
    limits: LimitsSource = attrs.field(default=PageLimits, kw_only=True)
    clock: Clock = attrs.field(default=_now, kw_only=True)
    new_id: NewId = attrs.field(default=new_id, kw_only=True)
    pause: Callable[[float], None] = attrs.field(default=time.sleep, kw_only=True)
    actor: str | None = attrs.field(default=None, kw_only=True)
    on_event: "Callable[[Event], None] | None" = attrs.field(default=None, kw_only=True)

    def acting_as(self, actor: str | None) -> Self:
        """
        Return the inventory with another actor: a person or a program that is recorded with each change.

        Raises:
            ValidationError: The name is empty, too long, or begins with `system:`.
        """
        message = None
        if actor is not None:
            if not 1 <= len(actor) <= _MAX_ACTOR or not actor.isprintable():
                message = f"must be 1 to {_MAX_ACTOR} printable characters"
            elif actor.startswith("system:"):
                message = "must not begin with system:"
        if message is not None:
            raise ValidationError(errors=(FieldError("actor", message),))
        return attrs.evolve(self, actor=actor)

    # Items

    def create_item(self, command: CreateItem) -> Item:
        """Create an item with a new ID, and return it."""

        def decide() -> Decision[Item]:
            item = edits.create(command, item_id=self.new_id(), actor=self.actor, at=self._now())
            return self._change(ItemWrite(before=None, after=item)), item

        return self._execute(command, decide)

    def get_item(self, query: GetItem) -> Item:
        """
        Return an item. With *at*, it is an `ItemAt`.

        Raises:
            ItemNotFoundError: No item has this ID (and SKU).
        """
        if query.sku is not None:
            item = self._require(ItemKey(item_id=query.item_id, sku=query.sku))
        else:
            first = self.repository.find_item(query.item_id)
            if first is None:
                raise ItemNotFoundError(item_id=query.item_id)
            item = first
        return item if query.at is None else self._at(item, query.at)

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
            after, movements = edits.update(before, command, actor=self.actor, at=self._now())
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
            movement = stock.delete(before, actor=self.actor, at=self._now())
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
            search=query.search,
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
            lambda: batch.decide(
                command, self.repository, new_id=self.new_id, actor=self.actor, at=self._now()
            ),
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
                actor=self.actor,
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
            change = stock.count(
                before, command.quantity, reason=command.reason, actor=self.actor, at=self._now()
            )
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
                actor=self.actor,
                at=self._now(),
            )
            return self._change_of(out, into), Transfer(source=out.item, destination=into.item)

        return self._execute(command, decide)

    def get_stock(self, query: GetStock) -> SkuStock:
        """
        Return the stock of a SKU: the items at all locations, and their totals.

        Each item is current; two items may have been read at different moments.

        Raises:
            ItemNotFoundError: No item has this SKU.
            TooManyLocationsError: More items have it than one total can include.
        """
        items: list[Item] = []
        sku_filter = ItemFilter(sku=query.sku)
        for page in iter_pages(partial(lookup.list_items, self.repository, sku_filter)):
            items += page.items
            if len(items) > _MAX_LOCATIONS:
                raise TooManyLocationsError(sku=query.sku, limit=_MAX_LOCATIONS)
        if not items:
            raise ItemNotFoundError(sku=query.sku)
        return SkuStock(sku=items[0].sku, items=tuple(items))

    def list_movements(self, query: ListMovements) -> Page[Movement]:
        """
        Return a page of an item's movements, newest first. The last entry is the opening balance.

        The movements of a deleted item remain. With *since* or *until*, only those of the period are returned.

        Raises:
            ItemNotFoundError: The item does not exist and has no movements.
            InvalidCursorError: The page token was not issued for this query.
        """
        key = lookup.history_key(self.repository, query.key)
        page = history.list_period(self.repository, key, query, self._page(query))
        if page.next_cursor is not None:
            return page
        first = page.items[-1] if page.items else self.repository.first_movement(key)
        opening = self._opening(key, first)
        if opening is None:
            raise ItemNotFoundError(item_id=query.item_id, sku=query.sku)
        return Page(items=tuple(history.within(query, (*page.items, opening))))

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
                actor=self.actor,
                at=self._now(),
            )
            changes = reservation.hold({item.key: item for item in items.values()})
            write = ReservationWrite(before=None, after=reservation)
            return self._change_of(*changes, reservations=[write]), reservation

        return self._execute(command, decide)

    def get_reservation(self, query: GetReservation) -> Reservation:
        """
        Return a reservation. After its `expires_at`, its state is expired, even before a sweep has closed it.

        Raises:
            ReservationNotFoundError: No reservation has this ID.
        """
        reservation = self._require_reservation(query.reservation_id)
        return attrs.evolve(reservation, state=reservation.state_at(self._now()))

    def list_reservations(self, query: ListReservations) -> Page[Reservation]:
        """
        Return a page of the open reservations, the next to expire first.

        Raises:
            ValidationError: Only one of *item_id* and *sku* was given.
            InvalidCursorError: The page token was not issued for this query.
        """
        if (query.item_id is None) != (query.sku is None):
            missing, given = ("sku", "item_id") if query.sku is None else ("item_id", "sku")
            raise ValidationError(errors=(FieldError(missing, f"is required with {given}"),))
        key = query.key and lookup.stored_key(self.repository, query.key)
        page = self.repository.list_reservations(
            ReservationFilter(key=key, reference=query.reference), self._page(query)
        )
        now = self._now()
        # Those that are due count as expired, even before a sweep closes them.
        open_ones = tuple(each for each in page.items if not each.is_due(now))
        return attrs.evolve(page, items=open_ones)

    def commit_reservation(self, command: CommitReservation) -> Reservation:
        """
        Commit a reservation, or a part of it: remove its units from stock. Committing the whole again changes nothing.

        Raises:
            KeyRequiredError: Lines were given without an idempotency key.
            ReservationNotFoundError: No reservation has this ID.
            ReservationExpiredError: The reservation has expired.
            ReservationClosedError: The reservation was released, or lines were given and it was committed.
            ItemNotHeldError: The reservation holds no units of the item of a line.
            MoreThanHeldError: It holds fewer units of the item.
            ItemNotFoundError: The item was deleted by another process.
            InsufficientStockError: The reserved count was wrong (see `reconcile`), and fewer units are available.
        """
        if command.lines is not UNSET and command.idempotency_key is None:
            raise KeyRequiredError

        def decide() -> Decision[Reservation]:
            before = self._require_reservation(command.reservation_id)
            if command.lines is UNSET and before.state is ReservationState.COMMITTED:
                return self._change(), before
            now = self._now()
            before.require_held(now)
            lines = before.lines if command.lines is UNSET else command.lines
            units = before.units((line.key, line.quantity) for line in lines)
            after = before.committed_by(units, actor=self.actor, at=now)
            items = self._items(tuple(units))
            try:
                changes = before.issue(units, items, actor=self.actor, at=now)
            except (ItemNotFoundError, InsufficientStockError):
                # Another request may have closed the reservation before the items were read.
                current = self._require_reservation(command.reservation_id)
                if current.revision != before.revision:
                    raise StaleReadError from None
                raise
            write = ReservationWrite(before=before, after=after)
            return self._change_of(*changes, reservations=[write]), after

        return self._execute(command, decide)

    def release_reservation(self, command: ReleaseReservation) -> Reservation:
        """
        Release a reservation: make its units available again. Releasing it again changes nothing.

        Raises:
            ReservationNotFoundError: No reservation has this ID.
            ReservationExpiredError: The reservation has expired.
            ReservationClosedError: The reservation was committed.
        """

        def decide() -> Decision[Reservation]:
            before = self._require_reservation(command.reservation_id)
            released = ReservationState.RELEASED
            if before.state is released:
                return self._change(), before
            now = self._now()
            before.require_held(now)
            after = before.closed(released, actor=self.actor, at=now)
            changes = before.free(released, self._items(before.keys), actor=self.actor, at=now)
            write = ReservationWrite(before=before, after=after)
            return self._change_of(*changes, reservations=[write]), after

        return self._execute(command, decide)

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
            after = before.extended(command.ttl_seconds, actor=self.actor, at=self._now())
            write = ReservationWrite(before=before, after=after)
            return self._change_of(reservations=[write]), after

        return self._execute(command, decide)

    # Upkeep

    def expire_reservations(self, command: ExpireReservations, *, threads: int = 1) -> SweepResult:
        """
        Expire the reservations that are due, and with `far` also those that end too late.

        A reservation that cannot be expired or read does not prevent the others from being expired. Stops early when the
        deadline is near. Does nothing while the repository is being restored.

        Args:
            command: How many reservations to expire, and which.
            threads: Number of threads that write; more than one pays if the storage is across a network.
        """
        return upkeep.expire_all(
            self.repository,
            command,
            partial(self._expire, far=command.far),
            at=self._now(),
            threads=threads,
        )

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

        A finding is a `Drift` where they disagree, an `UnreadableRow` for a row that could not be read, a `FarReservation` for
        a reservation that ends too late, or a `FutureMovement` for an item whose last movement has a time in the future. Other
        requests may run meanwhile: an item that changes during the check is checked again.

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
            committed=self._announce,
        )
        return executor.execute(command, decide)

    def _expire_due(self, key: ItemKey) -> bool:
        """Expire a few of the due reservations of an item, and return whether there may be more."""
        try:
            return upkeep.expire_due_of(self.repository, key, self._expire, at=self._now())
        except StorageError:
            return False

    def _announce(self, change: Change) -> None:
        """Call `on_event` with the events of a change as soon as it is stored."""
        if self.on_event is None:
            return
        from inventory import events  # noqa: PLC0415 - as in batch_items

        call = partial(events.call_with, self.on_event, tuple(events.events_of(change)))
        if isinstance(self.repository, ExclusiveRepository):
            self.repository.once_stored(call)
        else:
            call()

    def _change(
        self,
        *items: ItemWrite,
        movements: Iterable[Movement] = (),
        reservations: Iterable[ReservationWrite] = (),
    ) -> Change:
        return Change(
            write_id=self.new_id(),
            items=items,
            movements=tuple(movements),
            reservations=tuple(reservations),
        )

    def _change_of(
        self, *changes: StockChange, reservations: Iterable[ReservationWrite] = ()
    ) -> Change:
        """Return one change; several of one item follow each other."""
        writes: dict[ItemKey, ItemWrite] = {}
        for change in changes:
            first = writes.get(change.item.key)
            before = change.before if first is None else first.before
            writes[change.item.key] = ItemWrite(before=before, after=change.item)
        return self._change(
            *writes.values(),
            movements=[change.movement for change in changes],
            reservations=reservations,
        )

    def _edit(self, command: UpdateItem) -> Item:
        """
        Update details alone.

        One conditional write is enough; the item is not read first. Events tell what changed, so they need the item before.
        """
        merges = command.attributes is not UNSET and command.attributes
        if merges or (self.on_event is not None and command.details):
            return self._merge(command)
        fields = command.details
        if not fields:
            item = self._require(command.key)
            edits.require_match(command.if_match, item, with_stock=False)
            return item
        for key in lookup.candidates(command.key):
            try:
                return self._edit_item(key, fields, command.if_match.versions)
            except StaleReadError as stale:
                if stale.current is not None:
                    raise edits.precondition_failed(stale.current) from None
        raise ItemNotFoundError(item_id=command.item_id, sku=command.sku)

    def _merge(self, command: UpdateItem) -> Item:
        """Update details and merge attributes, which depend on the current ones, but not on the stock."""

        def decide() -> Decision[Item]:
            before = self._require(command.key)
            edits.require_match(command.if_match, before, with_stock=False)
            fields = edits.details(before, command)
            after = self._edit_item(before.key, fields, frozenset({before.version}))
            # The stock may have moved since it was read, which is not an event of the edit.
            before = attrs.evolve(before, level=after.level)
            self._announce(self._change(ItemWrite(before=before, after=after)))
            return self._change(), after

        return self._execute(command, decide)

    def _edit_item(
        self, key: ItemKey, fields: dict[str, Any], versions: frozenset[int] | None
    ) -> Item:
        edit = ItemEdit(
            write_id=self.new_id(),
            key=key,
            fields=fields,
            at=self._now(),
            actor=self.actor,
            versions=versions,
        )
        return self.repository.edit_item(edit)

    def _at(self, item: Item, at: Timestamp) -> ItemAt:
        """Return an item with its stock at a time: the balances after the last entry of its ledger until then."""
        last = history.last_by(self.repository, item.key, at)
        if last is None:
            last = self._opening(item.key, self.repository.first_movement(item.key))
        level = None
        if last is not None and last.recorded_at <= at:
            level = StockLevel(on_hand=last.on_hand, reserved=last.reserved, seq=last.seq)
        return ItemAt(**attrs.asdict(item, recurse=False), at=level)

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
        last = history.newest(self.repository, key)
        return stock.opening(None, first, last)

    def _expire(self, group: Sequence[Reservation], *, far: bool = False) -> int:
        """Expire reservations in one write, and return the number of those that were still to be expired."""

        def decide() -> Decision[int]:
            now = self._now()
            reservations = self.repository.get_reservations(
                [reservation.reservation_id for reservation in group]
            )
            expiring = sorted(
                (each for each in reservations if each.is_due(now) or (far and each.is_far(now))),
                key=lambda each: each.position,
            )
            items = self._items(tuple({key for each in expiring for key in each.keys}))
            changes: list[StockChange] = []
            writes: list[ReservationWrite] = []
            expired = ReservationState.EXPIRED
            for before in expiring:
                freed = before.free(expired, items, actor=upkeep.SWEEPER, at=now)
                items |= {change.item.key: change.item for change in freed}
                changes += freed
                after = before.closed(expired, actor=upkeep.SWEEPER, at=now)
                writes.append(ReservationWrite(before=before, after=after))
            return self._change_of(*changes, reservations=writes), len(writes)

        return self._execute(None, decide)

    def _page(self, query: ListItems | ListMovements | ListReservations) -> PageRequest:
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
