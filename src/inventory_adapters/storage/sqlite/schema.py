"""The schema, its migrations and the statements, as SQL."""

from collections.abc import Iterable
from typing import Final

__all__ = [
    "APPLICATION_ID",
    "BEYOND_EVERY_SEQ",
    "BEYOND_EVERY_TEXT",
    "COUNT_PARKED",
    "COUNT_PENDING",
    "DELETE_HOLD",
    "DELETE_ITEM",
    "DELETE_PARKED",
    "DELETE_SINK",
    "DELIVERED_EVENTS",
    "FIND_ITEM",
    "FINISH_RESTORE",
    "FIRST_MOVEMENT",
    "HAS_SINKS",
    "IDEMPOTENCY_COLUMNS",
    "IDEMPOTENCY_RECORD",
    "INSERT_EVENT",
    "INSERT_HOLD",
    "INSERT_ITEM",
    "INSERT_MOVEMENT",
    "INSERT_RESERVATION",
    "INSERT_SINK",
    "IS_HELD",
    "IS_LOW",
    "IS_PARKED",
    "ITEM_COLUMNS",
    "LAST_EVENT",
    "MIGRATIONS",
    "MOVEMENTS",
    "MOVEMENT_COLUMNS",
    "PARK",
    "PENDING_EVENTS",
    "PURGE_IDEMPOTENCY_RECORDS",
    "PURGE_RESERVATIONS",
    "REPLACE_IDEMPOTENCY_RECORD",
    "REPLACE_ITEM",
    "REPLACE_MOVEMENT",
    "REPLACE_RESERVATION",
    "RESEND_PARKED",
    "RESERVATION",
    "RESERVATION_COLUMNS",
    "RESTORE_ID",
    "SELECT_ITEM",
    "SINKS",
    "START_RESTORE",
    "STORE_IDEMPOTENCY_RECORD",
    "UPDATE_RESERVATION",
    "UPDATE_SINK",
    "items_of_skus",
    "update_item",
]

# "tapi" in ASCII. It distinguishes files of this program from those of others, for file(1) as well.
APPLICATION_ID: Final = 0x74617069

# Greater than every seq: the start of a ledger's first page.
BEYOND_EVERY_SEQ: Final = 2**63 - 1

# Sorts after every time and every ID.
BEYOND_EVERY_TEXT: Final = "\U0010ffff"

# Written with `>=`, because SQLite does not match `quantity - reserved <= reorder_point` with the condition of the index.
IS_LOW: Final = "reorder_point >= quantity - reserved AND status <> 'discontinued'"
IS_HELD: Final = "state = 'held'"

