"""A warning, once a day, that names reservations which end later than any can."""

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
    Looks for reservations that were made while a clock was ahead: nothing expires them but ``inventory sweep --far``.

    It remembers the day in memory, so each process, or Lambda execution environment, warns once a day.
    """

    def __init__(self) -> None:
        self._looked_on: date | None = None

    def look(self, inventory: Inventory) -> None:
        """Log one warning if there are any, unless this was done today."""
        today = inventory.clock().astimezone(UTC).date()
        if today == self._looked_on:
            return
        far = list(islice(inventory.far_reservations(), _MOST_NAMED))
        self._looked_on = today
        if far:
            logger.warning(
                "reservations end more than 32 days from now; check the clocks, then run: inventory sweep --far",
                extra={
                    "reservation_ids": [reservation.reservation_id for reservation in far],
                    "expires_at": far[-1].expires_at,
                },
            )
