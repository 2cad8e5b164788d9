"""
Measure the commitments of docs/performance.md and report whether each is met.

    python -m bench [--quick] [--only GROUP ...] [--json FILE] [--figure FILE] [--docs]

The exit code is 1 if a commitment is missed.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Final

from bench.loopback import loopback
from bench.measure import Row, Scale

__all__ = ["FULL", "GROUPS", "QUICK", "main"]

GROUPS: Final = ("cold", "warm", "local", "library", "catalogue", "upkeep", "contention")

FULL: Final = Scale(
    rounds=15,
    calls=500,
    requests=10_000,
    items=1_000_000,
    rows=100_000,
    soak=1_000_000,
    writes=50,
    writers=(1, 2, 4, 8, 16, 32),
)
QUICK: Final = Scale(
    rounds=5,
    calls=100,
    requests=1500,
    items=20_000,
    rows=10_000,
    soak=10_000,
    writes=10,
    writers=(1, 8, 32),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected measurements and return the exit code."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    rows = list(_measure(options.only, scale))
    _publish(rows, scale, options)
    missed = [row for row in rows if row.verdict == "MISSED"]
    met = sum(row.verdict == "met" for row in rows)
    print(f"{met} met, {len(missed)} missed")
    for row in missed:
        print(f"missed: {row.group}, {row.metric}: {row.value}, not {row.commitment} {row.unit}")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="take three minutes, with wider spreads"
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--json", type=Path, help="write the results to a JSON file")
    parser.add_argument("--figure", type=Path, help="draw the contention curve as SVG")
    parser.add_argument(
        "--docs", action="store_true", help="update the tables in docs/performance.md"
    )
    return parser


def _measure(groups: Sequence[str], scale: Scale) -> Iterator[Row]:
    with loopback() as environment:
        # First, because modules create clients when they are imported.
        os.environ.update(environment)
        for group in groups:
            started = perf_counter()
            rows: Callable[[Scale], Iterator[Row]] = import_module(f"bench.{group}").rows
            yield from rows(scale)
            print(f"{group}: {perf_counter() - started:.0f} s", file=sys.stderr)


def _publish(rows: Sequence[Row], scale: Scale, options: argparse.Namespace) -> None:
    from bench import report  # noqa: PLC0415 - imported after the measurements

    about = {"scale": "quick" if options.quick else "full", **report.circumstances()}
    print(report.table(rows))
    if options.json:
        options.json.write_text(report.as_json(rows, about))
    if options.docs:
        report.update_docs(rows, about)
    if options.figure:
        from bench import contention, figure  # noqa: PLC0415

        options.figure.write_text(figure.draw(contention.curve(scale.writes, FULL.writers)))


if __name__ == "__main__":
    sys.exit(main())
