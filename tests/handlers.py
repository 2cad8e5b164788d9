"""The API in this process: a client whose requests reach the Lambda handlers without a socket."""

from base64 import b64encode
from urllib.parse import parse_qsl

import httpx

from inventory_adapters.client import InventoryClient
from inventory_adapters.http.api_gateway import App, make_handler, to_result
from inventory_adapters.http.app import error_response
from inventory_adapters.http.errors import HttpError
from inventory_adapters.http.routes import ROUTES, find_route

URL = "http://inventory.test/prod"


class HandlerTransport(httpx.BaseTransport):
    """
    Answers like API Gateway and the functions, except for injected failures.

    Args:
        inventory: The inventory of the handlers.
        before: For each attempt, an exception or a response in place of the handler's, or None.
        after: The same, but after the handler has run.
    """

    def __init__(self, inventory, *, before=(), after=()):
        self.handlers = {
            route.name: make_handler(route, lambda: App(inventory)) for route in ROUTES
        }
        self.before = list(before)
        self.after = list(after)
        self.seen = []

    def handle_request(self, request):
        self.seen.append(request)
        if (instead := _next(self.before)) is None:
            answer = self._answer(request)
            instead = _next(self.after) or answer
        return instead

    def _answer(self, request):
        result = self._result(request)
        return httpx.Response(
            result["statusCode"], headers=result["headers"], content=result["body"].encode()
        )

    def _result(self, request):
        route, path_fields, methods, query = routed(request)
        if route is None:
            code = "method_not_allowed" if methods else "route_not_found"
            return to_result(error_response(HttpError(code, "No route"), request_id="r"), "r", {})
        event = {
            "pathParameters": path_fields or None,
            "queryStringParameters": query or None,
            "headers": dict(request.headers),
            "body": b64encode(request.read()).decode(),
            "isBase64Encoded": True,
        }
        return self.handlers[route.name](event, None)


def routed(request):
    """Return the route of a request, its path fields, the methods of its path, and its query."""
    path, _, query = request.url.raw_path.decode().removeprefix("/prod").partition("?")
    return (*find_route(request.method, path), dict(parse_qsl(query, keep_blank_values=True)))


def _next(failures):
    failure = failures.pop(0) if failures else None
    if isinstance(failure, Exception):
        raise failure
    return failure


def connected(inventory, **settings):
    """Return a client of *inventory* through the handlers."""
    return client_of(HandlerTransport(inventory), **settings)


def client_of(transport, **settings):
    """Return a client over *transport*, which does not wait between attempts by default."""
    settings.setdefault("pause", lambda _: None)
    return InventoryClient(URL, http_client=httpx.Client(transport=transport), **settings)
