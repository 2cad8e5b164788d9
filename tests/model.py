"""
A model of the inventory, made of dictionaries: without storage, concurrency or retries.

The state machine compares every answer of an inventory with the answer of the model. The model shares the commands, the errors
and the format of times with the domain, but no rules. An answer is one row or several: a dictionary by field name, with the key
and the level of an item flattened. Rows are replaced, never changed, so a shallow copy of the dictionaries is a full copy.
"""

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from unicodedata import combining, normalize

from inventory import (
    UNSET,
    BatchRefusedError,
    BelowReservedError,
    CreateItem,
    DuplicateRowError,
    InsufficientStockError,
    ItemInUseError,
    ItemNotFoundError,
    ItemNotHeldError,
    KeyRequiredError,
    KeyReusedError,
    MoreThanHeldError,
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
# Reservations that one request expires before it tries again.
GROUP = 32
DAY = 24 * 60 * 60
DETAILS = (
    *("name", "description", "category", "price", "status", "location"),
    "reorder_point",
)
NO_CAUSE = dict.fromkeys(("actor", "reason", "reference", "reservation_id"))


class ExpectedError(Exception):
    """
    The error that the inventory must raise.

    Attributes:
        answer: The class of the error and its facts.
        items: The items whose reserved units caused it.
    """

    def __init__(self, error, *, items=(), **facts):
        self.answer = {"error": error, **facts}
        self.items = set(items)


class Model:
    """
    Returns the answer to each command that an inventory must give.

    Args:
        clock: Returns the current time.
    """

    def __init__(self, clock):
        self.clock = clock
        self.items = {}  # (item_id, sku): row
        self.births = {}  # (item_id, sku): when the item was created, deleted items included
        self.ledgers = {}  # (item_id, sku): rows, oldest first
        self.reservations = {}  # reservation_id: row, as it is stored
        self.records = {}  # (scope, value, row of a batch or None): (command, answer, time of expiry)
        # Because the IDs of the inventory under test are unknown before, the machine sets those of the current answer.
        self.ids: list[str] = []

    def now(self, *, later=0):
        return Timestamp.of(self.clock() + timedelta(seconds=later))

    def new_id(self):
        first, *self.ids = self.ids or ["an ID that the answer does not have"]
        return first

    # Items

    def create_item(self, command):
        return self.execute(command, lambda: self.created(command))

    def get_item(self, query):
        keys = [key for key in self.items if key[0] == query.item_id]
        key = min(keys, default=None) if query.sku is None else (query.item_id, query.sku)
        if key not in self.items:
            sku = {} if query.sku is None else {"sku": query.sku}
            raise ExpectedError(ItemNotFoundError, item_id=query.item_id, **sku)
        return self.items[key]

    def update_item(self, command):
        return self.execute(command, lambda: self.updated(command))

    def delete_item(self, command):
        def delete():
            row = self.item(command)
            self.check(command.if_match, row, with_stock=True)
            if row["reserved"]:
                raise self.reserved_error(ItemInUseError, row)
            self.moved(of(command), "delete", -row["on_hand"])
            del self.items[of(command)]
            return row

        return self.execute(command, delete)

    def list_items(self, query):
        """Return the rows of all pages, in any order."""
        return [
            row
            for row in self.items.values()
            if query.category in (None, row["category"])
            and query.status in (None, row["status"])
            and query.sku in (None, row["sku"])
            and query.location in (None, row["location"])
            and (not query.low_stock or needs_reorder(row))
            and (query.search is None or is_found(row, query.search))
        ]

    def get_stock(self, query):
        rows = [row for row in self.items.values() if row["sku"] == query.sku]
        if not rows:
            raise ExpectedError(ItemNotFoundError, sku=query.sku)
        return {"sku": query.sku, "items": sorted(rows, key=of_row)}

    def batch_items(self, command):
        updates = [of(row) for row in command.items if isinstance(row, UpdateItem)]
        for number, key in enumerate(updates):
            if key in updates[:number]:
                rows = [
                    index
                    for index, row in enumerate(command.items)
                    if isinstance(row, UpdateItem) and of(row) == key
                ]
                facts = {"first_row": rows[0], "second_row": rows[1]}
                raise ExpectedError(DuplicateRowError, **named(key), **facts)
        if command.mode == "per_row":
            return [self.alone(command, index) for index in range(len(command.items))]
        for row in command.items:
            require_valid(row)
        return self.execute(command, lambda: self.together(command))

    def together(self, command):
        results, rejected, items = [], {}, set()
        for index, row in enumerate(command.items):
            try:
                results.append(applied(index, row, self.row(row)))
            except ExpectedError as error:
                rejected[index] = error.answer
                items |= error.items
        if rejected:
            raise ExpectedError(
                BatchRefusedError,
                items=items,
                refused=rejected,
                rows=len(command.items),
            )
        return results

    def alone(self, command, index):
        row = command.items[index]
        try:
            require_valid(row)
            after = self.execute(row, lambda: self.row(row), key=(command.idempotency_key, index))
        except ExpectedError as error:
            return {
                "index": index,
                "created": False,
                "version": None,
                "seq": None,
                "item_id": getattr(row, "item_id", None),
                "sku": getattr(row, "sku", None),
                "error": error.answer,
            }
        return applied(index, row, after)

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
            "attributes": dict(command.attributes),
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
        details = {name: getattr(command, name) for name in DETAILS}
        details = {name: value for name, value in details.items() if value is not UNSET}
        if "price" in details:
            details["price"] = str(command.price)
        if command.attributes is not UNSET and command.attributes:
            merged = {**row["attributes"], **command.attributes}
            details["attributes"] = {
                name: text for name, text in merged.items() if text is not None
            }
        counted = command.quantity is not UNSET
        self.check(command.if_match, row, with_stock=counted or "reorder_point" in details)
        if counted:
            self.count(command, "edit", command.quantity)
        if details or counted:
            version = row["version"] + bool(details)
            after = {**details, "version": version, "updated_at": self.now()}
            self.items[of(command)] = {**self.items[of(command)], **after}
        if details and counted:
            *earlier, last = self.ledgers[of(command)]
            last = {**last, "crossed": crossed(row, self.items[of(command)])}
            self.ledgers[of(command)] = [*earlier, last]
        return self.items[of(command)]

    # Stock

    def adjust_stock(self, command):
        def adjust():
            row = self.item(command)
            self.require_available(row, -command.delta)
            self.require_room(row, command.delta)
            cause = {"reason": command.reason, "reference": command.reference}
            return self.moved(of(command), "adjust", command.delta, **cause)

        return self.execute(command, adjust)

    def count_stock(self, command):
        def count():
            row, expected = self.item(command), command.expected_quantity
            if expected not in (None, row["on_hand"]):
                facts = {"expected_quantity": expected, "quantity": row["on_hand"]}
                raise ExpectedError(StaleQuantityError, **named(of_row(row)), **facts)
            return self.count(command, "count", command.quantity, reason=command.reason)

        return self.execute(command, count)

    def transfer_stock(self, command):
        source, destination = of(command.source), of(command.destination)
        if source == destination:
            raise ExpectedError(SameItemError)
        if source[1] != destination[1]:
            raise ExpectedError(
                SkuMismatchError, source=command.source.sku, destination=command.destination.sku
            )

        def transfer():
            out, into = self.item(command.source), self.item(command.destination)
            self.require_available(out, command.quantity)
            self.require_room(into, command.quantity)
            cause = {"reference": command.reference}
            out = self.moved(source, "transfer_out", -command.quantity, **cause)
            into = self.moved(destination, "transfer_in", command.quantity, **cause)
            return {"source": out["item"], "destination": into["item"]}

        return self.execute(command, transfer)

    def list_movements(self, query):
        """Return the rows of all pages, newest first, and the opening balance; those of the period."""
        ledger, row = self.ledgers.get(of(query), []), self.items.get(of(query), {})
        if not ledger and not row:
            raise ExpectedError(ItemNotFoundError, **named(of(query)))
        first = ledger[0] if ledger else {**row, "delta_on_hand": 0, "delta_reserved": 0}
        on_hand = first["on_hand"] - first["delta_on_hand"]
        opening = {
            **named(of(query)),
            "seq": 0,
            "kind": "opening",
            **NO_CAUSE,
            "delta_on_hand": on_hand,
            "delta_reserved": 0,
            "on_hand": on_hand,
            "reserved": 0,
            "recorded_at": self.births[of(query)],
            "item_created_at": None,
            "crossed": None,
        }
        return [
            movement
            for movement in (*reversed(ledger), opening)
            if (query.since or "") <= movement["recorded_at"] <= (query.until or "~")
        ]

    def count(self, command, kind, quantity, *, reason=None):
        row = self.item(command)
        if quantity < row["reserved"]:
            raise self.reserved_error(BelowReservedError, row, requested=quantity)
        return self.moved(of(command), kind, quantity - row["on_hand"], reason=reason)

    def moved(self, key, kind, on_hand=0, reserved=0, **cause):
        """Change both balances and record the movement."""
        before = self.items[key]
        after = {
            "on_hand": before["on_hand"] + on_hand,
            "reserved": before["reserved"] + reserved,
            "seq": before["seq"] + 1,
        }
        was, is_now = available(before) > 0, available(after) > 0
        following = {
            ("available", True, False): "out_of_stock",
            ("out_of_stock", False, True): "available",
        }
        status = following.get((before["status"], was, is_now), before["status"])
        self.items[key] = {**before, **after, "status": status}
        movement = {
            **named(key),
            **after,
            "kind": kind,
            **NO_CAUSE,
            **cause,
            "delta_on_hand": on_hand,
            "delta_reserved": reserved,
            "recorded_at": self.now(),
            "item_created_at": self.births[key] if after["seq"] == 1 or kind == "delete" else None,
            "crossed": None if kind == "delete" else crossed(before, self.items[key]),
        }
        self.ledgers[key] = [*self.ledgers.get(key, []), movement]
        return {"item": self.items[key], "movement": movement}

    # Reservations

    def create_reservation(self, command):
        def reserve():
            lines = lines_of(sums(command.lines))
            for line in lines:
                self.require_available(self.found(of_row(line)), line["quantity"])
            name = self.new_id()
            cause = {"reservation_id": name, "reference": command.reference}
            for line in lines:
                self.moved(of_row(line), "reserve", reserved=line["quantity"], **cause)
            self.reservations[name] = {
                "reservation_id": name,
                "lines": lines,
                "committed": [],
                "state": "held",
                "reference": command.reference,
                "created_at": self.now(),
                "expires_at": self.now(later=command.ttl_seconds),
                "closed_at": None,
            }
            return self.reservations[name]

        return self.execute(command, reserve)

    def get_reservation(self, query):
        row = self.reservation(query)
        return {**row, "state": "expired" if self.is_due(row) else row["state"]}

    def list_reservations(self, query):
        """Return the rows of all pages."""
        rows = [
            row
            for row in self.reservations.values()
            if row["state"] == "held"
            and not self.is_due(row)
            and query.reference in (None, row["reference"])
            and (query.item_id is None or of(query) in map(of_row, row["lines"]))
        ]
        return sorted(rows, key=lambda row: (row["expires_at"], row["reservation_id"]))

    def commit_reservation(self, command):
        if command.lines is not UNSET and command.idempotency_key is None:
            raise ExpectedError(KeyRequiredError)

        def commit():
            row = self.reservation(command)
            if command.lines is UNSET and row["state"] == "committed":
                return row
            row = self.held(command)
            held = units_of(row["lines"])
            units = held if command.lines is UNSET else sums(command.lines)
            for key, number in units.items():
                if key not in held:
                    raise ExpectedError(ItemNotHeldError, **named(key))
                if number > held[key]:
                    facts = {"held": held[key], "requested": number}
                    raise ExpectedError(MoreThanHeldError, **named(key), **facts)
            left = lines_of(held - units)
            committed = lines_of(units + units_of(row["committed"]))
            for key, number in units.items():
                self.moved(key, "commit", -number, -number, **cause_of(row))
            end = {} if left else {"state": "committed", "closed_at": self.now()}
            return self.changed(row, lines=left, committed=committed, **end)

        return self.execute(command, commit)

    def release_reservation(self, command):
        def release():
            row = self.reservation(command)
            return row if row["state"] == "released" else self.freed(self.held(command), "released")

        return self.execute(command, release)

    def extend_reservation(self, command):
        def extend():
            row = self.held(command)
            month = timedelta(days=31)
            latest = Timestamp.of(Timestamp(row["created_at"]).as_datetime() + month)
            until = max(row["expires_at"], min(self.now(later=command.ttl_seconds), latest))
            return self.changed(row, expires_at=until)

        return self.execute(command, extend)

    def expire_reservations(self, command):
        return {"expired": self.sweep(command.limit), "failed": 0, "is_paused": False}

    def sweep(self, limit):
        due = [row for row in self.reservations.values() if self.is_due(row)]
        due.sort(key=lambda row: (row["expires_at"], row["reservation_id"]))
        for row in due[:limit]:
            self.freed(row, "expired")
        return len(due[:limit])

    def sweep_of(self, key):
        """Expire a group of the due reservations of an item, and return their number."""
        due = [
            row
            for row in self.reservations.values()
            if self.is_due(row) and key in map(of_row, row["lines"])
        ]
        due.sort(key=lambda row: (row["expires_at"], row["reservation_id"]))
        for row in due[:GROUP]:
            self.freed(row, "expired")
        return len(due[:GROUP])

    def freed(self, row, state):
        kind, actor = {"released": ("release", None), "expired": ("expire", "system:sweeper")}[
            state
        ]
        for line in row["lines"]:
            self.moved(of_row(line), kind, 0, -line["quantity"], **cause_of(row), actor=actor)
        return self.changed(row, state=state, closed_at=self.now())

    def changed(self, row, **fields):
        name = row["reservation_id"]
        self.reservations[name] = {**row, **fields}
        return self.reservations[name]

    def is_due(self, row):
        return row["state"] == "held" and self.now() >= row["expires_at"]

    def purge(self):
        """Delete expired records and reservations that were closed a month ago."""
        self.records = {
            key: record for key, record in self.records.items() if record[2] > self.now()
        }
        month_ago = self.now(later=-30 * DAY)
        self.reservations = {
            name: row
            for name, row in self.reservations.items()
            if row["closed_at"] is None or row["closed_at"] > month_ago
        }

    # Lookup and checks

    def item(self, command):
        return self.found(of(command))

    def found(self, key):
        if key not in self.items:
            raise ExpectedError(ItemNotFoundError, **named(key))
        return self.items[key]

    def reservation(self, command):
        name = command.reservation_id
        if name not in self.reservations:
            raise ExpectedError(ReservationNotFoundError, reservation_id=name)
        return self.reservations[name]

    def held(self, command):
        row = self.reservation(command)
        which = {"reservation_id": row["reservation_id"]}
        if self.is_due(row) or row["state"] == "expired":
            raise ExpectedError(ReservationExpiredError, **which, expires_at=row["expires_at"])
        if row["state"] != "held":
            raise ExpectedError(ReservationClosedError, **which, state=row["state"])
        return row

    def check(self, if_match, row, *, with_stock):
        current = (row["version"], row["seq"]) if with_stock else row["version"]
        tags = if_match.tags if with_stock or if_match.tags is None else if_match.versions
        if tags is not None and current not in tags:
            raise ExpectedError(PreconditionFailedError, version=row["version"], seq=row["seq"])

    def require_available(self, row, units):
        if units > available(row):
            facts = {"available": available(row), "requested": units}
            raise self.reserved_error(InsufficientStockError, row, **facts)

    def require_room(self, row, units):
        if units > 0 and row["on_hand"] + units > LIMIT:
            facts = {"limit": LIMIT, "quantity": row["on_hand"], "requested": units}
            raise ExpectedError(StockLimitError, **named(of_row(row)), **facts)

    def reserved_error(self, error, row, **facts):
        units = row["reserved"]
        items = {of_row(row)} if units else ()
        return ExpectedError(error, items=items, **named(of_row(row)), reserved=units, **facts)

    # Execution of a command

    def execute(self, command, do, *, key=None):
        """Return the answer of *do*, or the first answer under the same key."""
        key, row = key or (command.idempotency_key, None)
        if key is None:
            return self.attempt(do)
        record = (key.scope, key.value, row)
        known, answer, until = self.records.get(record, (None, None, ""))
        if until <= self.now():
            answer = self.attempt(do)
            self.records[record] = (command, answer, self.now(later=DAY))
            return answer

        def do_and_undo():
            do()
            raise ExpectedError(None)

        # Because an inventory reads the record last, the reservations that it expired for the request stay expired.
        with suppress(ExpectedError):
            self.attempt(do_and_undo)
        if known != command:
            raise ExpectedError(KeyReusedError)
        self.replayed = row is None
        return answer

    def attempt(self, do):
        """Return the answer of *do*; if reserved units prevent it, expire due reservations of the items and try again."""
        swept: set[tuple[str, str]] = set()
        while True:
            try:
                return self.all_or_nothing(do)
            except ExpectedError as error:
                if error.items <= swept:
                    raise
                # After each group, because the error may be another one then: a precondition that no longer holds.
                swept |= {key for key in error.items - swept if not self.sweep_of(key)}

    def all_or_nothing(self, do):
        before = self.items.copy(), self.ledgers.copy(), self.reservations.copy(), self.ids
        try:
            return do()
        except ExpectedError:
            self.items, self.ledgers, self.reservations, self.ids = before
            raise


def of(command):
    return (command.item_id, command.sku)


def of_row(row):
    return (row["item_id"], row["sku"])


def named(key):
    return {"item_id": key[0], "sku": key[1]}


def cause_of(row):
    return {name: row[name] for name in ("reservation_id", "reference")}


def sums(lines):
    units: Counter[tuple[str, str]] = Counter()
    for line in lines:
        units[of(line)] += line.quantity
    return units


def units_of(lines):
    return Counter({of_row(line): line["quantity"] for line in lines})


def lines_of(units):
    return [{**named(key), "quantity": units[key]} for key in sorted(units) if units[key]]


def is_found(row, search):
    texts = [plain_letters(text) for text in (row["sku"], row["name"], *row["attributes"].values())]
    return all(any(word in text for text in texts) for word in plain_letters(search).split())


def plain_letters(text):
    letters = normalize("NFKD", normalize("NFKD", text).casefold())
    return normalize("NFKC", "".join(letter for letter in letters if not combining(letter)))


def available(row):
    return row["on_hand"] - row["reserved"]


def crossed(before, after):
    """What an item became: low, out or restocked."""
    words = []
    if needs_reorder(after) and not needs_reorder(before):
        words.append("low")
    if available(before) and not available(after):
        words.append("out")
    if available(after) and not available(before):
        words.append("restocked")
    return " ".join(words) or None


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
        raise ExpectedError(ValidationError)


def applied(index, row, after):
    return {
        "index": index,
        "created": isinstance(row, CreateItem),
        "error": None,
        **{name: after[name] for name in ("item_id", "sku", "version", "seq")},
    }
