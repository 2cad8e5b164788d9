"""
The objects in responses, as named components of the OpenAPI document.

`inventory_adapters.wire` writes these objects, and tests check that real responses match the schemas. Later versions may add
properties and values, so objects allow additional properties, and an enumeration is a `string` with `x-extensible-enum`. No
schema is an `anyOf`, because most client generators do not support it.
"""

from typing import Any, Final

from attrs import frozen

from inventory.items import STATUSES
from inventory.reservations import ReservationState
from inventory.stock import MovementKind

__all__ = ["COMPONENTS", "SUCCESSES", "Success", "ref"]

JsonSchema = dict[str, Any]


@frozen
class Success:
    """
    The success response of an operation.

    Attributes:
        component: The name of the body's schema.
        etag: Whether the response has an `ETag`, because it shows one item.
    """

    component: str
    etag: bool = False


SUCCESSES: Final[dict[str, Success]] = {
    "create_item": Success("ItemResponse", etag=True),
    "list_items": Success("ItemList"),
    "batch_items": Success("BatchResult"),
    "get_item": Success("ItemResponse", etag=True),
    "get_stock": Success("SkuStock"),
    "list_reservations": Success("ReservationList"),
    "update_item": Success("ItemResponse", etag=True),
    "delete_item": Success("DeletedItemResponse"),
    "adjust_stock": Success("StockChange", etag=True),
    "count_stock": Success("StockChange", etag=True),
    "list_movements": Success("MovementList"),
    "transfer_stock": Success("Transfer"),
    "create_reservation": Success("ReservationResponse"),
    "get_reservation": Success("ReservationResponse"),
    "commit_reservation": Success("ReservationResponse"),
    "release_reservation": Success("ReservationResponse"),
    "extend_reservation": Success("ReservationResponse"),
}
"""The success response of each operation, by its name."""


def ref(component: str) -> JsonSchema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{component}"}


def _text(description: str, **more: Any) -> JsonSchema:
    return {"type": "string", "description": description, **more}


def _integer(description: str, **more: Any) -> JsonSchema:
    return {"type": "integer", "format": "int64", "description": description, **more}


def _enumeration(description: str, *values: str) -> JsonSchema:
    return {"type": "string", "description": description, "x-extensible-enum": list(values)}


def _time(description: str) -> JsonSchema:
    return _text(f"{description} UTC.", examples=["2026-05-01T09:30:00.000000+00:00"])


def _or_null(schema: JsonSchema) -> JsonSchema:
    return {**schema, "type": [schema["type"], "null"]}


def _list(component: str, description: str) -> JsonSchema:
    return {"type": "array", "items": ref(component), "description": description}


def _object(
    description: str, properties: dict[str, JsonSchema], *, optional: tuple[str, ...] = ()
) -> JsonSchema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
    }


_ITEM_ID: Final = _text("The ID of the item.")
_SKU: Final = _text("The SKU of the item.")
_VERSION: Final = _integer("Number of edits of the item's details.")
_SEQ: Final = _integer("Number of stock movements recorded for the item.")
_MESSAGE: Final = _text("Human-readable result.")
_NEXT_PAGE: Final = _text("The `page_token` of the next page. Absent on the last page.")
_COUNT: Final = _integer("Number of rows on this page.")

# The properties that an error may have in addition to its message and code. They depend on the code.
_FACTS: Final[dict[str, JsonSchema]] = {
    "details": _list("FieldError", "Every invalid field."),
    "item_id": _ITEM_ID,
    "sku": _SKU,
    "version": _VERSION,
    "seq": _SEQ,
    "quantity": _integer("Units on hand."),
    "reserved": _integer("Reserved units."),
    "available": _integer("Available units."),
    "requested": _integer("Requested units."),
    "held": _integer("Units that the reservation holds."),
    "expected_quantity": _integer("Expected units on hand."),
    "rows": _integer("Rows in the batch."),
    "first_row": _integer("Index of the first of the two rows, from 0."),
    "second_row": _integer("Index of the second of the two rows, from 0."),
    "limit": _integer("The largest allowed value."),
    "source": _text("The SKU of the source item."),
    "destination": _text("The SKU of the destination item."),
    "reservation_id": _text("The ID of the reservation."),
    "state": _text("The state of the reservation."),
    "expires_at": _time("When the reservation expired."),
}
_NULLABLE_IN_ROWS: Final = ("item_id", "sku", "version", "seq")
_ERROR: Final[dict[str, JsonSchema]] = {
    "error": _text("Human-readable error message."),
    "code": ref("ErrorCode"),
}

