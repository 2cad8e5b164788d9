"""HTML of shops as text, in linear time."""

import time

import pytest

from inventory_adapters.catalogue.html_text import html_to_text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>Warm &amp; <b>dry</b></p>", "Warm & dry"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<style>p { }</style>x<script>if (a < b) y()</script>", "x"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("<img alt='a > b'>x", "x"),
        ("<!-- a > b -->x<![if !supportLists]>y<![endif]>", "xy"),
        ("&lt;b&gt; &#233;", "<b> é"),
        ("plain\ntext", "plain\ntext"),
        ("<p>a\nb</p>", "a b"),
    ],
)
def test_html_becomes_what_a_person_reads(body, text):
    """Blocks on lines of their own, entities decoded, nothing of scripts."""
    assert html_to_text(body) == (text, True)


PATTERNS = [
    "<a ",
    "<a '",
    '<a ">',
    "<",
    "</script ",
    "<script>",
    "<!--",
    "&",
    "<p>",
    "<a \"'>",
    "<script></script ",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_time_is_linear_in_the_length(pattern):
    """Ten times the body takes about ten times as long; a quadratic one would take a hundred."""
    steps = []
    for length in (10_000, 100_000):
        body = pattern * (length // len(pattern))
        fastest = min(_seconds(body) for _ in range(3))
        steps.append(fastest)

    assert steps[1] < 40 * max(steps[0], 1e-4)


def _seconds(body):
    started = time.process_time()
    html_to_text(body)
    return time.process_time() - started


def test_broken_html_is_kept():
    """As the text that it is."""
    assert html_to_text("a <b") == ("a <b", False)
    assert html_to_text("<![new offer]> x") == ("<![new offer]> x", False)
