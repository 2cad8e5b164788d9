"""
Files as tables: the text files and workbooks of spreadsheets and shops, read as rows of text cells.

A file is checked to its end before its first row is used: its encoding, its delimiter, its quotes. Rows are then streamed, as
often as needed.
"""

import codecs
import csv
import gzip
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from itertools import islice
from math import inf
from os import PathLike
from pathlib import Path
from typing import IO, Any, Final

from inventory_adapters.catalogue.cells import (
    CellError,
    Header,
    Record,
    TypedNumber,
    UnreadableFileError,
)

__all__ = ["Table", "open_table"]

_CHUNK: Final = 1 << 20
_DELIMITERS: Final = ",;\t|"
_DELIMITER_NAMES: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_NAMES_OF_DELIMITERS: Final = {it: name for name, it in _DELIMITER_NAMES.items()}
_BETWEEN_CELLS: Final = f" \ufeff{_DELIMITERS}"
# Enough rows to see whether they are as wide as the header.
_PROBED_ROWS: Final = 30

# The csv module's own limit, 128 KiB, is less than what shops put into one description.
_LONGEST_CELL: Final = 1 << 20

# A small archive can hold a huge file; a table of this size has millions of rows.
_MOST_UNPACKED_BYTES: Final = 1 << 30

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"
# Files that people have at hand instead of a table, by how they begin.
_NO_TABLES: Final = {
    b"%PDF": "a PDF document",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "an SQLite database",
}
_MARKUP: Final = re.compile(rb"(\xef\xbb\xbf)?\s*(<|[{\[]\s*[\"{\]])")


class Table:
    """A file that was checked to its end and whose rows can be read any number of times."""

    header: Header
    size: int
    notes: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str | None = None

    @property
    def position(self) -> int:
        """How much of `size` was read."""
        raise NotImplementedError

    def records(self) -> Iterator[Record | CellError]:
        """
        Yield the rows below the header; a row of another width as the error that it is.

        Raises:
            UnreadableFileError: The file cannot be split into rows.
        """
        raise NotImplementedError


