"""Events as CloudEvents 1.0 in JSON; the values in `data` are those of the API."""

from typing import Any, Final

from inventory.events import (
    Event,
    ItemEvent,
    ItemUpdated,
    ReservationCommitted,
    ReservationEvent,
    StockEvent,
    StockMoved,
)
from inventory_adapters.wire import (
    item_to_wire,
    level_to_wire,
    lines_to_wire,
    movement_to_wire,
    reservation_to_wire,
    to_json,
)

__all__ = ["BATCH_TYPE", "event_to_text", "event_to_wire"]

# Source: "JSON Event Format for CloudEvents", version 1.0.2, sections 3 and 4.
BATCH_TYPE: Final = "application/cloudevents-batch+json"


def event_to_wire(event: Event, *, source: str) -> dict[str, Any]:
    """
    Return an event as JSON: ``{"id": ..., "source": ..., "type": "StockMoved", "subject": ..., "data": {...}, ...}``.

    Args:
        event: The event.
        source: The name of the system. Consumers need it only if they get events of several.
    """
    wire: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": event.type,
        "subject": event.subject,
        "sequence": event.sequence,
    }
    if event.time is not None:
        wire["time"] = event.time
    if event.actor is not None:
        wire["actor"] = event.actor
    return {**wire, "datacontenttype": "application/json", "data": _data(event)}


def event_to_text(event: Event, *, source: str) -> str:
    """Return an event as one line of JSON."""
    return to_json(event_to_wire(event, source=source))


def _data(event: Event) -> dict[str, Any]:
    match event:
        case ItemEvent():
            # With its seq, a consumer knows which movements the item includes.
            item = {"item": item_to_wire(event.item), "seq": event.item.level.seq}
            return {**item, "changed": event.changed} if isinstance(event, ItemUpdated) else item
        case StockMoved():
            return {"movement": movement_to_wire(event.movement)}
        case StockEvent():
            key = {"item_id": event.key.item_id, "sku": event.key.sku}
            return {**key, **(level_to_wire(event.level) or {})}
        case ReservationCommitted():
            reservation = reservation_to_wire(event.reservation)
            return {"reservation": reservation, "lines": lines_to_wire(event.lines)}
        case ReservationEvent():
            return {"reservation": reservation_to_wire(event.reservation)}
        case _:
            msg = f"not an event: {event}"
            raise TypeError(msg)
