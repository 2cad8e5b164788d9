"""
Odoo: products exported from a list, with the labels of the columns or with their technical names.

Source: odoo.com/documentation, "Export and import data".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from inventory_adapters.catalogue.cells import Record
from inventory_adapters.catalogue.drafts import Draft
from inventory_adapters.catalogue.shops import Keys, ShopFormat, last_step, says_no

__all__ = ["OdooFormat"]

# Columns that only Odoo names so: labels, and technical names.
_OF_ODOO: Final = (
    *("sales price", "public price", "cost", "product type", "product category", "can be sold"),
    *("quantity on hand", "forecasted quantity", "forecasted", "external id", "unit of measure"),
    *("list_price", "lst_price", "standard_price", "qty_available", "virtual_available"),
    *("categ_id", "categ_id/id", "product_tmpl_id"),
)


class OdooFormat(ShopFormat):
    """Each product is an item, found by its internal reference."""

    name = "odoo"
    title = "Odoo product export"
    needs = (
        ("internal reference", "default_code"),
        ("name", "display name", "display_name"),
        _OF_ODOO,
    )
    names: ClassVar[Mapping[str, Keys]] = {
        "sku": ("internal reference", "default_code"),
        "external id": ("external id", "id"),
        "name": ("name", "display name", "display_name"),
        "description": ("sales description", "description_sale", "description"),
        "category": ("product category", "categ_id", "categ_id/complete_name", "categ_id/name"),
        "price": ("sales price", "public price", "list_price", "lst_price", "price"),
        "quantity": ("quantity on hand", "qty_available", "on hand"),
        "reorder_point": ("reordering min qty", "reordering_min_qty"),
        "active": ("active",),
    }

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the product of a row."""
        sku = self._text(record, "sku")
        notes: tuple[str, ...] = ()
        if not sku and (sku := self._text(record, "external id")):
            notes = (f"has no internal reference: {sku}, its external ID",)
        yield self._item(
            record,
            sku=sku,
            name=self._text(record, "name"),
            category=last_step(self._text(record, "category"), "/"),
            description=self._text(record, "description"),
            is_discontinued=says_no(self._text(record, "active")),
            notes=notes,
        )
