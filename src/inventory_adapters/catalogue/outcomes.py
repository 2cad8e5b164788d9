"""The result of each row, by the column names of its file."""

from typing import Any, Final, Literal

import attrs
from attrs import define

from inventory.errors import BelowReservedError, InventoryError, ValidationError
from inventory_adapters.catalogue.cells import CellError
from inventory_adapters.catalogue.drafts import ATTRIBUTE, Draft

__all__ = ["RESULTS", "Result", "RowOutcome", "outcome_of", "refused", "refused_draft"]

Result = Literal["created", "updated", "unchanged", "refused", "skipped"]

RESULTS: Final[tuple[Result, ...]] = ("created", "updated", "unchanged", "refused", "skipped")

# Of a value that is refused, as much as a person needs to find it.
_SHOWN: Final = 100


@define(kw_only=True)
class RowOutcome:
    """
    The result of a row, or, where a row has several locations, of one of them.

    Attributes:
        line: The line of the file that the row starts on, from 1.
        result: ``created``, ``updated``, ``unchanged``, ``refused``, or ``skipped``: there is no item in it.
        sku, location: The item.
        changes: What was updated, by the names on the wire.
        column, value, reason, code: Why it was refused: the column, the text of the cell, what is wrong with it, and the
            same for programs.
        also: Further errors.
        notes: Changes to the row that a person may want to know.
        quantity_left: Whether the quantity differs from the stored one, which was not changed.
    """

    line: int
    result: Result
    sku: str | None = None
    location: str | None = None
    changes: tuple[str, ...] = ()
    column: str | None = None
    value: str | None = None
    reason: str | None = None
    code: str | None = None
    also: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    quantity_left: bool = False

    @property
    def wire(self) -> dict[str, Any]:
        """The result as JSON, without what it does not have: ``{"line": 2, "result": "created", "sku": "MUG-1", ...}``."""
        fields = attrs.asdict(self, recurse=False).items()
        return {name: value for name, value in fields if value not in (None, (), False)}


def outcome_of(draft: Draft, result: Result, notes: tuple[str, ...]) -> RowOutcome:
    """Return the outcome of a row that was accepted."""
    return RowOutcome(
        line=draft.line, result=result, sku=draft.sku, location=draft.location, notes=notes
    )


def refused(
    line: int, error: CellError, *, sku: str | None = None, location: str | None = None
) -> RowOutcome:
    """Return the outcome of a row that could not be read."""
    value = error.value
    return RowOutcome(
        line=line,
        result="refused",
        sku=sku,
        location=location,
        column=error.column,
        value=value if value is None or len(value) <= _SHOWN else f"{value[:_SHOWN]}…",
        reason=error.reason,
        code=error.code,
    )


def refused_draft(draft: Draft, error: CellError | InventoryError) -> RowOutcome:
    """Return the outcome of a row that was read and rejected, with everything that is wrong with it."""
    if isinstance(error, CellError):
        errors = [error]
    elif isinstance(error, ValidationError):
        sample = draft.sample
        fields = [it.field.replace("attributes.", ATTRIBUTE) for it in error.errors]
        errors = [
            draft.error(it, fault.message + _advice(draft, it), str(sample.get(it) or ""))
            for it, fault in zip(fields, error.errors, strict=True)
        ]
    elif isinstance(error, BelowReservedError):
        errors = [draft.error("quantity", error.message, str(draft.quantity), error.code)]
    else:
        errors = [CellError(error.message, code=error.code)]
    outcome = refused(draft.line, errors[0], sku=draft.sku, location=draft.location)
    outcome.notes = draft.notes
    outcome.also = tuple(f"{it.column}: {it.reason}" for it in errors[1:])
    return outcome


def _advice(draft: Draft, field: str) -> str:
    is_missing = field == "category" and not draft.details.get(field)
    return "; --category NAME sets it for new items" if is_missing else ""
