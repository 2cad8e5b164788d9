"""
The inventory once more, as plainly as it can be said: dictionaries; no storage, no races, no redoing.

The state machine compares every answer with this one. It shares the commands, the errors and the form of a time with the
domain, and none of its rules. An answer is a row or several: a dictionary by the names of the fields, with the key of an item
and its level spread out. Rows are replaced, never changed, so a copy of the dictionaries is a copy of everything.
"""

from collections import Counter
from contextlib import suppress
from datetime import timedelta

from inventory import (
    UNSET,
    BatchRefusedError,
    BelowReservedError,
    CreateItem,
    DuplicateRowError,
    InsufficientStockError,
    ItemInUseError,
    ItemNotFoundError,
    KeyReusedError,
    PreconditionFailedError,
    ReservationClosedError,
    ReservationExpiredError,
    ReservationNotFoundError,
    SameItemError,
    SkuMismatchError,
    StaleQuantityError,
    StockLimitError,
    Timestamp,
    UpdateItem,
    ValidationError,
)

LIMIT = 1_000_000_000
DAY = 24 * 60 * 60
DETAILS = (
    *("name", "description", "category", "price", "status", "location"),
    "reorder_point",
)


class RefusedError(Exception):
    """An answer too: which error, with which facts; and how many promised units stood in the way."""

    def __init__(self, error, *, held_back=0, **facts):
        self.answer = {"error": error, **facts}
        self.held_back = held_back


