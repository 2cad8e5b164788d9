"""Rows of text cells: columns by their names, cells without a spreadsheet's protection, and errors of cells."""

import re
from collections.abc import Mapping
from typing import Final

from attrs import define, frozen

__all__ = [
    "CellError",
    "Header",
    "Record",
    "TypedNumber",
    "UnreadableFileError",
    "column_key",
    "guarded",
    "unguarded",
]

# What a spreadsheet takes for the start of a formula, also behind blanks and in full width; or, at the start of a cell, for a
# mark of its own. Source: OWASP, "CSV Injection".
_ACTIVE: Final = re.compile(r"[\t\r\n']|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
# How exports keep Excel from making a number of a text: ="00123".
_TEXT_FORMULA: Final = re.compile(r'="([^"]*)"')


def guarded(text: str) -> str:
    """Return *text* as a cell that no spreadsheet runs; `unguarded` reverses it."""
    return f"'{text}" if _ACTIVE.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text of a cell that `guarded`, or another export, protected from spreadsheets."""
    first = cell[:1]
    if first == "'" and _ACTIVE.match(cell, 1):
        return cell[1:]
    if first == "=" and (match := _TEXT_FORMULA.fullmatch(cell)):
        return match[1]
    return cell


def column_key(name: str) -> str:
    """Return the name of a column as it is compared: case, line breaks and runs of blanks do not matter."""
    return " ".join(name.split()).lower()


class UnreadableFileError(ValueError):
    """
    The file as a whole cannot be imported; the message says why, and nothing was written.

    Attributes:
        code: The same for programs.
    """

    code = "unreadable_file"


class CellError(ValueError):
    """
    A row that cannot be imported.

    Attributes:
        column: The column at fault, as the file calls it; None for the row as a whole.
        value: The text of the cell.
        reason: What is wrong with it.
        code: The same for programs.
        line: The line of the row, where the error stands for the row.
    """

    def __init__(
        self,
        reason: str,
        *,
        column: str | None = None,
        value: str | None = None,
        code: str = "validation_failed",
        line: int = 0,
    ) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value
        self.reason = reason
        self.code = code
        self.line = line


class TypedNumber(str):
    """The number of a cell that is a number in its spreadsheet: digits with a decimal point, read one way only."""

    __slots__ = ()


@frozen
class Header:
    """
    The first row of a table.

    Attributes:
        names: The names of the columns, as they are written.
        places: The place of each column, by its key (`column_key`).
        repeated: The keys of columns that occur more than once.
    """

    names: tuple[str, ...]
    places: Mapping[str, int]
    repeated: frozenset[str]

    @classmethod
    def of(cls, cells: list[str]) -> "Header":
        """Read the names of columns; a column without a name has no key."""
        names = tuple(" ".join(it.split()) for it in cells)
        places: dict[str, int] = {}
        repeated = set()
        for place, name in enumerate(names):
            key = column_key(name)
            if key and places.setdefault(key, place) != place:
                repeated.add(key)
        return cls(names, places, frozenset(repeated))

    def __contains__(self, key: str) -> bool:
        return key in self.places

    def name(self, key: str) -> str:
        """Return what the file calls a column."""
        return self.names[self.places[key]]

    def key_of(self, name: str) -> str:
        """
        Return the key of the column that a person names.

        Raises:
            UnreadableFileError: There is no such column.
        """
        key = column_key(name)
        if key not in self:
            names = ", ".join(filter(None, self.names))
            raise UnreadableFileError(f"The file has no column {name}. Its columns: {names}")
        return key

    def first(self, *keys: str) -> str | None:
        """Return the first of *keys* that is a column."""
        return next((it for it in keys if it in self.places), None)


# Not frozen, as each class of which every row has a value: a frozen one takes three times as long to make.
@define
class Record:
    """
    One row of a table.

    Attributes:
        line: The line that it starts on, from 1, as an editor counts; in a spreadsheet, the row.
        cells: Its cells, by the place of their column.
        header: The columns.
    """

    line: int
    cells: list[str]
    header: Header

    def __getitem__(self, key: str) -> str:
        """Return the cell of a column; empty if there is no such column."""
        place = self.header.places.get(key)
        return "" if place is None else self.cells[place]

    def text(self, key: str | None) -> str:
        """Return the text in the cell of a column, without outer blanks and a spreadsheet's protection."""
        return "" if key is None else unguarded(self[key].strip())

    def number(self, key: str) -> str:
        """Return the text of a cell with a number; a spreadsheet's number stays one."""
        cell = self[key]
        return cell if type(cell) is TypedNumber else unguarded(cell.strip())

    @property
    def is_blank(self) -> bool:
        """Whether all of its cells are empty."""
        return not any(map(str.strip, self.cells))
