"""The repository of docs/how-to/write-a-repository.md, taken from the page: what a reader copies passes the contract."""

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
exec(compile("\n".join(PARTS), str(PAGE), "exec"), page)  # noqa: S102 - the page's code is what is tested


class TestJsonFileRepository(RepositoryContract):
    @pytest.fixture
    def repository(self, tmp_path):
        """A repository in a folder of its own."""
        return page["JsonFileRepository"](tmp_path / "books.json")

    def test_a_folder_that_is_not_there_is_storage_that_is_away(self, tmp_path):
        """Writing fails with the port's error, not the system's; there is nothing to read."""
        repository = page["JsonFileRepository"](tmp_path / "nowhere" / "books.json")

        with pytest.raises(StorageUnavailableError):
            repository.commit(creation(an_item()))

        assert repository.get_item(ItemKey(item_id="1", sku="SKU")) is None

    def test_the_page_subclasses_the_contract(self):
        """What it tells the reader to do is what is done here."""
        assert issubclass(page["TestJsonFileRepository"], RepositoryContract)
