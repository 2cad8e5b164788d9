"""What people do on the console page, in a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ANY_CALL = re.compile(r"/(items|reservations)\b")

# Counts what drawing and sorting a table take; `takeWork` returns the counts since it was called last.
COUNT_WORK = """(() => {
    let work;
    const reset = () => (work = { tables: 0, rows: 0, collators: 0, localeCompares: 0 });
    reset();
    globalThis.takeWork = () => { const taken = work; reset(); return taken; };
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


def test_an_item_from_its_creation_to_its_sale(page, api):
    """Create, adjust, reserve, commit: the figures and the ledger tell the same story as the API."""
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
    card.get_by_role("button", name="Commit").click()
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


def test_a_reservation_is_opened_from_the_ledger_extended_and_released(page, api):
    """What the ledger names can be opened, also in a tab that did not make it."""
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
    """Lines are found by SKU, and by place where several keep it; a refused line says so where it stands."""
    mug = api.create(sku="MUG-1", name="Mug", location="store")
    api.create(sku="MUG-1", name="Mug", location="warehouse", quantity=0)
    tea = api.create(sku="TEA-1", name="Tea")
    open_item(page, tea)
    open_tab(page, "Reserve")
    page.get_by_label("Units", exact=True).fill("none")
    page.get_by_role("button", name="Add to a larger one").click()

    page.get_by_label("Add an item by its SKU").fill("MUG-1")
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


def test_an_oversell_is_refused_in_the_words_of_the_server(page, api):
    """Who asks for more than there is reads how much there is, and nothing is held."""
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


def test_a_count_of_what_has_moved_meanwhile_is_refused(page, api):
    """The books moved between the look and the count: the server's numbers are shown."""
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


def test_faults_are_shown_at_their_fields(page):
    """All that the server says is shown where it belongs, and the first of these fields has the focus."""
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


class TestOnce:
    def test_a_double_click_does_one_thing(self, page, api):
        """Two clicks are one submission."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)
        page.get_by_label("Change").fill("-1")
        page.get_by_label("Reason").fill("sold")

        page.get_by_role("button", name="Adjust").dblclick()

        expect(notice(page)).to_have_text("Adjusted: 4 units on hand now.")
        assert api.item(item)["quantity"] == 4

    def test_another_try_after_no_answer_does_one_thing(self, page, api):
        """The server did it, the answer got lost: the same button sends the same key, and it is not done again."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)
        keys = []

        def lose_the_first_answer(route):
            keys.append(route.request.headers["idempotency-key"])
            answer = route.fetch()
            if len(keys) == 1:
                route.abort()
            else:
                route.fulfill(response=answer)

        page.route("**/adjustments", lose_the_first_answer)
        page.get_by_label("Change").fill("-1")
        page.get_by_label("Reason").fill("sold")
        page.get_by_role("button", name="Adjust").click()
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        page.get_by_role("button", name="Adjust").click()

        expect(notice(page)).to_have_text("Adjusted: 4 units on hand now.")
        assert len(set(keys)) == 1
        assert api.item(item)["quantity"] == 4

    def test_the_same_again_is_done_again(self, page, api):
        """A new submission of the same content has a new key."""
        item = api.create(sku="MUG-1", quantity=5)
        open_item(page, item)

        for left in (4, 3):
            page.get_by_label("Change").fill("-1")
            page.get_by_label("Reason").fill("sold")
            page.get_by_role("button", name="Adjust").click()
            expect(notice(page)).to_have_text(f"Adjusted: {left} units on hand now.")

        assert api.item(item)["quantity"] == 3


class TestEdit:
    def edit(self, page, item, **fields):
        open_item(page, item)
        open_tab(page, "Edit")
        for label, value in fields.items():
            page.get_by_label(label).fill(value)

    def test_only_what_was_changed_is_sent(self, page, api):
        """A field that was left alone is left alone, and an emptied one is not."""
        item = api.create(sku="MUG-1", description="blue", reorder_point=3)
        self.edit(page, item, Name="Large mug", Description="")
        page.get_by_label("Reorder point").fill("")

        with page.expect_request(lambda it: it.method == "PUT") as sent:
            page.get_by_role("button", name="Save").click()

        expect(notice(page)).to_have_text("Saved.")
        assert sent.value.post_data_json == {
            "sku": "MUG-1",
            "name": "Large mug",
            "reorder_point": None,
            "description": "",
        }
        expect(page.get_by_role("heading", level=1)).to_have_text("Large mug")

    def test_a_conflict_is_resolved_field_by_field(self, page, api):
        """Both changed the name, each changed something else: nobody's change is lost unless it was given up."""
        item = api.create(sku="MUG-1", name="Mug", category="kitchen", price=5)
        self.edit(page, item, Name="Blue mug", Price="6.50")
        api.put(item, name="Red mug", category="gifts")

        page.get_by_role("button", name="Save").click()
        conflict = page.get_by_role("form", name="Resolve the conflict")
        expect(conflict).to_contain_text("Somebody changed this item meanwhile")
        side = lambda name, whose: conflict.get_by_role("group", name=name).get_by_label(whose)  # noqa: E731
        expect(side("Price", "Yours")).to_be_checked()
        expect(side("Category", "Theirs")).to_be_checked()
        conflict.get_by_role("button", name="Save the choice").click()
        expect(page.get_by_role("alert")).to_contain_text("Choose for every field")
        side("Name", "Yours").check()
        conflict.get_by_role("button", name="Save the choice").click()

        expect(notice(page)).to_have_text("Saved.")
        now = api.item(item)
        assert (now["name"], now["category"], now["price"]) == ("Blue mug", "gifts", 6.5)

    def test_theirs_may_stay(self, page, api):
        """Who gives up the own change writes nothing."""
        item = api.create(sku="MUG-1", name="Mug")
        self.edit(page, item, Name="Blue mug")
        api.put(item, name="Red mug")
        page.get_by_role("button", name="Save").click()

        page.get_by_label("Theirs").check()
        page.get_by_role("button", name="Save the choice").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("Red mug")
        assert api.item(item)["version"] == 2

    def test_a_sale_is_no_conflict(self, page, api):
        """A busy item can be edited: its stock is nobody's edit."""
        item = api.create(sku="MUG-1", name="Mug")
        self.edit(page, item, Name="Blue mug")
        api.put(item, quantity=4)

        page.get_by_role("button", name="Save").click()

        expect(notice(page)).to_have_text("Saved.")

    def test_an_item_is_deleted_after_a_question(self, page, api):
        """Escape keeps it; its reserved units keep it; else it is gone."""
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
        """Names are sorted as people count; each head sorts, and once more the other way round."""
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

    def test_low_and_empty_shelves_are_marked_in_words(self, page):
        """Not by colour alone."""
        rows = page.locator(".items tbody tr")

        expect(rows.filter(has_text="SKU-0")).to_contain_text("Out of stock")
        expect(rows.filter(has_text="SKU-3")).to_contain_text("Low stock")
        expect(rows.filter(has_text="Thing 4").first).not_to_contain_text("Low stock")
        expect(rows.filter(has_text="SKU-3").get_by_role("img").first).to_have_attribute(
            "aria-label", "3 available and 0 reserved, of 3 on hand; reorder at 3"
        )

    def test_search_looks_through_what_is_loaded(self, page):
        """Letters of a name or an SKU narrow the table as they are typed."""
        page.get_by_label("Search").fill("thing 4")

        expect(page.locator(".summary")).to_contain_text("11 of 51 loaded items")
        page.get_by_label("Search").fill("no such thing")
        expect(page.locator(".empty")).to_contain_text("No item matches.")
        page.get_by_role("button", name="Show all items").click()
        expect(page.locator(".summary")).to_contain_text("51 items")

    def test_enter_finds_an_exact_sku(self, page):
        """One item opens, several are listed, and none is said to be none."""
        search = page.get_by_label("Search")
        search.fill("SKU-700")
        search.press("Enter")
        expect(notice(page)).to_have_text("No item has exactly the SKU “SKU-700”.")
        search.fill("SKU-7")
        search.press("Enter")
        expect(page.locator(".summary")).to_contain_text("2 items")
        search.fill("SKU-8")
        search.press("Enter")

        expect(page.get_by_role("heading", level=1)).to_have_text("Thing 8")

    def test_filters_combine_and_stand_in_the_address(self, page):
        """The server filters; the way back leads to the same table."""
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
    """More items than are loaded ahead; the server is played by the test."""

    COUNT = 3_120

    @pytest.fixture
    def page(self, open_page):
        def answer(route):
            query = parse_qs(urlsplit(route.request.url).query)
            start = int(query.get("page_token", ["0"])[0])
            end = min(start + 50, self.COUNT)
            body = {"items": [thing(number) for number in range(start, end)], "count": end - start}
            route.fulfill(json=body if end == self.COUNT else {**body, "next_page_token": str(end)})

        def prepare(page):
            page.route("**/items?*", answer)
            page.add_init_script(COUNT_WORK)

        return open_page(prepare=prepare)

    def test_are_loaded_on_request_with_one_drawing_a_click(self, page):
        """The work of a click does not grow with what is loaded: one table of 25 rows, one collator for good."""
        summary = page.locator(".summary")
        more = page.get_by_role("button", name="Load 1,000 more")
        work = []
        for loaded in ("1,000", "2,000", "3,000"):
            expect(summary).to_have_text(
                f"{loaded} items · there are more: only the loaded ones are searched and sorted"
            )
            work.append(page.evaluate("takeWork()"))
            more.click()
        expect(summary).to_have_text("3,120 items")
        work.append(page.evaluate("takeWork()"))

        assert [it["tables"] for it in work] == [1, 1, 1, 1]
        assert [it["rows"] for it in work] == [1 + 25] * 4
        assert sum(it["collators"] for it in work) == 1
        assert [it["localeCompares"] for it in work] == [0, 0, 0, 0]
        expect(more).to_have_count(0)
        assert page.locator(".items tbody th a").first.text_content() == "Thing 0"

    def test_an_item_that_comes_twice_is_shown_once(self, open_page):
        """It was edited between two pages, and came again behind its old place."""
        first = {**thing(1), "name": "Old name"}
        pages = {"0": [first, thing(2)], "next": [{**thing(1), "name": "New name"}]}

        def answer(route):
            token = parse_qs(urlsplit(route.request.url).query).get("page_token", ["0"])[0]
            rest = {"next_page_token": "next"} if token == "0" else {}
            route.fulfill(json={"items": pages[token], "count": len(pages[token]), **rest})

        page = open_page(prepare=lambda page: page.route("**/items?*", answer))

        expect(page.locator(".summary")).to_have_text("2 items")
        assert page.locator(".items tbody th a").all_text_contents() == ["New name", "Thing 2"]


class TestFreshness:
    def test_the_stock_is_read_again_on_click_and_on_return(self, page, api):
        """What others did meanwhile is shown, on the page that was shown; the age of the data stands beside it."""
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
        """A page that was left open says how old its figures are."""
        page = open_page(prepare=lambda page: page.clock.install())
        expect(page.locator(".freshness")).to_contain_text("Updated just now")

        page.clock.run_for(200_000)

        expect(page.locator(".freshness")).to_contain_text("Updated 3 min ago")

    def test_an_item_is_read_again_without_touching_the_forms(self, page, api):
        """Figures and ledger follow; what is being typed stays, with its focus."""
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
        """What was loaded of the ledger is kept; what is new comes before it."""
        item = api.create(sku="MUG-1", quantity=5)
        for _ in range(60):
            moved = {"sku": "MUG-1", "delta": 1, "reason": "delivery"}
            api.client.post(f"/items/{item['item_id']}/adjustments", json=moved)
        open_item(page, item)
        rows = page.locator(".movements tbody tr")
        page.get_by_role("button", name="Load older movements").click()
        expect(rows).to_have_count(61)
        api.put(item, quantity=1)

        page.evaluate("window.dispatchEvent(new Event('focus'))")

        expect(rows).to_have_count(62)
        expect(rows.first).to_contain_text("Edited")

    def test_an_edit_is_still_guarded_by_what_was_read_for_it(self, page, api):
        """A figure that was refreshed makes no consent: who edits the old state is asked."""
        item = api.create(sku="MUG-1", name="Mug")
        open_item(page, item)
        open_tab(page, "Edit")
        page.get_by_label("Name").fill("Blue mug")
        api.put(item, name="Red mug")
        page.get_by_role("button", name="Refresh").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Red mug")

        page.get_by_role("button", name="Save").click()

        expect(page.get_by_role("form", name="Resolve the conflict")).to_be_visible()

    def test_what_is_deleted_is_what_was_asked_about(self, page, api):
        """Units that came while the question stood keep the item."""
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

    def test_reservations_are_read_again(self, page, api):
        """A reservation that somebody else committed is shown as committed."""
        item = api.create(sku="MUG-1", quantity=5)
        line = {"item_id": item["item_id"], "sku": "MUG-1", "quantity": 2}
        made = api.client.post("/reservations", json={"lines": [line]}).json()["reservation"]
        page.goto(f"/#/reservations/{made['reservation_id']}")
        expect(page.locator(".reservation")).to_contain_text("Held")
        api.client.post(f"/reservations/{made['reservation_id']}/commit").raise_for_status()

        page.evaluate("window.dispatchEvent(new Event('focus'))")

        expect(page.locator(".reservation")).to_contain_text("Committed")


class TestNoAnswer:
    """A server that does not answer for a while."""

    @pytest.fixture
    def away(self):
        return {"is_away": True}

    @pytest.fixture
    def page(self, open_page, api, away):
        def answer(route):
            if away["is_away"]:
                route.abort()
            else:
                route.continue_()

        api.create(sku="MUG-1", name="Mug")
        return open_page(prepare=lambda page: page.route(ANY_CALL, answer))

    def test_at_first_is_not_an_empty_stock(self, page, away):
        """The page says that it could not load, never that there are no items, and tries again on request."""
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        expect(page.locator(".summary")).to_have_text("The stock could not be loaded.")
        assert "0 items" not in page.locator("main").text_content()
        assert "Nothing in stock" not in page.locator("main").text_content()
        away["is_away"] = False

        page.get_by_role("button", name="Try again").click()

        expect(page.locator(".summary")).to_have_text("1 item")
        expect(page.get_by_role("alert")).to_have_count(0)

    def test_later_keeps_what_is_shown(self, page, away):
        """The old figures stay, with their age and the error."""
        away["is_away"] = False
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".summary")).to_have_text("1 item")
        away["is_away"] = True

        page.get_by_role("button", name="Refresh").click()

        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        expect(page.locator(".summary")).to_have_text("1 item")
        expect(page.locator(".items")).to_contain_text("Mug")
        expect(page.locator(".freshness")).to_contain_text("Updated")

    @pytest.mark.parametrize("view", ["items/x/MUG-1", "reservations/x"])
    def test_on_any_view_can_be_tried_again(self, page, away, view):
        """The view is made anew where it is."""
        page.goto(f"/#/{view}")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The server does not answer")
        away["is_away"] = False

        alert.get_by_role("button", name="Try again").click()

        expect(page.get_by_role("alert")).to_contain_text("not found")


def test_a_proxy_that_compresses_does_not_stand_in_the_way(open_page, api):
    """It weakens the tags of what it compresses; items can be edited and deleted all the same."""

    def weaken(route):
        answer = route.fetch()
        headers = dict(answer.headers)
        if "etag" in headers:
            headers["etag"] = f"W/{headers['etag']}"
        route.fulfill(response=answer, headers=headers)

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


def test_a_server_that_is_gone_is_told(page, server, api):
    """No answer is told in a sentence, and the way back is offered."""
    item = api.create(sku="MUG-1", name="Mug")
    server.process.kill()
    server.process.wait()

    page.goto(f"/#/items/{item['item_id']}/MUG-1")

    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
