"""The contract is tested too: each bug below, planted in the reference repository, must make the right tests fail."""

import inspect
import itertools
from contextlib import nullcontext, suppress
from datetime import timedelta
from time import sleep

import pytest
from attrs import evolve

from inventory.errors import (
    DuplicateRequestError,
    InvalidCursorError,
    InventoryError,
    StaleReadError,
    StorageUnavailableError,
)
from inventory.items import ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.reservations import ReservationState, retention_cutoff
from inventory.stock import MovementKind
from inventory_adapters.storage import cursors
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import ExclusiveContract, RepositoryContract, rewrite
from inventory_adapters.testing.unreadable import UnreadableRowsContract

PLANTED = []
PARAM = type(pytest.param())


def caught_by(test):
    """Plant the bug below; the contract's *test* must notice it."""

    def plant(bug):
        PLANTED.append(pytest.param(bug, test, id=bug.__name__))
        return bug

    return plant


def still(current, before):
    """Tell whether an item is as it was read; bugs forget parts of this."""
    if current is None or before is None:
        return current is before
    return (current.level, current.version) == (before.level, before.version)


def still_held(current, before):
    """Tell whether a reservation is as it was read; bugs forget parts of this."""
    if current is None or before is None:
        return current is before
    return (current.state, current.expires_at) == (before.state, before.expires_at)


class Correct(MemoryRepository):
    """The reference repository, cut into the parts that bugs replace."""

    still = staticmethod(still)
    still_held = staticmethod(still_held)

    def commit(self, change):
        with self._lock:
            self.check(change)
            self.store(change)

    def check(self, change):
        self.check_idempotency_record(change)
        self.check_items(change)
        self.check_movements(change)
        self.check_reservation(change)

    def store(self, change):
        self.store_items(change)
        self.store_movements(change)
        self.store_reservation(change)
        self.store_idempotency_record(change)

    def check_items(self, change):
        for write in change.items:
            if not self.still(self._items.get(write.key), write.before):
                raise StaleReadError

    def check_movements(self, change):
        for movement in change.movements:
            if movement.seq in self._movements.get(movement.key, {}):
                raise StaleReadError

    def check_reservation(self, change):
        write = change.reservation
        if write and not self.still_held(
            self._reservations.get(write.after.reservation_id), write.before
        ):
            raise StaleReadError

    def check_idempotency_record(self, change):
        known = change.idempotency_record and self._served.get(change.idempotency_record.record_id)
        if known and self.counts(known, change.idempotency_record):
            raise DuplicateRequestError

    def counts(self, known, record):
        return known.expires_at > record.stored_at

    def store_items(self, change):
        for write in change.items:
            if write.after is None:
                self.delete(write.key)
            else:
                self._keep(write.after)

    def delete(self, key):
        if key in self._items:  # Not so for a bug that stores before it checks.
            self._drop(key)

    def store_movements(self, change):
        for movement in change.movements:
            self._movements.setdefault(movement.key, {})[movement.seq] = movement

    def store_reservation(self, change):
        if change.reservation:
            after = change.reservation.after
            self._reservations[after.reservation_id] = after

    def store_idempotency_record(self, change):
        if change.idempotency_record:
            self._served[change.idempotency_record.record_id] = change.idempotency_record

    def place(self, wanted, item):
        return wanted.position(item)

    def passing(self, wanted):
        return [item for item in self._items.values() if wanted.matches(item)]

    def after(self, wanted, token):
        return cursors.decode_item(wanted, token)

    def list_items(self, wanted, page):
        after = () if page.cursor is None else self.after(wanted, page.cursor)
        rest = [item for item in self.passing(wanted) if self.place(wanted, item) > after]
        rest.sort(key=lambda item: self.place(wanted, item))
        return self.page(wanted, rest, page.size)

    def page(self, wanted, rest, size):
        items = tuple(rest[:size])
        more = len(rest) > size
        return Page(
            items=items, next_cursor=cursors.encode_item(wanted, items[-1]) if more else None
        )


@caught_by("test_an_edit_between_read_and_commit_survives")
class ForgetsTheVersion(Correct):
    @staticmethod
    def still(current, before):
        if current and before:
            before = evolve(before, version=current.version)
        return still(current, before)


def forgets(counter):
    """Return a comparison that takes one part of the level for granted."""

    def forgetful(current, before):
        if current and before:
            known = {counter: getattr(current.level, counter)}
            before = evolve(before, level=evolve(before.level, **known))
        return still(current, before)

    return staticmethod(forgetful)


@caught_by("test_a_commit_is_refused_when_what_it_was_decided_on_is_not_so")
class ForgetsOnHand(Correct):
    still = forgets("on_hand")


@caught_by("test_a_commit_is_refused_when_what_it_was_decided_on_is_not_so")
class ForgetsReserved(Correct):
    still = forgets("reserved")


@caught_by("test_a_commit_is_refused_when_what_it_was_decided_on_is_not_so")
class ForgetsTheSeq(Correct):
    still = forgets("seq")


