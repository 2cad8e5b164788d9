"""One machine over random histories: the same commands, at the same times, to inventories on any storage and to the model."""

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
    IdempotencyKey,
    IfMatch,
    Inventory,
    InventoryError,
    InventoryRepository,
    ItemRef,
    LineRequest,
    ListItems,
    ListMovements,
    ReleaseReservation,
    Timestamp,
    TransferStock,
    UpdateItem,
)
from inventory.paging import iter_pages
from inventory_adapters.storage.memory import MemoryRepository
from tests import strategies
from tests.model import DAY, LIMIT, Model, RefusedError, available, needs_reorder

NOWHERE = ("nowhere", "SKU-1")
AS_IT_IS = (bool, int, str, Timestamp)
MOST_PAGES = 10_000
FREE, THERE = "as many units as are available", "as many units as are there, promised or not"


@contextmanager
def memory():
    """Yield the reference."""
    yield MemoryRepository()


class Clock:
    """Stands still while a command is carried out, and is a microsecond fuller after each, so that no two times are equal."""

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
    """Return an inventory whose ids and times are the same in every run, and that has no reason to wait."""
    ids = count()
    return Inventory(
        repository,
        clock=clock,
        new_id=lambda: f"id-{next(ids):06}",
        pause=lambda _: pytest.fail("nobody else is writing"),
    )


def plain(value):
    """Return *value* as the model would put it: dictionaries, with item keys and levels spread out, lists, text and numbers."""
    if value is None or type(value) in AS_IT_IS:
        return value
    if isinstance(value, InventoryError):
        facts = {name: plain(fact) for name, fact in value.facts.items() if name != "errors"}
        return {"error": type(value), **facts}
    if attrs.has(type(value)):
        named = {
            field.name: plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.eq
        }
        return {**named.pop("key", {}), **named.pop("level", {}), **named}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    assert isinstance(value, Decimal | Enum)  # Nothing else comes out of an inventory.
    return str(value)


def answered(inventory, verb, command):
    """Return what the inventory answers, the sentence of a refusal, and whether it is an answer that was given before."""
    key = getattr(command, "idempotency_key", None)
    if key is not None:
        key = IdempotencyKey(key.value, scope=key.scope)
        command = attrs.evolve(command, idempotency_key=key)
    try:
        answer, sentence = getattr(inventory, verb)(command), None
    except InventoryError as error:
        answer, sentence = error, str(error)
    return plain(answer), sentence, key is not None and key.replayed


def walked(inventory, verb, query):
    """Return the rows of all pages, or the refusal of the first."""
    rows = []
    for _ in range(MOST_PAGES):
        try:
            page = getattr(inventory, verb)(query)
        except InventoryError as error:
            return plain(error)
        assert len(page.items) <= query.page_size
        rows += plain(page.items)
        if page.next_cursor is None:
            return rows
        query = attrs.evolve(query, page_token=page.next_cursor)
    return pytest.fail("the walk does not end")


def by_key(rows):
    return sorted(rows, key=lambda row: (row["item_id"], row["sku"]))


