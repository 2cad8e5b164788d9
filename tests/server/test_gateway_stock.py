"""Stock over a socket: retries, conditional requests, and concurrent buyers."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from threading import Barrier

import httpx
import pytest

from inventory.commands import CreateItem, CreateReservation, LineRequest, ListItems
from inventory.service import Inventory
from inventory_adapters.storage.sqlite import SqliteRepository
from tests.conftest import FAKE_AWS
from tests.local_server import INVENTORY, MUG, created, needs_signals, serving

pytestmark = needs_signals

BUYERS = 32
UNITS = 10


STORAGES = ["memory", "sqlite", pytest.param("dynamodb", marks=pytest.mark.dynamodb_local)]


@pytest.fixture(scope="module", params=STORAGES)
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    options = {"memory": ["--memory"], "sqlite": ["--db", str(folder / "db")]}.get(request.param)
    environ = {}
    if options is None:
        endpoint = request.getfixturevalue("dynamodb_local_endpoint")
        environ = {**FAKE_AWS, "AWS_ENDPOINT_URL_DYNAMODB": endpoint}
        options = ["--dynamodb", "--table", "inventory-server"]
        create = [INVENTORY, "tables", "create", *options]
        subprocess.run(create, env={**os.environ, **environ}, check=True, stdout=subprocess.DEVNULL)
    with serving(folder / "log", *options, **environ) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False) as made:
        yield made


def ref(item):
    return {"item_id": item["item_id"], "sku": item["sku"]}


def line(item, quantity):
    return {**ref(item), "quantity": quantity}


def keyed(key):
    return {"Idempotency-Key": key}


def now(client, item):
    return client.get(f"/items/{item['item_id']}", params={"sku": item["sku"]}).json()["item"]


def history(client, item):
    """Return the item's ledger, newest first."""
    query = {"sku": item["sku"], "page_size": 50}
    body = client.get(f"/items/{item['item_id']}/movements", params=query).json()
    assert "next_page_token" not in body
    return body["movements"]


class TestIdempotency:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/items", lambda item: MUG),
            ("/items/{}/adjustments", lambda item: {"sku": "MUG-1", "delta": 2, "reason": "found"}),
            ("/items/{}/counts", lambda item: {"sku": "MUG-1", "quantity": 9}),
            ("/reservations", lambda item: {"lines": [line(item, 1)]}),
            ("/items/batch", lambda item: {"items": [MUG, {**ref(item), "name": "Cup"}]}),
        ],
    )
    def test_repeated_request_gets_the_first_response(self, client, path, body):
        """A retry with the same key gets the same bytes and ETag, and has no second effect."""
        item = created(client)
        request = {"url": path.format(item["item_id"]), "json": body(item)}
        headers = keyed(f"key of {path} {item['item_id']}".replace(" ", "-"))

        first = client.post(**request, headers=headers)
        before = (now(client, item), history(client, item))
        again = client.post(**request, headers=headers)

        assert first.is_success, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers.get("ETag") == first.headers.get("ETag")
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (now(client, item), history(client, item)) == before

    def test_key_of_another_request_is_rejected(self, client):
        """A key cannot be used for two requests; the first effect remains."""
        item = created(client)
        path = f"/items/{item['item_id']}/adjustments"
        body = {"sku": "MUG-1", "delta": -1, "reason": "sold"}
        client.post(path, json=body, headers=keyed(item["item_id"]))

        answer = client.post(path, json={**body, "delta": -2}, headers=keyed(item["item_id"]))

        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert now(client, item)["quantity"] == 4

    def test_per_row_retry_replays_applied_rows_and_retries_rejected_ones(self, client):
        """A retried batch applies the rejected rows, and nothing twice."""
        item = created(client)
        reserved = client.post("/reservations", json={"lines": [line(item, 5)]}).json()
        batch = {"mode": "per_row", "items": [MUG, {**ref(item), "quantity": 0}]}
        headers = keyed(f"batch-{item['item_id']}")

        first = client.post("/items/batch", json=batch, headers=headers).json()["results"]
        path = f"/reservations/{reserved['reservation']['reservation_id']}/release"
        client.post(path)
        again = client.post("/items/batch", json=batch, headers=headers).json()["results"]

        assert [row["status"] for row in first] == [201, 409]
        assert [row["status"] for row in again] == [201, 200]
        assert again[0] == first[0]


