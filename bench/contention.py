"""
Many writers want one item: what gets through, what is tried again, what is refused, and how long it takes.

Threads share one repository, processes one file. With DYNAMODB_LOCAL_ENDPOINT set, as `tests/dynamodb_local.py` does, also
threads on DynamoDB Local, whose transactions conflict as DynamoDB's do, though not at its speed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Barrier
from time import perf_counter
from typing import Any, Final

from attrs import asdict, define, frozen

from bench.library import NEW
from bench.measure import Row, Scale, Spread
from inventory import AdjustStock, ContentionError, Inventory, StorageThrottledError
from inventory.items import Item
from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["Outcome", "curve", "rows"]

_HUNDREDTHS: Final = 100


@define
class _Tally:
    """What one writer met."""

    seconds: list[float]
    pauses: int = 0
    refused: int = 0


@frozen
class Outcome:
    """
    What became of many writers' changes.

    Attributes:
        writers: How many there were.
        per_second: Changes that were stored, in each second.
        retries: Decisions made anew, for each change that was asked for.
        refused: Changes that were given up, of all that were asked for.
        p99_ms: How long a change took, stored or refused, at the 99th percentile.
    """

    writers: int
    per_second: float
    retries: float
    refused: float
    p99_ms: float

    @classmethod
    def of(cls, tallies: Sequence[_Tally], seconds: float) -> "Outcome":
        """Add up what the writers met in so many *seconds*."""
        took = [it for tally in tallies for it in tally.seconds]
        refused = sum(tally.refused for tally in tallies)
        return cls(
            writers=len(tallies),
            per_second=(len(took) - refused) / seconds,
            retries=sum(tally.pauses for tally in tallies) / len(took),
            refused=refused / len(took),
            p99_ms=quantiles(took, n=_HUNDREDTHS, method="inclusive")[98] * 1000,
        )


def rows(scale: Scale) -> Iterator[Row]:
    """Measure the curve of each store."""
    for where, outcomes in curve(scale.writes, scale.writers).items():
        for outcome in outcomes:
            for unit, value in (
                ("of one writer's per second", outcome.per_second / outcomes[0].per_second),
                ("retries per change", outcome.retries),
                ("refused, of all", outcome.refused),
                ("ms, 99th percentile", outcome.p99_ms),
            ):
                yield Row(
                    group="contention",
                    metric=f"{where}, {outcome.writers} writers",
                    unit=unit,
                    value=Spread.of([value]),
                )


def curve(writes: int, writers: Sequence[int]) -> dict[str, list[Outcome]]:
    """Return, for each store, what became of *writes* changes of one item by each of so many writers."""
    curves = {
        "SQLite, threads": [_threads(number, writes) for number in writers],
        "SQLite, processes": [_processes(number, writes) for number in writers],
    }
    endpoint = os.environ.get("DYNAMODB_LOCAL_ENDPOINT")
    if endpoint:
        curves["DynamoDB Local, threads"] = [
            _on_dynamodb(endpoint, number, writes) for number in writers
        ]
    return curves


def _write(inventory: Inventory, item: Item, writes: int) -> _Tally:
    tally = _Tally([])

    def pause(seconds: float) -> None:
        tally.pauses += 1
        inventory.pause(seconds)

    counting = Inventory(inventory.repository, pause=pause)
    command = AdjustStock(item_id=item.item_id, sku=item.sku, delta=-1, reason="sold")
    for _ in range(writes):
        started = perf_counter()
        try:
            counting.adjust_stock(command)
        except (ContentionError, StorageThrottledError):
            tally.refused += 1
        tally.seconds.append(perf_counter() - started)
    return tally


def _raced(inventory: Inventory, writers: int, writes: int) -> Outcome:
    item = inventory.create_item(NEW)
    gate = Barrier(writers + 1)

    def writer() -> _Tally:
        gate.wait()
        return _write(inventory, item, writes)

    with ThreadPoolExecutor(writers) as threads:
        waiting = [threads.submit(writer) for _ in range(writers)]
        gate.wait()
        started = perf_counter()
        tallies = [it.result() for it in waiting]
        seconds = perf_counter() - started
    _check(inventory, item, tallies)
    return Outcome.of(tallies, seconds)


def _check(inventory: Inventory, item: Item, tallies: Sequence[_Tally]) -> None:
    """See that every change that was not refused is there, and no other: speed without that is none."""
    stored = sum(len(tally.seconds) - tally.refused for tally in tallies)
    now = inventory.repository.get_item(item.key)
    if now is None or item.level.on_hand - now.level.on_hand != stored:
        raise RuntimeError(f"{stored} changes were acknowledged, and this is left: {now}")


def _threads(writers: int, writes: int) -> Outcome:
    with (
        TemporaryDirectory(prefix="bench-contention-") as folder,
        SqliteRepository(Path(folder, "x.sqlite3")) as repository,
    ):
        return _raced(Inventory(repository), writers, writes)


def _processes(writers: int, writes: int) -> Outcome:
    with TemporaryDirectory(prefix="bench-contention-") as folder:
        path = Path(folder, "x.sqlite3")
        with SqliteRepository(path) as repository:
            inventory = Inventory(repository)
            item = inventory.create_item(NEW)
            command = [
                sys.executable,
                "-m",
                "bench.contention",
                str(path),
                item.item_id,
                str(writes),
            ]
            pipe = partial(
                subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            children = [pipe(command) for _ in range(writers)]
            for child in children:
                _line(child)  # It is ready.
            started = perf_counter()
            for child in children:
                child.stdin.write("go\n")
                child.stdin.flush()
            tallies = [_Tally(**json.loads(_line(child))) for child in children]
            seconds = perf_counter() - started
            for child in children:
                child.communicate()
            _check(inventory, item, tallies)
    return Outcome.of(tallies, seconds)


def _line(child: Any) -> str:
    line: str = child.stdout.readline()
    if not line:
        raise RuntimeError("a writer ended early")
    return line


def _child(path: str, item_id: str, writes: str) -> None:
    with SqliteRepository(path) as repository:
        inventory = Inventory(repository)
        item = repository.find_item(item_id)
        if item is None:
            raise LookupError(item_id)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(asdict(_write(inventory, item, int(writes)))), flush=True)


def _on_dynamodb(endpoint: str, writers: int, writes: int) -> Outcome:
    from inventory_adapters.storage import dynamodb, dynamodb_table  # noqa: PLC0415 - few have it running

    client = dynamodb.make_client(endpoint_url=endpoint, region="us-east-1")
    names = {kind: f"bench-{os.getpid()}-{writers}-{kind}" for kind in ("items", "ledger")}
    schemas = {"items": dynamodb_table.ITEMS, "ledger": dynamodb_table.LEDGER}
    for kind, name in names.items():
        client.create_table(**dynamodb_table.create_table_arguments(schemas[kind], name))
    repository = dynamodb.DynamoDBRepository(
        client, table=names["items"], ledger_table=names["ledger"]
    )
    return _raced(Inventory(repository), writers, writes)


if __name__ == "__main__":
    _child(*sys.argv[1:])
