"""The transport without an SDK: its requests, and its errors for every kind of failure."""

import gzip
import json
import logging
import os
import socket
import ssl
import threading
import time
import traceback

import pytest

from deploy.trust import subject_hash
from inventory_adapters.aws import http_transport
from inventory_adapters.aws.http_transport import HttpTransport
from inventory_adapters.aws.transport import (
    DYNAMODB,
    SSM,
    Answer,
    NoAnswerError,
    NotSentError,
    Service,
    ServiceError,
    Transport,
)
from tests.hostile_server import (
    Authority,
    answer,
    drip,
    error,
    hang_up,
    raw,
    reset,
    send_then_reset,
    serving,
    silence,
)
from tests.signatures import is_signed

REQUEST = {"TableName": "stock", "Key": {"sku": {"S": "Hämmer"}}}
# Time-outs that a test can wait for.
HASTY = Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", 0.3, 0.3)
PAGE = b"<html><body>Sign in to this network</body></html>"
TOKEN = "token/with+signs=="


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


@pytest.fixture
def transport():
    transport = HttpTransport()
    yield transport
    transport.close()


def send(transport, server=None, *, service=HASTY, seconds=2.0, url=None):
    with pytest.MonkeyPatch.context() as environ:
        if server is not None or url is not None:
            environ.setenv("AWS_ENDPOINT_URL", url or server.url)
        return transport.send(service, "GetItem", REQUEST, seconds=seconds)


def test_it_is_a_transport(transport):
    """`isinstance` confirms it."""
    assert isinstance(transport, Transport)


class TestRequests:
    @pytest.mark.parametrize(
        ("service", "target", "content_type"),
        [
            (DYNAMODB, "DynamoDB_20120810.GetItem", "application/x-amz-json-1.0"),
            (SSM, "AmazonSSM.GetItem", "application/x-amz-json-1.1"),
        ],
        ids=["dynamodb", "ssm"],
    )
    def test_a_request_is_signed_json(self, transport, service, target, content_type):
        """One POST with the operation in a header, and no other headers than needed."""
        with serving(answer({"Item": {"sku": {"S": "Hämmer"}}})) as server:
            got = send(transport, server, service=service)

        assert got == Answer({"Item": {"sku": {"S": "Hämmer"}}}, "REQUEST-1")
        [(headers, body)] = server.requests
        assert json.loads(body) == REQUEST
        assert is_signed(headers, body)
        authorization = headers.pop("authorization")
        assert (
            f"/us-east-1/{service.name}/aws4_request, SignedHeaders=content-type;host;x-amz-date;"
            in authorization
        )
        assert headers.pop("x-amz-date")
        assert headers == {
            "": "POST / HTTP/1.1",
            "accept-encoding": "identity",
            "content-length": str(len(body)),
            "content-type": content_type,
            "host": f"127.0.0.1:{server.port}",
            "user-agent": "tap-inventory",
            "x-amz-security-token": TOKEN,
            "x-amz-target": target,
        }

    def test_a_request_that_was_changed_on_its_way_is_noticed(self, transport):
        """The check of signatures in these tests fails for a changed body and for another secret."""
        with serving(answer()) as server:
            send(transport, server)

        [(headers, body)] = server.requests
        assert is_signed(headers, body)
        assert not is_signed(headers, body + b" ")
        assert not is_signed(headers, body, secret="another")
        assert not is_signed(headers | {"x-amz-target": "DynamoDB_20120810.DeleteItem"}, body)
        assert not is_signed(headers | {"x-amz-other": "unsigned"}, body)

    def test_the_trace_of_a_function_goes_along(self, transport, monkeypatch):
        """X-Ray connects the calls of a function by this header."""
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")

        with serving(answer()) as server:
            send(transport, server)

        [(headers, _)] = server.requests
        assert headers["x-amzn-trace-id"].startswith("Root=1-")

    def test_credentials_are_read_in_each_call(self, transport, monkeypatch):
        """The next call uses a renewed token, or none if it was removed."""
        with serving(answer(), answer()) as server:
            send(transport, server)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "RENEWED")
            monkeypatch.delenv("AWS_SESSION_TOKEN")
            send(transport, server)

        [_, (headers, _)] = server.requests
        assert "Credential=RENEWED/" in headers["authorization"]
        assert "x-amz-security-token" not in headers


