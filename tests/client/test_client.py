"""InventoryClient: the contract of the use cases over HTTP, and what only a connection can do to them."""

import inspect
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ExtendReservation,
    GetItem,
    GetReservation,
    IdempotencyKey,
    IfMatch,
    InsufficientStockError,
    Inventory,
    InventoryError,
    ItemKey,
    ItemNotFoundError,
    ItemRef,
    LineRequest,
    ListItems,
    ListMovements,
    Movement,
    MovementKind,
    Page,
    PreconditionFailedError,
    ReleaseReservation,
    Reservation,
    ReservationLine,
    ReservationState,
    RowResult,
    StorageThrottledError,
    StorageUnavailableError,
    TransferStock,
    UpdateItem,
    deadline,
    errors,
)
from inventory_adapters.client import InventoryClient, UnexpectedAnswerError
from inventory_adapters.client.wire import WireResponse
from inventory_adapters.http.app import _command, error_response
from inventory_adapters.http.errors import CODES, HttpError, row_to_wire
from inventory_adapters.http.messages import Request
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.wire import (
    from_json,
    item_from_wire,
    item_to_wire,
    movement_from_wire,
    movement_to_wire,
    page_from_wire,
    page_to_wire,
    reservation_from_wire,
    reservation_to_wire,
    to_json,
)
from tests import strategies as values
from tests.domain.use_cases import ItemUseCases, StockUseCases
from tests.handlers import URL, HandlerTransport, client_of, connected, routed
from tests.local_server import needs_signals, serving

TENT = CreateItem(sku="TENT", name="Tent", quantity=5, category="tents", price="199.90")
ODD = ["a/b", "100%", "%2F", "..", ".", "a?b#c", "a+b c", ";x=1", "ä", "🍵", "\\", "a&sku=b", '"']


class TestItemsOverHttp(ItemUseCases):
    @pytest.fixture
    def connect(self):
        """Whoever calls is a client; the handlers are in this process."""
        return connected


class TestStockOverHttp(StockUseCases):
    @pytest.fixture
    def connect(self):
        """As for items."""
        return connected


@pytest.fixture
def behind():
    return Inventory(MemoryRepository(), pause=lambda _: None)


@pytest.fixture
def tent(behind):
    return behind.create_item(TENT)


def ref(item):
    return {"item_id": item.item_id, "sku": item.sku}


def adjusting(item, delta=-1, **fields):
    return AdjustStock(**ref(item), delta=delta, reason="sold", **fields)


def on_hand(behind, item):
    return behind.get_item(GetItem(item_id=item.item_id)).level.on_hand


def keys(transport):
    return [request.headers.get("Idempotency-Key") for request in transport.seen]


def public(kind):
    return {
        name for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_"
    }


class TestTheSameMethods:
    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_each_route_is_a_method_with_the_signature_of_its_use_case(self, route):
        """Whoever has annotated one can pass the other."""
        ours = getattr(InventoryClient, route.name)

        assert inspect.signature(ours) == inspect.signature(route.use_case)

    def test_only_upkeep_is_missing(self):
        """What a server's operator does is not on the wire."""
        assert public(Inventory) - public(InventoryClient) == {
            "expire_reservations",
            "far_reservations",
            "reconcile",
        }
        assert public(InventoryClient) - public(Inventory) == {"close", "iter_items"}


