"""
Shopify's inventory CSV: quantities of variants by location, in a row each or, before 2022, in a column each.

Source: help.shopify.com, "Exporting or importing inventory with a CSV file".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from inventory_adapters.catalogue.drafts import (
    ItemRow,
    Options,
    ShopFormat,
    named,
    shop_texts,
    slug,
)
from inventory_adapters.catalogue.numbers import Mark
from inventory_adapters.catalogue.shopify import HANDLE, OPTION_NAMES, option_values, variant_sku
from inventory_adapters.catalogue.tables import Header, Record

__all__ = ["ShopifyInventoryFormat"]

_NOT_STOCKED: Final = "not stocked"
_ON_HAND: Final = ("on hand", "on hand (current)", "on hand (not editable)")
_NEW_ON_HAND: Final = "on hand (new)"
_STATES: Final = ("incoming", "unavailable", "committed", "available")
_KNOWN: Final = frozenset(
    {
        *HANDLE,
        *("title", "sku", "hs code", "coo", "location", "bin name", _NEW_ON_HAND, *_ON_HAND),
        *(
            f"option{number} {part}"
            for number in (1, 2, 3)
            for part in ("name", "value", "linked to")
        ),
        *(
            f"{it}{kind}"
            for it in _STATES
            for kind in ("", " (not editable)", " (current)", " (new)")
        ),
    }
)


class ShopifyInventoryFormat(ShopFormat):
    """Each variant is an item at each location that stocks it. Only quantities change; a new item gets its name, too."""

    name: ClassVar[str] = "shopify_inventory"
    title: ClassVar[str] = "Shopify inventory CSV"
    decimal: ClassVar[Mark | None] = "."
    names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "handle": HANDLE,
        "name": ("title",),
        "sku": ("sku",),
        "location": ("location",),
        "quantity": _ON_HAND,
        "new quantity": (_NEW_ON_HAND,),
        **OPTION_NAMES,
    }
    number_fields: ClassVar[tuple[str, ...]] = ("quantity", "new quantity")

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._places = [] if self._keys["location"] else _location_columns(header)
        if self._keys["location"]:
            self.columns = {**self.columns, "location": header.name("location")}
        self.used |= frozenset(self._places)
        self.numbers |= frozenset(self._places)
        self.has_quantity = bool(
            self._places or self._keys["quantity"] or self._keys["new quantity"]
        )
        self._place_names = {it: header.name(it) for it in self._places}

    @staticmethod
    def fits(header: Header) -> bool:
        """Recognise an inventory CSV by its customs columns, which products have not beside a location."""
        if not all(it in header for it in ("title", "sku")) or header.first(*HANDLE) is None:
            return False
        if "location" in header and header.first(*_ON_HAND, _NEW_ON_HAND) is not None:
            return True
        is_old = header.first("hs code", "coo") is not None and "option1 value" in header
        return is_old and bool(_location_columns(header)) and header.first("type", "vendor") is None

    def rows(self, record: Record) -> Iterator[ItemRow]:
        """Yield the variant once for each location that stocks it."""
        for location, quantity, column in self._quantities(record):
            if quantity.lower() != _NOT_STOCKED:
                yield self._row(record, location, quantity, column)

    def _quantities(self, record: Record) -> Iterator[tuple[str, str, str]]:
        for place in self._places:
            yield self._place_names[place], record.number(place), self._place_names[place]
        if self._places:
            return
        location = self._text(record, "location")
        for field in ("new quantity", "quantity"):
            key = self._keys[field]
            if key is not None and (text := record.number(key)):
                yield location, text, self.columns[field]
                return
        yield location, "", self.columns["quantity"]

    def _row(self, record: Record, location: str, quantity: str, column: str) -> ItemRow:
        title = self._text(record, "name")
        values = option_values(record, self._keys)
        handle = self._text(record, "handle") or slug(title)
        sku, notes = variant_sku(self._text(record, "sku"), handle, values)
        texts = shop_texts(
            name=named(title, *values), category="", description="", options=self._options
        )
        return ItemRow(
            line=record.line,
            sku=sku,
            location=location,
            initial={**texts.initial, **texts.texts},
            numbers={"quantity": quantity},
            columns={**self.columns, "quantity": column},
            notes=notes,
            initial_notes=(*texts.notes, *texts.initial_notes),
        )


def _location_columns(header: Header) -> list[str]:
    """Return the columns of the older form that are named after locations: those behind the customs columns."""
    last = max((header.places[it] for it in ("hs code", "coo", "sku") if it in header), default=0)
    return [it for it, place in header.places.items() if place > last and it not in _KNOWN]
