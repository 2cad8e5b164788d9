"""
Rounds, ratios and rows.

A shared machine is faster one minute and slower the next, so nothing here compares a time with one of another minute: in each
round every contender has its turn, a ratio is of one round, and what is told is the median ratio with its quartiles.
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
    How much is measured.

    Attributes:
        rounds: How often every contender has its turn.
        calls: Calls of one turn, where a call takes less than a millisecond.
        requests: HTTP requests of one turn.
        items: Items in the large store.
        rows: Rows of a file that is imported.
        soak: Requests over which the server's memory is watched.
        writes: Changes of each writer, where many want one item; more, where fewer than eight do.
        writers: How many such writers there are, one number after the other.
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
    """The median of some samples, between their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Return the spread of *samples*; of a single one, itself three times."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        low, median, high = statistics.quantiles(samples, n=_QUARTERS, method="inclusive")
        return cls(median, low, high)

    def __str__(self) -> str:
        if self.low == self.high:
            return _figures(self.median)
        return f"{_figures(self.median)} ({_figures(self.low)} to {_figures(self.high)})"


def _figures(number: float) -> str:
    """Write *number* with three figures, which is more than a shared machine can repeat."""
    if number == int(number) or abs(number) >= 100:  # noqa: PLR2004 - three figures
        return f"{number:,.0f}"
    return f"{number:.3g}"


@frozen
class Commitment:
    """What a median shall be."""

    sense: Literal["<=", ">="]
    bound: float

    def is_met_by(self, spread: Spread) -> bool:
        """Tell whether the median keeps it."""
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
        group: The module that measured it.
        metric: What was measured.
        unit: Of the value; where it is a ratio, of what to what.
        value: The result.
        commitment: What it shall be; None where it is only told.
    """

    group: str
    metric: str
    unit: str
    value: Spread
    commitment: Commitment | None = None

    @property
    def verdict(self) -> str:
        """Whether the commitment is met, in one word; empty where there is none."""
        if self.commitment is None:
            return ""
        return "met" if self.commitment.is_met_by(self.value) else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {**asdict(self), "verdict": self.verdict or None}


def interleaved(
    contenders: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Give every contender its turn in each of the *rounds*, and return what each turn took."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        # Another one begins each time: whoever always follows the slowest would meet a warm or a throttled machine.
        names = list(contenders)
        start = number % len(names)
        for name in (*names[start:], *names[:start]):
            samples[name].append(contenders[name]())
    return samples


def ratios(samples: Samples, ours: str, theirs: str) -> Spread:
    """Return how *ours* relates to *theirs*, round by round."""
    return Spread.of([a / b for a, b in zip(samples[ours], samples[theirs], strict=True)])


def cpu_per_call(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """Return a turn: the seconds of CPU that one *call* takes, of all threads of this process."""

    def turn() -> float:
        call()
        gc.collect()
        started = process_time()
        for _ in range(calls):
            call()
        return (process_time() - started) / calls

    return turn


def rate(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """Return a turn: calls per second, by the clock, because a durable write waits rather than works."""

    def turn() -> float:
        call()
        gc.collect()
        started = perf_counter()
        for _ in range(calls):
            call()
        return calls / (perf_counter() - started)

    return turn
