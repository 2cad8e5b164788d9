"""Stock and reservations on the reference repository, with sweep and reconcile."""

import attrs
import pytest

from inventory import (
    CommitReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    Inventory,
    MovementKind,
    Page,
    ReservationState,
    StockLevel,
    StorageUnavailableError,
)
from tests.domain.use_cases import StockUseCases, adjusting, hold, kinds, line, named, now


class TestStock(StockUseCases):
    def test_a_sweep_expires_only_due_reservations(self, inventory, time, tent, stove):
        """Oldest first, up to the limit; a second sweep finds nothing."""
        hold(inventory, line(tent, 2), ttl_seconds=60)
        hold(inventory, line(tent, 1), ttl_seconds=120)
        hold(inventory, line(stove, 1), ttl_seconds=3600)
        time.pass_by(seconds=600)

        assert inventory.expire_reservations(ExpireReservations(limit=1)).expired == 1
        assert now(inventory, tent).reserved == 1
        assert inventory.expire_reservations(ExpireReservations()).expired == 1
        assert inventory.expire_reservations(ExpireReservations()).expired == 0
        assert (now(inventory, tent).reserved, now(inventory, stove).reserved) == (0, 1)
        assert kinds(inventory, tent)[0] == MovementKind.EXPIRE

    def test_a_reservation_that_cannot_be_expired_does_not_prevent_the_others(
        self, inventory, repository, time, tent, stove
    ):
        """It stays due, and the next sweep retries it."""
        hold(inventory, line(tent, 2), ttl_seconds=60)
        hold(inventory, line(stove, 1), ttl_seconds=60)
        time.pass_by(seconds=60)
        commit = repository.commit

        def broken(change):
            if change.items[0].key == tent.key:
                raise StorageUnavailableError
            commit(change)

        repository.commit = broken
        swept = inventory.expire_reservations(ExpireReservations())
        assert (swept.expired, swept.failed) == (1, 1)
        assert (now(inventory, tent).reserved, now(inventory, stove).reserved) == (2, 0)

        repository.commit = commit
        assert inventory.expire_reservations(ExpireReservations()).expired == 1
        assert now(inventory, tent).reserved == 0

    def test_a_sweep_reads_each_reservation_of_its_list_again(
        self, inventory, repository, time, tent
    ):
        """A list may lag behind: a reservation that was extended before the sweep stays held."""
        listed = hold(inventory, line(tent, 2), ttl_seconds=60)
        inventory.extend_reservation(ExtendReservation(**named(listed), ttl_seconds=900))
        time.pass_by(seconds=60)
        repository.held_reservations = lambda *_args, **_bounds: Page(items=(listed,))

        swept = inventory.expire_reservations(ExpireReservations())

        assert (swept.expired, swept.failed) == (0, 0)
        assert now(inventory, tent).reserved == 2

    def test_a_reservation_that_is_extended_during_a_sweep_stays_held(
        self, inventory, repository, time, tent
    ):
        """By a machine whose clock is behind, after the sweep has read it."""
        held = hold(inventory, line(tent, 2), ttl_seconds=60)
        behind = Inventory(repository, clock=lambda moment=time.now: moment)
        time.pass_by(seconds=60)
        read, reads = repository.get_reservations, []

        def extended_after_the_first_read(reservation_ids):
            reservations = read(reservation_ids)
            reads.append(reservations)
            if len(reads) == 1:
                behind.extend_reservation(ExtendReservation(**named(held), ttl_seconds=900))
            return reservations

        repository.get_reservations = extended_after_the_first_read
        swept = inventory.expire_reservations(ExpireReservations())

        assert (swept.expired, swept.failed) == (0, 0)
        assert now(inventory, tent).reserved == 2

    # Reconcile

    def test_a_correction_does_not_undo_a_reservation_made_meanwhile(
        self, inventory, repository, tent
    ):
        """The correction conflicts with it, because the item was read before the reservations."""
        hold(inventory, line(tent, 1))
        stored = repository._items[tent.key]
        repository._items[tent.key] = attrs.evolve(
            stored, level=StockLevel(on_hand=5, reserved=3, seq=1)
        )
        read, reads = repository.held_reservations, []

        def reserved_after_the_second_read(page, **bounds):
            found = read(page, **bounds)
            reads.append(found)
            # The first read is for all items, the second for the correction of this one.
            if len(reads) == 2:
                hold(inventory, line(tent, 1))
            return found

        repository.held_reservations = reserved_after_the_second_read
        [drift] = inventory.reconcile(fix=True)

        assert drift.corrected
        assert len(reads) > 2
        assert now(inventory, tent).reserved == 2
        # Only the gap before the new reservation is left.
        assert [left.can_be_corrected for left in inventory.reconcile()] == [False]

    def test_a_consistent_store_has_no_drift(self, inventory, tent, stove):
        """After ordinary requests."""
        hold(inventory, line(tent, 2), line(stove, 1))
        inventory.adjust_stock(adjusting(tent))

        assert list(inventory.reconcile()) == []

    def test_drift_is_reported_and_corrected(self, inventory, repository, tent, stove):
        """The level is right about on-hand, the open reservations about reserved."""
        hold(inventory, line(tent, 2))
        stored = repository._items[tent.key]
        repository._items[tent.key] = attrs.evolve(
            stored, level=StockLevel(on_hand=7, reserved=4, seq=1)
        )
        repository._items[stove.key] = attrs.evolve(
            stove, level=StockLevel(on_hand=2, reserved=1, seq=0)
        )

        drifts = {drift.key.sku: drift for drift in inventory.reconcile()}
        assert (drifts["TENT"].on_hand, drifts["TENT"].ledger_on_hand) == (7, 5)
        assert (drifts["TENT"].reserved, drifts["TENT"].held) == (4, 2)
        assert set(drifts) == {"TENT", "STOVE"}
        assert not drifts["TENT"].corrected

        assert all(drift.corrected for drift in inventory.reconcile(fix=True))

        assert list(inventory.reconcile()) == []
        assert (now(inventory, tent).on_hand, now(inventory, tent).reserved) == (7, 2)
        assert now(inventory, stove).reserved == 0
        assert kinds(inventory, tent)[0] == MovementKind.CORRECTION

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_a_commit_that_another_one_overtakes_is_a_repeated_one(
        self, inventory, repository, tent, is_deleted
    ):
        """Also if the other one is between its reads of the reservation and of the item, and took the last units."""
        held = hold(inventory, line(tent, now(inventory, tent).available))
        get_items = repository.get_items

        def overtaken(keys):
            repository.get_items = get_items
            inventory.commit_reservation(CommitReservation(**named(held)))
            if is_deleted:
                inventory.delete_item(DeleteItem(**attrs.asdict(tent.key)))
            return get_items(keys)

        repository.get_items = overtaken
        committed = inventory.commit_reservation(CommitReservation(**named(held)))

        assert committed.state == ReservationState.COMMITTED
