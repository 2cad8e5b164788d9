"""Requests as commands, results as responses, and the codes and statuses of errors."""

import json
import logging
import re
from decimal import Decimal

import pytest

from inventory import Inventory, errors
from inventory.errors import InventoryError
from inventory_adapters.http.app import answer, error_response
from inventory_adapters.http.errors import CODES, HttpError
from inventory_adapters.http.messages import Request
from inventory_adapters.http.routes import ROUTES, find_route, route_named
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.wire import from_json, item_to_wire, to_json

TENT = {"sku": "TENT-2", "name": "Tent", "quantity": 5, "category": "tents", "price": 199.9}


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


@pytest.fixture
def ask(inventory):
    """Call an operation with a body of Python values, and return (status, body, headers)."""

    def ask(operation, body=None, *, path=None, headers=None, **query):
        text = body if isinstance(body, str | bytes | None) else json.dumps(body)
        request = Request(
            path_fields=path or {}, query=query, headers=headers or {}, body=text, request_id="r"
        )
        response = answer(inventory, route_named(operation), request)
        return response.status, json.loads(response.body), response.headers

    return ask


@pytest.fixture
def tent(ask):
    return ask("create_item", TENT)[1]["item"]


def test_five_operations_respond_as_published(ask):
    """Statuses, messages and names of the wire contract."""
    status, body, headers = ask("create_item", TENT)
    item = body["item"]
    path = {"item_id": item["item_id"]}
    assert (status, body["message"], headers) == (
        201,
        "Item created successfully",
        {"ETag": '"1-0"'},
    )
    assert set(item) == {
        *("item_id", "sku", "name", "description", "quantity", "price", "category", "status"),
        *(
            "created_at",
            "updated_at",
            "reserved",
            "available",
            "reorder_point",
            "location",
            "attributes",
            "version",
        ),
    }

    assert ask("get_item", path=path) == (200, {"item": item}, {"ETag": '"1-0"'})
    assert ask("get_item", path=path, sku="TENT-2")[0] == 200

    status, body, headers = ask("update_item", {"sku": "TENT-2", "price": "0.5"}, path=path)
    assert (status, body["message"], headers) == (
        200,
        "Item updated successfully",
        {"ETag": '"2-0"'},
    )
    assert body["item"] == {
        **item,
        "price": 0.5,
        "version": 2,
        "updated_at": body["item"]["updated_at"],
    }

    status, listed, _ = ask("list_items", category="tents")
    assert (status, listed) == (200, {"items": [body["item"]], "count": 1})

    status, deleted, headers = ask("delete_item", path=path, sku="TENT-2")
    assert (status, headers) == (200, {})
    assert deleted == {"message": "Item deleted successfully", "deleted_item": body["item"]}
    assert ask("get_item", path=path)[0] == 404


def test_price_is_an_exact_number(ask):
    """It is never a float."""
    request = Request(
        body='{"sku":"S","name":"N","quantity":1,"category":"c","price":99999999999.9999}'
    )
    response = answer(Inventory(MemoryRepository()), route_named("create_item"), request)

    assert '"price": 99999999999.9999' in response.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "body_required"),
        ("", "body_required"),
        (" \n", "body_required"),
        ("{", "malformed_body"),
        ("[]", "malformed_body"),
        ('"text"', "malformed_body"),
        ("null", "malformed_body"),
        ("{'sku': 1}", "malformed_body"),
        ('{"quantity": NaN}', "malformed_body"),
        ('{"quantity": Infinity}', "malformed_body"),
        ('{"quantity": -Infinity}', "malformed_body"),
        ("[" * 100_000, "malformed_body"),
        ('{"a":' * 100_000, "malformed_body"),
        ('{"sku": "a"} x', "malformed_body"),
        (b"\xff\xfe", "malformed_body"),
        ('{"sku": "a", "sku": "b"}', "validation_failed"),
        ('{"quantity": ' + "9" * 5000 + "}", "validation_failed"),
        ('{"price": ' + "9" * 5000 + "." + "9" * 5000 + "}", "validation_failed"),
        ('{"price": 1e99999999999999999999}', "validation_failed"),
        ('{"name": "\\ud800"}', "validation_failed"),
    ],
)
@pytest.mark.parametrize("operation", ["create_item", "update_item"])
def test_malformed_body_is_rejected(ask, operation, body, code):
    """A 400 with a code, never a 500."""
    status, answered, _ = ask(operation, body, path={"item_id": "i"})

    assert (status, answered["code"]) == (400, code)
    assert answered["error"]


