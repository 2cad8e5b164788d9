"""
Bounds: the valid values of each field of a command, declared once.

`field` declares a field of a `command` with its `Bound`. The same bound checks arguments of Python callers and values from
JSON, and describes itself as JSON Schema for gateway models and OpenAPI.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Protocol,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    overload,
)
from unicodedata import combining, normalize

import attrs
from attrs import frozen

from inventory.errors import FieldError, ValidationError

__all__ = [
    "UNSET",
    "Boolean",
    "Bound",
    "BoundError",
    "Choice",
    "Converted",
    "Identifier",
    "Integer",
    "Line",
    "List",
    "Money",
    "Nullable",
    "Object",
    "PageSize",
    "Search",
    "Spec",
    "Text",
    "TextMap",
    "Unset",
    "build",
    "canonical",
    "command",
    "field",
    "folded",
    "normalized",
    "object_schema",
    "set_fields",
    "specs",
]

C = TypeVar("C")
Accepted_contra = TypeVar("Accepted_contra", contravariant=True)
Stored_co = TypeVar("Stored_co", covariant=True)
JsonSchema = dict[str, Any]


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""The value of an optional field that the caller did not send."""


class BoundError(Exception):
    """
    A value is out of its bound.

    Attributes:
        errors: One error per invalid part; `field` is the path inside the value, `""` for the value itself.
    """

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(errors)
        self.errors = errors


def _out_of_bound(message: str) -> BoundError:
    return BoundError(FieldError("", message))


class Bound(Protocol):
    """The valid values of a field, and a description of it in `doc`."""

    @property
    def doc(self) -> str: ...

    def read(self, value: Any) -> Any:
        """
        Return *value* in its canonical form.

        Raises:
            BoundError: *value* has the wrong type or is out of the bound.
        """

    def schema(self) -> JsonSchema:
        """Return the JSON Schema of the bound (draft 2020-12, as in OpenAPI 3.1)."""


# Category Cc except tab, line feed and carriage return; and the code points that UTF-8 cannot encode.
_CONTROLS: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_NOT_TEXT: Final = rf"[{_CONTROLS}\ud800-\udfff]"


@frozen
class Text:
    """Text of one or more lines, measured in characters."""

    max_length: int
    min_length: int = attrs.field(default=1, kw_only=True)
    may_be_blank: bool = attrs.field(default=False, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise _out_of_bound("must be text")
        if not self.min_length <= len(value) <= self.max_length:
            raise _out_of_bound(
                f"must be {self.min_length} to {self.max_length} characters long, not {len(value)}"
            )
        # Printable text has none of them. Text that is not printable may have tabs and line breaks.
        if not value.isprintable() and re.search(_NOT_TEXT, value):
            raise _out_of_bound(
                "must not contain control characters other than tabs and line breaks, or lone surrogates"
            )
        if not self.may_be_blank and value.isspace():
            raise _out_of_bound("must not be blank")
        return value

    def schema(self) -> JsonSchema:
        # At least one character is not blank, unless the text may be blank. JSON in UTF-8 has no lone surrogates.
        visible = "" if self.may_be_blank else rf"[^\s{_CONTROLS}][^{_CONTROLS}]*"
        return {
            "type": "string",
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "pattern": f"^[^{_CONTROLS}]*{visible}$",
        }


# White space as Unicode defines it. `str.strip` removes four control characters too, which must be rejected.
_WHITE_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# The same white space as a class of a regular expression, in Python and in JSON Schema.
_SPACES: Final = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JOINERS: Final = r"\u200c\u200d"
_VARIATION: Final = r"\ufe0f"
# Characters that are invisible or break a line: category Cc, soft hyphen, bidi controls, characters of no width, line and
# paragraph separators. The block from U+2060 on has the word joiner, invisible operators and bidi isolates.
_NO_LINE: Final = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)
# NFC composes at most four characters into one. Source: Unicode Standard Annex 15, table of maximum expansion factors.
_MOST_COMPOSED: Final = 4


def normalized(text: str) -> str:
    """Return one-line *text* in NFC, without white space at its ends."""
    text = text.strip(_WHITE_SPACE)
    return text if text.isascii() else normalize("NFC", text)


def folded(text: str) -> str:
    """Return *text* as a search compares it: without case, accents, or the difference between compatible characters."""
    if text.isascii():
        return text.lower()
    marked = normalize("NFKD", normalize("NFKD", text).casefold())
    return normalize("NFKC", "".join(char for char in marked if not combining(char)))


