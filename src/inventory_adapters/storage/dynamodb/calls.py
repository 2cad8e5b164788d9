"""One call to DynamoDB: within the deadline, patient where it asks for patience, every vendor error put into our words."""

import random
from collections.abc import Callable, Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as SdkConnectionError

from inventory.errors import StorageThrottledError, StorageUnavailableError
from inventory.timeouts import time_left

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["Calls", "RefusedError"]

# On top of the SDK's own attempts, which do not cover transactions that were cancelled.
_MAX_ATTEMPTS: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.05

# Source: botocore/retries/standard.py and docs of `x-amz-retry-after`.
_SDK_LONGEST_PAUSE_SECONDS: Final = 20
_SDK_LONGEST_EXTRA_SECONDS: Final = 5

# Source: API reference of TransactWriteItems (cancellation reasons) and "Error handling with DynamoDB".
_CONDITION: Final = {"ConditionalCheckFailed", "ConditionalCheckFailedException"}
# The reason why a transaction was cancelled; the others are errors by themselves.
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
    "UnrecognizedClientException",
}
_NO_TABLE: Final = "ResourceNotFoundException"
_SERVER_ERROR: Final = 500
# Among what the SDK keeps of a request, and of its answer.
_SILENCE: Final = "inventory-unanswered-attempt"


