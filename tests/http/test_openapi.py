"""The OpenAPI document matches the API exactly."""

import asyncio
import inspect
import json
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import httpx
import jsonschema
import pytest
from click.testing import CliRunner
from openapi_spec_validator import validate

from inventory import errors
from inventory.errors import FieldError, InventoryError
from inventory.service import Inventory
from inventory.validation import Money, Nullable, Object, specs
from inventory_adapters.cli.main import cli
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.http.errors import CODES, error_body
from inventory_adapters.http.examples import exchanges
from inventory_adapters.http.openapi import as_text, document
from inventory_adapters.http.routes import HEADER_FIELDS, QUERY_ALIASES, ROUTES
from inventory_adapters.http.schemas import COMPONENTS, SUCCESSES
from inventory_adapters.server import pages
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.storage.memory import MemoryRepository

PUBLISHED = Path(__file__).parents[2] / "docs/openapi.json"
DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]

# No operation answers with them: they come before one is found, or stand for one row of a batch.
NO_OPERATIONS = {
    "bad_host",
    "forbidden_origin",
    "head_too_large",
    "malformed_request",
    "method_not_allowed",
    "not_applied",
    "route_not_found",
    "too_many_connections",
}
# Of the local server's `POST /imports`, which is no operation of the API.
NO_OPERATIONS |= {"idempotency_key_not_supported", "unreadable_file", "unknown_table"}
NO_OPERATIONS |= {"confirmation_required", "request_timeout", "import_running"}
# Of the local server's keys.
NO_OPERATIONS |= {"api_key_required", "wrong_api_key", "read_only_key", "too_many_wrong_keys"}

ERROR_KINDS = [
    kind
    for kind in (getattr(errors, name) for name in errors.__all__)
    if issubclass(kind, InventoryError) and "code" in vars(kind)
]

routes = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)


def operation(route):
    return DOCUMENT["paths"][route.path][route.method.lower()]


def resolved(part):
    """Return the target of *part* if it is a reference."""
    while "$ref" in part:
        *_, kind, name = part["$ref"].split("/")
        part = DOCUMENT["components"][kind][name]
    return part


def schema_of(response):
    return resolved(response)["content"]["application/json"]["schema"]


def documented_codes(route):
    for response in operation(route)["responses"].values():
        yield from resolved(response).get("x-error-codes", [])


