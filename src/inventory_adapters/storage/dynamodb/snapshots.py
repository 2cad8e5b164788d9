"""Snapshots and restores of the two tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from attrs import frozen

from inventory.errors import TargetNotEmptyError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item
from inventory.reservations import Reservation
from inventory.snapshots import Record
from inventory.stock import Movement
from inventory_adapters.storage.dynamodb.calls import Calls, RefusedError
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    idempotency_record_to_row,
    item_to_row,
    marker_to_row,
    movement_to_row,
    pointers,
    reservation_to_row,
    row_to_idempotency_record,
    row_to_item,
    row_to_movement,
    row_to_reservation,
    text,
)
from inventory_adapters.storage.dynamodb.schema import (
    IDEMPOTENCY_SK,
    MOVEMENT_PREFIX,
    RESERVATION_SK,
    RESTORE_KEY,
)

__all__ = ["Snapshots"]

# The kinds of records in the ledger, by the start of their sort key, in the order of a snapshot. Each takes one scan: as the
# rows have no order, one scan for all would have to hold back the reservations.
_LEDGER: Final[dict[str, Callable[[Row], Record]]] = {
    MOVEMENT_PREFIX: row_to_movement,
    IDEMPOTENCY_SK: row_to_idempotency_record,
    RESERVATION_SK: row_to_reservation,
}


@frozen
class Snapshots:
    """
    Reads and writes every record.

    Args:
        call: Calls DynamoDB.
        restore_id: Returns the ID in the mark of a restore.
        table: The items.
        ledger_table: The ledger.
    """

    _call: Calls
    _restore_id: Callable[[], str | None]
    _table: str
    _ledger_table: str

    def read_all(self) -> Iterator[Record]:
        """See `inventory.snapshots.SnapshotRepository.snapshot`."""
        yield from map(row_to_item, self._scan(self._table))
        for kind, read in _LEDGER.items():
            expression = Expression()
            is_kind = f"begins_with({expression.name('sk')}, {expression.value(text(kind))})"
            rows = self._scan(self._ledger_table, **expression.arguments(FilterExpression=is_kind))
            yield from map(read, rows)

    def start(self, restore_id: str) -> None:
        """See `inventory.snapshots.SnapshotRepository.start_restore`."""
        current = self._restore_id()
        if current == restore_id:
            return
        tables = (self._table, self._ledger_table)
        if current is not None or any(any(self._scan(name, Limit=1)) for name in tables):
            raise TargetNotEmptyError
        expression = Expression()
        free = f"attribute_not_exists({expression.name('pk')})"
        try:
            self._call(
                "PutItem",
                TableName=self._ledger_table,
                Item={**RESTORE_KEY, "restore_id": text(restore_id)},
                **expression.arguments(ConditionExpression=free),
            )
        except RefusedError as refused:
            # Another restore started meanwhile, or this is the second attempt of this write.
            if self._restore_id() != restore_id:
                raise TargetNotEmptyError from refused

    def store(self, records: Sequence[Record]) -> None:
        """
        Store *records* and the rows that are derived from them.

        Every row names the restore, so that a publisher of events can skip it.

        Raises:
            TargetNotEmptyError: The tables are not being restored.
        """
        restore_id = self._restore_id()
        if restore_id is None:
            raise TargetNotEmptyError
        restored = {"restored": text(restore_id)}
        items = [record for record in records if isinstance(record, Item)]
        self._put(self._table, map(item_to_row, items), restored)
        self._put(self._ledger_table, _ledger_rows(records), restored)

    def finish(self) -> None:
        """Remove the mark."""
        self._call("DeleteItem", TableName=self._ledger_table, Key=RESTORE_KEY)

    def _scan(self, table: str, **arguments: Any) -> Iterator[Row]:
        while True:
            answer = self._call("Scan", TableName=table, ConsistentRead=True, **arguments)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _put(self, table: str, rows: Iterable[Row], restored: Row) -> None:
        puts = [{"PutRequest": {"Item": {**row, **restored}}} for row in rows]
        self._call.write_rows(table, puts)


def _ledger_rows(records: Iterable[Record]) -> Iterator[Row]:
    for record in records:
        match record:
            case Item():
                if record.is_low:
                    yield marker_to_row(record)
            case Movement():
                yield movement_to_row(record)
            case IdempotencyRecord():
                yield idempotency_record_to_row(record)
            case Reservation():
                yield from pointers(record).values()
                yield reservation_to_row(record)
