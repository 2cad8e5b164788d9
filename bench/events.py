"""Events of API Gateway and the context of Lambda. Imports no package under measurement."""

import json
from typing import Any, Final

from bench import sdk

__all__ = ["OPERATIONS", "Context", "event"]

_RESOURCES: Final = {
    "get_item": ("GET", "/items/{item_id}"),
    "create_item": ("POST", "/items"),
    "list_items": ("GET", "/items"),
    "update_item": ("PUT", "/items/{item_id}"),
    "delete_item": ("DELETE", "/items/{item_id}"),
    "adjust_stock": ("POST", "/items/{item_id}/adjustments"),
}

OPERATIONS: Final = tuple(_RESOURCES)
"""The operations that have an event."""

_BODIES: Final[dict[str, Any]] = {
    "create_item": sdk.ITEM,
    "update_item": {"sku": sdk.SKU, "name": "Trail tent"},
    "adjust_stock": {"sku": sdk.SKU, "delta": -2, "reason": "sold", "reference": "order 1"},
}

_QUERIES: Final[dict[str, dict[str, str]]] = {
    "get_item": {"sku": sdk.SKU},
    "delete_item": {"sku": sdk.SKU},
    "list_items": {"category": "tents"},
}

_HEADERS: Final = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "Host": "api.example.com",
    "User-Agent": "bench",
    "X-Amzn-Trace-Id": "Root=1-5e1b4151-5ac6c58f5f1b4f9e8b7a6c5d",
    "X-Forwarded-For": "192.0.2.1",
}


class Context:
    """The context that Lambda passes to a handler."""

    aws_request_id = "8f5c6f6e-3a52-4b5e-9c2d-6c1b0a8d4e11"
    function_name = "inventory-bench"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:inventory-bench"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return the remaining time of the call."""
        return 5000


def event(operation: str) -> dict[str, Any]:
    """Return an event for the handler of *operation*."""
    method, resource = _RESOURCES[operation]
    query, body = _QUERIES.get(operation), _BODIES.get(operation)
    return {
        "resource": resource,
        "path": resource.replace("{item_id}", sdk.ITEM_ID),
        "httpMethod": method,
        "headers": _HEADERS,
        "multiValueHeaders": {name: [value] for name, value in _HEADERS.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {name: [query[name]] for name in query},
        "pathParameters": {"item_id": sdk.ITEM_ID} if "{" in resource else None,
        "requestContext": {
            "requestId": Context.aws_request_id,
            "identity": {},
            "stage": "dev",
            "httpMethod": method,
            "resourcePath": resource,
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
