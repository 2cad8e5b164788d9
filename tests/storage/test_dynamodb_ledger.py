"""Movements, reservations and idempotency records in DynamoDB, and that no fault doubles an effect or leaks a unit."""

from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil

import pytest
from attrs import evolve

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
    GetReservation,
    IdempotencyKey,
    Inventory,
    InventoryError,
    ItemKey,
    ListMovements,
    PageRequest,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import (
    DuplicateRequestError,
    StaleReadError,
    StorageThrottledError,
    StorageUnavailableError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Timestamp
from inventory.ports import Change, ItemFilter, MovementFilter, ReservationWrite
from inventory.reservations import FAR_SECONDS, RETENTION_SECONDS, ReservationState
from inventory_adapters.aws.transport import NoAnswerError
from inventory_adapters.storage.dynamodb import DynamoDBRepository, reservation_lists
from inventory_adapters.storage.dynamodb.actions import Actions
from inventory_adapters.storage.dynamodb.rows import (
    idempotency_record_key,
    movement_to_row,
    reservation_key,
    row_to_key,
)
from inventory_adapters.storage.dynamodb.schema import DUE_INDEX, DUE_SHARDS, due_shard
from inventory_adapters.testing import (
    a_reservation,
    a_time,
    an_item,
    creation,
    deletion,
    held,
    list_all,
    reservation_change,
    rewrite,
)
from tests.storage import test_dynamodb
from tests.storage.test_dynamodb import create_tables
from tests.wire import an_answer, an_error, cancelled, failing, lost_answer

transport_name = test_dynamodb.transport_name
endpoint = test_dynamodb.endpoint
client = test_dynamodb.client
wire = test_dynamodb.wire
pauses = test_dynamodb.pauses
repository = test_dynamodb.repository
calls = test_dynamodb.calls

START = datetime(2026, 5, 1, 9, 30, 0, 250_000, tzinfo=UTC)
ANY = ItemFilter()
LOW = ItemFilter(low_stock=True)
A, B, C = (ItemKey(item_id=it, sku="SKU-1") for it in "abc")


class World:
    """
    Two items of ten units, a third that nobody holds, a reservation that is held and one that is due.

    Two worlds with one past are equal, row by row. The clock stands still but for `pass_time`, and ids are counted.
    """

    def __init__(self, repository):
        self.repository = repository
        self.now = START
        self.inventory = self.opened("ours")
        repository.commit(evolve(creation(*(an_item(it) for it in "abc")), write_id="creation"))
        self.due = self.reserve((A, 1), (B, 1), ttl_seconds=60).reservation_id
        self.pass_time(60)
        self.held = self.reserve((A, 2), (B, 1)).reservation_id

    def opened(self, name):
        """The inventory as another process sees it."""
        ids = count(1)
        return Inventory(
            self.repository,
            clock=lambda: self.now,
            new_id=lambda: f"{name}-{next(ids)}",
            pause=lambda _: None,
        )

    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)

    def reserve(self, *lines, key=None, **more):
        lines = tuple({"item_id": it.item_id, "sku": it.sku, "quantity": n} for it, n in lines)
        command = CreateReservation(lines=lines, idempotency_key=key, **more)
        return self.inventory.create_reservation(command)

    def adjust(self, key=None, delta=-3):
        command = AdjustStock(
            item_id="a", sku="SKU-1", delta=delta, reason="sold", idempotency_key=key
        )
        return self.inventory.adjust_stock(command)

    def promised(self):
        units = Counter()
        for reservation in held(self.repository, size=2):
            units.update({line.key: line.quantity for line in reservation.lines})
        return units

    def assert_the_books_agree(self):
        """Every unit is explained by the ledger, every promise by an open reservation."""
        promised = self.promised()
        for item in list_all(self.repository, ANY):
            assert item.level.reserved == promised.pop(item.key, 0)
            query = ListMovements(item_id=item.item_id, sku=item.sku)
            entries = self.inventory.list_movements(query).items
            assert [it.seq for it in entries] == list(range(item.level.seq, -1, -1))
            assert sum(it.delta_on_hand for it in entries) == item.level.on_hand
            assert sum(it.delta_reserved for it in entries) == item.level.reserved
        assert not promised


def commit(world, key=None):
    command = CommitReservation(reservation_id=world.held, idempotency_key=key)
    return world.inventory.commit_reservation(command)


