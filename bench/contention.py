"""
Many writers want one item: what gets through, what is tried again, what is refused, and how long it takes.

Threads share one repository, processes one file. With DYNAMODB_LOCAL_ENDPOINT set, as `tests/dynamodb_local.py` does, also
threads on DynamoDB Local, each with a client of its own, as Lambda functions have. It takes one transaction after the other and
so never reports that two conflict, as DynamoDB does: whoever was overtaken learns it from a condition.
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
_FEW: Final = 8
_WARMING: Final = 150
# What a Lambda function has left for its work when the request has come in.
_REQUEST_SECONDS: Final = 4.5


@define
class _Tally:
    """
    What one writer met.

    Attributes:
        seconds: How long each change took, stored or not.
        retries: How often one was decided anew.
        refused: Changes that were given up.
        unanswered: Those among them of which nobody can tell whether they are stored.
    """

    seconds: list[float]
    retries: int = 0
    refused: int = 0
    unanswered: int = 0


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
            retries=sum(tally.retries for tally in tallies) / len(took),
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


@cache
def curve(writes: int, writers: tuple[int, ...]) -> Mapping[str, Sequence[Outcome]]:
    """
    Return, for each store, what became of *writes* changes of one item by each of so many writers.

    Few writers make more each, so that their 99th percentile is not one unlucky change. Measured once in a process, so that a
    figure shows what the tables say.
    """
    stores: dict[str, Callable[[int, int], Outcome]] = {
        "SQLite, threads": _threads,
        "SQLite, processes": _processes,
    }
    endpoint = os.environ.get("DYNAMODB_LOCAL_ENDPOINT")
    if endpoint:
        stores["DynamoDB Local, threads"] = partial(_on_dynamodb, endpoint)
        # For nothing: the server compiles what it runs often, and would be measured while it does.
        _on_dynamodb(endpoint, _FEW, _WARMING)
    _threads(_FEW, writes)
    return {
        name: [measure(number, max(writes, _FEW * writes // number)) for number in writers]
        for name, measure in stores.items()
    }


class _CountingCommits:
    """A repository that counts what was decided: after a pause or not, every decision ends in one commit."""

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
            tally.refused += 1
        except StorageUnavailableError:
            tally.refused += 1
            tally.unanswered += 1
        tally.seconds.append(perf_counter() - started)
        tally.retries += max(0, counting.commits - before - 1)
    return tally


def _raced(repositories: Sequence[InventoryRepository], writes: int) -> Outcome:
    """Return what became of the changes of one writer for each of *repositories*, which are of the same store."""
    repository, writers = repositories[0], len(repositories)
    item = Inventory(repository).create_item(NEW)
    gate = Barrier(writers + 1)

    def writer(own: InventoryRepository) -> _Tally:
        gate.wait()
        return _write(own, item, writes)

    with ThreadPoolExecutor(writers) as threads:
        waiting = [threads.submit(writer, own) for own in repositories]
        gate.wait()
        started = perf_counter()
        tallies = [it.result() for it in waiting]
        seconds = perf_counter() - started
    _check(repository, item, tallies)
    return Outcome.of(tallies, seconds)


def _check(repository: InventoryRepository, item: Item, tallies: Sequence[_Tally]) -> None:
    """See that every change that was not refused is there, and no other: speed without that is none."""
    stored = sum(len(tally.seconds) - tally.refused for tally in tallies)
    perhaps = sum(tally.unanswered for tally in tallies)
    now = repository.get_item(item.key)
    if now is None or not 0 <= item.level.on_hand - now.level.on_hand - stored <= perhaps:
        raise RuntimeError(f"{stored} changes were acknowledged, and this is left: {now}")


def _threads(writers: int, writes: int) -> Outcome:
    with (
        TemporaryDirectory(prefix="bench-contention-") as folder,
        SqliteRepository(Path(folder, "x.sqlite3")) as repository,
    ):
        return _raced([repository] * writers, writes)


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
    import boto3  # noqa: PLC0415 - few have it running

    from inventory_adapters.aws.http_transport import HttpTransport  # noqa: PLC0415 - as above
    from inventory_adapters.storage.dynamodb import (  # noqa: PLC0415 - as above
        DynamoDBRepository,
        schema,
    )

    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = endpoint
    client = boto3.client("dynamodb")
    transports = [HttpTransport() for _ in range(writers)]
    schemas = {"table": schema.ITEMS, "ledger_table": schema.LEDGER}
    # Of this run alone: an earlier one may have left its tables, and its item with what it had sold.
    names = {kind: f"bench-{uuid.uuid4()}-{kind}" for kind in schemas}
    for kind, name in names.items():
        client.create_table(**schema.create_table_arguments(schemas[kind], name))
    try:
        return _raced([DynamoDBRepository(it, **names) for it in transports], writes)
    finally:
        for name in names.values():
            client.delete_table(TableName=name)
        for transport in transports:
            transport.close()


if __name__ == "__main__":
    _child(*sys.argv[1:])
