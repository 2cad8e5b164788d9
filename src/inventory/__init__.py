"""
An inventory system that never oversells, never loses a change, and explains every unit.

`Inventory` executes the commands and queries of this package on any `InventoryRepository`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from inventory.commands import (
    AdjustStock,
    BatchItems,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    GetStock,
    ItemRef,
    LineRequest,
    ListItems,
    ListMovements,
    ListReservations,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import (
    BatchRefusedError,
    BatchTooLargeError,
    BelowReservedError,
    ConflictError,
    ContentionError,
    DuplicateRowError,
    FieldError,
    InsufficientStockError,
    InvalidCursorError,
    InvalidRequestError,
    InventoryError,
    ItemInUseError,
    ItemNotFoundError,
    ItemNotHeldError,
    KeyRequiredError,
    KeyReusedError,
    MoreThanHeldError,
    NotFoundError,
    PreconditionFailedError,
    ReservationClosedError,
    ReservationExpiredError,
    ReservationNotFoundError,
    ReservedStockError,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StockLimitError,
    StorageError,
    StorageThrottledError,
    StorageUnavailableError,
    TooManyLocationsError,
    UnreadableItemError,
    UnreadableMovementError,
    UnreadableReservationError,
    UnreadableRowError,
    ValidationError,
)
from inventory.idempotency import IdempotencyKey
from inventory.items import Item, ItemAt, ItemKey, StockLevel, Timestamp
from inventory.paging import Page, PageLimits, PageRequest
from inventory.ports import InventoryRepository
from inventory.preconditions import IfMatch
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.service import Inventory
from inventory.stock import Movement, MovementKind, SkuStock, StockChange, Transfer
from inventory.timeouts import deadline
from inventory.upkeep import SweepResult
from inventory.validation import UNSET

if TYPE_CHECKING:
    from inventory.batch import RowResult
    from inventory.reconcile import Drift, FarReservation, Finding, FutureMovement, UnreadableRow

__all__ = [
    "UNSET",
    "AdjustStock",
    "BatchItems",
    "BatchRefusedError",
    "BatchTooLargeError",
    "BelowReservedError",
    "CommitReservation",
    "ConflictError",
    "ContentionError",
    "CountStock",
    "CreateItem",
    "CreateReservation",
    "DeleteItem",
    "Drift",
    "DuplicateRowError",
    "ExpireReservations",
    "ExtendReservation",
    "FarReservation",
    "FieldError",
    "Finding",
    "FutureMovement",
    "GetItem",
    "GetReservation",
    "GetStock",
    "IdempotencyKey",
    "IfMatch",
    "InsufficientStockError",
    "InvalidCursorError",
    "InvalidRequestError",
    "Inventory",
    "InventoryError",
    "InventoryRepository",
    "Item",
    "ItemAt",
    "ItemInUseError",
    "ItemKey",
    "ItemNotFoundError",
    "ItemNotHeldError",
    "ItemRef",
    "KeyRequiredError",
    "KeyReusedError",
    "LineRequest",
    "ListItems",
    "ListMovements",
    "ListReservations",
    "MoreThanHeldError",
    "Movement",
    "MovementKind",
    "NotFoundError",
    "Page",
    "PageLimits",
    "PageRequest",
    "PreconditionFailedError",
    "ReleaseReservation",
    "Reservation",
    "ReservationClosedError",
    "ReservationExpiredError",
    "ReservationLine",
    "ReservationNotFoundError",
    "ReservationState",
    "ReservedStockError",
    "RowResult",
    "SameItemError",
    "SkuMismatchError",
    "SkuStock",
    "StaleQuantityError",
    "StockChange",
    "StockLevel",
    "StockLimitError",
    "StorageError",
    "StorageThrottledError",
    "StorageUnavailableError",
    "SweepResult",
    "Timestamp",
    "TooManyLocationsError",
    "Transfer",
    "TransferStock",
    "UnreadableItemError",
    "UnreadableMovementError",
    "UnreadableReservationError",
    "UnreadableRow",
    "UnreadableRowError",
    "UpdateItem",
    "ValidationError",
    "deadline",
]

# Loaded on first use: most requests need none of them, and they are 3 % of a cold start.
_LATER: Final = {
    **dict.fromkeys(
        ("Drift", "FarReservation", "Finding", "FutureMovement", "UnreadableRow"),
        "inventory.reconcile",
    ),
    "RowResult": "inventory.batch",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
