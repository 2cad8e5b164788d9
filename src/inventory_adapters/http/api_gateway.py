"""
API Gateway REST proxy events (payload version 1) as requests, and responses as proxy results.

A handler always returns a result, however malformed the event is: every field may be null or missing.
Source: "Input format of a Lambda function for proxy integration" in the API Gateway developer guide.
"""

import logging
import re
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from attrs import frozen

from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory_adapters.aws.usage import Usage
from inventory_adapters.http.app import answer, error_response
from inventory_adapters.http.identity import ACTOR_HEADER, Identity, named_user
from inventory_adapters.http.messages import Request, Response, combine_headers
from inventory_adapters.http.routes import Route

__all__ = [
    "ALLOWED_HEADERS",
    "EXPOSED_HEADERS",
    "App",
    "Cors",
    "Handler",
    "identity_of",
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
    ACTOR_HEADER,
)
EXPOSED_HEADERS: Final = ("ETag", "Idempotent-Replayed", "Retry-After", "X-Request-Id")
_EXPOSED: Final = ", ".join(EXPOSED_HEADERS)

# Part of Lambda's time that is reserved for sending the response.
_RESERVE_SECONDS: Final = 0.5
# Used if the context does not say how much time is left.
_DEFAULT_SECONDS: Final = 4.0

# Source: "IAM identifiers" in the IAM user guide: arn:partition:sts::account:assumed-role/role/session.
_ASSUMED_ROLE: Final = re.compile(r"arn:[^:]*:sts:[^:]*:[^:]*:assumed-role/[^/]+")

# Stands for a body that cannot be decoded; `answer` rejects it.
_NOT_UTF8: Final = b"\xff"

logger = logging.getLogger("inventory_adapters.http")


@frozen
class Cors:
    """
    The origins whose pages may read responses (https://fetch.spec.whatwg.org/#http-cors-protocol).

    Attributes:
        origins: Origins such as ``https://shop.example.com``; ``*`` allows all.
    """

    origins: Collection[str] = ()

    def allows(self, origin: str) -> bool:
        """Return whether *origin* is allowed."""
        return "*" in self.origins or origin in self.origins

    def headers(self, origin: str | None) -> dict[str, str]:
        """Return the headers of a response to a page of *origin*."""
        headers = {"Access-Control-Expose-Headers": _EXPOSED}
        if "*" in self.origins:
            return {**headers, "Access-Control-Allow-Origin": "*"}
        # Also sent without an origin, because a cache must not return the response to one origin to another.
        headers["Vary"] = "Origin"
        if origin is not None and self.allows(origin):
            headers["Access-Control-Allow-Origin"] = origin
        return headers


@frozen
class App:
    """
    What all handlers of a process share.

    Attributes:
        inventory: The inventory.
        cors: The origins whose pages may read responses.
        actor_claim: The claim of a Cognito user that becomes the actor.
    """

    inventory: Inventory
    cors: Cors = Cors()
    actor_claim: str = "sub"


def make_handler(route: Route[Any, Any], current_app: Callable[[], App]) -> Handler:
    """
    Return the Lambda handler of one route.

    Args:
        route: The route. The handler ignores the path and method of the event.
        current_app: Called for each event; it may raise.
    """

    def handler(event: Any, context: Any = None) -> dict[str, Any]:
        started = perf_counter()
        cold = _is_first_request()
        usage = Usage()
        event = event if isinstance(event, dict) else {}
        request_id = _request_id(event, context)
        cors_headers: dict[str, str] = {}
        identity = Identity()
        try:
            app = current_app()
            headers = _headers(event)
            cors_headers = app.cors.headers(headers.get("origin"))
            identity = identity_of(event.get("requestContext"), headers, app.actor_claim)
            request = to_request(event, route, request_id, headers, identity)
            with deadline(seconds_left(context)), usage:
                response = answer(app.inventory, route, request)
        except Exception as error:  # noqa: BLE001 - a handler always returns a result
            response = error_response(error, request_id=request_id)
        about = {"route": route.name, "actor": identity.actor, "cold": cold, **usage.fields}
        if version := getattr(context, "function_version", None):
            # A rollout compares the errors of the new version with those of the old one.
            about["function_version"] = version
        log_request(response, request_id, started, **about)
        return to_result(response, request_id, cors_headers)

    return handler


# Popped by the first request of the process, which has the cold start.
_first_request: Final = [True]


