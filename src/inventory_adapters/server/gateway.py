"""
socket → Request → the very same answer: the API on this machine, as API Gateway and Lambda would give it.

What the gateway does in the cloud is done here: routing, preflight requests, the limit on bodies. So is one thing that only a
server on a desk needs: a check of the Host header, without which a web page could reach us under a name of its own.
"""

import asyncio
import ipaddress
import logging
import os
import re
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic, perf_counter
from typing import Any, Final, cast
from urllib.parse import parse_qsl
from uuid import uuid4

import uvicorn
from attrs import evolve, field, frozen

from inventory.errors import StorageThrottledError, StorageUnavailableError
from inventory.items import ItemKey, Timestamp
from inventory.ports import ExclusiveRepository
from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory.validation import command
from inventory_adapters.http.api_gateway import (
    ALLOWED_HEADERS,
    Cors,
    combine_headers,
    log_request,
    seconds_left,
    to_result,
)
from inventory_adapters.http.app import MAX_BODY_BYTES, Request, Response, answer, error_response
from inventory_adapters.http.errors import HttpError
from inventory_adapters.http.routes import Answer, Route, find_route
from inventory_adapters.server.group_commit import GroupCommit
from inventory_adapters.server.http_protocol import (
    ArrivalLimits,
    LimitedProtocol,
    max_connections,
)
from inventory_adapters.server.pages import CONSOLE
from inventory_adapters.server.sweeper import Sweeper
from inventory_adapters.server.viewer import PAGES as VIEWER

__all__ = [
    "CannotListenError",
    "LocalGateway",
    "Site",
    "check_health",
    "check_writable",
    "listen",
    "serve",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Handlers wait for storage. For one in this process a few are enough, and more only take turns with each other; one across a
# network is waited for most of the time.
_THREADS: Final = 4
_THREADS_ACROSS_A_NETWORK: Final = 16
# Of a store in this process, that is: microseconds, and no writer to wait for.
_READS_OF_ONE_ROW: Final = frozenset({"get_item", "get_reservation"})
_BACKLOG: Final = 1024
_KEEP_ALIVE_SECONDS: Final = 75
_SHUTDOWN_SECONDS: Final = 10
# How long a client that sends too much is listened to, so that it hears the answer rather than a reset connection.
_LINGER_SECONDS: Final = 2.0
_PREFLIGHT_SECONDS: Final = 300

# RFC 9110, section 7.2: a name, or an IPv6 address in brackets; then, maybe, a port.
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/,\s]+)(:(?P<port>[0-9]*))?", re.IGNORECASE)
# RFC 6454, section 6.2.
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#@]+)")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_WRITING_METHODS: Final = frozenset({"POST", "PUT", "DELETE"})
# Values of Sec-Fetch-Site. Source: "Fetch Metadata Request Headers", W3C.
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_ALL_INTERFACES: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - recognised, not bound

_PAGES: Final = {**CONSOLE, **VIEWER}

logger = logging.getLogger("inventory_adapters.http")


class CannotListenError(Exception):
    """The address cannot be had; the message says in one sentence why."""


class ClientDisconnectedError(Exception):
    """The client left before its request was complete."""


@command
class CheckHealth:
    """Ask whether the system can do its work."""


def check_health(inventory: Inventory, _query: CheckHealth | None = None) -> None:
    """
    Read one item that is not there, which costs as little as a read can.

    Raises:
        StorageUnavailableError: Storage does not answer, or not with what it was asked.
    """
    try:
        inventory.repository.get_item(ItemKey(item_id="health", sku="health"))
    except StorageUnavailableError:
        raise
    except Exception as error:
        raise StorageUnavailableError from error


def check_writable(inventory: Inventory) -> None:
    """
    Check that storage may be written to, by a purge that finds nothing: it is from before any record.

    Raises:
        StorageUnavailableError: It may not be written to.
    """
    with suppress(
        StorageThrottledError
    ):  # Another process that is writing is no reason not to start.
        inventory.repository.purge(Timestamp.of(datetime.fromtimestamp(0, UTC)))


