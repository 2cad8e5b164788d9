"""`inventory reservations`: reserve units, and commit, release or extend reservations."""

import click

from inventory_adapters.cli.operations import operation_command

__all__ = ["reservations"]


@click.group(short_help="Reserve units, commit or release them.")
def reservations() -> None:
    """Reserve units for a while, then commit or release them."""


reservations.add_command(
    operation_command("create_reservation", "create", "Reserve units of one or more items.")
)
reservations.add_command(operation_command("list_reservations", "list", "List open reservations."))
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
