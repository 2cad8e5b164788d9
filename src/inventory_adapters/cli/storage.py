"""The storage or the API of a command: its options, and the inventory that they select."""

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click
from attrs import field, frozen

from inventory.errors import StorageUnavailableError
from inventory.service import Inventory
from inventory_adapters import bootstrap
from inventory_adapters.aws.transport import ServiceError
from inventory_adapters.cli.errors import CommandError
from inventory_adapters.config import IndexProjection

if TYPE_CHECKING:
    from inventory_adapters.client import InventoryClient

    UseCases = Inventory | InventoryClient

__all__ = [
    "DYNAMODB",
    "INDEX_PROJECTION",
    "NO_API",
    "TABLE",
    "Api",
    "Storage",
    "ledger_of",
    "sdk_errors_translated",
    "storage_options",
    "was_typed",
]

F = TypeVar("F", bound=Callable[..., Any])


@frozen(kw_only=True)
class Storage:
    """The storage that the options of a command select."""

    kind: Literal["sqlite", "memory", "dynamodb"]
    db: str
    table: str
    index_projection: IndexProjection
    durability: Literal["full", "normal"]
    actor: str | None

    @property
    def is_remote(self) -> bool:
        """Whether it is on another machine, so that commands mostly wait for it."""
        return self.kind == "dynamodb"

    def __str__(self) -> str:
        match self.kind:
            case "sqlite":
                return str(Path(self.db).absolute())
            case "memory":
                return "memory, until the server stops"
            case "dynamodb":
                return f"the DynamoDB tables {self.table} and {ledger_of(self.table)}"

    @contextmanager
    def opened(
        self, *, missing: Literal["error", "create", "empty"] = "error"
    ) -> Iterator[Inventory]:
        """
        Open the inventory for a block.

        Args:
            missing: The action without a database file: fail, create it, or use an empty inventory in memory. Commands that
                need an item do not create a file, so a mistyped name is an error and not an empty inventory.

        Raises:
            StorageUnavailableError: The storage cannot be used, or there is no database file.
        """
        if self.kind == "dynamodb":
            with sdk_errors_translated():
                inventory = bootstrap.on_dynamodb(
                    table=self.table, index_projection=self.index_projection
                )
                yield inventory.acting_as(self.actor)
            return
        kind = self.kind
        if kind == "sqlite" and missing != "create" and not Path(self.db).exists():
            if missing == "error":
                raise StorageUnavailableError(
                    f"Database file not found: {self}. Check --db, or create the file with"
                    " `inventory items create`, `import`, `demo` or `serve`."
                )
            kind = "memory"
        inventory = (
            bootstrap.in_memory()
            if kind == "memory"
            else bootstrap.on_sqlite(self.db, durability=self.durability)
        )
        try:
            yield inventory.acting_as(self.actor)
        finally:
            close = getattr(inventory.repository, "close", None)
            if close is not None:
                close()


@frozen(kw_only=True)
class Api:
    """The API that the options of a command select."""

    url: str
    api_key: str | None = field(repr=False)
    actor: str | None
    is_remote: bool = field(default=True, init=False)

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def opened(self, **_missing: str) -> "Iterator[InventoryClient]":
        """Connect a client for a block."""
        try:
            from inventory_adapters.client import InventoryClient  # httpx is optional

            client = InventoryClient(self.url, api_key=self.api_key, actor=self.actor)
        except (ImportError, ValueError) as error:
            raise CommandError(str(error)) from error
        with client:
            yield client


def ledger_of(table: str) -> str:
    """Return the name of the ledger table for a *table* of items."""
    return f"{table}-ledger"


