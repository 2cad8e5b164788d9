"""`inventory reservations`: hold units, and commit, release, extend or expire what is held."""

from typing import Any

import attrs
import click

from inventory.commands import ExpireReservations
from inventory.validation import build, specs
from inventory_adapters.cli.errors import REFUSED
from inventory_adapters.cli.operations import operation_command
from inventory_adapters.cli.options import JSON, parameter
from inventory_adapters.cli.output import counted
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.wire import to_json

__all__ = ["reservations"]


@click.group()
def reservations() -> None:
    """Hold units for a while, then let them leave or make them available again."""


reservations.add_command(operation_command("create_reservation", "create"))
reservations.add_command(operation_command("get_reservation", "get"))
reservations.add_command(operation_command("commit_reservation", "commit"))
reservations.add_command(operation_command("release_reservation", "release"))
reservations.add_command(operation_command("extend_reservation", "extend"))


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
    click.get_current_context().exit(REFUSED if done.failed else 0)
