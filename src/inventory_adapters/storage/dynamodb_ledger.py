"""
Rows ↔ movements, reservations and served records: what the ledger table holds, but for the low-stock markers.

    {"pk": "item#<item_id>#<sku>", "sk": "movement#<seq, 12 digits>", "kind": "adjust", "delta_on_hand": -3, ...}
    {"pk": "reservation#<id>", "sk": "reservation", "state": "held", "lines": [{"item_id", "sku", "quantity"}], ...}
    {"pk": "served#<record_id>", "sk": "served", "fingerprint": "...", "answer": "...", ...}

Each row says which write it is of. TTL deletes what has `delete_after`: served records, and reservations once they are closed.
"""

from math import ceil
from typing import Final

import attrs

from inventory.idempotency import ServedRecord
from inventory.items import Timestamp
from inventory.reservations import KEPT_SECONDS, Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind
from inventory_adapters.storage import dynamodb_table
from inventory_adapters.storage.dynamodb_rows import (
    Row,
    Value,
    key_to_row,
    number,
    row_to_key,
    text,
    value_of,
)

__all__ = [
    "movement_key",
    "movement_to_row",
    "reservation_key",
    "reservation_to_row",
    "row_to_movement",
    "row_to_reservation",
    "row_to_served",
    "served_key",
    "served_to_row",
]

_NUMBERS: Final = ("seq", "delta_on_hand", "delta_reserved", "on_hand", "reserved")


def movement_key(movement: Movement) -> dict[str, Value]:
    """Return the place of *movement* in the ledger."""
    return _place(
        dynamodb_table.movements_pk(movement.key), dynamodb_table.movement_sk(movement.seq)
    )


def movement_to_row(movement: Movement) -> dict[str, Value]:
    """Return *movement* as a whole row."""
    fields = attrs.asdict(movement, recurse=False, filter=lambda field, _: field.name != "key")
    return {
        **movement_key(movement),
        **key_to_row(movement.key),
        **{name: value_of(value) for name, value in fields.items() if value is not None},
    }


def row_to_movement(row: Row) -> Movement:
    """Return the movement that *row* holds."""
    return Movement(
        key=row_to_key(row),
        kind=MovementKind(row["kind"]["S"]),
        reason=_text_or_none(row, "reason"),
        reference=_text_or_none(row, "reference"),
        recorded_at=_time(row, "recorded_at"),
        **{name: int(row[name]["N"]) for name in _NUMBERS},
    )


def reservation_key(reservation_id: str) -> dict[str, Value]:
    """Return the place of a reservation."""
    return _place(dynamodb_table.reservation_pk(reservation_id), dynamodb_table.RESERVATION_SK)


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
        row["due_shard"] = text(dynamodb_table.DUE_SHARD)
    elif reservation.closed_at is not None:
        row["closed_at"] = text(reservation.closed_at)
        row["delete_after"] = _second(reservation.closed_at, later=KEPT_SECONDS)
    return row


def row_to_reservation(row: Row) -> Reservation:
    """Return the reservation that *row* holds."""
    return Reservation(
        reservation_id=row["reservation_id"]["S"],
        lines=tuple(_row_to_line(line["M"]) for line in row["lines"]["L"]),
        state=ReservationState(row["state"]["S"]),
        reference=_text_or_none(row, "reference"),
        created_at=_time(row, "created_at"),
        expires_at=_time(row, "expires_at"),
        closed_at=_time(row, "closed_at") if "closed_at" in row else None,
    )


def served_key(record_id: str) -> dict[str, Value]:
    """Return the place of the record of an idempotency key."""
    return _place(dynamodb_table.served_pk(record_id), dynamodb_table.SERVED_SK)


def served_to_row(served: ServedRecord) -> dict[str, Value]:
    """Return *served* as a whole row."""
    return {
        **served_key(served.record_id),
        **{name: text(value) for name, value in attrs.asdict(served, recurse=False).items()},
        "delete_after": _second(served.expires_at),
    }


def row_to_served(row: Row) -> ServedRecord:
    """Return the record that *row* holds."""
    return ServedRecord(
        record_id=row["record_id"]["S"],
        fingerprint=row["fingerprint"]["S"],
        answer=row["answer"]["S"],
        served_at=_time(row, "served_at"),
        expires_at=_time(row, "expires_at"),
    )


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
