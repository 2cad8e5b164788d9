"""Reservations and idempotency keys through the use cases, on the reference repository."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from inventory import (
    AdjustStock,
    BatchItems,
    BatchRefusedError,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    DuplicateRowError,
    ExpireReservations,
    ExtendReservation,
    GetItem,
    GetReservation,
    IdempotencyKey,
    IfMatch,
    InsufficientStockError,
    Inventory,
    ItemNotFoundError,
    ItemRef,
    KeyReusedError,
    LineRequest,
    ListMovements,
    MovementKind,
    ReleaseReservation,
    ReservationClosedError,
    ReservationExpiredError,
    ReservationNotFoundError,
    ReservationState,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StorageUnavailableError,
    TransferStock,
    UpdateItem,
    ValidationError,
)
from inventory_adapters.storage.memory import MemoryRepository


class Time:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_by(self, **much):
        self.now += timedelta(**much)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def repository():
    return MemoryRepository()


@pytest.fixture
def inventory(repository, time):
    ids = count(1)
    return Inventory(repository, clock=time, new_id=lambda: f"id-{next(ids)}", pause=lambda _: None)


@pytest.fixture
def tent(inventory):
    return inventory.create_item(CreateItem(sku="TENT", name="Tent", quantity=5, category="tents"))


@pytest.fixture
def stove(inventory):
    return inventory.create_item(
        CreateItem(sku="STOVE", name="Stove", quantity=2, category="stoves")
    )


def line(item, quantity):
    return LineRequest(item_id=item.item_id, sku=item.sku, quantity=quantity)


def hold(inventory, *lines, **fields):
    return inventory.create_reservation(CreateReservation(lines=lines, **fields))


def now(inventory, item):
    return inventory.get_item(GetItem(item_id=item.item_id)).level


def kinds(inventory, item):
    page = inventory.list_movements(ListMovements(item_id=item.item_id, sku=item.sku))
    return [movement.kind for movement in page.items]


def named(reservation):
    return {"reservation_id": reservation.reservation_id}


def test_all_lines_are_held_or_none(inventory, tent, stove):
    """One short line refuses all, and leaves no trace."""
    with pytest.raises(InsufficientStockError):
        hold(inventory, line(tent, 1), line(stove, 3))

    assert (now(inventory, tent), now(inventory, stove)) == (tent.level, stove.level)

    hold(inventory, line(tent, 5), line(stove, 2))

    assert (now(inventory, tent).available, now(inventory, stove).available) == (0, 0)


def test_lines_of_one_item_are_summed(inventory, tent):
    """They are one promise, and one movement."""
    reservation = hold(inventory, line(tent, 2), line(tent, 2))

    assert [one.quantity for one in reservation.lines] == [4]
    assert now(inventory, tent).reserved == 4
    with pytest.raises(InsufficientStockError):
        hold(inventory, line(tent, 1), line(tent, 1))


def test_an_unknown_item_refuses_all_lines(inventory, tent):
    """And says which."""
    missing = LineRequest(item_id="unknown", sku="X", quantity=1)

    with pytest.raises(ItemNotFoundError) as caught:
        hold(inventory, line(tent, 1), missing)

    assert caught.value.item_id == "unknown"
    assert now(inventory, tent).reserved == 0


def test_committed_units_leave(inventory, tent):
    """On hand and reserved go down together, and again changes nothing."""
    reservation = hold(inventory, line(tent, 2))

    committed = inventory.commit_reservation(CommitReservation(**named(reservation)))
    again = inventory.commit_reservation(CommitReservation(**named(reservation)))

    assert committed.state is ReservationState.COMMITTED
    assert again == committed
    assert (now(inventory, tent).on_hand, now(inventory, tent).reserved) == (3, 0)
    assert kinds(inventory, tent) == ["commit", "reserve", "opening"]


def test_released_units_can_be_had_again(inventory, tent):
    """And again changes nothing."""
    reservation = hold(inventory, line(tent, 5))

    released = inventory.release_reservation(ReleaseReservation(**named(reservation)))

    assert released == inventory.release_reservation(ReleaseReservation(**named(reservation)))
    assert now(inventory, tent).available == 5
    assert inventory.get_item(GetItem(item_id=tent.item_id)).status == "available"


@pytest.mark.parametrize(
    ("first", "second"), [("commit", "release"), ("release", "commit"), ("commit", "extend")]
)
def test_a_closed_reservation_stays_closed(inventory, tent, first, second):
    """What was sold is not given back, what was given back is not sold."""
    verbs = {
        "commit": lambda it: inventory.commit_reservation(CommitReservation(**named(it))),
        "release": lambda it: inventory.release_reservation(ReleaseReservation(**named(it))),
        "extend": lambda it: inventory.extend_reservation(
            ExtendReservation(**named(it), ttl_seconds=60)
        ),
    }
    reservation = hold(inventory, line(tent, 2))
    verbs[first](reservation)

    with pytest.raises(ReservationClosedError):
        verbs[second](reservation)


@pytest.mark.parametrize("swept", [False, True])
def test_an_expired_reservation_is_expired_swept_or_not(inventory, time, tent, swept):
    """From the very instant on."""
    reservation = hold(inventory, line(tent, 2), ttl_seconds=60)
    time.pass_by(seconds=60)
    if swept:
        assert inventory.expire_reservations(ExpireReservations()).expired == 1

    assert (
        inventory.get_reservation(GetReservation(**named(reservation))).state
        is ReservationState.EXPIRED
    )
    for refused in (
        lambda: inventory.commit_reservation(CommitReservation(**named(reservation))),
        lambda: inventory.release_reservation(ReleaseReservation(**named(reservation))),
        lambda: inventory.extend_reservation(
            ExtendReservation(**named(reservation), ttl_seconds=60)
        ),
    ):
        with pytest.raises(ReservationExpiredError):
            refused()


def test_a_sweep_frees_what_is_due_and_nothing_else(inventory, time, tent, stove):
    """Oldest first, up to the limit; a second sweep finds nothing."""
    hold(inventory, line(tent, 2), ttl_seconds=60)
    hold(inventory, line(tent, 1), ttl_seconds=120)
    hold(inventory, line(stove, 1), ttl_seconds=3600)
    time.pass_by(seconds=600)

    assert inventory.expire_reservations(ExpireReservations(limit=1)).expired == 1
    assert now(inventory, tent).reserved == 1
    assert inventory.expire_reservations(ExpireReservations()).expired == 1
    assert inventory.expire_reservations(ExpireReservations()).expired == 0
    assert (now(inventory, tent).reserved, now(inventory, stove).reserved) == (0, 1)
    assert kinds(inventory, tent)[0] == MovementKind.EXPIRE


def test_a_reservation_that_cannot_be_freed_does_not_keep_the_others(
    inventory, repository, time, tent, stove
):
    """It stays due, and the next sweep tries again."""
    hold(inventory, line(tent, 2), ttl_seconds=60)
    hold(inventory, line(stove, 1), ttl_seconds=60)
    time.pass_by(seconds=60)
    whole = repository.commit

    def broken(change):
        if change.items[0].key == tent.key:
            raise StorageUnavailableError
        whole(change)

    repository.commit = broken
    swept = inventory.expire_reservations(ExpireReservations())
    assert (swept.expired, swept.failed) == (1, 1)
    assert (now(inventory, tent).reserved, now(inventory, stove).reserved) == (2, 0)

    repository.commit = whole
    assert inventory.expire_reservations(ExpireReservations()).expired == 1
    assert now(inventory, tent).reserved == 0


@pytest.mark.parametrize(
    "verb", ["reserve", "adjust", "transfer", "count", "edit", "delete", "batch"]
)
def test_units_that_are_due_stand_in_nobodys_way(inventory, time, tent, verb):
    """A verb refused because of promised units first expires what is due, then tries once more."""
    other = inventory.create_item(
        CreateItem(sku="TENT", name="Tent", quantity=0, category="tents", location="B")
    )
    hold(inventory, line(tent, 5), ttl_seconds=60)
    time.pass_by(seconds=60)
    ref = {"item_id": tent.item_id, "sku": tent.sku}

    {
        "reserve": lambda: hold(inventory, line(tent, 5)),
        "adjust": lambda: inventory.adjust_stock(AdjustStock(**ref, delta=-5, reason="sold")),
        "transfer": lambda: inventory.transfer_stock(
            TransferStock(
                source=ItemRef(**ref),
                destination=ItemRef(item_id=other.item_id, sku="TENT"),
                quantity=5,
            )
        ),
        "count": lambda: inventory.count_stock(CountStock(**ref, quantity=0)),
        "edit": lambda: inventory.update_item(UpdateItem(**ref, quantity=0)),
        "delete": lambda: inventory.delete_item(DeleteItem(**ref)),
        "batch": lambda: inventory.batch_items(BatchItems(items=(UpdateItem(**ref, quantity=0),))),
    }[verb]()


def test_extending_never_shortens_and_ends_after_31_days(inventory, time, tent):
    """A cart that is kept alive for ever would be a leak."""
    reservation = hold(inventory, line(tent, 1), ttl_seconds=3600)

    same = inventory.extend_reservation(ExtendReservation(**named(reservation), ttl_seconds=60))
    assert same.expires_at == reservation.expires_at

    month = 31 * 24 * 3600
    time.pass_by(minutes=30)
    longest = inventory.extend_reservation(
        ExtendReservation(**named(reservation), ttl_seconds=month)
    )
    made = reservation.created_at.as_datetime()
    assert longest.expires_at.as_datetime() == made + timedelta(seconds=month)


def test_an_unknown_reservation_is_not_found(inventory):
    """Whatever is asked of it."""
    for ask in (
        lambda: inventory.get_reservation(GetReservation(reservation_id="x")),
        lambda: inventory.commit_reservation(CommitReservation(reservation_id="x")),
        lambda: inventory.release_reservation(ReleaseReservation(reservation_id="x")),
        lambda: inventory.extend_reservation(ExtendReservation(reservation_id="x", ttl_seconds=60)),
    ):
        with pytest.raises(ReservationNotFoundError):
            ask()


def test_a_transfer_is_between_two_items_of_one_sku(inventory, tent, stove):
    """Refused before anything is read."""
    ref = ItemRef(item_id=tent.item_id, sku="TENT")

    with pytest.raises(SameItemError):
        inventory.transfer_stock(TransferStock(source=ref, destination=ref, quantity=1))
    with pytest.raises(SkuMismatchError):
        inventory.transfer_stock(
            TransferStock(
                source=ref, destination=ItemRef(item_id=stove.item_id, sku="STOVE"), quantity=1
            )
        )


def test_a_count_says_what_it_expected(inventory, tent):
    """Whoever counted an hour ago must not undo what was sold since."""
    ref = {"item_id": tent.item_id, "sku": tent.sku}

    with pytest.raises(StaleQuantityError) as caught:
        inventory.count_stock(CountStock(**ref, quantity=4, expected_quantity=6))

    assert caught.value.facts["quantity"] == 5
    assert (
        inventory.count_stock(CountStock(**ref, quantity=4, expected_quantity=5)).item.level.on_hand
        == 4
    )


def test_the_ledger_is_paged_newest_first_and_ends_with_the_opening(inventory, tent):
    """Whatever the page size, each entry once; also after the item is gone."""
    ref = {"item_id": tent.item_id, "sku": tent.sku}
    for delta in (1, 2, 3):
        inventory.adjust_stock(AdjustStock(**ref, delta=delta, reason="delivery"))
    inventory.delete_item(DeleteItem(**ref))

    for size in range(1, 6):
        walked, token = [], None
        while True:
            page = inventory.list_movements(ListMovements(**ref, page_size=size, page_token=token))
            assert len(page.items) <= size
            walked += page.items
            if (token := page.next_cursor) is None:
                break
        assert [movement.seq for movement in walked] == [3, 2, 1, 0]
        assert [movement.on_hand for movement in walked] == [11, 8, 6, 5]


def test_an_item_that_never_moved_has_an_opening_entry(inventory, tent):
    """And one that never was has no ledger."""
    page = inventory.list_movements(ListMovements(item_id=tent.item_id, sku=tent.sku))
    assert [(movement.kind, movement.on_hand) for movement in page.items] == [("opening", 5)]

    with pytest.raises(ItemNotFoundError):
        inventory.list_movements(ListMovements(item_id="x", sku="y"))


# Idempotency


def adjusting(tent, delta=-1, key="k", **fields):
    return AdjustStock(
        item_id=tent.item_id,
        sku=tent.sku,
        delta=delta,
        reason="sold",
        idempotency_key=IdempotencyKey(key),
        **fields,
    )


def test_a_key_is_served_once_and_answered_alike(inventory, tent):
    """Sent again, the request has no second effect, and says that it is a replay."""
    first, again = adjusting(tent), adjusting(tent)

    answers = inventory.adjust_stock(first), inventory.adjust_stock(again)

    assert answers[0] == answers[1]
    assert (first.idempotency_key.replayed, again.idempotency_key.replayed) == (False, True)
    assert now(inventory, tent).on_hand == 4


def test_a_replay_is_answered_also_where_the_request_could_not_be_served_again(inventory, tent):
    """The stock that is missing now is what this very request took."""
    first = inventory.adjust_stock(adjusting(tent, delta=-5))

    assert inventory.adjust_stock(adjusting(tent, delta=-5)) == first


def test_another_request_under_the_same_key_is_refused(inventory, tent):
    """Other fields, or another operation."""
    inventory.adjust_stock(adjusting(tent))

    with pytest.raises(KeyReusedError):
        inventory.adjust_stock(adjusting(tent, delta=-2))
    with pytest.raises(KeyReusedError):
        inventory.create_item(
            CreateItem(
                sku="S", name="N", quantity=1, category="c", idempotency_key=IdempotencyKey("k")
            )
        )
    assert now(inventory, tent).on_hand == 4


def test_two_callers_may_use_the_same_key(inventory, tent):
    """A key is its caller's own."""
    for scope in ("alice", "bob"):
        command = adjusting(tent)
        key = IdempotencyKey("k", scope=scope)
        inventory.adjust_stock(
            AdjustStock(
                item_id=tent.item_id,
                sku="TENT",
                delta=-1,
                reason=command.reason,
                idempotency_key=key,
            )
        )

    assert now(inventory, tent).on_hand == 3


