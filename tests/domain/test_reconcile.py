"""Reconcile as pure functions: the drift between a level, its ledger and held units, and its correction."""

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory import (
    AdjustStock,
    CreateItem,
    FutureMovement,
    Inventory,
    Item,
    ItemKey,
    MovementKind,
    StockLevel,
    stock,
)
from inventory.reconcile import correct, examine
from inventory_adapters.storage.memory import MemoryRepository
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
    """
    Return an item of 10 units after *steps*, and its movements, newest first.

    A positive step adds units, a negative one reserves them.
    """
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
    """Return *item* with a wrong level."""
    return attrs.evolve(item, level=attrs.evolve(item.level, **level))


sound = st.lists(st.integers(1, 5) | st.just(-1), max_size=8).map(lambda steps: history(*steps))


@given(sound)
def test_an_item_that_agrees_with_its_ledger_is_not_reported(records):
    """After any valid history."""
    item, movements = records

    assert examine(item, movements, item.level.reserved) is None


@pytest.mark.parametrize(
    ("lost", "gaps"), [([2], (3,)), ([1], (2,)), ([2, 3], (4,)), ([1, 3], (4, 2))]
)
def test_missing_movements_are_gaps_at_the_next_movement(lost, gaps):
    """They cannot be restored; if the last movement exists, nothing else is wrong."""
    item, movements = history(1, 2, -3, 4)
    rest = [movement for movement in movements if movement.seq not in lost]

    drift = examine(item, rest, 3)

    assert drift.gaps == gaps
    assert not drift.can_be_corrected


def test_a_balance_that_does_not_follow_from_the_one_before_is_a_gap():
    """Every entry is compared with the one before."""
    item, (third, second, first) = history(1, 2, 3)

    drift = examine(item, [third, attrs.evolve(second, delta_on_hand=1), first], 0)

    assert drift.gaps == (2,)


def test_a_missing_last_movement_is_replaced_by_a_correction():
    """The level is right about on-hand."""
    item, movements = history(1, 2)
    drift = examine(item, movements[1:], 0)
    assert (drift.on_hand, drift.ledger_on_hand, drift.seq, drift.ledger_seq) == (13, 11, 2, 1)

    change = correct(item, drift, at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level == StockLevel(on_hand=13, reserved=0, seq=3)
    assert (movement.kind, movement.seq, movement.delta_on_hand) == (MovementKind.CORRECTION, 3, 2)
    left = examine(corrected, [movement, *movements[1:]], 0)
    assert (left.gaps, left.can_be_corrected) == ((3,), False)


def test_a_seq_behind_the_ledger_is_corrected():
    """Otherwise the next movement would always conflict with a stored one."""
    item, movements = history(1, 2, 3)
    behind = at(item, seq=1)

    change = correct(behind, examine(behind, movements, 0), at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level.seq == movement.seq == 4
    assert examine(corrected, [movement, *movements], 0) is None


def test_reserved_units_missing_from_the_level_are_restored():
    """The open reservations are right about reserved."""
    item = an_item(10)

    change = correct(item, examine(item, [], 4), at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level == StockLevel(on_hand=10, reserved=4, seq=1)
    assert (movement.delta_on_hand, movement.delta_reserved) == (0, 4)
    assert examine(corrected, [movement], 4) is None


def test_reserved_units_without_a_reservation_become_available():
    """The status follows, as with any movement."""
    item = an_item(5, reserved=5, seq=0, status="out_of_stock")

    corrected = correct(item, examine(item, [], 0), at=NOW).item

    assert (corrected.level.available, corrected.status) == (5, "available")


def test_more_held_units_than_on_hand_reserve_all_units_on_hand():
    """A level cannot show more, and a second correction would change nothing."""
    item = an_item(3)

    drift = examine(item, [], 5)
    change = correct(item, drift, at=NOW)
    corrected, movement = change.item, change.movement

    assert drift.held == 5
    assert (corrected.level.on_hand, corrected.level.reserved) == (3, 3)
    assert examine(corrected, [movement], 5) is None


@st.composite
def broken(draw):
    """Draw an item, its movements, newest first, and its held units, any of them wrong or missing."""
    item, movements = draw(sound)
    lost = draw(st.frozensets(st.integers(1, 8)))
    on_hand = draw(st.integers(0, 30))
    level = StockLevel(
        on_hand=on_hand, reserved=draw(st.integers(0, on_hand)), seq=draw(st.integers(0, 12))
    )
    rest = [movement for movement in movements if movement.seq not in lost]
    return attrs.evolve(item, level=level), rest, draw(st.integers(0, 12))


@given(broken())
def test_a_correction_leaves_only_gaps(records):
    """On-hand stays, reserved is the held units, and the ledger leads to the level again."""
    item, movements, held = records
    drift = examine(item, movements, held)
    assume(drift is not None and drift.can_be_corrected)

    change = correct(item, drift, at=NOW)

    corrected, movement = change.item, change.movement

    assert corrected.level.on_hand == item.level.on_hand
    assert corrected.level.reserved == min(held, item.level.on_hand)
    assert corrected.level.seq == movement.seq
    assert movement.seq > max([item.level.seq, *(each.seq for each in movements)])
    left = examine(corrected, [movement, *movements], held)
    assert left is None or (left.gaps and not left.can_be_corrected)
    assert drift.gaps == tuple(gap for gap in (left.gaps if left else ()) if gap != movement.seq)


@pytest.mark.parametrize(("minutes", "is_reported"), [(59, False), (61, True)])
def test_a_movement_in_the_future_is_reported(minutes, is_reported):
    """It was recorded while a clock was ahead; the clocks of two machines may differ a little."""
    repository = MemoryRepository()
    clock = [NOW.plus(60 * minutes).as_datetime(), NOW.as_datetime()]
    ahead, right = (Inventory(repository, clock=lambda at=at: at) for at in clock)
    item = ahead.create_item(CreateItem(sku="s", name="n", category="c", quantity=1))
    ahead.adjust_stock(AdjustStock(item_id=item.item_id, sku="s", delta=1, reason="r"))

    findings = list(right.reconcile())

    assert [type(finding) for finding in findings] == [FutureMovement] * is_reported
