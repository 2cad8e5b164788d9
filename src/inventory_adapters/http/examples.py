"""
The examples of the OpenAPI document: requests of one day in a shop, with their responses.

The responses come from the application, with a repository in memory and a fixed clock and IDs, so they are the same each time.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid5

from attrs import define, field, frozen

from inventory.service import Inventory
from inventory_adapters.http.app import answer
from inventory_adapters.http.messages import Request, Response
from inventory_adapters.http.routes import Route, route_named
from inventory_adapters.storage.memory import MemoryRepository

__all__ = ["Exchange", "exchanges"]

Json = dict[str, Any]

_OPENS_AT: Final = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)

_TENT: Final = {"sku": "TENT-2", "name": "Tent for two", "category": "tents"}
_MUG: Final = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 40}
_UNKNOWN: Final = {"item_id": "no-such-item", "sku": "TENT-2"}


@frozen(kw_only=True)
class Exchange:
    """
    A request and its response.

    Attributes:
        route: The route.
        summary: The title of the example.
        request: The request.
        response: The response.
    """

    route: Route[Any, Any]
    summary: str
    request: Request
    response: Response

    @property
    def sent(self) -> Any:
        """The body of the request; None if there is none."""
        return None if self.request.body is None else json.loads(self.request.body)

    @property
    def received(self) -> Any:
        """The body of the response."""
        return json.loads(self.response.text)


def exchanges() -> tuple[Exchange, ...]:
    """Return the requests in order, with their responses."""
    shop = _Shop()
    tent, spare = _create_items(shop)
    _read_items(shop, tent)
    _update_item(shop, tent)
    _send_batches(shop, spare)
    _move_stock(shop, tent, spare)
    _reserve(shop, tent)
    _delete_items(shop, tent, spare)
    return tuple(shop.exchanges)


def _new_ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: str(uuid5(UUID(int=0), str(next(numbers))))


@define
class _Shop:
    """Sends one request a minute, and records the exchanges."""

    now: datetime = _OPENS_AT
    exchanges: list[Exchange] = field(factory=list)
    inventory: Inventory = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.inventory = Inventory(MemoryRepository(), clock=lambda: self.now, new_id=_new_ids())

    def send(
        self,
        operation: str,
        summary: str,
        body: Json | None = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **path_fields: str,
    ) -> Json:
        """Send a request and return the body of its response."""
        self.now += timedelta(minutes=1)
        request = Request(
            path_fields=path_fields,
            query=query or {},
            headers=headers or {},
            body=None if body is None else json.dumps(body),
        )
        route = route_named(operation)
        response = answer(self.inventory, route, request)
        exchange = Exchange(route=route, summary=summary, request=request, response=response)
        self.exchanges.append(exchange)
        received: Json = exchange.received
        return received


def _create_items(shop: _Shop) -> tuple[str, str]:
    """Return the IDs of two items: a tent in the store, and the same tent in the warehouse."""
    store = {**_TENT, "quantity": 5, "price": 199.90, "reorder_point": 3, "location": "store"}
    store["attributes"] = {"barcode": "4006381333931"}
    warehouse = {**_TENT, "quantity": 20, "price": 199.90, "location": "warehouse"}
    key = {"idempotency-key": "delivery-4711-1"}
    tent = shop.send("create_item", "A tent in the store", store)
    spare = shop.send("create_item", "The same tent in the warehouse", warehouse, headers=key)
    shop.send("create_item", "The same request again", warehouse, headers=key)
    shop.send("create_item", "Another request with the same key", store, headers=key)
    shop.send("create_item", "Two invalid fields", {**store, "name": "", "quantity": -1})
    shop.send("create_item", "No body")
    return tent["item"]["item_id"], spare["item"]["item_id"]


def _read_items(shop: _Shop, tent: str) -> None:
    shop.send("get_item", "By its ID alone", item_id=tent)
    shop.send(
        "get_item",
        "With its stock at a time",
        query={"sku": "TENT-2", "at": "2026-05-01T09:31:30Z"},
        item_id=tent,
    )
    shop.send("get_stock", "All locations", query={"sku": "TENT-2"})
    shop.send("get_stock", "No such SKU", query={"sku": "NO-SUCH-SKU"})
    shop.send("get_item", "No such item", item_id="no-such-item")
    shop.send("get_item", "If-Match on a read", headers={"if-match": "*"}, item_id=tent)
    query = {"category": "tents", "page_size": "1"}
    page = shop.send("list_items", "The first page of a category", query=query)
    more = {"page_token": page["next_page_token"]}
    shop.send("list_items", "The last page", query={**query, **more})
    shop.send("list_items", "A search", query={"search": "tent 4006381"})
    shop.send("list_items", "A token of another query", query={"category": "mugs", **more})


def _update_item(shop: _Shop, tent: str) -> None:
    cheaper = {"sku": "TENT-2", "price": 189.00, "description": "Sleeps two, weighs 1.9 kg"}
    seen = {"if-match": '"1-0"'}
    shop.send("update_item", "A new price", cheaper, headers=seen, item_id=tent)
    shop.send("update_item", "The item was modified meanwhile", cheaper, headers=seen, item_id=tent)
    shop.send("update_item", "No such item", cheaper, item_id="no-such-item")


def _send_batches(shop: _Shop, spare: str) -> None:
    counted = {"item_id": spare, "sku": "TENT-2", "quantity": 19}
    rows = [{**_MUG, "sku": "MUG-2"}, {**_UNKNOWN, "name": "Y"}]
    shop.send("batch_items", "One item created, one counted", {"items": [_MUG, counted]})
    shop.send("batch_items", "Each row on its own", {"mode": "per_row", "items": rows})
    shop.send("batch_items", "One rejected row rejects all", {"items": rows})
    shop.send("batch_items", "The same item twice", {"items": [counted, counted]})
    shop.send("batch_items", "Too many rows", {"items": [_MUG] * 26})


def _move_stock(shop: _Shop, tent: str, spare: str) -> None:
    delivery = {"sku": "TENT-2", "delta": 3, "reason": "delivery", "reference": "note 4711"}
    sale = {"sku": "TENT-2", "delta": -9, "reason": "sold"}
    shop.send("adjust_stock", "A delivery", delivery, item_id=tent)
    shop.send("adjust_stock", "More than there is", sale, item_id=tent)
    shop.send("adjust_stock", "More than the limit", {**delivery, "delta": 10**9}, item_id=tent)
    counted = {"sku": "TENT-2", "quantity": 7, "expected_quantity": 8}
    shop.send("count_stock", "One unit is missing", counted, item_id=tent)
    shop.send("count_stock", "Not the expected quantity", counted, item_id=tent)
    query = {"sku": "TENT-2", "page_size": "1"}
    page = shop.send("list_movements", "The latest movement", query=query, item_id=tent)
    query = {"sku": "TENT-2", "page_token": page["next_page_token"]}
    shop.send("list_movements", "The earlier movements", query=query, item_id=tent)
    query = {"sku": "TENT-2", "since": "2026-05-01T09:31:30Z", "until": "2026-05-01T10:00:00Z"}
    shop.send("list_movements", "The movements of half an hour", query=query, item_id=tent)
    store, warehouse = ({"item_id": item_id, "sku": "TENT-2"} for item_id in (tent, spare))
    order = {"from": warehouse, "to": store, "quantity": 4, "reference": "weekend"}
    shop.send("transfer_stock", "From the warehouse to the store", order)
    shop.send("transfer_stock", "More than the warehouse has", {**order, "quantity": 900})
    shop.send("transfer_stock", "To the same item", {**order, "from": store})
    shop.send(
        "transfer_stock", "Items with different SKUs", {**order, "to": {**store, "sku": "MUG-1"}}
    )


def _reserve(shop: _Shop, tent: str) -> None:
    line = {"item_id": tent, "sku": "TENT-2", "quantity": 2}
    cart = {"lines": [line], "ttl_seconds": 1800, "reference": "cart 17"}
    longer = {"ttl_seconds": 3600}
    sold, returned, held = (_held(shop, cart) for _ in range(3))
    shop.send("list_reservations", "Of one item", query={"item_id": tent, "sku": "TENT-2"})
    shop.send("list_reservations", "Of one order", query={"reference": "cart 17", "page_size": "1"})
    shop.send("list_reservations", "Only half of a key", query={"sku": "TENT-2"})
    shop.send("create_reservation", "More than is available", {"lines": [{**line, "quantity": 6}]})
    shop.send("create_reservation", "No such item", {"lines": [{**_UNKNOWN, "quantity": 1}]})
    shop.send("get_reservation", "Still held", reservation_id=held)
    shop.send("get_reservation", "No such reservation", reservation_id="no-such-reservation")
    shop.send("extend_reservation", "One hour from now", longer, reservation_id=held)
    part = {"lines": [{**line, "quantity": 1}]}
    key = {"idempotency-key": "parcel-1"}
    shop.send("commit_reservation", "One tent is sent", part, headers=key, reservation_id=sold)
    shop.send("commit_reservation", "A part without a key", part, reservation_id=sold)
    too_many = {"lines": [line]}
    key = {"idempotency-key": "parcel-2"}
    shop.send("commit_reservation", "More than is held", too_many, headers=key, reservation_id=sold)
    other = {"lines": [{**_UNKNOWN, "quantity": 1}]}
    shop.send("commit_reservation", "Another item", other, headers=key, reservation_id=sold)
    shop.send("commit_reservation", "The cart is paid for", reservation_id=sold)
    shop.send("commit_reservation", "Committed again", reservation_id=sold)
    shop.send("release_reservation", "The cart is abandoned", reservation_id=returned)
    shop.send("release_reservation", "Already committed", reservation_id=sold)
    shop.send("commit_reservation", "Already released", reservation_id=returned)
    shop.send(
        "count_stock", "Fewer than are reserved", {"sku": "TENT-2", "quantity": 1}, item_id=tent
    )
    shop.send("delete_item", "Units are reserved", query={"sku": "TENT-2"}, item_id=tent)
    shop.now += _HOUR
    shop.send("get_reservation", "Expired", reservation_id=held)
    shop.send("extend_reservation", "Too late", longer, reservation_id=held)


def _held(shop: _Shop, cart: Json) -> str:
    response = shop.send("create_reservation", "Two tents for a cart", cart)
    reservation_id: str = response["reservation"]["reservation_id"]
    return reservation_id


def _delete_items(shop: _Shop, tent: str, spare: str) -> None:
    query = {"sku": "TENT-2"}
    seen = {"if-match": '"1-2"'}
    shop.send("delete_item", "If it was not modified", query=query, headers=seen, item_id=spare)
    shop.send("delete_item", "No such item", query=query, item_id=spare)
    shop.send("delete_item", "It was modified meanwhile", query=query, headers=seen, item_id=tent)
    shop.send("list_movements", "The ledger of a deleted item", query=query, item_id=spare)
