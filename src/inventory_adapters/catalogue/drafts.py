"""What a row says of one item, before it is compared with the stored items."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, ClassVar, Final, Protocol

from attrs import field, frozen

from inventory.items import AVAILABLE, OUT_OF_STOCK
from inventory.validation import normalized
from inventory_adapters.catalogue.html_text import html_to_text
from inventory_adapters.catalogue.numbers import Convention, Mark
from inventory_adapters.catalogue.tables import CellError, Header, Record

__all__ = [
    "ONE_LINE",
    "UNCATEGORIZED",
    "Draft",
    "Format",
    "ItemRow",
    "Options",
    "ShopFormat",
    "ShopTexts",
    "draft_of",
    "last_step",
    "made_sku",
    "named",
    "says_no",
    "says_yes",
    "shop_texts",
    "slug",
]

UNCATEGORIZED: Final = "uncategorized"

_MAX_SKU: Final = 128
_MAX_NAME: Final = 256
_MAX_DESCRIPTION: Final = 4096
_DIGEST_LENGTH: Final = 10

# One line each, compared without regard to outer blanks and to how letters are composed.
ONE_LINE: Final = ("name", "category", "location")
_WHOLE: Final = ("quantity", "reorder_point", "version", "seq")


@frozen(kw_only=True)
class ItemRow:
    """
    The texts of one item in a row, as its format finds them.

    Attributes:
        line: The line where the row starts.
        sku: The SKU; empty if the row has none.
        location: Where the item is kept; empty if the row does not say.
        item_id: The id of an existing item; None if the row has none.
        texts: Details of the item, by the names on `Item`.
        initial: Details that only a new item gets: the stand-ins for what the file does not have.
        numbers: The cells with numbers, by the names of the fields; a blank cell says nothing.
        clears: Fields whose blank cell means that there is no value: only in files that are ours.
        columns: What the file calls its columns, by the names of the fields.
        notes: What was changed on the way and a person may want to know.
        initial_notes: The same, for new items only.
        may_create: Whether the row makes an item that does not exist.
    """

    line: int
    sku: str
    location: str = ""
    item_id: str | None = None
    texts: dict[str, str] = field(factory=dict)
    initial: dict[str, str] = field(factory=dict)
    numbers: Mapping[str, str] = field(factory=dict)
    clears: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(factory=dict)
    notes: tuple[str, ...] = ()
    initial_notes: tuple[str, ...] = ()
    may_create: bool = True


@frozen(kw_only=True)
class Draft:
    """
    What a row says of one item.

    Attributes:
        line: The line where the row starts.
        sku, location: The item, where there is no id; in the form in which they are compared.
        written_sku: The SKU as it is in the file.
        item_id: The id of an existing item; None if the row has none.
        version, seq: The state of the item that the row was exported from; None if the row does not say.
        quantity: Units on hand; None if the row does not say, which means none for a new item.
        details: Details of the item, by the names on `Item`.
        initial: Details that only a new item gets.
        columns: What the file calls its columns, by the names of the fields.
        notes, initial_notes: What was changed on the way; the second for new items only.
        may_create: Whether the row makes an item that does not exist.
    """

    line: int
    sku: str
    location: str
    written_sku: str
    item_id: str | None = None
    version: int | None = None
    seq: int | None = None
    quantity: int | None = None
    details: dict[str, Any]
    initial: dict[str, Any] = field(factory=dict)
    columns: Mapping[str, str]
    notes: tuple[str, ...] = ()
    initial_notes: tuple[str, ...] = ()
    may_create: bool = True

    @property
    def new_item(self) -> dict[str, Any]:
        """The fields of the item that the row would create."""
        return {
            "sku": self.sku,
            "name": "",
            "category": "",
            "status": AVAILABLE if self.quantity else OUT_OF_STOCK,
            **self.initial,
            **self.details,
            "quantity": self.quantity or 0,
            "location": self.location,
        }


@frozen(kw_only=True)
class Options:
    """
    What a person chose for the whole file.

    Attributes:
        location: The location of rows that do not have one.
        category: The category of new items in rows that do not have one; None to use the stand-in of the format.
        negative_is_zero: Whether a negative quantity is taken as 0 rather than rejected.
    """

    location: str = "default"
    category: str | None = None
    negative_is_zero: bool = False


class Format(Protocol):
    """
    One kind of file: how its columns tell it, and what its rows mean.

    Attributes:
        name: The name of the format.
        title: What people call it.
        decimal: The decimal mark that its system always writes; None if that depends on the shop.
        columns: What the file calls its columns, or would, by the names of the fields.
        mapping: The columns that it has, by the names of the fields.
        used: The keys of the columns that are read.
        numbers: The keys of the columns that hold numbers.
        has_quantity: Whether there is a column of quantities.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    decimal: ClassVar[Mark | None]
    columns: Mapping[str, str]
    mapping: Mapping[str, str]
    used: frozenset[str]
    numbers: frozenset[str]
    has_quantity: bool

    @staticmethod
    def fits(header: Header) -> bool:
        """Return whether a file with these columns is of this kind."""

    def __init__(self, header: Header, options: Options) -> None:
        """Prepare to read the rows of one file, in their order."""

    def rows(self, record: Record) -> Iterator[ItemRow]:
        """
        Yield the items of a row; none for a row that has no item of its own.

        Raises:
            CellError: The row cannot be read.
        """


