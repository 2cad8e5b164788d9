"""Composition root: settings → adapters → Inventory. Each face imports only what its storage needs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from inventory.service import Inventory

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.paging import Limits
    from inventory.ports import InventoryRepository, LimitsSource
    from inventory_adapters.config import Config

__all__ = ["deployed", "in_memory", "on_dynamodb", "on_sqlite"]


def deployed(config: Config) -> Inventory:
    """Return the inventory of a Lambda function: DynamoDB, with page limits from SSM where a parameter is named."""
    parameter = config.limits_parameter
    if parameter is None:
        return on_dynamodb(table=config.table, ledger_table=config.ledger_table)

    @cache
    def limits() -> LimitsSource:
        from inventory_adapters.aws.ssm import SsmLimits, make_client

        return SsmLimits(parameter, client_factory=make_client)

    def in_force() -> Limits:
        # Loaded by the first list: nothing else has pages.
        return limits()()

    return on_dynamodb(table=config.table, ledger_table=config.ledger_table, limits=in_force)


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
