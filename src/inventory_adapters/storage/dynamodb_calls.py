"""One call to DynamoDB: within the deadline, patient where it asks for patience, every vendor error put into our words."""

import random
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as SdkConnectionError

from inventory.deadline import time_left
from inventory.errors import StorageThrottledError, StorageUnavailableError

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
_CONFLICT: Final = {
    "TransactionConflict",
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


class RefusedError(Exception):
    """
    A write was refused because of what is stored, and that attempt wrote nothing.

    Attributes:
        row: From a single write that asked for it, the row as it stands; None where there is none.
        was_conflict: Others were at the same rows again and again; no condition was looked at.
        was_resent: An earlier attempt may have been kept, and only its answer lost.
    """

    def __init__(self, row: Any, *, was_conflict: bool, was_resent: bool) -> None:
        super().__init__("a condition did not hold")
        self.row = row
        self.was_conflict = was_conflict
        self.was_resent = was_resent


class _Verdict(Enum):
    CONDITION = auto()
    CONFLICT = auto()
    THROTTLED = auto()
    AWAY = auto()
    NO_TABLE = auto()
    CREDENTIALS = auto()
    OUR_MISTAKE = auto()


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
            _keep_to_deadline,  # type: ignore[arg-type] # the stubs know of no handler that answers
            unique_id="inventory-keep-to-deadline",
        )

    def __call__(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """
        Return the answer to *operation*, as in ``calls("get_item", TableName=..., Key=...)``.

        Raises:
            RefusedError: A condition failed, or others kept changing the same rows.
            StorageThrottledError: DynamoDB kept asking for a slower pace.
            StorageUnavailableError: There was no answer, no table, no valid credentials or no time.
        """
        was_resent = False
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                return self._once(operation, arguments)
            except ClientError as error:
                was_resent = was_resent or attempt > 1 or _sdk_retries(error) > 0
                verdict = _judge(error)
                if attempt == _MAX_ATTEMPTS or not self._paused(attempt, verdict):
                    raise _translated(error, verdict, arguments, was_resent=was_resent) from error
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
        if verdict not in {_Verdict.THROTTLED, _Verdict.CONFLICT}:
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


def _sdk_retries(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)


def _judge(error: ClientError) -> _Verdict:
    code = error.response["Error"].get("Code", "")
    reasons = error.response.get("CancellationReasons")
    codes = {it.get("Code", "None") for it in reasons or ()} - {"None"} or {code}
    # First, because a condition that failed stays failed, whatever befell the other rows of the transaction.
    if codes & _CONDITION:
        return _Verdict.CONDITION
    if codes <= _THROTTLED | _CONFLICT:
        return _Verdict.THROTTLED if codes & _THROTTLED else _Verdict.CONFLICT
    if code == _NO_TABLE:
        return _Verdict.NO_TABLE
    if code in _CREDENTIALS:
        return _Verdict.CREDENTIALS
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _SERVER_ERROR:
        return _Verdict.AWAY
    return _Verdict.OUR_MISTAKE


def _translated(
    error: ClientError, verdict: _Verdict, arguments: Mapping[str, Any], *, was_resent: bool
) -> Exception:
    match verdict:
        case _Verdict.CONDITION | _Verdict.CONFLICT:
            return RefusedError(
                error.response.get("Item"),
                was_conflict=verdict is _Verdict.CONFLICT,
                was_resent=was_resent,
            )
        case _Verdict.THROTTLED:
            return StorageThrottledError()
        case _Verdict.NO_TABLE:
            return StorageUnavailableError(f"DynamoDB has no {_tables(arguments)}")
        case _Verdict.CREDENTIALS:
            return StorageUnavailableError(
                f"DynamoDB does not accept our AWS credentials for {_tables(arguments)}"
            )
        case _Verdict.AWAY:
            return StorageUnavailableError()
        case _Verdict.OUR_MISTAKE:
            return error


def _tables(arguments: Mapping[str, Any]) -> str:
    """Name the tables of a call: ``table 'inventory-dev' or 'inventory-dev-ledger'``."""
    names = {arguments["TableName"]: None} if "TableName" in arguments else {}
    names |= dict.fromkeys(arguments.get("RequestItems", ()))
    for action in arguments.get("TransactItems", ()):
        names |= {it["TableName"]: None for it in action.values()}
    return "table " + " or ".join(map(repr, names))


def _keep_to_deadline(
    *, attempts: int, response: Any, request_dict: Mapping[str, Any], **_: Any
) -> bool | None:
    """
    Keep the SDK from a retry that might end after the deadline: the first answer to this event that is not None counts.

    The pause before the retry is not known yet, so the longest possible one is reckoned with.
    """
    longest = min(2.0 ** (attempts - 1), _SDK_LONGEST_PAUSE_SECONDS)
    if response is not None and "x-amz-retry-after" in response[0].headers:
        longest += _SDK_LONGEST_EXTRA_SECONDS
    config = request_dict["context"]["client_config"]
    longest += config.connect_timeout + config.read_timeout
    return False if time_left() < longest else None
