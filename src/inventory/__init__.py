"""
An inventory that never oversells, never loses a change, and explains every unit.

`Inventory` answers the commands and queries of this package on any repository that fits `InventoryRepository`.
"""

from inventory.commands import CreateItem, DeleteItem, GetItem, ListItems, UpdateItem
from inventory.deadline import deadline
from inventory.errors import (
    BelowReservedError,
    ConflictError,
    ContentionError,
    Fault,
    InvalidCursorError,
    InvalidRequestError,
    InventoryError,
    ItemInUseError,
    ItemNotFoundError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    StorageThrottledError,
    StorageUnavailableError,
    UnreadableItemError,
    ValidationError,
)
from inventory.fields import UNSET
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Limits, Page, PageRequest
from inventory.ports import InventoryRepository
from inventory.preconditions import IfMatch
from inventory.service import Inventory
from inventory.stock import Movement, MovementKind, StockLevel

__all__ = [
    "UNSET",
    "BelowReservedError",
    "ConflictError",
    "ContentionError",
    "CreateItem",
    "DeleteItem",
    "Fault",
    "GetItem",
    "IfMatch",
    "InvalidCursorError",
    "InvalidRequestError",
    "Inventory",
    "InventoryError",
    "InventoryRepository",
    "Item",
    "ItemInUseError",
    "ItemKey",
    "ItemNotFoundError",
    "Limits",
    "ListItems",
    "Movement",
    "MovementKind",
    "NotFoundError",
    "Page",
    "PageRequest",
    "PreconditionFailedError",
    "StockLevel",
    "StorageError",
    "StorageThrottledError",
    "StorageUnavailableError",
    "Timestamp",
    "UnreadableItemError",
    "UpdateItem",
    "ValidationError",
    "deadline",
]