@caught_by("test_a_key_can_be_taken_only_once")
class OverwritesOnCreate(Correct):
    @staticmethod
    def still(current, before):
        return before is None or still(current, before)


@caught_by("test_a_commit_never_brings_a_deleted_item_back")
class CommitBringsBackTheDead(Correct):
    @staticmethod
    def still(current, before):
        return current is None or still(current, before)


@caught_by("test_one_stale_item_refuses_the_whole_change")
class WritesBeforeCheckingAll(Correct):
    def commit(self, change):
        for write in change.items:
            part = evolve(change, items=(write,), movements=())
            self.check(part)
            self.store_items(part)


@caught_by("test_only_one_of_many_racing_commits_on_one_read_wins")
class LosesTheRace(Correct):
    def check(self, change):
        super().check(change)
        self._lock.release()
        sleep(0.01)  # Long enough for every other thread to check as well.
        self._lock.acquire()


@caught_by("test_a_commit_sets_and_clears_the_reorder_point")
class NeverClearsTheReorderPoint(Correct):
    def commit(self, change):
        before = dict(self._items)
        super().commit(change)
        for key, item in self._items.items():
            if item.reorder_point is None and before.get(key):
                self._items[key] = evolve(item, reorder_point=before[key].reorder_point)


@caught_by("test_an_item_comes_back_exactly_as_it_was_stored")
class PriceIsAFloat(Correct):
    def get_item(self, key):
        item = super().get_item(key)
        return item and evolve(item, price=type(item.price)(float(item.price)))


@caught_by("test_an_item_comes_back_exactly_as_it_was_stored")
class EmptyDescriptionIsLost(Correct):
    def find_item(self, item_id):
        item = super().find_item(item_id)
        return item and evolve(item, description=item.description or "none")


@caught_by("test_an_item_comes_back_exactly_as_it_was_stored")
class TimesAreRewritten(Correct):
    def get_items(self, keys):
        return tuple(
            evolve(item, created_at=type(item.created_at).of(item.created_at.as_datetime()))
            for item in super().get_items(keys)
        )


@caught_by("test_find_item_takes_the_first_by_sku")
class FindsAnySku(Correct):
    def find_item(self, item_id):
        return next((item for item in self._items.values() if item.item_id == item_id), None)


@caught_by("test_get_items_takes_more_keys_than_one_request_does")
class ReadsAHundredKeysAtMost(Correct):
    def get_items(self, keys):
        return super().get_items(itertools.islice(keys, 100))


@caught_by("test_get_items_returns_each_that_exists_once")
class RepeatsItems(Correct):
    def get_items(self, keys):
        return tuple(self._items[key] for key in keys if key in self._items)


@caught_by("test_an_edit_never_brings_a_deleted_item_back")
class EditBringsBackTheDead(Correct):
    def __init__(self):
        super().__init__()
        self.ghosts = {}

    def delete(self, key):
        self.ghosts[key] = self._items[key]
        super().delete(key)

    def edit_item(self, edit):
        if edit.key in self.ghosts:
            self._items.setdefault(edit.key, self.ghosts[edit.key])
        return super().edit_item(edit)


@caught_by("test_an_edit_of_another_version_is_refused_and_changes_nothing")
class EditIgnoresTheVersion(Correct):
    def edit_item(self, edit):
        return super().edit_item(evolve(edit, versions=None))


@caught_by("test_an_edit_changes_what_it_names_and_nothing_else")
class EditDropsAField(Correct):
    def edit_item(self, edit):
        fields = {name: value for name, value in edit.fields.items() if name != "location"}
        return super().edit_item(evolve(edit, fields=fields))


@caught_by("test_each_edit_counts")
class EditDoesNotCount(Correct):
    def edit_item(self, edit):
        edited = super().edit_item(edit)
        self._items[edit.key] = evolve(edited, version=edited.version - 1)
        return self._items[edit.key]


@caught_by("test_movements_do_not_stand_in_the_way_of_an_edit")
class EditFreesWhatIsReserved(Correct):
    def edit_item(self, edit):
        edited = super().edit_item(edit)
        self._items[edit.key] = evolve(edited, level=evolve(edited.level, reserved=0))
        return self._items[edit.key]


@caught_by("test_an_edit_of_another_version_is_refused_and_changes_nothing")
class RefusalCarriesNothing(Correct):
    def edit_item(self, edit):
        try:
            return super().edit_item(edit)
        except StaleReadError:
            raise StaleReadError from None


def deletes_if(stands):
    """Return a check of items that holds those which are deleted to a rule of its own."""

    def check_items(self, change):
        for write in change.items:
            current = self._items.get(write.key)
            rule = stands if write.after is None else still
            if not rule(current, write.before):
                raise StaleReadError

    return check_items


@caught_by("test_a_deletion_of_another_state_is_refused")
class DeleteForgetsReserved(Correct):
    check_items = deletes_if(forgets("reserved"))


@caught_by("test_a_deletion_of_another_state_is_refused")
class DeleteForgetsTheSeq(Correct):
    check_items = deletes_if(forgets("seq"))


