"""
A discrete-event simulation of DynamoDB's documented limits, with the retry policy of this project.

A process is a generator that yields the seconds that it waits; infinity, if another process will start it again. Pauses come
from `random`, so a seed determines a run.

Simulated: the units that a partition reads and writes in a second, also those of an index, which holds up the table if it is
throttled; transactions that conflict; and the time of a call. Each item, and each key of an index, has a partition of its own:
the best that DynamoDB's splitting of busy partitions can reach. Left out are burst capacity and adaptive capacity, which serve
short peaks above the limits; the quota of the account; the gateway; and cold starts.

Source: "Service, account, and table quotas in Amazon DynamoDB"; "Best practices for designing and using partition keys
effectively"; "Amazon DynamoDB Transactions: How it works".
"""

from collections import defaultdict, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, Final, TypeVar

from inventory import retry
from inventory.errors import ContentionError, StaleReadError, StorageThrottledError
from inventory_adapters.storage.dynamodb import calls

__all__ = [
    "WRITE_UNITS",
    "Clock",
    "DynamoDB",
    "Meter",
    "Process",
    "call",
    "execute",
]

T = TypeVar("T")
Process = Generator[float, None, T]

_READ_UNITS: Final = 3000
"""The read units of one partition in a second."""
WRITE_UNITS: Final = 1000
"""The write units of one partition in a second."""

_CALL_SECONDS: Final = 0.005
"""The time of a read, of a write without a transaction, and of a refusal. An assumption."""
_TRANSACTION_SECONDS: Final = 0.017
"""The time of a transaction of few rows. An assumption."""
# A transaction of 100 rows takes longer than one of four. Nothing is documented; this is an assumption, too.
_FEW_ROWS: Final = 4
_SECONDS_PER_ROW: Final = 0.0005

_SECOND: Final = 1.0


class Clock:
    """The simulated time, and the processes that wait for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, Process[Any]]] = []
        # Processes of the same time run in the order in which they began to wait.
        self._turns = count()
        self._running: Process[Any]

    def start(self, process: Process[Any], at: float = 0.0) -> None:
        """Start a process at a time."""
        heappush(self._waiting, (at, next(self._turns), process))

    def run(self, until: float = inf) -> None:
        """Run until a time, or until no process waits."""
        while self._waiting and self._waiting[0][0] <= until:
            self.now, _, self._running = heappop(self._waiting)
            if (seconds := next(self._running, inf)) < inf:
                self.start(self._running, self.now + seconds)

    def gather(self, processes: Sequence[Process[None]]) -> Process[None]:
        """Run processes at the same time, and wait until all have ended."""
        parent, left = self._running, len(processes)

        def member(process: Process[None]) -> Process[None]:
            nonlocal left
            yield from process
            left -= 1
            if not left:
                self.start(parent, self.now)

        for process in processes:
            self.start(member(process), self.now)
        yield inf


class Meter:
    """
    The units that one partition serves.

    Args:
        limit: The units of any second, wherever it begins.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._served: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def has_room(self, units: float, now: float) -> bool:
        """Return whether the last second leaves room for *units*."""
        while self._served and self._served[0][0] <= now - _SECOND:
            self._sum -= self._served.popleft()[1]
        return self._sum + units <= self._limit

    def serve(self, units: float, now: float) -> None:
        """Count *units* that are served now."""
        self._served.append((now, units))
        self._sum += units


class DynamoDB:
    """
    Tables and indexes: partitions with limits, and rows with versions.

    A partition or a row is named by a text, and exists when it is first named.

    Args:
        clock: The simulated time.

    Attributes:
        versions: How often each row was written by a transaction.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.versions: defaultdict[str, int] = defaultdict(int)
        self._reads: defaultdict[str, Meter] = defaultdict(lambda: Meter(_READ_UNITS))
        self._writes: defaultdict[str, Meter] = defaultdict(lambda: Meter(WRITE_UNITS))
        self._in_transaction: set[str] = set()

    def read(self, units: Mapping[str, float]) -> Process[None]:
        """
        Read *units* of partitions, which does not wait for transactions.

        Raises:
            StorageThrottledError: A partition is at its limit.
        """
        yield from self._consume(self._reads, units)
        yield _CALL_SECONDS

    def write(self, units: Mapping[str, float]) -> Process[None]:
        """
        Write *units* to partitions of tables and indexes, without a transaction.

        Raises:
            StorageThrottledError: A partition is at its limit.
        """
        yield from self._consume(self._writes, units)
        yield _CALL_SECONDS

    def transact(
        self, units: Mapping[str, float], expected: Mapping[str, int], *, rows: int = _FEW_ROWS
    ) -> Process[None]:
        """
        Write in a transaction, which consumes its units also if it is refused.

        Args:
            units: The write units for each partition of tables and indexes, already doubled.
            expected: The versions of the rows that the transaction writes.
            rows: The number of rows of the transaction, others than those in *expected* included.

        Raises:
            StorageThrottledError: A partition is at its limit.
            StaleReadError: Another transaction is writing one of the rows, or has written it since it was read.
        """
        yield from self._consume(self._writes, units)
        if not self._in_transaction.isdisjoint(expected) or any(
            self.versions[row] != version for row, version in expected.items()
        ):
            yield _CALL_SECONDS
            raise StaleReadError
        self._in_transaction.update(expected)
        yield _TRANSACTION_SECONDS + _SECONDS_PER_ROW * max(0, rows - _FEW_ROWS)
        self._in_transaction.difference_update(expected)
        for row in expected:
            self.versions[row] += 1

    def _consume(self, meters: Mapping[str, Meter], units: Mapping[str, float]) -> Process[None]:
        now = self._clock.now
        # All partitions or none: a throttled index holds up its table.
        if not all(meters[name].has_room(number, now) for name, number in units.items()):
            yield _CALL_SECONDS
            raise StorageThrottledError
        for name, number in units.items():
            meters[name].serve(number, now)


def call(clock: Clock, attempt: Callable[[], Process[T]], ends_at: float) -> Process[T]:
    """Attempt a call as often, and with such pauses, as `inventory_adapters.storage.dynamodb.calls.Calls` does."""
    for number in range(1, calls._MAX_ATTEMPTS + 1):
        try:
            return (yield from attempt())
        except StorageThrottledError:
            pause = calls.Calls.jitter(number)
            has_time = ends_at - clock.now - pause >= calls._LEAST_SECONDS
            if number == calls._MAX_ATTEMPTS or not has_time:
                raise
            yield pause
    raise AssertionError


def execute(clock: Clock, attempt: Callable[[], Process[T]], ends_at: float) -> Process[T]:
    """Attempt a use case as often, and with such pauses, as `inventory.retry.Executor` does."""
    for pause in retry._pauses():
        try:
            return (yield from attempt())
        except StaleReadError:
            if pause >= ends_at - clock.now:
                break
            yield pause
    raise ContentionError
