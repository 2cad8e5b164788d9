"""The publisher of a deployment: what the streams of its tables say becomes events on a bus."""

import json

import attrs
import pytest

from inventory import (
    AdjustStock,
    CommitReservation,
    CreateReservation,
    Inventory,
    LineRequest,
    Timestamp,
    UpdateItem,
)
from inventory.snapshots import copy
from inventory_adapters.aws.transport import (
    Answer,
    NoAnswerError,
    NotSentError,
    ServiceError,
)
from inventory_adapters.events import eventbridge
from inventory_adapters.events.eventbridge import Publisher
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.wire import from_json
from tests.domain.test_events import Following, wire
from tests.domain.use_cases import TENT, Time
from tests.machine import run
from tests.storage.test_agreement import moto


class Bus:
    """
    A transport to an EventBridge and a queue that take all, or what a test says.

    Attributes:
        events: What was published, in its order.
        letters: What is in the dead-letter queue.
        results: Answers the entries of a request: an error code, an exception, or None for each.
    """

    def __init__(self, results=lambda entries: [None] * len(entries)):
        self.events = []
        self.letters = []
        self.requests = []
        self.results = results

    def send(self, service, operation, request, *, seconds):
        assert seconds > 0
        if operation == "SendMessage":
            assert (service.name, request["QueueUrl"]) == ("sqs", "https://queue")
            self.letters.append(json.loads(request["MessageBody"]))
            return Answer({})
        assert (service.name, operation) == ("events", "PutEvents")
        self.requests.append(request["Entries"])
        results = self.results(request["Entries"])
        if isinstance(results, Exception):
            raise results
        for entry, code in zip(request["Entries"], results, strict=True):
            event = from_json(entry["Detail"])
            assert entry["DetailType"] == event["type"]
            assert entry["EventBusName"] == entry["Source"] == event["source"] == "inventory-test"
            if code is None:
                self.events.append(event)
        rows = [{"EventId": "1"} if code is None else {"ErrorCode": code} for code in results]
        return Answer({"FailedEntryCount": len(rows), "Entries": rows})


def publisher(bus):
    return Publisher(bus, bus="inventory-test", dead_letters="https://queue")


class Tables:
    """Two tables, and what their streams say: the rows that differ since the last look."""

    def __init__(self, repository):
        self.repository = repository
        self.rows = {}
        self.number = 0

    def records(self):
        before, self.rows = self.rows, dict(self.scan())
        for key in {**before, **self.rows}:
            old, new = before.get(key), self.rows.get(key)
            if old != new:
                yield self.record(old, new)

    def record(self, old, new):
        self.number += 1
        images = {"SequenceNumber": str(self.number)}
        images |= {"OldImage": old} if old else {}
        images |= {"NewImage": new} if new else {}
        name = "MODIFY" if old and new else "INSERT" if new else "REMOVE"
        return {"eventName": name, "dynamodb": images}

    def scan(self):
        for table in ("inventory-test", "inventory-test-ledger"):
            for page in self.repository.client.get_paginator("scan").paginate(TableName=table):
                for row in page["Items"]:
                    names = ("pk", "sk") if "pk" in row else ("item_id", "sku")
                    yield (table, *(row[name]["S"] for name in names)), row


class Streamed(Following):
    """The streams of two tables tell the same as the library."""

    repositories = (moto,)

    def __init__(self):
        super().__init__()
        [inventory] = self.inventories
        self.tables = Tables(inventory.repository)
        self.received = []
        self.records = []
        self.inventories = [attrs.evolve(inventory, on_event=self.received.append)]

    def do(self, verb, command):
        answer = super().do(verb, command)
        self.records += self.tables.records()
        return answer

    def new_events(self):
        bus = Bus()
        assert publisher(bus).publish(self.records) == []
        self.records.clear()
        assert bus.letters == []
        received = [{**wire(event), "source": "inventory-test"} for event in self.received]
        self.received.clear()
        assert by_id(bus.events) == by_id(received)
        return bus.events


def by_id(events):
    return sorted(events, key=lambda event: event["id"])


def test_a_follower_rebuilds_every_history_from_the_streams():
    """From the published events, which are those that the library tells."""
    run(Streamed, examples=4, steps=20)


@pytest.fixture
def tables():
    with moto() as repository:
        yield Tables(repository)


@pytest.fixture
def inventory(tables):
    return Inventory(tables.repository, clock=Time(), actor="anna")


def test_events_of_one_subject_are_published_in_their_order(inventory, tables):
    """However the records come, within the limit of 10 events in a request."""
    item = inventory.create_item(TENT)
    key = {"item_id": item.item_id, "sku": item.sku}
    records = [*tables.records()]
    for _ in range(15):
        inventory.adjust_stock(AdjustStock(**key, delta=1, reason="test"))
        records += tables.records()
    bus = Bus()

    publisher(bus).publish(reversed(records))

    moved = [event["sequence"] for event in bus.events if event["type"] == "StockMoved"]
    assert moved == [f"s{seq:012}" for seq in range(1, 16)]
    assert [len(request) for request in bus.requests] == [10, 6]


