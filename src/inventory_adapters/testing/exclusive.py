"""Exclusive access to a repository."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory.errors import StaleReadError, StorageThrottledError
from inventory.ports import ExclusiveRepository
from inventory.timeouts import deadline
from inventory_adapters.testing.examples import ANY, an_edit, an_item, by_key, creation
from inventory_adapters.testing.pagination import list_all

__all__ = ["ExclusiveContract"]


class ExclusiveContract:
    """
    The guarantees of `inventory.ports.ExclusiveRepository`.

    A subclass overrides the fixture `repository`, as a subclass of `RepositoryContract` does.
    """

    def test_the_block_reads_its_own_writes(self, repository: ExclusiveRepository) -> None:
        """Other threads read the writes after the block ends."""
        with ThreadPoolExecutor(1) as another, repository.exclusive():
            repository.commit(creation(an_item()))

            assert repository.get_item(an_item().key) == an_item()
            assert list_all(repository, ANY) == [an_item()]
            assert another.submit(repository.get_item, an_item().key).result() is None
        assert repository.get_item(an_item().key) == an_item()

    def test_a_rejected_write_leaves_the_other_writes(
        self, repository: ExclusiveRepository
    ) -> None:
        """Writes before and after the rejected one are stored."""
        first, second = an_item("first"), an_item("second")
        with repository.exclusive():
            repository.commit(creation(first))
            with pytest.raises(StaleReadError):
                repository.commit(creation(an_item("third"), first))
            with pytest.raises(StaleReadError):
                repository.edit_item(an_edit(an_item("missing")))
            repository.commit(creation(second))

        assert by_key(list_all(repository, ANY)) == [first, second]

    def test_the_items_of_several_skus_are_returned(self, repository: ExclusiveRepository) -> None:
        """All items with the SKUs are returned, also more than a page has, and none of other SKUs."""
        items = [an_item(f"id-{number:03}", sku=sku) for number, sku in enumerate("A" * 101 + "BC")]
        repository.commit(creation(*items))

        assert by_key(repository.items_of_skus(["A", "C", "missing"])) == [*items[:101], items[102]]
        assert repository.items_of_skus([]) == ()

    def test_an_error_rolls_back_the_block(self, repository: ExclusiveRepository) -> None:
        """The next write succeeds."""

        def fail() -> None:
            with repository.exclusive():
                repository.commit(creation(an_item()))
                raise _DeliberateError

        with pytest.raises(_DeliberateError):
            fail()

        assert repository.get_item(an_item().key) is None
        repository.commit(creation(an_item()))
        assert repository.get_item(an_item().key) == an_item()

    def test_a_nested_block_is_part_of_the_outer_one(self, repository: ExclusiveRepository) -> None:
        """An error of the outer block rolls back the writes of the inner one."""

        def fail() -> None:
            with repository.exclusive():
                with repository.exclusive():
                    repository.commit(creation(an_item()))
                raise _DeliberateError

        with pytest.raises(_DeliberateError):
            fail()

        assert repository.get_item(an_item().key) is None

    def test_calls_wait_until_the_writes_are_stored(self, repository: ExclusiveRepository) -> None:
        """Until the end of the outermost block; outside a block they are made at once, and after an error never."""
        calls: list[str] = []

        def fail() -> None:
            with repository.exclusive():
                repository.once_stored(lambda: calls.append("rolled back"))
                raise _DeliberateError

        with repository.exclusive():
            with repository.exclusive():
                repository.once_stored(lambda: calls.append("stored"))
            assert calls == []
        assert calls == ["stored"]
        with pytest.raises(_DeliberateError):
            fail()
        repository.once_stored(lambda: calls.append("at once"))

        assert calls == ["stored", "at once"]

    def test_other_threads_do_not_write_meanwhile(self, repository: ExclusiveRepository) -> None:
        """They wait until their deadline, and then raise `StorageThrottledError`."""

        def commit() -> None:
            with deadline(0.05):
                repository.commit(creation(an_item()))

        def enter() -> None:
            with deadline(0.05), repository.exclusive():
                pytest.fail("two threads had exclusive access at once")

        with ThreadPoolExecutor(1) as another, repository.exclusive():
            for attempt in (commit, enter):
                with pytest.raises(StorageThrottledError):
                    another.submit(attempt).result()

        commit()


class _DeliberateError(Exception):
    """The error that a test raises inside a block."""