@frozen
class Line:
    """
    One line of text, normalized, so that texts which look the same are equal.

    The length is that of the normalized text. Names may have joiners (U+200C, U+200D), which shape words and emoji.
    """

    max_length: int
    may_have_joiners: bool = attrs.field(default=False, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise _out_of_bound("must be text")
        text = value.strip(_WHITE_SPACE)
        # Because normalization takes quadratic time for many marks, text that cannot become short enough is not normalized.
        if len(text) <= _MOST_COMPOSED * self.max_length:
            text = normalized(text)
        if not text:
            raise _out_of_bound("must not be blank")
        if len(text) > self.max_length:
            raise _out_of_bound(f"must be 1 to {self.max_length} characters long, not {len(text)}")
        # Printable text has none of them. Text that is not printable may have joiners.
        if not text.isprintable() and re.search(self._forbidden, text):
            raise _out_of_bound(
                "must be one line, without control characters, lone surrogates, or invisible characters"
            )
        # The only blank that is printable ASCII was stripped.
        if not text.isascii() and not re.search(self._visible, text):
            raise _out_of_bound("must not be blank")
        return text

    @property
    def _forbidden(self) -> str:
        return rf"[{_NO_LINE}{'' if self.may_have_joiners else _JOINERS}\ud800-\udfff]"

    @property
    def _visible(self) -> str:
        return rf"[^{_NO_LINE}{_SPACES}{_JOINERS}{_VARIATION}]"

    def schema(self) -> JsonSchema:
        inner = rf"[^{_NO_LINE}{'' if self.may_have_joiners else _JOINERS}]*"
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": self.max_length,
            "pattern": f"^[{_SPACES}]*{inner}{self._visible}{inner}[{_SPACES}]*$",
        }


@frozen
class Identifier:
    """Text that identifies something stored, measured in bytes of UTF-8."""

    max_bytes: int
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise _out_of_bound("must be text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise _out_of_bound("must not contain lone surrogates") from None
        if not 0 < size <= self.max_bytes:
            raise _out_of_bound(f"must be 1 to {self.max_bytes} bytes long in UTF-8, not {size}")
        return value

    def schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1, "maxLength": self.max_bytes}


@frozen
class Integer:
    """A whole number: not `true`, `"3"`, `2.9`, `5.0` or `1e3`."""

    minimum: int
    maximum: int
    may_be_zero: bool = attrs.field(default=True, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> int:
        # In Python, bool is a subclass of int. In JSON, 5.0 and 1e3 are read as Decimal.
        if type(value) is not int or not self.minimum <= value <= self.maximum:
            raise _out_of_bound(f"must be a whole number from {self.minimum} to {self.maximum}")
        if value == 0 and not self.may_be_zero:
            raise _out_of_bound("must not be 0")
        return value

    def schema(self) -> JsonSchema:
        described: JsonSchema = {
            "type": "integer",
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
        return described if self.may_be_zero else {**described, "not": {"const": 0}}


@frozen
class Money:
    """An exact amount from 0, as int, Decimal or decimal string."""

    maximum: Decimal
    places: int = attrs.field(kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> Decimal:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", value):
            value = Decimal(value)
        elif type(value) is int:
            # Decimal(int) of a huge int takes quadratic time, so a value out of bound is cut.
            value = Decimal(max(-1, min(value, int(self.maximum) + 1)))
        if not isinstance(value, Decimal) or not value.is_finite():
            raise _out_of_bound(f"must be a decimal number from 0 to {self.maximum}, such as 12.50")
        if not 0 <= value <= self.maximum:
            raise _out_of_bound(f"must be from 0 to {self.maximum}")
        try:
            exact = value.quantize(Decimal(1).scaleb(-self.places))
        except InvalidOperation:
            exact = None
        if exact != value:
            raise _out_of_bound(f"must have at most {self.places} decimal places")
        return canonical(value)

    def schema(self) -> JsonSchema:
        whole = len(str(int(self.maximum)))
        pattern = rf"^[0-9]{{1,{whole}}}(\.[0-9]{{1,{self.places}}})?$"
        # Not multipleOf 0.0001, because validators compute it in binary floating point.
        return {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": float(self.maximum)},
                {"type": "string", "pattern": pattern},
            ]
        }


def canonical(value: Decimal) -> Decimal:
    """Return *value* without exponent or trailing zeros."""
    if value == value.to_integral_value():
        return Decimal(int(value))
    return value.normalize()


@frozen
class Choice:
    """One of several words."""

    options: tuple[str, ...]
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise _out_of_bound(f"must be one of {', '.join(self.options)}")
        return value

    def schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self.options)}


@frozen
class Boolean:
    """A boolean, or the words for it in a query string."""

    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return cast("str", value) == "true"
        raise _out_of_bound("must be true or false")

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}


