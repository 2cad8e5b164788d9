"""The contents of a row about one item, before it is compared with the stored items."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from attrs import define, field, frozen

from inventory.items import AVAILABLE, OUT_OF_STOCK
from inventory.validation import folded, normalized
from inventory_adapters.catalogue.cells import (
    CellError,
    Header,
    Record,
    UnreadableFileError,
    unguarded,
)
from inventory_adapters.catalogue.numbers import Convention, Mark

__all__ = ["ATTRIBUTE", "ONE_LINE", "Draft", "Format", "Options", "read"]

ATTRIBUTE: Final = "attribute:"
"""How the field, and our own column, of an attribute begins: ``attribute:barcode``."""

# One line each, compared without regard to outer blanks and to how letters are composed.
ONE_LINE: Final = ("name", "category", "location")


@define(kw_only=True)
class Draft:
    """
    The contents of a row about one item: as its format finds them, then with its numbers read, see `read`.

    Attributes:
        line: The line where the row starts.
        sku: The SKU; empty if the row has none.
        location: The item's location; empty if the row has none.
        item_id: The id of an existing item; None if the row has none.
        details: Details of the item, by the names on `Item`.
        initial: Details that only a new item gets: the stand-ins for what the file does not have.
        numbers: The cells with numbers, by the names of the fields; a blank cell says nothing.
        clears: Fields whose blank cell means that there is no value: only in files that are ours.
        columns: The file's names of its columns, by field.
        notes: Changes to the row that a person may want to know.
        initial_notes: The same, for new items only.
        may_create: Whether the row makes an item that does not exist.
        given_sku: The SKU as the file has it; `sku` has the form in which SKUs are compared.
        version, seq: The state of the item when the row was exported; None if the row has none.
        quantity: Units on hand; None if the row has none, which is 0 for a new item.
    """

    line: int
    sku: str
    location: str = ""
    item_id: str | None = None
    details: Mapping[str, Any] = field(factory=dict)
    initial: Mapping[str, str] = field(factory=dict)
    numbers: Mapping[str, str] = field(factory=dict)
    clears: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(factory=dict)
    notes: tuple[str, ...] = ()
    initial_notes: tuple[str, ...] = ()
    may_create: bool = True
    given_sku: str = ""
    version: int | None = None
    seq: int | None = None
    quantity: int | None = None

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

    @property
    def sample(self) -> dict[str, Any]:
        """The fields of the new item, each attribute as a field of its own."""
        item = self.new_item
        attributes = item.pop("attributes", {}).items()
        return {**item, **{f"{ATTRIBUTE}{name}": text for name, text in attributes}}

    def error(
        self, field: str, reason: str, value: str | None, code: str = "validation_failed"
    ) -> CellError:
        """Return an error of a field, by the file's name of its column."""
        return CellError(reason, column=self.columns.get(field, field), value=value, code=code)


@frozen(kw_only=True)
class Options:
    """
    The choices of a person for the whole file.

    Attributes:
        location: The location of rows that do not have one.
        category: The category of new items in rows that do not have one; None to use the stand-in of the format.
        negative_is_zero: Whether a negative quantity is taken as 0 rather than rejected.
        keep_columns: The names of further columns to keep as attributes.
    """

    location: str = "default"
    category: str | None = None
    negative_is_zero: bool = False
    keep_columns: tuple[str, ...] = ()


class Format:
    """
    One kind of file: the columns that identify it, and the meaning of its rows.

    Attributes:
        name: The name of the format.
        title: Its name for people.
        decimal: The decimal mark that its system always writes; None if that depends on the shop.
        needs: The keys of the columns that identify it: one of each group.
        columns: The file's names of its columns, or the usual ones, by field.
        mapping: The columns that it has, by the names of the fields.
        used: The keys of the columns that are read.
        attributes: The keys of the columns that are kept as attributes, by the names of the attributes.
        numbers: The keys of the columns that hold numbers.
        has_quantity: Whether there is a column of quantities.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    decimal: ClassVar[Mark | None] = None
    needs: ClassVar[tuple[tuple[str, ...], ...]] = ()
    columns: Mapping[str, str]
    mapping: Mapping[str, str]
    used: frozenset[str]
    attributes: Mapping[str, str]
    numbers: frozenset[str]
    has_quantity: bool

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Return whether a file with these columns is of this kind."""
        return all(header.first(*keys) for keys in cls.needs)

    def __init__(self, header: Header, options: Options) -> None:
        """Prepare to read the rows of one file, in their order."""
        self._header = header
        self._options = options

    def rows(self, record: Record) -> Iterator[Draft]:
        """
        Yield the items of a row; none for a row that has no item of its own.

        Raises:
            CellError: The row cannot be read.
        """
        raise NotImplementedError

    def _keep(self, attributes: dict[str, str]) -> None:
        """
        Keep columns as attributes: those of *attributes* (name → key), and those that a person chose.

        Raises:
            UnreadableFileError: A column does not exist, or its name makes no attribute of its own.
        """
        header = self._header
        for column in self._options.keep_columns:
            key = header.key_of(column)
            # The bound of the names of attributes: Latin letters, digits and underscores.
            name = re.sub("[^a-z0-9]+", "_", folded(column)).lstrip("_0123456789")[:40].rstrip("_")
            if key in attributes.values():
                continue
            if not name or name in attributes:
                reason = (
                    f"is that of {header.name(attributes[name])}" if name else "has no Latin letter"
                )
                raise UnreadableFileError(
                    f"The column {column} cannot be kept: its name as an attribute {reason}. Rename it in the file"
                )
            attributes[name] = key
        self.attributes = attributes
        self.used |= frozenset(attributes.values())
        names = {f"{ATTRIBUTE}{name}": header.name(key) for name, key in attributes.items()}
        self.mapping = {**self.mapping, **names}
        self.columns = {**self.columns, **names}

    def _kept(self, record: Record) -> dict[str, str]:
        """Return the attributes of a row; a blank cell says nothing."""
        texts = {}
        for name, key in self.attributes.items():
            # In our own columns, outer blanks belong to the text.
            text = unguarded(record[key]) if key.startswith(ATTRIBUTE) else record.text(key)
            if text.strip():
                texts[name] = text
        return texts


def read(draft: Draft, convention: Convention, options: Options) -> None:
    """
    Read the numbers of a row, and bring its texts into the form in which they are compared.

    Raises:
        CellError: A number cannot be read, or is negative.
    """
    # Rows of one variant at several locations share their texts.
    details = draft.details = dict(draft.details)
    for name in ONE_LINE:
        if name in details:
            details[name] = normalized(details[name])
    wholes: dict[str, int] = {}
    for name, text in draft.numbers.items():
        if not text:
            if name in draft.clears:
                details[name] = None
        elif name == "price":
            details[name] = convention.amount(text, draft.columns[name])
        else:
            wholes[name] = convention.whole(text, draft.columns[name])
    quantity = wholes.get("quantity")
    if quantity is not None and quantity < 0:
        if not options.negative_is_zero:
            reason = "must not be negative; --negative zero takes it as 0"
            raise draft.error("quantity", reason, draft.numbers["quantity"])
        draft.notes = (*draft.notes, f"{draft.columns['quantity']} {quantity} taken as 0")
        quantity = 0
    if "reorder_point" in wholes:
        details["reorder_point"] = wholes["reorder_point"]
    draft.quantity, draft.version, draft.seq = quantity, wholes.get("version"), wholes.get("seq")
    draft.given_sku, draft.sku = draft.sku, normalized(draft.sku)
    draft.location = normalized(draft.location) or options.location
