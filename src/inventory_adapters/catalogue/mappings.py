"""Saved choices for tables of one kind: which column is which field, and how cells are read."""

import json
from pathlib import Path
from typing import Any, Final

from inventory_adapters.catalogue.cells import UnreadableFileError

__all__ = ["TABLE_CHOICES", "load_mapping", "save_mapping"]

_VERSION: Final = 1

TABLE_CHOICES: Final = (
    "columns",
    "category",
    "location",
    "decimal",
    "encoding",
    "delimiter",
    "keep_columns",
)
"""What is saved: arguments of `import_items` that are the same for each file of one kind."""


def save_mapping(path: Path, choices: dict[str, Any]) -> None:
    """Save the choices that were made: ``{"version": 1, "columns": {"sku": "Artikelnummer"}, "decimal": "comma"}``."""
    chosen = {it: choices[it] for it in TABLE_CHOICES if choices.get(it)}
    document = json.dumps({"version": _VERSION, **chosen}, ensure_ascii=False, indent=2)
    path.write_text(f"{document}\n", encoding="utf-8")


def load_mapping(path: Path) -> dict[str, Any]:
    """
    Return the choices that were saved.

    Raises:
        UnreadableFileError: The file is not a mapping.
    """
    try:
        choices = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableFileError(f"The mapping {path} is not JSON: {error}") from None
    if not isinstance(choices, dict) or choices.pop("version", None) != _VERSION:
        raise UnreadableFileError(f"The mapping {path} is not one of version {_VERSION}")
    columns = choices.get("columns", {})
    values = {**choices, **columns, "columns": ""} if isinstance(columns, dict) else {"": None}
    for is_wrong, fault in (
        (not choices.keys() <= set(TABLE_CHOICES), "unknown fields"),
        (not all(isinstance(it, str) for it in values.values()), "values that are not text"),
        (choices.get("decimal") not in (None, "point", "comma"), "an unknown decimal mark"),
    ):
        if is_wrong:
            raise UnreadableFileError(f"The mapping {path} has {fault}")
    return choices
