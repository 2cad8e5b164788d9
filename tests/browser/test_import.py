"""Import of a file on the page, with a report of every row."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

FILES = Path(__file__).parents[1] / "catalogue" / "files"
HEADER = "sku,name,category,quantity,price,location,reorder_point,description\n"
ROWS = (
    'MUG-1,"Mug, blue",kitchen,40,9.90,store,8,"Holds ""tea"",\nand coffee"\n'
    "MUG-2,Mug,kitchen,many,9.90,store,,\n"
    "TEA-1,'=tea,food,0,3.5,store,,\n"
    "TEA-2,Tea\n"
)


def drop(page, text, name="stock.csv", encoding="utf-8"):
    drop_bytes(page, text.encode(encoding), name)


def drop_bytes(page, content, name):
    """Drop a file on the open view."""
    transfer = page.evaluate_handle(
        """([bytes, name]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "text/csv" }));
            return transfer;
        }""",
        [list(content), name],
    )
    page.locator("h1").dispatch_event("drop", {"dataTransfer": transfer})


def report(page):
    return page.locator(".report")


def row(item):
    return (item["name"], item["quantity"], item["price"], item["description"])


def test_a_dropped_file_is_imported_and_reported_row_by_row(page, api):
    """Valid rows create items; a rejected one is reported with its line, column, value and reason."""
    drop(page, HEADER + ROWS)

    expect(report(page).locator(".summary")).to_have_text(
        "2 created · 0 updated · 0 unchanged · 2 rejected"
    )
    rejected = report(page).locator(".outcome-refused tbody tr")
    assert rejected.nth(0).locator("td").all_text_contents() == [
        *("4", "MUG-2 at store", "quantity", "many", "must be a whole number")
    ]
    expect(rejected.nth(1)).to_contain_text("has 2 cells, but the header has 8")
    assert {item["sku"]: row(item) for item in api.items()} == {
        "MUG-1": ("Mug, blue", 40, 9.9, 'Holds "tea",\nand coffee'),
        "TEA-1": ("=tea", 0, 3.5, ""),
    }


def test_importing_a_file_again_changes_nothing(page, api):
    """Rows find the items that they created."""
    drop(page, HEADER + ROWS)
    expect(report(page)).to_contain_text("2 created")
    before = api.items()

    drop(page, HEADER + ROWS)

    expect(report(page)).to_contain_text("0 created · 0 updated · 2 unchanged")
    assert api.items() == before


def test_quantities_are_updated_only_on_request(open_page, api):
    """A different quantity is reported; with the box checked it is written, too."""
    item = api.create(sku="MUG-1", name="Mug", quantity=5)
    page = open_page("import")

    drop(page, "sku,name,quantity\nMUG-1,Blue mug,7\n")
    expect(report(page)).to_contain_text("1 updated")
    expect(report(page)).to_contain_text("quantity 7 not written: the stored quantity is 5")
    page.get_by_label("Also set the quantities").check()
    drop(page, "sku,name,quantity\nMUG-1,Blue mug,7\n")
    expect(report(page)).not_to_contain_text("not written")
    expect(report(page)).to_contain_text("1 updated")

    now = api.item(item)
    assert (now["name"], now["quantity"]) == ("Blue mug", 7)


def test_a_stale_export_overwrites_nothing(open_page, api):
    """Items edited or moved since the export do not change."""
    edited = api.create(sku="MUG-1", name="Mug")
    moved = api.create(sku="MUG-2", name="Cup")
    api.put(edited, name="Red mug")
    api.put(moved, quantity=4)
    page = open_page("import")
    page.get_by_label("Also set the quantities").check()

    rows = [f"{edited['item_id']},MUG-1,Blue mug,5,1,0", f"{moved['item_id']},MUG-2,Cup,5,1,0"]
    drop(page, "\n".join(["item_id,sku,name,quantity,version,seq", *rows]))

    rejected = report(page).locator(".outcome-refused")
    expect(rejected).to_contain_text("is out of date (current version: 2)")
    expect(rejected).to_contain_text("is out of date (current seq: 1)")
    assert (api.item(edited)["name"], api.item(moved)["quantity"]) == ("Red mug", 4)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\ufeffsku;name;category\r\nÄ-1;Tüte;Küche\r\n", "utf-8"),
        ("sku;name;category\r\nÄ-1;Tüte;Küche", "cp1252"),
        ("\ufeffsku\tname\tcategory\rÄ-1\tTüte\tKüche\r", "utf-16-le"),
    ],
)
def test_files_of_any_spreadsheet_are_read(page, api, text, encoding):
    """The delimiter, line ends and encoding are detected."""
    drop(page, text, encoding=encoding)

    expect(report(page)).to_contain_text("1 created")
    [item] = api.items()
    assert (item["sku"], item["name"], item["category"]) == ("Ä-1", "Tüte", "Küche")


@pytest.mark.parametrize(
    "name", sorted(path.name for path in FILES.iterdir() if path.name != "counts.csv")
)
def test_files_of_every_system_are_imported(page, api, name):
    """The page imports every format that the command line does."""
    drop_bytes(page, (FILES / name).read_bytes(), name)

    expect(report(page).locator(".summary")).to_contain_text("created")
    expect(report(page).get_by_role("progressbar")).to_have_count(0)
    assert api.items()


def test_a_stocktake_sets_quantities_and_creates_nothing(open_page, api):
    """The box is checked; a SKU without an item is reported."""
    mug = api.create(sku="MUG-1", name="Mug", quantity=5, location="store")
    page = open_page("import")
    page.get_by_label("Also set the quantities").check()

    drop_bytes(page, (FILES / "counts.csv").read_bytes(), "counts.csv")

    expect(report(page)).to_contain_text("0 created · 1 updated · 0 unchanged · 1 rejected")
    expect(report(page).locator(".outcome-refused")).to_contain_text("GHOST")
    assert [it["quantity"] for it in api.items()] == [11]
    assert api.item(mug)["quantity"] == 11


def test_columns_of_an_unknown_table_are_mapped_in_a_form(page, api):
    """The form shows the first rows; for a second such file it is filled in."""
    drop(page, "Code-X;Name;Zahl\nA-1;Tasse;1.000\n")
    form = report(page).locator("form.mapping")
    expect(form.locator("tbody")).to_contain_text("Tasse")
    form.get_by_label("SKU").select_option("Code-X")
    form.get_by_label("Quantity").select_option("Zahl")
    page.get_by_text("More options").click()
    page.get_by_label("Category of new items").fill("cups")
    page.get_by_label("Number format").select_option("comma")

    form.get_by_role("button").click()

    expect(report(page)).to_contain_text("1 created")
    [item] = api.items()
    assert (item["sku"], item["name"], item["quantity"]) == ("A-1", "Tasse", 1000)
    drop(page, "Code-X;Name;Zahl\nA-2;Krug;2\n")
    expect(report(page).locator("form.mapping").get_by_label("Quantity")).to_have_value("Zahl")


def test_columns_are_kept_as_attributes(open_page, api):
    """Those of the file's system, and those that the person names."""
    page = open_page("import")
    page.get_by_text("More options").click()
    page.get_by_label("Further columns to keep").fill("Tags, Colour")

    drop(
        page,
        "Title,URL handle,SKU,Option1 name,Option1 value,Price,Inventory quantity,Vendor,Tags,Colour\n"
        "Mug,mug,M-1,Title,Default Title,9.50,3,Potter,blue,navy\n",
    )

    expect(report(page)).to_contain_text("1 created")
    [item] = api.items()
    assert item["attributes"] == {"vendor": "Potter", "tags": "blue", "colour": "navy"}


