import contextlib
import signal
import time

import httpx
import pytest
from attrs import frozen

from deploy.bundle import build
from tests.e2e import ministack
from tests.e2e.deployment import PYTHON, Deployment, synthesize
from tests.e2e.journey import JOURNEY, Answer, Step, Traveller
from tests.local_server import serving

ENVIRONMENTS = ("dev", "prod")
# The first is the page that asks, the second another one that may.
ORIGINS = ("https://shop.example.com", "https://admin.example.com")
# The functions of one call AWS without an SDK, those of the other through boto3.
CONTEXT = {"dev": {}, "prod": {"allowedOrigins": ",".join(ORIGINS), "transport": "boto3"}}
# A run takes three minutes; most of it is waiting for a reservation to become due.
RUN_SECONDS = 330

SUMMARY = pytest.StashKey[list[str]]()


@frozen
class Travelled:
    """
    The journey, made.

    Attributes:
        answers: Of each step: what the deployed API said, what the local server said.
        deployed: Who made it on the deployed API.
        ended_at: When, on the clock of `time.monotonic`.
    """

    answers: dict[Step, tuple[Answer, Answer]]
    deployed: Traveller
    ended_at: float


@pytest.fixture(scope="session")
def summary(request):
    """Lines that are printed in the end."""
    return request.config.stash.setdefault(SUMMARY, [])


def pytest_terminal_summary(terminalreporter, config):
    if lines := config.stash.get(SUMMARY, []):
        terminalreporter.section("end to end")
        for line in lines:
            terminalreporter.line(line)


@contextlib.contextmanager
def ending_orderly():
    """End the session, rather than the process, on a signal and when it takes too long: what was started has to be stopped."""

    def end(number, _frame):
        late = number == signal.SIGALRM
        pytest.exit(f"not done in {RUN_SECONDS} s" if late else "terminated", 128 + number)

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
    with ending_orderly(), ministack.running(tmp_path_factory.mktemp("ministack")) as running:
        yield running


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, summary):
    """The code of the functions, for the Python that ministack runs them on: its own, which is ours."""
    made = build(tmp_path_factory.mktemp("bundle") / "bundle", python=PYTHON)
    summary.append(f"bundle for Python {PYTHON}: {made.zipped_bytes / 1000:,.0f} kB zipped")
    return made


@pytest.fixture(scope="session")
def deployments(aws, bundle, tmp_path_factory, summary):
    """Both environments, side by side in one account."""
    made = {}
    for suffix in ENVIRONMENTS:
        started = time.monotonic()
        assembly = synthesize(
            suffix, bundle.folder, tmp_path_factory.mktemp(suffix), **CONTEXT[suffix]
        )
        made[suffix] = Deployment.make(aws, suffix, assembly)
        took = f"{time.monotonic() - started:.0f} s"
        summary.append(f"{made[suffix].name}: {len(made[suffix].resources)} resources in {took}")
        summary.extend(f"  without {it}" for it in made[suffix].left_out)
    return made


@pytest.fixture(params=ENVIRONMENTS)
def env(request):
    return request.param


@pytest.fixture
def deployed(deployments, env):
    """Each environment."""
    return deployments[env]


@pytest.fixture(scope="session")
def journeys(deployments, tmp_path_factory, summary):
    """The journey on each environment, with a fresh local server beside it."""
    return {
        suffix: travel(deployment, tmp_path_factory.mktemp("local"), summary)
        for suffix, deployment in deployments.items()
    }


def travel(deployment, scratch, summary):
    origins = [part for origin in ORIGINS for part in ("--allowed-origin", origin)]
    page = {"Origin": ORIGINS[0]}
    with (
        serving(scratch / "log", "--memory", *origins) as server,
        httpx.Client(base_url=server.url, headers=page, trust_env=False) as local_client,
        deployment.http(**page) as client,
    ):
        deployed, local = Traveller(client), Traveller(local_client)
        answers = {step: (deployed.ask(step), local.ask(step)) for step in JOURNEY}
    summary.append(f"{deployment.name}: {len(JOURNEY)} requests, sent to a local server too")
    return Travelled(answers, deployed, time.monotonic())
