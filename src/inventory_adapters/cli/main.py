"""
`inventory ...`: the same commands from a terminal, and the server for this machine.

The groups of commands, what belongs to no operation of the HTTP API, and the one place where an error becomes an exit code:
0; 1 a rule refused, drift or a refused row is left, or the output cannot be written; 2 usage; 3 storage is away;
130 interrupted; 141 the reader of our output left.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TextIO

import attrs

_NEEDS_EXTRA: Final = "This command needs more packages: pip install 'tap-inventory[local]'"

try:
    import click

    from inventory.commands import ExpireReservations
    from inventory.errors import BatchRefusedError, InventoryError, StorageError, ValidationError
    from inventory.reconcile import Drift
    from inventory.timeouts import deadline
    from inventory.validation import build, specs
    from inventory_adapters.cli.catalogue import export_command, import_command
    from inventory_adapters.cli.operations import (
        ANSWER_SECONDS,
        AS_JSON,
        JSON,
        batch_command,
        operation_command,
        parameter,
        typed_as,
    )
    from inventory_adapters.cli.output import counted, printable, show_list, show_progress
    from inventory_adapters.cli.storage import (
        DYNAMODB,
        TABLE,
        Storage,
        ensure_tables,
        storage_options,
    )
    from inventory_adapters.config import ConfigError
    from inventory_adapters.http.errors import describe
    from inventory_adapters.http.routes import route_named
    from inventory_adapters.wire import to_json
except ModuleNotFoundError as missing:
    if missing.name != "click":
        raise
    # The command is installed with the library, its packages only with the extra.
    print(_NEEDS_EXTRA, file=sys.stderr)  # noqa: T201 - a command talks to its user
    sys.exit(2)

if TYPE_CHECKING:
    from inventory_adapters.server.gateway import Site

__all__ = ["cli", "main"]

_REFUSED: Final = 1
_USAGE: Final = 2
_STORAGE_AWAY: Final = 3
_INTERRUPTED: Final = 130
_READER_LEFT: Final = 141  # What a shell says of a program that SIGPIPE ended.


class _StopError(click.ClickException):
    """Trouble with what was asked for; said in one sentence."""

    exit_code = _USAGE


class _Commands(click.Group):
    """The group of all commands: the one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._flushed(ctx)
        except InventoryError as error:
            _show_traceback(ctx)
            _tell(error, as_json=ctx.meta.get(AS_JSON, False))
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

    def _flushed(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        finally:
            # Here rather than at the end of the process, where nobody could catch that the reader has left.
            sys.stdout.flush()


def _show_traceback(ctx: click.Context) -> None:
    if ctx.params["debug"]:
        traceback.print_exc()


def _tell(error: InventoryError, *, as_json: bool) -> None:
    if as_json:
        # To whoever sits at this machine a file or a table may be named.
        click.echo(to_json(describe(error) | {"error": error.message}))
    elif isinstance(error, ValidationError):
        told = [f"{typed_as(fault.field)} {fault.message}" for fault in error.faults]
        # Once, also where both sides of a transfer have the same fault.
        _tell_lines("the request is not valid:", dict.fromkeys(told))
    elif isinstance(error, BatchRefusedError):
        told = [f"row {index}: {refused.message}" for index, refused in error.refused.items()]
        _tell_lines(error.message, told)
    else:
        about = [f"{name} {value}" for name, value in error.facts.items() if value is not None]
        _tell_lines(error.message, [", ".join(about)] if about else [])


def _tell_lines(heading: str, lines: Iterable[str]) -> None:
    click.echo(f"Error: {heading}", err=True)
    for line in lines:
        click.echo(f"  {printable(line)}", err=True)


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


# --- The operations of the HTTP API


@cli.group()
def items() -> None:
    """Create, find, change and delete items."""


@cli.group()
def stock() -> None:
    """Move units, count them, and see how they moved."""


@cli.group()
def reservations() -> None:
    """Hold units for a while, then let them leave or make them available again."""


for _group, _name, _operation in (
    (items, "create", "create_item"),
    (items, "get", "get_item"),
    (items, "list", "list_items"),
    (items, "update", "update_item"),
    (items, "delete", "delete_item"),
    (stock, "adjust", "adjust_stock"),
    (stock, "count", "count_stock"),
    (stock, "transfer", "transfer_stock"),
    (stock, "history", "list_movements"),
    (reservations, "create", "create_reservation"),
    (reservations, "get", "get_reservation"),
    (reservations, "commit", "commit_reservation"),
    (reservations, "release", "release_reservation"),
    (reservations, "extend", "extend_reservation"),
):
    _group.add_command(operation_command(route_named(_operation), _name))
items.add_command(batch_command("batch"))
cli.add_command(import_command)
cli.add_command(export_command)


# --- Upkeep


@reservations.command("expire", params=[parameter(spec) for spec in specs(ExpireReservations)])
@storage_options()
@JSON
def expire(storage: Storage, *, as_json: bool, **given: Any) -> None:
    """
    Free the units of reservations whose time is over, once; `inventory serve` does so by itself.

    Records that are no longer kept are deleted, too: of idempotency keys, and of reservations closed long ago.
    """
    from inventory_adapters.server.sweeper import sweep  # noqa: PLC0415 - for this command alone

    command = build(ExpireReservations, given)
    # No deadline: a sweep that has one ends early and in silence.
    with storage.opened() as inventory:
        done = sweep(inventory, command)
    if as_json:
        click.echo(to_json(attrs.asdict(done)))
    else:
        click.echo(f"{counted(done.expired, 'reservations')} expired, {done.failed} could not be.")
        click.echo(f"{counted(done.purged, 'old records')} deleted.")
        if done.expired + done.failed == command.limit:
            click.echo("There may be more: run it again, or raise --limit.", err=True)
    click.get_current_context().exit(_REFUSED if done.failed else 0)


@cli.command()
@click.option("--fix", is_flag=True, help="Write a correction to the ledger where there is drift.")
@storage_options()
@JSON
def reconcile(storage: Storage, *, fix: bool, as_json: bool) -> None:
    """
    Hold the level of every item against its ledger and the open reservations.

    With --fix, on-hand stays as it is, and reserved becomes what reservations hold. Exits with 1 if drift is left.
    """
    looked_at = 0

    def progress(count: int) -> None:
        nonlocal looked_at
        looked_at = count
        show_progress(f"{counted(count, 'items')} looked at")

    with storage.opened() as inventory:
        try:
            drifts = list(inventory.reconcile(fix=fix, progress=progress))
        finally:
            show_progress("")
    rows = [_drift_to_json(drift) for drift in drifts]
    left = sum(not drift.corrected for drift in drifts)
    if as_json:
        click.echo(to_json({"drifts": rows, "count": len(rows), "items_looked_at": looked_at}))
    else:
        if rows:
            show_list("drifts", rows)
        click.echo(
            f"{counted(looked_at, 'items')} looked at: {len(rows)} with drift, {len(rows) - left} corrected.",
            err=True,
        )
    click.get_current_context().exit(_REFUSED if left else 0)


def _drift_to_json(drift: Drift) -> dict[str, Any]:
    """Return ``{"item_id": ..., "sku": ..., "on_hand": 5, ..., "gaps": [], "corrected": false}``."""
    shown = attrs.asdict(drift)
    return {**shown.pop("key"), **shown, "gaps": list(drift.gaps)}


# --- serve, demo and tables


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


def _hosts(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", value):
            raise click.BadParameter(f"{value!r} is not a host such as inventory or inventory:8080")
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
@storage_options(with_memory=True)
@click.option(
    "--sweep-seconds",
    type=click.IntRange(0, 86400),
    metavar="N",
    default=60,
    show_default=True,
    help="How often reservations whose time is over are expired; 0 for never.",
)
@click.option(
    "--allowed-origin",
    "allowed_origins",
    metavar="ORIGIN",
    multiple=True,
    callback=_origins,
    help="Let pages of this origin read the answers, too; * for all. May be repeated.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    metavar="HOST",
    multiple=True,
    callback=_hosts,
    help="Accept requests for this host, such as inventory or inventory:8080. May be repeated.",
)
def serve(  # noqa: PLR0913 - one parameter for each option
    storage: Storage,
    *,
    host: str,
    port: int,
    sweep_seconds: int,
    allowed_origins: tuple[str, ...],
    allowed_hosts: tuple[str, ...],
) -> None:
    """
    Serve the HTTP API on this machine, until Ctrl-C.

    There is no authentication: whoever reaches the port can read and change everything.
    """
    from inventory_adapters import logs  # noqa: PLC0415 - for this command alone
    from inventory_adapters.server import gateway as local_server  # noqa: PLC0415 - as above

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
        with deadline(ANSWER_SECONDS):
            local_server.check_health(inventory)
            local_server.check_writable(inventory)
        logs.to_stderr()
        local_server.serve(
            inventory,
            listener,
            host,
            allowed_origins=allowed_origins,
            allowed_hosts=allowed_hosts,
            sweep_seconds=sweep_seconds,
            across_a_network=storage.kind == "dynamodb",
            on_ready=ready,
        )


@cli.command()
@storage_options()
def demo(storage: Storage) -> None:
    """
    Put the stock of a small outdoor shop on the books, with a few movements and an open reservation.

    What is there already, by SKU and location, is left alone.
    """
    from inventory_adapters.cli.demo import open_shop  # noqa: PLC0415 - for this command alone

    with storage.opened() as inventory:
        shop = open_shop(inventory)
    click.echo(
        f"{shop.created} items created, {shop.found} were there already, in {storage}.\n"
        "See them: inventory items list"
    )
    if shop.moved is not None:
        click.echo(
            f"How stock moved: inventory stock history {shop.moved.item_id} --sku {shop.moved.sku}"
        )
    if shop.reservation_id is not None:
        click.echo(f"What is held: inventory reservations get {shop.reservation_id}")


@cli.command()
@click.option(
    "--output", type=click.File("w", encoding="utf-8"), default="-", help="Write it to this file."
)
def openapi(output: TextIO) -> None:
    """Print the OpenAPI document of the HTTP API."""
    from inventory_adapters.http.openapi import as_text  # noqa: PLC0415 - for this command alone

    output.write(as_text())


@cli.group()
def tables() -> None:
    """Look after the tables of DynamoDB."""


@tables.command("create")
@DYNAMODB
@TABLE
def create_tables(dynamodb: bool, table: str) -> None:  # noqa: FBT001 - click passes by name
    """
    Make both tables, and the time to live of the ledger, where they are missing.

    For DynamoDB Local and for trying things out; what is deployed makes its own, with backups.
    """
    if not dynamodb:
        raise click.UsageError("Only DynamoDB has tables to make: add --dynamodb.")
    for done in ensure_tables(table):
        click.echo(done)