def release(world, key=None):
    command = ReleaseReservation(reservation_id=world.held, idempotency_key=key)
    return world.inventory.release_reservation(command)


def extend(world, key=None):
    command = ExtendReservation(reservation_id=world.held, ttl_seconds=5000, idempotency_key=key)
    return world.inventory.extend_reservation(command)


def count_stock(world, key=None):
    command = CountStock(item_id="a", sku="SKU-1", quantity=8, idempotency_key=key)
    return world.inventory.count_stock(command)


def transfer(world, key=None):
    ends = [{"item_id": it.item_id, "sku": it.sku} for it in (A, B)]
    command = TransferStock(source=ends[0], destination=ends[1], quantity=2, idempotency_key=key)
    return world.inventory.transfer_stock(command)


def create(world, key=None):
    command = CreateItem(sku="SKU-9", name="Saw", category="tools", quantity=1, idempotency_key=key)
    return world.inventory.create_item(command)


def batch(world, key=None):
    """The first row changes nothing, so nothing in it tells whose write it was."""
    rows = [
        {"item_id": "b", "sku": "SKU-1"},
        {"item_id": "a", "sku": "SKU-1", "quantity": 9, "name": "Axe"},
        {"sku": "SKU-9", "name": "Saw", "category": "tools", "quantity": 1},
    ]
    return world.inventory.batch_items(BatchItems(items=rows, idempotency_key=key))


def batch_of_details(world, key=None):
    """As `batch`, without a movement."""
    rows = [
        {"item_id": "b", "sku": "SKU-1"},
        {"sku": "SKU-9", "name": "Saw", "category": "tools", "quantity": 1},
    ]
    return world.inventory.batch_items(BatchItems(items=rows, idempotency_key=key))


def update(**fields):
    def updating(world, key=None):
        command = UpdateItem(item_id="a", sku="SKU-1", idempotency_key=key, **fields)
        return world.inventory.update_item(command)

    return updating


def delete(world, key=None):
    command = DeleteItem(item_id="c", sku="SKU-1", idempotency_key=key)
    return world.inventory.delete_item(command)


def sweep(world, key=None):
    return world.inventory.expire_reservations(ExpireReservations())


KEYED = {
    "adjust": World.adjust,
    "count": count_stock,
    "transfer": transfer,
    "create": create,
    "reserve": lambda world, key=None: world.reserve((A, 1), (B, 1), key=key),
    "commit": commit,
    "release": release,
    "extend": extend,
    "batch": batch,
    "batch of details": batch_of_details,
    "details": update(name="Axe"),
    "quantity": update(quantity=9, name="Axe"),
    "reorder point": update(reorder_point=1),
    "delete": delete,
}
VERBS = KEYED | {"sweep": sweep}
KEYED["nothing"] = update()
# With a key they are transactions, because the record of the key is written beside them.
SINGLE_WRITES = {
    "create": "PutItem",
    "details": "UpdateItem",
    "reorder point": "UpdateItem",
}


@pytest.fixture
def new_world(client, wire, repository):
    """Makes worlds, each on tables of its own."""
    made = []

    def make():
        table = f"{repository._table}-{len(made)}"
        made.append(table)
        create_tables(client, table, f"{table}-ledger")
        return World(DynamoDBRepository(wire, table=table, pause=lambda _: None))

    yield make
    for table in made:
        client.delete_table(TableName=table)
        client.delete_table(TableName=f"{table}-ledger")


@pytest.fixture
def world(new_world):
    return new_world()


def rows(client, world):
    """Everything that is stored, and nothing about the order it was stored in."""
    tables = (world.repository._table, world.repository._ledger_table)
    found = [
        row
        for table in tables
        for row in client.scan(TableName=table, ConsistentRead=True)["Items"]
    ]
    return sorted((sorted(row.items(), key=lambda it: it[0]) for row in found), key=repr)


def stored_reservation(client, world, reservation_id):
    key = reservation_key(reservation_id)
    return client.get_item(TableName=world.repository._ledger_table, Key=key)["Item"]


def ledger_rows(client, world, prefix):
    scanned = client.scan(TableName=world.repository._ledger_table, ConsistentRead=True)
    return [it for it in scanned["Items"] if it["pk"]["S"].startswith(prefix)]