class TestConnections:
    def test_a_connection_is_kept(self, transport):
        """Ten requests, one connection."""
        with serving(*[answer()] * 10) as server:
            for _ in range(10):
                send(transport, server)

        assert server.connections == 1

    def test_a_connection_closed_while_idle_is_not_used(self, transport):
        """Checking before sending avoids an ambiguous failure."""
        with serving(answer(keep=False), answer()) as server:
            send(transport, server)
            wait_until(lambda: not idle(transport)[0].is_open())

            assert send(transport, server).body == {}

        assert server.connections == 2

    def test_an_answer_nobody_asked_for_is_not_taken(self, transport):
        """Data that arrives on an idle connection belongs to no request."""
        late = threading.Event()

        def twice(connection):
            answer()(connection)
            late.wait()
            return answer({"Item": {"sku": {"S": "other"}}})(connection)

        with serving(twice, answer()) as server:
            send(transport, server)
            late.set()
            wait_until(lambda: not idle(transport)[0].is_open())

            assert send(transport, server).body == {}

    def test_a_connection_closed_just_after_sending_leaves_doubt(self, transport):
        """It cannot be distinguished from a request that was processed."""
        with serving(answer(), hang_up) as server:
            send(transport, server)

            with pytest.raises(NoAnswerError):
                send(transport, server)

    def test_an_answer_that_closes_the_connection_is_read(self, transport):
        """The body after `Connection: close` is read completely."""
        with serving(answer({"Count": 1}, connection="close"), answer()) as server:
            assert send(transport, server).body == {"Count": 1}
            assert idle(transport) == []
            send(transport, server)

        assert server.connections == 2

    def test_a_refusal_keeps_the_connection(self, transport):
        """A failed condition is a complete answer."""
        with serving(error("ConditionalCheckFailedException"), answer()) as server:
            with pytest.raises(ServiceError):
                send(transport, server)
            send(transport, server)

        assert server.connections == 1

    @pytest.mark.parametrize(
        "unread",
        [silence, answer(b"{", length=2), answer(length=1 << 40)],
        ids=["silence", "half", "huge"],
    )
    def test_a_connection_with_an_unread_answer_is_closed(self, transport, unread):
        """Otherwise the next request would get its answer."""
        with serving(unread, answer()) as server:
            with pytest.raises(NoAnswerError):
                send(transport, server)
            assert idle(transport) == []
            send(transport, server)

        assert server.connections == 2

    def test_an_interrupted_request_closes_its_connection(self, transport, monkeypatch):
        """After every kind of error, including Ctrl-C."""

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(http_transport._Wire, "receive_into", interrupt)
        with serving(answer()) as server:
            with pytest.raises(KeyboardInterrupt):
                send(transport, server)

            assert idle(transport) == []
            assert server.closed_by_client.wait(5)

    def test_threads_have_connections_of_their_own(self, transport):
        """Threads reuse connections one after the other."""
        both_there = threading.Barrier(2)

        def answer_together(connection):
            both_there.wait(5)
            return answer()(connection)

        with serving(answer_together, answer_together, answer()) as server:
            send_once = lambda: transport.send(HASTY, "GetItem", REQUEST, seconds=5)  # noqa: E731
            with pytest.MonkeyPatch.context() as environ:
                environ.setenv("AWS_ENDPOINT_URL", server.url)
                threads = [threading.Thread(target=send_once) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                send_once()

        assert server.connections == 2
        assert len(idle(transport)) == 2

    def test_idle_connections_are_few(self, transport, monkeypatch):
        """Further connections are closed."""
        monkeypatch.setattr(http_transport, "_MAX_IDLE_CONNECTIONS", 0)
        with serving(answer()) as server:
            send(transport, server)

            assert server.closed_by_client.wait(5)


NO_ANSWERS = {
    "hung up": hang_up,
    "reset": reset,
    "silence": silence,
    "reset in the head": send_then_reset(b"HTTP/1.1 200 OK\r\nContent-"),
    "reset in the body": send_then_reset(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
    ),
    "half an answer": answer(b'{"Item"', length=20, keep=False),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-Type: applica"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "slow bytes": drip(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000, 0.05),
    "wrong checksum": answer(x_amz_crc32="1"),
    "no checksum at all": answer(x_amz_crc32="none"),
    "too short a length": answer({"Item": {}}, length=4),
    "too long a length": answer({"Item": {}}, length=40),
    "two lengths": answer({"Item": {}}, content_length="12\r\nContent-Length: 2"),
    "a length of words": answer(
        length="many", keep=False, x_amz_crc32=None, content_type="text/plain"
    ),
    "gzip": answer(gzip.compress(b"{}"), content_encoding="gzip"),
    "announced huge": answer(length=10**30),
    "endless": raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * 3000),
    "a chunk too large": raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1000\r\n" + b" " * 4096 + b"\r\n0\r\n\r\n"
    ),
    "half a chunk": raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"
    ),
    "many headers": raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n{}"),
    "a page with 200": answer(PAGE, content_type="text/html"),
    "a page with 503": answer(PAGE, 503, content_type="text/html"),
    "a page that says it is JSON": answer(PAGE),
    "no content type": answer(content_type="", x_amz_crc32=None),
    "a list": answer(b"[]"),
    "a number": answer(b"1"),
    "no UTF-8": answer(b'{"a": "\xff"}'),
    "deeply nested": answer(b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}"),
    "201": answer(status=201),
    "204": answer(b"", 204),
    "a redirect": answer(status=307, location="http://127.0.0.1:1/"),
    "a redirect with a code": answer({"__type": "Moved"}, 302, location="http://127.0.0.1:1/"),
    "an error without a code": answer({"message": "no"}, 400),
    "an error whose code is a number": answer({"__type": 7}, 400),
    "only 100s": drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.001),
}


