"""
ROUTES: the one table of HTTP operations.

API Gateway, the local server, the client, OpenAPI and the deployment read it. The command of a row declares the fields and
their bounds. Fields named in the path come from the path, the others from the query (GET, DELETE) or the JSON body (POST, PUT).
"""

import logging
import re
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import frozen

from inventory.commands import (
    AdjustStock,
    BatchItems,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExtendReservation,
    GetItem,
    GetReservation,
    GetStock,
    ListItems,
    ListMovements,
    ListReservations,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import StorageError
from inventory.items import Item, ItemAt
from inventory.paging import Page
from inventory.reservations import Reservation
from inventory.service import Inventory
from inventory.stock import Movement, SkuStock, StockChange, Transfer
from inventory.validation import Spec, specs
from inventory_adapters.http.errors import row_to_wire
from inventory_adapters.http.messages import Response
from inventory_adapters.wire import (
    item_to_wire,
    level_to_wire,
    movement_to_wire,
    page_to_wire,
    reservation_to_wire,
    sku_stock_to_wire,
)

if TYPE_CHECKING:
    from inventory.batch import RowResult

__all__ = [
    "HEADER_FIELDS",
    "QUERY_ALIASES",
    "ROUTES",
    "Route",
    "find_route",
    "route_named",
]

logger = logging.getLogger("inventory_adapters.http")

C = TypeVar("C")
R = TypeVar("R")

QUERY_ALIASES: Final = {"page_token": "last_evaluated_key"}
"""Other names of query parameters. The seed's API calls the page token ``last_evaluated_key``."""

_PATH_FIELD: Final = re.compile(r"\{(\w+)\}")

HEADER_FIELDS: Final = {"if-match": "if_match", "idempotency-key": "idempotency_key"}
"""Fields of commands that travel as headers."""


@frozen
class Route(Generic[C, R]):
    """
    One operation.

    Attributes:
        method: The HTTP method.
        path: The path, with fields of the command in braces.
        command: The type of command that a request becomes.
        use_case: The use case. Its name is the operation's name everywhere: Lambda handler, function, log line, OpenAPI.
        status: The HTTP status of a success.
        answer: Returns the body and headers of a success for the result of the use case.
    """

    method: str
    path: str
    command: type[C]
    use_case: Callable[[Inventory, C], R]
    status: int
    answer: Callable[[R], Response]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of the route's paths, compiled on first use: API Gateway usually sends the path fields."""
        return re.compile(_PATH_FIELD.sub(r"(?P<\1>[^/]+)", self.path))

    @property
    def name(self) -> str:
        """The name of the operation, such as ``create_item``."""
        return self.use_case.__name__

    @cached_property
    def path_fields(self) -> tuple[str, ...]:
        """The wire names of the fields in the path."""
        return tuple(_PATH_FIELD.findall(self.path))

    @property
    def has_body(self) -> bool:
        """Whether the fields that are not in the path come in a JSON body; otherwise they come in the query."""
        return self.method in ("POST", "PUT")

    @property
    def requires_body(self) -> bool:
        """Whether a request without a body is invalid."""
        return self.has_body and any(spec.required for spec in self.sent_fields.values())

    @cached_property
    def header_fields(self) -> dict[str, str]:
        """The wire names of the fields that come in a header, by the header's lower-case name."""
        names = {spec.wire for spec in specs(self.command)}
        return {header: name for header, name in HEADER_FIELDS.items() if name in names}

    @cached_property
    def sent_fields(self) -> dict[str, Spec]:
        """The fields in the body or the query, by wire name: all that are not in the path or a header."""
        elsewhere = (*self.path_fields, *HEADER_FIELDS.values())
        return {spec.wire: spec for spec in specs(self.command) if spec.wire not in elsewhere}


def _message(subject: str, done: str | None) -> dict[str, str]:
    return {"message": f"{subject} {done} successfully"} if done else {}


def _item(done: str | None = None) -> Callable[[Item], Response]:
    def answer(item: Item) -> Response:
        body: dict[str, Any] = {**_message("Item", done), "item": item_to_wire(item)}
        if isinstance(item, ItemAt):
            body["at"] = level_to_wire(item.at)
        return Response(body=body, headers={"ETag": item.etag})

    return answer


def _deleted_item(item: Item) -> Response:
    return Response(body={**_message("Item", "deleted"), "deleted_item": item_to_wire(item)})


def _items(page: Page[Item]) -> Response:
    return Response(body=page_to_wire("items", page, item_to_wire))


def _stock_change(done: str) -> Callable[[StockChange], Response]:
    def answer(change: StockChange) -> Response:
        body = {
            **_message("Stock", done),
            "item": item_to_wire(change.item),
            "movement": movement_to_wire(change.movement),
        }
        return Response(body=body, headers={"ETag": change.item.etag})

    return answer


def _sku_stock(stock: SkuStock) -> Response:
    return Response(body=sku_stock_to_wire(stock))


def _transfer(transfer: Transfer) -> Response:
    body = {
        **_message("Stock", "transferred"),
        "from": item_to_wire(transfer.source),
        "to": item_to_wire(transfer.destination),
    }
    return Response(body=body)


def _movements(page: Page[Movement]) -> Response:
    return Response(body=page_to_wire("movements", page, movement_to_wire))


def _reservations(page: Page[Reservation]) -> Response:
    return Response(body=page_to_wire("reservations", page, reservation_to_wire))


def _reservation(done: str | None = None) -> Callable[[Reservation], Response]:
    def answer(reservation: Reservation) -> Response:
        body = {
            **_message("Reservation", done),
            "reservation": reservation_to_wire(reservation),
        }
        return Response(body=body)

    return answer


def _rows(results: "tuple[RowResult, ...]") -> Response:
    for row in results:
        if isinstance(row.error, StorageError):
            # The response leaves out details such as the name of the table or the file.
            logger.error("row %d failed", row.index, exc_info=row.error)
    return Response(body={"results": [row_to_wire(row) for row in results]})


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route("POST", "/items", CreateItem, Inventory.create_item, 201, _item("created")),
    Route("GET", "/items", ListItems, Inventory.list_items, 200, _items),
    Route("POST", "/items/batch", BatchItems, Inventory.batch_items, 200, _rows),
    Route("GET", "/items/{item_id}", GetItem, Inventory.get_item, 200, _item()),
    Route(
        "PUT",
        "/items/{item_id}",
        UpdateItem,
        Inventory.update_item,
        200,
        _item("updated"),
    ),
    Route("DELETE", "/items/{item_id}", DeleteItem, Inventory.delete_item, 200, _deleted_item),
    Route(
        "POST",
        "/items/{item_id}/adjustments",
        AdjustStock,
        Inventory.adjust_stock,
        201,
        _stock_change("adjusted"),
    ),
    Route(
        "POST",
        "/items/{item_id}/counts",
        CountStock,
        Inventory.count_stock,
        201,
        _stock_change("counted"),
    ),
    Route(
        "GET",
        "/items/{item_id}/movements",
        ListMovements,
        Inventory.list_movements,
        200,
        _movements,
    ),
    Route("GET", "/stock", GetStock, Inventory.get_stock, 200, _sku_stock),
    Route("POST", "/transfers", TransferStock, Inventory.transfer_stock, 201, _transfer),
    Route(
        "POST",
        "/reservations",
        CreateReservation,
        Inventory.create_reservation,
        201,
        _reservation("created"),
    ),
    Route(
        "GET",
        "/reservations",
        ListReservations,
        Inventory.list_reservations,
        200,
        _reservations,
    ),
    Route(
        "GET",
        "/reservations/{reservation_id}",
        GetReservation,
        Inventory.get_reservation,
        200,
        _reservation(),
    ),
    Route(
        "POST",
        "/reservations/{reservation_id}/commit",
        CommitReservation,
        Inventory.commit_reservation,
        200,
        _reservation("committed"),
    ),
    Route(
        "POST",
        "/reservations/{reservation_id}/release",
        ReleaseReservation,
        Inventory.release_reservation,
        200,
        _reservation("released"),
    ),
    Route(
        "POST",
        "/reservations/{reservation_id}/extend",
        ExtendReservation,
        Inventory.extend_reservation,
        200,
        _reservation("extended"),
    ),
)


def route_named(name: str) -> Route[Any, Any]:
    """Return the route of an operation."""
    return next(route for route in ROUTES if route.name == name)


def find_route(
    method: str, path: str
) -> tuple[Route[Any, Any] | None, dict[str, str], tuple[str, ...]]:
    """
    Return the route for *method* and *path*. As in API Gateway, a literal path takes precedence over one with fields.

    Returns:
        The route, or None; its path fields, still percent-encoded; if there is no route, the methods that *path* has.
    """
    candidates = _by_depth().get(path.count("/"), ())
    matches = [(route, match) for route in candidates if (match := route.pattern.fullmatch(path))]
    matches = [(route, match) for route, match in matches if route.path == path] or matches
    for route, match in matches:
        if route.method == method:
            return route, match.groupdict(), ()
    return None, {}, tuple(route.method for route, _ in matches)


@cache
def _by_depth() -> dict[int, tuple[Route[Any, Any], ...]]:
    """Return the routes by the number of slashes in their paths, because no path field contains a slash."""
    depths = {route.path.count("/") for route in ROUTES}
    return {
        depth: tuple(route for route in ROUTES if route.path.count("/") == depth)
        for depth in depths
    }
