"""The local server as clients use it: a process of its own, over a socket."""

import asyncio
import json
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from importlib.metadata import version

import httpx
import pytest

from inventory.errors import StorageUnavailableError
from inventory.service import Inventory
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.http.app import MAX_BODY_BYTES
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.storage.memory import MemoryRepository
from tests.local_server import INVENTORY, MUG, START_SECONDS, created, needs_signals, serving

pytestmark = needs_signals


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "--memory", "--allowed-origin", "https://shop.example.com") as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False) as made:
        yield made


def raw_exchange(server, sent):
    """Send *sent* and return everything the server sends until it closes the connection."""
    with server.connect() as connection:
        connection.sendall(sent)
        return everything_from(connection)


def everything_from(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


class TestAnItem:
    def test_five_operations_work_over_a_socket(self, client):
        """Create, read, list, update and delete work as in a deployment."""
        item = created(client, category="five-operations")
        path = f"/items/{item['item_id']}"

        read = client.get(path)
        listed = client.get("/items", params={"category": "five-operations"})
        changed = client.put(path, json={"sku": "MUG-1", "price": 2.5}, headers={"If-Match": "*"})
        deleted = client.delete(path, params={"sku": "MUG-1"})
        gone = client.get(path)

        assert read.json() == {"item": item}
        assert read.headers["ETag"] == '"1-0"'
        assert listed.json() == {"items": [item], "count": 1}
        assert changed.json()["item"] == {
            **item,
            "price": 2.5,
            "version": 2,
            "updated_at": changed.json()["item"]["updated_at"],
        }
        assert deleted.json()["deleted_item"] == changed.json()["item"]
        assert (gone.status_code, gone.json()["code"]) == (404, "item_not_found")

    def test_keys_that_need_encoding_are_decoded(self, client):
        """A slash, a plus and a percent sign arrive unchanged in the path and the query."""
        created(client, sku="A/B+C %2F", category="Ü & co")

        by_category = client.get("/items", params={"category": "Ü & co"})
        by_sku = client.get("/items?sku=A%2FB%2BC%20%252F")
        by_id = client.get("/items/no%2Fsuch%20id")

        assert by_category.json()["count"] == 1
        assert by_sku.json()["items"] == by_category.json()["items"]
        assert by_id.json()["code"] == "item_not_found"

    def test_query_keeps_blank_values(self, client):
        """A parameter without a value is empty, not missing."""
        answer = client.get("/items?page_size=")

        assert answer.json()["details"][0]["field"] == "page_size"

    def test_path_that_is_not_utf8_is_rejected(self, client):
        """Percent-encoded bytes that are not UTF-8 are a 400 that names the field."""
        answer = client.get("/items/%FF")

        assert answer.status_code == 400
        assert answer.json()["details"][0]["field"] == "item_id"

    def test_body_that_is_not_utf8_is_rejected(self, client):
        """Bytes that are not UTF-8 are a 400."""
        answer = client.post("/items", content=b'{"sku": "\xff"}')

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


class TestBodyLimit:
    def test_body_of_maximum_size_is_read(self, client):
        """A body of exactly the limit is read, and rejected for its content."""
        answer = client.post("/items", content=b" " * MAX_BODY_BYTES)

        assert answer.json()["code"] == "body_required"

    def test_large_content_length_is_rejected_before_the_body(self, server):
        """A client that announces a large body gets the response before it sends the body."""
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.putrequest("POST", "/items")
            connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
            connection.endheaders()
            answer = connection.getresponse()
            body = json.loads(answer.read())

        assert (answer.status, body["code"]) == (413, "payload_too_large")
        assert answer.will_close

    def test_client_that_sends_a_large_body_receives_the_response(self, client):
        """The server reads on before it closes the connection, so that no reset hides the response."""
        chunk = b"x" * 65536

        answer = client.post("/items", content=(chunk for _ in range(100)))

        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        assert answer.headers["connection"] == "close"


class TestGateway:
    def test_unknown_path_is_404(self, client):
        """A path that no route has is a 404 in the error envelope."""
        answer = client.get("/nothing", headers={"Origin": "https://shop.example.com"})

        assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example.com"
        assert answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"] == "no-store"

    def test_other_method_is_405_with_allow(self, client):
        """The response to an unsupported method lists the allowed methods."""
        answer = client.patch("/items")

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "POST, GET, HEAD, OPTIONS"

    def test_head_is_get_without_the_body(self, client):
        """HEAD has the status and the headers of GET."""
        item = created(client)
        path = f"/items/{item['item_id']}"

        got, head = client.get(path), client.head(path)

        assert head.status_code == 200
        assert head.content == b""
        for name in ("ETag", "Content-Type", "Content-Length"):
            assert head.headers[name] == got.headers[name]

    def test_preflight_lists_methods_and_headers(self, client):
        """A preflight request of an allowed origin gets the allowed methods and headers."""
        answer = client.options("/items/x", headers={"Origin": "https://shop.example.com"})

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example.com"
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, PUT, DELETE, HEAD, OPTIONS"
        assert "If-Match" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Access-Control-Max-Age"] == "300"

    def test_preflight_of_an_unknown_path_is_404(self, client):
        """OPTIONS on an unknown path is a 404."""
        assert client.options("/nothing").status_code == 404

    def test_own_origins_may_read_responses(self, client, server):
        """Pages of this server may read responses under both of its names; other pages may not."""
        own = [f"http://127.0.0.1:{server.port}", f"http://localhost:{server.port}"]
        allowed = [
            client.get("/health", headers={"Origin": origin}).headers.get(
                "Access-Control-Allow-Origin"
            )
            for origin in [*own, "https://evil.example.com"]
        ]

        assert allowed == [*own, None]

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:9"])
    def test_loopback_names_are_allowed(self, client, host):
        """Loopback names are allowed with any port, because there may be a tunnel."""
        assert client.get("/health", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example.com", "localhost.evil.com", "10.0.0.1", "", "a:b:c"]
    )
    def test_foreign_host_is_rejected(self, client, host):
        """A host name that is not the server's is a 400."""
        answer = client.get("/items", headers={"Host": host})

        assert (answer.status_code, answer.json()["code"]) == (400, "bad_host")

    def test_request_without_a_host_is_rejected(self, server):
        """A missing Host header is a 400."""
        answer = raw_exchange(server, b"GET /items HTTP/1.0\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code": "bad_host"' in answer

    def test_health_reads_storage(self, client):
        """A healthy server responds with ok, its version and the common headers; only a file has a schema."""
        answer = client.get("/health")

        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "version": version("tap-inventory"),
            "schema": None,
        }
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert client.delete("/health").status_code == 405


@pytest.mark.parametrize("error", [StorageUnavailableError(), RuntimeError("broken")])
def test_health_without_storage_is_503(error):
    """If storage cannot be read, `/health` is 503 with a Retry-After."""

    class Broken(MemoryRepository):
        def get_item(self, key):
            raise error

    async def ask():
        with ThreadPoolExecutor(1) as threads:
            gateway = LocalGateway(Inventory(Broken()), Site("localhost", 80), Cors(), threads)
            transport = httpx.ASGITransport(gateway)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.get("http://localhost/health")

    answer = asyncio.run(ask())

    assert (answer.status_code, answer.json().get("code")) == (503, "storage_unavailable")
    assert answer.headers["Retry-After"]


def test_site_on_all_interfaces_allows_any_address():
    """A server that listens on all interfaces accepts any IP address as host, but no other name."""
    site = Site("0.0.0.0", 80)  # noqa: S104 - nothing listens

    assert site.is_called("192.168.0.7:80")
    assert site.is_called("[fe80::1]")
    assert not site.is_called("evil.example.com")
    assert site.url == "http://127.0.0.1:80"


class TestConnections:
    def test_connection_is_reused(self, server):
        """Several requests use one connection, also after an error."""
        statuses = []
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            for path in ("/items", "/nothing", "/items/x", "/items"):
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                statuses.append((answer.status, answer.will_close))

        assert statuses == [(200, False), (404, False), (404, False), (200, False)]

    def test_requests_are_served_concurrently(self, server):
        """Clients that have not finished sending do not delay others."""
        head = b"POST /items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        with ExitStack() as unfinished, ThreadPoolExecutor(8) as pool:
            for _ in range(40):
                unfinished.enter_context(server.connect()).sendall(head)

            answers = list(
                pool.map(
                    lambda n: httpx.post(
                        f"{server.url}/items",
                        json={**MUG, "sku": f"C-{n}", "category": "concurrent"},
                        trust_env=False,
                    ),
                    range(40),
                )
            )

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["item"]["item_id"] for answer in answers}) == 40


