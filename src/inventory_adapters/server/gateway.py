"""
The local server: the HTTP API on this machine, with the same responses as API Gateway and Lambda.

It does what API Gateway does for a deployment: API keys, routing, preflight requests, the limit on the size of bodies. In
addition it checks the Host header, because otherwise a web page could reach the server under a name of its own (DNS rebinding).
"""

import asyncio
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl
from uuid import uuid4

import uvicorn
from attrs import asdict, evolve, field, frozen

from inventory.commands import GetItem
from inventory.errors import ItemNotFoundError, StorageThrottledError, StorageUnavailableError
from inventory.items import Timestamp
from inventory.ports import ExclusiveRepository
from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory.validation import command
from inventory_adapters.events.webhooks import Deliverer
from inventory_adapters.http.api_gateway import (
    ALLOWED_HEADERS,
    Cors,
    log_request,
    seconds_left,
)
from inventory_adapters.http.app import MAX_BODY_BYTES, answer, error_response
from inventory_adapters.http.errors import HttpError
from inventory_adapters.http.identity import Identity, named_user
from inventory_adapters.http.messages import Request, Response, combine_headers
from inventory_adapters.http.routes import Route, find_route
from inventory_adapters.server.auth import ApiKey, ApiKeys
from inventory_adapters.server.group_commit import GroupCommit
from inventory_adapters.server.http_protocol import (
    ArrivalLimits,
    LimitedProtocol,
    max_connections,
)
from inventory_adapters.server.imports import (
    IMPORTS_PATH,
    ClientDisconnectedError,
    ImportReport,
    Imports,
)
from inventory_adapters.server.pages import PAGES
from inventory_adapters.server.sweeper import Sweeper
from inventory_adapters.storage.sqlite import SqliteRepository

if TYPE_CHECKING:
    from inventory_adapters.client import InventoryClient
    from inventory_adapters.server.metrics import Metrics
    from inventory_adapters.storage.sqlite.outbox import Outbox

__all__ = [
    "CannotListenError",
    "LocalGateway",
    "Site",
    "check_health",
    "check_writable",
    "is_on_loopback",
    "listen",
    "serve",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handle = Callable[[Route[Any, Any], Request], Response]

# Handlers block on storage. Local storage is fast, so more threads would only compete with each other.
_THREADS: Final = 4
_THREADS_FOR_REMOTE_STORAGE: Final = 16
# A function of a deployed API may start first.
_SECONDS_FOR_REMOTE_API: Final = 12.0
# With local storage these take microseconds and wait for no writer, so they run in the event loop.
_SINGLE_ROW_READS: Final = frozenset({"get_item", "get_reservation"})
_BACKLOG: Final = 1024
_KEEP_ALIVE_SECONDS: Final = 75
_SHUTDOWN_SECONDS: Final = 10
# How long the rest of a large body is read, so that the client receives the response and not a reset of the connection.
_LINGER_SECONDS: Final = 2.0
_PREFLIGHT_SECONDS: Final = 300

# RFC 9110, section 7.2: a name, or an IPv6 address in brackets, and an optional port.
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/,\s]+)(:(?P<port>[0-9]*))?", re.IGNORECASE)
# RFC 6454, section 6.2.
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#@]+)")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_WRITING_METHODS: Final = frozenset({"POST", "PUT", "DELETE"})
# Values of Sec-Fetch-Site. Source: "Fetch Metadata Request Headers", W3C.
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_ALL_INTERFACES: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared with, not bound

logger = logging.getLogger("inventory_adapters.http")


class CannotListenError(Exception):
    """The server cannot listen on the address; the message gives the reason."""


@command
class CheckHealth:
    """Check whether the server can read its storage."""


@frozen(kw_only=True)
class Health:
    """
    What a healthy server says.

    Attributes:
        version: The version of this program.
        schema: The version of the schema of the SQLite file; None for another storage.
    """

    version: str
    schema: int | None


