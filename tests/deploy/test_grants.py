"""
What the repository really calls, recorded, against what deploy/grants.py grants: neither may have more than the other.

`STORY` is what is recorded: requests in the order they are sent, each through the handler that answers it when deployed. A new
operation, or a new call of an old one, needs a line there.
"""

import json
from collections import defaultdict
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import boto3
import pytest
from moto import mock_aws

from deploy.grants import NEEDS, Needs, UnknownNeedsError, needs_of
from deploy.sweeper import SCHEDULED
from inventory.service import Inventory
from inventory_adapters.aws.boto_transport import BotoTransport
from inventory_adapters.aws.ssm import SsmLimits
from inventory_adapters.http.api_gateway import Cors, make_handler
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments
from tests.wire import Wire, lost_answer

TABLE, LEDGER_TABLE = "inventory-test", "inventory-test-ledger"
PARAMETER = "/inventory/test/config"
INDEXES = {index.name: index for schema in (ITEMS, LEDGER) for index in schema.indexes}
BY_NAME = {route.name: route for route in ROUTES}
OPERATIONS = [*BY_NAME, *(it.name for it in SCHEDULED)]

# What IAM asks for, for each row of a transaction.
# Source: "IAM and DynamoDB transactions" in the DynamoDB developer guide.
IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


@attrs.frozen
class Ask:
    """
    One request of the story.

    Attributes:
        operation: What is asked for.
        fields: By their names on the wire, wherever they travel; text may name what was `kept`: ``{hammer}``.
        status: What it is answered with.
        keep: What to call the id in the answer from now on.
        key: Its idempotency key.
        if_match: The state that it is conditional on.
        loses: Drop the answer to its first call of this kind, so that it is sent again.
        after_seconds: Let so much time pass before.
    """

    operation: str
    fields: dict[str, Any] = attrs.field(factory=dict)
    status: int = 200
    keep: str | None = None
    key: str | None = None
    if_match: str | None = None
    loses: str | None = None
    after_seconds: int = 0


def item(sku, **fields):
    return {"sku": sku, "name": sku, "category": "tools", "quantity": 10, **fields}


HAMMER = {"item_id": "{hammer}", "sku": "H"}
NAIL = {"item_id": "{nail}", "sku": "N"}
DEPOT = {"item_id": "{depot}", "sku": "N"}
LINES = [{**HAMMER, "quantity": 2}, {**NAIL, "quantity": 1}]


def held(name, quantity=10, of=HAMMER, ttl_seconds=60):
    """Promise units of an item, so that what comes next meets them."""
    return Ask(
        "create_reservation",
        {"lines": [{**of, "quantity": quantity}], "ttl_seconds": ttl_seconds},
        201,
        keep=name,
    )


