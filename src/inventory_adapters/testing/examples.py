"""Examples of items, reservations, records and changes."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from attrs import asdict, evolve

from inventory import StockLevel
from inventory.errors import StaleReadError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.ports import (
    Change,
    InventoryRepository,
    ItemEdit,
    ItemFilter,
    ItemWrite,
    ReservationWrite,
)
from inventory.reservations import Reservation, ReservationLine, ReservationState
from inventory.snapshots import Record
from inventory.stock import Movement, MovementKind

__all__ = [
    "ANY",
    "CLOSED_STATES",
    "a_record",
    "a_reservation",
    "a_time",
    "after",
    "an_edit",
    "an_item",
    "by_key",
    "closed",
    "combined",
    "commit_with_retry",
    "committed",
    "creation",
    "delete_item",
    "deletion",
    "extended",
    "fields",
    "history",
    "moves",
    "record_change",
    "reservation_change",
    "reservation_write",
    "rewrite",
    "stale_parts",
]

ANY: Final = ItemFilter()
"""A filter that passes every item."""

_MAX_ATTEMPTS: Final = 500


def a_time(seconds: float = 0) -> Timestamp:
    """Return the start time of all examples plus *seconds*."""
    return Timestamp.of(datetime(2026, 5, 1, 9, 30, tzinfo=UTC) + timedelta(seconds=seconds))


def an_item(
    item_id: str = "item-1",
    *,
    sku: str = "SKU-1",
    on_hand: int = 10,
    reserved: int = 0,
    seq: int = 0,
    **details: Any,
) -> Item:
    """Return an item; *details* are fields of `Item`."""
    defaults: dict[str, Any] = {
        "name": "Claw hammer",
        "category": "tools",
        "created_at": a_time(),
        "updated_at": a_time(),
        "moved_at": a_time(60) if seq else None,
        "changed_by": "anna",
    }
    return Item(
        key=ItemKey(item_id=item_id, sku=sku),
        level=StockLevel(on_hand=on_hand, reserved=reserved, seq=seq),
        **(defaults | details),
    )


def creation(*items: Item) -> Change:
    """Return the change that creates *items*."""
    writes = tuple(ItemWrite(before=None, after=item) for item in items)
    return Change(write_id=str(uuid4()), items=writes)


def rewrite(
    before: Item, *, on_hand: int | None = None, reserved: int | None = None, **details: Any
) -> Change:
    """
    Return a change based on *before*: a new level or new details.

    A new level comes with its movement. A change of details alone increments the version.
    """
    if on_hand is None and reserved is None:
        after = evolve(before, **({"version": before.version + 1} | details))
        return Change(write_id=str(uuid4()), items=(ItemWrite(before=before, after=after),))
    level = StockLevel(
        on_hand=before.level.on_hand if on_hand is None else on_hand,
        reserved=before.level.reserved if reserved is None else reserved,
        seq=before.level.seq + 1,
    )
    movement = Movement(
        key=before.key,
        seq=level.seq,
        kind=MovementKind.ADJUST,
        delta_on_hand=level.on_hand - before.level.on_hand,
        delta_reserved=level.reserved - before.level.reserved,
        on_hand=level.on_hand,
        reserved=level.reserved,
        actor="anna",
        reason="an example",
        recorded_at=a_time(60),
    )
    item = evolve(before, level=level, moved_at=movement.recorded_at, **details)
    write = ItemWrite(before=before, after=item)
    return Change(write_id=str(uuid4()), items=(write,), movements=(movement,))


def after(change: Change) -> Item:
    """Return the next state of the only item in *change*."""
    [write] = change.items
    assert write.after is not None
    return write.after


def deletion(item: Item) -> Change:
    """Return the change that deletes *item*, with its last movement."""
    movement = Movement(
        key=item.key,
        seq=item.level.seq + 1,
        kind=MovementKind.DELETE,
        delta_on_hand=-item.level.on_hand,
        delta_reserved=-item.level.reserved,
        on_hand=0,
        reserved=0,
        recorded_at=a_time(120),
        item_created_at=item.created_at,
    )
    write = ItemWrite(before=item, after=None)
    return Change(write_id=str(uuid4()), items=(write,), movements=(movement,))


def an_edit(item: Item, *, versions: Iterable[int] | None = None, **fields: Any) -> ItemEdit:
    """Return an edit that replaces *fields* of *item* after one minute."""
    return ItemEdit(
        write_id=str(uuid4()),
        key=item.key,
        fields=fields,
        at=a_time(60),
        actor="anna",
        versions=None if versions is None else frozenset(versions),
    )


def a_reservation(
    reservation_id: str = "reservation-1",
    *,
    expires_at: float = 900,
    lines: Iterable[tuple[ItemKey, int]] | None = None,
    reference: str | None = "order-1",
) -> Reservation:
    """Return a held reservation, by default of one unit of `an_item`."""
    units = [(an_item().key, 1)] if lines is None else lines
    return Reservation(
        reservation_id=reservation_id,
        lines=tuple(ReservationLine(key=key, quantity=quantity) for key, quantity in units),
        reference=reference,
        created_at=a_time(),
        expires_at=a_time(expires_at),
        changed_at=a_time(),
        changed_by="anna",
    )


def extended(reservation: Reservation, expires_at: float) -> Reservation:
    """Return *reservation* with another end."""
    return evolve(reservation, expires_at=a_time(expires_at), revision=reservation.revision + 1)


def committed(reservation: Reservation, *units: tuple[ItemKey, int]) -> Reservation:
    """Return *reservation* with *units* of its lines committed."""
    return reservation.committed_by(dict(units), actor="anna", at=a_time(60))


def closed(
    reservation: Reservation,
    state: ReservationState = ReservationState.RELEASED,
    *,
    at: float = 60,
) -> Reservation:
    """Return *reservation* in a closed state."""
    if state is ReservationState.COMMITTED:
        units = {line.key: line.quantity for line in reservation.lines}
        return reservation.committed_by(units, actor="ben", at=a_time(at))
    return reservation.closed(state, actor="ben", at=a_time(at))


def a_record(
    record_id: str = "record-1",
    *,
    fingerprint: str = "fingerprint-1",
    answer: Any = None,
    stored_at: float = 0,
    expires_at: float = 86_400,
) -> IdempotencyRecord:
    """Return an idempotency record; times are in seconds as for `a_time`."""
    return IdempotencyRecord(
        record_id=record_id,
        fingerprint=fingerprint,
        answer=an_item() if answer is None else answer,
        stored_at=a_time(stored_at),
        expires_at=a_time(expires_at),
    )


def reservation_write(before: Reservation | None, after: Reservation) -> ReservationWrite:
    """Return the write that replaces *before* with *after*."""
    return ReservationWrite(before=before, after=after)


def reservation_change(before: Reservation | None, after: Reservation) -> Change:
    """Return a change that only replaces a reservation *before* with *after*."""
    return Change(write_id=str(uuid4()), reservations=(reservation_write(before, after),))


def record_change(record: IdempotencyRecord) -> Change:
    """Return a change that only stores an idempotency record."""
    return Change(write_id=str(uuid4()), idempotency_record=record)


def combined(
    *changes: Change,
    reservation: ReservationWrite | None = None,
    idempotency_record: IdempotencyRecord | None = None,
) -> Change:
    """Combine the items, movements and reservations of *changes* with other parts."""
    reservations = [write for change in changes for write in change.reservations]
    return Change(
        write_id=str(uuid4()),
        items=tuple(write for change in changes for write in change.items),
        movements=tuple(movement for change in changes for movement in change.movements),
        reservations=(*reservations, *([] if reservation is None else [reservation])),
        idempotency_record=idempotency_record,
    )


def moves(item: Item, *levels: dict[str, int]) -> Change:
    """Return one change that moves *item* to each of *levels*, as `rewrite` does."""
    steps: list[Change] = []
    for level in levels:
        steps.append(rewrite(after(steps[-1]) if steps else item, **level))
    write = ItemWrite(before=item, after=after(steps[-1]))
    movements = tuple(movement for step in steps for movement in step.movements)
    return Change(write_id=str(uuid4()), items=(write,), movements=movements)


def fields(record: Record | None) -> dict[str, Any]:
    """Return every field of a stored *record*, also those that `==` ignores."""
    assert record is not None
    return asdict(record, recurse=False)


def by_key(items: Iterable[Item]) -> list[Item]:
    """Return *items* in the order of their keys."""
    return sorted(items, key=lambda item: item.key)


CLOSED_STATES: Final = [state for state in ReservationState if state != "held"]


def history(repository: InventoryRepository, item: Item, count: int) -> list[Movement]:
    """Move a stored *item* *count* times; return its movements, newest first."""
    movements: list[Movement] = []
    for _ in range(count):
        change = rewrite(item, on_hand=item.level.on_hand + 1)
        repository.commit(change)
        item = after(change)
        movements[:0] = change.movements
    return movements


def stale_parts(
    repository: InventoryRepository,
) -> dict[str, tuple[Change, ReservationWrite | None]]:
    """Store examples; return conflicting parts of changes by their reason."""
    item, recreated, stored = an_item("item", seq=1), an_item("recreated"), a_reservation("stored")
    repository.commit(
        combined(creation(item, recreated), reservation=reservation_write(None, stored))
    )
    history(repository, recreated, 1)
    delete_item(repository, recreated.key)
    repository.commit(creation(recreated))
    free = creation(an_item("free"))
    return {
        "stale item": (rewrite(an_item("item", seq=0), on_hand=1), None),
        "used key": (creation(item), None),
        "missing item": (rewrite(an_item("missing"), on_hand=1), None),
        "used seq": (rewrite(recreated, on_hand=1), None),
        "stale deletion": (deletion(an_item("item", seq=0)), None),
        "missing deletion": (deletion(an_item("missing")), None),
        "deletion with a used seq": (deletion(recreated), None),
        "reservation": (
            free,
            reservation_write(
                closed(stored), evolve(closed(stored), state=ReservationState.EXPIRED, revision=3)
            ),
        ),
        "used id": (free, reservation_write(None, a_reservation("stored", reference="another"))),
    }


def delete_item(repository: InventoryRepository, key: ItemKey) -> Change:
    """Delete a stored item; return the change."""
    item = repository.get_item(key)
    assert item is not None
    change = deletion(item)
    repository.commit(change)
    return change


def commit_with_retry(
    repository: InventoryRepository, key: ItemKey, make_change: Callable[[Item], Change]
) -> None:
    """Read an item and commit a change of it, and retry on a conflict."""
    for _ in range(_MAX_ATTEMPTS):
        item = repository.get_item(key)
        assert item is not None
        try:
            return repository.commit(make_change(item))
        except StaleReadError:
            continue
    pytest.fail(f"{_MAX_ATTEMPTS} commits conflicted, each after a new read")
