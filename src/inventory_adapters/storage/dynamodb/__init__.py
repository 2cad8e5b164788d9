"""The repository in two DynamoDB tables; `schema` says what they look like."""

from inventory_adapters.storage.dynamodb.repository import DynamoDBRepository

__all__ = ["DynamoDBRepository"]
