"""
The items table and the ledger table: one conditional write, or one transaction, per commit.

What each call costs is part of the product: create, get, edit and a page of a list are one request each; a change of stock, and
a deletion, is one transaction; lists by SKU and of low stock, and a page of what is due, are one query and one batch read. Only
a list without an indexed filter, and the reservations that `reconcile` wants, scan a table.

A write whose answer was lost is sent again, and must not apply twice. A transaction has one token per decision;
beyond the token's life, and for single writes, the `write_id` in what was stored tells our own work from another's.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from attrs import define, evolve, field, frozen

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
from inventory_adapters.storage.dynamodb.actions import Action, Actions, marker_key
from inventory_adapters.storage.dynamodb.calls import Calls, RefusedError
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    Value,
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
    CATEGORY_INDEX,
    DUE_INDEX,
    DUE_SHARD,
    LOW_STOCK_PK,
    SKU_INDEX,
    STATUS_INDEX,
    movement_sk,
    movements_pk,
)
from inventory_adapters.storage.unreadable import read_rows, skipped

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient

__all__ = ["DynamoDBRepository"]

_LOGGER: Final = logging.getLogger(__name__)

# Source: API references of TransactWriteItems and BatchGetItem.
_MAX_ACTIONS: Final = 100
_MAX_BATCH: Final = 100

# What a page may cost, and how long one more read may take.
_MOST_READS: Final = 10
_MOST_SECONDS: Final = 3.0
_MOST_BYTES: Final = 4 << 20
_ONE_READ_SECONDS: Final = 1.5

_FIRST_ROWS: Final = 100
_MOST_ROWS: Final = 2000
_MOST_EMPTY_BATCHES: Final = 5

# Source: "DynamoDB read consistency": a unit reads 8 KB where the read may lag behind, as lists may.
_BYTES_PER_UNIT: Final = 8192

_INDEXES: Final = {"sku": SKU_INDEX, "category": CATEGORY_INDEX, "status": STATUS_INDEX}
_KEYS_ONLY: Final = {"sku", "low_stock"}
_BY_ID: Final = ("item_id", "sku")
_BY_EDIT: Final = ("updated_at", "item_id", "sku")

# The key of a row of the ledger; before it, where the due index is walked, what that is ordered by.
_LEDGER_KEY: Final = ("pk", "sk")
_BY_EXPIRY: Final = ("expires_at", "pk", "sk")
_DUE: Final = cursors.fingerprint("held", "due")
_ALL_HELD: Final = cursors.fingerprint("held", "all")
# Bytes of these. Source: "Quotas in Amazon DynamoDB", partition keys and sort keys.
_LEDGER_KEY_BYTES: Final = (2048, 1024)
_BY_EXPIRY_BYTES: Final = (1024, 2048, 1024)

# Writes that need no transaction when they are alone; each action of a transaction costs twice as much.
_SINGLE_WRITES: Final = {"Put": "PutItem", "Update": "UpdateItem"}

_Place = tuple[str, ...]


def _transport_of(source: "boto3.Session | BaseClient | Transport") -> Transport:
    if isinstance(source, Transport):
        return source
    # Imported here: the functions have a transport, and no boto3.
    from inventory_adapters.aws.boto_transport import BotoTransport  # noqa: PLC0415

    return BotoTransport(source)


class DynamoDBRepository:
    """
    Keeps items and their ledger in two DynamoDB tables; safe to share between threads.

    Args:
        source: Where requests go: a boto3 session, a boto3 client for DynamoDB, or a `Transport`. With a session, calls keep to
            the deadline of `inventory.timeouts`. A client keeps its own time-outs and retries, and so may pass a deadline.
        table: The name of the table with the schema `schema.ITEMS`.
        ledger_table: The name of the one with the schema `schema.LEDGER`; defaults to ``<table>-ledger``.
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
        found = self._call(
            "Query",
            TableName=self._table,
            ConsistentRead=True,
            Limit=1,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return next(map(row_to_item, found["Items"]), None)

    def get_items(self, keys: Iterable[ItemKey]) -> tuple[Item, ...]:
        wanted = [key_to_row(key) for key in dict.fromkeys(keys)]
        return tuple(map(row_to_item, self._rows(self._table, wanted)))

    def list_items(self, wanted: ItemFilter, page: PageRequest) -> Page[Item]:
        """Rows that lack a status mean `available`, but are in no index by status."""
        place = cursors.decode_item(wanted, page.cursor) if page.cursor is not None else None
        if place and wanted.index == "sku" and place[-1] != wanted.sku:
            raise InvalidCursorError
        found: list[Item] = []
        unreadable: list[tuple[int, UnreadableRowError]] = []
        budget = _Budget()
        while True:
            # One more than asked for tells the last page from the others.
            chunk = self._chunk(wanted, place, budget.limit(wanted, page.size + 1 - len(found)))
            for row in chunk.rows:
                try:
                    item = row_to_item(row)
                except UnreadableRowError as error:
                    unreadable.append((len(found), error))
                else:
                    if wanted.passes(item):
                        found.append(item)
            place = chunk.end
            budget.spend(chunk)
            if place is None or len(found) > page.size or budget.is_spent:
                break
        if len(found) > page.size:
            del found[page.size :]
            place = wanted.position(found[-1])
            # The next page reads again what comes after the last item of this one.
            unreadable = [(after, error) for after, error in unreadable if after < page.size]
        return Page(
            items=tuple(found),
            next_cursor=_cursor(wanted, place),
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
            # A read ends after 1 MB, however few rows that was.
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
        found = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            Limit=1,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return next(map(row_to_movement, found["Items"]), None)

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
        """See `inventory.ports.InventoryRepository.purge`; DynamoDB deletes what has `delete_after`, some time later."""
        return 0

    def commit(self, change: Change) -> None:
        if change.is_empty:
            return
        try:
            self._write(list(self._actions.of(change)), write_id=change.write_id)
        except RefusedError as refused:
            # What refuses a write that was sent before may be its own first copy.
            if refused.maybe_applied and self._was_kept(change):
                return
            if change.idempotency_record is not None and any(refused.failed[:1]):
                raise DuplicateRequestError from refused
            raise StaleReadError from refused

    def edit_item(self, edit: ItemEdit) -> Item:
        if edit.versions is not None and not edit.versions:
            raise StaleReadError(self.get_item(edit.key))
        expression = Expression()
        new = {**edit.fields, "updated_at": edit.at}
        version = expression.name("version")
        zero, one = (expression.value(number(it)) for it in (0, 1))
        assignments = [
            *(f"{expression.name(it)} = {expression.value(value_of(new[it]))}" for it in new),
            f"{version} = if_not_exists({version}, {zero}) + {one}",
            *expression.signature(edit.write_id),
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
            raise _why(refused) from refused
        return row_to_item(answer["Attributes"])

    # Reading

    def _row(self, table: str, key: Row) -> Row | None:
        # ConsistentRead: a stale level makes every commit conflict.
        answer = self._call("GetItem", TableName=table, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def _rows(self, table: str, keys: Sequence[Row]) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(keys), _MAX_BATCH):
            rows += self._batch(table, keys[start : start + _MAX_BATCH])
        return rows

    def _batch(self, table: str, keys: Sequence[Row]) -> list[Row]:
        """Return the rows with these keys; what DynamoDB leaves for later is asked for again."""
        rows: list[Row] = []
        attempt = 1
        wanted: dict[str, Any] = {table: {"Keys": keys, "ConsistentRead": True}}
        while True:
            answer = self._call("BatchGetItem", RequestItems=wanted)
            got: list[Row] = answer["Responses"].get(table, [])
            rows += got
            wanted = answer.get("UnprocessedKeys", {})
            if not wanted:
                return rows
            # A big answer comes in parts, which is progress; where nothing comes, the table is asked too much.
            attempt = 1 if got else attempt + 1
            pause = self._call.jitter(attempt)
            if attempt > _MOST_EMPTY_BATCHES or pause >= time_left():
                raise StorageThrottledError
            self._pause(pause)

    def _chunk(self, wanted: ItemFilter, place: _Place | None, limit: int) -> "_Chunk":
        """Read up to *limit* rows of the list of *wanted*, from after *place* on."""
        answer = self._walk(wanted, place, limit)
        chunk = _Chunk.of(answer, wanted)
        if wanted.index not in _KEYS_ONLY:
            return chunk
        keys = [row_to_key(row) for row in chunk.rows]
        found = self._rows(self._table, [key_to_row(key) for key in keys])
        rows = {row_to_key(row): row for row in found}
        return evolve(chunk, rows=[rows[key] for key in keys if key in rows], reads=2)

    def _walk(self, wanted: ItemFilter, place: _Place | None, limit: int) -> dict[str, Any]:
        expression = Expression()
        request: dict[str, Any] = {
            "TableName": self._table,
            "Limit": limit,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if place is not None:
            request["ExclusiveStartKey"] = _start_key(wanted, place)
        if wanted.index == "item_id":
            request |= expression.arguments(**_filters(expression, wanted))
            return self._call("Scan", **request)
        if wanted.index == "low_stock":
            request |= {"TableName": self._ledger_table, "ConsistentRead": True}
            condition = expression.equals("pk", text(LOW_STOCK_PK))
            request |= expression.arguments(KeyConditionExpression=condition)
            return self._call("Query", **request)
        index = _INDEXES[wanted.index]
        request["IndexName"] = index.name
        condition = expression.equals(wanted.index, text(getattr(wanted, wanted.index)))
        # An index of keys only has nothing else to filter by.
        filters = {} if wanted.index in _KEYS_ONLY else _filters(expression, wanted)
        request |= expression.arguments(KeyConditionExpression=condition, **filters)
        return self._call("Query", **request)

    def _movements(self, key: ItemKey, before: int | None, *, limit: int) -> tuple[list[Row], bool]:
        """Return up to *limit* movements with a seq below *before*, newest first, and whether there may be more."""
        expression = Expression()
        condition = expression.equals("pk", text(movements_pk(key)))
        if before is not None:
            condition += (
                f" AND {expression.name('sk')} < {expression.value(text(movement_sk(before)))}"
            )
        found = self._call(
            "Query",
            TableName=self._ledger_table,
            ConsistentRead=True,
            ScanIndexForward=False,
            Limit=limit,
            **expression.arguments(KeyConditionExpression=condition),
        )
        return found["Items"], "LastEvaluatedKey" in found

    def _by_expiry(
        self, page: PageRequest, comparison: Literal["<=", ">"], at: Timestamp
    ) -> Page[Reservation]:
        place = (
            cursors.decode(page.cursor, _DUE, _BY_EXPIRY_BYTES) if page.cursor is not None else None
        )
        if place is not None and not _compares(place[0], comparison, at):
            # DynamoDB refuses a place that its query does not come to.
            return Page(items=())
        limit = min(page.size, _MAX_BATCH)
        found = self._call("Query", **self._expiry_query(place, comparison, at, limit))
        # The index may lag behind, so what it finds is looked at again.
        keys = [{name: row[name] for name in _LEDGER_KEY} for row in found["Items"]]
        unreadable: list[UnreadableRowError] = []
        rows = self._rows(self._ledger_table, keys)
        reservations = [
            reservation
            for reservation in read_rows(rows, row_to_reservation, unreadable)
            if reservation.state is ReservationState.HELD
            and _compares(reservation.expires_at, comparison, at)
        ]
        reservations.sort(key=lambda reservation: reservation.position)
        end = found.get("LastEvaluatedKey")
        return Page(
            items=tuple(reservations),
            next_cursor=None if end is None else cursors.encode(_DUE, _place(end, _BY_EXPIRY)),
            unreadable=skipped(unreadable),
        )

    def _expiry_query(
        self, place: _Place | None, comparison: Literal["<=", ">"], at: Timestamp, limit: int
    ) -> dict[str, Any]:
        expression = Expression()
        until = f"{expression.name('expires_at')} {comparison} {expression.value(text(at))}"
        shard = expression.equals("due_shard", text(DUE_SHARD))
        request = {
            "TableName": self._ledger_table,
            "IndexName": DUE_INDEX.name,
            "Limit": limit,
            **expression.arguments(KeyConditionExpression=f"{shard} AND {until}"),
        }
        if place is not None:
            request["ExclusiveStartKey"] = {
                "due_shard": text(DUE_SHARD),
                **_key(_BY_EXPIRY, place),
            }
        return request

    def _all_held(self, page: PageRequest) -> Page[Reservation]:
        place = (
            cursors.decode(page.cursor, _ALL_HELD, _LEDGER_KEY_BYTES)
            if page.cursor is not None
            else None
        )
        rows: list[Row] = []
        for reads in range(_MOST_READS):
            # Twice as many each time: among all the movements, reservations may be few and far between.
            found = self._held(place, limit=page.size << reads)
            rows += found["Items"]
            end = found.get("LastEvaluatedKey")
            place = None if end is None else _place(end, _LEDGER_KEY)
            if place is None or len(rows) >= page.size:
                break
        if len(rows) > page.size:
            del rows[page.size :]
            place = _place(rows[-1], _LEDGER_KEY)
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_reservation, unreadable)),
            next_cursor=None if place is None else cursors.encode(_ALL_HELD, place),
            unreadable=skipped(unreadable),
        )

    def _held(self, place: _Place | None, *, limit: int) -> dict[str, Any]:
        expression = Expression()
        held = expression.equals("state", text(ReservationState.HELD))
        request = {
            "TableName": self._ledger_table,
            "ConsistentRead": True,
            "Limit": limit,
            **expression.arguments(FilterExpression=held),
        }
        if place is not None:
            request["ExclusiveStartKey"] = _key(_LEDGER_KEY, place)
        return self._call("Scan", **request)

    # Writing

    def _write(self, actions: list[Action], *, write_id: str) -> None:
        """Carry out all of *actions*, or none."""
        if len(actions) > _MAX_ACTIONS:
            msg = f"a transaction has at most {_MAX_ACTIONS} actions, not {len(actions)}"
            raise ValueError(msg)
        [(verb, arguments), *others] = (part for action in actions for part in action.items())
        if not others and verb in _SINGLE_WRITES:
            self._call(_SINGLE_WRITES[verb], **arguments)
            return
        # 36 characters at most, whatever ids the caller makes, and one for all tables of an account: two inventories may count
        # their writes alike. Source: API reference of TransactWriteItems.
        token = sha256(f"{self._ledger_table}#{write_id}".encode()).hexdigest()[:32]
        self._call("TransactWriteItems", TransactItems=actions, ClientRequestToken=token)

    def _was_kept(self, change: Change) -> bool:
        """Tell whether *change* is what is stored."""
        row = self._row(*self._actions.signed(change))
        return row is not None and was_written_by(row, change.write_id)


@frozen(kw_only=True)
class _Chunk:
    """What one step of a walk read; *end* is the place of the last row looked at, None where there are no more."""

    rows: list[Row]
    end: _Place | None
    size_bytes: float
    reads: int = 1

    @classmethod
    def of(cls, answer: dict[str, Any], wanted: ItemFilter) -> Self:
        rows: list[Row] = answer["Items"]
        end: Row | None = answer.get("LastEvaluatedKey")
        if end is not None and wanted.index == "low_stock":
            # The key of a marker may be a hash, but the marker says whose it is.
            end = rows[-1]
        units = answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0)
        return cls(
            rows=rows,
            end=None if end is None else _place(end, _order(wanted)),
            size_bytes=units * _BYTES_PER_UNIT,
        )


