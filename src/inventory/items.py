"""
Items and their stock levels.

The details of an item are guarded by `version`, its stock level by `seq`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Self

import attrs
from attrs import field, frozen

from inventory.validation import folded, normalized

__all__ = [
    "AVAILABLE",
    "DISCONTINUED",
    "OUT_OF_STOCK",
    "STATUSES",
    "Item",
    "ItemAt",
    "ItemKey",
    "StockLevel",
    "Timestamp",
]

AVAILABLE: Final = "available"
OUT_OF_STOCK: Final = "out_of_stock"
DISCONTINUED: Final = "discontinued"
STATUSES: Final = (AVAILABLE, OUT_OF_STOCK, DISCONTINUED)


class Timestamp(str):
    """
    A time as it is stored and sent: ``2026-05-01T09:30:00.000000+00:00``.

    Text rather than a datetime, because stores sort it as text (hence the fixed width), and because times that an earlier
    version stored, naive ones included, are returned unchanged.
    """

    __slots__ = ()

    @classmethod
    def of(cls, at: datetime) -> Self:
        """Return the timestamp of the aware datetime *at*."""
        if at.tzinfo is None:
            msg = "a datetime needs a time zone"
            raise ValueError(msg)
        return cls(at.astimezone(UTC).isoformat(timespec="microseconds"))

    def plus(self, seconds: int) -> Self:
        """Return the time *seconds* later, or earlier if they are negative."""
        return self.of(self.as_datetime() + timedelta(seconds=seconds))

    def as_datetime(self) -> datetime:
        """
        Return an aware datetime in UTC; a time without a zone is read as UTC.

        Raises:
            ValueError: The text, which an earlier version stored, is not an ISO 8601 time.
        """
        at = datetime.fromisoformat(self)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@frozen(kw_only=True, order=True)
class ItemKey:
    """
    The key of an item.

    Attributes:
        item_id: A UUID that the system generates.
        sku: The human-facing code; items at several locations may share one.
    """

    item_id: str
    sku: str

    @property
    def normalized(self) -> Self:
        """
        The key with its SKU in the form that new items have.

        It is the key itself if its SKU already has that form.
        """
        sku = normalized(self.sku)
        return self if sku == self.sku else attrs.evolve(self, sku=sku)


@frozen(kw_only=True)
class StockLevel:
    """
    Units of one item, with ``0 <= reserved <= on_hand``.

    Attributes:
        on_hand: Units that are physically there; `quantity` on the wire.
        reserved: Units on hand that open reservations hold.
        seq: Number of stock movements recorded for the item.
    """

    on_hand: int
    reserved: int = 0
    seq: int = 0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.reserved <= self.on_hand or self.seq < 0:
            msg = f"invalid stock level: {self.on_hand} on hand, {self.reserved} reserved, seq {self.seq}"
            raise ValueError(msg)

    @property
    def available(self) -> int:
        """Units that are on hand and not reserved."""
        return self.on_hand - self.reserved


@frozen(kw_only=True)
class Item:
    """
    A thing that is kept at a location.

    Attributes:
        key: Its ID and SKU.
        name: One line of text.
        description: Any text up to the maximum length; may be empty.
        category: The category that it is listed under.
        price: The exact price of one unit, in the deployment's one currency.
        status: One of `STATUSES`; rows of an earlier version may have others.
        location: Where it is kept.
        reorder_point: The item is low when available units fall to this number; None for never.
        attributes: Texts that a shop keeps beside, by name: ``{"barcode": "4006381333931"}``. Do not change it.
        version: Number of the version of the details, from 1; 0 for a row of an earlier version.
        created_at: When the item was created.
        updated_at: When the details or, by an update, the quantity last changed. Other movements do not count.
        level: Its stock level.
        moved_at: When its last movement was recorded; None if it has none. Neither compared nor part of the wire format.
        changed_by: The actor who created it or last edited its details. Neither compared nor part of the wire format.
    """

    key: ItemKey
    name: str
    description: str = ""
    category: str
    price: Decimal = Decimal(0)
    status: str = AVAILABLE
    location: str = "default"
    reorder_point: int | None = None
    attributes: Mapping[str, str] = field(factory=dict, hash=False)
    version: int = 1
    created_at: Timestamp
    updated_at: Timestamp
    level: StockLevel
    moved_at: Timestamp | None = field(default=None, eq=False)
    changed_by: str | None = field(default=None, eq=False)

    @property
    def item_id(self) -> str:
        """The ID."""
        return self.key.item_id

    @property
    def sku(self) -> str:
        """The SKU."""
        return self.key.sku

    @property
    def is_low(self) -> bool:
        """Whether `available <= reorder_point`, whatever the status."""
        return self.reorder_point is not None and self.level.available <= self.reorder_point

    @property
    def needs_reorder(self) -> bool:
        """Whether the item is in the list of low stock: low, and not discontinued."""
        return self.is_low and self.status != DISCONTINUED

    @property
    def etag(self) -> str:
        """
        The state of the item as an entity tag (RFC 9110, section 8.8.3).

        It is ``"<version>-<seq>"``, with the quotes.
        """
        return f'"{self.version}-{self.level.seq}"'

    @property
    def search_text(self) -> str:
        """The texts that a search compares, folded, one per line: SKU, name and the values of the attributes."""
        return folded("\n".join((self.sku, self.name, *self.attributes.values())))

    def edited(self, fields: dict[str, Any], *, actor: str | None, at: Timestamp) -> Self:
        """Return the next version of the item, with *fields* replaced."""
        return attrs.evolve(
            self, **fields, version=self.version + 1, updated_at=at, changed_by=actor
        )

    def moved(self, level: StockLevel, *, at: Timestamp) -> Self:
        """
        Return the item with its stock at *level*, and the status that follows.

        The status changes only when availability does: an available item becomes out of stock with its last available unit,
        and available again with the next one. A discontinued item stays discontinued.
        """
        status = self.status
        if status == AVAILABLE and self.level.available > 0 == level.available:
            status = OUT_OF_STOCK
        elif status == OUT_OF_STOCK and level.available > 0 == self.level.available:
            status = AVAILABLE
        return attrs.evolve(self, level=level, status=status, moved_at=at)


@frozen(kw_only=True)
class ItemAt(Item):
    """
    An item as it is now, with its stock at a time in the past.

    Attributes:
        at: The stock after the last movement at that time or before; None if the item did not exist yet.
    """

    at: StockLevel | None
