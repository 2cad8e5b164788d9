"""
Tests of the use cases, for subclasses that reach them in different ways.

A subclass overrides `connect`, which turns an `Inventory` into the object to test, such as a client. Operations for operators
(sweep, reconcile) are tested elsewhere.
"""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import attrs
import pytest

from inventory import (
    AdjustStock,
    BatchItems,
    BatchRefusedError,
    BelowReservedError,
    CommitReservation,
    ContentionError,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    DuplicateRowError,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    IdempotencyKey,
    IfMatch,
    InsufficientStockError,
    Inventory,
    Item,
    ItemInUseError,
    ItemNotFoundError,
    ItemRef,
    KeyReusedError,
    LineRequest,
    ListItems,
    ListMovements,
    PageLimits,
    PreconditionFailedError,
    ReleaseReservation,
    ReservationClosedError,
    ReservationExpiredError,
    ReservationNotFoundError,
    ReservationState,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StockLevel,
    TransferStock,
    UpdateItem,
    ValidationError,
)
from inventory.errors import StaleReadError
from inventory.ports import Change, ItemWrite
from inventory_adapters.storage.memory import MemoryRepository

TENT = CreateItem(sku="TENT-2", name="Tent", quantity=5, category="tents", price="199.90")


def change(item, **fields):
    return UpdateItem(item_id=item.item_id, sku=item.sku, **fields)


def reserve(repository, item, units):
    """Reserve *units*, as a reservation would."""
    level = StockLevel(on_hand=item.level.on_hand, reserved=units, seq=item.level.seq + 1)
    write = ItemWrite(before=item, after=item.moved(level, at=item.updated_at))
    repository.commit(Change(write_id="reserve", items=(write,)))


class BusyRepository(MemoryRepository):
    """A repository with a number of conflicts."""

    def __init__(self, misses):
        super().__init__()
        self.misses = misses

    def commit(self, change):
        if change.items[0].before is not None and self.misses:
            self.misses -= 1
            raise StaleReadError
        super().commit(change)


class ExclusiveRepository(BusyRepository):
    """A repository that has conflicts unless its lock is held."""

    def __init__(self):
        super().__init__(misses=1000)
        self.story = []

    @contextmanager
    def exclusive(self):
        misses, self.misses = self.misses, 0
        self.story.append("locked")
        yield
        self.story.append("unlocked")
        self.misses = misses

    def items_of_skus(self, skus):
        raise NotImplementedError

    def once_stored(self, call):
        raise NotImplementedError

    def commit(self, change):
        self.story.append("commit")
        super().commit(change)


class Time:
    """A clock that stands still between calls of `pass_by`."""

    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_by(self, **duration):
        self.now += timedelta(**duration)


def line(item, quantity):
    return LineRequest(item_id=item.item_id, sku=item.sku, quantity=quantity)


def hold(inventory, *lines, **fields):
    return inventory.create_reservation(CreateReservation(lines=lines, **fields))


def now(inventory, item):
    return inventory.get_item(GetItem(item_id=item.item_id)).level


def kinds(inventory, item):
    page = inventory.list_movements(ListMovements(item_id=item.item_id, sku=item.sku))
    return [movement.kind for movement in page.items]


def named_item(item):
    return {"item_id": item.item_id, "sku": item.sku}


def named(reservation):
    return {"reservation_id": reservation.reservation_id}


def adjusting(tent, delta=-1, key="k", **fields):
    return AdjustStock(
        item_id=tent.item_id,
        sku=tent.sku,
        delta=delta,
        reason="sold",
        idempotency_key=IdempotencyKey(key),
        **fields,
    )


class UseCases:
    """Fixtures: an inventory on the reference repository, and the object to test."""

    @pytest.fixture
    def connect(self):
        """Return a function that turns an `Inventory` into the object to test."""
        return lambda inventory: inventory

    @pytest.fixture
    def repository(self):
        return MemoryRepository()

    @pytest.fixture
    def time(self):
        return Time()

    @pytest.fixture
    def behind(self, repository, time):
        """The inventory behind the object to test; its IDs are numbered."""
        ids = count(1)
        return Inventory(
            repository, clock=time, new_id=lambda: f"id-{next(ids)}", pause=lambda _: None
        )

    @pytest.fixture
    def inventory(self, connect, behind):
        return connect(behind)


