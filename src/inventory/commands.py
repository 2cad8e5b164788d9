"""
Every command and query that a caller may send, with its bounds and units.

The bounds of items apply to new values. Identifiers (IDs, filters, the SKU of an existing item) are limited only by what
DynamoDB can look up, so that rows of an earlier version can be found; see `inventory.lookup`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from attrs import frozen

from inventory.errors import BatchTooLargeError, FieldError, ValidationError
from inventory.idempotency import IDEMPOTENCY_KEY, IdempotencyKey
from inventory.items import STATUSES, ItemKey, Timestamp
from inventory.preconditions import ANY_STATE, IF_MATCH, IfMatch
from inventory.reservations import MAX_SECONDS
from inventory.stock import MAX_QUANTITY
from inventory.validation import (
    UNSET,
    Boolean,
    BoundError,
    Choice,
    Converted,
    Identifier,
    Integer,
    JsonSchema,
    Line,
    List,
    Money,
    Nullable,
    Object,
    PageSize,
    Search,
    Spec,
    Text,
    TextMap,
    Unset,
    build,
    command,
    field,
    object_schema,
    set_fields,
    specs,
)

__all__ = [
    "ALL_OR_NOTHING",
    "MAX_LINES",
    "MAX_PRICE",
    "MAX_ROWS",
    "PER_ROW",
    "AdjustStock",
    "BatchItems",
    "CommitReservation",
    "CountStock",
    "CreateItem",
    "CreateReservation",
    "DeleteItem",
    "ExpireReservations",
    "ExtendReservation",
    "GetItem",
    "GetReservation",
    "GetStock",
    "ItemRef",
    "LineRequest",
    "ListItems",
    "ListMovements",
    "ListReservations",
    "ReleaseReservation",
    "TransferStock",
    "UpdateItem",
    "row_fields",
]

MAX_PRICE: Final = Decimal("99999999999.9999")
"""
Maximum price, of fifteen digits.

