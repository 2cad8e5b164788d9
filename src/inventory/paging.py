"""Pages of a longer list: what is asked for, and what comes back."""

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from attrs import field, frozen
from attrs.validators import ge

from inventory.errors import UnreadableRowError

__all__ = ["Cursor", "Page", "PageLimits", "PageRequest", "iter_pages"]

T_co = TypeVar("T_co", covariant=True)

_MOST_PER_PAGE: Final = 100

Cursor = str
"""A position in one query's results; opaque to everyone but the repository that made it."""


@frozen(kw_only=True)
class PageRequest:
    """
    Up to *size* rows, from after *cursor* on.

    Attributes:
        size: Most rows to return, at least 1.
        cursor: `Page.next_cursor` of the page before; None for the first page.
    """

    size: int = field(validator=ge(1))
    cursor: Cursor | None = None


@frozen(kw_only=True)
class Page(Generic[T_co]):
    """
    Some rows of a list.

    Attributes:
        items: The rows, in the order of the query. May be short or empty before the end is reached.
        next_cursor: Where the next page starts; None, and only None, means that this was the last one.
        unreadable: One error for each row that was skipped because it could not be read.
    """

    items: tuple[T_co, ...]
    next_cursor: Cursor | None = None
    unreadable: tuple[UnreadableRowError, ...] = ()


@frozen(kw_only=True)
class PageLimits:
    """
    How many rows a page has.

    Attributes:
        default_page_size: When the caller does not say.
        max_items_per_page: However many the caller asks for; at most 100.
    """

    default_page_size: int = 20
    max_items_per_page: int = 50

    def __attrs_post_init__(self) -> None:
        if not 0 < self.default_page_size <= self.max_items_per_page <= _MOST_PER_PAGE:
            msg = (
                f"limits must satisfy 0 < default_page_size <= max_items_per_page <= {_MOST_PER_PAGE}, "
                f"not {self.default_page_size} and {self.max_items_per_page}"
            )
            raise ValueError(msg)

    def page_size(self, wanted: int | None) -> int:
        """Return the size to use when a caller asks for *wanted* rows."""
        return min(wanted or self.default_page_size, self.max_items_per_page)


def iter_pages(
    read: Callable[[PageRequest], Page[T_co]], *, size: int = _MOST_PER_PAGE
) -> Iterator[Page[T_co]]:
    """Yield every page of what *read* reads, from the first to the last, up to *size* rows at a time."""
    page = read(PageRequest(size=size))
    yield page
    while page.next_cursor is not None:
        page = read(PageRequest(size=size, cursor=page.next_cursor))
        yield page
