"""Responses of DynamoDB during a measurement, and the settings of the caller."""

from collections.abc import Iterator
from typing import Any, Final

__all__ = [
    "ENVIRONMENT",
    "ITEM",
    "ITEM_ID",
    "PAGE_SIZE",
    "SKU",
    "answers",
    "item_row",
]

SKU: Final = "TENT-TRAIL-2"
ITEM_ID: Final = "6a1fdc5e-5d1b-4be0-9c6e-0c4e4f6c1d10"
PAGE_SIZE: Final = 20

ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "TABLE_NAME": "inventory-bench",
    "LEDGER_TABLE_NAME": "inventory-bench-ledger",
    "ALLOWED_ORIGINS": "https://shop.example.com",
    "LOG_LEVEL": "INFO",
}
"""Settings of a function as it is deployed but for page limits of its own, with credentials that open nothing."""

ITEM: Final = {
    "sku": SKU,
    "name": "Trail tent, two persons",
    "description": "Two doors, 2.1 kg, with a groundsheet.",
    "quantity": 9,
    "price": 249.5,
    "category": "tents",
}
"""What a client sends to create the item."""


def item_row(number: int = 0) -> dict[str, Any]:
    """Return a row as DynamoDB sends it."""
    return {
        "item_id": {"S": f"{ITEM_ID[:-4]}{number:04}"},
        "sku": {"S": SKU},
        "name": {"S": ITEM["name"]},
        "description": {"S": ITEM["description"]},
        "quantity": {"N": "9"},
        "reserved": {"N": "0"},
        "seq": {"N": "7"},
        "price": {"N": "249.5"},
        "category": {"S": "tents"},
        "status": {"S": "available"},
        "location": {"S": "default"},
        "version": {"N": "3"},
        "created_at": {"S": "2026-01-05T09:30:00.000000+00:00"},
        "updated_at": {"S": "2026-03-17T16:45:12.123456+00:00"},
    }


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations and what each is answered with."""
    rows = [item_row(number) for number in range(PAGE_SIZE)]
    page = {"Items": rows, "Count": PAGE_SIZE, "ScannedCount": PAGE_SIZE}
    yield "GetItem", {"Item": item_row()}
    yield "Query", page
    yield "Scan", page
    yield "PutItem", {}
    yield "UpdateItem", {"Attributes": item_row()}
    yield "DeleteItem", {"Attributes": item_row()}
    yield "TransactWriteItems", {}
