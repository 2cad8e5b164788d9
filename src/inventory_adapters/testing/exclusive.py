"""Exclusive access to a repository."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory.errors import StaleReadError, StorageThrottledError
from inventory.ports import ExclusiveRepository
from inventory.timeouts import deadline
from inventory_adapters.testing.examples import ANY, an_edit, an_item, by_key, creation
from inventory_adapters.testing.walks import walk

__all__ = ["ExclusiveContract"]


class ExclusiveContract:
    """
    What a repository that can be had alone promises besides, as `inventory.ports.ExclusiveRepository` says it.

    A subclass overrides the fixture `repository`, as that of `RepositoryContract` does.
    """

    def test_whoever_is_alone_reads_what_they_wrote(self, repository: ExclusiveRepository) -> None:
        """The others see it once it is kept."""
        with ThreadPoolExecutor(1) as another, repository.exclusive():
            repository.commit(creation(an_item()))

            assert repository.get_item(an_item().key) == an_item()
            assert walk(repository, ANY) == [an_item()]
            assert another.submit(repository.get_item, an_item().key).result() is None
        assert repository.get_item(an_item().key) == an_item()

    def test_a_refusal_leaves_what_else_was_written(self, repository: ExclusiveRepository) -> None:
        """Before it, and after."""
        first, second = an_item("first"), an_item("second")
        with repository.exclusive():
            repository.commit(creation(first))
            with pytest.raises(StaleReadError):
                repository.commit(creation(an_item("third"), first))
            with pytest.raises(StaleReadError):
                repository.edit_item(an_edit(an_item("nobody")))
            repository.commit(creation(second))

        assert by_key(walk(repository, ANY)) == [first, second]

    def test_an_error_undoes_all_of_it(self, repository: ExclusiveRepository) -> None:
        """And hinders nothing that comes after."""

        def fail() -> None:
            with repository.exclusive():
                repository.commit(creation(an_item()))
                raise _DeliberateError

        with pytest.raises(_DeliberateError):
            fail()

        assert repository.get_item(an_item().key) is None
        repository.commit(creation(an_item()))
        assert repository.get_item(an_item().key) == an_item()

    def test_a_block_within_a_block_is_part_of_it(self, repository: ExclusiveRepository) -> None:
        """What was written inside is kept with the whole, or not at all."""

        def fail() -> None:
            with repository.exclusive():
                with repository.exclusive():
                    repository.commit(creation(an_item()))
                raise _DeliberateError

        with pytest.raises(_DeliberateError):
            fail()

        assert repository.get_item(an_item().key) is None

    def test_nobody_else_writes_meanwhile(self, repository: ExclusiveRepository) -> None:
        """The others wait, as long as their requests have time."""

        def commit() -> None:
            with deadline(0.05):
                repository.commit(creation(an_item()))

        def be_alone() -> None:
            with deadline(0.05), repository.exclusive():
                pytest.fail("was not")

        with ThreadPoolExecutor(1) as another, repository.exclusive():
            for attempt in (commit, be_alone):
                with pytest.raises(StorageThrottledError):
                    another.submit(attempt).result()

        commit()


class _DeliberateError(Exception):
    """What goes wrong in a test because it shall."""
