"""The repository in one SQLite file."""

from inventory_adapters.storage.sqlite.repository import Durability, SqliteRepository

__all__ = ["Durability", "SqliteRepository"]
