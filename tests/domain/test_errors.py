"""Errors are ordinary values."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

from inventory import GetItem, Inventory, errors
from inventory.errors import FieldError, InsufficientStockError, InventoryError, ItemNotFoundError
from inventory_adapters.storage.memory import MemoryRepository

ITEM = {"item_id": "i", "sku": "s"}


def kinds(base=InventoryError):
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def example(kind):
    """Return an error of *kind* with a value for each of its facts."""
    values = {"errors": (FieldError("a", "is bad"),), "refused": {0: ItemNotFoundError(**ITEM)}}
    names = [
        name
        for parent in kind.__mro__
        if issubclass(parent, InventoryError) and parent is not InventoryError
        for name in vars(parent).get("__annotations__", {})
    ]
    facts = {name: values.get(name, 7 if "id" not in name else "text") for name in names}
    if kind is errors.SkuMismatchError:
        facts = {"source": "a", "destination": "b"}
    return kind("Another message", **facts)


def contents(error):
    refused = {index: contents(row) for index, row in getattr(error, "refused", {}).items()}
    return type(error), error.message, str(error), {**error.facts, "refused": refused}


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(  # noqa: S301 - our own
            pickle.dumps(error, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}
KINDS = sorted(
    (kind for kind in kinds() if kind.__module__.startswith("inventory")),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_copied_error_is_equal(kind, way):
    """In type, message, facts, attributes and notes."""
    error = example(kind)
    error.add_note("while importing line 7")

    copied = COPIES[way](error)

    assert contents(copied) == contents(error)
    assert copied.__notes__ == ["while importing line 7"]
    assert all(
        getattr(copied, name) == value for name, value in error.facts.items() if name != "refused"
    )


@pytest.mark.parametrize(
    "error",
    [
        errors.StaleReadError(),
        errors.DuplicateRequestError(),
        errors.TargetNotEmptyError(),
        errors.SourceChangedError(),
        errors.SnapshotMismatchError("3 Item", "2 Item"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_internal_error_can_be_pickled(error):
    """A repository may run in another process."""
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (type(copied), str(copied)) == (type(error), str(error))
    assert vars(copied) == vars(error)


def look_up(item_id):
    Inventory(MemoryRepository()).get_item(GetItem(item_id=item_id))


def test_an_error_crosses_a_process_pool():
    """The pool continues after it."""
    with ProcessPoolExecutor(max_workers=1) as pool:
        caught = [pool.submit(look_up, item_id).exception() for item_id in ("a", "b")]

    assert [(type(error), error.item_id) for error in caught] == [
        (ItemNotFoundError, "a"),
        (ItemNotFoundError, "b"),
    ]


def test_facts_are_attributes_and_part_of_the_message():
    """Each fact by its name."""
    error = InsufficientStockError(**ITEM, available=1, requested=2, reserved=3)

    assert (error.available, error.requested, error.reserved, error.sku) == (1, 2, 3, "s")
    assert error.facts == {**ITEM, "available": 1, "requested": 2, "reserved": 3}
    assert str(error) == "Insufficient stock: 2 requested, 1 available"


@pytest.mark.parametrize(("reserved", "units"), [(1, "1 unit reserved"), (2, "2 units reserved")])
def test_messages_have_correct_plurals(reserved, units):
    """1 unit, 2 units."""
    assert units in str(errors.ItemInUseError(**ITEM, reserved=reserved))
