"""Limits of the local server on size, time and number of requests, and the protocols that they ask for."""

import contextlib
import json
import re
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from itertools import count
from math import inf
from pathlib import Path

import httpx
import pytest

from inventory_adapters.server.http_protocol import ArrivalLimits, max_connections
from tests.local_server import INVENTORY, MUG, needs_signals, serving

pytestmark = needs_signals

BODY = json.dumps(MUG).encode()
# In a process of its own, because a server listens to signals in the main thread.
SMALL_LIMITS = textwrap.dedent(
    """
    import sys
    from inventory import Inventory
    from inventory_adapters import logs
    from inventory_adapters.server import gateway
    from inventory_adapters.server.http_protocol import ArrivalLimits
    from inventory_adapters.storage.memory import MemoryRepository

    logs.to_stderr()
    gateway.serve(
        Inventory(MemoryRepository()),
        gateway.listen("127.0.0.1", 0),
        "127.0.0.1",
        limits=ArrivalLimits(connections=4, seconds=0.5),
        on_ready=lambda site: print(site.url, "ready", flush=True) or print(flush=True),
    )
    """
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server") / "log", "--memory") as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server with four connections and half a second for each request."""
    log = tmp_path_factory.mktemp("hasty") / "log"
    with serving(log, program=[sys.executable, "-c", SMALL_LIMITS]) as running:
        yield running


LENGTH = len(BODY)


def head(target=b"/items", *lines, method=b"POST", length=LENGTH, host=b"localhost"):
    lines = [b"Host: " + host, b"Content-Length: %d" % length, *lines]
    return b"%s %s HTTP/1.1\r\n" % (method, target) + b"\r\n".join([*lines, b"", b""])


def exchange(server, *parts, pause=0.0, responses=1):
    """Send *parts*, and return the responses."""
    with server.connect() as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except ConnectionError:
                break
            time.sleep(pause)
        return received(connection, responses)


def received(connection, responses=1, pause=0.05):
    """Return the data up to the end of the connection, or to a pause after a number of complete responses."""
    connection.settimeout(10)
    data = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := connection.recv(65536):
            data += part
            if complete_responses(data) >= responses:
                connection.settimeout(pause)
    return data


def complete_responses(data):
    """Return how many complete responses *data* has."""
    number = 0
    while head := re.match(rb"(?s).*?\r\n\r\n", data):
        length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head[0])
        end = head.end() + (int(length[1]) if length else 0)
        if end > len(data):
            break
        number, data = number + 1, data[end:]
    return number


def statuses(answers):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answers)]


