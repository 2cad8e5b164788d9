"""
Everything that can go wrong, in the words of the domain.

InventoryError
├── InvalidRequestError             the request is wrong in itself; sending it again cannot help
│   ├── ValidationError             one or more fields are out of bounds: all of them, at once
│   └── InvalidCursorError          a page token is malformed, edited, or of another query
├── NotFoundError
│   └── ItemNotFoundError
├── ConflictError                   the request is fine, the state of the stock is against it
│   ├── ItemInUseError              units of the item are promised to a reservation
│   ├── BelowReservedError          a count would leave fewer units than are promised
│   └── ContentionError             others kept changing the same item; try again
├── PreconditionFailedError         the item is no longer what the caller last saw
└── StorageError
    ├── UnreadableItemError         what is stored under this key is not an item
    ├── StorageThrottledError       storage asks for a slower pace
    └── StorageUnavailableError     storage did not answer in time; what was sent may or may not have been kept

StaleReadError stands outside the tree: a repository raises it, `Inventory` answers it, and it never reaches a caller.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from inventory.items import Item

__all__ = [
    "BelowReservedError",
    "ConflictError",
    "ContentionError",
    "Fault",
    "InvalidCursorError",
    "InvalidRequestError",
    "InventoryError",
    "ItemInUseError",
    "ItemNotFoundError",
    "NotFoundError",
    "PreconditionFailedError",
    "StaleReadError",
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
        code: Stable, snake_case, for programs; part of the wire contract.
        facts: Numbers and names that a client needs to go on, such as ``{"available": 3, "requested": 5}``.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **facts: int | str | None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidRequestError(InventoryError):
    """The request is wrong in itself."""

    code = "invalid_request"


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


class NotFoundError(InventoryError):
    """What the request names does not exist."""

    code = "not_found"


class ItemNotFoundError(NotFoundError):
    """No item has this id (and SKU)."""

    code = "item_not_found"

    def __init__(self, item_id: str, sku: str | None = None) -> None:
        self.item_id = item_id
        self.sku = sku
        super().__init__("Item not found")


class ConflictError(InventoryError):
    """The request is well-formed, but the present state forbids it."""

    code = "conflict"


class ItemInUseError(ConflictError):
    """The item cannot go while units of it are promised."""

    code = "item_in_use"

    def __init__(self, reserved: int) -> None:
        self.reserved = reserved
        super().__init__(
            f"{reserved} units of this item are reserved; release or commit them first",
            reserved=reserved,
        )


class BelowReservedError(ConflictError):
    """An absolute quantity would leave fewer units on hand than are promised."""

    code = "below_reserved"

    def __init__(self, *, requested: int, reserved: int) -> None:
        self.requested = requested
        self.reserved = reserved
        super().__init__(
            f"{reserved} units are reserved, so the quantity cannot be {requested}",
            requested=requested,
            reserved=reserved,
        )


class ContentionError(ConflictError):
    """Others changed the same items between every read and write; nothing was changed by this request."""

    code = "contention"

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        super().__init__(
            f"Others kept changing the same items ({attempts} attempts); nothing was changed, try again"
        )


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


class StorageError(InventoryError):
    """The storage behind the repository failed."""

    code = "storage_failed"


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
