"""The repository in two DynamoDB tables; `schema` says what they look like."""

from typing import Any

__all__ = ["DynamoDBRepository", "make_client"]


def __getattr__(name: str) -> Any:
    # `schema` is read without the SDK, which the repository still imports.
    if name in __all__:
        from inventory_adapters.storage.dynamodb import repository  # noqa: PLC0415

        return getattr(repository, name)
    raise AttributeError(name)
