"""
The public names of the library; see docs/reference/public.md for the version policy.

Add a new name here and in docs/reference/library.md. Removing a name is a breaking change.
"""

import inventory
import inventory.ports

LIBRARY = """
    AdjustStock
    BatchItems
    BatchRefusedError
    BatchTooLargeError
    BelowReservedError
    CommitReservation
    ConflictError
    ContentionError
    CountStock
    CreateItem
    CreateReservation
    DeleteItem
    Drift
    DuplicateRowError
    ExpireReservations
    ExtendReservation
    FarReservation
    FieldError
    Finding
    GetItem
    GetReservation
    IdempotencyKey
    IfMatch
    InsufficientStockError
    InvalidCursorError
    InvalidRequestError
    Inventory
    InventoryError
    InventoryRepository
    Item
    ItemInUseError
    ItemKey
    ItemNotFoundError
    ItemRef
    KeyReusedError
    LineRequest
    ListItems
    ListMovements
    Movement
    MovementKind
    NotFoundError
    Page
    PageLimits
    PageRequest
    PreconditionFailedError
    ReleaseReservation
    Reservation
    ReservationClosedError
    ReservationExpiredError
    ReservationLine
    ReservationNotFoundError
    ReservationState
    ReservedStockError
    RowResult
    SameItemError
    SkuMismatchError
    StaleQuantityError
    StockChange
    StockLevel
    StockLimitError
    StorageError
    StorageThrottledError
    StorageUnavailableError
    SweepResult
    Timestamp
    Transfer
    TransferStock
    UNSET
    UnreadableItemError
    UnreadableMovementError
    UnreadableReservationError
    UnreadableRow
    UnreadableRowError
    UpdateItem
    ValidationError
    deadline
"""

PORTS = """
    Change
    Clock
    ExclusiveRepository
    Index
    InventoryRepository
    ItemEdit
    ItemFilter
    ItemWrite
    LimitsSource
    NewId
    ReservationWrite
"""


def test_library_exports_these_names():
    """`inventory` exports these names and no others."""
    assert sorted(inventory.__all__) == LIBRARY.split()


def test_ports_export_these_names():
    """Authors of repositories import these names from `inventory.ports`."""
    assert sorted(inventory.ports.__all__) == PORTS.split()


def test_every_exported_name_exists():
    """Names that are loaded on first use exist too."""
    for module in (inventory, inventory.ports):
        for name in module.__all__:
            assert getattr(module, name) is not None
