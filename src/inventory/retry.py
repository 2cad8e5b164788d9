"""From a decision to a commit: made anew when it was overtaken, replayed when its key was served before."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from math import inf
from typing import Any, Final, Generic, TypeVar, cast

import attrs

from inventory.errors import (
    AlreadyServedError,
    ContentionError,
    InventoryError,
    KeyReusedError,
    StaleReadError,
    StorageError,
)
from inventory.idempotency import (
    KEPT_SECONDS,
    IdempotencyKey,
    ServedRecord,
    fingerprint,
    freeze,
    thaw,
)
from inventory.items import Timestamp
from inventory.ports import Change, InventoryRepository
from inventory.timeouts import time_left

__all__ = ["Decision", "once"]

R = TypeVar("R")

Decision = tuple[Change, R]
"""What a use case would write, and what it would answer."""

# From the curves in docs/performance.md. The deadline of a request shall end it, not the count: that is for whoever has none.
_MAX_ATTEMPTS: Final = 24
_FIRST_PAUSE_SECONDS: Final = 0.01
_GROWTH: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 0.35


def once(  # noqa: PLR0913 - what a use case has, and what it needs from outside
    command: Any,
    decide: Callable[[], Decision[R]],
    kind: Any,
    *,
    repository: InventoryRepository,
    now: Callable[[], Timestamp],
    pause: Callable[[float], None],
) -> R:
    """
    Commit what *decide* decides, once, and return its answer.

    Replays the answer where the command's key was served before; lets it decide anew when what it read has moved on meanwhile:
    after a pause or, on an `ExclusiveRepository`, alone, where it cannot be overtaken again.

    Args:
        command: What is carried out; its `idempotency_key`, if it has one, is honoured.
        decide: Reads, and returns the change and the answer; called again for each attempt.
        kind: The type of the answer.
        repository: Where the change goes.
        now: Returns the present time.
        pause: Sleeps a number of seconds.

    Raises:
        ContentionError: What was read had always moved on.
        KeyReusedError: The key was used for another request.
    """
    key: _Served[R] = _Served(repository, command, kind)
    alone: Callable[[], AbstractContextManager[None]] | None = getattr(repository, "alone", None)
    turn: Callable[[], AbstractContextManager[None]] = nullcontext
    for seconds in _pauses():
        try:
            with turn():
                result = _committed(decide, key, repository, now)
        except StorageError:
            raise
        except StaleReadError:
            pass
        except (InventoryError, AlreadyServedError) as refused:
            # A refusal may be owed to the very effect that this key has had: what is gone was sold to this caller.
            served = key.look_up(now())
            if served is not None:
                return served
            if isinstance(refused, InventoryError):
                raise
        else:
            return result
        if seconds == inf or seconds >= time_left():
            break
        if alone is None:
            pause(seconds)
        else:
            turn = alone
    raise ContentionError


def _committed(
    decide: Callable[[], Decision[R]],
    key: "_Served[R]",
    repository: InventoryRepository,
    now: Callable[[], Timestamp],
) -> R:
    change, result = decide()
    change = key.noted(change, result, now)
    if not change.is_empty:
        repository.commit(change)
    return result


def _pauses() -> Iterator[float]:
    """Yield, for each attempt, how long to wait after it: full jitter, so that writers that met once do not meet again."""
    longest = _FIRST_PAUSE_SECONDS
    for _ in range(_MAX_ATTEMPTS - 1):
        yield random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
        longest = min(longest * _GROWTH, _LONGEST_PAUSE_SECONDS)
    yield inf


class _Served(Generic[R]):
    """What is known of a command's idempotency key: nothing at all where it has none."""

    def __init__(self, repository: InventoryRepository, command: Any, kind: Any) -> None:
        self._repository = repository
        self._kind = kind
        self._key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
        self._fingerprint = fingerprint(type(command).__name__, command) if self._key else ""

    def noted(self, change: Change, result: R, now: Callable[[], Timestamp]) -> Change:
        """Return *change* with the note that the key is served by it."""
        if self._key is None:
            return change
        at = now()
        expires_at = Timestamp.of(at.as_datetime() + timedelta(seconds=KEPT_SECONDS))
        record = ServedRecord(
            record_id=self._key.record_id,
            fingerprint=self._fingerprint,
            answer=freeze(result),
            served_at=at,
            expires_at=expires_at,
        )
        return attrs.evolve(change, served=record)

    def look_up(self, at: Timestamp) -> R | None:
        """
        Return the answer that was given under the key, or None where it was not served, or too long ago.

        Raises:
            KeyReusedError: It was served for another request.
        """
        if self._key is None:
            return None
        record = self._repository.get_served(self._key.record_id)
        if record is None or record.expires_at <= at:
            return None
        if record.fingerprint != self._fingerprint:
            raise KeyReusedError
        self._key.replayed = True
        return cast("R", thaw(self._kind, record.answer))
