"""The Lambda handlers on moto, configured by environment variables."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import attrs
import pytest

from inventory import CreateItem, CreateReservation, LineRequest
from inventory.errors import StorageUnavailableError
from inventory_adapters import lambda_entry
from inventory_adapters.aws import http_transport
from inventory_adapters.http import api_gateway
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments
from tests.wire import forget_all, shared_client, shared_transport

TENT = {"sku": "TENT-2", "name": "Tent", "quantity": 5, "category": "tents"}


@pytest.fixture(params=[None, "boto3"], ids=["http", "boto3"])
def client(request, monkeypatch, moto_server):
    """A client of a DynamoDB with both tables; the environment has little more than TABLE_NAME."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    made = shared_client(moto_server)
    made.create_table(**create_table_arguments(ITEMS, "stock"))
    made.create_table(**create_table_arguments(LEDGER, "stock-ledger"))
    monkeypatch.setenv("TABLE_NAME", "stock")
    if request.param is not None:
        monkeypatch.setenv("TRANSPORT", request.param)
    # A busy machine may need longer than the time-outs, and a retry is one more call.
    monkeypatch.setattr(http_transport, "HttpTransport", partial(shared_transport, moto_server))
    lambda_entry._container.cache_clear()
    yield made
    lambda_entry._container.cache_clear()
    forget_all()


def ask(operation, body=None, *, path=None, query=None, headers=None):
    event = {
        "pathParameters": path,
        "queryStringParameters": query,
        "headers": headers,
        "body": None if body is None else json.dumps(body),
    }
    result = getattr(lambda_entry, operation)(event, SimpleNamespace(aws_request_id="r"))
    return result["statusCode"], json.loads(result["body"]), result["headers"]


def test_every_route_has_its_entry_and_every_entry_its_route():
    """A function is named after its route; only the sweeper is called by a schedule, and the publisher by streams."""
    others = {"expire_reservations", "publish_events"}
    assert {route.name for route in ROUTES} == set(lambda_entry.__all__) - others


def test_an_item_lives_from_post_to_delete(client):
    """With TABLE_NAME alone in the environment."""
    status, created, _ = ask("create_item", TENT)
    item = created["item"]
    path = {"item_id": item["item_id"]}
    assert status == 201

    assert ask("get_item", path=path)[1] == {"item": item}
    assert (
        ask("update_item", {"sku": "TENT-2", "name": "Big tent"}, path=path)[1]["item"]["version"]
        == 2
    )
    assert (
        ask("update_item", {"sku": "TENT-2", "quantity": 9}, path=path)[1]["item"]["quantity"] == 9
    )
    assert ask("list_items", query={"category": "tents"})[1]["count"] == 1
    assert ask("delete_item", path=path, query={"sku": "TENT-2"})[0] == 200
    assert ask("get_item", path=path)[0] == 404


def test_stock_is_moved_reserved_and_explained(client):
    """Every stock operation once, through its own handler."""
    item = ask("create_item", TENT)[1]["item"]
    other = ask("create_item", {**TENT, "location": "B", "quantity": 0})[1]["item"]
    path = {"item_id": item["item_id"]}
    ref, to = (
        {"item_id": item["item_id"], "sku": "TENT-2"},
        {"item_id": other["item_id"], "sku": "TENT-2"},
    )

    assert (
        ask("adjust_stock", {"sku": "TENT-2", "delta": 3, "reason": "delivery"}, path=path)[0]
        == 201
    )
    assert ask("count_stock", {"sku": "TENT-2", "quantity": 7}, path=path)[0] == 201
    assert ask("transfer_stock", {"from": ref, "to": to, "quantity": 2})[0] == 201
    status, made, _ = ask("create_reservation", {"lines": [{**ref, "quantity": 4}]})
    assert status == 201
    reservation = {"reservation_id": made["reservation"]["reservation_id"]}
    assert ask("get_reservation", path=reservation)[1]["reservation"]["state"] == "held"
    assert ask("extend_reservation", {"ttl_seconds": 3600}, path=reservation)[0] == 200
    status, refused, _ = ask("create_reservation", {"lines": [{**ref, "quantity": 2}]})
    assert (status, refused["code"], refused["available"]) == (409, "insufficient_stock", 1)
    assert ask("commit_reservation", path=reservation)[1]["reservation"]["state"] == "committed"
    assert ask("release_reservation", {}, path=reservation)[0] == 409

    movements = ask("list_movements", path=path, query={"sku": "TENT-2"})[1]["movements"]
    assert [one["kind"] for one in movements] == [
        "commit",
        "reserve",
        "transfer_out",
        "count",
        "adjust",
        "opening",
    ]
    assert [one["seq"] for one in movements] == [5, 4, 3, 2, 1, 0]
    assert lambda_entry.expire_reservations({}, None) == {"expired": 0, "failed": 0}


