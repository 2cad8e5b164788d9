"""Two servers on one storage behave like one."""

import random
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

import httpx
import pytest

from tests.linearizable.checker import ON_RESERVATIONS, Operation, State, is_linearizable
from tests.local_server import MUG, created, needs_signals, serving
from tests.storage.test_dynamodb import create_tables
from tests.wire import shared_client

pytestmark = needs_signals

CLIENTS = 4
# How often each is asked, in a hundred.
VERBS = {
    "adjust": 30,
    "count": 8,
    "get": 16,
    "reserve": 16,
    "commit": 4,
    "commit_part": 8,
    "release": 8,
    "extend": 8,
    "delete": 2,
}
# Nothing was written; any other answer without a level may be an effect that was not acknowledged.
WITHOUT_EFFECT = {"contention", "storage_throttled"}


class Client:
    """Sends random requests about items, one at a time, and records the responses."""

    def __init__(self, url, seed, items, reservations):
        self.http = httpx.Client(base_url=url, timeout=30)
        self.random = random.Random(seed)  # noqa: S311 - the same requests each time
        self.items = items
        self.reservations = reservations
        self.seen = defaultdict(list)

    def run(self, count):
        with self.http:
            for _ in range(count):
                [verb] = self.random.choices(list(VERBS), VERBS.values())
                self.ask(self.random.choice(self.items), verb)

    def ask(self, item, verb):
        known = self.reservations[item["item_id"]]
        if verb in ON_RESERVATIONS:
            if not known:
                return
            argument = self.random.choice(known)
            if verb == "commit_part":
                argument = (argument, self.random.randint(1, 2))
        else:
            argument = {
                "adjust": self.random.choice([-2, -1, 1, 2]),
                "get": None,
                "delete": None,
            }.get(verb, self.random.randint(1, 4))
        began = time.monotonic()
        response = self.send(item, verb, argument)
        ended = time.monotonic()
        body = response.json()
        if body.get("code") in WITHOUT_EFFECT:
            return
        if verb == "reserve":
            # Who is refused has no ID; nobody else has this one.
            reservation_id = body.get("reservation", {}).get("reservation_id", f"none {began}")
            argument = (reservation_id, argument)
        operation = Operation(verb, argument, self.seen_in(response), began, ended)
        self.seen[item["item_id"]].append(operation)
        if operation.answer == "held" and verb == "reserve":
            known.append(argument[0])

    def send(self, item, verb, argument):
        path, key = f"/items/{item['item_id']}", {"sku": item["sku"]}
        if verb in ("get", "delete"):
            method = "GET" if verb == "get" else "DELETE"
            answer = self.http.request(method, path, params=key)
        elif verb == "adjust":
            fields = {**key, "delta": argument, "reason": "test"}
            answer = self.http.post(f"{path}/adjustments", json=fields)
        elif verb == "count":
            answer = self.http.post(f"{path}/counts", json={**key, "quantity": argument})
        elif verb == "reserve":
            line = {**key, "item_id": item["item_id"], "quantity": argument}
            answer = self.http.post("/reservations", json={"lines": [line]})
        elif verb == "commit_part":
            reservation_id, quantity = argument
            fields = {"lines": [{**key, "item_id": item["item_id"], "quantity": quantity}]}
            headers = {"Idempotency-Key": str(uuid4())}
            answer = self.http.post(
                f"/reservations/{reservation_id}/commit", json=fields, headers=headers
            )
        else:
            fields = {"ttl_seconds": 3600} if verb == "extend" else None
            answer = self.http.post(f"/reservations/{argument}/{verb}", json=fields)
        return answer

    @staticmethod
    def seen_in(response):
        body = response.json()
        if response.status_code >= 500:
            return None
        if "item" in body:
            # An ETag is "<version>-<seq>".
            seq = int(response.headers["ETag"].strip('"').partition("-")[2])
            return (body["item"]["quantity"], body["item"]["reserved"], seq)
        if "deleted_item" in body:
            return "deleted"
        return body["reservation"]["state"] if "reservation" in body else body["code"]


@pytest.fixture
def sqlite(tmp_path):
    """The options and settings of servers on one file."""
    return ("--db", str(tmp_path / "db")), {}


@pytest.fixture
def dynamodb_local(dynamodb_local_endpoint):
    """The options and settings of servers on two tables of DynamoDB Local."""
    table = f"inventory-{uuid4()}"
    client = shared_client(dynamodb_local_endpoint)
    create_tables(client, table, f"{table}-ledger")
    yield ("--dynamodb", "--table", table), {"AWS_ENDPOINT_URL": dynamodb_local_endpoint}
    for name in (table, f"{table}-ledger"):
        client.delete_table(TableName=name)


@pytest.mark.parametrize(
    ("storage", "requests"),
    [
        pytest.param("sqlite", 25, id="sqlite"),
        pytest.param("sqlite", 400, id="sqlite in a long run", marks=pytest.mark.slow),
        pytest.param("dynamodb_local", 100, id="dynamodb_local", marks=pytest.mark.dynamodb_local),
    ],
)
def test_two_servers_on_one_storage_are_linearizable(request, tmp_path, storage, requests):
    """For every item, some order explains all responses."""
    options, environ = request.getfixturevalue(storage)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(tmp_path / f"log {n}", *options, **environ))
            for n in range(2)
        ]
        with httpx.Client(base_url=servers[0].url) as client:
            items = [created(client, sku=f"MUG-{n}", quantity=5) for n in range(2)]
        reservations = defaultdict(list)
        clients = [Client(servers[n % 2].url, n, items, reservations) for n in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(lambda client: client.run(requests), clients))

    for item in items:
        history = [it for client in clients for it in client.seen[item["item_id"]]]
        assert len({it.verb for it in history}) > 3
        assert is_linearizable(history, State(on_hand=MUG["quantity"]))
