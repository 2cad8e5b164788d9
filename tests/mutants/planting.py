"""How bugs are planted: overrides of public names, so that they survive a change of the code around them."""

import sys
from functools import wraps

from attrs import frozen

from inventory.errors import DuplicateRequestError, InventoryError, StaleReadError
from inventory_adapters.aws.transport import NoAnswerError, NotSentError, ServiceError

OURS = ("inventory", "inventory_adapters", "deploy", "tests")

# Errors that a repository or a transport may raise. Any other exception is a fault of the planted bug itself.
PORT_ERRORS = (
    *(InventoryError, StaleReadError, DuplicateRequestError),
    *(ServiceError, NoAnswerError, NotSentError),
)


@frozen
class Bug:
    """
    A planted bug.

    Attributes:
        plant: Plants it with a `pytest.MonkeyPatch`.
        tests: The files, classes or tests of which one must fail.
    """

    plant: object
    tests: tuple[str, ...]

    @property
    def name(self):
        """As in ``storage.the_ledger_may_be_stale``."""
        return f"{self.plant.__module__.rpartition('.')[2]}.{self.plant.__name__}"


BUGS = []


def noticed_by(*tests):
    """Register the bug below, which *tests* must notice."""

    def register(plant):
        BUGS.append(Bug(plant, tests))
        return plant

    return register


def replace(patch, original, by):
    """Replace a function or a constant in every module that has imported it."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS:
            for attribute, value in list(vars(module).items()):
                if value is original:
                    patch.setattr(module, attribute, by)


def wrap(patch, owner, name, around):
    """Replace a method or a function of a module by ``around(original, *arguments)``."""
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args, **kwargs):
        return around(original, *args, **kwargs)

    if isinstance(owner, type):
        patch.setattr(owner, name, wrapped)
    else:
        replace(patch, original, wrapped)
