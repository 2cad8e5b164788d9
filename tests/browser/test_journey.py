"""Tasks on the console page, in a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ANY_CALL = re.compile(r"/(items|reservations)\b")

# Counts the work of drawing and sorting a table; `takeWork` returns the counts since its last call.
COUNT_WORK = """(() => {
    let work;
    const reset = () => (work = { tables: 0, rows: 0, collators: 0, localeCompares: 0 });
    reset();
    globalThis.takeWork = () => { const counts = work; reset(); return counts; };
    const { createElement } = Document.prototype;
    Document.prototype.createElement = function (tag, ...rest) {
        if (tag === "tbody") work.tables += 1;
        if (tag === "tr") work.rows += 1;
        return createElement.call(this, tag, ...rest);
    };
    Intl.Collator = new Proxy(Intl.Collator, {
        construct: (target, given) => { work.collators += 1; return new target(...given); },
    });
    const { localeCompare } = String.prototype;
    String.prototype.localeCompare = function (...given) {
        work.localeCompares += 1;
        return localeCompare.apply(this, given);
    };
})()"""


def thing(number):
    return {
        "item_id": f"id-{number}",
        "sku": f"SKU-{number}",
        "name": f"Thing {number}",
        "category": "things",
        "location": "default",
        "status": "available",
        "quantity": 9,
        "reserved": 0,
        "available": 9,
        "reorder_point": None,
    }


def open_item(page, item):
    page.goto(f"/#/items/{item['item_id']}/{item['sku']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(item["name"])


def open_tab(page, name):
    page.get_by_role("tab", name=name).click()


def figures(page):
    return dict(
        zip(
            page.locator(".figures dt").all_text_contents(),
            map(int, page.locator(".figures dd").all_text_contents()),
            strict=True,
        )
    )


def notice(page):
    return page.locator("#notices")


def test_an_item_is_created_adjusted_reserved_and_committed(page, api):
    """The figures and the ledger on the page agree with the API."""
    page.get_by_role("link", name="New item").click()
    page.get_by_label("SKU").fill("TENT-2")
    page.get_by_label("Name").fill("Tent for two")
    page.get_by_label("Category").fill("tents")
    page.get_by_label("On hand").fill("5")
    page.get_by_label("Price").fill("199.90")
    page.get_by_label("Reorder point").fill("3")
    page.get_by_role("button", name="Create item").click()
    expect(page.get_by_role("heading", name="Tent for two")).to_be_visible()

    page.get_by_label("Change").fill("+3")
    page.get_by_label("Reason").fill("delivery")
    page.get_by_role("button", name="Adjust").click()
    expect(notice(page)).to_have_text("Adjusted: 8 units on hand now.")

    open_tab(page, "Reserve")
    page.get_by_label("Units", exact=True).fill("2")
    page.get_by_label("Reference").fill("cart 17")
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(notice(page)).to_contain_text("Reserved.")
    expect(page.locator(".figures")).to_contain_text("Reserved2")
    assert figures(page) == {"Available": 6, "Reserved": 2, "On hand": 8}

    page.get_by_role("link", name="Reservations").click()
    card = page.get_by_role("article", name="cart 17")
    expect(card).to_contain_text("Held")
    card.get_by_role("button", name="Commit", exact=True).click()
    expect(card).to_contain_text("Committed")
    expect(card.get_by_role("button")).to_have_count(0)

    card.get_by_role("link", name="TENT-2").click()
    expect(page.get_by_role("heading", name="Tent for two")).to_be_visible()
    assert figures(page) == {"Available": 6, "Reserved": 0, "On hand": 6}
    chart = page.get_by_role("region", name="Ledger").get_by_role("img")
    expect(chart).to_have_attribute("aria-label", re.compile(r"from 5 to 6, at least 5, at most 8"))
    [item] = api.items(sku="TENT-2")
    movements = api.movements(item)
    assert [movement["kind"] for movement in movements] == [
        *("commit", "reserve", "adjust", "opening")
    ]
    rows = page.locator(".movements tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("Committed")
    expect(rows.nth(0)).to_contain_text("\N{MINUS SIGN}2")
    expect(rows.nth(2)).to_contain_text("delivery")


def test_a_reservation_in_the_ledger_can_be_extended_and_released(page, api):
    """The ledger links to reservations, including those of other clients."""
    item = api.create(sku="MUG-1", quantity=5)
    line = {"item_id": item["item_id"], "sku": "MUG-1", "quantity": 2}
    api.client.post("/reservations", json={"lines": [line], "reference": "cart 1"})
    open_item(page, item)

    page.locator(".movements").get_by_role("link", name="reservation").first.click()
    card = page.get_by_role("article", name="cart 1")
    card.get_by_label("Extend by").select_option("7 days")
    card.get_by_role("button", name="Extend").click()
    expect(card).to_contain_text("in 7 days")
    card.get_by_role("button", name="Release").click()

    expect(card).to_contain_text("Released")
    assert api.item(item)["available"] == 5


def test_a_reservation_of_several_items(page, api):
    """Lines are found by SKU and location; an invalid line is marked."""
    mug = api.create(sku="MUG-1", name="Mug", location="store")
    api.create(sku="MUG-1", name="Mug", location="warehouse", quantity=0)
    tea = api.create(sku="TEA-1", name="Tea")
    open_item(page, tea)
    open_tab(page, "Reserve")
    page.get_by_label("Units", exact=True).fill("none")
    page.get_by_role("button", name="Add to new reservation").click()

    page.get_by_label("Add an item by its SKU or barcode").fill("MUG-1")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="store: 5 available").click()
    page.get_by_role("button", name="Reserve", exact=True).click()
    wrong = page.get_by_label("Tea (TEA-1")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_be_focused()
    expect(page.locator("[data-field='lines[0].quantity']")).to_contain_text(
        "Must be a whole number"
    )
    wrong.fill("4")
    page.get_by_label("Mug (MUG-1").fill("2")
    page.get_by_role("button", name="Reserve", exact=True).click()

    expect(page.locator(".reservation")).to_contain_text("Held")
    assert (api.item(mug)["reserved"], api.item(tea)["reserved"]) == (2, 4)


def test_a_rejected_reservation_shows_the_servers_message(page, api):
    """The page shows the requested and available units; nothing is reserved."""
    item = api.create(sku="TENT-2", name="Tent for two", quantity=5)
    open_item(page, item)
    open_tab(page, "Reserve")
    page.get_by_label("Units", exact=True).fill("6")

    page.get_by_role("button", name="Reserve", exact=True).click()

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Insufficient stock: 6 requested, 5 available")
    expect(alert).to_contain_text("TENT-2: 6 requested · 5 available · 0 reserved")
    expect(page.get_by_label("Units", exact=True)).to_have_value("6")
    assert api.item(item)["reserved"] == 0


def test_a_count_is_rejected_if_the_stock_has_changed(page, api):
    """The page shows the expected and the current quantity."""
    item = api.create(sku="MUG-1", quantity=5)
    open_item(page, item)
    open_tab(page, "Count")
    api.put(item, quantity=7)
    page.get_by_label("Counted quantity").fill("4")

    page.get_by_role("button", name="Record the count").click()

    expect(page.get_by_role("alert")).to_contain_text("Unexpected quantity: 5 expected, 7 on hand")
    page.get_by_label("Expected").fill("7")
    page.get_by_role("button", name="Record the count").click()
    expect(notice(page)).to_have_text("Counted: 4 units on hand (\N{MINUS SIGN}3).")


def test_errors_are_shown_at_their_fields(page):
    """Each field error is shown at its field, and the first such field has the focus."""
    page.goto("/#/new")
    page.get_by_label("On hand").fill("2.5")
    page.get_by_label("Price").fill("-1")

    page.get_by_role("button", name="Create item").click()

    for name, message in {
        "sku": "Is required",
        "name": "Is required",
        "category": "Is required",
        "quantity": "Must be a whole number from 0 to 1000000000",
        "price": "Must be from 0 to 99999999999.9999",
    }.items():
        expect(page.locator(f"[data-field={name}] .problem")).to_have_text(message)
    expect(page.get_by_label("SKU")).to_be_focused()


class LostResponses:
    """
    A route that applies each request but loses the first responses.

    Attributes:
        count: How many responses to lose.
        keys: The Idempotency-Key of each request.
    """

    def __init__(self, count=1):
        self.count = count
        self.keys = []

    def __call__(self, route):
        if route.request.method == "GET":
            route.continue_()
            return
        self.keys.append(route.request.headers["idempotency-key"])
        response = route.fetch()
        if len(self.keys) <= self.count:
            route.abort()
        else:
            route.fulfill(response=response)


class TestIdempotencyKeys:
    """Each action has a new key; a request whose response was lost is resent with the same key."""

    def adjust(self, page, delta="-1"):
        page.get_by_label("Change").fill(delta)
        page.get_by_label("Reason").fill("sold")
        page.get_by_role("button", name="Adjust").click()

    def test_a_double_click_sends_one_request(self, page, api):
        """The second click is ignored while the request of the first is running."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)
        page.get_by_label("Change").fill("-1")
        page.get_by_label("Reason").fill("sold")

        page.get_by_role("button", name="Adjust").dblclick()

        expect(notice(page)).to_have_text("Adjusted: 4 units on hand now.")
        assert api.item(item)["quantity"] == 4

    def test_a_resent_adjustment_is_applied_once(self, page, api):
        """The page resends it only when the person clicks again, and with the same key."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)
        lost = LostResponses()
        page.route("**/adjustments", lost)

        self.adjust(page)
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        assert len(lost.keys) == 1
        page.get_by_role("button", name="Adjust").click()

        expect(notice(page)).to_have_text("Adjusted: 4 units on hand now.")
        assert len(lost.keys) == 2
        assert len(set(lost.keys)) == 1
        assert api.item(item)["quantity"] == 4

    def test_a_repeated_adjustment_has_a_new_key(self, page, api):
        """The same values are applied again once the first request has succeeded."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)

        for left in (4, 3):
            self.adjust(page)
            expect(notice(page)).to_have_text(f"Adjusted: {left} units on hand now.")

        assert api.item(item)["quantity"] == 3

    def test_a_changed_adjustment_has_a_new_key(self, page, api):
        """After a lost response, other values are another action."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)
        lost = LostResponses()
        page.route("**/adjustments", lost)
        self.adjust(page)
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")

        self.adjust(page, delta="-2")

        expect(notice(page)).to_have_text("Adjusted: 2 units on hand now.")
        assert len(set(lost.keys)) == 2

    def test_a_rejected_adjustment_is_sent_again_with_a_new_key(self, page, api):
        """A rejection ends the action; the next click is a new one."""
        item = api.create(sku="MUG-1", quantity=0)
        open_item(page, item)
        lost = LostResponses(count=0)
        page.route("**/adjustments", lost)
        self.adjust(page)
        expect(page.get_by_role("alert")).to_be_visible()
        api.put(item, quantity=5)

        page.get_by_role("button", name="Adjust").click()

        expect(notice(page)).to_have_text("Adjusted: 4 units on hand now.")
        assert len(set(lost.keys)) == 2

    def test_a_resent_edit_is_not_a_conflict(self, page, api):
        """The second request returns the response of the first."""
        item = api.create(sku="MUG-1", name="Mug")
        open_item(page, item)
        open_tab(page, "Edit")
        lost = LostResponses()
        page.route("**/items/**", lost)
        page.get_by_label("Name").fill("Blue mug")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")

        page.get_by_role("button", name="Save").click()

        expect(notice(page)).to_have_text("Saved.")
        assert len(lost.keys) == 2
        assert len(set(lost.keys)) == 1
        assert api.item(item)["version"] == 2

    def test_a_resent_deletion_succeeds(self, page, api):
        """The item is gone already, but the second request returns the response of the first."""
        item = api.create(sku="MUG-1", name="Mug")
        open_item(page, item)
        open_tab(page, "Edit")
        lost = LostResponses()
        page.route("**/items/**", lost)
        page.get_by_role("button", name="Delete…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Delete").click()
        expect(dialog.get_by_role("alert")).to_contain_text("The server does not answer")

        dialog.get_by_role("button", name="Delete").click()

        expect(notice(page)).to_have_text("Mug was deleted.")
        assert len(lost.keys) == 2
        assert len(set(lost.keys)) == 1

    def test_a_resent_extension_is_applied_once(self, page, api):
        """A reservation is extended once; the same extension after it is a new action."""
        item = api.create(sku="MUG-1", quantity=5)
        line = {"item_id": item["item_id"], "sku": "MUG-1", "quantity": 2}
        body = {"lines": [line], "reference": "cart 1"}
        reservation = api.client.post("/reservations", json=body).json()["reservation"]
        page.goto(f"/#/reservations/{reservation['reservation_id']}")
        card = page.get_by_role("article", name="cart 1")
        extend = card.get_by_role("button", name="Extend")
        lost = LostResponses()
        page.route("**/extend", lost)
        extend.click()
        expect(card.get_by_role("alert")).to_contain_text("The server does not answer")

        extend.click()
        expect(notice(page)).to_have_text("Extended.")
        expect(card.get_by_role("alert")).to_have_count(0)
        with page.expect_response("**/extend"):
            extend.click()

        assert lost.keys[0] == lost.keys[1]
        assert lost.keys[1] != lost.keys[2]


class TestEdit:
    def edit(self, page, item, **fields):
        open_item(page, item)
        open_tab(page, "Edit")
        for label, value in fields.items():
            page.get_by_label(label).fill(value)

    def test_only_changed_fields_are_sent(self, page, api):
        """The request omits fields that did not change and includes emptied ones."""
        item = api.create(sku="MUG-1", description="blue", reorder_point=3)
        self.edit(page, item, Name="Large mug", Description="")
        page.get_by_label("Reorder point").fill("")

        with page.expect_request(lambda request: request.method == "PUT") as info:
            page.get_by_role("button", name="Save").click()

        expect(notice(page)).to_have_text("Saved.")
        assert info.value.post_data_json == {
            "sku": "MUG-1",
            "name": "Large mug",
            "reorder_point": None,
            "description": "",
        }
        expect(page.get_by_role("heading", level=1)).to_have_text("Large mug")

    def test_attributes_are_added_changed_and_removed(self, page, api):
        """Only changed ones are sent, and the server's message is shown at the row of the attribute."""
        attributes = {"barcode": "4006381333931", "color": "red", "supplier": "Meyer"}
        item = api.create(sku="MUG-1", name="Mug", attributes=attributes)
        self.edit(page, item)
        expect(page.locator(".facts")).to_contain_text("barcode4006381333931")
        rows = page.locator(".attribute-row")
        rows.nth(1).get_by_label("Text").fill("blue")
        page.get_by_role("button", name="Remove supplier").click()
        expect(page.get_by_role("button", name="Add an attribute")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type("Size")
        page.keyboard.press("Tab")
        page.keyboard.type("L")
        page.keyboard.press("Enter")
        expect(rows.nth(2).locator(".problem")).to_contain_text("lowercase letters")
        rows.nth(2).get_by_label("Attribute", exact=True).fill("size")

        with page.expect_request(lambda request: request.method == "PUT") as info:
            page.get_by_role("button", name="Save").click()

        expect(notice(page)).to_have_text("Saved.")
        assert info.value.post_data_json == {
            "sku": "MUG-1",
            "attributes": {"color": "blue", "size": "L", "supplier": None},
        }
        expect(page.locator(".facts")).to_contain_text("sizeL")

    def test_a_conflict_of_attributes_is_resolved_one_by_one(self, page, api):
        """Two people changed one attribute; the others are kept as they are."""
        item = api.create(sku="MUG-1", attributes={"color": "red", "size": "L"})
        self.edit(page, item)
        page.locator(".attribute-row").first.get_by_label("Text").fill("blue")
        api.put(item, attributes={"color": "green", "size": None}, name="Mug")
        page.get_by_role("button", name="Save").click()
        conflict = page.get_by_role("form", name="Resolve the conflict")
        conflict.get_by_role("group", name="color").get_by_label("Yours").check()
        conflict.get_by_role("button", name="Save choices").click()

        expect(notice(page)).to_have_text("Saved.")
        assert api.item(item)["attributes"] == {"color": "blue"}

    def test_a_conflict_is_resolved_field_by_field(self, page, api):
        """Two people changed the name and one other field each; the person chooses what to keep."""
        item = api.create(sku="MUG-1", name="Mug", category="kitchen", price=5)
        self.edit(page, item, Name="Blue mug", Price="6.50")
        api.put(item, name="Red mug", category="gifts")

        page.get_by_role("button", name="Save").click()
        conflict = page.get_by_role("form", name="Resolve the conflict")
        expect(conflict).to_contain_text("Someone else changed this item")

        def side(name, whose):
            return conflict.get_by_role("group", name=name).get_by_label(whose)

        expect(side("Price", "Yours")).to_be_checked()
        expect(side("Category", "Theirs")).to_be_checked()
        conflict.get_by_role("button", name="Save choices").click()
        expect(page.get_by_role("alert")).to_contain_text("Choose a value for every field")
        side("Name", "Yours").check()
        conflict.get_by_role("button", name="Save choices").click()

        expect(notice(page)).to_have_text("Saved.")
        now = api.item(item)
        assert (now["name"], now["category"], now["price"]) == ("Blue mug", "gifts", 6.5)

    def test_keeping_their_version_writes_nothing(self, page, api):
        """A conflict can be resolved without an update."""
        item = api.create(sku="MUG-1", name="Mug")
        self.edit(page, item, Name="Blue mug")
        api.put(item, name="Red mug")
        page.get_by_role("button", name="Save").click()

        page.get_by_label("Theirs").check()
        page.get_by_role("button", name="Save choices").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("Red mug")
        assert api.item(item)["version"] == 2

    def test_a_stock_change_is_not_a_conflict(self, page, api):
        """Details can be edited while the stock moves."""
        item = api.create(sku="MUG-1", name="Mug")
        self.edit(page, item, Name="Blue mug")
        api.put(item, quantity=4)

        page.get_by_role("button", name="Save").click()

        expect(notice(page)).to_have_text("Saved.")

    def test_deletion_asks_first(self, page, api):
        """Escape keeps the item; the button deletes it."""
        item = api.create(sku="MUG-1", name="Mug")
        self.edit(page, item)
        page.get_by_role("button", name="Delete…").click()
        page.keyboard.press("Escape")
        assert api.item(item)
        expect(page.get_by_role("heading", level=1)).to_have_text("Mug")

        page.get_by_role("button", name="Delete…").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()

        expect(notice(page)).to_have_text("Mug was deleted.")
        assert api.items() == []


class TestStockTable:
    @pytest.fixture
    def page(self, api, open_page):
        for start in (0, 25):
            rows = [
                {
                    "sku": f"SKU-{number}",
                    "name": f"Thing {number}",
                    "category": "odd" if number % 2 else "even",
                    "quantity": number,
                    "reorder_point": 3,
                }
                for number in range(start, start + 25)
            ]
            api.client.post("/items/batch", json={"items": rows}).raise_for_status()
        api.create(sku="SKU-7", name="Spare", location="attic", quantity=1)
        page = open_page()
        expect(page.locator(".summary")).to_have_text("51 items · 3 low · 1 out of stock")
        return page

    def names(self, page):
        return page.locator(".items tbody th a").all_text_contents()

    def test_it_is_paged_and_sorted(self, page):
        """Numbers in names sort by value; a second click on a heading reverses the order."""
        assert self.names(page)[:4] == ["Spare", "Thing 0", "Thing 1", "Thing 2"]
        assert len(self.names(page)) == 25

        page.get_by_role("button", name="Next").click()
        expect(page.locator(".place")).to_have_text("26\N{EN DASH}50 of 51")
        expect(page.get_by_role("button", name="Next")).to_be_focused()
        available = page.get_by_role("button", name="Available")
        available.click()
        available.click()

        expect(page.get_by_role("columnheader", name="Available")).to_have_attribute(
            "aria-sort", "descending"
        )
        expect(available).to_be_focused()
        assert self.names(page)[:2] == ["Thing 49", "Thing 48"]

    def test_low_and_empty_items_are_marked_in_words(self, page):
        """The marks do not depend on color."""
        rows = page.locator(".items tbody tr")

        expect(rows.filter(has_text="SKU-0")).to_contain_text("Out of stock")
        expect(rows.filter(has_text="SKU-3")).to_contain_text("Low stock")
        expect(rows.filter(has_text="Thing 4").first).not_to_contain_text("Low stock")
        expect(rows.filter(has_text="SKU-3").get_by_role("img").first).to_have_attribute(
            "aria-label", "3 available and 0 reserved, of 3 on hand; reorder at 3"
        )

    def test_search_covers_all_items(self, page, api):
        """The server searches SKUs, names and attributes for every word, and the search keeps the focus."""
        api.create(sku="TEA-1", name="Green tea", attributes={"barcode": "4006381333931"})
        search = page.get_by_label("Search")
        search.fill("4 THING")
        expect(page.locator(".summary")).to_contain_text("14 items found")
        search.fill("tea 4006381")
        expect(page.locator(".summary")).to_have_text("1 item found")
        expect(search).to_be_focused()
        page.get_by_role("link", name="Green tea").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Green tea")
        page.get_by_role("link", name="← Stock").click()

        expect(page.get_by_label("Search")).to_have_value("tea 4006381")
        expect(page.locator(".summary")).to_have_text("1 item found")
        page.get_by_label("Search").fill("no such thing")
        expect(page.locator(".empty")).to_contain_text("No item matches.")
        page.get_by_role("button", name="Show all items").click()
        expect(page.locator(".summary")).to_contain_text("52 items")

    def test_filters_survive_escape(self, page):
        """Escape on an item leads back to the filtered table."""
        page.get_by_label("Category").fill("odd")
        page.get_by_label("Category").press("Enter")
        page.get_by_role("link", name="Thing 3", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_be_focused()

        page.keyboard.press("Escape")

        expect(page.get_by_label("Category")).to_have_value("odd")

    def test_enter_finds_an_exact_sku(self, page):
        """One match opens the item, several are listed, and none is reported."""
        search = page.get_by_label("Search")
        search.fill("SKU-700")
        search.press("Enter")
        expect(notice(page)).to_have_text("No item has the SKU or barcode “SKU-700”.")
        search.fill("SKU-7")
        search.press("Enter")
        expect(page.locator(".summary")).to_contain_text("2 items")
        search.fill("SKU-8")
        search.press("Enter")

        expect(page.get_by_role("heading", level=1)).to_have_text("Thing 8")

    def test_filters_combine_and_are_in_the_address(self, page):
        """Going back shows the same filtered table."""
        page.get_by_label("Category").fill("odd")
        page.get_by_label("Category").press("Enter")
        page.get_by_label("Low stock only").check()
        expect(page.locator(".summary")).to_have_text("2 items · 2 low")

        page.get_by_role("link", name="Thing 3").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Thing 3")
        page.go_back()

        expect(page.get_by_label("Category")).to_have_value("odd")
        expect(page.locator(".summary")).to_have_text("2 items · 2 low")
        assert self.names(page) == ["Thing 1", "Thing 3"]


class TestManyItems:
    """More items than the page loads at first; the test responds instead of the server."""

    COUNT = 3_120

    @pytest.fixture
    def page(self, open_page):
        def respond(route):
            query = parse_qs(urlsplit(route.request.url).query)
            start = int(query.get("page_token", ["0"])[0])
            end = min(start + 50, self.COUNT)
            body = {"items": [thing(number) for number in range(start, end)], "count": end - start}
            route.fulfill(json=body if end == self.COUNT else {**body, "next_page_token": str(end)})

        def prepare(page):
            page.route("**/items?*", respond)
            page.add_init_script(COUNT_WORK)

        return open_page(prepare=prepare)

    def test_are_loaded_on_request_and_drawn_once_per_click(self, page):
        """Each click draws one table of 25 rows, and all clicks share one collator."""
        summary = page.locator(".summary")
        more = page.get_by_role("button", name="Load more")
        work = []
        for loaded in ("1,000", "2,000", "3,000"):
            expect(summary).to_have_text(
                f"{loaded} items · more not loaded: sorting covers these {loaded}"
            )
            work.append(page.evaluate("takeWork()"))
            more.click()
        expect(summary).to_have_text("3,120 items")
        work.append(page.evaluate("takeWork()"))

        assert [counts["tables"] for counts in work] == [1, 1, 1, 1]
        assert [counts["rows"] for counts in work] == [1 + 25] * 4
        assert sum(counts["collators"] for counts in work) == 1
        assert [counts["localeCompares"] for counts in work] == [0, 0, 0, 0]
        expect(more).to_have_count(0)
        assert page.locator(".items tbody th a").first.text_content() == "Thing 0"

    def test_short_pages_of_a_search_are_read_until_the_tenth(self, open_page):
        """The first match is shown at once; after ten short pages the person decides to search on."""
        waiting = []

        def respond(route):
            query = parse_qs(urlsplit(route.request.url).query)
            if "search" not in query:
                return route.fulfill(json={"items": [], "count": 0})
            start = int(query.get("page_token", ["0"])[0])
            items = [thing(start)] if start in (0, 9, 12) else []
            body = {"items": items, "count": len(items), "next_page_token": str(start + 1)}
            if start == 12:
                del body["next_page_token"]
            if start == 1:
                return waiting.append(lambda: route.fulfill(json=body))
            return route.fulfill(json=body)

        page = open_page(prepare=lambda page: page.route("**/items?*", respond))
        page.get_by_label("Search").fill("thing")
        expect(page.locator(".items tbody tr")).to_have_count(1)
        expect(page.locator(".summary")).to_have_text("Searching… 1 item")
        waiting.pop()()
        expect(page.locator(".summary")).to_have_text(
            "2 items found · not all items searched: sorting covers these 2"
        )

        page.get_by_role("button", name="Search on").click()

        expect(page.locator(".summary")).to_have_text("3 items found")

    def test_an_item_on_two_pages_is_shown_once(self, open_page):
        """An item edited between two pages appears in both; the newer one is shown."""
        first = {**thing(1), "name": "Old name"}
        pages = {"0": [first, thing(2)], "next": [{**thing(1), "name": "New name"}]}

        def respond(route):
            token = parse_qs(urlsplit(route.request.url).query).get("page_token", ["0"])[0]
            rest = {"next_page_token": "next"} if token == "0" else {}
            route.fulfill(json={"items": pages[token], "count": len(pages[token]), **rest})

        page = open_page(prepare=lambda page: page.route("**/items?*", respond))

        expect(page.locator(".summary")).to_have_text("2 items")
        assert page.locator(".items tbody th a").all_text_contents() == ["New name", "Thing 2"]


class TestFreshness:
    def test_the_stock_is_reloaded_on_click_and_on_return(self, page, api):
        """Changes of other clients appear, and the page shows the age of its data."""
        summary = page.locator(".summary")
        age = page.locator(".freshness")
        expect(age).to_contain_text("Updated just now")
        expect(summary).to_have_text("0 items")

        api.create(sku="MUG-1", name="Mug")
        page.get_by_role("button", name="Refresh").click()
        expect(summary).to_have_text("1 item")
        api.create(sku="MUG-2", name="Cup")
        page.evaluate("window.dispatchEvent(new Event('focus'))")

        expect(summary).to_have_text("2 items")

    def test_the_age_grows(self, open_page, api):
        """A page that stays open shows how old its data is."""
        page = open_page(prepare=lambda page: page.clock.install())
        expect(page.locator(".freshness")).to_contain_text("Updated just now")

        page.clock.run_for(200_000)

        expect(page.locator(".freshness")).to_contain_text("Updated 3 min ago")

    def test_reloading_an_item_keeps_the_forms(self, page, api):
        """Figures and ledger are updated; typed text and the focus stay."""
        item = api.create(sku="MUG-1", name="Mug", quantity=5)
        open_item(page, item)
        page.get_by_label("Change").fill("-1")
        api.put(item, quantity=9, name="Large mug")

        page.evaluate("window.dispatchEvent(new Event('focus'))")

        expect(page.get_by_role("heading", level=1)).to_have_text("Large mug")
        expect(page.locator(".movements tbody tr")).to_have_count(2)
        assert figures(page)["On hand"] == 9
        expect(page.get_by_label("Change")).to_have_value("-1")
        expect(page.get_by_label("Change")).to_be_focused()

    def test_older_movements_stay(self, page, api):
        """New movements are added before the loaded ones."""
        item = api.create(sku="MUG-1", quantity=5)
        for _ in range(60):
            adjustment = {"sku": "MUG-1", "delta": 1, "reason": "delivery"}
            api.client.post(f"/items/{item['item_id']}/adjustments", json=adjustment)
        open_item(page, item)
        rows = page.locator(".movements tbody tr")
        page.get_by_role("button", name="Load older movements").click()
        expect(rows).to_have_count(61)
        api.put(item, quantity=1)

        page.evaluate("window.dispatchEvent(new Event('focus'))")

        expect(rows).to_have_count(62)
        expect(rows.first).to_contain_text("Edited")

    def test_an_edit_of_an_old_state_is_a_conflict_after_a_reload(self, page, api):
        """Reloading the figures does not change the state that the form was filled from."""
        item = api.create(sku="MUG-1", name="Mug")
        open_item(page, item)
        open_tab(page, "Edit")
        page.get_by_label("Name").fill("Blue mug")
        api.put(item, name="Red mug")
        page.get_by_role("button", name="Refresh").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Red mug")

        page.get_by_role("button", name="Save").click()

        expect(page.get_by_role("form", name="Resolve the conflict")).to_be_visible()

    def test_an_item_that_changed_after_the_question_is_not_deleted(self, page, api):
        """Units that arrive while the dialog is open keep the item."""
        item = api.create(sku="MUG-1", name="Mug", quantity=5)
        open_item(page, item)
        open_tab(page, "Edit")
        page.get_by_role("button", name="Delete…").click()
        api.put(item, quantity=100)
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        expect(page.locator(".figures")).to_contain_text("On hand100")

        page.get_by_role("dialog").get_by_role("button", name="Delete").click()

        expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
        assert api.item(item)["quantity"] == 100

    def test_reservations_are_reloaded(self, page, api):
        """A reservation that another client committed is shown as committed."""
        item = api.create(sku="MUG-1", quantity=5)
        line = {"item_id": item["item_id"], "sku": "MUG-1", "quantity": 2}
        response = api.client.post("/reservations", json={"lines": [line]})
        path = f"/reservations/{response.json()['reservation']['reservation_id']}"
        page.goto(f"/#{path}")
        expect(page.locator(".reservation")).to_contain_text("Held")
        api.client.post(f"{path}/commit").raise_for_status()

        page.evaluate("window.dispatchEvent(new Event('focus'))")

        expect(page.locator(".reservation")).to_contain_text("Committed")


class TestNoResponse:
    """A server that does not respond for a while."""

    @pytest.fixture
    def outage(self):
        return {"is_on": True}

    @pytest.fixture
    def page(self, open_page, api, outage):
        def respond(route):
            if outage["is_on"]:
                route.abort()
            else:
                route.continue_()

        api.create(sku="MUG-1", name="Mug")
        return open_page(prepare=lambda page: page.route(ANY_CALL, respond))

    def test_at_first_is_not_shown_as_an_empty_stock(self, page, outage):
        """The page reports that it could not load the stock, and tries again on request."""
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        expect(page.locator(".summary")).to_have_text("The stock could not be loaded.")
        assert "0 items" not in page.locator("main").text_content()
        assert "Nothing in stock" not in page.locator("main").text_content()
        outage["is_on"] = False

        page.get_by_role("button", name="Try again").click()

        expect(page.locator(".summary")).to_have_text("1 item")
        expect(page.get_by_role("alert")).to_have_count(0)

    def test_later_keeps_the_loaded_data(self, page, outage):
        """The old data stays, with its age and the error."""
        outage["is_on"] = False
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".summary")).to_have_text("1 item")
        outage["is_on"] = True

        page.get_by_role("button", name="Refresh").click()

        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        expect(page.locator(".summary")).to_have_text("1 item")
        expect(page.locator(".items")).to_contain_text("Mug")
        expect(page.locator(".freshness")).to_contain_text("Updated")

    @pytest.mark.parametrize("view", ["items/x/MUG-1", "reservations/x"])
    def test_on_any_view_offers_to_try_again(self, page, outage, view):
        """The button loads the same view again."""
        page.goto(f"/#/{view}")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The server does not answer")
        outage["is_on"] = False

        alert.get_by_role("button", name="Try again").click()

        expect(page.get_by_role("alert")).to_contain_text("not found")


def test_items_can_be_edited_behind_a_compressing_proxy(open_page, api):
    """A proxy weakens the ETags of responses that it compresses; edits and deletions still work."""

    def weaken(route):
        response = route.fetch()
        headers = dict(response.headers)
        if "etag" in headers:
            headers["etag"] = f"W/{headers['etag']}"
        route.fulfill(response=response, headers=headers)

    item = api.create(sku="MUG-1", name="Mug")
    page = open_page(prepare=lambda page: page.route("**/items/**", weaken))
    open_item(page, item)
    open_tab(page, "Edit")
    page.get_by_label("Name").fill("Blue mug")
    page.get_by_role("button", name="Save").click()
    expect(notice(page)).to_have_text("Saved.")
    assert api.item(item)["name"] == "Blue mug"

    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(notice(page)).to_have_text("Blue mug was deleted.")


def test_a_stopped_server_is_reported(page, server, api):
    """The page shows that the server does not answer."""
    item = api.create(sku="MUG-1", name="Mug")
    server.process.kill()
    server.process.wait()

    page.goto(f"/#/items/{item['item_id']}/MUG-1")

    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
