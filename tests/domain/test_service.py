"""The use cases on the reference repository: what callers may rely on whatever the storage."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from inventory import (
    BelowReservedError,
    ContentionError,
    CreateItem,
    DeleteItem,
    GetItem,
    IfMatch,
    Inventory,
    Item,
    ItemInUseError,
    ItemNotFoundError,
    Limits,
    ListItems,
    PreconditionFailedError,
    StockLevel,
    UpdateItem,
    deadline,
)
from inventory.errors import StaleReadError
from inventory.ports import Change, ItemWrite
from inventory_adapters.storage.memory import MemoryRepository

TENT = CreateItem(sku="TENT-2", name="Tent", quantity=5, category="tents", price="199.90")


@pytest.fixture
def repository():
    return MemoryRepository()


@pytest.fixture
def inventory(repository):
    """An inventory whose clock moves a second at each look, and whose ids are counted."""
    seconds, ids = count(), count(1)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    return Inventory(
        repository,
        clock=lambda: start + timedelta(seconds=next(seconds)),
        new_id=lambda: f"id-{next(ids)}",
        pause=lambda _: None,
    )


@pytest.fixture
def tent(inventory):
    return inventory.create_item(TENT)


def change(item, **fields):
    return UpdateItem(item_id=item.item_id, sku=item.sku, **fields)


def reserve(repository, item, units):
    """Promise *units*, as a reservation would."""
    level = StockLevel(on_hand=item.level.on_hand, reserved=units, seq=item.level.seq + 1)
    write = ItemWrite(before=item, after=item.moved(level))
    repository.commit(Change(write_id="promise", items=(write,)))


def test_a_new_item_has_what_was_sent_and_defaults(tent):
    """Version 1, no movements yet, made and edited at the same time."""
    assert (tent.version, tent.level) == (1, StockLevel(on_hand=5))
    assert (tent.description, tent.status, tent.location, tent.reorder_point) == (
        "",
        "available",
        "default",
        None,
    )
    assert tent.created_at == tent.updated_at
    assert tent.etag == '"1-0"'


def test_a_new_item_keeps_the_status_that_was_sent(inventory):
    """Status follows movements; creating is none."""
    item = inventory.create_item(CreateItem(sku="X", name="X", quantity=0, category="c"))

    assert item.status == "available"


def test_an_item_is_found_by_id_alone(inventory, tent):
    """The SKU is optional when reading."""
    assert inventory.get_item(GetItem(item_id=tent.item_id)) == tent


@pytest.mark.parametrize("sku", [None, "OTHER"])
def test_what_does_not_exist_is_not_found(inventory, tent, sku):
    """Neither an unknown id nor a known one under another SKU."""
    with pytest.raises(ItemNotFoundError):
        inventory.get_item(GetItem(item_id=tent.item_id if sku else "unknown", sku=sku))


def test_an_update_changes_only_what_was_sent(inventory, tent):
    """A partial update; the version counts it."""
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


def test_an_update_of_nothing_changes_nothing(inventory, tent):
    """The SKU alone finds the item and says nothing about it."""
    assert inventory.update_item(change(tent)) == tent


def test_a_quantity_is_a_movement_and_no_new_version(inventory, tent):
    """It is a count: seq moves, version does not, and the status follows."""
    updated = inventory.update_item(change(tent, quantity=0))

    assert (updated.version, updated.level.on_hand, updated.level.seq) == (1, 0, 1)
    assert updated.status == "out_of_stock"
    assert updated.updated_at > tent.updated_at


def test_a_quantity_with_details_is_both(inventory, tent):
    """One write; a status that was sent wins over the one that follows."""
    updated = inventory.update_item(
        change(tent, quantity=0, status="discontinued", name="Old tent")
    )

    assert (updated.version, updated.level.seq, updated.status, updated.name) == (
        2,
        1,
        "discontinued",
        "Old tent",
    )


def test_a_reorder_point_is_a_detail_that_null_clears(inventory, tent):
    """It makes a version, and no movement."""
    low = inventory.update_item(change(tent, reorder_point=10))
    cleared = inventory.update_item(change(tent, reorder_point=None))

    assert (low.version, low.level.seq, low.is_low) == (2, 0, True)
    assert (cleared.version, cleared.reorder_point) == (3, None)


def test_a_quantity_below_what_is_promised_is_refused(inventory, repository, tent):
    """And nothing else of the update happens either."""
    reserve(repository, tent, 3)

    with pytest.raises(BelowReservedError):
        inventory.update_item(change(tent, quantity=2, name="Other"))

    assert inventory.get_item(GetItem(item_id=tent.item_id)).name == "Tent"


@pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 1}, {"reorder_point": 1}, {}])
def test_an_update_of_what_does_not_exist_is_not_found(inventory, fields):
    """On every path that an update takes."""
    with pytest.raises(ItemNotFoundError):
        inventory.update_item(UpdateItem(item_id="unknown", sku="X", **fields))


@pytest.mark.parametrize("fields", [{"name": "New"}, {}])
def test_an_edit_of_details_does_not_care_how_the_stock_moved(inventory, repository, tent, fields):
    """Two tracks: a busy SKU never makes an edit of its description fail."""
    reserve(repository, tent, 1)

    inventory.update_item(change(tent, if_match=IfMatch.parse(tent.etag), **fields))


@pytest.mark.parametrize(
    "fields", [{"quantity": 9}, {"reorder_point": 1}, {"quantity": 9, "name": "New"}]
)
def test_an_update_of_the_stock_compares_both_tracks(inventory, repository, tent, fields):
    """Whoever counts must have seen the last movement."""
    reserve(repository, tent, 1)

    with pytest.raises(PreconditionFailedError) as caught:
        inventory.update_item(change(tent, if_match=IfMatch.parse(tent.etag), **fields))

    assert caught.value.facts == {"version": 1, "seq": 1}


@pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 1}, {}])
@pytest.mark.parametrize("tags", ['"7-0"', 'W/"1-0"', '"foreign"'])
def test_a_stale_precondition_refuses_and_says_where_the_item_is(inventory, tent, fields, tags):
    """The second of two people who edit from the same page is told."""
    with pytest.raises(PreconditionFailedError) as caught:
        inventory.update_item(change(tent, if_match=IfMatch.parse(tags), **fields))

    assert caught.value.facts == {"version": 1, "seq": 0}
    assert inventory.get_item(GetItem(item_id=tent.item_id)) == tent


@pytest.mark.parametrize("tags", ["*", '"1-0"', '"7-7", "1-0"'])
def test_a_precondition_that_holds_lets_the_request_through(inventory, tent, tags):
    """Any of several tags will do."""
    assert (
        inventory.update_item(change(tent, if_match=IfMatch.parse(tags), quantity=1)).level.on_hand
        == 1
    )


def test_deleting_returns_what_was_there(inventory, tent):
    """And a second time there is nothing."""
    command = DeleteItem(item_id=tent.item_id, sku=tent.sku)

    assert inventory.delete_item(command) == tent
    with pytest.raises(ItemNotFoundError):
        inventory.delete_item(command)


def test_an_item_with_promised_units_stays(inventory, repository, tent):
    """Whoever holds the reservation will come for them."""
    reserve(repository, tent, 2)

    with pytest.raises(ItemInUseError) as caught:
        inventory.delete_item(DeleteItem(item_id=tent.item_id, sku=tent.sku))

    assert caught.value.reserved == 2


def test_deleting_compares_both_tracks(inventory, repository, tent):
    """A stale tag outranks promised units: the caller must look again anyway."""
    reserve(repository, tent, 2)

    with pytest.raises(PreconditionFailedError):
        inventory.delete_item(
            DeleteItem(item_id=tent.item_id, sku=tent.sku, if_match=IfMatch.parse(tent.etag))
        )


def test_page_sizes_follow_the_limits_in_force(repository):
    """The default where none is asked for, the maximum where too much is."""
    inventory = Inventory(
        repository, limits=lambda: Limits(default_page_size=2, max_items_per_page=3)
    )
    for number in range(5):
        inventory.create_item(CreateItem(sku=f"S{number}", name="N", quantity=1, category="c"))

    def size(wanted):
        return len(inventory.list_items(ListItems(page_size=wanted)).items)

    assert (size(None), size(1), size(3), size(100)) == (2, 1, 3, 3)


class BusyRepository(MemoryRepository):
    """Somebody else is faster, a number of times."""

    def __init__(self, misses):
        super().__init__()
        self.misses = misses

    def commit(self, change):
        if change.items[0].before is not None and self.misses:
            self.misses -= 1
            raise StaleReadError
        super().commit(change)


def test_a_stale_read_is_decided_anew():
    """The caller does not notice."""
    inventory = Inventory(BusyRepository(misses=5), pause=lambda _: None)
    item = inventory.create_item(TENT)

    assert inventory.update_item(change(item, quantity=1)).level.on_hand == 1


def test_contention_ends_in_a_refusal_that_changed_nothing():
    """Bounded: somebody who never wins is told so."""
    pauses = []
    inventory = Inventory(BusyRepository(misses=1000), pause=pauses.append)
    item = inventory.create_item(TENT)

    with pytest.raises(ContentionError):
        inventory.update_item(change(item, quantity=1))

    assert inventory.get_item(GetItem(item_id=item.item_id)) == item
    assert len(pauses) == 7
    assert all(0 <= pause <= 0.5 for pause in pauses)


def test_contention_ends_at_the_deadline():
    """A request that has no time left does not sleep on it."""
    inventory = Inventory(BusyRepository(misses=1000), pause=lambda _: pytest.fail("slept"))
    item = inventory.create_item(TENT)

    with deadline(0), pytest.raises(ContentionError):
        inventory.update_item(change(item, quantity=1))


def test_an_edit_between_read_and_write_survives_a_movement():
    """What somebody discontinued meanwhile is not made available again by a count that was decided before."""

    class MeddledRepository(MemoryRepository):
        meddle = None

        def get_item(self, key):
            item = super().get_item(key)
            if self.meddle:
                meddle, self.meddle = self.meddle, None
                meddle()
            return item

    repository = MeddledRepository()
    inventory = Inventory(repository, pause=lambda _: None)
    item = inventory.create_item(
        CreateItem(sku="S", name="N", quantity=0, category="c", status="out_of_stock")
    )
    repository.meddle = lambda: inventory.update_item(change(item, status="discontinued"))

    counted = inventory.update_item(change(item, quantity=4))

    assert (counted.status, counted.level.on_hand, counted.version) == ("discontinued", 4, 2)


def test_an_earlier_deadline_stays_in_force():
    """Giving more time inside gives none."""
    from inventory.deadline import time_left

    with deadline(1), deadline(100):
        assert time_left() <= 1
    assert time_left() == float("inf")


def test_a_change_names_each_item_once(tent):
    """DynamoDB refuses a transaction that names an item twice; a sum belongs into one write."""
    write = ItemWrite(before=tent, after=tent)

    with pytest.raises(ValueError, match="once"):
        Change(write_id="w", items=(write, write))


def test_an_item_is_what_its_public_names_say(tent):
    """The key is one value with two names."""
    assert isinstance(tent, Item)
    assert (tent.item_id, tent.sku) == (tent.key.item_id, tent.key.sku)
