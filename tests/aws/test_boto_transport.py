"""The transport through boto3: the same errors, with a session or with the user's client."""

import traceback
from functools import cache

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ParamValidationError

from inventory_adapters.aws.boto_transport import BotoTransport
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
from tests.aws.test_http_transport import HASTY, NO_ANSWERS, PAGE, TOKEN
from tests.hostile_server import Authority, answer, error, hang_up, serving, silence

REQUEST = {"TableName": "stock", "Key": {"sku": {"S": "HAMMER"}}}
# boto3 looks at no checksum; it has no deadline for a call; and bounds no answer.
UNSEEN = {
    "wrong checksum",
    "no checksum at all",
    "slow bytes",
    "announced huge",
    "endless",
    "a chunk too large",
    "deeply nested",
    "201",
    "204",
    "only 100s",
    "two lengths",
}
SEEN = {name: behaviour for name, behaviour in NO_ANSWERS.items() if name not in UNSEEN}


def send(source, server=None, *, service=HASTY, operation="GetItem", request=REQUEST):
    with pytest.MonkeyPatch.context() as environ:
        if server is not None:
            environ.setenv("AWS_ENDPOINT_URL", server.url)
        if callable(source):
            source = source()
        transport = source if isinstance(source, BotoTransport) else BotoTransport(source)
        return transport.send(service, operation, request, seconds=2)


@cache
def shared_session():
    """Share a session, because reading the model of a service takes longer than most tests."""
    return boto3.Session()


def a_client(total_max_attempts, **settings):
    retries = {"mode": "standard", "total_max_attempts": total_max_attempts}
    config = Config(retries=retries, connect_timeout=0.3, read_timeout=0.3, **settings)
    return lambda: boto3.client("dynamodb", config=config)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def test_it_is_a_transport():
    """`isinstance` confirms it."""
    assert isinstance(BotoTransport(boto3.Session()), Transport)


@pytest.mark.parametrize("source", [boto3.Session, a_client(1), a_client(3)])
def test_an_answer_is_what_the_service_said(source):
    """Without what boto3 adds to it."""
    with serving(answer({"Item": {"sku": {"S": "HAMMER"}}})) as server:
        got = send(source, server)

    assert got == Answer({"Item": {"sku": {"S": "HAMMER"}}}, "REQUEST-1")
    [(headers, _)] = server.requests
    assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"


def test_a_session_serves_any_service():
    """Each service has its own client."""
    transport = BotoTransport(boto3.Session())

    with serving(answer({"Parameter": {"Value": "1"}}), answer(), answer()) as server:
        got = send(transport, server, service=SSM, operation="GetParameter", request={"Name": "/a"})
        send(transport, server)
        send(transport, server)

    assert got.body == {"Parameter": {"Value": "1"}}
    assert transport._clients.keys() == {"ssm", "dynamodb"}


def test_a_client_of_a_session_has_our_settings():
    """One attempt and time-outs that a function can afford; boto3's own settings otherwise."""
    transport = BotoTransport(boto3.Session())

    with serving(answer()) as server:
        send(transport, server, service=DYNAMODB)

    config = transport._clients["dynamodb"].meta.config
    assert (config.connect_timeout, config.read_timeout) == (0.5, 1)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    [(headers, _)] = server.requests
    assert "Botocore" in headers["user-agent"]
    assert headers["user-agent"].endswith("tap-inventory")


def test_a_client_keeps_its_settings():
    """It belongs to the user."""
    client = boto3.client("dynamodb", config=Config(user_agent="theirs", read_timeout=7))

    transport = BotoTransport(client)

    assert transport._clients == {"dynamodb": client}


def test_a_client_is_for_its_service():
    """Another one would need another client."""
    with pytest.raises(ValueError, match="not one for ssm"):
        send(a_client(1), service=SSM, operation="GetParameter", request={"Name": "/a"})


def test_anything_else_is_refused():
    """By name."""
    with pytest.raises(TypeError, match=": str"):
        BotoTransport("dynamodb")


