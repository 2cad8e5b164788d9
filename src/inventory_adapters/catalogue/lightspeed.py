"""
Lightspeed Retail X-Series, which was Vend: a row for each variant, with columns of its own for each outlet.

Source: x-series-support.lightspeedhq.com, "Importing and exporting products with a CSV spreadsheet".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from inventory_adapters.catalogue.cells import Header, Record
from inventory_adapters.catalogue.drafts import Draft
from inventory_adapters.catalogue.shops import Keys, ShopFormat, last_step, named, says_no

__all__ = ["LightspeedFormat"]

_VARIANTS: Final = ("one", "two", "three")


class LightspeedFormat(ShopFormat):
    """Each variant is an item in every outlet that counts it."""

    name = "lightspeed"
    title = "Lightspeed (Vend) product export"
    names: ClassVar[Mapping[str, Keys]] = {
        "sku": ("sku",),
        "name": ("name", "product_name"),
        "description": ("description",),
        "category": ("product_category", "type"),
        "price": ("retail_price", "price"),
        "component": ("composite_sku",),
        "active": ("active",),
        "tracked": ("track_inventory",),
        **{f"value {it}": (f"variant_option_{it}_value",) for it in _VARIANTS},
    }
    by_location: ClassVar[Mapping[str, str]] = {
        "quantity": "inventory_{}",
        "reorder_point": "reorder_point_{}",
    }

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise an export by its SKU, its supply price, and the options of variants or the columns of outlets."""
        if "sku" not in header or header.first("supply_price", "retail_price") is None:
            return False
        has_outlets = any(it.startswith("inventory_") for it in header.places)
        return has_outlets or "variant_option_one_name" in header

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the variant once for each outlet; of a product that is not counted, one item without a quantity."""
        if self._text(record, "component") and not self._text(record, "sku"):
            return  # A part of the composite product in a row before.
        values = [self._text(record, f"value {it}") for it in _VARIANTS]
        item = self._item(
            record,
            sku=self._text(record, "sku"),
            name=named(self._text(record, "name"), *values),
            category=last_step(self._text(record, "category"), "/"),
            description=self._text(record, "description"),
            is_discontinued=says_no(self._text(record, "active")),
        )
        counted = [it for it in self._places if self._text(record, "quantity", it)]
        is_tracked = not says_no(self._text(record, "tracked"))
        places = (counted or self._places) if is_tracked else ()
        for place in places or (None,):
            yield self._numbered(record, item, place)
