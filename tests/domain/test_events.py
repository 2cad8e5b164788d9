"""Events: which change makes which, and that they are enough to keep a copy of an inventory."""

import logging
from contextlib import contextmanager
from random import Random

import attrs
import pytest
from hypothesis.stateful import invariant

from inventory import (
    AdjustStock,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    Inventory,
    ItemRef,
    LineRequest,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory_adapters.events.cloud_events import event_to_text
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.storage.sqlite.outbox import Sink
from inventory_adapters.wire import from_json
from tests.domain.use_cases import Time
from tests.follower import Follower
from tests.machine import InventoryMachine, memory, run

SINK = Sink(name="all", target="file:/nowhere")


def wire(event):
    return from_json(event_to_text(event, source="test"))


class Following(InventoryMachine):
    """Inventories whose events a follower gets, each of them twice and in a random order."""

    def __init__(self):
        super().__init__()
        self.follower = Follower()
        self.ids = []
        self.random = Random(7)  # noqa: S311 - the same order in every run

    def new_events(self):
        """Return the events since the last call."""
        raise NotImplementedError

    @invariant()
    def the_follower_knows_all(self):
        """It has the items, levels and reservations of the model."""
        events = self.new_events()
        self.ids += [event["id"] for event in events]
        assert len({*self.ids}) == len(self.ids)
        for event in self.random.sample(events * 2, k=2 * len(events)):
            self.follower.take(event)
        self.follower.check(self.model)


class OnEvent(Following):
    """The library tells its events."""

    repositories = (memory,)

    def __init__(self):
        super().__init__()
        self.received = []
        self.inventories = [
            attrs.evolve(it, on_event=self.received.append) for it in self.inventories
        ]

    def new_events(self):
        events = [wire(event) for event in self.received]
        self.received.clear()
        return events


@contextmanager
def sqlite(folder):
    with SqliteRepository(folder / "inventory.sqlite3", durability="normal") as repository:
        repository.outbox().add(SINK)
        yield repository


class Stored(Following):
    """A SQLite file stores the same events in its outbox."""

    def __init__(self):
        super().__init__()
        [inventory] = self.inventories
        self.received = []
        self.inventories = [attrs.evolve(inventory, on_event=self.received.append)]
        self.outbox = inventory.repository.outbox()

    def new_events(self):
        events = []
        [sink] = self.outbox.sinks()
        while batch := self.outbox.pending(sink):
            events += [from_json(pending.event) for pending in batch]
            after = attrs.evolve(sink, position=batch[-1].id)
            assert self.outbox.save(sink, after)
            sink = after
        received = [{**wire(event), "source": "inventory"} for event in self.received]
        assert events == received
        self.received.clear()
        return events


def test_a_follower_rebuilds_every_history():
    """From the events of the library, which come twice and in any order."""
    run(OnEvent, examples=60, steps=40)


def test_a_follower_rebuilds_every_history_from_the_outbox(tmp_path_factory):
    """From the events that a SQLite file stores, which are those that the library tells."""

    class OnFile(Stored):
        repositories = (lambda: sqlite(tmp_path_factory.mktemp("file")),)

    run(OnFile, examples=25, steps=40)


@pytest.fixture
def received():
    return []


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def inventory(received, clock):
    def tell(event):
        received.append((event.type, event.sequence))

    return Inventory(MemoryRepository(), clock=clock, on_event=tell, actor="anna")


@pytest.fixture
def item(inventory, received):
    item = inventory.create_item(
        CreateItem(sku="TENT", name="Tent", quantity=5, category="tents", reorder_point=2)
    )
    received.clear()
    return item


def ref(item):
    return ItemRef(item_id=item.item_id, sku=item.sku)


def adjust(inventory, item, delta):
    key = {"item_id": item.item_id, "sku": item.sku}
    inventory.adjust_stock(AdjustStock(**key, delta=delta, reason="test"))


def test_a_new_item_is_created_and_nothing_else(inventory, received):
    """Even if it is low: nothing has become low."""
    inventory.create_item(
        CreateItem(sku="TENT", name="Tent", quantity=0, category="tents", reorder_point=2)
    )

    assert received == [("ItemCreated", "v000000000001")]


def test_each_threshold_makes_one_event(inventory, item, received):
    """When it is crossed; again only after it was left."""
    for delta in (-2, -1, -1, -1, 1, 1, 1, -1):
        adjust(inventory, item, delta)

    assert [event for event in received if event[0] != "StockMoved"] == [
        ("StockLow", "s000000000002"),
        ("StockOut", "s000000000004"),
        ("StockRestocked", "s000000000005"),
        ("StockLow", "s000000000008"),
    ]


@pytest.mark.parametrize(
    ("fields", "events"),
    [
        ({"name": "Big tent"}, ["ItemUpdated"]),
        ({"reorder_point": 5}, ["ItemUpdated", "StockLow"]),
        ({"reorder_point": None}, ["ItemUpdated"]),
        ({"quantity": 2}, ["StockMoved", "StockLow"]),
        ({"quantity": 0, "reorder_point": None}, ["ItemUpdated", "StockMoved", "StockOut"]),
        ({"quantity": 4, "reorder_point": 4}, ["ItemUpdated", "StockMoved", "StockLow"]),
        ({"quantity": 0, "status": "discontinued"}, ["ItemUpdated", "StockMoved", "StockOut"]),
    ],
)
def test_an_update_tells_what_it_changed(inventory, item, received, fields, events):
    """Edits and movements, and a threshold once, whichever of the two crosses it."""
    inventory.update_item(UpdateItem(item_id=item.item_id, sku=item.sku, **fields))

    assert [name for name, _ in received] == events


def test_an_item_that_is_no_longer_discontinued_may_be_low(inventory, item, received):
    """The status decides, too, whether an item is in the list of low stock."""
    key = {"item_id": item.item_id, "sku": item.sku}
    inventory.update_item(UpdateItem(**key, status="discontinued"))
    adjust(inventory, item, -4)
    received.clear()

    inventory.update_item(UpdateItem(**key, status="available"))

    assert received == [("ItemUpdated", "v000000000003"), ("StockLow", "v000000000003")]


def test_the_details_that_differ_are_named(inventory, item):
    """Not those that were sent with the same value."""
    events = []
    inventory = attrs.evolve(inventory, on_event=events.append)
    inventory.update_item(
        UpdateItem(item_id=item.item_id, sku=item.sku, name="Tent", category="camping")
    )

    [updated] = events
    assert updated.changed == ("category",)
    assert (updated.actor, updated.item.category) == ("anna", "camping")


def test_other_movements_make_events_too(inventory, item, received):
    """Counts, transfers and deletions; a deletion is no crossing."""
    other = inventory.create_item(
        CreateItem(sku="TENT", name="Tent", quantity=0, category="tents", location="depot")
    )
    key = {"item_id": item.item_id, "sku": item.sku}
    received.clear()
    inventory.count_stock(CountStock(**key, quantity=5))
    inventory.transfer_stock(TransferStock(source=ref(item), destination=ref(other), quantity=5))
    inventory.delete_item(DeleteItem(**key))

    assert [name for name, _ in received] == [
        *("StockMoved",),
        *("StockMoved", "StockLow", "StockOut", "StockMoved", "StockRestocked"),
        *("StockMoved", "ItemDeleted"),
    ]


def test_a_reservation_makes_events_from_its_opening_to_its_end(inventory, item, received, clock):
    """Each with the revision of the reservation."""
    line = LineRequest(item_id=item.item_id, sku=item.sku, quantity=2)
    one = inventory.create_reservation(CreateReservation(lines=(line,), ttl_seconds=60))
    inventory.extend_reservation(
        ExtendReservation(reservation_id=one.reservation_id, ttl_seconds=90)
    )
    inventory.commit_reservation(CommitReservation(reservation_id=one.reservation_id))
    two = inventory.create_reservation(CreateReservation(lines=(line,), ttl_seconds=60))
    inventory.release_reservation(ReleaseReservation(reservation_id=two.reservation_id))
    inventory.create_reservation(CreateReservation(lines=(line,), ttl_seconds=60))
    clock.pass_by(seconds=61)
    inventory.expire_reservations(ExpireReservations())

    assert [event for event in received if event[0].startswith("Reservation")] == [
        ("ReservationOpened", "r000000000001"),
        ("ReservationExtended", "r000000000002"),
        ("ReservationCommitted", "r000000000003"),
        ("ReservationOpened", "r000000000001"),
        ("ReservationReleased", "r000000000002"),
        ("ReservationOpened", "r000000000001"),
        ("ReservationExpired", "r000000000002"),
    ]


def test_what_on_event_raises_is_logged(item, inventory, caplog):
    """The change is stored, and the caller gets its answer."""

    def fail(_event):
        raise AssertionError("deliberate")

    failing = attrs.evolve(inventory, on_event=fail)
    with caplog.at_level(logging.ERROR):
        adjust(failing, item, -1)

    assert "on_event failed" in caplog.text
    assert inventory.repository.get_item(item.key).level.on_hand == 4


def test_a_rejected_change_makes_no_event(inventory, item, received):
    """Nor is a repeated one."""
    with pytest.raises(Exception, match="available"):
        adjust(inventory, item, -6)

    assert received == []


def test_events_of_an_exclusive_block_come_after_it(tmp_path):
    """None of them if the block fails."""
    received = []
    with SqliteRepository(tmp_path / "inventory.sqlite3") as repository:
        inventory = Inventory(repository, on_event=lambda event: received.append(event.type))

        def fail():
            with repository.exclusive():
                inventory.create_item(CreateItem(sku="A", name="A", quantity=1, category="c"))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with repository.exclusive():
            with repository.exclusive():
                inventory.create_item(CreateItem(sku="A", name="A", quantity=1, category="c"))
            assert received == []

    assert received == ["ItemCreated"]
