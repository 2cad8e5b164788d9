"""
`inventory ...`: the same commands from a terminal, and the server for this machine.

Options are derived from the commands' fields, answers from the route table: what HTTP takes and says, this takes and says.
Exit codes: 0; 1 a rule refused, or the output cannot be written; 2 usage; 3 storage is away; 130 interrupted; 141 the reader
of our output left.
"""

import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import wraps
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar

import attrs
from attrs import frozen

from inventory.commands import ListItems
from inventory.deadline import deadline
from inventory.errors import (
    Fault,
    InventoryError,
    StorageError,
    StorageUnavailableError,
    ValidationError,
)
from inventory.fields import Choice, Flag, Nullable, PageSize, Spec, Whole, build, specs
from inventory.service import Inventory
from inventory_adapters import bootstrap
from inventory_adapters.config import ConfigError
from inventory_adapters.converters import to_json
from inventory_adapters.http.app import refusal
from inventory_adapters.http.routes import Answer, Route, route_named

_NEEDS_EXTRA: Final = "This command needs more packages: pip install 'tap-inventory[local]'"

try:
    import click
except ModuleNotFoundError:
    # The command is installed with the library, its packages only with the extra.
    print(_NEEDS_EXTRA, file=sys.stderr)  # noqa: T201 - a command talks to its user
    sys.exit(2)

if TYPE_CHECKING:
    from rich.table import Table

    from inventory_adapters.http.local_server import Site
    from inventory_adapters.storage.dynamodb_table import TableSchema

__all__ = ["cli", "main"]

F = TypeVar("F", bound=Callable[..., Any])
Parameters = dict[str, Any]

_REFUSED: Final = 1
_USAGE: Final = 2
_STORAGE_AWAY: Final = 3
_INTERRUPTED: Final = 130
_READER_LEFT: Final = 141  # What a shell says of a program that SIGPIPE ended.

# A person waits longer than a browser does, but not for ever.
_ANSWER_SECONDS: Final = 10.0
_TABLE_SECONDS: Final = 120.0

_AS_JSON: Final = "inventory.as_json"


class _StopError(click.ClickException):
    """Trouble with what was asked for; said in one sentence."""

    exit_code = _USAGE


class _Commands(click.Group):
    """The group of all commands: the one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            # Here rather than at the end of the process, where nobody could catch that the reader has left.
            sys.stdout.flush()
        except InventoryError as error:
            _show_traceback(ctx)
            _tell(error, as_json=ctx.meta.get(_AS_JSON, False))
            ctx.exit(_STORAGE_AWAY if isinstance(error, StorageError) else _REFUSED)
        except ConfigError as error:
            _show_traceback(ctx)
            click.echo(f"Error: {error}", err=True)
            ctx.exit(_STORAGE_AWAY)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in {"rich", "uvicorn"}:
                raise
            raise _StopError(_NEEDS_EXTRA) from error
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except OSError as error:
            # What is still buffered goes nowhere, silently, when Python closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                ctx.exit(_READER_LEFT)
            _show_traceback(ctx)
            raise click.ClickException(error.strerror or str(error)) from error
        return result


def _show_traceback(ctx: click.Context) -> None:
    if ctx.params["debug"]:
        traceback.print_exc()


def _tell(error: InventoryError, *, as_json: bool) -> None:
    if as_json:
        # It would log what a client is not told; who sits here is told all there is.
        logging.getLogger("inventory_adapters.http").setLevel(logging.CRITICAL)
        click.echo(refusal(error, request_id="").body)
    elif isinstance(error, ValidationError):
        click.echo("Error: the request is not valid:", err=True)
        for fault in error.faults:
            click.echo(f"  {_option_of(fault)} {fault.message}", err=True)
    else:
        click.echo(f"Error: {error.message}", err=True)


def _option_of(fault: Fault) -> str:
    by_wire = {spec.wire: spec.name for spec in specs(ListItems)}
    return f"--{by_wire.get(fault.field, fault.field).replace('_', '-')}"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tap-inventory", prog_name="inventory")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def cli(debug: bool) -> None:  # noqa: FBT001 - click passes by name
    """Keep an inventory that never oversells."""


def main() -> None:
    """Run the `inventory` command."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks letters for is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    cli(prog_name="inventory")


