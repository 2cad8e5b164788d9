"""API keys of the local server: their file, which requests need one, and the delay after wrong ones."""

import asyncio
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from attrs import evolve

from inventory import Inventory
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.http.errors import HttpError
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.server.auth import ApiKeys, KeysError, read_keys
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.server.pages import PAGES
from inventory_adapters.storage.memory import MemoryRepository
from tests.local_server import INVENTORY, MUG, START_SECONDS, needs_signals, serving

ANNA = "anna-secret-0123456789"
BEN = "ben-secret-01234567890"
VIEWER = "viewer-secret-0123456789"
WRONG = "wrong-secret-0123456789"
KEYS = f"anna: {ANNA}\nben: {BEN}\nviewer: {VIEWER} read-only\n"


@pytest.fixture
def keys_file(tmp_path):
    """A file of three keys."""
    return written(tmp_path / "keys", KEYS)


def written(path, text, mode=0o600):
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)
    return path


class TestFile:
    def test_line_has_a_name_and_a_secret(self, tmp_path):
        """Blank lines and comments are skipped; `read-only` limits a key."""
        text = f"# staff\n\nanna:{ANNA}\n  till.1_a-B:  {BEN}  \nviewer: {VIEWER}\tread-only"

        keys = read_keys(written(tmp_path / "keys", text))

        assert [(key.name, key.is_read_only) for key in keys] == [
            ("anna", False),
            ("till.1_a-B", False),
            ("viewer", True),
        ]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("anna", "must be NAME: SECRET"),
            (f"anna {ANNA}", "must be NAME: SECRET"),
            (f"anna: {ANNA} readonly", "must be NAME: SECRET"),
            (f"anna: {ANNA} read-only read-only", "must be NAME: SECRET"),
            ("anna: secret-with-ümlaut-0123456789", "must be NAME: SECRET"),
            (f": {ANNA}", "must be NAME: SECRET"),
            (f"an/na: {ANNA}", "a name has"),
            (f"{'a' * 65}: {ANNA}", "a name has"),
            (f"änna: {ANNA}", "a name has"),
            ("anna: 19-characters-01234", "weak"),
            ("anna: abababababababababababab", "weak"),
            (f"ben: {ANNA}", "already used"),
            (f"anna: {BEN}", "already used"),
        ],
    )
    def test_other_lines_are_rejected_without_their_secret(self, tmp_path, line, reason):
        """The message names the line; the server does not start with a part of the keys."""
        path = written(tmp_path / "keys", f"ben: {BEN}\n{line}\n")

        with pytest.raises(KeysError, match=rf"line 2: .*{reason}") as rejected:
            read_keys(path)

        assert "0123456789" not in str(rejected.value)

    @pytest.mark.parametrize("text", ["", "# nobody\n"])
    def test_file_without_keys_is_rejected(self, tmp_path, text):
        """Nobody could use the server."""
        with pytest.raises(KeysError, match="No keys"):
            read_keys(written(tmp_path / "keys", text))

    @pytest.mark.skipif(os.name != "posix", reason="other systems have no mode")
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
    def test_file_that_others_can_access_is_rejected(self, tmp_path, mode):
        """The message has the command that protects it."""
        path = written(tmp_path / "keys", KEYS, mode)

        with pytest.raises(KeysError, match="chmod 600"):
            read_keys(path)

        path.chmod(0o400)
        assert len(read_keys(path)) == 3

    def test_file_that_cannot_be_read_is_rejected(self, tmp_path):
        """It is missing, a folder, or not text."""
        binary = written(tmp_path / "binary", "")
        binary.write_bytes(b"anna: \xff")

        for path in (tmp_path / "missing", tmp_path, binary):
            with pytest.raises(KeysError, match="Cannot read the keys"):
                read_keys(path)


class Clock:
    """A clock that only tests move, and pauses that end when a test says so."""

    def __init__(self):
        self.now = 1000.0
        self.pauses = []
        self.has_begun = asyncio.Condition()
        self.may_end = asyncio.Event()
        self.may_end.set()

    def time(self):
        return self.now

    async def pause(self, seconds):
        self.pauses.append(seconds)
        async with self.has_begun:
            self.has_begun.notify_all()
        await self.may_end.wait()

    async def have_begun(self, count):
        async with self.has_begun:
            await self.has_begun.wait_for(lambda: len(self.pauses) == count)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(keys_file, clock):
    return ApiKeys(keys_file, clock.time, clock.pause)


