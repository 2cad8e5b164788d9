"""Purges of expired records and old reservations."""

import itertools
from typing import ClassVar

import pytest

from inventory.ports import InventoryRepository
from inventory.reservations import RETENTION_SECONDS
from inventory_adapters.testing.examples import (
    CLOSED_STATES,
    a_record,
    a_reservation,
    a_time,
    after,
    an_item,
    closed,
    combined,
    creation,
    record_change,
    reservation_change,
    reservation_write,
    rewrite,
)
from inventory_adapters.testing.pagination import held, ledger

__all__ = ["PurgeContract"]


class PurgeContract:
    """
    A purge deletes expired records and old reservations, and nothing else.

    Attributes:
        purges: Whether `purge` deletes rows. False for storage that deletes them itself some time later, as DynamoDB's TTL
            does: there `purge` deletes nothing and returns 0.
        many_rows: A number of rows that a purge in batches needs several batches for. Reduce it if each commit is slow.
    """

    purges: ClassVar[bool] = True
    many_rows: ClassVar[int] = 600

    def test_a_purge_deletes_expired_records_and_old_reservations(
        self, repository: InventoryRepository
    ) -> None:
        """Records are deleted at expiry, reservations 30 days after closing."""
        at = RETENTION_SECONDS
        ends = [at - 1000, at, at + 0.000001, at + 1000]
        for end in ends:
            repository.commit(record_change(a_record(f"record {end}", expires_at=end)))
        closings = [-1000, 0, 0.000001, 1000]
        for closing, state in itertools.product(closings, CLOSED_STATES):
            reservation = a_reservation(f"reservation {closing} {state}")
            repository.commit(reservation_change(None, closed(reservation, state, at=closing)))

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

    def test_a_purge_deletes_any_number_of_rows(self, repository: InventoryRepository) -> None:
        """It does not end after the first hundreds."""
        if not self.purges:
            pytest.skip("the storage deletes old rows by itself")
        for number in range(self.many_rows):
            reservation = closed(a_reservation(f"reservation-{number}"))
            record = a_record(f"record-{number}")
            repository.commit(
                combined(
                    reservation=reservation_write(None, reservation), idempotency_record=record
                )
            )

        assert repository.purge(a_time(10 * RETENTION_SECONDS)) == 2 * self.many_rows

    def test_a_purge_deletes_nothing_else(self, repository: InventoryRepository) -> None:
        """Items, movements and held reservations are kept."""
        item = an_item()
        repository.commit(creation(item))
        moved = rewrite(item, reserved=1)
        overdue = a_reservation(expires_at=-900)
        repository.commit(combined(moved, reservation=reservation_write(None, overdue)))

        assert repository.purge(a_time(10 * RETENTION_SECONDS)) == 0

        assert repository.get_item(item.key) == after(moved)
        assert ledger(repository, item.key) == [*moved.movements]
        assert repository.get_reservation("reservation-1") == overdue
        assert held(repository, due_by=a_time()) == [overdue]

    def test_a_purge_of_an_empty_repository_is_no_error(
        self, repository: InventoryRepository
    ) -> None:
        """The purge returns 0."""
        assert repository.purge(a_time()) == 0
