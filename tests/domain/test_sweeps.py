"""Expiry of due reservations: groups, the items of a refused caller first, and actors."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, current_thread

import pytest

from inventory import (
    AdjustStock,
    CreateItem,
    CreateReservation,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    InsufficientStockError,
    Inventory,
    LineRequest,
    ListMovements,
    ReservationState,
    StorageUnavailableError,
    ValidationError,
    deadline,
)
from inventory_adapters.storage.memory import MemoryRepository


class Clock:
    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def repository():
    return MemoryRepository()


@pytest.fixture
def inventory(repository, clock):
    return Inventory(repository, clock=clock, pause=lambda _: None)


def an_item(inventory, sku="S", quantity=1):
    return inventory.create_item(
        CreateItem(sku=sku, name="n", category="c", quantity=quantity, reorder_point=0)
    )


def hold(inventory, *items, seconds=60, units=1):
    lines = [LineRequest(item_id=item.item_id, sku=item.sku, quantity=units) for item in items]
    return inventory.create_reservation(CreateReservation(lines=lines, ttl_seconds=seconds))


def reserved(inventory, item):
    return inventory.get_item(GetItem(item_id=item.item_id)).level.reserved


def state(inventory, reservation):
    return inventory.repository.get_reservation(reservation.reservation_id).state


def commits_of(repository):
    """Record the changes that are committed to *repository*."""
    changes = []
    commit = repository.commit

    def recording(change):
        changes.append(change)
        commit(change)

    repository.commit = recording
    return changes


def test_a_buyer_gets_his_item_although_many_others_are_due(inventory, clock):
    """His own item's due reservations are expired first, and only those."""
    others = [hold(inventory, an_item(inventory, f"S{n}")) for n in range(100)]
    item = an_item(inventory)
    clock.now += timedelta(seconds=30)
    own = hold(inventory, item)
    clock.now += timedelta(seconds=60)

    hold(inventory, item)

    assert state(inventory, own) is ReservationState.EXPIRED
    assert {state(inventory, other) for other in others} == {ReservationState.HELD}


def test_every_item_of_a_reservation_is_freed(inventory, clock):
    """A refusal names one item at a time."""
    items = [an_item(inventory, f"S{n}") for n in range(25)]
    for item in items:
        hold(inventory, item)
    clock.now += timedelta(seconds=60)

    hold(inventory, *items)

    assert [reserved(inventory, item) for item in items] == [1] * 25


def test_more_due_reservations_than_one_write_can_expire_are_freed(inventory, clock):
    """Groups are expired until the request succeeds."""
    item = an_item(inventory, quantity=80)
    for _ in range(80):
        hold(inventory, item)
    clock.now += timedelta(seconds=60)

    hold(inventory, item, units=80)

    assert reserved(inventory, item) == 80


def test_only_as_many_groups_are_expired_as_a_request_needs(inventory, repository, clock):
    """The sweeper expires the rest."""
    item = an_item(inventory, quantity=80)
    for _ in range(80):
        hold(inventory, item)
    clock.now += timedelta(seconds=60)

    changes = commits_of(repository)
    hold(inventory, item)

    assert [len(change.reservations) for change in changes] == [32, 1]


def test_a_request_decides_again_if_another_sweep_freed_the_units(inventory, repository, clock):
    """Between the refusal and its own sweep, the sweeper runs."""
    item = an_item(inventory)
    hold(inventory, item)
    clock.now += timedelta(seconds=60)
    list_reservations = repository.list_reservations

    def swept_before(*args):
        repository.list_reservations = list_reservations
        inventory.expire_reservations(ExpireReservations())
        return list_reservations(*args)

    repository.list_reservations = swept_before

    hold(inventory, item)

    assert reserved(inventory, item) == 1


def test_a_request_is_refused_if_nothing_is_due(inventory):
    """Units that others hold rightly stay theirs."""
    item = an_item(inventory)
    hold(inventory, item)

    with pytest.raises(InsufficientStockError):
        hold(inventory, item)


def test_a_request_is_refused_if_its_sweep_fails(inventory, repository, clock):
    """The storage error does not hide the refusal."""
    item = an_item(inventory)
    hold(inventory, item)
    clock.now += timedelta(seconds=60)

    def unavailable(*_args):
        raise StorageUnavailableError

    repository.list_reservations = unavailable

    with pytest.raises(InsufficientStockError):
        hold(inventory, item)


def test_a_sweep_expires_groups_in_one_write(inventory, repository, clock):
    """Several reservations of an item are consecutive movements of one change."""
    item, other = an_item(inventory, quantity=9), an_item(inventory, "other", quantity=9)
    for _ in range(5):
        hold(inventory, item, other)
    clock.now += timedelta(seconds=60)
    changes = commits_of(repository)

    swept = inventory.expire_reservations(ExpireReservations())

    assert (swept.expired, swept.failed) == (5, 0)
    [change] = changes
    assert len(change.items) == 2
    assert len(change.movements) == 10
    assert len(change.reservations) == 5
    assert reserved(inventory, item) == reserved(inventory, other) == 0
    assert list(inventory.reconcile()) == []


