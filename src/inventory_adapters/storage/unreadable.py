"""Rows of a page that cannot be read: skipped, logged once, and listed."""

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
    """Return what *read* makes of *rows*; errors of rows that it cannot read are added to *unreadable*."""
    values: list[T] = []
    for row in rows:
        try:
            values.append(read(row))
        except UnreadableRowError as error:
            unreadable.append(error)
    return values


def skipped(unreadable: list[UnreadableRowError]) -> tuple[UnreadableRowError, ...]:
    """Return *unreadable* for `Page.unreadable`, after one warning for all of a page."""
    if unreadable:
        first = unreadable[0]
        _logger.warning(
            "Skipped rows that cannot be read: %d. The first: %s %r: %s",
            len(unreadable),
            first.code,
            first.row,
            first.why,
        )
    return tuple(unreadable)
