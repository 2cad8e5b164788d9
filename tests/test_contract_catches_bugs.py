"""Planted bugs that the contract must find, each by a given test."""

import inspect
import itertools
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from time import sleep

import pytest
from attrs import evolve

from inventory.errors import (
    DuplicateRequestError,
    InvalidCursorError,
    InventoryError,
    SnapshotError,
    StaleReadError,
    StorageUnavailableError,
    TargetNotEmptyError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import MovementFilter, ReservationFilter
from inventory.reservations import Reservation, ReservationState, retention_cutoff
from inventory.stock import Movement, MovementKind
from inventory_adapters.storage import cursors
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import (
    ExclusiveContract,
    RepositoryContract,
    SnapshotContract,
    an_item,
    rewrite,
)
from inventory_adapters.testing.unreadable import UnreadableRowsContract

PLANTED = []
ParameterSet = type(pytest.param())


def caught_by(test):
    """Register the bug below, which must fail the contract's *test*."""

    def plant(bug):
        PLANTED.append(pytest.param(bug, test, id=bug.__name__))
        return bug

    return plant


def item_matches(current, before):
    """Return whether an item is as it was read."""
    if current is None or before is None:
        return current is before
    return (current.level, current.version) == (before.level, before.version)


def reservation_matches(current, before):
    """Return whether a reservation is as it was read."""
    if current is None or before is None:
        return current is before
    return current.revision == before.revision


class Correct(MemoryRepository):
    """The reference repository, divided into the parts that bugs replace."""

    item_matches = staticmethod(item_matches)
    reservation_matches = staticmethod(reservation_matches)

    def commit(self, change):
        with self._lock:
            self.check(change)
            self.store(change)

    def check(self, change):
        self.check_idempotency_record(change)
        self.check_items(change)
        self.check_movements(change)
        self.check_reservations(change)

    def store(self, change):
        self.store_items(change)
        self.store_movements(change)
        self.store_reservations(change)
        self.store_idempotency_record(change)

    def check_items(self, change):
        for write in change.items:
            if not self.item_matches(self._items.get(write.key), write.before):
                raise StaleReadError

    def check_movements(self, change):
        for movement in change.movements:
            if movement.seq in self._movements.get(movement.key, {}):
                raise StaleReadError

    def check_reservations(self, change):
        for write in change.reservations:
            current = self._reservations.get(write.after.reservation_id)
            if not self.reservation_matches(current, write.before):
                raise StaleReadError

    def check_idempotency_record(self, change):
        record = change.idempotency_record
        stored = record and self._idempotency_records.get(record.record_id)
        if stored and self.is_in_force(stored, record):
            raise DuplicateRequestError

    def is_in_force(self, stored, record):
        return stored.expires_at > record.stored_at

    def store_items(self, change):
        for write in change.items:
            if write.after is None:
                self.delete(write.key)
            else:
                self._store(write.after)

    def delete(self, key):
        if key in self._items:  # Missing if a bug stores before it checks.
            self._delete(key)

    def store_movements(self, change):
        for movement in change.movements:
            self._movements.setdefault(movement.key, {})[movement.seq] = movement

    def store_reservations(self, change):
        for write in change.reservations:
            self._reservations[write.after.reservation_id] = write.after

    def store_idempotency_record(self, change):
        record = change.idempotency_record
        if record:
            self._idempotency_records[record.record_id] = record

    def position(self, item_filter, item):
        return item_filter.position(item)

    def passing(self, item_filter):
        return [item for item in self._items.values() if item_filter.matches(item)]

    def after(self, item_filter, token):
        return cursors.decode_item(item_filter, token)

    def list_items(self, item_filter, page):
        after = () if page.cursor is None else self.after(item_filter, page.cursor)
        rest = [
            item for item in self.passing(item_filter) if self.position(item_filter, item) > after
        ]
        rest.sort(key=lambda item: self.position(item_filter, item))
        return self.page(item_filter, rest, page.size)

    def page(self, item_filter, rest, size):
        items = tuple(rest[:size])
        more = len(rest) > size
        return Page(
            items=items, next_cursor=cursors.encode_item(item_filter, items[-1]) if more else None
        )


@caught_by("test_an_edit_between_read_and_commit_is_kept")
class ForgetsTheVersion(Correct):
    @staticmethod
    def item_matches(current, before):
        if current and before:
            before = evolve(before, version=current.version)
        return item_matches(current, before)


def ignoring_level(counter):
    """Return a comparison that ignores one part of the level."""

    def matches(current, before):
        if current and before:
            ignored = {counter: getattr(current.level, counter)}
            before = evolve(before, level=evolve(before.level, **ignored))
        return item_matches(current, before)

    return staticmethod(matches)


@caught_by("test_a_commit_based_on_another_state_is_rejected")
class ForgetsOnHand(Correct):
    item_matches = ignoring_level("on_hand")


@caught_by("test_a_commit_based_on_another_state_is_rejected")
class ForgetsReserved(Correct):
    item_matches = ignoring_level("reserved")


@caught_by("test_a_commit_based_on_another_state_is_rejected")
class ForgetsTheSeq(Correct):
    item_matches = ignoring_level("seq")


@caught_by("test_a_key_is_created_only_once")
class OverwritesOnCreate(Correct):
    @staticmethod
    def item_matches(current, before):
        return before is None or item_matches(current, before)


@caught_by("test_a_commit_never_restores_a_deleted_item")
class CommitRestoresADeletedItem(Correct):
    @staticmethod
    def item_matches(current, before):
        return current is None or item_matches(current, before)


@caught_by("test_one_stale_item_rejects_the_whole_change")
class WritesBeforeCheckingAll(Correct):
    def commit(self, change):
        for write in change.items:
            part = evolve(change, items=(write,), movements=())
            self.check(part)
            self.store_items(part)


@caught_by("test_one_of_many_concurrent_commits_succeeds")
class CommitsRace(Correct):
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


@caught_by("test_an_item_is_returned_as_it_was_stored")
class PriceIsAFloat(Correct):
    def get_item(self, key):
        item = super().get_item(key)
        return item and evolve(item, price=type(item.price)(float(item.price)))


@caught_by("test_an_item_is_returned_as_it_was_stored")
class EmptyDescriptionIsLost(Correct):
    def find_item(self, item_id):
        item = super().find_item(item_id)
        return item and evolve(item, description=item.description or "none")


@caught_by("test_an_item_is_returned_as_it_was_stored")
class TimesAreRewritten(Correct):
    def get_items(self, keys):
        return tuple(
            evolve(item, created_at=type(item.created_at).of(item.created_at.as_datetime()))
            for item in super().get_items(keys)
        )


@caught_by("test_an_item_is_returned_as_it_was_stored")
class SortsAttributeValues(Correct):
    def find_item(self, item_id):
        item = super().find_item(item_id)
        return item and evolve(
            item,
            attributes=dict(zip(item.attributes, sorted(item.attributes.values()), strict=True)),
        )


@caught_by("test_an_item_is_returned_as_it_was_stored")
class ReturnsFortyAttributes(Correct):
    def get_item(self, key):
        item = super().get_item(key)
        kept = item and dict(itertools.islice(item.attributes.items(), 40))
        return item and evolve(item, attributes=kept)


@caught_by("test_an_item_is_returned_as_it_was_stored")
class ForgetsWhenAnItemMoved(Correct):
    def get_item(self, key):
        item = super().get_item(key)
        return item and evolve(item, moved_at=None)


@caught_by("test_an_item_is_returned_as_it_was_stored")
class ForgetsWhoCreatedAnItem(Correct):
    def get_item(self, key):
        item = super().get_item(key)
        return item and evolve(item, changed_by=None)


@caught_by("test_a_commit_stores_the_next_state")
class MergesAttributes(Correct):
    def _store(self, item):
        before = self._items.get(item.key, item)
        super()._store(evolve(item, attributes={**before.attributes, **item.attributes}))


@caught_by("test_find_item_returns_the_first_by_sku")
class FindsAnySku(Correct):
    def find_item(self, item_id):
        return next((item for item in self._items.values() if item.item_id == item_id), None)


@caught_by("test_get_items_accepts_more_than_one_hundred_keys")
class ReadsAHundredKeysAtMost(Correct):
    def get_items(self, keys):
        return super().get_items(itertools.islice(keys, 100))


@caught_by("test_get_items_returns_each_existing_item_once")
class RepeatsItems(Correct):
    def get_items(self, keys):
        return tuple(self._items[key] for key in keys if key in self._items)


@caught_by("test_an_edit_never_restores_a_deleted_item")
class EditRestoresADeletedItem(Correct):
    def __init__(self):
        super().__init__()
        self.deleted = {}

    def delete(self, key):
        self.deleted[key] = self._items[key]
        super().delete(key)

    def edit_item(self, edit):
        if edit.key in self.deleted:
            self._items.setdefault(edit.key, self.deleted[edit.key])
        return super().edit_item(edit)


@caught_by("test_an_edit_of_another_version_is_rejected")
class EditIgnoresTheVersion(Correct):
    def edit_item(self, edit):
        return super().edit_item(evolve(edit, versions=None))


@caught_by("test_an_edit_changes_only_the_given_fields")
class EditDropsAField(Correct):
    def edit_item(self, edit):
        fields = {name: value for name, value in edit.fields.items() if name != "location"}
        return super().edit_item(evolve(edit, fields=fields))


@caught_by("test_an_edit_changes_only_the_given_fields")
class EditForgetsItsActor(Correct):
    def edit_item(self, edit):
        before = self._items.get(edit.key)
        return super().edit_item(evolve(edit, actor=before and before.changed_by))


@caught_by("test_an_edit_changes_only_the_given_fields")
class EditKeepsRemovedAttributes(Correct):
    def edit_item(self, edit):
        if "attributes" in edit.fields:
            before = self._items[edit.key].attributes
            merged = {**before, **edit.fields["attributes"]}
            edit = evolve(edit, fields=edit.fields | {"attributes": merged})
        return super().edit_item(edit)


@caught_by("test_each_edit_increments_the_version")
class EditDoesNotCount(Correct):
    def edit_item(self, edit):
        edited = super().edit_item(edit)
        self._items[edit.key] = evolve(edited, version=edited.version - 1)
        return self._items[edit.key]


@caught_by("test_movements_do_not_conflict_with_an_edit")
class EditResetsReserved(Correct):
    def edit_item(self, edit):
        edited = super().edit_item(edit)
        self._items[edit.key] = evolve(edited, level=evolve(edited.level, reserved=0))
        return self._items[edit.key]


@caught_by("test_an_edit_of_another_version_is_rejected")
class ConflictWithoutTheItem(Correct):
    def edit_item(self, edit):
        try:
            return super().edit_item(edit)
        except StaleReadError:
            raise StaleReadError from None


def deletes_if(matches):
    """Return a check of items that compares deleted items with *matches*."""

    def check_items(self, change):
        for write in change.items:
            current = self._items.get(write.key)
            comparison = matches if write.after is None else item_matches
            if not comparison(current, write.before):
                raise StaleReadError

    return check_items


@caught_by("test_a_deletion_based_on_another_state_is_rejected")
class DeleteForgetsReserved(Correct):
    check_items = deletes_if(ignoring_level("reserved"))


@caught_by("test_a_deletion_based_on_another_state_is_rejected")
class DeleteForgetsTheSeq(Correct):
    check_items = deletes_if(ignoring_level("seq"))


@caught_by("test_an_edit_between_read_and_deletion_is_kept")
class DeleteForgetsTheVersion(Correct):
    check_items = deletes_if(lambda current, before: current and current.level == before.level)


@caught_by("test_an_item_is_deleted_once")
class DeletesAMissingItem(Correct):
    check_items = deletes_if(
        lambda current, before: current is None or item_matches(current, before)
    )


@caught_by("test_a_deleted_item_is_in_no_read_and_no_list")
class DeletesEverySkuOfAnId(Correct):
    def delete(self, key):
        for other in [other for other in self._items if other.item_id == key.item_id]:
            super().delete(other)


@caught_by("test_a_deletion_is_the_last_movement_of_the_ledger")
class DeletesWithoutAMovement(Correct):
    def store_movements(self, change):
        others = [movement for movement in change.movements if movement.key in self._items]
        super().store_movements(evolve(change, items=(), movements=()))
        for movement in others:
            self._movements.setdefault(movement.key, {})[movement.seq] = movement


@caught_by("test_a_rejected_change_stores_nothing")
class DeletesBeforeItChecks(Correct):
    def check(self, change):
        self.check_items(change)
        deletions = [write for write in change.items if write.after is None]
        for write in deletions:
            self.delete(write.key)
        rest = [write for write in change.items if write.after is not None]
        super().check(evolve(change, items=rest, movements=()))
        self.check_movements(change)
        for write in deletions:
            self._store(write.before)


@caught_by("test_pages_of_every_size_contain_each_item_once")
class CursorIsOffByOne(Correct):
    def page(self, item_filter, rest, size):
        page = super().page(item_filter, rest, size)
        if page.next_cursor:
            return evolve(page, next_cursor=cursors.encode_item(item_filter, rest[size]))
        return page


@caught_by("test_a_page_that_ends_with_the_list_has_no_cursor")
class CursorOnAnExactBoundary(Correct):
    def page(self, item_filter, rest, size):
        page = super().page(item_filter, rest, size)
        if len(page.items) == size:
            return evolve(page, next_cursor=cursors.encode_item(item_filter, page.items[-1]))
        return page


@caught_by("test_items_edited_at_the_same_instant_are_all_listed")
class NoTieBreak(Correct):
    def position(self, item_filter, item):
        position = super().position(item_filter, item)
        return position[:1] if item_filter.index == "category" else position

    def list_items(self, item_filter, page):
        if item_filter.index != "category" or not page.cursor:
            return super().list_items(item_filter, page)
        after = cursors.decode_item(item_filter, page.cursor)[:1]
        rest = [
            item for item in self.passing(item_filter) if self.position(item_filter, item) > after
        ]
        return self.page(item_filter, sorted(rest, key=item_filter.position), page.size)


@caught_by("test_a_list_contains_the_items_that_pass_every_filter")
class ListsInAnyOrder(Correct):
    def page(self, item_filter, rest, size):
        page = super().page(item_filter, rest, size)
        return evolve(page, items=page.items[::-1])


@caught_by("test_text_is_ordered_by_code_points")
class OrdersWithoutCase(Correct):
    def position(self, item_filter, item):
        return tuple(part.casefold() for part in super().position(item_filter, item))

    def after(self, item_filter, token):
        return tuple(part.casefold() for part in super().after(item_filter, token))


@caught_by("test_a_cursor_stays_valid_after_its_item_is_deleted")
class CursorIsARowNumber(Correct):
    def list_items(self, item_filter, page):
        start = int(page.cursor or 0)
        end = start + page.size
        items = sorted(self.passing(item_filter), key=item_filter.position)
        return Page(items=items[start:end], next_cursor=str(end) if end < len(items) else None)


@caught_by("test_a_cursor_stays_valid_after_its_item_is_deleted")
class CursorDiesWithItsItem(Correct):
    def after(self, item_filter, token):
        position = super().after(item_filter, token)
        if all(item_filter.position(item) != position for item in self._items.values()):
            raise InvalidCursorError
        return position


@caught_by("test_a_cursor_is_valid_only_for_its_filter")
class CursorTakesAnotherFilter(Correct):
    def after(self, item_filter, token):
        with suppress(InvalidCursorError):
            return super().after(evolve(item_filter, location=None), token)
        return super().after(item_filter, token)


@caught_by("test_a_damaged_cursor_is_rejected")
class CursorIsReadLeniently(Correct):
    def after(self, item_filter, token):
        return super().after(item_filter, token.strip().rstrip("="))


@caught_by("test_arbitrary_text_is_rejected_as_a_cursor")
class CursorFailsWithItsOwnError(Correct):
    def after(self, item_filter, token):
        if not token.isascii():
            raise StorageUnavailableError
        return super().after(item_filter, token)


@caught_by("test_a_list_contains_the_items_that_pass_every_filter")
class IgnoresALocation(Correct):
    def passing(self, item_filter):
        return super().passing(evolve(item_filter, location=None))


@caught_by("test_an_item_is_listed_as_low_while_it_is_low")
class LosesLowStockUpdates(Correct):
    """Decides whether an item is low only when it is created."""

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

    def passing(self, item_filter):
        items = super().passing(evolve(item_filter, low_stock=False))
        return [item for item in items if not item_filter.low_stock or item.key in self.low]


@caught_by("test_an_item_is_listed_as_low_while_it_is_low")
class LowMeansBelow(Correct):
    def passing(self, item_filter):
        items = super().passing(item_filter)
        if not item_filter.low_stock:
            return items
        return [item for item in items if item.level.available < item.reorder_point]


@caught_by("test_an_edit_moves_an_item_to_the_end_of_its_category")
class MovementsSetUpdatedAt(Correct):
    def commit(self, change):
        super().commit(change)
        for movement in change.movements:
            if movement.key in self._items:
                item = self._items[movement.key]
                self._items[movement.key] = evolve(item, updated_at=movement.recorded_at)


# Searches


def searching(*, text=lambda item: item.search_text, words=lambda item_filter: item_filter.words):
    """Return a `passing` that searches in another text or for other words."""

    def passing(self, item_filter):
        items = Correct.passing(self, evolve(item_filter, search=None))
        return [item for item in items if all(word in text(item) for word in words(item_filter))]

    return passing


@caught_by("test_a_search_ignores_case_accents_and_compatible_characters")
class SearchesWithCase(Correct):
    passing = searching(
        text=lambda item: f"{item.sku}\n{item.name}",
        words=lambda item_filter: (item_filter.search or "").split(),
    )


@caught_by("test_a_search_ignores_case_accents_and_compatible_characters")
class SearchesWithAccents(Correct):
    passing = searching(
        text=lambda item: f"{item.sku}\n{item.name}".casefold(),
        words=lambda item_filter: (item_filter.search or "").casefold().split(),
    )


@caught_by("test_no_character_of_a_search_is_a_wildcard")
class SearchesWithWildcards(Correct):
    def passing(self, item_filter):
        items = super().passing(evolve(item_filter, search=None))
        patterns = [f"*{word}*".translate(str.maketrans("%_", "*?")) for word in item_filter.words]
        return [
            item
            for item in items
            if all(fnmatchcase(item.search_text, pattern) for pattern in patterns)
        ]


@caught_by("test_every_word_must_be_part_of_one_text")
class SearchesForOneWord(Correct):
    passing = searching(words=lambda item_filter: item_filter.words[:1])


@caught_by("test_every_word_must_be_part_of_one_text")
class SearchesForWordsInOrder(Correct):
    passing = searching(
        text=lambda item: item.search_text.replace("\n", " "),
        words=lambda item_filter: [" ".join(item_filter.words)],
    )


@caught_by("test_every_word_must_be_part_of_one_text")
class SearchesInJoinedTexts(Correct):
    passing = searching(text=lambda item: item.search_text.replace("\n", ""))


@caught_by("test_every_word_must_be_part_of_one_text")
class SearchesInNamesOnly(Correct):
    passing = searching(text=lambda item: item.name.lower())


@caught_by("test_every_word_must_be_part_of_one_text")
class SearchesInDescriptions(Correct):
    passing = searching(text=lambda item: f"{item.search_text}\n{item.description}")


@caught_by("test_every_word_must_be_part_of_one_text")
class SearchesInNamesOfAttributes(Correct):
    passing = searching(text=lambda item: "\n".join((item.search_text, *item.attributes)))


class SearchesInOldTexts(Correct):
    """Keeps the text that is searched, and renews it only in `renews`."""

    def __init__(self):
        super().__init__()
        self.texts = {}

    def passing(self, item_filter):
        return searching(text=lambda item: self.texts[item.key])(self, item_filter)

    def _store(self, item):
        super()._store(item)
        self.renew(item)

    def renew(self, item):
        self.texts[item.key] = item.search_text

    def edit_item(self, edit):
        edited = super().edit_item(edit)
        self.renew(edited)
        return edited


@caught_by("test_a_search_finds_the_current_texts")
class NeverRenewsTheText(SearchesInOldTexts):
    def renew(self, item):
        self.texts.setdefault(item.key, item.search_text)


@caught_by("test_a_search_finds_the_current_texts")
class EditsDoNotRenewTheText(SearchesInOldTexts):
    def edit_item(self, edit):
        return Correct.edit_item(self, edit)


@caught_by("test_a_search_finds_the_current_texts")
class RenewsTheTextWithTheName(SearchesInOldTexts):
    def renew(self, item):
        if item.name.lower() not in self.texts.get(item.key, ""):
            super().renew(item)


@caught_by("test_a_cursor_is_valid_only_for_its_filter")
class CursorTakesAnotherSearch(Correct):
    def after(self, item_filter, token):
        return super().after(evolve(item_filter, search=None), token)

    def page(self, item_filter, rest, size):
        return super().page(evolve(item_filter, search=None), rest, size)


# The ledger


@caught_by("test_a_movement_is_returned_as_it_was_stored")
class NoReasonIsAnEmptyReason(Correct):
    def first_movement(self, key):
        movement = super().first_movement(key)
        return movement and evolve(movement, reason=movement.reason or "")


@caught_by("test_a_movement_is_returned_as_it_was_stored")
class ForgetsTheReservationOfAMovement(Correct):
    def list_movements(self, movement_filter, page):
        page = super().list_movements(movement_filter, page)
        movements = [evolve(movement, reservation_id=None) for movement in page.items]
        return evolve(page, items=tuple(movements))


@caught_by("test_a_movement_is_returned_as_it_was_stored")
class ForgetsWhenTheItemWasCreated(Correct):
    def first_movement(self, key):
        movement = super().first_movement(key)
        return movement and evolve(movement, item_created_at=None)


@caught_by("test_a_movement_is_returned_as_it_was_stored")
class ForgetsTheActorOfAMovement(Correct):
    def first_movement(self, key):
        movement = super().first_movement(key)
        return movement and evolve(movement, actor=None)


@caught_by("test_every_kind_of_movement_can_be_stored")
class ForgetsSomeKinds(Correct):
    def store_movements(self, change):
        movements = [evolve(movement, kind=MovementKind.ADJUST) for movement in change.movements]
        super().store_movements(evolve(change, movements=tuple(movements)))


@caught_by("test_the_newest_movement_comes_first")
class OrdersMovementsAsText(Correct):
    def list_movements(self, movement_filter, page):
        page = super().list_movements(movement_filter, page)
        ordered = sorted(page.items, key=lambda movement: str(movement.seq), reverse=True)
        return evolve(page, items=tuple(ordered))


@caught_by("test_the_newest_movement_comes_first")
class OldestMovementFirst(Correct):
    def list_movements(self, movement_filter, page):
        page = super().list_movements(movement_filter, page)
        return evolve(page, items=page.items[::-1])


@caught_by("test_each_movement_of_a_change_is_in_the_ledger_of_its_item")
class StoresOneMovementOfAChange(Correct):
    def store_movements(self, change):
        super().store_movements(evolve(change, movements=change.movements[:1]))


@caught_by("test_the_first_movement_is_the_oldest")
class ReturnsTheNewestAsTheFirst(Correct):
    def first_movement(self, key):
        newest = self.list_movements(MovementFilter(key=key), PageRequest(size=1))
        return next(iter(newest.items), None)


@caught_by("test_the_first_movement_is_the_oldest")
class FindsOnlyMovementOne(Correct):
    def first_movement(self, key):
        return self._movements.get(key, {}).get(1)


def joined(key):
    """Join the parts of a key, so that different keys may become equal."""
    return ItemKey(item_id="item", sku=f"{key.item_id}#{key.sku}")


@caught_by("test_each_item_has_its_own_history")
class JoinsTheKey(Correct):
    """Mixes movements of items with equal joined keys in reads."""

    def store_movements(self, change):
        super().store_movements(change)
        for movement in change.movements:
            renamed = evolve(movement, key=joined(movement.key))
            self._movements.setdefault(renamed.key, {})[renamed.seq] = renamed

    def first_movement(self, key):
        movement = super().first_movement(joined(key))
        return movement and evolve(movement, key=key)


@caught_by("test_each_item_has_its_own_history")
class OneLedgerForAllSkusOfAnId(Correct):
    def list_movements(self, movement_filter, page):
        key = movement_filter.key
        for other in sorted(self._movements):
            if other.item_id == key.item_id and key not in self._movements:
                return super().list_movements(evolve(movement_filter, key=other), page)
        return super().list_movements(movement_filter, page)


@caught_by("test_a_ledger_is_kept_after_its_item_is_deleted")
class LedgerGoesWithItsItem(Correct):
    def delete(self, key):
        super().delete(key)
        self._movements.pop(key, None)


@caught_by("test_a_ledger_is_kept_after_its_item_is_deleted")
class LedgerIsShownOnlyWithItsItem(Correct):
    def list_movements(self, movement_filter, page):
        if movement_filter.key not in self._items:
            return Page(items=())
        return super().list_movements(movement_filter, page)


@caught_by("test_a_seq_is_used_once_per_history")
class OverwritesMovements(Correct):
    def check_movements(self, change):
        """Accept every seq."""


@caught_by("test_a_seq_is_used_once_per_history")
class SkipsMovementsWithAUsedSeq(Correct):
    def check_movements(self, change):
        """Accept every seq."""

    def store_movements(self, change):
        for movement in change.movements:
            self._movements.setdefault(movement.key, {}).setdefault(movement.seq, movement)


@caught_by("test_a_rejected_change_adds_no_movement")
class WritesMovementsFirst(Correct):
    def check(self, change):
        self.check_movements(change)
        self.store_movements(change)
        super().check(evolve(change, movements=()))


@caught_by("test_an_edit_adds_no_movement")
class EditsAreMovements(Correct):
    def edit_item(self, edit):
        edited = super().edit_item(edit)
        [movement] = rewrite(edited, on_hand=edited.level.on_hand).movements
        self._movements[edit.key] = {movement.seq: movement}
        return edited


@caught_by("test_a_full_page_of_movements_always_has_a_cursor")
class NoCursorWhereTheLedgerEnds(Correct):
    def list_movements(self, movement_filter, page):
        page = super().list_movements(movement_filter, page)
        oldest = self.first_movement(movement_filter.key)
        return evolve(page, next_cursor=None) if oldest in page.items else page


@caught_by("test_pages_of_every_size_add_up_to_the_history")
class LedgerCursorIsInclusive(Correct):
    def list_movements(self, movement_filter, page):
        size, page = page.size, super().list_movements(movement_filter, page)
        if size > 1 and page.next_cursor:
            cursor = cursors.encode_movement(movement_filter, page.items[-2].seq)
            return evolve(page, next_cursor=cursor)
        return page


@caught_by("test_new_movements_do_not_shift_the_pages_of_a_ledger")
class LedgerCursorCountsRows(Correct):
    def list_movements(self, movement_filter, page):
        start = int(page.cursor or 0)
        movements = super().list_movements(movement_filter, PageRequest(size=1000)).items
        items = movements[start : start + page.size]
        full = len(items) == page.size
        return Page(items=items, next_cursor=str(start + page.size) if full else None)


@caught_by("test_a_cursor_of_another_ledger_is_rejected")
class LedgerTakesAnyCursor(Correct):
    def list_movements(self, movement_filter, page):
        for key in self._movements if page.cursor else ():
            with suppress(InvalidCursorError):
                seq = cursors.decode_movement(MovementFilter(key=key), page.cursor)
                cursor = cursors.encode_movement(movement_filter, seq)
                return super().list_movements(movement_filter, evolve(page, cursor=cursor))
        return super().list_movements(movement_filter, page)


@caught_by("test_a_cursor_of_another_ledger_is_rejected")
class LedgerTakesNoCursorForTheFirst(Correct):
    def list_movements(self, movement_filter, page):
        return super().list_movements(movement_filter, evolve(page, cursor=page.cursor or None))


@caught_by("test_a_list_starts_at_last_seq")
class AlwaysStartsAtTheNewestMovement(Correct):
    def list_movements(self, movement_filter, page):
        return super().list_movements(evolve(movement_filter, last_seq=None), page)


@caught_by("test_a_list_starts_at_last_seq")
class TakesZeroForNoLastSeq(Correct):
    def list_movements(self, movement_filter, page):
        last_seq = movement_filter.last_seq or None
        return super().list_movements(evolve(movement_filter, last_seq=last_seq), page)


@caught_by("test_a_list_starts_at_last_seq")
class StartsBeforeLastSeq(Correct):
    def list_movements(self, movement_filter, page):
        if movement_filter.last_seq is not None:
            last_seq = movement_filter.last_seq - 1
            movement_filter = evolve(movement_filter, last_seq=last_seq)
        return super().list_movements(movement_filter, page)


@caught_by("test_a_cursor_continues_a_list_of_the_same_period")
class StartsAgainAtLastSeq(Correct):
    def list_movements(self, movement_filter, page):
        if movement_filter.last_seq is not None:
            page = evolve(page, cursor=None)
        return super().list_movements(movement_filter, page)


@caught_by("test_a_cursor_continues_a_list_of_the_same_period")
class LedgerTakesACursorOfAnotherPeriod(Correct):
    def list_movements(self, movement_filter, page):
        return super().list_movements(evolve(movement_filter, since=None, until=None), page)


@caught_by("test_a_change_may_move_an_item_several_times")
class StoresTheLastMovementOfAnItem(Correct):
    def store_movements(self, change):
        last = {movement.key: movement for movement in change.movements}
        super().store_movements(evolve(change, items=(), movements=()))
        for movement in last.values():
            self._movements.setdefault(movement.key, {})[movement.seq] = movement


@caught_by("test_one_used_seq_rejects_every_movement_of_a_change")
class ChecksTheFirstMovementOfAChange(Correct):
    def check_movements(self, change):
        super().check_movements(evolve(change, movements=change.movements[:1]))


# Reservations


def comparing(*attributes):
    """Return a comparison of these attributes of a reservation only."""

    def matches(current, before):
        if current is None or before is None:
            return current is before
        return all(getattr(current, name) == getattr(before, name) for name in attributes)

    return staticmethod(matches)


@caught_by("test_of_two_changes_based_on_one_read_the_first_is_stored")
class ComparesTheState(Correct):
    reservation_matches = comparing("state")


@caught_by("test_of_two_changes_based_on_one_read_the_first_is_stored")
class ComparesStateAndExpiry(Correct):
    reservation_matches = comparing("state", "expires_at")


@caught_by("test_of_two_changes_based_on_one_read_the_first_is_stored")
class ComparesStateAndLines(Correct):
    reservation_matches = comparing("state", "lines", "committed")


@caught_by("test_of_two_changes_based_on_one_read_the_first_is_stored")
class ComparesTheNumberOfLines(Correct):
    @staticmethod
    def reservation_matches(current, before):
        if current and before:
            return (current.expires_at, len(current.lines), current.state) == (
                *(before.expires_at, len(before.lines), before.state),
            )
        return current is before


@caught_by("test_of_two_changes_based_on_one_read_the_first_is_stored")
class ChangesAreStoredOnAnything(Correct):
    @staticmethod
    def reservation_matches(current, before):
        return (current is None) == (before is None)


@caught_by("test_a_write_based_on_another_state_of_a_reservation_is_rejected")
class StoresOnAnOlderRevision(Correct):
    @staticmethod
    def reservation_matches(current, before):
        if current and before:
            return current.revision <= before.revision
        return current is before


@caught_by("test_a_write_based_on_another_state_of_a_reservation_is_rejected")
class CreatesMissingReservations(Correct):
    @staticmethod
    def reservation_matches(current, before):
        return current is None or reservation_matches(current, before)


@caught_by("test_a_reservation_id_is_created_only_once")
class OverwritesReservations(Correct):
    @staticmethod
    def reservation_matches(current, before):
        return before is None or reservation_matches(current, before)


@caught_by("test_a_reservation_is_returned_as_it_was_stored")
class SortsLines(Correct):
    def get_reservation(self, reservation_id):
        reservation = super().get_reservation(reservation_id)
        if reservation is None:
            return None
        return evolve(reservation, lines=tuple(sorted(reservation.lines, reverse=True)))


@caught_by("test_a_reservation_is_returned_as_it_was_stored")
class ReturnsTwentyLines(Correct):
    def get_reservation(self, reservation_id):
        reservation = super().get_reservation(reservation_id)
        return reservation and evolve(reservation, lines=reservation.lines[:20])


@caught_by("test_a_reservation_is_returned_as_it_was_stored")
class ForgetsWhenItWasClosed(Correct):
    def get_reservation(self, reservation_id):
        reservation = super().get_reservation(reservation_id)
        return reservation and evolve(reservation, closed_at=None)


@caught_by("test_a_reservation_is_returned_as_it_was_stored")
class ForgetsCommittedLines(Correct):
    def get_reservation(self, reservation_id):
        reservation = super().get_reservation(reservation_id)
        return reservation and evolve(reservation, committed=())


@caught_by("test_a_reservation_is_returned_as_it_was_stored")
class ForgetsTheRevision(Correct):
    def get_reservation(self, reservation_id):
        reservation = super().get_reservation(reservation_id)
        return reservation and evolve(reservation, revision=1)


@caught_by("test_a_reservation_is_returned_as_it_was_stored")
class ForgetsWhoChangedAReservation(Correct):
    def get_reservation(self, reservation_id):
        reservation = super().get_reservation(reservation_id)
        return reservation and evolve(reservation, changed_by=None)


@caught_by("test_get_reservations_returns_each_existing_reservation_once")
class ReadsAHundredReservationsAtMost(Correct):
    def get_reservations(self, reservation_ids):
        return super().get_reservations(itertools.islice(reservation_ids, 100))


@caught_by("test_get_reservations_returns_each_existing_reservation_once")
class RepeatsReservations(Correct):
    def get_reservations(self, reservation_ids):
        return tuple(
            self._reservations[reservation_id]
            for reservation_id in reservation_ids
            if reservation_id in self._reservations
        )


@caught_by("test_get_reservations_returns_each_existing_reservation_once")
class ReadsHeldReservationsOnly(Correct):
    def get_reservations(self, reservation_ids):
        return tuple(filter(is_held, super().get_reservations(reservation_ids)))


@caught_by("test_a_change_of_several_reservations_is_stored_completely")
class StoresOneReservationOfAChange(Correct):
    def store_reservations(self, change):
        super().store_reservations(evolve(change, reservations=change.reservations[:1]))


@caught_by("test_one_stale_reservation_rejects_the_whole_change")
class ChecksOneReservationOfAChange(Correct):
    def check_reservations(self, change):
        super().check_reservations(evolve(change, reservations=change.reservations[:1]))


@caught_by("test_one_stale_reservation_rejects_the_whole_change")
class StoresReservationsOneByOne(Correct):
    def commit(self, change):
        for write in change.reservations or (None,):
            super().commit(evolve(change, reservations=(write,) if write else ()))


@caught_by("test_reservations_of_one_item_expire_in_one_change")
class StoresThirtyReservations(Correct):
    def store_reservations(self, change):
        super().store_reservations(evolve(change, reservations=change.reservations[:30]))


@caught_by("test_a_reservation_is_extended_and_closed")
class NeverUpdatesReservations(Correct):
    def store_reservations(self, change):
        new = [write for write in change.reservations if write.before is None]
        super().store_reservations(evolve(change, reservations=new))


def listed_by(
    *,
    passes=ReservationFilter.matches,
    position=lambda reservation: reservation.position,
    rows=False,
):
    """Return a `list_reservations` with another filter, order or, of *rows*, cursor."""

    def list_reservations(self, reservation_filter, page):
        after, start = (), 0
        if page.cursor is not None and rows:
            start = int(page.cursor)
        elif page.cursor is not None:
            after = cursors.decode_reservation(reservation_filter, page.cursor)
        listed = sorted(
            (
                reservation
                for reservation in self._reservations.values()
                if passes(reservation_filter, reservation) and position(reservation) > after
            ),
            key=position,
        )[start:]
        items = tuple(listed[: page.size])
        cursor = None
        if len(listed) > page.size:
            last = position(items[-1])
            cursor = str(start + page.size)
            if not rows:
                cursor = cursors.encode_reservation(reservation_filter, last)
        return Page(items=items, next_cursor=cursor)

    return list_reservations


def without(*parts):
    """Return a match that ignores *parts* of a filter."""

    def passes(reservation_filter, reservation):
        return evolve(reservation_filter, **dict.fromkeys(parts)).matches(reservation)

    return passes


def shifted(part, microseconds):
    """Return a match with a bound that is this much later."""

    def passes(reservation_filter, reservation):
        if bound := getattr(reservation_filter, part):
            later = Timestamp.of(bound.as_datetime() + timedelta(microseconds=microseconds))
            reservation_filter = evolve(reservation_filter, **{part: later})
        return reservation_filter.matches(reservation)

    return passes


def is_held(reservation):
    return reservation.state is ReservationState.HELD


@caught_by("test_only_held_reservations_are_listed_as_held")
class ListsClosedReservations(Correct):
    list_reservations = listed_by(
        passes=lambda reservation_filter, reservation: reservation_filter.matches(
            evolve(reservation, state=ReservationState.HELD)
        )
    )


@caught_by("test_only_held_reservations_are_listed_as_held")
class HidesOverdueReservations(Correct):
    list_reservations = listed_by(
        passes=lambda reservation_filter, reservation: (
            reservation_filter.matches(reservation)
            and reservation.expires_at >= reservation.created_at
        )
    )


@caught_by("test_held_reservations_are_ordered_by_expiry")
class HeldByIdInsteadOfExpiry(Correct):
    list_reservations = listed_by(
        position=lambda reservation: (reservation.reservation_id, reservation.expires_at)
    )


@caught_by("test_held_reservations_are_ordered_by_expiry")
class OrdersExpiryByTheSecond(Correct):
    list_reservations = listed_by(
        position=lambda reservation: (reservation.expires_at[:19], reservation.reservation_id)
    )


@caught_by("test_a_reservation_is_due_from_its_expiry_on")
class DueOnlyAfterwards(Correct):
    list_reservations = listed_by(passes=shifted("due_by", -1))


@caught_by("test_a_reservation_is_due_from_its_expiry_on")
class EveryReservationIsDue(Correct):
    list_reservations = listed_by(passes=without("due_by"))


@caught_by("test_a_list_has_the_reservations_that_match_its_filter")
class EndsAfterIsInclusive(Correct):
    list_reservations = listed_by(passes=shifted("ends_after", -1))


@caught_by("test_a_list_has_the_reservations_that_match_its_filter")
class ListsEveryReference(Correct):
    list_reservations = listed_by(passes=without("reference"))


@caught_by("test_a_list_has_the_reservations_that_match_its_filter")
class ListsByIdAndNotBySku(Correct):
    list_reservations = listed_by(
        passes=lambda reservation_filter, reservation: (
            without("key")(reservation_filter, reservation)
            and (
                reservation_filter.key is None
                or reservation_filter.key.item_id in [key.item_id for key in reservation.keys]
            )
        )
    )


@caught_by("test_a_list_has_the_reservations_that_match_its_filter")
class ListsTheFirstLineOnly(Correct):
    list_reservations = listed_by(
        passes=lambda reservation_filter, reservation: reservation_filter.matches(
            evolve(reservation, lines=reservation.lines[:1])
        )
    )


@caught_by("test_a_list_has_the_reservations_that_match_its_filter")
class ListsByItemOrReference(Correct):
    @staticmethod
    def passes(reservation_filter, reservation):
        both = reservation_filter.key and reservation_filter.reference
        parts = ("reference",) if both else ()
        return without(*parts)(reservation_filter, reservation)

    list_reservations = listed_by(passes=passes)


@caught_by("test_a_list_by_item_has_its_own_reservations_only")
class LooksAtTheOldestReservationsOnly(Correct):
    """Filters the 25 reservations that expire first."""

    def list_reservations(self, reservation_filter, page):
        if reservation_filter.key is None:
            return super().list_reservations(reservation_filter, page)
        first = super().list_reservations(
            evolve(reservation_filter, key=None), PageRequest(size=25)
        )
        return evolve(first, items=tuple(filter(reservation_filter.matches, first.items)))


class KeepsHolds(Correct):
    """Finds the reservations of an item by lines that are stored once."""

    def __init__(self):
        super().__init__()
        self.holds = {}

    def list_reservations(self, reservation_filter, page):
        return listed_by(passes=self.passes)(self, reservation_filter, page)

    def passes(self, reservation_filter, reservation):
        lines, expires_at = self.holds[reservation.reservation_id]
        seen = evolve(reservation, lines=lines) if reservation_filter.key else reservation
        if reservation_filter.key and reservation_filter.due_by:
            seen = evolve(seen, expires_at=expires_at)
        return reservation_filter.matches(seen)

    def store_reservations(self, change):
        super().store_reservations(change)
        for write in change.reservations:
            self.hold(write.after)

    def hold(self, reservation):
        hold = (reservation.lines, reservation.expires_at)
        self.holds.setdefault(reservation.reservation_id, hold)


@caught_by("test_a_list_by_item_follows_the_held_lines")
class KeepsCommittedLines(KeepsHolds):
    def hold(self, reservation):
        lines, _ = self.holds.get(reservation.reservation_id, (reservation.lines, None))
        self.holds[reservation.reservation_id] = (lines, reservation.expires_at)


@caught_by("test_a_list_by_item_follows_the_held_lines")
class KeepsTheFirstExpiry(KeepsHolds):
    def hold(self, reservation):
        _, expires_at = self.holds.get(reservation.reservation_id, (None, reservation.expires_at))
        self.holds[reservation.reservation_id] = (reservation.lines, expires_at)


@caught_by("test_closing_reservations_between_pages_hides_no_others")
class HeldCursorCountsRows(Correct):
    list_reservations = listed_by(rows=True)


@caught_by("test_a_list_of_reservations_takes_no_other_cursor")
class HeldCursorTakesAnotherFilter(Correct):
    def list_reservations(self, reservation_filter, page):
        if page.cursor is not None:
            for key, reference in itertools.product((None, an_item("a").key), (None, "order-1")):
                other = evolve(reservation_filter, key=key, reference=reference)
                with suppress(InvalidCursorError):
                    position = cursors.decode_reservation(other, page.cursor)
                    cursor = cursors.encode_reservation(reservation_filter, position)
                    page = evolve(page, cursor=cursor)
        return super().list_reservations(reservation_filter, page)


@caught_by("test_pages_of_every_size_contain_each_held_reservation_once")
class EqualExpiriesAreSkipped(Correct):
    def list_reservations(self, reservation_filter, page):
        if page.cursor is not None:
            [after, _] = cursors.decode_reservation(reservation_filter, page.cursor)
            last = (after, "~")
            page = evolve(page, cursor=cursors.encode_reservation(reservation_filter, last))
        return super().list_reservations(reservation_filter, page)


@caught_by("test_an_extension_changes_the_due_time")
class DueAtTheFirstExpiry(KeepsTheFirstExpiry):
    def passes(self, reservation_filter, reservation):
        _, expires_at = self.holds[reservation.reservation_id]
        return reservation_filter.matches(evolve(reservation, expires_at=expires_at))


@caught_by("test_discontinued_items_are_not_listed_as_low")
class ListsDiscontinuedAsLow(Correct):
    def list_items(self, item_filter, page):
        page = super().list_items(evolve(item_filter, low_stock=False), page)
        low = tuple(item for item in page.items if item.is_low or not item_filter.low_stock)
        return evolve(page, items=low)


# Idempotency records


@caught_by("test_a_key_is_used_once_until_its_record_expires")
class NeverChecksTheRecord(Correct):
    def check_idempotency_record(self, change):
        """Accept every key."""


@caught_by("test_a_key_is_used_once_until_its_record_expires")
class RecordsExpireASecondEarly(Correct):
    def is_in_force(self, stored, record):
        return stored.expires_at[:19] > record.stored_at[:19]


@caught_by("test_a_key_is_used_once_until_its_record_expires")
class LaterClocksWin(Correct):
    def is_in_force(self, stored, record):
        return stored.stored_at >= record.stored_at


@caught_by("test_an_expired_record_is_replaced")
class RecordsNeverExpire(Correct):
    def is_in_force(self, stored, record):
        return True


@caught_by("test_an_expired_record_is_replaced")
class RecordsExpireAnInstantLate(Correct):
    def is_in_force(self, stored, record):
        return stored.expires_at >= record.stored_at


@caught_by("test_an_expired_record_is_replaced")
class KeepsTheFirstRecord(Correct):
    def store_idempotency_record(self, change):
        record = change.idempotency_record
        if record:
            self._idempotency_records.setdefault(record.record_id, record)


@caught_by("test_a_duplicate_request_takes_precedence")
class ChecksItemsFirst(Correct):
    def check(self, change):
        self.check_items(change)
        super().check(change)


@caught_by("test_a_duplicate_request_takes_precedence")
class ChecksReservationsFirst(Correct):
    def check(self, change):
        self.check_reservations(change)
        super().check(change)


@caught_by("test_a_duplicate_request_takes_precedence")
class ChecksMovementsFirst(Correct):
    def check(self, change):
        self.check_movements(change)
        super().check(change)


@caught_by("test_an_expired_record_hides_no_conflict")
class ReplacesTheRecordFirst(Correct):
    def check(self, change):
        self.check_idempotency_record(change)
        self.store_idempotency_record(change)
        super().check(evolve(change, idempotency_record=None))


@caught_by("test_a_record_is_returned_as_it_was_stored")
class TruncatesLongAnswers(Correct):
    def get_idempotency_record(self, record_id):
        record = super().get_idempotency_record(record_id)
        if record is None or not hasattr(record.answer, "description"):
            return record
        answer = evolve(record.answer, description=record.answer.description[:65_536])
        return evolve(record, answer=answer)


@caught_by("test_each_key_has_its_own_record")
class KeysWithoutCase(Correct):
    def check_idempotency_record(self, change):
        used = {record_id.casefold() for record_id in self._idempotency_records}
        if change.idempotency_record and change.idempotency_record.record_id.casefold() in used:
            raise DuplicateRequestError


# Atomicity


def after_storing(check):
    """Return a check that runs after the other parts are stored."""

    def check_after_storing(self, change):
        part = check.removeprefix("check_")
        self.store(evolve(change, **{part: None if part == "idempotency_record" else ()}))
        getattr(Correct, check)(self, change)

    return check_after_storing


@caught_by("test_a_rejected_change_stores_nothing")
class ChecksItemsTooLate(Correct):
    check_items = after_storing("check_items")


@caught_by("test_a_rejected_change_stores_nothing")
class ChecksMovementsTooLate(Correct):
    check_movements = after_storing("check_movements")


@caught_by("test_a_rejected_change_stores_nothing")
class ChecksReservationsTooLate(Correct):
    check_reservations = after_storing("check_reservations")


@caught_by("test_a_rejected_change_stores_nothing")
class ChecksTheRecordTooLate(Correct):
    check_idempotency_record = after_storing("check_idempotency_record")


@caught_by("test_the_largest_changes_are_stored_completely")
class WritesTwentyFourItems(Correct):
    def store_items(self, change):
        super().store_items(evolve(change, items=change.items[:24], movements=()))


@caught_by("test_a_change_with_every_part_is_stored_completely")
class ForgetsTheRecordOfAReservation(Correct):
    def store_idempotency_record(self, change):
        if not change.reservations:
            super().store_idempotency_record(change)


@caught_by("test_a_change_that_is_sent_twice_is_stored_once")
class StoresRepeats(Correct):
    """Moves the items of a change again when the change is repeated."""

    def commit(self, change):
        with suppress(StaleReadError, DuplicateRequestError):
            return super().commit(change)
        for movement in change.movements:
            item = self._items[movement.key]
            level = evolve(item.level, seq=item.level.seq + 1)
            self._items[movement.key] = evolve(item, level=level)
        return None


# Purges


def purging(*, expired, closed):
    """Return a purge of the rows that *expired* and *closed* select."""

    def purge(self, at):
        record_ids = [
            record.record_id for record in self._idempotency_records.values() if expired(record, at)
        ]
        reservation_ids = [
            reservation.reservation_id
            for reservation in self._reservations.values()
            if closed(reservation, at)
        ]
        for record_id in record_ids:
            del self._idempotency_records[record_id]
        for reservation_id in reservation_ids:
            del self._reservations[reservation_id]
        return len(record_ids) + len(reservation_ids)

    return purge


def has_expired(record, at):
    return record.expires_at <= at


def is_closed_long_ago(reservation, at):
    return reservation.closed_at is not None and reservation.closed_at <= retention_cutoff(at)


@caught_by("test_a_purge_deletes_expired_records_and_old_reservations")
class PurgesRecordsAnInstantLate(Correct):
    purge = purging(expired=lambda record, at: record.expires_at < at, closed=is_closed_long_ago)


@caught_by("test_a_purge_deletes_expired_records_and_old_reservations")
class PurgesRecordsByTheSecond(Correct):
    purge = purging(
        expired=lambda record, at: record.expires_at[:19] <= at[:19], closed=is_closed_long_ago
    )


@caught_by("test_a_purge_deletes_expired_records_and_old_reservations")
class PurgesReservationsAtOnce(Correct):
    purge = purging(
        expired=has_expired,
        closed=lambda reservation, at: (
            reservation.closed_at is not None and reservation.closed_at <= at
        ),
    )


@caught_by("test_a_purge_deletes_expired_records_and_old_reservations")
class PurgesReservationsByWhenTheyExpired(Correct):
    purge = purging(
        expired=has_expired,
        closed=lambda reservation, at: (
            not is_held(reservation) and reservation.expires_at <= retention_cutoff(at)
        ),
    )


@caught_by("test_a_purge_deletes_expired_records_and_old_reservations")
class PurgesReservationsOfOneState(Correct):
    purge = purging(
        expired=has_expired,
        closed=lambda reservation, at: (
            reservation.state is ReservationState.EXPIRED and is_closed_long_ago(reservation, at)
        ),
    )


@caught_by("test_a_purge_deletes_any_number_of_rows")
class PurgesOneBatch(Correct):
    def purge(self, at):
        records = [*self._idempotency_records.items()]
        self._idempotency_records = dict(records[:500])
        deleted = super().purge(at)
        self._idempotency_records |= records[500:]
        return deleted


@caught_by("test_a_purge_deletes_nothing_else")
class PurgesHeldReservations(Correct):
    purge = purging(
        expired=has_expired,
        closed=lambda reservation, at: reservation.expires_at <= retention_cutoff(at),
    )


@caught_by("test_a_purge_deletes_nothing_else")
class PurgesTheLedger(Correct):
    def purge(self, at):
        deleted = super().purge(at)
        self._movements.clear()
        return deleted


@caught_by("test_a_purge_deletes_expired_records_and_old_reservations")
class PurgesWithoutCounting(Correct):
    def purge(self, at):
        super().purge(at)
        return 0


# Concurrency


def racing(check):
    """Return a check that lets other threads check before it returns."""

    def checks_and_waits(self, change):
        getattr(Correct, check)(self, change)
        self._lock.release()
        sleep(0.01)
        self._lock.acquire()

    return checks_and_waits


@caught_by("test_one_of_many_concurrent_repeats_has_an_effect")
class StoresTwoRecordsInARace(Correct):
    check_idempotency_record = racing("check_idempotency_record")


@caught_by("test_the_last_unit_is_reserved_once")
class OversellsInARace(Correct):
    """Also checks movements too early, or a used seq would reveal the bug."""

    check_items = racing("check_items")
    check_movements = racing("check_movements")


@caught_by("test_one_of_many_concurrent_deletions_succeeds")
@caught_by("test_a_deletion_and_a_reservation_do_not_both_succeed")
class DeletesInARace(Correct):
    check_items = racing("check_items")
    check_movements = racing("check_movements")


@caught_by("test_a_reservation_is_closed_once")
class ClosesTwiceInARace(Correct):
    check_reservations = racing("check_reservations")


# Snapshots

SNAPSHOTS = []


def snapshots_caught_by(test):
    """Register the bug below, which must fail *test* of the contract of snapshots."""

    def plant(bug):
        SNAPSHOTS.append(pytest.param(bug, test, id=bug.__name__))
        return bug

    return plant


@snapshots_caught_by("test_a_snapshot_has_every_record")
class CopiesNoIdempotencyRecords(Correct):
    def _records(self):
        return [each for each in super()._records() if not isinstance(each, IdempotencyRecord)]


@snapshots_caught_by("test_a_snapshot_has_every_record")
class CopiesNoLedgersOfDeletedItems(Correct):
    def _records(self):
        return [
            each
            for each in super()._records()
            if not isinstance(each, Movement) or each.key in self._items
        ]


@snapshots_caught_by("test_a_snapshot_has_every_record")
class CopiesOnlyOpenReservations(Correct):
    def _records(self):
        return [each for each in super()._records() if getattr(each, "closed_at", None) is None]


@snapshots_caught_by("test_a_snapshot_ends_with_the_reservations")
class CopiesReservationsFirst(Correct):
    def _records(self):
        return sorted(super()._records(), key=lambda each: not isinstance(each, Reservation))


class RestoresOtherwise(Correct):
    """Changes the records that it stores."""

    def restore(self, records):
        super().restore([self.changed(record) for record in records])


@snapshots_caught_by("test_a_copy_has_every_record")
class RestoresWithoutActors(RestoresOtherwise):
    def changed(self, record):
        return evolve(record, changed_by=None) if isinstance(record, Item) else record


@snapshots_caught_by("test_a_copy_has_every_record")
class RestoresAtAnotherTime(RestoresOtherwise):
    def changed(self, record):
        return (
            evolve(record, recorded_at=record.recorded_at.plus(1))
            if isinstance(record, Movement)
            else record
        )


@snapshots_caught_by("test_a_copied_repository_continues")
class RestoresTheFirstRevision(RestoresOtherwise):
    def changed(self, record):
        return evolve(record, revision=1) if isinstance(record, Reservation) else record


@snapshots_caught_by("test_a_record_that_is_there_is_replaced")
class RestoresWhatIsMissing(Correct):
    def restore(self, records):
        super().restore(
            [each for each in records if not (isinstance(each, Item) and each.key in self._items)]
        )


@snapshots_caught_by("test_the_mark_stays_until_the_end")
@snapshots_caught_by("test_a_copy_continues_after_an_interruption")
class StartsOnce(Correct):
    def start_restore(self, restore_id):
        if self._restore_id is not None:
            raise TargetNotEmptyError
        super().start_restore(restore_id)


@snapshots_caught_by("test_the_mark_stays_until_the_end")
class TakesAnyMark(Correct):
    def start_restore(self, restore_id):
        super().start_restore(self._restore_id or restore_id)


@snapshots_caught_by("test_the_mark_stays_until_the_end")
class KeepsTheMark(Correct):
    def finish_restore(self):
        pass


@snapshots_caught_by("test_a_target_with_data_is_refused")
class LooksForItemsOnly(Correct):
    def start_restore(self, restore_id):
        if self._items and self._restore_id != restore_id:
            raise TargetNotEmptyError
        self._restore_id = restore_id


@snapshots_caught_by("test_a_target_with_data_is_refused")
class RestoresWithoutAMark(Correct):
    def restore(self, records):
        mark, self._restore_id = self._restore_id, "none"
        super().restore(records)
        self._restore_id = mark


def cases(test):
    """Yield the arguments of each case of *test*, as pytest would."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    for chosen in itertools.product(*(mark.args[1] for mark in marks)):
        arguments = {}
        for mark, case in zip(marks, chosen, strict=True):
            names = mark.args[0]
            if isinstance(case, ParameterSet):
                arguments |= zip(
                    [names] if isinstance(names, str) else names, case.values, strict=True
                )
            elif isinstance(names, str):
                arguments[names] = case
            else:
                arguments |= zip(names, case, strict=True)
        yield arguments


# Errors that a repository may raise. Any other exception is a fault of the planted bug itself, and ends the test.
PORT_ERRORS = (InventoryError, SnapshotError, StaleReadError, DuplicateRequestError)


def fails(test, repository_type, contract=RepositoryContract):
    """Return whether any case of *test* fails on a new repository."""
    function = getattr(contract, test)
    fixtures = {"repository", "shared", "target"} & set(inspect.signature(function).parameters)
    for arguments in cases(function):
        repositories = {fixture: repository_type() for fixture in fixtures}
        try:
            function(contract(), **repositories, **arguments)
        except (AssertionError, *PORT_ERRORS, pytest.fail.Exception):
            return True
    return False


TESTS = [
    name
    for name in dir(RepositoryContract)
    # Only the repository itself can write its rows in memory.
    if name.startswith("test_") and name not in vars(UnreadableRowsContract)
]


@pytest.mark.parametrize("test", TESTS)
def test_the_repository_without_a_bug_passes(test):
    """The repository that the bugs are planted in is correct."""
    assert not fails(test, Correct)


@pytest.mark.parametrize(("bug", "test"), PLANTED)
def test_a_planted_bug_is_found(bug, test):
    """A bug that breaks a guarantee fails the test of that guarantee."""
    assert fails(test, bug)


class WithoutRollback(Correct):
    """Excludes other threads, but never rolls back."""

    def exclusive(self):
        return self._lock


class NotExclusive(Correct):
    """Gives no exclusive access at all."""

    def exclusive(self):
        return nullcontext()


class CallsInTheBlock(Correct):
    """Calls as if there were no block, before the writes are stored."""

    def exclusive(self):
        return nullcontext()

    def once_stored(self, call):
        call()


class CallsAfterAnError(Correct):
    """Calls at the end of a block, whether or not its writes were stored."""

    def __init__(self):
        super().__init__()
        self.depth, self.calls = 0, []

    @contextmanager
    def exclusive(self):
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            while self.calls and not self.depth:
                self.calls.pop(0)()

    def once_stored(self, call):
        if self.depth:
            self.calls.append(call)
        else:
            call()


class RollsBackOnConflict(WithoutRollback):
    """Rolls back earlier writes of the block on a conflict."""

    def commit(self, change):
        try:
            super().commit(change)
        except StaleReadError:
            self._items.clear()
            raise


@pytest.mark.parametrize(
    ("bug", "test"),
    [
        (NotExclusive, "test_the_block_reads_its_own_writes"),
        (NotExclusive, "test_other_threads_do_not_write_meanwhile"),
        (RollsBackOnConflict, "test_a_rejected_write_leaves_the_other_writes"),
        (CallsInTheBlock, "test_calls_wait_until_the_writes_are_stored"),
        (CallsAfterAnError, "test_calls_wait_until_the_writes_are_stored"),
        (WithoutRollback, "test_an_error_rolls_back_the_block"),
        (WithoutRollback, "test_a_nested_block_is_part_of_the_outer_one"),
    ],
)
def test_a_bug_of_exclusive_access_is_found(bug, test):
    """A bug that breaks a guarantee fails the test of that guarantee."""
    assert fails(test, bug, ExclusiveContract)


@pytest.mark.parametrize(("bug", "test"), SNAPSHOTS)
def test_a_bug_of_snapshots_is_found(bug, test):
    """A bug that breaks a guarantee fails the test of that guarantee."""
    assert fails(test, bug, SnapshotContract)


@pytest.mark.parametrize("test", sorted({bug.values[1] for bug in SNAPSHOTS}))
def test_snapshots_without_a_bug_pass(test):
    """The repository that the bugs are planted in is correct."""
    assert not fails(test, Correct, SnapshotContract)
