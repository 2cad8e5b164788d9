"""Lists of held reservations: of an item by pointers, all by expiry in the shards of the due index, all in any order."""

import logging
from datetime import timedelta
from math import ceil
from typing import Any, Final

from attrs import frozen

from inventory.errors import StorageError, UnreadableRowError
from inventory.items import ItemKey, Timestamp
from inventory.paging import Page, PageRequest
from inventory.ports import ReservationFilter
from inventory.reservations import Reservation, ReservationState
from inventory.timeouts import deadline
from inventory_adapters.aws.transport import ServiceError
from inventory_adapters.storage import cursors
from inventory_adapters.storage.dynamodb.calls import MAX_BATCH, Calls, RefusedError
from inventory_adapters.storage.dynamodb.expressions import Expression
from inventory_adapters.storage.dynamodb.lists import MAX_READS, Place, key_at, place_of
from inventory_adapters.storage.dynamodb.rows import (
    Row,
    ledger_key,
    row_to_reservation,
    text,
)
from inventory_adapters.storage.dynamodb.schema import (
    DUE_INDEX,
    DUE_SHARDS,
    RESERVATION_SK,
    holds_pk,
    reservation_pk,
)
from inventory_adapters.storage.unreadable import read_rows, skipped

__all__ = ["ReservationLists", "settled_by"]

_LOGGER: Final = logging.getLogger(__name__)

# The key of a row of the ledger, the order of the due index, and the order of pointers.
_BY_KEY: Final = ("pk", "sk")
_BY_EXPIRY: Final = ("expires_at", "pk")
_BY_POINTER: Final = ("sk",)
# The most bytes of each part. Source: "Quotas in Amazon DynamoDB", partition keys and sort keys.
_MAX_BYTES: Final = {_BY_KEY: (2048, 1024), _BY_EXPIRY: (1024, 2048), _BY_POINTER: (1024,)}
_ALL_HELD: Final = cursors.fingerprint("held", "all")

# Before and after every time, as text.
_FIRST: Final = "0"
_LAST: Final = "9"

# As many entries of the due index as the smallest read has, which is half a unit: 4 KB.
_ROWS_PER_UNIT: Final = 16

# A marker or a pointer of this age belongs to no change that is under way.
_SETTLED: Final = timedelta(hours=1)
# Deleting pointers may take this long, because nobody needs to wait for it.
_CLEANUP_SECONDS: Final = 1.0


def settled_by(at: Timestamp) -> Timestamp:
    """Return the time before which a marker or a pointer was put by a change that has ended."""
    return Timestamp.of(at.as_datetime() - _SETTLED)


