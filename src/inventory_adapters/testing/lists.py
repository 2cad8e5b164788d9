"""Lists of items: filters, order, pages and cursors."""

import itertools
from typing import Any, ClassVar, Final

import pytest

from inventory.errors import InvalidCursorError, StaleReadError
from inventory.items import AVAILABLE, DISCONTINUED, OUT_OF_STOCK, Item
from inventory.paging import PageRequest
from inventory.ports import InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import (
    ANY,
    a_time,
    an_edit,
    an_item,
    by_key,
    creation,
    remove,
    rewrite,
)
from inventory_adapters.testing.walks import pages, part, walk

__all__ = ["ListsContract"]

# One list for each index, with what makes an item belong to it.
_LISTS: Final = [
    pytest.param(ANY, {}, id="all"),
    pytest.param(ItemFilter(category="tools"), {}, id="category"),
    pytest.param(ItemFilter(status=AVAILABLE), {}, id="status"),
    pytest.param(ItemFilter(sku="SKU-1"), {}, id="sku"),
    pytest.param(ItemFilter(low_stock=True), {"reorder_point": 10}, id="low_stock"),
    pytest.param(
        ItemFilter(category="tools", status=AVAILABLE, location="default"), {}, id="filtered"
    ),
]

_each_list = pytest.mark.parametrize(("wanted", "details"), _LISTS)


def _stocked(repository: InventoryRepository, count: int, details: dict[str, Any]) -> list[Item]:
    """Store *count* items whose order by id is not their order by time."""
    items = [
        an_item(f"item-{number}", updated_at=a_time(number * 7 % count), **details)
        for number in range(count)
    ]
    repository.commit(creation(*items))
    return items


def _outsiders(count: int = 3) -> list[Item]:
    """Return items that pass no filter, with ids between those of the others."""
    return [
        an_item(f"item-{number}5", sku="ELSE", category="else", status="else", location="else")
        for number in range(count)
    ]


