"""Deletion of what has been kept long enough."""

import itertools
from typing import ClassVar

from inventory.ports import InventoryRepository
from inventory.reservations import RETENTION_SECONDS as RESERVATION_RETENTION_SECONDS
from inventory_adapters.testing.examples import (
    CLOSED_STATES,
    a_record,
    a_reservation,
    a_time,
    after,
    an_item,
    closed,
    creation,
    reservation_write,
    reserving,
    rewrite,
    serving,
    together,
)
from inventory_adapters.testing.walks import held, ledger

__all__ = ["PurgeContract"]


class PurgeContract:
    """
    What has been kept long enough goes, and nothing else.

    Attributes:
        purges: Whether `purge` deletes. False for storage that sees to it by itself, some time later, as DynamoDB's TTL does:
            there `purge` deletes nothing and returns 0.
    """

    purges: ClassVar[bool] = True

    def test_a_purge_deletes_what_is_due(self, repository: InventoryRepository) -> None:
        """Records from the instant that they expire on, and reservations from 30 days after they were closed on."""
        at = RESERVATION_RETENTION_SECONDS
        ends = [at - 1000, at, at + 0.000001, at + 1000]
        for end in ends:
            repository.commit(serving(a_record(f"record {end}", expires_at=end)))
        closings = [-1000, 0, 0.000001, 1000]
        for closing, state in itertools.product(closings, CLOSED_STATES):
            reservation = a_reservation(f"reservation {closing} {state}")
            repository.commit(reserving(None, closed(reservation, state, at=closing)))

        deleted = repository.purge(a_time(at))

        assert deleted == (2 + 2 * len(CLOSED_STATES) if self.purges else 0)
        kept = slice(2 if self.purges else 0, None)
        assert [end for end in ends if repository.get_idempotency_record(f"record {end}")] == ends[
            kept
        ]
        for state in CLOSED_STATES:
            assert [
                closing
                for closing in closings
                if repository.get_reservation(f"reservation {closing} {state}")
            ] == closings[kept]
        assert repository.purge(a_time(at)) == 0

    def test_a_purge_leaves_all_else_alone(self, repository: InventoryRepository) -> None:
        """Items, movements, and reservations that are held, however long ago their time was over."""
        item = an_item()
        repository.commit(creation(item))
        moved = rewrite(item, reserved=1)
        over = a_reservation(expires_at=-900)
        repository.commit(together(moved, reservation=reservation_write(None, over)))

        assert repository.purge(a_time(10 * RESERVATION_RETENTION_SECONDS)) == 0

        assert repository.get_item(item.key) == after(moved)
        assert ledger(repository, item.key) == [*moved.movements]
        assert repository.get_reservation("reservation-1") == over
        assert held(repository, due_by=a_time()) == [over]

    def test_a_purge_of_nothing_is_no_error(self, repository: InventoryRepository) -> None:
        """An empty repository has nothing to delete."""
        assert repository.purge(a_time()) == 0