def check_health(
    inventory: "Inventory | InventoryClient", _query: CheckHealth | None = None
) -> Health:
    """
    Read an item that does not exist, the cheapest read.

    Raises:
        StorageUnavailableError: Storage or the API does not answer, or fails.
    """
    try:
        with suppress(ItemNotFoundError):
            inventory.get_item(GetItem(item_id="health", sku="health"))
    except StorageUnavailableError:
        raise
    except Exception as error:
        raise StorageUnavailableError(str(error) or None) from error
    repository = inventory.repository if isinstance(inventory, Inventory) else None
    schema = repository.schema_version if isinstance(repository, SqliteRepository) else None
    return Health(version=version("tap-inventory"), schema=schema)


def check_writable(inventory: Inventory) -> None:
    """
    Check that storage is writable, by purging records older than any.

    Raises:
        StorageUnavailableError: Storage is not writable.
    """
    # If another process is writing, storage is writable.
    with suppress(StorageThrottledError):
        inventory.repository.purge(Timestamp.of(datetime.fromtimestamp(0, UTC)))


HEALTH: Final = Route(
    "GET",
    "/health",
    CheckHealth,
    check_health,
    200,
    lambda health: Response(body={"status": "ok", **asdict(health)}),
)
"""A route of the local server only: a deployment is monitored by its metrics."""

METRICS_PATH: Final = "/metrics"
"""The page for Prometheus, which needs the extra `metrics`."""

# These need no key: they show nothing of the stock.
_FREE_PATHS: Final = frozenset({HEALTH.path, *PAGES})
# Tells the console that its key can only read.
_ACCESS_HEADER: Final = "X-Api-Key-Access"


