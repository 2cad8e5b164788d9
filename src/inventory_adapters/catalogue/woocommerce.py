"""
WooCommerce's product CSV: a row for each product and each variation; a variable product has its stock in its variations.

Source: github.com/woocommerce/woocommerce, wiki "Product CSV Import Schema".
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from attrs import evolve

from inventory_adapters.catalogue.cells import CellError, Header, Record
from inventory_adapters.catalogue.drafts import Draft, Options
from inventory_adapters.catalogue.shops import Keys, ShopFormat, last_step

__all__ = ["WooCommerceFormat"]

_OF_WOOCOMMERCE: Final = (
    "is featured?",
    "in stock?",
    "visibility in catalog",
    "tax status",
    "backorders allowed?",
)
# Products that hold others and are never in stock themselves.
_HOLDERS: Final = ("variable", "grouped", "external")
_AT_PARENT: Final = "parent"
_COMMA: Final = re.compile(r"(?<!\\),")


class WooCommerceFormat(ShopFormat):
    """Each simple product and each variation is an item."""

    name = "woocommerce"
    title = "WooCommerce product CSV"
    decimal = "."
    needs = (
        ("sku",),
        ("name",),
        ("regular price",),
        _OF_WOOCOMMERCE,
    )
    names: ClassVar[Mapping[str, Keys]] = {
        "sku": ("sku",),
        "id": ("id",),
        "name": ("name",),
        "description": ("description",),
        "short": ("short description",),
        "type": ("type",),
        "parent": ("parent",),
        "category": ("categories",),
        "price": ("regular price",),
        "quantity": ("stock",),
        "reorder_point": ("low stock amount",),
    }

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._categories: dict[str, str] = {}

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the product or variation; a product that only holds others is none."""
        kinds = {it.strip().lower() for it in self._text(record, "type").split(",")}
        identity = self._text(record, "id")
        sku = self._text(record, "sku")
        category = _category(self._text(record, "category"))
        if not kinds.isdisjoint(_HOLDERS):
            self._categories |= {it: category for it in (sku, f"id:{identity}") if it != "id:"}
            self._reject_stock_of_holder(record)
            return
        notes: tuple[str, ...] = ()
        if not sku and identity:
            sku = f"id:{identity}"
            notes = (f"has no SKU: {sku}, its id in WooCommerce",)
        description = self._text(record, "description") or self._text(record, "short")
        item = self._item(
            record,
            sku=sku,
            name=self._text(record, "name"),
            category=category or self._categories.get(self._text(record, "parent"), ""),
            # A line break in a text is written as \n.
            description=description.replace("\\n", "\n"),
            notes=notes,
        )
        if item.numbers.get("quantity", "").lower() == _AT_PARENT:
            note = "its stock is kept for all variations together, and not imported"
            numbers = {**item.numbers, "quantity": ""}
            item = evolve(item, numbers=numbers, notes=(*item.notes, note))
        yield item

    def _reject_stock_of_holder(self, record: Record) -> None:
        stock = self._text(record, "quantity")
        if stock.strip("0.,"):
            raise CellError(
                "is the stock of all variations together; give each variation its own, or map the columns with --column",
                column=self.columns["quantity"],
                value=stock,
            )


def _category(categories: str) -> str:
    """Return the last step of the first of several paths."""
    return last_step(_COMMA.split(categories)[0].replace("\\,", ","))