STORY = [
    # Create: plain, low from the start, under a key, again under it; each with its answer lost.
    Ask("create_item", item("H"), 201, keep="hammer"),
    Ask("create_item", item("N"), 201, keep="nail", loses="PutItem"),
    Ask("create_item", item("N", location="depot"), 201, keep="depot"),
    Ask("create_item", item("L", quantity=0, reorder_point=5), 201, keep="low", loses="TransactWriteItems"),
    Ask("create_item", item("K"), 201, key="create"),
    Ask("create_item", item("K"), 201, key="create"),
    # Get: with the SKU, and without.
    Ask("get_item", HAMMER),
    Ask("get_item", {"item_id": "{hammer}"}),
    # Update: nothing, a detail, the stock, over the line of low stock and back, with an answer lost, below what is promised.
    Ask("update_item", HAMMER),
    Ask("update_item", {**HAMMER, "name": "Claw hammer"}),
    Ask("update_item", {**HAMMER, "name": "Claw hammer"}, loses="UpdateItem"),
    Ask("update_item", {**HAMMER, "name": "Claw hammer"}, 412, if_match='W/"1-0"'),
    Ask("update_item", HAMMER, key="nothing"),
    Ask("update_item", {**HAMMER, "name": "Hammer"}, key="edit"),
    Ask("update_item", {**HAMMER, "name": "Hammer"}, key="edit", loses="TransactWriteItems"),
    Ask("update_item", {**HAMMER, "quantity": 4, "reorder_point": 5}, loses="TransactWriteItems"),
    Ask("update_item", {**HAMMER, "quantity": 10}),
    Ask("update_item", {**HAMMER, "reorder_point": None}, loses="UpdateItem"),
    held("u"),
    Ask("update_item", {**HAMMER, "quantity": 1}, after_seconds=61),
    Ask("update_item", {**HAMMER, "quantity": 10}),
    # List: by each index, by none, past the marker of an item that is gone.
    *(Ask("list_items", wanted) for wanted in (
        {}, {"category": "tools"}, {"status": "available"}, {"sku": "N"}, {"low_stock": "true"},
    )),
    Ask("delete_item", {"item_id": "{low}", "sku": "L"}, key="delete"),
    Ask("delete_item", {"item_id": "{low}", "sku": "L"}, key="delete"),
    Ask("list_items", {"low_stock": "true"}),
    # Adjust and count: as the update.
    *(ask for operation, ups, downs in (
        ("adjust_stock", {"delta": 1, "reason": "r"}, {"delta": -4, "reason": "r"}),
        ("count_stock", {"quantity": 10}, {"quantity": 7}),
    ) for ask in (
        Ask("update_item", {**HAMMER, "quantity": 9, "reorder_point": 8}),
        Ask(operation, {**HAMMER, **downs}, 201, loses="TransactWriteItems"),
        Ask("update_item", {**HAMMER, "quantity": 8}),
        Ask(operation, {**HAMMER, **ups}, 201, key=operation),
        Ask(operation, {**HAMMER, **ups}, 201, key=operation),
        Ask("update_item", {**HAMMER, "quantity": 10, "reorder_point": None}),
        held(operation, quantity=8),
        Ask(operation, {**HAMMER, **downs}, 201, after_seconds=61),
        Ask("update_item", {**HAMMER, "quantity": 10}),
    )),
    # Movements: of an item that has some, of one that has none.
    Ask("list_movements", HAMMER),
    Ask("list_movements", DEPOT),
    # Transfer: likewise.
    Ask("update_item", {**NAIL, "quantity": 10, "reorder_point": 8}),
    Ask("transfer_stock", {"from": NAIL, "to": DEPOT, "quantity": 5}, 201, loses="TransactWriteItems"),
    Ask("transfer_stock", {"from": DEPOT, "to": NAIL, "quantity": 5}, 201, key="transfer"),
    Ask("transfer_stock", {"from": DEPOT, "to": NAIL, "quantity": 5}, 201, key="transfer"),
    held("t", of=NAIL),
    Ask("transfer_stock", {"from": NAIL, "to": DEPOT, "quantity": 5}, 201, after_seconds=61),
    # Reserve: over the line, with an answer lost, under a key, where all is promised but due.
    Ask("update_item", {**HAMMER, "quantity": 10, "reorder_point": 8}),
    Ask("update_item", {**NAIL, "quantity": 10, "reorder_point": None}),
    Ask("create_reservation", {"lines": LINES}, 201, keep="r1", loses="TransactWriteItems"),
    Ask("create_reservation", {"lines": LINES}, 201, keep="r2", key="reserve"),
    Ask("create_reservation", {"lines": LINES}, 201, key="reserve"),
    Ask("get_reservation", {"reservation_id": "{r1}"}),
    # Extend, release and commit: each again, with an answer lost and under a key.
    Ask("extend_reservation", {"reservation_id": "{r1}", "ttl_seconds": 3000}, loses="UpdateItem"),
    Ask("extend_reservation", {"reservation_id": "{r1}", "ttl_seconds": 4000}, key="extend"),
    Ask("release_reservation", {"reservation_id": "{r1}"}, loses="TransactWriteItems"),
    Ask("release_reservation", {"reservation_id": "{r1}"}, key="release"),
    Ask("release_reservation", {"reservation_id": "{r2}"}, key="release-2"),
    Ask("extend_reservation", {"reservation_id": "{r1}", "ttl_seconds": 4000}, 409, key="extend-2"),
    Ask("commit_reservation", {"reservation_id": "{r1}"}, 409, key="commit-1"),
    held("r3", quantity=1),
    held("r4", quantity=1),
    Ask("commit_reservation", {"reservation_id": "{r3}"}, loses="TransactWriteItems"),
    Ask("commit_reservation", {"reservation_id": "{r4}"}, key="commit"),
    Ask("release_reservation", {"reservation_id": "{r4}"}, 409, key="release-4"),
    Ask("update_item", {**HAMMER, "quantity": 10, "reorder_point": 8}),
    held("r5", quantity=5),
    Ask("create_reservation", {"lines": [{**HAMMER, "quantity": 10}]}, 201, keep="r6", after_seconds=61),
    # Batch: creates and updates, low ones among them, under a key, where all is promised but due.
    Ask("batch_items", {"items": [item("B1", reorder_point=20), {**NAIL, "quantity": 4, "reorder_point": 5}]},
        loses="TransactWriteItems"),
    Ask("batch_items", {"items": [item("B2"), {**NAIL, "name": "Nail", "reorder_point": None}]}, key="batch"),
    Ask("batch_items", {"items": [item("B2"), {**NAIL, "name": "Nail", "reorder_point": None}]}, key="batch"),
    Ask("batch_items", {"items": [item("B3"), {**NAIL, "name": "Nails"}], "mode": "per_row"}, key="rows"),
    Ask("batch_items", {"items": [item("B4"), NAIL]}),
    Ask("update_item", {**NAIL, "quantity": 10}),
    held("b", of=NAIL, ttl_seconds=4000),
    Ask("batch_items", {"items": [{**NAIL, "quantity": 1}]}, after_seconds=4001),
    # The clock: what is due, with an answer lost.
    Ask("update_item", {**NAIL, "quantity": 10, "reorder_point": 8}),
    held("e", of=NAIL, quantity=5),
    Ask("expire_reservations", after_seconds=61, loses="TransactWriteItems"),
    # Delete: on a condition that nothing meets, with an answer lost, where a reservation that is due is in the way.
    Ask("delete_item", HAMMER, 412, if_match='W/"1-0"'),
    Ask("delete_item", DEPOT, loses="TransactWriteItems"),
    held("d"),
    Ask("delete_item", HAMMER, after_seconds=61),
]  # fmt: skip


