"""Items that are named by SKU alone: their locations as options, and the lookup of their ids."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from inventory.errors import ItemNotFoundError
from inventory.validation import Object, Spec
from inventory_adapters.cli.errors import USAGE
from inventory_adapters.cli.options import is_list
from inventory_adapters.cli.output import counted, show_list
from inventory_adapters.wire import item_to_wire

if TYPE_CHECKING:
    from inventory_adapters.cli.storage import UseCases

__all__ = ["ItemNames", "location_options"]

# Stands for the id of an item until it is looked up, so that the other fields can be checked first.
_UNKNOWN_ID: Final = "?"


def location_options(fields: tuple[Spec, ...]) -> Iterator[click.Option]:
    """Yield the options for the locations of the items that a command with these *fields* names."""
    names = {spec.wire for spec in fields}
    for spec in fields:
        if isinstance(spec.bound, Object):
            yield _location(f"--{spec.wire}-location", spec.name, f"--{spec.wire}")
        elif is_list(spec.bound) or (spec.wire == "item_id" and "location" not in names):
            yield _location("--location", "item", "an id")


def _location(option: str, name: str, instead_of: str) -> click.Option:
    text = f"Find the item by its SKU at this location, instead of by {instead_of}."
    return click.Option([option, f"{name}_location"], metavar="NAME", help=text)


class ItemNames:
    """
    The items that a request names.

    Args:
        fields: The fields of the command.
        request: The request. Items without an id get a placeholder.
        given: The options of the command, by parameter.

    Raises:
        click.UsageError: An item has an id and a location, or no id and no SKU.
    """

    def __init__(
        self, fields: tuple[Spec, ...], request: dict[str, Any], given: dict[str, Any]
    ) -> None:
        self._unknown: list[tuple[dict[str, Any], str | None]] = []
        for spec in fields:
            if spec.wire == "item_id":
                self._add(request, given.get("item_location"), required=spec.required)
            elif isinstance(spec.bound, Object):
                self._add(request[spec.wire], given[f"{spec.name}_location"])
            elif is_list(spec.bound):
                for line in request.get(spec.wire, ()):
                    self._add(line, given["item_location"])

    def _add(self, part: dict[str, Any], location: str | None, *, required: bool = True) -> None:
        if "item_id" in part:
            if location is not None:
                raise click.UsageError("Name an item by its id or by its location, not both.")
        elif "sku" in part:
            part["item_id"] = _UNKNOWN_ID
            self._unknown.append((part, location))
        elif required:
            raise click.UsageError("Give ITEM_ID or --sku.")

    def look_up(self, inventory: "UseCases") -> bool:
        """
        Replace the placeholders by ids, and return whether there were any.

        If a SKU and a location do not name one item, print the items with that SKU and exit.

        Raises:
            ItemNotFoundError: No item has the SKU.
        """
        for part, location in self._unknown:
            sku = part["sku"]
            items = inventory.find_by_sku(sku)
            if not items:
                raise ItemNotFoundError(sku=sku)
            matches = [item for item in items if location in (None, item.location)]
            if len(matches) != 1:
                where = "" if location is None else f" at {location}"
                click.echo(
                    f"Error: {counted(len(matches), 'items')} with the SKU {sku}{where}."
                    " Name one of these by its location or id:",
                    err=True,
                )
                show_list("items", map(item_to_wire, items), err=True)
                click.get_current_context().exit(USAGE)
            part |= {"item_id": matches[0].item_id, "sku": matches[0].sku}
        return bool(self._unknown)
