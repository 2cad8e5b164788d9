"""schemathesis tests a server with valid and invalid requests of the OpenAPI document."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inventory_adapters.http.openapi import document
from tests.local_server import needs_signals, serving

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("fuzzing.py")

pytestmark = needs_signals


def fuzz(folder, *options, published=None):
    """Run schemathesis with all its checks against a new server; return its exit code, its output, and the log."""
    with serving(folder / "log", "--memory") as server:
        done = subprocess.run(
            [
                *(SCHEMATHESIS, "--config-file", CONFIG, "--no-color", "run"),
                *(
                    published or f"{server.url}/openapi.json",
                    "--url",
                    server.url,
                    "--checks",
                    "all",
                    *options,
                ),
            ],
            cwd=folder,  # It leaves files behind.
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
            capture_output=True,
            text=True,
            check=False,
        )
        log = server.log.read_text()
    return done.returncode, f"{done.stdout}{done.stderr}", log


@pytest.mark.fuzz
def test_short_run_finds_nothing(tmp_path):
    """The same few requests each time."""
    code, said, log = fuzz(
        tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1"
    )

    assert code == 0, said
    assert '"level": "ERROR"' not in log


@pytest.mark.fuzz
def test_wrong_document_is_noticed(tmp_path):
    """A wrong bound, header or property is found in spite of the filters."""
    wrong = document()
    schemas = wrong["components"]["schemas"]
    schemas["CreateItem"]["properties"]["quantity"]["maximum"] *= 2
    schemas["Item"]["properties"]["reserved"]["type"] = "string"
    wrong["components"]["headers"]["ETag"]["schema"]["pattern"] = "^W/"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))

    code, said, _ = fuzz(
        *(tmp_path, "--phases", "coverage", "--seed", "1", "--include-operation-id", "create_item"),
        published=tmp_path / "wrong.json",
    )

    assert code == 1, said
    for expected in ("Schema-valid request rejected", "violates schema", "header does not conform"):
        assert expected in said


@pytest.mark.slow
def test_long_run_finds_nothing(tmp_path):
    """New requests each time, and sequences that use earlier responses."""
    code, said, log = fuzz(tmp_path, "--max-examples", "500")

    assert code == 0, said
    assert '"level": "ERROR"' not in log
