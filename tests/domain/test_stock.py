"""The verbs: pure, explained by their movements, and never beyond what is there."""

from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from inventory import Item, ItemKey, StockLevel, Timestamp
from inventory.errors import (
    ConflictError,
    InsufficientStockError,
    InventoryError,
    ItemInUseError,
    StockLimitError,
)
from inventory.stock import (
    MAX_QUANTITY,
    MovementKind,
    adjust,
    count,
    delete,
    expire,
    issue,
    opening,
    release,
    reserve,
    transfer,
)

NOW = Timestamp.of(datetime(2026, 5, 1, 9, 30, tzinfo=UTC))
EARLIER = Timestamp.of(datetime(2026, 4, 1, tzinfo=UTC))


def item(on_hand=5, reserved=0, item_id="i", **details):
    details = {"name": "Tent", "category": "tents", "created_at": NOW, "updated_at": NOW, **details}
    level = StockLevel(on_hand=on_hand, reserved=reserved, seq=3)
    return Item(key=ItemKey(item_id=item_id, sku="s"), level=level, **details)


def new_item():
    return evolve(item(), level=StockLevel(on_hand=5), created_at=EARLIER)


levels = st.integers(0, MAX_QUANTITY).flatmap(
    lambda on_hand: st.tuples(st.just(on_hand), st.integers(0, on_hand))
)
units = st.integers(1, MAX_QUANTITY)
VERBS = {
    "adjust up": lambda it, n: adjust(it, n, reason="r", at=NOW),
    "adjust down": lambda it, n: adjust(it, -n, reason="r", at=NOW),
    "count": lambda it, n: count(it, n, at=NOW),
    "reserve": lambda it, n: reserve(it, n, reservation_id="r", at=NOW),
    "issue": lambda it, n: issue(it, n, reservation_id="r", at=NOW),
    "release": lambda it, n: release(it, n, reservation_id="r", at=NOW),
    "expire": lambda it, n: expire(it, n, reservation_id="r", at=NOW),
}


@given(level=levels, n=units, verb=st.sampled_from(sorted(VERBS)))
def test_a_verb_is_refused_or_explained_to_the_unit(level, n, verb):
    """The movement's deltas lead from the level before to the level after, and its balances are the level after."""
    before = item(*level)
    try:
        change = VERBS[verb](before, n)
    except ConflictError:
        return
    after, movement = change.item, change.movement

    assert movement.on_hand == after.level.on_hand == before.level.on_hand + movement.delta_on_hand
    assert movement.reserved == after.level.reserved
    assert after.level.reserved == before.level.reserved + movement.delta_reserved
    assert movement.seq == after.level.seq == before.level.seq + 1
    assert 0 <= after.level.reserved <= after.level.on_hand <= MAX_QUANTITY
    assert (after.version, after.updated_at) == (before.version, before.updated_at)


@given(source=levels, destination=levels, n=units)
def test_a_transfer_neither_makes_nor_loses_units(source, destination, n):
    """What leaves one side comes to the other."""
    from_item, to_item = item(*source), item(*destination, item_id="j")
    try:
        outgoing, incoming = transfer(from_item, to_item, n, at=NOW)
    except ConflictError:
        return
    out, left = outgoing.item, outgoing.movement
    into, came = incoming.item, incoming.movement

    assert out.level.on_hand + into.level.on_hand == source[0] + destination[0]
    assert (left.kind, left.delta_on_hand) == (MovementKind.TRANSFER_OUT, -n)
    assert (came.kind, came.delta_on_hand) == (MovementKind.TRANSFER_IN, n)


def test_an_adjustment_below_what_is_promised_is_refused_with_the_numbers():
    """A client needs them to go on."""
    with pytest.raises(InsufficientStockError) as caught:
        adjust(item(5, 3), -3, reason="broken", at=NOW)

    assert caught.value.facts == {
        "item_id": "i",
        "sku": "s",
        "available": 2,
        "requested": 3,
        "reserved": 3,
    }


