"""Bounds: the same for Python callers and for JSON, with all errors at once."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import CreateItem, ListItems, ListMovements, ValidationError
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
from inventory.validation import BoundError, Identifier, PageSize, Text, build, folded

VALID = {"sku": "TENT-2", "name": "Tent", "quantity": 3, "category": "tents"}


def errors_of(**changes):
    with pytest.raises(ValidationError) as caught:
        build(CreateItem, {**VALID, **changes})
    return {error.field: error.message for error in caught.value.errors}


def test_a_command_reports_all_errors_at_once():
    """Four invalid fields are four errors."""
    errors = errors_of(sku="", quantity=-1, price="x", colour="red")

    assert set(errors) == {"sku", "quantity", "price", "colour"}


def test_the_constructor_checks_what_build_checks():
    """A Python caller gets the same errors as an HTTP client."""
    with pytest.raises(ValidationError) as caught:
        CreateItem(sku="", name="Tent", quantity=True, category="tents")

    assert [error.field for error in caught.value.errors] == ["sku", "quantity"]


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
def test_other_types_and_numbers_out_of_bounds_are_no_quantity(value):
    """A quantity is an int within the bounds."""
    assert errors_of(quantity=value) == {"quantity": "must be a whole number from 0 to 1000000000"}


@pytest.mark.parametrize("value", [0, 1, 1_000_000_000])
def test_the_bounds_of_a_quantity_are_inclusive(value):
    """The smallest and the largest value are valid."""
    assert QUANTITY.read(value) == value


@pytest.mark.parametrize(
    ("value", "canonical"),
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
def test_a_price_is_exact_and_canonical(value, canonical):
    """Equal amounts have the same digits, however they were written."""
    assert str(PRICE.read(value)) == canonical


@pytest.mark.parametrize(
    "value",
    [
        *(1.5, True, None, "", "abc", "1e3", "+1", " 1", "٣", "1.", ".5", "-0.1", "NaN"),
        *(Decimal("NaN"), Decimal("Infinity"), Decimal("1e999999"), Decimal("1e-999999"), 10**400),
        *(MAX_PRICE + Decimal("0.0001"), Decimal("0.00001"), Decimal("1." + "0" * 5000 + "1"), -1),
    ],
)
def test_an_inexact_or_invalid_price_is_rejected(value):
    """Nothing is rounded, and no value takes long to convert."""
    with pytest.raises(BoundError):
        PRICE.read(value)


@given(st.decimals(0, MAX_PRICE, places=4))
def test_every_price_within_bounds_is_exact(price):
    """Reading changes the form, never the amount."""
    assert PRICE.read(price) == PRICE.read(str(price)) == price


@pytest.mark.parametrize(
    "value", ["a\x00b", "a\x1bb", "a\x7f", "a\x85b", "\ud800", "   ", "\t\n", "", "x" * 129, 5]
)
def test_invalid_text_is_rejected(value):
    """Control characters, lone surrogates, blank text, and text that is too long or too short."""
    with pytest.raises(BoundError):
        SKU.read(value)


@pytest.mark.parametrize("value", ["x" * 256, "ÅÄÖ-ß", "a\tb", "two\r\nlines", "🏕️", " x "])
def test_text_is_not_changed(value):
    """Lengths are in characters, and white space remains."""
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
    """It is in NFC, without white space at its ends; normalizing it again changes nothing."""
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
def test_one_line_has_no_invisible_characters(bound, character):
    """Otherwise two SKUs could look the same."""
    with pytest.raises(BoundError):
        bound.read(f"A{character}B")


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_only_names_may_have_joiners(joiner):
    """Persian words and emoji need them; a name of joiners alone is blank."""
    assert NAME.read(f"a{joiner}b") == f"a{joiner}b"
    for bound in (SKU, CATEGORY, LOCATION):
        with pytest.raises(BoundError):
            bound.read(f"a{joiner}b")
    with pytest.raises(BoundError):
        NAME.read(f"{joiner}\ufe0f")


def test_the_length_of_one_line_is_that_of_the_normalized_text():
    """Normalization may make a text shorter or longer."""
    assert SKU.read(" " + "e\u0301" * 128 + " ") == "\xe9" * 128
    with pytest.raises(BoundError):
        SKU.read("\u0958" * 65)


def test_a_long_line_of_marks_is_rejected_without_normalization():
    """Normalization takes quadratic time for many marks; NFC composes at most four characters into one."""
    assert max(len(normalize("NFD", chr(code))) for code in range(0x110000)) == 4
    with pytest.raises(BoundError):
        NAME.read("a" + "\u0315\u0300" * 250_000)


@pytest.mark.parametrize("bound", ONE_LINE.values(), ids=ONE_LINE)
@given(
    text=st.text(
        st.characters() | st.sampled_from(" \t\n\x85\u200b\u200d\ufe0f\u2028\u0301"), max_size=8
    )
)
def test_the_pattern_and_the_bound_of_one_line_agree(bound, text):
    """Clients that validate by the OpenAPI document agree with the server."""
    try:
        bound.read(text)
    except BoundError:
        allowed = False
    else:
        allowed = True
    described = re.search(bound.schema()["pattern"], text) is not None

    # UTF-8 has no lone surrogates, so the pattern does not exclude them.
    assert described == allowed or any("\ud800" <= character <= "\udfff" for character in text)


def test_a_description_may_be_empty_or_blank():
    """It is optional, so the empty text is valid."""
    assert Text(10, min_length=0, may_be_blank=True).read("") == ""


def test_an_identifier_is_measured_in_bytes():
    """The limit of DynamoDB keys is in bytes of UTF-8."""
    assert Identifier(4).read("åä") == "åä"
    with pytest.raises(BoundError):
        Identifier(4).read("åäö")


@pytest.mark.parametrize(
    ("value", "size"), [("1", 1), ("007", 7), (20, 20), ("9" * 5000, 10**9), ("0" * 5000 + "5", 5)]
)
def test_a_page_size_is_ascii_digits_of_any_length(value, size):
    """Large ones are cut to the maximum of the deployment later."""
    assert PageSize().read(value) == size


@pytest.mark.parametrize(
    "value", ["0", "-1", "+5", " 5", "5 ", "٣", "1.0", "1e1", "", "x", 0, True, "0" * 5000]
)
def test_other_text_and_numbers_are_no_page_size(value):
    """A page size is at least 1, in ASCII digits."""
    with pytest.raises(BoundError):
        PageSize().read(value)


def test_the_errors_of_unknown_fields_stay_small():
    """Names that the caller chose are cut."""
    errors = errors_of(**{"x" * 5000 + str(n): 1 for n in range(500)})

    assert all(len(name) <= 128 for name in errors)


@given(
    st.dictionaries(
        st.text(),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers())),
    )
)
def test_any_input_returns_a_command_or_raises_a_validation_error(sent):
    """Validation raises no other error."""
    with pytest.raises(ValidationError):
        build(CreateItem, {**sent, "quantity": "no"})


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ([], "attributes"),
        ("x", "attributes"),
        ({"Barcode": "x"}, "attributes.Barcode"),
        ({"9lives": "x"}, "attributes.9lives"),
        ({"a" * 41: "x"}, f"attributes.{'a' * 41}"),
        ({"bar code": "x"}, "attributes.bar code"),
        ({"barcode": ""}, "attributes.barcode"),
        ({"barcode": " "}, "attributes.barcode"),
        ({"barcode": "x" * 513}, "attributes.barcode"),
        ({"barcode": 4006381333931}, "attributes.barcode"),
        ({"barcode": None}, "attributes.barcode"),
        ({"barcode": "\x00"}, "attributes.barcode"),
        ({f"a{n}": "x" for n in range(51)}, "attributes"),
        ({f"a{n}": "ä" * 500 for n in range(9)}, "attributes"),
    ],
)
def test_invalid_attributes_are_rejected_by_name(sent, field):
    """The name of the attribute is part of the field."""
    assert list(errors_of(attributes=sent)) == [field]


def test_attributes_are_stored_in_the_order_of_their_names():
    """So that equal attributes are equal as text too."""
    command = build(CreateItem, {**VALID, "attributes": {"size": "M", "a" * 40: "x" * 512}})

    assert list(command.attributes.items()) == [("a" * 40, "x" * 512), ("size", "M")]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-05-01T09:30:00Z", "2026-05-01T09:30:00.000000+00:00"),
        ("2026-05-01t09:30:00z", "2026-05-01T09:30:00.000000+00:00"),
        ("2026-05-01T09:30:00.5+02:00", "2026-05-01T07:30:00.500000+00:00"),
        ("2026-05-01T09:30:00 02:00", "2026-05-01T07:30:00.000000+00:00"),
        ("2026-05-01T09:30:00.123456789-01:30", "2026-05-01T11:00:00.123456+00:00"),
        (datetime(2026, 5, 1, 9, 30, tzinfo=UTC), "2026-05-01T09:30:00.000000+00:00"),
    ],
)
def test_a_time_is_stored_in_utc(sent, stored):
    """A space stands for a plus sign that a query string decoded."""
    assert ListMovements(item_id="i", sku="s", since=sent).since == stored


@pytest.mark.parametrize(
    "sent",
    [
        "2026-05-01",
        "2026-05-01T09:30:00",
        "2026-05-01 09:30:00Z",
        "2026-02-30T09:30:00Z",
        "2026-05-01T25:00:00Z",
        "2026-W18-5T09:30:00Z",
        "٢٠٢٦-05-01T09:30:00Z",
        "0001-01-01T00:00:00+23:59",
        1777627800,
        datetime(2026, 5, 1, 9, 30),  # noqa: DTZ001 - it has no zone
    ],
)
def test_a_time_without_an_offset_is_rejected(sent):
    """As is any other text, number, or day that does not exist."""
    with pytest.raises(ValidationError, match="must be a time with an offset"):
        ListMovements(item_id="i", sku="s", until=sent)


@pytest.mark.parametrize("sent", ["", " ", "\u0301", "\u00a0", "x" * 129, "\ud800", 7])
def test_a_search_needs_a_word(sent):
    """Of at most 128 characters in all; marks alone are no word."""
    with pytest.raises(ValidationError):
        ListItems(search=sent)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("STRASSE", "straße"),
        ("café", "CAFE\u0301"),
        ("ﬁg", "FIG"),
        ("İstanbul", "istanbul"),
        ("\uff2d", "m"),
        ("ǅ", "dž"),
    ],
)
def test_folded_texts_are_equal_without_case_accents_and_compatible_forms(text, same):
    """What a person would type to find the other."""
    assert folded(text) == folded(same)


@given(st.text())
def test_folding_twice_changes_nothing(text):
    """A stored folded text can be compared with a folded search."""
    assert folded(folded(text)) == folded(text)
