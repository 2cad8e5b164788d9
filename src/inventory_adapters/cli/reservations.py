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


@click.group(short_help="Reserve units, commit or release them.")
def reservations() -> None:
    """Reserve units for a while, then commit or release them."""


reservations.add_command(
    operation_command("create_reservation", "create", "Reserve units of one or more items.")
)
reservations.add_command(operation_command("get_reservation", "get", "Show a reservation."))
reservations.add_command(
    operation_command("commit_reservation", "commit", "Remove the reserved units from stock.")
)
reservations.add_command(
    operation_command("release_reservation", "release", "Make the reserved units available again.")
)
reservations.add_command(
    operation_command("extend_reservation", "extend", "Hold the reserved units for longer.")
)


@reservations.command(
    "expire",
    params=[parameter(spec) for spec in specs(ExpireReservations)],
    short_help="Expire the reservations that are due.",
)
@storage_options()
@JSON
def expire(storage: Storage, *, as_json: bool, **given: Any) -> None:
    """
    Expire the reservations that are due: make their units available again.

    `inventory serve` does so by itself. Old records of idempotency keys and of closed reservations are deleted too.

    Exits with 1 if a reservation could not be expired.
    """
    from inventory_adapters.server.sweeper import sweep  # noqa: PLC0415 - for this command alone

    command = build(ExpireReservations, given)
    # No deadline: a sweep that has one ends early and in silence.
    with storage.opened() as inventory:
        done = sweep(inventory, command)
    if as_json:
        click.echo(to_json(attrs.asdict(done)))
    else:
        click.echo(f"{counted(done.expired, 'reservations')} expired, {done.failed} failed.")
        click.echo(f"{counted(done.purged, 'old records')} deleted.")
        if done.expired + done.failed == command.limit:
            click.echo("There may be more. Run it again, or raise --limit.", err=True)
    click.get_current_context().exit(REFUSED if done.failed else 0)
