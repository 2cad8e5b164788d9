"""Results for people, for machines, and for docs/performance.md."""

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

__all__ = ["as_json", "circumstances", "table", "update_docs"]

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs" / "performance.md"

_BEGIN: Final = "<!-- begin: measured -->"
_END: Final = "<!-- end: measured -->"
_HEAD: Final = ("metric", "result", "unit", "commitment", "")


def circumstances() -> dict[str, str]:
    """Return what the figures belong to."""
    return {
        "commit": _git("error_body", "--always", "--dirty", "--abbrev=10"),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": str(os.cpu_count()),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("botocore", "uvicorn", "fastapi", "sqlmodel")},
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 - whichever git the developer has
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as Markdown, a table for each group."""
    parts = []
    for group in dict.fromkeys(row.group for row in rows):
        cells = [
            (it.metric, str(it.value), it.unit, str(it.commitment or ""), it.verdict)
            for it in rows
            if it.group == group
        ]
        parts.append(f"### {group.capitalize()}\n\n{_grid(cells)}")
    return "\n\n".join(parts) + "\n"


def _grid(cells: Iterable[tuple[str, ...]]) -> str:
    lines = [_HEAD, ("---",) * len(_HEAD), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(rows: Sequence[Row], about: dict[str, str]) -> str:
    """Return *rows* for machines."""
    made: dict[str, Any] = {"circumstances": about, "rows": [row.as_json() for row in rows]}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def update_docs(rows: Sequence[Row], about: dict[str, str], path: Path = DOCS) -> None:
    """Put *rows* between the marks in the page on performance."""
    before, _, rest = path.read_text().partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise ValueError(f"{path} lacks {_BEGIN} or {_END}")
    taken = "; ".join(f"{name} {value}" for name, value in about.items())
    path.write_text(f"{before}{_BEGIN}\nTaken with: {taken}.\n\n{table(rows)}{_END}{after}")