class Recorder:
    """Notes which actions, on which table or index, the operation in hand calls for."""

    def __init__(self):
        self.seen = defaultdict(Needs)
        self.faults = defaultdict(list)
        self.operation = None

    def note(self, **needs):
        self.seen[self.operation] |= Needs(**needs)

    def on_call(self, operation, params):
        (self.on_ssm if operation == "GetParameter" else self.on_dynamodb)(operation, params)

    def on_dynamodb(self, operation, params):
        if operation == "TransactWriteItems":
            for row in params["TransactItems"]:
                [(kind, action)] = row.items()
                self._on(action["TableName"], IN_TRANSACTION[kind])
        elif operation == "BatchGetItem":
            for table in params["RequestItems"]:
                self._on(table, operation)
        elif "IndexName" in params:
            assert operation == "Query", "an index is granted queries alone"
            self.note(queried=[INDEXES[params["IndexName"]]])
        else:
            self._on(params["TableName"], operation)

    def _on(self, table, action):
        self.note(**{{TABLE: "items", LEDGER_TABLE: "ledger"}[table]: [action]})

    def on_ssm(self, operation, params):
        assert (operation, params["Name"]) == ("GetParameter", PARAMETER)
        self.note(limits=True)


class Clock:
    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self):
        # Never twice the same: times order reservations.
        self.now += timedelta(microseconds=1)
        return self.now


