"""Clock, signals and limits of the test suite itself."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import groupby
from types import SimpleNamespace

import pytest

from tests.conftest import shuffled

# Ignores SIGINT like a background job, loads the settings of the suite, and exits with the code of a child that it interrupts.
INTERRUPTED_CHILD = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import tests.conftest
child = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
sys.exit(subprocess.run([sys.executable, "-c", child], stderr=subprocess.DEVNULL).returncode)
"""


def test_local_time_is_not_utc():
    """Code that confuses local time with UTC fails on every machine."""
    local, utc = datetime.now().astimezone(), datetime.now(UTC)

    assert local.utcoffset() != utc.utcoffset()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_child_process_can_be_interrupted_if_the_suite_ignores_sigint():
    """Tests that send SIGINT to a child also work in a background job."""
    result = subprocess.run([sys.executable, "-c", INTERRUPTED_CHILD], check=False)

    assert result.returncode not in (0, None)


@pytest.mark.parametrize(("profile", "is_repeated"), [("", True), ("nightly", False)])
def test_examples_on_ci_are_repeated_except_at_night(profile, is_repeated):
    """Hypothesis has defaults of its own on CI."""
    program = "import tests.conftest, hypothesis; print(hypothesis.settings.default.derandomize)"
    environ = {**os.environ, "CI": "true", "HYPOTHESIS_PROFILE": profile}

    result = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )

    assert result.stdout.split() == [str(is_repeated)]


def test_order_depends_on_the_seed_and_keeps_files_together():
    """All processes of a run have one order, and a file prepares its servers once."""
    items = [SimpleNamespace(path=path, name=name) for path in "abcd" for name in range(20)]

    orders = [shuffled(items, seed) for seed in ("1", "1", "2")]

    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert sorted(map(id, order)) == sorted(map(id, items))
        assert len([*groupby(order, key=lambda item: item.path)]) == 4


def test_hanging_test_fails_after_the_timeout(tmp_path):
    """The timeout of pyproject.toml stops the test and prints its stack."""
    test = tmp_path / "test_hang.py"
    test.write_text("import threading\n\ndef test_hang():\n    threading.Event().wait()\n")

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "timeout=0.5", test]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "Timeout" in result.stdout
    assert "threading.Event().wait()" in result.stdout
