"""Upkeep of a SQLite file: a sweep of many due reservations beside a writer, and a copy of everything."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter
from typing import Final

from attrs import evolve

from bench.measure import Row, Scale, Spread, at_least, at_most
from inventory import (
    AdjustStock,
    ExpireReservations,
    Inventory,
    Item,
    ItemKey,
    Movement,
    MovementKind,
    Reservation,
    ReservationLine,
    StockLevel,
    Timestamp,
)
from inventory.snapshots import Record, copy
from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["due", "ledgers", "main", "rows", "sweep"]

_PER_ITEM: Final = 10
_PERCENTILES: Final = 100
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_AT: Final = Timestamp.of(_NOW)
_CHUNK: Final = 1000


def rows(scale: Scale) -> Iterator[Row]:
    """Measure both in wall-clock time, because they wait for the disk."""
    row = partial(Row, group="upkeep")
    count = scale.rows // 2
    with TemporaryDirectory(prefix="bench-upkeep-") as folder:
        seconds, waits = sweep(Path(folder, "due.sqlite3"), count)
        yield row(
            metric=f"sweep of {count:,} reservations of {count // _PER_ITEM:,} items",
            unit="reservations per second",
            value=Spread.of([count / seconds]),
            commitment=at_least(50_000 / 60),
        )
        yield row(
            metric="a writer of another item beside it, 99th percentile",
            unit="ms",
            value=Spread.of([1000 * quantiles(waits, n=_PERCENTILES)[-1]]),
            commitment=at_most(100),
        )
        done = subprocess.run(
            [sys.executable, "-m", "bench.upkeep", folder, str(scale.rows)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    rate, megabytes = map(float, done.stdout.split())
    yield row(
        metric=f"copy of {scale.rows:,} items with {_PER_ITEM} movements each",
        unit="records per second",
        value=Spread.of([rate]),
        commitment=at_least(2000),
    )
    yield row(
        metric="its memory",
        unit="MB",
        value=Spread.of([megabytes]),
        commitment=at_most(200),
    )


def sweep(file: Path, count: int) -> tuple[float, list[float]]:
    """Expire *count* reservations, and return the seconds and those of each write of another process meanwhile."""
    with SqliteRepository(file) as swept, SqliteRepository(file) as written:
        fill(swept, due(count))
        is_done, waits = Event(), list[float]()
        sale = AdjustStock(item_id="other", sku="OTHER", delta=1, reason="found")

        def write() -> None:
            while not is_done.wait(0.01):
                started = perf_counter()
                Inventory(written).adjust_stock(sale)
                waits.append(perf_counter() - started)

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            started = perf_counter()
            result = Inventory(swept).expire_reservations(ExpireReservations(limit=count))
            seconds = perf_counter() - started
            is_done.set()
            writing.result()
    if result.expired != count:
        raise RuntimeError(f"{result.expired} of {count} reservations expired")
    return seconds, waits


def fill(repository: SqliteRepository, records: Iterator[Record]) -> None:
    """Store *records*."""
    repository.start_restore("bench")
    while chunk := list(islice(records, _CHUNK)):
        repository.restore(chunk)
    repository.finish_restore()


def due(count: int) -> Iterator[Record]:
    """Yield *count* reservations that are due, their items, and an item that has none."""
    yield _item("other", "OTHER", reserved=0)
    for number in range(count // _PER_ITEM):
        yield _item(f"item-{number}", f"SKU-{number}", reserved=_PER_ITEM)
    for number in range(count):
        of = number % (count // _PER_ITEM)
        line = ReservationLine(key=ItemKey(item_id=f"item-{of}", sku=f"SKU-{of}"), quantity=1)
        yield Reservation(
            reservation_id=f"reservation-{number}",
            lines=(line,),
            created_at=_AT,
            expires_at=_AT,
        )


def ledgers(items: int) -> Iterator[Record]:
    """Yield *items* with ten movements each."""
    for number in range(items):
        item = _item(f"item-{number}", f"SKU-{number}", reserved=0)
        yield evolve(item, level=evolve(item.level, seq=_PER_ITEM))
        for seq in range(1, _PER_ITEM + 1):
            yield Movement(
                key=item.key,
                seq=seq,
                kind=MovementKind.ADJUST,
                delta_on_hand=1,
                on_hand=item.level.on_hand - _PER_ITEM + seq,
                reserved=0,
                actor="bench",
                recorded_at=Timestamp.of(_NOW + timedelta(seconds=seq)),
            )


def _item(item_id: str, sku: str, *, reserved: int) -> Item:
    return Item(
        key=ItemKey(item_id=item_id, sku=sku),
        name=f"Item {sku}",
        category="bench",
        level=StockLevel(on_hand=100, reserved=reserved),
        created_at=_AT,
        updated_at=_AT,
    )


def main() -> None:
    """Copy a file in the folder of the first argument with as many items as the second, and print rate and peak memory."""
    folder, items = sys.argv[1:]
    with (
        SqliteRepository(Path(folder, "source.sqlite3")) as source,
        SqliteRepository(Path(folder, "copy.sqlite3")) as target,
    ):
        fill(source, ledgers(int(items)))
        started = perf_counter()
        tally = copy(source, target, restore_id="copy", at=_AT)
        seconds = perf_counter() - started
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(sum(tally.counts.values()) / seconds, peak_kilobytes / 1000)


if __name__ == "__main__":
    main()
