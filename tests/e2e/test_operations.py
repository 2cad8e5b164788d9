"""Comparison of the deployed API with the local server."""

import json

import pytest

from deploy.api import GATEWAY_RESPONSES
from tests.e2e.scenario import OPERATIONS, SCENARIO

pytestmark = pytest.mark.e2e

GATEWAY = {response.kind: json.dumps(response.body) for response in GATEWAY_RESPONSES}


@pytest.fixture(params=SCENARIO, ids=str)
def step(request):
    return request.param


@pytest.fixture
def responses(results, env, step):
    return results[env].responses[step]


def test_response_is_that_of_the_local_server(step, responses):
    """Responses of handlers are equal; those of the gateway have the same status and envelope."""
    deployed, local = responses

    assert (deployed.status, local.status) == (step.status, step.locally or step.status)
    if step.gateway is None:
        assert deployed == local
    else:
        assert deployed.body == GATEWAY[step.gateway]
        assert json.loads(local.body).keys() >= {"error", "code"}


def test_scenario_covers_all_routes():
    """Every operation succeeds at least once, and is rejected by its handler at least once."""
    operations = [(step.operation, step.status < 400) for step in SCENARIO if step.gateway is None]

    assert {operation for operation, succeeds in operations if succeeds} == OPERATIONS
    assert {operation for operation, succeeds in operations if not succeeds} == OPERATIONS