def test_greeting_shows_address_storage_and_example(server):
    """The server prints its URL, its storage and an example request when it starts."""
    assert "memory" in server.greeting[0]
    assert f"curl {server.url}/items -d" in server.greeting[1]


def test_port_in_use_is_reported_in_one_sentence(server):
    """A second server on the same port fails with one sentence."""
    done = subprocess.run(
        [INVENTORY, "serve", "--memory", "--port", str(server.port)],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )

    assert done.returncode == 2
    assert done.stderr == (
        f"Error: Cannot listen on 127.0.0.1, port {server.port}: Address already in use\n"
    )
    assert done.stdout == ""


def test_stop_signal_lets_a_running_request_finish(tmp_path):
    """A running request gets its response, idle connections are closed, the exit code is 0, and each log line is JSON."""
    body = json.dumps({**MUG, "description": "s3cret"}).encode()
    head = f"POST /items HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(tmp_path / "log", "--db", str(tmp_path / "db")) as server:
        with server.connect() as idle, server.connect() as connection:
            connection.sendall(head.encode() + body[:5])
            httpx.get(f"{server.url}/nothing", trust_env=False)
            ended = threading.Thread(target=server.stop)
            ended.start()
            wait_until_refused(server)
            connection.sendall(body[5:])
            answer = everything_from(connection)
            assert everything_from(idle) == b""
        ended.join(15)

    assert answer.startswith(b"HTTP/1.1 201 ")
    assert server.process.returncode == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [(line["route"], line["status"], line["code"]) for line in lines] == [
        (None, 404, "route_not_found"),
        ("create_item", 201, None),
    ]
    assert lines[0].keys() >= {"time", "level", "logger", "message", "request_id", "duration_ms"}
    assert "s3cret" not in server.log.read_text()
    # Closed, and so in one file.
    assert not (tmp_path / "db-wal").exists()


