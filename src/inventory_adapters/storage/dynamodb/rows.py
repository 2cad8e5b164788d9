"""
Rows ↔ items, movements, reservations and idempotency records.

An item is ``{"item_id": {"S": "..."}, "quantity": {"N": "5"}, "price": {"N": "19.9"}, ...}``. Rows of an earlier version lack
`reserved`, `seq` and `version` (read as 0), and may lack `location`, `description`, `price` and `status`. Other writers may
have stored the price as text. Further attributes of a row are ignored and kept.

The ledger table holds::

    {"pk": "item#<item_id>#<sku>", "sk": "movement#<seq, 12 digits>", "kind": "adjust", "delta_on_hand": -3, ...}
    {"pk": "reservation#<id>", "sk": "reservation", "state": "held", "lines": [{"item_id", "sku", "quantity"}], ...}
    {"pk": "idempotency#<record_id>", "sk": "idempotency", "fingerprint": "...", "answer": "...", ...}

Each of these rows names the write that stored it. Two kinds of rows are derived from them, and may be stale but not missing::

    {"pk": "low-stock", "sk": "<item_id>#<sku>", "item_id", "sku", "put_at"}
    {"pk": "holds#<item_id>#<sku>", "sk": "<expires_at>#<reservation_id>", "reservation_id", "item_id", "sku", "put_at", ...}

While the tables are being restored, one row marks them; rows that a restore wrote have its ID in `restored`::

    {"pk": "copy", "sk": "copy", "restore_id"}

TTL deletes rows with `delete_after`: idempotency records, closed reservations and pointers.
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
from inventory.reservations import (
    FAR_SECONDS,
    RETENTION_SECONDS,
    Reservation,
    ReservationLine,
    ReservationState,
)
from inventory.stock import Movement, MovementKind
from inventory_adapters.storage.dynamodb import schema

__all__ = [
    "DEFAULTS",
    "Changes",
    "Row",
    "Value",
    "edited",
    "idempotency_record_key",
    "idempotency_record_to_row",
    "item_changes",
    "item_to_row",
    "key_to_row",
    "ledger_key",
    "marker_key",
    "marker_to_row",
    "movement_key",
    "movement_to_row",
    "number",
    "pointers",
    "reservation_changes",
    "reservation_key",
    "reservation_to_row",
    "row_to_idempotency_record",
    "row_to_item",
    "row_to_key",
    "row_to_movement",
    "row_to_reservation",
    "seq_of",
    "text",
    "was_written_by",
]

Value = dict[str, Any]
"""One attribute, tagged with its type: ``{"S": "blue"}``, ``{"N": "12.50"}``, ``{"NULL": True}``."""

Row = Mapping[str, Value]

Changes = Mapping[str, Value | None]
"""The attributes of a row that an update changes; it removes those that are None."""

Plain = str | int | Decimal | Mapping[str, str] | tuple[ReservationLine, ...]
Attributes = Mapping[str, Plain | None]

_MISSING: Final[Value] = {"NULL": True}
# As many digits as a number of DynamoDB has. Source: "Supported data types", Number.
_DECIMAL: Final = r"-?[0-9]{1,38}(\.[0-9]{1,38})?"

_MOVEMENT_NUMBERS: Final = ("seq", "delta_on_hand", "delta_reserved", "on_hand", "reserved")

DEFAULTS: Final = {"description": "", "status": AVAILABLE, "location": "default"}
"""The values of attributes that a row lacks."""


# Attributes


def text(value: str) -> Value:
    """Return *value* as an attribute."""
    return {"S": value}


def number(value: int | Decimal) -> Value:
    """Return *value* as an attribute, exactly."""
    return {"N": f"{value:f}" if isinstance(value, Decimal) else str(value)}


def value_of(value: Plain) -> Value:
    """Return *value* as an attribute of its type."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (int, Decimal)):
        return number(value)
    if isinstance(value, tuple):
        return {"L": [{"M": _line_to_row(line)} for line in value]}
    return {"M": {name: text(part) for name, part in value.items()}}


