"""`inventory sweep`: expire the reservations that are due, and purge old records."""

from typing import Any

import attrs
import click

from inventory.commands import ExpireReservations
from inventory.validation import build, specs
from inventory_adapters.cli.errors import REJECTED
from inventory_adapters.cli.options import JSON, parameter
from inventory_adapters.cli.output import counted
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.server import sweeper
from inventory_adapters.wire import to_json

__all__ = ["sweep"]


@click.command(
    params=[parameter(spec) for spec in specs(ExpireReservations)],
    short_help="Expire due reservations, purge records.",
)
@storage_options(with_api=False)
@JSON
def sweep(storage: Storage, *, as_json: bool, **given: Any) -> None:
    """
    Expire the reservations that are due, and purge old records.

    `inventory serve` does this at intervals. Idempotency records are kept for a day, closed reservations for 30 days.

    Exits with 1 if a reservation could not be expired.
    """
    command = build(ExpireReservations, given)
    # No deadline, because a sweep with one ends early without an error.
    with storage.opened() as inventory:
        result = sweeper.sweep(inventory, command)
    if as_json:
        click.echo(to_json(attrs.asdict(result)))
    else:
        click.echo(f"{counted(result.expired, 'reservations')} expired, {result.failed} failed.")
        click.echo(f"{counted(result.purged, 'old records')} deleted.")
        if result.expired + result.failed >= command.limit:
            click.echo("There may be more. Run it again, or raise --limit.", err=True)
    click.get_current_context().exit(REJECTED if result.failed else 0)
