"""How much time a request has left. Set once where it enters, asked wherever work could be begun in vain."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

__all__ = ["deadline", "time_left"]

_ends_at: ContextVar[float] = ContextVar("inventory_deadline", default=inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give the work inside this block *seconds* from now; an earlier deadline around it stays in force."""
    token = _ends_at.set(min(_ends_at.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


def time_left() -> float:
    """Return the seconds until the deadline of the current request; infinite where none was set."""
    return _ends_at.get() - monotonic()
