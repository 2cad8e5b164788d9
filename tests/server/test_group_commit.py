"""Group commit: which results are returned, to which requests, and when."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from math import inf
from threading import Event
from time import monotonic

import httpx
import pytest

from inventory import CreateItem, Inventory, StorageThrottledError, StorageUnavailableError
from inventory.ports import ItemFilter
from inventory.timeouts import time_left
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.server import gateway as local_gateway
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.server.group_commit import GroupCommit
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import list_all
from tests.local_server import MUG


class Storage:
    """Records exclusive access, and can wait or fail at the commit."""

    def __init__(self):
        self.story = []
        self.begun, self.free = Event(), Event()
        self.free.set()
        self.failure = None

    @contextmanager
    def exclusive(self):
        self.story.append("alone")
        self.begun.set()
        yield
        self.free.wait(5)
        if self.failure:
            raise self.failure
        self.story.append("kept")


def run_together(storage, *works):
    """Return the results of *works*; all others wait for the first."""

    async def run():
        with GroupCommit(storage) as writer:
            storage.free.clear()
            first = asyncio.create_task(writer.run(works[0]))
            await asyncio.to_thread(storage.begun.wait, 5)
            others = [asyncio.create_task(writer.run(work)) for work in works[1:]]
            await asyncio.sleep(0.01)
            storage.free.set()
            return await asyncio.gather(first, *others, return_exceptions=True)

    return asyncio.run(run())


def test_waiting_requests_share_one_transaction():
    """While the first waits for the disk, the others are collected and share one transaction."""
    storage = Storage()
    works = [lambda number=number: storage.story.append(number) or number for number in range(5)]

    assert run_together(storage, *works) == [0, 1, 2, 3, 4]
    assert storage.story == ["alone", 0, "kept", "alone", 1, 2, 3, 4, "kept"]


def test_result_is_returned_after_the_commit():
    """An acknowledged change is committed."""
    storage = Storage()

    async def run():
        with GroupCommit(storage) as writer:
            storage.free.clear()
            task = asyncio.create_task(writer.run(lambda: "done"))
            await asyncio.sleep(0.05)
            assert not task.done()
            storage.free.set()
            return await task

    assert asyncio.run(run()) == "done"


def test_failed_commit_fails_every_request_of_the_group():
    """No request gets a success, and the next group is committed."""
    storage = Storage()
    storage.failure = StorageUnavailableError("The disk failed")

    def repair():
        storage.failure = None

    outcomes = run_together(storage, lambda: "first", repair, lambda: "third")

    assert isinstance(outcomes[0], StorageUnavailableError)
    assert outcomes[1:] == [None, "third"]


def test_cancelled_request_does_not_affect_others():
    """The others get their results."""
    storage = Storage()

    async def run():
        with GroupCommit(storage) as writer:
            storage.free.clear()
            gone = asyncio.create_task(writer.run(lambda: "gone"))
            stays = asyncio.create_task(writer.run(lambda: "stays"))
            await asyncio.sleep(0.01)
            gone.cancel()
            storage.free.set()
            return await asyncio.gather(gone, stays, return_exceptions=True)

    gone, stays = asyncio.run(run())

    assert isinstance(gone, asyncio.CancelledError)
    assert stays == "stays"


def test_running_requests_finish_before_the_end():
    """They are committed before the block ends; cancelled ones are not run."""
    storage = Storage()
    works = [lambda number=number: storage.story.append(number) for number in range(3)]

    async def run(writer):
        storage.free.clear()
        begun = asyncio.create_task(writer.run(works[0]))
        await asyncio.to_thread(storage.begun.wait, 5)
        others = [asyncio.create_task(writer.run(work)) for work in works[1:]]
        await asyncio.sleep(0.01)
        begun.cancel()
        others[0].cancel()
        await asyncio.sleep(0)

    with GroupCommit(storage) as writer:
        asyncio.run(run(writer))
        storage.free.set()

    assert storage.story == ["alone", 0, "kept"]


async def asked(inventory, writer, *requests, **headers):
    gateway = LocalGateway(inventory, Site("localhost", 80), Cors(), None, frozenset(), writer)
    transport = httpx.ASGITransport(gateway)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await asyncio.gather(
            *(client.request(*one, json=sent, headers=headers) for *one, sent in requests)
        )


def test_each_request_has_its_own_response(tmp_path):
    """A rejected request does not affect the others."""
    with SqliteRepository(tmp_path / "stock.db") as repository, GroupCommit(repository) as writer:
        answers = asyncio.run(
            asked(
                Inventory(repository),
                writer,
                *[("POST", "/items", {**MUG, "sku": f"M-{number}"}) for number in range(9)],
                ("POST", "/items", {**MUG, "quantity": -1}),
                ("DELETE", "/items/nothing?sku=M-1", None),
            )
        )
        kept = {item.item_id for item in list_all(repository, ItemFilter())}

    assert [answer.status_code for answer in answers] == [*[201] * 9, 400, 404]
    assert {answer.json()["item"]["item_id"] for answer in answers[:9]} == kept


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (StorageUnavailableError("The disk failed"), 503, "storage_unavailable"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
def test_failed_commit_replaces_the_response(failure, status, code):
    """The response is the error of the commit, whatever the request returned."""

    class Failing(MemoryRepository):
        @contextmanager
        def exclusive(self):
            yield
            raise failure

    repository = Failing()
    with GroupCommit(repository) as writer:
        [answer] = asyncio.run(asked(Inventory(repository), writer, ("POST", "/items", MUG)))

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text


@pytest.fixture
def shop(tmp_path):
    """An inventory on SQLite with one last mug, its writer, and a request for that mug."""
    with SqliteRepository(tmp_path / "stock.db") as repository, GroupCommit(repository) as writer:
        inventory = Inventory(repository)
        mug = inventory.create_item(CreateItem(**{**MUG, "quantity": 1}))
        sale = {"sku": mug.sku, "delta": -1, "reason": "sold"}
        yield inventory, writer, ("POST", f"/items/{mug.item_id}/adjustments", sale), mug.key


def test_buyers_in_one_group_do_not_share_the_last_unit(shop):
    """Each request sees the writes of the earlier ones, committed or not."""
    inventory, writer, sale, key = shop

    answers = asyncio.run(asked(inventory, writer, *[sale] * 8))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    assert {it.json().get("code") for it in answers} == {None, "insufficient_stock"}
    assert inventory.repository.get_item(key).level.on_hand == 0


def test_repeated_request_in_one_group_has_one_effect(shop):
    """The second gets the response of the first, although that is not committed yet."""
    inventory, writer, sale, key = shop

    answers = asyncio.run(asked(inventory, writer, *[sale] * 8, **{"Idempotency-Key": "order-1"}))

    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert inventory.repository.get_item(key).level.seq == 1


def test_request_past_its_deadline_is_not_applied(tmp_path):
    """While another process holds the lock, waiting requests get a response by their deadline and change nothing."""
    path = tmp_path / "stock.db"

    async def run():
        with (
            SqliteRepository(path) as repository,
            GroupCommit(repository) as writer,
            closing(sqlite3.connect(path, isolation_level=None)) as foreign,
        ):
            foreign.execute("BEGIN IMMEDIATE")
            started = monotonic()
            ends_at = started + 0.5
            jobs = [
                writer.run(partial(_in_time, ends_at, calls), ends_at) for calls in (held_up, late)
            ]
            first = asyncio.ensure_future(jobs[0])
            await asyncio.sleep(0.1)
            second = asyncio.ensure_future(jobs[1])
            outcomes = await asyncio.gather(first, second, return_exceptions=True)
            return outcomes, monotonic() - started

    held_up, late = [], []
    outcomes, seconds = asyncio.run(run())

    assert isinstance(outcomes[0], StorageThrottledError)
    assert outcomes[1] == "too late"
    assert held_up == []
    assert seconds < 2


def _in_time(ends_at, calls):
    if monotonic() >= ends_at:
        return "too late"
    calls.append("carried out")
    return "done"


def test_late_request_does_not_shorten_the_wait_of_others(tmp_path):
    """It gets a response, and the group waits as long as the others have time."""
    with SqliteRepository(tmp_path / "stock.db") as repository, GroupCommit(repository) as writer:

        async def run():
            works = [writer.run(lambda: "late", 0.0), writer.run(time_left, monotonic() + 60)]
            return await asyncio.gather(*works)

        late, left = asyncio.run(run())

    assert late == "late"
    # The deadline of a group is for its lock, not for the work, which has one of its own.
    assert left == inf


class Recorder(MemoryRepository):
    """Records the seconds that each read has left."""

    def __init__(self):
        super().__init__()
        self.left = []

    def find_item(self, item_id):
        self.left.append(time_left())
        return super().find_item(item_id)


def test_deadline_starts_when_the_request_arrives(monkeypatch):
    """A request that waited too long for a thread is a 503, and storage is not read."""
    repository = Recorder()
    free = Event()

    async def ask():
        with ThreadPoolExecutor(1) as threads:
            gateway = LocalGateway(Inventory(repository), Site("localhost", 80), Cors(), threads)
            transport = httpx.ASGITransport(gateway)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                threads.submit(free.wait, 10)
                waiting = asyncio.create_task(client.get("/items/x"))
                await asyncio.sleep(0.4)
                free.set()
                late = await waiting
                return late, await client.get("/items/x")

    monkeypatch.setattr(local_gateway, "seconds_left", lambda _context: 0.2)
    late, in_time = asyncio.run(ask())

    assert (late.status_code, late.json()["code"]) == (503, "storage_unavailable")
    assert late.headers["Retry-After"]
    assert in_time.json()["code"] == "item_not_found"
    [left] = repository.left
    assert left <= 0.2


def test_writers_behind_a_foreign_lock_get_a_response_in_time(tmp_path, monkeypatch):
    """Each gets a retryable error while the lock is still held, and nothing is written."""
    monkeypatch.setattr(local_gateway, "seconds_left", lambda _context: 0.3)
    path = tmp_path / "stock.db"
    with (
        SqliteRepository(path) as repository,
        GroupCommit(repository) as writer,
        closing(sqlite3.connect(path, isolation_level=None)) as foreign,
    ):
        foreign.execute("BEGIN IMMEDIATE")
        requests = [("POST", "/items", {**MUG, "sku": f"M-{number}"}) for number in range(200)]
        answers = asyncio.run(asked(Inventory(repository), writer, *requests))
        foreign.execute("ROLLBACK")

        assert list_all(repository, ItemFilter()) == []

    assert {answer.status_code for answer in answers} <= {429, 503}
    assert all(answer.headers["Retry-After"] for answer in answers)
