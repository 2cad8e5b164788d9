"""All file formats, and the choice of one by the columns of a file."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from inventory_adapters.catalogue.any_table import (
    CountsFormat,
    NativeFormat,
    TableFormat,
    chosen_mapping,
)
from inventory_adapters.catalogue.cells import Header, UnreadableFileError
from inventory_adapters.catalogue.drafts import Format, Options
from inventory_adapters.catalogue.lightspeed import LightspeedFormat
from inventory_adapters.catalogue.loyverse import LoyverseFormat
from inventory_adapters.catalogue.magento import MagentoFormat
from inventory_adapters.catalogue.odoo import OdooFormat
from inventory_adapters.catalogue.other_systems import other_system
from inventory_adapters.catalogue.shopify import ShopifyFormat
from inventory_adapters.catalogue.shopify_inventory import ShopifyInventoryFormat
from inventory_adapters.catalogue.square import SquareFormat
from inventory_adapters.catalogue.woocommerce import WooCommerceFormat

__all__ = ["FORMATS", "UnknownTableError", "recognized"]

_SYSTEMS: Final[tuple[type[Format], ...]] = (
    *(ShopifyFormat, ShopifyInventoryFormat, SquareFormat, WooCommerceFormat),
    *(MagentoFormat, LightspeedFormat, OdooFormat, LoyverseFormat),
)
# The most exact first: each also fits what those before it fit.
_TABLES: Final[tuple[type[Format], ...]] = (NativeFormat, CountsFormat, TableFormat)

FORMATS: Final[dict[str, type[Format]]] = {it.name: it for it in (*_SYSTEMS, *_TABLES)}
"""All formats, by name."""

_SHOWN_COLUMNS: Final = 60


class UnknownTableError(UnreadableFileError):
    """The meaning of the columns is unknown; a person can map them."""

    code = "unknown_table"


def recognized(
    header: Header,
    options: Options,
    *,
    name: str = "auto",
    mapping: Mapping[str, str] | None = None,
) -> Format:
    """
    Return the format of a file, ready to read its rows.

    Args:
        header: Its columns.
        options: The choices for the whole file.
        name: The name of a format; ``auto`` to detect it from the columns.
        mapping: The columns that a person chose: field → name of the column.

    Raises:
        UnknownTableError: No format fits, or a field could be in several columns.
        UnreadableFileError: The chosen format does not fit, several formats do, or the file is of a system that is not read.
    """
    make = _maker(header, name, mapping or {})
    format_ = make(header, options)
    repeated = sorted(header.name(it) for it in format_.used & header.repeated)
    if repeated:
        raise UnreadableFileError(f"The header has the column {repeated[0]} twice")
    return format_


def _maker(
    header: Header, name: str, mapping: Mapping[str, str]
) -> Callable[[Header, Options], Format]:
    if mapping:
        if name not in ("auto", TableFormat.name):
            raise UnreadableFileError(
                f"Columns of a {name} file are known; --column is for other tables"
            )
        return partial(TableFormat, mapping=chosen_mapping(header, mapping))
    if name != "auto":
        chosen = FORMATS[name]
        if not chosen.fits(header):
            raise UnreadableFileError(
                f"The file lacks columns of a {chosen.title} (format {name}). Its columns: {_names(header)}"
            )
        return chosen
    fitting = [it for it in _SYSTEMS if it.fits(header)]
    if len(fitting) > 1:
        titles = " and ".join(f"{it.title} (--format {it.name})" for it in fitting)
        raise UnreadableFileError(f"The columns fit several formats, choose one: {titles}")
    if fitting:
        return fitting[0]
    if other := other_system(header):
        raise UnreadableFileError(other)
    _require_unambiguous(header)
    table = next((it for it in _TABLES if it.fits(header)), None)
    if table is None:
        raise UnknownTableError(
            f"It is not known what the columns hold: {_names(header)}. "
            "Name them: --column sku=COLUMN --column name=COLUMN --column quantity=COLUMN"
        )
    return table


def _require_unambiguous(header: Header) -> None:
    for field, keys in TableFormat.claims(header).items():
        if len(keys) > 1:
            names = " and ".join(f'"{header.name(it)}"' for it in keys)
            raise UnknownTableError(
                f'Several columns could be the {field}: {names}. Choose one: --column {field}="{header.name(keys[0])}"'
            )


def _names(header: Header) -> str:
    names = [it for it in header.names if it]
    more = f", and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return ", ".join(names[:_SHOWN_COLUMNS]) + more
