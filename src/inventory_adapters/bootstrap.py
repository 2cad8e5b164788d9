"""Composition root: settings → adapters → Inventory. Each face imports only what its storage needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from inventory.service import Inventory

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.ports import InventoryRepository, LimitsSource
    from inventory_adapters.config import Config

__all__ = ["deployed", "in_memory", "on_dynamodb", "on_sqlite"]


def deployed(config: Config) -> Inventory:
    """Return the inventory of a Lambda function: DynamoDB, with page limits from SSM where a parameter is named."""
    if config.limits_parameter is None:
        return on_dynamodb(table=config.table, ledger_table=config.ledger_table)
    from inventory_adapters.ssm import SsmLimits, make_client

    limits = SsmLimits(config.limits_parameter, client_factory=make_client)
    return on_dynamodb(table=config.table, ledger_table=config.ledger_table, limits=limits)


def on_dynamodb(*, table: str, ledger_table: str, limits: LimitsSource | None = None) -> Inventory:
    """Return an inventory on two DynamoDB tables; endpoint, region and credentials are the SDK's usual settings."""
    from inventory_adapters.storage.dynamodb import DynamoDBRepository, make_client

    repository: InventoryRepository = DynamoDBRepository(
        make_client(), table=table, ledger_table=ledger_table
    )
    return Inventory(repository) if limits is None else Inventory(repository, limits=limits)


def on_sqlite(path: Path | str, *, durability: Literal["full", "normal"] = "full") -> Inventory:
    """Return an inventory in one SQLite file, which is made if there is none."""
    from inventory_adapters.storage.sqlite import SqliteRepository

    repository: InventoryRepository = SqliteRepository(path, durability=durability)
    return Inventory(repository)


def in_memory() -> Inventory:
    """Return an inventory that lives as long as the process."""
    from inventory_adapters.storage.memory import MemoryRepository

    repository: InventoryRepository = MemoryRepository()
    return Inventory(repository)
