"""Background cleanup: expire reservations and purge old records."""

import logging
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from attrs import asdict, frozen

from inventory.commands import ExpireReservations
from inventory.errors import StorageThrottledError
from inventory.items import Timestamp
from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory_adapters.far_reservations import FarReservationsWatch

__all__ = ["SweepSummary", "Sweeper", "sweep"]

# The rest waits for the next sweep. The server waits no longer than this for a sweep when it stops.
_SWEEP_SECONDS: Final = 5.0

logger = logging.getLogger("inventory_adapters.server.sweeper")


@frozen(kw_only=True)
class SweepSummary:
    """
    The counts of one sweep.

    Attributes:
        expired: Number of expired reservations.
        failed: Number of reservations that could not be read or expired; the next sweep tries again.
        purged: Number of deleted records: of idempotency keys, and of reservations closed long ago.
    """

    expired: int
    failed: int
    purged: int


def sweep(inventory: Inventory, command: ExpireReservations | None = None) -> SweepSummary:
    """Expire due reservations and purge old records, unless storage purges them itself or is being restored."""
    result = inventory.expire_reservations(command or ExpireReservations())
    purged = 0 if result.is_paused else inventory.repository.purge(Timestamp.of(inventory.clock()))
    return SweepSummary(expired=result.expired, failed=result.failed, purged=purged)


class Sweeper:
    """
    A thread that sweeps at once and then at intervals, while its `with` block lasts.

    Args:
        inventory: The inventory to sweep. It must be open until the block ends.
        seconds: Seconds between two sweeps.
    """

    def __init__(self, inventory: Inventory, *, seconds: float) -> None:
        self._inventory = inventory
        self._seconds = seconds
        self._far = FarReservationsWatch()
        self._ended = Event()
        self._thread = Thread(target=self._run, name="sweeper")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        self._sweep()
        while not self._ended.wait(self._seconds):
            self._sweep()

    def _sweep(self) -> None:
        try:
            with deadline(_SWEEP_SECONDS):
                counts = asdict(sweep(self._inventory))
                self._far.look(self._inventory)
        except StorageThrottledError:
            # Another process is writing. Due reservations count as expired even before a sweep.
            logger.info("sweep postponed")
            return
        except Exception:
            # The thread must go on: the next sweep may succeed.
            logger.exception("sweep failed")
            return
        if any(counts.values()):
            logger.log(logging.WARNING if counts["failed"] else logging.INFO, "swept", extra=counts)
