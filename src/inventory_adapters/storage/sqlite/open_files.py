"""The identity of an open database's files."""

import os
from pathlib import Path

from inventory.errors import StorageUnavailableError

__all__ = ["OpenFiles"]

_Identity = tuple[int, int] | None


class OpenFiles:
    """
    The identity of a database file, its log and its shared memory.

    A connection keeps using the files that it opened, even after they were replaced, and SQLite reports no error: writes are
    lost, and another process combines the new database with the log of the old one.
    Source: "How To Corrupt An SQLite Database File", sections 2.4 and 4, sqlite.org.

    Args:
        path: A database that a connection has open in WAL mode.
    """

    def __init__(self, path: Path) -> None:
        self._main = str(path)
        self._paths = (self._main, f"{path}-wal", f"{path}-shm")
        self._main_identity = _identity(self._main)
        self._identities = self._current()

    def check_all(self) -> None:
        """
        Check all the files.

        Raises:
            StorageUnavailableError: A file was replaced, moved or deleted.
        """
        if not self.are_in_place():
            raise self._error()

    def check_main(self) -> None:
        """
        Check only the database file.

        Raises:
            StorageUnavailableError: The file was replaced, moved or deleted.
        """
        if _identity(self._main) != self._main_identity:
            raise self._error()

    def are_in_place(self) -> bool:
        """Return whether every path still names the open file."""
        return self._current() == self._identities

    def _current(self) -> list[_Identity]:
        return [_identity(path) for path in self._paths]

    def _error(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"{self._main} or its -wal or -shm file was replaced or deleted while it was open. Open it again."
        )


def _identity(path: str) -> _Identity:
    try:
        # Five times per write: a Path would take twice as long.
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino
