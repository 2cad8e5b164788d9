"""Request and response, independent of API Gateway and of the local server."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import field, frozen

from inventory_adapters.wire import to_json

__all__ = ["Request", "Response", "combine_headers"]

_COMMON_HEADERS: Final = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@frozen(kw_only=True)
class Request:
    """
    A request to a route.

    Attributes:
        path_fields: Values of the fields in the path, still percent-encoded.
        query: Query parameters, decoded; the last value of a repeated one.
        headers: By lower-case name.
        body: The body as text; as bytes if it is not UTF-8; None if there is none.
        request_id: Identifies the request in logs and responses.
        caller: The caller as the gateway authenticated it. Idempotency keys belong to one caller.
        actor: Who acts, for the ledger and the log; None if unknown.
    """

    path_fields: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    body: str | bytes | None = None
    request_id: str = ""
    caller: str = ""
    actor: str | None = None


@frozen(kw_only=True)
class Response:
    """
    A response to a request.

    Attributes:
        status: The HTTP status.
        body: An object, which is sent as JSON, or text.
        headers: The headers of this response; `all_headers` adds those that every response has.
        code: The error code; None for a success.
    """

    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(factory=dict)
    code: str | None = None

    @property
    def etag(self) -> str | None:
        """The state of the item in the response; None if it does not show one."""
        return self.headers.get("ETag")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body if isinstance(self.body, str) else to_json(self.body)

    def all_headers(self, request_id: str, cors: Mapping[str, str]) -> dict[str, str]:
        """Return every header that is sent; those of this response replace the common ones."""
        return {**_COMMON_HEADERS, "X-Request-Id": request_id, **cors, **self.headers}


def combine_headers(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """
    Return headers by lower-case name; the values of repeated lines are joined by commas (RFC 9110, section 5.3).

    A header that has one value, such as Idempotency-Key, becomes invalid when it is repeated, and is rejected as such.
    """
    headers: dict[str, str] = {}
    for name, value in lines:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers
