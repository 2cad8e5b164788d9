"""The text of a piece of HTML, as a person would read it aloud: no tags, no scripts, blocks on lines of their own."""

import re
from html.parser import HTMLParser
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


def html_to_text(body: str) -> str:
    """Return what *body* says: tags stripped, entities decoded, runs of blanks made one."""
    if "<" in body or "&" in body:
        reader = _Reader()
        reader.feed(body)
        reader.close()
        body = "".join(reader.parts)
    lines = (" ".join(line.split()) for line in _NOT_TEXT.sub(" ", body).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag in _BLOCKS:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            # A line break in the source is a blank to the reader.
            self.parts.append(re.sub(r"\s+", " ", data))
