"""
A handler with Powertools for AWS Lambda and pydantic: routed, validated, logged.

Source: Powertools for AWS Lambda (Python), "REST API" with `enable_validation`, and "Logger".
"""

import os
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, Field

logger = Logger(service="inventory")
app = APIGatewayRestResolver(enable_validation=True)
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


class NewItem(BaseModel):
    """The request body."""

    sku: str = Field(min_length=1, max_length=128)
    name: str = Field(min_length=1, max_length=256)
    description: str = Field("", max_length=4096)
    quantity: int = Field(ge=0, le=1_000_000_000)
    price: Decimal = Field(Decimal(0), ge=0, decimal_places=4)
    category: str = Field(min_length=1, max_length=128)
    status: str = "available"


class Item(NewItem):
    """The response body."""

    item_id: str
    created_at: str
    updated_at: str


@app.get("/items/<item_id>")
def get_item(item_id: str, sku: Annotated[str, Query()]) -> dict[str, Item]:
    """Handle ``GET /items/{item_id}?sku=``."""
    response = table.get_item(Key={"item_id": item_id, "sku": sku})
    if "Item" not in response:
        raise NotFoundError("Item not found")
    return {"item": Item.model_validate(response["Item"])}


@app.get("/items")
def list_items(category: Annotated[str, Query()]) -> dict[str, list[Item]]:
    """Handle ``GET /items?category=``."""
    response = table.query(
        IndexName="CategoryIndex",
        KeyConditionExpression="category = :category",
        ExpressionAttributeValues={":category": category},
        Limit=20,
    )
    return {"items": [Item.model_validate(row) for row in response["Items"]]}


@app.post("/items")
def create_item(new: NewItem) -> dict[str, Item]:
    """Handle ``POST /items``."""
    now = datetime.now(UTC).isoformat()
    item = Item(**new.model_dump(), item_id=str(uuid.uuid4()), created_at=now, updated_at=now)
    table.put_item(Item=item.model_dump())
    return {"item": item}


@logger.inject_lambda_context
def handler(event, context):
    """Handle an event of the gateway."""
    return app.resolve(event, context)