class TestWhatIsSent:
    """What the server reads is the very command that the caller made."""

    @staticmethod
    def read(use_case, command):
        """Return what a server makes of what a client sends."""
        seen = []

        def answer(request):
            seen.append(request)
            return httpx.Response(404)

        with pytest.raises(InventoryError):
            getattr(client_of(httpx.MockTransport(answer)), use_case.__name__)(command)

        [request] = seen
        route, path_fields, _, query = routed(request)
        assert route.use_case is use_case
        return _command(
            route,
            Request(
                path_fields=path_fields,
                query=query,
                headers=dict(request.headers),
                body=request.read().decode(),
            ),
        )

    @given(values.creations, st.none() | st.just(IdempotencyKey("k~!")))
    def test_a_new_item(self, command, key):
        """Every digit of its price, every character of its name."""
        command = attrs.evolve(command, idempotency_key=key)

        read = self.read(Inventory.create_item, command)

        assert read.idempotency_key is not None
        assert attrs.evolve(read, idempotency_key=key) == command
        assert key is None or read.idempotency_key == key

    @given(st.sampled_from(ODD) | values.skus, values.skus, values.updates, values.if_matches)
    def test_an_update(self, item_id, sku, fields, if_match):
        """Only the fields that were given, null among them, and the state that they are for."""
        command = UpdateItem(item_id=item_id, sku=sku, if_match=if_match, **fields)

        assert self.read(Inventory.update_item, command) == command

    @given(st.sampled_from(ODD) | values.skus, st.sampled_from(ODD) | values.skus)
    def test_ids_are_sent_as_they_are(self, item_id, sku):
        """Whatever they mean to a URL."""
        for use_case, command in (
            (Inventory.get_item, GetItem(item_id=item_id, sku=sku)),
            (
                Inventory.delete_item,
                DeleteItem(item_id=item_id, sku=sku, idempotency_key=IdempotencyKey("k")),
            ),
            (Inventory.list_movements, ListMovements(item_id=item_id, sku=sku, page_size=3)),
            (Inventory.get_reservation, GetReservation(reservation_id=item_id)),
        ):
            assert self.read(use_case, command) == command

    @pytest.mark.parametrize(
        ("use_case", "command"),
        [
            (Inventory.get_item, GetItem(item_id="i")),
            (Inventory.list_items, ListItems()),
            (Inventory.list_items, ListItems(low_stock=True, page_size=7, page_token="t-_~")),
            (
                Inventory.list_items,
                ListItems(category="ä & ö", status="available", sku="%", location="+"),
            ),
            (
                Inventory.delete_item,
                DeleteItem(
                    item_id="i",
                    sku="s",
                    if_match=IfMatch.parse('"1-0"'),
                    idempotency_key=IdempotencyKey("k"),
                ),
            ),
            (
                Inventory.delete_item,
                DeleteItem(
                    item_id="i",
                    sku="s",
                    if_match=IfMatch(frozenset()),
                    idempotency_key=IdempotencyKey("k"),
                ),
            ),
        ],
    )
    def test_queries(self, use_case, command):
        """What was not given is not sent, what was given is not changed."""
        assert self.read(use_case, command) == command

    @pytest.mark.parametrize(
        ("use_case", "command"),
        [
            (
                Inventory.adjust_stock,
                AdjustStock(item_id="i", sku="s", delta=-3, reason="r", reference="x"),
            ),
            (
                Inventory.count_stock,
                CountStock(item_id="i", sku="s", quantity=0, expected_quantity=0),
            ),
            (
                Inventory.transfer_stock,
                TransferStock(
                    source=ItemRef(item_id="i", sku="s"),
                    destination=ItemRef(item_id="j", sku="s"),
                    quantity=1,
                ),
            ),
            (
                Inventory.create_reservation,
                CreateReservation(
                    lines=[LineRequest(item_id="i", sku="s", quantity=1)] * 2, ttl_seconds=61
                ),
            ),
            (Inventory.commit_reservation, CommitReservation(reservation_id="a/b")),
            (Inventory.release_reservation, ReleaseReservation(reservation_id="a/b")),
            (Inventory.extend_reservation, ExtendReservation(reservation_id="r", ttl_seconds=60)),
            (
                Inventory.batch_items,
                BatchItems(
                    items=(
                        TENT,
                        {"item_id": "i", "sku": "s", "if_match": '"1-2"', "reorder_point": None},
                        UpdateItem(item_id="j", sku="s"),
                    ),
                    mode="per_row",
                ),
            ),
        ],
    )
    def test_requests_that_write(self, use_case, command):
        """Nested ones too; each under a key."""
        read = self.read(use_case, command)

        assert read.idempotency_key is not None
        assert attrs.evolve(read, idempotency_key=None) == command

    def test_each_call_has_a_key_of_its_own(self, behind, tent):
        """The same command twice is two effects."""
        transport = HandlerTransport(behind)
        client = client_of(transport)

        client.adjust_stock(adjusting(tent))
        client.adjust_stock(adjusting(tent))

        assert len(set(keys(transport))) == 2
        assert on_hand(behind, tent) == 3

    def test_the_callers_key_wins(self, behind, tent):
        """It may be that of an earlier process."""
        transport = HandlerTransport(behind)

        client_of(transport).adjust_stock(
            adjusting(tent, idempotency_key=IdempotencyKey("order-17"))
        )

        assert keys(transport) == ["order-17"]

    def test_who_calls_is_said_in_the_headers(self, behind, tent):
        """The API key, and whatever else a gateway wants."""
        transport = HandlerTransport(behind)
        client = client_of(transport, api_key="secret", headers={"Authorization": "Bearer x"})

        client.get_item(GetItem(item_id=tent.item_id))

        [request] = transport.seen
        assert (request.headers["X-Api-Key"], request.headers["Authorization"]) == (
            "secret",
            "Bearer x",
        )

    @pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://h/?a=1"])
    def test_an_address_that_is_none_is_refused_at_once(self, url):
        """And not by each call."""
        with pytest.raises(ValueError, match="not an HTTP URL"):
            InventoryClient(url)

    def test_an_invalid_row_keeps_its_place(self, behind):
        """The key of the row after it is the one that it has in the library."""
        rows = [{"sku": ""}, {"sku": "S", "name": "N", "quantity": 1, "category": "c"}]
        command = BatchItems(items=rows, mode="per_row", idempotency_key=IdempotencyKey("k"))

        first, again = connected(behind).batch_items(command), behind.batch_items(command)

        assert first[1] == again[1]
        assert first[0].error is command.items[0]

    def test_a_batch_is_refused_for_what_the_library_refuses_it_for(self, behind):
        """An item that is named twice, before a row that is invalid; nothing is sent."""
        row = {"item_id": "i", "sku": "s"}
        transport = HandlerTransport(behind)

        with pytest.raises(DuplicateRowError):
            client_of(transport).batch_items(BatchItems(items=(row, row, {"sku": ""})))

        assert transport.seen == []


