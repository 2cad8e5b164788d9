"""What runs the deployment: schedules, alarms, the dashboard, rollouts."""

import json

import pytest

from deploy.sweeper import SCHEDULED
from inventory_adapters.http.routes import ROUTES

ALARM = "AWS::CloudWatch::Alarm"
OPERATIONS = [*(route.name for route in ROUTES), *(it.name for it in SCHEDULED)]


def hyphenated(operation):
    return operation.replace("_", "-")


class TestSweeper:
    def test_it_runs_each_minute(self, env, made):
        """And EventBridge alone may run it so."""
        rule = made.properties("AWS::Events::Rule", Name=f"inventory-{env}-expire-reservations")
        function = made.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-{env}-expire-reservations"
        )
        [target] = rule["Targets"]
        [permission] = [
            it["Properties"]
            for it in made.of_type("AWS::Lambda::Permission").values()
            if it["Properties"]["Principal"] == "events.amazonaws.com"
        ]

        assert rule["ScheduleExpression"] == "rate(1 minute)"
        assert rule["State"] == "ENABLED"
        assert target["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
        assert permission["FunctionName"] == {"Fn::GetAtt": [function, "Arn"]}

    def test_a_run_that_fails_is_put_aside_and_not_repeated(self, made):
        """The next one does the same work; whether it could not be started or failed, an alarm can see it."""
        [(queue, _)] = made.of_type("AWS::SQS::Queue").items()
        [rule] = made.of_type("AWS::Events::Rule").values()
        [invoked] = made.of_type("AWS::Lambda::EventInvokeConfig").values()
        [target] = rule["Properties"]["Targets"]
        arn = {"Fn::GetAtt": [queue, "Arn"]}

        assert target["DeadLetterConfig"] == {"Arn": arn}
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
        assert invoked["Properties"]["DestinationConfig"]["OnFailure"]["Destination"] == arn
        assert invoked["Properties"]["MaximumRetryAttempts"] == 0

    def test_the_queue_is_encrypted_and_kept_for_two_weeks(self, env, made):
        """What is in it is for people."""
        queue = made.properties("AWS::SQS::Queue", QueueName=f"inventory-{env}-dead-letters")

        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


class TestAlarms:
    def alarms(self, made):
        return {
            it["Properties"]["AlarmName"].removeprefix(
                f"inventory-{made.stack.environment_suffix}-"
            ): it["Properties"]
            for it in made.of_type(ALARM).values()
        }

    def test_there_is_one_for_whatever_must_be_known(self, made):
        """Errors and throttles of each function, and the rest by name."""
        assert set(self.alarms(made)) == {
            *(f"{hyphenated(it)}-errors" for it in OPERATIONS),
            *(f"{hyphenated(it)}-throttles" for it in OPERATIONS),
            *(f"{hyphenated(it.name)}-not-started" for it in SCHEDULED),
            *(f"{hyphenated(it.name)}-stopped" for it in SCHEDULED),
            "api-5xx",
            "api-latency",
            "items-throttles",
            "ledger-throttles",
            "dead-letters",
        }

    def metrics(self, alarm):
        if "MetricName" in alarm:
            yield alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]
        for metric in alarm.get("Metrics", ()):
            if "MetricStat" in metric:
                found = metric["MetricStat"]["Metric"]
                yield found["Namespace"], found["MetricName"], found["Dimensions"]

    def test_every_dimension_is_a_resource_of_the_stack(self, made):
        """A metric that nothing writes to never raises an alarm."""
        for name, alarm in self.alarms(made).items():
            metrics = list(self.metrics(alarm))
            assert metrics, name
            for _, _, dimensions in metrics:
                for dimension in dimensions:
                    self.resolve(made, dimension["Name"], dimension["Value"], dimensions)

    def resolve(self, made, name, value, dimensions):
        resources = made.template["Resources"]
        types = {
            "FunctionName": "AWS::Lambda::Function",
            "TableName": "AWS::DynamoDB::Table",
            "Stage": "AWS::ApiGateway::Stage",
            "RuleName": "AWS::Events::Rule",
        }
        if name == "ApiName":
            made.named("AWS::ApiGateway::RestApi", "Name", value)
        elif name == "QueueName":
            assert resources[value["Fn::GetAtt"][0]]["Type"] == "AWS::SQS::Queue"
            assert value["Fn::GetAtt"][1] == "QueueName"
        elif name == "GlobalSecondaryIndexName":
            [table] = [it["Value"]["Ref"] for it in dimensions if it["Name"] == "TableName"]
            indexes = resources[table]["Properties"]["GlobalSecondaryIndexes"]
            assert value in {index["IndexName"] for index in indexes}
        else:
            assert resources[value["Ref"]]["Type"] == types[name]

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("metric", ["Errors", "Throttles"])
    def test_a_function_is_watched(self, env, made, operation, metric):
        """By its own name."""
        function = made.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-{env}-{hyphenated(operation)}"
        )
        alarm = self.alarms(made)[f"{hyphenated(operation)}-{metric.lower()}"]

        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]
        assert alarm["TreatMissingData"] == "notBreaching"

    def test_the_api_is_watched(self, made):
        """Failures by their share, times by the slowest hundredth."""
        failing, slow = (self.alarms(made)[name] for name in ("api-5xx", "api-latency"))

        assert (failing["MetricName"], failing["Statistic"]) == ("5XXError", "Average")
        assert (slow["MetricName"], slow["ExtendedStatistic"]) == ("Latency", "p99")
        for alarm in (failing, slow):
            assert {it["Name"] for it in alarm["Dimensions"]} == {"ApiName", "Stage"}

    @pytest.mark.parametrize(("name", "indexes"), [("items", 3), ("ledger", 1)])
    def test_a_table_is_watched_with_its_indexes(self, made, name, indexes):
        """Each of which throttles on its own account."""
        metrics = list(self.metrics(self.alarms(made)[f"{name}-throttles"]))

        assert len(metrics) == 2 * (1 + indexes)
        assert {metric for _, metric, _ in metrics} == {"ReadThrottleEvents", "WriteThrottleEvents"}

    def test_a_sweeper_that_does_not_run_raises_an_alarm(self, made):
        """No news is bad news."""
        alarm = self.alarms(made)["expire-reservations-stopped"]

        assert alarm["MetricName"] == "Invocations"
        assert alarm["ComparisonOperator"] == "LessThanThreshold"
        assert alarm["TreatMissingData"] == "breaching"

    def test_whoever_asks_is_told(self, synthesize):
        """When it begins, and when it is over."""
        made = synthesize("prod", alarmEmail="ops@example.com")
        [(topic, _)] = made.of_type("AWS::SNS::Topic").items()
        [subscription] = made.of_type("AWS::SNS::Subscription").values()

        assert subscription["Properties"]["Protocol"] == "email"
        assert subscription["Properties"]["Endpoint"] == "ops@example.com"
        for alarm in self.alarms(made).values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]

    def test_else_nobody_is(self, made):
        """An alarm can be looked at."""
        assert not made.of_type("AWS::SNS::Topic")