# Each migration is applied once, in one transaction, and counted in user_version. Never edit a released one; append.
# Text compares as BINARY, the default: byte by byte in UTF-8, which equals the order of code points of `ItemFilter.position`.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE items (
            item_id TEXT NOT NULL,
            sku TEXT NOT NULL,
            search_text TEXT NOT NULL, -- before long columns, so that a search does not read past them
            name TEXT NOT NULL,
            description TEXT NOT NULL,
            category TEXT NOT NULL,
            price TEXT NOT NULL, -- exact decimal
            status TEXT NOT NULL,
            location TEXT NOT NULL,
            reorder_point INTEGER,
            attributes TEXT NOT NULL, -- JSON: {name: text, ...}
            version INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            quantity INTEGER NOT NULL,
            reserved INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            moved_at TEXT,
            changed_by TEXT,
            CHECK (0 <= reserved AND reserved <= quantity)
        )
        """,
        "CREATE UNIQUE INDEX items_by_id ON items (item_id, sku)",
        "CREATE INDEX items_by_sku ON items (sku, item_id)",
        "CREATE INDEX items_by_category ON items (category, updated_at, item_id, sku)",
        "CREATE INDEX items_by_status ON items (status, item_id, sku)",
        # It contains what a search reads of an item that it does not find.
        "CREATE INDEX items_by_text ON items (item_id, sku, search_text)",
        f"CREATE INDEX items_low ON items (item_id, sku) WHERE {IS_LOW}",
        """
        CREATE TABLE movements (
            item_id TEXT NOT NULL,
            sku TEXT NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            delta_on_hand INTEGER NOT NULL,
            delta_reserved INTEGER NOT NULL,
            on_hand INTEGER NOT NULL,
            reserved INTEGER NOT NULL,
            actor TEXT,
            reason TEXT,
            reference TEXT,
            reservation_id TEXT,
            recorded_at TEXT NOT NULL,
            item_created_at TEXT,
            crossed TEXT, -- words: low, out, restocked
            write_id TEXT NOT NULL,
            PRIMARY KEY (item_id, sku, seq)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE reservations (
            reservation_id TEXT NOT NULL,
            reference TEXT,
            created_at TEXT NOT NULL,
            lines TEXT NOT NULL, -- JSON: [[item_id, sku, quantity], ...]
            committed TEXT NOT NULL, -- the same
            state TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            closed_at TEXT,
            revision INTEGER NOT NULL,
            changed_at TEXT,
            changed_by TEXT
        )
        """,
        "CREATE UNIQUE INDEX reservations_by_id ON reservations (reservation_id)",
        f"CREATE INDEX reservations_held ON reservations (expires_at, reservation_id) WHERE {IS_HELD}",
        f"""
        CREATE INDEX reservations_by_reference ON reservations (reference, expires_at, reservation_id)
        WHERE {IS_HELD} AND reference IS NOT NULL
        """,
        "CREATE INDEX reservations_closed ON reservations (closed_at) WHERE closed_at IS NOT NULL",
        # The lines of held reservations, by item.
        """
        CREATE TABLE holds (
            item_id TEXT NOT NULL,
            sku TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            reservation_id TEXT NOT NULL,
            PRIMARY KEY (item_id, sku, expires_at, reservation_id)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE idempotency_records (
            record_id TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            answer TEXT NOT NULL, -- JSON
            stored_at TEXT NOT NULL,
            expires_at TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX idempotency_by_id ON idempotency_records (record_id)",
        "CREATE INDEX idempotency_by_expiry ON idempotency_records (expires_at)",
        # At most one row: the restore that was started and not finished.
        "CREATE TABLE restores (restore_id TEXT NOT NULL)",
        # Events are written only while there is a sink, which they are delivered to. AUTOINCREMENT: an id is never used again.
        """
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            sink TEXT, -- of an event that is sent again to one sink; NULL for all
            subject TEXT NOT NULL,
            event TEXT NOT NULL -- CloudEvents JSON
        )
        """,
        """
        CREATE TABLE sinks (
            name TEXT NOT NULL,
            target TEXT NOT NULL,
            secret TEXT,
            position INTEGER NOT NULL, -- the last event that is done with
            batch_end INTEGER, -- the last event of the batch that is sent again
            batch_size INTEGER NOT NULL,
            refusals INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            failing_since TEXT,
            retry_at TEXT
        )
        """,
        "CREATE UNIQUE INDEX sinks_by_name ON sinks (name)",
        # Events that a sink did not take. Later events of their subjects follow them, so that the order is kept.
        """
        CREATE TABLE parked (
            sink TEXT NOT NULL,
            id INTEGER NOT NULL,
            subject TEXT NOT NULL,
            event TEXT NOT NULL,
            PRIMARY KEY (sink, id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX parked_by_subject ON parked (sink, subject)",
    ),
)


def _insert(table: str, columns: str, *, verb: str = "INSERT") -> str:
    parameters = ", ".join("?" * len(columns.split(", ")))
    return f"{verb} INTO {table} ({columns}) VALUES ({parameters})"


ITEM_COLUMNS: Final = (
    "item_id, sku, name, description, category, price, status, location, reorder_point, attributes, version, "
    "created_at, updated_at, quantity, reserved, seq, moved_at, changed_by"
)
SELECT_ITEM: Final = f"SELECT {ITEM_COLUMNS} FROM items WHERE item_id = ? AND sku = ?"
FIND_ITEM: Final = f"SELECT {ITEM_COLUMNS} FROM items INDEXED BY items_by_id WHERE item_id = ? ORDER BY sku LIMIT 1"
INSERT_ITEM: Final = (
    _insert("items", f"{ITEM_COLUMNS}, search_text") + " ON CONFLICT (item_id, sku) DO NOTHING"
)

# The condition of an update or a deletion: level and version are as they were read.
UNCHANGED: Final = (
    "item_id = ? AND sku = ? AND quantity = ? AND reserved = ? AND seq = ? AND version = ?"
)
DELETE_ITEM: Final = f"DELETE FROM items WHERE {UNCHANGED}"

MOVEMENT_COLUMNS: Final = (
    "item_id, sku, seq, kind, delta_on_hand, delta_reserved, on_hand, reserved, actor, reason, reference, "
    "reservation_id, recorded_at, item_created_at, crossed"
)
INSERT_MOVEMENT: Final = _insert("movements", f"{MOVEMENT_COLUMNS}, write_id")
MOVEMENTS: Final = (
    f"SELECT {MOVEMENT_COLUMNS} FROM movements WHERE item_id = ? AND sku = ? AND seq <= ?"
    " ORDER BY seq DESC LIMIT ?"
)
FIRST_MOVEMENT: Final = (
    f"SELECT {MOVEMENT_COLUMNS} FROM movements WHERE item_id = ? AND sku = ? ORDER BY seq LIMIT 1"
)

_STATE_COLUMNS: Final = (
    "lines, committed, state, expires_at, closed_at, revision, changed_at, changed_by"
)
RESERVATION_COLUMNS: Final = f"reservation_id, reference, created_at, {_STATE_COLUMNS}"
INSERT_RESERVATION: Final = (
    _insert("reservations", RESERVATION_COLUMNS) + " ON CONFLICT (reservation_id) DO NOTHING"
)
UPDATE_RESERVATION: Final = (
    f"UPDATE reservations SET ({_STATE_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?)"
    " WHERE reservation_id = ? AND revision = ?"
)
RESERVATION: Final = f"SELECT {RESERVATION_COLUMNS} FROM reservations WHERE reservation_id = ?"
INSERT_HOLD: Final = _insert("holds", "item_id, sku, expires_at, reservation_id")
DELETE_HOLD: Final = (
    "DELETE FROM holds WHERE item_id = ? AND sku = ? AND expires_at = ? AND reservation_id = ?"
)

IDEMPOTENCY_COLUMNS: Final = "record_id, fingerprint, answer, stored_at, expires_at"
# Condition and write in one statement: an unexpired record is not replaced, and the row count is 0.
STORE_IDEMPOTENCY_RECORD: Final = (
    _insert("idempotency_records", IDEMPOTENCY_COLUMNS) + " ON CONFLICT (record_id) DO UPDATE"
    " SET fingerprint = excluded.fingerprint, answer = excluded.answer, stored_at = excluded.stored_at,"
    " expires_at = excluded.expires_at WHERE expires_at <= excluded.stored_at"
)
IDEMPOTENCY_RECORD: Final = (
    f"SELECT {IDEMPOTENCY_COLUMNS} FROM idempotency_records WHERE record_id = ?"
)

PURGE_IDEMPOTENCY_RECORDS: Final = (
    "DELETE FROM idempotency_records WHERE rowid IN"
    " (SELECT rowid FROM idempotency_records WHERE expires_at <= ? LIMIT ?)"
)
PURGE_RESERVATIONS: Final = (
    "DELETE FROM reservations"
    " WHERE rowid IN (SELECT rowid FROM reservations WHERE closed_at <= ? LIMIT ?)"
)

# The mark and the unconditional writes of a restore.
RESTORE_ID: Final = "SELECT restore_id FROM restores"
START_RESTORE: Final = _insert("restores", "restore_id")
FINISH_RESTORE: Final = "DELETE FROM restores"
REPLACE_ITEM: Final = _insert("items", f"{ITEM_COLUMNS}, search_text", verb="REPLACE")
REPLACE_MOVEMENT: Final = _insert("movements", f"{MOVEMENT_COLUMNS}, write_id", verb="REPLACE")
REPLACE_IDEMPOTENCY_RECORD: Final = _insert(
    "idempotency_records", IDEMPOTENCY_COLUMNS, verb="REPLACE"
)
REPLACE_RESERVATION: Final = _insert("reservations", RESERVATION_COLUMNS, verb="REPLACE")


# The outbox.
HAS_SINKS: Final = "SELECT 1 FROM sinks LIMIT 1"
INSERT_EVENT: Final = _insert("outbox", "subject, event")
LAST_EVENT: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"
PENDING_EVENTS: Final = (
    "SELECT id, subject, event FROM outbox"
    " WHERE id > ? AND id <= ? AND (sink IS NULL OR sink = ?) ORDER BY id LIMIT ?"
)
COUNT_PENDING: Final = "SELECT count(*) FROM outbox WHERE id > ? AND (sink IS NULL OR sink = ?)"
DELIVERED_EVENTS: Final = "DELETE FROM outbox WHERE id <= (SELECT coalesce(min(position), 9223372036854775807) FROM sinks)"
SINK_COLUMNS: Final = "name, target, secret, position, batch_end, batch_size, refusals, failures, failing_since, retry_at"
SINKS: Final = f"SELECT {SINK_COLUMNS} FROM sinks ORDER BY name"
INSERT_SINK: Final = _insert("sinks", SINK_COLUMNS) + " ON CONFLICT (name) DO NOTHING"
UPDATE_SINK: Final = (
    "UPDATE sinks SET (position, batch_end, batch_size, refusals, failures, failing_since, retry_at)"
    " = (?, ?, ?, ?, ?, ?, ?) WHERE name = ? AND position = ?"
)
DELETE_SINK: Final = "DELETE FROM sinks WHERE name = ?"
IS_PARKED: Final = "SELECT 1 FROM parked WHERE sink = ? AND subject = ? LIMIT 1"
PARK: Final = _insert("parked", "sink, id, subject, event")
COUNT_PARKED: Final = "SELECT count(*) FROM parked WHERE sink = ?"
DELETE_PARKED: Final = "DELETE FROM parked WHERE sink = ?"
RESEND_PARKED: Final = (
    "INSERT INTO outbox (sink, subject, event)"
    " SELECT sink, subject, event FROM parked WHERE sink = ? ORDER BY id"
)


def update_item(columns: Iterable[str]) -> str:
    """Return the update of *columns*, under the condition `UNCHANGED`."""
    assignments = ", ".join(f"{column} = ?" for column in columns)
    return f"UPDATE items SET {assignments} WHERE {UNCHANGED}"


def items_of_skus(count: int) -> str:
    """Return the query of all items with one of *count* SKUs."""
    skus = ", ".join("?" * count)
    return f"SELECT {ITEM_COLUMNS} FROM items INDEXED BY items_by_sku WHERE sku IN ({skus})"