def test_a_refused_request_leaves_its_key_free(inventory, tent):
    """It may succeed later, under the same key."""
    with pytest.raises(InsufficientStockError):
        inventory.adjust_stock(adjusting(tent, delta=-6))
    inventory.adjust_stock(adjusting(tent, delta=1, key="other"))

    inventory.adjust_stock(adjusting(tent, delta=-6))

    assert now(inventory, tent).on_hand == 0


def test_a_key_is_forgotten_after_a_day(inventory, repository, time, tent):
    """Whether or not its record has been deleted yet."""
    inventory.adjust_stock(adjusting(tent))
    time.pass_by(hours=24)
    inventory.adjust_stock(adjusting(tent))
    assert now(inventory, tent).on_hand == 3

    time.pass_by(hours=25)
    assert repository.purge(inventory._now()) == 1
    inventory.adjust_stock(adjusting(tent))
    assert now(inventory, tent).on_hand == 2


@pytest.mark.parametrize(
    "operation", ["create", "reserve", "commit", "release", "extend", "count", "transfer", "batch"]
)
def test_every_verb_replays_its_answer(inventory, tent, operation):
    """The very value, read back from the record."""
    other = inventory.create_item(
        CreateItem(sku="TENT", name="B", quantity=0, category="c", reorder_point=3)
    )
    held = hold(inventory, line(tent, 1), reference="cart")
    key = {"idempotency_key": IdempotencyKey("k")}
    ref = {"item_id": tent.item_id, "sku": tent.sku}
    ask = {
        "create": lambda: inventory.create_item(
            CreateItem(
                sku="S", name="N", quantity=1, category="c", price="1.25", reorder_point=1, **key
            )
        ),
        "reserve": lambda: hold(inventory, line(tent, 1), **key),
        "commit": lambda: inventory.commit_reservation(CommitReservation(**named(held), **key)),
        "release": lambda: inventory.release_reservation(ReleaseReservation(**named(held), **key)),
        "extend": lambda: inventory.extend_reservation(
            ExtendReservation(**named(held), ttl_seconds=2000, **key)
        ),
        "count": lambda: inventory.count_stock(CountStock(**ref, quantity=3, **key)),
        "transfer": lambda: inventory.transfer_stock(
            TransferStock(
                source=ItemRef(**ref),
                destination=ItemRef(item_id=other.item_id, sku="TENT"),
                quantity=1,
                **key,
            )
        ),
        "batch": lambda: inventory.batch_items(
            BatchItems(
                items=(
                    {"sku": "S", "name": "N", "quantity": 1, "category": "c"},
                    {**ref, "quantity": 2},
                ),
                **key,
            )
        ),
    }[operation]

    first, again = ask(), ask()

    assert again == first
    assert type(again) is type(first)
    assert key["idempotency_key"].replayed


