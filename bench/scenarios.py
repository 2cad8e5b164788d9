"""
Scenarios of load on a deployment, simulated on `bench.simulation`.

Buyers and sellers start their next change as soon as the last one ends, each in a function of its own that is already running.
"""

import random
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from statistics import quantiles
from typing import Any, Final

from attrs import define, field, frozen

from bench.simulation import Clock, DynamoDB, Process, call, execute
from deploy.limits import FunctionLimits, limits_of
from inventory import paging, upkeep
from inventory.errors import ContentionError, StorageThrottledError
from inventory.ports import MAX_CHANGE_SIZE
from inventory_adapters import lambda_entry
from inventory_adapters.config import IndexProjection
from inventory_adapters.http import api_gateway
from inventory_adapters.storage.dynamodb import calls
from inventory_adapters.storage.dynamodb.schema import (
    CATEGORY_INDEX,
    DUE_SHARDS,
    STATUS_INDEX,
)

__all__ = [
    "Outcome",
    "Sweeper",
    "group_commit",
    "hot_item",
    "sales",
    "stock_write",
    "sweep",
]

_HUNDREDTHS: Final = 100
_SWEEPER: Final = limits_of("expire_reservations")
# Source: "Configure Lambda function memory": at 1,769 MB a function has one vCPU.
_MB_OF_A_CPU: Final = 1769
# Our CPU time for a reservation that expires, an assumption: docs/performance.md measures 0.11 ms for an adjustment without
# transport.
_CPU_SECONDS: Final = 0.0003


def stock_write(
    item: str, *, projection: IndexProjection = "all", kilobytes: int = 1, movements: int = 1
) -> dict[str, float]:
    """
    Return the write units of a transaction that changes the stock of *item*, for each partition.

    The item's status does not change. An index with all attributes writes the whole entry again; one with keys only writes
    nothing, because no key changes. All items have the same status and category, so that their index entries share partitions.
    """
    units = {item: 2.0 * kilobytes, f"movements of {item}": 2.0 * movements}
    if projection == "all":
        units |= {index.name: float(kilobytes) for index in (CATEGORY_INDEX, STATUS_INDEX)}
    return units


@frozen
class Outcome:
    """
    The result of a scenario.

    Attributes:
        per_second: Changes per second.
        refused: The share of refused changes.
        p50: Median seconds of a change.
        p99: 99th percentile.
    """

    per_second: float
    refused: float
    p50: float
    p99: float


@define
class _Tally:
    seconds: list[float] = field(factory=list)
    refused: int = 0

    def outcome(self, during: float) -> Outcome:
        hundredths = quantiles(self.seconds, n=_HUNDREDTHS, method="inclusive")
        done = len(self.seconds)
        return Outcome(
            done / during, self.refused / (done + self.refused), hundredths[49], hundredths[98]
        )

    def measure(self, clock: Clock, change: Process[None]) -> Process[None]:
        """Run one change and count it."""
        began = clock.now
        try:
            yield from change
        except (ContentionError, StorageThrottledError):
            self.refused += 1
        else:
            self.seconds.append(clock.now - began)


def _request_seconds(operation: str) -> float:
    return limits_of(operation).timeout_seconds - api_gateway._RESERVE_SECONDS


def hot_item(
    buyers: int, *, levels: int = 1, projection: IndexProjection = "all", during: float = 20
) -> Outcome:
    """
    Simulate buyers who change the stock of one item, each the next time as soon as a change ends.

    Args:
        buyers: The number of buyers, each with a function that is running.
        levels: The number of sub-levels, one of which each change takes at random.
        projection: The projection of the indexes by status and category.
        during: The simulated seconds.
    """
    clock, tally = Clock(), _Tally()
    dynamodb = DynamoDB(clock)

    def change(item: str, ends_at: float) -> Process[None]:
        def attempt() -> Process[None]:
            yield from call(clock, partial(dynamodb.read, {item: 1}), ends_at)
            expected = {item: dynamodb.versions[item]}
            units = stock_write(item, projection=projection)
            yield from call(clock, partial(dynamodb.transact, units, expected), ends_at)

        return execute(clock, attempt, ends_at)

    def buyer() -> Process[None]:
        while True:
            item = f"level {random.randrange(levels)}"
            ends_at = clock.now + _request_seconds("adjust_stock")
            yield from tally.measure(clock, change(item, ends_at))

    for _ in range(buyers):
        clock.start(buyer())
    clock.run(during)
    return tally.outcome(during)


