"""
The publisher of a deployment: records of the streams of both tables become events on a bus of EventBridge.

Nothing but the tables is written by a request, so no event is lost between a write and its publication. A stream keeps its
records for a day. Whatever cannot be published goes as a whole to the dead-letter queue, so that it does not stop what follows.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import sleep
from typing import Any, Final

from attrs import frozen

from inventory.backoff import full_jitter
from inventory.errors import UnreadableRowError
from inventory.events import Event, events_of_item, events_of_movement, events_of_reservation
from inventory.ports import ItemWrite
from inventory.timeouts import time_left
from inventory_adapters.aws.transport import (
    EVENT_BRIDGE,
    SQS,
    NoAnswerError,
    NotSentError,
    ServiceError,
    Transport,
)
from inventory_adapters.events.cloud_events import event_to_text
from inventory_adapters.storage.dynamodb.rows import (
    row_to_item,
    row_to_movement,
    row_to_reservation,
)
from inventory_adapters.storage.dynamodb.schema import MOVEMENT_PREFIX, RESERVATION_SK
from inventory_adapters.wire import to_json

__all__ = ["Publisher", "events_of_record"]

# Source: API reference of PutEvents, and "Amazon EventBridge quotas".
_MAX_ENTRIES: Final = 10
_MAX_REQUEST_BYTES: Final = 256_000
# What EventBridge adds to the bytes of the detail: time, source and type.
_ENTRY_BYTES: Final = 200
_TEMPORARY: Final = frozenset(
    {"InternalException", "InternalFailure", "ServiceUnavailable", "ThrottlingException"}
)

_ATTEMPTS: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 0.5
_ATTEMPT_SECONDS: Final = 3.0

logger = logging.getLogger(__name__)


@frozen
class _Entry:
    """An event to publish, and the sequence number of the record that it comes from."""

    record: str
    event: Event
    text: str


@frozen
class Publisher:
    """
    Publishes the events of stream records.

    Args:
        transport: Sends the requests.
        bus: The name of the bus, which is also the source of the events.
        dead_letters: The URL of the queue for what cannot be published.
    """

    transport: Transport
    bus: str
    dead_letters: str

    def publish(self, records: Iterable[Mapping[str, Any]]) -> list[str]:
        """
        Publish the events of *records*, of each subject in the order of its sequence.

        Returns:
            The sequence numbers of the records that were not published for now, in any order; Lambda sends these again.
        """
        entries: list[_Entry] = []
        failed: set[str] = set()
        for record in records:
            number = record["dynamodb"]["SequenceNumber"]
            try:
                events = [*events_of_record(record)]
            except UnreadableRowError as error:
                failed |= self._bury({"reason": str(error), "record": record}, number)
            else:
                entries += [
                    _Entry(number, event, event_to_text(event, source=self.bus)) for event in events
                ]
        entries.sort(key=lambda entry: (entry.event.subject, entry.event.sequence))
        for batch in _batches(entries):
            failed |= self._put(batch)
        logger.info("published", extra={"events": len(entries), "failed": len(failed)})
        return [*failed]

    def _put(self, entries: Sequence[_Entry]) -> set[str]:
        """Publish *entries*, and return the records of those that failed for now."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                sleep(full_jitter(_LONGEST_PAUSE_SECONDS))
            entries = self._attempt(entries)
            if not entries or time_left() < _ATTEMPT_SECONDS:
                break
        return {entry.record for entry in entries}

    def _attempt(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """Publish *entries* in one request, bury those that EventBridge rejects, and return those that failed for now."""
        request = {
            "Entries": [
                {
                    "EventBusName": self.bus,
                    "Source": self.bus,
                    "DetailType": entry.event.type,
                    "Detail": entry.text,
                }
                for entry in entries
            ]
        }
        try:
            answer = self.transport.send(
                EVENT_BRIDGE, "PutEvents", request, seconds=_ATTEMPT_SECONDS
            )
        except (NoAnswerError, NotSentError, ServiceError) as error:
            logger.warning("not published", extra={"reason": str(error)})
            return [*entries]
        again = []
        for entry, result in zip(entries, answer.body["Entries"], strict=True):
            code = result.get("ErrorCode")
            if code in _TEMPORARY:
                again.append(entry)
            elif code is not None:
                letter = {"reason": f"{code}: {result.get('ErrorMessage')}", "event": entry.text}
                if self._bury(letter, entry.record):
                    again.append(entry)
        return again

    def _bury(self, letter: dict[str, Any], record: str) -> set[str]:
        """Send *letter* to the dead-letter queue; return the record if that failed."""
        logger.error("not publishable", extra={"reason": letter["reason"]})
        request = {"QueueUrl": self.dead_letters, "MessageBody": to_json(letter)}
        try:
            self.transport.send(SQS, "SendMessage", request, seconds=_ATTEMPT_SECONDS)
        except (NoAnswerError, NotSentError, ServiceError) as error:
            logger.warning("not buried", extra={"reason": str(error)})
            return {record}
        return set()


def events_of_record(record: Mapping[str, Any]) -> Iterator[Event]:
    """
    Yield the events of a stream record, with the new and the old image of a row of either table.

    A row that a copy or a restore has written makes none, but a later change of it does.

    Raises:
        UnreadableRowError: A row is not one of ours.
    """
    images = record["dynamodb"]
    old, new = images.get("OldImage"), images.get("NewImage")
    if new is None:
        return  # Of a deleted item, the last movement makes the event.
    mark = new.get("restored")
    if mark is not None and mark != (old or {}).get("restored"):
        return
    kind = new.get("sk", {}).get("S", "")
    if not kind:
        before = None if old is None else row_to_item(old)
        yield from events_of_item(ItemWrite(before=before, after=row_to_item(new)))
    elif kind == RESERVATION_SK:
        held = None if old is None else row_to_reservation(old)
        yield from events_of_reservation(held, row_to_reservation(new))
    elif kind.startswith(MOVEMENT_PREFIX) and old is None:
        yield from events_of_movement(row_to_movement(new))


def _batches(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """Divide *entries* into requests within the limits of PutEvents."""
    batch: list[_Entry] = []
    size = 0
    for entry in entries:
        length = len(entry.text) + _ENTRY_BYTES
        if batch and (len(batch) == _MAX_ENTRIES or size + length > _MAX_REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += length
    if batch:
        yield batch