@contextmanager
def sdk_errors_translated() -> Iterator[None]:
    """Raise errors of the SDK as `StorageUnavailableError`."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # boto3 is optional
    except ImportError as error:
        raise StorageUnavailableError(
            "DynamoDB needs boto3. Install it with: pip install boto3"
        ) from error

    try:
        yield
    except (BotoCoreError, ClientError, ServiceError) as error:
        raise StorageUnavailableError(f"DynamoDB cannot be used: {error}") from error


_DB: Final = click.option(
    "--db",
    metavar="FILE",
    default="inventory.sqlite3",
    envvar="INVENTORY_DB",
    show_default=True,
    show_envvar=True,
    help="SQLite file to use.",
)
_DURABILITY: Final = click.option(
    "--durability",
    type=click.Choice(["full", "normal"]),
    default="full",
    show_default=True,
    help="How commits are written: `normal` is faster but may lose the last ones in a power failure.",
)
_URL_VARIABLE: Final = "INVENTORY_URL"
_MEMORY: Final = click.option(
    "--memory", is_flag=True, help="Keep items in memory until the server stops."
)
DYNAMODB: Final = click.option(
    "--dynamodb",
    is_flag=True,
    help="Use DynamoDB, with the region, endpoint and credentials of the AWS SDK.",
)
TABLE: Final = click.option(
    "--table",
    metavar="NAME",
    default="inventory-dev",
    show_default=True,
    help="With --dynamodb: the table of items; the ledger is NAME-ledger.",
)
INDEX_PROJECTION: Final = click.option(
    "--index-projection",
    type=click.Choice(["all", "keys"]),
    default="all",
    show_default=True,
    help="With --dynamodb: what the table's indexes by category and status contain.",
)


def _login_name() -> str | None:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return None


def _reject_url(_ctx: click.Context, _option: click.Parameter, url: str | None) -> None:
    # Options of the command line come first, so that they take precedence over the variable.
    if url or (os.environ.get(_URL_VARIABLE) and not (was_typed("db") or was_typed("dynamodb"))):
        raise click.UsageError(
            "This command cannot run through an API: run it where the storage is, with --db or --dynamodb."
        )


_URL: Final = click.option(
    "--url",
    metavar="URL",
    envvar=_URL_VARIABLE,
    show_envvar=True,
    help="Use the API at this URL, such as https://api.example.com/prod.",
)
NO_API: Final = click.option("--url", hidden=True, expose_value=False, callback=_reject_url)
"""Reject `--url`, for a command that no API can serve."""
_API_KEY: Final = click.option(
    "--api-key",
    metavar="KEY",
    envvar="INVENTORY_API_KEY",
    show_envvar=True,
    help="With --url: the API key. In the variable, other users of this machine cannot see it.",
)
_ACTOR: Final = click.option(
    "--actor",
    metavar="NAME",
    default=_login_name,
    show_default="login name",
    help="Who makes the change, for the ledger.",
)


def storage_options(
    *, with_memory: bool = False, with_api: bool = True
) -> Callable[[F], Callable[..., Any]]:
    """Add the storage options to a command, which gets a `Storage`, or an `Api`, as `storage`."""
    options = [_DB, *([_MEMORY] if with_memory else []), DYNAMODB, TABLE]
    options += [INDEX_PROJECTION, _DURABILITY]
    options += [_URL, _API_KEY, _ACTOR] if with_api else [NO_API]

    def decorate(function: F) -> Callable[..., Any]:
        @wraps(function)
        def with_storage(**given: Any) -> Any:
            return function(storage=_selected(given), **given)

        decorated: Callable[..., Any] = with_storage
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _selected(given: dict[str, Any]) -> Storage | Api:
    """Remove the storage options from *given*, and reject contradictory or unused ones."""
    memory, dynamodb = given.pop("memory", False), given.pop("dynamodb")
    url, api_key, actor = (given.pop(name, None) for name in ("url", "api_key", "actor"))
    others = memory + dynamodb + was_typed("db")
    if others + was_typed("url") > 1:
        raise click.UsageError("Use only one of --db, --memory, --dynamodb and --url.")
    kind: Literal["sqlite", "memory", "dynamodb", "api"] = "sqlite"
    if memory or dynamodb:
        kind = "memory" if memory else "dynamodb"
    elif url and not others:
        kind = "api"
    for name in ("table", "index_projection"):
        if was_typed(name) and not dynamodb:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --dynamodb.")
    if was_typed("durability") and kind != "sqlite":
        raise click.UsageError("--durability needs --db.")
    if was_typed("api_key") and kind != "api":
        raise click.UsageError("--api-key needs --url.")
    values = {name: given.pop(name) for name in ("db", "table", "index_projection", "durability")}
    if kind == "api":
        return Api(url=url, api_key=api_key, actor=actor)
    return Storage(kind=kind, actor=actor, **values)


def was_typed(name: str) -> bool:
    """Return whether an option of the current command was given on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE
