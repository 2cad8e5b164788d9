"""The console without a mouse, on small screens, with a screen reader and in dark mode."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import tab_to

pytestmark = pytest.mark.browser

VIEWS = ("", "new", "stocktake", "reservations", "import")
LONG = "W" * 128


@pytest.fixture
def item(api):
    """Create a low item with movements, whose texts have the maximum length and no spaces."""
    item = api.create(
        sku=LONG,
        name=LONG * 2,
        category=LONG,
        location=LONG,
        description=LONG * 4,
        quantity=1_000_000_000,
        price="99999999999.9999",
        reorder_point=1_000_000_000,
    )
    line = {"item_id": item["item_id"], "sku": LONG, "quantity": 999_999_999}
    response = api.client.post("/reservations", json={"lines": [line], "reference": LONG})
    item["reservation_id"] = response.json()["reservation"]["reservation_id"]
    return item


def test_main_journey_works_without_a_mouse(page, api):
    """A person creates, adjusts, reserves and commits with the keyboard; the focus is always visible."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="New item"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    for label, text in {
        "SKU": "MUG-1",
        "Name": "Mug",
        "Category": "kitchen",
        "On hand": "5",
    }.items():
        tab_to(page, page.get_by_label(label))
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Mug")).to_be_focused()

    tab_to(page, page.get_by_label("Change"))
    page.keyboard.type("-1")
    tab_to(page, page.get_by_label("Reason"))
    page.keyboard.type("broken")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_have_text("Adjusted: 4 units on hand now.")
    expect(page.get_by_label("Change")).to_be_focused()

    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("tab", name="Adjust")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Reserve")).to_be_focused()
    tab_to(page, page.get_by_label("Units", exact=True))
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("Reserved.")

    tab_to(page, page.locator(".movements").get_by_role("link").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Reservations")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Commit", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator(".reservation")).to_contain_text("Committed")
    expect(page.locator(".reservation h3")).to_be_focused()
    page.keyboard.press("Escape")

    expect(page.locator(".items")).to_contain_text("Mug")
    [item] = api.items()
    assert (item["quantity"], item["reserved"]) == (2, 0)


@pytest.mark.parametrize("width", [360, 1920])
def test_no_view_is_wider_than_the_window(open_page, item, width):
    """No view scrolls sideways with the longest texts, from a phone to a large screen."""
    page = open_page(width=width)
    views = [*VIEWS, f"items/{item['item_id']}/{LONG}", f"reservations/{item['reservation_id']}"]
    for view in views:
        page.goto(f"/#/{view}")
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") == width, view

    def must_fit():
        assert page.evaluate("document.documentElement.scrollWidth") == width

    page.goto(f"/#/items/{item['item_id']}/{LONG}")
    page.get_by_role("tab", name="Transfer").click()
    must_fit()
    page.get_by_role("tab", name="Reserve").click()
    page.get_by_role("button", name="Add to new reservation").click()
    expect(page.locator(".line")).to_be_visible()
    must_fit()
    page.get_by_role("button", name="Commit a part").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    must_fit()
    page.keyboard.press("Escape")
    page.goto("/#/")
    page.get_by_label("Select all loaded items").check()
    expect(page.locator(".bulk")).to_be_visible()
    must_fit()
    page.goto("/#/stocktake")
    page.get_by_label("SKU or barcode", exact=True).fill(LONG)
    page.keyboard.press("Enter")
    page.get_by_label(LONG).fill("5")
    page.keyboard.press("Enter")
    expect(page.locator(".sheet tbody tr")).to_be_visible()
    must_fit()


def must_be_clean(page):
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation(open_page, api, item, scheme, width):
    """Contrast, names, roles and structure are right on every view in both color schemes."""
    api.create(sku="MUG-1", name="Mug", quantity=3, reorder_point=3)
    api.create(sku="MUG-2", name="Cup", quantity=0, status="discontinued")
    page = open_page(width=width, scheme=scheme)
    views = [*VIEWS, f"items/{item['item_id']}/{LONG}", f"reservations/{item['reservation_id']}"]
    for view in views:
        page.goto(f"/#/{view}")
        page.wait_for_load_state("networkidle")
        must_be_clean(page)

    page.goto("/#/")
    page.get_by_label("Scan or type a code").fill("MUG-1")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Mug")
    for tab in ("Count", "Transfer", "Reserve", "Edit"):
        page.get_by_role("tab", name=tab).click()
        must_be_clean(page)
    page.goto("/#/stocktake")
    for code, units in {"MUG-1": "3", "MUG-2": "1"}.items():
        page.get_by_label("SKU or barcode", exact=True).fill(code)
        page.keyboard.press("Enter")
        page.get_by_label(f"({code}, default)").fill(units)
        page.keyboard.press("Enter")
        expect(page.locator(".sheet")).to_contain_text(code)
    must_be_clean(page)
    page.goto("/#/")
    page.get_by_label("Select all loaded items").check()
    must_be_clean(page)
    page.goto(f"/#/reservations/{item['reservation_id']}")
    page.get_by_role("button", name="Commit a part").click()
    must_be_clean(page)


def test_reduced_motion_disables_transitions(page, api):
    """A person who prefers reduced motion sees no transitions."""
    api.create(quantity=3)
    page.reload()

    bar = page.locator(".level-available").first
    expect(bar).to_be_attached()

    assert bar.evaluate("element => getComputedStyle(element).transitionDuration") in (
        "0s",
        "1e-05s",
    )
