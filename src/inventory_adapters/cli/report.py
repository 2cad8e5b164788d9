"""`inventory report`: the stock at a time and the movements of a period, as CSV."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from inventory.commands import GetItem, ListItems, ListMovements
from inventory.items import Item
from inventory.lookup import all_items
from inventory.paging import Page
from inventory.service import Inventory
from inventory.snapshots import SnapshotRepository
from inventory.stock import Movement, MovementKind
from inventory.validation import specs
from inventory_adapters.catalogue.cells import guarded
from inventory_adapters.catalogue.exports import csv_opened, read_ahead
from inventory_adapters.catalogue.numbers import written
from inventory_adapters.cli.operations import LARGEST_PAGE
from inventory_adapters.cli.options import TIMES, TIMEZONE, parameter
from inventory_adapters.cli.output import counted
from inventory_adapters.cli.storage import Api, Storage, storage_options

if TYPE_CHECKING:
    from inventory_adapters.cli.storage import UseCases

__all__ = ["report"]

_STOCK: Final = (
    *("item_id", "sku", "name", "category", "location", "quantity", "reserved", "available"),
    *("current_price", "value_at_current_price", "deleted_at"),
)
_MOVEMENTS: Final = (
    *("item_id", "sku", "name", "location", "seq", "recorded_at", "kind", "delta_on_hand"),
    *("on_hand", "delta_reserved", "reserved", "actor", "reason", "reference", "reservation_id"),
)

_AT: Final = next(
    parameter(attrs.evolve(spec, required=True)) for spec in specs(GetItem) if spec.wire == "at"
)
_PERIOD: Final = [parameter(spec) for spec in specs(ListMovements) if spec.wire in TIMES]
_OUTPUT: Final = click.Option(
    ["--output", "file"],
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="Write to this file. By default to stdout.",
)

# An item, or the last movement of a deleted one.
_Subject = Item | Movement


@click.group(short_help="Report past stock and movements as CSV.")
def report() -> None:
    """Write the stock at a time, or the movements of a period, as CSV."""


@report.command(
    "stock", params=[_AT, TIMEZONE, _OUTPUT], short_help="Write the stock of all items at a time."
)
@storage_options()
def stock_report(storage: Storage | Api, *, at: str, file: str) -> None:
    """
    Write the stock of all items at a time, one row per item.

    Items created later are left out. Name, category, location and price are the current ones, and the value is the quantity at
    that time multiplied by the current price. Of an item deleted since, only the ids, the stock and the time of the deletion
    are known.
    """
    # An invalid option is reported before anything is read.
    GetItem(item_id="-", at=at)
    with storage.opened() as inventory:
        ledgers = _ledgers(storage, inventory, until=at, page_size=1)
        _write(file, _STOCK, _stock_rows(ledgers))


@report.command(
    "movements",
    params=[*_PERIOD, TIMEZONE, _OUTPUT],
    short_help="Write the movements of a period.",
)
@storage_options()
def movements_report(
    storage: Storage | Api, *, since: str | None, until: str | None, file: str
) -> None:
    """
    Write all movements of a period, item by item, the newest of an item first.

    Name and location are the current ones; both are empty if the item was deleted.
    """
    ListMovements(item_id="-", sku="-", since=since, until=until)
    with storage.opened() as inventory:
        ledgers = _ledgers(storage, inventory, since=since, until=until, page_size=LARGEST_PAGE)
        _write(file, _MOVEMENTS, _movement_rows(ledgers))


def _write(file: str, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> None:
    count = 0
    with csv_opened(sys.stdout.buffer if file == "-" else file) as write:
        write(columns)
        for row in rows:
            write(guarded(cell) if isinstance(cell, str) else cell for cell in row)
            count += 1
    click.echo(f"{counted(count, 'rows')}.", err=True)


def _stock_rows(
    ledgers: Iterable[tuple[_Subject, Iterator[Movement]]],
) -> Iterator[tuple[Any, ...]]:
    for subject, movements in ledgers:
        last = next(movements, None)
        if last is None or last.kind is MovementKind.DELETE:
            continue
        key, on_hand, reserved = subject.key, last.on_hand, last.reserved
        stock = (on_hand, reserved, on_hand - reserved)
        if isinstance(subject, Movement):
            yield key.item_id, key.sku, "", "", "", *stock, "", "", subject.recorded_at
        else:
            about = (subject.name, subject.category, subject.location)
            value = (written(subject.price), written(on_hand * subject.price))
            yield key.item_id, key.sku, *about, *stock, *value, ""


def _movement_rows(
    ledgers: Iterable[tuple[_Subject, Iterator[Movement]]],
) -> Iterator[tuple[Any, ...]]:
    for subject, movements in ledgers:
        about = (subject.name, subject.location) if isinstance(subject, Item) else ("", "")
        first = (subject.key.item_id, subject.key.sku, *about)
        for movement in movements:
            yield *first, *(getattr(movement, name) for name in _MOVEMENTS[len(first) :])


def _ledgers(
    storage: Storage | Api, inventory: "UseCases", **query: Any
) -> Iterator[tuple[_Subject, Iterator[Movement]]]:
    """Yield all items, the deleted ones too if the storage can list them, each with its movements of a period."""

    def read(subject: _Subject, page_token: str | None = None) -> Page[Movement]:
        key = subject.key
        return inventory.list_movements(
            ListMovements(item_id=key.item_id, sku=key.sku, page_token=page_token, **query)
        )

    def read_first(subject: _Subject) -> tuple[_Subject, Page[Movement]]:
        return subject, read(subject)

    def rest(subject: _Subject, page: Page[Movement]) -> Iterator[Movement]:
        yield from page.items
        while page.next_cursor is not None:
            page = read(subject, page.next_cursor)
            yield from page.items

    subjects = _subjects(inventory)
    pages = read_ahead(read_first, subjects) if storage.is_remote else map(read_first, subjects)
    return ((subject, rest(subject, page)) for subject, page in pages)


def _subjects(inventory: "UseCases") -> Iterator[_Subject]:
    if isinstance(inventory, Inventory) and isinstance(inventory.repository, SnapshotRepository):
        # Everything as it was at one moment, so that an item deleted meanwhile is listed once.
        for record in inventory.repository.snapshot():
            if isinstance(record, Item) or (
                isinstance(record, Movement) and record.kind is MovementKind.DELETE
            ):
                yield record
        return
    yield from all_items(inventory.list_items, ListItems())
    click.echo("Deleted items are not included, because they cannot be listed here.", err=True)
