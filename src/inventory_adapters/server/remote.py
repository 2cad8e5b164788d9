"""The page on a deployed API: requests of the local server, sent on to the API with the key of this server."""

from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes, urlencode

from attrs import frozen

from inventory.errors import StorageUnavailableError
from inventory.idempotency import IdempotencyKey
from inventory.service import Inventory
from inventory_adapters.client import InventoryClient
from inventory_adapters.client.wire import PreparedRequest, WireResponse, path_segment
from inventory_adapters.http.api_gateway import EXPOSED_HEADERS
from inventory_adapters.http.app import answer, error_response
from inventory_adapters.http.messages import Request, Response
from inventory_adapters.http.routes import HEADER_FIELDS, ROUTES, Route

__all__ = ["RemoteApi"]


@frozen
class RemoteApi:
    """
    Answers requests by an API elsewhere, as `answer` does by an inventory.

    A request is sent on with its path, query and body, and no headers but those that a command has. Its API key, its
    cookies and its other headers stay here.

    Args:
        client: The client of the API.
    """

    client: InventoryClient

    def handle(self, route: Route[Any, Any], request: Request) -> Response:
        """Return the response of the API to *request*. Never raises."""
        if route not in ROUTES:
            # A route of the local server alone, such as /health.
            return answer(cast("Inventory", self.client), route, request)
        try:
            response = self.client.acting_as(request.actor).send(_to_send(route, request))
            _check_usable(response)
        except StorageUnavailableError as error:
            return error_response(error, request_id=request.request_id)
        # Without its Content-Type: a page from the API must not become a page of this server.
        headers = {
            name: response.headers[name] for name in EXPOSED_HEADERS if name in response.headers
        }
        body = response.content.decode("utf-8", "replace")
        return Response(status=response.status, body=body, headers=headers)


def _to_send(route: Route[Any, Any], request: Request) -> PreparedRequest:
    path = route.path.format_map(
        {name: path_segment(unquote_to_bytes(part)) for name, part in request.path_fields.items()}
    )
    headers = {
        "Accept": "application/json",
        **{name: request.headers[name] for name in HEADER_FIELDS if name in request.headers},
    }
    if route.has_body:
        headers["Content-Type"] = "application/json"
    if request.caller:
        # The API sees one caller, this server. The idempotency keys of its callers must still differ.
        with suppress(KeyError, ValueError):
            key = IdempotencyKey(headers["idempotency-key"], scope=request.caller)
            headers["idempotency-key"] = key.record_id
    return PreparedRequest(
        route=route,
        path=f"{path}?{urlencode(request.query)}" if request.query else path,
        headers=headers,
        body=request.body,
        is_repeatable=False,
    )


def _check_usable(response: WireResponse) -> None:
    """
    Check that a response is about the request, and not about this server or its URL.

    Raises:
        StorageUnavailableError: The API rejects the key of this server, or is elsewhere.
    """
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST
    if is_redirect or response.status == HTTPStatus.UNAUTHORIZED:
        reason = "The URL redirects elsewhere" if is_redirect else "The API rejects the API key"
        raise StorageUnavailableError(f"{reason}: check --url and --api-key")
