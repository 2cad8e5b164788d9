"""Condition and update expressions."""

from collections.abc import Iterable
from typing import Any, Final

from inventory.items import Item
from inventory_adapters.storage.dynamodb.rows import (
    DEFAULTS,
    Changes,
    Value,
    number,
    text,
    value_of,
)

__all__ = ["Expression"]


class Expression:
    """
    Builds the expressions of one request and collects their names and values.

    Every attribute name is a placeholder, because `name`, `status` and `location` are reserved words of DynamoDB.
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
        """Return the condition that the stored attribute has a value."""
        return f"{self.name(attribute)} = {self.value(value)}"

    def means(self, attribute: str, value: str | int) -> str:
        """Return the condition that an attribute, or its default, has a value."""
        name = self.name(attribute)
        equal = self.equals(attribute, value_of(value))
        if attribute in _COUNTERS and value == 0:
            return f"(attribute_not_exists({name}) OR {equal})"
        if DEFAULTS.get(attribute) == value:
            null = self.value(text("NULL"))
            return f"(attribute_not_exists({name}) OR attribute_type({name}, {null}) OR {equal})"
        return equal

    def level_and_version(self, item: Item) -> str:
        """Return the condition that level and version are those of *item*."""
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

        A condition cannot check that a number is whole, or that a text is a price.
        """
        self._names |= _READABLE_NAMES
        self._values |= _READABLE_VALUES
        return _READABLE

    def version_in(self, versions: Iterable[int]) -> str:
        """Return the condition that the version is one of *versions*."""
        return _any(self.means("version", version) for version in sorted(versions))

    def write_marker(self, write_id: str) -> list[str]:
        """Return the assignments by which `was_written_by` recognises this write and the one before."""
        last, none = self.name("last_write"), self.value({"NULL": True})
        return [
            f"{self.name('prior_write')} = if_not_exists({last}, {none})",
            f"{last} = {self.value(text(write_id))}",
        ]

    def not_written_by(self, write_id: str) -> str:
        """Return the condition that this write was not applied to the row yet."""
        write = self.value(text(write_id))
        return f"{self.name('last_write')} <> {write} AND {self.name('prior_write')} <> {write}"

    def update(self, changes: Changes, write_id: str | None, *more: str) -> str:
        """Return the update of the attributes in *changes*, marked with *write_id* if given, with *more* assignments."""
        assignments = [
            f"{self.name(name)} = {self.value(value)}"
            for name, value in changes.items()
            if value is not None
        ]
        assignments += more
        if write_id is not None:
            assignments += self.write_marker(write_id)
        removed = [self.name(name) for name, value in changes.items() if value is None]
        clauses = {"SET": assignments, "REMOVE": removed}
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)

    def arguments(self, **expressions: str) -> dict[str, Any]:
        """Return *expressions*, names and values as arguments of a request."""
        arguments: dict[str, Any] = dict(expressions)
        # DynamoDB rejects empty maps.
        if self._names:
            arguments["ExpressionAttributeNames"] = self._names
        if self._values:
            arguments["ExpressionAttributeValues"] = self._values
        return arguments


def _all(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions)


def _any(conditions: Iterable[str]) -> str:
    first, *others = conditions
    # DynamoDB rejects redundant parentheses.
    return f"({' OR '.join((first, *others))})" if others else first


_COUNTERS: Final = ("reserved", "seq", "version")
_OPTIONAL_TEXTS: Final = ("moved_at", "changed_by")
_REQUIRED_TEXTS: Final = ("name", "category", "created_at", "updated_at")
_READABLE_NAMES: Final = {
    f"#{attribute}": attribute
    for attribute in (
        *("quantity", "price", "reorder_point"),
        *_REQUIRED_TEXTS,
        *_COUNTERS,
        *DEFAULTS,
        *_OPTIONAL_TEXTS,
        "attributes",
    )
}
_READABLE_VALUES: Final = {
    ":M": text("M"),
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


# The rows that `row_to_item` accepts. Types come first, because some emulators cannot compare values of different types.
_READABLE: Final = _all(
    [
        _typed("quantity", "N"),
        *(_typed(attribute, "S") for attribute in _REQUIRED_TEXTS),
        *(_typed(attribute, "", "S", "NULL") for attribute in (*DEFAULTS, *_OPTIONAL_TEXTS)),
        _typed("attributes", "", "M", "NULL"),
        *(_typed(attribute, "", "N") for attribute in _COUNTERS),
        _typed("price", "", "N", "S", "NULL"),
        _typed("reorder_point", "", "N", "NULL"),
        "#quantity >= :zero",
        "(attribute_not_exists(#reserved) OR #reserved BETWEEN :zero AND #quantity)",
        *(
            f"(attribute_not_exists(#{counter}) OR #{counter} >= :zero)"
            for counter in ("seq", "version")
        ),
    ]
)
