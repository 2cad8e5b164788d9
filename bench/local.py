"""
The local server over loopback, against a CRUD service with FastAPI and SQLModel, both on SQLite.

A bare ASGI application on the same uvicorn shows how much of a GET is the server's, and how much is ours.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from typing import Any, Final

from bench import sdk
from bench.load import Load, load, request
from bench.measure import Commitment, Row, Scale, Spread, at_least, at_most, interleaved, ratios
from inventory_adapters.events.webhooks import new_secret
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.storage.sqlite.outbox import Sink

__all__ = ["Server", "bare", "ours", "peer", "rows", "started"]

_START_SECONDS: Final = 20
_WARM_UP: Final = 500
_NO_SETTINGS: Final[Mapping[str, str]] = {}
_OURS: Final = "ours"
_PEER: Final = "the peer"
_BARE: Final = "a bare ASGI application"


class Server:
    """A server in its own process."""

    def __init__(self, command: list[str], environment: Mapping[str, str], port: int) -> None:
        self.port = port
        self.started_at = perf_counter()
        # Ours and the peer log each request, as they do by default; the log is discarded.
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self, path: str) -> float:
        """Return the seconds from the start to the first response on *path*."""
        ends_at = monotonic() + _START_SECONDS
        while self.process.poll() is None and monotonic() < ends_at:
            try:
                self.request("GET", path)
            except OSError:
                sleep(0.005)
            else:
                return perf_counter() - self.started_at
        raise RuntimeError("the server did not start")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Return the body of the response to one request."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        parsed = json.loads(response.read())
        connection.close()
        if response.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {response.status} {parsed}")
        return parsed

    @property
    def resident_bytes(self) -> int:
        """The resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of the process, over all threads."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, stat[11:13])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Terminate the server and wait for it."""
        self.process.terminate()
        self.process.wait(_START_SECONDS)


def ours(folder: Path) -> Server:
    """Start our server."""
    port = _free_port()
    command = [
        sys.executable,
        "-c",
        "from inventory_adapters.cli.main import main; main()",
        "serve",
    ]
    command += ["--db", str(folder / "ours.sqlite3"), "--port", str(port)]
    return Server(command, {}, port)


def peer(folder: Path) -> Server:
    """Start the peer."""
    environment = {"PEER_DATABASE": str(folder / "peer.sqlite3")}
    return _uvicorn("bench.baselines.fastapi_peer:app", environment=environment)


def bare(_folder: Path) -> Server:
    """Start the bare ASGI application, with the settings of our server."""
    options = ("--lifespan", "off", "--ws", "none", "--http", "httptools")
    return _uvicorn(
        "bench.baselines.bare_asgi:app", *options, "--no-access-log", "--no-server-header"
    )


def _uvicorn(app: str, *options: str, environment: Mapping[str, str] = _NO_SETTINGS) -> Server:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), *options]
    return Server(command, environment, port)


@contextmanager
def started(make: Callable[[Path], Server], path: str) -> Iterator[Server]:
    """Start a server with *make* in an empty folder, and stop it after the block."""
    with TemporaryDirectory(prefix="bench-local-") as folder:
        server = make(Path(folder))
        try:
            server.wait(path)
            yield server
        finally:
            server.stop()


