"""
`inventory ...`: the group of all commands, and the one place where an error becomes an exit code.

0; 1 a rule refused, drift or a refused row is left, or the output cannot be written; 2 usage; 3 storage is away;
130 interrupted; 141 the reader of our output left.
"""

import os
import sys
import traceback
from typing import Any, Final, TextIO

_NEEDS_EXTRA: Final = "This command needs more packages: install the extra tap-inventory[local]"

try:
    import click

    from inventory.errors import InventoryError
    from inventory_adapters.cli.catalogue import export_command, import_command
    from inventory_adapters.cli.errors import (
        INTERRUPTED,
        READER_LEFT,
        STORAGE_AWAY,
        CommandError,
        exit_code,
        show_error,
    )
    from inventory_adapters.cli.items import items
    from inventory_adapters.cli.options import AS_JSON
    from inventory_adapters.cli.output import counted
    from inventory_adapters.cli.reconcile import reconcile
    from inventory_adapters.cli.reservations import reservations
    from inventory_adapters.cli.serve import serve
    from inventory_adapters.cli.stock import stock
    from inventory_adapters.cli.storage import Storage, storage_options
    from inventory_adapters.cli.sweep import sweep
    from inventory_adapters.cli.tables import tables
    from inventory_adapters.config import ConfigError
except ModuleNotFoundError as missing:
    if missing.name != "click":
        raise
    # The command is installed with the library, its packages only with the extra.
    print(_NEEDS_EXTRA, file=sys.stderr)  # noqa: T201 - a command talks to its user
    sys.exit(2)

__all__ = ["cli", "main"]


class _Commands(click.Group):
    """The group of all commands: the one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._flushed(ctx)
        except InventoryError as error:
            _show_traceback(ctx)
            show_error(error, as_json=ctx.meta.get(AS_JSON, False))
            ctx.exit(exit_code(error))
        except ConfigError as error:
            _show_traceback(ctx)
            click.echo(f"Error: {error}", err=True)
            ctx.exit(STORAGE_AWAY)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in {"rich", "uvicorn"}:
                raise
            raise CommandError(_NEEDS_EXTRA) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except OSError as error:
            # What is still buffered goes nowhere, silently, when Python closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                ctx.exit(READER_LEFT)
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tap-inventory", prog_name="inventory")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:  # noqa: FBT001 - click passes by name
    """Keep an inventory that never oversells."""


def main() -> None:
    """Run the `inventory` command."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks letters for is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    cli(prog_name="inventory")


@cli.command(short_help="Load sample data.")
@storage_options()
def demo(storage: Storage) -> None:
    """
    Load sample data: a small outdoor shop with stock, movements and a reservation.

    Items that exist already, by SKU and location, are not changed.
    """
    from inventory_adapters.cli.demo import open_shop  # noqa: PLC0415 - for this command alone

    with storage.opened(missing="create") as inventory:
        shop = open_shop(inventory)
    click.echo(
        f"{counted(shop.created, 'items')} created, {shop.found} already present, in {storage}.\n"
        "List them: inventory items list"
    )
    if shop.moved is not None:
        click.echo(
            f"Show how stock moved: inventory stock history {shop.moved.item_id} --sku {shop.moved.sku}"
        )
    if shop.reservation_id is not None:
        click.echo(f"Show what is reserved: inventory reservations get {shop.reservation_id}")


@cli.command()
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8"),
    default="-",
    help="Write the document to this file.",
)
def openapi(output: TextIO) -> None:
    """Print the OpenAPI document of the HTTP API."""
    from inventory_adapters.http.openapi import as_text  # noqa: PLC0415 - for this command alone

    output.write(as_text())


for _command in (
    items,
    stock,
    reservations,
    import_command,
    export_command,
    reconcile,
    sweep,
    serve,
    tables,
):
    cli.add_command(_command)
