"""
The repository on an items table and a ledger table: one conditional write or transaction per commit.

The cost of each call is part of the contract. Create, get, edit and a page of a list take one request. A change of stock and a
deletion take one transaction. Lists by SKU and of low stock, and a page of due reservations, take one query and one batch read.
Only a list without an indexed filter, and the list of all held reservations for `reconcile`, scan a table.

Writes are idempotent, because a write is retried when its response is lost. Each transaction has one token per change. After
the token's lifetime, and for single writes, the `write_id` in the stored row identifies our own write.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

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
from inventory.ports import Change, ItemEdit, ItemFilter
from inventory.reservations import Reservation, ReservationState
from inventory.stock import Movement
from inventory.timeouts import time_left
from inventory_adapters.aws.transport import Transport
from inventory_adapters.storage import cursors
from inventory_adapters.storage.dynamodb.actions import Action, Actions
from inventory_adapters.storage.dynamodb.calls import Calls, RefusedError
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.lists import (
    KEYS_ONLY,
    MAX_BATCH,
    MAX_READS,
    Budget,
    Chunk,
    Place,
    key_at,
    list_request,
    place_of,
)
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    idempotency_record_key,
    key_to_row,
    number,
    reservation_key,
    row_to_idempotency_record,
    row_to_item,
    row_to_key,
    row_to_movement,
    row_to_reservation,
    seq_of,
    text,
    value_of,
    was_written_by,
)
from inventory_adapters.storage.dynamodb.schema import (
    DUE_INDEX,
    DUE_SHARD,
    movement_sk,
    movements_pk,
)
from inventory_adapters.storage.unreadable import read_rows, skipped

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient

__all__ = ["DynamoDBRepository"]

_LOGGER: Final = logging.getLogger(__name__)

# Source: API reference of TransactWriteItems.
_MAX_ACTIONS: Final = 100

_MAX_EMPTY_BATCHES: Final = 5

# The key of a row of the ledger, and the order of the due index.
_LEDGER_KEY: Final = ("pk", "sk")
_BY_EXPIRY: Final = ("expires_at", "pk", "sk")
_DUE: Final = cursors.fingerprint("held", "due")
_ALL_HELD: Final = cursors.fingerprint("held", "all")
# The most bytes of each part. Source: "Quotas in Amazon DynamoDB", partition keys and sort keys.
_LEDGER_KEY_BYTES: Final = (2048, 1024)
_BY_EXPIRY_BYTES: Final = (1024, 2048, 1024)

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
        table: The name of the table with the schema `schema.ITEMS`.
        ledger_table: The name of the table with the schema `schema.LEDGER`; defaults to ``<table>-ledger``.
        pause: Sleeps a number of seconds between two attempts at the same call.
    """

    def __init__(
        self,
        source: "boto3.Session | BaseClient | Transport",
        *,
        table: str,
        ledger_table: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        ledger_table = ledger_table or f"{table}-ledger"
        self._call = Calls(_transport_of(source), pause=pause)
        self._pause = pause
        self._table = table
        self._ledger_table = ledger_table
        self._actions = Actions(table=table, ledger_table=ledger_table)

    def get_item(self, key: ItemKey) -> Item | None:
        row = self._row(self._table, key_to_row(key))
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
        return tuple(map(row_to_item, self._rows(self._table, unique)))

    def list_items(self, item_filter: ItemFilter, page: PageRequest) -> Page[Item]:
        """
        See `inventory.ports.InventoryRepository.list_items`.

        Rows without a status are `available`, but are in no index by status.
        """
        place = cursors.decode_item(item_filter, page.cursor) if page.cursor is not None else None
        if place and item_filter.index == "sku" and place[-1] != item_filter.sku:
            raise InvalidCursorError
        items: list[Item] = []
        unreadable: list[tuple[int, UnreadableRowError]] = []
        budget = Budget()
        while True:
            # One more than the page has, to know whether it is the last.
            limit = budget.limit(item_filter, page.size + 1 - len(items))
            chunk = self._chunk(item_filter, place, limit)
            for row in chunk.rows:
                try:
                    item = row_to_item(row)
                except UnreadableRowError as error:
                    unreadable.append((len(items), error))
                else:
                    if item_filter.matches(item):
                        items.append(item)
            place = chunk.end
            budget.spend(chunk)
            if place is None or len(items) > page.size or budget.is_spent:
                break
        if len(items) > page.size:
            del items[page.size :]
            place = item_filter.position(items[-1])
            # The next page reads the rows after the last item of this page again.
            unreadable = [(after, error) for after, error in unreadable if after < page.size]
        return Page(
            items=tuple(items),
            next_cursor=_cursor(item_filter, place),
            unreadable=skipped([error for _, error in unreadable]),
        )

    def list_movements(self, key: ItemKey, page: PageRequest) -> Page[Movement]:
        before = cursors.decode_movement(key, page.cursor) if page.cursor is not None else None
        rows: list[Row] = []
        while len(rows) < page.size:
            more, has_more = self._movements(key, before, limit=page.size - len(rows))
            rows += more
            if not has_more:
                break
            # A read ends after 1 MB, even if it has few rows.
            before = seq_of(rows[-1])
        is_full = len(rows) == page.size
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_movement, unreadable)),
            next_cursor=cursors.encode_movement(key, seq_of(rows[-1])) if is_full else None,
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
        row = self._row(self._ledger_table, reservation_key(reservation_id))
        return None if row is None else row_to_reservation(row)

    def held_reservations(
        self,
        page: PageRequest,
        *,
        due_by: Timestamp | None = None,
        ends_after: Timestamp | None = None,
    ) -> Page[Reservation]:
        if due_by is not None:
            return self._by_expiry(page, "<=", due_by)
        return (
            self._all_held(page) if ends_after is None else self._by_expiry(page, ">", ends_after)
        )

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        row = self._row(self._ledger_table, idempotency_record_key(record_id))
        return None if row is None else row_to_idempotency_record(row)

    def purge(self, at: Timestamp) -> int:  # noqa: ARG002 - DynamoDB's TTL goes by its own clock
        """See `inventory.ports.InventoryRepository.purge`; TTL deletes rows with `delete_after`."""
        return 0

    def commit(self, change: Change) -> None:
        if change.is_empty:
            return
        try:
            self._write(list(self._actions.of(change)), write_id=change.write_id)
        except RefusedError as refused:
            # An earlier attempt of this write may be the reason.
            if refused.maybe_applied and self._was_committed(change):
                return
            if change.idempotency_record is not None and any(refused.failed[:1]):
                raise DuplicateRequestError from refused
            raise StaleReadError from refused

    def edit_item(self, edit: ItemEdit) -> Item:
        if edit.versions is not None and not edit.versions:
            raise StaleReadError(self.get_item(edit.key))
        expression = Expression()
        fields = {**edit.fields, "updated_at": edit.at}
        version = expression.name("version")
        zero, one = expression.value(number(0)), expression.value(number(1))
        assignments = [
            *(
                f"{expression.name(name)} = {expression.value(value_of(value))}"
                for name, value in fields.items()
            ),
            f"{version} = if_not_exists({version}, {zero}) + {one}",
            *expression.write_marker(edit.write_id),
        ]
        conditions = [expression.readable(), expression.not_written_by(edit.write_id)]
        if edit.versions is not None:
            conditions.append(expression.version_in(edit.versions))
        try:
            answer = self._call(
                "UpdateItem",
                TableName=self._table,
                Key=key_to_row(edit.key),
                **expression.arguments(
                    UpdateExpression="SET " + ", ".join(assignments),
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

    # Reading

    def _row(self, table: str, key: Row) -> Row | None:
        # Consistent, because a commit that is based on a stale level conflicts.
        answer = self._call("GetItem", TableName=table, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def _rows(self, table: str, keys: Sequence[Row]) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(keys), MAX_BATCH):
            rows += self._batch(table, keys[start : start + MAX_BATCH])
        return rows

    def _batch(self, table: str, keys: Sequence[Row]) -> list[Row]:
        """Return the rows with these keys; ask again for those that DynamoDB leaves out."""
        rows: list[Row] = []
        attempt = 1
        request: dict[str, Any] = {table: {"Keys": keys, "ConsistentRead": True}}
        while True:
            answer = self._call("BatchGetItem", RequestItems=request)
            part: list[Row] = answer["Responses"].get(table, [])
            rows += part
            request = answer.get("UnprocessedKeys", {})
            if not request:
                return rows
            # A large answer comes in parts. Only an empty part means that the table is throttled.
            attempt = 1 if part else attempt + 1
            pause = self._call.jitter(attempt)
            if attempt > _MAX_EMPTY_BATCHES or pause >= time_left():
                raise StorageThrottledError
            self._pause(pause)

    def _chunk(self, item_filter: ItemFilter, after: Place | None, limit: int) -> Chunk:
        """Read up to *limit* rows of a list, from after a place on."""
        operation, request = list_request(
            item_filter, after, table=self._table, ledger_table=self._ledger_table
        )
        chunk = Chunk.of(self._call(operation, **request, Limit=limit), item_filter)
        if item_filter.index not in KEYS_ONLY:
            return chunk
        keys = [row_to_key(row) for row in chunk.rows]
        rows = {
            row_to_key(row): row
            for row in self._rows(self._table, [key_to_row(key) for key in keys])
        }
        return evolve(chunk, rows=[rows[key] for key in keys if key in rows], reads=2)

    def _movements(self, key: ItemKey, before: int | None, *, limit: int) -> tuple[list[Row], bool]:
        """Return up to *limit* movements with a seq below *before*, newest first, and whether there may be more."""
        expression = Expression()
        condition = expression.equals("pk", text(movements_pk(key)))
        if before is not None:
            condition += (
                f" AND {expression.name('sk')} < {expression.value(text(movement_sk(before)))}"
            )
        answer = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            ScanIndexForward=False,
            Limit=limit,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return answer["Items"], "LastEvaluatedKey" in answer

    def _by_expiry(
        self, page: PageRequest, comparison: Literal["<=", ">"], at: Timestamp
    ) -> Page[Reservation]:
        place = (
            cursors.decode(page.cursor, _DUE, _BY_EXPIRY_BYTES) if page.cursor is not None else None
        )
        if place is not None and not _compares(place[0], comparison, at):
            # DynamoDB rejects a start key outside of the query's range.
            return Page(items=())
        limit = min(page.size, MAX_BATCH)
        answer = self._call("Query", **self._expiry_query(place, comparison, at, limit))
        # The index may lag behind the table, so the rows themselves decide.
        keys = [{name: row[name] for name in _LEDGER_KEY} for row in answer["Items"]]
        unreadable: list[UnreadableRowError] = []
        rows = self._rows(self._ledger_table, keys)
        reservations = [
            reservation
            for reservation in read_rows(rows, row_to_reservation, unreadable)
            if reservation.state is ReservationState.HELD
            and _compares(reservation.expires_at, comparison, at)
        ]
        reservations.sort(key=lambda reservation: reservation.position)
        end = answer.get("LastEvaluatedKey")
        return Page(
            items=tuple(reservations),
            next_cursor=None if end is None else cursors.encode(_DUE, place_of(end, _BY_EXPIRY)),
            unreadable=skipped(unreadable),
        )

    def _expiry_query(
        self, place: Place | None, comparison: Literal["<=", ">"], at: Timestamp, limit: int
    ) -> dict[str, Any]:
        expression = Expression()
        expiry = f"{expression.name('expires_at')} {comparison} {expression.value(text(at))}"
        shard = expression.equals("due_shard", text(DUE_SHARD))
        request = {
            "TableName": self._ledger_table,
            "IndexName": DUE_INDEX.name,
            "Limit": limit,
            **expression.arguments(KeyConditionExpression=f"{shard} AND {expiry}"),
        }
        if place is not None:
            request["ExclusiveStartKey"] = {
                "due_shard": text(DUE_SHARD),
                **key_at(_BY_EXPIRY, place),
            }
        return request

    def _all_held(self, page: PageRequest) -> Page[Reservation]:
        place = (
            cursors.decode(page.cursor, _ALL_HELD, _LEDGER_KEY_BYTES)
            if page.cursor is not None
            else None
        )
        rows: list[Row] = []
        for reads in range(MAX_READS):
            # Twice as many each time, because most rows of the ledger are movements.
            answer = self._held(place, limit=page.size << reads)
            rows += answer["Items"]
            end = answer.get("LastEvaluatedKey")
            place = None if end is None else place_of(end, _LEDGER_KEY)
            if place is None or len(rows) >= page.size:
                break
        if len(rows) > page.size:
            del rows[page.size :]
            place = place_of(rows[-1], _LEDGER_KEY)
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_reservation, unreadable)),
            next_cursor=None if place is None else cursors.encode(_ALL_HELD, place),
            unreadable=skipped(unreadable),
        )

    def _held(self, place: Place | None, *, limit: int) -> dict[str, Any]:
        expression = Expression()
        held = expression.equals("state", text(ReservationState.HELD))
        request = {
            "TableName": self._ledger_table,
            "ConsistentRead": True,
            "Limit": limit,
            **expression.arguments(FilterExpression=held),
        }
        if place is not None:
            request["ExclusiveStartKey"] = key_at(_LEDGER_KEY, place)
        return self._call("Scan", **request)

    # Writing

    def _write(self, actions: list[Action], *, write_id: str) -> None:
        """Apply all of *actions* or none."""
        if len(actions) > _MAX_ACTIONS:
            msg = f"a transaction has at most {_MAX_ACTIONS} actions, not {len(actions)}"
            raise ValueError(msg)
        [(verb, arguments), *others] = (part for action in actions for part in action.items())
        if not others and verb in _SINGLE_WRITES:
            self._call(_SINGLE_WRITES[verb], **arguments)
            return
        # A hash, because a token has at most 36 characters; with the table, because tokens are unique per account and two
        # inventories may use equal write IDs. Source: API reference of TransactWriteItems.
        token = sha256(f"{self._ledger_table}#{write_id}".encode()).hexdigest()[:32]
        self._call("TransactWriteItems", TransactItems=actions, ClientRequestToken=token)

    def _was_committed(self, change: Change) -> bool:
        """Return whether *change* is stored."""
        row = self._row(*self._actions.marked_row(change))
        return row is not None and was_written_by(row, change.write_id)


def _compares(left: str, comparison: Literal["<=", ">"], right: str) -> bool:
    return left <= right if comparison == "<=" else left > right


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
