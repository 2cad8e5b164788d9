"""
Delivery of the events in an outbox: to webhooks, signed as Standard Webhooks, and to files.

A sink gets the events in the order of their commits, up to 100 in one request, at least once. The answer to a batch decides:

- An answer of 2xx: the next batch follows.
- No answer, 429 or 5xx: the same batch is sent again, after pauses of up to five minutes. If that lasts three days, the events
  of the subjects in the batch are parked, and the others go on.
- Any other answer, five times: the batch is halved, down to the one event that is refused, whose subject is parked.
"""

import base64
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import attrs
from attrs import define, field, frozen

from inventory.errors import StorageThrottledError
from inventory.items import Timestamp
from inventory.ports import Clock
from inventory_adapters.events.cloud_events import BATCH_TYPE
from inventory_adapters.storage.sqlite.outbox import LARGEST_BATCH, Outbox, Pending, Sink

if TYPE_CHECKING:
    import httpx

__all__ = [
    "Deliverer",
    "Delivery",
    "Outcome",
    "Sender",
    "is_secret",
    "new_secret",
    "next_state",
    "signature",
]

# Source: the specification of Standard Webhooks, "Signature scheme".
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
_SECRET_BYTES: Final = 32

_LONGEST_PAUSE_SECONDS: Final = 300
_GIVE_UP_SECONDS: Final = 3 * 24 * 60 * 60
_REFUSALS: Final = 5
_TIMEOUT_SECONDS: Final = 15.0
_FILE: Final = "file:"

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What a sink said to a batch."""

    DELIVERED = "delivered"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


def new_secret() -> str:
    """Return a secret for the signatures of one webhook: ``whsec_...``."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Return whether *text* is a secret: 24 to 64 bytes, as Standard Webhooks demands."""
    try:
        key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(_SECRET_PREFIX) and 24 <= len(key) <= 64  # noqa: PLR2004


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """
    Return the value of `webhook-signature`.

    Args:
        secret: As `new_secret` returns it.
        message_id: The value of `webhook-id`.
        timestamp: The value of `webhook-timestamp`: seconds since 1970.
        body: The body of the request.
    """
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


@define
class Sender:
    """
    Sends batches to sinks.

    Args:
        clock: Returns the current time.
    """

    clock: Clock
    _client: "httpx.Client | None" = field(default=None, init=False)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def send(self, sink: Sink, batch: Sequence[Pending]) -> Outcome:
        """Send a batch, and return what the sink said to it. Never raises for the sink's sake."""
        if sink.target.startswith(_FILE):
            return self._append(Path(sink.target.removeprefix(_FILE)), batch)
        return self._post(sink, batch)

    def _append(self, path: Path, batch: Sequence[Pending]) -> Outcome:
        lines = "".join(f"{it.event}\n" for it in batch).encode()
        try:
            with path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            logger.warning("events not written", extra={"file": str(path), "reason": str(error)})
            return Outcome.UNREACHABLE
        return Outcome.DELIVERED

    def _post(self, sink: Sink, batch: Sequence[Pending]) -> Outcome:
        import httpx  # noqa: PLC0415 - a tenth of a start, and few files have a webhook

        if self._client is None:
            # Redirects are not followed, so that events go only where a person has sent them.
            self._client = httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False)
        body = f"[{','.join(it.event for it in batch)}]".encode()
        # The same for each attempt at a batch.
        message_id = f"{sink.name}-{batch[0].id}-{batch[-1].id}"
        timestamp = int(self.clock().timestamp())
        headers = {
            "Content-Type": BATCH_TYPE,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
        }
        if sink.secret is not None:
            headers["webhook-signature"] = signature(sink.secret, message_id, timestamp, body)
        try:
            # The status is all that counts: a receiver cannot make us read a long body.
            with self._client.stream("POST", sink.target, content=body, headers=headers) as answer:
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            logger.warning("webhook unreachable", extra={"sink": sink.name, "reason": repr(error)})
            return Outcome.UNREACHABLE
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return Outcome.DELIVERED
        logger.warning("webhook failed", extra={"sink": sink.name, "status": status})
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Outcome.UNREACHABLE
        return Outcome.REFUSED


