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
    delete_item,
    rewrite,
)
from inventory_adapters.testing.pagination import first_items, item_pages, list_all

__all__ = ["ListsContract"]

# One list for each index, with the details of an item that belongs to it.
_LISTS: Final = [
    pytest.param(ANY, {}, id="all"),
    pytest.param(ItemFilter(category="tools"), {}, id="category"),
    pytest.param(ItemFilter(status=AVAILABLE), {}, id="status"),
    pytest.param(ItemFilter(sku="SKU-1"), {}, id="sku"),
    pytest.param(ItemFilter(low_stock=True), {"reorder_point": 10}, id="low_stock"),
    pytest.param(
        ItemFilter(category="tools", status=AVAILABLE, location="default"), {}, id="filtered"
    ),
    pytest.param(ItemFilter(search="hammer"), {}, id="search"),
    pytest.param(ItemFilter(status=AVAILABLE, search="CLAW ham"), {}, id="filtered search"),
]

_each_list = pytest.mark.parametrize(("item_filter", "details"), _LISTS)


def _stocked(repository: InventoryRepository, count: int, details: dict[str, Any]) -> list[Item]:
    """Store *count* items whose order by id differs from their order by time."""
    items = [
        an_item(f"item-{number}", updated_at=a_time(number * 7 % count), **details)
        for number in range(count)
    ]
    repository.commit(creation(*items))
    return items


def _outsiders(count: int = 3) -> list[Item]:
    """Return items that pass no filter, with ids between those of `_stocked`."""
    details: dict[str, Any] = dict.fromkeys(
        ("sku", "name", "category", "status", "location"), "else"
    )
    return [an_item(f"item-{number}5", **details) for number in range(count)]


