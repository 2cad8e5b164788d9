"""
The operations of the HTTP API as commands of `inventory`: options from the fields of the command, answers from the route.

What HTTP takes and says, this takes and says. Where a field is a record or a list of them, it has a short form to type.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import attrs
import click

from inventory.batch import check_unique
from inventory.commands import MAX_ROWS, PER_ROW, BatchItems, ItemRef
from inventory.errors import ValidationError
from inventory.idempotency import IdempotencyKey
from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory.validation import (
    UNSET,
    Choice,
    Flag,
    Nullable,
    PageSize,
    Record,
    Rows,
    Spec,
    Whole,
    build,
    specs,
)
from inventory_adapters.cli.output import counted, show_answer, show_list, show_page
from inventory_adapters.cli.storage import Storage, storage_options, was_typed
from inventory_adapters.http.errors import row_to_wire
from inventory_adapters.http.routes import Answer, Route, route_named
from inventory_adapters.wire import MalformedJsonError, from_json, to_json

__all__ = [
    "ANSWER_SECONDS",
    "AS_JSON",
    "JSON",
    "batch_command",
    "operation_command",
    "parameter",
    "typed_as",
]

# A person waits longer than a browser does, but not for ever.
ANSWER_SECONDS: Final = 10.0

AS_JSON: Final = "inventory.as_json"
"""Where a context's `meta` remembers that answers are wanted as JSON."""

_ARGUMENTS: Final = {"item_id", "reservation_id"}
# What is typed for a field, where it is not called as it is on the wire; the SKU of a transfer is typed once, for both sides.
_TYPED_AS: Final = {
    "last_evaluated_key": "page_token",
    "lines": "line",
    "from.sku": "sku",
    "to.sku": "sku",
    "from.item_id": "from",
    "to.item_id": "to",
}
_LINE: Final = re.compile(r"lines\[(?P<place>\d+)\]\.?(?P<field>\w*)")

# click takes None for an option that was left out.
_NONE: Final = "\0none"


def typed_as(wire: str) -> str:
    """Return what a person types for a field of a request, by the name that a `Fault` has for it."""
    if wire in _ARGUMENTS:
        return wire.upper()
    if re.match(r"items\b", wire):
        return wire  # Typed in a file, under that name.
    if line := _LINE.fullmatch(wire):
        where = f"number {int(line['place']) + 1}"
        return f"--line ({where}, {line['field']})" if line["field"] else f"--line ({where})"
    return f"--{_TYPED_AS.get(wire, wire).replace('_', '-')}"


# --- Fields → options


def parameter(spec: Spec) -> click.Parameter:
    """Return the option of a command's field; an id, which everybody types, is an argument."""
    if spec.wire in _ARGUMENTS:
        return click.Argument([spec.name])
    names = [typed_as(spec.wire), spec.name]
    if isinstance(spec.bound, Flag):
        return click.Option(names, is_flag=True, help=spec.bound.doc)
    kind, metavar = _kind(spec)
    # Shown only: left out, it would come to the same. To click, a default of None is a default, too.
    shown = isinstance(spec.default, str | int | Decimal) and str(spec.default) != ""
    default: dict[str, Any] = {"default": str(spec.default), "show_default": True} if shown else {}
    return click.Option(
        names,
        type=kind,
        metavar=metavar,
        required=spec.required,
        multiple=isinstance(spec.bound, Rows),
        help=_help(spec),
        **default,
    )


def _kind(  # noqa: PLR0911 - one for each kind of bound
    spec: Spec,
) -> "tuple[click.ParamType[Any] | Callable[[str], Any], str | None]":
    """Return how a value is read, and what help calls it; what else text may be is for its bound to say."""
    match spec.bound:
        case Whole():
            return _whole_number, "N"
        case Nullable(Whole()):
            return _number_or_none, "N|none"
        case Nullable(PageSize()):
            return click.STRING, "N"
        case Choice(options=options):
            return click.Choice(options), None
        case Record():
            return click.STRING, "ITEM_ID"
        case Rows():
            return _line, "ITEM_ID:SKU:QUANTITY"
        case _:
            return click.STRING, None


def _help(spec: Spec) -> str:
    match spec.bound:
        case Nullable(Whole()) if spec.default is UNSET:
            return f"{spec.bound.doc} none takes it away."
        case Nullable(Whole()):
            return f"{spec.bound.doc} none is the same as leaving it out."
        case Rows():
            return f"{spec.bound.doc} May be repeated."
        case _:
            return spec.bound.doc


