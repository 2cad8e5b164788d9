"""Commit a decision, with retry on conflict and replay on a repeated key."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any, Final, TypeVar, cast

import attrs
from attrs import frozen

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
from inventory.items import ItemKey, Timestamp
from inventory.ports import Change, ExclusiveRepository, InventoryRepository
from inventory.timeouts import time_left

__all__ = ["Decision", "Executor"]

R = TypeVar("R")

Decision = tuple[Change, R]
"""What a use case writes, and the answer that it returns."""

# From the curves in docs/performance.md. Normally the deadline stops retrying; the limit is for callers without one.
_MAX_ATTEMPTS: Final = 24
_FIRST_PAUSE_SECONDS: Final = 0.01
_GROWTH: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 0.35


@frozen(kw_only=True)
class Executor:
    """
    Execute use cases: decide, commit, retry, replay.

    Attributes:
        repository: Stores the changes.
        now: Returns the current time.
        pause: Sleeps a number of seconds.
        expire_due: Expires a few of the due reservations of an item, and returns whether there were any.
        committed: Called with each change after it was committed.
    """

    repository: InventoryRepository
    now: Callable[[], Timestamp]
    pause: Callable[[float], None]
    expire_due: Callable[[ItemKey], bool]
    committed: Callable[[Change], None]

    def execute(self, command: Any, decide: Callable[[], Decision[R]]) -> R:
        """
        Commit the change that *decide* returns, once, and return its answer.

        A repeated idempotency key returns the first answer. A conflict is retried: after a pause or, on an
        `ExclusiveRepository`, under its lock, where no other writer can cause a second one.

        Args:
            command: Its `idempotency_key`, if it has one, applies.
            decide: Reads, and returns the change and the answer. Called again for each attempt.

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
                    return self._attempt(decide, key, request)
            except StorageError:
                raise
            except StaleReadError:
                pass
            except (InventoryError, DuplicateRequestError) as error:
                # The first attempt with this key may have caused the error: it took the units that are now missing.
                record = None if key is None else self._record(key, request)
                if record is not None:
                    return cast("R", record.answer)
                if isinstance(error, InventoryError):
                    raise
            if seconds >= time_left():
                break
            if isinstance(self.repository, ExclusiveRepository):
                lock = self.repository.exclusive
            else:
                self.pause(seconds)
        raise ContentionError

    def _attempt(
        self, decide: Callable[[], Decision[R]], key: IdempotencyKey | None, request: str
    ) -> R:
        """
        Decide and commit.

        If reserved units prevent it, expire due reservations of the items and decide again, until none is due.
        """
        exhausted: set[ItemKey] = set()
        while True:
            try:
                change, answer = decide()
                break
            except (ReservedStockError, BatchRefusedError) as error:
                keys = _reserved_items(error) - exhausted
                if not keys:
                    raise
                # After the last of them the decision is made again too, because another process may have expired it.
                exhausted |= {key for key in keys if not self.expire_due(key)}
        if key is not None:
            record = IdempotencyRecord.of(key, request, answer, at=self.now())
            change = attrs.evolve(change, idempotency_record=record)
        if not change.is_empty:
            self.repository.commit(change)
            self.committed(change)
        return answer

    def _record(self, key: IdempotencyKey, request: str) -> IdempotencyRecord | None:
        """
        Return the record of *key*, or None where there is none or it has expired.

        Raises:
            KeyReusedError: The key was used for another request.
        """
        record = self.repository.get_idempotency_record(key.record_id)
        if record is None or record.expires_at <= self.now():
            return None
        if record.fingerprint != request:
            raise KeyReusedError
        key.replayed = True
        return record


def _reserved_items(error: ReservedStockError | BatchRefusedError) -> set[ItemKey]:
    """Return the items whose reserved units caused the error."""
    if isinstance(error, BatchRefusedError):
        errors = [row for row in error.refused.values() if isinstance(row, ReservedStockError)]
    else:
        errors = [error]
    return {ItemKey(item_id=error.item_id, sku=error.sku) for error in errors if error.reserved}


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait after each attempt; infinity after the last."""
    longest = _FIRST_PAUSE_SECONDS
    for _ in range(_MAX_ATTEMPTS - 1):
        yield full_jitter(longest)
        longest = min(longest * _GROWTH, _LONGEST_PAUSE_SECONDS)
    yield inf
