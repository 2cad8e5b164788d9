"""
Bring a CSV file onto the books, row by row, and say of each row what became of it.

Rows go by in batches of up to 25, each one transaction. What a row means is decided on the items as they are at that moment,
and every write is guarded by the state that it was decided on. So a run that was interrupted is simply started again: rows that
are on the books are found there, by id, or by SKU and location. New items are made under an idempotency key that is a digest of
what is made: a run that cannot see yet what another one has just made (DynamoDB's indexes lag, two people import the same file)
is told by the store that it was made, and makes nothing twice.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from operator import itemgetter
from os import PathLike
from typing import IO, Any, Final, Literal, Protocol

import attrs
from attrs import define, frozen

from inventory.batch import RowResult
from inventory.commands import MAX_ROWS, BatchItems, CreateItem, GetItem, ListItems, UpdateItem
from inventory.errors import (
    BatchRefusedError,
    BelowReservedError,
    ContentionError,
    InventoryError,
    ItemNotFoundError,
    KeyReusedError,
    PreconditionFailedError,
    StorageError,
    StorageThrottledError,
    UnreadableItemError,
)
from inventory.idempotency import IdempotencyKey
from inventory.items import AVAILABLE, OUT_OF_STOCK, Item, ItemKey
from inventory.paging import Page
from inventory.preconditions import IfMatch
from inventory_adapters.catalogue.csv_file import (
    UNREADABLE,
    CellError,
    CsvFile,
    Record,
    UnreadableFileError,
)
from inventory_adapters.catalogue.drafts import Draft, Format, Options
from inventory_adapters.catalogue.native import COLUMNS, NativeFormat
from inventory_adapters.catalogue.outcomes import (
    RowOutcome,
    outcome_of,
    refused,
    refused_draft,
)
from inventory_adapters.catalogue.shopify import ShopifyFormat
from inventory_adapters.catalogue.square import SquareFormat

__all__ = [
    "FORMATS",
    "Import",
    "InventoryWriter",
    "RowOutcome",
    "UnreadableFileError",
    "import_items",
]

# Ours last: a file of a shop may well have a column called SKU, too.
FORMATS: Final[dict[str, type[Format]]] = {
    it.name: it for it in (ShopifyFormat, SquareFormat, NativeFormat)
}

# As often as a batch is decided anew, because somebody else was quicker or the storage wants a slower pace.
_ATTEMPTS: Final = 6
_LONGEST_PAUSE_SECONDS: Final = 4.0

# Rows without an item of their own cost nothing, but what is told of them is kept until their batch is done.
_MOST_TOLD_AT_ONCE: Final = 1000

# How long it may take until an index of DynamoDB has what was written: usually less.
_LAG_SECONDS: Final = 0.25

_STALE: Final = "stale"


class InventoryWriter(Protocol):
    """What of `Inventory` an import needs: anything with these methods will do."""

    def get_item(self, query: GetItem) -> Item:
        """See `Inventory.get_item`."""

    def list_items(self, query: ListItems) -> Page[Item]:
        """See `Inventory.list_items`."""

    def batch_items(self, command: BatchItems) -> tuple[RowResult, ...]:
        """See `Inventory.batch_items`."""


@define
class Import:
    """
    An import that is ready: iterate over it to carry it out, once. What was done when the iteration ends early stays done.

    Attributes:
        format: The kind of the file.
        notes: What was found out about it that a person may want to know.
        counts: How many rows have come to each result so far.
        quantities_left: How many quantities differ from the file's and were left as they are.
        is_stopped: Whether the rest of the file was left out because a row was refused.
    """

    format: str
    notes: tuple[str, ...]
    _outcomes: Iterator[RowOutcome]
    _stops: bool
    counts: Counter[str] = attrs.field(factory=Counter, init=False)
    quantities_left: int = attrs.field(default=0, init=False)
    is_stopped: bool = attrs.field(default=False, init=False)

    def __iter__(self) -> Iterator[RowOutcome]:
        for outcome in self._outcomes:
            self.counts[outcome.result] += 1
            self.quantities_left += outcome.quantity_left
            yield outcome
            if outcome.result == "refused" and (self._stops or outcome.code == UNREADABLE):
                self.is_stopped = True


@contextmanager
def import_items(  # noqa: PLR0913 - each is a choice of the person who imports
    inventory: InventoryWriter,
    file: str | PathLike[str] | IO[bytes],
    *,
    format: str = "auto",  # noqa: A002 - what people call it
    dry_run: bool = False,
    on_error: Literal["skip", "stop"] = "skip",
    update_stock: bool = False,
    negative: Literal["refuse", "zero"] = "refuse",
    location: str = "default",
    in_flight: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Import]:
    """
    Get a CSV file ready to be imported.

    Iterate over what the ``with`` block gets to carry it out: it says row by row what became of each. What was done when the
    iteration ends early stays done.

    A row with an `item_id` is about that item; any other is about the one item with its SKU at its location or, where there is
    none, makes it. What the file does not say of an item is left as it is.

    Args:
        inventory: Where the items go.
        file: A path, or a file that is open in binary mode.
        format: ``native``, ``shopify`` or ``square``; ``auto`` tells by the header.
        dry_run: Write nothing, and say the same.
        on_error: Whether a refused row is skipped, or stops the import: the rows before it are written, those after it not.
        update_stock: Write quantities that differ from those on the books, too, as counts; else they are only told of.
        negative: Whether a negative quantity is refused, or taken for 0.
        location: Where items are kept of which the file does not say.
        in_flight: How many batches may be on their way at once; worth it where storage is far away.
        progress: Called now and then with the number of bytes read, and of all.

    Raises:
        UnreadableFileError: The file is not one that can be imported.
    """
    with CsvFile.opened(file) as table:
        kind = _recognised(table, format)
        options = Options(
            location=location,
            negative_is_zero=negative == "zero",
            # A spreadsheet that needs the comma for its numbers parts its cells by something else.
            decimal_comma=table.delimiter != ",",
        )
        rows = _Rows(table, kind(table.header, table.columns, options))
        importer = _Importer(
            books=inventory, dry_run=dry_run, stops=on_error == "stop", update_stock=update_stock
        )
        # Where a refused row stops everything, nothing behind it may be under way.
        outcomes = importer.outcomes(rows.batches(), in_flight=1 if importer.stops else in_flight)
        told = _told(outcomes, table, progress)
        yield Import(
            format=kind.name,
            notes=(*table.notes, *rows.notes()),
            outcomes=told,
            stops=importer.stops,
        )


def _recognised(table: CsvFile, wanted: str) -> type[Format]:
    if wanted != "auto":
        kind = FORMATS[wanted]
        if not kind.fits(table.columns):
            raise UnreadableFileError(
                f"A {wanted} file needs columns that this one lacks: {kind.needs()}"
            )
        return kind
    found = next((it for it in FORMATS.values() if it.fits(table.columns)), None)
    if found is None:
        known = "; ".join(f"{name}: {it.needs()}" for name, it in FORMATS.items())
        raise UnreadableFileError(
            f"The header is of no file that can be imported. What is needed: {known}"
        )
    return found


def _told(
    batches: Iterable[list[RowOutcome]], table: CsvFile, progress: Callable[[int, int], None] | None
) -> Iterator[RowOutcome]:
    for outcomes in batches:
        if progress is not None:
            progress(table.position, table.size)
        yield from outcomes


# --- Records → drafts, in batches

_Entry = Draft | RowOutcome


class _Rows:
    """The rows of one file, each as the items that it is about, or as why there are none."""

    def __init__(self, table: CsvFile, format_: Format) -> None:
        self._table = table
        self._format = format_
        # Hashes, or the names of a large catalogue would be kept twice: 64 bits are alike once in 10^9 files of 100,000 rows.
        self._seen: dict[int, int] = {}

    def notes(self) -> Iterator[str]:
        """Yield what is to be told of the file before its rows."""
        if isinstance(self._format, NativeFormat):
            unknown = [it for it in self._table.header if it.strip().lower() not in COLUMNS]
            if unknown:
                yield f"Not used: {', '.join(it.strip() or '(no name)' for it in unknown)}"

    def batches(self) -> Iterator[list[_Entry]]:
        """Yield rows in batches of up to 25 items; the items of one row stay together."""
        batch: list[_Entry] = []
        items = 0
        for record in self._table.records():
            row = self._row(record)
            count = sum(isinstance(it, Draft) for it in row)
            if items + count > MAX_ROWS or len(batch) >= _MOST_TOLD_AT_ONCE:
                yield batch
                batch, items = [], 0
            batch += row
            items += count
        if batch:
            yield batch

    def _row(self, record: Record | CellError) -> list[_Entry]:
        if isinstance(record, CellError):
            return [refused(record.line, record)]
        if record.is_blank:
            return [RowOutcome(line=record.line, result="skipped", reason="is blank")]
        try:
            drafts: list[_Entry] = [self._once(it) for it in self._format.drafts(record)]
        except CellError as error:
            return [refused(record.line, error)]
        return drafts or [RowOutcome(line=record.line, result="skipped", reason="has no item")]

    def _once(self, draft: Draft) -> _Entry:
        """Return *draft*, or the refusal of one that is about the same item as a row before."""
        place = hash((draft.sku, draft.location))
        if draft.item_id is None:
            first = self._seen.setdefault(place, draft.line)
            what = f"the SKU and the location of line {first}"
            column = "sku"
        else:
            first = self._seen.setdefault(hash((draft.item_id, draft.sku, None)), draft.line)
            self._seen.setdefault(place, draft.line)
            what = f"the item of line {first}"
            column = "item_id"
        if first == draft.line:
            return draft
        error = CellError(
            f"is {what} once more",
            column=draft.columns[column],
            value=draft.sku,
            code="duplicate_row",
        )
        return refused_draft(draft, error)


# --- Drafts → outcomes


@frozen(kw_only=True)
class _Open:
    """
    A row that is not settled yet.

    Attributes:
        draft: What it says.
        known: The item that an earlier run made of it, which need not be in the indexes yet.
        gone: What was made of it before, and is no more.
    """

    draft: Draft
    known: ItemKey | None = None
    gone: tuple[str, ...] = ()


_Command = CreateItem | UpdateItem
_Planned = dict[int, tuple[_Open, RowOutcome, _Command]]


@frozen(kw_only=True)
class _Importer:
    books: InventoryWriter
    dry_run: bool
    stops: bool
    update_stock: bool

    def outcomes(
        self, batches: Iterator[list[_Entry]], *, in_flight: int
    ) -> Iterator[list[RowOutcome]]:
        """Yield what became of each batch, in their order."""
        # What is not there when we come cannot be found by looking for each row of it. Whoever imports the same rows at the
        # same time meets us at the idempotency keys.
        is_empty = self._is_empty()

        def settled(entries: list[_Entry]) -> list[RowOutcome]:
            return _Batch(self, entries, books_were_empty=is_empty).settled()

        if in_flight > 1:
            yield from _in_order(settled, batches, in_flight)
            return
        for entries in batches:
            outcomes = settled(entries)
            yield outcomes
            if self.stops and any(it.result == "refused" for it in outcomes):
                return

    def _is_empty(self) -> bool:
        page = self.books.list_items(ListItems(page_size=1))
        return not page.items and page.next_cursor is None


def _in_order(
    work: Callable[[list[_Entry]], list[RowOutcome]],
    batches: Iterator[list[_Entry]],
    in_flight: int,
) -> Iterator[list[RowOutcome]]:
    """Yield the results of *work*, in order, with up to *in_flight* of them under way."""
    with ThreadPoolExecutor(in_flight, thread_name_prefix="import") as pool:
        under_way: deque[Future[list[RowOutcome]]] = deque()
        try:
            for entries in batches:
                under_way.append(pool.submit(work, entries))
                if len(under_way) >= in_flight:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


class _Batch:
    """Some rows on their way to their outcomes."""

    def __init__(
        self, importer: _Importer, entries: list[_Entry], *, books_were_empty: bool
    ) -> None:
        self._importer = importer
        self._books = importer.books
        self._books_were_empty = books_were_empty
        self._outcomes: dict[int, RowOutcome] = {}
        self._open: dict[int, _Open] = {}
        self._drafts = [it for it in entries if isinstance(it, Draft)]
        for place, entry in enumerate(entries):
            if isinstance(entry, Draft):
                self._open[place] = _Open(draft=entry)
            else:
                self._settle(place, entry)
                if self._is_over:
                    break

    @property
    def _is_over(self) -> bool:
        """Whether a row was refused that stops the import: then nothing behind it counts."""
        return self._importer.stops and any(
            it.result == "refused" for it in self._outcomes.values()
        )

    def settled(self) -> list[RowOutcome]:
        """Decide and write until every row is settled, and return the outcomes in the order of the rows."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_pause(attempt))
            self._write(self._plan())
            if not self._open:
                break
        for place, row in list(self._open.items()):
            self._settle(place, refused_draft(row.draft, ContentionError()))
        return [self._outcomes[place] for place in sorted(self._outcomes)]

    def _settle(self, place: int, outcome: RowOutcome) -> None:
        self._outcomes[place] = outcome
        self._open.pop(place, None)
        if outcome.result == "refused" and self._importer.stops:
            self._open = {it: row for it, row in self._open.items() if it < place}
            self._outcomes = {it: told for it, told in self._outcomes.items() if it <= place}

    def _plan(self) -> _Planned:
        """Decide what is to be done for each open row; settle those for which nothing is."""
        planned: _Planned = {}
        of_sku: dict[str, list[Item]] = {}
        taken: dict[ItemKey, int] = {}
        for place, row in list(self._open.items()):
            if place not in self._open:
                break
            try:
                item = self._item(row, of_sku)
                _check_once(row.draft, item, taken)
                outcome, command = self._decided(row.draft, item)
            except (CellError, InventoryError) as error:
                if _ends_everything(error):
                    raise
                self._settle(place, refused_draft(row.draft, error))
                continue
            if command is None or self._importer.dry_run:
                self._settle(place, outcome)
            else:
                planned[place] = (row, outcome, command)
        return {place: it for place, it in planned.items() if place in self._open}

    # What a row is about

    def _item(self, row: _Open, of_sku: dict[str, list[Item]]) -> Item | None:
        draft = row.draft
        if row.known is not None:
            return self._books.get_item(GetItem(item_id=row.known.item_id, sku=row.known.sku))
        if draft.item_id is not None:
            return self._by_id(draft, draft.item_id)
        if self._books_were_empty:
            return None
        if draft.sku not in of_sku:
            of_sku[draft.sku] = list(self._of_sku(draft.sku))
        found = [it for it in of_sku[draft.sku] if it.location == draft.location]
        if len(found) > 1:
            raise CellError(
                f"is the SKU of {len(found)} items at {draft.location}; add their item_id, or export them",
                column=draft.columns["sku"],
                value=draft.sku,
                code="ambiguous",
            )
        return found[0] if found else None

    def _of_sku(self, sku: str) -> Iterator[Item]:
        # Not by location, too: one look finds what the row has for all of its locations.
        token = None
        while True:
            page = self._books.list_items(ListItems(sku=sku, page_size=100, page_token=token))
            yield from page.items
            token = page.next_cursor
            if token is None:
                return

    def _by_id(self, draft: Draft, item_id: str) -> Item:
        try:
            return self._books.get_item(GetItem(item_id=item_id, sku=draft.sku))
        except ItemNotFoundError:
            pass
        try:
            other = self._books.get_item(GetItem(item_id=item_id))
        except ItemNotFoundError as error:
            raise CellError(
                "is the id of no item; to make a new one, leave it empty",
                column=draft.columns["item_id"],
                value=item_id,
                code=error.code,
            ) from None
        raise CellError(
            f"is not the SKU of this item, which is {other.sku} and cannot change",
            column=draft.columns["sku"],
            value=draft.sku,
            code=ItemNotFoundError.code,
        )

    # What to do about it

    def _decided(self, draft: Draft, item: Item | None) -> tuple[RowOutcome, _Command | None]:
        if item is None:
            return outcome_of(draft, "created"), _creation(draft)
        changes = _differences(draft, item)
        if changes:
            _check_version(draft, item)
        notes = draft.notes
        is_left = False
        if draft.quantity is not None and draft.quantity != item.level.on_hand:
            if self._importer.update_stock:
                _check_stock(draft, draft.quantity, item)
                changes["quantity"] = draft.quantity
            else:
                is_left = True
                notes = (
                    *notes,
                    f"quantity {draft.quantity} not written: {item.level.on_hand} are on the books",
                )
        if not changes:
            return outcome_of(draft, "unchanged", notes=notes, quantity_left=is_left), None
        if_match = IfMatch(frozenset({(item.version, item.level.seq)}))
        command = UpdateItem(item_id=item.item_id, sku=item.sku, if_match=if_match, **changes)
        outcome = outcome_of(draft, "updated", notes=notes, quantity_left=is_left)
        return attrs.evolve(outcome, changes=tuple(changes)), command

    # Doing it

    def _write(self, planned: _Planned) -> None:
        """Write what is planned, 25 at a time; what somebody else was quicker with stays open."""
        places = list(planned)
        for start in range(0, len(places), MAX_ROWS):
            chunk = {it: planned[it] for it in places[start : start + MAX_ROWS] if it in self._open}
            if chunk:
                self._write_chunk(chunk, start)

    def _write_chunk(self, chunk: _Planned, start: int) -> None:
        commands = tuple(command for _, _, command in chunk.values())
        makes = any(isinstance(it, CreateItem) for it in commands)
        key = IdempotencyKey(self._digest(chunk, start), scope="csv import") if makes else None
        try:
            results = self._sent(BatchItems(items=commands, idempotency_key=key))
        except ContentionError:
            return
        except BatchRefusedError as error:
            self._refuse(list(chunk), error)
        except KeyReusedError:
            # Another run has made some of these, and we see others of them already.
            time.sleep(_LAG_SECONDS)
            self._reopen(chunk, gone=key.value if key else "")
        else:
            if key is not None and key.replayed:
                self._recognise(chunk, results)
                return
            for place, (_, outcome, _) in chunk.items():
                self._settle(place, outcome)

    def _sent(self, batch: BatchItems) -> tuple[RowResult, ...]:
        for attempt in range(1, _ATTEMPTS):
            try:
                return self._books.batch_items(batch)
            except StorageThrottledError:
                time.sleep(_pause(attempt))
        return self._books.batch_items(batch)

    def _refuse(self, places: list[int], error: BatchRefusedError) -> None:
        for index, why in error.refused.items():
            place = places[index]
            # Overtaken: what the row means for the item as it is now is decided anew.
            if not isinstance(why, PreconditionFailedError) and place in self._open:
                self._settle(place, refused_draft(self._open[place].draft, why))

    def _recognise(self, chunk: _Planned, results: tuple[RowResult, ...]) -> None:
        """Take the items that an earlier run made of these very rows for what they are: there already, or gone since."""
        for place, result in zip(chunk, results, strict=True):
            row = self._open[place]
            if not result.created or result.item_id is None or result.sku is None:
                continue
            key = ItemKey(item_id=result.item_id, sku=result.sku)
            try:
                self._books.get_item(GetItem(item_id=key.item_id, sku=key.sku))
                self._open[place] = attrs.evolve(row, known=key)
            except ItemNotFoundError:
                self._open[place] = attrs.evolve(row, known=None, gone=(*row.gone, key.item_id))

    def _reopen(self, chunk: _Planned, *, gone: str) -> None:
        for place in chunk:
            row = self._open[place]
            self._open[place] = attrs.evolve(row, gone=(*row.gone, gone))

    def _digest(self, chunk: _Planned, start: int) -> str:
        """
        Name what is to be made, by what the rows say and by nothing else: two runs over the same file find the same name.

        Rows of the batch that need nothing made are part of it, or two runs would differ in what they see already.
        """
        said = [
            (it.sku, it.location, it.quantity, sorted(it.details.items(), key=itemgetter(0)))
            for it in self._drafts
        ]
        gone = sorted({it for row, _, _ in chunk.values() for it in row.gone})
        return sha256(repr((start, said, gone)).encode()).hexdigest()


