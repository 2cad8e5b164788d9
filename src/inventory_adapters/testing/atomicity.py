"""Changes of several parts, stored whole or not at all."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from inventory.errors import DuplicateRequestError, StaleReadError
from inventory.ports import Change, InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import (
    ANY,
    a_record,
    a_reservation,
    after,
    an_item,
    by_key,
    creation,
    deletion,
    reservation_write,
    rewrite,
    serving,
    stale_parts,
    together,
)
from inventory_adapters.testing.walks import held, ledger, walk

__all__ = ["AllOrNothingContract"]


class AllOrNothingContract:
    """Items, movements, a reservation and a idempotency record travel in one commit: every part arrives, or none."""

    def test_a_change_of_every_part_is_stored_whole(self, repository: InventoryRepository) -> None:
        """What one use case decided is all there at once."""
        item = an_item()
        repository.commit(creation(item))
        moved = rewrite(item, reserved=1)

        repository.commit(
            together(
                moved,
                creation(an_item("made")),
                reservation=reservation_write(None, a_reservation()),
                idempotency_record=a_record(),
            )
        )

        assert repository.get_item(item.key) == after(moved)
        assert repository.get_item(an_item("made").key) == an_item("made")
        assert ledger(repository, item.key) == [*moved.movements]
        assert repository.get_reservation("reservation-1") == a_reservation()
        assert held(repository) == [a_reservation()]
        assert repository.get_idempotency_record("record-1") == a_record()

    @pytest.mark.parametrize(
        "why",
        [
            *("stale item", "taken key", "gone item", "taken place", "reservation", "taken id"),
            *("stale deletion", "gone deletion", "deletion in a taken place", "served"),
        ],
    )
    def test_whatever_stands_in_the_way_nothing_of_a_change_stays(
        self, repository: InventoryRepository, why: str
    ) -> None:
        """One part that cannot be stored takes all others with it."""
        good, leaving = an_item("good"), an_item("leaving")
        repository.commit(creation(good, leaving))
        parts = stale_parts(repository)
        repository.commit(serving(a_record("taken")))
        bad, reservation = parts.get(why, (creation(an_item("free")), None))
        record = a_record("taken" if why == "served" else "free")
        change = together(
            *(rewrite(good, on_hand=1), creation(an_item("made")), deletion(leaving), bad),
            reservation=reservation or reservation_write(None, a_reservation("made")),
            idempotency_record=record,
        )
        keys = [write.key for write in change.items]
        ids = ("there", "made")

        def state() -> list[Any]:
            return [
                by_key(walk(repository, ANY)),
                [ledger(repository, key) for key in keys],
                [repository.get_reservation(reservation_id) for reservation_id in ids],
                held(repository),
                [repository.get_idempotency_record(record_id) for record_id in ("taken", "free")],
            ]

        before = state()
        with pytest.raises(DuplicateRequestError if why == "served" else StaleReadError):
            repository.commit(change)

        assert state() == before
        # Left behind, any of these would stand in the way of what comes after.
        repository.commit(
            together(
                rewrite(good, on_hand=2),
                deletion(leaving),
                reservation=reservation_write(None, a_reservation("made")),
                idempotency_record=a_record("free"),
            )
        )

    def test_the_largest_change_is_stored_whole(self, repository: InventoryRepository) -> None:
        """25 items with a movement each, a reservation of all of them, and a record with a long answer."""
        items = [an_item(f"item-{number:02}", reorder_point=9) for number in range(25)]
        repository.commit(creation(*items))
        moves = [rewrite(item, reserved=1) for item in items]
        reservation = a_reservation(lines=[(item.key, 1) for item in items])
        record = a_record(answer=an_item(description="a" * 200_000))

        repository.commit(
            together(
                *moves, reservation=reservation_write(None, reservation), idempotency_record=record
            )
        )

        states = [after(move) for move in moves]
        assert by_key(repository.get_items(item.key for item in items)) == states
        assert walk(repository, ItemFilter(low_stock=True)) == states
        assert [ledger(repository, item.key) for item in items] == [
            [*move.movements] for move in moves
        ]
        assert held(repository) == [reservation]
        assert repository.get_idempotency_record("record-1") == record

    def test_a_change_that_is_sent_twice_is_stored_once(
        self, repository: InventoryRepository
    ) -> None:
        """The second time it is refused or recognised; either way there is one effect."""
        item = an_item()
        repository.commit(creation(item))
        change = together(
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

    def test_a_change_of_nothing_is_no_error(self, repository: InventoryRepository) -> None:
        """There is nothing to refuse, and nothing to store."""
        repository.commit(Change(write_id=str(uuid4())))

        assert walk(repository, ANY) == []
