"""
Lightspeed Retail X-Series, which was Vend: a row for each variant, with columns of its own for each outlet.

Source: x-series-support.lightspeedhq.com, "Importing and exporting products with a CSV spreadsheet".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from inventory.items import DISCONTINUED
from inventory_adapters.catalogue.drafts import (
    ItemRow,
    Options,
    ShopFormat,
    last_step,
    named,
    says_no,
    shop_texts,
)
from inventory_adapters.catalogue.numbers import Mark
from inventory_adapters.catalogue.tables import Header, Record

__all__ = ["LightspeedFormat"]

_QUANTITY: Final = "inventory_"
_REORDER_POINT: Final = "reorder_point_"
_VARIANTS: Final = ("one", "two", "three")


class LightspeedFormat(ShopFormat):
    """Each variant is an item in every outlet that counts it."""

    name: ClassVar[str] = "lightspeed"
    title: ClassVar[str] = "Lightspeed (Vend) product export"
    decimal: ClassVar[Mark | None] = None
    names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "sku": ("sku",),
        "name": ("name", "product_name"),
        "description": ("description",),
        "category": ("product_category", "type"),
        "price": ("retail_price", "price"),
        "active": ("active",),
        "tracked": ("track_inventory",),
        **{f"value {it}": (f"variant_option_{it}_value",) for it in _VARIANTS},
    }
    number_fields: ClassVar[tuple[str, ...]] = ("price",)

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._outlets = {
            key: header.name(key)[len(_QUANTITY) :]
            for key in header.places
            if key.startswith(_QUANTITY)
        }
        alerts = {
            outlet: _REORDER_POINT + key[len(_QUANTITY) :] for key, outlet in self._outlets.items()
        }
        self._alerts = {it: key for it, key in alerts.items() if key in header}
        self._names = {it: header.name(it) for it in (*self._outlets, *self._alerts.values())}
        self.has_quantity = bool(self._outlets)
        numbers = frozenset(self._names)
        self.numbers |= numbers
        self.used |= numbers
        if self._outlets:
            self.mapping = {**self.mapping, "quantity": header.name(next(iter(self._outlets)))}

    @staticmethod
    def fits(header: Header) -> bool:
        """Recognise an export by its SKU, its supply price, and the options of variants or the columns of outlets."""
        if "sku" not in header or header.first("supply_price", "retail_price") is None:
            return False
        has_outlets = any(it.startswith(_QUANTITY) for it in header.places)
        return has_outlets or "variant_option_one_name" in header

    def rows(self, record: Record) -> Iterator[ItemRow]:
        """Yield the variant once for each outlet; of a product that is not counted, one item without a quantity."""
        values = [self._text(record, f"value {it}") for it in _VARIANTS]
        texts = shop_texts(
            name=named(self._text(record, "name"), *values),
            category=last_step(self._text(record, "category"), "/"),
            description=self._text(record, "description"),
            options=self._options,
        )
        if says_no(self._text(record, "active")):
            texts.texts["status"] = DISCONTINUED
        counted = {it: outlet for it, outlet in self._outlets.items() if record.number(it)}
        is_tracked = not says_no(self._text(record, "tracked"))
        if is_tracked and not counted:
            counted = self._outlets
        for key, outlet in counted.items() if is_tracked and counted else [("", "")]:
            alert = self._alerts.get(outlet, "")
            yield ItemRow(
                line=record.line,
                sku=self._text(record, "sku"),
                location=outlet,
                texts=dict(texts.texts),
                initial=texts.initial,
                numbers={
                    **self._numbers(record),
                    "quantity": record.number(key),
                    "reorder_point": record.number(alert),
                },
                columns={
                    **self.columns,
                    "quantity": self._names.get(key, "inventory"),
                    "reorder_point": self._names.get(alert, "reorder_point"),
                    "location": self._names.get(key, "inventory"),
                },
                notes=texts.notes,
                initial_notes=texts.initial_notes,
            )
