"""
Import a catalogue: read the whole file first, then write it row by row, and report each result.

Nothing is written before the file was read to its end, and its format, encoding and number convention are known. A file that
cannot be read is rejected as a whole, in one sentence.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from os import PathLike
from typing import IO, Any, Final, Literal

import attrs
from attrs import define

from inventory.commands import MAX_ROWS
from inventory.validation import canonical
from inventory_adapters.catalogue.any_table import TableFormat, looks_important
from inventory_adapters.catalogue.cells import CellError, Record, UnreadableFileError
from inventory_adapters.catalogue.drafts import Draft, Format, Options, read
from inventory_adapters.catalogue.formats import FORMATS, UnknownTableError, recognized
from inventory_adapters.catalogue.importer import Entry, Importer, InventoryWriter
from inventory_adapters.catalogue.numbers import Convention, Evidence
from inventory_adapters.catalogue.outcomes import RESULTS, RowOutcome, refused
from inventory_adapters.catalogue.tables import Table, open_table

__all__ = [
    "DECIMALS",
    "FORMATS",
    "Import",
    "InventoryWriter",
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

_NO_QUANTITY: Final = "The file has no column of quantities: new items get 0 units, and stored quantities are not changed."
_SAMPLES: Final = 3
_ABOUT: Final = (
    *("format", "title", "mapping", "numbers", "encoding", "delimiter"),
    *("notes", "warnings", "left_out", "samples"),
)
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
    _outcomes: Iterator[list[RowOutcome]]
    _after_batch: Callable[[], None]
    _stops: bool
    counts: Counter[str] = attrs.field(factory=Counter, init=False)
    refused_columns: Counter[str] = attrs.field(factory=Counter, init=False)
    quantities_left: int = attrs.field(default=0, init=False)
    is_stopped: bool = attrs.field(default=False, init=False)

    @property
    def about(self) -> dict[str, Any]:
        """How the file is read, as JSON: the attributes from `format` to `samples`."""
        return {name: getattr(self, name) for name in _ABOUT}

    @property
    def summary(self) -> dict[str, Any]:
        """The counts, as JSON: ``{"created": 1, ..., "refused_columns": {"price": 1}, "stopped": false}``."""
        return {
            **{it: self.counts[it] for it in RESULTS},
            "quantities_left": self.quantities_left,
            "refused_columns": dict(self.refused_columns),
            "stopped": self.is_stopped,
        }

    def __iter__(self) -> Iterator[RowOutcome]:
        for outcomes in self._outcomes:
            self._after_batch()
            for outcome in outcomes:
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
    keep_columns: str = "",
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
        keep_columns: The names of further columns to keep as attributes, comma-separated, quoted as in a CSV file.
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
    options = Options(
        location=location,
        category=category,
        negative_is_zero=negative == "zero",
        keep_columns=tuple(filter(None, map(str.strip, next(csv.reader([keep_columns]), ())))),
    )
    stops = on_error == "stop"
    importer = Importer(
        inventory=inventory, dry_run=dry_run, stops=stops, update_stock=update_stock
    )
    with open_table(file, encoding=encoding, delimiter=delimiter) as table:
        new_format = partial(recognized, table.header, options, name=format, mapping=columns)
        kind = new_format()
        convention, left_out = _look(table, kind, decimal)
        # The columns of known systems are known, also those that are left out.
        important = filter(looks_important, left_out if isinstance(kind, TableFormat) else ())
        warnings = [
            f'The column "{it}" looks like stock or a price, and is not read.' for it in important
        ]
        if warnings and not (dry_run or accept_warnings) and importer.is_first():
            raise UnconfirmedImportError(
                f"{' '.join(warnings)} Map them with --column, or import without them with --yes"
            )
        if not kind.has_quantity:
            warnings.insert(0, _NO_QUANTITY)
        yield Import(
            format=kind.name,
            title=kind.title,
            mapping=kind.mapping,
            numbers=str(convention),
            encoding=table.encoding,
            delimiter=table.delimiter,
            notes=table.notes,
            warnings=tuple(warnings),
            left_out=left_out,
            samples=_samples(_batches(table, new_format(), convention, options)) if dry_run else (),
            outcomes=importer.outcomes(
                _batches(table, kind, convention, options), in_flight=in_flight
            ),
            after_batch=lambda: progress(table.position, table.size) if progress else None,
            stops=stops,
        )


def preview(
    file: str | PathLike[str] | IO[bytes],
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> dict[str, Any]:
    """
    Return the beginning of a table, for a person who maps its columns, as JSON.

    ``{"columns": ["Code", ...], "rows": [["A-1", ...], ...], "mapping": {"sku": "Code", ...}}``: the columns that are known by
    their names are mapped already.

    Raises:
        UnreadableFileError: The file is not a table.
    """
    with open_table(file, encoding=encoding, delimiter=delimiter) as table:
        records = (it for it in table.records() if isinstance(it, Record) and it.cells)
        known = TableFormat.mapping_of(table.header).items()
        return {
            "columns": table.header.names,
            "rows": [it.cells for it in islice(records, _PREVIEWED)],
            "mapping": {field: table.header.name(key) for field, key in known},
        }


# --- The first pass


def _look(
    table: Table, kind: Format, decimal: Literal["point", "comma"] | None
) -> tuple[Convention, dict[str, int]]:
    """
    Read the file to its end, and return the convention of its numbers, and the filled cells of each column that is not read.

    Raises:
        UnreadableFileError: It cannot be read, or its numbers can be read in two ways.
    """
    header = table.header
    numbers = [(header.places[it], header.name(it)) for it in kind.numbers if it in header]
    used = {header.places[it] for it in kind.used if it in header}
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
        fixed=kind.decimal if table.delimiter == "comma" else None,
        system=kind.title,
    )
    return convention, {header.names[it]: filled[it] for it in unused if filled[it]}


# --- Records → drafts, in batches


def _batches(
    table: Table, kind: Format, convention: Convention, options: Options
) -> Iterator[list[Entry]]:
    """Yield rows in batches of up to 25 items; the items of one row stay together."""
    batch: list[Entry] = []
    items = 0
    # The line of each item by a hash of its key: with the keys, a large catalogue would be in memory.
    seen: dict[int, int] = {}
    for record in table.records():
        row = _entries(record, kind, convention, options, seen)
        count = sum(isinstance(it, Draft) for it in row)
        if items + count > MAX_ROWS or len(batch) >= _MOST_OUTCOMES_AT_ONCE:
            yield batch
            batch, items = [], 0
        batch += row
        items += count
    if batch:
        yield batch


def _entries(
    record: Record | CellError,
    kind: Format,
    convention: Convention,
    options: Options,
    seen: dict[int, int],
) -> list[Entry]:
    """Return the items of a row, or the reason why it has none."""
    if isinstance(record, CellError):
        return [refused(record.line, record)]
    if record.is_blank:
        return [RowOutcome(line=record.line, result="skipped", reason="is blank")]
    entries: list[Entry] = []
    try:
        for draft in kind.rows(record):
            try:
                read(draft, convention, options)
                _check_once(draft, seen)
            except CellError as error:
                # Of a row with several locations, only this one is refused.
                location = draft.location or options.location
                entries.append(refused(draft.line, error, sku=draft.sku or None, location=location))
            else:
                entries.append(draft)
    except CellError as error:
        return [refused(record.line, error)]
    return entries or [RowOutcome(line=record.line, result="skipped", reason="has no item")]


def _check_once(draft: Draft, seen: dict[int, int]) -> None:
    """Reject a row if one before it is about the same item."""
    # 60 bits, which Python keeps in 32 bytes: of 200,000 keys two are the same once in 50 million files.
    first = seen.setdefault(hash((draft.sku, draft.location)) >> 4, draft.line)
    column, key = "sku", "SKU and location"
    if draft.item_id is not None:
        first = seen.setdefault(hash((draft.item_id, draft.given_sku, None)) >> 4, draft.line)
        column, key = "item_id", "item"
    if first != draft.line:
        raise draft.error(
            column, f"duplicates the {key} of line {first}", draft.sku, "duplicate_row"
        )


def _samples(batches: Iterable[list[Entry]]) -> tuple[dict[str, Any], ...]:
    drafts = (it for batch in batches for it in batch if isinstance(it, Draft))
    samples = tuple(it.sample for it in islice(drafts, _SAMPLES))
    for sample in samples:
        if "price" in sample:
            sample["price"] = canonical(sample["price"])
    return samples
