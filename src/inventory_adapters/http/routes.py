"""
ROUTES: the one table of what can be asked over HTTP.

Gateway, local server, OpenAPI and deployment read it. A row's command says which fields there are and what they may hold; those
named in the path come from there, the others from the query of a GET or DELETE and from the JSON body of a POST or PUT.
"""

import logging
import re
from collections.abc import Callable, Iterator
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
    ListItems,
    ListMovements,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import StorageError
from inventory.items import Item
from inventory.paging import Page
from inventory.reservations import Reservation
from inventory.service import Inventory
from inventory.stock import Movement, StockChange, Transfer
from inventory.validation import Spec, specs
from inventory_adapters.http.errors import row_to_wire
from inventory_adapters.wire import (
    item_to_wire,
    movement_to_wire,
    page_to_wire,
    reservation_to_wire,
)

if TYPE_CHECKING:
    from inventory.batch import RowResult

__all__ = [
    "HEADER_FIELDS",
    "QUERY_ALIASES",
    "ROUTES",
    "Answer",
    "Route",
    "find_route",
    "route_named",
]

logger = logging.getLogger("inventory_adapters.http")

C = TypeVar("C")
R = TypeVar("R")

QUERY_ALIASES: Final = {"page_token": "last_evaluated_key"}
"""Other names of query parameters: the token came to be called after what it replaces."""

_PATH_FIELD: Final = re.compile(r"\{(\w+)\}")

HEADER_FIELDS: Final = {"if-match": "if_match", "idempotency-key": "idempotency_key"}
"""Fields of commands that travel as headers."""


@frozen
class Answer:
    """
    What a use case's result looks like on the wire.

    Attributes:
        body: To be written as JSON.
        etag: The state of the item that the answer shows.
    """

    body: dict[str, Any]
    etag: str | None = None


@frozen
class Route(Generic[C, R]):
    """
    One operation.

    Attributes:
        method: The HTTP method.
        path: The path, with fields of the command in braces.
        command: What the request is made into.
        use_case: What answers it. Its name names the operation everywhere: Lambda entry, function, log line, OpenAPI.
        status: The status of a success.
        answer: Makes the body of a success.
    """

    method: str
    path: str
    command: type[C]
    use_case: Callable[[Inventory, C], R]
    status: int
    answer: Callable[[R], Answer]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a path of this route looks like; made when it is asked for, which in Lambda it hardly is."""
        return re.compile(_PATH_FIELD.sub(r"(?P<\1>[^/]+)", self.path))

    @property
    def name(self) -> str:
        """What the operation is called: ``create_item``."""
        return self.use_case.__name__

    @cached_property
    def path_fields(self) -> tuple[str, ...]:
        """The fields that come from the path, by their names on the wire."""
        return tuple(_PATH_FIELD.findall(self.path))

    @property
    def has_body(self) -> bool:
        """Whether the fields that are not in the path come as a JSON body; else they come in the query."""
        return self.method in ("POST", "PUT")

    @cached_property
    def header_fields(self) -> dict[str, str]:
        """The fields that come from a header, by its lower-case name."""
        taken = {spec.wire for spec in specs(self.command)}
        return {header: name for header, name in HEADER_FIELDS.items() if name in taken}

    @cached_property
    def sent_fields(self) -> dict[str, Spec]:
        """The fields, by name, that come in the body or the query: those that no other part of the request carries."""
        elsewhere = (*self.path_fields, *HEADER_FIELDS.values())
        return {spec.wire: spec for spec in specs(self.command) if spec.wire not in elsewhere}


def _message(what: str, done: str | None) -> dict[str, str]:
    return {"message": f"{what} {done} successfully"} if done else {}


def _item(done: str | None = None) -> Callable[[Item], Answer]:
    def answer(item: Item) -> Answer:
        return Answer({**_message("Item", done), "item": item_to_wire(item)}, etag=item.etag)

    return answer


def _deleted_item(item: Item) -> Answer:
    return Answer({**_message("Item", "deleted"), "deleted_item": item_to_wire(item)})


def _items(page: Page[Item]) -> Answer:
    return Answer(page_to_wire("items", page, item_to_wire))


def _stock_change(done: str) -> Callable[[StockChange], Answer]:
    def answer(change: StockChange) -> Answer:
        body = {
            **_message("Stock", done),
            "item": item_to_wire(change.item),
            "movement": movement_to_wire(change.movement),
        }
        return Answer(body, etag=change.item.etag)

    return answer


def _transfer(transfer: Transfer) -> Answer:
    return Answer(
        {
            **_message("Stock", "transferred"),
            "from": item_to_wire(transfer.source),
            "to": item_to_wire(transfer.destination),
        }
    )


def _movements(page: Page[Movement]) -> Answer:
    return Answer(page_to_wire("movements", page, movement_to_wire))


def _reservation(done: str | None = None) -> Callable[[Reservation], Answer]:
    def answer(reservation: Reservation) -> Answer:
        shown = {"reservation": reservation_to_wire(reservation)}
        return Answer({**_message("Reservation", done), **shown})

    return answer


def _rows(results: "tuple[RowResult, ...]") -> Answer:
    for row in results:
        if isinstance(row.error, StorageError):
            # The answer does not name the table or the file.
            logger.error("row %d failed", row.index, exc_info=row.error)
    return Answer({"results": [row_to_wire(row) for row in results]})


# What each operation is called in code, on the wire and in the deployment; `Route.path` uses the names of the fields.
ROUTES = (
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
    return next(route for route in _all() if route.name == name)


def find_route(
    method: str, path: str
) -> tuple[Route[Any, Any] | None, dict[str, str], tuple[str, ...]]:
    """
    Find what answers *method* on *path*. A path that a route names literally is no other route's, as in API Gateway.

    Returns:
        The route, or None; its path fields as they stand in the path, still percent-encoded; the methods that *path* has.
    """
    candidates = _by_depth().get(path.count("/"), ())
    matches = [(route, match) for route in candidates if (match := route.pattern.fullmatch(path))]
    literal = [(route, match) for route, match in matches if route.path == path]
    there = literal or matches
    for route, match in there:
        if route.method == method:
            return route, match.groupdict(), ()
    return None, {}, tuple(route.method for route, _ in there)


@cache
def _by_depth() -> dict[int, tuple[Route[Any, Any], ...]]:
    """Return the routes by the number of slashes in their paths: no field of a path has one."""
    depths = {route.path.count("/") for route in _all()}
    return {it: tuple(one for one in _all() if one.path.count("/") == it) for it in depths}


def _all() -> Iterator[Route[Any, Any]]:
    yield from ROUTES