async def code(keys, secret, address="192.0.2.1"):
    """Return the code of the rejection of *secret*; None if it is accepted."""
    try:
        await keys.require(secret, address)
    except HttpError as error:
        return error.code
    return None


async def codes(keys, secret, count, address="192.0.2.1"):
    return [await code(keys, secret, address) for _ in range(count)]


class TestWrongKeys:
    def test_eleventh_wrong_key_within_a_minute_waits(self, keys, clock):
        """A second, before its 401; ten typing errors cost nothing."""
        asyncio.run(codes(keys, WRONG, 10))
        assert clock.pauses == []

        assert asyncio.run(code(keys, WRONG)) == "wrong_api_key"
        assert clock.pauses == [1.0]

    def test_right_key_never_waits(self, keys, clock):
        """Nor does a wrong key of another address."""
        asyncio.run(codes(keys, WRONG, 11))
        clock.pauses.clear()

        assert asyncio.run(codes(keys, ANNA, 20)) == [None] * 20
        assert asyncio.run(code(keys, WRONG, "192.0.2.2")) == "wrong_api_key"
        assert clock.pauses == []

    def test_wrong_keys_count_for_a_minute(self, keys, clock):
        """Any minute, not one of the clock."""
        asyncio.run(codes(keys, WRONG, 5))
        clock.now += 30
        asyncio.run(codes(keys, WRONG, 5))
        clock.now += 29.9
        asyncio.run(code(keys, WRONG))
        assert clock.pauses == [1.0]

        clock.now += 30.1
        asyncio.run(codes(keys, WRONG, 9))
        assert clock.pauses == [1.0]
        asyncio.run(code(keys, WRONG))
        assert clock.pauses == [1.0, 1.0]

    def test_missing_key_waits_but_does_not_count(self, keys, clock):
        """Nobody is slowed for opening the page; all 401s of a slowed address wait."""
        assert asyncio.run(codes(keys, None, 50)) == ["api_key_required"] * 50
        asyncio.run(codes(keys, WRONG, 10))
        assert clock.pauses == []

        asyncio.run(code(keys, None))
        assert clock.pauses == [1.0]

    def test_at_most_100_requests_wait(self, keys, clock):
        """Further ones get a 429 at once; a place becomes free when a wait ends."""

        async def run():
            await codes(keys, WRONG, 10)
            clock.may_end.clear()
            waiting = [asyncio.create_task(code(keys, WRONG)) for _ in range(100)]
            await clock.have_begun(100)
            rejected = await code(keys, WRONG), await code(keys, ANNA)
            clock.may_end.set()
            return rejected, set(await asyncio.gather(*waiting)), await code(keys, WRONG)

        assert asyncio.run(run()) == (
            ("too_many_wrong_keys", None),
            {"wrong_api_key"},
            "wrong_api_key",
        )

    def test_number_of_addresses_in_memory_is_limited(self, keys, clock):
        """The first ones are forgotten, and all after a minute."""

        async def run():
            await codes(keys, WRONG, 10)
            for number in range(10_000):
                await code(keys, WRONG, str(number))
            assert len(keys._wrong) == 10_000
            await code(keys, WRONG)
            assert clock.pauses == []
            clock.now += 60
            await code(keys, WRONG)
            assert list(keys._wrong) == ["192.0.2.1"]

        asyncio.run(run())


class TestReload:
    def test_reload_replaces_the_keys(self, keys, keys_file):
        """New keys work, removed ones do not."""
        written(keys_file, f"carla: {WRONG}\n")
        keys.reload()

        assert asyncio.run(code(keys, WRONG)) is None
        assert asyncio.run(code(keys, ANNA)) == "wrong_api_key"

    def test_unusable_file_keeps_the_keys(self, keys, keys_file, caplog):
        """The log has the reason, and no secret."""
        written(keys_file, f"carla {WRONG}\n")
        keys.reload()

        assert asyncio.run(code(keys, ANNA)) is None
        [record] = caplog.records
        assert "line 1" in record.reason
        assert WRONG not in record.reason


