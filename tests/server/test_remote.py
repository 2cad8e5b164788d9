"""`inventory serve --url`: the page of an API elsewhere, over sockets."""

import json
import subprocess

import httpx
import pytest

from tests import hostile_server
from tests.hostile_server import HostileServer, answer, hang_up
from tests.local_server import INVENTORY, MUG, created, needs_signals, serving

pytestmark = needs_signals

KEY = "the-key-of-this-server"
NOT_FOUND = answer({"error": "Item not found", "code": "item_not_found"}, 404)
OURS = {"", "host", "accept", "accept-encoding", "connection", "user-agent", "x-api-key", "x-actor"}


@pytest.fixture(scope="module")
def upstream():
    """Record the requests that reach the API."""
    with hostile_server.serving(NOT_FOUND) as server:
        yield server


@pytest.fixture(scope="module")
def page(upstream, tmp_path_factory):
    log = tmp_path_factory.mktemp("page") / "log"
    options = ("--url", f"{upstream.url}/prod", "--actor", "Anna Müller", "--allowed-host", "shop")
    with serving(log, *options, INVENTORY_API_KEY=KEY) as server:
        yield server


@pytest.fixture
def browser(page, upstream):
    upstream.answers.clear()
    upstream.requests.clear()
    with httpx.Client(base_url=page.url, trust_env=False) as client:
        yield client


def test_request_reaches_the_api_with_the_key_of_the_server(browser, upstream):
    """Path, query and body arrive as they were sent."""
    upstream.answers += [answer({}, 201), answer({"items": [], "count": 0})]

    browser.post("/items/a%2Fb%20c/adjustments", content='{"sku": "Ü", "delta": 1}')
    browser.get("/items", params={"sku": "a&b=ü", "page_token": "x"})

    (posted, body), (listed, _) = upstream.requests
    assert posted[""] == "POST /prod/items/a%2Fb%20c/adjustments HTTP/1.1"
    assert body.decode() == '{"sku": "Ü", "delta": 1}'
    assert listed[""] == "GET /prod/items?sku=a%26b%3D%C3%BC&page_token=x HTTP/1.1"
    for headers in (posted, listed):
        assert (headers["x-api-key"], headers["x-actor"]) == (KEY, "Anna Müller")


def test_headers_of_the_browser_stay_here(browser, upstream):
    """Its key, its credentials, its cookies and the user that it names are not sent on."""
    upstream.answers.append(answer({}, 201))
    secrets = {
        "X-Api-Key": "mallory-key",
        "Authorization": "Bearer mallory",
        "Cookie": "session=mallory",
        "X-Actor": "mallory",
        "X-Amz-Date": "mallory",
        "X-Forwarded-For": "mallory",
        "Origin": str(browser.base_url).rstrip("/"),
        "User-Agent": "mallory",
    }

    browser.post("/items", json=MUG, headers={**secrets, "Idempotency-Key": "k", "If-Match": "*"})

    [(headers, _)] = upstream.requests
    assert headers.keys() == OURS | {
        *("content-type", "content-length", "idempotency-key", "if-match")
    }
    assert (headers["idempotency-key"], headers["if-match"]) == ("k", "*")
    assert "mallory" not in json.dumps(headers)


def test_answer_passes_with_its_headers(browser, upstream):
    """Status, body and the headers of the contract; no cookies, and no other type."""
    body = {"error": "Reserved", "code": "item_in_use", "reserved": 2}
    given = {
        "ETag": '"1-2"',
        "Retry-After": "7",
        "Idempotent-Replayed": "true",
        "X-Request-Id": "of-the-api",
    }
    others = {"Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*", "Server": "upstream"}
    upstream.answers.append(answer(body, 409, content_type="text/html", **given, **others))

    response = browser.delete("/items/x", params={"sku": "y"})

    assert (response.status_code, response.json()) == (409, body)
    assert {name: response.headers[name] for name in given} == given
    assert response.headers["Content-Type"] == "application/json"
    assert {"Set-Cookie", "Server", "Access-Control-Allow-Origin"}.isdisjoint(response.headers)


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /items", {"Host": "evil.example.com"}, 400),
        ("POST /items", {"Origin": "https://evil.example.com"}, 403),
        ("DELETE /items/x?sku=y", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET /admin", {}, 404),
        ("PUT /items", {}, 405),
        ("OPTIONS /items", {}, 204),
        ("GET /items/x/y/z", {}, 404),
        ("GET /", {}, 200),
        ("GET /openapi.json", {}, 200),
    ],
)
def test_other_requests_do_not_reach_the_api(browser, upstream, line, headers, status):
    """Only allowed requests to routes do; pages and rejections come from here."""
    response = browser.request(*line.split(), headers=headers)

    assert response.status_code == status
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("..", "%2E%2E"),
        ("%2e%2e", "%2E%2E"),
        (".", "%2E"),
        ("..%2f..%2fadmin", "..%2F..%2Fadmin"),
        ("%ff", "%FF"),
    ],
)
def test_path_cannot_leave_its_route(page, upstream, name, sent):
    """Dots and slashes in the name of an item stay part of that name."""
    upstream.answers[:], upstream.requests[:] = [NOT_FOUND], []

    with page.connect() as connection:
        head = f"GET /items/{name}?sku=x HTTP/1.1\r\nHost: localhost:{page.port}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    [(headers, _)] = upstream.requests
    assert received.startswith(b"HTTP/1.1 404")
    assert headers[""] == f"GET /prod/items/{sent}?sku=x HTTP/1.1"


