"""A daily warning about reservations that expire later than any should."""

import logging
from datetime import UTC, date
from itertools import islice
from typing import Final

from inventory.service import Inventory

__all__ = ["FarReservationsWatch"]

_MOST_NAMED: Final = 20

logger = logging.getLogger("inventory_adapters.server.sweeper")


class FarReservationsWatch:
    """
    Logs reservations that were created while a clock was ahead. Only ``inventory sweep --far`` expires them.

    The day of the last check is kept in memory, so each process or Lambda execution environment warns once a day.
    """

    def __init__(self) -> None:
        self._checked_on: date | None = None

    def look(self, inventory: Inventory) -> None:
        """Log a warning if there are any, unless this was checked today."""
        today = inventory.clock().astimezone(UTC).date()
        if today == self._checked_on:
            return
        far = list(islice(inventory.far_reservations(), _MOST_NAMED))
        self._checked_on = today
        if far:
            logger.warning(
                "reservations expire more than 32 days from now; check the clocks, then run: inventory sweep --far",
                extra={
                    "reservation_ids": [reservation.reservation_id for reservation in far],
                    "expires_at": far[-1].expires_at,
                },
            )
