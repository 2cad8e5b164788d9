import csv
import io
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import (
    AdjustStock,
    BatchItems,
    CreateItem,
    CreateReservation,
    DeleteItem,
    Inventory,
    LineRequest,
    PageLimits,
    StockLevel,
    StorageThrottledError,
    UpdateItem,
)
from inventory_adapters.catalogue.cells import guarded, unguarded
from inventory_adapters.catalogue.exports import export_items
from inventory_adapters.catalogue.html_text import html_to_text
from inventory_adapters.catalogue.imports import UnreadableFileError, import_items
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import an_item, creation
from tests import strategies
from tests.catalogue.tools import details, imported, items_of, results, table

NATIVE = "sku,name,category,quantity,price,location"
SHOPIFY = "Handle,Title,Body (HTML),Type,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src"
TODAYS_SHOPIFY = "Title,URL handle,Description,Product category,Status,SKU,Option1 name,Option1 value,Price,Inventory quantity"
SQUARE = (
    "Token,Item Name,Variation Name,SKU,Description,Reporting Category,Price,"
    "Enabled Shop,Current Quantity Shop,Enabled Barn,Current Quantity Barn"
)


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


def exported(inventory):
    file = io.BytesIO()
    export_items(inventory, file)
    return file.getvalue()


# Attributes keep outer blanks and line breaks.
ATTRIBUTES = st.dictionaries(
    st.from_regex("[a-z][a-z0-9_]{0,39}", fullmatch=True),
    st.text(strategies.CHARACTERS, min_size=1, max_size=40).filter(lambda it: not it.isspace()),
    max_size=4,
)
ITEMS = st.builds(attrs.evolve, strategies.items, attributes=ATTRIBUTES)
CREATIONS = st.builds(attrs.evolve, strategies.creations, attributes=ATTRIBUTES)


class TestRoundTrip:
    @given(st.lists(ITEMS, max_size=30, unique_by=lambda it: it.key))
    def test_an_export_that_is_imported_changes_nothing(self, stocked):
        """Whatever items hold: formulas, quotes, line breaks of any kind, any script."""
        inventory = Inventory(MemoryRepository())
        for item in stocked:
            inventory.repository.commit(creation(item))
        content = exported(inventory)

        outcomes = imported(inventory, content, update_stock=True)

        assert results(outcomes) == ["unchanged"] * len(stocked)
        assert not any(it.notes for it in outcomes)
        assert exported(inventory) == content

    @given(CREATIONS)
    def test_an_export_without_ids_makes_the_same_items_elsewhere(self, command):
        """What is written is what is read: in another inventory, rows without ids make equal items."""
        here, there = (Inventory(MemoryRepository()) for _ in range(2))
        made = here.create_item(command)
        content = exported(here).decode("utf-8-sig").replace(made.item_id, "").encode()

        [outcome] = imported(there, content)

        assert outcome.result == "created"
        [copy] = items_of(there).values()
        assert details(copy) == details(made)

    @given(st.text(strategies.CHARACTERS, min_size=1, max_size=20))
    def test_every_text_of_an_item_is_protected(self, text):
        """Ids, SKUs, names, descriptions, categories, statuses, locations and attributes."""
        inventory = Inventory(MemoryRepository())
        texts = ("sku", "name", "description", "category", "status", "location", "item_id")
        fields = {**dict.fromkeys(texts, f"={text}"), "attributes": {"barcode": f"={text}"}}
        inventory.repository.commit(creation(an_item(**fields)))

        [_, row] = csv.reader(io.StringIO(exported(inventory).decode("utf-8-sig"), newline=""))

        assert [it for it in row if "=" in it] == [f"'={text}"] * len(fields)

    @given(st.text() | st.text("'=+-@\t\r\n \uff1dx", max_size=5))
    def test_no_cell_is_a_formula_and_every_text_comes_back(self, text):
        """A cell never starts with what a spreadsheet runs, also behind blanks."""
        cell = guarded(text)

        assert unguarded(cell) == text
        assert not cell.lstrip().startswith(
            ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
        )
        assert not cell.startswith(("\t", "\r"))

    def test_a_path_appears_only_when_it_is_complete(self, inventory, tmp_path):
        """An export that fails leaves what was there, and nothing half-written beside it."""
        target = tmp_path / "items.csv"
        target.write_text("before")

        class Failing:
            def list_items(self, query):
                raise StorageThrottledError

        with pytest.raises(StorageThrottledError):
            export_items(Failing(), target)

        assert target.read_text() == "before"
        assert list(tmp_path.iterdir()) == [target]


