"""Conversion between rows and values of the domain."""

import json
from collections.abc import Iterable
from decimal import Decimal
from itertools import product
from typing import Any, Final

from inventory import StockLevel
from inventory.errors import (
    UnreadableItemError,
    UnreadableMovementError,
    UnreadableReservationError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind
from inventory_adapters.records import answer_from_text, answer_to_text

__all__ = [
    "Row",
    "hold_rows",
    "idempotency_record_to_row",
    "item_to_columns",
    "movement_to_row",
    "position_of",
    "reservation_to_row",
    "row_to_idempotency_record",
    "row_to_item",
    "row_to_movement",
    "row_to_reservation",
    "seq_of",
]

Row = tuple[Any, ...]
"""One row of a table, in the order of its columns."""

_to_json: Final = json.JSONEncoder(ensure_ascii=False).encode


def item_to_columns(item: Item) -> dict[str, Any]:
    """Return the columns of *item*, in the order of `ITEM_COLUMNS`."""
    return {
        "item_id": item.item_id,
        "sku": item.sku,
        "name": item.name,
        "description": item.description,
        "category": item.category,
        "price": str(item.price),
        "status": item.status,
        "location": item.location,
        "reorder_point": item.reorder_point,
        "attributes": _to_json(dict(item.attributes)),
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "quantity": item.level.on_hand,
        "reserved": item.level.reserved,
        "seq": item.level.seq,
        "moved_at": item.moved_at,
        "changed_by": item.changed_by,
    }


def row_to_item(row: Row) -> Item:
    """
    Return the item in *row*.

    Raises:
        UnreadableItemError: The row cannot be read as an item.
    """
    item_id, sku, name, description, category, price, status, location = row[:8]
    reorder_point, attributes, version, created_at, updated_at = row[8:13]
    quantity, reserved, seq, moved_at, changed_by = row[13:]
    try:
        _check_types(row, _ITEM)
        return Item(
            key=ItemKey(item_id=item_id, sku=sku),
            name=name,
            description=description,
            category=category,
            price=_price(price),
            status=status,
            location=location,
            reorder_point=reorder_point,
            attributes=_attributes(attributes),
            version=version,
            created_at=Timestamp(created_at),
            updated_at=Timestamp(updated_at),
            level=StockLevel(on_hand=quantity, reserved=reserved, seq=seq),
            moved_at=_time(moved_at),
            changed_by=changed_by,
        )
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableItemError(item_id=item_id, sku=sku, why=str(error)) from error


def _price(digits: str) -> Decimal:
    price = Decimal(digits)
    if not price.is_finite():
        raise ValueError(f"price is {digits}")
    return price


def _attributes(text: str) -> dict[str, str]:
    attributes = json.loads(text)
    if not isinstance(attributes, dict) or any(
        type(value) is not str for value in attributes.values()
    ):
        raise TypeError(f"attributes are {text}")
    return attributes


def _time(text: str | None) -> Timestamp | None:
    return None if text is None else Timestamp(text)


def _shapes(*columns: tuple[type, ...]) -> frozenset[tuple[type, ...]]:
    """Return the valid combinations of the types of each column."""
    return frozenset(product(*columns))


_TEXT: Final = (str,)
_NUMBER: Final = (int,)
_TEXT_OR_NULL: Final = (str, type(None))
_NUMBER_OR_NULL: Final = (int, type(None))
_ITEM: Final = _shapes(
    *(_TEXT,) * 8,
    *(_NUMBER_OR_NULL, _TEXT, _NUMBER, _TEXT, _TEXT),
    *(_NUMBER,) * 3,
    *(_TEXT_OR_NULL,) * 2,
)
_MOVEMENT: Final = _shapes(
    *(_TEXT, _TEXT, _NUMBER, _TEXT),
    *(_NUMBER,) * 4,
    *(_TEXT_OR_NULL,) * 4,
    *(_TEXT, _TEXT_OR_NULL, _TEXT_OR_NULL),
)
_RESERVATION: Final = _shapes(
    *(_TEXT, _TEXT_OR_NULL),
    *(_TEXT,) * 5,
    *(_TEXT_OR_NULL, _NUMBER, _TEXT_OR_NULL, _TEXT_OR_NULL),
)
_LINE: Final = _shapes(_TEXT, _TEXT, _NUMBER)


def _check_types(row: Row, shapes: frozenset[tuple[type, ...]]) -> None:
    """Check the types of a row: SQLite stores any type in any column."""
    types = tuple(map(type, row))
    if types not in shapes:
        raise TypeError(f"unexpected column types: {', '.join(kind.__name__ for kind in types)}")


def movement_to_row(movement: Movement, write_id: str) -> Row:
    """Return the row of *movement*, with the id of the write that stored it."""
    return (
        *(movement.key.item_id, movement.key.sku, movement.seq, movement.kind),
        *(movement.delta_on_hand, movement.delta_reserved, movement.on_hand, movement.reserved),
        *(movement.actor, movement.reason, movement.reference, movement.reservation_id),
        *(movement.recorded_at, movement.item_created_at, movement.crossed, write_id),
    )


def row_to_movement(row: Row) -> Movement:
    """
    Return the movement in *row*.

    Raises:
        UnreadableMovementError: The row cannot be read as a movement.
    """
    item_id, sku, seq, kind, delta_on_hand, delta_reserved, on_hand, reserved = row[:8]
    actor, reason, reference, reservation_id, recorded_at, item_created_at, crossed = row[8:]
    try:
        _check_types(row, _MOVEMENT)
        return Movement(
            key=ItemKey(item_id=item_id, sku=sku),
            seq=seq,
            kind=MovementKind(kind),
            delta_on_hand=delta_on_hand,
            delta_reserved=delta_reserved,
            on_hand=on_hand,
            reserved=reserved,
            actor=actor,
            reason=reason,
            reference=reference,
            reservation_id=reservation_id,
            recorded_at=Timestamp(recorded_at),
            item_created_at=_time(item_created_at),
            crossed=crossed,
        )
    except (TypeError, ValueError) as error:
        raise UnreadableMovementError(item_id=item_id, sku=sku, seq=seq, why=str(error)) from error


def seq_of(row: Row) -> int:
    """Return the seq of a movement, even if unreadable."""
    seq: int = row[2]
    return seq


def reservation_to_row(reservation: Reservation) -> Row:
    """Return the row of *reservation*."""
    return (
        *(reservation.reservation_id, reservation.reference, reservation.created_at),
        *(_lines_to_json(reservation.lines), _lines_to_json(reservation.committed)),
        *(reservation.state, reservation.expires_at, reservation.closed_at),
        *(reservation.revision, reservation.changed_at, reservation.changed_by),
    )


def row_to_reservation(row: Row) -> Reservation:
    """
    Return the reservation in *row*.

    Raises:
        UnreadableReservationError: The row cannot be read as a reservation.
    """
    reservation_id, reference, created_at, lines, committed, state = row[:6]
    expires_at, closed_at, revision, changed_at, changed_by = row[6:]
    try:
        _check_types(row, _RESERVATION)
        return Reservation(
            reservation_id=reservation_id,
            lines=_lines(lines),
            committed=_lines(committed),
            state=ReservationState(state),
            reference=reference,
            created_at=Timestamp(created_at),
            expires_at=Timestamp(expires_at),
            closed_at=_time(closed_at),
            revision=revision,
            changed_at=_time(changed_at),
            changed_by=changed_by,
        )
    except (RecursionError, TypeError, ValueError) as error:
        raise UnreadableReservationError(reservation_id=reservation_id, why=str(error)) from error


def _lines_to_json(lines: Iterable[ReservationLine]) -> str:
    return _to_json([[line.key.item_id, line.key.sku, line.quantity] for line in lines])


def _lines(text: str) -> tuple[ReservationLine, ...]:
    return tuple(map(_line, json.loads(text)))


def _line(line: Any) -> ReservationLine:
    _check_types(line, _LINE)
    item_id, sku, quantity = line
    return ReservationLine(key=ItemKey(item_id=item_id, sku=sku), quantity=quantity)


def position_of(row: Row) -> tuple[str, str]:
    """Return the position of a held reservation, even if unreadable."""
    return (row[6], row[0])


def hold_rows(reservation: Reservation | None) -> set[Row]:
    """Return the rows of `holds` that belong to *reservation*: none if it is not held."""
    if reservation is None or reservation.state is not ReservationState.HELD:
        return set()
    return {(key.item_id, key.sku, *reservation.position) for key in reservation.keys}


def idempotency_record_to_row(record: IdempotencyRecord) -> Row:
    """Return the row of *record*, in the order of `IDEMPOTENCY_COLUMNS`."""
    return (
        record.record_id,
        record.fingerprint,
        answer_to_text(record.answer),
        record.stored_at,
        record.expires_at,
    )


def row_to_idempotency_record(row: Row) -> IdempotencyRecord:
    """Return the idempotency record in *row*."""
    record_id, fingerprint, answer, stored_at, expires_at = row
    return IdempotencyRecord(
        record_id=record_id,
        fingerprint=fingerprint,
        answer=answer_from_text(answer),
        stored_at=Timestamp(stored_at),
        expires_at=Timestamp(expires_at),
    )
