"""
Magento 2 (Adobe Commerce): the export of products, a row each; rows of a store view hold translations.

Source: experienceleague.adobe.com, "Product attributes CSV reference".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from attrs import evolve

from inventory_adapters.catalogue.cells import Record
from inventory_adapters.catalogue.drafts import Draft
from inventory_adapters.catalogue.shops import Keys, ShopFormat, last_step, says_yes

__all__ = ["MagentoFormat"]

# Products that hold others, which have the stock.
_HOLDERS: Final = ("configurable", "grouped", "bundle")


class MagentoFormat(ShopFormat):
    """Each product with a stock of its own is an item."""

    name = "magento"
    title = "Magento 2 product export"
    decimal = "."
    needs = (
        ("sku",),
        ("product_type",),
        ("attribute_set_code", "product_websites", "store_view_code"),
    )
    names: ClassVar[Mapping[str, Keys]] = {
        "sku": ("sku",),
        "name": ("name",),
        "description": ("description",),
        "short": ("short_description",),
        "type": ("product_type",),
        "store_view": ("store_view_code",),
        "category": ("categories",),
        "price": ("price",),
        "quantity": ("qty",),
        "reorder_point": ("notify_on_stock_below",),
        "default_alert": ("use_config_notify_stock_qty",),
    }

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the product; a translation, or a product that only holds others, is none."""
        if self._text(record, "store_view") or self._text(record, "type").lower() in _HOLDERS:
            return
        item = self._item(
            record,
            sku=self._text(record, "sku"),
            name=self._text(record, "name"),
            category=last_step(self._text(record, "category").partition(",")[0], "/"),
            description=self._text(record, "description") or self._text(record, "short"),
        )
        if says_yes(self._text(record, "default_alert").removesuffix(".0000")):
            # The default of the shop, not a value of this product.
            item = evolve(item, numbers={**item.numbers, "reorder_point": ""})
        yield item
