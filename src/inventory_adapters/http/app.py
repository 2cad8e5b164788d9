"""Request → command → use case → Response."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

from attrs import field, frozen

from inventory.errors import FieldError, ValidationError
from inventory.idempotency import IdempotencyKey
from inventory.service import Inventory
from inventory.validation import build
from inventory_adapters.http.errors import CODES, HttpError, error_body
from inventory_adapters.http.routes import QUERY_ALIASES, Route
from inventory_adapters.wire import MalformedJsonError, from_json, to_json

__all__ = ["MAX_BODY_BYTES", "Request", "Response", "answer", "error_response"]

MAX_BODY_BYTES: Final = 1 << 20

logger = logging.getLogger("inventory_adapters.http")

# The response repeats what the caller sent, so it is cut.
_MOST_FAULTS: Final = 100

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
        caller: Whoever the gateway says it is; idempotency keys are the caller's own.
    """

    path_fields: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    body: str | bytes | None = None
    request_id: str = ""
    caller: str = ""


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


def answer(inventory: Inventory, route: Route[Any, Any], request: Request) -> Response:
    """
    Answer *request*. Never raises.

    What nobody foresaw becomes a 500 that says nothing of what is inside, and a log entry that says all but the body.
    """
    try:
        command = _command(route, request)
        made = route.answer(route.use_case(inventory, command))
        headers = {"ETag": made.etag} if made.etag else {}
        key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
        if key is not None and key.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(status=route.status, body=to_json(made.body), headers=headers)
    except Exception as error:  # noqa: BLE001 - the last line before the client
        return error_response(error, request_id=request.request_id)


def error_response(error: Exception, *, request_id: str) -> Response:
    """Return the answer that tells a client of *error*; log what the client is not told."""
    body = error_body(error)
    status = CODES[body["code"]]
    if status >= 500:  # noqa: PLR2004 - RFC 9110, section 15.6: from here on it is our fault
        logger.error(
            "request failed",
            exc_info=error,
            extra={"request_id": request_id, "code": body["code"]},
        )
    headers = dict(error.headers) if isinstance(error, HttpError) else {}
    if status in _RETRY_AFTER_SECONDS:
        headers["Retry-After"] = _RETRY_AFTER_SECONDS[status]
    return Response(status=status, body=to_json(body), headers=headers, code=body["code"])


def _command(route: Route[Any, Any], request: Request) -> Any:
    query, faults = _query(route, request)
    sent = _body(route, request) if route.has_body else query
    elsewhere: dict[str, Any] = {
        name: request.headers[header]
        for header, name in route.header_fields.items()
        if header in request.headers
    }
    if "if-match" in request.headers and "if_match" not in elsewhere:
        raise HttpError(
            "if_match_not_supported", "If-Match has no meaning for this request; leave it out"
        )
    if "idempotency_key" in elsewhere:
        # A value that is none stays as it is, for the bound to refuse beside all else that is wrong.
        with suppress(ValueError):
            elsewhere["idempotency_key"] = IdempotencyKey(
                elsewhere["idempotency_key"], scope=request.caller
            )
    undecodable = []
    for name in route.path_fields:
        if name in request.path_fields:
            try:
                elsewhere[name] = unquote(request.path_fields[name], errors="strict")
            except UnicodeDecodeError:
                undecodable.append(FieldError(name, "must be percent-encoded UTF-8"))
    if undecodable:
        raise ValidationError(errors=(*faults, *undecodable))
    if not faults:
        return build(route.command, sent, elsewhere, allowed=route.sent_fields)
    try:
        build(route.command, sent, elsewhere, allowed=route.sent_fields)
    except ValidationError as error:
        faults += error.errors
    raise ValidationError(errors=tuple(faults))


def _query(route: Route[Any, Any], request: Request) -> tuple[dict[str, str], list[FieldError]]:
    """
    Return the query parameters by field, and what is wrong with their names.

    A mistyped filter would otherwise return the whole list. Names that begin with ``_`` are left to caches and trackers.
    """
    known = () if route.has_body else route.sent_fields
    sent: dict[str, str] = {}
    faults: list[FieldError] = []
    for name, value in request.query.items():
        field_name = QUERY_ALIASES.get(name, name)
        if field_name in known:
            if sent.setdefault(field_name, value) != value:
                faults.append(
                    FieldError(name, f"is another name of {field_name}, which has another value")
                )
        elif not name.startswith("_") and len(faults) < _MOST_FAULTS:
            faults.append(FieldError(name[:128], "is not a query parameter of this request"))
    return sent, faults


def _body(route: Route[Any, Any], request: Request) -> dict[str, Any]:
    body = request.body
    if body is None or not body.strip():
        if not any(spec.required for spec in route.sent_fields.values()):
            return {}
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
