"""
The CPU of a new process until its first answer, against ``boto3.client("dynamodb")`` alone (B).

Our code is measured as it is deployed: the bundle of `deploy.bundle`, with nothing else on the path. The others import compiled
packages from where pip installed them. All of them call a server on this machine over a socket; ours also over TLS, without a
commitment. The measurement excludes Lambda's sandbox and the download of the code.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Final

import boto3

from bench import sdk
from bench.events import OPERATIONS
from bench.loopback import tls_loopback
from bench.measure import Row, Scale, Spread, at_most, interleaved, ratios
from deploy import bundle

__all__ = ["DENIED", "MOST_BYTES", "MOST_MODULES", "child", "modules", "path_of_ours", "rows"]

ROOT: Final = Path(__file__).resolve().parent.parent

_NO_SETTINGS: Final[Mapping[str, str]] = {}
_B: Final = "B"
_ENTRY: Final = "inventory_adapters.lambda_entry"
_CRUD: Final = "bench.baselines.crud_lambda"
_POWERTOOLS: Final = "bench.baselines.powertools_lambda:handler"

MOST_MODULES: Final = 210
"""The most modules that an entry may import, including the standard library's."""

MOST_BYTES: Final = 500_000
"""The largest size of the zipped bundle."""

DENIED: Final = (
    *(
        "boto3",
        "botocore",
        "s3transfer",
        "cattrs",
        "pydantic",
        "yaml",
        "requests",
        "sqlite3",
        "argparse",
    ),
    *("click", "rich", "uvicorn", "asyncio", "http.server", "unittest", "pytest"),
)
"""Packages that no handler needs: if a handler imports one of them, the import is a mistake."""


def path_of_ours(folder: Path) -> tuple[Path, str]:
    """Build the bundle in *folder*; return its path and kind, or those of the sources."""
    try:
        return bundle.build(folder).folder, "bundle"
    except Exception as error:  # noqa: BLE001 - the report shows the error beside the figures
        return ROOT / "src", f"src, as there is no bundle: {error}"


def rows(scale: Scale) -> Iterator[Row]:
    """Measure cold starts and count their imports."""
    with TemporaryDirectory(prefix="bench-cold-") as scratch:
        ours, kind = path_of_ours(Path(scratch, "bundle"))
        with tls_loopback() as over_tls:
            yield from _times(scale, ours, kind, over_tls)
        yield from _modules(ours)
        if kind == "bundle":
            yield Row(
                group="cold",
                metric="the bundle, zipped",
                unit="bytes",
                value=Spread.of([bundle.Bundle(ours).zipped_bytes]),
                commitment=at_most(MOST_BYTES),
            )


def _times(scale: Scale, ours: Path, kind: str, over_tls: Mapping[str, str]) -> Iterator[Row]:
    installed = _installed()
    row = partial(Row, group="cold")
    contenders: dict[str, Callable[[], float]] = {
        _B: partial(cpu_of, "import boto3; boto3.client('dynamodb')", path=[installed]),
        "python": partial(cpu_of, "pass", path=[]),
    }
    for operation in ("get_item", "create_item"):
        contenders[operation] = _first(f"{_ENTRY}:{operation}", operation, _path(ours, kind))
        contenders[f"CRUD {operation}"] = _first(f"{_CRUD}:{operation}", operation, [installed])
        contenders[f"Powertools {operation}"] = _first(_POWERTOOLS, operation, [installed])
    tls = "get_item over TLS"
    contenders[tls] = _first(f"{_ENTRY}:get_item", "get_item", _path(ours, kind), over_tls)
    samples = interleaved(contenders, scale.rounds)
    yield row(metric="first GET, over TLS", unit="of B", value=ratios(samples, tls, _B))
    for operation, verb in (("get_item", "GET"), ("create_item", "POST")):
        of_b = ratios(samples, operation, _B)
        bound = at_most(0.50) if verb == "GET" else None
        yield row(metric=f"first {verb} ({kind})", unit="of B", value=of_b, commitment=bound)
        yield row(
            metric=f"first {verb} against the CRUD Lambda's",
            unit="of its CPU",
            value=ratios(samples, operation, f"CRUD {operation}"),
            commitment=at_most(0.50),
        )
        for other in ("CRUD", "Powertools"):
            value = ratios(samples, f"{other} {operation}", _B)
            yield row(metric=f"{other}, first {verb}", unit="of B", value=value)
    yield row(metric="Python alone", unit="of B", value=ratios(samples, "python", _B))


def _path(ours: Path, kind: str) -> list[Path]:
    # The sources do not include attrs.
    return [ours] if kind == "bundle" else [ours, _installed()]


def _installed() -> Path:
    """Return the folder of installed packages."""
    return Path(boto3.__file__).parent.parent


def _first(
    handler: str, operation: str, path: Sequence[Path], settings: Mapping[str, str] = _NO_SETTINGS
) -> Callable[[], float]:
    turn = partial(cpu_of, _SCRIPT, handler, operation, path=path, settings=settings)
    turn()  # The first run reads files from the disk, further ones from the cache.
    return turn


def _modules(ours: Path) -> Iterator[Row]:
    for operation in OPERATIONS:
        loaded = modules(operation, [ours])
        denied = sorted(set(loaded) & set(DENIED))
        if denied:
            yield Row(
                group="cold",
                metric=f"{operation} imports {', '.join(denied)}",
                unit="packages that no handler needs",
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
    """Return command and environment of a Python that imports only from *path* and the standard library."""
    # -S: no site-packages. -B: write no compiled modules. -P: do not import from the current folder.
    command = [sys.executable, "-S", "-s", "-B", "-P", "-c", code, *arguments]
    # The harness comes last, so that it hides no module.
    search_path = os.pathsep.join(map(str, (*path, ROOT)))
    settings = {**sdk.ENVIRONMENT, "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}
    return command, {"PYTHONPATH": search_path, "PATH": os.defpath, **settings}


def cpu_of(
    code: str,
    *arguments: str,
    path: Sequence[Path],
    settings: Mapping[str, str] = _NO_SETTINGS,
) -> float:
    """Return the CPU seconds of a new Python that runs *code*, from spawn to exit."""
    command, environment = child(code, *arguments, path=path)
    environment |= settings
    no_output = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
    process = os.posix_spawn(command[0], command, environment, file_actions=no_output)
    _, status, usage = os.wait4(process, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def modules(operation: str, path: Sequence[Path]) -> list[str]:
    """Return the modules that our handler of *operation* has imported after a request, without the harness's."""
    arguments = (f"{_ENTRY}:{operation}", operation, "modules")
    command, environment = child(_SCRIPT, *arguments, path=path)
    done = run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
