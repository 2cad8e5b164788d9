"""The limits of the gateway and of each function, which settings may override."""

from typing import Final

from attrs import frozen

__all__ = ["GATEWAY_BURST", "GATEWAY_REQUESTS_PER_SECOND", "FunctionLimits", "limits_of"]

# API Gateway applies throttles on a best-effort basis, so the limits are approximate.
GATEWAY_REQUESTS_PER_SECOND: Final = 10_000
GATEWAY_BURST: Final = 5_000


@frozen(kw_only=True)
class FunctionLimits:
    """
    The resource limits of a function.

    Attributes:
        timeout_seconds: The timeout of one call.
        memory_mb: The memory, which also determines the share of CPU.
        reserved_concurrency: The concurrent executions that are reserved for the function; None to reserve none.
    """

    timeout_seconds: int = 10
    memory_mb: int = 256
    reserved_concurrency: int | None = None


_DEFAULT_LIMITS: Final = FunctionLimits()
_LIMITS: Final = {
    "create_item": FunctionLimits(reserved_concurrency=10),
    "get_item": FunctionLimits(timeout_seconds=5, reserved_concurrency=20),
    "update_item": FunctionLimits(reserved_concurrency=10),
    "delete_item": FunctionLimits(timeout_seconds=5, reserved_concurrency=5),
    "list_items": FunctionLimits(memory_mb=512, reserved_concurrency=15),
    # A run may start before the previous one ends. More than two at a time would only conflict.
    "expire_reservations": FunctionLimits(
        timeout_seconds=55, memory_mb=512, reserved_concurrency=2
    ),
    # A hundred records are ten requests to EventBridge, some of which are repeated.
    "publish_events": FunctionLimits(timeout_seconds=60),
}


def limits_of(operation: str) -> FunctionLimits:
    """Return the limits of the function of *operation*."""
    return _LIMITS.get(operation, _DEFAULT_LIMITS)
