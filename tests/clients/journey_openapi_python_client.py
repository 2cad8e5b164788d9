"""A journey with the client of openapi-python-client: `python journey_openapi_python_client.py URL`."""

import sys

from inventory_client import Client
from inventory_client.api.items import create_item, get_item, list_items, update_item
from inventory_client.api.reservations import commit_reservation, create_reservation
from inventory_client.api.stock import adjust_stock
from inventory_client.models import (
    AdjustStock,
    CreateItem,
    CreateReservation,
    Error,
    LineRequest,
    UpdateItem,
)
from inventory_client.types import UNSET


def journey(client):
    """Create, page, edit, adjust, reserve, commit."""
    tents = [
        create_item.sync(
            client=client,
            body=CreateItem(
                sku=f"TENT-{n}", name="Tent", category="tents", quantity=5, price=199.9
            ),
        ).item
        for n in range(3)
    ]

    first = list_items.sync(client=client, category="tents", page_size=2)
    last = list_items.sync(
        client=client, category="tents", page_size=2, page_token=first.next_page_token
    )
    assert {it.item_id for it in first.items + last.items} == {it.item_id for it in tents}
    assert last.next_page_token is UNSET

    tent = tents[0]
    etag = get_item.sync_detailed(tent.item_id, client=client, sku=tent.sku).headers["ETag"]
    edit = {
        "item_id": tent.item_id,
        "client": client,
        "body": UpdateItem(sku=tent.sku, price=189),
        "if_match": etag,
    }
    edited = update_item.sync(**edit).item
    assert edited.price == 189
    stale = update_item.sync_detailed(**edit)
    assert stale.status_code == 412
    assert isinstance(stale.parsed, Error)
    assert stale.parsed.code == "precondition_failed"

    delivery = {
        "client": client,
        "body": AdjustStock(sku=tent.sku, delta=3, reason="delivery"),
        "idempotency_key": "delivery-1",
    }
    twice = [adjust_stock.sync_detailed(tent.item_id, **delivery) for _ in range(2)]
    assert [it.headers.get("Idempotent-Replayed") for it in twice] == [None, "true"]
    assert twice[0].parsed == twice[1].parsed

    line = LineRequest(item_id=tent.item_id, sku=tent.sku, quantity=6)
    cart = CreateReservation(lines=[line])
    held = create_reservation.sync(client=client, body=cart).reservation
    assert (held.state, held.closed_at) == ("held", None)
    short = create_reservation.sync_detailed(client=client, body=cart)
    assert short.status_code == 409
    assert (short.parsed.code, short.parsed.available) == ("insufficient_stock", 2)
    sold = commit_reservation.sync(held.reservation_id, client=client).reservation
    assert sold.state == "committed"


if __name__ == "__main__":
    with Client(base_url=sys.argv[1]) as http_client:
        journey(http_client)
