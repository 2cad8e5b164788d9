"""InventoryClient: the contract of the use cases over HTTP, retries, and errors of the connection."""

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
from tests.domain.daily_use_cases import DailyUseCases
from tests.domain.use_cases import ItemUseCases, StockUseCases
from tests.handlers import URL, HandlerTransport, client_of, connected, routed
from tests.local_server import needs_signals, serving

TENT = CreateItem(sku="TENT", name="Tent", quantity=5, category="tents", price="199.90")
ODD = ["a/b", "100%", "%2F", "..", ".", "a?b#c", "a+b c", ";x=1", "ä", "🍵", "\\", "a&sku=b", '"']


class TestItemsOverHttp(ItemUseCases):
    @pytest.fixture
    def connect(self):
        """The caller is a client; the handlers run in this process."""
        return connected


class TestDailyUseOverHttp(DailyUseCases):
    @pytest.fixture
    def connect(self):
        """The caller is a client; the handlers run in this process."""
        return connected


class TestStockOverHttp(StockUseCases):
    @pytest.fixture
    def connect(self):
        """The caller is a client; the handlers run in this process."""
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
        """Code with annotations for one accepts the other."""
        ours = getattr(InventoryClient, route.name)

        assert inspect.signature(ours) == inspect.signature(route.use_case)

    def test_only_upkeep_is_missing(self):
        """Tasks of the server's operator are not part of the API."""
        assert public(Inventory) - public(InventoryClient) == {
            "expire_reservations",
            "far_reservations",
            "reconcile",
        }
        assert public(InventoryClient) - public(Inventory) == {"close", "iter_items", "send"}


class TestRequests:
    """The server reads the command that the caller passed."""

    @staticmethod
    def read(use_case, command):
        """Return the command that a server reads from a client's request."""
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
    def test_create_item(self, command, key):
        """The price and the texts are exact."""
        command = attrs.evolve(command, idempotency_key=key)

        read = self.read(Inventory.create_item, command)

        assert read.idempotency_key is not None
        assert attrs.evolve(read, idempotency_key=key) == command
        assert key is None or read.idempotency_key == key

    @given(st.sampled_from(ODD) | values.skus, values.skus, values.updates, values.if_matches)
    def test_update_item(self, item_id, sku, fields, if_match):
        """Only the given fields are sent, null among them, and the If-Match."""
        command = UpdateItem(item_id=item_id, sku=sku, if_match=if_match, **fields)

        assert self.read(Inventory.update_item, command) == command

    @given(st.sampled_from(ODD) | values.skus, st.sampled_from(ODD) | values.skus)
    def test_ids_are_sent_exactly(self, item_id, sku):
        """Also those with characters that have a meaning in URLs."""
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
        """Fields that were not given are not sent, and given ones do not change."""
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
        """Also nested ones; each has a key."""
        read = self.read(use_case, command)

        assert read.idempotency_key is not None
        assert attrs.evolve(read, idempotency_key=None) == command

    def test_each_call_has_a_key_of_its_own(self, behind, tent):
        """The same command twice has two effects."""
        transport = HandlerTransport(behind)
        client = client_of(transport)

        client.adjust_stock(adjusting(tent))
        client.adjust_stock(adjusting(tent))

        assert len(set(keys(transport))) == 2
        assert on_hand(behind, tent) == 3

    def test_callers_key_is_used(self, behind, tent):
        """It may be the key of an earlier process."""
        transport = HandlerTransport(behind)

        client_of(transport).adjust_stock(
            adjusting(tent, idempotency_key=IdempotencyKey("order-17"))
        )

        assert keys(transport) == ["order-17"]

    def test_api_key_and_headers_are_sent(self, behind, tent):
        """With each request."""
        transport = HandlerTransport(behind)
        client = client_of(
            transport, api_key="secret", actor="Zoë 🍵", headers={"Authorization": "Bearer x"}
        )

        client.get_item(GetItem(item_id=tent.item_id))

        [request] = transport.seen
        assert (request.headers["X-Api-Key"], request.headers["Authorization"]) == (
            "secret",
            "Bearer x",
        )
        assert dict(request.headers.raw)[b"X-Actor"].decode() == "Zoë 🍵"

    @pytest.mark.parametrize("name", ["api_key", "actor"])
    @pytest.mark.parametrize("value", ["a\nb", " a", "a\x7f"])
    def test_value_that_no_header_can_have_is_rejected_at_once(self, name, value):
        """The message does not show it, because it may be a key."""
        with pytest.raises(ValueError, match=f"^{name} must consist of visible characters$"):
            InventoryClient(URL, **{name: value})

    @pytest.mark.parametrize(
        "url", ["localhost:8080", "ftp://host", "http://", "http://h/?a=1", "http://h:port"]
    )
    def test_invalid_base_url_is_rejected_at_once(self, url):
        """Not by the first call."""
        with pytest.raises(ValueError, match="not an HTTP URL"):
            InventoryClient(url)

    def test_an_invalid_row_keeps_its_place(self, behind):
        """The keys of the rows after it are those of the library."""
        rows = [{"sku": ""}, {"sku": "S", "name": "N", "quantity": 1, "category": "c"}]
        command = BatchItems(items=rows, mode="per_row", idempotency_key=IdempotencyKey("k"))

        first, again = connected(behind).batch_items(command), behind.batch_items(command)

        assert first[1] == again[1]
        assert first[0].error is command.items[0]

    def test_batch_is_rejected_as_in_the_library(self, behind):
        """A duplicate item takes precedence over an invalid row; nothing is sent."""
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


