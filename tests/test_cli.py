import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from moto import mock_aws

from inventory.errors import StorageUnavailableError
from inventory_adapters import bootstrap
from inventory_adapters.aws import make_client
from inventory_adapters.cli import cli
from inventory_adapters.demo import demo_items
from inventory_adapters.storage.dynamodb_table import ITEMS, create_table_arguments

INVENTORY = Path(sys.executable).with_name("inventory")
MUG = ("--sku", "MUG-1", "--name", "Mug", "--category", "kitchen", "--quantity", "5")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command on a database of this test; from a folder of its own, for commands that make files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVENTORY_DB", str(tmp_path / "test.sqlite3"))

    def command(*arguments):
        return CliRunner().invoke(cli, [str(it) for it in arguments])

    return command


@pytest.fixture
def mug(run):
    return json.loads(run("items", "create", *MUG, "--json").stdout)["item"]


def script(*arguments, **settings):
    return subprocess.run(
        [INVENTORY, *arguments],
        text=True,
        check=False,
        timeout=30,
        **({"capture_output": True} | settings),
    )


class TestItems:
    def test_created_item_is_printed_as_http_would(self, run):
        """`--json` is the body of the HTTP answer, as one document."""
        done = run("items", "create", *MUG, "--price", "12.50", "--json")

        assert done.exit_code == 0
        body = json.loads(done.stdout)
        assert body["message"] == "Item created successfully"
        assert body["item"]["price"] == 12.5
        assert body["item"]["status"] == "available"
        assert done.stderr == ""

    def test_item_is_shown_to_people_field_by_field(self, run, mug):
        """Without `--json`, an item is a list of its fields, and its ETag for the next edit."""
        done = run("items", "get", mug["item_id"])

        assert done.exit_code == 0
        lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line)
        assert lines["sku"] == "MUG-1"
        assert lines["quantity"] == "5"
        assert lines["reorder_point"] == "-"
        assert lines["etag"] == '"1-0"'

    def test_update_changes_what_is_given(self, run, mug):
        """An option that is left out leaves its field alone."""
        done = run("items", "update", mug["item_id"], "--sku", "MUG-1", "--name", "Cup", "--json")

        item = json.loads(done.stdout)["item"]
        assert item == {**mug, "name": "Cup", "version": 2, "updated_at": item["updated_at"]}

    def test_update_clears_the_reorder_point(self, run, mug):
        """`none` is how a number that may be absent is taken away."""
        update = ("items", "update", mug["item_id"], "--sku", "MUG-1", "--json", "--reorder-point")

        given, cleared = (
            json.loads(run(*update, value).stdout)["item"]["reorder_point"]
            for value in ("3", "none")
        )

        assert (given, cleared) == (3, None)

    def test_deleted_item_is_gone(self, run, mug):
        """Deleting shows the item once more; then there is none."""
        deleted = run("items", "delete", mug["item_id"], "--sku", "MUG-1", "--json")
        again = run("items", "delete", mug["item_id"], "--sku", "MUG-1")

        assert json.loads(deleted.stdout)["deleted_item"] == mug
        assert (again.exit_code, again.stdout) == (1, "")
        assert again.stderr == "Error: Item not found\n"

    def test_what_looks_like_markup_or_a_control_sequence_is_shown_as_text(self, run):
        """A name cannot colour, move or hide what a terminal shows."""
        name = "[red]x[/red] :smile:"
        run("items", "create", "--name", name, *MUG[:2], *MUG[4:])

        assert name in run("items", "list").stdout


class TestList:
    @pytest.fixture(autouse=True)
    def stock(self, run):
        for number in range(5):
            done = run("items", "create", *MUG, "--sku", f"MUG-{number}", "--quantity", 10**number)
            assert done.exit_code == 0

    def test_is_a_table_with_one_line_an_item(self, run):
        """Piped, a row is a line of its own whatever its width, and numbers line up on the right."""
        done = run("items", "list", "--category", "kitchen")

        heading, *rows = done.stdout.splitlines()
        assert heading.split()[:3] == ["SKU", "Name", "Category"]
        assert len(rows) == 5
        end = heading.index("On hand") + len("On hand")
        assert [row[:end].split()[-1] for row in rows] == ["1", "10", "100", "1000", "10000"]
        assert all(row[end - 1] != " " for row in rows)
        assert done.stderr == "5 items.\n"

    def test_says_how_to_get_the_next_page(self, run):
        """A page that is not the last names the option that goes on."""
        first = run("items", "list", "--page-size", "3")
        token = first.stderr.split("--page-token ")[1].split(",")[0]
        second = run("items", "list", "--page-size", "3", "--page-token", token)

        assert len(first.stdout.splitlines()) == 1 + 3
        assert len(second.stdout.splitlines()) == 1 + 2
        assert second.stderr == "2 items.\n"

    def test_all_walks_to_the_end(self, run):
        """`--all` is every page as one document, which has no next one."""
        done = run("items", "list", "--page-size", "2", "--all", "--json")

        body = json.loads(done.stdout)
        assert (body["count"], len(body["items"])) == (5, 5)
        assert "next_page_token" not in body

    def test_low_stock_is_a_flag(self, run):
        """A yes-or-no filter needs no value."""
        run("items", "create", *MUG, "--sku", "LOW", "--reorder-point", "5")

        body = json.loads(run("items", "list", "--low-stock", "--json").stdout)

        assert [item["sku"] for item in body["items"]] == ["LOW"]


