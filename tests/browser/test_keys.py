"""The console of a server with API keys."""

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Api
from tests.local_server import serving
from tests.server.test_auth import ANNA, KEYS, VIEWER, WRONG, written

pytestmark = pytest.mark.browser


@pytest.fixture
def server(tmp_path):
    keys = written(tmp_path / "keys", KEYS)
    with serving(tmp_path / "log", "--memory", "--api-keys", keys) as running:
        yield running


@pytest.fixture
def api(server):
    headers = {"X-Api-Key": ANNA}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        yield Api(client)


def enter(page, key):
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use key").click()


def test_page_asks_for_the_key_and_keeps_it_for_the_tab(open_page, api):
    """Once for all requests of a view, and again after a wrong key or for the next person."""
    api.create(name="Mug for two")
    page = open_page(shown="dialog")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()

    enter(page, WRONG)
    expect(page.get_by_role("alert")).to_have_text("The key is wrong.")
    assert Axe().run(page).violations_count == 0
    enter(page, ANNA)
    expect(page.get_by_role("link", name="Mug for two")).to_be_visible()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".read-only")).to_be_hidden()

    page.get_by_role("link", name="Mug for two").click()
    page.get_by_label("Change").fill("-2")
    page.get_by_label("Reason").fill("sold")
    page.get_by_role("button", name="Adjust").click()
    expect(page.locator("#notices")).to_contain_text("3 units on hand")
    page.reload()
    expect(page.locator("h1")).to_have_text("Mug for two")

    page.get_by_role("button", name="Change key").click()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()


def test_page_can_be_used_after_the_question_was_cancelled(open_page, api):
    """The view shows the reason, and a button that asks again."""
    item = api.create()
    page = open_page(f"items/{item['item_id']}/{item['sku']}", shown="dialog")
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("Send an API key")

    page.get_by_role("button", name="Try again").click()
    enter(page, ANNA)
    expect(page.locator("h1")).to_have_text(item["name"])


def test_key_is_asked_for_in_the_middle_of_a_form(open_page, api):
    """The change is sent again with the new key, and applied once."""
    page = open_page("new")
    for label, value in {"SKU": "X", "Name": "X", "Category": "X", "On hand": "5"}.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Create item").click()
    enter(page, ANNA)

    expect(page.locator("#notices")).to_contain_text("X was created.")
    assert api.client.get("/items").json()["count"] == 1


def test_import_asks_for_the_key(open_page, api):
    """The file is sent again."""
    page = open_page("import")
    text = "sku,name,category,quantity\nX,Y,Z,5\n"
    page.get_by_label("choose one").set_input_files(
        {"name": "items.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    enter(page, ANNA)

    expect(page.locator(".report")).to_contain_text("1 created")


def test_page_of_a_read_only_key_hides_what_writes(open_page, api):
    """It says why."""
    item = api.create()
    line = {"item_id": item["item_id"], "sku": item["sku"], "quantity": 1}
    held = api.client.post("/reservations", json={"lines": [line]}).json()["reservation"]
    page = open_page(shown="dialog")
    enter(page, VIEWER)
    expect(page.locator(".read-only")).to_contain_text("can only read")
    expect(page.locator("h1")).to_have_text("Stock")
    expect(page.get_by_role("link", name="New item")).to_be_hidden()
    expect(page.get_by_role("link", name="Import")).to_be_hidden()

    page.get_by_role("link", name=item["name"]).click()
    expect(page.locator(".movements")).to_be_visible()
    expect(page.get_by_role("tab")).to_have_count(0)
    page.goto(f"/#/reservations/{held['reservation_id']}")
    expect(page.locator(".state-held")).to_be_visible()
    expect(page.get_by_role("button")).to_have_text(["Change key", "Show", "Refresh"])
    assert Axe().run(page).violations_count == 0
    for view in ("new", "import"):
        page.goto(f"/#/{view}")
        expect(page.locator("h1")).to_be_visible()
        expect(page.get_by_role("textbox")).to_have_count(0)