class ItemUseCases(UseCases):
    @pytest.fixture
    def time(self):
        """A clock that moves by a second at each call."""
        seconds = count()
        start = datetime(2026, 5, 1, tzinfo=UTC)
        return lambda: start + timedelta(seconds=next(seconds))

    @pytest.fixture
    def tent(self, inventory):
        return inventory.create_item(TENT)

    def test_a_new_item_has_the_given_fields_and_defaults(self, tent):
        """It has version 1 and no movements."""
        assert (tent.version, tent.level) == (1, StockLevel(on_hand=5))
        assert (tent.description, tent.status, tent.location, tent.reorder_point) == (
            "",
            "available",
            "default",
            None,
        )
        assert tent.created_at == tent.updated_at
        assert tent.etag == '"1-0"'

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"quantity": 0}, "out_of_stock"),
            ({"quantity": 1}, "available"),
            ({"quantity": 0, "status": "available"}, "available"),
            ({"quantity": 0, "status": "discontinued"}, "discontinued"),
            ({"quantity": 3, "status": "out_of_stock"}, "out_of_stock"),
        ],
    )
    def test_the_status_of_a_new_item_follows_its_quantity_unless_given(
        self, inventory, fields, status
    ):
        """Created alone and in a batch."""
        row = {"sku": "X", "name": "X", "category": "c", **fields}
        alone = inventory.create_item(CreateItem(**row))
        [result] = inventory.batch_items(BatchItems(items=[row]))

        assert alone.status == status
        assert inventory.get_item(GetItem(item_id=result.item_id)).status == status

    def test_an_item_is_found_by_id_alone(self, inventory, tent):
        """The SKU is optional when reading."""
        assert inventory.get_item(GetItem(item_id=tent.item_id)) == tent

    @pytest.mark.parametrize("sku", [None, "OTHER"])
    def test_an_unknown_item_is_not_found(self, inventory, tent, sku):
        """By an unknown ID, or by a known ID with another SKU."""
        with pytest.raises(ItemNotFoundError):
            inventory.get_item(GetItem(item_id=tent.item_id if sku else "unknown", sku=sku))

    def test_an_update_changes_only_the_given_fields(self, inventory, tent):
        """It increments the version."""
        updated = inventory.update_item(change(tent, name="Tunnel tent"))

        assert updated.name == "Tunnel tent"
        assert (updated.price, updated.category, updated.level, updated.created_at) == (
            tent.price,
            tent.category,
            tent.level,
            tent.created_at,
        )
        assert updated.version == 2
        assert updated.updated_at > tent.updated_at
        assert inventory.get_item(GetItem(item_id=tent.item_id)) == updated

    def test_an_update_without_fields_changes_nothing(self, inventory, tent):
        """The SKU only identifies the item."""
        assert inventory.update_item(change(tent)) == tent

    def test_a_new_quantity_is_a_movement_without_a_new_version(self, inventory, tent):
        """It is a physical count, and the status follows."""
        updated = inventory.update_item(change(tent, quantity=0))

        assert (updated.version, updated.level.on_hand, updated.level.seq) == (1, 0, 1)
        assert updated.status == "out_of_stock"
        assert updated.updated_at > tent.updated_at
        assert kinds(inventory, tent) == ["edit", "opening"]

    def test_a_new_quantity_with_details_is_a_movement_and_a_version(self, inventory, tent):
        """A given status takes precedence over the one that follows."""
        updated = inventory.update_item(
            change(tent, quantity=0, status="discontinued", name="Old tent")
        )

        assert (updated.version, updated.level.seq, updated.status, updated.name) == (
            2,
            1,
            "discontinued",
            "Old tent",
        )

    def test_a_reorder_point_is_a_detail_that_null_clears(self, inventory, tent):
        """It creates a version and no movement."""
        low = inventory.update_item(change(tent, reorder_point=10))
        cleared = inventory.update_item(change(tent, reorder_point=None))

        assert (low.version, low.level.seq, low.is_low) == (2, 0, True)
        assert (cleared.version, cleared.reorder_point) == (3, None)

    def test_a_quantity_below_the_reserved_units_is_rejected(self, inventory, repository, tent):
        """The other fields are not updated either."""
        reserve(repository, tent, 3)

        with pytest.raises(BelowReservedError):
            inventory.update_item(change(tent, quantity=2, name="Other"))

        assert inventory.get_item(GetItem(item_id=tent.item_id)).name == "Tent"

    @pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 1}, {"reorder_point": 1}, {}])
    def test_an_update_of_an_unknown_item_is_not_found(self, inventory, fields):
        """With and without a new quantity."""
        with pytest.raises(ItemNotFoundError):
            inventory.update_item(UpdateItem(item_id="unknown", sku="X", **fields))

    @pytest.mark.parametrize("fields", [{"name": "New"}, {}])
    def test_an_edit_of_details_ignores_movements(self, inventory, repository, tent, fields):
        """Movements of a busy SKU do not make an edit of its description fail."""
        reserve(repository, tent, 1)

        inventory.update_item(change(tent, if_match=IfMatch.parse(tent.etag), **fields))

    @pytest.mark.parametrize(
        "fields", [{"quantity": 9}, {"reorder_point": 1}, {"quantity": 9, "name": "New"}]
    )
    def test_an_update_of_the_stock_compares_version_and_seq(
        self, inventory, repository, tent, fields
    ):
        """A caller who counts must have read the last movement."""
        reserve(repository, tent, 1)

        with pytest.raises(PreconditionFailedError) as caught:
            inventory.update_item(change(tent, if_match=IfMatch.parse(tent.etag), **fields))

        assert caught.value.facts == {"version": 1, "seq": 1}

    @pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 1}, {}])
    @pytest.mark.parametrize("tags", ['"7-0"', 'W/"1-0"', '"foreign"'])
    def test_a_stale_precondition_fails_with_the_current_state(self, inventory, tent, fields, tags):
        """The second of two people who edit the same state gets the error."""
        with pytest.raises(PreconditionFailedError) as caught:
            inventory.update_item(change(tent, if_match=IfMatch.parse(tags), **fields))

        assert caught.value.facts == {"version": 1, "seq": 0}
        assert inventory.get_item(GetItem(item_id=tent.item_id)) == tent

    @pytest.mark.parametrize("tags", ["*", '"1-0"', '"7-7", "1-0"'])
    def test_a_matching_precondition_lets_the_update_through(self, inventory, tent, tags):
        """One of several tags is enough."""
        assert (
            inventory.update_item(
                change(tent, if_match=IfMatch.parse(tags), quantity=1)
            ).level.on_hand
            == 1
        )

    def test_a_deletion_returns_the_item(self, inventory, tent):
        """A second deletion finds no item."""
        command = DeleteItem(item_id=tent.item_id, sku=tent.sku)

        assert inventory.delete_item(command) == tent
        with pytest.raises(ItemNotFoundError):
            inventory.delete_item(command)

    def test_a_deletion_is_the_last_movement(self, inventory, tent):
        """The ledger of a deleted item remains, and ends at 0."""
        ref = {"item_id": tent.item_id, "sku": tent.sku}

        inventory.delete_item(DeleteItem(**ref))

        last, opening = inventory.list_movements(ListMovements(**ref)).items
        assert (last.kind, last.seq, last.delta_on_hand) == ("delete", 1, -5)
        assert (last.on_hand, last.reserved) == (0, 0)
        assert (opening.kind, opening.on_hand) == ("opening", 5)
        assert opening.recorded_at == tent.created_at

    def test_an_item_with_reserved_units_cannot_be_deleted(self, inventory, repository, tent):
        """The reservation may still be committed."""
        reserve(repository, tent, 2)

        with pytest.raises(ItemInUseError) as caught:
            inventory.delete_item(DeleteItem(item_id=tent.item_id, sku=tent.sku))

        assert caught.value.reserved == 2

    def test_a_deletion_compares_version_and_seq(self, inventory, repository, tent):
        """A stale tag takes precedence over reserved units, because the caller must read the item again anyway."""
        reserve(repository, tent, 2)

        with pytest.raises(PreconditionFailedError):
            inventory.delete_item(
                DeleteItem(item_id=tent.item_id, sku=tent.sku, if_match=IfMatch.parse(tent.etag))
            )

    def test_page_sizes_follow_the_limits(self, connect, repository):
        """The default if none is requested, the maximum if more is."""
        limits = PageLimits(default_page_size=2, max_items_per_page=3)
        inventory = connect(Inventory(repository, limits=lambda: limits))
        for number in range(5):
            inventory.create_item(CreateItem(sku=f"S{number}", name="N", quantity=1, category="c"))

        def size(requested):
            return len(inventory.list_items(ListItems(page_size=requested)).items)

        assert (size(None), size(1), size(3), size(100)) == (2, 1, 3, 3)

    def test_a_stale_read_is_retried(self, connect):
        """The caller gets the answer of the retry."""
        inventory = connect(Inventory(BusyRepository(misses=5), pause=lambda _: None))
        item = inventory.create_item(TENT)

        assert inventory.update_item(change(item, quantity=1)).level.on_hand == 1

    def test_endless_contention_raises_and_changes_nothing(self, connect):
        """The number of attempts is limited."""
        pauses = []
        inventory = connect(Inventory(BusyRepository(misses=1000), pause=pauses.append))
        item = inventory.create_item(TENT)

        with pytest.raises(ContentionError):
            inventory.update_item(change(item, quantity=1))

        assert inventory.get_item(GetItem(item_id=item.item_id)) == item
        assert len(pauses) == 23
        assert all(0 <= pause <= 0.35 for pause in pauses)

    def test_the_second_attempt_holds_the_lock_of_an_exclusive_repository(self, connect):
        """It needs no pause, and the answer follows the release of the lock."""
        repository = ExclusiveRepository()
        inventory = connect(Inventory(repository, pause=lambda _: pytest.fail("slept")))
        item = inventory.create_item(TENT)
        repository.story.clear()

        repository.story.append(inventory.update_item(change(item, quantity=1)).level.on_hand)

        assert repository.story == ["commit", "locked", "commit", "unlocked", 1]

    def test_an_edit_between_read_and_write_survives_a_movement(self, connect):
        """A count does not make an item available that was discontinued meanwhile."""

        class MeddledRepository(MemoryRepository):
            meddle = None

            def get_item(self, key):
                item = super().get_item(key)
                if self.meddle:
                    meddle, self.meddle = self.meddle, None
                    meddle()
                return item

        repository = MeddledRepository()
        inventory = connect(Inventory(repository, pause=lambda _: None))
        item = inventory.create_item(
            CreateItem(sku="S", name="N", quantity=0, category="c", status="out_of_stock")
        )
        repository.meddle = lambda: inventory.update_item(change(item, status="discontinued"))

        counted = inventory.update_item(change(item, quantity=4))

        assert (counted.status, counted.level.on_hand, counted.version) == ("discontinued", 4, 2)

    def test_an_item_has_the_id_and_the_sku_of_its_key(self, tent):
        """The key is one value with two names."""
        assert isinstance(tent, Item)
        assert (tent.item_id, tent.sku) == (tent.key.item_id, tent.key.sku)


