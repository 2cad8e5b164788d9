"""Options of commands: one for each field of a command or query, and `--json`."""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from inventory.items import Timestamp
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
    TextMap,
)

__all__ = ["AS_JSON", "JSON", "NONE", "TIMES", "TIMEZONE", "is_list", "parameter", "typed_as"]

AS_JSON: Final = "inventory.as_json"
"""The key of `--json` in a context's `meta`."""

_ARGUMENTS: Final = {"item_id", "reservation_id"}
# Options whose name differs from the field's. A transfer has one --sku for both sides.
_TYPED_AS: Final = {
    "last_evaluated_key": "page_token",
    "attributes": "set",
    "lines": "line",
    "from.sku": "sku",
    "to.sku": "sku",
    "from.item_id": "from",
    "to.item_id": "to",
}
TIMES: Final = {"at": "end", "since": "start", "until": "end"}
"""The fields that are times, and the part of a day that a date stands for."""

_ZONE: Final = "inventory.zone"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LINE: Final = re.compile(r"lines\[(?P<index>\d+)\]\.?(?P<field>\w*)")

# A value of its own, because None means to click that the option is absent.
NONE: Final = "\0none"


def typed_as(wire: str) -> str:
    """Return the option or argument of the field that a `FieldError` names."""
    if wire in _ARGUMENTS:
        return wire.upper()
    if re.match(r"items\b", wire):
        return wire  # From a file, which uses this name.
    if wire.startswith("attributes."):
        return f"--set ({wire.removeprefix('attributes.')})"
    if line := _LINE.fullmatch(wire):
        number = f"number {int(line['index']) + 1}"
        return f"--line ({number}, {line['field']})" if line["field"] else f"--line ({number})"
    return f"--{_TYPED_AS.get(wire, wire).replace('_', '-')}"


def parameter(spec: Spec) -> click.Parameter:
    """Return the option of a field, or its argument if the field is an id."""
    if spec.wire in _ARGUMENTS:
        # An item can also be named by its SKU alone.
        return click.Argument([spec.name], required=spec.wire != "item_id")
    names = [typed_as(spec.wire), spec.name]
    if isinstance(spec.bound, Boolean):
        return click.Option(names, is_flag=True, help=spec.bound.doc)
    kind, metavar = _kind(spec)
    # Only to show it: the command has the same default. Without one, click must get no `default` at all.
    shown = isinstance(spec.default, str | int | Decimal) and str(spec.default) != ""
    default: dict[str, Any] = {"default": str(spec.default), "show_default": True} if shown else {}
    return click.Option(
        names,
        type=kind,
        metavar=metavar,
        required=spec.required and not isinstance(spec.bound, Object),
        multiple=_is_repeated(spec.bound),
        help=_help(spec),
        **default,
    )


def is_list(bound: Any) -> bool:
    """Return whether a bound is that of lines."""
    return isinstance(bound.bound if isinstance(bound, Nullable) else bound, List)


def _is_repeated(bound: Any) -> bool:
    return is_list(bound) or isinstance(bound, TextMap)


def _kind(spec: Spec) -> "tuple[click.ParamType[Any] | Callable[[str], Any], str | None]":
    """Return the type and the metavar of an option; the field's bound checks the value."""
    kind: click.ParamType[Any] | Callable[[str], Any] = click.STRING
    metavar = None
    match spec.bound:
        case Integer():
            kind, metavar = _integer, "N"
        case Nullable(Integer()):
            kind, metavar = _integer_or_none, "N|none"
        case Nullable(PageSize()):
            metavar = "N"
        case Money():
            metavar = "AMOUNT"
        case Choice(options=options) | Nullable(Choice(options=options)):
            kind = click.Choice(options)
        case Object():
            metavar = "ITEM_ID"
        case _ if is_list(spec.bound):
            kind, metavar = _line, "[ITEM_ID:]SKU:QUANTITY"
        case TextMap():
            kind, metavar = _named_text, "NAME=TEXT"
        case _ if spec.wire in TIMES:
            kind, metavar = _start if TIMES[spec.wire] == "start" else _end, "DATE|TIME"
    return kind, metavar


def _help(spec: Spec) -> str:
    note = ""
    match spec.bound:
        case _ if spec.name == "page_token":
            return "Continue after the page that printed this token."
        case Nullable(Integer()):
            note = " `none` clears it." if spec.default is UNSET else " Default: `none`."
        case TextMap(may_be_null=True):
            note = " `NAME=` removes one. Can be repeated."
        case _ if _is_repeated(spec.bound):
            note = " Can be repeated."
        case _ if spec.wire in TIMES:
            note = f" A date is the {TIMES[spec.wire]} of that day."
    return f"{spec.bound.doc}{note}"


def _integer(text: str) -> int:
    """Parse digits with an optional minus sign, without the other forms of `int`, such as 1_000."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise click.BadParameter(f"{text!r} is not a whole number")
    return int(text)


def _integer_or_none(text: str) -> int | str:
    if text == "none":
        return NONE
    try:
        return _integer(text)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message} or none") from None


def _line(text: str) -> dict[str, Any]:
    # Ids and numbers have no colons, but an SKU may have several; then the id is needed.
    name, _, quantity = text.rpartition(":")
    item_id, colon, sku = name.partition(":")
    if not (item_id and quantity) or (colon and not sku):
        raise click.BadParameter(f"{text!r} is not ITEM_ID:SKU:QUANTITY or SKU:QUANTITY")
    item = {"item_id": item_id, "sku": sku} if colon else {"sku": item_id}
    return {**item, "quantity": _integer(quantity)}


def _named_text(text: str) -> tuple[str, str | None]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise click.BadParameter(f"{text!r} is not NAME=TEXT")
    return name, value or None


def _start(text: str, *, days: int = 0) -> str:
    """Return the time at which a date, or the one some *days* later, starts; the field's bound checks other texts."""
    if not _DATE.fullmatch(text):
        return text
    zone = click.get_current_context().meta[_ZONE]
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        # A time without a zone is one of the machine's.
        return Timestamp.of(datetime.combine(day, time.min, zone).astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is not a date") from None


def _end(text: str) -> str:
    """Return the last microsecond of a date."""
    next_day = _start(text, days=1)
    if next_day == text:
        return text
    return Timestamp.of(Timestamp(next_day).as_datetime() - timedelta.resolution)


def _remember_zone(ctx: click.Context, _option: click.Parameter, name: str | None) -> None:
    try:
        ctx.meta[_ZONE] = None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"{name!r} is not a time zone such as Europe/Berlin") from None


def _remember(ctx: click.Context, _option: click.Parameter, value: Any) -> Any:
    ctx.meta[AS_JSON] = value
    return value


TIMEZONE: Final = click.Option(
    ["--timezone"],
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_remember_zone,
    show_default="that of this machine",
    help="Time zone of a date, such as Europe/Berlin.",
)
JSON: Final = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember,
    help="Print the JSON document of the HTTP API, for errors too.",
)