@caught_by("test_an_edit_between_read_and_deletion_survives")
class DeleteForgetsTheVersion(Correct):
    check_items = deletes_if(lambda current, before: current and current.level == before.level)


@caught_by("test_an_item_is_deleted_once")
class DeletesWhatIsGone(Correct):
    check_items = deletes_if(lambda current, before: current is None or still(current, before))


@caught_by("test_a_deleted_item_is_in_no_read_and_no_list")
class DeletesEverySkuOfAnId(Correct):
    def delete(self, key):
        for other in [other for other in self._items if other.item_id == key.item_id]:
            super().delete(other)


@caught_by("test_a_deletion_is_the_last_movement_of_the_ledger")
class DeletesWithoutAMovement(Correct):
    def store_movements(self, change):
        kept = [movement for movement in change.movements if movement.key in self._items]
        super().store_movements(evolve(change, items=(), movements=()))
        for movement in kept:
            self._movements.setdefault(movement.key, {})[movement.seq] = movement


@caught_by("test_whatever_stands_in_the_way_nothing_of_a_change_stays")
class DeletesBeforeItChecks(Correct):
    def check(self, change):
        self.check_items(change)
        gone = [write for write in change.items if write.after is None]
        for write in gone:
            self.delete(write.key)
        rest = [write for write in change.items if write.after is not None]
        super().check(evolve(change, items=rest, movements=()))
        self.check_movements(change)
        for write in gone:
            self._keep(write.before)


@caught_by("test_a_walk_yields_each_item_once_whatever_the_page_size")
class CursorIsOffByOne(Correct):
    def page(self, wanted, rest, size):
        page = super().page(wanted, rest, size)
        if page.next_cursor:
            return evolve(page, next_cursor=cursors.encode_item(wanted, rest[size]))
        return page


@caught_by("test_a_page_that_ends_with_the_list_has_no_cursor")
class CursorOnAnExactBoundary(Correct):
    def page(self, wanted, rest, size):
        page = super().page(wanted, rest, size)
        if len(page.items) == size:
            return evolve(page, next_cursor=cursors.encode_item(wanted, page.items[-1]))
        return page


@caught_by("test_items_edited_at_the_same_instant_all_come")
class NoTieBreak(Correct):
    def place(self, wanted, item):
        place = super().place(wanted, item)
        return place[:1] if wanted.index == "category" else place

    def list_items(self, wanted, page):
        if wanted.index != "category" or not page.cursor:
            return super().list_items(wanted, page)
        after = cursors.decode_item(wanted, page.cursor)[:1]
        rest = [item for item in self.passing(wanted) if self.place(wanted, item) > after]
        return self.page(wanted, sorted(rest, key=wanted.position), page.size)


@caught_by("test_lists_hold_what_passes_every_filter")
class ListsInAnyOrder(Correct):
    def page(self, wanted, rest, size):
        page = super().page(wanted, rest, size)
        return evolve(page, items=page.items[::-1])


@caught_by("test_text_is_ordered_by_code_points")
class OrdersWithoutCase(Correct):
    def place(self, wanted, item):
        return tuple(part.casefold() for part in super().place(wanted, item))

    def after(self, wanted, token):
        return tuple(part.casefold() for part in super().after(wanted, token))


@caught_by("test_a_cursor_outlives_the_items_around_it")
class CursorIsARowNumber(Correct):
    def list_items(self, wanted, page):
        start = int(page.cursor or 0)
        end = start + page.size
        items = sorted(self.passing(wanted), key=wanted.position)
        return Page(items=items[start:end], next_cursor=str(end) if end < len(items) else None)


@caught_by("test_a_cursor_outlives_the_items_around_it")
class CursorDiesWithItsItem(Correct):
    def after(self, wanted, token):
        place = super().after(wanted, token)
        if all(wanted.position(item) != place for item in self._items.values()):
            raise InvalidCursorError
        return place


@caught_by("test_a_cursor_is_good_for_its_own_filter_only")
class CursorTakesAnotherFilter(Correct):
    def after(self, wanted, token):
        with suppress(InvalidCursorError):
            return super().after(evolve(wanted, location=None), token)
        return super().after(wanted, token)


@caught_by("test_a_damaged_cursor_is_refused")
class CursorIsReadLeniently(Correct):
    def after(self, wanted, token):
        return super().after(wanted, token.strip().rstrip("="))


@caught_by("test_what_never_was_a_cursor_is_refused")
class CursorFailsWithItsOwnError(Correct):
    def after(self, wanted, token):
        if not token.isascii():
            raise StorageUnavailableError
        return super().after(wanted, token)


@caught_by("test_lists_hold_what_passes_every_filter")
class IgnoresALocation(Correct):
    def passing(self, wanted):
        return super().passing(evolve(wanted, location=None))


@caught_by("test_an_item_is_listed_as_low_while_it_is")
class LosesLowStockUpdates(Correct):
    """Marks an item as low when it is created, and never thinks of it again."""

    def __init__(self):
        super().__init__()
        self.low = set()

    def commit(self, change):
        super().commit(change)
        self.low |= {
            write.key
            for write in change.items
            if write.before is None and write.after and write.after.is_low
        }

    def passing(self, wanted):
        items = super().passing(evolve(wanted, low_stock=False))
        return [item for item in items if not wanted.low_stock or item.key in self.low]


