"""A pytest plugin that plants a bug, and says in the exit code whether a test noticed it."""

import pytest

from tests.mutants.planting import PORT_ERRORS

NOTICED = pytest.ExitCode.TESTS_FAILED
CRASHED = 64
"""Tests failed, but only with errors that are faults of the planted bug."""

NOTICES = (AssertionError, pytest.fail.Exception, *PORT_ERRORS)


class Planter:
    """Plants a bug before the tests are collected."""

    def __init__(self, bug):
        self.bug = bug
        self.is_noticed = False

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self):
        self.bug.plant(pytest.MonkeyPatch())

    def pytest_runtest_makereport(self, call):
        if call.excinfo is not None and is_notice(call.excinfo.value):
            self.is_noticed = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus == NOTICED and not self.is_noticed:
            session.exitstatus = CRASHED


def is_notice(error):
    """Return whether *error* is what a test reports, not a crash."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_notice, error.exceptions))
    return isinstance(error, NOTICES)
