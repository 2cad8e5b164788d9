"""Tokens: what goes in comes out, and whatever else comes in is refused in one way."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory import InvalidCursorError
from inventory.ports import ItemFilter
from inventory_adapters.storage import cursors
from tests.strategies import filters, items

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BY_ID = ItemFilter()
BY_EDIT = ItemFilter(category="tools")


def forged(*payload):
    """Return a token with a correct hash around *payload*: anyone can make one."""
    text = json.dumps(payload, separators=(",", ":")).encode()
    return urlsafe_b64encode(sha256(text).digest()[:12] + text).decode().rstrip("=")


@given(filters, items)
def test_a_position_comes_back_from_its_token(wanted, item):
    """For every filter and every item."""
    token = cursors.encode_item(wanted, item)

    assert cursors.decode_item(wanted, token) == wanted.position(item)


@given(filters, items)
def test_a_token_can_stand_in_a_url_as_it_is(wanted, item):
    """Letters, digits, hyphen and underscore need no escape."""
    assert set(cursors.encode_item(wanted, item)) <= set(ALPHABET)


@given(filters, filters, items)
def test_a_token_is_good_for_its_own_filter_only(wanted, other, item):
    """Any difference between two filters makes another query."""
    assume(wanted != other)
    token = cursors.encode_item(wanted, item)

    with pytest.raises(InvalidCursorError):
        cursors.decode_item(other, token)


@given(filters, items, st.data())
def test_an_edited_token_is_refused(wanted, item, data):
    """Whichever character is replaced, dropped, doubled or put in."""
    token = cursors.encode_item(wanted, item)
    place = data.draw(st.integers(0, len(token) - 1))
    instead = data.draw(st.sampled_from(["", token[place] * 2, *ALPHABET, "=", "+", "\n", " "]))
    edited = token[:place] + instead + token[place + 1 :]
    assume(edited != token)

    with pytest.raises(InvalidCursorError):
        cursors.decode_item(wanted, edited)


@given(filters, st.text() | st.text(ALPHABET + "="))
def test_arbitrary_text_is_refused(wanted, token):
    """No text, however strange, raises anything else."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(wanted, token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(filters, st.lists(JSON, max_size=5))
def test_a_forged_token_of_another_shape_is_refused(wanted, payload):
    """A correct hash does not help: what is inside is checked."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(wanted, forged(*payload))


@pytest.mark.parametrize(
    ("wanted", "position"),
    [
        pytest.param(BY_ID, [], id="nothing"),
        pytest.param(BY_ID, ["a"], id="too short"),
        pytest.param(BY_ID, ["a", "b", "c"], id="too long"),
        pytest.param(BY_EDIT, ["a", "b"], id="too short for a category"),
        pytest.param(BY_ID, ["a", 1], id="a number"),
        pytest.param(BY_ID, ["a", None], id="null"),
        pytest.param(BY_ID, ["a", ["b"]], id="a list"),
        pytest.param(BY_ID, ["a", {"b": "c"}], id="an object"),
        pytest.param(BY_ID, ["", "b"], id="an empty key"),
        pytest.param(BY_ID, ["a" * 2049, "b"], id="an id that is too long"),
        pytest.param(BY_ID, ["a", "\N{SNOWMAN}" * 342], id="a SKU of too many bytes"),
        pytest.param(BY_ID, ["a", "\ud800"], id="a lone surrogate"),
    ],
)
def test_a_forged_position_that_storage_would_refuse_is_refused_before(wanted, position):
    """Version, fingerprint and hash are right; the key is none."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(wanted, forged(1, cursors.fingerprint(wanted), *position))


def test_a_token_of_another_version_is_refused():
    """A later format does not read as this one."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(BY_ID, forged(2, cursors.fingerprint(BY_ID), "a", "b"))


def test_json_that_is_nested_too_deeply_is_refused():
    """What exhausts the parser is malformed too."""
    text = b"[" * 12_000
    token = urlsafe_b64encode(sha256(text).digest()[:12] + text).decode().rstrip("=")

    with pytest.raises(InvalidCursorError):
        cursors.decode_item(BY_ID, token)