@caught_by("test_an_item_is_listed_as_low_while_it_is")
class LowMeansBelow(Correct):
    def passing(self, wanted):
        items = super().passing(wanted)
        if not wanted.low_stock:
            return items
        return [item for item in items if item.level.available < item.reorder_point]


@caught_by("test_an_edit_moves_an_item_to_the_end_of_its_category")
class MovementsCountAsEdits(Correct):
    def commit(self, change):
        super().commit(change)
        for movement in change.movements:
            if movement.key in self._items:
                item = self._items[movement.key]
                self._items[movement.key] = evolve(item, updated_at=movement.recorded_at)


# The ledger


@caught_by("test_a_movement_comes_back_exactly_as_it_was_stored")
class NoReasonIsAnEmptyReason(Correct):
    def first_movement(self, key):
        movement = super().first_movement(key)
        return movement and evolve(movement, reason=movement.reason or "")


@caught_by("test_a_movement_comes_back_exactly_as_it_was_stored")
class ForgetsTheReservationOfAMovement(Correct):
    def list_movements(self, key, page):
        found = super().list_movements(key, page)
        return evolve(found, items=tuple(evolve(it, reservation_id=None) for it in found.items))


@caught_by("test_a_movement_comes_back_exactly_as_it_was_stored")
class ForgetsWhenTheItemWasCreated(Correct):
    def first_movement(self, key):
        movement = super().first_movement(key)
        return movement and evolve(movement, item_created_at=None)


@caught_by("test_every_kind_of_movement_can_be_kept")
class ForgetsSomeKinds(Correct):
    def store_movements(self, change):
        moves = [evolve(entry, kind=MovementKind.ADJUST) for entry in change.movements]
        super().store_movements(evolve(change, movements=tuple(moves)))


@caught_by("test_the_newest_movement_comes_first")
class OrdersMovementsAsText(Correct):
    def list_movements(self, key, page):
        page = super().list_movements(key, page)
        ordered = sorted(page.items, key=lambda movement: str(movement.seq), reverse=True)
        return evolve(page, items=tuple(ordered))


@caught_by("test_the_newest_movement_comes_first")
class OldestMovementFirst(Correct):
    def list_movements(self, key, page):
        page = super().list_movements(key, page)
        return evolve(page, items=page.items[::-1])


@caught_by("test_each_movement_of_a_change_goes_into_its_own_history")
class KeepsOneMovementOfAChange(Correct):
    def store_movements(self, change):
        super().store_movements(evolve(change, movements=change.movements[:1]))


@caught_by("test_the_first_movement_is_the_oldest")
class TakesTheNewestForTheFirst(Correct):
    def first_movement(self, key):
        return next(iter(self.list_movements(key, PageRequest(size=1)).items), None)


@caught_by("test_the_first_movement_is_the_oldest")
class LooksOnlyForMovementOne(Correct):
    def first_movement(self, key):
        return self._movements.get(key, {}).get(1)


def joined(key):
    """Write both halves of a key as one, and so that different keys may come out alike."""
    return ItemKey(item_id="item", sku=f"{key.item_id}#{key.sku}")


@caught_by("test_each_item_has_a_history_of_its_own")
class JoinsTheHalvesOfAKey(Correct):
    """Tells one item's movements among those of its look-alikes, but for the check that a place is free."""

    def store_movements(self, change):
        super().store_movements(change)
        for movement in change.movements:
            alike = evolve(movement, key=joined(movement.key))
            self._movements.setdefault(alike.key, {})[alike.seq] = alike

    def first_movement(self, key):
        movement = super().first_movement(joined(key))
        return movement and evolve(movement, key=key)


@caught_by("test_each_item_has_a_history_of_its_own")
class OneLedgerForAllSkusOfAnId(Correct):
    def list_movements(self, key, page):
        for other in sorted(self._movements):
            if other.item_id == key.item_id and key not in self._movements:
                return super().list_movements(other, page)
        return super().list_movements(key, page)


@caught_by("test_a_ledger_outlives_its_item")
class LedgerGoesWithItsItem(Correct):
    def delete(self, key):
        super().delete(key)
        self._movements.pop(key, None)


@caught_by("test_a_ledger_outlives_its_item")
class LedgerIsShownOnlyWithItsItem(Correct):
    def list_movements(self, key, page):
        return super().list_movements(key, page) if key in self._items else Page(items=())


@caught_by("test_a_place_in_a_history_is_taken_once")
class WritesOverMovements(Correct):
    def check_movements(self, change):
        """Take every place for free."""


@caught_by("test_a_place_in_a_history_is_taken_once")
class SkipsMovementsWhosePlaceIsTaken(Correct):
    def check_movements(self, change):
        """Take every place for free."""

    def store_movements(self, change):
        for movement in change.movements:
            self._movements.setdefault(movement.key, {}).setdefault(movement.seq, movement)


