"""A CSV file is dropped on the page, and every row of it is accounted for."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

HEADER = "sku,name,category,quantity,price,location,reorder_point,description\n"
ROWS = (
    'MUG-1,"Mug, blue",kitchen,40,9.90,store,8,"Holds ""tea"",\nand coffee"\n'
    "MUG-2,Mug,kitchen,many,9.90,store,,\n"
    "TEA-1,'=tea,food,0,3.5,store,,\n"
    "TEA-2,Tea\n"
)


def drop(page, text, name="stock.csv", encoding="utf-8"):
    """Drop a file on the page as a person does, wherever that is."""
    dropped = page.evaluate_handle(
        """([bytes, name]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "text/csv" }));
            return transfer;
        }""",
        [list(text.encode(encoding)), name],
    )
    page.locator("h1").dispatch_event("drop", {"dataTransfer": dropped})


def report(page):
    return page.locator(".report")


def row(item):
    return (item["name"], item["quantity"], item["price"], item["description"])


def test_a_dropped_file_is_imported_and_reported_row_by_row(page, api):
    """Good rows are made; a refused one is told with its line, column, value and reason."""
    drop(page, HEADER + ROWS)

    expect(report(page).locator(".summary")).to_have_text(
        "2 created · 0 updated · 0 unchanged · 2 refused"
    )
    refused = report(page).locator(".outcome-refused tbody tr")
    assert refused.nth(0).locator("td").all_text_contents() == [
        *("4", "MUG-2", "quantity", "many", "must be a whole number from 0 to 1000000000")
    ]
    expect(refused.nth(1)).to_contain_text("The row has 2 cells, but the header has 8.")
    assert {item["sku"]: row(item) for item in api.items()} == {
        "MUG-1": ("Mug, blue", 40, 9.9, 'Holds "tea",\nand coffee'),
        "TEA-1": ("=tea", 0, 3.5, ""),
    }


def test_a_file_that_is_imported_again_changes_nothing(page, api):
    """Rows find what they made."""
    drop(page, HEADER + ROWS)
    expect(report(page)).to_contain_text("2 created")
    before = api.items()

    drop(page, HEADER + ROWS)

    expect(report(page)).to_contain_text("0 created · 0 updated · 2 unchanged")
    assert api.items() == before


def test_details_are_updated_and_quantities_only_when_asked(open_page, api):
    """A differing quantity is reported; with the box checked it is a count."""
    item = api.create(sku="MUG-1", name="Mug", quantity=5)
    page = open_page("import")

    drop(page, "sku,name,quantity\nMUG-1,Blue mug,7\n")
    expect(report(page)).to_contain_text("1 updated")
    expect(report(page)).to_contain_text("On hand stays 5; the file says 7.")
    page.get_by_label("Also set the quantities").check()
    drop(page, "sku,name,quantity\nMUG-1,Blue mug,7\n")
    expect(report(page)).not_to_contain_text("On hand stays")
    expect(report(page)).to_contain_text("1 updated")

    now = api.item(item)
    assert (now["name"], now["quantity"]) == ("Blue mug", 7)


def test_a_stale_export_overwrites_nothing(open_page, api):
    """What was edited, or moved, since the export is left as it is."""
    edited = api.create(sku="MUG-1", name="Mug")
    moved = api.create(sku="MUG-2", name="Cup")
    api.put(edited, name="Red mug")
    api.put(moved, quantity=4)
    page = open_page("import")
    page.get_by_label("Also set the quantities").check()

    rows = [f"{edited['item_id']},MUG-1,Blue mug,5,1,0", f"{moved['item_id']},MUG-2,Cup,5,1,0"]
    drop(page, "\n".join(["item_id,sku,name,quantity,version,seq", *rows]))

    refused = report(page).locator(".outcome-refused")
    expect(refused).to_contain_text("The item was edited after it was exported")
    expect(refused).to_contain_text("The stock moved after it was exported")
    assert (api.item(edited)["name"], api.item(moved)["quantity"]) == ("Red mug", 4)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\ufeffsku;name;category\r\nÄ-1;Tüte;Küche\r\n", "utf-8"),
        ("sku;name;category\r\nÄ-1;Tüte;Küche", "cp1252"),
        ("\ufeffsku\tname\tcategory\rÄ-1\tTüte\tKüche\r", "utf-16-le"),
    ],
)
def test_a_file_is_read_whatever_spreadsheet_made_it(page, api, text, encoding):
    """Delimiter, line ends and encoding are found out."""
    drop(page, text, encoding=encoding)

    expect(report(page)).to_contain_text("1 created")
    [item] = api.items()
    assert (item["sku"], item["name"], item["category"]) == ("Ä-1", "Tüte", "Küche")


def test_many_rows_travel_in_batches_that_are_safe_to_send_again(page, api):
    """A batch whose answer got lost is sent once more under its key; a later row sees what an earlier one made."""
    rows = "".join(f"SKU-{number},Thing,things,1\n" for number in range(60))
    lost = []

    def lose_the_first_answer(route):
        answer = route.fetch()
        if lost:
            route.fulfill(response=answer)
        else:
            lost.append(route.request.headers["idempotency-key"])
            route.abort()

    page.route("**/items/batch", lose_the_first_answer)

    drop(page, f"sku,name,category,quantity\n{rows}SKU-0,Thing zero,things,1\n")

    expect(report(page)).to_contain_text("60 created · 1 updated", timeout=20_000)
    assert lost
    assert [item["name"] for item in api.items(sku="SKU-0")] == ["Thing zero"]
    assert len({item["item_id"] for item in api.items(category="things", page_size="50")}) == 50


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty."),
        ("colour,size\nred,5\n", "sku and name at least"),
        ("Handle,Title,Variant SKU\n", "Shopify"),
        ('sku,name\nMUG-1,"Mug\n', "never closed"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(page, api, text, said):
    """Nothing is changed."""
    drop(page, text)

    expect(report(page).get_by_role("alert")).to_contain_text(said)
    assert api.items() == []


def test_a_file_is_chosen_without_a_mouse(open_page, api):
    """What can be dropped can be chosen."""
    page = open_page("import")

    page.get_by_label("choose one").set_input_files(
        {"name": "stock.csv", "mimeType": "text/csv", "buffer": (HEADER + ROWS).encode()}
    )

    expect(report(page)).to_contain_text("2 created")


def test_csv_is_the_same_however_it_is_cut_into_pieces(page):
    """A quote, a delimiter or a line end may be the last of one chunk and the first of the next."""
    text = 'a,"b ""c"", d",\r\n"x\ny",,"z"\r\r\n\nlast,""'

    found = page.evaluate(
        """async (text) => {
            const { CsvParser } = await import("/console/csv.js");
            return Array.from({ length: text.length }, (_, size) => {
                const parser = new CsvParser(",");
                const records = [];
                for (let at = 0; at < text.length; at += size + 1) {
                    records.push(...parser.push(text.slice(at, at + size + 1)));
                }
                return JSON.stringify([...records, ...parser.end()]);
            });
        }""",
        text,
    )

    [only] = set(found)
    assert json.loads(only) == [
        {"line": 1, "cells": ["a", 'b "c", d', ""]},
        {"line": 2, "cells": ["x\ny", "", "z"]},
        {"line": 6, "cells": ["last", ""]},
    ]