class TestNoAnswers:
    @pytest.mark.parametrize("behaviour", NO_ANSWERS.values(), ids=NO_ANSWERS)
    def test_what_is_not_an_answer_leaves_doubt(self, transport, behaviour, monkeypatch):
        """The request may have been applied; it is not retried or redirected, and the error has no secret."""
        monkeypatch.setattr(http_transport, "_MAX_ANSWER_BYTES", 2000)
        started = time.monotonic()
        with serving(behaviour, answer()) as server, pytest.raises(NoAnswerError) as caught:
            send(transport, server, seconds=0.6)

        assert time.monotonic() - started < 5
        assert len(server.requests) == 1
        assert_no_secrets(caught.value)

    def test_a_service_that_is_never_quite_silent_ends_without_a_deadline(
        self, transport, monkeypatch
    ):
        """Callers at a terminal have no deadline."""
        monkeypatch.setattr(http_transport, "_MAX_ATTEMPT_SECONDS", 0.3)

        with serving(NO_ANSWERS["slow bytes"]) as server, pytest.raises(NoAnswerError):
            send(transport, server, seconds=float("inf"))

    def test_an_echo_of_the_request_is_not_told(self, transport):
        """A status line may repeat our request."""

        def echo(connection):
            token, authorization = (
                server.requests[0][0][name] for name in ("x-amz-security-token", "authorization")
            )
            connection.sendall(f"{token} {authorization}\r\n\r\n".encode())
            return False

        with serving(echo) as server, pytest.raises(NoAnswerError) as caught:
            send(transport, server)

        assert_no_secrets(caught.value)