movements = st.builds(
    Movement,
    key=st.builds(ItemKey, item_id=values.skus, sku=values.skus),
    seq=values.quantities,
    kind=st.sampled_from(MovementKind),
    delta_on_hand=st.integers(-(10**9), 10**9),
    delta_reserved=st.integers(-(10**9), 10**9),
    on_hand=values.quantities,
    reserved=values.quantities,
    reason=st.none() | values.skus,
    reference=st.none() | values.skus,
    recorded_at=values.times,
)
reservations = st.builds(
    Reservation,
    reservation_id=values.skus,
    lines=st.lists(
        st.builds(
            ReservationLine,
            key=st.builds(ItemKey, item_id=values.skus, sku=values.skus),
            quantity=st.integers(1, 9),
        ),
        max_size=3,
    ).map(tuple),
    state=st.sampled_from(ReservationState),
    reference=st.none() | values.skus,
    created_at=values.times,
    expires_at=values.times,
    closed_at=st.none() | values.times,
)


def sent(wire):
    return from_json(to_json(wire))


class TestWhatIsRead:
    """What was written for the wire is read from it."""

    @given(values.items)
    def test_an_item(self, item):
        """Its seq by itself, where the JSON does not say it."""
        assert item_from_wire(sent(item_to_wire(item)), seq=item.level.seq) == item

    @given(movements)
    def test_a_movement(self, movement):
        """Its kind as the enumeration."""
        read = movement_from_wire(sent(movement_to_wire(movement)))

        assert read == movement
        assert isinstance(read.kind, MovementKind)

    @given(reservations)
    def test_a_reservation(self, reservation):
        """Its state as the enumeration."""
        read = reservation_from_wire(sent(reservation_to_wire(reservation)))

        assert read == reservation
        assert isinstance(read.state, ReservationState)

    @given(st.lists(movements, max_size=2), st.none() | st.just("token"))
    def test_a_page(self, rows, token):
        """With its token, if there is one."""
        page = Page(items=tuple(rows), next_cursor=token)
        wire = sent(page_to_wire("movements", page, movement_to_wire))

        assert page_from_wire("movements", wire, movement_from_wire) == page

    @pytest.mark.parametrize("price", ["0.1", "12345678901.2345", "99999999999.9999", "1E+2"])
    def test_a_price_is_exact(self, behind, price):
        """No digit passes through a binary float."""
        made = connected(behind).create_item(attrs.evolve(TENT, price=Decimal(price)))

        assert made.price == Decimal(price)

    def test_the_state_of_an_item_is_known_from_each_answer_about_it(self, behind, tent):
        """By its ETag, or by the movement beside it."""
        client = connected(behind)

        moved = client.adjust_stock(adjusting(tent)).item
        read = client.get_item(GetItem(item_id=tent.item_id))
        edited = client.update_item(UpdateItem(**ref(tent), name="A", if_match=read_tag(moved)))

        assert moved == read
        assert (edited.level.seq, edited.etag) == (1, '"2-1"')

    def test_a_tag_that_a_proxy_made_weak_still_tells_it(self, behind, tent):
        """Compressing proxies do that."""
        answer = HandlerTransport(behind)._answer(
            httpx.Request("GET", f"{URL}/items/{tent.item_id}")
        )
        answer.headers["ETag"] = 'W/"1-7"'

        read = client_of(httpx.MockTransport(lambda _: answer)).get_item(GetItem(item_id="i"))

        assert read.level.seq == 7

    def test_a_server_may_send_the_seq_with_the_item(self, tent):
        """It outranks what else is known."""
        wire = {**item_to_wire(tent), "seq": 9, "colour": "a field of a newer server"}

        assert item_from_wire(wire, seq=3).level.seq == 9

    def test_a_tag_of_a_listed_item_never_lets_through_what_it_should_not(self, behind, tent):
        """Where its seq is not known, edits of its details go by its version, and a count of its stock is refused."""
        behind.adjust_stock(adjusting(tent))
        client = connected(behind)
        [listed] = client.list_items(ListItems()).items

        client.update_item(UpdateItem(**ref(tent), name="A", if_match=read_tag(listed)))
        listed = attrs.evolve(listed, version=2, level=attrs.evolve(listed.level, seq=0))
        with pytest.raises(PreconditionFailedError):
            client.update_item(UpdateItem(**ref(tent), quantity=1, if_match=read_tag(listed)))


def read_tag(item):
    return IfMatch.parse(item.etag)