class TestDocument:
    def test_published_document_is_current(self):
        """`inventory openapi --output docs/openapi.json` updates it."""
        assert PUBLISHED.read_text(encoding="utf-8") == as_text()

    def test_document_is_valid(self):
        """It conforms to the specification's schema for OpenAPI 3.1."""
        validate(DOCUMENT)

    def test_document_is_deterministic(self):
        """The clock and IDs of the examples are fixed."""
        assert document() == DOCUMENT

    def test_command_prints_the_document(self, tmp_path):
        """To stdout, or to the given file."""
        printed = CliRunner().invoke(cli, ["openapi"])
        written = CliRunner().invoke(cli, ["openapi", "--output", str(tmp_path / "openapi.json")])

        assert printed.exit_code == written.exit_code == 0
        assert json.loads(printed.stdout) == DOCUMENT
        assert (tmp_path / "openapi.json").read_text() == printed.stdout

    def test_every_object_is_a_named_component(self):
        """Client generators make up names for other objects."""
        inline = [
            path
            for path, part in parts_of(DOCUMENT)
            if "properties" in part and not re.fullmatch(r"components/schemas/\w+", path)
        ]
        elsewhere = [
            path
            for path, part in parts_of(DOCUMENT["paths"], "paths")
            if path.endswith("application/json/schema") and set(part) != {"$ref"}
        ]

        assert inline == []
        assert elsewhere == []

    def test_client_generators_support_every_schema(self):
        """No union with null other than a type list, and no default beside one."""
        for path, part in parts_of(DOCUMENT["components"]["schemas"], "schemas"):
            options = [*part.get("anyOf", []), *part.get("oneOf", []), *part.get("allOf", [])]
            assert {"type": "null"} not in options, path
            assert "default" not in part or isinstance(part.get("type"), str | list), path
            if isinstance(part.get("type"), list):
                assert len(part["type"]) == 2, path
                assert part["type"][1] == "null", path
                assert part["type"][0] in ("string", "integer", "number", "boolean", "object"), path

    def test_price_is_one_component_everywhere(self):
        """In requests and responses."""
        prices = [
            schema["properties"]["price"]
            for schema in SCHEMAS.values()
            if "price" in schema.get("properties", {})
        ]

        assert len(prices) == 4
        assert {it["$ref"] for it in prices} == {"#/components/schemas/Price"}
        assert SCHEMAS["Price"]["type"] == "number"

    def test_every_component_is_used(self):
        """No component is left over."""
        used = {part["$ref"] for _, part in parts_of(DOCUMENT) if "$ref" in part}

        assert {f"#/components/schemas/{name}" for name in SCHEMAS} <= used

    def test_every_operation_is_described(self):
        """With a name, a summary, a description and a tag."""
        for methods in DOCUMENT["paths"].values():
            for about in methods.values():
                assert all(about[it] for it in ("operationId", "summary", "description", "tags"))

    @routes
    def test_examples_of_parameters_have_their_type(self, route):
        """A number in a query is a number in the document."""
        for parameter in operation(route).get("parameters", []):
            if "example" in parameter:
                check(parameter["example"], parameter["schema"])

    def test_every_property_is_described(self):
        """In requests and responses."""
        silent = [
            (name, member)
            for name, schema in SCHEMAS.items()
            for member, about in schema.get("properties", {}).items()
            if not {"description", "$ref", "items"} & set(about)
        ]

        assert silent == []


class TestRequests:
    def test_paths_are_those_of_the_routes(self):
        """No route is missing, and none is unknown."""
        documented = {
            (method.upper(), path, about["operationId"])
            for path, methods in DOCUMENT["paths"].items()
            for method, about in methods.items()
        }

        assert documented == {(route.method, route.path, route.name) for route in ROUTES}

    @routes
    def test_every_bound_appears_where_its_field_is_sent(self, route):
        """In the schema of the body or of the parameter."""
        parameters = {
            (it["in"], it["name"].lower()): it for it in operation(route).get("parameters", [])
        }
        headers = {name: header for header, name in HEADER_FIELDS.items()}
        body = dict(SCHEMAS.get(route.command.__name__, {}).get("properties", {}))
        for spec in specs(route.command):
            if spec.wire in route.sent_fields and route.has_body:
                described, bound = body.pop(spec.wire), spec.bound
            else:
                place = "path" if spec.wire in route.path_fields else "query"
                name = headers.get(spec.wire, spec.wire)
                key = ("header", name) if spec.wire in headers else (place, name)
                parameter = parameters.pop(key)
                assert parameter["required"] == spec.required
                described = parameter["schema"]
                bound = spec.bound.bound if isinstance(spec.bound, Nullable) else spec.bound
            assert expected_schema(bound).items() <= described.items()
        aliases = {
            ("query", alias) for alias, name in QUERY_ALIASES.items() if name in route.sent_fields
        }
        actor = set() if route.method == "GET" else {("header", "x-actor")}
        assert set(parameters) == (aliases if not route.has_body else set()) | actor
        assert body == {}

    @routes
    def test_examples_are_valid_requests(self, route):
        """They match the schema."""
        body = operation(route).get("requestBody", {"content": {}})
        for content in body["content"].values():
            assert content["examples"]
            for example in content["examples"].values():
                check(example["value"], content["schema"])


