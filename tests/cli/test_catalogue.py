import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from moto import mock_aws

from inventory_adapters.cli import catalogue as cli_catalogue
from inventory_adapters.cli.main import cli

INVENTORY = Path(sys.executable).with_name("inventory")
CATALOGUE = """\
sku,name,category,quantity,price
MUG-1,Mug,kitchen,5,9.90
MUG-2,Large mug,kitchen,-1,12.90
=SUM(A1),'Formula',kitchen,1,1
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVENTORY_DB", str(tmp_path / "test.sqlite3"))

    def command(*arguments, **settings):
        return CliRunner().invoke(cli, [str(it) for it in arguments], **settings)

    return command


@pytest.fixture
def catalogue(tmp_path):
    file = tmp_path / "catalogue.csv"
    file.write_text(CATALOGUE)
    return file


def items(run):
    return json.loads(run("items", "list", "--all", "--json").stdout)["items"]


def test_import_tells_what_to_look_at_and_sums_up(run, catalogue):
    """A refused row is told by line, column, value and reason; the others go on; the exit code says that one was refused."""
    done = run("import", catalogue)

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        'line 3: refused MUG-2 at default: quantity "-1" must not be negative; --negative zero takes it as 0'
    ]
    assert done.stderr.splitlines() == [
        "3 rows (native): 2 created, 0 updated, 0 unchanged, 1 refused, 0 skipped.",
        "Refused by column: quantity (1).",
    ]
    assert sorted(it["sku"] for it in items(run)) == ["=SUM(A1)", "MUG-1"]


def test_every_row_is_told_when_asked(run, catalogue):
    """One line each, with what was made of it."""
    done = run("import", catalogue, "--negative", "zero", "--verbose")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "line 2: created MUG-1 at default",
        "line 3: created MUG-2 at default; quantity -1 taken as 0",
        "line 4: created =SUM(A1) at default",
    ]


def test_report_as_json_is_one_document(run, catalogue):
    """Every row with its result; a dry run says the same, and writes nothing."""
    dry, done = (run("import", catalogue, "--json", *it) for it in (["--dry-run"], []))

    said, told = (json.loads(it.stdout) for it in (dry, done))
    assert {**said, "samples": []} == {**told, "dry_run": True}
    assert [it["sku"] for it in said["samples"]] == ["MUG-1", "=SUM(A1)"]
    assert [it["result"] for it in told["rows"]] == ["created", "refused", "created"]
    refused = told["rows"][1]
    assert refused | {"reason": ""} == {
        "line": 3,
        "result": "refused",
        "sku": "MUG-2",
        "location": "default",
        "column": "quantity",
        "value": "-1",
        "reason": "",
        "code": "validation_failed",
    }
    assert told["summary"]["created"] == 2
    assert done.stderr == ""


def test_an_export_that_is_imported_changes_nothing(run, catalogue, tmp_path):
    """To a file or to the standard output, from a file or from the standard input."""
    run("import", catalogue)
    before = items(run)

    done = run("export", "items.csv")
    piped = run("export", "-")
    again = run("import", "-", "--update-stock", input=piped.stdout_bytes)

    assert (done.exit_code, done.stderr) == (0, "2 items exported.\n")
    assert (tmp_path / "items.csv").read_bytes() == piped.stdout_bytes
    assert "'=SUM(A1)" in piped.stdout
    assert again.stderr.splitlines()[-1].startswith("2 rows (native): 0 created, 0 updated, 2")
    assert items(run) == before


def test_quantities_that_differ_are_told(run, catalogue):
    """And how to have them written."""
    run("import", catalogue, "--negative", "zero")
    catalogue.write_text(CATALOGUE.replace(",5,", ",8,"))

    told = run("import", catalogue, "--negative", "zero")
    done = run("import", catalogue, "--negative", "zero", "--update-stock", "--verbose")

    assert "1 quantity differs" in told.stderr
    assert "line 2: updated MUG-1 at default: quantity" in done.stdout.splitlines()


def test_stopping_is_told(run, catalogue):
    """With `--on-error stop` nothing behind the refused row is written."""
    done = run("import", catalogue, "--on-error", "stop")

    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("Stopped: ")
    assert [it["sku"] for it in items(run)] == ["MUG-1"]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("", ()),
        ("a,b\n1,2\n", ()),
        (CATALOGUE, ("--format", "shopify")),
        (CATALOGUE, ("--format", "x")),
    ],
)
def test_a_file_that_is_not_one_is_wrong_usage(run, tmp_path, content, options):
    """Exit code 2 and one sentence."""
    file = tmp_path / "x.csv"
    file.write_text(content)

    done = run("import", file, *options)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_storage_that_is_away_is_told(run, catalogue, tmp_path):
    """Exit code 3, and the file of another program is left alone."""
    theirs = tmp_path / "theirs.db"
    with sqlite3.connect(theirs) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    db.close()

    for command in (("import", catalogue), ("export", "items.csv")):
        done = run(*command, "--db", theirs)

        assert (done.exit_code, done.stdout) == (3, "")
        assert "database of another program" in done.stderr
    assert not (tmp_path / "items.csv").exists()


def check_on_dynamodb(run, tmp_path, table):
    file = tmp_path / "many.csv"
    rows = [f"M{number},Mug,kitchen,1,1" for number in range(60)]
    file.write_text("\n".join(["sku,name,category,quantity,price", *rows]))
    storage = ("--dynamodb", "--table", table)
    run("tables", "create", *storage)

    first, second = (run("import", file, *storage, "--json") for _ in range(2))

    assert (first.exception, first.stderr) == (None, "")
    assert [it["line"] for it in json.loads(first.stdout)["rows"]] == [*range(2, 62)]
    assert json.loads(first.stdout)["summary"]["created"] == 60
    assert json.loads(second.stdout)["summary"]["unchanged"] == 60


@mock_aws
def test_dynamodb_takes_an_import(run, tmp_path, monkeypatch):
    """The report keeps the order of the rows, and a second run finds them."""
    monkeypatch.setattr(cli_catalogue, "_IN_FLIGHT_REMOTELY", 1)  # moto cannot stand more.

    check_on_dynamodb(run, tmp_path, "import")


@pytest.mark.dynamodb_local
def test_dynamodb_takes_several_batches_at_once(
    run, tmp_path, monkeypatch, dynamodb_local_endpoint
):
    """The report keeps the order of the rows all the same."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_local_endpoint)

    check_on_dynamodb(run, tmp_path, f"import-{uuid4()}")


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path):
    """Neither touches the standard output."""
    file = tmp_path / "long.csv"
    text = "x" * 2000
    rows = [f"M{number},Mug,kitchen,1,{text}\n" for number in range(600)]
    file.write_text("".join(["sku,name,category,quantity,description\n", *rows]))
    command = [INVENTORY, "import", file, "--db", tmp_path / "db", "--dry-run"]
    ours, theirs = pty.openpty()

    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    drawn = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    bar = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert plain.stdout == ""
    assert "100 % read" in plain.stderr.splitlines()
    assert drawn.stdout == b""
    assert "Importing" in bar


