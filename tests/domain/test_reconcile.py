"""Reconcile, without a store: what it finds in a level, its ledger and the open promises, and what a correction leaves."""

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory import Item, ItemKey, MovementKind, StockLevel, stock
from inventory.reconcile import correct, examine
from inventory_adapters.testing import a_time

KEY = ItemKey(item_id="i", sku="s")
NOW = a_time()


def an_item(on_hand=10, reserved=0, seq=0, **details):
    return Item(
        key=KEY,
        name="Tent",
        category="tents",
        level=StockLevel(on_hand=on_hand, reserved=reserved, seq=seq),
        created_at=NOW,
        updated_at=NOW,
        **details,
    )


def history(*steps):
    """Return an item of 10 units after *steps*, and its movements, newest first: units that come or, negative, are promised."""
    item, movements = an_item(), []
    for units in steps:
        if units > 0:
            change = stock.adjust(item, units, reason="r", at=NOW)
        else:
            change = stock.reserve(item, -units, reservation_id="cart", at=NOW)
        item = change.item
        movements.insert(0, change.movement)
    return item, movements


def at(item, **level):
    """Return *item* with its level tampered with."""
    return attrs.evolve(item, level=attrs.evolve(item.level, **level))


sound = st.lists(st.integers(1, 5) | st.just(-1), max_size=8).map(lambda steps: history(*steps))


@given(sound)
def test_what_agrees_is_not_reported(books):
    """Whatever happened."""
    item, movements = books

    assert examine(item, movements, item.level.reserved) is None


@pytest.mark.parametrize(
    ("lost", "gaps"), [([2], (3,)), ([1], (2,)), ([2, 3], (4,)), ([1, 3], (4, 2))]
)
def test_lost_movements_are_shown_by_the_one_after_them(lost, gaps):
    """They cannot be made up again, and where the newest is there, nothing else is wrong."""
    item, movements = history(1, 2, -3, 4)
    kept = [movement for movement in movements if movement.seq not in lost]

    drift = examine(item, kept, 3)

    assert drift.gaps == gaps
    assert not drift.can_be_corrected


def test_a_balance_that_does_not_follow_is_a_gap():
    """Every entry is held against the one before, not only the newest against the level."""
    item, (third, second, first) = history(1, 2, 3)

    drift = examine(item, [third, attrs.evolve(second, delta_on_hand=1), first], 0)

    assert drift.gaps == (2,)


def test_a_level_whose_newest_movement_is_lost_is_explained_again():
    """Of on-hand the level is right: it was written together with what is lost."""
    item, movements = history(1, 2)
    drift = examine(item, movements[1:], 0)
    assert (drift.on_hand, drift.ledger_on_hand, drift.seq, drift.ledger_seq) == (13, 11, 2, 1)

    change = correct(item, drift, at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level == StockLevel(on_hand=13, reserved=0, seq=3)
    assert (movement.kind, movement.seq, movement.delta_on_hand) == (MovementKind.CORRECTION, 3, 2)
    left = examine(corrected, [movement, *movements[1:]], 0)
    assert (left.gaps, left.can_be_corrected) == ((3,), False)


def test_a_level_that_lost_its_place_in_the_ledger_gets_a_new_one():
    """Behind its movements, its next one would be refused for ever, as that seq is taken."""
    item, movements = history(1, 2, 3)
    behind = at(item, seq=1)

    change = correct(behind, examine(behind, movements, 0), at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level.seq == movement.seq == 4
    assert examine(corrected, [movement, *movements], 0) is None


def test_promises_that_the_level_forgot_are_made_good():
    """Of reserved the open reservations are right."""
    item = an_item(10)

    change = correct(item, examine(item, [], 4), at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level == StockLevel(on_hand=10, reserved=4, seq=1)
    assert (movement.delta_on_hand, movement.delta_reserved) == (0, 4)
    assert examine(corrected, [movement], 4) is None


def test_promises_that_nobody_holds_are_freed():
    """And the status follows, as with any movement."""
    item = an_item(5, reserved=5, seq=0, status="out_of_stock")

    corrected = correct(item, examine(item, [], 0), at=NOW).item

    assert (corrected.level.available, corrected.status) == (5, "available")


def test_of_more_promises_than_units_as_many_are_kept_as_there_are():
    """No level can show more; nothing is left that a second correction could do better."""
    item = an_item(3)

    drift = examine(item, [], 5)
    change = correct(item, drift, at=NOW)
    corrected, movement = change.item, change.movement

    assert drift.held == 5
    assert (corrected.level.on_hand, corrected.level.reserved) == (3, 3)
    assert examine(corrected, [movement], 5) is None


@st.composite
def broken(draw):
    """An item, its movements, newest first, and what is promised of it: any of them lost, or tampered with."""
    item, movements = draw(sound)
    lost = draw(st.frozensets(st.integers(1, 8)))
    on_hand = draw(st.integers(0, 30))
    level = StockLevel(
        on_hand=on_hand, reserved=draw(st.integers(0, on_hand)), seq=draw(st.integers(0, 12))
    )
    kept = [movement for movement in movements if movement.seq not in lost]
    return attrs.evolve(item, level=level), kept, draw(st.integers(0, 12))


@given(broken())
def test_a_correction_leaves_nothing_but_gaps(books):
    """On-hand stays, promises are shown, and the ledger leads to the level again."""
    item, movements, promised = books
    drift = examine(item, movements, promised)
    assume(drift is not None and drift.can_be_corrected)

    change = correct(item, drift, at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level.on_hand == item.level.on_hand
    assert corrected.level.reserved == min(promised, item.level.on_hand)
    assert corrected.level.seq == movement.seq
    assert movement.seq > max([item.level.seq, *(each.seq for each in movements)])
    left = examine(corrected, [movement, *movements], promised)
    assert left is None or (left.gaps and not left.can_be_corrected)
    assert drift.gaps == tuple(gap for gap in (left.gaps if left else ()) if gap != movement.seq)