class TestResults:
    """The client reads what the server wrote."""

    @given(values.items)
    def test_item(self, item):
        """Its seq is passed separately if the JSON does not contain it."""
        assert item_from_wire(sent(item_to_wire(item)), seq=item.level.seq) == item

    @given(movements)
    def test_movement(self, movement):
        """Its kind is a MovementKind."""
        read = movement_from_wire(sent(movement_to_wire(movement)))

        assert read == movement
        assert isinstance(read.kind, MovementKind)

    @given(reservations)
    def test_reservation(self, reservation):
        """Its state is a ReservationState."""
        read = reservation_from_wire(sent(reservation_to_wire(reservation)))

        assert read == reservation
        assert isinstance(read.state, ReservationState)

    @given(st.lists(movements, max_size=2), st.none() | st.just("token"))
    def test_page(self, rows, token):
        """With its token, if there is one."""
        page = Page(items=tuple(rows), next_cursor=token)
        wire = sent(page_to_wire("movements", page, movement_to_wire))

        assert page_from_wire("movements", wire, movement_from_wire) == page

    @pytest.mark.parametrize("price", ["0.1", "12345678901.2345", "99999999999.9999", "1E+2"])
    def test_price_is_exact(self, behind, price):
        """No digit passes through a binary float."""
        made = connected(behind).create_item(attrs.evolve(TENT, price=Decimal(price)))

        assert made.price == Decimal(price)

    def test_seq_is_read_from_etag_or_movement(self, behind, tent):
        """Each response with one item gives its state."""
        client = connected(behind)

        moved = client.adjust_stock(adjusting(tent)).item
        read = client.get_item(GetItem(item_id=tent.item_id))
        edited = client.update_item(UpdateItem(**ref(tent), name="A", if_match=read_tag(moved)))

        assert moved == read
        assert (edited.level.seq, edited.etag) == (1, '"2-1"')

    def test_weak_etag_gives_the_seq(self, behind, tent):
        """Compressing proxies make tags weak."""
        answer = HandlerTransport(behind)._answer(
            httpx.Request("GET", f"{URL}/items/{tent.item_id}")
        )
        answer.headers["ETag"] = 'W/"1-7"'

        read = client_of(httpx.MockTransport(lambda _: answer)).get_item(GetItem(item_id="i"))

        assert read.level.seq == 7

    def test_a_server_may_send_the_seq_with_the_item(self, tent):
        """It takes precedence over the ETag."""
        wire = {**item_to_wire(tent), "seq": 9, "colour": "a field of a newer server"}

        assert item_from_wire(wire, seq=3).level.seq == 9

    def test_etag_of_a_listed_item_is_safe(self, behind, tent):
        """Without the seq, details can be edited by the version, and a count of the stock is rejected."""
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
        errors=(errors.FieldError("a.b[0]", "is bad"), errors.FieldError("c", "is worse"))
    ),
    errors.InvalidCursorError(),
    errors.SameItemError(),
    errors.SkuMismatchError(source="a", destination="b"),
    errors.DuplicateRowError(**ITEM, first_row=0, second_row=1),
    errors.BatchTooLargeError(rows=26, limit=25),
    errors.ItemNotHeldError(**ITEM),
    errors.KeyRequiredError(),
    errors.MoreThanHeldError(**ITEM, held=1, requested=2),
    errors.TooManyLocationsError(sku="s", limit=100),
    errors.ItemNotFoundError(sku="s"),
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
    """Return the error that a client raises for *response*."""
    client = client_of(httpx.MockTransport(lambda _: response), retries=0, **settings)
    with pytest.raises(InventoryError) as caught:
        client.get_item(GetItem(item_id="i"))
    return caught.value


