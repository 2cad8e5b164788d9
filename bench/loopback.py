"""
A stand-in for DynamoDB: a server with fixed answers on kept-alive sockets.

    python -m bench.loopback [CERTIFICATE]

It is a process of its own, so that the CPU of a client includes the request, the socket and the answer, but not the server.
"""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final
from zlib import crc32

from bench import sdk

__all__ = ["loopback", "tls_loopback"]

ROOT: Final = Path(__file__).resolve().parent.parent


def _http(body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 17 Mar 2026 16:45:12 GMT\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(content)}\r\n"
        "Connection: keep-alive\r\nx-amzn-RequestId: BENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBE\r\n"
        f"x-amz-crc32: {crc32(content)}\r\n\r\n"
    )
    return head.encode() + content


def _serve(connection: socket.socket) -> None:
    # Header lines are compared in lower case.
    answers = {operation.lower().encode(): _http(body) for operation, body in sdk.answers()}
    buffered = b""
    while True:
        while b"\r\n\r\n" not in buffered:
            received = connection.recv(65536)
            if not received:
                connection.close()
                return
            buffered += received
        head, _, buffered = buffered.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(buffered) < int(fields[b"content-length"]):
            buffered += connection.recv(65536)
        buffered = buffered[int(fields[b"content-length"]) :]
        operation = fields[b"x-amz-target"].rpartition(b".")[2]
        connection.sendall(answers[operation])


def main() -> None:
    """Serve until the standard input ends; print the port first."""
    context = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        Thread(target=_accept, args=(listener, context), daemon=True).start()
        sys.stdin.read()


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=_handshake, args=(connection, context), daemon=True).start()


def _handshake(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    _serve(connection if context is None else context.wrap_socket(connection, server_side=True))


@contextmanager
def loopback(*certificate: str) -> Iterator[dict[str, str]]:
    """Run a server and yield the environment variables of its clients."""
    command = [sys.executable, "-m", "bench.loopback", *certificate]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None  # noqa: S101 - for the type checker
        assert server.stdout is not None  # noqa: S101 - as above
        try:
            port = server.stdout.readline().strip()
            scheme = "https" if certificate else "http"
            yield {**sdk.ENVIRONMENT, "AWS_ENDPOINT_URL": f"{scheme}://localhost:{port}"}
        finally:
            server.stdin.close()


@contextmanager
def tls_loopback() -> Iterator[dict[str, str]]:
    """Run a server over TLS whose root is added to the folder that a function trusts."""
    from deploy.trust import subject_hash, trust_folder  # noqa: PLC0415 - certifi may not be installed

    with TemporaryDirectory(prefix="bench-tls-") as scratch:
        chain, trust = Path(scratch, "server.pem"), Path(scratch, "trust")
        trust.mkdir()
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-nodes", "-days", "1", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost", "-addext", "keyUsage=critical,keyCertSign,digitalSignature"),
                *("-keyout", str(chain), "-out", str(trust / "root.pem")),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        pem = (trust / "root.pem").read_text(encoding="ascii")
        chain.write_text(chain.read_text(encoding="ascii") + pem, encoding="ascii")
        name = f"{subject_hash(ssl.PEM_cert_to_DER_cert(pem)):08x}.0"
        (trust / "root.pem").rename(trust / name)
        for file, content in trust_folder().items():
            (trust / file).write_bytes(content)
        with loopback(str(chain)) as environment:
            yield {**environment, "AWS_CA_BUNDLE": str(trust)}


if __name__ == "__main__":
    main()
