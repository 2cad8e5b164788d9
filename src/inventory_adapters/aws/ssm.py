"""Page limits from Parameter Store: ``{"max_items_per_page": 50, "default_page_size": 20}``."""

import json
import logging
import time
from collections.abc import Callable
from math import inf
from threading import Lock
from typing import Final

from inventory.paging import PageLimits
from inventory.timeouts import time_left
from inventory_adapters.aws.transport import SSM, Transport

__all__ = ["SsmLimits", "parse_limits"]

_LOGGER: Final = logging.getLogger(__name__)


class SsmLimits:
    """
    Returns the current page limits, and never raises.

    Limits are cached. If the parameter cannot be read or has invalid values, the last valid limits remain in use, or the
    defaults if there are none. Only the first of consecutive failures is logged.

    Args:
        parameter_name: The name of the parameter, as in ``/inventory/dev/config``.
        transport: Reads the parameter, in one attempt: because limits have defaults, a retry is not worth its time.
        ttl_seconds: How long limits are cached.
        failure_ttl_seconds: The minimum time between a failure and the next attempt.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        parameter_name: str,
        *,
        transport: Transport,
        ttl_seconds: float = 300,
        failure_ttl_seconds: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parameter_name = parameter_name
        self._transport = transport
        self._ttl_seconds = ttl_seconds
        self._failure_ttl_seconds = failure_ttl_seconds
        self._clock = clock
        self._lock = Lock()
        self._limits = PageLimits()
        self._fresh_until = -inf
        self._failing = False

    def __call__(self) -> PageLimits:
        """Return the current page limits."""
        if self._clock() < self._fresh_until:
            return self._limits
        with self._lock:
            # Another thread may have read them while this one waited.
            if self._clock() >= self._fresh_until:
                self._refresh()
            return self._limits

    def _refresh(self) -> None:
        ttl_seconds = self._ttl_seconds
        try:
            self._limits = parse_limits(self._read())
            self._failing = False
        except Exception as error:  # noqa: BLE001 - a list of items works without the parameter
            ttl_seconds = self._failure_ttl_seconds
            if not self._failing:
                self._failing = True
                _LOGGER.warning(
                    "cannot read page limits from parameter %s, keeping %s: %s",
                    self._parameter_name,
                    self._limits,
                    error,
                )
        self._fresh_until = self._clock() + ttl_seconds

    def _read(self) -> str:
        request = {"Name": self._parameter_name}
        answer = self._transport.send(SSM, "GetParameter", request, seconds=time_left())
        value: str = answer.body["Parameter"]["Value"]
        return value


def parse_limits(text: str) -> PageLimits:
    """
    Return the limits in the value of a parameter.

    Raises:
        ValueError: It is no JSON, or a limit is out of bounds.
        TypeError: It is no object of whole numbers.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        msg = "it must be a JSON object"
        raise TypeError(msg)
    numbers = {
        name: value[name] for name in ("default_page_size", "max_items_per_page") if name in value
    }
    # Because bool is a subclass of int, isinstance would accept true.
    if not all(type(number) is int for number in numbers.values()):
        msg = "its values must be whole numbers"
        raise TypeError(msg)
    return PageLimits(**numbers)
