"""Commit a decision: retry on conflict, replay on a repeated idempotency key."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any, Final, TypeVar, cast

import attrs

from inventory.backoff import full_jitter
from inventory.errors import (
    BatchRefusedError,
    ContentionError,
    DuplicateRequestError,
    InventoryError,
    KeyReusedError,
    ReservedStockError,
    StaleReadError,
    StorageError,
)
from inventory.idempotency import IdempotencyKey, IdempotencyRecord, fingerprint
from inventory.items import Timestamp
from inventory.ports import Change, ExclusiveRepository, InventoryRepository
from inventory.timeouts import time_left

__all__ = ["Decision", "execute"]

R = TypeVar("R")

Decision = tuple[Change, R]
"""What a use case writes, and the answer that it returns."""

# From the curves in docs/performance.md. Normally the deadline stops retrying; the limit is for callers without one.
_MAX_ATTEMPTS: Final = 24
_FIRST_PAUSE_SECONDS: Final = 0.01
_GROWTH: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 0.35


def execute(  # noqa: C901, PLR0913 - one loop with every way out of it, and what it needs from outside
    command: Any,
    decide: Callable[[], Decision[R]],
    *,
    repository: InventoryRepository,
    now: Callable[[], Timestamp],
    pause: Callable[[float], None],
    expire_due: Callable[[], object],
) -> R:
    """
    Commit what *decide* returns, once, and return its answer.

    A repeated idempotency key returns the first answer. A conflict is retried: after a pause or, on an `ExclusiveRepository`,
    under its lock, where no other writer can cause a second one.

    Args:
        command: Its `idempotency_key`, if it has one, is honoured.
        decide: Reads, and returns the change and the answer; called again for each attempt.
        repository: Stores the change.
        now: Returns the current time.
        pause: Sleeps a number of seconds.
        expire_due: Expires due reservations; called before *decide* is tried again because of reserved units.

    Raises:
        ContentionError: Every attempt met a conflict.
        KeyReusedError: The key was used for another request.
    """
    key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
    request = "" if key is None else fingerprint(command)
    lock: Callable[[], AbstractContextManager[None]] = nullcontext
    for seconds in _pauses():
        try:
            with lock():
                change, answer = _decided(decide, expire_due)
                if key is not None:
                    record = IdempotencyRecord.of(key, request, answer, at=now())
                    change = attrs.evolve(change, idempotency_record=record)
                if not change.is_empty:
                    repository.commit(change)
                return answer
        except StorageError:
            raise
        except StaleReadError:
            pass
        except (InventoryError, DuplicateRequestError) as error:
            # The first attempt with this key may have caused the error: it took the units that are now missing.
            known = None if key is None else _record(repository, key, request, now())
            if known is not None:
                return cast("R", known.answer)
            if isinstance(error, InventoryError):
                raise
        if seconds >= time_left():
            break
        if isinstance(repository, ExclusiveRepository):
            lock = repository.exclusive
        else:
            pause(seconds)
    raise ContentionError


def _decided(decide: Callable[[], Decision[R]], expire_due: Callable[[], object]) -> Decision[R]:
    try:
        return decide()
    except (ReservedStockError, BatchRefusedError) as error:
        if not (error.reserved and expire_due()):
            raise
        return decide()


def _record(
    repository: InventoryRepository, key: IdempotencyKey, request: str, at: Timestamp
) -> IdempotencyRecord | None:
    """
    Return the record of *key*, or None where there is none that counts.

    Raises:
        KeyReusedError: The key was used for another request.
    """
    record = repository.get_idempotency_record(key.record_id)
    if record is None or record.expires_at <= at:
        return None
    if record.fingerprint != request:
        raise KeyReusedError
    key.replayed = True
    return record


def _pauses() -> Iterator[float]:
    """Yield how long to wait after each attempt: full jitter, to avoid synchronized retries."""
    longest = _FIRST_PAUSE_SECONDS
    for _ in range(_MAX_ATTEMPTS - 1):
        yield full_jitter(longest)
        longest = min(longest * _GROWTH, _LONGEST_PAUSE_SECONDS)
    yield inf
