"""
Loyverse: the export of items, a row for each variant, with columns of its own for each store.

Source: help.loyverse.com, "Import and export your items".
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from inventory_adapters.catalogue.drafts import (
    ItemRow,
    Options,
    ShopFormat,
    named,
    says_no,
    shop_texts,
)
from inventory_adapters.catalogue.numbers import Mark
from inventory_adapters.catalogue.tables import Header, Record

__all__ = ["LoyverseFormat"]

_IN_STORE: Final = re.compile(r"in stock \[(.*)\]")
_NO_ONE_PRICE: Final = "variable"
_OPTIONS: Final = ("option 1", "option 2", "option 3")


class LoyverseFormat(ShopFormat):
    """Each variant is an item in every store that has it."""

    name: ClassVar[str] = "loyverse"
    title: ClassVar[str] = "Loyverse item export"
    decimal: ClassVar[Mark | None] = None
    names: ClassVar[Mapping[str, tuple[str, ...]]] = {
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

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._stores: dict[str, str] = {}
        self._header = header
        for key in header.places:
            if match := _IN_STORE.fullmatch(key):
                name = header.name(key)
                self._stores[match[1]] = name[name.index("[") + 1 : -1]
        keys = {
            key
            for store in self._stores
            for it in ("in stock", "low stock", "price")
            if (key := f"{it} [{store}]") in header
        }
        for_sale = {
            it for store in self._stores if (it := f"available for sale [{store}]") in header
        }
        self.numbers |= keys
        self.used |= keys | for_sale
        if self._stores:
            self.has_quantity = True
            self.mapping = {
                **self.mapping,
                "quantity": header.name(f"in stock [{next(iter(self._stores))}]"),
            }
        self._first: dict[str, str] = {}

    @staticmethod
    def fits(header: Header) -> bool:
        """Recognise an export by its handle, its SKU, its name, and whether stock is tracked."""
        has_ours = all(it in header for it in ("handle", "sku", "name"))
        stores = any(_IN_STORE.fullmatch(it) for it in header.places)
        return has_ours and (
            stores or header.first("track stock", "sold by weight", "default price") is not None
        )

    def rows(self, record: Record) -> Iterator[ItemRow]:
        """Yield the variant once for each store; a component of a composite item is none."""
        if self._text(record, "component") and not self._text(record, "sku"):
            return
        # What all variants share stands in the row of the first.
        shared = {it: self._text(record, it) for it in ("name", "category", "description")}
        if shared["name"]:
            self._first = shared
        elif self._first:
            shared = self._first
        texts = shop_texts(
            name=named(shared["name"], *(self._text(record, it) for it in _OPTIONS)),
            category=shared["category"],
            description=shared["description"],
            options=self._options,
        )
        is_tracked = not says_no(self._text(record, "tracked"))
        for store in self._stores or [""]:
            suffix = f" [{store}]" if store else ""
            if store and not self._is_there(record, suffix):
                continue
            cells = {
                "quantity": self._key("in stock", suffix, "quantity"),
                "reorder_point": self._key("low stock", suffix, "reorder_point"),
                "price": self._key("price", suffix, "price"),
            }
            numbers = {field: record.number(key) for field, key in cells.items()}
            notes = texts.notes
            if not numbers["price"]:
                cells["price"] = self._keys["price"] or ""
                numbers["price"] = record.number(cells["price"])
            if numbers["price"].lower() == _NO_ONE_PRICE:
                numbers["price"] = ""
                notes = (*notes, "has no fixed price")
            if not is_tracked:
                numbers["quantity"] = numbers["reorder_point"] = ""
            names = {it: self._header.name(key) for it, key in cells.items() if key in self._header}
            yield ItemRow(
                line=record.line,
                sku=self._text(record, "sku"),
                location=self._stores.get(store, ""),
                texts=dict(texts.texts),
                initial=texts.initial,
                numbers=numbers,
                columns={**self.columns, **names},
                notes=notes,
                initial_notes=texts.initial_notes,
            )

    def _is_there(self, record: Record, suffix: str) -> bool:
        is_counted = bool(record[f"in stock{suffix}"].strip())
        return is_counted or not says_no(record[f"available for sale{suffix}"])

    def _key(self, column: str, suffix: str, field: str) -> str:
        return f"{column}{suffix}" if suffix else self._keys[field] or ""
