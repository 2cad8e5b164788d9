"""
Square's item library: a row for each variation, with columns of its own for each location.

Source: squareup.com/help, "Item import spreadsheet glossary"; and headers of real exports, which differ from year to year.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from attrs import frozen

from inventory.items import AVAILABLE, DISCONTINUED, OUT_OF_STOCK
from inventory_adapters.catalogue.csv_file import Record, unguarded
from inventory_adapters.catalogue.drafts import Draft, Options, cut, price, slug, units, whole
from inventory_adapters.catalogue.html_text import html_to_text
from inventory_adapters.catalogue.shopify import UNCATEGORIZED

__all__ = ["SquareFormat"]

_MAX_SKU: Final = 128
_MAX_NAME: Final = 256
_MAX_DESCRIPTION: Final = 4096

_QUANTITY: Final = "current quantity"
# The one variation of an item that has no others.
_NO_VARIATION: Final = "regular"
_NO_ONE_PRICE: Final = {"variable", "variable price"}


@frozen(kw_only=True)
class _Place:
    """One location of the file: how it is called, and its columns; a file of one location may not name it."""

    location: str
    quantity: str
    enabled: str
    price: str
    alert: str


class SquareFormat:
    """Each variation is an item in every location that it is enabled or counted in."""

    name: ClassVar[str] = "square"

    def __init__(
        self, header: tuple[str, ...], columns: Mapping[str, int], options: Options
    ) -> None:
        self._options = options
        self._called = {name: header[place].strip() for name, place in columns.items()}
        self._places = self._found_places(columns) or [_place("", options.location)]
        self._categories = [
            it for it in ("reporting category", "category", "categories") if it in columns
        ]

    @staticmethod
    def fits(columns: Mapping[str, int]) -> bool:
        """Tell an item library by the names of items and variations."""
        return "item name" in columns and ("variation name" in columns or "token" in columns)

    @staticmethod
    def needs() -> str:
        """Say what an item library has at least."""
        return "Item Name, and Variation Name or Token"

    def _found_places(self, columns: Mapping[str, int]) -> list[_Place]:
        return [
            _place(
                name[len(_QUANTITY) :],
                self._called[name][len(_QUANTITY) :].strip() or self._options.location,
            )
            for name in columns
            if name == _QUANTITY or name.startswith(f"{_QUANTITY} ")
        ]

    def drafts(self, record: Record) -> Iterator[Draft]:
        """Yield the variation once for each location that has it."""
        details, notes = self._details(record)
        sku, sku_notes = self._sku(record)
        for place in self._places:
            if self._is_there(record, place):
                yield self._draft(record, place, sku, details, (*notes, *sku_notes))

    def _is_there(self, record: Record, place: _Place) -> bool:
        """Enabled, or counted; a location that says neither has it if no location says more."""
        if record.stripped(place.enabled):
            return record.stripped(place.enabled).upper() in {"Y", "YES", "TRUE"}
        if record.stripped(place.quantity):
            return True
        return not any(
            record.stripped(it.enabled) or record.stripped(it.quantity) for it in self._places
        )

    def _draft(
        self,
        record: Record,
        place: _Place,
        sku: str,
        details: dict[str, Any],
        notes: tuple[str, ...],
    ) -> Draft:
        called = self._called
        quantity, quantity_notes = units(
            record, place.quantity, called.get(place.quantity, "Current Quantity"), self._options
        )
        found, price_notes = self._price(record, place)
        if place.alert in called:
            found["reorder_point"] = whole(record, place.alert, called[place.alert])
        return Draft(
            line=record.line,
            sku=sku,
            location=place.location,
            quantity=quantity,
            details={**details, **found},
            initial={"status": AVAILABLE if quantity else OUT_OF_STOCK},
            columns={
                "sku": called.get("sku", "SKU"),
                "name": called["item name"],
                "description": called.get("description", "Description"),
                "category": called[self._categories[0]] if self._categories else "Category",
                "price": called.get("price", "Price"),
                "quantity": called.get(place.quantity, "Current Quantity"),
                "reorder_point": called.get(place.alert, "Stock Alert Count"),
                "location": called.get(place.quantity, "Current Quantity"),
            },
            notes=(*notes, *price_notes, *quantity_notes),
        )

    def _price(self, record: Record, place: _Place) -> tuple[dict[str, Any], tuple[str, ...]]:
        # A location may have a price of its own.
        for column in (place.price, "price"):
            if record.stripped(column).lower() in _NO_ONE_PRICE:
                return {}, ("has no fixed price",)
            amount = price(record, column, self._called.get(column, "Price"), self._options)
            if amount is not None:
                return {"price": amount}, ()
        return {}, ()

    def _details(self, record: Record) -> tuple[dict[str, Any], tuple[str, ...]]:
        item, variation = (_cell(record, it) for it in ("item name", "variation name"))
        named = f"{item} ({variation})" if variation.lower() not in {"", _NO_VARIATION} else item
        name, notes = cut(named, _MAX_NAME, "name")
        details: dict[str, Any] = {"name": name}
        # "Categories" may list several, each a path: the first is the main one.
        cells = (
            _cell(record, it).partition(",")[0].rpartition(">")[2].strip()
            for it in self._categories
        )
        details["category"] = next(filter(None, cells), UNCATEGORIZED)
        if details["category"] == UNCATEGORIZED:
            notes = (*notes, f"category set to {UNCATEGORIZED}")
        if "description" in self._called:
            text = html_to_text(_cell(record, "description"))
            details["description"], more = cut(text, _MAX_DESCRIPTION, "description")
            notes = (*notes, *more)
        if _cell(record, "archived").upper() in {"Y", "YES", "TRUE"}:
            details["status"] = DISCONTINUED
        return details, notes

    def _sku(self, record: Record) -> tuple[str, tuple[str, ...]]:
        sku = _cell(record, "sku")
        if sku:
            return sku, ()
        # Square's token names the variation for good; a file without tokens has only the names.
        made = _cell(record, "token") or slug(
            _cell(record, "item name"), _cell(record, "variation name")
        )
        made = made[:_MAX_SKU]
        return made, (f"has no SKU: {made}, made from its token or names",)


def _place(suffix: str, location: str) -> _Place:
    return _Place(
        location=location,
        quantity=f"{_QUANTITY}{suffix}",
        enabled=f"enabled{suffix}",
        price=f"price{suffix}" if suffix else "price",
        alert=f"stock alert count{suffix}",
    )


def _cell(record: Record, column: str) -> str:
    return unguarded(record.stripped(column))
