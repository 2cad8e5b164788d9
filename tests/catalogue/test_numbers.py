"""Numbers: read exactly by the convention of the file, or refused; never guessed."""

import io
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory import Inventory
from inventory_adapters.catalogue.cells import CellError
from inventory_adapters.catalogue.imports import UnreadableFileError, import_items
from inventory_adapters.catalogue.numbers import Convention, Evidence, written
from inventory_adapters.storage.memory import MemoryRepository
from tests.catalogue.tools import imported, items_of, results, table

POINT, COMMA = Convention(".", ""), Convention(",", "")


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.50", "12.50"),
        ("1,234.5", "1234.5"),
        ("1,234", "1234"),
        ("12,34,567.89", "1234567.89"),
        ("1'234.50", "1234.50"),
        ("1\u2019234", "1234"),
        ("1\u00a0234.5", "1234.5"),
        ("1\u202f234\u202f567", "1234567"),
        ("€9.90", "9.90"),
        ("9.90 €", "9.90"),
        ("$ 1,250.00", "1250"),
        ("US$5", "5"),
        ("CHF 1'000.00", "1000"),
        ("1000 kr", "1000"),
        ("Rs. 1,00,000", "100000"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("5-", "-5"),
        ("(5.00)", "-5"),
        ("-$5", "-5"),
        (".5", "0.5"),
        ("5.", "5"),
        (" 7 ", "7"),
        ("12.-", "12"),
        ("CHF 1'250.--", "1250"),
        ("-12.\u2013", "-12"),
    ],
)
def test_a_number_is_read_exactly(text, value):
    """With groups of three or of India, apostrophes, no-break spaces, signs and codes of currencies."""
    assert POINT.amount(text, "price") == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "abc",
            "1e3",
            "1.2.3",
            "1,2,3",
            "01,234",
            "0,125",
            "1,23",
            "12,3456",
            "1..2",
            "",
            "--5",
            "(-5)",
            "$5€",
        ),
        *(
            "1'23",
            "1'234 567",
            "5 / kg",
            "0x10",
            "\u0661",
            "½",
            "NaN",
            "inf",
            "9" * 100,
            "1" + " " * 100_000 + "x",
        ),
    ],
)
def test_what_is_no_number_by_the_convention_is_refused(text):
    """At once, however long it is."""
    with pytest.raises(CellError):
        POINT.amount(text, "price")


def test_a_comma_is_the_mirror_image():
    """What a point does there, a comma does here."""
    assert COMMA.amount("1.250,50", "price") == Decimal("1250.50")
    assert COMMA.whole("1.000", "quantity") == 1000
    with pytest.raises(CellError):
        COMMA.amount("12.50", "price")


@pytest.mark.parametrize("text", ["2.5", "abc", "1,5"])
def test_a_quantity_is_whole(text):
    """5.0 is; a half is not."""
    assert POINT.whole("5.0", "quantity") == 5
    with pytest.raises(CellError, match="whole number"):
        POINT.whole(text, "quantity")


@pytest.mark.parametrize(
    ("delimiter", "quantity", "price"),
    [(";", "1.000", "1.250"), ("\t", "5", "1,299"), (";", "1,000", "5"), (",", '"1,250"', "3")],
)
def test_a_number_that_could_be_either_is_refused_with_its_reason(
    inventory, delimiter, quantity, price
):
    """Nothing is written, and a person can choose."""
    content = table(
        delimiter.join(["sku", "name", "category", "quantity", "price"]),
        delimiter.join(["A", "Mug", "c", quantity, price]),
    )

    with pytest.raises(UnreadableFileError, match=r"line 2, .* --decimal point or --decimal comma"):
        imported(inventory, content)

    assert items_of(inventory) == {}
    samples = []
    for decimal in ("point", "comma"):
        with import_items(inventory, io.BytesIO(content), decimal=decimal, dry_run=True) as run:
            samples.append(run.samples)
    assert samples[0] != samples[1]


@pytest.mark.parametrize(
    ("rows", "quantity", "price"),
    [
        (["A;Mug;c;1.000;1.250", "B;Cup;c;1;0,5"], 1000, "1250"),
        (["A;Mug;c;1.000;1.250", "B;Cup;c;1;12.5"], 1, "1.25"),
        (["A;Mug;c;1,000;1.250", "B;Cup;c;1;12.5"], 1000, "1.25"),
        (["A;Mug;c;1;0,125"], 1, "0.125"),
    ],
)
def test_the_numbers_of_the_whole_file_decide(inventory, rows, quantity, price):
    """Also those in other columns and further down."""
    content = table("sku;name;category;quantity;price", *rows)

    imported(inventory, content)

    item = items_of(inventory)["A", "default"]
    assert (item.level.on_hand, item.price) == (quantity, Decimal(price))


def test_a_choice_overrules_the_file(inventory):
    """Then a cell that does not fit is refused by its row."""
    content = table("sku;name;category;price", "A;Mug;c;1.250", "B;Cup;c;1,5", "C;Jug;c;1.5")

    with pytest.raises(UnreadableFileError, match=r"two ways: line 4, .* line 3"):
        imported(inventory, content)
    outcomes = imported(inventory, content, decimal="comma")

    assert results(outcomes) == ["created", "created", "refused"]
    assert items_of(inventory)["A", "default"].price == 1250


@pytest.mark.parametrize(
    ("price", "result"),
    [("1.250", "1.25"), ("1.2500", "1.25"), ('"12,50"', "12.5"), ('"1,250"', "1250")],
)
def test_a_system_that_fixes_its_mark_is_read_by_it(inventory, price, result):
    """Unless a cell contradicts, or another program wrote the file again."""
    header = "Handle,Title,Variant SKU,Variant Price"
    imported(inventory, table(header, f"m,Mug,M,{price}"))

    assert items_of(inventory)["M", "default"].price == Decimal(result)
    with pytest.raises(UnreadableFileError, match="two ways"):
        imported(inventory, table(header.replace(",", ";"), "m;Mug;M;1.250"))


@given(st.decimals(0, 10**9, places=3) | st.decimals(0, 10**9, places=4).map(Decimal.normalize))
def test_no_number_that_is_written_has_two_readings(value):
    """Never exactly three places: 1.125 is written 1.1250."""
    text = written(value)
    evidence = Evidence()
    evidence.add(2, "price", text)

    assert evidence.either is None
    assert POINT.amount(text, "price") == value
    assert len(text.partition(".")[2]) != 3


@st.composite
def columns_of_numbers(draw):
    """Numbers, and how a writer with one convention writes them."""
    decimal = draw(st.sampled_from(".,"))
    group = draw(st.sampled_from(["", ".", ",", "'", " ", "\u00a0", "\u202f"]))
    assume(group != decimal)
    values = draw(
        st.lists(st.decimals(0, 10**7, places=draw(st.integers(0, 4))), min_size=1, max_size=5)
    )
    sign = draw(st.sampled_from(["", "€", "EUR ", "$"]))

    def text(value):
        grouped = f"{value:,f}".replace(",", "G").replace(".", decimal).replace("G", group)
        return f"{sign}{grouped}"

    return [(value, text(value)) for value in values]


@given(columns_of_numbers())
def test_a_file_of_one_convention_is_read_exactly_or_refused(cells):
    """Never differently from what its writer meant."""
    evidence = Evidence()
    for line, (_, text) in enumerate(cells, start=2):
        evidence.add(line, "price", text)

    try:
        convention = evidence.settle()
    except UnreadableFileError:
        return
    for value, text in cells:
        assert convention.amount(text, "price") == value
