"""Files of systems that are recognised by their columns but not read: named, with what to do instead."""

from typing import Final

from attrs import frozen

from inventory_adapters.catalogue.tables import Header

__all__ = ["OTHER_SYSTEMS", "OtherFile"]


@frozen
class OtherFile:
    """
    A kind of file that is not read.

    Attributes:
        title: What it is.
        needs: The columns that tell it, all of them.
        advice: What to do: where another export of the same system is read, that one.
        mapping: Columns that mean the same as ours: field → column.
    """

    title: str
    needs: tuple[str, ...]
    advice: str = ""
    mapping: tuple[tuple[str, str], ...] = ()

    def fits(self, header: Header) -> bool:
        """Return whether a file with these columns is of this kind."""
        return all(it in header for it in self.needs)

    def sentence(self, header: Header) -> str:
        """Return what the file is and what to do, in the words of the command line."""
        chosen = [(field, header.name(key)) for field, key in self.mapping if key in header]
        options = " ".join(f'--column {field}="{name}"' for field, name in chosen)
        advice = self.advice or f"Map its columns: {options}"
        return f"This is {self.title}, which is not read. {advice}"


OTHER_SYSTEMS: Final = (
    OtherFile(
        "a Shopify export of orders",
        ("financial status", "lineitem name"),
        "Export the products or the inventory instead",
    ),
    OtherFile(
        "a Shopify export of customers",
        ("accepts email marketing", "first name"),
        "Export the products or the inventory instead",
    ),
    OtherFile(
        "a WooCommerce export of orders",
        ("order number", "order status"),
        "Export the products instead",
    ),
    OtherFile(
        "an Amazon inventory report",
        ("seller-sku", "asin1"),
        mapping=(
            *(
                ("sku", "seller-sku"),
                ("name", "item-name"),
                ("price", "price"),
                ("quantity", "quantity"),
            ),
            ("description", "item-description"),
        ),
    ),
    OtherFile(
        "an Amazon inventory report",
        ("sku", "asin", "price", "quantity"),
        mapping=(
            ("sku", "sku"),
            ("name", "product-name"),
            ("price", "price"),
            ("quantity", "quantity"),
        ),
    ),
    OtherFile(
        "an Etsy list of listings",
        ("title", "currency_code", "quantity"),
        mapping=(
            *(("sku", "sku"), ("name", "title"), ("price", "price"), ("quantity", "quantity")),
            ("description", "description"),
        ),
    ),
    OtherFile(
        "an eBay list of listings",
        ("item number", "custom label (sku)"),
        mapping=(
            *(("sku", "custom label (sku)"), ("name", "title"), ("quantity", "available quantity")),
            ("price", "start price"),
        ),
    ),
    OtherFile(
        "a Wix product export",
        ("handleid", "fieldtype"),
        mapping=(
            *(("sku", "sku"), ("name", "name"), ("price", "price"), ("quantity", "inventory")),
            *(("category", "collection"), ("description", "description")),
        ),
    ),
    OtherFile(
        "a Squarespace product export",
        ("product id [non editable]", "variant id [non editable]"),
        mapping=(
            *(("sku", "sku"), ("name", "title"), ("price", "price"), ("quantity", "stock")),
            *(("category", "categories"), ("description", "description")),
        ),
    ),
    OtherFile(
        "a BigCommerce product export",
        ("product code/sku", "product name"),
        mapping=(
            *(("sku", "product code/sku"), ("name", "product name"), ("price", "price")),
            *(("quantity", "current stock level"), ("category", "category")),
        ),
    ),
    OtherFile(
        "an Ecwid product export",
        ("product_internal_id", "product_sku"),
        mapping=(
            *(("sku", "product_sku"), ("name", "product_name"), ("price", "product_price")),
            *(("quantity", "product_quantity"), ("category", "product_category_1")),
        ),
    ),
    OtherFile(
        "a Clover item export",
        ("clover id", "name"),
        mapping=(
            *(("sku", "sku"), ("name", "name"), ("price", "price"), ("quantity", "quantity")),
            ("category", "categories"),
        ),
    ),
    OtherFile(
        "a PrestaShop product export",
        ("product id", "reference", "price (tax excl.)"),
        mapping=(
            *(("sku", "reference"), ("name", "name"), ("price", "price (tax excl.)")),
            *(("quantity", "quantity"), ("category", "category")),
        ),
    ),
)
"""All of them; the first that fits counts."""
