"""
What every repository must do, as tests: subclass `RepositoryContract` for a repository of your own.

    import pytest

    from inventory_adapters.testing import RepositoryContract


    class TestMyRepository(RepositoryContract):
        @pytest.fixture
        def repository(self):
            return MyRepository()

Where it can be had alone, subclass `ExclusiveContract` as well. They need pytest and the domain, nothing else. For readable
failures, say so before the import, in `conftest.py`: ``pytest.register_assert_rewrite("inventory_adapters.testing")``.
"""
# ruff: noqa: S101, PLR2004 - these are tests: they are made of assert, and their numbers are the examples.

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any, ClassVar, Final, TypeVar
from uuid import uuid4

import pytest
from attrs import evolve

from inventory import StockLevel
from inventory.errors import (
    AlreadyServedError,
    InvalidCursorError,
    StaleReadError,
    StorageThrottledError,
)
from inventory.idempotency import ServedRecord
from inventory.items import AVAILABLE, DISCONTINUED, OUT_OF_STOCK, Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import (
    Change,
    ExclusiveRepository,
    InventoryRepository,
    ItemEdit,
    ItemFilter,
    ItemWrite,
    ReservationWrite,
)
from inventory.reservations import KEPT_SECONDS as RESERVATION_KEPT_SECONDS
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.stock import Movement, MovementKind
from inventory.timeouts import deadline

__all__ = [
    "ExclusiveContract",
    "RepositoryContract",
    "a_record",
    "a_reservation",
    "a_time",
    "an_edit",
    "an_item",
    "closed",
    "creation",
    "held",
    "ledger",
    "pages",
    "reserving",
    "rewrite",
    "serving",
    "together",
    "walk",
]

T = TypeVar("T")

_MAX_PAGES: Final = 500

ANY: Final = ItemFilter()
"""Passes every item."""


def a_time(seconds: float = 0) -> Timestamp:
    """Return the instant that is *seconds* after the one that all examples start from."""
    return Timestamp.of(datetime(2026, 5, 1, 9, 30, tzinfo=UTC) + timedelta(seconds=seconds))


def an_item(
    item_id: str = "item-1",
    *,
    sku: str = "SKU-1",
    on_hand: int = 10,
    reserved: int = 0,
    seq: int = 0,
    **details: Any,
) -> Item:
    """Return an item to try things on; *details* are fields of `Item`."""
    usual: dict[str, Any] = {
        "name": "Claw hammer",
        "category": "tools",
        "created_at": a_time(),
        "updated_at": a_time(),
    }
    return Item(
        key=ItemKey(item_id=item_id, sku=sku),
        level=StockLevel(on_hand=on_hand, reserved=reserved, seq=seq),
        **(usual | details),
    )


def creation(*items: Item) -> Change:
    """Return the change that puts *items* on the books."""
    writes = tuple(ItemWrite(before=None, after=item) for item in items)
    return Change(write_id=str(uuid4()), items=writes)


def rewrite(
    before: Item, *, on_hand: int | None = None, reserved: int | None = None, **details: Any
) -> Change:
    """
    Return a change decided on *before*: its stock at another level, with the movement that explains it, and other details.

    Without a level only the details change, and the version counts up.
    """
    if on_hand is None and reserved is None:
        after = evolve(before, **({"version": before.version + 1} | details))
        return Change(write_id=str(uuid4()), items=(ItemWrite(before=before, after=after),))
    level = StockLevel(
        on_hand=before.level.on_hand if on_hand is None else on_hand,
        reserved=before.level.reserved if reserved is None else reserved,
        seq=before.level.seq + 1,
    )
    movement = Movement(
        key=before.key,
        seq=level.seq,
        kind=MovementKind.ADJUST,
        delta_on_hand=level.on_hand - before.level.on_hand,
        delta_reserved=level.reserved - before.level.reserved,
        on_hand=level.on_hand,
        reserved=level.reserved,
        reason="an example",
        recorded_at=a_time(60),
    )
    write = ItemWrite(before=before, after=evolve(before, level=level, **details))
    return Change(write_id=str(uuid4()), items=(write,), movements=(movement,))


def an_edit(item: Item, *, versions: Iterable[int] | None = None, **fields: Any) -> ItemEdit:
    """Return an edit that replaces *fields* of *item*, one minute later."""
    return ItemEdit(
        write_id=str(uuid4()),
        key=item.key,
        fields=fields,
        at=a_time(60),
        versions=None if versions is None else frozenset(versions),
    )


def a_reservation(
    reservation_id: str = "reservation-1",
    *,
    expires_at: float = 900,
    lines: Iterable[tuple[ItemKey, int]] | None = None,
    reference: str | None = "order-1",
) -> Reservation:
    """Return a held reservation, of one unit of `an_item` unless *lines* says otherwise; times are as for `a_time`."""
    wanted = [(an_item().key, 1)] if lines is None else lines
    return Reservation(
        reservation_id=reservation_id,
        lines=tuple(ReservationLine(key=key, quantity=quantity) for key, quantity in wanted),
        reference=reference,
        created_at=a_time(),
        expires_at=a_time(expires_at),
    )


def closed(
    reservation: Reservation,
    state: ReservationState = ReservationState.RELEASED,
    *,
    at: float = 60,
) -> Reservation:
    """Return *reservation* as it is once it is closed."""
    return reservation.closed(state, at=a_time(at))


def a_record(
    record_id: str = "record-1",
    *,
    fingerprint: str = "fingerprint-1",
    answer: str = '"first"',
    served_at: float = 0,
    expires_at: float = 86_400,
) -> ServedRecord:
    """Return the note that a key was served; times are as for `a_time`."""
    return ServedRecord(
        record_id=record_id,
        fingerprint=fingerprint,
        answer=answer,
        served_at=a_time(served_at),
        expires_at=a_time(expires_at),
    )


def _write(before: Reservation | None, after: Reservation) -> ReservationWrite:
    return ReservationWrite(before=before, after=after)


def reserving(before: Reservation | None, after: Reservation) -> Change:
    """Return the change that brings a reservation from *before* to *after*, and touches no stock."""
    return Change(write_id=str(uuid4()), reservation=_write(before, after))


def serving(record: ServedRecord) -> Change:
    """Return the change that notes that a key was served, and does nothing else."""
    return Change(write_id=str(uuid4()), served=record)


def together(
    *changes: Change,
    reservation: ReservationWrite | None = None,
    served: ServedRecord | None = None,
) -> Change:
    """Return one change with the items and movements of all *changes* and, beside them, a reservation and a record."""
    return Change(
        write_id=str(uuid4()),
        items=tuple(write for change in changes for write in change.items),
        movements=tuple(movement for change in changes for movement in change.movements),
        reservation=reservation,
        served=served,
    )


def _pages(
    read: Callable[[PageRequest], Page[T]], size: int, cursor: str | None = None
) -> Iterator[Page[T]]:
    """Walk what *read* pages through to its end; pages may be short or empty, but not without number."""
    for _ in range(_MAX_PAGES):
        page = read(PageRequest(size=size, cursor=cursor))
        assert len(page.items) <= size
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
    pytest.fail(f"the walk has not ended after {_MAX_PAGES} pages")


def pages(
    repository: InventoryRepository, wanted: ItemFilter, size: int = 100, cursor: str | None = None
) -> Iterator[Page[Item]]:
    """Walk the list of *wanted* to its end, page by page."""
    return _pages(lambda page: repository.list_items(wanted, page), size, cursor)


def walk(
    repository: InventoryRepository, wanted: ItemFilter, size: int = 100, cursor: str | None = None
) -> list[Item]:
    """Return what the pages of *wanted* hold, from the first (or from *cursor*) to the last."""
    return [item for page in pages(repository, wanted, size, cursor) for item in page.items]


def _ledger_pages(
    repository: InventoryRepository, key: ItemKey, size: int, cursor: str | None = None
) -> Iterator[Page[Movement]]:
    return _pages(lambda page: repository.list_movements(key, page), size, cursor)


def ledger(
    repository: InventoryRepository, key: ItemKey, size: int = 100, cursor: str | None = None
) -> list[Movement]:
    """Return the movements of an item, from the newest (or from *cursor*) to the oldest."""
    walked = _ledger_pages(repository, key, size, cursor)
    return [movement for page in walked for movement in page.items]


def _held_pages(
    repository: InventoryRepository, due_by: Timestamp | None, size: int
) -> Iterator[Page[Reservation]]:
    return _pages(lambda page: repository.held_reservations(page, due_by=due_by), size)


def held(
    repository: InventoryRepository, *, due_by: Timestamp | None = None, size: int = 100
) -> list[Reservation]:
    """Return the reservations that are held or, of those, the ones that expire by *due_by*."""
    return [item for page in _held_pages(repository, due_by, size) for item in page.items]


def _part(
    repository: InventoryRepository, wanted: ItemFilter, at_least: int
) -> tuple[list[Item], str]:
    """Walk on from the start until *at_least* items have come; return them, and where the walk stands."""
    seen: list[Item] = []
    for page in pages(repository, wanted, size=at_least):
        seen += page.items
        if len(seen) >= at_least and page.next_cursor:
            return seen, page.next_cursor
    pytest.fail(f"the walk ended after {len(seen)} items")


def _by_key(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.key)


def _at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run every job in a thread of its own, all from the same moment; return their results or errors."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return job()
        except Exception as error:  # noqa: BLE001 - which error it was is what the test asks
            return error

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))


def _refused(outcomes: Iterable[Any]) -> int:
    """Count the jobs that were told that their read was stale."""
    return sum(isinstance(outcome, StaleReadError) for outcome in outcomes)


def _redo(repository: InventoryRepository, key: ItemKey, decide: Callable[[Item], Change]) -> None:
    """Read, decide and commit until nothing has moved in between."""
    for _ in range(_MAX_PAGES):
        item = repository.get_item(key)
        assert item is not None
        try:
            return repository.commit(decide(item))
        except StaleReadError:
            continue
    pytest.fail("a commit on a fresh read was refused every time")


