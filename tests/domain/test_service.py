"""The use cases of items on the reference repository, and checks that need no storage."""

import pytest

from inventory import CommitReservation, ContentionError, Inventory, KeyRequiredError, deadline
from inventory.ports import Change, ItemWrite
from inventory.timeouts import time_left
from tests.domain.daily_use_cases import DailyUseCases
from tests.domain.use_cases import TENT, BusyRepository, ItemUseCases, change, hold, line


class TestDaily(DailyUseCases):
    """Called directly."""

    def test_a_partial_commit_needs_an_idempotency_key(self, inventory, tent):
        """A repeated request would take the units twice; a client of the API makes a key by itself."""
        reservation = hold(inventory, line(tent, 3))

        with pytest.raises(KeyRequiredError):
            inventory.commit_reservation(
                CommitReservation(reservation_id=reservation.reservation_id, lines=[line(tent, 1)])
            )


class TestItems(ItemUseCases):
    def test_contention_ends_at_the_deadline(self):
        """A request without time left does not sleep."""
        inventory = Inventory(BusyRepository(misses=1000), pause=lambda _: pytest.fail("slept"))
        item = inventory.create_item(TENT)

        with deadline(0), pytest.raises(ContentionError):
            inventory.update_item(change(item, quantity=1))

    def test_an_earlier_deadline_stays_in_force(self):
        """A later deadline inside it does not extend it."""
        with deadline(1), deadline(100):
            assert time_left() <= 1
        assert time_left() == float("inf")

    def test_a_change_names_each_item_once(self, tent):
        """DynamoDB rejects a transaction that writes an item twice."""
        write = ItemWrite(before=tent, after=tent)

        with pytest.raises(ValueError, match="once"):
            Change(write_id="w", items=(write, write))

    def test_a_change_that_deletes_an_item_has_its_movement(self, tent):
        """Otherwise nothing would explain where the units went."""
        with pytest.raises(ValueError, match="movement"):
            Change(write_id="w", items=(ItemWrite(before=tent, after=None),))

    def test_an_item_write_needs_an_item(self):
        """There is an item before it, after it, or both."""
        with pytest.raises(ValueError, match="before"):
            ItemWrite(before=None, after=None)