class TestUpgrade:
    """RFC 9110, section 7.8: a server may ignore an upgrade."""

    H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")

    @pytest.mark.parametrize("pause", [0, 0.05])
    def test_post_that_offers_http2_is_applied(self, server, pause):
        """In one packet or in several."""
        request = head(b"/items", *self.H2C)

        answers = [
            exchange(server, request + BODY, pause=pause),
            exchange(server, request, BODY, pause=pause),
            exchange(server, request[:50], request[50:], BODY[:5], BODY[5:], pause=pause),
        ]

        assert [statuses(answer) for answer in answers] == [[201]] * 3

    def test_chunked_body_is_read(self, server):
        """An offer of HTTP/2 does not change how the body is parsed."""
        lines = [b"POST /items HTTP/1.1", b"Host: localhost", b"Transfer-Encoding: chunked"]
        request = b"\r\n".join([*lines, *self.H2C, b"", b""])

        answer = exchange(server, request + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))

        assert statuses(answer) == [201]

    def test_next_request_on_the_connection_is_read(self, server):
        """The body is not parsed as a request, and the connection stays open."""
        hidden = b"DELETE /items/x?sku=MUG-1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        first = head(b"/items", *self.H2C, length=len(hidden)) + hidden

        answers = exchange(server, first + head(b"/items", *self.H2C) + BODY, responses=2)

        assert statuses(answers) == [400, 201]
        assert b"malformed_body" in answers

    @pytest.mark.parametrize("protocol", [b"websocket", b"h2c, websocket", b"TLS/1.2"])
    def test_other_protocols_are_ignored(self, server, protocol):
        """Whatever the name of the protocol."""
        lines = b"Connection: upgrade", b"upgrade: " + protocol

        assert statuses(exchange(server, head(b"/items", *lines) + BODY)) == [201]

    def test_upgrade_is_not_logged(self, server):
        """The request is logged like any other."""
        exchange(server, head(b"/items", *self.H2C) + BODY)

        assert "upgrade" not in server.log.read_text().lower()

    def test_curl_with_http2(self, server):
        """The request of `curl --http2`."""
        if shutil.which("curl") is None:
            pytest.skip("there is no curl on the PATH")

        command = ["curl", "-s", "-w", "%{http_code}", "--http2", "-d", BODY, f"{server.url}/items"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=20)

        assert done.stdout.endswith(b"201")

    def test_http_client_of_java(self, server, tmp_path):
        """It offers HTTP/2 by default."""
        if shutil.which("java") is None:
            pytest.skip("there is no java on the PATH")
        program = tmp_path / "Post.java"
        program.write_text(
            textwrap.dedent(
                """
                import java.net.URI;
                import java.net.http.*;

                public class Post {
                    public static void main(String[] args) throws Exception {
                        HttpClient client = HttpClient.newHttpClient();
                        HttpRequest request = HttpRequest.newBuilder(URI.create(args[0]))
                            .POST(HttpRequest.BodyPublishers.ofString(args[1])).build();
                        for (int i = 0; i < 2; i++) {
                            System.out.println(
                                client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
                        }
                    }
                }
                """
            )
        )

        done = subprocess.run(
            ["java", str(program), f"{server.url}/items", BODY.decode()],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

        if "compiler" in done.stderr.lower() or "jdk.compiler" in done.stderr:
            pytest.skip("java has no compiler")
        assert done.stdout.split() == ["201", "201"], done.stderr


class TestTarget:
    """RFC 9112, section 3.2.2: the authority of an absolute target replaces the Host header."""

    @pytest.mark.parametrize(
        ("target", "host", "status"),
        [
            (b"http://localhost/health", b"localhost", 200),
            (b"http://localhost/health?_x=1", b"evil.example", 200),
            (b"HTTP://LOCALHOST:8080/health", b"localhost", 200),
            (b"http://[::1]:80/health", b"localhost", 200),
            (b"http://evil.example/health", b"localhost", 400),
            (b"https://evil.example:443/health", b"localhost", 400),
            (b"http://localhost.evil.example/health", b"localhost", 400),
            (b"http://localhost", b"localhost", 200),
            (b"//evil.example/health", b"localhost", 404),
        ],
    )
    def test_host_is_the_authority_of_the_target(self, server, target, host, status):
        """Another host in the target or the header is rejected."""
        answer = exchange(server, head(target, method=b"GET", host=host, length=0))

        assert statuses(answer) == [status]
        assert (b"bad_host" in answer) is (status == 400)

    def test_two_host_headers_are_rejected(self, server):
        """RFC 9112, section 3.2."""
        for target in (b"/health", b"http://localhost/health"):
            answer = exchange(server, head(target, b"Host: localhost", method=b"GET", length=0))

            assert b"bad_host" in answer

    @pytest.mark.parametrize("target", [b"localhost:80", b"/items", b"x"])
    def test_connect_is_rejected(self, server, target):
        """The server is not a proxy."""
        answer = exchange(server, b"CONNECT %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)

        assert statuses(answer) == [400]


class TestMalformedRequests:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"this is not HTTP\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost localhost\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
            b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ],
        ids=["words", "version", "header", "length", "connect", "tls"],
    )
    def test_malformed_request_gets_an_error_response(self, server, request_bytes):
        """The response has the envelope and headers of every error, and the connection is closed."""
        answer = exchange(server, request_bytes)

        fields, _, body = answer.partition(b"\r\n\r\n")
        assert statuses(answer) == [400]
        assert json.loads(body)["code"] == "malformed_request"
        assert b"content-type: application/json" in fields.lower()
        assert b"x-request-id: " in fields.lower()
        assert b"connection: close" in fields.lower()
        assert "malformed_request" in server.log.read_text()

    def test_malformed_request_after_a_valid_one_is_rejected(self, server):
        """The response to the first request is sent before that."""
        valid = head(b"/health", method=b"GET", length=0)

        with server.connect() as connection:
            connection.sendall(valid)
            first = received(connection)
            connection.sendall(b"nonsense\r\n\r\n")
            second = received(connection)

        assert (statuses(first), statuses(second)) == ([200], [400])

    def test_data_after_a_malformed_request_is_discarded(self, server):
        """No further response is sent, however much data follows."""
        valid = head(b"/health", method=b"GET", length=0)

        answers = exchange(server, b"nonsense\r\n\r\n" + valid * 2000, valid)

        assert statuses(answers) == [400]


class TestSize:
    LIMIT = 1 << 16

    def a_head(self, size):
        shortest = head(b"/health", b"X-Filler: ", method=b"GET", length=0)
        filler = b"X-Filler: " + b"x" * (size - len(shortest))
        whole = head(b"/health", filler, method=b"GET", length=0)
        assert len(whole) == size
        return whole

    def test_head_of_maximum_size_is_read(self, server):
        """In one packet or in several."""
        whole = self.a_head(self.LIMIT)

        assert statuses(exchange(server, whole)) == [200]
        assert statuses(
            exchange(server, *(whole[i : i + 9999] for i in range(0, len(whole), 9999)))
        ) == [200]

    @pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT, 20 * LIMIT])
    def test_larger_head_is_rejected(self, server, size):
        """The response has the error envelope, and the connection is closed."""
        answer = exchange(server, self.a_head(size))

        assert statuses(answer) == [431]
        fields, _, body = answer.partition(b"\r\n\r\n")
        assert json.loads(body)["code"] == "head_too_large"
        assert b"connection: close" in fields.lower()
        assert b"x-request-id: " in fields.lower()

    @pytest.mark.parametrize(
        "beginning",
        [
            b"GET /",
            b"GET / HTTP/1.1\r\nX: ",
            b"\r\n",
            # Behind a body: a trailer, and what may stand behind the length of a chunk.
            b"POST /items HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
            b"POST /items HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
            b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /",
        ],
        ids=["target", "header", "line ends", "trailer", "chunk extension", "second request"],
    )
    def test_endless_data_is_not_kept_in_memory(self, server, beginning):
        """The server closes the connection long before 300 MB, and its memory does not grow."""
        filler = (b"\r\n" if beginning == b"\r\n" else b"x") * (1 << 20)
        before = memory(server)
        sent = 0

        with server.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(beginning)
            while sent < 300 * len(filler):
                connection.sendall(filler)
                sent += len(filler)

        assert memory(server) - before < 30 << 20

    def test_limit_on_heads_does_not_apply_to_bodies(self, server):
        """A body of a megabyte is read, and so is the next request."""
        body = json.dumps({**MUG, "description": "x" * 4000}).encode().ljust(1 << 20)

        answers = exchange(server, (head(length=len(body)) + body) * 2, responses=2)

        assert statuses(answers) == [201, 201]


