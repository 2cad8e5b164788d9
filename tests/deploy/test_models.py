import pytest

from deploy.models import _reduced, model_name, model_of
from inventory_adapters.http.routes import ROUTES, route_named

WITH_BODY = [route for route in ROUTES if route.requires_body]
KEYWORDS = {"type", "required", "minimum", "enum", "properties", "items", "title", "$schema"}


def keywords(schema):
    yield from schema
    for name in schema.get("properties", {}):
        yield from keywords(schema["properties"][name])
    if "items" in schema:
        yield from keywords(schema["items"])


@pytest.mark.parametrize("route", WITH_BODY, ids=lambda route: route.name)
def test_model_has_only_type_required_minimum_and_enum(route):
    """Other faults are left to the handler, whose response lists all of them."""
    model = model_of(route)

    assert set(keywords(model)) <= KEYWORDS
    assert set(model["properties"]) == set(route.sent_fields)
    assert model.get("required", []) == [
        name for name, spec in route.sent_fields.items() if spec.required
    ]


def test_model_of_a_new_item():
    """The model of POST /items is ItemModel."""
    model = model_of(route_named("create_item"))

    assert model_name(route_named("create_item")) == "ItemModel"
    assert model == {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "ItemModel",
        "type": "object",
        "required": ["sku", "name", "quantity", "category"],
        "properties": {
            "sku": {"type": "string"},
            "name": {"type": "string"},
            "description": {"type": "string"},
            "quantity": {"type": "integer", "minimum": 0},
            "price": {"type": ["number", "string"], "minimum": 0},
            "category": {"type": "string"},
            "status": {"type": "string", "enum": ["available", "out_of_stock", "discontinued"]},
            "location": {"type": "string"},
            "reorder_point": {"type": ["integer", "null"], "minimum": 0},
            "attributes": {"type": "object"},
        },
    }


def test_model_of_an_update_requires_only_the_sku():
    """A PUT is a partial update."""
    model = model_of(route_named("update_item"))

    assert model["required"] == ["sku"]
    assert "item_id" not in model["properties"]


def test_names_of_models_are_unique_and_alphanumeric():
    """API Gateway identifies a model by its name, which must be alphanumeric."""
    names = [model_name(route) for route in WITH_BODY]

    assert len(set(names)) == len(names)
    assert all(name.isalnum() for name in names)


A = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "maxLength": 3, "pattern": "x"}, {"type": "string"}),
        ({"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 2},
         {"type": "array", "items": {"type": "string"}}),
        ({"anyOf": [{"type": "number", "minimum": 2}, {"type": "integer", "minimum": 1}]},
         {"type": ["number", "integer"], "minimum": 1}),
        ({"anyOf": [{"type": "number", "minimum": 2}, {"type": "integer"}]},
         {"type": ["number", "integer"]}),
        ({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
         {"type": ["string", "null"]}),
        ({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b"]}]},
         {"type": "string", "enum": ["a", "b"]}),
        ({"anyOf": [{**A, "required": ["id", "n"]}, {"type": "object", "required": ["id"],
          "properties": {"id": {"type": ["string", "null"]}, "m": {"type": "string"}}}]},
         {"type": "object", "required": ["id"],
          "properties": {"id": {"type": ["string", "null"]}}}),
        ({"anyOf": [{"type": "array", "items": {"type": "string"}},
                    {"type": "array", "items": {"type": "null"}}]},
         {"type": "array", "items": {"type": ["string", "null"]}}),
    ],
)  # fmt: skip
def test_alternatives_are_joined_into_one_schema(schema, expected):
    """The schema accepts every value that one of the alternatives accepts."""
    assert _reduced(schema) == expected
