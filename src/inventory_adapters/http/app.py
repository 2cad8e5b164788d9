"""Request → command → use case → Response; and what every error is called over HTTP."""

import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from attrs import field, frozen

from inventory import errors
from inventory.errors import Fault, InventoryError, ValidationError
from inventory.fields import build
from inventory.service import Inventory
from inventory_adapters.converters import MalformedJsonError, from_json, to_json
from inventory_adapters.http.routes import QUERY_ALIASES, Route

__all__ = ["CODES", "MAX_BODY_BYTES", "HttpError", "Request", "Response", "answer", "refusal"]

MAX_BODY_BYTES: Final = 1 << 20

logger = logging.getLogger("inventory_adapters.http")

# The first class of an error's own line of ancestors that stands here decides.
_STATUS: Final[dict[type[Exception], int]] = {
    errors.InvalidRequestError: 400,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.PreconditionFailedError: 412,
    errors.StorageThrottledError: 429,
    errors.StorageUnavailableError: 503,
    errors.StorageError: 500,
}
_RETRY_AFTER_SECONDS: Final = {429: "1", 503: "2"}


@frozen(kw_only=True)
class Request:
    """
    What a client sent, free of how it came.

    Attributes:
        path_fields: Values of the fields in the path, still percent-encoded.
        query: Query parameters, decoded; the last value of one that is repeated.
        headers: By lower-case name.
        body: The body as text; as bytes where it was not UTF-8; None where there was none.
        request_id: Names the request in logs and answers.
    """

    path_fields: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    body: str | bytes | None = None
    request_id: str = ""


@frozen(kw_only=True)
class Response:
    """
    What the client gets.

    Attributes:
        status: The HTTP status.
        body: JSON text.
        headers: Those that belong to this answer; what every answer has is added by the adapter.
        code: The error's code, for the log; None for a success.
    """

    status: int
    body: str
    headers: dict[str, str] = field(factory=dict)
    code: str | None = None


class HttpError(Exception):
    """A request that fails before it has become a command."""

    def __init__(self, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


_HTTP_STATUS: Final = {
    "body_required": 400,
    "malformed_body": 400,
    "if_match_not_supported": 400,
    "bad_host": 400,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "payload_too_large": 413,
    "internal_error": 500,
}


def _tree(base: type[InventoryError]) -> list[type[InventoryError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _tree(child))]


CODES: Final[dict[str, int]] = {
    **_HTTP_STATUS,
    **{
        kind.code: next(_STATUS[parent] for parent in kind.__mro__ if parent in _STATUS)
        for kind in _tree(InventoryError)
        if kind is not InventoryError
    },
}
"""Every code that an answer may carry, with its status."""


def answer(inventory: Inventory, route: Route[Any, Any], request: Request) -> Response:
    """
    Answer *request*. Never raises.

    What nobody foresaw becomes a 500 that says nothing of what is inside, and a log entry that says all but the body.
    """
    try:
        made = route.answer(route.use_case(inventory, _command(route, request)))
        headers = {"ETag": made.etag} if made.etag else {}
        return Response(status=route.status, body=to_json(made.body), headers=headers)
    except Exception as error:  # noqa: BLE001 - the last line before the client
        return refusal(error, request_id=request.request_id)


def refusal(error: Exception, *, request_id: str) -> Response:
    """Return the answer that tells a client of *error*; log what the client is not told."""
    code, message = "internal_error", "Internal server error"
    headers: dict[str, str] = {}
    extra: dict[str, Any] = {}
    if isinstance(error, HttpError):
        code, message, headers = error.code, error.message, error.headers
    elif isinstance(error, InventoryError):
        code, message, extra = error.code, error.message, dict(error.facts)
        if isinstance(error, ValidationError):
            extra["details"] = [
                {"field": fault.field, "message": fault.message} for fault in error.faults
            ]
    status = CODES[code]
    if status >= 500:  # noqa: PLR2004 - RFC 9110, section 15.6: from here on it is our fault
        logger.error(
            "request failed", exc_info=error, extra={"request_id": request_id, "code": code}
        )
    if status in _RETRY_AFTER_SECONDS:
        headers = {**headers, "Retry-After": _RETRY_AFTER_SECONDS[status]}
    body = to_json({"error": message, "code": code, **extra})
    return Response(status=status, body=body, headers=headers, code=code)


def _command(route: Route[Any, Any], request: Request) -> Any:
    sent = _body(request) if route.has_body else _query(route, request)
    if_match = request.headers.get("if-match")
    if if_match is not None and not route.takes_if_match:
        raise HttpError(
            "if_match_not_supported", "If-Match has no meaning for this request; leave it out"
        )
    elsewhere: dict[str, Any] = {} if if_match is None else {"if_match": if_match}
    undecodable = []
    for name in route.path_fields:
        if name in request.path_fields:
            try:
                elsewhere[name] = unquote(request.path_fields[name], errors="strict")
            except UnicodeDecodeError:
                undecodable.append(Fault(name, "must be percent-encoded UTF-8"))
    if undecodable:
        raise ValidationError(undecodable)
    return build(route.command, sent, elsewhere, allowed=route.sent_fields)


def _query(route: Route[Any, Any], request: Request) -> dict[str, Any]:
    given = {
        QUERY_ALIASES.get(name, name): value
        for name, value in request.query.items()
        if name in QUERY_ALIASES
    }
    given.update(request.query)
    return {name: given[name] for name in route.sent_fields if name in given}


def _body(request: Request) -> dict[str, Any]:
    body = request.body
    if body is None or not body.strip():
        raise HttpError("body_required", "A JSON object is required as the body of this request")
    # A character is at most four bytes: only a body that may be too large is measured.
    if len(body) * 4 > MAX_BODY_BYTES and _size(body) > MAX_BODY_BYTES:
        raise HttpError("payload_too_large", f"The body may be {MAX_BODY_BYTES} bytes at most")
    if isinstance(body, bytes):
        raise HttpError("malformed_body", "The body is not UTF-8 text")
    try:
        # RFC 8259, section 8.1 lets a reader pass over a byte order mark; some shells send one.
        sent = from_json(body.removeprefix("\ufeff"))
    except MalformedJsonError as error:
        raise HttpError("malformed_body", f"The body is not valid JSON: {error}") from None
    if not isinstance(sent, dict):
        raise HttpError("malformed_body", "The body must be a JSON object")
    return sent


def _size(body: str | bytes) -> int:
    return len(body) if isinstance(body, bytes) else len(body.encode(errors="surrogatepass"))
