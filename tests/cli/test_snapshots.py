"""`inventory copy`, `backup` and `restore`."""

import sqlite3
import stat
from contextlib import closing, nullcontext
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from moto import mock_aws

from inventory import (
    AdjustStock,
    CommitReservation,
    CreateItem,
    CreateReservation,
    DeleteItem,
    IdempotencyKey,
    Inventory,
    LineRequest,
    ReleaseReservation,
)
from inventory_adapters.cli.demo import load_sample_data
from inventory_adapters.cli.main import cli
from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.testing import an_item, creation

SHOP, COPY = "shop.sqlite3", "copy.sqlite3"
ALL_RECORDS = "45 items, 21 movements, 3 idempotency records, 4 reservations"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run commands in a folder of this test."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return command


@pytest.fixture(params=["moto", pytest.param("local", marks=pytest.mark.dynamodb_local)])
def table(request, run, monkeypatch):
    """The name of a new table."""
    if request.param == "local":
        endpoint = request.getfixturevalue("dynamodb_local_endpoint")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with mock_aws() if request.param == "moto" else nullcontext():
        name = f"inventory-{uuid4()}"
        run("tables", "create", "--dynamodb", "--table", name)
        yield name


@pytest.fixture
def shop(run):
    """A shop with reservations in every state, idempotency records, and a deleted item."""
    with SqliteRepository(SHOP) as repository:
        inventory = Inventory(repository).acting_as("anna")
        load_sample_data(inventory)
        mug, cup, gone = (
            inventory.create_item(CreateItem(sku=sku, name=sku, category="kitchen", quantity=9))
            for sku in ("MUG", "CUP", "GONE")
        )
        key = IdempotencyKey("order-1")
        inventory.adjust_stock(
            AdjustStock(
                item_id=mug.item_id, sku="MUG", delta=-1, reason="sold", idempotency_key=key
            )
        )
        lines = [LineRequest(item_id=item.item_id, sku=item.sku, quantity=2) for item in (mug, cup)]
        held, sold, back = (
            inventory.create_reservation(CreateReservation(lines=lines)).reservation_id
            for _ in range(3)
        )
        part = [LineRequest(item_id=mug.item_id, sku="MUG", quantity=1)]
        some = {"lines": part, "idempotency_key": IdempotencyKey("order-3")}
        inventory.commit_reservation(CommitReservation(reservation_id=held, **some))
        inventory.commit_reservation(CommitReservation(reservation_id=sold))
        inventory.release_reservation(
            ReleaseReservation(reservation_id=back, idempotency_key=IdempotencyKey("order-2"))
        )
        inventory.delete_item(DeleteItem(item_id=gone.item_id, sku="GONE"))
    return records_of(SHOP)


def records_of(file):
    with SqliteRepository(file) as repository:
        return {*repository.snapshot()}


def mode_of(file):
    return stat.S_IMODE(Path(file).stat().st_mode)


class TestCopy:
    def test_to_the_cloud_and_back(self, run, shop, table):
        """Every record is equal, and `reconcile` finds nothing."""
        there = run("copy", "--from", SHOP, "--to-dynamodb", "--table", table)
        back = run("copy", "--from-dynamodb", "--table", table, "--to", COPY)

        assert (there.exit_code, there.stderr) == (0, "")
        assert there.stdout.splitlines()[0] == (
            f"{ALL_RECORDS} copied to the DynamoDB tables {table} and {table}-ledger."
            " All records are equal."
        )
        assert back.exit_code == 0
        assert back.stderr == (
            "Nobody may write to the tables now: stop their clients, and disable the EventBridge rule"
            f" that sweeps them, by default {table}-expire-reservations.\n"
        )
        for done in (there, back):
            assert [line[-13:] for line in done.stdout.splitlines()[1:]] == [": 0 findings."] * 2
        assert records_of(COPY) == shop

    def test_is_continued_by_the_same_command(self, run, shop, table):
        """After an interruption; another source is refused."""
        copy = ("copy", "--from", SHOP, "--to-dynamodb", "--table", table)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DynamoDBRepository, "finish_restore", fail)
            ended = run(*copy)
        run("demo", "--db", "other.sqlite3")
        other = run("copy", "--from", "other.sqlite3", *copy[3:])
        continued = run(*copy)
        again = run(*copy)

        assert isinstance(ended.exception, EndedError)
        assert (other.exit_code, continued.exit_code, again.exit_code) == (3, 0, 3)
        assert again.stderr == (
            "Error: The target already has data. Use an empty database or empty tables.\n"
        )

    def test_drift_is_copied_and_reported(self, run, shop):
        """A copy is no repair."""
        with closing(sqlite3.connect(SHOP)) as db:
            db.execute("UPDATE items SET quantity = quantity + 1 WHERE sku = 'MUG'")
            db.commit()

        done = run("copy", "--from", SHOP, "--to", COPY)

        assert done.exit_code == 1
        assert done.stdout.count("1 finding, shown by `inventory reconcile`.\n") == 2

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ((), "Use either --from or --from-dynamodb."),
            (("--from", SHOP), "Use either --to or --to-dynamodb."),
            (("--from", SHOP, "--from-dynamodb", "--to", COPY), "Use either --from or"),
            (("--from-dynamodb", "--to", COPY), "--table belongs to"),
            (("--from", SHOP, "--to", COPY, "--table", "shop"), "--table belongs to"),
            (("--from-dynamodb", "--to-dynamodb", "--table", "shop"), "DynamoDB's own backups"),
            (("--from", "missing", "--to", COPY), "does not exist"),
        ],
    )
    def test_wrong_options_are_refused(self, run, shop, options, sentence):
        """Nothing is created."""
        done = run("copy", *options)

        assert done.exit_code == 2
        assert sentence in done.stderr
        assert not Path(COPY).exists()

    def test_an_api_in_the_environment_does_not_matter(self, run, shop, monkeypatch):
        """The storages are named by the command."""
        monkeypatch.setenv("INVENTORY_URL", "http://shop")

        assert run("copy", "--from", SHOP, "--to", COPY).exit_code == 0


