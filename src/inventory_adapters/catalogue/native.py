"""The columns of this project, written by `export_items` or by hand."""

from typing import ClassVar, Final

from inventory_adapters.catalogue.any_table import COLUMNS, TableFormat
from inventory_adapters.catalogue.cells import Header

__all__ = ["COLUMNS", "NativeFormat"]

_IDENTIFYING: Final = ("item_id", "name")


class NativeFormat(TableFormat):
    """Rows with an `item_id` are about that item; the others are matched by SKU and location."""

    name: ClassVar[str] = "native"
    title: ClassVar[str] = "table with the columns of this project"

    @staticmethod
    def fits(header: Header) -> bool:
        """Recognise our columns: the SKU, and the id or the name, and no field under another name."""
        if "sku" not in header or header.first(*_IDENTIFYING) is None:
            return False
        return all(it in COLUMNS for it in TableFormat.mapping_of(header).values())
