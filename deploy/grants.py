"""
The permissions that each operation needs for DynamoDB and Parameter Store.

A test records the calls that the repository makes for each operation and compares them with this table. It fails for a missing
permission and for an unused one.
"""

from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from inventory_adapters.storage.dynamodb.schema import (
    CATEGORY_INDEX,
    DUE_INDEX,
    SKU_INDEX,
    STATUS_INDEX,
    IndexSchema,
)

__all__ = ["NEEDS", "Needs", "UnknownNeedsError", "needs_of"]


def _actions(actions: Iterable[str]) -> frozenset[str]:
    return frozenset(actions)


def _indexes(indexes: Iterable[IndexSchema]) -> frozenset[IndexSchema]:
    return frozenset(indexes)


@frozen(kw_only=True)
class Needs:
    """
    The permissions that one operation needs.

    Attributes:
        items: Actions on the items table.
        ledger: Actions on the ledger table.
        queried: Indexes of both tables that the operation queries.
        limits: Whether the operation reads the page limits from Parameter Store.
    """

    items: frozenset[str] = field(default=(), converter=_actions)
    ledger: frozenset[str] = field(default=(), converter=_actions)
    queried: frozenset[IndexSchema] = field(default=(), converter=_indexes)
    limits: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            items=self.items | other.items,
            ledger=self.ledger | other.ledger,
            queried=self.queried | other.queried,
            limits=self.limits or other.limits,
        )


# IAM has no action TransactWriteItems. It requires the action of each row in the transaction, or ConditionCheckItem.
# Source: "IAM and DynamoDB transactions" in the DynamoDB developer guide.

# Writes the item and, if it is low, its low-stock marker. Reads the item if the response to the write was lost.
_CREATING: Final = Needs(items={"PutItem", "GetItem"}, ledger={"PutItem"})
# Writes the level, the movement and, if the item becomes low, a low-stock marker. Reads the movement if a response was lost.
_MOVING: Final = Needs(items={"UpdateItem"}, ledger={"PutItem", "GetItem"})
# More available units can delete the low-stock marker.
_RAISING: Final = _MOVING | Needs(ledger={"DeleteItem"})
# Writes the idempotency record with the change, and reads it if the key was used before.
_KEYED: Final = Needs(ledger={"PutItem", "GetItem"})
_READING_ONE: Final = Needs(items={"GetItem"})
_READING_SEVERAL: Final = Needs(items={"BatchGetItem"})
# Updates the reservation, one row of the ledger, and the level of each of its items; then deletes its pointers.
_CLOSING: Final = _READING_SEVERAL | _MOVING | Needs(ledger={"UpdateItem", "BatchWriteItem"})
# Expires due reservations: on schedule, and before an operation fails because of reserved units. The due reservations of an
# item are found by their pointers.
_EXPIRING: Final = _CLOSING | _RAISING | Needs(ledger={"Query", "BatchGetItem"})

NEEDS: Final[dict[str, Needs]] = {
    "create_item": _CREATING | _KEYED,
    # The stock at a time is found in the ledger, as a page of movements.
    "get_item": _READING_ONE | Needs(items={"Query"}, ledger={"Query"}),
    "get_stock": _READING_SEVERAL | Needs(queried={SKU_INDEX}),
    # With an idempotency key, an unchanged row is still checked against the state that was read.
    "update_item": _READING_ONE
    | _RAISING
    | Needs(items={"ConditionCheckItem"})
    | _EXPIRING
    | _KEYED,
    # Deletes the item and its low-stock marker, and writes its last movement.
    "delete_item": _READING_ONE
    | Needs(items={"DeleteItem"}, ledger={"PutItem", "GetItem", "DeleteItem"})
    | _EXPIRING
    | _KEYED,
    "list_items": Needs(
        items={"Scan", "BatchGetItem"},
        ledger={"Query"},
        queried={CATEGORY_INDEX, STATUS_INDEX, SKU_INDEX},
        limits=True,
    ),
    # An unchanged row is still checked against the state that was read.
    "batch_items": _READING_SEVERAL
    | _CREATING
    | _RAISING
    | Needs(items={"ConditionCheckItem"})
    | _EXPIRING
    | _KEYED,
    "adjust_stock": _READING_ONE | _RAISING | _EXPIRING | _KEYED,
    "count_stock": _READING_ONE | _RAISING | _EXPIRING | _KEYED,
    "list_movements": _READING_ONE | Needs(ledger={"Query"}, limits=True),
    "transfer_stock": _READING_SEVERAL | _RAISING | _EXPIRING | _KEYED,
    "create_reservation": _READING_SEVERAL | _MOVING | _EXPIRING | _KEYED,
    "get_reservation": Needs(ledger={"GetItem"}),
    "list_reservations": Needs(ledger={"Query", "BatchGetItem"}, queried={DUE_INDEX}, limits=True),
    "commit_reservation": _CLOSING | _KEYED,
    "release_reservation": _CLOSING | _RAISING | _KEYED,
    "extend_reservation": Needs(ledger={"GetItem", "UpdateItem", "PutItem", "DeleteItem"}) | _KEYED,
    # Also checks low-stock markers.
    "expire_reservations": _EXPIRING | Needs(queried={DUE_INDEX}),
    # Reads streams: see deploy/events.py.
    "publish_events": Needs(),
}


class UnknownNeedsError(LookupError):
    """An operation has no row in `NEEDS`; the message names the operation."""


def needs_of(operation: str) -> Needs:
    """
    Return the permissions that *operation* needs.

    Raises:
        UnknownNeedsError: `NEEDS` has no row for the operation.
    """
    if operation not in NEEDS:
        raise UnknownNeedsError(
            f"NEEDS in deploy/grants.py has no row for the operation {operation!r}"
        )
    return NEEDS[operation]
