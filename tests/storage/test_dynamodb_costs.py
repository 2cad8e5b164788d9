"""
The tables in `docs/costs.md`: what each operation of `Inventory` asks of DynamoDB, and what a CRUD Lambda asks.

The default run checks the calls, and the dollars against the units; the run with DynamoDB Local checks the units too, and
writes the tables anew with `WRITE_COSTS=1` in its environment.
"""

import json
import os
import re
from collections import Counter, defaultdict
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from itertools import count, islice, pairwise
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
    ListReservations,
    ReleaseReservation,
    Timestamp,
    TransferStock,
    UpdateItem,
)
from inventory_adapters.aws.transport import Answer, ServiceError
from inventory_adapters.storage.dynamodb import lists
from inventory_adapters.storage.dynamodb.schema import (
    ITEMS,
    LEDGER,
    IndexSchema,
    TableSchema,
    create_table_arguments,
)
from tests.storage import test_dynamodb
from tests.storage.test_dynamodb_ledger import START
from tests.wire import Wire

transport_name = test_dynamodb.transport_name
endpoint = test_dynamodb.endpoint
client = test_dynamodb.client
wire = test_dynamodb.wire
pauses = test_dynamodb.pauses
repository = test_dynamodb.repository

DOCUMENT = Path(__file__).parents[2] / "docs" / "costs.md"
HEAD = """\
| operation | calls | read units | write units | of indexes | $ per million |
| --- | --- | --- | --- | --- | --- |
"""
SIZES = (100, 1_000, 10_000)
COMPARED_HEAD = f"""\
| operation | whose | {" | ".join(f"at {it:,} items" for it in SIZES)} |
| --- | --- | --- | --- | --- |
"""
READS = {"GetItem", "BatchGetItem", "Query", "Scan"}
HAMMER = {
    "sku": "HAMMER-16",
    "name": "Claw hammer",
    "category": "tools",
    "quantity": 10,
    "price": "19.90",
}
DESCRIPTION = (
    "Forged steel on a shaft of ash, 330 mm long. Drives nails of up to 100 mm, and pulls them "
    "out again. The claw is curved."
)
# More than a page: reading one asks for one item more, to know the last page from the others.
MANY = 25


@define
class Shop:
    """An inventory with a clock that can be moved, and something in it."""

    inventory: Inventory
    now: Any = START
    items: list = field(factory=list)
    reservation: Any = None

    def stocked(self, count=1, **details):
        for _ in range(count):
            self.items.append(self.inventory.create_item(CreateItem(**(HAMMER | details))))
        return self

    def reserved(self, lines=1):
        self.stocked(lines)
        self.reservation = reserve(self, lines)
        return self

    def reserved_often(self, times=MANY):
        self.stocked(quantity=times)
        for _ in range(times):
            reserve(self)
        return self

    def due(self, reservations=1):
        for _ in range(reservations):
            self.reserved()
        self.now += timedelta(hours=1)
        return self

    def sold(self, times):
        self.stocked(quantity=times)
        for _ in range(times):
            adjust(self)
        return self

    def adjusted_with_key(self):
        self.stocked()
        adjust(self, key=self.a_key())
        return self

    def a_key(self):
        return IdempotencyKey(self.items[0].item_id)

    def ref(self, index=0):
        return {"item_id": self.items[index].item_id, "sku": self.items[index].sku}


def nothing(_shop):
    """Start from empty tables."""


def adjust(shop, key=None):
    shop.inventory.adjust_stock(
        AdjustStock(**shop.ref(), delta=-1, reason="sold", idempotency_key=key)
    )


