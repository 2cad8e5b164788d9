"""`POST /imports` as the page uses it: a file in, a report as it goes, and nothing that a stranger could do with it."""

import asyncio
import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from inventory import Inventory, ListItems, StorageUnavailableError
from inventory_adapters.http.errors import CODES, HttpError
from inventory_adapters.server import imports
from inventory_adapters.server.imports import MAX_FILE_BYTES
from inventory_adapters.storage.memory import MemoryRepository
from tests.local_server import created, needs_signals, serving

pytestmark = needs_signals

FILES = Path(__file__).parents[1] / "catalogue" / "files"
ITEMS = b"sku,name,category,quantity,price\nMUG-1,Mug,kitchen,5,9.90\nMUG-2,Mug,kitchen,-1,9.90\n"


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "log", "--db", str(tmp_path / "db")) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as made:
        yield made


def report(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(it) for it in answer.text.splitlines()]


def test_a_file_is_imported_and_reported(client):
    """How it is read, each row, and the counts."""
    about, rows, end = report(client.post("/imports", content=ITEMS))

    assert about["import"]["format"] == "native"
    assert [it["result"] for it in rows["rows"]] == ["created", "refused"]
    assert rows["read"] == rows["size"] == len(ITEMS)
    assert (end["summary"]["created"], end["summary"]["refused_columns"]) == (1, {"quantity": 1})
    assert [it["sku"] for it in client.get("/items").json()["items"]] == ["MUG-1"]


@pytest.mark.parametrize("name", sorted(it.name for it in FILES.iterdir()))
def test_every_format_is_taken(client, name):
    """One importer: what the command line takes, the page takes."""
    content = (FILES / name).read_bytes()

    first, *_, end = report(client.post("/imports?negative=zero&dry_run=true", content=content))

    assert name.startswith(first["import"]["format"])
    assert end["summary"]["refused"] == (2 if name == "counts.csv" else 0)
    assert client.get("/items").json()["count"] == 0


def test_choices_are_parameters(client):
    """Columns, category, location and the rest, as on the command line."""
    content = "Code~Was~Zahl\nA~Größe~1.000\n".encode("mac_roman")
    query = {
        "column": ["sku=Code", "name=Was", "quantity=Zahl"],
        "category": "things",
        "location": "barn",
        "decimal": "comma",
        "encoding": "mac_roman",
        "delimiter": "~",
    }

    report(client.post("/imports", params=query, content=content))

    [item] = client.get("/items").json()["items"]
    assert (item["name"], item["category"], item["location"]) == ("Größe", "things", "barn")
    assert item["quantity"] == 1000


def test_an_unknown_table_is_answered_with_its_beginning(client):
    """For a form in which a person maps its columns."""
    answer = client.post("/imports", content=b"Code-X;Name\nA;Mug\n")

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_table")
    assert answer.json()["columns"] == ["Code-X", "Name"]
    assert answer.json()["rows"] == [["A", "Mug"]]
    assert answer.json()["mapping"] == {"name": "Name"}


@pytest.mark.parametrize(
    ("query", "headers", "content", "expected"),
    [
        ("", {}, b"", "unreadable_file"),
        ("", {}, b"sku;name;price\nA;Mug;1.250\n", "unreadable_file"),
        ("", {}, b"sku,name,category,Stock in Rome\nA,Mug,c,1\n", "confirmation_required"),
        ("?colour=red", {}, ITEMS, "validation_failed"),
        ("?decimal=dot", {}, ITEMS, "validation_failed"),
        ("?column=sku", {}, ITEMS, "validation_failed"),
        ("", {"Idempotency-Key": "k"}, ITEMS, "idempotency_key_not_supported"),
        ("", {"If-Match": "*"}, ITEMS, "if_match_not_supported"),
        ("", {"Host": "evil.example"}, ITEMS, "bad_host"),
        ("", {"Origin": "https://evil.example"}, ITEMS, "forbidden_origin"),
    ],
)
def test_what_cannot_be_imported_is_refused_as_a_whole(client, query, headers, content, expected):
    """In the envelope of every error; nothing was written, and the next file is taken."""
    answer = client.post(f"/imports{query}", headers=headers, content=content)

    assert (answer.status_code, answer.json()["code"]) == (CODES[expected], expected)
    assert client.get("/items").json()["count"] == 0
    assert len(report(client.post("/imports", content=ITEMS))) == 3


