"""Proxy events: complete, malformed and hostile. A handler always returns a result."""

import base64
import json
import pickle
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import Inventory
from inventory.errors import ValidationError
from inventory_adapters.http.api_gateway import App, Cors, identity_of, make_handler
from inventory_adapters.http.identity import Identity
from inventory_adapters.http.routes import ROUTES, route_named
from inventory_adapters.storage.memory import MemoryRepository

TENT = {"sku": "TENT-2", "name": "Tent", "quantity": 5, "category": "tents"}


def event(**changes):
    """Return a REST proxy event as API Gateway sends it, with null for missing values."""
    return {
        "resource": "/items",
        "path": "/items",
        "httpMethod": "POST",
        "headers": None,
        "multiValueHeaders": None,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"requestId": "request-1", "identity": {"sourceIp": "192.0.2.1"}},
        "body": None,
        "isBase64Encoded": False,
        **changes,
    }


@pytest.fixture
def inventory():
    return Inventory(MemoryRepository())


@pytest.fixture
def handlers(inventory):
    cors = Cors(("https://shop.example.com",))
    return {route.name: make_handler(route, lambda: App(inventory, cors)) for route in ROUTES}


@pytest.fixture
def item_id(handlers):
    made = handlers["create_item"](event(body=json.dumps(TENT)), None)
    return json.loads(made["body"])["item"]["item_id"]


def test_result_has_the_types_of_api_gateway(handlers):
    """An int, text headers, a text body."""
    result = handlers["create_item"](event(body=json.dumps(TENT)), None)

    assert result["statusCode"] == 201
    assert result["isBase64Encoded"] is False
    assert isinstance(result["body"], str)
    assert result["headers"] == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": "request-1",
        "Vary": "Origin",
        "Access-Control-Expose-Headers": "ETag, Idempotent-Replayed, Retry-After, X-Request-Id",
        "ETag": '"1-0"',
    }


def test_base64_body_is_decoded(handlers):
    """As for binary media types."""
    body = base64.b64encode(json.dumps(TENT).encode()).decode()

    assert (
        handlers["create_item"](event(body=body, isBase64Encoded=True), None)["statusCode"] == 201
    )


@pytest.mark.parametrize("body", ["%%%", "/w==", base64.b64encode(b"\xff\xfe{}").decode(), "ä"])
def test_malformed_base64_body_is_rejected(handlers, body):
    """Invalid base64, or bytes that are not UTF-8: 400."""
    result = handlers["create_item"](event(body=body, isBase64Encoded=True), None)

    assert (result["statusCode"], json.loads(result["body"])["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("body", [{}, [], 5, True, {"sku": "x"}])
def test_body_that_is_not_text_is_rejected(handlers, body):
    """Only handmade events have one."""
    assert handlers["create_item"](event(body=body), None)["statusCode"] == 400


@pytest.mark.parametrize("name", ["If-Match", "if-match", "IF-MATCH"])
@pytest.mark.parametrize("where", ["headers", "multiValueHeaders"])
def test_header_names_are_case_insensitive(handlers, item_id, name, where):
    """RFC 9110, section 5.1."""
    value = ['"9-9"'] if where == "multiValueHeaders" else '"9-9"'
    sent = event(
        pathParameters={"item_id": item_id}, body='{"sku": "TENT-2"}', **{where: {name: value}}
    )

    assert handlers["update_item"](sent, None)["statusCode"] == 412


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        (['"9-9"', '"1-0"'], 200),
        (['"1-0"', '"9-9"'], 200),
        (['"9-9", "8-8"', '"7-7"'], 412),
        (["*", '"1-0"'], 400),
    ],
)
def test_repeated_if_match_lines_are_one_list(handlers, item_id, tags, status):
    """RFC 9110, section 5.3: any tag of any line may match."""
    sent = event(
        pathParameters={"item_id": item_id},
        body='{"sku": "TENT-2", "name": "New"}',
        headers={"If-Match": tags[-1]},
        multiValueHeaders={"If-Match": tags},
    )

    assert handlers["update_item"](sent, None)["statusCode"] == status


def test_repeated_idempotency_key_is_rejected(handlers):
    """It is unknown which of the two is meant."""
    lines = {"Idempotency-Key": ["order-1", "order-1"]}

    result = handlers["create_item"](event(body=json.dumps(TENT), multiValueHeaders=lines), None)

    assert json.loads(result["body"])["details"][0]["field"] == "idempotency_key"


