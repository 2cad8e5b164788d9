"""Items, times, and the status that follows the stock."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from inventory import Item, ItemKey, StockLevel, Timestamp
from inventory.errors import BelowReservedError
from inventory.stock import MovementKind, count

NOW = Timestamp.of(datetime(2026, 5, 1, 9, 30, tzinfo=UTC))
KEY = ItemKey(item_id="i", sku="s")


def item(*, on_hand=5, reserved=0, **details):
    details = {"name": "Tent", "category": "tents", "created_at": NOW, "updated_at": NOW, **details}
    return Item(key=KEY, level=StockLevel(on_hand=on_hand, reserved=reserved), **details)


def test_times_have_a_fixed_width_in_utc():
    """Stores sort them as text."""
    local = datetime(2026, 5, 1, 11, 30, tzinfo=timezone(timedelta(hours=2)))

    assert Timestamp.of(local) == NOW == "2026-05-01T09:30:00.000000+00:00"
    assert NOW.as_datetime() == local


def test_a_time_without_a_zone_is_refused_when_written_and_read_as_utc():
    """Ours are instants; those of an earlier version are given back as stored."""
    with pytest.raises(ValueError, match="aware"):
        Timestamp.of(datetime(2026, 5, 1))  # noqa: DTZ001

    assert Timestamp("2026-05-01T09:30:00").as_datetime() == NOW.as_datetime()


@pytest.mark.parametrize(
    ("on_hand", "reserved", "seq"), [(-1, 0, 0), (1, 2, 0), (1, -1, 0), (1, 0, -1)]
)
def test_no_stock_level_breaks_the_invariant(on_hand, reserved, seq):
    """0 <= reserved <= on hand holds in the type itself."""
    with pytest.raises(ValueError, match="no stock can be"):
        StockLevel(on_hand=on_hand, reserved=reserved, seq=seq)


@pytest.mark.parametrize(
    ("status", "before", "after", "then"),
    [
        ("available", 5, 0, "out_of_stock"),
        ("available", 5, 1, "available"),
        ("available", 0, 0, "available"),
        ("out_of_stock", 0, 1, "available"),
        ("out_of_stock", 3, 1, "out_of_stock"),
        ("out_of_stock", 3, 0, "out_of_stock"),
        ("discontinued", 5, 0, "discontinued"),
        ("discontinued", 0, 5, "discontinued"),
    ],
)
def test_status_follows_the_last_available_unit(status, before, after, then):
    """On edges only, and never for a discontinued item."""
    moved = item(status=status, on_hand=before).moved(StockLevel(on_hand=after, seq=1))

    assert moved.status == then


def test_status_follows_what_is_available_not_what_is_on_hand():
    """The last unit that nobody was promised is the last one that can be had."""
    assert (
        item(on_hand=5, reserved=4).moved(StockLevel(on_hand=5, reserved=5, seq=1)).status
        == "out_of_stock"
    )


@pytest.mark.parametrize(
    ("reorder_point", "low"), [(None, False), (4, False), (5, True), (6, True)]
)
def test_an_item_is_low_at_its_reorder_point(reorder_point, low):
    """Low means: no more available than the reorder point."""
    assert item(on_hand=5, reorder_point=reorder_point).is_low is low


def test_an_edit_counts_the_version_and_leaves_the_stock_alone():
    """Details and stock are guarded apart."""
    before = item()

    after = before.edited({"price": Decimal(3)}, at=NOW)

    assert (after.version, after.price, after.level) == (before.version + 1, 3, before.level)


def test_a_count_explains_the_difference_and_is_worth_a_line_without_one():
    """The ledger has every count, also one that agrees."""
    change = count(item(on_hand=5, reserved=2), 5, at=NOW)
    counted, movement = change.item, change.movement

    assert counted.level == StockLevel(on_hand=5, reserved=2, seq=1)
    assert (movement.seq, movement.kind, movement.delta_on_hand) == (1, MovementKind.COUNT, 0)


def test_a_count_below_what_is_promised_is_refused():
    """Promised units are there, or the promise must be released first."""
    with pytest.raises(BelowReservedError) as caught:
        count(item(on_hand=5, reserved=2), 1, at=NOW)

    assert caught.value.facts == {"item_id": "i", "sku": "s", "requested": 1, "reserved": 2}
