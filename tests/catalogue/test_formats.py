"""Files of each system: what their rows become, and that they survive: in, again, out, and in again."""

import io
import re
from decimal import Decimal
from pathlib import Path

import pytest

from inventory import CreateItem, Inventory, UpdateItem
from inventory_adapters.catalogue.exports import export_items
from inventory_adapters.catalogue.formats import FORMATS
from inventory_adapters.catalogue.imports import (
    UnknownTableError,
    UnreadableFileError,
    import_items,
)
from inventory_adapters.storage.memory import MemoryRepository
from tests.catalogue.tools import imported, items_of, results, stored, table

FILES = Path(__file__).parent / "files"
CATALOGUES = sorted(it.name for it in FILES.iterdir() if it.name != "counts.csv")


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


def of_file(name):
    return (FILES / name).read_bytes()


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_file_goes_in_again_out_and_in_again_unchanged(inventory, name):
    """Nothing is refused, the second time nothing changes, and what is exported is what was imported."""
    first = imported(inventory, of_file(name), negative="zero")
    before = items_of(inventory)

    again = imported(inventory, of_file(name), update_stock=True, negative="zero")
    out = io.BytesIO()
    export_items(inventory, out)
    back = imported(inventory, out.getvalue(), update_stock=True)
    elsewhere = Inventory(MemoryRepository())
    moved = out.getvalue()
    for item in before.values():
        moved = moved.replace(item.item_id.encode(), b"")
    imported(elsewhere, moved)

    assert set(results(first)) <= {"created", "skipped"}
    assert "created" in results(first)
    assert set(results(again)) <= {"unchanged", "skipped"}
    assert set(results(back)) == {"unchanged"}
    assert items_of(inventory) == before
    assert stored(elsewhere) == stored(inventory)


@pytest.mark.parametrize("name", [*CATALOGUES, "counts.csv"])
def test_a_file_is_told_by_its_columns(inventory, name):
    """Its format is in its file name; any other format that is asked for is refused by what the file lacks, or reads it."""
    with import_items(inventory, FILES / name, dry_run=True) as run:
        assert name.startswith(run.format)
        assert sum(name.startswith(it) for it in FORMATS)


def test_counts_change_quantities_and_create_nothing(inventory):
    """A SKU that is not there is reported."""
    imported(inventory, of_file("native.csv"))

    known, ghost = imported(inventory, of_file("counts.csv"), update_stock=True)

    assert (known.result, known.changes) == ("updated", ("quantity",))
    assert (ghost.result, ghost.column, ghost.value) == ("refused", "sku", "GHOST")
    assert "stocktake" in ghost.reason
    assert items_of(inventory)["MUG-1", "store"].level.on_hand == 11
    assert len(items_of(inventory)) == 3


class TestShopifyInventory:
    @pytest.mark.parametrize("end", ["", "_new", "_old"])
    def test_an_item_per_location(self, inventory, end):
        """On hand is the quantity, a new quantity wins, and what is not stocked is no item there."""
        imported(inventory, of_file(f"shopify_inventory{end}.csv"))

        found = items_of(inventory)
        assert found["BOOT-9", "Shop"].level.on_hand == (4 if end == "_new" else 3)
        assert found["BOOT-9", "Barn"].level.on_hand == 7
        assert ("BOOT-10", "Shop") not in found
        assert found["BOOT-9", "Shop"].name == "Iron boot (9)"

    def test_details_of_existing_items_are_not_touched(self, inventory):
        """Only quantities change, and only when asked for."""
        inventory.create_item(
            CreateItem(sku="BOOT-9", name="Mine", category="My shoes", quantity=1, location="Shop")
        )

        outcomes = imported(inventory, of_file("shopify_inventory.csv"), update_stock=True)

        assert (outcomes[0].result, outcomes[0].changes) == ("updated", ("quantity",))
        item = items_of(inventory)["BOOT-9", "Shop"]
        assert (item.name, item.category, item.level.on_hand) == ("Mine", "My shoes", 3)


