"""`inventory reconcile`: compare the stock of every item with its ledger and the open reservations."""

from typing import Any

import attrs
import click

from inventory.reconcile import Drift, FarReservation, FutureMovement, UnreadableRow
from inventory_adapters.cli.errors import REJECTED
from inventory_adapters.cli.options import JSON
from inventory_adapters.cli.output import counted, printable, show_list, show_progress
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.wire import reservation_to_wire, to_json

__all__ = ["reconcile"]


@click.command(short_help="Check stock against the ledger.")
@click.option(
    "--fix", is_flag=True, help="Write a correction to the ledger for each item with drift."
)
@storage_options(with_api=False)
@JSON
def reconcile(storage: Storage, *, fix: bool, as_json: bool) -> None:
    """
    Check every item's stock against its ledger and open reservations.

    With --fix, units on hand stay as they are, and reserved units become the sum of the open reservations. Unreadable rows and
    times that only a wrong clock explains are reported, too; unreadable rows are not used for corrections. Exits with
    1 if anything is left.
    """
    checked = 0

    def progress(count: int) -> None:
        nonlocal checked
        checked = count
        show_progress(f"{counted(count, 'items')} checked")

    with storage.opened() as inventory:
        try:
            findings = list(inventory.reconcile(fix=fix, progress=progress))
        finally:
            show_progress("")
    drifts = [finding for finding in findings if isinstance(finding, Drift)]
    unreadable = [finding.error for finding in findings if isinstance(finding, UnreadableRow)]
    far = [finding.reservation for finding in findings if isinstance(finding, FarReservation)]
    ahead = [finding.item for finding in findings if isinstance(finding, FutureMovement)]
    rows = [_drift_to_json(drift) for drift in drifts]
    corrected = sum(drift.corrected for drift in drifts)
    if as_json:
        document = {
            "drifts": rows,
            "count": len(rows),
            "items_looked_at": checked,
            "unreadable": [
                {"code": error.code, **error.row, "error": error.why} for error in unreadable
            ],
            "future_movements": [
                {"item_id": item.item_id, "sku": item.sku, "moved_at": item.moved_at}
                for item in ahead
            ],
            "far_reservations": [reservation_to_wire(reservation) for reservation in far],
        }
        click.echo(to_json(document))
    else:
        if rows:
            show_list("drifts", rows)
        for error in unreadable:
            row = ", ".join(f"{name} {value}" for name, value in error.row.items())
            click.echo(printable(f"{error.message}: {row}: {error.why}"))
        for item in ahead:
            click.echo(
                printable(
                    f"Item {item.item_id} {item.sku} was last moved in the future, at {item.moved_at}. Check the clock."
                )
            )
        for reservation in far:
            click.echo(
                f"Reservation {reservation.reservation_id} ends too late, at {reservation.expires_at}. "
                "Check the clock, then run: inventory sweep --far"
            )
        click.echo(
            f"{counted(checked, 'items')} checked: {len(rows)} with drift, {corrected} corrected.",
            err=True,
        )
        if unreadable:
            click.echo(f"{counted(len(unreadable), 'rows')} could not be read.", err=True)
    click.get_current_context().exit(REJECTED if len(findings) > corrected else 0)


def _drift_to_json(drift: Drift) -> dict[str, Any]:
    """Return ``{"item_id": ..., "sku": ..., "on_hand": 5, ..., "gaps": [], "corrected": false}``."""
    shown = attrs.asdict(drift)
    return {**shown.pop("key"), **shown, "gaps": list(drift.gaps)}