@frozen
class PageSize:
    """A number of rows, at least 1, or the digits for it in a query string."""

    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            # int() rejects thousands of digits. The deployment cuts the size to its maximum anyway.
            value = int(value[-9:]) if not value[:-9].strip("0") else 10**9
        if type(value) is not int or value < 1:
            raise _out_of_bound("must be a whole number, at least 1")
        return value

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": 1}


@frozen
class Nullable:
    """None, or a value of another bound."""

    bound: Bound

    @property
    def doc(self) -> str:
        return self.bound.doc

    def read(self, value: Any) -> Any:
        return None if value is None else self.bound.read(value)

    def schema(self) -> JsonSchema:
        described = self.bound.schema()
        if isinstance(described.get("type"), str):
            options = {"enum": [*described["enum"], None]} if "enum" in described else {}
            return {**described, "type": [described["type"], "null"], **options}
        return {"anyOf": [described, {"type": "null"}]}


@frozen
class Object:
    """A command, or a mapping of its fields by their names on the wire."""

    kind: type[Any]
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> Any:
        if isinstance(value, self.kind):
            return value
        if not isinstance(value, Mapping):
            raise _out_of_bound("must be an object")
        try:
            return build(self.kind, value)
        except ValidationError as error:
            raise BoundError(
                *(FieldError(f".{inner.field}", inner.message) for inner in error.errors)
            ) from None

    def schema(self) -> JsonSchema:
        return object_schema(specs(self.kind))


@frozen
class List:
    """A list of values of another bound."""

    bound: Bound
    max_length: int
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _out_of_bound("must be a list")
        if not 1 <= len(value) <= self.max_length:
            raise _out_of_bound(f"must have 1 to {self.max_length} rows, not {len(value)}")
        rows: list[Any] = []
        errors: list[FieldError] = []
        for index, row in enumerate(value):
            try:
                rows.append(self.bound.read(row))
            except BoundError as error:
                errors += _inside(f"[{index}]", error)
        if errors:
            raise BoundError(*errors)
        return tuple(rows)

    def schema(self) -> JsonSchema:
        return {
            "type": "array",
            "items": self.bound.schema(),
            "minItems": 1,
            "maxItems": self.max_length,
        }


@frozen
class TextMap:
    """Texts by name, in the order of the names: ``{"barcode": "4006381333931"}``."""

    max_entries: int
    max_length: int
    max_bytes: int
    may_be_null: bool = attrs.field(default=False, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    NAME: ClassVar[str] = "[a-z][a-z0-9_]{0,39}"

    @property
    def with_nulls(self) -> Self:
        """The bound of a change of the map, where None removes a name."""
        return attrs.evolve(self, may_be_null=True)

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _out_of_bound("must be an object")
        if len(value) > self.max_entries:
            raise _out_of_bound(f"must have at most {self.max_entries} names, not {len(value)}")
        errors: list[FieldError] = []
        texts: dict[str, Any] = {}
        text = Text(self.max_length)
        for name, entry in value.items():
            if not isinstance(name, str) or not re.fullmatch(self.NAME, name):
                message = "must have a name of up to 40 lowercase letters, digits and underscores"
                errors.append(FieldError(f".{name!s:.128}", message))
                continue
            try:
                texts[name] = None if entry is None and self.may_be_null else text.read(entry)
            except BoundError as error:
                errors += _inside(f".{name}", error)
        if errors:
            raise BoundError(*errors)
        size = sum(len(name) + len((entry or "").encode()) for name, entry in texts.items())
        if size > self.max_bytes:
            raise _out_of_bound(f"must be at most {self.max_bytes} bytes long in UTF-8, not {size}")
        return dict(sorted(texts.items()))

    def schema(self) -> JsonSchema:
        bound: Bound = Text(self.max_length)
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{self.NAME}$"},
            "additionalProperties": (Nullable(bound) if self.may_be_null else bound).schema(),
            "maxProperties": self.max_entries,
        }


@frozen
class Search:
    """The words of a search, separated by white space."""

    max_length: int
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        text = Text(self.max_length).read(value)
        if not folded(text).split():
            raise _out_of_bound("must have at least one word")
        return text

    def schema(self) -> JsonSchema:
        return Text(self.max_length).schema()


@frozen
class Spec:
    """
    The specification of one field of a command.

    Attributes:
        name: The attribute of the command.
        wire: The name in JSON, query and path.
        bound: The valid values.
        required: Whether the caller must send it.
        default: The value if the caller does not; `UNSET` for none.
    """

    name: str
    wire: str
    bound: Bound
    required: bool
    default: Any


