"""`inventory doctor` finds planted faults, and nothing in what is sound."""

import json
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from inventory.items import Timestamp
from inventory_adapters.cli.main import cli
from inventory_adapters.storage.dynamodb.schema import (
    ITEMS,
    LEDGER,
    create_table_arguments,
)
from tests.local_server import needs_signals, serving

FILE = ("--db", "shop.sqlite3")
TABLES = ("--dynamodb", "--table", "shop", "--parameter", "/inventory/test/config")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run commands in a folder of this test."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return command


@pytest.fixture
def shop(run):
    """A file with items, movements and a reservation."""
    run("demo", *FILE)
    return Path("shop.sqlite3")


@pytest.fixture
def tables(run):
    """One item in two tables, with page limits in a parameter."""
    with mock_aws():
        boto3.client("ssm").put_parameter(
            Name=TABLES[-1], Value='{"max_items_per_page": 50}', Type="String"
        )
        run("tables", "create", *TABLES[:3])
        mug = ("--sku", "MUG", "--name", "Mug", "--category", "kitchen", "--quantity", "1")
        assert run("items", "create", *mug, *TABLES[:3]).exit_code == 0
        yield boto3.client("dynamodb")


def change(file, statement, *values):
    with closing(sqlite3.connect(file)) as db:
        db.execute(statement, values)
        db.commit()


