"""Bounds: the same for a library caller and for JSON, every fault at once."""

import re
from decimal import Decimal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import CreateItem, ValidationError
from inventory.commands import (
    CATEGORY,
    LOCATION,
    MAX_PRICE,
    NAME,
    PRICE,
    QUANTITY,
    REASON,
    SKU,
)
from inventory.validation import BoundError, Identifier, PageSize, Text, build

VALID = {"sku": "TENT-2", "name": "Tent", "quantity": 3, "category": "tents"}


def faults(**changes):
    with pytest.raises(ValidationError) as caught:
        build(CreateItem, {**VALID, **changes})
    return {fault.field: fault.message for fault in caught.value.errors}


def test_a_command_reports_every_fault_at_once():
    """A person with four mistakes learns of four mistakes."""
    found = faults(sku="", quantity=-1, price="x", colour="red")

    assert set(found) == {"sku", "quantity", "price", "colour"}


def test_the_constructor_checks_what_build_checks():
    """A library caller gets the same answer as an HTTP client."""
    with pytest.raises(ValidationError) as caught:
        CreateItem(sku="", name="Tent", quantity=True, category="tents")

    assert [fault.field for fault in caught.value.errors] == ["sku", "quantity"]


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        "3",
        2.9,
        5.0,
        Decimal(5),
        Decimal("1e3"),
        -1,
        1_000_000_001,
        None,
        [3],
        float("nan"),
    ],
)
def test_what_only_looks_like_a_quantity_is_refused(value):
    """Whole numbers count things; nothing else does."""
    assert faults(quantity=value) == {"quantity": "must be a whole number from 0 to 1000000000"}


@pytest.mark.parametrize("value", [0, 1, 1_000_000_000])
def test_the_bounds_of_a_quantity_are_quantities(value):
    """Bounds are inclusive."""
    assert QUANTITY.read(value) == value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0, "0"),
        (Decimal("0.0001"), "0.0001"),
        ("19.90", "19.9"),
        (Decimal("1E+2"), "100"),
        (Decimal("-0"), "0"),
        (Decimal("1.00000"), "1"),
        (MAX_PRICE, "99999999999.9999"),
        ("99999999999.9999", "99999999999.9999"),
    ],
)
def test_a_price_is_kept_exactly_and_in_one_form(value, kept):
    """The same amount is the same Decimal, with the same digits, however it was written."""
    assert str(PRICE.read(value)) == kept


@pytest.mark.parametrize(
    "value",
    [
        *(1.5, True, None, "", "abc", "1e3", "+1", " 1", "٣", "1.", ".5", "-0.1", "NaN"),
        *(Decimal("NaN"), Decimal("Infinity"), Decimal("1e999999"), Decimal("1e-999999"), 10**400),
        *(MAX_PRICE + Decimal("0.0001"), Decimal("0.00001"), Decimal("1." + "0" * 5000 + "1"), -1),
    ],
)
def test_what_is_no_exact_price_is_refused(value):
    """No rounding, no negative amounts, nothing that takes for ever to convert."""
    with pytest.raises(BoundError):
        PRICE.read(value)


@given(st.decimals(0, MAX_PRICE, places=4))
def test_every_price_within_bounds_is_exact(price):
    """Reading changes the form, never the amount."""
    assert PRICE.read(price) == PRICE.read(str(price)) == price


@pytest.mark.parametrize(
    "value", ["a\x00b", "a\x1bb", "a\x7f", "a\x85b", "\ud800", "   ", "\t\n", "", "x" * 129, 5]
)
def test_text_that_no_person_wrote_is_refused(value):
    """Control characters, lone surrogates, blanks and what is too long or too short."""
    with pytest.raises(BoundError):
        SKU.read(value)


@pytest.mark.parametrize("value", ["x" * 256, "ÅÄÖ-ß", "a\tb", "two\r\nlines", "🏕️", " x "])
def test_text_is_kept_as_it_was_written(value):
    """Lengths are in characters, and nothing is trimmed."""
    assert REASON.read(value) == value


ONE_LINE = {"sku": SKU, "name": NAME, "category": CATEGORY, "location": LOCATION}