ITEM = {"item_id": "i", "sku": "s"}
EXAMPLES = [
    errors.ValidationError(
        faults=(errors.FieldError("a.b[0]", "is bad"), errors.FieldError("c", "is worse"))
    ),
    errors.InvalidCursorError(),
    errors.SameItemError(),
    errors.SkuMismatchError(source="a", destination="b"),
    errors.DuplicateRowError(**ITEM, first_row=0, second_row=1),
    errors.BatchTooLargeError(rows=26, limit=25),
    errors.ItemNotFoundError(item_id="i"),
    errors.ItemNotFoundError(**ITEM),
    errors.ReservationNotFoundError(reservation_id="r"),
    errors.InsufficientStockError(**ITEM, available=1, requested=3, reserved=2),
    errors.BelowReservedError(**ITEM, requested=1, reserved=2),
    errors.ItemInUseError(**ITEM, reserved=2),
    errors.StaleQuantityError(**ITEM, expected_quantity=1, quantity=2),
    errors.StockLimitError(**ITEM, limit=3, quantity=2, requested=2),
    errors.ReservationExpiredError(
        reservation_id="r", expires_at="2026-05-01T00:00:00.000000+00:00"
    ),
    errors.ReservationClosedError(reservation_id="r", state="released"),
    errors.ContentionError(),
    errors.PreconditionFailedError(version=3, seq=0),
    errors.KeyReusedError(),
    errors.StorageThrottledError(),
    errors.StorageUnavailableError(),
    errors.UnreadableItemError(**ITEM),
    errors.UnreadableMovementError(**ITEM, seq=3),
    errors.UnreadableReservationError(reservation_id="r"),
    errors.BatchRefusedError(
        refused={
            0: errors.ItemInUseError(**ITEM, reserved=2),
            2: errors.ItemNotFoundError(**ITEM),
        },
        rows=3,
    ),
]


def raised(response, **settings):
    """Return what a client raises to *response*."""
    client = client_of(httpx.MockTransport(lambda _: response), retries=0, **settings)
    with pytest.raises(InventoryError) as caught:
        client.get_item(GetItem(item_id="i"))
    return caught.value


def refused(error):
    made = error_response(error, request_id="r")
    return httpx.Response(made.status, headers=made.headers, content=made.body)


def told(error):
    """Return all that *error* says, of the errors inside it too."""
    inside = {index: told(one) for index, one in error.facts.get("refused", {}).items()}
    return type(error), str(error), error.code, {**error.facts, "refused": inside}


KNOWN_CODES = {one.code for one in EXAMPLES}


