"""HTTP statuses and response bodies of errors."""

from typing import TYPE_CHECKING, Any, Final

from inventory import errors
from inventory.errors import BatchRefusedError, InventoryError, StorageError, ValidationError

if TYPE_CHECKING:
    from inventory.batch import RowResult

__all__ = ["CODES", "HttpError", "error_body", "row_to_wire"]

# The status of an error is that of its nearest ancestor in this table.
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

# Facts that are logged but not sent.
_INTERNAL_FACTS: Final = {"why"}

# Errors outside the domain: of requests before they become commands, and of batch rows that were not applied.
_HTTP_STATUS: Final = {
    "body_required": 400,
    "malformed_body": 400,
    "malformed_request": 400,
    "if_match_not_supported": 400,
    "idempotency_key_not_supported": 400,
    "unreadable_file": 400,
    "unknown_table": 400,
    "confirmation_required": 400,
    "bad_host": 400,
    "api_key_required": 401,
    "wrong_api_key": 401,
    "read_only_key": 403,
    "forbidden_origin": 403,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "import_running": 409,
    "not_applied": 409,
    "payload_too_large": 413,
    "too_many_wrong_keys": 429,
    "head_too_large": 431,
    "internal_error": 500,
    "too_many_connections": 503,
}


def _status_of(kind: type[InventoryError]) -> int:
    for parent in kind.__mro__:
        if parent in _STATUS:
            return _STATUS[parent]
    raise TypeError(f"no HTTP status for {kind.__name__}")


def _with_subclasses(base: type[InventoryError]) -> list[type[InventoryError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _with_subclasses(child))]


CODES: Final[dict[str, int]] = {
    **_HTTP_STATUS,
    **{
        kind.code: _status_of(kind)
        for kind in _with_subclasses(InventoryError)
        if "code" in vars(kind)
    },
}
"""The HTTP status of every error code."""


class HttpError(Exception):
    """A request that is rejected before it becomes a command."""

    def __init__(self, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


def error_body(error: Exception) -> dict[str, Any]:
    """
    Return the body of the response to *error*: ``{"error": <sentence>, "code": <code>, ...}``.

    An error without a code is unexpected, and its details are not sent.
    """
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
        body["results"] = [_row_of_refused_batch(error, index) for index in range(error.rows)]
    return body


def _plain_facts(error: InventoryError) -> dict[str, int | str]:
    """Return the facts that are numbers or text; `error_body` writes the others."""
    return {
        name: fact
        for name, fact in error.facts.items()
        if isinstance(fact, int | str) and name not in _INTERNAL_FACTS
    }


def _public_message(error: HttpError | InventoryError) -> str:
    # Messages of storage errors may name tables, files and hosts, so they are only logged.
    return error.sentence if isinstance(error, StorageError) else error.message


def row_to_wire(row: "RowResult") -> dict[str, Any]:
    """Return the result of a batch row: ``{"index": 0, "status": 201, "item_id": ..., "version": 1, "seq": 0}``."""
    item = {"item_id": row.item_id, "sku": row.sku, "version": row.version, "seq": row.seq}
    if row.error is not None:
        return _rejected_row(row.index, row.error, item)
    return {"index": row.index, "status": 201 if row.created else 200, **item}


def _rejected_row(index: int, error: InventoryError, item: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "status": CODES[error.code], **item, **error_body(error)}


def _row_of_refused_batch(batch: BatchRefusedError, index: int) -> dict[str, Any]:
    error = batch.refused.get(index)
    if error is not None:
        return _rejected_row(index, error, dict.fromkeys(("item_id", "sku", "version", "seq")))
    return {
        "index": index,
        "status": CODES["not_applied"],
        "code": "not_applied",
        "error": "Not applied, because other rows were rejected",
    }
