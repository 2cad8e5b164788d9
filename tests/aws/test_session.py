"""The client that the adapters make: what it is spared of the SDK, and what it is not."""

import pytest
from botocore import handlers
from botocore.awsrequest import AWSResponse

from inventory_adapters.aws.session import _session, make_client


def client_of(service):
    return make_client(service, connect_timeout=0.1, read_timeout=0.1, attempts=1)


def test_of_the_sdks_handlers_for_all_services_these_are_left_out():
    """A new one in another version of the SDK has to be looked at: our services may need it."""
    for_all = {
        (event, handler.__name__)
        for event, handler, *_ in handlers.BUILTIN_HANDLERS
        if "." not in event or "dynamodb" in event or "ssm" in event
        if handler.__module__.startswith("botocore.")
    }

    assert for_all == {
        ("before-call", "add_recursion_detection_header"),
        ("before-call", "inject_api_version_header_if_needed"),
        ("before-parameter-build", "_handle_request_validation_mode_member"),
        ("before-parameter-build", "generate_idempotent_uuid"),
        ("choose-service-name", "handle_service_name_alias"),
        ("choose-signer", "_set_auth_scheme_preference_signer"),
        ("choose-signer", "set_operation_specific_signer"),
        ("creating-client-class", "add_generate_presigned_url"),
        ("request-created", "add_retry_headers"),
    }


def test_profiles_that_ask_for_credentials_still_can():
    """The SDK asks with a session of ours, and has a handler for the name of the call."""
    client = _session().create_client("signin", region_name="us-east-1")

    assert callable(client.create_o_auth2_token)


@pytest.mark.parametrize("service", ["dynamodb", "ssm"])
def test_handlers_of_others_stay(service, monkeypatch):
    """By them a test stands in for AWS, and a tracer sees what is called."""
    seen = []

    class Body:
        def stream(self):
            yield b"{}"

    def answer(request, **_):
        seen.append(request.headers)
        return AWSResponse(request.url, 200, {}, Body())

    monkeypatch.setattr(
        handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, ("before-send", answer)]
    )
    client = client_of(service)

    if service == "ssm":
        client.get_parameter(Name="/limits")
    else:
        client.get_item(TableName="stock", Key={"item_id": {"S": "1"}, "sku": {"S": "2"}})

    [headers] = seen
    assert headers["Authorization"].startswith(b"AWS4-HMAC-SHA256 ")
    assert headers["User-Agent"].startswith(b"tap-inventory botocore/")
