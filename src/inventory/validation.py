"""
Bounds: what one field of a command may hold, declared once.

`field` puts a `Bound` on a field of a `command`. The same bound checks what a library caller passes and what arrived as
JSON, and describes itself as JSON Schema for gateway models and OpenAPI.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast, dataclass_transform, overload
from unicodedata import normalize

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
    "Spec",
    "Text",
    "Unset",
    "build",
    "command",
    "field",
    "normalized",
    "object_schema",
    "set_fields",
    "specs",
]

C = TypeVar("C")
Accepted_contra = TypeVar("Accepted_contra", contravariant=True)
Held_co = TypeVar("Held_co", covariant=True)
JsonSchema = dict[str, Any]


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""What a field of a partial update holds when the caller did not send it; None would be a value."""


class BoundError(Exception):
    """A value is out of its bound. Each fault names the place inside the value: `""` for the value itself."""

    def __init__(self, *faults: FieldError) -> None:
        super().__init__(faults)
        self.errors = faults


def _refused(message: str) -> BoundError:
    return BoundError(FieldError("", message))


class Bound(Protocol):
    """What a field may hold, and, in `doc`, one sentence for people on what it means."""

    @property
    def doc(self) -> str: ...

    def read(self, value: Any) -> Any:
        """
        Return *value* in its one canonical form.

        Raises:
            BoundError: *value* is not of the type, or out of the bound.
        """

    def schema(self) -> JsonSchema:
        """Describe the bound as JSON Schema (draft 2020-12, which OpenAPI 3.1 uses)."""


# Cc but tab, line feed and carriage return; and code points that no UTF-8 text can hold.
_CONTROLS: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_NOT_TEXT: Final = rf"[{_CONTROLS}\ud800-\udfff]"


@frozen
class Text:
    """Text that a person wrote, measured in characters."""

    max_length: int
    min_length: int = attrs.field(default=1, kw_only=True)
    may_be_blank: bool = attrs.field(default=False, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise _refused("must be text")
        if not self.min_length <= len(value) <= self.max_length:
            raise _refused(
                f"must be {self.min_length} to {self.max_length} characters long, not {len(value)}"
            )
        # What is printable has none of them; the rest may be tabs and line breaks.
        if not value.isprintable() and re.search(_NOT_TEXT, value):
            raise _refused(
                "must not contain control characters other than tabs and line breaks, or lone surrogates"
            )
        if not self.may_be_blank and value.isspace():
            raise _refused("must not be blank")
        return value

    def schema(self) -> JsonSchema:
        # Of each text there is a letter that is no blank, unless it may be blank; lone surrogates are no JSON in UTF-8.
        visible = "" if self.may_be_blank else rf"[^\s{_CONTROLS}][^{_CONTROLS}]*"
        return {
            "type": "string",
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "pattern": f"^[^{_CONTROLS}]*{visible}$",
        }


# White space as Unicode has it. Python's `str.strip` adds four controls, which must be rejected, not removed.
_WHITE_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# In regular expressions, here and in JSON Schema: the same white space, in a class.
_SPACES: Final = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JOINERS: Final = r"\u200c\u200d"
_VARIATION: Final = r"\ufe0f"
# What two people cannot tell apart on a label, or what breaks it: Cc, soft hyphen, bidi controls, characters of no width, line
# and paragraph separators. The block from U+2060 on has word joiner, invisible operators, bidi isolates, and nothing to see.
_NO_LINE: Final = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)
# NFC makes one character of four at most. Source: Unicode Standard Annex 15, table of maximum expansion factors.
_MOST_COMPOSED: Final = 4


def normalized(text: str) -> str:
    """Return one-line *text* as it is stored: in Unicode's form NFC, without white space at its ends."""
    text = text.strip(_WHITE_SPACE)
    return text if text.isascii() else normalize("NFC", text)


