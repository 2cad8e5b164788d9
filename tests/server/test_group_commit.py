"""Requests that write together: what is told, to whom, and when."""

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
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
from inventory_adapters.testing import walk
from tests.local_server import MUG, needs_signals, serving


class Storage:
    """Tells when it is had alone, and can be held up, or fail at the end."""

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


def carried_out(storage, *works):
    """Return what becomes of *works*, of which the first is waited for by all others."""

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


def test_what_waits_together_is_kept_together():
    """While the first waits for the disk the others gather, and have one transaction between them."""
    storage = Storage()
    works = [lambda number=number: storage.story.append(number) or number for number in range(5)]

    assert carried_out(storage, *works) == [0, 1, 2, 3, 4]
    assert storage.story == ["alone", 0, "kept", "alone", 1, 2, 3, 4, "kept"]


def test_nobody_is_told_before_it_is_kept():
    """An acknowledged change is one that stays."""
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


def test_what_is_not_kept_is_told_to_all():
    """None of them is told of a success, and the next group has its chance."""
    storage = Storage()
    storage.failure = StorageUnavailableError("The disk failed")

    def mend():
        storage.failure = None

    outcomes = carried_out(storage, lambda: "first", mend, lambda: "third")

    assert isinstance(outcomes[0], StorageUnavailableError)
    assert outcomes[1:] == [None, "third"]


def test_whoever_leaves_holds_up_nobody():
    """A client that is gone is not told, and the others are."""
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


def test_the_end_comes_after_what_was_begun():
    """It is kept before the block ends, with or without somebody to tell; what was called off before is left undone."""
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


def test_each_request_has_its_own_answer(tmp_path):
    """One that is refused takes none of the others with it."""
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
        kept = {item.item_id for item in walk(repository, ItemFilter())}

    assert [answer.status_code for answer in answers] == [*[201] * 9, 400, 404]
    assert {answer.json()["item"]["item_id"] for answer in answers[:9]} == kept


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (StorageUnavailableError("The disk failed"), 503, "storage_unavailable"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
def test_an_answer_is_taken_back_where_its_change_is_not_kept(failure, status, code):
    """Whatever the request itself had come to."""

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
    """An inventory on SQLite with a last mug, its writer, and the request for that mug."""
    with SqliteRepository(tmp_path / "stock.db") as repository, GroupCommit(repository) as writer:
        inventory = Inventory(repository)
        mug = inventory.create_item(CreateItem(**{**MUG, "quantity": 1}))
        sale = {"sku": mug.sku, "delta": -1, "reason": "sold"}
        yield inventory, writer, ("POST", f"/items/{mug.item_id}/adjustments", sale), mug.key


def test_buyers_in_one_group_do_not_share_the_last_unit(shop):
    """Each decides on what the one before has written, kept or not yet."""
    inventory, writer, sale, key = shop

    answers = asyncio.run(asked(inventory, writer, *[sale] * 8))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    assert {it.json().get("code") for it in answers} == {None, "insufficient_stock"}
    assert inventory.repository.get_item(key).level.on_hand == 0


def test_a_request_that_is_twice_in_one_group_has_one_effect(shop):
    """The second is told what the first was told, though that is not kept yet."""
    inventory, writer, sale, key = shop

    answers = asyncio.run(asked(inventory, writer, *[sale] * 8, **{"Idempotency-Key": "order-1"}))

    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert inventory.repository.get_item(key).level.seq == 1


def test_what_waited_past_its_deadline_is_not_carried_out(tmp_path):
    """A foreign lock holds up the group before: the ones behind it are answered by their deadline, and change nothing."""
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


def test_one_that_is_late_takes_no_time_from_the_others(tmp_path):
    """It is answered, and the group waits for its transaction as long as the rest has time."""
    with SqliteRepository(tmp_path / "stock.db") as repository, GroupCommit(repository) as writer:

        async def run():
            works = [writer.run(lambda: "late", 0.0), writer.run(time_left, monotonic() + 60)]
            return await asyncio.gather(*works)

        late, left = asyncio.run(run())

    assert late == "late"
    # The deadline of a group is for its lock, not for the work, which has one of its own.
    assert left == inf


class Recorder(MemoryRepository):
    """Notes the seconds that each read has left."""

    def __init__(self):
        super().__init__()
        self.left = []

    def find_item(self, item_id):
        self.left.append(time_left())
        return super().find_item(item_id)


def test_the_deadline_of_a_request_starts_when_it_arrives(monkeypatch):
    """Not when a thread takes it up: what has waited too long is a 503, and storage is not asked."""
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


@needs_signals
def test_many_writers_behind_a_foreign_lock_are_answered_in_time(tmp_path):
    """Each within its own few seconds, with a code that says to come again; nothing of them is kept."""
    path = tmp_path / "stock.db"
    with (
        serving(tmp_path / "log", "--db", str(path), "--sweep-seconds", "0") as server,
        closing(sqlite3.connect(path, isolation_level=None)) as foreign,
        ThreadPoolExecutor(100) as pool,
    ):
        foreign.execute("BEGIN IMMEDIATE")

        def create(number):
            body = json.dumps({**MUG, "sku": f"M-{number}"})
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
                started = monotonic()
                connection.request("POST", "/items", body)
                answer = connection.getresponse()
                answer.read()
                return answer, monotonic() - started

        outcomes = list(pool.map(create, range(200)))
        foreign.execute("ROLLBACK")

        listed = httpx.get(f"{server.url}/items", trust_env=False).json()

    assert {answer.status for answer, _ in outcomes} <= {429, 503}
    assert all(answer.headers["Retry-After"] for answer, _ in outcomes)
    # A deadline of 4 s, and what a busy machine adds.
    assert max(seconds for _, seconds in outcomes) < 7
    assert listed["count"] == 0
