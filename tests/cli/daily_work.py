"""The work of some days from the command line, and the questions that follow."""

import csv
import json

SKUS = [f"SKU-{number:02}" for number in range(1, 31)]


def check_daily_work(run, folder):
    """
    Count 30 items, sell, take back and transfer some units; then ask what was there before, and who took them.

    Args:
        run: Runs a command with its arguments, and returns the result of click.
        folder: For the files.
    """

    def ok(*arguments):
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        return done

    def json_of(*arguments):
        return json.loads(ok(*arguments, "--json").stdout)

    def rows_of(*arguments):
        file = folder / "report.csv"
        ok("report", *arguments, "--output", file)
        with file.open(encoding="utf-8-sig", newline="") as lines:
            # The API may have items of other tests.
            return [row for row in csv.DictReader(lines) if row["sku"] in SKUS]

    catalogue = folder / "catalogue.csv"
    lines = [f"{sku},Thing,things,10,2.50,store" for sku in SKUS]
    lines += ["SKU-07,Thing,things,40,2.50,warehouse"]
    catalogue.write_text("\n".join(["sku,name,category,quantity,price,location", *lines]))
    ok("import", catalogue)

    # Monday
    for number, sku in enumerate(SKUS, start=1):
        place = ("--sku", sku, "--location", "store")
        counted = ("--quantity", 9 if number % 10 == 0 else 10, "--reason", "stocktake")
        monday = json_of("stock", "count", *place, *counted, "--actor", "clara")["movement"]
    # Its time in the ledger, because the clocks of this test and of the API may differ.
    monday = monday["recorded_at"]

    # Tuesday
    sku = ("--sku", "SKU-07")
    store = (*sku, "--location", "store")
    ok("stock", "adjust", *store, "--delta", "-3", "--reason", "sold", "--actor", "ben")
    ok("stock", "adjust", *store, "--delta", "1", "--reason", "returned", "--actor", "anna")
    places = ("--from-location", "warehouse", "--to-location", "store")
    ok("stock", "transfer", *sku, *places, "--quantity", "6", "--actor", "anna")

    before = rows_of("stock", "--at", monday)
    after = rows_of("stock", "--at", "2999-12-31")
    item = json_of("items", "get", *store, "--at", monday)
    moved = rows_of("movements", "--since", monday)
    history = json_of("stock", "history", *store, "--since", monday)["movements"]

    assert len(before) == len(after) == 31
    assert quantities(before) == {
        **{(sku, "store"): "9" if sku.endswith("0") else "10" for sku in SKUS},
        ("SKU-07", "warehouse"): "40",
    }
    assert set(quantities(after).items()) - set(quantities(before).items()) == {
        (("SKU-07", "store"), "14"),
        (("SKU-07", "warehouse"), "34"),
    }
    assert (item["at"]["quantity"], item["item"]["quantity"]) == (10, 14)
    assert [row["kind"] for row in history] == ["transfer_in", "adjust", "adjust"]
    [taken] = [row for row in moved if row["delta_on_hand"] == "-3"]
    assert (taken["sku"], taken["location"], taken["reason"]) == ("SKU-07", "store", "sold")
    # With an API key, its name comes first.
    assert taken["actor"].rpartition("/")[2] == "ben"


def quantities(rows):
    return {(row["sku"], row["location"]): row["quantity"] for row in rows}
