"""
Shopify's inventory CSV: quantities of variants by location, in a row each or, before 2022, in a column each.

Source: help.shopify.com, "Exporting or importing inventory with a CSV file".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from attrs import evolve

from inventory_adapters.catalogue.cells import Header, Record
from inventory_adapters.catalogue.drafts import Draft
from inventory_adapters.catalogue.shopify import HANDLE, OPTIONS, option_values, variant_sku
from inventory_adapters.catalogue.shops import Keys, Place, ShopFormat, named, slug

__all__ = ["ShopifyInventoryFormat"]

_NOT_STOCKED: Final = "not stocked"
_ON_HAND: Final = ("on hand", "on hand (current)", "on hand (not editable)")
_NEW_ON_HAND: Final = "on hand (new)"
_STATES: Final = ("incoming", "unavailable", "committed", "available")
_KINDS: Final = ("", " (not editable)", " (current)", " (new)")
_PARTS: Final = ("name", "value", "linked to")
_KNOWN: Final = frozenset(
    {
        *HANDLE,
        *("title", "sku", "hs code", "coo", "location", "bin name", _NEW_ON_HAND, *_ON_HAND),
        *(f"option{number} {part}" for number in (1, 2, 3) for part in _PARTS),
        *(f"{state}{kind}" for state in _STATES for kind in _KINDS),
    }
)


class ShopifyInventoryFormat(ShopFormat):
    """Each variant is an item at each location that stocks it. Only quantities change; a new item gets its name, too."""

    name = "shopify_inventory"
    title = "Shopify inventory CSV"
    decimal = "."
    names: ClassVar[Mapping[str, Keys]] = {
        "handle": HANDLE,
        "name": ("title",),
        "sku": ("sku",),
        "location": ("location",),
        "quantity": _ON_HAND,
        "new quantity": (_NEW_ON_HAND,),
        **OPTIONS,
    }

    def _places_of(self, header: Header) -> tuple[Place, ...]:
        keys = () if "location" in header else _location_columns(header)
        return tuple(Place(header.name(it), {"quantity": it}) for it in keys)

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise an inventory CSV by its customs columns, which products have not beside a location."""
        if not all(it in header for it in ("title", "sku")) or header.first(*HANDLE) is None:
            return False
        if "location" in header and header.first(*_ON_HAND, _NEW_ON_HAND) is not None:
            return True
        is_old = header.first("hs code", "coo") is not None and "option1 value" in header
        return is_old and bool(_location_columns(header)) and header.first("type", "vendor") is None

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the variant once for each location that stocks it."""
        title = self._text(record, "name")
        values = option_values(self._text(record, it) for it in OPTIONS)
        handle = self._text(record, "handle") or slug(title)
        sku, notes = variant_sku(self._text(record, "sku"), handle, values)
        item = self._item(record, sku=sku, name=named(title, *values), category="")
        # Only a new item gets its details from here.
        item = evolve(
            item,
            details={},
            initial={**item.initial, **item.details},
            notes=notes,
            initial_notes=(*item.notes, *item.initial_notes),
        )
        for row in [self._numbered(record, item, it) for it in self._places] or [item]:
            if row.numbers.get("quantity", "").lower() != _NOT_STOCKED:
                yield row


def _location_columns(header: Header) -> list[str]:
    """Return the columns of the older form that are named after locations: those behind the customs columns."""
    last = max((header.places[it] for it in ("hs code", "coo", "sku") if it in header), default=0)
    return [it for it, place in header.places.items() if place > last and it not in _KNOWN]
