"""
Loyverse: the export of items, a row for each variant, with columns of its own for each store.

Source: help.loyverse.com, "Import and export your items".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from attrs import evolve

from inventory_adapters.catalogue.cells import Header, Record
from inventory_adapters.catalogue.drafts import Draft, Options
from inventory_adapters.catalogue.shops import Keys, Place, ShopFormat, named, says_no

__all__ = ["LoyverseFormat"]

_OPTIONS: Final = ("option 1", "option 2", "option 3")


class LoyverseFormat(ShopFormat):
    """Each variant is an item in every store that has it."""

    name = "loyverse"
    title = "Loyverse item export"
    names: ClassVar[Mapping[str, Keys]] = {
        "handle": ("handle",),
        "sku": ("sku",),
        "name": ("name",),
        "category": ("category",),
        "description": ("description",),
        "price": ("default price", "price"),
        "quantity": ("in stock",),
        "reorder_point": ("low stock",),
        "tracked": ("track stock",),
        "component": ("sku of included item",),
        **{it: (f"{it} value",) for it in _OPTIONS},
    }

    by_location: ClassVar[Mapping[str, str]] = {
        "quantity": "in stock [{}]",
        "price": "price [{}]",
        "reorder_point": "low stock [{}]",
        "for_sale": "available for sale [{}]",
    }

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._first: dict[str, str] = {}

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise an export by its handle, its SKU, its name, and whether stock is tracked."""
        has_ours = all(it in header for it in ("handle", "sku", "name"))
        stores = any(it.startswith("in stock [") for it in header.places)
        return has_ours and (
            stores or header.first("track stock", "sold by weight", "default price") is not None
        )

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the variant once for each store; a component of a composite item is none."""
        if self._text(record, "component") and not self._text(record, "sku"):
            return
        # What all variants share stands in the row of the first.
        shared = {it: self._text(record, it) for it in ("name", "category", "description")}
        if shared["name"]:
            self._first = shared
        elif self._first:
            shared = self._first
        item = self._item(
            record,
            sku=self._text(record, "sku"),
            name=named(shared["name"], *(self._text(record, it) for it in _OPTIONS)),
            category=shared["category"],
            description=shared["description"],
        )
        rows = (
            [self._numbered(record, item, it) for it in self._places if self._is_there(record, it)]
            if self._places
            else [item]
        )
        if says_no(self._text(record, "tracked")):
            not_counted = {"quantity": "", "reorder_point": ""}
            rows = [evolve(it, numbers={**it.numbers, **not_counted}) for it in rows]
        yield from rows

    def _is_there(self, record: Record, place: Place) -> bool:
        is_counted = bool(self._text(record, "quantity", place))
        return is_counted or not says_no(self._text(record, "for_sale", place))
