"""
Drafts → items: each batch of rows is compared with the stored items, and what differs is written.

Every write is guarded by the state that was read before it. So an interrupted run is simply started again: stored rows are
recognised by id, or by SKU and location. An `ExclusiveRepository` is read and written under its lock. Elsewhere, new items are
created under an idempotency key that is a digest of their rows: a run that cannot see yet what another one has just created
(DynamoDB's indexes lag, two people import the same file) gets the stored answer. So nothing is created twice.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from hashlib import sha256
from typing import Any, Final, Protocol
from unicodedata import normalize

from attrs import define, field, frozen

from inventory import edits
from inventory.backoff import full_jitter
from inventory.batch import RowResult
from inventory.commands import (
    EXISTING_SKU,
    MAX_ROWS,
    BatchItems,
    CreateItem,
    GetItem,
    ListItems,
    UpdateItem,
)
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
from inventory.ports import ExclusiveRepository
from inventory.preconditions import IfMatch
from inventory.service import Inventory
from inventory.validation import normalized
from inventory_adapters.catalogue.cells import CellError
from inventory_adapters.catalogue.drafts import ONE_LINE, Draft
from inventory_adapters.catalogue.outcomes import RowOutcome, outcome_of, refused_draft
from inventory_adapters.wire import UNKNOWN_SEQ

__all__ = ["Entry", "Importer", "InventoryWriter"]

# How often a batch is tried, because another writer was faster or the storage throttles.
_ATTEMPTS: Final = 6
_LONGEST_PAUSE_SECONDS: Final = 4.0

# How long an index of DynamoDB usually lags behind, at most.
_LAG_SECONDS: Final = 0.25


class InventoryWriter(Protocol):
    """The part of `Inventory` that an import needs."""

    def get_item(self, query: GetItem) -> Item:
        """See `Inventory.get_item`."""

    def list_items(self, query: ListItems) -> Page[Item]:
        """See `Inventory.list_items`."""

    def find_by_sku(self, sku: str) -> tuple[Item, ...]:
        """See `Inventory.find_by_sku`."""

    def batch_items(self, command: BatchItems) -> tuple[RowResult, ...]:
        """See `Inventory.batch_items`."""


Entry = Draft | RowOutcome
"""A row: its contents, or its outcome if it has one already."""

_Planned = tuple[int, Draft, RowOutcome, CreateItem | UpdateItem]
"""The place of a row in its batch, the row, its outcome once it is written, and the command that writes it."""


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
        self, batches: Iterable[list[Entry]], *, in_flight: int
    ) -> Iterator[list[RowOutcome]]:
        """Yield the outcomes of each batch, in the order of the batches."""
        # The API of a server has none.
        repository = getattr(self.inventory, "repository", None)
        storage = repository if isinstance(repository, ExclusiveRepository) else None
        # An empty inventory needs no search per row. A concurrent import of the same rows is detected by the idempotency keys.
        was_empty = storage is None and self.is_first()

        def settled(entries: list[Entry]) -> list[RowOutcome]:
            return _Batch(self, storage, was_empty, entries).settled()

        if in_flight > 1 and not self.stops:
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
    batches: Iterable[list[Entry]],
    in_flight: int,
) -> Iterator[list[RowOutcome]]:
    """Yield the results of *work*, in order, with up to *in_flight* of them under way."""
    with ThreadPoolExecutor(in_flight, thread_name_prefix="import") as pool:
        under_way: deque[Future[list[RowOutcome]]] = deque()
        for entries in batches:
            under_way.append(pool.submit(work, entries))
            if len(under_way) >= in_flight:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@define
class _Batch:
    """
    Rows that are written together, by their places in the batch.

    Attributes:
        importer: The choices for the whole file.
        storage: The storage, if it can be had exclusively.
        was_empty: Whether there were no items when the import began.
        entries: The rows.
        end: The place from which rows are left out, because a rejected row has stopped the import.
        outcomes: The outcomes of rows that have one.
        earlier: The results of an earlier run, whose items may not be in the indexes yet.
        gone: What of earlier runs is out of date.
    """

    importer: Importer
    storage: ExclusiveRepository | None
    was_empty: bool
    entries: list[Entry]
    end: int = field(init=False)
    outcomes: dict[int, RowOutcome] = field(factory=dict, init=False)
    earlier: dict[int, RowResult] = field(factory=dict, init=False)
    gone: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.end = len(self.entries)
        for place, entry in enumerate(self.entries):
            if isinstance(entry, RowOutcome):
                self._settle(place, entry)

    def settled(self) -> list[RowOutcome]:
        """Plan and write until every row has an outcome; return the outcomes in the order of the rows."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_pause(attempt))
            try:
                with self._exclusive():
                    self._write(self._plan())
            except StorageThrottledError:
                if attempt == _ATTEMPTS - 1:
                    raise
            if not self._open():
                break
        for place, draft in self._open():
            self._settle(place, refused_draft(draft, ContentionError()))
        return [self.outcomes[place] for place in range(self.end)]

    def _exclusive(self) -> AbstractContextManager[None]:
        if self.storage is None or self.importer.dry_run:
            return nullcontext()
        return self.storage.exclusive()

    def _open(self) -> list[tuple[int, Draft]]:
        """Return the rows without an outcome."""
        rows = enumerate(self.entries[: self.end])
        return [(it, row) for it, row in rows if isinstance(row, Draft) and it not in self.outcomes]

    def _settle(self, place: int, outcome: RowOutcome) -> None:
        self.outcomes[place] = outcome
        if outcome.result == "refused" and self.importer.stops:
            self.end = min(self.end, place + 1)

    def _plan(self) -> list[_Planned]:
        """Plan the write of each open row; settle the rows that need none."""
        planned: list[_Planned] = []
        rows = self._open()
        stored = self._stored(draft for _, draft in rows)
        taken: dict[ItemKey, int] = {}
        for place, draft in rows:
            try:
                item = self._item(place, draft, stored)
                if item is not None:
                    _check_once(draft, item, taken)
                outcome, command = self._plan_row(draft, item)
            except (CellError, InventoryError) as error:
                # An unreadable item concerns its row alone.
                if isinstance(error, StorageError) and not isinstance(error, UnreadableItemError):
                    raise
                self._settle(place, refused_draft(draft, error))
                if place < self.end:
                    continue
                break
            if command is None or self.importer.dry_run:
                self._settle(place, outcome)
            else:
                planned.append((place, draft, outcome, command))
        return planned

    # The item of a row

    def _stored(self, drafts: Iterable[Draft]) -> dict[str, list[Item]]:
        """Return the items with the SKUs of the rows, at any location, by their SKU as it is compared."""
        if self.was_empty:
            return {}
        skus = list(dict.fromkeys(form for it in drafts if not it.item_id for form in _forms(it)))
        if self.storage is not None:
            items: Iterable[Item] = self.storage.items_of_skus(skus)
        else:
            items = (item for sku in skus for item in self.importer.inventory.find_by_sku(sku))
        by_sku: dict[str, list[Item]] = defaultdict(list)
        # Two forms of a SKU may find the same item.
        for item in {it.key: it for it in items}.values():
            by_sku[normalized(item.sku)].append(item)
        return by_sku

    def _item(self, place: int, draft: Draft, stored: dict[str, list[Item]]) -> Item | None:
        earlier = self.earlier.pop(place, None)
        if earlier is not None and earlier.item_id is not None:
            with suppress(ItemNotFoundError):
                return self.importer.inventory.get_item(
                    GetItem(item_id=earlier.item_id, sku=earlier.sku)
                )
            self.gone.add(earlier.item_id)
        if draft.item_id is not None:
            return self._by_id(draft, draft.item_id)
        items = [
            it for it in stored.get(draft.sku, ()) if normalized(it.location) == draft.location
        ]
        if len(items) > 1:
            reason = f"is the SKU of {len(items)} items at {draft.location}; add their item_id, or export them"
            raise draft.error("sku", reason, draft.sku, "ambiguous")
        return items[0] if items else None

    def _by_id(self, draft: Draft, item_id: str) -> Item:
        # The exact SKU first: an earlier version of the API stored it as it was sent.
        for sku in dict.fromkeys((draft.given_sku, draft.sku)):
            with suppress(ItemNotFoundError):
                return self.importer.inventory.get_item(GetItem(item_id=item_id, sku=sku))
        try:
            other = self.importer.inventory.get_item(GetItem(item_id=item_id))
        except ItemNotFoundError as error:
            reason = "does not exist. Leave item_id empty to create an item"
            raise draft.error("item_id", reason, item_id, error.code) from None
        reason = f"is not the SKU of this item, which is {other.sku} and cannot be changed"
        raise draft.error("sku", reason, draft.sku, ItemNotFoundError.code)

    # The plan for a row

    def _plan_row(
        self, draft: Draft, item: Item | None
    ) -> tuple[RowOutcome, CreateItem | UpdateItem | None]:
        if item is None and not draft.may_create:
            reason = f"does not exist at {draft.location}; a stocktake creates no items"
            raise draft.error("sku", reason, draft.sku, ItemNotFoundError.code)
        if item is None:
            outcome = outcome_of(draft, "created", (*draft.notes, *draft.initial_notes))
            # A missing name or category is rejected by its bound, as an empty one is.
            return outcome, CreateItem(**draft.new_item)
        if (
            not isinstance(self.importer.inventory, Inventory)
            and item.level.seq == UNKNOWN_SEQ
            and (draft.quantity not in (None, item.level.on_hand) or _differences(draft, item))
        ):
            # It may come from a list of an API, which has no seq.
            key = GetItem(item_id=item.item_id, sku=item.sku)
            item = self.importer.inventory.get_item(key)
        changes = _differences(draft, item)
        if changes:
            _check_version(draft, item)
        outcome = outcome_of(draft, "unchanged", draft.notes)
        if draft.quantity is not None and draft.quantity != item.level.on_hand:
            if self.importer.update_stock:
                _check_stock(draft, draft.quantity, item)
                changes["quantity"] = draft.quantity
            else:
                outcome.quantity_left = True
                note = f"quantity {draft.quantity} not written: the stored quantity is {item.level.on_hand}"
                outcome.notes = (*draft.notes, note)
        if not changes:
            return outcome, None
        outcome.result, outcome.changes = "updated", tuple(changes)
        if_match = IfMatch(frozenset({(item.version, item.level.seq)}))
        command = UpdateItem(item_id=item.item_id, sku=item.sku, if_match=if_match, **changes)
        # With the attributes that the item has, there may be too many; a dry run finds that, too.
        edits.details(item, command)
        return outcome, command

    # Writing

    def _write(self, planned: list[_Planned]) -> None:
        """Write the planned rows, 25 at a time; those that another writer changed meanwhile stay open."""
        for start in range(0, len(planned), MAX_ROWS):
            chunk = [it for it in planned[start : start + MAX_ROWS] if it[0] < self.end]
            if chunk:
                self._write_chunk(chunk, start)

    def _write_chunk(self, chunk: list[_Planned], start: int) -> None:
        commands = tuple(command for *_, command in chunk)
        key = None
        if self.storage is None and any(isinstance(it, CreateItem) for it in commands):
            key = IdempotencyKey(self._digest(start), scope="import")
        try:
            results = self.importer.inventory.batch_items(
                BatchItems(items=commands, idempotency_key=key)
            )
        except ContentionError:
            return
        except KeyReusedError:
            # Another run has created some of these, and others of them are visible already.
            time.sleep(_LAG_SECONDS)
            self.gone.add(key.value if key else "")
        except BatchRefusedError as error:
            for index, why in error.refused.items():
                place, draft, *_ = chunk[index]
                # The item changed meanwhile: the row is compared with it again.
                if not isinstance(why, PreconditionFailedError) and place < self.end:
                    self._settle(place, refused_draft(draft, why))
        else:
            for (place, _, outcome, _), result in zip(chunk, results, strict=True):
                if key is not None and key.replayed:
                    self.earlier[place] = result
                else:
                    self._settle(place, outcome)

    def _digest(self, start: int) -> str:
        """
        Return a digest of the rows and nothing else: two runs over the same file get the same key.

        It covers all rows of the batch, because two runs may differ in the rows that they find stored.
        """
        rows = [
            (it.sku, it.location, it.quantity, it.details, it.initial)
            for it in self.entries
            if isinstance(it, Draft)
        ]
        return sha256(repr((start, rows, sorted(self.gone))).encode()).hexdigest()


