"""
Everything that can go wrong, in the words of the domain.

InventoryError
├── InvalidRequestError             the request is wrong in itself; sending it again cannot help
│   ├── ValidationError             one or more fields are out of bounds: all of them, at once
│   ├── InvalidCursorError          a page token is malformed, edited, or of another query
│   ├── SameItemError               a transfer from an item to itself
│   ├── SkuMismatchError            a transfer between different SKUs
│   ├── DuplicateRowError           a batch with the same item twice
│   └── BatchTooLargeError          a batch with more rows than one write can hold
├── NotFoundError
│   ├── ItemNotFoundError
│   └── ReservationNotFoundError
├── ConflictError                   the request is fine, the state of the stock is against it
│   ├── HeldBackError               units are promised; expiring what is due may help
│   │   ├── InsufficientStockError  fewer units are available than are asked for
│   │   ├── BelowReservedError      a count would leave fewer units than are promised
│   │   └── ItemInUseError          units of the item are promised to a reservation
│   ├── StaleQuantityError          on-hand is not what whoever counted expected it to be
│   ├── StockLimitError             more units than an item may have
│   ├── ReservationExpiredError     its time is over
│   ├── ReservationClosedError      it was committed or released before
│   ├── BatchRefusedError           a row of an all-or-nothing batch was refused, so all were
│   └── ContentionError             others kept changing the same item; try again
├── PreconditionFailedError         the item is no longer what the caller last saw
├── KeyReusedError                  the idempotency key belongs to another request
└── StorageError
    ├── UnreadableItemError         what is stored under this key is not an item
    ├── StorageThrottledError       storage asks for a slower pace
    └── StorageUnavailableError     storage did not answer in time; what was sent may or may not have been kept

StaleReadError and AlreadyServedError stand outside the tree: a repository raises them, `Inventory` answers them, and they never
reach a caller.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.items import Item, ItemKey

__all__ = [
    "AlreadyServedError",
    "BatchRefusedError",
    "BatchTooLargeError",
    "BelowReservedError",
    "ConflictError",
    "ContentionError",
    "DuplicateRowError",
    "Fault",
    "HeldBackError",
    "InsufficientStockError",
    "InvalidCursorError",
    "InvalidRequestError",
    "InventoryError",
    "ItemInUseError",
    "ItemNotFoundError",
    "KeyReusedError",
    "NotFoundError",
    "PreconditionFailedError",
    "ReservationClosedError",
    "ReservationExpiredError",
    "ReservationNotFoundError",
    "SameItemError",
    "SkuMismatchError",
    "StaleQuantityError",
    "StaleReadError",
    "StockLimitError",
    "StorageError",
    "StorageThrottledError",
    "StorageUnavailableError",
    "UnreadableItemError",
    "ValidationError",
]


@frozen
class Fault:
    """What is wrong with one field of a request: ``Fault("quantity", "must be a whole number from 0 to 1000000000")``."""

    field: str
    message: str


class InventoryError(Exception):
    """
    Base of all errors that a caller of `Inventory` may see.

    Attributes:
        code: Stable, snake_case, for programs; part of the wire contract. Errors that are raised have one of their own.
        facts: Numbers and names that a client needs to go on, such as ``{"available": 3, "requested": 5}``.
    """

    code: ClassVar[str]

    def __init__(self, message: str, **facts: int | str | None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidRequestError(InventoryError):
    """The request is wrong in itself."""


class ValidationError(InvalidRequestError):
    """One or more fields are missing, unknown, of the wrong type or out of bounds."""

    code = "validation_failed"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field} {fault.message}" for fault in self.faults))


class InvalidCursorError(InvalidRequestError):
    """A page token is malformed, was edited, or belongs to another query."""

    code = "invalid_page_token"

    def __init__(self) -> None:
        super().__init__(
            "The page token is not one that this query gave out; start again without it."
        )


class SameItemError(InvalidRequestError):
    """A transfer goes from one item to another."""

    code = "same_item"

    def __init__(self) -> None:
        super().__init__("A transfer needs two items; from and to are the same")


class SkuMismatchError(InvalidRequestError):
    """A transfer moves units of one SKU; it does not make one thing into another."""

    code = "sku_mismatch"

    def __init__(self, source: str, destination: str) -> None:
        super().__init__(
            f"A transfer is between items of one SKU, not from {source[:128]} to {destination[:128]}"
        )


class DuplicateRowError(InvalidRequestError):
    """A batch names each item once."""

    code = "duplicate_row"

    def __init__(self, key: "ItemKey", *, rows: tuple[int, int]) -> None:
        first, second = rows
        super().__init__(f"Rows {first} and {second} are the same item; name it once", **_of(key))


class BatchTooLargeError(InvalidRequestError):
    """A batch has no more rows than fit into one atomic write."""

    code = "batch_too_large"

    def __init__(self, *, rows: int, limit: int) -> None:
        super().__init__(
            f"A batch may have {limit} rows at most, not {rows}", rows=rows, limit=limit
        )


class NotFoundError(InventoryError):
    """What the request names does not exist."""


class ItemNotFoundError(NotFoundError):
    """No item has this id (and SKU)."""

    code = "item_not_found"

    def __init__(self, item_id: str, sku: str | None = None) -> None:
        self.item_id = item_id
        self.sku = sku
        super().__init__("Item not found", item_id=item_id, **({} if sku is None else {"sku": sku}))


class ReservationNotFoundError(NotFoundError):
    """No reservation has this id, or it was closed so long ago that its record is gone."""

    code = "reservation_not_found"

    def __init__(self, reservation_id: str) -> None:
        super().__init__("Reservation not found", reservation_id=reservation_id)


class ConflictError(InventoryError):
    """The request is well-formed, but the present state forbids it."""


class HeldBackError(ConflictError):
    """
    Units that are promised stand in the way.

    Attributes:
        reserved: How many units of the item are promised.
    """

    def __init__(self, message: str, *, reserved: int, **facts: int | str | None) -> None:
        self.reserved = reserved
        super().__init__(message, reserved=reserved, **facts)


class ItemInUseError(HeldBackError):
    """The item cannot go while units of it are promised."""

    code = "item_in_use"

    def __init__(self, key: "ItemKey", *, reserved: int) -> None:
        super().__init__(
            f"{reserved} units of this item are reserved; release or commit them first",
            **_of(key),
            reserved=reserved,
        )


class BelowReservedError(HeldBackError):
    """An absolute quantity would leave fewer units on hand than are promised."""

    code = "below_reserved"

    def __init__(self, key: "ItemKey", *, requested: int, reserved: int) -> None:
        super().__init__(
            f"{reserved} units are reserved, so the quantity cannot be {requested}",
            **_of(key),
            requested=requested,
            reserved=reserved,
        )


class InsufficientStockError(HeldBackError):
    """Fewer units are available than are asked for."""

    code = "insufficient_stock"

    def __init__(self, key: "ItemKey", *, available: int, requested: int, reserved: int) -> None:
        super().__init__(
            f"{requested} units are asked for, but {available} are available",
            **_of(key),
            available=available,
            requested=requested,
            reserved=reserved,
        )


class StaleQuantityError(ConflictError):
    """On-hand is not what whoever counted expected: somebody moved the stock meanwhile."""

    code = "stale_quantity"

    def __init__(self, key: "ItemKey", *, expected: int, quantity: int) -> None:
        super().__init__(
            f"The quantity is {quantity}, not {expected} as expected; count again",
            **_of(key),
            expected_quantity=expected,
            quantity=quantity,
        )


class StockLimitError(ConflictError):
    """More units would be on hand than an item may have."""

    code = "stock_limit_exceeded"

    def __init__(self, key: "ItemKey", *, limit: int, quantity: int, requested: int) -> None:
        super().__init__(
            f"An item may have {limit} units at most; {quantity} are there and {requested} would come",
            **_of(key),
            limit=limit,
            quantity=quantity,
            requested=requested,
        )


class ReservationExpiredError(ConflictError):
    """The reservation's time is over, and its units are available to others."""

    code = "reservation_expired"

    def __init__(self, reservation_id: str, *, expires_at: str) -> None:
        super().__init__(
            f"The reservation expired at {expires_at}",
            reservation_id=reservation_id,
            expires_at=expires_at,
        )


