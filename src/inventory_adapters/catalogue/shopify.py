"""
Shopify's product CSV: a product has a row for each variant or image; the first has the fields that all variants share.

Source: help.shopify.com, "Using CSV files to import and export products": the headers of today and those of before 2025.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

from attrs import evolve, frozen

from inventory_adapters.catalogue.cells import CellError, Header, Record
from inventory_adapters.catalogue.drafts import Draft, Options
from inventory_adapters.catalogue.shops import (
    Keys,
    ShopFormat,
    cut,
    last_step,
    made_sku,
    named,
    slug,
)

__all__ = ["HANDLE", "OPTIONS", "ShopifyFormat", "option_values", "variant_sku"]

HANDLE: Final = ("url handle", "handle")
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    f"option{it}": (f"option{it} value",) for it in (1, 2, 3)
}
_OF_A_VARIANT: Final = ("sku", "price", "quantity", *OPTIONS)

# Columns that have one value for all variants of a product, in its first row.
_IS_SHARED: Final = re.compile(
    r"vendor|type|tags|product category|published.*|status|gift card|seo .*|.*product\.metafields.*"
)

# Shopify's name for the one variant of a product without options.
_NO_OPTION: Final = "default title"

_OF_PRODUCTS: Final = (
    *("body (html)", "body html", "product category", "variant price", "variant sku"),
    *("variant inventory qty", "inventory quantity", "image src", "product image url"),
    *("seo title", "gift card"),
)
# With a handle, or these are columns of anything.
_WITH_HANDLE: Final = ("vendor", "type", "tags", "published", "price", "status", "description")
_OF_INVENTORIES: Final = ("coo", "hs code", "on hand", "on hand (current)", "on hand (new)")


def option_values(cells: Iterable[str]) -> list[str]:
    """Return the values of the options, blank ones included; none of a product without options."""
    values = list(cells)
    return [] if values[0].lower() == _NO_OPTION else values


def variant_sku(sku: str, handle: str, values: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the SKU of a variant, or one made for it, and a note about it."""
    # Shopify puts a ' before a number, so that Excel takes it as text.
    if re.fullmatch(r"'[0-9]+", sku):
        return sku[1:], (f"SKU {sku} taken as {sku[1:]}",)
    if sku:
        return sku, ()
    made = made_sku(handle, *values)
    return made, (f"has no SKU: {made}, made from handle and options",)


@frozen(kw_only=True)
class _Product:
    """The fields that the variants of a product share; *item* has its texts, except the attributes."""

    handle: str
    title: str
    item: Draft
    attributes: Mapping[str, str]


class ShopifyFormat(ShopFormat):
    """Each variant is an item; an image is none."""

    name = "shopify"
    title = "Shopify product CSV"
    decimal = "."
    names: ClassVar[Mapping[str, Keys]] = {
        "handle": HANDLE,
        "name": ("title",),
        "description": ("description", "body (html)", "body html"),
        "type": ("type",),
        "category": ("product category",),
        "status": ("status",),
        "sku": ("sku", "variant sku"),
        "price": ("price", "variant price"),
        "quantity": ("inventory quantity", "variant inventory qty"),
        **OPTIONS,
    }

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._product: _Product | None = None

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise a product CSV by its title, its handle, and what only products have beside them."""
        if "title" not in header:
            return False
        if header.first(*_OF_PRODUCTS) is not None:
            return True
        # Inventories have handles and options, too.
        is_inventory = header.first(*_OF_INVENTORIES) is not None
        has_handle = header.first(*HANDLE) is not None
        if is_inventory or not (has_handle or "option1 value" in header):
            return False
        return header.first("option1 value", *_WITH_HANDLE) is not None

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the variant of a row; an image has none."""
        product = self._product = self._product_of(record)
        if self._text(record, "name") or any(self._text(record, it) for it in _OF_A_VARIANT):
            yield self._variant(product, record)

    def _variant(self, product: _Product, record: Record) -> Draft:
        values = option_values(self._text(record, it) for it in OPTIONS)
        sku, notes = variant_sku(self._text(record, "sku"), product.handle, values)
        item = product.item
        texts, about = item.details, item.notes
        if any(values):
            name, cut_notes = cut("name", named(product.title, *values))
            texts = {**texts, "name": name}
            about = (*about, *cut_notes)
        if self.attributes:
            texts = {**texts, "attributes": {**product.attributes, **self._kept(record)}}
        row = evolve(item, line=record.line, sku=sku, details=texts, notes=(*about, *notes))
        return self._numbered(record, row)

    def _product_of(self, record: Record) -> _Product:
        handle, title = self._text(record, "handle"), self._text(record, "name")
        known = self._product
        if title and (known is None or handle != known.handle or title != known.title):
            return self._new_product(record, handle or slug(title) or title, title)
        if known is None or (handle and handle != known.handle):
            # Rows of this product that follow have nothing to inherit either.
            self._product = None
            raise CellError(
                "has no title, and the row before is of another product: keep the rows of a product together",
                column=self.columns["handle"],
                value=handle,
            )
        return known

    def _new_product(self, record: Record, handle: str, title: str) -> _Product:
        item = self._item(
            record,
            sku="",
            name=title,
            category=self._text(record, "type") or last_step(self._text(record, "category")),
            description=self._text(record, "description"),
            is_discontinued=self._text(record, "status").lower() == "archived",
        )
        kept = self._kept(record).items()
        shared = {it: text for it, text in kept if _IS_SHARED.fullmatch(self.attributes[it])}
        return _Product(handle=handle, title=title, item=item, attributes=shared)

    def _kept(self, record: Record) -> dict[str, str]:
        # As before a SKU, see `variant_sku`.
        kept = super()._kept(record).items()
        return {it: re.sub("^'(?=[0-9]+$)", "", text) for it, text in kept}