@frozen
class Line:
    """
    One line of text, normalized: what looks the same is the same.

    The length is that of the normalized text. Joiners (U+200C, U+200D) shape words and emoji, so names may have them.
    """

    max_length: int
    may_have_joiners: bool = attrs.field(default=False, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise _refused("must be text")
        text = value.strip(_WHITE_SPACE)
        # Sorting the marks of a long text takes quadratic time, so one that cannot become short enough is not normalized.
        if len(text) <= _MOST_COMPOSED * self.max_length:
            text = normalized(text)
        if not text:
            raise _refused("must not be blank")
        if len(text) > self.max_length:
            raise _refused(f"must be 1 to {self.max_length} characters long, not {len(text)}")
        # What is printable has none of them, but joiners are not printable.
        if not text.isprintable() and re.search(self._forbidden, text):
            raise _refused(
                "must be one line, without control characters, lone surrogates, or invisible characters"
            )
        if not re.search(self._visible, text):
            raise _refused("must not be blank")
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
    """Text that finds something: limited by what storage can look up, in bytes of UTF-8."""

    max_bytes: int
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise _refused("must be text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise _refused("must not contain lone surrogates") from None
        if not 0 < size <= self.max_bytes:
            raise _refused(f"must be 1 to {self.max_bytes} bytes long in UTF-8, not {size}")
        return value

    def schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1, "maxLength": self.max_bytes}


@frozen
class Integer:
    """A whole number; `true`, `"3"`, `2.9`, `5.0` and `1e3` are none."""

    minimum: int
    maximum: int
    may_be_zero: bool = attrs.field(default=True, kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> int:
        # bool is an int to Python, 5.0 and 1e3 arrive as Decimal: neither counts anything.
        if type(value) is not int or not self.minimum <= value <= self.maximum:
            raise _refused(f"must be a whole number from {self.minimum} to {self.maximum}")
        if value == 0 and not self.may_be_zero:
            raise _refused("must not be 0")
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
    """An exact amount from 0: an int, a Decimal or a decimal string; never a float, which is not exact."""

    maximum: Decimal
    places: int = attrs.field(kw_only=True)
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> Decimal:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", value):
            value = Decimal(value)
        elif type(value) is int:
            # Decimal(int) of a huge int is quadratic; what is out of bound need not be exact.
            value = Decimal(max(-1, min(value, int(self.maximum) + 1)))
        if not isinstance(value, Decimal) or not value.is_finite():
            raise _refused(f"must be a decimal number from 0 to {self.maximum}, such as 12.50")
        if not 0 <= value <= self.maximum:
            raise _refused(f"must be from 0 to {self.maximum}")
        try:
            exact = value.quantize(Decimal(1).scaleb(-self.places))
        except InvalidOperation:
            exact = None
        if exact != value:
            raise _refused(f"must have at most {self.places} decimal places")
        return canonical(value)

    def schema(self) -> JsonSchema:
        whole = len(str(int(self.maximum)))
        pattern = rf"^[0-9]{{1,{whole}}}(\.[0-9]{{1,{self.places}}})?$"
        # multipleOf 0.0001 would be truer, but validators compute it in binary floating point.
        return {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": float(self.maximum)},
                {"type": "string", "pattern": pattern},
            ]
        }


def canonical(value: Decimal) -> Decimal:
    """Return *value* without exponent or trailing zeros: every store gives the same digits back."""
    if value == value.to_integral_value():
        return Decimal(int(value))
    return value.normalize()


@frozen
class Choice:
    """One of a few words."""

    options: tuple[str, ...]
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise _refused(f"must be one of {', '.join(self.options)}")
        return value

    def schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self.options)}


@frozen
class Boolean:
    """A yes or a no; also as the words that a query string has."""

    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return cast("str", value) == "true"
        raise _refused("must be true or false")

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}


@frozen
class PageSize:
    """A number of rows, at least 1; also as the ASCII digits that a query string has."""

    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            # Cut to the deployment's maximum anyway, and int() refuses thousands of digits.
            value = int(value[-9:]) if not value[:-9].strip("0") else 10**9
        if type(value) is not int or value < 1:
            raise _refused("must be a whole number, at least 1")
        return value

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": 1}


@frozen
class Nullable:
    """None, or what *bound* may hold."""

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
    """An object with the fields of a command: such a command, or a mapping by the names on the wire."""

    kind: type[Any]
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> Any:
        if isinstance(value, self.kind):
            return value
        if not isinstance(value, Mapping):
            raise _refused("must be an object")
        try:
            return build(self.kind, value)
        except ValidationError as error:
            raise BoundError(
                *(FieldError(f".{fault.field}", fault.message) for fault in error.errors)
            ) from None

    def schema(self) -> JsonSchema:
        return object_schema(specs(self.kind))