def _encoded(attributes: Attributes) -> dict[str, Value]:
    return {name: value_of(value) for name, value in attributes.items() if value is not None}


def _changes(before: Attributes, after: Attributes) -> Changes:
    return {
        name: None if value is None else value_of(value)
        for name, value in after.items()
        if value != before[name]
    }


# Items


def key_to_row(key: ItemKey) -> dict[str, Value]:
    """Return the key attributes of an item."""
    return {"item_id": text(key.item_id), "sku": text(key.sku)}


def row_to_key(row: Row) -> ItemKey:
    """Return the item key in a row of the items table, an index or the ledger."""
    return ItemKey(item_id=row["item_id"]["S"], sku=row["sku"]["S"])


def item_to_row(item: Item) -> dict[str, Value]:
    """Return *item* as a complete row."""
    return key_to_row(item.key) | _encoded(_item_attributes(item))


def item_changes(before: Item, after: Item) -> Changes:
    """Return the attributes in which two states of an item differ."""
    return _changes(_item_attributes(before), _item_attributes(after))


def _item_attributes(item: Item) -> Attributes:
    return {
        "name": item.name,
        "description": item.description,
        "category": item.category,
        "price": item.price,
        "status": item.status,
        "location": item.location,
        "reorder_point": item.reorder_point,
        "attributes": item.attributes or None,
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "quantity": item.level.on_hand,
        "reserved": item.level.reserved,
        "seq": item.level.seq,
        "moved_at": item.moved_at,
        "changed_by": item.changed_by,
    }


def edited(fields: Mapping[str, Any]) -> Changes:
    """Return new details of an item, by their names on `Item`, as attributes."""
    return {
        name: None if value is None or value == {} else value_of(value)
        for name, value in fields.items()
    }


def row_to_item(row: Row) -> Item:
    """
    Return the item in *row*.

    Raises:
        UnreadableItemError: The row is not an item.
    """
    try:
        return _from_current_row(row)
    except (KeyError, ValueError):
        return _from_legacy_row(row)


def _from_current_row(row: Row) -> Item:
    """Read a row as `item_to_row` writes it: nearly every row, in half the time."""
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
        attributes=_texts(row["attributes"]) if "attributes" in row else {},
        version=version,
        created_at=Timestamp(row["created_at"]["S"]),
        updated_at=Timestamp(row["updated_at"]["S"]),
        level=StockLevel(on_hand=quantity, reserved=reserved, seq=seq),
        moved_at=_time(row, "moved_at") if "moved_at" in row else None,
        changed_by=_text_or_none(row, "changed_by"),
    )


def _from_legacy_row(row: Row) -> Item:
    """Read a row of an earlier version or of another writer."""
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
            attributes={} if _lacks(row, "attributes") else _texts(row["attributes"]),
            version=_counter(row, "version"),
            created_at=Timestamp(_text(row, "created_at")),
            updated_at=Timestamp(_text(row, "updated_at")),
            level=StockLevel(
                on_hand=_whole(row, "quantity"),
                reserved=_counter(row, "reserved"),
                seq=_counter(row, "seq"),
            ),
            moved_at=None if _lacks(row, "moved_at") else Timestamp(_text(row, "moved_at")),
            changed_by=None if _lacks(row, "changed_by") else _text(row, "changed_by"),
        )
    except (KeyError, ValueError) as error:
        raise UnreadableItemError(item_id=key.item_id, sku=key.sku, why=_why(error)) from error


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


def _texts(value: Value) -> dict[str, str]:
    return {name: part["S"] for name, part in value["M"].items()}


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
    # "5.0" and "5E+2" are whole numbers, too.
    value = Decimal(digits) if digits else Decimal(-1)
    if value < 0 or value != value.to_integral_value():
        msg = f"{attribute} is not a whole number"
        raise ValueError(msg)
    return int(value)


def was_written_by(row: Row, write_id: str) -> bool:
    """Return whether *write_id* wrote *row*, or was one of its last two writes."""
    return text(write_id) in map(row.get, ("write_id", "last_write", "prior_write"))


# The ledger