# --- Where items are kept


@frozen(kw_only=True)
class _Storage:
    """Where a command finds the items; made from its options."""

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
_DYNAMODB: Final = click.option(
    "--dynamodb",
    is_flag=True,
    help="Keep items in DynamoDB; region, endpoint and credentials are the SDK's settings.",
)
_TABLE: Final = click.option(
    "--table",
    metavar="NAME",
    default="inventory-dev",
    show_default=True,
    help="With --dynamodb: the table of the items; the ledger is in NAME-ledger.",
)


def _storage_options(*, with_memory: bool = False) -> Callable[[F], Callable[..., Any]]:
    """Give a command the options that say where items are kept; it is called with `storage`."""
    options = [_DB, *([_MEMORY] if with_memory else []), _DYNAMODB, _TABLE, _DURABILITY]

    def decorate(function: F) -> Callable[..., Any]:
        @wraps(function)
        def with_storage(**given: Any) -> Any:
            return function(storage=_chosen(given), **given)

        decorated: Callable[..., Any] = with_storage
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _chosen(given: Parameters) -> _Storage:
    """Take the storage options out of *given*, and refuse those that contradict each other or would mean nothing."""
    kind: Literal["sqlite", "memory", "dynamodb"] = "sqlite"
    memory, dynamodb = given.pop("memory", False), given.pop("dynamodb")
    if memory or dynamodb:
        kind = "memory" if memory else "dynamodb"
    if memory + dynamodb + _was_typed("db") > 1:
        raise click.UsageError("--db, --memory and --dynamodb exclude each other.")
    if _was_typed("table") and not dynamodb:
        raise click.UsageError("--table goes with --dynamodb.")
    if _was_typed("durability") and kind != "sqlite":
        raise click.UsageError("--durability goes with --db.")
    return _Storage(kind=kind, **{name: given.pop(name) for name in ("db", "table", "durability")})


def _was_typed(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


# --- serve


def _origins(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        # Browsers send no path and no slash at the end: with one, an origin would never match.
        if value != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", value):
            raise click.BadParameter(
                f"{value!r} is neither * nor an origin such as https://shop.example.com"
            )
    return values


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=8080,
    show_default=True,
    help="The port to listen on; 0 for any that is free.",
)
@_storage_options(with_memory=True)
@click.option(
    "--allowed-origin",
    "allowed_origins",
    metavar="ORIGIN",
    multiple=True,
    callback=_origins,
    help="Let pages of this origin read the answers, too; * for all. May be repeated.",
)
def serve(storage: _Storage, host: str, port: int, allowed_origins: tuple[str, ...]) -> None:
    """
    Serve the HTTP API on this machine, until Ctrl-C.

    There is no authentication: whoever reaches the port can read and change everything.
    """
    from inventory_adapters import logs  # noqa: PLC0415 - for this command alone
    from inventory_adapters.http import local_server  # noqa: PLC0415 - as above

    def ready(site: "Site") -> None:
        example = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 5}
        click.echo(f"Inventory on {site.url}, kept in {storage}. Ctrl-C stops it.")
        click.echo(f"Try: curl {site.url}/items -d '{to_json(example)}'")
        sys.stdout.flush()

    try:
        listener = local_server.listen(host, port)
    except local_server.CannotListenError as error:
        raise _StopError(str(error)) from error
    with listener, storage.opened() as inventory:
        with deadline(_ANSWER_SECONDS):
            local_server.check_health(inventory)
        logs.to_stderr()
        local_server.serve(
            inventory, listener, host, allowed_origins=allowed_origins, on_ready=ready
        )


# --- items


@cli.group()
def items() -> None:
    """Create, find, change and delete items."""


