"""Idempotency keys: what is noted can be read back, and no note is mistaken for another."""

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory import (
    UNSET,
    AdjustStock,
    BatchItems,
    CreateReservation,
    IdempotencyKey,
    Item,
    ItemKey,
    LineRequest,
    Movement,
    MovementKind,
    Reservation,
    ReservationLine,
    ReservationState,
    RowResult,
    StockChange,
    Transfer,
    UpdateItem,
    ValidationError,
)
from inventory.idempotency import fingerprint, freeze, thaw
from tests.strategies import creations, if_matches, items, quantities, skus, texts, times, updates

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
    recorded_at=times,
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
ANSWERS = {
    "an item": (Item, items),
    "a change of stock": (StockChange, st.builds(StockChange, item=items, movement=movements)),
    "a transfer": (Transfer, st.builds(Transfer, source=items, destination=items)),
    "a reservation": (Reservation, reservations),
    "the rows of a batch": (tuple[RowResult, ...], st.lists(rows, max_size=25).map(tuple)),
}


@pytest.mark.parametrize(("kind", "answers"), ANSWERS.values(), ids=ANSWERS)
@given(data=st.data())
def test_an_answer_is_read_back_as_it_was(kind, answers, data):
    """Equal, of the same types, and with the same digits."""
    answer = data.draw(answers)

    again = thaw(kind, freeze(answer))

    assert again == answer
    assert repr(again) == repr(answer)


refs = {"item_id": texts(36, "item-1", "item-2"), "sku": skus}
adjustments = st.builds(
    AdjustStock,
    **refs,
    delta=st.integers(-3, -1) | st.integers(1, 3),
    reason=texts(256, "so it is", "null"),
    reference=st.none() | st.sampled_from(["None", "null", "order 1"]),
)
reserves = st.builds(
    CreateReservation,
    lines=st.lists(
        st.builds(LineRequest, **refs, quantity=st.integers(1, 2)), min_size=1, max_size=3
    ),
    reference=st.none() | st.just("None"),
)
changes = st.builds(
    lambda ref, fields, if_match: UpdateItem(**ref, **fields, if_match=if_match),
    st.fixed_dictionaries(refs),
    updates,
    if_matches,
)
batches = st.builds(BatchItems, items=st.lists(creations | changes, min_size=1, max_size=2))
COMMANDS = {
    "an adjustment": adjustments,
    "a reservation": reserves,
    "a creation": creations,
    "an update": changes,
    "a batch": batches,
}


@pytest.mark.parametrize("commands", COMMANDS.values(), ids=COMMANDS)
@given(data=st.data())
def test_a_fingerprint_differs_with_any_field(commands, data):
    """And with nothing else: the second command has one field of another."""
    first, other = data.draw(commands), data.draw(commands)
    name = data.draw(st.sampled_from([field.name for field in attrs.fields(type(first))]))
    second = attrs.evolve(first, **{name: getattr(other, name)})

    alike = fingerprint("operation", first) == fingerprint("operation", second)

    assert alike == (first == second)


def test_a_field_that_was_not_sent_is_unlike_any_text():
    """Not even the text that stands for it in a log."""
    ref = {"item_id": "i", "sku": "s"}
    sent, not_sent = UpdateItem(**ref, name=repr(UNSET)), UpdateItem(**ref)

    assert fingerprint("operation", sent) != fingerprint("operation", not_sent)


@given(command=adjustments)
def test_a_fingerprint_is_of_the_request_and_not_of_its_key(command):
    """A key names the request that it came with; it is no part of it."""
    keyed = attrs.evolve(command, idempotency_key=IdempotencyKey("k"))

    assert fingerprint("operation", keyed) == fingerprint("operation", command)
    assert fingerprint("another", command) != fingerprint("operation", command)


# Of few characters, so that what is put together in different ways comes out alike.
scopes = st.text("a#0", max_size=3) | st.sampled_from(["#row", "a#row", "row"])
values = st.text("a#0", min_size=1, max_size=3) | st.sampled_from(["x" * 255, "x" * 254 + "y"])
row_indexes = st.none() | st.integers(0, 24)


@given(first=st.tuples(scopes, values, row_indexes), second=st.tuples(scopes, values, row_indexes))
@example(first=("a", "b#c", None), second=("a#b", "c", None))
@example(first=("", "k", 0), second=("", "k#0", None))
@example(first=("a", "k", 0), second=("a#row", "k#0", None))
@example(first=("", "x" * 255, 0), second=("", "x" * 254 + "y", 0))
def test_no_two_keys_share_a_record(first, second):
    """Neither of two callers, nor of two rows, nor of a row and a request; however they are spelled."""
    assert (record_id(*first) == record_id(*second)) == (first == second)


def record_id(scope, value, row):
    key = IdempotencyKey(value, scope=scope)
    return (key if row is None else key.for_row(row)).record_id


def test_a_key_of_any_length_has_a_record_of_one_length():
    """It has to fit into a key of every store, and so have those of its rows."""
    longest = IdempotencyKey("x" * 255, scope="y" * 2000)

    assert (
        len({len(key.record_id) for key in (IdempotencyKey("k"), longest, longest.for_row(24))})
        == 1
    )


@pytest.mark.parametrize("value", ["", "x" * 256, "two words", "tab\t", "é", "\x7f", 5, None])
def test_a_key_is_1_to_255_visible_ascii_characters(value):
    """As a header may carry them."""
    with pytest.raises(ValidationError):
        AdjustStock(item_id="i", sku="s", delta=1, reason="r", idempotency_key=value or "")
