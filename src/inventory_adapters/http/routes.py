"""
ROUTES: the one table of what can be asked over HTTP.

Gateway, local server, OpenAPI and deployment read it. A row's command says which fields there are and what they may hold; those
named in the path come from there, the others from the query of a GET or DELETE and from the JSON body of a POST or PUT.
"""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from attrs import field, frozen

from inventory.commands import CreateItem, DeleteItem, GetItem, ListItems, UpdateItem
from inventory.fields import Spec, specs
from inventory.items import Item
from inventory.paging import Page
from inventory.service import Inventory
from inventory_adapters.converters import item_to_wire, page_to_wire

__all__ = ["QUERY_ALIASES", "ROUTES", "Answer", "Route", "find_route", "route_named"]

C = TypeVar("C")
R = TypeVar("R")

QUERY_ALIASES: Final = {"page_token": "last_evaluated_key"}
"""Other names of query parameters: the token came to be called after what it replaces."""


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
    pattern: re.Pattern[str] = field(init=False, repr=False, eq=False)

    @pattern.default
    def _pattern_of_path(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))

    @property
    def name(self) -> str:
        """What the operation is called: ``create_item``."""
        return self.use_case.__name__

    @cached_property
    def path_fields(self) -> tuple[str, ...]:
        """The fields that come from the path, by their names on the wire."""
        return tuple(self.pattern.groupindex)

    @property
    def has_body(self) -> bool:
        """Whether the fields that are not in the path come as a JSON body; else they come in the query."""
        return self.method in ("POST", "PUT")

    @cached_property
    def takes_if_match(self) -> bool:
        """Whether the request may be conditional on the state of the item."""
        return any(spec.wire == "if_match" for spec in specs(self.command))

    @cached_property
    def sent_fields(self) -> dict[str, Spec]:
        """The fields, by name, that come in the body or the query: those that no other part of the request carries."""
        elsewhere = (*self.path_fields, "if_match")
        return {spec.wire: spec for spec in specs(self.command) if spec.wire not in elsewhere}


def _item(message: str | None = None) -> Callable[[Item], Answer]:
    def answer(item: Item) -> Answer:
        body = {"item": item_to_wire(item)}
        return Answer({"message": message, **body} if message else body, etag=item.etag)

    return answer


def _deleted_item(item: Item) -> Answer:
    return Answer({"message": "Item deleted successfully", "deleted_item": item_to_wire(item)})


def _items(page: Page[Item]) -> Answer:
    return Answer(page_to_wire("items", page, item_to_wire))


ROUTES = (
    Route(
        "POST", "/items", CreateItem, Inventory.create_item, 201, _item("Item created successfully")
    ),
    Route("GET", "/items", ListItems, Inventory.list_items, 200, _items),
    Route("GET", "/items/{item_id}", GetItem, Inventory.get_item, 200, _item()),
    Route(
        "PUT",
        "/items/{item_id}",
        UpdateItem,
        Inventory.update_item,
        200,
        _item("Item updated successfully"),
    ),
    Route("DELETE", "/items/{item_id}", DeleteItem, Inventory.delete_item, 200, _deleted_item),
)


def route_named(name: str) -> Route[Any, Any]:
    """Return the route of an operation."""
    return next(route for route in _all() if route.name == name)


def find_route(
    method: str, path: str
) -> tuple[Route[Any, Any] | None, dict[str, str], tuple[str, ...]]:
    """
    Find what answers *method* on *path*.

    Returns:
        The route, or None; its path fields as they stand in the path, still percent-encoded; the methods that *path* has.
    """
    methods = []
    for route in _all():
        if match := route.pattern.fullmatch(path):
            if route.method == method:
                return route, match.groupdict(), ()
            methods.append(route.method)
    return None, {}, tuple(methods)


def _all() -> Iterator[Route[Any, Any]]:
    yield from ROUTES
