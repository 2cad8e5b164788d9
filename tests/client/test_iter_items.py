"""`InventoryClient.iter_items`: every item of a list, page by page."""

from decimal import Decimal

import httpx

from inventory import Item, ItemKey, ListItems, StockLevel, Timestamp
from inventory_adapters.wire import item_to_wire, to_json
from tests.handlers import client_of


def tent(item_id):
    at = Timestamp("2026-05-01T00:00:00.000000+00:00")
    return Item(
        key=ItemKey(item_id=item_id, sku="TENT-2"),
        name="Tent",
        category="tents",
        price=Decimal("9.50"),
        created_at=at,
        updated_at=at,
        level=StockLevel(on_hand=1),
    )


def test_an_item_on_two_pages_is_yielded_once():
    """It was edited between the pages; an empty page with a token does not end the list."""
    first, second = item_to_wire(tent("1")), item_to_wire(tent("2"))
    pages = {
        None: {"items": [first], "count": 1, "next_page_token": "a"},
        "a": {"items": [], "count": 0, "next_page_token": "b"},
        "b": {"items": [first, second], "count": 2},
    }
    asked = []

    def answer(request):
        asked.append(dict(request.url.params))
        token = asked[-1].get("last_evaluated_key", asked[-1].get("page_token"))
        return httpx.Response(200, content=to_json(pages[token]))

    client = client_of(httpx.MockTransport(answer))

    listed = list(client.iter_items(ListItems(category="tents", page_size=1)))

    assert [item.item_id for item in listed] == ["1", "2"]
    assert len(asked) == 3
    assert all(query["category"] == "tents" for query in asked)
