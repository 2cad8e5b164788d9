"""A state machine that sends random commands to inventories on any storage and compares them with the model."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inventory import (
    AdjustStock,
    BatchItems,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    GetStock,
    IdempotencyKey,
    IfMatch,
    Inventory,
    InventoryError,
    InventoryRepository,
    ItemRef,
    LineRequest,
    ListItems,
    ListMovements,
    ListReservations,
    ReleaseReservation,
    Timestamp,
    TransferStock,
    UpdateItem,
)
from inventory.paging import iter_pages
from inventory_adapters.storage.memory import MemoryRepository
from tests import strategies
from tests.model import DAY, LIMIT, ExpectedError, Model, available, needs_reorder

UNKNOWN_KEY = ("nowhere", "SKU-1")
PLAIN_TYPES = (bool, int, str, Timestamp)
MAX_PAGES = 10_000
ALL_AVAILABLE, ALL_ON_HAND = "all available units", "all units on hand"


@contextmanager
def memory():
    """Yield the reference repository."""
    yield MemoryRepository()


class Clock:
    """A clock that stands still during a command and moves by a microsecond after it, so that all times differ."""

    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)
        self.ticks = count(1)

    def __call__(self):
        return self.now

    def tick(self):
        self.now = self.now.replace(microsecond=next(self.ticks))

    def move_to(self, time):
        self.now = Timestamp(time).as_datetime()


def an_inventory(repository, clock):
    """Return an inventory with the same IDs and times in every run, which never pauses."""
    ids = count()
    return Inventory(
        repository,
        clock=clock,
        new_id=lambda: f"id-{next(ids):06}",
        pause=lambda _: pytest.fail("paused without another writer"),
    )


def plain(value):
    """Return *value* in the form of the model: lists and dictionaries, with item keys and levels flattened."""
    if value is None or type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, InventoryError):
        facts = {name: plain(fact) for name, fact in value.facts.items() if name != "errors"}
        return {"error": type(value), **facts}
    if attrs.has(type(value)):
        fields = {
            field.name: plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.eq
        }
        return {**fields.pop("key", {}), **fields.pop("level", {}), **fields}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    assert isinstance(value, Decimal | Enum)  # An inventory returns no other types.
    return str(value)


def answer_of(inventory, verb, command):
    """Return the answer or error of the inventory, the message of the error, and whether the answer is a replay."""
    key = getattr(command, "idempotency_key", None)
    if key is not None:
        key = IdempotencyKey(key.value, scope=key.scope)
        command = attrs.evolve(command, idempotency_key=key)
    try:
        answer, message = getattr(inventory, verb)(command), None
    except InventoryError as error:
        answer, message = error, str(error)
    return plain(answer), message, key is not None and key.replayed


def all_rows(inventory, verb, query):
    """Return the rows of all pages, or the error of the first."""
    rows = []
    for _ in range(MAX_PAGES):
        try:
            page = getattr(inventory, verb)(query)
        except InventoryError as error:
            return plain(error)
        assert len(page.items) <= query.page_size
        rows += plain(page.items)
        if page.next_cursor is None:
            return rows
        query = attrs.evolve(query, page_token=page.next_cursor)
    return pytest.fail("the pages do not end")


def by_key(rows):
    return sorted(rows, key=lambda row: (row["item_id"], row["sku"]))


def one_of(name):
    """Draw an element of an attribute of the machine."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, name)))


