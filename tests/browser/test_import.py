"""A CSV file is dropped on the page, and every row of it is accounted for."""

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
    """Drop a file on the page as a person does, wherever that is."""
    dropped = page.evaluate_handle(
        """([bytes, name]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "text/csv" }));
            return transfer;
        }""",
        [list(content), name],
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
        *("4", "MUG-2 at store", "quantity", "many", "must be a whole number")
    ]
    expect(refused.nth(1)).to_contain_text("has 2 cells, but the header has 8")
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
    expect(report(page)).to_contain_text("quantity 7 not written: the stored quantity is 5")
    page.get_by_label("Also set the quantities").check()
    drop(page, "sku,name,quantity\nMUG-1,Blue mug,7\n")
    expect(report(page)).not_to_contain_text("not written")
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
    expect(refused).to_contain_text("is out of date (current version: 2)")
    expect(refused).to_contain_text("is out of date (current seq: 1)")
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


@pytest.mark.parametrize(
    "name", sorted(it.name for it in FILES.iterdir() if it.name != "counts.csv")
)
def test_a_file_of_every_system_is_dropped(page, api, name):
    """Whatever the command line takes: the page sends it to the same importer."""
    drop_bytes(page, (FILES / name).read_bytes(), name)

    expect(report(page).locator(".summary")).to_contain_text("created")
    expect(report(page).get_by_role("progressbar")).to_have_count(0)
    assert api.items()


def test_an_unknown_table_is_mapped_in_a_form_that_is_remembered(page, api):
    """The first rows are shown; the second file of the kind comes with the form filled in."""
    drop(page, "Code-X;Name;Zahl\nA-1;Tasse;1.000\n")
    form = report(page).locator("form.mapping")
    expect(form.locator("tbody")).to_contain_text("Tasse")
    form.get_by_label("SKU").select_option("Code-X")
    form.get_by_label("Quantity").select_option("Zahl")
    page.get_by_text("More choices").click()
    page.get_by_label("Category of new items").fill("cups")
    page.get_by_label("Numbers are written").select_option("comma")

    form.get_by_role("button").click()

    expect(report(page)).to_contain_text("1 created")
    [item] = api.items()
    assert (item["sku"], item["name"], item["quantity"]) == ("A-1", "Tasse", 1000)
    drop(page, "Code-X;Name;Zahl\nA-2;Krug;2\n")
    expect(report(page).locator("form.mapping").get_by_label("Quantity")).to_have_value("Zahl")


def test_a_warning_has_to_be_accepted(page, api):
    """A column that looks like stock stops the first import."""
    drop(page, "sku,name,category,Stock in Rome\nA,Mug,c,7\n")
    expect(report(page).get_by_role("alert")).to_contain_text("Stock in Rome")
    assert api.items() == []

    report(page).get_by_role("button", name="Import without them").click()

    expect(report(page)).to_contain_text("1 created")


def test_a_dry_run_shows_what_would_change(open_page, api):
    """How the file is read, and its first rows; nothing is written."""
    page = open_page("import")
    page.get_by_label("Only show what would change").check()

    drop(page, HEADER + ROWS)

    expect(report(page)).to_contain_text("2 created")
    expect(report(page)).to_contain_text("MUG-1, Mug, blue, kitchen: 40 at 9.9")
    assert api.items() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty"),
        ("colour,size\nred,5\n", "not known what the columns hold: colour, size"),
        ("seller-sku,asin1\nA,B\n", "Amazon"),
        ('sku,name\nMUG-1,"Mug\n', "cannot be split into cells"),
        ("sku;name;price\nA;Mug;1.250\n", "can be read in two ways"),
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
