"""The contents of a row about one item, before it is compared with the stored items."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol

from attrs import field, frozen

from inventory.items import AVAILABLE, OUT_OF_STOCK
from inventory.validation import normalized
from inventory_adapters.catalogue.cells import CellError, Header, Record
from inventory_adapters.catalogue.numbers import Convention, Mark

__all__ = ["ONE_LINE", "Draft", "Format", "ItemRow", "Options", "draft_of"]

# One line each, compared without regard to outer blanks and to how letters are composed.
ONE_LINE: Final = ("name", "category", "location")


@frozen(kw_only=True)
class ItemRow:
    """
    The texts of one item in a row, as its format finds them.

    Attributes:
        line: The line where the row starts.
        sku: The SKU; empty if the row has none.
        location: The item's location; empty if the row has none.
        item_id: The id of an existing item; None if the row has none.
        texts: Details of the item, by the names on `Item`.
        initial: Details that only a new item gets: the stand-ins for what the file does not have.
        numbers: The cells with numbers, by the names of the fields; a blank cell says nothing.
        clears: Fields whose blank cell means that there is no value: only in files that are ours.
        columns: The file's names of its columns, by field.
        notes: Changes to the row that a person may want to know.
        initial_notes: The same, for new items only.
        may_create: Whether the row makes an item that does not exist.
    """

    line: int
    sku: str
    location: str = ""
    item_id: str | None = None
    texts: Mapping[str, str] = field(factory=dict)
    initial: Mapping[str, str] = field(factory=dict)
    numbers: Mapping[str, str] = field(factory=dict)
    clears: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(factory=dict)
    notes: tuple[str, ...] = ()
    initial_notes: tuple[str, ...] = ()
    may_create: bool = True


@frozen(kw_only=True)
class Draft:
    """
    The contents of a row about one item, its numbers read.

    Attributes:
        row: The row as it is written.
        sku, location: The item, where there is no id; in the form in which they are compared.
        version, seq: The state of the item when the row was exported; None if the row has none.
        quantity: Units on hand; None if the row has none, which is 0 for a new item.
        details: Details of the item, by the names on `Item`.
        notes: Changes to the row that a person may want to know.
    """

    row: ItemRow
    sku: str
    location: str
    version: int | None
    seq: int | None
    quantity: int | None
    details: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def new_item(self) -> dict[str, Any]:
        """The fields of the item that the row would create."""
        return {
            "sku": self.sku,
            "name": "",
            "category": "",
            "status": AVAILABLE if self.quantity else OUT_OF_STOCK,
            **self.row.initial,
            **self.details,
            "quantity": self.quantity or 0,
            "location": self.location,
        }


@frozen(kw_only=True)
class Options:
    """
    The choices of a person for the whole file.

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
    One kind of file: the columns that identify it, and the meaning of its rows.

    Attributes:
        name: The name of the format.
        title: Its name for people.
        decimal: The decimal mark that its system always writes; None if that depends on the shop.
        columns: The file's names of its columns, or the usual ones, by field.
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
    Return the contents of a row, its numbers read.

    Raises:
        CellError: A number cannot be read, or is negative.
    """
    notes = row.notes
    # Rows of one variant at several locations share their texts.
    details: dict[str, Any] = dict(row.texts)
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
        row=row,
        sku=normalized(row.sku),
        location=normalized(row.location) or options.location,
        version=wholes.get("version"),
        seq=wholes.get("seq"),
        quantity=quantity,
        details=details,
        notes=notes,
    )


def _price(amount: Decimal) -> Decimal:
    # As a price is stored: 12.50 and 12.5 are no difference.
    return amount.normalize() if amount % 1 else amount.to_integral_value()