def pointers(client, world):
    """Item, reservation, and the seconds from `world.now` until its end, of each pointer."""
    return {
        (
            row_to_key(row),
            row["reservation_id"]["S"],
            (datetime.fromisoformat(row["sk"]["S"].split("#")[0]) - world.now).total_seconds(),
        )
        for row in ledger_rows(client, world, "holds#")
    }


def stale_marker(repository, item_id="a"):
    """Store an item that is not low, with a marker of the first minute."""
    before = an_item(item_id, on_hand=3, reorder_point=2)
    repository.commit(creation(before))
    low = rewrite(before, on_hand=1)
    repository.commit(low)
    enough = rewrite(low.items[0].after, on_hand=5)
    with_marker = Actions.of

    def without_room(self, change):
        writes = with_marker(self, change)
        return evolve(writes, actions=[it for it in writes.actions if "Delete" not in it])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Actions, "of", without_room)
        repository.commit(enough)
    return enough.items[0].after


def in_due_index(client, world):
    return [
        row["pk"]["S"]
        for shard in DUE_SHARDS
        for row in client.query(
            TableName=world.repository._ledger_table,
            IndexName=DUE_INDEX.name,
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": shard}},
        )["Items"]
    ]


def a_key(value="order-7"):
    return IdempotencyKey(value)


