"""What a thing is: its details, guarded by `version`, and beside them how much of it there is, guarded by `seq`."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Self

import attrs
from attrs import frozen

from inventory.validation import normalized

__all__ = [
    "AVAILABLE",
    "DISCONTINUED",
    "OUT_OF_STOCK",
    "STATUSES",
    "Item",
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
    An instant as it is stored and sent: ``2026-05-01T09:30:00.000000+00:00``.

    Text rather than a datetime because stores sort it as text (hence the fixed width), and because times that an earlier
    version stored, naive ones among them, are given back as they are.
    """

    __slots__ = ()

    @classmethod
    def of(cls, at: datetime) -> Self:
        """Write down the aware datetime *at*."""
        if at.tzinfo is None:
            msg = "a time without a zone is not an instant; pass an aware datetime"
            raise ValueError(msg)
        return cls(at.astimezone(UTC).isoformat(timespec="microseconds"))

    def as_datetime(self) -> datetime:
        """
        Return the instant in UTC; a stored time without a zone is read as UTC.

        Raises:
            ValueError: An earlier version stored something that is no ISO 8601 time.
        """
        at = datetime.fromisoformat(self)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@frozen(kw_only=True, order=True)
class ItemKey:
    """
    What finds an item.

    Attributes:
        item_id: Made by the system; a UUID.
        sku: The code that people use; items at several locations may share one.
    """

    item_id: str
    sku: str

    @property
    def normalized(self) -> Self:
        """The key with the SKU in the form that new items have; the key itself where it has that already."""
        sku = normalized(self.sku)
        return self if sku == self.sku else attrs.evolve(self, sku=sku)


@frozen(kw_only=True)
class StockLevel:
    """
    Units of one item. No instance breaks ``0 <= reserved <= on_hand``.

    Attributes:
        on_hand: Units that are physically there; `quantity` on the wire.
        reserved: Units among them that are promised.
        seq: How many movements the item has seen.
    """

    on_hand: int
    reserved: int = 0
    seq: int = 0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.reserved <= self.on_hand or self.seq < 0:
            msg = f"no stock can be {self.on_hand} on hand, {self.reserved} reserved, at movement {self.seq}"
            raise ValueError(msg)

    @property
    def available(self) -> int:
        """Units that can still be promised."""
        return self.on_hand - self.reserved


@frozen(kw_only=True)
class Item:
    """
    A thing that is kept at a location.

    Attributes:
        key: What finds it.
        name: For people, one line.
        description: For people, any length up to the bound; may be empty.
        category: What it is listed under.
        price: Per unit, exact, in the deployment's one currency.
        status: One of `STATUSES`; rows of an earlier version may hold others.
        location: Where it is kept.
        reorder_point: At or below this many available units the item is low; None for never.
        version: How many edits the details have seen, from 1; 0 for a row of an earlier version.
        created_at: When the item was put on the books.
        updated_at: When it was last edited; movements of stock do not count.
        level: How much of it there is.
    """

    key: ItemKey
    name: str
    description: str = ""
    category: str
    price: Decimal = Decimal(0)
    status: str = AVAILABLE
    location: str = "default"
    reorder_point: int | None = None
    version: int = 1
    created_at: Timestamp
    updated_at: Timestamp
    level: StockLevel

    @property
    def item_id(self) -> str:
        """The system's half of the key."""
        return self.key.item_id

    @property
    def sku(self) -> str:
        """The people's half of the key."""
        return self.key.sku

    @property
    def is_low(self) -> bool:
        """Whether the numbers are low: `available <= reorder_point`, whatever the status."""
        return self.reorder_point is not None and self.level.available <= self.reorder_point

    @property
    def needs_reorder(self) -> bool:
        """Whether the item belongs in the list of low stock: low, and not discontinued."""
        return self.is_low and self.status != DISCONTINUED

    @property
    def etag(self) -> str:
        """The state of the item as an entity tag (RFC 9110, section 8.8.3): ``"<version>-<seq>"``, in its quotes."""
        return f'"{self.version}-{self.level.seq}"'

    def edited(self, fields: dict[str, Any], *, at: Timestamp) -> Self:
        """Return the next version of the item, with *fields* replaced."""
        return attrs.evolve(self, **fields, version=self.version + 1, updated_at=at)

    def moved(self, level: StockLevel) -> Self:
        """
        Return the item with its stock at *level*, and the status that follows from it.

        The status follows on edges only: an available item whose last available unit goes becomes out of stock, and comes
        back with the next one. A discontinued item stays so.
        """
        status = self.status
        if status == AVAILABLE and self.level.available > 0 == level.available:
            status = OUT_OF_STOCK
        elif status == OUT_OF_STOCK and level.available > 0 == self.level.available:
            status = AVAILABLE
        return attrs.evolve(self, level=level, status=status)
