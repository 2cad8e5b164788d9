"""
DynamoDB calls with deadlines, retries and error translation.

This is the only retry loop between `Inventory` and DynamoDB: every transport makes one attempt.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

from inventory.backoff import full_jitter
from inventory.errors import StorageThrottledError, StorageUnavailableError
from inventory.timeouts import time_left
from inventory_adapters.aws.transport import (
    DYNAMODB,
    NoAnswerError,
    NotSentError,
    ServiceError,
    Transport,
)
from inventory_adapters.storage.dynamodb.rows import Row

__all__ = ["MAX_BATCH", "Calls", "RefusedError"]

MAX_BATCH: Final = 100
"""The most rows of one `BatchGetItem`. Source: its API reference."""

# Source: API reference of BatchWriteItem.
_MAX_BATCH_WRITES: Final = 25
_MAX_EMPTY_BATCHES: Final = 5

# Throttles and conflicts are brief, so they get more attempts than a service that does not answer.
# `docs/decisions/0013-no-sdk-in-the-functions.md` has the reasons.
_MAX_ATTEMPTS: Final = 6
_MAX_UNANSWERED: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.05
# With less time left, a retry would be cancelled before its answer.
_LEAST_SECONDS: Final = 0.25

# Source: API reference of TransactWriteItems (cancellation reasons) and "Error handling with DynamoDB".
_CONDITION: Final = {"ConditionalCheckFailed", "ConditionalCheckFailedException"}
# A cancellation reason of a transaction; the other codes are errors of their own.
_OVERTAKEN: Final = "TransactionConflict"
_CONFLICT: Final = {
    _OVERTAKEN,
    "TransactionConflictException",
    "TransactionInProgressException",
}
_THROTTLED: Final = {
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ReplicatedWriteConflictException",
    "ThrottledRequests",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
}
_CREDENTIALS: Final = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "UnrecognizedClientException",
}
_NO_TABLE: Final = "ResourceNotFoundException"
_SERVER_ERROR: Final = 500


class RefusedError(Exception):
    """
    A condition of a write failed, or other writes conflicted with it; that attempt wrote nothing.

    Attributes:
        row: The stored row, from a single write that requested it; None if there is no row.
        failed: Whether the condition failed, for each action of a transaction; a single write is one action.
        was_conflict: Other writes conflicted in every attempt: no condition was checked, and nothing was applied.
        maybe_applied: An earlier attempt was not answered, and may be what this attempt failed on.
    """

    def __init__(
        self, row: Any, *, failed: tuple[bool, ...], was_conflict: bool, maybe_applied: bool
    ) -> None:
        super().__init__("a condition did not hold")
        self.row = row
        self.failed = failed
        self.was_conflict = was_conflict
        self.maybe_applied = maybe_applied


class _Verdict(Enum):
    CONDITION = auto()
    CONFLICT = auto()
    OVERTAKEN = auto()
    THROTTLED = auto()
    AWAY = auto()
    SETTINGS = auto()
    NO_TABLE = auto()
    CREDENTIALS = auto()
    OUR_MISTAKE = auto()


_BUSY: Final = {_Verdict.CONFLICT, _Verdict.OVERTAKEN, _Verdict.THROTTLED}
_RETRYABLE: Final = {*_BUSY, _Verdict.AWAY}
_REFUSED: Final = {_Verdict.CONDITION, _Verdict.CONFLICT, _Verdict.OVERTAKEN}

_Failure = ServiceError | NoAnswerError | NotSentError


class Calls:
    """
    Calls operations of DynamoDB.

    Args:
        transport: Makes each attempt.
        pause: Sleeps a number of seconds between two attempts.
    """

    def __init__(self, transport: Transport, *, pause: Callable[[float], None]) -> None:
        self._transport = transport
        self._pause = pause

    def __call__(self, operation: str, /, **request: Any) -> dict[str, Any]:
        """
        Return the answer to *operation*, as in ``calls("GetItem", TableName=..., Key=...)``.

        Raises:
            RefusedError: A condition failed, or other writes conflicted. A transaction is not retried after a conflict,
                because the data that it is based on has changed.
            StorageThrottledError: DynamoDB throttled every attempt, and nothing was applied.
            StorageUnavailableError: A table or valid credentials are missing, time is up, or DynamoDB did not answer. A write
                may have been applied if an attempt was not answered.
            ServiceError: The request is invalid, which is a bug in this package.
        """
        maybe_applied = False
        unanswered = 0
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            seconds = time_left()
            if seconds <= 0:
                raise StorageUnavailableError
            try:
                return self._transport.send(DYNAMODB, operation, request, seconds=seconds).body
            except (ServiceError, NoAnswerError, NotSentError) as error:
                verdict = _judge(error)
                maybe_applied = maybe_applied or _may_be_applied(error)
                unanswered += verdict is _Verdict.AWAY
                is_last = attempt == _MAX_ATTEMPTS or unanswered == _MAX_UNANSWERED
                is_retryable = verdict in _RETRYABLE
                if verdict is _Verdict.OVERTAKEN and not maybe_applied:
                    # A retry would find the rows changed; the caller has to read them again.
                    is_retryable = False
                if is_last or not is_retryable or not self._paused(attempt):
                    raise _translated(
                        error, verdict, request, maybe_applied=maybe_applied
                    ) from error
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def get_row(self, table: str, key: Row) -> Row | None:
        """Return the row with this key."""
        # Consistent, because a commit that is based on a stale level conflicts.
        answer = self("GetItem", TableName=table, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def get_rows(self, table: str, keys: Sequence[Row]) -> list[Row]:
        """Return the rows with these keys, in any order."""
        rows: list[Row] = []
        for start in range(0, len(keys), MAX_BATCH):
            attempt = 1
            left: Any = {table: {"Keys": keys[start : start + MAX_BATCH], "ConsistentRead": True}}
            while left:
                answer = self("BatchGetItem", RequestItems=left)
                part: list[Row] = answer["Responses"].get(table, [])
                rows += part
                left = answer.get("UnprocessedKeys")
                if left:
                    # A large answer comes in parts. Only an empty part means that the table is throttled.
                    attempt = 1 if part else attempt + 1
                    self._wait_for_capacity(attempt)
        return rows

    def write_rows(self, table: str, requests: Sequence[Mapping[str, Any]]) -> None:
        """Put and delete rows without conditions: ``{"DeleteRequest": {"Key": ...}}``."""
        for start in range(0, len(requests), _MAX_BATCH_WRITES):
            attempt = 1
            left: Any = {table: requests[start : start + _MAX_BATCH_WRITES]}
            while unprocessed := self("BatchWriteItem", RequestItems=left).get("UnprocessedItems"):
                # Only an attempt that wrote nothing means that the table is throttled.
                attempt = 1 if _count(unprocessed) < _count(left) else attempt + 1
                left = unprocessed
                self._wait_for_capacity(attempt)

    def _wait_for_capacity(self, attempt: int) -> None:
        pause = self.jitter(attempt)
        if attempt > _MAX_EMPTY_BATCHES or pause >= time_left():
            raise StorageThrottledError
        self._pause(pause)

    def _paused(self, attempt: int) -> bool:
        """Wait before the next attempt; return False if there is no time for one."""
        pause = self.jitter(attempt)
        if time_left() - pause < _LEAST_SECONDS:
            return False
        self._pause(pause)
        return True

    @staticmethod
    def jitter(attempt: int) -> float:
        """Return the seconds to wait after *attempt*, with full jitter to avoid synchronized retries."""
        return full_jitter(_FIRST_PAUSE_SECONDS * 2**attempt)


def _count(rows: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of rows by table."""
    return sum(map(len, rows.values()))