class Player:
    """Tells the story to the handlers, on an emulated DynamoDB."""

    def __init__(self, wire, recorder):
        self.wire = wire
        self.recorder = recorder
        self.clock = Clock()
        self.kept = {}
        repository = DynamoDBRepository(wire, table=TABLE, pause=lambda _seconds: None)
        # Each read of the limits is a call: nothing is kept for the next operation.
        limits = SsmLimits(PARAMETER, transport=wire, ttl_seconds=0)
        self.inventory = Inventory(repository, limits=limits, clock=self.clock)

    def play(self, ask):
        self.recorder.operation = ask.operation
        self.clock.now += timedelta(seconds=ask.after_seconds)
        with lost_answer(self.wire, operation=ask.loses) if ask.loses else nullcontext():
            answer = self._answer(ask)
        assert answer["statusCode"] == ask.status, answer["body"]
        if ask.keep:
            [made] = [it for it in json.loads(answer["body"]).values() if isinstance(it, dict)]
            self.kept[ask.keep] = made.get("item_id") or made["reservation_id"]

    def _answer(self, ask):
        if ask.operation not in BY_NAME:
            from inventory.commands import ExpireReservations

            self.inventory.expire_reservations(ExpireReservations())
            return {"statusCode": 200}
        route = BY_NAME[ask.operation]
        fields = self._filled(ask.fields)
        event = {"pathParameters": {name: fields.pop(name) for name in route.path_fields}}
        event |= (
            {"body": json.dumps(fields)} if route.has_body else {"queryStringParameters": fields}
        )
        headers = {"Idempotency-Key": ask.key, "If-Match": ask.if_match}
        event["headers"] = {name: it for name, it in headers.items() if it}
        return make_handler(route, lambda: (self.inventory, Cors()))(event, None)

    def _filled(self, value):
        if isinstance(value, dict):
            return {name: self._filled(it) for name, it in value.items()}
        if isinstance(value, list):
            return [self._filled(it) for it in value]
        return self.kept[value[1:-1]] if isinstance(value, str) and value[0] == "{" else value


@pytest.fixture(scope="module")
def recorded():
    """The recording of the whole story."""
    recorder = Recorder()
    with mock_aws():
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        client = session.client("dynamodb")
        for schema, name in ((ITEMS, TABLE), (LEDGER, LEDGER_TABLE)):
            client.create_table(**create_table_arguments(schema, name))
        session.client("ssm").put_parameter(Name=PARAMETER, Value="{}", Type="String")
        wire = Wire(BotoTransport(session))
        wire.before.append(recorder.on_call)
        player = Player(wire, recorder)
        for ask in STORY:
            if ask.operation not in OPERATIONS:
                continue
            try:
                player.play(ask)
            except Exception as fault:  # noqa: BLE001 - told by the test of the operation
                recorder.faults[ask.operation].append(f"{ask}: {fault!r}")
    return recorder


def listed(needs):
    """What an operation needs, as flat text that fails readably."""
    return {
        *(f"items {action}" for action in needs.items),
        *(f"ledger {action}" for action in needs.ledger),
        *(f"{index.name} Query" for index in needs.queried),
        *(["limits"] if needs.limits else []),
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_granted_what_it_calls_and_no_more(recorded, operation):
    """A call that is not granted fails in production; a grant that nothing calls for helps an intruder alone."""
    called, granted = listed(recorded.seen[operation]), listed(needs_of(operation))

    assert recorded.faults[operation] == []
    assert (called - granted, granted - called) == (set(), set()), "(not granted, not called)"


def test_nothing_is_granted_to_operations_that_do_not_exist():
    """What is taken out of the route table is taken out of the grants."""
    assert set(NEEDS) == set(OPERATIONS)


@pytest.mark.parametrize("name", ["get_item", "list_items", "list_movements", "get_reservation"])
def test_reading_writes_nothing(name):
    """A role that reads holds no action that changes a row, of either table."""
    needs = needs_of(name)

    assert needs.items <= {"GetItem", "BatchGetItem", "Query", "Scan"}
    assert needs.ledger <= {"GetItem", "Query"}


def test_only_the_list_scans():
    """Everything else knows what it is looking for."""
    assert [name for name, needs in NEEDS.items() if "Scan" in needs.items | needs.ledger] == [
        "list_items"
    ]


def test_an_operation_that_nobody_described_is_refused_with_a_sentence():
    """A new route fails the synth until deploy/grants.py has a row for it."""
    with pytest.raises(UnknownNeedsError, match=r"^NEEDS in .* 'count_sheep' calls\.$"):
        needs_of("count_sheep")