def _is_first_request() -> bool:
    return bool(_first_request) and _first_request.pop()


def log_request(response: Response, request_id: str, started: float, **fields: Any) -> None:
    """Log a request with its response and *fields*; *started* is the `perf_counter` of its start."""
    extra = {
        "request_id": request_id,
        **fields,
        "status": response.status,
        "duration_ms": round((perf_counter() - started) * 1000, 3),
        "code": response.code,
    }
    logger.info("request", extra=extra)


def to_request(
    event: dict[str, Any],
    route: Route[Any, Any],
    request_id: str,
    headers: Mapping[str, str],
    identity: Identity,
) -> Request:
    """Return the request in *event*; malformed fields are ignored."""
    return Request(
        path_fields=_texts(event.get("pathParameters")) or _from_path(event, route),
        query=_query(event),
        headers=headers,
        body=_body(event),
        request_id=request_id,
        caller=identity.caller,
        actor=identity.actor,
    )


def to_result(response: Response, request_id: str, cors: dict[str, str]) -> dict[str, Any]:
    """Return *response* as a proxy result: ``{"statusCode": 200, "headers": {...}, "body": "...", ...}``."""
    return {
        "statusCode": response.status,
        "headers": response.all_headers(request_id, cors),
        "body": response.text,
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
    singles = _texts(event.get("queryStringParameters"))
    lists = event.get("multiValueQueryStringParameters")
    # API Gateway sends each name in both fields; the single-value field has the last value.
    if not isinstance(lists, dict) or lists.keys() <= singles.keys():
        return singles
    last = {
        name: values[-1] for name, values in lists.items() if isinstance(values, list) and values
    }
    return {**_texts(last), **singles}


def _headers(event: dict[str, Any]) -> dict[str, str]:
    singles, lists = event.get("headers"), event.get("multiValueHeaders")
    headers = combine_headers(_texts(singles).items())
    if isinstance(lists, dict):
        # API Gateway sends each name in both fields; `headers` has only the last value.
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
            return _NOT_UTF8
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body
    if body is None or isinstance(body, str):
        return body
    return _NOT_UTF8


def identity_of(context: Any, headers: Mapping[str, str], actor_claim: str = "sub") -> Identity:
    """
    Return the identity in a requestContext.

    The caller includes the kind of identity, so a user and an API key with the same name are two callers. An API key is
    identified by its ID: its value is a secret. `X-Actor` counts only where no user is authenticated.

    Args:
        context: The requestContext; malformed parts are ignored.
        headers: By lower-case name.
        actor_claim: The claim of a Cognito user that becomes the actor; `sub` stands in for it if it is missing.

    Raises:
        ValidationError: The actor is invalid.
    """
    context = context if isinstance(context, dict) else {}
    authorizer, identity = context.get("authorizer"), _texts(context.get("identity"))
    claims = _texts(authorizer.get("claims")) if isinstance(authorizer, dict) else {}
    if sub := claims.get("sub"):
        return Identity(f"cognito:{sub}", claims.get(actor_claim) or sub)
    if principal := _texts(authorizer).get("principalId"):
        return Identity(f"authorizer:{principal}", principal)
    if arn := identity.get("userArn"):
        return Identity(f"iam:{_without_session(arn)}", arn)
    if key := identity.get("apiKeyId"):
        return Identity(f"api-key:{key}", named_user(headers, key=key))
    return Identity(actor=named_user(headers))


def _without_session(arn: str) -> str:
    """Return *arn*, without the session name of an assumed role, because it differs in every session."""
    match = _ASSUMED_ROLE.match(arn)
    return match[0] if match else arn


def _request_id(event: dict[str, Any], context: Any) -> str:
    candidates = (
        _texts(event.get("requestContext")).get("requestId"),
        getattr(context, "aws_request_id", None),
    )
    for candidate in candidates:
        # It is sent as a header, so other characters are not allowed.
        if (
            isinstance(candidate, str)
            and candidate.isascii()
            and candidate.isprintable()
            and candidate
        ):
            return candidate
    return str(uuid4())


def seconds_left(context: Any) -> float:
    """Return how long a handler may run: Lambda's remaining time, less the time to send the response."""
    try:
        return float(context.get_remaining_time_in_millis()) / 1000 - _RESERVE_SECONDS
    except (AttributeError, TypeError, ValueError):
        return _DEFAULT_SECONDS
