"""Sweeps near their deadlines, on a clock that moves by a second with each write."""

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from inventory import CreateItem, ExpireReservations, Inventory, deadline, timeouts, upkeep
from inventory_adapters import bootstrap, lambda_entry
from inventory_adapters.server.sweeper import Sweeper
from inventory_adapters.storage.memory import MemoryRepository
from tests.domain.use_cases import hold, line

DUE = 20


class SlowRepository(MemoryRepository):
    """Each commit takes a second of a fake clock."""

    seconds = 0.0

    def commit(self, change):
        super().commit(change)
        self.seconds += 1


@pytest.fixture
def inventory(monkeypatch):
    """An inventory with more due reservations than any sweep below has time for."""
    repository = SlowRepository()
    inventory = Inventory(repository, clock=lambda: datetime(2026, 5, 1, tzinfo=UTC))
    item = inventory.create_item(CreateItem(sku="S", name="n", category="c", quantity=DUE))
    for _ in range(DUE):
        hold(inventory, line(item, 1), ttl_seconds=60)
    monkeypatch.setattr(timeouts, "monotonic", lambda: repository.seconds)
    monkeypatch.setattr(upkeep, "_MAX_GROUP", 1)
    later = inventory.clock() + timedelta(hours=1)
    return Inventory(repository, clock=lambda: later)


def test_a_sweep_ends_a_second_before_its_deadline(inventory):
    """The rest stays due, and the next sweep expires it."""
    with deadline(3.5):
        swept = inventory.expire_reservations(ExpireReservations())

    assert (swept.expired, swept.failed) == (3, 0)
    assert inventory.expire_reservations(ExpireReservations()).expired == DUE - 3


def test_the_sweeper_function_ends_before_lambda_ends_it(inventory, monkeypatch):
    """Half a second of the remaining time is for the response."""
    monkeypatch.setattr(bootstrap, "deployed", lambda _config: inventory)
    monkeypatch.setenv("TABLE_NAME", "stock")
    monkeypatch.setattr(lambda_entry, "_THREADS", 1)
    context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 5400)
    lambda_entry._container.cache_clear()

    try:
        counts = lambda_entry.expire_reservations({}, context)
    finally:
        lambda_entry._container.cache_clear()

    assert counts == {"expired": 4, "failed": 0}


def test_a_background_sweep_has_five_seconds(inventory, caplog):
    """A server that stops waits no longer for its sweep."""
    with (
        caplog.at_level(logging.INFO, "inventory_adapters.server.sweeper"),
        Sweeper(inventory, seconds=3600),
    ):
        pass

    [record] = caplog.records
    assert (record.message, record.expired) == ("swept", 5)
