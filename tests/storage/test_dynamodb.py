"""The contract on moto, and failures that only DynamoDB has. Classes without `Test` also run on DynamoDB Local."""

import logging
import time
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from uuid import uuid4

import boto3
import pytest
from attrs import evolve
from moto import mock_aws

from inventory import DeleteItem, Inventory, ListMovements, timeouts
from inventory.errors import (
    InvalidCursorError,
    StaleReadError,
    StorageThrottledError,
    StorageUnavailableError,
    UnreadableItemError,
)
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import PageRequest
from inventory.ports import Change, ItemFilter, ItemWrite, MovementFilter
from inventory.reservations import Reservation
from inventory.snapshots import copy
from inventory.stock import Movement
from inventory.timeouts import deadline
from inventory_adapters.aws.boto_transport import BotoTransport
from inventory_adapters.aws.http_transport import HttpTransport
from inventory_adapters.aws.transport import NoAnswerError, NotSentError, ServiceError
from inventory_adapters.storage import cursors
from inventory_adapters.storage import unreadable as unreadable_rows
from inventory_adapters.storage.dynamodb import DynamoDBRepository, lists
from inventory_adapters.storage.dynamodb.rows import (
    item_to_row,
    key_to_row,
    movement_key,
    reservation_key,
)
from inventory_adapters.storage.dynamodb.schema import (
    LEDGER,
    create_table_arguments,
    items_schema,
)
from inventory_adapters.testing import (
    RepositoryContract,
    SnapshotContract,
    a_shop,
    a_time,
    an_edit,
    an_item,
    closed,
    creation,
    deletion,
    held,
    item_pages,
    ledger,
    list_all,
    reservation_change,
    rewrite,
)
from inventory_adapters.testing.examples import moves
from inventory_adapters.testing.lists import ListsContract
from tests.hostile_server import serving, silence
from tests.wire import (
    an_answer,
    an_error,
    cancelled,
    counted,
    failing,
    forget_all,
    lost_answer,
    require_consistency,
    shared_client,
    shared_wire,
)

TABLE = "inventory-test"
LEDGER_TABLE = "inventory-test-ledger"
ANY = ItemFilter()
LOW = ItemFilter(low_stock=True)
REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")


def create_tables(client, table, ledger_table, index_projection="all"):
    for schema, name in ((items_schema(index_projection), table), (LEDGER, ledger_table)):
        client.create_table(**create_table_arguments(schema, name))


@pytest.fixture(params=[pytest.param("boto3", marks=pytest.mark.boto3), "http"])
def transport_name(request):
    """Run every test over both transports."""
    return request.param


@pytest.fixture
def endpoint(transport_name, request, monkeypatch):
    """The URL of moto; None for moto inside boto3, which does not see our own transport."""
    if transport_name == "boto3":
        yield None
        return
    server = request.getfixturevalue("moto_server")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    yield server
    forget_all()


@pytest.fixture
def client(endpoint):
    """A client of an empty DynamoDB, with both tables."""
    with mock_aws() if endpoint is None else nullcontext():
        create_tables(shared_client(endpoint), TABLE, LEDGER_TABLE)
        yield shared_client(endpoint)


@pytest.fixture
def wire(client, transport_name, endpoint):
    """The transport of the repository."""
    return shared_wire(transport_name, endpoint)


@pytest.fixture
def pauses():
    """The pauses of the repository, in seconds; it does not sleep."""
    return []


@pytest.fixture
def repository(wire, pauses):
    return DynamoDBRepository(wire, table=TABLE, ledger_table=LEDGER_TABLE, pause=pauses.append)


@pytest.fixture
def calls(wire):
    """How often each operation was sent."""
    with counted(wire) as counts:
        yield counts


@contextmanager
def all_but_one_unprocessed(wire):
    """Let DynamoDB write one row of each batch; yield the numbers of rows that it was sent."""
    sent = []
    send = wire.send

    def send_one(service, operation, request, **options):
        if operation != "BatchWriteItem":
            return send(service, operation, request, **options)
        [(table, rows)] = request["RequestItems"].items()
        sent.append(len(rows))
        answer = send(service, operation, {"RequestItems": {table: rows[:1]}}, **options)
        return evolve(answer, body={"UnprocessedItems": {table: rows[1:]} if rows[1:] else {}})

    wire.send = send_one
    yield sent
    wire.send = send


def stored(client, repository, item):
    return client.get_item(TableName=repository._table, Key=key_to_row(item.key))["Item"]


def put(client, repository, row):
    client.put_item(TableName=repository._table, Item=row)


LEGACY_KEY = ItemKey(item_id="8c4f", sku="S" * 200)


def a_legacy_row(**attributes):
    """A row as the first version of this API wrote it, with values that are now invalid."""
    row = {
        "item_id": {"S": LEGACY_KEY.item_id},
        "sku": {"S": LEGACY_KEY.sku},
        "name": {"S": "Hammer"},
        "quantity": {"N": "5"},
        "price": {"N": "12345678901234567890123456789012345.678"},
        "category": {"S": "tools"},
        "created_at": {"S": "2024-01-31T08:00:00.123456"},
        "updated_at": {"S": "2024-02-29T08:00:00"},
        "supplier": {"S": "kept by another program"},
        **attributes,
    }
    return {name: value for name, value in row.items() if value is not None}


LEGACY_ITEM = evolve(
    an_item(LEGACY_KEY.item_id, sku=LEGACY_KEY.sku, on_hand=5),
    name="Hammer",
    price=Decimal("12345678901234567890123456789012345.678"),
    version=0,
    created_at=Timestamp("2024-01-31T08:00:00.123456"),
    updated_at=Timestamp("2024-02-29T08:00:00"),
    changed_by=None,
)

