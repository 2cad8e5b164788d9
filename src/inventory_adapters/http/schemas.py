"""
The objects in answers, as named components of the OpenAPI document.

`wire` writes these objects by hand and this table describes them by hand; the tests hold each against real answers. The schemas
are for readers of answers: members and values may be added later, so no object is closed, and a word from a list is a `string`
with `x-extensible-enum`. Nothing here is an `anyOf`, because most generators of clients cannot express one.
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
    What an operation answers when it succeeds.

    Attributes:
        component: The name of the schema of the body.
        etag: Whether the answer shows one item, and so has an `ETag`.
    """

    component: str
    etag: bool = False


SUCCESSES: Final[dict[str, Success]] = {
    "create_item": Success("ItemResponse", etag=True),
    "list_items": Success("ItemList"),
    "batch_items": Success("BatchResult"),
    "get_item": Success("ItemResponse", etag=True),
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
"""The answer to a success, by the name of the operation."""


def ref(component: str) -> JsonSchema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{component}"}


def _text(description: str, **more: Any) -> JsonSchema:
    return {"type": "string", "description": description, **more}


def _whole(description: str, **more: Any) -> JsonSchema:
    return {"type": "integer", "format": "int64", "description": description, **more}


def _word(description: str, *words: str) -> JsonSchema:
    return {"type": "string", "description": description, "x-extensible-enum": list(words)}


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
_VERSION: Final = _whole("Number of edits of the item's details.")
_SEQ: Final = _whole("Number of stock movements recorded for the item.")
_MESSAGE: Final = _text("What was done, for people.")
_NEXT_PAGE: Final = _text(
    "Send it as `page_token` to get the next page. Absent on the last page, and only there."
)
_COUNT: Final = _whole("Number of rows on this page.")

# What an error may say beside its sentence and code. Which of them an error has depends on its code.
_FACTS: Final[dict[str, JsonSchema]] = {
    "details": _list("FieldError", "Every invalid field."),
    "item_id": _ITEM_ID,
    "sku": _SKU,
    "version": _VERSION,
    "seq": _SEQ,
    "quantity": _whole("Units on hand."),
    "reserved": _whole("Reserved units."),
    "available": _whole("Available units."),
    "requested": _whole("Requested units."),
    "expected_quantity": _whole("Units on hand that the request expected."),
    "rows": _whole("Rows in the batch."),
    "first_row": _whole("Position of a row of the batch, from 0."),
    "second_row": _whole("Position of a later row for the same item."),
    "limit": _whole("The largest allowed value."),
    "source": _text("The SKU of the item that units leave."),
    "destination": _text("The SKU of the item that units go to."),
    "reservation_id": _text("The ID of the reservation."),
    "state": _text("The state of the reservation."),
    "expires_at": _time("When the reservation expired."),
}
_ROW_FACTS: Final = ("item_id", "sku", "version", "seq")
_ERROR: Final[dict[str, JsonSchema]] = {
    "error": _text("What went wrong, for people."),
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
            "description": _text("Longer description; may be empty."),
            "quantity": _whole("Units on hand."),
            "reserved": _whole("Units on hand that are reserved."),
            "available": _whole("Units on hand that are not reserved."),
            "price": ref("Price"),
            "category": _text("Category."),
            "status": _word("Availability status.", *STATUSES),
            "location": _text("Where the item is kept."),
            "reorder_point": _or_null(
                _whole("The item is low when its available units fall to this number; null: never.")
            ),
            "version": _VERSION,
            "created_at": _time("When the item was created."),
            "updated_at": _time("When its details were last edited."),
        },
    ),
    "ItemResponse": _object(
        "One item.", {"message": _MESSAGE, "item": ref("Item")}, optional=("message",)
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
        "An entry of the ledger.",
        {
            "item_id": _ITEM_ID,
            "sku": _SKU,
            "seq": _whole(
                "Position in the item's history, from 1 without gaps; 0: the opening entry."
            ),
            "kind": _word("Why the stock changed.", *MovementKind),
            "delta_on_hand": _whole("Change of the units on hand."),
            "delta_reserved": _whole("Change of the reserved units."),
            "on_hand": _whole("Units on hand afterwards."),
            "reserved": _whole("Reserved units afterwards."),
            "reason": _or_null(_text("Why the stock changed, in the caller's words.")),
            "reference": _or_null(_text("What it was for, such as an order.")),
            "reservation_id": _or_null(_text("The reservation whose units moved.")),
            "recorded_at": _time("When it was recorded."),
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
        "An item after a change of its stock, and the movement that records it.",
        {"message": _MESSAGE, "item": ref("Item"), "movement": ref("Movement")},
    ),
    "Transfer": _object(
        "Both items after a transfer.",
        {"message": _MESSAGE, "from": ref("Item"), "to": ref("Item")},
    ),
    "Reservation": _object(
        "Units that are held for a reference.",
        {
            "reservation_id": _text("The ID of the reservation."),
            "state": _word("State of the reservation.", *ReservationState),
            "lines": _list("ReservationLine", "The units, by item."),
            "reference": _or_null(_text("What it is for, such as a cart or an order.")),
            "created_at": _time("When it was created."),
            "expires_at": _time("Until when the units are held."),
            "closed_at": _or_null(
                _time("When it was committed, released or expired; null while it is held.")
            ),
        },
    ),
    "ReservationLine": _object(
        "Units of one item.", {"item_id": _ITEM_ID, "sku": _SKU, "quantity": _whole("Units.")}
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
        "The result of one row. A rejected row has `error` and `code`.",
        {
            "index": _whole("Position of the row, from 0."),
            "status": _whole("The status that the row would get as a request of its own."),
            **_ERROR,
            **_FACTS,
            **{name: _or_null(_FACTS[name]) for name in _ROW_FACTS},
        },
        optional=(*_ERROR, *_FACTS),
    ),
    "FieldError": _object(
        "What is wrong with one field.",
        {
            "field": _text("The field, such as `lines[0].quantity`; empty: the whole request."),
            "message": _text("What is wrong, for people."),
        },
    ),
    "Error": _object(
        "Why a request was rejected. The numbers depend on the code.",
        {**_ERROR, **_FACTS, "results": _list("RowResult", "The result of each row of a batch.")},
        optional=(*_FACTS, "results"),
    ),
}
"""Every object in an answer, by its name; `ErrorCode` is made from the table of codes."""
