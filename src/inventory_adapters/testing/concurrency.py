"""Concurrent writes by several threads."""

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
    combined,
    commit_with_retry,
    committed,
    creation,
    deletion,
    extended,
    reservation_change,
    reservation_write,
    rewrite,
)
from inventory_adapters.testing.pagination import held, ledger, list_all

__all__ = ["ConcurrencyContract", "conflict_count", "run_concurrently"]


def run_concurrently(*jobs: Callable[[], Any]) -> list[Any]:
    """Run each job in its own thread at once; return results or errors."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        futures = [threads.submit(run, job) for job in jobs]
    return [future.exception() or future.result() for future in futures]


def conflict_count(outcomes: Iterable[Any]) -> int:
    """Return the number of jobs that raised `StaleReadError`."""
    return sum(isinstance(outcome, StaleReadError) for outcome in outcomes)


class ConcurrencyContract:
    """
    Concurrent writes lose no change.

    Attributes:
        concurrent: Whether threads may share the repository. False for a stand-in that itself loses updates under threads, as
            moto does: there, a failing test would show a fault of the stand-in, not of the repository.
    """

    concurrent: ClassVar[bool] = True

    @pytest.fixture
    def shared(self, repository: InventoryRepository) -> InventoryRepository:
        """Return the repository, or skip the test if threads may not share it."""
        if not self.concurrent:
            pytest.skip("threads may not share this repository")
        return repository

    def test_one_of_many_concurrent_commits_succeeds(self, shared: InventoryRepository) -> None:
        """Of eight changes based on one read, one is stored."""
        read = an_item(on_hand=100)
        shared.commit(creation(read))
        changes = [rewrite(read, on_hand=number) for number in range(8)]

        outcomes = run_concurrently(*(_committing(shared, change) for change in changes))

        assert conflict_count(outcomes) == 7
        assert shared.get_item(read.key) == an_item(on_hand=outcomes.index(None), seq=1)

    def test_one_of_many_concurrent_creations_succeeds(self, shared: InventoryRepository) -> None:
        """Of eight items with one key, one is created."""
        items = [an_item(name=f"by thread {number}") for number in range(8)]

        outcomes = run_concurrently(*(_committing(shared, creation(item)) for item in items))

        assert conflict_count(outcomes) == 7
        assert shared.get_item(items[0].key) == items[outcomes.index(None)]

    def test_commits_to_different_items_do_not_conflict(self, shared: InventoryRepository) -> None:
        """Two threads change two items, and both changes are stored."""
        items = [an_item("a"), an_item("b")]
        shared.commit(creation(*items))

        outcomes = run_concurrently(
            *(_committing(shared, rewrite(item, on_hand=1)) for item in items)
        )

        assert outcomes == [None, None]
        assert list_all(shared, ItemFilter(sku="SKU-1")) == [
            an_item("a", on_hand=1, seq=1),
            an_item("b", on_hand=1, seq=1),
        ]

    def test_no_update_is_lost(self, shared: InventoryRepository) -> None:
        """Four threads add ten units each and retry conflicts: all 40 are stored."""
        item = an_item(on_hand=0)
        shared.commit(creation(item))

        outcomes = run_concurrently(*[lambda: _count_up(shared, item.key, 10)] * 4)

        assert outcomes == [None] * 4
        assert shared.get_item(item.key) == an_item(on_hand=40, seq=40)
        assert [movement.seq for movement in ledger(shared, item.key)] == list(range(40, 0, -1))

    def test_edits_and_commits_do_not_overwrite_each_other(
        self, shared: InventoryRepository
    ) -> None:
        """One thread edits an item and another moves it: all writes are stored."""
        item = an_item(on_hand=0)
        shared.commit(creation(item))

        def rename() -> None:
            for number in range(10):
                shared.edit_item(an_edit(item, name=f"name {number}"))

        outcomes = run_concurrently(rename, lambda: _count_up(shared, item.key, 10))

        assert outcomes == [None, None]
        assert shared.get_item(item.key) == an_item(
            on_hand=10, seq=10, name="name 9", version=11, updated_at=a_time(60)
        )

    def test_one_of_many_concurrent_repeats_has_an_effect(
        self, shared: InventoryRepository
    ) -> None:
        """Of eight changes with one key, one is stored, and seven are duplicates."""
        records = [a_record(answer=an_item(name=f"by thread {number}")) for number in range(8)]
        items = [an_item(f"item-{number}") for number in range(8)]
        changes = [
            combined(creation(item), idempotency_record=record)
            for item, record in zip(items, records, strict=True)
        ]

        outcomes = run_concurrently(*(_committing(shared, change) for change in changes))

        assert sum(isinstance(outcome, DuplicateRequestError) for outcome in outcomes) == 7
        winner = outcomes.index(None)
        assert shared.get_idempotency_record("record-1") == records[winner]
        assert list_all(shared, ANY) == [items[winner]]

    def test_the_last_unit_is_reserved_once(self, shared: InventoryRepository) -> None:
        """Of eight reservations of one unit, one is held and has a movement."""
        item = an_item(on_hand=1)
        shared.commit(creation(item))
        reservations = [a_reservation(f"reservation-{number}") for number in range(8)]
        changes = [
            combined(rewrite(item, reserved=1), reservation=reservation_write(None, reservation))
            for reservation in reservations
        ]

        outcomes = run_concurrently(*(_committing(shared, change) for change in changes))

        assert conflict_count(outcomes) == 7
        winner = outcomes.index(None)
        assert held(shared) == [reservations[winner]]
        assert ledger(shared, item.key) == [*changes[winner].movements]
        assert shared.get_item(item.key) == an_item(on_hand=1, reserved=1, seq=1)

    def test_a_reservation_is_closed_once(self, shared: InventoryRepository) -> None:
        """Of concurrent commits, a release, an expiry and an extension, one succeeds."""
        key = an_item().key
        opened = a_reservation(lines=[(key, 3)])
        shared.commit(reservation_change(None, opened))
        nexts = [closed(opened, state) for state in CLOSED_STATES]
        nexts.append(extended(opened, 5000))
        nexts += [committed(opened, (key, quantity)) for quantity in (1, 2)]

        outcomes = run_concurrently(
            *(_committing(shared, reservation_change(opened, after)) for after in nexts)
        )

        assert conflict_count(outcomes) == 5
        assert shared.get_reservation("reservation-1") == nexts[outcomes.index(None)]

    def test_one_of_many_concurrent_deletions_succeeds(self, shared: InventoryRepository) -> None:
        """One deletion is stored, with its movement; the others are rejected."""
        shared.commit(creation(an_item()))
        changes = [deletion(an_item()) for _ in range(4)]

        outcomes = run_concurrently(*(_committing(shared, change) for change in changes))

        assert conflict_count(outcomes) == 3
        winner = changes[outcomes.index(None)]
        assert ledger(shared, an_item().key) == [*winner.movements]
        assert shared.get_item(an_item().key) is None

    def test_a_deletion_and_a_reservation_do_not_both_succeed(
        self, shared: InventoryRepository
    ) -> None:
        """Of a concurrent deletion and reservation, one succeeds."""
        for number in range(5):
            item = an_item(f"item-{number}")
            shared.commit(creation(item))

            changes = (rewrite(item, reserved=1), deletion(item))
            outcomes = run_concurrently(*(_committing(shared, change) for change in changes))

            assert conflict_count(outcomes) == 1
            deleted = isinstance(outcomes[0], StaleReadError)
            assert (shared.get_item(item.key) is None) == deleted


def _committing(repository: InventoryRepository, change: Change) -> Callable[[], None]:
    return lambda: repository.commit(change)


def _count_up(repository: InventoryRepository, key: ItemKey, times: int) -> None:
    for _ in range(times):
        commit_with_retry(
            repository, key, lambda item: rewrite(item, on_hand=item.level.on_hand + 1)
        )
