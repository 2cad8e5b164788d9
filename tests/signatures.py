"""Verification of signatures, with botocore's signer."""

import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


def is_signed(headers, body, *, secret="testing"):  # noqa: S107 - as every credential here
    """
    Return whether the signature of a request equals botocore's.

    Args:
        headers: The received headers, with names in lower case.
        body: The received bytes.
        secret: The secret access key.
    """
    claim = _AUTHORIZATION.fullmatch(headers["authorization"])
    if claim is None:
        return False
    signed = {name: headers[name] for name in claim["names"].split(";")}
    # AWS requires these headers to be signed.
    required = {name for name in headers if name == "host" or name.startswith("x-amz-")}
    if not required <= signed.keys() or claim["date"] != headers["x-amz-date"][:8]:
        return False
    request = AWSRequest("POST", f"http://{headers['host']}/", headers=signed, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    token = headers.get("x-amz-security-token")
    signer = SigV4Auth(Credentials(claim["id"], secret, token), claim["service"], claim["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return signer.signature(text, request) == claim["signature"]
