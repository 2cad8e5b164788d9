"""Page limits from Parameter Store: ``{"max_items_per_page": 50, "default_page_size": 20}``."""

import json
import logging
import time
from collections.abc import Callable
from math import inf
from threading import Lock
from typing import Final

from inventory.paging import Limits
from inventory.timeouts import time_left
from inventory_adapters.aws.transport import SSM, Transport

__all__ = ["SsmLimits"]

_LOGGER: Final = logging.getLogger(__name__)


class SsmLimits:
    """
    Returns the page limits in force, and never fails a request over them.

    What was read is kept for a while. When reading fails, or yields limits that cannot be, the last good ones stay in force,
    or the defaults where there are none yet; the first failure of a row is logged, the others are not.

    Args:
        parameter_name: As in ``/inventory/dev/config``.
        transport: How the parameter is read: in one attempt, as limits have defaults and nothing is worth waiting for.
        ttl_seconds: How long limits are kept.
        failure_ttl_seconds: How long after a failure the next attempt waits.
        clock: Returns seconds that only ever grow.
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
        self._limits = Limits()
        self._fresh_until = -inf
        self._failing = False

    def __call__(self) -> Limits:
        """Return the page limits in force."""
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
            self._limits = _parse(self._read())
            self._failing = False
        except Exception as error:  # noqa: BLE001 - whatever it was, a list of items must not fail over it
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


def _parse(text: str) -> Limits:
    value = json.loads(text)
    if not isinstance(value, dict):
        msg = "it must be a JSON object"
        raise TypeError(msg)
    numbers = {
        name: value[name] for name in ("default_page_size", "max_items_per_page") if name in value
    }
    # bool is an int to Python, but true is no number of rows.
    if not all(type(number) is int for number in numbers.values()):
        msg = "its values must be whole numbers"
        raise TypeError(msg)
    return Limits(**numbers)
