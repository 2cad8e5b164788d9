"""The suite itself: its clock, its signals, its limits."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

# Ignores SIGINT, as a background job does, loads the suite's settings, and exits as a child does that interrupts itself.
INTERRUPTED_CHILD = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import tests.conftest
child = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
sys.exit(subprocess.run([sys.executable, "-c", child], stderr=subprocess.DEVNULL).returncode)
"""


def test_local_time_is_not_utc():
    """A test that compares local time with UTC fails, on every machine."""
    local, utc = datetime.now().astimezone(), datetime.now(UTC)

    assert local.utcoffset() != utc.utcoffset()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_child_process_can_be_interrupted_where_the_suite_ignores_it():
    """Tests that send SIGINT to a child work in a background job, too."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_CHILD], check=False)

    assert done.returncode not in (0, None)


def test_hanging_test_is_ended(tmp_path):
    """The limit of pyproject.toml ends a test that waits forever, with the stack in the output."""
    test = tmp_path / "test_hang.py"
    test.write_text("import threading\n\ndef test_hang():\n    threading.Event().wait()\n")

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "timeout=0.5", test]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "Timeout" in done.stdout
    assert "threading.Event().wait()" in done.stdout
