"""Unreadable rows of a page: skipped, logged once, and listed."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from inventory.errors import UnreadableRowError

__all__ = ["read_rows", "skipped"]

R = TypeVar("R")
T = TypeVar("T")

_logger = logging.getLogger(__name__)


def read_rows(
    rows: Iterable[R], read: Callable[[R], T], unreadable: list[UnreadableRowError]
) -> list[T]:
    """Convert *rows* with *read*, and collect errors in *unreadable*."""
    values: list[T] = []
    for row in rows:
        try:
            values.append(read(row))
        except UnreadableRowError as error:
            unreadable.append(error)
    return values


def skipped(unreadable: list[UnreadableRowError]) -> tuple[UnreadableRowError, ...]:
    """Log one warning for a page, and return the value of `Page.unreadable`."""
    if unreadable:
        first = unreadable[0]
        _logger.warning(
            "Skipped unreadable rows: %d. First: %s %r: %s",
            len(unreadable),
            first.code,
            first.row,
            first.why,
        )
    return tuple(unreadable)
