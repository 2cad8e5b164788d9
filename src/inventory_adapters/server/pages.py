"""
The pages of the local server: the console, the OpenAPI document, and the API reference that shows it.

The console consists of the files in the folder `console` of this package. The API reference is Swagger UI from the package
``flask-swagger-ui``, whose files are read without importing it. No page loads anything from another machine, which its
Content-Security-Policy enforces. Paths of requests are looked up in a table, never in the file system.
"""

import json
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Final

from inventory_adapters.http.errors import HttpError
from inventory_adapters.http.messages import Response
from inventory_adapters.http.openapi import document

__all__ = ["CONSOLE", "PAGES"]

_FOLDER: Final = files("inventory_adapters.server") / "console"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# No inline code, nothing from other origins, and no markup from strings: the name of an item cannot become a script.
_CONSOLE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

# Swagger UI has its icons as data: URLs.
_REFERENCE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_REFERENCE: Final = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Inventory: HTTP API</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
  <div id="viewer"></div>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
"""

# validatorUrl is null, because Swagger UI would otherwise send the document to a validator on the web.
_START: Final = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


def _console_file(file: Traversable) -> Response:
    # Read for each request, so that an edit shows at once; browsers revalidate their copy by its ETag.
    text = file.read_text(encoding="utf-8")
    return Response(
        body=text,
        headers={
            "Content-Type": _TYPES[PurePosixPath(file.name).suffix],
            "Content-Security-Policy": _CONSOLE_POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "ETag": f'"{sha256(text.encode()).hexdigest()[:32]}"',
        },
    )


def _console() -> dict[str, Callable[[], Response]]:
    known = [file for file in _FOLDER.iterdir() if PurePosixPath(file.name).suffix in _TYPES]
    pages = {f"/console/{file.name}": partial(_console_file, file) for file in known}
    return {"/": pages.pop("/console/index.html"), **pages}


def _reference_file(text: str, suffix: str) -> Response:
    headers = {"Content-Type": _TYPES[suffix], "Content-Security-Policy": _REFERENCE_POLICY}
    return Response(body=text, headers=headers)


@cache
def _document() -> Response:
    return Response(body=json.dumps(document()))


@cache
def _swagger_file(name: str) -> Response:
    try:
        path = distribution("flask-swagger-ui").locate_file(f"flask_swagger_ui/dist/{name}")
        return _reference_file(
            Path(str(path)).read_text(encoding="utf-8"), PurePosixPath(name).suffix
        )
    except (PackageNotFoundError, FileNotFoundError):
        raise HttpError(
            "route_not_found",
            "The API reference needs more packages: install the extra tap-inventory[local]",
        ) from None


CONSOLE: Final = _console()
"""The files of the console by path, for GET."""

PAGES: Final[dict[str, Callable[[], Response]]] = {
    **CONSOLE,
    "/openapi.json": _document,
    "/docs": partial(_reference_file, _REFERENCE, ".html"),
    "/docs/start.js": partial(_reference_file, _START, ".js"),
    "/docs/swagger-ui-bundle.js": partial(_swagger_file, "swagger-ui-bundle.js"),
    "/docs/swagger-ui.css": partial(_swagger_file, "swagger-ui.css"),
}
"""All pages by path, for GET."""
