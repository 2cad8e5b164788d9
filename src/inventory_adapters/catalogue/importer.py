"""
Drafts → items: each batch of rows is compared with the stored items, and what differs is written.

Every write is guarded by the state that was read before it. So an interrupted run is simply started again: stored rows are
recognised by id, or by SKU and location. New items are created under an idempotency key that is a digest of their
rows: a run that cannot see yet what another one has just created (DynamoDB's indexes lag, two people import the same file)
gets the stored answer, and nothing is created twice.
"""

import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Final, Protocol

import attrs
from attrs import frozen

from inventory.backoff import full_jitter
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
from inventory.lookup import all_items
from inventory.paging import Page
from inventory.preconditions import IfMatch
from inventory.service import Inventory
from inventory.validation import normalized
from inventory_adapters.catalogue.cells import CellError
from inventory_adapters.catalogue.drafts import ONE_LINE, Draft
from inventory_adapters.catalogue.outcomes import RowOutcome, outcome_of, refused_draft
from inventory_adapters.wire import UNKNOWN_SEQ

__all__ = ["Importer", "InventoryWriter"]

# How often a batch is tried, because another writer was faster or the storage throttles.
_ATTEMPTS: Final = 6
_LONGEST_PAUSE_SECONDS: Final = 4.0

# How long an index of DynamoDB usually lags behind, at most.
_LAG_SECONDS: Final = 0.25

_STALE: Final = "stale"


class InventoryWriter(Protocol):
    """The part of `Inventory` that an import needs."""

    def get_item(self, query: GetItem) -> Item:
        """See `Inventory.get_item`."""

    def list_items(self, query: ListItems) -> Page[Item]:
        """See `Inventory.list_items`."""

    def batch_items(self, command: BatchItems) -> tuple[RowResult, ...]:
        """See `Inventory.batch_items`."""


Entry = Draft | RowOutcome
"""A row: its contents, or its outcome if it has one already."""


@frozen(kw_only=True)
class _Open:
    """
    A row without an outcome.

    Attributes:
        draft: Its contents.
        known: The item that an earlier run created from it, which may not be in the indexes yet.
        gone: The ids of items that earlier runs created from it and that were deleted since.
    """

    draft: Draft
    known: ItemKey | None = None
    gone: tuple[str, ...] = ()


_Command = CreateItem | UpdateItem
_Planned = dict[int, tuple[_Open, RowOutcome, _Command]]


@frozen(kw_only=True)
class Importer:
    """
    The choices for all rows of a file.

    Attributes:
        inventory: Where the items are stored.
        dry_run: Whether nothing is written.
        stops: Whether a rejected row ends the import; the rows before it are written, those after it not.
        update_stock: Whether quantities that differ are written; else they are only reported.
    """

    inventory: InventoryWriter
    dry_run: bool
    stops: bool
    update_stock: bool

    def outcomes(
        self, batches: Iterator[list[Entry]], *, in_flight: int
    ) -> Iterator[list[RowOutcome]]:
        """Yield the outcomes of each batch, in the order of the batches."""
        # An empty inventory needs no search per row. A concurrent import of the same rows is detected by the idempotency keys.
        is_empty = self.is_first()
        if self.stops:
            # Nothing behind a rejected row may be under way.
            in_flight = 1

        def settled(entries: list[Entry]) -> list[RowOutcome]:
            return _Batch(self, entries, was_empty=is_empty).settled()

        if in_flight > 1:
            yield from _in_order(settled, batches, in_flight)
            return
        for entries in batches:
            outcomes = settled(entries)
            yield outcomes
            if self.stops and any(it.result == "refused" for it in outcomes):
                return

    def is_first(self) -> bool:
        """Return whether there are no items yet."""
        page = self.inventory.list_items(ListItems(page_size=1))
        return not page.items and page.next_cursor is None