def test_interrupted_import_says_how_to_go_on(tmp_path):
    """Ctrl-C keeps what is done, and says that the same command goes on."""
    reader, writer = os.pipe()
    command = [INVENTORY, "import", "-", "--db", tmp_path / "db"]
    with subprocess.Popen(
        command, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            out.write("sku,name,category,quantity,price\n")
            out.writelines(f"M{number},Mug,kitchen,-1,1\n" for number in range(200_000))
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        told = process.stderr.read()

    assert process.returncode == 130
    assert "run it again" in told


TABLE = "Artikelnummer;Was es ist;Zahl\nA-1;Tasse;1.000\nA-2;Krug;2\n"


def test_a_mapping_is_saved_and_used_again(run, tmp_path):
    """The first run says which column is which; the next one needs only the file that it left."""
    file = tmp_path / "list.csv"
    file.write_text(TABLE)
    chosen = ("--column", "name=Was es ist", "--column", "quantity=Zahl", "--decimal", "comma")

    first = run("import", file, *chosen, "--category", "cups", "--mapping", "supplier.json")
    file.write_text(TABLE.replace("A-", "B-"))
    second = run("import", file, "--mapping", "supplier.json", "--location", "barn")

    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    assert json.loads((tmp_path / "supplier.json").read_text()) == {
        "version": 1,
        "columns": {"name": "Was es ist", "quantity": "Zahl", "sku": "Artikelnummer"},
        "category": "cups",
        "decimal": "comma",
    }
    found = {
        it["sku"]: (it["name"], it["quantity"], it["category"], it["location"]) for it in items(run)
    }
    assert found["A-1"] == ("Tasse", 1000, "cups", "default")
    assert found["B-2"] == ("Krug", 2, "cups", "barn")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2}',
        '{"version": 1, "colour": "x"}',
        '{"version": 1, "decimal": "dot"}',
        '{"version": 1, "columns": {"sku": 1}}',
    ],
)
def test_a_file_that_is_no_mapping_is_wrong_usage(run, catalogue, tmp_path, text):
    """In one sentence, and it is left alone."""
    mapping = tmp_path / "mapping.json"
    mapping.write_text(text)

    done = run("import", catalogue, "--mapping", mapping)

    assert done.exit_code == 2
    assert "mapping.json" in done.stderr
    assert mapping.read_text() == text