def next_state(
    sink: Sink, batch: Sequence[Pending], outcome: Outcome, now: Timestamp
) -> tuple[Sink, bool]:
    """Return the sink after an attempt at *batch*, and whether the subjects of the batch are parked."""
    end = batch[-1].id
    done = Sink(name=sink.name, target=sink.target, secret=sink.secret, position=end)
    if outcome is Outcome.DELIVERED:
        return attrs.evolve(done, batch_size=min(2 * sink.batch_size, LARGEST_BATCH)), False
    if outcome is Outcome.UNREACHABLE:
        since = sink.failing_since or now
        if now > since.plus(_GIVE_UP_SECONDS):
            return done, True
        pause = min(2**sink.failures, _LONGEST_PAUSE_SECONDS)
        again = attrs.evolve(
            sink,
            batch_end=end,
            failures=min(sink.failures + 1, 32),
            failing_since=since,
            retry_at=now.plus(pause),
        )
        return again, False
    reached = attrs.evolve(sink, failures=0, failing_since=None, retry_at=None)
    if sink.refusals + 1 < _REFUSALS:
        retry_at = now.plus(2**sink.refusals)
        refusals = sink.refusals + 1
        return attrs.evolve(reached, batch_end=end, refusals=refusals, retry_at=retry_at), False
    if len(batch) == 1:
        return done, True
    return attrs.evolve(reached, batch_end=None, batch_size=len(batch) // 2), False


class Deliverer:
    """
    A thread that delivers events at once and then at intervals, while its `with` block lasts.

    Args:
        outbox: The events and the sinks. It must be open until the block ends.
        clock: Returns the current time.
        seconds: Seconds between two looks into the outbox.
    """

    def __init__(self, outbox: Outbox, *, clock: Clock, seconds: float = 1.0) -> None:
        self._sender = Sender(clock)
        self._seconds = seconds
        self._stopped = Event()
        self._delivery = Delivery(outbox, self._sender.send, clock, self._stopped.is_set)
        self._thread = Thread(target=self._run, name="deliverer")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._sender.close()

    def _run(self) -> None:
        while True:
            try:
                self._delivery.deliver_all()
            except StorageThrottledError:
                # Another process is writing.
                logger.info("delivery postponed")
            except Exception:
                # The thread must go on: the next attempt may succeed.
                logger.exception("delivery failed")
            if self._stopped.wait(self._seconds):
                return


@frozen
class Delivery:
    """
    Delivers the events of an outbox to all sinks.

    Args:
        outbox: The events and the sinks.
        send: Sends a batch to a sink; see `Sender.send`.
        clock: Returns the current time.
        is_stopped: Whether to end after the current batch.
    """

    outbox: Outbox
    send: Callable[[Sink, Sequence[Pending]], Outcome]
    clock: Clock
    is_stopped: Callable[[], bool] = bool

    def deliver_all(self) -> int:
        """Deliver what is pending to every sink that is due, and return the number of delivered events."""
        delivered = 0
        for sink in self.outbox.sinks():
            count: int | None = 0
            while count is not None and not self.is_stopped():
                count = self._deliver(sink.name)
                delivered += count or 0
        return delivered

    def _deliver(self, name: str) -> int | None:
        """Send the next batch of a sink, and return the number of its events; None if there is nothing to do now."""
        sink = next((it for it in self.outbox.sinks() if it.name == name), None)
        now = Timestamp.of(self.clock())
        if sink is None or (sink.retry_at is not None and sink.retry_at > now):
            return None
        pending = self.outbox.pending(sink)
        if not pending:
            return None
        held_back = [it for it in pending if it.is_held_back]
        batch = [it for it in pending if not it.is_held_back]
        outcome = self.send(sink, batch) if batch else Outcome.DELIVERED
        after, is_parked = next_state(sink, pending, outcome, Timestamp.of(self.clock()))
        if is_parked:
            logger.error("events parked", extra={"sink": name, "events": len(batch)})
        parked = pending if is_parked else held_back if after.position > sink.position else ()
        if not self.outbox.save(sink, after, parked):
            return None
        return len(batch) if outcome is Outcome.DELIVERED else 0
