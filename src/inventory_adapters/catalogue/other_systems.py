"""Files of systems that are recognised by their columns but not read: named, with the next step."""

from typing import Final

from inventory_adapters.catalogue.cells import Header

__all__ = ["other_system"]

_FIELDS: Final = ("sku", "name", "price", "quantity", "category", "description")

# The kind of file, and the columns that identify it, all of them; below, those of `_FIELDS`, or another next step.
_KINDS: Final = """
a Shopify export of orders: financial status, lineitem name
    Export the products or the inventory instead
a Shopify export of customers: accepts email marketing, first name
    Export the products or the inventory instead
a WooCommerce export of orders: order number, order status
    Export the products instead
an Amazon inventory report: seller-sku, asin1
    seller-sku, item-name, price, quantity, , item-description
an Amazon inventory report: sku, asin, price, quantity
    sku, product-name, price, quantity
an Etsy list of listings: title, currency_code, quantity
    sku, title, price, quantity, , description
an eBay list of listings: item number, custom label (sku)
    custom label (sku), title, start price, available quantity
a Wix product export: handleid, fieldtype
    sku, name, price, inventory, collection, description
a Squarespace product export: product id [non editable], variant id [non editable]
    sku, title, price, stock, categories, description
a BigCommerce product export: product code/sku, product name
    product code/sku, product name, price, current stock level, category
an Ecwid product export: product_internal_id, product_sku
    product_sku, product_name, product_price, product_quantity, product_category_1
a Clover item export: clover id, name
    sku, name, price, quantity, categories
a PrestaShop product export: product id, reference, price (tax excl.)
    reference, name, price (tax excl.), quantity, category
"""


def other_system(header: Header) -> str | None:
    """Return the kind of a file that is not read and the next step on the command line, or None."""
    lines = _KINDS.split("\n")[1:-1]
    for kind, then in zip(lines[::2], map(str.strip, lines[1::2]), strict=True):
        title, needs = kind.split(": ")
        if all(it in header for it in needs.split(", ")):
            mapping = zip(_FIELDS, then.split(", "), strict=False)
            options = [
                f'--column {field}="{header.name(it)}"' for field, it in mapping if it in header
            ]
            advice = f"Map its columns: {' '.join(options)}" if "," in then else then
            return f"This is {title}, which is not read. {advice}"
    return None
