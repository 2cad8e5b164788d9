"""Planted bugs of imports, exports and the command line."""

import attrs

from inventory.commands import ListItems
from inventory.paging import Page
from inventory_adapters.catalogue import cells, exports, html_text, numbers, shops
from inventory_adapters.catalogue.importer import Importer
from inventory_adapters.catalogue.numbers import Evidence
from inventory_adapters.cli import demo, errors, output
from inventory_adapters.cli.storage import Storage
from tests.mutants.planting import noticed_by, replace, wrap

CATALOGUE = "tests/catalogue/test_catalogue.py"
FORMATS = "tests/catalogue/test_formats.py"
NUMBERS = "tests/catalogue/test_numbers.py"
CLI = "tests/cli/test_main.py"
SHORT_PAGES = "tests/test_short_pages.py"


def importing(patch, **choices):
    """Override choices of every import."""

    def outcomes(original, importer, batches, **rest):
        return original(attrs.evolve(importer, **choices), batches, **rest)

    wrap(patch, Importer, "outcomes", outcomes)


@noticed_by(f"{CATALOGUE}::TestWriting")
def a_dry_run_writes(patch):
    importing(patch, dry_run=False)


@noticed_by(f"{CATALOGUE}::TestStaleness")
def an_import_writes_quantities_unasked(patch):
    importing(patch, update_stock=True)


@noticed_by(f"{CATALOGUE}::TestWriting")
def stopping_writes_what_is_under_way(patch):
    def outcomes(original, importer, batches, *, in_flight):
        relaxed = attrs.evolve(importer, stops=False)
        for results in original(relaxed, batches, in_flight=in_flight):
            refused = [n for n, it in enumerate(results) if it.result == "refused"]
            if importer.stops and refused:
                yield results[: refused[0] + 1]
                return
            yield results

    wrap(patch, Importer, "outcomes", outcomes)


@noticed_by(f"{CATALOGUE}::TestMatching")
def every_import_is_the_first(patch):
    patch.setattr(Importer, "is_first", lambda _self: True)


class FirstPages:
    """An inventory whose lists end with their first page."""

    def __init__(self, inventory):
        self._inventory = inventory

    def __getattr__(self, name):
        return getattr(self._inventory, name)

    def list_items(self, query):
        return Page(items=self._inventory.list_items(query).items)

    def find_by_sku(self, sku, *, location=None):
        return self.list_items(ListItems(sku=sku, location=location)).items


@noticed_by(f"{CATALOGUE}::TestMatching", SHORT_PAGES)
def an_import_reads_one_page_of_a_sku(patch):
    def outcomes(original, importer, batches, **rest):
        inventory = FirstPages(importer.inventory)
        return original(attrs.evolve(importer, inventory=inventory), batches, **rest)

    wrap(patch, Importer, "outcomes", outcomes)


@noticed_by(SHORT_PAGES)
def an_export_ends_with_its_first_page(patch):
    wrap(
        patch,
        exports,
        "export_items",
        lambda original, inventory, file: original(FirstPages(inventory), file),
    )


@noticed_by(f"{CATALOGUE}::TestRoundTrip::test_every_text_of_an_item_is_protected")
def a_formula_is_exported_as_it_is(patch):
    replace(patch, cells.guarded, lambda text: text)


@noticed_by(f"{CATALOGUE}::TestRoundTrip::test_no_cell_is_a_formula_and_every_text_comes_back")
def a_guarded_cell_keeps_its_guard(patch):
    replace(patch, cells.unguarded, lambda cell: cell)


@noticed_by(NUMBERS)
def a_number_with_two_readings_is_guessed(patch):
    def settle(original, evidence, **choices):
        return original(attrs.evolve(evidence, either=None), **choices)

    wrap(patch, Evidence, "settle", settle)


@noticed_by(NUMBERS)
def contradicting_numbers_are_guessed(patch):
    def settle(original, evidence, **choices):
        first = dict(list(evidence.only.items())[:1])
        return original(attrs.evolve(evidence, only=first), **choices)

    wrap(patch, Evidence, "settle", settle)


@noticed_by(NUMBERS)
def an_exported_number_has_two_readings(patch):
    replace(patch, numbers.written, str)


@noticed_by(f"{FORMATS}::TestShopify")
def a_made_up_sku_loses_its_signs(patch):
    wrap(
        patch,
        shops,
        "made_sku",
        lambda original, first, *values: original(
            first, *(value.replace("-", "").replace("+", "") for value in values)
        ),
    )


@noticed_by("tests/catalogue/test_html_text.py")
def html_stays_html(patch):
    replace(patch, html_text.html_to_text, lambda body: body)


# Command line


@noticed_by(f"{CLI}::TestStock")
def a_rejected_request_exits_with_0(patch):
    replace(patch, errors.exit_code, lambda _error: 0)


@noticed_by(f"{CLI}::TestUnavailableStorage", f"{CLI}::TestMissingFile")
def a_missing_storage_exits_like_a_rejection(patch):
    replace(patch, errors.exit_code, lambda _error: errors.REJECTED)


@noticed_by(f"{CLI}::TestItems")
def control_sequences_reach_the_terminal(patch):
    replace(patch, output.printable, lambda text: text)


@noticed_by(f"{CLI}::TestMissingFile")
def a_mistyped_file_name_makes_an_empty_inventory(patch):
    wrap(
        patch,
        Storage,
        "opened",
        lambda original, storage, **_: original(storage, missing="create"),
    )


@noticed_by(f"{CLI}::TestDemo::test_second_run_changes_nothing")
def the_sample_data_is_loaded_twice(patch):
    class Forgetful(FirstPages):
        def find_by_sku(self, *_args, **_rest):
            return ()

    wrap(
        patch,
        demo,
        "load_sample_data",
        lambda original, inventory: original(Forgetful(inventory)),
    )
