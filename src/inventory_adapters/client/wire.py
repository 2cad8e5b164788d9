"""
What `InventoryClient` says and hears: command → request, and answer → value or error.

The route table says how a command is written; what reads an answer is the inverse of what `converters` and `http.errors` wrote.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self, get_type_hints
from urllib.parse import quote, urlencode
from uuid import uuid4

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
from inventory.items import Item
from inventory.paging import Page
from inventory.preconditions import ANY_STATE, IfMatch
from inventory.reservations import Reservation
from inventory.stock import Movement, StockChange, Transfer
from inventory.validation import UNSET, Spec, specs
from inventory_adapters.http.routes import ROUTES, Answer, Route
from inventory_adapters.wire import (
    UNKNOWN_SEQ,
    from_json,
    item_from_wire,
    movement_from_wire,
    page_from_wire,
    reservation_from_wire,
    to_json,
)

__all__ = ["PreparedRequest", "UnexpectedAnswerError", "WireResponse"]


class UnexpectedAnswerError(InventoryError):
    """
    The answer is none that this client knows: a newer server's, a gateway's, or that of something else at this address.

    Attributes:
        status: Its HTTP status. After a success (200 to 299), what was asked for has happened.
        code: The server's, where it sent one; else ``unexpected_answer``.
    """

    code = "unexpected_answer"
    status: int

    def __init__(self, message: str, /, *, status: int, **facts: Any) -> None:
        super().__init__(message, status=status, **facts)


# Command → request


@frozen(kw_only=True)
class PreparedRequest:
    """
    A request, however often it is sent.

    Attributes:
        route: What answers it.
        path: Percent-encoded, with the query if there is one.
        headers: Those that are about this request.
        body: JSON text; None where there is none.
        is_repeatable: Whether a repeat does no harm, whatever became of the attempts before it.
    """

    route: Route[Any, Any]
    path: str
    headers: dict[str, str]
    body: str | None = None
    is_repeatable: bool

    @classmethod
    def of(cls, use_case: Callable[..., Any], command: Any) -> Self:
        """
        Write *command* as the route of *use_case* reads it.

        A command without an idempotency key gets one made for the call, unless it is a PUT: a key would turn an edit of
        details, which is one write, into a read and a transaction.
        """
        route = _ROUTE_OF[use_case]
        path = route.path.format_map(
            {name: _segment(getattr(command, name)) for name in route.path_fields}
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
        """Tell whether *error* may be owed to an attempt of our own, or leaves open what became of it."""
        if isinstance(error, PreconditionFailedError):
            return "idempotency-key" not in self.headers
        return isinstance(error, StorageThrottledError)


def _segment(text: str) -> str:
    """Return *text* as one segment of a path; one that is only dots would be taken for a way through the path."""
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _header(value: IfMatch | IdempotencyKey) -> str:
    """Return the value of a field as a header."""
    if isinstance(value, IfMatch):
        return _tags(value)
    # Whose key it is, the server decides for itself; what the caller says of it has to go into the key.
    return value.value if (value.scope, value.row) == ("", None) else value.record_id


def _tags(if_match: IfMatch) -> str:
    if if_match.tags is None:
        return "*"
    # A weak tag never matches: it says "no state" in the only way there is (RFC 9110, section 13.1.1).
    return ", ".join(f'"{version}-{seq}"' for version, seq in sorted(if_match.tags)) or 'W/"0-0"'


def _query(command: Any, fields: Iterable[Spec]) -> dict[str, str]:
    """Return *fields* as query parameters, which have no null: what holds its default is left out."""
    values = {
        spec.wire: value
        for spec in fields
        if (value := getattr(command, spec.name)) != spec.default
    }
    return {
        name: value if isinstance(value, str) else to_json(value) for name, value in values.items()
    }


def _plain_fields(command: Any, fields: Iterable[Spec]) -> dict[str, Any]:
    """Return *fields* as JSON has them, those at their defaults too: another server's defaults may be others."""
    values = {spec.wire: getattr(command, spec.name) for spec in fields}
    return {name: _plain(value) for name, value in values.items() if value is not UNSET}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, IfMatch):
        return _tags(value)
    if isinstance(value, ValidationError):
        # A row of a batch that is no command keeps its place, for the keys of the others.
        return None
    if hasattr(type(value), "__specs__"):
        fields = [spec for spec in specs(type(value)) if spec.bound is not IDEMPOTENCY_KEY]
        return _plain_fields(value, fields)
    return value


# Answer → value or error


@frozen(kw_only=True)
class WireResponse:
    """
    What came back.

    Attributes:
        status: The HTTP status.
        headers: By name, whatever its case.
        content: The body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110, section 15.3

    @property
    def is_replay(self) -> bool:
        """Whether this is the answer to an earlier request under the same key."""
        return self.headers.get("Idempotent-Replayed") == "true"

    @property
    def retry_after(self) -> float:
        """The seconds that the server wants to be left alone; 0 where it does not say (RFC 9110, section 10.2.3)."""
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
        Return what *use_case* returned at the server.

        Raises:
            UnexpectedAnswerError: That cannot be read from this answer.
        """
        try:
            return _READER_OF[use_case](Answer(self._json(), etag=self.headers.get("ETag")))
        except _UNREADABLE as error:
            raise UnexpectedAnswerError(
                f"The server answered {self.status}, but not with what this client can read",
                status=self.status,
            ) from error

    def error(self) -> InventoryError:
        """Return what the use case raised at the server, or what became of the request on the way there."""
        said: dict[str, Any] = {}
        try:
            said = self._json()
            return _error(self.status, said)
        except _UNREADABLE:
            return _by_status(self.status, said)

    def _json(self) -> dict[str, Any]:
        made = from_json(self.content.decode())
        if not isinstance(made, dict):
            raise TypeError(type(made))
        return made