@pytest.mark.parametrize(
    "fields",
    [
        {"queryStringParameters": {"page_size": "0"}},
        {"multiValueQueryStringParameters": {"page_size": ["5", "0"]}},
        {
            "queryStringParameters": {"page_size": "0"},
            "multiValueQueryStringParameters": {"page_size": ["0"]},
        },
    ],
)
def test_query_parameters_come_in_either_field(handlers, fields):
    """The last value of a repeated parameter counts."""
    assert handlers["list_items"](event(**fields), None)["statusCode"] == 400


def test_path_fields_are_read_from_the_path_if_missing(handlers, item_id):
    """An event may have null pathParameters."""
    result = handlers["get_item"](event(path=f"/items/{item_id}", httpMethod="GET"), None)

    assert result["statusCode"] == 200


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (("*",), "https://any.example", "*"),
        (("*",), None, "*"),
        (("https://shop.example.com",), "https://shop.example.com", "https://shop.example.com"),
        (("https://shop.example.com",), "https://evil.example", None),
        (("https://shop.example.com",), None, None),
        ((), "https://shop.example.com", None),
    ],
)
@pytest.mark.parametrize("body", [json.dumps(TENT), "{"])
def test_only_allowed_origins_may_read_responses(inventory, origins, origin, allowed, body):
    """Successes and errors alike."""
    handler = make_handler(route_named("create_item"), lambda: App(inventory, Cors(origins)))

    headers = handler(event(body=body, headers={"origin": origin}), None)["headers"]

    assert headers.get("Access-Control-Allow-Origin") == allowed
    assert (headers.get("Vary") == "Origin") is (allowed != "*")


def test_invalid_settings_are_a_generic_500(caplog):
    """The log has the details."""

    def wired():
        raise RuntimeError("TABLE_NAME is not set")

    result = make_handler(route_named("list_items"), wired)(event(), None)

    assert (result["statusCode"], "TABLE" in result["body"]) == (500, False)
    assert "TABLE_NAME" in caplog.text


def test_request_is_logged_without_its_body(handlers, caplog):
    """One line with ID, operation, status, duration and code."""
    caplog.set_level("INFO", "inventory_adapters")

    handlers["create_item"](event(body=json.dumps({**TENT, "sku": ""})), None)

    [record] = caplog.records
    assert (record.request_id, record.route, record.status, record.code) == (
        "request-1",
        "create_item",
        400,
        "validation_failed",
    )
    assert record.duration_ms >= 0
    assert "Tent" not in str(vars(record))


def test_deadline_is_that_of_lambda_less_a_reserve():
    """The handler responds before Lambda stops it."""
    from inventory.timeouts import time_left

    seen = []

    class WatchingRepository(MemoryRepository):
        def find_item(self, item_id):
            seen.append(time_left())
            return super().find_item(item_id)

    handler = make_handler(route_named("get_item"), lambda: App(Inventory(WatchingRepository())))
    path = event(pathParameters={"item_id": "i"})
    handler(path, SimpleNamespace(get_remaining_time_in_millis=lambda: 5000, aws_request_id="a"))
    handler(path, None)

    assert 4.0 < seen[0] <= 4.5
    assert 3.5 < seen[1] <= 4.0


@pytest.mark.parametrize(
    ("about", "context", "expected"),
    [
        ({"requestId": "from-gateway"}, None, "from-gateway"),
        (None, SimpleNamespace(aws_request_id="from-lambda"), "from-lambda"),
        ({"requestId": "line\nbreak"}, SimpleNamespace(aws_request_id="from-lambda"), None),
        ({"requestId": 5}, None, None),
        (None, None, None),
    ],
)
def test_every_response_has_a_request_id(handlers, about, context, expected):
    """The gateway's, Lambda's, or a new one; never one that would split a header."""
    named = handlers["list_items"](event(requestContext=about), context)["headers"]["X-Request-Id"]

    assert named == expected if expected else named.isprintable()


COGNITO = {"claims": {"sub": "7d1e", "email": "anna@example.com"}}
LAMBDA_AUTHORIZER = {"principalId": "anna"}
ROLE = "arn:aws:sts::123456789012:assumed-role/Till"
KEY = {"apiKeyId": "k1", "apiKey": "s3cret-value"}
ALL_KINDS = {**KEY, "userArn": f"{ROLE}/one"}


