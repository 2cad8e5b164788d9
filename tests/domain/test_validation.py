"""Bounds: the same for a library caller and for JSON, every fault at once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import CreateItem, ValidationError
from inventory.commands import MAX_PRICE, PRICE, QUANTITY, SKU
from inventory.validation import Key, PageSize, RefusedError, Text, build

VALID = {"sku": "TENT-2", "name": "Tent", "quantity": 3, "category": "tents"}


def faults(**changes):
    with pytest.raises(ValidationError) as caught:
        build(CreateItem, {**VALID, **changes})
    return {fault.field: fault.message for fault in caught.value.faults}


def test_a_command_reports_every_fault_at_once():
    """A person with four mistakes learns of four mistakes."""
    found = faults(sku="", quantity=-1, price="x", colour="red")

    assert set(found) == {"sku", "quantity", "price", "colour"}


def test_the_constructor_checks_what_build_checks():
    """A library caller gets the same answer as an HTTP client."""
    with pytest.raises(ValidationError) as caught:
        CreateItem(sku="", name="Tent", quantity=True, category="tents")

    assert [fault.field for fault in caught.value.faults] == ["sku", "quantity"]


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
    with pytest.raises(RefusedError):
        PRICE.read(value)


@given(st.decimals(0, MAX_PRICE, places=4))
def test_every_price_within_bounds_is_exact(price):
    """Reading changes the form, never the amount."""
    assert PRICE.read(price) == PRICE.read(str(price)) == price


@pytest.mark.parametrize(
    "value", ["a\x00b", "a\x1bb", "a\x7f", "a\x85", "\ud800", "   ", "\t\n", "", "x" * 129, 5]
)
def test_text_that_no_person_wrote_is_refused(value):
    """Control characters, lone surrogates, blanks and what is too long or too short."""
    with pytest.raises(RefusedError):
        SKU.read(value)


@pytest.mark.parametrize("value", ["x" * 128, "ÅÄÖ-ß", "a\tb", "two\r\nlines", "🏕️", " x "])
def test_text_is_kept_as_it_was_written(value):
    """Lengths are in characters, and nothing is trimmed."""
    assert SKU.read(value) == value


def test_a_description_may_be_empty_or_blank():
    """It is optional, so nothing is a value too."""
    assert Text(10, min_length=0, may_be_blank=True).read("") == ""


def test_a_key_is_measured_in_bytes():
    """DynamoDB's limit on keys is in bytes of UTF-8."""
    assert Key(4).read("åä") == "åä"
    with pytest.raises(RefusedError):
        Key(4).read("åäö")


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
    with pytest.raises(RefusedError):
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
