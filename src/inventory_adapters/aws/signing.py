"""
AWS Signature Version 4 for requests of the JSON services: a POST to ``/`` without a query.

Source: "Create a signed AWS API request" in the IAM user guide.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from attrs import field, frozen

__all__ = ["Credentials", "Signer"]

_ALGORITHM = "AWS4-HMAC-SHA256"


@frozen
class Credentials:
    """The credentials of one call; `repr` omits the secret parts."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Signer:
    """
    Signs the requests of one service in one region.

    Args:
        service: The name of the service, as in ``dynamodb``.
        region: The name of the region, as in ``eu-west-1``.
    """

    def __init__(self, service: str, region: str) -> None:
        self._scope_end = f"/{region}/{service}/aws4_request"
        self._region = region
        self._service = service
        # Four of the five HMACs of a signature are equal all day. One attribute, because threads must not see half of it.
        self._cached = ("", "", b"")

    def authorization(
        self, headers: Mapping[str, str], body: bytes, credentials: Credentials, *, at: str
    ) -> str:
        """
        Return the value of the header ``Authorization``.

        Args:
            headers: The headers to sign: names in lower case and ascending order, values trimmed. They include ``host`` and
                ``x-amz-date``.
            body: The body of the request.
            credentials: The credentials. A session token must be in *headers*, too.
            at: The value of ``x-amz-date``, as in ``20260501T093000Z``.
        """
        names = ";".join(headers)
        lines = "\n".join([f"{name}:{value}" for name, value in headers.items()])
        canonical = f"POST\n/\n\n{lines}\n\n{names}\n{sha256(body).hexdigest()}"
        date = at[:8]
        scope = date + self._scope_end
        text = f"{_ALGORITHM}\n{at}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        key = self._signing_key(credentials.secret_access_key, date)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return (
            f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )

    def _signing_key(self, secret: str, date: str) -> bytes:
        cached_secret, cached_date, key = self._cached
        if (cached_secret, cached_date) != (secret, date):
            key = b"AWS4" + secret.encode()
            for part in (date, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._cached = (secret, date, key)
        return key