@pytest.mark.parametrize("bound", ONE_LINE.values(), ids=ONE_LINE)
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("ABC ", "ABC"),
        ("\u3000ABC\xa0\r\n", "ABC"),
        ("\u2028ABC\x85", "ABC"),
        ("Cafe\u0301", "Caf\xe9"),
        ("two  words", "two  words"),
        ("\u212b", "\xc5"),
        ("\u26fa\ufe0f", "\u26fa\ufe0f"),
        (" " * 5000 + "A", "A"),
    ],
)
def test_one_line_is_stored_normalized(bound, sent, stored):
    """What looks the same is the same: NFC, without white space at its ends; that again changes nothing."""
    assert bound.read(sent) == stored
    assert bound.read(stored) == stored


@pytest.mark.parametrize("bound", ONE_LINE.values(), ids=ONE_LINE)
@pytest.mark.parametrize(
    "character",
    [
        *("\n", "\r", "\t", "\x00", "\x1d", "\x7f", "\x85", "\xad", "\u2028", "\u2029"),
        *("\u061c", "\u200b", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069"),
        *("\ufeff", "\ufff9", "\ud800"),
    ],
)
def test_one_line_has_nothing_invisible(bound, character):
    """Two labels that nobody can tell apart are not two SKUs."""
    with pytest.raises(BoundError):
        bound.read(f"A{character}B")


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_joiners_are_for_names(joiner):
    """Persian words and families of emoji need them; a name of nothing else is blank."""
    assert NAME.read(f"a{joiner}b") == f"a{joiner}b"
    for bound in (SKU, CATEGORY, LOCATION):
        with pytest.raises(BoundError):
            bound.read(f"a{joiner}b")
    with pytest.raises(BoundError):
        NAME.read(f"{joiner}\ufe0f")


def test_the_length_of_one_line_is_that_of_what_is_stored():
    """White space at the ends and composed characters do not count; a character that NFC takes apart does."""
    assert SKU.read(" " + "e\u0301" * 128 + " ") == "\xe9" * 128
    with pytest.raises(BoundError):
        SKU.read("\u0958" * 65)


def test_a_long_line_of_marks_is_refused_at_once():
    """Sorting the marks would take quadratic time; the limit is what NFC can make of one character."""
    assert max(len(normalize("NFD", chr(code))) for code in range(0x110000)) == 4
    with pytest.raises(BoundError):
        NAME.read("a" + "\u0315\u0300" * 250_000)


@pytest.mark.parametrize("bound", ONE_LINE.values(), ids=ONE_LINE)
@given(
    text=st.text(
        st.characters() | st.sampled_from(" \t\n\x85\u200b\u200d\ufe0f\u2028\u0301"), max_size=8
    )
)
def test_the_pattern_of_one_line_allows_what_the_bound_allows(bound, text):
    """Clients that check by the document and the server agree."""
    try:
        bound.read(text)
    except BoundError:
        allowed = False
    else:
        allowed = True
    described = re.search(bound.schema()["pattern"], text) is not None

    # No text of UTF-8 has a lone surrogate, so no pattern needs to say so.
    assert described == allowed or any("\ud800" <= character <= "\udfff" for character in text)


def test_a_description_may_be_empty_or_blank():
    """It is optional, so nothing is a value too."""
    assert Text(10, min_length=0, may_be_blank=True).read("") == ""


def test_a_key_is_measured_in_bytes():
    """DynamoDB's limit on keys is in bytes of UTF-8."""
    assert Identifier(4).read("åä") == "åä"
    with pytest.raises(BoundError):
        Identifier(4).read("åäö")


@pytest.mark.parametrize(
    ("value", "size"), [("1", 1), ("007", 7), (20, 20), ("9" * 5000, 10**9), ("0" * 5000 + "5", 5)]
)
def test_a_page_size_is_ascii_digits_of_any_length(value, size):
    """Large ones are cut to the deployment's maximum later."""
    assert PageSize().read(value) == size


@pytest.mark.parametrize(
    "value", ["0", "-1", "+5", " 5", "5 ", "٣", "1.0", "1e1", "", "x", 0, True, "0" * 5000]
)
def test_anything_else_is_no_page_size(value):
    """At least one row, in ASCII digits."""
    with pytest.raises(BoundError):
        PageSize().read(value)


def test_an_answer_about_unknown_fields_stays_small():
    """What the caller made up is repeated, but not at any length."""
    found = faults(**{"x" * 5000 + str(n): 1 for n in range(500)})

    assert all(len(name) <= 128 for name in found)


@given(
    st.dictionaries(
        st.text(),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers())),
    )
)
def test_whatever_is_sent_gives_a_command_or_a_validation_error(sent):
    """No input makes the validation itself fail."""
    with pytest.raises(ValidationError):
        build(CreateItem, {**sent, "quantity": "no"})
