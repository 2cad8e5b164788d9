"""Idempotency keys: what is noted can be read back, and no note is mistaken for another."""

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory import (
    UNSET,
    AdjustStock,
    BatchItems,
    CommitReservation,
    CreateReservation,
    IdempotencyKey,
    LineRequest,
    ReleaseReservation,
    UpdateItem,
    ValidationError,
)
from inventory.idempotency import fingerprint
from tests.strategies import creations, if_matches, skus, texts, updates

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

    alike = fingerprint(first) == fingerprint(second)

    assert alike == (first == second)


def test_two_operations_on_one_thing_are_different_requests():
    """A commit is not a release, although their fields are equal."""
    commit = CommitReservation(reservation_id="r")
    release = ReleaseReservation(reservation_id="r")

    assert fingerprint(commit) != fingerprint(release)


def test_a_field_that_was_not_sent_is_unlike_any_text():
    """Not even the text that stands for it in a log."""
    ref = {"item_id": "i", "sku": "s"}
    sent, not_sent = UpdateItem(**ref, name=repr(UNSET)), UpdateItem(**ref)

    assert fingerprint(sent) != fingerprint(not_sent)


@given(command=adjustments)
def test_a_fingerprint_is_of_the_request_and_not_of_its_key(command):
    """A key names the request that it came with; it is no part of it."""
    keyed = attrs.evolve(command, idempotency_key=IdempotencyKey("k"))

    assert fingerprint(keyed) == fingerprint(command)


# Of few characters, so that what is put together in different ways comes out alike.
scopes = st.text("a#0", max_size=3) | st.sampled_from(["#row", "a#row", "row"])
values = st.text("a#0", min_size=1, max_size=3) | st.sampled_from(["x" * 255, "x" * 254 + "y"])
row_indexes = st.none() | st.integers(0, 24)


@given(first=st.tuples(scopes, values, row_indexes), second=st.tuples(scopes, values, row_indexes))
@example(first=("a", "bc", None), second=("ab", "c", None))
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