def test_a_replayed_request_gets_the_first_answer_byte_for_byte(client):
    """Status, body and ETag are equal, and a header marks the replay."""
    event = {"body": json.dumps(TENT), "headers": {"Idempotency-Key": "order-1"}}

    first, again = lambda_entry.create_item(event, None), lambda_entry.create_item(event, None)

    assert (first["statusCode"], first["body"]) == (again["statusCode"], again["body"])
    assert first["headers"]["ETag"] == again["headers"]["ETag"]
    assert "Idempotent-Replayed" not in first["headers"]
    assert again["headers"]["Idempotent-Replayed"] == "true"
    status, body, _ = ask(
        "create_item", {**TENT, "quantity": 6}, headers={"idempotency-key": "order-1"}
    )
    assert (status, body["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_a_key_that_is_none_is_refused(client, key):
    """1 to 255 visible ASCII characters."""
    status, body, _ = ask("create_item", TENT, headers={"idempotency-key": key})

    assert (status, body["details"][0]["field"]) == (400, "idempotency_key")


def test_a_batch_answers_row_by_row(client):
    """Compact, with a status for each."""
    status, body, _ = ask("batch_items", {"items": [TENT, {**TENT, "sku": "B"}]})
    assert (status, [row["status"] for row in body["results"]]) == (200, [201, 201])

    status, body, _ = ask(
        "batch_items", {"items": [TENT, {"item_id": "x", "sku": "y", "name": "z"}]}
    )
    assert (status, body["code"]) == (409, "batch_refused")
    assert [(row["status"], row["code"]) for row in body["results"]] == [
        (409, "not_applied"),
        (404, "item_not_found"),
    ]

    status, body, _ = ask("batch_items", {"items": [TENT] * 26})
    assert (status, body["code"]) == (413, "batch_too_large")


@pytest.mark.parametrize(
    ("settings", "logged"),
    [
        ({"TABLE_NAME": ""}, "TABLE_NAME is not set"),
        ({"TRANSPORT": "carrier pigeon"}, "TRANSPORT must be http or boto3"),
        ({"INDEX_PROJECTION": "some"}, "INDEX_PROJECTION must be all or keys"),
        ({"TRANSPORT": "boto3", "AWS_PROFILE": "nobody"}, "(nobody)"),
    ],
)
def test_every_handler_answers_503_to_a_wrong_setting(monkeypatch, caplog, settings, logged):
    """The sentence that names the setting is in the log, and not in the answer."""
    for name, value in ({"TABLE_NAME": "stock"} | settings).items():
        monkeypatch.setenv(name, value)

    answers = [ask(route.name, {}) for route in ROUTES]

    assert {(status, body["code"]) for status, body, _ in answers} == {(503, "storage_unavailable")}
    assert all("Retry-After" in headers for _, _, headers in answers)
    assert caplog.text.count(logged) >= len(ROUTES)
    assert not [body for _, body, _ in answers if logged in json.dumps(body)]


def test_an_entry_is_imported_without_any_setting():
    """A missing setting is an answer of the first request, not a failure of the import."""
    script = "from inventory_adapters import lambda_entry; print(lambda_entry.get_item({})['statusCode'])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={}
    )

    assert done.stdout.strip() == "503"


def test_the_sweeper_fails_with_the_sentence_of_a_wrong_setting(monkeypatch):
    """Lambda counts and logs what it raises."""
    monkeypatch.setenv("TABLE_NAME", " ")

    with pytest.raises(StorageUnavailableError, match="TABLE_NAME is not set"):
        lambda_entry.expire_reservations({}, None)


def test_a_table_that_is_not_there_is_storage_trouble(client, monkeypatch):
    """The answer is a 503 with Retry-After."""
    monkeypatch.setenv("TABLE_NAME", "elsewhere")

    status, body, headers = ask("get_item", path={"item_id": "i"})

    assert (status, body["code"], "Retry-After" in headers) == (503, "storage_unavailable", True)


def test_log_lines_outside_lambda_are_json(client):
    """They go through the standard logging module and have a request ID."""
    script = (
        "import logging, sys; from inventory_adapters.logs import JsonFormatter\n"
        "handler = logging.StreamHandler(sys.stdout); handler.setFormatter(JsonFormatter())\n"
        "logging.getLogger().addHandler(handler)\n"
        "from inventory_adapters import lambda_entry\n"
        "lambda_entry.get_item({'requestContext': {'requestId': 'r-1'}}, None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["request_id"] == "r-1"


def test_the_sweeper_names_reservations_that_end_too_late(client, caplog, monkeypatch):
    """It logs them once a day and expires none."""
    lambda_entry._far_reservations_watch.cache_clear()
    inventory = lambda_entry._current_app().inventory
    ahead = attrs.evolve(inventory, clock=lambda: datetime(2056, 1, 1, tzinfo=UTC))
    item = inventory.create_item(CreateItem(**TENT))
    line = LineRequest(item_id=item.item_id, sku=item.sku, quantity=1)
    far = ahead.create_reservation(CreateReservation(lines=[line]))

    with caplog.at_level(logging.WARNING):
        swept = [lambda_entry.expire_reservations({}, None) for _ in range(2)]

    assert swept == [{"expired": 0, "failed": 0}] * 2
    [record] = [it for it in caplog.records if hasattr(it, "reservation_ids")]
    assert record.reservation_ids == [far.reservation_id]
    lambda_entry._far_reservations_watch.cache_clear()


def test_the_sweeper_logs_how_long_the_oldest_was_due(client, caplog):
    """The alarm `oldest-due` watches it."""
    inventory = lambda_entry._current_app().inventory
    earlier = attrs.evolve(inventory, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    item = inventory.create_item(CreateItem(**TENT))
    line = LineRequest(item_id=item.item_id, sku=item.sku, quantity=1)
    earlier.create_reservation(CreateReservation(lines=[line], ttl_seconds=600))

    with caplog.at_level(logging.INFO):
        swept = lambda_entry.expire_reservations({}, None)

    assert swept == {"expired": 1, "failed": 0}
    [record] = [it for it in caplog.records if it.getMessage() == "swept"]
    assert 3000 <= record.oldest_due_seconds < 3600


def test_a_missing_region_is_answered_503(monkeypatch, caplog):
    """With a sentence in the log; neither an import nor another setting depends on it."""
    monkeypatch.setenv("TABLE_NAME", "stock")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    lambda_entry._container.cache_clear()

    status, body, _ = ask("get_item", path={"item_id": "i"}, query={"sku": "s"})

    lambda_entry._container.cache_clear()
    assert (status, body["code"]) == (503, "storage_unavailable")
    assert "AWS_REGION is not set" in caplog.text


def test_a_log_line_tells_what_aws_took(client, caplog, monkeypatch):
    """The number and duration of calls, and whether it was the first request of the process."""
    path = {"item_id": ask("create_item", TENT)[1]["item"]["item_id"]}
    monkeypatch.setattr(api_gateway, "_first_request", [True])
    caplog.clear()

    ask("get_item", path=path, query={"sku": "TENT-2"})
    ask("create_item", {})
    ask("adjust_stock", {"sku": "TENT-2", "delta": 1, "reason": "found"}, path=path)

    one, none, two = [it for it in caplog.records if it.message == "request"]
    assert [it.aws_calls for it in (one, none, two)] == [1, 0, 2]
    assert [it.cold for it in (one, none, two)] == [True, False, False]
    assert 0 < one.aws_ms <= one.duration_ms
    assert none.aws_ms == 0