class TestAnswers:
    def test_chunks_are_an_answer(self, transport):
        """HTTP/1.1 allows an answer without a length."""
        chunked = raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            keep=True,
        )
        with serving(chunked, answer()) as server:
            assert send(transport, server) == Answer({}, None)
            send(transport, server)

        assert server.connections == 1

    def test_a_slow_answer_within_the_time_is_an_answer(self, transport):
        """Time-outs limit each read, the deadline limits the whole attempt."""
        slow = drip(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            0.005,
        )

        with serving(slow) as server:
            assert send(transport, server, seconds=10).body == {}

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            ({"__type": "com.amazonaws.dynamodb.v20120810#TheCode", "message": "Why"}, {}),
            ({"__type": "TheCode", "Message": "Why"}, {}),
            ({"__type": "ns#TheCode:http://internal.amazon.com/coral/ns/", "message": "Why"}, {}),
            ({"code": "TheCode", "message": "Why"}, {}),
            ({"message": "Why"}, {"x_amzn_errortype": "TheCode:http://internal.amazon.com/"}),
        ],
    )
    def test_an_error_has_its_code_and_its_sentence(self, transport, body, headers):
        """In every format that the service uses."""
        with serving(answer(body, 400, **headers)) as server, pytest.raises(ServiceError) as caught:
            send(transport, server)

        refused = caught.value
        assert (refused.code, refused.message, refused.status) == ("TheCode", "Why", 400)
        assert refused.request_id == "REQUEST-1"
        assert not refused.follows_lost_answer
        assert "REQUEST-1" in str(refused)

    def test_a_canceled_transaction_has_its_reasons(self, transport):
        """One for each action, including those without an error."""
        reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Message": "no"}]
        canceled = error("TransactionCanceledException", CancellationReasons=reasons)

        with serving(canceled) as server, pytest.raises(ServiceError) as caught:
            send(transport, server)

        assert caught.value.reasons == ("None", "ConditionalCheckFailed")

    def test_a_failed_condition_has_its_row(self, transport):
        """If the write requested it."""
        row = {"sku": {"S": "HAMMER"}}
        failed = error("ConditionalCheckFailedException", Item=row)

        with serving(failed) as server, pytest.raises(ServiceError) as caught:
            send(transport, server)

        assert caught.value.item == row

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ExpiredTokenException", 400),
            ("InvalidSignatureException", 400),
            ("RequestTimeTooSkewed", 403),
            ("InternalServerError", 500),
            ("ServiceUnavailable", 503),
        ],
    )
    def test_errors_of_the_service_keep_code_and_status(self, transport, code, status):
        """Those about credentials, clocks, and itself."""
        with serving(error(code, status)) as server, pytest.raises(ServiceError) as caught:
            send(transport, server)

        assert (caught.value.code, caught.value.status) == (code, status)

    def test_an_error_that_has_the_token_in_it_is_told_without(self, transport):
        """For a wrong signature, the service's message contains the canonical request."""
        message = (
            "Signature expired. The Canonical String for this request should have been "
            f"'POST\n/\n\nx-amz-security-token:{TOKEN}'"
        )
        refusals = [
            error("InvalidSignatureException", message=it) for it in (message, f"Bad {TOKEN}")
        ]

        with serving(*refusals) as server:
            for _ in refusals:
                with pytest.raises(ServiceError) as caught:
                    send(transport, server)
                assert_no_secrets(caught.value)
        assert caught.value.message == "Bad ..."


@pytest.fixture(scope="module")
def authority():
    return Authority()


