"""Commits of items: creation, the next state, and deletion."""

from decimal import Decimal

import pytest

from inventory.errors import StaleReadError
from inventory.items import AVAILABLE, DISCONTINUED, OUT_OF_STOCK, Item
from inventory.ports import InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import (
    ANY,
    a_time,
    after,
    an_edit,
    an_item,
    by_key,
    combined,
    commit_with_retry,
    creation,
    delete_item,
    deletion,
    fields,
    history,
    rewrite,
)
from inventory_adapters.testing.pagination import ledger, list_all

__all__ = ["CommitsContract", "DeletesContract"]


class CommitsContract:
    """A change is stored on the state that it was based on, or not at all."""

    def test_a_key_is_created_only_once(self, repository: InventoryRepository) -> None:
        """A second item with the same key is rejected, and the first is unchanged."""
        repository.commit(creation(an_item(name="first")))

        with pytest.raises(StaleReadError):
            repository.commit(creation(an_item(name="second", on_hand=99)))

        assert repository.get_item(an_item().key) == an_item(name="first")

    def test_a_commit_stores_the_next_state(self, repository: InventoryRepository) -> None:
        """Details, level and both counters equal those of `ItemWrite.after`."""
        before = an_item(price=Decimal("1.5"), attributes={"size": "L", "barcode": "1"})
        after = an_item(
            on_hand=7,
            reserved=2,
            seq=1,
            name="Sledge hammer",
            description="Heavy",
            category="heavy tools",
            price=Decimal("2.25"),
            status=OUT_OF_STOCK,
            location="north",
            reorder_point=3,
            attributes={"size": "XL", "supplier": "Müller"},
            version=2,
            updated_at=a_time(60),
            changed_by="ben",
        )
        repository.commit(creation(before, an_item("other")))

        repository.commit(
            rewrite(
                before,
                on_hand=7,
                reserved=2,
                name=after.name,
                description=after.description,
                category=after.category,
                price=after.price,
                status=after.status,
                location=after.location,
                reorder_point=after.reorder_point,
                attributes=after.attributes,
                version=after.version,
                updated_at=after.updated_at,
                changed_by=after.changed_by,
            )
        )

        assert fields(repository.get_item(before.key)) == fields(after)
        assert repository.get_item(an_item("other").key) == an_item("other")

    @pytest.mark.parametrize(
        ("old", "new"), [(None, 5), (5, None), (0, None), (None, 0), (5, 6), (1, 0)]
    )
    def test_a_commit_sets_and_clears_the_reorder_point(
        self, repository: InventoryRepository, old: int | None, new: int | None
    ) -> None:
        """None is a value of its own, distinct from zero."""
        before = an_item(reorder_point=old)
        repository.commit(creation(before))

        repository.commit(rewrite(before, reorder_point=new))

        assert repository.get_item(before.key) == an_item(reorder_point=new, version=2)

    def test_each_commit_builds_on_the_last(self, repository: InventoryRepository) -> None:
        """The next change may be based on the state that a commit stored."""
        item = an_item(on_hand=0)
        repository.commit(creation(item))

        for on_hand in (5, 3, 3, 0):
            change = rewrite(item, on_hand=on_hand)
            repository.commit(change)
            item = after(change)

        assert repository.get_item(item.key) == an_item(on_hand=0, seq=4)

    @pytest.mark.parametrize(
        "assumed",
        [
            pytest.param(an_item(on_hand=11, reserved=2, seq=3, version=4), id="on_hand"),
            pytest.param(an_item(on_hand=10, reserved=1, seq=3, version=4), id="reserved"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=2, version=4), id="seq"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=4, version=4), id="later seq"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=3, version=3), id="version"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=3, version=5), id="later version"),
        ],
    )
    def test_a_commit_based_on_another_state_is_rejected(
        self, repository: InventoryRepository, assumed: Item
    ) -> None:
        """On hand, reserved, seq and version are each compared."""
        stored = an_item(on_hand=10, reserved=2, seq=3, version=4)
        repository.commit(creation(stored))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(assumed, on_hand=20, name="never"))

        assert repository.get_item(stored.key) == stored

    def test_an_edit_between_read_and_commit_is_kept(self, repository: InventoryRepository) -> None:
        """A movement does not overwrite a status that was edited meanwhile."""
        read = an_item(on_hand=0, status=OUT_OF_STOCK)
        repository.commit(creation(read))
        edited = repository.edit_item(an_edit(read, status=DISCONTINUED))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=5, status=AVAILABLE))

        assert repository.get_item(read.key) == edited
        assert edited.status == DISCONTINUED

    def test_the_second_commit_based_on_one_read_is_rejected(
        self, repository: InventoryRepository
    ) -> None:
        """Of two changes that are based on one read, only the first is stored."""
        read = an_item()
        repository.commit(creation(read))
        repository.commit(rewrite(read, reserved=1))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, reserved=2))

        assert repository.get_item(read.key) == an_item(reserved=1, seq=1)

    def test_an_equal_level_with_another_seq_is_another_state(
        self, repository: InventoryRepository
    ) -> None:
        """After units left and returned, the numbers are equal but not the seq."""
        read = an_item()
        repository.commit(creation(read))
        removal = rewrite(read, on_hand=0)
        repository.commit(removal)
        repository.commit(rewrite(after(removal), on_hand=10))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=9))

        assert repository.get_item(read.key) == an_item(seq=2)

    def test_a_commit_never_restores_a_deleted_item(self, repository: InventoryRepository) -> None:
        """A change that is based on a read before the deletion is rejected."""
        read = an_item()
        repository.commit(creation(read))
        delete_item(repository, read.key)

        for change in (rewrite(read, on_hand=5), rewrite(read, name="restored")):
            with pytest.raises(StaleReadError):
                repository.commit(change)

        assert repository.get_item(read.key) is None
        assert list_all(repository, ANY) == []

    def test_a_commit_to_a_missing_item_is_rejected(self, repository: InventoryRepository) -> None:
        """A change with an `ItemWrite.before` does not create the item."""
        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(), on_hand=5))

        assert repository.get_item(an_item().key) is None

    def test_a_change_of_several_items_is_stored_completely(
        self, repository: InventoryRepository
    ) -> None:
        """One change may create items and update others."""
        north, south = an_item("north"), an_item("south")
        repository.commit(creation(north, south))
        out, into = rewrite(north, on_hand=6), rewrite(south, on_hand=14)
        new = creation(an_item("new"))

        repository.commit(combined(out, into, new))

        assert list_all(repository, ItemFilter(sku="SKU-1")) == [
            an_item("new"),
            an_item("north", on_hand=6, seq=1),
            an_item("south", on_hand=14, seq=1),
        ]

    @pytest.mark.parametrize("position", [0, 1, 2])
    @pytest.mark.parametrize("reason", ["seq", "version", "used key", "missing"])
    def test_one_stale_item_rejects_the_whole_change(
        self, repository: InventoryRepository, position: int, reason: str
    ) -> None:
        """The position of the stale item and the kind of conflict do not matter."""
        good = an_item("good")
        stale = an_item("stale", seq=1, version=2)
        stored = [good] if reason == "missing" else [good, stale]
        repository.commit(creation(*stored))
        assumed = {
            "seq": an_item("stale", seq=0, version=2),
            "version": an_item("stale", seq=1, version=1),
            "used key": None,
            "missing": stale,
        }[reason]
        bad = creation(stale) if assumed is None else rewrite(assumed, on_hand=1)
        parts = [rewrite(good, on_hand=4), creation(an_item("new"))]
        parts.insert(position, bad)

        with pytest.raises(StaleReadError):
            repository.commit(combined(*parts))

        assert repository.get_items([good.key, an_item("new").key]) == (good,)
        assert by_key(list_all(repository, ANY)) == stored
        # A movement that was stored would make this change conflict.
        repository.commit(rewrite(good, on_hand=5))
        assert repository.get_item(good.key) == an_item("good", on_hand=5, seq=1)

    def test_a_rejected_change_may_be_retried(self, repository: InventoryRepository) -> None:
        """A change that is based on a new read is stored."""
        read = an_item()
        repository.commit(creation(read))
        repository.commit(rewrite(read, on_hand=4))
        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=9))

        commit_with_retry(
            repository, read.key, lambda item: rewrite(item, on_hand=item.level.on_hand - 1)
        )

        assert repository.get_item(read.key) == an_item(on_hand=3, seq=2)

    def test_the_key_of_a_deleted_item_may_be_reused(self, repository: InventoryRepository) -> None:
        """After the deletion, a new item may have the same key."""
        repository.commit(creation(an_item(name="first", reorder_point=50)))
        delete_item(repository, an_item().key)

        repository.commit(creation(an_item(name="second")))

        assert repository.get_item(an_item().key) == an_item(name="second")


