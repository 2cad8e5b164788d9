"""
The actions of a transaction that writes a change: one for each row, with its condition.

Each row that is written names the write: in `write_id` if the row is written once, else in `last_write` and `prior_write`.
"""

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey
from inventory.ports import Change, ItemWrite, ReservationWrite
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    Value,
    idempotency_record_key,
    idempotency_record_to_row,
    item_changes,
    item_to_row,
    key_to_row,
    movement_key,
    movement_to_row,
    reservation_changes,
    reservation_key,
    reservation_to_row,
    text,
)
from inventory_adapters.storage.dynamodb.schema import (
    ITEMS,
    LEDGER,
    LOW_STOCK_PK,
    TableSchema,
    low_stock_sk,
)

__all__ = ["Action", "Actions", "marker_key"]

Action = dict[str, dict[str, Any]]
"""One of `TransactItems`: ``{"Put": {"TableName": ..., "Item": ..., "ConditionExpression": ...}}``."""


def marker_key(key: ItemKey) -> dict[str, Value]:
    """Return the key of an item's low-stock marker in the ledger table."""
    return {"pk": text(LOW_STOCK_PK), "sk": text(low_stock_sk(key))}


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

    def of(self, change: Change) -> Iterator[Action]:
        """Yield the actions of *change*: first the idempotency record, if it has one."""
        if change.idempotency_record is not None:
            yield self._store_idempotency_record(change.idempotency_record, change.write_id)
        moved = {movement.key for movement in change.movements}
        for write in change.items:
            # Without a movement that names the write, the item's row has to name it.
            yield self._item(write, None if write.key in moved else change.write_id)
            was_low, is_low = (
                item is not None and item.is_low for item in (write.before, write.after)
            )
            if is_low and not was_low:
                yield self._mark(write.key)
            elif was_low and not is_low:
                yield self._unmark(write.key)
        for movement in change.movements:
            row = movement_to_row(movement) | {"write_id": text(change.write_id)}
            yield self._put_new(self.ledger_table, LEDGER, row)
        if change.reservation is not None:
            yield self._reservation(change.reservation, change.write_id)

    def marked_row(self, change: Change) -> tuple[str, Row]:
        """Return table and key of a row that names *change*: one that is written once, if possible."""
        if change.movements:
            return self.ledger_table, movement_key(change.movements[0])
        if change.idempotency_record is not None:
            return self.ledger_table, idempotency_record_key(change.idempotency_record.record_id)
        if change.reservation is not None:
            return self.ledger_table, reservation_key(change.reservation.after.reservation_id)
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
        unchanged = [
            expression.equals("state", text(before.state)),
            expression.equals("expires_at", text(before.expires_at)),
        ]
        return {
            "Update": {
                "TableName": self.ledger_table,
                "Key": reservation_key(after.reservation_id),
                **expression.arguments(
                    UpdateExpression=expression.update(
                        reservation_changes(before, after), write_id
                    ),
                    ConditionExpression=" AND ".join(unchanged),
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

    def _mark(self, key: ItemKey) -> Action:
        row = marker_key(key) | key_to_row(key)
        return {"Put": {"TableName": self.ledger_table, "Item": row}}

    def _unmark(self, key: ItemKey) -> Action:
        return {"Delete": {"TableName": self.ledger_table, "Key": marker_key(key)}}

    @staticmethod
    def _put_new(table: str, schema: TableSchema, row: Row) -> Action:
        return {"Put": {"TableName": table, "Item": row, **_is_free(schema)}}


def _is_free(schema: TableSchema) -> dict[str, Any]:
    """Return the condition that the row does not exist, as arguments of a request."""
    expression = Expression()
    free = f"attribute_not_exists({expression.name(schema.partition_key)})"
    return expression.arguments(ConditionExpression=free)