class TestStaleness:
    @pytest.fixture
    def mug(self, inventory):
        return inventory.create_item(
            CreateItem(sku="MUG", name="Mug", category="kitchen", quantity=5, price=Decimal(9))
        )

    @pytest.fixture
    def edited(self, inventory, mug):
        """An export in which the name, the quantity or both were edited."""

        def edit(*, name="Mug", quantity=5):
            row = f",MUG,{name},,{quantity},"
            return exported(inventory).decode().replace(",MUG,Mug,,5,", row).encode()

        return edit

    def test_details_change_where_the_version_still_matches(self, inventory, mug, edited):
        """Movements of stock in between are no hindrance."""
        content = edited(name="Cup")
        inventory.adjust_stock(AdjustStock(item_id=mug.item_id, sku="MUG", delta=1, reason="found"))

        [outcome] = imported(inventory, content)

        assert (outcome.result, outcome.changes) == ("updated", ("name",))
        assert outcome.quantity_left
        [item] = items_of(inventory).values()
        assert (item.name, item.version, item.level.on_hand) == ("Cup", 2, 6)

    def test_details_that_were_edited_since_are_not_overwritten(self, inventory, mug, edited):
        """The row is refused as stale, with the column that tells."""
        content = edited(name="Cup")
        inventory.update_item(UpdateItem(item_id=mug.item_id, sku="MUG", name="Beaker"))

        [outcome] = imported(inventory, content)

        assert (outcome.result, outcome.code, outcome.column) == ("refused", "stale", "version")
        assert items_of(inventory)["MUG", "default"].name == "Beaker"

    def test_line_ends_inside_a_description_are_no_difference(self, inventory, mug):
        """Spreadsheets write their own."""
        key = {"item_id": mug.item_id, "sku": "MUG"}
        inventory.update_item(UpdateItem(**key, description="one\r\ntwo"))

        [outcome] = imported(inventory, exported(inventory).replace(b"one\r\ntwo", b"one\ntwo"))

        assert outcome.result == "unchanged"

    def test_a_differing_quantity_is_told_and_not_written(self, inventory, edited):
        """Without being asked to, an import never moves stock."""
        [outcome] = imported(inventory, edited(quantity=7))

        assert (outcome.result, outcome.quantity_left) == ("unchanged", True)
        assert outcome.notes == ("quantity 7 not written: the stored quantity is 5",)
        assert items_of(inventory)["MUG", "default"].level.on_hand == 5

    def test_a_quantity_is_counted_where_the_seq_matches(self, inventory, edited):
        """With `update_stock`, the ledger explains it like any count; done again, the row is stale no more than it is new."""
        content = edited(quantity=7)

        first, again = (imported(inventory, content, update_stock=True) for _ in range(2))

        assert (results(first), results(again)) == (["updated"], ["unchanged"])
        assert items_of(inventory)["MUG", "default"].level == StockLevel(on_hand=7, seq=1)

    def test_a_quantity_that_moved_since_is_stale(self, inventory, mug, edited):
        """An old export never overwrites newer stock; the details of its row stay, too."""
        content = edited(name="Cup", quantity=7)
        inventory.adjust_stock(AdjustStock(item_id=mug.item_id, sku="MUG", delta=-1, reason="sold"))

        [outcome] = imported(inventory, content, update_stock=True)

        assert (outcome.result, outcome.code, outcome.column) == ("refused", "stale", "seq")
        item = items_of(inventory)["MUG", "default"]
        assert (item.name, item.level.on_hand) == ("Mug", 4)

    def test_promised_units_are_not_counted_away(self, inventory, mug):
        """Refused by the rule of the domain, before anything is written, and so in a dry run, too."""
        line = LineRequest(item_id=mug.item_id, sku="MUG", quantity=3)
        inventory.create_reservation(CreateReservation(lines=[line]))
        content = exported(inventory).replace(b",MUG,Mug,,5,", b",MUG,Mug,,2,")

        for dry_run in (True, False):
            [outcome] = imported(inventory, content, update_stock=True, dry_run=dry_run)

            assert (outcome.code, outcome.column, outcome.value) == (
                "below_reserved",
                "quantity",
                "2",
            )

    def test_a_status_that_followed_the_stock_is_not_taken_back(self, inventory, mug):
        """Sold out since the export: the item stays out of stock."""
        content = exported(inventory)
        inventory.adjust_stock(AdjustStock(item_id=mug.item_id, sku="MUG", delta=-5, reason="sold"))

        [outcome] = imported(inventory, content)

        assert outcome.result == "unchanged"
        assert items_of(inventory)["MUG", "default"].status == "out_of_stock"

    def test_an_id_of_no_item_is_refused(self, inventory, mug):
        """Neither another SKU under the id nor an id that is gone makes an item."""
        content = exported(inventory)
        other_sku = content.replace(b",MUG,", b",CUP,")

        [renamed] = imported(inventory, other_sku)
        inventory.delete_item(DeleteItem(item_id=mug.item_id, sku="MUG"))
        [gone] = imported(inventory, content)

        assert (renamed.column, gone.column) == ("sku", "item_id")
        assert {renamed.code, gone.code} == {"item_not_found"}
        assert items_of(inventory) == {}


