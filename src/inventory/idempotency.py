"""
Idempotency keys: the note that a key was served, and the answer to give again.

The note is written in the same transaction as the effect that it speaks of, so there is never one without the other.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from hashlib import sha256
from types import UnionType
from typing import Any, Final, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
from attrs import define, frozen

from inventory.errors import Fault
from inventory.items import Timestamp
from inventory.validation import UNSET, JsonSchema, RefusedError

__all__ = [
    "IDEMPOTENCY_KEY",
    "KEPT_SECONDS",
    "IdempotencyKey",
    "ServedRecord",
    "fingerprint",
    "freeze",
    "thaw",
]

T = TypeVar("T")

KEPT_SECONDS: Final = 24 * 60 * 60

_SCALARS: Final = frozenset({str, int, bool, type(None)})

_VISIBLE_ASCII: Final = r"[\x21-\x7e]{1,255}"


@define
class IdempotencyKey:
    """
    A caller's name for one request, however often it is sent: the effect happens once, and the answer is the same.

    Attributes:
        value: 1 to 255 visible ASCII characters.
        scope: Whose key it is; two callers may use the same value for different things.
        row: The place of a row in the batch that the key was sent with; None for the request as a whole.
        replayed: Set by the call: whether the answer is the one to an earlier request.
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
        """What the record of this key is stored under; of one length, whatever the key's."""
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
            raise RefusedError(Fault("", "must be 1 to 255 visible ASCII characters")) from None

    def schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}


IDEMPOTENCY_KEY: Final = _IdempotencyKeyBound()


@frozen(kw_only=True)
class ServedRecord:
    """
    The note that a key was served.

    Attributes:
        record_id: `IdempotencyKey.record_id`.
        fingerprint: Of the request that was served; another request under the same key is a mistake.
        answer: The result, as `freeze` wrote it.
        served_at: When.
        expires_at: From then on the record counts as absent, deleted or not.
    """

    record_id: str
    fingerprint: str
    answer: str
    served_at: Timestamp
    expires_at: Timestamp


def fingerprint(operation: str, command: Any) -> str:
    """Return a text that differs between requests; the key itself is not part of one."""
    sent = {
        attribute.name: getattr(command, attribute.name)
        for attribute in attrs.fields(type(command))
        if attribute.name != "idempotency_key"
    }
    return sha256(freeze([operation, sent]).encode()).hexdigest()


def freeze(value: Any) -> str:
    """Write *value* (attrs values, enums, Decimals, text, numbers, sequences and mappings of them) as text."""
    return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True)


def thaw(kind: Any, text: str) -> Any:
    """Return what `freeze` wrote: a value of *kind*, equal to the one that was written."""
    return _read(kind, json.loads(text))


def _plain(value: Any) -> Any:
    kind: type = type(value)
    if kind in _SCALARS:
        return value
    if kind is Decimal:
        return str(value)
    if isinstance(value, Mapping):
        # What was not sent leaves no trace: written as a text, it would be one that somebody could send.
        return {name: _plain(part) for name, part in value.items() if part is not UNSET}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(part) for part in value)
    names = _field_names(kind)
    return _plain({name: getattr(value, name) for name in names}) if names else value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind)) if attrs.has(kind) else ()


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, plain: Any) -> Any:
    if attrs.has(kind):
        return kind(
            **{
                name: _read(hint, plain[name])
                for name, hint in _hints(kind).items()
                if name in plain
            }
        )
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        [inner] = [part for part in get_args(kind) if part is not type(None)]
        return None if plain is None else _read(inner, plain)
    if origin is tuple:
        return tuple(_read(get_args(kind)[0], part) for part in plain)
    if isinstance(kind, type) and issubclass(kind, Decimal | Timestamp | StrEnum):
        return kind(plain)
    return cast("Any", plain)