def rows(scale: Scale) -> Iterator[Row]:
    """Measure requests per second, latency, start and memory."""
    yield from _starts(scale)
    with ExitStack() as stack:
        a = stack.enter_context(started(ours, "/health"))
        b = stack.enter_context(started(peer, "/items"))
        c = stack.enter_context(started(bare, "/"))
        item_id = a.request("POST", "/items", sdk.ITEM)["item"]["item_id"]
        other_id = b.request("POST", "/items", sdk.ITEM)["item_id"]
        get = {
            _OURS: (a, f"/items/{item_id}?sku={sdk.SKU}"),
            _PEER: (b, f"/items/{other_id}"),
            _BARE: (c, f"/items/{item_id}?sku={sdk.SKU}"),
        }
        reads = {
            name: (server, request("GET", path), scale.requests)
            for name, (server, path) in get.items()
        }
        yield from _loads("GET", reads, scale.rounds, {_PEER: at_least(6), _BARE: at_least(0.6)})
        post = request("POST", "/items", json.dumps(sdk.ITEM))
        # Durable writes are slower, so a turn has fewer requests.
        fewer = max(scale.requests // 5, 1)
        writes = {_OURS: (a, post, fewer), _PEER: (b, post, fewer)}
        yield from _loads("durable POST", writes, scale.rounds, {_PEER: at_least(8)})
        yield from _soak(a, reads[_OURS][1], scale.soak)
        yield from _outbox(scale, receiver=f"http://127.0.0.1:{c.port}/")


def _outbox(scale: Scale, receiver: str) -> Iterator[Row]:
    """Measure durable POSTs while events are stored, and while they are also delivered to *receiver*."""
    # Nobody listens at the discard port, so that events only wait.
    targets = {"no webhook": None, "events stored": "http://127.0.0.1:9/", "delivered": receiver}
    post = request("POST", "/items", json.dumps(sdk.ITEM))
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(started(partial(_with_webhook, target), "/health"))
            for name, target in targets.items()
        }
        count = max(scale.requests // 5, 1)
        for server in servers.values():
            load(server.port, post, requests=min(_WARM_UP, count))
        turns = {
            name: partial(_per_second, server, post, count) for name, server in servers.items()
        }
        samples = interleaved(turns, scale.rounds)
    for name, commitment in (("events stored", at_least(0.8)), ("delivered", at_least(0.6))):
        yield Row(
            group="local",
            metric=f"durable POST, 8 connections, {name}",
            unit="of the requests per second without a webhook",
            value=ratios(samples, name, "no webhook"),
            commitment=commitment,
        )


def _with_webhook(target: str | None, folder: Path) -> Server:
    if target is not None:
        with SqliteRepository(folder / "ours.sqlite3") as repository:
            repository.outbox().add(Sink(name="bench", target=target, secret=new_secret()))
    return ours(folder)


def _per_second(server: Server, sent: bytes, requests: int) -> float:
    result = load(server.port, sent, requests=requests)
    if result.failed:
        raise RuntimeError(f"{result.failed} requests failed")
    return result.per_second


def _starts(scale: Scale) -> Iterator[Row]:
    turns = {_OURS: partial(_start, ours, "/health"), _PEER: partial(_start, peer, "/items")}
    samples = interleaved(turns, scale.rounds)
    yield Row(
        group="local",
        metric="start to first answer",
        unit="of the peer's seconds",
        value=ratios(samples, _OURS, _PEER),
        commitment=at_most(1),
    )


def _start(make: Callable[[Path], Server], path: str) -> float:
    with TemporaryDirectory(prefix="bench-local-") as folder:
        server = make(Path(folder))
        try:
            return server.wait(path)
        finally:
            server.stop()


def _loads(
    label: str,
    contenders: Mapping[str, tuple[Server, bytes, int]],
    rounds: int,
    bounds: Mapping[str, Commitment],
) -> Iterator[Row]:
    """Measure *contenders* in turns; *bounds* has our commitment against each of the others."""
    loads: dict[str, list[Load]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}

    def measure(name: str) -> float:
        server, sent, requests = contenders[name]
        before = server.cpu_seconds
        result = load(server.port, sent, requests=requests)
        if result.failed:
            raise RuntimeError(f"{label} of {name}: {result.failed} failed")
        cpu[name].append((server.cpu_seconds - before) / requests)
        loads[name].append(result)
        return result.per_second

    for server, sent, requests in contenders.values():
        load(server.port, sent, requests=min(_WARM_UP, requests))
    samples = interleaved({name: partial(measure, name) for name in contenders}, rounds)
    row = partial(Row, group="local")
    for other, bound in bounds.items():
        yield row(
            metric=f"{label}, 8 connections, against {other}",
            unit="of its requests per second",
            value=ratios(samples, _OURS, other),
            commitment=bound,
        )
        value = ratios(cpu, _OURS, other)
        yield row(metric=f"{label}, CPU, against {other}", unit="of its CPU", value=value)
    for name, results in loads.items():
        yield row(
            metric=f"{label}, {name}, per second",
            unit="requests",
            value=Spread.of([result.per_second for result in results]),
        )
        p99 = Spread.of([result.p99_ms for result in results])
        yield row(metric=f"{label}, {name}, 99th percentile", unit="ms", value=p99)


def _soak(server: Server, sent: bytes, requests: int) -> Iterator[Row]:
    before = server.resident_bytes
    result = load(server.port, sent, requests=requests)
    grown = (server.resident_bytes - before) / 1e6
    yield Row(
        group="local",
        metric=f"memory after {requests:,} more GETs ({result.failed} failed)",
        unit="MB more",
        value=Spread.of([grown]),
        commitment=at_most(2),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
