"""
Pages of the local server: the OpenAPI document, and a viewer for it.

The viewer is Swagger UI, out of a package made for Flask: its files are read where pip put them, its Python is never imported.
Nothing here comes from another machine, and the Content-Security-Policy keeps it so.
"""

import json
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from inventory_adapters.http.app import Response
from inventory_adapters.http.errors import HttpError
from inventory_adapters.http.openapi import document

__all__ = ["PAGES"]

_PAGE: Final = """\
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

# validatorUrl: null, because the viewer would send the document to a validator on the web.
_START: Final = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""

# Swagger UI has its icons as data:.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _text(body: str, kind: str) -> Response:
    headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Security-Policy": _POLICY}
    return Response(status=200, body=body, headers=headers)


@cache
def _document() -> Response:
    return Response(status=200, body=json.dumps(document()))


@cache
def _asset(name: str, kind: str) -> Response:
    try:
        path = distribution("flask-swagger-ui").locate_file(f"flask_swagger_ui/dist/{name}")
        return _text(Path(str(path)).read_text(encoding="utf-8"), kind)
    except (PackageNotFoundError, FileNotFoundError):
        raise HttpError(
            "route_not_found",
            "The viewer needs more packages: install the extra tap-inventory[local]",
        ) from None


PAGES: Final[dict[str, Callable[[], Response]]] = {
    "/openapi.json": _document,
    "/docs": partial(_text, _PAGE, "text/html"),
    "/docs/start.js": partial(_text, _START, "text/javascript"),
    "/docs/swagger-ui-bundle.js": partial(_asset, "swagger-ui-bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": partial(_asset, "swagger-ui.css", "text/css"),
}
"""What is at which path, for GET."""
