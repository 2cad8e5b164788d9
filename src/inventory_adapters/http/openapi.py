"""
ROUTES + commands → OpenAPI document.

Nothing is said twice. Requests come from the commands' bounds, words and refusals from docstrings, the members of an answer
from a real one, their types from the domain's annotations, error codes from `CODES`, and examples from `exchanges`.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version
from itertools import groupby
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

from inventory import errors
from inventory.batch import RowResult
from inventory.commands import BatchItems
from inventory.errors import Fault
from inventory.items import STATUSES, Item, ItemKey, StockLevel, Timestamp
from inventory.reservations import Reservation, ReservationLine
from inventory.stock import Movement
from inventory.validation import JsonSchema, Nullable, Spec, object_schema, specs
from inventory_adapters.http.errors import CODES, describe
from inventory_adapters.http.examples import Exchange, exchanges
from inventory_adapters.http.routes import HEADER_FIELDS, QUERY_ALIASES, ROUTES, Route, route_named
from inventory_adapters.wire import to_json

__all__ = ["as_text", "document"]

Json = dict[str, Any]

_TITLE: Final = "Inventory"
_ABOUT: Final = """\
An inventory that never oversells. The same locally (`inventory serve`) and deployed.

Bodies are JSON objects of at most 1 MiB; unknown fields and duplicate keys are refused. Every error has a `code` for programs
and a sentence for people. `ETag` and `If-Match` keep one edit from overwriting another; with an `Idempotency-Key`, a `POST`
can be sent again without a second effect. Unknown query parameters are ignored."""

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
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": list(_SERVERS),
        "security": [{}, {"ApiKey": []}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": _paths(told),
        "components": {
            "schemas": {**_request_schemas(), **_answer_schemas(told)},
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
    for route in _routes():
        own = [exchange for exchange in told if exchange.route == route]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, own)
    return paths


def _routes() -> tuple[Route[Any, Any], ...]:
    return ROUTES


def _operation(route: Route[Any, Any], told: list[Exchange]) -> Json:
    summary, _, more = _prose(route.command).partition("\n\n")
    operation: Json = {
        "operationId": route.name,
        "tags": [_tag(route)],
        "summary": summary.rstrip("."),
    }
    if more:
        operation["description"] = more
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
        yield _parameter("path", name, fields[name], _example(name, told))
    if not route.has_body:
        for name, spec in route.sent_fields.items():
            yield _parameter("query", name, spec, _example(name, told))
            for alias in (other for other, same in QUERY_ALIASES.items() if same == name):
                described = f"The same as `{name}`, which wins where both are sent."
                yield {**_parameter("query", alias, spec), "description": described}
    for header, name in route.header_fields.items():
        yield _parameter("header", header.title(), fields[name])


def _parameter(place: str, name: str, spec: Spec, example: str | None = None) -> Json:
    # Nothing in a URL or a header is null: left out is how it is said there.
    bound = spec.bound.bound if isinstance(spec.bound, Nullable) else spec.bound
    # Tokens are URL-safe base64; any other text of their length could make a URL longer than servers read.
    token = {"pattern": "^[A-Za-z0-9_-]+$"} if spec.wire in QUERY_ALIASES.values() else {}
    made = {
        "name": name,
        "in": place,
        "description": bound.doc,
        "required": spec.required,
        "schema": {**bound.schema(), **token, **_default(spec)},
    }
    return made if example is None else {**made, "example": example}


def _example(name: str, told: list[Exchange]) -> str | None:
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
                "schema": _ref(route.command.__name__),
                "examples": _keyed(examples),
            }
        },
    }


def _request_schemas() -> dict[str, JsonSchema]:
    return {
        route.command.__name__: _body_schema(route)
        for route in _routes()
        if route.has_body and route.sent_fields
    }


def _body_schema(route: Route[Any, Any]) -> JsonSchema:
    schema = object_schema(route.sent_fields.values())
    for name, spec in route.sent_fields.items():
        schema["properties"][name] |= _default(spec)
    return {"description": _prose(route.command), **schema}


def _default(spec: Spec) -> Json:
    """Return the default as the keyword of a schema; None and UNSET mean that nothing was sent, which is no value."""
    known = isinstance(spec.default, str | int | Decimal)
    return {"default": json.loads(to_json(spec.default))} if known else {}


# --- Answers

_TIMESTAMP: Final = {
    "type": "string",
    "description": "An instant in UTC; what an earlier version of the API stored is given back as it is.",
    "examples": ["2026-05-01T09:30:00.000000+00:00"],
}

# Members of answers that are objects, or lists of them; by the name of the object's schema.
_ONE: Final = {
    "item": "Item",
    "deleted_item": "Item",
    "from": "Item",
    "to": "Item",
    "movement": "Movement",
    "reservation": "Reservation",
}
_MANY: Final = {
    "items": "Item",
    "movements": "Movement",
    "lines": "ReservationLine",
    "results": "RowResult",
    "details": "Fault",
}

# What knows the types and the words of an object's members: the first class that has them, under another name here and there.
_CLASSES: Final[dict[str, tuple[type[Any], ...]]] = {
    "Item": (ItemKey, StockLevel, Item),
    "Movement": (ItemKey, Movement),
    "Reservation": (Reservation,),
    "ReservationLine": (ItemKey, ReservationLine),
    "RowResult": (RowResult,),
    "Fault": (Fault,),
}
_OTHER_NAMES: Final = {("Item", "quantity"): "on_hand"}

# Members that no class has, or whose words there are for Python.
_WORDS: Final = {
    "available": "Units that can still be promised.",
    "count": "Rows on this page.",
    "details": "What is wrong with each field: all faults at once.",
    "expected_quantity": "Units on hand that the request expected.",
    "expires_at": "When the reservation expired.",
    "field": "The field, such as `lines[0].quantity`; empty where the whole request is meant.",
    "item_id": "The id that the system gave the item.",
    "limit": "The most that there may be.",
    "destination": "The SKU of the item that units come to.",
    "first_row": "Index of a row of the batch, from 0.",
    "message": "For people.",
    "next_page_token": "Send it as `page_token` for the next page. Absent on the last page, and only there.",
    "quantity": "Units on hand.",
    "requested": "Units requested.",
    "reservation_id": "The id that the system gave the reservation.",
    "reserved": "Units that are promised.",
    "results": "What became of each row.",
    "rows": "Rows of the batch.",
    "second_row": "Index of the row that names the same item.",
    "seq": "How many movements the item has seen.",
    "sku": "The code that people use for the item.",
    "source": "The SKU of the item that units leave.",
    "state": "What became of the reservation.",
    "status": "The status that the row would have got as a request of its own.",
    "version": "How many edits the details of the item have seen.",
}
# Whose docstrings speak to those who write Python.
_OTHER_WORDS: Final = {
    ("Item", "quantity"): _WORDS["quantity"],
    (
        "Item",
        "status",
    ): f"One of {', '.join(STATUSES)}; rows of an earlier version may hold others.",
    ("Reservation", "state"): "What became of it.",
}

_ERROR: Final = "Error"
_OF_AN_ERROR: Final[dict[str, JsonSchema]] = {
    "error": {"type": "string", "description": "What went wrong, for people."},
    "code": {"$ref": "#/components/schemas/ErrorCode"},
}
# In all of these, an absent member is a matter of the case.
_ALWAYS: Final = {_ERROR: ("error", "code"), "RowResult": ("index", "status")}


def _answer_schemas(told: Iterable[Exchange]) -> dict[str, JsonSchema]:
    """Describe the objects in the answers, by the members that they really have."""
    found: dict[str, list[Json]] = {_ERROR: []}
    for exchange in told:
        for name, seen in _objects(exchange.received):
            found.setdefault(name, []).append(seen)
        if exchange.response.code is not None:
            found[_ERROR].append(exchange.received)
    # A refused row says what a refused request says.
    found["RowResult"] += [
        {name: value for name, value in error.items() if name != "results"}
        for error in found[_ERROR]
    ]
    schemas = {name: _object(name, seen) for name, seen in sorted(found.items())}
    return {**schemas, "ErrorCode": _error_codes(), "Timestamp": _TIMESTAMP}


def _objects(body: Json) -> Iterator[tuple[str, Json]]:
    for name, value in body.items():
        parts = [value] if name in _ONE else value if name in _MANY else []
        for part in parts:
            yield {**_ONE, **_MANY}[name], part
            yield from _objects(part)


def _object(name: str, seen: list[Json]) -> JsonSchema:
    """Describe what was *seen* of an object: all members that it ever had; required are those that it always has."""
    members = dict.fromkeys(member for one in seen for member in one)
    always = _ALWAYS.get(name) or [it for it in members if all(it in one for one in seen)]
    return {
        "type": "object",
        "properties": {member: _member(name, member, seen) for member in members},
        "required": list(always),
    }


def _member(name: str, member: str, seen: list[Json]) -> JsonSchema:
    if member in _ONE:
        return _ref(_ONE[member])
    if member in _MANY:
        rows = {"type": "array", "items": _ref(_MANY[member])}
        return {**rows, "description": _WORDS[member]} if member in _WORDS else rows
    if member in _OF_AN_ERROR:
        return _OF_AN_ERROR[member]
    for owner in _CLASSES.get(name, ()):
        attribute = _OTHER_NAMES.get((name, member), member)
        if attribute in _annotations(owner):
            kind = _annotations(owner)[attribute]
            return {"description": _words(name, member, owner, attribute), **_typed(kind)}
    [value, *_] = (one[member] for one in seen if one.get(member) is not None)
    return {"description": _WORDS[member], **_typed(type(value))}


def _annotations(owner: type[Any]) -> dict[str, Any]:
    """Return the types of the attributes and properties of a class."""
    properties = {
        name: get_type_hints(value.fget)["return"]
        for name, value in vars(owner).items()
        if isinstance(value, property)
    }
    return {**properties, **get_type_hints(owner)}


def _words(name: str, member: str, owner: type[Any], attribute: str) -> str:
    if (name, member) in _OTHER_WORDS:
        return _OTHER_WORDS[name, member]
    if owner is ItemKey:
        return _WORDS[member]
    if isinstance(found := vars(owner).get(attribute), property):
        return inspect.getdoc(found) or ""
    return _section(owner, "Attributes").get(attribute) or _WORDS[member]


def _typed(kind: Any) -> JsonSchema:
    """Describe the values of a type of the domain."""
    options = [option for option in get_args(kind) if option is not NoneType]
    if options:
        return _or_null(_typed(options[0]))
    if issubclass(kind, Timestamp):
        return _ref("Timestamp")
    if issubclass(kind, StrEnum):
        return {"type": "string", "enum": [str(option) for option in kind]}
    return {"type": {str: "string", int: "integer", Decimal: "number"}[kind]}


def _or_null(schema: JsonSchema) -> JsonSchema:
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


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
    names = ["ETag"] if any("ETag" in exchange.response.headers for exchange in served) else []
    if "idempotency-key" in route.header_fields:
        names.append("Idempotent-Replayed")
    return _response(
        HTTPStatus(route.status).phrase,
        headers=[*names, "X-Request-Id"],
        schema=_object("", [exchange.received for exchange in served]),
        examples={exchange.summary: {"value": exchange.received} for exchange in served},
    )


def _refusal(status: int, refusals: Mapping[str, str], refused: list[Exchange]) -> Json:
    code = {"type": "string", "enum": list(refusals)}
    examples = {exchange.summary: {"value": exchange.received} for exchange in refused}
    met = {exchange.response.code for exchange in refused}
    for error in map(describe, _EXAMPLES):
        if error["code"] in refusals and error["code"] not in met:
            examples[error["code"]] = {"value": error}
    return _response(
        "\n".join(f"- `{code}`: {words}" for code, words in refusals.items()),
        headers=[*(["Retry-After"] if status in _RETRY_LATER else []), "X-Request-Id"],
        schema={"allOf": [_ref(_ERROR), {"properties": {"code": code}}]},
        examples=examples,
    )


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
    return {"type": "string", "enum": by_status, "description": "\n".join(lines)}


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


def _ref(name: str) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def _keyed(examples: Json) -> Json:
    """Return *examples* under keys of letters, digits and hyphens, as a reference to one can have."""
    return {
        re.sub(r"\W+", "-", summary).strip("-").lower(): {"summary": summary, **example}
        for summary, example in examples.items()
    }
