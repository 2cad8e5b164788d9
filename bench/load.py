"""
A load generator in a process of its own: some connections, each sending its next request when the last is answered.

    python -m bench.load PORT CONNECTIONS REQUESTS < request

Sockets and epoll, and no HTTP library: it takes a small part of what the fastest server here takes, so that it measures the
server. It reads answers with a Content-Length, checks each status, and prints one line of JSON.
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
    What came of some requests.

    Attributes:
        per_second: Answers.
        p50_ms, p99_ms: How long an answer took, at the median and at the 99th percentile.
        failed: Answers with another status than 2xx.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


def request(method: str, path: str, body: str = "") -> bytes:
    """Return a request as it goes over the wire."""
    content = body.encode()
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if content:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join((*head, "", "")).encode() + content


def load(port: int, sent: bytes, *, requests: int, connections: int = 8) -> Load:
    """Send *requests* from another process, and return what came of them."""
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(requests)]
    done = subprocess.run(command, input=sent, capture_output=True, check=True)
    return Load(**json.loads(done.stdout))


class _Connection:
    """One connection: a request under way, and what has come of its answer."""

    def __init__(self, port: int, sent: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = sent
        self._got = b""
        self._started = 0.0

    def send(self) -> None:
        self._got = b""
        self._started = perf_counter()
        self.socket.sendall(self._sent)

    def receive(self) -> tuple[float, bool] | None:
        """Return the seconds to the whole answer and whether it was a success; None as long as it is not whole."""
        part = self.socket.recv(1 << 16)
        if not part:
            sys.exit("the server closed a connection")
        self._got += part
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._got, 0, end + 2)
        if length is None:
            sys.exit("an answer without Content-Length")
        if len(self._got) < end + 4 + int(length[1]):
            return None
        return perf_counter() - self._started, self._got[9:10] == b"2"


def _run(port: int, connections: int, requests: int, sent: bytes) -> Load:
    selector = selectors.DefaultSelector()
    started = perf_counter()
    for _ in range(min(connections, requests)):
        connection = _Connection(port, sent)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    seconds: list[float] = []
    failed = 0
    waiting = requests - len(selector.get_map())
    while len(seconds) < requests:
        for key, _ in selector.select():
            answered = key.data.receive()
            if answered is None:
                continue
            seconds.append(answered[0])
            failed += not answered[1]
            if waiting:
                waiting -= 1
                key.data.send()
    elapsed = perf_counter() - started
    cuts = quantiles(seconds, n=_HUNDREDTHS)
    return Load(len(seconds) / elapsed, cuts[49] * 1000, cuts[98] * 1000, failed)


if __name__ == "__main__":
    port, connections, requests = map(int, sys.argv[1:4])
    print(json.dumps(asdict(_run(port, connections, requests, sys.stdin.buffer.read()))))
