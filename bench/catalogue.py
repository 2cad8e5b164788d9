"""A CSV file imported into a SQLite file: the look over the file counts, and every row is found or created under a key."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from bench.baselines import bare_sqlite
from bench.measure import Row, Scale, Spread, at_least, interleaved, ratios
from inventory import Inventory
from inventory_adapters.catalogue.imports import import_items
from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["ours", "rows", "written"]

_ROUNDS: Final = 3


def rows(scale: Scale) -> Iterator[Row]:
    """Measure rows per second, by the clock: what is imported waits for the disk."""
    with TemporaryDirectory(prefix="bench-catalogue-") as folder:
        file = written(Path(folder, "items.csv"), scale.rows)
        imports = {"ours": ours, "bare": bare_sqlite.imported}
        turns = {name: partial(_turn, it, file, scale.rows) for name, it in imports.items()}
        samples = interleaved(turns, _ROUNDS)
    row = partial(Row, group="catalogue")
    yield row(
        metric=f"import of {scale.rows:,} new rows into SQLite",
        unit="rows per second",
        value=Spread.of(samples["ours"]),
    )
    yield row(
        metric="import, against csv and bare sqlite3, as many rows in a transaction",
        unit="of its per second",
        value=ratios(samples, "ours", "bare"),
        commitment=at_least(0.7),
    )


def _turn(imported: Callable[[Path, Path], int], file: Path, rows: int) -> float:
    with TemporaryDirectory(dir=file.parent) as folder:
        started = perf_counter()
        made = imported(file, Path(folder, "new.sqlite3"))
        seconds = perf_counter() - started
    if made != rows:
        raise RuntimeError(f"of {rows} rows, {made} became items")
    return rows / seconds


def written(file: Path, rows: int) -> Path:
    """Write a file with so many items of our own columns, and return where it is."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(("sku", "name", "description", "quantity", "price", "category"))
        for number in range(rows):
            about = f"Item {number}, in a box of {number % 12 + 1}"
            price = f"{number % 500}.{number % 100:02}"
            kind = f"category {number % 20}"
            table.writerow((f"SKU-{number:07}", f"Item {number}", about, number % 100, price, kind))
    return file


def ours(file: Path, store: Path) -> int:
    """Import *file* into a new *store*, and return how many items that made."""
    with (
        SqliteRepository(store) as repository,
        import_items(Inventory(repository), file) as run,
    ):
        results = Counter(outcome.result for outcome in run)
    return results["created"]
