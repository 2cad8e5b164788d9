"""Scheduled expiry of reservations. These tests run last, because a reservation lasts at least a minute."""

import json
import time

import pytest

pytestmark = pytest.mark.e2e

TTL_SECONDS = 60
# The schedule runs each minute, and a run takes some seconds.
SCHEDULE_SECONDS = 75


@pytest.fixture
def due(results, deployments):
    """Return a function that waits until the last reservation of the scenario is due."""

    def due(suffix):
        result = results[suffix]
        time.sleep(max(0, result.ended_at + TTL_SECONDS + 1 - time.monotonic()))
        return DueReservation(deployments[suffix], result.deployed.saved)

    return due


class DueReservation:
    """A due reservation and its item, as clients see them."""

    def __init__(self, deployment, saved):
        self.deployment = deployment
        self.saved = saved

    def get(self, path):
        with self.deployment.http() as client:
            return client.get(path.format(**self.saved)).raise_for_status().json()

    @property
    def reserved(self):
        return self.get("/items/{depot}?sku=N")["item"]["reserved"]

    def assert_expired(self):
        [movement] = self.get("/items/{depot}/movements?sku=N&page_size=1")["movements"]

        assert self.reserved == 0
        assert self.get("/reservations/{due}")["reservation"]["state"] == "expired"
        assert (movement["kind"], movement["delta_reserved"]) == ("expire", -4)


def test_sweeper_expires_due_reservations(due, deployments):
    """The function runs with its role. If the schedule was faster, it finds nothing to do."""
    reservation = due("prod")
    functions = deployments["prod"].aws.client("lambda")

    response = functions.invoke(FunctionName="inventory-prod-expire-reservations")

    assert "FunctionError" not in response
    assert json.load(response["Payload"])["failed"] == 0
    reservation.assert_expired()


def test_schedule_runs_the_sweeper(due):
    """EventBridge invokes the function by its rule, without a call in this test."""
    reservation = due("dev")

    deadline = time.monotonic() + SCHEDULE_SECONDS
    while reservation.reserved and time.monotonic() < deadline:
        time.sleep(1)

    reservation.assert_expired()
