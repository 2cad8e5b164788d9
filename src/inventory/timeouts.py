"""
Per-request deadline.

It is set at the entry point, and checked before starting work that may not finish.
"""

from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from math import inf
from time import monotonic

__all__ = ["deadline", "time_left"]

_ends_at: ContextVar[float] = ContextVar("inventory_deadline", default=inf)


def deadline(seconds: float) -> AbstractContextManager[None]:
    """
    Set a deadline for this block, *seconds* from now.

    An earlier deadline around it stays in force.
    """
    return _Deadline(seconds)


class _Deadline(AbstractContextManager[None]):
    # Not `contextlib.contextmanager`: every request has a deadline, and a generator costs twice as much.
    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        ends_at = monotonic() + self._seconds
        self._token: Token[float] = _ends_at.set(min(_ends_at.get(), ends_at))

    def __exit__(self, *exc_info: object) -> None:
        _ends_at.reset(self._token)


def time_left() -> float:
    """
    Return the seconds until the deadline of the current request.

    Return infinity if it has none.
    """
    return _ends_at.get() - monotonic()