FOREIGN = {
    "no quantity": {"quantity": None},
    "quantity as text": {"quantity": {"S": "5"}},
    "half a unit": {"quantity": {"N": "2.5"}},
    "less than nothing": {"quantity": {"N": "-1"}},
    "more promised than there": {"reserved": {"N": "6"}},
    "reserved as text": {"reserved": {"S": "0"}},
    "negative version": {"version": {"N": "-1"}},
    "no name": {"name": None},
    "name as a number": {"name": {"N": "1"}},
    "no time": {"created_at": None},
    "price as a word": {"price": {"S": "cheap"}},
    "price as a list": {"price": {"L": []}},
    "description as a flag": {"description": {"BOOL": True}},
    "location as a map": {"location": {"M": {}}},
    "attributes as text": {"attributes": {"S": "blue"}},
    "an attribute as a number": {"attributes": {"M": {"size": {"N": "7"}}}},
    "time of a movement as a number": {"moved_at": {"N": "1"}},
}
# A condition can tell types and bounds, but not whether a number is whole or a text a price, nor what is in a map.
UNSEEN_BY_CONDITIONS = {"half a unit", "price as a word", "an attribute as a number"}


class TestContract(RepositoryContract):
    concurrent = False
    purges = False

    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository

    @pytest.fixture(autouse=True)
    def another_client(self, client):
        self.client = client

    def spoil(self, repository, record):
        """With another client."""
        table, key, attribute = {
            Item: lambda: (repository._table, key_to_row(record.key), "quantity"),
            Movement: lambda: (repository._ledger_table, movement_key(record), "kind"),
            Reservation: lambda: (
                repository._ledger_table,
                reservation_key(record.reservation_id),
                "lines",
            ),
        }[type(record)]()
        self.client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET #spoiled = :spoiled",
            ExpressionAttributeNames={"#spoiled": attribute},
            ExpressionAttributeValues={":spoiled": {"S": "spoiled"}},
        )


class Snapshots(SnapshotContract):
    def test_rows_of_a_restore_name_it(self, client, repository, target):
        """A publisher of events skips them; a later write keeps the name."""
        for change in a_shop():
            repository.commit(change)
        copy(repository, target, restore_id="copy-1", at=a_time())
        cart = target.get_reservation("cart")
        target.commit(reservation_change(cart, closed(cart)))

        rows = [
            row
            for table in (target._table, target._ledger_table)
            for row in client.scan(TableName=table)["Items"]
        ]

        assert len(rows) > 20
        assert {row.get("restored", {}).get("S") for row in rows} == {"copy-1"}

    def test_rows_that_were_not_written_are_sent_again(self, wire, target):
        """As often as DynamoDB writes some of them."""
        item = an_item()
        history = moves(item, *({"on_hand": 11 + n} for n in range(24))).movements
        target.start_restore("copy-1")

        with all_but_one_unprocessed(wire) as sent:
            target.restore([item, *history])

        assert sent == [1, *range(24, 0, -1)]
        assert ledger(target, item.key) == [*reversed(history)]

    def test_the_start_of_a_restore_may_lose_its_answer(self, wire, target):
        """The second attempt finds the mark of the first."""
        with lost_answer(wire, operation="PutItem"):
            target.start_restore("copy-1")

        assert target.restore_id() == "copy-1"


class TestSnapshots(Snapshots):
    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository

    @pytest.fixture
    def target(self, client, wire):
        """A repository on two more tables."""
        create_tables(client, "another", "another-ledger")
        return DynamoDBRepository(wire, table="another", pause=lambda _: None)


