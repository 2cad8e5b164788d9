"""
A load generator in its own process; each connection sends one request at a time.

    python -m bench.load PORT CONNECTIONS REQUESTS < request

It uses sockets and no HTTP library, so that it needs little CPU compared with the servers. It reads responses with a
Content-Length, checks each status, and prints one line of JSON.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
from statistics import quantiles
from time import perf_counter
from typing import Final

from attrs import asdict, frozen

__all__ = ["Load", "load", "request"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HUNDREDTHS: Final = 100


@frozen
class Load:
    """
    The results of a load.

    Attributes:
        per_second: Responses per second.
        p50_ms, p99_ms: The latency at the median and at the 99th percentile.
        failed: The number of responses without a 2xx status.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


def request(method: str, path: str, body: str = "") -> bytes:
    """Return the bytes of a request."""
    content = body.encode()
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if content:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join((*head, "", "")).encode() + content


def load(port: int, sent: bytes, *, requests: int, connections: int = 8) -> Load:
    """Send *requests* requests from another process and return the results."""
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(requests)]
    process = subprocess.run(command, input=sent, capture_output=True, check=True)
    return Load(**json.loads(process.stdout))


class _Connection:
    """A connection with one request at a time."""

    def __init__(self, port: int, sent: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = sent
        self._received = b""
        self._started = 0.0

    def send(self) -> None:
        self._received = b""
        self._started = perf_counter()
        self.socket.sendall(self._sent)

    def receive(self) -> tuple[float, bool] | None:
        """Return the latency and success of a complete response; None while it is incomplete."""
        part = self.socket.recv(1 << 16)
        if not part:
            sys.exit("the server closed a connection")
        self._received += part
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._received, 0, end + 2)
        if length is None:
            sys.exit("a response has no Content-Length")
        if len(self._received) < end + 4 + int(length[1]):
            return None
        return perf_counter() - self._started, self._received[9:10] == b"2"


def _run(port: int, connections: int, requests: int, sent: bytes) -> Load:
    selector = selectors.DefaultSelector()
    started = perf_counter()
    for _ in range(min(connections, requests)):
        connection = _Connection(port, sent)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    seconds: list[float] = []
    failed = 0
    unsent = requests - len(selector.get_map())
    while len(seconds) < requests:
        for key, _ in selector.select():
            result = key.data.receive()
            if result is None:
                continue
            seconds.append(result[0])
            failed += not result[1]
            if unsent:
                unsent -= 1
                key.data.send()
    elapsed = perf_counter() - started
    cuts = quantiles(seconds, n=_HUNDREDTHS)
    return Load(len(seconds) / elapsed, cuts[49] * 1000, cuts[98] * 1000, failed)


if __name__ == "__main__":
    port, connections, requests = map(int, sys.argv[1:4])
    print(json.dumps(asdict(_run(port, connections, requests, sys.stdin.buffer.read()))))
