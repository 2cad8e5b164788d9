"""The README's pictures, taken with the data of `inventory demo`. UPDATE_DOCS=1 writes them to docs/images."""

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.local_server import INVENTORY, serving

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
MAX_BYTES = 150_000


@pytest.fixture
def server(tmp_path):
    store = tmp_path / "shop.sqlite3"
    subprocess.run([INVENTORY, "demo", "--db", store], check=True, capture_output=True)
    with serving(tmp_path / "log", "--db", str(store)) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_readme_are_small(open_page, tmp_path, scheme):
    """The pictures of the stock and of an item stay below the maximum size."""
    folder = IMAGES if os.environ.get("UPDATE_DOCS") else tmp_path
    page = open_page(scheme=scheme, height=800)
    expect(page.locator(".summary")).to_contain_text("43 items")
    page.mouse.move(0, 0)
    stock = folder / f"console-stock-{scheme}.png"
    page.screenshot(path=stock, animations="disabled")

    page.get_by_label("Search").fill("gas canister")
    expect(page.locator(".summary")).to_contain_text("found")
    page.get_by_role("row", name="store").get_by_role("link").click()
    expect(page.locator(".chart")).to_be_visible()
    item = folder / f"console-item-{scheme}.png"
    page.screenshot(path=item, animations="disabled", full_page=True)

    assert [path.name for path in (stock, item) if path.stat().st_size > MAX_BYTES] == []