def refused(error):
    made = error_response(error, request_id="r")
    return httpx.Response(made.status, headers=made.headers, content=made.body)


def details(error):
    """Return the type, text, code and facts of *error*, and of the errors in it."""
    inside = {index: details(one) for index, one in error.facts.get("refused", {}).items()}
    return type(error), str(error), error.code, {**error.facts, "refused": inside}


KNOWN_CODES = {one.code for one in EXAMPLES}


class TestErrors:
    def test_every_code_of_the_domain_has_an_example_here(self):
        """A new error must be added to the examples."""
        own = {kind.code for kind in vars(errors).values() if hasattr(kind, "code")}

        assert {error.code for error in EXAMPLES} == own

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
    def test_error_is_restored(self, error):
        """Its class, message, facts and attributes."""
        received = raised(refused(error))

        assert details(received) == details(error)

    def test_message_and_facts_of_a_newer_server_are_kept(self):
        """Also facts that this client does not know."""
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
        # Any 429 or 503 means the same, as that of a proxy.
        [
            (code, CODES[code])
            for code in CODES
            if code not in KNOWN_CODES and CODES[code] not in (429, 503)
        ]
        + [("forbidden", 403), ("of_a_newer_server", 409)],
    )
    def test_unknown_code_is_kept(self, code, status):
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
    def test_error_of_a_gateway_or_proxy_is_read_by_its_status(self, status, kind, content):
        """Whatever its body is."""
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
    def test_unreadable_success_is_an_error(self, content):
        """Another service may have answered."""
        received = raised(httpx.Response(200, content=content))

        assert (type(received), received.status, received.code) == (
            UnexpectedAnswerError,
            200,
            "unexpected_answer",
        )

    def test_redirects_are_not_followed(self):
        """Another server must not receive the API key."""
        seen = []

        def answer(request):
            seen.append(request)
            return httpx.Response(307, headers={"Location": "http://elsewhere.test/"})

        http = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
        with pytest.raises(UnexpectedAnswerError):
            InventoryClient(URL, http_client=http).get_item(GetItem(item_id="i"))
        assert len(seen) == 1

    @given(st.sampled_from([error for error in EXAMPLES if error.code != "batch_refused"]))
    def test_rejected_row_of_a_batch_has_its_error(self, error):
        """The item that the row names is part of its facts."""
        row = RowResult(index=0, item_id="i", sku="s", error=error)
        content = to_json({"results": [row_to_wire(row)]}).encode()

        [read] = WireResponse(status=200, headers={}, content=content).value(Inventory.batch_items)

        assert attrs.evolve(read, error=error) == row
        assert (type(read.error), str(read.error)) == (type(error), str(error))
        assert read.error.facts == {"item_id": "i", "sku": "s"} | error.facts

    def test_all_errors_of_a_rejected_batch_are_read(self, behind, tent):
        """By the index of the row."""
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