# Batches


def test_a_batch_creates_and_updates_in_one_write(inventory, tent):
    """A row with an id updates that item; the others create one."""
    results = inventory.batch_items(
        BatchItems(
            items=(
                {"sku": "NEW", "name": "New", "quantity": 1, "category": "c"},
                {"item_id": tent.item_id, "sku": "TENT", "name": "Big tent", "quantity": 9},
            )
        )
    )

    assert [(row.created, row.sku, row.version, row.seq) for row in results] == [
        (True, "NEW", 1, 0),
        (False, "TENT", 2, 1),
    ]


def test_one_refused_row_refuses_all(inventory, tent):
    """And says which, and why."""
    rows = (
        {"sku": "NEW", "name": "New", "quantity": 1, "category": "c"},
        {"item_id": "unknown", "sku": "X", "name": "Y"},
        {"item_id": tent.item_id, "sku": "TENT", "name": "Z", "if_match": '"7-0"'},
    )

    with pytest.raises(BatchRefusedError) as caught:
        inventory.batch_items(BatchItems(items=rows))

    assert {index: error.code for index, error in caught.value.refused.items()} == {
        1: "item_not_found",
        2: "precondition_failed",
    }
    assert inventory.get_item(GetItem(item_id=tent.item_id)).name == "Tent"


