"""What every error is called over HTTP: its status, its code, and what the answer says of it."""

from typing import TYPE_CHECKING, Any, Final

from inventory import errors
from inventory.errors import BatchRefusedError, InventoryError, StorageError, ValidationError

if TYPE_CHECKING:
    from inventory.batch import RowResult

__all__ = ["CODES", "HttpError", "error_body", "row_to_wire"]

# The first class of an error's own line of ancestors that stands here decides.
_STATUS: Final[dict[type[Exception], int]] = {
    errors.InvalidRequestError: 400,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.PreconditionFailedError: 412,
    errors.BatchTooLargeError: 413,
    errors.KeyReusedError: 422,
    errors.StorageThrottledError: 429,
    errors.StorageUnavailableError: 503,
    errors.StorageError: 500,
}

# For the log alone.
_INTERNAL_FACTS: Final = {"why"}

# What is refused before it has become a command, and rows that were not looked at.
_HTTP_STATUS: Final = {
    "body_required": 400,
    "malformed_body": 400,
    "if_match_not_supported": 400,
    "idempotency_key_not_supported": 400,
    "unreadable_file": 400,
    "unknown_table": 400,
    "confirmation_required": 400,
    "bad_host": 400,
    "forbidden_origin": 403,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "import_running": 409,
    "not_applied": 409,
    "payload_too_large": 413,
    "head_too_large": 431,
    "internal_error": 500,
    "too_many_connections": 503,
}


def _status_of(kind: type[InventoryError]) -> int:
    for parent in kind.__mro__:
        if parent in _STATUS:
            return _STATUS[parent]
    raise TypeError(f"{kind.__name__} has no HTTP status: give it one, or a parent that has")


def _tree(base: type[InventoryError]) -> list[type[InventoryError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _tree(child))]


CODES: Final[dict[str, int]] = {
    **_HTTP_STATUS,
    **{kind.code: _status_of(kind) for kind in _tree(InventoryError) if "code" in vars(kind)},
}
"""Every code that an answer may carry, with its status."""


class HttpError(Exception):
    """A request that fails before it has become a command."""

    def __init__(self, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


def error_body(error: Exception) -> dict[str, Any]:
    """Return the body of the answer to *error*: ``{"error": <sentence>, "code": <code>, ...}``; nothing of what is inside."""
    code = getattr(error, "code", None)
    if code is None or not isinstance(error, HttpError | InventoryError):
        return {"error": "Internal server error", "code": "internal_error"}
    body: dict[str, Any] = {"error": _public_message(error), "code": code}
    if isinstance(error, InventoryError):
        body |= _plain_facts(error)
    if isinstance(error, ValidationError):
        body["details"] = [
            {"field": fault.field, "message": fault.message} for fault in error.errors
        ]
    if isinstance(error, BatchRefusedError):
        body["results"] = [_refused_row(error, index) for index in range(error.rows)]
    return body


def _plain_facts(error: InventoryError) -> dict[str, int | str]:
    """Return the numbers and names that a client needs; lists are shown in a form of their own."""
    return {
        name: fact
        for name, fact in error.facts.items()
        if isinstance(fact, int | str) and name not in _INTERNAL_FACTS
    }


def _public_message(error: HttpError | InventoryError) -> str:
    # Messages of storage errors name tables, files and hosts: those are for the log.
    return error.sentence if isinstance(error, StorageError) else error.message


def row_to_wire(row: "RowResult") -> dict[str, Any]:
    """Return what became of a row of a batch: ``{"index": 0, "status": 201, "item_id": ..., "version": 1, "seq": 0}``."""
    found = {
        "item_id": row.item_id,
        "sku": row.sku,
        "version": row.version,
        "seq": row.seq,
    }
    if row.error is None:
        return {"index": row.index, "status": 201 if row.created else 200, **found}
    said = error_body(row.error)
    return {"index": row.index, "status": CODES[row.error.code], **found, **said}


def _refused_row(batch: BatchRefusedError, index: int) -> dict[str, Any]:
    from inventory.batch import RowResult  # noqa: PLC0415 - whoever refused a batch has loaded it

    error = batch.refused.get(index)
    if error is not None:
        return row_to_wire(RowResult(index=index, error=error))
    return {
        "index": index,
        "status": CODES["not_applied"],
        "code": "not_applied",
        "error": "Not applied, because other rows were refused",
    }
