"""Import of a CSV file into SQLite, with idempotency keys and durable writes."""

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

__all__ = ["import_file", "rows", "write_items"]

_ROUNDS: Final = 3


def rows(scale: Scale) -> Iterator[Row]:
    """Measure rows per second in wall-clock time, because an import waits for the disk."""
    with TemporaryDirectory(prefix="bench-catalogue-") as folder:
        file = write_items(Path(folder, "items.csv"), scale.rows)
        imports = {"ours": import_file, "bare": bare_sqlite.import_file}
        turns = {
            name: partial(_turn, run_import, file, scale.rows)
            for name, run_import in imports.items()
        }
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


def _turn(run_import: Callable[[Path, Path], int], file: Path, rows: int) -> float:
    with TemporaryDirectory(dir=file.parent) as folder:
        started = perf_counter()
        created = run_import(file, Path(folder, "new.sqlite3"))
        seconds = perf_counter() - started
    if created != rows:
        raise RuntimeError(f"{rows} rows created {created} items")
    return rows / seconds


def write_items(file: Path, rows: int) -> Path:
    """Write *rows* items to *file* in the native format, and return the file."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(("sku", "name", "description", "quantity", "price", "category"))
        for number in range(rows):
            description = f"Item {number}, in a box of {number % 12 + 1}"
            price = f"{number % 500}.{number % 100:02}"
            category = f"category {number % 20}"
            table.writerow(
                (f"SKU-{number:07}", f"Item {number}", description, number % 100, price, category)
            )
    return file


def import_file(file: Path, store: Path) -> int:
    """Import *file* into a new *store* and return the number of created items."""
    with (
        SqliteRepository(store) as repository,
        import_items(Inventory(repository), file) as run,
    ):
        results = Counter(outcome.result for outcome in run)
    return results["created"]