def test_there_is_a_dashboard(env, made):
    """With all alarms on one line."""
    [dashboard] = made.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(dashboard["Properties"]["DashboardBody"])

    assert dashboard["Properties"]["DashboardName"] == f"inventory-{env}"
    for alarm in made.of_type(ALARM):
        assert alarm in body


class TestRollout:
    @pytest.fixture
    def canary(self, synthesize):
        return synthesize("prod", canary="true")

    def test_a_new_version_gets_a_tenth_first_and_goes_back_if_it_fails(self, canary):
        """Function by function."""
        groups = canary.of_type("AWS::CodeDeploy::DeploymentGroup").values()

        assert len(groups) == len(OPERATIONS)
        for group in groups:
            properties = group["Properties"]
            [alarm] = properties["AlarmConfiguration"]["Alarms"]
            assert (
                properties["DeploymentConfigName"]
                == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
            )
            assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
            assert alarm["Name"]["Ref"] in canary.of_type(ALARM)

    def test_whoever_calls_calls_the_alias(self, canary):
        """The gateway and the schedule."""
        aliases = canary.of_type("AWS::Lambda::Alias")
        called = [
            json.dumps(it["Properties"]["FunctionName"])
            for it in canary.of_type("AWS::Lambda::Permission").values()
        ]

        assert len(aliases) == len(OPERATIONS) == len(called)
        assert all(any(alias in it for alias in aliases) for it in called)

    def test_without_the_option_there_is_none_of_it(self, made):
        """A deployment replaces the code at once."""
        assert not made.of_type("AWS::Lambda::Alias")
        assert not made.of_type("AWS::CodeDeploy::DeploymentGroup")
