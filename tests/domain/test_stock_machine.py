"""The state machine on the reference repository, and planted bugs that it must find."""

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from inventory import (
    CreateReservation,
    IfMatch,
    Inventory,
    Item,
    LineRequest,
    Reservation,
    ReservationState,
    idempotency,
    reservations,
    retry,
    service,
    stock,
)
from inventory.paging import Page
from inventory_adapters.storage.memory import MemoryRepository
from tests.machine import InventoryMachine, a_ref, memory, run


class OnMemory(InventoryMachine):
    """The reference repository alone, with more reservations."""

    repositories = (memory,)

    @rule(ref=a_ref, number=st.sampled_from([26, 30]))
    def rush(self, ref, number):
        """Let more reservations become due than one request expires on demand."""
        line = LineRequest(**ref, quantity=1)
        for _ in range(number):
            self.do("create_reservation", CreateReservation(lines=(line,), ttl_seconds=60))
        self.wait(60)


def test_every_history_agrees_with_the_model():
    """In answers, errors, levels, movements and reservations."""
    run(OnMemory, examples=80, steps=40)


@pytest.mark.slow
def test_many_more_histories_agree_with_the_model():
    """As above, with enough histories for rare combinations."""
    run(OnMemory, examples=5_000, steps=40)


BUGS = []


def bug(plant):
    """Register a bug that *plant* patches in."""
    BUGS.append(pytest.param(plant, id=plant.__name__))
    return plant


@bug
def status_does_not_follow(patch):
    patch(Item, "moved", lambda item, level: attrs.evolve(item, level=level))


@bug
def the_status_of_a_discontinued_item_follows(patch):
    moved = Item.moved

    def meddle(item, level):
        after = moved(item, level)
        return after if level.available else attrs.evolve(after, status="out_of_stock")

    patch(Item, "moved", meddle)


@bug
def nothing_expires_on_demand(patch):
    patch(Inventory, "_expire_due", lambda *_: False)


@bug
def one_too_few_expires_on_demand(patch):
    patch(service, "_EXPIRED_ON_DEMAND", 24)


@bug
def the_newest_expire_first(patch):
    held = MemoryRepository.held_reservations

    def backwards(repository, page, **bounds):
        reservations = held(repository, page, **bounds)
        return attrs.evolve(reservations, items=reservations.items[::-1])

    patch(MemoryRepository, "held_reservations", backwards)


@bug
def no_idempotency_record_is_found(patch):
    patch(MemoryRepository, "get_idempotency_record", lambda *_: None)


@bug
def any_request_of_a_kind_replays_a_key(patch):
    patch(retry, "fingerprint", lambda command: type(command).__name__)


@bug
def an_idempotency_record_lives_a_second_too_long(patch):
    patch(idempotency, "RETENTION_SECONDS", idempotency.RETENTION_SECONDS + 1)


@bug
def a_transfer_skips_a_seq(patch):
    move = stock._move

    def skip(item, kind, **fields):
        change = move(item, kind, **fields)
        seq = change.movement.seq + (kind == "transfer_in")
        return attrs.evolve(change, movement=attrs.evolve(change.movement, seq=seq))

    patch(stock, "_move", skip)


@bug
def a_transfer_takes_reserved_units(patch):
    def transfer(source, destination, units, *, reference, at):
        if units > source.level.on_hand:
            stock._require_available(source, units)
        out = stock._move(source, "transfer_out", on_hand=-units, reference=reference, at=at)
        return out, stock._move(
            destination, "transfer_in", on_hand=units, reference=reference, at=at
        )

    patch(stock, "transfer", transfer)


@bug
def a_release_skips_a_line(patch):
    free = Reservation.free

    def forget(reservation, state, items, *, at):
        some = attrs.evolve(reservation, lines=reservation.lines[:1])
        return free(
            some if state is ReservationState.RELEASED else reservation, state, items, at=at
        )

    patch(Reservation, "free", forget)


