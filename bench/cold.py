"""
A new process and its first answer: CPU from spawn to exit, against ``boto3.client("dynamodb")`` alone (B).

Ours is what is deployed: the folder that `deploy.bundle` makes, with nothing else on the path. The others find their packages
where pip installed them, compiled. Not in it: Lambda's sandbox, the download of the code, TLS.
"""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Final

from bench import sdk
from bench.events import OPERATIONS
from bench.measure import Row, Scale, Spread, at_most, interleaved, ratios

__all__ = ["DENIED", "MOST_MODULES", "child", "modules", "path_of_ours", "rows"]

ROOT: Final = Path(__file__).resolve().parent.parent

_B: Final = "B"
_ENTRY: Final = "inventory_adapters.lambda_entry"
_CRUD: Final = "bench.baselines.crud_lambda"
_POWERTOOLS: Final = "bench.baselines.powertools_lambda:handler"

MOST_MODULES: Final = 385
"""How many modules an entry may import, the SDK's and the standard library's with them."""

DENIED: Final = (
    *("boto3", "s3transfer", "cattrs", "pydantic", "yaml", "requests", "sqlite3", "argparse"),
    *("click", "rich", "uvicorn", "asyncio", "http.server", "unittest", "pytest"),
)
"""Packages that no handler has a use for: one of them among its modules is a mistake in somebody's import."""


def path_of_ours(folder: Path) -> tuple[Path, str]:
    """Return where our code is measured, and what that is: the bundle, made in *folder*, or the sources."""
    try:
        from deploy import bundle  # noqa: PLC0415 - it may not be there

        return bundle.build(folder).folder, "bundle"
    except Exception as error:  # noqa: BLE001 - whatever it was, it is told beside the figures
        return ROOT / "src", f"src, as there is no bundle: {error}"


def rows(scale: Scale) -> Iterator[Row]:
    """Measure cold starts, and count what they import."""
    with TemporaryDirectory(prefix="bench-cold-") as scratch:
        ours, what = path_of_ours(Path(scratch, "bundle"))
        yield from _times(scale, ours, what)
        yield from _modules(ours)


def _times(scale: Scale, ours: Path, what: str) -> Iterator[Row]:
    installed = Path(sysconfig.get_path("purelib"))
    row = partial(Row, group="cold")
    contenders: dict[str, Callable[[], float]] = {
        _B: partial(cpu_of, "import boto3; boto3.client('dynamodb')", path=[installed]),
        "python": partial(cpu_of, "pass", path=[]),
    }
    for operation in ("get_item", "create_item"):
        contenders[operation] = _first(f"{_ENTRY}:{operation}", operation, _path(ours, what))
        contenders[f"CRUD {operation}"] = _first(f"{_CRUD}:{operation}", operation, [installed])
        contenders[f"Powertools {operation}"] = _first(_POWERTOOLS, operation, [installed])
    samples = interleaved(contenders, scale.rounds)
    for operation, verb in (("get_item", "GET"), ("create_item", "POST")):
        of_b = ratios(samples, operation, _B)
        bound = at_most(0.85) if verb == "GET" else None
        yield row(metric=f"first {verb} ({what})", unit="of B", value=of_b, commitment=bound)
        yield row(
            metric=f"first {verb} against the CRUD Lambda's",
            unit="of its CPU",
            value=ratios(samples, operation, f"CRUD {operation}"),
            commitment=at_most(0.70),
        )
        for other in ("CRUD", "Powertools"):
            value = ratios(samples, f"{other} {operation}", _B)
            yield row(metric=f"{other}, first {verb}", unit="of B", value=value)
    yield row(metric="Python alone", unit="of B", value=ratios(samples, "python", _B))


def _path(ours: Path, what: str) -> list[Path]:
    # The sources alone lack the SDK.
    return [ours] if what == "bundle" else [ours, Path(sysconfig.get_path("purelib"))]


def _first(handler: str, operation: str, path: Sequence[Path]) -> Callable[[], float]:
    turn = partial(cpu_of, _SCRIPT, handler, operation, path=path)
    turn()  # The first reads from the disk what the others find in memory.
    return turn


def _modules(ours: Path) -> Iterator[Row]:
    for operation in OPERATIONS:
        loaded = modules(operation, [ours])
        denied = sorted({it for it in loaded if it in DENIED})
        if denied:
            yield Row(
                group="cold",
                metric=f"{operation} imports {', '.join(denied)}",
                unit="packages without a use",
                value=Spread.of([len(denied)]),
                commitment=at_most(0),
            )
        yield Row(
            group="cold",
            metric=f"modules that {operation} imports",
            unit="modules",
            value=Spread.of([len(loaded)]),
            commitment=at_most(MOST_MODULES),
        )


_SCRIPT: Final = "from bench.first_answer import main; main()"


def child(code: str, *arguments: str, path: Sequence[Path]) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a Python that finds modules on *path*, in the standard library, and nowhere else."""
    # -S: no site-packages. -B: a handler that is shipped as source stays so. -P: nor the folder it is started in.
    command = [sys.executable, "-S", "-s", "-B", "-P", "-c", code, *arguments]
    # The harness comes last, so that it hides nothing.
    places = os.pathsep.join(map(str, (*path, ROOT)))
    return command, {"PYTHONPATH": places, "PATH": os.defpath, **sdk.ENVIRONMENT}


def cpu_of(code: str, *arguments: str, path: Sequence[Path]) -> float:
    """Return the seconds of CPU that a new Python takes to run *code*, from spawn to exit."""
    command, environment = child(code, *arguments, path=path)
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
    process = os.posix_spawn(command[0], command, environment, file_actions=silence)
    _, status, usage = os.wait4(process, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def modules(operation: str, path: Sequence[Path]) -> list[str]:
    """Return the modules that are loaded once our handler of *operation* has answered; the harness's own are not counted."""
    arguments = (f"{_ENTRY}:{operation}", operation, "modules")
    command, environment = child(_SCRIPT, *arguments, path=path)
    done = run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
