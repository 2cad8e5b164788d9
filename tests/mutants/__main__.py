"""Plant bugs one by one, and report those that no test notices: `python -m tests.mutants [NAME ...]`."""

import os
import re
import sys
from contextlib import redirect_stdout
from io import StringIO
from tempfile import TemporaryFile

import pytest

from tests.mutants.plugin import CRASHED, NOTICED, Planter
from tests.mutants.table import BUGS

REQUIRED = 0.95
OPTIONS = (
    *("-q", "-x", "--tb=short", "-p", "no:cacheprovider", "-o", "timeout=60"),
    # The default tests, and those of the stack.
    *("-m", "not boto3 and not browser and not dynamodb_local and not slow"),
    # Of plugins, which this process has imported before.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
MEANINGS = {NOTICED: "noticed", pytest.ExitCode.OK: "SURVIVED", CRASHED: "CRASHED"}


def main(names):
    """Run the bugs with these names, or all; return the exit code."""
    os.environ["HYPOTHESIS_PROFILE"] = "ci"
    bugs = [bug for bug in BUGS if not names or bug.name in names]
    tests = sorted({test for bug in bugs for test in bug.tests})
    load(tests)
    outcomes, is_correct = {}, False
    # First without a bug, because tests that fail anyway would notice everything.
    for bug, code, output in run_all([(None, tests), *((bug, bug.tests) for bug in bugs)]):
        if bug is None:
            is_correct = code == pytest.ExitCode.OK
            if not is_correct:
                print("Tests fail without a planted bug:", output, sep="\n")
            continue
        outcome = outcomes[bug] = MEANINGS.get(code, "BROKEN")
        print(
            f"{outcome:8}  {bug.name}",
            *re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)[:1],
        )
        if outcome in {"CRASHED", "BROKEN"}:
            print(output)
    noticed = sum(outcome == "noticed" for outcome in outcomes.values())
    print(f"noticed {noticed} of {len(bugs)} ({noticed / len(bugs):.1%})")
    for bug, outcome in outcomes.items():
        if outcome != "noticed":
            print(f"{outcome}: {bug.name}; these should notice it: {' '.join(bug.tests)}")
    return int(not is_correct or noticed / len(bugs) < REQUIRED)


def load(tests):
    """Import the tests once, so that each process below starts with them."""
    # Not those of the stack: processes cannot share the JavaScript engine of the CDK.
    files = {test.partition("::")[0] for test in tests if not test.startswith("tests/deploy/")}
    if files:
        with redirect_stdout(StringIO()):
            pytest.main([*OPTIONS, "--collect-only", *sorted(files)])


def run_all(runs):
    """Run tests with a planted bug, each in a process of its own, as many at once as there are processors."""
    running = {}
    runs = iter(runs)
    while True:
        while len(running) < os.cpu_count() and (run := next(runs, None)):
            output = TemporaryFile()  # noqa: SIM115 - closed when its process has ended
            running[start(*run, output)] = (run[0], output)
        if not running:
            return
        pid, status = os.wait()
        bug, output = running.pop(pid)
        output.seek(0)
        yield bug, os.waitstatus_to_exitcode(status), output.read().decode()
        output.close()


def start(bug, tests, output):
    """Start the tests in a copy of this process; return its ID."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    os._exit(pytest.main([*OPTIONS, *tests], plugins=[] if bug is None else [Planter(bug)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
