"""Code that reads pages, on a repository that returns short and empty ones."""

import io
import json
from datetime import UTC, datetime, timedelta
from itertools import count

import attrs
import pytest
from click.testing import CliRunner

from inventory import (
    CreateItem,
    CreateReservation,
    Drift,
    ExpireReservations,
    Inventory,
    ItemKey,
    ListItems,
    ListMovements,
    StockLevel,
)
from inventory_adapters import bootstrap
from inventory_adapters.catalogue.exports import export_items
from inventory_adapters.cli.demo import load_sample_data
from inventory_adapters.cli.main import cli
from inventory_adapters.server.sweeper import sweep
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import with_short_pages
from tests.catalogue.tools import imported
from tests.domain.use_cases import adjusting, hold, line
from tests.handlers import connected

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MONTH = 31 * 24 * 60 * 60
LOCATIONS = ["north", "south", "west"]


def stocked(wrap):
    """Return an inventory with some of everything that is read in pages."""
    repository, ids, time = MemoryRepository(), count(), [NOW]
    inventory = Inventory(
        repository, clock=lambda: time[0], new_id=lambda: f"id-{next(ids):02}", pause=lambda _: None
    )
    for location in LOCATIONS:
        item = inventory.create_item(
            CreateItem(sku="TENT", name="Tent", category="tents", quantity=20, location=location)
        )
    time[0] += timedelta(days=365)
    for _ in range(2):
        hold(inventory, line(item, 1))
    time[0] = NOW
    for number in range(3):
        inventory.adjust_stock(adjusting(item, key=f"k{number}"))
        hold(inventory, line(item, 1), ttl_seconds=60)
        hold(inventory, line(item, 1), ttl_seconds=MONTH)
    time[0] = NOW + timedelta(hours=1)
    return attrs.evolve(inventory, repository=wrap(repository))


def last(inventory):
    [*_, item] = connected(inventory).iter_items(ListItems())
    return item


def read_by_the_client(inventory):
    return list(connected(inventory).iter_items(ListItems(sku="TENT")))


def expired(inventory):
    result = inventory.expire_reservations(ExpireReservations(far=True))
    return result.expired, last(inventory).level.reserved


def expired_to_reserve_them(inventory):
    item = last(inventory)
    inventory.create_reservation(CreateReservation(lines=[line(item, item.level.available + 3)]))
    return last(inventory).level


def far_reservations(inventory):
    return list(inventory.far_reservations())


def drift(inventory):
    """Find an item whose level is wrong by what all of its reservations and movements say."""
    assert [found for found in inventory.reconcile() if isinstance(found, Drift)] == []
    wrong = last(inventory)
    items = inventory.repository._items
    level = StockLevel(on_hand=16, reserved=0, seq=wrong.level.seq)
    items[wrong.key] = attrs.evolve(items[wrong.key], level=level)
    return list(inventory.reconcile(fix=True))


def gaps(inventory):
    """Find a gap at the oldest movement."""
    item = last(inventory)
    del inventory.repository._movements[ItemKey(item_id=item.item_id, sku=item.sku)][2]
    return list(inventory.reconcile())


def history(inventory):
    query, movements = ListMovements(item_id=last(inventory).item_id, sku="TENT"), []
    while True:
        page = inventory.list_movements(query)
        movements += page.items
        if page.next_cursor is None:
            return movements
        query = attrs.evolve(query, page_token=page.next_cursor)


def exported(inventory):
    file = io.BytesIO()
    export_items(inventory, file)
    return file.getvalue()


def counts_imported(inventory):
    rows = "".join(f"TENT,Tent,tents,{8 + n},{at}\n" for n, at in enumerate(LOCATIONS))
    outcomes = imported(
        inventory, f"sku,name,category,quantity,location\n{rows}".encode(), update_stock=True
    )
    return [(each.result, each.location) for each in outcomes]


def sample_data(inventory):
    return load_sample_data(inventory).created, load_sample_data(inventory).created


def printed(*arguments):
    def command(inventory, monkeypatch):
        monkeypatch.setattr(bootstrap, "on_sqlite", lambda *_args, **_kwargs: inventory)
        done = CliRunner().invoke(cli, [*arguments, "--db", __file__, "--json"])
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return json.loads(done.stdout)

    return command


READERS = [
    read_by_the_client,
    expired,
    expired_to_reserve_them,
    sweep,
    far_reservations,
    drift,
    gaps,
    history,
    exported,
    counts_imported,
    sample_data,
]


@pytest.mark.parametrize("read", READERS)
def test_short_and_empty_pages_hide_nothing(read):
    """Reading finds the same as on pages that are full."""
    found = read(stocked(lambda repository: repository))

    assert found
    assert read(stocked(with_short_pages)) == found


@pytest.mark.parametrize(
    "arguments",
    [
        ("items", "list", "--all", "--sku", "TENT"),
        ("stock", "history", "id-04", "--sku", "TENT", "--all"),
        ("reconcile",),
    ],
    ids=" ".join,
)
def test_commands_print_every_page(arguments, monkeypatch):
    """Also those after a short or an empty one."""
    command = printed(*arguments)
    full = command(stocked(lambda repository: repository), monkeypatch)

    assert sum(len(rows) for rows in full.values() if isinstance(rows, list)) > 1
    assert command(stocked(with_short_pages), monkeypatch) == full