class EarlierRows:
    """Rows of an earlier version and of other programs."""

    def test_a_row_of_an_earlier_version_is_an_item(self, client, repository):
        """Missing attributes have defaults; long keys, naive times and 38 digits are returned unchanged."""
        put(client, repository, a_legacy_row())

        assert repository.get_item(LEGACY_KEY) == LEGACY_ITEM
        assert repository.find_item(LEGACY_KEY.item_id) == LEGACY_ITEM
        assert repository.get_items([LEGACY_KEY]) == (LEGACY_ITEM,)
        assert list_all(repository, ANY) == [LEGACY_ITEM]
        assert list_all(repository, ItemFilter(category="tools")) == [LEGACY_ITEM]
        assert list_all(repository, ItemFilter(sku=LEGACY_KEY.sku)) == [LEGACY_ITEM]

    def test_missing_attributes_pass_filters_for_their_defaults(self, client, repository):
        """A row whose location and status are missing or null is available at the default location."""
        put(client, repository, a_legacy_row(location={"NULL": True}))

        for category in (None, "tools"):
            wanted = ItemFilter(category=category, location="default")
            assert list_all(repository, wanted) == [LEGACY_ITEM]
            assert list_all(repository, evolve(wanted, location="north")) == []
        assert list_all(repository, ItemFilter(category="tools", status="available")) == [
            LEGACY_ITEM
        ]

    @pytest.mark.parametrize(
        ("attributes", "changes"),
        [
            ({"quantity": {"N": "5.0"}}, {}),
            ({"quantity": {"N": "5E+0"}}, {}),
            ({"price": None}, {"price": Decimal(0)}),
            ({"price": {"NULL": True}}, {"price": Decimal(0)}),
            ({"price": {"S": "19.90"}}, {"price": Decimal("19.90")}),
            ({"description": {"NULL": True}, "reorder_point": {"NULL": True}}, {}),
            ({"attributes": {"NULL": True}, "moved_at": {"NULL": True}}, {}),
            ({"status": {"S": "gone fishing"}}, {"status": "gone fishing"}),
        ],
    )
    def test_sloppy_writers_are_understood(self, client, repository, attributes, changes):
        """Numbers and nulls of other programs are read as such."""
        put(client, repository, a_legacy_row(**attributes))

        assert repository.get_item(LEGACY_KEY) == evolve(LEGACY_ITEM, **changes)

    def test_an_edit_keeps_what_it_does_not_know(self, client, repository):
        """Only the edited attributes, the version and the mark of the write are set."""
        put(client, repository, a_legacy_row())
        edit = an_edit(LEGACY_ITEM, name="Sledge hammer", versions={0})

        edited = repository.edit_item(edit)

        assert edited == LEGACY_ITEM.edited({"name": "Sledge hammer"}, actor="anna", at=edit.at)
        row = stored(client, repository, LEGACY_ITEM)
        assert row["supplier"] == {"S": "kept by another program"}
        assert row.keys() - a_legacy_row().keys() == {
            *("version", "changed_by", "last_write", "prior_write"),
        }

    def test_a_movement_keeps_what_it_does_not_know(self, client, repository):
        """A commit sets the attributes that differ, on missing counters, and no others."""
        put(client, repository, a_legacy_row())

        repository.commit(rewrite(LEGACY_ITEM, on_hand=3))

        row = stored(client, repository, LEGACY_ITEM)
        moved = {"seq": {"N": "1"}, "moved_at": {"S": a_time(60)}}
        assert row == a_legacy_row(quantity={"N": "3"}) | moved

    def test_a_row_of_an_earlier_version_can_be_deleted(self, client, repository):
        """Missing counters count as 0, and its ledger ends with the movement that deleted it."""
        put(client, repository, a_legacy_row())
        with pytest.raises(StaleReadError):
            repository.commit(deletion(evolve(LEGACY_ITEM, version=1)))
        change = deletion(LEGACY_ITEM)

        repository.commit(change)

        assert repository.get_item(LEGACY_KEY) is None
        assert repository.first_movement(LEGACY_KEY) == change.movements[0]

    def test_the_ledger_of_a_deleted_row_of_an_earlier_version_answers(self, client, repository):
        """The ledger starts with the opening quantity at the row's time, and ends with zero."""
        put(client, repository, a_legacy_row())
        inventory = Inventory(repository)
        ref = {"item_id": LEGACY_KEY.item_id, "sku": LEGACY_KEY.sku}

        inventory.delete_item(DeleteItem(**ref))

        last, opening = inventory.list_movements(ListMovements(**ref)).items
        assert (last.kind, last.on_hand, opening.on_hand) == (
            *("delete", 0),
            LEGACY_ITEM.level.on_hand,
        )
        assert opening.recorded_at == LEGACY_ITEM.created_at

    @pytest.mark.parametrize("attributes", FOREIGN.values(), ids=FOREIGN)
    def test_a_foreign_row_is_an_error_by_name(self, client, repository, attributes):
        """A read of the row raises an error that says so."""
        put(client, repository, a_legacy_row(**attributes))

        for read in (
            lambda: repository.get_item(LEGACY_KEY),
            lambda: repository.find_item(LEGACY_KEY.item_id),
            lambda: repository.get_items([LEGACY_KEY]),
        ):
            with pytest.raises(UnreadableItemError) as unreadable:
                read()
            assert (unreadable.value.item_id, unreadable.value.sku) == ("8c4f", "S" * 200)

    @pytest.mark.parametrize(
        "attributes",
        [row for name, row in FOREIGN.items() if name not in UNSEEN_BY_CONDITIONS],
        ids=[name for name in FOREIGN if name not in UNSEEN_BY_CONDITIONS],
    )
    def test_a_foreign_row_is_left_alone(self, client, repository, attributes):
        """It is neither edited nor deleted."""
        put(client, repository, a_legacy_row(**attributes))

        with pytest.raises(UnreadableItemError):
            repository.edit_item(an_edit(LEGACY_ITEM, description="new"))
        with pytest.raises(UnreadableItemError):
            Inventory(repository).delete_item(
                DeleteItem(item_id=LEGACY_KEY.item_id, sku=LEGACY_KEY.sku)
            )

        assert stored(client, repository, LEGACY_ITEM) == a_legacy_row(**attributes)

    def test_a_list_leaves_foreign_rows_out_with_one_warning(self, client, repository, caplog):
        """The page is full, and the log names one key and a number."""
        for number in range(4):
            foreign = a_legacy_row(
                item_id={"S": f"foreign-{number}"},
                updated_at={"S": f"200{number}"},
                name={"N": "1"},
            )
            put(client, repository, foreign)
        put(client, repository, a_legacy_row(item_id={"S": "z"}, updated_at={"S": "2025"}))

        page = repository.list_items(ItemFilter(category="tools"), PageRequest(size=1))

        assert [item.item_id for item in page.items] == ["z"]
        assert page.next_cursor is None
        [record] = [it for it in caplog.records if it.name == unreadable_rows.__name__]
        assert record.levelno == logging.WARNING
        assert "unreadable rows: 4" in record.getMessage()
        assert "'item_id': 'foreign-0'" in record.getMessage()
        assert "Hammer" not in record.getMessage()


class TestEarlierRows(EarlierRows):
    pass


