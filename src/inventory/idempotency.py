"""
Idempotency keys, and the records of requests that were executed under them.

A record is written in the same transaction as the effect of its request, so both are written or neither.
"""

import json
import re
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Any, Final, Self

import attrs
from attrs import define, frozen

from inventory.errors import FieldError
from inventory.items import Timestamp
from inventory.validation import UNSET, BoundError, JsonSchema

__all__ = [
    "IDEMPOTENCY_KEY",
    "RETENTION_SECONDS",
    "IdempotencyKey",
    "IdempotencyRecord",
    "fingerprint",
]

RETENTION_SECONDS: Final = 24 * 60 * 60

# Most values of a request: their `repr` is canonical.
_PLAIN: Final = frozenset({bool, int, str, Decimal, type(None)})

_VISIBLE_ASCII: Final = r"[\x21-\x7e]{1,255}"


@define
class IdempotencyKey:
    """
    A caller's name for one request. A repeated request has no second effect and returns the same answer.

    Attributes:
        value: 1 to 255 visible ASCII characters.
        scope: The caller; two callers may use the same value for different requests.
        row: The index of a row in the batch that the key was sent with; None for the whole request.
        replayed: Set by the call: whether the answer is that of an earlier request.
    """

    value: str = attrs.field(on_setattr=attrs.setters.frozen)
    scope: str = attrs.field(default="", on_setattr=attrs.setters.frozen)
    row: int | None = attrs.field(default=None, on_setattr=attrs.setters.frozen)
    replayed: bool = attrs.field(default=False, eq=False)

    @value.validator
    def _check(self, _attribute: Any, value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch(_VISIBLE_ASCII, value):
            raise ValueError(value)

    @property
    def record_id(self) -> str:
        """The ID of the record: of fixed length, unique for scope, value and row."""
        return sha256(json.dumps([self.scope, self.value, self.row]).encode()).hexdigest()

    def for_row(self, index: int) -> Self:
        """Return the key of one row of a batch."""
        return attrs.evolve(self, row=index)


class _IdempotencyKeyBound:
    doc = "A unique name for this request: repeated within 24 hours, it returns the first response and has no second effect."

    def read(self, value: Any) -> IdempotencyKey:
        if isinstance(value, IdempotencyKey):
            return value
        try:
            return IdempotencyKey(value)
        except ValueError:
            raise BoundError(FieldError("", "must be 1 to 255 visible ASCII characters")) from None

    def schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}


IDEMPOTENCY_KEY: Final = _IdempotencyKeyBound()


@frozen(kw_only=True)
class IdempotencyRecord:
    """
    The stored answer of an idempotency key.

    Attributes:
        record_id: `IdempotencyKey.record_id`.
        fingerprint: The fingerprint of the request. The same key with another request is an error.
        answer: The answer of the use case: an `Item`, `StockChange`, `Transfer`, `Reservation` or a tuple of `RowResult`.
        stored_at: When the request was executed.
        expires_at: From then on the record is ignored, deleted or not.
    """

    record_id: str
    fingerprint: str
    answer: Any
    stored_at: Timestamp
    expires_at: Timestamp

    @classmethod
    def of(cls, key: IdempotencyKey, request: str, answer: Any, *, at: Timestamp) -> Self:
        """Return the record of a request; *request* is its fingerprint."""
        return cls(
            record_id=key.record_id,
            fingerprint=request,
            answer=answer,
            stored_at=at,
            expires_at=at.plus(RETENTION_SECONDS),
        )


def fingerprint(command: Any) -> str:
    """Return a text that identifies the request, without its key."""
    return sha256(repr(_canonical(command)).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: Any) -> Any:
    """Return *value* in a form whose `repr` is equal for equal requests."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if names := _field_names(kind):
        fields = ((name, getattr(value, name)) for name in names)
        # Without unset fields, so that a later version can add optional ones.
        sent = [
            (name, part if type(part) in _PLAIN else _canonical(part))
            for name, part in fields
            if part is not UNSET
        ]
        return (kind.__name__, sent)
    if isinstance(value, tuple | list):
        return [_canonical(part) for part in value]
    return sorted(value) if isinstance(value, frozenset) else value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    fields = attrs.fields(kind) if attrs.has(kind) else ()
    return tuple(it.name for it in fields if it.name != "idempotency_key")
