"""Reservations: states, and the list of held ones by expiry."""

import itertools
from collections.abc import Iterable

import pytest
from attrs import evolve

from inventory.errors import StaleReadError
from inventory.items import ItemKey, Timestamp
from inventory.ports import InventoryRepository
from inventory.reservations import Reservation, ReservationState
from inventory_adapters.testing.examples import (
    CLOSED_STATES,
    a_reservation,
    a_time,
    an_item,
    closed,
    extended,
    reservation_change,
)
from inventory_adapters.testing.pagination import held, held_pages

__all__ = ["ReservationsContract"]


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
        assert readings == [reservation] * (3 if is_held else 1)
        for reading in readings:
            assert reading is not None
            assert isinstance(reading.state, ReservationState)
            assert isinstance(reading.expires_at, Timestamp)
            assert all(type(line.quantity) is int for line in reading.lines)

    def test_a_missing_reservation_is_not_found(self, repository: InventoryRepository) -> None:
        """Reads return None or an empty page."""
        assert repository.get_reservation("reservation-1") is None
        assert held(repository) == held(repository, due_by=a_time(10_000)) == []

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

        for before, after in itertools.pairwise([None, opened, longer, ended]):
            assert after is not None
            repository.commit(reservation_change(before, after))
            assert repository.get_reservation("reservation-1") == after

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

        for after in (
            extended(assumed, 5000),
            evolve(closed(assumed, ReservationState.EXPIRED, at=99), revision=9),
        ):
            with pytest.raises(StaleReadError):
                repository.commit(reservation_change(assumed, after))

        assert repository.get_reservation("reservation-1") == stored

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

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_ends_after_selects_reservations_that_expire_later(
        self, repository: InventoryRepository, size: int
    ) -> None:
        """A reservation that expires at the time itself is not listed."""
        for number in range(6):
            repository.commit(
                reservation_change(None, a_reservation(f"r{number}", expires_at=number))
            )
        repository.commit(reservation_change(None, closed(a_reservation("closed", expires_at=9))))

        listed = held(repository, ends_after=a_time(2), size=size)

        assert [reservation.reservation_id for reservation in listed] == ["r3", "r4", "r5"]

    def test_closing_reservations_between_pages_hides_no_others(
        self, repository: InventoryRepository
    ) -> None:
        """A sweeper that closes the reservations of each page closes all of them."""
        for number in range(7):
            repository.commit(
                reservation_change(None, a_reservation(f"r{number}", expires_at=number))
            )

        closed_ids = []
        for page in held_pages(repository, due_by=a_time(900), size=2):
            for reservation in page.items:
                repository.commit(
                    reservation_change(reservation, closed(reservation, ReservationState.EXPIRED))
                )
                closed_ids.append(reservation.reservation_id)

        assert closed_ids == [f"r{number}" for number in range(7)]
        assert held(repository) == []

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