def ledger_key(row: Row) -> dict[str, Value]:
    """Return the key of a row of the ledger."""
    return {name: row[name] for name in (schema.LEDGER.partition_key, schema.LEDGER.sort_key)}


def movement_key(movement: Movement) -> dict[str, Value]:
    """Return the key of *movement* in the ledger table."""
    return _place(schema.movements_pk(movement.key), schema.movement_sk(movement.seq))


def movement_to_row(movement: Movement) -> dict[str, Value]:
    """Return *movement* as a complete row."""
    fields = attrs.asdict(movement, recurse=False, filter=lambda field, _: field.name != "key")
    return {
        **movement_key(movement),
        **key_to_row(movement.key),
        **{name: value_of(value) for name, value in fields.items() if value is not None},
    }


def row_to_movement(row: Row) -> Movement:
    """
    Return the movement in *row*.

    Raises:
        UnreadableMovementError: The row is not a movement.
    """
    try:
        return Movement(
            key=row_to_key(row),
            kind=MovementKind(row["kind"]["S"]),
            actor=_text_or_none(row, "actor"),
            reason=_text_or_none(row, "reason"),
            reference=_text_or_none(row, "reference"),
            reservation_id=_text_or_none(row, "reservation_id"),
            recorded_at=_time(row, "recorded_at"),
            item_created_at=_time(row, "item_created_at") if "item_created_at" in row else None,
            crossed=_text_or_none(row, "crossed"),
            **{name: int(row[name]["N"]) for name in _MOVEMENT_NUMBERS},
        )
    except (KeyError, ValueError) as error:
        item_id, sku = (row.get(name, _MISSING).get("S", "") for name in ("item_id", "sku"))
        raise UnreadableMovementError(
            item_id=item_id, sku=sku, seq=seq_of(row), why=_why(error)
        ) from error


def seq_of(row: Row) -> int:
    """Return the seq of a movement, even if its row is unreadable."""
    return schema.seq_of(row["sk"]["S"])


def reservation_key(reservation_id: str) -> dict[str, Value]:
    """Return the key of a reservation in the ledger table."""
    return _place(schema.reservation_pk(reservation_id), schema.RESERVATION_SK)


def reservation_to_row(reservation: Reservation) -> dict[str, Value]:
    """Return *reservation* as a complete row."""
    return {
        **reservation_key(reservation.reservation_id),
        "reservation_id": text(reservation.reservation_id),
        **_encoded(_reservation_attributes(reservation)),
    }


def reservation_changes(before: Reservation, after: Reservation) -> Changes:
    """Return the attributes in which two states of a reservation differ."""
    return _changes(_reservation_attributes(before), _reservation_attributes(after))


def _reservation_attributes(reservation: Reservation) -> Attributes:
    # A held reservation is in the due index; a closed one is marked for TTL.
    is_held = reservation.state is ReservationState.HELD
    closed_at = None if is_held else reservation.closed_at
    return {
        "state": reservation.state,
        "lines": reservation.lines,
        "committed": reservation.committed or None,
        "reference": reservation.reference,
        "created_at": reservation.created_at,
        "expires_at": reservation.expires_at,
        "due_shard": schema.due_shard(reservation.reservation_id) if is_held else None,
        "closed_at": closed_at,
        "delete_after": None if closed_at is None else _second(closed_at) + RETENTION_SECONDS,
        "revision": reservation.revision,
        "changed_at": reservation.changed_at,
        "changed_by": reservation.changed_by,
    }


def row_to_reservation(row: Row) -> Reservation:
    """
    Return the reservation in *row*.

    Raises:
        UnreadableReservationError: The row is not a reservation.
    """
    try:
        return Reservation(
            reservation_id=row["reservation_id"]["S"],
            lines=_lines(row["lines"]),
            committed=_lines(row["committed"]) if "committed" in row else (),
            state=ReservationState(row["state"]["S"]),
            reference=_text_or_none(row, "reference"),
            created_at=_time(row, "created_at"),
            expires_at=_time(row, "expires_at"),
            closed_at=_time(row, "closed_at") if "closed_at" in row else None,
            revision=int(row["revision"]["N"]),
            changed_at=_time(row, "changed_at") if "changed_at" in row else None,
            changed_by=_text_or_none(row, "changed_by"),
        )
    except (KeyError, ValueError) as error:
        # The partition key contains the id, too, unless the id is too long for it.
        reservation_id: str = row.get("reservation_id", _MISSING).get("S") or row["pk"]["S"]
        raise UnreadableReservationError(reservation_id=reservation_id, why=_why(error)) from error


