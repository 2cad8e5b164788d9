"""`inventory serve` as a process of its own, for tests that are its clients."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INVENTORY = Path(sys.executable).with_name("inventory")
SERVE_COMMAND = (INVENTORY, "serve", "--port", "0")
START_SECONDS = 20
MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 5}

needs_signals = pytest.mark.skipif(os.name == "nt", reason="stops the server by POSIX signals")


class Server:
    """A running `inventory serve`, and what it wrote."""

    def __init__(self, process, log):
        self.process = process
        self.log = log
        self.greeting = [process.stdout.readline() for _ in range(2)]
        found = re.search(r"http://[\w.]+:(\d+)", self.greeting[0])
        assert found, log.read_text()
        self.url = found[0]
        self.port = int(found[1])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@contextmanager
def serving(log: Path, *options, program=SERVE_COMMAND, **environ) -> Iterator[Server]:
    """Serve by *program* with *options*, and with *environ* added to the environment."""
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*program, *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **environ},
        ) as process,
    ):
        try:
            yield Server(process, log)
        finally:
            process.kill()


def created(client, **fields):
    answer = client.post("/items", json={**MUG, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["item"]
