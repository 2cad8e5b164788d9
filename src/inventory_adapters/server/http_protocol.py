"""
The HTTP protocol of the local server: uvicorn's, with limits on requests and connections.

uvicorn takes the class by its setting `http`. Because its parser keeps a head in memory until the end of the head, and its
connection waits for the rest of a request without limit, this class counts and times the data before the parser. It overrides
callbacks of asyncio's protocols and of httptools' parser and the method `send_400_response` of uvicorn's class, and uses that
class's attributes `parser`, `transport`, `connections`, `cycle`, `url` and `headers`. `tests/server/test_http_protocol.py`
fails if uvicorn changes them.
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

from inventory_adapters.http.api_gateway import log_request
from inventory_adapters.http.app import error_response
from inventory_adapters.http.errors import HttpError
from inventory_adapters.server.imports import IMPORTS_PATH

__all__ = ["ArrivalLimits", "LimitedProtocol", "max_connections"]

# How long the rest of a rejected request is read, so that the client receives the response and not a reset of the connection.
_LINGER_SECONDS: Final = 2.0
# Open files other than connections: of the database, the event loop, connections to DynamoDB, and short-lived ones.
_OTHER_FILES: Final = 128
_MOST_CONNECTIONS: Final = 4096
_FEWEST_CONNECTIONS: Final = 16


@frozen(kw_only=True)
class ArrivalLimits:
    """
    Limits on connections and requests.

    Attributes:
        connections: Maximum number of open connections; further ones get a 503 and are closed.
        head_bytes: Maximum size of a request line with its headers, and of other data outside bodies.
        seconds: Maximum time from the first byte of a request, or from the opening of a connection, to the end of the body.
        files_path: The path of file uploads, whose limit in *seconds* applies to each pause instead of the whole body.
    """

    connections: int
    head_bytes: int = 1 << 16
    seconds: float = 30.0
    files_path: bytes = IMPORTS_PATH.encode()


def max_connections() -> int:
    """Return the number of connections that the limit on open files allows."""
    try:
        import resource  # noqa: PLC0415 - Windows does not have this module
    except ImportError:
        return 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, soft - _OTHER_FILES))


class LimitedProtocol(HttpToolsProtocol):
    """
    One connection, which is closed when it exceeds *limits*; a head that is too large gets a 431.

    Requests to upgrade the protocol are ignored (RFC 9110, section 7.8). The authority of an absolute request target replaces
    the Host header (RFC 9112, section 3.2.2).
    """

    def __init__(self, limits: ArrivalLimits, **settings: Any) -> None:
        super().__init__(**settings)
        self.parser = self._parser = _Parser(self)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._is_rejected = False
        # Whether the data being parsed ended a request, and whether it completed a head or a part of a body.
        self._is_complete = False
        self._has_progress = False
        # Bytes since the last progress.
        self._pending_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or reject the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._reject(
                HttpError("too_many_connections", "Too many connections. Try again later.")
            )
            transport.close()
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse *data* in parts no larger than the rest of a head may be."""
        self._is_complete = False
        while data and self._is_open():
            size = self._limits.head_bytes - self._pending_bytes
            part, data = data[:size], data[size:]
            self._has_progress = False
            super().data_received(part)
            self._pending_bytes = 0 if self._has_progress else self._pending_bytes + len(part)
            if self._pending_bytes >= self._limits.head_bytes:
                message = (
                    f"The request line and headers may be {self._limits.head_bytes} bytes at most"
                )
                self._reject(HttpError("head_too_large", message))
        if not self._is_open():
            return
        if self._is_complete:
            self._stop_timer()
        else:
            self._start_timer()

    def _is_open(self) -> bool:
        return not (self._is_rejected or self.transport.is_closing())

    def send_400_response(self, msg: str) -> None:
        """Reject a request that the parser cannot read."""
        self._reject(HttpError("malformed_request", msg.rstrip(".")))

    def on_message_begin(self) -> None:
        """Note that a request is incomplete."""
        self._is_complete = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request, with the host and the path of its target."""
        self._has_progress = True
        if self._parser.wants_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("CONNECT is not supported")
            return  # The request is parsed again without the header.
        if self.url[:1] not in (b"/", b"*"):
            self._use_absolute_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        self._has_progress = True
        if self.url.partition(b"?")[0] == self._limits.files_path:
            # `data_received` starts it again after this part of the file.
            self._stop_timer()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if self._parser.wants_upgrade():
            return
        self._has_progress = self._is_complete = True
        super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """Return the current head without its Upgrade header."""
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
        """Send the response to *error* instead of the application's, and discard further data."""
        if self._is_rejected:
            return
        self._is_rejected = True
        self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr] # None at first
            # The client would read it as the response to the earlier request.
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
    """A parser that ignores requests to upgrade the protocol."""

    def __init__(self, protocol: LimitedProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As in uvicorn's parser: a client that sends "Connection: close" may send more data.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: "bytes | bytearray | memoryview | array[int]") -> None:
        """Parse *data*."""
        rest = bytes(data)
        while True:
            try:
                super().feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser stopped after the head, because data of another protocol would follow.
                [consumed] = upgrade.args
                rest = self._protocol.head_without_upgrade() + rest[consumed:]
            else:
                return

    def wants_upgrade(self) -> bool:
        """Return whether the current head asks for another protocol."""
        return bool(super().should_upgrade())

    def should_upgrade(self) -> bool:
        """Return False, because no other protocol is supported."""
        return False


def _response(error: HttpError) -> bytes:
    """Return the whole response to a request that does not reach the application, and log it."""
    request_id = str(uuid4())
    response = error_response(error, request_id=request_id)
    log_request(response, request_id, perf_counter(), route=None)
    status = HTTPStatus(response.status)
    body = response.text.encode()
    headers = {
        **response.all_headers(request_id, {}),
        "Connection": "close",
        "Content-Length": len(body),
    }
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
