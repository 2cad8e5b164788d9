"""
Square's item library: a row for each variation, with columns of its own for each location.

Source: squareup.com/help, "Item import spreadsheet glossary"; and headers of real exports, which differ from year to year.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from attrs import frozen

from inventory.items import DISCONTINUED
from inventory_adapters.catalogue.drafts import (
    ItemRow,
    Options,
    ShopFormat,
    ShopTexts,
    last_step,
    made_sku,
    named,
    says_yes,
    shop_texts,
)
from inventory_adapters.catalogue.numbers import Mark
from inventory_adapters.catalogue.tables import Header, Record

__all__ = ["SquareFormat"]

_MAX_SKU: Final = 128
_QUANTITY: Final = "current quantity"
_NEW_QUANTITY: Final = "new quantity"
# The one variation of an item that has no others.
_NO_VARIATION: Final = "regular"
_NO_ONE_PRICE: Final = ("variable", "variable price")
_CATEGORIES: Final = ("reporting category", "category", "categories")


@frozen(kw_only=True)
class _Place:
    """The columns of one location; a file of one location may not name it."""

    location: str
    quantity: str
    new_quantity: str
    enabled: str
    price: str
    alert: str

    @classmethod
    def of(cls, suffix: str, location: str) -> "_Place":
        return cls(
            location=location,
            quantity=f"{_QUANTITY}{suffix}",
            new_quantity=f"{_NEW_QUANTITY}{suffix}",
            enabled=f"enabled{suffix}",
            price=f"price{suffix}",
            alert=f"stock alert count{suffix}",
        )


class SquareFormat(ShopFormat):
    """Each variation is an item in every location that it is enabled or counted in."""

    name: ClassVar[str] = "square"
    title: ClassVar[str] = "Square item library"
    decimal: ClassVar[Mark | None] = "."
    names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "name": ("item name",),
        "variation": ("variation name",),
        "token": ("token",),
        "sku": ("sku",),
        "description": ("description",),
        "price": ("price",),
        "archived": ("archived",),
    }

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._header = header
        self._places = [
            _Place.of(key[len(_QUANTITY) :], header.name(key)[len(_QUANTITY) :].strip())
            for key in header.places
            if key == _QUANTITY or key.startswith(f"{_QUANTITY} ")
        ]
        self.has_quantity = bool(self._places)
        if self._places:
            self.mapping = {**self.mapping, "quantity": self._name(self._places[0].quantity)}
        else:
            self._places = [_Place.of("", "")]
        self._categories = [it for it in _CATEGORIES if it in header]
        numbers = {
            key
            for place in self._places
            for key in (place.quantity, place.new_quantity, place.price, place.alert)
            if key in header
        }
        self.numbers |= numbers
        enabled = {it.enabled for it in self._places if it.enabled in header}
        self.used |= numbers | enabled | frozenset(self._categories)
        category = header.name(self._categories[0]) if self._categories else "Category"
        self.columns = {**self.columns, "category": category}

    @staticmethod
    def fits(header: Header) -> bool:
        """Recognise an item library by the names of items and variations."""
        return "item name" in header and header.first("variation name", "token") is not None

    def rows(self, record: Record) -> Iterator[ItemRow]:
        """Yield the variation once for each location that has it."""
        fitted = self._texts(record)
        sku, notes = self._sku(record)
        texts = fitted.texts
        if says_yes(self._text(record, "archived")):
            texts["status"] = DISCONTINUED
        for place in self._places:
            if self._is_there(record, place):
                quantity, price = self._cells(record, place)
                has_no_price = record.number(price).lower() in _NO_ONE_PRICE
                numbers = {
                    "quantity": record.number(quantity),
                    "price": "" if has_no_price else record.number(price),
                    "reorder_point": record.number(place.alert),
                }
                yield ItemRow(
                    line=record.line,
                    sku=sku,
                    location=place.location,
                    texts=dict(texts),
                    initial=fitted.initial,
                    numbers=numbers,
                    columns={
                        **self.columns,
                        "quantity": self._name(quantity),
                        "price": self._name(price),
                        "reorder_point": self._name(place.alert),
                        "location": self._name(place.quantity),
                    },
                    notes=(
                        *fitted.notes,
                        *notes,
                        *(("has no fixed price",) if has_no_price else ()),
                    ),
                    initial_notes=fitted.initial_notes,
                )

    def _name(self, key: str) -> str:
        return self._header.name(key) if key in self._header else key.title()

    def _cells(self, record: Record, place: _Place) -> tuple[str, str]:
        """Return the keys of the quantity and of the price: the new quantity, the location's own price, where filled."""
        quantity = place.new_quantity if record.number(place.new_quantity) else place.quantity
        return quantity, place.price if record.number(place.price) else "price"

    def _is_there(self, record: Record, place: _Place) -> bool:
        """Enabled, or counted; a location that says neither has it if no location says more."""
        if record[place.enabled].strip():
            return says_yes(record[place.enabled])
        if record[place.quantity].strip():
            return True
        return not any(
            record[it.enabled].strip() or record[it.quantity].strip() for it in self._places
        )

    def _texts(self, record: Record) -> ShopTexts:
        variation = self._text(record, "variation")
        if variation.lower() == _NO_VARIATION:
            variation = ""
        # "Categories" may list several, each a path: the first is the main one.
        categories = (last_step(record.text(it).partition(",")[0]) for it in self._categories)
        return shop_texts(
            name=named(self._text(record, "name"), variation),
            category=next(filter(None, categories), ""),
            description=self._text(record, "description"),
            options=self._options,
        )

    def _sku(self, record: Record) -> tuple[str, tuple[str, ...]]:
        sku = self._text(record, "sku")
        if sku:
            return sku, ()
        # Square's token names the variation for good; a file without tokens has only the names.
        token = self._text(record, "token")
        if token and len(token) <= _MAX_SKU:
            return token, (f"has no SKU: {token}, its token",)
        made = made_sku(self._text(record, "name"), self._text(record, "variation"))
        return made, (f"has no SKU: {made}, made from its names",)