# Few units, so that stock runs out; sometimes so many that the maximum is reached.
few = st.integers(0, 6)
units = st.sampled_from([1, 2, ALL_AVAILABLE, ALL_AVAILABLE, ALL_ON_HAND, LIMIT])
on_hand = few | few | st.sampled_from([LIMIT - 1, LIMIT])
orders = st.none() | st.sampled_from(["order 1", "order 2"])
idempotency_keys = st.none() | st.builds(
    IdempotencyKey,
    value=st.sampled_from(["k1", "k2", "k1#0"]),
    scope=st.sampled_from(["", "", "", "another caller"]),
)
ttls = st.sampled_from([60, 60, 900, DAY, 31 * DAY])
pauses = st.sampled_from([1, 60, 900, DAY, 40 * DAY])
stock = {"quantity": on_hand, "reorder_point": st.none() | few}
changed_attributes = st.dictionaries(
    st.sampled_from(["barcode", "size"]), st.sampled_from([None, "M", "XL"]), max_size=2
)
creations = st.builds(
    CreateItem,
    sku=strategies.skus,
    attributes=strategies.attributes,
    **strategies.details,
    **stock,
)
edits = st.fixed_dictionaries(
    {}, optional=strategies.details | stock | {"attributes": changed_attributes}
)
a_ref = one_of("refs")
a_name = one_of("names").map(lambda name: {"reservation_id": name})
if_there_are_reservations = precondition(lambda self: self.reservations)
state = st.sampled_from(
    ["anything", "as it is", "before it moved", "before it was edited", "nothing"]
)
EVERYTHING = ListItems(page_size=50)
CLOSING = {"commit_reservation": CommitReservation, "release_reservation": ReleaseReservation}
INVALID_ROW = {"sku": "", "quantity": -1}


