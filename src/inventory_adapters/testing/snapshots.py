"""Snapshots and restores."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest

from inventory.batch import RowResult
from inventory.errors import DuplicateRequestError, TargetNotEmptyError
from inventory.idempotency import IdempotencyRecord
from inventory.items import DISCONTINUED, Item
from inventory.ports import Change, ItemFilter
from inventory.reservations import Reservation
from inventory.snapshots import Record, SnapshotRepository, copy
from inventory.stock import Movement, StockChange, Transfer
from inventory_adapters.testing.examples import (
    CLOSED_STATES,
    a_record,
    a_reservation,
    a_time,
    after,
    an_edit,
    an_item,
    by_key,
    closed,
    combined,
    committed,
    creation,
    deletion,
    extended,
    fields,
    moves,
    record_change,
    reservation_change,
    rewrite,
)
from inventory_adapters.testing.pagination import held, ledger, list_all

__all__ = ["SnapshotContract", "a_shop"]

_TENT = an_item("tent", sku="TENT", on_hand=5, price=Decimal("249.90"), reorder_point=2)
_STOVE = an_item(
    "stove", sku="STOVE", attributes={"size": "M", "barcode": "400638"}, location="north"
)
_OLD = an_item("old", sku="OLD", on_hand=0, reorder_point=1, status=DISCONTINUED, description="")
_GONE = an_item("gone", sku="GONE")

# Two lines, partly committed below.
_ORDER = a_reservation("order", expires_at=1800, lines=[(_TENT.key, 3), (_STOVE.key, 2)])


def a_shop() -> list[Change]:
    """Return changes after which a repository has records of every kind and state, with low, moved and deleted items."""
    tent, stove = moves(_TENT, {"reserved": 3}, {"reserved": 4}), moves(_STOVE, {"reserved": 2})
    sold = rewrite(after(tent), on_hand=4, reserved=3)
    part = committed(_ORDER, (_TENT.key, 1))
    gone = rewrite(_GONE, on_hand=11)
    [movement] = sold.movements
    answers: list[Any] = [
        _STOVE,
        StockChange(before=after(tent), item=after(sold), movement=movement),
        Transfer(source=_TENT, destination=_STOVE),
        part,
        (RowResult.of(0, _TENT, created=True), RowResult.of(1, _STOVE, created=False)),
    ]
    return [
        creation(_TENT, _STOVE, _OLD, _GONE),
        combined(tent, stove, reservation=reservation_change(None, _ORDER).reservations[0]),
        combined(sold, reservation=reservation_change(_ORDER, part).reservations[0]),
        reservation_change(part, extended(part, 3600)),
        rewrite(after(stove), name="Gas stove", changed_by="ben"),
        gone,
        deletion(after(gone)),
        reservation_change(None, a_reservation("cart", lines=[(_TENT.key, 1)], reference=None)),
        *(
            reservation_change(None, closed(a_reservation(f"closed {state}"), state))
            for state in CLOSED_STATES
        ),
        *(record_change(a_record(f"record {n}", answer=each)) for n, each in enumerate(answers)),
    ]


class SnapshotContract:
    """
    The guarantees of `inventory.snapshots.SnapshotRepository`.

    A subclass overrides the fixture `repository`, as a subclass of `RepositoryContract` does, and the fixture `target`.
    """

    @pytest.fixture
    def target(self) -> SnapshotRepository:
        """Return another empty repository."""
        msg = "override the fixture `target` and return another empty repository"
        raise NotImplementedError(msg)

    def test_a_snapshot_has_every_record(self, repository: SnapshotRepository) -> None:
        """Every field of every record, and the ledgers of deleted items."""
        expected = _commit_shop(repository)

        assert _contents(repository.snapshot()) == expected

    def test_a_snapshot_ends_with_the_reservations(self, repository: SnapshotRepository) -> None:
        """The order is items, movements, idempotency records, reservations."""
        _commit_shop(repository)

        kinds = [kind for kind, _ in groupby(map(type, repository.snapshot()))]

        assert kinds == [Item, Movement, IdempotencyRecord, Reservation]

    def test_a_copy_has_every_record(
        self, repository: SnapshotRepository, target: SnapshotRepository
    ) -> None:
        """In the snapshot, in reads and in lists."""
        expected = _commit_shop(repository)

        _copy(repository, target)

        assert _contents(target.snapshot()) == expected
        assert _reads(target) == _reads(repository)

    def test_a_copy_continues_after_an_interruption(
        self, repository: SnapshotRepository, target: SnapshotRepository
    ) -> None:
        """It ends as if it had not been interrupted."""
        expected = _commit_shop(repository)
        records = [*repository.snapshot()]
        target.start_restore("copy-1")
        target.restore(records[: len(records) // 2])

        _copy(repository, target)

        assert _contents(target.snapshot()) == expected
        assert _reads(target) == _reads(repository)

    def test_a_record_that_is_there_is_replaced(self, target: SnapshotRepository) -> None:
        """With all that lists know of it."""
        target.start_restore("copy-1")
        reservation, item = a_reservation(), an_item()
        target.restore([item, reservation])

        newer = rewrite(item, on_hand=3, name="Hammer")
        target.restore([after(newer), *newer.movements, closed(reservation)])

        assert list_all(target, ItemFilter(search="hammer")) == [after(newer)]
        assert list_all(target, ItemFilter(search="claw")) == []
        assert held(target) == held(target, key=item.key) == held(target, due_by=a_time(900)) == []

    def test_a_copied_repository_continues(
        self, repository: SnapshotRepository, target: SnapshotRepository
    ) -> None:
        """Items and reservations can be changed, and idempotency keys are known."""
        _commit_shop(repository)
        _copy(repository, target)
        tent, cart = target.get_item(_TENT.key), target.get_reservation("cart")
        assert tent is not None
        assert cart is not None

        sold = rewrite(tent, on_hand=3, reserved=2)
        target.commit(
            combined(sold, reservation=reservation_change(cart, closed(cart)).reservations[0])
        )
        edited = target.edit_item(an_edit(after(sold), name="Dome tent"))
        with pytest.raises(DuplicateRequestError):
            target.commit(record_change(a_record("record 0", stored_at=60)))

        assert target.get_item(_TENT.key) == edited
        assert ledger(target, _TENT.key)[0] == sold.movements[0]
        assert [each.reservation_id for each in held(target)] == ["order"]

    def test_the_mark_stays_until_the_end(self, target: SnapshotRepository) -> None:
        """The same restore may start again, another one may not."""
        assert target.restore_id() is None
        target.start_restore("copy-1")
        target.restore([an_item()])
        target.start_restore("copy-1")
        with pytest.raises(TargetNotEmptyError):
            target.start_restore("copy-2")
        assert target.restore_id() == "copy-1"

        target.finish_restore()

        assert target.restore_id() is None
        assert [*target.snapshot()] == [an_item()]

    @pytest.mark.parametrize("kind", [Item, Movement, IdempotencyRecord, Reservation])
    def test_a_target_with_data_is_refused(
        self, target: SnapshotRepository, kind: type[Record]
    ) -> None:
        """One record of any kind is enough, and it stays."""
        records: dict[type[Record], Record] = {
            Item: an_item(),
            Movement: deletion(an_item()).movements[0],
            IdempotencyRecord: a_record(),
            Reservation: closed(a_reservation()),
        }
        record = records[kind]
        target.start_restore("copy-1")
        target.restore([record])
        target.finish_restore()

        with pytest.raises(TargetNotEmptyError):
            target.start_restore("copy-2")
        with pytest.raises(TargetNotEmptyError):
            target.restore([an_item("another")])

        assert target.restore_id() is None
        assert [*target.snapshot()] == [record]


def _commit_shop(repository: SnapshotRepository) -> dict[Any, dict[str, Any]]:
    """Commit the changes of `a_shop`; return the contents that result."""
    records: dict[Any, Record] = {}
    for change in a_shop():
        repository.commit(change)
        new: list[Record] = [*change.movements]
        for write in change.items:
            records.pop(write.key, None)
            new += [] if write.after is None else [write.after]
        new += [each.after for each in change.reservations]
        new += [] if change.idempotency_record is None else [change.idempotency_record]
        records |= {_identity(record): record for record in new}
    return _contents(records.values())


def _identity(record: Record) -> Any:
    match record:
        case Item():
            return record.key
        case Movement():
            return record.key, record.seq
        case IdempotencyRecord():
            return record.record_id
        case Reservation():
            return record.reservation_id


def _contents(records: Iterable[Record]) -> dict[Any, dict[str, Any]]:
    """Return every field of *records*, by identity, each once."""
    contents: dict[Any, dict[str, Any]] = {}
    for record in records:
        assert _identity(record) not in contents
        contents[_identity(record)] = fields(record)
    return contents


def _reads(repository: SnapshotRepository) -> list[Any]:
    """Return what lists of every kind contain."""
    filters = [
        ItemFilter(),
        ItemFilter(low_stock=True),
        ItemFilter(sku="TENT"),
        ItemFilter(category="tools"),
        ItemFilter(status="available"),
        ItemFilter(search="gas 400638"),
    ]
    return [
        *(by_key(list_all(repository, each)) for each in filters),
        *(ledger(repository, item.key) for item in (_TENT, _GONE)),
        sorted(held(repository), key=lambda reservation: reservation.position),
        held(repository, due_by=a_time(900)),
        *(held(repository, key=item.key) for item in (_TENT, _STOVE)),
    ]


def _copy(repository: SnapshotRepository, target: SnapshotRepository) -> None:
    copy(repository, target, restore_id="copy-1", at=a_time(3600))