class TestRetries:
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
    def test_retry_after_a_lost_response_has_one_effect(self, behind, tent, operation, lost):
        """The retry gets the lost response."""
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

    def test_retry_after_a_lost_response_is_a_replay(self, behind, tent):
        """`replayed` shows that the request was already applied."""
        key = IdempotencyKey("k")
        client = client_of(HandlerTransport(behind, after=[timeout()]))

        client.adjust_stock(adjusting(tent, idempotency_key=key))

        assert key.replayed

    def test_retry_after_a_lost_response_gets_the_record(self, behind, tent):
        """Not an error because the first attempt already took the stock."""
        client = client_of(HandlerTransport(behind, after=[timeout()]))

        assert client.adjust_stock(adjusting(tent, delta=-5)).item.level.on_hand == 0

    @pytest.mark.parametrize("failure", [*LOST, *NOTHING_DONE])
    def test_get_is_retried(self, behind, tent, failure):
        """It has no effect."""
        client = client_of(HandlerTransport(behind, before=[failure(), failure()]))

        assert client.get_item(GetItem(item_id=tent.item_id)) == tent

    @pytest.mark.parametrize("failure", NOTHING_DONE)
    def test_request_without_effect_is_retried(self, behind, tent, failure):
        """It did not reach the server, or was throttled."""
        client = client_of(HandlerTransport(behind, before=[failure()]))

        assert client.update_item(UpdateItem(**ref(tent), name="A")).version == 2

    @pytest.mark.parametrize("lost", LOST)
    @pytest.mark.parametrize("if_match", ["*", '"1-0", "2-0"'])
    def test_update_that_could_undo_others_edits_is_not_retried(self, behind, tent, lost, if_match):
        """The error leaves open whether the update was applied."""
        transport = HandlerTransport(behind, after=[lost()])
        command = UpdateItem(**ref(tent), name="A", if_match=IfMatch.parse(if_match))

        with pytest.raises(StorageUnavailableError):
            client_of(transport).update_item(command)

        assert len(transport.seen) == 1

    @pytest.mark.parametrize("fields", [{"name": "A"}, {"quantity": 9}])
    def test_update_with_one_tag_is_retried(self, behind, tent, fields):
        """After an attempt that was not applied."""
        client = client_of(HandlerTransport(behind, before=[timeout()]))
        command = UpdateItem(**ref(tent), if_match=read_tag(tent), **fields)

        assert client.update_item(command).etag in ('"2-0"', '"1-1"')

    @pytest.mark.parametrize("fields", [{"name": "A"}, {"quantity": 9}])
    def test_ambiguous_precondition_failure_is_unavailable(self, behind, tent, fields):
        """A 412 after a lost response may be the effect of the first attempt."""
        client = client_of(HandlerTransport(behind, after=[timeout()]))
        command = UpdateItem(**ref(tent), if_match=read_tag(tent), **fields)

        with pytest.raises(StorageUnavailableError) as caught:
            client.update_item(command)

        assert isinstance(caught.value.__cause__, PreconditionFailedError)
        now = behind.get_item(GetItem(item_id=tent.item_id))
        assert now.version + now.level.seq == 2

    def test_delete_is_retried(self, behind, tent):
        """IDs are never reused."""
        client = client_of(HandlerTransport(behind, before=[timeout()]))

        assert client.delete_item(DeleteItem(**ref(tent))) == tent

    def test_retried_delete_gets_its_response(self, behind, tent):
        """The client sends a DELETE with a key."""
        transport = HandlerTransport(behind, after=[timeout()])

        assert client_of(transport).delete_item(DeleteItem(**ref(tent))) == tent

        [first, again] = keys(transport)
        assert first == again is not None

    @pytest.mark.parametrize("fields", [{"name": "New"}, {"quantity": 1}])
    def test_update_with_a_key_is_retried(self, behind, tent, fields):
        """After any attempt; the client creates no key for an update."""
        transport = HandlerTransport(behind, after=[timeout()])
        key = IdempotencyKey("k")

        client_of(transport).update_item(UpdateItem(**ref(tent), **fields, idempotency_key=key))

        assert keys(transport) == ["k", "k"]
        assert key.replayed
        client_of(transport).update_item(UpdateItem(**ref(tent), **fields))
        assert keys(transport)[2:] == [None]

    def test_stale_update_with_a_key_is_a_precondition_failure(self, behind, tent):
        """If the lost attempt had succeeded, the retry would be a replay."""
        client = client_of(HandlerTransport(behind, after=[timeout()]))
        stale = IfMatch.parse('"7-0"')

        with pytest.raises(PreconditionFailedError):
            client.update_item(
                UpdateItem(
                    **ref(tent), name="A", if_match=stale, idempotency_key=IdempotencyKey("k")
                )
            )

    def test_throttling_after_a_lost_response_is_ambiguous(self, behind, tent):
        """The first attempt may have been applied."""
        transport = HandlerTransport(behind, after=[timeout(), *[throttled() for _ in range(3)]])

        with pytest.raises(StorageUnavailableError) as caught:
            client_of(transport).adjust_stock(adjusting(tent))

        assert isinstance(caught.value.__cause__, StorageThrottledError)

    @pytest.mark.parametrize("failure", NOTHING_DONE)
    def test_error_after_attempts_without_effect_is_not_ambiguous(self, behind, tent, failure):
        """No attempt of this call caused it."""
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
    def test_permanent_error_is_not_retried(self, behind, tent, answer):
        """A retry would get the same error."""
        transport = HandlerTransport(behind, before=[answer])

        with pytest.raises(InventoryError):
            client_of(transport).adjust_stock(adjusting(tent))

        assert len(transport.seen) == 1