class Model:
    """
    Answers each command as an inventory must.

    Args:
        clock: Returns the present time.
    """

    def __init__(self, clock):
        self.clock = clock
        self.items = {}  # (item_id, sku): row
        self.births = {}  # (item_id, sku): when the item was created, also once it is gone
        self.ledgers = {}  # (item_id, sku): rows, oldest first
        self.reservations = {}  # reservation_id: row, as it is stored
        self.idempotency_record = {}  # (key, row of a batch or None): (the command, its answer, the time when it is forgotten)
        # Ids cannot be foretold: those that the inventory under test has just given out.
        self.ids: list[str] = []

    def now(self, *, later=0):
        return Timestamp.of(self.clock() + timedelta(seconds=later))

    def new_id(self):
        made, *self.ids = self.ids or ["an id that was not given out"]
        return made

    # Items

    def create_item(self, command):
        return self.once(command, lambda: self.created(command))

    def get_item(self, query):
        found = [key for key in self.items if key[0] == query.item_id]
        wanted = min(found, default=None) if query.sku is None else (query.item_id, query.sku)
        if wanted not in self.items:
            sku = {} if query.sku is None else {"sku": query.sku}
            raise RefusedError(ItemNotFoundError, item_id=query.item_id, **sku)
        return self.items[wanted]

    def update_item(self, command):
        return self.once(command, lambda: self.updated(command))

    def delete_item(self, command):
        def delete():
            row = self.item(command)
            self.check(command.if_match, row, stock_too=True)
            if row["reserved"]:
                raise self.held_back(ItemInUseError, row)
            self.moved(of(command), "delete", -row["on_hand"])
            del self.items[of(command)]
            return row

        return self.once(command, delete)

    def list_items(self, wanted):
        """All pages of it, in no particular order."""
        return [
            row
            for row in self.items.values()
            if wanted.category in (None, row["category"])
            and wanted.status in (None, row["status"])
            and wanted.sku in (None, row["sku"])
            and wanted.location in (None, row["location"])
            and (not wanted.low_stock or needs_reorder(row))
        ]

    def batch_items(self, command):
        updates = [of(row) for row in command.items if isinstance(row, UpdateItem)]
        for place, key in enumerate(updates):
            if key in updates[:place]:
                rows = [
                    index
                    for index, row in enumerate(command.items)
                    if isinstance(row, UpdateItem) and of(row) == key
                ]
                facts = {"first_row": rows[0], "second_row": rows[1]}
                raise RefusedError(DuplicateRowError, **named(key), **facts)
        if command.mode == "per_row":
            return [self.by_itself(command, index) for index in range(len(command.items))]
        for row in command.items:
            require_valid(row)
        return self.once(command, lambda: self.all_or_none(command))

    def all_or_none(self, command):
        results, refused, held_back = [], {}, 0
        for index, row in enumerate(command.items):
            try:
                results.append(applied(index, row, self.row(row)))
            except RefusedError as refusal:
                refused[index] = refusal.answer
                held_back += refusal.held_back
        if refused:
            raise RefusedError(
                BatchRefusedError,
                held_back=held_back,
                refused=refused,
                rows=len(command.items),
            )
        return results

    def by_itself(self, command, index):
        row = command.items[index]
        try:
            require_valid(row)
            done = self.once(row, lambda: self.row(row), key=(command.idempotency_key, index))
        except RefusedError as refusal:
            return {
                "index": index,
                "created": False,
                "version": None,
                "seq": None,
                "item_id": getattr(row, "item_id", None),
                "sku": getattr(row, "sku", None),
                "error": refusal.answer,
            }
        return applied(index, row, done)

    def row(self, row):
        return self.created(row) if isinstance(row, CreateItem) else self.updated(row)

    def created(self, command):
        key = (self.new_id(), command.sku)
        self.births[key] = self.now()
        self.items[key] = {
            **named(key),
            **{name: getattr(command, name) for name in DETAILS},
            "status": initial_status(command),
            "price": str(command.price),
            "version": 1,
            "created_at": self.now(),
            "updated_at": self.now(),
            "on_hand": command.quantity,
            "reserved": 0,
            "seq": 0,
        }
        return self.items[key]

    def updated(self, command):
        row = self.item(command)
        given = {name: getattr(command, name) for name in DETAILS}
        given = {name: value for name, value in given.items() if value is not UNSET}
        if "price" in given:
            given["price"] = str(command.price)
        counted = command.quantity is not UNSET
        self.check(command.if_match, row, stock_too=counted or "reorder_point" in given)
        if counted:
            self.count(command, "edit", command.quantity)
        if given or counted:
            version = row["version"] + bool(given)
            after = {**given, "version": version, "updated_at": self.now()}
            self.items[of(command)] = {**self.items[of(command)], **after}
        return self.items[of(command)]

    # Stock

    def adjust_stock(self, command):
        def adjust():
            row = self.item(command)
            self.require_available(row, -command.delta)
            self.require_room(row, command.delta)
            why = {"reason": command.reason, "reference": command.reference}
            return self.moved(of(command), "adjust", command.delta, **why)

        return self.once(command, adjust)

    def count_stock(self, command):
        def count():
            row, expected = self.item(command), command.expected_quantity
            if expected not in (None, row["on_hand"]):
                facts = {"expected_quantity": expected, "quantity": row["on_hand"]}
                raise RefusedError(StaleQuantityError, **named(of_row(row)), **facts)
            return self.count(command, "count", command.quantity, reason=command.reason)

        return self.once(command, count)

    def transfer_stock(self, command):
        source, destination = of(command.source), of(command.destination)
        if source == destination:
            raise RefusedError(SameItemError)
        if source[1] != destination[1]:
            raise RefusedError(
                SkuMismatchError, source=command.source.sku, destination=command.destination.sku
            )

        def transfer():
            out, into = self.item(command.source), self.item(command.destination)
            self.require_available(out, command.quantity)
            self.require_room(into, command.quantity)
            why = {"reference": command.reference}
            out = self.moved(source, "transfer_out", -command.quantity, **why)
            into = self.moved(destination, "transfer_in", command.quantity, **why)
            return {"source": out["item"], "destination": into["item"]}

        return self.once(command, transfer)

    def list_movements(self, query):
        """All pages of it, newest first, and the opening balance."""
        ledger, row = self.ledgers.get(of(query), []), self.items.get(of(query), {})
        if not ledger and not row:
            raise RefusedError(ItemNotFoundError, **named(of(query)))
        first = ledger[0] if ledger else {**row, "delta_on_hand": 0, "delta_reserved": 0}
        on_hand = first["on_hand"] - first["delta_on_hand"]
        opening = {
            **named(of(query)),
            "seq": 0,
            "kind": "opening",
            "reason": None,
            "reference": None,
            "reservation_id": None,
            "delta_on_hand": on_hand,
            "delta_reserved": 0,
            "on_hand": on_hand,
            "reserved": 0,
            "recorded_at": self.births[of(query)],
            "item_created_at": None,
        }
        return [*reversed(ledger), opening]

    def count(self, command, kind, found, *, reason=None):
        row = self.item(command)
        if found < row["reserved"]:
            raise self.held_back(BelowReservedError, row, requested=found)
        return self.moved(of(command), kind, found - row["on_hand"], reason=reason)

    def moved(self, key, kind, came=0, promised=0, **why):
        """Move units, and write down that they did."""
        before = self.items[key]
        after = {
            "on_hand": before["on_hand"] + came,
            "reserved": before["reserved"] + promised,
            "seq": before["seq"] + 1,
        }
        had, has = available(before) > 0, available(after) > 0
        follows = {
            ("available", True, False): "out_of_stock",
            ("out_of_stock", False, True): "available",
        }
        status = follows.get((before["status"], had, has), before["status"])
        self.items[key] = {**before, **after, "status": status}
        movement = {
            **named(key),
            **after,
            "kind": kind,
            "reason": None,
            "reference": None,
            "reservation_id": None,
            **why,
            "delta_on_hand": came,
            "delta_reserved": promised,
            "recorded_at": self.now(),
            "item_created_at": self.births[key] if after["seq"] == 1 or kind == "delete" else None,
        }
        self.ledgers[key] = [*self.ledgers.get(key, []), movement]
        return {"item": self.items[key], "movement": movement}

    # Reservations

    def create_reservation(self, command):
        def reserve():
            units: Counter[tuple[str, str]] = Counter()
            for line in command.lines:
                units[of(line)] += line.quantity
            lines = [{**named(key), "quantity": units[key]} for key in sorted(units)]
            for line in lines:
                self.require_available(self.found(of_row(line)), line["quantity"])
            name = self.new_id()
            why = {"reservation_id": name, "reference": command.reference}
            for line in lines:
                self.moved(of_row(line), "reserve", promised=line["quantity"], **why)
            self.reservations[name] = {
                "reservation_id": name,
                "lines": lines,
                "state": "held",
                "reference": command.reference,
                "created_at": self.now(),
                "expires_at": self.now(later=command.ttl_seconds),
                "closed_at": None,
            }
            return self.reservations[name]

        return self.once(command, reserve)

    def get_reservation(self, query):
        row = self.reservation(query)
        return {**row, "state": "expired" if self.is_due(row) else row["state"]}

    def commit_reservation(self, command):
        return self.once(command, lambda: self.close(command, "committed"))

    def release_reservation(self, command):
        return self.once(command, lambda: self.close(command, "released"))

    def extend_reservation(self, command):
        def extend():
            row = self.held(command)
            month = timedelta(days=31)
            latest = Timestamp.of(Timestamp(row["created_at"]).as_datetime() + month)
            until = max(row["expires_at"], min(self.now(later=command.ttl_seconds), latest))
            self.reservations[row["reservation_id"]] = {**row, "expires_at": until}
            return self.reservations[row["reservation_id"]]

        return self.once(command, extend)

    def expire_reservations(self, command):
        return {"expired": self.sweep(command.limit), "failed": 0}

    def sweep(self, limit):
        due = [row for row in self.reservations.values() if self.is_due(row)]
        due.sort(key=lambda row: (row["expires_at"], row["reservation_id"]))
        for row in due[:limit]:
            self.closed(row, "expired")
        return len(due[:limit])

    def close(self, command, state):
        row = self.reservation(command)
        return row if row["state"] == state else self.closed(self.held(command), state)

    def closed(self, row, state):
        kind = {"committed": "commit", "released": "release", "expired": "expire"}[state]
        why = {name: row[name] for name in ("reservation_id", "reference")}
        for line in row["lines"]:
            units = line["quantity"]
            left = -units if state == "committed" else 0
            self.moved(of_row(line), kind, left, -units, **why)
        self.reservations[row["reservation_id"]] = {
            **row,
            "state": state,
            "closed_at": self.now(),
        }
        return self.reservations[row["reservation_id"]]

    def is_due(self, row):
        return row["state"] == "held" and self.now() >= row["expires_at"]

    def forget(self):
        """Answers after a day, closed reservations after a month."""
        self.idempotency_record = {
            key: kept for key, kept in self.idempotency_record.items() if kept[2] > self.now()
        }
        month_ago = self.now(later=-30 * DAY)
        self.reservations = {
            name: row
            for name, row in self.reservations.items()
            if row["closed_at"] is None or row["closed_at"] > month_ago
        }

    # What is there

    def item(self, command):
        return self.found(of(command))

    def found(self, key):
        if key not in self.items:
            raise RefusedError(ItemNotFoundError, **named(key))
        return self.items[key]

    def reservation(self, command):
        name = command.reservation_id
        if name not in self.reservations:
            raise RefusedError(ReservationNotFoundError, reservation_id=name)
        return self.reservations[name]

    def held(self, command):
        row = self.reservation(command)
        which = {"reservation_id": row["reservation_id"]}
        if self.is_due(row) or row["state"] == "expired":
            raise RefusedError(ReservationExpiredError, **which, expires_at=row["expires_at"])
        if row["state"] != "held":
            raise RefusedError(ReservationClosedError, **which, state=row["state"])
        return row

    def check(self, if_match, row, *, stock_too):
        seen = (row["version"], row["seq"]) if stock_too else row["version"]
        tags = if_match.tags if stock_too or if_match.tags is None else if_match.versions
        if tags is not None and seen not in tags:
            raise RefusedError(PreconditionFailedError, version=row["version"], seq=row["seq"])

    def require_available(self, row, units):
        if units > available(row):
            facts = {"available": available(row), "requested": units}
            raise self.held_back(InsufficientStockError, row, **facts)

    def require_room(self, row, units):
        if units > 0 and row["on_hand"] + units > LIMIT:
            facts = {"limit": LIMIT, "quantity": row["on_hand"], "requested": units}
            raise RefusedError(StockLimitError, **named(of_row(row)), **facts)

    def held_back(self, error, row, **facts):
        promised = row["reserved"]
        return RefusedError(
            error, held_back=promised, **named(of_row(row)), reserved=promised, **facts
        )

    # How a command is carried out

    def once(self, command, do, *, key=None):
        """Do it, or repeat the answer that was given under the key before."""
        key, row = key or (command.idempotency_key, None)
        if key is None:
            return self.attempt(do)
        name = (key.scope, key.value, row)
        known, answer, until = self.idempotency_record.get(name, (None, None, ""))
        if until <= self.now():
            answer = self.attempt(do)
            self.idempotency_record[name] = (command, answer, self.now(later=DAY))
            return answer

        def do_and_undo():
            do()
            raise RefusedError(None)

        # The key is looked at last: what is done by then is undone, but not what was swept on the way.
        with suppress(RefusedError):
            self.attempt(do_and_undo)
        if known != command:
            raise RefusedError(KeyReusedError)
        self.replayed = row is None
        return answer

    def attempt(self, do):
        """Where promised units stand in the way, sweep, and try once more."""
        try:
            return self.all_or_nothing(do)
        except RefusedError as refused:
            if not refused.held_back or not self.sweep(25):
                raise
        return self.all_or_nothing(do)

    def all_or_nothing(self, do):
        before = self.items.copy(), self.ledgers.copy(), self.reservations.copy(), self.ids
        try:
            return do()
        except RefusedError:
            self.items, self.ledgers, self.reservations, self.ids = before
            raise


def of(command):
    return (command.item_id, command.sku)


def of_row(row):
    return (row["item_id"], row["sku"])


def named(key):
    return {"item_id": key[0], "sku": key[1]}


def available(row):
    return row["on_hand"] - row["reserved"]


def needs_reorder(row):
    return is_low(row) and row["status"] != "discontinued"


def initial_status(command):
    if command.status is not UNSET:
        return command.status
    return "available" if command.quantity else "out_of_stock"


def is_low(row):
    return row["reorder_point"] is not None and available(row) <= row["reorder_point"]


def require_valid(row):
    if isinstance(row, ValidationError):
        raise RefusedError(ValidationError)


def applied(index, row, done):
    return {
        "index": index,
        "created": isinstance(row, CreateItem),
        "error": None,
        **{name: done[name] for name in ("item_id", "sku", "version", "seq")},
    }
