"""Write the items to a CSV file that a spreadsheet opens and that can be imported again."""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from os import PathLike, fsdecode
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeVar

from inventory.commands import GetItem, ListItems
from inventory.errors import ItemNotFoundError
from inventory.items import Item
from inventory.lookup import all_items
from inventory.paging import Page
from inventory.service import Inventory
from inventory_adapters.catalogue.any_table import COLUMNS
from inventory_adapters.catalogue.cells import guarded
from inventory_adapters.catalogue.drafts import ATTRIBUTE
from inventory_adapters.catalogue.numbers import written

__all__ = ["ItemReader", "csv_opened", "export_items", "read_ahead"]

T = TypeVar("T")
R = TypeVar("R")

# With the mark at its start by which Excel recognises the encoding.
_ENCODING: Final = "utf-8-sig"

_IN_FLIGHT: Final = 8
_BATCH: Final = 100


class ItemReader(Protocol):
    """The part of `Inventory` that an export needs."""

    def get_item(self, query: GetItem) -> Item:
        """See `Inventory.get_item`."""

    def list_items(self, query: ListItems) -> Page[Item]:
        """See `Inventory.list_items`."""


def export_items(inventory: ItemReader, file: str | PathLike[str] | IO[bytes]) -> int:
    """
    Write all items, and return how many.

    Each row carries the `version` and the `seq` of its item: imported again, it changes nothing that was changed since.
    No number can be read in two ways. A file that is given by its path appears when it is complete.

    Each attribute has a column; one that comes into use while the items are written is left out.
    """
    count = 0
    items = all_items(inventory.list_items, ListItems())
    attributes = sorted({name for item in items for name in item.attributes})
    with csv_opened(file) as write:
        write([*COLUMNS, *(f"{ATTRIBUTE}{name}" for name in attributes)])
        for item in _items(inventory):
            write([*_cells(item), *(guarded(item.attributes.get(it, "")) for it in attributes)])
            count += 1
    return count


def _items(inventory: ItemReader) -> Iterator[Item]:
    items = all_items(inventory.list_items, ListItems())
    if isinstance(inventory, Inventory):
        yield from items
        return
    # The items of an API's list have no seq, so each is read by itself.
    yield from filter(None, read_ahead(partial(_read, inventory), items))


def read_ahead(read: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
    """Yield what *read* returns for each of *values*, in their order; it is called for several at once."""
    rest = iter(values)
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        while batch := list(islice(rest, _BATCH)):
            yield from pool.map(read, batch)


def _read(inventory: ItemReader, item: Item) -> Item | None:
    try:
        return inventory.get_item(GetItem(item_id=item.item_id, sku=item.sku))
    except ItemNotFoundError:
        return None


def _cells(item: Item) -> list[Any]:
    texts = (item.item_id, item.sku, item.name, item.description)
    place = (item.category, item.status, item.location)
    return [
        *map(guarded, texts),
        item.level.on_hand,
        guarded(written(item.price)),
        *map(guarded, place),
        *(item.reorder_point, item.version, item.level.seq),
    ]


@contextmanager
def csv_opened(
    file: str | PathLike[str] | IO[bytes],
) -> Iterator[Callable[[Iterable[Any]], object]]:
    """Yield a function that writes a row to a CSV file, which appears when it is complete if it is given by its path."""
    with _opened(file) as raw:
        yield csv.writer(codecs.getwriter(_ENCODING)(raw), lineterminator="\r\n").writerow


@contextmanager
def _opened(file: str | PathLike[str] | IO[bytes]) -> Iterator[IO[bytes]]:
    if not isinstance(file, str | PathLike):
        yield file
        return
    path = Path(fsdecode(file))
    if path.exists() and not path.is_file():
        # A pipe or /dev/stdout cannot be replaced by another file.
        with path.open("wb") as raw:
            yield raw
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as raw:
            yield raw
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
