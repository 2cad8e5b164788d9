"""Keys and filters find the exact text first, then the normalized text."""

import pytest

from inventory import (
    AdjustStock,
    BatchItems,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    DuplicateRowError,
    GetItem,
    InvalidCursorError,
    Inventory,
    ItemNotFoundError,
    ItemRef,
    LineRequest,
    ListItems,
    ListMovements,
    PageLimits,
    SameItemError,
    TransferStock,
    UpdateItem,
)
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import an_item, creation
from tests.handlers import connected

LOOSE = " Cafe\u0301\n"
NORMALIZED = "Caf\xe9"


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


@pytest.fixture
def item(inventory):
    """A new item: its SKU, category and location are stored normalized."""
    return inventory.create_item(
        CreateItem(sku=LOOSE, name="Cup", category=LOOSE, location=LOOSE, quantity=5)
    )


@pytest.fixture
def old(inventory):
    """A row of an earlier version, beside one whose key is its normalized form."""
    rows = [an_item(sku=sku, category=sku, location=sku) for sku in (LOOSE, NORMALIZED)]
    inventory.repository.commit(creation(*rows))
    return rows[0]


def uses(inventory, key):
    """Run every operation with a key, and yield the SKU of the item that each one finds."""
    line = LineRequest(**key, quantity=1)
    yield inventory.get_item(GetItem(**key)).sku
    yield inventory.update_item(UpdateItem(**key)).sku
    yield inventory.update_item(UpdateItem(**key, name="New")).sku
    yield inventory.update_item(UpdateItem(**key, quantity=9)).sku
    yield inventory.adjust_stock(AdjustStock(**key, delta=1, reason="r")).item.sku
    yield inventory.count_stock(CountStock(**key, quantity=9)).item.sku
    yield inventory.list_movements(ListMovements(**key)).items[0].key.sku
    for mode in ("all_or_nothing", "per_row"):
        rows = [UpdateItem(**key, name="Batch")]
        yield inventory.batch_items(BatchItems(items=rows, mode=mode))[0].sku
    held = inventory.create_reservation(CreateReservation(lines=[line, line]))
    yield held.lines[0].key.sku
    [line] = held.lines
    assert line.quantity == 2


def test_every_operation_finds_a_new_item_by_a_key_that_is_not_normalized(inventory, item):
    """A line break of a scanner and the NFD of a Mac make no difference."""
    key = {"item_id": item.item_id, "sku": LOOSE}

    assert item.sku == NORMALIZED
    assert set(uses(inventory, key)) == {NORMALIZED}


def test_every_operation_finds_the_exact_row_first(inventory, old):
    """Even if another row has the normalized key."""
    assert set(uses(inventory, {"item_id": old.item_id, "sku": LOOSE})) == {LOOSE}


def test_a_deletion_finds_the_exact_row_first(inventory, old):
    """A second deletion finds the normalized row; after it, no operation finds an item."""
    key = {"item_id": old.item_id, "sku": LOOSE}

    deleted = [inventory.delete_item(DeleteItem(**key)).sku for _ in range(2)]

    assert deleted == [LOOSE, NORMALIZED]
    for attempt in (
        lambda: inventory.delete_item(DeleteItem(**key)),
        lambda: inventory.update_item(UpdateItem(**key, name="x")),
        lambda: inventory.get_item(GetItem(**key)),
    ):
        with pytest.raises(ItemNotFoundError):
            attempt()


@pytest.mark.parametrize("field", ["sku", "category", "location"])
def test_filters_find_the_exact_text_first(inventory, field, old):
    """If no item has it, they find the normalized text, on all pages."""
    for number in range(3):
        row = {"sku": f"S{number}", "category": "c", "location": "l", field: "Tent"}
        inventory.create_item(CreateItem(**row, name="n", quantity=1))

    exact = inventory.list_items(ListItems(**{field: LOOSE})).items
    pages = [inventory.list_items(ListItems(**{field: " Tent "}, page_size=2))]
    pages.append(
        inventory.list_items(
            ListItems(**{field: " Tent "}, page_size=2, page_token=pages[0].next_cursor)
        )
    )

    assert exact == (old,)
    assert [len(page.items) for page in pages] == [2, 1]
    assert pages[1].next_cursor is None
    with pytest.raises(InvalidCursorError):
        inventory.list_items(ListItems(**{field: " Tent "}, page_token="x"))


def test_two_spellings_of_a_key_are_one_item(inventory, item):
    """In a transfer and in a batch."""
    loose, exact = ({"item_id": item.item_id, "sku": sku} for sku in (LOOSE, NORMALIZED))

    with pytest.raises(SameItemError):
        inventory.transfer_stock(
            TransferStock(source=ItemRef(**loose), destination=exact, quantity=1)
        )
    for mode in ("all_or_nothing", "per_row"):
        rows = [UpdateItem(**loose, name="x"), UpdateItem(**exact, name="y")]
        with pytest.raises(DuplicateRowError):
            inventory.batch_items(BatchItems(items=rows, mode=mode))


@pytest.mark.parametrize("connect", [lambda inventory: inventory, connected])
def test_find_by_sku_reads_every_page(connect):
    """At all locations, or at one of them; also through a client."""
    inventory = Inventory(
        MemoryRepository(), limits=lambda: PageLimits(default_page_size=1, max_items_per_page=1)
    )
    for sku, location in (("CUP", "shop"), ("CUP", "van"), ("POT", "van"), ("CUP", "van")):
        inventory.create_item(
            CreateItem(sku=sku, name="n", category="c", location=location, quantity=1)
        )
    found = connect(inventory).find_by_sku

    assert sorted(item.location for item in found("CUP")) == ["shop", "van", "van"]
    assert [(item.sku, item.location) for item in found("CUP", location="van")] == [
        ("CUP", "van"),
        ("CUP", "van"),
    ]
    assert found("BOWL") == ()
