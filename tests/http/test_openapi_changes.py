"""The comparison of two OpenAPI documents reports the changes that break a client, and no others."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from tests import openapi_changes
from tests.openapi_changes import breaking_changes

ROOT = Path(__file__).parents[2]
OLD = json.loads((ROOT / "docs/openapi.json").read_text())
BREAKING, HARMLESS = [], []


def breaking(*reasons):
    """Register a change and the reasons why it breaks a client, the same at each operation."""

    def register(change):
        BREAKING.append(pytest.param(change, {*reasons}, id=change.__name__))
        return change

    return register


def harmless(change):
    """Register a change that breaks no client."""
    HARMLESS.append(pytest.param(change, id=change.__name__))
    return change


class Document:
    """A copy of the document to change."""

    def __init__(self):
        self.content = deepcopy(OLD)
        self.paths = self.content["paths"]
        self.listing = self.paths["/items"]["get"]
        self.created = self.paths["/items"]["post"]["responses"]["201"]

    def schema(self, name):
        return self.content["components"]["schemas"][name]

    def field(self, schema, name):
        return self.schema(schema)["properties"][name]

    def parameter(self, name):
        return next(it for it in self.listing["parameters"] if it["name"] == name)


@breaking("POST /items/batch: removed")
def a_path_is_removed(new):
    del new.paths["/items/batch"]


@breaking("DELETE /items/{item_id}: removed")
def a_method_is_removed(new):
    del new.paths["/items/{item_id}"]["delete"]


@breaking("parameter sku: removed")
def a_parameter_is_removed(new):
    new.listing["parameters"].remove(new.parameter("sku"))


@breaking("parameter sku: required")
def a_parameter_becomes_required(new):
    new.parameter("sku")["required"] = True


@breaking("parameter shop: required")
def a_new_parameter_is_required(new):
    shop = {"name": "shop", "in": "query", "required": True, "schema": {"type": "string"}}
    new.listing["parameters"].append(shop)


@breaking("parameter status: fewer values")
def a_value_of_a_parameter_is_removed(new):
    new.parameter("status")["schema"]["enum"].remove("discontinued")


@breaking("parameter page_token: pattern")
def a_pattern_changes(new):
    new.parameter("page_token")["schema"]["pattern"] = "^[a-z]+$"


@breaking("body.ttl_seconds: required")
def a_property_of_a_request_becomes_required(new):
    new.schema("CreateReservation")["required"].append("ttl_seconds")


@breaking("body.cashier: required")
def a_new_property_of_a_request_is_required(new):
    new.schema("CreateReservation")["properties"]["cashier"] = {"type": "string"}
    new.schema("CreateReservation")["required"].append("cashier")


@breaking("body.reference: removed")
def a_property_of_a_request_is_removed(new):
    del new.schema("CreateReservation")["properties"]["reference"]


@breaking("body.ttl_seconds: type integer")
def a_type_changes(new):
    new.field("CreateReservation", "ttl_seconds")["type"] = "string"


@breaking("body.reference: type null")
def a_property_of_a_request_may_not_be_null(new):
    new.field("CreateReservation", "reference")["type"] = "string"


@breaking("body.ttl_seconds: minimum 61", "body.ttl_seconds: maximum 3600")
def bounds_become_narrower(new):
    new.field("CreateReservation", "ttl_seconds").update(minimum=61, maximum=3600)


@breaking("body.lines: maxItems 24", "body.lines[].quantity: minimum 2")
def bounds_of_a_list_become_narrower(new):
    new.field("CreateReservation", "lines")["maxItems"] = 24
    new.field("LineRequest", "quantity")["minimum"] = 2


@breaking("body.items[]: an alternative is no longer allowed")
def an_alternative_of_a_request_is_removed(new):
    new.schema("BatchRow")["anyOf"].pop()


@breaking("201: removed")
def a_status_is_removed(new):
    new.paths["/items"]["post"]["responses"]["200"] = new.created
    del new.paths["/items"]["post"]["responses"]["201"]


@breaking("header ETag: removed")
def a_header_is_removed(new):
    del new.created["headers"]["ETag"]


@breaking("body application/json: removed")
def a_response_changes_its_media_type(new):
    new.created["content"]["text/csv"] = new.created["content"].pop("application/json")


@breaking("body.reservation.reference: removed")
def a_property_of_a_response_is_removed(new):
    del new.schema("Reservation")["properties"]["reference"]
    new.schema("Reservation")["required"].remove("reference")


@breaking("body.reservation.reference: optional")
def a_property_of_a_response_becomes_optional(new):
    new.schema("Reservation")["required"].remove("reference")


@breaking("body.reservation.state: type null")
def a_property_of_a_response_becomes_nullable(new):
    new.field("Reservation", "state")["type"] = ["string", "null"]


@harmless
def a_path_is_added(new):
    new.paths["/shops"] = new.paths["/items/batch"]


@harmless
def a_status_is_added(new):
    new.paths["/items"]["post"]["responses"]["418"] = new.created


@harmless
def an_optional_parameter_is_added(new):
    new.listing["parameters"].append({"name": "shop", "in": "query", "schema": {"type": "string"}})


@harmless
def an_optional_property_of_a_request_is_added(new):
    new.schema("CreateReservation")["properties"]["cashier"] = {"type": "string"}


@harmless
def a_property_of_a_request_becomes_optional(new):
    new.schema("CreateReservation")["required"] = []


@harmless
def bounds_become_wider(new):
    new.field("CreateReservation", "ttl_seconds").update(minimum=1, maximum=10**9)
    new.field("CreateReservation", "lines")["maxItems"] = 100


@harmless
def a_request_accepts_more_types_and_values(new):
    new.field("CreateReservation", "ttl_seconds")["type"] = ["number", "null"]
    new.parameter("status")["schema"]["enum"].append("ordered")
    new.schema("BatchRow")["anyOf"].append({"type": "null"})


@harmless
def a_property_of_a_response_is_added(new):
    new.schema("Reservation")["properties"]["cashier"] = {"type": "string"}
    new.schema("Reservation")["required"].append("cashier")


@harmless
def a_component_has_another_name(new):
    new.content["components"]["schemas"]["Hold"] = {"$ref": "#/components/schemas/Reservation"}
    new.field("ReservationResponse", "reservation")["$ref"] = "#/components/schemas/Hold"


@harmless
def prose_changes(new):
    new.listing["description"] = "List items."
    new.field("Item", "name")["description"] = "What it is called."


@pytest.mark.parametrize(("change", "reasons"), BREAKING)
def test_breaking_change_is_reported(change, reasons):
    """With its place and its reason."""
    new = Document()

    change(new)

    changes = breaking_changes(OLD, new.content)
    assert {
        line.rpartition(", ")[2].replace("body.reservations[].", "body.reservation.")
        for line in changes
    } == reasons


@pytest.mark.parametrize("change", HARMLESS)
def test_harmless_change_is_not_reported(change):
    """A client of the old document works with the new one."""
    new = Document()

    change(new)

    assert new.content != OLD
    assert breaking_changes(OLD, new.content) == []


@pytest.mark.parametrize(("removed", "code"), [((), 0), (("/items/batch",), 1)])
def test_document_is_compared_with_that_of_a_tag(tmp_path, removed, code):
    """The exit code is 1 if a change breaks a client."""
    document = tmp_path / "docs/openapi.json"
    document.parent.mkdir()
    document.write_text(json.dumps(OLD))
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "A"], ["tag", "v1.0.0"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    paths = {path: item for path, item in OLD["paths"].items() if path not in removed}
    document.write_text(json.dumps({**OLD, "paths": paths}))

    done = subprocess.run(
        [sys.executable, openapi_changes.__file__, "v1.0.0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == "".join(f"POST {path}: removed\n" for path in removed)