class InventoryMachine(RuleBasedStateMachine):
    """
    All operations in any order.

    Attributes:
        repositories: Context managers, each of which yields an empty repository.
    """

    repositories: tuple[Callable[[], AbstractContextManager[InventoryRepository]], ...] = ()

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.clock = Clock()
        self.model = Model(self.clock)
        self.inventories = [
            an_inventory(self.stack.enter_context(make()), self.clock) for make in self.repositories
        ]
        self.keys = {UNKNOWN_KEY: None}  # Of every item, deleted ones included, and an unknown one.
        self.reservations = {}  # The IDs of all reservations, purged ones included.
        self.sent = []  # Commands with a key.
        self.moved = None  # Items that moved since the last check of the stored data; None if no command was sent.

    def teardown(self):
        """Close every repository."""
        self.stack.close()

    @property
    def refs(self):
        """References to items, existing ones more often."""
        keys = [*self.model.items, *self.model.items, *self.keys]
        return [{"item_id": item_id, "sku": sku} for item_id, sku in keys]

    @property
    def names(self):
        """IDs of reservations, open ones more often, and an unknown one."""
        held = [name for name, row in self.model.reservations.items() if row["state"] == "held"]
        return [*held, *held, *self.reservations, "nowhere"]

    @property
    def moments(self):
        """The future times at which a reservation or an idempotency record expires."""
        held = [row for row in self.model.reservations.values() if row["state"] == "held"]
        ends = [row["expires_at"] for row in held]
        ends += [until for _, _, until in self.model.records.values()]
        return sorted(end for end in ends if end > self.model.now())

    def common_answer(self, ask):
        """Call *ask* with every inventory, and return the answer, which must be the same."""
        first, *others = [ask(inventory) for inventory in self.inventories]
        for other in others:
            assert other == first
        return first

    def expected(self, verb, command):
        """Return the answer of the model."""
        try:
            return getattr(self.model, verb)(command)
        except ExpectedError as error:
            return error.answer

    def do(self, verb, command):
        """Send *command* to all inventories and the model, and return the answer, which must be the same."""
        answer, _, replayed = self.common_answer(
            lambda inventory: answer_of(inventory, verb, command)
        )
        rows = answer if isinstance(answer, list) else [answer]
        ids = [row.get("reservation_id") or row.get("item_id") for row in rows]
        known = {*self.reservations, *(item_id for item_id, _ in self.keys)}
        self.model.ids = [each for each in ids if each and each not in known]
        self.model.replayed = False
        before = self.model.ledgers.copy()
        assert answer == self.expected(verb, command)
        assert replayed == self.model.replayed
        moved = {key for key, rows in self.model.ledgers.items() if rows is not before.get(key)}
        self.moved = moved | (self.moved or set())
        self.keys |= dict.fromkeys(self.model.items)
        self.reservations |= dict.fromkeys(self.model.reservations)
        if getattr(command, "idempotency_key", None) and (verb, command) not in self.sent:
            self.sent.append((verb, command))
        if not verb.startswith("get"):
            self.clock.tick()
        return answer

    def units_of(self, ref, number):
        """Return *number*, or the units of `ALL_AVAILABLE` or `ALL_ON_HAND`; at least 1, the minimum of a command."""
        row = self.model.items.get(tuple(ref.values()), {"on_hand": 0, "reserved": 0})
        return max(
            1, {ALL_AVAILABLE: available(row), ALL_ON_HAND: row["on_hand"]}.get(number, number)
        )

    def if_match(self, ref, state):
        """Return the precondition of a caller who read the item in that state."""
        row = self.model.items.get(tuple(ref.values()), {"version": 1, "seq": 0})
        version, seq = row["version"], row["seq"]
        tags = {
            "anything": None,
            "as it is": {(version, seq), (version + 7, seq)},
            "before it moved": {(version, seq - 1)},
            "before it was edited": {(version - 1, seq)},
            "nothing": set(),
        }[state]
        return IfMatch(None if tags is None else frozenset(tags))

    # Items

    @initialize(commands=st.lists(creations, min_size=1, max_size=3))
    def stock_up(self, commands):
        """Create a few items at two locations."""
        for command in commands:
            self.do("create_item", attrs.evolve(command, quantity=6))
            self.do("create_item", attrs.evolve(command, location="elsewhere"))

    @rule(command=creations, key=idempotency_keys)
    def create(self, command, key):
        """Create an item."""
        self.do("create_item", attrs.evolve(command, idempotency_key=key))

    @rule(ref=a_ref, with_sku=st.booleans())
    def get(self, ref, with_sku):
        """Read an item by its key or by its ID alone."""
        self.do("get_item", GetItem(item_id=ref["item_id"], sku=ref["sku"] if with_sku else None))

    @rule(ref=a_ref, fields=edits, state=state, key=idempotency_keys)
    def update(self, ref, fields, state, key):
        """Update details, stock, both or nothing, with any precondition."""
        conditions = {"if_match": self.if_match(ref, state), "idempotency_key": key}
        self.do("update_item", UpdateItem(**ref, **fields, **conditions))

    @rule(ref=a_ref, state=state, key=idempotency_keys)
    def delete(self, ref, state, key):
        """Delete an item, with any precondition."""
        conditions = {"if_match": self.if_match(ref, state), "idempotency_key": key}
        self.do("delete_item", DeleteItem(**ref, **conditions))

    @rule(
        rows=st.lists(
            creations | st.tuples(a_ref, edits, state) | st.just(INVALID_ROW),
            min_size=1,
            max_size=4,
        ),
        mode=st.sampled_from(["all_or_nothing", "per_row"]),
        key=idempotency_keys,
    )
    def batch(self, rows, mode, key):
        """Create and update several items."""
        rows = [
            UpdateItem(**row[0], **row[1], if_match=self.if_match(row[0], row[2]))
            if isinstance(row, tuple)
            else row
            for row in rows
        ]
        self.do("batch_items", BatchItems(items=rows, mode=mode, idempotency_key=key))

    @rule(item_filter=strategies.likely_filters | strategies.filters, page_size=st.integers(1, 3))
    def read_a_list(self, item_filter, page_size):
        """Read all pages of a list: each matching item once, in the order of the index."""
        query = ListItems(**attrs.asdict(item_filter), page_size=page_size)
        for inventory in self.inventories:
            rows = all_rows(inventory, "list_items", query)
            assert by_key(rows) == by_key(self.model.list_items(query))
            if item_filter.index != "item_id":
                order = "updated_at" if item_filter.index == "category" else "item_id"
                positions = [row[order] for row in rows]
                assert positions == sorted(positions)

    # Stock

    @rule(
        ref=a_ref,
        sign=st.sampled_from([-1, 1]),
        number=units,
        reference=orders,
        key=idempotency_keys,
    )
    def adjust(self, ref, sign, number, reference, key):
        """Add or remove units."""
        fields = {
            "delta": sign * self.units_of(ref, number),
            "reason": "an adjustment",
            "reference": reference,
        }
        self.do("adjust_stock", AdjustStock(**ref, **fields, idempotency_key=key))

    @rule(ref=a_ref, quantity=on_hand, expected_quantity=st.none() | few, key=idempotency_keys)
    def count(self, ref, quantity, expected_quantity, key):
        """Count units, with or without an expected quantity."""
        fields = {"quantity": quantity, "expected_quantity": expected_quantity}
        self.do("count_stock", CountStock(**ref, **fields, idempotency_key=key))

    @rule(source=a_ref, to=a_ref, same=st.integers(0, 3), number=units, key=idempotency_keys)
    def transfer(self, source, to, same, number, key):
        """Move units, mostly between items of one SKU."""
        same_sku = [ref for ref in self.refs if ref["sku"] == source["sku"] and ref != source]
        destination = same_sku[same % len(same_sku)] if same_sku and same else to
        self.do(
            "transfer_stock",
            TransferStock(
                source=ItemRef(**source),
                destination=ItemRef(**destination),
                quantity=self.units_of(source, number),
                reference="no space",
                idempotency_key=key,
            ),
        )

    @rule(ref=a_ref)
    def get_stock(self, ref):
        """Read the stock of a SKU at all locations."""
        self.do("get_stock", GetStock(sku=ref["sku"]))

    @rule(ref=a_ref, page_size=st.integers(1, 4), period=st.lists(st.integers(0, 40), max_size=2))
    def read_a_ledger(self, ref, page_size, period):
        """Read all pages of the ledger of an item, deleted or not, or of a period."""
        times = [self.clock.now - timedelta(microseconds=back) for back in sorted(period)]
        names = {
            name: Timestamp.of(at) for name, at in zip(("until", "since"), times, strict=False)
        }
        query = ListMovements(**ref, page_size=page_size, **names)
        ledger = self.expected("list_movements", query)
        for inventory in self.inventories:
            assert all_rows(inventory, "list_movements", query) == ledger

    # Reservations

    @rule(
        lines=st.lists(st.tuples(a_ref, units), min_size=1, max_size=3),
        ttl=ttls,
        reference=orders,
        key=idempotency_keys,
        then=st.sampled_from(["keep", "expire", "commit_reservation", "release_reservation"]),
    )
    def reserve(self, lines, ttl, reference, key, then):
        """Reserve units of one or more items, and perhaps close the reservation or let it expire."""
        lines = [LineRequest(**ref, quantity=self.units_of(ref, number)) for ref, number in lines]
        fields = {"lines": lines, "ttl_seconds": ttl, "reference": reference}
        answer = self.do("create_reservation", CreateReservation(**fields, idempotency_key=key))
        if then == "expire":
            self.wait(ttl)
        elif then in CLOSING and "error" not in answer:
            self.close({"reservation_id": answer["reservation_id"]}, then, None)

    @if_there_are_reservations
    @rule(name=a_name)
    def get_reservation(self, name):
        """Read a reservation."""
        self.do("get_reservation", GetReservation(**name))

    @if_there_are_reservations
    @rule(name=a_name, verb=st.sampled_from([*CLOSING]), key=idempotency_keys)
    def close(self, name, verb, key):
        """Commit or release a reservation."""
        self.do(verb, CLOSING[verb](**name, idempotency_key=key))

    @if_there_are_reservations
    @rule(name=a_name, number=units, other=a_ref, key=idempotency_keys)
    def commit_a_part(self, name, number, other, key):
        """Commit some units of the first line, or of an item that the reservation may not hold."""
        lines = self.model.reservations.get(name["reservation_id"], {"lines": []})["lines"]
        row = lines[0] if lines else {**other, "quantity": 1}
        left = {ALL_AVAILABLE: row["quantity"], ALL_ON_HAND: min(row["quantity"] + 1, LIMIT)}
        line = LineRequest(
            item_id=row["item_id"], sku=row["sku"], quantity=left.get(number, number)
        )
        command = CommitReservation(**name, lines=[line], idempotency_key=key)
        self.do("commit_reservation", command)

    @rule(ref=st.none() | a_ref, reference=orders, page_size=st.integers(1, 3))
    def read_reservations(self, ref, reference, page_size):
        """Read all pages of the open reservations, in the order in which they expire."""
        query = ListReservations(**(ref or {}), reference=reference, page_size=page_size)
        for inventory in self.inventories:
            rows = all_rows(inventory, "list_reservations", query)
            assert rows == self.model.list_reservations(query)

    @if_there_are_reservations
    @rule(name=a_name, ttl=ttls, key=idempotency_keys)
    def extend(self, name, ttl, key):
        """Extend a reservation."""
        self.do(
            "extend_reservation", ExtendReservation(**name, ttl_seconds=ttl, idempotency_key=key)
        )

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def expire(self, limit):
        """Expire due reservations."""
        self.do("expire_reservations", ExpireReservations(limit=limit))

    # Repetition, time and upkeep

    @precondition(lambda self: self.sent)
    @rule(sent=one_of("sent"))
    def send_again(self, sent):
        """Repeat a command under its key, like a client that lost the response."""
        self.do(*sent)

    @rule(seconds=pauses)
    def wait(self, seconds):
        """Let time pass."""
        self.clock.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.moments)
    @rule(moment=one_of("moments"))
    def wait_until_it_ends(self, moment):
        """Move to the exact time at which something expires, and read it."""
        self.clock.move_to(moment)
        for name, row in self.model.reservations.items():
            if row["expires_at"] == moment:
                self.do("get_reservation", GetReservation(reservation_id=name))

    @rule()
    def purge(self):
        """Delete expired records and old reservations."""
        for inventory in self.inventories:
            inventory.repository.purge(self.model.now())
        self.model.purge()
        self.moved = set()

    @rule()
    def reconcile(self):
        """Find no drift, and correct nothing."""
        for inventory in self.inventories:
            assert list(inventory.reconcile(fix=True)) == []
        self.moved = set()

    # Invariants

    @precondition(lambda self: self.moved is not None)
    @invariant()
    def stored_data_is_right(self):
        """Check all data of the reference, and of the slower others only what should have changed."""
        reference, *others = self.inventories
        self.compare_stored_data(reference, self.keys)
        self.check_balances(reference)
        for inventory in others:
            self.compare_stored_data(inventory, self.moved)
        self.moved = None

    def compare_stored_data(self, inventory, keys):
        """Compare items, low stock and reservations with the model, and for these keys the movements."""
        items = by_key(all_rows(inventory, "list_items", EVERYTHING))
        assert items == by_key(self.model.items.values())
        low = by_key(all_rows(inventory, "list_items", ListItems(page_size=50, low_stock=True)))
        assert low == [row for row in items if needs_reorder(row)]
        held = {row["reservation_id"]: row for row in open_reservations(inventory)}
        rows = self.model.reservations.items()
        assert held == {name: row for name, row in rows if row["state"] == "held"}
        for key in keys:
            query = whole_ledger(key)
            assert all_rows(inventory, "list_movements", query) == self.expected(
                "list_movements", query
            )

    def check_balances(self, inventory):
        """Check that open reservations add up to reserved, and movements to both balances."""
        held_units: Counter[tuple[str, str]] = Counter()
        for reservation in open_reservations(inventory):
            for line in reservation["lines"]:
                held_units[line["item_id"], line["sku"]] += line["quantity"]
        deleted = {*self.keys} - {UNKNOWN_KEY, *self.model.items}
        for key in deleted:
            level = level_after(all_rows(inventory, "list_movements", whole_ledger(key)))
            assert (level["on_hand"], level["reserved"]) == (0, 0)
        for item in all_rows(inventory, "list_items", EVERYTHING):
            key = item["item_id"], item["sku"]
            assert 0 <= item["reserved"] <= item["on_hand"]
            assert item["reserved"] == held_units.pop(key, 0)
            assert (
                level_after(all_rows(inventory, "list_movements", whole_ledger(key))).items()
                <= item.items()
            )
        assert not held_units
        assert list(inventory.reconcile()) == []


def whole_ledger(key):
    return ListMovements(item_id=key[0], sku=key[1], page_size=50)


def run(machine, *, examples, steps, shrink=True):
    """Run a machine on a number of histories, each of up to *steps* steps, and report the first bug."""
    # Without Phase.explain, which would run a failing history a hundred times more.
    phases = [Phase.reuse, Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            report_multiple_bugs=False,
        ),
    )


def open_reservations(inventory):
    pages = iter_pages(inventory.repository.held_reservations)
    return [row for page in pages for row in plain(page.items)]


def level_after(ledger):
    """Return the level after all movements, and check each balance."""
    *movements, opening = ledger
    on_hand, reserved, seq = opening["on_hand"], opening["reserved"], 0
    for movement in reversed(movements):
        on_hand += movement["delta_on_hand"]
        reserved += movement["delta_reserved"]
        seq += 1
        assert (movement["on_hand"], movement["reserved"], movement["seq"]) == (
            on_hand,
            reserved,
            seq,
        )
    return {"on_hand": on_hand, "reserved": reserved, "seq": seq}
