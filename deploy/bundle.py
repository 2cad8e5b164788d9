"""
The code of all Lambda functions as one folder, built reproducibly and without Docker.

    python -m deploy.bundle --output build/bundle --python 3.11

The bundle contains our modules that a Lambda entry can import, the installed packages that they need, and root certificates. It
contains no SDK: with ``TRANSPORT=boto3`` the functions use the SDK of their runtime. The reasons are in
`docs/decisions/0009-lambda-bundle.md`.
"""

import argparse
import ast
import io
import os
import re
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from itertools import accumulate
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from attrs import fields, frozen

from deploy.environments import Settings
from deploy.reach import Reach, reach_of
from deploy.trust import trust_folder

__all__ = ["Bundle", "BundleError", "build", "main", "sources_digest"]

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src"
ENTRY: Final = "inventory_adapters.lambda_entry"
DEFAULT_OUTPUT: Final = ROOT / "build" / "bundle"
DEFAULT_PYTHON: Final = str(fields(Settings).python_version.default)

_OURS: Final = ("inventory", "inventory_adapters")
# With TRANSPORT=boto3 the functions import these from their runtime.
_OF_THE_RUNTIME: Final = frozenset({"boto3", "botocore"})
# Parts that no function runs: other formats of cattrs and its earlier name, and tasks of operators.
_UNUSED: Final = (
    "cattr/",
    "cattrs/preconf/",
    "cattrs/strategies/",
    "inventory/reconcile.py",
    "inventory/snapshots.py",
    "inventory_adapters/storage/dynamodb/snapshots.py",
)
# The folder that `inventory_adapters.aws.http_transport` reads.
_TRUST: Final = PurePosixPath("trust")
# The folder in which Lambda unpacks the bundle; tracebacks show it.
_PLACE: Final = "/var/task"
# The file with the Python version, because another version cannot load the bundle.
_MARKER: Final = ".python-version"
# The file with the `sources_digest` at the time of the build.
_SOURCES: Final = ".sources"
_PINS: Final = ROOT / "deploy" / "bundle-requirements.txt"
# Zip files cannot store times before 1980.
_TIME: Final = 946_684_800
_ZIP_TIME: Final = (2000, 1, 1, 0, 0, 0)


class BundleError(Exception):
    """The bundle cannot be built or used; the message is for the user."""


@frozen
class Bundle:
    """A folder with the code of all functions."""

    folder: Path

    @property
    def python(self) -> str:
        """
        The Python version of the bundle, as in ``3.11``; Lambda has to run the same.

        Raises:
            BundleError: The folder is not a bundle.
        """
        marker = self.folder / _MARKER
        if not marker.is_file():
            raise BundleError(f"There is no bundle in {self.folder}: run `nox -s bundle`.")
        return marker.read_text(encoding="ascii").strip()

    def require_current(self) -> None:
        """
        Check that the bundle was built from the current sources and pins.

        Raises:
            BundleError: It was built from others, or the folder is not a bundle.
        """
        python, made_of = self.python, self.folder / _SOURCES
        if not made_of.is_file() or made_of.read_text(encoding="ascii").strip() != sources_digest():
            raise BundleError(
                f"The bundle in {self.folder} is stale, because the sources or the pinned packages have changed:"
                f" run `nox -s bundle -- --python {python} --output {self.folder}`."
            )

    @property
    def files(self) -> list[Path]:
        """All files, in an order that is the same on every machine."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(files, key=lambda path: path.relative_to(self.folder).as_posix())

    @property
    def digest(self) -> str:
        """The hash of the names and contents of all files."""
        digest = sha256()
        for path in self.files:
            content = path.read_bytes()
            name = path.relative_to(self.folder).as_posix()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """The total size of all files; Lambda allows 250 MB."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def zipped_bytes(self) -> int:
        """The size of the zip file that Lambda downloads for a cold start; Lambda allows 50 MB."""
        archive = io.BytesIO()
        with ZipFile(archive, "w", ZIP_DEFLATED) as zipped:
            for path in self.files:
                name = path.relative_to(self.folder).as_posix()
                zipped.writestr(ZipInfo(name, _ZIP_TIME), path.read_bytes(), ZIP_DEFLATED)
        return archive.tell()


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the bundle that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bundle", description=__doc__)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    parser.add_argument("--python", default=DEFAULT_PYTHON, help="the minor version to compile for")
    options = parser.parse_args(arguments)
    try:
        bundle = build(options.output, python=options.python)
    except BundleError as error:
        sys.exit(f"deploy/bundle.py: {error}")
    size, zipped = (f"{count / 1000:,.0f} kB" for count in (bundle.size_bytes, bundle.zipped_bytes))
    print(f"{bundle.folder}: {size}, zipped {zipped}")  # noqa: T201 - a command talks to its user
    print(f"sha256 {bundle.digest}")  # noqa: T201


