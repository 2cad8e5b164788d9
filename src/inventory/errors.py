"""
Errors of the domain.

InventoryError
├── InvalidRequestError             the request is invalid; do not retry it unchanged
│   ├── ValidationError             one or more fields are out of bounds; reports all of them at once
│   ├── InvalidCursorError          a page token is malformed, was edited, or belongs to another query
│   ├── SameItemError               a transfer from an item to itself
│   ├── SkuMismatchError            a transfer between different SKUs
│   ├── DuplicateRowError           a batch with the same item twice
│   └── BatchTooLargeError          a batch with more rows than one write can hold
├── NotFoundError
│   ├── ItemNotFoundError
│   └── ReservationNotFoundError
├── ConflictError                   the request is valid, but the current state forbids it
│   ├── ReservedStockError          reserved units prevent it; expiring due reservations may help
│   │   ├── InsufficientStockError  fewer units are available than requested
│   │   ├── BelowReservedError      a count would leave fewer units than are reserved
│   │   └── ItemInUseError          units of the item are reserved
│   ├── StaleQuantityError          on-hand is not the expected quantity
│   ├── StockLimitError             the item would have more units than allowed
│   ├── ReservationExpiredError     the reservation has expired
│   ├── ReservationClosedError      the reservation was already committed or released
│   ├── BatchRefusedError           a row of an atomic batch was rejected, so none was applied
│   └── ContentionError             others kept changing the same item; try again
├── PreconditionFailedError         the item was modified since the caller read it
├── KeyReusedError                  the idempotency key belongs to another request
└── StorageError
    ├── UnreadableRowError          a stored row could not be read
    │   ├── UnreadableItemError
    │   ├── UnreadableMovementError
    │   └── UnreadableReservationError
    ├── StorageThrottledError       the storage is busy
    └── StorageUnavailableError     the storage did not answer in time; a write may or may not have been applied

StaleReadError and DuplicateRequestError are outside the tree: a repository raises them, `Inventory` handles them, and they
never reach a caller. So is SnapshotError with its subclasses: only `inventory.snapshots` raises them, so they have no code of
the API.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from attrs import frozen

if TYPE_CHECKING:
    from inventory.items import Item

__all__ = [
    "BatchRefusedError",
    "BatchTooLargeError",
    "BelowReservedError",
    "ConflictError",
    "ContentionError",
    "DuplicateRequestError",
    "DuplicateRowError",
    "FieldError",
    "InsufficientStockError",
    "InvalidCursorError",
    "InvalidRequestError",
    "InventoryError",
    "ItemInUseError",
    "ItemNotFoundError",
    "ItemNotHeldError",
    "KeyRequiredError",
    "KeyReusedError",
    "MoreThanHeldError",
    "NotFoundError",
    "PreconditionFailedError",
    "ReservationClosedError",
    "ReservationExpiredError",
    "ReservationNotFoundError",
    "ReservedStockError",
    "SameItemError",
    "SkuMismatchError",
    "SnapshotError",
    "SnapshotMismatchError",
    "SourceChangedError",
    "StaleQuantityError",
    "StaleReadError",
    "StockLimitError",
    "StorageError",
    "StorageThrottledError",
    "StorageUnavailableError",
    "TargetNotEmptyError",
    "TooManyLocationsError",
    "UnreadableItemError",
    "UnreadableMovementError",
    "UnreadableReservationError",
    "UnreadableRowError",
    "ValidationError",
]


@frozen
class FieldError:
    """
    One invalid field of a request.

    Example: ``FieldError("quantity", "must be a whole number from 0 to 1000000000")``.
    """

    field: str
    message: str


@dataclass_transform(kw_only_default=True, eq_default=False)
class InventoryError(Exception):
    """
    Base class of all errors that `Inventory` raises.

    The annotations of a subclass are its facts: keyword arguments of the constructor and attributes of the error. Copies,
    pickles and the HTTP client preserve type, message and facts.

    Attributes:
        code: A stable snake_case code for programs, part of the wire format. Every class that is raised has its own.
        message: A message for people.
        facts: Values that a client needs to continue, such as ``{"available": 3, "requested": 5}``.
    """

    code: ClassVar[str]
    sentence: ClassVar[str] = ""

    message: str
    facts: dict[str, Any]

    def __init__(self, message: str | None = None, /, **facts: Any) -> None:
        self.facts = {name: fact for name, fact in facts.items() if fact is not None}
        vars(self).update(self.facts)
        self.message = self._sentence() if message is None else message
        super().__init__(self.message)

    def _sentence(self) -> str:
        return self.sentence.format_map(self.facts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.facts), vars(self)


def _rebuild(kind: type[InventoryError], message: str, facts: dict[str, Any]) -> InventoryError:
    return kind(message, **facts)


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"


class InvalidRequestError(InventoryError):
    """The request is invalid."""


class ValidationError(InvalidRequestError):
    """
    One or more fields are missing, unknown, of the wrong type or out of bounds.

    Attributes:
        errors: One error per invalid field.
    """

    code = "validation_failed"
    errors: tuple[FieldError, ...]

    def _sentence(self) -> str:
        return "; ".join(f"{error.field} {error.message}" for error in self.errors)


class InvalidCursorError(InvalidRequestError):
    """A page token is malformed, was edited, or belongs to another query."""

    code = "invalid_page_token"
    sentence = "Invalid page token for this query. Omit it to start from the first page."


class SameItemError(InvalidRequestError):
    """A transfer names the same item twice."""

    code = "same_item"
    sentence = "A transfer needs two different items"


class SkuMismatchError(InvalidRequestError):
    """The two items of a transfer have different SKUs."""

    code = "sku_mismatch"
    source: str
    destination: str

    def _sentence(self) -> str:
        # Shortened, because the SKU of an existing item may be 1,024 bytes long.
        return f"Both items of a transfer must have the same SKU: {self.source[:128]}, {self.destination[:128]}"


class DuplicateRowError(InvalidRequestError):
    """Two rows of a batch name the same item."""

    code = "duplicate_row"
    sentence = "Rows {first_row} and {second_row} name the same item"
    item_id: str
    sku: str
    first_row: int
    second_row: int


class ItemNotHeldError(InvalidRequestError):
    """The reservation does not hold the item."""

    code = "item_not_held"
    sentence = "The reservation holds no units of item {item_id} with SKU {sku}"
    item_id: str
    sku: str


class KeyRequiredError(InvalidRequestError):
    """A partial commit needs an idempotency key, because a repeated request would take the units twice."""

    code = "idempotency_key_required"
    sentence = "A commit of some lines needs an Idempotency-Key"


class BatchTooLargeError(InvalidRequestError):
    """A batch has too many rows for one atomic write."""

    code = "batch_too_large"
    sentence = "Too many rows: {rows}, at most {limit}"
    rows: int
    limit: int


class NotFoundError(InventoryError):
    """The item or reservation does not exist."""


class ItemNotFoundError(NotFoundError):
    """
    No item has this ID (and SKU), or this SKU.

    Attributes:
        item_id: As requested; None if the request has only the SKU.
        sku: As requested; None if the request has only the ID.
    """

    code = "item_not_found"
    sentence = "Item not found"
    item_id: str | None = None
    sku: str | None = None


class ReservationNotFoundError(NotFoundError):
    """No reservation has this ID, or it was closed long ago and purged."""

    code = "reservation_not_found"
    sentence = "Reservation not found"
    reservation_id: str


class ConflictError(InventoryError):
    """The request is valid, but the current state forbids it."""


class ReservedStockError(ConflictError):
    """
    Reserved units prevent this operation.

    Attributes:
        reserved: Number of reserved units of the item.
    """

    item_id: str
    sku: str
    reserved: int


class ItemInUseError(ReservedStockError):
    """The item cannot be deleted while units of it are reserved."""

    code = "item_in_use"

    def _sentence(self) -> str:
        return f"The item has {_units(self.reserved)} reserved. Release or commit the reservations first."


class BelowReservedError(ReservedStockError):
    """An absolute quantity would leave fewer units on hand than are reserved."""

    code = "below_reserved"
    sentence = "Quantity below the reserved units: {requested} requested, {reserved} reserved"
    requested: int


class InsufficientStockError(ReservedStockError):
    """Fewer units are available than requested."""

    code = "insufficient_stock"
    sentence = "Insufficient stock: {requested} requested, {available} available"
    available: int
    requested: int


class StaleQuantityError(ConflictError):
    """The current quantity is not the expected one."""

    code = "stale_quantity"
    sentence = "Unexpected quantity: {expected_quantity} expected, {quantity} on hand. Count again."
    item_id: str
    sku: str
    expected_quantity: int
    quantity: int


class StockLimitError(ConflictError):
    """The item would have more units than allowed."""

    code = "stock_limit_exceeded"
    sentence = "Too many units: {quantity} on hand, {requested} to add, at most {limit}"
    item_id: str
    sku: str
    limit: int
    quantity: int
    requested: int


class ReservationExpiredError(ConflictError):
    """The reservation has expired, and its units are available again."""

    code = "reservation_expired"
    sentence = "The reservation expired at {expires_at}"
    reservation_id: str
    expires_at: str


class ReservationClosedError(ConflictError):
    """The reservation was already committed or released."""

    code = "reservation_closed"
    sentence = "The reservation is already {state}"
    reservation_id: str
    state: str


class MoreThanHeldError(ConflictError):
    """A reservation holds fewer units of an item than are to be committed."""

    code = "more_than_held"
    sentence = "More than the reservation holds: {requested} requested, {held} held"
    item_id: str
    sku: str
    held: int
    requested: int


class TooManyLocationsError(ConflictError):
    """More items share the SKU than one total can include."""

    code = "too_many_locations"
    sentence = "More than {limit} items have the SKU {sku}"
    sku: str
    limit: int


class BatchRefusedError(ConflictError):
    """
    Rows of an atomic batch were rejected, so none was applied.

    Attributes:
        refused: The error of each rejected row, by the index of the row.
        rows: Number of rows in the batch.
    """

    code = "batch_refused"
    refused: Mapping[int, InventoryError]
    rows: int

    def _sentence(self) -> str:
        return f"{len(self.refused)} of {self.rows} rows were rejected; none was applied"


class ContentionError(ConflictError):
    """Others kept changing the same items, so this request changed nothing."""

    code = "contention"
    sentence = "Others kept changing the same items. Nothing was changed; try again."


class PreconditionFailedError(InventoryError):
    """
    The item was modified since the caller read it.

    Attributes:
        version: The current version of the item's details.
        seq: The current seq of its stock level.
    """

    code = "precondition_failed"
    sentence = "The item was modified since you read it. Fetch it again and retry."
    version: int
    seq: int


class KeyReusedError(InventoryError):
    """The idempotency key was already used for another request."""

    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was already used with different parameters"


class StorageError(InventoryError):
    """The storage failed."""


class UnreadableRowError(StorageError):
    """
    A stored row could not be read; nothing was changed.

    Attributes:
        why: What is wrong with the row; for the log.
    """

    why: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The identity of the row: ``{"item_id": ..., "sku": ..., "seq": 3}``."""
        return {name: fact for name, fact in self.facts.items() if name != "why"}