class EndedError(Exception):
    """The process ends."""


def fail(_repository):
    raise EndedError


class TestBackup:
    @pytest.mark.parametrize("file", ["backup.sqlite3", "backup.jsonl.gz"])
    def test_a_backup_is_restored(self, run, shop, file):
        """Every record is equal; only the owner may read the files."""
        saved = run("backup", file, "--db", SHOP)
        restored = run("restore", file, "--db", COPY)

        assert (saved.exit_code, restored.exit_code) == (0, 0)
        assert restored.stdout == (
            f"{ALL_RECORDS} restored to {Path(COPY).absolute()}. All records are equal.\n"
        )
        assert (mode_of(file), mode_of(COPY)) == (0o600, 0o600)
        assert records_of(COPY) == shop
        assert run("restore", file, "--db", SHOP).exit_code == 3

    def test_a_backup_of_tables_is_text(self, run, shop, table):
        """It is restored to tables or to a file."""
        tables = ("--dynamodb", "--table", table)
        run("backup", "first.jsonl.gz", "--db", SHOP)

        assert run("restore", "first.jsonl.gz", *tables).exit_code == 0
        assert run("backup", "second.jsonl.gz", *tables).exit_code == 0
        assert run("restore", "second.jsonl.gz", "--db", COPY).exit_code == 0
        assert records_of(COPY) == shop
        refused = run("backup", "third.sqlite3", *tables)
        assert refused.exit_code == 2
        assert "inventory copy --from-dynamodb" in refused.stderr

    def test_a_backup_is_a_database(self, run, shop):
        """It can be used in place of the file."""
        run("backup", "backup.sqlite3", "--db", SHOP)

        assert records_of("backup.sqlite3") == shop
        assert run("reconcile", "--db", "backup.sqlite3").exit_code == 0

    @pytest.mark.parametrize("file", ["backup.sqlite3", "backup.jsonl.gz"])
    def test_writers_go_on_during_a_backup(self, run, shop, file):
        """The backup is the database as it was at one moment."""
        with SqliteRepository(SHOP) as writer:
            snapshot, back_up = SqliteRepository.snapshot, SqliteRepository.back_up

            def write_after_the_first_row(repository):
                records = snapshot(repository)
                yield next(records)
                writer.commit(creation(an_item()))
                yield from records

            def write_around(repository, path):
                back_up(repository, path)
                writer.commit(creation(an_item()))

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(SqliteRepository, "snapshot", write_after_the_first_row)
                patch.setattr(SqliteRepository, "back_up", write_around)
                assert run("backup", file, "--db", SHOP).exit_code == 0
            assert writer.get_item(an_item().key) == an_item()

        assert run("restore", file, "--db", COPY).exit_code == 0
        assert records_of(COPY) == shop

    @pytest.mark.parametrize("file", ["backup.sqlite3", "backup.jsonl.gz", SHOP])
    def test_no_file_is_overwritten(self, run, shop, file):
        """Neither an earlier backup nor the database itself."""
        run("backup", file, "--db", SHOP)

        done = run("backup", file, "--db", SHOP)

        assert done.exit_code == 2
        assert done.stderr == f"Error: {file} already exists. Choose another name.\n"
        assert records_of(SHOP) == shop

    @pytest.mark.parametrize("method", ["snapshot", "back_up"])
    def test_a_backup_that_fails_leaves_no_file(self, run, shop, tmp_path, monkeypatch, method):
        """Neither whole nor in part."""
        before = {*tmp_path.iterdir()}
        monkeypatch.setattr(SqliteRepository, method, lambda *_: fail(None))

        ending = {"snapshot": "jsonl.gz", "back_up": "sqlite3"}[method]
        done = run("backup", f"backup.{ending}", "--db", SHOP)

        assert isinstance(done.exception, EndedError)
        assert {*tmp_path.iterdir()} == before

    def test_a_damaged_backup_stores_nothing(self, run, shop, tmp_path):
        """The target stays empty for a better one."""
        run("backup", "backup.jsonl.gz", "--db", SHOP)
        backup = tmp_path / "backup.jsonl.gz"
        backup.write_bytes(backup.read_bytes()[:-20])

        done = run("restore", "backup.jsonl.gz", "--db", COPY)

        assert done.exit_code == 3
        assert done.stderr.startswith("Error: backup.jsonl.gz is cut off at line ")
        assert not Path(COPY).exists()

    @pytest.mark.parametrize("command", ["backup", "restore"])
    def test_only_two_formats_are_known(self, run, shop, command, tmp_path):
        """By the ending of the name."""
        (tmp_path / "file.zip").touch()
        done = run(command, "file.zip", "--db", SHOP)

        assert done.exit_code == 2
        assert "The name of a backup ends with .sqlite3 or .jsonl.gz." in done.stderr

    def test_an_api_is_refused(self, run, shop):
        """It has no route for all records."""
        for command in (("backup", "backup.sqlite3"), ("restore", SHOP)):
            done = run(*command, "--url", "http://shop")

            assert done.exit_code == 2
            assert "cannot run through an API" in done.stderr
