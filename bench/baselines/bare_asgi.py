"""
An ASGI application that answers every request with the same bytes: the least that uvicorn takes for an answer.

Run as ``uvicorn bench.baselines.bare_asgi:app``.
"""

import json
from typing import Any, Final

from bench import sdk

__all__ = ["app"]

_BODY: Final = json.dumps({"item": sdk.ITEM}, separators=(",", ":")).encode()
_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
]


async def app(scope: Any, _receive: Any, send: Any) -> None:
    """Answer *scope*, whatever it asks for."""
    if scope["type"] != "http":
        raise TypeError(f"Not an HTTP request: {scope['type']}")
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
