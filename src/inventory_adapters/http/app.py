"""Handle a request: build the command, call the use case, return its response."""

import logging
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

from attrs import evolve

from inventory.errors import FieldError, ValidationError
from inventory.idempotency import IdempotencyKey
from inventory.service import Inventory
from inventory.validation import build
from inventory_adapters.http.errors import CODES, HttpError, error_body
from inventory_adapters.http.messages import Request, Response
from inventory_adapters.http.routes import QUERY_ALIASES, Route
from inventory_adapters.wire import MalformedJsonError, from_json, to_json

__all__ = ["MAX_BODY_BYTES", "answer", "error_response"]

MAX_BODY_BYTES: Final = 1 << 20

logger = logging.getLogger("inventory_adapters.http")

# The response repeats the names that the caller sent, so their number is limited.
_MOST_FAULTS: Final = 100

_SERVER_ERROR: Final = 500  # RFC 9110, section 15.6: this status and those above it.
_RETRY_AFTER_SECONDS: Final = {429: "1", 503: "2"}


def answer(inventory: Inventory, route: Route[Any, Any], request: Request) -> Response:
    """
    Return the response to *request*. Never raises.

    Unexpected errors return a generic 500; details are logged, except the request body.
    """
    try:
        command = _command(route, request)
        if request.actor != inventory.actor:
            inventory = inventory.acting_as(request.actor)
        response = route.answer(route.use_case(inventory, command))
        headers = {**response.headers}
        key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
        if key is not None and key.replayed:
            headers["Idempotent-Replayed"] = "true"
        # Written as JSON here, so that an error in that is handled like any other.
        return evolve(response, status=route.status, body=response.text, headers=headers)
    except Exception as error:  # noqa: BLE001 - every error becomes a response
        return error_response(error, request_id=request.request_id)


def error_response(error: Exception, *, request_id: str) -> Response:
    """Return the response to *error*; log the details that it leaves out."""
    body = error_body(error)
    status = CODES[body["code"]]
    if status >= _SERVER_ERROR:
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
        raise HttpError("if_match_not_supported", "If-Match is not supported for this endpoint")
    if "idempotency_key" in elsewhere:
        # An invalid key stays text, so that its bound reports it together with the other invalid fields.
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
    Return the query parameters by field, and the errors in their names.

    Unknown names are errors, because a mistyped filter would return the whole list. Names that begin with ``_`` are ignored:
    caches and trackers use them.
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
    # A character is at most four bytes, so only a body that may be too large is measured.
    if len(body) * 4 > MAX_BODY_BYTES and _size(body) > MAX_BODY_BYTES:
        raise HttpError("payload_too_large", f"The body may be {MAX_BODY_BYTES} bytes at most")
    if isinstance(body, bytes):
        raise HttpError("malformed_body", "The body is not UTF-8 text")
    try:
        # RFC 8259, section 8.1 allows a parser to ignore a byte order mark; some shells send one.
        sent = from_json(body.removeprefix("\ufeff"))
    except MalformedJsonError as error:
        raise HttpError("malformed_body", f"The body is not valid JSON: {error}") from None
    if not isinstance(sent, dict):
        raise HttpError("malformed_body", "The body must be a JSON object")
    return sent


def _size(body: str | bytes) -> int:
    return len(body) if isinstance(body, bytes) else len(body.encode(errors="surrogatepass"))
