"""
API Gateway REST (payload version 1) proxy event → Request, Response → proxy result.

The event may be broken in any way, every field null or absent: a handler always returns a result.
Source: "Input format of a Lambda function for proxy integration" in the API Gateway developer guide.
"""

import logging
import re
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from attrs import frozen

from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory_adapters.aws.usage import Usage
from inventory_adapters.http.app import Request, Response, answer, error_response
from inventory_adapters.http.routes import Route

__all__ = [
    "ALLOWED_HEADERS",
    "EXPOSED_HEADERS",
    "Cors",
    "Handler",
    "caller_of",
    "combine_headers",
    "log_request",
    "make_handler",
    "seconds_left",
    "to_request",
    "to_result",
]

Handler = Callable[[Any, Any], dict[str, Any]]

ALLOWED_HEADERS: Final = (
    "Content-Type",
    "X-Amz-Date",
    "Authorization",
    "X-Api-Key",
    "If-Match",
    "Idempotency-Key",
)
EXPOSED_HEADERS: Final = ("ETag", "Idempotent-Replayed", "Retry-After", "X-Request-Id")
_EXPOSED: Final = ", ".join(EXPOSED_HEADERS)

# Left of Lambda's time to send the answer; and the whole time where nothing says how much there is.
_RESERVE_SECONDS: Final = 0.5
_DEFAULT_SECONDS: Final = 4.0

# Source: "IAM identifiers" in the IAM user guide: arn:partition:sts::account:assumed-role/role/session.
_ASSUMED_ROLE: Final = re.compile(r"arn:[^:]*:sts:[^:]*:[^:]*:assumed-role/[^/]+")

logger = logging.getLogger("inventory_adapters.http")


@frozen
class Cors:
    """
    Which pages may read our answers (https://fetch.spec.whatwg.org/#http-cors-protocol).

    Attributes:
        origins: Origins such as ``https://shop.example.com``; `*` among them for all.
    """

    origins: Collection[str] = ()

    def allows(self, origin: str) -> bool:
        """Return whether *origin* is one of the origins."""
        return "*" in self.origins or origin in self.origins

    def headers(self, origin: str | None) -> dict[str, str]:
        """Return the headers for an answer to a page of *origin*."""
        headers = {"Access-Control-Expose-Headers": _EXPOSED}
        if "*" in self.origins:
            return {**headers, "Access-Control-Allow-Origin": "*"}
        # Also where there is no origin: a cache must not give one page's answer to another's.
        headers["Vary"] = "Origin"
        if origin is not None and self.allows(origin):
            headers["Access-Control-Allow-Origin"] = origin
        return headers


def make_handler(route: Route[Any, Any], wired: Callable[[], tuple[Inventory, Cors]]) -> Handler:
    """
    Make the Lambda handler of one route.

    Args:
        route: What the handler answers, whatever path and method an event names.
        wired: Returns the inventory to work on, and who may read the answers. Asked for each event; it may raise.
    """

    def handler(event: Any, context: Any = None) -> dict[str, Any]:
        started = perf_counter()
        cold = _is_first_request()
        usage = Usage()
        event = event if isinstance(event, dict) else {}
        request_id = _request_id(event, context)
        cors_headers: dict[str, str] = {}
        try:
            request = to_request(event, route, request_id)
            inventory, cors = wired()
            cors_headers = cors.headers(request.headers.get("origin"))
            with deadline(seconds_left(context)), usage:
                response = answer(inventory, route, request)
        except Exception as error:  # noqa: BLE001 - the promise of this module
            response = error_response(error, request_id=request_id)
        about = {"route": route.name, "cold": cold, **usage.fields}
        if version := getattr(context, "function_version", None):
            # By which a rollout tells the new version's failures from the old one's.
            about["function_version"] = version
        log_request(response, request_id, started, **about)
        return to_result(response, request_id, cors_headers)

    return handler


# Popped by the first request of the process, which has the cold start.
_first_request: Final = [True]


def _is_first_request() -> bool:
    return bool(_first_request) and _first_request.pop()


def log_request(response: Response, request_id: str, started: float, **about: Any) -> None:
    """Log a request that was answered; *started* as `perf_counter` told it, *about* is what else there is to say."""
    if not (logger.isEnabledFor(logging.INFO) and logger.hasHandlers()):
        return  # Nobody listens, and a record takes as long to make as an item to read.
    said = {
        "request_id": request_id,
        **about,
        "status": response.status,
        "duration_ms": round((perf_counter() - started) * 1000, 3),
        "code": response.code,
    }
    # As logger.info would, but without its search for the line that called it: a third of what a record costs.
    record = logging.getLogRecordFactory()(
        logger.name, logging.INFO, __file__, 0, "request", (), None
    )
    vars(record).update(said)
    logger.handle(record)


