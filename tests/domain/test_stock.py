"""The pure verbs of stock, and the movements that explain them."""

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
    "adjust up": lambda item, n: adjust(item, n, reason="r", at=NOW),
    "adjust down": lambda item, n: adjust(item, -n, reason="r", at=NOW),
    "count": lambda item, n: count(item, n, at=NOW),
    "reserve": lambda item, n: reserve(item, n, reservation_id="r", at=NOW),
    "issue": lambda item, n: issue(item, n, reservation_id="r", at=NOW),
    "release": lambda item, n: release(item, n, reservation_id="r", at=NOW),
    "expire": lambda item, n: expire(item, n, reservation_id="r", at=NOW),
}


@given(level=levels, n=units, verb=st.sampled_from(sorted(VERBS)))
def test_a_verb_fails_or_its_movement_explains_the_change(level, n, verb):
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
def test_a_transfer_keeps_the_number_of_units(source, destination, n):
    """The destination gains the units that the source loses."""
    from_item, to_item = item(*source), item(*destination, item_id="j")
    try:
        outgoing, incoming = transfer(from_item, to_item, n, at=NOW)
    except ConflictError:
        return
    out, removed = outgoing.item, outgoing.movement
    into, added = incoming.item, incoming.movement

    assert out.level.on_hand + into.level.on_hand == source[0] + destination[0]
    assert (removed.kind, removed.delta_on_hand) == (MovementKind.TRANSFER_OUT, -n)
    assert (added.kind, added.delta_on_hand) == (MovementKind.TRANSFER_IN, n)


def test_an_adjustment_below_the_reserved_units_fails_with_the_numbers():
    """A client needs them to continue."""
    with pytest.raises(InsufficientStockError) as caught:
        adjust(item(5, 3), -3, reason="broken", at=NOW)

    assert caught.value.facts == {
        "item_id": "i",
        "sku": "s",
        "available": 2,
        "requested": 3,
        "reserved": 3,
    }


def test_the_last_unit_can_be_reserved():
    """Bounds are inclusive."""
    after = reserve(item(1), 1, reservation_id="r", at=NOW).item

    assert (after.level.available, after.status) == (0, "out_of_stock")


def test_an_item_cannot_have_more_than_the_maximum_quantity():
    """Sums of many lines stay far below 64 bits."""
    with pytest.raises(StockLimitError):
        adjust(item(MAX_QUANTITY), 1, reason="r", at=NOW)


def test_units_above_the_maximum_of_an_earlier_version_can_be_removed():
    """Stored values are not validated against the bounds."""
    after = adjust(item(MAX_QUANTITY + 10), -5, reason="r", at=NOW).item

    assert after.level.on_hand == MAX_QUANTITY + 5


@pytest.mark.parametrize("verb", [release, expire])
def test_releasing_more_than_the_reserved_count_releases_that_count(verb):
    """A sweep does not fail on a level that was repaired by hand."""
    change = verb(item(5, 1), 3, reservation_id="r", at=NOW)
    after, movement = change.item, change.movement

    assert (after.level.reserved, movement.delta_reserved) == (0, -1)


def test_committing_more_than_the_reserved_count_takes_available_units_or_fails():
    """Sold units are removed if they are on hand and available."""
    after = issue(item(5, 1), 3, reservation_id="r", at=NOW).item
    assert (after.level.on_hand, after.level.reserved) == (2, 0)

    with pytest.raises(InsufficientStockError):
        issue(item(2, 1), 3, reservation_id="r", at=NOW)


def test_the_opening_balance_is_the_balance_before_the_first_movement():
    """Without movements it is the current level; without an item there is none."""
    first = adjust(item(5, 2), 4, reason="r", at=NOW).movement

    assert (
        opening(None, first).seq,
        opening(None, first).on_hand,
        opening(None, first).reserved,
    ) == (0, 5, 2)
    assert opening(item(7), None).on_hand == 7
    assert opening(None, None) is None


def test_the_opening_entry_is_dated_when_the_item_was_created():
    """The first movement has the date. If it is missing, the item or the movement of the deletion has it."""
    tent = new_item()
    change = adjust(tent, 4, reason="r", at=NOW)
    moved, first = change.item, change.movement
    last = delete(moved, at=NOW)
    lost = evolve(first, item_created_at=None)

    assert opening(None, first).recorded_at == EARLIER
    assert opening(tent, lost).recorded_at == EARLIER
    assert opening(None, lost, last).recorded_at == EARLIER
    assert opening(None, lost).recorded_at == NOW


def test_only_the_first_and_the_last_movement_date_the_opening_balance():
    """Because movements are stored for ever, the others do not repeat it."""
    change = adjust(new_item(), 4, reason="r", at=NOW)
    moved, first = change.item, change.movement
    change = adjust(moved, 4, reason="r", at=NOW)
    moved, second = change.item, change.movement

    dates = [movement.item_created_at for movement in (first, second, delete(moved, at=NOW))]

    assert dates == [EARLIER, None, EARLIER]


def test_a_deletion_brings_both_balances_to_0():
    """The last movement explains where the units went."""
    movement = delete(new_item(), at=NOW)

    assert (movement.kind, movement.seq, movement.delta_on_hand) == ("delete", 1, -5)
    assert (movement.on_hand, movement.reserved, movement.delta_reserved) == (0, 0, 0)


def test_an_item_with_reserved_units_is_not_deleted():
    """Its ledger would end with reserved units."""
    with pytest.raises(ItemInUseError) as caught:
        delete(item(5, 2), at=NOW)

    assert caught.value.reserved == 2


@pytest.mark.parametrize("verb", [reserve, issue, release, expire])
def test_a_movement_of_a_reservation_has_its_id_and_reference(verb):
    """The reservation may be purged before the ledger is read."""
    movement = verb(item(5, 2), 1, reservation_id="r", reference="order 4711", at=NOW).movement

    assert (movement.reservation_id, movement.reference) == ("r", "order 4711")


def test_every_conflict_is_an_inventory_error():
    """Callers can catch every error of a verb."""
    assert issubclass(ConflictError, InventoryError)
