"""The responses of the server if its file or a proxy causes trouble."""

import json
import os
import re
import shutil
import subprocess
import textwrap
import time
from contextlib import contextmanager

import httpx
import pytest

from inventory_adapters.storage.sqlite import SqliteRepository
from tests.local_server import INVENTORY, MUG, created, needs_signals, serving

pytestmark = needs_signals


@pytest.fixture
def db(tmp_path):
    return tmp_path / "stock.db"


@pytest.fixture
def server(tmp_path, db):
    with serving(tmp_path / "log", "--db", str(db)) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


class TestReplacedFile:
    @pytest.mark.parametrize("how", ["mv", "rm"])
    def test_replaced_file_is_noticed_before_a_response(self, server, client, db, tmp_path, how):
        """Reads, writes and /health are 503 without file names, which are in the log; the new file is not changed."""
        item = created(client)
        other = tmp_path / "other.db"
        SqliteRepository(other).close()
        content = other.read_bytes()
        command = ["mv", other, db] if how == "mv" else ["rm", db]
        subprocess.run(command, check=True)

        answers = [
            client.post("/items", json=MUG),
            client.put(f"/items/{item['item_id']}", json={"sku": "MUG-1", "name": "New"}),
            client.get(f"/items/{item['item_id']}"),
            client.get("/items"),
            client.get("/health"),
        ]
        assert server.stop() == 0

        assert {answer.status_code for answer in answers} == {503}
        for answer in answers:
            assert answer.json()["code"] == "storage_unavailable"
            assert answer.headers["Retry-After"]
            assert answer.headers["X-Request-Id"] in server.log.read_text()
            assert str(tmp_path) not in answer.text
            assert "stock.db" not in answer.text
        assert str(db) in server.log.read_text()
        assert db.exists() is (how == "mv")
        if how == "mv":
            assert db.read_bytes() == content
            with serving(tmp_path / "log2", "--db", str(db)) as again:
                listed = httpx.get(f"{again.url}/items", trust_env=False).json()
            assert listed == {"items": [], "count": 0}


def test_read_only_file_is_reported_at_the_start(tmp_path, db):
    """In one sentence, with exit code 3."""
    SqliteRepository(db).close()
    db.chmod(0o444)
    command = [INVENTORY, "serve", "--port", "0", "--db", db]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write to everything, and there is no setpriv to take that away")
        command = ["setpriv", "--bounding-set=-dac_override", *command]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 3
    assert re.fullmatch(r"Error: The database may not be written to[^\n]*\n", done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("option", "value", "status"),
    [
        ("--allowed-host", "inventory", 200),
        ("--allowed-host", "other", 400),
    ],
)
def test_allowed_host_is_an_option(tmp_path, option, value, status):
    """Clients may use the name of a container or proxy."""
    with serving(tmp_path / "log", "--memory", option, value) as server:
        headers = {"Host": "inventory:8080"}
        answer = httpx.get(f"{server.url}/items", headers=headers, trust_env=False)

    assert answer.status_code == status


@pytest.mark.parametrize("value", ["http://inventory", "a b", "", "*", "a/b", "inventory:http"])
def test_invalid_allowed_host_is_rejected(value):
    """When the server starts."""
    command = [INVENTORY, "serve", "--memory", "--port", "0", "--allowed-host", value]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 2
    assert "is not a host" in done.stderr


@contextmanager
def nginx(folder, upstream):
    """A compressing proxy in front of the server; yields its URL."""
    if shutil.which("nginx") is None:
        pytest.skip("there is no nginx on the PATH")
    socket = folder / "nginx.sock"
    config = folder / "nginx.conf"
    config.write_text(
        textwrap.dedent(
            f"""
            daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;
                server {{
                    listen unix:{socket};
                    location / {{ proxy_pass {upstream}; proxy_set_header Host $http_host; }}
                }}
            }}
            """
        )
    )
    command = ["nginx", "-e", "stderr", "-c", str(config), "-p", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            transport = httpx.HTTPTransport(uds=str(socket), retries=5)
            with httpx.Client(transport=transport, base_url="http://localhost") as client:
                yield client
        finally:
            process.terminate()


class TestBehindAProxyThatCompresses:
    def test_weak_tag_of_a_proxy_does_not_match(self, server, tmp_path):
        """Nginx makes tags of compressed responses weak, and If-Match never matches a weak tag (RFC 9110, section 13.1.1)."""
        with nginx(tmp_path, server.url) as client:
            item = created(client)
            path = f"/items/{item['item_id']}"
            read = client.get(path)
            tag = read.headers["ETag"]
            edit = {"sku": "MUG-1", "name": "New"}

            refused = client.put(path, json=edit, headers={"If-Match": tag})
            done = client.put(path, json=edit, headers={"If-Match": tag.removeprefix("W/")})

        assert read.headers["Content-Encoding"] == "gzip"
        assert tag == 'W/"1-0"'
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
        assert done.status_code == 200
        assert done.json()["item"]["version"] == 2

    def test_page_behind_a_proxy_may_write(self, server, tmp_path):
        """The origin of the page has the host that the proxy forwards, with any scheme."""
        with nginx(tmp_path, server.url) as client:
            allowed = client.post("/items", json=MUG, headers={"Origin": "https://localhost"})
            refused = client.post("/items", json=MUG, headers={"Origin": "https://evil.example"})

        assert (allowed.status_code, refused.status_code) == (201, 403)


def test_many_old_records_are_purged_in_several_sweeps(tmp_path, db):
    """Each sweep purges as many as its time allows."""
    with SqliteRepository(db) as repository:
        repository._writer.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
            " INSERT INTO idempotency_records SELECT 'record-' || i, 'f', '{}', '2020-01-01T00:00:00.000000+00:00',"
            " '2020-01-02T00:00:00.000000+00:00' FROM n"
        )

    with serving(tmp_path / "log", "--db", str(db), "--sweep-seconds", "1") as server:
        for _ in range(20):
            answer = httpx.post(f"{server.url}/items", json=MUG, trust_env=False)
            assert answer.status_code == 201
        while '"swept"' not in server.log.read_text():
            assert server.process.poll() is None
            time.sleep(0.05)  # Leaves the processor to the server.

    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"INFO"}