def _forms(draft: Draft) -> list[str]:
    """Return the forms of a SKU that may be stored: the API's first version stored any."""
    forms = {draft.sku, draft.given_sku, normalize("NFD", draft.sku)}
    return [it for it in forms if 0 < len(it.encode()) <= EXISTING_SKU.max_bytes]


def _pause(attempt: int) -> float:
    """Return the pause after some attempts in seconds: full jitter, to avoid synchronized retries."""
    return full_jitter(min(_LONGEST_PAUSE_SECONDS, 0.05 * 2**attempt))


def _check_once(draft: Draft, item: Item, taken: dict[ItemKey, int]) -> None:
    """Reject a second row about one item: the result would depend on their order."""
    if taken.setdefault(item.key, draft.line) != draft.line:
        raise CellError(f"duplicates the item of line {taken[item.key]}", code="duplicate_row")


def _differences(draft: Draft, item: Item) -> dict[str, Any]:
    """Return the details of the row that differ from those of the item."""
    changes = {
        name: value
        for name, value in draft.details.items()
        if value != (stored := getattr(item, name)) and not _is_same(name, value, stored)
    }
    follows_stock = {changes.get("status"), item.status} == {AVAILABLE, OUT_OF_STOCK}
    if follows_stock and draft.seq != item.level.seq:
        # Units came or left since, and the status followed them.
        del changes["status"]
    return changes


