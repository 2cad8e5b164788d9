"""Domain ↔ JSON: what items look like on the wire, in both directions, and what a JSON text means."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Final, TypeVar

from inventory.errors import FieldError, ValidationError
from inventory.items import Item, ItemKey, StockLevel, Timestamp
from inventory.paging import Page
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind

__all__ = [
    "UNKNOWN_SEQ",
    "MalformedJsonError",
    "from_json",
    "item_from_wire",
    "item_to_wire",
    "movement_from_wire",
    "movement_to_wire",
    "page_from_wire",
    "page_to_wire",
    "reservation_from_wire",
    "reservation_to_wire",
    "to_json",
]

T = TypeVar("T")

UNKNOWN_SEQ: Final = 0
"""
The `seq` of an item that came in an answer which does not tell it.

It errs on the safe side: in an If-Match it lets edits of the details through, which compare the version alone, and stock
requests only where the item has never moved; all others are refused as stale, none is let through that should not be.
"""

# Longer whole numbers are out of every bound; as Decimal they are refused by the field, and cost no quadratic conversion.
_MOST_INT_DIGITS: Final = 20


class MalformedJsonError(ValueError):
    """The text is not JSON (RFC 8259); the message says where it stops being so."""


def to_json(value: Any) -> str:
    """
    Write *value* as JSON in ASCII: None, bool, int, Decimal, text, and lists and mappings of them.

    The standard encoder knows numbers as int and float only; a Decimal is written here digit by digit.
    """
    kind = type(value)
    if kind not in _WRITERS:
        # A subclass of text, such as Timestamp, is written as what it is.
        parent = next((base for base in kind.__mro__ if base in _WRITERS), None)
        if parent is None:
            raise TypeError(f"no JSON for {kind.__name__}")
        _WRITERS[kind] = _WRITERS[parent]
    return _WRITERS[kind](value)


def _object(value: dict[str, Any]) -> str:
    # The writer is looked up here, because a call for each part would show in every answer.
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
    Read a JSON text, stricter than the standard decoder: no NaN, no infinities, no key twice.

    Numbers with a fraction or an exponent, and whole numbers too long for any field, become Decimal.

    Raises:
        MalformedJsonError: *text* is not JSON, or nested too deep.
        ValidationError: An object has a key twice.
    """
    try:
        return _DECODE(text)
    except RecursionError:
        raise MalformedJsonError("nested too deep") from None
    except json.JSONDecodeError as error:
        raise MalformedJsonError(
            f"{error.msg} at line {error.lineno} column {error.colno}"
        ) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        # set.add returns None: each key passes the filter when it comes again.
        twice = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        raise ValidationError(
            errors=tuple(
                FieldError(key[:128], "is given more than once") for key in dict.fromkeys(twice)
            )
        )
    return made


def _no_constant(name: str) -> None:
    raise MalformedJsonError(f"{name} is not a JSON number")


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MOST_INT_DIGITS else _decimal(digits)


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except (
        ArithmeticError
    ):  # The exponent is beyond what Decimal has; every bound refuses infinity.
        return Decimal("Infinity")


_DECODE: Final[Callable[[str], Any]] = json.JSONDecoder(
    object_pairs_hook=_no_duplicates,
    parse_float=_decimal,
    parse_int=_whole,
    parse_constant=_no_constant,
).decode


def item_to_wire(item: Item) -> dict[str, Any]:
    """Return an item as clients see it: ``{"item_id": ..., "sku": ..., "quantity": ..., ...}``."""
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
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }


def item_from_wire(wire: dict[str, Any], *, seq: int = UNKNOWN_SEQ) -> Item:
    """Return the item that `item_to_wire` described; with *seq* where *wire* has none."""
    return Item(
        key=_key(wire),
        name=wire["name"],
        description=wire["description"],
        category=wire["category"],
        price=Decimal(wire["price"]),
        status=wire["status"],
        location=wire["location"],
        reorder_point=wire["reorder_point"],
        version=wire["version"],
        created_at=Timestamp(wire["created_at"]),
        updated_at=Timestamp(wire["updated_at"]),
        level=StockLevel(
            on_hand=wire["quantity"], reserved=wire["reserved"], seq=wire.get("seq", seq)
        ),
    )


def movement_to_wire(movement: Movement) -> dict[str, Any]:
    """Return a ledger entry as clients see it: ``{"seq": 3, "kind": "adjust", "delta_on_hand": -2, ...}``."""
    return {
        "item_id": movement.key.item_id,
        "sku": movement.key.sku,
        "seq": movement.seq,
        "kind": movement.kind,
        "delta_on_hand": movement.delta_on_hand,
        "delta_reserved": movement.delta_reserved,
        "on_hand": movement.on_hand,
        "reserved": movement.reserved,
        "reason": movement.reason,
        "reference": movement.reference,
        "reservation_id": movement.reservation_id,
        "recorded_at": movement.recorded_at,
    }


def movement_from_wire(wire: dict[str, Any]) -> Movement:
    """Return the ledger entry that `movement_to_wire` described; with `item_created_at` if *wire* has it."""
    created_at = wire.get("item_created_at")
    return Movement(
        key=_key(wire),
        seq=wire["seq"],
        kind=MovementKind(wire["kind"]),
        delta_on_hand=wire["delta_on_hand"],
        delta_reserved=wire["delta_reserved"],
        on_hand=wire["on_hand"],
        reserved=wire["reserved"],
        reason=wire["reason"],
        reference=wire["reference"],
        reservation_id=wire["reservation_id"],
        recorded_at=Timestamp(wire["recorded_at"]),
        item_created_at=None if created_at is None else Timestamp(created_at),
    )


def reservation_to_wire(reservation: Reservation) -> dict[str, Any]:
    """Return a reservation as clients see it: ``{"reservation_id": ..., "state": "held", "lines": [...], ...}``."""
    return {
        "reservation_id": reservation.reservation_id,
        "state": reservation.state,
        "lines": [
            {"item_id": line.key.item_id, "sku": line.key.sku, "quantity": line.quantity}
            for line in reservation.lines
        ],
        "reference": reservation.reference,
        "created_at": reservation.created_at,
        "expires_at": reservation.expires_at,
        "closed_at": reservation.closed_at,
    }


def reservation_from_wire(wire: dict[str, Any]) -> Reservation:
    """Return the reservation that `reservation_to_wire` described."""
    return Reservation(
        reservation_id=wire["reservation_id"],
        state=ReservationState(wire["state"]),
        lines=tuple(
            ReservationLine(key=_key(line), quantity=line["quantity"]) for line in wire["lines"]
        ),
        reference=wire["reference"],
        created_at=Timestamp(wire["created_at"]),
        expires_at=Timestamp(wire["expires_at"]),
        closed_at=None if wire["closed_at"] is None else Timestamp(wire["closed_at"]),
    )


def page_to_wire(
    name: str, page: Page[Any], row: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """Return a page as clients see it: rows under *name*, their count, and a token unless it was the last page."""
    made: dict[str, Any] = {name: [row(item) for item in page.items], "count": len(page.items)}
    if page.next_cursor is not None:
        made["next_page_token"] = page.next_cursor
    return made


def page_from_wire(name: str, wire: dict[str, Any], row: Callable[[dict[str, Any]], T]) -> Page[T]:
    """Return the page that `page_to_wire` described."""
    return Page(items=tuple(map(row, wire[name])), next_cursor=wire.get("next_page_token"))


def _key(wire: dict[str, Any]) -> ItemKey:
    return ItemKey(item_id=wire["item_id"], sku=wire["sku"])
