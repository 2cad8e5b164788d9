"""`inventory items`: create, read, list, update and delete items, and batches of them."""

from collections.abc import Iterator
from typing import Any

import attrs
import click

from inventory.batch import check_unique
from inventory.commands import MAX_ROWS, PER_ROW, BatchItems
from inventory.errors import ValidationError
from inventory.idempotency import IdempotencyKey
from inventory.timeouts import deadline
from inventory.validation import build, specs
from inventory_adapters.cli.errors import REJECTED
from inventory_adapters.cli.operations import ANSWER_SECONDS, operation_command
from inventory_adapters.cli.options import JSON, parameter
from inventory_adapters.cli.output import counted, show_list
from inventory_adapters.cli.storage import Api, Storage, storage_options, was_typed
from inventory_adapters.http.errors import row_to_wire
from inventory_adapters.http.routes import Route, route_named
from inventory_adapters.wire import MalformedJsonError, from_json, to_json

__all__ = ["items"]


@click.group()
def items() -> None:
    """Create, list, update and delete items."""


items.add_command(operation_command("create_item", "create", "Create an item."))
items.add_command(operation_command("get_item", "get", "Show an item."))
items.add_command(operation_command("list_items", "list", "List items."))
items.add_command(operation_command("update_item", "update", "Update fields of an item."))
items.add_command(operation_command("delete_item", "delete", "Delete an item."))


class _JsonFile(click.File):
    """A file with one JSON document, parsed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            with super().convert(value, param, ctx) as file:
                return from_json(file.read())
        except UnicodeDecodeError:
            self.fail(f"{value!r} is not UTF-8 text", param, ctx)
        except (MalformedJsonError, ValidationError) as error:
            self.fail(f"{value!r} is not valid JSON: {error}", param, ctx)


@items.command(
    "batch",
    short_help="Create and update items from a JSON file.",
    params=[
        click.Argument(["file"], type=_JsonFile(encoding="utf-8-sig")),
        *(parameter(spec) for spec in specs(BatchItems) if spec.name != "items"),
    ],
)
@storage_options()
@JSON
def batch(storage: Storage | Api, *, file: Any, as_json: bool, **given: Any) -> None:
    """
    Create and update items from a JSON FILE (use - for stdin).

    FILE holds a list of rows, or {"items": [rows]}. A row with an item_id updates that item, and may have an if_match;
    a row without one creates an item. With all_or_nothing, a batch has up to 25 rows and is applied whole or not at all;
    with per_row, it has any number of rows, and a rejected row does not affect the others.

    Exits with 1 if a row was rejected.
    """
    route = route_named("batch_items")
    body = dict(file) if isinstance(file, dict) else {"items": file}
    if was_typed("mode"):
        body["mode"] = given["mode"]
    chunks = list(_chunks(route, body, given["idempotency_key"]))
    check_unique([row for chunk in chunks for row in chunk.items])
    results: list[dict[str, Any]] = []
    with storage.opened(missing="create") as inventory:
        for chunk in chunks:
            with deadline(ANSWER_SECONDS):
                rows = inventory.batch_items(chunk)
            first = len(results)
            results += [row_to_wire(attrs.evolve(row, index=first + row.index)) for row in rows]
    rejected = sum("error" in row for row in results)
    if as_json:
        click.echo(to_json({"results": results}))
    else:
        show_list("results", results)
        click.echo(f"{counted(len(results), 'rows')}, {rejected} rejected.", err=True)
    click.get_current_context().exit(REJECTED if rejected else 0)


def _chunks(route: Route[Any, Any], body: dict[str, Any], key: str | None) -> Iterator[BatchItems]:
    """Yield the whole batch; with the mode per_row, batches of the maximum size."""
    rows = body.get("items")
    if body.get("mode") == PER_ROW and isinstance(rows, list) and rows:
        starts = range(0, len(rows), MAX_ROWS)
        chunks = [{**body, "items": rows[first : first + MAX_ROWS]} for first in starts]
    else:
        chunks = [body]
    for number, chunk in enumerate(chunks):
        # The keys of rows contain their index, which starts at 0 in each batch, so each later batch has its own scope.
        keyed = IdempotencyKey(key, scope=f"batch {number}") if key and number else key
        headers = {} if keyed is None else {"idempotency_key": keyed}
        yield build(BatchItems, chunk, headers, allowed=route.sent_fields)