class ReadsContract:
    """Items are found by what names them, exactly as they were stored."""

    @pytest.mark.parametrize(
        "item",
        [
            pytest.param(an_item(), id="plain"),
            pytest.param(
                an_item(
                    "ключ/\N{GRINNING FACE} %#?",
                    sku="SKU \N{HANGUL SYLLABLE GAG}\N{MUSICAL SYMBOL G CLEF}",
                    name="e\N{COMBINING ACUTE ACCENT} is not \N{LATIN SMALL LETTER E WITH ACUTE}",
                    category=" outer blanks stay ",
                    location="'; DROP TABLE items; --",
                    description="tab\tline\r\nline\n\n",
                ),
                id="text",
            ),
            pytest.param(an_item(description=""), id="empty description"),
            pytest.param(
                an_item(description="\N{FAMILY}" * 4096, name="n" * 256), id="longest text"
            ),
            pytest.param(
                an_item("i" * 36, sku="s" * 128, category="c" * 128, location="l" * 128, name="0"),
                id="longest keys",
            ),
            pytest.param(an_item(price=Decimal(0), on_hand=0, reorder_point=0), id="zeros"),
            pytest.param(an_item(price=Decimal("0.0001")), id="least price"),
            pytest.param(an_item(price=Decimal(100)), id="round price"),
            pytest.param(
                an_item(
                    price=Decimal("99999999999.9999"),
                    on_hand=1_000_000_000,
                    reserved=1_000_000_000,
                    reorder_point=1_000_000_000,
                    seq=999_999_999_999,
                    version=1_000_000_000,
                ),
                id="greatest numbers",
            ),
            pytest.param(
                an_item(on_hand=3, reserved=1, seq=7, version=4, status=DISCONTINUED),
                id="an item with a past",
            ),
            pytest.param(
                an_item(
                    status="a status of an earlier version",
                    created_at=Timestamp("2023-01-31T08:00:00"),
                    updated_at=Timestamp("2024-02-29T23:59:59.5Z"),
                ),
                id="times of an earlier version",
            ),
        ],
    )
    def test_an_item_comes_back_exactly_as_it_was_stored(
        self, repository: InventoryRepository, item: Item
    ) -> None:
        """Every field survives, value and type, through each of the ways to read it."""
        repository.commit(creation(item))

        readings = [
            repository.get_item(item.key),
            repository.find_item(item.item_id),
            *repository.get_items([item.key]),
            *walk(repository, ANY),
            *walk(repository, ItemFilter(category=item.category)),
        ]

        assert readings == [item] * 5
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.price, Decimal)
            assert str(reading.price) == str(item.price)
            assert isinstance(reading.created_at, Timestamp)
            assert isinstance(reading.updated_at, Timestamp)
            numbers = (reading.version, reading.reorder_point or 0, reading.level.on_hand)
            assert all(type(number) is int for number in numbers)

    def test_what_was_never_stored_is_not_found(self, repository: InventoryRepository) -> None:
        """Reads of an empty repository answer None or nothing, and raise nothing."""
        key = an_item().key

        assert repository.get_item(key) is None
        assert repository.find_item(key.item_id) is None
        assert repository.get_items([key]) == ()
        assert repository.get_items([]) == ()
        assert repository.list_items(ANY, PageRequest(size=1)) == Page(items=())

    def test_get_item_needs_both_halves_of_the_key(self, repository: InventoryRepository) -> None:
        """Another SKU of the id, or another id with the SKU, is another item."""
        repository.commit(creation(an_item("a", sku="1"), an_item("b", sku="2")))

        assert repository.get_item(ItemKey(item_id="a", sku="2")) is None
        assert repository.get_item(ItemKey(item_id="b", sku="1")) is None

    def test_find_item_takes_the_first_by_sku(self, repository: InventoryRepository) -> None:
        """Of several SKUs under one id the least comes back, by code points, whichever was stored first."""
        repository.commit(creation(an_item("a", sku="b")))
        repository.commit(creation(an_item("a", sku="B")))
        repository.commit(creation(an_item("a", sku="\N{LATIN SMALL LETTER A WITH DIAERESIS}")))
        repository.commit(creation(an_item("A", sku="1"), an_item("aa", sku="2")))

        found = repository.find_item("a")

        assert found == an_item("a", sku="B")

    def test_get_items_returns_each_that_exists_once(self, repository: InventoryRepository) -> None:
        """Missing keys are passed over, and a key that is named twice yields one item."""
        here = [an_item("a"), an_item("b"), an_item("b", sku="SKU-2")]
        repository.commit(creation(*here))
        keys = [item.key for item in here]
        missing = ItemKey(item_id="a", sku="SKU-2")

        found = repository.get_items(iter([keys[0], missing, keys[1], keys[0], keys[2], missing]))

        assert _by_key(found) == here

    def test_get_items_takes_more_keys_than_one_request_does(
        self, repository: InventoryRepository
    ) -> None:
        """More than a hundred keys are no reason to lose one."""
        keys = [ItemKey(item_id=f"item-{number:03}", sku="SKU-1") for number in range(131)]
        here = [an_item(key.item_id) for key in keys[::10]]
        repository.commit(creation(*here))

        found = repository.get_items(keys)

        assert _by_key(found) == here

    def test_text_that_differs_at_all_names_another_item(
        self, repository: InventoryRepository
    ) -> None:
        """Keys and filters know nothing of case, accents, normal forms, blanks or wildcards."""
        skus = ["e", "E", "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"]
        skus += ["e ", " e", "%", "_", "1", "01", "1.0"]
        items = [an_item(f"item-{sku}", sku=sku, category=sku) for sku in skus]
        repository.commit(creation(*items))

        for item in items:
            assert repository.get_item(item.key) == item
            assert walk(repository, ItemFilter(sku=item.sku)) == [item]
            assert walk(repository, ItemFilter(category=item.category)) == [item]


class CommitsContract:
    """A change is stored whole, on the state that it was decided on, or not at all."""

    def test_a_key_can_be_taken_only_once(self, repository: InventoryRepository) -> None:
        """A second item under the same key is refused, and the first stays as it is."""
        repository.commit(creation(an_item(name="first")))

        with pytest.raises(StaleReadError):
            repository.commit(creation(an_item(name="second", on_hand=99)))

        assert repository.get_item(an_item().key) == an_item(name="first")

    def test_a_commit_brings_an_item_to_its_next_state(
        self, repository: InventoryRepository
    ) -> None:
        """Whatever *after* says is so afterwards: details, level, and both counters."""
        before = an_item(price=Decimal("1.5"))
        after = an_item(
            on_hand=7,
            reserved=2,
            seq=1,
            name="Sledge hammer",
            description="Heavy",
            category="heavy tools",
            price=Decimal("2.25"),
            status=OUT_OF_STOCK,
            location="north",
            reorder_point=3,
            version=2,
            updated_at=a_time(60),
        )
        repository.commit(creation(before, an_item("other")))

        repository.commit(
            rewrite(
                before,
                on_hand=7,
                reserved=2,
                name=after.name,
                description=after.description,
                category=after.category,
                price=after.price,
                status=after.status,
                location=after.location,
                reorder_point=after.reorder_point,
                version=after.version,
                updated_at=after.updated_at,
            )
        )

        assert repository.get_item(before.key) == after
        assert repository.get_item(an_item("other").key) == an_item("other")

    @pytest.mark.parametrize(
        ("old", "new"), [(None, 5), (5, None), (0, None), (None, 0), (5, 6), (1, 0)]
    )
    def test_a_commit_sets_and_clears_the_reorder_point(
        self, repository: InventoryRepository, old: int | None, new: int | None
    ) -> None:
        """None is a value like any other, and not the same as zero."""
        before = an_item(reorder_point=old)
        repository.commit(creation(before))

        repository.commit(rewrite(before, reorder_point=new))

        assert repository.get_item(before.key) == an_item(reorder_point=new, version=2)

    def test_commits_follow_one_another(self, repository: InventoryRepository) -> None:
        """What one commit stored, the next may be decided on."""
        item = an_item(on_hand=0)
        repository.commit(creation(item))

        for on_hand in (5, 3, 3, 0):
            change = rewrite(item, on_hand=on_hand)
            repository.commit(change)
            item = change.items[0].after

        assert repository.get_item(item.key) == an_item(on_hand=0, seq=4)

    @pytest.mark.parametrize(
        "believed",
        [
            pytest.param(an_item(on_hand=11, reserved=2, seq=3, version=4), id="on_hand"),
            pytest.param(an_item(on_hand=10, reserved=1, seq=3, version=4), id="reserved"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=2, version=4), id="seq"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=4, version=4), id="later seq"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=3, version=3), id="version"),
            pytest.param(an_item(on_hand=10, reserved=2, seq=3, version=5), id="later version"),
        ],
    )
    def test_a_commit_is_refused_when_what_it_was_decided_on_is_not_so(
        self, repository: InventoryRepository, believed: Item
    ) -> None:
        """On hand, reserved, seq and version are each compared; one that differs is enough."""
        stored = an_item(on_hand=10, reserved=2, seq=3, version=4)
        repository.commit(creation(stored))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(believed, on_hand=20, name="never"))

        assert repository.get_item(stored.key) == stored

    def test_an_edit_between_read_and_commit_survives(
        self, repository: InventoryRepository
    ) -> None:
        """An item discontinued meanwhile is not brought back by a movement of its stock."""
        read = an_item(on_hand=0, status=OUT_OF_STOCK)
        repository.commit(creation(read))
        edited = repository.edit_item(an_edit(read, status=DISCONTINUED))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=5, status=AVAILABLE))

        assert repository.get_item(read.key) == edited
        assert edited.status == DISCONTINUED

    def test_the_second_commit_on_one_read_is_refused(
        self, repository: InventoryRepository
    ) -> None:
        """Two changes decided on one read cannot both hold."""
        read = an_item()
        repository.commit(creation(read))
        repository.commit(rewrite(read, reserved=1))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, reserved=2))

        assert repository.get_item(read.key) == an_item(reserved=1, seq=1)

    def test_an_equal_level_with_another_past_is_not_the_same(
        self, repository: InventoryRepository
    ) -> None:
        """Units that left and came back have been away: the level is equal, its seq is not."""
        read = an_item()
        repository.commit(creation(read))
        away = rewrite(read, on_hand=0)
        repository.commit(away)
        repository.commit(rewrite(away.items[0].after, on_hand=10))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=9))

        assert repository.get_item(read.key) == an_item(seq=2)

    def test_a_commit_never_brings_a_deleted_item_back(
        self, repository: InventoryRepository
    ) -> None:
        """A change decided before the item went is refused."""
        read = an_item()
        repository.commit(creation(read))
        repository.delete_item(read.key)

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=5))

        assert repository.get_item(read.key) is None
        assert walk(repository, ANY) == []

    def test_a_commit_to_an_item_that_never_was_is_refused(
        self, repository: InventoryRepository
    ) -> None:
        """A state that was decided on must be there; it is not made up."""
        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(), on_hand=5))

        assert repository.get_item(an_item().key) is None

    def test_a_change_of_several_items_is_stored_whole(
        self, repository: InventoryRepository
    ) -> None:
        """Creations and rewrites travel together."""
        north, south = an_item("north"), an_item("south")
        repository.commit(creation(north, south))
        out, into = rewrite(north, on_hand=6), rewrite(south, on_hand=14)
        made = creation(an_item("made"))

        repository.commit(together(out, into, made))

        assert walk(repository, ItemFilter(sku="SKU-1")) == [
            an_item("made"),
            an_item("north", on_hand=6, seq=1),
            an_item("south", on_hand=14, seq=1),
        ]

    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("why", ["seq", "version", "taken", "gone"])
    def test_one_stale_item_refuses_the_whole_change(
        self, repository: InventoryRepository, place: int, why: str
    ) -> None:
        """Wherever it stands among the others, and whatever is wrong with it, nothing of the change stays."""
        good = an_item("good")
        stale = an_item("stale", seq=1, version=2)
        stored = [good] if why == "gone" else [good, stale]
        repository.commit(creation(*stored))
        believed = {
            "seq": an_item("stale", seq=0, version=2),
            "version": an_item("stale", seq=1, version=1),
            "taken": None,
            "gone": stale,
        }[why]
        bad = creation(stale) if believed is None else rewrite(believed, on_hand=1)
        parts = [rewrite(good, on_hand=4), creation(an_item("made"))]
        parts.insert(place, bad)

        with pytest.raises(StaleReadError):
            repository.commit(together(*parts))

        assert repository.get_items([good.key, an_item("made").key]) == (good,)
        assert _by_key(walk(repository, ANY)) == stored
        # Movements left behind would stand in the way of those that come after.
        repository.commit(rewrite(good, on_hand=5))
        assert repository.get_item(good.key) == an_item("good", on_hand=5, seq=1)

    def test_a_refused_change_may_be_decided_anew(self, repository: InventoryRepository) -> None:
        """After a refusal a fresh read and a fresh decision go through."""
        read = an_item()
        repository.commit(creation(read))
        repository.commit(rewrite(read, on_hand=4))
        with pytest.raises(StaleReadError):
            repository.commit(rewrite(read, on_hand=9))

        _redo(repository, read.key, lambda item: rewrite(item, on_hand=item.level.on_hand - 1))

        assert repository.get_item(read.key) == an_item(on_hand=3, seq=2)

    def test_a_deleted_key_is_free_again(self, repository: InventoryRepository) -> None:
        """A key that no item has any more may be taken."""
        repository.commit(creation(an_item(name="first", reorder_point=50)))
        repository.delete_item(an_item().key)

        repository.commit(creation(an_item(name="second")))

        assert repository.get_item(an_item().key) == an_item(name="second")


