"""JSON Schemas of the events, made of the same components as the OpenAPI document."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from inventory.events import (
    EVENT_TYPES,
    Event,
    ItemEvent,
    ItemUpdated,
    ReservationCommitted,
    ReservationEvent,
    StockMoved,
)
from inventory_adapters.http.schemas import COMPONENTS, JsonSchema, ref

__all__ = ["event_schemas"]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_PREFIX: Final = "#/components/schemas/"


def event_schemas() -> dict[str, JsonSchema]:
    """Return the JSON Schema of each type of event, by its name."""
    return {kind.__name__: _schema(kind) for kind in EVENT_TYPES}


def _schema(kind: type[Event]) -> JsonSchema:
    # The first paragraph of a docstring.
    description, _, _ = inspect.getdoc(kind).partition("\n\n")  # type: ignore[union-attr]
    text = {"type": "string"}
    envelope: dict[str, JsonSchema] = {
        "specversion": {"const": "1.0"},
        "id": {**text, "description": "The same for each repetition of the event."},
        "source": {**text, "description": "The system."},
        "type": {"const": kind.__name__},
        "subject": {**text, "description": "What it happened to."},
        "sequence": {
            **text,
            "pattern": "^[rsv][0-9]{12,}$",
            "description": "Of one subject and letter, the greatest is the latest.",
        },
        "time": {**text, "format": "date-time"},
        "actor": {**text, "description": "Who caused it."},
        "datacontenttype": {"const": "application/json"},
        "data": _object(_data(kind)),
    }
    optional = ("time", "actor")
    schema = {
        "$schema": _DRAFT,
        "title": kind.__name__,
        "description": " ".join(description.split()),
        **_object(envelope, optional=optional),
    }
    return {**_local(schema), "$defs": dict(sorted(_definitions(schema)))}


def _object(properties: dict[str, JsonSchema], *, optional: tuple[str, ...] = ()) -> JsonSchema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _data(kind: type[Event]) -> dict[str, JsonSchema]:
    if issubclass(kind, ItemEvent):
        names = {"type": "array", "items": {"type": "string"}}
        item = {"item": ref("Item"), "seq": COMPONENTS["StockAt"]["properties"]["seq"]}
        return {**item, "changed": names} if kind is ItemUpdated else item
    if issubclass(kind, StockMoved):
        return {"movement": ref("Movement")}
    if issubclass(kind, ReservationEvent):
        lines = {"type": "array", "items": ref("ReservationLine")}
        committed = {"lines": lines} if kind is ReservationCommitted else {}
        return {"reservation": ref("Reservation"), **committed}
    level = COMPONENTS["StockAt"]["properties"]
    movement = COMPONENTS["Movement"]["properties"]
    return {"item_id": movement["item_id"], "sku": movement["sku"], **level}


def _definitions(schema: Any) -> Iterator[tuple[str, JsonSchema]]:
    """Yield the components that *schema* refers to, by name."""
    for reference in re.findall(rf"'{_PREFIX}(\w+)'", str(schema)):
        yield reference, _local(COMPONENTS[reference])
        yield from _definitions(COMPONENTS[reference])


def _local(schema: Any) -> Any:
    """Return *schema* with references to its own definitions."""
    if isinstance(schema, dict):
        return {name: _local(value) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_local(value) for value in schema]
    return schema.replace(_PREFIX, "#/$defs/") if isinstance(schema, str) else schema
