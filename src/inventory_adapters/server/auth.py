"""API keys of the local server: their file, and the delay after wrong keys."""

import asyncio
import logging
import os
import re
import stat
from collections import deque
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from time import monotonic
from typing import Final

from attrs import Factory, define, field, frozen

from inventory_adapters.http.errors import HttpError

__all__ = ["ApiKey", "ApiKeys", "KeysError", "read_keys"]

_LINE: Final = re.compile(r"(?P<name>[^:\s]+):\s*(?P<secret>[!-~]+)(?P<read_only>\s+read-only)?")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MIN_SECRET_LENGTH: Final = 20
_MIN_DIFFERENT_CHARACTERS: Final = 6

# From the next wrong key within a minute on, an address waits for its 401s.
_WRONG_KEYS_A_MINUTE: Final = 10
_MINUTE_SECONDS: Final = 60.0
_DELAY_SECONDS: Final = 1.0
_MOST_WAITING: Final = 100
# Limits the memory for addresses. The one whose last wrong key is the oldest is forgotten first.
_MOST_ADDRESSES: Final = 10_000

# RFC 9110, section 15.5.2 requires a challenge. Browsers ignore schemes that they do not know.
_CHALLENGE: Final = {"WWW-Authenticate": 'ApiKey realm="inventory"'}

logger = logging.getLogger("inventory_adapters.server.auth")


class KeysError(Exception):
    """The file of keys cannot be used; the message gives the reason, and no secret."""


@frozen
class ApiKey:
    """
    A key.

    Attributes:
        name: Its name, for the ledger and the log.
        digest: The SHA-256 of its secret.
        is_read_only: Whether requests that write are rejected.
    """

    name: str
    digest: bytes = field(repr=False)
    is_read_only: bool = False


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """
    Return the keys in a file of lines ``name: secret`` or ``name: secret read-only``; ``#`` starts a comment line.

    Raises:
        KeysError: The file cannot be read, is accessible to other users, has an invalid line or no key.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise KeysError(f"Cannot read the keys in {path}: {reason}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeysError(f"Other users can access the keys in {path}. Run: chmod 600 {path}")
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line and not line.startswith("#"):
            key = _parsed(line, f"{path}, line {number}")
            if key.name in keys or key.digest in {other.digest for other in keys.values()}:
                raise KeysError(f"{path}, line {number}: this name or secret is already used")
            keys[key.name] = key
    if not keys:
        raise KeysError(f"No keys in {path}. Add a line: NAME: SECRET")
    return tuple(keys.values())


def _parsed(line: str, place: str) -> ApiKey:
    match = _LINE.fullmatch(line)
    if match is None:
        raise KeysError(f"{place}: must be NAME: SECRET or NAME: SECRET read-only")
    if not _NAME.fullmatch(match["name"]):
        raise KeysError(f"{place}: a name has 1 to 64 letters, digits, dots, hyphens, underscores")
    secret = match["secret"]
    if len(secret) < _MIN_SECRET_LENGTH or len(set(secret)) < _MIN_DIFFERENT_CHARACTERS:
        raise KeysError(
            f"{place}: the secret is weak. It needs at least {_MIN_SECRET_LENGTH} random characters."
        )
    return ApiKey(match["name"], sha256(secret.encode()).digest(), match["read_only"] is not None)


@define
class ApiKeys:
    """
    The keys that a server accepts. An address that sends many wrong ones waits for its rejections.

    Args:
        path: The file of keys.
        clock: Returns the time in seconds.
        pause: Waits for a number of seconds.

    Raises:
        KeysError: The file cannot be used.
    """

    path: Path
    _clock: Callable[[], float] = monotonic
    _pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _keys: tuple[ApiKey, ...] = field(
        default=Factory(lambda self: read_keys(self.path), takes_self=True), init=False
    )
    # The times of the last wrong keys by address; the address of the newest one is the last.
    _wrong: dict[str, deque[float]] = field(factory=dict, init=False)
    _waiting: int = field(default=0, init=False)

    def reload(self) -> None:
        """Read the file again. If it cannot be used, keep the keys and log the reason."""
        try:
            self._keys = read_keys(self.path)
        except KeysError as error:
            logger.error("keys not reloaded", extra={"reason": str(error)})  # noqa: TRY400 - the reason is enough
        else:
            logger.info("keys reloaded", extra={"keys": len(self._keys)})

    async def require(self, secret: str | None, address: str) -> ApiKey:
        """
        Return the key with *secret*. A right key never waits.

        Raises:
            HttpError: The key is missing or wrong, or too many requests with wrong keys are waiting.
        """
        if secret is None:
            error = HttpError(
                "api_key_required", "Send an API key in the header X-Api-Key", headers=_CHALLENGE
            )
        else:
            digest = sha256(secret.encode()).digest()
            # Compares all keys, each in constant time, so that the duration says nothing about a secret.
            found = [key for key in self._keys if compare_digest(key.digest, digest)]
            if found:
                return found[0]
            error = HttpError("wrong_api_key", "The API key is wrong", headers=_CHALLENGE)
        if self._is_slowed(address, is_wrong=secret is not None):
            await self._delay()
        raise error

    def _is_slowed(self, address: str, *, is_wrong: bool) -> bool:
        """Return whether *address* waits; count this request if its key is wrong."""
        since = self._clock() - _MINUTE_SECONDS
        times = self._wrong.get(address, deque(maxlen=_WRONG_KEYS_A_MINUTE))
        is_slowed = len(times) == _WRONG_KEYS_A_MINUTE and times[0] > since
        if is_wrong:
            times.append(since + _MINUTE_SECONDS)
            self._wrong.pop(address, None)
            self._wrong[address] = times
            self._forget(since)
        return is_slowed

    def _forget(self, since: float) -> None:
        while len(self._wrong) > _MOST_ADDRESSES or next(iter(self._wrong.values()))[-1] <= since:
            del self._wrong[next(iter(self._wrong))]

    async def _delay(self) -> None:
        if self._waiting >= _MOST_WAITING:
            raise HttpError("too_many_wrong_keys", "Too many requests with wrong API keys")
        self._waiting += 1
        try:
            await self._pause(_DELAY_SECONDS)
        finally:
            self._waiting -= 1
