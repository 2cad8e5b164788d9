"""The deployed API is the local server, as far as a client can tell."""

import json

import pytest

from deploy.api import GATEWAY_ANSWERS
from tests.e2e.journey import JOURNEY, OPERATIONS

pytestmark = pytest.mark.e2e

GATEWAY = {it.kind: json.dumps(it.body) for it in GATEWAY_ANSWERS}


@pytest.fixture(params=JOURNEY, ids=str)
def step(request):
    return request.param


@pytest.fixture
def answers(journeys, env, step):
    return journeys[env].answers[step]


def test_a_request_is_answered_as_by_the_local_server(step, answers):
    """Handlers answer the same in both, to the byte; the gateway agrees in status and envelope."""
    deployed, local = answers

    assert (deployed.status, local.status) == (step.status, step.locally or step.status)
    if step.gateway is None:
        assert deployed == local
    else:
        assert deployed.body == GATEWAY[step.gateway]
        assert json.loads(local.body).keys() >= {"error", "code"}


def test_the_journey_leaves_no_route_out():
    """Every operation succeeds in it at least once, and is refused at least once by its handler."""
    asked = [(step.operation, step.status < 400) for step in JOURNEY if step.gateway is None]

    assert {operation for operation, succeeds in asked if succeeds} == OPERATIONS
    assert {operation for operation, succeeds in asked if not succeeds} == OPERATIONS
