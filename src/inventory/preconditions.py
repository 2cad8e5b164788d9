"""If-Match: the states of an item that a caller accepts for a change."""

import re
from functools import cache
from typing import Any, Final, Self

from attrs import frozen

from inventory.errors import FieldError
from inventory.items import Item
from inventory.validation import BoundError, JsonSchema

__all__ = ["ANY_STATE", "IF_MATCH", "IfMatch"]

_MAX_TAGS: Final = 32


@cache
def _entity_tag() -> re.Pattern[str]:
    """
    Return the pattern of an entity tag.

    It is compiled on first use, because most cold starts need none.
    """
    # Source: RFC 9110, section 8.8.3. The groups "version" and "seq" match in tags of this system only.
    return re.compile(
        r'[ \t]*(?P<weak>W/)?"(?:(?P<version>0|[1-9][0-9]{0,17})-(?P<seq>0|[1-9][0-9]{0,17})'
        r'|[\x21\x23-\x7e\x80-\U0010ffff]*)"[ \t]*'
    )


@frozen
class IfMatch:
    """
    The entity tags that a caller accepts, or any state of an existing item.

    Attributes:
        tags: Accepted states as (version, seq). None accepts any. An empty set accepts none: it is the result of weak tags,
            which never match (RFC 9110, section 13.1.1).
    """

    tags: frozenset[tuple[int, int]] | None = None

    @classmethod
    def parse(cls, header: str) -> Self:
        """
        Parse the value of an If-Match header: ``*``, or comma-separated entity tags.

        Raises:
            ValueError: The value is neither.
        """
        if header.strip(" \t") == "*":
            return cls()
        tags = set()
        start = count = 0
        while start < len(header):
            tag = _entity_tag().match(header, start)
            if tag is None or (tag.end() < len(header) and header[tag.end()] != ","):
                break
            count += 1
            start = tag.end() + 1
            if tag["version"] and not tag["weak"]:
                tags.add((int(tag["version"]), int(tag["seq"])))
        if not 0 < count <= _MAX_TAGS or start != len(header) + 1:
            raise ValueError(header)
        return cls(frozenset(tags))

    @property
    def versions(self) -> frozenset[int] | None:
        """The accepted versions, for an edit of details alone; None accepts any."""
        return None if self.tags is None else frozenset(version for version, _ in self.tags)

    def accepts(self, item: Item) -> bool:
        """Return whether details and stock of *item* are in an accepted state."""
        return self.tags is None or (item.version, item.level.seq) in self.tags

    def accepts_version(self, item: Item) -> bool:
        """Return whether the details of *item* are in an accepted state."""
        return self.versions is None or item.version in self.versions


class _IfMatchBound:
    doc = "Fail unless the item is still in this state: its ETag, or * for any."

    def read(self, value: Any) -> IfMatch:
        if isinstance(value, IfMatch):
            return value
        try:
            return IfMatch.parse(value)
        except (ValueError, TypeError, AttributeError):
            raise BoundError(
                FieldError(
                    "", f'must be * or up to {_MAX_TAGS} entity tags such as "3-7", in quotes'
                )
            ) from None

    def schema(self) -> JsonSchema:
        tag = r'(W/)?"[!#-~\x80-\xff]*"'
        more = rf"([ \t]*,[ \t]*{tag}){{0,{_MAX_TAGS - 1}}}"
        return {"type": "string", "pattern": rf"^(\*|{tag}{more})$", "examples": ['"3-7"', "*"]}


ANY_STATE: Final = IfMatch()
IF_MATCH: Final = _IfMatchBound()
