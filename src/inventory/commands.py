"""
Every command and query that a caller may send, with its bounds and units.

Bounds apply to what a caller newly writes. What only finds a thing (ids, filters, the SKU of an existing item) is limited by
what DynamoDB can look up, so that rows of an earlier version stay within reach.
"""

from decimal import Decimal
from typing import Any, Final

from inventory.fields import (
    UNSET,
    Choice,
    Flag,
    Key,
    Money,
    Nullable,
    PageSize,
    Text,
    Unset,
    Whole,
    command,
    field,
    given,
)
from inventory.items import AVAILABLE, STATUSES, ItemKey
from inventory.preconditions import ANY_STATE, IF_MATCH, IfMatch

__all__ = [
    "MAX_PRICE",
    "MAX_QUANTITY",
    "CreateItem",
    "DeleteItem",
    "GetItem",
    "ListItems",
    "UpdateItem",
]

MAX_QUANTITY: Final = 1_000_000_000
"""Units; leaves every sum of 100 lines far inside 64 bits."""

MAX_PRICE: Final = Decimal("99999999999.9999")
"""Fifteen digits: the most that survive a reader who takes a JSON number for a binary double."""

# Source: "Quotas in Amazon DynamoDB", partition key 2048 bytes, sort key 1024 bytes.
ITEM_ID: Final = Key(2048, doc="The id that the system gave the item.")
EXISTING_SKU: Final = Key(1024, doc="The SKU of the item.")
PAGE_TOKEN: Final = Key(1 << 14, doc="The `next_page_token` of the page before.")

SKU: Final = Text(128, doc="The code that people use for the item.")
NAME: Final = Text(256, doc="What the item is called.")
DESCRIPTION: Final = Text(
    4096, min_length=0, may_be_blank=True, doc="More about the item, for people."
)
QUANTITY: Final = Whole(0, MAX_QUANTITY, doc="Units on hand.")
PRICE: Final = Money(MAX_PRICE, places=4, doc="Price of one unit, exact.")
CATEGORY: Final = Text(128, doc="What the item is listed under.")
STATUS: Final = Choice(STATUSES, doc="Whether the item can be had.")
LOCATION: Final = Text(128, doc="Where the item is kept.")
REORDER_POINT: Final = Nullable(
    Whole(0, MAX_QUANTITY, doc="Low when no more units than this are available; null for never.")
)
PAGE_SIZE: Final = PageSize(doc="Most rows to return; cut to the deployment's maximum.")


@command
class CreateItem:
    """Put a new item on the books."""

    sku: str = field(SKU)
    name: str = field(NAME)
    description: str = field(DESCRIPTION, default="")
    quantity: int = field(QUANTITY)
    price: Decimal = field(PRICE, default=Decimal(0))
    category: str = field(CATEGORY)
    status: str = field(STATUS, default=AVAILABLE)
    location: str = field(LOCATION, default="default")
    reorder_point: int | None = field(REORDER_POINT, default=None)


@command
class GetItem:
    """Read one item; without *sku*, the first by SKU of those that share the id."""

    item_id: str = field(ITEM_ID)
    sku: str | None = field(Nullable(EXISTING_SKU), default=None)


@command
class UpdateItem:
    """
    Change the given fields of an item, and no others.

    A `quantity` is a physical count and moves the stock; the other fields are details and make a new version.
    """

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    name: str | Unset = field(NAME, default=UNSET)
    description: str | Unset = field(DESCRIPTION, default=UNSET)
    quantity: int | Unset = field(QUANTITY, default=UNSET)
    price: Decimal | Unset = field(PRICE, default=UNSET)
    category: str | Unset = field(CATEGORY, default=UNSET)
    status: str | Unset = field(STATUS, default=UNSET)
    location: str | Unset = field(LOCATION, default=UNSET)
    reorder_point: int | Unset | None = field(REORDER_POINT, default=UNSET)
    if_match: IfMatch = field(IF_MATCH, default=ANY_STATE)

    @property
    def key(self) -> ItemKey:
        """The item to change."""
        return ItemKey(item_id=self.item_id, sku=self.sku)

    @property
    def details(self) -> dict[str, Any]:
        """The given details by name: everything but the stock."""
        return given(self, but=("item_id", "sku", "quantity", "if_match"))


@command
class DeleteItem:
    """Take an item off the books."""

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    if_match: IfMatch = field(IF_MATCH, default=ANY_STATE)

    @property
    def key(self) -> ItemKey:
        """The item to delete."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class ListItems:
    """
    Read a page of the items that pass every given filter.

    By category, the one edited longest ago comes first; by status, SKU or stock, and without a filter, the order is by id.
    """

    category: str | None = field(Nullable(Key(2048, doc="Of this category.")), default=None)
    status: str | None = field(Nullable(Key(2048, doc="Of this status.")), default=None)
    sku: str | None = field(Nullable(Key(1024, doc="Of this SKU, wherever kept.")), default=None)
    location: str | None = field(Nullable(Key(2048, doc="Kept here.")), default=None)
    low_stock: bool = field(Flag(doc="At or below their reorder point."), default=False)
    page_size: int | None = field(Nullable(PAGE_SIZE), default=None)
    page_token: str | None = field(Nullable(PAGE_TOKEN), default=None, wire="last_evaluated_key")
