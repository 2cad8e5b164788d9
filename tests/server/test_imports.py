"""`POST /imports`: an uploaded file, a streamed report, and protection against other sites."""

import asyncio
import json
import threading
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from inventory import Inventory, ListItems, StorageUnavailableError
from inventory_adapters.cli.main import cli
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


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A client of a server that nothing is written to."""
    log = tmp_path_factory.mktemp("empty") / "log"
    with (
        serving(log, "--memory") as running,
        httpx.Client(base_url=running.url, trust_env=False, timeout=30) as made,
    ):
        yield made


def report(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(it) for it in answer.text.splitlines()]


def test_file_is_imported_and_reported(client):
    """The report has the settings, each row, and the counts."""
    about, rows, end = report(client.post("/imports", content=ITEMS))

    assert about["import"]["format"] == "native"
    assert [it["result"] for it in rows["rows"]] == ["created", "refused"]
    assert rows["read"] == rows["size"] == len(ITEMS)
    assert (end["summary"]["created"], end["summary"]["refused_columns"]) == (1, {"quantity": 1})
    assert [it["sku"] for it in client.get("/items").json()["items"]] == ["MUG-1"]


@pytest.mark.parametrize("name", sorted(it.name for it in FILES.iterdir()))
def test_every_format_is_supported(empty, name):
    """The command line and the server support the same formats."""
    content = (FILES / name).read_bytes()

    first, *_, end = report(empty.post("/imports?negative=zero&dry_run=true", content=content))

    assert name.startswith(first["import"]["format"])
    assert end["summary"]["refused"] == (2 if name == "counts.csv" else 0)
    assert empty.get("/items").json()["count"] == 0


@pytest.mark.parametrize(
    "rows",
    [
        '"A";"Mug";"c";"1";"9,90"',
        "A;Mug;c;1;€9.90\nB;Cup;c;5.0;1",
        "A;Mug;c;1;9\nA;Mug;c;1;9\nB;;c;many;9",
    ],
)
def test_reports_are_those_of_the_command_line(empty, tmp_path, rows):
    """One importer reads the file: with quotes, decimal commas, signs of currencies, and rows that are rejected."""
    file = tmp_path / "items.csv"
    file.write_text(f'"sku";"name";"category";"quantity";"price"\n{rows}\n')

    about, *lines, end = report(empty.post("/imports?dry_run=true", content=file.read_bytes()))
    arguments = ["import", str(file), "--dry-run", "--json", "--db", str(tmp_path / "db")]
    printed = json.loads(CliRunner().invoke(cli, arguments).stdout)

    assert [it for line in lines for it in line["rows"]] == printed["rows"]
    assert about["import"] == {name: printed[name] for name in about["import"]}
    assert end["summary"] == {**printed["summary"], "stopped": printed["stopped"]}


def test_options_are_parameters(client):
    """Columns, category, location and the others, as on the command line."""
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


def test_unknown_table_is_returned_with_its_first_rows(client):
    """For a form in which a person maps the columns."""
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
def test_unreadable_file_is_rejected(empty, query, headers, content, expected):
    """In the error envelope; nothing is written, and the next file can be imported."""
    answer = empty.post(f"/imports{query}", headers=headers, content=content)

    assert (answer.status_code, answer.json()["code"]) == (CODES[expected], expected)
    assert empty.get("/items").json()["count"] == 0
    assert len(report(empty.post("/imports?dry_run=true", content=ITEMS))) == 3


def test_only_post_is_supported(client):
    """The 405 lists the allowed methods."""
    answer = client.get("/imports")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert client.options("/imports").status_code == 204


def test_large_file_is_rejected_before_it_is_read(server):
    """By its declared length."""
    with server.connect() as connection:
        head = f"POST /imports HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {MAX_FILE_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        # Head and body of the answer may come apart; the server then closes the connection.
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert b" 413 " in answer
    assert b"payload_too_large" in answer


def test_imports_run_one_at_a_time_beside_requests(server, client):
    """A second import is rejected, requests go on, and a disconnected client frees the place."""
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


def test_disconnected_client_stops_its_import(server, client):
    """Applied rows remain, and the next import can start."""
    rows = b"".join(b"M%d,Mug,kitchen,5,9.90\n" % it for it in range(20_000))
    with client.stream("POST", "/imports", content=ITEMS + rows) as answer:
        next(answer.iter_lines())

    for _ in range(100):
        again = client.post("/imports", content=ITEMS)
        if again.status_code == 200:
            break
        time.sleep(0.1)

    assert report(again)[-1]["summary"]["refused"] == 1


def test_long_pause_ends_the_upload(monkeypatch):
    """The next import can start, and nothing is written."""
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
        running = imports.Imports()
        with pytest.raises(HttpError) as error:
            await running.start(inventory, b"", {}, receive)
        report = await running.start(inventory, b"dry_run=true", {}, whole)
        return error.value.code, [json.loads(line) async for line in report.lines]

    code, lines = asyncio.run(scenario())

    assert code == "request_timeout"
    assert lines[-1]["summary"]["created"] == 1
    assert inventory.list_items(ListItems()).items == ()


def test_storage_error_is_the_last_line():
    """The status is already sent; the message is that of any storage error."""

    class Failing(Inventory):
        def batch_items(self, command):
            raise StorageUnavailableError

    async def receive():
        return {"type": "http.request", "body": ITEMS, "more_body": False}

    async def scenario():
        report = await imports.Imports().start(Failing(MemoryRepository()), b"", {}, receive)
        return [json.loads(line) async for line in report.lines]

    about, end = asyncio.run(scenario())

    assert about["import"]["format"] == "native"
    assert end["code"] == "storage_unavailable"