@caught_by("test_a_refused_change_leaves_no_movement")
class WritesMovementsFirst(Correct):
    def check(self, change):
        self.check_movements(change)
        self.store_movements(change)
        super().check(evolve(change, movements=()))


@caught_by("test_an_edit_leaves_the_ledger_alone")
class EditsAreMovements(Correct):
    def edit_item(self, edit):
        edited = super().edit_item(edit)
        [movement] = rewrite(edited, on_hand=edited.level.on_hand).movements
        self._movements[edit.key] = {movement.seq: movement}
        return edited


@caught_by("test_a_full_page_of_movements_always_has_a_cursor")
class NoCursorWhereTheLedgerEnds(Correct):
    def list_movements(self, key, page):
        found = super().list_movements(key, page)
        oldest = self.first_movement(key)
        return evolve(found, next_cursor=None) if oldest in found.items else found


@caught_by("test_pages_of_every_size_add_up_to_the_history")
class LedgerCursorIsInclusive(Correct):
    def list_movements(self, key, page):
        found = super().list_movements(key, page)
        if page.size > 1 and found.next_cursor:
            return evolve(found, next_cursor=cursors.encode_movement(key, found.items[-2].seq))
        return found


@caught_by("test_a_walk_along_a_ledger_is_not_displaced_by_what_moves_meanwhile")
class LedgerCursorCountsRows(Correct):
    def list_movements(self, key, page):
        start = int(page.cursor or 0)
        movements = super().list_movements(key, PageRequest(size=1000)).items
        items = movements[start : start + page.size]
        full = len(items) == page.size
        return Page(items=items, next_cursor=str(start + page.size) if full else None)


@caught_by("test_a_cursor_of_another_ledger_is_refused")
class LedgerTakesAnyCursor(Correct):
    def list_movements(self, key, page):
        for other in self._movements:
            with suppress(InvalidCursorError):
                seq = page.cursor and cursors.decode_movement(other, page.cursor)
                movement = seq and evolve(self._movements[other][seq], key=key)
                cursor = movement and cursors.encode_movement(key, movement.seq)
                return super().list_movements(key, evolve(page, cursor=cursor))
        return super().list_movements(key, page)


@caught_by("test_a_cursor_of_another_ledger_is_refused")
class LedgerTakesNoCursorForTheFirst(Correct):
    def list_movements(self, key, page):
        return super().list_movements(key, evolve(page, cursor=page.cursor or None))


# Reservations


def forgetting(*attributes):
    """Return a comparison that takes parts of a reservation for granted."""

    def forgetful(current, before):
        if current and before:
            known = {attribute: getattr(current, attribute) for attribute in attributes}
            before = evolve(before, **known)
        return still_held(current, before)

    return staticmethod(forgetful)


@caught_by("test_a_reservation_that_is_not_as_it_was_read_is_left_as_it_is")
class ForgetsTheState(Correct):
    still_held = forgetting("state")


@caught_by("test_a_reservation_that_is_not_as_it_was_read_is_left_as_it_is")
class ForgetsWhenItExpires(Correct):
    still_held = forgetting("expires_at")


@caught_by("test_a_reservation_that_is_not_as_it_was_read_is_left_as_it_is")
class ComparesHeldWithClosedAlone(Correct):
    """Takes one closed state for another."""

    @staticmethod
    def still_held(current, before):
        if current and before and current.closed_at and before.closed_at:
            before = evolve(before, state=current.state)
        return still_held(current, before)


@caught_by("test_a_reservation_that_is_not_as_it_was_read_is_left_as_it_is")
class MakesUpReservations(Correct):
    @staticmethod
    def still_held(current, before):
        return current is None or still_held(current, before)


@caught_by("test_an_id_is_taken_only_once")
class OverwritesReservations(Correct):
    @staticmethod
    def still_held(current, before):
        return before is None or still_held(current, before)


@caught_by("test_a_reservation_comes_back_exactly_as_it_was_stored")
class SortsLines(Correct):
    def get_reservation(self, reservation_id):
        found = super().get_reservation(reservation_id)
        return found and evolve(found, lines=tuple(sorted(found.lines, reverse=True)))


@caught_by("test_a_reservation_comes_back_exactly_as_it_was_stored")
class KeepsTwentyLines(Correct):
    def get_reservation(self, reservation_id):
        found = super().get_reservation(reservation_id)
        return found and evolve(found, lines=found.lines[:20])


@caught_by("test_a_reservation_comes_back_exactly_as_it_was_stored")
class ForgetsWhenItWasClosed(Correct):
    def get_reservation(self, reservation_id):
        found = super().get_reservation(reservation_id)
        return found and evolve(found, closed_at=None)


@caught_by("test_a_reservation_is_extended_and_closed")
class NeverUpdatesReservations(Correct):
    def store_reservation(self, change):
        if change.reservation and change.reservation.before is None:
            super().store_reservation(change)