@pytest.mark.parametrize(
    ("authorizer", "identity", "caller", "actor"),
    [
        (COGNITO, {}, "cognito:7d1e", "7d1e"),
        (LAMBDA_AUTHORIZER, {}, "authorizer:anna", "anna"),
        (None, {"userArn": f"{ROLE}/one"}, f"iam:{ROLE}", f"{ROLE}/one"),
        (
            None,
            {"userArn": "arn:aws-cn:sts::1:assumed-role/Till/a@b.c"},
            "iam:arn:aws-cn:sts::1:assumed-role/Till",
            "arn:aws-cn:sts::1:assumed-role/Till/a@b.c",
        ),
        *(
            (None, {"userArn": arn}, f"iam:{arn}", arn)
            for arn in (
                "arn:aws:iam::1:user/staff/anna",
                "arn:aws:iam::1:user/assumed-role/Till/anna",
                "arn:aws:sts::1:federated-user/anna",
                "arn:aws:iam::1:root",
            )
        ),
        (None, {"userArn": "A" * 5000}, "iam:" + "A" * 5000, "A" * 256),
        (None, KEY, "api-key:k1", "k1"),
        (None, {"apiKey": "s3cret-value"}, "", None),
        (None, {"sourceIp": "192.0.2.1"}, "", None),
        # The first row of the table that applies.
        ({**COGNITO, **LAMBDA_AUTHORIZER}, ALL_KINDS, "cognito:7d1e", "7d1e"),
        (LAMBDA_AUTHORIZER, ALL_KINDS, "authorizer:anna", "anna"),
        ({}, ALL_KINDS, f"iam:{ROLE}", f"{ROLE}/one"),
        # What is no name is passed over.
        ({"claims": {"sub": ""}, "principalId": "anna"}, {}, "authorizer:anna", "anna"),
        ({"claims": {"sub": 7}, "principalId": ["anna"]}, KEY, "api-key:k1", "k1"),
        ({"claims": "sub", "principalId": None}, {"userArn": 5, "apiKeyId": ""}, "", None),
        ("anna", "anna", "", None),
        (["principalId"], None, "", None),
    ],
)  # fmt: skip
def test_caller_and_actor_are_those_of_the_authenticated_identity(
    authorizer, identity, caller, actor
):
    """The first of user, principal, IAM identity and API key; a session is part of the actor only."""
    about = {"requestId": "r", "authorizer": authorizer, "identity": identity}

    assert identity_of(about, {}) == Identity(caller, actor)


@pytest.mark.parametrize(
    ("claim", "actor"),
    [("email", "anna@example.com"), ("sub", "7d1e"), ("nickname", "7d1e"), ("cognito:username", "7d1e")],
)  # fmt: skip
def test_actor_of_a_user_is_the_claim_of_the_setting(claim, actor):
    """A user without the claim is named by `sub`; the caller is always `sub`."""
    found = identity_of({"authorizer": COGNITO}, {}, claim)

    assert found == Identity("cognito:7d1e", actor)


@pytest.mark.parametrize(
    ("about", "actor"),
    [
        ({"identity": KEY}, "k1/anna"),
        ({}, "anna"),
        ({"authorizer": COGNITO, "identity": KEY}, "7d1e"),
        ({"authorizer": LAMBDA_AUTHORIZER, "identity": KEY}, "anna"),
        ({"identity": ALL_KINDS}, f"{ROLE}/one"),
    ],
)
def test_client_names_its_user_where_none_is_authenticated(about, actor):
    """With an API key, and without authentication; the caller does not change."""
    headers = {"x-actor": "anna"}

    assert identity_of(about, headers).actor == actor
    assert identity_of(about, headers).caller == identity_of(about, {}).caller


@pytest.mark.parametrize(
    ("sent", "actor"),
    [
        ("Anna Müller", "Anna Müller"),
        ("Anna Müller".encode().decode("latin-1"), "Anna Müller"),
        ("Zoë".encode("latin-1").decode("latin-1"), "Zoë"),
        ("山田", "山田"),
        ("a" * 128, "a" * 128),
        ("System:x", "System:x"),
    ],
)
def test_name_of_a_user_is_1_to_128_visible_characters(sent, actor):
    """In UTF-8, also where a server reads headers as Latin-1."""
    assert identity_of({}, {"x-actor": sent}).actor == actor


@pytest.mark.parametrize("sent", ["", " ", "a" * 129, "a\tb", "a\u200bb", "a\u202eb", "system:", "system:sweeper"])  # fmt: skip
@pytest.mark.parametrize("about", [{}, {"identity": KEY}])
def test_other_names_of_users_are_rejected(handlers, about, sent):
    """Names of the system's own actors too; pages of allowed origins may read the response."""
    headers = {"X-Actor": sent, "Origin": "https://shop.example.com"}
    sent = event(body=json.dumps(TENT), headers=headers, requestContext=about)

    result = handlers["create_item"](sent, None)

    body = json.loads(result["body"])
    assert (result["statusCode"], body["code"]) == (400, "validation_failed")
    assert [fault["field"] for fault in body["details"]] == ["actor"]
    assert result["headers"]["Access-Control-Allow-Origin"] == "https://shop.example.com"


