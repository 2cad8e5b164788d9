"""Domain values as records, and back."""

import json
from decimal import Decimal

import pytest
from hypothesis import given

from inventory import Item, ItemKey, Reservation, ReservationLine, StockChange, StockLevel, Transfer
from inventory.batch import RowResult
from inventory.items import Timestamp
from inventory.stock import Movement, MovementKind
from inventory_adapters.records import (
    RecordError,
    answer_from_text,
    answer_to_text,
    structure,
    unstructure,
)
from tests.strategies import items

AT = Timestamp("2026-05-01T09:30:00.000000+00:00")
KEY = ItemKey(item_id="i", sku="SKU-1")
ITEM = Item(
    key=KEY,
    name="Zelt für 2 \U0001f3d5",
    category="tents",
    price=Decimal("199.9000"),
    reorder_point=None,
    created_at=AT,
    updated_at=AT,
    level=StockLevel(on_hand=3, reserved=1, seq=2),
)
MOVEMENT = Movement(
    key=KEY,
    seq=2,
    kind=MovementKind.ADJUST,
    delta_on_hand=-1,
    on_hand=3,
    reserved=1,
    reason="sold",
    recorded_at=AT,
)
ANSWERS = [
    ITEM,
    StockChange(item=ITEM, movement=MOVEMENT),
    Transfer(source=ITEM, destination=ITEM),
    Reservation(
        reservation_id="r",
        lines=(ReservationLine(key=KEY, quantity=2),),
        created_at=AT,
        expires_at=AT,
    ),
    (RowResult.of(0, ITEM, created=True), RowResult.of(1, ITEM, created=False)),
    (),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_an_answer_comes_back_equal(answer):
    """With exact decimals, and values of the same types."""
    assert answer_from_text(answer_to_text(answer)) == answer
    assert str(answer_from_text(answer_to_text(ITEM)).price) == "199.9000"


@given(items)
def test_any_item_comes_back_equal(item):
    """Whatever its texts and numbers."""
    assert structure(json.loads(json.dumps(unstructure(item))), Item) == item


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", None),
        ("version", "1"),
        ("version", True),
        ("version", 1.0),
        ("price", 199.9),
        ("price", "cheap"),
        ("key", ["i", "SKU-1"]),
        ("key", {"item_id": "i"}),
        ("level", {"on_hand": 1, "reserved": 2, "seq": 0}),
        ("colour", "red"),
    ],
)
def test_a_record_of_another_shape_is_an_error(field, value):
    """Nothing is converted, guessed or ignored."""
    record = {**unstructure(ITEM), field: value}

    with pytest.raises(RecordError):
        structure(record, Item)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"type": "item"}', '{"type": "price", "value": 1}']
)
def test_a_text_that_is_no_answer_is_an_error(text):
    """A damaged row does not become an answer."""
    with pytest.raises(RecordError):
        answer_from_text(text)