def build(output: Path, *, python: str = DEFAULT_PYTHON) -> Bundle:
    """
    Build a bundle.

    Args:
        output: The folder. An existing bundle is replaced when the new one is complete.
        python: The minor version to compile for, as in ``3.11``.

    Raises:
        BundleError: A package or an interpreter is missing, or *output* exists and is not a bundle.
    """
    interpreter = _interpreter(python)
    reach = reach_of(ENTRY, source=SOURCE)
    _require_replaceable(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=".bundle-") as scratch:
        folder = Path(scratch, "bundle")
        for place, content in _contents(reach):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            if place.suffix == ".py":
                # Of other packages' functions, annotations may have an effect.
                is_ours = place.parts[0] in _OURS
                content = _reduced(content, annotations=not is_ours)  # noqa: PLW2901
            path.write_bytes(content)
        _compile(folder, interpreter)
        (folder / _MARKER).write_text(f"{python}\n", encoding="ascii")
        (folder / _SOURCES).write_text(f"{sources_digest()}\n", encoding="ascii")
        _make_uniform(folder)
        if output.exists():
            shutil.rmtree(output)
        folder.rename(output)
    return Bundle(output)


def sources_digest() -> str:
    """Return a hash of our modules in the bundle and of the pinned packages."""
    modules = reach_of(ENTRY, source=SOURCE).modules.values()
    contents = {path.relative_to(SOURCE).as_posix(): path.read_bytes() for path in modules}
    contents[_PINS.name] = _PINS.read_bytes()
    digest = sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _require_replaceable(output: Path) -> None:
    is_free = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not is_free and not (output / _MARKER).is_file():
        raise BundleError(f"{output} exists and is not a bundle.")


# Contents


def _contents(reach: Reach) -> Iterator[tuple[PurePosixPath, bytes]]:
    for path in reach.modules.values():
        place = path.relative_to(SOURCE).as_posix()
        if not place.startswith(_UNUSED):
            yield PurePosixPath(place), path.read_bytes()
    for package in _distributions(reach):
        yield from _files_of(package)
    for name, content in trust_folder().items():
        yield _TRUST / name, content


def _distributions(reach: Reach) -> list[Distribution]:
    """Return the packages that *reach* imports, with their dependencies."""
    providers = packages_distributions()
    packages = reach.others - sys.stdlib_module_names - _OF_THE_RUNTIME
    if missing := sorted(packages - providers.keys()):
        raise BundleError(f"The functions import {missing[0]}, which is not installed.")
    names = sorted({name for package in packages for name in providers[package]})
    return list(_with_dependencies(names).values())


def _with_dependencies(names: Sequence[str]) -> dict[str, Distribution]:
    packages: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        if (name := waiting.pop()) not in packages:
            packages[name] = _installed(name)
            waiting += _dependencies(packages[name])
    return dict(sorted(packages.items()))


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise BundleError(f"The functions need {name}, which is not installed.") from None


def _dependencies(package: Distribution) -> Iterator[str]:
    """Yield the names of the requirements of *package*, without extras and unsupported Pythons."""
    for requirement in package.requires or ():
        name = re.match(r"[\w.-]+", requirement)
        if name and not re.search(
            r"extra ==|python_version < ['\"]3\.(\d|10|11)['\"]", requirement
        ):
            yield name[0]


