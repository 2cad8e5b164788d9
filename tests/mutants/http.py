"""Planted bugs of the HTTP API, its Lambda handlers, and the transports to AWS."""

import json

import attrs

from inventory import errors
from inventory.paging import PageLimits
from inventory_adapters import config, logs, records, wire
from inventory_adapters.aws import http_transport
from inventory_adapters.aws.signing import Credentials, Signer
from inventory_adapters.aws.ssm import SsmLimits
from inventory_adapters.aws.transport import NotSentError
from inventory_adapters.aws.usage import MeteredTransport
from inventory_adapters.http import api_gateway, app, messages
from inventory_adapters.http import errors as http_errors
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.http.messages import Response
from tests.mutants.planting import noticed_by, replace, wrap

APP = "tests/http/test_app.py"
HANDLERS = "tests/http/test_api_gateway.py"
SSM = "tests/aws/test_ssm.py"


def answering(patch, around):
    """Wrap every response: ``around(answer, inventory, route, request)``."""
    wrap(patch, app, "answer", around)


# Requests


@noticed_by(APP)
def an_unknown_query_parameter_is_ignored(patch):
    def answer(original, inventory, route, request):
        names = {*route.sent_fields, "page_token", "last_evaluated_key"}
        query = {name: value for name, value in request.query.items() if name in names}
        return original(inventory, route, attrs.evolve(request, query=query))

    answering(patch, answer)


@noticed_by(APP)
def if_match_is_ignored_where_it_means_nothing(patch):
    def answer(original, inventory, route, request):
        headers = dict(request.headers)
        if "if-match" not in route.header_fields:
            headers.pop("if-match", None)
        return original(inventory, route, attrs.evolve(request, headers=headers))

    answering(patch, answer)


@noticed_by(APP)
def a_body_may_have_any_size(patch):
    patch.setattr(app, "MAX_BODY_BYTES", 1 << 40)


@noticed_by(APP)
def the_last_of_two_equal_keys_wins(patch):
    replace(
        patch,
        wire.from_json,
        lambda text: json.loads(text, parse_float=wire.Decimal),
    )


@noticed_by(HANDLERS)
def a_kind_of_caller_is_not_part_of_its_scope(patch):
    def identity(original, *args):
        found = original(*args)
        return attrs.evolve(found, caller=found.caller.partition(":")[2])

    wrap(patch, api_gateway, "identity_of", identity)


@noticed_by(HANDLERS)
def an_authenticated_user_names_another_actor(patch):
    def identity_of(original, context, headers, *args):
        found = original(context, headers, *args)
        return attrs.evolve(found, actor=headers.get("x-actor", found.actor))

    wrap(patch, api_gateway, "identity_of", identity_of)


@noticed_by(HANDLERS)
def the_caller_is_not_the_scope_of_a_key(patch):
    def answer(original, inventory, route, request):
        return original(inventory, route, attrs.evolve(request, caller=""))

    answering(patch, answer)


# Responses


@noticed_by(APP)
def a_replay_has_no_header(patch):
    def answer(original, inventory, route, request):
        response = original(inventory, route, request)
        headers = {
            name: value for name, value in response.headers.items() if name != "Idempotent-Replayed"
        }
        return attrs.evolve(response, headers=headers)

    answering(patch, answer)


@noticed_by(APP)
def a_throttled_response_does_not_say_when_to_retry(patch):
    def response(original, error, **rest):
        found = original(error, **rest)
        return attrs.evolve(
            found, headers={name: it for name, it in found.headers.items() if name != "Retry-After"}
        )

    wrap(patch, app, "error_response", response)


@noticed_by(APP)
def an_unexpected_error_is_shown(patch):
    def body(original, error):
        shown = original(error)
        return shown | ({"error": str(error)} if shown["code"] == "internal_error" else {})

    wrap(patch, http_errors, "error_body", body)


@noticed_by(APP)
def a_storage_error_names_its_table(patch):
    patch.setattr(errors.StorageError, "sentence", property(lambda self: self.message))
    for kind in errors.StorageError.__subclasses__():
        patch.setattr(kind, "sentence", property(lambda self: self.message))


@noticed_by(APP)
def only_the_first_invalid_field_is_reported(patch):
    def body(original, error):
        shown = original(error)
        return shown | ({"details": shown["details"][:1]} if "details" in shown else {})

    wrap(patch, http_errors, "error_body", body)


@noticed_by("tests/test_readme.py::test_every_error_code_is_explained")
def a_refused_batch_is_400(patch):
    patch.setitem(http_errors.CODES, "batch_refused", 400)


