"""
A day in a shop, as requests and the answers they get: the examples of the OpenAPI document.

Nobody typed an answer. The requests go through the application, on a store in memory, with a clock and ids that are the same
each time.
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
_NOBODY: Final = {"item_id": "no-such-item", "sku": "TENT-2"}


@frozen(kw_only=True)
class Exchange:
    """
    A request, and the answer that it got.

    Attributes:
        route: What answered.
        summary: What happens, in a few words.
        request: What was sent.
        response: What came back.
    """

    route: Route[Any, Any]
    summary: str
    request: Request
    response: Response

    @property
    def sent(self) -> Any:
        """The body of the request; None where there was none."""
        return None if self.request.body is None else json.loads(self.request.body)

    @property
    def received(self) -> Any:
        """The body of the answer."""
        return json.loads(self.response.text)


def exchanges() -> tuple[Exchange, ...]:
    """Return the requests of the day, in order, with their answers."""
    shop = _Shop()
    tent, spare = _stock_the_shelves(shop)
    _look_around(shop, tent)
    _edit(shop, tent)
    _send_batches(shop, spare)
    _move_stock(shop, tent, spare)
    _reserve(shop, tent)
    _clear_out(shop, tent, spare)
    return tuple(shop.told)


def _new_ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: str(uuid5(UUID(int=0), str(next(numbers))))


@define
class _Shop:
    """Asks, a minute after the last time, and takes down what was said."""

    now: datetime = _OPENS_AT
    told: list[Exchange] = field(factory=list)
    inventory: Inventory = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.inventory = Inventory(MemoryRepository(), clock=lambda: self.now, new_id=_new_ids())

    def ask(
        self,
        operation: str,
        summary: str,
        body: Json | None = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **path_fields: str,
    ) -> Json:
        """Send a request, and return the body of its answer, a refusal or not."""
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
        self.told.append(exchange)
        received: Json = exchange.received
        return received


def _stock_the_shelves(shop: _Shop) -> tuple[str, str]:
    """Return the ids of a tent in the store and of the same tent in the warehouse."""
    here = {**_TENT, "quantity": 5, "price": 199.90, "reorder_point": 3, "location": "store"}
    there = {**_TENT, "quantity": 20, "price": 199.90, "location": "warehouse"}
    key = {"idempotency-key": "delivery-4711-1"}
    tent = shop.ask("create_item", "A tent in the store", here)
    spare = shop.ask("create_item", "The same tent in the warehouse", there, headers=key)
    shop.ask("create_item", "The same request again", there, headers=key)
    shop.ask("create_item", "Another request under the same key", here, headers=key)
    shop.ask("create_item", "Two mistakes at once", {**here, "name": "", "quantity": -1})
    shop.ask("create_item", "No body")
    return tent["item"]["item_id"], spare["item"]["item_id"]


def _look_around(shop: _Shop, tent: str) -> None:
    shop.ask("get_item", "By its id alone", item_id=tent)
    shop.ask("get_item", "No such item", item_id="no-such-item")
    shop.ask(
        "get_item", "Only an edit can have a condition", headers={"if-match": "*"}, item_id=tent
    )
    query = {"category": "tents", "page_size": "1"}
    page = shop.ask("list_items", "The first page of a category", query=query)
    more = {"page_token": page["next_page_token"]}
    shop.ask("list_items", "The last page", query={**query, **more})
    shop.ask("list_items", "The token of another query", query={"category": "mugs", **more})


def _edit(shop: _Shop, tent: str) -> None:
    cheaper = {"sku": "TENT-2", "price": 189.00, "description": "Sleeps two, weighs 1.9 kg"}
    seen = {"if-match": '"1-0"'}
    shop.ask("update_item", "A new price", cheaper, headers=seen, item_id=tent)
    shop.ask("update_item", "Somebody was faster", cheaper, headers=seen, item_id=tent)
    shop.ask("update_item", "No such item", cheaper, item_id="no-such-item")


def _send_batches(shop: _Shop, spare: str) -> None:
    counted = {"item_id": spare, "sku": "TENT-2", "quantity": 19}
    rows = [{**_MUG, "sku": "MUG-2"}, {**_NOBODY, "name": "Y"}]
    shop.ask("batch_items", "One item made, one counted", {"items": [_MUG, counted]})
    shop.ask("batch_items", "Each row for itself", {"mode": "per_row", "items": rows})
    shop.ask("batch_items", "One row refuses all", {"items": rows})
    shop.ask("batch_items", "One item twice", {"items": [counted, counted]})
    shop.ask("batch_items", "Too many rows", {"items": [_MUG] * 26})


def _move_stock(shop: _Shop, tent: str, spare: str) -> None:
    delivery = {"sku": "TENT-2", "delta": 3, "reason": "delivery", "reference": "note 4711"}
    sale = {"sku": "TENT-2", "delta": -9, "reason": "sold"}
    shop.ask("adjust_stock", "A delivery", delivery, item_id=tent)
    shop.ask("adjust_stock", "More than there are", sale, item_id=tent)
    shop.ask("adjust_stock", "Too many to count", {**delivery, "delta": 10**9}, item_id=tent)
    found = {"sku": "TENT-2", "quantity": 7, "expected_quantity": 8}
    shop.ask("count_stock", "One is missing", found, item_id=tent)
    shop.ask("count_stock", "Not what was expected", found, item_id=tent)
    query = {"sku": "TENT-2", "page_size": "1"}
    page = shop.ask("list_movements", "The latest movement", query=query, item_id=tent)
    query = {"sku": "TENT-2", "page_token": page["next_page_token"]}
    shop.ask("list_movements", "The rest, to the opening balance", query=query, item_id=tent)
    here, there = ({"item_id": item_id, "sku": "TENT-2"} for item_id in (tent, spare))
    order = {"from": there, "to": here, "quantity": 4, "reference": "weekend"}
    shop.ask("transfer_stock", "From the warehouse to the store", order)
    shop.ask("transfer_stock", "More than the warehouse has", {**order, "quantity": 900})
    shop.ask("transfer_stock", "From here to here", {**order, "from": here})
    shop.ask("transfer_stock", "A tent is no mug", {**order, "to": {**here, "sku": "MUG-1"}})


def _reserve(shop: _Shop, tent: str) -> None:
    line = {"item_id": tent, "sku": "TENT-2", "quantity": 2}
    cart = {"lines": [line], "ttl_seconds": 1800, "reference": "cart 17"}
    longer = {"ttl_seconds": 3600}
    sold, returned, held = (_held(shop, cart) for _ in range(3))
    shop.ask("create_reservation", "More than is available", {"lines": [{**line, "quantity": 6}]})
    shop.ask("create_reservation", "No such item", {"lines": [{**_NOBODY, "quantity": 1}]})
    shop.ask("get_reservation", "Still held", reservation_id=held)
    shop.ask("get_reservation", "No such reservation", reservation_id="no-such-reservation")
    shop.ask("extend_reservation", "Another hour", longer, reservation_id=held)
    shop.ask("commit_reservation", "The cart is paid for", reservation_id=sold)
    shop.ask("commit_reservation", "Paid for once more", reservation_id=sold)
    shop.ask("release_reservation", "The cart is given up", reservation_id=returned)
    shop.ask("release_reservation", "It was sold", reservation_id=sold)
    shop.ask("commit_reservation", "It was given up", reservation_id=returned)
    shop.ask(
        "count_stock", "Fewer than are promised", {"sku": "TENT-2", "quantity": 1}, item_id=tent
    )
    shop.ask("delete_item", "Units are promised", query={"sku": "TENT-2"}, item_id=tent)
    shop.now += _HOUR
    shop.ask("get_reservation", "Its time is over", reservation_id=held)
    shop.ask("extend_reservation", "Too late", longer, reservation_id=held)


def _held(shop: _Shop, cart: Json) -> str:
    told = shop.ask("create_reservation", "Two tents for a cart", cart)
    reservation_id: str = told["reservation"]["reservation_id"]
    return reservation_id


def _clear_out(shop: _Shop, tent: str, spare: str) -> None:
    query = {"sku": "TENT-2"}
    seen = {"if-match": '"1-2"'}
    shop.ask("delete_item", "As it was last seen", query=query, headers=seen, item_id=spare)
    shop.ask("delete_item", "No such item", query=query, item_id=spare)
    shop.ask("delete_item", "It has changed since", query=query, headers=seen, item_id=tent)
    shop.ask("list_movements", "The ledger outlives the item", query=query, item_id=spare)
