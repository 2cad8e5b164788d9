"""Writes by several threads at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, ClassVar

import pytest

from inventory.errors import DuplicateRequestError, StaleReadError
from inventory.items import ItemKey
from inventory.ports import Change, InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import (
    ANY,
    CLOSED_STATES,
    a_record,
    a_reservation,
    a_time,
    an_edit,
    an_item,
    closed,
    creation,
    deletion,
    redo,
    reservation_write,
    reserving,
    rewrite,
    together,
)
from inventory_adapters.testing.walks import held, ledger, walk

__all__ = ["ConcurrencyContract", "refused_count", "run_at_once"]


def run_at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run every job in a thread of its own, all from the same moment; return their results or errors."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return job()
        except Exception as error:  # noqa: BLE001 - which error it was is what the test asks
            return error

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))


def refused_count(outcomes: Iterable[Any]) -> int:
    """Count the jobs that were told that their read was stale."""
    return sum(isinstance(outcome, StaleReadError) for outcome in outcomes)


class ConcurrencyContract:
    """
    No interleaving loses a change.

    Attributes:
        concurrent: Whether threads may share the repository. False for stand-ins that lose updates under threads, as moto does:
            there, a failing test would tell of the stand-in and not of the repository.
    """

    concurrent: ClassVar[bool] = True

    @pytest.fixture
    def shared(self, repository: InventoryRepository) -> InventoryRepository:
        """The repository, where threads may share it."""
        if not self.concurrent:
            pytest.skip("threads may not share this repository")
        return repository

    def test_only_one_of_many_racing_commits_on_one_read_wins(
        self, shared: InventoryRepository
    ) -> None:
        """Eight threads decide on one read: one is stored, seven are told."""
        read = an_item(on_hand=100)
        shared.commit(creation(read))
        changes = [rewrite(read, on_hand=number) for number in range(8)]

        outcomes = run_at_once(*(_committing(shared, change) for change in changes))

        assert refused_count(outcomes) == 7
        assert shared.get_item(read.key) == an_item(on_hand=outcomes.index(None), seq=1)

    def test_only_one_of_many_racing_creations_wins(self, shared: InventoryRepository) -> None:
        """A key is taken once, however many reach for it."""
        items = [an_item(name=f"by thread {number}") for number in range(8)]

        outcomes = run_at_once(*(_committing(shared, creation(item)) for item in items))

        assert refused_count(outcomes) == 7
        assert shared.get_item(items[0].key) == items[outcomes.index(None)]

    def test_commits_to_different_items_do_not_hinder_each_other(
        self, shared: InventoryRepository
    ) -> None:
        """Two threads, two items: both are stored."""
        items = [an_item("a"), an_item("b")]
        shared.commit(creation(*items))

        outcomes = run_at_once(*(_committing(shared, rewrite(item, on_hand=1)) for item in items))

        assert outcomes == [None, None]
        assert walk(shared, ItemFilter(sku="SKU-1")) == [
            an_item("a", on_hand=1, seq=1),
            an_item("b", on_hand=1, seq=1),
        ]

    def test_no_update_is_lost(self, shared: InventoryRepository) -> None:
        """Four threads count up ten times each, redoing what was stale: all forty are there."""
        item = an_item(on_hand=0)
        shared.commit(creation(item))

        outcomes = run_at_once(*[lambda: _count_up(shared, item.key, 10)] * 4)

        assert outcomes == [None] * 4
        assert shared.get_item(item.key) == an_item(on_hand=40, seq=40)
        assert [movement.seq for movement in ledger(shared, item.key)] == list(range(40, 0, -1))

    def test_edits_and_commits_keep_each_others_work(self, shared: InventoryRepository) -> None:
        """One thread renames while another counts up: every edit and every movement is there."""
        item = an_item(on_hand=0)
        shared.commit(creation(item))

        def rename() -> None:
            for number in range(10):
                shared.edit_item(an_edit(item, name=f"name {number}"))

        outcomes = run_at_once(rename, lambda: _count_up(shared, item.key, 10))

        assert outcomes == [None, None]
        assert shared.get_item(item.key) == an_item(
            on_hand=10, seq=10, name="name 9", version=11, updated_at=a_time(60)
        )

    def test_only_one_of_many_racing_repeats_of_a_request_has_an_effect(
        self, shared: InventoryRepository
    ) -> None:
        """One key, eight threads: one is stored, seven hear that the key was served and leave nothing."""
        records = [a_record(answer=an_item(name=f"by thread {number}")) for number in range(8)]
        items = [an_item(f"item-{number}") for number in range(8)]
        changes = [
            together(creation(item), idempotency_record=record)
            for item, record in zip(items, records, strict=True)
        ]

        outcomes = run_at_once(*(_committing(shared, change) for change in changes))

        assert sum(isinstance(outcome, DuplicateRequestError) for outcome in outcomes) == 7
        winner = outcomes.index(None)
        assert shared.get_idempotency_record("record-1") == records[winner]
        assert walk(shared, ANY) == [items[winner]]

    def test_the_last_unit_is_promised_once(self, shared: InventoryRepository) -> None:
        """Eight threads reserve one unit: one reservation is held, and the ledger explains it."""
        item = an_item(on_hand=1)
        shared.commit(creation(item))
        reservations = [a_reservation(f"reservation-{number}") for number in range(8)]
        changes = [
            together(rewrite(item, reserved=1), reservation=reservation_write(None, reservation))
            for reservation in reservations
        ]

        outcomes = run_at_once(*(_committing(shared, change) for change in changes))

        assert refused_count(outcomes) == 7
        winner = outcomes.index(None)
        assert held(shared) == [reservations[winner]]
        assert ledger(shared, item.key) == [*changes[winner].movements]
        assert shared.get_item(item.key) == an_item(on_hand=1, reserved=1, seq=1)

    def test_a_reservation_is_closed_once(self, shared: InventoryRepository) -> None:
        """Of a commit, a release, an expiry and an extension that race, one wins."""
        opened = a_reservation()
        shared.commit(reserving(None, opened))
        nexts = [closed(opened, state) for state in CLOSED_STATES]
        nexts.append(a_reservation(expires_at=5000))

        outcomes = run_at_once(*(_committing(shared, reserving(opened, after)) for after in nexts))

        assert refused_count(outcomes) == 3
        assert shared.get_reservation("reservation-1") == nexts[outcomes.index(None)]

    def test_only_one_of_many_racing_deletes_wins(self, shared: InventoryRepository) -> None:
        """One is stored, with its movement; the others are told."""
        shared.commit(creation(an_item()))
        changes = [deletion(an_item()) for _ in range(4)]

        outcomes = run_at_once(*(_committing(shared, change) for change in changes))

        assert refused_count(outcomes) == 3
        winner = changes[outcomes.index(None)]
        assert ledger(shared, an_item().key) == [*winner.movements]
        assert shared.get_item(an_item().key) is None

    def test_a_delete_and_a_reservation_do_not_both_win(self, shared: InventoryRepository) -> None:
        """Units cannot be promised of an item that goes, nor can an item go whose units are promised."""
        for number in range(5):
            item = an_item(f"item-{number}")
            shared.commit(creation(item))

            changes = (rewrite(item, reserved=1), deletion(item))
            outcomes = run_at_once(*(_committing(shared, change) for change in changes))

            assert refused_count(outcomes) == 1
            deleted = isinstance(outcomes[0], StaleReadError)
            assert (shared.get_item(item.key) is None) == deleted


def _committing(repository: InventoryRepository, change: Change) -> Callable[[], None]:
    return lambda: repository.commit(change)


def _count_up(repository: InventoryRepository, key: ItemKey, times: int) -> None:
    for _ in range(times):
        redo(repository, key, lambda item: rewrite(item, on_hand=item.level.on_hand + 1))