class DeletesContract:
    """An item is deleted as it was read, with a movement to balances of 0."""

    def test_a_deleted_item_is_in_no_read_and_no_list(
        self, repository: InventoryRepository
    ) -> None:
        """Items that share only its id or only its SKU are kept."""
        item = an_item(seq=6, version=4, reorder_point=50)
        others = [an_item(sku="SKU-2"), an_item("other")]
        repository.commit(creation(item, *others))

        repository.commit(deletion(item))

        assert repository.get_item(item.key) is None
        assert repository.find_item(item.item_id) == others[0]
        assert repository.get_items([item.key]) == ()
        assert by_key(list_all(repository, ANY)) == others
        assert list_all(repository, ItemFilter(sku=item.sku)) == [others[1]]
        assert list_all(repository, ItemFilter(low_stock=True)) == []

    def test_a_deletion_is_the_last_movement_of_the_ledger(
        self, repository: InventoryRepository
    ) -> None:
        """The balances end at 0, with and without earlier movements."""
        for item, moves in ((an_item("moved"), 2), (an_item("never moved"), 0)):
            repository.commit(creation(item))
            earlier = history(repository, item, moves)

            [last] = delete_item(repository, item.key).movements

            assert ledger(repository, item.key) == [last, *earlier]
            assert repository.first_movement(item.key) == [last, *earlier][-1]
            assert (last.seq, last.on_hand, last.reserved) == (moves + 1, 0, 0)

    @pytest.mark.parametrize(
        "assumed",
        [
            pytest.param(an_item(on_hand=11, reserved=2, seq=3, version=4), id="on_hand"),
            pytest.param(an_item(on_hand=10, reserved=0, seq=3, version=4), id="reserved"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=2, version=4), id="seq"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=3, version=3), id="version"),
            pytest.param(an_item(sku="SKU-2"), id="another SKU"),
        ],
    )
    def test_a_deletion_based_on_another_state_is_rejected(
        self, repository: InventoryRepository, assumed: Item
    ) -> None:
        """The item and its ledger are unchanged."""
        item = an_item(on_hand=10, reserved=2, seq=3, version=4)
        repository.commit(creation(item))

        with pytest.raises(StaleReadError):
            repository.commit(deletion(assumed))

        assert repository.get_item(item.key) == item
        assert ledger(repository, item.key) == ledger(repository, assumed.key) == []

    def test_an_edit_between_read_and_deletion_is_kept(
        self, repository: InventoryRepository
    ) -> None:
        """The deletion is rejected, and succeeds after a new read."""
        repository.commit(creation(an_item()))
        edited = repository.edit_item(an_edit(an_item(), name="new"))

        with pytest.raises(StaleReadError):
            repository.commit(deletion(an_item()))

        assert repository.get_item(edited.key) == edited
        delete_item(repository, edited.key)
        assert repository.get_item(edited.key) is None

    def test_an_item_is_deleted_once(self, repository: InventoryRepository) -> None:
        """The second deletion is rejected, and adds no movement."""
        repository.commit(creation(an_item()))
        deleted = delete_item(repository, an_item().key)

        with pytest.raises(StaleReadError):
            repository.commit(deletion(an_item()))
        with pytest.raises(StaleReadError):
            repository.commit(deletion(an_item(seq=1)))

        assert ledger(repository, an_item().key) == [*deleted.movements]
