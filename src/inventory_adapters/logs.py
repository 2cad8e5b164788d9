"""Log lines for programs: one JSON object a line."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["JsonFormatter", "to_stderr"]

# What every record has; the rest of its attributes came as `extra`.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_ENCODE: Final = json.JSONEncoder(default=str).encode


class JsonFormatter(logging.Formatter):
    """
    Writes a record as one line: time, level, logger, message, every field of `extra`, and the exception as text.

    ``{"time": "2026-05-01T09:30:00.000+00:00", "level": "INFO", "logger": "shop", "message": "sold", "units": 3}``
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as JSON; what JSON has no word for is written as text."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _OWN}
        # In this order, and no field of `extra` in the place of one of ours.
        line = line | extra | line
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return _ENCODE(line)


def to_stderr() -> None:
    """
    Send all logs of this process to stderr as JSON: our own from INFO on, those of others from WARNING on.

    The root logger keeps its level: at DEBUG, an SDK would log every header.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    # What no line tells need not be found out for each. Source: Python's logging HOWTO, "Optimization".
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("inventory_adapters").setLevel(logging.INFO)