@noticed_by(APP)
def a_price_is_a_float(patch):
    def item(original, item):
        return original(attrs.evolve(item, price=wire.Decimal(float(item.price))))

    wrap(patch, wire, "item_to_wire", item)


@noticed_by(HANDLERS)
def every_origin_may_read(patch):
    patch.setattr(Cors, "allows", lambda *_: True)


@noticed_by(HANDLERS)
def a_cache_may_mix_up_origins(patch):
    def headers(original, cors, origin):
        return {name: value for name, value in original(cors, origin).items() if name != "Vary"}

    wrap(patch, Cors, "headers", headers)


@noticed_by(HANDLERS)
def a_cache_may_store_responses(patch):
    def headers(original, response, *args):
        found = original(response, *args)
        found.pop("Cache-Control", None)
        return found

    wrap(patch, Response, "all_headers", headers)


@noticed_by(HANDLERS)
def a_response_has_no_request_id(patch):
    def headers(original, response, *args):
        found = original(response, *args)
        found.pop("X-Request-Id", None)
        return found

    wrap(patch, Response, "all_headers", headers)


@noticed_by(HANDLERS)
def only_the_last_line_of_a_header_counts(patch):
    replace(patch, messages.combine_headers, lambda lines: {n.lower(): v for n, v in lines})


@noticed_by("tests/test_deadlines.py")
def a_handler_uses_all_of_lambdas_time(patch):
    wrap(patch, api_gateway, "seconds_left", lambda original, context: original(context) + 0.5)


@noticed_by("tests/http/test_openapi.py::TestDocument")
def the_document_lacks_a_bound(patch):
    from inventory.validation import Integer

    wrap(patch, Integer, "schema", lambda original, bound: {**original(bound), "maximum": 5})


# Records, settings, logs


@noticed_by("tests/test_records.py")
def a_stored_answer_forgets_whether_a_row_was_created(patch):
    def answer(original, text):
        restored = original(text)
        if isinstance(restored, tuple):
            return tuple(attrs.evolve(row, created=False) for row in restored)
        return restored

    wrap(patch, records, "answer_from_text", answer)


@noticed_by("tests/test_config.py")
def an_empty_setting_means_every_origin(patch):
    def from_environ(environ):
        return original({name: value for name, value in environ.items() if value})

    original = config.Config.from_environ
    patch.setattr(config.Config, "from_environ", staticmethod(from_environ))


@noticed_by("tests/test_logs.py")
def a_log_line_loses_its_exception(patch):
    def line(original, formatter, record):
        record.exc_info = None
        return original(formatter, record)

    wrap(patch, logs.JsonFormatter, "format", line)


# AWS


@noticed_by(SSM)
def a_failed_read_of_the_limits_resets_them(patch):
    def call(original, limits):
        found = original(limits)
        return PageLimits() if limits._failing else found

    wrap(patch, SsmLimits, "__call__", call)


@noticed_by(SSM)
def limits_are_read_each_time(patch):
    def call(original, limits):
        limits._fresh_until = float("-inf")
        return original(limits)

    wrap(patch, SsmLimits, "__call__", call)


@noticed_by("tests/aws/test_signing.py")
def a_signing_key_outlives_its_day(patch):
    def authorization(original, signer, headers, body, credentials, *, at):
        signer.day = getattr(signer, "day", at[:8])
        return original(signer, headers, body, credentials, at=signer.day + at[8:])

    wrap(patch, Signer, "authorization", authorization)


@noticed_by("tests/aws/test_signing.py")
def credentials_are_printed(patch):
    patch.setattr(Credentials, "__repr__", lambda self: str(attrs.astuple(self)))


@noticed_by("tests/test_lambda_entry.py::test_a_log_line_tells_what_aws_took")
def failed_calls_to_aws_are_not_counted(patch):
    def send(_original, metered, *args, **rest):
        from inventory_adapters.aws.usage import _current

        answer = metered._transport.send(*args, **rest)
        if usage := _current.get():
            usage.calls += 1
        return answer

    wrap(patch, MeteredTransport, "send", send)


@noticed_by("tests/aws/test_http_transport.py::TestNoAnswers")
def a_lost_answer_counts_as_not_sent(patch):
    class NotAnsweredError(NotSentError):
        def __init__(self, message):
            super().__init__(message, retryable=True)

    patch.setattr(http_transport, "NoAnswerError", NotAnsweredError)
