"""Common parts of the formats of shops: columns known by name, columns of each location, and texts that fit an item."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final

from attrs import evolve, frozen

from inventory.items import DISCONTINUED
from inventory_adapters.catalogue.cells import Header, Record
from inventory_adapters.catalogue.drafts import Draft, Format, Options
from inventory_adapters.catalogue.html_text import html_to_text

__all__ = [
    "MAX_SKU",
    "UNCATEGORIZED",
    "Keys",
    "Place",
    "ShopFormat",
    "cut",
    "last_step",
    "made_sku",
    "named",
    "says_no",
    "says_yes",
    "slug",
]

UNCATEGORIZED: Final = "uncategorized"
MAX_SKU: Final = 128

_MAX_LENGTHS: Final = {"name": 256, "description": 4096}
_DIGEST_LENGTH: Final = 10

_NUMBERS: Final = ("quantity", "price", "reorder_point")
_QUANTITIES: Final = ("new quantity", "quantity")
# Instead of the price of a variant that is priced at the till.
_NO_FIXED_PRICE: Final = ("variable", "variable price")


@frozen
class Place:
    """
    The columns of one location.

    Attributes:
        location: The location; empty in a file that does not name it.
        keys: The columns: field → key.
    """

    location: str
    keys: Mapping[str, str]


Keys = tuple[str, ...]
"""The keys that a column has had, the one to prefer first."""

_ATTRIBUTES: Final[dict[str, Keys]] = {
    "barcode": ("barcode", "variant barcode", "gtin", "gtin, upc, ean, or isbn", "ean", "upc"),
    "vendor": ("vendor", "default vendor name", "supplier", "supplier_name", "vendors"),
    "cost": (
        *("cost", "cost per item", "default unit cost", "cost of goods"),
        *("supply_price", "standard_price"),
    ),
}
"""The columns that are kept as attributes without being asked for, whatever the system."""


class ShopFormat(Format):
    """
    The columns of one file of a shop's format.

    A subclass declares its columns: `needs`, by which a file is recognised: one column of each group; `names`, the keys that
    the column of each field has had; and, where each location has columns of its own, `by_location`, the pattern of their
    keys by field.
    """

    names: ClassVar[Mapping[str, Keys]]
    by_location: ClassVar[Mapping[str, str]] = {}

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(header, options)
        self._places = self._places_of(header)
        self._keys = {
            field: key
            for field, names in self.names.items()
            if (key := header.first(*names)) is not None
        }
        by_location = [it for place in reversed(self._places) for it in place.keys.items()]
        keys = [*by_location, *self._keys.items()]
        self.mapping: Mapping[str, str] = {field: header.name(key) for field, key in keys}
        self.columns: Mapping[str, str] = {
            **{it: it for it in ("location", *_NUMBERS)},
            **{field: names[0] for field, names in self.names.items()},
            **self.mapping,
        }
        self.used = frozenset(key for _, key in keys)
        self.numbers = frozenset(key for field, key in keys if field in (*_NUMBERS, *_QUANTITIES))
        self.has_quantity = any(it in self.mapping for it in _QUANTITIES)
        known = {name: header.first(*names) for name, names in _ATTRIBUTES.items()}
        self._keep({name: key for name, key in known.items() if key is not None})

    def _places_of(self, header: Header) -> tuple[Place, ...]:
        locations: dict[str, str] = {}
        for field in _QUANTITIES:
            before, mark, behind = self.by_location.get(field, "").partition("{}")
            for key in header.places if mark else ():
                if key.startswith(before) and key.endswith(behind):
                    part = slice(len(before), len(key) - len(behind))
                    locations.setdefault(key[part], header.name(key)[part].strip())
        patterns = self.by_location.items()
        return tuple(
            Place(name, {it: key for it, text in patterns if (key := text.format(part)) in header})
            for part, name in locations.items()
        )

    def _text(self, record: Record, field: str, place: Place | None = None) -> str:
        return record.text((self._keys if place is None else place.keys).get(field))

    def _item(
        self,
        record: Record,
        *,
        sku: str,
        name: str,
        category: str,
        description: str = "",
        is_discontinued: bool = False,
        notes: tuple[str, ...] = (),
    ) -> Draft:
        """Return the item of a row; its blank texts say nothing of an item that exists."""
        text, is_readable = html_to_text(description)
        about: tuple[str, ...] = (
            () if is_readable else ("description is broken HTML and kept as it is",)
        )
        texts: dict[str, Any] = {"attributes": self._kept(record)} if self.attributes else {}
        for field, value in (("name", name), ("description", text)):
            fitting, cut_notes = cut(field, value)
            about = (*about, *cut_notes)
            if fitting:
                texts[field] = fitting
        if is_discontinued:
            texts["status"] = DISCONTINUED
        initial: dict[str, str] = {}
        if category:
            texts["category"] = category
        else:
            initial["category"] = self._options.category or UNCATEGORIZED
        is_set = not category and not self._options.category
        row = Draft(
            line=record.line,
            sku=sku,
            location=self._text(record, "location"),
            details=texts,
            initial=initial,
            columns=self.columns,
            notes=(*about, *notes),
            initial_notes=(f"category set to {UNCATEGORIZED}",) if is_set else (),
        )
        return row if self._places else self._numbered(record, row)

    def _numbered(self, record: Record, row: Draft, place: Place | None = None) -> Draft:
        """Return *row* with the numbers of a record, or with those of one location."""
        columns = dict(self.columns)
        numbers: dict[str, str] = {}
        notes = row.notes
        for field in _NUMBERS:
            keys = self._number_keys(field, place)
            if keys:
                key = next(filter(record.number, keys), keys[-1])
                numbers[field] = record.number(key)
                columns[field] = self._header.name(key)
        if numbers.get("price", "").lower() in _NO_FIXED_PRICE:
            del numbers["price"]
            notes = (*notes, "has no fixed price")
        location = row.location
        if place is not None:
            location = place.location
            columns["location"] = columns["quantity"]
        return evolve(row, location=location, numbers=numbers, columns=columns, notes=notes)

    def _number_keys(self, field: str, place: Place | None) -> list[str]:
        """Return the columns of a number, the most specific first; the first filled one counts."""
        fields = _QUANTITIES if field == "quantity" else (field,)
        sources = [self._keys] if place is None else [place.keys]
        if place is not None and field == "price":
            sources.append(self._keys)
        return [keys[it] for keys in sources for it in fields if it in keys]


def cut(field: str, text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text as long as its field may be, and a note where it was longer."""
    length = _MAX_LENGTHS[field]
    if len(text) <= length:
        return text, ()
    note = f"{field} cut from {len(text)} to {length} characters"
    return f"{text[: length - 1].rstrip()}…", (note,)


