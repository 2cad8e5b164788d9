"""Movements in the ledger."""

import itertools
from typing import Final

import pytest
from attrs import evolve

from inventory import StockLevel
from inventory.errors import InvalidCursorError, StaleReadError
from inventory.items import ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import InventoryRepository, ItemFilter, MovementFilter
from inventory.stock import Movement, MovementKind
from inventory_adapters.testing.examples import (
    ANY,
    a_time,
    after,
    an_edit,
    an_item,
    combined,
    creation,
    delete_item,
    history,
    moves,
    rewrite,
)
from inventory_adapters.testing.pagination import first_items, ledger, ledger_pages, list_all

__all__ = ["MovementsContract"]

_A_MOVEMENT: Final = Movement(
    key=ItemKey(item_id="item-1", sku="SKU-1"),
    seq=1,
    kind=MovementKind.ADJUST,
    delta_on_hand=-3,
    delta_reserved=1,
    on_hand=7,
    reserved=1,
    actor="anna",
    reason="broken",
    reference="note-1",
    reservation_id="reservation-1",
    recorded_at=a_time(60),
    item_created_at=a_time(),
    crossed="low out",
)


class MovementsContract:
    """The ledger keeps each movement permanently, in its item's history."""

    @pytest.mark.parametrize("kind", [kind for kind in MovementKind if kind != "opening"])
    def test_every_kind_of_movement_can_be_stored(
        self, repository: InventoryRepository, kind: MovementKind
    ) -> None:
        """The kind is returned as a `MovementKind`, not as text."""
        _store_movement(repository, evolve(_A_MOVEMENT, kind=kind))

        [movement] = ledger(repository, an_item().key)

        assert movement.kind is kind

    @pytest.mark.parametrize(
        "movement",
        [
            pytest.param(_A_MOVEMENT, id="plain"),
            pytest.param(evolve(_A_MOVEMENT, reason=None, reference=None), id="unexplained"),
            pytest.param(evolve(_A_MOVEMENT, actor=None), id="of no actor"),
            pytest.param(evolve(_A_MOVEMENT, reservation_id=None), id="of no reservation"),
            pytest.param(evolve(_A_MOVEMENT, item_created_at=None), id="of no date"),
            pytest.param(evolve(_A_MOVEMENT, crossed=None), id="that crosses nothing"),
            pytest.param(
                evolve(_A_MOVEMENT, item_created_at=Timestamp("2023-01-31T08:00:00")),
                id="of an item of an earlier version",
            ),
            pytest.param(evolve(_A_MOVEMENT, reason="r" * 256, reference="r" * 256), id="long"),
            pytest.param(evolve(_A_MOVEMENT, actor="a" * 256), id="long actor"),
            pytest.param(
                evolve(
                    _A_MOVEMENT,
                    key=ItemKey(item_id="ключ/#%", sku="SKU \N{MUSICAL SYMBOL G CLEF}"),
                    reason="broken \N{GRINNING FACE}\tor '; DROP TABLE movements; --\n",
                    reference=" outer blanks stay ",
                ),
                id="text",
            ),
            pytest.param(
                evolve(
                    _A_MOVEMENT,
                    seq=999_999_999_999,
                    delta_on_hand=-1_000_000_000,
                    delta_reserved=-1_000_000_000,
                    on_hand=0,
                    reserved=0,
                ),
                id="greatest loss",
            ),
            pytest.param(
                evolve(
                    _A_MOVEMENT,
                    delta_on_hand=1_000_000_000,
                    delta_reserved=1_000_000_000,
                    on_hand=1_000_000_000,
                    reserved=1_000_000_000,
                ),
                id="greatest gain",
            ),
            pytest.param(
                evolve(_A_MOVEMENT, delta_on_hand=0, on_hand=10, kind=MovementKind.COUNT),
                id="a count that agrees",
            ),
        ],
    )
    def test_a_movement_is_returned_as_it_was_stored(
        self, repository: InventoryRepository, movement: Movement
    ) -> None:
        """Every field has the same value and type in every kind of read."""
        _store_movement(repository, movement)

        readings = [*ledger(repository, movement.key), repository.first_movement(movement.key)]

        assert readings == [movement] * 2
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.recorded_at, Timestamp)
            numbers = (reading.seq, reading.delta_on_hand, reading.delta_reserved, reading.on_hand)
            assert all(type(number) is int for number in numbers)

    def test_an_item_that_never_moved_has_no_history(self, repository: InventoryRepository) -> None:
        """Neither an item without movements nor an unknown key is an error."""
        repository.commit(creation(an_item("unmoved"), an_item("moved")))
        history(repository, an_item("moved"), 1)

        for item_id in ("unmoved", "unknown"):
            key = an_item(item_id).key
            assert repository.list_movements(MovementFilter(key=key), PageRequest(size=1)) == Page(
                items=()
            )
            assert repository.first_movement(key) is None

    def test_the_newest_movement_comes_first(self, repository: InventoryRepository) -> None:
        """The order is numeric: the tenth movement is before the ninth."""
        repository.commit(creation(an_item()))

        movements = history(repository, an_item(), 12)

        assert [movement.seq for movement in movements] == list(range(12, 0, -1))
        assert ledger(repository, an_item().key) == movements

    def test_the_first_movement_is_the_oldest(self, repository: InventoryRepository) -> None:
        """It is the oldest even if the history does not begin with 1."""
        whole, cut = an_item("whole"), an_item("cut", seq=8)
        repository.commit(creation(whole, cut))

        for item in (whole, cut):
            movements = history(repository, item, 3)

            assert repository.first_movement(item.key) == movements[-1]

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 7, 100])
    def test_pages_of_every_size_add_up_to_the_history(
        self, repository: InventoryRepository, size: int
    ) -> None:
        """No movement is repeated or skipped between two pages."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 6)

        assert ledger(repository, an_item().key, size) == movements

    @pytest.mark.parametrize("size", [1, 2, 3, 6])
    def test_a_full_page_of_movements_always_has_a_cursor(
        self, repository: InventoryRepository, size: int
    ) -> None:
        """The last page has room for the opening balance, so it is never full."""
        repository.commit(creation(an_item()))
        history(repository, an_item(), 6)

        *before, last = ledger_pages(repository, an_item().key, size)

        assert sum(len(page.items) for page in before) == 6
        assert len(last.items) < size

    @pytest.mark.parametrize("size", [1, 2, 4, 5])
    @pytest.mark.parametrize("last_seq", [0, 1, 3, 4, 6, 7, 999])
    def test_a_list_starts_at_last_seq(
        self, repository: InventoryRepository, last_seq: int, size: int
    ) -> None:
        """The movement with this seq is the first, and later ones are not listed."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 6)

        listed = ledger(repository, an_item().key, size, last_seq=last_seq)

        assert listed == [movement for movement in movements if movement.seq <= last_seq]

    def test_a_cursor_continues_a_list_of_the_same_period(
        self, repository: InventoryRepository
    ) -> None:
        """`last_seq` need not be repeated; another period is another list."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 6)
        period = MovementFilter(key=an_item().key, since=a_time(0), until=a_time(60))
        first = repository.list_movements(evolve(period, last_seq=4), PageRequest(size=2))

        rest = PageRequest(size=3, cursor=first.next_cursor)

        assert first.items == (*movements[2:4],)
        assert repository.list_movements(period, rest).items == (*movements[4:],)
        assert repository.list_movements(evolve(period, last_seq=6), rest).items == (
            *movements[4:],
        )
        for part in ({"since": None}, {"until": None}, {"since": a_time(60), "until": a_time(0)}):
            with pytest.raises(InvalidCursorError):
                repository.list_movements(evolve(period, **part), rest)

    def test_new_movements_do_not_shift_the_pages_of_a_ledger(
        self, repository: InventoryRepository
    ) -> None:
        """New movements are newer than the cursor, so older ones are listed once."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 6)
        page = repository.list_movements(MovementFilter(key=an_item().key), PageRequest(size=2))

        history(repository, an_item(on_hand=16, seq=6), 3)

        for size in (1, 3):
            rest = ledger(repository, an_item().key, size, page.next_cursor)
            assert [*page.items, *rest] == movements

    def test_each_item_has_its_own_history(self, repository: InventoryRepository) -> None:
        """Keys with parts that look alike when joined are distinct."""
        keys = [("a#b", "c"), ("a", "b#c"), ("a", "b"), ("a", "b#"), ("a#", "b"), ("ab", "c")]
        keys += [("a", "c"), ("A", "c"), ("a", "C"), ("a", "c "), ("a/b", "c"), ("a:b", "c")]
        keys += [("a%23b", "c"), ("a", "%"), ("_", "c"), ("a\\#b", "c"), ("a", "b\\#c")]
        items = [an_item(item_id, sku=sku) for item_id, sku in keys]
        repository.commit(creation(*items))
        moved = [item for index, item in enumerate(items) if index % 3]

        movements = {item.key: history(repository, item, 2) for item in moved}

        for item in items:
            expected = movements.get(item.key, [])
            assert ledger(repository, item.key, size=1) == expected
            first = expected[-1] if expected else None
            assert repository.first_movement(item.key) == first

    def test_each_movement_of_a_change_is_in_the_ledger_of_its_item(
        self, repository: InventoryRepository
    ) -> None:
        """A transfer adds one movement to the ledger of each of its items."""
        north, south = an_item("north"), an_item("south")
        repository.commit(creation(north, south))
        out, into = rewrite(north, on_hand=6), rewrite(south, on_hand=14)

        repository.commit(combined(out, into))

        assert ledger(repository, north.key) == [*out.movements]
        assert ledger(repository, south.key) == [*into.movements]

    def test_a_change_may_move_an_item_several_times(self, repository: InventoryRepository) -> None:
        """The ledger has each movement, and the item is at the last level."""
        item = an_item(seq=3, reorder_point=5)
        repository.commit(creation(item))
        change = moves(item, {"on_hand": 4}, {"on_hand": 9, "reserved": 3}, {"reserved": 0})

        repository.commit(change)

        assert repository.get_item(item.key) == after(change)
        assert after(change).level == StockLevel(on_hand=9, seq=6)
        assert ledger(repository, item.key, size=2) == [*reversed(change.movements)]
        assert repository.first_movement(item.key) == change.movements[0]
        assert list_all(repository, ItemFilter(low_stock=True)) == []

    @pytest.mark.parametrize("used", [1, 2, 3])
    def test_one_used_seq_rejects_every_movement_of_a_change(
        self, repository: InventoryRepository, used: int
    ) -> None:
        """The position of the used seq does not matter."""
        old = an_item(seq=used - 1)
        repository.commit(creation(old))
        deleted = delete_item(repository, old.key)
        repository.commit(creation(an_item()))

        with pytest.raises(StaleReadError):
            repository.commit(moves(an_item(), *({"on_hand": number} for number in range(3))))

        assert ledger(repository, old.key) == [*deleted.movements]
        assert repository.get_item(old.key) == an_item()

    def test_a_ledger_is_kept_after_its_item_is_deleted(
        self, repository: InventoryRepository
    ) -> None:
        """The movements can be read after deletion, and after reuse of the key."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 3)

        deleted = delete_item(repository, an_item().key)
        for successor in ((), (an_item(on_hand=99),)):
            repository.commit(creation(*successor))

            assert ledger(repository, an_item().key, size=2) == [*deleted.movements, *movements]
            assert repository.first_movement(an_item().key) == movements[-1]

    def test_an_edit_adds_no_movement(self, repository: InventoryRepository) -> None:
        """Neither an edit nor a commit of details is a movement."""
        repository.commit(creation(an_item()))
        edited = repository.edit_item(an_edit(an_item(), name="new"))
        repository.commit(rewrite(edited, name="newer"))

        assert ledger(repository, an_item().key) == []

    def test_a_seq_is_used_once_per_history(self, repository: InventoryRepository) -> None:
        """An item with a reused key cannot overwrite old movements."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 2)
        deleted = delete_item(repository, an_item().key)
        repository.commit(creation(an_item(name="successor")))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(name="successor"), on_hand=1))

        assert ledger(repository, an_item().key) == [*deleted.movements, *movements]
        assert repository.get_item(an_item().key) == an_item(name="successor")

    def test_a_rejected_change_adds_no_movement(self, repository: InventoryRepository) -> None:
        """The ledger is unchanged after a conflict."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 1)

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(), on_hand=1))
        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(seq=5), on_hand=1))

        assert ledger(repository, an_item().key) == movements

    def test_a_cursor_of_another_ledger_is_rejected(self, repository: InventoryRepository) -> None:
        """A cursor of another item, of a list of items, or with damage is invalid."""
        items = [an_item("a"), an_item("b"), an_item("a", sku="b")]
        repository.commit(creation(*items))
        cursors = {}
        for item in items:
            history(repository, item, 2)
            cursors[item.key] = repository.list_movements(
                MovementFilter(key=item.key), PageRequest(size=1)
            ).next_cursor
        _, list_cursor = first_items(repository, ANY, 1)

        for (origin, cursor), item in itertools.product(cursors.items(), items):
            assert cursor is not None
            others = [] if item.key == origin else [cursor]
            for token in (
                *others,
                list_cursor,
                cursor[:-1],
                f"{cursor}A",
                cursor.swapcase(),
                "",
                "1",
            ):
                with pytest.raises(InvalidCursorError):
                    repository.list_movements(
                        MovementFilter(key=item.key), PageRequest(size=1, cursor=token)
                    )
            with pytest.raises(InvalidCursorError):
                repository.list_items(ANY, PageRequest(size=1, cursor=cursor))


def _store_movement(repository: InventoryRepository, movement: Movement) -> None:
    """Create an item with the level before *movement*, and store the movement."""
    before = an_item(
        movement.key.item_id,
        sku=movement.key.sku,
        on_hand=movement.on_hand - movement.delta_on_hand,
        reserved=movement.reserved - movement.delta_reserved,
        seq=movement.seq - 1,
    )
    repository.commit(creation(before))
    change = rewrite(before, on_hand=movement.on_hand, reserved=movement.reserved)
    repository.commit(evolve(change, movements=(movement,)))
