"""Tests of searches, attributes, stock by SKU and by time, and partial commits, for subclasses as in `use_cases`."""

from datetime import UTC, datetime

import pytest

from inventory import (
    AdjustStock,
    CommitReservation,
    CountStock,
    CreateItem,
    ExtendReservation,
    GetItem,
    GetReservation,
    GetStock,
    IdempotencyKey,
    IfMatch,
    ItemAt,
    ItemNotFoundError,
    ItemNotHeldError,
    LineRequest,
    ListItems,
    ListMovements,
    ListReservations,
    MoreThanHeldError,
    PreconditionFailedError,
    ReleaseReservation,
    ReservationClosedError,
    ReservationExpiredError,
    ReservationState,
    StockLevel,
    TooManyLocationsError,
    ValidationError,
)
from tests.domain.use_cases import UseCases, change, hold, line, named, named_item


def found(inventory, search, **filters):
    page = inventory.list_items(ListItems(search=search, **filters))
    return sorted(item.sku for item in page.items)


def commit(inventory, reservation, *lines, key="parcel"):
    return inventory.commit_reservation(
        CommitReservation(
            **named(reservation),
            lines=lines,
            idempotency_key=IdempotencyKey(key),
        )
    )


def units(lines):
    return {line.key.sku: line.quantity for line in lines}


def at(inventory, item, time):
    answer = inventory.get_item(GetItem(**named_item(item), at=time))
    assert isinstance(answer, ItemAt)
    return answer.at


def deltas(inventory, item, **period):
    page = inventory.list_movements(ListMovements(**named_item(item), **period))
    return [movement.delta_on_hand for movement in page.items]


