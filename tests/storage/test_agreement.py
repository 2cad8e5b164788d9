"""Every repository gives the same answers: one state machine drives them side by side, and compares."""

import itertools
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from inventory import (
    DeleteItem,
    GetItem,
    IfMatch,
    Inventory,
    InventoryError,
    ItemKey,
    ListItems,
    UpdateItem,
)
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from tests import strategies


@contextmanager
def memory():
    """Yield the reference."""
    yield MemoryRepository()


@contextmanager
def sqlite():
    """Yield a repository in a file that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteRepository(Path(folder, "inventory.db"), durability="normal") as repository,
    ):
        yield repository


# The first is what the others are compared with.
REPOSITORIES = (memory, sqlite)

_MAX_PAGES = 200


def an_inventory(repository):
    """Return an inventory whose ids and times are the same in every run."""
    ids = (f"id-{number:06}" for number in itertools.count())
    seconds = itertools.count()
    return Inventory(
        repository,
        new_id=lambda: next(ids),
        clock=lambda: datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=next(seconds)),
    )


def outcome(ask):
    """Return what *ask* returns or, if it raises one of our errors, everything that a caller can see of it."""
    try:
        return ask()
    except InventoryError as error:
        return type(error), str(error), error.code, error.facts


def walked(inventory, query):
    """Return all items of *query*, page by page; those of all items, whose order is not defined, by key."""
    items = []
    for _ in range(_MAX_PAGES):
        page = inventory.list_items(query)
        assert len(page.items) <= query.page_size
        items += page.items
        if page.next_cursor is None:
            break
        query = attrs.evolve(query, page_token=page.next_cursor)
    else:
        pytest.fail("the walk does not end")
    in_order = any((query.category, query.status, query.sku, query.low_stock))
    return items if in_order else sorted(items, key=lambda item: item.key)


class Agreement(RuleBasedStateMachine):
    """The same commands, in the same order, to each repository."""

    keys = Bundle("keys")

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.inventories = [an_inventory(self.stack.enter_context(make())) for make in REPOSITORIES]

    def teardown(self):
        """Close every repository."""
        self.stack.close()

    def agreed(self, ask):
        """Ask every inventory, and return the answer that all of them gave."""
        first, *others = [outcome(lambda each=each: ask(each)) for each in self.inventories]
        for other in others:
            assert other == first
        return first

    def created(self, command):
        """Create an item everywhere, and return its key."""
        return self.agreed(lambda inventory: inventory.create_item(command)).key

    @initialize(target=keys, commands=st.lists(strategies.creations, min_size=5, max_size=10))
    def stock_up(self, commands):
        """Start with enough for a walk of several pages."""
        return multiple(*(self.created(command) for command in commands))

    @rule(target=keys, command=strategies.creations)
    def create(self, command):
        """Put an item on the books."""
        return self.created(command)

    @rule(target=keys)
    def name_an_item_that_never_was(self):
        """Have a key to ask for in vain."""
        return ItemKey(item_id="nowhere", sku="SKU-1")

    @rule(key=keys, with_sku=st.booleans())
    def get(self, key, with_sku):
        """Read an item, by its whole key or by its id."""
        query = GetItem(item_id=key.item_id, sku=key.sku if with_sku else None)
        self.agreed(lambda inventory: inventory.get_item(query))

    @rule(key=keys, fields=strategies.updates, if_match=strategies.if_matches)
    def update(self, key, fields, if_match):
        """Change details, stock, both or nothing, on any condition."""
        command = UpdateItem(item_id=key.item_id, sku=key.sku, if_match=if_match, **fields)
        self.agreed(lambda inventory: inventory.update_item(command))

    @rule(key=keys, fields=strategies.updates)
    def update_what_was_read(self, key, fields):
        """Change an item on the condition that it is still as it was read."""
        query = GetItem(item_id=key.item_id, sku=key.sku)
        read = self.agreed(lambda inventory: inventory.get_item(query))
        if isinstance(read, tuple):
            return
        if_match = IfMatch(frozenset({(read.version, read.level.seq)}))
        command = UpdateItem(item_id=key.item_id, sku=key.sku, if_match=if_match, **fields)
        after = self.agreed(lambda inventory: inventory.update_item(command))
        assert (after.version, after.level.seq) >= (read.version, read.level.seq)

    @rule(key=keys, if_match=strategies.if_matches)
    def delete_on_a_condition(self, key, if_match):
        """Take an item off the books, if it is in one of these states."""
        command = DeleteItem(item_id=key.item_id, sku=key.sku, if_match=if_match)
        self.agreed(lambda inventory: inventory.delete_item(command))

    @rule(target=keys, key=consumes(keys), keep=st.booleans())
    def delete(self, key, keep):
        """Take an item off the books, and sometimes go on asking for it."""
        command = DeleteItem(item_id=key.item_id, sku=key.sku)
        self.agreed(lambda inventory: inventory.delete_item(command))
        return key if keep else multiple()

    @rule(wanted=strategies.likely_filters | strategies.filters, page_size=st.integers(1, 3))
    def walk_a_list(self, wanted, page_size):
        """Walk a list to its end."""
        query = ListItems(**attrs.asdict(wanted), page_size=page_size)
        self.agreed(lambda inventory: walked(inventory, query))

    @rule(token=st.text(min_size=1))
    def go_on_from_nowhere(self, token):
        """Send a page token that is none."""
        self.agreed(lambda inventory: inventory.list_items(ListItems(page_token=token)))

    @invariant()
    def the_books_are_equal(self):
        """Every repository holds the same items, and the same of them are low."""
        for query in (ListItems(page_size=50), ListItems(low_stock=True, page_size=50)):
            self.agreed(lambda inventory, query=query: walked(inventory, query))


Agreement.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
TestAgreement = Agreement.TestCase