class TestTls:
    @pytest.fixture
    def trusted(self, authority, tmp_path, monkeypatch):
        bundle = tmp_path / "authority.pem"
        bundle.write_bytes(authority.pem)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))

    def test_a_trusted_server_is_asked(self, transport, authority, trusted, tmp_path):
        """AWS_CA_BUNDLE names the trusted roots; the connection is reused."""
        with serving(
            answer(), answer(), tls=authority.server_context(tmp_path, "localhost")
        ) as server:
            for _ in range(2):
                assert send(transport, url=f"https://localhost:{server.port}").body == {}

        assert server.connections == 1

    def test_a_folder_of_certificates_is_read_as_such(
        self, transport, authority, tmp_path, monkeypatch
    ):
        """A folder in the format of openssl rehash, like the one in our bundle."""
        folder = tmp_path / "trust"
        folder.mkdir()
        name = subject_hash(ssl.PEM_cert_to_DER_cert(authority.pem.decode()))
        (folder / f"{name:08x}.0").write_bytes(authority.pem)
        monkeypatch.setattr(http_transport, "_TRUST_FOLDER", str(folder))

        with serving(answer(), tls=authority.server_context(tmp_path, "localhost")) as server:
            assert send(transport, url=f"https://localhost:{server.port}").body == {}

    def test_a_server_of_another_name_is_not_asked(self, transport, authority, trusted, tmp_path):
        """A certificate is valid for one host, and a retry cannot help."""
        with (
            serving(tls=authority.server_context(tmp_path, "elsewhere.example")) as server,
            pytest.raises(NotSentError, match="Invalid certificate of localhost: Host") as caught,
        ):
            send(transport, url=f"https://localhost:{server.port}")

        assert not caught.value.retryable
        assert server.requests == []

    def test_a_server_of_an_unknown_authority_is_not_asked(self, transport, authority, tmp_path):
        """A self-signed certificate is rejected, too."""
        with (
            serving(tls=authority.server_context(tmp_path, "localhost")) as server,
            pytest.raises(NotSentError, match="Invalid certificate of localhost") as caught,
        ):
            send(transport, url=f"https://localhost:{server.port}")

        assert not caught.value.retryable
        assert server.requests == []

    def test_a_handshake_that_never_ends_is_given_up(self, transport):
        """Nothing was sent, so it can be tried again."""
        with serving(greet=silence) as server, pytest.raises(NotSentError) as caught:
            send(transport, url=f"https://localhost:{server.port}")

        assert caught.value.retryable

    def test_a_handshake_with_something_else_is_an_error(self, transport):
        """A plain server on the port of a TLS one."""
        with (
            serving(greet=raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server,
            pytest.raises(NotSentError),
        ):
            send(transport, url=f"https://localhost:{server.port}")

    def test_certificates_that_cannot_be_read_are_named(self, transport, monkeypatch, tmp_path):
        """The message names the setting."""
        (tmp_path / "empty.pem").write_text("nothing")
        for place in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
            monkeypatch.setenv("AWS_CA_BUNDLE", str(place))

            with pytest.raises(NotSentError, match="AWS_CA_BUNDLE") as caught:
                send(transport, url="https://localhost:1")

            assert not caught.value.retryable


class TestNotSent:
    def test_a_refused_connection_can_be_tried_again(self, transport):
        """No process listens on the port."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}"

        with pytest.raises(NotSentError) as caught:
            send(transport, url=url)

        assert caught.value.retryable

    def test_a_name_without_an_address_can_be_tried_again(self, transport, monkeypatch):
        """Failures of name servers are temporary."""

        def fail(*_, **__):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr("socket.getaddrinfo", fail)

        with pytest.raises(NotSentError, match="name resolution") as caught:
            send(transport, url="http://dynamodb.example")

        assert caught.value.retryable

    def test_all_addresses_of_a_name_share_the_time_for_connecting(self, transport, monkeypatch):
        """Eight addresses that do not answer take no longer than one."""
        waits = []

        class Unreachable(socket.socket):
            def connect(self, _address):
                waits.append(self.gettimeout())
                time.sleep(self.gettimeout() * 0.6)
                raise TimeoutError("timed out")

        monkeypatch.setattr("socket.socket", Unreachable)
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.1", 80))
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [entry] * 3)

        with pytest.raises(NotSentError):
            send(transport, url="http://dynamodb.example")

        assert waits[0] <= HASTY.connect_seconds
        assert sum(waits) < 2 * HASTY.connect_seconds

    def test_a_second_address_is_tried(self, transport, monkeypatch):
        """The name localhost often has an address of each kind."""
        with serving(answer()) as server:
            entries = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
                for port in (1, server.port)
            ]
            monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: entries)

            assert send(transport, url="http://dynamodb.example").body == {}

    def test_without_time_nothing_is_sent(self, transport):
        """No attempt starts after the deadline."""
        with serving() as server, pytest.raises(NotSentError):
            send(transport, server, seconds=0)

        assert server.connections == 0


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "host"),
        [
            ({}, "https://dynamodb.us-east-1.amazonaws.com:443"),
            ({"AWS_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn:443"),
            ({"AWS_REGION": "eusc-de-east-1"}, "https://dynamodb.eusc-de-east-1.amazonaws.eu:443"),
            ({"AWS_REGION": "us-gov-west-1"}, "https://dynamodb.us-gov-west-1.amazonaws.com:443"),
            (
                {"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-1"},
                "https://dynamodb.eu-west-1.amazonaws.com:443",
            ),
            ({"AWS_ENDPOINT_URL": "http://localhost:8000"}, "http://localhost:8000"),
            ({"AWS_ENDPOINT_URL": "http://[::1]:8000/"}, "http://[::1]:8000"),
            ({"AWS_ENDPOINT_URL": "http://Example.COM"}, "http://example.com:80"),
            (
                {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://b:2"},
                "http://b:2",
            ),
            (
                {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_SSM": "http://b:2"},
                "http://a:1",
            ),
            (
                {"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
                "https://dynamodb.us-east-1.amazonaws.com:443",
            ),
            ({"AWS_REGION": "us-iso-east-1", "AWS_ENDPOINT_URL": "http://a:1"}, "http://a:1"),
            ({"AWS_USE_FIPS_ENDPOINT": "false"}, "https://dynamodb.us-east-1.amazonaws.com:443"),
            ({"http_proxy": "http://proxy:1"}, "https://dynamodb.us-east-1.amazonaws.com:443"),
            (
                {"https_proxy": "http://proxy:1", "no_proxy": "a.example, .amazonaws.com"},
                "https://dynamodb.us-east-1.amazonaws.com:443",
            ),
            (
                {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"},
                "https://dynamodb.us-east-1.amazonaws.com:443",
            ),
        ],
    )
    def test_the_endpoint_follows_from_the_environment(self, monkeypatch, settings, host):
        """The endpoint of the partition, or the configured one."""
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

        url = http_transport._endpoint_url(DYNAMODB)

        scheme = "https" if url.is_tls else "http"
        name = f"[{url.host}]" if ":" in url.host else url.host
        assert f"{scheme}://{name}:{url.port}" == host

    @pytest.mark.parametrize(
        ("url", "header"),
        [
            ("http://a:8000", "a:8000"),
            ("http://a:80", "a"),
            ("https://a:443", "a"),
            ("https://a:80", "a:80"),
            ("http://[::1]:8000", "[::1]:8000"),
        ],
    )
    def test_the_host_is_signed_as_it_is_sent(self, url, header):
        """The host header has a port unless it is the default."""
        assert http_transport._Url(url, "us-east-1").host_header == header

    @pytest.mark.parametrize(
        "settings",
        [
            {"AWS_ACCESS_KEY_ID": ""},
            {"AWS_SECRET_ACCESS_KEY": ""},
            {"AWS_USE_FIPS_ENDPOINT": "true"},
            {"AWS_USE_DUALSTACK_ENDPOINT": "True"},
            {"AWS_REGION": "us-iso-east-1"},
            {"AWS_REGION": "us-isob-east-1"},
            {"AWS_REGION": "eu-isoe-west-1"},
            {"https_proxy": "http://proxy:3128"},
            {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.com,onaws.com"},
            {"http_proxy": "http://proxy:3128", "AWS_ENDPOINT_URL": "http://a:1"},
            {"AWS_ENDPOINT_URL": "http://a:1/path"},
            {"AWS_ENDPOINT_URL": "http://user:password@a:1"},
            {"AWS_ENDPOINT_URL": "http://a:1/?query"},
            {"AWS_ENDPOINT_URL": "ftp://a:1"},
            {"AWS_ENDPOINT_URL": "localhost:8000"},
        ],
        ids=str,
    )
    def test_what_it_does_not_do_is_refused(self, transport, monkeypatch, settings):
        """The message names the alternative."""
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

        with pytest.raises(NotSentError, match="use transport=boto3") as caught:
            send(transport)

        assert not caught.value.retryable
        assert "password" not in str(caught.value)

    @pytest.mark.parametrize(
        "settings",
        [
            {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""},
            {"AWS_REGION": "us-east-1.evil.example/"},
            {"AWS_ENDPOINT_URL": "http://[::1"},
            {"AWS_ENDPOINT_URL": "http://a:99999"},
        ],
        ids=str,
    )
    def test_a_wrong_setting_is_said_to_be_one(self, transport, monkeypatch, settings):
        """The call fails, and the message names the variable or its purpose."""
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

        with pytest.raises(NotSentError, match="AWS") as caught:
            send(transport)

        assert not caught.value.retryable

    def test_a_setting_that_was_corrected_counts(self, transport, monkeypatch):
        """A transport reads a corrected setting in the next call."""
        monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
        with serving(answer()) as server:
            with pytest.raises(NotSentError):
                send(transport, server)
            monkeypatch.delenv("AWS_USE_FIPS_ENDPOINT")

            assert send(transport, server).body == {}

    @pytest.mark.parametrize(
        "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    )
    @pytest.mark.parametrize("bad", ["\n", "\r\nX-Evil: 1", " ", "\t", "ä", "\x7f"], ids=repr)
    def test_credentials_that_cannot_be_sent_are_not_told(
        self, transport, monkeypatch, name, bad, caplog
    ):
        """http.client's own message contains them."""
        monkeypatch.setenv(name, f"secret-{bad}-secret")
        caplog.set_level(logging.DEBUG)

        with serving() as server, pytest.raises(NotSentError, match=name) as caught:
            send(transport, server)

        assert not caught.value.retryable
        assert "secret-" not in "".join(traceback.format_exception(caught.value)) + caplog.text

    def test_nothing_is_read_or_opened_by_making_one(self, monkeypatch):
        """A function without a setting starts, and the first call fails."""
        for name in list(os.environ):
            if name.startswith("AWS_"):
                monkeypatch.delenv(name)

        HttpTransport()


def idle(transport):
    [endpoint] = transport._endpoints.values()
    return endpoint._idle


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to pass")


def assert_no_secrets(error):
    told = "".join(traceback.format_exception(error))
    assert TOKEN not in told
    assert "AWS4-HMAC-SHA256" not in told
