"""
The repository on an items table and a ledger table: one conditional write or transaction per commit.

The cost of each call is part of the contract. Create, get, edit and a page of a list take one request. A change of stock and a
deletion take one transaction. Lists by SKU and of low stock take one query and one batch read, a page of reservations one batch
read after one query (of an item) or eight (of all shards). Only a list without an indexed filter, and the list of all held
reservations for `reconcile`, scan a table.

Writes are idempotent, because a write is retried when its response is lost. Each transaction has one token per change. After
the token's lifetime, and for single writes, the `write_id` in the stored row identifies our own write.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from inventory.errors import (
    DuplicateRequestError,
    InvalidCursorError,
    StaleReadError,
    StorageError,
    StorageThrottledError,
    UnreadableRowError,
)
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item, ItemKey, Timestamp
from inventory.paging import Cursor, Page, PageRequest
from inventory.ports import Change, ItemEdit, ItemFilter, MovementFilter, ReservationFilter
from inventory.reservations import Reservation, ReservationState
from inventory.stock import Movement
from inventory.timeouts import deadline, time_left
from inventory_adapters.aws.transport import ServiceError, Transport
from inventory_adapters.storage import cursors
from inventory_adapters.storage.dynamodb.actions import Action, Actions
from inventory_adapters.storage.dynamodb.calls import Calls, RefusedError
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.lists import (
    MAX_BATCH,
    MAX_READS,
    Budget,
    Chunk,
    Place,
    key_at,
    list_request,
    place_in,
    place_of,
)
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    edited,
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
    was_written_by,
)
from inventory_adapters.storage.dynamodb.schema import (
    DUE_INDEX,
    DUE_SHARDS,
    LOW_STOCK_PK,
    RESERVATION_SK,
    IndexProjection,
    holds_pk,
    items_schema,
    movement_sk,
    movements_pk,
    reservation_pk,
)
from inventory_adapters.storage.unreadable import read_rows, skipped

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient

__all__ = ["DynamoDBRepository"]

_LOGGER: Final = logging.getLogger(__name__)

# Source: API reference of BatchWriteItem.
_MAX_BATCH_WRITES: Final = 25
_MAX_EMPTY_BATCHES: Final = 5

# A batch write after a transaction may take this long, because nobody needs to wait for it.
_CLEANUP_SECONDS: Final = 1.0
# A marker or a pointer of this age belongs to no change that is under way.
_SETTLED: Final = timedelta(hours=1)

# Before and after every time, as text.
_FIRST: Final = "0"
_LAST: Final = "9~"

# The key of a row of the ledger, and the order of the due index.
_LEDGER_KEY: Final = ("pk", "sk")
_BY_EXPIRY: Final = ("expires_at", "pk")
_ALL_HELD: Final = cursors.fingerprint("held", "all")
# The most bytes of each part. Source: "Quotas in Amazon DynamoDB", partition keys and sort keys.
_LEDGER_KEY_BYTES: Final = (2048, 1024)
_BY_EXPIRY_BYTES: Final = (1024, 2048)
_POINTER_BYTES: Final = (1024,)

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
        self._pause = pause
        self._table = table
        self._ledger_table = ledger_table
        self._indexes = {
            index.partition_key: index for index in items_schema(index_projection).indexes
        }
        self._actions = Actions(table=table, ledger_table=ledger_table)
        self._checked_marker: Row | None = None

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
        walked: list[Row] = []
        unreadable: list[tuple[int, UnreadableRowError]] = []
        budget = Budget(keys_only=self._has_only_keys(item_filter))
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
        row = self._row(self._ledger_table, reservation_key(reservation_id))
        return None if row is None else row_to_reservation(row)

    def get_reservations(self, reservation_ids: Iterable[str]) -> tuple[Reservation, ...]:
        keys = [reservation_key(each) for each in dict.fromkeys(reservation_ids)]
        unreadable: list[UnreadableRowError] = []
        rows = self._rows(self._ledger_table, keys)
        reservations = tuple(read_rows(rows, row_to_reservation, unreadable))
        skipped(unreadable)
        return reservations

    def list_reservations(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        query, key = cursors.fingerprint(reservation_filter), reservation_filter.key
        size = min(page.size, MAX_BATCH)
        after: Place = ()
        if page.cursor is not None:
            limits = _BY_EXPIRY_BYTES if key is None else _POINTER_BYTES
            after = cursors.decode(page.cursor, query, limits)
        pointers: list[Row] = []
        if key is None:
            places, end = self._due(reservation_filter, after, size)
            pks = [pk for _, pk in places]
        else:
            pointers, end = self._holding(reservation_filter, key, after, size)
            pks = [reservation_pk(row["reservation_id"]["S"]) for row in pointers]
        # The index may lag behind the table, and a pointer may be stale, so the rows themselves decide.
        rows = self._rows(
            self._ledger_table,
            [{"pk": text(pk), "sk": text(RESERVATION_SK)} for pk in dict.fromkeys(pks)],
        )
        unreadable: list[UnreadableRowError] = []
        reservations = read_rows(rows, row_to_reservation, unreadable)
        if key is not None and reservation_filter.due_by is not None and not unreadable:
            # Only verbs that write ask for what is due.
            self._drop_stale(pointers, key, reservations, reservation_filter.due_by)
        matching = [each for each in reservations if reservation_filter.matches(each)]
        matching.sort(key=lambda reservation: reservation.position)
        return Page(
            items=tuple(matching),
            next_cursor=None if end is None else cursors.encode(query, end),
            unreadable=skipped(unreadable),
        )

    def get_idempotency_record(self, record_id: str) -> IdempotencyRecord | None:
        row = self._row(self._ledger_table, idempotency_record_key(record_id))
        return None if row is None else row_to_idempotency_record(row)

    def purge(self, at: Timestamp) -> int:
        """
        See `inventory.ports.InventoryRepository.purge`; TTL deletes rows with `delete_after`.

        Checks a page of low-stock markers, after those that the last call checked, and deletes stale ones.
        """
        answer = self._call("Query", **self._markers_request())
        self._checked_marker = answer.get("LastEvaluatedKey")
        settled = _settled(at)
        markers = {row_to_key(row): row for row in answer["Items"] if row["put_at"]["S"] < settled}
        unreadable: list[UnreadableRowError] = []
        rows = self._rows(self._table, [key_to_row(key) for key in markers])
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
        self._write_batch([{"PutRequest": {"Item": row}} for row in writes.before])
        try:
            self._write(writes.actions, write_id=change.write_id)
        except RefusedError as refused:
            # An earlier attempt of this write may be the reason.
            if not (refused.maybe_applied and self._was_committed(change)):
                if change.idempotency_record is not None and any(refused.failed[:1]):
                    raise DuplicateRequestError from refused
                raise StaleReadError from refused
        self._delete_pointers(writes.after)

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
            self._wait_for_capacity(attempt)

    def _wait_for_capacity(self, attempt: int) -> None:
        pause = self._call.jitter(attempt)
        if attempt > _MAX_EMPTY_BATCHES or pause >= time_left():
            raise StorageThrottledError
        self._pause(pause)

    def _has_only_keys(self, item_filter: ItemFilter) -> bool:
        """Return whether a list is walked by rows that have only the keys of items."""
        index = self._indexes.get(item_filter.index)
        return item_filter.index == "low_stock" or (
            index is not None and index.projection == "KEYS_ONLY"
        )

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
        if not self._has_only_keys(item_filter):
            return chunk
        # An item that was edited meanwhile may be in its index twice.
        walked = {row_to_key(row): row for row, _ in chunk.rows}
        rows = {
            row_to_key(row): row
            for row in self._rows(self._table, [key_to_row(key) for key in walked])
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

    def _holding(
        self, reservation_filter: ReservationFilter, key: ItemKey, after: Place, size: int
    ) -> tuple[list[Row], Place | None]:
        """Return pointers to reservations that hold an item, and the place of the last if there may be more."""
        expression = Expression()
        pk = text(holds_pk(key))
        request: dict[str, Any] = {}
        if after:
            request["ExclusiveStartKey"] = {"pk": pk, **key_at(("sk",), after)}
        # "~" sorts after the "#" that follows the time.
        last = expression.value(text(f"{reservation_filter.due_by or _LAST}~"))
        condition = f"{expression.equals('pk', pk)} AND {expression.name('sk')} <= {last}"
        answer = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            # One more than the page has, to know whether it is the last.
            Limit=size + 1,
            **request,
            **expression.arguments(KeyConditionExpression=condition),
        )
        rows: list[Row] = answer["Items"]
        has_more = len(rows) > size or "LastEvaluatedKey" in answer
        del rows[size:]
        return rows, place_of(rows[-1], ("sk",)) if has_more else None

    def _due(
        self, reservation_filter: ReservationFilter, after: Place, size: int
    ) -> tuple[list[Place], Place | None]:
        """Return places in the due index, merged from all shards, and the last of them if there may be more."""
        first = after[0] if after else reservation_filter.ends_after or _FIRST
        last = reservation_filter.due_by or _LAST
        # On average a shard has an eighth of the page.
        limit = 2 * ceil(size / len(DUE_SHARDS))
        shards = [self._due_in(shard, first, last, after, limit) for shard in DUE_SHARDS]
        # Up to the first end of a shard that has more, the rows of all shards are complete.
        end = min((end for _, end in shards if end is not None), default=None)
        places = sorted(
            place for part, _ in shards for place in part if end is None or place[0] < end
        )
        has_more = end is not None or len(places) > size
        del places[size:]
        return places, places[-1] if has_more else None

    def _due_in(
        self, shard: str, first: str, last: str, after: Place, limit: int
    ) -> tuple[list[Place], str | None]:
        """
        Return places after a place in one shard, and the time up to which they are complete, if there may be more.

        An index has rows of one time in no particular order, so the place of another shard cannot be a start key here.
        """
        expression = Expression()
        times = f"{expression.name('expires_at')} BETWEEN {expression.value(text(first))} AND {expression.value(text(last))}"
        condition = f"{expression.equals('due_shard', text(shard))} AND {times}"
        request: dict[str, Any] = {
            "TableName": self._ledger_table,
            "IndexName": DUE_INDEX.name,
            "Limit": limit,
            **expression.arguments(KeyConditionExpression=condition),
        }
        places: list[Place] = []
        while True:
            answer = self._call("Query", **request)
            places += [
                place for row in answer["Items"] if (place := place_of(row, _BY_EXPIRY)) > after
            ]
            if "LastEvaluatedKey" not in answer:
                return places, None
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            end: str = answer["LastEvaluatedKey"]["expires_at"]["S"]
            if any(place[0] < end for place in places):
                return places, end

    def _drop_stale(
        self, pointers: list[Row], key: ItemKey, reservations: list[Reservation], at: Timestamp
    ) -> None:
        """
        Delete the pointers to reservations that do not hold the item.

        A reservation that is missing may be in a transaction under way, so its pointer must have some age.
        """
        held = ReservationFilter(key=key)
        holding = {each.reservation_id for each in reservations if held.matches(each)}
        settled = _settled(at)
        self._delete_pointers(
            [
                {name: row[name] for name in _LEDGER_KEY}
                for row in pointers
                if row["reservation_id"]["S"] not in holding and row["put_at"]["S"] < settled
            ]
        )

    def _markers_request(self) -> dict[str, Any]:
        expression = Expression()
        condition = expression.equals("pk", text(LOW_STOCK_PK))
        request: dict[str, Any] = {
            "TableName": self._ledger_table,
            "ConsistentRead": True,
            "Limit": MAX_BATCH,
            **expression.arguments(KeyConditionExpression=condition),
        }
        if self._checked_marker is not None:
            request["ExclusiveStartKey"] = self._checked_marker
        return request

    def held_reservations(self, page: PageRequest) -> Page[Reservation]:
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
        [(verb, arguments), *others] = (part for action in actions for part in action.items())
        if not others and verb in _SINGLE_WRITES:
            self._call(_SINGLE_WRITES[verb], **arguments)
            return
        # A hash, because a token has at most 36 characters; with the table, because tokens are unique per account and two
        # inventories may use equal write IDs. Source: API reference of TransactWriteItems.
        token = sha256(f"{self._ledger_table}#{write_id}".encode()).hexdigest()[:32]
        self._call("TransactWriteItems", TransactItems=actions, ClientRequestToken=token)

    def _write_batch(self, requests: list[dict[str, Any]]) -> None:
        """Put and delete rows of the ledger, without conditions."""
        for start in range(0, len(requests), _MAX_BATCH_WRITES):
            left: Any = {self._ledger_table: requests[start : start + _MAX_BATCH_WRITES]}
            attempt = 0
            while left := self._call("BatchWriteItem", RequestItems=left).get("UnprocessedItems"):
                attempt += 1
                self._wait_for_capacity(attempt)

    def _delete_pointers(self, keys: list[Row]) -> None:
        """Delete pointers if that works at once; readers skip those that stay, and TTL deletes them."""
        try:
            with deadline(_CLEANUP_SECONDS):
                self._write_batch([{"DeleteRequest": {"Key": key}} for key in keys])
        except (RefusedError, ServiceError, StorageError):
            _LOGGER.info("pointers not deleted", exc_info=True)

    def _delete_marker(self, marker: Row) -> None:
        """Delete a low-stock marker, unless it was put again."""
        expression = Expression()
        unchanged = expression.equals("put_at", marker["put_at"])
        with suppress(RefusedError):
            self._call(
                "DeleteItem",
                TableName=self._ledger_table,
                Key={name: marker[name] for name in _LEDGER_KEY},
                **expression.arguments(ConditionExpression=unchanged),
            )

    def _was_committed(self, change: Change) -> bool:
        """Return whether *change* is stored."""
        row = self._row(*self._actions.marked_row(change))
        return row is not None and was_written_by(row, change.write_id)


def _settled(at: Timestamp) -> Timestamp:
    """Return the time up to which markers and pointers belong to no change that is under way."""
    return Timestamp.of(at.as_datetime() - _SETTLED)


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
