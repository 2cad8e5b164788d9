"""Transactions and savepoints on one connection."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from inventory.timeouts import time_left

__all__ = ["BUSY_SECONDS", "savepoint", "transaction"]

# How long a writer waits for its lock, unless the deadline of the request is nearer.
BUSY_SECONDS: Final = 2.0


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or roll it back on an error."""
    try:
        if db.in_transaction:
            # An exception from outside, such as a signal handler's, left a transaction open.
            db.execute("ROLLBACK")
        # Immediate, because a read that becomes a write cannot wait: SQLite rejects it if another connection wrote meanwhile.
        with _shorter_wait(db):
            db.execute("BEGIN IMMEDIATE")
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


@contextmanager
def _shorter_wait(db: sqlite3.Connection) -> Iterator[None]:
    """Limit the wait for other processes to the deadline of the request."""
    left = time_left()
    if left >= BUSY_SECONDS:
        yield
        return
    try:
        db.execute(f"PRAGMA busy_timeout = {max(0, int(left * 1000))}")
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