class LostAnswers:
    """An answer is lost after the write, and the retry must not apply it twice."""

    def test_a_creation_succeeds(self, wire, repository):
        """The existing item is the one just written."""
        with lost_answer(wire):
            repository.commit(creation(an_item()))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_creation_that_meets_a_stranger_does_not(self, wire, repository):
        """A key of another writer's item is rejected, retried or not."""
        repository.commit(creation(an_item(name="theirs")))

        with lost_answer(wire), pytest.raises(StaleReadError):
            repository.commit(creation(an_item(name="ours")))

        assert repository.get_item(an_item().key) == an_item(name="theirs")

    def test_a_creation_of_a_low_item_succeeds(self, wire, repository):
        """The same holds for a transaction."""
        low = an_item(reorder_point=10)

        with lost_answer(wire):
            repository.commit(creation(low))

        assert list_all(repository, LOW) == [low]

    @pytest.mark.parametrize("versions", [None, {1}])
    def test_an_edit_is_applied_once(self, wire, repository, versions):
        """Also if it required the version that its first attempt has increased."""
        repository.commit(creation(an_item()))

        with lost_answer(wire):
            edited = repository.edit_item(an_edit(an_item(), name="new", versions=versions))

        assert edited == an_item(name="new", version=2, updated_at=a_time(60))
        assert repository.get_item(edited.key) == edited

    @pytest.mark.parametrize("versions", [None, {1}])
    def test_an_edit_that_another_writer_followed_is_applied_once(self, wire, repository, versions):
        """The later edit remains, and the first one returns it."""
        repository.commit(creation(an_item()))
        first = an_edit(an_item(), name="first", versions=versions)
        second = an_edit(an_item(), name="second")

        with lost_answer(wire, meanwhile=lambda: repository.edit_item(second)):
            answer = repository.edit_item(first)

        assert answer == an_item(name="second", version=3, updated_at=a_time(60))
        assert repository.get_item(answer.key) == answer

    def test_an_edit_that_many_movements_followed_is_applied_once(self, wire, repository):
        """Movements of stock do not push the mark of an edit out of the row."""
        repository.commit(creation(an_item()))

        def move():
            for _ in range(3):
                item = repository.get_item(an_item().key)
                repository.commit(rewrite(item, on_hand=item.level.on_hand - 1))

        with lost_answer(wire, meanwhile=move):
            answer = repository.edit_item(an_edit(an_item(), name="new"))

        assert (answer.version, answer.level.seq, answer.level.on_hand) == (2, 3, 7)

    def test_a_transaction_is_applied_once(self, wire, repository):
        """The movement in the ledger is our own."""
        repository.commit(creation(an_item()))

        with lost_answer(wire):
            repository.commit(rewrite(an_item(), on_hand=3))

        assert repository.get_item(an_item().key) == an_item(on_hand=3, seq=1)

    def test_a_transaction_that_another_writer_followed_is_applied_once(self, wire, repository):
        """The level has changed twice, and both movements are in the ledger."""
        repository.commit(creation(an_item()))

        def move():
            repository.commit(rewrite(an_item(on_hand=3, seq=1), on_hand=2))

        with lost_answer(wire, meanwhile=move):
            repository.commit(rewrite(an_item(), on_hand=3))

        assert repository.get_item(an_item().key) == an_item(on_hand=2, seq=2)

    def test_a_transaction_without_a_movement_is_applied_once(self, wire, repository):
        """A new reorder point has no movement, so the row has the marker."""
        repository.commit(creation(an_item()))

        with lost_answer(wire):
            repository.commit(rewrite(an_item(), reorder_point=20))

        assert list_all(repository, LOW) == [an_item(reorder_point=20, version=2)]

    def test_a_stale_transaction_stays_stale(self, wire, repository):
        """A conflict with another writer's movement is not taken for our own write."""
        repository.commit(creation(an_item()))
        repository.commit(rewrite(an_item(), on_hand=1))

        with lost_answer(wire), pytest.raises(StaleReadError):
            repository.commit(rewrite(an_item(), on_hand=1))

        assert repository.get_item(an_item().key) == an_item(on_hand=1, seq=1)

    def test_a_deletion_is_applied_once(self, wire, repository):
        """The item is gone, and the last movement of its ledger is our own."""
        repository.commit(creation(an_item()))
        change = deletion(an_item())

        with lost_answer(wire):
            repository.commit(change)

        assert repository.get_item(an_item().key) is None
        assert ledger(repository, an_item().key) == [*change.movements]

    def test_a_deletion_by_another_writer_is_not_taken_for_ours(self, wire, repository):
        """The last movement is another writer's."""
        repository.commit(creation(an_item()))
        repository.commit(deletion(an_item()))

        with lost_answer(wire), pytest.raises(StaleReadError):
            repository.commit(deletion(an_item()))


class TestLostAnswers(LostAnswers):
    pass


class Costs:
    """The cost contract: how many requests each call makes."""

    def test_calls_of_single_items(self, repository, calls):
        """Create, get, find and edit are one request each, and a deletion is one transaction."""
        repository.commit(creation(an_item()))
        repository.get_item(an_item().key)
        repository.find_item("item-1")
        edited = repository.edit_item(an_edit(an_item(), name="new"))
        repository.commit(deletion(edited))

        assert calls == dict.fromkeys(
            ["PutItem", "GetItem", "Query", "UpdateItem", "TransactWriteItems"], 1
        )

    def test_refusals_of_single_items(self, repository, calls):
        """A failed condition returns the item without a second request."""
        repository.commit(creation(an_item(reserved=1)))
        calls.clear()

        with pytest.raises(StaleReadError):
            repository.edit_item(an_edit(an_item(), name="new", versions={7}))

        assert calls == {"UpdateItem": 1}

    def test_a_movement_is_one_transaction(self, repository, calls):
        """Also if it writes many rows of the ledger and of the low-stock list."""
        repository.commit(creation(an_item(reorder_point=5)))
        calls.clear()

        repository.commit(rewrite(an_item(reorder_point=5), on_hand=1))

        assert calls == {"TransactWriteItems": 1}

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (ItemFilter(category="tools"), {"Query": 1}),
            (ItemFilter(status="available"), {"Query": 1}),
            (ItemFilter(category="tools", location="default"), {"Query": 1}),
            (ItemFilter(sku="SKU-1"), {"Query": 1, "BatchGetItem": 1}),
            (LOW, {"Query": 1, "BatchGetItem": 1}),
            (ANY, {"Scan": 1}),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("size", [2, 3, 4])
    def test_a_page(self, repository, calls, wanted, expected, size):
        """One read, with a batch read where the index has only keys: for a full page, an exact one, and a short one."""
        repository.commit(creation(*(an_item(it, reorder_point=10) for it in "abc")))
        calls.clear()

        page = repository.list_items(wanted, PageRequest(size=size))

        assert calls == expected
        assert len(page.items) == min(size, 3)
        assert (page.next_cursor is not None) == (size == 2)

    def test_an_empty_page_reads_no_items(self, repository, calls):
        """Where the index is empty, there is nothing to look up."""
        repository.list_items(LOW, PageRequest(size=1))

        assert calls == {"Query": 1}

    def test_a_page_stops_at_its_budget(self, repository, calls, monkeypatch):
        """A filter that no item passes ends with a token after a bounded number of reads."""
        monkeypatch.setattr(lists, "_FIRST_ROWS", 1)
        monkeypatch.setattr(lists, "_MAX_ROWS", 1)
        for start in range(0, 60, 20):
            repository.commit(creation(*(an_item(f"{start + it:02}") for it in range(20))))
        repository.commit(creation(an_item("x", location="north", updated_at=a_time(1))))
        wanted = ItemFilter(category="tools", location="north")
        calls.clear()

        page = repository.list_items(wanted, PageRequest(size=5))

        assert calls == {"Query": 10}
        assert page.items == ()
        assert [it.item_id for it in list_all(repository, wanted, cursor=page.next_cursor)] == ["x"]

    @pytest.mark.parametrize(("left", "reads"), [(60, 3), (3.4, 2), (1, 1)])
    def test_a_page_ends_before_its_time_is_over(self, repository, wire, monkeypatch, left, reads):
        """After 3 s, or when the deadline leaves no time for another read."""
        monkeypatch.setattr(lists, "_FIRST_ROWS", 1)
        monkeypatch.setattr(lists, "_MAX_ROWS", 1)
        repository.commit(creation(*(an_item(f"{number}") for number in range(9))))
        sent = []

        def clock(real=time.monotonic):
            return real() + len(sent)

        monkeypatch.setattr(time, "monotonic", clock)
        monkeypatch.setattr(timeouts, "monotonic", clock)
        with deadline(left), wire.hooked(after=lambda operation, *_: sent.append(operation)):
            page = repository.list_items(ItemFilter(location="north"), PageRequest(size=5))

        assert len(sent) == reads
        assert page.items == ()
        assert page.next_cursor is not None


