"""Translation of SQLite's errors into those of the port."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inventory.errors import StorageError, StorageThrottledError, StorageUnavailableError

__all__ = ["is_busy", "translated", "translation"]

# What is wrong, and what to do about it, by primary result code.
_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: ("The database's disk is full", "Free some space on it"),
    sqlite3.SQLITE_IOERR: ("The database's disk failed", "Check the disk"),
    sqlite3.SQLITE_READONLY: (
        "The database may not be written to",
        "Check the permissions of its file and folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The database cannot be opened",
        "Check that its folder still exists",
    ),
    sqlite3.SQLITE_CORRUPT: ("The database is damaged", "Restore it from a backup"),
    sqlite3.SQLITE_NOTADB: ("The file is not a database any more", "Restore it from a backup"),
}


@contextmanager
def translated() -> Iterator[None]:
    """Translate every error of SQLite into an error of the port."""
    try:
        yield
    except sqlite3.Error as error:
        raise translation(error) from error


def translation(error: sqlite3.Error) -> StorageError:
    """Return the port's error for *error*."""
    if is_busy(error):
        return StorageThrottledError()
    problem = _PROBLEMS.get(_primary_code(error))
    if problem is None:
        return StorageUnavailableError(f"The database failed ({error})")
    what, advice = problem
    return StorageUnavailableError(f"{what} ({error}). {advice}.")


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection held a lock for too long."""
    return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _primary_code(error: sqlite3.Error) -> int:
    # The low byte is the primary result code. Errors that the Python module raises itself have no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