class Server:
    """A server with keys, called without a network."""

    def __init__(self, keys, threads):
        self.inventory = Inventory(MemoryRepository())
        site = Site("localhost", 8080)
        self.gateway = LocalGateway(self.inventory, site, Cors(site.origins), threads, keys=keys)

    def send(self, method, path, secret=None, body=None, **headers):
        if secret is not None:
            headers["X-Api-Key"] = secret

        async def run():
            transport = httpx.ASGITransport(self.gateway)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost:8080"
            ) as client:
                return await client.request(method, path, json=body, headers=headers)

        return asyncio.run(run())


@pytest.fixture
def server(keys):
    with ThreadPoolExecutor(1) as threads:
        yield Server(keys, threads)


NEEDS_A_KEY = [
    *((route.method, route.path) for route in ROUTES),
    *(("POST", "/imports"), ("GET", "/imports"), ("HEAD", "/items"), ("PATCH", "/items")),
    *(("GET", "/nothing"), ("GET", "/console/../items"), ("GET", "/health/x")),
]


class TestRequests:
    @pytest.mark.parametrize(("method", "path"), NEEDS_A_KEY)
    def test_api_needs_a_key(self, server, method, path):
        """Paths that do not exist too; the challenge is that of RFC 9110, section 15.5.2."""
        missing = server.send(method, path)
        wrong = server.send(method, path, WRONG)

        assert (missing.status_code, wrong.status_code) == (401, 401)
        assert wrong.headers["WWW-Authenticate"] == 'ApiKey realm="inventory"'
        if method != "HEAD":
            assert missing.json()["code"] == "api_key_required"
            assert wrong.json()["code"] == "wrong_api_key"

    @pytest.mark.parametrize("path", ["/health", *PAGES])
    @pytest.mark.parametrize("secret", [None, WRONG])
    def test_pages_and_health_need_no_key(self, server, path, secret):
        """They show nothing of the stock, and the page asks for the key."""
        assert server.send("GET", path, secret).status_code == 200

    @pytest.mark.parametrize("path", ["/items", "/imports", "/"])
    def test_preflight_needs_no_key(self, server, path):
        """Browsers send it without one; it allows the header."""
        answer = server.send("OPTIONS", path)

        assert answer.status_code == 204
        assert "X-Api-Key" in answer.headers["Access-Control-Allow-Headers"]

    def test_key_is_checked_before_the_body_is_read(self, server):
        """A stranger cannot make the server receive a file."""

        async def body():
            pytest.fail("the body was read")
            yield b""

        async def run():
            transport = httpx.ASGITransport(server.gateway)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost:8080"
            ) as client:
                return [await client.post(path, content=body()) for path in ("/imports", "/items")]

        assert [answer.status_code for answer in asyncio.run(run())] == [401, 401]

    def test_key_does_not_replace_the_other_checks(self, server):
        """Pages of other sites may not write, whatever key they know."""
        answer = server.send("POST", "/items", ANNA, MUG, Origin="https://evil.example")

        assert answer.json()["code"] == "forbidden_origin"

    def test_right_key_is_accepted(self, server):
        """The key is right if all of it is."""
        assert server.send("POST", "/items", ANNA, MUG).status_code == 201
        for secret in (ANNA[:-1], ANNA + "x", ANNA.upper(), f"{ANNA}, {ANNA}", "", "ä"):
            sent = secret.encode("latin-1")
            assert server.send("GET", "/items", sent).json()["code"] == "wrong_api_key"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            *((route.method, route.path) for route in ROUTES if route.method != "GET"),
            ("POST", "/imports"),
        ],
    )
    def test_read_only_key_cannot_write(self, server, method, path):
        """Not even an invalid request."""
        answer = server.send(method, path, VIEWER)

        assert (answer.status_code, answer.json()["code"]) == (403, "read_only_key")
        assert answer.headers["X-Api-Key-Access"] == "read-only"

    def test_read_only_key_can_read(self, server):
        """The header tells the page to hide what writes."""
        read_only = server.send("GET", "/items", VIEWER)
        full = server.send("GET", "/items", ANNA)

        assert read_only.json() == full.json()
        assert read_only.headers["X-Api-Key-Access"] == "read-only"
        assert "X-Api-Key-Access" not in full.headers

    def test_keys_do_not_share_idempotency_keys(self, server):
        """The name of a key is the caller."""
        sent = {"Idempotency-Key": "order-1"}

        ids = [
            server.send("POST", "/items", secret, MUG, **sent).json()["item"]["item_id"]
            for secret in (ANNA, BEN, ANNA)
        ]

        assert ids[0] == ids[2] != ids[1]

    def test_log_names_the_key_and_its_user_and_no_secret(self, server, caplog):
        """A rejected write of a read-only key too."""
        caplog.set_level("DEBUG")
        server.send("POST", "/items", ANNA, MUG)
        server.send("GET", "/items", ANNA, **{"X-Actor": "Müller".encode()})
        server.send("POST", "/items", VIEWER, MUG)
        server.send("GET", "/items", WRONG)

        records = [record for record in caplog.records if record.message == "request"]
        assert [record.actor for record in records] == ["anna", "anna/Müller", "viewer", None]
        assert "secret-0123456789" not in str([vars(record) for record in caplog.records])

    @pytest.mark.parametrize("secret", [ANNA, None])
    def test_invalid_user_is_rejected(self, server, secret):
        """With a key, and on a server without keys."""
        if secret is None:
            server.gateway = evolve(server.gateway, keys=None)

        answer = server.send("GET", "/items", secret, **{"X-Actor": "system:sweeper"})

        assert answer.json()["details"][0]["field"] == "actor"


