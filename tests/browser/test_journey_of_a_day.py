"""A day's work with keyboard and scanner alone, by a person with a key of her own."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import expect

from inventory import AdjustStock, CreateItem, Inventory
from inventory_adapters.storage.sqlite import SqliteRepository
from tests.browser.conftest import Api, tab_to
from tests.local_server import serving
from tests.server.test_auth import ANNA, KEYS, written

pytestmark = pytest.mark.browser

NOW = datetime.now(UTC)
# A Monday of last week, so that it is past in every time zone.
MONDAY = (NOW - timedelta(days=NOW.weekday() + 7)).replace(hour=10)
ITEMS = 30


@pytest.fixture
def server(tmp_path):
    store = tmp_path / "shop.sqlite3"
    with SqliteRepository(store) as repository:
        monday = Inventory(repository, clock=lambda: MONDAY)
        tuesday = Inventory(repository, clock=lambda: MONDAY + timedelta(days=1))
        for number in range(ITEMS):
            item = monday.create_item(
                CreateItem(
                    sku=f"SKU-{number}",
                    name=f"Thing {number}",
                    category="things",
                    quantity=20,
                    location="store",
                    attributes={"barcode": f"40063813{number:05}"},
                )
            )
            if number == 7:
                taken = AdjustStock(
                    item_id=item.item_id, sku=item.sku, delta=-3, reason="for a fair"
                )
                tuesday.acting_as("ben").adjust_stock(taken)
    keys = written(tmp_path / "keys", KEYS)
    with serving(tmp_path / "log", "--db", str(store), "--api-keys", keys) as running:
        yield running


@pytest.fixture
def api(server):
    headers = {"X-Api-Key": ANNA}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        yield Api(client)


def scan(page, code):
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def notices(page):
    return page.locator("#notices")


def take_stock(page):
    """Count all items, by SKU or barcode; the item 7 has 17 units as expected, the item 4 one less."""
    tab_to(page, page.get_by_role("link", name="Stocktake"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stocktake")
    for number in range(ITEMS):
        scan(page, f"40063813{number:05}" if number % 2 else f"SKU-{number}")
        expect(page.get_by_label(f"Thing {number} (SKU-{number}, store)")).to_be_focused()
        scan(page, {4: "19", 7: "17"}.get(number, "20"))
    expect(page.locator(".sheet .summary")).to_have_text("30 counted · 1 differ")
    tab_to(page, page.get_by_label("Reason"))
    page.keyboard.press("Enter")
    expect(notices(page)).to_have_text("All counts were saved.", timeout=30_000)
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stock")


def sell_and_take_back(page):
    """Sell 2 units of the scanned item, one of which is returned."""
    change = page.get_by_label("Change", exact=True)
    expect(change).to_be_focused()
    page.keyboard.type("-2")
    page.keyboard.press("Tab")
    scan(page, "sold")
    expect(notices(page)).to_have_text("Adjusted: 18 units on hand now.")
    expect(change).to_be_focused()
    page.keyboard.type("1")
    page.keyboard.press("Tab")
    page.keyboard.type("returned")
    page.keyboard.press("Tab")
    scan(page, "order 12")
    expect(notices(page)).to_have_text("Adjusted: 19 units on hand now.")
    expect(change).to_be_focused()


def move(page):
    """Move 4 units to a location that has no item of the SKU."""
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Transfer")).to_be_focused()
    tab_to(page, page.get_by_label("To location"))
    page.keyboard.type("attic")
    page.keyboard.press("Tab")
    scan(page, "4")
    expect(notices(page)).to_have_text("Transferred to attic.")
    expect(page.get_by_label("Units", exact=True)).to_be_focused()


def ask_about_monday(page):
    """Choose the days until Monday, then the days since Monday."""
    typed = f"{MONDAY:%m%d%Y}"
    tab_to(page, page.get_by_label("Until the end of"))
    scan(page, typed)
    balance = page.locator(".balance")
    expect(balance).to_contain_text("At the end of Monday")
    expect(balance).to_contain_text("20 on hand, 0 reserved, 20 available")
    page.keyboard.press("Backspace")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Backspace")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Backspace")
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    expect(page.get_by_label("From", exact=True)).to_be_focused()
    page.keyboard.press("Enter")


def test_day_needs_no_mouse(open_page, api):
    """A stocktake of 30 items, a sale, a return, a transfer, and: what did we have on Monday, who took 3?"""
    page = open_page(shown="dialog")
    scan(page, ANNA)
    expect(page.locator(".summary")).to_contain_text("30 items")

    take_stock(page)
    scan(page, "4006381300005")
    sell_and_take_back(page)
    move(page)
    scan(page, "4006381300007")
    expect(page.get_by_role("heading", level=1)).to_have_text("Thing 7")
    ask_about_monday(page)

    row = page.locator(".movements tbody tr").filter(has_text="\N{MINUS SIGN}3")
    expect(row).to_contain_text("ben")
    expect(row).to_contain_text("for a fair")
    five = {item["location"]: item for item in api.items(sku="SKU-5")}
    assert {place: item["quantity"] for place, item in five.items()} == {"store": 15, "attic": 4}
    kinds = [(row["kind"], row["actor"]) for row in api.movements(five["store"])]
    assert kinds[:-1] == [
        *(("transfer_out", "anna"), ("adjust", "anna"), ("adjust", "anna"), ("count", "anna"))
    ]