def reserve(shop, lines=1, quantity=1):
    return shop.inventory.create_reservation(
        CreateReservation(lines=[{**shop.ref(it), "quantity": quantity} for it in range(lines)])
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


def check_markers(shop):
    shop.inventory.repository.purge(Timestamp.of(shop.now + timedelta(hours=2)))


def commit_a_part(shop):
    on_reservation(
        CommitReservation, lines=[{**shop.ref(), "quantity": 1}], idempotency_key=shop.a_key()
    )(shop)


def list_reservations(**filters):
    return lambda it: it.inventory.list_reservations(ListReservations(**filters))


def list_reservations_of_an_item(shop):
    list_reservations(**shop.ref())(shop)


def sell_out(shop):
    """Ask for more than there is of an item with a due reservation."""
    reserve(shop, quantity=10)


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
    "edit details, with an idempotency key": (
        Shop.stocked,
        lambda it: update(name="Sledge hammer", idempotency_key=it.a_key())(it),
    ),
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
    "delete an item, with an idempotency key": (
        Shop.stocked,
        lambda it: it.inventory.delete_item(DeleteItem(**it.ref(), idempotency_key=it.a_key())),
    ),
    "list 20 items": (lambda it: it.stocked(MANY), list_items()),
    "list 20 items of a category": (lambda it: it.stocked(MANY), list_items(category="tools")),
    "list 20 items of a status": (lambda it: it.stocked(MANY), list_items(status="available")),
    "list 20 items of a SKU": (lambda it: it.stocked(MANY), list_items(sku="HAMMER-16")),
    "list 20 items that are low": (
        lambda it: it.stocked(MANY, reorder_point=10),
        list_items(low_stock=True),
    ),
    "batch: update 5 quantities, create 5": (lambda it: it.stocked(5), batch),
    "adjust": (Shop.stocked, adjust),
    "adjust, across the reorder point": (lambda it: it.stocked(reorder_point=9), adjust),
    "adjust, with an idempotency key": (Shop.stocked, lambda it: adjust(it, it.a_key())),
    "adjust, again with that key": (Shop.adjusted_with_key, lambda it: adjust(it, it.a_key())),
    "count": (Shop.stocked, count_stock),
    "transfer": (lambda it: it.stocked(2), transfer),
    "list 20 movements": (
        lambda it: it.sold(MANY),
        lambda it: it.inventory.list_movements(ListMovements(**it.ref())),
    ),
    "reserve 1 line": (Shop.stocked, reserve),
    "reserve 25 lines": (lambda it: it.stocked(25), lambda it: reserve(it, 25)),
    "reserve 25 lines, all across the reorder point": (
        lambda it: it.stocked(25, reorder_point=9),
        lambda it: reserve(it, 25),
    ),
    "reserve 1 line, of an item with a due reservation": (Shop.due, sell_out),
    "get a reservation": (Shop.reserved, on_reservation(GetReservation)),
    "extend a reservation": (Shop.reserved, on_reservation(ExtendReservation, ttl_seconds=5000)),
    "list 20 reservations": (Shop.reserved_often, list_reservations()),
    "list 20 reservations of an item": (Shop.reserved_often, list_reservations_of_an_item),
    "commit 1 line": (Shop.reserved, on_reservation(CommitReservation)),
    "commit 25 lines": (lambda it: it.reserved(25), on_reservation(CommitReservation)),
    "commit 1 of 2 lines": (lambda it: it.reserved(2), commit_a_part),
    "release 1 line": (Shop.reserved, on_reservation(ReleaseReservation)),
    "sweep, nothing due": (Shop.reserved, sweep),
    "sweep, 1 due": (Shop.due, sweep),
    "sweep, 10 due": (lambda it: it.due(10), sweep),
    "check 25 low-stock markers": (lambda it: it.stocked(25, reorder_point=10), check_markers),
}


