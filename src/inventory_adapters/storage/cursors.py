"""
Page tokens: opaque, tamper-evident, and bound to their query.

A token is URL-safe base64 of ``[version, fingerprint of the query, *position]`` as JSON, after the first bytes of its SHA-256.
The hash needs no secret: it detects a token that a client damaged, and a forged token grants no more access than its query.
The position is validated as well, because storage rejects a start key of the wrong shape.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from inventory.errors import InvalidCursorError
from inventory.items import Item
from inventory.paging import Cursor
from inventory.ports import ItemFilter, MovementFilter, ReservationFilter

__all__ = [
    "decode",
    "decode_item",
    "decode_movement",
    "decode_reservation",
    "encode",
    "encode_item",
    "encode_movement",
    "encode_reservation",
    "fingerprint",
]

_VERSION: Final = 1
_HASH_BYTES: Final = 12

# Most bytes of item_id and sku and, in a list by category, of updated_at before them: DynamoDB's limits for keys.
_BY_ID: Final = (2048, 1024)
_BY_EDIT: Final = (1024, 2048, 1024)


def encode_item(item_filter: ItemFilter, item: Item) -> Cursor:
    """Return the token for the position of *item* in a list."""
    return encode(fingerprint(item_filter), item_filter.position(item))


def decode_item(item_filter: ItemFilter, token: Cursor) -> tuple[str, ...]:
    """
    Return the position in *token*, as defined by `ItemFilter.position`.

    Raises:
        InvalidCursorError: As `decode`.
    """
    return decode(
        token, fingerprint(item_filter), _BY_EDIT if item_filter.index == "category" else _BY_ID
    )


def encode_movement(movement_filter: MovementFilter, seq: int) -> Cursor:
    """Return the token for the position of a movement in a list."""
    return encode(_movements(movement_filter), (f"{seq:012}",))


def decode_movement(movement_filter: MovementFilter, token: Cursor) -> int:
    """
    Return the `seq` in *token*, a position in a list of movements.

    Raises:
        InvalidCursorError: As `decode`.
    """
    [seq] = decode(token, _movements(movement_filter), (12,))
    if not (seq.isascii() and seq.isdigit()):
        raise InvalidCursorError
    return int(seq)


def _movements(movement_filter: MovementFilter) -> str:
    return fingerprint(movement_filter.key, movement_filter.since, movement_filter.until)


def encode_reservation(reservation_filter: ReservationFilter, position: tuple[str, str]) -> Cursor:
    """Return the token for a `Reservation.position` in a list."""
    return encode(fingerprint(reservation_filter), position)


def decode_reservation(reservation_filter: ReservationFilter, token: Cursor) -> tuple[str, ...]:
    """
    Return the position in *token*, as defined by `Reservation.position`.

    Raises:
        InvalidCursorError: As `decode`.
    """
    return decode(token, fingerprint(reservation_filter), (64, 1024))


def fingerprint(*query: object) -> str:
    """Return a short text that identifies *query*."""
    return sha256(json.dumps(query, default=str).encode()).hexdigest()[:16]


def encode(query: str, position: tuple[str, ...]) -> Cursor:
    """Return the token for *position* in the query with this fingerprint."""
    payload = json.dumps([_VERSION, query, *position], separators=(",", ":")).encode()
    return urlsafe_b64encode(sha256(payload).digest()[:_HASH_BYTES] + payload).decode().rstrip("=")


def decode(token: Cursor, query: str, max_bytes: tuple[int, ...]) -> tuple[str, ...]:
    """
    Return the position in *token*, as texts of 1 to *max_bytes* bytes.

    Raises:
        InvalidCursorError: The token is malformed, was edited, or belongs to another query.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        digest, payload = raw[:_HASH_BYTES], raw[_HASH_BYTES:]
        version, token_query, *position = json.loads(payload)
        valid = (
            # A position has one spelling, because base64 decoders ignore some edits.
            token == encode(token_query, tuple(position))
            and digest == sha256(payload).digest()[:_HASH_BYTES]
            and (version, token_query) == (_VERSION, query)
            and len(position) == len(max_bytes)
            and all(
                isinstance(part, str) and 0 < len(part.encode()) <= limit
                for part, limit in zip(position, max_bytes, strict=True)
            )
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidCursorError from error
    if not valid:
        raise InvalidCursorError
    return tuple(position)
