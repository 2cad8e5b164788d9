"""Who sends a request: the caller, to whom idempotency keys belong, and the actor, who is named in the ledger and the log."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from attrs import field, frozen

from inventory.errors import FieldError, ValidationError

__all__ = ["ACTOR_HEADER", "MAX_USER_LENGTH", "Identity", "named_user"]

ACTOR_HEADER: Final = "X-Actor"
MAX_USER_LENGTH: Final = 128
_MAX_ACTOR_LENGTH: Final = 256
# Actors of the system itself, such as the sweeper.
_RESERVED_PREFIX: Final = "system:"


def _actor(text: str | None) -> str | None:
    if text is None:
        return None
    if text.startswith(_RESERVED_PREFIX):
        raise _invalid(f"must not begin with {_RESERVED_PREFIX}")
    return text[:_MAX_ACTOR_LENGTH]


def _invalid(message: str) -> ValidationError:
    return ValidationError(errors=(FieldError("actor", message),))


@frozen
class Identity:
    """
    The sender of a request, as a gateway authenticated it.

    Attributes:
        caller: The scope of idempotency keys, with its kind: ``api-key:k1``. Empty without authentication.
        actor: Who acts, at most 256 characters; None if unknown.

    Raises:
        ValidationError: The actor is one of the system.
    """

    caller: str = ""
    actor: str | None = field(default=None, converter=_actor)


def named_user(headers: Mapping[str, str], *, key: str | None = None) -> str | None:
    """
    Return the actor of a client that may name its user in `X-Actor`: ``till-1/anna``.

    Args:
        headers: By lower-case name.
        key: The name of the client's key; None if it has none.

    Raises:
        ValidationError: The header is not 1 to 128 visible characters, or names an actor of the system.
    """
    user = headers.get(ACTOR_HEADER.lower())
    if user is None:
        return key
    with suppress(UnicodeError):
        # Servers decode headers as Latin-1, but clients send UTF-8.
        user = user.encode("latin-1").decode()
    if not 1 <= len(user) <= MAX_USER_LENGTH or not user.isprintable() or user.isspace():
        raise _invalid(f"must be 1 to {MAX_USER_LENGTH} visible characters")
    user = _actor(user)
    return f"{key}/{user}" if key else user