class ListsContract:
    """
    A walk yields what passes the filter, in order, each item once.

    Attributes:
        orders_ties: Whether items that were edited at the same instant, or SKUs under one id, come in the order of their keys
            where an index does not hold them. DynamoDB does not say in which order it keeps equal keys of an index.
    """

    orders_ties: ClassVar[bool] = True

    def test_lists_hold_what_passes_every_filter(self, repository: InventoryRepository) -> None:
        """All filters combine, each with each, whichever index is walked."""
        items = [
            an_item(
                f"item-{number:02}",
                sku=sku,
                category=category,
                status=status,
                location=location,
                reorder_point=reorder_point,
                updated_at=a_time(50 - number),
            )
            for number, (sku, category, status, location, reorder_point) in enumerate(
                [
                    ("SKU-1", "tools", AVAILABLE, "north", 10),
                    ("SKU-1", "tools", AVAILABLE, "north", 9),
                    ("SKU-1", "tools", AVAILABLE, "south", 10),
                    ("SKU-1", "tools", DISCONTINUED, "north", 10),
                    ("SKU-1", "toys", AVAILABLE, "north", 10),
                    ("SKU-2", "tools", AVAILABLE, "north", 10),
                    ("SKU-2", "toys", AVAILABLE, "south", None),
                    ("SKU-2", "tools", DISCONTINUED, "south", 11),
                    ("SKU-2", "toys", DISCONTINUED, "north", 0),
                ]
            )
        ]
        repository.commit(creation(*items))
        choices: dict[str, tuple[Any, Any]] = {
            "sku": (None, "SKU-1"),
            "category": (None, "tools"),
            "status": (None, AVAILABLE),
            "location": (None, "north"),
            "low_stock": (False, True),
        }

        for chosen in itertools.product(*choices.values()):
            wanted = ItemFilter(**dict(zip(choices, chosen, strict=True)))
            listed = walk(repository, wanted)

            assert by_key(listed) == [item for item in items if wanted.matches(item)], wanted
            if wanted.index != "item_id":
                assert listed == sorted(listed, key=wanted.position), wanted

    @pytest.mark.parametrize(
        "wanted",
        [
            ItemFilter(category="else"),
            ItemFilter(status="else"),
            ItemFilter(sku="else"),
            ItemFilter(location="else"),
            ItemFilter(low_stock=True),
            ItemFilter(category="tools", location="else"),
        ],
    )
    def test_a_list_that_nothing_passes_is_one_empty_walk(
        self, repository: InventoryRepository, wanted: ItemFilter
    ) -> None:
        """Values that no item has are no error."""
        _stocked(repository, 3, {})

        assert walk(repository, wanted, size=2) == []

    @_each_list
    def test_a_walk_yields_each_item_once_whatever_the_page_size(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Pages of every size, from one row to more than there are, add up to the same list in the same order."""
        items = _stocked(repository, 6, details)
        outsiders = _outsiders()
        repository.commit(creation(*outsiders))
        passing = [item for item in (*items, *outsiders) if wanted.matches(item)]
        assert len(passing) >= 6

        for size in range(1, len(passing) + 2):
            listed = walk(repository, wanted, size)

            assert by_key(listed) == by_key(passing), size
            if wanted.index != "item_id":
                assert listed == sorted(passing, key=wanted.position), size

    @_each_list
    @pytest.mark.parametrize("size", [1, 2, 3, 6])
    def test_a_page_that_ends_with_the_list_has_no_cursor(
        self,
        repository: InventoryRepository,
        wanted: ItemFilter,
        details: dict[str, Any],
        size: int,
    ) -> None:
        """Where the last page is full to the last row, no empty page follows it."""
        _stocked(repository, 6, details)

        seen = 0
        for page in pages(repository, wanted, size):
            seen += len(page.items)
            assert (page.next_cursor is None) == (seen == 6)

    @_each_list
    def test_page_sizes_may_change_during_a_walk(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """A cursor says where to go on, not how far."""
        items = _stocked(repository, 6, details)

        seen, cursor = part(repository, wanted, 1)
        rest = walk(repository, wanted, 4, cursor)

        assert by_key(seen + rest) == items

    @_each_list
    def test_a_cursor_may_be_used_again(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Going on twice from one place yields the same twice."""
        _stocked(repository, 6, details)
        _, cursor = part(repository, wanted, 2)

        assert walk(repository, wanted, 3, cursor) == walk(repository, wanted, 1, cursor)

    @_each_list
    def test_a_cursor_outlives_the_items_around_it(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """What was already seen may go, the row that the cursor names included; the rest of the walk is the same."""
        items = _stocked(repository, 6, details)
        seen, cursor = part(repository, wanted, 3)

        for item in seen:
            remove(repository, item.key)
        rest = walk(repository, wanted, 2, cursor)

        assert by_key(seen + rest) == items

    @_each_list
    def test_items_that_come_during_a_walk_displace_no_others(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """A newcomer may be seen or not, once; every other item still comes exactly once."""
        items = _stocked(repository, 6, details)
        seen, cursor = part(repository, wanted, 3)
        newcomers = [
            an_item("item-", updated_at=a_time(-5), **details),
            an_item("item-2a", updated_at=a_time(2.5), **details),
            an_item("item-9", updated_at=a_time(99), **details),
        ]

        repository.commit(creation(*newcomers))
        rest = walk(repository, wanted, 2, cursor)

        listed = [item.key for item in seen + rest]
        assert len(listed) == len(set(listed))
        assert {item.key for item in items} <= set(listed)

    def test_an_edit_during_a_walk_displaces_no_others(
        self, repository: InventoryRepository
    ) -> None:
        """In a list by time an edited item moves to the end; those that were not edited still come exactly once."""
        items = _stocked(repository, 6, {})
        wanted = ItemFilter(category="tools")
        seen, cursor = part(repository, wanted, 3)

        moved = {seen[-1].key, items[5].key}
        for key in moved:
            repository.edit_item(an_edit(an_item(key.item_id), name="edited"))
        listed = seen + walk(repository, wanted, 2, cursor)

        unmoved = [item.key for item in items if item.key not in moved]
        assert sorted(item.key for item in listed if item.key not in moved) == unmoved
        assert moved <= {item.key for item in listed}

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    @pytest.mark.parametrize(
        "wanted",
        [ANY, ItemFilter(category="tools"), ItemFilter(status=AVAILABLE), ItemFilter(sku="SKU-1")],
    )
    def test_items_edited_at_the_same_instant_all_come(
        self, repository: InventoryRepository, wanted: ItemFilter, size: int
    ) -> None:
        """Equal times, and SKUs under one id, neither hide nor repeat each other at the edge of a page."""
        items = [
            an_item(item_id, sku=sku) for item_id in ("a", "b", "c") for sku in ("SKU-1", "SKU-2")
        ]
        repository.commit(creation(*items))
        passing = [item for item in items if wanted.matches(item)]

        listed = walk(repository, wanted, size)

        assert by_key(listed) == passing
        if self.orders_ties and wanted.index != "item_id":
            assert listed == passing

    def test_text_is_ordered_by_code_points(self, repository: InventoryRepository) -> None:
        """Digits, capitals, small letters, accents, then what lies beyond the first plane."""
        ids = [
            "",
            "10",
            "9",
            "A",
            "Z",
            "a",
            "\N{LATIN SMALL LETTER E WITH ACUTE}",
            "\uffee",
            "\U0001f600",
        ]
        items = [an_item(f"item{item_id}") for item_id in ids]
        repository.commit(creation(*reversed(items)))

        for size in (1, 4, 100):
            assert walk(repository, ItemFilter(status=AVAILABLE), size) == items
            assert walk(repository, ItemFilter(sku="SKU-1"), size) == items

    @_each_list
    def test_a_damaged_cursor_is_refused(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Whichever character was changed, dropped or added."""
        _stocked(repository, 3, details)
        _, cursor = part(repository, wanted, 1)
        damaged = [
            f"{cursor[:place]}{'B' if char == 'A' else 'A'}{cursor[place + 1 :]}"
            for place, char in enumerate(cursor)
        ]
        damaged += [cursor[:-1], cursor[1:], cursor[: len(cursor) // 2], cursor[:1], cursor * 2]
        damaged += [f"{cursor}A", f"{cursor}=", f"{cursor}\n", f" {cursor}", cursor.swapcase()]

        for token in damaged:
            _refuses(repository, wanted, token)

    @pytest.mark.parametrize(
        "token",
        [
            *("", " ", "=", "====", "A", "AAAA", "null", "{}", "[]", "0", "-", "%00", "\0", "\n"),
            *("item-0", "W10", "eyJpdGVtX2lkIjogIml0ZW0tMCJ9", "\N{SNOWMAN}", "A" * 16_000),
        ],
    )
    @pytest.mark.parametrize("wanted", [ANY, ItemFilter(category="tools")])
    def test_what_never_was_a_cursor_is_refused(
        self, repository: InventoryRepository, wanted: ItemFilter, token: str
    ) -> None:
        """Arbitrary text is answered with the one error that says so."""
        _refuses(repository, wanted, token)

    def test_a_cursor_is_good_for_its_own_filter_only(
        self, repository: InventoryRepository
    ) -> None:
        """Another value, another filter, one more or one less: each is another list."""
        _stocked(repository, 3, {"reorder_point": 10})
        filters = [
            ANY,
            ItemFilter(category="tools"),
            ItemFilter(category="toys"),
            ItemFilter(status=AVAILABLE),
            ItemFilter(status="tools"),
            ItemFilter(sku="SKU-1"),
            ItemFilter(location="default"),
            ItemFilter(low_stock=True),
            ItemFilter(category="tools", status=AVAILABLE),
            ItemFilter(category="tools", location="default"),
            ItemFilter(status=AVAILABLE, low_stock=True),
        ]
        cursors = {
            wanted: part(repository, wanted, 1)[1] for wanted in filters if walk(repository, wanted)
        }

        for (origin, cursor), wanted in itertools.product(cursors.items(), filters):
            if wanted != origin:
                _refuses(repository, wanted, cursor)

    def test_an_edited_item_leaves_one_list_and_joins_another(
        self, repository: InventoryRepository
    ) -> None:
        """Category, status and location are listed as they are after an edit or a commit."""
        item = an_item()
        repository.commit(creation(item))

        edited = repository.edit_item(
            an_edit(item, category="toys", status=DISCONTINUED, location="north")
        )
        assert self._lists_with(repository) == {"toys", DISCONTINUED, "north"}

        repository.commit(
            rewrite(edited, on_hand=5, category="tools", status=AVAILABLE, location="south")
        )
        assert self._lists_with(repository) == {"tools", AVAILABLE, "south"}

    def _lists_with(self, repository: InventoryRepository) -> set[str]:
        lists = {value: ItemFilter(category=value) for value in ("tools", "toys")}
        lists |= {value: ItemFilter(status=value) for value in (AVAILABLE, DISCONTINUED)}
        lists |= {value: ItemFilter(location=value) for value in ("north", "south")}
        return {value for value, wanted in lists.items() if walk(repository, wanted)}

    def test_an_edit_moves_an_item_to_the_end_of_its_category(
        self, repository: InventoryRepository
    ) -> None:
        """The one edited longest ago comes first; movements of stock do not count as edits."""
        items = [an_item(f"item-{number}", updated_at=a_time(number)) for number in range(3)]
        repository.commit(creation(*items))

        edited = repository.edit_item(an_edit(items[0], name="edited"))
        moved = rewrite(items[1], on_hand=1)
        repository.commit(moved)

        listed = walk(repository, ItemFilter(category="tools"), size=1)
        assert listed == [moved.items[0].after, items[2], edited]

    @pytest.mark.parametrize(
        ("start", "step", "before", "after"),
        [
            ({"on_hand": 6, "reorder_point": 5}, {"on_hand": 5}, False, True),
            ({"on_hand": 5, "reorder_point": 5}, {"on_hand": 6}, True, False),
            ({"on_hand": 9, "reorder_point": 5}, {"reserved": 4}, False, True),
            ({"on_hand": 9, "reserved": 4, "reorder_point": 5}, {"reserved": 3}, True, False),
            ({"on_hand": 9, "reorder_point": 5}, {"on_hand": 6, "reserved": 0}, False, False),
            ({"on_hand": 4, "reorder_point": 5}, {"on_hand": 0}, True, True),
            ({"on_hand": 4, "reorder_point": None}, {"reorder_point": 4}, False, True),
            ({"on_hand": 4, "reorder_point": 3}, {"reorder_point": 4}, False, True),
            ({"on_hand": 4, "reorder_point": 4}, {"reorder_point": 3}, True, False),
            ({"on_hand": 4, "reorder_point": 4}, {"reorder_point": None}, True, False),
            ({"on_hand": 0, "reorder_point": None}, {"reorder_point": 0}, False, True),
            ({"on_hand": 0, "reorder_point": 0}, {"on_hand": 1, "reorder_point": 1}, True, True),
        ],
    )
    def test_an_item_is_listed_as_low_while_it_is(
        self,
        repository: InventoryRepository,
        start: dict[str, Any],
        step: dict[str, Any],
        before: bool,  # noqa: FBT001 - an example, not an interface
        after: bool,  # noqa: FBT001 - as above
    ) -> None:
        """It joins the list with the commit that takes it to its reorder point, and leaves with the one that lifts it above."""
        item = an_item(**start)
        low = ItemFilter(low_stock=True)

        repository.commit(creation(item))
        assert bool(walk(repository, low)) == before

        change = rewrite(item, **step)
        repository.commit(change)
        assert walk(repository, low) == ([change.items[0].after] if after else [])

    def test_edits_of_details_leave_the_low_stock_list_alone(
        self, repository: InventoryRepository
    ) -> None:
        """A low item stays listed, as edited; another stays out."""
        low, fine = an_item("low", reorder_point=10), an_item("fine", reorder_point=9)
        repository.commit(creation(low, fine))

        edited = repository.edit_item(an_edit(low, name="new", status=OUT_OF_STOCK))
        repository.edit_item(an_edit(fine, name="new"))

        assert walk(repository, ItemFilter(low_stock=True)) == [edited]

    def test_discontinued_items_are_not_listed_as_low(
        self, repository: InventoryRepository
    ) -> None:
        """Nobody reorders them. The list follows the status, whatever the numbers did before."""
        gone = an_item("gone", reorder_point=10, status=DISCONTINUED)
        low = an_item("low", reorder_point=10)
        repository.commit(creation(gone, low))
        low_stock = ItemFilter(low_stock=True)
        assert walk(repository, low_stock) == [low]

        back = repository.edit_item(an_edit(gone, status=AVAILABLE))
        assert by_key(walk(repository, low_stock)) == by_key([back, low])

        repository.edit_item(an_edit(low, status=DISCONTINUED))
        assert walk(repository, low_stock) == [back]
        assert walk(repository, ItemFilter(low_stock=True, status=DISCONTINUED)) == []

    def test_a_refused_commit_leaves_the_low_stock_list_alone(
        self, repository: InventoryRepository
    ) -> None:
        """What was not stored is not listed."""
        fine = an_item(reorder_point=5, seq=1)
        repository.commit(creation(fine))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(reorder_point=5), on_hand=1))

        assert walk(repository, ItemFilter(low_stock=True)) == []

    def test_a_deleted_item_is_no_longer_low(self, repository: InventoryRepository) -> None:
        """It leaves the list with its row, and a successor under its key is listed on its own merits."""
        repository.commit(creation(an_item(reorder_point=50)))
        remove(repository, an_item().key)
        assert walk(repository, ItemFilter(low_stock=True)) == []

        repository.commit(creation(an_item(on_hand=100)))
        assert walk(repository, ItemFilter(low_stock=True)) == []


def _refuses(repository: InventoryRepository, wanted: ItemFilter, token: str) -> None:
    with pytest.raises(InvalidCursorError):
        repository.list_items(wanted, PageRequest(size=2, cursor=token))
