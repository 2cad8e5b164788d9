"""
Position ↔ token: opaque, tamper-evident, and bound to the query that it came from.

A token is URL-safe base64 of ``[version, fingerprint of the query, *position]`` as JSON, after the first bytes of its SHA-256.
The hash needs no secret: it tells a client early that it mangled a token, and a forged token grants nothing that its query
does not. What is inside is checked all the same, because storage refuses a start key of the wrong shape.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from inventory.errors import InvalidCursorError
from inventory.items import Item, ItemKey
from inventory.paging import Cursor
from inventory.ports import ItemFilter

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

# Bytes of item_id and sku, and of updated_at before them where a category is walked: what DynamoDB takes as keys.
_BY_ID: Final = (2048, 1024)
_BY_EDIT: Final = (1024, 2048, 1024)


def encode_item(wanted: ItemFilter, item: Item) -> Cursor:
    """Return the token for the place of *item* in the list of *wanted*."""
    return encode(fingerprint(wanted), wanted.position(item))


def decode_item(wanted: ItemFilter, token: Cursor) -> tuple[str, ...]:
    """
    Return the place in the list of *wanted* that *token* names, as `ItemFilter.position` gives it.

    Raises:
        InvalidCursorError: As `decode`.
    """
    return decode(token, fingerprint(wanted), _BY_EDIT if wanted.index == "category" else _BY_ID)


def encode_movement(key: ItemKey, seq: int) -> Cursor:
    """Return the token for the place of a movement in the ledger of *key*."""
    return encode(fingerprint("movements", key), (f"{seq:012}",))


def decode_movement(key: ItemKey, token: Cursor) -> int:
    """
    Return the `seq` of the movement in the ledger of *key* that *token* names.

    Raises:
        InvalidCursorError: As `decode`.
    """
    [seq] = decode(token, fingerprint("movements", key), (12,))
    if not (seq.isascii() and seq.isdigit()):
        raise InvalidCursorError
    return int(seq)


def encode_reservation(position: tuple[str, str]) -> Cursor:
    """Return the token for the *position* of a reservation among those that are held, as `Reservation.position` gives it."""
    return encode(fingerprint("held"), position)


def decode_reservation(token: Cursor) -> tuple[str, ...]:
    """
    Return the position among held reservations that *token* names.

    Raises:
        InvalidCursorError: As `decode`.
    """
    return decode(token, fingerprint("held"), (64, 1024))


def fingerprint(*query: object) -> str:
    """Return a short text that differs between queries; page sizes are not part of a query."""
    return sha256(json.dumps(query, default=str).encode()).hexdigest()[:16]


def encode(query: str, position: tuple[str, ...]) -> Cursor:
    """Return the token for *position* in the results of the query with fingerprint *query*."""
    payload = json.dumps([_VERSION, query, *position], separators=(",", ":")).encode()
    return urlsafe_b64encode(sha256(payload).digest()[:_HASH_BYTES] + payload).decode().rstrip("=")


def decode(token: Cursor, query: str, max_bytes: tuple[int, ...]) -> tuple[str, ...]:
    """
    Return the position in *token*: one text of 1 to *max_bytes* bytes for each part.

    Raises:
        InvalidCursorError: The token is malformed, was edited, or is of another query.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        digest, payload = raw[:_HASH_BYTES], raw[_HASH_BYTES:]
        version, of_query, *position = json.loads(payload)
        valid = (
            # One token for one position: what decodes alike but is spelled differently was edited.
            token == encode(of_query, tuple(position))
            and digest == sha256(payload).digest()[:_HASH_BYTES]
            and (version, of_query) == (_VERSION, query)
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
