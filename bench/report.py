"""Results as Markdown, as JSON, and in docs/performance.md."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.measure import Row

__all__ = ["ROOT", "as_json", "circumstances", "grid", "replace_between", "table", "update_docs"]

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs" / "performance.md"

_HEAD: Final = ("metric", "result", "unit", "commitment", "")


def circumstances() -> dict[str, str]:
    """Return commit, date, versions and machine of the measurements."""
    return {
        "commit": _git("describe", "--always", "--dirty", "--abbrev=10"),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": str(os.cpu_count()),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("botocore", "uvicorn", "fastapi", "sqlmodel")},
    }


def _git(*arguments: str) -> str:
    process = subprocess.run(
        ["git", *arguments],  # noqa: S607 - the git on the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return process.stdout.strip() or "unknown"


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as Markdown, with a table per group."""
    parts = []
    for group in dict.fromkeys(row.group for row in rows):
        cells = [
            (row.metric, str(row.value), row.unit, str(row.commitment or ""), row.verdict)
            for row in rows
            if row.group == group
        ]
        parts.append(f"### {group.capitalize()}\n\n{grid(_HEAD, cells)}")
    return "\n\n".join(parts) + "\n"


def grid(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(rows: Sequence[Row], about: dict[str, str]) -> str:
    """Return *rows* as JSON."""
    document: dict[str, Any] = {"circumstances": about, "rows": [row.as_json() for row in rows]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def update_docs(rows: Sequence[Row], about: dict[str, str], path: Path = DOCS) -> None:
    """Replace the tables in docs/performance.md."""
    taken = "; ".join(f"{name} {value}" for name, value in about.items())
    replace_between(path, "measured", f"Taken with: {taken}.\n\n{table(rows)}")


def replace_between(path: Path, name: str, text: str) -> None:
    """Replace what is between the marks called *name* on a page."""
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"{path} lacks {begin.strip()} or {end}")
    path.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")
