"""
Requests to all routes, for comparison of the deployed API with the local server.

Responses of handlers must be equal byte for byte, except ids, times and tokens. The gateway's own responses must have the same
status, and the envelope of errors.
"""

import json
import re
from decimal import Decimal
from functools import reduce
from operator import getitem
from typing import Any

import httpx
from attrs import define, field, frozen

from inventory_adapters.http.routes import ROUTES, find_route

# Response headers that clients use. The allowed origin depends on the environment: see test_gateway.py.
HEADERS = (
    "Content-Type",
    "ETag",
    "Idempotent-Replayed",
    "Retry-After",
    "Cache-Control",
    "X-Content-Type-Options",
    "Access-Control-Expose-Headers",
)
VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"), "<time>"),
    (re.compile(r'"next_page_token": "[^"]+"'), '"next_page_token": "<token>"'),
)


@frozen(eq=False)
class Step:
    """
    One request.

    Attributes:
        method: As in HTTP.
        path: With its query; in path and body, `{hammer}` is replaced by the value saved under this name.
        body: Sent as JSON; text is sent unchanged.
        status: The expected status.
        save_as: The name under which to save the id, or the page token, in the response.
        key: The idempotency key.
        if_match: The value of If-Match.
        gateway: The gateway's response, by its type in deploy/api.py; None if a function handles the request.
        locally: The status on the local server, if it differs.
        unordered: The path of a list whose order depends on ids, such as `reservation.lines`.
    """

    method: str
    path: str
    body: Any = None
    status: int = 200
    save_as: str | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)
    if_match: str | None = field(default=None, kw_only=True)
    gateway: str | None = field(default=None, kw_only=True)
    locally: int | None = field(default=None, kw_only=True)
    unordered: str | None = field(default=None, kw_only=True)

    def __str__(self):
        return f"{self.method} {self.path} {self.status}"

    @property
    def operation(self):
        """The operation; None if there is no such route."""
        route, _, _ = find_route(self.method, self.path.partition("?")[0])
        return route.name if route else None


@frozen
class Response:
    """A response, with placeholders for values that vary."""

    status: int
    headers: dict[str, str]
    body: str


@define
class Runner:
    """Sends the requests of the scenario to one server."""

    client: httpx.Client
    saved: dict[str, str] = field(factory=dict)

    def send(self, step):
        headers = {"Idempotency-Key": step.key, "If-Match": step.if_match}
        body = self._filled(step.body)
        if body is not None:
            headers["Content-Type"] = "application/json"
        response = self.client.request(
            step.method,
            self._filled(step.path),
            content=body if body is None or isinstance(body, str) else json.dumps(body),
            headers={name: value for name, value in headers.items() if value},
        )
        if step.save_as and response.is_success and (value := _id_or_token(response.json())):
            self.saved[step.save_as] = value
        return Response(
            response.status_code,
            {name: response.headers[name] for name in HEADERS if name in response.headers},
            self._with_placeholders(response.text, step.unordered),
        )

    def _filled(self, value):
        if isinstance(value, dict):
            return {name: self._filled(element) for name, element in value.items()}
        if isinstance(value, list):
            return [self._filled(element) for element in value]
        if not isinstance(value, str):
            return value
        for name, saved in self.saved.items():
            value = value.replace(f"{{{name}}}", saved)
        return value

    def _with_placeholders(self, text, unordered):
        for name, saved in self.saved.items():
            text = text.replace(saved, f"<{name}>")
        for pattern, name in VARYING:
            text = pattern.sub(name, text)
        return _sorted(text, unordered) if unordered else text


def _sorted(text, path):
    body = json.loads(text, parse_float=Decimal)
    reduce(getitem, path.split("."), body).sort(key=str)
    return str(body)


def _id_or_token(body):
    """Return the page token, or the id of the reservation or item, in the body of a response."""
    return (
        body.get("next_page_token")
        or body.get("reservation", {}).get("reservation_id")
        or body.get("item", {}).get("item_id")
    )


def item(sku, **fields):
    return {"sku": sku, "name": sku, "category": "tools", "quantity": 10, **fields}


def lines(*pairs, **fields):
    return {"lines": [{**item_key, "quantity": quantity} for item_key, quantity in pairs], **fields}


HAMMER = {"item_id": "{hammer}", "sku": "H"}
NAIL = {"item_id": "{nail}", "sku": "N"}
DEPOT = {"item_id": "{depot}", "sku": "N"}
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
MEBIBYTE = 2**20
LINES = {"unordered": "reservation.lines"}

