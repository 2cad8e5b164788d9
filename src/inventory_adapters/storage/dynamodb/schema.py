"""
The two tables as plain data: keys, indexes, TTL, and how the keys of the ledger are written.

The CDK, the command line, the tests and the repository read this one module; it knows of no AWS library. Names are given
per deployment: `inventory-{env}` has the schema `ITEMS`, `inventory-{env}-ledger` has the schema `LEDGER`.
"""

from hashlib import sha256
from typing import Any, Final, Literal

from attrs import frozen

from inventory.items import ItemKey

__all__ = [
    "CATEGORY_INDEX",
    "DUE_INDEX",
    "DUE_SHARD",
    "IDEMPOTENCY_SK",
    "ITEMS",
    "LEDGER",
    "LOW_STOCK_PK",
    "RESERVATION_SK",
    "SKU_INDEX",
    "STATUS_INDEX",
    "IndexSchema",
    "TableSchema",
    "create_table_arguments",
    "idempotency_pk",
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
        name: What queries call it.
        partition_key: The attribute that a query names exactly.
        sort_key: The attribute that orders what it finds.
        projection: What of a row the index holds: all of it, or only its keys.
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
        indexes: Other ways to find rows; a row without the keys of an index is not in it.
        time_to_live: The attribute with the second, as seconds since 1970, after which DynamoDB may delete the row.
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
# Keys only: this index alone promises fresh quantities, so its items are read from the table anyway.
SKU_INDEX: Final = IndexSchema(
    name="sku-index", partition_key="sku", sort_key="item_id", projection="KEYS_ONLY"
)
# Keys only: a reservation of 25 lines is several KB, and each opening, extension and closing would write them again.
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
    # Only reservations that are held carry a due_shard: what is closed leaves the index by itself.
    indexes=(DUE_INDEX,),
    time_to_live="delete_after",
)

LOW_STOCK_PK: Final = "low-stock"
"""The one partition of all low-stock markers. A marker is written when an item crosses the line, not when it moves."""


DUE_SHARD: Final = "held"
"""
The one partition of all held reservations in the due index: a sweep is one query, oldest first.

A partition takes 1000 writes a second: about 500 reservations opened and closed in each second, all day. Beyond it DynamoDB
throttles, and loses nothing. Where that is too little, give new reservations one of several shards, and let the sweeper query
each: a row leaves the index with the shard that it carries, whichever that is.
Source: "Best practices for designing and using partition keys effectively".
"""

RESERVATION_SK: Final = "reservation"
IDEMPOTENCY_SK: Final = "idempotency"


def movements_pk(key: ItemKey) -> str:
    """Return the partition of an item's movements: ``item#<item_id>#<sku>``."""
    prefix = "item#"
    return prefix + _joined(key, _MAX_PK_BYTES - len(prefix))


def movement_sk(seq: int) -> str:
    """Return the place of a movement in its partition: ``movement#<seq, 12 digits>``."""
    return f"movement#{seq:012}"


def seq_of(sk: str) -> int:
    """Return the seq of the movement at a place that `movement_sk` made."""
    return int(sk.removeprefix("movement#"))


def reservation_pk(reservation_id: str) -> str:
    """Return the partition of a reservation, which is alone there: ``reservation#<reservation_id>``."""
    return _named("reservation", reservation_id)


def idempotency_pk(record_id: str) -> str:
    """Return the partition of the record of an idempotency key, which is alone there: ``idempotency#<record_id>``."""
    return _named("idempotency", record_id)


def low_stock_sk(key: ItemKey) -> str:
    """Return the place of an item's low-stock marker, in the order of ids: ``<item_id>#<sku>``."""
    return _joined(key, _MAX_SK_BYTES)


def _named(kind: str, name: str) -> str:
    """Write down *name* in one text that no other name of its *kind* has, or a hash of it where it is too long."""
    named = f"{kind}#{name}"
    if len(named.encode()) <= _MAX_PK_BYTES:
        return named
    return f"{kind}~{sha256(name.encode()).hexdigest()}"


def _joined(key: ItemKey, max_bytes: int) -> str:
    """Write down *key* in one text that no other key has: its halves, or a hash where they are too long for that."""
    # Only the first half needs escaping: the first "#" is then where the second begins.
    item_id = key.item_id.replace("%", "%25").replace("#", "%23")
    joined = f"{item_id}#{key.sku}"
    if len(joined.encode()) <= max_bytes:
        return joined
    # Without a "#", so never what two halves joined to.
    return "~" + sha256(joined.encode()).hexdigest()


def create_table_arguments(schema: TableSchema, name: str) -> dict[str, Any]:
    """Return the arguments of CreateTable that make a table with *schema*, billed on demand."""
    keyed: list[TableSchema | IndexSchema] = [schema, *schema.indexes]
    attributes = dict.fromkeys(name for it in keyed for name in (it.partition_key, it.sort_key))
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
    """Return the arguments of UpdateTimeToLive for the table, or None where its rows stay."""
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