def memory(server):
    """Return the peak memory of the server, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


class TestTime:
    @pytest.mark.parametrize(
        "sent",
        [
            b"",
            b"G",
            b"\r\n",
            b"GET /health HTTP/1.1\r\nHost: localhost\r\n",
            head() + BODY[:5],
            head(b"/items", *TestUpgrade.H2C) + BODY[:5],
            b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /",
        ],
        ids=["silent", "letter", "line end", "head", "body", "upgrade", "second request"],
    )
    def test_incomplete_request_times_out(self, hasty, sent):
        """A silent connection, or a request that stops at any point, is closed."""
        with hasty.connect() as connection:
            connection.sendall(sent)
            answers = received(connection, responses=inf)
            # At its end, not at that of our patience.
            assert connection.recv(1) == b""

        assert statuses(answers) == ([200] if b"\r\n\r\nGET" in sent else [])

    def test_slow_request_times_out(self, hasty):
        """The limit applies to the whole request, not to the pauses in it."""
        with hasty.connect() as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\n")
            for sent in count():
                try:
                    connection.sendall(b"X: y\r\n")
                except ConnectionError:
                    break
                assert sent < 200
                time.sleep(0.05)

    def test_idle_connection_stays_open(self, hasty):
        """Longer than the limit on a request."""
        with hasty.connect() as connection:
            for _ in range(2):
                connection.sendall(head() + BODY)
                assert statuses(received(connection, pause=0.8)) == [201]

    def test_default_limit_is_30_seconds(self):
        """Enough for a megabyte on a slow connection."""
        assert ArrivalLimits(connections=1).seconds == 30

    @pytest.mark.parametrize(("path", "expected"), [(b"/imports", [200]), (b"/items", [])])
    def test_file_may_take_longer_than_other_bodies(self, hasty, path, expected):
        """The limit applies to each pause."""
        file = b"sku,name,category\nMUG-1,Mug,kitchen\n"
        with hasty.connect() as connection, contextlib.suppress(OSError):
            connection.sendall(
                b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                % (path, len(file))
            )
            for start in range(0, len(file), 4):
                time.sleep(0.1)
                connection.sendall(file[start : start + 4])
            assert statuses(received(connection)) == expected
            return
        assert expected == []

    def test_expect_100_continue_is_supported(self, server):
        """The server asks for the body, then reads it."""
        with server.connect() as connection:
            connection.sendall(head(b"/items", b"Expect: 100-continue"))
            assert statuses(received(connection)) == [100]
            connection.sendall(BODY)
            assert statuses(received(connection)) == [201]


class TestNumber:
    def test_connections_beyond_the_limit_are_rejected_and_logged(self, hasty):
        """They get a 503, and open connections are not affected."""
        time.sleep(0.1)
        with contextlib.ExitStack() as connections:
            there = [connections.enter_context(hasty.connect()) for _ in range(4)]
            there[0].sendall(head(b"/health", method=b"GET", length=0))
            assert statuses(received(there[0])) == [200]

            answer = exchange(hasty)

        assert statuses(answer) == [503]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_many_connections"
        assert "too_many_connections" in hasty.log.read_text()

    def test_limit_on_connections_is_below_the_limit_on_files(self):
        """The database and the event loop need files too."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

        assert 0 < max_connections() < soft

    @pytest.mark.parametrize("files", [64, 200])
    def test_server_survives_more_clients_than_files(self, tmp_path, files):
        """It rejects them, and serves again when they are gone."""
        program = [
            "bash",
            "-c",
            f'ulimit -n {files}; exec "$0" "$@"',
            str(INVENTORY),
            "serve",
            "--port",
            "0",
        ]
        db = tmp_path / "db"
        with serving(tmp_path / "log", "--db", str(db), program=program) as server:
            with contextlib.ExitStack() as connections:
                for _ in range(2 * files):
                    last = connections.enter_context(server.connect())
                assert statuses(received(last)) == [503]
            answer = httpx.post(f"{server.url}/items", json=MUG, trust_env=False)

        assert answer.status_code == 201
        assert "too_many_connections" in server.log.read_text()