def _is_same(name: str, value: Any, stored: Any) -> bool:
    """Return whether two texts differ only in what spreadsheets change: outer blanks of one line, the line ends of several."""
    if name == "attributes":
        # Those that the file does not have stay.
        return all(_is_same("description", text, stored.get(it)) for it, text in value.items())
    if not (isinstance(value, str) and isinstance(stored, str)):
        return False
    if name in ONE_LINE:
        return value == normalized(stored)
    return name == "description" and value.splitlines() == stored.splitlines()


def _check_version(draft: Draft, item: Item) -> None:
    """Reject changes to the details of an item that was edited since the row was exported."""
    # A row without an id is no export: it holds the wanted state of the item.
    is_exported = draft.item_id is not None or draft.version is not None
    if is_exported and draft.version != item.version:
        raise _stale(draft, "version", draft.version, item.version)


def _check_stock(draft: Draft, quantity: int, item: Item) -> None:
    """Reject a quantity that is older than the last movement, or would take reserved units."""
    is_exported = draft.item_id is not None or draft.seq is not None
    if is_exported and draft.seq != item.level.seq:
        raise _stale(draft, "seq", draft.seq, item.level.seq)
    if quantity < item.level.reserved:
        raise BelowReservedError(
            item_id=item.item_id, sku=item.sku, requested=quantity, reserved=item.level.reserved
        )


def _stale(draft: Draft, column: str, given: int | None, current: int) -> CellError:
    reason = f"is out of date (current {column}: {current}). Export again"
    return draft.error(column, reason, "" if given is None else str(given), "stale")
