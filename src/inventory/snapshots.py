"""
Snapshots: every record of a repository, for backups and for copies between repositories.

Derived rows, such as low-stock markers and indexes, are no records: the target makes its own. Nor is what a purge would delete.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Protocol, Self, runtime_checkable

import attrs
from attrs import define, field

from inventory.errors import SnapshotMismatchError, SourceChangedError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, Timestamp
from inventory.ports import RestorableRepository
from inventory.reservations import Reservation, retention_cutoff
from inventory.stock import Movement, StockChange

__all__ = ["Record", "SnapshotRepository", "Tally", "copy", "restore"]

Record = Item | Movement | IdempotencyRecord | Reservation

# Records that are stored in one call: a few dozen milliseconds in a local database, whose other users wait meanwhile.
_CHUNK: Final = 500


@runtime_checkable
class SnapshotRepository(RestorableRepository, Protocol):
    """A repository whose records can be copied."""

    def snapshot(self) -> Iterator[Record]:
        """
        Yield every record: items, movements, idempotency records and, last, reservations.

        A local database is read as it was at one moment. Nobody may write to another one meanwhile.

        Raises:
            UnreadableRowError: A row cannot be read, so that a copy would lack it.
        """

    def start_restore(self, restore_id: str) -> None:
        """
        Mark the repository as being restored, so that nothing is expired or purged; the mark may be there already.

        Raises:
            TargetNotEmptyError: It has records and no mark, or the mark of another restore.
        """

    def restore(self, records: Sequence[Record]) -> None:
        """
        Store records as they are, without conditions; a record that is there is replaced.

        Raises:
            TargetNotEmptyError: The repository has no mark.
        """

    def finish_restore(self) -> None:
        """Remove the mark."""


@define
class Tally:
    """
    The numbers by which two sets of records are compared, whatever their order.

    Attributes:
        counts: Number of records by type: ``{"Item": 3, "Movement": 10}``.
        on_hand, reserved: Sums over all items.
        digest: A sum of hashes of the records.
    """

    counts: Counter[str] = field(factory=Counter)
    on_hand: int = 0
    reserved: int = 0
    digest: int = 0

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Return the tally of *records*."""
        tally = cls()
        for record in records:
            tally.add(record)
        return tally

    def add(self, record: Record) -> None:
        """Count a record."""
        self.counts[type(record).__name__] += 1
        if isinstance(record, Item):
            self.on_hand += record.level.on_hand
            self.reserved += record.level.reserved
        text = repr(_canonical(record)).encode("utf-8", "surrogatepass")
        self.digest = (self.digest + int.from_bytes(sha256(text).digest())) % (1 << 256)


def copy(
    source: SnapshotRepository,
    target: SnapshotRepository,
    *,
    restore_id: str,
    at: Timestamp,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """
    Copy every record, and compare source and target afterwards.

    A copy that was interrupted is continued by the same call with the same ID.

    Args:
        source: Nobody should write to it.
        target: Empty, or with the mark of this copy.
        restore_id: Identifies the copy.
        at: The current time; records that a purge at this time would delete are not copied.
        progress: Called with the number of records copied so far.

    Raises:
        TargetNotEmptyError: The target has other records.
        SourceChangedError: The source was written to meanwhile; the target keeps its mark.
        SnapshotMismatchError: The target does not have the same records; it keeps its mark.
    """

    def check_source(copied: Tally) -> None:
        if Tally.of(_retained(source.snapshot(), at)) != copied:
            raise SourceChangedError

    return restore(
        source.snapshot(),
        target,
        restore_id=restore_id,
        at=at,
        check=check_source,
        progress=progress,
    )


def restore(
    records: Iterable[Record],
    target: SnapshotRepository,
    *,
    restore_id: str,
    at: Timestamp,
    check: Callable[[Tally], None] = lambda _: None,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """
    Store *records* in an empty repository, and compare them afterwards.

    Args:
        records: All records of a snapshot.
        target: See `copy`, as for *restore_id*, *at* and *progress*.
        restore_id: Identifies the restore.
        at: The current time.
        check: Called with the tally of the stored records, before the mark is removed.
        progress: Called with the number of records stored so far.

    Raises:
        TargetNotEmptyError: The target has other records.
        SnapshotMismatchError: The target does not have the same records; it keeps its mark.
    """
    target.start_restore(restore_id)
    stored = Tally()
    rest = _retained(records, at)
    while chunk := list(islice(rest, _CHUNK)):
        target.restore(chunk)
        for record in chunk:
            stored.add(record)
        if progress is not None:
            progress(stored.counts.total())
    check(stored)
    found = Tally.of(_retained(target.snapshot(), at))
    if found != stored:
        raise SnapshotMismatchError(_shown(stored), _shown(found))
    target.finish_restore()
    return stored


def _retained(records: Iterable[Record], at: Timestamp) -> Iterator[Record]:
    """Leave out what a purge deletes: a storage that purges by itself may do so at any moment of a copy."""
    closed_by = retention_cutoff(at)
    for record in records:
        if isinstance(record, IdempotencyRecord):
            is_retained = record.expires_at > at
        elif isinstance(record, Reservation):
            is_retained = record.closed_at is None or record.closed_at > closed_by
        else:
            is_retained = True
        if is_retained:
            yield record


def _canonical(value: Any) -> Any:
    """Return *value* in a form whose `repr` is equal for records that are stored in different ways."""
    kind = type(value)
    if attrs.has(kind):
        names = (each.name for each in attrs.fields(kind))
        # An answer is stored without the item before the change.
        kept = (name for name in names if not (kind is StockChange and name == "before"))
        return (kind.__name__, *((name, _canonical(getattr(value, name))) for name in kept))
    if isinstance(value, Decimal):
        return value.normalize()
    if isinstance(value, Mapping):
        return sorted(value.items())
    return tuple(map(_canonical, value)) if isinstance(value, tuple) else value


def _shown(tally: Tally) -> str:
    """Return ``3 Item, 10 Movement, 25 on hand, 2 reserved``."""
    counts = [f"{count} {name}" for name, count in sorted(tally.counts.items())]
    return ", ".join([*counts, f"{tally.on_hand} on hand", f"{tally.reserved} reserved"])
