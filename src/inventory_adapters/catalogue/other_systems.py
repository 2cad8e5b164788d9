"""Files of systems that are recognised by their columns but not read: named, with the next step."""

from typing import Final

from attrs import frozen

from inventory_adapters.catalogue.cells import Header

__all__ = ["OTHER_SYSTEMS", "OtherFile"]

_FIELDS: Final = ("sku", "name", "price", "quantity", "category", "description")


@frozen
class OtherFile:
    """
    A kind of file that is not read.

    Attributes:
        title: What it is.
        needs: The columns that identify it, all of them.
        columns: Its columns for the SKU, name, price, quantity, category and description; empty where it has none.
        advice: The next step, if it is not to map the columns.
    """

    title: str
    needs: tuple[str, ...]
    columns: tuple[str, ...] = ()
    advice: str = ""

    def fits(self, header: Header) -> bool:
        """Return whether a file with these columns is of this kind."""
        return all(it in header for it in self.needs)

    def sentence(self, header: Header) -> str:
        """Return the kind of the file and the next step on the command line."""
        mapping = zip(_FIELDS, self.columns, strict=False)
        options = [f'--column {field}="{header.name(it)}"' for field, it in mapping if it in header]
        advice = self.advice or f"Map its columns: {' '.join(options)}"
        return f"This is {self.title}, which is not read. {advice}"


_SHOPIFY_ADVICE: Final = "Export the products or the inventory instead"

OTHER_SYSTEMS: Final = (
    OtherFile(
        "a Shopify export of orders",
        ("financial status", "lineitem name"),
        advice=_SHOPIFY_ADVICE,
    ),
    OtherFile(
        "a Shopify export of customers",
        ("accepts email marketing", "first name"),
        advice=_SHOPIFY_ADVICE,
    ),
    OtherFile(
        "a WooCommerce export of orders",
        ("order number", "order status"),
        advice="Export the products instead",
    ),
    OtherFile(
        "an Amazon inventory report",
        ("seller-sku", "asin1"),
        ("seller-sku", "item-name", "price", "quantity", "", "item-description"),
    ),
    OtherFile(
        "an Amazon inventory report",
        ("sku", "asin", "price", "quantity"),
        ("sku", "product-name", "price", "quantity"),
    ),
    OtherFile(
        "an Etsy list of listings",
        ("title", "currency_code", "quantity"),
        ("sku", "title", "price", "quantity", "", "description"),
    ),
    OtherFile(
        "an eBay list of listings",
        ("item number", "custom label (sku)"),
        ("custom label (sku)", "title", "start price", "available quantity"),
    ),
    OtherFile(
        "a Wix product export",
        ("handleid", "fieldtype"),
        ("sku", "name", "price", "inventory", "collection", "description"),
    ),
    OtherFile(
        "a Squarespace product export",
        ("product id [non editable]", "variant id [non editable]"),
        ("sku", "title", "price", "stock", "categories", "description"),
    ),
    OtherFile(
        "a BigCommerce product export",
        ("product code/sku", "product name"),
        ("product code/sku", "product name", "price", "current stock level", "category"),
    ),
    OtherFile(
        "an Ecwid product export",
        ("product_internal_id", "product_sku"),
        ("product_sku", "product_name", "product_price", "product_quantity", "product_category_1"),
    ),
    OtherFile(
        "a Clover item export",
        ("clover id", "name"),
        ("sku", "name", "price", "quantity", "categories"),
    ),
    OtherFile(
        "a PrestaShop product export",
        ("product id", "reference", "price (tax excl.)"),
        ("reference", "name", "price (tax excl.)", "quantity", "category"),
    ),
)
"""All of them; the first that fits counts."""
