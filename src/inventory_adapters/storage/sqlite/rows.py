"""Rows ↔ items, movements, reservations and served records."""

import json
import logging
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from inventory import StockLevel
from inventory.errors import UnreadableItemError
from inventory.idempotency import ServedRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind
from inventory_adapters.records import answer_from_text, answer_to_text

__all__ = [
    "Row",
    "item_to_columns",
    "movement_to_row",
    "readable_items",
    "reservation_to_row",
    "row_to_item",
    "row_to_movement",
    "row_to_reservation",
    "row_to_served",
    "served_to_row",
]

Row = tuple[Any, ...]
"""One row of a table, in the order of its columns."""

_logger = logging.getLogger(__name__)


def item_to_columns(item: Item) -> dict[str, Any]:
    """Return the row of *item*, in the order of `COLUMNS`."""
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
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "quantity": item.level.on_hand,
        "reserved": item.level.reserved,
        "seq": item.level.seq,
    }


def row_to_item(row: Row) -> Item:
    """
    Return the item that *row* holds.

    Raises:
        UnreadableItemError: It holds something else.
    """
    item_id, sku, name, description, category, price, status, location = row[:8]
    reorder_point, version, created_at, updated_at, quantity, reserved, seq = row[8:]
    try:
        return Item(
            key=ItemKey(item_id=item_id, sku=sku),
            name=name,
            description=description,
            category=category,
            price=Decimal(price),
            status=status,
            location=location,
            reorder_point=reorder_point,
            version=version,
            created_at=Timestamp(created_at),
            updated_at=Timestamp(updated_at),
            level=StockLevel(on_hand=quantity, reserved=reserved, seq=seq),
        )
    except (ArithmeticError, TypeError, ValueError) as error:
        raise UnreadableItemError(item_id=item_id, sku=sku, why=str(error)) from error


def readable_items(rows: Iterable[Row]) -> Iterator[Item]:
    """Yield the items of *rows*; a row that cannot be read as an item is skipped with a warning."""
    for row in rows:
        try:
            yield row_to_item(row)
        except UnreadableItemError as error:
            _logger.warning(
                "Left out of a list: %r, SKU %r: %s", error.item_id, error.sku, error.why
            )


def movement_to_row(movement: Movement, write_id: str) -> Row:
    """Return *movement* as a whole row, with the write that made it."""
    return (
        *(movement.key.item_id, movement.key.sku, movement.seq, movement.kind),
        *(movement.delta_on_hand, movement.delta_reserved, movement.on_hand, movement.reserved),
        *(movement.reason, movement.reference, movement.reservation_id),
        *(movement.recorded_at, movement.item_created_at, write_id),
    )


def row_to_movement(row: Row) -> Movement:
    """Return the movement that *row* holds."""
    item_id, sku, seq, kind, delta_on_hand, delta_reserved, on_hand, reserved = row[:8]
    reason, reference, reservation_id, recorded_at, item_created_at = row[8:]
    return Movement(
        key=ItemKey(item_id=item_id, sku=sku),
        seq=seq,
        kind=MovementKind(kind),
        delta_on_hand=delta_on_hand,
        delta_reserved=delta_reserved,
        on_hand=on_hand,
        reserved=reserved,
        reason=reason,
        reference=reference,
        reservation_id=reservation_id,
        recorded_at=Timestamp(recorded_at),
        item_created_at=None if item_created_at is None else Timestamp(item_created_at),
    )


def reservation_to_row(reservation: Reservation) -> Row:
    """Return *reservation* as a whole row."""
    lines = [[line.key.item_id, line.key.sku, line.quantity] for line in reservation.lines]
    return (
        *(reservation.reservation_id, json.dumps(lines, ensure_ascii=False), reservation.state),
        *(reservation.reference, reservation.created_at, reservation.expires_at),
        reservation.closed_at,
    )


def row_to_reservation(row: Row) -> Reservation:
    """Return the reservation that *row* holds."""
    reservation_id, lines, state, reference, created_at, expires_at, closed_at = row
    return Reservation(
        reservation_id=reservation_id,
        lines=tuple(
            ReservationLine(key=ItemKey(item_id=item_id, sku=sku), quantity=quantity)
            for item_id, sku, quantity in json.loads(lines)
        ),
        state=ReservationState(state),
        reference=reference,
        created_at=Timestamp(created_at),
        expires_at=Timestamp(expires_at),
        closed_at=None if closed_at is None else Timestamp(closed_at),
    )


def served_to_row(served: ServedRecord) -> Row:
    """Return the row of *served*, in the order of `SERVED_COLUMNS`."""
    return (
        served.record_id,
        served.fingerprint,
        answer_to_text(served.answer),
        served.served_at,
        served.expires_at,
    )


def row_to_served(row: Row) -> ServedRecord:
    """Return the record that *row* holds."""
    record_id, fingerprint, answer, served_at, expires_at = row
    return ServedRecord(
        record_id=record_id,
        fingerprint=fingerprint,
        answer=answer_from_text(answer),
        served_at=Timestamp(served_at),
        expires_at=Timestamp(expires_at),
    )
