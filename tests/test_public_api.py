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
    FutureMovement
    GetItem
    GetReservation
    GetStock
    IdempotencyKey
    IfMatch
    InsufficientStockError
    InvalidCursorError
    InvalidRequestError
    Inventory
    InventoryError
    InventoryRepository
    Item
    ItemAt
    ItemInUseError
    ItemKey
    ItemNotFoundError
    ItemNotHeldError
    ItemRef
    KeyRequiredError
    KeyReusedError
    LineRequest
    ListItems
    ListMovements
    ListReservations
    MoreThanHeldError
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
    SkuStock
    StaleQuantityError
    StockChange
    StockLevel
    StockLimitError
    StorageError
    StorageThrottledError
    StorageUnavailableError
    SweepResult
    Timestamp
    TooManyLocationsError
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
    MAX_CHANGE_SIZE
    MovementFilter
    NewId
    ReservationFilter
    ReservationWrite
    RestorableRepository
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