More digits would be inexact for a client that reads JSON numbers as binary doubles.
"""

# Date and time in one text. A space stands for a plus sign that a query string decoded.
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+ -][0-9]{2}:[0-9]{2})"
)

# Source: "Quotas in Amazon DynamoDB", partition key 2048 bytes, sort key 1024 bytes.
ITEM_ID: Final = Identifier(2048, doc="ID of the item.")
EXISTING_SKU: Final = Identifier(1024, doc="SKU of the item.")
PAGE_TOKEN: Final = Identifier(1 << 14, doc="Token of the page, from the page before.")

SKU: Final = Line(128, doc="Human-facing code of the item.")
NAME: Final = Line(256, may_have_joiners=True, doc="Name of the item.")
DESCRIPTION: Final = Text(4096, min_length=0, may_be_blank=True, doc="Description of the item.")
QUANTITY: Final = Integer(0, MAX_QUANTITY, doc="Units on hand.")
PRICE: Final = Money(MAX_PRICE, places=4, doc="Exact price of one unit.")
CATEGORY: Final = Line(128, doc="Category of the item.")
STATUS: Final = Choice(STATUSES, doc="Availability status of the item.")
LOCATION: Final = Line(128, doc="Location of the item.")
REORDER_POINT: Final = Nullable(
    Integer(
        0,
        MAX_QUANTITY,
        doc="Reorder threshold: the item is low when available units fall to this number.",
    )
)


@frozen
class _Time:
    """A time with its offset from UTC, as an aware datetime or as text of RFC 3339."""

    doc: str

    def read(self, value: Any) -> Timestamp:
        try:
            if isinstance(value, str) and _RFC_3339.fullmatch(value):
                # A plus sign in a query string arrives as a space.
                value = datetime.fromisoformat(value[:19] + value[19:].replace(" ", "+").upper())
            if isinstance(value, datetime):
                return Timestamp.of(value)
        except (ValueError, OverflowError):
            pass
        raise BoundError(
            FieldError("", "must be a time with an offset, such as 2026-05-01T09:30:00Z")
        )

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "date-time"}


ATTRIBUTES: Final = TextMap(
    50, 512, 8192, doc="Texts to keep beside, such as a barcode, by names like `barcode`."
)
SEARCH: Final = Search(
    128,
    doc="Only items with every word in their SKU, their name or an attribute. Ignores case and accents.",
)
AT: Final = _Time("The stock after the last movement recorded at this time or before.")
SINCE: Final = _Time("Only movements recorded at this time or later.")
UNTIL: Final = _Time("Only movements recorded at this time or before.")
PAGE_SIZE: Final = PageSize(
    doc="Maximum number of rows per page, up to the limit of the deployment."
)
DELTA: Final = Integer(
    -MAX_QUANTITY, MAX_QUANTITY, may_be_zero=False, doc="Units to add, or to remove if negative."
)
UNITS: Final = Integer(1, MAX_QUANTITY, doc="Number of units.")
EXPECTED_QUANTITY: Final = Nullable(
    Integer(0, MAX_QUANTITY, doc="Fail unless the current quantity equals this value.")
)
REASON: Final = Text(256, doc="Reason of the change, for people.")
REFERENCE: Final = Nullable(Text(256, doc="Reference, such as an order or a delivery note."))
RESERVATION_ID: Final = Identifier(1024, doc="ID of the reservation.")
TTL_SECONDS: Final = Integer(60, MAX_SECONDS, doc="How long to hold the units, in seconds.")

# 25 items with a movement and a low-stock marker each, the reservation and the idempotency record: 77 of the 100 actions
# that one TransactWriteItems may have. Source: "Amazon DynamoDB Transactions: How it works".
MAX_LINES: Final = 25
MAX_ROWS: Final = 25

# The types that callers may pass, and the type of the attribute.
_Price = Converted[Decimal | int | str, Decimal]
_IfMatch = Converted[IfMatch | str, IfMatch]
_Key = Converted[IdempotencyKey | str | None, IdempotencyKey | None]
_Fields = Mapping[str, Any]
_AtOrNone = Converted[datetime | str | None, Timestamp | None]

ALL_OR_NOTHING: Final = "all_or_nothing"
PER_ROW: Final = "per_row"


@command
class CreateItem:
    """
    Create an item.

    Without a status it is available, or out of stock if it has no units.
    """

    sku: str = field(SKU)
    name: str = field(NAME)
    description: str = field(DESCRIPTION, default="")
    quantity: int = field(QUANTITY)
    price: _Price = field(PRICE, default=Decimal(0))
    category: str = field(CATEGORY)
    status: str | Unset = field(STATUS, default=UNSET)
    location: str = field(LOCATION, default="default")
    reorder_point: int | None = field(REORDER_POINT, default=None)
    attributes: Mapping[str, str] = field(ATTRIBUTES, default={})
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)


@command
class GetItem:
    """
    Return an item.

    Without *sku*, it is the first by SKU of the items that share the ID. With *at*, its stock at that time is added.
    """

    item_id: str = field(ITEM_ID)
    sku: str | None = field(Nullable(EXISTING_SKU), default=None)
    at: _AtOrNone = field(Nullable(AT), default=None)


@command
class GetStock:
    """Return the stock of a SKU: the items at all locations, and their totals."""

    sku: str = field(EXISTING_SKU)


@command
class UpdateItem:
    """
    Update the given fields of an item.

    A new *quantity* is a physical count and is recorded as a movement. The other fields are details and create a new version.
    *attributes* are merged with those of the item; None removes one.
    """

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    name: str | Unset = field(NAME, default=UNSET)
    description: str | Unset = field(DESCRIPTION, default=UNSET)
    quantity: int | Unset = field(QUANTITY, default=UNSET)
    price: Converted[Decimal | int | str | Unset, Decimal | Unset] = field(PRICE, default=UNSET)
    category: str | Unset = field(CATEGORY, default=UNSET)
    status: str | Unset = field(STATUS, default=UNSET)
    location: str | Unset = field(LOCATION, default=UNSET)
    reorder_point: int | Unset | None = field(REORDER_POINT, default=UNSET)
    attributes: Mapping[str, str | None] | Unset = field(ATTRIBUTES.with_nulls, default=UNSET)
    if_match: _IfMatch = field(IF_MATCH, default=ANY_STATE)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)

    @property
    def details(self) -> dict[str, Any]:
        """The given details by name, without the quantity and the attributes."""
        return set_fields(
            self,
            exclude=("item_id", "sku", "quantity", "attributes", "if_match", "idempotency_key"),
        )


@command
class DeleteItem:
    """Delete an item."""

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    if_match: _IfMatch = field(IF_MATCH, default=ANY_STATE)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class ListItems:
    """
    List the items that match every filter, one page at a time.

    Within a category, the item edited longest ago comes first. All other lists are in the order of the item ids.
    """

    category: str | None = field(
        Nullable(Identifier(2048, doc="Only items of this category.")), default=None
    )
    status: str | None = field(
        Nullable(Choice(STATUSES, doc="Only items with this status.")), default=None
    )
    sku: str | None = field(
        Nullable(Identifier(1024, doc="Only items with this SKU, at any location.")), default=None
    )
    location: str | None = field(
        Nullable(Identifier(2048, doc="Only items at this location.")), default=None
    )
    low_stock: bool = field(
        Boolean(doc="Only items at or below their reorder point that are not discontinued."),
        default=False,
    )
    search: str | None = field(Nullable(SEARCH), default=None)
    page_size: int | None = field(Nullable(PAGE_SIZE), default=None)
    page_token: str | None = field(Nullable(PAGE_TOKEN), default=None, wire="last_evaluated_key")


@command
class AdjustStock:
    """Add or remove units, such as after a delivery, a breakage or a return."""

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    delta: int = field(DELTA)
    reason: str = field(REASON)
    reference: str | None = field(REFERENCE, default=None)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class CountStock:
    """Set the quantity to a physical count."""

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    quantity: int = field(QUANTITY)
    expected_quantity: int | None = field(EXPECTED_QUANTITY, default=None)
    reason: str | None = field(Nullable(REASON), default=None)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class ListMovements:
    """
    List the movements of an item, newest first, one page at a time.

    The last entry is the opening balance. With *since* or *until*, the movements of that period.
    """

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    since: _AtOrNone = field(Nullable(SINCE), default=None)
    until: _AtOrNone = field(Nullable(UNTIL), default=None)
    page_size: int | None = field(Nullable(PAGE_SIZE), default=None)
    page_token: str | None = field(Nullable(PAGE_TOKEN), default=None, wire="last_evaluated_key")

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class ItemRef:
    """A reference to an existing item."""

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class TransferStock:
    """Move units of one SKU from one item to another."""

    source: Converted[ItemRef | _Fields, ItemRef] = field(
        Object(ItemRef, doc="The item to take the units from."), wire="from"
    )
    destination: Converted[ItemRef | _Fields, ItemRef] = field(
        Object(ItemRef, doc="The item to add the units to."), wire="to"
    )
    quantity: int = field(UNITS)
    reference: str | None = field(REFERENCE, default=None)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)


@command
class LineRequest:
    """A line of a new reservation: units of one item."""

    item_id: str = field(ITEM_ID)
    sku: str = field(EXISTING_SKU)
    quantity: int = field(UNITS)

    @property
    def key(self) -> ItemKey:
        """The key of the item."""
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class CreateReservation:
    """Reserve units of one or more items: all lines or none."""

    lines: Converted[Sequence[LineRequest | _Fields], tuple[LineRequest, ...]] = field(
        List(
            Object(LineRequest),
            MAX_LINES,
            doc="Units to reserve. Lines of the same item are added up.",
        )
    )
    ttl_seconds: int = field(TTL_SECONDS, default=900)
    reference: str | None = field(REFERENCE, default=None)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)


@command
class GetReservation:
    """Return a reservation."""

    reservation_id: str = field(RESERVATION_ID)


@command
class ListReservations:
    """List the open reservations, the next to expire first, one page at a time."""

    item_id: str | None = field(
        Nullable(
            Identifier(2048, doc="Only reservations that hold units of this item. Needs `sku`.")
        ),
        default=None,
    )
    sku: str | None = field(
        Nullable(Identifier(1024, doc="SKU of the item. Needs `item_id`.")), default=None
    )
    reference: str | None = field(
        Nullable(Text(256, doc="Only reservations with this reference.")), default=None
    )
    page_size: int | None = field(Nullable(PAGE_SIZE), default=None)
    page_token: str | None = field(Nullable(PAGE_TOKEN), default=None, wire="last_evaluated_key")

    @property
    def key(self) -> ItemKey | None:
        """The key of the item; None for any."""
        if self.item_id is None or self.sku is None:
            return None
        return ItemKey(item_id=self.item_id, sku=self.sku)


@command
class CommitReservation:
    """
    Commit a reservation: remove its units from stock.

    With *lines*, a part of it; the rest stays held. Because a repeated request would take the units twice, this needs an
    idempotency key.
    """

    reservation_id: str = field(RESERVATION_ID)
    lines: Converted[Sequence[LineRequest | _Fields] | Unset, tuple[LineRequest, ...] | Unset] = (
        field(
            List(
                Object(LineRequest),
                MAX_LINES,
                doc="Units to commit; by default all. Lines of the same item are added up.",
            ),
            default=UNSET,
        )
    )
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)


@command
class ReleaseReservation:
    """Release the reservation: make its units available again."""

    reservation_id: str = field(RESERVATION_ID)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)


@command
class ExtendReservation:
    """
    Hold the units of a reservation for longer.

    The new end is never earlier than the old one, and at most 31 days after the reservation was created.
    """

    reservation_id: str = field(RESERVATION_ID)
    ttl_seconds: int = field(TTL_SECONDS)
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)


@command
class ExpireReservations:
    """Expire the reservations that are due, the oldest first."""

    limit: int = field(
        Integer(1, 100_000, doc="Maximum number of reservations to expire."), default=1000
    )
    far: bool = field(
        Boolean(
            doc="Also expire reservations that end more than 32 days from now, created while a clock was ahead. "
            "Check the clock first."
        ),
        default=False,
    )


def row_fields(kind: type[object]) -> dict[str, Spec]:
    """Return the fields of a row of a batch, by wire name: all but the key, which belongs to the batch."""
    return {spec.wire: spec for spec in specs(kind) if spec.wire != "idempotency_key"}


class _BatchRows:
    doc = "Rows with an `item_id` update that item; the others create one."

    def read(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise BoundError(FieldError("", f"must be a list of 1 to {MAX_ROWS} rows"))
        if len(value) > MAX_ROWS:
            raise BatchTooLargeError(rows=len(value), limit=MAX_ROWS)
        return tuple(map(self._row, value))

    @staticmethod
    def _row(value: Any) -> CreateItem | UpdateItem | ValidationError:
        if isinstance(value, CreateItem | UpdateItem):
            if value.idempotency_key is not None:
                return ValidationError(
                    errors=(FieldError("idempotency_key", "belongs on the batch, not on a row"),)
                )
            return value
        if not isinstance(value, Mapping):
            return ValidationError(errors=(FieldError("", "must be an object"),))
        try:
            if "item_id" in value:
                return build(UpdateItem, value, allowed=row_fields(UpdateItem))
            return build(CreateItem, value, allowed=row_fields(CreateItem))
        except ValidationError as error:
            # Not raised: it is the result of this row. With `PER_ROW`, the others are applied.
            return error

    def schema(self) -> JsonSchema:
        rows = [object_schema(row_fields(kind).values()) for kind in (CreateItem, UpdateItem)]
        return {"type": "array", "items": {"anyOf": rows}, "minItems": 1, "maxItems": MAX_ROWS}


@command
class BatchItems:
    """
    Create and update up to 25 items at once.

    Attributes:
        items: `CreateItem` and `UpdateItem` commands, and a `ValidationError` for each invalid row.
        mode: `ALL_OR_NOTHING` applies all rows in one write, or none. `PER_ROW` applies each row by itself.
    """

    items: Converted[
        Sequence[CreateItem | UpdateItem | _Fields],
        tuple[CreateItem | UpdateItem | ValidationError, ...],
    ] = field(_BatchRows())
    mode: str = field(
        Choice((ALL_OR_NOTHING, PER_ROW), doc="Whether the batch is atomic."),
        default=ALL_OR_NOTHING,
    )
    idempotency_key: _Key = field(IDEMPOTENCY_KEY, default=None)