COMPONENTS: Final[dict[str, JsonSchema]] = {
    "Price": {
        "type": "number",
        "format": "double",
        "description": (
            "Price of one unit in the deployment's one currency, with at most 15 digits, of which at most 4 are decimals: "
            'a double is exact. Requests may also send it as a string, such as `"199.90"`.'
        ),
    },
    "Item": _object(
        "An item at a location.",
        {
            "item_id": _ITEM_ID,
            "sku": _SKU,
            "name": _text("Name."),
            "description": _text("Description; may be empty."),
            "quantity": _integer("Units on hand."),
            "reserved": _integer("Reserved units."),
            "available": _integer("Available units: units on hand that are not reserved."),
            "price": ref("Price"),
            "category": _text("Category."),
            "status": _enumeration("Availability status.", *STATUSES),
            "location": _text("Location of the item."),
            "reorder_point": _or_null(
                _integer(
                    "Reorder threshold: the item is low when available units fall to this number. Null for no threshold."
                )
            ),
            "attributes": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Texts kept beside, by name, such as `barcode`.",
            },
            "version": _VERSION,
            "created_at": _time("When the item was created."),
            "updated_at": _time("When its details were last edited."),
        },
    ),
    "ItemResponse": _object(
        "One item. With the parameter `at`, its stock at that time too.",
        {"message": _MESSAGE, "item": ref("Item"), "at": ref("StockAt")},
        optional=("message", "at"),
    ),
    "StockAt": _or_null(
        _object(
            "Stock of an item at a time. Null if the item did not exist yet.",
            {
                "quantity": _integer("Units on hand."),
                "reserved": _integer("Reserved units."),
                "available": _integer("Available units."),
                "seq": _integer("Position in the ledger of the last movement until then."),
            },
        )
    ),
    "SkuStock": _object(
        "The stock of a SKU at all locations.",
        {
            "sku": _SKU,
            "quantity": _integer("Units on hand at all locations."),
            "reserved": _integer("Reserved units at all locations."),
            "available": _integer("Available units at all locations."),
            "items": _list("Item", "The items with this SKU."),
            "count": _integer("Number of items."),
        },
    ),
    "DeletedItemResponse": _object(
        "The item as it was before it was deleted.",
        {"message": _MESSAGE, "deleted_item": ref("Item")},
    ),
    "ItemList": _object(
        "A page of items.",
        {"items": _list("Item", "The items."), "count": _COUNT, "next_page_token": _NEXT_PAGE},
        optional=("next_page_token",),
    ),
    "Movement": _object(
        "An entry of the ledger: one change of stock.",
        {
            "item_id": _ITEM_ID,
            "sku": _SKU,
            "seq": _integer(
                "Position in the item's ledger, from 1 without gaps. The opening entry has 0."
            ),
            "kind": _enumeration("Kind of the movement.", *MovementKind),
            "delta_on_hand": _integer("Change in units on hand."),
            "delta_reserved": _integer("Change in reserved units."),
            "on_hand": _integer("Units on hand after the movement."),
            "reserved": _integer("Reserved units after the movement."),
            "actor": _or_null(_text("Who caused it.")),
            "reason": _or_null(_text("Reason, as the caller gave it.")),
            "reference": _or_null(_text("Reference, such as an order number.")),
            "reservation_id": _or_null(
                _text("The ID of the reservation, if the movement belongs to one.")
            ),
            "recorded_at": _time("When the movement was recorded."),
        },
    ),
    "MovementList": _object(
        "A page of an item's ledger, newest first.",
        {
            "movements": _list("Movement", "The entries."),
            "count": _COUNT,
            "next_page_token": _NEXT_PAGE,
        },
        optional=("next_page_token",),
    ),
    "StockChange": _object(
        "The item after a change of its stock, and the movement.",
        {"message": _MESSAGE, "item": ref("Item"), "movement": ref("Movement")},
    ),
    "Transfer": _object(
        "Both items after a transfer.",
        {"message": _MESSAGE, "from": ref("Item"), "to": ref("Item")},
    ),
    "Reservation": _object(
        "Units of one or more items, reserved until they are committed, released or expired.",
        {
            "reservation_id": _text("The ID of the reservation."),
            "state": _enumeration("State of the reservation.", *ReservationState),
            "lines": _list(
                "ReservationLine",
                "The held units of each item. Once released or expired, the units that were given back.",
            ),
            "committed": _list("ReservationLine", "The units that have left stock."),
            "reference": _or_null(_text("Reference, such as a cart or an order.")),
            "created_at": _time("When it was created."),
            "expires_at": _time("When the reservation expires."),
            "closed_at": _or_null(
                _time("When it was committed, released or expired. Null while it is held.")
            ),
        },
    ),
    "ReservationList": _object(
        "A page of open reservations, the next to expire first.",
        {
            "reservations": _list("Reservation", "The reservations."),
            "count": _COUNT,
            "next_page_token": _NEXT_PAGE,
        },
        optional=("next_page_token",),
    ),
    "ReservationLine": _object(
        "Units of one item.", {"item_id": _ITEM_ID, "sku": _SKU, "quantity": _integer("Units.")}
    ),
    "ReservationResponse": _object(
        "One reservation.",
        {"message": _MESSAGE, "reservation": ref("Reservation")},
        optional=("message",),
    ),
    "BatchResult": _object(
        "The result of each row, in the order of the request.",
        {"results": _list("RowResult", "The results.")},
    ),
    "RowResult": _object(
        "The result of one row. Rejected rows have `error` and `code`.",
        {
            "index": _integer("Index of the row, from 0."),
            "status": _integer("The HTTP status that the row would have as a separate request."),
            **_ERROR,
            **_FACTS,
            **{name: _or_null(_FACTS[name]) for name in _NULLABLE_IN_ROWS},
        },
        optional=(*_ERROR, *_FACTS),
    ),
    "FieldError": _object(
        "One invalid field.",
        {
            "field": _text("The field, such as `lines[0].quantity`. Empty for the whole request."),
            "message": _text("Human-readable description of the problem."),
        },
    ),
    "Error": _object(
        "An error. The additional properties depend on the code.",
        {**_ERROR, **_FACTS, "results": _list("RowResult", "The result of each row of a batch.")},
        optional=(*_FACTS, "results"),
    ),
}
"""The schema of every object in a response, by name; `openapi` adds `ErrorCode`."""
