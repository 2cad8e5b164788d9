"""
The ceilings of a deployment on DynamoDB: the tables of docs/scale.md, computed from documented limits or simulated.

    python -m bench.scale [--seed N] [--docs]

The same seed gives the same tables. `bench.simulation` describes what is simulated; nothing here calls AWS.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from attrs import evolve, frozen

from bench.report import ROOT, grid, replace_between
from bench.scenarios import (
    Outcome,
    Sweeper,
    group_commit,
    hot_item,
    sales,
    sweep,
)
from bench.simulation import WRITE_UNITS
from deploy.environments import settings_for
from deploy.limits import (
    GATEWAY_BURST,
    GATEWAY_REQUESTS_PER_SECOND,
    FunctionLimits,
    limits_of,
)
from inventory_adapters.config import IndexProjection
from inventory_adapters.storage.dynamodb.schema import DUE_SHARDS

__all__ = ["DOCS", "TABLES", "Cost", "costs", "main", "tables"]

T = TypeVar("T")
Run = Callable[..., Any]

DOCS: Final = ROOT / "docs" / "scale.md"
COSTS: Final = ROOT / "docs" / "costs.md"

_SEED: Final = 1
# Source: "Lambda quotas": an execution environment serves ten requests a second.
_REQUESTS_PER_ENVIRONMENT: Final = 10
_MONTH_SECONDS: Final = 30 * 24 * 60 * 60
_WAF_SECONDS: Final = 300
_PROJECTIONS: Final[tuple[IndexProjection, ...]] = ("all", "keys")


@frozen
class Cost:
    """One row of the first table in docs/costs.md."""

    calls: str
    reads: float
    writes: float
    of_indexes: float
    dollars: float


def costs() -> dict[str, Cost]:
    """Return the rows of docs/costs.md, which a test of the repository counts, by operation."""
    text = COSTS.read_text(encoding="utf-8")
    counted = text.partition("<!-- begin: counted -->\n")[2].partition("<!-- end: counted -->")[0]
    rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in counted.splitlines()[2:])
    return {name: Cost(calls, *map(float, numbers)) for name, calls, *numbers in rows}


def _ceilings(run: Run) -> str:
    prod = settings_for("prod", {"allowedOrigins": "*"}.get)
    sale = [costs()["reserve 1 line"], costs()["commit 1 line"]]
    # A transaction writes 2 units for the item, and all others to the ledger table.
    ledger = sum(cost.writes - 2 for cost in sale)
    small, large = (
        run(sales, shards=len(DUE_SHARDS), projection="all", kilobytes=kilobytes).per_second
        for kilobytes in (1, 5)
    )
    due = run(sales, shards=len(DUE_SHARDS), projection="keys").per_second
    item = run(hot_item, 16).per_second
    month = prod.monthly_requests or 0
    return grid(
        ("what", "ceiling", "setting", "alarm"),
        [
            (
                "requests of an API key in a month",
                f"{month:,}: {month / _MONTH_SECONDS:.2f}/s on average",
                "`monthlyRequests`",
                "`api-429`",
            ),
            (
                "requests of one IP address",
                f"{prod.requests_per_ip:,} in five minutes: {prod.requests_per_ip / _WAF_SECONDS:.0f}/s",
                "`requestsPerIp`",
                "`firewall-blocked`",
            ),
            (
                "requests to the API",
                f"{GATEWAY_REQUESTS_PER_SECOND:,}/s, {GATEWAY_BURST:,} at once",
                "none; the quota of the account",
                "`api-429`",
            ),
            (
                "requests to a function",
                f"{_REQUESTS_PER_ENVIRONMENT}/s for each reserved execution",
                "`concurrency`",
                "`<operation>-throttles`",
            ),
            (
                "sales, with provisioned capacity",
                f"{prod.capacity[1] / ledger:.0f}/s at {prod.capacity[1]} units",
                "`billing`, `capacity`",
                "`items-capacity`, `ledger-capacity`",
            ),
            (
                "changes of one item",
                f"{_rate(item)}, simulated",
                "none; see below",
                "`contention`",
            ),
            (
                "sales of one status or category",
                f"{_rate(small)}; {_rate(large)} with items of 5 KB; simulated",
                "`indexProjection`",
                "`items-throttles`",
            ),
            (
                f"sales, with {len(DUE_SHARDS)} shards of the due index",
                f"{_rate(due)}, simulated",
                "none",
                "`ledger-throttles`",
            ),
            (
                "items that become low, or stop being low",
                f"{_rate(WRITE_UNITS / 2)}: all markers are in one partition",
                "none",
                "`ledger-throttles`",
            ),
            (
                "reservations that expire",
                f"50,000 due at once take {run(sweep, Sweeper()):.0f} s, simulated",
                "`concurrency`, `memory`",
                "`oldest-due`",
            ),
        ],
    )


def _functions(_run: Run) -> str:
    rows = []
    for operation in ("get_item", "list_items", "create_item", "update_item", "delete_item"):
        reserved = limits_of(operation).reserved_concurrency or 0
        most = reserved * _REQUESTS_PER_ENVIRONMENT
        rows.append(
            (
                f"`{operation.replace('_', '-')}`",
                str(reserved),
                *(_rate(min(most, reserved / seconds)) for seconds in (0.05, 0.2, 1.0)),
            )
        )
    head = ("function", "reserved in `prod`", "requests of 50 ms", "of 200 ms", "of 1 s")
    return grid(head, rows)


def _operations(_run: Run) -> str:
    table = costs()
    names = [
        "get an item by id and SKU",
        "list 20 items of a category",
        "adjust",
        "reserve 1 line",
        "commit 1 line",
    ]
    return grid(
        ("operation", "calls", "units read", "units written", "$ per million"),
        [
            *(_cost_cells(name, [table[name]]) for name in names),
            _cost_cells("a sale: reserve and commit 1 line", [table[name] for name in names[-2:]]),
        ],
    )


def _cost_cells(name: str, parts: Sequence[Cost]) -> tuple[str, ...]:
    numbers = (
        sum(cost.reads for cost in parts),
        sum(cost.writes + cost.of_indexes for cost in parts),
        sum(cost.dollars for cost in parts),
    )
    return name, "; ".join(cost.calls for cost in parts), *(f"{number:g}" for number in numbers)


def _buyers(run: Run) -> str:
    return grid(
        ("buyers", "changes", "median", "99th percentile", "refused"),
        [(f"{buyers}", *_cells(run(hot_item, buyers))) for buyers in (1, 2, 4, 8, 16, 32, 64, 128)],
    )


def _levels(run: Run) -> str:
    return grid(
        ("how", "buyers", "changes", "median", "99th percentile", "refused"),
        [
            ("one item", "16", *_cells(run(hot_item, 16))),
            ("4 sub-levels", "16", *_cells(run(hot_item, 16, levels=4))),
            ("one writer, group commit", "16", *_cells(run(group_commit, 16))),
            ("one writer, group commit", "128", *_cells(run(group_commit, 128))),
            (
                "512 sub-levels, `indexProjection=keys`",
                "512",
                *_cells(run(hot_item, 512, levels=512, projection="keys", during=1)),
            ),
            (
                "32 sub-levels, each with one writer, `indexProjection=keys`",
                "2,048",
                *_cells(run(group_commit, 2048, levels=32, projection="keys")),
            ),
        ],
    )


def _sweeps(run: Run) -> str:
    one_by_one = Sweeper(shards=1, group=1, threads=1, limits=FunctionLimits())
    larger = evolve(limits_of("expire_reservations"), memory_mb=1024)
    # It takes the same time for each, so a tenth of them is enough.
    tenth = run(sweep, one_by_one, due=5_000)
    return grid(
        ("how", "time for 50,000", "expired in a minute"),
        [
            (how, f"{seconds:,.0f} s", f"{50_000 / seconds * 60:,.0f}")
            for how, seconds in (
                ("one after the other, a function of 10 s and 256 MB", 10 * tenth),
                ("in groups, 8 threads, a function of 55 s and 512 MB", run(sweep, Sweeper())),
                ("the same, of 1,024 MB", run(sweep, Sweeper(limits=larger))),
                ("the same, two functions at a time", run(sweep, Sweeper(at_once=2))),
                ("the same, all reservations of one item", run(sweep, Sweeper(), items=1)),
            )
        ],
    )


def _indexes(run: Run) -> str:
    return grid(
        ("shards of the due index", "`indexProjection`", "items of 1 KB", "items of 5 KB"),
        [
            (
                f"{shards}",
                f"`{projection}`",
                *(
                    _rate(
                        run(sales, shards=shards, projection=projection, kilobytes=size).per_second
                    )
                    for size in (1, 5)
                ),
            )
            for shards in (1, len(DUE_SHARDS))
            for projection in _PROJECTIONS
        ],
    )


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}/s"


def _cells(outcome: Outcome) -> tuple[str, ...]:
    return (
        _rate(outcome.per_second),
        f"{outcome.p50 * 1000:,.0f} ms",
        f"{outcome.p99 * 1000:,.0f} ms",
        f"{outcome.refused * 100:.1f} %",
    )


TABLES: Final[Mapping[str, Callable[[Run], str]]] = {
    "ceilings": _ceilings,
    "functions": _functions,
    "operations": _operations,
    "buyers": _buyers,
    "levels": _levels,
    "indexes": _indexes,
    "sweeps": _sweeps,
}
"""The tables of docs/scale.md, by the names of their marks."""


def tables(seed: int = _SEED) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each of `TABLES`; the same seed yields the same texts."""

    @cache
    def run(scenario: Callable[..., T], *arguments: Any, **more: Any) -> T:
        # The same pauses in every table: a scenario that is in two has the same result in both.
        random.seed(seed)
        return scenario(*arguments, **more)

    for name, table in TABLES.items():
        yield name, table(run) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them to docs/scale.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--seed", type=int, default=_SEED, help="another seed gives other pauses")
    parser.add_argument("--docs", action="store_true", help="write the tables to docs/scale.md")
    options = parser.parse_args(arguments)
    for name, text in tables(options.seed):
        if options.docs:
            replace_between(DOCS, name, text)
        else:
            print(f"### {name.capitalize()}\n\n{text}")


if __name__ == "__main__":
    main()