def expected_schema(bound):
    """Return the schema of *bound*; objects and prices are references to components."""
    if isinstance(bound, Money):
        return {
            "$ref": "#/components/schemas/Price",
            "minimum": 0,
            "maximum": float(bound.maximum),
        }
    if isinstance(bound, Object):
        return {"$ref": f"#/components/schemas/{bound.kind.__name__}"}
    return {key: value for key, value in bound.schema().items() if key != "items"}


def parts_of(value, path=""):
    """Yield every object of the document with its path, without examples."""
    if isinstance(value, dict):
        yield path, value
        for name, part in value.items():
            if name not in ("example", "examples"):
                yield from parts_of(part, f"{path}/{name}".lstrip("/"))
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from parts_of(part, f"{path}/{index}")


def check(value, schema):
    jsonschema.validate(value, {**schema, "components": {"schemas": SCHEMAS}})


class TestAnswers:
    @pytest.mark.parametrize(
        "exchange", exchanges(), ids=lambda it: f"{it.route.name}: {it.summary}"
    )
    def test_real_responses_are_documented(self, exchange):
        """Every response has a documented status, headers, and a schema with all its properties."""
        response = resolved(operation(exchange.route)["responses"][str(exchange.response.status)])
        required = {
            name for name, it in response["headers"].items() if resolved(it).get("required")
        }

        check(exchange.received, schema_of(response))
        assert exchange.response.code in [None, *response.get("x-error-codes", [])]
        assert unlisted(exchange.received, schema_of(response)) == []
        assert undocumented(exchange.received, schema_of(response)) == []
        assert set(exchange.response.headers) <= set(response["headers"])
        assert required <= {*exchange.response.headers, "X-Request-Id"}

    def test_documented_properties_are_all_real(self):
        """Every property of a schema is in some example."""
        seen = {name: set() for name in SCHEMAS}
        for exchange in exchanges():
            response = operation(exchange.route)["responses"][str(exchange.response.status)]
            note_members(exchange.received, schema_of(response), seen)

        for name, component in COMPONENTS.items():
            if (
                name != "RowResult"
            ):  # has the facts of every error, most of which no row of a batch meets
                assert seen[name] == set(component.get("properties", {})), name

    def test_every_operation_declares_its_response(self):
        """And no other operation does."""
        assert set(SUCCESSES) == {route.name for route in ROUTES}

    @routes
    def test_codes_of_an_operation_have_their_status(self, route):
        """Each error is documented with its status."""
        for status, response in operation(route)["responses"].items():
            for code in resolved(response).get("x-error-codes", []):
                assert CODES[code] == int(status)

    def test_every_code_is_documented(self):
        """In the list of codes, and with each operation that can have it."""
        answered = {code for route in ROUTES for code in documented_codes(route)}

        assert set(SCHEMAS["ErrorCode"]["x-extensible-enum"]) == set(CODES)
        assert answered == set(CODES) - NO_OPERATIONS

    @routes
    def test_errors_of_a_docstring_are_documented(self, route):
        """Errors that a use case raises are responses of its operation."""
        raised = re.findall(r"^ +(\w+Error):", inspect.getdoc(route.use_case) or "", re.MULTILINE)

        assert {getattr(errors, name).code for name in raised} <= set(documented_codes(route))

    @pytest.mark.parametrize("kind", ERROR_KINDS)
    def test_facts_of_every_error_are_documented(self, kind):
        """Also of errors without an example."""
        assert set(error_body(an_error(kind))) <= set(SCHEMAS["Error"]["properties"])


def undocumented(value, schema, path=""):
    """Return the properties of *value* that *schema* does not have."""
    if isinstance(value, list):
        items = resolved(schema)["items"]
        return [it for row in value for it in undocumented(row, items, f"{path}[]")]
    if not isinstance(value, dict):
        return []
    if "additionalProperties" in resolved(schema):
        return []
    known = members(schema)
    return [f"{path}.{name}" for name in value if name not in known] + [
        it
        for name, part in value.items()
        if name in known
        for it in undocumented(part, known[name], f"{path}.{name}")
    ]


