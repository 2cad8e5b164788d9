"""
`POST /imports`: import an uploaded file as `inventory import` does, and stream the report.

The response has a line of JSON for each step: the settings of the import, then rows with the progress, then the summary.
``{"import": {"format": "shopify", ...}}``, ``{"rows": [{"line": 2, "result": "created", ...}], "read": 512, "size": 1024}``,
``{"summary": {"created": 1, ...}}``; or ``{"error": ..., "code": ...}`` as the last line, if storage fails meanwhile.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any, Final
from urllib.parse import parse_qsl

from attrs import define, field, frozen

from inventory.errors import FieldError, ValidationError
from inventory_adapters.catalogue.imports import (
    DECIMALS,
    FORMATS,
    Import,
    InventoryWriter,
    UnknownTableError,
    UnreadableFileError,
    import_items,
    preview,
)
from inventory_adapters.http.errors import CODES, HttpError, error_body
from inventory_adapters.http.messages import Response
from inventory_adapters.wire import to_json

__all__ = ["IMPORTS_PATH", "MAX_FILE_BYTES", "ClientDisconnectedError", "ImportReport", "Imports"]

IMPORTS_PATH: Final = "/imports"
MAX_FILE_BYTES: Final = 64 << 20

# The longest pause between two parts of the file.
_LONGEST_PAUSE_SECONDS: Final = 30.0
_ROWS_PER_LINE: Final = 100

_FLAGS: Final = {"true": True, "false": False}
_TEXTS: Final = ("location", "category", "encoding", "delimiter", "keep_columns")
_CHOICES: Final[dict[str, Mapping[str, Any]]] = {
    "format": {name: name for name in ("auto", *FORMATS)},
    "decimal": {name: name for name in DECIMALS},
    "negative": {"refuse": "refuse", "zero": "zero"},
    "on_error": {"skip": "skip", "stop": "stop"},
    "dry_run": _FLAGS,
    "update_stock": _FLAGS,
    "accept_warnings": _FLAGS,
}

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientDisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


@frozen(kw_only=True)
class ImportReport(Response):
    """
    A response that is sent while the import runs.

    Attributes:
        lines: The lines of the report. Reading them runs the import.
    """

    lines: AsyncIterator[bytes]

    async def send_body(self, receive: Receive, send: Send) -> None:
        """Send the lines. If the client disconnects, the import stops after the applied rows."""
        disconnected = asyncio.ensure_future(_disconnected(receive))
        try:
            async for line in self.lines:
                if disconnected.done():
                    break
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            disconnected.cancel()
            await self.lines.aclose()  # type: ignore[attr-defined] # a generator


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@define
class Imports:
    """The imports of one server, one at a time."""

    _is_running: bool = field(default=False, init=False)

    async def start(
        self,
        inventory: InventoryWriter,
        query: bytes,
        headers: Mapping[str, str],
        receive: Receive,
    ) -> Response:
        """
        Receive the file of a request, and return the report of its import, or the reason why it cannot be imported.

        Raises:
            ValidationError: A parameter is unknown or invalid.
            HttpError: Another import is running, or the file is too large or does not arrive.
            ClientDisconnectedError: The client closed the connection.
        """
        if "idempotency-key" in headers:
            raise HttpError(
                "idempotency_key_not_supported",
                "Idempotency-Key is not supported for imports: a file can be imported again safely",
            )
        if "if-match" in headers:
            raise HttpError("if_match_not_supported", "If-Match is not supported for imports")
        choices = _choices(query)
        if self._is_running:
            raise HttpError(
                "import_running",
                "Another import is running. Try again when it is done.",
                headers={"Connection": "close"},
            )
        self._is_running = True
        with ExitStack() as stack:
            stack.callback(self._end)
            file = stack.enter_context(tempfile.TemporaryFile())
            await _receive_file(headers, receive, file)
            # Imports have their own thread, so that imports and requests do not wait for each other.
            thread = stack.enter_context(ThreadPoolExecutor(1, "import"))
            loop = asyncio.get_running_loop()
            progress = _Progress()
            ready = import_items(inventory, file, progress=progress.advance, **choices)
            try:
                run = await loop.run_in_executor(thread, stack.enter_context, ready)
            except UnreadableFileError as error:
                return await loop.run_in_executor(thread, _rejected, error, file, choices)
            return ImportReport(
                headers={"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"},
                lines=_streamed(_lines(run, progress), thread, stack.pop_all()),
            )

    def _end(self) -> None:
        self._is_running = False


@define
class _Progress:
    """The number of bytes read, and the size of the file."""

    read: int = 0
    size: int = 0

    def advance(self, read: int, size: int) -> None:
        """Update the progress."""
        self.read, self.size = read, size


def _choices(query: bytes) -> dict[str, Any]:
    """Return the arguments of `import_items` in a query: ``column=sku=Artikelnummer`` may be repeated."""
    choices: dict[str, Any] = {}
    columns: dict[str, str] = {}
    faults = []
    for name, value in parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True):
        if name == "column" and "=" in value:
            field_name, _, column = value.partition("=")
            columns[field_name] = column
        elif name in _TEXTS and value:
            choices[name] = value
        elif name in _CHOICES and value in _CHOICES[name]:
            choices[name] = _CHOICES[name][value]
        elif name in _CHOICES:
            faults.append(FieldError(name, f"must be one of {', '.join(_CHOICES[name])}"))
        elif name in (*_TEXTS, "column"):
            faults.append(
                FieldError(name, "must be FIELD=COLUMN" if name == "column" else "is empty")
            )
        elif not name.startswith("_"):
            faults.append(FieldError(name[:128], "is not a parameter of imports"))
    if faults:
        raise ValidationError(errors=tuple(faults))
    return {**choices, **({"columns": columns} if columns else {})}


async def _receive_file(headers: Mapping[str, str], receive: Receive, file: IO[bytes]) -> None:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_FILE_BYTES:
        raise _too_large()
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), _LONGEST_PAUSE_SECONDS)
        except TimeoutError:
            raise HttpError(
                "request_timeout",
                f"The file did not arrive: a pause of {_LONGEST_PAUSE_SECONDS:.0f} s",
                headers={"Connection": "close"},
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        file.write(message.get("body", b""))
        if file.tell() > MAX_FILE_BYTES:
            raise _too_large()
        more = message.get("more_body", False)


def _too_large() -> HttpError:
    # The client is still sending the file, so the connection cannot be used again.
    return HttpError(
        "payload_too_large",
        f"The file may be {MAX_FILE_BYTES >> 20} MiB at most. Larger ones: inventory import FILE",
        headers={"Connection": "close"},
    )


def _rejected(error: UnreadableFileError, file: IO[bytes], choices: Mapping[str, Any]) -> Response:
    body: dict[str, Any] = {"error": str(error), "code": error.code}
    if isinstance(error, UnknownTableError):
        reading = {name: choices[name] for name in ("encoding", "delimiter") if name in choices}
        body |= preview(file, **reading)
    return Response(status=CODES[error.code], body=to_json(body), code=error.code)


def _lines(run: Import, progress: _Progress) -> Iterator[bytes]:
    yield _line({"import": run.about})
    outcomes = iter(run)
    try:
        while rows := [outcome.wire for outcome in islice(outcomes, _ROWS_PER_LINE)]:
            yield _line({"rows": rows, "read": progress.read, "size": progress.size})
    except Exception as error:  # noqa: BLE001 - the status is already sent, so the last line has the error
        yield _line(error_body(error))
    else:
        yield _line({"summary": run.summary})


def _line(value: dict[str, Any]) -> bytes:
    return f"{to_json(value)}\n".encode()


async def _streamed(
    lines: Iterator[bytes], thread: ThreadPoolExecutor, stack: ExitStack
) -> AsyncIterator[bytes]:
    """Yield *lines*, each computed in *thread*, and close *stack* at the end."""
    loop = asyncio.get_running_loop()
    with stack:
        while (line := await loop.run_in_executor(thread, next, lines, None)) is not None:
            yield line
