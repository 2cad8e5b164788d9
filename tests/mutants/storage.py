"""Planted bugs of the repositories, which the contract alone must notice where it promises the opposite."""

import math
from contextlib import nullcontext

import attrs

from inventory import validation
from inventory.items import Item, Timestamp
from inventory_adapters.storage import cursors
from inventory_adapters.storage.dynamodb import calls, rows, schema
from inventory_adapters.storage.dynamodb.calls import Calls
from inventory_adapters.storage.dynamodb.lists import Budget
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository, connections, transactions
from inventory_adapters.storage.sqlite.open_files import OpenFiles
from tests.mutants.planting import noticed_by, replace, wrap

MEMORY = "tests/storage/test_memory.py"
SQLITE = "tests/storage/test_sqlite.py::TestSqliteRepository"
EXCLUSIVE = "tests/storage/test_sqlite.py::TestExclusive"
DYNAMODB = "tests/storage/test_dynamodb.py::TestContract"


# All of them


@noticed_by(f"{SQLITE}::test_a_cursor_of_another_ledger_is_rejected")
def a_cursor_fits_every_query(patch):
    replace(patch, cursors.fingerprint, lambda *_query: "0" * 16)


@noticed_by(f"{MEMORY}::TestMemoryRepository::test_discontinued_items_are_not_listed_as_low")
def a_low_item_is_listed_although_discontinued(patch):
    patch.setattr(Item, "needs_reorder", Item.is_low)


@noticed_by(MEMORY)
def an_edit_may_change_the_level(patch):
    def edited(original, item, fields, *, at):
        after = original(item, fields, at=at)
        return attrs.evolve(after, level=attrs.evolve(after.level, seq=after.level.seq + 1))

    wrap(patch, Item, "edited", edited)


# Memory


@noticed_by(MEMORY)
def a_reservation_is_due_after_its_expiry_only(patch):
    def listed(original, repository, reservation_filter, page):
        due_by = reservation_filter.due_by and Timestamp(reservation_filter.due_by[:19])
        return original(repository, attrs.evolve(reservation_filter, due_by=due_by), page)

    wrap(patch, MemoryRepository, "list_reservations", listed)


@noticed_by(MEMORY)
def a_search_compares_case(patch):
    replace(patch, validation.folded, str)


@noticed_by(MEMORY)
def the_first_movement_is_the_last(patch):
    def first(_original, repository, key):
        history = repository._movements.get(key)
        return history[max(history)] if history else None

    wrap(patch, MemoryRepository, "first_movement", first)


@noticed_by(MEMORY)
def the_ledger_goes_with_its_item(patch):
    def commit(original, repository, change):
        original(repository, change)
        for write in change.items:
            if write.after is None:
                repository._movements.pop(write.key, None)

    wrap(patch, MemoryRepository, "commit", commit)


# SQLite


@noticed_by(SQLITE)
def an_extended_reservation_is_closed_by_a_stale_write(patch):
    def current(repository, write):
        stored = repository.get_reservation(write.after.reservation_id)
        return write if None in (stored, write.before) else attrs.evolve(write, before=stored)

    def commit(original, repository, change):
        writes = tuple(current(repository, write) for write in change.reservations)
        return original(repository, attrs.evolve(change, reservations=writes))

    wrap(patch, SqliteRepository, "commit", commit)


@noticed_by(f"{SQLITE}::test_a_full_page_of_movements_always_has_a_cursor")
def a_full_last_page_of_a_ledger_has_no_cursor(patch):
    def listed(original, repository, *query):
        found = original(repository, *query)
        ends = found.items and found.items[-1].seq == 1
        return attrs.evolve(found, next_cursor=None) if ends else found

    wrap(patch, SqliteRepository, "list_movements", listed)


@noticed_by(EXCLUSIVE)
def a_rejected_part_of_a_group_is_half_stored(patch):
    replace(patch, transactions.savepoint, lambda _db: nullcontext())


