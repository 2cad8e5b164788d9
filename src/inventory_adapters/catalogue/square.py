"""
Square's item library: a row for each variation, with columns of its own for each location.

Source: squareup.com/help, "Item import spreadsheet glossary"; and headers of real exports, which differ from year to year.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from inventory_adapters.catalogue.cells import Record
from inventory_adapters.catalogue.drafts import Draft
from inventory_adapters.catalogue.shops import (
    MAX_SKU,
    Keys,
    Place,
    ShopFormat,
    last_step,
    made_sku,
    named,
    says_yes,
)

__all__ = ["SquareFormat"]

# The one variation of an item that has no others.
_NO_VARIATION: Final = "regular"


class SquareFormat(ShopFormat):
    """Each variation is an item in every location that it is enabled or counted in."""

    name = "square"
    title = "Square item library"
    decimal = "."
    needs = (("item name",), ("variation name", "token"))
    names: ClassVar[Mapping[str, Keys]] = {
        "name": ("item name",),
        "variation": ("variation name",),
        "token": ("token",),
        "sku": ("sku",),
        "description": ("description",),
        "price": ("price",),
        "archived": ("archived",),
        "category": ("reporting category", "category", "categories"),
        "category 2": ("category", "categories"),
        "category 3": ("categories",),
    }
    by_location: ClassVar[Mapping[str, str]] = {
        "new quantity": "new quantity{}",
        "quantity": "current quantity{}",
        "price": "price{}",
        "reorder_point": "stock alert count{}",
        "enabled": "enabled{}",
    }

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the variation once for each location that has it."""
        variation = self._text(record, "variation")
        sku, notes = self._sku(record)
        item = self._item(
            record,
            sku=sku,
            name=named(
                self._text(record, "name"),
                "" if variation.lower() == _NO_VARIATION else variation,
            ),
            category=self._category(record),
            description=self._text(record, "description"),
            is_discontinued=says_yes(self._text(record, "archived")),
            notes=notes,
        )
        if not self._places:
            yield item
        for place in self._places:
            if self._is_there(record, place):
                yield self._numbered(record, item, place)

    def _is_there(self, record: Record, place: Place) -> bool:
        """Enabled, or counted; a location that says neither has it if no location says more."""
        if enabled := self._text(record, "enabled", place):
            return says_yes(enabled)
        if self._is_counted(record, place):
            return True
        return not any(
            self._text(record, "enabled", it) or self._is_counted(record, it) for it in self._places
        )

    def _is_counted(self, record: Record, place: Place) -> bool:
        return any(self._text(record, it, place) for it in ("quantity", "new quantity"))

    def _category(self, record: Record) -> str:
        # "Categories" may list several, each a path: the first is the main one.
        fields = ("category", "category 2", "category 3")
        steps = (last_step(self._text(record, it).partition(",")[0]) for it in fields)
        return next(filter(None, steps), "")

    def _sku(self, record: Record) -> tuple[str, tuple[str, ...]]:
        sku = self._text(record, "sku")
        if sku:
            return sku, ()
        # Square's token names the variation for good; a file without tokens has only the names.
        token = self._text(record, "token")
        if token and len(token) <= MAX_SKU:
            return token, (f"has no SKU: {token}, its token",)
        made = made_sku(self._text(record, "name"), self._text(record, "variation"))
        return made, (f"has no SKU: {made}, made from its names",)
