"""The list of open reservations: found, extended, released, and committed in whole or in part."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def mug(api):
    return api.create(sku="MUG-1", name="Mug", quantity=9, attributes={"barcode": "4006381333931"})


@pytest.fixture
def tea(api):
    return api.create(sku="TEA-1", name="Tea", quantity=9)


@pytest.fixture
def reserve(api):
    def reserve(reference, *items, quantity=3):
        lines = [
            {"item_id": item["item_id"], "sku": item["sku"], "quantity": quantity} for item in items
        ]
        body = {"lines": lines, "reference": reference}
        return api.client.post("/reservations", json=body).json()["reservation"]

    return reserve


def cards(page):
    return page.get_by_role("article")


def test_open_reservations_are_listed_and_found(page, reserve, mug, tea):
    """All of them, those that hold an item, and those with a reference."""
    reserve("cart 1", mug)
    reserve("cart 2", tea)
    reserve("cart 3", mug, tea)
    page.get_by_role("link", name="Reservations").click()
    expect(cards(page)).to_have_count(3)

    page.get_by_label("Item (SKU or barcode)").fill("4006381333931")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(2)
    expect(page.get_by_label("Item (SKU or barcode)")).to_have_value("MUG-1")
    page.get_by_label("Reference", exact=True).fill("cart 3")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(1)
    page.go_back()
    page.go_back()
    expect(cards(page)).to_have_count(3)

    page.goto(f"/#/items/{tea['item_id']}/TEA-1")
    page.locator(".figures").get_by_role("link", name="6").click()
    expect(cards(page)).to_have_count(2)
    expect(cards(page).first).to_contain_text("cart 2")


def test_many_reservations_are_listed_in_pages(page, reserve, mug):
    """The next to expire come first; more are loaded on request, and stay after a refresh."""
    for number in range(9):
        reserve(f"cart {number}", mug, quantity=1)
    page.route(
        "**/reservations?*",
        lambda route: route.continue_(url=route.request.url.replace("page_size=50", "page_size=5")),
    )

    page.get_by_role("link", name="Reservations").click()
    expect(cards(page)).to_have_count(5)
    page.get_by_role("button", name="Load more").click()

    expect(cards(page)).to_have_count(9)
    expect(cards(page).nth(8)).to_contain_text("cart 8")
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("button", name="Load more")).to_have_count(0)
    expect(cards(page)).to_have_count(9)


def test_a_part_is_committed_once(page, api, reserve, mug, tea):
    """A resend after a lost response takes no second part; the rest stays held until it is released."""
    reservation = reserve("order 7", mug, tea)
    lost = []

    def lose_first(route):
        lost.append(route.request.headers["idempotency-key"])
        response = route.fetch()
        if len(lost) == 1:
            route.abort()
        else:
            route.fulfill(response=response)

    page.route("**/commit", lose_first)
    page.goto(f"/#/reservations/{reservation['reservation_id']}")
    card = page.get_by_role("article", name="order 7")
    card.get_by_role("button", name="Commit a part").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("MUG-1, of 3 units")).to_be_focused()
    dialog.get_by_label("MUG-1, of 3 units").fill("2")
    dialog.get_by_role("button", name="Commit these units").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The server does not answer")
    dialog.get_by_role("button", name="Commit these units").click()

    expect(page.locator("#notices")).to_contain_text("the rest stays reserved")
    expect(card.get_by_role("listitem")).to_have_text(
        ["MUG-1 1 unit", "TEA-1 3 units", "MUG-1 2 units committed"]
    )
    assert len(lost) == 2
    assert len(set(lost)) == 1
    assert (api.item(mug)["quantity"], api.item(mug)["reserved"]) == (7, 1)
    card.get_by_role("button", name="Release").click()
    expect(card).to_contain_text("Released")
    assert (api.item(mug)["reserved"], api.item(tea)["reserved"]) == (0, 0)


def test_more_than_is_held_cannot_be_committed(page, api, reserve, mug):
    """The dialog shows the server's message and stays open."""
    reserve("order 7", mug)
    page.get_by_role("link", name="Reservations").click()
    cards(page).get_by_role("button", name="Commit a part").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("MUG-1, of 3 units").fill("4")

    dialog.get_by_role("button", name="Commit these units").click()

    expect(dialog.get_by_role("alert")).to_contain_text("4")
    assert api.item(mug)["reserved"] == 3
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reservations")
