"""The checker accepts exactly the histories of a sequential item."""

import pytest

from tests.linearizable.checker import Operation, State, is_linearizable

FIVE = State(on_hand=5)


def one_by_one(*steps):
    """Return operations that do not overlap."""
    return [
        Operation(verb, argument, answer, 2 * index, 2 * index + 1)
        for index, (verb, argument, answer) in enumerate(steps)
    ]


ACCEPTED = {
    "every verb in turn": one_by_one(
        ("adjust", 1, (6, 0, 1)),
        ("count", 4, (4, 0, 2)),
        ("reserve", ("a", 3), "held"),
        ("adjust", -2, "insufficient_stock"),
        ("count", 2, "below_reserved"),
        ("delete", None, "item_in_use"),
        ("extend", "a", "held"),
        ("commit", "a", "committed"),
        ("commit", "a", "committed"),
        ("release", "a", "reservation_closed"),
        ("get", None, (1, 0, 4)),
        ("delete", None, "deleted"),
        ("get", None, "item_not_found"),
    ),
    "a reservation that leaves in parts": one_by_one(
        ("reserve", ("a", 3), "held"),
        ("commit_part", ("a", 1), "held"),
        ("commit_part", ("a", 3), "more_than_held"),
        ("get", None, (4, 2, 2)),
        ("commit_part", ("a", 2), "committed"),
        ("commit_part", ("a", 2), "reservation_closed"),
        ("commit", "a", "committed"),
        ("get", None, (2, 0, 3)),
    ),
    "a read that overlaps a write may see either": [
        Operation("adjust", 1, (6, 0, 1), 0, 10),
        Operation("get", None, (6, 0, 1), 1, 2),
        Operation("adjust", 1, (7, 0, 2), 11, 20),
        Operation("get", None, (6, 0, 1), 12, 13),
    ],
    "an unknown write may have happened": [
        Operation("adjust", 1, None, 0, 1),
        Operation("get", None, (6, 0, 1), 2, 3),
    ],
    "an unknown write may not have happened": [
        Operation("adjust", 1, None, 0, 1),
        Operation("get", None, (5, 0, 0), 2, 3),
    ],
    "an unknown write may happen late": [
        Operation("adjust", 1, None, 0, 1),
        Operation("get", None, (5, 0, 0), 2, 3),
        Operation("get", None, (6, 0, 1), 4, 5),
    ],
}
REFUSED = {
    "lost update": one_by_one(("adjust", 1, (6, 0, 1)), ("adjust", 1, (6, 0, 1))),
    "stale read": one_by_one(("adjust", 1, (6, 0, 1)), ("get", None, (5, 0, 0))),
    "double effect": one_by_one(("adjust", 1, (6, 0, 1)), ("get", None, (7, 0, 2))),
    "false refusal": one_by_one(("adjust", -3, "insufficient_stock")),
    "lost count": one_by_one(("count", 3, (3, 0, 1)), ("adjust", 1, (6, 0, 2))),
    "lost release": one_by_one(
        ("reserve", ("a", 3), "held"), ("release", "a", "released"), ("get", None, (5, 3, 2))
    ),
    "double effect of a commit": one_by_one(
        ("reserve", ("a", 2), "held"),
        ("commit", "a", "committed"),
        ("commit", "a", "committed"),
        ("get", None, (1, 0, 3)),
    ),
    "double effect of a part": one_by_one(
        ("reserve", ("a", 3), "held"),
        ("commit_part", ("a", 1), "held"),
        ("get", None, (3, 1, 3)),
    ),
    "false refusal of a reservation": one_by_one(("reserve", ("a", 5), "insufficient_stock")),
    "false refusal of an extension": one_by_one(
        ("reserve", ("a", 1), "held"), ("extend", "a", "reservation_closed")
    ),
    "false refusal of a deletion": one_by_one(
        ("reserve", ("a", 1), "held"),
        ("release", "a", "released"),
        ("delete", None, "item_in_use"),
    ),
    "oversold": [
        Operation("reserve", ("a", 3), "held", 0, 10),
        Operation("reserve", ("b", 3), "held", 1, 11),
    ],
    "committed and released": one_by_one(
        ("reserve", ("a", 3), "held"), ("commit", "a", "committed"), ("release", "a", "released")
    ),
    "back from the dead": one_by_one(("delete", None, "deleted"), ("get", None, (5, 0, 0))),
    "an unknown write that came and went": [
        Operation("adjust", 1, None, 0, 1),
        Operation("get", None, (6, 0, 1), 2, 3),
        Operation("get", None, (5, 0, 0), 4, 5),
    ],
}


@pytest.mark.parametrize("history", ACCEPTED.values(), ids=ACCEPTED)
def test_possible_history_is_accepted(history):
    """Some order explains every answer."""
    assert is_linearizable(history, FIVE)


@pytest.mark.parametrize("history", REFUSED.values(), ids=REFUSED)
def test_impossible_history_is_rejected(history):
    """No order explains every answer."""
    assert not is_linearizable(history, FIVE)