class DailyUseCases(UseCases):
    @pytest.fixture
    def tent(self, inventory):
        return inventory.create_item(
            CreateItem(
                sku="TENT",
                name="Zelt für zwei",
                quantity=5,
                category="tents",
                attributes={"barcode": "4006381333931", "supplier": "Nordlicht"},
            )
        )

    @pytest.fixture
    def stove(self, inventory):
        return inventory.create_item(
            CreateItem(sku="STOVE", name="Stove", quantity=2, category="stoves")
        )

    # Attributes

    def test_attributes_are_merged_and_null_removes_one(self, inventory, tent):
        """Attributes that an update does not name stay."""
        updated = inventory.update_item(
            change(tent, attributes={"size": "M", "supplier": None, "unknown": None})
        )

        assert updated.attributes == {"barcode": "4006381333931", "size": "M"}
        assert updated.version == 2
        assert inventory.get_item(GetItem(item_id=tent.item_id)) == updated

    def test_attributes_are_merged_together_with_a_count(self, inventory, tent):
        """Details, attributes and quantity change in one write."""
        updated = inventory.update_item(change(tent, quantity=4, attributes={"size": "M"}))

        assert updated.level == StockLevel(on_hand=4, seq=1)
        assert updated.attributes == {**tent.attributes, "size": "M"}

    def test_no_attributes_change_nothing(self, inventory, tent):
        """An empty object is no update."""
        assert inventory.update_item(change(tent, attributes={})) == tent

    def test_attributes_compare_the_version_of_if_match(self, inventory, tent):
        """A movement does not make an edit of attributes fail, another edit does."""
        inventory.adjust_stock(AdjustStock(**named_item(tent), delta=1, reason="found"))
        edited = inventory.update_item(
            change(tent, attributes={"size": "M"}, if_match=IfMatch.parse(tent.etag))
        )

        assert edited.version == 2
        with pytest.raises(PreconditionFailedError):
            inventory.update_item(
                change(tent, attributes={"size": "L"}, if_match=IfMatch.parse(tent.etag))
            )

    def test_merged_attributes_are_limited(self, inventory, tent):
        """Fifty names in all, whether or not each update is small."""
        inventory.update_item(change(tent, attributes={f"a{n}": "x" for n in range(48)}))

        with pytest.raises(ValidationError, match="attributes") as caught:
            inventory.update_item(change(tent, attributes={"one_more": "x"}))

        assert [error.field for error in caught.value.errors] == ["attributes"]

    # Search

    @pytest.mark.parametrize(
        "search", ["zelt", "FUR", "für zwei", "zwei zelt", "63813", "nordlicht tent", "ZWEI\tten"]
    )
    def test_a_search_finds_every_word_in_sku_name_or_attributes(
        self, inventory, tent, stove, search
    ):
        """Words may be parts of words; case, accents and order do not matter."""
        assert found(inventory, search) == ["TENT"]

    @pytest.mark.parametrize("search", ["zelt stove", "zeltfür", "tents", "barcode", "931nord"])
    def test_a_search_finds_nothing_else(self, inventory, tent, stove, search):
        """Not names of attributes, other fields, or text across two fields."""
        assert found(inventory, search) == []

    def test_a_search_is_combined_with_filters(self, inventory, tent, stove):
        """An item must pass both."""
        assert found(inventory, "ten", category="tents") == ["TENT"]
        assert found(inventory, "ten", category="stoves") == []

    # Stock of a SKU

    def test_the_stock_of_a_sku_is_the_sum_over_locations(self, inventory, tent):
        """Reserved and available units are summed too."""
        inventory.create_item(
            CreateItem(sku="TENT", name="Tent", quantity=3, category="tents", location="north")
        )
        hold(inventory, line(tent, 2))

        stock = inventory.get_stock(GetStock(sku="TENT"))

        assert (stock.sku, stock.on_hand, stock.reserved, stock.available) == ("TENT", 8, 2, 6)
        assert {item.location: item.level.on_hand for item in stock.items} == {
            "default": 5,
            "north": 3,
        }

    def test_the_stock_of_an_unknown_sku_is_not_found(self, inventory, tent):
        """The error names the SKU."""
        with pytest.raises(ItemNotFoundError) as caught:
            inventory.get_stock(GetStock(sku="tent"))

        assert caught.value.facts == {"sku": "tent"}

    def test_a_total_has_at_most_100_locations(self, inventory, behind):
        """More are refused rather than left out."""
        for number in range(101):
            behind.create_item(
                CreateItem(sku="MUG", name="Mug", quantity=1, category="c", location=str(number))
            )

        with pytest.raises(TooManyLocationsError) as caught:
            inventory.get_stock(GetStock(sku="MUG"))

        assert caught.value.limit == 100

    # Time

    def test_the_stock_at_a_time_is_that_after_the_last_movement(self, inventory, time, tent):
        """The movement at the time itself counts; before the creation there is none."""
        times = [time.now]
        for delta in (-1, -1, 4, -2):
            time.pass_by(hours=1)
            inventory.adjust_stock(AdjustStock(**named_item(tent), delta=delta, reason="r"))
            times.append(time.now)

        levels = [at(inventory, tent, moment) for moment in times]

        assert [level.on_hand for level in levels] == [5, 4, 3, 7, 5]
        assert [level.seq for level in levels] == [0, 1, 2, 3, 4]
        assert at(inventory, tent, times[2].replace(minute=59)).on_hand == 3
        assert at(inventory, tent, datetime(2020, 1, 1, tzinfo=UTC)) is None
        assert at(inventory, tent, "2099-01-01T00:00:00+02:00").on_hand == 5

    def test_a_period_selects_movements(self, inventory, time, tent):
        """Both ends are part of it; the opening entry has the time of the creation."""
        start = time.now
        for delta in (-1, 2, 3):
            time.pass_by(hours=1)
            inventory.adjust_stock(AdjustStock(**named_item(tent), delta=delta, reason="r"))
        first, second = start.replace(hour=1), start.replace(hour=2)

        assert deltas(inventory, tent) == [3, 2, -1, 5]
        assert deltas(inventory, tent, since=first) == [3, 2, -1]
        assert deltas(inventory, tent, until=second) == [2, -1, 5]
        assert deltas(inventory, tent, since=first, until=second) == [2, -1]
        assert deltas(inventory, tent, since=second, until=second) == [2]
        assert deltas(inventory, tent, until=start) == [5]
        assert deltas(inventory, tent, until=datetime(2020, 1, 1, tzinfo=UTC)) == []
        assert deltas(inventory, tent, since="2099-01-01T00:00:00Z") == []

    def test_a_period_is_read_in_pages(self, inventory, time, tent):
        """The pages contain each of its movements once, and a token belongs to its period."""
        start = time.now
        for _ in range(6):
            time.pass_by(hours=1)
            inventory.adjust_stock(AdjustStock(**named_item(tent), delta=1, reason="r"))
        period = {"since": start.replace(hour=2), "until": start.replace(hour=5), "page_size": 2}
        first = inventory.list_movements(ListMovements(**named_item(tent), **period))
        rest = inventory.list_movements(
            ListMovements(**named_item(tent), **period, page_token=first.next_cursor)
        )

        assert [movement.seq for movement in (*first.items, *rest.items)] == [5, 4, 3, 2]

    def test_times_do_not_run_backwards_within_an_item(self, inventory, time, tent):
        """After a clock was ahead, movements have its time until that is reached."""
        start = time.now
        time.pass_by(hours=2)
        inventory.adjust_stock(AdjustStock(**named_item(tent), delta=1, reason="ahead"))
        ahead, time.now = time.now, start
        time.pass_by(hours=1)
        moved = inventory.adjust_stock(AdjustStock(**named_item(tent), delta=1, reason="behind"))

        assert moved.movement.recorded_at.as_datetime() == ahead
        assert at(inventory, tent, ahead).on_hand == 7

    # Reservations

    def test_open_reservations_are_listed_the_next_to_expire_first(
        self, inventory, time, tent, stove
    ):
        """All, those of an item, or those of a reference."""
        late = hold(inventory, line(tent, 1), reference="order 1", ttl_seconds=900)
        soon = hold(inventory, line(tent, 1), line(stove, 1), reference="order 2", ttl_seconds=300)
        other = hold(inventory, line(stove, 1), reference="order 1", ttl_seconds=600)
        due = hold(inventory, line(tent, 1), reference="order 1", ttl_seconds=60)
        closed = hold(inventory, line(tent, 1), reference="order 1")
        inventory.release_reservation(ReleaseReservation(**named(closed)))
        time.pass_by(seconds=60)

        def listed(**filters):
            return list(inventory.list_reservations(ListReservations(**filters)).items)

        assert listed() == [soon, other, late]
        assert listed(**named_item(tent)) == [soon, late]
        assert listed(reference="order 1") == [other, late]
        assert listed(**named_item(stove), reference="order 1") == [other]
        assert listed(reference="order 3") == []
        assert due not in listed(**named_item(tent))

    @pytest.mark.parametrize("half", [{"item_id": "i"}, {"sku": "s"}])
    def test_half_a_key_does_not_select_reservations(self, inventory, half):
        """ID and SKU go together."""
        with pytest.raises(ValidationError) as caught:
            inventory.list_reservations(ListReservations(**half))

        [error] = caught.value.errors
        assert {error.field, *half} == {"item_id", "sku"}

    def test_a_part_of_a_reservation_is_committed(self, inventory, tent, stove):
        """The rest stays held, and reserved at first is what is held plus what has left."""
        reservation = hold(inventory, line(tent, 3), line(stove, 1), reference="order 9")

        part = commit(inventory, reservation, line(tent, 1), line(tent, 1))

        assert (units(part.lines), units(part.committed)) == ({"TENT": 1, "STOVE": 1}, {"TENT": 2})
        assert (part.state, part.closed_at) == (ReservationState.HELD, None)
        level = inventory.get_item(GetItem(item_id=tent.item_id)).level
        assert level == StockLevel(on_hand=3, reserved=1, seq=2)
        [movement, *_] = inventory.list_movements(ListMovements(**named_item(tent))).items
        assert (movement.kind, movement.delta_on_hand, movement.delta_reserved) == (
            "commit",
            -2,
            -2,
        )
        assert (movement.reference, movement.reservation_id) == (
            "order 9",
            reservation.reservation_id,
        )

    def test_the_last_part_closes_the_reservation(self, inventory, time, tent, stove):
        """Nothing is held then, and everything has left."""
        reservation = hold(inventory, line(tent, 3), line(stove, 1))
        commit(inventory, reservation, line(tent, 2), key="parcel-1")
        time.pass_by(seconds=1)

        whole = commit(inventory, reservation, line(tent, 1), line(stove, 1), key="parcel-2")

        assert (whole.state, whole.lines) == (ReservationState.COMMITTED, ())
        assert units(whole.committed) == {"TENT": 3, "STOVE": 1}
        assert whole.closed_at is not None
        assert inventory.get_reservation(GetReservation(**named(reservation))) == whole

    def test_a_part_then_the_rest(self, inventory, tent):
        """A commit without lines takes what is left; repeated, it changes nothing."""
        reservation = hold(inventory, line(tent, 3))
        commit(inventory, reservation, line(tent, 1))

        whole = inventory.commit_reservation(CommitReservation(**named(reservation)))
        again = inventory.commit_reservation(CommitReservation(**named(reservation)))

        assert whole == again
        assert units(whole.committed) == {"TENT": 3}
        assert inventory.get_item(GetItem(item_id=tent.item_id)).level.on_hand == 2

    def test_the_rest_of_a_part_is_released(self, inventory, tent):
        """The lines are then what was given back."""
        reservation = hold(inventory, line(tent, 3))
        commit(inventory, reservation, line(tent, 1))

        released = inventory.release_reservation(ReleaseReservation(**named(reservation)))

        assert (units(released.lines), units(released.committed)) == ({"TENT": 2}, {"TENT": 1})
        assert inventory.get_item(GetItem(item_id=tent.item_id)).level == StockLevel(
            on_hand=4, reserved=0, seq=3
        )

    def test_a_partial_commit_takes_units_once_per_key(self, inventory, tent):
        """A resend returns the first answer."""
        reservation = hold(inventory, line(tent, 3))

        first = commit(inventory, reservation, line(tent, 1), key="parcel")
        second = commit(inventory, reservation, line(tent, 1), key="parcel")

        assert first == second
        assert inventory.get_item(GetItem(item_id=tent.item_id)).level.on_hand == 4

    def test_a_part_must_be_held(self, inventory, tent, stove):
        """Another item and too many units are refused, and nothing is changed."""
        reservation = hold(inventory, line(tent, 3))

        with pytest.raises(ItemNotHeldError) as other:
            commit(inventory, reservation, line(tent, 1), line(stove, 1))
        with pytest.raises(MoreThanHeldError) as more:
            commit(inventory, reservation, line(tent, 2), line(tent, 2))

        assert other.value.facts == named_item(stove)
        assert more.value.facts == {**named_item(tent), "held": 3, "requested": 4}
        assert inventory.get_reservation(GetReservation(**named(reservation))) == reservation

    def test_a_part_names_items_by_text_that_is_normalized(self, inventory, tent):
        """As in every other request."""
        reservation = hold(inventory, line(tent, 3))

        part = commit(
            inventory,
            reservation,
            LineRequest(item_id=tent.item_id, sku=" TENT", quantity=1),
            LineRequest(item_id=tent.item_id, sku="TENT", quantity=1),
        )

        assert units(part.committed) == {"TENT": 2}

    def test_a_closed_reservation_has_no_parts(self, inventory, time, tent):
        """Committed, released or expired."""
        committed, released, expired = (
            hold(inventory, line(tent, 1), ttl_seconds=60) for _ in range(3)
        )
        inventory.commit_reservation(CommitReservation(**named(committed)))
        inventory.release_reservation(ReleaseReservation(**named(released)))
        time.pass_by(seconds=60)

        for reservation in (committed, released):
            with pytest.raises(ReservationClosedError):
                commit(inventory, reservation, line(tent, 1))
        with pytest.raises(ReservationExpiredError):
            commit(inventory, expired, line(tent, 1))

    def test_a_partly_committed_reservation_is_extended(self, inventory, time, tent):
        """What has left stays so."""
        reservation = hold(inventory, line(tent, 3))
        part = commit(inventory, reservation, line(tent, 1))

        longer = inventory.extend_reservation(
            ExtendReservation(**named(reservation), ttl_seconds=3600)
        )

        assert (longer.lines, longer.committed) == (part.lines, part.committed)
        assert longer.expires_at > part.expires_at

    def test_a_count_may_not_go_below_what_is_still_held(self, inventory, tent):
        """Committed units are not reserved any more."""
        reservation = hold(inventory, line(tent, 3))
        commit(inventory, reservation, line(tent, 2))

        counted = inventory.count_stock(CountStock(**named_item(tent), quantity=1))

        assert counted.item.level.available == 0
