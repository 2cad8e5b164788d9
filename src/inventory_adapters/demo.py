"""Something to look at: the stock of a small outdoor shop, with a store and a warehouse."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from inventory.commands import CreateItem
from inventory.items import AVAILABLE, OUT_OF_STOCK

__all__ = ["demo_items"]

# category: SKU, name, price, units in the store, units in the warehouse (None: not kept there), reorder point of each.
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
    """Yield about forty items; an SKU that is kept in both places comes twice."""
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
                        status=AVAILABLE if quantity else OUT_OF_STOCK,
                        location=location,
                        reorder_point=reorder_point,
                    )