class TestShopify:
    def test_made_up_skus_keep_signs_and_are_distinct(self, inventory):
        """+1.00 and -1.00 are two lenses."""
        imported(inventory, of_file("shopify_new.csv"))

        assert {it for it, _ in items_of(inventory)} == {
            "lens/+1.00",
            "lens/-1.00",
            "LENS-0",
            "FRAME",
        }

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("a/b",), ("a", "b")),
            (("Red",), ("red",)),
            (("a b",), ("a-b",)),
            (("", "a"), ("a", "")),
            (("x" * 200,), ("x" * 201,)),
        ],
    )
    def test_other_options_make_another_sku(self, inventory, one, other):
        """Whatever stands in them."""
        header = "Handle,Title,Option1 Value,Option2 Value,Variant Price"
        rows = [f"h,T,{it[0]},{it[1] if len(it) > 1 else ''},1" for it in (one, other)]

        outcomes = imported(inventory, table(header, *rows))

        assert results(outcomes) == ["created", "created"]

    def test_few_columns_are_enough(self, inventory):
        """A handle and a title, without a column of variants."""
        [outcome] = imported(inventory, table("Handle,Title,Vendor,Published", "mug,Mug,Me,true"))

        assert (outcome.result, outcome.sku) == ("created", "mug")

    @pytest.mark.parametrize(
        "body", ["<![new offer]> today", "<a " * 10_000, "&#" + "9" * 5000 + ";", "<!-- x"]
    )
    def test_a_body_that_is_broken_is_kept_as_it_is(self, inventory, body):
        """With a note; nothing ends the import."""
        [outcome] = imported(
            inventory, table("Handle,Title,Body (HTML),Variant Price", f'm,Mug,"{body}",1')
        )

        assert outcome.notes[0] == "description is broken HTML and kept as it is"
        [item] = items_of(inventory).values()
        assert item.description.startswith(body[:20].strip())


class TestSquare:
    def test_only_the_bad_location_is_refused(self, inventory):
        """And the message names SKU and location."""
        header = "Token,Item Name,SKU,Current Quantity Shop,Current Quantity Barn"

        shop, barn = imported(inventory, table(header, "T,Mug,MUG,10,-1"))

        assert (shop.result, shop.location) == ("created", "Shop")
        assert (barn.result, barn.sku, barn.location) == ("refused", "MUG", "Barn")
        assert barn.column == "Current Quantity Barn"

    def test_a_new_quantity_a_price_and_an_alert_of_a_location_count(self, inventory):
        """A blank one leaves what holds for all."""
        imported(inventory, of_file("square.csv"))

        found = items_of(inventory)
        assert [found["MUG", it].price for it in ("Shop", "Barn")] == [1250, 1300]
        assert [found["MUG", it].reorder_point for it in ("Shop", "Barn")] == [2, None]
        assert (found["CUP", "Shop"].level.on_hand, found["CUP", "Shop"].status) == (
            5,
            "discontinued",
        )
        assert found["T2", "Barn"].name == "Mug (Large)"


def test_woocommerce_variations_inherit_and_holders_are_no_items(inventory):
    """The category comes from the parent, by SKU or id; a line break is written as a backslash and an n."""
    outcomes = imported(inventory, of_file("woocommerce.csv"))

    found = items_of(inventory)
    assert results(outcomes) == ["created", "skipped", "created", "created"]
    assert {it for it, _ in found} == {"MUG-1", "HOODIE-B", "id:13"}
    mug, red = found["MUG-1", "default"], found["id:13", "default"]
    assert (mug.description, mug.category, mug.price) == (
        "Holds tea\nand coffee",
        "Cups",
        Decimal("9.9"),
    )
    assert (mug.reorder_point, red.category, red.status) == (4, "Hoodies", "out_of_stock")


def test_square_s_import_template_has_new_quantities_alone(inventory):
    """A location with a blank one is left out; the price of a location counts before the item's."""
    content = table(
        "Token,Item Name,Variation Name,SKU,Category,Price,New Quantity Shop,Price Shop,New Quantity Barn",
        ",Tea,Regular,TEA,Drinks,5.00,4,6.50,",
    )

    imported(inventory, content)

    found = items_of(inventory)
    assert set(found) == {("TEA", "Shop")}
    assert (found["TEA", "Shop"].level.on_hand, found["TEA", "Shop"].price) == (4, Decimal("6.5"))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (
            "Interne Referenz;Name;Verkaufspreis;Verfügbare Menge;Produktkategorie",
            "A1;Tisch;1.250,00;12,00;Möbel",
        ),
        ("Artikelnummer;Name;Bestand;Regulärer Preis;Kategorien", "A1;Tisch;12;1.250,--;Möbel"),
        (
            "Référence interne;Nom;Prix de vente;Quantité en stock;Catégories",
            "A1;Tisch;1250;12;Möbel",
        ),
    ],
)
def test_translated_exports_are_tables(inventory, header, row):
    """Odoo and WooCommerce translate their headers; the names of the columns are known all the same."""
    [outcome] = imported(inventory, table(header, row))

    item = items_of(inventory)["A1", "default"]
    assert outcome.result == "created"
    assert (item.name, item.level.on_hand, item.price) == ("Tisch", 12, 1250)
    assert item.category == "Möbel"


