"""
The wire format of the API: domain values as JSON, in both directions.

The functions that read are strict: a missing field or a wrong type is an error (`KeyError`, `TypeError`, `ValueError`). Unknown
fields are ignored, and fields that a later version added have a default.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Final, Self, TypeVar

from inventory.errors import FieldError, ValidationError
from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.paging import Page
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind, SkuStock

__all__ = [
    "UNKNOWN_SEQ",
    "FieldReader",
    "MalformedJsonError",
    "from_json",
    "item_from_wire",
    "item_to_wire",
    "level_from_wire",
    "level_to_wire",
    "lines_to_wire",
    "movement_from_wire",
    "movement_to_wire",
    "page_from_wire",
    "page_to_wire",
    "reservation_from_wire",
    "reservation_to_wire",
    "sku_stock_to_wire",
    "to_json",
]

T = TypeVar("T")

UNKNOWN_SEQ: Final = 0
"""
The `seq` of an item from a response that does not contain it.

It is safe in an If-Match: edits of the details compare the version alone, and stock requests are rejected as stale unless the
item never moved.
"""

# Longer whole numbers exceed every bound. They become Decimal, because the conversion to int takes quadratic time.
_MOST_INT_DIGITS: Final = 20


class MalformedJsonError(ValueError):
    """The text is not JSON (RFC 8259); the message gives the position."""


def to_json(value: Any) -> str:
    """
    Return *value* as JSON in ASCII: None, bool, int, Decimal, text, and lists and mappings of them.

    The standard encoder does not support Decimal, whose digits are written exactly.
    """
    kind = type(value)
    if kind not in _WRITERS:
        # A subclass, such as Timestamp, is written like its parent.
        parent = next((base for base in kind.__mro__ if base in _WRITERS), None)
        if parent is None:
            raise TypeError(f"cannot be written as JSON: {kind.__name__}")
        _WRITERS[kind] = _WRITERS[parent]
    return _WRITERS[kind](value)


def _object(value: dict[str, Any]) -> str:
    # Looked up without a call of to_json, because this runs for every field of every response.
    parts = [
        f"{_quoted(name)}: {_WRITERS.get(type(part), to_json)(part)}"
        for name, part in value.items()
    ]
    return "{" + ", ".join(parts) + "}"


def _array(value: Iterable[Any]) -> str:
    return "[" + ", ".join([to_json(part) for part in value]) + "]"


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: _quoted,
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    Decimal: lambda value: f"{value:f}",
    type(None): lambda _: "null",
    dict: _object,
    list: _array,
    tuple: _array,
}


def from_json(text: str) -> Any:
    """
    Parse a JSON text, more strictly than the standard decoder: no NaN, no infinities, no duplicate keys.

    Numbers with a fraction or an exponent, and whole numbers too long for any field, become Decimal.

    Raises:
        MalformedJsonError: *text* is not JSON, or nested too deeply.
        ValidationError: An object has a duplicate key.
    """
    try:
        return _DECODE(text)
    except RecursionError:
        raise MalformedJsonError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise MalformedJsonError(
            f"{error.msg} at line {error.lineno} column {error.colno}"
        ) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValidationError(
            errors=tuple(
                FieldError(key[:128], "is given more than once")
                for key, count in counts.items()
                if count > 1
            )
        )
    return fields


def _no_constant(name: str) -> None:
    raise MalformedJsonError(f"{name} is not a JSON number")


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MOST_INT_DIGITS else _decimal(digits)


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError:
        # The exponent is too large for Decimal. Every bound rejects infinity.
        return Decimal("Infinity")


_DECODE: Final[Callable[[str], Any]] = json.JSONDecoder(
    object_pairs_hook=_no_duplicates,
    parse_float=_decimal,
    parse_int=_integer,
    parse_constant=_no_constant,
).decode


def item_to_wire(item: Item) -> dict[str, Any]:
    """Return an item as JSON: ``{"item_id": ..., "sku": ..., "quantity": ..., ...}``."""
    level = item.level
    return {
        "item_id": item.key.item_id,
        "sku": item.key.sku,
        "name": item.name,
        "description": item.description,
        "quantity": level.on_hand,
        "reserved": level.reserved,
        "available": level.available,
        "price": item.price,
        "category": item.category,
        "status": item.status,
        "location": item.location,
        "reorder_point": item.reorder_point,
        "attributes": item.attributes,
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }


def level_to_wire(level: StockLevel | None) -> dict[str, Any] | None:
    """Return the stock of an item at a time as JSON: ``{"quantity": 3, "reserved": 1, "available": 2, "seq": 7}``."""
    if level is None:
        return None
    return {
        "quantity": level.on_hand,
        "reserved": level.reserved,
        "available": level.available,
        "seq": level.seq,
    }


def level_from_wire(wire: Any) -> StockLevel | None:
    """Return the level that `level_to_wire` wrote."""
    if wire is None:
        return None
    read = FieldReader(wire)
    read.integer("available")  # Computed by StockLevel, so only its type is checked.
    return StockLevel(
        on_hand=read.integer("quantity"),
        reserved=read.integer("reserved"),
        seq=read.integer("seq"),
    )


def sku_stock_to_wire(stock: SkuStock) -> dict[str, Any]:
    """Return the stock of a SKU as JSON: ``{"sku": ..., "quantity": ..., "items": [...], "count": 2}``."""
    return {
        "sku": stock.sku,
        "quantity": stock.on_hand,
        "reserved": stock.reserved,
        "available": stock.available,
        "items": [item_to_wire(item) for item in stock.items],
        "count": len(stock.items),
    }


def item_from_wire(wire: Any, *, seq: int = UNKNOWN_SEQ) -> Item:
    """Return the item that `item_to_wire` wrote; *seq* is used if *wire* does not contain it."""
    read = FieldReader(wire)
    level = StockLevel(
        on_hand=read.integer("quantity"),
        reserved=read.integer("reserved"),
        seq=read.integer("seq", default=seq),
    )
    read.integer("available")  # Computed by StockLevel, so only its type is checked.
    return Item(
        key=read.key(),
        name=read.text("name"),
        description=read.text("description"),
        category=read.text("category"),
        price=read.number("price"),
        status=read.text("status"),
        location=read.text("location"),
        reorder_point=read.nullable("reorder_point", FieldReader.integer),
        attributes=read.texts("attributes"),
        version=read.integer("version"),
        created_at=read.time("created_at"),
        updated_at=read.time("updated_at"),
        level=level,
    )


def movement_to_wire(movement: Movement) -> dict[str, Any]:
    """Return a movement as JSON: ``{"seq": 3, "kind": "adjust", "delta_on_hand": -2, ...}``."""
    return {
        "item_id": movement.key.item_id,
        "sku": movement.key.sku,
        "seq": movement.seq,
        "kind": movement.kind,
        "delta_on_hand": movement.delta_on_hand,
        "delta_reserved": movement.delta_reserved,
        "on_hand": movement.on_hand,
        "reserved": movement.reserved,
        "actor": movement.actor,
        "reason": movement.reason,
        "reference": movement.reference,
        "reservation_id": movement.reservation_id,
        "recorded_at": movement.recorded_at,
    }


def movement_from_wire(wire: Any) -> Movement:
    """Return the movement that `movement_to_wire` wrote, with `item_created_at` if *wire* contains it."""
    read = FieldReader(wire)
    return Movement(
        key=read.key(),
        seq=read.integer("seq"),
        kind=MovementKind(read.text("kind")),
        delta_on_hand=read.integer("delta_on_hand"),
        delta_reserved=read.integer("delta_reserved"),
        on_hand=read.integer("on_hand"),
        reserved=read.integer("reserved"),
        actor=read.nullable("actor", FieldReader.text),
        reason=read.nullable("reason", FieldReader.text),
        reference=read.nullable("reference", FieldReader.text),
        reservation_id=read.nullable("reservation_id", FieldReader.text),
        recorded_at=read.time("recorded_at"),
        item_created_at=(
            read.nullable("item_created_at", FieldReader.time)
            if "item_created_at" in read.fields
            else None
        ),
    )


def reservation_to_wire(reservation: Reservation) -> dict[str, Any]:
    """Return a reservation as JSON: ``{"reservation_id": ..., "state": "held", "lines": [...], ...}``."""
    return {
        "reservation_id": reservation.reservation_id,
        "state": reservation.state,
        "lines": lines_to_wire(reservation.lines),
        "committed": lines_to_wire(reservation.committed),
        "reference": reservation.reference,
        "created_at": reservation.created_at,
        "expires_at": reservation.expires_at,
        "closed_at": reservation.closed_at,
    }


def reservation_from_wire(wire: Any) -> Reservation:
    """Return the reservation that `reservation_to_wire` wrote."""
    read = FieldReader(wire)
    return Reservation(
        reservation_id=read.text("reservation_id"),
        state=ReservationState(read.text("state")),
        lines=tuple(map(_line_from_wire, read.rows("lines"))),
        committed=tuple(map(_line_from_wire, read.rows("committed"))),
        reference=read.nullable("reference", FieldReader.text),
        created_at=read.time("created_at"),
        expires_at=read.time("expires_at"),
        closed_at=read.nullable("closed_at", FieldReader.time),
    )


def lines_to_wire(lines: Iterable[ReservationLine]) -> list[dict[str, Any]]:
    """Return lines of a reservation as JSON: ``[{"item_id": ..., "sku": ..., "quantity": 2}, ...]``."""
    return [
        {"item_id": line.key.item_id, "sku": line.key.sku, "quantity": line.quantity}
        for line in lines
    ]


def _line_from_wire(wire: Any) -> ReservationLine:
    read = FieldReader(wire)
    return ReservationLine(key=read.key(), quantity=read.integer("quantity"))


def page_to_wire(
    name: str, page: Page[Any], row: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """Return a page as JSON: rows under *name*, their count, and the token of the next page if there is one."""
    wire: dict[str, Any] = {name: [row(item) for item in page.items], "count": len(page.items)}
    if page.next_cursor is not None:
        wire["next_page_token"] = page.next_cursor
    return wire


def page_from_wire(name: str, wire: Any, row: Callable[[Any], T]) -> Page[T]:
    """Return the page that `page_to_wire` wrote."""
    read = FieldReader(wire)
    read.integer("count")  # The number of rows, so only its type is checked.
    cursor = read.text("next_page_token") if "next_page_token" in read.fields else None
    return Page(items=tuple(map(row, read.rows(name))), next_cursor=cursor)


class FieldReader:
    """
    Typed access to the fields of a JSON object.

    Raises:
        KeyError: The field is missing.
        TypeError: The object or the field has a wrong type.
        ValueError: The number is too large.
    """

    def __init__(self, wire: Any) -> None:
        self.fields: dict[str, Any] = _checked("object", wire, dict)

    def text(self, name: str) -> str:
        """Return a text."""
        return _checked(name, self.fields[name], str)

    def integer(self, name: str, *, default: int | None = None) -> int:
        """Return a whole number; *default* if there is one and the field is missing."""
        if default is not None and name not in self.fields:
            return default
        return _checked(name, self.fields[name], int)

    def number(self, name: str) -> Decimal:
        """Return an exact number."""
        value = self.fields[name]
        if type(value) is int:
            return Decimal(value)
        if not _checked(name, value, Decimal).is_finite():
            raise ValueError(f"{name} is too large")
        return _checked(name, value, Decimal)

    def time(self, name: str) -> Timestamp:
        """Return a time, in any format, because rows of the seed's API have times of their own."""
        return Timestamp(self.text(name))

    def texts(self, name: str) -> dict[str, str]:
        """Return an object of texts."""
        texts = FieldReader(self.fields[name])
        return {key: texts.text(key) for key in texts.fields}

    def rows(self, name: str) -> list[Any]:
        """Return a list."""
        return _checked(name, self.fields[name], list)

    def key(self) -> ItemKey:
        """Return the key of an item."""
        return ItemKey(item_id=self.text("item_id"), sku=self.text("sku"))

    def nullable(self, name: str, read: Callable[[Self, str], T]) -> T | None:
        """Return None, or the value that *read* returns for the field."""
        return None if self.fields[name] is None else read(self, name)


def _checked(name: str, value: Any, kind: type[T]) -> T:
    # A bool is an int in Python, but not in JSON.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}")
    return value