def test_the_last_unit_can_be_had():
    """Bounds are inclusive."""
    after = reserve(item(1), 1, reservation_id="r", at=NOW).item

    assert (after.level.available, after.status) == (0, "out_of_stock")


def test_an_item_has_no_more_units_than_its_bound():
    """Sums of many lines stay far inside 64 bits."""
    with pytest.raises(StockLimitError):
        adjust(item(MAX_QUANTITY), 1, reason="r", at=NOW)


def test_units_of_an_earlier_version_beyond_the_bound_can_still_leave():
    """Stored values are never validated again."""
    after = adjust(item(MAX_QUANTITY + 10), -5, reason="r", at=NOW).item

    assert after.level.on_hand == MAX_QUANTITY + 5


@pytest.mark.parametrize("verb", [release, expire])
def test_a_lost_promise_frees_what_is_left_of_it(verb):
    """A sweeper must not stumble over a level that somebody repaired by hand."""
    change = verb(item(5, 1), 3, reservation_id="r", at=NOW)
    after, movement = change.item, change.movement

    assert (after.level.reserved, movement.delta_reserved) == (0, -1)


def test_committing_a_lost_promise_takes_available_units_or_is_refused():
    """Sold units leave if they are there."""
    after = issue(item(5, 1), 3, reservation_id="r", at=NOW).item
    assert (after.level.on_hand, after.level.reserved) == (2, 0)

    with pytest.raises(InsufficientStockError):
        issue(item(2, 1), 3, reservation_id="r", at=NOW)


def test_the_opening_entry_is_what_was_there_before_the_first_movement():
    """Or, where nothing moved, what is there; or nothing."""
    first = adjust(item(5, 2), 4, reason="r", at=NOW).movement

    assert (
        opening(None, first).seq,
        opening(None, first).on_hand,
        opening(None, first).reserved,
    ) == (0, 5, 2)
    assert opening(item(7), None).on_hand == 7
    assert opening(None, None) is None


def test_the_opening_entry_is_dated_when_the_item_was_created():
    """By the first movement, or, should that be lost, by the item, or by the movement that deleted it."""
    tent = new_item()
    change = adjust(tent, 4, reason="r", at=NOW)
    moved, first = change.item, change.movement
    last = delete(moved, at=NOW)
    lost = evolve(first, item_created_at=None)

    assert opening(None, first).recorded_at == EARLIER
    assert opening(tent, lost).recorded_at == EARLIER
    assert opening(None, lost, last).recorded_at == EARLIER
    assert opening(None, lost).recorded_at == NOW


def test_only_the_first_movement_and_the_last_date_the_opening_entry():
    """Each movement is stored for good, and most of them need not say it."""
    change = adjust(new_item(), 4, reason="r", at=NOW)
    moved, first = change.item, change.movement
    change = adjust(moved, 4, reason="r", at=NOW)
    moved, second = change.item, change.movement

    dates = [movement.item_created_at for movement in (first, second, delete(moved, at=NOW))]

    assert dates == [EARLIER, None, EARLIER]


def test_a_deletion_brings_both_balances_to_0():
    """A last movement that explains where the units went."""
    movement = delete(new_item(), at=NOW)

    assert (movement.kind, movement.seq, movement.delta_on_hand) == ("delete", 1, -5)
    assert (movement.on_hand, movement.reserved, movement.delta_reserved) == (0, 0, 0)


def test_an_item_with_reserved_units_is_not_deleted():
    """Its ledger would end with units that somebody still holds."""
    with pytest.raises(ItemInUseError) as caught:
        delete(item(5, 2), at=NOW)

    assert caught.value.reserved == 2


@pytest.mark.parametrize("verb", [reserve, issue, release, expire])
def test_a_movement_of_a_reservation_names_it_and_what_it_is_for(verb):
    """The record of the reservation is purged long before the ledger is read."""
    movement = verb(item(5, 2), 1, reservation_id="r", reference="order 4711", at=NOW).movement

    assert (movement.reservation_id, movement.reference) == ("r", "order 4711")


def test_every_refusal_is_an_inventory_error():
    """No verb fails in a way that a caller cannot name."""
    assert issubclass(ConflictError, InventoryError)
