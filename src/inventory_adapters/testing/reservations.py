"""Reservations: states, and the list of held ones by expiry."""

import itertools
from collections.abc import Iterable
from typing import Any, Final

import pytest
from attrs import evolve

from inventory.errors import InvalidCursorError, StaleReadError
from inventory.items import ItemKey, Timestamp
from inventory.paging import PageRequest
from inventory.ports import InventoryRepository, ItemFilter, ReservationFilter
from inventory.reservations import Reservation, ReservationState
from inventory_adapters.testing.examples import (
    CLOSED_STATES,
    a_reservation,
    a_time,
    after,
    an_item,
    closed,
    combined,
    committed,
    creation,
    extended,
    fields,
    moves,
    reservation_change,
)
from inventory_adapters.testing.pagination import held, held_pages, ledger, list_all

__all__ = ["ReservationsContract"]


_A, _B = an_item("a").key, an_item("b").key
_TWO_LINES: Final = a_reservation(lines=[(_A, 2), (_B, 3)])

# Every change of a reservation, by its name.
_CHANGES: Final = {
    "extension": extended(_TWO_LINES, 5000),
    "partial commit": committed(_TWO_LINES, (_A, 1)),
    "another partial commit": committed(_TWO_LINES, (_A, 2), (_B, 1)),
    **{str(state): closed(_TWO_LINES, state) for state in CLOSED_STATES},
}

# The parts of a filter that each list has, by its name.
_FILTERS: Final[dict[str, dict[str, Any]]] = {
    "all": {"due_by": a_time(9_999_999)},
    "due": {"due_by": a_time(900)},
    "later": {"ends_after": a_time(900)},
    "period": {"due_by": a_time(903), "ends_after": a_time(900)},
    "item": {"key": _A},
    "due of item": {"key": _A, "due_by": a_time(900)},
    "later of item": {"key": _A, "ends_after": a_time(900)},
    "reference": {"reference": "order-1"},
    "due by reference": {"reference": "order-1", "due_by": a_time(900)},
    "item and reference": {"key": _A, "reference": "order-1", "ends_after": a_time(899)},
}

_each_filter = pytest.mark.parametrize("parts", _FILTERS.values(), ids=_FILTERS)


