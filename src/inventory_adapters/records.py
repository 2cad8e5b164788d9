"""
Domain values as stored and exported records, with the one cattrs converter.

The converter is strict: it never converts text to a number or a number to text, and an unknown field is an error. As cattrs
is slow to import, modules on the path of a request import this module only where they read or write a record.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

from cattrs import Converter, ForbiddenExtraKeysError, override
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from inventory.batch import RowResult
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, Timestamp
from inventory.reservations import Reservation, ReservationState
from inventory.stock import MovementKind, StockChange, Transfer

__all__ = [
    "RecordError",
    "answer_from_text",
    "answer_to_text",
    "structure",
    "to_text",
    "unstructure",
]

T = TypeVar("T")


class RecordError(ValueError):
    """A stored record is not JSON or does not have the expected shape."""


def _exactly(kind: type[T]) -> Callable[[Any, Any], T]:
    def check(value: Any, _kind: Any) -> T:
        # Not isinstance, because a bool is an int in Python.
        if type(value) is not kind:
            raise TypeError(f"must be {kind.__name__}, not {type(value).__name__}")
        return value

    return check


def _from_text(kind: Callable[[str], T]) -> Callable[[Any, Any], T]:
    check = _exactly(str)
    return lambda value, _: kind(check(value, str))


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for plain in (bool, int, str):
        converter.register_structure_hook(plain, _exactly(plain))
    # A hook also applies to subclasses, so subclasses of str need hooks of their own.
    for kind in (Decimal, MovementKind, ReservationState, Timestamp):
        converter.register_structure_hook(kind, _from_text(kind))
    # As text, because JSON has no exact decimal numbers.
    converter.register_unstructure_hook(Decimal, str)
    # A stored answer does not contain the item before the change.
    omitted = override(omit=True)
    converter.register_unstructure_hook(
        StockChange, make_dict_unstructure_fn(StockChange, converter, before=omitted)
    )
    converter.register_structure_hook(
        StockChange, make_dict_structure_fn(StockChange, converter, before=omitted)
    )
    return converter


_CONVERTER: Final = _converter()

# The results of use cases that take an idempotency key, by their names in records.
_ANSWERS: Final[dict[str, Any]] = {
    "item": Item,
    "stock_change": StockChange,
    "transfer": Transfer,
    "reservation": Reservation,
    "row_results": tuple[RowResult, ...],
}
_ANSWER_NAMES: Final = {kind: name for name, kind in _ANSWERS.items()}


# The errors that cattrs raises if a record does not have the expected shape.
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    ForbiddenExtraKeysError,
    LookupError,
    TypeError,
    ValueError,
)


def unstructure(value: Any) -> Any:
    """Return an attrs value as JSON types: ``{"key": {"item_id": ..., "sku": ...}, "price": "9.90"}``."""
    return _CONVERTER.unstructure(value)


def structure(record: Any, kind: type[T]) -> T:
    """
    Return the value of *kind* that `unstructure` converted to *record*.

    Raises:
        RecordError: A field is missing, unknown or of a wrong type.
    """
    try:
        return _CONVERTER.structure(record, kind)
    except _UNREADABLE as error:
        raise RecordError(f"not a record of {kind}: {error!r}") from error


def answer_to_text(answer: Any) -> str:
    """Return the answer of an idempotency record as JSON: ``{"type": "item", "value": {...}}``."""
    kind = tuple[RowResult, ...] if isinstance(answer, tuple) else type(answer)
    record = {
        "type": _ANSWER_NAMES[kind],
        "value": _CONVERTER.unstructure(answer, unstructure_as=kind),
    }
    return to_text(record)


def to_text(record: Any) -> str:
    """Return JSON types as one line of JSON."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def answer_from_text(text: str) -> Any:
    """
    Return the answer that `answer_to_text` wrote.

    Raises:
        RecordError: *text* is not the record of an answer.
    """
    try:
        record = json.loads(text)
        kind, value = _ANSWERS[record["type"]], record["value"]
    except (LookupError, TypeError, ValueError) as error:
        raise RecordError(f"not an answer: {error!r}") from error
    return structure(value, kind)


# The answer may be of any of several types, so it is text that names its type.
_CONVERTER.register_unstructure_hook(
    IdempotencyRecord,
    make_dict_unstructure_fn(
        IdempotencyRecord, _CONVERTER, answer=override(unstruct_hook=answer_to_text)
    ),
)
_CONVERTER.register_structure_hook(
    IdempotencyRecord,
    make_dict_structure_fn(
        IdempotencyRecord,
        _CONVERTER,
        answer=override(struct_hook=lambda text, _: answer_from_text(text)),
    ),
)