class TestMatching:
    @pytest.fixture(params=["optimistic", "exclusive"])
    def inventory(self, request, tmp_path):
        """An inventory in each kind of storage: each has a search of its own."""
        if request.param == "optimistic":
            yield Inventory(MemoryRepository())
        else:
            with SqliteRepository(tmp_path / "db") as repository:
                yield Inventory(repository)

    def test_a_row_without_id_is_about_the_item_with_its_sku_at_its_location(self, inventory):
        """The same SKU elsewhere is another item; what the file does not say is left as it is."""
        rows = ("M,Mug,kitchen,5,9,shop", "M,Mug,kitchen,2,9,barn")
        imported(inventory, table(NATIVE, *rows))

        outcomes = imported(inventory, table("sku,name,location", "M,Cup,barn"))

        assert [(it.result, it.changes) for it in outcomes] == [("updated", ("name",))]
        found = items_of(inventory)
        assert (found["M", "shop"].name, found["M", "barn"].name) == ("Mug", "Cup")
        assert found["M", "barn"].level.on_hand == 2

    def test_two_items_that_match_refuse_the_row(self, inventory):
        """The row could mean either of them."""
        for _ in range(2):
            inventory.create_item(CreateItem(sku="M", name="Mug", category="c", quantity=1))

        [outcome] = imported(inventory, table(NATIVE, "M,Cup,c,1,1,default"))

        assert (outcome.result, outcome.code, outcome.column) == ("refused", "ambiguous", "sku")

    def test_every_page_of_the_items_of_a_sku_is_looked_at(self):
        """Also where pages are small: the item of the last location is found, not created again."""
        inventory = Inventory(
            MemoryRepository(), limits=lambda: PageLimits(default_page_size=2, max_items_per_page=2)
        )
        rows = [f"M,Mug,kitchen,5,9,shop {number}" for number in range(7)]
        imported(inventory, table(NATIVE, *rows))

        outcomes = imported(inventory, table(NATIVE, *reversed(rows)))

        assert results(outcomes) == ["unchanged"] * 7

    @pytest.mark.parametrize(
        ("sku", "location", "row"),
        [
            ("M", "shop", " M ,Mug,c,1,1, shop "),
            ("Caf\u00e9", "default", "Cafe\u0301,Mug,c,1,1,"),
            ("Cafe\u0301", "default", "Caf\u00e9,Mug,c,1,1,"),
            ("M ", "default", "M ,Mug,c,1,1,"),
            ("M", "shop ", "M,Mug,c,1,1,shop"),
            ("M", "Cafe\u0301", "M,Mug,c,1,1,Caf\u00e9"),
        ],
    )
    def test_skus_and_locations_are_compared_as_they_look(self, inventory, sku, location, row):
        """Outer blanks and the composition of letters make no other item, in the file or in rows of an earlier version."""
        stored = an_item(sku=sku, location=location, name="Mug", category="c", price=Decimal(1))
        inventory.repository.commit(creation(stored))

        [outcome] = imported(inventory, table(NATIVE, row))

        assert outcome.result == "unchanged"

    def test_two_stored_forms_of_a_sku_refuse_the_row(self, inventory):
        """The row could mean either of them."""
        for number, sku in enumerate(("M ", "M")):
            inventory.repository.commit(creation(an_item(item_id=str(number), sku=sku)))

        [outcome] = imported(inventory, table(NATIVE, "M ,Cup,c,1,1,"))

        assert (outcome.result, outcome.code) == ("refused", "ambiguous")

    def test_the_same_item_twice_in_a_file_is_refused(self, inventory):
        """The second row, wherever it stands, with the line of the first."""
        rows = [f"M{number},Mug,c,1,1,default" for number in range(40)]

        outcomes = imported(inventory, table(NATIVE, *rows, rows[0]))

        assert (outcomes[-1].code, outcomes[-1].reason) == (
            "duplicate_row",
            "duplicates the SKU and location of line 2",
        )
        assert len(items_of(inventory)) == 40