class TestErrors:
    def test_every_code_of_the_domain_has_an_example_here(self):
        """A new error is tried before it is met."""
        own = {kind.code for kind in vars(errors).values() if hasattr(kind, "code")}

        assert {error.code for error in EXAMPLES} == own

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
    def test_an_error_comes_as_what_it_was(self, error):
        """Its class, its sentence, its facts and its attributes."""
        received = raised(refused(error))

        assert told(received) == told(error)

    def test_a_newer_servers_sentence_is_passed_on(self):
        """With the facts that it adds."""
        body = (
            '{"error": "Sold out", "code": "insufficient_stock", "item_id": "i", "sku": "s", '
            '"available": 0, "requested": 1, "reserved": 1, "next_delivery": "May"}'
        )

        received = raised(httpx.Response(409, content=body))

        assert isinstance(received, InsufficientStockError)
        assert (str(received), received.facts) == (
            "Sold out",
            {
                "item_id": "i",
                "sku": "s",
                "available": 0,
                "requested": 1,
                "reserved": 1,
                "next_delivery": "May",
            },
        )

    @pytest.mark.parametrize(
        ("code", "status"),
        # Any 503 means the same, as that of a proxy.
        [(code, CODES[code]) for code in CODES if code not in KNOWN_CODES and CODES[code] != 503]
        + [("forbidden", 403), ("of_a_newer_server", 409)],
    )
    def test_a_code_that_the_domain_does_not_have_is_passed_on(self, code, status):
        """With its status."""
        response = httpx.Response(status, json={"error": "So it is", "code": code, "n": 1})

        received = raised(response)

        assert type(received) is UnexpectedAnswerError
        assert (str(received), received.code, received.status, received.facts) == (
            "So it is",
            code,
            status,
            {"status": status, "code": code, "n": 1},
        )

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (302, UnexpectedAnswerError),
            (404, UnexpectedAnswerError),
            (429, StorageThrottledError),
            (500, UnexpectedAnswerError),
            (502, StorageUnavailableError),
            (503, StorageUnavailableError),
            (504, StorageUnavailableError),
        ],
    )
    @pytest.mark.parametrize(
        "content",
        [
            "<html>Bad Gateway</html>",
            "",
            b"\xff",
            "[]",
            "null",
            "[" * 100_000,
            '{"message": "Endpoint request timed out"}',
            '{"code": ["x"]}',
            '{"code": 1, "code": 2}',
            '{"code": "batch_refused", "results": 5}',
            '{"code": "validation_failed", "details": [{}]}',
        ],
        ids=repr,
    )
    def test_an_answer_of_something_else_is_told_by_its_status(self, status, kind, content):
        """A proxy's page, a gateway's own words, what no server of ours would send."""
        assert type(raised(httpx.Response(status, content=content))) is kind

    @pytest.mark.parametrize(
        "content",
        [
            "<html>Welcome to our WiFi</html>",
            "{}",
            '{"item": {}}',
            '{"item": 5}',
            '{"item": {"item_id": "i", "sku": "s", "name": "N", "description": "", "category": "c", "price": "free"}}',
        ],
    )
    def test_a_success_that_is_none_of_ours_is_not_taken_for_one(self, content):
        """Whatever answered was not asked by us."""
        received = raised(httpx.Response(200, content=content))

        assert (type(received), received.status, received.code) == (
            UnexpectedAnswerError,
            200,
            "unexpected_answer",
        )

    def test_redirects_are_not_followed(self):
        """Our keys are for this server alone."""
        seen = []

        def answer(request):
            seen.append(request)
            return httpx.Response(307, headers={"Location": "http://elsewhere.test/"})

        http = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
        with pytest.raises(UnexpectedAnswerError):
            InventoryClient(URL, http_client=http).get_item(GetItem(item_id="i"))
        assert len(seen) == 1

    @given(st.sampled_from([error for error in EXAMPLES if error.code != "batch_refused"]))
    def test_a_refused_row_of_a_batch_says_why(self, error):
        """By itself, as its own error; the item that the row names is among its facts."""
        row = RowResult(index=0, item_id="i", sku="s", error=error)
        content = to_json({"results": [row_to_wire(row)]}).encode()

        [read] = WireResponse(status=200, headers={}, content=content).value(Inventory.batch_items)

        assert attrs.evolve(read, error=error) == row
        assert (type(read.error), str(read.error)) == (type(error), str(error))
        assert read.error.facts == {"item_id": "i", "sku": "s"} | error.facts

    def test_all_rows_of_a_refused_batch_are_told(self, behind, tent):
        """By their places."""
        rows = ({"item_id": "x", "sku": "X"}, TENT, {**ref(tent), "if_match": '"7-0"'})

        with pytest.raises(BatchRefusedError) as caught:
            connected(behind).batch_items(BatchItems(items=rows))

        assert [type(error) for error in caught.value.refused.values()] == [
            ItemNotFoundError,
            PreconditionFailedError,
        ]
        assert (set(caught.value.refused), caught.value.rows) == ({0, 2}, 3)


def timeout():
    return httpx.ReadTimeout("timed out")


def hung_up():
    return httpx.RemoteProtocolError("Server disconnected without sending a response.")


def unreachable():
    return httpx.ConnectError("Connection refused")


def bad_gateway():
    return httpx.Response(502, html="<h1>Bad Gateway</h1>")


def unavailable():
    return refused(StorageUnavailableError())


def throttled():
    return refused(StorageThrottledError())


LOST = [timeout, hung_up, bad_gateway, unavailable]
NOTHING_DONE = [
    unreachable,
    throttled,
    lambda: httpx.ConnectTimeout(""),
    lambda: httpx.PoolTimeout(""),
    lambda: httpx.ProxyError("407 Proxy Authentication Required"),
]