SCENARIO = [
    # Create: with and without defaults, initially low, with an idempotency key.
    Step("POST", "/items", item("H", price=199.90, description="For nails, and no others"), 201, save_as="hammer"),
    Step("POST", "/items", item("N", price="0.0125", reorder_point=5), 201, save_as="nail"),
    Step("POST", "/items", item("N", location="depot"), 201, save_as="depot"),
    Step("POST", "/items", item("L", quantity=0, reorder_point=5, status="discontinued"), 201, save_as="low"),
    Step("POST", "/items", item("Ü", name="Größe „38“ 🔨", category="Zelte & Co"), 201, save_as="tent"),
    Step("POST", "/items", item("K"), 201, key="create", save_as="keyed"),
    Step("POST", "/items", item("K"), 201, key="create"),
    Step("POST", "/items", item("K", quantity=11), 422, key="create"),
    # Requests that the handler rejects.
    Step("POST", "/items", item("", name="  ", price=0.00001, location="a\u0007", quantity=2_000_000_000), 400),
    Step("POST", "/items", item("X", colour="red", weight=3), 400),
    Step("POST", "/items", item("X", price="1e3"), 400),
    Step("POST", "/items", '{"sku": "X", "sku": "Y", "name": "X", "category": "tools", "quantity": 1}', 400),
    Step("POST", "/items", item("X"), 400, if_match='"1-0"'),
    Step("POST", "/items", item("X"), 400, key="no spaces please"),
    Step("POST", "/items", item("X", description="x" * MEBIBYTE), 413),
    # Requests that the gateway rejects.
    Step("POST", "/items", {"sku": "X"}, 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items", item("X", quantity="10"), 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items", item("X", quantity=-1), 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items", item("X", status="sold"), 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items", [item("X")], 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items", "{", 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items", None, 400, gateway="BAD_REQUEST_BODY"),
    Step("GET", "/nothing", None, 404, gateway="MISSING_AUTHENTICATION_TOKEN"),
    Step("GET", "/items/{hammer}/nothing", None, 404, gateway="MISSING_AUTHENTICATION_TOKEN"),
    Step("PATCH", "/items", {}, 404, gateway="MISSING_AUTHENTICATION_TOKEN", locally=405),
    Step("DELETE", "/reservations", None, 404, gateway="MISSING_AUTHENTICATION_TOKEN", locally=405),
    # Get: with and without the SKU, and items that do not exist.
    Step("GET", "/items/{hammer}?sku=H"),
    Step("GET", "/items/{tent}?sku=%C3%9C"),
    Step("GET", "/items/{nail}"),
    Step("GET", "/items/{nail}?sku=H", None, 404),
    Step("GET", f"/items/{UNKNOWN_ID}", None, 404),
    Step("GET", "/items/{nail}?sku=", None, 400),
    # Update: nothing, fields, with a condition, the stock, the reorder point.
    Step("PUT", "/items/{hammer}", {"sku": "H"}),
    Step("PUT", "/items/{hammer}", {"sku": "H", "name": "Claw hammer", "price": 0.1}),
    Step("PUT", "/items/{hammer}", {"sku": "H", "name": "Hammer"}, if_match='"2-99"'),
    Step("PUT", "/items/{hammer}", {"sku": "H", "name": "Mallet"}, 412, if_match='"2-0"'),
    Step("PUT", "/items/{hammer}", {"sku": "H", "name": "Mallet"}, 412, if_match='W/"3-0"'),
    Step("PUT", "/items/{hammer}", {"sku": "H", "name": "Mallet"}, 400, if_match="3-0"),
    Step("PUT", "/items/{hammer}", {"sku": "H", "quantity": 4, "reorder_point": 5}),
    Step("PUT", "/items/{hammer}", {"sku": "H", "quantity": 9}, 412, if_match='"4-0"'),
    Step("PUT", "/items/{hammer}", {"sku": "H", "quantity": 10}),
    Step("PUT", "/items/{hammer}", {"sku": "H", "reorder_point": None}),
    Step("PUT", "/items/{low}", {"sku": "L", "quantity": 3}),
    Step("PUT", f"/items/{UNKNOWN_ID}", {"sku": "H", "name": "Mallet"}, 404),
    Step("PUT", "/items/{hammer}", {"name": "Mallet"}, 400, gateway="BAD_REQUEST_BODY"),
    Step("PUT", "/items/{hammer}", {"sku": "H", "price": -1}, 400, gateway="BAD_REQUEST_BODY"),
    # Adjust and count.
    Step("POST", "/items/{nail}/adjustments", {"sku": "N", "delta": 5, "reason": "delivery", "reference": "4711"}, 201),
    Step("POST", "/items/{nail}/adjustments", {"sku": "N", "delta": -10, "reason": "sold"}, 201, key="sale"),
    Step("POST", "/items/{nail}/adjustments", {"sku": "N", "delta": -10, "reason": "sold"}, 201, key="sale"),
    Step("POST", "/items/{nail}/adjustments", {"sku": "N", "delta": -9, "reason": "sold"}, 409),
    Step("POST", "/items/{nail}/adjustments", {"sku": "N", "delta": 0, "reason": "sold"}, 400),
    Step("POST", f"/items/{UNKNOWN_ID}/adjustments", {"sku": "N", "delta": 1, "reason": "found"}, 404),
    Step("POST", "/items/{nail}/adjustments", {"sku": "N", "delta": 1}, 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/items/{nail}/counts", {"sku": "N", "quantity": 12, "expected_quantity": 6}, 409),
    Step("POST", "/items/{nail}/counts", {"sku": "N", "quantity": 12, "expected_quantity": 5}, 201),
    Step("POST", "/items/{nail}/counts", {"sku": "N", "quantity": 12, "reason": "yearly"}, 201, key="count"),
    Step("POST", "/items/{nail}/counts", {"sku": "N", "quantity": 12, "reason": "yearly"}, 201, key="count"),
    Step("POST", "/items/{nail}/counts", {"sku": "N", "quantity": -1}, 400, gateway="BAD_REQUEST_BODY"),
    # Movements: page by page, of an item without movements, of an item that does not exist.
    Step("GET", "/items/{nail}/movements?sku=N&page_size=2", save_as="page"),
    Step("GET", "/items/{nail}/movements?sku=N&page_size=2&page_token={page}", save_as="page"),
    Step("GET", "/items/{nail}/movements?sku=N&page_size=2&page_token={page}"),
    Step("GET", "/items/{depot}/movements?sku=N"),
    Step("GET", f"/items/{UNKNOWN_ID}/movements?sku=N", None, 404),
    Step("GET", "/items/{nail}/movements", None, 400, gateway="BAD_REQUEST_PARAMETERS"),
    # Transfer.
    Step("POST", "/transfers", {"from": NAIL, "to": DEPOT, "quantity": 3, "reference": "van"}, 201),
    Step("POST", "/transfers", {"from": DEPOT, "to": NAIL, "quantity": 1}, 201, key="transfer"),
    Step("POST", "/transfers", {"from": DEPOT, "to": NAIL, "quantity": 1}, 201, key="transfer"),
    Step("POST", "/transfers", {"from": NAIL, "to": DEPOT, "quantity": 99}, 409),
    Step("POST", "/transfers", {"from": NAIL, "to": NAIL, "quantity": 1}, 400),
    Step("POST", "/transfers", {"from": NAIL, "to": HAMMER, "quantity": 1}, 400),
    Step("POST", "/transfers", {"from": NAIL, "quantity": 1}, 400, gateway="BAD_REQUEST_BODY"),
    # Reserve: available units, too many units, with an idempotency key; operations that reserved units prevent.
    Step("POST", "/reservations", lines((HAMMER, 2), (NAIL, 1), (HAMMER, 1), reference="cart 17"), 201, save_as="r1", **LINES),
    Step("POST", "/reservations", lines((HAMMER, 1), ttl_seconds=600), 201, save_as="r2", key="reserve"),
    Step("POST", "/reservations", lines((HAMMER, 1), ttl_seconds=600), 201, key="reserve"),
    Step("POST", "/reservations", lines((HAMMER, 7), (NAIL, 1)), 409),
    Step("POST", "/reservations", lines(({"item_id": UNKNOWN_ID, "sku": "H"}, 1)), 404),
    Step("POST", "/reservations", {"lines": []}, 400),
    Step("POST", "/reservations", lines(*[(HAMMER, 1)] * 26), 400),
    Step("POST", "/reservations", lines((HAMMER, 1), ttl_seconds=59), 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/reservations", {}, 400, gateway="BAD_REQUEST_BODY"),
    Step("GET", "/reservations/{r1}", **LINES),
    Step("GET", f"/reservations/{UNKNOWN_ID}", None, 404),
    Step("GET", "/reservations?item_id={hammer}&sku=H&page_size=1", save_as="page"),
    Step("GET", "/reservations?item_id={hammer}&sku=H&page_size=1&page_token={page}"),
    Step("GET", "/reservations?reference=cart%2017", unordered="reservations"),
    Step("GET", "/reservations?sku=H", None, 400),
    Step("GET", "/stock?sku=N", unordered="items"),
    Step("GET", "/stock", None, 400, gateway="BAD_REQUEST_PARAMETERS"),
    Step("GET", "/stock?sku=", None, 400),
    Step("POST", "/items/{hammer}/adjustments", {"sku": "H", "delta": -9, "reason": "sold"}, 409),
    Step("POST", "/items/{hammer}/counts", {"sku": "H", "quantity": 3}, 409),
    Step("PUT", "/items/{hammer}", {"sku": "H", "quantity": 3}, 409),
    Step("DELETE", "/items/{hammer}?sku=H", None, 409),
    # Extend, commit, release: each twice, and after the reservation was closed.
    Step("POST", "/reservations/{r1}/extend", {"ttl_seconds": 3000}, **LINES),
    Step("POST", "/reservations/{r1}/extend", {"ttl_seconds": 60}, key="extend", **LINES),
    Step("POST", "/reservations/{r1}/extend", {"ttl_seconds": 9_999_999}, 400),
    Step("POST", "/reservations/{r1}/extend", {}, 400, gateway="BAD_REQUEST_BODY"),
    Step("POST", "/reservations/{r1}/commit", key="commit", **LINES),
    Step("POST", "/reservations/{r1}/commit", key="commit", **LINES),
    Step("POST", "/reservations/{r1}/commit", {}, **LINES),
    Step("POST", "/reservations/{r1}/release", None, 409),
    Step("POST", "/reservations/{r1}/extend", {"ttl_seconds": 60}, 409),
    Step("POST", "/reservations/{r2}/release", key="release"),
    Step("POST", "/reservations/{r2}/release"),
    Step("POST", "/reservations/{r2}/commit", None, 409),
    Step("POST", f"/reservations/{UNKNOWN_ID}/release", None, 404),
    # Batch: creates and updates, atomic and per row, with an idempotency key.
    Step("POST", "/items/batch", {"items": [item("B1", reorder_point=20), {**NAIL, "quantity": 4}]}),
    Step("POST", "/items/batch", {"items": [item("B2"), {**NAIL, "name": "Nails"}]}, key="batch"),
    Step("POST", "/items/batch", {"items": [item("B2"), {**NAIL, "name": "Nails"}]}, key="batch"),
    Step("POST", "/items/batch", {"items": [item("B3"), {"item_id": UNKNOWN_ID, "sku": "X", "name": "X"}]}, 409),
    Step("POST", "/items/batch", {"mode": "per_row", "items": [item("B3"), {"sku": ""}, NAIL]}, key="rows"),
    Step("POST", "/items/batch", {"mode": "per_row", "items": [item("B3"), {"sku": ""}, NAIL]}, key="rows"),
    Step("POST", "/items/batch", {"items": [NAIL, NAIL]}, 400),
    Step("POST", "/items/batch", {"items": [item("B")] * 26}, 413),
    Step("POST", "/items/batch", {"mode": "some", "items": [item("B")]}, 400, gateway="BAD_REQUEST_BODY"),
    # List: with and without an index, filtered, page by page.
    Step("GET", "/items", unordered="items"),
    Step("GET", "/items?status=available", unordered="items"),
    Step("GET", "/items?sku=N", unordered="items"),
    Step("GET", "/items?low_stock=true", unordered="items"),
    Step("GET", "/items?category=Zelte%20%26%20Co"),
    Step("GET", "/items?category=tools&location=depot"),
    Step("GET", "/items?category=tools&colour=red", None, 400),
    Step("GET", "/items?category=none"),
    Step("GET", "/items?category=tools&page_size=3", save_as="page"),
    Step("GET", "/items?category=tools&page_size=3&page_token={page}", save_as="page"),
    Step("GET", "/items?category=tools&page_size=3&last_evaluated_key={page}"),
    Step("GET", "/items?category=none&page_token={page}", None, 400),
    Step("GET", "/items?page_token=made-up", None, 400),
    Step("GET", "/items?page_size=0", None, 400),
    Step("GET", "/items?page_size=many&status=sold", None, 400),
    # Delete: with a condition, a deleted item, an item without SKU. The movements remain.
    Step("DELETE", "/items/{keyed}?sku=K", None, 412, if_match='"9-9"'),
    Step("DELETE", "/items/{keyed}?sku=K", if_match='"1-0"'),
    Step("DELETE", "/items/{keyed}?sku=K", None, 404),
    Step("DELETE", "/items/{low}?sku=L"),
    Step("GET", "/items?low_stock=true", unordered="items"),
    Step("GET", "/items/{low}/movements?sku=L"),
    Step("DELETE", "/items/{hammer}", None, 400, gateway="BAD_REQUEST_PARAMETERS"),
    # For test_sweeper.py, which runs a minute later.
    Step("POST", "/reservations", lines((DEPOT, 4), ttl_seconds=60), 201, save_as="due"),
]  # fmt: skip

OPERATIONS = {route.name for route in ROUTES}
