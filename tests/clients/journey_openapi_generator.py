"""A journey with the Python client of openapi-generator: `python journey_openapi_generator.py URL`."""

import sys

import pytest
from openapi_client import (
    AdjustStock,
    ApiClient,
    Configuration,
    CreateItem,
    CreateReservation,
    ItemsApi,
    LineRequest,
    ReservationsApi,
    StockApi,
    UpdateItem,
)
from openapi_client.exceptions import ApiException
from openapi_client.models.error import Error


def rejected(status, call, *args, **kwargs):
    """Return the typed error of a call that must be rejected."""
    with pytest.raises(ApiException) as caught:
        call(*args, **kwargs)
    assert caught.value.status == status
    assert isinstance(caught.value.data, Error)
    return caught.value.data


def header(response, name):
    """Return a header by its name in any case, because the client keeps them in a plain dictionary."""
    return {key.lower(): value for key, value in response.headers.items()}.get(name.lower())


def journey(client):
    """Create, page, edit, adjust, reserve, commit."""
    items, stock, reservations = ItemsApi(client), StockApi(client), ReservationsApi(client)

    tents = [
        items.create_item(
            CreateItem(sku=f"TENT-{n}", name="Tent", category="tents", quantity=5, price=199.9)
        ).item
        for n in range(3)
    ]
    assert [tent.price for tent in tents] == [199.9] * 3

    first = items.list_items(category="tents", page_size=2)
    last = items.list_items(category="tents", page_size=2, page_token=first.next_page_token)
    assert {it.item_id for it in first.items + last.items} == {it.item_id for it in tents}
    assert last.next_page_token is None

    tent = tents[0]
    key = {"item_id": tent.item_id, "sku": tent.sku}
    etag = header(items.get_item_with_http_info(**key), "ETag")
    cheaper = UpdateItem(sku=tent.sku, price=189, reorder_point=None)
    edited = items.update_item(tent.item_id, cheaper, if_match=etag).item
    assert (edited.price, edited.version) == (189, tent.version + 1)
    stale = rejected(412, items.update_item, tent.item_id, cheaper, if_match=etag)
    assert (stale.code, stale.version) == ("precondition_failed", edited.version)

    delivery = AdjustStock(sku=tent.sku, delta=3, reason="delivery")
    twice = [
        stock.adjust_stock_with_http_info(tent.item_id, delivery, idempotency_key="delivery-1")
        for _ in range(2)
    ]
    assert [header(it, "Idempotent-Replayed") for it in twice] == [None, "true"]
    assert twice[0].data == twice[1].data
    assert items.get_item(**key).item.quantity == 8
    movements = stock.list_movements(tent.item_id, sku=tent.sku).movements
    assert [it.kind for it in movements] == ["adjust", "opening"]
    assert movements[0].reference is None

    cart = CreateReservation(lines=[LineRequest(**key, quantity=6)], reference="cart 17")
    held = reservations.create_reservation(cart).reservation
    assert (held.state, held.closed_at) == ("held", None)
    short = rejected(409, reservations.create_reservation, cart)
    assert (short.code, short.requested, short.available) == ("insufficient_stock", 6, 2)
    sold = reservations.commit_reservation(held.reservation_id).reservation
    assert sold.state == "committed"
    assert sold.closed_at
    closed = rejected(409, reservations.release_reservation, held.reservation_id)
    assert (closed.code, closed.state) == ("reservation_closed", "committed")
    assert items.get_item(**key).item.quantity == 2

    invalid = CreateItem(sku="TENT-9", name="Tent", category="tents", quantity=1, price=0.00001)
    [fault] = rejected(400, items.create_item, invalid).details
    assert fault.to_dict()["field"] == "price"


if __name__ == "__main__":
    with ApiClient(Configuration(host=sys.argv[1])) as api_client:
        journey(api_client)