def _may_be_applied(error: _Failure) -> bool:
    if isinstance(error, ServiceError):
        return error.status >= _SERVER_ERROR or error.follows_lost_answer
    return isinstance(error, NoAnswerError)


def _codes(error: ServiceError) -> tuple[str, ...]:
    """Return the code of each action of a transaction ("None" for no error), or of the single write."""
    return error.reasons or (error.code,)


def _judge(error: _Failure) -> _Verdict:
    if isinstance(error, NotSentError) and not error.retryable:
        return _Verdict.SETTINGS
    return _judge_refusal(error) if isinstance(error, ServiceError) else _Verdict.AWAY


def _judge_refusal(error: ServiceError) -> _Verdict:
    codes = set(_codes(error)) - {"None"} or {error.code}
    # First, because a retry cannot fix a failed condition, whatever failed in other actions.
    if codes & _CONDITION:
        return _Verdict.CONDITION
    if codes <= _THROTTLED | _CONFLICT:
        return _judge_busy(codes)
    if error.code == _NO_TABLE:
        return _Verdict.NO_TABLE
    if error.code in _CREDENTIALS:
        return _Verdict.CREDENTIALS
    return _Verdict.AWAY if error.status >= _SERVER_ERROR else _Verdict.OUR_MISTAKE


def _judge_busy(codes: set[str]) -> _Verdict:
    if codes & _THROTTLED:
        return _Verdict.THROTTLED
    return _Verdict.OVERTAKEN if codes == {_OVERTAKEN} else _Verdict.CONFLICT


def _translated(
    error: _Failure, verdict: _Verdict, request: Mapping[str, Any], *, maybe_applied: bool
) -> Exception:
    if maybe_applied and verdict in _BUSY:
        # The attempt that was not answered may still be running: a new decision could apply the change twice.
        return StorageUnavailableError()
    if isinstance(error, ServiceError) and verdict in _REFUSED:
        return RefusedError(
            error.item,
            failed=tuple(code in _CONDITION for code in _codes(error)),
            was_conflict=verdict is not _Verdict.CONDITION,
            maybe_applied=maybe_applied,
        )
    match verdict:
        case _Verdict.THROTTLED:
            return StorageThrottledError()
        case _Verdict.OUR_MISTAKE:
            return error
        case _:
            return _unavailable(error, verdict, request)


def _unavailable(
    error: _Failure, verdict: _Verdict, request: Mapping[str, Any]
) -> StorageUnavailableError:
    match verdict:
        case _Verdict.SETTINGS:
            return StorageUnavailableError(str(error))
        case _Verdict.NO_TABLE:
            return StorageUnavailableError(f"DynamoDB has no {_tables(request)}")
        case _Verdict.CREDENTIALS:
            return StorageUnavailableError(
                f"DynamoDB does not accept our AWS credentials for {_tables(request)}"
            )
        case _:
            return StorageUnavailableError()


def _tables(request: Mapping[str, Any]) -> str:
    """Return the tables of a call, as in ``table 'inventory-dev' or 'inventory-dev-ledger'``."""
    names = {request["TableName"]: None} if "TableName" in request else {}
    names |= dict.fromkeys(request.get("RequestItems", ()))
    for action in request.get("TransactItems", ()):
        names |= {target["TableName"]: None for target in action.values()}
    return "table " + " or ".join(map(repr, names))