class RefusedError(Exception):
    """
    A write was refused because of what is stored, and that attempt wrote nothing.

    Attributes:
        row: From a single write that asked for it, the row as it stands; None where there is none.
        failed: For each action of a transaction, whether its condition did not hold; a single write is one action.
        was_conflict: Others were at the same rows again and again; no condition was looked at, and no attempt was kept.
        maybe_applied: An earlier attempt went unanswered: what refuses this one may be its effect.
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
    NO_TABLE = auto()
    CREDENTIALS = auto()
    OUR_MISTAKE = auto()


# What passes by itself, if one waits.
_PASSING: Final = {_Verdict.CONFLICT, _Verdict.OVERTAKEN, _Verdict.THROTTLED}


class Calls:
    """
    Calls operations of a DynamoDB client by name. Registers a handler with the client that keeps its retries in the deadline.

    Args:
        client: botocore's low-level client, however configured.
        pause: Sleeps a number of seconds between two attempts.
    """

    def __init__(self, client: "BaseClient", *, pause: Callable[[float], None]) -> None:
        self._client = client
        self._pause = pause
        client.meta.events.register_first(
            "needs-retry.dynamodb",
            _before_retry,  # type: ignore[arg-type] # the stubs know of no handler that answers
            unique_id="inventory-before-retry",
        )

    def __call__(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """
        Return the answer to *operation*, as in ``calls("get_item", TableName=..., Key=...)``.

        Raises:
            RefusedError: A condition failed, or others kept changing the same rows; a transaction is not sent again for that,
                because what it was decided on is moving.
            StorageThrottledError: DynamoDB kept asking for a slower pace, and nothing was kept.
            StorageUnavailableError: There was no table, no valid credentials, no time or no answer. A write may have been kept
                if an attempt at it went unanswered and none after it told.
        """
        maybe_applied = False
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                return self._once(operation, arguments)
            except ClientError as error:
                maybe_applied = maybe_applied or _follows_silence(error)
                verdict = _judge(error)
                is_overtaken = verdict is _Verdict.OVERTAKEN and not maybe_applied
                if attempt == _MAX_ATTEMPTS or is_overtaken or not self._paused(attempt, verdict):
                    raise _translated(
                        error, verdict, arguments, maybe_applied=maybe_applied
                    ) from error
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _once(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if time_left() <= 0:
            raise StorageUnavailableError
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except ParamValidationError:
            raise  # Our mistake, and nobody's storage.
        except (HTTPClientError, SdkConnectionError) as error:
            raise StorageUnavailableError from error
        except BotoCoreError as error:
            raise StorageUnavailableError(
                f"No usable AWS credentials or settings for {_tables(arguments)}"
            ) from error
        return answer

    def _paused(self, attempt: int, verdict: _Verdict) -> bool:
        """Wait before the next attempt, if there is sense and time in one."""
        if verdict not in _PASSING:
            return False
        pause = self.jitter(attempt)
        if pause >= time_left():
            return False
        self._pause(pause)
        return True

    @staticmethod
    def jitter(attempt: int) -> float:
        """Return how many seconds to wait after that many attempts: full jitter, so that callers who met part ways."""
        return random.uniform(0, _FIRST_PAUSE_SECONDS * 2**attempt)  # noqa: S311 - spreads load, guards nothing


def _follows_silence(error: ClientError) -> bool:
    """Tell whether an attempt before the one that was answered with *error* went unanswered, and may have been kept."""
    return bool(error.response.get("ResponseMetadata", {}).get(_SILENCE))


def _codes(error: ClientError) -> list[str]:
    """Return what went wrong, for each action of a transaction ("None" for nothing), or for the one single write."""
    reasons = error.response.get("CancellationReasons")
    if reasons:
        return [reason.get("Code", "None") for reason in reasons]
    return [error.response["Error"].get("Code", "")]


def _judge(error: ClientError) -> _Verdict:
    code = error.response["Error"].get("Code", "")
    codes = set(_codes(error)) - {"None"} or {code}
    # First, because a condition that failed stays failed, whatever befell the other rows of the transaction.
    if codes & _CONDITION:
        return _Verdict.CONDITION
    if codes <= _THROTTLED | _CONFLICT:
        return _judge_passing(codes)
    if code == _NO_TABLE:
        return _Verdict.NO_TABLE
    if code in _CREDENTIALS:
        return _Verdict.CREDENTIALS
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _SERVER_ERROR:
        return _Verdict.AWAY
    return _Verdict.OUR_MISTAKE


def _judge_passing(codes: set[str]) -> _Verdict:
    if codes & _THROTTLED:
        return _Verdict.THROTTLED
    return _Verdict.OVERTAKEN if codes == {_OVERTAKEN} else _Verdict.CONFLICT


def _translated(
    error: ClientError, verdict: _Verdict, arguments: Mapping[str, Any], *, maybe_applied: bool
) -> Exception:
    if maybe_applied and verdict in _PASSING:
        # The attempt that went unanswered may even be under way still: whoever decided anew could apply it twice.
        return StorageUnavailableError()
    match verdict:
        case _Verdict.CONDITION | _Verdict.CONFLICT | _Verdict.OVERTAKEN:
            return RefusedError(
                error.response.get("Item"),
                failed=tuple(code in _CONDITION for code in _codes(error)),
                was_conflict=verdict is not _Verdict.CONDITION,
                maybe_applied=maybe_applied,
            )
        case _Verdict.THROTTLED:
            return StorageThrottledError()
        case _Verdict.OUR_MISTAKE:
            return error
        case _:
            return _unavailable(verdict, arguments)


def _unavailable(verdict: _Verdict, arguments: Mapping[str, Any]) -> StorageUnavailableError:
    match verdict:
        case _Verdict.NO_TABLE:
            return StorageUnavailableError(f"DynamoDB has no {_tables(arguments)}")
        case _Verdict.CREDENTIALS:
            return StorageUnavailableError(
                f"DynamoDB does not accept our AWS credentials for {_tables(arguments)}"
            )
        case _:
            return StorageUnavailableError()


def _tables(arguments: Mapping[str, Any]) -> str:
    """Name the tables of a call: ``table 'inventory-dev' or 'inventory-dev-ledger'``."""
    names = {arguments["TableName"]: None} if "TableName" in arguments else {}
    names |= dict.fromkeys(arguments.get("RequestItems", ()))
    for action in arguments.get("TransactItems", ()):
        names |= {it["TableName"]: None for it in action.values()}
    return "table " + " or ".join(map(repr, names))


def _before_retry(
    *,
    attempts: int,
    response: Any,
    caught_exception: Exception | None,
    request_dict: Mapping[str, Any],
    **_: Any,
) -> bool | None:
    """
    Note which attempts went unanswered, and keep the SDK from a retry that might end after the deadline.

    The SDK asks after every attempt; the first answer that is not None counts, and None leaves the decision to the SDK.
    """
    if caught_exception is None and response[0].status_code == HTTPStatus.OK:
        return None
    context = request_dict["context"]
    if caught_exception is not None or response[0].status_code >= _SERVER_ERROR:
        context[_SILENCE] = True
    elif context.get(_SILENCE):
        # What the error that is raised for this answer brings along.
        response[1].setdefault("ResponseMetadata", {})[_SILENCE] = True
    return None if _has_time(attempts, response, context["client_config"]) else False


def _has_time(attempts: int, response: Any, config: Any) -> bool:
    # The pause before the retry is not known yet, so the longest possible one is reckoned with.
    longest: float = min(2.0 ** (attempts - 1), _SDK_LONGEST_PAUSE_SECONDS)
    if response is not None and "x-amz-retry-after" in response[0].headers:
        longest += _SDK_LONGEST_EXTRA_SECONDS
    timeouts: float = config.connect_timeout + config.read_timeout
    return time_left() >= longest + timeouts