def _files_of(package: Distribution) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the modules of *package*, and the fields of its METADATA, which vulnerability scanners read."""
    if "Root-Is-Purelib: true" not in (package.read_text("WHEEL") or ""):
        raise BundleError(f"{package.name} has compiled parts, which only run on this platform.")
    for file in package.files or ():
        place = PurePosixPath(file)
        # Commands are installed outside of the folder of packages.
        is_inside = ".." not in place.parts and not str(place).startswith(_UNUSED)
        if not (is_inside and (place.suffix == ".py" or place.name == "METADATA")):
            continue
        content = Path(str(file.locate())).read_bytes()
        if file.hash is None or file.hash.value != _recorded(content):
            raise BundleError(f"{place} of {package.name} was changed after its installation.")
        # After the first empty line, METADATA has the README of the package.
        yield place, content if place.suffix == ".py" else content.partition(b"\n\n")[0] + b"\n"


def _recorded(content: bytes) -> str:
    """Return the hash of *content* in the format of a RECORD file."""
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


# Compilation


def _interpreter(python: str) -> str:
    """Return the interpreter of version *python*: this one, or one on the path."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python == ours:
        return sys.executable
    for folder in os.get_exec_path():
        program = shutil.which(f"python{python}", path=folder)
        executable = program and _executable(program, python)
        if executable:
            return executable
    raise BundleError(f"python{python} is not on the PATH, and this is Python {ours}.")


def _executable(program: str, python: str) -> str | None:
    """Return the interpreter that *program* starts, or None if it is another version."""
    script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    # The program may be a wrapper of pyenv, which fails unless this variable selects the version.
    environment = {**os.environ, "PYENV_VERSION": python}
    done = subprocess.run(  # noqa: S603
        [program, "-I", "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    version, _, executable = done.stdout.strip().partition(" ")
    # Not the wrapper, because the build starts it with other variables.
    return executable if done.returncode == 0 and version == python else None


def _reduced(source: bytes, *, annotations: bool) -> bytes:
    """
    Return *source* with empty docstrings, without changing line numbers.

    Args:
        source: The source of a module.
        annotations: Whether the annotations of functions are kept.
    """
    starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    cuts: list[tuple[int, int, bytes, bytes]] = []

    def cut(node: ast.expr | ast.stmt, first: int, *, left: bytes = b"", newline: bytes) -> None:
        cuts.append((first, _end(starts, node), left, newline))

    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False):
            cut(node.body[0], _start(starts, node.body[0]), left=b'""', newline=b"\\\n")
        if annotations:
            continue
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            arrow = source.rindex(b"->", 0, _start(starts, node.returns))
            cut(node.returns, arrow, newline=b"\\\n")
        if isinstance(node, ast.arg) and node.annotation is not None:
            name = _start(starts, node) + len(node.arg.encode())
            cut(node.annotation, name, newline=b"\n")
    for first, end, left, newline in sorted(cuts, reverse=True):
        lines = source.count(b"\n", first, end)
        source = source[:first] + left + newline * lines + source[end:]
    return source


def _start(starts: Sequence[int], node: ast.expr | ast.stmt | ast.arg) -> int:
    """Return the offset of a node in the source, whose lines begin at *starts*."""
    return starts[node.lineno - 1] + node.col_offset


def _end(starts: Sequence[int], node: ast.expr | ast.stmt) -> int:
    return starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)


def _compile(folder: Path, interpreter: str) -> None:
    """Replace every module by its compiled code, which Python loads without checking for sources."""
    command = [
        # Without the source, columns are useless.
        *(interpreter, "-S", "-B", "-X", "no_debug_ranges", "-m", "compileall", "-q", "-b"),
        *("--invalidation-mode", "unchecked-hash"),
        *("-s", str(folder), "-p", _PLACE, str(folder)),
    ]
    # In a new process with fixed settings, because the state of an interpreter changes the bytes that it writes.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    environment["PYTHONHASHSEED"] = "0"
    done = subprocess.run(  # noqa: S603 - the user chose the interpreter
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode != 0:
        raise BundleError(f"{interpreter} cannot compile the bundle: {done.stdout}{done.stderr}")
    for source in folder.rglob("*.py"):
        source.unlink()


def _make_uniform(folder: Path) -> None:
    """Set the times and modes of all files and folders."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


if __name__ == "__main__":
    main()
