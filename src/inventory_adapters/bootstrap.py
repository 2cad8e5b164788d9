"""Composition root: from settings to adapters to an `Inventory`; each storage imports only what it needs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from inventory.service import Inventory

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.paging import PageLimits
    from inventory.ports import InventoryRepository, LimitsSource
    from inventory_adapters.aws.transport import Transport
    from inventory_adapters.config import Config, IndexProjection, TransportName

__all__ = ["deployed", "in_memory", "on_dynamodb", "on_sqlite", "transport"]


def deployed(config: Config) -> Inventory:
    """
    Return the inventory of a Lambda function, on DynamoDB.

    Page limits come from the SSM parameter of *config*, if it names one.

    Raises:
        ConfigError: boto3 cannot read its settings.
    """
    from inventory_adapters.storage.dynamodb import DynamoDBRepository

    to_aws = transport(config.transport)
    repository: InventoryRepository = DynamoDBRepository(
        to_aws,
        table=config.table,
        ledger_table=config.ledger_table,
        index_projection=config.index_projection,
    )
    parameter = config.limits_parameter
    if parameter is None:
        return Inventory(repository)

    @cache
    def limits() -> LimitsSource:
        from inventory_adapters.aws.ssm import SsmLimits

        return SsmLimits(parameter, transport=to_aws)

    def current_limits() -> PageLimits:
        # Loaded by the first list, because nothing else has pages.
        return limits()()

    return Inventory(repository, limits=current_limits)


def transport(name: TransportName) -> Transport:
    """Return the way to AWS of a Lambda function, which counts its calls."""
    from inventory_adapters.aws.usage import MeteredTransport

    return MeteredTransport(_boto_transport() if name == "boto3" else _http_transport())


def _boto_transport() -> Transport:
    from inventory_adapters.aws.boto_transport import BotoTransport, default_session

    return BotoTransport(default_session())


def _http_transport() -> Transport:
    from inventory_adapters.aws.http_transport import HttpTransport

    return HttpTransport()


def on_dynamodb(*, table: str, index_projection: IndexProjection = "all") -> Inventory:
    """
    Return an inventory on two DynamoDB tables.

    Endpoint, region and credentials are boto3's usual settings.

    Args:
        table: The items table; the ledger table is ``<table>-ledger``.
        index_projection: As for the repository.

    Raises:
        ConfigError: boto3 cannot read its settings.
    """
    from inventory_adapters.aws.boto_transport import default_session
    from inventory_adapters.storage.dynamodb import DynamoDBRepository

    repository: InventoryRepository = DynamoDBRepository(
        default_session(), table=table, index_projection=index_projection
    )
    return Inventory(repository)


def on_sqlite(path: Path | str, *, durability: Literal["full", "normal"] = "full") -> Inventory:
    """Return an inventory in one SQLite file; create the file if it does not exist."""
    from inventory_adapters.storage.sqlite import SqliteRepository

    repository: InventoryRepository = SqliteRepository(path, durability=durability)
    return Inventory(repository)


def in_memory() -> Inventory:
    """Return an inventory in the memory of this process."""
    from inventory_adapters.storage.memory import MemoryRepository

    repository: InventoryRepository = MemoryRepository()
    return Inventory(repository)