def test_redirect_is_not_followed(browser, upstream):
    """The place that it names does not get the key."""
    with hostile_server.serving() as elsewhere:
        upstream.answers.append(answer(b"", 307, Location=f"{elsewhere.url}/items"))

        response = browser.get("/items")

        assert elsewhere.connections == 0
    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
    assert "Location" not in response.headers


def test_rejected_key_of_the_server_is_not_a_question_to_the_browser(browser, upstream):
    """A 401 would make the page ask for a key, which the API would never get."""
    upstream.answers.append(answer({"error": "Wrong key", "code": "wrong_api_key"}, 401))

    response = browser.get("/items")

    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")


def test_lost_answer_is_a_503_that_can_be_retried(browser, upstream):
    """Each request is sent once: the page repeats it under the same idempotency key."""
    upstream.answers.append(hang_up)

    response = browser.post("/items", json=MUG)

    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
    assert response.headers["Retry-After"]
    assert len(upstream.requests) == 1


class TestWithKeys:
    ANNA, BEN, VIEWER = (f"{name}-secret-0123456789" for name in ("anna", "ben", "viewer"))

    @pytest.fixture
    def page(self, upstream, tmp_path):
        keys = tmp_path / "keys"
        keys.touch(mode=0o600)
        keys.write_text(f"anna: {self.ANNA}\nben: {self.BEN}\nviewer: {self.VIEWER} read-only\n")
        upstream.answers[:] = [NOT_FOUND]
        with serving(
            tmp_path / "log", "--url", upstream.url, "--api-keys", keys, INVENTORY_API_KEY=KEY
        ) as server:
            yield server

    @pytest.mark.parametrize(
        ("line", "key", "status"),
        [
            ("GET /items", None, 401),
            ("GET /items", KEY, 401),
            ("POST /items", VIEWER, 403),
            ("POST /imports", VIEWER, 403),
            ("POST /imports", None, 401),
        ],
    )
    def test_rejected_request_does_not_reach_the_api(self, browser, upstream, line, key, status):
        """A key of this server is needed; that of the API is not one."""
        response = browser.request(*line.split(), headers={"X-Api-Key": key} if key else {})

        assert response.status_code == status
        assert upstream.requests == []

    def test_api_gets_its_own_key_and_the_actor(self, browser, upstream):
        """The actor is the name of the key here, and the user that its client names."""
        upstream.answers += [answer({}), answer({})]

        browser.get("/items", headers={"X-Api-Key": self.VIEWER})
        browser.get("/items", headers={"X-Api-Key": self.ANNA, "X-Actor": "x" * 128})

        sent = [(headers["x-api-key"], headers["x-actor"]) for headers, _ in upstream.requests]
        assert sent == [(KEY, "viewer"), (KEY, f"anna/{'x' * 128}"[:128])]

    def test_import_has_the_actor_of_its_key(self, browser, upstream):
        """Its rows are requests of this server."""
        refused = {"error": "No", "code": "validation_failed", "details": []}
        upstream.answers += [answer({"items": [], "count": 0}), answer(refused, 400)]

        browser.post(
            "/imports",
            content=b"sku,name,category,quantity\r\nCUP-1,Cup,kitchen,3\r\n",
            headers={"X-Api-Key": self.ANNA, "X-Actor": "Zoë".encode()},
        )

        sent = [(headers["x-api-key"], headers["x-actor"]) for headers, _ in upstream.requests]
        assert sent == [(KEY, "anna/Zoë")] * 2

    def test_idempotency_keys_of_two_callers_differ(self, browser, upstream):
        """To the API, both are this server; the same caller has the same key again."""
        upstream.answers += [answer({}, 201) for _ in range(3)]

        for secret in (self.ANNA, self.BEN, self.ANNA):
            headers = {"X-Api-Key": secret, "Idempotency-Key": "order-17"}
            browser.post("/items", json=MUG, headers=headers)

        first, other, again = (headers["idempotency-key"] for headers, _ in upstream.requests)
        assert first == again != other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--host", "0.0.0.0"), "API keys are required"),  # noqa: S104 - is refused
        (("--sweep-seconds", "5"), "the API sweeps itself"),
        (("--memory",), "Use only one of"),
    ],
)
def test_contradictions_are_refused(upstream, tmp_path, options, message):
    """Before the API is called."""
    upstream.requests.clear()
    command = [INVENTORY, "serve", "--port", "0", "--url", upstream.url, *options]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, upstream.requests) == (2, [])
    assert message in done.stderr


def test_server_does_not_start_without_its_api(tmp_path):
    """The command ends with the reason."""
    free = HostileServer()
    free.close()

    with pytest.raises(AssertionError), serving(tmp_path / "log", "--url", free.url):
        pass

    assert "The server did not answer" in (tmp_path / "log").read_text()


def test_page_works_on_a_real_api(tmp_path):
    """Items, health and the import of a file."""
    with (
        serving(tmp_path / "api", "--memory") as api,
        serving(tmp_path / "page", "--url", api.url) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
        httpx.Client(base_url=api.url, trust_env=False) as direct,
    ):
        mug = created(client)
        rows = b"sku,name,category,quantity\r\nCUP-1,Cup,kitchen,3\r\n"
        report = client.post("/imports", content=rows).text
        listed = direct.get("/items", params={"category": "kitchen"}).json()["items"]

        assert client.get("/health").json()["status"] == "ok"
        assert client.get(f"/items/{mug['item_id']}").headers["ETag"] == '"1-0"'
        assert {item["sku"] for item in listed} == {"MUG-1", "CUP-1"}
        assert '"created": 1' in report
