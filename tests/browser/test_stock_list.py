"""The list as a file and on paper, and several of its items at once."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import tab_to

pytestmark = pytest.mark.browser

COUNT = 60


@pytest.fixture
def page(api, open_page):
    for start in range(0, COUNT, 20):
        rows = [
            {"sku": f"SKU-{number}", "name": f"Thing {number}", "category": "things", "quantity": 9}
            for number in range(start, start + 20)
        ]
        api.client.post("/items/batch", json={"items": rows}).raise_for_status()
    page = open_page()
    expect(page.locator(".summary")).to_have_text("60 items")
    return page


def notice(page):
    return page.locator("#notices")


class TestExport:
    def export(self, page):
        with page.expect_download() as info:
            page.get_by_role("button", name="Export CSV").click()
        assert info.value.suggested_filename.startswith("items-20")
        text = Path(info.value.path()).read_bytes().decode("utf-8-sig")
        return text, list(csv.DictReader(text.splitlines(keepends=True)))

    def test_has_all_items_that_match(self, page, api):
        """Not only the rows on the screen."""
        _, rows = self.export(page)
        assert {row["sku"] for row in rows} == {f"SKU-{number}" for number in range(COUNT)}
        expect(notice(page)).to_have_text("60 items exported.")
        page.get_by_label("Search").fill("thing 4")
        expect(page.locator(".summary")).to_have_text("15 items found")

        _, rows = self.export(page)

        assert len(rows) == 15
        item = api.items(sku="SKU-4")[0]
        assert rows[0].keys() >= {"item_id", "quantity", "price", "location", "version"}
        assert item["item_id"] in {row["item_id"] for row in rows}

    def test_is_safe_and_exact(self, page, api):
        """No cell is a formula, no price can be misread, and attributes have columns of their own."""
        api.create(
            sku="X-1",
            name='=1+1, "so"',
            description="two\nlines",
            price="1.125",
            attributes={"color": "@red"},
        )
        page.get_by_label("Search").fill("X-1")
        expect(page.locator(".summary")).to_have_text("1 item found")

        text, [row] = self.export(page)

        assert row["name"] == '\'=1+1, "so"'
        assert row["description"] == "two\nlines"
        assert row["price"] == "1.1250"
        assert row["attributes.color"] == "'@red"
        assert text.endswith("\r\n")

    def test_can_be_imported_again(self, page, api):
        """An import of the unchanged file changes nothing."""
        text, _ = self.export(page)
        page.goto("/#/import")

        page.get_by_label("choose one").set_input_files(
            {"name": "items.csv", "mimeType": "text/csv", "buffer": text.encode("utf-8-sig")}
        )

        expect(page.locator(".report .summary")).to_contain_text("60 unchanged")
        assert api.client.get("/items").json()["items"][0]["version"] == 1


def test_printed_list_has_all_loaded_items_and_no_controls(page):
    """The table on the screen has its pages again afterwards."""
    rows = page.locator(".items tbody tr")
    expect(rows).to_have_count(25)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")

    expect(rows).to_have_count(COUNT)
    expect(page.get_by_text("Printed")).to_be_visible()
    for control in ("button", "checkbox", "searchbox", "combobox", "navigation"):
        expect(page.locator("main").get_by_role(control).filter(visible=True)).to_have_count(
            7 if control == "button" else 0
        )
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(rows).to_have_count(25)


class TestSeveralItems:
    def select(self, page, *names):
        for name in names:
            page.get_by_label(f"Select {name}", exact=True).check()

    def test_get_a_detail_at_once(self, page, api):
        """Their location, without a mouse; the others keep theirs."""
        tab_to(page, page.get_by_label("Select Thing 1", exact=True))
        page.keyboard.press("Space")
        self.select(page, "Thing 2")
        expect(page.locator(".bulk .chosen")).to_have_text("2 items selected")
        page.get_by_label("Change", exact=True).select_option("Location")
        page.locator(".bulk").get_by_label("Location").fill("attic")
        page.keyboard.press("Enter")

        expect(notice(page)).to_have_text("2 items changed.")
        expect(page.locator(".bulk")).to_be_hidden()
        assert {item["sku"] for item in api.items(location="attic")} == {"SKU-1", "SKU-2"}

    def test_all_loaded_ones_are_changed_once_though_an_answer_is_lost(self, page, api):
        """Each batch has its own key, which the second try repeats."""
        keys = []

        def lose_second(route):
            keys.append(route.request.headers["idempotency-key"])
            response = route.fetch()
            if len(keys) == 2:
                route.abort()
            else:
                route.fulfill(response=response)

        page.route("**/items/batch", lose_second)
        page.get_by_label("Select all loaded items").check()
        expect(page.locator(".bulk .chosen")).to_have_text("60 items selected")
        page.get_by_label("Change", exact=True).select_option("Reorder point")
        page.locator(".bulk").get_by_label("Reorder point").fill("3")
        page.get_by_role("button", name="Change the selected items").click()
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        page.get_by_role("button", name="Change the selected items").click()

        expect(notice(page)).to_have_text("60 items changed.")
        assert keys[:2] == keys[2:4]
        assert len(set(keys)) == 3
        assert api.items(sku="SKU-59")[0]["reorder_point"] == 3

    def test_rejected_ones_stay_selected(self, page, api):
        """The page lists them with their reason."""
        self.select(page, "Thing 1", "Thing 2")
        item = api.items(sku="SKU-2")[0]
        api.client.delete(f"/items/{item['item_id']}", params={"sku": "SKU-2"}).raise_for_status()
        page.locator(".bulk").get_by_label("Category").fill("tents")
        page.get_by_role("button", name="Change the selected items").click()

        expect(page.get_by_role("alert")).to_contain_text("SKU-2: Item not found")
        expect(notice(page)).to_have_text("1 item changed, 1 rejected.")
        assert api.items(sku="SKU-1")[0]["category"] == "tents"

    def test_need_a_value(self, page):
        """An empty category is reported at the field, and nothing is sent."""
        self.select(page, "Thing 1")
        page.get_by_role("button", name="Change the selected items").click()

        expect(page.locator(".bulk .problem").first).to_have_text("Is required")
