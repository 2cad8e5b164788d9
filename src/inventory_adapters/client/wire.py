"""
Requests of commands, and results or errors of responses, for `InventoryClient`.

The route table determines how a command is written. Responses are read strictly: a missing field or a wrong type is an
`UnexpectedAnswerError`, an unknown field is ignored, and a field that a later version added has a default.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Self, get_type_hints
from urllib.parse import quote, urlencode
from uuid import uuid4

import attrs
from attrs import frozen

from inventory import errors
from inventory.batch import RowResult
from inventory.errors import (
    BatchRefusedError,
    FieldError,
    InventoryError,
    PreconditionFailedError,
    StorageThrottledError,
    StorageUnavailableError,
    ValidationError,
)
from inventory.idempotency import IDEMPOTENCY_KEY, IdempotencyKey
from inventory.items import Item, ItemAt
from inventory.paging import Page
from inventory.preconditions import ANY_STATE, IfMatch
from inventory.reservations import Reservation
from inventory.stock import Movement, SkuStock, StockChange, Transfer
from inventory.validation import UNSET, Spec, specs
from inventory_adapters.http.routes import ROUTES, Route
from inventory_adapters.wire import (
    UNKNOWN_SEQ,
    FieldReader,
    from_json,
    item_from_wire,
    level_from_wire,
    movement_from_wire,
    page_from_wire,
    reservation_from_wire,
    to_json,
)

__all__ = ["PreparedRequest", "UnexpectedAnswerError", "WireResponse", "path_segment"]


class UnexpectedAnswerError(InventoryError):
    """
    The response is not one that this client knows: from a newer server, a gateway, or another service at this address.

    Attributes:
        status: The HTTP status. A success (200 to 299) means that the server carried out the request.
        code: The code in the response; ``unexpected_answer`` if there is none.
    """

    code = "unexpected_answer"
    status: int

    def __init__(self, message: str, /, *, status: int, **facts: Any) -> None:
        super().__init__(message, status=status, **facts)


# Command → request


@frozen(kw_only=True)
class PreparedRequest:
    """
    A request that can be sent several times.

    Attributes:
        route: The route.
        path: The path, percent-encoded, with the query if there is one.
        headers: The headers of this request.
        body: JSON text; bytes if it is not UTF-8; None if there is no body.
        is_repeatable: Whether the request can be retried safely, whether or not an earlier attempt was applied.
    """

    route: Route[Any, Any]
    path: str
    headers: dict[str, str]
    body: str | bytes | None = None
    is_repeatable: bool

    @classmethod
    def of(cls, use_case: Callable[..., Any], command: Any) -> Self:
        """
        Return the request of *command* to the route of *use_case*.

        A command without an idempotency key gets a new one, unless the request is a PUT: a key would turn an edit of details,
        which is one write, into a read and a transaction.
        """
        route = _ROUTE_OF[use_case]
        path = route.path.format_map(
            {name: path_segment(getattr(command, name)) for name in route.path_fields}
        )
        headers = {"Accept": "application/json"}
        for header, name in route.header_fields.items():
            value = getattr(command, name)
            if value is None and route.method != "PUT":
                value = IdempotencyKey(str(uuid4()))
            if value not in (None, ANY_STATE):
                headers[header] = _header(value)
        body = None
        if route.has_body:
            headers["Content-Type"] = "application/json"
            body = to_json(_plain_fields(command, route.sent_fields.values()))
        elif query := _query(command, route.sent_fields.values()):
            path = f"{path}?{urlencode(query)}"
        return cls(
            route=route,
            path=path,
            headers=headers,
            body=body,
            is_repeatable=(
                "idempotency-key" in headers
                or route.method != "PUT"
                or len(command.if_match.tags or ()) == 1
            ),
        )

    def is_ambiguous(self, error: InventoryError) -> bool:
        """Return whether *error*, after an attempt without a response, does not show whether that attempt was applied."""
        if isinstance(error, PreconditionFailedError):
            return "idempotency-key" not in self.headers
        return isinstance(error, StorageThrottledError)


def path_segment(text: str | bytes) -> str:
    """Return *text* as one segment of a path; dots are encoded, because ``.`` and ``..`` would change the path."""
    segment = quote(text, safe="")
    return segment.replace(".", "%2E") if segment in (".", "..") else segment


def _header(value: IfMatch | IdempotencyKey) -> str:
    """Return the value of a field as a header."""
    if isinstance(value, IfMatch):
        return _tags(value)
    # The server sets the scope itself, so a scope and a row that the caller set become part of the key.
    return value.value if (value.scope, value.row) == ("", None) else value.record_id


def _tags(if_match: IfMatch) -> str:
    if if_match.tags is None:
        return "*"
    # An empty set matches no state. A weak tag never matches (RFC 9110, section 13.1.1), so one stands for it.
    return ", ".join(f'"{version}-{seq}"' for version, seq in sorted(if_match.tags)) or 'W/"0-0"'


def _query(command: Any, fields: Iterable[Spec]) -> dict[str, str]:
    """Return *fields* as query parameters, without those that have their defaults, because a query has no null."""
    values = {
        spec.wire: value
        for spec in fields
        if (value := getattr(command, spec.name)) != spec.default
    }
    return {
        name: value if isinstance(value, str) else to_json(value) for name, value in values.items()
    }


def _plain_fields(command: Any, fields: Iterable[Spec]) -> dict[str, Any]:
    """Return *fields* as JSON, including those with their defaults, because another server may have other defaults."""
    values = {spec.wire: getattr(command, spec.name) for spec in fields}
    return {name: _plain(value) for name, value in values.items() if value is not UNSET}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, IfMatch):
        return _tags(value)
    if isinstance(value, ValidationError):
        # An invalid row of a batch is sent as null, so that the idempotency keys of the other rows stay the same.
        return None
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(type(value), "__specs__"):
        fields = [spec for spec in specs(type(value)) if spec.bound is not IDEMPOTENCY_KEY]
        return _plain_fields(value, fields)
    return value


# Response → result or error


@frozen(kw_only=True)
class WireResponse:
    """
    A response of the server.

    Attributes:
        status: The HTTP status.
        headers: The headers, by name in any case.
        content: The body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_replay(self) -> bool:
        """Whether this is the response to an earlier request with the same key."""
        return self.headers.get("Idempotent-Replayed") == "true"

    @property
    def retry_after(self) -> float:
        """The seconds to wait before a retry; 0 if the server does not say (RFC 9110, section 10.2.3)."""
        value = self.headers.get("Retry-After", "")
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())

    def value(self, use_case: Callable[..., Any]) -> Any:
        """
        Return the result of *use_case*.

        Raises:
            UnexpectedAnswerError: The response does not contain such a result.
        """
        try:
            read = self._fields()
            if "message" in read.fields:
                read.text("message")
            return _READER_OF[use_case](read, self.headers.get("ETag"))
        except _UNREADABLE as error:
            raise UnexpectedAnswerError(
                f"The server answered {self.status}, but the response could not be read",
                status=self.status,
            ) from error

    def error(self) -> InventoryError:
        """Return the error that the use case raised, or the one for the status if a gateway or proxy answered."""
        fields: dict[str, Any] = {}
        try:
            fields = self._fields().fields
            return _error(self.status, fields)
        except _UNREADABLE:
            return _by_status(self.status, fields)

    def _fields(self) -> FieldReader:
        return FieldReader(from_json(self.content.decode()))