@pytest.mark.parametrize(
    "authorizer",
    [{"claims": {"sub": "7d1e", "nickname": "system:sweeper"}}, {"principalId": "system:sweeper"}],
)
def test_authenticated_user_is_no_actor_of_the_system(authorizer):
    """A user may have chosen the value of a claim."""
    with pytest.raises(ValidationError, match="system:"):
        identity_of({"authorizer": authorizer}, {}, "nickname")


def test_ignored_name_of_a_user_is_not_checked():
    """An authenticated user is not rejected for a header without meaning."""
    assert identity_of({"authorizer": COGNITO}, {"x-actor": "system:x"}).actor == "7d1e"


def test_actor_is_logged(inventory, caplog):
    """The claim that the setting names; null if nobody is known."""
    caplog.set_level("INFO", "inventory_adapters")
    handler = make_handler(route_named("create_item"), lambda: App(inventory, actor_claim="email"))

    handler(event(requestContext={"authorizer": COGNITO}), None)
    handler(event(), None)

    assert [record.actor for record in caplog.records] == ["anna@example.com", None]


@pytest.mark.parametrize("about", [None, [], "x", 5])
def test_malformed_context_has_no_identity(about):
    """Whatever its type."""
    assert identity_of(about, {}) == Identity()


SAME_NAME = (
    {"authorizer": {"claims": {"sub": "x"}}},
    {"authorizer": {"claims": {"sub": "y"}}},
    {"authorizer": {"principalId": "x"}},
    {"authorizer": {"principalId": "cognito:x"}},
    {"identity": {"userArn": "x"}},
    {"identity": {"userArn": "arn:aws:sts::1:assumed-role/x/one"}},
    {"identity": {"userArn": "arn:aws:sts::1:assumed-role/y/one"}},
    {"identity": {"apiKeyId": "x"}},
    {},
)


def test_callers_do_not_share_idempotency_keys(handlers, inventory):
    """The same key of two callers has two effects; sessions of one role are one caller."""
    headers = {"Idempotency-Key": "order-1"}

    def create(about):
        sent = event(body=json.dumps(TENT), headers=headers, requestContext=about)
        return json.loads(handlers["create_item"](sent, None)["body"])["item"]["item_id"]

    ids = [create(about) for about in SAME_NAME]

    assert len(set(ids)) == len(SAME_NAME)
    assert [create(about) for about in SAME_NAME] == ids
    assert create({"identity": {"userArn": "arn:aws:sts::1:assumed-role/x/two"}}) == ids[5]


@pytest.mark.parametrize("body", [json.dumps(TENT), "{"])
def test_value_of_an_api_key_is_not_stored(handlers, inventory, caplog, body):
    """Not in responses, log lines or records."""
    caplog.set_level("DEBUG")
    headers = {"X-Api-Key": "s3cret-value", "Idempotency-Key": "order-1"}

    result = handlers["create_item"](
        event(body=body, headers=headers, requestContext={"identity": KEY}), None
    )

    assert "s3cret" not in json.dumps(result)
    assert "s3cret" not in str([vars(record) for record in caplog.records])
    assert b"s3cret" not in stored(inventory.repository)


def stored(repository):
    """Return all records of a repository in memory, as bytes."""
    held = {name: value for name, value in vars(repository).items() if "lock" not in name}
    return pickle.dumps({name: value for name, value in held.items() if isinstance(value, dict)})


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
fields = st.sampled_from(sorted(event()))


@given(
    route=st.sampled_from(ROUTES),
    broken=json_like | st.dictionaries(fields, json_like),
    context=st.none() | st.integers() | st.builds(SimpleNamespace, aws_request_id=json_like),
)
def test_no_event_makes_a_handler_raise(route, broken, context):
    """Every event gets a result, and none a 500."""
    handler = make_handler(route, lambda: App(Inventory(MemoryRepository())))
    sent = {**event(), **broken} if isinstance(broken, dict) else broken

    result = handler(sent, context)

    assert result["statusCode"] in {200, 201, 400, 404}
    json.loads(result["body"])
    assert all(isinstance(value, str) for value in result["headers"].values())
