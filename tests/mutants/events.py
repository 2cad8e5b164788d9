"""Planted bugs of events, webhooks and the publisher."""

import attrs

from inventory import events, stock
from inventory_adapters.events import cloud_events, eventbridge, webhooks
from inventory_adapters.events.webhooks import Outcome
from inventory_adapters.storage.sqlite import outbox
from inventory_adapters.storage.sqlite.outbox import Outbox
from inventory_adapters.storage.sqlite.repository import SqliteRepository
from tests.mutants.planting import noticed_by, wrap

EVENTS = "tests/domain/test_events.py"
WEBHOOKS = "tests/server/test_webhooks.py"
STREAMS = "tests/storage/test_event_streams.py"


@noticed_by(f"{EVENTS}::test_each_threshold_makes_one_event")
def every_sale_of_a_low_item_is_a_crossing(patch):
    def crossings(original, before, after):
        return "low" if after.needs_reorder else original(before, after)

    wrap(patch, stock, "crossings", crossings)


@noticed_by(f"{EVENTS}::test_an_update_tells_what_it_changed")
def a_reorder_point_crosses_nothing(patch):
    def crossings(original, before, after):
        return original(attrs.evolve(before, reorder_point=after.reorder_point), after)

    wrap(patch, stock, "crossings", crossings)


@noticed_by(f"{EVENTS}::test_the_details_that_differ_are_named")
def every_detail_is_named_as_changed(patch):
    def changed(_original, _before, after):
        return tuple(sorted(attrs.asdict(after, recurse=False)))

    wrap(patch, events, "_changed", changed)


@noticed_by(f"{EVENTS}::test_a_follower_rebuilds_every_history")
def an_extension_has_the_id_of_the_opening(patch):
    def events_of_reservation(original, before, after):
        return original(before, attrs.evolve(after, revision=1) if before else after)

    wrap(patch, events, "events_of_reservation", events_of_reservation)


@noticed_by(f"{EVENTS}::test_what_on_event_raises_is_logged")
def an_error_of_on_event_reaches_the_caller(patch):
    def call_with(_original, on_event, received):
        for event in received:
            on_event(event)

    wrap(patch, events, "call_with", call_with)


@noticed_by(
    f"{EVENTS}::test_events_of_an_exclusive_block_come_after_it",
    "tests/storage/test_sqlite.py::TestExclusive",
)
def events_of_a_block_come_at_once(patch):
    patch.setattr(SqliteRepository, "once_stored", lambda _self, call: call())


@noticed_by(f"{EVENTS}::test_a_follower_rebuilds_every_history_from_the_outbox")
def the_seq_of_an_item_is_the_one_before(patch):
    def data(original, event):
        wire = original(event)
        return {**wire, "seq": wire["seq"] - 1} if "item" in wire else wire

    wrap(patch, cloud_events, "_data", data)


@noticed_by(f"{WEBHOOKS}::TestDelivery::test_an_unreachable_sink_gets_the_same_batch_again")
def a_retry_sends_what_has_come_meanwhile(patch):
    def pending(original, box, sink):
        return original(box, attrs.evolve(sink, batch_end=None))

    wrap(patch, Outbox, "pending", pending)


@noticed_by(
    f"{WEBHOOKS}::TestDelivery::test_after_three_days_the_subjects_of_the_batch_are_parked",
    f"{WEBHOOKS}::TestDelivery::test_a_refused_event_is_found_and_parked",
)
def later_events_overtake_parked_ones(patch):
    def pending(original, box, sink):
        return tuple(attrs.evolve(it, is_held_back=False) for it in original(box, sink))

    wrap(patch, Outbox, "pending", pending)


@noticed_by(f"{WEBHOOKS}::TestDelivery::test_another_process_that_delivered_is_not_overwritten")
def a_position_goes_back(patch):
    def save(original, box, before, after, parked=()):
        current = next(it for it in box.sinks() if it.name == before.name)
        return original(box, attrs.evolve(before, position=current.position), after, parked)

    wrap(patch, Outbox, "save", save)


@noticed_by(f"{WEBHOOKS}::TestRequests::test_the_status_decides")
def a_redirect_counts_as_delivered(patch):
    def post(original, sender, sink, batch):
        outcome = original(sender, sink, batch)
        return Outcome.DELIVERED if outcome is Outcome.REFUSED else outcome

    wrap(patch, webhooks.Sender, "_post", post)


@noticed_by(f"{WEBHOOKS}::TestRequests::test_a_batch_is_signed")
def the_body_is_not_signed(patch):
    def signature(original, secret, message_id, timestamp, _body):
        return original(secret, message_id, timestamp, b"")

    wrap(patch, webhooks, "signature", signature)


@noticed_by(f"{WEBHOOKS}::TestDelivery::test_delivered_events_are_deleted")
def delivered_events_stay(patch):
    patch.setattr(outbox.schema, "DELIVERED_EVENTS", "SELECT 1")


@noticed_by(f"{STREAMS}::test_a_copy_makes_no_events_but_later_changes_do")
def a_copied_row_makes_no_events_for_good(patch):
    def events_of_record(original, record):
        restored = record["dynamodb"].get("NewImage", {}).get("restored")
        return iter(()) if restored else original(record)

    wrap(patch, eventbridge, "events_of_record", events_of_record)


@noticed_by(f"{STREAMS}::test_events_of_one_subject_are_published_in_their_order")
def events_are_published_as_they_come(patch):
    def batches(original, entries):
        return original(sorted(entries, key=lambda it: it.record))

    wrap(patch, eventbridge, "_batches", batches)


@noticed_by(f"{STREAMS}::test_only_the_entries_that_failed_are_sent_again")
def a_failed_entry_is_dropped(patch):
    def put(_original, publisher, entries):
        publisher._attempt(entries)
        return set()

    wrap(patch, eventbridge.Publisher, "_put", put)


@noticed_by(f"{STREAMS}::test_an_event_that_is_refused_goes_to_the_dead_letters")
def a_refused_event_is_dropped(patch):
    patch.setattr(eventbridge.Publisher, "_bury", lambda *_: set())
