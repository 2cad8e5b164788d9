"""Pages of a longer list."""

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from attrs import field, frozen
from attrs.validators import ge

from inventory.errors import UnreadableRowError

__all__ = ["Cursor", "Page", "PageLimits", "PageRequest", "iter_pages"]

T_co = TypeVar("T_co", covariant=True)

_MAX_PAGE_SIZE: Final = 100

Cursor = str
"""
A position in the results of one query.

It is opaque outside the repository that made it.
"""


@frozen(kw_only=True)
class PageRequest:
    """
    A request for one page.

    Attributes:
        size: Maximum number of rows, at least 1.
        cursor: `Page.next_cursor` of the page before; None for the first page.
    """

    size: int = field(validator=ge(1))
    cursor: Cursor | None = None


@frozen(kw_only=True)
class Page(Generic[T_co]):
    """
    One page of a list.

    Attributes:
        items: The rows, in the order of the query. There may be few or none, even before the last page.
        next_cursor: The cursor of the next page; None on the last page, and only there.
        unreadable: One error for each row that was skipped because it could not be read.
    """

    items: tuple[T_co, ...]
    next_cursor: Cursor | None = None
    unreadable: tuple[UnreadableRowError, ...] = ()


@frozen(kw_only=True)
class PageLimits:
    """
    The number of rows per page.

    Attributes:
        default_page_size: The number if the caller requests none.
        max_items_per_page: The maximum, whatever the caller requests; at most 100.
    """

    default_page_size: int = 20
    max_items_per_page: int = 50

    def __attrs_post_init__(self) -> None:
        if not 0 < self.default_page_size <= self.max_items_per_page <= _MAX_PAGE_SIZE:
            msg = (
                f"limits must satisfy 0 < default_page_size <= max_items_per_page <= {_MAX_PAGE_SIZE}, "
                f"not {self.default_page_size} and {self.max_items_per_page}"
            )
            raise ValueError(msg)

    def page_size(self, requested: int | None) -> int:
        """Return the page size for a request."""
        return min(requested or self.default_page_size, self.max_items_per_page)


def iter_pages(
    read: Callable[[PageRequest], Page[T_co]], *, size: int = _MAX_PAGE_SIZE
) -> Iterator[Page[T_co]]:
    """Yield every page that *read* returns, with up to *size* rows each."""
    page = read(PageRequest(size=size))
    yield page
    while page.next_cursor is not None:
        page = read(PageRequest(size=size, cursor=page.next_cursor))
        yield page
