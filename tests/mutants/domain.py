"""Planted bugs of the domain: rules, use cases, retries, idempotency, upkeep."""

import math
from datetime import timedelta

import attrs

from inventory import (
    backoff,
    batch,
    edits,
    idempotency,
    items,
    lookup,
    paging,
    reconcile,
    reservations,
    retry,
    stock,
    timeouts,
    upkeep,
    validation,
)
from inventory.errors import InventoryError
from inventory.idempotency import IdempotencyKey
from inventory.items import Item, StockLevel, Timestamp
from inventory.paging import Page, PageLimits
from inventory.ports import ItemFilter
from inventory.preconditions import IfMatch
from inventory.reservations import Reservation
from inventory.retry import Executor
from inventory.service import Inventory
from tests.mutants.planting import noticed_by, replace, wrap

SERVICE = "tests/domain/test_service.py"
RESERVATIONS = "tests/domain/test_reservations.py"
SHORT_PAGES = "tests/test_short_pages.py"
DEADLINES = "tests/test_deadlines.py"


# Pages


@noticed_by(SHORT_PAGES)
def an_empty_page_ends_a_walk(patch):
    def pages(original, read, **size):
        for page in original(read, **size):
            if not page.items:
                return
            yield page

    wrap(patch, paging, "iter_pages", pages)


@noticed_by(SHORT_PAGES)
def a_short_page_ends_a_walk(patch):
    def pages(original, read, *, size=100):
        for page in original(read, size=size):
            yield page
            if 0 < len(page.items) < size:
                return

    wrap(patch, paging, "iter_pages", pages)


@noticed_by(SERVICE)
def a_page_may_be_larger_than_the_maximum(patch):
    patch.setattr(
        PageLimits, "page_size", lambda self, requested: requested or self.default_page_size
    )


@noticed_by(SHORT_PAGES)
def a_ledger_ends_with_its_first_empty_page(patch):
    def listed(original, inventory, query):
        page = original(inventory, query)
        return page if page.items else Page(items=())

    wrap(patch, Inventory, "list_movements", listed)


# Items and stock


@noticed_by("tests/domain/test_items.py")
def status_does_not_follow_stock(patch):
    patch.setattr(Item, "moved", lambda self, level, **_: attrs.evolve(self, level=level))


@noticed_by("tests/domain/test_items.py")
def a_movement_revives_a_discontinued_item(patch):
    def moved(original, item, level, **rest):
        after = original(item, level, **rest)
        revived = item.status == items.DISCONTINUED and level.available > 0
        return attrs.evolve(after, status=items.AVAILABLE) if revived else after

    wrap(patch, Item, "moved", moved)


@noticed_by("tests/domain/test_items.py")
def reserved_units_are_available(patch):
    patch.setattr(StockLevel, "available", property(lambda self: self.on_hand))