class TestRepeats:
    @pytest.mark.parametrize("lost", LOST)
    @pytest.mark.parametrize(
        "operation",
        [
            "create",
            "adjust",
            "count",
            "transfer",
            "reserve",
            "commit",
            "release",
            "extend",
            "batch",
        ],
    )
    def test_an_answer_that_is_lost_after_the_work_was_done_has_one_effect(
        self, behind, tent, operation, lost
    ):
        """And the answer is the one that was lost."""
        other = behind.create_item(attrs.evolve(TENT, quantity=0))
        line = LineRequest(**ref(tent), quantity=1)
        held = behind.create_reservation(CreateReservation(lines=[line]))
        named = {"reservation_id": held.reservation_id}
        transport = HandlerTransport(behind, after=[lost(), lost()])
        client = client_of(transport)

        {
            "create": lambda: client.create_item(TENT),
            "adjust": lambda: client.adjust_stock(adjusting(tent, delta=-4)),
            "count": lambda: client.count_stock(
                CountStock(**ref(tent), quantity=4, expected_quantity=5)
            ),
            "transfer": lambda: client.transfer_stock(
                TransferStock(
                    source=ItemRef(**ref(tent)), destination=ItemRef(**ref(other)), quantity=4
                )
            ),
            "reserve": lambda: client.create_reservation(CreateReservation(lines=[line] * 3)),
            "commit": lambda: client.commit_reservation(CommitReservation(**named)),
            "release": lambda: client.release_reservation(ReleaseReservation(**named)),
            "extend": lambda: client.extend_reservation(
                ExtendReservation(**named, ttl_seconds=3600)
            ),
            "batch": lambda: client.batch_items(
                BatchItems(items=[TENT, {**ref(tent), "quantity": 3}], mode="per_row")
            ),
        }[operation]()

        effects = {"create": (3, 1), "extend": (2, 1), "batch": (3, 2)}
        items = behind.list_items(ListItems()).items
        seq = behind.get_item(GetItem(item_id=tent.item_id)).level.seq
        assert (len(items), seq) == effects.get(operation, (2, 2))
        assert len(transport.seen) == 3
        assert len(set(keys(transport))) == 1

    def test_a_lost_answer_shows_as_a_replay(self, behind, tent):
        """The flag says what happened on the wire: this request was served before."""
        key = IdempotencyKey("k")
        client = client_of(HandlerTransport(behind, after=[timeout()]))

        client.adjust_stock(adjusting(tent, idempotency_key=key))

        assert key.replayed

    def test_a_refusal_after_a_lost_answer_is_not_believed_but_the_record(self, behind, tent):
        """The stock that is missing is what the first attempt took."""
        client = client_of(HandlerTransport(behind, after=[timeout()]))

        assert client.adjust_stock(adjusting(tent, delta=-5)).item.level.on_hand == 0

    @pytest.mark.parametrize("failure", [*LOST, *NOTHING_DONE])
    def test_reading_is_repeated(self, behind, tent, failure):
        """It has no effect."""
        client = client_of(HandlerTransport(behind, before=[failure(), failure()]))

        assert client.get_item(GetItem(item_id=tent.item_id)) == tent

    @pytest.mark.parametrize("failure", NOTHING_DONE)
    def test_any_request_is_repeated_that_had_no_effect(self, behind, tent, failure):
        """It never got there, or was turned away."""
        client = client_of(HandlerTransport(behind, before=[failure()]))

        assert client.update_item(UpdateItem(**ref(tent), name="A")).version == 2

    @pytest.mark.parametrize("lost", LOST)
    @pytest.mark.parametrize("if_match", ["*", '"1-0", "2-0"'])
    def test_an_update_that_could_undo_what_others_did_is_not(self, behind, tent, lost, if_match):
        """Whether it was carried out is open, and only the caller can tell what that means."""
        transport = HandlerTransport(behind, after=[lost()])
        command = UpdateItem(**ref(tent), name="A", if_match=IfMatch.parse(if_match))

        with pytest.raises(StorageUnavailableError):
            client_of(transport).update_item(command)

        assert len(transport.seen) == 1

    @pytest.mark.parametrize("fields", [{"name": "A"}, {"quantity": 9}])
    def test_an_update_of_one_state_is_repeated(self, behind, tent, fields):
        """An attempt that got nowhere."""
        client = client_of(HandlerTransport(behind, before=[timeout()]))
        command = UpdateItem(**ref(tent), if_match=read_tag(tent), **fields)

        assert client.update_item(command).etag in ('"2-0"', '"1-1"')

    @pytest.mark.parametrize("fields", [{"name": "A"}, {"quantity": 9}])
    def test_an_update_that_may_have_made_its_own_tag_stale_does_not_say_that_it_was_refused(
        self, behind, tent, fields
    ):
        """Whoever were told so would look, see the new state as somebody else's, and do it once more."""
        client = client_of(HandlerTransport(behind, after=[timeout()]))
        command = UpdateItem(**ref(tent), if_match=read_tag(tent), **fields)

        with pytest.raises(StorageUnavailableError) as caught:
            client.update_item(command)

        assert isinstance(caught.value.__cause__, PreconditionFailedError)
        now = behind.get_item(GetItem(item_id=tent.item_id))
        assert now.version + now.level.seq == 2

    def test_a_delete_is_repeated(self, behind, tent):
        """An id never comes again."""
        client = client_of(HandlerTransport(behind, before=[timeout()]))

        assert client.delete_item(DeleteItem(**ref(tent))) == tent

    def test_a_delete_that_succeeded_before_its_answer_was_lost_is_answered(self, behind, tent):
        """It is sent under one key, so the server knows that it was ours."""
        transport = HandlerTransport(behind, after=[timeout()])

        assert client_of(transport).delete_item(DeleteItem(**ref(tent))) == tent

        [first, again] = keys(transport)
        assert first == again is not None

    @pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 1}])
    def test_an_update_under_a_key_is_repeated(self, behind, tent, fields):
        """Whatever became of the first attempt; a key is never made for one."""
        transport = HandlerTransport(behind, after=[timeout()])
        key = IdempotencyKey("k")

        client_of(transport).update_item(UpdateItem(**ref(tent), **fields, idempotency_key=key))

        assert keys(transport) == ["k", "k"]
        assert key.replayed
        client_of(transport).update_item(UpdateItem(**ref(tent), **fields))
        assert keys(transport)[2:] == [None]

    def test_a_stale_update_under_a_key_says_so_after_a_lost_answer(self, behind, tent):
        """Had the lost attempt succeeded, the repeat would have its answer."""
        client = client_of(HandlerTransport(behind, after=[timeout()]))
        stale = IfMatch.parse('"7-0"')

        with pytest.raises(PreconditionFailedError):
            client.update_item(
                UpdateItem(
                    **ref(tent), name="A", if_match=stale, idempotency_key=IdempotencyKey("k")
                )
            )

    def test_a_throttle_after_a_lost_answer_leaves_it_open(self, behind, tent):
        """Nothing was changed by the last attempt; by the first, perhaps."""
        transport = HandlerTransport(behind, after=[timeout(), *[throttled() for _ in range(3)]])

        with pytest.raises(StorageUnavailableError) as caught:
            client_of(transport).adjust_stock(adjusting(tent))

        assert isinstance(caught.value.__cause__, StorageThrottledError)

    @pytest.mark.parametrize("failure", NOTHING_DONE)
    def test_a_refusal_after_attempts_without_effect_is_what_it_says(self, behind, tent, failure):
        """Nothing of ours can have brought it about."""
        client = client_of(HandlerTransport(behind, before=[failure()]))
        stale = IfMatch.parse('"7-0"')

        with pytest.raises(PreconditionFailedError):
            client.update_item(UpdateItem(**ref(tent), name="A", if_match=stale))

    @pytest.mark.parametrize(
        "answer",
        [
            refused(errors.ContentionError()),
            refused(HttpError("route_not_found", "x")),
            refused(RuntimeError("a bug")),
        ],
    )
    def test_what_will_not_pass_is_not_repeated(self, behind, tent, answer):
        """The server has tried what there was to try."""
        transport = HandlerTransport(behind, before=[answer])

        with pytest.raises(InventoryError):
            client_of(transport).adjust_stock(adjusting(tent))

        assert len(transport.seen) == 1


