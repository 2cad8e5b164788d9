"""Sample data: a small outdoor shop with a store and a warehouse."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import attrs
from attrs import frozen

from inventory.commands import (
    AdjustStock,
    CountStock,
    CreateItem,
    CreateReservation,
    GetItem,
    ItemRef,
    LineRequest,
    TransferStock,
)
from inventory.items import Item, ItemKey

if TYPE_CHECKING:
    from inventory_adapters.cli.storage import UseCases

__all__ = ["SampleData", "demo_items", "load_sample_data"]

# By category: SKU, name, price, units in the store, units in the warehouse (None: no item there), reorder point of both.
_STOCK: Final[dict[str, tuple[tuple[str, str, str, int | None, int | None, int], ...]]] = {
    "tents": (
        ("TENT-TRAIL-1", "Trail tent, one person", "189.00", 4, 12, 3),
        ("TENT-TRAIL-2", "Trail tent, two persons", "249.00", 2, 9, 3),
        ("TENT-BASE-4", "Base camp tent, four persons", "429.00", 0, 3, 1),
        ("TARP-3X3", "Tarp, 3 x 3 m", "79.90", 7, None, 4),
    ),
    "sleeping": (
        ("BAG-DOWN-REG", "Down sleeping bag, regular", "299.00", 3, 8, 2),
        ("BAG-DOWN-LONG", "Down sleeping bag, long", "319.00", 0, 0, 2),
        ("MAT-FOAM", "Foam mat", "24.50", 18, 60, 10),
        ("PILLOW-AIR", "Inflatable pillow", "17.95", 11, None, 5),
    ),
    "cooking": (
        ("STOVE-GAS", "Gas stove", "54.90", 6, 20, 4),
        ("GAS-230", "Gas canister, 230 g", "6.95", 9, 144, 12),
        ("POT-TITAN-900", "Titanium pot, 0.9 l", "64.00", 5, None, 2),
        ("SPORK", "Spork", "3.4950", 42, 200, 20),
        ("MUG-ENAMEL", "Enamel mug", "9.90", 16, None, 8),
    ),
    "backpacks": (
        ("PACK-DAY-22", "Day pack, 22 l", "89.00", 8, 15, 4),
        ("PACK-TREK-55", "Trekking pack, 55 l", "219.00", 1, 6, 2),
        ("RAINCOVER-M", "Rain cover, medium", "22.00", 13, None, 5),
    ),
    "clothing": (
        ("JACKET-RAIN-M", "Rain jacket, M", "159.00", 3, 10, 3),
        ("JACKET-RAIN-L", "Rain jacket, L", "159.00", 0, 11, 3),
        ("SOCKS-MERINO-M", "Merino socks, M", "18.90", 24, 80, 12),
        ("CAP-WOOL", "Wool cap", "27.50", 14, None, 6),
    ),
    "light": (
        ("LAMP-HEAD-400", "Head lamp, 400 lm", "44.95", 10, 30, 6),
        ("LAMP-CAMP", "Camp lantern", "36.00", 5, None, 5),
        ("BATTERY-AAA-4", "Batteries AAA, pack of 4", "4.50", 31, 120, 24),
    ),
    "climbing": (
        ("ROPE-60", "Climbing rope, 60 m", "169.00", 2, 4, 2),
        ("CARABINER-HMS", "HMS carabiner", "12.90", 26, None, 10),
        ("HARNESS-M", "Harness, M", "74.00", 0, None, 2),
    ),
}


def demo_items() -> Iterator[CreateItem]:
    """Yield about forty items; some SKUs are at both locations."""
    for category, rows in _STOCK.items():
        for sku, name, price, in_store, in_warehouse, reorder_point in rows:
            for location, quantity in (("store", in_store), ("warehouse", in_warehouse)):
                if quantity is not None:
                    yield CreateItem(
                        sku=sku,
                        name=name,
                        category=category,
                        price=Decimal(price),
                        quantity=quantity,
                        location=location,
                        reorder_point=reorder_point,
                    )


# The items with movements, by SKU and location.
_GAS: Final = ("GAS-230", "store")
_GAS_SPARE: Final = ("GAS-230", "warehouse")
_TENT: Final = ("TENT-TRAIL-2", "store")
_HELD_SECONDS: Final = 7 * 24 * 60 * 60


@frozen(kw_only=True)
class SampleData:
    """
    The result of `load_sample_data`.

    Attributes:
        created: The number of created items.
        present: The number of items that existed already.
        moved: An item with several kinds of movements; None if no movements were added.
        reservation_id: The created reservation; None if there is none.
    """

    created: int
    present: int
    moved: ItemKey | None = None
    reservation_id: str | None = None


def load_sample_data(inventory: "UseCases") -> SampleData:
    """
    Create the missing `demo_items`, then movements and a reservation.

    Items are found by SKU and location. Movements and the reservation are added only if their items have never moved.
    """
    items: dict[tuple[str, str], Item] = {}
    created = 0
    for command in demo_items():
        item = next(iter(inventory.find_by_sku(command.sku, location=command.location)), None)
        if item is None:
            item = inventory.create_item(command)
            created += 1
        items[command.sku, command.location] = item
    result = SampleData(created=created, present=len(items) - created)
    gas, spare, tent = (items[place].key for place in (_GAS, _GAS_SPARE, _TENT))
    # Read again, because the items of an API's list have no seq.
    if any(
        inventory.get_item(GetItem(item_id=key.item_id)).level.seq for key in (gas, spare, tent)
    ):
        return result
    _move_stock(inventory, gas, spare)
    return attrs.evolve(result, moved=gas, reservation_id=_reserve(inventory, gas, tent))


def _move_stock(inventory: "UseCases", gas: ItemKey, spare: ItemKey) -> None:
    store = ItemRef(item_id=gas.item_id, sku=gas.sku)
    warehouse = ItemRef(item_id=spare.item_id, sku=spare.sku)
    for delta, reason, reference in (
        (-3, "sold", "receipt 20731"),
        (-1, "dented", None),
        (24, "delivery", "delivery note 5518"),
    ):
        inventory.adjust_stock(
            AdjustStock(
                item_id=gas.item_id,
                sku=gas.sku,
                delta=delta,
                reason=reason,
                reference=reference,
            )
        )
    inventory.transfer_stock(
        TransferStock(source=warehouse, destination=store, quantity=12, reference="weekend")
    )
    inventory.count_stock(
        CountStock(
            item_id=gas.item_id,
            sku=gas.sku,
            quantity=40,
            expected_quantity=41,
            reason="stocktaking",
        )
    )


def _reserve(inventory: "UseCases", gas: ItemKey, tent: ItemKey) -> str:
    """Reserve a tent and gas for an order, and return the id of the reservation."""
    lines = tuple(
        LineRequest(item_id=key.item_id, sku=key.sku, quantity=units)
        for key, units in ((tent, 1), (gas, 2))
    )
    reservation = inventory.create_reservation(
        CreateReservation(lines=lines, ttl_seconds=_HELD_SECONDS, reference="order 1047")
    )
    return reservation.reservation_id
