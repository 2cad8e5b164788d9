"""If-Match as defined by RFC 9110."""

import pytest

from inventory import IfMatch


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("*", None),
        ('"3-7"', {(3, 7)}),
        ('"1-0", "2-5"', {(1, 0), (2, 5)}),
        ('"0-0"', {(0, 0)}),
        ('W/"3-7"', set()),
        ('W/"3-7", "3-7"', {(3, 7)}),
        ('"of-another-server"', set()),
        ('""', set()),
        ('"03-7"', set()),
    ],
)
def test_entity_tags_are_parsed(header, tags):
    """Weak tags and tags of other servers are valid but match nothing."""
    assert IfMatch.parse(header) == IfMatch(None if tags is None else frozenset(tags))


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "3-7",
        '"3-7',
        '3-7"',
        '"3-7" "3-8"',
        '"3-7",',
        ',"3-7"',
        '*, "3-7"',
        'w/"3-7"',
        '"a b"',
        ",".join(['"1-1"'] * 33),
    ],
)
def test_other_values_are_rejected(header):
    """An unreadable precondition never counts as met."""
    with pytest.raises(ValueError):  # noqa: PT011 - its message is the header itself
        IfMatch.parse(header)
