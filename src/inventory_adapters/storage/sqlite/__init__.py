"""The repository in one SQLite file."""

from inventory_adapters.storage.sqlite.connections import Durability
from inventory_adapters.storage.sqlite.repository import SqliteRepository

__all__ = ["Durability", "SqliteRepository"]
