import logging
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from inventory.commands import (
    CreateItem,
    CreateReservation,
    ExpireReservations,
    GetReservation,
    LineRequest,
)
from inventory.errors import StaleReadError, StorageThrottledError
from inventory.service import Inventory
from inventory_adapters.far_reservations import FarReservationsWatch
from inventory_adapters.server.sweeper import Sweeper, SweepSummary, sweep
from inventory_adapters.storage.memory import MemoryRepository

SECONDS = 10  # How long a test waits for what should happen at once.


class Clock:
    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_by(self, **time):
        self.now += timedelta(**time)


class Watched(MemoryRepository):
    """Signals the end of each sweep, and fails in a given number of sweeps."""

    def __init__(self, failures=0):
        super().__init__()
        self.failures = failures
        self.swept = Event()

    def purge(self, at):
        try:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("the disk is gone")
            return super().purge(at)
        finally:
            self.swept.set()

    def wait_for_sweep(self):
        """Wait for the end of a sweep that has not started yet."""
        # The one under way may have looked before; the one after it has not.
        for _ in range(2):
            self.swept.clear()
            assert self.swept.wait(SECONDS)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, logger="inventory_adapters.server.sweeper")
    return caplog


def reserve(inventory, *, key=None):
    item = inventory.create_item(
        CreateItem(sku="MUG-1", name="Mug", category="kitchen", quantity=5, idempotency_key=key)
    )
    wanted = LineRequest(item_id=item.item_id, sku=item.sku, quantity=2)
    return inventory.create_reservation(CreateReservation(lines=(wanted,), ttl_seconds=60))


def stored_state(inventory, reservation):
    return inventory.repository.get_reservation(reservation.reservation_id).state


def test_sweep_expires_due_reservations_and_purges_old_records(clock):
    """Idempotency keys are deleted after a day, closed reservations after 30."""
    inventory = Inventory(MemoryRepository(), clock=clock)
    reservation = reserve(inventory, key="once")

    before = sweep(inventory)
    clock.pass_by(seconds=60)
    due = sweep(inventory)
    state = stored_state(inventory, reservation)
    clock.pass_by(days=30)
    old = sweep(inventory)

    assert before == SweepSummary(expired=0, failed=0, purged=0)
    assert due == SweepSummary(expired=1, failed=0, purged=0)
    assert state == "expired"
    assert old == SweepSummary(expired=0, failed=0, purged=2)
    assert inventory.repository.get_reservation(reservation.reservation_id) is None


def test_sweep_respects_the_limit_of_the_command(clock):
    """It expires no more reservations than the command allows."""
    inventory = Inventory(MemoryRepository(), clock=clock)
    for _ in range(3):
        reserve(inventory)
    clock.pass_by(hours=1)

    assert sweep(inventory, ExpireReservations(limit=2)).expired == 2


def test_sweeper_sweeps_at_once_and_at_intervals(clock, log):
    """Reservations that are due at the start or later are expired, with a log line each."""
    repository = Watched()
    inventory = Inventory(repository, clock=clock)
    first = reserve(inventory)
    clock.pass_by(seconds=60)
    with Sweeper(inventory, seconds=0.01):
        assert repository.swept.wait(SECONDS)
        second = reserve(inventory)
        clock.pass_by(seconds=60)
        repository.wait_for_sweep()

        states = [stored_state(inventory, it) for it in (first, second)]

    assert states == ["expired", "expired"]
    told = [(it.message, it.levelname, it.expired, it.failed, it.purged) for it in log.records]
    assert told == [("swept", "INFO", 1, 0, 0)] * 2


def test_sweeper_with_nothing_to_do_is_silent(clock, log):
    """A sweep without effect is not logged."""
    repository = Watched()
    with Sweeper(Inventory(repository, clock=clock), seconds=0.01):
        repository.wait_for_sweep()

    assert log.records == []


def test_sweeper_survives_unexpected_errors(clock, log):
    """A failed sweep is logged with its cause, and the next one succeeds."""
    repository = Watched(failures=2)
    inventory = Inventory(repository, clock=clock)
    with Sweeper(inventory, seconds=0.01):
        repository.wait_for_sweep()
        reservation = reserve(inventory)
        clock.pass_by(seconds=60)
        repository.wait_for_sweep()

    assert stored_state(inventory, reservation) == "expired"
    failed = [record for record in log.records if record.message == "sweep failed"]
    assert len(failed) == 2
    assert all("the disk is gone" in str(record.exc_info[1]) for record in failed)


def test_failed_expiry_is_logged_as_warning(clock, log, monkeypatch):
    """A reservation that could not be expired is a warning."""
    repository = Watched()
    inventory = Inventory(repository, clock=clock, pause=lambda _: None)
    reservation = reserve(inventory)
    clock.pass_by(seconds=60)

    def refuse(_change):
        raise StaleReadError

    monkeypatch.setattr(repository, "commit", refuse)
    with Sweeper(inventory, seconds=3600):
        assert repository.swept.wait(SECONDS)

    [record] = log.records
    assert (record.levelname, record.expired, record.failed) == ("WARNING", 0, 1)
    query = GetReservation(reservation_id=reservation.reservation_id)
    assert inventory.get_reservation(query).state == "expired"


def test_sweeper_stops_without_waiting_for_the_next_sweep(clock):
    """The end of the block stops the thread at once."""
    repository = Watched()
    with Sweeper(Inventory(repository, clock=clock), seconds=3600) as sweeper:
        assert repository.swept.wait(SECONDS)

    assert not sweeper._thread.is_alive()


def test_far_reservations_are_logged_once_a_day(clock, log):
    """A person has to check the clocks; the sweep does not change the reservations."""
    inventory = Inventory(MemoryRepository(), clock=clock)
    clock.pass_by(days=365 * 30)
    far = reserve(inventory)
    clock.pass_by(days=-365 * 30)
    watch = FarReservationsWatch()

    for _ in range(3):
        watch.look(inventory)
        clock.pass_by(hours=8)
    watch.look(inventory)

    warnings = [record for record in log.records if record.levelno == logging.WARNING]
    assert [record.reservation_ids for record in warnings] == [[far.reservation_id]] * 2
    assert stored_state(inventory, far) == "held"


def test_sweeper_checks_for_far_reservations(clock, log):
    """After its first sweep."""
    repository = Watched()
    inventory = Inventory(repository, clock=clock)
    clock.pass_by(days=365 * 30)
    reserve(inventory)
    clock.pass_by(days=-365 * 30)

    with Sweeper(inventory, seconds=0.01):
        repository.wait_for_sweep()

    assert [record.levelname for record in log.records] == ["WARNING"]


def test_sweep_is_postponed_while_others_write(clock, log):
    """The next sweep tries again."""

    class Busy(Watched):
        def purge(self, at):
            super().purge(at)
            raise StorageThrottledError

    repository = Busy()
    with Sweeper(Inventory(repository, clock=clock), seconds=3600):
        assert repository.swept.wait(SECONDS)

    [record] = log.records
    assert (record.levelname, record.message) == ("INFO", "sweep postponed")
