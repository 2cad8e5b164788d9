"""
Rows ↔ items, and the conditions that a row must meet.

An item is ``{"item_id": {"S": "..."}, "quantity": {"N": "5"}, "price": {"N": "19.9"}, ...}``. Rows of an earlier version lack
`reserved`, `seq`, `version` (read as 0), `location`, `description`, `price` and `status`; a sloppy writer may have stored the
price as text. What a row holds beyond these attributes is left alone.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from inventory.errors import UnreadableItemError
from inventory.items import AVAILABLE, Item, ItemKey, Timestamp
from inventory.stock import StockLevel

__all__ = [
    "DEFAULTS",
    "Expression",
    "Row",
    "Value",
    "carries",
    "item_to_row",
    "key_to_row",
    "number",
    "row_to_item",
    "row_to_key",
    "text",
    "value_of",
]

Value = dict[str, Any]
"""One attribute, tagged with its type: ``{"S": "blue"}``, ``{"N": "12.50"}``, ``{"NULL": True}``."""

Row = Mapping[str, Value]

_MISSING: Final[Value] = {"NULL": True}
# As many digits as a number of DynamoDB has. Source: "Supported data types", Number.
_DECIMAL: Final = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?")

DEFAULTS: Final = {"description": "", "status": AVAILABLE, "location": "default"}
"""What a row means that does not have these attributes."""


def text(value: str) -> Value:
    """Return *value* as an attribute."""
    return {"S": value}


def number(value: int | Decimal) -> Value:
    """Return *value* as an attribute, to the last digit."""
    return {"N": f"{value:f}" if isinstance(value, Decimal) else str(value)}


def value_of(value: str | int | Decimal) -> Value:
    """Return *value* as an attribute of its type."""
    return text(value) if isinstance(value, str) else number(value)


def key_to_row(key: ItemKey) -> dict[str, Value]:
    """Return the key attributes of an item."""
    return {"item_id": text(key.item_id), "sku": text(key.sku)}


def row_to_key(row: Row) -> ItemKey:
    """Return the key of a row of the items table, or of one that points to it."""
    return ItemKey(item_id=row["item_id"]["S"], sku=row["sku"]["S"])


def item_to_row(item: Item) -> dict[str, Value]:
    """Return *item* as a whole row."""
    row = {
        **key_to_row(item.key),
        "name": text(item.name),
        "description": text(item.description),
        "category": text(item.category),
        "price": number(item.price),
        "status": text(item.status),
        "location": text(item.location),
        "version": number(item.version),
        "created_at": text(item.created_at),
        "updated_at": text(item.updated_at),
        "quantity": number(item.level.on_hand),
        "reserved": number(item.level.reserved),
        "seq": number(item.level.seq),
    }
    if item.reorder_point is not None:
        row["reorder_point"] = number(item.reorder_point)
    return row


def row_to_item(row: Row) -> Item:
    """
    Return the item that *row* holds.

    Raises:
        UnreadableItemError: It holds something else.
    """
    try:
        return _usual(row)
    except (KeyError, ValueError):
        return _unusual(row)


def _usual(row: Row) -> Item:
    """Return the item of a row as we write it; that is nearly all of them, at half the price."""
    quantity, reserved = int(row["quantity"]["N"]), int(row["reserved"]["N"])
    seq, version = int(row["seq"]["N"]), int(row["version"]["N"])
    if version < 0:
        raise ValueError(version)
    return Item(
        key=ItemKey(item_id=row["item_id"]["S"], sku=row["sku"]["S"]),
        name=row["name"]["S"],
        description=row["description"]["S"],
        category=row["category"]["S"],
        price=Decimal(row["price"]["N"]),
        status=row["status"]["S"],
        location=row["location"]["S"],
        reorder_point=int(row["reorder_point"]["N"]) if "reorder_point" in row else None,
        version=version,
        created_at=Timestamp(row["created_at"]["S"]),
        updated_at=Timestamp(row["updated_at"]["S"]),
        level=StockLevel(on_hand=quantity, reserved=reserved, seq=seq),
    )


def _unusual(row: Row) -> Item:
    """Return the item of a row that an earlier version wrote, or somebody else."""
    key = row_to_key(row)
    try:
        return Item(
            key=key,
            name=_text(row, "name"),
            description=_text(row, "description"),
            category=_text(row, "category"),
            price=_price(row),
            status=_text(row, "status"),
            location=_text(row, "location"),
            reorder_point=None if _lacks(row, "reorder_point") else _whole(row, "reorder_point"),
            version=_counter(row, "version"),
            created_at=Timestamp(_text(row, "created_at")),
            updated_at=Timestamp(_text(row, "updated_at")),
            level=StockLevel(
                on_hand=_whole(row, "quantity"),
                reserved=_counter(row, "reserved"),
                seq=_counter(row, "seq"),
            ),
        )
    except ValueError as error:
        raise UnreadableItemError(key.item_id, key.sku, str(error)) from error


def _lacks(row: Row, attribute: str) -> bool:
    return "NULL" in row.get(attribute, _MISSING)


def _text(row: Row, attribute: str) -> str:
    value: str | None = row.get(attribute, _MISSING).get("S")
    if value is None and _lacks(row, attribute):
        value = DEFAULTS.get(attribute)
    if value is None:
        msg = f"{attribute} is not text"
        raise ValueError(msg)
    return value


def _price(row: Row) -> Decimal:
    value = row.get("price", _MISSING)
    if "N" in value:
        return Decimal(value["N"])
    if "NULL" in value:
        return Decimal(0)
    if _DECIMAL.fullmatch(value.get("S", "")):
        return Decimal(value["S"])
    msg = "price is not a number"
    raise ValueError(msg)


def _counter(row: Row, attribute: str) -> int:
    return _whole(row, attribute) if attribute in row else 0


def _whole(row: Row, attribute: str) -> int:
    digits: str = row.get(attribute, _MISSING).get("N", "")
    if digits.isdigit():
        return int(digits)
    # "5.0" and "5E+2" are whole as well, wherever they come from.
    value = Decimal(digits) if digits else Decimal(-1)
    if value < 0 or value != value.to_integral_value():
        msg = f"{attribute} is not a whole number"
        raise ValueError(msg)
    return int(value)


def carries(row: Row, write_id: str) -> bool:
    """Tell whether *row* is the work of *write_id*: as it was written once, or one of the last two that signed it."""
    return text(write_id) in map(row.get, ("write_id", "last_write", "prior_write"))


class Expression:
    """
    The names and values of the expressions of one request, put together as the expressions are written.

    Every attribute is named by a placeholder, because `name`, `status` and `location` are words of DynamoDB's own.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Value] = {}

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute."""
        placeholder = f"#{attribute}"
        self._names[placeholder] = attribute
        return placeholder

    def value(self, value: Value) -> str:
        """Return a placeholder for a value."""
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = value
        return placeholder

    def equals(self, attribute: str, value: Value) -> str:
        """Return the condition that an attribute is stored with a value."""
        return f"{self.name(attribute)} = {self.value(value)}"

    def means(self, attribute: str, value: str | int) -> str:
        """Return the condition that an attribute is read as a value, which a missing one may be."""
        name = self.name(attribute)
        equal = self.equals(attribute, value_of(value))
        if attribute in _COUNTERS and value == 0:
            return f"(attribute_not_exists({name}) OR {equal})"
        if DEFAULTS.get(attribute) == value:
            null = self.value(text("NULL"))
            return f"(attribute_not_exists({name}) OR attribute_type({name}, {null}) OR {equal})"
        return equal

    def level_and_version(self, item: Item) -> str:
        """Return the condition that level and version are still those of *item*."""
        level = item.level
        return _all(
            [
                self.means("quantity", level.on_hand),
                self.means("reserved", level.reserved),
                self.means("seq", level.seq),
                self.means("version", item.version),
            ]
        )

    def readable(self) -> str:
        """
        Return the condition that the row exists and is an item.

        One thing no condition can see: whether a number is whole, or a text a price.
        """
        self._names |= _READABLE_NAMES
        self._values |= _READABLE_VALUES
        return _READABLE

    def version_in(self, versions: Iterable[int]) -> str:
        """Return the condition that the version is one of *versions*."""
        return _any(self.means("version", version) for version in sorted(versions))

    def tag_in(self, tags: Iterable[tuple[int, int]]) -> str:
        """Return the condition that version and seq are together one of *tags*."""
        return _any(
            f"{self.means('version', version)} AND {self.means('seq', seq)}"
            for version, seq in sorted(tags)
        )

    def signature(self, write_id: str) -> list[str]:
        """Return the assignments by which `carries` recognises this write, also when one other came after it."""
        last, none = self.name("last_write"), self.value(_MISSING)
        return [
            f"{self.name('prior_write')} = if_not_exists({last}, {none})",
            f"{last} = {self.value(text(write_id))}",
        ]

    def unsigned(self, write_id: str) -> str:
        """Return the condition that this write has not reached the row yet."""
        write = self.value(text(write_id))
        return f"{self.name('last_write')} <> {write} AND {self.name('prior_write')} <> {write}"

    def update(self, before: Row, after: Row, signature: str | None) -> str:
        """Return the update that turns *before* into *after*, and leaves alone what is in neither or the same in both."""
        changed = [name for name, value in after.items() if before.get(name) != value]
        assignments = [f"{self.name(name)} = {self.value(after[name])}" for name in changed]
        if signature is not None:
            assignments += self.signature(signature)
        removed = [self.name(name) for name in before if name not in after]
        clauses = {"SET": assignments, "REMOVE": removed}
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)

    def arguments(self, **expressions: str) -> dict[str, Any]:
        """Return *expressions* with their names and values, as a request has them."""
        arguments: dict[str, Any] = dict(expressions)
        # DynamoDB refuses maps that are empty.
        if self._names:
            arguments["ExpressionAttributeNames"] = self._names
        if self._values:
            arguments["ExpressionAttributeValues"] = self._values
        return arguments


def _all(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions)


def _any(conditions: Iterable[str]) -> str:
    first, *others = conditions
    # DynamoDB refuses parentheses that change nothing.
    return f"({' OR '.join((first, *others))})" if others else first


_COUNTERS: Final = ("reserved", "seq", "version")
_REQUIRED_TEXTS: Final = ("name", "category", "created_at", "updated_at")
_READABLE_NAMES: Final = {
    f"#{attribute}": attribute
    for attribute in (
        *("quantity", "price", "reorder_point"),
        *_REQUIRED_TEXTS,
        *_COUNTERS,
        *DEFAULTS,
    )
}
_READABLE_VALUES: Final = {
    ":S": text("S"),
    ":N": text("N"),
    ":NULL": text("NULL"),
    ":zero": number(0),
}


def _typed(attribute: str, *types: str) -> str:
    return _any(
        f"attribute_not_exists(#{attribute})"
        if type_ == ""
        else f"attribute_type(#{attribute}, :{type_})"
        for type_ in types
    )


# What `row_to_item` accepts, in DynamoDB's words. Types come first: some stand-ins for it cannot compare unlike ones.
_READABLE: Final = _all(
    [
        _typed("quantity", "N"),
        *(_typed(attribute, "S") for attribute in _REQUIRED_TEXTS),
        *(_typed(attribute, "", "S", "NULL") for attribute in DEFAULTS),
        *(_typed(attribute, "", "N") for attribute in _COUNTERS),
        _typed("price", "", "N", "S", "NULL"),
        _typed("reorder_point", "", "N", "NULL"),
        "#quantity >= :zero",
        "(attribute_not_exists(#reserved) OR #reserved BETWEEN :zero AND #quantity)",
        *(f"(attribute_not_exists(#{it}) OR #{it} >= :zero)" for it in ("seq", "version")),
    ]
)