class TestRefusals:
    def test_faults_are_told_by_the_options_that_have_them(self, run):
        """Everything that is wrong with the values is told at once, and the exit code says that a rule refused them."""
        done = run("items", "create", *MUG, "--sku", " ", "--quantity", "-3", "--price", "1e3")

        assert (done.exit_code, done.stdout) == (1, "")
        heading, *faults = done.stderr.splitlines()
        assert heading == "Error: the request is not valid:"
        assert [fault.split()[0] for fault in faults] == ["--sku", "--quantity", "--price"]

    def test_renamed_field_is_told_by_its_option(self, run):
        """The option of the page token is not called what HTTP calls it."""
        done = run("items", "list", "--page-token", "")

        assert done.stderr.splitlines()[1].startswith("  --page-token must be")

    def test_refusal_as_json_is_the_envelope_of_http(self, run, mug):
        """A program reads the refusal where it reads the answer, with its code and its numbers."""
        update = ("items", "update", mug["item_id"], "--sku", "MUG-1", "--name", "Cup", "--json")

        done = run(*update, "--if-match", '"7-0"')

        assert (done.exit_code, done.stderr) == (1, "")
        body = json.loads(done.stdout)
        assert (body["code"], body["version"]) == ("precondition_failed", 1)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("items", "create", "--sku", "MUG-1"),
            ("items", "create", *MUG, "--quantity", "1_000"),
            ("items", "create", *MUG, "--status", "lost"),
            ("items", "get"),
            ("items", "list", "--memory"),
            ("items", "list", "--nonsense"),
            ("items", "list", "--db", "x", "--dynamodb"),
            ("items", "list", "--table", "x"),
            ("items", "list", "--dynamodb", "--durability", "normal"),
            ("serve", "--memory", "--dynamodb"),
            ("serve", "--port", "70000"),
            ("serve", "--allowed-origin", "https://shop.example.com/"),
            ("tables", "create"),
        ],
    )
    def test_wrong_usage_is_told_before_anything_is_done(self, run, tmp_path, arguments):
        """A command that makes no sense exits with 2, and leaves no file behind."""
        done = run(*arguments)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "Error: " in done.stderr
        assert list(tmp_path.iterdir()) == []


class TestStorageAway:
    def test_file_of_another_program_is_left_alone(self, run, tmp_path):
        """A database that is not ours is refused with 3, in one sentence, and not touched."""
        theirs = tmp_path / "theirs.db"
        with sqlite3.connect(theirs) as db:
            db.execute("CREATE TABLE songs (title TEXT)")
        db.close()
        before = theirs.read_bytes()

        for command in (("items", "list"), ("demo",), ("serve", "--port", "0")):
            done = run(*command, "--db", theirs)

            assert (done.exit_code, done.stdout) == (3, "")
            assert done.stderr.startswith(f"Error: {theirs} is a database of another program")
        assert theirs.read_bytes() == before

    def test_missing_region_credentials_or_table_is_told(self, run, monkeypatch):
        """What DynamoDB lacks is named."""
        with mock_aws():
            no_table = run("items", "list", "--dynamodb", "--json")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        no_credentials = run("items", "list", "--dynamodb")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION")
        no_region = run("tables", "create", "--dynamodb")

        assert [it.exit_code for it in (no_table, no_credentials, no_region)] == [3, 3, 3]
        assert "inventory-dev" in json.loads(no_table.stdout)["error"]
        assert no_table.stderr == ""
        assert "credentials" in no_credentials.stderr
        assert "region" in no_region.stderr

    def test_debug_shows_where_an_error_came_from(self, run, tmp_path):
        """The exit code and the sentence stay what they are."""
        done = run("--debug", "items", "list", "--db", tmp_path / "no" / "such")

        assert done.exit_code == 3
        assert "Traceback" in done.stderr
        assert StorageUnavailableError.__name__ in done.stderr