@frozen
class List:
    """A list whose every row *bound* may hold."""

    bound: Bound
    max_length: int
    doc: str = attrs.field(default="", kw_only=True)

    def read(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _refused("must be a list")
        if not 1 <= len(value) <= self.max_length:
            raise _refused(f"must have 1 to {self.max_length} rows, not {len(value)}")
        rows: list[Any] = []
        faults: list[FieldError] = []
        for place, row in enumerate(value):
            try:
                rows.append(self.bound.read(row))
            except BoundError as refused:
                faults += _inside(f"[{place}]", refused)
        if faults:
            raise BoundError(*faults)
        return tuple(rows)

    def schema(self) -> JsonSchema:
        return {
            "type": "array",
            "items": self.bound.schema(),
            "minItems": 1,
            "maxItems": self.max_length,
        }


@frozen
class Spec:
    """
    One field of a command, as seen from outside.

    Attributes:
        name: The attribute of the command.
        wire: The name in JSON, query and path.
        bound: What it may hold.
        required: Whether a caller must send it.
        default: What it holds otherwise; `UNSET` where nothing.
    """

    name: str
    wire: str
    bound: Bound
    required: bool
    default: Any


class Converted(Generic[Accepted_contra, Held_co]):
    """
    How a type checker sees a field whose bound converts: callers pass the first type, the attribute has the second.

    For annotations alone: the attribute is an ordinary one. Source: "Dataclass semantics" of the typing specification, on
    fields whose type is a descriptor.
    """

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Held_co: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        raise NotImplementedError

    def __set__(self, instance: object, value: Accepted_contra) -> None:
        raise NotImplementedError


def field(bound: Bound, *, default: Any = attrs.NOTHING, wire: str | None = None) -> Any:
    """Declare a field of a command: what it may hold, and, where they differ, its name on the *wire*."""
    return attrs.field(default=default, metadata={"bound": bound, "wire": wire})


def _check_all(self: Any) -> None:
    faults: list[FieldError] = []
    for spec in self.__specs__.values():
        value = getattr(self, spec.name)
        if value is not UNSET and value is not spec.default:
            try:
                read = spec.bound.read(value)
            except BoundError as refused:
                faults += _inside(spec.wire, refused)
            else:
                if read is not value:
                    object.__setattr__(self, spec.name, read)
    if faults:
        raise ValidationError(errors=tuple(faults))


def _inside(wire: str, refused: BoundError) -> list[FieldError]:
    return [FieldError(wire + fault.field, fault.message) for fault in refused.errors]


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(field,),
)
def command(cls: type[C]) -> type[C]:
    """
    Make *cls* a frozen value whose fields were made by the helpers of this module.

    Creating one checks all its fields and raises one `ValidationError` with every fault.
    """
    cls.__attrs_post_init__ = _check_all  # type: ignore[attr-defined]
    made = attrs.frozen(kw_only=True)(cls)
    declared = [
        Spec(
            name=attribute.name,
            wire=attribute.metadata["wire"] or attribute.name,
            bound=attribute.metadata["bound"],
            required=attribute.default is attrs.NOTHING,
            default=attribute.default,
        )
        for attribute in attrs.fields(made)  # type: ignore[arg-type]
    ]
    made.__specs__ = {spec.wire: spec for spec in declared}  # type: ignore[attr-defined]
    made.__required__ = {spec.wire for spec in declared if spec.required}  # type: ignore[attr-defined]
    return made


def specs(command_type: type[object]) -> tuple[Spec, ...]:
    """Return the fields of a command, in order of declaration."""
    return tuple(command_type.__specs__.values())  # type: ignore[attr-defined]


def object_schema(fields: Iterable[Spec]) -> JsonSchema:
    """Describe an object with these fields, and no others, as JSON Schema."""
    described = list(fields)
    return {
        "type": "object",
        "properties": {
            spec.wire: {"description": spec.bound.doc, **spec.bound.schema()} for spec in described
        },
        "required": [spec.wire for spec in described if spec.required],
        "additionalProperties": False,
    }


def set_fields(made: object, *, exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of a command that hold more than `UNSET`, by attribute name, *but* some."""
    values = {
        spec.name: getattr(made, spec.name)
        for spec in specs(type(made))
        if spec.name not in exclude
    }
    return {name: value for name, value in values.items() if value is not UNSET}


def build(
    command_type: Callable[..., C],
    sent: Mapping[str, Any],
    elsewhere: Mapping[str, Any] | None = None,
    *,
    allowed: Mapping[str, Spec] | None = None,
) -> C:
    """
    Make a command from what a caller sent, by the names on the wire.

    Args:
        command_type: A class made by `command`.
        sent: What the caller was free to fill in.
        elsewhere: Fields that other parts of the request carry, such as its path.
        allowed: The fields that may stand in *sent*, by their names on the wire; None for all of the command.

    Raises:
        ValidationError: Fields are unknown, missing or out of bounds: all of them, at once.
    """
    known: dict[str, Spec] = command_type.__specs__  # type: ignore[attr-defined]
    required: set[str] = command_type.__required__  # type: ignore[attr-defined]
    allowed = known if allowed is None else allowed
    values = {**sent, **elsewhere} if elsewhere else sent
    if sent.keys() <= allowed.keys() and required <= values.keys():
        return command_type(**{known[wire].name: value for wire, value in values.items()})
    unknown = [name for name in sent if name not in allowed]
    missing = [wire for wire in known if wire in required and wire not in values]
    # Cut short, because the answer repeats what the caller made up.
    faults = [FieldError(name[:128], "is not a field of this request") for name in unknown[:100]]
    faults += [FieldError(wire, "is required") for wire in missing]
    for wire, spec in known.items():
        if wire in values and wire not in unknown:
            try:
                spec.bound.read(values[wire])
            except BoundError as refused:
                faults += _inside(wire, refused)
    raise ValidationError(errors=tuple(faults))