# The errors of reading a response that does not have the expected shape.
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    ValidationError,
)

_ETAG = re.compile(r'(?:W/)?"[0-9]{1,18}-(?P<seq>[0-9]{1,18})"')


def _item(read: FieldReader, etag: str | None) -> Item:
    # A proxy that compresses makes the tag weak, but does not change it.
    tag = _ETAG.fullmatch(etag or "")
    seq = int(tag["seq"]) if tag else UNKNOWN_SEQ
    name = "deleted_item" if "deleted_item" in read.fields else "item"
    item = item_from_wire(read.fields[name], seq=seq)
    if "at" not in read.fields:
        return item
    return ItemAt(**attrs.asdict(item, recurse=False), at=level_from_wire(read.fields["at"]))


def _stock_change(read: FieldReader, _etag: str | None) -> StockChange:
    movement = movement_from_wire(read.fields["movement"])
    return StockChange(
        item=item_from_wire(read.fields["item"], seq=movement.seq), movement=movement
    )


def _sku_stock(read: FieldReader, _etag: str | None) -> SkuStock:
    for name in ("quantity", "reserved", "available", "count"):
        read.integer(name)  # Computed by SkuStock, so only their types are checked.
    return SkuStock(sku=read.text("sku"), items=tuple(map(item_from_wire, read.rows("items"))))


def _transfer(read: FieldReader, _etag: str | None) -> Transfer:
    return Transfer(
        source=item_from_wire(read.fields["from"]),
        destination=item_from_wire(read.fields["to"]),
    )


def _reservation(read: FieldReader, _etag: str | None) -> Reservation:
    return reservation_from_wire(read.fields["reservation"])


def _items(read: FieldReader, _etag: str | None) -> Page[Item]:
    return page_from_wire("items", read.fields, item_from_wire)


def _movements(read: FieldReader, _etag: str | None) -> Page[Movement]:
    return page_from_wire("movements", read.fields, movement_from_wire)


