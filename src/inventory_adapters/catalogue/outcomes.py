"""The result of each row, by the column names of its file."""

from typing import Final, Literal

import attrs
from attrs import frozen

from inventory.errors import BelowReservedError, InventoryError, ValidationError
from inventory_adapters.catalogue.cells import CellError
from inventory_adapters.catalogue.drafts import Draft

__all__ = ["RESULTS", "Result", "RowOutcome", "outcome_of", "refused", "refused_draft"]

Result = Literal["created", "updated", "unchanged", "refused", "skipped"]

RESULTS: Final[tuple[Result, ...]] = ("created", "updated", "unchanged", "refused", "skipped")

# Of a value that is refused, as much as a person needs to find it.
_SHOWN: Final = 100


@frozen(kw_only=True)
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


def outcome_of(
    draft: Draft,
    result: Result,
    *,
    notes: tuple[str, ...] | None = None,
    quantity_left: bool = False,
) -> RowOutcome:
    """Return the outcome of a row that was accepted."""
    return RowOutcome(
        line=draft.row.line,
        result=result,
        sku=draft.sku,
        location=draft.location,
        notes=draft.notes if notes is None else notes,
        quantity_left=quantity_left,
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
    first, *others = _cell_errors(draft, error)
    return attrs.evolve(
        refused(draft.row.line, first, sku=draft.sku, location=draft.location),
        notes=draft.notes,
        also=tuple(f"{it.column}: {it.reason}" for it in others),
    )


def _cell_errors(draft: Draft, error: CellError | InventoryError) -> list[CellError]:
    """Return the errors, by the columns of the file."""
    if isinstance(error, CellError):
        return [error]
    if isinstance(error, ValidationError):
        return [
            CellError(
                fault.message + _advice(draft, fault.field),
                column=draft.row.columns.get(fault.field, fault.field),
                value=_value(draft, fault.field),
            )
            for fault in error.errors
        ]
    if isinstance(error, BelowReservedError):
        return [
            CellError(
                error.message,
                column=draft.row.columns["quantity"],
                value=str(draft.quantity),
                code=error.code,
            )
        ]
    return [CellError(error.message, code=error.code)]


def _advice(draft: Draft, field: str) -> str:
    is_missing = field == "category" and not draft.details.get(field)
    return "; --category NAME sets it for new items" if is_missing else ""


def _value(draft: Draft, field: str) -> str:
    value = draft.new_item.get(field)
    return "" if value is None else str(value)