def marker_key(key: ItemKey) -> dict[str, Value]:
    """Return the key of an item's low-stock marker."""
    return _place(schema.LOW_STOCK_PK, schema.low_stock_sk(key))


def marker_to_row(item: Item) -> dict[str, Value]:
    """Return the low-stock marker of an item that a change makes low."""
    # The change either moves the item or updates its details.
    put_at = max(item.updated_at, item.moved_at or item.updated_at)
    return {**marker_key(item.key), **key_to_row(item.key), "put_at": text(put_at)}


def pointers(reservation: Reservation | None) -> dict[tuple[str, str], dict[str, Value]]:
    """
    Return the rows that lead from items to a reservation, by `pk` and `sk`.

    They have the time of its creation, because later ones are put together with the reservation.
    """
    if reservation is None or reservation.state is not ReservationState.HELD:
        return {}
    sk = schema.holds_sk(reservation.expires_at, reservation.reservation_id)
    rows = {}
    for key in reservation.keys:
        pk = schema.holds_pk(key)
        rows[pk, sk] = {
            **_place(pk, sk),
            **key_to_row(key),
            "reservation_id": text(reservation.reservation_id),
            "put_at": text(reservation.created_at),
            "delete_after": number(_second(reservation.created_at) + FAR_SECONDS),
        }
    return rows


def _why(error: KeyError | ValueError) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def idempotency_record_key(record_id: str) -> dict[str, Value]:
    """Return the key of an idempotency record in the ledger table."""
    return _place(schema.idempotency_pk(record_id), schema.IDEMPOTENCY_SK)


def idempotency_record_to_row(record: IdempotencyRecord) -> dict[str, Value]:
    """Return *record* as a complete row."""
    return {
        **idempotency_record_key(record.record_id),
        "record_id": text(record.record_id),
        "fingerprint": text(record.fingerprint),
        "answer": text(_records().answer_to_text(record.answer)),
        "stored_at": text(record.stored_at),
        "expires_at": text(record.expires_at),
        "delete_after": number(_second(record.expires_at)),
    }


def row_to_idempotency_record(row: Row) -> IdempotencyRecord:
    """Return the idempotency record in *row*."""
    return IdempotencyRecord(
        record_id=row["record_id"]["S"],
        fingerprint=row["fingerprint"]["S"],
        answer=_records().answer_from_text(row["answer"]["S"]),
        stored_at=_time(row, "stored_at"),
        expires_at=_time(row, "expires_at"),
    )


def _records() -> ModuleType:
    # Because cattrs takes more than 2 % of a cold start, only requests with an idempotency key import it.
    from inventory_adapters import records  # noqa: PLC0415

    return records


def _line_to_row(line: ReservationLine) -> dict[str, Value]:
    return {**key_to_row(line.key), "quantity": number(line.quantity)}


def _lines(value: Value) -> tuple[ReservationLine, ...]:
    return tuple(
        ReservationLine(key=row_to_key(line["M"]), quantity=int(line["M"]["quantity"]["N"]))
        for line in value["L"]
    )


def _place(pk: str, sk: str) -> dict[str, Value]:
    return {"pk": text(pk), "sk": text(sk)}


def _time(row: Row, attribute: str) -> Timestamp:
    return Timestamp(row[attribute]["S"])


def _text_or_none(row: Row, attribute: str) -> str | None:
    return row[attribute]["S"] if attribute in row else None


def _second(at: Timestamp) -> int:
    """Return *at* as TTL counts time: whole seconds since 1970, rounded up."""
    return ceil(at.as_datetime().timestamp())