@define
class _Budget:
    """What a page may cost. A filter that hardly anything passes must not keep one request busy for long."""

    reads: int = 0
    size_bytes: float = 0
    started: float = field(factory=time.monotonic)

    def limit(self, wanted: ItemFilter, lacking: int) -> int:
        """Return how many rows to read next when so many are *lacking*."""
        most = _MAX_BATCH if wanted.index in _KEYS_ONLY else _MOST_ROWS
        if not _is_filtered(wanted):
            return min(lacking, most)
        # Twice as many each time: how much a filter drops is only found out on the way.
        return min(_FIRST_ROWS << self.reads, most)

    def spend(self, chunk: _Chunk) -> None:
        self.reads += chunk.reads
        self.size_bytes += chunk.size_bytes

    @property
    def is_spent(self) -> bool:
        return (
            self.reads >= _MOST_READS
            or self.size_bytes >= _MOST_BYTES
            or time.monotonic() - self.started >= _MOST_SECONDS
            or time_left() < _ONE_READ_SECONDS
        )


def _is_filtered(wanted: ItemFilter) -> bool:
    """Tell whether the walk meets rows that do not belong in the list."""
    given = (wanted.category, wanted.status, wanted.sku, wanted.location, wanted.low_stock)
    return sum(map(bool, given)) > (wanted.index != "item_id")


