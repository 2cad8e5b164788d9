"""
The port to AWS: one attempt at one operation of one service.

A transport does not retry. Its errors state whether a failed request may have been applied, because that determines whether the
caller may retry a write.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, runtime_checkable

from attrs import frozen

__all__ = [
    "DYNAMODB",
    "EVENT_BRIDGE",
    "JSON_TYPES",
    "SQS",
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
        name: The name in endpoints, signatures and boto3.
        target_prefix: The prefix of the operation in the header ``X-Amz-Target``.
        content_type: The content type of requests.
        connect_seconds: The time-out of a connection attempt.
        read_seconds: The time-out of a read.

    Source: "AWS JSON 1.0 protocol" and "AWS JSON 1.1 protocol" in the Smithy documentation.
    """

    name: Literal["dynamodb", "events", "sqs", "ssm"]
    target_prefix: str
    content_type: str
    connect_seconds: float
    read_seconds: float

    @property
    def endpoint_variable(self) -> str:
        """The environment variable with its endpoint, as in the SDK."""
        service_id = "EVENTBRIDGE" if self.name == "events" else self.name.upper()
        return f"AWS_ENDPOINT_URL_{service_id}"


# DynamoDB answers in milliseconds: after a second, another attempt is more likely to succeed.
DYNAMODB: Final = Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", 0.5, 1.0)
EVENT_BRIDGE: Final = Service("events", "AWSEvents", "application/x-amz-json-1.1", 0.5, 2.0)
SQS: Final = Service("sqs", "AmazonSQS", "application/x-amz-json-1.0", 0.5, 2.0)
SSM: Final = Service("ssm", "AmazonSSM", "application/x-amz-json-1.1", 0.5, 0.5)

# The content types of answers. Anything else was sent by a proxy or the like.
JSON_TYPES: Final = frozenset(
    {"application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"}
)


@frozen
class Answer:
    """
    A successful answer.

    Attributes:
        body: The parsed JSON, as in ``{"Item": {"sku": {"S": "HAMMER-16"}}}``.
        request_id: The ID for AWS support; None if the answer has none.
    """

    body: dict[str, Any]
    request_id: str | None = None


class ServiceError(Exception):
    """
    The service rejected the request.

    Attributes:
        code: The error code without a namespace, as in ``ConditionalCheckFailedException``.
        message: The error message of the service.
        status: The HTTP status.
        reasons: The cancellation reasons of a transaction: a code for each action, ``"None"`` for those without an error.
        item: The stored row, if the condition of a single write failed and the write requested it.
        request_id: The ID for AWS support.
        follows_lost_answer: The SDK had sent the request before; that attempt may have been applied.
    """

    def __init__(
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
        # The rest of the message contains the session token.
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
        """Return the code, the message and the request ID."""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{request}"


class NoAnswerError(Exception):
    """The request was sent without a valid answer; it may have been applied."""


class NotSentError(Exception):
    """
    The request was not sent, so it was not applied.

    Attributes:
        retryable: Whether another attempt may succeed. Otherwise the message names the setting to change.
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
        Send *request* once and return the answer.

        Args:
            service: Such as `DYNAMODB`.
            operation: The name of the operation, as in ``GetItem``.
            request: The parameters, as in ``{"TableName": "inventory-dev", "Key": {...}}``.
            seconds: The time limit of the attempt. The time-outs of *service* apply as well.

        Raises:
            ServiceError: The service rejected the request.
            NoAnswerError: The request may have been applied.
            NotSentError: The request was not sent.
        """
        ...
