"""Page tokens: positions, and errors of all other texts."""

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
    """Return a token of *payload* with a correct hash, as a client could."""
    text = json.dumps(payload, separators=(",", ":")).encode()
    return urlsafe_b64encode(sha256(text).digest()[:12] + text).decode().rstrip("=")


@given(filters, items)
def test_a_token_returns_its_position(item_filter, item):
    """This is true for every filter and every item."""
    token = cursors.encode_item(item_filter, item)

    assert cursors.decode_item(item_filter, token) == item_filter.position(item)


@given(filters, items)
def test_a_token_needs_no_escape_in_a_url(item_filter, item):
    """It consists of letters, digits, hyphens and underscores."""
    assert set(cursors.encode_item(item_filter, item)) <= set(ALPHABET)


@given(filters, filters, items)
def test_a_token_is_valid_only_for_its_filter(item_filter, other, item):
    """Any difference between two filters is another query."""
    assume(item_filter != other)
    token = cursors.encode_item(item_filter, item)

    with pytest.raises(InvalidCursorError):
        cursors.decode_item(other, token)


@given(filters, items, st.data())
def test_an_edited_token_is_rejected(item_filter, item, data):
    """Any replaced, removed or inserted character is detected."""
    token = cursors.encode_item(item_filter, item)
    index = data.draw(st.integers(0, len(token) - 1))
    replacement = data.draw(st.sampled_from(["", token[index] * 2, *ALPHABET, "=", "+", "\n", " "]))
    edited = token[:index] + replacement + token[index + 1 :]
    assume(edited != token)

    with pytest.raises(InvalidCursorError):
        cursors.decode_item(item_filter, edited)


@given(filters, st.text() | st.text(ALPHABET + "="))
def test_arbitrary_text_is_rejected(item_filter, token):
    """Any text raises `InvalidCursorError` and no other error."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(item_filter, token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(filters, st.lists(JSON, max_size=5))
def test_a_forged_token_of_another_shape_is_rejected(item_filter, payload):
    """The payload is validated even if the hash is correct."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(item_filter, forged(*payload))


@pytest.mark.parametrize(
    ("item_filter", "position"),
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
def test_a_forged_position_that_is_no_key_is_rejected(item_filter, position):
    """Its version, fingerprint and hash are correct, but it is no key."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(item_filter, forged(1, cursors.fingerprint(item_filter), *position))


def test_a_token_of_another_version_is_rejected():
    """A token of another format is not read as one of this format."""
    with pytest.raises(InvalidCursorError):
        cursors.decode_item(BY_ID, forged(2, cursors.fingerprint(BY_ID), "a", "b"))


def test_json_that_is_nested_too_deeply_is_rejected():
    """A payload that exhausts the parser is malformed."""
    text = b"[" * 12_000
    token = urlsafe_b64encode(sha256(text).digest()[:12] + text).decode().rstrip("=")

    with pytest.raises(InvalidCursorError):
        cursors.decode_item(BY_ID, token)