class TestPauses:
    @staticmethod
    def pauses(failures, retries=10, ask=lambda client: client.get_item(GetItem(item_id="i"))):
        """Return the pauses of a client after each of *failures*, and its error."""
        paused = []
        transport = HandlerTransport(Inventory(MemoryRepository()), before=failures)
        client = client_of(transport, retries=retries, pause=paused.append)
        with pytest.raises(InventoryError) as caught:
            ask(client)
        return paused, caught.value, transport.seen

    @pytest.mark.parametrize("retries", [0, 1, 4])
    def test_attempts_are_bounded(self, retries):
        """One attempt, and the retries."""
        paused, error, seen = self.pauses([timeout() for _ in range(9)], retries=retries)

        assert (len(seen), len(paused)) == (retries + 1, retries)
        assert isinstance(error, StorageUnavailableError)
        assert isinstance(error.__cause__, httpx.ReadTimeout)

    def test_pauses_use_full_jitter(self, monkeypatch):
        """From zero to a bound that doubles up to five seconds."""
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
    def test_retry_after_is_respected(self, value, least, most):
        """In seconds or as a date; other values are ignored."""
        if value == "in 20 seconds":
            value = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
        [pause], _, _ = self.pauses([httpx.Response(503, headers={"Retry-After": value})])

        assert least <= pause <= most

    def test_long_retry_after_is_not_waited_for(self):
        """The error is raised at once."""
        paused, error, _ = self.pauses([httpx.Response(503, headers={"Retry-After": "31"})])

        assert paused == []
        assert isinstance(error, StorageUnavailableError)

    def test_no_pause_goes_beyond_the_deadline(self):
        """The error is raised if there is no time for a retry."""

        def hurried(client):
            with deadline(0.5):
                client.get_item(GetItem(item_id="i"))

        paused, error, seen = self.pauses([throttled()], ask=hurried)

        assert (paused, len(seen)) == ([], 1)
        assert isinstance(error, StorageThrottledError)

    def test_timeout_of_an_attempt_is_limited_by_the_deadline(self, behind, tent):
        """And by *timeout*."""
        transport = HandlerTransport(behind)
        client = client_of(transport, timeout=5)

        client.get_item(GetItem(item_id=tent.item_id))
        with deadline(2):
            client.get_item(GetItem(item_id=tent.item_id))

        usual, hurried = (request.extensions["timeout"]["read"] for request in transport.seen)
        assert usual == 5
        assert 1 < hurried <= 2

    def test_nothing_is_sent_after_the_deadline(self, behind, tent):
        """The response would be too late."""
        transport = HandlerTransport(behind)

        with deadline(0), pytest.raises(StorageUnavailableError):
            client_of(transport).adjust_stock(adjusting(tent))

        assert transport.seen == []

    def test_retry_is_logged(self, behind, tent, caplog):
        """With the route and the reason, without the content."""
        caplog.set_level("INFO", logger="inventory_adapters.client")

        client_of(HandlerTransport(behind, before=[timeout()])).adjust_stock(adjusting(tent))

        [record] = [one for one in caplog.records if one.name == "inventory_adapters.client"]
        assert (record.route, record.code) == ("adjust_stock", "storage_unavailable")
        assert 0 <= record.pause_seconds <= 0.1