class TestFiles:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_any_spreadsheets_file_is_read(self, inventory, encoding, end):
        """Columns in any order and case, blank rows, quoted line breaks; an encoding that was guessed is told."""
        lines = [
            "NAME; Sku ;description;quantity;Category;price",
            'Schürze;S;"a\n\nb";;Küche;12,50',
            ";;;;;",
            "",
        ]
        content = end.join(lines).encode(encoding)

        with import_items(inventory, io.BytesIO(content)) as run:
            outcomes = list(run)

        assert results(outcomes) == ["created", "skipped"]
        assert [it.line for it in outcomes] == [2, 5]
        item = items_of(inventory)["S", "default"]
        assert (item.name, item.description, item.price) == ("Schürze", "a\n\nb", Decimal("12.5"))
        assert item.level.on_hand == 0
        assert bool(run.notes) == (encoding in {"utf-16", "cp1252"})

    def test_a_refused_row_says_where_and_why(self, inventory):
        """The line of the file, the column by its name there, the value, the reason; the other rows go on."""
        rows = (
            "A,Mug,c,1,1,default",
            "B,,c,1,x,default",
            "C,,,1,1,default",
            "D,Mug,c,-3,1,default",
            "E,x",
        )

        first, price, empty, negative, short = imported(inventory, table(NATIVE, *rows))

        assert first.result == "created"
        assert (price.line, price.column, price.value) == (3, "price", "x")
        assert (empty.line, empty.column, empty.value) == (4, "name", "")
        assert empty.also[0].startswith("category: must not be blank")
        assert (negative.line, negative.column, negative.value) == (5, "quantity", "-3")
        assert (short.line, short.reason) == (6, "has 2 cells, but the header has 6")

    def test_negative_quantities_are_taken_as_zero_when_asked(self, inventory):
        """And each is told."""
        [outcome] = imported(inventory, table(NATIVE, "A,Mug,c,-3,1,default"), negative="zero")

        assert (outcome.result, outcome.notes) == ("created", ("quantity -3 taken as 0",))

    def test_a_file_that_was_cut_off_inside_a_quoted_cell_is_refused(self, inventory):
        """As a whole, with the line: nothing is written of a file that cannot be read to its end."""
        content = table(NATIVE, "A,Mug,c,1,1,default", 'B,"Mug,c,1,1,default', "C,Mug,c,1,1,x")

        with pytest.raises(UnreadableFileError, match=r"Line 3: .* nothing of it is imported"):
            imported(inventory, content)

        assert items_of(inventory) == {}

    @pytest.mark.parametrize(
        "content", [b"", b"\n\n", b"a,b\n1,2\n", b"sku,sku,name\n", b"sku,name\n\x81\xff\n"]
    )
    def test_a_file_of_nothing_known_is_refused_as_a_whole(self, inventory, content):
        """In one sentence, before anything is done."""
        with pytest.raises(UnreadableFileError):
            imported(inventory, content)

    def test_what_cannot_be_rewound_is_read_all_the_same(self, inventory):
        """A pipe, as the standard input is."""
        reader, writer = os.pipe()
        os.write(writer, table(NATIVE, "A,Mug,c,1,1,default"))
        os.close(writer)

        with os.fdopen(reader, "rb") as pipe, import_items(inventory, pipe) as run:
            assert results(run) == ["created"]


