"""The identity of the files of an open database."""

import os
from pathlib import Path

from inventory.errors import StorageUnavailableError

__all__ = ["OpenFiles"]

_Identity = tuple[int, int] | None


class OpenFiles:
    """
    The database file at a path, with its write-ahead log and its shared memory, as they are now.

    A connection keeps the files that it has opened. Once a path leads to other ones, SQLite goes on without an error: writes
    are lost, and another process combines the new database with the log of the old one.
    Source: "How To Corrupt An SQLite Database File", sections 2.4 and 4, sqlite.org.

    Args:
        path: The database, which a connection has open in WAL mode.
    """

    def __init__(self, path: Path) -> None:
        self._main = os.fspath(path)
        self._paths = (self._main, f"{self._main}-wal", f"{self._main}-shm")
        self._main_identity = _identity(self._main)
        self._identities = self._current_app()

    def check_all(self) -> None:
        """
        Check all the files.

        Raises:
            StorageUnavailableError: One was replaced, moved or deleted.
        """
        if not self.are_in_place():
            raise self._error()

    def check_main(self) -> None:
        """
        Check the database file alone.

        Raises:
            StorageUnavailableError: It was replaced, moved or deleted.
        """
        if _identity(self._main) != self._main_identity:
            raise self._error()

    def are_in_place(self) -> bool:
        """Return whether every path still leads to the file that is open."""
        return self._current_app() == self._identities

    def _current_app(self) -> list[_Identity]:
        return [_identity(path) for path in self._paths]

    def _error(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"{self._main} or its -wal or -shm file was replaced or deleted while it was open. Open it again."
        )


def _identity(path: str) -> _Identity:
    try:
        status = os.stat(path)  # noqa: PTH116 - for every read: twice as fast as Path.stat
    except OSError:
        return None
    return status.st_dev, status.st_ino