def held_by(*, passes=lambda _: True, order=lambda found: found, due_by=lambda time: time):
    """Return a list of held reservations that goes wrong in one way."""

    def held_reservations(self, page, *, due_by=None):
        found = sorted(
            (
                reservation
                for reservation in self._reservations.values()
                if passes(reservation)
                and (due_by is None or reservation.expires_at <= wrong(due_by))
            ),
            key=lambda reservation: reservation.position,
        )
        found = order(found)
        start = int(page.cursor or 0)
        more = len(found) > start + page.size
        return Page(
            items=tuple(found[start : start + page.size]),
            next_cursor=str(start + page.size) if more else None,
        )

    wrong = due_by
    return held_reservations


def is_held(reservation):
    return reservation.state is ReservationState.HELD


@caught_by("test_only_held_reservations_are_listed_as_held")
class ListsClosedReservations(Correct):
    held_reservations = held_by()


@caught_by("test_only_held_reservations_are_listed_as_held")
class HidesWhatIsOver(Correct):
    held_reservations = held_by(
        passes=lambda found: is_held(found) and found.expires_at >= found.created_at
    )


@caught_by("test_what_expires_first_is_at_the_head")
class HeldInAnyOrder(Correct):
    held_reservations = held_by(
        passes=is_held,
        order=lambda found: sorted(found, key=lambda each: each.reservation_id),
    )


@caught_by("test_what_expires_first_is_at_the_head")
class OrdersExpiryByTheSecond(Correct):
    held_reservations = held_by(
        passes=is_held,
        order=lambda found: sorted(
            found, key=lambda each: (each.expires_at[:19], each.reservation_id)
        ),
    )


@caught_by("test_what_expires_at_the_very_time_is_due")
class DueOnlyAfterwards(Correct):
    held_reservations = held_by(
        passes=is_held,
        due_by=lambda time: Timestamp.of(time.as_datetime() - timedelta(microseconds=1)),
    )


@caught_by("test_what_expires_at_the_very_time_is_due")
class EverythingIsDue(Correct):
    held_reservations = held_by(passes=is_held, due_by=lambda _: "~")


@caught_by("test_a_sweep_along_the_list_misses_none")
class HeldCursorCountsRows(Correct):
    held_reservations = held_by(passes=is_held)


@caught_by("test_a_walk_yields_each_held_reservation_once")
class EqualExpiriesAreSkipped(Correct):
    def held_reservations(self, page, *, due_by=None):
        if page.cursor is None:
            return super().held_reservations(page, due_by=due_by)
        [after, _] = cursors.decode_reservation(page.cursor)
        alike = [found for found in self._reservations.values() if found.expires_at == after]
        last = max(alike, key=lambda found: found.position)
        cursor = cursors.encode_reservation(last.position)
        return super().held_reservations(evolve(page, cursor=cursor), due_by=due_by)


@caught_by("test_an_extension_moves_a_reservation_in_the_order")
class DueWhenItSaidFirst(Correct):
    def __init__(self):
        super().__init__()
        self.said = {}

    def store_reservation(self, change):
        super().store_reservation(change)
        after = change.reservation and change.reservation.after
        if after:
            self.said.setdefault(after.reservation_id, after.expires_at)

    def held_reservations(self, page, *, due_by=None):
        found = super().held_reservations(page, due_by=None)
        due = [
            each
            for each in found.items
            if due_by is None or self.said[each.reservation_id] <= due_by
        ]
        return evolve(found, items=tuple(due))


@caught_by("test_those_that_end_after_a_time_are_found")
class EndsAtTheVeryTimeIsAfterIt(Correct):
    def held_reservations(self, page, *, due_by=None, ends_after=None):
        if ends_after is not None:
            ends_after = Timestamp.of(ends_after.as_datetime() - timedelta(microseconds=1))
        return super().held_reservations(page, due_by=due_by, ends_after=ends_after)


@caught_by("test_discontinued_items_are_not_listed_as_low")
class ListsDiscontinuedAsLow(Correct):
    def list_items(self, wanted, page):
        found = super().list_items(evolve(wanted, low_stock=False), page)
        low = tuple(item for item in found.items if item.is_low or not wanted.low_stock)
        return evolve(found, items=low)


# Served records


@caught_by("test_a_key_is_served_once_while_its_record_counts")
class NeverLooksForARecord(Correct):
    def check_idempotency_record(self, change):
        """Take every key for new."""


@caught_by("test_a_key_is_served_once_while_its_record_counts")
class RecordsCountASecondLess(Correct):
    def counts(self, known, record):
        return known.expires_at[:19] > record.stored_at[:19]


@caught_by("test_a_key_is_served_once_while_its_record_counts")
class LaterClocksWin(Correct):
    def counts(self, known, record):
        return known.stored_at >= record.stored_at


@caught_by("test_a_record_that_has_expired_is_written_over")
class RecordsCountForEver(Correct):
    def counts(self, known, record):
        return True


@caught_by("test_a_record_that_has_expired_is_written_over")
class RecordsCountAnInstantLonger(Correct):
    def counts(self, known, record):
        return known.expires_at >= record.stored_at


