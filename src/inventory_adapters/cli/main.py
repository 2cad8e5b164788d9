"""
The `inventory` command: the group of all commands, which turns errors into messages and exit codes.

Exit codes: 0 success; 1 a request or a row was rejected, drift is left, or the output cannot be written; 2 wrong usage;
3 the storage cannot be used; 130 interrupted; 141 the reader of the output left.
"""

import os
import sys
import traceback
from typing import Any, Final, TextIO

_NEEDS_EXTRA: Final = "This command needs more packages. Install the extra tap-inventory[local]."

try:
    import click

    from inventory.errors import InventoryError, SnapshotError
    from inventory_adapters.cli.catalogue import export_command, import_command
    from inventory_adapters.cli.demo import load_sample_data
    from inventory_adapters.cli.doctor import doctor
    from inventory_adapters.cli.errors import (
        BROKEN_PIPE,
        INTERRUPTED,
        STORAGE_UNAVAILABLE,
        CommandError,
        exit_code,
        show_error,
    )
    from inventory_adapters.cli.items import items
    from inventory_adapters.cli.options import AS_JSON
    from inventory_adapters.cli.output import counted
    from inventory_adapters.cli.reconcile import reconcile
    from inventory_adapters.cli.report import report
    from inventory_adapters.cli.reservations import reservations
    from inventory_adapters.cli.serve import serve
    from inventory_adapters.cli.snapshots import backup_command, copy_command, restore_command
    from inventory_adapters.cli.stock import stock
    from inventory_adapters.cli.storage import Api, Storage, storage_options
    from inventory_adapters.cli.sweep import sweep
    from inventory_adapters.cli.tables import tables
    from inventory_adapters.cli.webhooks import webhooks
    from inventory_adapters.config import ConfigError
except ModuleNotFoundError as missing:
    if missing.name != "click":
        raise
    # The library installs this command, but only the extra installs the packages it needs.
    sys.stderr.write(f"{_NEEDS_EXTRA}\n")
    sys.exit(2)

__all__ = ["cli", "main"]


class _Commands(click.Group):
    """The group of all commands, which turns errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._flushed(ctx)
        except InventoryError as error:
            _show_traceback(ctx)
            show_error(error, as_json=ctx.meta.get(AS_JSON, False))
            ctx.exit(exit_code(error))
        except (ConfigError, SnapshotError) as error:
            _show_traceback(ctx)
            click.echo(f"Error: {error}", err=True)
            ctx.exit(STORAGE_UNAVAILABLE)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in {"rich", "uvicorn"}:
                raise
            raise CommandError(_NEEDS_EXTRA) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except OSError as error:
            # Discard buffered output, or Python would report the same error again when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                ctx.exit(BROKEN_PIPE)
            _show_traceback(ctx)
            raise click.ClickException(error.strerror or str(error)) from error

    def _flushed(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        finally:
            # Flush here, because errors at the end of the process cannot be caught.
            sys.stdout.flush()


def _show_traceback(ctx: click.Context) -> None:
    if ctx.params["debug"]:
        traceback.print_exc()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tap-inventory", prog_name="inventory")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(*, debug: bool) -> None:
    """Keep an inventory that never oversells."""


def main() -> None:
    """Run the `inventory` command."""
    for stream in (sys.stdout, sys.stderr):
        # Names may have characters that the terminal's encoding lacks.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    cli(prog_name="inventory")


@cli.command(short_help="Load sample data.")
@storage_options()
def demo(storage: Storage | Api) -> None:
    """
    Load sample data: a small outdoor shop with stock, movements and a reservation.

    Items that exist already, by SKU and location, are not changed.
    """
    with storage.opened(missing="create") as inventory:
        data = load_sample_data(inventory)
    click.echo(
        f"{counted(data.created, 'items')} created, {data.present} already present, in {storage}.\n"
        "List them: inventory items list"
    )
    if data.moved is not None:
        click.echo(
            f"Show how stock moved: inventory stock history {data.moved.item_id} --sku {data.moved.sku}"
        )
    if data.reservation_id is not None:
        click.echo(f"Show what is reserved: inventory reservations get {data.reservation_id}")


@cli.command()
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8"),
    default="-",
    help="Write the document to this file.",
)
def openapi(output: TextIO) -> None:
    """Print the OpenAPI document of the HTTP API."""
    from inventory_adapters.http.openapi import as_text  # 12 % of a start

    output.write(as_text())


for _command in (
    items,
    stock,
    reservations,
    import_command,
    export_command,
    report,
    reconcile,
    doctor,
    sweep,
    serve,
    tables,
    webhooks,
    copy_command,
    backup_command,
    restore_command,
):
    cli.add_command(_command)
