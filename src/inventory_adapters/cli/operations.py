"""
Operations of the HTTP API as commands of `inventory`.

Options come from the fields of the command and responses from the route, so the command line and HTTP accept and return the
same. Records and lists of records have a short form.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import click

from inventory.commands import CreateItem, ItemRef
from inventory.errors import InventoryError
from inventory.idempotency import IdempotencyKey
from inventory.timeouts import deadline
from inventory.validation import Object, Spec, TextMap, build, specs
from inventory_adapters.cli.by_sku import ItemNames, location_options
from inventory_adapters.cli.errors import exit_code
from inventory_adapters.cli.options import JSON, NONE, TIMES, TIMEZONE, parameter
from inventory_adapters.cli.output import show_answer, show_pages
from inventory_adapters.cli.storage import Api, Storage, storage_options
from inventory_adapters.http.errors import error_body
from inventory_adapters.http.messages import Response
from inventory_adapters.http.routes import Route, route_named
from inventory_adapters.wire import to_json

if TYPE_CHECKING:
    from inventory_adapters.cli.storage import UseCases

__all__ = ["ANSWER_SECONDS", "LARGEST_PAGE", "operation_command"]

# Longer than over HTTP, because a person can interrupt the command.
ANSWER_SECONDS: Final = 10.0

LARGEST_PAGE: Final = 1000
"""Fewer, larger pages are read faster. The deployment's maximum limits this."""

_ALL: Final = click.Option(
    ["--all", "everything"], is_flag=True, help="Print all pages, each as soon as it is read."
)


def operation_command(operation: str, name: str, short_help: str) -> click.Command:
    """Return a command called *name* for an *operation* of `ROUTES`."""
    route = route_named(operation)
    fields = specs(route.command)
    # Every other operation needs an item, and a new file has none.
    missing: Literal["create", "error"] = "create" if route.command is CreateItem else "error"
    is_list = any(spec.name == "page_token" for spec in fields)

    def run(
        storage: Storage | Api, *, as_json: bool, everything: bool = False, **given: Any
    ) -> None:
        request = _request(fields, given)
        items = ItemNames(fields, request, given)
        command = build(route.command, request)
        with storage.opened(missing=missing) as inventory:
            with deadline(ANSWER_SECONDS):
                if items.look_up(inventory):
                    command = build(route.command, request)
            if is_list:
                pages = _pages(inventory, route, command, everything=everything)
                (_show_json_pages if as_json else show_pages)(pages)
                return
            answer = _answer(inventory, route, command)
        if as_json:
            click.echo(to_json(answer.body))
        else:
            show_answer(answer)
            _show_replay(command)

    # The library's docstrings write *sku* for --sku.
    run.__doc__ = re.sub(r"\*(\w+)\*", r"--\1", route.command.__doc__ or "")
    parameters = [*_parameters(fields), *location_options(fields), *([_ALL] if is_list else [])]
    return click.command(name, params=parameters, short_help=short_help)(
        storage_options()(JSON(run))
    )


def _parameters(fields: tuple[Spec, ...]) -> Iterator[click.Parameter]:
    refs = [spec for spec in fields if isinstance(spec.bound, Object)]
    for spec in fields:
        yield parameter(spec)
        if refs and spec is refs[-1]:
            yield next(parameter(part) for part in specs(ItemRef) if part.name == "sku")
    if any(spec.wire in TIMES for spec in fields):
        yield TIMEZONE


def _request(fields: tuple[Spec, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Return the options as the fields of the HTTP request."""
    request: dict[str, Any] = {}
    for spec in fields:
        value = given[spec.name]
        if isinstance(spec.bound, Object):
            value = {"sku": given["sku"], **({} if value is None else {"item_id": value})}
        if value in (None, ()):
            continue
        if isinstance(spec.bound, TextMap):
            value = dict(value)
        request[spec.wire] = None if value == NONE else value
    return request


def _answer(inventory: "UseCases", route: Route[Any, Any], command: Any) -> Response:
    with deadline(ANSWER_SECONDS):
        return route.answer(getattr(inventory, route.name)(command))


def _pages(
    inventory: "UseCases", route: Route[Any, Any], query: Any, *, everything: bool
) -> Iterator[dict[str, Any]]:
    """Yield the page of *query* and, with *everything*, all pages after it."""
    if everything and query.page_size is None:
        query = attrs.evolve(query, page_size=LARGEST_PAGE)
    while True:
        page = _answer(inventory, route, query).body
        yield page
        token = page.get("next_page_token")
        if token is None or not everything:
            return
        query = attrs.evolve(query, page_token=token)


def _show_json_pages(pages: Iterator[dict[str, Any]]) -> None:
    """
    Print *pages* as one document, each page as soon as it is read.

    An error after the first page ends the list and replaces the count:
    ``{"items": [...], "error": "...", "code": "..."}``.
    """
    first = next(pages)
    [name] = (key for key, value in first.items() if isinstance(value, list))
    click.echo(f"{{{to_json(name)}: [", nl=False)
    count = 0
    try:
        for page in chain([first], pages):
            rows = ", ".join(map(to_json, page[name]))
            click.echo(f"{', ' if count and rows else ''}{rows}", nl=False)
            count += page["count"]
    except InventoryError as error:
        click.echo(f"], {to_json(error_body(error))[1:]}")
        click.get_current_context().exit(exit_code(error))
    rest = {key: value for key, value in page.items() if key != name} | {"count": count}
    click.echo(f"], {to_json(rest)[1:]}")


def _show_replay(command: Any) -> None:
    key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
    if key is not None and key.replayed:
        click.echo(
            "This idempotency key was already used; showing the original response.", err=True
        )