@noticed_by("tests/storage/test_sqlite.py::TestFile")
def an_acknowledged_write_waits_for_no_disk(patch):
    wrap(patch, connections, "open_writer", lambda original, path, _: original(path, "normal"))


@noticed_by("tests/storage/test_sqlite.py::TestReplacedFile")
def a_replaced_file_is_written_to(patch):
    patch.setattr(OpenFiles, "check_all", lambda _self: None)
    patch.setattr(OpenFiles, "check_main", lambda _self: None)


@noticed_by("tests/storage/test_sqlite.py::TestTrouble")
def a_writer_waits_longer_than_its_request_has_time(patch):
    for name in ("transactions", "repository"):
        module = __import__(f"inventory_adapters.storage.sqlite.{name}", fromlist=["*"])
        patch.setattr(module, "time_left", lambda: math.inf)


# DynamoDB


def calling(patch, around):
    """Wrap every call to DynamoDB: ``around(call, operation, request)``."""

    def called(original, self, operation, /, **request):
        return around(lambda **changed: original(self, operation, **changed), operation, request)

    wrap(patch, Calls, "__call__", called)


@noticed_by(f"{DYNAMODB}::test_a_key_is_created_only_once")
def a_read_of_one_row_may_be_stale(patch):
    def call(send, operation, request):
        if operation == "GetItem":
            request["ConsistentRead"] = False
        return send(**request)

    calling(patch, call)


@noticed_by(f"{DYNAMODB}::test_the_newest_movement_comes_first")
def the_ledger_may_be_stale(patch):
    def call(send, operation, request):
        if operation == "Query" and "IndexName" not in request:
            request["ConsistentRead"] = False
        return send(**request)

    calling(patch, call)


@noticed_by(f"{DYNAMODB}::test_get_items_returns_each_existing_item_once")
def a_batch_read_may_be_stale(patch):
    def call(send, operation, request):
        if operation == "BatchGetItem":
            for table in request["RequestItems"].values():
                table["ConsistentRead"] = False
        return send(**request)

    calling(patch, call)


@noticed_by("tests/storage/test_dynamodb.py::TestTokens")
def every_transaction_has_the_same_token(patch):
    def call(send, operation, request):
        if operation == "TransactWriteItems":
            request["ClientRequestToken"] = "constant"
        return send(**request)

    calling(patch, call)


@noticed_by("tests/storage/test_dynamodb.py::TestTokens")
def a_transaction_has_no_token(patch):
    def call(send, operation, request):
        request.pop("ClientRequestToken", None)
        return send(**request)

    calling(patch, call)


@noticed_by("tests/storage/test_dynamodb.py::TestFailures")
def unprocessed_keys_are_dropped(patch):
    def call(send, operation, request):
        return send(**request) | ({"UnprocessedKeys": {}} if operation == "BatchGetItem" else {})

    calling(patch, call)


@noticed_by("tests/storage/test_dynamodb.py::TestLostAnswers")
def our_own_write_is_not_recognized(patch):
    replace(patch, rows.was_written_by, lambda _row, _write_id: False)


@noticed_by("tests/storage/test_dynamodb.py::TestCosts")
def a_page_of_a_list_has_no_budget(patch):
    patch.setattr(Budget, "is_spent", property(lambda _self: False))


@noticed_by("tests/storage/test_dynamodb.py::TestDeadline::test_no_call_begins_after_the_deadline")
def calls_begin_after_the_deadline(patch):
    patch.setattr(calls, "time_left", lambda: math.inf)


@noticed_by("tests/storage/test_dynamodb_ledger.py::TestRows")
def ttl_deletes_held_reservations(patch):
    def to_row(original, reservation):
        row = original(reservation)
        return {schema.LEDGER.time_to_live: rows.number(0)} | row

    wrap(patch, rows, "reservation_to_row", to_row)
