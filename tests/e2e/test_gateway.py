"""API keys and CORS in the gateway."""

import pytest

from deploy.api import GATEWAY_RESPONSES
from inventory_adapters.http.api_gateway import ALLOWED_HEADERS, EXPOSED_HEADERS
from inventory_adapters.http.routes import ROUTES
from tests.e2e.conftest import ORIGINS

pytestmark = pytest.mark.e2e

OTHER_ORIGIN = "https://elsewhere.example.com"


@pytest.fixture
def client(deployed):
    with deployed.http() as http_client:
        yield http_client


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("key", [None, "", "guessed"], ids=["missing", "empty", "wrong"])
def test_prod_rejects_requests_without_a_valid_api_key(deployments, route, key):
    """On every route, the gateway responds without invoking a function."""
    [expected] = [response for response in GATEWAY_RESPONSES if response.kind == "INVALID_API_KEY"]
    path = route.path.format(**dict.fromkeys(route.path_fields, "any"))

    with deployments["prod"].http() as client:
        del client.headers["X-Api-Key"]
        headers = {} if key is None else {"X-Api-Key": key}
        response = client.request(route.method, path, headers=headers)

    assert response.status_code == 403
    assert response.json() == expected.body


def test_dev_is_open(deployments):
    """There is no API key, and none is required."""
    assert deployments["dev"].api_key is None


@pytest.mark.parametrize("path", ["/items", "/nothing"], ids=["handler", "gateway"])
@pytest.mark.parametrize("origin", [*ORIGINS, OTHER_ORIGIN])
def test_responses_can_be_read_by_allowed_origins(client, env, origin, path):
    """All origins are allowed in dev, two in prod; this applies to handlers and gateway."""
    response = client.get(path, headers={"Origin": origin})

    allowed = response.headers.get("Access-Control-Allow-Origin")
    assert response.headers["Access-Control-Expose-Headers"] == ", ".join(EXPOSED_HEADERS)
    if env == "dev":
        assert allowed == "*"
    else:
        assert response.headers["Vary"] == "Origin"
        # The gateway's own responses allow every origin, and contain no data: see docs/deploy.md.
        is_allowed = origin in ORIGINS or path == "/nothing"
        assert allowed == (origin if is_allowed else None)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_preflight_needs_no_api_key(client, env, route):
    """The response allows the methods and headers of the API."""
    path = route.path.format(**dict.fromkeys(route.path_fields, "any"))
    client.headers.pop("X-Api-Key", None)

    # The emulator always returns the first origin, because it does not run the mapping template.
    response = client.options(
        path, headers={"Origin": ORIGINS[0], "Access-Control-Request-Method": route.method}
    )

    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == ("*" if env == "dev" else ORIGINS[0])
    assert route.method in response.headers["Access-Control-Allow-Methods"].split(",")
    assert response.headers["Access-Control-Allow-Headers"].split(",") == list(ALLOWED_HEADERS)
    assert response.headers["Access-Control-Max-Age"] == "300"
