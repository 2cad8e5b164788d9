"""What people see of an answer: tables on stdout; counts, hints and progress on stderr."""

import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import click

from inventory_adapters.http.routes import Answer

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["counted", "printable", "show_answer", "show_list", "show_page", "show_progress"]

# What each list shows, by its name in the JSON document: the fields, and their headings.
_COLUMNS: Final[dict[str, dict[str, str]]] = {
    "items": {
        "sku": "SKU",
        "name": "Name",
        "category": "Category",
        "location": "Location",
        "status": "Status",
        "available": "Available",
        "quantity": "On hand",
        "reorder_point": "Reorder at",
        "price": "Price",
        "item_id": "Item id",
    },
    "movements": {
        "seq": "Seq",
        "kind": "Kind",
        "delta_on_hand": "Came",
        "on_hand": "On hand",
        "delta_reserved": "Promised",
        "reserved": "Reserved",
        "recorded_at": "Recorded at",
        "reason": "Reason",
        "reference": "Reference",
        "reservation_id": "Reservation",
    },
    "results": {
        "index": "Row",
        "status": "Status",
        "sku": "SKU",
        "item_id": "Item id",
        "version": "Version",
        "seq": "Seq",
        "error": "Error",
    },
    "drifts": {
        "sku": "SKU",
        "on_hand": "On hand",
        "ledger_on_hand": "Ledger: on hand",
        "reserved": "Reserved",
        "ledger_reserved": "Ledger: reserved",
        "promised": "Held by reservations",
        "seq": "Seq",
        "ledger_seq": "Ledger: seq",
        "gaps": "Gaps at",
        "corrected": "Corrected",
        "item_id": "Item id",
    },
}
_NUMBERS: Final = {
    *("available", "quantity", "reorder_point", "price"),
    *("seq", "delta_on_hand", "on_hand", "delta_reserved", "reserved", "index", "version"),
    *("ledger_on_hand", "ledger_reserved", "ledger_seq", "promised"),
}

# Wider than any row: a row is one line, whether a terminal, grep or wc reads it.
_ANY_WIDTH: Final = 100_000


def show_page(body: dict[str, Any]) -> None:
    """Print a page, ``{"items": [...], "count": 20, "next_page_token": "..."}``, and say how to get the next one."""
    [name] = body.keys() & _COLUMNS.keys()
    show_list(name, body[name])
    # Not on stdout: whoever counts lines counts rows.
    found = counted(body["count"], name)
    if token := body.get("next_page_token"):
        click.echo(f"{found}, and there are more: add --page-token {token}, or --all.", err=True)
    else:
        click.echo(f"{found}.", err=True)


def counted(count: int, things: str) -> str:
    """Return ``1 item`` or ``3 items``."""
    return f"{count} {things[:-1] if count == 1 else things}"


def show_list(name: str, rows: Iterable[dict[str, Any]]) -> None:
    """Print *rows* as the columns that a list of this *name* has."""
    from rich.table import Table  # noqa: PLC0415 - takes its time

    columns = _COLUMNS[name]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for field, heading in columns.items():
        table.add_column(heading, justify="right" if field in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_plain(_signed(field, row.get(field))) for field in columns))
    _show(table, width=_ANY_WIDTH)


def show_answer(answer: Answer) -> None:
    """Print what an answer says, then each thing that it shows, field by field, under its name if there are several."""
    parts = dict(answer.body)
    if message := parts.pop("message", None):
        click.echo(message)
    for name, part in parts.items():
        if len(parts) > 1:
            click.echo(f"\n{name}")
        _show_fields({**part, "etag": answer.etag} if name == "item" else part)


def _show_fields(part: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - takes its time

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(part):
        table.add_row(name, _plain(_signed(name, value)))
    _show(table, width=None if sys.stdout.isatty() else _ANY_WIDTH)


def _flat(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values; of a reservation, each line as it would be typed."""
    for name, value in part.items():
        if name == "lines":
            for line in value:
                yield "line", f"{line['item_id']}:{line['sku']}:{line['quantity']}"
        else:
            yield name, value


def show_progress(text: str) -> None:
    """Tell a person at a terminal how far we are, in place of what was told before; `""` takes it away."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _signed(field: str, value: Any) -> Any:
    return f"{value:+}" if value and field.startswith("delta_") else value


def _plain(value: Any) -> str:
    """Return *value* as text that rich does not take for markup."""
    from rich.markup import escape  # noqa: PLC0415 - takes its time

    match value:
        case None | []:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case Decimal():
            text = f"{value:f}"
        case list():
            text = ", ".join(map(str, value))
        case _:
            text = str(value)
    return escape(printable(text))


def printable(text: str) -> str:
    """Return *text* without anything that a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _show(table: "Table", *, width: int | None) -> None:
    """Print *table* in lines of at most *width*; None for the width of the terminal."""
    from rich.console import Console  # noqa: PLC0415 - takes its time

    # Not printed by rich, which has an exit code of its own for a closed pipe.
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=sys.stdout.isatty(), width=width, emoji=False)
    console.print(table, highlight=False)
    for line in drawn.getvalue().splitlines():
        click.echo(line.rstrip())