class Rows:
    """What is stored, beyond what the contract can see."""

    @pytest.mark.parametrize(
        ("close", "state"),
        [(commit, "committed"), (release, "released"), (sweep, "expired")],
        ids=["commit", "release", "expire"],
    )
    def test_only_a_closed_reservation_is_marked_for_ttl(self, client, world, close, state):
        """Opened, extended, even overdue: nothing that still holds units may be deleted by a clock."""
        assert "delete_after" not in stored_reservation(client, world, world.held)
        extend(world)
        assert "delete_after" not in stored_reservation(client, world, world.held)
        world.pass_time(4999 if close is not sweep else 5000)
        assert "delete_after" not in stored_reservation(client, world, world.held)

        close(world)

        row = stored_reservation(client, world, world.held)
        assert row["state"] == {"S": state}
        assert row["delete_after"] == {"N": str(ceil(world.now.timestamp()) + RETENTION_SECONDS)}

    def test_only_held_reservations_are_in_the_due_index(self, client, world):
        """What is closed leaves it in the same write."""
        assert len(in_due_index(client, world)) == 2

        sweep(world)
        assert in_due_index(client, world) == [f"reservation#{world.held}"]

        commit(world)
        assert in_due_index(client, world) == []

    def test_a_served_record_is_marked_for_ttl(self, client, world):
        """The second after it expires: never before."""
        world.adjust(a_key())

        key = idempotency_record_key(a_key().record_id)
        row = client.get_item(TableName=world.repository._ledger_table, Key=key)["Item"]
        record = world.repository.get_idempotency_record(a_key().record_id)
        assert row["delete_after"] == {"N": str(ceil(record.expires_at.as_datetime().timestamp()))}
        assert record.expires_at.as_datetime() == world.now + timedelta(hours=24)

    def test_movements_are_never_marked_for_ttl(self, client, world):
        """A ledger keeps everything."""
        world.adjust()

        marked = [row["pk"]["S"] for row in map(dict, rows(client, world)) if "delete_after" in row]

        assert all(pk.startswith("holds#") for pk in marked)

    def test_an_open_reservation_has_a_pointer_for_each_item_that_it_holds(self, client, world):
        """Extended, committed in part and closed: they follow, and TTL may delete what is left a day after the end."""
        created_at = world.now
        assert pointers(client, world) == {(it, world.held, 900) for it in (A, B)} | {
            (it, world.due, 0) for it in (A, B)
        }
        extend(world)
        assert {it for it in pointers(client, world) if it[1] == world.held} == {
            (it, world.held, 5000) for it in (A, B)
        }
        extend(world)
        part = [{"item_id": it.item_id, "sku": it.sku, "quantity": 1} for it in (A, B)]
        world.inventory.commit_reservation(
            CommitReservation(reservation_id=world.held, lines=part, idempotency_key=a_key("part"))
        )
        assert {it for it in pointers(client, world) if it[1] == world.held} == {
            (A, world.held, 5000)
        }
        [row] = [it for it in ledger_rows(client, world, "holds#") if world.held in it["sk"]["S"]]
        assert row["put_at"] == {"S": Timestamp.of(created_at)}
        assert row["delete_after"] == {"N": str(ceil(created_at.timestamp()) + FAR_SECONDS)}

        release(world)
        sweep(world)

        assert pointers(client, world) == set()

    @pytest.mark.parametrize("close", [commit, release, sweep], ids=["commit", "release", "expire"])
    @pytest.mark.parametrize("failure", [an_error("AccessDeniedException"), NoAnswerError("lost")])
    def test_a_pointer_that_cannot_be_deleted_fails_no_request(
        self, client, wire, world, close, failure
    ):
        """Readers skip it, and a verb that looks for due reservations of the item deletes it after an hour."""
        left = world.due if close is sweep else world.held

        def fail(operation, _request):
            if operation == "BatchWriteItem":
                raise failure

        with wire.hooked(before=fail):
            close(world)

        assert {it[1] for it in pointers(client, world)} == {world.due, world.held}
        assert left not in {it.reservation_id for it in held(world.repository, key=A)}
        for seconds, is_there in ((3600, True), (3601, False)):
            at = Timestamp.of(START + timedelta(seconds=(0 if close is sweep else 60) + seconds))
            held(world.repository, key=A, due_by=at)
            assert ((A, left) in {it[:2] for it in pointers(client, world)}) is is_there

    def test_a_pointer_put_before_its_reservation_stays(self, client, wire, repository):
        """Another caller, who looks for due reservations of the item in between, does not delete it."""
        items = [an_item(f"item-{it:02}", reorder_point=9) for it in range(25)]
        repository.commit(creation(*items))
        shop = Inventory(repository, clock=lambda: START)
        lines = [{"item_id": it.item_id, "sku": it.sku, "quantity": 1} for it in items]
        at = Timestamp.of(START + timedelta(minutes=59))

        def look():
            for item in items:
                assert held(repository, key=item.key, due_by=at) == []

        with once_after(wire, "BatchWriteItem", look):
            reservation = shop.create_reservation(CreateReservation(lines=lines))

        for item in items:
            assert held(repository, key=item.key) == [reservation]

    @pytest.mark.parametrize("operation", ["Query", "BatchGetItem"])
    def test_a_marker_put_while_it_is_checked_stays(self, wire, repository, operation):
        """A stale marker was read, but the item becomes low before it is deleted."""
        item = stale_marker(repository)
        change = rewrite(item, on_hand=1, updated_at=a_time(7200))

        with once_after(wire, operation, lambda: repository.commit(change)):
            repository.purge(a_time(7200))

        assert [it.item_id for it in list_all(repository, LOW)] == [item.item_id]

    def test_a_marker_put_before_its_item_stays(self, wire, repository):
        """51 new items that are low do not fit one transaction with their markers; a check in between deletes none."""
        items = [an_item(f"{it:02}", reorder_point=10) for it in range(51)]

        with once_after(wire, "BatchWriteItem", lambda: repository.purge(a_time(3600))):
            repository.commit(creation(*items))

        assert list_all(repository, LOW) == items

    def test_stale_markers_are_deleted_after_an_hour(self, client, repository, monkeypatch):
        """One page in each run, after the page of the run before; markers of low items stay."""
        monkeypatch.setattr("inventory_adapters.storage.dynamodb.repository.MAX_BATCH", 2)
        low = [an_item(it, reorder_point=10) for it in "246"]
        repository.commit(creation(*low))
        for item_id in "135":
            stale_marker(repository, item_id)
        repository.commit(deletion(low[2]))
        left = []

        for seconds in (3660, 3661, 3661, 3661):
            assert repository.purge(a_time(seconds)) == 0
            rows = client.scan(TableName=repository._ledger_table)["Items"]
            left.append("".join(sorted(it["item_id"]["S"] for it in rows if "put_at" in it)))

        assert left == ["12345", "1245", "124", "24"]

    def test_an_id_too_long_for_a_key_finds_its_reservation(self, repository):
        """A hash stands in its place."""
        long = "r" * 3000
        reservation = a_reservation(long, expires_at=60, lines=[(A, 1)])
        repository.commit(reservation_change(None, reservation))

        assert repository.get_reservation(long) == reservation
        assert repository.get_reservation("r" * 3001) is None
        assert repository.get_reservations([long]) == (reservation,)
        for parts in ({}, {"due_by": a_time(60)}, {"key": A, "due_by": a_time(60)}):
            assert held(repository, size=1, **parts) == [reservation]

    @pytest.mark.parametrize("with_key", [False, True])
    def test_25_lines_fit_one_transaction(self, wire, repository, with_key):
        """With all items crossing their reorder points, at most two pointers are put before; no row is written twice."""
        items = [an_item(f"item-{it:02}", reorder_point=8) for it in range(25)]
        repository.commit(creation(*items))
        shop = Inventory(repository, clock=lambda: START)
        keys = (a_key(str(number)) if with_key else None for number in count())
        lines = [{"item_id": it.item_id, "sku": it.sku, "quantity": 2} for it in items]
        sizes, batches = [], []

        def note(operation, request):
            if operation == "TransactWriteItems":
                targets = {repr(target_of(action)) for action in request["TransactItems"]}
                assert len(targets) == len(request["TransactItems"])
                sizes.append(len(targets))
            if operation == "BatchWriteItem":
                batches.append(sum(map(len, request["RequestItems"].values())))

        with wire.hooked(before=note):
            ids = [
                shop.create_reservation(
                    CreateReservation(lines=lines, idempotency_key=next(keys))
                ).reservation_id
                for _ in range(2)
            ]
            fields = [{"reservation_id": it} for it in ids]
            shop.extend_reservation(
                ExtendReservation(**fields[0], ttl_seconds=5000, idempotency_key=next(keys))
            )
            part = [line | {"quantity": 1} for line in lines]
            shop.commit_reservation(
                CommitReservation(**fields[0], lines=part, idempotency_key=a_key("part"))
            )
            shop.release_reservation(ReleaseReservation(**fields[0], idempotency_key=next(keys)))
            late = Inventory(repository, clock=lambda: START + timedelta(hours=1))
            assert late.expire_reservations(ExpireReservations()).expired == 1

        record = int(with_key)
        assert sizes == [100, 76 + record, 51 + record, 52, 51 + record, 76]
        assert batches == [1 + record, 25, 25]
        assert (
            late.repository.list_items(ItemFilter(low_stock=True), PageRequest(size=1)).items == ()
        )
        assert list(late.reconcile()) == []


