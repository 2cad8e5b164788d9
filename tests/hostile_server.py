"""A server that sends scripted answers over TCP or TLS, and records requests."""

import json
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zlib import crc32

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

JSON = "application/x-amz-json-1.0"


class HostileServer:
    """
    Serves connections until it is closed.

    Args:
        answers: A function for each request, in order: it gets the connection and returns whether to keep it open.
        tls: The TLS context; None for plain TCP.
        greet: Called with each new connection before the first read; returns whether to serve it.
    """

    def __init__(self, *answers, tls=None, greet=lambda _connection: True):
        self.answers = list(answers)
        self.requests = []
        self.connections = 0
        self._tls = tls
        self._greet = greet
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.closed_by_client = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        try:
            if not self._greet(connection):
                return
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while (request := read_request(connection)) is not None:
                self.requests.append(request)
                if not self.answers.pop(0)(connection):
                    break
            else:
                self.closed_by_client.set()
        except OSError:
            self.closed_by_client.set()  # Or the client rejected the certificate.
        finally:
            connection.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._open:
            connection.close()


@contextmanager
def serving(*answers, **options):
    server = HostileServer(*answers, **options)
    try:
        yield server
    finally:
        server.close()


def read_request(connection):
    """Return headers (with lower-case names) and body of the next request; None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    headers = {"": start}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return headers, body


def answer(body=b"{}", status=200, *, keep=True, content_type=JSON, length=None, **headers):
    """Return a well-formed answer; *headers* replace the default ones, as in ``x_amz_crc32="1"``."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {
        "Content-Type": content_type,
        "Content-Length": len(content) if length is None else length,
        "x-amz-crc32": crc32(content),
        "x-amzn-RequestId": "REQUEST-1",
    }
    for name, value in headers.items():
        given = {key: old for key, old in given.items() if key.lower() != name.replace("_", "-")}
        if value is not None:
            given[name.replace("_", "-")] = value
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{key}: {value}" for key, value in given.items())]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + content, keep=keep)


def error(code, status=400, message="", **more):
    return answer(
        {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}, status
    )


def raw(data, *, keep=False):
    def send(connection):
        connection.sendall(data)
        return keep

    return send


def reset(connection):
    """Close the connection with a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False


def send_then_reset(data):
    def send(connection):
        connection.sendall(data)
        time.sleep(0.05)  # Otherwise the reset discards the data.
        return reset(connection)

    return send


def hang_up(_connection):
    return False


def silence(connection):
    connection.settimeout(10)
    connection.recv(1)
    return False


def drip(data, pause):
    """Send single bytes with pauses, until the client disconnects."""

    def send(connection):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause)
        return False

    return send


class Authority:
    """A certificate authority for tests, with the key usage that newer versions of OpenSSL require."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        usage = dict.fromkeys(
            [
                *("digital_signature", "content_commitment", "key_encipherment"),
                *("data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
            ],
            False,
        )
        self.certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, folder, host):
        """Return a context for a server with a certificate for *host*."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        chain = folder / "server.pem"
        chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _builder(self, subject, key):
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
