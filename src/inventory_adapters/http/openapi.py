"""
The OpenAPI document.

It is built from the route table, the bounds of commands (requests), the components of `schemas` (responses), docstrings (texts
and errors of each operation), `CODES` (error codes) and `exchanges` (examples). Every object is a named component, because
client generators need names.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from http import HTTPStatus
from importlib.metadata import version
from itertools import groupby
from typing import Any, Final

from inventory import errors
from inventory.commands import BatchItems, ItemRef, LineRequest, UpdateItem, row_fields
from inventory.validation import (
    Bound,
    JsonSchema,
    List,
    Money,
    Nullable,
    Object,
    Spec,
    object_schema,
    specs,
)
from inventory_adapters.http.errors import CODES, error_body
from inventory_adapters.http.examples import Exchange, exchanges
from inventory_adapters.http.identity import ACTOR_HEADER, MAX_USER_LENGTH
from inventory_adapters.http.routes import HEADER_FIELDS, QUERY_ALIASES, ROUTES, Route, route_named
from inventory_adapters.http.schemas import COMPONENTS, SUCCESSES, ref

__all__ = ["as_text", "document"]

Json = dict[str, Any]

_TITLE: Final = "Inventory"
_ABOUT: Final = """\
An inventory that never oversells. The same locally (`inventory serve`) and deployed.

