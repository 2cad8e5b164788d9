"""What became of each row, in the words of its file."""

from typing import Final, Literal

import attrs
from attrs import frozen

from inventory.errors import BelowReservedError, InventoryError, ValidationError
from inventory_adapters.catalogue.csv_file import CellError
from inventory_adapters.catalogue.drafts import Draft

__all__ = ["Result", "RowOutcome", "outcome_of", "refused", "refused_draft"]

Result = Literal["created", "updated", "unchanged", "refused", "skipped"]

# Of a value that is refused, as much as a person needs to find it.
_SHOWN: Final = 100


@frozen(kw_only=True)
class RowOutcome:
    """
    What became of a row, or, where a row has several locations, of one of them.

    Attributes:
        line: The line of the file that the row starts on, from 1.
        result: ``created``, ``updated``, ``unchanged``, ``refused``, or ``skipped``: there is no item in it.
        sku, location: The item.
        changes: What was updated, by the names on the wire.
        column, value, reason, code: Why it was refused: where in the file, what stands there, what is wrong with it, and the
            same for programs.
        also: More that is wrong with it.
        notes: What was made of it that a person may want to know.
        quantity_left: Whether the quantity differs from the one on the books, which was left as it is.
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
    """Return what became of a row that was taken."""
    return RowOutcome(
        line=draft.line,
        result=result,
        sku=draft.sku,
        location=draft.location,
        notes=draft.notes if notes is None else notes,
        quantity_left=quantity_left,
    )


def refused(line: int, error: CellError) -> RowOutcome:
    """Return the outcome of a row that could not even be read."""
    value = error.value
    return RowOutcome(
        line=line,
        result="refused",
        column=error.column,
        value=value if value is None or len(value) <= _SHOWN else f"{value[:_SHOWN]}…",
        reason=error.reason,
        code=error.code,
    )


def refused_draft(draft: Draft, error: CellError | InventoryError) -> RowOutcome:
    """Return the outcome of a row that was read and refused, with everything that is wrong with it."""
    first, *others = _cell_errors(draft, error)
    return attrs.evolve(
        refused(draft.line, first),
        sku=draft.sku,
        location=draft.location,
        notes=draft.notes,
        also=tuple(f"{it.column}: {it.reason}" for it in others),
    )


def _cell_errors(draft: Draft, error: CellError | InventoryError) -> list[CellError]:
    """Return what is wrong, in the words of the file."""
    if isinstance(error, CellError):
        return [error]
    if isinstance(error, ValidationError):
        return [
            CellError(
                fault.message,
                column=draft.columns.get(fault.field, fault.field),
                value=_said(draft, fault.field),
            )
            for fault in error.faults
        ]
    if isinstance(error, BelowReservedError):
        return [
            CellError(
                error.message,
                column=draft.columns["quantity"],
                value=str(draft.quantity),
                code=error.code,
            )
        ]
    return [CellError(error.message, code=error.code)]


def _said(draft: Draft, field: str) -> str:
    value = (
        getattr(draft, field)
        if field in {"sku", "location", "quantity"}
        else draft.details.get(field)
    )
    return "" if value is None else str(value)
