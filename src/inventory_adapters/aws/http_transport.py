"""
AWS without an SDK: signed JSON over kept-alive HTTPS connections.

The deployed functions use it, because importing and calling an SDK takes nine tenths of a request. It reads credentials, region
and endpoints from the environment that Lambda sets, and rejects settings that need anything else.
`docs/decisions/0013-no-sdk-in-the-functions.md` describes when to use boto3 instead.
"""

import json
import os
import re
import socket
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from io import BufferedReader, RawIOBase
from select import POLLIN, poll
from threading import Lock
from time import gmtime, monotonic, strftime
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit
from zlib import crc32

from inventory_adapters.aws.signing import Credentials, Signer
from inventory_adapters.aws.transport import (
    JSON_TYPES,
    Answer,
    NoAnswerError,
    NotSentError,
    Service,
    ServiceError,
)

__all__ = ["HttpTransport"]

# The largest answer of DynamoDB has 16 MB of rows, which are longer as JSON. Source: API reference of BatchGetItem.
_MAX_ANSWER_BYTES: Final = 64 << 20
# For callers without a deadline, because a service that sends a byte now and then never exceeds the read time-out.
_MAX_ATTEMPT_SECONDS: Final = 10.0
_MAX_IDLE_CONNECTIONS: Final = 10
_MAX_REQUEST_ID: Final = 128

# Source: "partitions" in the endpoints.json of botocore. The suffixes of isolated partitions are not listed.
_DNS_SUFFIXES: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_IS_ISOLATED: Final = re.compile(r"[a-z]+-iso").match
_IS_REGION: Final = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*").fullmatch

# The bundle of the functions contains it: OpenSSL opens one file of a folder, but takes 18 ms to read a list of all roots.
_TRUST_FOLDER: Final = os.path.join(os.path.dirname(__file__), "..", "..", "trust")

_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode
_from_json: Final = json.JSONDecoder().decode


class HttpTransport:
    """
    An `inventory_adapters.aws.transport.Transport` over ``http.client``; safe to share between threads.

    Each call reads the credentials from the environment; the first call to a service reads all other settings. A missing or
    unsupported setting is a `NotSentError` of the call, never an error of the constructor or of an import.
    """

    def __init__(self) -> None:
        self._endpoints: dict[str, _Endpoint] = {}
        self._tls_context: ssl.SSLContext | None = None
        self._lock = Lock()

    def send(
        self, service: Service, operation: str, request: Mapping[str, Any], *, seconds: float
    ) -> Answer:
        """See `inventory_adapters.aws.transport.Transport.send`."""
        ends_at = monotonic() + min(seconds, _MAX_ATTEMPT_SECONDS)
        endpoint = self._endpoints.get(service.name) or self._open_endpoint(service)
        credentials = _credentials()
        body = _to_json(request).encode()
        headers = endpoint.headers(operation, body, credentials)
        connection = endpoint.connection(ends_at)
        is_reusable = False
        try:
            response, content = connection.exchange(body, headers, ends_at=ends_at)
            is_reusable = not response.will_close and response.isclosed()
        finally:
            # Also after an error: a connection with an unread answer would return it to the next request.
            endpoint.release(connection, is_reusable=is_reusable)
        return _parse(response, content, credentials)

    def close(self) -> None:
        """Close all idle connections; the next request opens a new one."""
        for endpoint in self._endpoints.values():
            endpoint.close()

    def _open_endpoint(self, service: Service) -> "_Endpoint":
        with self._lock:
            url = _endpoint_url(service)
            if url.is_tls and self._tls_context is None:
                self._tls_context = _make_tls_context()
            endpoint = _Endpoint(service, url, self._tls_context if url.is_tls else None)
            return self._endpoints.setdefault(service.name, endpoint)


def _refuse(sentence: str) -> NoReturn:
    raise NotSentError(f"{sentence}; use transport=boto3 for that", retryable=False)


# Settings