# What reading raises where an answer is not of the shape that it should have.
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    ValidationError,
)

_ETAG = re.compile(r'(?:W/)?"[0-9]{1,18}-(?P<seq>[0-9]{1,18})"')


def _item(answer: Answer) -> Item:
    # A proxy that compresses makes the tag a weak one; it still says the same.
    tag = _ETAG.fullmatch(answer.etag or "")
    seq = int(tag["seq"]) if tag else UNKNOWN_SEQ
    name = "deleted_item" if "deleted_item" in answer.body else "item"
    return item_from_wire(answer.body[name], seq=seq)


def _stock_change(answer: Answer) -> StockChange:
    movement = movement_from_wire(answer.body["movement"])
    return StockChange(
        item=item_from_wire(answer.body["item"], seq=movement.seq), movement=movement
    )


def _transfer(answer: Answer) -> Transfer:
    return Transfer(
        source=item_from_wire(answer.body["from"]),
        destination=item_from_wire(answer.body["to"]),
    )


def _row(wire: dict[str, Any]) -> RowResult:
    if "code" not in wire:
        names = ("index", "item_id", "sku", "version", "seq")
        return RowResult(created=wire["status"] == 201, **{name: wire[name] for name in names})  # noqa: PLR2004 - RFC 9110, section 15.3.2
    return RowResult(
        index=wire["index"],
        item_id=wire["item_id"],
        sku=wire["sku"],
        error=_error_in_row(wire),
    )


# What a use case returns says how its answer is read; a new kind of result is missed as soon as this module is imported.
_READERS: Final[dict[Any, Callable[[Answer], Any]]] = {
    Item: _item,
    StockChange: _stock_change,
    Transfer: _transfer,
    Reservation: lambda answer: reservation_from_wire(answer.body["reservation"]),
    Page[Item]: lambda answer: page_from_wire("items", answer.body, item_from_wire),
    Page[Movement]: lambda answer: page_from_wire("movements", answer.body, movement_from_wire),
    tuple[RowResult, ...]: lambda answer: tuple(map(_row, answer.body["results"])),
}

_ROUTES: Final[tuple[Route[Any, Any], ...]] = ROUTES

_ROUTE_OF: Final = {route.use_case: route for route in _ROUTES}

_READER_OF: Final = {
    # The service names the rows of a batch without importing them.
    use_case: _READERS[get_type_hints(use_case, localns={"RowResult": RowResult})["return"]]
    for use_case in _ROUTE_OF
}

_UNANSWERED_STATUSES: Final = (502, 503, 504)
_THROTTLED_STATUS: Final = 429

_KINDS: Final[dict[str, type[InventoryError]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, InventoryError) and "code" in vars(kind)
}

# The facts that an error cannot do without: those that its class annotates and gives no default.
_REQUIRED: Final[dict[type[InventoryError], tuple[str, ...]]] = {
    kind: tuple(
        name
        for parent in kind.__mro__
        if parent is not InventoryError and issubclass(parent, InventoryError)
        for name in vars(parent).get("__annotations__", {})
        if not hasattr(kind, name)
    )
    for kind in _KINDS.values()
}


def _error_in_row(row: dict[str, Any]) -> InventoryError:
    """Return the error that refused a row of a batch; what the row says of its item is among its facts."""
    about = {name: value for name, value in row.items() if value is not None}
    del about["index"]
    return _error(about.pop("status"), about)


def _error(status: int, body: dict[str, Any]) -> InventoryError:
    """Return the error that `inventory_adapters.http.errors.error_body` described."""
    said = dict(body)
    kind = _KINDS.get(str(said.get("code")))
    if kind is None:
        return _by_status(status, said)
    del said["code"]
    message = str(said.pop("error"))
    if kind is ValidationError:
        details = said.pop("details")
        said["errors"] = tuple(FieldError(fault["field"], fault["message"]) for fault in details)
    elif kind is BatchRefusedError:
        results = said.pop("results")
        said |= {"refused": _refused_rows(results), "rows": len(results)}
    missing = [name for name in _REQUIRED[kind] if name not in said]
    if missing:
        raise KeyError(*missing)
    return kind(message, **said)


def _refused_rows(results: list[dict[str, Any]]) -> dict[int, InventoryError]:
    return {row["index"]: _error_in_row(row) for row in results if row["code"] != "not_applied"}


def _by_status(status: int, said: dict[str, Any]) -> InventoryError:
    """Return the error for an answer without a code that we know, such as a gateway's own, or a proxy's page."""
    facts = {
        name: value
        for name, value in said.items()
        if name not in ("error", "message", "code", "status")
    }
    spoken = said.get("error", said.get("message"))
    message = spoken if isinstance(spoken, str) else f"The server answered {status}"
    if status == _THROTTLED_STATUS:
        return StorageThrottledError(message)
    if status in _UNANSWERED_STATUSES:
        return StorageUnavailableError(message)
    if isinstance(said.get("code"), str):
        facts["code"] = said["code"]
    return UnexpectedAnswerError(message, status=status, **facts)
