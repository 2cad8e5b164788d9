"""
One folder with the code of all Lambda functions, made without Docker: the same bytes wherever it is made.

    python -m deploy.bundle --output build/bundle --python 3.11

What is in it follows from the code: our modules that a Lambda entry reaches, the packages those need, as they are installed
here, and the certificate authorities to trust. It holds no SDK: with ``TRANSPORT=boto3`` the functions use the one of their
runtime. `docs/decisions/0009-lambda-bundle.md` says why it is made this way.
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

# With TRANSPORT=boto3 the functions import what their runtime brings along.
_OF_THE_RUNTIME: Final = frozenset({"boto3", "botocore"})
# Parts of cattrs that nothing here imports: its earlier name, and what is for other formats.
_UNUSED: Final = ("cattr/", "cattrs/preconf/", "cattrs/strategies/")
# Where `inventory_adapters.aws.http_transport` looks for it.
_TRUST: Final = PurePosixPath("inventory_adapters/aws/trust")
# Where Lambda unpacks it; tracebacks name files there.
_PLACE: Final = "/var/task"
# Tells for which Python the folder is: what is compiled for another one does not load.
_MARKER: Final = ".python-version"
# Holds the `sources_digest` of what the folder was made of.
_SOURCES: Final = ".sources"
_PINS: Final = ROOT / "deploy" / "bundle-requirements.txt"
# Zip files know no time before 1980, whatever the time zone.
_TIME: Final = 946_684_800
_ZIP_TIME: Final = (2000, 1, 1, 0, 0, 0)


class BundleError(Exception):
    """The bundle cannot be made; the message is one sentence for whoever wants it."""


@frozen
class Bundle:
    """A folder with the code of all functions."""

    folder: Path

    @property
    def python(self) -> str:
        """
        The minor version that it is compiled for, as in ``3.11``: Lambda has to run that one.

        Raises:
            BundleError: The folder holds no bundle.
        """
        marker = self.folder / _MARKER
        if not marker.is_file():
            raise BundleError(f"There is no bundle in {self.folder}: `nox -s bundle` makes one.")
        return marker.read_text(encoding="ascii").strip()

    def require_current(self) -> None:
        """
        Check that it was made of the sources and pins that are here now.

        Raises:
            BundleError: It was made of others, or the folder holds no bundle.
        """
        python, made_of = self.python, self.folder / _SOURCES
        if not made_of.is_file() or made_of.read_text(encoding="ascii").strip() != sources_digest():
            raise BundleError(
                f"The bundle in {self.folder} is stale, because the sources or the pinned packages have changed:"
                f" run `nox -s bundle -- --python {python} --output {self.folder}`."
            )

    @property
    def files(self) -> list[Path]:
        """All its files, in one order everywhere."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(files, key=lambda path: path.relative_to(self.folder).as_posix())

    @property
    def digest(self) -> str:
        """A hash over the names and contents of its files."""
        digest = sha256()
        for path in self.files:
            content = path.read_bytes()
            name = path.relative_to(self.folder).as_posix()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """What its files add up to: Lambda allows 250 MB."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def zipped_bytes(self) -> int:
        """What it takes to upload, and to fetch for a cold start: Lambda allows 50 MB."""
        archive = io.BytesIO()
        with ZipFile(archive, "w", ZIP_DEFLATED) as zipped:
            for path in self.files:
                name = path.relative_to(self.folder).as_posix()
                zipped.writestr(ZipInfo(name, _ZIP_TIME), path.read_bytes(), ZIP_DEFLATED)
        return archive.tell()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a bundle as the command line says; whatever stands in the way of it is told in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bundle", description=__doc__)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    parser.add_argument("--python", default=DEFAULT_PYTHON, help="the minor version to compile for")
    told = parser.parse_args(arguments)
    try:
        bundle = build(told.output, python=told.python)
    except BundleError as error:
        sys.exit(f"deploy/bundle.py: {error}")
    size, zipped = (f"{it / 1000:,.0f} kB" for it in (bundle.size_bytes, bundle.zipped_bytes))
    print(f"{bundle.folder}: {size}, zipped {zipped}")  # noqa: T201 - a command talks to its user
    print(f"sha256 {bundle.digest}")  # noqa: T201


def build(output: Path, *, python: str = DEFAULT_PYTHON) -> Bundle:
    """
    Make a bundle.

    Args:
        output: The folder; a bundle that is there is replaced once the new one is whole.
        python: The minor version to compile for, as in ``3.11``.

    Raises:
        BundleError: A package or an interpreter is missing, or *output* holds something else.
    """
    interpreter = _interpreter(python)
    reach = reach_of(ENTRY, source=SOURCE)
    _require_replaceable(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=".bundle-") as scratch:
        made = Path(scratch, "bundle")
        for place, content in _contents(reach):
            path = made / place
            path.parent.mkdir(parents=True, exist_ok=True)
            is_source = place.suffix == ".py"
            path.write_bytes(_without_docstrings(content) if is_source else content)
        _compile(made, interpreter)
        (made / _MARKER).write_text(f"{python}\n", encoding="ascii")
        (made / _SOURCES).write_text(f"{sources_digest()}\n", encoding="ascii")
        _make_uniform(made)
        if output.exists():
            shutil.rmtree(output)
        made.rename(output)
    return Bundle(output)


def sources_digest() -> str:
    """Return a hash over the modules that the functions are made of, and over the pins of the packages that they need."""
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
        raise BundleError(f"{output} is there already, and is no bundle that could be replaced.")


# What is in it


def _contents(reach: Reach) -> Iterator[tuple[PurePosixPath, bytes]]:
    for path in reach.modules.values():
        yield PurePosixPath(path.relative_to(SOURCE).as_posix()), path.read_bytes()
    for found in _distributions(reach):
        yield from _files_of(found)
    for name, content in trust_folder().items():
        yield _TRUST / name, content


def _distributions(reach: Reach) -> list[Distribution]:
    """Return what is installed of the packages that *reach* imports, and of those that they need."""
    providers = packages_distributions()
    packages = reach.others - sys.stdlib_module_names - _OF_THE_RUNTIME
    if missing := sorted(packages - providers.keys()):
        raise BundleError(f"The functions import {missing[0]}, which is not installed.")
    names = sorted({name for package in packages for name in providers[package]})
    return list(_with_needs(names).values())


def _with_needs(names: Sequence[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = _installed(name)
            waiting += _needs(found[name])
    return dict(sorted(found.items()))


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise BundleError(f"The functions need {name}, which is not installed.") from None


def _needs(found: Distribution) -> Iterator[str]:
    """Yield the names of what *found* requires, but for extras and for Pythons older than all of ours."""
    for requirement in found.requires or ():
        name = re.match(r"[\w.-]+", requirement)
        if name and not re.search(
            r"extra ==|python_version < ['\"]3\.(\d|10|11)['\"]", requirement
        ):
            yield name[0]


def _files_of(found: Distribution) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the modules of *found*, and its METADATA, by which scanners know what is deployed."""
    if "Root-Is-Purelib: true" not in (found.read_text("WHEEL") or ""):
        raise BundleError(f"{found.name} has compiled parts, which fit this machine only.")
    for file in found.files or ():
        place = PurePosixPath(file)
        # Outside are the commands that a package installs.
        is_inside = ".." not in place.parts and not str(place).startswith(_UNUSED)
        if not (is_inside and (place.suffix == ".py" or place.name == "METADATA")):
            continue
        content = Path(str(file.locate())).read_bytes()
        if file.hash is None or file.hash.value != _recorded(content):
            raise BundleError(f"{place} of {found.name} is not as it was installed.")
        yield place, content