HEALTH: Final = Route(
    "GET", "/health", CheckHealth, check_health, 200, lambda _: Answer({"status": "ok"})
)
"""Answered like a route of the API, but not part of it: in the cloud, the gateway is watched from outside."""


def _lowered(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(host.lower() for host in hosts)


@frozen
class Site:
    """
    Where the server can be found.

    Attributes:
        host: The address or name that it listens on; an IPv6 address in brackets, as in a URL.
        port: The port.
        allowed_hosts: Other hosts that requests may be for, in lower case; one with a port for that port only.
    """

    host: str
    port: int
    allowed_hosts: frozenset[str] = field(default=frozenset(), converter=_lowered)

    @property
    def url(self) -> str:
        """An address to open on this machine."""
        return f"http://{_ALL_INTERFACES.get(self.host, self.host)}:{self.port}"

    @property
    def origins(self) -> tuple[str, ...]:
        """Our own origins, as browsers name them."""
        return tuple(f"http://{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    def is_called(self, host: str) -> bool:
        """
        Tell whether the value of a Host header names us.

        Where we listen on every interface, any IP address does: what must be kept out is a name that someone else owns.
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
    The gateway as an ASGI application: every route of the API, `/health`, the console at `/`, and the pages at `/docs`.

    Args:
        inventory: What the answers come from.
        site: Where we listen; requests for any other host are refused.
        cors: Who may read the answers.
        threads: Where requests wait for storage, which the event loop must not.
        inline_operations: Operations that are over sooner than a thread could take them over, and so run in the event loop.
        writer: Where requests that write are carried out; None for *threads*.
    """

    inventory: Inventory
    site: Site
    cors: Cors
    threads: ThreadPoolExecutor
    inline_operations: frozenset[str] = frozenset()
    writer: GroupCommit | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        request_id = str(uuid4())
        headers = combine_headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        try:
            made = await self._answer(scope, headers, receive, request_id)
        except ClientDisconnectedError:
            return
        except asyncio.CancelledError:
            # The time for an orderly end is over; passed on, this would be logged with a traceback.
            stopping = HttpError("storage_unavailable", "The server is stopping. Try again later.")
            made = error_response(stopping, request_id=request_id)
        except Exception as error:  # noqa: BLE001 - a client is owed an answer in our envelope
            made = error_response(error, request_id=request_id)
        _log(scope, made, request_id, started)
        result = to_result(made, request_id, self.cors.headers(headers.get("origin")))
        await _send(result, scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: dict[str, str], receive: Receive, request_id: str
    ) -> Response:
        """Return the answer of a route, or, to a preflight request, the gateway's own."""
        self._check_host(headers)
        if scope["method"] in _WRITING_METHODS:
            self._check_origin(headers)
        body = await _body(headers, receive)
        # From now on: how long the client takes to send the request is limited elsewhere.
        ends_at = monotonic() + seconds_left(None)
        path = scope["raw_path"].decode("ascii")
        route, path_fields, methods = _find(scope["method"], path)
        if path in _PAGES and scope["method"] in ("GET", "HEAD"):
            page = await self._in_a_thread(_PAGES[path])
            return _unless_known(page, headers.get("if-none-match"))
        if route is None:
            return _preflight(scope["method"], path, methods)
        scope["route"] = route.name
        request = Request(
            path_fields=path_fields,
            query=_query(scope),
            headers=headers,
            body=_text(body),
            request_id=request_id,
        )
        work = partial(_answered, self.inventory, route, request, ends_at)
        if route.name in self.inline_operations:
            return work()
        if self.writer is None or route.method == "GET":
            return await self._in_a_thread(work)
        return await self.writer.run(work, ends_at)

    async def _in_a_thread(self, work: Callable[[], Response]) -> Response:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    def _check_host(self, headers: Mapping[str, str]) -> None:
        # Of a Host header that is repeated, the combined value is no host.
        if not self.site.is_called(headers.get("host", "")):
            raise HttpError("bad_host", "The Host header does not name this server")

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        """
        Reject a write that a page of another site sends.

        Browsers send such requests without asking first, and say where they come from. Other clients say nothing.
        """
        origin = headers.get("origin")
        if origin is None:
            sites = {site.strip() for site in headers.get("sec-fetch-site", "").split(",")}
            allowed = sites.isdisjoint(_OTHER_SITES)
        else:
            allowed = self.cors.allows(origin) or _is_same_host(origin, headers["host"])
        if not allowed:
            raise HttpError("forbidden_origin", "Pages of this origin may not change anything here")


def _is_same_host(origin: str, host: str) -> bool:
    """
    Return whether *origin* has the host and the port of a Host header.

    Its scheme only tells the port that is left out, because a proxy may speak TLS in front of this server.
    """
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return False
    default = _DEFAULT_PORTS.get(match["scheme"])
    return _host_and_port(match["host"], default) == _host_and_port(host.lower(), default)


def _host_and_port(host: str, default_port: str | None) -> tuple[str, str | None] | None:
    match = _HOST.fullmatch(host)
    return (match["name"], match["port"] or default_port) if match else None


def _answered(
    inventory: Inventory, route: Route[Any, Any], request: Request, ends_at: float
) -> Response:
    seconds = ends_at - monotonic()
    if seconds <= 0:
        late = HttpError(
            "storage_unavailable", "The request waited too long and was not carried out"
        )
        return error_response(late, request_id=request.request_id)
    with deadline(seconds):
        return answer(inventory, route, request)


async def _body(headers: dict[str, str], receive: Receive) -> bytes:
    """
    Return the whole body.

    Raises:
        HttpError: It is too large; found out before it is read, where the client says how long it will be.
        ClientDisconnectedError: The client left.
    """
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    read = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        read += message.get("body", b"")
        if len(read) > MAX_BODY_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return bytes(read)


def _too_large() -> HttpError:
    # The rest of the body is still on its way, so the connection is of no more use.
    return HttpError(
        "payload_too_large",
        f"The body may be {MAX_BODY_BYTES} bytes at most",
        headers={"Connection": "close"},
    )


def _find(method: str, path: str) -> tuple[Route[Any, Any] | None, dict[str, str], tuple[str, ...]]:
    """Return what `find_route` does; HEAD is answered as GET, and the server then leaves the body out."""
    method = "GET" if method == "HEAD" else method
    if path in _PAGES:
        return None, {}, ("GET",)
    if path == HEALTH.path:
        return (HEALTH if method == HEALTH.method else None), {}, (HEALTH.method,)
    return find_route(method, path)


def _unless_known(page: Response, tags: str | None) -> Response:
    """Return *page*; without its body where the client has it already, as *tags* say (RFC 9110, section 13.1.2)."""
    known = [tag.strip().removeprefix("W/") for tag in (tags or "").split(",")]
    return evolve(page, status=304, body="") if page.headers.get("ETag") in known else page


def _preflight(method: str, path: str, methods: tuple[str, ...]) -> Response:
    """
    Answer OPTIONS on a path that has *methods*.

    Raises:
        HttpError: The path has none; or the method is not OPTIONS, and none of them.
    """
    if not methods:
        raise HttpError("route_not_found", f"There is nothing at {path[:256]}")
    allowed = ", ".join((*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"))
    if method != "OPTIONS":
        raise HttpError(
            "method_not_allowed",
            f"{method} is not for this path; it takes {allowed}",
            headers={"Allow": allowed},
        )
    return Response(
        status=204,
        body="",
        headers={
            "Allow": allowed,
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Allow-Headers": ", ".join(ALLOWED_HEADERS),
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        },
    )


def _query(scope: Scope) -> dict[str, str]:
    """Return the query parameters, the last value of each."""
    sent = scope["query_string"]
    return dict(parse_qsl(sent.decode("utf-8", "replace"), keep_blank_values=True)) if sent else {}


def _text(body: bytes) -> str | bytes | None:
    try:
        return body.decode() or None
    except UnicodeDecodeError:
        return body


def _log(scope: Scope, made: Response, request_id: str, started: float) -> None:
    # What reached a route is named after it, as in the cloud; all else by what was asked.
    if "route" in scope:
        log_request(made, request_id, started, route=scope["route"])
    else:
        asked = {"method": scope["method"], "path": scope["path"]}
        log_request(made, request_id, started, route=None, **asked)


async def _send(result: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
    body = result["body"].encode()
    headers = dict(result["headers"])
    if result["statusCode"] in (204, 304):
        # RFC 9110, section 6.4.1: no content, so none of any type or length.
        del headers["Content-Type"]
    else:
        headers["Content-Length"] = str(len(body))
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    await send({"type": "http.response.start", "status": result["statusCode"], "headers": raw})
    if headers.get("Connection") == "close" and scope["method"] != "HEAD":
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(receive)
        body = b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _linger(receive: Receive) -> None:
    """
    Read on for a moment what the client still sends, and forget it.

    A connection that is closed with unread bytes is reset, and a reset may overtake the answer (RFC 9112, section 9.6).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            more = True
            while more:
                more = (await receive()).get("more_body", False)


def listen(host: str, port: int) -> socket.socket:
    """
    Return a socket that listens on *host*; port 0 is any that is free.

    Raises:
        CannotListenError: Nobody can, or somebody does already.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        # create_server adds the address to the message, which ours has already; a resolver has numbers of its own.
        why = (
            os.strerror(number)
            if number and not isinstance(error, socket.gaierror)
            else getattr(error, "strerror", None) or "no such host"
        )
        raise CannotListenError(f"Cannot listen on {host}, port {port}: {why}") from error


def serve(  # noqa: PLR0913 - a server has that many settings
    inventory: Inventory,
    listener: socket.socket,
    host: str,
    *,
    allowed_origins: Iterable[str] = (),
    allowed_hosts: Iterable[str] = (),
    sweep_seconds: float = 60,
    remote_storage: bool = False,
    limits: ArrivalLimits | None = None,
    on_ready: Callable[[Site], None],
) -> None:
    """
    Serve until SIGINT or SIGTERM; requests that have begun are then finished, within ten seconds.

    Args:
        inventory: What to serve. It is not closed.
        listener: From `listen`. It is closed.
        host: What `listen` was given.
        allowed_origins: Origins, beside our own, whose pages may read the answers; `*` for all.
        allowed_hosts: Hosts, beside our own, that requests may be for: a name or address, with a port or without.
        sweep_seconds: How often reservations whose time is over are expired; 0 for never.
        remote_storage: Whether storage is elsewhere, and handlers mostly wait for it.
        limits: What may arrive; by default as many connections as the process may have open.
        on_ready: Called once connections are accepted.
    """
    limits = limits or ArrivalLimits(connections=max_connections())
    count = _THREADS_ACROSS_A_NETWORK if remote_storage else _THREADS
    inline_operations = frozenset() if remote_storage else _READS_OF_ONE_ROW
    site = Site(f"[{host}]" if ":" in host else host, listener.getsockname()[1], allowed_hosts)
    cors = Cors((*site.origins, *allowed_origins))
    with ExitStack() as running:
        threads = running.enter_context(ThreadPoolExecutor(count, "handler"))
        if sweep_seconds:
            running.enter_context(Sweeper(inventory, seconds=sweep_seconds))
        # Requests that write share transactions if the repository supports exclusive access. Otherwise each has its own.
        repository = inventory.repository
        exclusive = isinstance(repository, ExclusiveRepository)
        writer = running.enter_context(GroupCommit(repository)) if exclusive else None
        gateway = LocalGateway(inventory, site, cors, threads, inline_operations, writer)
        server = _Server(_settings(gateway, limits), on_ready=lambda: on_ready(site))
        # The server raises the signal that stopped it once more, for whoever handled it before: an orderly end is no failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)
        server.run(sockets=[listener])


def _settings(gateway: LocalGateway, limits: ArrivalLimits) -> uvicorn.Config:
    return uvicorn.Config(
        gateway,
        # uvicorn calls it with settings, as it would the class.
        http=cast("type[asyncio.Protocol]", partial(LimitedProtocol, limits)),
        lifespan="off",
        ws="none",
        log_config=None,  # Its warnings go where ours go.
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # Nobody stands between us and the client.
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


class _Server(uvicorn.Server):
    """Tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