class EditsContract:
    """Details are edited without a read: the given ones change, the version counts, the rest is left alone."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": "Sledge hammer"},
            {"description": ""},
            {"description": "\N{FAMILY}" * 4096},
            {"category": "heavy tools"},
            {"price": Decimal("99999999999.9999")},
            {"price": Decimal(0)},
            {"status": DISCONTINUED},
            {"location": "north \N{SNOWMAN}"},
            {"name": "n", "description": "d", "category": "c", "location": "l"},
            {"price": Decimal("0.0001"), "status": OUT_OF_STOCK},
        ],
        ids="-".join,
    )
    def test_an_edit_changes_what_it_names_and_nothing_else(
        self, repository: InventoryRepository, fields: dict[str, Any]
    ) -> None:
        """The given details, `updated_at` and the version change; level, reorder point and the rest stay."""
        before = an_item(
            on_hand=10,
            reserved=4,
            seq=6,
            version=3,
            description="A hammer",
            price=Decimal("9.99"),
            location="south",
            reorder_point=5,
        )
        repository.commit(creation(before, an_item("other")))
        expected = evolve(before, **fields, version=4, updated_at=a_time(60))

        edited = repository.edit_item(an_edit(before, **fields))

        assert edited == expected
        assert repository.get_item(before.key) == expected
        assert repository.get_item(an_item("other").key) == an_item("other")

    def test_each_edit_counts(self, repository: InventoryRepository) -> None:
        """The version grows by one with every edit, also with one that changes nothing."""
        repository.commit(creation(an_item()))

        versions = [
            repository.edit_item(an_edit(an_item(), name="Claw hammer")).version for _ in range(3)
        ]

        assert versions == [2, 3, 4]

    @pytest.mark.parametrize("accepted", [[3], [1, 3, 9], None])
    def test_an_edit_of_an_accepted_version_goes_through(
        self, repository: InventoryRepository, accepted: list[int] | None
    ) -> None:
        """One of the accepted versions, or any where none are named."""
        repository.commit(creation(an_item(version=3)))

        edited = repository.edit_item(an_edit(an_item(), versions=accepted, name="new"))

        assert (edited.version, edited.name) == (4, "new")

    @pytest.mark.parametrize("accepted", [[2], [4], [1, 2, 4], []])
    def test_an_edit_of_another_version_is_refused_and_changes_nothing(
        self, repository: InventoryRepository, accepted: list[int]
    ) -> None:
        """The refusal carries the item as it is."""
        item = an_item(version=3, reserved=1, seq=2, reorder_point=4)
        repository.commit(creation(item))

        with pytest.raises(StaleReadError) as stale:
            repository.edit_item(an_edit(item, versions=accepted, name="never"))

        assert stale.value.current == item
        assert repository.get_item(item.key) == item

    @pytest.mark.parametrize("versions", [None, [1], []])
    def test_an_edit_of_nothing_is_refused(
        self, repository: InventoryRepository, versions: list[int] | None
    ) -> None:
        """Where there is no item there is nothing to edit, and none comes to be."""
        with pytest.raises(StaleReadError) as stale:
            repository.edit_item(an_edit(an_item(), versions=versions, name="never"))

        assert stale.value.current is None
        assert repository.get_item(an_item().key) is None
        assert walk(repository, ANY) == []

    def test_an_edit_never_brings_a_deleted_item_back(
        self, repository: InventoryRepository
    ) -> None:
        """What was deleted stays deleted, by key and in every list."""
        repository.commit(creation(an_item()))
        repository.delete_item(an_item().key)

        with pytest.raises(StaleReadError) as stale:
            repository.edit_item(an_edit(an_item(), name="a ghost", category="ghosts"))

        assert stale.value.current is None
        assert repository.find_item("item-1") is None
        assert walk(repository, ItemFilter(category="ghosts")) == []

    def test_movements_do_not_stand_in_the_way_of_an_edit(
        self, repository: InventoryRepository
    ) -> None:
        """An edit looks at the version alone and keeps the level that it finds."""
        read = an_item()
        repository.commit(creation(read))
        repository.commit(rewrite(read, on_hand=3, reserved=2))

        edited = repository.edit_item(an_edit(read, versions=[1], name="new"))

        assert edited.level == StockLevel(on_hand=3, reserved=2, seq=1)
        assert repository.get_item(read.key) == edited

    def test_an_edit_finds_one_sku_of_an_id(self, repository: InventoryRepository) -> None:
        """Another SKU under the same id is another item."""
        other = an_item(sku="SKU-2")
        repository.commit(creation(an_item(), other))

        repository.edit_item(an_edit(an_item(), name="new"))

        assert repository.get_item(other.key) == other


class DeletesContract:
    """An item goes when nothing of it is promised and it is in a state that the caller accepts."""

    @pytest.mark.parametrize("tags", [None, {(4, 6)}, {(1, 0), (4, 6)}])
    def test_a_delete_returns_the_item_as_it_was(
        self, repository: InventoryRepository, tags: set[tuple[int, int]] | None
    ) -> None:
        """Afterwards it is gone from every read and every list; its neighbours stay."""
        item = an_item(seq=6, version=4, reorder_point=50)
        others = [an_item(sku="SKU-2"), an_item("other")]
        repository.commit(creation(item, *others))

        deleted = repository.delete_item(item.key, tags=None if tags is None else frozenset(tags))

        assert deleted == item
        assert repository.get_item(item.key) is None
        assert repository.find_item(item.item_id) == others[0]
        assert repository.get_items([item.key]) == ()
        assert _by_key(walk(repository, ANY)) == others
        assert walk(repository, ItemFilter(sku=item.sku)) == [others[1]]
        assert walk(repository, ItemFilter(low_stock=True)) == []

    @pytest.mark.parametrize(
        "tags",
        [
            pytest.param({(3, 6)}, id="version"),
            pytest.param({(4, 5)}, id="seq"),
            pytest.param({(6, 4)}, id="swapped"),
            pytest.param({(4, 5), (3, 6)}, id="each half matches somewhere"),
            pytest.param(set(), id="none accepted"),
        ],
    )
    def test_a_delete_of_another_state_is_refused(
        self, repository: InventoryRepository, tags: set[tuple[int, int]]
    ) -> None:
        """Version and seq must match together; the refusal carries the item as it is."""
        item = an_item(seq=6, version=4)
        repository.commit(creation(item))

        with pytest.raises(StaleReadError) as stale:
            repository.delete_item(item.key, tags=frozenset(tags))

        assert stale.value.current == item
        assert repository.get_item(item.key) == item

    @pytest.mark.parametrize("tags", [None, frozenset({(1, 1)}), frozenset({(7, 7)})])
    def test_an_item_with_reserved_units_stays(
        self, repository: InventoryRepository, tags: frozenset[tuple[int, int]] | None
    ) -> None:
        """What is promised cannot go, whatever state the caller accepts."""
        item = an_item(reserved=1, seq=1)
        repository.commit(creation(item))

        with pytest.raises(StaleReadError) as stale:
            repository.delete_item(item.key, tags=tags)

        assert stale.value.current == item
        assert repository.get_item(item.key) == item

    def test_an_item_goes_once_its_units_are_free(self, repository: InventoryRepository) -> None:
        """Only the present counts: units that were promised once are no obstacle."""
        item = an_item(reserved=1, seq=1)
        repository.commit(creation(item))
        freed = rewrite(item, reserved=0)
        repository.commit(freed)

        assert repository.delete_item(item.key) == freed.items[0].after

    def test_an_item_goes_only_once(self, repository: InventoryRepository) -> None:
        """The second delete finds nothing, and says so."""
        repository.commit(creation(an_item()))
        repository.delete_item(an_item().key)

        with pytest.raises(StaleReadError) as stale:
            repository.delete_item(an_item().key)

        assert stale.value.current is None

    @pytest.mark.parametrize("tags", [None, frozenset({(1, 0)}), frozenset()])
    def test_what_never_was_cannot_be_deleted(
        self, repository: InventoryRepository, tags: frozenset[tuple[int, int]] | None
    ) -> None:
        """The refusal carries None, with tags and without."""
        with pytest.raises(StaleReadError) as stale:
            repository.delete_item(an_item().key, tags=tags)

        assert stale.value.current is None


# One list for each index, with what makes an item belong to it.
_LISTS: Final = [
    pytest.param(ANY, {}, id="all"),
    pytest.param(ItemFilter(category="tools"), {}, id="category"),
    pytest.param(ItemFilter(status=AVAILABLE), {}, id="status"),
    pytest.param(ItemFilter(sku="SKU-1"), {}, id="sku"),
    pytest.param(ItemFilter(low_stock=True), {"reorder_point": 10}, id="low_stock"),
    pytest.param(
        ItemFilter(category="tools", status=AVAILABLE, location="default"), {}, id="filtered"
    ),
]

_each_list = pytest.mark.parametrize(("wanted", "details"), _LISTS)


def _stocked(repository: InventoryRepository, count: int, details: dict[str, Any]) -> list[Item]:
    """Store *count* items whose order by id is not their order by time."""
    items = [
        an_item(f"item-{number}", updated_at=a_time(number * 7 % count), **details)
        for number in range(count)
    ]
    repository.commit(creation(*items))
    return items


def _outsiders(count: int = 3) -> list[Item]:
    """Return items that pass no filter, with ids between those of the others."""
    return [
        an_item(f"item-{number}5", sku="ELSE", category="else", status="else", location="else")
        for number in range(count)
    ]


class ListsContract:
    """
    A walk yields what passes the filter, in order, each item once.

    Attributes:
        orders_ties: Whether items that were edited at the same instant, or SKUs under one id, come in the order of their keys
            where an index does not hold them. DynamoDB does not say in which order it keeps equal keys of an index.
    """

    orders_ties: ClassVar[bool] = True

    def test_lists_hold_what_passes_every_filter(self, repository: InventoryRepository) -> None:
        """All filters combine, each with each, whichever index is walked."""
        items = [
            an_item(
                f"item-{number:02}",
                sku=sku,
                category=category,
                status=status,
                location=location,
                reorder_point=reorder_point,
                updated_at=a_time(50 - number),
            )
            for number, (sku, category, status, location, reorder_point) in enumerate(
                [
                    ("SKU-1", "tools", AVAILABLE, "north", 10),
                    ("SKU-1", "tools", AVAILABLE, "north", 9),
                    ("SKU-1", "tools", AVAILABLE, "south", 10),
                    ("SKU-1", "tools", DISCONTINUED, "north", 10),
                    ("SKU-1", "toys", AVAILABLE, "north", 10),
                    ("SKU-2", "tools", AVAILABLE, "north", 10),
                    ("SKU-2", "toys", AVAILABLE, "south", None),
                    ("SKU-2", "tools", DISCONTINUED, "south", 11),
                    ("SKU-2", "toys", DISCONTINUED, "north", 0),
                ]
            )
        ]
        repository.commit(creation(*items))
        choices: dict[str, tuple[Any, Any]] = {
            "sku": (None, "SKU-1"),
            "category": (None, "tools"),
            "status": (None, AVAILABLE),
            "location": (None, "north"),
            "low_stock": (False, True),
        }

        for chosen in itertools.product(*choices.values()):
            wanted = ItemFilter(**dict(zip(choices, chosen, strict=True)))
            listed = walk(repository, wanted)

            assert _by_key(listed) == [item for item in items if wanted.passes(item)], wanted
            if wanted.index != "item_id":
                assert listed == sorted(listed, key=wanted.position), wanted

    @pytest.mark.parametrize(
        "wanted",
        [
            ItemFilter(category="else"),
            ItemFilter(status="else"),
            ItemFilter(sku="else"),
            ItemFilter(location="else"),
            ItemFilter(low_stock=True),
            ItemFilter(category="tools", location="else"),
        ],
    )
    def test_a_list_that_nothing_passes_is_one_empty_walk(
        self, repository: InventoryRepository, wanted: ItemFilter
    ) -> None:
        """Values that no item has are no error."""
        _stocked(repository, 3, {})

        assert walk(repository, wanted, size=2) == []

    @_each_list
    def test_a_walk_yields_each_item_once_whatever_the_page_size(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Pages of every size, from one row to more than there are, add up to the same list in the same order."""
        items = _stocked(repository, 6, details)
        outsiders = _outsiders()
        repository.commit(creation(*outsiders))
        passing = [item for item in (*items, *outsiders) if wanted.passes(item)]
        assert len(passing) >= 6

        for size in range(1, len(passing) + 2):
            listed = walk(repository, wanted, size)

            assert _by_key(listed) == _by_key(passing), size
            if wanted.index != "item_id":
                assert listed == sorted(passing, key=wanted.position), size

    @_each_list
    @pytest.mark.parametrize("size", [1, 2, 3, 6])
    def test_a_page_that_ends_with_the_list_has_no_cursor(
        self,
        repository: InventoryRepository,
        wanted: ItemFilter,
        details: dict[str, Any],
        size: int,
    ) -> None:
        """Where the last page is full to the last row, no empty page follows it."""
        _stocked(repository, 6, details)

        seen = 0
        for page in pages(repository, wanted, size):
            seen += len(page.items)
            assert (page.next_cursor is None) == (seen == 6)

    @_each_list
    def test_page_sizes_may_change_during_a_walk(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """A cursor says where to go on, not how far."""
        items = _stocked(repository, 6, details)

        seen, cursor = _part(repository, wanted, 1)
        rest = walk(repository, wanted, 4, cursor)

        assert _by_key(seen + rest) == items

    @_each_list
    def test_a_cursor_may_be_used_again(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Going on twice from one place yields the same twice."""
        _stocked(repository, 6, details)
        _, cursor = _part(repository, wanted, 2)

        assert walk(repository, wanted, 3, cursor) == walk(repository, wanted, 1, cursor)

    @_each_list
    def test_a_cursor_outlives_the_items_around_it(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """What was already seen may go, the row that the cursor names included; the rest of the walk is the same."""
        items = _stocked(repository, 6, details)
        seen, cursor = _part(repository, wanted, 3)

        for item in seen:
            repository.delete_item(item.key)
        rest = walk(repository, wanted, 2, cursor)

        assert _by_key(seen + rest) == items

    @_each_list
    def test_items_that_come_during_a_walk_displace_no_others(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """A newcomer may be seen or not, once; every other item still comes exactly once."""
        items = _stocked(repository, 6, details)
        seen, cursor = _part(repository, wanted, 3)
        newcomers = [
            an_item("item-", updated_at=a_time(-5), **details),
            an_item("item-2a", updated_at=a_time(2.5), **details),
            an_item("item-9", updated_at=a_time(99), **details),
        ]

        repository.commit(creation(*newcomers))
        rest = walk(repository, wanted, 2, cursor)

        listed = [item.key for item in seen + rest]
        assert len(listed) == len(set(listed))
        assert {item.key for item in items} <= set(listed)

    def test_an_edit_during_a_walk_displaces_no_others(
        self, repository: InventoryRepository
    ) -> None:
        """In a list by time an edited item moves to the end; those that were not edited still come exactly once."""
        items = _stocked(repository, 6, {})
        wanted = ItemFilter(category="tools")
        seen, cursor = _part(repository, wanted, 3)

        moved = {seen[-1].key, items[5].key}
        for key in moved:
            repository.edit_item(an_edit(an_item(key.item_id), name="edited"))
        listed = seen + walk(repository, wanted, 2, cursor)

        unmoved = [item.key for item in items if item.key not in moved]
        assert sorted(item.key for item in listed if item.key not in moved) == unmoved
        assert moved <= {item.key for item in listed}

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    @pytest.mark.parametrize(
        "wanted",
        [ANY, ItemFilter(category="tools"), ItemFilter(status=AVAILABLE), ItemFilter(sku="SKU-1")],
    )
    def test_items_edited_at_the_same_instant_all_come(
        self, repository: InventoryRepository, wanted: ItemFilter, size: int
    ) -> None:
        """Equal times, and SKUs under one id, neither hide nor repeat each other at the edge of a page."""
        items = [
            an_item(item_id, sku=sku) for item_id in ("a", "b", "c") for sku in ("SKU-1", "SKU-2")
        ]
        repository.commit(creation(*items))
        passing = [item for item in items if wanted.passes(item)]

        listed = walk(repository, wanted, size)

        assert _by_key(listed) == passing
        if self.orders_ties and wanted.index != "item_id":
            assert listed == passing

    def test_text_is_ordered_by_code_points(self, repository: InventoryRepository) -> None:
        """Digits, capitals, small letters, accents, then what lies beyond the first plane."""
        ids = [
            "",
            "10",
            "9",
            "A",
            "Z",
            "a",
            "\N{LATIN SMALL LETTER E WITH ACUTE}",
            "\uffee",
            "\U0001f600",
        ]
        items = [an_item(f"item{item_id}") for item_id in ids]
        repository.commit(creation(*reversed(items)))

        for size in (1, 4, 100):
            assert walk(repository, ItemFilter(status=AVAILABLE), size) == items
            assert walk(repository, ItemFilter(sku="SKU-1"), size) == items

    @_each_list
    def test_a_damaged_cursor_is_refused(
        self, repository: InventoryRepository, wanted: ItemFilter, details: dict[str, Any]
    ) -> None:
        """Whichever character was changed, dropped or added."""
        _stocked(repository, 3, details)
        _, cursor = _part(repository, wanted, 1)
        damaged = [
            f"{cursor[:place]}{'B' if char == 'A' else 'A'}{cursor[place + 1 :]}"
            for place, char in enumerate(cursor)
        ]
        damaged += [cursor[:-1], cursor[1:], cursor[: len(cursor) // 2], cursor[:1], cursor * 2]
        damaged += [f"{cursor}A", f"{cursor}=", f"{cursor}\n", f" {cursor}", cursor.swapcase()]

        for token in damaged:
            _refuses(repository, wanted, token)

    @pytest.mark.parametrize(
        "token",
        [
            *("", " ", "=", "====", "A", "AAAA", "null", "{}", "[]", "0", "-", "%00", "\0", "\n"),
            *("item-0", "W10", "eyJpdGVtX2lkIjogIml0ZW0tMCJ9", "\N{SNOWMAN}", "A" * 16_000),
        ],
    )
    @pytest.mark.parametrize("wanted", [ANY, ItemFilter(category="tools")])
    def test_what_never_was_a_cursor_is_refused(
        self, repository: InventoryRepository, wanted: ItemFilter, token: str
    ) -> None:
        """Arbitrary text is answered with the one error that says so."""
        _refuses(repository, wanted, token)

    def test_a_cursor_is_good_for_its_own_filter_only(
        self, repository: InventoryRepository
    ) -> None:
        """Another value, another filter, one more or one less: each is another list."""
        _stocked(repository, 3, {"reorder_point": 10})
        filters = [
            ANY,
            ItemFilter(category="tools"),
            ItemFilter(category="toys"),
            ItemFilter(status=AVAILABLE),
            ItemFilter(status="tools"),
            ItemFilter(sku="SKU-1"),
            ItemFilter(location="default"),
            ItemFilter(low_stock=True),
            ItemFilter(category="tools", status=AVAILABLE),
            ItemFilter(category="tools", location="default"),
            ItemFilter(status=AVAILABLE, low_stock=True),
        ]
        cursors = {
            wanted: _part(repository, wanted, 1)[1]
            for wanted in filters
            if walk(repository, wanted)
        }

        for (origin, cursor), wanted in itertools.product(cursors.items(), filters):
            if wanted != origin:
                _refuses(repository, wanted, cursor)

    def test_an_edited_item_leaves_one_list_and_joins_another(
        self, repository: InventoryRepository
    ) -> None:
        """Category, status and location are listed as they are after an edit or a commit."""
        item = an_item()
        repository.commit(creation(item))

        edited = repository.edit_item(
            an_edit(item, category="toys", status=DISCONTINUED, location="north")
        )
        assert self._lists_with(repository) == {"toys", DISCONTINUED, "north"}

        repository.commit(
            rewrite(edited, on_hand=5, category="tools", status=AVAILABLE, location="south")
        )
        assert self._lists_with(repository) == {"tools", AVAILABLE, "south"}

    def _lists_with(self, repository: InventoryRepository) -> set[str]:
        lists = {value: ItemFilter(category=value) for value in ("tools", "toys")}
        lists |= {value: ItemFilter(status=value) for value in (AVAILABLE, DISCONTINUED)}
        lists |= {value: ItemFilter(location=value) for value in ("north", "south")}
        return {value for value, wanted in lists.items() if walk(repository, wanted)}

    def test_an_edit_moves_an_item_to_the_end_of_its_category(
        self, repository: InventoryRepository
    ) -> None:
        """The one edited longest ago comes first; movements of stock do not count as edits."""
        items = [an_item(f"item-{number}", updated_at=a_time(number)) for number in range(3)]
        repository.commit(creation(*items))

        edited = repository.edit_item(an_edit(items[0], name="edited"))
        moved = rewrite(items[1], on_hand=1)
        repository.commit(moved)

        listed = walk(repository, ItemFilter(category="tools"), size=1)
        assert listed == [moved.items[0].after, items[2], edited]

    @pytest.mark.parametrize(
        ("start", "step", "before", "after"),
        [
            ({"on_hand": 6, "reorder_point": 5}, {"on_hand": 5}, False, True),
            ({"on_hand": 5, "reorder_point": 5}, {"on_hand": 6}, True, False),
            ({"on_hand": 9, "reorder_point": 5}, {"reserved": 4}, False, True),
            ({"on_hand": 9, "reserved": 4, "reorder_point": 5}, {"reserved": 3}, True, False),
            ({"on_hand": 9, "reorder_point": 5}, {"on_hand": 6, "reserved": 0}, False, False),
            ({"on_hand": 4, "reorder_point": 5}, {"on_hand": 0}, True, True),
            ({"on_hand": 4, "reorder_point": None}, {"reorder_point": 4}, False, True),
            ({"on_hand": 4, "reorder_point": 3}, {"reorder_point": 4}, False, True),
            ({"on_hand": 4, "reorder_point": 4}, {"reorder_point": 3}, True, False),
            ({"on_hand": 4, "reorder_point": 4}, {"reorder_point": None}, True, False),
            ({"on_hand": 0, "reorder_point": None}, {"reorder_point": 0}, False, True),
            ({"on_hand": 0, "reorder_point": 0}, {"on_hand": 1, "reorder_point": 1}, True, True),
        ],
    )
    def test_an_item_is_listed_as_low_while_it_is(
        self,
        repository: InventoryRepository,
        start: dict[str, Any],
        step: dict[str, Any],
        before: bool,  # noqa: FBT001 - an example, not an interface
        after: bool,  # noqa: FBT001 - as above
    ) -> None:
        """It joins the list with the commit that takes it to its reorder point, and leaves with the one that lifts it above."""
        item = an_item(**start)
        low = ItemFilter(low_stock=True)

        repository.commit(creation(item))
        assert bool(walk(repository, low)) == before

        change = rewrite(item, **step)
        repository.commit(change)
        assert walk(repository, low) == ([change.items[0].after] if after else [])

    def test_edits_of_details_leave_the_low_stock_list_alone(
        self, repository: InventoryRepository
    ) -> None:
        """A low item stays listed, as edited; another stays out."""
        low, fine = an_item("low", reorder_point=10), an_item("fine", reorder_point=9)
        repository.commit(creation(low, fine))

        edited = repository.edit_item(an_edit(low, name="new", status=DISCONTINUED))
        repository.edit_item(an_edit(fine, name="new"))

        assert walk(repository, ItemFilter(low_stock=True)) == [edited]

    def test_a_refused_commit_leaves_the_low_stock_list_alone(
        self, repository: InventoryRepository
    ) -> None:
        """What was not stored is not listed."""
        fine = an_item(reorder_point=5, seq=1)
        repository.commit(creation(fine))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(reorder_point=5), on_hand=1))

        assert walk(repository, ItemFilter(low_stock=True)) == []

    def test_a_deleted_item_is_no_longer_low(self, repository: InventoryRepository) -> None:
        """It leaves the list with its row, and a successor under its key is listed on its own merits."""
        repository.commit(creation(an_item(reorder_point=50)))
        repository.delete_item(an_item().key)
        assert walk(repository, ItemFilter(low_stock=True)) == []

        repository.commit(creation(an_item(on_hand=100)))
        assert walk(repository, ItemFilter(low_stock=True)) == []


def _refuses(repository: InventoryRepository, wanted: ItemFilter, token: str) -> None:
    with pytest.raises(InvalidCursorError):
        repository.list_items(wanted, PageRequest(size=2, cursor=token))


_A_MOVEMENT: Final = Movement(
    key=ItemKey(item_id="item-1", sku="SKU-1"),
    seq=1,
    kind=MovementKind.ADJUST,
    delta_on_hand=-3,
    delta_reserved=1,
    on_hand=7,
    reserved=1,
    reason="broken",
    reference="note-1",
    recorded_at=a_time(60),
)


def _history(repository: InventoryRepository, item: Item, count: int) -> list[Movement]:
    """Move *item*, which is on the books, *count* times; return its movements, the newest first."""
    movements: list[Movement] = []
    for _ in range(count):
        change = rewrite(item, on_hand=item.level.on_hand + 1)
        repository.commit(change)
        item = change.items[0].after
        movements[:0] = change.movements
    return movements


class MovementsContract:
    """The ledger keeps each movement once, in its item's history, for good."""

    @pytest.mark.parametrize("kind", [kind for kind in MovementKind if kind != "opening"])
    def test_every_kind_of_movement_can_be_kept(
        self, repository: InventoryRepository, kind: MovementKind
    ) -> None:
        """The kind comes back as the kind that it was, not as its text."""
        _keep_movement(repository, evolve(_A_MOVEMENT, kind=kind))

        [movement] = ledger(repository, an_item().key)

        assert movement.kind is kind

    @pytest.mark.parametrize(
        "movement",
        [
            pytest.param(_A_MOVEMENT, id="plain"),
            pytest.param(evolve(_A_MOVEMENT, reason=None, reference=None), id="unexplained"),
            pytest.param(evolve(_A_MOVEMENT, reason="r" * 256, reference="r" * 256), id="long"),
            pytest.param(
                evolve(
                    _A_MOVEMENT,
                    key=ItemKey(item_id="ключ/#%", sku="SKU \N{MUSICAL SYMBOL G CLEF}"),
                    reason="broken \N{GRINNING FACE}\tor '; DROP TABLE movements; --\n",
                    reference=" outer blanks stay ",
                ),
                id="text",
            ),
            pytest.param(
                evolve(
                    _A_MOVEMENT,
                    seq=999_999_999_999,
                    delta_on_hand=-1_000_000_000,
                    delta_reserved=-1_000_000_000,
                    on_hand=0,
                    reserved=0,
                ),
                id="greatest loss",
            ),
            pytest.param(
                evolve(
                    _A_MOVEMENT,
                    delta_on_hand=1_000_000_000,
                    delta_reserved=1_000_000_000,
                    on_hand=1_000_000_000,
                    reserved=1_000_000_000,
                ),
                id="greatest gain",
            ),
            pytest.param(
                evolve(_A_MOVEMENT, delta_on_hand=0, on_hand=10, kind=MovementKind.COUNT),
                id="a count that agrees",
            ),
        ],
    )
    def test_a_movement_comes_back_exactly_as_it_was_stored(
        self, repository: InventoryRepository, movement: Movement
    ) -> None:
        """Every field survives, value and type, in the list and as the first of its history."""
        _keep_movement(repository, movement)

        readings = [*ledger(repository, movement.key), repository.first_movement(movement.key)]

        assert readings == [movement] * 2
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.recorded_at, Timestamp)
            numbers = (reading.seq, reading.delta_on_hand, reading.delta_reserved, reading.on_hand)
            assert all(type(number) is int for number in numbers)

    def test_what_never_moved_has_no_history(self, repository: InventoryRepository) -> None:
        """Neither an item without movements nor a key that no item ever had is an error."""
        repository.commit(creation(an_item("still"), an_item("moved")))
        _history(repository, an_item("moved"), 1)

        for item_id in ("still", "never there"):
            key = an_item(item_id).key
            assert repository.list_movements(key, PageRequest(size=1)) == Page(items=())
            assert repository.first_movement(key) is None

    def test_the_newest_movement_comes_first(self, repository: InventoryRepository) -> None:
        """By number, not by text: the tenth movement comes before the ninth."""
        repository.commit(creation(an_item()))

        movements = _history(repository, an_item(), 12)

        assert [movement.seq for movement in movements] == list(range(12, 0, -1))
        assert ledger(repository, an_item().key) == movements

    def test_the_first_movement_is_the_oldest(self, repository: InventoryRepository) -> None:
        """However many came after it, and also where the history does not begin with 1."""
        whole, cut = an_item("whole"), an_item("cut", seq=8)
        repository.commit(creation(whole, cut))

        for item in (whole, cut):
            movements = _history(repository, item, 3)

            assert repository.first_movement(item.key) == movements[-1]

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 7, 100])
    def test_pages_of_every_size_add_up_to_the_history(
        self, repository: InventoryRepository, size: int
    ) -> None:
        """No movement is repeated or missed at the edge of a page."""
        repository.commit(creation(an_item()))
        movements = _history(repository, an_item(), 6)

        assert ledger(repository, an_item().key, size) == movements

    @pytest.mark.parametrize("size", [1, 2, 3, 6])
    def test_a_full_page_of_movements_always_has_a_cursor(
        self, repository: InventoryRepository, size: int
    ) -> None:
        """Also where nothing is left: the walk ends on a page with room for the opening balance."""
        repository.commit(creation(an_item()))
        _history(repository, an_item(), 6)

        *before, last = _ledger_pages(repository, an_item().key, size)

        assert sum(len(page.items) for page in before) == 6
        assert len(last.items) < size

    def test_a_walk_along_a_ledger_is_not_displaced_by_what_moves_meanwhile(
        self, repository: InventoryRepository
    ) -> None:
        """What comes after a walk began is newer than its place; what is older still comes once, whatever the page size."""
        repository.commit(creation(an_item()))
        movements = _history(repository, an_item(), 6)
        page = repository.list_movements(an_item().key, PageRequest(size=2))

        _history(repository, an_item(on_hand=16, seq=6), 3)

        for size in (1, 3):
            rest = ledger(repository, an_item().key, size, page.next_cursor)
            assert [*page.items, *rest] == movements

    def test_each_item_has_a_history_of_its_own(self, repository: InventoryRepository) -> None:
        """Keys that look alike when their halves are joined, that are part of one another, or that differ in case."""
        keys = [("a#b", "c"), ("a", "b#c"), ("a", "b"), ("a", "b#"), ("a#", "b"), ("ab", "c")]
        keys += [("a", "c"), ("A", "c"), ("a", "C"), ("a", "c "), ("a/b", "c"), ("a:b", "c")]
        keys += [("a%23b", "c"), ("a", "%"), ("_", "c"), ("a\\#b", "c"), ("a", "b\\#c")]
        items = [an_item(item_id, sku=sku) for item_id, sku in keys]
        repository.commit(creation(*items))
        moved = [item for place, item in enumerate(items) if place % 3]

        movements = {item.key: _history(repository, item, 2) for item in moved}

        for item in items:
            expected = movements.get(item.key, [])
            assert ledger(repository, item.key, size=1) == expected
            first = expected[-1] if expected else None
            assert repository.first_movement(item.key) == first

    def test_each_movement_of_a_change_goes_into_its_own_history(
        self, repository: InventoryRepository
    ) -> None:
        """Both sides of a transfer are told, each in the ledger of its item."""
        north, south = an_item("north"), an_item("south")
        repository.commit(creation(north, south))
        out, into = rewrite(north, on_hand=6), rewrite(south, on_hand=14)

        repository.commit(together(out, into))

        assert ledger(repository, north.key) == [*out.movements]
        assert ledger(repository, south.key) == [*into.movements]

    def test_a_ledger_outlives_its_item(self, repository: InventoryRepository) -> None:
        """What moved is told after the item is gone, and after its key was taken again."""
        repository.commit(creation(an_item()))
        movements = _history(repository, an_item(), 3)

        for happens in (
            lambda: repository.delete_item(an_item().key),
            lambda: repository.commit(creation(an_item(on_hand=99))),
        ):
            happens()

            assert ledger(repository, an_item().key, size=2) == movements
            assert repository.first_movement(an_item().key) == movements[-1]

    def test_an_edit_leaves_the_ledger_alone(self, repository: InventoryRepository) -> None:
        """Details are no stock: neither an edit nor a commit of details is a movement."""
        repository.commit(creation(an_item()))
        edited = repository.edit_item(an_edit(an_item(), name="new"))
        repository.commit(rewrite(edited, name="newer"))

        assert ledger(repository, an_item().key) == []

    def test_a_place_in_a_history_is_taken_once(self, repository: InventoryRepository) -> None:
        """An item under a key that had a history cannot write over it: the change is refused, and leaves nothing."""
        repository.commit(creation(an_item()))
        movements = _history(repository, an_item(), 2)
        repository.delete_item(an_item().key)
        repository.commit(creation(an_item(name="successor")))

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(name="successor"), on_hand=1))

        assert ledger(repository, an_item().key) == movements
        assert repository.get_item(an_item().key) == an_item(name="successor")

    def test_a_refused_change_leaves_no_movement(self, repository: InventoryRepository) -> None:
        """What was not done is not told."""
        repository.commit(creation(an_item()))
        movements = _history(repository, an_item(), 1)

        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(), on_hand=1))
        with pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(seq=5), on_hand=1))

        assert ledger(repository, an_item().key) == movements

    def test_a_cursor_of_another_ledger_is_refused(self, repository: InventoryRepository) -> None:
        """Neither another item's cursor is good here, nor one of a list of items, nor one that was damaged."""
        items = [an_item("a"), an_item("b"), an_item("a", sku="b")]
        repository.commit(creation(*items))
        cursors = {}
        for item in items:
            _history(repository, item, 2)
            cursors[item.key] = repository.list_movements(item.key, PageRequest(size=1)).next_cursor
        _, of_a_list = _part(repository, ANY, 1)

        for (origin, cursor), item in itertools.product(cursors.items(), items):
            assert cursor is not None
            others = [] if item.key == origin else [cursor]
            for token in (
                *others,
                of_a_list,
                cursor[:-1],
                f"{cursor}A",
                cursor.swapcase(),
                "",
                "1",
            ):
                with pytest.raises(InvalidCursorError):
                    repository.list_movements(item.key, PageRequest(size=1, cursor=token))
            with pytest.raises(InvalidCursorError):
                repository.list_items(ANY, PageRequest(size=1, cursor=cursor))