def test_a_dry_run_shows_how_the_file_is_read(run, tmp_path):
    """The format, the numbers, the columns, and three rows as they would be stored."""
    file = tmp_path / "list.csv"
    file.write_text(
        "SKU;Name;Kategorie;Bestand;Preis\n"
        + "".join(f"A-{it};Tasse;c;1.000;1,5\n" for it in range(5))
    )

    done = run("import", file, "--dry-run")

    lines = done.stderr.splitlines()
    assert lines[:3] == [
        "Format: table (table); utf-8, semicolon-delimited",
        'Numbers: decimal comma, by line 2, Preis "1,5"',
        "Columns: sku = SKU, name = Name, category = Kategorie, quantity = Bestand, price = Preis",
    ]
    assert [it[:9] for it in lines[3:6]] == ["Sample 1:", "Sample 2:", "Sample 3:"]
    assert "sku A-0, name Tasse, category c, status available, price 1.5, quantity 1000" in lines[3]
    assert not (tmp_path / "test.sqlite3").exists()


def test_a_warning_stops_a_first_import_until_it_is_accepted(run, tmp_path):
    """It names the column and the two ways on."""
    file = tmp_path / "list.csv"
    file.write_text("sku,name,category,Stock in Rome\nA,Mug,c,7\n")

    stopped, accepted = (run("import", file, *it) for it in ((), ("--yes",)))

    assert stopped.exit_code == 2
    assert all(it in stopped.stderr for it in ("Stock in Rome", "--column", "--yes"))
    assert accepted.exit_code == 0
    assert "Warning: The file has no column of quantities" in accepted.stderr
    assert "Not imported, by column (filled cells): Stock in Rome (1)." in accepted.stderr


def test_a_refusal_that_every_row_shares_is_shown_for_the_first_ones(run, tmp_path):
    """A list without categories says how to give one, and does not fill the screen; --verbose shows all."""
    file = tmp_path / "list.csv"
    file.write_text("SKU,Name,Qty\n" + "".join(f"A-{it},Tasse,1\n" for it in range(50)))

    done, verbose = (run("import", file, *it) for it in ((), ("--verbose",)))
    fixed = run("import", file, "--category", "cups")

    assert len(done.stdout.splitlines()) == 20
    assert "--category NAME" in done.stdout.splitlines()[0]
    assert "30 more rows refused for the same reasons." in done.stderr
    assert len(verbose.stdout.splitlines()) == 50
    assert fixed.exit_code == 0
