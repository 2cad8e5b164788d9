from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory.items import ItemKey
from inventory_adapters.storage.dynamodb.schema import (
    ITEMS,
    LEDGER,
    create_table_arguments,
    idempotency_pk,
    low_stock_sk,
    movement_sk,
    movements_pk,
    reservation_pk,
    time_to_live_arguments,
)

keys = st.builds(ItemKey, item_id=st.text("a#%23", min_size=1), sku=st.text("a#%23", min_size=1))


def test_the_items_table_is_the_one_that_clients_depend_on():
    """Names and keys are fixed: tables of an earlier version have them."""
    arguments = create_table_arguments(ITEMS, "inventory-dev")

    assert arguments["TableName"] == "inventory-dev"
    assert arguments["BillingMode"] == "PAY_PER_REQUEST"
    assert arguments["KeySchema"] == [
        {"AttributeName": "item_id", "KeyType": "HASH"},
        {"AttributeName": "sku", "KeyType": "RANGE"},
    ]
    indexes = {
        index["IndexName"]: (
            *(key["AttributeName"] for key in index["KeySchema"]),
            index["Projection"]["ProjectionType"],
        )
        for index in arguments["GlobalSecondaryIndexes"]
    }
    assert indexes == {
        "category-index": ("category", "updated_at", "ALL"),
        "status-index": ("status", "item_id", "ALL"),
        "sku-index": ("sku", "item_id", "KEYS_ONLY"),
    }


@pytest.mark.parametrize("schema", [ITEMS, LEDGER], ids=["items", "ledger"])
def test_every_key_attribute_is_declared_once_and_no_other(schema):
    """DynamoDB rejects attributes that no key uses."""
    arguments = create_table_arguments(schema, "table")

    used = {
        key["AttributeName"]
        for keyed in (arguments, *arguments["GlobalSecondaryIndexes"])
        for key in keyed["KeySchema"]
    }
    declared = [it["AttributeName"] for it in arguments["AttributeDefinitions"]]
    assert sorted(declared) == sorted(used)


def test_only_rows_of_the_ledger_may_expire():
    """Items stay until someone deletes them."""
    assert time_to_live_arguments(ITEMS, "inventory-dev") is None
    assert time_to_live_arguments(LEDGER, "inventory-dev-ledger") == {
        "TableName": "inventory-dev-ledger",
        "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "delete_after"},
    }


def test_a_usual_key_is_written_as_documented():
    """The shapes that people see in the console."""
    key = ItemKey(item_id="8c4f", sku="SKU#1")

    assert movements_pk(key) == "item#8c4f#SKU#1"
    assert movement_sk(7) == "movement#000000000007"
    assert low_stock_sk(key) == "8c4f#SKU#1"


@given(keys, keys)
def test_no_two_items_share_a_place(one, other):
    """For all IDs and SKUs, even with the separator in them."""
    assume(one != other)

    assert movements_pk(one) != movements_pk(other)
    assert low_stock_sk(one) != low_stock_sk(other)


@pytest.mark.parametrize(
    "sizes", [(1, 1), (36, 128), (36, 987), (36, 988), (1024, 1), (2048, 1024)]
)
@pytest.mark.parametrize("letter", ["i", "#", "\N{GREEK SMALL LETTER ALPHA}"])
def test_every_key_fits(sizes, letter):
    """DynamoDB limits a partition key to 2048 bytes and a sort key to 1024."""
    item_id, sku = (letter * max(1, size // len(letter.encode())) for size in sizes)
    key = ItemKey(item_id=item_id, sku=sku)

    assert len(movements_pk(key).encode()) <= 2048
    assert len(low_stock_sk(key).encode()) <= 1024


def test_long_keys_that_differ_at_the_end_have_places_of_their_own():
    """A key that is too long is hashed, not truncated."""
    keys = [ItemKey(item_id="i" * 2048, sku="s" * 1000 + end) for end in "ab"]

    assert len({*map(movements_pk, keys), *map(low_stock_sk, keys)}) == 4


def test_movements_sort_by_their_number():
    """Texts of equal length sort like numbers."""
    places = [movement_sk(seq) for seq in (1, 2, 9, 10, 11, 99, 100, 10**11, 10**12 - 1)]

    assert all(one < next_one for one, next_one in pairwise(places))


def test_a_usual_name_is_written_as_documented():
    """The shapes that people see in the console."""
    assert reservation_pk("8c4f#1") == "reservation#8c4f#1"
    assert idempotency_pk("00ff") == "idempotency#00ff"


@pytest.mark.parametrize("letter", ["r", "\N{GREEK SMALL LETTER ALPHA}", "\N{GRINNING FACE}"])
def test_names_of_any_length_fit_and_stay_apart(letter):
    """A name that is too long is hashed, and no other name equals the hash."""
    names = [letter * size for size in (1, 500, 2000, 2001, 3000)]
    places = [place(name) for name in names for place in (reservation_pk, idempotency_pk)]
    longest = reservation_pk(names[-1])

    assert all(len(place.encode()) <= 2048 for place in places)
    assert len(set(places)) == len(places)
    assert reservation_pk(longest.removeprefix("reservation~")) != longest
