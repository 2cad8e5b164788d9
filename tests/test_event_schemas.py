"""The JSON Schemas of events in docs/events: current, and right about every event."""

import json
import os
from pathlib import Path

import attrs
import pytest
from jsonschema import Draft202012Validator

from inventory_adapters.events.cloud_events import event_to_text
from inventory_adapters.events.schemas import event_schemas
from tests.machine import InventoryMachine, memory, run

FOLDER = Path(__file__).parent.parent / "docs" / "events"
SCHEMAS = event_schemas()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_in_the_docs_is_current(name):
    """To write it again, run this test with UPDATE_DOCS=1."""
    file = FOLDER / f"{name}.json"
    text = json.dumps(SCHEMAS[name], indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        file.write_text(text, encoding="utf-8")

    assert file.read_text(encoding="utf-8") == text


def test_there_is_no_other_schema():
    """Of an event that does not exist any more."""
    assert {file.stem for file in FOLDER.glob("*.json")} == {*SCHEMAS}


def test_every_event_is_valid():
    """All events of many histories, each by the schema of its type; every type occurs."""
    validators = {
        name: Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for name, schema in SCHEMAS.items()
    }
    told = []

    class Telling(InventoryMachine):
        repositories = (memory,)

        def __init__(self):
            super().__init__()
            self.inventories = [attrs.evolve(it, on_event=told.append) for it in self.inventories]

    run(Telling, examples=50, steps=40)

    for event in told:
        text = event_to_text(event, source="test")
        validators[event.type].validate(json.loads(text))
    assert {event.type for event in told} == {*SCHEMAS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_rejects_other_types(name):
    """Each says which type it is of."""
    Draft202012Validator.check_schema(SCHEMAS[name])

    assert SCHEMAS[name]["properties"]["type"] == {"const": name}
