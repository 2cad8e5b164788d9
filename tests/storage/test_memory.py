import pytest

from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import RepositoryContract, SnapshotContract


class TestMemoryRepository(RepositoryContract):
    @pytest.fixture
    def repository(self):
        """Return an empty repository."""
        return MemoryRepository()


class TestSnapshots(SnapshotContract):
    @pytest.fixture
    def repository(self):
        """Return an empty repository."""
        return MemoryRepository()

    @pytest.fixture
    def target(self):
        """Return another one."""
        return MemoryRepository()