class TestConnections:
    def test_only_own_connections_are_closed(self):
        """The caller closes its httpx client."""
        theirs = httpx.Client()

        with InventoryClient(URL, http_client=theirs), InventoryClient(URL) as ours:
            pass

        assert (theirs.is_closed, ours._http.is_closed) == (False, True)
        theirs.close()

    def test_threads_can_share_a_client(self, behind, tent):
        """Calls do not affect each other."""
        client = connected(behind)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(client.adjust_stock, [adjusting(tent, delta=1)] * 80))

        assert on_hand(behind, tent) == 85

    def test_missing_extra_is_reported(self):
        """The error names the extra to install."""
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

    def test_life_of_an_item(self, client):
        """Created, read, listed, adjusted, updated and deleted."""
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

    def test_pages_are_iterated(self, client):
        """The token of a page gets the next one."""
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
    def test_odd_ids_and_skus_arrive_exactly(self, client, odd):
        """In the path, in the query and in the body."""
        item = client.create_item(attrs.evolve(TENT, sku=odd))

        assert client.get_item(GetItem(**ref(item))).sku == odd
        with pytest.raises(ItemNotFoundError) as caught:
            client.get_item(GetItem(item_id=odd, sku=odd))
        assert (caught.value.item_id, caught.value.sku) == (odd, odd)

    def test_error_is_that_of_the_library(self, client):
        """The same class and the same numbers."""
        item = client.create_item(TENT)

        with pytest.raises(InsufficientStockError) as caught:
            client.adjust_stock(adjusting(item, delta=-6))

        assert caught.value.facts == {**ref(item), "available": 5, "requested": 6, "reserved": 0}

    def test_missing_server_is_unavailable(self):
        """After all attempts."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        pauses = []

        with (
            InventoryClient(f"http://127.0.0.1:{port}", pause=pauses.append) as client,
            pytest.raises(StorageUnavailableError, match="did not answer"),
        ):
            client.create_item(TENT)

        assert len(pauses) == 3

    def test_silent_server_times_out(self):
        """After *timeout* seconds."""
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            InventoryClient(
                f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05, retries=1
            ) as client,
            pytest.raises(StorageUnavailableError),
        ):
            client.create_item(TENT)
