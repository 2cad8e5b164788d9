"""Our own columns: what `export_items` writes, and what a person may write by hand."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from inventory_adapters.catalogue.csv_file import Record, unguarded
from inventory_adapters.catalogue.drafts import Draft, Options, price, units, whole

__all__ = ["COLUMNS", "NativeFormat"]

COLUMNS: Final = (
    *("item_id", "sku", "name", "description", "quantity", "price", "category", "status"),
    *("location", "reorder_point", "version", "seq"),
)
_NAMES: Final = {name: name for name in COLUMNS}
_TEXTS: Final = ("name", "description", "category", "status")


class NativeFormat:
    """Rows with an `item_id` speak of that item; the others of one that is found by SKU and location, or made."""

    name: ClassVar[str] = "native"

    def __init__(
        self, header: tuple[str, ...], columns: Mapping[str, int], options: Options
    ) -> None:
        del header
        self._options = options
        self._texts = [name for name in _TEXTS if name in columns]
        self._has_reorder_point = "reorder_point" in columns

    @staticmethod
    def fits(columns: Mapping[str, int]) -> bool:
        """Tell our columns by the SKU, and the id or the name."""
        return "sku" in columns and ("item_id" in columns or "name" in columns)

    @staticmethod
    def needs() -> str:
        """Say what we cannot do without."""
        return "sku, and item_id or name"

    def drafts(self, record: Record) -> Iterator[Draft]:
        """Yield the one item of a row."""
        options = self._options
        details: dict[str, Any] = {name: unguarded(record[name]) for name in self._texts}
        # Blank says nothing of what an item always has; of a description it says that there is none.
        details = {name: it for name, it in details.items() if it or name == "description"}
        amount = price(record, "price", "price", options)
        if amount is not None:
            details["price"] = amount
        if self._has_reorder_point:
            details["reorder_point"] = whole(record, "reorder_point", "reorder_point")
        location = unguarded(record["location"])
        if location:
            details["location"] = location
        quantity, notes = units(record, "quantity", "quantity", options)
        yield Draft(
            line=record.line,
            sku=unguarded(record["sku"]),
            location=location or options.location,
            item_id=unguarded(record["item_id"]) or None,
            version=whole(record, "version", "version"),
            seq=whole(record, "seq", "seq"),
            quantity=quantity,
            details=details,
            columns=_NAMES,
            notes=notes,
        )