def _lowered(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(host.lower() for host in hosts)


@frozen
class Site:
    """
    The address of the server, and the names that requests may use for it.

    Attributes:
        host: The address or name that the server listens on; an IPv6 address in brackets, as in a URL.
        port: The port.
        allowed_hosts: Other allowed values of the Host header, in lower case; without a port, any port is allowed.
    """

    host: str
    port: int
    allowed_hosts: frozenset[str] = field(default=frozenset(), converter=_lowered)

    @property
    def url(self) -> str:
        """The URL of the server on this machine."""
        return f"http://{_ALL_INTERFACES.get(self.host, self.host)}:{self.port}"

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of the server's own pages."""
        return tuple(f"http://{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    def is_called(self, host: str) -> bool:
        """
        Return whether *host*, the value of a Host header, names this server.

        If the server listens on all interfaces, any IP address is allowed: DNS rebinding needs a name.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].lower()
        if name in (*_LOOPBACK_NAMES, self.host.lower()):
            return True
        if not self.allowed_hosts.isdisjoint((name, host.lower())):
            return True
        return self.host in _ALL_INTERFACES and _is_ip_address(name.strip("[]"))


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@frozen
class LocalGateway:
    """
    The ASGI application: every route of the API, `/health`, the console at `/`, and the API reference at `/docs`.

    Args:
        inventory: The inventory to serve, or the client of the API.
        site: The address of the server; requests for other hosts are rejected.
        cors: The origins whose pages may read responses.
        threads: Runs requests, because they block on storage.
        inline_operations: Operations that run in the event loop, because they are faster than a switch to a thread.
        writer: Runs requests that write; None to run them in *threads*.
        keys: The API keys, one of which a request needs; None to let everyone in.
        handle: Answers requests to routes; None for the use cases of *inventory*.
        metrics: Counts requests, for `/metrics`; None for no such page.
    """

    inventory: "Inventory | InventoryClient"
    site: Site
    cors: Cors
    threads: ThreadPoolExecutor
    inline_operations: frozenset[str] = frozenset()
    writer: GroupCommit | None = None
    keys: ApiKeys | None = None
    handle: Handle | None = None
    metrics: "Metrics | None" = None
    imports: Imports = field(factory=Imports, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = perf_counter()
        request_id = str(uuid4())
        headers = combine_headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        try:
            response = await self._answer(scope, headers, receive, request_id)
        except ClientDisconnectedError:
            return
        except asyncio.CancelledError:
            # The server stops before the request is complete. Raised again, uvicorn would log it with a traceback.
            stopping = HttpError("storage_unavailable", "The server is stopping. Try again later.")
            response = error_response(stopping, request_id=request_id)
        except Exception as error:  # noqa: BLE001 - every error becomes a response
            response = error_response(error, request_id=request_id)
        _log(scope, response, request_id, started)
        if self.metrics is not None:
            self.metrics.observe(scope.get("route"), response.status, perf_counter() - started)
        response_headers = response.all_headers(
            request_id, self.cors.headers(headers.get("origin"))
        )
        key: ApiKey | None = scope.get("key")
        if key is not None and key.is_read_only:
            response_headers[_ACCESS_HEADER] = "read-only"
        if isinstance(response, ImportReport):
            await send(_start(response, response_headers))
            await response.send_body(receive, send)
        else:
            await _send(response, response_headers, scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: dict[str, str], receive: Receive, request_id: str
    ) -> Response:
        """Return the response of a route or page, or to a preflight request."""
        self._check_host(headers)
        if scope["method"] in _WRITING_METHODS:
            self._check_origin(headers)
        path = scope["raw_path"].decode("ascii")
        identity = Identity()
        if path not in _FREE_PATHS and scope["method"] != "OPTIONS":
            identity = await self._authenticate(scope, headers)
        if path == IMPORTS_PATH and scope["method"] == "POST":
            inventory = self.inventory.acting_as(identity.actor)
            return await self.imports.start(inventory, scope["query_string"], headers, receive)
        body = await _body(headers, receive)
        # The deadline starts after the body: `ArrivalLimits` limits the time that the client takes to send it.
        ends_at = monotonic() + (_SECONDS_FOR_REMOTE_API if self.handle else seconds_left(None))
        route, path_fields, methods = _find(scope["method"], path)
        make_page = PAGES.get(path)
        if path == METRICS_PATH and self.metrics is not None:
            make_page = self.metrics.page
        if make_page is not None and scope["method"] in ("GET", "HEAD"):
            page = await self._in_a_thread(make_page)
            return _unless_cached(page, headers.get("if-none-match"))
        if route is None:
            return _preflight(scope["method"], path, methods)
        scope["route"] = route.name
        request = Request(
            path_fields=path_fields,
            query=_query(scope),
            headers=headers,
            body=_text(body),
            request_id=request_id,
            caller=identity.caller,
            actor=identity.actor,
        )
        handle = self.handle or partial(answer, cast("Inventory", self.inventory))
        work = partial(_answer_in_time, handle, route, request, ends_at)
        if route.name in self.inline_operations:
            return work()
        if self.writer is None or route.method == "GET":
            return await self._in_a_thread(work)
        return await self.writer.run(work, ends_at)

    async def _in_a_thread(self, work: Callable[[], Response]) -> Response:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def _authenticate(self, scope: Scope, headers: Mapping[str, str]) -> Identity:
        if self.keys is None:
            # To an API, this server names its own user, never one of the browser.
            identity = Identity(actor=self.inventory.actor if self.handle else named_user(headers))
        else:
            address, _ = scope.get("client") or ("", 0)
            key = await self.keys.require(headers.get("x-api-key"), address)
            scope.update(key=key, actor=key.name)
            if key.is_read_only and scope["method"] in _WRITING_METHODS:
                raise HttpError("read_only_key", "This API key can only read")
            identity = Identity(f"local-key:{key.name}", named_user(headers, key=key.name))
        scope["actor"] = identity.actor
        return identity

    def _check_host(self, headers: Mapping[str, str]) -> None:
        # The combined value of a repeated Host header is not a valid host.
        if not self.site.is_called(headers.get("host", "")):
            raise HttpError("bad_host", "The Host header does not name this server")

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        """
        Reject a write from a page of another site.

        Browsers send some of these requests without a preflight, but with their origin. Other clients send no origin.
        """
        origin = headers.get("origin")
        if origin is None:
            sites = {site.strip() for site in headers.get("sec-fetch-site", "").split(",")}
            allowed = sites.isdisjoint(_OTHER_SITES)
        else:
            allowed = self.cors.allows(origin) or _is_same_host(origin, headers["host"])
        if not allowed:
            raise HttpError(
                "forbidden_origin", "Pages of this origin may not send requests that write"
            )


def _is_same_host(origin: str, host: str) -> bool:
    """
    Return whether *origin* has the host and the port of a Host header.

    The scheme only gives the default port, because a proxy in front of this server may use TLS.
    """
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return False
    default = _DEFAULT_PORTS.get(match["scheme"])
    return _host_and_port(match["host"], default) == _host_and_port(host.lower(), default)


def _host_and_port(host: str, default_port: str | None) -> tuple[str, str | None] | None:
    match = _HOST.fullmatch(host)
    return (match["name"], match["port"] or default_port) if match else None


def _answer_in_time(
    handle: Handle, route: Route[Any, Any], request: Request, ends_at: float
) -> Response:
    seconds = ends_at - monotonic()
    if seconds <= 0:
        late = HttpError(
            "storage_unavailable", "The request waited too long. Nothing was changed; try again."
        )
        return error_response(late, request_id=request.request_id)
    with deadline(seconds):
        return handle(route, request)


async def _body(headers: dict[str, str], receive: Receive) -> bytes:
    """
    Return the whole body.

    Raises:
        HttpError: The body is too large. If Content-Length says so, nothing is read.
        ClientDisconnectedError: The client closed the connection.
    """
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return bytes(body)


def _too_large() -> HttpError:
    # The client is still sending the body, so the connection cannot be used for another request.
    return HttpError(
        "payload_too_large",
        f"The body may be {MAX_BODY_BYTES} bytes at most",
        headers={"Connection": "close"},
    )


def _find(method: str, path: str) -> tuple[Route[Any, Any] | None, dict[str, str], tuple[str, ...]]:
    """Return the route as `find_route` does; HEAD is handled as GET, and uvicorn omits the body."""
    method = "GET" if method == "HEAD" else method
    if path in PAGES:
        return None, {}, ("GET",)
    if path == IMPORTS_PATH:
        return None, {}, ("POST",)
    if path == HEALTH.path:
        return (HEALTH if method == HEALTH.method else None), {}, (HEALTH.method,)
    return find_route(method, path)


def _unless_cached(page: Response, if_none_match: str | None) -> Response:
    """Return *page*, or a 304 without a body if the client has it in its cache (RFC 9110, section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return evolve(page, status=304, body="") if page.etag in tags else page


def _preflight(method: str, path: str, methods: tuple[str, ...]) -> Response:
    """
    Return the response to OPTIONS for a path that has *methods*.

    Raises:
        HttpError: The path does not exist, or does not have the method.
    """
    if not methods:
        raise HttpError("route_not_found", f"Not found: {path[:256]}")
    allowed = ", ".join((*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"))
    if method != "OPTIONS":
        raise HttpError(
            "method_not_allowed",
            f"Method {method} not allowed. Allowed: {allowed}",
            headers={"Allow": allowed},
        )
    return Response(
        status=204,
        headers={
            "Allow": allowed,
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Allow-Headers": ", ".join(ALLOWED_HEADERS),
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        },
    )


def _query(scope: Scope) -> dict[str, str]:
    """Return the query parameters, the last value of each."""
    query = scope["query_string"].decode("utf-8", "replace")
    return dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def _text(body: bytes) -> str | bytes | None:
    try:
        return body.decode() or None
    except UnicodeDecodeError:
        return body


def _log(scope: Scope, response: Response, request_id: str, started: float) -> None:
    # A request to a route is logged by the name of the route, as in a deployment; others by method and path.
    about = {"route": scope.get("route"), "actor": scope.get("actor")}
    if about["route"] is None:
        about |= {"method": scope["method"], "path": scope["path"]}
    log_request(response, request_id, started, **about)


async def _send(
    response: Response, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
) -> None:
    body = response.text.encode()
    if response.status in (204, 304):
        # RFC 9110, section 6.4.1: without content, there is no type and no length.
        del headers["Content-Type"]
    else:
        headers["Content-Length"] = str(len(body))
    await send(_start(response, headers))
    if headers.get("Connection") == "close" and scope["method"] != "HEAD":
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(receive)
        body = b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _start(response: Response, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    return {"type": "http.response.start", "status": response.status, "headers": raw}


async def _linger(receive: Receive) -> None:
    """
    Read and discard the rest of the request, for a limited time.

    A connection that is closed with unread bytes is reset, and the client may then lose the response (RFC 9112, section 9.6).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            more = True
            while more:
                more = (await receive()).get("more_body", False)


def listen(host: str, port: int) -> socket.socket:
    """
    Return a socket that listens on *host*; port 0 selects a free port.

    Raises:
        CannotListenError: The host is unknown, the port is in use, or the process may not use it.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        # create_server adds the address to its message, which repeats ours; errors of the resolver have no errno.
        reason = (
            os.strerror(number)
            if number and not isinstance(error, socket.gaierror)
            else getattr(error, "strerror", None) or "no such host"
        )
        raise CannotListenError(f"Cannot listen on {host}, port {port}: {reason}") from error


def is_on_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine can reach *listener*."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def serve(
    inventory: "Inventory | InventoryClient",
    listener: socket.socket,
    host: str,
    *,
    allowed_origins: Iterable[str] = (),
    allowed_hosts: Iterable[str] = (),
    sweep_seconds: float = 60,
    remote_storage: bool = False,
    keys: ApiKeys | None = None,
    handle: Handle | None = None,
    limits: ArrivalLimits | None = None,
    outbox: "Outbox | None" = None,
    metrics: "Metrics | None" = None,
    on_ready: Callable[[Site], None],
) -> None:
    """
    Serve until SIGINT or SIGTERM, then finish the running requests within ten seconds.

    Args:
        inventory: The inventory to serve, or the client of the API. It is not closed.
        listener: A socket from `listen`. It is closed.
        host: The host that was passed to `listen`.
        allowed_origins: Further origins whose pages may read responses; ``*`` allows all.
        allowed_hosts: Further allowed values of the Host header: a name or address, with or without a port.
        sweep_seconds: Seconds between two sweeps of expired reservations; 0 for no sweeps.
        remote_storage: Whether storage is on another machine, so that requests mostly wait for it.
        keys: The API keys, one of which a request needs; None to let everyone in. SIGHUP reads their file again.
        handle: Answers requests to routes, for an API; None for the use cases of *inventory*.
        limits: Limits on requests and connections; by default as many connections as the process may open.
        outbox: Events to deliver.
        metrics: Counts requests, for `/metrics`.
        on_ready: Called once the server accepts connections.
    """
    limits = limits or ArrivalLimits(connections=max_connections())
    count = _THREADS_FOR_REMOTE_STORAGE if remote_storage else _THREADS
    inline_operations = frozenset() if remote_storage else _SINGLE_ROW_READS
    site = Site(f"[{host}]" if ":" in host else host, listener.getsockname()[1], allowed_hosts)
    cors = Cors((*site.origins, *allowed_origins))
    with ExitStack() as running:
        threads = running.enter_context(ThreadPoolExecutor(count, "handler"))
        writer = None
        if isinstance(inventory, Inventory):
            if outbox is not None:
                running.enter_context(Deliverer(outbox, clock=inventory.clock))
            if sweep_seconds:
                running.enter_context(Sweeper(inventory, seconds=sweep_seconds))
            # Requests that write share transactions if the repository supports exclusive access.
            if isinstance(inventory.repository, ExclusiveRepository):
                writer = running.enter_context(GroupCommit(inventory.repository))
        gateway = LocalGateway(
            inventory, site, cors, threads, inline_operations, writer, keys, handle, metrics
        )
        server = _Server(_settings(gateway, limits), keys, on_ready=lambda: on_ready(site))
        # uvicorn raises the signal again when it has stopped. With this handler, the process then ends with status 0.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)
        server.run(sockets=[listener])


def _settings(gateway: LocalGateway, limits: ArrivalLimits) -> uvicorn.Config:
    return uvicorn.Config(
        gateway,
        # uvicorn only calls the class, so a partial does as well.
        http=cast("type[asyncio.Protocol]", partial(LimitedProtocol, limits)),
        lifespan="off",
        ws="none",
        log_config=None,  # Its warnings go to the same handlers as ours.
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # A client could send them.
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


class _Server(uvicorn.Server):
    """A server that calls *on_ready* once it accepts connections, and reads *keys* again at SIGHUP."""

    def __init__(
        self, config: uvicorn.Config, keys: ApiKeys | None, *, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._keys = keys
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._keys is not None and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._keys.reload)
        await super().startup(sockets)
        self._on_ready()
