"""Number and duration of the AWS calls of a request."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from time import perf_counter
from typing import Any, Self

from inventory_adapters.aws.transport import Answer, Service, Transport

__all__ = ["MeteredTransport", "Usage"]


class Usage:
    """
    Counts the AWS calls inside a ``with`` block.

    Attributes:
        calls: The number of attempts, including failed ones.
        seconds: The total duration of the attempts.
    """

    __slots__ = ("_token", "calls", "seconds")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._token: Token[Usage | None] = _current.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _current.reset(self._token)

    @property
    def fields(self) -> dict[str, int | float]:
        """The fields of a log line: ``{"aws_calls": 2, "aws_ms": 11.4}``."""
        return {"aws_calls": self.calls, "aws_ms": round(self.seconds * 1000, 3)}


_current: ContextVar[Usage | None] = ContextVar("inventory_aws_usage", default=None)


class MeteredTransport:
    """A transport that adds its attempts to the `Usage` of the current request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(
        self, service: Service, operation: str, request: Mapping[str, Any], *, seconds: float
    ) -> Answer:
        """See `inventory_adapters.aws.transport.Transport.send`."""
        usage = _current.get()
        if usage is None:
            return self._transport.send(service, operation, request, seconds=seconds)
        started = perf_counter()
        try:
            return self._transport.send(service, operation, request, seconds=seconds)
        finally:
            usage.calls += 1
            usage.seconds += perf_counter() - started