def test_stock_of_all_variations_together_is_refused(inventory):
    """It cannot be divided."""
    content = of_file("woocommerce.csv").replace(b"taxable,1,,,0,,,", b"taxable,1,9,,0,,,")

    outcomes = imported(inventory, content)

    assert (outcomes[1].column, outcomes[1].value) == ("Stock", "9")


def test_magento_products_without_their_translations(inventory):
    """Configurable products and store views are no items; a default alert is none."""
    imported(inventory, of_file("magento.csv"))

    found = items_of(inventory)
    assert {it for it, _ in found} == {"24-MB01", "24-WB04"}
    bag = found["24-MB01", "default"]
    assert (bag.name, bag.level.on_hand, bag.price, bag.reorder_point) == ("Duffle bag", 100, 34, 5)
    assert (bag.category, found["24-WB04", "default"].reorder_point) == ("Gear", None)


def test_lightspeed_has_an_item_per_outlet(inventory):
    """A blank outlet has none; what is not counted is one item without units."""
    imported(inventory, of_file("lightspeed.csv"))

    found = items_of(inventory)
    assert set(found) == {
        ("10001", "Main_Outlet"),
        ("10001", "Barn"),
        ("10002", "Main_Outlet"),
        ("10003", "default"),
    }
    assert found["10001", "Main_Outlet"].name == "Tee (S)"
    assert found["10001", "Main_Outlet"].category == "Tops"
    assert found["10003", "default"].status == "discontinued"


def test_lightspeed_parts_of_a_composite_are_no_items(inventory):
    """Their rows have no SKU of their own."""
    content = table(
        "handle,sku,composite_sku,composite_quantity,name,retail_price,inventory_Shop",
        "box,BOX,,,Box,2,4",
        "box,,MUG,2,,,",
    )

    outcomes = imported(inventory, content)

    assert results(outcomes) == ["created", "skipped"]


def test_odoo_products_are_found_by_their_reference(inventory):
    """One without has its external id."""
    imported(inventory, of_file("odoo.csv"))

    found = items_of(inventory)
    assert found["FURN_0001", "default"].level.on_hand == 12
    assert found["FURN_0001", "default"].category == "Office Furniture"
    assert found["__export__.product_2", "default"].price == Decimal("40.5")


def test_loyverse_has_an_item_per_store(inventory):
    """Variants inherit from the first row of their item; components are no items."""
    outcomes = imported(inventory, of_file("loyverse.csv"))

    found = items_of(inventory)
    assert set(found) == {
        ("10001", "Shop"),
        ("10001", "Barn"),
        ("10002", "Shop"),
        ("10003", "Shop"),
    }
    assert found["10002", "Shop"].name == "Tee (M)"
    assert found["10002", "Shop"].category == "Clothing"
    assert found["10001", "Barn"].price == 21
    assert found["10003", "Shop"].price == 0
    assert outcomes[-1].result == "skipped"