def test_an_invalid_row_refuses_all_by_the_place_of_the_field(inventory):
    """Before anything is read."""
    with pytest.raises(ValidationError) as caught:
        inventory.batch_items(BatchItems(items=({"sku": "", "quantity": 1}, 5)))

    assert {fault.field for fault in caught.value.faults} == {
        *("items[0].sku", "items[0].name", "items[0].category", "items[1]"),
    }


def test_by_the_row_the_others_go_on(inventory, tent):
    """Each row has its own answer, and its own key."""
    rows = (
        {"sku": "NEW", "name": "New", "quantity": 1, "category": "c"},
        {"sku": ""},
        {"item_id": "unknown", "sku": "X", "name": "Y"},
        {"item_id": tent.item_id, "sku": "TENT", "quantity": 8},
    )
    sent = BatchItems(items=rows, mode="per_row", idempotency_key=IdempotencyKey("k"))

    first, again = inventory.batch_items(sent), inventory.batch_items(sent)

    assert [row.error and row.error.code for row in first] == [
        None,
        "validation_failed",
        "item_not_found",
        None,
    ]
    assert (first[0], first[3]) == (again[0], again[3])
    assert now(inventory, tent).seq == 1


def test_a_batch_names_each_item_once(inventory, tent):
    """Two rows of one item would be one row too many in one transaction."""
    row = {"item_id": tent.item_id, "sku": "TENT", "name": "A"}

    with pytest.raises(DuplicateRowError):
        inventory.batch_items(BatchItems(items=(row, {**row, "name": "B"})))