def _recorded(content: bytes) -> str:
    """Return the hash of *content* as the RECORD of a wheel has it."""
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


# Compiled


def _interpreter(python: str) -> str:
    """Return the program that is Python *python*: ours, or one on the path."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python == ours:
        return sys.executable
    for folder in os.get_exec_path():
        program = shutil.which(f"python{python}", path=folder)
        found = program and _executable(program, python)
        if found:
            return found
    raise BundleError(
        f"There is no python{python} on the PATH to compile for it, and this is Python {ours}."
    )


def _executable(program: str, python: str) -> str | None:
    """Return the interpreter that *program* runs if it is Python *python*, else None."""
    script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    # A version manager's program starts what its settings say: without this, pyenv's fails unless *python* is selected.
    environment = {**os.environ, "PYENV_VERSION": python}
    done = subprocess.run(  # noqa: S603
        [program, "-I", "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    version, _, executable = done.stdout.strip().partition(" ")
    # The interpreter itself, because the build runs it in another environment.
    return executable if done.returncode == 0 and version == python else None


def _without_docstrings(source: bytes) -> bytes:
    """Return *source* with empty docstrings, a sixth of the bundle; lines keep their numbers."""
    lines = source.splitlines(keepends=True)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False):
            text = node.body[0]
            first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
            before, after = lines[first][: text.col_offset], lines[last][text.end_col_offset :]
            lines[first : last + 1] = [before + b'""' + b"\\\n" * (last - first) + after]
            lines[first + 1 : first + 1] = [b""] * (last - first)
    return b"".join(lines)


def _compile(folder: Path, interpreter: str) -> None:
    """Replace every module by its code as *interpreter* compiles it, which is then taken unseen."""
    command = [
        # Columns are of no use without the source that they point into.
        *(interpreter, "-S", "-B", "-X", "no_debug_ranges", "-m", "compileall", "-q", "-b"),
        *("--invalidation-mode", "unchecked-hash"),
        *("-s", str(folder), "-p", _PLACE, str(folder)),
    ]
    # One process, with settings of its own: what an interpreter has done before shows in the bytes that it writes.
    environment = {it: os.environ[it] for it in os.environ if not it.startswith("PYTHON")}
    environment["PYTHONHASHSEED"] = "0"
    done = subprocess.run(  # noqa: S603 - the interpreter was asked for by whoever runs us
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode != 0:
        raise BundleError(f"{interpreter} cannot compile the bundle: {done.stdout}{done.stderr}")
    for source in folder.rglob("*.py"):
        source.unlink()


def _make_uniform(folder: Path) -> None:
    """Give every file and folder the same time, and the modes that Lambda needs."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


if __name__ == "__main__":
    main()