def unlisted(value, schema):
    """Return the values in *value* that the enumerations of *schema* do not have."""
    schema = resolved(schema)
    if isinstance(value, list):
        return [it for row in value for it in unlisted(row, schema["items"])]
    if isinstance(value, dict) and "additionalProperties" not in schema:
        return [it for name, part in value.items() for it in unlisted(part, members(schema)[name])]
    return [] if value in schema.get("x-extensible-enum", [value]) else [value]


def members(schema):
    return resolved(schema).get("properties", {})


def note_members(value, schema, seen):
    if isinstance(value, list):
        for row in value:
            note_members(row, resolved(schema)["items"], seen)
    if isinstance(value, dict) and "$ref" in schema:
        seen[schema["$ref"].rpartition("/")[2]] |= set(value)
        for name, part in value.items():
            note_members(part, members(schema)[name], seen)


def an_error(kind):
    """Make an error of a kind, with a value for each of its facts."""
    values = {"errors": (FieldError("sku", "is required"),), "refused": {}, "rows": 2}
    names = [
        name
        for parent in kind.__mro__
        if issubclass(parent, InventoryError) and parent is not InventoryError
        for name in vars(parent).get("__annotations__", {})
    ]
    return kind("In other words", **{name: values.get(name, 1) for name in names})


class Links(HTMLParser):
    """Collects the URLs that a page loads."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src")]


def get(*paths, method="GET"):
    """Request each of *paths* from a local gateway."""

    async def ask():
        with ThreadPoolExecutor(1) as threads:
            gateway = LocalGateway(
                Inventory(MemoryRepository()), Site("localhost", 80), Cors(), threads
            )
            transport = httpx.ASGITransport(gateway)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                return [await client.request(method, path) for path in paths]

    return asyncio.run(ask())


class TestViewer:
    def test_server_serves_the_document(self):
        """It is the published one."""
        [answer] = get("/openapi.json")

        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == DOCUMENT

    def test_page_loads_only_files_of_the_server(self):
        """Every file exists and has its type."""
        [page] = get("/docs")
        files = [link for link in Links(page.text).found if not link.startswith("data:")]
        kinds = {".css": "text/css", ".js": "text/javascript"}

        assert page.headers["Content-Type"].startswith("text/html")
        assert len(files) == 3
        assert all(re.fullmatch(r"/docs/[\w.-]+", link) for link in files)
        for link, answer in zip(files, get(*files), strict=True):
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith(kinds[Path(link).suffix])

    def test_policy_allows_only_this_server(self):
        """Scripts, styles and requests are this server's; only icons may be inline."""
        [page] = get("/docs")
        directives = [it.split() for it in page.headers["Content-Security-Policy"].split(";")]
        sources = {kind: allowed for kind, *allowed in directives}

        assert sources.pop("default-src") == ["'self'"]
        assert sources.pop("img-src") == ["'self'", "data:"]
        assert all(allowed == ["'none'"] for allowed in sources.values())

    def test_styles_and_start_script_load_nothing_from_elsewhere(self):
        """Swagger UI may contain links, but the page loads nothing from another machine."""
        style, start = get("/docs/swagger-ui.css", "/docs/start.js")

        assert not re.search(r"url\((?!\"?data:)|@import", style.text)
        assert "//" not in start.text
        assert "validatorUrl: null" in start.text

    def test_pages_are_read_only(self):
        """They support GET and HEAD."""
        [refused] = get("/docs", method="POST")
        [head] = get("/docs", method="HEAD")

        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert head.status_code == 200

    def test_missing_swagger_ui_is_reported(self, monkeypatch):
        """The error names the extra to install."""

        def missing(name):
            raise PackageNotFoundError(name)

        pages._swagger_file.cache_clear()
        monkeypatch.setattr(pages, "distribution", missing)
        [answer] = get("/docs/swagger-ui.css")

        assert answer.status_code == 404
        assert "tap-inventory[local]" in answer.json()["error"]
