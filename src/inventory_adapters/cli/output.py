"""
What people see of a response: tables on stdout; counts, hints and progress on stderr.

A row is one line, whatever the width of the terminal: an id that is cut or folded cannot be copied.
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
        "delta_on_hand": "On hand +/-",
        "on_hand": "On hand",
        "delta_reserved": "Reserved +/-",
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

_GAP: Final = "  "


class Table:
    """
    The columns of a list, printed as its rows arrive.

    Columns are as wide as the rows so far need; a longer value widens its column from its page on. So a list of any length is
    printed in constant memory.

    Args:
        name: The name of the list in the JSON document.
    """

    def __init__(self, name: str) -> None:
        self._columns = _COLUMNS[name]
        self._widths = dict.fromkeys(self._columns, 0)
        self._has_heading = False

    def show(self, rows: Iterable[dict[str, Any]]) -> None:
        """Print *rows*, before the first ones a heading, at once."""
        lines = [{field: _text(field, row.get(field)) for field in self._columns} for row in rows]
        for line in (self._columns, *lines):
            for field, text in line.items():
                self._widths[field] = max(self._widths[field], _width(text))
        printed = [self._line(line) for line in lines]
        if not self._has_heading:
            self._has_heading = True
            printed.insert(0, _bold(self._line(self._columns)))
        if printed:
            click.echo("\n".join(printed))

    def _line(self, texts: dict[str, str]) -> str:
        cells = (
            _padded(text, self._widths[field], right=field in _NUMBERS)
            for field, text in texts.items()
        )
        return _GAP.join(cells).rstrip()


def show_list(name: str, rows: Iterable[dict[str, Any]]) -> None:
    """Print *rows* as the columns that a list of this *name* has."""
    Table(name).show(rows)


def show_pages(pages: Iterable[dict[str, Any]]) -> None:
    """
    Print pages, each as soon as it is there, and say on stderr how many rows they had and how to get the next page.

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
    # Not on stdout, where every line after the heading is a row.
    if token:
        click.echo(
            f"{counted(count, name)}, and there are more: add --page-token {token}, or --all.",
            err=True,
        )
    else:
        click.echo(f"{counted(count, name)}.", err=True)


def counted(count: int, things: str) -> str:
    """Return ``1 item`` or ``3 items``."""
    return f"{count} {things[:-1] if count == 1 else things}"


def show_answer(answer: Response) -> None:
    """Print the message of *answer*, then each part of it field by field, under its name if there are several."""
    parts = dict(answer.body)
    if message := parts.pop("message", None):
        click.echo(message)
    for name, part in parts.items():
        if len(parts) > 1:
            click.echo(f"\n{name}")
        _show_fields({**part, "etag": answer.etag} if name == "item" else part)


def _show_fields(part: dict[str, Any]) -> None:
    fields = list(_flat(part))
    width = max(_width(name) for name, _ in fields)
    for name, value in fields:
        space = " " * (width - _width(name))
        click.echo(f"{_bold(name)}{space}{_GAP}{_text(name, value)}".rstrip())


def _flat(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values; of a reservation, each line as it would be typed."""
    for name, value in part.items():
        if name == "lines":
            for line in value:
                yield "line", f"{line['item_id']}:{line['sku']}:{line['quantity']}"
        else:
            yield name, value


def show_progress(text: str) -> None:
    """Show *text* at a terminal in place of the text before; `""` removes it."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _text(field: str, value: Any) -> str:
    """Return the *value* of a *field* as people read it."""
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
            return ", ".join(map(str, value))
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Return *text* with a space for every character that a terminal could take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Return how many cells of a terminal *text* takes: wide letters take two, marks on a letter none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _bold(text: str) -> str:
    """Return *text* in bold, where the terminal can show it; `click.echo` leaves that out of files and pipes."""
    return text if os.environ.get("TERM") == "dumb" else click.style(text, bold=True)