class UnreadableItemError(UnreadableRowError):
    """
    The stored row could not be read as an item.

    Attributes:
        item_id: The ID of the item.
        sku: The SKU of the item.
    """

    code = "unreadable_item"
    sentence = "The stored row could not be read as an item"
    item_id: str
    sku: str


class UnreadableMovementError(UnreadableRowError):
    """
    The stored row could not be read as a movement.

    Attributes:
        item_id: The ID of the item.
        sku: The SKU of the item.
        seq: The position of the movement in the item's ledger.
    """

    code = "unreadable_movement"
    sentence = "The stored row could not be read as a movement"
    item_id: str
    sku: str
    seq: int


class UnreadableReservationError(UnreadableRowError):
    """
    The stored row could not be read as a reservation.

    Attributes:
        reservation_id: The reservation.
    """

    code = "unreadable_reservation"
    sentence = "The stored row could not be read as a reservation"
    reservation_id: str


class StorageThrottledError(StorageError):
    """The storage is busy; this request changed nothing."""

    code = "storage_throttled"
    sentence = "Storage is busy. Try again in a moment."

    def __init__(self, message: str | None = None, /, **facts: Any) -> None:
        super().__init__(message, **facts)


class StorageUnavailableError(StorageError):
    """
    The storage did not answer in time.

    A write may or may not have been applied.
    """

    code = "storage_unavailable"
    sentence = "Storage did not answer in time. Try again."

    def __init__(self, message: str | None = None, /, **facts: Any) -> None:
        super().__init__(message, **facts)


class StaleReadError(Exception):
    """
    A condition of a write did not hold, and nothing was written.

    Attributes:
        current: The current item, if the write was of a single item that exists; else None.
    """

    def __init__(self, current: "Item | None" = None) -> None:
        super().__init__("the data changed since it was read")
        self.current = current


class DuplicateRequestError(Exception):
    """The idempotency key was already used, and nothing was written."""


class SnapshotError(Exception):
    """A copy or a restore failed."""


class TargetNotEmptyError(SnapshotError):
    """A restore needs an empty repository, or one with the mark of the same restore."""

    def __str__(self) -> str:
        return "The target already has data. Use an empty database or empty tables."


class SourceChangedError(SnapshotError):
    """The source of a copy was written to meanwhile."""

    def __str__(self) -> str:
        return "The source changed during the copy. Stop its writers, then copy again."


class SnapshotMismatchError(SnapshotError):
    """
    The target of a restore does not have the records that were stored.

    Attributes:
        expected, found: The number of records by type, and the sums of units.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"The target differs from the source: {self.found}; expected: {self.expected}. "
            "Copy to an empty target."
        )