class TestCosts(Costs):
    pass


class Lists:
    """Lists where DynamoDB differs from the reference."""

    @pytest.mark.parametrize(
        "wanted",
        [
            ItemFilter(category="x" * 2048),
            ItemFilter(status="\x00"),
            ItemFilter(sku="\N{GRINNING FACE}" * 256),
            ItemFilter(location="x" * 2048),
            ItemFilter(category="", location=""),
        ],
        ids=["category", "status", "sku", "location", "empty"],
    )
    def test_filters_that_nothing_can_pass_find_nothing(self, repository, wanted):
        """The longest and most unusual values are valid filters."""
        repository.commit(creation(an_item()))

        assert list_all(repository, wanted) == []

    def test_a_forged_place_in_another_partition_is_refused(self, repository):
        """Anyone can make a token: DynamoDB would answer a start key outside of the query with an error of its own."""
        wanted = ItemFilter(sku="SKU-1")
        forged = cursors.encode(cursors.fingerprint(wanted), ("item-1", "SKU-2"))

        with pytest.raises(InvalidCursorError):
            repository.list_items(wanted, PageRequest(size=1, cursor=forged))

    @pytest.mark.parametrize(
        "wanted",
        [
            ItemFilter(category="tools"),
            ItemFilter(status="available"),
            ItemFilter(sku="SKU-1"),
            LOW,
            ANY,
        ],
        ids=str,
    )
    def test_a_forged_place_is_a_place(self, repository, wanted):
        """A token for a row that never existed continues after its place."""
        repository.commit(creation(*(an_item(it, reorder_point=10) for it in ("a", "zz"))))
        place = ("9999", "m", "SKU-1") if wanted.index == "category" else ("m", "SKU-1")
        forged = cursors.encode(cursors.fingerprint(wanted), place)

        page = repository.list_items(wanted, PageRequest(size=10, cursor=forged))

        assert page.next_cursor is None
        assert {it.item_id for it in page.items} <= {"a", "zz"}

    def test_the_marker_of_an_item_goes_with_it(self, client, repository):
        """In the transaction that deletes the item: what is left is the movement."""
        repository.commit(creation(an_item(reorder_point=10)))

        repository.commit(deletion(an_item(reorder_point=10)))

        left = client.scan(TableName=repository._ledger_table)["Items"]
        assert [row["kind"] for row in left] == [{"S": "delete"}]

    def test_a_walk_of_low_stock_goes_past_markers_that_were_left(self, client, repository):
        """Another program deleted rows without their markers; pages are full, and no reader writes."""
        items = [an_item(f"item-{number}", reorder_point=10) for number in range(7)]
        repository.commit(creation(*items))
        for item in items[:6:2]:
            client.delete_item(
                TableName=repository._table,
                Key={"item_id": {"S": item.item_id}, "sku": {"S": item.sku}},
            )
        before = client.scan(TableName=repository._ledger_table)["Count"]

        listed = [page.items for page in item_pages(repository, LOW, size=2)]

        assert listed == [(items[1], items[3]), (items[5], items[6])]
        assert client.scan(TableName=repository._ledger_table)["Count"] == before

    def test_keys_too_long_to_join_are_listed_too(self, repository):
        """An id and a SKU of 1000 bytes each fit no sort key together; a hash does."""
        long = an_item("i" * 1000, sku="s" * 1000, reorder_point=10)
        repository.commit(creation(long))
        change = rewrite(long, on_hand=5)
        repository.commit(change)

        assert list_all(repository, LOW) == [change.items[0].after]


class TestLists(Lists):
    pass


