"""
The writes of a change: a transaction with one action for each row, and rows that may be written beside it.

Each row of the change names the write: in `write_id` if the row is written once, else in `last_write` and `prior_write`.
Low-stock markers and pointers are derived: one too many is skipped by its readers, so it can be put before the transaction that
it belongs to, or deleted after it.
"""

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from inventory.idempotency import IdempotencyRecord
from inventory.items import Item
from inventory.ports import MAX_CHANGE_SIZE, Change, ItemWrite, ReservationWrite
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    idempotency_record_key,
    idempotency_record_to_row,
    item_changes,
    item_to_row,
    key_to_row,
    ledger_key,
    marker_key,
    marker_to_row,
    movement_key,
    movement_to_row,
    number,
    pointers,
    reservation_changes,
    reservation_key,
    reservation_to_row,
    text,
)
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, TableSchema

__all__ = ["Action", "Actions", "Writes"]

Action = dict[str, dict[str, Any]]
"""One of `TransactItems`: ``{"Put": {"TableName": ..., "Item": ..., "ConditionExpression": ...}}``."""


@frozen(kw_only=True)
class Writes:
    """
    The writes of a change.

    Attributes:
        before: Markers and pointers to put first, because they do not fit into the transaction.
        actions: The transaction.
        after: The keys of pointers to delete afterwards, outside of the transaction, where that costs half.
    """

    before: list[Row]
    actions: list[Action]
    after: list[Row]


@frozen(kw_only=True)
class Actions:
    """
    Makes the actions of changes.

    Args:
        table: The table with the schema `schema.ITEMS`.
        ledger_table: The table with the schema `schema.LEDGER`.
    """

    table: str
    ledger_table: str

    def of(self, change: Change) -> Writes:
        """
        Return the writes of *change*.

        The first action is that of the idempotency record, if the change has one.

        Raises:
            ValueError: The change is too large for a transaction.
        """
        actions = list(self._rows(change))
        if len(actions) > MAX_CHANGE_SIZE:
            msg = f"a transaction has at most {MAX_CHANGE_SIZE} actions, not {len(actions)}"
            raise ValueError(msg)
        puts: list[Row] = []
        unmarked: list[Row] = []
        for write in change.items:
            was_low, is_low = (
                item is not None and item.is_low for item in (write.before, write.after)
            )
            if write.after is not None and is_low and not was_low:
                puts.append(marker_to_row(write.after))
            elif was_low and not is_low:
                unmarked.append(marker_key(write.key))
        moved: list[Row] = []
        after: list[Row] = []
        for each in change.reservations:
            old, new = pointers(each.before), pointers(each.after)
            puts += [row for key, row in new.items() if key not in old]
            left = [ledger_key(row) for key, row in old.items() if key not in new]
            # An extension replaces its pointers at once: a reader of the old ones alone would miss a later end.
            (moved if new.keys() - old.keys() else after).extend(left)
        room = MAX_CHANGE_SIZE - len(actions)
        actions += [self._put(row) for row in puts[:room]]
        # A marker that stays because there is no room is skipped by lists, and deleted by `purge`.
        deletes = [*moved, *unmarked][: MAX_CHANGE_SIZE - len(actions)]
        actions += [self._delete(key) for key in deletes]
        return Writes(before=puts[room:], actions=actions, after=[*after, *moved[len(deletes) :]])

    def _rows(self, change: Change) -> Iterator[Action]:
        """Yield the actions for the rows of *change* itself."""
        if change.idempotency_record is not None:
            yield self._store_idempotency_record(change.idempotency_record, change.write_id)
        moved = {movement.key for movement in change.movements}
        for write in change.items:
            # Without a movement that names the write, the item's row has to name it.
            yield self._item(write, None if write.key in moved else change.write_id)
        for movement in change.movements:
            row = movement_to_row(movement) | {"write_id": text(change.write_id)}
            yield self._put_new(self.ledger_table, LEDGER, row)
        for reservation in change.reservations:
            yield self._reservation(reservation, change.write_id)

    def marked_row(self, change: Change) -> tuple[str, Row]:
        """Return table and key of a row that names *change*: one that is written once, if possible."""
        if change.movements:
            return self.ledger_table, movement_key(change.movements[0])
        if change.idempotency_record is not None:
            return self.ledger_table, idempotency_record_key(change.idempotency_record.record_id)
        if change.reservations:
            [first, *_] = change.reservations
            return self.ledger_table, reservation_key(first.after.reservation_id)
        # An item that is only checked is not marked.
        written = (write for write in change.items if write.before != write.after)
        return self.table, key_to_row(next(written, change.items[0]).key)

    def _item(self, write: ItemWrite, write_id: str | None) -> Action:
        expression = Expression()
        target: dict[str, Any] = {"TableName": self.table, "Key": key_to_row(write.key)}
        update: dict[str, str] = {}
        match write.before, write.after:
            case None, Item() as after:
                return self._new_item(after, write_id)
            case Item() as before, Item() as after if before != after:
                changes = item_changes(before, after)
                verb, update = "Update", {"UpdateExpression": expression.update(changes, write_id)}
            case Item() as before, after:
                verb = "Delete" if after is None else "ConditionCheck"
        unchanged = expression.level_and_version(before)
        return {verb: target | expression.arguments(**update, ConditionExpression=unchanged)}

    def _new_item(self, item: Item, write_id: str | None) -> Action:
        row = item_to_row(item)
        if write_id is not None:
            row["last_write"] = text(write_id)
        return self._put_new(self.table, ITEMS, row)

    def _reservation(self, write: ReservationWrite, write_id: str) -> Action:
        before, after = write.before, write.after
        if before is None:
            row = reservation_to_row(after) | {"last_write": text(write_id)}
            return self._put_new(self.ledger_table, LEDGER, row)
        expression = Expression()
        return {
            "Update": {
                "TableName": self.ledger_table,
                "Key": reservation_key(after.reservation_id),
                **expression.arguments(
                    UpdateExpression=expression.update(
                        reservation_changes(before, after), write_id
                    ),
                    ConditionExpression=expression.equals("revision", number(before.revision)),
                ),
            }
        }

    def _store_idempotency_record(self, record: IdempotencyRecord, write_id: str) -> Action:
        expression = Expression()
        free = f"attribute_not_exists({expression.name(LEDGER.partition_key)})"
        expired = f"{expression.name('expires_at')} <= {expression.value(text(record.stored_at))}"
        return {
            "Put": {
                "TableName": self.ledger_table,
                "Item": idempotency_record_to_row(record) | {"write_id": text(write_id)},
                **expression.arguments(ConditionExpression=f"{free} OR {expired}"),
            }
        }

    def _put(self, row: Row) -> Action:
        return {"Put": {"TableName": self.ledger_table, "Item": row}}

    def _delete(self, key: Row) -> Action:
        return {"Delete": {"TableName": self.ledger_table, "Key": key}}

    @staticmethod
    def _put_new(table: str, schema: TableSchema, row: Row) -> Action:
        return {"Put": {"TableName": table, "Item": row, **_is_free(schema)}}


def _is_free(schema: TableSchema) -> dict[str, Any]:
    """Return the condition that the row does not exist, as arguments of a request."""
    expression = Expression()
    free = f"attribute_not_exists({expression.name(schema.partition_key)})"
    return expression.arguments(ConditionExpression=free)
