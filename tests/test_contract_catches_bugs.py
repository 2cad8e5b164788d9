"""The contract is tested too: each bug below, planted in the reference repository, must make the right tests fail."""

import inspect
import itertools
from contextlib import suppress
from time import sleep

import pytest
from attrs import evolve

from inventory.errors import InvalidCursorError, StaleReadError
from inventory.paging import Page
from inventory_adapters.storage import cursors
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import RepositoryContract

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


class Correct(MemoryRepository):
    """The reference repository, cut into the parts that bugs replace."""

    still = staticmethod(still)

    def check(self, change):
        for write in change.items:
            if not self.still(self._items.get(write.key), write.before):
                raise StaleReadError

    def commit(self, change):
        with self._lock:
            self.check(change)
            for write in change.items:
                self._items[write.key] = write.after

    def place(self, wanted, item):
        return wanted.position(item)

    def passing(self, wanted):
        return [item for item in self._items.values() if wanted.passes(item)]

    def after(self, wanted, token):
        return cursors.decode_item(wanted, token)

    def list_items(self, wanted, page):
        after = self.after(wanted, page.cursor) if page.cursor else ()
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


@caught_by("test_an_equal_level_with_another_past_is_not_the_same")
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
            self.check(evolve(change, items=(write,)))
            self._items[write.key] = write.after


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

    def delete_item(self, key, *, tags=None):
        self.ghosts[key] = super().delete_item(key, tags=tags)
        return self.ghosts[key]

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


@caught_by("test_an_item_with_reserved_units_stays")
class DeleteIgnoresReserved(Correct):
    def delete_item(self, key, *, tags=None):
        with suppress(StaleReadError):
            return super().delete_item(key, tags=tags)
        item = self._items.get(key)
        if item is None or tags is not None:
            raise StaleReadError(item)
        return self._items.pop(key)


@caught_by("test_a_delete_of_another_state_is_refused")
class DeleteComparesTheVersionAlone(Correct):
    def delete_item(self, key, *, tags=None):
        item = self._items.get(key)
        if item and tags:
            tags = frozenset((version, item.level.seq) for version, _ in tags)
        return super().delete_item(key, tags=tags)


@caught_by("test_a_delete_of_another_state_is_refused")
class DeleteTakesNoTagsForAnyTag(Correct):
    def delete_item(self, key, *, tags=None):
        return super().delete_item(key, tags=tags or None)


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
        token.encode("ascii")
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
            write.key for write in change.items if write.before is None and write.after.is_low
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
            item = self._items[movement.key]
            self._items[movement.key] = evolve(item, updated_at=movement.recorded_at)


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


def fails(test, repository_type):
    """Tell whether any case of the contract's *test* fails on a fresh repository."""
    function = getattr(RepositoryContract, test)
    [fixture] = {"repository", "shared"} & set(inspect.signature(function).parameters)
    for arguments in cases(function):
        try:
            function(RepositoryContract(), **{fixture: repository_type()}, **arguments)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - a crash is noticed as well
            return True
    return False


TESTS = [name for name in dir(RepositoryContract) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
def test_the_repository_without_a_bug_passes(test):
    """What the bugs are planted in is correct."""
    assert not fails(test, Correct)


@pytest.mark.parametrize(("bug", "test"), PLANTED)
def test_a_planted_bug_is_noticed(bug, test):
    """The test that is about the very guarantee that a bug breaks fails for it."""
    assert fails(test, bug)
