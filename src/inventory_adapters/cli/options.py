"""Options of commands: one for each field of a command or query, and `--json`."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import click

from inventory.validation import (
    UNSET,
    Boolean,
    Choice,
    Integer,
    List,
    Money,
    Nullable,
    Object,
    PageSize,
    Spec,
)

__all__ = ["AS_JSON", "JSON", "NONE", "parameter", "typed_as"]

AS_JSON: Final = "inventory.as_json"
"""The key of a context's `meta` that is set for `--json`."""

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
NONE: Final = "\0none"


def typed_as(wire: str) -> str:
    """Return the option or argument of a field, by its name in a `FieldError`."""
    if wire in _ARGUMENTS:
        return wire.upper()
    if re.match(r"items\b", wire):
        return wire  # Typed in a file, under that name.
    if line := _LINE.fullmatch(wire):
        where = f"number {int(line['place']) + 1}"
        return f"--line ({where}, {line['field']})" if line["field"] else f"--line ({where})"
    return f"--{_TYPED_AS.get(wire, wire).replace('_', '-')}"


def parameter(spec: Spec) -> click.Parameter:
    """Return the option of a command's field; an id, which is always required, is an argument."""
    if spec.wire in _ARGUMENTS:
        return click.Argument([spec.name])
    names = [typed_as(spec.wire), spec.name]
    if isinstance(spec.bound, Boolean):
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
        multiple=isinstance(spec.bound, List),
        help=_help(spec),
        **default,
    )


def _kind(  # noqa: PLR0911 - one for each kind of bound
    spec: Spec,
) -> "tuple[click.ParamType[Any] | Callable[[str], Any], str | None]":
    """Return how a value is read, and what help calls it; what else text may be is for its bound to say."""
    match spec.bound:
        case Integer():
            return _whole_number, "N"
        case Nullable(Integer()):
            return _number_or_none, "N|none"
        case Nullable(PageSize()):
            return click.STRING, "N"
        case Money():
            return click.STRING, "AMOUNT"
        case Choice(options=options) | Nullable(Choice(options=options)):
            return click.Choice(options), None
        case Object():
            return click.STRING, "ITEM_ID"
        case List():
            return _line, "ITEM_ID:SKU:QUANTITY"
        case _:
            return click.STRING, None


def _help(spec: Spec) -> str:
    match spec.bound:
        case _ if spec.name == "page_token":
            return "Continue after the page that printed this token."
        case Nullable(Integer()) if spec.default is UNSET:
            return f"{spec.bound.doc} `none` clears it."
        case Nullable(Integer()):
            return f"{spec.bound.doc} Default: `none`."
        case List():
            return f"{spec.bound.doc} Can be repeated."
        case _:
            return spec.bound.doc


def _whole_number(text: str) -> int:
    """Read digits, maybe after a minus; not all that Python takes for a number, such as 1_000."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise click.BadParameter(f"{text!r} is not a whole number")
    return int(text)


def _number_or_none(text: str) -> int | str:
    if text == "none":
        return NONE
    try:
        return _whole_number(text)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message} or none") from None


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
    help="Print the JSON document of the HTTP API, for errors too.",
)
