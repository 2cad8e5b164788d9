"""
The HTTP protocol of the local server: uvicorn's, with limits on what arrives.

uvicorn takes the class by its setting `http`. Because the parser keeps a head in memory until its end, and a connection waits
for the rest of a request without limit, what arrives is counted and timed before the parser gets it. The class overrides
callbacks of asyncio's protocols and of httptools' parser, and uses the attributes `parser`, `transport`, `connections`,
`cycle`, `url` and `headers` of uvicorn's class. `tests/server/test_http_protocol.py` fails if uvicorn changes them.
"""

import asyncio
from array import array
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import httptools
from attrs import frozen
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inventory_adapters.http.api_gateway import log_request, to_result
from inventory_adapters.http.app import error_response
from inventory_adapters.http.errors import HttpError
from inventory_adapters.server.imports import IMPORTS_PATH

__all__ = ["ArrivalLimits", "LimitedProtocol", "max_connections"]

# How long a client that sends too much is listened to, so that it reads the answer rather than a reset of the connection.
_LINGER_SECONDS: Final = 2.0
# Files that are no connection: of the database, of the event loop, of connections to DynamoDB, and what comes and goes.
_OTHER_FILES: Final = 128
_MOST_CONNECTIONS: Final = 4096
_FEWEST_CONNECTIONS: Final = 16


@frozen(kw_only=True)
class ArrivalLimits:
    """
    What may arrive, and how long it may take.

    Attributes:
        connections: Open connections; further ones are answered with 503 and closed.
        head_bytes: Size of a request line with its headers; also of whatever else comes beside bodies.
        seconds: Time from the first byte of a request, or from the opening of a connection, to the last byte of its body.
        files_path: The path that files are sent to: their bodies may take longer, but no pause in them.
    """

    connections: int
    head_bytes: int = 1 << 16
    seconds: float = 30.0
    files_path: bytes = IMPORTS_PATH.encode()


def max_connections() -> int:
    """Return how many connections leave enough of the process's open files for everything else."""
    try:
        import resource  # noqa: PLC0415 - Windows has no such module
    except ImportError:
        return 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, soft - _OTHER_FILES))


class LimitedProtocol(HttpToolsProtocol):
    """
    One connection: closed when it exceeds *limits*, with a 431 if a head is too large.

    A request to upgrade the protocol is ignored (RFC 9110, section 7.8). The authority of an absolute request target replaces
    the Host header (RFC 9112, section 3.2.2).
    """

    def __init__(self, limits: ArrivalLimits, **settings: Any) -> None:
        super().__init__(**settings)
        self.parser = self._parser = _Parser(self)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._is_rejected = False
        # Of the data that is being parsed: whether it ended a request, and whether it got the parser any further.
        self._is_complete = False
        self._has_progress = False
        # Bytes since the parser got further.
        self._pending_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or reject it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._reject(HttpError("too_many_connections", "The server has no connection left"))
            transport.close()
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse *data* in parts, none of which is larger than what a head may still have."""
        if self._is_rejected:
            return
        self._is_complete = False
        while data and not self.transport.is_closing():
            size = self._limits.head_bytes - self._pending_bytes
            part, data = data[:size], data[size:]
            self._has_progress = False
            super().data_received(part)
            self._pending_bytes = 0 if self._has_progress else self._pending_bytes + len(part)
            if self._pending_bytes >= self._limits.head_bytes:
                message = (
                    f"The request line and headers may be {self._limits.head_bytes} bytes at most"
                )
                self._reject(HttpError("head_too_large", message, headers={"Connection": "close"}))
                return
        if self._is_complete:
            self._stop_timer()
        else:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Note that a request is incomplete."""
        self._is_complete = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request, with its Host header and its path as the target has them."""
        self._has_progress = True
        if self._parser.wants_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("CONNECT is for proxies")
            return  # The parser gets the request once more, without the header.
        if self.url[:1] not in (b"/", b"*"):
            self._use_absolute_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._has_progress = True
        if self.url.partition(b"?")[0] == self._limits.files_path:
            # Started again behind this part of the file.
            self._stop_timer()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if self._parser.wants_upgrade():
            return
        self._has_progress = self._is_complete = True
        super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """Return the head that was parsed last, without its Upgrade header."""
        version = self.parser.get_http_version().encode()
        lines: list[bytes] = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _use_absolute_target(self) -> None:
        target = httptools.parse_url(self.url)
        host = b"[%s]" % target.host if b":" in target.host else target.host
        authority = b"%s:%d" % (host, target.port) if target.port else host
        self.headers[:] = [
            (name, authority if name == b"host" else value) for name, value in self.headers
        ]
        self.url = (target.path or b"/") + (b"?" + target.query if target.query else b"")

    def _reject(self, error: HttpError) -> None:
        """Answer in the place of the application, and drop what else arrives."""
        self._is_rejected = True
        self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr] # None at first
            # The client would take it for the answer to another request.
            self.transport.close()
            return
        self.transport.write(_response(error))
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._limits.seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Parser(httptools.HttpRequestParser):
    """A parser that reads a request with an Upgrade header like any other."""

    def __init__(self, protocol: LimitedProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As uvicorn's: a client that announces the end of the connection may have sent more.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: "bytes | bytearray | memoryview | array[int]") -> None:
        """Parse *data*."""
        rest = bytes(data)
        while True:
            try:
                super().feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                # It stopped behind the head, because another protocol would follow.
                [consumed] = upgrade.args
                rest = self._protocol.head_without_upgrade() + rest[consumed:]
            else:
                return

    def wants_upgrade(self) -> bool:
        """Whether the head that was parsed last asks for another protocol."""
        return bool(super().should_upgrade())

    def should_upgrade(self) -> bool:
        """Return False: no other protocol is spoken here."""
        return False


def _response(error: HttpError) -> bytes:
    """Return the whole answer to a request that the application does not see, and log it."""
    request_id = str(uuid4())
    response = error_response(error, request_id=request_id)
    log_request(response, request_id, perf_counter(), route=None)
    result = to_result(response, request_id, {})
    status = HTTPStatus(response.status)
    body: bytes = result["body"].encode()
    headers = {**result["headers"], "Connection": "close", "Content-Length": len(body)}
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
