"""
The outbox: events that are stored with their change, until every sink has them.

A sink is where events are delivered to: a webhook, or a file. Sinks are in the file, so that every program that writes to it
writes events, too. Each sink has a position in the outbox; `inventory_adapters.events.webhooks` moves it.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import attrs
from attrs import field, frozen

from inventory.events import Event, events_of
from inventory.items import Timestamp
from inventory.ports import Change
from inventory_adapters.events.cloud_events import event_to_text
from inventory_adapters.storage.sqlite import schema

__all__ = ["LARGEST_BATCH", "Outbox", "Pending", "Sink", "store_events"]

LARGEST_BATCH: Final = 100
"""Maximum number of events that one request delivers."""

SOURCE: Final = "inventory"


@frozen(kw_only=True)
class Sink:
    """
    Where events are delivered to, and how far the delivery is.

    Attributes:
        name: Its name in this file.
        target: ``https://...`` for a webhook, ``file:/path`` for a file that events are appended to, one per line.
        secret: The secret that requests are signed with.
        position: The ID of the last event that is done with.
        batch_end: The ID of the last event of a batch that is sent again; None if there is none.
        batch_size: Maximum number of events of the next batch.
        refusals: How often in sequence the sink refused the batch: with a status that another attempt will not change.
        failures: How often in sequence the sink could not be reached, or said to come again.
        failing_since: The time of the first of these failures.
        retry_at: The time of the next attempt.
    """

    name: str
    target: str
    secret: str | None = field(default=None, repr=False)
    position: int = 0
    batch_end: int | None = None
    batch_size: int = LARGEST_BATCH
    refusals: int = 0
    failures: int = 0
    failing_since: Timestamp | None = None
    retry_at: Timestamp | None = None


@frozen
class Pending:
    """
    An event that was not delivered to a sink.

    Attributes:
        id: Its ID in the outbox; greater for a later event.
        subject: Its subject.
        event: The event as JSON.
        is_held_back: Whether an earlier event of the subject is parked, so that this one must wait, too.
    """

    id: int
    subject: str
    event: str
    is_held_back: bool


@frozen
class Outbox:
    """
    The events and the sinks of a file.

    Args:
        reading: Lends a connection to read with.
        writing: Lends a connection in a transaction.
    """

    reading: Callable[[], AbstractContextManager[sqlite3.Connection]]
    writing: Callable[[], AbstractContextManager[sqlite3.Connection]]

    def sinks(self) -> tuple[Sink, ...]:
        """Return all sinks, by name."""
        with self.reading() as db:
            rows = db.execute(schema.SINKS).fetchall()
        return tuple(map(_sink, rows))

    def add(self, sink: Sink) -> bool:
        """Add a sink, which gets the events from now on; return False if its name is taken."""
        with self.writing() as db:
            [last] = db.execute(schema.LAST_EVENT).fetchone()
            row = attrs.astuple(attrs.evolve(sink, position=last))
            return db.execute(schema.INSERT_SINK, row).rowcount == 1

    def remove(self, name: str) -> bool:
        """Remove a sink with its parked events; return False if there is none of this name."""
        with self.writing() as db:
            is_removed = db.execute(schema.DELETE_SINK, (name,)).rowcount == 1
            db.execute(schema.DELETE_PARKED, (name,))
            db.execute(schema.DELIVERED_EVENTS)
        return is_removed

    def pending(self, sink: Sink) -> tuple[Pending, ...]:
        """Return the next batch of a sink: the same as before, if it is sent again."""
        end = schema.BEYOND_EVERY_SEQ if sink.batch_end is None else sink.batch_end
        with self.reading() as db:
            rows = db.execute(
                schema.PENDING_EVENTS, (sink.position, end, sink.name, sink.batch_size)
            ).fetchall()
            parked = {
                subject
                for subject in {subject for _, subject, _ in rows}
                if db.execute(schema.IS_PARKED, (sink.name, subject)).fetchone()
            }
        return tuple(
            Pending(number, subject, event, is_held_back=subject in parked)
            for number, subject, event in rows
        )

    def counts(self, sink: Sink) -> tuple[int, int]:
        """Return the number of pending and of parked events of a sink."""
        with self.reading() as db:
            [pending] = db.execute(schema.COUNT_PENDING, (sink.position, sink.name)).fetchone()
            [parked] = db.execute(schema.COUNT_PARKED, (sink.name,)).fetchone()
        return pending, parked

    def save(self, before: Sink, after: Sink, parked: Iterable[Pending] = ()) -> bool:
        """
        Store the result of a delivery, and delete the events that all sinks have.

        Returns:
            False if the sink was removed, or another process has delivered to it meanwhile.
        """
        row = attrs.astuple(after)[3:]
        with self.writing() as db:
            is_saved = (
                db.execute(schema.UPDATE_SINK, (*row, before.name, before.position)).rowcount == 1
            )
            if is_saved:
                db.executemany(
                    schema.PARK, [(before.name, it.id, it.subject, it.event) for it in parked]
                )
                db.execute(schema.DELIVERED_EVENTS)
        return is_saved

    def resend(self, name: str) -> int:
        """Put the parked events of a sink behind all others, and return their number."""
        with self.writing() as db:
            resent = db.execute(schema.RESEND_PARKED, (name,)).rowcount
            db.execute(schema.DELETE_PARKED, (name,))
        return resent


def store_events(db: sqlite3.Connection, change: Change) -> None:
    """Store the events of a change."""
    db.executemany(schema.INSERT_EVENT, map(_row, events_of(change)))


def _row(event: Event) -> tuple[str, str]:
    return event.subject, event_to_text(event, source=SOURCE)


def _sink(row: Sequence[object]) -> Sink:
    *fields, failing_since, retry_at = row
    times = (None if text is None else Timestamp(str(text)) for text in (failing_since, retry_at))
    return Sink(**dict(zip(schema.SINK_COLUMNS.split(", "), [*fields, *times], strict=True)))  # type: ignore[arg-type]