def _whole_number(text: str) -> int:
    """Read digits, maybe after a minus; not all that Python takes for a number, such as 1_000."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise click.BadParameter(f"{text!r} is not a whole number")
    return int(text)


def _number_or_none(text: str) -> int | str:
    return _NONE if text == "none" else _whole_number(text)


# click takes None for an option that was left out.
_NONE: Final = "\0none"


def _parameter(spec: Spec) -> click.Parameter:
    """Return the option of a command's field; the id, which everybody types, is an argument."""
    if spec.name == "item_id":
        return click.Argument([spec.name])
    names = [f"--{spec.name.replace('_', '-')}", spec.name]
    if isinstance(spec.bound, Flag):
        return click.Option(names, is_flag=True, help=spec.bound.doc)
    kind, metavar = _kind(spec)
    # Shown only: left out, it would come to the same. To click, a default of None is a default, too.
    shown = isinstance(spec.default, str | Decimal) and str(spec.default) != ""
    default: dict[str, Any] = {"default": str(spec.default), "show_default": True} if shown else {}
    return click.Option(
        names,
        type=kind,
        metavar=metavar,
        required=spec.required,
        help=spec.bound.doc,
        **default,
    )


def _kind(spec: Spec) -> "tuple[click.ParamType[Any] | Callable[[str], Any], str | None]":
    """Return how a value is read, and what help calls it; what else text may be is for its bound to say."""
    match spec.bound:
        case Whole():
            return _whole_number, "N"
        case Nullable(Whole()):
            return _number_or_none, "N|none"
        case Nullable(PageSize()):
            return click.STRING, "N"
        case Choice(options=options):
            return click.Choice(options), None
        case _:
            return click.STRING, None


def _remember(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's signature
    ctx.meta[_AS_JSON] = value
    return value


_JSON: Final = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember,
    help="Print what the HTTP API would answer, errors too.",
)
_ALL: Final = click.Option(["--all", "everything"], is_flag=True, help="All pages, as one.")


def _item_command(route: Route[Any, Any], name: str) -> click.Command:
    fields = specs(route.command)
    is_list = route.command is ListItems

    def run(storage: _Storage, *, as_json: bool, everything: bool = False, **given: Any) -> None:
        sent = {
            spec.wire: None if given[spec.name] == _NONE else given[spec.name]
            for spec in fields
            if given[spec.name] is not None
        }
        command = build(route.command, sent)
        with storage.opened() as inventory:
            answer = (_walk if everything else _ask)(inventory, route, command)
        if as_json:
            click.echo(to_json(answer.body))
        elif is_list:
            _show_page(answer.body)
        else:
            _show_item(answer)

    # *sku* of the library is --sku here.
    run.__doc__ = re.sub(r"\*(\w+)\*", r"--\1", route.command.__doc__ or "")
    parameters = [*map(_parameter, fields), *([_ALL] if is_list else [])]
    return click.command(name, params=parameters)(_storage_options()(_JSON(run)))


def _ask(inventory: Inventory, route: Route[Any, Any], command: Any) -> Answer:
    with deadline(_ANSWER_SECONDS):
        return route.answer(route.use_case(inventory, command))


def _walk(inventory: Inventory, route: Route[Any, Any], query: Any) -> Answer:
    """Return all pages from the one that is asked for on, as if they were one."""
    rows: list[dict[str, Any]] = []
    while True:
        body = _ask(inventory, route, query).body
        rows += body["items"]
        token = body.get("next_page_token")
        if token is None:
            return Answer({"items": rows, "count": len(rows)})
        query = attrs.evolve(query, page_token=token)


for _name in ("create", "get", "list", "update", "delete"):
    items.add_command(_item_command(route_named(f"{_name}_item{'s' * (_name == 'list')}"), _name))


# --- For people

_COLUMNS: Final = {
    "sku": "SKU",
    "name": "Name",
    "category": "Category",
    "location": "Location",
    "status": "Status",
    "available": "Available",
    "quantity": "On hand",
    "reorder_point": "Reorder at",
    "price": "Price",
    "item_id": "Item id",
}
_NUMBERS: Final = {"available", "quantity", "reorder_point", "price"}