@contextmanager
def an_api(status, body, behind=timedelta(0)):
    """Serve one response to every GET, by a clock that is behind."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def date_time_string(self, timestamp=None):
            return format_datetime(datetime.now(UTC) - behind, usegmt=True)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def problems(done):
    """The problems of a run, by their check."""
    assert done.exit_code in {0, 1}, done.output
    found = {
        line[9:].partition(" ")[0]: line[9:].partition(" ")[2].strip()
        for line in done.stdout.splitlines()
        if line.startswith("PROBLEM")
    }
    assert done.exit_code == bool(found)
    return found


class TestFile:
    def test_a_sound_file_has_no_problem(self, run, shop):
        """Every check has a line, in text and as JSON."""
        done = run("doctor", *FILE)
        document = json.loads(run("doctor", *FILE, "--json").stdout)

        assert problems(done) == {}
        assert done.stderr == "0 problems found.\n"
        assert document["problems"] == 0
        assert [f"{it['check']:12}  {it['text']}" for it in document["checks"]] == [
            line[9:] for line in done.stdout.splitlines()
        ]

    @pytest.mark.parametrize(
        ("statement", "check", "text"),
        [
            ("DROP INDEX items_by_status", "schema", "items_by_status missing"),
            ("PRAGMA user_version = 99", "storage", "newer version"),
            ("PRAGMA application_id = 1", "storage", "another program"),
            ("UPDATE items SET quantity = quantity + 1", "ledger", "disagrees with its ledger"),
            ("DELETE FROM movements WHERE seq = 1", "ledger", "disagrees with its ledger"),
            ("INSERT INTO restores VALUES ('x')", "restore", "Run the same command again"),
            (
                "UPDATE items SET moved_at = '2999' || substr(moved_at, 5)",
                "ledger",
                "in the future",
            ),
        ],
    )
    def test_what_was_changed_by_hand_is_found(self, run, shop, statement, check, text):
        """The line names the check, and what to do."""
        change(shop, statement)

        found = problems(run("doctor", *FILE))

        assert found.keys() == {check}
        assert text in found[check]

    @pytest.mark.parametrize(
        ("after", "check"), [(timedelta(minutes=-6), "sweeper"), (timedelta(days=40), "times")]
    )
    def test_a_reservation_that_ends_at_a_strange_time_is_found(self, run, shop, after, check):
        """One that nothing expired, and one that was made while a clock was ahead."""
        ends = Timestamp.of(datetime.now(UTC) + after)
        change(shop, "UPDATE reservations SET expires_at = ? WHERE state = 'held'", ends)

        assert problems(run("doctor", *FILE)).keys() == {check}

    def test_one_that_has_just_ended_is_no_problem(self, run, shop):
        """The next sweep expires it."""
        ends = Timestamp.of(datetime.now(UTC) - timedelta(minutes=1))
        change(shop, "UPDATE reservations SET expires_at = ? WHERE state = 'held'", ends)

        assert problems(run("doctor", *FILE)) == {}

    @pytest.mark.parametrize(
        ("statement", "text"),
        [
            (
                'UPDATE outbox SET event = replace(event, \'"time": "2\', \'"time": "1\')',
                "`inventory serve` delivers",
            ),
            ("INSERT INTO parked VALUES ('hook', 1, 's', '{}')", "did not take 1 event"),
        ],
    )
    def test_events_that_do_not_arrive_are_found(self, run, shop, statement, text):
        """Because nothing delivers them, or because they were refused; new ones are no problem."""
        run("webhooks", "add", "hook", "https://hook.example.com", *FILE)
        sku = ("--sku", "TENT-TRAIL-1", "--location", "store")
        done = run("stock", "adjust", *sku, "--delta", "1", "--reason", "found", *FILE)
        assert done.exit_code == 0, done.output
        assert problems(run("doctor", *FILE)) == {}

        change(shop, statement)

        assert text in problems(run("doctor", *FILE))["webhooks"]

    def test_a_damaged_page_is_found(self, run, shop):
        """In a part of the file that the other checks do not read."""
        with closing(sqlite3.connect(shop)) as db:
            [[page]] = db.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'items_by_category'"
            )
            [[size]] = db.execute("PRAGMA page_size")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with shop.open("r+b") as file:
            file.seek((page - 1) * size + 8)
            file.write(b"\xff" * 200)

        found = problems(run("doctor", *FILE))

        assert "Restore a backup" in found["integrity"]

    def test_a_missing_file_is_found_and_not_created(self, run):
        """A mistyped name is a problem."""
        assert "not found" in problems(run("doctor", *FILE))["storage"]
        assert not Path("shop.sqlite3").exists()


class TestTables:
    def test_sound_tables_have_no_problem(self, run, tables):
        """Nor has their parameter."""
        done = run("doctor", *TABLES)

        assert problems(done) == {}
        assert "/inventory/test/config: pages of 20, at most 50" in done.stdout

    def test_a_time_to_live_that_is_off_is_found(self, run, tables):
        """Old records would stay for ever."""
        off = {"Enabled": False, "AttributeName": "delete_after"}
        tables.update_time_to_live(TableName="shop-ledger", TimeToLiveSpecification=off)

        assert "old records stay" in problems(run("doctor", *TABLES))["expiry"]

    def test_a_parameter_without_limits_is_found(self, run, tables):
        """The functions use the defaults instead."""
        ssm = boto3.client("ssm")
        for value in ('{"max_items_per_page": 0}', "many", "[]"):
            ssm.put_parameter(Name=TABLES[-1], Value=value, Type="String", Overwrite=True)

            assert "the defaults apply" in problems(run("doctor", *TABLES))["parameter"]

    def test_a_missing_parameter_is_found(self, run, tables):
        """As in a stack whose parameter was deleted."""
        boto3.client("ssm").delete_parameter(Name=TABLES[-1])

        assert "ParameterNotFound" in problems(run("doctor", *TABLES))["parameter"]

    def test_a_missing_index_is_found(self, run):
        """Lists by SKU would fail."""
        with mock_aws():
            client = boto3.client("dynamodb")
            arguments = create_table_arguments(ITEMS, "shop")
            arguments["GlobalSecondaryIndexes"].pop()
            client.create_table(**arguments)
            client.create_table(**create_table_arguments(LEDGER, "shop-ledger"))

            found = problems(run("doctor", *TABLES[:3]))

        assert found["table"] == "Table shop lacks sku-index"

    def test_a_missing_table_is_found(self, run, tables):
        """The check of its time to live finds it, too."""
        tables.delete_table(TableName="shop-ledger")

        found = problems(run("doctor", *TABLES))

        assert "shop-ledger" in found["table"]
        assert "expiry" in found


class TestApi:
    @needs_signals
    def test_a_sound_api_has_no_problem(self, run, tmp_path):
        """Its items are compared with their ledgers, too."""
        with serving(tmp_path / "log", "--memory") as server:
            done = run("doctor", "--url", server.url)

        assert problems(done) == {}
        assert [line[9:].split()[0] for line in done.stdout.splitlines()] == [
            *("storage", "clock", "ledger")
        ]

    def test_an_api_that_does_not_answer_is_found(self, run):
        """Its address is in the message."""
        assert "did not answer" in problems(run("doctor", "--url", "http://127.0.0.1:9"))["storage"]

    def test_a_rejected_key_is_found(self, run):
        """The API answers 403."""
        with an_api(403, {"message": "Forbidden"}) as url:
            found = problems(run("doctor", "--url", url))

        assert found.keys() == {"storage"}

    def test_a_clock_that_is_off_is_found(self, run):
        """Reservations would end too early or too late."""
        with an_api(
            404, {"error": "no such item", "code": "item_not_found"}, behind=timedelta(minutes=5)
        ) as url:
            found = problems(run("doctor", "--url", url))

        assert "s ahead of that of the other side" in found["clock"]


def test_parameter_needs_dynamodb(run, shop):
    """A file has no parameters."""
    done = run("doctor", *FILE, "--parameter", "/inventory/test/config")

    assert done.exit_code == 2
    assert "--parameter needs --dynamodb" in done.stderr
