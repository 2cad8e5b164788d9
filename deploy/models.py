"""
Gateway models, derived from the route table: only type, required, minimum and enum.

A model rejects requests that cannot be valid before they cost a function call. All other checks are left to the handler, whose
response lists all invalid fields.
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
    """Return the name of the model of a route's body."""
    return _NAMES.get(route.name, f"{route.command.__name__}Model")


def model_of(route: Route[Any, Any]) -> JsonSchema:
    """Return the model of a route's body, in draft 4 of JSON Schema."""
    fields = route.sent_fields.values()
    return {
        "$schema": _DRAFT,
        "title": model_name(route),
        **_object(
            {spec.wire: spec.bound.schema() for spec in fields},
            required=[spec.wire for spec in fields if spec.required],
        ),
    }


def _object(properties: Mapping[str, JsonSchema], *, required: Iterable[str]) -> JsonSchema:
    model: JsonSchema = {
        "type": "object",
        "properties": {name: _reduced(schema) for name, schema in properties.items()},
    }
    # Draft 4 does not allow an empty list.
    return {**model, "required": names} if (names := list(required)) else model


def _reduced(schema: JsonSchema) -> JsonSchema:
    """Return *schema* with only the keywords of a model."""
    if "anyOf" in schema:
        return _joined([_reduced(option) for option in schema["anyOf"]])
    if "properties" in schema:
        return _object(schema["properties"], required=schema.get("required", ()))
    model = {key: value for key, value in schema.items() if key in {"type", "minimum", "enum"}}
    return {**model, "items": _reduced(schema["items"])} if "items" in schema else model


def _joined(options: list[JsonSchema]) -> JsonSchema:
    """
    Return a schema that accepts every value that one of *options* accepts.

    A keyword applies only to values of its type: `minimum` to numbers, `properties` to objects, `items` to arrays.
    """
    joined: JsonSchema = {"type": _all_types(options)}
    numbers = [
        option for option in options if _has_type(option, "number") or _has_type(option, "integer")
    ]
    if numbers and all("minimum" in number for number in numbers):
        joined["minimum"] = min(number["minimum"] for number in numbers)
    if all("enum" in option for option in options):
        joined["enum"] = [value for option in options for value in option["enum"]]
    objects = [option for option in options if _has_type(option, "object")]
    if objects:
        shared = [
            name
            for name in objects[0]["properties"]
            if all(name in schema["properties"] for schema in objects)
        ]
        joined["properties"] = {
            name: _merged([schema["properties"][name] for schema in objects]) for name in shared
        }
        required = [
            name for name in shared if all(name in schema.get("required", ()) for schema in objects)
        ]
        joined |= {"required": required} if required else {}
    arrays = [option for option in options if _has_type(option, "array")]
    if arrays and all("items" in array for array in arrays):
        joined["items"] = _merged([array["items"] for array in arrays])
    return joined


def _merged(options: list[JsonSchema]) -> JsonSchema:
    return options[0] if all(option == options[0] for option in options) else _joined(options)


def _types(schema: JsonSchema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _has_type(schema: JsonSchema, kind: str) -> bool:
    return kind in _types(schema)


def _all_types(options: list[JsonSchema]) -> str | list[str]:
    kinds = list(dict.fromkeys(kind for option in options for kind in _types(option)))
    return kinds[0] if len(kinds) == 1 else kinds
