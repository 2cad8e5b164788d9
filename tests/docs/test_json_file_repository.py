"""The code of docs/how-to/write-a-repository.md passes the contract."""

from pathlib import Path

import pytest

from inventory import StorageUnavailableError
from inventory.items import ItemKey
from inventory_adapters.testing import RepositoryContract, an_item, creation
from tests.console import blocks

PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-repository.md"

pytest.importorskip("fcntl", reason="the page's repository needs POSIX file locks")

PARTS = blocks(PAGE.read_text(), "python")
page = {"__name__": "page"}
exec(compile("\n".join(PARTS), str(PAGE), "exec"), page)  # noqa: S102 - the code of the page is under test


class TestJsonFileRepository(RepositoryContract):
    many_rows = 60  # Each commit writes the whole file.

    @pytest.fixture
    def repository(self, tmp_path):
        """Return a repository in a new folder."""
        return page["JsonFileRepository"](tmp_path / "records.json")

    def test_a_missing_folder_raises_the_error_of_the_port(self, tmp_path):
        """A write raises `StorageUnavailableError`; a read finds no item."""
        repository = page["JsonFileRepository"](tmp_path / "missing" / "records.json")

        with pytest.raises(StorageUnavailableError):
            repository.commit(creation(an_item()))

        assert repository.get_item(ItemKey(item_id="1", sku="SKU")) is None

    def test_the_page_subclasses_the_contract(self):
        """The test of the page is a subclass of the contract."""
        assert issubclass(page["TestJsonFileRepository"], RepositoryContract)