def last_step(path: str, separator: str = ">") -> str:
    """Return the last step of a path of categories: ``Shirts`` of ``Clothing > Shirts``."""
    return path.rpartition(separator)[2].strip()


def named(name: str, *values: str) -> str:
    """Return the name of a variant: ``Boot (9 / Red)``."""
    values = tuple(filter(None, values))
    return f"{name} ({' / '.join(values)})" if values else name


def made_sku(first: str, *values: str) -> str:
    """
    Return a SKU for a variant without one; different parts make different SKUs, the same parts always the same.

    ``boot``, ``9``, ``Red`` make ``boot/9/Red``. Parts that hold the separator, and SKUs that are too long, get a digest.
    """
    parts = [first, *values]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    made = "/".join(parts)
    if len(made) <= MAX_SKU and not any("/" in it for it in parts):
        return made
    digest = sha256(repr(parts).encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{made[: MAX_SKU - _DIGEST_LENGTH - 1]}-{digest}"


def slug(text: str) -> str:
    """Return letters and digits of *text* in lower case, joined by hyphens."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def says_yes(text: str) -> bool:
    """Return whether a cell affirms."""
    return text.strip().lower() in {"y", "yes", "true", "1", "x"}


def says_no(text: str) -> bool:
    """Return whether a cell denies."""
    return text.strip().lower() in {"n", "no", "false", "0"}
