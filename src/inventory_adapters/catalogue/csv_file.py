"""
A CSV file as records: whatever a spreadsheet makes of text on the way out, undone on the way in.

Encoding, delimiter and header are found out before the first record is given out, so that a file that cannot be read is refused
as a whole; records then stream by.
"""

import codecs
import csv
import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Final, Self

from attrs import frozen

__all__ = [
    "UNREADABLE",
    "CellError",
    "CsvFile",
    "Record",
    "UnreadableFileError",
    "guarded",
    "unguarded",
]

UNREADABLE: Final = "unreadable_file"
"""The code of the last error of a file that cannot be told apart into records to its end."""

_CHUNK: Final = 1 << 20
_DELIMITERS: Final = ",;\t"

# The module's own limit, 128 KiB, is less than what shops put into one description.
_LONGEST_CELL: Final = 1 << 20

# What a spreadsheet takes for the start of a formula, also behind blanks and in full width; or, at the start of a cell, for a
# mark of its own. Source: OWASP, "CSV Injection".
_ACTIVE: Final = re.compile(r"[\t\r\n']|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def guarded(text: str) -> str:
    """Return *text* as a cell that no spreadsheet runs; `unguarded` gives it back."""
    return f"'{text}" if _ACTIVE.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made a cell of; a cell that it did not make is returned as it is."""
    return cell[1:] if cell[:1] == "'" and _ACTIVE.match(cell, 1) else cell


class UnreadableFileError(ValueError):
    """The file as a whole is not one that can be imported; the message says why, and nothing was changed."""


class CellError(ValueError):
    """
    A row cannot be taken as it is.

    Attributes:
        column: The column at fault, as the file calls it; None where it is the row.
        value: What stands there.
        reason: What is wrong with it.
        code: The same for programs.
        line: The line of the row, where the error stands for it.
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


@frozen
class Record:
    """
    One record of the file.

    Attributes:
        line: The line that it starts on, from 1, as an editor counts.
        cells: Its cells, by the place of their column.
        columns: The place of each column, by its name in lower case.
    """

    line: int
    cells: list[str]
    columns: Mapping[str, int]

    def __getitem__(self, column: str) -> str:
        """Return the cell of a column; empty where the file has no such column."""
        place = self.columns.get(column)
        return "" if place is None else self.cells[place]

    def stripped(self, column: str) -> str:
        """Return the cell of a column without the blanks around it."""
        return self[column].strip()

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return not "".join(self.cells).strip()


@frozen(kw_only=True)
class CsvFile:
    """
    A CSV file, open for reading: made by `opened`.

    Attributes:
        header: The names of the columns, as they stand there.
        columns: The place of each, by its name in lower case and without the blanks around it.
        delimiter: What parts the cells.
        notes: What was found out about the file that a person may want to know.
        size: Its length in bytes.
    """

    header: tuple[str, ...]
    columns: Mapping[str, int]
    delimiter: str
    notes: tuple[str, ...]
    size: int
    _first_line: int
    _raw: IO[bytes]
    _text: IO[str]

    @classmethod
    @contextmanager
    def opened(cls, file: str | PathLike[str] | IO[bytes]) -> Iterator[Self]:
        """
        Lend a file by its path, or one that is open in binary mode; what cannot be rewound is copied to disk first.

        Raises:
            UnreadableFileError: It is not text, or has no header.
        """
        with ExitStack() as stack:
            raw = _rewindable(file, stack)
            encoding, notes = _encoding(raw)
            size = raw.seek(0, io.SEEK_END)
            raw.seek(0)
            text = io.TextIOWrapper(raw, encoding=encoding, newline="")
            # Or the wrapper, once forgotten, closes a file that is the caller's.
            stack.callback(text.detach)
            first_line, line = _first_line(text)
            delimiter, header = _header(line)
            yield cls(
                header=tuple(header),
                columns=_columns(header),
                delimiter=delimiter,
                notes=notes,
                size=size,
                first_line=first_line,
                raw=raw,
                text=text,
            )

    @property
    def position(self) -> int:
        """How many bytes were read so far."""
        return self._raw.tell()

    def records(self) -> Iterator[Record | CellError]:
        """
        Yield what follows the header, record by record, once.

        A record with a wrong number of cells is yielded as the error that it is. So is the place from which on the file cannot
        be told apart into records, which is then the last.
        """
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        # Strict, or a file that was cut off inside a quoted cell would give half a record as a whole one.
        reader = csv.reader(self._text, delimiter=self.delimiter, strict=True)
        width = len(self.header)
        while True:
            line = self._first_line + reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"the file cannot be read from here on: {error}"
                yield CellError(reason, code=UNREADABLE, line=line)
                return
            if len(cells) == width or not any(cells):
                yield Record(line, cells, self.columns)
            else:
                yield CellError(f"has {len(cells)} cells, but the header has {width}", line=line)


def _rewindable(file: str | PathLike[str] | IO[bytes], stack: ExitStack) -> IO[bytes]:
    if isinstance(file, str | PathLike):
        return stack.enter_context(Path(file).open("rb"))
    if file.seekable():
        return file
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    shutil.copyfileobj(file, copy)
    return copy


def _encoding(raw: IO[bytes]) -> tuple[str, tuple[str, ...]]:
    """Return the encoding of the whole file, and what to tell of it."""
    raw.seek(0)
    start = raw.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ("The file is UTF-16.",)
    # All of it is looked at before any of it is used: a row must not be stored in letters that a later one proves wrong.
    if _decodes(raw, "utf-8"):
        return "utf-8-sig", ()
    if _decodes(raw, "cp1252"):
        return "cp1252", ("The file is not UTF-8; it was read as Windows-1252.",)
    raise UnreadableFileError("The file is neither UTF-8 nor Windows-1252 text; save it as UTF-8")


def _decodes(raw: IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    raw.seek(0)
    try:
        while chunk := raw.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _first_line(text: IO[str]) -> tuple[int, str]:
    """Return the first line with anything on it, and its number."""
    try:
        for number, line in enumerate(text, start=1):
            if line.strip("\r\n\t ,;"):
                return number, line
    except UnicodeError:
        pass
    raise UnreadableFileError("The file is empty: it has no header")


def _header(line: str) -> tuple[str, list[str]]:
    """Return the delimiter that makes the most columns of the first line, and these columns."""
    try:
        return max(
            ((it, next(csv.reader([line], delimiter=it, strict=True))) for it in _DELIMITERS),
            key=lambda found: len(found[1]),
        )
    except csv.Error as error:
        raise UnreadableFileError(f"The header cannot be read: {error}") from None


def _columns(header: list[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for place, name in enumerate(header):
        known = name.strip().lower()
        if known and columns.setdefault(known, place) != place:
            raise UnreadableFileError(f"The header has the column {name.strip()} twice")
    return columns