def test_a_group_fits_one_write(inventory, repository, clock):
    """Reservations of many items are divided among writes of 100 rows."""
    items = [an_item(inventory, f"S{n}", quantity=40) for n in range(25)]
    for _ in range(7):
        hold(inventory, *items)
    for item in items:
        hold(inventory, item)
    clock.now += timedelta(seconds=60)
    changes = commits_of(repository)

    assert inventory.expire_reservations(ExpireReservations()).expired == 32
    assert max(change.size for change in changes) <= 100
    assert list(inventory.reconcile()) == []


def test_one_reservation_that_cannot_be_expired_does_not_stop_its_group(
    inventory, repository, clock
):
    """The group is halved until only that one is left; it stays due."""
    items = [an_item(inventory, f"S{n}") for n in range(20)]
    held = [hold(inventory, item) for item in items]
    clock.now += timedelta(seconds=60)
    commit = repository.commit

    def refusing(change):
        if held[7].reservation_id in {each.after.reservation_id for each in change.reservations}:
            raise StorageUnavailableError
        commit(change)

    repository.commit = refusing

    swept = inventory.expire_reservations(ExpireReservations())

    assert (swept.expired, swept.failed) == (19, 1)
    assert state(inventory, held[7]) is ReservationState.HELD


def test_a_reservation_that_is_extended_meanwhile_is_not_expired(inventory, repository, clock):
    """Each group is read again before it is expired."""
    item = an_item(inventory, quantity=2)
    first, second = hold(inventory, item), hold(inventory, item)
    clock.now += timedelta(seconds=60)
    list_reservations = repository.list_reservations

    def extended_after(*args):
        page = list_reservations(*args)
        now, clock.now = clock.now, clock.now - timedelta(seconds=30)
        repository.list_reservations = list_reservations
        inventory.extend_reservation(
            ExtendReservation(reservation_id=second.reservation_id, ttl_seconds=900)
        )
        clock.now = now
        return page

    repository.list_reservations = extended_after

    swept = inventory.expire_reservations(ExpireReservations())

    assert swept.expired == 1
    assert state(inventory, first) is ReservationState.EXPIRED
    assert state(inventory, second) is ReservationState.HELD


def test_threads_expire_groups_at_the_same_time(inventory, repository, clock):
    """Two groups are committed by two threads, each with the deadline of the caller."""
    for number in range(64):
        hold(inventory, an_item(inventory, f"S{number:02}"))
    clock.now += timedelta(seconds=60)
    barrier = Barrier(2, timeout=10)
    commit, threads = repository.commit, set()

    def together(change):
        threads.add(current_thread())
        if len(threads) <= 2:
            barrier.wait()
        commit(change)

    repository.commit = together

    with deadline(60):
        swept = inventory.expire_reservations(ExpireReservations(), threads=2)

    assert swept.expired == 64
    assert len(threads) == 2


def test_a_sweep_ends_before_its_deadline(inventory, clock):
    """What is left stays due."""
    held = [hold(inventory, an_item(inventory, f"S{n}")) for n in range(3)]
    clock.now += timedelta(seconds=60)

    with deadline(0.5):
        swept = inventory.expire_reservations(ExpireReservations())

    assert swept.expired == 0
    assert {state(inventory, reservation) for reservation in held} == {ReservationState.HELD}


def test_a_sweep_tells_how_long_the_oldest_had_been_due(inventory, clock):
    """It is 0 if nothing is due."""
    assert inventory.expire_reservations(ExpireReservations()).oldest_due_seconds == 0
    hold(inventory, an_item(inventory))
    hold(inventory, an_item(inventory), seconds=90)
    clock.now += timedelta(seconds=100)

    assert inventory.expire_reservations(ExpireReservations()).oldest_due_seconds == 40


def test_the_sweeper_is_the_actor_of_every_expiry(inventory, clock):
    """Also if the request of another caller caused it; other movements have the caller's actor."""
    item = an_item(inventory)
    first = hold(inventory.acting_as("anna"), item)
    clock.now += timedelta(seconds=60)

    second = hold(inventory.acting_as("ben"), item)

    query = ListMovements(item_id=item.item_id, sku=item.sku)
    movements = inventory.list_movements(query).items
    assert [(movement.kind, movement.actor) for movement in movements] == [
        ("reserve", "ben"),
        ("expire", "system:sweeper"),
        ("reserve", "anna"),
        ("opening", None),
    ]
    stored = [
        inventory.get_reservation(GetReservation(reservation_id=each.reservation_id))
        for each in (first, second)
    ]
    assert [reservation.changed_by for reservation in stored] == ["system:sweeper", "ben"]


def test_an_actor_is_recorded_with_each_change(inventory):
    """The original inventory keeps its own."""
    anna = inventory.acting_as("anna")
    item = an_item(anna)

    change = AdjustStock(item_id=item.item_id, sku=item.sku, delta=1, reason="r")
    by_anna, by_nobody = anna.adjust_stock(change), inventory.adjust_stock(change)

    assert item.changed_by == "anna"
    assert (by_anna.movement.actor, by_nobody.movement.actor) == ("anna", None)


@pytest.mark.parametrize("actor", ["system:sweeper", "system:", "", "a" * 257, "a\nb"])
def test_an_actor_is_one_line_and_not_of_the_system(inventory, actor):
    """The names of the system's own actors are reserved."""
    with pytest.raises(ValidationError) as caught:
        inventory.acting_as(actor)

    assert [error.field for error in caught.value.errors] == ["actor"]
