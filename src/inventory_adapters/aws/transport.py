"""
The port to AWS: one attempt at one operation of one service.

A transport neither retries nor decides anything; callers do. It reports precisely what it knows about an attempt that failed,
because that decides whether a write may be sent again.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, runtime_checkable

from attrs import frozen

__all__ = [
    "DYNAMODB",
    "JSON_TYPES",
    "SSM",
    "Answer",
    "NoAnswerError",
    "NotSentError",
    "Service",
    "ServiceError",
    "Transport",
]


@frozen
class Service:
    """
    A service that speaks AWS JSON.

    Attributes:
        name: In endpoints, signatures and boto3.
        target_prefix: In the header ``X-Amz-Target``, before the operation.
        content_type: Of its requests.
        connect_seconds: How long a connection may take.
        read_seconds: How long the service may be silent.

    Source: "AWS JSON 1.0 protocol" and "AWS JSON 1.1 protocol" in the Smithy documentation.
    """

    name: Literal["dynamodb", "ssm"]
    target_prefix: str
    content_type: str
    connect_seconds: float
    read_seconds: float


# DynamoDB answers in milliseconds: after a second, another attempt is the better bet.
DYNAMODB: Final = Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", 0.5, 1.0)
SSM: Final = Service("ssm", "AmazonSSM", "application/x-amz-json-1.1", 0.5, 0.5)

# The types that an answer may have; anything else was sent by something between us and the service.
JSON_TYPES: Final = frozenset(
    {"application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"}
)


@frozen
class Answer:
    """
    A successful answer.

    Attributes:
        body: As in ``{"Item": {"sku": {"S": "HAMMER-16"}}}``.
        request_id: What AWS support asks for; None where the service named none.
    """

    body: dict[str, Any]
    request_id: str | None = None


class ServiceError(Exception):
    """
    The service refused the request.

    Attributes:
        code: Without a namespace, as in ``ConditionalCheckFailedException``.
        message: The service's sentence.
        status: The HTTP status.
        reasons: Why a transaction was canceled: a code for each action, ``"None"`` for those that were fine.
        item: The row that failed the condition of a single write, where the write asked for it.
        request_id: What AWS support asks for.
        follows_lost_answer: The client behind the transport had sent the request before, and that may have been applied.
    """

    def __init__(  # noqa: PLR0913 - a refusal has that many parts
        self,
        code: str,
        message: str = "",
        *,
        status: int = 400,
        reasons: tuple[str, ...] = (),
        item: dict[str, Any] | None = None,
        request_id: str | None = None,
        follows_lost_answer: bool = False,
    ) -> None:
        # What follows is what the service would have signed: with the session token in it.
        message = message.partition("The Canonical String")[0].rstrip()
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.reasons = reasons
        self.item = item
        self.request_id = request_id
        self.follows_lost_answer = follows_lost_answer

    def __str__(self) -> str:
        """Return the code, the sentence and the request ID."""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{request}"


class NoAnswerError(Exception):
    """The request was sent, and no valid answer came: it may have been applied."""


class NotSentError(Exception):
    """
    The request was not sent, so it was not applied.

    Attributes:
        retryable: Whether another attempt may succeed. If not, the message names the setting to change.
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@runtime_checkable
class Transport(Protocol):
    """Sends requests to AWS; safe to share between threads."""

    def send(
        self, service: Service, operation: str, request: Mapping[str, Any], *, seconds: float
    ) -> Answer:
        """
        Send *request* once, and return the answer.

        Args:
            service: Such as `DYNAMODB`.
            operation: By AWS's name, as in ``GetItem``.
            request: As in ``{"TableName": "inventory-dev", "Key": {...}}``.
            seconds: How long the attempt may take at most; the time-outs of *service* apply beside it.

        Raises:
            ServiceError: The service refused the request.
            NoAnswerError: The request may have been applied.
            NotSentError: The request was not sent.
        """
        ...
