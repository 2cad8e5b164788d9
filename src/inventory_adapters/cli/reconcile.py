"""`inventory reconcile`: compare the stock of every item with its ledger and the open reservations."""

from typing import Any

import attrs
import click

from inventory.reconcile import Drift
from inventory_adapters.cli.errors import REFUSED
from inventory_adapters.cli.options import JSON
from inventory_adapters.cli.output import counted, show_list, show_progress
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.wire import to_json

__all__ = ["reconcile"]


@click.command(short_help="Check stock against the ledger.")
@click.option(
    "--fix", is_flag=True, help="Write a correction to the ledger for each item with drift."
)
@storage_options()
@JSON
def reconcile(storage: Storage, *, fix: bool, as_json: bool) -> None:
    """
    Check every item's stock against its ledger and open reservations.

    With --fix, units on hand stay as they are, and reserved units become what the open reservations hold. Exits with 1 if
    drift is left.
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
    click.get_current_context().exit(REFUSED if left else 0)


def _drift_to_json(drift: Drift) -> dict[str, Any]:
    """Return ``{"item_id": ..., "sku": ..., "on_hand": 5, ..., "gaps": [], "corrected": false}``."""
    shown = attrs.asdict(drift)
    return {**shown.pop("key"), **shown, "gaps": list(drift.gaps)}
