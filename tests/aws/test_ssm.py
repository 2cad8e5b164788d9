import json
import logging
from concurrent.futures import ThreadPoolExecutor
from math import inf
from threading import Barrier

import boto3
import pytest

from inventory.paging import PageLimits
from inventory_adapters.aws import ssm
from inventory_adapters.aws.boto_transport import BotoTransport
from inventory_adapters.aws.ssm import SsmLimits
from inventory_adapters.aws.transport import (
    SSM,
    Answer,
    NoAnswerError,
    NotSentError,
    ServiceError,
)
from tests.wire import forget_all, shared_transport

NAME = "/inventory/dev/config"
GOOD = {"max_items_per_page": 80, "default_page_size": 10}


class FakeSsm:
    """Returns a text or raises an error, and counts the calls."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    def send(self, service, operation, request, *, seconds):
        assert (service, operation, request) == (SSM, "GetParameter", {"Name": NAME})
        assert seconds == inf
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer({"Parameter": {"Value": self.answer}})


class FakeClock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def fake():
    return FakeSsm(json.dumps(GOOD))


@pytest.fixture
def limits(fake, clock):
    return SsmLimits(NAME, transport=fake, clock=clock)


def warnings(caplog):
    return [it for it in caplog.records if (it.name, it.levelno) == (ssm.__name__, logging.WARNING)]


@pytest.mark.parametrize("transport", [shared_transport, lambda _: BotoTransport(boto3.Session())])
def test_limits_come_from_the_parameter(moto_server, monkeypatch, transport):
    """As stored in Parameter Store, over both transports."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    client = boto3.client("ssm")
    client.put_parameter(Name=NAME, Type="String", Value=json.dumps(GOOD))

    limits = SsmLimits(NAME, transport=transport(moto_server))()

    forget_all()
    assert limits == PageLimits(max_items_per_page=80, default_page_size=10)


def test_nothing_is_sent_before_limits_are_asked_for(fake, limits):
    """Most functions never need them."""
    assert fake.asked == 0

    limits()
    limits()

    assert fake.asked == 1


def test_limits_are_kept_for_a_while(fake, limits, clock):
    """One request in 300 seconds; a changed parameter is seen after that."""
    limits()
    fake.answer = json.dumps({"max_items_per_page": 5, "default_page_size": 5})

    clock.seconds += 299
    assert limits().max_items_per_page == 80
    clock.seconds += 1
    assert limits().max_items_per_page == 5

    assert fake.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        OSError("away"),
        "not JSON",
        "[]",
        "null",
        json.dumps(GOOD | {"default_page_size": True}),
        json.dumps(GOOD | {"default_page_size": 10.0}),
        json.dumps(GOOD | {"default_page_size": "10"}),
        json.dumps(GOOD | {"default_page_size": 0}),
        json.dumps(GOOD | {"default_page_size": 81}),
        json.dumps(GOOD | {"max_items_per_page": 101}),
        json.dumps(GOOD | {"max_items_per_page": None}),
    ],
)
def test_what_cannot_be_limits_leaves_the_defaults(fake, limits, caplog, answer):
    """Requests succeed, and the log has the reason."""
    fake.answer = answer

    assert limits() == PageLimits()

    [record] = warnings(caplog)
    assert NAME in record.getMessage()


def test_a_missing_field_has_its_default(fake, limits):
    """A parameter may omit values."""
    fake.answer = json.dumps({"default_page_size": 7, "note": "ignored"})

    assert limits() == PageLimits(default_page_size=7)


def test_the_last_good_limits_outlive_a_failure(fake, limits, clock):
    """Stale limits remain in use."""
    limits()
    fake.answer = OSError("away")
    clock.seconds += 300

    assert limits().max_items_per_page == 80


def test_a_failure_is_kept_for_a_shorter_while(fake, limits, clock):
    """The next attempt waits, but for less than five minutes."""
    fake.answer = OSError("away")

    limits()
    clock.seconds += 29
    limits()
    assert fake.asked == 1
    clock.seconds += 1
    fake.answer = json.dumps(GOOD)
    assert limits().max_items_per_page == 80

    assert fake.asked == 2


def test_a_row_of_failures_is_one_warning(fake, limits, clock, caplog):
    """The next series of failures is logged again."""
    good, bad = json.dumps(GOOD), OSError("away")
    for answer in (bad, bad, good, bad, bad):
        fake.answer = answer
        limits()
        clock.seconds += 300

    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize(
    "failure",
    [
        NotSentError("AWS_REGION is not set", retryable=False),
        NoAnswerError("silence"),
        ServiceError("ParameterNotFound"),
    ],
    ids=str,
)
def test_a_call_that_fails_is_a_failure_like_any(fake, limits, failure):
    """One attempt; without a region, an answer or a parameter, the defaults are used."""
    fake.answer = failure

    assert limits() == PageLimits()
    assert fake.asked == 1


def test_many_threads_ask_once(fake, limits):
    """Concurrent requests wait for the limits that are being read."""
    start = Barrier(8)

    def ask(_):
        start.wait()
        return limits().max_items_per_page

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [80] * 8

    assert fake.asked == 1
