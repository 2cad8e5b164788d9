"""
A typical CRUD Lambda: `boto3.resource`, a handler per operation, a table object per call.

Source: the boto3 guide to DynamoDB, and the Lambda developer guide on proxy integrations.
"""

import json
import os
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Key

dynamodb = boto3.resource("dynamodb")


class DecimalEncoder(json.JSONEncoder):
    """Encodes the Decimals of boto3."""

    def default(self, o):
        """Return a value that json supports."""
        return float(o) if isinstance(o, Decimal) else super().default(o)


def respond(status, body):
    """Return a proxy result."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"},
        "body": json.dumps(body, cls=DecimalEncoder),
    }


def get_item(event, context):
    """Handle ``GET /items/{item_id}?sku=``."""
    table = dynamodb.Table(os.environ["TABLE_NAME"])
    key = {
        "item_id": event["pathParameters"]["item_id"],
        "sku": event["queryStringParameters"]["sku"],
    }
    response = table.get_item(Key=key)
    if "Item" not in response:
        return respond(404, {"error": "Item not found"})
    return respond(200, {"item": response["Item"]})


def create_item(event, context):
    """Handle ``POST /items``."""
    table = dynamodb.Table(os.environ["TABLE_NAME"])
    body = json.loads(event["body"], parse_float=Decimal)
    if "sku" not in body or "name" not in body:
        return respond(400, {"error": "sku and name are required"})
    now = datetime.now(UTC).isoformat()
    item = {
        "item_id": str(uuid.uuid4()),
        "sku": body["sku"],
        "name": body["name"],
        "description": body.get("description", ""),
        "quantity": int(body.get("quantity", 0)),
        "price": Decimal(str(body.get("price", 0))),
        "category": body.get("category", ""),
        "status": body.get("status", "available"),
        "created_at": now,
        "updated_at": now,
    }
    table.put_item(Item=item)
    return respond(201, {"message": "Item created successfully", "item": item})


def list_items(event, context):
    """Handle ``GET /items?category=``."""
    table = dynamodb.Table(os.environ["TABLE_NAME"])
    query = event.get("queryStringParameters") or {}
    response = table.query(
        IndexName="CategoryIndex",
        KeyConditionExpression=Key("category").eq(query["category"]),
        Limit=int(query.get("page_size", 20)),
    )
    return respond(200, {"items": response["Items"], "count": len(response["Items"])})