class TestDemo:
    def test_running_it_twice_changes_nothing(self, run):
        """Forty or so items come once; what is there already, edits and all, is left alone."""
        first = run("demo")
        before = run("items", "list", "--all", "--json")
        second = run("demo")
        after = run("items", "list", "--all", "--json")

        count = len(list(demo_items()))
        assert 35 <= count <= 45
        assert first.stdout.startswith(f"{count} items created, 0 were there already")
        assert second.stdout.startswith(f"0 items created, {count} were there already")
        assert json.loads(after.stdout) == json.loads(before.stdout)

    def test_there_is_something_to_see(self):
        """Two locations, several categories, an SKU in both places; some is low, some is out."""
        shop = list(demo_items())

        assert {it.location for it in shop} == {"store", "warehouse"}
        assert len({it.category for it in shop}) >= 5
        assert len({it.sku for it in shop}) < len(shop)
        assert any(it.quantity == 0 and it.status == "out_of_stock" for it in shop)
        assert any(0 < it.quantity <= it.reorder_point for it in shop)


@mock_aws
class TestTables:
    def test_are_made_once(self, run):
        """The first run makes both tables and turns on the time to live; the second finds all of it."""
        first = run("tables", "create", "--dynamodb", "--table", "shop")
        second = run("tables", "create", "--dynamodb", "--table", "shop")

        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout.splitlines() == [
            "Table shop created.",
            "Table shop-ledger created.",
            "Time to live of shop-ledger turned on.",
        ]
        assert second.stdout.splitlines() == [
            "Table shop was there already.",
            "Table shop-ledger was there already.",
            "Time to live of shop-ledger was on already.",
        ]

    def test_are_what_the_commands_need(self, run):
        """Items live in the tables that were made."""
        run("tables", "create", "--dynamodb")
        created = run("items", "create", *MUG, "--dynamodb", "--json")
        demo = run("demo", "--dynamodb")
        listed = run("items", "list", "--sku", "MUG-1", "--dynamodb", "--json")

        assert (created.exit_code, demo.exit_code) == (0, 0)
        assert json.loads(listed.stdout)["items"] == [json.loads(created.stdout)["item"]]

    def test_foreign_table_of_that_name_is_refused(self, run):
        """A table that lacks what we need is not taken for ours."""
        client = make_client("dynamodb", connect_timeout=1, read_timeout=1, attempts=1)
        arguments = create_table_arguments(ITEMS, "inventory-dev")
        arguments["GlobalSecondaryIndexes"].pop()
        client.create_table(**arguments)

        done = run("tables", "create", "--dynamodb")

        assert done.exit_code == 3
        assert done.stderr == "Error: Table inventory-dev was there already, but lacks sku-index\n"


class TestScript:
    """The `inventory` command as it is installed."""

    def test_version_and_help_are_told(self):
        """Both are what every command has."""
        version, told = script("--version"), script("--help")

        assert version.stdout.startswith("inventory, version ")
        assert "serve" in told.stdout

    def test_default_file_is_in_the_present_folder(self, tmp_path):
        """Without any setting, the file has its usual name."""
        environ = {name: value for name, value in os.environ.items() if name != "INVENTORY_DB"}

        done = script("items", "list", "--json", cwd=tmp_path, env=environ)

        assert (done.returncode, json.loads(done.stdout)) == (0, {"items": [], "count": 0})
        assert [it.name for it in tmp_path.iterdir()] == ["inventory.sqlite3"]

    def test_reader_that_leaves_is_no_trouble(self, tmp_path):
        """`inventory ... | head` says nothing about the closed pipe, and has the exit code of one."""
        reader, writer = os.pipe()
        os.close(reader)

        done = script(
            *("items", "list", "--db", tmp_path / "db"),
            capture_output=False,
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        os.close(writer)

        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
    def test_output_that_cannot_be_written_is_told(self, tmp_path):
        """A full disk under a redirection is said in one line, and is no success."""
        with Path("/dev/full").open("w") as full:
            done = script(
                *("items", "list", "--db", tmp_path / "db"),
                capture_output=False,
                stdout=full,
                stderr=subprocess.PIPE,
            )

        assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")

    @pytest.mark.parametrize("missing", ["click", "rich", "uvicorn"])
    def test_missing_extra_is_named(self, tmp_path, missing):
        """Where the library is installed without the extra, the command says how to get it."""
        code = f"import sys; sys.modules[{missing!r}] = None\nfrom inventory_adapters.cli import main; main()"
        command = ["items", "list"] if missing == "rich" else ["serve", "--memory", "--port", "0"]

        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=tmp_path,
        )

        assert (done.returncode, done.stdout) == (2, "")
        assert "pip install 'tap-inventory[local]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_interrupt_is_quiet(run, monkeypatch):
    """Ctrl-C in the middle of a command is what a shell expects of it, and no message."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "on_sqlite", interrupted)

    done = run("items", "list")

    assert (done.exit_code, done.output) == (130, "")