def one_of_its(name):
    """Draw from a list that the machine keeps."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, name)))


# So few that stock runs out, and, now and then, so many that no more fit.
few = st.integers(0, 6)
units = st.sampled_from([1, 2, FREE, FREE, THERE, LIMIT])
on_hand = few | few | st.sampled_from([LIMIT - 1, LIMIT])
orders = st.none() | st.sampled_from(["order 1", "order 2"])
idempotency_keys = st.none() | st.builds(
    IdempotencyKey,
    value=st.sampled_from(["k1", "k2", "k1#0"]),
    scope=st.sampled_from(["", "", "", "somebody else"]),
)
ttls = st.sampled_from([60, 60, 900, DAY, 31 * DAY])
pauses = st.sampled_from([1, 60, 900, DAY, 40 * DAY])
stock = {"quantity": on_hand, "reorder_point": st.none() | few}
creations = st.builds(CreateItem, sku=strategies.skus, **strategies.details, **stock)
edits = st.fixed_dictionaries({}, optional=strategies.details | stock)
a_ref = one_of_its("refs")
a_name = one_of_its("names").map(lambda name: {"reservation_id": name})
once_there_are_some = precondition(lambda self: self.promises)
seen = st.sampled_from(
    ["anything", "as it is", "before it moved", "before it was edited", "nothing"]
)
EVERYTHING = ListItems(page_size=50)
CLOSING = {"commit_reservation": CommitReservation, "release_reservation": ReleaseReservation}
INVALID_ROW = {"sku": "", "quantity": -1}


class InventoryMachine(RuleBasedStateMachine):
    """
    All verbs in any order.

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
        self.keys = {NOWHERE: None}  # Of every item that ever was, and of one that never was.
        self.promises = {}  # The ids of all reservations that ever were.
        self.sent = []  # Commands that had a key.
        self.news = None  # The items that moved since the books were last looked at, if any command was carried out.

    def teardown(self):
        """Close every repository."""
        self.stack.close()

    @property
    def refs(self):
        """Items to ask for, those that are there first."""
        keys = [*self.model.items, *self.model.items, *self.keys]
        return [{"item_id": item_id, "sku": sku} for item_id, sku in keys]

    @property
    def names(self):
        """Reservations to ask for, those that are open first, and one that never was."""
        held = [name for name, row in self.model.reservations.items() if row["state"] == "held"]
        return [*held, *held, *self.promises, "nowhere"]

    @property
    def moments(self):
        """The instants, still to come, at which a reservation expires or an answer is forgotten."""
        held = [row for row in self.model.reservations.values() if row["state"] == "held"]
        ends = [row["expires_at"] for row in held]
        ends += [until for _, _, until in self.model.idempotency_record.values()]
        return sorted(end for end in ends if end > self.model.now())

    def agreed(self, ask):
        """Ask every inventory, and return the answer that all of them gave."""
        first, *others = [ask(inventory) for inventory in self.inventories]
        for other in others:
            assert other == first
        return first

    def expected(self, verb, command):
        """Return what the model answers."""
        try:
            return getattr(self.model, verb)(command)
        except RefusedError as refused:
            return refused.answer

    def do(self, verb, command):
        """Send *command* everywhere, and return the answer that all gave, and that the model gives."""
        answer, _, replayed = self.agreed(lambda inventory: answered(inventory, verb, command))
        rows = answer if isinstance(answer, list) else [answer]
        ids = [row.get("reservation_id") or row.get("item_id") for row in rows]
        known = {*self.promises, *(item_id for item_id, _ in self.keys)}
        self.model.ids = [made for made in ids if made and made not in known]
        self.model.replayed = False
        before = self.model.ledgers.copy()
        assert answer == self.expected(verb, command)
        assert replayed == self.model.replayed
        moved = {key for key, rows in self.model.ledgers.items() if rows is not before.get(key)}
        self.news = moved | (self.news or set())
        self.keys |= dict.fromkeys(self.model.items)
        self.promises |= dict.fromkeys(self.model.reservations)
        if getattr(command, "idempotency_key", None) and (verb, command) not in self.sent:
            self.sent.append((verb, command))
        if not verb.startswith("get"):
            self.clock.tick()
        return answer

    def so_many(self, ref, number):
        """Return *number*, or what `FREE` or `THERE` stand for; at least 1, as no command takes fewer."""
        row = self.model.items.get(tuple(ref.values()), {"on_hand": 0, "reserved": 0})
        return max(1, {FREE: available(row), THERE: row["on_hand"]}.get(number, number))

    def if_match(self, ref, seen):
        """Return what a caller sends who has *seen* the item."""
        row = self.model.items.get(tuple(ref.values()), {"version": 1, "seq": 0})
        version, seq = row["version"], row["seq"]
        tags = {
            "anything": None,
            "as it is": {(version, seq), (version + 7, seq)},
            "before it moved": {(version, seq - 1)},
            "before it was edited": {(version - 1, seq)},
            "nothing": set(),
        }[seen]
        return IfMatch(None if tags is None else frozenset(tags))

    # Items

    @initialize(commands=st.lists(creations, min_size=1, max_size=3))
    def stock_up(self, commands):
        """Start with a few units of each thing, at two places."""
        for command in commands:
            self.do("create_item", attrs.evolve(command, quantity=6))
            self.do("create_item", attrs.evolve(command, location="elsewhere"))

    @rule(command=creations, key=idempotency_keys)
    def create(self, command, key):
        """Put an item on the books."""
        self.do("create_item", attrs.evolve(command, idempotency_key=key))

    @rule(ref=a_ref, with_sku=st.booleans())
    def get(self, ref, with_sku):
        """Read an item, by its whole key or by its id."""
        self.do("get_item", GetItem(item_id=ref["item_id"], sku=ref["sku"] if with_sku else None))

    @rule(ref=a_ref, fields=edits, seen=seen, key=idempotency_keys)
    def update(self, ref, fields, seen, key):
        """Change details, stock, both or nothing, on any condition."""
        how = {"if_match": self.if_match(ref, seen), "idempotency_key": key}
        self.do("update_item", UpdateItem(**ref, **fields, **how))

    @rule(ref=a_ref, seen=seen, key=idempotency_keys)
    def delete(self, ref, seen, key):
        """Delete an item, on any condition; it is asked for all the same later."""
        how = {"if_match": self.if_match(ref, seen), "idempotency_key": key}
        self.do("delete_item", DeleteItem(**ref, **how))

    @rule(
        rows=st.lists(
            creations | st.tuples(a_ref, edits, seen) | st.just(INVALID_ROW), min_size=1, max_size=4
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

    @rule(wanted=strategies.likely_filters | strategies.filters, page_size=st.integers(1, 3))
    def walk_a_list(self, wanted, page_size):
        """Walk a list to its end: what belongs into it, each item once, in the order of its index."""
        query = ListItems(**attrs.asdict(wanted), page_size=page_size)
        for inventory in self.inventories:
            rows = walked(inventory, "list_items", query)
            assert by_key(rows) == by_key(self.model.list_items(query))
            if wanted.index != "item_id":
                order = "updated_at" if wanted.index == "category" else "item_id"
                places = [row[order] for row in rows]
                assert places == sorted(places)

    # Stock

    @rule(
        ref=a_ref,
        sign=st.sampled_from([-1, 1]),
        number=units,
        reference=orders,
        key=idempotency_keys,
    )
    def adjust(self, ref, sign, number, reference, key):
        """Have units come, or leave."""
        fields = {
            "delta": sign * self.so_many(ref, number),
            "reason": "it is so",
            "reference": reference,
        }
        self.do("adjust_stock", AdjustStock(**ref, **fields, idempotency_key=key))

    @rule(ref=a_ref, quantity=on_hand, expected_quantity=st.none() | few, key=idempotency_keys)
    def count(self, ref, quantity, expected_quantity, key):
        """Find so many on the shelf, with an idea of how many there should be, or without."""
        fields = {"quantity": quantity, "expected_quantity": expected_quantity}
        self.do("count_stock", CountStock(**ref, **fields, idempotency_key=key))

    @rule(source=a_ref, to=a_ref, alike=st.integers(0, 3), number=units, key=idempotency_keys)
    def transfer(self, source, to, alike, number, key):
        """Move units, mostly between items of one SKU."""
        same_sku = [ref for ref in self.refs if ref["sku"] == source["sku"] and ref != source]
        destination = same_sku[alike % len(same_sku)] if same_sku and alike else to
        self.do(
            "transfer_stock",
            TransferStock(
                source=ItemRef(**source),
                destination=ItemRef(**destination),
                quantity=self.so_many(source, number),
                reference="a shelf is full",
                idempotency_key=key,
            ),
        )

    @rule(ref=a_ref, page_size=st.integers(1, 4))
    def walk_a_ledger(self, ref, page_size):
        """Walk an item's history to its opening balance, also when the item is gone."""
        query = ListMovements(**ref, page_size=page_size)
        history = self.expected("list_movements", query)
        for inventory in self.inventories:
            assert walked(inventory, "list_movements", query) == history

    # Reservations

    @rule(
        lines=st.lists(st.tuples(a_ref, units), min_size=1, max_size=3),
        ttl=ttls,
        reference=orders,
        key=idempotency_keys,
        then=st.sampled_from(["wait", "lapse", "commit_reservation", "release_reservation"]),
    )
    def reserve(self, lines, ttl, reference, key, then):
        """Hold units of one or more items, and, perhaps, do with them what is usual then."""
        lines = [LineRequest(**ref, quantity=self.so_many(ref, number)) for ref, number in lines]
        fields = {"lines": lines, "ttl_seconds": ttl, "reference": reference}
        made = self.do("create_reservation", CreateReservation(**fields, idempotency_key=key))
        if then == "lapse":
            self.wait(ttl)
        elif then in CLOSING and "error" not in made:
            self.close({"reservation_id": made["reservation_id"]}, then, None)

    @once_there_are_some
    @rule(name=a_name)
    def get_reservation(self, name):
        """Read a reservation."""
        self.do("get_reservation", GetReservation(**name))

    @once_there_are_some
    @rule(name=a_name, verb=st.sampled_from([*CLOSING]), key=idempotency_keys)
    def close(self, name, verb, key):
        """Let held units leave, or give them back."""
        self.do(verb, CLOSING[verb](**name, idempotency_key=key))

    @once_there_are_some
    @rule(name=a_name, ttl=ttls, key=idempotency_keys)
    def extend(self, name, ttl, key):
        """Hold units for longer."""
        self.do(
            "extend_reservation", ExtendReservation(**name, ttl_seconds=ttl, idempotency_key=key)
        )

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def expire(self, limit):
        """Sweep."""
        self.do("expire_reservations", ExpireReservations(limit=limit))

    # Again, later, and upkeep

    @precondition(lambda self: self.sent)
    @rule(sent=one_of_its("sent"))
    def send_again(self, sent):
        """Repeat a command under its key, as a client does that has had no answer."""
        self.do(*sent)

    @rule(seconds=pauses)
    def wait(self, seconds):
        """Let time pass."""
        self.clock.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.moments)
    @rule(moment=one_of_its("moments"))
    def wait_for_it(self, moment):
        """Be there at the very instant at which something ends, and look."""
        self.clock.move_to(moment)
        for name, row in self.model.reservations.items():
            if row["expires_at"] == moment:
                self.do("get_reservation", GetReservation(reservation_id=name))

    @rule()
    def forget(self):
        """Delete what need not be kept any longer."""
        for inventory in self.inventories:
            inventory.repository.purge(self.model.now())
        self.model.forget()
        self.news = set()

    @rule()
    def reconcile(self):
        """Find nothing wrong, and hence correct nothing."""
        for inventory in self.inventories:
            assert list(inventory.reconcile(fix=True)) == []
        self.news = set()

    # What holds at any time

    @precondition(lambda self: self.news is not None)
    @invariant()
    def the_books_are_right(self):
        """Look at everything in the reference, and in the others at what should have changed: a call to them costs more."""
        reference, *others = self.inventories
        self.compare_the_books(reference, self.keys)
        self.add_up_the_books(reference)
        for inventory in others:
            self.compare_the_books(inventory, self.news)
        self.news = None

    def compare_the_books(self, inventory, keys):
        """The same items, the same of them low, the same promises, and for these keys the same movements."""
        items = by_key(walked(inventory, "list_items", EVERYTHING))
        assert items == by_key(self.model.items.values())
        low = by_key(walked(inventory, "list_items", ListItems(page_size=50, low_stock=True)))
        assert low == [row for row in items if needs_reorder(row)]
        held = {row["reservation_id"]: row for row in open_reservations(inventory)}
        promised = self.model.reservations.items()
        assert held == {name: row for name, row in promised if row["state"] == "held"}
        for key in keys:
            query = whole_ledger(key)
            assert walked(inventory, "list_movements", query) == self.expected(
                "list_movements", query
            )

    def add_up_the_books(self, inventory):
        """No unit is promised that is not there; open reservations explain the promises, and the ledger explains all."""
        promised: Counter[tuple[str, str]] = Counter()
        for reservation in open_reservations(inventory):
            for line in reservation["lines"]:
                promised[line["item_id"], line["sku"]] += line["quantity"]
        deleted = {*self.keys} - {NOWHERE, *self.model.items}
        for key in deleted:
            level = replayed(walked(inventory, "list_movements", whole_ledger(key)))
            assert (level["on_hand"], level["reserved"]) == (0, 0)
        for item in walked(inventory, "list_items", EVERYTHING):
            key = item["item_id"], item["sku"]
            assert 0 <= item["reserved"] <= item["on_hand"]
            assert item["reserved"] == promised.pop(key, 0)
            assert (
                replayed(walked(inventory, "list_movements", whole_ledger(key))).items()
                <= item.items()
            )
        assert not promised
        assert list(inventory.reconcile()) == []


def whole_ledger(key):
    return ListMovements(item_id=key[0], sku=key[1], page_size=50)


def run(machine, *, examples, steps, shrink=True):
    """Run a machine on so many histories of up to so many steps; stop at the first bug, and find the shortest way to it."""
    # Not Phase.explain, which is the default: it runs the history a hundred times more, to name lines that we know.
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
    pages = iter_pages(lambda page: inventory.repository.held_reservations(page, due_by=None))
    return [row for page in pages for row in plain(page.items)]


def replayed(history):
    """Return the level that movements lead to, having checked each balance on the way."""
    *movements, opening = history
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
