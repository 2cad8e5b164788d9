"""Signatures, against AWS's published examples and botocore's signer."""

from datetime import datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from inventory_adapters.aws.signing import Credentials, Signer

# Source: "Signature Version 4 test suite" of AWS, for a POST to / without a query.
AT = "20150830T123600Z"
EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST_AND_DATE = {"host": "example.amazonaws.com", "x-amz-date": AT}
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeo"
    "IYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5V"
    "SXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yj"
    "c8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
PUBLISHED = {
    "post-vanilla": (
        HOST_AND_DATE,
        b"",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-header-key-sort": (
        {"host": "example.amazonaws.com", "my-header1": "value1", "x-amz-date": AT},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        {"host": "example.amazonaws.com", "my-header1": "VALUE1", "x-amz-date": AT},
        b"",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-sts-header-before": (
        {**HOST_AND_DATE, "x-amz-security-token": TOKEN},
        b"",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-x-www-form-urlencoded": (
        {"content-type": "application/x-www-form-urlencoded", **HOST_AND_DATE},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}

visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=300)
names = st.from_regex(r"[a-z]{1,12}(-[a-z0-9]{1,8}){0,3}", fullmatch=True)


@pytest.mark.parametrize(("headers", "body", "signature"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_requests_have_the_published_signature(headers, body, signature):
    """The signer agrees with AWS's published examples."""
    signer = Signer("service", "us-east-1")

    value = signer.authorization(headers, body, EXAMPLE, at=AT)

    assert value == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={';'.join(headers)}, Signature={signature}"
    )


@given(
    body=st.binary(max_size=2000),
    key_id=st.from_regex(r"[A-Z0-9]{1,40}", fullmatch=True),
    secret=visible,
    token=st.none() | visible,
    at=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - as st wants it
    host=names,
    port=st.none() | st.integers(1, 65535).filter(lambda port: port not in {80, 443}),
    region=names,
    service=st.sampled_from(["dynamodb", "ssm"]),
)
def test_any_request_is_signed_as_botocore_signs_it(  # noqa: PLR0917 - a request has that many parts
    body, key_id, secret, token, at, host, port, region, service
):
    """For all bodies, credentials, dates, hosts and regions."""
    date = at.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": host if port is None else f"{host}:{port}",
        "x-amz-date": date,
        **({} if token is None else {"x-amz-security-token": token}),
        "x-amz-target": "DynamoDB_20120810.GetItem",
    }
    request = AWSRequest("POST", f"https://{headers['host']}/", headers=headers, data=body)
    request.context["timestamp"] = date
    theirs = auth.SigV4Auth(BotoCredentials(key_id, secret, token), service, region)
    canonical = theirs.canonical_request(request)
    text = theirs.string_to_sign(request, canonical)
    expected = theirs.signature(text, request)

    value = Signer(service, region).authorization(
        headers, body, Credentials(key_id, secret, token), at=date
    )

    assert value.rpartition("=")[2] == expected
    assert f"SignedHeaders={theirs.signed_headers(theirs.headers_to_sign(request))}" in value
    assert f"Credential={theirs.scope(request)}" in value


def test_a_key_is_derived_anew_for_new_credentials_and_on_a_new_day():
    """The derived key is kept between calls, but never used for another secret or date."""
    used, other = Signer("dynamodb", "us-east-1"), EXAMPLE.__class__("AKIDEXAMPLE", "rotated")
    calls = [(EXAMPLE, AT), (other, AT), (other, "20150831T000000Z"), (EXAMPLE, AT)]

    kept = [used.authorization(HOST_AND_DATE, b"", it, at=at) for it, at in calls]

    fresh = [
        Signer("dynamodb", "us-east-1").authorization(HOST_AND_DATE, b"", it, at=at)
        for it, at in calls
    ]
    assert kept == fresh


def test_secrets_are_in_no_representation():
    """A log line with credentials contains no secret."""
    assert "secret" not in repr(Credentials("id", "secret", "token secret"))