def test_body_is_limited_to_a_mebibyte(ask):
    """In bytes of UTF-8."""
    padding = " " * ((1 << 20) - len(json.dumps(TENT)))

    assert ask("create_item", json.dumps(TENT) + padding)[0] == 201
    status, body, _ = ask("create_item", json.dumps(TENT) + padding + " ")
    assert (status, body.get("code")) == (413, "payload_too_large")
    assert ask("create_item", "é" * (1 << 19) + "x")[0] == 413
    assert ask("create_item", b"\xff" * ((1 << 20) + 1))[0] == 413


def test_byte_order_mark_is_ignored(ask):
    """Some shells send one."""
    assert ask("create_item", "\ufeff" + json.dumps(TENT))[0] == 201


def test_all_invalid_fields_are_reported_at_once(ask):
    """Wrong, missing and unknown ones."""
    status, body, _ = ask(
        "create_item", {"sku": "", "quantity": 2.5, "colour": "red", "item_id": "mine"}
    )

    assert (status, body["code"]) == (400, "validation_failed")
    assert {detail["field"] for detail in body["details"]} == {
        *("sku", "quantity", "colour", "item_id", "name", "category"),
    }


@pytest.mark.parametrize("field", ["item_id", "if_match", "version", "reserved", "created_at"])
def test_fields_of_the_path_or_headers_are_rejected_in_the_body(ask, tent, field):
    """The body cannot contradict them."""
    status, body, _ = ask(
        "update_item", {"sku": "TENT-2", field: '"1-0"'}, path={"item_id": tent["item_id"]}
    )

    assert (status, [detail["field"] for detail in body["details"]]) == (400, [field])


@pytest.mark.parametrize("operation", [route.name for route in ROUTES])
def test_unknown_query_parameter_is_rejected(ask, operation):
    """On every route, because a mistyped filter would return the whole list."""
    status, body, _ = ask(operation, {}, path={"item_id": "i", "reservation_id": "r"}, catgory="x")

    assert (status, body["code"]) == (400, "validation_failed")
    assert {"field": "catgory", "message": "is not a query parameter of this request"} in body[
        "details"
    ]


def test_query_parameters_that_begin_with_an_underscore_are_ignored(ask, tent):
    """Caches and trackers add them."""
    path = {"item_id": tent["item_id"]}

    assert ask("list_items", _="1", _ga="2")[1]["count"] == 1
    assert ask("update_item", {"sku": "TENT-2"}, path=path, _="1")[0] == 200


def test_errors_in_query_and_body_are_reported_at_once(ask):
    """Fields of a body are not query parameters."""
    status, body, _ = ask("create_item", {**TENT, "quantity": -1}, sku="TENT-2", if_match="*")

    fields = [detail["field"] for detail in body["details"]]
    assert (status, fields) == (400, ["sku", "if_match", "quantity"])


@pytest.mark.parametrize("status_filter", ["Available", "", "sold"])
def test_unknown_status_filter_is_rejected(ask, tent, status_filter):
    """An empty list would look like a result."""
    status, body, _ = ask("list_items", status=status_filter)

    assert (status, body["details"][0]["field"]) == (400, "status")


def test_token_with_both_names_must_be_equal(ask):
    """Equal values are accepted."""
    for number in range(2):
        ask("create_item", {**TENT, "sku": f"S{number}"})
    token = ask("list_items", page_size="1")[1]["next_page_token"]

    same = ask("list_items", page_size="1", page_token=token, last_evaluated_key=token)
    status, body, _ = ask("list_items", last_evaluated_key=token, page_token="x")

    assert (same[0], same[1]["count"]) == (200, 1)
    assert (status, [detail["field"] for detail in body["details"]]) == (400, ["page_token"])


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "+1", "1.0", "\uff11"])
def test_invalid_page_size_is_rejected(ask, value):
    """The error names the field."""
    status, body, _ = ask("list_items", page_size=value)

    assert (status, body["details"][0]["field"]) == (400, "page_size")


