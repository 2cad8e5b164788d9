"""`inventory tables`: the tables of DynamoDB."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from inventory.errors import StorageUnavailableError
from inventory_adapters.cli.storage import DYNAMODB, TABLE, ledger_of, sdk_errors_translated

if TYPE_CHECKING:
    from inventory_adapters.storage.dynamodb.schema import TableSchema

__all__ = ["tables"]

_TABLE_SECONDS: Final = 120.0


@click.group()
def tables() -> None:
    """Manage DynamoDB tables."""


@tables.command("create", short_help="Create missing tables.")
@DYNAMODB
@TABLE
def create_tables(dynamodb: bool, table: str) -> None:  # noqa: FBT001 - click passes by name
    """
    Create the tables that are missing, and the time to live of the ledger.

    For DynamoDB Local and for trials: a deployment creates its own tables, with backups.
    """
    if not dynamodb:
        raise click.UsageError("Only DynamoDB has tables. Add --dynamodb.")
    for done in _ensure_tables(table):
        click.echo(done)


def _ensure_tables(table: str) -> Iterator[str]:
    """
    Make both DynamoDB tables, and the time to live of the ledger, where they are missing.

    Returns:
        What was done, or was there already: a sentence each, as it happens.

    Raises:
        StorageUnavailableError: DynamoDB cannot be used, or has another table under one of the names.
    """
    from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER  # noqa: PLC0415 - takes its time

    with sdk_errors_translated():
        import boto3  # noqa: PLC0415 - as above
        from botocore.config import Config  # noqa: PLC0415 - as above

        config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard"})
        client = boto3.client("dynamodb", config=config)
        for schema, name in ((ITEMS, table), (LEDGER, ledger_of(table))):
            yield from _ensure_table(client, schema, name)


def _ensure_table(client: Any, schema: "TableSchema", name: str) -> Iterator[str]:
    from inventory_adapters.storage.dynamodb.schema import (  # noqa: PLC0415 - as above
        create_table_arguments,
        time_to_live_arguments,
    )

    wanted = create_table_arguments(schema, name)
    try:
        client.create_table(**wanted)
        done = "created"
    except client.exceptions.ResourceInUseException:
        done = "was there already"
    _check_table(_active(client, name), wanted)
    yield f"Table {name} {done}."
    time_to_live = time_to_live_arguments(schema, name)
    if time_to_live is None:
        return
    found = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        yield f"Time to live of {name} was on already."
    else:
        client.update_time_to_live(**time_to_live)
        yield f"Time to live of {name} turned on."


def _active(client: Any, name: str) -> dict[str, Any]:
    """Return the description of a table, once it and its indexes can be used."""
    ends_at = time.monotonic() + _TABLE_SECONDS
    while time.monotonic() < ends_at:
        found: dict[str, Any] = client.describe_table(TableName=name)["Table"]
        indexes = found.get("GlobalSecondaryIndexes", [])
        states = {found["TableStatus"], *(it.get("IndexStatus", "ACTIVE") for it in indexes)}
        if states == {"ACTIVE"}:
            return found
        time.sleep(0.5)
    raise StorageUnavailableError(f"Table {name} is still not ready; look again later")


def _check_table(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a table that was there under our name, but is not one that we can use."""
    name = wanted["TableName"]
    if found["KeySchema"] != wanted["KeySchema"]:
        _refuse_table(name, "has other keys than ours")
    indexes = {it["IndexName"] for it in found.get("GlobalSecondaryIndexes", [])}
    missing = {it["IndexName"] for it in wanted.get("GlobalSecondaryIndexes", [])} - indexes
    if missing:
        _refuse_table(name, f"lacks {', '.join(sorted(missing))}")


def _refuse_table(name: str, why: str) -> NoReturn:
    raise StorageUnavailableError(f"Table {name} was there already, but {why}")
