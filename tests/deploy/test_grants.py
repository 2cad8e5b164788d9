"""
Comparison of the calls of the repository with the permissions in deploy/grants.py.

The calls are recorded while the requests of `SCENARIO` run, in order, through the deployed handlers. A new operation, or a new
call of an existing one, needs a request in it.
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

from deploy.events import PUBLISH_EVENTS
from deploy.grants import NEEDS, Needs, UnknownNeedsError, needs_of
from deploy.sweeper import SCHEDULED
from inventory.items import Timestamp
from inventory.service import Inventory
from inventory_adapters.aws.boto_transport import BotoTransport
from inventory_adapters.aws.ssm import SsmLimits
from inventory_adapters.http.api_gateway import App, make_handler
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments
from tests.wire import Wire, lost_answer

TABLE, LEDGER_TABLE = "inventory-test", "inventory-test-ledger"
PARAMETER = "/inventory/test/config"
INDEXES = {index.name: index for schema in (ITEMS, LEDGER) for index in schema.indexes}
BY_NAME = {route.name: route for route in ROUTES}
OPERATIONS = [*BY_NAME, *(operation.name for operation in SCHEDULED)]

# The action that IAM requires for each kind of row in a transaction.
# Source: "IAM and DynamoDB transactions" in the DynamoDB developer guide.
IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


@attrs.frozen
class Call:
    """
    One request of the scenario.

    Attributes:
        operation: The operation.
        fields: The fields, by their names on the wire; ``{hammer}`` is replaced by the id saved under this name.
        status: The expected status.
        save_as: The name under which to save the id in the response.
        key: The idempotency key.
        if_match: The value of If-Match.
        loses: The DynamoDB operation whose first response is lost, so that it is retried.
        after_seconds: The time to wait before the request.
    """

    operation: str
    fields: dict[str, Any] = attrs.field(factory=dict)
    status: int = 200
    save_as: str | None = None
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


def reserve(name, quantity=10, of=HAMMER, ttl_seconds=60):
    """Reserve units of an item."""
    return Call(
        "create_reservation",
        {"lines": [{**of, "quantity": quantity}], "ttl_seconds": ttl_seconds},
        201,
        save_as=name,
    )


SCENARIO = [
    # Create: normal, initially low, with an idempotency key, a replay; with lost responses.
    Call("create_item", item("H"), 201, save_as="hammer"),
    Call("create_item", item("N"), 201, save_as="nail", loses="PutItem"),
    Call("create_item", item("N", location="depot"), 201, save_as="depot"),
    Call("create_item", item("L", quantity=0, reorder_point=5), 201, save_as="low", loses="TransactWriteItems"),
    Call("create_item", item("K"), 201, key="create"),
    Call("create_item", item("K"), 201, key="create"),
    # Get: with and without the SKU.
    Call("get_item", HAMMER),
    Call("get_item", {"item_id": "{hammer}"}),
    Call("get_item", {**HAMMER, "at": "2026-06-01T00:00:00Z"}),
    Call("get_stock", {"sku": "N"}),
    # Update: nothing, a field, the stock, to low stock and back, with a lost response, below the reserved units.
    Call("update_item", HAMMER),
    Call("update_item", {**HAMMER, "name": "Claw hammer"}),
    Call("update_item", {**HAMMER, "name": "Claw hammer"}, loses="UpdateItem"),
    Call("update_item", {**HAMMER, "name": "Claw hammer"}, 412, if_match='W/"1-0"'),
    Call("update_item", HAMMER, key="nothing"),
    Call("update_item", {**HAMMER, "name": "Hammer"}, key="edit"),
    Call("update_item", {**HAMMER, "name": "Hammer"}, key="edit", loses="TransactWriteItems"),
    Call("update_item", {**HAMMER, "quantity": 4, "reorder_point": 5}, loses="TransactWriteItems"),
    Call("update_item", {**HAMMER, "quantity": 10}),
    Call("update_item", {**HAMMER, "reorder_point": None}, loses="UpdateItem"),
    reserve("u"),
    Call("update_item", {**HAMMER, "quantity": 1}, after_seconds=61),
    Call("update_item", {**HAMMER, "quantity": 10}),
    # List: by each index, without an index, with the low-stock marker of a deleted item.
    *(Call("list_items", fields) for fields in (
        {}, {"category": "tools"}, {"status": "available"}, {"sku": "N"}, {"low_stock": "true"},
    )),
    Call("delete_item", {"item_id": "{low}", "sku": "L"}, key="delete"),
    Call("delete_item", {"item_id": "{low}", "sku": "L"}, key="delete"),
    Call("list_items", {"low_stock": "true"}),
    # Adjust and count: like the update.
    *(call for operation, ups, downs in (
        ("adjust_stock", {"delta": 1, "reason": "r"}, {"delta": -4, "reason": "r"}),
        ("count_stock", {"quantity": 10}, {"quantity": 7}),
    ) for call in (
        Call("update_item", {**HAMMER, "quantity": 9, "reorder_point": 8}),
        Call(operation, {**HAMMER, **downs}, 201, loses="TransactWriteItems"),
        Call("update_item", {**HAMMER, "quantity": 8}),
        Call(operation, {**HAMMER, **ups}, 201, key=operation),
        Call(operation, {**HAMMER, **ups}, 201, key=operation),
        Call("update_item", {**HAMMER, "quantity": 10, "reorder_point": None}),
        reserve(operation, quantity=8),
        Call(operation, {**HAMMER, **downs}, 201, after_seconds=61),
        Call("update_item", {**HAMMER, "quantity": 10}),
    )),
    # Movements: of an item with movements, and of one without.
    Call("list_movements", HAMMER),
    Call("list_movements", DEPOT),
    # Transfer: like the update.
    Call("update_item", {**NAIL, "quantity": 10, "reorder_point": 8}),
    Call("transfer_stock", {"from": NAIL, "to": DEPOT, "quantity": 5}, 201, loses="TransactWriteItems"),
    Call("transfer_stock", {"from": DEPOT, "to": NAIL, "quantity": 5}, 201, key="transfer"),
    Call("transfer_stock", {"from": DEPOT, "to": NAIL, "quantity": 5}, 201, key="transfer"),
    reserve("t", of=NAIL),
    Call("transfer_stock", {"from": NAIL, "to": DEPOT, "quantity": 5}, 201, after_seconds=61),
    # Reserve: to low stock, with a lost response, with an idempotency key, when all units are reserved but due.
    Call("update_item", {**HAMMER, "quantity": 10, "reorder_point": 8}),
    Call("update_item", {**NAIL, "quantity": 10, "reorder_point": None}),
    Call("create_reservation", {"lines": LINES}, 201, save_as="r1", loses="TransactWriteItems"),
    Call("create_reservation", {"lines": LINES}, 201, save_as="r2", key="reserve"),
    Call("create_reservation", {"lines": LINES}, 201, key="reserve"),
    Call("get_reservation", {"reservation_id": "{r1}"}),
    Call("list_reservations"),
    Call("list_reservations", HAMMER),
    # Extend, release and commit: each twice, with a lost response and with an idempotency key.
    Call("extend_reservation", {"reservation_id": "{r1}", "ttl_seconds": 3000}, loses="TransactWriteItems"),
    Call("extend_reservation", {"reservation_id": "{r1}", "ttl_seconds": 4000}, key="extend"),
    Call("release_reservation", {"reservation_id": "{r1}"}, loses="TransactWriteItems"),
    Call("release_reservation", {"reservation_id": "{r1}"}, key="release"),
    Call("release_reservation", {"reservation_id": "{r2}"}, key="release-2"),
    Call("extend_reservation", {"reservation_id": "{r1}", "ttl_seconds": 4000}, 409, key="extend-2"),
    Call("commit_reservation", {"reservation_id": "{r1}"}, 409, key="commit-1"),
    reserve("r3", quantity=1),
    reserve("r4", quantity=1),
    Call("commit_reservation", {"reservation_id": "{r3}"}, loses="TransactWriteItems"),
    Call("commit_reservation", {"reservation_id": "{r4}"}, key="commit"),
    Call("release_reservation", {"reservation_id": "{r4}"}, 409, key="release-4"),
    Call("update_item", {**HAMMER, "quantity": 10, "reorder_point": 8}),
    reserve("r5", quantity=5),
    Call("create_reservation", {"lines": [{**HAMMER, "quantity": 10}]}, 201, save_as="r6", after_seconds=61),
    # Batch: creates and updates, to low stock, with an idempotency key, when all units are reserved but due.
    Call("batch_items", {"items": [item("B1", reorder_point=20), {**NAIL, "quantity": 4, "reorder_point": 5}]},
        loses="TransactWriteItems"),
    Call("batch_items", {"items": [item("B2"), {**NAIL, "name": "Nail", "reorder_point": None}]}, key="batch"),
    Call("batch_items", {"items": [item("B2"), {**NAIL, "name": "Nail", "reorder_point": None}]}, key="batch"),
    Call("batch_items", {"items": [item("B3"), {**NAIL, "name": "Nails"}], "mode": "per_row"}, key="rows"),
    Call("batch_items", {"items": [item("B4"), NAIL]}),
    Call("update_item", {**NAIL, "quantity": 10}),
    reserve("b", of=NAIL, ttl_seconds=4000),
    Call("batch_items", {"items": [{**NAIL, "quantity": 1}]}, after_seconds=4001),
    # Schedule: a due reservation, with a lost response.
    Call("update_item", {**NAIL, "quantity": 10, "reorder_point": 8}),
    reserve("e", of=NAIL, quantity=5),
    Call("expire_reservations", after_seconds=61, loses="TransactWriteItems"),
    # Delete: with a false condition, with a lost response, with a due reservation of the item.
    Call("delete_item", HAMMER, 412, if_match='W/"1-0"'),
    Call("delete_item", DEPOT, loses="TransactWriteItems"),
    reserve("d"),
    Call("delete_item", HAMMER, after_seconds=61),
]  # fmt: skip


class Recorder:
    """Records the actions, by table or index, that the current operation calls."""

    def __init__(self):
        self.needs = defaultdict(Needs)
        self.failures = defaultdict(list)
        self.operation = None

    def record(self, **needs):
        self.needs[self.operation] |= Needs(**needs)

    def on_call(self, operation, params):
        (self.on_ssm if operation == "GetParameter" else self.on_dynamodb)(operation, params)

    def on_dynamodb(self, operation, params):
        if operation == "TransactWriteItems":
            for row in params["TransactItems"]:
                [(kind, action)] = row.items()
                self._record_action(action["TableName"], IN_TRANSACTION[kind])
        elif operation in ("BatchGetItem", "BatchWriteItem"):
            for table in params["RequestItems"]:
                self._record_action(table, operation)
        elif "IndexName" in params:
            assert operation == "Query", "only queries of an index can be granted"
            self.record(queried=[INDEXES[params["IndexName"]]])
        else:
            self._record_action(params["TableName"], operation)

    def _record_action(self, table, action):
        self.record(**{{TABLE: "items", LEDGER_TABLE: "ledger"}[table]: [action]})

    def on_ssm(self, operation, params):
        assert (operation, params["Name"]) == ("GetParameter", PARAMETER)
        self.record(limits=True)


class Clock:
    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self):
        # Every call returns a later time, because reservations are ordered by time.
        self.now += timedelta(microseconds=1)
        return self.now


class Runner:
    """Runs the scenario through the handlers, on an emulated DynamoDB."""

    def __init__(self, wire, recorder):
        self.wire = wire
        self.recorder = recorder
        self.clock = Clock()
        self.saved = {}
        repository = DynamoDBRepository(wire, table=TABLE, pause=lambda _seconds: None)
        # Without a cache, each read of the limits is a call.
        limits = SsmLimits(PARAMETER, transport=wire, ttl_seconds=0)
        self.inventory = Inventory(repository, limits=limits, clock=self.clock)

    def run(self, call):
        self.recorder.operation = call.operation
        self.clock.now += timedelta(seconds=call.after_seconds)
        with lost_answer(self.wire, operation=call.loses) if call.loses else nullcontext():
            response = self._response(call)
        assert response["statusCode"] == call.status, response["body"]
        if call.save_as:
            [created] = [
                value for value in json.loads(response["body"]).values() if isinstance(value, dict)
            ]
            self.saved[call.save_as] = created.get("item_id") or created["reservation_id"]

    def _response(self, call):
        if call.operation not in BY_NAME:
            from inventory.commands import ExpireReservations

            self.inventory.expire_reservations(ExpireReservations())
            self.inventory.repository.purge(Timestamp.of(self.clock()))
            return {"statusCode": 200}
        route = BY_NAME[call.operation]
        fields = self._filled(call.fields)
        event = {"pathParameters": {name: fields.pop(name) for name in route.path_fields}}
        event |= (
            {"body": json.dumps(fields)} if route.has_body else {"queryStringParameters": fields}
        )
        headers = {"Idempotency-Key": call.key, "If-Match": call.if_match}
        event["headers"] = {name: value for name, value in headers.items() if value}
        return make_handler(route, lambda: App(self.inventory))(event, None)

    def _filled(self, value):
        if isinstance(value, dict):
            return {name: self._filled(element) for name, element in value.items()}
        if isinstance(value, list):
            return [self._filled(element) for element in value]
        return self.saved[value[1:-1]] if isinstance(value, str) and value[0] == "{" else value


@pytest.fixture(scope="module")
def recorded():
    """The recording of the scenario."""
    recorder = Recorder()
    with mock_aws():
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        client = session.client("dynamodb")
        for schema, name in ((ITEMS, TABLE), (LEDGER, LEDGER_TABLE)):
            client.create_table(**create_table_arguments(schema, name))
        session.client("ssm").put_parameter(Name=PARAMETER, Value="{}", Type="String")
        wire = Wire(BotoTransport(session))
        wire.before.append(recorder.on_call)
        runner = Runner(wire, recorder)
        for call in SCENARIO:
            if call.operation not in OPERATIONS:
                continue
            try:
                runner.run(call)
            except Exception as error:  # noqa: BLE001 - the test of the operation reports it
                recorder.failures[call.operation].append(f"{call}: {error!r}")
    return recorder


def listed(needs):
    """Return *needs* as a set of texts, for readable failures."""
    return {
        *(f"items {action}" for action in needs.items),
        *(f"ledger {action}" for action in needs.ledger),
        *(f"{index.name} Query" for index in needs.queried),
        *(["limits"] if needs.limits else []),
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_is_granted_exactly_the_calls_it_makes(recorded, operation):
    """A missing grant fails in production; an unused grant only helps an attacker."""
    called, granted = listed(recorded.needs[operation]), listed(needs_of(operation))

    assert recorded.failures[operation] == []
    assert (called - granted, granted - called) == (set(), set()), "(not granted, not called)"


def test_grants_have_exactly_the_operations_of_the_stack():
    """A removed route must be removed from the grants."""
    assert set(NEEDS) == {*OPERATIONS, PUBLISH_EVENTS}


@pytest.mark.parametrize("name", ["get_item", "list_items", "list_movements", "get_reservation"])
def test_query_has_no_permission_to_write(name):
    """Its actions on both tables only read."""
    needs = needs_of(name)

    assert needs.items <= {"GetItem", "BatchGetItem", "Query", "Scan"}
    assert needs.ledger <= {"GetItem", "Query"}


def test_only_the_list_may_scan():
    """All other operations read by key or index."""
    assert [name for name, needs in NEEDS.items() if "Scan" in needs.items | needs.ledger] == [
        "list_items"
    ]


def test_operation_without_grants_is_rejected():
    """The synthesis of a new route fails until deploy/grants.py has a row for it."""
    with pytest.raises(UnknownNeedsError, match=r"^NEEDS in .* 'count_sheep'$"):
        needs_of("count_sheep")
