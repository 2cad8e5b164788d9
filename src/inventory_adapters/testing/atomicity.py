"""Atomicity of changes with several parts."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from inventory.errors import DuplicateRequestError, StaleReadError
from inventory.ports import Change, InventoryRepository, ItemFilter
from inventory.reservations import Reservation, ReservationState
from inventory_adapters.testing.examples import (
    ANY,
    CLOSED_STATES,
    a_record,
    a_reservation,
    after,
    an_item,
    by_key,
    closed,
    combined,
    committed,
    creation,
    deletion,
    extended,
    record_change,
    reservation_write,
    rewrite,
    stale_parts,
)
from inventory_adapters.testing.pagination import held, ledger, list_all

__all__ = ["AtomicityContract"]


class AtomicityContract:
    """A commit stores every part of a change, or none of them."""

    def test_a_change_with_every_part_is_stored_completely(
        self, repository: InventoryRepository
    ) -> None:
        """Items, movements, the reservation and the record can all be read."""
        item = an_item()
        repository.commit(creation(item))
        moved = rewrite(item, reserved=1)

        repository.commit(
            combined(
                moved,
                creation(an_item("new")),
                reservation=reservation_write(None, a_reservation()),
                idempotency_record=a_record(),
            )
        )

        assert repository.get_item(item.key) == after(moved)
        assert repository.get_item(an_item("new").key) == an_item("new")
        assert ledger(repository, item.key) == [*moved.movements]
        assert repository.get_reservation("reservation-1") == a_reservation()
        assert held(repository) == [a_reservation()]
        assert repository.get_idempotency_record("record-1") == a_record()

    @pytest.mark.parametrize(
        "reason",
        [
            *("stale item", "used key", "missing item", "used seq", "reservation", "used id"),
            *("stale deletion", "missing deletion", "deletion with a used seq", "used record"),
        ],
    )
    def test_a_rejected_change_stores_nothing(
        self, repository: InventoryRepository, reason: str
    ) -> None:
        """A conflict of one part rejects all other parts."""
        good, deleted = an_item("good"), an_item("deleted")
        repository.commit(creation(good, deleted))
        parts = stale_parts(repository)
        repository.commit(record_change(a_record("used")))
        bad, reservation = parts.get(reason, (creation(an_item("free")), None))
        record = a_record("used" if reason == "used record" else "free")
        change = combined(
            *(rewrite(good, on_hand=1), creation(an_item("new")), deletion(deleted), bad),
            reservation=reservation or reservation_write(None, a_reservation("new")),
            idempotency_record=record,
        )
        keys = [write.key for write in change.items]
        ids = ("stored", "new")

        def state() -> list[Any]:
            return [
                by_key(list_all(repository, ANY)),
                [ledger(repository, key) for key in keys],
                [repository.get_reservation(reservation_id) for reservation_id in ids],
                held(repository),
                [repository.get_idempotency_record(record_id) for record_id in ("used", "free")],
            ]

        before = state()
        with pytest.raises(DuplicateRequestError if reason == "used record" else StaleReadError):
            repository.commit(change)

        assert state() == before
        # A part that was stored would make this change conflict.
        repository.commit(
            combined(
                rewrite(good, on_hand=2),
                deletion(deleted),
                reservation=reservation_write(None, a_reservation("new")),
                idempotency_record=a_record("free"),
            )
        )

    @pytest.mark.parametrize("state", CLOSED_STATES)
    def test_the_largest_changes_are_stored_completely(
        self, repository: InventoryRepository, state: ReservationState
    ) -> None:
        """They have 25 lines that all cross the reorder point, a key and a long answer."""
        items = [an_item(f"item-{number:02}", reorder_point=8) for number in range(25)]
        repository.commit(creation(*items))
        opened = a_reservation(lines=[(item.key, 2) for item in items])
        longer = extended(opened, 5000)
        part = committed(longer, *((item.key, 1) for item in items))
        steps: list[tuple[Reservation, dict[str, int]]] = [
            (opened, {"reserved": 2}),
            (longer, {}),
            (part, {"on_hand": 9, "reserved": 1}),
            (closed(part, state), {"on_hand": 8 if state == "committed" else 9, "reserved": 0}),
        ]

        before = None
        for number, (reservation, level) in enumerate(steps):
            moved = [rewrite(item, **level) for item in items] if level else []
            record = a_record(f"{number}", answer=an_item(description="a" * 200_000))
            change = combined(
                *moved,
                reservation=reservation_write(before, reservation),
                idempotency_record=record,
            )
            repository.commit(change)

            items = [after(move) for move in moved] or items
            before = reservation
            is_held = [reservation] if reservation.state is ReservationState.HELD else []
            assert by_key(repository.get_items(item.key for item in items)) == items
            assert list_all(repository, ItemFilter(low_stock=True)) == [
                item for item in items if item.is_low
            ]
            assert [ledger(repository, item.key)[:1] for item in items if moved] == [
                [*move.movements] for move in moved
            ]
            assert repository.get_reservation("reservation-1") == reservation
            assert held(repository) == is_held
            assert all(held(repository, key=item.key) == is_held for item in items)
            assert repository.get_idempotency_record(f"{number}") == record

    def test_a_change_that_is_sent_twice_is_stored_once(
        self, repository: InventoryRepository
    ) -> None:
        """The second commit is rejected or recognized, and has no effect."""
        item = an_item()
        repository.commit(creation(item))
        change = combined(
            rewrite(item, reserved=1),
            reservation=reservation_write(None, a_reservation()),
            idempotency_record=a_record(),
        )
        repository.commit(change)

        with suppress(DuplicateRequestError, StaleReadError):
            repository.commit(change)

        assert repository.get_item(item.key) == after(change)
        assert ledger(repository, item.key) == [*change.movements]
        assert held(repository) == [a_reservation()]

    def test_an_empty_change_is_no_error(self, repository: InventoryRepository) -> None:
        """The commit succeeds and stores nothing."""
        repository.commit(Change(write_id=str(uuid4())))

        assert list_all(repository, ANY) == []
