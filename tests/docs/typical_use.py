"""Typical calls of the library, for type checkers."""

from decimal import Decimal
from typing import assert_type

from inventory import (
    AdjustStock,
    BatchItems,
    CreateItem,
    CreateReservation,
    DeleteItem,
    IdempotencyKey,
    IfMatch,
    Inventory,
    ItemRef,
    LineRequest,
    ListItems,
    TransferStock,
    UpdateItem,
)
from inventory_adapters.storage.memory import MemoryRepository

inventory = Inventory(MemoryRepository())
tent = inventory.create_item(
    CreateItem(sku="TENT-2", name="Tent", category="tents", quantity=4, price="199.90")
)
mug = inventory.create_item(
    CreateItem(
        sku="MUG-1",
        name="Mug",
        category="kitchen",
        quantity=3,
        price=5,
        reorder_point=None,
        idempotency_key="delivery 17",
    )
)
priced = CreateItem(sku="A", name="A", category="c", quantity=0, price=Decimal("1.5"))
assert_type(priced.price, Decimal)
assert_type(priced.idempotency_key, IdempotencyKey | None)

update = UpdateItem(item_id=tent.item_id, sku=tent.sku, price="189", if_match=tent.etag)
assert_type(update.if_match, IfMatch)
inventory.update_item(update)
inventory.update_item(UpdateItem(item_id=tent.item_id, sku=tent.sku, quantity=5, price=180))

line = LineRequest(item_id=tent.item_id, sku=tent.sku, quantity=1)
reservation = CreateReservation(lines=[line], reference="cart 17", idempotency_key="cart 17")
assert_type(reservation.lines, tuple[LineRequest, ...])
inventory.create_reservation(reservation)
inventory.create_reservation(CreateReservation(lines=(line,)))
inventory.create_reservation(
    CreateReservation(lines=[{"item_id": mug.item_id, "sku": mug.sku, "quantity": 1}])
)

inventory.adjust_stock(
    AdjustStock(
        item_id=mug.item_id,
        sku=mug.sku,
        delta=2,
        reason="delivery",
        idempotency_key=IdempotencyKey("d-1"),
    )
)
batch = BatchItems(
    items=[
        priced,
        UpdateItem(item_id=mug.item_id, sku=mug.sku, name="Big mug"),
        {"sku": "B", "name": "B", "category": "c", "quantity": 1},
    ],
    mode="per_row",
)
for result in inventory.batch_items(batch):
    assert_type(result.version, int | None)

transfer = TransferStock(
    source=ItemRef(item_id=tent.item_id, sku=tent.sku),
    destination={"item_id": mug.item_id, "sku": mug.sku},
    quantity=1,
)
assert_type(transfer.destination, ItemRef)
inventory.delete_item(DeleteItem(item_id=mug.item_id, sku=mug.sku, if_match=IfMatch()))
for item in inventory.list_items(ListItems(category="tents", low_stock=True)).items:
    assert_type(item.price, Decimal)
