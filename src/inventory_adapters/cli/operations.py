"""
The operations of the HTTP API as commands of `inventory`: options from the fields of the command, answers from the route.

What HTTP takes and says, this takes and says. Where a field is a record or a list of them, it has a short form to type.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import click

from inventory.commands import ItemRef
from inventory.idempotency import IdempotencyKey
from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory.validation import Record, Spec, build, specs
from inventory_adapters.cli.options import JSON, NONE, parameter
from inventory_adapters.cli.output import show_answer, show_page
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.http.routes import Answer, Route, route_named
from inventory_adapters.wire import to_json

__all__ = ["ANSWER_SECONDS", "operation_command"]

# A person waits longer than a browser does, but not for ever.
ANSWER_SECONDS: Final = 10.0

_ALL: Final = click.Option(["--all", "everything"], is_flag=True, help="All pages, as one.")


def operation_command(operation: str, name: str) -> click.Command:
    """Return the command called *name*, which does the *operation* of ROUTES."""
    route = route_named(operation)
    fields = specs(route.command)
    is_list = any(spec.name == "page_token" for spec in fields)

    def run(storage: Storage, *, as_json: bool, everything: bool = False, **given: Any) -> None:
        command = build(route.command, _sent(fields, given))
        with storage.opened() as inventory:
            answer = (_walk if everything else _ask)(inventory, route, command)
        if as_json:
            click.echo(to_json(answer.body))
        elif is_list:
            show_page(answer.body)
        else:
            show_answer(answer)
            _tell_of_replay(command)

    # *sku* of the library is --sku here.
    run.__doc__ = re.sub(r"\*(\w+)\*", r"--\1", route.command.__doc__ or "")
    parameters = [*_parameters(fields), *([_ALL] if is_list else [])]
    return click.command(name, params=parameters)(storage_options()(JSON(run)))


def _parameters(fields: tuple[Spec, ...]) -> Iterator[click.Parameter]:
    refs = [spec for spec in fields if isinstance(spec.bound, Record)]
    for spec in fields:
        yield parameter(spec)
        if refs and spec is refs[-1]:
            yield next(parameter(part) for part in specs(ItemRef) if part.name == "sku")


def _sent(fields: tuple[Spec, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Return what was typed as the HTTP API would have it."""
    sent: dict[str, Any] = {}
    for spec in fields:
        value = given[spec.name]
        if value is None:
            continue
        if isinstance(spec.bound, Record):
            value = {"item_id": value, "sku": given["sku"]}
        sent[spec.wire] = None if value == NONE else value
    return sent


def _ask(inventory: Inventory, route: Route[Any, Any], command: Any) -> Answer:
    with deadline(ANSWER_SECONDS):
        return route.answer(route.use_case(inventory, command))


def _walk(inventory: Inventory, route: Route[Any, Any], query: Any) -> Answer:
    """Return all pages from the one that is asked for on, as if they were one."""
    rows: list[dict[str, Any]] = []
    while True:
        body = dict(_ask(inventory, route, query).body)
        del body["count"]
        token = body.pop("next_page_token", None)
        [(name, page)] = body.items()
        rows += page
        if token is None:
            return Answer({name: rows, "count": len(rows)})
        query = attrs.evolve(query, page_token=token)


def _tell_of_replay(command: Any) -> None:
    key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
    if key is not None and key.replayed:
        click.echo("Done before under this key: this is the answer of then.", err=True)