def test_token_is_accepted_with_both_names(ask):
    """`page_token`, and the name of the seed's API."""
    for number in range(3):
        ask("create_item", {**TENT, "sku": f"S{number}"})
    first = ask("list_items", page_size="2")[1]

    by_old_name = ask("list_items", page_size="2", last_evaluated_key=first["next_page_token"])[1]
    by_new_name = ask("list_items", page_size="2", page_token=first["next_page_token"])[1]

    assert by_old_name == by_new_name
    assert (by_old_name["count"], "next_page_token" in by_old_name) == (1, False)


@pytest.mark.parametrize("token", ["x", "", "AAAA", "é", "a" * 20_000, "\ud800"])
def test_invalid_token_is_rejected(ask, token):
    """Malformed, empty or too long."""
    status, body, _ = ask("list_items", last_evaluated_key=token)

    assert (status, body["code"]) in [(400, "invalid_page_token"), (400, "validation_failed")]


def test_sku_of_a_delete_is_required(ask, tent):
    """It is part of the key."""
    status, body, _ = ask("delete_item", path={"item_id": tent["item_id"]})

    assert (status, body["details"]) == (400, [{"field": "sku", "message": "is required"}])


def test_path_is_percent_decoded_once(ask, tent):
    """API Gateway sends it encoded."""
    encoded = "".join(f"%{byte:02X}" for byte in tent["item_id"].encode())

    assert ask("get_item", path={"item_id": encoded})[1]["item"] == tent
    assert ask("get_item", path={"item_id": encoded.replace("%", "%25")})[0] == 404


def test_path_that_is_not_utf8_is_rejected(ask):
    """The error names the field."""
    status, body, _ = ask("get_item", path={"item_id": "%ff"})

    assert (status, body["details"][0]["field"]) == (400, "item_id")


def test_if_match_is_checked_on_update(ask, tent):
    """The 412 has the current version."""
    path = {"item_id": tent["item_id"]}
    sent = {"sku": "TENT-2", "name": "New"}

    assert ask("update_item", sent, path=path, headers={"if-match": '"1-0"'})[0] == 200
    status, body, _ = ask("update_item", sent, path=path, headers={"if-match": '"1-0"'})

    assert (status, body["code"], body["version"], body["seq"]) == (
        412,
        "precondition_failed",
        2,
        0,
    )


@pytest.mark.parametrize("operation", ["update_item", "delete_item"])
def test_malformed_if_match_is_rejected(ask, tent, operation):
    """A 400, and the item does not change."""
    body = {"sku": "TENT-2", "name": "New"} if operation == "update_item" else None
    query = {} if body else {"sku": "TENT-2"}
    path = {"item_id": tent["item_id"]}

    status, answered, _ = ask(operation, body, path=path, headers={"if-match": "1-0"}, **query)

    assert (status, answered["details"][0]["field"]) == (400, "if_match")
    assert ask("get_item", path=path)[1]["item"] == tent


def test_only_a_replay_has_the_header_of_a_replay(ask):
    """A client sees whether its retry had an effect."""
    replayed = [
        ask("create_item", TENT, headers={"idempotency-key": "k"})[2].get("Idempotent-Replayed")
        for _ in range(2)
    ]

    assert replayed == [None, "true"]


@pytest.mark.parametrize("operation", ["create_item", "get_item", "list_items"])
def test_if_match_is_rejected_if_not_supported(ask, operation):
    """Ignoring it would suggest a protection that does not exist."""
    status, body, _ = ask(operation, TENT, path={"item_id": "i"}, headers={"if-match": "*"})

    assert (status, body.get("code")) == (400, "if_match_not_supported")


def test_unexpected_error_is_a_generic_500(caplog):
    """The log has the details, with the request ID."""

    class BrokenRepository(MemoryRepository):
        def find_item(self, item_id):
            raise RuntimeError("secret detail")

    request = Request(path_fields={"item_id": "i"}, request_id="r-1")
    response = answer(Inventory(BrokenRepository()), route_named("get_item"), request)

    assert (response.status, json.loads(response.body)) == (
        500,
        {"error": "Internal server error", "code": "internal_error"},
    )
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.request_id == "r-1"
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [(errors.StorageThrottledError(), 429), (errors.StorageUnavailableError(), 503)],
)
def test_storage_error_has_retry_after(error, status):
    """In seconds."""
    response = error_response(error, request_id="r")

    assert response.status == status
    assert int(response.headers.get("Retry-After", "0")) > 0


SECRET = "table inventory-prod at https://10.0.0.7:8000, /var/lib/stock.db"


