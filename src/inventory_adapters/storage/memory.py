"""The reference repository: the port in dictionaries and one lock."""

from collections.abc import Iterable, Iterator, Sequence
from threading import RLock

from inventory.errors import DuplicateRequestError, StaleReadError, TargetNotEmptyError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import Change, ItemEdit, ItemFilter, MovementFilter, ReservationFilter
from inventory.reservations import Reservation, retention_cutoff
from inventory.snapshots import Record
from inventory.stock import Movement
from inventory_adapters.storage import cursors

__all__ = ["MemoryRepository"]


class MemoryRepository:
    """
    A repository in the memory of this process; threads may share it.

    A page sorts all items that pass its filter, so the repository is meant for tests, trials and small inventories.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._items: dict[ItemKey, Item] = {}
        self._skus: dict[str, set[str]] = {}
        self._movements: dict[ItemKey, dict[int, Movement]] = {}
        self._reservations: dict[str, Reservation] = {}
        self._idempotency_records: dict[str, IdempotencyRecord] = {}
        self._restore_id: str | None = None

    def get_item(self, key: ItemKey) -> Item | None:
        with self._lock:
            return self._items.get(key)

    def find_item(self, item_id: str) -> Item | None:
        with self._lock:
            skus = self._skus.get(item_id)
            return self._items[ItemKey(item_id=item_id, sku=min(skus))] if skus else None

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        with self._lock:
            return tuple(self._items[key] for key in dict.fromkeys(keys) if key in self._items)

    def list_items(self, item_filter: ItemFilter, page: PageRequest) -> Page[Item]:
        after = () if page.cursor is None else cursors.decode_item(item_filter, page.cursor)
        with self._lock:
            passing = [item for item in self._items.values() if item_filter.matches(item)]
        rest = sorted(
            (item for item in passing if item_filter.position(item) > after),
            key=item_filter.position,
        )
        items = tuple(rest[: page.size])
        more = len(rest) > page.size
        return Page(
            items=items,
            next_cursor=cursors.encode_item(item_filter, items[-1]) if more else None,
        )

    def list_movements(self, movement_filter: MovementFilter, page: PageRequest) -> Page[Movement]:
        last_seq = movement_filter.last_seq
        if page.cursor is not None:
            last_seq = cursors.decode_movement(movement_filter, page.cursor) - 1
        with self._lock:
            history = list(self._movements.get(movement_filter.key, {}).values())
        rest = [movement for movement in history if last_seq is None or movement.seq <= last_seq]
        rest.sort(key=lambda movement: movement.seq, reverse=True)
        movements = tuple(rest[: page.size])
        full = len(movements) == page.size
        return Page(
            items=movements,
            next_cursor=cursors.encode_movement(movement_filter, movements[-1].seq)
            if full
            else None,
        )

    def first_movement(self, key: ItemKey) -> Movement | None:
        with self._lock:
            history = self._movements.get(key)
            return history[min(history)] if history else None

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        with self._lock:
            return self._reservations.get(reservation_id)

    def get_reservations(self, reservation_ids: Iterable[str]) -> tuple[Reservation, ...]:
        with self._lock:
            found = map(self._reservations.get, dict.fromkeys(reservation_ids))
            return tuple(reservation for reservation in found if reservation is not None)

    def held_reservations(self, page: PageRequest) -> Page[Reservation]:
        return self.list_reservations(ReservationFilter(), page)

    def list_reservations(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        after: tuple[str, ...] = ()
        if page.cursor is not None:
            after = cursors.decode_reservation(reservation_filter, page.cursor)
        with self._lock:
            held = [
                reservation
                for reservation in self._reservations.values()
                if reservation_filter.matches(reservation) and reservation.position > after
            ]
        held.sort(key=lambda reservation: reservation.position)
        reservations = tuple(held[: page.size])
        more = len(held) > page.size
        return Page(
            items=reservations,
            next_cursor=cursors.encode_reservation(reservation_filter, reservations[-1].position)
            if more
            else None,
        )

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        with self._lock:
            return self._idempotency_records.get(record_id)

    def purge(self, at: Timestamp) -> int:
        with self._lock:
            expired = [
                record_id
                for record_id, record in self._idempotency_records.items()
                if record.expires_at <= at
            ]
            closed_by = retention_cutoff(at)
            closed = [
                reservation_id
                for reservation_id, reservation in self._reservations.items()
                if reservation.closed_at is not None and reservation.closed_at <= closed_by
            ]
            for record_id in expired:
                del self._idempotency_records[record_id]
            for reservation_id in closed:
                del self._reservations[reservation_id]
            return len(expired) + len(closed)

    def commit(self, change: Change) -> None:
        with self._lock:
            self._check(change)
            for write in change.items:
                if write.after is None:
                    self._delete(write.key)
                else:
                    self._store(write.after)
            for movement in change.movements:
                self._movements.setdefault(movement.key, {})[movement.seq] = movement
            for reservation in change.reservations:
                self._reservations[reservation.after.reservation_id] = reservation.after
            if change.idempotency_record is not None:
                record = change.idempotency_record
                self._idempotency_records[record.record_id] = record

    def snapshot(self) -> Iterator[Record]:
        with self._lock:
            return iter(self._records())

    def restore_id(self) -> str | None:
        return self._restore_id

    def start_restore(self, restore_id: str) -> None:
        with self._lock:
            if self._restore_id != restore_id and (self._restore_id or self._records()):
                raise TargetNotEmptyError
            self._restore_id = restore_id

    def restore(self, records: Sequence[Record]) -> None:
        with self._lock:
            if self._restore_id is None:
                raise TargetNotEmptyError
            for record in records:
                match record:
                    case Item():
                        self._store(record)
                    case Movement():
                        self._movements.setdefault(record.key, {})[record.seq] = record
                    case IdempotencyRecord():
                        self._idempotency_records[record.record_id] = record
                    case Reservation():
                        self._reservations[record.reservation_id] = record

    def finish_restore(self) -> None:
        self._restore_id = None

    def _records(self) -> list[Record]:
        movements = (row for ledger in self._movements.values() for row in ledger.values())
        return [
            *self._items.values(),
            *movements,
            *self._idempotency_records.values(),
            *self._reservations.values(),
        ]

    def _store(self, item: Item) -> None:
        self._items[item.key] = item
        self._skus.setdefault(item.item_id, set()).add(item.sku)

    def _delete(self, key: ItemKey) -> None:
        skus = self._skus[key.item_id]
        skus.discard(key.sku)
        if not skus:
            del self._skus[key.item_id]
        del self._items[key]

    def _check(self, change: Change) -> None:
        if change.idempotency_record is not None:
            stored = self._idempotency_records.get(change.idempotency_record.record_id)
            if stored is not None and stored.expires_at > change.idempotency_record.stored_at:
                raise DuplicateRequestError
        for write in change.items:
            if not _item_matches(self._items.get(write.key), write.before):
                raise StaleReadError
        for movement in change.movements:
            if movement.seq in self._movements.get(movement.key, {}):
                raise StaleReadError
        for reservation in change.reservations:
            current = self._reservations.get(reservation.after.reservation_id)
            if not _reservation_matches(current, reservation.before):
                raise StaleReadError

    def edit_item(self, edit: ItemEdit) -> Item:
        with self._lock:
            item = self._items.get(edit.key)
            if item is None or not (edit.versions is None or item.version in edit.versions):
                raise StaleReadError(item)
            edited = item.edited(edit.fields, actor=edit.actor, at=edit.at)
            self._items[edit.key] = edited
            return edited


def _item_matches(current: Item | None, before: Item | None) -> bool:
    if current is None or before is None:
        return current is before
    return (current.level, current.version) == (before.level, before.version)


def _reservation_matches(current: Reservation | None, before: Reservation | None) -> bool:
    if current is None or before is None:
        return current is before
    return current.revision == before.revision