def _in_order(
    work: Callable[[list[Entry]], list[RowOutcome]],
    batches: Iterator[list[Entry]],
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
    """Rows that are written together."""

    def __init__(self, importer: Importer, entries: list[Entry], *, was_empty: bool) -> None:
        self._importer = importer
        self._inventory = importer.inventory
        self._was_empty = was_empty
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
        """Whether a rejected row has stopped the import: the rows after it are left out."""
        return self._importer.stops and any(
            it.result == "refused" for it in self._outcomes.values()
        )

    def settled(self) -> list[RowOutcome]:
        """Plan and write until every row has an outcome; return the outcomes in the order of the rows."""
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
            self._outcomes = {it: done for it, done in self._outcomes.items() if it <= place}

    def _plan(self) -> _Planned:
        """Plan the write of each open row; settle the rows that need none."""
        planned: _Planned = {}
        of_sku: dict[str, list[Item]] = {}
        taken: dict[ItemKey, int] = {}
        for place, row in list(self._open.items()):
            if place not in self._open:
                break
            try:
                item = self._item(row, of_sku)
                _check_once(row.draft, item, taken)
                outcome, command = self._plan_row(row.draft, item)
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

    # The item of a row

    def _item(self, row: _Open, of_sku: dict[str, list[Item]]) -> Item | None:
        draft = row.draft
        if row.known is not None:
            return self._inventory.get_item(GetItem(item_id=row.known.item_id, sku=row.known.sku))
        if draft.row.item_id is not None:
            return self._by_id(draft, draft.row.item_id)
        if self._was_empty:
            return None
        if draft.sku not in of_sku:
            # Two forms of a SKU may find the same item.
            of_sku[draft.sku] = list({it.key: it for it in self._of_sku(draft)}.values())
        items = [it for it in of_sku[draft.sku] if normalized(it.location) == draft.location]
        if len(items) > 1:
            raise CellError(
                f"is the SKU of {len(items)} items at {draft.location}; add their item_id, or export them",
                column=draft.row.columns["sku"],
                value=draft.sku,
                code="ambiguous",
            )
        return items[0] if items else None

    def _of_sku(self, draft: Draft) -> Iterator[Item]:
        """Yield all items with the SKU, including those that the API's first version stored in another form."""
        forms = {draft.sku: None, draft.row.sku: None}
        if not draft.sku.isascii():
            forms[unicodedata.normalize("NFD", draft.sku)] = None
        for sku in filter(None, forms):
            # Without the location: one query finds what the row has for all of its locations.
            yield from all_items(self._inventory.list_items, ListItems(sku=sku))

    def _by_id(self, draft: Draft, item_id: str) -> Item:
        # The exact SKU first: an earlier version of the API stored it as it was sent.
        for sku in dict.fromkeys((draft.row.sku, draft.sku)):
            try:
                return self._inventory.get_item(GetItem(item_id=item_id, sku=sku))
            except ItemNotFoundError:
                continue
        try:
            other = self._inventory.get_item(GetItem(item_id=item_id))
        except ItemNotFoundError as error:
            raise CellError(
                "does not exist. Leave item_id empty to create an item",
                column=draft.row.columns["item_id"],
                value=item_id,
                code=error.code,
            ) from None
        raise CellError(
            f"is not the SKU of this item, which is {other.sku} and cannot be changed",
            column=draft.row.columns["sku"],
            value=draft.sku,
            code=ItemNotFoundError.code,
        )

    # The plan for a row

    def _plan_row(self, draft: Draft, item: Item | None) -> tuple[RowOutcome, _Command | None]:
        if item is None and not draft.row.may_create:
            raise CellError(
                f"does not exist at {draft.location}; a stocktake creates no items",
                column=draft.row.columns["sku"],
                value=draft.sku,
                code=ItemNotFoundError.code,
            )
        if item is None:
            notes = (*draft.notes, *draft.row.initial_notes)
            # A missing name or category is rejected by its bound, as an empty one is.
            return outcome_of(draft, "created", notes=notes), CreateItem(**draft.new_item)
        if (
            not isinstance(self._inventory, Inventory)
            and item.level.seq == UNKNOWN_SEQ
            and (draft.quantity not in (None, item.level.on_hand) or _differences(draft, item))
        ):
            # It may come from a list of an API, which has no seq.
            item = self._inventory.get_item(GetItem(item_id=item.item_id, sku=item.sku))
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
                    f"quantity {draft.quantity} not written: the stored quantity is {item.level.on_hand}",
                )
        if not changes:
            return outcome_of(draft, "unchanged", notes=notes, quantity_left=is_left), None
        if_match = IfMatch(frozenset({(item.version, item.level.seq)}))
        command = UpdateItem(item_id=item.item_id, sku=item.sku, if_match=if_match, **changes)
        outcome = outcome_of(draft, "updated", notes=notes, quantity_left=is_left)
        return attrs.evolve(outcome, changes=tuple(changes)), command

    # Writing

    def _write(self, planned: _Planned) -> None:
        """Write the planned rows, 25 at a time; those that another writer changed meanwhile stay open."""
        places = list(planned)
        for start in range(0, len(places), MAX_ROWS):
            chunk = {it: planned[it] for it in places[start : start + MAX_ROWS] if it in self._open}
            if chunk:
                self._write_chunk(chunk, start)

    def _write_chunk(self, chunk: _Planned, start: int) -> None:
        commands = tuple(command for _, _, command in chunk.values())
        makes = any(isinstance(it, CreateItem) for it in commands)
        key = IdempotencyKey(self._digest(chunk, start), scope="import") if makes else None
        try:
            results = self._sent(BatchItems(items=commands, idempotency_key=key))
        except ContentionError:
            return
        except BatchRefusedError as error:
            self._refuse(list(chunk), error)
        except KeyReusedError:
            # Another run has created some of these, and others of them are visible already.
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
                return self._inventory.batch_items(batch)
            except StorageThrottledError:
                time.sleep(_pause(attempt))
        return self._inventory.batch_items(batch)

    def _refuse(self, places: list[int], error: BatchRefusedError) -> None:
        for index, why in error.refused.items():
            place = places[index]
            # The item changed meanwhile: the row is compared with it again.
            if not isinstance(why, PreconditionFailedError) and place in self._open:
                self._settle(place, refused_draft(self._open[place].draft, why))

    def _recognise(self, chunk: _Planned, results: tuple[RowResult, ...]) -> None:
        """Note which items an earlier run created from these rows, and which of them were deleted since."""
        for place, result in zip(chunk, results, strict=True):
            row = self._open[place]
            if not result.created or result.item_id is None or result.sku is None:
                continue
            key = ItemKey(item_id=result.item_id, sku=result.sku)
            try:
                self._inventory.get_item(GetItem(item_id=key.item_id, sku=key.sku))
                self._open[place] = attrs.evolve(row, known=key)
            except ItemNotFoundError:
                self._open[place] = attrs.evolve(row, known=None, gone=(*row.gone, key.item_id))

    def _reopen(self, chunk: _Planned, *, gone: str) -> None:
        for place in chunk:
            row = self._open[place]
            self._open[place] = attrs.evolve(row, gone=(*row.gone, gone))

    def _digest(self, chunk: _Planned, start: int) -> str:
        """
        Return a digest of the rows and nothing else: two runs over the same file get the same key.

        It covers all rows of the batch, because two runs may differ in the rows that they find stored.
        """
        rows = [
            (it.sku, it.location, it.quantity, it.details, it.row.initial) for it in self._drafts
        ]
        gone = sorted({it for row, _, _ in chunk.values() for it in row.gone})
        return sha256(repr((start, rows, gone)).encode()).hexdigest()


