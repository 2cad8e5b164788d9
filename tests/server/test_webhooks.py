"""Delivery of events to webhooks and files: signed, in order, at least once, and past what a receiver refuses."""

import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs
import httpx
import pytest
from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from inventory import AdjustStock, CreateItem, Inventory
from inventory_adapters.cli.main import cli
from inventory_adapters.events.webhooks import Delivery, Outcome, Sender, new_secret
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.storage.sqlite.outbox import Sink
from tests.domain.use_cases import Time
from tests.local_server import MUG, created, needs_signals, serving

DELIVERED, UNREACHABLE, REFUSED = Outcome.DELIVERED, Outcome.UNREACHABLE, Outcome.REFUSED
DAY = 24 * 60 * 60


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "inventory.sqlite3"


@pytest.fixture
def inventory(file, clock):
    with SqliteRepository(file, durability="normal") as repository:
        yield Inventory(repository, clock=clock)


@pytest.fixture
def outbox(inventory):
    outbox = inventory.repository.outbox()
    assert outbox.add(Sink(name="shop", target="https://shop.example.com", secret=new_secret()))
    return outbox


def create(inventory, sku):
    return inventory.create_item(CreateItem(sku=sku, name=sku, quantity=5, category="c"))


class Receiver:
    """
    A sink that answers as a test says, and records what it took.

    Attributes:
        answers: Answers a batch of SKUs.
        batches: The SKUs of each attempt.
        taken: The SKUs that were taken.
    """

    def __init__(self, answers=lambda _skus: DELIVERED):
        self.answers = answers
        self.batches = []
        self.taken = []

    def send(self, _sink, batch):
        skus = [it.subject.rpartition("/")[2] for it in batch]
        self.batches.append(skus)
        outcome = self.answers(skus)
        self.taken += skus if outcome is DELIVERED else []
        return outcome


@pytest.fixture
def deliver(outbox, clock):
    """Deliver to a receiver what is due, for a number of seconds."""

    def deliver(receiver, *, seconds=0, step=1):
        delivery = Delivery(outbox, receiver.send, clock)
        delivery.deliver_all()
        for _ in range(0, seconds, step):
            clock.pass_by(seconds=step)
            delivery.deliver_all()

    return deliver


