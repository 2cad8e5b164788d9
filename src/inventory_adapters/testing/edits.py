"""Edits of details without a read."""

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from inventory import StockLevel
from inventory.errors import StaleReadError
from inventory.items import DISCONTINUED, OUT_OF_STOCK
from inventory.ports import InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import (
    ANY,
    a_time,
    an_edit,
    an_item,
    creation,
    delete_item,
    fields,
    rewrite,
)
from inventory_adapters.testing.pagination import list_all

__all__ = ["EditsContract"]


class EditsContract:
    """An edit replaces details without a read, and increments the version."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "Sledge hammer"},
            {"description": ""},
            {"description": "\N{FAMILY}" * 4096},
            {"category": "heavy tools"},
            {"price": Decimal("99999999999.9999")},
            {"price": Decimal(0)},
            {"status": DISCONTINUED},
            {"location": "north \N{SNOWMAN}"},
            {"name": "n", "description": "d", "category": "c", "location": "l"},
            {"price": Decimal("0.0001"), "status": OUT_OF_STOCK},
            {"attributes": {"size": "XL", "supplier": "Müller"}},
            {"attributes": {}},
        ],
        ids="-".join,
    )
    def test_an_edit_changes_only_the_given_fields(
        self, repository: InventoryRepository, changes: dict[str, Any]
    ) -> None:
        """Only these details, `updated_at`, `changed_by` and the version change."""
        before = an_item(
            on_hand=10,
            reserved=4,
            seq=6,
            version=3,
            description="A hammer",
            price=Decimal("9.99"),
            location="south",
            reorder_point=5,
            attributes={"barcode": "4006381333931", "size": "L"},
            changed_by="ben",
        )
        repository.commit(creation(before, an_item("other")))
        expected = evolve(before, **changes, version=4, updated_at=a_time(60), changed_by="anna")

        edited = repository.edit_item(an_edit(before, **changes))

        assert fields(edited) == fields(expected)
        assert fields(repository.get_item(before.key)) == fields(expected)
        assert repository.get_item(an_item("other").key) == an_item("other")

    def test_each_edit_increments_the_version(self, repository: InventoryRepository) -> None:
        """The version grows by 1 with every edit, even if no value changes."""
        repository.commit(creation(an_item()))

        versions = [
            repository.edit_item(an_edit(an_item(), name="Claw hammer")).version for _ in range(3)
        ]

        assert versions == [2, 3, 4]

    @pytest.mark.parametrize("accepted", [[3], [1, 3, 9], None])
    def test_an_edit_of_an_accepted_version_is_applied(
        self, repository: InventoryRepository, accepted: list[int] | None
    ) -> None:
        """The edit accepts the version of the item, or any version."""
        repository.commit(creation(an_item(version=3)))

        edited = repository.edit_item(an_edit(an_item(), versions=accepted, name="new"))

        assert (edited.version, edited.name) == (4, "new")

    @pytest.mark.parametrize("accepted", [[2], [4], [1, 2, 4], []])
    def test_an_edit_of_another_version_is_rejected(
        self, repository: InventoryRepository, accepted: list[int]
    ) -> None:
        """The error has the current item, which is unchanged."""
        item = an_item(version=3, reserved=1, seq=2, reorder_point=4)
        repository.commit(creation(item))

        with pytest.raises(StaleReadError) as stale:
            repository.edit_item(an_edit(item, versions=accepted, name="never"))

        assert stale.value.current == item
        assert repository.get_item(item.key) == item

    @pytest.mark.parametrize("versions", [None, [1], []])
    def test_an_edit_of_a_missing_item_is_rejected(
        self, repository: InventoryRepository, versions: list[int] | None
    ) -> None:
        """An edit does not create an item."""
        with pytest.raises(StaleReadError) as stale:
            repository.edit_item(an_edit(an_item(), versions=versions, name="never"))

        assert stale.value.current is None
        assert repository.get_item(an_item().key) is None
        assert list_all(repository, ANY) == []

    def test_an_edit_never_restores_a_deleted_item(self, repository: InventoryRepository) -> None:
        """A deleted item can be found neither by its key nor in a list."""
        repository.commit(creation(an_item()))
        delete_item(repository, an_item().key)

        with pytest.raises(StaleReadError) as stale:
            repository.edit_item(an_edit(an_item(), name="restored", category="restored"))

        assert stale.value.current is None
        assert repository.find_item("item-1") is None
        assert list_all(repository, ItemFilter(category="restored")) == []

    def test_movements_do_not_conflict_with_an_edit(self, repository: InventoryRepository) -> None:
        """An edit compares only the version, and keeps the current level."""
        read = an_item()
        repository.commit(creation(read))
        repository.commit(rewrite(read, on_hand=3, reserved=2))

        edited = repository.edit_item(an_edit(read, versions=[1], name="new"))

        assert edited.level == StockLevel(on_hand=3, reserved=2, seq=1)
        assert repository.get_item(read.key) == edited

    def test_an_edit_changes_one_sku_of_an_id(self, repository: InventoryRepository) -> None:
        """Another SKU under the same id is another item, and is unchanged."""
        other = an_item(sku="SKU-2")
        repository.commit(creation(an_item(), other))

        repository.edit_item(an_edit(an_item(), name="new"))

        assert repository.get_item(other.key) == other
