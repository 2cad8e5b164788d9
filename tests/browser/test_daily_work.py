"""Daily work with a scanner: find, count, move and undo. A scanner types a code and Enter."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def mug(api):
    attributes = {"barcode": "4006381333931"}
    return api.create(sku="MUG-1", name="Mug", location="store", quantity=5, attributes=attributes)


@pytest.fixture
def tea(api):
    return api.create(sku="TEA-1", name="Tea", location="store", quantity=9)


def scan(page, code):
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def notice(page):
    return page.locator("#notices")


def open_item(page, item):
    page.goto(f"/#/items/{item['item_id']}/{item['sku']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(item["name"])


class TestScan:
    def test_works_from_any_view(self, page, mug, tea):
        """A SKU or a barcode opens its item, and the focus is in the first field."""
        for view in ("", "new", "import", f"items/{tea['item_id']}/TEA-1"):
            page.goto(f"/#/{view}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.evaluate("document.activeElement.blur()")
            scan(page, "4006381333931")
            expect(page.get_by_role("heading", level=1)).to_have_text("Mug")
            expect(page.get_by_label("Change")).to_be_focused()

    def test_into_a_field_for_a_number_opens_the_next_item(self, page, mug, tea):
        """Two scans in a row open two items, and the chosen action stays."""
        scan(page, "TEA-1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Tea")
        page.get_by_role("tab", name="Count").click()
        page.get_by_label("Counted quantity").focus()

        scan(page, "4006381333931")

        expect(page.get_by_role("heading", level=1)).to_have_text("Mug")
        expect(page.get_by_label("Counted quantity")).to_be_focused()
        scan(page, "6")
        expect(notice(page)).to_have_text("Counted: 6 units on hand (+1).")
        scan(page, "TEA-1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Tea")

    def test_lists_the_items_of_several_locations(self, page, api, mug):
        """If a SKU is at several locations, the table shows them; an unknown code is reported."""
        api.create(sku="MUG-1", name="Mug", location="attic")
        scan(page, "MUG-1")
        expect(page.locator(".summary")).to_contain_text("2 items")

        scan(page, "MUG-2")

        expect(notice(page)).to_have_text("No item has the SKU or barcode “MUG-2”.")


class TestStocktake:
    @pytest.fixture
    def page(self, open_page, mug, tea):
        page = open_page("stocktake")
        page.evaluate("document.activeElement.blur()")
        return page

    def sheet(self, page):
        return page.get_by_role("region", name="Sheet").locator("tbody tr")

    def count(self, page, code, *units):
        scan(page, code)
        expect(
            page.get_by_role("form", name="Count", exact=True).get_by_role("textbox")
        ).to_be_focused()
        for text in units:
            scan(page, text)
        expect(page.get_by_label("SKU or barcode", exact=True)).to_be_focused()

    def test_counts_are_kept_and_saved_with_one_reason(self, page, api, mug, tea):
        """The sheet survives a reload; every count is in the ledger, also one that agrees."""
        self.count(page, "4006381333931", "4")
        self.count(page, "TEA-1", "8")
        self.count(page, "TEA-1", "+1")
        page.reload()
        expect(self.sheet(page)).to_have_count(2)
        expect(page.locator(".sheet .summary")).to_have_text("2 counted · 1 differ")
        page.get_by_label("Only differences").check()
        expect(self.sheet(page)).to_have_count(1)
        expect(self.sheet(page)).to_contain_text("\N{MINUS SIGN}1")
        page.get_by_label("Reason").fill("stocktake of May")

        page.get_by_role("button", name="Save 2 counts").click()

        expect(notice(page)).to_have_text("All counts were saved.")
        for item, delta in ((mug, -1), (tea, 0)):
            movement = api.movements(item)[0]
            assert (movement["kind"], movement["delta_on_hand"]) == ("count", delta)
            assert movement["reason"] == "stocktake of May"
        page.get_by_role("button", name="New sheet").click()
        expect(self.sheet(page)).to_have_count(0)

    def test_a_code_scanned_instead_of_a_count_is_the_next_item(self, page):
        """An item that was not counted is not on the sheet."""
        scan(page, "MUG-1")
        field = page.get_by_role("form", name="Count", exact=True).get_by_role("textbox")
        expect(field).to_be_focused()

        scan(page, "TEA-1")

        expect(page.get_by_label("Tea (TEA-1, store)")).to_be_focused()
        scan(page, "9")
        expect(self.sheet(page)).to_have_count(1)

    def test_stock_that_moved_since_the_count_is_counted_again(self, page, api, mug, tea):
        """The other counts are saved; the sheet says which one was not."""
        self.count(page, "MUG-1", "5")
        self.count(page, "TEA-1", "9")
        api.put(mug, quantity=4)

        page.get_by_role("button", name="Save 2 counts").click()

        expect(notice(page)).to_have_text("Saved, except 1 count.")
        expect(self.sheet(page).filter(has_text="MUG-1")).to_contain_text("Count it again")
        expect(self.sheet(page).filter(has_text="TEA-1")).to_contain_text("Saved")
        page.evaluate("document.activeElement.blur()")
        self.count(page, "MUG-1", "4")
        page.get_by_role("button", name="Save 1 count").click()
        expect(notice(page)).to_have_text("All counts were saved.")
        assert api.movements(mug)[0]["kind"] == "count"

    def test_counts_are_saved_once_though_answers_are_lost(self, page, api, mug, tea):
        """Also after a reload, and with another reason."""
        self.count(page, "MUG-1", "4")
        self.count(page, "TEA-1", "8")

        def lose(route):
            route.fetch()
            route.abort()

        page.route("**/counts", lose)
        page.get_by_role("button", name="Save 2 counts").click()
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        page.unroute_all()
        page.reload()
        page.get_by_label("Reason").fill("another")

        page.get_by_role("button", name="Save 2 counts").click()

        expect(notice(page)).to_have_text("All counts were saved.")
        assert [row["kind"] for row in api.movements(mug)].count("count") == 1
        assert [row["kind"] for row in api.movements(tea)].count("count") == 1

    def test_only_the_chosen_location_is_counted(self, page, api, mug):
        """A SKU that is also elsewhere needs no choice; without a location, the person chooses."""
        api.create(sku="MUG-1", name="Mug", location="attic")
        scan(page, "MUG-1")
        page.get_by_role("button", name="attic").click()
        expect(page.get_by_label("Mug (MUG-1, attic)")).to_be_focused()

        page.get_by_label("Location").fill("store")
        page.get_by_label("SKU or barcode", exact=True).focus()
        scan(page, "MUG-1")

        expect(page.get_by_label("Mug (MUG-1, store)")).to_be_focused()


class TestTransfer:
    def transfer(self, page, item, location, units):
        open_item(page, item)
        page.get_by_role("tab", name="Transfer").click()
        page.get_by_label("To location").fill(location)
        page.get_by_label("Units", exact=True).fill(units)
        page.get_by_label("Reference").fill("van 1")
        page.get_by_role("button", name="Transfer", exact=True).click()

    def test_to_a_location_without_the_sku_creates_the_item(self, page, api, mug):
        """It has the details of the first; the next transfer finds it."""
        for left in (3, 1):
            self.transfer(page, mug, "attic", "2")
            expect(notice(page)).to_have_text("Transferred to attic.")
            expect(page.locator(".figures")).to_contain_text(f"On hand{left}")

        [attic] = api.items(sku="MUG-1", location="attic")
        assert (attic["quantity"], attic["status"]) == (4, "available")
        assert (attic["name"], attic["attributes"]) == (mug["name"], mug["attributes"])
        expect(page.get_by_text("5 units on hand at all locations.")).to_be_visible()
        assert api.movements(attic)[0]["reference"] == "van 1"

    def test_of_too_many_units_creates_nothing(self, page, api, mug):
        """The message is at the field."""
        self.transfer(page, mug, "attic", "6")

        expect(page.locator("[data-field=quantity]")).to_contain_text("from 1 to 5")
        assert api.items(location="attic") == []

    def test_is_applied_once_though_its_answer_is_lost(self, page, api, mug):
        """A second click sends the same request."""
        lost = []

        def lose_first(route):
            lost.append(route.request)
            response = route.fetch()
            if len(lost) == 1:
                route.abort()
            else:
                route.fulfill(response=response)

        page.route("**/transfers", lose_first)
        self.transfer(page, mug, "attic", "2")
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        page.get_by_role("button", name="Transfer", exact=True).click()

        expect(notice(page)).to_have_text("Transferred to attic.")
        assert api.item(mug)["quantity"] == 3
        assert len(api.items(location="attic")) == 1


class TestUndo:
    def adjust(self, page, delta):
        page.get_by_label("Change").fill(delta)
        page.get_by_label("Reason").fill("sold")
        page.get_by_role("button", name="Adjust").click()
        expect(notice(page)).to_contain_text("Adjusted")

    def undo(self, page):
        return page.get_by_role("button", name="Undo")

    def test_takes_back_the_last_adjustment_once(self, page, api, mug):
        """It is offered at the last own movement, and no more once its undo follows."""
        open_item(page, mug)
        self.adjust(page, "-1")
        self.adjust(page, "-2")
        expect(self.undo(page)).to_have_count(1)
        with page.expect_request("**/adjustments") as info:
            self.undo(page).click()

        expect(notice(page)).to_have_text("Undone.")
        expect(self.undo(page)).to_have_count(0)
        assert info.value.headers["idempotency-key"] == f"undo-{mug['item_id']}-2"
        movement = api.movements(mug)[0]
        assert (movement["delta_on_hand"], movement["reference"]) == (2, "undo of #2")
        assert api.item(mug)["quantity"] == 4

    def test_is_not_offered_for_movements_of_others(self, page, api, mug):
        """An edit by another client has no button; the own one before it keeps its button."""
        open_item(page, mug)
        self.adjust(page, "-1")
        api.put(mug, quantity=9)
        page.get_by_role("button", name="Refresh").click()
        expect(page.locator(".movements tbody tr")).to_have_count(3)

        expect(page.locator(".movements tbody tr").nth(1).get_by_role("button")).to_have_text(
            "Undo"
        )
        expect(self.undo(page)).to_have_count(1)

    def test_of_units_that_are_gone_is_refused(self, page, api, mug):
        """The page says why, and shows the numbers."""
        open_item(page, mug)
        self.adjust(page, "+3")
        line = {"item_id": mug["item_id"], "sku": "MUG-1", "quantity": 7}
        api.client.post("/reservations", json={"lines": [line]}).raise_for_status()

        self.undo(page).click()

        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The units are not available any more")
        expect(alert).to_contain_text("1 available")
        assert api.item(mug)["quantity"] == 8

    def test_of_a_count_restores_the_quantity_before(self, page, api, mug):
        """A count that agreed cannot be undone."""
        open_item(page, mug)
        page.get_by_role("tab", name="Count").click()
        page.get_by_label("Counted quantity").fill("2")
        page.get_by_role("button", name="Record the count").click()
        self.undo(page).click()
        expect(notice(page)).to_have_text("Undone.")
        assert api.item(mug)["quantity"] == 5

        page.get_by_label("Counted quantity").fill("5")
        page.get_by_label("Expected").fill("5")
        page.get_by_role("button", name="Record the count").click()
        expect(notice(page)).to_contain_text("as expected")
        expect(self.undo(page)).to_have_count(0)

    def test_of_a_transfer_moves_the_units_back(self, page, api, mug):
        """The reference names the movement on the side that the units left."""
        TestTransfer().transfer(page, mug, "attic", "2")
        self.undo(page).click()
        expect(notice(page)).to_have_text("Undone.")

        expect(self.undo(page)).to_have_count(0)
        [attic] = api.items(location="attic")
        assert (api.item(mug)["quantity"], attic["quantity"]) == (5, 0)
        assert api.movements(attic)[0]["reference"] == "undo of #1"


def test_ledger_shows_the_days_that_are_asked_for(page, api, mug):
    """With the stock at the end of the last of them; the chart and the table have its movements only."""
    today = api.item(mug)["created_at"][:10]
    open_item(page, mug)
    api.put(mug, quantity=4)
    page.get_by_label("Until the end of").fill(today)
    page.get_by_label("Until the end of").press("Enter")
    expect(page.locator(".balance")).to_have_text(
        re.compile(r"At the end of .*: 4 on hand, 0 reserved, 4 available\.")
    )
    expect(page.locator(".movements tbody tr")).to_have_count(2)

    page.get_by_label("Until the end of").fill("2020-02-29")
    page.get_by_role("button", name="Show").click()

    expect(page.locator(".balance")).to_have_text(
        "At the end of Saturday, Feb 29, 2020: the item did not exist yet."
    )
    expect(page.locator(".movements")).to_have_count(0)
    page.get_by_label("Until the end of").fill("")
    page.get_by_label("From").fill(today)
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".movements tbody tr")).to_have_count(2)
    expect(page.locator(".balance")).to_have_text("")