class TestDelivery:
    def test_events_come_in_the_order_of_their_commits(self, inventory, deliver):
        """Up to 100 in a batch."""
        skus = [f"{number:03}" for number in range(250)]
        for sku in skus:
            create(inventory, sku)
        receiver = Receiver()

        deliver(receiver)

        assert receiver.taken == skus
        assert [len(batch) for batch in receiver.batches] == [100, 100, 50]

    def test_a_sink_gets_the_events_from_its_addition_on(self, inventory, outbox, deliver):
        """Each sink its own, as long as it is there."""
        create(inventory, "first")
        outbox.add(Sink(name="late", target="https://late.example.com"))
        create(inventory, "second")
        received = defaultdict(list)
        late = Receiver()
        late.send = lambda sink, batch: received[sink.name].extend(batch) or DELIVERED

        deliver(late)
        outbox.remove("shop")
        create(inventory, "third")
        deliver(late)

        names = {name: [it.subject[-5:] for it in batch] for name, batch in received.items()}
        assert names == {"shop": ["first", "econd"], "late": ["econd", "third"]}

    def test_delivered_events_are_deleted(self, inventory, outbox, deliver):
        """Once all sinks have them; without a sink none is written."""
        create(inventory, "a")
        deliver(Receiver())
        [sink] = outbox.sinks()
        assert rows(inventory) == 0
        assert outbox.counts(sink) == (0, 0)

        outbox.remove("shop")
        create(inventory, "b")

        assert rows(inventory) == 0

    def test_a_rejected_change_writes_no_event(self, inventory, outbox):
        """Alone, and in an exclusive block that goes on."""
        item = create(inventory, "a")
        adjust = AdjustStock(item_id=item.item_id, sku="a", delta=-6, reason="test")
        with inventory.repository.exclusive():
            with pytest.raises(Exception, match="available"):
                inventory.adjust_stock(adjust)
            create(inventory, "b")
        with pytest.raises(Exception, match="available"):
            inventory.adjust_stock(adjust)

        assert rows(inventory) == 2

    def test_an_unreachable_sink_gets_the_same_batch_again(self, inventory, deliver):
        """After growing pauses; events that come meanwhile wait, so that the order is kept."""
        down = {"now": True}
        receiver = Receiver(lambda _skus: UNREACHABLE if down["now"] else DELIVERED)
        create(inventory, "a")
        deliver(receiver, seconds=60)
        create(inventory, "b")
        deliver(receiver, seconds=3600)
        attempts = len(receiver.batches)
        down["now"] = False
        deliver(receiver, seconds=300)

        # 1 + 2 + 4 + ... + 256 s, then every 300 s.
        assert attempts == 20
        assert receiver.batches == [["a"]] * (attempts + 1) + [["b"]]

    def test_an_hour_without_an_answer_loses_nothing(self, inventory, deliver, clock):
        """All events come in their order."""
        back = clock().timestamp() + 3600
        receiver = Receiver(lambda _: DELIVERED if clock().timestamp() > back else UNREACHABLE)
        for number in range(360):
            create(inventory, f"{number:03}")
            deliver(receiver, seconds=10, step=5)
        deliver(receiver, seconds=300)

        assert receiver.taken == [f"{number:03}" for number in range(360)]

    def test_after_three_days_the_subjects_of_the_batch_are_parked(
        self, inventory, outbox, deliver
    ):
        """Later events of these subjects follow them; those of others go on."""
        stuck = create(inventory, "stuck")
        receiver = Receiver(lambda skus: UNREACHABLE if "stuck" in skus else DELIVERED)
        deliver(receiver, seconds=3 * DAY + 600, step=100)
        adjust = AdjustStock(item_id=stuck.item_id, sku="stuck", delta=-1, reason="test")
        inventory.adjust_stock(adjust)
        create(inventory, "other")
        deliver(receiver)
        [sink] = outbox.sinks()

        assert receiver.taken == ["other"]
        assert outbox.counts(sink) == (0, 2)
        assert (sink.failures, sink.failing_since) == (0, None)

    def test_a_refused_event_is_found_and_parked(self, inventory, outbox, deliver):
        """The others are delivered, those of its subject excepted."""
        bad = "037"
        receiver = Receiver(lambda skus: REFUSED if bad in skus else DELIVERED)
        items = {sku: create(inventory, sku) for sku in map("{:03}".format, range(250))}
        inventory.adjust_stock(
            AdjustStock(item_id=items[bad].item_id, sku=bad, delta=-1, reason="test")
        )

        deliver(receiver, seconds=60)

        [sink] = outbox.sinks()
        assert receiver.taken == [sku for sku in items if sku != bad]
        assert outbox.counts(sink) == (0, 2)
        # The whole batch five times, then halves.
        assert receiver.batches[:5] == [list(items)[:100]] * 5
        assert len(receiver.batches[5]) == 50

    def test_parked_events_can_be_sent_again(self, inventory, outbox, deliver):
        """In their order, behind the others; later events of the subject follow."""
        item = create(inventory, "a")
        adjust = AdjustStock(item_id=item.item_id, sku="a", delta=-1, reason="test")
        deliver(Receiver(lambda _: REFUSED), seconds=60)
        inventory.adjust_stock(adjust)
        outbox.add(Sink(name="other", target="https://other.example.com"))
        deliver(Receiver())

        assert outbox.resend("shop") == 2
        inventory.adjust_stock(adjust)
        received = defaultdict(list)
        receiver = Receiver()
        receiver.send = lambda sink, batch: received[sink.name].extend(batch) or DELIVERED
        deliver(receiver)

        types = {name: [type_of(it) for it in batch] for name, batch in received.items()}
        assert types == {
            "shop": ["ItemCreated", "StockMoved", "StockMoved"],
            "other": ["StockMoved"],
        }

    def test_another_process_that_delivered_is_not_overwritten(self, inventory, outbox):
        """Whoever is later changes nothing."""
        create(inventory, "a")
        [sink] = outbox.sinks()
        [event] = outbox.pending(sink)
        ahead = attrs.evolve(sink, position=event.id)

        assert outbox.save(sink, ahead)
        assert not outbox.save(sink, attrs.evolve(sink, failures=3))
        assert outbox.sinks() == (ahead,)

    def test_a_file_gets_one_line_for_each_event(self, inventory, outbox, clock, tmp_path):
        """Appended to what is there; if it cannot be written, it is as for a sink that is unreachable."""
        outbox.remove("shop")
        lines = tmp_path / "events.jsonl"
        lines.write_text("before\n")
        outbox.add(Sink(name="file", target=f"file:{lines}"))
        outbox.add(Sink(name="gone", target=f"file:{tmp_path}/missing/events.jsonl"))
        create(inventory, "a")
        create(inventory, "b")

        Delivery(outbox, Sender(clock).send, clock).deliver_all()

        first, *events = lines.read_text().splitlines()
        assert first == "before"
        assert [json.loads(line)["data"]["item"]["sku"] for line in events] == ["a", "b"]
        [_, gone] = outbox.sinks()
        assert gone.failures == 1