def _whole_number(text: str) -> int:
    """Read digits, maybe after a minus; not all that Python takes for a number, such as 1_000."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise click.BadParameter(f"{text!r} is not a whole number")
    return int(text)


def _number_or_none(text: str) -> int | str:
    return _NONE if text == "none" else _whole_number(text)


def _line(text: str) -> dict[str, Any]:
    # Ids and numbers have no colon; an SKU may have several.
    item_id, _, rest = text.partition(":")
    sku, _, quantity = rest.rpartition(":")
    if not (item_id and sku and quantity):
        raise click.BadParameter(f"{text!r} is not ITEM_ID:SKU:QUANTITY")
    return {"item_id": item_id, "sku": sku, "quantity": _whole_number(quantity)}


def _remember(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's signature
    ctx.meta[AS_JSON] = value
    return value


JSON: Final = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember,
    help="Print one JSON document, as the HTTP API would; errors too.",
)
_ALL: Final = click.Option(["--all", "everything"], is_flag=True, help="All pages, as one.")


# --- Routes → commands


def operation_command(route: Route[Any, Any], name: str) -> click.Command:
    """Return the command that does what *route* does."""
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
        sent[spec.wire] = None if value == _NONE else value
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


# --- Batches


class _JsonFile(click.File):
    """A file that holds one JSON document, which is what the command gets."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            with super().convert(value, param, ctx) as file:
                return from_json(file.read())
        except UnicodeDecodeError:
            self.fail(f"{value!r} is not UTF-8 text", param, ctx)
        except (MalformedJsonError, ValidationError) as error:
            self.fail(f"{value!r} is not valid JSON: {error}", param, ctx)


def batch_command(name: str) -> click.Command:
    """Return the command that does what `BatchItems` does, with rows from a file, and as many as there are of them."""
    route = route_named("batch_items")
    fields = [spec for spec in specs(BatchItems) if spec.name != "items"]

    def run(storage: Storage, *, file: Any, as_json: bool, **given: Any) -> None:
        """
        Create and update items from FILE; - is the standard input.

        FILE holds a JSON list of rows, or {"items": [rows]}. A row with an item_id updates that item, and may have an
        if_match; the others create one. All or nothing is one write of 25 rows at most; by the row there may be any number.
        """
        sent = dict(file) if isinstance(file, dict) else {"items": file}
        if was_typed("mode"):
            sent["mode"] = given["mode"]
        chunks = list(_chunks(route, sent, given["idempotency_key"]))
        check_unique([row for chunk in chunks for row in chunk.items])
        results: list[dict[str, Any]] = []
        with storage.opened() as inventory:
            for chunk in chunks:
                with deadline(ANSWER_SECONDS):
                    done = route.use_case(inventory, chunk)
                first = len(results)
                results += [row_to_wire(attrs.evolve(row, index=first + row.index)) for row in done]
        refused = sum("error" in row for row in results)
        if as_json:
            click.echo(to_json({"results": results}))
        else:
            show_list("results", results)
            click.echo(f"{counted(len(results), 'rows')}, {refused} refused.", err=True)
        click.get_current_context().exit(1 if refused else 0)

    parameters = [
        click.Argument(["file"], type=_JsonFile(encoding="utf-8-sig")),
        *map(parameter, fields),
    ]
    return click.command(name, params=parameters)(storage_options()(JSON(run)))


def _chunks(route: Route[Any, Any], sent: dict[str, Any], key: str | None) -> Iterator[BatchItems]:
    """Yield the whole batch or, by the row, batches of as many rows as one may have."""
    rows = sent.get("items")
    if sent.get("mode") == PER_ROW and isinstance(rows, list) and rows:
        starts = range(0, len(rows), MAX_ROWS)
        chunks = [{**sent, "items": rows[first : first + MAX_ROWS]} for first in starts]
    else:
        chunks = [sent]
    for number, chunk in enumerate(chunks):
        # The rows of each batch count from 0: after the first, a scope of its own keeps the keys of its rows apart.
        keyed = IdempotencyKey(key, scope=f"batch {number}") if key and number else key
        elsewhere = {} if keyed is None else {"idempotency_key": keyed}
        yield build(BatchItems, chunk, elsewhere, allowed=route.sent_fields)