class TestAnyTable:
    def test_common_names_of_columns_are_known(self, inventory):
        """In the languages of shops, with the numbers of their country."""
        with import_items(inventory, FILES / "table.csv") as run:
            list(run)

        item = items_of(inventory)["A-1", "default"]
        assert (item.name, item.category) == ("Tüte groß", "Küche")
        assert (item.level.on_hand, item.price) == (1000, Decimal("1250.5"))
        assert run.mapping["quantity"] == "Bestand"
        assert "decimal comma" in run.numbers

    @pytest.mark.parametrize(
        "name", ["Qty", "In stock", "Stock on hand", "stock_quantity", "STOCK"]
    )
    def test_the_quantity_is_known_by_many_names(self, inventory, name):
        """No stock is lost for its name."""
        imported(inventory, table(f"sku,name,category,{name}", "A,Mug,c,7"))

        assert items_of(inventory)["A", "default"].level.on_hand == 7

    def test_columns_can_be_mapped(self, inventory):
        """Those that are named count, the others keep the names that are known."""
        columns = {"sku": "Code-X", "quantity": "Where we have it"}

        imported(
            inventory,
            table("Code-X,Name,Where we have it", "A,Mug,7"),
            columns=columns,
            category="cups",
        )

        item = items_of(inventory)["A", "default"]
        assert (item.name, item.category, item.level.on_hand) == ("Mug", "cups", 7)

    @pytest.mark.parametrize(
        ("columns", "said"),
        [
            ({"sku": "Nope"}, "no column Nope"),
            ({"colour": "Name"}, "Unknown field: colour"),
            ({"name": "Name"}, "--column sku="),
        ],
    )
    def test_a_mapping_that_cannot_be_is_refused(self, inventory, columns, said):
        """In a sentence."""
        with pytest.raises(UnreadableFileError, match=said):
            imported(inventory, table("Code-X,Name", "A,Mug"), columns=columns)

    def test_two_columns_for_one_field_are_a_question(self, inventory):
        """Nothing is guessed."""
        with pytest.raises(UnknownTableError, match='"Qty" and "In stock"'):
            imported(inventory, table("sku,name,Qty,In stock", "A,Mug,1,2"))

    def test_a_column_that_looks_like_stock_stops_a_first_import(self, inventory):
        """Once there are items, or when it is accepted, it is only a warning."""
        content = table("sku,name,category,Stock in Berlin", "A,Mug,c,7")

        with pytest.raises(UnreadableFileError, match="Stock in Berlin") as error:
            imported(inventory, content)
        assert error.value.code == "confirmation_required"
        assert items_of(inventory) == {}
        assert results(imported(inventory, content, dry_run=True)) == ["created"]
        assert results(imported(inventory, content, accept_warnings=True)) == ["created"]
        with import_items(inventory, io.BytesIO(content)) as run:
            assert results(run) == ["unchanged"]
        assert "Stock in Berlin" in " ".join(run.warnings)
        assert run.left_out == {"Stock in Berlin": 1}

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("handleId,fieldType,name,sku,price,inventory", "Wix.*--column quantity="),
            ("Financial Status,Lineitem name,Lineitem sku", "Shopify export of orders"),
            ("seller-sku,asin1,item-name,price,quantity", "Amazon"),
            ("TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,SKU", "Etsy"),
        ],
    )
    def test_files_of_other_systems_are_named(self, inventory, header, said):
        """With what to do."""
        with pytest.raises(UnreadableFileError, match=said):
            imported(inventory, table(header, ",".join("x" for _ in header.split(","))))

    def test_a_file_that_fits_two_formats_is_refused_by_name(self, inventory):
        """Until one is chosen."""
        header = "Token,Item Name,SKU,Name,Internal Reference,Cost"

        with pytest.raises(UnreadableFileError, match=r"--format square.* and .*--format odoo"):
            imported(inventory, table(header, "T,Mug,M,Mug,M,1"))


class TestWhatPeopleDid:
    @pytest.mark.parametrize("name", ["shopify_new.csv", "square.csv", "loyverse.csv"])
    def test_stand_ins_are_for_new_items(self, inventory, name):
        """A category that was set by hand stays when the file has none."""
        imported(inventory, of_file(name))
        for item in items_of(inventory).values():
            if item.category == "uncategorized":
                key = {"item_id": item.item_id, "sku": item.sku}
                inventory.update_item(UpdateItem(**key, category="mine", description="by hand"))
        before = items_of(inventory)

        outcomes = imported(inventory, of_file(name))

        assert set(results(outcomes)) <= {"unchanged", "skipped"}
        assert items_of(inventory) == before
        assert not any("uncategorized" in note for it in outcomes for note in it.notes)

    def test_without_a_quantity_column_stock_stays(self, inventory):
        """There is one warning, and quantities do not change."""
        imported(inventory, table("sku,name,category,quantity", "A,Mug,c,5"))

        with import_items(
            inventory, io.BytesIO(table("Handle,Title,Variant SKU", "a,Mug,A")), update_stock=True
        ) as run:
            outcomes = list(run)

        assert "no column of quantities" in run.warnings[0]
        assert not outcomes[0].notes
        assert items_of(inventory)["A", "default"].level.on_hand == 5

    def test_what_is_left_out_is_counted_by_column(self, inventory):
        """Weights, tags, images: how many cells of each."""
        with import_items(inventory, FILES / "shopify_apparel.csv", dry_run=True) as run:
            pass

        assert run.left_out["Tags"] > 0
        assert "Variant Price" not in run.left_out


