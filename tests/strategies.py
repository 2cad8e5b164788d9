"""Hypothesis strategies for values and commands: few enough to collide, unusual enough to find bugs."""

from decimal import Decimal

from hypothesis import strategies as st

from inventory import UNSET, CreateItem, IfMatch, Item, ItemKey, StockLevel
from inventory.commands import MAX_PRICE
from inventory.items import STATUSES
from inventory.ports import ItemFilter
from inventory.stock import MAX_QUANTITY
from inventory.validation import canonical, normalized
from inventory_adapters.testing import a_time

# Characters of text: no control characters except tabs and line breaks, no lone surrogates.
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\t\n\r")

# Characters of one line: no invisible ones either.
LINE_CHARACTERS = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])


def texts(max_size, *common):
    """Return normalized lines that are not blank, mostly from *common*, so that values repeat."""
    anything = st.text(LINE_CHARACTERS, min_size=1, max_size=max_size).map(normalized)
    unusual = anything.filter(lambda text: 0 < len(text.strip("\ufe0f")) <= max_size)
    usual = st.sampled_from(common)
    return st.one_of(usual, usual, usual, unusual)


skus = texts(128, "SKU-1", "SKU-2", "sku-1")
categories = texts(128, "tools", "toys", "Tools")
locations = texts(128, "default", "north")
statuses = st.sampled_from(STATUSES)
quantities = st.integers(0, 6) | st.integers(0, MAX_QUANTITY)
reorder_points = st.none() | quantities
prices = st.decimals(0, MAX_PRICE, places=4).map(canonical) | st.sampled_from(
    [Decimal(0), Decimal(100), Decimal("0.0001"), MAX_PRICE]
)

attributes = st.dictionaries(
    st.sampled_from(["barcode", "size", "supplier"]),
    texts(40, "4006381333931", "Größe M"),
    max_size=3,
)
searches = st.sampled_from(["hammer", "HÄMMER", "grosse m", "400", "sku-1 claw", "nothing", "ﬁ"])

details = {
    "name": texts(256, "Claw hammer"),
    "description": st.text(CHARACTERS, max_size=50),
    "category": categories,
    "price": prices,
    "status": statuses,
    "location": locations,
}

creations = st.builds(
    CreateItem,
    sku=skus,
    quantity=quantities,
    reorder_point=reorder_points,
    attributes=attributes,
    **(details | {"status": statuses | st.just(UNSET)}),
)

updates = st.fixed_dictionaries(
    {},
    optional=details
    | {
        "quantity": quantities,
        "reorder_point": reorder_points,
        "attributes": st.dictionaries(
            st.sampled_from(["barcode", "size"]), st.none() | texts(40, "M", "XL"), max_size=2
        ),
    },
)
"""Any fields of an `UpdateItem`, or none."""

tags = st.tuples(st.integers(0, 4), st.integers(0, 4))
if_matches = st.just(IfMatch()) | st.builds(IfMatch, st.frozensets(tags, max_size=6))

filters = st.builds(
    ItemFilter,
    category=st.none() | categories,
    status=st.none() | statuses,
    sku=st.none() | skus,
    location=st.none() | locations,
    low_stock=st.booleans(),
    search=st.none() | searches,
)

likely_filters = st.builds(
    ItemFilter,
    category=st.sampled_from([None, None, "tools", "toys"]),
    status=st.sampled_from([None, None, *STATUSES]),
    sku=st.sampled_from([None, None, "SKU-1"]),
    location=st.sampled_from([None, None, None, "default"]),
    low_stock=st.sampled_from([False, False, True]),
    search=st.none() | st.none() | searches,
)
"""Filters that several items are likely to match."""


@st.composite
def levels(draw):
    """Draw a stock level with reserved units."""
    on_hand = draw(quantities)
    return StockLevel(on_hand=on_hand, reserved=draw(st.integers(0, on_hand)), seq=draw(quantities))


times = st.integers(0, 10**9).map(lambda microseconds: a_time(microseconds / 1e6))

items = st.builds(
    Item,
    key=st.builds(ItemKey, item_id=texts(36, "item-1", "item-2"), sku=skus),
    reorder_point=reorder_points,
    attributes=attributes,
    version=st.integers(1, 10**9),
    created_at=times,
    updated_at=times,
    level=levels(),
    **details,
)