Bodies are JSON objects of at most 1 MiB; unknown fields and duplicate keys are rejected. Every error has a `code` for programs
and a message for people. `ETag` and `If-Match` prevent one edit from overwriting another. A request with an `Idempotency-Key`
can be retried safely. Unknown query parameters are rejected, but those that begin with `_` are ignored. `sku`, `name`,
`category` and `location` are single lines, stored in Unicode's form NFC without white space at the ends; length limits apply to
the stored text."""

_SERVERS: Final = (
    {"url": "/", "description": "The server of this document, such as `inventory serve`."},
    {
        "url": "https://{api_id}.execute-api.{region}.amazonaws.com/{environment}",
        "description": "A deployment.",
        "variables": {
            "api_id": {"default": "api-id", "description": "See the output `ApiEndpoint`."},
            "region": {"default": "us-east-1"},
            "environment": {"default": "dev"},
        },
    },
)

_TAGS: Final = {
    "Items": "Items: details and quantities.",
    "Stock": "Changes of stock, and the ledger that records them.",
    "Reservations": "Units held for a limited time, then committed or released.",
}
_STOCK_PATHS: Final = ("adjustments", "counts", "movements", "stock", "transfers")

_HEADERS: Final[dict[str, Json]] = {
    "ETag": {
        "description": "State of the item: `<version>-<seq>` in quotes, for `If-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+-[0-9]+"$'},
    },
    "Idempotent-Replayed": {
        "description": "Present if this is the response to an earlier request with the same `Idempotency-Key`.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-Request-Id": {
        "description": "ID of the request, also in the log.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
}
# At least one character is not a space.
_VISIBLE: Final = r"[^\x00-\x1f\x7f-\xa0\xad]*"
_ACTOR: Final[Json] = {
    "name": ACTOR_HEADER,
    "in": "header",
    "description": "The user, for the ledger and the log; not `system:...`. Ignored if the gateway authenticates a user.",
    "required": False,
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_USER_LENGTH,
        "pattern": rf"^{_VISIBLE}[^\x00-\x20\x7f-\xa0\xad]{_VISIBLE}$",
    },
}
_RETRY_LATER: Final = (429, 503)

# Any operation may respond with these.
_SHARED: Final = {429: "Throttled", 500: "Failed", 503: "Unavailable"}


def document() -> Json:
    """Return the OpenAPI document of the API, a value for `json.dumps`."""
    spec = {
        "openapi": "3.1.0",
        "info": {
            "title": _TITLE,
            "version": version("tap-inventory"),
            "description": _ABOUT,
            "contact": {"name": "The tap-inventory authors"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": list(_SERVERS),
        "security": [{}, {"ApiKey": []}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": _paths(exchanges()),
        "components": {
            "schemas": {**_request_schemas(), **COMPONENTS, "ErrorCode": _error_codes()},
            "responses": _shared_responses(),
            "headers": _HEADERS,
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Api-Key",
                    "description": "Required by deployments with API keys, and by `inventory serve --api-keys`.",
                }
            },
        },
    }
    # Parts of the document are constants of this module, which a caller must not change.
    return deepcopy(spec)


def as_text() -> str:
    """Return the document as it is published in ``docs/openapi.json``."""
    return json.dumps(document(), indent=2) + "\n"


def _paths(examples: Iterable[Exchange]) -> Json:
    paths: Json = {}
    for route in ROUTES:
        own = [exchange for exchange in examples if exchange.route == route]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, own)
    return paths


def _operation(route: Route[Any, Any], examples: list[Exchange]) -> Json:
    summary, _, more = _prose(route.command).partition("\n\n")
    operation: Json = {
        "operationId": route.name,
        "tags": [_tag(route)],
        "summary": summary.rstrip("."),
        "description": f"{_prose(route.use_case)}\n\n{more}".strip(),
    }
    if parameters := list(_parameters(route, examples)):
        operation["parameters"] = parameters
    if route.has_body and route.sent_fields:
        operation["requestBody"] = _request_body(route, examples)
    operation["responses"] = _responses(route, examples)
    return operation


def _tag(route: Route[Any, Any]) -> str:
    if route.path.startswith("/reservations"):
        return "Reservations"
    return "Stock" if route.path.endswith(_STOCK_PATHS) else "Items"


# --- Requests


def _parameters(route: Route[Any, Any], examples: list[Exchange]) -> Iterator[Json]:
    fields = {spec.wire: spec for spec in specs(route.command)}
    for name in route.path_fields:
        yield _parameter("path", name, fields[name], examples)
    if not route.has_body:
        for name, spec in route.sent_fields.items():
            yield _parameter("query", name, spec, examples)
            for alias in (other for other, same in QUERY_ALIASES.items() if same == name):
                described = f"Another name of `{name}`. Send one of them."
                yield {**_parameter("query", alias, spec), "description": described}
    for header, name in route.header_fields.items():
        yield _parameter("header", header.title(), fields[name])
    if route.method != "GET":
        yield _ACTOR


def _parameter(place: str, name: str, spec: Spec, examples: Iterable[Exchange] = ()) -> Json:
    # A parameter cannot be null; it is omitted instead.
    bound = spec.bound.bound if isinstance(spec.bound, Nullable) else spec.bound
    # Tokens are URL-safe base64. Other text of that length, percent-encoded, may exceed the limits of servers on URLs.
    token = {"pattern": "^[A-Za-z0-9_-]+$"} if spec.wire in QUERY_ALIASES.values() else {}
    schema = {**bound.schema(), **token, **_default(spec)}
    parameter = {
        "name": name,
        "in": place,
        "description": bound.doc,
        "required": spec.required,
        "schema": schema,
    }
    if (example := _example(name, examples)) is not None:
        # Paths and queries are text, but the example must have the type of the schema.
        is_text = schema["type"] == "string"
        parameter["example"] = example if is_text else json.loads(example)
    return parameter


def _example(name: str, examples: Iterable[Exchange]) -> str | None:
    """Return the value of *name* in a successful request; no page tokens, because they are valid for one query only."""
    for exchange in examples:
        sent = {**exchange.request.path_fields, **exchange.request.query}
        if exchange.response.code is None and name in sent and name not in QUERY_ALIASES:
            return sent[name]
    return None


def _request_body(route: Route[Any, Any], examples: list[Exchange]) -> Json:
    bodies = {
        exchange.summary: {"value": exchange.sent}
        for exchange in examples
        if exchange.sent is not None and exchange.response.code is None
    }
    return {
        "required": route.requires_body,
        "content": {
            "application/json": {
                "schema": ref(route.command.__name__),
                "examples": _keyed(bodies),
            }
        },
    }


def _request_schemas() -> dict[str, JsonSchema]:
    """Return the request schemas, and those of the objects in them, by the names of their commands."""
    schemas: dict[str, JsonSchema] = {
        "BatchRow": {
            "description": "A row without `item_id` creates an item; a row with `item_id` updates that item.",
            "anyOf": [ref("CreateItem"), ref("UpdateItemRow")],
        },
        "UpdateItemRow": _request_schema(UpdateItem, row_fields(UpdateItem).values()),
        "ItemRef": _request_schema(ItemRef, specs(ItemRef)),
        "LineRequest": _request_schema(LineRequest, specs(LineRequest)),
    }
    for route in ROUTES:
        if route.has_body and route.sent_fields:
            name = route.command.__name__
            schemas[name] = _request_schema(route.command, route.sent_fields.values())
    schemas["BatchItems"]["properties"]["items"]["items"] = ref("BatchRow")
    return schemas


def _request_schema(command: type[Any], fields: Iterable[Spec]) -> JsonSchema:
    described = list(fields)
    schema = object_schema(described)
    for spec in described:
        schema["properties"][spec.wire] = {
            "description": _description(spec),
            **_described(spec.bound),
            **_default(spec),
        }
    return {"description": _prose(command), **schema}


def _description(spec: Spec) -> str:
    # Client generators do not support a default beside a reference.
    is_price = isinstance(spec.default, Decimal)
    return f"{spec.bound.doc} Default: {spec.default}." if is_price else spec.bound.doc


def _described(bound: Bound) -> JsonSchema:
    """Return the schema of a bound, with a reference in place of each object and price."""
    if isinstance(bound, Money):
        return {**ref("Price"), "minimum": 0, "maximum": float(bound.maximum)}
    if isinstance(bound, Object):
        return ref(bound.kind.__name__)
    if isinstance(bound, List):
        return {**bound.schema(), "items": _described(bound.bound)}
    return bound.schema()


def _default(spec: Spec) -> Json:
    """Return the keyword `default`, unless the default is None or UNSET, which mean that the field was not sent."""
    has_value = isinstance(spec.default, str | int)
    return {"default": spec.default} if has_value else {}


# --- Responses


def _responses(route: Route[Any, Any], examples: list[Exchange]) -> Json:
    successes = [exchange for exchange in examples if exchange.response.code is None]
    responses = {str(route.status): _success(route, successes)}
    descriptions = sorted(_error_descriptions(route).items(), key=_status)
    for status, group in groupby(descriptions, key=_status):
        rejected = [exchange for exchange in examples if exchange.response.status == status]
        responses[str(status)] = (
            {"$ref": f"#/components/responses/{_SHARED[status]}"}
            if status in _SHARED
            else _error_response(status, dict(group), rejected)
        )
    return responses


def _status(documented: tuple[str, str]) -> int:
    code, _ = documented
    return CODES[code]


def _shared_responses() -> Json:
    """Return the error responses that are the same for all operations."""
    descriptions = _error_descriptions(route_named("list_items"))
    return {
        name: _error_response(
            status, {code: text for code, text in descriptions.items() if CODES[code] == status}, []
        )
        for status, name in _SHARED.items()
    }


def _success(route: Route[Any, Any], successes: list[Exchange]) -> Json:
    success = SUCCESSES[route.name]
    names = ["ETag"] if success.etag else []
    if "idempotency-key" in route.header_fields:
        names.append("Idempotent-Replayed")
    return _response(
        HTTPStatus(route.status).phrase,
        headers=[*names, "X-Request-Id"],
        schema=ref(success.component),
        examples={exchange.summary: {"value": exchange.received} for exchange in successes},
    )


def _error_response(status: int, descriptions: Mapping[str, str], rejected: list[Exchange]) -> Json:
    examples = {exchange.summary: {"value": exchange.received} for exchange in rejected}
    codes = {exchange.response.code for exchange in rejected}
    for error in map(error_body, _MORE_ERRORS):
        if error["code"] in descriptions and error["code"] not in codes:
            examples[error["code"]] = {"value": error}
    response = _response(
        "\n".join(f"- `{code}`: {text}" for code, text in descriptions.items()),
        headers=[*(["Retry-After"] if status in _RETRY_LATER else []), "X-Request-Id"],
        schema=ref("Error"),
        examples=examples,
    )
    # All errors share one schema, so that a generated client has one class for them. The extension lists the codes.
    return {**response, "x-error-codes": list(descriptions)}


def _response(
    description: str, *, headers: Iterable[str], schema: JsonSchema, examples: Json
) -> Json:
    content: Json = {"schema": schema}
    if examples:
        content["examples"] = _keyed(examples)
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {"application/json": content},
    }


# --- Errors

# Errors that the examples do not produce, because they need concurrent requests or failing storage.
_MORE_ERRORS: Final = (
    errors.ContentionError(),
    errors.KeyReusedError(),
    errors.StorageThrottledError(),
    errors.StorageUnavailableError(),
    RuntimeError(),
)

# Codes of errors outside the domain.
_OTHER_CODES: Final = {
    "body_required": "The request has no body.",
    "malformed_body": "The body is not a JSON object in UTF-8.",
    "malformed_request": "The request is not valid HTTP (local server).",
    "payload_too_large": "The body is larger than 1 MiB.",
    "if_match_not_supported": "`If-Match` is not supported for this endpoint.",
    "idempotency_key_not_supported": "`Idempotency-Key` is not supported for imports: a file can be imported again safely.",
    "unreadable_file": "The file cannot be imported; the message gives the reason. Nothing was written.",
    "unknown_table": "The columns of the file are unknown. Map them.",
    "confirmation_required": "The first import has warnings that were not accepted. Nothing was written.",
    "request_timeout": "The file did not arrive: a pause of more than 30 seconds.",
    "import_running": "Another import is running. The local server runs one at a time.",
    "bad_host": "The `Host` header does not name the local server.",
    "api_key_required": "The request has no `X-Api-Key` (local server with keys).",
    "wrong_api_key": "The `X-Api-Key` is wrong (local server with keys).",
    "read_only_key": "The `X-Api-Key` can only read (local server with keys).",
    "too_many_wrong_keys": "Too many requests with wrong keys wait for their answers (local server with keys).",
    "forbidden_origin": "A page of another site sent the request to the local server.",
    "head_too_large": "The request line and headers are larger than 64 KiB (local server).",
    "too_many_connections": "Too many connections (local server).",
    "route_not_found": "The path does not exist.",
    "method_not_allowed": "The path does not have this method; `Allow` lists its methods.",
    "not_applied": "Other rows of the batch were rejected.",
    "internal_error": "Unexpected error. The log has details, under the `X-Request-Id`.",
}


def _error_codes() -> JsonSchema:
    texts = {**{kind.code: _prose(kind) for kind in _error_kinds()}, **_OTHER_CODES}
    by_status = sorted(CODES, key=lambda code: (CODES[code], code))
    lines = [f"- {CODES[code]} `{code}`: {_first(texts[code])}" for code in by_status]
    description = "\n".join(
        ["Later versions may add codes. Handle unknown codes by their status.", "", *lines]
    )
    return {"type": "string", "description": description, "x-extensible-enum": by_status}


def _error_kinds() -> Iterator[type[errors.InventoryError]]:
    for name in errors.__all__:
        kind = getattr(errors, name)
        # Errors without a code are base classes.
        if issubclass(kind, errors.InventoryError) and "code" in vars(kind):
            yield kind


def _error_descriptions(route: Route[Any, Any]) -> dict[str, str]:
    """Return the codes that an operation may respond with, and the description of each."""
    descriptions = {code: _OTHER_CODES[code] for code in _codes_before_command(route)}
    descriptions |= {kind.code: _first(_prose(kind)) for kind in _common_errors(route)}
    # The docstring of the use case describes its own errors best.
    raised = _section(route.use_case, "Raises")
    return descriptions | {getattr(errors, name).code: text for name, text in raised.items()}


def _codes_before_command(route: Route[Any, Any]) -> Iterator[str]:
    if route.requires_body:
        yield "body_required"
    if route.has_body:
        yield from ("malformed_body", "payload_too_large")
    if "if-match" not in route.header_fields:
        yield "if_match_not_supported"
    yield "internal_error"


def _common_errors(route: Route[Any, Any]) -> Iterator[type[errors.InventoryError]]:
    """Yield the errors of bounds and of all use cases, which the docstrings of use cases do not repeat."""
    yield errors.ValidationError
    yield from (kind for kind in _error_kinds() if issubclass(kind, errors.StorageError))
    if route.method != "GET":
        yield errors.ContentionError
    if "idempotency-key" in route.header_fields:
        yield errors.KeyReusedError
    if route.command is BatchItems:
        yield errors.BatchTooLargeError


# --- Texts


def _prose(documented: object) -> str:
    """Return a docstring up to its first section, without the asterisks of arguments."""
    prose = re.split(r"\n\n[A-Z]\w+:\n", inspect.getdoc(documented) or "")[0]
    return re.sub(r"\*(\w+)\*", r"\1", prose)


def _first(prose: str) -> str:
    return prose.partition("\n")[0]


def _section(documented: object, heading: str) -> dict[str, str]:
    """Return the texts in a section of a docstring, by name: ``{"ItemNotFoundError": "The item does not exist."}``."""
    _, _, section = (inspect.getdoc(documented) or "").partition(f"\n{heading}:\n")
    section = re.split(r"\n\n(?=\S)", section)[0]
    # A line with more indentation continues the previous line.
    lines = re.sub(r"\n {8,}", " ", section).splitlines()
    entries = (line.strip().partition(": ") for line in lines)
    return {name: _for_http(text) for names, _, text in entries for name in names.split(", ")}


def _for_http(text: str) -> str:
    """Return *text* with the names of headers and JSON in place of Python's."""
    for header, name in HEADER_FIELDS.items():
        text = text.replace(f"`{name}`", f"`{header.title()}`")
    return re.sub(r"\bNone\b", "null", text)


def _keyed(examples: Json) -> Json:
    """Return *examples* by keys of letters, digits and hyphens, as OpenAPI requires."""
    return {
        re.sub(r"\W+", "-", summary).strip("-").lower(): {"summary": summary, **example}
        for summary, example in examples.items()
    }
