"""
Rows ↔ items, movements, reservations and idempotency records.

An item is ``{"item_id": {"S": "..."}, "quantity": {"N": "5"}, "price": {"N": "19.9"}, ...}``. Rows of an earlier version lack
`reserved`, `seq`, `version` (read as 0), `location`, `description`, `price` and `status`; a sloppy writer may have stored the
price as text. What a row holds beyond these attributes is left alone.

The ledger table holds, beside the low-stock markers::

    {"pk": "item#<item_id>#<sku>", "sk": "movement#<seq, 12 digits>", "kind": "adjust", "delta_on_hand": -3, ...}
    {"pk": "reservation#<id>", "sk": "reservation", "state": "held", "lines": [{"item_id", "sku", "quantity"}], ...}
    {"pk": "idempotency#<record_id>", "sk": "idempotency", "fingerprint": "...", "answer": "...", ...}

Each row names the write that stored it. TTL deletes rows with `delete_after`: idempotency records, and closed reservations.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from math import ceil
from types import ModuleType
from typing import Any, Final

import attrs

from inventory.errors import (
    UnreadableItemError,
    UnreadableMovementError,
    UnreadableReservationError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import AVAILABLE, Item, ItemKey, StockLevel, Timestamp
from inventory.reservations import RETENTION_SECONDS, Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind
from inventory_adapters.storage.dynamodb import schema

__all__ = [
    "DEFAULTS",
    "Row",
    "Value",
    "idempotency_record_key",
    "idempotency_record_to_row",
    "item_to_row",
    "key_to_row",
    "movement_key",
    "movement_to_row",
    "number",
    "reservation_key",
    "reservation_to_row",
    "row_to_idempotency_record",
    "row_to_item",
    "row_to_key",
    "row_to_movement",
    "row_to_reservation",
    "seq_of",
    "text",
    "value_of",
    "was_written_by",
]

Value = dict[str, Any]
"""One attribute, tagged with its type: ``{"S": "blue"}``, ``{"N": "12.50"}``, ``{"NULL": True}``."""

Row = Mapping[str, Value]

_MISSING: Final[Value] = {"NULL": True}
# As many digits as a number of DynamoDB has. Source: "Supported data types", Number.
_DECIMAL: Final = r"-?[0-9]{1,38}(\.[0-9]{1,38})?"

_MOVEMENT_NUMBERS: Final = ("seq", "delta_on_hand", "delta_reserved", "on_hand", "reserved")

DEFAULTS: Final = {"description": "", "status": AVAILABLE, "location": "default"}
"""What a row means that does not have these attributes."""


# Attributes


def text(value: str) -> Value:
    """Return *value* as an attribute."""
    return {"S": value}


def number(value: int | Decimal) -> Value:
    """Return *value* as an attribute, to the last digit."""
    return {"N": f"{value:f}" if isinstance(value, Decimal) else str(value)}


def value_of(value: str | int | Decimal) -> Value:
    """Return *value* as an attribute of its type."""
    return text(value) if isinstance(value, str) else number(value)


# Items


def key_to_row(key: ItemKey) -> dict[str, Value]:
    """Return the key attributes of an item."""
    return {"item_id": text(key.item_id), "sku": text(key.sku)}


def row_to_key(row: Row) -> ItemKey:
    """Return the key of a row of the items table, or of one that points to it."""
    return ItemKey(item_id=row["item_id"]["S"], sku=row["sku"]["S"])


def item_to_row(item: Item) -> dict[str, Value]:
    """Return *item* as a whole row."""
    row = {
        **key_to_row(item.key),
        "name": text(item.name),
        "description": text(item.description),
        "category": text(item.category),
        "price": number(item.price),
        "status": text(item.status),
        "location": text(item.location),
        "version": number(item.version),
        "created_at": text(item.created_at),
        "updated_at": text(item.updated_at),
        "quantity": number(item.level.on_hand),
        "reserved": number(item.level.reserved),
        "seq": number(item.level.seq),
    }
    if item.reorder_point is not None:
        row["reorder_point"] = number(item.reorder_point)
    return row


def row_to_item(row: Row) -> Item:
    """
    Return the item that *row* holds.

    Raises:
        UnreadableItemError: It holds something else.
    """
    try:
        return _from_current_row(row)
    except (KeyError, ValueError):
        return _from_legacy_row(row)


def _from_current_row(row: Row) -> Item:
    """Return the item of a row as we write it; that is nearly all of them, at half the price."""
    quantity, reserved = int(row["quantity"]["N"]), int(row["reserved"]["N"])
    seq, version = int(row["seq"]["N"]), int(row["version"]["N"])
    if version < 0:
        raise ValueError(version)
    return Item(
        key=ItemKey(item_id=row["item_id"]["S"], sku=row["sku"]["S"]),
        name=row["name"]["S"],
        description=row["description"]["S"],
        category=row["category"]["S"],
        price=Decimal(row["price"]["N"]),
        status=row["status"]["S"],
        location=row["location"]["S"],
        reorder_point=int(row["reorder_point"]["N"]) if "reorder_point" in row else None,
        version=version,
        created_at=Timestamp(row["created_at"]["S"]),
        updated_at=Timestamp(row["updated_at"]["S"]),
        level=StockLevel(on_hand=quantity, reserved=reserved, seq=seq),
    )


def _from_legacy_row(row: Row) -> Item:
    """Return the item of a row that an earlier version wrote, or somebody else."""
    key = row_to_key(row)
    try:
        return Item(
            key=key,
            name=_text(row, "name"),
            description=_text(row, "description"),
            category=_text(row, "category"),
            price=_price(row),
            status=_text(row, "status"),
            location=_text(row, "location"),
            reorder_point=None if _lacks(row, "reorder_point") else _whole(row, "reorder_point"),
            version=_counter(row, "version"),
            created_at=Timestamp(_text(row, "created_at")),
            updated_at=Timestamp(_text(row, "updated_at")),
            level=StockLevel(
                on_hand=_whole(row, "quantity"),
                reserved=_counter(row, "reserved"),
                seq=_counter(row, "seq"),
            ),
        )
    except ValueError as error:
        raise UnreadableItemError(item_id=key.item_id, sku=key.sku, why=str(error)) from error


def _lacks(row: Row, attribute: str) -> bool:
    return "NULL" in row.get(attribute, _MISSING)


def _text(row: Row, attribute: str) -> str:
    value: str | None = row.get(attribute, _MISSING).get("S")
    if value is None and _lacks(row, attribute):
        value = DEFAULTS.get(attribute)
    if value is None:
        msg = f"{attribute} is not text"
        raise ValueError(msg)
    return value


def _price(row: Row) -> Decimal:
    value = row.get("price", _MISSING)
    if "N" in value:
        return Decimal(value["N"])
    if "NULL" in value:
        return Decimal(0)
    if re.fullmatch(_DECIMAL, value.get("S", "")):
        return Decimal(value["S"])
    msg = "price is not a number"
    raise ValueError(msg)


def _counter(row: Row, attribute: str) -> int:
    return _whole(row, attribute) if attribute in row else 0


def _whole(row: Row, attribute: str) -> int:
    digits: str = row.get(attribute, _MISSING).get("N", "")
    if digits.isdigit():
        return int(digits)
    # "5.0" and "5E+2" are whole as well, wherever they come from.
    value = Decimal(digits) if digits else Decimal(-1)
    if value < 0 or value != value.to_integral_value():
        msg = f"{attribute} is not a whole number"
        raise ValueError(msg)
    return int(value)


def was_written_by(row: Row, write_id: str) -> bool:
    """Tell whether *row* is the work of *write_id*: as it was written once, or one of the last two that signed it."""
    return text(write_id) in map(row.get, ("write_id", "last_write", "prior_write"))


# The ledger


def movement_key(movement: Movement) -> dict[str, Value]:
    """Return the place of *movement* in the ledger."""
    return _place(schema.movements_pk(movement.key), schema.movement_sk(movement.seq))


def movement_to_row(movement: Movement) -> dict[str, Value]:
    """Return *movement* as a whole row."""
    fields = attrs.asdict(movement, recurse=False, filter=lambda field, _: field.name != "key")
    return {
        **movement_key(movement),
        **key_to_row(movement.key),
        **{name: value_of(value) for name, value in fields.items() if value is not None},
    }


def row_to_movement(row: Row) -> Movement:
    """
    Return the movement that *row* holds.

    Raises:
        UnreadableMovementError: It holds something else.
    """
    try:
        return Movement(
            key=row_to_key(row),
            kind=MovementKind(row["kind"]["S"]),
            reason=_text_or_none(row, "reason"),
            reference=_text_or_none(row, "reference"),
            reservation_id=_text_or_none(row, "reservation_id"),
            recorded_at=_time(row, "recorded_at"),
            item_created_at=_time(row, "item_created_at") if "item_created_at" in row else None,
            **{name: int(row[name]["N"]) for name in _MOVEMENT_NUMBERS},
        )
    except (KeyError, ValueError) as error:
        item_id, sku = (row.get(name, _MISSING).get("S", "") for name in ("item_id", "sku"))
        raise UnreadableMovementError(
            item_id=item_id, sku=sku, seq=seq_of(row), why=_why(error)
        ) from error


def seq_of(row: Row) -> int:
    """Return the seq of a movement, whether or not it can be read."""
    return schema.seq_of(row["sk"]["S"])


def reservation_key(reservation_id: str) -> dict[str, Value]:
    """Return the place of a reservation."""
    return _place(schema.reservation_pk(reservation_id), schema.RESERVATION_SK)


def reservation_to_row(reservation: Reservation) -> dict[str, Value]:
    """Return *reservation* as a whole row: in the due index while it is held, marked for TTL once it is closed, never both."""
    row = {
        **reservation_key(reservation.reservation_id),
        "reservation_id": text(reservation.reservation_id),
        "state": text(reservation.state),
        "lines": {"L": [{"M": _line_to_row(line)} for line in reservation.lines]},
        "created_at": text(reservation.created_at),
        "expires_at": text(reservation.expires_at),
    }
    if reservation.reference is not None:
        row["reference"] = text(reservation.reference)
    if reservation.state is ReservationState.HELD:
        row["due_shard"] = text(schema.DUE_SHARD)
    elif reservation.closed_at is not None:
        row["closed_at"] = text(reservation.closed_at)
        row["delete_after"] = _second(reservation.closed_at, later=RETENTION_SECONDS)
    return row


def row_to_reservation(row: Row) -> Reservation:
    """
    Return the reservation that *row* holds.

    Raises:
        UnreadableReservationError: It holds something else.
    """
    try:
        return Reservation(
            reservation_id=row["reservation_id"]["S"],
            lines=tuple(_row_to_line(line["M"]) for line in row["lines"]["L"]),
            state=ReservationState(row["state"]["S"]),
            reference=_text_or_none(row, "reference"),
            created_at=_time(row, "created_at"),
            expires_at=_time(row, "expires_at"),
            closed_at=_time(row, "closed_at") if "closed_at" in row else None,
        )
    except (KeyError, ValueError) as error:
        # The partition has the id, too, unless it was too long for that.
        named: str = row.get("reservation_id", _MISSING).get("S") or row["pk"]["S"]
        raise UnreadableReservationError(reservation_id=named, why=_why(error)) from error


def _why(error: KeyError | ValueError) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def idempotency_record_key(record_id: str) -> dict[str, Value]:
    """Return the place of the record of an idempotency key."""
    return _place(schema.idempotency_pk(record_id), schema.IDEMPOTENCY_SK)


def idempotency_record_to_row(record: IdempotencyRecord) -> dict[str, Value]:
    """Return *record* as a whole row."""
    return {
        **idempotency_record_key(record.record_id),
        "record_id": text(record.record_id),
        "fingerprint": text(record.fingerprint),
        "answer": text(_records().answer_to_text(record.answer)),
        "stored_at": text(record.stored_at),
        "expires_at": text(record.expires_at),
        "delete_after": _second(record.expires_at),
    }


def row_to_idempotency_record(row: Row) -> IdempotencyRecord:
    """Return the record that *row* holds."""
    return IdempotencyRecord(
        record_id=row["record_id"]["S"],
        fingerprint=row["fingerprint"]["S"],
        answer=_records().answer_from_text(row["answer"]["S"]),
        stored_at=_time(row, "stored_at"),
        expires_at=_time(row, "expires_at"),
    )


def _records() -> ModuleType:
    # cattrs is more than 2 % of a cold start, and few requests have a key.
    from inventory_adapters import records  # noqa: PLC0415

    return records


def _line_to_row(line: ReservationLine) -> dict[str, Value]:
    return {**key_to_row(line.key), "quantity": number(line.quantity)}


def _row_to_line(row: Row) -> ReservationLine:
    return ReservationLine(key=row_to_key(row), quantity=int(row["quantity"]["N"]))


def _place(pk: str, sk: str) -> dict[str, Value]:
    return {"pk": text(pk), "sk": text(sk)}


def _time(row: Row, attribute: str) -> Timestamp:
    return Timestamp(row[attribute]["S"])


def _text_or_none(row: Row, attribute: str) -> str | None:
    return row[attribute]["S"] if attribute in row else None


def _second(at: Timestamp, *, later: int = 0) -> Value:
    """Return the first whole second that is not before *at*, as TTL counts them: since 1970."""
    return number(ceil(at.as_datetime().timestamp()) + later)
