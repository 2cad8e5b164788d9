"""Reservations whose time is over, freed by the clock: the last of the tests, as a reservation lasts a minute at least."""

import json
import time

import pytest

pytestmark = pytest.mark.e2e

TTL_SECONDS = 60
# The schedule runs each minute; then a run takes a moment.
SCHEDULE_SECONDS = 75


@pytest.fixture
def due(journeys, deployments):
    """Return the reservation that the journey has left in an environment, once it is due."""

    def due(suffix):
        journey = journeys[suffix]
        time.sleep(max(0, journey.ended_at + TTL_SECONDS + 1 - time.monotonic()))
        return Due(deployments[suffix], journey.deployed.kept)

    return due


class Due:
    """A reservation that is due, and the item that it holds units of, as clients see them."""

    def __init__(self, deployment, kept):
        self.deployment = deployment
        self.kept = kept

    def get(self, path):
        with self.deployment.http() as client:
            return client.get(path.format(**self.kept)).raise_for_status().json()

    @property
    def reserved(self):
        return self.get("/items/{depot}?sku=N")["item"]["reserved"]

    def assert_freed(self):
        [movement] = self.get("/items/{depot}/movements?sku=N&page_size=1")["movements"]

        assert self.reserved == 0
        assert self.get("/reservations/{due}")["reservation"]["state"] == "expired"
        assert (movement["kind"], movement["delta_reserved"]) == ("expire", -4)


def test_the_sweeper_frees_what_is_due(due, deployments):
    """Invoked, with no more rights than its role has; where the schedule was quicker, it finds nothing left to do."""
    reservation = due("prod")
    functions = deployments["prod"].aws.client("lambda")

    answer = functions.invoke(FunctionName="inventory-prod-expire-reservations")

    assert "FunctionError" not in answer
    assert json.load(answer["Payload"])["failed"] == 0
    reservation.assert_freed()


def test_the_schedule_runs_the_sweeper(due):
    """Nobody invokes it here: EventBridge does, as its rule and the function's permission let it."""
    reservation = due("dev")

    deadline = time.monotonic() + SCHEDULE_SECONDS
    while reservation.reserved and time.monotonic() < deadline:
        time.sleep(1)

    reservation.assert_freed()
