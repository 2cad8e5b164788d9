"""
Numbers as people and programs write them: one convention per file, found in its cells before a row is written.

``1.250`` is a thousand and more in Madrid, and one and a quarter in London. A cell that can be read both ways is never guessed:
another cell of the file settles it, or the system that wrote the file, or the person who imports it.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

from attrs import define, field, frozen

from inventory_adapters.catalogue.cells import CellError, TypedNumber, UnreadableFileError

__all__ = ["Convention", "Evidence", "written"]

Mark = Literal[".", ","]

MARKS: Final[tuple[Mark, ...]] = (".", ",")
_NAMES: Final = {".": "point", ",": "comma"}

_MINUS: Final = "-\u2212"
_SPACES: Final = " \u00a0\u2007\u2009\u202f"
_APOSTROPHES: Final = "'\u2019"
_DIGITS: Final = r"[0-9]{1,40}"
_GROUP_DIGITS: Final = 3
# No number is longer, and longer texts would take long to check.
_LONGEST: Final = 60

# A sign, a code of three letters, or a few that are written otherwise, before or behind the amount.
_SIGN: Final = (
    r"[$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20cf\ufdfc\uff04\uffe5]"
)
_CURRENCY: Final = (
    rf"(?:[A-Z]{{0,3}}{_SIGN}|[A-Z]{{3}}|kr\.?|z\u0142|K\u010d|Ft|lei|Rs\.?"
    r"|Fr\.?|SFr\.?|RM|Rp\.?|R|S/\.?|\u0440\u0443\u0431\.?|\u043b\u0432\.?)"
)
_AMOUNT: Final = re.compile(
    rf"(?P<minus>[{_MINUS}]?)\s*(?P<before>{_CURRENCY})?\s*(?P<minus2>[{_MINUS}]?)"
    rf"(?P<body>[0-9.,][0-9.,{_APOSTROPHES}{_SPACES}]*?)\s*(?P<behind>{_CURRENCY})?(?P<minus3>[{_MINUS}]?)"
)

# Thousands in groups of three; or, as in India, the last three digits and groups of two before them.
_GROUPS: Final = r"[1-9][0-9]{0,2}(?:G[0-9]{3})+|[1-9][0-9]?(?:G[0-9]{2})+G[0-9]{3}"
_GROUP_MARKS: Final = (".", ",", "'", "\u2019", *_SPACES)


def _grouped(mark: str) -> str:
    return _GROUPS.replace("G", re.escape(mark))


# By the decimal mark: what a number may look like, without its sign and currency.
_READABLE: Final = {
    decimal: re.compile(
        rf"(?P<whole>{_DIGITS}|{'|'.join(_grouped(it) for it in _GROUP_MARKS if it != decimal)})?"
        rf"(?:{re.escape(decimal)}(?P<fraction>[0-9]{{0,40}}))?"
    )
    for decimal in MARKS
}
# A price without cents: 12,- or 12.--
_NO_CENTS: Final = re.compile(r"(?<=[0-9][.,])[-\u2013\u2014]{1,2}")
# Groups have three digits, so this mark is a decimal one.
_ONE_READING: Final = re.compile(r"-?[0-9]{1,40}([.,])(?:[0-9]{1,2}|[0-9]{4,15})")
# Most numbers by far: without sign, groups and currency.
_SIMPLE: Final = {
    it: re.compile(rf"[0-9]{{1,20}}(?:{re.escape(it)}[0-9]{{1,20}})?") for it in MARKS
}
_NOT_DIGIT: Final = re.compile("[^0-9]")
_PLAIN: Final = re.compile(rf"-?{_DIGITS}")


@define
class Evidence:
    """
    The evidence of a file's number cells for its decimal mark.

    Attributes:
        only: The first cell that can be read by one mark alone, by that mark, as ``line 2, price "1,5"``.
        either: The first cell that both marks can read, with results that differ, and the two results.
    """

    only: dict[Mark, str] = field(factory=dict)
    either: str | None = None

    def add(self, line: int, column: str, text: str) -> None:
        """Take a cell into account."""
        if type(text) is TypedNumber:
            return
        match = _ONE_READING.fullmatch(text)
        if match is not None and match[1] in self.only:
            return
        point, comma = _readings(text)
        if point == comma:
            return
        cell = f'line {line}, {column} "{text[:40]}"'
        if point is None:
            self.only.setdefault(",", cell)
        elif comma is None:
            self.only.setdefault(".", cell)
        elif self.either is None:
            self.either = f"{cell} is {written(point.normalize())} or {written(comma.normalize())}"

    def settle(
        self, *, chosen: Mark | None = None, fixed: Mark | None = None, system: str = ""
    ) -> "Convention":
        """
        Return the convention of the file.

        Args:
            chosen: The mark that a person has chosen.
            fixed: The mark that the system which wrote the file always uses.
            system: The name of that system.

        Raises:
            UnreadableFileError: The cells contradict each other, or can be read in two ways.
        """
        if chosen is not None:
            return Convention(chosen, "as chosen")
        if len(self.only) == len(MARKS):
            point, comma = self.only["."], self.only[","]
            raise UnreadableFileError(
                f"Numbers are written in two ways: {point} has a decimal point, {comma} a decimal comma. "
                "Correct one of them, or choose with --decimal point or --decimal comma"
            )
        for mark, proof in self.only.items():
            return Convention(mark, f"by {proof}")
        if fixed is not None:
            return Convention(fixed, f"as {system} writes it")
        if self.either is not None:
            raise UnreadableFileError(
                f"A number can be read in two ways: {self.either}, "
                "and no other number tells which. Choose with --decimal point or --decimal comma"
            )
        return Convention(".", "")


@frozen
class Convention:
    """
    How the numbers of a file are read.

    Attributes:
        decimal: The decimal mark; spaces, apostrophes and the other mark separate groups of digits.
        reason: The source of this knowledge; empty if no number of the file depends on it.
    """

    decimal: Mark
    reason: str

    def __str__(self) -> str:
        if not self.reason:
            return "no number depends on the decimal mark"
        return f"decimal {_NAMES[self.decimal]}, {self.reason}"

    def amount(self, text: str, column: str) -> Decimal:
        """
        Return the number in a cell; signs and codes of currencies are ignored.

        Raises:
            CellError: It is not a number, or not by this convention.
        """
        read = Decimal(text) if type(text) is TypedNumber else _read(text, self.decimal)
        if read is None:
            raise CellError(f"must be a number such as {self._example}", column=column, value=text)
        return read

    def whole(self, text: str, column: str) -> int:
        """
        Return the whole number in a cell; ``5.0``, as spreadsheets write it, is 5.

        Raises:
            CellError: It is not a whole number, or not by this convention.
        """
        # The most frequent cell by far.
        if _PLAIN.fullmatch(text):
            return int(text)
        read = Decimal(text) if type(text) is TypedNumber else _read(text, self.decimal)
        if read is None or read != read.to_integral_value():
            raise CellError("must be a whole number", column=column, value=text)
        return int(read)

    @property
    def _example(self) -> str:
        return f"12{self.decimal}50"


@lru_cache(maxsize=1 << 12)
def _readings(text: str) -> tuple[Decimal | None, Decimal | None]:
    """Return *text* read by a decimal point and by a decimal comma."""
    return _read(text, "."), _read(text, ",")


def _read(text: str, decimal: Mark) -> Decimal | None:
    if _SIMPLE[decimal].fullmatch(text):
        return Decimal(text.replace(",", "."))
    if len(text) > _LONGEST:
        return None
    cell = _NO_CENTS.sub("", text.strip())
    is_negative = cell.startswith("(") and cell.endswith(")")
    match = _AMOUNT.fullmatch(cell[1:-1].strip() if is_negative else cell)
    if match is None or (match["before"] and match["behind"]):
        return None
    minuses = bool(match["minus"]) + bool(match["minus2"]) + bool(match["minus3"]) + is_negative
    number = _READABLE[decimal].fullmatch(match["body"])
    if number is None or minuses > 1:
        return None
    whole, fraction = number["whole"], number["fraction"]
    if not whole and not fraction:
        return None
    value = Decimal(f"{_NOT_DIGIT.sub('', whole or '0')}.{fraction or ''}")
    return -value if minuses else value


def written(value: Decimal) -> str:
    """
    Return a number as text that no convention reads otherwise.

    There are never exactly three digits behind the point: 1.125 is written 1.1250, because 1.125 is also how others write 1125.
    """
    text = f"{value:f}"
    _, _, fraction = text.partition(".")
    return f"{text}0" if len(fraction) == _GROUP_DIGITS else text
