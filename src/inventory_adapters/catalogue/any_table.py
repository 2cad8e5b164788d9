"""Any table: its columns are mapped to fields by their names, or by a person."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from inventory.validation import TextMap
from inventory_adapters.catalogue.cells import (
    Header,
    Record,
    UnreadableFileError,
    column_key,
    unguarded,
)
from inventory_adapters.catalogue.drafts import ATTRIBUTE, Draft, Format, Options

__all__ = [
    "COLUMNS",
    "CountsFormat",
    "NativeFormat",
    "TableFormat",
    "chosen_mapping",
    "looks_important",
]

COLUMNS: Final = (
    *("item_id", "sku", "name", "description", "quantity", "price", "category", "status"),
    *("location", "reorder_point", "version", "seq"),
)
_TEXTS: Final = ("name", "description", "category", "status")
_NUMBERS: Final = ("quantity", "price", "reorder_point", "version", "seq")
# Numbers of ours are digits; only these are written by people.
_PEOPLES_NUMBERS: Final = ("quantity", "price", "reorder_point")

# Names of columns in lists of shops and suppliers, by field, comma-separated, as `_plain` makes them.
# English, German, French, Spanish, Italian and Dutch.
_KNOWN_NAMES: Final = {
    "sku": (
        "sku, sku code, sku number, item number, item no, item code, item sku, product code, product sku, product number, "
        "article number, article no, part number, part no, stock code, variant sku, artikelnummer, artikelnr, artikel nr, "
        "art nr, artnr, bestellnummer, référence, reference, réf, code article, código, codigo, código de artículo, "
        "referencia, codice, codice articolo, artikelcode, interne referenz, référence interne, referencia interna"
    ),
    "name": (
        "name, title, item name, product name, product title, product, item, article, article name, bezeichnung, "
        "artikelbezeichnung, artikelname, produktname, produkt, artikel, nom, désignation, designation, libellé, nombre, "
        "producto, artículo, nome, articolo, prodotto, naam, omschrijving, productnaam"
    ),
    "description": (
        "description, long description, beschreibung, artikelbeschreibung, descripción, descripcion, descrizione, "
        "beschrijving"
    ),
    "quantity": (
        "quantity, qty, stock, in stock, on hand, stock on hand, quantity on hand, qty on hand, stock quantity, stock "
        "qty, stock level, current stock, inventory, inventory quantity, quantity in stock, qty in stock, available "
        "quantity, units, count, counted, counted quantity, bestand, lagerbestand, menge, anzahl, stückzahl, quantité, "
        "quantite, qté, stock actuel, cantidad, existencias, stock actual, quantità, quantita, giacenza, aantal, "
        "voorraad, verfügbare menge, quantité en stock, cantidad a mano"
    ),
    "price": (
        "price, unit price, retail price, sales price, selling price, list price, preis, vk, vk preis, verkaufspreis, "
        "einzelpreis, prix, prix unitaire, prix de vente, precio, precio de venta, prezzo, prezzo di vendita, prijs, "
        "verkoopprijs, regular price, regulärer preis"
    ),
    "category": (
        "category, categories, product category, product type, item category, department, kategorie, warengruppe, "
        "artikelgruppe, produktgruppe, catégorie, famille, categoría, categoria, familia, categorie, produktkategorie, "
        "kategorien, catégories, categorías, catégorie de produits"
    ),
    "location": (
        "location, warehouse, stock location, lagerort, lagerplatz, standort, emplacement, entrepôt, ubicación, "
        "ubicacion, almacén, almacen, ubicazione, magazzino, locatie, magazijn"
    ),
    "reorder_point": (
        "reorder point, reorder level, minimum stock, min stock, low stock, mindestbestand, meldebestand, stock minimum, "
        "stock mínimo, stock minimo, scorta minima, minimumvoorraad"
    ),
}

_LOOKS_IMPORTANT: Final = re.compile(
    r"\b(?:stocks?|qty|quantit\w*|on hand|in stock|inventory|units|price|\w*bestand|menge|anzahl|\w*preis"
    r"|existencias|cantidad|precio|prix|quantità|giacenza|prezzo|aantal|voorraad|prijs)\b"
)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", column_key(name)).strip()


_FIELDS: Final = {
    name: field for field, names in _KNOWN_NAMES.items() for name in names.split(", ")
}


def _is_attribute(field: str) -> bool:
    return re.fullmatch(f"{ATTRIBUTE}{TextMap.NAME}", field) is not None


def looks_important(name: str) -> bool:
    """Return whether a column seems to hold stock or a price, by its name."""
    return _LOOKS_IMPORTANT.search(_plain(name)) is not None


class TableFormat(Format):
    """A row is an item, whose fields are in the columns that *mapping* names."""

    name = "table"
    title = "table"

    def __init__(
        self, header: Header, options: Options, mapping: Mapping[str, str] | None = None
    ) -> None:
        keys = self.mapping_of(header) if mapping is None else mapping
        super().__init__(header, options)
        self.columns: Mapping[str, str] = {
            **{it: it for it in COLUMNS},
            **{field: header.name(key) for field, key in keys.items()},
        }
        self.mapping: Mapping[str, str] = {it: header.name(key) for it, key in keys.items()}
        self.used = frozenset(keys.values())
        self.numbers = frozenset(keys[it] for it in _PEOPLES_NUMBERS if it in keys)
        self.has_quantity = "quantity" in keys
        places = {field: header.places[key] for field, key in keys.items()}
        self._sku = places["sku"]
        self._location = places.get("location")
        self._item_id = places.get("item_id")
        self._texts = [(it, places[it]) for it in _TEXTS if it in places]
        self._numbers = [(it, keys[it]) for it in _NUMBERS if it in keys]
        # Blank says nothing of what an item always has. Of these it says that there is none.
        self._clears = frozenset({"reorder_point"} & places.keys())
        self._keep(
            {it.removeprefix(ATTRIBUTE): key for it, key in keys.items() if _is_attribute(it)}
        )

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise a table by the names of its columns: a SKU, and a name or something that changes an item."""
        fields = cls.mapping_of(header)
        return "sku" in fields and len(fields) > 1

    @staticmethod
    def mapping_of(header: Header) -> dict[str, str]:
        """
        Return the columns that are known by their names: field → key.

        Our own names come first; a field that two other columns claim is left out, see `claims`.
        """
        claims = TableFormat.claims(header)
        return {field: keys[0] for field, keys in claims.items() if len(keys) == 1}

    @staticmethod
    def claims(header: Header) -> dict[str, list[str]]:
        """Return all columns that could be a field: field → keys; one with our own name is alone."""
        claims: dict[str, list[str]] = {}
        for key in header.places:
            field = _FIELDS.get(_plain(key))
            if field is not None:
                claims.setdefault(field, []).append(key)
        for key in header.places:
            if key in COLUMNS or _is_attribute(key):
                claims[key] = [key]
        return claims

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the one item of a row."""
        cells = record.cells
        texts: dict[str, Any] = {}
        for name, place in self._texts:
            text = unguarded(cells[place])
            if text or name == "description":
                texts[name] = text
        if self.attributes:
            texts["attributes"] = self._kept(record)
        numbers = {name: record.number(key) for name, key in self._numbers}
        location = "" if self._location is None else unguarded(cells[self._location])
        if location and self._item_id is not None:
            texts["location"] = location
        category = self._options.category
        yield Draft(
            line=record.line,
            sku=unguarded(cells[self._sku]),
            location=location,
            item_id=(unguarded(cells[self._item_id]) or None)
            if self._item_id is not None
            else None,
            details=texts,
            initial={"category": category} if category else {},
            numbers=numbers,
            clears=self._clears,
            columns=self.columns,
        )


class NativeFormat(TableFormat):
    """The columns of this project: rows with an `item_id` are about that item, the others are matched by SKU and location."""

    name = "native"
    title = "table with the columns of this project"

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise our columns: the SKU, and the id or the name, and no field under another name."""
        if "sku" not in header or header.first("item_id", "name") is None:
            return False
        return all(field == key for field, key in cls.mapping_of(header).items())


