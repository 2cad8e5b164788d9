"""
Gateway models from the route table: types, required, minimum and enum, and nothing else.

A model turns away what cannot be meant before it costs a call. For the rest the handler has the better answer, which names
every fault at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from inventory_adapters.http.routes import Route

__all__ = ["model_name", "model_of"]

JsonSchema = dict[str, Any]

# Source: "Data models for REST APIs" in the API Gateway developer guide.
_DRAFT: Final = "http://json-schema.org/draft-04/schema#"

_NAMES: Final = {"create_item": "ItemModel"}


def model_name(route: Route[Any, Any]) -> str:
    """Return what the model of a route's body is called."""
    return _NAMES.get(route.name, f"{route.command.__name__}Model")


def model_of(route: Route[Any, Any]) -> JsonSchema:
    """Return the model of a route's body, as draft 4 of JSON Schema has it."""
    sent = route.sent_fields.values()
    return {
        "$schema": _DRAFT,
        "title": model_name(route),
        **_object(
            {spec.wire: spec.bound.schema() for spec in sent},
            required=[spec.wire for spec in sent if spec.required],
        ),
    }


def _object(properties: Mapping[str, JsonSchema], *, required: Iterable[str]) -> JsonSchema:
    described: JsonSchema = {
        "type": "object",
        "properties": {name: _reduced(schema) for name, schema in properties.items()},
    }
    # Draft 4 wants at least one name in the list, or no list.
    return {**described, "required": names} if (names := list(required)) else described


def _reduced(schema: JsonSchema) -> JsonSchema:
    """Return what draft 4, and a hasty check, make of *schema*."""
    if "anyOf" in schema:
        return _joined([_reduced(option) for option in schema["anyOf"]])
    if "properties" in schema:
        return _object(schema["properties"], required=schema.get("required", ()))
    kept = {key: value for key, value in schema.items() if key in {"type", "minimum", "enum"}}
    return {**kept, "items": _reduced(schema["items"])} if "items" in schema else kept


def _joined(options: list[JsonSchema]) -> JsonSchema:
    """
    Return what can be said of a value that fits one of *options*, no matter which.

    A keyword speaks of values of its own type only: `minimum` of numbers, `properties` of objects, `items` of arrays.
    """
    joined: JsonSchema = {"type": _all_types(options)}
    numbers = [it for it in options if _has_type(it, "number") or _has_type(it, "integer")]
    if numbers and all("minimum" in it for it in numbers):
        joined["minimum"] = min(it["minimum"] for it in numbers)
    if all("enum" in it for it in options):
        joined["enum"] = [value for it in options for value in it["enum"]]
    objects = [it for it in options if _has_type(it, "object")]
    if objects:
        shared = [
            name
            for name in objects[0]["properties"]
            if all(name in it["properties"] for it in objects)
        ]
        joined["properties"] = {
            name: _alike([it["properties"][name] for it in objects]) for name in shared
        }
        required = [
            name for name in shared if all(name in it.get("required", ()) for it in objects)
        ]
        joined |= {"required": required} if required else {}
    arrays = [it for it in options if _has_type(it, "array")]
    if arrays and all("items" in it for it in arrays):
        joined["items"] = _alike([it["items"] for it in arrays])
    return joined


def _alike(options: list[JsonSchema]) -> JsonSchema:
    return options[0] if all(it == options[0] for it in options) else _joined(options)


def _types(schema: JsonSchema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _has_type(schema: JsonSchema, kind: str) -> bool:
    return kind in _types(schema)


def _all_types(options: list[JsonSchema]) -> str | list[str]:
    kinds = list(dict.fromkeys(kind for it in options for kind in _types(it)))
    return kinds[0] if len(kinds) == 1 else kinds