class ReservationClosedError(ConflictError):
    """The reservation was committed or released before."""

    code = "reservation_closed"

    def __init__(self, reservation_id: str, *, state: str) -> None:
        super().__init__(
            f"The reservation has been {state}", reservation_id=reservation_id, state=str(state)
        )


class BatchRefusedError(ConflictError):
    """
    A row of an all-or-nothing batch was refused, and so none was applied.

    Attributes:
        refused: The error of each refused row, by the place of the row.
        rows: How many rows the batch has.
        reserved: How many promised units stood in the way.
    """

    code = "batch_refused"

    def __init__(self, refused: "Mapping[int, InventoryError]", *, rows: int) -> None:
        self.refused = refused
        self.rows = rows
        self.reserved = sum(getattr(error, "reserved", 0) for error in refused.values())
        super().__init__(f"{len(refused)} of {rows} rows were refused; none was applied")


class ContentionError(ConflictError):
    """Others changed the same items between every read and write; nothing was changed by this request."""

    code = "contention"

    def __init__(self) -> None:
        super().__init__("Others kept changing the same items; nothing was changed, try again")


class PreconditionFailedError(InventoryError):
    """The item has moved on since the caller read it."""

    code = "precondition_failed"

    def __init__(self, *, version: int, seq: int) -> None:
        self.version = version
        self.seq = seq
        super().__init__(
            "The item has changed since you read it; read it again and decide anew",
            version=version,
            seq=seq,
        )


class KeyReusedError(InventoryError):
    """The idempotency key was used for another request; the effect of that one stands."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for a different request; take a new one")


class StorageError(InventoryError):
    """The storage behind the repository failed."""


class UnreadableItemError(StorageError):
    """The stored row is not of a shape that an item can have; nothing was changed."""

    code = "unreadable_item"

    def __init__(self, item_id: str, sku: str, why: str) -> None:
        self.item_id = item_id
        self.sku = sku
        self.why = why
        super().__init__("What is stored under this key cannot be read as an item")


class StorageThrottledError(StorageError):
    """Storage asks for a slower pace; nothing was changed by this request."""

    code = "storage_throttled"

    def __init__(self, message: str = "Storage is busy; try again in a moment") -> None:
        super().__init__(message)


class StorageUnavailableError(StorageError):
    """Storage did not answer in time. A write that was under way may or may not have been kept."""

    code = "storage_unavailable"

    def __init__(self, message: str = "Storage did not answer in time; try again") -> None:
        super().__init__(message)


class StaleReadError(Exception):
    """
    A condition of a write did not hold, and nothing was written.

    Attributes:
        current: The row as it stands, from writes of a single item; None where there is no row.
    """

    def __init__(self, current: "Item | None" = None) -> None:
        super().__init__("something this write was decided on has moved on")
        self.current = current


class AlreadyServedError(Exception):
    """The idempotency key of a change was served before, and nothing was written."""


def _of(key: "ItemKey") -> dict[str, str]:
    return {"item_id": key.item_id, "sku": key.sku}