@frozen
class ReservationLists:
    """
    Reads lists of held reservations, and deletes pointers.

    Args:
        call: Calls DynamoDB.
        table: The ledger.
    """

    _call: Calls
    _table: str

    def matching(
        self, reservation_filter: ReservationFilter, page: PageRequest
    ) -> Page[Reservation]:
        """See `inventory.ports.InventoryRepository.list_reservations`."""
        query, key = cursors.fingerprint(reservation_filter), reservation_filter.key
        size = min(page.size, MAX_BATCH)
        after: Place = ()
        if page.cursor is not None:
            order = _BY_EXPIRY if key is None else _BY_POINTER
            after = cursors.decode(page.cursor, query, _MAX_BYTES[order])
        pointers: list[Row] = []
        if key is None:
            places, end = self._due(reservation_filter, after, size)
            pks = [pk for _, pk in places]
        else:
            pointers, end = self._holding(key, reservation_filter.due_by, after, size)
            pks = [reservation_pk(row["reservation_id"]["S"]) for row in pointers]
        # The index may lag behind the table, and a pointer may be stale, so the rows themselves decide.
        keys = [{"pk": text(pk), "sk": text(RESERVATION_SK)} for pk in dict.fromkeys(pks)]
        unreadable: list[UnreadableRowError] = []
        rows = self._call.get_rows(self._table, keys)
        reservations = read_rows(rows, row_to_reservation, unreadable)
        # Only verbs that write ask for what is due.
        if key is not None and reservation_filter.due_by is not None and not unreadable:
            self._drop_stale(pointers, key, reservations, reservation_filter.due_by)
        matching = [each for each in reservations if reservation_filter.matches(each)]
        matching.sort(key=lambda reservation: reservation.position)
        return Page(
            items=tuple(matching),
            next_cursor=None if end is None else cursors.encode(query, end),
            unreadable=skipped(unreadable),
        )

    def all_held(self, page: PageRequest) -> Page[Reservation]:
        """See `inventory.ports.InventoryRepository.held_reservations`."""
        place: Place | None = None
        if page.cursor is not None:
            place = cursors.decode(page.cursor, _ALL_HELD, _MAX_BYTES[_BY_KEY])
        rows: list[Row] = []
        for reads in range(MAX_READS):
            # Twice as many each time, because most rows of the ledger are movements.
            answer = self._scan(place, limit=page.size << reads)
            rows += answer["Items"]
            end = answer.get("LastEvaluatedKey")
            place = None if end is None else place_of(end, _BY_KEY)
            if place is None or len(rows) >= page.size:
                break
        if len(rows) > page.size:
            del rows[page.size :]
            place = place_of(rows[-1], _BY_KEY)
        unreadable: list[UnreadableRowError] = []
        return Page(
            items=tuple(read_rows(rows, row_to_reservation, unreadable)),
            next_cursor=None if place is None else cursors.encode(_ALL_HELD, place),
            unreadable=skipped(unreadable),
        )

    def delete_pointers(self, keys: list[Row]) -> None:
        """Delete pointers if that works at once; readers skip those that stay, and TTL deletes them."""
        if not keys:
            return
        try:
            with deadline(_CLEANUP_SECONDS):
                self._call.write_rows(
                    self._table, [{"DeleteRequest": {"Key": key}} for key in keys]
                )
        except (RefusedError, ServiceError, StorageError):
            _LOGGER.info("pointers not deleted", exc_info=True)

    def _holding(
        self, key: ItemKey, due_by: Timestamp | None, after: Place, size: int
    ) -> tuple[list[Row], Place | None]:
        """Return pointers to reservations that hold an item, and the place of the last if there may be more."""
        expression = Expression()
        pk = text(holds_pk(key))
        start = {"ExclusiveStartKey": {"pk": pk, **key_at(_BY_POINTER, after)}} if after else {}
        # "~" sorts after the "#" that follows the time.
        last = f"{due_by or _LAST}~"
        if after > (last,):
            # Only in a forged cursor. DynamoDB rejects a start key outside of the range.
            return [], None
        until = f"{expression.name('sk')} <= {expression.value(text(last))}"
        condition = f"{expression.equals('pk', pk)} AND {until}"
        answer = self._call(
            "Query",
            TableName=self._table,
            ConsistentRead=True,
            # One more than the page has, to know whether it is the last.
            Limit=size + 1,
            **start,
            **expression.arguments(KeyConditionExpression=condition),
        )
        rows: list[Row] = answer["Items"]
        has_more = len(rows) > size or "LastEvaluatedKey" in answer
        del rows[size:]
        return rows, place_of(rows[-1], _BY_POINTER) if has_more else None

    def _drop_stale(
        self, pointers: list[Row], key: ItemKey, reservations: list[Reservation], at: Timestamp
    ) -> None:
        """
        Delete the pointers to reservations that do not hold the item.

        A reservation that is missing may be in a transaction under way, so its pointer must have some age.
        """
        held = ReservationFilter(key=key)
        holding = {each.reservation_id for each in reservations if held.matches(each)}
        settled = settled_by(at)
        self.delete_pointers(
            [
                ledger_key(row)
                for row in pointers
                if row["reservation_id"]["S"] not in holding and row["put_at"]["S"] < settled
            ]
        )

    def _due(
        self, reservation_filter: ReservationFilter, after: Place, size: int
    ) -> tuple[list[Place], Place | None]:
        """Return places in the due index, merged from all shards, and the last of them if there may be more."""
        first = after[0] if after else reservation_filter.ends_after or _FIRST
        last = reservation_filter.due_by or _LAST
        if first > last:
            # Only in a forged cursor.
            return [], None
        # On average, a shard has an eighth of the page.
        limit = max(_ROWS_PER_UNIT, 2 * ceil(size / len(DUE_SHARDS)))
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
        bounds = [expression.value(text(bound)) for bound in (first, last)]
        times = f"{expression.name('expires_at')} BETWEEN {' AND '.join(bounds)}"
        condition = f"{expression.equals('due_shard', text(shard))} AND {times}"
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": DUE_INDEX.name,
            "Limit": limit,
            **expression.arguments(KeyConditionExpression=condition),
        }
        places: list[Place] = []
        while True:
            answer = self._call("Query", **request)
            read = (place_of(row, _BY_EXPIRY) for row in answer["Items"])
            places += [place for place in read if place > after]
            if "LastEvaluatedKey" not in answer:
                return places, None
            request |= {
                "ExclusiveStartKey": answer["LastEvaluatedKey"],
                "Limit": 2 * request["Limit"],
            }
            [end, _] = place_of(answer["LastEvaluatedKey"], _BY_EXPIRY)
            if any(place[0] < end for place in places):
                return places, end

    def _scan(self, place: Place | None, *, limit: int) -> dict[str, Any]:
        expression = Expression()
        held = expression.equals("state", text(ReservationState.HELD))
        start = {} if place is None else {"ExclusiveStartKey": key_at(_BY_KEY, place)}
        return self._call(
            "Scan",
            TableName=self._table,
            ConsistentRead=True,
            Limit=limit,
            **start,
            **expression.arguments(FilterExpression=held),
        )