def test_interrupt_stops_the_server_without_output(tmp_path):
    """Ctrl-C stops an idle server at once, with nothing on stderr."""
    with serving(tmp_path / "log", "--memory") as server:
        server.process.send_signal(signal.SIGINT)
        code = server.process.wait(5)

    assert code == 0
    assert server.log.read_text() == ""


def wait_until_refused(server):
    while True:
        try:
            server.connect().close()
        except ConnectionError:
            return


def test_acknowledged_items_survive_a_kill(tmp_path):
    """After kill -9 and a restart, every item with a 201 exists completely."""
    db = str(tmp_path / "db")
    acknowledged = {}

    def post_until_killed(url, worker):
        with httpx.Client(base_url=url, trust_env=False) as client:
            for number in range(100_000):
                sku = f"{worker}-{number}"
                try:
                    answer = client.post("/items", json={**MUG, "sku": sku})
                except httpx.TransportError:
                    return
                acknowledged[sku] = answer.json()["item"]

    with serving(tmp_path / "log", "--db", db) as server:
        workers = [
            threading.Thread(target=post_until_killed, args=(server.url, n)) for n in range(4)
        ]
        for worker in workers:
            worker.start()
        while len(acknowledged) < 200:
            assert server.process.poll() is None, server.log.read_text()
            workers[0].join(0.01)
        server.process.kill()
        for worker in workers:
            worker.join(10)

    with serving(tmp_path / "log2", "--db", db) as server:
        kept = every_item(server.url)

    assert acknowledged.items() <= kept.items()
    # At most one request of each worker was under way: kept, or not.
    assert len(kept) <= len(acknowledged) + len(workers)
    assert all(item.keys() == acknowledged["0-0"].keys() for item in kept.values())


def every_item(url):
    found, token = {}, {}
    with httpx.Client(base_url=url, trust_env=False) as client:
        while True:
            page = client.get("/items", params={"page_size": 50, **token}).json()
            found.update({item["sku"]: item for item in page["items"]})
            if "next_page_token" not in page:
                return found
            token = {"page_token": page["next_page_token"]}
