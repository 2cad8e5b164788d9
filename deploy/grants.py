"""
What each operation needs of DynamoDB and of Parameter Store: the one place that says it.

A test records the calls that the repository makes for each operation, and holds this table against them, both ways: nothing is
missing, and nothing is granted that was never used.
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


def _actions(given: Iterable[str]) -> frozenset[str]:
    return frozenset(given)


def _indexes(given: Iterable[IndexSchema]) -> frozenset[IndexSchema]:
    return frozenset(given)


@frozen(kw_only=True)
class Needs:
    """
    What one operation calls.

    Attributes:
        items: Actions on the items table.
        ledger: Actions on the ledger table.
        queried: Indexes, of either table, that it queries.
        limits: Whether it reads the page limits from Parameter Store.
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


# TransactWriteItems is no action of its own: IAM asks for that of each row in it, and for ConditionCheckItem.
# Source: "IAM and DynamoDB transactions" in the DynamoDB developer guide.

# A new item, and the low-stock marker of one that is low from the start; after a lost answer, a look at what was kept.
_CREATING: Final = Needs(items={"PutItem", "GetItem"}, ledger={"PutItem"})
# The new level, its movement, the low-stock marker of an item that became low; after a lost answer, the same look.
_MOVING: Final = Needs(items={"UpdateItem"}, ledger={"PutItem", "GetItem"})
# What makes units available takes the marker away.
_RAISING: Final = _MOVING | Needs(ledger={"DeleteItem"})
# The record of an idempotency key: written with the effect, looked up when that is refused.
_KEYED: Final = Needs(ledger={"PutItem", "GetItem"})
_READING_ONE: Final = Needs(items={"GetItem"})
_READING_SEVERAL: Final = Needs(items={"BatchGetItem"})
# A reservation is one row of the ledger, and each of its items moves.
_CLOSING: Final = _READING_SEVERAL | _MOVING | Needs(ledger={"UpdateItem"})
# What is due is freed by the clock, and by any verb that promised units stand in the way of.
_EXPIRING: Final = _CLOSING | _RAISING | Needs(ledger={"BatchGetItem"}, queried={DUE_INDEX})

NEEDS: Final[dict[str, Needs]] = {
    "create_item": _CREATING | _KEYED,
    "get_item": _READING_ONE | Needs(items={"Query"}),
    # Under a key, a row that changes nothing is still held to what was read.
    "update_item": _READING_ONE
    | _RAISING
    | Needs(items={"ConditionCheckItem"})
    | _EXPIRING
    | _KEYED,
    # The item, its last movement, its low-stock marker.
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
    # A row that changes nothing is still held to what was read.
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
    "commit_reservation": _CLOSING | _KEYED,
    "release_reservation": _CLOSING | _RAISING | _KEYED,
    "extend_reservation": Needs(ledger={"GetItem", "UpdateItem"}) | _KEYED,
    "expire_reservations": _EXPIRING,
}


class UnknownNeedsError(LookupError):
    """An operation has no row in `NEEDS`; the message names it."""


def needs_of(operation: str) -> Needs:
    """
    Return what *operation* calls.

    Raises:
        UnknownNeedsError: Nobody has said it yet.
    """
    if operation not in NEEDS:
        raise UnknownNeedsError(
            f"NEEDS in deploy/grants.py does not say what the operation {operation!r} calls."
        )
    return NEEDS[operation]
