"""Reads of items by key, id or filter."""

from decimal import Decimal

import pytest

from inventory.items import DISCONTINUED, Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import ANY, a_time, an_item, by_key, creation, fields
from inventory_adapters.testing.pagination import list_all

__all__ = ["ReadsContract"]


class ReadsContract:
    """Reads return items exactly as they were stored."""

    @pytest.mark.parametrize(
        "item",
        [
            pytest.param(an_item(), id="plain"),
            pytest.param(
                an_item(
                    "ключ/\N{GRINNING FACE} %#?",
                    sku="SKU \N{HANGUL SYLLABLE GAG}\N{MUSICAL SYMBOL G CLEF}",
                    name="e\N{COMBINING ACUTE ACCENT} is not \N{LATIN SMALL LETTER E WITH ACUTE}",
                    category=" outer blanks stay ",
                    location="'; DROP TABLE items; --",
                    description="tab\tline\r\nline\n\n",
                ),
                id="text",
            ),
            pytest.param(an_item(description=""), id="empty description"),
            pytest.param(
                an_item(description="\N{FAMILY}" * 4096, name="n" * 256), id="longest text"
            ),
            pytest.param(
                an_item("i" * 36, sku="s" * 128, category="c" * 128, location="l" * 128, name="0"),
                id="longest keys",
            ),
            pytest.param(an_item(price=Decimal(0), on_hand=0, reorder_point=0), id="zeros"),
            pytest.param(an_item(price=Decimal("0.0001")), id="least price"),
            pytest.param(an_item(price=Decimal(100)), id="round price"),
            pytest.param(
                an_item(
                    price=Decimal("99999999999.9999"),
                    on_hand=1_000_000_000,
                    reserved=1_000_000_000,
                    reorder_point=1_000_000_000,
                    seq=999_999_999_999,
                    version=1_000_000_000,
                ),
                id="greatest numbers",
            ),
            pytest.param(
                an_item(on_hand=3, reserved=1, seq=7, version=4, status=DISCONTINUED),
                id="after movements",
            ),
            pytest.param(
                an_item(attributes={f"a{number}": "v" * 160 for number in range(50)}),
                id="most attributes",
            ),
            pytest.param(
                an_item(
                    attributes={
                        "z": "\N{GRINNING FACE} '\"\\ e\N{COMBINING ACUTE ACCENT}",
                        "a_1": "4006381333931",
                    }
                ),
                id="attributes",
            ),
            pytest.param(an_item(changed_by=None), id="of no actor"),
            pytest.param(an_item(changed_by="arn:aws:iam::1:user/\N{SNOWMAN}"), id="actor"),
            pytest.param(an_item(seq=1, moved_at=a_time(0.000001)), id="moved"),
            pytest.param(
                an_item(
                    status="a status of an earlier version",
                    created_at=Timestamp("2023-01-31T08:00:00"),
                    updated_at=Timestamp("2024-02-29T23:59:59.5Z"),
                ),
                id="times of an earlier version",
            ),
        ],
    )
    def test_an_item_is_returned_as_it_was_stored(
        self, repository: InventoryRepository, item: Item
    ) -> None:
        """Every field has the same value and type in every kind of read."""
        repository.commit(creation(item))

        readings = [
            repository.get_item(item.key),
            repository.find_item(item.item_id),
            *repository.get_items([item.key]),
            *list_all(repository, ANY),
            *list_all(repository, ItemFilter(category=item.category)),
        ]

        assert [fields(reading) for reading in readings] == [fields(item)] * 5
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.price, Decimal)
            assert str(reading.price) == str(item.price)
            assert isinstance(reading.created_at, Timestamp)
            assert isinstance(reading.updated_at, Timestamp)
            assert isinstance(reading.moved_at, Timestamp | None)
            numbers = (reading.version, reading.reorder_point or 0, reading.level.on_hand)
            assert all(type(number) is int for number in numbers)

    def test_an_empty_repository_returns_nothing(self, repository: InventoryRepository) -> None:
        """Reads return None or an empty page, and raise no error."""
        key = an_item().key

        assert repository.get_item(key) is None
        assert repository.find_item(key.item_id) is None
        assert repository.get_items([key]) == ()
        assert repository.get_items([]) == ()
        assert repository.list_items(ANY, PageRequest(size=1)) == Page(items=())

    def test_get_item_matches_both_id_and_sku(self, repository: InventoryRepository) -> None:
        """An item with only the id or only the SKU is another item."""
        repository.commit(creation(an_item("a", sku="1"), an_item("b", sku="2")))

        assert repository.get_item(ItemKey(item_id="a", sku="2")) is None
        assert repository.get_item(ItemKey(item_id="b", sku="1")) is None

    def test_find_item_returns_the_first_by_sku(self, repository: InventoryRepository) -> None:
        """Of several SKUs under one id, the first by code points is returned."""
        repository.commit(creation(an_item("a", sku="b")))
        repository.commit(creation(an_item("a", sku="B")))
        repository.commit(creation(an_item("a", sku="\N{LATIN SMALL LETTER A WITH DIAERESIS}")))
        repository.commit(creation(an_item("A", sku="1"), an_item("aa", sku="2")))

        item = repository.find_item("a")

        assert item == an_item("a", sku="B")

    def test_get_items_returns_each_existing_item_once(
        self, repository: InventoryRepository
    ) -> None:
        """A missing key is skipped, and a repeated key returns one item."""
        stored = [an_item("a"), an_item("b"), an_item("b", sku="SKU-2")]
        repository.commit(creation(*stored))
        keys = [item.key for item in stored]
        missing = ItemKey(item_id="a", sku="SKU-2")

        items = repository.get_items(iter([keys[0], missing, keys[1], keys[0], keys[2], missing]))

        assert by_key(items) == stored

    def test_get_items_accepts_more_than_one_hundred_keys(
        self, repository: InventoryRepository
    ) -> None:
        """No item is missing, even if storage limits the keys of one request."""
        keys = [ItemKey(item_id=f"item-{number:03}", sku="SKU-1") for number in range(131)]
        stored = [an_item(key.item_id) for key in keys[::10]]
        repository.commit(creation(*stored))

        items = repository.get_items(keys)

        assert by_key(items) == stored

    def test_keys_and_filters_compare_text_exactly(self, repository: InventoryRepository) -> None:
        """Case, accents, Unicode forms and blanks differ; nothing is a wildcard."""
        skus = ["e", "E", "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"]
        skus += ["e ", " e", "%", "_", "1", "01", "1.0"]
        items = [an_item(f"item-{sku}", sku=sku, category=sku) for sku in skus]
        repository.commit(creation(*items))

        for item in items:
            assert repository.get_item(item.key) == item
            assert list_all(repository, ItemFilter(sku=item.sku)) == [item]
            assert list_all(repository, ItemFilter(category=item.category)) == [item]
