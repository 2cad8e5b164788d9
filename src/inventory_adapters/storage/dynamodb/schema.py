"""
The schemas of the two tables: keys, indexes, TTL, and the format of ledger keys.

The CDK app, the command line, the tests and the repository read this module, so it imports no AWS library. Each deployment
names its tables: `inventory-{env}` has the schema `ITEMS`, `inventory-{env}-ledger` has the schema `LEDGER`.
"""

from hashlib import sha256
from typing import Any, Final, Literal

from attrs import evolve, frozen

from inventory.items import ItemKey
from inventory_adapters.config import IndexProjection

__all__ = [
    "CATEGORY_INDEX",
    "DUE_INDEX",
    "DUE_SHARDS",
    "IDEMPOTENCY_SK",
    "ITEMS",
    "LEDGER",
    "LOW_STOCK_PK",
    "MOVEMENT_PREFIX",
    "RESERVATION_SK",
    "RESTORE_KEY",
    "SKU_INDEX",
    "STATUS_INDEX",
    "IndexSchema",
    "TableSchema",
    "create_table_arguments",
    "due_shard",
    "holds_pk",
    "holds_sk",
    "idempotency_pk",
    "items_schema",
    "low_stock_sk",
    "movement_sk",
    "movements_pk",
    "reservation_pk",
    "seq_of",
    "time_to_live_arguments",
]

# Source: "Quotas in Amazon DynamoDB", partition keys and sort keys.
_MAX_PK_BYTES: Final = 2048
_MAX_SK_BYTES: Final = 1024


@frozen(kw_only=True)
class IndexSchema:
    """
    A global secondary index. Every key attribute is text.

    Attributes:
        name: The name of the index.
        partition_key: The attribute that a query must equal.
        sort_key: The attribute that orders the rows of a partition.
        projection: The attributes in the index: all, or only keys.
    """

    name: str
    partition_key: str
    sort_key: str
    projection: Literal["ALL", "KEYS_ONLY"]


@frozen(kw_only=True)
class TableSchema:
    """
    A table. Every key attribute is text.

    Attributes:
        partition_key: The first half of a row's key.
        sort_key: The second half.
        indexes: The global secondary indexes. An index omits rows that lack its keys.
        time_to_live: The attribute with the time, in seconds since 1970, after which DynamoDB may delete the row.
    """

    partition_key: str
    sort_key: str
    indexes: tuple[IndexSchema, ...] = ()
    time_to_live: str | None = None


CATEGORY_INDEX: Final = IndexSchema(
    name="category-index", partition_key="category", sort_key="updated_at", projection="ALL"
)
STATUS_INDEX: Final = IndexSchema(
    name="status-index", partition_key="status", sort_key="item_id", projection="ALL"
)
# Keys only: lists by SKU guarantee current quantities, so their items are read from the table anyway.
SKU_INDEX: Final = IndexSchema(
    name="sku-index", partition_key="sku", sort_key="item_id", projection="KEYS_ONLY"
)
# Keys only: a reservation of 25 lines is several KB, and each change of its state would write all of them to the index.
DUE_INDEX: Final = IndexSchema(
    name="due-index", partition_key="due_shard", sort_key="expires_at", projection="KEYS_ONLY"
)

ITEMS: Final = TableSchema(
    partition_key="item_id",
    sort_key="sku",
    indexes=(CATEGORY_INDEX, STATUS_INDEX, SKU_INDEX),
)
LEDGER: Final = TableSchema(
    partition_key="pk",
    sort_key="sk",
    # Only held reservations have a `due_shard`, so closed ones leave the index.
    indexes=(DUE_INDEX,),
    time_to_live="delete_after",
)

LOW_STOCK_PK: Final = "low-stock"
"""The partition of all low-stock markers. A marker is written or deleted only when an item becomes low or stops being low."""

DUE_SHARDS: Final = tuple(f"held#{number}" for number in range(8))
"""
The partitions of the due index. A held reservation is in one of them.

A partition takes 1000 writes per second: about 500 reservations opened and closed per second.
Source: "Best practices for designing and using partition keys effectively".
"""

RESERVATION_SK: Final = "reservation"
MOVEMENT_PREFIX: Final = "movement#"
IDEMPOTENCY_SK: Final = "idempotency"
RESTORE_KEY: Final = {"pk": {"S": "restore"}, "sk": {"S": "restore"}}
"""The key of the ledger row that marks the tables as being restored."""