@define
class Meter:
    """What is asked of DynamoDB, and what DynamoDB Local says that it costs."""

    calls: Counter = field(factory=Counter)
    reads: float = 0
    writes: float = 0
    of_indexes: float = 0
    actions: list = field(factory=list)
    batched: list = field(factory=list)

    def ask(self, operation, request):
        self.calls[operation] += 1
        request["ReturnConsumedCapacity"] = "INDEXES"
        self.actions += [
            it for action in request.get("TransactItems", ()) for it in action.values()
        ]
        if operation == "BatchWriteItem":
            self.batched += [
                (table, it.get("Item") or it["Key"])
                for table, requests in request["RequestItems"].items()
                for action in requests
                for it in action.values()
            ]

    def note(self, operation, _request, answer):
        if isinstance(answer, ServiceError):
            return
        consumed = answer.body.get("ConsumedCapacity", [])
        tables = consumed if isinstance(consumed, list) else [consumed]
        of_tables = sum(it.get("Table", it)["CapacityUnits"] for it in tables)
        of_indexes = sum(
            index["CapacityUnits"]
            for it in tables
            for index in it.get("GlobalSecondaryIndexes", {}).values()
        )
        if operation in READS:
            # What finds nothing is not free, but Local says so.
            self.reads += max(0.5, of_tables + of_indexes)
        else:
            self.writes += of_tables
            self.of_indexes += of_indexes

    @contextmanager
    def counting(self, source):
        """Count what is sent through a wire, or by a client of the SDK."""
        if isinstance(source, Wire):
            with source.hooked(before=self.ask, after=self.note):
                yield
            return
        # Not provide-client-params: there boto3's resources go on with a copy.
        events = {
            "before-parameter-build.dynamodb": lambda params, model, **_: self.ask(
                model.name, params
            ),
            "after-call.dynamodb": lambda parsed, model, **_: self.note(
                model.name, None, Answer(parsed)
            ),
        }
        for name, handler in events.items():
            source.meta.events.register(name, handler)
        try:
            yield
        finally:
            for name, handler in events.items():
                source.meta.events.unregister(name, handler)

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
        transacted = [(it["TableName"], it.get("Item") or it["Key"]) for it in self.actions]
        # Source: "Amazon DynamoDB Transactions: How it works", capacity management for read/write transactions.
        writes = sum(
            times * max(units(before.get(place, {})), units(after.get(place, {})))
            for times, rows in ((2, transacted), (1, self.batched))
            for place in (place_of(*row) for row in rows)
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


def a_shop(repository, now=START):
    shop = Shop(inventory=None, now=now)
    shop.inventory = Inventory(repository, clock=lambda: shop.now, pause=lambda _: None)
    return shop


def prepared(repository, name, now=START):
    """What there is to do, once all is there that it needs."""
    prepare, work = OPERATIONS[name]
    shop = a_shop(repository, now)
    prepare(shop)
    shop.now += timedelta(seconds=1)
    return partial(work, shop)


def metered(source, work):
    meter = Meter()
    with meter.counting(source):
        work()
    return meter


def add_copies(client, rows, ids, numbers):
    """Store *rows*, by their places, once more for each of *numbers*, which then stands where *ids* stand in them."""
    texts = [(table, json.dumps(row)) for (table, *_), row in rows.items()]
    puts = ((table, replaced(text, ids, number)) for number in numbers for table, text in texts)
    # As many as BatchWriteItem takes.
    while batch := list(islice(puts, 25)):
        requests = defaultdict(list)
        for table, text in batch:
            requests[table].append({"PutRequest": {"Item": json.loads(text)}})
        assert not client.batch_write_item(RequestItems=dict(requests))["UnprocessedItems"]


def replaced(text, ids, number):
    for it in ids:
        text = text.replace(it, f"{number:0{len(it)}}")
    return text


# The handlers of the CRUD Lambda expect a table with our key, and this index.
CRUD_TABLE = TableSchema(
    partition_key="item_id",
    sort_key="sku",
    indexes=(
        IndexSchema(
            name="CategoryIndex",
            partition_key="category",
            sort_key="updated_at",
            projection="ALL",
        ),
    ),
)


@define
class CrudLambda:
    """`bench/baselines/crud_lambda.py`, on a table of its own."""

    handlers: Any
    table: Any
    item_ids: list = field(factory=list)

    def ask(self, operation, **event):
        answer = getattr(self.handlers, operation)(event, None)
        assert answer["statusCode"] in (200, 201)
        return json.loads(answer["body"])

    def create(self):
        created = self.ask("create_item", body=json.dumps(HAMMER | {"description": DESCRIPTION}))
        self.item_ids.append(created["item"]["item_id"])

    def get(self):
        path = {"item_id": self.item_ids[0]}
        self.ask("get_item", pathParameters=path, queryStringParameters={"sku": HAMMER["sku"]})

    def list_tools(self):
        self.ask("list_items", queryStringParameters={"category": "tools"})

    def get_by_scan(self, item_id="none has this id"):
        """
        Get an item by the first half of its key, as a Lambda does that neither asks its clients for the SKU nor queries.

        `crud_lambda.py` has nothing of the kind: its `get_item` wants both halves. Here no item has the id, so that every
        page is read, as it is for an item on the last one.
        Source: the boto3 guide to DynamoDB, "Querying and scanning".
        """
        from boto3.dynamodb.conditions import Attr

        asked = {"FilterExpression": Attr("item_id").eq(item_id)}
        while True:
            answer = self.table.scan(**asked)
            if answer["Items"] or "LastEvaluatedKey" not in answer:
                return answer["Items"]
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def every_page(shop):
    page = shop.inventory.list_items(ListItems(page_size=50))
    while page.next_cursor is not None:
        page = shop.inventory.list_items(ListItems(page_size=50, page_token=page.next_cursor))


# What is counted, and whose it is: a shop's, or the CRUD Lambda's.
COMPARED = {
    ("get an item by id and SKU", "ours"): OPERATIONS["get an item by id and SKU"][1],
    ("get an item by id and SKU", "the CRUD Lambda"): CrudLambda.get,
    ("get an item by id", "ours"): OPERATIONS["get an item by id"][1],
    ("get an item by id", "a Lambda that scans"): CrudLambda.get_by_scan,
    ("list 20 items of a category", "ours"): OPERATIONS["list 20 items of a category"][1],
    ("list 20 items of a category", "the CRUD Lambda"): CrudLambda.list_tools,
    ("list items of a location that has none", "ours"): list_items(location="nowhere"),
    ("list all items, 50 a page", "ours"): every_page,
    # Last, so that the others find as many items as they shall.
    ("create an item", "ours"): lambda it: it.stocked(description=DESCRIPTION),
    ("create an item", "the CRUD Lambda"): CrudLambda.create,
}


def calls_cell(meter):
    return ", ".join(
        operation if number == 1 else f"{number} {operation}"
        for operation, number in sorted(meter.calls.items())
    )


def compared_cell(meter):
    written = meter.writes + meter.of_indexes
    told = [f"{it:g} {kind}" for it, kind in ((meter.reads, "read"), (written, "write")) if it]
    return f"{calls_cell(meter)}: {', '.join(told)}, $ {dollars(meter.reads, written):g}"


def row(name, meter):
    paid = dollars(meter.reads, meter.writes + meter.of_indexes)
    numbers = (meter.reads, meter.writes, meter.of_indexes, paid)
    return f"| {name} | {calls_cell(meter)} | {' | '.join(f'{it:g}' for it in numbers)} |\n"


def dollars(reads, writes):
    """What a million of them cost. The document alone has the prices, where their source stands beside them."""
    return reads * price("read request unit") + writes * price("write request unit")


def price(unit):
    [found] = re.findall(rf"^\| {unit} \| ([\d.]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return float(found)


def documented():
    """The rows of the first table in the document, by operation."""
    rows = parts("counted")[1].removeprefix(HEAD).splitlines(keepends=True)
    return {cells(it)[0]: it for it in rows}


def cells(line):
    return [it.strip() for it in line.split("|")[1:-1]]


def parts(table):
    """The document before a table, the table, and what is after it."""
    before, begin, rest = DOCUMENT.read_text().partition(f"<!-- begin: {table} -->\n")
    between, end, after = rest.partition(f"<!-- end: {table} -->\n")
    return before + begin, between, end + after


def write(table, lines):
    before, _, after = parts(table)
    DOCUMENT.write_text(before + "".join(lines) + after)


def test_the_document_has_every_operation():
    """And no other, in this order."""
    compared = parts("compared")[1].removeprefix(COMPARED_HEAD).splitlines()

    assert list(documented()) == list(OPERATIONS)
    assert [tuple(cells(it)[:2]) for it in compared] == list(COMPARED)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_calls_are_as_documented(wire, repository, name):
    """The cost contract: a change that makes a call more has to change the document."""
    meter = metered(wire, prepared(repository, name))

    assert cells(documented()[name])[1] == calls_cell(meter)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_dollars_are_those_of_the_units(name):
    """A price that changes has to change every row."""
    *_, reads, writes, of_indexes, paid = cells(documented()[name])

    assert paid == f"{dollars(float(reads), float(writes) + float(of_indexes)):g}"


def test_the_dollars_of_the_comparison_are_those_of_its_units():
    """A price that changes has to change every cell."""
    told = re.findall(r": (?:(\S+) read)?(?:(\S+) write)?, \$ (\S+)", parts("compared")[1])

    assert len(told) == len(COMPARED) * len(SIZES)
    for reads, writes, paid in told:
        assert paid == f"{dollars(float(reads or 0), float(writes or 0)):g}"


class Units:
    """The units, as DynamoDB Local counts them."""

    @pytest.fixture
    def crud(self, client, repository, monkeypatch):
        """The CRUD Lambda, with one item in its table."""
        import boto3

        from bench.baselines import crud_lambda

        name = f"{repository._table}-crud"
        client.create_table(**create_table_arguments(CRUD_TABLE, name))
        resource = boto3.resource("dynamodb", endpoint_url=client.meta.endpoint_url)
        monkeypatch.setattr(crud_lambda, "dynamodb", resource)
        monkeypatch.setenv("TABLE_NAME", name)
        crud = CrudLambda(crud_lambda, resource.Table(name))
        with closing(resource.meta.client):
            crud.create()
            yield crud
        client.delete_table(TableName=name)

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_the_units_are_as_documented(self, client, wire, repository, name):
        """With `WRITE_COSTS=1` the document is made so."""
        work = prepared(repository, name)
        before = stored(client, repository)
        meter = metered(wire, work)
        meter.correct(before, stored(client, repository))

        if os.environ.get("WRITE_COSTS"):
            rows = documented() | {name: row(name, meter)}
            write("counted", [HEAD, *(rows[it] for it in OPERATIONS if it in rows)])
        assert documented()[name] == row(name, meter)

    def test_no_operation_costs_more_in_larger_tables(self, client, wire, repository):
        """Among fifty items, with markers, movements and reservations of their own, and among two thousand."""
        crowd = a_shop(repository).stocked(reorder_point=10)
        # Each copy has times of its own, too: as in a shop, few reservations expire at one instant.
        ids = [crowd.items[0].item_id, reserve(crowd).reservation_id, f"{START.microsecond}"]
        rows = stored(client, repository)
        # Each operation a day before the last: what others have reserved is not due yet.
        days = (START - timedelta(days=it) for it in count(1))

        def counted():
            # A check reads a page of markers, whosever they are.
            names = [name for name in OPERATIONS if not name.startswith("check ")]
            works = ((name, prepared(repository, name, next(days))) for name in names)
            # As DynamoDB Local has it: what it leaves out, it leaves out in both.
            return {name: row(name, metered(wire, work)) for name, work in works}

        add_copies(client, rows, ids, range(1, 50))
        among_few = counted()
        add_copies(client, rows, ids, range(50, 2_000))
        among_many = counted()

        assert among_many == among_few
        for name, line in among_many.items():
            assert cells(line)[:3] == cells(documented()[name])[:3]

    def test_the_comparison_is_as_documented(self, client, wire, repository, crud, monkeypatch):
        """With `WRITE_COSTS=1` the document is made so."""
        # How far a list looks for what hardly anything passes shall not depend on this machine.
        monkeypatch.setattr(lists, "_MAX_SECONDS", 60)
        shop = a_shop(repository).stocked(description=DESCRIPTION)
        contenders = {"ours": (wire, shop)}
        rows = stored(client, repository)
        [theirs] = client.scan(TableName=crud.table.name)["Items"]
        rows[place_of(crud.table.name, theirs)] = theirs
        ids = [shop.items[0].item_id, *crud.item_ids]
        told = defaultdict(list)
        for had, size in pairwise((0, *SIZES)):
            # One is there: the first, or what was created in the last round.
            add_copies(client, rows, ids, range(had + 1, size))
            for (operation, whose), work in COMPARED.items():
                asking, whom = contenders.get(whose, (crud.table.meta.client, crud))
                told[operation, whose].append(compared_cell(metered(asking, partial(work, whom))))
        lines = [f"| {' | '.join([*of, *it])} |\n" for of, it in told.items()]

        if os.environ.get("WRITE_COSTS"):
            write("compared", [COMPARED_HEAD, *lines])
        assert parts("compared")[1] == COMPARED_HEAD + "".join(lines)