def _pause(attempt: int) -> float:
    """Return the pause after some attempts in seconds: full jitter, to avoid synchronized retries."""
    return full_jitter(min(_LONGEST_PAUSE_SECONDS, 0.05 * 2**attempt))


def _ends_everything(error: Exception) -> bool:
    """Return whether an error ends the import; an unreadable item concerns its row alone."""
    return isinstance(error, StorageError) and not isinstance(error, UnreadableItemError)


def _check_once(draft: Draft, item: Item | None, taken: dict[ItemKey, int]) -> None:
    """Reject a second row about one item: the result would depend on their order."""
    if item is not None and taken.setdefault(item.key, draft.row.line) != draft.row.line:
        raise CellError(f"duplicates the item of line {taken[item.key]}", code="duplicate_row")


def _differences(draft: Draft, item: Item) -> dict[str, Any]:
    """Return the details of the row that differ from those of the item."""
    changes = {
        name: value
        for name, value in draft.details.items()
        if value != (stored := getattr(item, name))
        and not (
            isinstance(stored, str) and isinstance(value, str) and _is_same(name, value, stored)
        )
    }
    follows_stock = {changes.get("status"), item.status} == {AVAILABLE, OUT_OF_STOCK}
    if follows_stock and draft.seq != item.level.seq:
        # Units came or left since, and the status followed them.
        del changes["status"]
    return changes


def _is_same(name: str, value: str, stored: str) -> bool:
    """Return whether two texts differ only in what spreadsheets change: outer blanks of one line, the line ends of several."""
    if name in ONE_LINE:
        return value == normalized(stored)
    return name == "description" and value.splitlines() == stored.splitlines()


def _check_version(draft: Draft, item: Item) -> None:
    """Reject changes to the details of an item that was edited since the row was exported."""
    # A row without an id is no export: it holds the wanted state of the item.
    is_exported = draft.row.item_id is not None or draft.version is not None
    if is_exported and draft.version != item.version:
        raise _stale(draft, "version", draft.version, item.version)


def _check_stock(draft: Draft, quantity: int, item: Item) -> None:
    """Reject a quantity that is older than the last movement, or would take reserved units."""
    is_exported = draft.row.item_id is not None or draft.seq is not None
    if is_exported and draft.seq != item.level.seq:
        raise _stale(draft, "seq", draft.seq, item.level.seq)
    if quantity < item.level.reserved:
        raise BelowReservedError(
            item_id=item.item_id, sku=item.sku, requested=quantity, reserved=item.level.reserved
        )


def _stale(draft: Draft, column: str, given: int | None, current: int) -> CellError:
    return CellError(
        f"is out of date (current {column}: {current}). Export again",
        column=draft.row.columns.get(column, column),
        value="" if given is None else str(given),
        code=_STALE,
    )