def items_schema(index_projection: IndexProjection) -> TableSchema:
    """
    Return the schema of an items table; with ``all``, it is `ITEMS`.

    With ``keys``, a movement writes no index entry unless the status changes, and a page of a list by category or status takes
    one more batch read. The projection of an existing index cannot be changed.
    """
    if index_projection == "all":
        return ITEMS
    indexes = (evolve(index, projection="KEYS_ONLY") for index in ITEMS.indexes)
    return evolve(ITEMS, indexes=tuple(indexes))


def movements_pk(key: ItemKey) -> str:
    """Return the partition of an item's movements: ``item#<item_id>#<sku>``."""
    prefix = "item#"
    return prefix + _joined(key, _MAX_PK_BYTES - len(prefix))


def movement_sk(seq: int) -> str:
    """Return the sort key of a movement: ``movement#<seq, 12 digits>``."""
    return f"{MOVEMENT_PREFIX}{seq:012}"


def seq_of(sk: str) -> int:
    """Return the seq in a sort key of `movement_sk`."""
    return int(sk.removeprefix(MOVEMENT_PREFIX))


def reservation_pk(reservation_id: str) -> str:
    """Return the partition of one reservation: ``reservation#<reservation_id>``."""
    return _named("reservation", reservation_id)


def idempotency_pk(record_id: str) -> str:
    """Return the partition of one idempotency record: ``idempotency#<record_id>``."""
    return _named("idempotency", record_id)


def due_shard(reservation_id: str) -> str:
    """Return the partition of a reservation in the due index."""
    return DUE_SHARDS[sha256(reservation_id.encode()).digest()[0] % len(DUE_SHARDS)]


def holds_pk(key: ItemKey) -> str:
    """Return the partition of the pointers to the reservations that hold an item: ``holds#<item_id>#<sku>``."""
    prefix = "holds#"
    return prefix + _joined(key, _MAX_PK_BYTES - len(prefix))


def holds_sk(expires_at: str, reservation_id: str) -> str:
    """Return the sort key of the pointers to a reservation: ``<expires_at>#<reservation_id>``."""
    sk = f"{expires_at}#{reservation_id}"
    if len(sk.encode()) <= _MAX_SK_BYTES:
        return sk
    return f"{expires_at}#~{sha256(reservation_id.encode()).hexdigest()}"


def low_stock_sk(key: ItemKey) -> str:
    """Return the sort key of an item's low-stock marker: ``<item_id>#<sku>``."""
    return _joined(key, _MAX_SK_BYTES)


def _named(kind: str, name: str) -> str:
    """Return a unique partition key for *name*, with a hash if the name is too long."""
    partition = f"{kind}#{name}"
    if len(partition.encode()) <= _MAX_PK_BYTES:
        return partition
    return f"{kind}~{sha256(name.encode()).hexdigest()}"


def _joined(key: ItemKey, max_bytes: int) -> str:
    """Return a unique text for *key*: its two halves, or a hash if they are too long."""
    # Only the first half needs escaping, because the second begins after the first "#".
    item_id = key.item_id.replace("%", "%25").replace("#", "%23")
    joined = f"{item_id}#{key.sku}"
    if len(joined.encode()) <= max_bytes:
        return joined
    # Without a "#", so that it never equals two joined halves.
    return "~" + sha256(joined.encode()).hexdigest()


def create_table_arguments(schema: TableSchema, name: str) -> dict[str, Any]:
    """Return the arguments of CreateTable for a table with *schema*, billed on demand."""
    schemas: list[TableSchema | IndexSchema] = [schema, *schema.indexes]
    attributes = dict.fromkeys(
        attribute for keyed in schemas for attribute in (keyed.partition_key, keyed.sort_key)
    )
    arguments: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _key_schema(schema),
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"} for attribute in attributes
        ],
    }
    if schema.indexes:
        arguments["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _key_schema(index),
                "Projection": {"ProjectionType": index.projection},
            }
            for index in schema.indexes
        ]
    return arguments


def time_to_live_arguments(schema: TableSchema, name: str) -> dict[str, Any] | None:
    """Return the arguments of UpdateTimeToLive, or None if *schema* has no TTL."""
    if schema.time_to_live is None:
        return None
    return {
        "TableName": name,
        "TimeToLiveSpecification": {"Enabled": True, "AttributeName": schema.time_to_live},
    }


def _key_schema(keyed: TableSchema | IndexSchema) -> list[dict[str, str]]:
    return [
        {"AttributeName": keyed.partition_key, "KeyType": "HASH"},
        {"AttributeName": keyed.sort_key, "KeyType": "RANGE"},
    ]
