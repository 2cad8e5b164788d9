"""Where a command of `inventory` finds the items: the options that say so, and what they stand for."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar

import click
from attrs import frozen

from inventory.errors import StorageUnavailableError
from inventory.service import Inventory
from inventory_adapters import bootstrap

if TYPE_CHECKING:
    from inventory_adapters.storage.dynamodb.schema import TableSchema

__all__ = ["DYNAMODB", "TABLE", "Storage", "ensure_tables", "storage_options", "was_typed"]

F = TypeVar("F", bound=Callable[..., Any])

_TABLE_SECONDS: Final = 120.0


@frozen(kw_only=True)
class Storage:
    """Where items are kept; made from a command's options."""

    kind: Literal["sqlite", "memory", "dynamodb"]
    db: str
    table: str
    durability: Literal["full", "normal"]

    def __str__(self) -> str:
        match self.kind:
            case "sqlite":
                return os.path.abspath(self.db)  # noqa: PTH100 - text in, text out
            case "memory":
                return "memory, until the server stops"
            case "dynamodb":
                return f"the DynamoDB tables {self.table} and {_ledger_of(self.table)}"

    @contextmanager
    def opened(self) -> Iterator[Inventory]:
        """Lend an inventory, and close what it holds open afterwards."""
        if self.kind == "dynamodb":
            with _sdk_errors_translated():
                yield bootstrap.on_dynamodb(table=self.table, ledger_table=_ledger_of(self.table))
            return
        inventory = (
            bootstrap.in_memory()
            if self.kind == "memory"
            else bootstrap.on_sqlite(self.db, durability=self.durability)
        )
        try:
            yield inventory
        finally:
            close = getattr(inventory.repository, "close", None)
            if close is not None:
                close()


def _ledger_of(table: str) -> str:
    return f"{table}-ledger"


@contextmanager
def _sdk_errors_translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - takes its time

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StorageUnavailableError(f"DynamoDB cannot be used: {error}") from error


_DB: Final = click.option(
    "--db",
    metavar="FILE",
    default="inventory.sqlite3",
    envvar="INVENTORY_DB",
    show_default=True,
    show_envvar=True,
    help="Keep items in this SQLite file; made if it is not there.",
)
_DURABILITY: Final = click.option(
    "--durability",
    type=click.Choice(["full", "normal"]),
    default="full",
    show_default=True,
    help="normal is faster, and may lose the last changes when the machine loses power.",
)
_MEMORY: Final = click.option(
    "--memory", is_flag=True, help="Keep items in memory, until the server stops."
)
DYNAMODB: Final = click.option(
    "--dynamodb",
    is_flag=True,
    help="Keep items in DynamoDB; region, endpoint and credentials are the SDK's settings.",
)
TABLE: Final = click.option(
    "--table",
    metavar="NAME",
    default="inventory-dev",
    show_default=True,
    help="With --dynamodb: the table of the items; the ledger is in NAME-ledger.",
)


def storage_options(*, with_memory: bool = False) -> Callable[[F], Callable[..., Any]]:
    """Give a command the options that say where items are kept; it is called with `storage`."""
    options = [_DB, *([_MEMORY] if with_memory else []), DYNAMODB, TABLE, _DURABILITY]

    def decorate(function: F) -> Callable[..., Any]:
        @wraps(function)
        def with_storage(**given: Any) -> Any:
            return function(storage=_chosen(given), **given)

        decorated: Callable[..., Any] = with_storage
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _chosen(given: dict[str, Any]) -> Storage:
    """Take the storage options out of *given*, and refuse those that contradict each other or would mean nothing."""
    kind: Literal["sqlite", "memory", "dynamodb"] = "sqlite"
    memory, dynamodb = given.pop("memory", False), given.pop("dynamodb")
    if memory or dynamodb:
        kind = "memory" if memory else "dynamodb"
    if memory + dynamodb + was_typed("db") > 1:
        raise click.UsageError("--db, --memory and --dynamodb exclude each other.")
    if was_typed("table") and not dynamodb:
        raise click.UsageError("--table goes with --dynamodb.")
    if was_typed("durability") and kind != "sqlite":
        raise click.UsageError("--durability goes with --db.")
    return Storage(kind=kind, **{name: given.pop(name) for name in ("db", "table", "durability")})


def was_typed(name: str) -> bool:
    """Tell whether an option of the present command stands on the command line, rather than having its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def ensure_tables(table: str) -> Iterator[str]:
    """
    Make both DynamoDB tables, and the time to live of the ledger, where they are missing.

    Returns:
        What was done, or was there already: a sentence each, as it happens.

    Raises:
        StorageUnavailableError: DynamoDB cannot be used, or has another table under one of the names.
    """
    from inventory_adapters.aws.session import make_client  # noqa: PLC0415 - takes its time
    from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER  # noqa: PLC0415 - as above

    with _sdk_errors_translated():
        client = make_client("dynamodb", connect_timeout=2, read_timeout=10, attempts=3)
        for schema, name in ((ITEMS, table), (LEDGER, _ledger_of(table))):
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
