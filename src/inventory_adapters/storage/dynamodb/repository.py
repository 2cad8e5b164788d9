"""
The repository on an items table and a ledger table: one conditional write or transaction per commit.

The cost of each call is part of the contract. Create, get, edit and a page of a list take one request. A change of stock and a
deletion take one transaction. Lists by SKU and of low stock take one query and one batch read, a page of reservations one batch
read after one query (of an item) or eight (of all shards). Only a list without an indexed filter, and the list of all held
reservations for `reconcile`, scan a table.

Writes are idempotent, because a write is retried when its response is lost. Each transaction has one token per change. After
the token's lifetime, and for single writes, the `write_id` in the stored row identifies our own write.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from attrs import evolve

from inventory.errors import (
    DuplicateRequestError,
    InvalidCursorError,
    StaleReadError,
    StorageThrottledError,
    UnreadableRowError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Cursor, Page, PageRequest
from inventory.ports import Change, ItemEdit, ItemFilter, MovementFilter, ReservationFilter
from inventory.reservations import Reservation
from inventory.stock import Movement
from inventory_adapters.aws.transport import Transport
from inventory_adapters.config import IndexProjection
from inventory_adapters.storage import cursors
from inventory_adapters.storage.dynamodb.actions import Action, Actions
from inventory_adapters.storage.dynamodb.calls import MAX_BATCH, Calls, RefusedError
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.lists import (
    Budget,
    Chunk,
    Place,
    list_request,
    place_in,
)
from inventory_adapters.storage.dynamodb.reservation_lists import ReservationLists, settled_by
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    edited,
    idempotency_record_key,
    key_to_row,
    ledger_key,
    number,
    reservation_key,
    row_to_idempotency_record,
    row_to_item,
    row_to_key,
    row_to_movement,
    row_to_reservation,
    seq_of,
    text,
    was_written_by,
)
from inventory_adapters.storage.dynamodb.schema import (
    LOW_STOCK_PK,
    RESTORE_KEY,
    items_schema,
    movement_sk,
    movements_pk,
)
from inventory_adapters.storage.unreadable import read_rows, skipped

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient

    from inventory.snapshots import Record
    from inventory_adapters.storage.dynamodb.snapshots import Snapshots

__all__ = ["DynamoDBRepository"]

# A single action of these kinds needs no transaction, which costs twice as much.
_SINGLE_WRITES: Final = {"Put": "PutItem", "Update": "UpdateItem"}


def _transport_of(source: "boto3.Session | BaseClient | Transport") -> Transport:
    if isinstance(source, Transport):
        return source
    # Imported here, because the functions bring a transport and have no boto3.
    from inventory_adapters.aws.boto_transport import BotoTransport  # noqa: PLC0415

    return BotoTransport(source)


class DynamoDBRepository:
    """
    Stores items and their ledger in two DynamoDB tables; safe to share between threads.

    Args:
        source: A boto3 session, a boto3 client for DynamoDB, or a `Transport`. With a session, calls observe the deadline of
            `inventory.timeouts`. A client keeps its own time-outs and retries, and may exceed the deadline.
        table: The name of the table with the schema `schema.items_schema`.
        ledger_table: The name of the table with the schema `schema.LEDGER`; defaults to ``<table>-ledger``.
        index_projection: ``keys`` if the table was created with that projection of its indexes.
        pause: Sleeps a number of seconds between two attempts at the same call.
    """

    def __init__(
        self,
        source: "boto3.Session | BaseClient | Transport",
        *,
        table: str,
        ledger_table: str | None = None,
        index_projection: IndexProjection = "all",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        ledger_table = ledger_table or f"{table}-ledger"
        self._call = Calls(_transport_of(source), pause=pause)
        self._table = table
        self._ledger_table = ledger_table
        self._indexes = {
            index.partition_key: index for index in items_schema(index_projection).indexes
        }
        # The lists whose items are read from the table.
        self._keys_only = {"low_stock"} | {
            name for name, index in self._indexes.items() if index.projection == "KEYS_ONLY"
        }
        self._actions = Actions(table=table, ledger_table=ledger_table)
        self._reservations = ReservationLists(self._call, table=ledger_table)
        self._checked_marker: Row | None = None

    def get_item(self, key: ItemKey) -> Item | None:
        row = self._call.get_row(self._table, key_to_row(key))
        return None if row is None else row_to_item(row)

    def find_item(self, item_id: str) -> Item | None:
        expression = Expression()
        condition = expression.equals("item_id", text(item_id))
        answer = self._call(
            "Query",
            TableName=self._table,
            ConsistentRead=True,
            Limit=1,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return next(map(row_to_item, answer["Items"]), None)

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        unique = [key_to_row(key) for key in dict.fromkeys(keys)]
        return tuple(map(row_to_item, self._call.get_rows(self._table, unique)))

    def list_items(self, item_filter: ItemFilter, page: PageRequest) -> Page[Item]:
        """
        See `inventory.ports.InventoryRepository.list_items`.

        Rows without a status are `available`, but are in no index by status.
        """
        place = cursors.decode_item(item_filter, page.cursor) if page.cursor is not None else None
        if place and item_filter.index == "sku" and place[-1] != item_filter.sku:
            raise InvalidCursorError
        items: list[Item] = []
        walked: list[Row] = []
        unreadable: list[tuple[int, UnreadableRowError]] = []
        budget = Budget(keys_only=item_filter.index in self._keys_only)
        while True:
            # One more than the page has, to know whether it is the last.
            limit = budget.limit(item_filter, page.size + 1 - len(items))
            chunk = self._chunk(item_filter, place, limit)
            for walked_row, row in chunk.rows:
                try:
                    item = row_to_item(row)
                except UnreadableRowError as error:
                    unreadable.append((len(items), error))
                else:
                    if item_filter.matches(item):
                        items.append(item)
                        walked.append(walked_row)
            place = chunk.end
            budget.spend(chunk)
            if place is None or len(items) > page.size or budget.is_spent:
                break
        if len(items) > page.size:
            del items[page.size :]
            # Not the place of the item, which may have been edited since the index was read.
            place = place_in(item_filter, walked[page.size - 1])
            # The next page reads the rows after the last item of this page again.
            unreadable = [(after, error) for after, error in unreadable if after < page.size]
        return Page(
            items=tuple(items),
            next_cursor=_cursor(item_filter, place),
            unreadable=skipped([error for _, error in unreadable]),
        )

    def list_movements(self, movement_filter: MovementFilter, page: PageRequest) -> Page[Movement]:
        last_seq = movement_filter.last_seq
        if page.cursor is not None:
            last_seq = cursors.decode_movement(movement_filter, page.cursor) - 1
        rows: list[Row] = []
        while len(rows) < page.size:
            more, has_more = self._movements(
                movement_filter.key, last_seq, limit=page.size - len(rows)
            )
            rows += more
            if not has_more:
                break
            # A read ends after 1 MB, even if it has few rows.
            last_seq = seq_of(rows[-1]) - 1
        is_full = len(rows) == page.size
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_movement, unreadable)),
            next_cursor=cursors.encode_movement(movement_filter, seq_of(rows[-1]))
            if is_full
            else None,
            unreadable=skipped(unreadable),
        )

    def first_movement(self, key: ItemKey) -> Movement | None:
        expression = Expression()
        condition = expression.equals("pk", text(movements_pk(key)))
        answer = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            Limit=1,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return next(map(row_to_movement, answer["Items"]), None)

    def get_reservation(self, reservation_id: str) -> Reservation | None:
        row = self._call.get_row(self._ledger_table, reservation_key(reservation_id))
        return None if row is None else row_to_reservation(row)

    def get_reservations(self, reservation_ids: Iterable[str]) -> tuple[Reservation, ...]:
        keys = [reservation_key(each) for each in dict.fromkeys(reservation_ids)]
        unreadable: list[UnreadableRowError] = []
        rows = self._call.get_rows(self._ledger_table, keys)
        reservations = tuple(read_rows(rows, row_to_reservation, unreadable))
        skipped(unreadable)
        return reservations

    def held_reservations(self, page: PageRequest) -> Page[Reservation]:
        return self._reservations.all_held(page)

    def list_reservations(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        return self._reservations.matching(reservation_filter, page)

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        row = self._call.get_row(self._ledger_table, idempotency_record_key(record_id))
        return None if row is None else row_to_idempotency_record(row)

    def purge(self, at: Timestamp) -> int:
        """
        See `inventory.ports.InventoryRepository.purge`; TTL deletes rows with `delete_after`.

        Checks a page of low-stock markers, after those that the last call checked, and deletes stale ones.
        """
        expression = Expression()
        condition = expression.equals("pk", text(LOW_STOCK_PK))
        start = {} if self._checked_marker is None else {"ExclusiveStartKey": self._checked_marker}
        answer = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            Limit=MAX_BATCH,
            **start,
            **expression.arguments(KeyConditionExpression=condition),
        )
        self._checked_marker = answer.get("LastEvaluatedKey")
        settled = settled_by(at)
        markers = {row_to_key(row): row for row in answer["Items"] if row["put_at"]["S"] < settled}
        unreadable: list[UnreadableRowError] = []
        rows = self._call.get_rows(self._table, [key_to_row(key) for key in markers])
        for item in read_rows(rows, row_to_item, unreadable):
            if item.is_low:
                del markers[item.key]
        if not unreadable:
            for marker in markers.values():
                self._delete_marker(marker)
        return 0

    def commit(self, change: Change) -> None:
        if change.is_empty:
            return
        writes = self._actions.of(change)
        puts = [{"PutRequest": {"Item": row}} for row in writes.before]
        self._call.write_rows(self._ledger_table, puts)
        try:
            self._write(writes.actions, write_id=change.write_id)
        except RefusedError as refused:
            # An earlier attempt of this write may be the reason.
            if not (refused.maybe_applied and self._was_committed(change)):
                if change.idempotency_record is not None and any(refused.failed[:1]):
                    raise DuplicateRequestError from refused
                raise StaleReadError from refused
        self._reservations.delete_pointers(writes.after)

    def edit_item(self, edit: ItemEdit) -> Item:
        if edit.versions is not None and not edit.versions:
            raise StaleReadError(self.get_item(edit.key))
        expression = Expression()
        changes = edited({**edit.fields, "updated_at": edit.at, "changed_by": edit.actor})
        version = expression.name("version")
        zero, one = expression.value(number(0)), expression.value(number(1))
        increment = f"{version} = if_not_exists({version}, {zero}) + {one}"
        conditions = [expression.readable(), expression.not_written_by(edit.write_id)]
        if edit.versions is not None:
            conditions.append(expression.version_in(edit.versions))
        try:
            answer = self._call(
                "UpdateItem",
                TableName=self._table,
                Key=key_to_row(edit.key),
                **expression.arguments(
                    UpdateExpression=expression.update(changes, edit.write_id, increment),
                    ConditionExpression=" AND ".join(conditions),
                ),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except RefusedError as refused:
            if refused.row is not None and was_written_by(refused.row, edit.write_id):
                return row_to_item(refused.row)
            raise _translated(refused) from refused
        return row_to_item(answer["Attributes"])

    def restore_id(self) -> str | None:
        row = self._call.get_row(self._ledger_table, RESTORE_KEY)
        return None if row is None else row["restore_id"]["S"]

    def snapshot(self) -> Iterator["Record"]:
        return self._snapshots.read_all()

    def start_restore(self, restore_id: str) -> None:
        self._snapshots.start(restore_id)

    def restore(self, records: Sequence["Record"]) -> None:
        self._snapshots.store(records)

    def finish_restore(self) -> None:
        self._snapshots.finish()

    @property
    def _snapshots(self) -> "Snapshots":
        # Imported here, because the functions copy no records.
        from inventory_adapters.storage.dynamodb.snapshots import Snapshots  # noqa: PLC0415

        return Snapshots(self._call, self.restore_id, self._table, self._ledger_table)

    # Reading

    def _chunk(self, item_filter: ItemFilter, after: Place | None, limit: int) -> Chunk:
        """Read up to *limit* rows of a list, from after a place on."""
        operation, request = list_request(
            item_filter,
            after,
            table=self._table,
            ledger_table=self._ledger_table,
            index=self._indexes.get(item_filter.index),
        )
        chunk = Chunk.of(self._call(operation, **request, Limit=limit), item_filter)
        if item_filter.index not in self._keys_only:
            return chunk
        # An item that was edited meanwhile may be in its index twice.
        walked = {row_to_key(row): row for row, _ in chunk.rows}
        rows = {
            row_to_key(row): row
            for row in self._call.get_rows(self._table, [key_to_row(key) for key in walked])
        }
        found = [(row, rows[key]) for key, row in walked.items() if key in rows]
        return evolve(chunk, rows=found, reads=2)

    def _movements(
        self, key: ItemKey, last_seq: int | None, *, limit: int
    ) -> tuple[list[Row], bool]:
        """Return up to *limit* movements with a seq up to *last_seq*, newest first, and whether there may be more."""
        expression = Expression()
        condition = expression.equals("pk", text(movements_pk(key)))
        if last_seq is not None:
            last = expression.value(text(movement_sk(last_seq)))
            condition += f" AND {expression.name('sk')} <= {last}"
        answer = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            ScanIndexForward=False,
            Limit=limit,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return answer["Items"], "LastEvaluatedKey" in answer

    # Writing

    def _write(self, actions: list[Action], *, write_id: str) -> None:
        """Apply all of *actions* or none."""
        [(verb, arguments), *others] = (part for action in actions for part in action.items())
        if not others and verb in _SINGLE_WRITES:
            self._call(_SINGLE_WRITES[verb], **arguments)
            return
        # A hash, because a token has at most 36 characters; with the table, because tokens are unique per account and two
        # inventories may use equal write IDs. Source: API reference of TransactWriteItems.
        token = sha256(f"{self._ledger_table}#{write_id}".encode()).hexdigest()[:32]
        self._call("TransactWriteItems", TransactItems=actions, ClientRequestToken=token)

    def _delete_marker(self, marker: Row) -> None:
        """Delete a low-stock marker, unless it was put again."""
        expression = Expression()
        unchanged = expression.equals("put_at", marker["put_at"])
        with suppress(RefusedError):
            self._call(
                "DeleteItem",
                TableName=self._ledger_table,
                Key=ledger_key(marker),
                **expression.arguments(ConditionExpression=unchanged),
            )

    def _was_committed(self, change: Change) -> bool:
        """Return whether *change* is stored."""
        row = self._call.get_row(*self._actions.marked_row(change))
        return row is not None and was_written_by(row, change.write_id)


def _cursor(item_filter: ItemFilter, place: Place | None) -> Cursor | None:
    return None if place is None else cursors.encode(cursors.fingerprint(item_filter), place)


def _translated(refused: RefusedError) -> Exception:
    """Return the error of a single write that was refused, and not applied before."""
    if refused.was_conflict:
        return StorageThrottledError()
    try:
        return StaleReadError(None if refused.row is None else row_to_item(refused.row))
    except UnreadableRowError as error:
        return error