def test_large_events_are_published_in_several_requests(inventory, tables):
    """Within the limit of 256 kB in a request."""
    for number in range(9):
        large = {
            "description": "\N{SNOWMAN}" * 4096,
            "attributes": {f"a{n}": "\N{SNOWMAN}" * 500 for n in range(5)},
        }
        inventory.create_item(attrs.evolve(TENT, sku=f"{number}", **large))
    bus = Bus()

    publisher(bus).publish(tables.records())

    assert len(bus.events) == 9
    assert len(bus.requests) > 1
    for entries in bus.requests:
        assert sum(len(entry["Detail"]) for entry in entries) <= 256_000


@pytest.fixture
def no_pause(monkeypatch):
    pauses = []
    monkeypatch.setattr(eventbridge, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize(
    "results",
    [
        lambda entries: ["ThrottlingException"] * len(entries),
        lambda _: NoAnswerError("timeout"),
        lambda _: NotSentError("refused", retryable=True),
        lambda _: ServiceError("AccessDeniedException"),
    ],
)
@pytest.mark.usefixtures("no_pause")
def test_what_fails_for_now_is_reported(inventory, tables, results):
    """After some attempts; Lambda sends the records again."""
    inventory.create_item(TENT)
    bus = Bus(results)
    [record] = tables.records()

    assert publisher(bus).publish([record]) == [record["dynamodb"]["SequenceNumber"]]
    assert (len(bus.requests), bus.events, bus.letters) == (4, [], [])


@pytest.mark.usefixtures("no_pause")
def test_only_the_entries_that_failed_are_sent_again(inventory, tables):
    """An entry that was taken is not published twice by this."""
    for sku in "ABC":
        inventory.create_item(attrs.evolve(TENT, sku=sku))
    answers = iter([[None, "InternalFailure", None], [None]])
    bus = Bus(lambda _: next(answers))

    assert publisher(bus).publish(tables.records()) == []
    assert [len(request) for request in bus.requests] == [3, 1]
    assert len(bus.events) == 3


def test_an_event_that_is_refused_goes_to_the_dead_letters(inventory, tables):
    """As a whole, and the others are published."""
    for sku in "ABC":
        inventory.create_item(attrs.evolve(TENT, sku=sku))
    bus = Bus(lambda _: [None, "NotAuthorizedForSourceException", None])

    assert publisher(bus).publish(tables.records()) == []
    assert len(bus.letters) == 1
    letter = bus.letters[0]
    assert "NotAuthorizedForSource" in letter["reason"]
    assert from_json(letter["event"])["type"] == "ItemCreated"
    assert len(bus.events) == 2


def test_a_row_of_someone_else_goes_to_the_dead_letters(inventory, tables):
    """With the record, so that it can be looked at."""
    inventory.create_item(TENT)
    [record] = tables.records()
    foreign = tables.record(None, {"item_id": {"S": "x"}, "sku": {"S": "y"}})
    bus = Bus()

    assert publisher(bus).publish([foreign, record]) == []
    assert len(bus.letters) == 1
    letter = bus.letters[0]
    assert letter["record"] == foreign
    assert len(bus.events) == 1


def test_without_a_queue_the_record_is_reported(inventory, tables):
    """Nothing is dropped."""
    foreign = tables.record(None, {"item_id": {"S": "x"}, "sku": {"S": "y"}})

    class NoQueue(Bus):
        def send(self, *_, **__):
            raise NoAnswerError("timeout")

    assert publisher(NoQueue()).publish([foreign]) == [foreign["dynamodb"]["SequenceNumber"]]


def test_a_copy_makes_no_events_but_later_changes_do(inventory, tables):
    """Rows that a copy wrote are marked; an edit, an adjustment and a commit of them are news."""
    source = Inventory(MemoryRepository(), clock=Time())
    item = source.create_item(TENT)
    key = {"item_id": item.item_id, "sku": item.sku}
    line = LineRequest(**key, quantity=1)
    held = source.create_reservation(CreateReservation(lines=(line,), ttl_seconds=3600))
    source.adjust_stock(AdjustStock(**key, delta=1, reason="test"))
    at = Timestamp.of(source.clock())
    copy(source.repository, tables.repository, restore_id="copy-1", at=at)
    bus = Bus()
    publisher(bus).publish(tables.records())
    copied = [*bus.events]

    inventory.update_item(UpdateItem(**key, name="Big tent"))
    inventory.adjust_stock(AdjustStock(**key, delta=1, reason="test"))
    inventory.commit_reservation(CommitReservation(reservation_id=held.reservation_id))
    publisher(bus).publish(tables.records())

    assert copied == []
    assert sorted(event["type"] for event in bus.events) == [
        *("ItemUpdated", "ReservationCommitted", "StockMoved", "StockMoved")
    ]