def _keep_movement(repository: InventoryRepository, movement: Movement) -> None:
    """Put an item on the books that is just where *movement* begins, and move it."""
    before = an_item(
        movement.key.item_id,
        sku=movement.key.sku,
        on_hand=movement.on_hand - movement.delta_on_hand,
        reserved=movement.reserved - movement.delta_reserved,
        seq=movement.seq - 1,
    )
    repository.commit(creation(before))
    change = rewrite(before, on_hand=movement.on_hand, reserved=movement.reserved)
    repository.commit(evolve(change, movements=(movement,)))


_CLOSED_STATES: Final = [state for state in ReservationState if state != "held"]


class ReservationsContract:
    """A reservation is stored on the state that it was decided on; its id finds it and, while it is held, its due time."""

    @pytest.mark.parametrize(
        "reservation",
        [
            pytest.param(a_reservation(), id="plain"),
            pytest.param(a_reservation(reference=None), id="without a reference"),
            pytest.param(
                a_reservation(
                    "ключ/#%",
                    reference="order \N{SNOWMAN} '\"\\ \t",
                    lines=[(ItemKey(item_id="a#b\N{GRINNING FACE}", sku='"c\\'), 1)],
                ),
                id="text",
            ),
            pytest.param(
                a_reservation(
                    "i" * 36,
                    reference="r" * 256,
                    lines=[(ItemKey(item_id="i" * 36, sku="s" * 128), 1_000_000_000)],
                ),
                id="longest",
            ),
            pytest.param(
                a_reservation(lines=[(an_item(f"{n:02}").key, n + 1) for n in range(25)]),
                id="25 lines",
            ),
            pytest.param(
                a_reservation(lines=[(an_item(sku=sku).key, 2) for sku in "ABC"]),
                id="several SKUs of an id",
            ),
            *(pytest.param(closed(a_reservation(), state), id=state) for state in _CLOSED_STATES),
        ],
    )
    def test_a_reservation_comes_back_exactly_as_it_was_stored(
        self, repository: InventoryRepository, reservation: Reservation
    ) -> None:
        """Every field survives, value and type, and the lines keep their order."""
        repository.commit(reserving(None, reservation))

        readings = [repository.get_reservation(reservation.reservation_id), *held(repository)]
        readings += held(repository, due_by=reservation.expires_at)

        is_held = reservation.state is ReservationState.HELD
        assert readings == [reservation] * (3 if is_held else 1)
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.state, ReservationState)
            assert isinstance(reading.expires_at, Timestamp)
            assert all(type(line.quantity) is int for line in reading.lines)

    def test_a_reservation_that_never_was_is_not_found(
        self, repository: InventoryRepository
    ) -> None:
        """Nothing comes back, and nothing is raised, in an empty repository and beside another reservation."""
        assert repository.get_reservation("reservation-1") is None
        assert held(repository) == held(repository, due_by=a_time(10_000)) == []

        repository.commit(reserving(None, a_reservation("reservation-11")))

        assert repository.get_reservation("reservation-1") is None

    def test_an_id_is_taken_only_once(self, repository: InventoryRepository) -> None:
        """A second reservation under one id is refused, and the first stays as it is."""
        repository.commit(reserving(None, a_reservation(reference="first")))

        with pytest.raises(StaleReadError):
            repository.commit(reserving(None, a_reservation(reference="second")))

        assert repository.get_reservation("reservation-1") == a_reservation(reference="first")

    @pytest.mark.parametrize("state", _CLOSED_STATES)
    def test_a_reservation_is_extended_and_closed(
        self, repository: InventoryRepository, state: ReservationState
    ) -> None:
        """Each step follows on the one before; another reservation is left alone."""
        other = a_reservation("other")
        opened = a_reservation()
        extended = a_reservation(expires_at=5000)
        ended = closed(extended, state)
        repository.commit(reserving(None, other))

        for before, after in itertools.pairwise([None, opened, extended, ended]):
            assert after is not None
            repository.commit(reserving(before, after))
            assert repository.get_reservation("reservation-1") == after

        assert held(repository) == [other]
        assert repository.get_reservation("other") == other

    @pytest.mark.parametrize(
        ("stored", "believed"),
        [
            *((closed(a_reservation(), state), a_reservation()) for state in _CLOSED_STATES),
            (
                closed(a_reservation(), ReservationState.COMMITTED),
                closed(a_reservation(), ReservationState.RELEASED),
            ),
            (a_reservation(expires_at=900), a_reservation(expires_at=899.999999)),
            (a_reservation(expires_at=900), a_reservation(expires_at=901)),
            (None, a_reservation()),
        ],
    )
    def test_a_reservation_that_is_not_as_it_was_read_is_left_as_it_is(
        self,
        repository: InventoryRepository,
        stored: Reservation | None,
        believed: Reservation,
    ) -> None:
        """State and `expires_at` are each compared, and one that is not there does not come to be."""
        if stored is not None:
            repository.commit(reserving(None, stored))

        for after in (
            a_reservation(expires_at=5000),
            closed(believed, ReservationState.EXPIRED, at=99),
        ):
            with pytest.raises(StaleReadError):
                repository.commit(reserving(believed, after))

        assert repository.get_reservation("reservation-1") == stored

    def test_only_held_reservations_are_listed_as_held(
        self, repository: InventoryRepository
    ) -> None:
        """One that is closed leaves the list, one that was closed from the start never joins; one whose time is over stays."""
        over, closing = a_reservation("over", expires_at=-900), a_reservation("closing")
        for reservation in (over, closing):
            repository.commit(reserving(None, reservation))
        for state in _CLOSED_STATES:
            repository.commit(reserving(None, closed(a_reservation(f"was {state}"), state)))

        repository.commit(reserving(closing, closed(closing)))

        assert held(repository) == held(repository, due_by=a_time(5000)) == [over]

    def test_what_expires_first_is_at_the_head(self, repository: InventoryRepository) -> None:
        """By the time that they expire, to the microsecond, whenever they were made."""
        ends = [900.000001, 86_400, -5, 900, 60, 2_678_400, 899.999999]
        for number, end in enumerate(ends):
            repository.commit(reserving(None, a_reservation(f"r{number}", expires_at=end)))

        due = held(repository, due_by=a_time(9_999_999))

        assert [reservation.expires_at for reservation in due] == [*map(a_time, sorted(ends))]
        assert _by_expiry(held(repository)) == due

    def test_what_expires_at_the_very_time_is_due(self, repository: InventoryRepository) -> None:
        """A reservation is due from `expires_at` on, and not a microsecond before."""
        repository.commit(reserving(None, a_reservation(expires_at=900)))

        assert held(repository, due_by=a_time(900)) == [a_reservation()]
        assert held(repository, due_by=a_time(900.000001)) == [a_reservation()]
        assert held(repository, due_by=a_time(899.999999)) == []

    @pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
    @pytest.mark.parametrize("due_by", [None, a_time(900)])
    def test_a_walk_yields_each_held_reservation_once(
        self, repository: InventoryRepository, due_by: Timestamp | None, size: int
    ) -> None:
        """Pages of every size add up, also where reservations expire at one instant."""
        reservations = [
            a_reservation(f"r{number}", expires_at=900 - number // 4) for number in range(6)
        ]
        for reservation in reservations:
            repository.commit(reserving(None, reservation))
        repository.commit(reserving(None, a_reservation("later", expires_at=901)))
        repository.commit(reserving(None, closed(a_reservation("closed"))))

        found = held(repository, due_by=due_by, size=size)

        if due_by is None:
            reservations.append(a_reservation("later", expires_at=901))
        assert _by_expiry(found) == _by_expiry(reservations)

    def test_a_sweep_along_the_list_misses_none(self, repository: InventoryRepository) -> None:
        """What is closed while the walk goes on does not displace what has yet to come."""
        for number in range(7):
            repository.commit(reserving(None, a_reservation(f"r{number}", expires_at=number)))

        swept = []
        for page in _held_pages(repository, due_by=a_time(900), size=2):
            for reservation in page.items:
                repository.commit(
                    reserving(reservation, closed(reservation, ReservationState.EXPIRED))
                )
                swept.append(reservation.reservation_id)

        assert swept == [f"r{number}" for number in range(7)]
        assert held(repository) == []

    def test_an_extension_moves_a_reservation_in_the_order(
        self, repository: InventoryRepository
    ) -> None:
        """It is due when it says now, not when it said first."""
        first, second = a_reservation("first", expires_at=100), a_reservation("second")
        for reservation in (first, second):
            repository.commit(reserving(None, reservation))
        extended = evolve(first, expires_at=a_time(1000))

        repository.commit(reserving(first, extended))

        assert held(repository, due_by=a_time(999)) == [second]
        assert held(repository, due_by=a_time(1000)) == [second, extended]


def _by_expiry(reservations: Iterable[Reservation]) -> list[Reservation]:
    return sorted(reservations, key=lambda reservation: reservation.position)


class ServedContract:
    """The note that a key was served stands until it expires, and keeps every other effect under that key out."""

    @pytest.mark.parametrize(
        "record",
        [
            pytest.param(a_record(), id="plain"),
            pytest.param(a_record("f" * 64, fingerprint="0" * 64), id="digests"),
            pytest.param(a_record(answer='{"name":"ключ \N{SNOWMAN}\\n","n":1.10}'), id="text"),
            pytest.param(a_record(answer="null"), id="shortest"),
            pytest.param(a_record(answer=json.dumps("a" * 200_000)), id="200 kB"),
        ],
    )
    def test_a_record_comes_back_exactly_as_it_was_stored(
        self, repository: InventoryRepository, record: ServedRecord
    ) -> None:
        """Every field survives, the answer to the character."""
        repository.commit(serving(record))

        found = repository.get_served(record.record_id)

        assert found == record
        assert found is not None
        assert isinstance(found.served_at, Timestamp)
        assert isinstance(found.expires_at, Timestamp)

    def test_a_key_that_was_not_served_is_not_found(self, repository: InventoryRepository) -> None:
        """Nothing comes back, in an empty repository and beside another record."""
        assert repository.get_served("record-1") is None

        repository.commit(serving(a_record("record-11")))

        assert repository.get_served("record-1") is None

    @pytest.mark.parametrize("served_at", [-1, 0, 86_400, 86_400.499999])
    def test_a_key_is_served_once_while_its_record_counts(
        self, repository: InventoryRepository, served_at: float
    ) -> None:
        """Up to the last microsecond a second change under the key is refused, whole, and the first answer stays."""
        repository.commit(serving(a_record(expires_at=86_400.5)))
        again = a_record(answer='"second"', served_at=served_at, expires_at=99_999)

        with pytest.raises(AlreadyServedError):
            repository.commit(together(creation(an_item()), served=again))

        assert repository.get_served("record-1") == a_record(expires_at=86_400.5)
        assert repository.get_item(an_item().key) is None

    @pytest.mark.parametrize("served_at", [86_400.5, 86_400.500001, 200_000])
    def test_a_record_that_has_expired_is_written_over(
        self, repository: InventoryRepository, served_at: float
    ) -> None:
        """From the very instant on, deleted or not; the new record counts as the first did."""
        repository.commit(serving(a_record(expires_at=86_400.5)))
        again = a_record(
            answer='"second"', fingerprint="other", served_at=served_at, expires_at=300_000
        )

        repository.commit(together(creation(an_item()), served=again))

        assert repository.get_served("record-1") == again
        assert repository.get_item(an_item().key) == an_item()
        with pytest.raises(AlreadyServedError):
            repository.commit(serving(evolve(again, answer='"third"')))

    def test_each_key_has_a_record_of_its_own(self, repository: InventoryRepository) -> None:
        """Keys that differ at all are different keys, also with one answer."""
        records = [a_record(record_id) for record_id in ("a", "A", "aa", "a ", "a#", "\N{SNOWMAN}")]

        for record in records:
            repository.commit(serving(record))

        assert [repository.get_served(record.record_id) for record in records] == records

    @pytest.mark.parametrize("why", ["stale item", "taken key", "taken place", "reservation"])
    def test_that_a_key_was_served_is_told_before_anything_else(
        self, repository: InventoryRepository, why: str
    ) -> None:
        """Whatever else is stale: a repeat finds its own effect in the way, and must hear of its answer instead."""
        bad, reservation = _stale_parts(repository)[why]
        repository.commit(serving(a_record()))
        again = a_record(answer='"second"')

        with pytest.raises(AlreadyServedError):
            repository.commit(together(bad, reservation=reservation, served=again))

        assert repository.get_served("record-1") == a_record()

    @pytest.mark.parametrize("why", ["stale item", "taken key", "taken place", "reservation"])
    def test_an_expired_record_hides_no_other_refusal(
        self, repository: InventoryRepository, why: str
    ) -> None:
        """Where the key is free and something else is stale, that is told, and the old record stays."""
        bad, reservation = _stale_parts(repository)[why]
        repository.commit(serving(a_record(expires_at=10)))

        with pytest.raises(StaleReadError):
            repository.commit(
                together(bad, reservation=reservation, served=a_record(served_at=20, answer="2"))
            )

        assert repository.get_served("record-1") == a_record(expires_at=10)


def _stale_parts(
    repository: InventoryRepository,
) -> dict[str, tuple[Change, ReservationWrite | None]]:
    """Store something, and return parts of changes that cannot be stored any more, by what stands in their way."""
    item, gone, there = an_item("item", seq=1), an_item("gone"), a_reservation("there")
    repository.commit(together(creation(item, gone), reservation=_write(None, there)))
    _history(repository, gone, 1)
    repository.delete_item(gone.key)
    repository.commit(creation(gone))
    free = creation(an_item("free"))
    return {
        "stale item": (rewrite(an_item("item", seq=0), on_hand=1), None),
        "taken key": (creation(item), None),
        "gone item": (rewrite(an_item("never"), on_hand=1), None),
        "taken place": (rewrite(gone, on_hand=1), None),
        "reservation": (free, _write(closed(there), closed(there, ReservationState.EXPIRED))),
        "taken id": (free, _write(None, a_reservation("there", reference="another"))),
    }


class AllOrNothingContract:
    """Items, movements, a reservation and a served record travel in one commit: every part arrives, or none."""

    def test_a_change_of_every_part_is_stored_whole(self, repository: InventoryRepository) -> None:
        """What one use case decided is all there at once."""
        item = an_item()
        repository.commit(creation(item))
        moved = rewrite(item, reserved=1)

        repository.commit(
            together(
                moved,
                creation(an_item("made")),
                reservation=_write(None, a_reservation()),
                served=a_record(),
            )
        )

        assert repository.get_item(item.key) == moved.items[0].after
        assert repository.get_item(an_item("made").key) == an_item("made")
        assert ledger(repository, item.key) == [*moved.movements]
        assert repository.get_reservation("reservation-1") == a_reservation()
        assert held(repository) == [a_reservation()]
        assert repository.get_served("record-1") == a_record()

    @pytest.mark.parametrize(
        "why",
        [
            *("stale item", "taken key", "gone item", "taken place", "reservation", "taken id"),
            "served",
        ],
    )
    def test_whatever_stands_in_the_way_nothing_of_a_change_stays(
        self, repository: InventoryRepository, why: str
    ) -> None:
        """One part that cannot be stored takes all others with it."""
        good = an_item("good")
        repository.commit(creation(good))
        parts = _stale_parts(repository)
        repository.commit(serving(a_record("taken")))
        bad, reservation = parts.get(why, (creation(an_item("free")), None))
        served = a_record("taken" if why == "served" else "free")
        change = together(
            *(rewrite(good, on_hand=1), creation(an_item("made")), bad),
            reservation=reservation or _write(None, a_reservation("made")),
            served=served,
        )
        keys = [write.key for write in change.items]
        ids = ("there", "made")

        def state() -> list[Any]:
            return [
                _by_key(walk(repository, ANY)),
                [ledger(repository, key) for key in keys],
                [repository.get_reservation(reservation_id) for reservation_id in ids],
                held(repository),
                [repository.get_served(record_id) for record_id in ("taken", "free")],
            ]

        before = state()
        with pytest.raises(AlreadyServedError if why == "served" else StaleReadError):
            repository.commit(change)

        assert state() == before
        # Left behind, any of these would stand in the way of what comes after.
        repository.commit(
            together(
                rewrite(good, on_hand=2),
                reservation=_write(None, a_reservation("made")),
                served=a_record("free"),
            )
        )

    def test_the_largest_change_is_stored_whole(self, repository: InventoryRepository) -> None:
        """25 items with a movement each, a reservation of all of them, and a record with a long answer."""
        items = [an_item(f"item-{number:02}", reorder_point=9) for number in range(25)]
        repository.commit(creation(*items))
        moves = [rewrite(item, reserved=1) for item in items]
        reservation = a_reservation(lines=[(item.key, 1) for item in items])
        record = a_record(answer=json.dumps("a" * 200_000))

        repository.commit(together(*moves, reservation=_write(None, reservation), served=record))

        after = [move.items[0].after for move in moves]
        assert _by_key(repository.get_items(item.key for item in items)) == after
        assert walk(repository, ItemFilter(low_stock=True)) == after
        assert [ledger(repository, item.key) for item in items] == [
            [*move.movements] for move in moves
        ]
        assert held(repository) == [reservation]
        assert repository.get_served("record-1") == record

    def test_a_change_that_is_sent_twice_is_stored_once(
        self, repository: InventoryRepository
    ) -> None:
        """The second time it is refused or recognised; either way there is one effect."""
        item = an_item()
        repository.commit(creation(item))
        change = together(
            rewrite(item, reserved=1), reservation=_write(None, a_reservation()), served=a_record()
        )
        repository.commit(change)

        with suppress(AlreadyServedError, StaleReadError):
            repository.commit(change)

        assert repository.get_item(item.key) == change.items[0].after
        assert ledger(repository, item.key) == [*change.movements]
        assert held(repository) == [a_reservation()]

    def test_a_change_of_nothing_is_no_error(self, repository: InventoryRepository) -> None:
        """There is nothing to refuse, and nothing to store."""
        repository.commit(Change(write_id=str(uuid4())))

        assert walk(repository, ANY) == []


class PurgeContract:
    """
    What has been kept long enough goes, and nothing else.

    Attributes:
        purges: Whether `purge` deletes. False for storage that sees to it by itself, some time later, as DynamoDB's TTL does:
            there `purge` deletes nothing and returns 0.
    """

    purges: ClassVar[bool] = True

    def test_a_purge_deletes_what_is_due(self, repository: InventoryRepository) -> None:
        """Records from the instant that they expire on, and reservations from 30 days after they were closed on."""
        at = RESERVATION_KEPT_SECONDS
        ends = [at - 1000, at, at + 0.000001, at + 1000]
        for end in ends:
            repository.commit(serving(a_record(f"record {end}", expires_at=end)))
        closings = [-1000, 0, 0.000001, 1000]
        for closing, state in itertools.product(closings, _CLOSED_STATES):
            reservation = a_reservation(f"reservation {closing} {state}")
            repository.commit(reserving(None, closed(reservation, state, at=closing)))

        deleted = repository.purge(a_time(at))

        assert deleted == (2 + 2 * len(_CLOSED_STATES) if self.purges else 0)
        kept = slice(2 if self.purges else 0, None)
        assert [end for end in ends if repository.get_served(f"record {end}")] == ends[kept]
        for state in _CLOSED_STATES:
            assert [
                closing
                for closing in closings
                if repository.get_reservation(f"reservation {closing} {state}")
            ] == closings[kept]
        assert repository.purge(a_time(at)) == 0

    def test_a_purge_leaves_all_else_alone(self, repository: InventoryRepository) -> None:
        """Items, movements, and reservations that are held, however long ago their time was over."""
        item = an_item()
        repository.commit(creation(item))
        moved = rewrite(item, reserved=1)
        over = a_reservation(expires_at=-900)
        repository.commit(together(moved, reservation=_write(None, over)))

        assert repository.purge(a_time(10 * RESERVATION_KEPT_SECONDS)) == 0

        assert repository.get_item(item.key) == moved.items[0].after
        assert ledger(repository, item.key) == [*moved.movements]
        assert repository.get_reservation("reservation-1") == over
        assert held(repository, due_by=a_time()) == [over]

    def test_a_purge_of_nothing_is_no_error(self, repository: InventoryRepository) -> None:
        """An empty repository has nothing to delete."""
        assert repository.purge(a_time()) == 0


class ConcurrencyContract:
    """
    No interleaving loses a change.

    Attributes:
        concurrent: Whether threads may share the repository. False for stand-ins that lose updates under threads, as moto does:
            there, a failing test would tell of the stand-in and not of the repository.
    """

    concurrent: ClassVar[bool] = True

    @pytest.fixture
    def shared(self, repository: InventoryRepository) -> InventoryRepository:
        """The repository, where threads may share it."""
        if not self.concurrent:
            pytest.skip("threads may not share this repository")
        return repository

    def test_only_one_of_many_racing_commits_on_one_read_wins(
        self, shared: InventoryRepository
    ) -> None:
        """Eight threads decide on one read: one is stored, seven are told."""
        read = an_item(on_hand=100)
        shared.commit(creation(read))
        changes = [rewrite(read, on_hand=number) for number in range(8)]

        outcomes = _at_once(*(_committing(shared, change) for change in changes))

        assert _refused(outcomes) == 7
        assert shared.get_item(read.key) == an_item(on_hand=outcomes.index(None), seq=1)

    def test_only_one_of_many_racing_creations_wins(self, shared: InventoryRepository) -> None:
        """A key is taken once, however many reach for it."""
        items = [an_item(name=f"by thread {number}") for number in range(8)]

        outcomes = _at_once(*(_committing(shared, creation(item)) for item in items))

        assert _refused(outcomes) == 7
        assert shared.get_item(items[0].key) == items[outcomes.index(None)]

    def test_commits_to_different_items_do_not_hinder_each_other(
        self, shared: InventoryRepository
    ) -> None:
        """Two threads, two items: both are stored."""
        items = [an_item("a"), an_item("b")]
        shared.commit(creation(*items))

        outcomes = _at_once(*(_committing(shared, rewrite(item, on_hand=1)) for item in items))

        assert outcomes == [None, None]
        assert walk(shared, ItemFilter(sku="SKU-1")) == [
            an_item("a", on_hand=1, seq=1),
            an_item("b", on_hand=1, seq=1),
        ]

    def test_no_update_is_lost(self, shared: InventoryRepository) -> None:
        """Four threads count up ten times each, redoing what was stale: all forty are there."""
        item = an_item(on_hand=0)
        shared.commit(creation(item))

        outcomes = _at_once(*[lambda: _count_up(shared, item.key, 10)] * 4)

        assert outcomes == [None] * 4
        assert shared.get_item(item.key) == an_item(on_hand=40, seq=40)
        assert [movement.seq for movement in ledger(shared, item.key)] == list(range(40, 0, -1))

    def test_edits_and_commits_keep_each_others_work(self, shared: InventoryRepository) -> None:
        """One thread renames while another counts up: every edit and every movement is there."""
        item = an_item(on_hand=0)
        shared.commit(creation(item))

        def rename() -> None:
            for number in range(10):
                shared.edit_item(an_edit(item, name=f"name {number}"))

        outcomes = _at_once(rename, lambda: _count_up(shared, item.key, 10))

        assert outcomes == [None, None]
        assert shared.get_item(item.key) == an_item(
            on_hand=10, seq=10, name="name 9", version=11, updated_at=a_time(60)
        )

    def test_only_one_of_many_racing_repeats_of_a_request_has_an_effect(
        self, shared: InventoryRepository
    ) -> None:
        """One key, eight threads: one is stored, seven hear that the key was served and leave nothing."""
        records = [a_record(answer=f'"by thread {number}"') for number in range(8)]
        items = [an_item(f"item-{number}") for number in range(8)]
        changes = [
            together(creation(item), served=record)
            for item, record in zip(items, records, strict=True)
        ]

        outcomes = _at_once(*(_committing(shared, change) for change in changes))

        assert sum(isinstance(outcome, AlreadyServedError) for outcome in outcomes) == 7
        winner = outcomes.index(None)
        assert shared.get_served("record-1") == records[winner]
        assert walk(shared, ANY) == [items[winner]]

    def test_the_last_unit_is_promised_once(self, shared: InventoryRepository) -> None:
        """Eight threads reserve one unit: one reservation is held, and the ledger explains it."""
        item = an_item(on_hand=1)
        shared.commit(creation(item))
        reservations = [a_reservation(f"reservation-{number}") for number in range(8)]
        changes = [
            together(rewrite(item, reserved=1), reservation=_write(None, reservation))
            for reservation in reservations
        ]

        outcomes = _at_once(*(_committing(shared, change) for change in changes))

        assert _refused(outcomes) == 7
        winner = outcomes.index(None)
        assert held(shared) == [reservations[winner]]
        assert ledger(shared, item.key) == [*changes[winner].movements]
        assert shared.get_item(item.key) == an_item(on_hand=1, reserved=1, seq=1)

    def test_a_reservation_is_closed_once(self, shared: InventoryRepository) -> None:
        """Of a commit, a release, an expiry and an extension that race, one wins."""
        opened = a_reservation()
        shared.commit(reserving(None, opened))
        nexts = [closed(opened, state) for state in _CLOSED_STATES]
        nexts.append(a_reservation(expires_at=5000))

        outcomes = _at_once(*(_committing(shared, reserving(opened, after)) for after in nexts))

        assert _refused(outcomes) == 3
        assert shared.get_reservation("reservation-1") == nexts[outcomes.index(None)]

    def test_only_one_of_many_racing_deletes_wins(self, shared: InventoryRepository) -> None:
        """One gets the item, the others hear that there is none."""
        shared.commit(creation(an_item()))

        outcomes = _at_once(*[lambda: shared.delete_item(an_item().key)] * 4)

        assert outcomes.count(an_item()) == 1
        assert _refused(outcomes) == 3

    def test_a_delete_and_a_reservation_do_not_both_win(self, shared: InventoryRepository) -> None:
        """Units cannot be promised of an item that goes, nor can an item go whose units are promised."""
        for number in range(5):
            item = an_item(f"item-{number}")
            shared.commit(creation(item))

            outcomes = _at_once(*_promise_and_delete(shared, item))

            assert _refused(outcomes) == 1
            deleted = isinstance(outcomes[0], StaleReadError)
            assert (shared.get_item(item.key) is None) == deleted


def _committing(repository: InventoryRepository, change: Change) -> Callable[[], None]:
    return lambda: repository.commit(change)


def _count_up(repository: InventoryRepository, key: ItemKey, times: int) -> None:
    for _ in range(times):
        _redo(repository, key, lambda item: rewrite(item, on_hand=item.level.on_hand + 1))


def _promise_and_delete(
    repository: InventoryRepository, item: Item
) -> Sequence[Callable[[], Item | None]]:
    return (
        lambda: repository.commit(rewrite(item, reserved=1)),
        lambda: repository.delete_item(item.key),
    )


class RepositoryContract(
    ReadsContract,
    CommitsContract,
    EditsContract,
    DeletesContract,
    ListsContract,
    MovementsContract,
    ReservationsContract,
    ServedContract,
    AllOrNothingContract,
    PurgeContract,
    ConcurrencyContract,
):
    """
    Every guarantee of `inventory.ports.InventoryRepository`.

    A subclass overrides the fixture `repository`. Lists are taken to be up to date at once: a repository on storage whose
    lists lag behind is tested on a stand-in whose lists do not.
    """

    @pytest.fixture
    def repository(self) -> InventoryRepository:
        """Return an empty repository; each test asks for one of its own."""
        msg = "override the fixture `repository` and return an empty repository"
        raise NotImplementedError(msg)


class ExclusiveContract:
    """
    What a repository that can be had alone promises besides, as `inventory.ports.ExclusiveRepository` says it.

    A subclass overrides the fixture `repository`, as that of `RepositoryContract` does.
    """

    def test_whoever_is_alone_reads_what_they_wrote(self, repository: ExclusiveRepository) -> None:
        """The others see it once it is kept."""
        with ThreadPoolExecutor(1) as another, repository.alone():
            repository.commit(creation(an_item()))

            assert repository.get_item(an_item().key) == an_item()
            assert walk(repository, ANY) == [an_item()]
            assert another.submit(repository.get_item, an_item().key).result() is None
        assert repository.get_item(an_item().key) == an_item()

    def test_a_refusal_leaves_what_else_was_written(self, repository: ExclusiveRepository) -> None:
        """Before it, and after."""
        first, second = an_item("first"), an_item("second")
        with repository.alone():
            repository.commit(creation(first))
            with pytest.raises(StaleReadError):
                repository.commit(creation(an_item("third"), first))
            with pytest.raises(StaleReadError):
                repository.edit_item(an_edit(an_item("nobody")))
            repository.commit(creation(second))

        assert _by_key(walk(repository, ANY)) == [first, second]

    def test_an_error_undoes_all_of_it(self, repository: ExclusiveRepository) -> None:
        """And hinders nothing that comes after."""

        def fail() -> None:
            with repository.alone():
                repository.commit(creation(an_item()))
                raise _DeliberateError

        with pytest.raises(_DeliberateError):
            fail()

        assert repository.get_item(an_item().key) is None
        repository.commit(creation(an_item()))
        assert repository.get_item(an_item().key) == an_item()

    def test_a_block_within_a_block_is_part_of_it(self, repository: ExclusiveRepository) -> None:
        """What was written inside is kept with the whole, or not at all."""

        def fail() -> None:
            with repository.alone():
                with repository.alone():
                    repository.commit(creation(an_item()))
                raise _DeliberateError

        with pytest.raises(_DeliberateError):
            fail()

        assert repository.get_item(an_item().key) is None

    def test_nobody_else_writes_meanwhile(self, repository: ExclusiveRepository) -> None:
        """The others wait, as long as their requests have time."""

        def commit() -> None:
            with deadline(0.05):
                repository.commit(creation(an_item()))

        def be_alone() -> None:
            with deadline(0.05), repository.alone():
                pytest.fail("was not")

        with ThreadPoolExecutor(1) as another, repository.alone():
            for attempt in (commit, be_alone):
                with pytest.raises(StorageThrottledError):
                    another.submit(attempt).result()

        commit()


class _DeliberateError(Exception):
    """What goes wrong in a test because it shall."""
