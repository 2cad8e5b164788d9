"""
The table in `docs/costs.md`: what each operation of `Inventory` asks of DynamoDB.

The default run checks the calls; the run with DynamoDB Local checks the units too, and writes the table anew with
`WRITE_COSTS=1` in its environment.
"""

import os
import re
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from inventory import (
    AdjustStock,
    BatchItems,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    IdempotencyKey,
    Inventory,
    ListItems,
    ListMovements,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory_adapters.storage.dynamodb_table import ITEMS, LEDGER
from tests.storage import test_dynamodb
from tests.storage.test_dynamodb_ledger import START

client = test_dynamodb.client
pauses = test_dynamodb.pauses
repository = test_dynamodb.repository

DOCUMENT = Path(__file__).parents[2] / "docs" / "costs.md"
BEGIN, END = "<!-- begin: counted -->\n", "<!-- end: counted -->\n"
HEAD = """\
| operation | calls | read units | write units | of indexes |
| --- | --- | --- | --- | --- |
"""
READS = {"GetItem", "BatchGetItem", "Query", "Scan"}


@define
class Shop:
    """An inventory with a clock that can be moved, and something in it."""

    inventory: Inventory
    now: Any = START
    items: list = field(factory=list)
    reservation: Any = None

    def stocked(self, count=1, **details):
        for _ in range(count):
            self.items.append(
                self.inventory.create_item(
                    CreateItem(
                        sku="HAMMER-16",
                        name="Claw hammer",
                        category="tools",
                        quantity=10,
                        price="19.90",
                        **details,
                    )
                )
            )
        return self

    def reserved(self, lines=1):
        self.stocked(lines)
        self.reservation = reserve(self, lines)
        return self

    def due(self, reservations=1):
        for _ in range(reservations):
            self.reserved()
        self.now += timedelta(hours=1)
        return self

    def sold(self, times):
        self.stocked()
        for _ in range(times):
            adjust(self)
        return self

    def served(self):
        self.stocked()
        adjust(self, key=a_key())
        return self

    def ref(self, index=0):
        return {"item_id": self.items[index].item_id, "sku": self.items[index].sku}


def nothing(_shop):
    """Start from empty tables."""


def a_key():
    return IdempotencyKey("order-7")


def adjust(shop, key=None):
    shop.inventory.adjust_stock(
        AdjustStock(**shop.ref(), delta=-1, reason="sold", idempotency_key=key)
    )


def reserve(shop, lines=1):
    return shop.inventory.create_reservation(
        CreateReservation(lines=[{**shop.ref(it), "quantity": 1} for it in range(lines)])
    )


def transfer(shop):
    shop.inventory.transfer_stock(
        TransferStock(source=shop.ref(0), destination=shop.ref(1), quantity=1)
    )


def update(**fields):
    return lambda it: it.inventory.update_item(UpdateItem(**it.ref(), **fields))


def list_items(**filters):
    return lambda it: it.inventory.list_items(ListItems(**filters))


def count_stock(shop):
    shop.inventory.count_stock(CountStock(**shop.ref(), quantity=7))


def batch(shop):
    rows = [{**shop.ref(it), "quantity": 7} for it in range(5)]
    rows += [{"sku": "SAW", "name": "Saw", "category": "tools", "quantity": 1}] * 5
    shop.inventory.batch_items(BatchItems(items=rows))


def on_reservation(command, **fields):
    verb = re.sub("(?<=.)([A-Z])", r"_\1", command.__name__).lower()
    return lambda it: getattr(it.inventory, verb)(
        command(reservation_id=it.reservation.reservation_id, **fields)
    )


def sweep(shop):
    shop.inventory.expire_reservations(ExpireReservations())


# What is there before, and what is counted.
OPERATIONS = {
    "create an item": (nothing, Shop.stocked),
    "create an item that is low": (nothing, lambda it: it.stocked(reorder_point=10)),
    "get an item by id and SKU": (
        Shop.stocked,
        lambda it: it.inventory.get_item(GetItem(**it.ref())),
    ),
    "get an item by id": (
        Shop.stocked,
        lambda it: it.inventory.get_item(GetItem(item_id=it.items[0].item_id)),
    ),
    "edit details": (Shop.stocked, update(name="Sledge hammer")),
    "edit the quantity": (Shop.stocked, update(quantity=7)),
    "edit the reorder point": (Shop.stocked, update(reorder_point=3)),
    "delete an item": (
        Shop.stocked,
        lambda it: it.inventory.delete_item(DeleteItem(**it.ref())),
    ),
    "delete an item that is low": (
        lambda it: it.stocked(reorder_point=10),
        lambda it: it.inventory.delete_item(DeleteItem(**it.ref())),
    ),
    "list 20 items": (lambda it: it.stocked(20), list_items()),
    "list 20 items of a category": (lambda it: it.stocked(20), list_items(category="tools")),
    "list 20 items of a status": (lambda it: it.stocked(20), list_items(status="available")),
    "list 20 items of a SKU": (lambda it: it.stocked(20), list_items(sku="HAMMER-16")),
    "list 20 items that are low": (
        lambda it: it.stocked(20, reorder_point=10),
        list_items(low_stock=True),
    ),
    "batch: update 5 quantities, create 5": (lambda it: it.stocked(5), batch),
    "adjust": (Shop.stocked, adjust),
    "adjust, across the reorder point": (lambda it: it.stocked(reorder_point=9), adjust),
    "adjust, with an idempotency key": (Shop.stocked, lambda it: adjust(it, a_key())),
    "adjust, again with that key": (Shop.served, lambda it: adjust(it, a_key())),
    "count": (Shop.stocked, count_stock),
    "transfer": (lambda it: it.stocked(2), transfer),
    "list 20 movements": (
        lambda it: it.sold(10),
        lambda it: it.inventory.list_movements(ListMovements(**it.ref())),
    ),
    "reserve 1 line": (Shop.stocked, reserve),
    "reserve 25 lines": (lambda it: it.stocked(25), lambda it: reserve(it, 25)),
    "get a reservation": (Shop.reserved, on_reservation(GetReservation)),
    "extend a reservation": (Shop.reserved, on_reservation(ExtendReservation, ttl_seconds=5000)),
    "commit 1 line": (Shop.reserved, on_reservation(CommitReservation)),
    "commit 25 lines": (lambda it: it.reserved(25), on_reservation(CommitReservation)),
    "release 1 line": (Shop.reserved, on_reservation(ReleaseReservation)),
    "sweep, nothing due": (Shop.reserved, sweep),
    "sweep, 1 due": (Shop.due, sweep),
    "sweep, 10 due": (lambda it: it.due(10), sweep),
}


@define
class Meter:
    """What is asked of DynamoDB, and what DynamoDB Local says that it costs."""

    calls: Counter = field(factory=Counter)
    reads: float = 0
    writes: float = 0
    of_indexes: float = 0
    actions: list = field(factory=list)

    def ask(self, params, model, **_):
        self.calls[model.name] += 1
        params["ReturnConsumedCapacity"] = "INDEXES"
        self.actions += [it for action in params.get("TransactItems", ()) for it in action.values()]

    def note(self, parsed, model, **_):
        consumed = parsed.get("ConsumedCapacity", [])
        tables = consumed if isinstance(consumed, list) else [consumed]
        of_tables = sum(it.get("Table", it)["CapacityUnits"] for it in tables)
        of_indexes = sum(
            index["CapacityUnits"]
            for it in tables
            for index in it.get("GlobalSecondaryIndexes", {}).values()
        )
        if model.name in READS:
            # What finds nothing is not free, but Local says so.
            self.reads += max(0.5, of_tables + of_indexes)
        else:
            self.writes += of_tables
            self.of_indexes += of_indexes

    @contextmanager
    def counting(self, client):
        events = {"provide-client-params.dynamodb": self.ask, "after-call.dynamodb": self.note}
        for name, handler in events.items():
            client.meta.events.register(name, handler)
        try:
            yield
        finally:
            for name, handler in events.items():
                client.meta.events.unregister(name, handler)

    def correct(self, before, after):
        """
        Count the writes by AWS's rules, where *before* and *after* are all rows by their places.

        DynamoDB Local is content with less for rows of a transaction that are only looked at, not there, or refused, and for
        indexes when a transaction writes several rows. No operation here writes a row twice.
        """
        of_indexes = sum(
            index_units(schema, index, before.get(place, {}), after.get(place, {}))
            for place in before.keys() | after.keys()
            for schema in [schema_of(place[0])]
            for index in schema.indexes
        )
        if not self.actions:
            assert self.of_indexes == of_indexes
            return
        places = [place_of(it["TableName"], it.get("Item") or it["Key"]) for it in self.actions]
        # Source: "Amazon DynamoDB Transactions: How it works", capacity management for read/write transactions.
        writes = sum(
            2 * max(units(before.get(place, {})), units(after.get(place, {}))) for place in places
        )
        assert self.writes <= writes
        self.writes, self.of_indexes = writes, of_indexes


def index_units(schema, index, before, after):
    """Source: "Using Global Secondary Indexes in DynamoDB", provisioned throughput considerations."""
    old, new = entry(schema, index, before), entry(schema, index, after)
    if old == new:
        return 0
    if old and new and all(old[it] == new[it] for it in (index.partition_key, index.sort_key)):
        return max(units(old), units(new))
    return sum(units(it) for it in (old, new) if it)


def entry(schema, index, row):
    """What of a row is in an index, if the row is."""
    keys = (index.partition_key, index.sort_key)
    if not all(name in row for name in keys):
        return {}
    if index.projection == "ALL":
        return row
    return {name: row[name] for name in (*keys, schema.partition_key, schema.sort_key)}


def units(row):
    """The write units of a row; one that is not there costs as much as the smallest."""
    return max(1, ceil(size_of_map(row) / 1024))


def size_of_map(attributes):
    return sum(len(name.encode()) + size_of(value) for name, value in attributes.items())


def size_of(value):
    """Source: "DynamoDB item sizes and formats"."""
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return ceil(len(content) / 2) + 1
        case "L":
            return 3 + sum(1 + size_of(it) for it in content)
        case "M":
            return 3 + size_of_map(content) + len(content)
        case _:
            return 1


def place_of(table, row):
    schema = schema_of(table)
    return table, *(row[name]["S"] for name in (schema.partition_key, schema.sort_key))


def schema_of(table):
    return LEDGER if table.endswith("-ledger") else ITEMS


def stored(client, repository):
    """All rows by their places."""
    return {
        place_of(table, row): row
        for table in (repository._table, repository._ledger_table)
        for row in client.scan(TableName=table, ConsistentRead=True)["Items"]
    }


def measured(client, repository, name):
    prepare, work = OPERATIONS[name]
    shop = Shop(inventory=None)
    shop.inventory = Inventory(repository, clock=lambda: shop.now, pause=lambda _: None)
    prepare(shop)
    shop.now += timedelta(seconds=1)
    before = stored(client, repository)
    meter = Meter()
    with meter.counting(client):
        work(shop)
    return meter, before


def calls_cell(meter):
    return ", ".join(
        operation if number == 1 else f"{number} {operation}"
        for operation, number in sorted(meter.calls.items())
    )


def row(name, meter):
    numbers = (f"{it:g}" for it in (meter.reads, meter.writes, meter.of_indexes))
    return f"| {name} | {calls_cell(meter)} | {' | '.join(numbers)} |\n"


def documented():
    """The rows of the table in the document, by operation."""
    table = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = table.removeprefix(HEAD).splitlines(keepends=True)
    return {it.split("|")[1].strip(): it for it in rows}


def test_the_document_has_every_operation():
    """And no other, in this order."""
    assert list(documented()) == list(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_calls_are_as_documented(client, repository, name):
    """The cost contract: a change that makes a call more has to change the document."""
    meter, _ = measured(client, repository, name)

    assert documented()[name].split("|")[2].strip() == calls_cell(meter)


class Units:
    """The units, as DynamoDB Local counts them."""

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_the_units_are_as_documented(self, client, repository, name):
        """With `WRITE_COSTS=1` the document is made so."""
        meter, before = measured(client, repository, name)
        meter.correct(before, stored(client, repository))

        if os.environ.get("WRITE_COSTS"):
            write(name, row(name, meter))
        assert documented()[name] == row(name, meter)


def write(name, line):
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = documented() | {name: line}
    table = HEAD + "".join(rows[it] for it in OPERATIONS if it in rows)
    DOCUMENT.write_text(f"{before}{BEGIN}{table}{END}{after}")
