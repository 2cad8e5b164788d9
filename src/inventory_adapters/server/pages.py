"""
The console: a page of plain modules that shows the stock, and talks to nothing but the API.

What is in the folder `console` of the package is what there is; no path of a request is ever looked up on disk.
"""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from inventory_adapters.http.app import Response

__all__ = ["CONSOLE"]

_FOLDER: Final = files("inventory_adapters.server") / "console"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Nothing inline, nothing from elsewhere, and no string becomes markup: a name of an item cannot be more than a name.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def _file(file: Traversable) -> Response:
    # Read each time: who works on the page sees the work, and a browser asks only whether there is news.
    body = file.read_text(encoding="utf-8")
    return Response(
        status=200,
        body=body,
        headers={
            "Content-Type": _KINDS[PurePosixPath(file.name).suffix],
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "ETag": f'"{sha256(body.encode()).hexdigest()[:32]}"',
        },
    )


def _files() -> dict[str, Callable[[], Response]]:
    known = [file for file in _FOLDER.iterdir() if PurePosixPath(file.name).suffix in _KINDS]
    found = {f"/console/{file.name}": partial(_file, file) for file in known}
    return {"/": found.pop("/console/index.html"), **found}


CONSOLE: Final[dict[str, Callable[[], Response]]] = _files()
"""What is at which path, for GET."""
