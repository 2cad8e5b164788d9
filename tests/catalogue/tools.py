"""What tests of imports have in common."""

import io

import attrs

from inventory import ListItems
from inventory.validation import normalized
from inventory_adapters.catalogue.drafts import ONE_LINE
from inventory_adapters.catalogue.imports import import_items


def table(header, *rows, end="\n"):
    return end.join([header, *rows, ""]).encode()


def imported(inventory, content, **choices):
    with import_items(inventory, io.BytesIO(content), **choices) as run:
        return list(run)


def results(outcomes):
    return [it.result for it in outcomes]


def items_of(inventory):
    """Every item, by SKU and location."""
    found = {}
    query = ListItems(page_size=50)
    while True:
        page = inventory.list_items(query)
        found |= {(it.sku, it.location): it for it in page.items}
        if page.next_cursor is None:
            return found
        query = attrs.evolve(query, page_token=page.next_cursor)


def details(item):
    """Everything that a file says of an item, as the importer compares it."""
    found = attrs.asdict(
        item, filter=lambda field, _: field.name not in {"key", "created_at", "updated_at"}
    )
    return found | {name: normalized(found[name]) for name in ONE_LINE}


def stored(inventory):
    """The details of every item, by SKU and location, without what an inventory adds."""
    return {key: {**details(it), "version": 1} for key, it in items_of(inventory).items()}