@bug
def lines_of_one_item_are_not_summed(patch):
    opened = Reservation.open.__func__

    def last_one_wins(cls, reservation_id, lines, **fields):
        return opened(cls, reservation_id, dict(lines).items(), **fields)

    patch(Reservation, "open", classmethod(last_one_wins))


@bug
def a_reservation_expires_a_microsecond_too_late(patch):
    patch(Reservation, "is_due", lambda self, at: self.state == "held" and at > self.expires_at)


@bug
def an_extension_may_shorten(patch):
    extended = Reservation.extended

    def shorten(reservation, ttl_seconds, *, at):
        return extended(attrs.evolve(reservation, expires_at=at + "!"), ttl_seconds, at=at)

    patch(Reservation, "extended", shorten)


@bug
def a_released_reservation_can_be_committed(patch):
    patch(Reservation, "require_held", lambda *_: None)


@bug
def a_deletion_ignores_reserved_units(patch):
    delete = stock.delete

    def anyhow(item, *, at):
        return delete(attrs.evolve(item, level=attrs.evolve(item.level, reserved=0)), at=at)

    patch(stock, "delete", anyhow)


@bug
def a_stale_tag_of_the_stock_is_accepted(patch):
    patch(IfMatch, "accepts", lambda *_: True)


@bug
def a_deletion_leaves_no_movement(patch):
    commit = MemoryRepository.commit

    def lose(repository, change):
        commit(repository, change)
        for write in change.items:
            if write.after is None:
                repository._movements[write.key].popitem()

    patch(MemoryRepository, "commit", lose)


@bug
def an_opening_entry_is_dated_by_the_first_movement(patch):
    move = stock._move

    def forget(item, kind, **fields):
        change = move(item, kind, **fields)
        return attrs.evolve(change, movement=attrs.evolve(change.movement, item_created_at=None))

    patch(stock, "_move", forget)


@bug
def an_update_ignores_its_key(patch):
    update = Inventory.update_item

    def mindless(inventory, command):
        return update(inventory, attrs.evolve(command, idempotency_key=None))

    patch(Inventory, "update_item", mindless)


@bug
def a_movement_lacks_the_reference(patch):
    reserve = stock.reserve

    def forget(item, units, *, reservation_id, reference, at):
        return reserve(item, units, reservation_id=reservation_id, at=at)

    patch(reservations, "reserve", forget)


@bug
def an_edit_of_details_compares_the_stock(patch):
    patch(IfMatch, "accepts_version", IfMatch.accepts)


@bug
def a_batch_loses_a_movement(patch):
    commit = MemoryRepository.commit

    def lose(repository, change):
        commit(repository, attrs.evolve(change, movements=change.movements[:1]))

    patch(MemoryRepository, "commit", lose)


@bug
def low_is_only_below_the_reorder_point(patch):
    is_low = property(lambda item: (item.reorder_point or 0) > item.level.available)
    patch(Item, "is_low", is_low)


@bug
def a_list_loses_the_row_between_two_pages(patch):
    listed = MemoryRepository.list_items

    def lose(repository, item_filter, request):
        page = listed(repository, item_filter, request)
        return Page(items=page.items[request.cursor is not None :], next_cursor=page.next_cursor)

    patch(MemoryRepository, "list_items", lose)


@bug
def a_ledger_that_fills_its_page_has_no_cursor(patch):
    movements = MemoryRepository.list_movements

    def end(repository, key, page):
        ledger = movements(repository, key, page)
        more = ledger.items and ledger.items[-1].seq > 1
        return attrs.evolve(ledger, next_cursor=ledger.next_cursor if more else None)

    patch(MemoryRepository, "list_movements", end)


@pytest.mark.slow
@pytest.mark.parametrize("plant", BUGS)
def test_the_machine_finds(plant, monkeypatch):
    """Otherwise its passing would prove nothing."""
    plant(monkeypatch.setattr)

    # ValueError: the constructor of a level rejects an invalid one before the machine sees it.
    with pytest.raises((AssertionError, ValueError)):
        run(OnMemory, examples=2_000, steps=40, shrink=False)
