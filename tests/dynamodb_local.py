"""
Run a command next to a fresh, empty DynamoDB Local.

    python tests/dynamodb_local.py -- COMMAND...

COMMAND finds the server's address in DYNAMODB_LOCAL_ENDPOINT; its exit code is ours. The server
keeps everything in memory and is stopped however COMMAND ends. Needs Java 17 or newer and, the
first time, Maven.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

# 3.3.1 needs artifacts of the AWS SDK for Java that Maven Central does not always have.
VERSION = "3.1.0"
MAIN_CLASS = "software.amazon.dynamodb.services.local.main.ServerRunner"
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
ENDPOINT_VARIABLE = "DYNAMODB_LOCAL_ENDPOINT"
START_SECONDS = 60
STOP_SECONDS = 5

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tap-inventory</groupId>
  <artifactId>dynamodb-local</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>software.amazon.dynamodb</groupId>
      <artifactId>DynamoDBLocal</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def main(arguments: list[str]) -> int:
    """Run the command in *arguments* and return its exit code."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        sys.exit("usage: python tests/dynamodb_local.py -- COMMAND...")
    # What ends us must still unwind, or the server stays behind.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGHUP, _exit)
    try:
        with running() as endpoint:
            return _run(command, {**os.environ, ENDPOINT_VARIABLE: endpoint})
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start a server, give its address, stop it."""
    java = _program("java")
    jars = fetched()
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="dynamodb-local-") as scratch:
        log = Path(scratch, "log")
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    *(java, "-cp", f"{jars}/*"),
                    f"-Djava.io.tmpdir={scratch}",  # it unpacks a native library and leaves it
                    *(MAIN_CLASS, "-inMemory", "-sharedDb", "-disableTelemetry"),
                    *("-port", str(port)),  # it has no option for the address: it takes them all
                ],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the command; we stop the server after it
            )
        try:
            _wait_until_it_answers(server, endpoint, log)
            yield endpoint
        finally:
            _stop(server)


def fetched() -> Path:
    """Return the folder of the server's jars, and fetch them if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jars = cache / "tap-inventory" / "dynamodb-local" / VERSION
    if jars.is_dir():
        return jars
    maven = _program("mvn")
    jars.parent.mkdir(parents=True, exist_ok=True)
    print(f"Fetching DynamoDB Local {VERSION} into {jars}", file=sys.stderr)
    # Renamed into place when whole, so an interrupted fetch is no cache.
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".fetching-") as scratch:
        Path(scratch, "pom.xml").write_text(POM)
        maven_run = subprocess.run(
            [
                *(maven, "--batch-mode", "--quiet", COPY_DEPENDENCIES),
                "-DincludeScope=runtime",
                "-DincludeTypes=jar",  # the native libraries are inside the server's own jar
                "-DoutputDirectory=jars",
            ],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if maven_run.returncode != 0:
            sys.exit(f"Maven could not fetch DynamoDB Local {VERSION}; its own words are above.")
        try:
            Path(scratch, "jars").rename(jars)
        except OSError:
            if not jars.is_dir():  # else another run was quicker, with the same jars
                raise
    return jars


def _run(command: list[str], environment: dict[str, str]) -> int:
    child = subprocess.Popen(command, env=environment)
    # A Ctrl-C reaches the child too: it ends in its own way, and we wait for that.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        _stop(child)
    return code if code >= 0 else 128 - code  # a negative code is the signal that ended it


def _wait_until_it_answers(server: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    client = botocore.session.Session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(
            connect_timeout=1,
            read_timeout=START_SECONDS,  # the first answer waits for its database to open
            retries={"total_max_attempts": 1},
            proxies={},  # a proxy of this machine has no business on loopback
        ),
    )
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            client.list_tables()
        except BotoCoreError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"DynamoDB Local did not start:\n{log.read_text(errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"DynamoDB Local needs {name!r}, which is not on the PATH.")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