def to_request(event: dict[str, Any], route: Route[Any, Any], request_id: str) -> Request:
    """Read what *event* says, and pass over what it says in no readable form."""
    return Request(
        path_fields=_texts(event.get("pathParameters")) or _from_path(event, route),
        query=_query(event),
        headers=_headers(event),
        body=_body(event),
        request_id=request_id,
        caller=caller_of(event.get("requestContext")),
    )


def combine_headers(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """
    Return headers by lower-case name; the values of repeated lines are joined by commas (RFC 9110, section 5.3).

    A header that has one value, such as Idempotency-Key, becomes invalid when it is repeated, and is rejected as such.
    """
    headers: dict[str, str] = {}
    for name, value in lines:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def to_result(response: Response, request_id: str, cors: dict[str, str]) -> dict[str, Any]:
    """Return *response* in the form that API Gateway sends on."""
    return {
        "statusCode": response.status,
        "headers": {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
            **cors,
            **response.headers,
        },
        "body": response.body,
        "isBase64Encoded": False,
    }


def _texts(value: Any) -> dict[str, str]:
    if not value or not isinstance(value, dict):
        return {}
    return {
        name: text
        for name, text in value.items()
        if isinstance(name, str) and isinstance(text, str)
    }


def _query(event: dict[str, Any]) -> dict[str, str]:
    values = _texts(event.get("queryStringParameters"))
    lists = event.get("multiValueQueryStringParameters")
    # API Gateway sends each name in both fields, the last value in the single one.
    if not isinstance(lists, dict) or lists.keys() <= values.keys():
        return values
    last = {name: sent[-1] for name, sent in lists.items() if isinstance(sent, list) and sent}
    return {**_texts(last), **values}


def _headers(event: dict[str, Any]) -> dict[str, str]:
    singles, lists = event.get("headers"), event.get("multiValueHeaders")
    headers = combine_headers(_texts(singles).items())
    if isinstance(lists, dict):
        # API Gateway sends each name in both fields, in `headers` with its last value alone.
        headers |= combine_headers(
            (name, value)
            for name, values in lists.items()
            if isinstance(name, str) and isinstance(values, list)
            for value in values
            if isinstance(value, str)
        )
    return headers


def _from_path(event: dict[str, Any], route: Route[Any, Any]) -> dict[str, str]:
    path = event.get("path")
    match = route.pattern.fullmatch(path) if isinstance(path, str) else None
    return match.groupdict() if match else {}


def _body(event: dict[str, Any]) -> str | bytes | None:
    body = event.get("body")
    if isinstance(body, str) and event.get("isBase64Encoded") is True:
        try:
            body = b64decode(body, validate=True)
        except ValueError:
            return b"\xff"  # What is not base64 is no text either.
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body
    if body is None or isinstance(body, str):
        return body
    return b"\xff"


def caller_of(context: Any) -> str:
    """
    Return the caller that a requestContext names, the scope of its idempotency keys; empty where there is none.

    The kind is part of the result, so a user and an API key of the same name are two callers. The value of an API key is a
    secret and is never used, only its id.
    """
    context = context if isinstance(context, dict) else {}
    authorizer, identity = context.get("authorizer"), _texts(context.get("identity"))
    claims = _texts(authorizer.get("claims")) if isinstance(authorizer, dict) else {}
    candidates = (
        ("cognito", claims.get("sub")),
        ("authorizer", _texts(authorizer).get("principalId")),
        ("iam", _without_session(identity.get("userArn"))),
        ("api-key", identity.get("apiKeyId")),
    )
    return next((f"{kind}:{name}" for kind, name in candidates if name), "")


def _without_session(arn: str | None) -> str | None:
    """Return *arn*, that of an assumed role without the session, whose name changes from one to the next."""
    match = _ASSUMED_ROLE.match(arn or "")
    return match[0] if match else arn


def _request_id(event: dict[str, Any], context: Any) -> str:
    about = event.get("requestContext")
    found = about.get("requestId") if isinstance(about, dict) else None
    if not isinstance(found, str) or not found:
        found = getattr(context, "aws_request_id", None)
    return (
        found
        if isinstance(found, str) and found.isascii() and found.isprintable() and found
        else str(uuid4())
    )


def seconds_left(context: Any) -> float:
    """Return how long a handler may work: Lambda's remaining time, less what it takes to answer."""
    try:
        return float(context.get_remaining_time_in_millis()) / 1000 - _RESERVE_SECONDS
    except Exception:  # noqa: BLE001 - no context, or one of a test
        return _DEFAULT_SECONDS
