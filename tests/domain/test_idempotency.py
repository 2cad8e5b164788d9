"""Idempotency keys, their record IDs, and fingerprints of requests."""

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
    """Equal commands have equal fingerprints; the second command differs from the first in one field at most."""
    first, other = data.draw(commands), data.draw(commands)
    name = data.draw(st.sampled_from([field.name for field in attrs.fields(type(first))]))
    second = attrs.evolve(first, **{name: getattr(other, name)})

    equal = fingerprint(first) == fingerprint(second)

    assert equal == (first == second)


def test_two_operations_with_equal_fields_are_different_requests():
    """A commit is not a release."""
    commit = CommitReservation(reservation_id="r")
    release = ReleaseReservation(reservation_id="r")

    assert fingerprint(commit) != fingerprint(release)


def test_an_unset_field_differs_from_any_text():
    """Even from the `repr` of UNSET."""
    ref = {"item_id": "i", "sku": "s"}
    sent, not_sent = UpdateItem(**ref, name=repr(UNSET)), UpdateItem(**ref)

    assert fingerprint(sent) != fingerprint(not_sent)


@given(command=adjustments)
def test_a_fingerprint_does_not_depend_on_the_key(command):
    """The key identifies the request but is not part of it."""
    keyed = attrs.evolve(command, idempotency_key=IdempotencyKey("k"))

    assert fingerprint(keyed) == fingerprint(command)


# Few characters, so that different parts are often equal when concatenated.
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
    """Scope, value and row all distinguish records, whatever characters they have."""
    assert (record_id(*first) == record_id(*second)) == (first == second)


def record_id(scope, value, row):
    key = IdempotencyKey(value, scope=scope)
    return (key if row is None else key.for_row(row)).record_id


def test_record_ids_have_one_length():
    """Every store can use them as keys."""
    longest = IdempotencyKey("x" * 255, scope="y" * 2000)

    assert (
        len({len(key.record_id) for key in (IdempotencyKey("k"), longest, longest.for_row(24))})
        == 1
    )


@pytest.mark.parametrize("value", ["", "x" * 256, "two words", "tab\t", "é", "\x7f", 5, None])
def test_a_key_is_1_to_255_visible_ascii_characters(value):
    """Other text cannot be sent in a header."""
    with pytest.raises(ValidationError):
        AdjustStock(item_id="i", sku="s", delta=1, reason="r", idempotency_key=value or "")