class TestPreconditions:
    def test_edit_of_a_modified_item_is_rejected(self, client):
        """The error has the current version; a movement of stock does not prevent an edit of details."""
        item = created(client)
        path = f"/items/{item['item_id']}"
        adjustment = {"sku": "MUG-1", "delta": 1, "reason": "found"}
        client.post(f"{path}/adjustments", json=adjustment)
        old = {"If-Match": '"1-0"'}

        counted = client.put(path, json={"sku": "MUG-1", "quantity": 3}, headers=old)
        renamed = client.put(path, json={"sku": "MUG-1", "name": "Cup"}, headers=old)
        late = client.put(path, json={"sku": "MUG-1", "name": "Mug"}, headers=old)
        deleted = client.delete(path, params={"sku": "MUG-1"}, headers=old)

        assert counted.status_code == 412
        assert (counted.json()["version"], counted.json()["seq"]) == (1, 1)
        assert (renamed.status_code, renamed.headers["ETag"]) == (200, '"2-1"')
        assert (late.status_code, late.json()["version"]) == (412, 2)
        assert deleted.status_code == 412

    def test_if_match_on_other_endpoints_is_rejected(self, client):
        """If-Match is never ignored."""
        item = created(client)

        answer = client.post(
            f"/items/{item['item_id']}/adjustments",
            json={"sku": "MUG-1", "delta": 1, "reason": "found"},
            headers={"If-Match": "*"},
        )

        assert (answer.status_code, answer.json()["code"]) == (400, "if_match_not_supported")


def test_reservation_can_be_extended_and_committed(client):
    """Held units cannot be sold, an extension lasts longer, and committed units leave."""
    item = created(client)
    made = client.post("/reservations", json={"lines": [line(item, 3), line(item, 1)]})
    path = f"/reservations/{made.json()['reservation']['reservation_id']}"

    refused = client.post("/reservations", json={"lines": [line(item, 2)]})
    extended = client.post(f"{path}/extend", json={"ttl_seconds": 3600}).json()["reservation"]
    committed = client.post(f"{path}/commit")
    twice = client.post(f"{path}/commit")
    released = client.post(f"{path}/release")

    assert made.json()["reservation"]["lines"] == [line(item, 4)]
    assert (refused.status_code, refused.json()["available"]) == (409, 1)
    assert extended["expires_at"] > made.json()["reservation"]["expires_at"]
    assert committed.json()["reservation"]["state"] == "committed"
    assert twice.content == committed.content
    assert (released.status_code, released.json()["code"]) == (409, "reservation_closed")
    assert client.get(path).json()["reservation"] == committed.json()["reservation"]
    assert [entry["kind"] for entry in history(client, item)] == ["commit", "reserve", "opening"]
    assert now(client, item) | {"quantity": 1, "reserved": 0, "available": 1} == now(client, item)


def test_transfer_moves_units_between_locations(client):
    """Both items are in the response, and both ledgers have a movement."""
    store, warehouse = created(client), created(client, location="warehouse")

    sides = {"from": ref(warehouse), "to": ref(store)}
    answer = client.post("/transfers", json={**sides, "quantity": 2, "reference": "weekend"})

    assert answer.status_code == 201
    assert (answer.json()["from"]["quantity"], answer.json()["to"]["quantity"]) == (3, 7)
    [out, _], [into, _] = history(client, warehouse), history(client, store)
    assert (out["kind"], into["kind"]) == ("transfer_out", "transfer_in")
    assert out["reference"] == into["reference"] == "weekend"


def test_ledger_is_paginated(client):
    """Newest first, up to the opening entry, also after the item was deleted."""
    item = created(client)
    path = f"/items/{item['item_id']}"
    for delta in (1, -2, 3):
        adjustment = {"sku": "MUG-1", "delta": delta, "reason": "test"}
        assert client.post(f"{path}/adjustments", json=adjustment).status_code == 201
    client.delete(path, params={"sku": "MUG-1"})

    deltas, token = [], {}
    while token is not None:
        query = {"sku": "MUG-1", "page_size": 2, **token}
        page = client.get(f"{path}/movements", params=query).json()
        deltas += [entry["delta_on_hand"] for entry in page["movements"]]
        token = {"page_token": page["next_page_token"]} if "next_page_token" in page else None

    assert deltas == [-7, 3, -2, 1, 5]