def draft_of(row: ItemRow, convention: Convention, options: Options) -> Draft:
    """
    Return what a row says, its numbers read.

    Raises:
        CellError: A number cannot be read, or is negative.
    """
    notes = row.notes
    details: dict[str, Any] = row.texts
    for name in ONE_LINE:
        if name in details:
            details[name] = normalized(details[name])
    wholes: dict[str, int] = {}
    for name, text in row.numbers.items():
        if not text:
            if name in row.clears:
                details[name] = None
        elif name == "price":
            details[name] = _price(convention.amount(text, row.columns[name]))
        else:
            wholes[name] = convention.whole(text, row.columns[name])
    quantity = wholes.get("quantity")
    if quantity is not None and quantity < 0:
        column = row.columns["quantity"]
        if not options.negative_is_zero:
            raise CellError(
                "must not be negative; --negative zero takes it as 0",
                column=column,
                value=row.numbers["quantity"],
            )
        notes = (*notes, f"{column} {quantity} taken as 0")
        quantity = 0
    if "reorder_point" in wholes:
        details["reorder_point"] = wholes["reorder_point"]
    return Draft(
        line=row.line,
        sku=normalized(row.sku),
        location=normalized(row.location) or options.location,
        written_sku=row.sku,
        item_id=row.item_id,
        version=wholes.get("version"),
        seq=wholes.get("seq"),
        quantity=quantity,
        details=details,
        initial=row.initial,
        columns=row.columns,
        notes=notes,
        initial_notes=row.initial_notes,
        may_create=row.may_create,
    )


def _price(amount: Decimal) -> Decimal:
    # As a price is stored: 12.50 and 12.5 are no difference.
    return amount.normalize() if amount % 1 else amount.to_integral_value()


# --- What formats of shops have in common


class ShopFormat:
    """
    The columns of one file of a shop's format.

    A subclass declares `names`: for each of its fields, the keys that its column has had.
    """

    names: ClassVar[Mapping[str, tuple[str, ...]]]
    number_fields: ClassVar[tuple[str, ...]] = ("quantity", "price", "reorder_point")

    def __init__(self, header: Header, options: Options) -> None:
        self._options = options
        self._keys = {field: header.first(*names) for field, names in self.names.items()}
        self.columns: Mapping[str, str] = {
            field: names[0] if key is None else header.name(key)
            for (field, names), key in zip(self.names.items(), self._keys.values(), strict=True)
        } | {"location": "location"}
        self.mapping: Mapping[str, str] = {
            field: header.name(key) for field, key in self._keys.items() if key is not None
        }
        self.used = frozenset(filter(None, self._keys.values()))
        self.numbers = frozenset(
            key for field in self.number_fields if (key := self._keys.get(field)) is not None
        )
        self.has_quantity = self._keys.get("quantity") is not None

    def _text(self, record: Record, field: str) -> str:
        return record.text(self._keys[field])

    def _numbers(self, record: Record) -> dict[str, str]:
        return {
            field: record.number(key)
            for field in self.number_fields
            if (key := self._keys.get(field)) is not None
        }


@frozen
class ShopTexts:
    """Details of a shop's item, made to fit, with the notes about it."""

    texts: dict[str, str]
    initial: dict[str, str]
    notes: tuple[str, ...]
    initial_notes: tuple[str, ...]


def shop_texts(*, name: str, category: str, description: str, options: Options) -> ShopTexts:
    """Return details as they fit an item; blank ones say nothing of an item that exists."""
    text, is_readable = html_to_text(description)
    notes = () if is_readable else ("description is broken HTML and kept as it is",)
    texts: dict[str, str] = {}
    for field_name, value, length in (
        ("name", name, _MAX_NAME),
        ("description", text, _MAX_DESCRIPTION),
    ):
        if len(value) > length:
            notes = (*notes, f"{field_name} cut from {len(value)} to {length} characters")
            value = f"{value[: length - 1].rstrip()}…"  # noqa: PLW2901 - the same text, shorter
        if value:
            texts[field_name] = value
    if category:
        return ShopTexts({**texts, "category": category}, {}, notes, ())
    stand_in = options.category or UNCATEGORIZED
    told = () if options.category else (f"category set to {UNCATEGORIZED}",)
    return ShopTexts(texts, {"category": stand_in}, notes, told)


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
    if len(made) <= _MAX_SKU and not any("/" in it for it in parts):
        return made
    digest = sha256(repr(parts).encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{made[: _MAX_SKU - _DIGEST_LENGTH - 1]}-{digest}"


def slug(text: str) -> str:
    """Return letters and digits of *text* in lower case, joined by hyphens."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def says_yes(text: str) -> bool:
    """Return whether a cell affirms."""
    return text.strip().lower() in {"y", "yes", "true", "1", "x"}


def says_no(text: str) -> bool:
    """Return whether a cell denies."""
    return text.strip().lower() in {"n", "no", "false", "0"}
