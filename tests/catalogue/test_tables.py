"""Files as tables: every encoding, delimiter and wrapping that a file may come in, and files that are none."""

import builtins
import csv
import gzip
import io
import zipfile
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import Inventory
from inventory_adapters.catalogue.cells import CellError, Header, TypedNumber
from inventory_adapters.catalogue.exports import export_items
from inventory_adapters.catalogue.imports import UnreadableFileError, import_items
from inventory_adapters.catalogue.tables import open_table
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import creation
from tests import strategies
from tests.catalogue.tools import imported, items_of, results, table

FILES = Path(__file__).parent / "files"
ROWS = [["sku", "name", "category", "price"], ["Ä-1", 'Große "Tüte"', "Küche", "12,50"]]


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


def rows_of(content, **choices):
    with open_table(io.BytesIO(content), **choices) as opened:
        return [list(opened.header.names), *(it.cells for it in opened.records())]


def written(rows, *, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\r\n", encoding="utf-8"):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue().encode(encoding)


def workbook(*rows, others=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name in others:
        book.create_sheet(name).append(["x"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_writer_is_understood(encoding, quoting, delimiter):
    """Each delimiter is tried on its own, also where the header is quoted."""
    content = written(ROWS, delimiter=delimiter, quoting=quoting, encoding=encoding)

    assert rows_of(content) == ROWS


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"sep=;\r\nsku;name\r\n", ["sku", "name"]),
        (b'"sep=|"\nsku|name, all\n', ["sku", "name, all"]),
        (b'sku,"name\nof the thing"\n', ["sku", "name of the thing"]),
        (b"\n\n,,\nsku,name\n", ["sku", "name"]),
        (b'"sku";"price, EUR";"weight, kg"\n', ["sku", "price, EUR", "weight, kg"]),
        (b"a;b, c, d;e\n1;2;3\n", ["a", "b, c, d", "e"]),
    ],
)
def test_a_header_is_found(content, header):
    """Behind Excel's declaration and blank lines, with line breaks and other delimiters in its cells."""
    assert rows_of(content)[0] == header


def test_lines_are_counted_as_an_editor_does():
    """Also behind a declaration and a header of several lines."""
    content = b'sep=,\nsku,"na\nme"\nA,"x\ny"\nB,z\nC\n'

    with open_table(io.BytesIO(content)) as opened:
        found = list(opened.records())

    assert [it.line for it in found] == [4, 6, 7]
    assert isinstance(found[-1], CellError)


def test_cells_behind_the_last_column_may_be_empty():
    """As spreadsheets leave them; one that is filled is an error."""
    assert rows_of(b"a,b\n1,2,,\n")[1] == ["1", "2"]
    with open_table(io.BytesIO(b"a,b\n1,2,,x\n")) as opened:
        assert isinstance(next(iter(opened.records())), CellError)


def test_a_header_may_end_in_columns_without_names():
    """Rows have them or not."""
    assert rows_of(b"a,b,,\n1,2\n1,2,\n1,2,,\n")[1:] == [["1", "2", "", ""]] * 3


def test_a_chosen_utf_8_may_have_its_mark():
    """It is no part of the first name."""
    assert rows_of(b"\xef\xbb\xbfsku,name\n", encoding="utf8")[0] == ["sku", "name"]


def test_encoding_and_delimiter_can_be_chosen():
    """By name, or as the character itself."""
    content = "sku~name\nA~Größe\n".encode("mac_roman")

    assert rows_of(content, encoding="mac_roman", delimiter="~")[1] == ["A", "Größe"]
    assert rows_of(b"a;b,c\n1;2,3\n", delimiter="comma")[0] == ["a;b", "c"]


WHOLE = "sku,name,category\n" + "".join(f"S{it},Größe {it},Küche\n" for it in range(2000))


@pytest.mark.parametrize(
    "content",
    [
        WHOLE.encode("utf-16")[:-1],
        WHOLE.encode("utf-16-le")[:-1],
        WHOLE.encode("utf-8")[: WHOLE.encode().rindex("ü".encode()) + 1],
        WHOLE.encode("utf-8-sig")[: WHOLE.encode("utf-8-sig").rindex("ü".encode()) + 1],
        WHOLE.encode() + "S,Größe,x\n".encode("cp1252"),
        WHOLE.encode() + b'S,"Gr',
        gzip.compress(WHOLE.encode(), mtime=0)[:-20],
        gzip.compress(WHOLE.encode(), mtime=0)[:10] + b"junk" * 20,
    ],
    ids=range(8),
)
def test_a_damaged_file_is_refused_before_a_row_is_written(inventory, content):
    """Cut off in the middle of a letter, a cell or an archive; or with letters of another encoding further down."""
    with pytest.raises(UnreadableFileError) as error:
        imported(inventory, content)

    assert len(str(error.value)) < 300
    assert items_of(inventory) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\r\n , ;\n", "empty"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"<html><table>", "HTML"),
        (b'{"items": []}', "JSON"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"PK\x03\x04junk", "damaged"),
        (b"a\0\1\2\0\0b" * 100, "not a table"),
    ],
)
def test_what_is_no_table_is_named(content, said):
    """In a sentence."""
    with pytest.raises(UnreadableFileError, match=said):
        rows_of(content)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"encoding": "klingon"}, "klingon"),
        ({"delimiter": "ab"}, "ab"),
        ({"encoding": "rot13"}, "rot13"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(choices, said):
    """By its name."""
    with pytest.raises(UnreadableFileError, match=said):
        rows_of(b"a,b\n", **choices)


def test_gzip_is_unpacked(inventory):
    """Whatever the file is called."""
    assert (
        results(imported(inventory, gzip.compress(WHOLE.encode(), mtime=0))) == ["created"] * 2000
    )


class TestWorkbooks:
    @pytest.mark.parametrize("kind", ["xls", "xlsx", "ods"])
    def test_workbooks_of_every_kind_are_read(self, kind):
        """A text stays one, a number is a number; the files were written by xlwt, openpyxl, and by hand."""
        with open_table(FILES / f"table.{kind}") as opened:
            records = list(opened.records())

        assert opened.header.names[:2] == ("Artikelnummer", "Bezeichnung")
        assert [it.cells for it in records] == [
            ["00123", "Tüte groß", "Küche", "1000", "1250.5"],
            ["4711", "Löffel", "Küche", "12", "0.99"],
        ]
        assert [isinstance(it.cells[0], TypedNumber) for it in records] == [False, True]

    @pytest.mark.parametrize("kind", ["xls", "ods"])
    def test_a_damaged_workbook_is_named(self, kind):
        """Cut off in the middle, it is refused in a sentence."""
        content = (FILES / f"table.{kind}").read_bytes()

        with pytest.raises(UnreadableFileError, match=r"^The file is "):
            rows_of(content[: len(content) // 2])

    def test_numbers_are_numbers(self, inventory):
        """Whatever the marks of other cells; a SKU that became a number has no point."""
        content = workbook(
            ["sku", "name", "category", "quantity", "price"],
            [4711, "Mug", "c", 3, 1.125],
            [],
            ["00123", "Tüte", "c", 1000, 19.900000000000002],
            ["X", "Text", "c", "1.000", "1.250,50"],
        )

        with import_items(inventory, io.BytesIO(content)) as run:
            outcomes = list(run)

        assert results(outcomes) == ["created"] * 3
        assert [it.line for it in outcomes] == [2, 4, 5]
        found = {
            sku: (it.level.on_hand, str(it.price)) for (sku, _), it in items_of(inventory).items()
        }
        assert found == {"4711": (3, "1.125"), "00123": (1000, "19.9"), "X": (1000, "1250.5")}

    def test_the_first_sheet_is_read_and_others_are_named(self, inventory):
        """Nothing is left out silently."""
        content = workbook(["sku", "name"], ["A", "Mug"], others=["Old stock"])

        with import_items(inventory, io.BytesIO(content), dry_run=True) as run:
            assert "not Old stock" in run.notes[0]

    def test_other_cells_become_text(self):
        """Dates, yes and no, and nothing."""
        content = workbook(["a", "b", "c", "d"], [date(2026, 1, 2), True, None, 1e21])

        assert rows_of(content)[1] == ["2026-01-02", "TRUE", "", "1000000000000000000000"]

    def test_without_the_extra_it_is_named(self, monkeypatch):
        """With what to install, or do."""
        real = builtins.__import__

        def without(name, *arguments):
            if name == "python_calamine":
                raise ImportError(name)
            return real(name, *arguments)

        monkeypatch.setattr(builtins, "__import__", without)

        with pytest.raises(UnreadableFileError, match=r"xlsx.*python-calamine.*CSV"):
            rows_of(workbook(["sku", "name"]))

    def test_another_archive_is_named(self):
        """A zip file is unpacked by its owner."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("items.csv", "sku,name\n")

        with pytest.raises(UnreadableFileError, match="zip archive"):
            rows_of(file.getvalue())


def test_a_column_that_is_used_may_not_occur_twice(inventory):
    """One that is not used may."""
    with pytest.raises(UnreadableFileError, match="column sku twice"):
        imported(inventory, table("sku,SKU,name,category", "A,B,Mug,c"))

    assert results(imported(inventory, table("sku,name,category,x,x", "A,Mug,c,1,2"))) == [
        "created"
    ]


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_header_has_places(cells):
    """Each name leads to the first column that has it."""
    header = Header.of(cells)

    assert all(header.names[place].lower() == key for key, place in header.places.items())


# Quotes and line ends go together: with line feeds, the csv module writes a carriage return in a cell without quotes.
DIALECTS = st.builds(
    lambda style, delimiter, encoding: {
        "quoting": style[0],
        "end": style[1],
        "delimiter": delimiter,
        "encoding": encoding,
    },
    st.sampled_from([(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)


@given(st.lists(strategies.items, min_size=1, max_size=5, unique_by=lambda it: it.key), DIALECTS)
def test_an_export_survives_any_writer(stocked, dialect):
    """Another program reads the export and writes it its own way: nothing is lost or changed."""
    inventory = Inventory(MemoryRepository())
    for item in stocked:
        inventory.repository.commit(creation(item))
    exported = io.BytesIO()
    export_items(inventory, exported)
    before = exported.getvalue()
    rows = list(csv.reader(io.StringIO(before.decode("utf-8-sig"), newline="")))

    outcomes = imported(inventory, written(rows, **dialect), update_stock=True)

    assert results(outcomes) == ["unchanged"] * len(stocked)


@given(
    st.lists(
        strategies.creations, min_size=1, max_size=3, unique_by=lambda it: (it.sku, it.location)
    )
)
def test_an_export_survives_a_comma_locale(creations):
    """A spreadsheet there reads and writes decimal commas: 12.5 comes back as 12,5, with its own delimiter."""
    inventory = Inventory(MemoryRepository())
    for command in creations:
        inventory.create_item(command)
    exported = io.BytesIO()
    export_items(inventory, exported)
    rows = list(csv.reader(io.StringIO(exported.getvalue().decode("utf-8-sig"), newline="")))
    price = rows[0].index("price")
    for row in rows[1:]:
        row[price] = row[price].replace(".", ",")

    outcomes = imported(inventory, written(rows, delimiter=";"), update_stock=True)

    assert results(outcomes) == ["unchanged"] * len(creations)