@contextmanager
def open_table(
    file: str | PathLike[str] | IO[bytes],
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Iterator[Table]:
    """
    Open a file by its path, or one that is open in binary mode; a pipe is copied to disk first.

    Args:
        file: A text table, possibly compressed with gzip, or a workbook.
        encoding: The encoding of a text; detected by default.
        delimiter: A character, or ``comma``, ``semicolon``, ``tab`` or ``pipe``; detected by default.

    Raises:
        UnreadableFileError: The file is not a table, or is damaged.
    """
    with ExitStack() as stack:
        raw = _rewindable(file, stack)
        start = _start(raw)
        if start.startswith(_GZIP):
            raw = _unpacked(raw, stack)
            start = _start(raw)
        if start.startswith((_ZIP, _OLE)):
            yield _workbook(raw, start)
            return
        _check_is_text(start)
        text = _TextTable(raw, *_encoding(raw, start, encoding), _delimiter(delimiter))
        stack.callback(text.close)
        yield text


def _rewindable(file: str | PathLike[str] | IO[bytes], stack: ExitStack) -> IO[bytes]:
    if isinstance(file, str | PathLike):
        return stack.enter_context(Path(file).open("rb"))
    return file if file.seekable() else _copied(file, stack)


def _copied(
    file: IO[bytes] | gzip.GzipFile, stack: ExitStack, *, most_bytes: float = inf
) -> IO[bytes]:
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    while chunk := file.read(_CHUNK):
        copy.write(chunk)
        if copy.tell() > most_bytes:
            raise _too_large()
    return copy


def _start(raw: IO[bytes]) -> bytes:
    raw.seek(0)
    return raw.read(4096)


def _unpacked(raw: IO[bytes], stack: ExitStack) -> IO[bytes]:
    raw.seek(0)
    try:
        with gzip.GzipFile(fileobj=raw) as packed:
            return _copied(packed, stack, most_bytes=_MOST_UNPACKED_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableFileError(f"The gzip file is damaged or was cut off: {error}") from None


def _too_large() -> UnreadableFileError:
    limit = _MOST_UNPACKED_BYTES >> 20
    return UnreadableFileError(f"Unpacked, the file is larger than {limit} MiB; split it")


def _check_is_text(start: bytes) -> None:
    if not start.strip():
        raise UnreadableFileError("The file is empty: it has no header")
    for signature, kind in _NO_TABLES.items():
        if start.startswith(signature):
            raise UnreadableFileError(f"The file is not a table but {kind}")
    if _MARKUP.match(start):
        raise UnreadableFileError(
            "The file is not a table but HTML, XML or JSON. Open it in a spreadsheet and save it as CSV"
        )


# --- Text


def _encoding(raw: IO[bytes], start: bytes, chosen: str | None) -> tuple[str, str | None]:
    """
    Return the encoding of a text, and a note where it was guessed.

    The whole file is decoded: no row is stored in letters that a later one proves wrong.
    """
    if chosen is not None:
        try:
            "".encode(chosen)
        except LookupError:
            raise UnreadableFileError(f"Unknown encoding: {chosen}") from None
        _require_decodable(raw, chosen, "is not text in")
        # With or without its mark.
        return ("utf-8-sig" if codecs.lookup(chosen).name == "utf-8" else chosen), None
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _require_decodable(raw, "utf-16", "is damaged or was cut off: it is marked as")
        return "utf-16", "The file is UTF-16."
    if b"\0" in start:
        return _unmarked_utf_16(raw, start), "The file is UTF-16."
    fault = _decoding_fault(raw, "utf-8")
    if fault is None:
        return "utf-8-sig", None
    line, is_damage = fault
    if start.startswith(codecs.BOM_UTF8):
        raise UnreadableFileError(
            f"The file is damaged or was cut off: it is marked as UTF-8 and is not from line {line} on"
        )
    if is_damage:
        raise UnreadableFileError(
            f"The file is damaged or was cut off: it is UTF-8 up to line {line}, but not there. "
            "--encoding cp1252 reads it as Windows-1252 all the same"
        )
    if _decoding_fault(raw, "cp1252") is None:
        return "cp1252", "The file is not UTF-8; it was read as Windows-1252 (see --encoding)."
    raise UnreadableFileError(
        "The file is neither UTF-8 nor Windows-1252 text; save it as UTF-8, or name its --encoding"
    )


def _unmarked_utf_16(raw: IO[bytes], start: bytes) -> str:
    """Return the byte order of a UTF-16 text without a mark: the high byte of each Latin letter is zero."""
    zeros = {"utf-16-be": start[0::2].count(0), "utf-16-le": start[1::2].count(0)}
    encoding = max(zeros, key=lambda it: zeros[it])
    if zeros[encoding] < len(start) // 4 or min(zeros.values()) > zeros[encoding] // 10:
        raise UnreadableFileError("The file is not a table of text: it has zero bytes")
    _require_decodable(raw, encoding, "is damaged or was cut off: it seems to be")
    return encoding


def _decoding_fault(raw: IO[bytes], encoding: str) -> tuple[int, bool] | None:
    """
    Return where a text cannot be decoded, or None.

    It is the line, and whether the fault is damage: letters beyond ASCII came before, or the text ends there.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    raw.seek(0)
    line, has_letters = 1, False
    while True:
        chunk = raw.read(_CHUNK)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            is_damage = has_letters or not before.isascii() or not chunk
            return line + before.count(b"\n"), is_damage
        if not chunk:
            return None
        line += text.count("\n")
        has_letters = has_letters or not text.isascii()


def _require_decodable(raw: IO[bytes], encoding: str, fault_is: str) -> None:
    fault = _decoding_fault(raw, encoding)
    if fault is not None:
        raise UnreadableFileError(
            f"The file {fault_is} {encoding.upper()} (first fault in line {fault[0]})"
        )


def _delimiter(chosen: str | None) -> str | None:
    if chosen is None:
        return None
    character = _DELIMITER_NAMES.get(chosen.lower(), chosen)
    if len(character) != 1 or character in '"\r\n':
        names = ", ".join(_DELIMITER_NAMES)
        raise UnreadableFileError(f"A delimiter is one character, or {names}; not {chosen}")
    return character


class _TextTable(Table):
    """Delimited text, read by the csv module."""

    def __init__(
        self, raw: IO[bytes], encoding: str, note: str | None, delimiter: str | None
    ) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        self._raw = raw
        self.size = raw.seek(0, io.SEEK_END)
        self._text: io.TextIOWrapper | None = None
        self.encoding = encoding.removesuffix("-sig")
        self._codec = encoding
        self._skipped_lines = 0
        declared = self._declared_delimiter()
        self._delimiter = delimiter or declared or self._probed_delimiter()
        self.delimiter = _NAMES_OF_DELIMITERS.get(self._delimiter, self._delimiter)
        self.header = Header.of(self._read_header())
        self.notes = () if note is None else (note,)

    @property
    def position(self) -> int:
        return self._raw.tell()

    def close(self) -> None:
        """Release the file, which belongs to the caller: a forgotten wrapper would close it."""
        if self._text is not None:
            self._text.detach()
            self._text = None

    def records(self) -> Iterator[Record | CellError]:
        reader = self._reader()
        header = self.header
        width = len(header.names)
        # Rows may be shorter than a header that ends in columns without names, as spreadsheets leave them.
        shortest = max(header.places.values(), default=0) + 1
        skipped = self._skipped_lines
        try:
            self._header(reader)
            line = skipped + reader.line_num + 1
            for cells in reader:
                if len(cells) == width or not cells:
                    yield Record(line, cells, header)
                elif len(cells) >= shortest and not any(cells[width:]):
                    yield Record(line, [*cells, *[""] * width][:width], header)
                else:
                    yield CellError(
                        f"has {len(cells)} cells, but the header has {width}", line=line
                    )
                line = skipped + reader.line_num + 1
        except csv.Error as error:
            raise UnreadableFileError(
                f"Line {line}: the file cannot be split into cells from here on, so nothing of it is imported: {error}"
            ) from None

    def _reader(self, delimiter: str | None = None) -> Any:
        self.close()
        self._raw.seek(0)
        self._text = io.TextIOWrapper(self._raw, encoding=self._codec, newline="")
        for _ in range(self._skipped_lines):
            self._text.readline()
        # Strict, or a file that was cut off inside a quoted cell would give half a row as a whole one.
        return csv.reader(self._text, delimiter=delimiter or self._delimiter, strict=True)

    def _read_header(self) -> list[str]:
        try:
            return self._header(self._reader())
        except csv.Error as error:
            raise UnreadableFileError(f"The header cannot be read: {error}") from None

    @staticmethod
    def _header(reader: Any) -> list[str]:
        for cells in reader:
            if any(it.strip(_BETWEEN_CELLS) for it in cells):
                return list(cells)
        raise UnreadableFileError("The file is empty: it has no header")

    def _declared_delimiter(self) -> str | None:
        """Return the delimiter that a first line ``sep=;`` declares, which is Excel's habit, and skip that line."""
        start = io.BytesIO(_start(self._raw))
        with io.TextIOWrapper(start, encoding=self._codec, errors="ignore", newline="") as text:
            line = text.readline(16)
        match = re.fullmatch(r'"?sep=(.)"?[,;\t|]*\r?\n?', line, re.IGNORECASE)
        if match is None:
            return None
        self._skipped_lines = 1
        return match[1]

    def _probed_delimiter(self) -> str:
        """
        Return the delimiter that splits the file best; each is tried on its own.

        A table has two columns at least; of those that make one, rows as wide as the header count most, then the columns.
        """
        scores = {it: self._score(it) for it in _DELIMITERS}
        return max(scores, key=lambda it: scores[it])

    def _score(self, delimiter: str) -> tuple[bool, float, int]:
        header: list[str] = []
        rows: list[list[str]] = []
        reader = self._reader(delimiter)
        try:
            header = self._header(reader)
            rows.extend(islice(reader, _PROBED_ROWS))
        except csv.Error:
            # Another delimiter may read it; if none does, reading says why.
            if not header:
                return False, 0.0, 0
        filled = [it for it in rows if any(it)]
        alike = sum(len(it) == len(header) for it in filled)
        return len(header) > 1, alike / len(filled) if filled else 1.0, len(header)


# --- Workbooks


def _workbook(raw: IO[bytes], start: bytes) -> Table:
    kind = _kind_of_workbook(raw) if start.startswith(_ZIP) else "an Excel workbook (xls)"
    try:
        from python_calamine import CalamineError, load_workbook  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise UnreadableFileError(
            f"The file is {kind}. Install python-calamine (the extra `excel`) to read it, or save it as CSV"
        ) from None
    raw.seek(0)
    try:
        book = load_workbook(raw)
        sheets = [
            it.name
            for it in book.sheets_metadata
            if str(it.visible).endswith("Visible") and str(it.typ).endswith("WorkSheet")
        ]
        filled = [it for it in map(book.get_sheet_by_name, sheets) if it.height]
        if not filled:
            raise UnreadableFileError("The workbook is empty: it has no header")
        return _Sheet(filled[0], [it.name for it in filled[1:]], raw.seek(0, io.SEEK_END))
    except CalamineError as error:
        raise UnreadableFileError(f"The file is {kind} that cannot be read: {error}") from None


def _kind_of_workbook(raw: IO[bytes]) -> str:
    try:
        with zipfile.ZipFile(raw) as archive:
            names = set(archive.namelist())
            if sum(it.file_size for it in archive.infolist()) > _MOST_UNPACKED_BYTES:
                raise _too_large()
    except zipfile.BadZipFile:
        raise UnreadableFileError(
            "The file is a workbook or an archive that is damaged or was cut off"
        ) from None
    if any(it.startswith("xl/") for it in names):
        return "an Excel workbook (xlsx)"
    if "content.xml" in names:
        return "an OpenDocument sheet (ods)"
    raise UnreadableFileError("The file is a zip archive; unpack it, and import the file inside")


class _Sheet(Table):
    """A sheet of a workbook. Workbooks are read into memory."""

    def __init__(self, sheet: Any, others: list[str], size: int) -> None:
        self._sheet = sheet
        self._line = 0
        self.size = size
        self._first, cells = next(self._rows())
        self.header = Header.of(cells)
        if others:
            self.notes = (f"Only the sheet {sheet.name} is read, not {', '.join(others)}.",)

    @property
    def position(self) -> int:
        rows: int = max(1, self._sheet.height)
        return self.size * self._line // rows

    def records(self) -> Iterator[Record | CellError]:
        width = len(self.header.names)
        for line, cells in islice(self._rows(), 1, None):
            self._line = line
            yield Record(line, [*cells, *[""] * (width - len(cells))][:width], self.header)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        for line, row in enumerate(self._sheet.iter_rows(), start=1):
            cells = [_cell_text(it) for it in row]
            if any(it.strip() for it in cells):
                yield line, cells


def _cell_text(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        # A spreadsheet keeps and shows 15 digits of a number.
        text = f"{value:.15g}"
        return TypedNumber(f"{Decimal(text):f}" if "e" in text else text)
    if isinstance(value, int):
        return TypedNumber(value)
    return "" if value is None else str(value)
