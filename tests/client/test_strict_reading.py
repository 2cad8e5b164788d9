"""InventoryClient reads responses strictly: every field of every response, with a wrong type or missing."""

from copy import deepcopy

import pytest

from inventory import ReservationExpiredError
from inventory.errors import StorageThrottledError
from inventory_adapters.client import UnexpectedAnswerError
from inventory_adapters.client.wire import WireResponse
from inventory_adapters.http.app import error_response
from inventory_adapters.http.examples import exchanges
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.wire import from_json, to_json

EXCHANGES = exchanges()

# A value of each JSON type.
VALUES = ["text", 7, True, None, [], {}, from_json("1.5")]

NULLABLE = {"at", "reorder_point", "actor", "reason", "reference", "reservation_id", "closed_at"}
NULLABLE_IN_ROWS = {"item_id", "sku", "version", "seq"}
# `message` is for people; `next_page_token` is absent on the last page; `at` is only there if it was asked for; an attribute is
# what a person chose; one part of the key of an item that was not found may be unknown.
OPTIONAL = {"at", "message", "next_page_token", "barcode"}


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, name)
            yield from places(part, (*path, name))


def at(value, path):
    for name in path:
        value = value[name]
    return value


def changed(body, path, value):
    """Return *body* with *value* at *path*."""
    body = deepcopy(body)
    at(body, path[:-1])[path[-1]] = value
    return body


def without(body, path):
    body = deepcopy(body)
    del at(body, path[:-1])[path[-1]]
    return body


def is_wrong(body, path, value):
    """Return whether *value* has another type than the field at *path* allows."""
    name, current = path[-1], at(body, path)
    row = at(body, path[:-1])
    nullable = name in NULLABLE and "code" not in row
    nullable |= name in NULLABLE_IN_ROWS and isinstance(row, dict) and {"code", "index"} <= set(row)
    if current is None:
        return isinstance(value, bool | list | dict)
    if value is None:
        return not nullable
    if name == "price":
        return isinstance(value, bool) or not isinstance(value, int | type(from_json("1.5")))
    return type(value) is not type(current)


def read(exchange, body):
    """Return what the client makes of the response of *exchange* with *body*, an error as a value."""
    response = WireResponse(
        status=exchange.response.status,
        headers=exchange.response.headers,
        content=to_json(body).encode(),
    )
    if not response.is_success:
        return response.error()
    try:
        return response.value(exchange.route.use_case)
    except UnexpectedAnswerError as error:
        return error


def body_of(exchange):
    return from_json(exchange.response.text)


SUCCESSES = [exchange for exchange in EXCHANGES if exchange.response.code is None]
ERRORS = [
    exchange
    for exchange in EXCHANGES
    if exchange.response.code is not None
    and type(read(exchange, body_of(exchange))) is not UnexpectedAnswerError
]


def name_of(exchange):
    return f"{exchange.route.name}: {exchange.summary}"


def test_every_operation_has_an_example():
    """The tests below cover every type of response."""
    assert {exchange.route.name for exchange in SUCCESSES} == {route.name for route in ROUTES}
    assert {exchange.response.code for exchange in ERRORS} >= {
        "validation_failed",
        "batch_refused",
        "insufficient_stock",
        "precondition_failed",
        "item_not_found",
    }


@pytest.mark.parametrize("exchange", [*SUCCESSES, *ERRORS], ids=name_of)
def test_wrong_type_is_an_error(exchange):
    """At every place of the response, for every other JSON type."""
    body = body_of(exchange)
    accepted = [
        (path, value)
        for path in places(body)
        for value in VALUES
        if is_wrong(body, path, value)
        and type(read(exchange, changed(body, path, value))) is not UnexpectedAnswerError
    ]

    assert accepted == []


@pytest.mark.parametrize("exchange", [*SUCCESSES, *ERRORS], ids=name_of)
def test_missing_field_is_an_error(exchange):
    """Unless the field is optional."""
    body = body_of(exchange)
    fields = [path for path in places(body) if isinstance(path[-1], str)]
    accepted = [
        path
        for path in fields
        if path[-1] not in OPTIONAL
        and type(read(exchange, without(body, path))) is not UnexpectedAnswerError
    ]

    optional = ("item_id", "sku") if exchange.response.code == "item_not_found" else ()
    assert accepted == [(name,) for name in optional if name in body]


@pytest.mark.parametrize("exchange", SUCCESSES, ids=name_of)
def test_unknown_field_is_ignored(exchange):
    """A newer server may send more, in every object."""
    body = body_of(exchange)
    inner = [path for path in places(body) if path[-1] != "attributes"]
    objects = [(), *(path for path in inner if isinstance(at(body, path), dict))]
    more = body
    for path in objects:
        more = changed(more, (*path, "colour"), ["red", {"code": 1}])

    result = read(exchange, body)

    assert type(result) is not UnexpectedAnswerError
    # Errors of rows are compared as text, because an error is equal only to itself.
    assert repr(read(exchange, more)) == repr(result)


def test_status_decides_if_an_error_cannot_be_read():
    """A 429 means that nothing was done, whatever its body says."""
    response = error_response(StorageThrottledError(), request_id="r")
    body = changed(from_json(response.text), ("error",), 5)

    error = WireResponse(status=429, headers={}, content=to_json(body).encode()).error()

    assert type(error) is StorageThrottledError


def test_fact_of_an_error_has_its_type():
    """A number in the place of a time is an error, although both could be shown."""
    error = ReservationExpiredError(reservation_id="r", expires_at="2026-05-01T00:00:00+00:00")
    response = error_response(error, request_id="r")
    body = changed(from_json(response.text), ("expires_at",), 5)

    received = WireResponse(status=409, headers={}, content=to_json(body).encode()).error()

    assert (type(received), received.status) == (UnexpectedAnswerError, 409)
