"""Planted bugs of the stack; they import it when they are planted, because the CDK starts a JavaScript engine."""

from importlib import import_module

import attrs

from tests.mutants.planting import noticed_by, replace, wrap

SETTINGS = "tests/deploy/test_environments.py"
ALARMS = "tests/deploy/test_operations.py::TestAlarms::test_alarms_have_these_conditions"
TABLES = "tests/deploy/test_stack.py::TestTables"


def settings(patch, **changed):
    """Override settings of every environment of kind prod."""
    from deploy import environments

    def settings_for(original, *args):
        found = original(*args)
        return attrs.evolve(found, **changed) if found.kind == "prod" else found

    wrap(patch, environments, "settings_for", settings_for)


@noticed_by(SETTINGS)
def prod_is_not_protected(patch):
    settings(patch, protected=False)


@noticed_by(SETTINGS)
def prod_needs_no_key(patch):
    settings(patch, auth="none")


@noticed_by(SETTINGS)
def prod_logs_bodies(patch):
    settings(patch, data_trace=True)


@noticed_by(SETTINGS)
def a_name_like_production_is_a_preview(patch):
    from deploy import environments

    def settings_for(original, suffix, context):
        try:
            return original(suffix, context)
        except environments.SettingsError:
            return original(suffix, lambda key: "preview" if key == "kind" else context(key))

    wrap(patch, environments, "settings_for", settings_for)


@noticed_by(SETTINGS)
def a_mistyped_setting_is_ignored(patch):
    from deploy import environments

    replace(patch, environments.require_known, lambda _keys: None)


def constructed(patch, service, name, change):
    """Change the options of every construct of a kind."""
    module = import_module(f"aws_cdk.aws_{service}")
    original = getattr(module, name)

    class Changed(original):
        def __init__(self, scope, construct_id, **options):
            super().__init__(scope, construct_id, **options | change(options))

    patch.setattr(module, name, Changed)


@noticed_by(ALARMS)
def an_alarm_needs_two_errors(patch):
    def twice(options):
        return {"threshold": 2 if options["threshold"] == 1 else options["threshold"]}

    constructed(patch, "cloudwatch", "Alarm", twice)


@noticed_by(ALARMS)
def an_alarm_fires_a_day_late(patch):
    constructed(patch, "cloudwatch", "Alarm", lambda _options: {"evaluation_periods": 288})


@noticed_by(ALARMS)
def a_silent_sweeper_is_no_alarm(patch):
    from aws_cdk.aws_cloudwatch import TreatMissingData

    quiet = {"treat_missing_data": TreatMissingData.NOT_BREACHING}
    constructed(patch, "cloudwatch", "Alarm", lambda _options: quiet)


@noticed_by(
    "tests/deploy/test_operations.py::TestAlarms::test_only_alarms_of_the_stack_may_publish_to_the_topic"
)
def cloudwatch_may_not_publish(patch):
    from aws_cdk import aws_sns

    patch.setattr(aws_sns.Topic, "add_to_resource_policy", lambda *_: None)


@noticed_by(f"{TABLES}::test_only_the_ledger_has_a_time_to_live")
def rows_of_the_ledger_are_never_deleted(patch):
    constructed(patch, "dynamodb", "Table", lambda _options: {"time_to_live_attribute": None})


@noticed_by("tests/deploy/test_operations.py::TestSweeper::test_sweeper_runs_each_minute")
def the_sweeper_runs_each_hour(patch):
    from deploy import sweeper

    [expiry] = sweeper.SCHEDULED
    replace(patch, sweeper.SCHEDULED, (attrs.evolve(expiry, every_minutes=60),))


@noticed_by("tests/deploy/test_stack.py::TestFunctions::test_function_has_these_limits")
def a_function_runs_for_a_minute(patch):
    import aws_cdk

    constructed(patch, "lambda", "Function", lambda _: {"timeout": aws_cdk.Duration.minutes(1)})


@noticed_by("tests/deploy/test_grants.py")
def a_read_may_write(patch):
    from deploy import grants

    more = grants.NEEDS["get_item"] | grants.Needs(items={"PutItem"})
    patch.setitem(grants.NEEDS, "get_item", more)


@noticed_by("tests/deploy/test_grants.py")
def a_write_lacks_a_permission(patch):
    from deploy import grants

    needs = grants.NEEDS["adjust_stock"]
    fewer = attrs.evolve(needs, items=needs.items - {"UpdateItem"})
    patch.setitem(grants.NEEDS, "adjust_stock", fewer)


@noticed_by(
    "tests/deploy/test_api.py::TestGatewayResponses::test_all_responses_have_the_envelope_of_errors"
)
def a_gateway_response_has_another_envelope(patch):
    from deploy import api

    patch.setattr(api.GatewayResponse, "body", {"message": "Forbidden"})


@noticed_by("tests/deploy/test_models.py")
def a_model_requires_nothing(patch):
    from deploy import models

    def model_of(original, route):
        return {name: part for name, part in original(route).items() if name != "required"}

    wrap(patch, models, "model_of", model_of)


@noticed_by("tests/deploy/test_bundle.py::TestStale")
def a_stale_bundle_is_deployed(patch):
    from deploy.bundle import Bundle

    patch.setattr(Bundle, "require_current", lambda _self: None)


@noticed_by("tests/deploy/test_preflight.py::test_taken_names_are_problems")
def a_taken_name_is_no_problem(patch):
    from deploy import preflight

    def check(original, account, planned):
        return (found for found in original(account, planned) if "taken" not in str(found))

    wrap(patch, preflight, "check", check)