@caught_by("test_a_record_that_has_expired_is_written_over")
class KeepsTheFirstRecord(Correct):
    def store_idempotency_record(self, change):
        if change.idempotency_record:
            self._served.setdefault(change.idempotency_record.record_id, change.idempotency_record)


@caught_by("test_that_a_key_was_served_is_told_before_anything_else")
class TellsOfStaleItemsFirst(Correct):
    def check(self, change):
        self.check_items(change)
        super().check(change)


@caught_by("test_that_a_key_was_served_is_told_before_anything_else")
class TellsOfStaleReservationsFirst(Correct):
    def check(self, change):
        self.check_reservation(change)
        super().check(change)


@caught_by("test_that_a_key_was_served_is_told_before_anything_else")
class TellsOfTakenPlacesFirst(Correct):
    def check(self, change):
        self.check_movements(change)
        super().check(change)


@caught_by("test_an_expired_record_hides_no_other_refusal")
class ReplacesTheRecordFirst(Correct):
    def check(self, change):
        self.check_idempotency_record(change)
        self.store_idempotency_record(change)
        super().check(evolve(change, idempotency_record=None))


@caught_by("test_a_record_comes_back_exactly_as_it_was_stored")
class CutsLongAnswers(Correct):
    def get_idempotency_record(self, record_id):
        record = super().get_idempotency_record(record_id)
        if record is None or not hasattr(record.answer, "description"):
            return record
        answer = evolve(record.answer, description=record.answer.description[:65_536])
        return evolve(record, answer=answer)


@caught_by("test_each_key_has_a_record_of_its_own")
class KeysWithoutCase(Correct):
    def check_idempotency_record(self, change):
        known = {name.casefold() for name in self._served}
        if change.idempotency_record and change.idempotency_record.record_id.casefold() in known:
            raise DuplicateRequestError


# All or nothing


def late(check):
    """Return a repository that looks at one part of a change only when the others are stored."""

    def checks_too_late(self, change):
        parts = {"check_items": "items", "check_movements": "movements"}
        empty = {parts[check]: ()} if check in parts else {check.removeprefix("check_"): None}
        self.store(evolve(change, **empty))
        getattr(Correct, check)(self, change)

    return checks_too_late


@caught_by("test_whatever_stands_in_the_way_nothing_of_a_change_stays")
class LooksAtItemsTooLate(Correct):
    check_items = late("check_items")


@caught_by("test_whatever_stands_in_the_way_nothing_of_a_change_stays")
class LooksAtPlacesTooLate(Correct):
    check_movements = late("check_movements")


@caught_by("test_whatever_stands_in_the_way_nothing_of_a_change_stays")
class LooksAtTheReservationTooLate(Correct):
    check_reservation = late("check_reservation")


@caught_by("test_whatever_stands_in_the_way_nothing_of_a_change_stays")
class LooksAtTheRecordTooLate(Correct):
    check_idempotency_record = late("check_idempotency_record")


@caught_by("test_the_largest_change_is_stored_whole")
class WritesTwentyFourItems(Correct):
    def store_items(self, change):
        super().store_items(evolve(change, items=change.items[:24]))


@caught_by("test_a_change_of_every_part_is_stored_whole")
class ForgetsTheRecordOfAReservation(Correct):
    def store_idempotency_record(self, change):
        if change.reservation is None:
            super().store_idempotency_record(change)


@caught_by("test_a_change_that_is_sent_twice_is_stored_once")
class StoresRepeats(Correct):
    """Applies the difference of a change again, whatever has become of its items."""

    def commit(self, change):
        with suppress(StaleReadError, DuplicateRequestError):
            return super().commit(change)
        for movement in change.movements:
            item = self._items[movement.key]
            level = evolve(item.level, seq=item.level.seq + 1)
            self._items[movement.key] = evolve(item, level=level)
        return None


# Purging


def purging(*, expired, closed):
    """Return a purge that deletes what either test says, given the time."""

    def purge(self, at):
        records = [name for name, record in self._served.items() if expired(record, at)]
        reservations = [name for name, each in self._reservations.items() if closed(each, at)]
        for name in records:
            del self._served[name]
        for name in reservations:
            del self._reservations[name]
        return len(records) + len(reservations)

    return purge


def is_old(record, at):
    return record.expires_at <= at


def is_forgotten(reservation, at):
    return reservation.closed_at is not None and reservation.closed_at <= retention_cutoff(at)


@caught_by("test_a_purge_deletes_what_is_due")
class PurgesRecordsTooLate(Correct):
    purge = purging(expired=lambda record, at: record.expires_at < at, closed=is_forgotten)


@caught_by("test_a_purge_deletes_what_is_due")
class PurgesRecordsByTheSecond(Correct):
    purge = purging(
        expired=lambda record, at: record.expires_at[:19] <= at[:19], closed=is_forgotten
    )


@caught_by("test_a_purge_deletes_what_is_due")
class PurgesReservationsAtOnce(Correct):
    purge = purging(
        expired=is_old,
        closed=lambda each, at: each.closed_at is not None and each.closed_at <= at,
    )


