import pytest

from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import RepositoryContract


@pytest.fixture
def repository(tmp_path):
    """A repository in a file of its own."""
    with SqliteRepository(tmp_path / "inventory.db") as repository:
        yield repository


class TestSqliteRepository(RepositoryContract):
    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository
