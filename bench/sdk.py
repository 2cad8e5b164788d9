"""
DynamoDB without a network: every request is built and signed, every answer is parsed, and no socket is opened.

botocore asks the handlers of `before-send` for a response before it sends a request.
Source: docs of botocore, "Extensibility guide".
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zlib import crc32

__all__ = [
    "ENVIRONMENT",
    "ITEM",
    "ITEM_ID",
    "PAGE_SIZE",
    "SKU",
    "answer",
    "item_row",
    "remove_the_network",
]

SKU: Final = "TENT-TRAIL-2"
ITEM_ID: Final = "6a1fdc5e-5d1b-4be0-9c6e-0c4e4f6c1d10"
PAGE_SIZE: Final = 20

ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
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
        "reserved": {"N": "2"},
        "seq": {"N": "7"},
        "price": {"N": "249.5"},
        "category": {"S": "tents"},
        "status": {"S": "available"},
        "location": {"S": "default"},
        "version": {"N": "3"},
        "created_at": {"S": "2026-01-05T09:30:00.000000+00:00"},
        "updated_at": {"S": "2026-03-17T16:45:12.123456+00:00"},
    }


def _answers() -> Iterator[tuple[str, dict[str, Any]]]:
    rows = [item_row(number) for number in range(PAGE_SIZE)]
    page = {"Items": rows, "Count": PAGE_SIZE, "ScannedCount": PAGE_SIZE}
    yield "GetItem", {"Item": item_row()}
    yield "Query", page
    yield "Scan", page
    yield "PutItem", {}
    yield "UpdateItem", {"Attributes": item_row()}
    yield "DeleteItem", {"Attributes": item_row()}
    yield "TransactWriteItems", {}


_BODIES: Final = {operation: json.dumps(body).encode() for operation, body in _answers()}


class _Body:
    """What urllib3 gives botocore to read an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


def answer(request: Any, **_: Any) -> Any:
    """Answer a signed request to AWS as DynamoDB would, checksum and all; one to a stand-in on this machine is let through."""
    if ".amazonaws.com" not in request.url:
        return None
    from botocore.awsrequest import AWSResponse

    target = request.headers["X-Amz-Target"]
    operation = (target if isinstance(target, str) else target.decode()).rpartition(".")[2]
    body = _BODIES[operation]
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(body)),
        "x-amz-crc32": str(crc32(body)),
        "x-amzn-RequestId": "BENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBE",
    }
    return AWSResponse(request.url, 200, headers, _Body(body))


def remove_the_network(environ: Mapping[str, str] = ENVIRONMENT) -> None:
    """Have every client that this process makes from now on answered by `answer`, boto3's as well."""
    import botocore

    os.environ.update(environ)
    botocore.register_initializer(lambda made: made.register("before-send.dynamodb", answer))