class OtherStorageError(errors.StorageUnavailableError):
    """A storage error of another repository."""

    def __init__(self):
        super().__init__(SECRET)


STORAGE_ERRORS = [
    errors.StorageUnavailableError(SECRET),
    errors.StorageThrottledError(SECRET),
    errors.UnreadableItemError(item_id="i", sku="s", why=SECRET),
    errors.StorageError(SECRET),
    OtherStorageError(),
    RuntimeError(SECRET),
]


@pytest.mark.parametrize("error", STORAGE_ERRORS, ids=lambda error: type(error).__name__)
def test_names_of_tables_files_and_hosts_are_only_logged(error, caplog):
    """The response has a message, the code and the request ID."""
    response = error_response(error, request_id="r-1")

    body = json.loads(response.body)
    assert set(body) <= {"error", "code", "item_id", "sku"}
    assert SECRET not in response.body
    assert SECRET not in str(response.headers)
    if response.status >= 500:
        [record] = caplog.records
        assert record.request_id == "r-1"
        assert SECRET in caplog.text or SECRET in str(vars(error))


def test_names_in_rows_of_a_batch_are_only_logged(caplog):
    """A row is handled like a request."""

    class Broken(MemoryRepository):
        def commit(self, change):
            raise errors.StorageUnavailableError(SECRET)

    body = {"mode": "per_row", "items": [{"sku": "A", "name": "A", "category": "c", "quantity": 1}]}
    response = answer(
        Inventory(Broken()), route_named("batch_items"), Request(body=json.dumps(body))
    )

    assert SECRET not in response.body
    assert SECRET in caplog.text


def subclasses(kind):
    return {kind, *(leaf for child in kind.__subclasses__() for leaf in subclasses(child))}


def test_every_error_has_its_own_code_and_a_status():
    """No code is missing, duplicate or unknown."""
    known = {kind for kind in subclasses(InventoryError) if kind.__module__ == errors.__name__}
    kinds = {kind for kind in known if not set(kind.__subclasses__()) & known}

    codes = [kind.code for kind in kinds]

    assert len(set(codes)) == len(codes)
    assert set(codes) < set(CODES)
    assert all(400 <= status < 600 for status in CODES.values())


def test_unpublished_code_is_an_error():
    """A typo in a code fails here and not at a client."""
    with pytest.raises(KeyError):
        error_response(HttpError("no_such_code", "text"), request_id="r")


def test_every_route_is_found_by_its_method_and_path():
    """With the fields of the path."""
    for route in ROUTES:
        path = re.sub(r"\{\w+\}", "a%2Fb", route.path)
        found, fields, _ = find_route(route.method, path)
        assert found is route
        assert fields == dict.fromkeys(route.path_fields, "a%2Fb")


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("PATCH", "/items", {"GET", "POST"}),
        ("POST", "/items/x", {"GET", "PUT", "DELETE"}),
        ("GET", "/items/batch", {"POST"}),
        ("GET", "/", set()),
        ("GET", "/items/", set()),
        ("GET", "/items/a/b", set()),
    ],
)
def test_unknown_route_is_not_found(method, path, methods):
    """With the methods of the path, for a 405."""
    found, _, others = find_route(method, path)

    assert (found, set(others)) == (None, methods)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        10**30,
        Decimal("19.9"),
        Decimal("1E+3"),
        Decimal("0.0001"),
        'a"\n\u2028é🏕',
        [],
        {},
        {"a": [1, {"b": None}]},
    ],
)
def test_json_is_read_exactly(value):
    """Numbers keep their digits."""
    assert from_json(to_json(value)) == value
    assert to_json(value).isascii()


def test_float_cannot_be_written():
    """A float is not exact."""
    with pytest.raises(TypeError):
        to_json(1.5)


def test_price_of_38_digits_is_written_exactly(ask, inventory):
    """Rows of the seed's API may have one."""
    from inventory import Item, ItemKey, StockLevel, Timestamp

    item = Item(
        key=ItemKey(item_id="i", sku="s"),
        name="n",
        category="c",
        price=Decimal("1234567890123456789012345678.9012345678"),
        created_at=Timestamp("2019-01-01T00:00:00"),
        updated_at=Timestamp("2019-01-01T00:00:00"),
        level=StockLevel(on_hand=1),
        version=0,
    )

    assert '"price": 1234567890123456789012345678.9012345678' in to_json(item_to_wire(item))
