"""`inventory stock`: move units, count them, and read the ledger."""

import click

from inventory_adapters.cli.operations import operation_command

__all__ = ["stock"]


@click.group()
def stock() -> None:
    """Move units, count them, and see how they moved."""


stock.add_command(operation_command("adjust_stock", "adjust"))
stock.add_command(operation_command("count_stock", "count"))
stock.add_command(operation_command("transfer_stock", "transfer"))
stock.add_command(operation_command("list_movements", "history"))
