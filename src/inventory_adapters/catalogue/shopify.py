"""
Shopify's product CSV: one product over several rows, a variant or an image each; what all variants share stands in the first.

Source: help.shopify.com, "Using CSV files to import and export products": both the headers of today and those of before 2025.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final

from attrs import frozen

from inventory.items import AVAILABLE, DISCONTINUED, OUT_OF_STOCK
from inventory_adapters.catalogue.csv_file import CellError, Record, unguarded
from inventory_adapters.catalogue.drafts import Draft, Options, cut, price, slug, units
from inventory_adapters.catalogue.html_text import html_to_text

__all__ = ["ShopifyFormat"]

UNCATEGORIZED: Final = "uncategorized"

_MAX_SKU: Final = 128
_MAX_NAME: Final = 256
_MAX_DESCRIPTION: Final = 4096

# Our word for each column → the names that it has had.
_ALIASES: Final = {
    "handle": ("url handle", "handle"),
    "title": ("title",),
    "body": ("description", "body (html)", "body html"),
    "type": ("type",),
    "category": ("product category",),
    "status": ("status",),
    "sku": ("sku", "variant sku"),
    "price": ("price", "variant price"),
    "quantity": ("inventory quantity", "variant inventory qty"),
    "option1": ("option1 value",),
    "option2": ("option2 value",),
    "option3": ("option3 value",),
}
_OPTIONS: Final = ("option1", "option2", "option3")
_OF_A_VARIANT: Final = ("sku", "price", "quantity", *_OPTIONS)

# What Shopify calls the one variant of a product that has no options.
_NO_OPTION: Final = "default title"


@frozen(kw_only=True)
class _Product:
    handle: str
    title: str
    details: dict[str, Any]
    is_archived: bool
    notes: tuple[str, ...]


class ShopifyFormat:
    """Each variant is an item; an image is none."""

    name: ClassVar[str] = "shopify"

    def __init__(
        self, header: tuple[str, ...], columns: Mapping[str, int], options: Options
    ) -> None:
        self._options = options
        self._columns = {
            ours: next((name for name in theirs if name in columns), theirs[0])
            for ours, theirs in _ALIASES.items()
        }
        self._has_body = self._columns["body"] in columns
        self._called = {
            ours: header[columns[theirs]].strip() if theirs in columns else theirs
            for ours, theirs in self._columns.items()
        }
        self._called |= {"name": self._called["title"], "description": self._called["body"]}
        self._called["location"] = "location"
        self._product: _Product | None = None

    @staticmethod
    def fits(columns: Mapping[str, int]) -> bool:
        """Tell a product CSV by its title and what only Shopify has beside it."""
        ours = {
            "url handle",
            "body (html)",
            "variant price",
            "variant sku",
            "variant inventory qty",
            "option1 value",
        }
        return "title" in columns and not ours.isdisjoint(columns)

    @staticmethod
    def needs() -> str:
        """Say what a product CSV has at least."""
        return "Title, and URL handle (or Handle) or a column of variants"

    def drafts(self, record: Record) -> Iterator[Draft]:
        """Yield the variant of a row; an image has none."""
        product = self._product = self._product_of(record)
        if self._cell(record, "title") or any(self._cell(record, it) for it in _OF_A_VARIANT):
            yield self._variant(product, record)

    def _variant(self, product: _Product, record: Record) -> Draft:
        values = [self._cell(record, it) for it in _OPTIONS]
        values = [it for it in values if it and it.lower() != _NO_OPTION]
        sku, sku_notes = self._sku(record, product.handle, values)
        name, name_notes = _named(product.title, values)
        quantity, quantity_notes = units(
            record, self._columns["quantity"], self._called["quantity"], self._options
        )
        details = {**product.details, "name": name}
        if product.is_archived:
            details["status"] = DISCONTINUED
        amount = price(record, self._columns["price"], self._called["price"], self._options)
        if amount is not None:
            details["price"] = amount
        return Draft(
            line=record.line,
            sku=sku,
            location=self._options.location,
            quantity=quantity,
            details=details,
            # From then on the status follows the stock, and the file has nothing to say of it.
            initial={"status": AVAILABLE if quantity else OUT_OF_STOCK},
            columns=self._called,
            notes=(*product.notes, *sku_notes, *name_notes, *quantity_notes),
        )

    def _product_of(self, record: Record) -> _Product:
        handle, title = self._cell(record, "handle"), self._cell(record, "title")
        known = self._product
        if title:
            return self._new_product(record, handle or slug(title), title)
        if known is None or (handle and handle != known.handle):
            raise CellError(
                "has no title, and the row before is of another product: keep the rows of a product together",
                column=self._called["handle"],
                value=handle,
            )
        return known

    def _new_product(self, record: Record, handle: str, title: str) -> _Product:
        description, notes = cut(
            html_to_text(self._cell(record, "body")), _MAX_DESCRIPTION, "description"
        )
        # The last step of "Apparel & Accessories > Clothing > Shirts".
        taxonomy = self._cell(record, "category").rpartition(">")[2].strip()
        category = self._cell(record, "type") or taxonomy
        if not category:
            category, notes = UNCATEGORIZED, (*notes, f"category set to {UNCATEGORIZED}")
        details: dict[str, Any] = {"category": category}
        if self._has_body:
            details["description"] = description
        return _Product(
            handle=handle,
            title=title,
            details=details,
            is_archived=self._cell(record, "status").lower() == "archived",
            notes=notes,
        )

    def _sku(self, record: Record, handle: str, values: list[str]) -> tuple[str, tuple[str, ...]]:
        sku = self._cell(record, "sku")
        # Shopify puts a ' before a number, for Excel to take it as text.
        if re.fullmatch(r"'[0-9]+", sku):
            return sku[1:], (f"SKU {sku} taken as {sku[1:]}",)
        if sku:
            return sku, ()
        made = slug(handle, *values)
        if len(made) > _MAX_SKU:
            made = f"{made[: _MAX_SKU - 9]}-{sha256(made.encode()).hexdigest()[:8]}"
        return made, (f"has no SKU: {made}, made from handle and options",)

    def _cell(self, record: Record, ours: str) -> str:
        return unguarded(record.stripped(self._columns[ours]))


def _named(title: str, values: list[str]) -> tuple[str, tuple[str, ...]]:
    return cut(f"{title} ({' / '.join(values)})" if values else title, _MAX_NAME, "name")
