import contextlib
import signal
import time

import httpx
import pytest
from attrs import frozen

from deploy.bundle import build
from tests.e2e import ministack
from tests.e2e.deployment import PYTHON, Deployment, synthesize
from tests.e2e.scenario import SCENARIO, Response, Runner, Step
from tests.local_server import serving

ENVIRONMENTS = ("dev", "prod")
# Requests come from the first origin; the second is also allowed.
ORIGINS = ("https://shop.example.com", "https://admin.example.com")
# The functions of dev call AWS without an SDK, those of prod with boto3.
CONTEXT = {"dev": {}, "prod": {"allowedOrigins": ",".join(ORIGINS), "transport": "boto3"}}
# A run takes three minutes, most of which is waiting for a reservation to become due.
RUN_SECONDS = 330

SUMMARY = pytest.StashKey[list[str]]()


@frozen
class Result:
    """
    The result of the scenario in one environment.

    Attributes:
        responses: For each step, the responses of the deployed API and of the local server.
        deployed: The runner of the deployed API.
        ended_at: The time of the end, on the clock of `time.monotonic`.
    """

    responses: dict[Step, tuple[Response, Response]]
    deployed: Runner
    ended_at: float


@pytest.fixture(scope="session")
def summary(request):
    """Lines to print at the end."""
    return request.config.stash.setdefault(SUMMARY, [])


def pytest_terminal_summary(terminalreporter, config):
    if lines := config.stash.get(SUMMARY, []):
        terminalreporter.section("end to end")
        for line in lines:
            terminalreporter.line(line)


@contextlib.contextmanager
def graceful_exit():
    """End the test session on signals and after a timeout, so that fixtures stop their processes."""

    def end(number, _frame):
        timed_out = number == signal.SIGALRM
        pytest.exit(f"timeout after {RUN_SECONDS} s" if timed_out else "terminated", 128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.signal(number, end) for number in numbers}
    signal.alarm(RUN_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    with graceful_exit(), ministack.running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, summary):
    """The code of the functions, for the Python version of these tests, on which ministack runs them."""
    bundle = build(tmp_path_factory.mktemp("bundle") / "bundle", python=PYTHON)
    summary.append(f"bundle for Python {PYTHON}: {bundle.zipped_bytes / 1000:,.0f} kB zipped")
    return bundle


@pytest.fixture(scope="session")
def deployments(aws, bundle, tmp_path_factory, summary):
    """Both environments, in one account."""
    deployments = {}
    for suffix in ENVIRONMENTS:
        started = time.monotonic()
        assembly = synthesize(
            suffix, bundle.folder, tmp_path_factory.mktemp(suffix), **CONTEXT[suffix]
        )
        deployment = deployments[suffix] = Deployment.create(aws, suffix, assembly)
        seconds = time.monotonic() - started
        summary.append(
            f"{deployment.name}: {len(deployment.resources)} resources in {seconds:.0f} s"
        )
        summary.extend(f"  omitted: {resource}" for resource in deployment.omitted)
    return deployments


@pytest.fixture(params=ENVIRONMENTS)
def env(request):
    return request.param


@pytest.fixture
def deployed(deployments, env):
    """The deployment of each environment."""
    return deployments[env]


@pytest.fixture(scope="session")
def results(deployments, tmp_path_factory, summary):
    """The results of the scenario in each environment, each compared with a new local server."""
    return {
        suffix: run_scenario(deployment, tmp_path_factory.mktemp("local"), summary)
        for suffix, deployment in deployments.items()
    }


def run_scenario(deployment, scratch, summary):
    origins = [part for origin in ORIGINS for part in ("--allowed-origin", origin)]
    page = {"Origin": ORIGINS[0]}
    with (
        serving(scratch / "log", "--memory", *origins) as server,
        httpx.Client(base_url=server.url, headers=page, trust_env=False) as local_client,
        deployment.http(**page) as client,
    ):
        deployed, local = Runner(client), Runner(local_client)
        responses = {step: (deployed.send(step), local.send(step)) for step in SCENARIO}
    summary.append(f"{deployment.name}: {len(SCENARIO)} requests, also sent to a local server")
    return Result(responses, deployed, time.monotonic())
