"""Which hosts a request may name, and which pages may write."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory import Inventory
from inventory.ports import ItemFilter
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import list_all
from tests.local_server import MUG

SHOP = "https://shop.example.com"


class Exchange:
    """A request to a server on localhost:8080, its response, and its effect."""

    def __init__(
        self, *lines, method="POST", path="/items", host="localhost:8080", origins=(SHOP,), hosts=()
    ):
        repository = MemoryRepository()
        site = Site("localhost", 8080, hosts)
        headers = [("Host", host), *lines]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
        self.body_was_read = False
        messages = []

        async def receive():
            self.body_was_read = True
            return {"type": "http.request", "body": json.dumps(MUG).encode()}

        async def send(message):
            messages.append(message)

        with ThreadPoolExecutor(1) as threads:
            cors = Cors((*site.origins, *origins))
            gateway = LocalGateway(Inventory(repository), site, cors, threads)
            asyncio.run(gateway(scope, receive, send))
        self.status = messages[0]["status"]
        self.headers = dict(messages[0]["headers"])
        self.code = json.loads(messages[1]["body"] or "{}").get("code")
        self.stored = list_all(repository, ItemFilter())


def origin(value):
    return ("Origin", value)


def site(value):
    return ("Sec-Fetch-Site", value)


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("localhost:8080", []),
        ("localhost:8080", [origin("http://localhost:8080")]),
        ("localhost:8080", [origin("https://localhost:8080")]),
        ("LOCALHOST:8080", [origin("http://localhost:8080")]),
        ("localhost:8080", [origin("HTTP://LocalHost:8080")]),
        # Other own origins, and one that is allowed.
        ("localhost:8080", [origin("http://127.0.0.1:8080")]),
        ("localhost:8080", [origin(SHOP)]),
        # A tunnel or a proxy in front, which may speak TLS.
        ("localhost:9", [origin("http://localhost:9")]),
        ("localhost", [origin("https://localhost")]),
        ("localhost", [origin("http://localhost")]),
        ("localhost:80", [origin("http://localhost")]),
        ("localhost", [origin("http://localhost:80")]),
        ("localhost:443", [origin("https://localhost")]),
        ("localhost:", [origin("http://localhost")]),
        ("[::1]:8080", [origin("http://[::1]:8080")]),
        ("[::1]", [origin("http://[::1]:80")]),
        # The origin decides where there is one.
        ("localhost:8080", [origin("http://localhost:8080"), site("cross-site")]),
        ("localhost:8080", [site("same-origin")]),
        ("localhost:8080", [site("none")]),
        ("localhost:8080", [site("something-new")]),
        ("localhost:8080", [site("")]),
    ],
)  # fmt: skip
def test_own_pages_and_other_clients_may_write(host, lines):
    """Browsers send the origin of a page; other clients send none."""
    assert Exchange(*lines, host=host).status == 201


FOREIGN = [
    [origin("https://evil.example")],
    [origin("null")],
    [origin("")],
    [origin("http://localhost")],
    [origin("http://localhost:8081")],
    [origin("https://localhost:443")],
    [origin("http://localhost.evil.example:8080")],
    [origin("http://evil.example@localhost:8080")],
    [origin("http://localhost:8080/")],
    [origin("http://localhost:8080:8080")],
    [origin("localhost:8080")],
    [origin("file://")],
    [origin("http://shop.example.com")],
    [origin("https://shop.example.com:444")],
    [origin("http://localhost:8080"), origin("https://evil.example")],
    [origin("https://evil.example"), origin("http://localhost:8080")],
    [origin("http://localhost:8080"), origin("http://localhost:8080")],
    [origin("https://evil.example"), site("same-origin")],
    [site("cross-site")],
    [site("same-site")],
    [site("same-origin"), site("cross-site")],
]


@pytest.mark.parametrize("lines", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/items"),
        ("PUT", "/items/x"),
        ("DELETE", "/items/x"),
        ("POST", "/reservations/x/commit"),
        ("POST", "/nothing"),
    ],
)
def test_pages_of_other_sites_may_not_write(method, path, lines):
    """They are rejected before the body is read."""
    exchange = Exchange(*lines, method=method, path=path)

    assert (exchange.status, exchange.code) == (403, "forbidden_origin")
    assert not exchange.body_was_read
    assert exchange.stored == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_pages_of_other_sites_may_send_reads(method):
    """A link to the console is one; CORS determines whether the page may read the response."""
    exchange = Exchange(origin("https://evil.example"), site("cross-site"), method=method)

    assert exchange.status in (200, 204)
    assert b"access-control-allow-origin" not in exchange.headers


def test_wildcard_origin_allows_all_writes():
    """With --allowed-origin '*'."""
    assert Exchange(origin("https://any.example"), origins=("*",)).status == 201


@pytest.mark.parametrize(
    ("hosts", "host", "status"),
    [
        (["inventory"], "inventory", 201),
        (["inventory"], "inventory:8080", 201),
        (["Inventory"], "INVENTORY:9", 201),
        (["inventory:8080"], "inventory:8080", 201),
        (["inventory:8080"], "inventory:8081", 400),
        (["inventory:8080"], "inventory", 400),
        (["inventory"], "inventory.evil.example", 400),
        (["inventory"], "localhost:8080", 201),
        (["a.example", "b.example"], "b.example", 201),
        (["[fe80::1]"], "[fe80::1]:80", 201),
        ([], "inventory", 400),
        (["inventory"], "inventory, localhost", 400),
        (["inventory"], "", 400),
    ],
)
def test_other_hosts_may_be_allowed(hosts, host, status):
    """The name of a container or proxy; a port is compared if one is given."""
    exchange = Exchange(host=host, hosts=hosts)

    assert exchange.status == status
    assert exchange.code == (None if status == 201 else "bad_host")


def test_page_of_an_allowed_host_may_write():
    """The server itself serves it."""
    exchange = Exchange(
        origin("https://inventory.example"), host="inventory.example", hosts=["inventory.example"]
    )

    assert exchange.status == 201


def test_repeated_host_is_rejected():
    """RFC 9112, section 3.2."""
    assert Exchange(("Host", "localhost:8080")).code == "bad_host"


def test_repeated_if_match_lines_are_one_list():
    """RFC 9110, section 5.3; other endpoints reject the header."""
    lines = ("If-Match", '"9-9"'), ("If-Match", '"1-0"')

    assert Exchange(*lines, path="/items/x", method="PUT").code == "item_not_found"
    assert Exchange(*lines).code == "if_match_not_supported"


def test_repeated_idempotency_key_is_rejected():
    """It is unknown which of the two is meant."""
    exchange = Exchange(("Idempotency-Key", "a"), ("Idempotency-Key", "b"))

    assert (exchange.status, exchange.code) == (400, "validation_failed")
