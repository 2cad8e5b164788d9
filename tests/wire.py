"""The transports of tests, and ways to observe and break them."""

from collections import Counter
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import boto3
import pytest
from attrs import evolve
from botocore.config import Config
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client

from inventory_adapters.aws.boto_transport import BotoTransport
from inventory_adapters.aws.http_transport import HttpTransport
from inventory_adapters.aws.transport import Answer, NoAnswerError, ServiceError

TRANSPORTS = ("boto3", "http")


class Wire:
    """
    A transport whose requests and answers a test can observe and replace.

    Attributes:
        before: Called with the operation and the request; may return an answer or raise.
        after: Called with the operation, the request and the answer or `ServiceError`; may raise.
    """

    def __init__(self, transport):
        self.transport = transport
        self.before = []
        self.after = []

    def send(self, service, operation, request, *, seconds):
        for hook in tuple(self.before):
            if (replacement := hook(operation, request)) is not None:
                return replacement
        try:
            answer = self.transport.send(service, operation, request, seconds=seconds)
        except ServiceError as error:
            answer = error
        for hook in tuple(self.after):
            hook(operation, request, answer)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    @contextmanager
    def hooked(self, *, before=None, after=None):
        hooks = [(self.before, before), (self.after, after)]
        for place, hook in hooks:
            if hook is not None:
                place.append(hook)
        try:
            yield
        finally:
            for place, hook in hooks:
                if hook is not None:
                    place.remove(hook)


def require_consistency(operation, request):
    """
    Fail for an eventually consistent read if the port requires a consistent one.

    Only lists by an index and the scan of all items may be eventually consistent.
    """
    match operation:
        case "GetItem":
            reads = [request]
        case "BatchGetItem":
            reads = request["RequestItems"].values()
        case "Query" if "IndexName" not in request:
            reads = [request]
        case "Scan" if request["TableName"].endswith("-ledger"):
            reads = [request]
        case _:
            reads = []
    assert all(read.get("ConsistentRead") is True for read in reads), (operation, request)


@contextmanager
def counted(wire):
    """Yield how often each operation was sent."""
    counts = Counter()

    def count(operation, _request):
        counts[operation] += 1

    with wire.hooked(before=count):
        yield counts


@contextmanager
def lost_answer(wire, meanwhile=lambda: None, operation=None, times=1):
    """Drop the answers of the next requests (of an *operation*), after calling *meanwhile*."""
    lost = []

    def lose(sent, _request, _answer):
        if len(lost) == times or operation not in (None, sent):
            return
        lost.append(sent)
        meanwhile()
        raise NoAnswerError("lost by a test")

    with wire.hooked(after=lose):
        yield lost
    assert lost


@contextmanager
def failing(wire, *answers):
    """Answer the next requests with *answers*, which may be errors, instead of DynamoDB's."""
    left = list(answers)

    def fail(_operation, _request):
        if not left:
            return None
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with wire.hooked(before=fail):
        yield left


def an_answer(body):
    return Answer(body)


def an_error(code, status=400, **parts):
    return ServiceError(code, status=status, **parts)


def cancelled(*codes):
    return an_error("TransactionCanceledException", reasons=codes)


@cache
def shared_client(endpoint=None):
    """Return a shared client, because creating one takes longer than most tests."""
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=True)
    return boto3.client("dynamodb", endpoint_url=endpoint, config=config)


class Patient(HttpTransport):
    """An `HttpTransport` with long time-outs, for an emulator on a busy machine."""

    def send(self, service, operation, request, *, seconds):
        patient = evolve(service, connect_seconds=10, read_seconds=60)
        return super().send(patient, operation, request, seconds=seconds)


@cache
def shared_transport(_endpoint):
    """Return a shared transport, which keeps its connections to the endpoint of the environment."""
    return Patient()


def shared_wire(name, endpoint=None):
    """Return a new wire over a shared transport; `http` reads the *endpoint* from the environment."""
    transport = (
        BotoTransport(shared_client(endpoint)) if name == "boto3" else shared_transport(endpoint)
    )
    wire = Wire(transport)
    # Every test checks the consistency of its reads.
    wire.before.append(require_consistency)
    return wire


class _MotoHandler(BaseHTTPRequestHandler):
    """Passes requests to moto and keeps connections open, which moto's own server does not."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # One packet for each answer.

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = _moto().post(self.path, headers=list(self.headers.items()), data=body)
        self.send_response(answer.status_code)
        for field in answer.headers.items():
            self.send_header(*field)
        self.end_headers()
        self.wfile.write(answer.data)

    def log_message(self, *_):
        pass


@cache
def _moto():
    return Client(DomainDispatcherApplication(create_backend_app))


@pytest.fixture(scope="session")
def moto_server():
    """The URL of a moto server in a thread of this process, for requests over sockets."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _MotoHandler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def forget_all():
    """Empty the accounts of moto in this process."""
    moto_api_backend.reset()