class TestPauses:
    @staticmethod
    def pauses(failures, retries=10, ask=lambda client: client.get_item(GetItem(item_id="i"))):
        """Return how long a client pauses after each of *failures*, and what it then raises."""
        paused = []
        transport = HandlerTransport(Inventory(MemoryRepository()), before=failures)
        client = client_of(transport, retries=retries, pause=paused.append)
        with pytest.raises(InventoryError) as caught:
            ask(client)
        return paused, caught.value, transport.seen

    @pytest.mark.parametrize("retries", [0, 1, 4])
    def test_attempts_are_bounded(self, retries):
        """One, and the repeats."""
        paused, error, seen = self.pauses([timeout() for _ in range(9)], retries=retries)

        assert (len(seen), len(paused)) == (retries + 1, retries)
        assert isinstance(error, StorageUnavailableError)
        assert isinstance(error.__cause__, httpx.ReadTimeout)

    def test_pauses_grow_and_scatter(self, monkeypatch):
        """Full jitter: from nothing to a bound that doubles, and ends at five seconds."""
        monkeypatch.setattr("random.uniform", lambda low, high: (low, high))
        from inventory_adapters.client import _jitter

        assert [_jitter(attempt) for attempt in (0, 1, 2, 5, 6, 5000)] == [
            *((0, 0.1), (0, 0.2), (0, 0.4), (0, 3.2), (0, 5.0), (0, 5.0)),
        ]

    @pytest.mark.parametrize(
        ("value", "least", "most"),
        [
            ("7", 7, 7.1),
            ("0", 0, 0.1),
            ("in 20 seconds", 10, 20.1),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0.1),
            ("Wed, 21 Oct 2015 07:28:00 -0000", 0, 0.1),
            ("soon", 0, 0.1),
            ("-1", 0, 0.1),
            ("", 0, 0.1),
        ],
    )
    def test_the_server_says_when_to_come_back(self, value, least, most):
        """In seconds or as a date; what is neither is passed over."""
        if value == "in 20 seconds":
            value = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
        [pause], _, _ = self.pauses([httpx.Response(503, headers={"Retry-After": value})])

        assert least <= pause <= most

    def test_who_is_told_to_wait_for_long_does_not(self):
        """The caller has better things to do."""
        paused, error, _ = self.pauses([httpx.Response(503, headers={"Retry-After": "31"})])

        assert paused == []
        assert isinstance(error, StorageUnavailableError)

    def test_no_pause_goes_beyond_the_deadline(self):
        """What cannot be in time is not begun."""

        def hurried(client):
            with deadline(0.5):
                client.get_item(GetItem(item_id="i"))

        paused, error, seen = self.pauses([throttled()], ask=hurried)

        assert (paused, len(seen)) == ([], 1)
        assert isinstance(error, StorageThrottledError)

    def test_no_attempt_takes_longer_than_there_is_time(self, behind, tent):
        """Nor longer than it may."""
        transport = HandlerTransport(behind)
        client = client_of(transport, timeout=5)

        client.get_item(GetItem(item_id=tent.item_id))
        with deadline(2):
            client.get_item(GetItem(item_id=tent.item_id))

        usual, hurried = (request.extensions["timeout"]["read"] for request in transport.seen)
        assert usual == 5
        assert 1 < hurried <= 2

    def test_nothing_is_sent_when_there_is_no_time(self, behind, tent):
        """It could only be too late."""
        transport = HandlerTransport(behind)

        with deadline(0), pytest.raises(StorageUnavailableError):
            client_of(transport).adjust_stock(adjusting(tent))

        assert transport.seen == []

    def test_a_repeat_is_logged(self, behind, tent, caplog):
        """What was asked, and why it has to be asked again; not with what."""
        caplog.set_level("INFO", logger="inventory_adapters.client")

        client_of(HandlerTransport(behind, before=[timeout()])).adjust_stock(adjusting(tent))

        [record] = [one for one in caplog.records if one.name == "inventory_adapters.client"]
        assert (record.route, record.code) == ("adjust_stock", "storage_unavailable")
        assert 0 <= record.pause_seconds <= 0.1