class CountsFormat(TableFormat):
    """A stocktake: quantities of items that exist; a SKU that does not exist is reported, not created."""

    name = "counts"
    title = "stocktake"

    @classmethod
    def fits(cls, header: Header) -> bool:
        """Recognise a stocktake: it has nothing that an item could be created from."""
        return (
            {"sku", "quantity"} <= cls.mapping_of(header).keys() <= {"sku", "quantity", "location"}
        )

    def rows(self, record: Record) -> Iterator[Draft]:
        """Yield the counted item."""
        for row in super().rows(record):
            row.may_create = False
            yield row


def chosen_mapping(header: Header, chosen: Mapping[str, str]) -> dict[str, str]:
    """
    Return the mapping that a person chose, completed by the columns that are known by their names: field → key.

    Args:
        header: The columns of the file.
        chosen: The name of a column, or nothing for none, by field.

    Raises:
        UnreadableFileError: A field or a column does not exist, or the SKU is not mapped.
    """
    mapping = {}
    for field, name in chosen.items():
        if field not in COLUMNS and not _is_attribute(field):
            known = ", ".join(COLUMNS)
            raise UnreadableFileError(f"Unknown field: {field}. Known are {known}, {ATTRIBUTE}NAME")
        if name:
            mapping[field] = header.key_of(name)
    taken = set(mapping.values())
    others = TableFormat.mapping_of(header).items()
    mapping |= {it: key for it, key in others if it not in chosen and key not in taken}
    if "sku" not in mapping:
        raise UnreadableFileError("No column is mapped to sku. Name it with --column sku=COLUMN")
    return mapping
