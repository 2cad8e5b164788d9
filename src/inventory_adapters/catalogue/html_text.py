"""The text of a piece of HTML as a person reads it: no tags, no scripts, blocks on lines of their own. Takes linear time."""

import html
import re
from typing import Final

__all__ = ["html_to_text"]

_BLOCKS: Final = frozenset(
    {
        *("address", "article", "aside", "blockquote", "br", "div", "hr", "p", "pre", "section"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "footer", "header", "main", "nav"),
        *("dd", "dl", "dt", "li", "ol", "ul", "figcaption", "figure"),
        *("table", "tbody", "td", "tfoot", "th", "thead", "tr"),
    }
)
_UNSEEN: Final = frozenset({"head", "script", "style", "template", "title"})
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

# A "<" that begins something; any other is text, as in "3 < 4".
_MARKUP: Final = re.compile(r"<(?=[a-zA-Z/!?])")
_NAME: Final = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
# Possessive: an attribute is never tried a second time.
_TAG_END: Final = re.compile(r"""(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
_CONDITION: Final = re.compile(r"!\[\s*(?:if|endif|CDATA)", re.IGNORECASE)


class _BrokenError(Exception):
    """The HTML cannot be read."""


def html_to_text(body: str) -> tuple[str, bool]:
    """
    Return the text of *body*, and whether it could be read as HTML.

    Tags are removed, entities decoded, runs of blanks collapsed. A body that is broken is returned as the text that it is.
    """
    is_readable = True
    if "<" in body or "&" in body:
        try:
            body = "".join(_parts(body))
        except _BrokenError:
            is_readable = False
    lines = (" ".join(line.split()) for line in _NOT_TEXT.sub(" ", body).splitlines())
    return "\n".join(line for line in lines if line), is_readable


def _parts(body: str) -> list[str]:
    parts: list[str] = []
    at = 0
    quotes_are_closed = True
    while (match := _MARKUP.search(body, at)) is not None:
        if match.start() > at:
            parts.append(_text(body[at : match.start()]))
        start = match.end()
        if body.startswith("!--", start):
            at = _after(body, "-->", start)
            continue
        if body.startswith("![", start) and not _CONDITION.match(body, start):
            raise _BrokenError
        end = _TAG_END.match(body, start) if quotes_are_closed else None
        if end is None:
            # From here on quotes do not pair; looking for their ends again and again would take quadratic time.
            quotes_are_closed = False
            at = _after(body, ">", start)
        else:
            at = end.end()
        name = _NAME.match(body, start)
        if name is None:
            continue
        tag = name[1].lower()
        if tag in _BLOCKS:
            parts.append("\n- " if tag == "li" and body[start] != "/" else "\n")
        elif tag in _UNSEEN and body[start] != "/" and body[at - 2] != "/":
            at = _after_element(body, tag, at)
    parts.append(_text(body[at:]))
    return parts


def _after(body: str, mark: str, start: int) -> int:
    place = body.find(mark, start)
    if place < 0:
        raise _BrokenError
    return place + len(mark)


def _after_element(body: str, tag: str, start: int) -> int:
    match = re.compile(rf"</{tag}\b[^>]*+>", re.IGNORECASE).search(body, start)
    if match is None:
        raise _BrokenError
    return match.end()


def _text(source: str) -> str:
    """Return text as it is seen: a line break in the source is a blank to the reader."""
    try:
        return re.sub(r"\s+", " ", html.unescape(source))
    except ValueError:
        # A reference to a character by a number of thousands of digits.
        raise _BrokenError from None