class ListsContract:
    """
    The pages of a list have each matching item once, in order.

    Attributes:
        orders_ties: Whether items that were edited at the same instant, and SKUs under one id, are in the order of their keys.
            False for DynamoDB, which does not specify the order of equal keys in an index.
    """

    orders_ties: ClassVar[bool] = True

    def test_a_list_contains_the_items_that_pass_every_filter(
        self, repository: InventoryRepository
    ) -> None:
        """All filters can be combined, whichever index the list reads."""
        items = [
            an_item(
                f"item-{number:02}",
                sku=sku,
                category=category,
                status=status,
                location=location,
                reorder_point=reorder_point,
                updated_at=a_time(50 - number),
                name="Plane" if number % 4 == 3 else "Claw hammer",
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
            "search": (None, "claw"),
        }

        for chosen in itertools.product(*choices.values()):
            item_filter = ItemFilter(**dict(zip(choices, chosen, strict=True)))
            listed = list_all(repository, item_filter)

            assert by_key(listed) == [item for item in items if item_filter.matches(item)], (
                item_filter
            )
            if item_filter.index != "item_id":
                assert listed == sorted(listed, key=item_filter.position), item_filter

    @pytest.mark.parametrize(
        "item_filter",
        [
            ItemFilter(category="else"),
            ItemFilter(status="else"),
            ItemFilter(sku="else"),
            ItemFilter(location="else"),
            ItemFilter(low_stock=True),
            ItemFilter(category="tools", location="else"),
            ItemFilter(search="else"),
        ],
    )
    def test_a_list_that_no_item_passes_is_empty(
        self, repository: InventoryRepository, item_filter: ItemFilter
    ) -> None:
        """A value that no item has is no error."""
        _stocked(repository, 3, {})

        assert list_all(repository, item_filter, size=2) == []

    @_each_list
    def test_pages_of_every_size_contain_each_item_once(
        self, repository: InventoryRepository, item_filter: ItemFilter, details: dict[str, Any]
    ) -> None:
        """The pages together are the same list in the same order."""
        items = _stocked(repository, 6, details)
        outsiders = _outsiders()
        repository.commit(creation(*outsiders))
        passing = [item for item in (*items, *outsiders) if item_filter.matches(item)]
        assert len(passing) >= 6

        for size in range(1, len(passing) + 2):
            listed = list_all(repository, item_filter, size)

            assert by_key(listed) == by_key(passing), size
            if item_filter.index != "item_id":
                assert listed == sorted(passing, key=item_filter.position), size

    @_each_list
    @pytest.mark.parametrize("size", [1, 2, 3, 6])
    def test_a_page_that_ends_with_the_list_has_no_cursor(
        self,
        repository: InventoryRepository,
        item_filter: ItemFilter,
        details: dict[str, Any],
        size: int,
    ) -> None:
        """If the last page is full, no empty page follows it."""
        _stocked(repository, 6, details)

        seen = 0
        for page in item_pages(repository, item_filter, size):
            seen += len(page.items)
            assert (page.next_cursor is None) == (seen == 6)

    @_each_list
    def test_page_sizes_may_change_between_pages(
        self, repository: InventoryRepository, item_filter: ItemFilter, details: dict[str, Any]
    ) -> None:
        """A cursor contains a position, not a page size."""
        items = _stocked(repository, 6, details)

        seen, cursor = first_items(repository, item_filter, 1)
        rest = list_all(repository, item_filter, 4, cursor)

        assert by_key(seen + rest) == items

    @_each_list
    def test_a_cursor_may_be_used_again(
        self, repository: InventoryRepository, item_filter: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Two reads with one cursor return the same items."""
        _stocked(repository, 6, details)
        _, cursor = first_items(repository, item_filter, 2)

        assert list_all(repository, item_filter, 3, cursor) == list_all(
            repository, item_filter, 1, cursor
        )

    @_each_list
    def test_a_cursor_stays_valid_after_its_item_is_deleted(
        self, repository: InventoryRepository, item_filter: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Deletions on earlier pages do not change later pages."""
        items = _stocked(repository, 6, details)
        seen, cursor = first_items(repository, item_filter, 3)

        for item in seen:
            delete_item(repository, item.key)
        rest = list_all(repository, item_filter, 2, cursor)

        assert by_key(seen + rest) == items

    @_each_list
    def test_items_created_between_pages_hide_no_others(
        self, repository: InventoryRepository, item_filter: ItemFilter, details: dict[str, Any]
    ) -> None:
        """A new item is listed once or not at all, every other item once."""
        items = _stocked(repository, 6, details)
        seen, cursor = first_items(repository, item_filter, 3)
        new_items = [
            an_item("item-", updated_at=a_time(-5), **details),
            an_item("item-2a", updated_at=a_time(2.5), **details),
            an_item("item-9", updated_at=a_time(99), **details),
        ]

        repository.commit(creation(*new_items))
        rest = list_all(repository, item_filter, 2, cursor)

        listed = [item.key for item in seen + rest]
        assert len(listed) == len(set(listed))
        assert {item.key for item in items} <= set(listed)

    def test_an_edit_between_pages_hides_no_others(self, repository: InventoryRepository) -> None:
        """In a list by time, items that were not edited are listed once."""
        items = _stocked(repository, 6, {})
        item_filter = ItemFilter(category="tools")
        seen, cursor = first_items(repository, item_filter, 3)

        moved = {seen[-1].key, items[5].key}
        for key in moved:
            repository.edit_item(an_edit(an_item(key.item_id), name="edited"))
        listed = seen + list_all(repository, item_filter, 2, cursor)

        unmoved = [item.key for item in items if item.key not in moved]
        assert sorted(item.key for item in listed if item.key not in moved) == unmoved
        assert moved <= {item.key for item in listed}

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    @pytest.mark.parametrize(
        "item_filter",
        [ANY, ItemFilter(category="tools"), ItemFilter(status=AVAILABLE), ItemFilter(sku="SKU-1")],
    )
    def test_items_edited_at_the_same_instant_are_all_listed(
        self, repository: InventoryRepository, item_filter: ItemFilter, size: int
    ) -> None:
        """Items with equal times or ids are neither skipped nor repeated."""
        items = [
            an_item(item_id, sku=sku) for item_id in ("a", "b", "c") for sku in ("SKU-1", "SKU-2")
        ]
        repository.commit(creation(*items))
        passing = [item for item in items if item_filter.matches(item)]

        listed = list_all(repository, item_filter, size)

        assert by_key(listed) == passing
        if self.orders_ties and item_filter.index != "item_id":
            assert listed == passing

    def test_text_is_ordered_by_code_points(self, repository: InventoryRepository) -> None:
        """Digits, capitals, small letters, accents, characters beyond plane 0."""
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
            assert list_all(repository, ItemFilter(status=AVAILABLE), size) == items
            assert list_all(repository, ItemFilter(sku="SKU-1"), size) == items

    @_each_list
    def test_a_damaged_cursor_is_rejected(
        self, repository: InventoryRepository, item_filter: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Any change, removal or addition of a character is detected."""
        _stocked(repository, 3, details)
        _, cursor = first_items(repository, item_filter, 1)
        damaged = [
            f"{cursor[:index]}{'B' if char == 'A' else 'A'}{cursor[index + 1 :]}"
            for index, char in enumerate(cursor)
        ]
        damaged += [cursor[:-1], cursor[1:], cursor[: len(cursor) // 2], cursor[:1], cursor * 2]
        damaged += [f"{cursor}A", f"{cursor}=", f"{cursor}\n", f" {cursor}", cursor.swapcase()]

        for token in damaged:
            _assert_rejected(repository, item_filter, token)

    @pytest.mark.parametrize(
        "token",
        [
            *("", " ", "=", "====", "A", "AAAA", "null", "{}", "[]", "0", "-", "%00", "\0", "\n"),
            *("item-0", "W10", "eyJpdGVtX2lkIjogIml0ZW0tMCJ9", "\N{SNOWMAN}", "A" * 16_000),
        ],
    )
    @pytest.mark.parametrize("item_filter", [ANY, ItemFilter(category="tools")])
    def test_arbitrary_text_is_rejected_as_a_cursor(
        self, repository: InventoryRepository, item_filter: ItemFilter, token: str
    ) -> None:
        """The read raises `InvalidCursorError` for any text."""
        _assert_rejected(repository, item_filter, token)

    def test_a_cursor_is_valid_only_for_its_filter(self, repository: InventoryRepository) -> None:
        """Another value, and one condition more or less, is another list."""
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
            ItemFilter(search="claw"),
            ItemFilter(search="hammer"),
            ItemFilter(category="tools", search="claw"),
        ]
        cursors = {
            item_filter: first_items(repository, item_filter, 1)[1]
            for item_filter in filters
            if list_all(repository, item_filter)
        }

        for (origin, cursor), item_filter in itertools.product(cursors.items(), filters):
            if item_filter != origin:
                _assert_rejected(repository, item_filter, cursor)

    def test_an_edited_item_leaves_one_list_and_joins_another(
        self, repository: InventoryRepository
    ) -> None:
        """The item is listed by its new category, status and location."""
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
        return {value for value, item_filter in lists.items() if list_all(repository, item_filter)}

    def test_an_edit_moves_an_item_to_the_end_of_its_category(
        self, repository: InventoryRepository
    ) -> None:
        """The item with the oldest edit is first; movements are not edits."""
        items = [an_item(f"item-{number}", updated_at=a_time(number)) for number in range(3)]
        repository.commit(creation(*items))

        edited = repository.edit_item(an_edit(items[0], name="edited"))
        moved = rewrite(items[1], on_hand=1)
        repository.commit(moved)

        listed = list_all(repository, ItemFilter(category="tools"), size=1)
        assert listed == [moved.items[0].after, items[2], edited]

    @pytest.mark.parametrize(
        ("start", "step", "listed"),
        [
            ({"on_hand": 6, "reorder_point": 5}, {"on_hand": 5}, (False, True)),
            ({"on_hand": 5, "reorder_point": 5}, {"on_hand": 6}, (True, False)),
            ({"on_hand": 9, "reorder_point": 5}, {"reserved": 4}, (False, True)),
            ({"on_hand": 9, "reserved": 4, "reorder_point": 5}, {"reserved": 3}, (True, False)),
            ({"on_hand": 9, "reorder_point": 5}, {"on_hand": 6, "reserved": 0}, (False, False)),
            ({"on_hand": 4, "reorder_point": 5}, {"on_hand": 0}, (True, True)),
            ({"on_hand": 4, "reorder_point": None}, {"reorder_point": 4}, (False, True)),
            ({"on_hand": 4, "reorder_point": 3}, {"reorder_point": 4}, (False, True)),
            ({"on_hand": 4, "reorder_point": 4}, {"reorder_point": 3}, (True, False)),
            ({"on_hand": 4, "reorder_point": 4}, {"reorder_point": None}, (True, False)),
            ({"on_hand": 0, "reorder_point": None}, {"reorder_point": 0}, (False, True)),
            ({"on_hand": 0, "reorder_point": 0}, {"on_hand": 1, "reorder_point": 1}, (True, True)),
        ],
    )
    def test_an_item_is_listed_as_low_while_it_is_low(
        self,
        repository: InventoryRepository,
        start: dict[str, Any],
        step: dict[str, Any],
        listed: tuple[bool, bool],
    ) -> None:
        """A commit that crosses the reorder point changes the list."""
        before, after = listed
        item = an_item(**start)
        low = ItemFilter(low_stock=True)

        repository.commit(creation(item))
        assert bool(list_all(repository, low)) == before

        change = rewrite(item, **step)
        repository.commit(change)
        assert list_all(repository, low) == ([change.items[0].after] if after else [])

    def test_edits_of_details_do_not_change_the_low_stock_list(
        self, repository: InventoryRepository
    ) -> None:
        """A low item is listed with its edit; another item is not listed."""
        low, fine = an_item("low", reorder_point=10), an_item("fine", reorder_point=9)
        repository.commit(creation(low, fine))

        edited = repository.edit_item(an_edit(low, name="new", status=OUT_OF_STOCK))
        repository.edit_item(an_edit(fine, name="new"))

        assert list_all(repository, ItemFilter(low_stock=True)) == [edited]

    def test_discontinued_items_are_not_listed_as_low(
        self, repository: InventoryRepository
    ) -> None:
        """Discontinued items are not reordered, whatever their numbers are."""
        discontinued = an_item("discontinued", reorder_point=10, status=DISCONTINUED)
        low = an_item("low", reorder_point=10)
        repository.commit(creation(discontinued, low))
        low_stock = ItemFilter(low_stock=True)
        assert list_all(repository, low_stock) == [low]

        resumed = repository.edit_item(an_edit(discontinued, status=AVAILABLE))
        assert by_key(list_all(repository, low_stock)) == by_key([resumed, low])

        repository.edit_item(an_edit(low, status=DISCONTINUED))
        assert list_all(repository, low_stock) == [resumed]
        assert list_all(repository, ItemFilter(low_stock=True, status=DISCONTINUED)) == []

    def test_a_rejected_commit_does_not_change_the_low_stock_list(
        self, repository: InventoryRepository
    ) -> None:
        """The item keeps its level, so it is not listed."""
        fine = an_item(reorder_point=5, seq=1)
        repository.commit(creation(fine))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(reorder_point=5), on_hand=1))

        assert list_all(repository, ItemFilter(low_stock=True)) == []

    def test_a_deleted_item_is_not_listed_as_low(self, repository: InventoryRepository) -> None:
        """A new item with its key is listed only if it is low itself."""
        repository.commit(creation(an_item(reorder_point=50)))
        delete_item(repository, an_item().key)
        assert list_all(repository, ItemFilter(low_stock=True)) == []

        repository.commit(creation(an_item(on_hand=100)))
        assert list_all(repository, ItemFilter(low_stock=True)) == []


def _assert_rejected(repository: InventoryRepository, item_filter: ItemFilter, token: str) -> None:
    with pytest.raises(InvalidCursorError):
        repository.list_items(item_filter, PageRequest(size=2, cursor=token))