def test_a_warning_must_be_accepted(page, api):
    """A column that looks like stock stops the import until the person accepts it."""
    drop(page, "sku,name,category,Stock in Rome\nA,Mug,c,7\n")
    expect(report(page).get_by_role("alert")).to_contain_text("Stock in Rome")
    assert api.items() == []

    report(page).get_by_role("button", name="Import without them").click()

    expect(report(page)).to_contain_text("1 created")


def test_a_dry_run_shows_what_would_change(open_page, api):
    """The report describes how the file is read and its first rows; nothing is written."""
    page = open_page("import")
    page.get_by_label("Only show what would change").check()

    drop(page, HEADER + ROWS)

    expect(report(page)).to_contain_text("2 created")
    expect(report(page)).to_contain_text("MUG-1, Mug, blue, kitchen: 40 at 9.9")
    assert api.items() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The file is empty"),
        ("colour,size\nred,5\n", "not known what the columns hold: colour, size"),
        ("seller-sku,asin1\nA,B\n", "Amazon"),
        ('sku,name\nMUG-1,"Mug\n', "cannot be split into cells"),
        ("sku;name;price\nA;Mug;1.250\n", "can be read in two ways"),
    ],
)
def test_an_unreadable_file_is_rejected_with_a_reason(page, api, text, message):
    """The page shows the reason, and nothing changes."""
    drop(page, text)

    expect(report(page).get_by_role("alert")).to_contain_text(message)
    assert api.items() == []


def test_a_file_can_be_chosen_without_a_mouse(open_page, api):
    """A file can be chosen as well as dropped."""
    page = open_page("import")

    page.get_by_label("choose one").set_input_files(
        {"name": "stock.csv", "mimeType": "text/csv", "buffer": (HEADER + ROWS).encode()}
    )

    expect(report(page)).to_contain_text("2 created")