# Reconcile


def test_a_sound_store_has_no_drift(inventory, tent, stove):
    """Whatever happened in it."""
    hold(inventory, line(tent, 2), line(stove, 1))
    inventory.adjust_stock(adjusting(tent))

    assert list(inventory.reconcile()) == []


def test_drift_is_found_shown_and_mended(inventory, repository, tent, stove):
    """Of on-hand the level is right, of reserved the open reservations."""
    import attrs

    from inventory import StockLevel

    hold(inventory, line(tent, 2))
    held = repository._items[tent.key]
    repository._items[tent.key] = attrs.evolve(held, level=StockLevel(on_hand=7, reserved=4, seq=1))
    repository._items[stove.key] = attrs.evolve(
        stove, level=StockLevel(on_hand=2, reserved=1, seq=0)
    )

    found = {drift.key.sku: drift for drift in inventory.reconcile()}
    assert (found["TENT"].on_hand, found["TENT"].ledger_on_hand) == (7, 5)
    assert (found["TENT"].reserved, found["TENT"].promised) == (4, 2)
    assert set(found) == {"TENT", "STOVE"}
    assert not found["TENT"].corrected

    assert all(drift.corrected for drift in inventory.reconcile(fix=True))

    assert list(inventory.reconcile()) == []
    assert (now(inventory, tent).on_hand, now(inventory, tent).reserved) == (7, 2)
    assert now(inventory, stove).reserved == 0
    assert kinds(inventory, tent)[0] == MovementKind.CORRECTION


def test_if_match_travels_in_a_batch_row(inventory, tent):
    """The same tag as in the header."""
    row = {"item_id": tent.item_id, "sku": "TENT", "name": "A", "if_match": tent.etag}

    [result] = inventory.batch_items(BatchItems(items=(row,)))

    assert (result.version, IfMatch.parse(tent.etag).versions) == (2, frozenset({1}))