def _pause(attempt: int) -> float:
    """Return how long to wait after some attempts: full jitter, so that writers that met once do not meet again."""
    return random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.05 * 2**attempt))  # noqa: S311 - spreads load, guards nothing


def _ends_everything(error: Exception) -> bool:
    """Tell whether there is no point in going on; a row that cannot be read is trouble of its own."""
    return isinstance(error, StorageError) and not isinstance(error, UnreadableItemError)


def _check_once(draft: Draft, item: Item | None, taken: dict[ItemKey, int]) -> None:
    """Refuse a second row about one item: what they say would depend on which comes first."""
    if item is not None and taken.setdefault(item.key, draft.line) != draft.line:
        raise CellError(f"is the item of line {taken[item.key]} once more", code="duplicate_row")


def _creation(draft: Draft) -> CreateItem:
    # What is missing is refused by its bound, like what is empty.
    said = {"name": "", "category": "", **draft.initial, **draft.details}
    said.pop("location", None)
    return CreateItem(sku=draft.sku, location=draft.location, quantity=draft.quantity or 0, **said)


def _differences(draft: Draft, item: Item) -> dict[str, Any]:
    """Return the details that the row has otherwise than the item."""
    found = {name: it for name, it in draft.details.items() if it != getattr(item, name)}
    follows_stock = {found.get("status"), item.status} == {AVAILABLE, OUT_OF_STOCK}
    if follows_stock and draft.seq != item.level.seq:
        # Units came or went since: the status went with them, and nobody wants it back.
        del found["status"]
    return found


def _check_version(draft: Draft, item: Item) -> None:
    """Refuse to change the details of an item that was edited since the row was exported."""
    # A row without an id is no export: it says what the item shall be.
    speaks_of_one = draft.item_id is not None or draft.version is not None
    if speaks_of_one and draft.version != item.version:
        raise _stale(draft, "version", draft.version, item.version)


def _check_stock(draft: Draft, quantity: int, item: Item) -> None:
    """Refuse a quantity that is older than the last movement, or would take units that are promised."""
    speaks_of_one = draft.item_id is not None or draft.seq is not None
    if speaks_of_one and draft.seq != item.level.seq:
        raise _stale(draft, "seq", draft.seq, item.level.seq)
    if quantity < item.level.reserved:
        raise BelowReservedError(
            item_id=item.item_id, sku=item.sku, requested=quantity, reserved=item.level.reserved
        )


def _stale(draft: Draft, column: str, said: int | None, now: int) -> CellError:
    return CellError(
        f"is not the item's {column} any more, which is {now}; export it again",
        column=draft.columns.get(column, column),
        value="" if said is None else str(said),
        code=_STALE,
    )
