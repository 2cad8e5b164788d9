import json
import logging
import os
import subprocess
import sys
from datetime import datetime

import pytest

from inventory_adapters.logs import JsonFormatter


def record(message, *arguments, extra=None, exc_info=None):
    made = logging.LogRecord("shop", logging.INFO, "shop.py", 7, message, arguments, exc_info)
    vars(made).update(extra or {})
    return made


def test_line_has_the_message_and_every_extra_field():
    """Every field of `extra` is in the line by its name."""
    line = JsonFormatter().format(record("sold %d", 3, extra={"sku": "MUG-1", "code": None}))

    parsed = json.loads(line)
    at = datetime.fromisoformat(parsed.pop("time"))
    assert at.tzinfo is not None
    assert parsed == {
        "level": "INFO",
        "logger": "shop",
        "message": "sold 3",
        "sku": "MUG-1",
        "code": None,
    }


def test_exception_is_text_on_the_same_line():
    """A log entry is one line, although a traceback has many."""
    with pytest.raises(ValueError, match="two") as caught:
        raise ValueError("two\nlines")

    line = JsonFormatter().format(record("failed", exc_info=(caught.type, caught.value, caught.tb)))

    assert "\n" not in line
    assert json.loads(line).get("exception", "").endswith("ValueError: two\nlines")


def test_extra_field_does_not_replace_a_standard_field():
    """The level and the time are those of the record."""
    line = JsonFormatter().format(record("sold", extra={"level": 3, "time": "never"}))

    assert json.loads(line)["level"] == "INFO"
    assert json.loads(line)["time"] != "never"


def test_value_without_a_json_type_is_text():
    """No value of a field prevents the line."""
    line = JsonFormatter().format(record("sold", extra={"keys": {1}}))

    assert json.loads(line)["keys"] == "{1}"


@pytest.mark.parametrize(
    "script",
    [
        "from inventory_adapters import logs; logs.to_stderr()",
        "from inventory_adapters import lambda_entry; lambda_entry.get_item({}, None)",
        "from inventory_adapters.bootstrap import in_memory; in_memory()",
    ],
)
@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR"])
def test_level_of_the_root_logger_does_not_change(script, level):
    """At DEBUG, an SDK logs every header."""
    program = (
        f"import logging; logging.getLogger().setLevel('{level}')\n{script}\n"
        "print(logging.getLevelName(logging.getLogger().level))"
    )
    environ = {**os.environ, "TABLE_NAME": "t", "LOG_LEVEL": "DEBUG", "AWS_MAX_ATTEMPTS": "1"}
    environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ
    )

    assert done.stdout.splitlines()[-1] == level
