"""A stocktake: SKUs with their quantities and nothing else, by location where several are counted."""

from collections.abc import Iterator
from typing import ClassVar, Final

from attrs import evolve

from inventory_adapters.catalogue.any_table import TableFormat
from inventory_adapters.catalogue.cells import Header, Record
from inventory_adapters.catalogue.drafts import ItemRow

__all__ = ["CountsFormat"]

_NEEDED: Final = {"sku", "quantity"}
_ALLOWED: Final = {*_NEEDED, "location"}


class CountsFormat(TableFormat):
    """Quantities of items that exist; a SKU that does not exist is reported, not created."""

    name: ClassVar[str] = "counts"
    title: ClassVar[str] = "stocktake"

    @staticmethod
    def fits(header: Header) -> bool:
        """Recognise a stocktake: it has nothing that an item could be created from."""
        fields = TableFormat.mapping_of(header).keys()
        return fields >= _NEEDED and fields <= _ALLOWED

    def rows(self, record: Record) -> Iterator[ItemRow]:
        """Yield the counted item."""
        for row in super().rows(record):
            yield evolve(row, may_create=False)
