"""Connections to the file, and its initialization."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NoReturn

from inventory.errors import StorageUnavailableError
from inventory_adapters.storage.sqlite.schema import APPLICATION_ID, MIGRATIONS
from inventory_adapters.storage.sqlite.transactions import (
    BUSY_SECONDS,
    execute_when_free,
    transaction,
)

__all__ = ["Durability", "open_reader", "open_writer"]

Durability = Literal["full", "normal"]

# Memory for the writer's page cache. An import returns to the same pages of the indexes again and again.
_WRITER_CACHE_KB: Final = 32_000


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to an existing file."""
    # mode=ro, because SQLite would otherwise create an empty database in place of a file that was deleted.
    return _connect(f"{path.as_uri()}?mode=ro")


def open_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """
    Return a connection to a file of this program, migrated, in WAL mode.

    Raises:
        StorageUnavailableError: The file belongs to another program, has a newer version, is damaged or cannot be opened.
    """
    # A new file is for its owner alone; SQLite gives the -wal and -shm files its mode. Only a new one is opened here, because
    # closing a file that SQLite has open would release its locks. `_connect` reports errors.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        db = _connect(path.as_uri())
    except sqlite3.Error as error:
        _reject(
            path,
            f"cannot be opened ({error}). Check that its folder exists and is writable.",
            error,
        )
    try:
        _check_owner(db, path)
        _migrate(db)
        _turn_on_wal(db, path)
        # The first read creates the -wal and -shm files of a new database, whose identities `OpenFiles` records.
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        db.execute(f"PRAGMA synchronous = {durability}")
        db.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KB}")
        # Savepoints keep copies of pages, otherwise in a temporary file: half of the time of a change in a group.
        db.execute("PRAGMA temp_store = MEMORY")
        # Only macOS supports it: there, a plain fsync leaves the last writes in the drive's cache.
        db.execute(f"PRAGMA fullfsync = {int(durability == 'full')}")
        # From here on, `execute_when_free` waits.
        db.execute("PRAGMA busy_timeout = 0")
    except sqlite3.Error as error:
        db.close()
        _reject(
            path,
            f"cannot be used ({error}). Check that it is a complete database and that you may write to it and its folder.",
            error,
        )
    except BaseException:
        db.close()
        raise
    return db


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _check_owner(db: sqlite3.Connection, path: Path) -> None:
    """Reject a file of another program before anything is written to it."""
    # One transaction for all three reads: between them, another process could set up the file.
    db.execute("BEGIN")
    application_id, version, tables = (
        db.execute(sql).fetchone()[0]
        for sql in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    db.execute("ROLLBACK")
    is_new = (application_id, version, tables) == (0, 0, 0)
    if application_id != APPLICATION_ID and not is_new:
        _reject(path, "is a database of another program. Choose another path.")
    if version > len(MIGRATIONS):
        _reject(
            path,
            f"was written by a newer version of this program (schema {version}, supported: {len(MIGRATIONS)}). "
            "Upgrade, or choose another path.",
        )


def _migrate(db: sqlite3.Connection) -> None:
    while _version(db) < len(MIGRATIONS):
        with transaction(db):
            version = _version(db)  # Another process may have applied this migration meanwhile.
            for statement in MIGRATIONS[version] if version < len(MIGRATIONS) else ():
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {min(version + 1, len(MIGRATIONS))}")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _turn_on_wal(db: sqlite3.Connection, path: Path) -> None:
    # SQLite does not wait for a lock on this statement, so two processes that open a new file at once can collide.
    [mode] = execute_when_free(db, "PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        _reject(
            path,
            "is on a file system where processes cannot share memory, such as a network drive. Choose a local path.",
        )


def _reject(path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    raise StorageUnavailableError(f"{path} {reason}") from cause
