"""
Rounds, ratios and rows of measurements.

The speed of a shared machine varies from minute to minute, so only times of the same round are compared: each contender has one
turn per round, each round gives one ratio, and the result is the median of the ratios with its quartiles.
"""

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter, process_time
from typing import Any, Final, Literal

from attrs import asdict, frozen

__all__ = [
    "Commitment",
    "Row",
    "Scale",
    "Spread",
    "at_least",
    "at_most",
    "cpu_per_call",
    "interleaved",
    "rate",
    "ratios",
]

Samples = Mapping[str, Sequence[float]]

_QUARTERS: Final = 4


@frozen
class Scale:
    """
    The size of the measurements.

    Attributes:
        rounds: The number of rounds.
        calls: Calls per turn that take less than a millisecond each.
        requests: HTTP requests per turn.
        items: Items in the large store.
        rows: Rows of the imported file.
        soak: Requests during which the server's memory is observed.
        writes: Changes per writer under contention; more with fewer than eight writers.
        writers: The numbers of writers to measure.
    """

    rounds: int
    calls: int
    requests: int
    items: int
    rows: int
    soak: int
    writes: int
    writers: tuple[int, ...]


@frozen
class Spread:
    """The median of samples and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Return the spread of *samples*; a single sample is its own median and quartiles."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        low, median, high = statistics.quantiles(samples, n=_QUARTERS, method="inclusive")
        return cls(median, low, high)

    def __str__(self) -> str:
        if self.low == self.high:
            return _figures(self.median)
        return f"{_figures(self.median)} ({_figures(self.low)} to {_figures(self.high)})"


def _figures(number: float) -> str:
    """Format *number* with three significant figures."""
    if number == int(number) or abs(number) >= 100:  # noqa: PLR2004 - three figures
        return f"{number:,.0f}"
    return f"{number:.3g}"


@frozen
class Commitment:
    """A bound for a median."""

    sense: Literal["<=", ">="]
    bound: float

    def is_met_by(self, spread: Spread) -> bool:
        """Return whether the median meets the commitment."""
        if self.sense == "<=":
            return spread.median <= self.bound
        return spread.median >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.sense == '<=' else '≥'} {_figures(self.bound)}"


def at_most(bound: float) -> Commitment:
    """Return the commitment to *bound* or less."""
    return Commitment("<=", bound)


def at_least(bound: float) -> Commitment:
    """Return the commitment to *bound* or more."""
    return Commitment(">=", bound)


@frozen(kw_only=True)
class Row:
    """
    One result.

    Attributes:
        group: The module of the measurement.
        metric: The name of the metric.
        unit: The unit of the value, or the base of a ratio.
        value: The result.
        commitment: The commitment; None if the value is only reported.
    """

    group: str
    metric: str
    unit: str
    value: Spread
    commitment: Commitment | None = None

    @property
    def verdict(self) -> str:
        """`met` or `MISSED`; empty without a commitment."""
        if self.commitment is None:
            return ""
        return "met" if self.commitment.is_met_by(self.value) else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {**asdict(self), "verdict": self.verdict or None}


def interleaved(
    contenders: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Run one turn of each contender per round, and return the results of the turns."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        # The first contender changes each round, because a turn affects the next one: it may warm or throttle the machine.
        names = list(contenders)
        start = number % len(names)
        for name in (*names[start:], *names[:start]):
            samples[name].append(contenders[name]())
    return samples


def ratios(samples: Samples, ours: str, theirs: str) -> Spread:
    """Return the ratio of *ours* to *theirs*, by round."""
    return Spread.of([a / b for a, b in zip(samples[ours], samples[theirs], strict=True)])


def cpu_per_call(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """Return a turn that measures the CPU seconds per *call*, over all threads of this process."""

    def turn() -> float:
        call()
        gc.collect()
        started = process_time()
        for _ in range(calls):
            call()
        return (process_time() - started) / calls

    return turn


def rate(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """Return a turn that measures calls per second of wall-clock time, for calls that wait."""

    def turn() -> float:
        call()
        gc.collect()
        started = perf_counter()
        for _ in range(calls):
            call()
        return calls / (perf_counter() - started)

    return turn