def rows(inventory):
    with inventory.repository._reading() as db:
        return db.execute("SELECT count(*) FROM outbox").fetchone()[0]


def type_of(pending):
    return json.loads(pending.event)["type"]


class TestRequests:
    """Over HTTP, with the receiver's library of Standard Webhooks."""

    @pytest.fixture
    def sent(self, inventory, outbox):
        """Return what one attempt to deliver sends to a receiver, and what becomes of it."""

        def sent(status, **answer):
            create(inventory, "a")
            with receiving(lambda _: status, **answer) as receiver:
                [sink] = outbox.sinks()
                sink = attrs.evolve(sink, target=receiver.url)
                sender = Sender(lambda: datetime.now(UTC))
                outcome = sender.send(sink, outbox.pending(sink))
                sender.close()
            [request] = receiver.requests
            return sink, request, outcome

        return sent

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            *((200, DELIVERED), (202, DELIVERED), (204, DELIVERED)),
            *((429, UNREACHABLE), (500, UNREACHABLE), (503, UNREACHABLE)),
            *((400, REFUSED), (404, REFUSED), (410, REFUSED), (302, REFUSED)),
        ],
    )
    def test_the_status_decides(self, sent, status, outcome):
        """A redirect is not followed."""
        assert sent(status, location="/elsewhere")[2] is outcome

    def test_no_answer_is_unreachable(self, inventory, outbox, clock):
        """A port that nobody listens to, a name that does not exist, and a URL that is none."""
        create(inventory, "a")
        [sink] = outbox.sinks()
        for target in ("http://127.0.0.1:9", "http://nowhere.invalid", "http://[::bad"):
            unreachable = attrs.evolve(sink, target=target)
            assert Sender(clock).send(unreachable, outbox.pending(sink)) is UNREACHABLE

    def test_a_batch_is_signed(self, sent):
        """The library verifies the signature, over the whole body; another secret or body fails."""
        sink, (headers, body), _ = sent(200)

        assert headers["Content-Type"] == "application/cloudevents-batch+json"
        assert headers["webhook-id"] == "shop-1-1"
        assert is_verified(sink.secret, body, headers)
        assert json.loads(body)[0]["type"] == "ItemCreated"
        assert not is_verified(new_secret(), body, headers)
        assert not is_verified(sink.secret, body.replace(b"a", b"b"), headers)