class ReservationsContract:
    """A reservation is found by its id and, while it is held, by its expiry."""

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
            pytest.param(evolve(a_reservation(), changed_by=None), id="of no actor"),
            pytest.param(evolve(a_reservation(), changed_at=None), id="of no time"),
            pytest.param(committed(_TWO_LINES, (_A, 1)), id="committed in part"),
            pytest.param(
                committed(committed(_TWO_LINES, (_A, 2)), (_B, 1)), id="one line committed"
            ),
            pytest.param(extended(committed(_TWO_LINES, (_A, 1)), 5000), id="several changes"),
            *(pytest.param(closed(a_reservation(), state), id=state) for state in CLOSED_STATES),
        ],
    )
    def test_a_reservation_is_returned_as_it_was_stored(
        self, repository: InventoryRepository, reservation: Reservation
    ) -> None:
        """Every field has the same value and type, and lines keep their order."""
        repository.commit(reservation_change(None, reservation))

        readings = [repository.get_reservation(reservation.reservation_id), *held(repository)]
        readings += held(repository, due_by=reservation.expires_at)

        is_held = reservation.state is ReservationState.HELD
        assert [fields(reading) for reading in readings] == [fields(reservation)] * (
            3 if is_held else 1
        )
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.state, ReservationState)
            assert isinstance(reading.expires_at, Timestamp)
            lines = (*reading.lines, *reading.committed)
            assert all(type(line.quantity) is int for line in lines)
            assert type(reading.revision) is int

    def test_a_missing_reservation_is_not_found(self, repository: InventoryRepository) -> None:
        """Reads return None or an empty page."""
        assert repository.get_reservation("reservation-1") is None
        assert held(repository) == held(repository, due_by=a_time(10_000)) == []
        assert held(repository, key=an_item().key) == held(repository, reference="order-1") == []

        repository.commit(reservation_change(None, a_reservation("reservation-11")))

        assert repository.get_reservation("reservation-1") is None

    def test_a_reservation_id_is_created_only_once(self, repository: InventoryRepository) -> None:
        """A second reservation with the same id is rejected."""
        repository.commit(reservation_change(None, a_reservation(reference="first")))

        with pytest.raises(StaleReadError):
            repository.commit(reservation_change(None, a_reservation(reference="second")))

        assert repository.get_reservation("reservation-1") == a_reservation(reference="first")

    @pytest.mark.parametrize("state", CLOSED_STATES)
    def test_a_reservation_is_extended_and_closed(
        self, repository: InventoryRepository, state: ReservationState
    ) -> None:
        """Each state replaces the previous one, and no other reservation."""
        other = a_reservation("other")
        opened = a_reservation()
        longer = extended(opened, 5000)
        ended = closed(longer, state)
        repository.commit(reservation_change(None, other))

        for old, new in itertools.pairwise([None, opened, longer, ended]):
            assert new is not None
            repository.commit(reservation_change(old, new))
            assert repository.get_reservation("reservation-1") == new

        assert held(repository) == [other]
        assert repository.get_reservation("other") == other

    @pytest.mark.parametrize(
        ("stored", "assumed"),
        [
            *((closed(a_reservation(), state), a_reservation()) for state in CLOSED_STATES),
            (extended(a_reservation(), 900), a_reservation()),
            (a_reservation(), extended(a_reservation(), 900)),
            (None, a_reservation()),
        ],
    )
    def test_a_write_based_on_another_state_of_a_reservation_is_rejected(
        self,
        repository: InventoryRepository,
        stored: Reservation | None,
        assumed: Reservation,
    ) -> None:
        """The revision decides, even if state and `expires_at` are equal."""
        if stored is not None:
            repository.commit(reservation_change(None, stored))

        for new in (
            extended(assumed, 5000),
            evolve(closed(assumed, ReservationState.EXPIRED, at=99), revision=9),
        ):
            with pytest.raises(StaleReadError):
                repository.commit(reservation_change(assumed, new))

        assert repository.get_reservation("reservation-1") == stored

    @pytest.mark.parametrize(
        ("first", "second"), [*itertools.permutations(_CHANGES, 2)], ids="-".join
    )
    def test_of_two_changes_based_on_one_read_the_first_is_stored(
        self, repository: InventoryRepository, first: str, second: str
    ) -> None:
        """No kind of change overwrites another that was made meanwhile."""
        repository.commit(reservation_change(None, _TWO_LINES))
        repository.commit(reservation_change(_TWO_LINES, _CHANGES[first]))

        with pytest.raises(StaleReadError):
            repository.commit(reservation_change(_TWO_LINES, _CHANGES[second]))

        assert repository.get_reservation("reservation-1") == _CHANGES[first]

    def test_get_reservations_returns_each_existing_reservation_once(
        self, repository: InventoryRepository
    ) -> None:
        """A missing ID is skipped; there may be more IDs than storage reads at once."""
        stored = [a_reservation(f"r{number:03}") for number in range(0, 131, 10)]
        stored.append(closed(a_reservation("r005")))
        for reservation in stored:
            repository.commit(reservation_change(None, reservation))
        ids = [f"r{number:03}" for number in range(131)]

        reservations = repository.get_reservations(iter([*ids, "r000", "r1"]))

        assert _by_expiry(reservations) == _by_expiry(stored)
        assert repository.get_reservations([]) == ()

    def test_a_change_of_several_reservations_is_stored_completely(
        self, repository: InventoryRepository
    ) -> None:
        """One change may open, extend, commit in part and close reservations."""
        opened = [a_reservation(f"r{number}", lines=[(_A, 2)]) for number in range(4)]
        repository.commit(combined(*(reservation_change(None, each) for each in opened[1:])))
        states = [
            opened[0],
            extended(opened[1], 901),
            committed(opened[2], (_A, 1)),
            closed(opened[3]),
        ]

        repository.commit(combined(*map(reservation_change, [None, *opened[1:]], states)))

        assert _by_expiry(repository.get_reservations(["r0", "r1", "r2", "r3"])) == _by_expiry(
            states
        )
        assert held(repository, key=_A) == [states[0], states[2], states[1]]

    @pytest.mark.parametrize("position", [0, 1, 2])
    @pytest.mark.parametrize("reason", ["changed", "used ID", "missing"])
    def test_one_stale_reservation_rejects_the_whole_change(
        self, repository: InventoryRepository, position: int, reason: str
    ) -> None:
        """The position of the stale reservation and the kind of conflict do not matter."""
        good, stale = a_reservation("good"), a_reservation("stale")
        stored = [good] if reason == "missing" else [good, extended(stale, 1000)]
        repository.commit(combined(*(reservation_change(None, each) for each in stored)))
        bad = reservation_change(None if reason == "used ID" else stale, extended(stale, 2000))
        parts = [
            reservation_change(good, closed(good)),
            reservation_change(None, a_reservation("new")),
        ]
        parts.insert(position, bad)

        with pytest.raises(StaleReadError):
            repository.commit(combined(*parts))

        assert (
            held(repository, key=an_item().key) == held(repository, due_by=a_time(9999)) == stored
        )
        assert repository.get_reservation("new") is None

    def test_reservations_of_one_item_expire_in_one_change(
        self, repository: InventoryRepository
    ) -> None:
        """The change has a movement for each of them."""
        item = an_item("a", on_hand=32, reserved=32, reorder_point=3)
        opened = [a_reservation(f"r{number:02}", lines=[(_A, 1)]) for number in range(32)]
        repository.commit(
            combined(creation(item), *(reservation_change(None, each) for each in opened))
        )
        expired = [closed(each, ReservationState.EXPIRED) for each in opened]
        change = moves(item, *({"reserved": left} for left in range(31, -1, -1)))

        repository.commit(combined(change, *map(reservation_change, opened, expired)))

        assert repository.get_item(_A) == after(change)
        assert ledger(repository, _A) == [*reversed(change.movements)]
        assert (
            _by_expiry(repository.get_reservations(each.reservation_id for each in opened))
            == expired
        )
        assert held(repository) == held(repository, key=_A) == []
        assert list_all(repository, ItemFilter(low_stock=True)) == []

    def test_only_held_reservations_are_listed_as_held(
        self, repository: InventoryRepository
    ) -> None:
        """A held reservation is listed even after its expiry, a closed one never."""
        overdue, closing = a_reservation("overdue", expires_at=-900), a_reservation("closing")
        for reservation in (overdue, closing):
            repository.commit(reservation_change(None, reservation))
        for state in CLOSED_STATES:
            repository.commit(
                reservation_change(None, closed(a_reservation(f"created as {state}"), state))
            )

        repository.commit(reservation_change(closing, closed(closing)))

        assert held(repository) == held(repository, due_by=a_time(5000)) == [overdue]

    def test_held_reservations_are_ordered_by_expiry(self, repository: InventoryRepository) -> None:
        """The order is exact to the microsecond."""
        ends = [900.000001, 86_400, -5, 900, 60, 2_678_400, 899.999999]
        for number, end in enumerate(ends):
            repository.commit(reservation_change(None, a_reservation(f"r{number}", expires_at=end)))

        due = held(repository, due_by=a_time(9_999_999))

        assert [reservation.expires_at for reservation in due] == [*map(a_time, sorted(ends))]
        assert _by_expiry(held(repository)) == due

    def test_a_reservation_is_due_from_its_expiry_on(self, repository: InventoryRepository) -> None:
        """It is due at `expires_at`, and not a microsecond before."""
        repository.commit(reservation_change(None, a_reservation(expires_at=900)))

        assert held(repository, due_by=a_time(900)) == [a_reservation()]
        assert held(repository, due_by=a_time(900.000001)) == [a_reservation()]
        assert held(repository, due_by=a_time(899.999999)) == []

    @pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
    @pytest.mark.parametrize("due_by", [None, a_time(900)])
    def test_pages_of_every_size_contain_each_held_reservation_once(
        self, repository: InventoryRepository, due_by: Timestamp | None, size: int
    ) -> None:
        """Reservations that expire at one instant are listed once each."""
        reservations = [
            a_reservation(f"r{number}", expires_at=900 - number // 4) for number in range(6)
        ]
        for reservation in reservations:
            repository.commit(reservation_change(None, reservation))
        repository.commit(reservation_change(None, a_reservation("later", expires_at=901)))
        repository.commit(reservation_change(None, closed(a_reservation("closed"))))

        listed = held(repository, due_by=due_by, size=size)

        if due_by is None:
            reservations.append(a_reservation("later", expires_at=901))
        assert _by_expiry(listed) == _by_expiry(reservations)

    @_each_filter
    @pytest.mark.parametrize("size", [1, 2, 5, 100])
    def test_a_list_has_the_reservations_that_match_its_filter(
        self, repository: InventoryRepository, parts: dict[str, Any], size: int
    ) -> None:
        """The first to expire is first, and each is listed once."""
        lines = itertools.cycle(
            [[(_A, 1)], [(_B, 1), (_A, 2)], [(_B, 1)], [(an_item("a", sku="A").key, 1)]]
        )
        references = itertools.cycle(["order-1", None, "order-1", "order-2", "ORDER-1"])
        reservations = [
            a_reservation(
                f"r{number:02}",
                expires_at=896 + number * 7 % 20 // 2,
                lines=next(lines),
                reference=next(references),
            )
            for number in range(20)
        ]
        reservations[5] = closed(reservations[5])
        repository.commit(combined(*(reservation_change(None, each) for each in reservations)))
        matching = filter(ReservationFilter(**parts).matches, reservations)

        listed = held(repository, **parts, size=size)

        assert listed == _by_expiry(matching)
        assert listed

    @_each_filter
    def test_a_list_of_reservations_takes_no_other_cursor(
        self, repository: InventoryRepository, parts: dict[str, Any]
    ) -> None:
        """A cursor is valid only for its filter; a damaged one never."""
        for number in range(8):
            new = a_reservation(f"r{number}", expires_at=899 + number / 2, lines=[(_A, 1)])
            repository.commit(reservation_change(None, new))
        page = repository.list_reservations(ReservationFilter(**parts), PageRequest(size=1))
        cursor = page.next_cursor
        assert cursor is not None

        for other in (*_FILTERS.values(), {}):
            other_filter = ReservationFilter(**other)
            if other != parts:
                with pytest.raises(InvalidCursorError):
                    repository.list_reservations(other_filter, PageRequest(size=1, cursor=cursor))
            for token in (cursor[:-1], f"{cursor}A", cursor.swapcase(), "", "1", "\N{SNOWMAN}"):
                with pytest.raises(InvalidCursorError):
                    repository.list_reservations(other_filter, PageRequest(size=1, cursor=token))

    def test_a_list_by_item_has_its_own_reservations_only(
        self, repository: InventoryRepository
    ) -> None:
        """A hundred other due reservations neither hide nor delay them."""
        for number in range(0, 100, 20):
            others = [
                a_reservation(f"other-{number + each}", expires_at=each, lines=[(_B, 1)])
                for each in range(20)
            ]
            repository.commit(combined(*(reservation_change(None, other) for other in others)))
        own = [
            a_reservation("own-1", expires_at=50, lines=[(_A, 1)]),
            a_reservation("own-2", expires_at=51, lines=[(_B, 1), (_A, 1)]),
        ]
        repository.commit(combined(*(reservation_change(None, each) for each in own)))

        page = repository.list_reservations(
            ReservationFilter(key=_A, due_by=a_time(900)), PageRequest(size=2)
        )

        assert page.items == tuple(own)

    def test_a_list_by_item_follows_the_held_lines(self, repository: InventoryRepository) -> None:
        """An item is listed from its reservation until none of its units is held."""
        other = a_reservation("other", lines=[(_A, 1)])
        part = committed(_TWO_LINES, (_A, 1))
        longer = extended(part, 5000)
        rest = committed(longer, (_A, 1))
        steps = [None, _TWO_LINES, part, longer, rest, closed(rest)]
        repository.commit(reservation_change(None, other))
        listed = []

        for before, state in itertools.pairwise(steps):
            assert state is not None
            repository.commit(reservation_change(before, state))
            lists: list[dict[str, Any]] = [
                {"key": _A},
                {"key": _A, "due_by": a_time(900)},
                {"key": _B},
            ]
            listed.append([held(repository, **parts) for parts in lists])

        assert listed == [
            [[other, _TWO_LINES], [other, _TWO_LINES], [_TWO_LINES]],
            [[other, part], [other, part], [part]],
            [[other, longer], [other], [longer]],
            [[other], [other], [rest]],
            [[other], [other], []],
        ]

    @_each_filter
    def test_closing_reservations_between_pages_hides_no_others(
        self, repository: InventoryRepository, parts: dict[str, Any]
    ) -> None:
        """A sweeper that closes the reservations of each page closes all of them."""
        reservations = [
            a_reservation(f"r{number}", expires_at=898.5 + number / 2, lines=[(_A, 1)])
            for number in range(7)
        ]
        repository.commit(combined(*(reservation_change(None, each) for each in reservations)))
        matching = [*filter(ReservationFilter(**parts).matches, reservations)]

        listed = []
        for page in held_pages(repository, **parts, size=2):
            for reservation in page.items:
                repository.commit(
                    reservation_change(reservation, closed(reservation, ReservationState.EXPIRED))
                )
                listed.append(reservation)

        assert listed == matching
        rest = [each for each in reservations if each not in matching]
        assert _by_expiry(held(repository)) == rest

    def test_an_extension_changes_the_due_time(self, repository: InventoryRepository) -> None:
        """The list uses the new `expires_at`."""
        first, second = a_reservation("first", expires_at=100), a_reservation("second")
        for reservation in (first, second):
            repository.commit(reservation_change(None, reservation))
        longer = extended(first, 1000)

        repository.commit(reservation_change(first, longer))

        assert held(repository, due_by=a_time(999)) == [second]
        assert held(repository, due_by=a_time(1000)) == [second, longer]


def _by_expiry(reservations: Iterable[Reservation]) -> list[Reservation]:
    return sorted(reservations, key=lambda reservation: reservation.position)
