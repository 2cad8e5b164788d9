"""Unreadable rows: skipped and reported in lists, errors in other reads."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inventory.errors import (
    UnreadableItemError,
    UnreadableMovementError,
    UnreadableReservationError,
)
from inventory.items import Item
from inventory.ports import InventoryRepository, ItemFilter
from inventory.reservations import Reservation
from inventory.stock import Movement
from inventory_adapters.testing.examples import (
    ANY,
    a_reservation,
    a_time,
    an_item,
    by_key,
    creation,
    history,
    reservation_change,
)
from inventory_adapters.testing.pagination import held_pages, item_pages, ledger_pages

__all__ = ["UnreadableRowsContract"]


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def _warnings() -> Iterator[list[logging.LogRecord]]:
    """Collect the warnings that the block logs."""
    handler = _Warnings()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.records
    finally:
        logging.getLogger().removeHandler(handler)


class UnreadableRowsContract:
    """An unreadable row does not hide the other rows."""

    def spoil(self, repository: InventoryRepository, record: Item | Movement | Reservation) -> None:
        """
        Make the stored row of *record* unreadable, and keep its key.

        Override it, unless only the repository itself can write its rows.
        """
        pytest.skip(
            f"{type(repository).__name__}: spoil() is not overridden for {type(record).__name__}"
        )

    @pytest.mark.parametrize("size", [1, 2, 4])
    def test_an_unreadable_item_is_skipped_and_reported(
        self, repository: InventoryRepository, size: int
    ) -> None:
        """Every list skips it and logs one warning; a read by key raises an error."""
        items = [an_item(f"item-{number}", reorder_point=50) for number in range(4)]
        repository.commit(creation(*items))
        self.spoil(repository, items[1])

        for item_filter in (ANY, ItemFilter(category="tools"), ItemFilter(sku="SKU-1")):
            with _warnings() as warnings:
                listed = list(item_pages(repository, item_filter, size=size))

            assert by_key(item for page in listed for item in page.items) == [items[0], *items[2:]]
            [error] = (error for page in listed for error in page.unreadable)
            assert isinstance(error, UnreadableItemError)
            assert (error.item_id, error.sku) == ("item-1", "SKU-1")
            assert len(warnings) == 1
        with pytest.raises(UnreadableItemError):
            repository.get_item(items[1].key)
        with pytest.raises(UnreadableItemError):
            repository.find_item(items[1].item_id)
        with pytest.raises(UnreadableItemError):
            repository.get_items([item.key for item in items])

    @pytest.mark.parametrize("size", [1, 2, 4])
    @pytest.mark.parametrize(
        "parts",
        [
            *({}, {"due_by": a_time(900)}, {"ends_after": a_time(0)}),
            *({"key": an_item().key}, {"reference": "order-1"}),
        ],
        ids="-".join,
    )
    def test_an_unreadable_reservation_is_skipped_and_reported(
        self, repository: InventoryRepository, parts: dict[str, Any], size: int
    ) -> None:
        """A sweep and a reconciliation skip it; a read by id raises an error."""
        reservations = [a_reservation(f"r{number}", expires_at=number + 1) for number in range(4)]
        for reservation in reservations:
            repository.commit(reservation_change(None, reservation))
        self.spoil(repository, reservations[0])
        self.spoil(repository, reservations[2])

        listed = list(held_pages(repository, size=size, **parts))

        readable = {reservation.reservation_id for page in listed for reservation in page.items}
        unreadable = [error for page in listed for error in page.unreadable]
        assert readable == {"r1", "r3"}
        assert {error.row["reservation_id"] for error in unreadable} == {"r0", "r2"}
        assert {type(error) for error in unreadable} == {UnreadableReservationError}
        with pytest.raises(UnreadableReservationError):
            repository.get_reservation("r0")
        assert repository.get_reservation("r1") == reservations[1]
        with _warnings() as warnings:
            read = repository.get_reservations(["r0", "r1", "r2", "r3"])
        assert {reservation.reservation_id for reservation in read} == {"r1", "r3"}
        assert len(warnings) == 1

    @pytest.mark.parametrize("size", [1, 2, 3, 5])
    @pytest.mark.parametrize("spoiled", [0, 2, 3])
    def test_an_unreadable_movement_is_skipped_and_reported(
        self, repository: InventoryRepository, size: int, spoiled: int
    ) -> None:
        """A page skips it at any position; `first_movement` raises an error."""
        repository.commit(creation(an_item()))
        movements = history(repository, an_item(), 4)
        self.spoil(repository, movements[spoiled])

        listed = list(ledger_pages(repository, an_item().key, size))

        readable = [movement for page in listed for movement in page.items]
        assert readable == [movement for movement in movements if movement != movements[spoiled]]
        [error] = (error for page in listed for error in page.unreadable)
        assert isinstance(error, UnreadableMovementError)
        assert error.row == {"item_id": "item-1", "sku": "SKU-1", "seq": movements[spoiled].seq}
        if movements[spoiled].seq == 1:
            with pytest.raises(UnreadableMovementError):
                repository.first_movement(an_item().key)
