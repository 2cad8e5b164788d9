"""AWS through boto3, which supports profiles, SSO and tracing."""

from collections.abc import Mapping
from http import HTTPStatus
from threading import Lock
from typing import Any, Final

import boto3
from botocore import xform_name
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from inventory_adapters.aws.transport import (
    JSON_TYPES,
    Answer,
    NoAnswerError,
    NotSentError,
    Service,
    ServiceError,
)
from inventory_adapters.config import ConfigError

__all__ = ["BotoTransport", "default_session"]

_NEVER_CONNECTED: Final = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
_UNANSWERED: Final = (BotoConnectionError, ChecksumError, HTTPClientError)

# botocore assumes that every answer is UTF-8 and a JSON object of the right shape.
_UNREADABLE: Final = (ResponseParserError, AttributeError, TypeError, ValueError)


def default_session() -> boto3.Session:
    """
    Return a session with the settings of the environment and of boto3's files.

    Raises:
        ConfigError: The settings are invalid. For example, AWS_PROFILE names a profile that does not exist.
    """
    try:
        return boto3.Session()
    except BotoCoreError as error:
        raise ConfigError(str(error)) from error


class BotoTransport:
    """
    An `inventory_adapters.aws.transport.Transport` through boto3; safe to share between threads.

    Args:
        source: A session, whose clients get our time-outs and do not retry; or a low-level client, which keeps its settings. If
            that client retries, a call may exceed the deadline, and every failure may have been applied.
    """

    def __init__(self, source: boto3.Session | BaseClient) -> None:
        self._session: boto3.Session | None = None
        self._clients: dict[str, BaseClient] = {}
        # Sessions are not safe to share between threads, clients are.
        self._lock = Lock()
        if isinstance(source, boto3.Session):
            self._session = source
        elif isinstance(source, BaseClient):
            self._clients[source.meta.service_model.service_name] = source
        else:
            raise TypeError(f"Not a boto3 session or client: {type(source).__name__}")

    def send(
        self,
        service: Service,
        operation: str,
        request: Mapping[str, Any],
        *,
        seconds: float,  # noqa: ARG002 - boto3 has time-outs per client, not per call
    ) -> Answer:
        """See `inventory_adapters.aws.transport.Transport.send`."""
        client = self._clients.get(service.name) or self._new_client(service)
        call = getattr(client, xform_name(operation))
        settings: Any = client.meta.config
        is_single_attempt = (settings.retries or {}).get("total_max_attempts") == 1
        # Without causes, because the text of some contains the session token.
        try:
            answer: dict[str, Any] = call(**request)
        except ClientError as error:
            raise _service_error(error, is_single_attempt=is_single_attempt) from None
        except ParamValidationError:
            raise  # A bug of the caller; nothing was sent.
        except (BotoCoreError, *_UNREADABLE) as error:
            raise _failure(error, is_single_attempt=is_single_attempt) from None
        metadata = answer.pop("ResponseMetadata")
        _require_json(metadata)
        # boto3 returns an empty answer if it cannot parse the JSON.
        if not answer and metadata["HTTPHeaders"].get("content-length", "2") != "2":
            raise NoAnswerError("An answer is not one of AWS: it is not a JSON object")
        return Answer(answer, metadata.get("RequestId"))

    def _new_client(self, service: Service) -> BaseClient:
        if self._session is None:
            raise ValueError(f"The boto3 client is not one for {service.name}")
        config = Config(
            connect_timeout=service.connect_seconds,
            read_timeout=service.read_seconds,
            # One attempt, because the caller retries and knows the deadline.
            retries={"mode": "standard", "total_max_attempts": 1},
            tcp_keepalive=True,
            # It takes a third of a call, and the contract tests check our requests.
            parameter_validation=False,
            user_agent_extra="tap-inventory",
        )
        with self._lock:
            if service.name not in self._clients:
                try:
                    self._clients[service.name] = self._session.client(service.name, config=config)
                except (BotoCoreError, ValueError) as error:
                    raise NotSentError(str(error), retryable=False) from error
            return self._clients[service.name]


def _require_json(metadata: Mapping[str, Any]) -> None:
    """
    Reject an answer that does not come from the service.

    Raises:
        NoAnswerError: The answer is not JSON. boto3 returns an empty answer for a page of HTML.
    """
    content_type = metadata.get("HTTPHeaders", {}).get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in JSON_TYPES:
        status = metadata.get("HTTPStatusCode")
        raise NoAnswerError(f"An answer with status {status} is not one of AWS: it is not JSON")


def _service_error(error: ClientError, *, is_single_attempt: bool) -> Exception:
    response: Any = error.response
    metadata = response.get("ResponseMetadata", {})
    try:
        _require_json(metadata)
    except NoAnswerError as no_answer:
        return no_answer
    status = metadata.get("HTTPStatusCode", 0)
    code = response["Error"].get("Code", "")
    # boto3 uses the status as the code of an answer without a code.
    if status < HTTPStatus.BAD_REQUEST or not code or code.isdecimal():
        return NoAnswerError(f"An answer with status {status} is not one of AWS")
    return ServiceError(
        code,
        response["Error"].get("Message") or "",
        status=status,
        reasons=tuple(
            reason.get("Code", "None") for reason in response.get("CancellationReasons", ())
        ),
        item=response.get("Item"),
        request_id=metadata.get("RequestId"),
        follows_lost_answer=not is_single_attempt and metadata.get("RetryAttempts", 0) > 0,
    )


def _failure(error: Exception, *, is_single_attempt: bool) -> Exception:
    if not isinstance(error, BotoCoreError):
        return NoAnswerError(
            f"An answer is not one of AWS: {type(error).__name__} while reading it"
        )
    if type(error) is HTTPClientError:
        # It contains the text of another library's error, which may contain a header.
        return NoAnswerError("No answer: sending the request or reading its answer failed")
    is_certificate = isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
    if isinstance(error, _NEVER_CONNECTED) or is_certificate:
        if is_single_attempt:
            return NotSentError(str(error), retryable=not is_certificate)
        return NoAnswerError(str(error))
    if isinstance(error, _UNANSWERED):
        return NoAnswerError(str(error))
    return NotSentError(str(error), retryable=False)