# Wider than any row: a row is one line, whether a terminal, grep or wc reads it.
_ANY_WIDTH: Final = 100_000


def _show_page(body: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - takes its time

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, heading in _COLUMNS.items():
        table.add_column(heading, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for item in body["items"]:
        table.add_row(*(_plain(item[name]) for name in _COLUMNS))
    _show(table, width=_ANY_WIDTH)
    # Not on stdout: whoever counts lines counts items.
    found = f"{body['count']} item{'' if body['count'] == 1 else 's'}"
    if token := body.get("next_page_token"):
        click.echo(f"{found}, and there are more: add --page-token {token}, or --all.", err=True)
    else:
        click.echo(f"{found}.", err=True)


def _show_item(answer: Answer) -> None:
    from rich.table import Table  # noqa: PLC0415 - takes its time

    body = dict(answer.body)
    if message := body.pop("message", None):
        click.echo(message)
    [item] = body.values()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in item.items():
        table.add_row(name, _plain(value))
    if answer.etag:
        table.add_row("etag", answer.etag)
    _show(table, width=None if sys.stdout.isatty() else _ANY_WIDTH)


def _plain(value: Any) -> str:
    """Return *value* as text that no terminal takes for a command, and rich not for markup."""
    from rich.markup import escape  # noqa: PLC0415 - takes its time

    if value is None:
        return "-"
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _show(table: "Table", *, width: int | None) -> None:
    """Print *table* in lines of at most *width*; None for the width of the terminal."""
    from rich.console import Console  # noqa: PLC0415 - takes its time

    # Not printed by rich, which has an exit code of its own for a closed pipe.
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=sys.stdout.isatty(), width=width, emoji=False)
    console.print(table, highlight=False)
    for line in drawn.getvalue().splitlines():
        click.echo(line.rstrip())


# --- demo and tables


@cli.command()
@_storage_options()
def demo(storage: _Storage) -> None:
    """
    Put the stock of a small outdoor shop on the books.

    What is there already, by SKU and location, is left alone.
    """
    from inventory_adapters.demo import demo_items  # noqa: PLC0415 - for this command alone

    created = skipped = 0
    with storage.opened() as inventory:
        for command in demo_items():
            same = ListItems(sku=command.sku, location=command.location)
            if _walk(inventory, route_named("list_items"), same).body["items"]:
                skipped += 1
                continue
            with deadline(_ANSWER_SECONDS):
                inventory.create_item(command)
            created += 1
    click.echo(f"{created} items created, {skipped} were there already, in {storage}.")
    click.echo("See them: inventory items list")


@cli.group()
def tables() -> None:
    """Look after the tables of DynamoDB."""


@tables.command("create")
@_DYNAMODB
@_TABLE
def create_tables(dynamodb: bool, table: str) -> None:  # noqa: FBT001 - click passes by name
    """
    Make both tables, and the time to live of the ledger, where they are missing.

    For DynamoDB Local and for trying things out; what is deployed makes its own, with backups.
    """
    if not dynamodb:
        raise click.UsageError("Only DynamoDB has tables to make: add --dynamodb.")
    from inventory_adapters.aws import make_client  # noqa: PLC0415 - takes its time
    from inventory_adapters.storage.dynamodb_table import ITEMS, LEDGER  # noqa: PLC0415 - as above

    with _sdk_errors_translated():
        client = make_client("dynamodb", connect_timeout=2, read_timeout=10, attempts=3)
        for schema, name in ((ITEMS, table), (LEDGER, _ledger_of(table))):
            _ensure_table(client, schema, name)


def _ensure_table(client: Any, schema: "TableSchema", name: str) -> None:
    from inventory_adapters.storage.dynamodb_table import (  # noqa: PLC0415 - as above
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
    click.echo(f"Table {name} {done}.")
    time_to_live = time_to_live_arguments(schema, name)
    if time_to_live is None:
        return
    found = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        click.echo(f"Time to live of {name} was on already.")
    else:
        client.update_time_to_live(**time_to_live)
        click.echo(f"Time to live of {name} turned on.")


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
