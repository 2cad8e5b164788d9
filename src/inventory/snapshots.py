"""
Snapshots: every record of a repository, for backups and for copies between repositories.

Derived rows, such as low-stock markers and indexes, are no records: the target makes its own.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Protocol, runtime_checkable

from attrs import define, field

from inventory.errors import SnapshotMismatchError, SourceChangedError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item
from inventory.paging import iter_pages
from inventory.ports import InventoryRepository, ItemFilter
from inventory.reservations import Reservation
from inventory.stock import Movement

__all__ = ["Record", "SnapshotRepository", "Tally", "copy", "restore"]

Record = Item | Movement | IdempotencyRecord | Reservation

_CHUNK: Final = 500


@runtime_checkable
class SnapshotRepository(InventoryRepository, Protocol):
    """A repository whose records can be copied."""

    def snapshot(self) -> Iterator[Record]:
        """
        Yield every record: items, movements, idempotency records and, last, reservations.

        A local database is read as it was at one moment. Nobody may write to another one meanwhile.

        Raises:
            UnreadableRowError: A row cannot be read, so that a copy would lack it.
        """

    def restore_id(self) -> str | None:
        """Return the ID of the restore that was started and not finished; None if there is none."""

    def start_restore(self, restore_id: str) -> None:
        """
        Mark the repository as being restored, so that nothing is expired or purged; the mark may be there already.

        Raises:
            TargetNotEmptyError: It has records and no mark, or the mark of another restore.
        """

    def restore(self, records: Sequence[Record]) -> None:
        """Store records as they are, without conditions; a record that is there is replaced."""

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

    def add(self, record: Record) -> None:
        """Count a record."""
        self.counts[type(record).__name__] += 1
        if isinstance(record, Item):
            self.on_hand += record.level.on_hand
            self.reserved += record.level.reserved
        # The name of a class is part of its `repr`, which has every stored field.
        text = repr(record).encode("utf-8", "surrogatepass")
        self.digest = (self.digest + int.from_bytes(sha256(text).digest())) % (1 << 256)


def copy(
    source: SnapshotRepository,
    target: SnapshotRepository,
    *,
    restore_id: str,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """
    Copy every record, and compare source and target afterwards.

    A copy that was interrupted is continued by the same call with the same ID.

    Args:
        source: Nobody should write to it.
        target: Empty, or with the mark of this copy.
        restore_id: Identifies the copy.
        progress: Called with the number of records copied so far.

    Raises:
        TargetNotEmptyError: The target has other records.
        SourceChangedError: The source was written to meanwhile; the target keeps its mark.
        SnapshotMismatchError: The target does not have the same records; it keeps its mark.
    """

    def check_source(copied: Tally) -> None:
        items = Tally()
        for page in iter_pages(lambda page: source.list_items(ItemFilter(), page)):
            for item in page.items:
                items.add(item)
        if items != copied:
            raise SourceChangedError

    return restore(
        source.snapshot(), target, restore_id=restore_id, check=check_source, progress=progress
    )


def restore(
    records: Iterable[Record],
    target: SnapshotRepository,
    *,
    restore_id: str,
    check: Callable[[Tally], None] = lambda _: None,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """
    Store *records* in an empty repository, and compare them afterwards.

    Args:
        records: All records of a snapshot.
        target: See `copy`, as for *restore_id* and *progress*.
        restore_id: Identifies the restore.
        check: Called with the tally of the items, before the mark is removed.
        progress: Called with the number of records stored so far.

    Raises:
        TargetNotEmptyError: The target has other records.
        SnapshotMismatchError: The target does not have the same records; it keeps its mark.
    """
    target.start_restore(restore_id)
    stored, items = Tally(), Tally()
    rest = iter(records)
    while chunk := list(islice(rest, _CHUNK)):
        target.restore(chunk)
        for record in chunk:
            stored.add(record)
            if isinstance(record, Item):
                items.add(record)
        if progress is not None:
            progress(stored.counts.total())
    check(items)
    found = Tally()
    for record in target.snapshot():
        found.add(record)
    if found != stored:
        raise SnapshotMismatchError(expected=_shown(stored), found=_shown(found))
    target.finish_restore()
    return stored


def _shown(tally: Tally) -> dict[str, Any]:
    return {**tally.counts, "on_hand": tally.on_hand, "reserved": tally.reserved}
