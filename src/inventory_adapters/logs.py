"""Structured logs: one JSON object per line."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["JsonFormatter", "to_stderr"]

# The attributes of every record; the others come from `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_ENCODE: Final = json.JSONEncoder(default=str).encode


class JsonFormatter(logging.Formatter):
    """
    Formats a record as one line: time, level, logger, message, the fields of `extra`, and the exception as text.

    ``{"time": "2026-05-01T09:30:00.000+00:00", "level": "INFO", "logger": "shop", "message": "sold", "units": 3}``
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as JSON; values without a JSON type become text."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        # Standard fields come first, and no field of `extra` replaces one.
        line = line | extra | line
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return _ENCODE(line)


def to_stderr() -> None:
    """
    Log to stderr as JSON: this package from level INFO, other packages from WARNING.

    The level of the root logger does not change, because at DEBUG an SDK logs every header.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger("inventory_adapters").setLevel(logging.INFO)
