"""
Whether some sequential order explains what concurrent clients saw of one item.

The search is that of Wing and Gong, with the cache of Lowe: the next operation is one that began before every other one ended,
and the same remaining operations in the same state are tried once.

Source: G. Lowe, "Testing for linearizability", 2017.
"""

from typing import Any

from attrs import evolve, frozen

FOREVER = float("inf")
ON_RESERVATIONS = ("commit", "commit_part", "release", "extend")


@frozen
class Operation:
    """
    A request of one client and its answer.

    Attributes:
        verb, argument: The request.
        answer: See `apply`; None if the client cannot know whether the request was applied.
        began, ended: Times on one clock. An operation without an answer may take effect at any later time, or never.
    """

    verb: str
    argument: Any
    answer: Any
    began: float
    ended: float


@frozen
class State:
    """The state of an item; `reservations` are its quantities by ID, `closed` the outcomes."""

    on_hand: int
    reserved: int = 0
    seq: int = 0
    reservations: frozenset[tuple[str, int]] = frozenset()
    closed: frozenset[tuple[str, str]] = frozenset()
    exists: bool = True

    @property
    def level(self):
        """Return the level in an answer."""
        return (self.on_hand, self.reserved, self.seq)

    def moved(self, on_hand=0, reserved=0, **changes):
        """Return the state after one movement."""
        return evolve(
            self,
            on_hand=self.on_hand + on_hand,
            reserved=self.reserved + reserved,
            seq=self.seq + 1,
            **changes,
        )


def apply(state, operation):
    """Return the correct answer to *operation*, a level or the code of an error, and the state after it."""
    verb, argument = operation.verb, operation.argument
    if verb in ON_RESERVATIONS:
        return _on_reservation(state, verb, argument)
    if not state.exists:
        return "item_not_found", state
    if verb == "get":
        return state.level, state
    if verb == "delete":
        return (
            ("item_in_use", state) if state.reserved else ("deleted", evolve(state, exists=False))
        )
    if verb == "reserve":
        return _reserve(state, *argument)
    return _adjust(state, verb, argument)


def _reserve(state, reservation_id, quantity):
    if quantity > state.on_hand - state.reserved:
        return "insufficient_stock", state
    held = state.reservations | {(reservation_id, quantity)}
    return "held", state.moved(reserved=quantity, reservations=held)


def _adjust(state, verb, argument):
    delta = argument if verb == "adjust" else argument - state.on_hand
    if state.on_hand + delta < state.reserved:
        return ("insufficient_stock" if verb == "adjust" else "below_reserved"), state
    after = state.moved(on_hand=delta)
    return after.level, after


def _on_reservation(state, verb, argument):
    reservation_id, part = argument if verb == "commit_part" else (argument, None)
    outcome = {"release": "released", "extend": "held"}.get(verb, "committed")
    closed = dict(state.closed).get(reservation_id)
    if closed:
        is_repeated = closed == outcome and part is None
        return (outcome if is_repeated else "reservation_closed"), state
    held = dict(state.reservations)[reservation_id]
    if verb == "extend":
        return outcome, state
    quantity = held if part is None else part
    if quantity > held:
        return "more_than_held", state
    reservations = state.reservations - {(reservation_id, held)}
    closed = state.closed
    if quantity < held:
        outcome = "held"
        reservations |= {(reservation_id, held - quantity)}
    else:
        closed |= {(reservation_id, outcome)}
    return outcome, state.moved(
        on_hand=0 if verb == "release" else -quantity,
        reserved=-quantity,
        reservations=reservations,
        closed=closed,
    )


def is_linearizable(operations, state):
    """Return whether some order explains every answer: each operation takes effect between its begin and its end."""
    pending = [evolve(it, ended=FOREVER) if it.answer is None else it for it in operations]
    pending.sort(key=lambda it: it.began)
    tried = set()
    stack = [(frozenset(range(len(pending))), state)]
    while stack:
        left, state = stack.pop()
        if all(pending[it].answer is None for it in left):
            return True
        if (left, state) in tried:
            continue
        tried.add((left, state))
        first_end = min(pending[it].ended for it in left)
        for index in left:
            operation = pending[index]
            if operation.began > first_end or not _is_known(state, operation):
                continue
            answer, after = apply(state, operation)
            if operation.answer in (None, answer):
                stack.append((left - {index}, after))
    return False


def _is_known(state, operation):
    """Return whether the reservation of *operation* was created before it in this order."""
    if operation.verb not in ON_RESERVATIONS:
        return True
    known = {**dict(state.reservations), **dict(state.closed)}
    return (
        operation.argument[0] if operation.verb == "commit_part" else operation.argument
    ) in known
