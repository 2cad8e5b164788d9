"""Transactions and savepoints on one connection."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Final

from inventory.timeouts import time_left
from inventory_adapters.storage.sqlite.errors import is_busy

__all__ = ["BUSY_SECONDS", "execute_when_free", "savepoint", "transaction"]

# How long a writer waits for its lock, unless the deadline of the request is nearer.
BUSY_SECONDS: Final = 2.0

# SQLite itself would wait with growing pauses, and miss the short times between two batches of another process's import.
_POLL_SECONDS: Final = 0.0002


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or roll it back on an error."""
    try:
        if db.in_transaction:
            # An exception from outside, such as a signal handler's, left a transaction open.
            db.execute("ROLLBACK")
        # Immediate, because a read that becomes a write cannot wait: SQLite rejects it if another connection wrote meanwhile.
        execute_when_free(db, "BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # Some errors make SQLite roll back by itself.
            with suppress(sqlite3.Error):  # The first error is the one to report.
                db.execute("ROLLBACK")
        raise


@contextmanager
def savepoint(db: sqlite3.Connection) -> Iterator[None]:
    """Roll back only the writes of the block if it fails."""
    db.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK TO part")
                db.execute("RELEASE part")
        raise
    db.execute("RELEASE part")


def execute_when_free(db: sqlite3.Connection, sql: str) -> sqlite3.Cursor:
    """Execute a statement as soon as no other process holds its lock, or raise the error at the deadline of the request."""
    ends_at = monotonic() + min(BUSY_SECONDS, time_left())
    while True:
        try:
            return db.execute(sql)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() >= ends_at:
                raise
        sleep(_POLL_SECONDS)