def _reservations(read: FieldReader, _etag: str | None) -> Page[Reservation]:
    return page_from_wire("reservations", read.fields, reservation_from_wire)


def _rows(read: FieldReader, _etag: str | None) -> tuple[RowResult, ...]:
    return tuple(map(_row, read.rows("results")))


def _row(wire: Any) -> RowResult:
    read = FieldReader(wire)
    if "code" in read.fields:
        return RowResult(
            index=read.integer("index"),
            item_id=read.nullable("item_id", FieldReader.text),
            sku=read.nullable("sku", FieldReader.text),
            error=_error_in_row(read),
        )
    return RowResult(
        index=read.integer("index"),
        created=read.integer("status") == HTTPStatus.CREATED,
        item_id=read.text("item_id"),
        sku=read.text("sku"),
        version=read.integer("version"),
        seq=read.integer("seq"),
    )


# The reader of a use case's result, by the annotation of the result. A new kind of result fails at import.
_READERS: Final[dict[Any, Callable[[FieldReader, str | None], Any]]] = {
    Item: _item,
    StockChange: _stock_change,
    Transfer: _transfer,
    Reservation: _reservation,
    Page[Item]: _items,
    Page[Movement]: _movements,
    Page[Reservation]: _reservations,
    SkuStock: _sku_stock,
    tuple[RowResult, ...]: _rows,
}

_ROUTE_OF: Final = {route.use_case: route for route in ROUTES}

_READER_OF: Final = {
    # `service` imports RowResult for type checkers only.
    use_case: _READERS[get_type_hints(use_case, localns={"RowResult": RowResult})["return"]]
    for use_case in _ROUTE_OF
}

_UNANSWERED_STATUSES: Final = (
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

_KINDS: Final[dict[str, type[InventoryError]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, InventoryError) and "code" in vars(kind)
}

# The types of the facts of each error: the attributes that its class and its parents annotate.
_FACTS: Final[dict[type[InventoryError], dict[str, Any]]] = {
    kind: {
        name: hint
        for name, hint in get_type_hints(kind).items()
        if name not in get_type_hints(InventoryError)
    }
    for kind in _KINDS.values()
}


def _error_in_row(read: FieldReader) -> InventoryError:
    """Return the error of a rejected row; the item that the row names is part of its facts."""
    for name in ("item_id", "sku"):
        read.nullable(name, FieldReader.text)
    for name in ("version", "seq"):
        read.nullable(name, FieldReader.integer)
    facts = {name: value for name, value in read.fields.items() if value is not None}
    del facts["index"], facts["status"]
    return _error(read.integer("status"), facts)


def _error(status: int, fields: dict[str, Any]) -> InventoryError:
    """Return the error that `inventory_adapters.http.errors.error_body` wrote."""
    facts = dict(fields)
    read = FieldReader(facts)
    kind = _KINDS.get(read.text("code"))
    if kind is None:
        return _by_status(status, facts)
    message = read.text("error")
    if kind is ValidationError:
        facts["errors"] = tuple(map(_field_error, read.rows("details")))
        del facts["details"]
    elif kind is BatchRefusedError:
        facts["refused"] = _refused_rows(read.rows("results"))
        del facts["results"]
    del facts["code"], facts["error"]
    _check_facts(kind, facts)
    return kind(message, **facts)


def _field_error(wire: Any) -> FieldError:
    read = FieldReader(wire)
    return FieldError(read.text("field"), read.text("message"))


def _refused_rows(results: list[Any]) -> dict[int, InventoryError]:
    refused = {}
    for read in map(FieldReader, results):
        index = read.integer("index")
        read.integer("status")
        read.text("error")
        if read.text("code") != "not_applied":
            refused[index] = _error_in_row(read)
    return refused


def _check_facts(kind: type[InventoryError], facts: dict[str, Any]) -> None:
    read = FieldReader(facts)
    for name, hint in _FACTS[kind].items():
        if name not in facts and hasattr(kind, name):
            continue  # The fact has a default.
        if hint is int:
            read.integer(name)
        elif hint in (str, str | None):
            read.text(name)


def _by_status(status: int, fields: dict[str, Any]) -> InventoryError:
    """Return the error for a response without a known code, such as one of a gateway or proxy."""
    facts = {
        name: value
        for name, value in fields.items()
        if name not in ("error", "message", "code", "status")
    }
    message = fields.get("error", fields.get("message"))
    if not isinstance(message, str):
        message = f"The server answered {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return StorageThrottledError(message)
    if status in _UNANSWERED_STATUSES:
        return StorageUnavailableError(message)
    if isinstance(fields.get("code"), str):
        facts["code"] = fields["code"]
    return UnexpectedAnswerError(message, status=status, **facts)