def is_verified(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@contextmanager
def receiving(answer, **headers):
    """Serve a webhook; *answer* returns the status for the events of a request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.headers, body))
            self.send_response(answer(json.loads(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@needs_signals
class TestServe:
    """`inventory serve` delivers, whatever writes to the file."""

    def add(self, file, target):
        with SqliteRepository(file) as repository:
            repository.outbox().add(Sink(name="hook", target=target, secret=new_secret()))

    def test_events_of_requests_and_commands_arrive(self, file, tmp_path):
        """Those of a command that writes to the same file, too, and those from before the start."""
        seen = []
        with receiving(lambda events: seen.extend(events) or 200) as receiver:
            self.add(file, receiver.url)
            run("demo", "--db", file)
            before = len(seen)
            with serving(tmp_path / "log", "--db", str(file)) as server:
                with httpx.Client(base_url=server.url, trust_env=False) as client:
                    item = created(client)
                run(
                    "items",
                    "update",
                    item["item_id"],
                    "--sku",
                    "MUG-1",
                    "--name",
                    "Big",
                    "--db",
                    file,
                )
                wait_for(lambda: any(it["type"] == "ItemUpdated" for it in seen))
                assert server.stop() == 0

        types = [it["type"] for it in seen]
        assert before == 0
        assert types[0] == "ItemCreated"
        assert types[-1] == "ItemUpdated"
        assert {"StockMoved", "ReservationOpened"} <= {*types}

    @pytest.mark.parametrize(
        "kills", [3, pytest.param(20, marks=pytest.mark.slow)], ids=lambda count: f"{count} kills"
    )
    def test_a_killed_server_loses_no_event(self, file, tmp_path, kills):
        """Every stored movement comes at least once, at first in the order of the commits."""
        seen = []
        with receiving(lambda events: seen.extend(events) or 200) as receiver:
            self.add(file, receiver.url)
            for number in range(kills):
                enough = len(seen) + 100
                with serving(tmp_path / f"log{number}", "--db", str(file)) as server:
                    write_until_killed(server, number, partial(has_more_than, seen, enough))
            with serving(tmp_path / "log", "--db", str(file)) as server:
                wait_for(lambda: not pending(file))
                assert server.stop() == 0

        with SqliteRepository(file) as repository, repository._reading() as db:
            movements = db.execute("SELECT item_id, sku, seq FROM movements").fetchall()
            items = db.execute("SELECT item_id FROM items").fetchall()
        first = {event["id"]: event for event in reversed(seen)}
        delivered = [
            (data["item_id"], data["sku"], data["seq"])
            for data in (
                it["data"]["movement"] for it in first.values() if it["type"] == "StockMoved"
            )
        ]
        assert sorted(delivered) == sorted(movements)
        assert sum(it["type"] == "ItemCreated" for it in first.values()) == len(items)
        # The first delivery of each event, in the order of the commits: of one item, by its seq.
        firsts = list({event["id"]: None for event in seen})
        for item_id, sku, _ in movements:
            own = [it for it in firsts if it.startswith(f"item/{item_id}/{sku}#s")]
            assert own == sorted(own)


def has_more_than(seen, count):
    return len(seen) > count


def run(*arguments):
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    assert done.exit_code == 0, done.output


def write_until_killed(server, number, enough):
    stopped = threading.Event()

    def write(worker):
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            try:
                item = client.post("/items", json={**MUG, "sku": f"{number}-{worker}"}).json()[
                    "item"
                ]
                while True:
                    change = {"sku": item["sku"], "delta": 1, "reason": "test"}
                    client.post(f"/items/{item['item_id']}/adjustments", json=change)
            except httpx.TransportError:
                stopped.set()

    workers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for worker in workers:
        worker.start()
    wait_for(enough)
    stopped.wait(0.2)
    server.process.kill()
    for worker in workers:
        worker.join(10)


def pending(file):
    with SqliteRepository(file) as repository:
        outbox = repository.outbox()
        return sum(outbox.counts(sink)[0] for sink in outbox.sinks())


def wait_for(condition):
    waiting = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waiting.wait(0.01)
    pytest.fail("it did not happen in 30 seconds")