def run_serve(*options):
    """Run `inventory serve` until it ends by itself."""
    return subprocess.run(
        [INVENTORY, "serve", "--memory", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class TestCommand:
    def test_other_machines_need_keys(self):
        """Otherwise everyone on the network could change the stock."""
        done = run_serve("--host", "0.0.0.0")  # noqa: S104 - it must not start

        assert done.returncode == 2
        assert "--api-keys FILE, or --no-auth" in done.stderr
        assert done.stdout == ""

    @pytest.mark.parametrize("protected", [True, False])
    @needs_signals
    def test_server_for_other_machines_advises_tls(self, tmp_path, keys_file, protected):
        """It starts with keys, or if it is told that it needs none."""
        options = ("--api-keys", keys_file) if protected else ("--no-auth",)
        host = ("--host", "0.0.0.0")  # noqa: S104 - that is tested

        with serving(tmp_path / "log", "--memory", *host, *options) as running:
            status = httpx.get(f"{running.url}/items", trust_env=False).status_code

        assert status == (401 if protected else 200)
        assert "TLS" in running.log.read_text()

    def test_unusable_keys_stop_the_start(self, tmp_path, keys_file):
        """With the reason."""
        keys_file.chmod(0o644)

        assert "chmod 600" in run_serve("--api-keys", keys_file).stderr
        assert "Cannot read" in run_serve("--api-keys", tmp_path / "missing").stderr
        assert run_serve("--api-keys", keys_file, "--no-auth").returncode == 2

    @needs_signals
    def test_sighup_reads_the_keys_again(self, tmp_path, keys_file):
        """Without a pause of the server; the log says so."""
        sent = {"headers": {"X-Api-Key": WRONG}, "trust_env": False}
        with serving(tmp_path / "log", "--memory", "--api-keys", keys_file) as running:
            before = httpx.get(f"{running.url}/items", **sent)
            written(keys_file, f"carla: {WRONG}\n")
            running.process.send_signal(signal.SIGHUP)
            wait_for_line(running.log, "keys reloaded")
            after = httpx.get(f"{running.url}/items", **sent)

        assert (before.status_code, after.status_code) == (401, 200)


def wait_for_line(log, message):
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at:
        for line in log.read_text().splitlines():
            if line.startswith("{") and json.loads(line)["message"] == message:
                return
        time.sleep(0.01)
    pytest.fail(f"not logged: {message}")
