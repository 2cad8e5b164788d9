"""Items, timestamps, and the status that follows the stock."""

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


def test_timestamps_have_a_fixed_width_in_utc():
    """Stores sort them as text."""
    local = datetime(2026, 5, 1, 11, 30, tzinfo=timezone(timedelta(hours=2)))

    assert Timestamp.of(local) == NOW == "2026-05-01T09:30:00.000000+00:00"
    assert NOW.as_datetime() == local


def test_timestamps_are_exact_to_the_microsecond():
    """Reservations that end at nearly the same time have an order."""
    at = datetime(2026, 5, 1, 9, 30, 0, 123456, tzinfo=UTC)

    assert Timestamp.of(at) == "2026-05-01T09:30:00.123456+00:00"
    assert Timestamp.of(at).as_datetime() == at


def test_a_naive_datetime_is_rejected_and_a_stored_naive_time_is_utc():
    """New times have a zone. Stored times of an earlier version may have none."""
    with pytest.raises(ValueError, match="time zone"):
        Timestamp.of(datetime(2026, 5, 1))  # noqa: DTZ001

    assert Timestamp("2026-05-01T09:30:00").as_datetime() == NOW.as_datetime()


@pytest.mark.parametrize(
    ("on_hand", "reserved", "seq"), [(-1, 0, 0), (1, 2, 0), (1, -1, 0), (1, 0, -1)]
)
def test_an_invalid_stock_level_is_rejected(on_hand, reserved, seq):
    """The constructor checks 0 <= reserved <= on_hand."""
    with pytest.raises(ValueError, match="invalid stock level"):
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
    """It changes only when availability does, and never for a discontinued item."""
    moved = item(status=status, on_hand=before).moved(StockLevel(on_hand=after, seq=1), at=NOW)

    assert moved.status == then


def test_status_follows_available_units_not_units_on_hand():
    """When all units are reserved, the item is out of stock."""
    assert (
        item(on_hand=5, reserved=4).moved(StockLevel(on_hand=5, reserved=5, seq=1), at=NOW).status
        == "out_of_stock"
    )


@pytest.mark.parametrize(
    ("reorder_point", "low"), [(None, False), (4, False), (5, True), (6, True)]
)
def test_an_item_is_low_at_its_reorder_point(reorder_point, low):
    """An item is low when available units are at most the reorder point."""
    assert item(on_hand=5, reorder_point=reorder_point).is_low is low


def test_an_edit_increments_the_version_and_keeps_the_stock():
    """Details and stock are versioned separately."""
    before = item()

    after = before.edited({"price": Decimal(3)}, actor="anna", at=NOW)

    assert (after.version, after.price, after.level) == (before.version + 1, 3, before.level)


def test_a_matching_count_is_recorded():
    """The movement has a delta of 0."""
    change = count(item(on_hand=5, reserved=2), 5, at=NOW)
    counted, movement = change.item, change.movement

    assert counted.level == StockLevel(on_hand=5, reserved=2, seq=1)
    assert (movement.seq, movement.kind, movement.delta_on_hand) == (1, MovementKind.COUNT, 0)


def test_a_count_below_the_reserved_units_is_rejected():
    """Reservations must be released first."""
    with pytest.raises(BelowReservedError) as caught:
        count(item(on_hand=5, reserved=2), 1, at=NOW)

    assert caught.value.facts == {"item_id": "i", "sku": "s", "requested": 1, "reserved": 2}
