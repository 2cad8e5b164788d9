"""The receiver of webhooks in docs/how-to/react-to-events.md gets signed events of a served file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from inventory_adapters.cli.main import cli
from tests.console import blocks
from tests.local_server import needs_signals, serving

PAGE = Path(__file__).parents[2] / "docs/how-to/react-to-events.md"


@pytest.fixture
def receiver(tmp_path):
    """Start the program of the page, and return the function that it is started by."""
    [program] = blocks(PAGE.read_text(), "python")
    script = tmp_path / "receiver.py"
    # On a free port, which it prints.
    script.write_text(
        program.replace("HTTPServer(", "announced(HTTPServer(").replace(
            "Receiver).serve", "Receiver)).serve"
        )
    )
    prelude = (
        "def announced(server):\n    print(server.server_port, flush=True)\n    return server\n\n\n"
    )
    script.write_text(prelude + script.read_text())
    started = []

    def start(secret):
        process = subprocess.Popen(
            [sys.executable, script],
            env={**os.environ, "WEBHOOK_SECRET": secret, "PORT": "0"},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@needs_signals
def test_the_receiver_of_the_page_prints_what_is_low(receiver, tmp_path, monkeypatch):
    """An event of a command on a served file, by the secret that the command printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVENTORY_DB", "shop.sqlite3")
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    process, port = receiver(secret)

    def run(*arguments):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    run("demo")
    assert secret in run("webhooks", "add", "mail", f"http://127.0.0.1:{port}/", "--secret", secret)
    with serving(tmp_path / "log", "--db", "shop.sqlite3") as server:
        tent = ("--sku", "TENT-TRAIL-1", "--location", "store")
        run("stock", "adjust", *tent, "--delta", "-2", "--reason", "sold")
        line = process.stdout.readline()
        assert server.stop() == 0

    assert re.fullmatch(r"TENT-TRAIL-1 is low: \d\n", line)
