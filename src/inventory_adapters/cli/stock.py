"""`inventory stock`: move units, count them, and read the ledger."""

import click

from inventory_adapters.cli.operations import operation_command

__all__ = ["stock"]


@click.group(short_help="Adjust, count and transfer stock.")
def stock() -> None:
    """Adjust, count and transfer stock, and list its movements."""


stock.add_command(operation_command("adjust_stock", "adjust", "Add or remove units."))
stock.add_command(
    operation_command("count_stock", "count", "Set the quantity to a physical count.")
)
stock.add_command(
    operation_command("transfer_stock", "transfer", "Move units from one item to another.")
)
stock.add_command(
    operation_command("get_stock", "show", "Show the stock of a SKU at all locations.")
)
stock.add_command(operation_command("list_movements", "history", "List the movements of an item."))
