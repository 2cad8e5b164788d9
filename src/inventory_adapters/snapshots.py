"""
Snapshots as files: JSON lines, compressed with gzip.

    {"format": "inventory-snapshot", "version": 1}
    {"type": "item", "value": {"key": {"item_id": "...", "sku": "..."}, "name": "...", ...}}
    {"type": "movement", "value": {...}}
    {"type": "idempotency_record", "value": {...}}
    {"type": "reservation", "value": {...}}
    {"end": {"item": 1, "movement": 1, "idempotency_record": 1, "reservation": 1}}

Without the last line, a file that was cut off at the end of a line would be taken for a whole one.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from inventory.errors import SnapshotError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Item
from inventory.reservations import Reservation
from inventory.snapshots import Record
from inventory.stock import Movement
from inventory_adapters.records import structure, to_text, unstructure

__all__ = ["SnapshotFileError", "read_snapshot", "write_snapshot"]

_FORMAT: Final = "inventory-snapshot"
_VERSION: Final = 1

_KINDS: Final[dict[str, type[Record]]] = {
    "item": Item,
    "movement": Movement,
    "idempotency_record": IdempotencyRecord,
    "reservation": Reservation,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


class SnapshotFileError(SnapshotError):
    """A file is not a whole snapshot that this version can read."""


def write_snapshot(file: BinaryIO, records: Iterable[Record]) -> Counter[str]:
    """Write *records*, and return their number by type: ``{"item": 3, "movement": 10}``."""
    counts: Counter[str] = Counter()
    with gzip.open(file, "wt", compresslevel=6, encoding="utf-8", newline="\n") as lines:
        lines.write(to_text({"format": _FORMAT, "version": _VERSION}) + "\n")
        for record in records:
            name = _NAMES[type(record)]
            lines.write(to_text({"type": name, "value": unstructure(record)}) + "\n")
            counts[name] += 1
        lines.write(to_text({"end": counts}) + "\n")
    return counts


def read_snapshot(path: Path) -> Iterator[Record]:
    """
    Yield the records of a file.

    Raises:
        SnapshotFileError: The file is damaged, cut off, or of a newer version.
    """
    counts: Counter[str] = Counter()
    number = 1
    is_whole = False
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for text in lines:
                line = _parsed(text)
                if number == 1:
                    _check_header(path, line)
                elif is_whole:
                    _reject("text after the end")
                elif "end" in line:
                    if line["end"] != counts:
                        _reject(f"{line['end']} expected, {dict(counts)} found")
                    is_whole = True
                else:
                    yield structure(line["value"], _KINDS[line["type"]])
                    counts[line["type"]] += 1
                number += 1
    except EOFError:
        is_whole = False
    except (gzip.BadGzipFile, zlib.error, LookupError, TypeError, ValueError) as error:
        raise SnapshotFileError(f"{path} is damaged at line {number}: {error}") from error
    if not is_whole:
        raise SnapshotFileError(f"{path} is cut off at line {number}")


def _reject(reason: str) -> NoReturn:
    raise ValueError(reason)


def _parsed(text: str) -> dict[str, Any]:
    line = json.loads(text)
    if not isinstance(line, dict):
        raise TypeError("not an object")
    return line


def _check_header(path: Path, header: dict[str, Any]) -> None:
    if header["format"] != _FORMAT:
        raise ValueError(f"unknown format {header['format']}")
    if header["version"] != _VERSION:
        raise SnapshotFileError(
            f"{path} was written by a newer version of this program (format {header['version']},"
            f" supported: {_VERSION}). Upgrade."
        )