class KeysOnly(ListsContract):
    """Lists of a table whose indexes by category and status have only keys."""

    @pytest.fixture
    def repository(self, client, wire):
        """A repository on such a table."""
        table = f"keys-only-{uuid4()}"
        create_tables(client, table, f"{table}-ledger", index_projection="keys")
        yield DynamoDBRepository(wire, table=table, index_projection="keys")
        for name in (table, f"{table}-ledger"):
            client.delete_table(TableName=name)

    @pytest.mark.parametrize("wanted", [{"category": "tools"}, {"status": "available"}])
    def test_a_page_is_a_query_and_a_batch_read(self, repository, wire, wanted):
        """The query has no filter, because the index has no other attributes; the items are current."""
        items = [an_item(it, location=it, updated_at=a_time(n)) for n, it in enumerate("abc")]
        repository.commit(creation(*items))
        change = rewrite(items[1], on_hand=7)
        repository.commit(change)
        moved = change.items[0].after
        requests = []

        with wire.hooked(before=lambda *sent: requests.append(sent)):
            page = repository.list_items(ItemFilter(**wanted), PageRequest(size=2))
            found = list_all(repository, ItemFilter(**wanted, location="b"))

        assert page.items == (items[0], moved)
        assert found == [moved]
        assert [operation for operation, _ in requests] == ["Query", "BatchGetItem"] * 2
        assert not any("FilterExpression" in request for _, request in requests)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_an_item_that_is_edited_while_its_page_is_read_hides_no_other(
        self, repository, wire, size
    ):
        """The cursor comes from the row of the index, not from the item, whose place is a later one now."""
        items = [an_item(it, updated_at=a_time(n)) for n, it in enumerate("abcd")]
        repository.commit(creation(*items))
        edits = [an_edit(item, name="new") for item in items[:size]]
        left = list(edits)

        def edit(operation, _request, _answer):
            if operation == "Query":
                while left:
                    repository.edit_item(left.pop())

        with wire.hooked(after=edit):
            listed = list_all(repository, ItemFilter(category="tools"), size=size)

        assert [item.item_id for item in listed][:4] == list("abcd")

    def test_items_that_changed_meanwhile_are_filtered_again(self, repository, wire):
        """The index may lag behind."""
        repository.commit(creation(an_item("a"), an_item("b")))
        done = []

        def edit(operation, _request, _answer):
            if operation == "Query" and not done:
                done.append(repository.edit_item(an_edit(an_item("a"), category="garden")))

        with wire.hooked(after=edit):
            listed = list_all(repository, ItemFilter(category="tools"))

        assert listed == [an_item("b")]


@pytest.mark.moto
class TestKeysOnly(KeysOnly):
    pass


class TestFailures:
    """Errors of DynamoDB."""

    @pytest.mark.parametrize(
        "code",
        [
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
        ],
    )
    def test_a_throttled_call_is_sent_again(self, wire, repository, code):
        """Two throttled attempts, then an answer."""
        with failing(wire, an_error(code), an_error(code)):
            repository.commit(creation(an_item()))

        assert repository.get_item(an_item().key) == an_item()

    def test_a_transaction_throttled_twice_is_sent_again(self, wire, repository, pauses):
        """The SDK does not retry transactions, so we do, with random pauses."""
        throttled = cancelled("ThrottlingError", "None")

        with failing(wire, throttled, throttled):
            repository.commit(creation(an_item(reorder_point=10)))

        assert list_all(repository, LOW) == [an_item(reorder_point=10)]
        assert len(pauses) == 2
        assert 0 <= pauses[0] <= 0.1
        assert 0 <= pauses[1] <= 0.2

    def test_a_store_that_stays_busy_is_an_error_of_its_own(self, wire, repository):
        """After a bounded number of attempts."""
        busy = [an_error("ProvisionedThroughputExceededException")] * 100

        with failing(wire, *busy) as left, pytest.raises(StorageThrottledError):
            repository.get_item(an_item().key)

        assert left

    def test_no_pause_is_longer_than_what_is_left(self, wire, repository, pauses, monkeypatch):
        """Near the deadline, there is no retry."""
        monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
        throttled = an_error("ThrottlingException")

        with (
            deadline(0.9),
            failing(wire, throttled, throttled),
            pytest.raises(StorageThrottledError),
        ):
            repository.get_item(an_item().key)

        assert pauses == []

    def test_a_conflict_asks_for_a_new_decision(self, wire, repository, pauses):
        """Another transaction was writing the row, so a retry would find it changed."""
        repository.commit(creation(an_item()))

        with (
            failing(wire, cancelled("TransactionConflict", "None")),
            pytest.raises(StaleReadError),
        ):
            repository.commit(rewrite(an_item(), on_hand=1))

        assert repository.get_item(an_item().key) == an_item()
        assert pauses == []

    def test_a_conflict_of_a_single_write_is_sent_again(self, wire, repository, pauses):
        """A single write has its conditions in the request, and no caller decides again."""
        repository.commit(creation(an_item()))

        with failing(wire, an_error("TransactionConflictException")):
            repository.edit_item(an_edit(an_item(), name="new"))

        assert repository.get_item(an_item().key).name == "new"
        assert len(pauses) == 1

    def test_endless_conflict_of_a_single_write_is_no_missing_item(self, wire, repository):
        """No condition was checked, so the error is throttling and not a stale read."""
        repository.commit(creation(an_item()))

        with (
            failing(wire, *[an_error("TransactionConflictException")] * 100),
            pytest.raises(StorageThrottledError),
        ):
            repository.edit_item(an_edit(an_item(), name="new"))

    def test_one_failed_condition_among_other_reasons_is_stale(self, wire, repository, pauses):
        """A failed condition takes precedence over the errors of other rows."""
        mixed = cancelled("ThrottlingError", "ConditionalCheckFailed", "TransactionConflict")

        with failing(wire, mixed), pytest.raises(StaleReadError):
            repository.commit(creation(an_item(reorder_point=10)))

        assert pauses == []

    def test_a_refusal_of_what_we_sent_is_our_mistake(self, client, wire, repository):
        """It is not a storage error, because a retry cannot help."""
        with (
            failing(wire, cancelled("ValidationError", "None")),
            pytest.raises(ServiceError, match="TransactionCanceledException"),
        ):
            repository.commit(creation(an_item(reorder_point=10)))

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_broken_store_is_unavailable(self, wire, repository, status):
        """After the last attempt."""
        broken = an_error("InternalServerError", status)

        with failing(wire, *[broken] * 3) as left, pytest.raises(StorageUnavailableError):
            repository.get_item(an_item().key)

        assert left == []

    def test_a_missing_table_is_named(self, wire):
        """The message names the table, because its name may be misconfigured."""
        repository = DynamoDBRepository(wire, table="nowhere")

        with pytest.raises(StorageUnavailableError, match=r"no table 'nowhere'$"):
            repository.get_item(an_item().key)
        with pytest.raises(StorageUnavailableError, match=r"no table 'nowhere'$"):
            repository.get_items([an_item().key])

    def test_a_transaction_names_both_tables(self, wire, repository):
        """DynamoDB does not name the missing table."""
        missing = an_error("ResourceNotFoundException")

        with (
            failing(wire, missing),
            pytest.raises(StorageUnavailableError, match=r"'inventory-test' or '.*-ledger'"),
        ):
            repository.commit(creation(an_item(reorder_point=10)))

    @pytest.mark.parametrize("code", ["UnrecognizedClientException", "AccessDeniedException"])
    def test_refused_credentials_are_said_to_be(self, wire, repository, code):
        """The message does not contain them."""
        with (
            failing(wire, an_error(code)),
            pytest.raises(StorageUnavailableError, match="does not accept our AWS credentials"),
        ):
            repository.get_item(an_item().key)

    @pytest.mark.parametrize("transport", [HttpTransport, lambda: BotoTransport(boto3.Session())])
    @pytest.mark.parametrize("missing", [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), REGION])
    def test_a_missing_setting_is_said_to_be(self, monkeypatch, transport, missing):
        """The constructor succeeds; calls fail at once, with a sentence for the log."""
        for name in missing:
            monkeypatch.delenv(name)
        repository = DynamoDBRepository(transport(), table=TABLE, pause=pytest.fail)

        with pytest.raises(StorageUnavailableError, match=r"(?i)credentials|region"):
            repository.get_item(an_item().key)

    def test_what_cannot_pass_is_not_sent_again(self, wire, repository, pauses):
        """An untrusted certificate is not retried."""
        untrusted = NotSentError("not trusted", retryable=False)

        with failing(wire, untrusted), pytest.raises(StorageUnavailableError, match="not trusted"):
            repository.get_item(an_item().key)

        assert pauses == []

    def test_unprocessed_keys_are_asked_for_again(self, wire, repository, pauses):
        """As often as DynamoDB returns unprocessed keys."""
        repository.commit(creation(an_item("a"), an_item("b")))
        keys = [key_to_row(an_item(it).key) for it in "ab"]
        request = {TABLE: {"Keys": keys[1:], "ConsistentRead": True}}
        some = {TABLE: [item_to_row(an_item("a"))]}
        answers = [
            an_answer({"Responses": some, "UnprocessedKeys": request}),
            an_answer({"Responses": {}, "UnprocessedKeys": request}),
        ]

        with failing(wire, *answers):
            found = repository.get_items([an_item("a").key, an_item("b").key])

        assert found == (an_item("a"), an_item("b"))
        assert len(pauses) == 2

    def test_keys_that_are_never_processed_are_no_missing_items(self, wire, repository):
        """Dropping them would say that the items do not exist."""
        request = {TABLE: {"Keys": [key_to_row(an_item().key)], "ConsistentRead": True}}
        nothing = an_answer({"Responses": {}, "UnprocessedKeys": request})

        with failing(wire, *[nothing] * 100) as left, pytest.raises(StorageThrottledError):
            repository.get_items([an_item().key])

        assert left

    def test_a_change_larger_than_a_transaction_is_refused_by_us(self, repository, calls):
        """Before anything is sent."""
        items = [an_item(f"{number:03}") for number in range(101)]

        with pytest.raises(ValueError, match="at most 100 actions, not 101"):
            repository.commit(creation(*items))

        assert not calls

    def test_an_item_that_a_change_only_looks_at_is_checked(self, client, repository):
        """An item that does not change must still be as it was read, and is not written."""
        repository.commit(creation(an_item("seen"), an_item("moved")))
        before = stored(client, repository, an_item("seen"))
        seen = ItemWrite(before=an_item("seen"), after=an_item("seen"))
        change = rewrite(an_item("moved"), on_hand=1)
        change = evolve(change, items=(seen, *change.items))

        repository.commit(change)
        assert stored(client, repository, an_item("seen")) == before

        repository.edit_item(an_edit(an_item("seen"), name="new"))
        again = rewrite(an_item("moved", on_hand=1, seq=1), on_hand=2)
        with pytest.raises(StaleReadError):
            repository.commit(evolve(again, items=(seen, *again.items)))

    def test_write_ids_of_any_length_make_a_token(self, client, repository):
        """A token has at most 36 characters, but write IDs have any length."""
        item = an_item(reorder_point=10)
        change = Change(write_id="x" * 500, items=(ItemWrite(before=None, after=item),))

        repository.commit(change)

        assert repository.get_item(item.key) == item


