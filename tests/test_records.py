"""Domain values as records."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import (
    Item,
    ItemKey,
    Reservation,
    ReservationLine,
    ReservationState,
    StockChange,
    StockLevel,
    Transfer,
)
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
from tests.strategies import items, quantities, skus, texts, times

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
def test_answer_is_restored(answer):
    """With exact decimals, and values of the same types."""
    assert answer_from_text(answer_to_text(answer)) == answer
    assert str(answer_from_text(answer_to_text(ITEM)).price) == "199.9000"


keys = st.builds(ItemKey, item_id=texts(36, "item-1"), sku=skus)
words = st.none() | texts(256, "so it is")
movements = st.builds(
    Movement,
    key=keys,
    seq=quantities,
    kind=st.sampled_from(MovementKind),
    delta_on_hand=st.integers(),
    delta_reserved=st.integers(),
    on_hand=quantities,
    reserved=quantities,
    reason=words,
    reference=words,
    reservation_id=words,
    recorded_at=times,
    item_created_at=st.none() | times,
)
reservations = st.builds(
    Reservation,
    reservation_id=texts(36, "reservation-1"),
    lines=st.lists(
        st.builds(ReservationLine, key=keys, quantity=st.integers(1, 9)), max_size=3
    ).map(tuple),
    state=st.sampled_from(ReservationState),
    reference=words,
    created_at=times,
    expires_at=times,
    closed_at=st.none() | times,
)
rows = st.builds(
    RowResult,
    index=st.integers(0, 24),
    created=st.booleans(),
    item_id=texts(36, "item-1"),
    sku=skus,
    version=quantities,
    seq=quantities,
)
ANY_ANSWERS = {
    "an item": items,
    "a change of stock": st.builds(StockChange, item=items, movement=movements),
    "a transfer": st.builds(Transfer, source=items, destination=items),
    "a reservation": reservations,
    "the rows of a batch": st.lists(rows, max_size=25).map(tuple),
}


@pytest.mark.parametrize("answers", ANY_ANSWERS.values(), ids=ANY_ANSWERS)
@given(data=st.data())
def test_any_answer_is_restored(answers, data):
    """Equal, with the same types and digits."""
    answer = data.draw(answers)

    again = answer_from_text(answer_to_text(answer))

    assert again == answer
    assert repr(again) == repr(answer)


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
def test_record_of_another_shape_is_an_error(field, value):
    """Nothing is converted, guessed or ignored."""
    record = {**unstructure(ITEM), field: value}

    with pytest.raises(RecordError):
        structure(record, Item)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"type": "item"}', '{"type": "price", "value": 1}']
)
def test_invalid_text_is_an_error(text):
    """A damaged row does not become an answer."""
    with pytest.raises(RecordError):
        answer_from_text(text)
