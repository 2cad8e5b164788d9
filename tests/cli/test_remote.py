"""The command line with an API (`--url`), and items that are named by SKU alone."""

import json
import os
import re
from getpass import getuser

import pytest
from click.testing import CliRunner

from inventory_adapters.cli.main import cli
from tests import hostile_server
from tests.cli.daily_work import check_daily_work
from tests.hostile_server import HostileServer, answer
from tests.local_server import needs_signals, serving

KEY = "till-secret-0123456789"
KEYED = ("--idempotency-key", "k")
TENT = ("--sku", "TENT-2", "--name", "Tent", "--category", "tents")


@pytest.fixture(
    params=[
        "file",
        pytest.param("api", marks=needs_signals),
        pytest.param("api with keys", marks=needs_signals),
    ]
)
def run(request, tmp_path, monkeypatch):
    """Run commands on a file, and on an API: the same session has the same results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INVENTORY_URL", raising=False)

    def command(*arguments):
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    if request.param == "file":
        monkeypatch.setenv("INVENTORY_DB", str(tmp_path / "test.sqlite3"))
        yield command
        return
    options = []
    if request.param == "api with keys":
        keys = tmp_path / "keys"
        keys.touch(mode=0o600)
        keys.write_text(f"till: {KEY}\n")
        monkeypatch.setenv("INVENTORY_API_KEY", KEY)
        options = ["--api-keys", keys]
    with serving(tmp_path / "log", "--memory", *options) as server:
        monkeypatch.setenv("INVENTORY_URL", server.url)
        yield command
    assert [file.name for file in tmp_path.glob("*.sqlite3")] == []


def ok(done):
    assert done.exit_code == 0, done.output
    return done


def create(run, location, quantity):
    done = ok(
        run("items", "create", *TENT, "--location", location, "--quantity", quantity, "--json")
    )
    return json.loads(done.stdout)["item"]["item_id"]


def on_hand(run, item_id):
    return json.loads(run("items", "get", item_id, "--json").stdout)["item"]["quantity"]


def sell(run, units):
    store = ("--sku", "TENT-2", "--location", "store")
    ok(run("stock", "adjust", *store, "--delta", -units, "--reason", "sold"))


@pytest.fixture
def places(run):
    """A tent at two locations: the ids by location."""
    return {place: create(run, place, 5) for place in ("store", "warehouse")}


class TestBySku:
    def test_session_without_ids(self, run, places):
        """Adjust, count, transfer, reserve and look at items by their SKU and location."""
        sku = ("--sku", "TENT-2")
        store = (*sku, "--location", "store")

        ok(run("stock", "adjust", *store, "--delta", "-2", "--reason", "sold"))
        ok(run("stock", "count", *store, "--quantity", "4"))
        moved = ("--from-location", "warehouse", "--to-location", "store", "--quantity", "3")
        ok(run("stock", "transfer", *sku, *moved))
        line = ("--line", "TENT-2:1", "--location", "store", "--json")
        held = json.loads(ok(run("reservations", "create", *line)).stdout)["reservation"]
        ok(run("reservations", "commit", held["reservation_id"]))
        history = ok(run("stock", "history", *store, "--json"))

        assert {place: on_hand(run, item_id) for place, item_id in places.items()} == {
            "store": 6,
            "warehouse": 2,
        }
        movements = json.loads(history.stdout)["movements"]
        assert [row["kind"] for row in movements] == [
            *("commit", "reserve", "transfer_in", "count", "adjust", "opening")
        ]
        who = f"till/{getuser()}" if "INVENTORY_API_KEY" in os.environ else getuser()
        assert {row["actor"] for row in movements[:-1]} == {who}

    def test_stock_and_reservations_of_a_sku(self, run, places):
        """The totals over all locations, and the reservations that hold an item."""
        line = ("--line", "TENT-2:2", "--location", "store", "--reference", "order 1")
        held = ok(run("reservations", "create", *line, "--json"))
        held = json.loads(held.stdout)["reservation"]["reservation_id"]
        ok(run("reservations", "commit", held, "--line", "TENT-2:1", *KEYED, *line[2:4]))
        stock = ok(run("stock", "show", "--sku", "TENT-2"))
        listed = ok(run("reservations", "list", "--sku", "TENT-2", "--location", "store"))
        none = ok(run("reservations", "list", "--sku", "TENT-2", "--location", "warehouse"))

        heading, rows = stock.stdout.split("\n\nitems\n")
        assert [line.split() for line in heading.splitlines()] == [
            *(["sku", "TENT-2"], ["quantity", "9"], ["reserved", "1"]),
            *(["available", "8"], ["count", "2"]),
        ]
        assert len(rows.splitlines()) == 1 + 2
        assert listed.stdout.splitlines()[1].startswith(f"{held}  1 TENT-2  order 1  ")
        assert none.stderr == "0 reservations.\n"

    def test_attributes_are_set_and_removed(self, run):
        """A search finds them."""
        texts = ("--set", "barcode=4006381333931", "--set", "size=L=52")
        item_id = create(run, "store", 5)
        ok(run("items", "update", item_id, "--sku", "TENT-2", *texts))
        ok(run("items", "update", item_id, "--sku", "TENT-2", "--set", "barcode="))
        shown = ok(run("items", "get", item_id)).stdout
        wrong = run("items", "update", item_id, "--sku", "TENT-2", "--set", "Size=L")

        assert re.search(r"^set +size=L=52$", shown, re.MULTILINE)
        assert "barcode" not in shown
        assert "1 item." in ok(run("items", "list", "--search", "l=5")).stderr
        assert "--set (Size) must have a name" in wrong.stderr

    def test_one_item_needs_no_location(self, run):
        """The SKU is enough, for details too."""
        item_id = create(run, "store", 5)

        ok(run("items", "update", "--sku", "TENT-2", "--location", "window"))
        ok(run("stock", "adjust", "--sku", "TENT-2", "--delta", "1", "--reason", "found"))
        item = json.loads(ok(run("items", "get", "--sku", "TENT-2", "--json")).stdout)["item"]
        ok(run("items", "delete", "--sku", "TENT-2"))

        assert (item["item_id"], item["location"], item["quantity"]) == (item_id, "window", 6)

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ((), "2 items with the SKU TENT-2."),
            (("--location", "nowhere"), "0 items with the SKU TENT-2 at nowhere."),
        ],
    )
    def test_candidates_are_listed(self, run, places, where, message):
        """They are on stderr, the exit code is 2, and nothing changes."""
        done = run("stock", "adjust", "--sku", "TENT-2", *where, "--delta", "1", "--reason", "r")

        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr
        assert all(item_id in done.stderr for item_id in places.values())
        assert [on_hand(run, item_id) for item_id in places.values()] == [5, 5]

    def test_unknown_sku_is_not_found(self, run, places):
        """As for an unknown id, the exit code is 1."""
        done = run("stock", "count", "--sku", "TENT-9", "--quantity", "1", "--json")

        assert done.exit_code == 1
        assert json.loads(done.stdout)["code"] == "item_not_found"

    def test_invalid_options_are_reported_before_the_lookup(self, run, places):
        """With no request for the items."""
        done = run("stock", "adjust", "--sku", "NO", "--delta", "0", "--reason", "r")

        assert done.exit_code == 1
        assert "--delta" in done.stderr
        assert "not found" not in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("items", "get"), "Give ITEM_ID or --sku."),
            (
                ("items", "get", "id", "--sku", "s", "--location", "l"),
                "by its id or by its location",
            ),
            (("reservations", "create", "--line", "2"), "ITEM_ID:SKU:QUANTITY or SKU:QUANTITY"),
            (("reservations", "create", "--line", "id::2"), "ITEM_ID:SKU:QUANTITY or SKU:QUANTITY"),
        ],
    )
    def test_item_has_one_name(self, run, arguments, message):
        """Anything else is wrong usage."""
        done = run(*arguments)

        assert done.exit_code == 2
        assert message in done.stderr


def test_daily_work(run, tmp_path):
    """A stocktake, a sale, a return and a transfer; then: what was there on Monday, and who took 3?"""
    check_daily_work(run, tmp_path)


@pytest.mark.parametrize("run", [pytest.param("api", marks=needs_signals)], indirect=True)
def test_reports_of_an_api_say_that_deleted_items_are_missing(run, places):
    """Nobody takes them for complete."""
    done = ok(run("report", "stock", "--at", "2999-01-01"))

    assert "Deleted items are not included" in done.stderr


class TestFiles:
    def test_export_can_be_imported_again(self, run, tmp_path, places):
        """Nothing changes; then an edited quantity is written, and one that is out of date is not."""
        sell(run, 1)
        ok(run("export", "stock.csv"))
        again = ok(run("import", "stock.csv"))
        file = tmp_path / "stock.csv"
        file.write_bytes(re.sub(rb",4,(0,tents.*store)", rb",9,\1", file.read_bytes()))
        edited = ok(run("import", "stock.csv", "--update-stock"))
        sell(run, 2)
        stale = run("import", "stock.csv", "--update-stock")

        assert "0 created, 0 updated, 2 unchanged" in again.stderr
        assert "1 updated, 1 unchanged" in edited.stderr
        assert "out of date" in stale.stdout
        assert (stale.exit_code, on_hand(run, places["store"])) == (1, 7)

    def test_stocktake_counts_items_that_have_moved(self, run, tmp_path, places):
        """Its rows have no id, so the items are found by SKU and location."""
        sell(run, 1)
        (tmp_path / "count.csv").write_text(
            "sku,location,quantity\nTENT-2,store,7\nTENT-2,warehouse,8\n"
        )

        done = ok(run("import", "count.csv", "--update-stock"))

        assert "2 updated" in done.stderr
        assert [on_hand(run, item_id) for item_id in places.values()] == [7, 8]

    def test_batch_and_sample_data(self, run, tmp_path):
        """A second time, the sample data changes nothing."""
        row = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 5}
        (tmp_path / "rows.json").write_text(json.dumps([row]))

        ok(run("items", "batch", "rows.json"))
        first, second = ok(run("demo")), ok(run("demo"))
        listed = json.loads(ok(run("items", "list", "--all", "--json")).stdout)

        assert "reservations get" in first.stdout
        assert "0 items created, " in second.stdout
        assert "reservations get" not in second.stdout
        assert f"{listed['count'] - 1} already present" in second.stdout


class TestApi:
    @pytest.fixture
    def alone(self, tmp_path, monkeypatch):
        """Run commands without storage and settings."""
        monkeypatch.chdir(tmp_path)
        for name in ("INVENTORY_DB", "INVENTORY_URL", "INVENTORY_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        return lambda *arguments, **env: CliRunner(env=env).invoke(cli, arguments)

    @pytest.mark.parametrize(
        ("options", "env", "key", "actor"),
        [
            (("--api-key", "secret", "--actor", "Anna Müller"), {}, "secret", "Anna Müller"),
            ((), {"INVENTORY_API_KEY": "from-env"}, "from-env", getuser()),
        ],
    )
    def test_key_and_actor_are_sent(self, alone, options, env, key, actor):
        """The actor is the login name by default."""
        with hostile_server.serving(answer({"items": [], "count": 0})) as api:
            ok(alone("items", "list", "--url", f"{api.url}/prod", *options, **env))

        [(headers, _)] = api.requests
        assert headers[""].startswith("GET /prod/items")
        assert (headers["x-api-key"], headers["x-actor"]) == (key, actor)

    @pytest.mark.parametrize(
        "command",
        [
            ("sweep",),
            ("reconcile",),
            ("reconcile", "--fix"),
            ("tables", "create", "--dynamodb"),
        ],
    )
    def test_commands_of_the_storage_refuse_an_api(self, alone, command):
        """One sentence says where to run them."""
        done = alone(*command, "--url", "http://localhost:1")

        assert done.exit_code == 2
        assert done.stderr.splitlines()[-1] == (
            "Error: This command cannot run through an API: "
            "run it where the storage is, with --db or --dynamodb."
        )

    def test_variable_is_refused_too(self, alone):
        """A sweep of another file than the person expects would be worse; --db says which."""
        variable = {"INVENTORY_URL": "http://localhost:1"}

        refused = alone("sweep", **variable)
        chosen = alone("sweep", "--db", "none.sqlite3", **variable)

        assert "cannot run through an API" in refused.stderr
        assert "Database file not found" in chosen.stderr

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--url", "http://localhost:1", "--db", "x"), "Use only one of"),
            (("--api-key", "k"), "--api-key needs --url"),
            (("--url", "localhost:8080"), "not an HTTP URL"),
            (("--url", "http://localhost:x"), "not an HTTP URL"),
            (("--url", "http://localhost:1", "--api-key", "a\nb"), "api_key must consist of"),
        ],
    )
    def test_contradictions_are_wrong_usage(self, alone, options, message):
        """Nothing is sent."""
        done = alone("items", "list", *options)

        assert done.exit_code == 2
        assert message in done.stderr

    def test_api_that_is_away_is_like_storage_that_is_away(self, alone):
        """The exit code is 3."""
        free = HostileServer()
        free.close()

        done = alone("items", "list", "--url", free.url)

        assert done.exit_code == 3
        assert "The server did not answer" in done.stderr

    def test_wrong_key_is_reported_in_the_words_of_the_api(self, alone):
        """With its status and code."""
        wrong = answer({"error": "The API key is wrong", "code": "wrong_api_key"}, 401)
        with hostile_server.serving(wrong) as api:
            done = alone("items", "list", "--url", api.url)

        assert done.exit_code == 1
        assert done.stderr.startswith("Error: The API key is wrong\n")