@caught_by("test_a_purge_deletes_what_is_due")
class PurgesReservationsByWhenTheyExpired(Correct):
    purge = purging(
        expired=is_old,
        closed=lambda each, at: not is_held(each) and each.expires_at <= retention_cutoff(at),
    )


@caught_by("test_a_purge_deletes_what_is_due")
class PurgesReservationsOfOneState(Correct):
    purge = purging(
        expired=is_old,
        closed=lambda each, at: each.state is ReservationState.EXPIRED and is_forgotten(each, at),
    )


@caught_by("test_a_purge_leaves_all_else_alone")
class PurgesWhatIsHeld(Correct):
    purge = purging(expired=is_old, closed=lambda each, at: each.expires_at <= retention_cutoff(at))


@caught_by("test_a_purge_leaves_all_else_alone")
class PurgesTheLedger(Correct):
    def purge(self, at):
        deleted = super().purge(at)
        self._movements.clear()
        return deleted


@caught_by("test_a_purge_deletes_what_is_due")
class PurgesWithoutCounting(Correct):
    def purge(self, at):
        super().purge(at)
        return 0


# Races


def too_late(check):
    """Return a check that lets every other thread check as well before anything is written."""

    def hesitates(self, change):
        getattr(Correct, check)(self, change)
        self._lock.release()
        sleep(0.01)
        self._lock.acquire()

    return hesitates


@caught_by("test_only_one_of_many_racing_repeats_of_a_request_has_an_effect")
class ServesTwiceInARace(Correct):
    check_idempotency_record = too_late("check_idempotency_record")


@caught_by("test_the_last_unit_is_promised_once")
class OversellsInARace(Correct):
    """Looks for taken places too early as well, or those would give it away."""

    check_items = too_late("check_items")
    check_movements = too_late("check_movements")


@caught_by("test_only_one_of_many_racing_deletes_wins")
@caught_by("test_a_delete_and_a_reservation_do_not_both_win")
class DeletesInARace(Correct):
    check_items = too_late("check_items")
    check_movements = too_late("check_movements")


@caught_by("test_a_reservation_is_closed_once")
class ClosesTwiceInARace(Correct):
    check_reservation = too_late("check_reservation")


def cases(test):
    """Return the arguments of each case of *test*, as pytest would."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    for chosen in itertools.product(*(mark.args[1] for mark in marks)):
        arguments = {}
        for mark, case in zip(marks, chosen, strict=True):
            names = mark.args[0]
            if isinstance(case, PARAM):
                arguments |= zip(
                    [names] if isinstance(names, str) else names, case.values, strict=True
                )
            elif isinstance(names, str):
                arguments[names] = case
            else:
                arguments |= zip(names, case, strict=True)
        yield arguments


# What a repository may answer with. Any other exception is a fault of the planted bug itself, and ends the test.
PORT_ERRORS = (InventoryError, StaleReadError, DuplicateRequestError)


def fails(test, repository_type, contract=RepositoryContract):
    """Tell whether any case of the *contract*'s *test* fails on a fresh repository."""
    function = getattr(contract, test)
    [fixture] = {"repository", "shared"} & set(inspect.signature(function).parameters)
    for arguments in cases(function):
        try:
            function(contract(), **{fixture: repository_type()}, **arguments)
        except (AssertionError, *PORT_ERRORS, pytest.fail.Exception):
            return True
    return False


TESTS = [
    name
    for name in dir(RepositoryContract)
    # Nothing can spoil a row in memory.
    if name.startswith("test_") and name not in vars(UnreadableRowsContract)
]


@pytest.mark.parametrize("test", TESTS)
def test_the_repository_without_a_bug_passes(test):
    """What the bugs are planted in is correct."""
    assert not fails(test, Correct)


@pytest.mark.parametrize(("bug", "test"), PLANTED)
def test_a_planted_bug_is_noticed(bug, test):
    """The test that is about the very guarantee that a bug breaks fails for it."""
    assert fails(test, bug)


class OneAtATime(Correct):
    """Had alone, it keeps the others out, and undoes nothing."""

    def exclusive(self):
        return self._lock


class AllTogether(Correct):
    """Had alone, it does nothing about it."""

    def exclusive(self):
        return nullcontext()


class AllOrNothing(OneAtATime):
    """A refusal inside undoes what was written before it."""

    def commit(self, change):
        try:
            super().commit(change)
        except StaleReadError:
            self._items.clear()
            raise


@pytest.mark.parametrize(
    ("bug", "test"),
    [
        (AllTogether, "test_whoever_is_alone_reads_what_they_wrote"),
        (AllTogether, "test_nobody_else_writes_meanwhile"),
        (AllOrNothing, "test_a_refusal_leaves_what_else_was_written"),
        (OneAtATime, "test_an_error_undoes_all_of_it"),
        (OneAtATime, "test_a_block_within_a_block_is_part_of_it"),
    ],
)
def test_a_repository_that_is_not_had_alone_is_noticed(bug, test):
    """Each test of that contract fails for what it is about."""
    assert fails(test, bug, ExclusiveContract)
