"""
Import a catalogue: read the whole file first, then write it row by row, and report each result.

Nothing is written before the file was read to its end, and its format, encoding and number convention are known. A file that
cannot be read is rejected as a whole, in one sentence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from os import PathLike
from typing import IO, Any, Final, Literal

import attrs
from attrs import define, frozen

from inventory.commands import MAX_ROWS
from inventory_adapters.catalogue.any_table import TableFormat, looks_important
from inventory_adapters.catalogue.cells import CellError, Record, UnreadableFileError
from inventory_adapters.catalogue.drafts import Draft, Format, Options, draft_of
from inventory_adapters.catalogue.formats import FORMATS, UnknownTableError, recognized
from inventory_adapters.catalogue.importer import Entry, Importer, InventoryWriter
from inventory_adapters.catalogue.numbers import Convention, Evidence
from inventory_adapters.catalogue.outcomes import RowOutcome, refused, refused_draft
from inventory_adapters.catalogue.tables import Table, open_table

__all__ = [
    "DECIMALS",
    "FORMATS",
    "Import",
    "InventoryWriter",
    "Preview",
    "RowOutcome",
    "UnconfirmedImportError",
    "UnknownTableError",
    "UnreadableFileError",
    "import_items",
    "preview",
]

DECIMALS: Final[Mapping[str, Literal[".", ","]]] = {"point": ".", "comma": ","}
"""The decimal marks that can be chosen, by name."""

# Rows without an item are cheap, but their outcomes stay in memory until their batch is done.
_MOST_OUTCOMES_AT_ONCE: Final = 1000

_SAMPLES: Final = 3
_PREVIEWED: Final = 5


class UnconfirmedImportError(UnreadableFileError):
    """The first import has warnings that a person has not accepted yet."""

    code = "confirmation_required"


@define(kw_only=True)
class Import:
    """
    An import that is ready: iterate over it once to carry it out. Rows that are done stay done when the iteration ends early.

    Attributes:
        format: The name of the format.
        title: The format's name for people.
        mapping: The columns that are read: field → column.
        numbers: The convention of the numbers, in words.
        encoding, delimiter: Those of a text; None for a workbook.
        notes: Facts about the file that a person may want to know.
        warnings: Facts that a person should check before rows are written.
        left_out: The columns that are not read, with the number of their filled cells.
        samples: The first rows as they would be stored, for a dry run.
        counts: How many rows have had each result so far.
        refused_columns: How many rows were refused for a cell of each column so far.
        quantities_left: How many quantities differ from the stored ones and were not written.
        is_stopped: Whether the rest of the file was left out because a row was refused.
    """

    format: str
    title: str
    mapping: Mapping[str, str]
    numbers: str
    encoding: str | None
    delimiter: str | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    left_out: Mapping[str, int]
    samples: tuple[dict[str, Any], ...]
    _outcomes: Iterator[RowOutcome]
    _stops: bool
    counts: Counter[str] = attrs.field(factory=Counter, init=False)
    refused_columns: Counter[str] = attrs.field(factory=Counter, init=False)
    quantities_left: int = attrs.field(default=0, init=False)
    is_stopped: bool = attrs.field(default=False, init=False)

    def __iter__(self) -> Iterator[RowOutcome]:
        for outcome in self._outcomes:
            self.counts[outcome.result] += 1
            self.quantities_left += outcome.quantity_left
            if outcome.result == "refused":
                self.refused_columns[outcome.column or "(row)"] += 1
                self.is_stopped = self._stops
            yield outcome


@contextmanager
def import_items(
    inventory: InventoryWriter,
    file: str | PathLike[str] | IO[bytes],
    *,
    format: str = "auto",  # noqa: A002 - what people call it
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
    on_error: Literal["skip", "stop"] = "skip",
    update_stock: bool = False,
    negative: Literal["refuse", "zero"] = "refuse",
    location: str = "default",
    category: str | None = None,
    decimal: Literal["point", "comma"] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    accept_warnings: bool = False,
    in_flight: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Import]:
    """
    Prepare the import of a file: text with delimiters, possibly compressed with gzip, or a workbook.

    Iterate over the value of the ``with`` block to carry it out; it yields the outcome of each row. Rows that are done stay
    done when the iteration ends early.

    A row with an `item_id` is about that item; any other is about the one item with its SKU at its location or, if there is
    none, creates it. Fields that the file does not have are not changed.

    Args:
        inventory: Where the items are stored.
        file: A path, or a file that is open in binary mode.
        format: A name of `FORMATS`; ``auto`` detects it from the columns.
        columns: The mapping of a table of no known format: field → name of the column.
        dry_run: Write nothing, and yield the same outcomes.
        on_error: Whether a refused row is skipped, or stops the import: the rows before it are written, those after it not.
        update_stock: Write quantities that differ from the stored ones, as counts; else they are only reported.
        negative: Whether a negative quantity is refused, or taken as 0.
        location: The location of rows that do not have one.
        category: The category of new items in rows that do not have one.
        decimal: The decimal mark; found in the file by default.
        encoding: The encoding of a text; detected by default.
        delimiter: The delimiter of a text; detected by default.
        accept_warnings: Import into an empty inventory although there are warnings.
        in_flight: The number of batches at once: while one waits for the disk or the network, the next ones are prepared.
        progress: Called after each batch with the number of bytes read, and the size of the file.

    Raises:
        UnreadableFileError: The file cannot be imported; nothing was written.
        UnknownTableError: The meaning of the columns is unknown.
        UnconfirmedImportError: The inventory is empty, there are warnings, and they were not accepted.
    """
    options = Options(location=location, category=category, negative_is_zero=negative == "zero")
    with open_table(file, encoding=encoding, delimiter=delimiter) as table:

        def new_format() -> Format:
            return recognized(table.header, options, name=format, mapping=columns)

        facts = _look(table, new_format(), decimal)
        importer = Importer(
            inventory=inventory,
            dry_run=dry_run,
            stops=on_error == "stop",
            update_stock=update_stock,
        )
        if facts.doubts and not (dry_run or accept_warnings) and importer.is_first():
            raise UnconfirmedImportError(
                f"{' '.join(facts.doubts)} Map them with --column, or import without them with --yes"
            )
        rows = _Rows(table, new_format(), facts.convention, options)
        outcomes = importer.outcomes(rows.batches(), in_flight=in_flight)
        yield Import(
            format=facts.format.name,
            title=facts.format.title,
            mapping=facts.format.mapping,
            numbers=str(facts.convention),
            encoding=table.encoding,
            delimiter=table.delimiter,
            notes=table.notes,
            warnings=facts.warnings,
            left_out=facts.left_out,
            samples=_samples(_Rows(table, new_format(), facts.convention, options))
            if dry_run
            else (),
            outcomes=_with_progress(outcomes, table, progress),
            stops=importer.stops,
        )


@frozen(kw_only=True)
class Preview:
    """
    The beginning of a table, for a person who maps its columns.

    Attributes:
        columns: The names of its columns.
        rows: Its first rows.
        mapping: The columns that are known by their names: field → column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    mapping: Mapping[str, str]