READS = {
    "get_item": ("GetItem", lambda it: it.get_item(an_item().key)),
    "find_item": ("Query", lambda it: it.find_item("item-1")),
    "get_items": ("BatchGetItem", lambda it: it.get_items([an_item().key])),
    "get_reservation": ("GetItem", lambda it: it.get_reservation("r")),
    "get_idempotency_record": ("GetItem", lambda it: it.get_idempotency_record("r")),
    "list_movements": (
        "Query",
        lambda it: it.list_movements(MovementFilter(key=an_item().key), PageRequest(size=1)),
    ),
    "first_movement": ("Query", lambda it: it.first_movement(an_item().key)),
    "held_reservations": ("Scan", lambda it: it.held_reservations(PageRequest(size=1))),
    "get_reservations": ("BatchGetItem", lambda it: it.get_reservations(["r"])),
    "reservations of an item": ("Query", lambda it: held(it, key=an_item().key)),
    "purge": ("Query", lambda it: it.purge(a_time())),
    "low stock": ("BatchGetItem", lambda it: list_all(it, LOW)),
    "of a SKU": ("BatchGetItem", lambda it: list_all(it, ItemFilter(sku="SKU-1"))),
}


class TestConsistency:
    @pytest.mark.parametrize(("operation", "read"), READS.values(), ids=READS)
    def test_a_read_never_lags_behind(self, wire, repository, calls, operation, read):
        """A commit based on a stale level conflicts; a stale page of the ledger misses a movement."""
        repository.commit(creation(an_item(reorder_point=10)))
        requests = []

        with wire.hooked(before=lambda *sent: requests.append(sent)):
            read(repository)

        assert operation in [name for name, _ in requests]
        for sent in requests:
            require_consistency(*sent)

    @pytest.mark.parametrize(
        ("operation", "request_"),
        [
            ("GetItem", {}),
            ("GetItem", {"ConsistentRead": False}),
            ("Query", {"TableName": "t"}),
            ("BatchGetItem", {"RequestItems": {"t": {"ConsistentRead": True}, "u": {}}}),
            ("Scan", {"TableName": "t-ledger"}),
        ],
    )
    def test_a_read_that_may_lag_behind_is_noticed(self, operation, request_):
        """The check that runs in all tests of repositories finds such reads."""
        with pytest.raises(AssertionError):
            require_consistency(operation, request_)


