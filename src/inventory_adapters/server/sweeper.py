"""What has to be done from time to time: expire reservations whose time is over, and forget what nobody asks for any more."""

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

# What is left after this waits for the next sweep; and the end of the program for no longer than this.
_SWEEP_SECONDS: Final = 5.0

logger = logging.getLogger("inventory_adapters.server.sweeper")


@frozen(kw_only=True)
class SweepSummary:
    """
    What a sweep did.

    Attributes:
        expired: Reservations that were expired.
        failed: Reservations that could not be, or could not be read; they stay due.
        purged: Records that were deleted: of idempotency keys, and of reservations closed long ago.
    """

    expired: int
    failed: int
    purged: int


def sweep(inventory: Inventory, command: ExpireReservations | None = None) -> SweepSummary:
    """Expire what is due, and delete the records that are no longer kept; where storage does that itself, none."""
    swept = inventory.expire_reservations(command or ExpireReservations())
    purged = inventory.repository.purge(Timestamp.of(inventory.clock()))
    return SweepSummary(expired=swept.expired, failed=swept.failed, purged=purged)


class Sweeper:
    """
    Sweeps in a thread of its own, at once and then from time to time, for as long as its `with` block lasts.

    Args:
        inventory: What is swept; it must outlast the block.
        seconds: How long to wait between two sweeps.
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
                done = asdict(sweep(self._inventory))
                self._far.look(self._inventory)
        except StorageThrottledError:
            # Others are writing, and reservations that are due count as expired meanwhile.
            logger.info("sweep postponed")
            return
        except Exception:
            # Whatever it was, the next sweep may fare better; without the thread, reservations would leak.
            logger.exception("sweep failed")
            return
        if any(done.values()):
            logger.log(logging.WARNING if done["failed"] else logging.INFO, "swept", extra=done)