def test_only_posts_are_taken(client):
    """The path says so."""
    answer = client.get("/imports")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert client.options("/imports").status_code == 204


def test_a_file_that_is_too_large_is_refused_before_it_is_read(server):
    """By the length that is declared."""
    with server.connect() as connection:
        head = f"POST /imports HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {MAX_FILE_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        # Head and body of the answer may come apart; the server then closes the connection.
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert b" 413 " in answer
    assert b"payload_too_large" in answer


def test_one_import_at_a_time_and_requests_meanwhile(server, client):
    """The second is told to wait, stock goes on moving, and a client that left makes room."""
    item = created(client)
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        yield ITEMS
        begun.set()
        go_on.wait(20)
        yield b"MUG-3,Mug,kitchen,5,9.90\n"

    answers = []
    sender = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{server.url}/imports", content=slow(), trust_env=False, timeout=30)
        )
    )
    sender.start()
    begun.wait(20)
    time.sleep(0.2)  # Until the server has seen the beginning.

    second = client.post("/imports", content=ITEMS)
    moved = client.post(
        f"/items/{item['item_id']}/adjustments",
        json={"sku": item["sku"], "delta": 1, "reason": "found"},
    )
    go_on.set()
    sender.join(20)

    assert (second.status_code, second.json()["code"]) == (409, "import_running")
    assert moved.status_code == 201
    assert report(answers[0])[-1]["summary"]["created"] == 1


def test_a_client_that_leaves_ends_its_import(server, client):
    """What is done stays done, and the next import may begin."""
    rows = b"".join(b"M%d,Mug,kitchen,5,9.90\n" % it for it in range(20_000))
    with client.stream("POST", "/imports", content=ITEMS + rows) as answer:
        next(answer.iter_lines())

    for _ in range(100):
        again = client.post("/imports", content=ITEMS)
        if again.status_code == 200:
            break
        time.sleep(0.1)

    assert report(again)[-1]["summary"]["refused"] == 1


def test_a_pause_ends_an_import_that_does_not_arrive(monkeypatch):
    """Its place is free again for the next one, and nothing was written."""
    monkeypatch.setattr(imports, "_LONGEST_PAUSE_SECONDS", 0.05)
    inventory = Inventory(MemoryRepository())
    parts = [{"type": "http.request", "body": ITEMS, "more_body": True}]

    async def receive():
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    async def whole():
        return {"type": "http.request", "body": ITEMS, "more_body": False}

    async def scenario():
        running = imports.Imports(inventory)
        with pytest.raises(HttpError) as error:
            await running.start(b"", {}, receive)
        report = await running.start(b"dry_run=true", {}, whole)
        return error.value.code, [json.loads(line) async for line in report.lines]

    code, lines = asyncio.run(scenario())

    assert code == "request_timeout"
    assert lines[-1]["summary"]["created"] == 1
    assert inventory.list_items(ListItems()).items == ()


def test_storage_that_fails_on_the_way_is_the_last_line():
    """The answer has begun, so its status cannot tell; the sentence is that of any error."""

    class Failing(Inventory):
        def batch_items(self, command):
            raise StorageUnavailableError

    async def receive():
        return {"type": "http.request", "body": ITEMS, "more_body": False}

    async def scenario():
        report = await imports.Imports(Failing(MemoryRepository())).start(b"", {}, receive)
        return [json.loads(line) async for line in report.lines]

    about, end = asyncio.run(scenario())

    assert about["import"]["format"] == "native"
    assert end["code"] == "storage_unavailable"