class TestShopify:
    ROWS = (
        'boot,Boot,"<p>Warm &amp; <b>dry</b></p>\n<script>x</script><ul><li>one</li></ul>",Shoes,Size,9,BOOT-9,3,310.00,',
        "boot,,,,,10,,,310.00,",
        "boot,,,,,,,,,https://example.com/boot.jpg",
        ",,,,,,,,,",
        "kit,The kit,,,Title,Default Title,'4160,1,36.00,",
    )

    def test_variants_inherit_from_the_first_row_of_their_product(self, inventory):
        """Title, description and category come from above; an image is no item; what was made up is told."""
        outcomes = imported(inventory, table(SHOPIFY, *self.ROWS))

        assert results(outcomes) == ["created", "created", "skipped", "skipped", "created"]
        assert [it.line for it in outcomes] == [2, 4, 5, 6, 7]
        found = items_of(inventory)
        nine, ten = found["BOOT-9", "default"], found["boot/10", "default"]
        assert (nine.name, ten.name) == ("Boot (9)", "Boot (10)")
        assert nine.description == ten.description == "Warm & dry\n- one"
        assert (nine.category, ten.level.on_hand, ten.status) == ("Shoes", 0, "out_of_stock")
        assert outcomes[1].notes == ("has no SKU: boot/10, made from handle and options",)
        kit = found["4160", "default"]
        assert (kit.name, kit.category) == ("The kit", "uncategorized")

    def test_todays_headers_mean_the_same(self, inventory):
        """In any order; the last step of the taxonomy is the category, archived products are discontinued."""
        rows = (
            "Boot,boot,<b>Dry</b>,Apparel > Shoes,archived,BOOT-9,Size,9,310.00,3",
            ",boot,,,,,,10,310.00,",
        )

        outcomes = imported(inventory, table(TODAYS_SHOPIFY, *rows))

        assert results(outcomes) == ["created", "created"]
        found = items_of(inventory)
        assert {it.category for it in found.values()} == {"Shoes"}
        assert {it.status for it in found.values()} == {"discontinued"}

    def test_importing_again_changes_nothing(self, inventory):
        """Made-up SKUs are the same each time, and a status that follows the stock is no difference."""
        imported(inventory, table(SHOPIFY, *self.ROWS))
        nine = items_of(inventory)["BOOT-9", "default"]
        inventory.adjust_stock(
            AdjustStock(item_id=nine.item_id, sku="BOOT-9", delta=-3, reason="sold")
        )

        outcomes = imported(inventory, table(SHOPIFY, *self.ROWS))

        assert set(results(outcomes)) == {"unchanged", "skipped"}

    def test_a_variant_far_from_its_product_is_refused(self, inventory):
        """It has nothing to inherit."""
        [*_, last] = imported(inventory, table(SHOPIFY, *self.ROWS, "boot,,,,,11,,,1,"))

        assert (last.result, last.column, last.value) == ("refused", "Handle", "boot")

    def test_a_long_description_is_cut_and_told(self, inventory):
        """To what a description may hold."""
        [outcome] = imported(inventory, table(SHOPIFY, f"a,A,<p>{'x' * 5000}</p>,T,,,A,1,1,"))

        assert outcome.notes == ("description cut from 5000 to 4096 characters",)
        assert len(items_of(inventory)["A", "default"].description) == 4096

    @given(st.text())
    def test_any_html_becomes_text(self, body):
        """Also what is none."""
        assert "\x00" not in html_to_text(body)[0]