class StockUseCases(UseCases):
    @pytest.fixture
    def tent(self, inventory):
        return inventory.create_item(
            CreateItem(sku="TENT", name="Tent", quantity=5, category="tents")
        )

    @pytest.fixture
    def stove(self, inventory):
        return inventory.create_item(
            CreateItem(sku="STOVE", name="Stove", quantity=2, category="stoves")
        )

    def test_all_lines_are_reserved_or_none(self, inventory, tent, stove):
        """If one line is short, nothing is written."""
        with pytest.raises(InsufficientStockError):
            hold(inventory, line(tent, 1), line(stove, 3))

        assert (now(inventory, tent), now(inventory, stove)) == (tent.level, stove.level)

        hold(inventory, line(tent, 5), line(stove, 2))

        assert (now(inventory, tent).available, now(inventory, stove).available) == (0, 0)

    def test_lines_of_one_item_are_summed(self, inventory, tent):
        """They are one line and one movement."""
        reservation = hold(inventory, line(tent, 2), line(tent, 2))

        assert [one.quantity for one in reservation.lines] == [4]
        assert now(inventory, tent).reserved == 4
        with pytest.raises(InsufficientStockError):
            hold(inventory, line(tent, 1), line(tent, 1))

    def test_an_unknown_item_rejects_all_lines(self, inventory, tent):
        """The error names the item."""
        missing = LineRequest(item_id="unknown", sku="X", quantity=1)

        with pytest.raises(ItemNotFoundError) as caught:
            hold(inventory, line(tent, 1), missing)

        assert caught.value.item_id == "unknown"
        assert now(inventory, tent).reserved == 0

    def test_committed_units_are_removed(self, inventory, tent):
        """On-hand and reserved both decrease; a second commit changes nothing."""
        reservation = hold(inventory, line(tent, 2))

        committed = inventory.commit_reservation(CommitReservation(**named(reservation)))
        again = inventory.commit_reservation(CommitReservation(**named(reservation)))

        assert committed.state is ReservationState.COMMITTED
        assert again == committed
        assert (now(inventory, tent).on_hand, now(inventory, tent).reserved) == (3, 0)
        assert kinds(inventory, tent) == ["commit", "reserve", "opening"]

    def test_released_units_are_available_again(self, inventory, tent):
        """A second release changes nothing."""
        reservation = hold(inventory, line(tent, 5))

        released = inventory.release_reservation(ReleaseReservation(**named(reservation)))

        assert released == inventory.release_reservation(ReleaseReservation(**named(reservation)))
        assert now(inventory, tent).available == 5
        assert inventory.get_item(GetItem(item_id=tent.item_id)).status == "available"

    @pytest.mark.parametrize(
        ("first", "second"), [("commit", "release"), ("release", "commit"), ("commit", "extend")]
    )
    def test_a_closed_reservation_stays_closed(self, inventory, tent, first, second):
        """A committed one cannot be released, nor a released one committed."""
        verbs = {
            "commit": lambda it: inventory.commit_reservation(CommitReservation(**named(it))),
            "release": lambda it: inventory.release_reservation(ReleaseReservation(**named(it))),
            "extend": lambda it: inventory.extend_reservation(
                ExtendReservation(**named(it), ttl_seconds=60)
            ),
        }
        reservation = hold(inventory, line(tent, 2))
        verbs[first](reservation)

        with pytest.raises(ReservationClosedError):
            verbs[second](reservation)

    @pytest.mark.parametrize("swept", [False, True])
    def test_an_expired_reservation_is_expired_before_a_sweep_closes_it(
        self, inventory, behind, time, tent, swept
    ):
        """From `expires_at` on."""
        reservation = hold(inventory, line(tent, 2), ttl_seconds=60)
        time.pass_by(seconds=60)
        if swept:
            assert behind.expire_reservations(ExpireReservations()).expired == 1

        assert (
            inventory.get_reservation(GetReservation(**named(reservation))).state
            is ReservationState.EXPIRED
        )
        for refused in (
            lambda: inventory.commit_reservation(CommitReservation(**named(reservation))),
            lambda: inventory.release_reservation(ReleaseReservation(**named(reservation))),
            lambda: inventory.extend_reservation(
                ExtendReservation(**named(reservation), ttl_seconds=60)
            ),
        ):
            with pytest.raises(ReservationExpiredError):
                refused()

    @pytest.mark.parametrize(
        "verb", ["reserve", "adjust", "transfer", "count", "edit", "delete", "batch"]
    )
    def test_due_reservations_do_not_prevent_an_operation(self, inventory, time, tent, verb):
        """An operation that reserved units prevent expires due reservations and tries again."""
        other = inventory.create_item(
            CreateItem(sku="TENT", name="Tent", quantity=0, category="tents", location="B")
        )
        hold(inventory, line(tent, 5), ttl_seconds=60)
        time.pass_by(seconds=60)
        ref = {"item_id": tent.item_id, "sku": tent.sku}

        {
            "reserve": lambda: hold(inventory, line(tent, 5)),
            "adjust": lambda: inventory.adjust_stock(AdjustStock(**ref, delta=-5, reason="sold")),
            "transfer": lambda: inventory.transfer_stock(
                TransferStock(
                    source=ItemRef(**ref),
                    destination=ItemRef(item_id=other.item_id, sku="TENT"),
                    quantity=5,
                )
            ),
            "count": lambda: inventory.count_stock(CountStock(**ref, quantity=0)),
            "edit": lambda: inventory.update_item(UpdateItem(**ref, quantity=0)),
            "delete": lambda: inventory.delete_item(DeleteItem(**ref)),
            "batch": lambda: inventory.batch_items(
                BatchItems(items=(UpdateItem(**ref, quantity=0),))
            ),
        }[verb]()

    def test_extending_never_shortens_and_ends_after_31_days(self, inventory, time, tent):
        """A reservation cannot be extended for ever."""
        reservation = hold(inventory, line(tent, 1), ttl_seconds=3600)

        same = inventory.extend_reservation(ExtendReservation(**named(reservation), ttl_seconds=60))
        assert same.expires_at == reservation.expires_at

        month = 31 * 24 * 3600
        time.pass_by(minutes=30)
        longest = inventory.extend_reservation(
            ExtendReservation(**named(reservation), ttl_seconds=month)
        )
        made = reservation.created_at.as_datetime()
        assert longest.expires_at.as_datetime() == made + timedelta(seconds=month)

    def test_an_unknown_reservation_is_not_found(self, inventory):
        """By any operation."""
        for ask in (
            lambda: inventory.get_reservation(GetReservation(reservation_id="x")),
            lambda: inventory.commit_reservation(CommitReservation(reservation_id="x")),
            lambda: inventory.release_reservation(ReleaseReservation(reservation_id="x")),
            lambda: inventory.extend_reservation(
                ExtendReservation(reservation_id="x", ttl_seconds=60)
            ),
        ):
            with pytest.raises(ReservationNotFoundError):
                ask()

    def test_both_movements_of_a_transfer_have_its_reference(self, inventory, tent):
        """One takes the units out, the other puts them in."""
        other = inventory.create_item(attrs.evolve(TENT, sku="TENT", location="north"))
        inventory.transfer_stock(
            TransferStock(
                source=ItemRef(**named_item(tent)),
                destination=ItemRef(**named_item(other)),
                quantity=2,
                reference="van 7",
            )
        )

        pages = [
            inventory.list_movements(ListMovements(item_id=item.item_id, sku=item.sku)).items
            for item in (tent, other)
        ]
        assert [
            (movements[0].kind, movements[0].delta_on_hand, movements[0].reference)
            for movements in pages
        ] == [("transfer_out", -2, "van 7"), ("transfer_in", 2, "van 7")]

    def test_a_transfer_needs_two_items_of_one_sku(self, inventory, tent, stove):
        """Others are rejected before anything is read."""
        ref = ItemRef(item_id=tent.item_id, sku="TENT")

        with pytest.raises(SameItemError):
            inventory.transfer_stock(TransferStock(source=ref, destination=ref, quantity=1))
        with pytest.raises(SkuMismatchError):
            inventory.transfer_stock(
                TransferStock(
                    source=ref, destination=ItemRef(item_id=stove.item_id, sku="STOVE"), quantity=1
                )
            )

    def test_a_count_fails_if_the_quantity_is_not_the_expected_one(self, inventory, tent):
        """A count of an hour ago must not undo later sales."""
        ref = {"item_id": tent.item_id, "sku": tent.sku}

        with pytest.raises(StaleQuantityError) as caught:
            inventory.count_stock(CountStock(**ref, quantity=4, expected_quantity=6))

        assert caught.value.facts["quantity"] == 5
        assert (
            inventory.count_stock(
                CountStock(**ref, quantity=4, expected_quantity=5)
            ).item.level.on_hand
            == 4
        )

    def test_the_ledger_is_paged_newest_first_and_ends_with_the_opening_balance(
        self, inventory, tent
    ):
        """With any page size, each entry once, before and after the deletion of the item."""
        ref = {"item_id": tent.item_id, "sku": tent.sku}
        for delta in (1, 2, 3):
            inventory.adjust_stock(AdjustStock(**ref, delta=delta, reason="delivery"))
        inventory.delete_item(DeleteItem(**ref))

        for size in range(1, 6):
            walked, token = [], None
            while True:
                page = inventory.list_movements(
                    ListMovements(**ref, page_size=size, page_token=token)
                )
                assert len(page.items) <= size
                walked += page.items
                if (token := page.next_cursor) is None:
                    break
            assert [movement.seq for movement in walked] == [4, 3, 2, 1, 0]
            assert [movement.on_hand for movement in walked] == [0, 11, 8, 6, 5]

    def test_an_item_without_movements_has_an_opening_balance(self, inventory, tent):
        """An unknown item has no ledger."""
        page = inventory.list_movements(ListMovements(item_id=tent.item_id, sku=tent.sku))
        assert [(movement.kind, movement.on_hand) for movement in page.items] == [("opening", 5)]

        with pytest.raises(ItemNotFoundError):
            inventory.list_movements(ListMovements(item_id="x", sku="y"))

    def test_the_opening_balance_is_dated_by_the_creation(self, inventory, time, tent):
        """Before the first movement, after it, and after the deletion of the item."""
        ref = {"item_id": tent.item_id, "sku": tent.sku}
        dates = []
        for happens in (
            lambda: None,
            lambda: inventory.adjust_stock(AdjustStock(**ref, delta=1, reason="delivery")),
            lambda: inventory.adjust_stock(AdjustStock(**ref, delta=1, reason="delivery")),
            lambda: inventory.delete_item(DeleteItem(**ref)),
        ):
            time.pass_by(days=1)
            happens()
            dates.append(inventory.list_movements(ListMovements(**ref)).items[-1].recorded_at)

        assert dates == [tent.created_at] * 4

    def test_movements_have_the_reference_of_their_reservation(self, inventory, behind, time, tent):
        """They have its reference and ID even after the reservation is purged."""
        for close in ("commit", "release", "expire"):
            held = hold(inventory, line(tent, 1), reference="order 4711", ttl_seconds=60)
            if close == "commit":
                inventory.commit_reservation(CommitReservation(**named(held)))
            elif close == "release":
                inventory.release_reservation(ReleaseReservation(**named(held)))
            else:
                time.pass_by(seconds=60)
                behind.expire_reservations(ExpireReservations())

            page = inventory.list_movements(ListMovements(item_id=tent.item_id, sku=tent.sku))
            assert [
                (movement.kind, movement.reservation_id, movement.reference)
                for movement in page.items[:2]
            ] == [(kind, held.reservation_id, "order 4711") for kind in (close, "reserve")]

    # Idempotency

    def test_a_repeated_key_returns_the_first_answer(self, inventory, tent):
        """The repeated request has no second effect and is marked as a replay."""
        first, again = adjusting(tent), adjusting(tent)

        answers = inventory.adjust_stock(first), inventory.adjust_stock(again)

        assert answers[0] == answers[1]
        assert (first.idempotency_key.replayed, again.idempotency_key.replayed) == (False, True)
        assert now(inventory, tent).on_hand == 4

    def test_a_replay_succeeds_if_the_request_itself_would_fail_now(self, inventory, tent):
        """The missing stock was taken by the first request."""
        first = inventory.adjust_stock(adjusting(tent, delta=-5))

        assert inventory.adjust_stock(adjusting(tent, delta=-5)) == first

    def test_another_request_under_the_same_key_is_rejected(self, inventory, tent):
        """It has other fields or another operation."""
        inventory.adjust_stock(adjusting(tent))

        with pytest.raises(KeyReusedError):
            inventory.adjust_stock(adjusting(tent, delta=-2))
        with pytest.raises(KeyReusedError):
            inventory.create_item(
                CreateItem(
                    sku="S", name="N", quantity=1, category="c", idempotency_key=IdempotencyKey("k")
                )
            )
        assert now(inventory, tent).on_hand == 4

    def test_two_callers_may_use_the_same_key(self, inventory, tent):
        """Keys belong to a caller."""
        for scope in ("alice", "bob"):
            command = adjusting(tent)
            key = IdempotencyKey("k", scope=scope)
            inventory.adjust_stock(
                AdjustStock(
                    item_id=tent.item_id,
                    sku="TENT",
                    delta=-1,
                    reason=command.reason,
                    idempotency_key=key,
                )
            )

        assert now(inventory, tent).on_hand == 3

    def test_a_failed_request_leaves_its_key_unused(self, inventory, tent):
        """The request may succeed later under the same key."""
        with pytest.raises(InsufficientStockError):
            inventory.adjust_stock(adjusting(tent, delta=-6))
        inventory.adjust_stock(adjusting(tent, delta=1, key="other"))

        inventory.adjust_stock(adjusting(tent, delta=-6))

        assert now(inventory, tent).on_hand == 0

    def test_a_key_expires_after_a_day(self, inventory, behind, repository, time, tent):
        """Even if its record is not deleted yet."""
        inventory.adjust_stock(adjusting(tent))
        time.pass_by(hours=24, microseconds=-1)
        inventory.adjust_stock(adjusting(tent))
        assert now(inventory, tent).on_hand == 4

        time.pass_by(microseconds=1)
        inventory.adjust_stock(adjusting(tent))
        assert now(inventory, tent).on_hand == 3

        time.pass_by(hours=25)
        assert repository.purge(behind._now()) > 0
        assert repository.get_idempotency_record(IdempotencyKey("k").record_id) is None
        inventory.adjust_stock(adjusting(tent))
        assert now(inventory, tent).on_hand == 2

    @pytest.mark.parametrize(
        "operation",
        [
            *("create", "reserve", "commit", "release", "extend", "count", "transfer", "batch"),
            *("edit", "edit the stock", "edit both", "edit nothing", "delete"),
        ],
    )
    def test_every_operation_replays_its_answer(self, inventory, tent, operation):
        """The value is equal to the first answer."""
        other = inventory.create_item(
            CreateItem(sku="TENT", name="B", quantity=0, category="c", reorder_point=3)
        )
        held = hold(inventory, line(tent, 1), reference="cart")
        key = {"idempotency_key": IdempotencyKey("k")}
        ref = {"item_id": tent.item_id, "sku": tent.sku}
        ask = {
            "create": lambda: inventory.create_item(
                CreateItem(
                    sku="S",
                    name="N",
                    quantity=1,
                    category="c",
                    price="1.25",
                    reorder_point=1,
                    **key,
                )
            ),
            "reserve": lambda: hold(inventory, line(tent, 1), **key),
            "commit": lambda: inventory.commit_reservation(CommitReservation(**named(held), **key)),
            "release": lambda: inventory.release_reservation(
                ReleaseReservation(**named(held), **key)
            ),
            "extend": lambda: inventory.extend_reservation(
                ExtendReservation(**named(held), ttl_seconds=2000, **key)
            ),
            "count": lambda: inventory.count_stock(CountStock(**ref, quantity=3, **key)),
            "edit": lambda: inventory.update_item(UpdateItem(**ref, name="N", **key)),
            "edit the stock": lambda: inventory.update_item(UpdateItem(**ref, quantity=2, **key)),
            "edit both": lambda: inventory.update_item(
                UpdateItem(**ref, name="N", quantity=2, **key)
            ),
            "edit nothing": lambda: inventory.update_item(UpdateItem(**ref, **key)),
            "delete": lambda: inventory.delete_item(
                DeleteItem(item_id=other.item_id, sku="TENT", **key)
            ),
            "transfer": lambda: inventory.transfer_stock(
                TransferStock(
                    source=ItemRef(**ref),
                    destination=ItemRef(item_id=other.item_id, sku="TENT"),
                    quantity=1,
                    **key,
                )
            ),
            "batch": lambda: inventory.batch_items(
                BatchItems(
                    items=(
                        {"sku": "S", "name": "N", "quantity": 1, "category": "c"},
                        {**ref, "quantity": 2},
                    ),
                    **key,
                )
            ),
        }[operation]

        first, again = ask(), ask()

        assert again == first
        assert type(again) is type(first)
        assert key["idempotency_key"].replayed

    @pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 9}, {}])
    def test_a_replayed_update_does_not_undo_later_changes(self, inventory, tent, fields):
        """It changes nothing and returns the first answer."""
        edit = change(tent, **fields, idempotency_key=IdempotencyKey("k"))
        first = inventory.update_item(edit)
        inventory.update_item(change(tent, name="Newer", quantity=1))
        newest = inventory.get_item(GetItem(item_id=tent.item_id))

        again = inventory.update_item(edit)

        assert again == first
        assert edit.idempotency_key.replayed
        assert inventory.get_item(GetItem(item_id=tent.item_id)) == newest

    @pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 9}, {}])
    def test_an_update_under_a_key_checks_its_precondition_once(self, inventory, tent, fields):
        """A replay succeeds whatever the state of the item."""
        key = IdempotencyKey("k")
        seen = IfMatch.parse(tent.etag)
        with pytest.raises(PreconditionFailedError):
            inventory.update_item(
                change(tent, **fields, if_match=IfMatch.parse('"7-7"'), idempotency_key=key)
            )

        edit = change(tent, **fields, if_match=seen, idempotency_key=key)
        first = inventory.update_item(edit)
        inventory.update_item(change(tent, name="Newer"))

        assert inventory.update_item(edit) == first

    def test_a_deletion_is_replayed(self, inventory, tent):
        """Under another key, the item is not found."""
        command = DeleteItem(
            item_id=tent.item_id,
            sku=tent.sku,
            if_match=IfMatch.parse(tent.etag),
            idempotency_key=IdempotencyKey("k"),
        )
        inventory.delete_item(command)
        assert not command.idempotency_key.replayed

        deleted = inventory.delete_item(command)

        assert (deleted.key, deleted.name, deleted.level.on_hand) == (tent.key, "Tent", 5)
        assert command.idempotency_key.replayed
        with pytest.raises(ItemNotFoundError):
            inventory.delete_item(
                DeleteItem(**named_item(tent), idempotency_key=IdempotencyKey("another"))
            )
        with pytest.raises(KeyReusedError):
            inventory.delete_item(
                DeleteItem(item_id="x", sku="TENT", idempotency_key=IdempotencyKey("k"))
            )

    def test_a_row_of_a_batch_cannot_have_a_key(self, inventory, tent):
        """The batch has one key; another would be ignored, and its effect repeated."""
        row = change(tent, quantity=1, idempotency_key=IdempotencyKey("k"))

        with pytest.raises(ValidationError) as caught:
            inventory.batch_items(BatchItems(items=(row,)))

        assert [fault.field for fault in caught.value.errors] == ["items[0].idempotency_key"]

    # Batches

    def test_a_batch_creates_and_updates_in_one_write(self, inventory, tent):
        """A row with an ID updates that item; the others create one."""
        results = inventory.batch_items(
            BatchItems(
                items=(
                    {"sku": "NEW", "name": "New", "quantity": 1, "category": "c"},
                    {"item_id": tent.item_id, "sku": "TENT", "name": "Big tent", "quantity": 9},
                )
            )
        )

        assert [(row.created, row.sku, row.version, row.seq) for row in results] == [
            (True, "NEW", 1, 0),
            (False, "TENT", 2, 1),
        ]

    def test_one_rejected_row_rejects_an_atomic_batch(self, inventory, tent):
        """The error has the errors of the rows."""
        rows = (
            {"sku": "NEW", "name": "New", "quantity": 1, "category": "c"},
            {"item_id": "unknown", "sku": "X", "name": "Y"},
            {"item_id": tent.item_id, "sku": "TENT", "name": "Z", "if_match": '"7-0"'},
        )

        with pytest.raises(BatchRefusedError) as caught:
            inventory.batch_items(BatchItems(items=rows))

        assert {index: error.code for index, error in caught.value.refused.items()} == {
            1: "item_not_found",
            2: "precondition_failed",
        }
        assert inventory.get_item(GetItem(item_id=tent.item_id)).name == "Tent"

    def test_an_invalid_row_rejects_an_atomic_batch_with_the_path_of_the_field(self, inventory):
        """It is rejected before anything is read."""
        with pytest.raises(ValidationError) as caught:
            inventory.batch_items(BatchItems(items=({"sku": "", "quantity": 1}, 5)))

        assert {fault.field for fault in caught.value.errors} == {
            *("items[0].sku", "items[0].name", "items[0].category", "items[1]"),
        }

    def test_per_row_a_rejected_row_does_not_affect_the_others(self, inventory, tent):
        """Each row has its own result, and a key of its own."""
        rows = (
            {"sku": "NEW", "name": "New", "quantity": 1, "category": "c"},
            {"sku": ""},
            {"item_id": "unknown", "sku": "X", "name": "Y"},
            {"item_id": tent.item_id, "sku": "TENT", "quantity": 8},
        )
        sent = BatchItems(items=rows, mode="per_row", idempotency_key=IdempotencyKey("k"))

        first, again = inventory.batch_items(sent), inventory.batch_items(sent)

        assert [row.error and row.error.code for row in first] == [
            None,
            "validation_failed",
            "item_not_found",
            None,
        ]
        assert (first[0], first[3]) == (again[0], again[3])
        assert now(inventory, tent).seq == 1

    def test_a_batch_names_each_item_once(self, inventory, tent):
        """A transaction cannot write an item twice."""
        row = {"item_id": tent.item_id, "sku": "TENT", "name": "A"}

        with pytest.raises(DuplicateRowError):
            inventory.batch_items(BatchItems(items=(row, {**row, "name": "B"})))

    def test_a_batch_row_may_have_if_match(self, inventory, tent):
        """It has the form of the header."""
        row = {"item_id": tent.item_id, "sku": "TENT", "name": "A", "if_match": tent.etag}

        [result] = inventory.batch_items(BatchItems(items=(row,)))

        assert (result.version, IfMatch.parse(tent.etag).versions) == (2, frozenset({1}))