def _filters(expression: Expression, wanted: ItemFilter) -> dict[str, str]:
    """Return the filter of a walk: what its index does not already answer."""
    filters = [
        expression.means(name, value)
        for name, value in (("status", wanted.status), ("location", wanted.location))
        if value is not None and name != wanted.index
    ]
    return {"FilterExpression": " AND ".join(filters)} if filters else {}


def _order(wanted: ItemFilter) -> tuple[str, ...]:
    """Name the attributes that make a place in the list of *wanted*, as `ItemFilter.position` has them."""
    return _BY_EDIT if wanted.index == "category" else _BY_ID


def _start_key(wanted: ItemFilter, place: _Place) -> Row:
    """Return the key that DynamoDB continues after; it need not exist any more."""
    if wanted.index == "low_stock":
        item_id, sku = place
        return marker_key(ItemKey(item_id=item_id, sku=sku))
    key = _key(_order(wanted), place)
    if wanted.index != "item_id":
        key[wanted.index] = text(getattr(wanted, wanted.index))
    return key


def _compares(left: str, comparison: Literal["<=", ">"], right: str) -> bool:
    return left <= right if comparison == "<=" else left > right


def _place(row: Row, attributes: Iterable[str]) -> _Place:
    return tuple(row[attribute]["S"] for attribute in attributes)


def _key(attributes: Iterable[str], place: _Place) -> dict[str, Value]:
    return {name: text(part) for name, part in zip(attributes, place, strict=True)}


def _cursor(wanted: ItemFilter, place: _Place | None) -> Cursor | None:
    return None if place is None else cursors.encode(cursors.fingerprint(wanted), place)


def _why(refused: RefusedError) -> Exception:
    """Return the error for a single write that was refused, and was not our own before."""
    if refused.was_conflict:
        return StorageThrottledError()
    try:
        return StaleReadError(None if refused.row is None else row_to_item(refused.row))
    except UnreadableRowError as error:
        return error
