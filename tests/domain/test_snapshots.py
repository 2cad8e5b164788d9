"""Copies and restores: interrupted ones, moved sources, and what a restore pauses."""

from itertools import islice

import pytest
from attrs import evolve

from inventory import ExpireReservations, Inventory
from inventory.errors import SnapshotMismatchError, SourceChangedError, TargetNotEmptyError
from inventory.reservations import RETENTION_SECONDS
from inventory.snapshots import Tally, copy, restore
from inventory_adapters.server.sweeper import SweepSummary, sweep
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import (
    a_record,
    a_reservation,
    a_shop,
    a_time,
    an_item,
    closed,
    creation,
    record_change,
    reservation_change,
)

NOW = a_time(3600)


@pytest.fixture
def shop():
    return committed(MemoryRepository(), *a_shop())


@pytest.fixture(params=["memory", "sqlite"])
def new_target(request, tmp_path):
    """Return a function that returns an empty repository."""
    opened = []

    def new():
        if request.param == "memory":
            return MemoryRepository()
        opened.append(SqliteRepository(tmp_path / f"target-{len(opened)}.db", durability="normal"))
        opened[-1]._writer.execute("PRAGMA synchronous = OFF")
        return opened[-1]

    yield new
    for repository in opened:
        repository.close()


def committed(repository, *changes):
    for change in changes:
        repository.commit(change)
    return repository


def copied(source, target, **options):
    return copy(source, target, **({"restore_id": "copy-1", "at": NOW} | options))


class EndedError(Exception):
    """The process ends."""


def interrupted(records, after):
    yield from islice(records, after)
    raise EndedError


def test_a_copy_may_be_interrupted_at_any_row(shop, new_target, monkeypatch):
    """Run again, it ends the same."""
    monkeypatch.setattr("inventory.snapshots._CHUNK", 1)
    expected = copied(shop, new_target())
    for after in range(expected.counts.total() + 1):
        target = new_target()
        with pytest.raises(EndedError):
            restore(interrupted(shop.snapshot(), after), target, restore_id="copy-1", at=NOW)
        assert target.restore_id() == "copy-1"

        assert copied(shop, target) == expected
        assert target.restore_id() is None
        assert Tally.of(target.snapshot()) == expected


def test_a_copy_of_a_copy_is_equal(shop, new_target):
    """The tally does not depend on how a storage writes prices, attributes and answers."""
    expected = Tally.of(shop.snapshot())
    first, second = new_target(), new_target()

    assert copied(shop, first) == copied(first, second) == expected
    assert expected.counts == {
        "Item": 3,
        "Movement": 6,
        "IdempotencyRecord": 5,
        "Reservation": 5,
    }
    assert (expected.on_hand, expected.reserved) == (14, 5)


@pytest.mark.parametrize(
    "change",
    [
        creation(an_item("new")),
        reservation_change(None, a_reservation("new")),
        record_change(a_record("new")),
    ],
    ids=["item", "reservation", "record"],
)
def test_a_source_that_changes_meanwhile_is_refused(shop, new_target, change):
    """The target keeps its mark, and a copy after it ends."""
    target, changes = new_target(), [change]

    def write_once(_count):
        committed(shop, *changes)
        changes.clear()

    with pytest.raises(SourceChangedError):
        copied(shop, target, progress=write_once)
    assert target.restore_id() == "copy-1"

    copied(shop, target)
    assert Tally.of(target.snapshot()) == Tally.of(shop.snapshot())


def test_a_target_that_lacks_a_record_is_refused(shop):
    """It keeps its mark, and the error has the numbers of both."""

    class Forgetful(MemoryRepository):
        def restore(self, records):
            super().restore(records[1:])

    target = Forgetful()
    with pytest.raises(SnapshotMismatchError) as caught:
        copied(shop, target)

    assert target.restore_id() == "copy-1"
    assert caught.value.expected.startswith("5 IdempotencyRecord, 3 Item, 6 Movement")
    assert caught.value.found.startswith("5 IdempotencyRecord, 2 Item, 6 Movement")
    assert str(caught.value).endswith("Copy to an empty target.")


def test_a_target_with_more_than_the_source_is_refused(shop, new_target):
    """A record that the source has lost since an interruption would come back."""
    target = new_target()
    target.start_restore("copy-1")
    target.restore([an_item("deleted since")])

    with pytest.raises(SnapshotMismatchError):
        copied(shop, target)


def test_a_second_copy_is_refused(shop, new_target):
    """A finished copy has data and no mark."""
    target = new_target()
    copied(shop, target)

    with pytest.raises(TargetNotEmptyError):
        copied(shop, target)


def test_what_a_purge_deletes_is_not_copied(new_target):
    """Storage that purges by itself could delete it in the middle of a copy."""
    source, target = MemoryRepository(), new_target()
    for end in (3600, 3600.000001):
        committed(source, record_change(a_record(f"record {end}", expires_at=end)))
    for end in (3600, 3600.000001):
        old = closed(a_reservation(f"reservation {end}"), at=end - RETENTION_SECONDS)
        committed(source, reservation_change(None, old))

    copied(source, target)

    assert [
        getattr(each, "record_id", None) or each.reservation_id for each in target.snapshot()
    ] == [
        "record 3600.000001",
        "reservation 3600.000001",
    ]


def test_a_tally_sees_every_field():
    """Also those that a comparison of items ignores."""
    item = an_item(attributes={"a": "b"})
    others = [
        evolve(item, changed_by="ben"),
        evolve(item, moved_at=a_time(1)),
        evolve(item, attributes={"a": "c"}),
        evolve(item, price=item.price + 1),
        evolve(item, level=evolve(item.level, seq=1)),
    ]

    assert len({Tally.of([each]).digest for each in [item, *others]}) == 6


def test_nothing_is_expired_or_purged_during_a_restore(new_target):
    """Else a copy would differ from its source."""
    target = new_target()
    inventory = Inventory(target)
    target.start_restore("copy-1")
    overdue, expired = a_reservation(lines=[(an_item().key, 1)]), a_record()
    target.restore([an_item(reserved=1, seq=1), overdue, expired])

    assert inventory.expire_reservations(ExpireReservations()).is_paused
    assert sweep(inventory) == SweepSummary(expired=0, failed=0, purged=0)
    assert target.get_reservation(overdue.reservation_id) == overdue
    assert target.get_idempotency_record(expired.record_id) == expired

    target.finish_restore()
    assert sweep(inventory) == SweepSummary(expired=1, failed=0, purged=1)
