"""
ROUTES + commands → OpenAPI document.

Requests come from the commands' bounds, answers from the components of `schemas`, texts and errors from docstrings, error codes
from `CODES`, and examples from `exchanges`. Generators of clients read the document, so every object is a named component.
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
from inventory.commands import BatchItems, ItemRef, LineRequest, UpdateItem
from inventory.validation import (
    Bound,
    JsonSchema,
    List,
    Money,
    Nullable,
    Record,
    Spec,
    object_schema,
    specs,
)
from inventory_adapters.http.errors import CODES, error_body
from inventory_adapters.http.examples import Exchange, exchanges
from inventory_adapters.http.routes import HEADER_FIELDS, QUERY_ALIASES, ROUTES, Route, route_named
from inventory_adapters.http.schemas import COMPONENTS, SUCCESSES, ref

__all__ = ["as_text", "document"]

Json = dict[str, Any]

_TITLE: Final = "Inventory"
_ABOUT: Final = """\
An inventory that never oversells. The same locally (`inventory serve`) and deployed.

Bodies are JSON objects of at most 1 MiB; unknown fields and duplicate keys are refused. Every error has a `code` for programs
and a sentence for people. `ETag` and `If-Match` keep one edit from overwriting another; with an `Idempotency-Key`, a
request that writes can be sent again without a second effect. Unknown query parameters are rejected by name; those that begin
with `_` are ignored. `sku`, `name`, `category` and `location` are one line each: stored in Unicode's form NFC, without white
space at the ends, and as long as the stored text is."""

_SERVERS: Final = (
    {"url": "/", "description": "Where this document was read, such as `inventory serve`."},
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
    "Items": "What there is: its details, and how much of it.",
    "Stock": "Movements, and the ledger that keeps them.",
    "Reservations": "Units that are held for a while, then leave or come back.",
}
_STOCK_PATHS: Final = ("adjustments", "counts", "movements", "transfers")

_HEADERS: Final[dict[str, Json]] = {
    "ETag": {
        "description": "The state of the item: `<version>-<seq>` in quotes, for `If-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+-[0-9]+"$'},
    },
    "Idempotent-Replayed": {
        "description": "There if this is the answer to an earlier request with the same `Idempotency-Key`.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-Request-Id": {
        "description": "Names the request, here and in the log.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
}
_RETRY_LATER: Final = (429, 503)

# What is our fault, or storage's, may happen to any request.
_OURS: Final = {429: "Throttled", 500: "Failed", 503: "Unavailable"}


def document() -> Json:
    """Return the OpenAPI document of the API: a value for `json.dumps`, equal each time."""
    told = exchanges()
    made = {
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
        "paths": _paths(told),
        "components": {
            "schemas": {**_request_schemas(), **COMPONENTS, "ErrorCode": _error_codes()},
            "responses": _shared_responses(),
            "headers": _HEADERS,
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Api-Key",
                    "description": "Where the deployment asks for one; `inventory serve` does not.",
                }
            },
        },
    }
    # Constants of this module are among its parts; what a caller changes shall be the caller's own.
    return deepcopy(made)


def as_text() -> str:
    """Return the document as it is published in ``docs/openapi.json``."""
    return json.dumps(document(), indent=2) + "\n"


def _paths(told: Iterable[Exchange]) -> Json:
    paths: Json = {}
    for route in ROUTES:
        own = [exchange for exchange in told if exchange.route == route]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, own)
    return paths


def _operation(route: Route[Any, Any], told: list[Exchange]) -> Json:
    summary, _, more = _prose(route.command).partition("\n\n")
    operation: Json = {
        "operationId": route.name,
        "tags": [_tag(route)],
        "summary": summary.rstrip("."),
        "description": f"{_prose(route.use_case)}\n\n{more}".strip(),
    }
    if parameters := list(_parameters(route, told)):
        operation["parameters"] = parameters
    if route.has_body and route.sent_fields:
        operation["requestBody"] = _request_body(route, told)
    operation["responses"] = _responses(route, told)
    return operation


def _tag(route: Route[Any, Any]) -> str:
    if route.path.startswith("/reservations"):
        return "Reservations"
    return "Stock" if route.path.endswith(_STOCK_PATHS) else "Items"


# --- Requests


def _parameters(route: Route[Any, Any], told: list[Exchange]) -> Iterator[Json]:
    fields = {spec.wire: spec for spec in specs(route.command)}
    for name in route.path_fields:
        yield _parameter("path", name, fields[name], told)
    if not route.has_body:
        for name, spec in route.sent_fields.items():
            yield _parameter("query", name, spec, told)
            for alias in (other for other, same in QUERY_ALIASES.items() if same == name):
                described = f"Another name of `{name}`; send one of them."
                yield {**_parameter("query", alias, spec), "description": described}
    for header, name in route.header_fields.items():
        yield _parameter("header", header.title(), fields[name])


def _parameter(place: str, name: str, spec: Spec, told: Iterable[Exchange] = ()) -> Json:
    # Nothing in a URL or a header is null: left out is how it is said there.
    bound = spec.bound.bound if isinstance(spec.bound, Nullable) else spec.bound
    # Tokens are URL-safe base64; any other text of their length could make a URL longer than servers read.
    token = {"pattern": "^[A-Za-z0-9_-]+$"} if spec.wire in QUERY_ALIASES.values() else {}
    schema = {**bound.schema(), **token, **_default(spec)}
    parameter = {
        "name": name,
        "in": place,
        "description": bound.doc,
        "required": spec.required,
        "schema": schema,
    }
    if (example := _example(name, told)) is not None:
        # A path or a query is text; what it stands for is of the schema's type.
        is_text = schema["type"] == "string"
        parameter["example"] = example if is_text else json.loads(example)
    return parameter


def _example(name: str, told: Iterable[Exchange]) -> str | None:
    """Return what stood under *name* in a path or query that was served; a page token is of use to nobody else."""
    for exchange in told:
        sent = {**exchange.request.path_fields, **exchange.request.query}
        if exchange.response.code is None and name in sent and name not in QUERY_ALIASES:
            return sent[name]
    return None


def _request_body(route: Route[Any, Any], told: list[Exchange]) -> Json:
    examples = {
        exchange.summary: {"value": exchange.sent}
        for exchange in told
        if exchange.sent is not None and exchange.response.code is None
    }
    return {
        "required": any(spec.required for spec in route.sent_fields.values()),
        "content": {
            "application/json": {
                "schema": ref(route.command.__name__),
                "examples": _keyed(examples),
            }
        },
    }


def _request_schemas() -> dict[str, JsonSchema]:
    """Return the body of each operation, and the objects inside them, by the names of their commands."""
    schemas: dict[str, JsonSchema] = {
        "BatchRow": {
            "description": "A row without `item_id` creates an item; one with it updates that item.",
            "anyOf": [ref("CreateItem"), ref("UpdateItemRow")],
        },
        "UpdateItemRow": _request_schema(UpdateItem, specs(UpdateItem)),
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
    # Generators cannot express a default beside a reference.
    is_price = isinstance(spec.default, Decimal)
    return f"{spec.bound.doc} Default: {spec.default}." if is_price else spec.bound.doc


def _described(bound: Bound) -> JsonSchema:
    """Return the schema of a bound, with a reference in place of each object and price."""
    if isinstance(bound, Money):
        return {**ref("Price"), "minimum": 0, "maximum": float(bound.maximum)}
    if isinstance(bound, Record):
        return ref(bound.kind.__name__)
    if isinstance(bound, List):
        return {**bound.schema(), "items": _described(bound.bound)}
    return bound.schema()


def _default(spec: Spec) -> Json:
    """Return the default as the keyword of a schema; None and UNSET mean that nothing was sent, which is no value."""
    known = isinstance(spec.default, str | int)
    return {"default": spec.default} if known else {}


# --- Answers


def _responses(route: Route[Any, Any], told: list[Exchange]) -> Json:
    served = [exchange for exchange in told if exchange.response.code is None]
    responses = {str(route.status): _success(route, served)}
    refusals = sorted(_refusals(route).items(), key=lambda it: CODES[it[0]])
    for status, group in groupby(refusals, key=lambda it: CODES[it[0]]):
        refused = [exchange for exchange in told if exchange.response.status == status]
        responses[str(status)] = (
            {"$ref": f"#/components/responses/{_OURS[status]}"}
            if status in _OURS
            else _refusal(status, dict(group), refused)
        )
    return responses


def _shared_responses() -> Json:
    """Return the answers that are the same for all operations, as none of them is to blame."""
    refusals = _refusals(route_named("list_items"))
    return {
        name: _refusal(
            status, {code: words for code, words in refusals.items() if CODES[code] == status}, []
        )
        for status, name in _OURS.items()
    }


def _success(route: Route[Any, Any], served: list[Exchange]) -> Json:
    success = SUCCESSES[route.name]
    names = ["ETag"] if success.etag else []
    if "idempotency-key" in route.header_fields:
        names.append("Idempotent-Replayed")
    return _response(
        HTTPStatus(route.status).phrase,
        headers=[*names, "X-Request-Id"],
        schema=ref(success.component),
        examples={exchange.summary: {"value": exchange.received} for exchange in served},
    )


def _refusal(status: int, refusals: Mapping[str, str], refused: list[Exchange]) -> Json:
    examples = {exchange.summary: {"value": exchange.received} for exchange in refused}
    met = {exchange.response.code for exchange in refused}
    for error in map(error_body, _EXAMPLES):
        if error["code"] in refusals and error["code"] not in met:
            examples[error["code"]] = {"value": error}
    response = _response(
        "\n".join(f"- `{code}`: {words}" for code, words in refusals.items()),
        headers=[*(["Retry-After"] if status in _RETRY_LATER else []), "X-Request-Id"],
        schema=ref("Error"),
        examples=examples,
    )
    # One schema for all errors keeps a generated client to one class; the codes of this answer are for other programs.
    return {**response, "x-error-codes": list(refusals)}


def _response(words: str, *, headers: Iterable[str], schema: JsonSchema, examples: Json) -> Json:
    content: Json = {"schema": schema}
    if examples:
        content["examples"] = _keyed(examples)
    return {
        "description": words,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {"application/json": content},
    }


# --- Refusals

# What one caller with storage in memory cannot meet, and what looks the same wherever it is met.
_EXAMPLES: Final = (
    errors.ContentionError(),
    errors.KeyReusedError(),
    errors.StorageThrottledError(),
    errors.StorageUnavailableError(),
    RuntimeError(),
)

# Codes that are no error of the domain.
_BEFORE_A_COMMAND: Final = {
    "body_required": "There is no body.",
    "malformed_body": "The body is not a JSON object in UTF-8.",
    "malformed_request": "The request is not valid HTTP (local server).",
    "payload_too_large": "The body is larger than 1 MiB.",
    "if_match_not_supported": "`If-Match` has no meaning for this request.",
    "bad_host": "The `Host` header does not name the local server.",
    "forbidden_origin": "A page of another site sent the request to the local server.",
    "head_too_large": "The request line and headers are larger than 64 KiB (local server).",
    "too_many_connections": "The local server has no connection left.",
    "route_not_found": "There is nothing at this path.",
    "method_not_allowed": "The path has no such method; `Allow` lists those that it has.",
    "not_applied": "Other rows of the batch were refused.",
    "internal_error": "Something that nobody foresaw; the log knows more, by the `X-Request-Id`.",
}


def _error_codes() -> JsonSchema:
    words = {**{kind.code: _prose(kind) for kind in _error_kinds()}, **_BEFORE_A_COMMAND}
    by_status = sorted(CODES, key=lambda code: (CODES[code], code))
    lines = [f"- {CODES[code]} `{code}`: {_first(words[code])}" for code in by_status]
    description = "\n".join(
        ["Later versions may add codes; treat those by their status.", "", *lines]
    )
    return {"type": "string", "description": description, "x-extensible-enum": by_status}


def _error_kinds() -> Iterator[type[errors.InventoryError]]:
    for name in errors.__all__:
        kind = getattr(errors, name)
        # Those without a code are there for others to inherit from.
        if issubclass(kind, errors.InventoryError) and "code" in vars(kind):
            yield kind


def _refusals(route: Route[Any, Any]) -> dict[str, str]:
    """Return the codes that an operation may answer with, and when; what has no route is refused before there is one."""
    found = {code: _BEFORE_A_COMMAND[code] for code in _refused_before(route)}
    found |= {kind.code: _first(_prose(kind)) for kind in _refused_anywhere(route)}
    # The use case knows best what an error means here.
    raised = _section(route.use_case, "Raises")
    return found | {getattr(errors, name).code: words for name, words in raised.items()}


def _refused_before(route: Route[Any, Any]) -> Iterator[str]:
    if any(spec.required for spec in route.sent_fields.values()) and route.has_body:
        yield "body_required"
    if route.has_body:
        yield from ("malformed_body", "payload_too_large")
    if "if-match" not in route.header_fields:
        yield "if_match_not_supported"
    yield "internal_error"


def _refused_anywhere(route: Route[Any, Any]) -> Iterator[type[errors.InventoryError]]:
    """Yield what no use case lists, because `Inventory` says it of all of them, or because a bound refuses it."""
    yield errors.ValidationError
    yield from (kind for kind in _error_kinds() if issubclass(kind, errors.StorageError))
    if route.method != "GET":
        yield errors.ContentionError
    if "idempotency-key" in route.header_fields:
        yield errors.KeyReusedError
    if route.command is BatchItems:
        yield errors.BatchTooLargeError


# --- Words


def _prose(documented: object) -> str:
    """Return a docstring up to its first section, which is for Python; ``*sku*`` is an argument there, a field here."""
    prose = re.split(r"\n\n[A-Z]\w+:\n", inspect.getdoc(documented) or "")[0]
    return re.sub(r"\*(\w+)\*", r"\1", prose)


def _first(prose: str) -> str:
    return prose.partition("\n")[0]


def _section(documented: object, heading: str) -> dict[str, str]:
    """Return what a section of a docstring says of each name: ``{"ItemNotFoundError": "There is no such item."}``."""
    _, _, section = (inspect.getdoc(documented) or "").partition(f"\n{heading}:\n")
    section = re.split(r"\n\n(?=\S)", section)[0]
    # A line that is indented further continues the one before.
    lines = re.sub(r"\n {8,}", " ", section).splitlines()
    said = (line.strip().partition(": ") for line in lines)
    return {name: _translated(words) for names, _, words in said for name in names.split(", ")}


def _translated(words: str) -> str:
    """Return what is said of Python as it is said of HTTP."""
    for header, name in HEADER_FIELDS.items():
        words = words.replace(f"`{name}`", f"`{header.title()}`")
    return re.sub(r"\bNone\b", "null", words)


def _keyed(examples: Json) -> Json:
    """Return *examples* under keys of letters, digits and hyphens, as a reference to one can have."""
    return {
        re.sub(r"\W+", "-", summary).strip("-").lower(): {"summary": summary, **example}
        for summary, example in examples.items()
    }