class Converted(Generic[Accepted_contra, Stored_co]):
    """
    The annotation of a field whose bound converts: callers pass the first type, the attribute has the second.

    Only type checkers use it; at run time the attribute is an ordinary one. Source: "Dataclass semantics" of the typing
    specification, on fields whose type is a descriptor.
    """

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Stored_co: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        raise NotImplementedError

    def __set__(self, instance: object, value: Accepted_contra) -> None:
        raise NotImplementedError


def field(bound: Bound, *, default: Any = attrs.NOTHING, wire: str | None = None) -> Any:
    """Declare a field of a command, with its bound and its name on the *wire*."""
    return attrs.field(default=default, metadata={"bound": bound, "wire": wire})


def _check_all(self: Any) -> None:
    errors: list[FieldError] = []
    for name, wire, read, default in self.__checks__:
        value = getattr(self, name)
        if value is not UNSET and value is not default:
            try:
                canonical_value = read(value)
            except BoundError as error:
                errors += _inside(wire, error)
            else:
                if canonical_value is not value:
                    object.__setattr__(self, name, canonical_value)
    if errors:
        raise ValidationError(errors=tuple(errors))


def _inside(path: str, error: BoundError) -> list[FieldError]:
    return [FieldError(path + inner.field, inner.message) for inner in error.errors]


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(field,),
)
def command(cls: type[C]) -> type[C]:
    """
    Turn *cls* into a frozen attrs class; declare each attribute with `field`.

    The constructor checks all fields and raises one `ValidationError` with all errors.
    """
    cls.__attrs_post_init__ = _check_all  # type: ignore[attr-defined]
    frozen_class = attrs.frozen(kw_only=True)(cls)
    declared = [
        Spec(
            name=attribute.name,
            wire=attribute.metadata["wire"] or attribute.name,
            bound=attribute.metadata["bound"],
            required=attribute.default is attrs.NOTHING,
            default=attribute.default,
        )
        for attribute in attrs.fields(frozen_class)  # type: ignore[arg-type]
    ]
    frozen_class.__specs__ = {spec.wire: spec for spec in declared}  # type: ignore[attr-defined]
    frozen_class.__checks__ = [(it.name, it.wire, it.bound.read, it.default) for it in declared]  # type: ignore[attr-defined]
    frozen_class.__required__ = {spec.wire for spec in declared if spec.required}  # type: ignore[attr-defined]
    return frozen_class


def specs(command_type: type[object]) -> tuple[Spec, ...]:
    """Return the fields of a command, in the order of declaration."""
    return tuple(command_type.__specs__.values())  # type: ignore[attr-defined]


def object_schema(fields: Iterable[Spec]) -> JsonSchema:
    """Return the JSON Schema of an object with these fields and no others."""
    described = tuple(fields)
    return {
        "type": "object",
        "properties": {
            spec.wire: {"description": spec.bound.doc, **spec.bound.schema()} for spec in described
        },
        "required": [spec.wire for spec in described if spec.required],
        "additionalProperties": False,
    }


def set_fields(instance: object, *, exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of a command that are not `UNSET`, by attribute name."""
    names = [spec.name for spec in specs(type(instance)) if spec.name not in exclude]
    values = {name: getattr(instance, name) for name in names}
    return {name: value for name, value in values.items() if value is not UNSET}


def build(
    command_type: Callable[..., C],
    sent: Mapping[str, Any],
    elsewhere: Mapping[str, Any] | None = None,
    *,
    allowed: Mapping[str, Spec] | None = None,
) -> C:
    """
    Create a command from the fields of a request, by their names on the wire.

    Args:
        command_type: A class with the decorator `command`.
        sent: Fields from the body or the query.
        elsewhere: Fields from other parts of the request, such as its path.
        allowed: The fields that *sent* may have, by their names on the wire; None for all of the command.

    Raises:
        ValidationError: Fields are unknown, missing or out of bounds; it has all errors.
    """
    known: dict[str, Spec] = command_type.__specs__  # type: ignore[attr-defined]
    required: set[str] = command_type.__required__  # type: ignore[attr-defined]
    allowed = known if allowed is None else allowed
    values = {**sent, **elsewhere} if elsewhere else sent
    if sent.keys() <= allowed.keys() and required <= values.keys():
        return command_type(**{known[wire].name: value for wire, value in values.items()})
    unknown = [name for name in sent if name not in allowed]
    missing = [wire for wire in known if wire in required and wire not in values]
    # Cut, because the response repeats names that the caller chose.
    errors = [FieldError(name[:128], "is not a field of this request") for name in unknown[:100]]
    errors += [FieldError(wire, "is required") for wire in missing]
    for wire, spec in known.items():
        if wire in values and wire not in unknown:
            try:
                spec.bound.read(values[wire])
            except BoundError as error:
                errors += _inside(wire, error)
    raise ValidationError(errors=tuple(errors))
