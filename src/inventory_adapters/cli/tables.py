"""`inventory tables`: the DynamoDB tables."""

import time
from collections.abc import Iterator
from typing import Any, Final

import click

from inventory.errors import StorageUnavailableError
from inventory_adapters.cli.storage import (
    DYNAMODB,
    INDEX_PROJECTION,
    NO_API,
    TABLE,
    ledger_of,
    sdk_errors_translated,
)
from inventory_adapters.config import IndexProjection

__all__ = ["check_table", "described", "tables"]

_TABLE_SECONDS: Final = 120.0


@click.group()
def tables() -> None:
    """Manage DynamoDB tables."""


@tables.command("create", short_help="Create missing tables.")
@DYNAMODB
@TABLE
@INDEX_PROJECTION
@NO_API
def create_tables(*, dynamodb: bool, table: str, index_projection: IndexProjection) -> None:
    """
    Create missing tables, and enable the ledger's time to live.

    Use it for DynamoDB Local and for trials. A deployment creates its own tables, with backups.
    """
    if not dynamodb:
        raise click.UsageError("Only DynamoDB has tables. Add --dynamodb.")
    for result in _ensure_tables(table, index_projection):
        click.echo(result)


def _ensure_tables(table: str, index_projection: IndexProjection) -> Iterator[str]:
    """
    Create both DynamoDB tables, and enable the ledger's time to live, if they are missing.

    Yields:
        A sentence for each result, as it happens.

    Raises:
        StorageUnavailableError: DynamoDB cannot be used, or has another table with one of the names.
    """
    from inventory_adapters.storage.dynamodb import schema  # 10 % of a start

    with sdk_errors_translated():
        import boto3  # boto3 is optional
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard"})
        client = boto3.client("dynamodb", config=config)
        items = schema.items_schema(index_projection)
        for kind, name in ((items, table), (schema.LEDGER, ledger_of(table))):
            yield _ensure_table(client, schema.create_table_arguments(kind, name))
            time_to_live = schema.time_to_live_arguments(kind, name)
            if time_to_live is not None:
                yield _ensure_time_to_live(client, time_to_live)


def _ensure_table(client: Any, expected: dict[str, Any]) -> str:
    name = expected["TableName"]
    try:
        client.create_table(**expected)
        result = "created"
    except client.exceptions.ResourceInUseException:
        result = "already exists"
    check_table(_active(client, name), expected)
    return f"Table {name} {result}."


def _ensure_time_to_live(client: Any, expected: dict[str, Any]) -> str:
    name = expected["TableName"]
    current = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if current.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        return f"Time to live of {name} already enabled."
    client.update_time_to_live(**expected)
    return f"Time to live of {name} enabled."


def _active(client: Any, name: str) -> dict[str, Any]:
    """Wait until a table and its indexes are active, and return its description."""
    ends_at = time.monotonic() + _TABLE_SECONDS
    while time.monotonic() < ends_at:
        table = described(client, name)
        indexes = table.get("GlobalSecondaryIndexes", [])
        states = {table["TableStatus"], *(index.get("IndexStatus", "ACTIVE") for index in indexes)}
        if states == {"ACTIVE"}:
            return table
        time.sleep(0.5)
    raise StorageUnavailableError(f"Table {name} is not ready yet. Try again later.")


def described(client: Any, name: str) -> dict[str, Any]:
    """Return the description of a table."""
    table: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    return table


def check_table(table: dict[str, Any], expected: dict[str, Any]) -> None:
    """
    Reject a table without the keys or indexes of ours.

    Raises:
        StorageUnavailableError: Names the difference.
    """
    name = expected["TableName"]
    if table["KeySchema"] != expected["KeySchema"]:
        raise StorageUnavailableError(f"Table {name} has other keys")
    actual, projections = _projections(table), _projections(expected)
    missing = projections.keys() - actual.keys()
    if missing:
        raise StorageUnavailableError(f"Table {name} lacks {', '.join(sorted(missing))}")
    other = [index for index in projections if actual[index] != projections[index]]
    if other:
        raise StorageUnavailableError(
            f"Table {name} has another projection of {', '.join(other)}."
            " It cannot be changed. Use another --table or --index-projection."
        )


def _projections(table: dict[str, Any]) -> dict[str, str]:
    """Return the projection of each index, by name."""
    return {
        index["IndexName"]: index["Projection"]["ProjectionType"]
        for index in table.get("GlobalSecondaryIndexes", [])
    }