class TestTokens:
    def tokens(self, wire, *commits):
        """Return the tokens of the transactions that *commits* send, in order."""
        found = []

        def note(operation, request):
            if operation == "TransactWriteItems":
                found.append(request.get("ClientRequestToken", ""))

        with wire.hooked(before=note):
            for commit in commits:
                commit()
        return found

    def test_attempts_at_one_change_have_one_token(self, wire, repository):
        """DynamoDB applies requests with one token once."""
        low = creation(an_item(reorder_point=10))

        with lost_answer(wire, operation="TransactWriteItems", times=2):
            sent = self.tokens(wire, lambda: repository.commit(low))

        assert len(sent) == 3
        assert len(set(sent)) == 1
        assert 1 <= len(sent[0]) <= 36

    def test_changes_have_tokens_of_their_own(self, client, wire, repository):
        """Also two under one write ID, on other tables; an ID of any length makes one."""
        create_tables(client, "elsewhere", "elsewhere-ledger")
        elsewhere = DynamoDBRepository(wire, table="elsewhere")
        items = (an_item("a", reorder_point=10), an_item("b", reorder_point=10))
        changes = [evolve(creation(it), write_id="x" * 500 + it.item_id) for it in items]

        sent = self.tokens(
            wire,
            *(lambda change=change: repository.commit(change) for change in changes),
            lambda: elsewhere.commit(changes[0]),
        )

        for name in ("elsewhere", "elsewhere-ledger"):
            client.delete_table(TableName=name)
        assert len(set(sent)) == 3
        assert all(1 <= len(it) <= 36 for it in sent)


class TestDeadline:
    def test_no_call_begins_after_the_deadline(self, repository, calls):
        """After the deadline, no caller waits for an answer."""
        with deadline(0), pytest.raises(StorageUnavailableError):
            repository.get_item(an_item().key)

        assert not calls

    def test_a_call_knows_how_much_time_is_left(self, wire, repository):
        """An attempt ends by the deadline, even if its answer is slow."""
        told = []
        transport = wire.transport

        class Timed:
            def send(self, *request, seconds):
                told.append(seconds)
                return transport.send(*request, seconds=seconds)

        wire.transport = Timed()
        with deadline(7):
            repository.get_item(an_item().key)

        assert 6 < told[0] <= 7

    @pytest.mark.parametrize(
        "failure",
        [
            an_error("ThrottlingException"),
            an_error("InternalServerError", 500),
            NoAnswerError("lost"),
            NotSentError("refused", retryable=True),
        ],
        ids=str,
    )
    @pytest.mark.parametrize(("left", "attempts"), [(0.24, 1), (60, 2)])
    def test_a_repeat_needs_a_quarter_of_a_second(  # noqa: PLR0917 - as many as it has conditions
        self, wire, repository, calls, failure, left, attempts, monkeypatch
    ):
        """With less, it would end before its answer."""
        monkeypatch.setattr("random.uniform", lambda _low, _high: 0.0)

        with deadline(left), failing(wire, failure):
            if attempts == 1:
                with pytest.raises((StorageUnavailableError, StorageThrottledError)):
                    repository.get_item(an_item().key)
            else:
                repository.get_item(an_item().key)

        assert calls == {"GetItem": attempts}

    @pytest.mark.parametrize(
        ("failure", "attempts"),
        [
            (NoAnswerError("lost"), 3),
            (NotSentError("refused", retryable=True), 3),
            (an_error("InternalServerError", 500), 3),
            (an_error("ProvisionedThroughputExceededException"), 6),
        ],
    )
    def test_attempts_are_bounded(self, wire, repository, calls, failure, attempts):
        """For callers without a deadline."""
        with (
            failing(wire, *[failure] * 100),
            pytest.raises((StorageUnavailableError, StorageThrottledError)),
        ):
            repository.get_item(an_item().key)

        assert calls == {"GetItem": attempts}

    @pytest.mark.parametrize(
        "transport",
        [
            HttpTransport,
            pytest.param(
                lambda: BotoTransport(boto3.Session()), marks=pytest.mark.boto3, id="boto3"
            ),
        ],
    )
    def test_a_request_in_a_function_is_given_up_in_time(self, monkeypatch, transport):
        """The real case: 5 seconds for the function, half a second of reserve, and no answer from DynamoDB."""
        with serving(silence, silence, silence) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            repository = DynamoDBRepository(transport(), table=TABLE)
            started = time.monotonic()

            with deadline(4.5), pytest.raises(StorageUnavailableError):
                repository.get_item(an_item().key)

        assert 2 < time.monotonic() - started < 4.5
        assert 2 <= len(server.requests) <= 3


class TestSources:
    @pytest.mark.parametrize("transport_name", ["boto3"], indirect=True)
    @pytest.mark.parametrize("make", [boto3.Session, lambda: boto3.client("dynamodb")])
    def test_a_session_or_a_client_of_boto3_will_do(self, client, make):
        """The ledger table is named after the items table by default."""
        repository = DynamoDBRepository(make(), table=TABLE)

        repository.commit(creation(an_item(reorder_point=10)))

        assert client.scan(TableName=f"{TABLE}-ledger")["Count"] == 1

    def test_anything_else_is_refused(self):
        """By name, before anything is sent."""
        with pytest.raises(TypeError, match="client: str"):
            DynamoDBRepository("dynamodb", table=TABLE)
