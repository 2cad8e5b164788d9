"""The library without HTTP, compared with bare sqlite3, and pages of a large store."""

import gc
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import sdk
from bench.baselines import bare_sqlite
from bench.measure import (
    Row,
    Scale,
    Spread,
    at_least,
    at_most,
    cpu_per_call,
    interleaved,
    rate,
    ratios,
)
from inventory import (
    AdjustStock,
    CommitReservation,
    CreateItem,
    CreateReservation,
    GetItem,
    Inventory,
    ListItems,
)
from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.paging import Cursor, PageRequest
from inventory.ports import Change, InventoryRepository, ItemFilter, ItemWrite
from inventory_adapters.storage import cursors
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["filled", "make_items", "near_the_end", "operations", "rows"]

_AT: Final = Timestamp("2026-03-17T16:45:12.123456+00:00")
_CATEGORIES: Final = 20
_PAGE: Final = 20
# A transaction writes whole pages of each index, so smaller transactions are slower: with 500 items by half.
_BATCH: Final = 5000
_PAGES: Final = 200
_SKUS: Final = 100
_SECONDS: Final = 60
_WRITES: Final = ("create", "adjust", "reserve and commit")
# Enough for the measurement, because the size of an item does not depend on their number.
_MAX_IN_MEMORY: Final = 20_000

NEW: Final = CreateItem(**{**sdk.ITEM, "price": Decimal("249.5"), "quantity": 1_000_000})
"""The item of all operations, with enough units for any run."""


def operations(inventory: Inventory) -> dict[str, Callable[[], Any]]:
    """Return one call per operation."""
    item = inventory.create_item(NEW)
    line = {"item_id": item.item_id, "sku": item.sku, "quantity": 1}

    def reserve_and_commit() -> None:
        reservation = inventory.create_reservation(CreateReservation(lines=[line]))
        inventory.commit_reservation(CommitReservation(reservation_id=reservation.reservation_id))

    return {
        "create": lambda: inventory.create_item(
            CreateItem(sku="SKU", name="Tent", category="new", quantity=9, price=Decimal("249.5"))
        ),
        "get": lambda: inventory.get_item(GetItem(item_id=item.item_id, sku=item.sku)),
        "adjust": lambda: inventory.adjust_stock(
            AdjustStock(item_id=item.item_id, sku=item.sku, delta=1, reason="delivery")
        ),
        "reserve and commit": reserve_and_commit,
        "list": lambda: inventory.list_items(ListItems(category="tents", page_size=_PAGE)),
    }


def rows(scale: Scale) -> Iterator[Row]:
    """Measure both repositories, and pages of a large store."""
    with TemporaryDirectory(prefix="bench-library-") as folder:
        yield from _operations(scale, Path(folder))
        yield from _pages(scale, Path(folder, "large.sqlite3"))
        yield from _memory_per_item(min(scale.items, _MAX_IN_MEMORY))


def _operations(scale: Scale, folder: Path) -> Iterator[Row]:
    memory, listed = Inventory(MemoryRepository()), Inventory(MemoryRepository())
    with (
        SqliteRepository(folder / "ours.sqlite3") as one,
        SqliteRepository(folder / "bare.sqlite3") as two,
        ExitStack() as more,
    ):
        for repository in (one, two, memory.repository, listed.repository):
            _fill(repository, _PAGE * _CATEGORIES)
        item = Inventory(two).create_item(NEW)
        bare = more.enter_context(
            bare_sqlite.operations(folder / "bare.sqlite3", item.item_id, item.sku)
        )
        stores = {
            "SQLite": operations(Inventory(one)),
            "bare": bare,
            # A separate repository for lists, which read every item: creates would make each round slower.
            "memory": {**operations(memory), "list": operations(listed)["list"]},
        }
        # Durable writes wait for the disk, so wall-clock time counts. All others are measured in CPU time, which does not
        # depend on other processes.
        turns = {
            f"{store} {name}": (
                rate(call, scale.calls)
                if name in _WRITES and store != "memory"
                else cpu_per_call(call, scale.calls)
            )
            for store, calls in stores.items()
            for name, call in calls.items()
        }
        samples = interleaved(turns, scale.rounds)
    row = partial(Row, group="library")
    for name in ("create", "adjust"):
        yield row(
            metric=f"SQLite, {name}, against bare sqlite3",
            unit="of its per second",
            value=ratios(samples, f"SQLite {name}", f"bare {name}"),
            commitment=at_least(0.5),
        )
    yield row(
        metric="SQLite, reserve and commit, against a bare create",
        unit="of its per second",
        value=ratios(samples, "SQLite reserve and commit", "bare create"),
    )
    for name in ("get", "list"):
        yield row(
            metric=f"SQLite, {name}, against bare sqlite3",
            unit="of its CPU",
            value=ratios(samples, f"SQLite {name}", f"bare {name}"),
        )
    for name in stores["memory"]:
        yield row(
            metric=f"memory, {name}",
            unit="of the CPU of bare sqlite3's get",
            value=ratios(samples, f"memory {name}", "bare get"),
        )


