"""
Contention of many writers for one item: throughput, retries, failures and latency.

Threads share one repository, processes share one file. If DYNAMODB_LOCAL_ENDPOINT is set, as by `tests/dynamodb_local.py`,
threads on DynamoDB Local are measured, too, each with its own client, like Lambda functions. Unlike DynamoDB, DynamoDB Local
executes one transaction at a time and never reports that two conflict. A writer learns of a conflict from a failed condition.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Barrier
from time import perf_counter
from typing import Any, Final

from attrs import asdict, define, frozen

from bench.library import NEW
from bench.measure import Row, Scale, Spread
from inventory import (
    AdjustStock,
    ContentionError,
    Inventory,
    StorageThrottledError,
    StorageUnavailableError,
)
from inventory.items import Item
from inventory.ports import Change, InventoryRepository
from inventory.timeouts import deadline
from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["Outcome", "curve", "rows"]

_HUNDREDTHS: Final = 100
_FEW_WRITERS: Final = 8
_WARM_UP_WRITES: Final = 150
# The time that a Lambda function has for a request.
_REQUEST_SECONDS: Final = 4.5


@define
class _Tally:
    """
    The results of one writer.

    Attributes:
        seconds: The duration of each change, applied or failed.
        retries: The number of retries.
        failed: The number of failed changes.
        unknown: The number of failed changes that may have been applied.
    """

    seconds: list[float]
    retries: int = 0
    failed: int = 0
    unknown: int = 0


@frozen
class Outcome:
    """
    The results of all writers.

    Attributes:
        writers: The number of writers.
        per_second: Applied changes per second.
        retries: Retries per change.
        failed: The share of failed changes.
        p99_ms: The duration of a change at the 99th percentile, applied or failed.
    """

    writers: int
    per_second: float
    retries: float
    failed: float
    p99_ms: float

    @classmethod
    def of(cls, tallies: Sequence[_Tally], seconds: float) -> "Outcome":
        """Combine the results of writers that ran for *seconds*."""
        durations = [duration for tally in tallies for duration in tally.seconds]
        failed = sum(tally.failed for tally in tallies)
        return cls(
            writers=len(tallies),
            per_second=(len(durations) - failed) / seconds,
            retries=sum(tally.retries for tally in tallies) / len(durations),
            failed=failed / len(durations),
            p99_ms=quantiles(durations, n=_HUNDREDTHS, method="inclusive")[98] * 1000,
        )


def rows(scale: Scale) -> Iterator[Row]:
    """Measure the curve of each store."""
    for store, outcomes in curve(scale.writes, scale.writers).items():
        for outcome in outcomes:
            for unit, value in (
                ("of one writer's per second", outcome.per_second / outcomes[0].per_second),
                ("retries per change", outcome.retries),
                ("refused, of all", outcome.failed),
                ("ms, 99th percentile", outcome.p99_ms),
            ):
                yield Row(
                    group="contention",
                    metric=f"{store}, {outcome.writers} writers",
                    unit=unit,
                    value=Spread.of([value]),
                )


@cache
def curve(writes: int, writers: tuple[int, ...]) -> Mapping[str, Sequence[Outcome]]:
    """
    Return, for each store, the outcome for each number of writers, of *writes* changes each.

    Few writers make more changes each, so that the 99th percentile does not depend on a single change. The result is cached, so
    that figure and tables show the same measurement.
    """
    stores: dict[str, Callable[[int, int], Outcome]] = {
        "SQLite, threads": _threads,
        "SQLite, processes": _processes,
    }
    endpoint = os.environ.get("DYNAMODB_LOCAL_ENDPOINT")
    if endpoint:
        stores["DynamoDB Local, threads"] = partial(_on_dynamodb, endpoint)
        # A warm-up, because the server compiles its code while it runs.
        _on_dynamodb(endpoint, _FEW_WRITERS, _WARM_UP_WRITES)
    _threads(_FEW_WRITERS, writes)
    return {
        name: [measure(number, max(writes, _FEW_WRITERS * writes // number)) for number in writers]
        for name, measure in stores.items()
    }


class _CountingCommits:
    """A repository that counts commits; each attempt of a change ends in one commit."""

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def commit(self, change: Change) -> None:
        self.commits += 1
        self._repository.commit(change)


def _write(repository: InventoryRepository, item: Item, writes: int) -> _Tally:
    tally = _Tally([])
    counting = _CountingCommits(repository)
    inventory = Inventory(counting)
    command = AdjustStock(item_id=item.item_id, sku=item.sku, delta=-1, reason="sold")
    for _ in range(writes):
        before, started = counting.commits, perf_counter()
        try:
            with deadline(_REQUEST_SECONDS):
                inventory.adjust_stock(command)
        except (ContentionError, StorageThrottledError):
            tally.failed += 1
        except StorageUnavailableError:
            tally.failed += 1
            tally.unknown += 1
        tally.seconds.append(perf_counter() - started)
        tally.retries += max(0, counting.commits - before - 1)
    return tally


def _race(repositories: Sequence[InventoryRepository], writes: int) -> Outcome:
    """Run one writer for each of *repositories*, which have the same store."""
    repository, writers = repositories[0], len(repositories)
    item = Inventory(repository).create_item(NEW)
    barrier = Barrier(writers + 1)

    def writer(own: InventoryRepository) -> _Tally:
        barrier.wait()
        return _write(own, item, writes)

    with ThreadPoolExecutor(writers) as threads:
        futures = [threads.submit(writer, own) for own in repositories]
        barrier.wait()
        started = perf_counter()
        tallies = [future.result() for future in futures]
        seconds = perf_counter() - started
    _check(repository, item, tallies)
    return Outcome.of(tallies, seconds)


def _check(repository: InventoryRepository, item: Item, tallies: Sequence[_Tally]) -> None:
    """Check that the item has exactly the changes that did not fail."""
    applied = sum(len(tally.seconds) - tally.failed for tally in tallies)
    unknown = sum(tally.unknown for tally in tallies)
    current = repository.get_item(item.key)
    if current is None or not 0 <= item.level.on_hand - current.level.on_hand - applied <= unknown:
        raise RuntimeError(f"{applied} changes were acknowledged, but the item is {current}")


def _threads(writers: int, writes: int) -> Outcome:
    with (
        TemporaryDirectory(prefix="bench-contention-") as folder,
        SqliteRepository(Path(folder, "x.sqlite3")) as repository,
    ):
        return _race([repository] * writers, writes)


def _processes(writers: int, writes: int) -> Outcome:
    with TemporaryDirectory(prefix="bench-contention-") as folder:
        path = Path(folder, "x.sqlite3")
        with SqliteRepository(path) as repository:
            item = Inventory(repository).create_item(NEW)
            command = [
                sys.executable,
                "-m",
                "bench.contention",
                str(path),
                item.item_id,
                str(writes),
            ]
            start = partial(
                subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            children = [start(command) for _ in range(writers)]
            for child in children:
                _line(child)  # Wait until it is ready.
            started = perf_counter()
            for child in children:
                child.stdin.write("go\n")
                child.stdin.flush()
            tallies = [_Tally(**json.loads(_line(child))) for child in children]
            seconds = perf_counter() - started
            for child in children:
                child.communicate()
            _check(repository, item, tallies)
    return Outcome.of(tallies, seconds)


def _line(child: Any) -> str:
    line: str = child.stdout.readline()
    if not line:
        raise RuntimeError("a writer ended early")
    return line


def _child(path: str, item_id: str, writes: str) -> None:
    with SqliteRepository(path) as repository:
        item = repository.find_item(item_id)
        if item is None:
            raise LookupError(item_id)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(asdict(_write(repository, item, int(writes)))), flush=True)


def _on_dynamodb(endpoint: str, writers: int, writes: int) -> Outcome:
    import boto3  # noqa: PLC0415 - needed only with DynamoDB Local

    from inventory_adapters.aws.http_transport import HttpTransport  # noqa: PLC0415 - as above
    from inventory_adapters.storage.dynamodb import (  # noqa: PLC0415 - as above
        DynamoDBRepository,
        schema,
    )

    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = endpoint
    client = boto3.client("dynamodb")
    transports = [HttpTransport() for _ in range(writers)]
    schemas = {"table": schema.ITEMS, "ledger_table": schema.LEDGER}
    # Unique names, because an earlier run may have left tables with changed items.
    names = {kind: f"bench-{uuid.uuid4()}-{kind}" for kind in schemas}
    for kind, name in names.items():
        client.create_table(**schema.create_table_arguments(schemas[kind], name))
    try:
        return _race([DynamoDBRepository(transport, **names) for transport in transports], writes)
    finally:
        for name in names.values():
            client.delete_table(TableName=name)
        for transport in transports:
            transport.close()


if __name__ == "__main__":
    _child(*sys.argv[1:])