def preview(
    file: str | PathLike[str] | IO[bytes],
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Preview:
    """
    Return the beginning of a table.

    Raises:
        UnreadableFileError: The file is not a table.
    """
    with open_table(file, encoding=encoding, delimiter=delimiter) as table:
        records = (it for it in table.records() if isinstance(it, Record) and it.cells)
        known = TableFormat.mapping_of(table.header).items()
        return Preview(
            columns=table.header.names,
            rows=tuple(tuple(it.cells) for it in islice(records, _PREVIEWED)),
            mapping={field: table.header.name(key) for field, key in known},
        )


# --- The first pass


@frozen(kw_only=True)
class _Facts:
    """The facts that hold for all rows of a file."""

    format: Format
    convention: Convention
    left_out: Mapping[str, int]
    doubts: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        if self.format.has_quantity:
            return self.doubts
        return (
            "The file has no column of quantities: new items get 0 units, and stored quantities are not changed.",
            *self.doubts,
        )


def _look(table: Table, format_: Format, decimal: Literal["point", "comma"] | None) -> _Facts:
    """
    Read the file to its end, and return the facts that hold for all of its rows.

    Raises:
        UnreadableFileError: It cannot be read, or its numbers can be read in two ways.
    """
    header = table.header
    numbers = [(header.places[it], header.name(it)) for it in format_.numbers if it in header]
    used = {header.places[it] for it in format_.used if it in header}
    unused = [place for place, name in enumerate(header.names) if name and place not in used]
    evidence = Evidence()
    filled = [0] * len(header.names)
    for record in table.records():
        if isinstance(record, CellError) or not record.cells:
            continue
        cells = record.cells
        for place, name in numbers:
            text = cells[place]
            if text and not text.isdigit():
                evidence.add(record.line, name, text)
        for place in unused:
            if cells[place]:
                filled[place] += 1
    convention = evidence.settle(
        chosen=DECIMALS[decimal] if decimal else None,
        # A spreadsheet that wrote the file again, with its own delimiter, may have written its own numbers, too.
        fixed=format_.decimal if table.delimiter == "comma" else None,
        system=format_.title,
    )
    left_out = {header.names[it]: filled[it] for it in unused if filled[it]}
    # The columns of known systems are known, also those that are left out.
    is_known = not isinstance(format_, TableFormat)
    doubts = () if is_known else tuple(_doubts(left_out))
    return _Facts(format=format_, convention=convention, left_out=left_out, doubts=doubts)


def _doubts(left_out: Iterable[str]) -> Iterator[str]:
    for name in filter(looks_important, left_out):
        yield f'The column "{name}" looks like stock or a price, and is not read.'


# --- Records → drafts, in batches


class _Rows:
    """The rows of one file, each as its items or as the reason why it has none."""

    def __init__(
        self, table: Table, format_: Format, convention: Convention, options: Options
    ) -> None:
        self._table = table
        self._format = format_
        self._convention = convention
        self._options = options
        # The line of each item by a hash of its key: with the keys, a large catalogue would be in memory.
        self._seen: dict[int, int] = {}

    def batches(self) -> Iterator[list[Entry]]:
        """Yield rows in batches of up to 25 items; the items of one row stay together."""
        batch: list[Entry] = []
        items = 0
        for record in self._table.records():
            row = self._row(record)
            count = sum(isinstance(it, Draft) for it in row)
            if items + count > MAX_ROWS or len(batch) >= _MOST_OUTCOMES_AT_ONCE:
                yield batch
                batch, items = [], 0
            batch += row
            items += count
        if batch:
            yield batch

    def _row(self, record: Record | CellError) -> list[Entry]:
        if isinstance(record, CellError):
            return [refused(record.line, record)]
        if record.is_blank:
            return [RowOutcome(line=record.line, result="skipped", reason="is blank")]
        try:
            entries = list(self._items(record))
        except CellError as error:
            return [refused(record.line, error)]
        return entries or [RowOutcome(line=record.line, result="skipped", reason="has no item")]

    def _items(self, record: Record) -> Iterator[Entry]:
        for row in self._format.rows(record):
            try:
                draft = draft_of(row, self._convention, self._options)
            except CellError as error:
                # Of a row with several locations, only this one is refused.
                location = row.location or self._options.location
                yield refused(row.line, error, sku=row.sku or None, location=location)
            else:
                yield self._once(draft)

    def _once(self, draft: Draft) -> Entry:
        """Return *draft*, or its rejection if a row before is about the same item."""
        line = draft.row.line
        place = _hash(draft.sku, draft.location)
        first = self._seen.setdefault(place, line)
        column, key = "sku", "SKU and location"
        if draft.row.item_id is not None:
            first = self._seen.setdefault(_hash(draft.row.item_id, draft.row.sku, None), line)
            column, key = "item_id", "item"
        if first == line:
            return draft
        error = CellError(
            f"duplicates the {key} of line {first}",
            column=draft.row.columns[column],
            value=draft.sku,
            code="duplicate_row",
        )
        return refused_draft(draft, error)


def _hash(*key: str | None) -> int:
    """Return 60 bits, which Python keeps in 32 bytes: of 200,000 keys two are the same once in 50 million files."""
    return hash(key) >> 4


def _samples(rows: _Rows) -> tuple[dict[str, Any], ...]:
    drafts = (it for batch in rows.batches() for it in batch if isinstance(it, Draft))
    return tuple(it.new_item for it in islice(drafts, _SAMPLES))


def _with_progress(
    batches: Iterable[list[RowOutcome]], table: Table, progress: Callable[[int, int], None] | None
) -> Iterator[RowOutcome]:
    for outcomes in batches:
        if progress is not None:
            progress(table.position, table.size)
        yield from outcomes