@pytest.mark.parametrize("behaviour", SEEN.values(), ids=SEEN)
def test_what_is_not_an_answer_leaves_doubt(behaviour):
    """Like the other transport: HTML is not an empty answer, and redirects are not followed."""
    with serving(behaviour, answer()) as server, pytest.raises(NoAnswerError) as caught:
        send(shared_session, server)

    assert len(server.requests) == 1
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("status", [200, 400, 403, 503])
def test_a_page_is_never_an_answer(status):
    """Independent of its status, and also with a client that retries."""
    page = answer(PAGE, status, content_type="text/html")

    for source in (a_client(1), a_client(2)):
        with serving(page, page) as server, pytest.raises(NoAnswerError):
            send(source, server)


def test_an_empty_answer_is_one():
    """The row does not exist."""
    with serving(answer(b"{}")) as server:
        assert send(boto3.Session, server).body == {}


def test_a_refusal_has_its_parts():
    """Code, message, status, reasons, row and request ID."""
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    row = {"sku": {"S": "HAMMER"}}
    canceled = error("TransactionCanceledException", message="Why", CancellationReasons=reasons)
    failed = error("ConditionalCheckFailedException", Item=row)

    with serving(canceled, failed) as server:
        transport = BotoTransport(boto3.Session())
        with pytest.raises(ServiceError) as first:
            send(transport, server, operation="TransactWriteItems", request={"TransactItems": []})
        with pytest.raises(ServiceError) as second:
            send(
                transport, server, operation="PutItem", request={"TableName": "stock", "Item": row}
            )

    refused = first.value
    assert (refused.code, refused.message) == ("TransactionCanceledException", "Why")
    assert refused.reasons == ("None", "ConditionalCheckFailed")
    assert (refused.status, refused.request_id) == (400, "REQUEST-1")
    assert (second.value.item, second.value.reasons) == (row, ())


@pytest.mark.parametrize("lost", [hang_up, silence, error("InternalServerError", 500)])
def test_a_refusal_after_a_retry_says_that_it_is_one(lost):
    """A condition of the second attempt may fail on the effect of the first."""
    failed = error("ConditionalCheckFailedException")

    with serving(lost, failed) as server, pytest.raises(ServiceError) as after_retry:
        send(a_client(2), server)
    with serving(failed) as server, pytest.raises(ServiceError) as at_once:
        send(a_client(2), server)

    assert after_retry.value.follows_lost_answer
    assert not at_once.value.follows_lost_answer


@pytest.mark.parametrize(("attempts", "expected"), [(1, NotSentError), (2, NoAnswerError)])
def test_only_a_single_attempt_is_known_not_to_be_sent(attempts, expected):
    """With more attempts, an earlier one may have been sent."""
    with serving() as server:
        url = server.url

    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_ENDPOINT_URL", url)
        client = a_client(attempts)()

    with pytest.raises(expected) as caught:
        send(client)
    assert getattr(caught.value, "retryable", True)


def test_a_certificate_that_is_not_trusted_is_a_setting(tmp_path):
    """Another attempt would get the same certificate."""
    context = Authority().server_context(tmp_path, "localhost")

    with serving(tls=context) as server, pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_ENDPOINT_URL", f"https://localhost:{server.port}")
        with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED") as caught:
            send(boto3.Session)

    assert not caught.value.retryable


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
def test_a_missing_setting_is_said_to_be_one(monkeypatch, missing):
    """The error is raised by a call, not by the constructor."""
    monkeypatch.delenv(missing)

    with pytest.raises(NotSentError) as caught:
        send(boto3.Session)

    assert not caught.value.retryable


def test_a_token_that_cannot_be_sent_is_not_told(monkeypatch):
    """boto3's own message contains it."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret-\n-secret")

    with serving() as server, pytest.raises((NoAnswerError, NotSentError)) as caught:
        send(boto3.Session, server)

    assert "secret-" not in "".join(traceback.format_exception(caught.value))


def test_a_mistake_of_ours_is_not_put_down_to_the_service():
    """A client with validation finds it."""
    with pytest.raises(ParamValidationError):
        send(a_client(1), request={"TableName": "stock"})


def test_services_have_the_time_outs_that_their_callers_can_afford():
    """A list does not wait a second for its default page size."""
    assert (DYNAMODB.connect_seconds, DYNAMODB.read_seconds) == (0.5, 1)
    assert (SSM.connect_seconds, SSM.read_seconds) == (0.5, 0.5)
    assert isinstance(SSM, Service)