def make_items(first: int = 0) -> Iterator[Item]:
    """Yield an infinite series of items with ascending ids in 20 categories, a tenth of them low."""
    for number in count(first):
        yield Item(
            key=ItemKey(
                item_id=str(uuid.UUID(int=number * 7919, version=4)), sku=f"SKU-{number % _SKUS:04}"
            ),
            name=f"Item {number}",
            category="tents" if number % _CATEGORIES == 0 else f"category {number % _CATEGORIES}",
            price=Decimal("19.9"),
            reorder_point=5 if number % 10 == 0 else None,
            created_at=_AT,
            updated_at=Timestamp(f"{_AT[:17]}{number % _SECONDS:02}{_AT[19:]}"),
            level=StockLevel(on_hand=3),
        )


def _fill(repository: InventoryRepository, items: int) -> None:
    source = islice(make_items(), items)
    while batch := tuple(ItemWrite(before=None, after=item) for item in islice(source, _BATCH)):
        repository.commit(Change(write_id=str(uuid.uuid4()), items=batch))


def filled(path: Path, items: int) -> SqliteRepository:
    """Return a repository with *items* items."""
    repository = SqliteRepository(path, durability="normal")
    _fill(repository, items)
    return repository


def _pages(scale: Scale, path: Path) -> Iterator[Row]:
    filters = {
        "all": ItemFilter(),
        "by category": ItemFilter(category="tents"),
        "by status": ItemFilter(status="available"),
        "by SKU": ItemFilter(sku="SKU-0000"),
        "low stock": ItemFilter(low_stock=True),
    }
    with filled(path, scale.items) as store:
        turns = {}
        for name, item_filter in filters.items():
            deep = near_the_end(store, item_filter, scale.items)
            for position, cursor in (("first", None), ("deep", deep)):
                request = PageRequest(size=_PAGE, cursor=cursor)
                page = partial(store.list_items, item_filter, request)
                turns[f"{name}, {position}"] = cpu_per_call(page, _PAGES)
        samples = interleaved(turns, scale.rounds)
    for name in filters:
        yield Row(
            group="library",
            metric=f"page near the end of {scale.items:,} items, {name}",
            unit="of the first page's CPU",
            value=ratios(samples, f"{name}, deep", f"{name}, first"),
            commitment=at_most(1.2) if name == "all" else None,
        )
        if name != "all":
            yield Row(
                group="library",
                metric=f"first page of {scale.items:,} items, {name}",
                unit="of the CPU of a page of all",
                value=ratios(samples, f"{name}, first", "all, first"),
            )


def near_the_end(store: SqliteRepository, item_filter: ItemFilter, items: int) -> Cursor:
    """Return a cursor with exactly one page and one item after it in the filtered list."""
    remaining = _PAGE + 1
    # Lists are ordered by id, or by second and id. Ids ascend, so the last items of a list are among the last of each SKU and
    # second.
    last = max(_SKUS, _SECONDS) * (remaining + 1)
    first = max(0, items - last)
    expected = sorted(
        filter(item_filter.matches, islice(make_items(first), items - first)),
        key=item_filter.position,
    )
    cursor = cursors.encode_item(item_filter, expected[-remaining - 1])
    actual = store.list_items(item_filter, PageRequest(size=remaining + 1, cursor=cursor)).items
    if [item.key for item in actual] != [item.key for item in expected[-remaining:]]:
        raise LookupError(item_filter)
    return cursor


def _memory_per_item(items: int) -> Iterator[Row]:
    # Traced, because the memory of the process depends on earlier allocations.
    gc.collect()
    tracemalloc.start()
    store = MemoryRepository()
    _fill(store, items)
    gc.collect()
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield Row(
        group="library",
        metric="memory of an item in the memory repository",
        unit="bytes",
        value=Spread.of([allocated / items]),
    )