class TestConcurrency:
    """More buyers than units, all at the same moment, each on its own connection."""

    @staticmethod
    def adjustment(item):
        body = {"sku": item["sku"], "delta": -1, "reason": "sold"}
        return f"/items/{item['item_id']}/adjustments", body

    @staticmethod
    def reservation(item):
        return "/reservations", {"lines": [line(item, 1)]}

    @pytest.fixture(params=["adjustment", "reservation"])
    def purchase(self, request):
        return getattr(self, request.param)

    def test_buyers_never_get_more_than_there_is(self, server, client, purchase):
        """Ten units make ten sales, every other buyer gets a 409, and the ledger adds up."""
        item = created(client, quantity=UNITS)

        answers = send_at_once(server, [(purchase(item), {}) for _ in range(BUYERS)])

        sold = [body for status, _, body in answers if status == 201]
        refused = [json.loads(body) for status, _, body in answers if status == 409]
        assert (len(sold), len(refused)) == (UNITS, BUYERS - UNITS)
        assert {body["code"] for body in refused} == {"insufficient_stock"}
        assert {body["available"] for body in refused} == {0}
        self.check_ledger(client, item)

    def test_concurrent_requests_with_one_key_get_one_response(self, server, client, purchase):
        """Two concurrent requests with the same key have one effect and one response."""
        item = created(client, quantity=UNITS)
        keys = [f"{item['item_id']}-{number}" for number in range(BUYERS)]

        answers = send_at_once(
            server, [(purchase(item), keyed(key)) for key in keys for _ in range(2)]
        )

        sold = 0
        for first, second in zip(answers[::2], answers[1::2], strict=True):
            statuses = {first[0], second[0]}
            assert len(statuses) == 1, (first, second)
            if statuses == {201}:
                sold += 1
                replayed = [headers.get("Idempotent-Replayed") for _, headers, _ in (first, second)]
                assert sorted(replayed, key=str) == [None, "true"]
                assert first[2] == second[2]
                assert first[1].get("ETag") == second[1].get("ETag")
            else:
                assert {json.loads(it[2])["code"] for it in (first, second)} == {
                    "insufficient_stock"
                }
        assert sold == UNITS
        self.check_ledger(client, item)

    @staticmethod
    def check_ledger(client, item):
        """Check that the ledger has the opening entry and one movement per sale, without gaps."""
        entries = history(client, item)
        left = now(client, item)
        assert [entry["seq"] for entry in entries] == [*range(UNITS, -1, -1)]
        assert sum(entry["delta_on_hand"] for entry in entries) == left["quantity"]
        assert sum(entry["delta_reserved"] for entry in entries) == left["reserved"]
        assert (left["available"], left["status"]) == (0, "out_of_stock")


def send_at_once(server, requests):
    """Send all *requests*, ((path, body), headers) each, at the same moment; return (status, headers, body) of each."""
    ready = Barrier(len(requests))

    def send(request):
        (path, body), headers = request
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
            connection.connect()
            ready.wait(30)
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(send, requests))


class TestSweeper:
    @pytest.fixture
    def db(self, tmp_path):
        """A database with a reservation and an idempotency key that expired yesterday."""
        with SqliteRepository(tmp_path / "db") as repository:
            then = datetime.now(UTC) - timedelta(days=2)
            inventory = Inventory(repository, clock=lambda: then)
            item = inventory.create_item(CreateItem(**MUG, idempotency_key="once"))
            wanted = LineRequest(item_id=item.item_id, sku=item.sku, quantity=2)
            inventory.create_reservation(CreateReservation(lines=(wanted,)))
        return tmp_path / "db"

    @staticmethod
    def served(db, *options):
        """Return the reserved units after the server has run, and its log lines."""
        log = db.with_name("log")
        with serving(log, "--db", str(db), *options) as server:
            assert server.stop() == 0
        with SqliteRepository(db) as repository:
            [item] = Inventory(repository).list_items(ListItems()).items
        return item.level.reserved, [json.loads(line) for line in log.read_text().splitlines()]

    def test_server_sweeps_at_once(self, db):
        """Due reservations are expired when the server starts, with one log line."""
        reserved, log = self.served(db)

        assert reserved == 0
        [line] = log
        counts = {"expired": 1, "failed": 0, "purged": 1}
        assert line | {"message": "swept", "level": "INFO", **counts} == line

    def test_interval_of_zero_disables_sweeps(self, db):
        """With an interval of 0, the server does not sweep."""
        assert self.served(db, "--sweep-seconds", "0") == (2, [])
