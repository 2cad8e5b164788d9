"""What stands before the functions: who may call, and which pages may read the answers."""

import pytest

from deploy.api import GATEWAY_ANSWERS
from inventory_adapters.http.api_gateway import ALLOWED_HEADERS, EXPOSED_HEADERS
from inventory_adapters.http.routes import ROUTES
from tests.e2e.conftest import ORIGINS

pytestmark = pytest.mark.e2e

STRANGER = "https://elsewhere.example.com"


@pytest.fixture
def client(deployed):
    with deployed.http() as made:
        yield made


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("key", [None, "", "guessed"], ids=["missing", "empty", "wrong"])
def test_prod_turns_away_who_has_no_api_key(deployments, route, key):
    """On every route, before a function is asked, in an answer that says why."""
    [answer] = [it for it in GATEWAY_ANSWERS if it.kind == "INVALID_API_KEY"]
    path = route.path.format(**dict.fromkeys(route.path_fields, "any"))

    with deployments["prod"].http() as client:
        del client.headers["X-Api-Key"]
        headers = {} if key is None else {"X-Api-Key": key}
        refused = client.request(route.method, path, headers=headers)

    assert refused.status_code == 403
    assert refused.json() == answer.body


def test_dev_is_open(deployments):
    """There is no key to be had, and none is asked for."""
    assert deployments["dev"].api_key is None


@pytest.mark.parametrize("path", ["/items", "/nothing"], ids=["handler", "gateway"])
@pytest.mark.parametrize("origin", [*ORIGINS, STRANGER])
def test_answers_can_be_read_by_the_pages_that_may(client, env, origin, path):
    """Whoever made the answer: every page in dev, those that were named in prod."""
    answer = client.get(path, headers={"Origin": origin})

    told = answer.headers.get("Access-Control-Allow-Origin")
    assert answer.headers["Access-Control-Expose-Headers"] == ", ".join(EXPOSED_HEADERS)
    if env == "dev":
        assert told == "*"
    else:
        assert answer.headers["Vary"] == "Origin"
        # The gateway's own answers cannot choose, and hold nothing of ours: see docs/deploy.md.
        may = origin in ORIGINS or path == "/nothing"
        assert told == (origin if may else None)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_page_may_ask_before_it_asks(client, env, route):
    """A browser's preflight needs no key, and is answered with all that our requests carry."""
    path = route.path.format(**dict.fromkeys(route.path_fields, "any"))
    client.headers.pop("X-Api-Key", None)

    # The first of the origins: the emulator does not run the script that puts another one in its place.
    answer = client.options(
        path, headers={"Origin": ORIGINS[0], "Access-Control-Request-Method": route.method}
    )

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ("*" if env == "dev" else ORIGINS[0])
    assert route.method in answer.headers["Access-Control-Allow-Methods"].split(",")
    assert answer.headers["Access-Control-Allow-Headers"].split(",") == list(ALLOWED_HEADERS)
    assert answer.headers["Access-Control-Max-Age"] == "300"