class _Url:
    """The parts of an endpoint URL, and its region."""

    __slots__ = ("host", "host_header", "is_tls", "port", "region")

    def __init__(self, url: str, region: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise NotSentError(
                "The endpoint URL of AWS is not a valid URL", retryable=False
            ) from None
        host = parts.hostname
        is_plain = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in {"http", "https"} or not (host and host.isascii() and is_plain):
            _refuse("An endpoint URL may only have a scheme (http or https), a host and a port")
        self.is_tls = parts.scheme == "https"
        self.host = host
        self.port = port or (443 if self.is_tls else 80)
        name = f"[{host}]" if ":" in host else host
        self.host_header = (
            f"{name}:{port}" if port not in {None, 443 if self.is_tls else 80} else name
        )
        self.region = region


def _endpoint_url(service: Service) -> _Url:
    environ = os.environ.get
    for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"):
        if _is_true(environ(name)):
            _refuse(f"{name} is not supported by transport=http")
    region = environ("AWS_REGION") or environ("AWS_DEFAULT_REGION")
    if not region:
        raise NotSentError("AWS_REGION is not set", retryable=False)
    if not _IS_REGION(region):
        raise NotSentError("AWS_REGION is not the name of a region", retryable=False)
    url = environ(service.endpoint_variable) or environ("AWS_ENDPOINT_URL")
    if not url or _is_true(environ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")):
        if _IS_ISOLATED(region):
            _refuse(f"The region {region} is not supported by transport=http")
        suffix = _DNS_SUFFIXES.get(region.partition("-")[0], "amazonaws.com")
        url = f"https://{service.name}.{region}.{suffix}"
    parsed = _Url(url, region)
    _refuse_proxy("https" if parsed.is_tls else "http", parsed.host)
    return parsed


def _is_true(value: str | None) -> bool:
    return (value or "").strip().lower() == "true"


def _refuse_proxy(scheme: str, host: str) -> None:
    environ = os.environ.get
    # HTTP_PROXY in upper case is ignored, because a CGI server sets it from a request header.
    if not (environ(f"{scheme}_proxy") or (scheme == "https" and environ("HTTPS_PROXY"))):
        return
    exceptions = (environ("no_proxy") or environ("NO_PROXY") or "").replace(" ", "").split(",")
    dotted = f".{host}"
    if not any(
        domain == "*" or (domain and dotted.endswith(f".{domain.lstrip('.')}"))
        for domain in exceptions
    ):
        _refuse(f"The proxy for {scheme} is not supported by transport=http")


def _make_tls_context() -> ssl.SSLContext:
    trusted = os.environ.get("AWS_CA_BUNDLE")
    if not trusted and os.path.isdir(_TRUST_FOLDER):
        trusted = _TRUST_FOLDER
    try:
        if not trusted:
            return ssl.create_default_context()
        if os.path.isdir(trusted):
            return ssl.create_default_context(capath=trusted)
        return ssl.create_default_context(cafile=trusted)
    except OSError as error:
        # Also for invalid certificates, because errors of OpenSSL are OSErrors.
        raise NotSentError(
            f"The certificates of AWS_CA_BUNDLE cannot be read: {trusted}", retryable=False
        ) from error


def _credentials() -> Credentials:
    """Return the current credentials, which may change while the process runs."""
    environ = os.environ.get
    access_key_id = environ("AWS_ACCESS_KEY_ID")
    secret_access_key = environ("AWS_SECRET_ACCESS_KEY")
    session_token = environ("AWS_SESSION_TOKEN")
    if not access_key_id or not secret_access_key:
        _refuse(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and transport=http supports no other credentials"
        )
    # Checked here, because the error of http.client for an invalid header contains the header.
    for name, value in (
        ("AWS_ACCESS_KEY_ID", access_key_id),
        ("AWS_SECRET_ACCESS_KEY", secret_access_key),
        ("AWS_SESSION_TOKEN", session_token or "-"),
    ):
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise NotSentError(f"{name} has invalid characters", retryable=False)
    return Credentials(access_key_id, secret_access_key, session_token or None)


# Connections


class _Endpoint:
    """One service in one region, with its idle connections."""

    def __init__(self, service: Service, url: _Url, tls_context: ssl.SSLContext | None) -> None:
        self._service = service
        self._url = url
        self._tls_context = tls_context
        self._signer = Signer(service.name, url.region)
        # Last in, first out, so that the service closes connections that are no longer needed.
        self._idle: list[_Connection] = []

    def headers(self, operation: str, body: bytes, credentials: Credentials) -> dict[str, str]:
        """Return all headers of a request, with its signature."""
        at = strftime("%Y%m%dT%H%M%SZ", gmtime())
        headers = {
            "content-type": self._service.content_type,
            "host": self._url.host_header,
            "x-amz-date": at,
        }
        if credentials.session_token is not None:
            headers["x-amz-security-token"] = credentials.session_token
        headers["x-amz-target"] = f"{self._service.target_prefix}.{operation}"
        headers["authorization"] = self._signer.authorization(headers, body, credentials, at=at)
        headers["user-agent"] = "tap-inventory"
        trace = os.environ.get("_X_AMZN_TRACE_ID")
        if trace and trace.isascii() and trace.isprintable():
            headers["x-amzn-trace-id"] = trace
        return headers

    def connection(self, ends_at: float) -> "_Connection":
        """Return an unused connection: an idle one that is still open, or a new one."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break  # Another thread took the last connection.
            if connection.is_open():
                return connection
            connection.disconnect()
        return _Connection(self._connect(ends_at), self._url.host, self._service.read_seconds)

    def release(self, connection: "_Connection", *, is_reusable: bool) -> None:
        """Keep a connection for the next request, or close it."""
        if is_reusable and len(self._idle) < _MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.disconnect()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().disconnect()

    def _connect(self, ends_at: float) -> socket.socket:
        ends_at = min(ends_at, monotonic() + self._service.connect_seconds)
        url = self._url
        try:
            connected = _connect(url.host, url.port, ends_at)
            if self._tls_context is None:
                return connected
            try:
                connected.settimeout(_seconds_until(ends_at))
                # As bytes, here and in getaddrinfo, because a str would import the IDNA codec.
                return self._tls_context.wrap_socket(connected, server_hostname=url.host.encode())
            except BaseException:
                connected.close()
                raise
        except ssl.SSLCertVerificationError as error:
            raise NotSentError(
                f"Invalid certificate of {url.host}: {error.verify_message}",
                retryable=False,
            ) from error
        except OSError as error:
            raise NotSentError(f"Cannot connect to {url.host}: {error}", retryable=True) from error


def _connect(host: str, port: int, ends_at: float) -> socket.socket:
    """
    Connect to the first address that answers.

    Unlike `socket.create_connection`, it applies one time-out to all addresses together.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host.encode(), port, type=socket.SOCK_STREAM
    ):
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(_seconds_until(ends_at))
            connected.connect(address)
            # Headers and body are two packets: the second must not wait until the first is acknowledged.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connected.close()
            failure = error
        else:
            return connected
    raise failure or OSError("no address")


def _seconds_until(ends_at: float) -> float:
    """Return the time-out until *ends_at*, which is never 0, because 0 means non-blocking."""
    left = ends_at - monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _Connection(HTTPConnection):
    """A connection whose requests end by a deadline, even if an answer arrives slowly."""

    def __init__(self, connected: socket.socket, host: str, read_seconds: float) -> None:
        super().__init__(host)
        self._wire = _Wire(connected, read_seconds)
        self._arrivals = poll()
        self._arrivals.register(connected, POLLIN)

    def connect(self) -> None:
        """Use the open connection."""
        self.sock = self._wire

    def is_open(self) -> bool:
        """Return whether nothing arrived while the connection was idle, neither its end nor data."""
        return not self._arrivals.poll(0)

    def exchange(
        self, body: bytes, headers: dict[str, str], *, ends_at: float
    ) -> tuple[HTTPResponse, bytes]:
        """
        Send a request and return the complete answer.

        Raises:
            NoAnswerError: The answer is missing or incomplete.
        """
        self._wire.ends_at = ends_at
        try:
            self.request("POST", "/", body, headers)
            response = self.getresponse()
            if response.length is not None and response.length <= _MAX_ANSWER_BYTES:
                content = response.read()
            else:
                content = response.read(_MAX_ANSWER_BYTES + 1)
        except OSError as error:
            failure = str(error) or type(error).__name__
        except HTTPException as error:
            # Without its text, which may repeat parts of our request.
            failure = type(error).__name__
        else:
            if len(content) <= _MAX_ANSWER_BYTES:
                return response, content
            failure = "the answer is too large"
        raise NoAnswerError(f"No answer from {self.host}: {failure}")

    def disconnect(self) -> None:
        """Close the connection and its socket."""
        self.close()
        self._wire.connected.close()


class _Wire:
    """The part of a socket that ``http.client`` uses, with a deadline."""

    def __init__(self, connected: socket.socket, read_seconds: float) -> None:
        self.connected = connected
        self.ends_at = 0.0
        self._read_seconds = read_seconds

    def sendall(self, data: bytes) -> None:
        """See `socket.socket.sendall`."""
        self.connected.settimeout(min(_seconds_until(self.ends_at), self._read_seconds))
        self.connected.sendall(data)

    def makefile(self, _mode: str) -> BufferedReader:
        """See `socket.socket.makefile`."""
        return BufferedReader(_Reader(self))

    def receive_into(self, buffer: Any) -> int:
        """See `socket.socket.recv_into`."""
        self.connected.settimeout(min(_seconds_until(self.ends_at), self._read_seconds))
        return self.connected.recv_into(buffer)

    def close(self) -> None:
        """
        Leave the socket open.

        After ``Connection: close``, ``http.client`` calls this before the body of the answer is read.
        """


class _Reader(RawIOBase):
    """The raw stream of one answer, which reads from a `_Wire`."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        """See `io.IOBase.readable`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        return self._wire.receive_into(buffer)


# Answers


def _parse(response: HTTPResponse, content: bytes, credentials: Credentials) -> Answer:
    headers = response.headers
    failure = ""
    crc = headers.get("x-amz-crc32")
    if len(headers.get_all("content-length", ())) > 1:
        failure = "it has two lengths"
    elif crc is not None and crc != str(crc32(content)):
        failure = "its checksum is wrong"
    elif headers.get("content-type", "").partition(";")[0].strip().lower() not in JSON_TYPES:
        failure = "it is not JSON"
    else:
        try:
            body = _from_json(content.decode())
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            request_id = headers.get("x-amzn-requestid", "")[:_MAX_REQUEST_ID] or None
            if response.status == HTTPStatus.OK:
                return Answer(body, request_id)
            error = _service_error(response, body, request_id, credentials)
            if error is not None:
                raise error
        failure = "it is not a JSON object, or has no error code"
    raise NoAnswerError(f"An answer with status {response.status} is not one of AWS: {failure}")


def _service_error(
    response: HTTPResponse, body: dict[str, Any], request_id: str | None, credentials: Credentials
) -> ServiceError | None:
    code = body.get("__type") or body.get("code") or response.headers.get("x-amzn-errortype")
    if response.status < HTTPStatus.BAD_REQUEST or not isinstance(code, str):
        return None
    message = body.get("message") or body.get("Message") or ""
    if not isinstance(message, str):
        message = ""
    if credentials.session_token is not None:
        message = message.replace(credentials.session_token, "...")
    reasons = body.get("CancellationReasons")
    item = body.get("Item")
    return ServiceError(
        # As `Code`, `namespace#Code` or `namespace#Code:http://...`.
        code.partition(":")[0].rpartition("#")[2],
        message,
        status=response.status,
        reasons=tuple(
            str(reason.get("Code", "None")) for reason in reasons if isinstance(reason, dict)
        )
        if isinstance(reasons, list)
        else (),
        item=item if isinstance(item, dict) else None,
        request_id=request_id,
    )