def group_commit(
    buyers: int, *, levels: int = 1, projection: IndexProjection = "all", during: float = 20
) -> Outcome:
    """
    Simulate one writer per level, which commits the changes of all waiting buyers in one transaction.

    The arguments are those of `hot_item`.
    """
    clock, tally = Clock(), _Tally()
    dynamodb = DynamoDB(clock)
    # One action updates the item; each change adds a movement.
    limit = MAX_CHANGE_SIZE - 1

    def writer(item: str, waiting: list[float]) -> Process[None]:
        while True:
            batch, waiting = waiting[:limit], waiting[limit:]
            units = stock_write(item, projection=projection, movements=len(batch))
            expected = {item: dynamodb.versions[item]}
            commit = partial(dynamodb.transact, units, expected, rows=1 + len(batch))
            try:
                yield from call(clock, commit, clock.now + _request_seconds("adjust_stock"))
            except StorageThrottledError:
                waiting += batch
            else:
                tally.seconds += [clock.now - since for since in batch]
                waiting += [clock.now] * len(batch)

    for level in range(levels):
        clock.start(writer(f"level {level}", [0.0] * (buyers // levels)))
    clock.run(during)
    return tally.outcome(during)


def sales(
    *,
    shards: int,
    projection: IndexProjection,
    kilobytes: int = 1,
    sellers: int = 400,
    during: float = 2,
) -> Outcome:
    """
    Simulate sellers, each of an item of its own, who reserve and commit one unit again and again.

    Args:
        shards: The partitions of the due index.
        projection: The projection of the indexes by status and category.
        kilobytes: The size of an item.
        sellers: The number of sellers, more than the indexes can serve.
        during: The simulated seconds, after one in which the sellers start.
    """
    clock, tally = Clock(), _Tally()
    dynamodb = DynamoDB(clock)

    def sale(item: str) -> Process[None]:
        ends_at = clock.now + _request_seconds("create_reservation")
        units = stock_write(item, projection=projection, kilobytes=kilobytes)
        units |= {f"due {random.randrange(shards)}": 1.0}
        # To reserve is to read the item, to commit is to read the reservation, too.
        for reads in (1, 2):
            for _ in range(reads):
                yield from call(clock, partial(dynamodb.read, {item: 1}), ends_at)
            yield from call(clock, partial(dynamodb.transact, units, {}), ends_at)

    def seller(item: str) -> Process[None]:
        while True:
            yield from tally.measure(clock, sale(item))

    for number in range(sellers):
        clock.start(seller(f"item {number}"))
    clock.run(1)
    tally.seconds.clear()
    tally.refused = 0
    clock.run(1 + during)
    return tally.outcome(during)


@frozen(kw_only=True)
class Sweeper:
    """
    How due reservations are expired.

    Attributes:
        shards: The partitions of the due index, which are read one after the other.
        group: The reservations that one transaction expires, at most.
        threads: The groups that a function expires at the same time, of a batch that it has read before.
        limits: The limits of the function, which starts each minute.
        at_once: The functions that start each minute.
        projection: The projection of the indexes by status and category.
    """

    shards: int = len(DUE_SHARDS)
    group: int = upkeep._MAX_GROUP
    threads: int = lambda_entry._THREADS
    limits: FunctionLimits = _SWEEPER
    at_once: int = 1
    projection: IndexProjection = "all"


@frozen
class _Due:
    """A reservation of one line that is due, with what `inventory.upkeep` reads to make groups."""

    row: str
    item: str
    shard: int

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.item,)

    lines = keys


class _Sweep:
    """A simulation of a sweeper until nothing is due."""

    def __init__(self, sweeper: Sweeper, *, due: int, items: int) -> None:
        self._sweeper = sweeper
        self._clock = Clock()
        self._dynamodb = DynamoDB(self._clock)
        self.held: dict[str, _Due] = {}
        self.ended_at = 0.0
        for number in range(due):
            row, item = f"reservation {number}", f"item {random.randrange(items)}"
            self.held[row] = _Due(row, item, random.randrange(sweeper.shards))
        self._clock.start(self._schedule())
        self._clock.run()

    def _schedule(self) -> Process[None]:
        while self.held:
            for _ in range(self._sweeper.at_once):
                self._clock.start(self._run(), self._clock.now)
            yield 60

    def _run(self) -> Process[None]:
        sweeper, clock = self._sweeper, self._clock
        ends_at = clock.now + sweeper.limits.timeout_seconds - api_gateway._RESERVE_SECONDS
        cpu = _Cpu(clock, sweeper.limits.memory_mb)
        oldest = iter(list[Any](self.held.values())[: lambda_entry._MAX_EXPIRED])
        pages = taken = 0
        while batch := list(islice(oldest, sweeper.threads * sweeper.group)):
            taken += len(batch)
            while pages * paging._MAX_PAGE_SIZE < taken:
                pages += 1
                yield from self._read_page(ends_at)
            groups: deque[Any] = deque(upkeep._groups(batch, sweeper.group))
            threads = [self._work(groups, cpu, ends_at) for _ in range(sweeper.threads)]
            yield from clock.gather(threads)
            if ends_at - clock.now < upkeep._RESERVE_SECONDS:
                return

    def _read_page(self, ends_at: float) -> Process[None]:
        # The shards, then the reservations, of which each has a partition of its own.
        for units in (*({f"due {shard}": 0.5} for shard in range(self._sweeper.shards)), {}):
            yield from call(self._clock, partial(self._dynamodb.read, units), ends_at)

    def _work(self, groups: deque[Sequence[_Due]], cpu: "_Cpu", ends_at: float) -> Process[None]:
        while groups:
            yield from self._expire(groups.popleft(), cpu, ends_at)

    def _expire(self, group: Sequence[_Due], cpu: "_Cpu", ends_at: float) -> Process[None]:
        if ends_at - self._clock.now < upkeep._RESERVE_SECONDS:
            return
        attempt = partial(self._attempt, group, cpu, ends_at)
        try:
            yield from execute(self._clock, attempt, ends_at)
        except (ContentionError, StorageThrottledError):
            if len(group) > 1:
                half = len(group) // 2
                yield from self._expire(group[:half], cpu, ends_at)
                yield from self._expire(group[half:], cpu, ends_at)

    def _attempt(self, group: Sequence[_Due], cpu: "_Cpu", ends_at: float) -> Process[None]:
        clock, dynamodb = self._clock, self._dynamodb
        # Reservations, items and pointers are far from the limits of their partitions: only the time of these calls counts.
        yield from call(clock, partial(dynamodb.read, {}), ends_at)
        # Another function may have expired some meanwhile.
        group = [due for due in group if due.row in self.held]
        if not group:
            return
        items = Counter(due.item for due in group)
        expected = {row: dynamodb.versions[row] for row in (*(due.row for due in group), *items)}
        yield from call(clock, partial(dynamodb.read, {}), ends_at)
        yield from cpu.work(_CPU_SECONDS * len(group))
        units: Counter[str] = Counter(f"due {due.shard}" for due in group)
        for item, movements in items.items():
            units.update(
                stock_write(item, projection=self._sweeper.projection, movements=movements)
            )
        rows = len(items) + 2 * len(group)
        yield from call(clock, partial(dynamodb.transact, units, expected, rows=rows), ends_at)
        for due in group:
            del self.held[due.row]
        self.ended_at = clock.now
        for _ in range(0, len(group), calls._MAX_BATCH_WRITES):
            yield from call(clock, partial(dynamodb.write, {}), ends_at)


class _Cpu:
    """The CPU of a function, which its threads share."""

    def __init__(self, clock: Clock, memory_mb: int) -> None:
        self._clock = clock
        self._share = memory_mb / _MB_OF_A_CPU
        self._free_at = 0.0

    def work(self, seconds: float) -> Process[None]:
        """Wait for the CPU, then use it for *seconds* of a whole one."""
        self._free_at = max(self._free_at, self._clock.now) + seconds / self._share
        yield self._free_at - self._clock.now


def sweep(sweeper: Sweeper, *, due: int = 50_000, items: int = 5_000) -> float:
    """Return the seconds until nothing is due, of *due* reservations that are due at once, of one line each."""
    return _Sweep(sweeper, due=due, items=items).ended_at
