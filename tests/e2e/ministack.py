"""
An empty AWS on this machine: ministack, in a process and a virtual environment of its own.

It deploys what a CloudFormation template says, runs the functions in subprocesses, and lets each of them do what its role
allows and no more. It keeps everything in memory and in the scratch folder.
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
    """Whose calls they are; the default is the root of the account, who may do everything."""

    key: str = "test"
    secret: str = "test"
    token: str | None = None


ROOT = Credentials()


@frozen
class Aws:
    """What answers at *endpoint* as AWS does."""

    endpoint: str
    # One for all: what it has read of a service, the next client need not read again.
    session: botocore.session.Session = field(factory=botocore.session.Session, repr=False)

    def client(self, service, who=ROOT):
        return self.session.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=who.key,
            aws_secret_access_key=who.secret,
            aws_session_token=who.token,
            config=Config(
                read_timeout=30,
                retries={"total_max_attempts": 1},  # what fails should be seen
                proxies={},  # a proxy of this machine has no business on loopback
                s3={"addressing_style": "path"},
            ),
        )


@contextlib.contextmanager
def running(scratch: Path) -> Iterator[Aws]:
    """Start it, with *scratch* for all that it writes, and stop it with all that it has started."""
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
                "BIND_HOST": "127.0.0.1",  # it has no password, and runs the code that it is given
                "LAMBDA_EXECUTOR": "local",  # rather than Docker
                "AUTH": "true",  # roles and their policies are obeyed
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests; we stop it after them
        )
    try:
        _wait_until_it_answers(server, aws, log)
        yield aws
    finally:
        _stop(server)


def installed() -> str:
    """Return the Python that has ministack, after installing it if it is not there yet."""
    needs = sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"{needs}-{sys.implementation.cache_tag}"
    home = cache / "tap-inventory" / "ministack" / name
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        # Renamed into place when whole, so an interrupted installation is no cache.
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".installing-") as scratch:
            _install(Path(scratch, "venv"))
            try:
                Path(scratch, "venv").rename(home)
            except OSError:
                if not home.is_dir():  # else another run was quicker, with the same versions
                    raise
    return _python(home)


def _install(home: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [_python(home), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "-r", REQUIREMENTS], check=True)


def _python(home: Path) -> str:
    return str(home / "bin" / "python")


def _wait_until_it_answers(server: subprocess.Popen, aws: Aws, log: Path) -> None:
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
    # Its functions are processes in the session that it leads; those that outlive it go now.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
