"""Requests that write together: what is told, to whom, and when."""

import asyncio
from contextlib import contextmanager
from threading import Event

import httpx
import pytest

from inventory import CreateItem, Inventory, StorageUnavailableError
from inventory.ports import ItemFilter
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.server import gateway as local_server
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.server.group_commit import GroupCommit
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import walk
from tests.local_server import MUG


class Storage:
    """Tells when it is had alone, and can be held up, or fail at the end."""

    def __init__(self):
        self.story = []
        self.begun, self.free = Event(), Event()
        self.free.set()
        self.failure = None

    @contextmanager
    def alone(self):
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

    assert storage.story == ["alone", 0, "kept", "alone", "kept"]


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
        def alone(self):
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


def test_an_answer_to_a_client_that_has_left_is_dropped():
    """In the turn of the loop between its writing and its sending the connection may go."""

    class Transport:
        gone = False
        sent = b""

        def is_closing(self):
            return self.gone

        def write(self, data):
            self.sent += data

    async def run(*, leaves):
        transport = Transport()
        whole = local_server._Whole(transport)
        whole.write(b"head ")
        whole.write(b"body")
        assert transport.sent == b""
        transport.gone = leaves
        await asyncio.sleep(0)
        return transport.sent

    assert asyncio.run(run(leaves=False)) == b"head body"
    assert asyncio.run(run(leaves=True)) == b""
