"""The planted bugs can be planted; `nox -s mutants` runs them."""

from collections import Counter

import pytest

from inventory_adapters.testing import RepositoryContract
from tests.mutants.planting import PORT_ERRORS
from tests.mutants.plugin import is_notice
from tests.mutants.table import BUGS
from tests.named_tests import exists

# Those of the stack need the CDK, which takes seconds to load.
QUICK = [bug for bug in BUGS if not bug.name.startswith("deployment.")]


@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.name)
def test_bug_can_be_planted(bug, monkeypatch):
    """Its override changes something that exists."""
    with monkeypatch.context() as patch:
        bug.plant(patch)

        assert patch._setattr or patch._setitem


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_tests_of_a_bug_exist(bug):
    """A renamed test is renamed here, too."""
    assert [test for test in bug.tests if not (exists(test) or is_of_the_contract(test))] == []


def is_of_the_contract(test):
    """Return whether a class has inherited the test from the contract."""
    parent, _, name = test.rpartition("::")
    return exists(parent) and hasattr(RepositoryContract, name)


def test_names_of_bugs_are_unique():
    """A name selects one bug."""
    assert max(Counter(bug.name for bug in BUGS).values()) == 1


@pytest.mark.parametrize(
    ("error", "noticed"),
    [
        (AssertionError(), True),
        *((kind.__new__(kind), True) for kind in PORT_ERRORS),
        (KeyError("a fault of the bug"), False),
        (ExceptionGroup("", [AssertionError()]), True),
        (ExceptionGroup("", [AssertionError(), KeyError()]), False),
    ],
    ids=repr,
)
def test_a_crash_is_no_notice(error, noticed):
    """Only assertions and errors of the port say that a test has noticed a bug."""
    assert is_notice(error) is noticed
