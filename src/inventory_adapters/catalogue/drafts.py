"""What a row of a file says of one item, before anything is known of the items that there are; and how a cell is read."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol

from attrs import field, frozen

from inventory_adapters.catalogue.csv_file import CellError, Record, unguarded

__all__ = ["Draft", "Format", "Options", "cut", "price", "slug", "units", "whole"]

_WHOLE: Final = re.compile(r"(-?[0-9]{1,18})(?:\.0+)?")
_AMOUNT: Final = re.compile(r"-?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})")
_THOUSANDS: Final = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_CURRENCY: Final = re.compile(r"^[^\W\d]{0,3}[$€£¥₹]?\s*|\s*[$€£¥₹]?[^\W\d]{0,3}$")


@frozen(kw_only=True)
class Draft:
    """
    One item as a row has it.

    Attributes:
        line: Where the row starts.
        sku, location: What finds the item where there is no id.
        item_id: The id of an existing item; None where the row has none.
        version, seq: The state of the item that the row speaks of; None where it does not say.
        quantity: Units on hand; None where the row does not say, which for a new item means none.
        details: What the row says of the item, by the names on `Item`.
        initial: What it says only of an item that is new.
        columns: What the file calls its columns, by the names of the fields.
        notes: What was made of the row that a person may want to know.
    """

    line: int
    sku: str
    location: str
    item_id: str | None = None
    version: int | None = None
    seq: int | None = None
    quantity: int | None = None
    details: dict[str, Any]
    initial: dict[str, Any] = field(factory=dict)
    columns: Mapping[str, str]
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class Options:
    """
    How cells are read.

    Attributes:
        location: Where items are kept of which the file does not say.
        negative_is_zero: Whether a negative quantity is taken for 0 rather than refused.
        decimal_comma: Whether 12,50 is a price.
    """

    location: str = "default"
    negative_is_zero: bool = False
    decimal_comma: bool = False


class Format(Protocol):
    """One kind of file: how it is told by its columns, and what its records mean."""

    name: ClassVar[str]

    @staticmethod
    def fits(columns: Mapping[str, int]) -> bool:
        """Tell whether a file with these columns is of this kind."""

    @staticmethod
    def needs() -> str:
        """Say what columns a file of this kind has at least."""

    def __init__(
        self, header: tuple[str, ...], columns: Mapping[str, int], options: Options
    ) -> None:
        """Get ready to read records of one file, in their order."""

    def drafts(self, record: Record) -> Iterator[Draft]:
        """
        Yield the items of a record; none for one that has no item of its own.

        Raises:
            CellError: The record cannot be taken as it is.
        """


def whole(record: Record, column: str, called: str) -> int | None:
    """Return the whole number in a cell, or None where it is blank; ``5.0``, as spreadsheets may have it, is 5."""
    text = unguarded(record.stripped(column))
    if not text:
        return None
    found = _WHOLE.fullmatch(text)
    if found is None:
        raise CellError("must be a whole number", column=called, value=text)
    return int(found[1])


def units(
    record: Record, column: str, called: str, options: Options
) -> tuple[int | None, tuple[str, ...]]:
    """Return the quantity in a cell, or None where it is blank, and a note where it is not what the cell says."""
    quantity = whole(record, column, called)
    if quantity is None or quantity >= 0:
        return quantity, ()
    if not options.negative_is_zero:
        raise CellError(
            "must not be negative; --negative zero takes it as 0",
            column=called,
            value=str(quantity),
        )
    return 0, (f"{called} {quantity} taken as 0",)


def price(record: Record, column: str, called: str, options: Options) -> Decimal | None:
    """Return the amount in a cell, or None where it is blank; currency signs and the commas of thousands are left out."""
    text = unguarded(record.stripped(column))
    if not text:
        return None
    amount = _CURRENCY.sub("", text)
    if options.decimal_comma:
        amount = amount.replace(",", ".")
    elif _THOUSANDS.fullmatch(amount):
        amount = amount.replace(",", "")
    if not _AMOUNT.fullmatch(amount):
        raise CellError("must be a price such as 12.50", column=called, value=text)
    return Decimal(amount)


def cut(text: str, length: int, what: str) -> tuple[str, tuple[str, ...]]:
    """Return *text*, cut to *length* characters, and a note if that was needed."""
    if len(text) <= length:
        return text, ()
    return f"{text[: length - 1].rstrip()}…", (
        f"{what} cut from {len(text)} to {length} characters",
    )


def slug(*parts: str) -> str:
    """Return letters and digits of *parts* in lower case, parted by hyphens."""
    return "-".join(filter(None, (re.sub(r"[\W_]+", "-", it.lower()).strip("-") for it in parts)))