@noticed_by("tests/domain/test_items.py")
def times_have_milliseconds(patch):
    def of(_original, at):
        return original(at.replace(microsecond=at.microsecond // 1000 * 1000))

    original = Timestamp.of
    patch.setattr(Timestamp, "of", classmethod(lambda _cls, at: of(original, at)))


@noticed_by("tests/domain/test_stock.py")
def a_sale_may_take_reserved_units(patch):
    def adjust(original, item, delta, **cause):
        free = attrs.evolve(item, level=attrs.evolve(item.level, reserved=0))
        change = original(free, delta, **cause)
        return attrs.evolve(change, before=item)

    wrap(patch, stock, "adjust", adjust)


@noticed_by("tests/domain/test_stock.py")
def a_delivery_may_exceed_the_maximum(patch):
    patch.setattr(stock, "MAX_QUANTITY", 10**12)


@noticed_by(RESERVATIONS)
def a_transfer_forgets_its_reference(patch):
    def transfer(original, *args, reference=None, **rest):
        return original(*args, **rest)

    wrap(patch, stock, "transfer", transfer)


@noticed_by("tests/domain/test_stock.py")
def a_deleted_item_keeps_its_balance_in_the_ledger(patch):
    def delete(original, item, **rest):
        return attrs.evolve(original(item, **rest), on_hand=item.level.on_hand)

    wrap(patch, stock, "delete", delete)


@noticed_by(SERVICE)
def a_quantity_in_an_update_writes_no_movement(patch):
    def update(original, item, command, **rest):
        after, _ = original(item, command, **rest)
        return after, ()

    wrap(patch, edits, "update", update)


@noticed_by(SERVICE)
def a_precondition_of_a_deletion_ignores_movements(patch):
    wrap(
        patch,
        edits,
        "require_match",
        lambda original, tags, item, **_: original(tags, item, with_stock=False),
    )


@noticed_by("tests/domain/test_preconditions.py")
def a_weak_tag_matches(patch):
    parse = IfMatch.parse
    patch.setattr(
        IfMatch, "parse", classmethod(lambda _cls, header: parse(header.replace("W/", "")))
    )


# Validation and look-ups


@noticed_by("tests/domain/test_validation.py")
def lines_are_stored_in_any_unicode_form(patch):
    replace(patch, validation.normalized, str.strip)


@noticed_by("tests/domain/test_lookup.py")
def filters_find_only_the_exact_text(patch):
    patch.setattr(ItemFilter, "normalized", property(lambda self: self))


@noticed_by("tests/domain/test_lookup.py")
def a_history_is_found_only_by_its_exact_key(patch):
    replace(patch, lookup.history_key, lambda _repository, key: key)


@noticed_by(RESERVATIONS)
def an_invalid_row_of_an_atomic_batch_is_found_late(patch):
    replace(patch, batch.check_valid, lambda _rows: None)


@noticed_by(RESERVATIONS)
def rows_of_a_batch_share_the_key_of_the_batch(patch):
    patch.setattr(IdempotencyKey, "for_row", lambda self, _index: self)


# Reservations and upkeep


@noticed_by(RESERVATIONS)
def an_expired_reservation_is_shown_as_held(patch):
    patch.setattr(Reservation, "state_at", lambda self, _at: self.state)


@noticed_by(RESERVATIONS)
def a_reservation_can_be_extended_for_ever(patch):
    patch.setattr(reservations, "MAX_SECONDS", 10**9)


@noticed_by("tests/domain/test_far_reservations.py")
def a_far_reservation_has_no_day_of_grace(patch):
    patch.setattr(reservations, "FAR_SECONDS", reservations.MAX_SECONDS)


@noticed_by("tests/domain/test_far_reservations.py")
def an_ordinary_sweep_expires_far_reservations(patch):
    def expire(original, inventory, command, **rest):
        return original(inventory, attrs.evolve(command, far=True), **rest)

    wrap(patch, Inventory, "expire_reservations", expire)


class Listed:
    """A repository whose reads of reservations return what its lists have returned."""

    def __init__(self, repository):
        self._repository = repository
        self._listed = {}

    def __getattr__(self, name):
        return getattr(self._repository, name)

    def list_reservations(self, *query):
        page = self._repository.list_reservations(*query)
        self._listed |= {each.reservation_id: each for each in page.items}
        return page

    def get_reservations(self, reservation_ids):
        return tuple(self._listed[each] for each in reservation_ids)


@noticed_by(RESERVATIONS)
def a_sweep_trusts_its_list(patch):
    def expire(original, inventory, command, **rest):
        listed = attrs.evolve(inventory, repository=Listed(inventory.repository))
        return original(listed, command, **rest)

    wrap(patch, Inventory, "expire_reservations", expire)


@noticed_by(RESERVATIONS)
def one_failed_expiry_fails_its_whole_group(patch):
    def expire(original, repository, command, expire, **rest):
        def all_or_none(group):
            try:
                return expire(group)
            except InventoryError:
                return 0

        return original(repository, command, all_or_none, **rest)

    wrap(patch, upkeep, "expire_all", expire)


@noticed_by("tests/domain/test_sweeps.py::test_the_sweeper_is_the_actor_of_every_expiry")
def an_expiry_has_no_actor(patch):
    patch.setattr(upkeep, "SWEEPER", None)


@noticed_by(DEADLINES)
def a_sweep_ignores_its_deadline(patch):
    patch.setattr(upkeep, "time_left", lambda: math.inf)


@noticed_by(RESERVATIONS)
def reconcile_reads_the_reservations_before_the_item(patch):
    def examine(original, repository, key, reservations):
        current = reservations()
        return original(repository, key, lambda: current)

    wrap(patch, reconcile, "examine_item", examine)


@noticed_by("tests/cli/test_main.py::TestReconcile")
def reconcile_corrects_an_item_with_an_unreadable_movement(patch):
    def examine(original, *args):
        examined = original(*args)
        return attrs.evolve(examined, can_be_corrected=examined.drift is not None)

    wrap(patch, reconcile, "examine_item", examine)


@noticed_by("tests/domain/test_reconcile.py")
def a_correction_sets_reserved_above_on_hand(patch):
    def correct(original, item, drift, **rest):
        change = original(item, drift, **rest)
        movement = attrs.evolve(change.movement, reserved=drift.held)
        return attrs.evolve(change, movement=movement)

    wrap(patch, reconcile, "correct", correct)


# Retries and idempotency


@noticed_by(SERVICE)
def contention_ignores_the_deadline(patch):
    patch.setattr(retry, "time_left", lambda: math.inf)


@noticed_by(SERVICE)
def an_inner_deadline_extends_an_outer_one(patch):
    class Later(timeouts.deadline(0).__class__):
        def __enter__(self):
            ends_at = timeouts._ends_at
            self._token = ends_at.set(timeouts.monotonic() + self._seconds)

    replace(patch, timeouts.deadline, Later)


@noticed_by("tests/client/test_client.py::TestPauses")
def pauses_have_no_jitter(patch):
    replace(patch, backoff.full_jitter, lambda longest: longest)


@noticed_by(RESERVATIONS)
def a_key_is_kept_for_less_than_a_day(patch):
    patch.setattr(idempotency, "RETENTION_SECONDS", 23 * 60 * 60)


@noticed_by(RESERVATIONS)
def a_key_never_expires(patch):
    def of(key, request, answer, *, at):
        later = Timestamp.of(at.as_datetime() + timedelta(days=3650))
        return attrs.evolve(original(key, request, answer, at=at), expires_at=later)

    original = idempotency.IdempotencyRecord.of
    patch.setattr(idempotency.IdempotencyRecord, "of", staticmethod(of))


@noticed_by("tests/domain/test_idempotency.py")
def a_fingerprint_has_only_the_operation(patch):
    replace(patch, idempotency.fingerprint, lambda command: type(command).__name__)


@noticed_by("tests/domain/test_idempotency.py")
def callers_share_their_keys(patch):
    record_id = IdempotencyKey.record_id.fget
    patch.setattr(
        IdempotencyKey, "record_id", property(lambda self: record_id(attrs.evolve(self, scope="")))
    )


@noticed_by("tests/domain/test_idempotency.py")
def scope_and_key_are_joined_without_a_border(patch):
    patch.setattr(
        IdempotencyKey, "record_id", property(lambda self: f"{self.scope}{self.value}{self.row}")
    )


@noticed_by(RESERVATIONS)
def a_replay_is_not_marked(patch):
    def execute(original, executor, command, decide):
        answer = original(executor, command, decide)
        if getattr(command, "idempotency_key", None) is not None:
            command.idempotency_key.replayed = False
        return answer

    wrap(patch, Executor, "execute", execute)


@noticed_by(RESERVATIONS)
def a_failed_request_uses_its_key(patch):
    def execute(original, executor, command, decide):
        try:
            return original(executor, command, decide)
        except Exception:
            if key := getattr(command, "idempotency_key", None):
                request = idempotency.fingerprint(command)
                record = idempotency.IdempotencyRecord.of(key, request, None, at=executor.now())
                executor.repository._idempotency_records[record.record_id] = record
            raise

    wrap(patch, Executor, "execute", execute)
