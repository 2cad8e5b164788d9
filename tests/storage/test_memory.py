import pytest

from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import RepositoryContract


class TestMemoryRepository(RepositoryContract):
    @pytest.fixture
    def repository(self):
        """Return an empty repository."""
        return MemoryRepository()