class TestConnections:
    def test_our_own_are_closed_and_a_callers_are_not(self):
        """Whoever made them closes them."""
        theirs = httpx.Client()

        with InventoryClient(URL, http_client=theirs), InventoryClient(URL) as ours:
            pass

        assert (theirs.is_closed, ours._http.is_closed) == (False, True)
        theirs.close()

    def test_threads_may_share_a_client(self, behind, tent):
        """Each call stands for itself."""
        client = connected(behind)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(client.adjust_stock, [adjusting(tent, delta=1)] * 80))

        assert on_hand(behind, tent) == 85

    def test_without_its_extra_it_says_what_to_install(self):
        """In place of a missing module that nobody asked for."""
        script = "import sys; sys.modules['httpx'] = None; import inventory_adapters.client"

        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )

        assert "tap-inventory[client]" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("client") / "log", "--memory") as running:
        yield running


@needs_signals
class TestOverASocket:
    @pytest.fixture
    def client(self, server):
        with (
            httpx.Client(trust_env=False) as http,
            InventoryClient(server.url + "/", http_client=http) as made,
        ):
            yield made

    def test_an_item_lives(self, client):
        """Created, read, listed, moved, edited and deleted."""
        item = client.create_item(attrs.evolve(TENT, category="living"))
        moved = client.adjust_stock(adjusting(item)).item
        edited = client.update_item(
            UpdateItem(**ref(item), price="1.5", quantity=7, if_match=read_tag(moved))
        )

        assert client.get_item(GetItem(**ref(item))) == edited
        assert client.list_items(ListItems(category="living")).items[0].key == item.key
        assert client.delete_item(DeleteItem(**ref(item), if_match=read_tag(edited))).price == 1.5
        with pytest.raises(ItemNotFoundError):
            client.get_item(GetItem(**ref(item)))

    def test_pages_are_walked(self, client):
        """The token of one asks for the next."""
        item = client.create_item(TENT)
        for _ in range(3):
            client.adjust_stock(adjusting(item))

        walked, token = [], None
        while True:
            page = client.list_movements(ListMovements(**ref(item), page_size=2, page_token=token))
            walked += page.items
            if (token := page.next_cursor) is None:
                break

        assert [movement.seq for movement in walked] == [3, 2, 1, 0]

    @pytest.mark.parametrize("odd", ODD)
    def test_odd_ids_and_skus_arrive_as_they_are(self, client, odd):
        """In the path, in the query and in the body."""
        item = client.create_item(attrs.evolve(TENT, sku=odd))

        assert client.get_item(GetItem(**ref(item))).sku == odd
        with pytest.raises(ItemNotFoundError) as caught:
            client.get_item(GetItem(item_id=odd, sku=odd))
        assert (caught.value.item_id, caught.value.sku) == (odd, odd)

    def test_a_refusal_says_what_it_says_in_the_library(self, client):
        """The same class, the same numbers."""
        item = client.create_item(TENT)

        with pytest.raises(InsufficientStockError) as caught:
            client.adjust_stock(adjusting(item, delta=-6))

        assert caught.value.facts == {**ref(item), "available": 5, "requested": 6, "reserved": 0}

    def test_a_server_that_is_not_there_is_unavailable(self):
        """After as many attempts as there may be."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        pauses = []

        with (
            InventoryClient(f"http://127.0.0.1:{port}", pause=pauses.append) as client,
            pytest.raises(StorageUnavailableError, match="did not answer"),
        ):
            client.create_item(TENT)

        assert len(pauses) == 3

    def test_a_server_that_does_not_answer_is_not_waited_for(self):
        """For longer than the timeout."""
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            InventoryClient(
                f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05, retries=1
            ) as client,
            pytest.raises(StorageUnavailableError),
        ):
            client.create_item(TENT)
