"""
Responses as text: tables on stdout; counts, hints and progress on stderr.

A row is one line regardless of the terminal's width, because an id that is cut or wrapped cannot be copied.
"""

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import click

from inventory_adapters.http.messages import Response

__all__ = [
    "Table",
    "counted",
    "printable",
    "show_answer",
    "show_list",
    "show_pages",
    "show_progress",
]

# The fields of each list and their headings, by the list's name in the JSON document.
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
        "actor": "Actor",
        "delta_on_hand": "On hand +/-",
        "on_hand": "On hand",
        "delta_reserved": "Reserved +/-",
        "reserved": "Reserved",
        "recorded_at": "Recorded at",
        "reason": "Reason",
        "reference": "Reference",
        "reservation_id": "Reservation",
    },
    "reservations": {
        "reservation_id": "Reservation",
        "lines": "Lines",
        "reference": "Reference",
        "expires_at": "Expires at",
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
    "webhooks": {
        "name": "Name",
        "target": "Target",
        "pending": "Pending",
        "parked": "Parked",
        "failing_since": "Failing since",
        "retry_at": "Next attempt",
    },
    "drifts": {
        "sku": "SKU",
        "on_hand": "On hand",
        "ledger_on_hand": "Ledger: on hand",
        "reserved": "Reserved",
        "ledger_reserved": "Ledger: reserved",
        "held": "Held by reservations",
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
    *("ledger_on_hand", "ledger_reserved", "ledger_seq", "held", "pending", "parked"),
}

_GAP: Final = "  "


class Table:
    """
    The columns of a list, printed as its rows arrive.

    A column is as wide as its longest value so far; a longer value widens it from its page on. So a list of any length is
    printed in constant memory.

    Args:
        name: The name of the list in the JSON document.
        err: Whether to print on stderr.
    """

    def __init__(self, name: str, *, err: bool = False) -> None:
        self._err = err
        self._columns = _COLUMNS[name]
        self._widths = dict.fromkeys(self._columns, 0)
        self._has_heading = False

    def show(self, rows: Iterable[dict[str, Any]]) -> None:
        """Print *rows* at once, the first ones after a heading."""
        lines = [{field: _text(field, row.get(field)) for field in self._columns} for row in rows]
        for line in (self._columns, *lines):
            for field, text in line.items():
                self._widths[field] = max(self._widths[field], _width(text))
        printed = [self._line(line) for line in lines]
        if not self._has_heading:
            self._has_heading = True
            printed.insert(0, _bold(self._line(self._columns)))
        if printed:
            click.echo("\n".join(printed), err=self._err)

    def _line(self, texts: dict[str, str]) -> str:
        cells = (
            _padded(text, self._widths[field], right=field in _NUMBERS)
            for field, text in texts.items()
        )
        return _GAP.join(cells).rstrip()


def show_list(name: str, rows: Iterable[dict[str, Any]], *, err: bool = False) -> None:
    """Print *rows* as a table of the list called *name*."""
    Table(name, err=err).show(rows)


def show_pages(pages: Iterable[dict[str, Any]]) -> None:
    """
    Print each page as soon as it is read, then the number of rows and the option for the next page on stderr.

    Args:
        pages: At least one, each ``{"items": [...], "count": 20, "next_page_token": "..."}``.
    """
    table: Table | None = None
    count = 0
    for page in pages:
        [name] = page.keys() & _COLUMNS.keys()
        table = table or Table(name)
        table.show(page[name])
        count += page["count"]
        token = page.get("next_page_token")
    # On stderr, because every line of stdout after the heading is a row.
    if token:
        click.echo(
            f"{counted(count, name)}, more available: add --page-token {token}, or --all.",
            err=True,
        )
    else:
        click.echo(f"{counted(count, name)}.", err=True)


def counted(count: int, things: str) -> str:
    """Return ``1 item`` or ``3 items``."""
    return f"{count} {things[:-1] if count == 1 else things}"


def show_answer(answer: Response) -> None:
    """
    Print the message of *answer*, its own fields, and then those of each part, under its name if there are several.

    A list is a table.
    """
    body = dict(answer.body)
    if message := body.pop("message", None):
        click.echo(message)
    parts = {name: body.pop(name) for name in [*body] if isinstance(body[name], dict | list)}
    if body:
        _show_fields(body)
    for name, part in parts.items():
        if body or len(parts) > 1:
            click.echo(f"\n{name}")
        if isinstance(part, list):
            show_list(name, part)
        else:
            _show_fields({**part, "etag": answer.etag} if name == "item" else part)


def _show_fields(part: dict[str, Any]) -> None:
    fields = list(_flat(part))
    width = max(_width(name) for name, _ in fields)
    for name, value in fields:
        space = " " * (width - _width(name))
        click.echo(f"{_bold(name)}{space}{_GAP}{_text(name, value)}".rstrip())


def _flat(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values; each line of a reservation in the form of --line, and each attribute in that of --set."""
    for name, value in part.items():
        if name in ("lines", "committed"):
            for line in value:
                yield name.rstrip("s"), f"{line['item_id']}:{line['sku']}:{line['quantity']}"
        elif name == "attributes":
            for attribute, text in value.items():
                yield "set", f"{attribute}={text}"
        else:
            yield name, value


def show_progress(text: str) -> None:
    """Replace the progress text on a terminal by *text*; `""` removes it."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _text(field: str, value: Any) -> str:
    """Return the *value* of a *field* as text for people."""
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() if value and field.startswith("delta_"):
            return f"{value:+}"
        case Decimal():
            return f"{value:f}"
        case list():
            return printable(", ".join(map(_entry, value)))
        case _:
            return printable(str(value))


def _entry(value: Any) -> str:
    return f"{value['quantity']} {value['sku']}" if isinstance(value, dict) else str(value)


def printable(text: str) -> str:
    """Return *text* with control characters replaced by spaces, so that it cannot control a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Return the width of *text* in terminal cells: two for wide characters, none for combining marks."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _bold(text: str) -> str:
    """Return *text* in bold if the terminal supports it; `click.echo` removes this from files and pipes."""
    return text if os.environ.get("TERM") == "dumb" else click.style(text, bold=True)
