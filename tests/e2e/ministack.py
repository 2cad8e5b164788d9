"""
An emulated AWS: ministack, in its own process and virtual environment.

It deploys CloudFormation templates, runs functions in subprocesses, and enforces the permissions of their roles. It stores all
data in memory and in the scratch folder.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import botocore.session
from attrs import field, frozen
from botocore.config import Config
from botocore.exceptions import BotoCoreError

REQUIREMENTS = Path(__file__).with_name("ministack-requirements.txt")
REGION = "us-east-1"
START_SECONDS = 60
STOP_SECONDS = 5


@frozen(kw_only=True)
class Credentials:
    """Credentials of calls; the default is the root user of the account."""

    key: str = "test"
    secret: str = "test"
    token: str | None = None


ROOT = Credentials()


@frozen
class Aws:
    """An emulated AWS at *endpoint*."""

    endpoint: str
    # Shared by all clients, because a session reads the model of each service only once.
    session: botocore.session.Session = field(factory=botocore.session.Session, repr=False)

    def client(self, service, credentials=ROOT):
        return self.session.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=credentials.key,
            aws_secret_access_key=credentials.secret,
            aws_session_token=credentials.token,
            config=Config(
                read_timeout=30,
                retries={"total_max_attempts": 1},  # failures must be visible
                proxies={},  # ignore proxies of the machine
                s3={"addressing_style": "path"},
            ),
        )


@contextlib.contextmanager
def running(scratch: Path) -> Iterator[Aws]:
    """Start ministack with its files in *scratch*, and stop it with all its processes."""
    python = installed()
    port = _free_port()
    aws = Aws(f"http://127.0.0.1:{port}")
    log = scratch / "ministack.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [python, "-m", "ministack"],
            cwd=scratch,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(scratch),
                "TMPDIR": str(scratch),
                "GATEWAY_PORT": str(port),
                "BIND_HOST": "127.0.0.1",  # it has no password and runs uploaded code
                "LAMBDA_EXECUTOR": "local",  # subprocesses, not Docker
                "AUTH": "true",  # enforce roles and policies
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must not reach it before the tests end
        )
    try:
        _wait_until_ready(server, aws, log)
        yield aws
    finally:
        _stop(server)


def installed() -> str:
    """Return the Python interpreter with ministack; install it if necessary."""
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"{digest}-{sys.implementation.cache_tag}"
    home = cache / "tap-inventory" / "ministack" / name
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, so that an interrupted installation is not used.
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".installing-") as scratch:
            _install(Path(scratch, "venv"))
            try:
                Path(scratch, "venv").rename(home)
            except OSError:
                if not home.is_dir():  # otherwise another run installed the same versions
                    raise
    return _python(home)


def _install(home: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [_python(home), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "-r", REQUIREMENTS], check=True)


def _python(home: Path) -> str:
    return str(home / "bin" / "python")


def _wait_until_ready(server: subprocess.Popen, aws: Aws, log: Path) -> None:
    client = aws.client("sts")
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            client.get_caller_identity()
        except BotoCoreError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"ministack did not start:\n{log.read_text(errors='replace')}")


def _stop(server: subprocess.Popen) -> None:
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)
    # Its functions run in its process group. Kill those that still run.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
