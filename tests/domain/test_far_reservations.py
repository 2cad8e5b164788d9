"""Reservations that were created while a clock was ahead, and rows that a sweep cannot read."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from inventory import (
    CreateItem,
    CreateReservation,
    ExpireReservations,
    FarReservation,
    Inventory,
    LineRequest,
)
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository

TODAY = datetime(2026, 5, 1, tzinfo=UTC)
MONTH = 31 * 24 * 60 * 60


class Clock:
    now = TODAY

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def inventory(request, tmp_path, clock):
    if request.param == "memory":
        yield Inventory(MemoryRepository(), clock=clock)
    else:
        with SqliteRepository(tmp_path / "db.sqlite3") as repository:
            yield Inventory(repository, clock=clock)


def reserve(inventory, seconds=900):
    item = inventory.create_item(CreateItem(sku="S", name="n", category="c", quantity=5))
    line = LineRequest(item_id=item.item_id, sku="S", quantity=2)
    return inventory.create_reservation(CreateReservation(lines=[line], ttl_seconds=seconds))


def test_a_reservation_of_a_clock_that_was_ahead_expires_only_with_far(inventory, clock):
    """An ordinary sweep does not expire it; both sweeps leave other open reservations alone."""
    clock.now = TODAY + timedelta(days=365 * 30)
    far = reserve(inventory)
    clock.now = TODAY
    longest, due = reserve(inventory, MONTH), reserve(inventory, 60)
    clock.now = TODAY + timedelta(seconds=60)

    named = [reservation.reservation_id for reservation in inventory.far_reservations()]
    findings = [finding for finding in inventory.reconcile() if isinstance(finding, FarReservation)]
    ordinary = inventory.expire_reservations(ExpireReservations())
    with_far = inventory.expire_reservations(ExpireReservations(far=True))

    assert named == [far.reservation_id]
    assert [finding.reservation.reservation_id for finding in findings] == named
    assert (ordinary.expired, with_far.expired) == (1, 1)
    states = {
        each.reservation_id: inventory.repository.get_reservation(each.reservation_id).state
        for each in (far, longest, due)
    }
    assert list(states.values()) == ["expired", "held", "expired"]
    assert list(inventory.far_reservations()) == []


def test_the_longest_reservation_is_not_far_for_a_clock_that_is_a_day_behind(inventory, clock):
    """It ends after 31 days; one more day is allowed for clocks that differ."""
    reserve(inventory, MONTH)
    clock.now = TODAY - timedelta(days=1)
    assert list(inventory.far_reservations()) == []

    clock.now -= timedelta(microseconds=1)
    assert len(list(inventory.far_reservations())) == 1


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_sweep_skips_rows_that_it_cannot_read(tmp_path, clock, limit):
    """They count as failed, and not towards the limit."""
    path = tmp_path / "db.sqlite3"
    with SqliteRepository(path) as repository:
        inventory = Inventory(repository, clock=clock)
        bad = [reserve(inventory, 60).reservation_id for _ in range(3)]
        good = reserve(inventory, 61)
        with closing(sqlite3.connect(path)) as db, db:
            db.executemany(
                "UPDATE reservations SET lines = ? WHERE reservation_id = ?",
                zip(["{", '[["i", "s", "2"]]', "5"], bad, strict=True),
            )
        clock.now += timedelta(seconds=61)

        swept = inventory.expire_reservations(ExpireReservations(limit=limit))

        assert (swept.expired, swept.failed) == (1, 3)
        assert repository.get_reservation(good.reservation_id).state == "expired"