def target_of(action):
    [it] = action.values()
    row = it.get("Key") or it["Item"]
    names = ("pk", "sk") if "pk" in row else ("item_id", "sku")
    return it["TableName"], *(row[name]["S"] for name in names)


class TestRows(Rows):
    pass


class Pages:
    """Walks of the ledger where DynamoDB differs from the reference."""

    def test_a_page_that_dynamodb_cut_short_is_filled(self, wire, world):
        """A read ends after 1 MB; a page ends when it is full."""
        for _ in range(3):
            world.adjust(delta=-1)
        ledger_of_a = MovementFilter(key=A)
        newest = world.repository.list_movements(ledger_of_a, PageRequest(size=1)).items[0]
        row = movement_to_row(newest)
        cut = an_answer({"Items": [row], "LastEvaluatedKey": {"pk": row["pk"]}})

        with failing(wire, cut):
            page = world.repository.list_movements(ledger_of_a, PageRequest(size=4))

        assert [it.seq for it in page.items] == [5, 4, 3, 2]
        assert page.next_cursor is not None

    @pytest.mark.parametrize("key", [None, A])
    def test_a_reservation_that_was_closed_meanwhile_is_not_due(self, wire, world, key):
        """The index may lag behind, and pointers are deleted late, so each reservation is read again."""
        other = evolve_inventory(world, "other")

        with once_after(wire, "Query", lambda: sweep(other)):
            due = held(world.repository, key=key, due_by=a_time(90))

        assert due == []

    @pytest.mark.parametrize("key", [None, A])
    def test_a_reservation_that_was_extended_meanwhile_is_not_due(self, wire, world, key):
        """Its new end counts."""
        world.pass_time(800)

        with once_after(wire, "Query", lambda: extend(world)):
            due = held(world.repository, key=key, due_by=a_time(60 + 900.25))

        assert [it.reservation_id for it in due] == [world.due]

    def test_a_reservation_that_was_extended_meanwhile_still_holds_its_items(self, wire, world):
        """Although the pointer that was read is deleted."""
        with once_after(wire, "Query", lambda: extend(world)):
            holding = held(world.repository, key=A)

        assert [it.reservation_id for it in holding] == [world.due, world.held]

    @pytest.mark.parametrize("at_one_time", [13, 40])
    def test_the_shards_of_the_due_index_are_merged(self, repository, at_one_time, monkeypatch):
        """Each reservation is listed once and in order, however many of a shard expire at one time."""
        monkeypatch.setattr(reservation_lists, "_ROWS_PER_UNIT", 2)
        reservations = [a_reservation(f"r{it}", expires_at=it // at_one_time) for it in range(40)]
        assert {due_shard(it.reservation_id) for it in reservations} == set(DUE_SHARDS)
        for reservation in reservations:
            repository.commit(reservation_change(None, reservation))

        expected = sorted(reservations, key=lambda it: it.position)
        for size in (1, 7, 100):
            assert held(repository, due_by=a_time(9), size=size) == expected

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_all_held_reservations_are_found_among_many_movements(self, world, size):
        """Each once, however few and far between."""
        for _ in range(40):
            world.adjust(delta=1)
        more = [world.reserve((B, 1)).reservation_id for _ in range(5)]

        found = [it.reservation_id for it in held(world.repository, size=size)]

        assert sorted(found) == sorted([world.due, world.held, *more])

    def test_all_held_reservations_are_read_consistently(self, wire, world):
        """A correction that missed a promise would give its units away."""
        requests = []

        def note(_operation, request):
            requests.append(request)

        with wire.hooked(before=note):
            world.repository.held_reservations(PageRequest(size=9))

        assert {it["ConsistentRead"] for it in requests} == {True}

    def test_a_page_of_all_held_reservations_is_bounded(self, client, world, monkeypatch):
        """Where there are none for long, it is short and has a cursor."""
        monkeypatch.setattr(reservation_lists, "MAX_READS", 1)

        page = world.repository.held_reservations(PageRequest(size=1))

        assert page.next_cursor is not None
        assert world.promised() == {A: 3, B: 2}


def evolve_inventory(world, name):
    """The same world through the eyes of another process."""
    other = object.__new__(World)
    other.__dict__ = world.__dict__ | {"inventory": world.opened(name)}
    return other


class TestPages(Pages):
    pass


def another_sale(world):
    """Another writer sells one of the item."""
    World.adjust(evolve_inventory(world, "theirs"), delta=-1)


def another_extension(world):
    """Another writer holds the reservation for longer."""
    command = ExtendReservation(reservation_id=world.held, ttl_seconds=9000)
    world.opened("theirs").extend_reservation(command)


def another_commit(world):
    commit(evolve_inventory(world, "theirs"))


class LostLedgerAnswers:
    """The answer is lost after the write; what is stored in the end is what would be without that, to the last attribute."""

    @pytest.mark.parametrize("verb", KEYED)
    def test_of_a_verb_with_a_key_that_another_writer_followed(self, client, wire, new_world, verb):
        """The record of the key is our own, and no refusal."""
        undisturbed, world = new_world(), new_world()
        expected = KEYED[verb](undisturbed, a_key())
        another_sale(undisturbed)

        with lost_answer(wire, lambda: another_sale(world), operation="TransactWriteItems"):
            result = KEYED[verb](world, a_key())

        assert result == expected
        assert rows(client, world) == rows(client, undisturbed)

    @pytest.mark.parametrize("verb", VERBS)
    def test_of_a_verb(self, client, wire, new_world, verb):
        """The movement, the reservation or the item is signed by our own write."""
        undisturbed, world = new_world(), new_world()
        expected = VERBS[verb](undisturbed)
        operation = SINGLE_WRITES.get(verb, "TransactWriteItems")

        with lost_answer(wire, operation=operation):
            result = VERBS[verb](world)

        assert result == expected
        assert rows(client, world) == rows(client, undisturbed)

    @pytest.mark.parametrize(
        ("verb", "operation", "meanwhile"),
        [
            (extend, "TransactWriteItems", another_extension),
            (extend, "TransactWriteItems", another_commit),
            (World.adjust, "TransactWriteItems", another_sale),
            (commit, "TransactWriteItems", another_sale),
        ],
    )
    def test_of_a_verb_that_another_writer_followed(  # noqa: PLR0917 - as many as it has parts
        self, client, wire, new_world, verb, operation, meanwhile
    ):
        """A movement bears our mark for ever, a reservation bears it beside theirs."""
        undisturbed, world = new_world(), new_world()
        expected = verb(undisturbed)
        meanwhile(undisturbed)

        with lost_answer(wire, lambda: meanwhile(world), operation=operation):
            result = verb(world)

        assert result == expected
        assert rows(client, world) == rows(client, undisturbed)

    def test_of_a_refusal(self, wire, new_world):
        """What others have refused is not mistaken for our own work: it is decided anew."""
        world = new_world()
        before = world.repository.get_item(A)
        another_sale(world)

        with lost_answer(wire), pytest.raises(StaleReadError):
            world.repository.commit(rewrite(before, on_hand=5))

    @pytest.mark.parametrize(
        "busy", [cancelled("TransactionConflict"), cancelled("ThrottlingError")]
    )
    def test_and_then_nothing_but_a_busy_store(self, wire, world, busy):
        """Whether it was kept is unknown: it is neither decided anew nor called off."""
        with ExitStack() as stack:

            def get_busy():
                stack.enter_context(failing(wire, *[busy] * 100))

            stack.enter_context(lost_answer(wire, get_busy, operation="TransactWriteItems"))
            with pytest.raises(StorageUnavailableError):
                world.adjust()

        world.assert_the_books_agree()
        assert world.repository.get_item(A).level.on_hand == 7

    def test_every_time(self, wire, world):
        """After the last attempt the outcome is unknown, and said to be; the ledger has it once."""
        with (
            lost_answer(wire, operation="TransactWriteItems", times=3),
            pytest.raises(StorageUnavailableError),
        ):
            world.adjust()

        world.assert_the_books_agree()
        assert world.repository.get_item(A).level.on_hand == 7

    def test_of_a_key_that_was_served_by_doing_nothing(self, wire, world):
        """Committing again writes the record of its key and no more."""
        committed = commit(world)
        key = a_key()

        with lost_answer(wire, operation="PutItem"):
            again = commit(world, key)

        assert (again, key.replayed) == (committed, False)

    def test_of_a_replay(self, wire, world):
        """A key that was served before is told so, resent or not."""
        first = world.adjust(a_key())
        key = a_key()

        with lost_answer(wire, operation="TransactWriteItems"):
            again = world.adjust(key)

        assert (again, key.replayed) == (first, True)
        assert world.repository.get_item(A).level.on_hand == 7


@pytest.mark.moto
class TestLostLedgerAnswers(LostLedgerAnswers):
    pass


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def once_after(wire, operation, meanwhile):
    """Call *meanwhile* once, after the next answer to an *operation*."""
    done = []

    def call(sent, _request, _answer):
        if sent == operation and not done:
            done.append(True)
            meanwhile()

    with wire.hooked(after=call):
        yield
    assert done


@contextmanager
def killed(wire, number):
    """End the process between its call with this *number* and the next."""
    calls = count(1)

    def end(*_):
        if next(calls) == number:
            raise Killed

    with wire.hooked(after=end):
        yield


def kill_points(wire, new_world, verb):
    """End the process after each call of *verb*, each time in a new world, and yield what the next process finds."""
    for number in count(1):
        world = new_world()
        try:
            with killed(wire, number):
                verb(world)
        except Killed:
            world.inventory = world.opened("next")
            yield world
        else:
            return


class Kills:
    """A process ends between two calls: above all before or after the one that writes."""

    @pytest.mark.parametrize("verb", VERBS)
    def test_nothing_leaks(self, wire, new_world, verb):
        """Every unit stays explained, and once time has passed the sweeper frees every promise."""
        left = 0
        for world in kill_points(wire, new_world, VERBS[verb]):
            left += 1
            world.assert_the_books_agree()

            world.pass_time(10_000)
            swept = sweep(world)

            assert swept.failed == 0
            assert not world.promised()
            assert list(world.inventory.reconcile(fix=True)) == []
        # A creation is one call, as is an edit of details; all others read before they write.
        assert left >= (1 if verb in ("create", "details") else 2)

    @pytest.mark.parametrize("verb", KEYED)
    def test_a_key_is_served_once(self, wire, new_world, verb):
        """Whoever sends the request again under its key gets one effect, whenever the process died."""
        undisturbed = new_world()
        KEYED[verb](undisturbed, a_key())

        for world in kill_points(wire, new_world, lambda it: KEYED[verb](it, a_key())):
            KEYED[verb](world, a_key())

            assert summary(world) == summary(undisturbed)

    def test_reconcile_mends_what_another_program_broke(self, client, world):
        """Somebody wrote to the table behind our back: the correction explains it."""
        client.update_item(
            TableName=world.repository._table,
            Key={"item_id": {"S": "a"}, "sku": {"S": "SKU-1"}},
            UpdateExpression="SET quantity = :q, reserved = :r",
            ExpressionAttributeValues={":q": {"N": "50"}, ":r": {"N": "9"}},
        )

        [drift] = world.inventory.reconcile(fix=True)

        assert drift.corrected
        assert list(world.inventory.reconcile()) == []
        world.assert_the_books_agree()


def summary(world):
    """The levels with how often they moved, whatever the ids; and what is promised."""
    items = list_all(world.repository, ANY)
    return sorted((it.name, it.level.on_hand, it.level.reserved, it.level.seq) for it in items), (
        world.promised()
    )


@pytest.mark.moto
class TestKills(Kills):
    pass


class TestRefusals:
    """What DynamoDB answers when it does not do what it is asked."""

    @pytest.fixture
    def change(self):
        """A movement of one item, a reservation, and the record of a key: four actions, the record first."""
        record = IdempotencyRecord(
            record_id="r",
            fingerprint="f",
            answer=an_item(),
            stored_at=a_time(),
            expires_at=a_time(9),
        )
        write = ReservationWrite(before=None, after=a_reservation("r"))
        return evolve(
            rewrite(an_item(), reserved=1), reservations=(write,), idempotency_record=record
        )

    @pytest.fixture
    def repository(self, repository):
        repository.commit(creation(an_item()))
        return repository

    @pytest.mark.parametrize(
        ("codes", "error"),
        [
            (["ConditionalCheckFailed", "None", "None", "None"], DuplicateRequestError),
            (["ConditionalCheckFailed", "ConditionalCheckFailed"], DuplicateRequestError),
            (["ConditionalCheckFailed", "TransactionConflict"], DuplicateRequestError),
            (["None", "ConditionalCheckFailed"], StaleReadError),
            (["TransactionConflict", "ConditionalCheckFailed"], StaleReadError),
            (["ThrottlingError", "None", "None", "ConditionalCheckFailed"], StaleReadError),
        ],
    )
    def test_each_reason_is_read_in_its_place(self, wire, repository, change, codes, error):
        """A key that was served is told first; every other failed condition is a stale read."""
        with failing(wire, cancelled(*codes)), pytest.raises(error):
            repository.commit(change)

    def test_a_busy_store_is_asked_again(self, wire, repository, change):
        """Twice too fast; then kept, whole."""
        busy = cancelled("None", "ThrottlingError", "None", "None")

        with failing(wire, busy, busy):
            repository.commit(change)

        assert repository.get_reservation("r") == a_reservation("r")
        assert repository.get_idempotency_record("r") == change.idempotency_record

    def test_a_store_that_stays_busy_has_kept_nothing(self, wire, repository, change):
        """Every attempt was answered, so nobody needs to wonder."""
        busy = cancelled("None", "ThrottlingError", "None", "None")

        with failing(wire, *[busy] * 100), pytest.raises(StorageThrottledError):
            repository.commit(change)

    def test_a_transaction_that_is_still_under_way_is_not_decided_anew(
        self, wire, repository, change
    ):
        """An attempt that went unanswered may land at any moment."""
        under_way = an_error("TransactionInProgressException")

        with (
            failing(wire, an_error("InternalServerError", 500), *[under_way] * 100),
            pytest.raises(StorageUnavailableError),
        ):
            repository.commit(change)

    def test_a_lone_record_is_refused_as_one_of_many(self, repository, change):
        """A key may be served by doing nothing: that takes no transaction."""
        lone = Change(write_id="first", idempotency_record=change.idempotency_record)
        repository.commit(lone)

        with pytest.raises(DuplicateRequestError):
            repository.commit(evolve(lone, write_id="second"))

    def test_nothing_is_written_for_an_empty_change(self, repository, calls):
        """There is no call that writes nothing."""
        repository.commit(Change(write_id="w"))

        assert not calls


def test_a_reservation_is_read_as_it_was_stored(world):
    """Every field, through every state."""
    by_id = GetReservation(reservation_id=world.held)
    held = world.inventory.get_reservation(by_id)
    assert (held.state, held.closed_at) == (ReservationState.HELD, None)

    committed = commit(world)

    assert world.repository.get_reservation(world.held) == committed
    with pytest.raises(InventoryError):
        release(world)
