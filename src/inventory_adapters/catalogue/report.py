"""The report of an import as JSON: for `inventory import --json` and for the page."""

from typing import Any

import attrs

from inventory_adapters.catalogue.imports import Import
from inventory_adapters.catalogue.outcomes import RESULTS, RowOutcome

__all__ = ["about_import", "outcome_to_wire", "summary_of"]


def about_import(run: Import) -> dict[str, Any]:
    """
    Return how the file is read.

    ``{"format": "shopify", "title": "Shopify product CSV", "mapping": {"sku": "Variant SKU", ...}, "numbers": "decimal ...",
    "encoding": "utf-8", "delimiter": "comma", "notes": [...], "warnings": [...], "left_out": {...}, "samples": [...]}``
    """
    return {
        "format": run.format,
        "title": run.title,
        "mapping": dict(run.mapping),
        "numbers": run.numbers,
        "encoding": run.encoding,
        "delimiter": run.delimiter,
        "notes": list(run.notes),
        "warnings": list(run.warnings),
        "left_out": dict(run.left_out),
        "samples": list(run.samples),
    }


def outcome_to_wire(outcome: RowOutcome) -> dict[str, Any]:
    """Return the result of a row, without what it does not have: ``{"line": 2, "result": "created", "sku": "MUG-1", ...}``."""
    fields = attrs.asdict(outcome, recurse=False).items()
    return {name: value for name, value in fields if value not in (None, (), False)}


def summary_of(run: Import) -> dict[str, Any]:
    """Return the counts: ``{"created": 1, ..., "quantities_left": 0, "refused_columns": {"price": 1}, "stopped": false}``."""
    return {
        **{it: run.counts[it] for it in RESULTS},
        "quantities_left": run.quantities_left,
        "refused_columns": dict(run.refused_columns),
        "stopped": run.is_stopped,
    }
