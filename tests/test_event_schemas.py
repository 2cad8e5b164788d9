"""The JSON Schemas of events in docs/events: current, and right about every event."""

import json
import os
from pathlib import Path

import attrs
import pytest
from jsonschema import Draft202012Validator

from inventory import (
    AdjustStock,
    CommitReservation,
    CreateReservation,
    DeleteItem,
    ExpireReservations,
    ExtendReservation,
    Inventory,
    LineRequest,
    ReleaseReservation,
    UpdateItem,
)
from inventory_adapters.events.cloud_events import event_to_text
from inventory_adapters.events.schemas import event_schemas
from inventory_adapters.storage.memory import MemoryRepository
from tests.domain.use_cases import TENT, Time
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


def require_valid(event):
    text = event_to_text(event, source="test")
    validator = Draft202012Validator(
        SCHEMAS[event.type], format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(json.loads(text))


def test_the_events_of_every_history_are_valid():
    """Each by the schema of its type."""
    received = []

    class Telling(InventoryMachine):
        repositories = (memory,)

        def __init__(self):
            super().__init__()
            self.inventories = [
                attrs.evolve(it, on_event=received.append) for it in self.inventories
            ]

    run(Telling, examples=20, steps=30)

    assert received
    for event in received:
        require_valid(event)


def test_an_event_of_each_type_is_valid():
    """Also of those that are rare in random histories."""
    received, clock = [], Time()
    inventory = Inventory(MemoryRepository(), clock=clock, on_event=received.append)
    item = inventory.create_item(TENT)
    key = {"item_id": item.item_id, "sku": item.sku}
    inventory.update_item(UpdateItem(**key, reorder_point=1))
    for delta in (-5, 5):
        inventory.adjust_stock(AdjustStock(**key, delta=delta, reason="test"))
    reservations = [
        inventory.create_reservation(
            CreateReservation(lines=(LineRequest(**key, quantity=1),), ttl_seconds=60)
        )
        for _ in range(3)
    ]
    first, second, _ = ({"reservation_id": it.reservation_id} for it in reservations)
    inventory.extend_reservation(ExtendReservation(**first, ttl_seconds=90))
    inventory.commit_reservation(CommitReservation(**first))
    inventory.release_reservation(ReleaseReservation(**second))
    clock.pass_by(seconds=61)
    inventory.expire_reservations(ExpireReservations())
    inventory.delete_item(DeleteItem(**key))

    assert {event.type for event in received} == {*SCHEMAS}
    for event in received:
        require_valid(event)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_rejects_other_types(name):
    """Each says which type it is of."""
    Draft202012Validator.check_schema(SCHEMAS[name])

    assert SCHEMAS[name]["properties"]["type"] == {"const": name}