SHOPS = {
    "shopify_new": ("Title,URL handle,SKU,Vendor,Barcode,Cost per item,Tags", "Mug,mug,M"),
    "square": ("Token,Item Name,SKU,Default Vendor Name,GTIN,Default Unit Cost,Tax", "1,Mug,M"),
    "lightspeed": ("id,sku,name,supplier_name,barcode,supply_price,brand_name", "1,M,Mug"),
    "loyverse": ("Handle,SKU,Name,Supplier,Barcode,Cost,Sold by weight", "mug,M,Mug"),
}
REST = {
    "shopify_new": ",Price,Option1 name,Option1 value,Inventory quantity",
    "square": ",Variation Name,Price,Current Quantity Shop",
    "lightspeed": ",handle,retail_price,inventory_Shop",
    "loyverse": ",Category,Default price,In stock [Shop]",
}


class TestAttributes:
    @pytest.mark.parametrize("name", SHOPS)
    def test_barcode_vendor_and_cost_are_kept(self, inventory, name):
        """Nobody has to ask for them; a further column is kept for those who do, and counted for the others."""
        header, row = SHOPS[name]
        file = table(
            header + REST[name], f"{row},Potter,00123,4.50,more" + "," * REST[name].count(",")
        )
        more = header.rpartition(",")[2]

        with import_items(inventory, io.BytesIO(file)) as run:
            list(run)
        [item] = items_of(inventory).values()
        imported(inventory, file, keep_columns=more)
        [again] = items_of(inventory).values()

        assert item.attributes == {"vendor": "Potter", "barcode": "00123", "cost": "4.50"}
        assert run.left_out[more] == 1
        assert not {"Vendor", "Barcode", "GTIN", "Cost", "supply_price"} & run.left_out.keys()
        assert again.attributes == {**item.attributes, more.lower().replace(" ", "_"): "more"}

    def test_those_that_a_file_does_not_have_stay(self, inventory):
        """A blank cell and a missing column say nothing."""
        imported(
            inventory,
            table("sku,name,category,EAN,attribute:colour", "M,Mug,cups,1,red"),
            keep_columns="EAN",
        )

        [blank] = imported(inventory, table("sku,name,category,attribute:colour", "M,Mug,cups,"))
        [changed] = imported(
            inventory, table("sku,name,category,attribute:colour", "M,Mug,cups,blue")
        )

        assert (blank.result, changed.changes) == ("unchanged", ("attributes",))
        assert items_of(inventory)["M", "default"].attributes == {"ean": "1", "colour": "blue"}

    def test_columns_whose_names_are_one_attribute_are_refused(self, inventory):
        """So is a name without a letter, and a column that does not exist."""
        file = table("sku,name,category,Size (cm),Size/cm,尺寸", "M,Mug,cups,1,2,3")

        for columns, reason in (
            ("Size (cm),Size/cm", "its name as an attribute is that of Size (cm)"),
            ("尺寸", "has no Latin letter"),
            ("Colour", "has no column Colour"),
        ):
            with pytest.raises(UnreadableFileError, match=re.escape(reason)):
                imported(inventory, file, keep_columns=columns)
        assert items_of(inventory) == {}

    def test_a_row_with_too_long_a_text_is_refused_by_its_column(self, inventory):
        """The other rows are imported, and a dry run says the same."""
        file = table("sku,name,category,Notes", f"M,Mug,cups,{'x' * 5000}", "N,Cup,cups,short")

        dry = imported(inventory, file, keep_columns="Notes", dry_run=True)
        long, short = imported(inventory, file, keep_columns="Notes")

        assert (long.result, long.column, short.result) == ("refused", "Notes", "created")
        assert results(dry) == ["refused", "created"]

    def test_an_item_with_too_many_is_refused(self, inventory):
        """Those that it has count with those of the file."""
        names = [f"a{number}" for number in range(60)]
        several = [
            table(
                f"sku,name,category,{','.join(f'attribute:{it}' for it in part)}",
                f"M,Mug,cups{',x' * len(part)}",
            )
            for part in (names[:30], names[30:])
        ]
        imported(inventory, several[0])

        [dry] = imported(inventory, several[1], dry_run=True)
        [refused] = imported(inventory, several[1])

        assert dry.result == refused.result == "refused"
        assert len(items_of(inventory)["M", "default"].attributes) == 30