class TestSquare:
    def test_each_location_column_is_an_item(self, inventory):
        """A variation is where it is enabled or counted; `Regular` is no name of a variation."""
        rows = (
            'T1,Mug,Regular,MUG,,Kitchen,"$1,250.00",Y,3,Y,4',
            "T2,Mug,Large,,,Kitchen,variable,N,,Y,",
        )

        outcomes = imported(inventory, table(SQUARE, *rows))

        assert [(it.line, it.sku, it.location) for it in outcomes] == [
            (2, "MUG", "Shop"),
            (2, "MUG", "Barn"),
            (3, "T2", "Barn"),
        ]
        found = items_of(inventory)
        assert found["MUG", "Shop"].price == 1250
        assert [found["MUG", it].level.on_hand for it in ("Shop", "Barn")] == [3, 4]
        assert (found["T2", "Barn"].name, found["T2", "Barn"].price) == ("Mug (Large)", 0)


class TestWriting:
    ROWS = tuple(f"M{number},Mug {number},c,{number % 7},1,default" for number in range(60))

    @pytest.mark.parametrize("in_flight", [1, 8])
    def test_a_dry_run_says_the_same_and_writes_nothing(self, inventory, in_flight):
        """Also of rows that are refused, and of a second run."""
        content = table(NATIVE, *self.ROWS, "X,,c,1,1,default", self.ROWS[0])

        for _ in range(2):
            before = exported(inventory)
            said = imported(inventory, content, dry_run=True)
            assert exported(inventory) == before
            assert imported(inventory, content, in_flight=in_flight) == said

    @pytest.mark.parametrize("in_flight", [1, 4])
    def test_stopping_leaves_out_all_behind_the_refused_row(self, inventory, in_flight):
        """The rows before it are written, also those of its batch; none behind it is under way."""
        rows = [*self.ROWS[:30], "X,,c,1,1,default", *self.ROWS[30:]]

        with import_items(
            inventory, io.BytesIO(table(NATIVE, *rows)), on_error="stop", in_flight=in_flight
        ) as run:
            outcomes = list(run)

        assert results(outcomes) == ["created"] * 30 + ["refused"]
        assert run.is_stopped
        assert len(items_of(inventory)) == 30

    def test_what_another_run_has_just_made_is_made_once(self):
        """Two runs that do not see each other's rows in the index yet meet at the idempotency keys."""
        repository = MemoryRepository()
        inventory = Inventory(repository)
        content = table(NATIVE, *self.ROWS)
        imported(inventory, content)

        class Lagging(MemoryRepository):
            def list_items(self, wanted, page):
                return MemoryRepository().list_items(wanted, page)

        lagging = Lagging()
        vars(lagging).update(vars(repository))
        outcomes = imported(Inventory(lagging), content)

        assert results(outcomes) == ["unchanged"] * 60
        assert len(items_of(inventory)) == 60

    def test_what_was_deleted_since_is_made_again(self, inventory):
        """An old key does not speak for an item that is gone."""
        content = table(NATIVE, *self.ROWS[:3])
        imported(inventory, content)
        for item in items_of(inventory).values():
            inventory.delete_item(DeleteItem(item_id=item.item_id, sku=item.sku))

        again, once_more = (imported(inventory, content) for _ in range(2))

        assert results(again) == ["created"] * 3
        assert results(once_more) == ["unchanged"] * 3
        assert len(items_of(inventory)) == 3

    def test_a_part_of_what_another_run_has_just_made_is_waited_for(self, inventory):
        """An index that has some of its rows already does not make us make the others again."""
        content = table(NATIVE, *self.ROWS[:5])
        imported(inventory, content)
        searches = []

        class Lagging(Inventory):
            def find_by_sku(self, sku, *, location=None):
                searches.append(sku)
                is_unseen = searches.count("M3") < 2 and sku in {"M3", "M4"}
                return () if is_unseen else super().find_by_sku(sku, location=location)

        outcomes = imported(Lagging(inventory.repository), content)

        assert results(outcomes) == ["unchanged"] * 5
        assert len(items_of(inventory)) == 5

    def test_an_edit_meanwhile_is_seen_and_not_overwritten(self, inventory):
        """The store refuses what was decided on an older state; the row is decided anew, and found stale."""
        imported(inventory, table(NATIVE, *self.ROWS[:2]))
        content = (
            exported(inventory).replace(b",Mug 0,", b",Cup 0,").replace(b",Mug 1,", b",Cup 1,")
        )
        edits = []

        class Edited(Inventory):
            def batch_items(self, command: BatchItems):
                if not edits:
                    edits.append(command.items[0])
                    key = {"item_id": command.items[0].item_id, "sku": command.items[0].sku}
                    self.update_item(UpdateItem(**key, category="edited"))
                return super().batch_items(command)

        outcomes = imported(Edited(inventory.repository), content)

        assert sorted(results(outcomes)) == ["refused", "updated"]
        assert {it.name[:3] for it in items_of(inventory).values()} == {"Mug", "Cup"}

    def test_a_slower_pace_is_kept(self, inventory):
        """Storage that throttles is asked again."""
        asked = []

        class Busy(Inventory):
            def batch_items(self, command: BatchItems):
                asked.append(command)
                if len(asked) == 1:
                    raise StorageThrottledError
                return super().batch_items(command)

        outcomes = imported(Busy(inventory.repository), table(NATIVE, self.ROWS[0]))

        assert (results(outcomes), len(asked)) == (["created"], 2)

    def test_what_another_process_creates_meanwhile_is_not_created_again(self, tmp_path):
        """Each batch is compared with the items that are stored when it is written."""
        with SqliteRepository(tmp_path / "db") as ours, SqliteRepository(tmp_path / "db") as theirs:
            with import_items(Inventory(ours), io.BytesIO(table(NATIVE, *self.ROWS))) as run:
                outcomes = iter(run)
                first = next(outcomes)
                other = imported(Inventory(theirs), table(NATIVE, *self.ROWS[50:]))
                rest = list(outcomes)
            stored = len(items_of(Inventory(ours)))

        assert results(other) == ["created"] * 10
        assert results([first, *rest]) == ["created"] * 50 + ["unchanged"] * 10
        assert stored == 60

    def test_a_lock_that_is_held_too_long_is_waited_for(self, tmp_path):
        """Storage that throttles before a batch begins is asked again."""
        asked = []

        class Busy(SqliteRepository):
            @contextmanager
            def exclusive(self):
                asked.append(self)
                if len(asked) == 1:
                    raise StorageThrottledError
                with super().exclusive():
                    yield

        with Busy(tmp_path / "db") as repository:
            outcomes = imported(Inventory(repository), table(NATIVE, self.ROWS[0]))

        assert results(outcomes) == ["created"]
        assert len(asked) > 1

    def test_a_killed_import_goes_on_where_it_stopped(self, tmp_path):
        """Whole batches are there or not; the second run makes the rest, and nothing twice."""
        file, db = tmp_path / "items.csv", tmp_path / "db"
        rows = [f"M{number},Mug,c,1,1,default" for number in range(2000)]
        file.write_bytes(table(NATIVE, *rows))
        code = f"""
            from inventory_adapters import bootstrap
            from inventory_adapters.catalogue.imports import import_items
            with import_items(bootstrap.on_sqlite({str(db)!r}), {str(file)!r}) as run:
                for number, _ in enumerate(run):
                    if number == 300:
                        print("well under way", flush=True)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGKILL)

        with SqliteRepository(db) as repository:
            inventory = Inventory(repository)
            done = len(items_of(inventory))
            outcomes = results(imported(inventory, file.read_bytes()))
            after = len(items_of(inventory))

        assert done >= 300
        assert done % 25 == 0
        assert (outcomes.count("unchanged"), outcomes.count("created")) == (done, 2000 - done)
        assert after == 2000


def test_memory_is_bounded(tmp_path):
    """Twenty thousand rows with long descriptions, in and out again, in far less than they take on disk."""
    file = tmp_path / "items.csv"
    with file.open("w") as out:
        out.write("sku,name,category,description,quantity\n")
        out.writelines(f"M{number},Mug,c,{'x' * 1000},1\n" for number in range(20_000))
    code = f"""
        import resource, sys
        from inventory_adapters import bootstrap
        from inventory_adapters.catalogue.imports import import_items
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with import_items(bootstrap.in_memory(), {str(file)!r}, dry_run=True) as run:
            count = sum(1 for _ in run)
        print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True
    )

    count, grown = map(int, done.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024
    assert count == 20_000
    assert grown * unit < 15_000_000
