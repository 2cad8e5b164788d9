"""What runs the deployment: schedules, alarms, the dashboard, rollouts."""

import json

import pytest

from deploy.sweeper import SCHEDULED
from inventory_adapters.http.routes import ROUTES

ALARM = "AWS::CloudWatch::Alarm"
FILTER = "AWS::Logs::MetricFilter"
OPERATIONS = [*(route.name for route in ROUTES), *(it.name for it in SCHEDULED)]


ANSWERING = {route.name for route in ROUTES}


def hyphenated(operation):
    return operation.replace("_", "-")


# What must fire, and when: metric, statistic, period in seconds, periods, condition, and whether silence is bad news.
AT_LEAST, ABOVE, BELOW = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
)
ONE = (300, 1, AT_LEAST, 1, "notBreaching")
ONE_IN_A_MINUTE = (60, 1, AT_LEAST, 1, "notBreaching")
FIVE_IN_A_MINUTE = (60, 1, AT_LEAST, 5, "notBreaching")
ALARMS = {
    **{f"{hyphenated(it)}-errors": ("AWS/Lambda", "Errors", "Sum", *ONE) for it in OPERATIONS},
    **{
        f"{hyphenated(it)}-throttles": ("AWS/Lambda", "Throttles", "Sum", *ONE) for it in OPERATIONS
    },
    "expire-reservations-not-started": ("AWS/Events", "FailedInvocations", "Sum", *ONE),
    "expire-reservations-stopped": (
        *("AWS/Lambda", "Invocations", "Sum", 300, 3, BELOW, 1, "breaching"),
    ),
    "api-5xx": ("AWS/ApiGateway", "5XXError", "Average", 300, 1, ABOVE, 0.01, "notBreaching"),
    "api-latency": ("AWS/ApiGateway", "Latency", "p99", 300, 3, ABOVE, 3000, "notBreaching"),
    "api-429": ("Inventory/{env}", "TooManyRequests", "Sum", *ONE),
    "dead-letters": ("AWS/SQS", "NumberOfMessagesSent", "Sum", *ONE),
    # Sums of several metrics: each of them is looked at below.
    "items-throttles": (None, None, None, None, *ONE[1:]),
    "ledger-throttles": (None, None, None, None, *ONE[1:]),
}
ROLLOUT_ALARMS = {
    **{
        f"{hyphenated(it)}-rollout": ("AWS/Lambda", "Errors", "Sum", *ONE_IN_A_MINUTE)
        for it in OPERATIONS
    },
    **{
        f"{hyphenated(it.name)}-rollout-failed-requests": (
            *("Inventory/{env}", "FailedRequestsByVersion", "Sum", *ONE_IN_A_MINUTE),
        )
        for it in ROUTES
    },
    "rollout-failed-requests": ("Inventory/{env}", "FailedRequests", "Sum", *FIVE_IN_A_MINUTE),
    "rollout-api-5xx": ("AWS/ApiGateway", "5XXError", "Sum", *FIVE_IN_A_MINUTE),
}


def alarms(made):
    """The properties of every alarm, by its name without the prefix."""
    prefix = f"inventory-{made.stack.environment_suffix}-"
    return {
        it["Properties"]["AlarmName"].removeprefix(prefix): it["Properties"]
        for it in made.of_type(ALARM).values()
    }


def conditions(made):
    """When each alarm fires, in the form of `ALARMS`."""
    return {
        name: (
            it.get("Namespace"),
            it.get("MetricName"),
            it.get("Statistic", it.get("ExtendedStatistic")),
            it.get("Period"),
            it["EvaluationPeriods"],
            it["ComparisonOperator"],
            it["Threshold"],
            it["TreatMissingData"],
        )
        for name, it in alarms(made).items()
    }


def in_environment(table, env):
    return {
        name: (namespace and namespace.format(env=env), *rest)
        for name, (namespace, *rest) in table.items()
    }


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
    def test_each_fires_when_it_must(self, env, made):
        """One table has them all: the metric, its statistic and period, the condition, and silence."""
        assert conditions(made) == in_environment(ALARMS, env)

    def test_none_needs_more_than_its_periods(self, made):
        """All of them have to breach, not some."""
        for name, alarm in alarms(made).items():
            assert (
                alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
                == (alarm["EvaluationPeriods"])
            ), name
            assert alarm.get("ActionsEnabled", True) is True, name

    def metrics(self, alarm):
        if "MetricName" in alarm:
            yield alarm["Namespace"], alarm["MetricName"], alarm.get("Dimensions", [])
        for metric in alarm.get("Metrics", ()):
            if "MetricStat" in metric:
                found = metric["MetricStat"]["Metric"]
                yield found["Namespace"], found["MetricName"], found["Dimensions"]

    def test_every_dimension_is_a_resource_of_the_stack(self, made):
        """A metric that nothing writes to never raises an alarm."""
        for name, alarm in alarms(made).items():
            metrics = list(self.metrics(alarm))
            assert metrics, name
            for namespace, metric, dimensions in metrics:
                if namespace.startswith("Inventory/"):
                    assert metric in {it["MetricName"] for it in transformations(made)}, name
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
        alarm = alarms(made)[f"{hyphenated(operation)}-{metric.lower()}"]

        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]

    def test_the_api_is_watched(self, made):
        """As a whole, by its stage."""
        for name in ("api-5xx", "api-latency"):
            assert {it["Name"] for it in alarms(made)[name]["Dimensions"]} == {"ApiName", "Stage"}

    @pytest.mark.parametrize(("name", "indexes"), [("items", 3), ("ledger", 1)])
    def test_a_table_is_watched_with_its_indexes(self, made, name, indexes):
        """Each of which throttles on its own account."""
        alarm = alarms(made)[f"{name}-throttles"]
        metrics = list(self.metrics(alarm))

        [expression] = [it for it in alarm["Metrics"] if "Expression" in it]
        watched = [it["MetricStat"] for it in alarm["Metrics"] if "MetricStat" in it]

        assert len(metrics) == 2 * (1 + indexes)
        assert {(it["Stat"], it["Period"]) for it in watched} == {("Sum", 300)}
        assert expression["Expression"] == " + ".join(
            f"FILL({it['Id']}, 0)" for it in alarm["Metrics"] if "MetricStat" in it
        )
        assert {metric for _, metric, _ in metrics} == {"ReadThrottleEvents", "WriteThrottleEvents"}

    def test_whoever_asks_is_told(self, synthesize):
        """When it begins, and when it is over."""
        made = synthesize("prod", alarmEmail="ops@example.com")
        [(topic, _)] = made.of_type("AWS::SNS::Topic").items()
        [subscription] = made.of_type("AWS::SNS::Subscription").values()

        assert subscription["Properties"]["Protocol"] == "email"
        assert subscription["Properties"]["Endpoint"] == "ops@example.com"
        for alarm in alarms(made).values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]

    def test_alarms_may_publish_and_nothing_else(self, synthesize):
        """A topic's policy replaces its default: without an Allow, nobody would be told; only this stack's are allowed."""
        made = synthesize("prod", alarmEmail="ops@example.com")
        [(topic, _)] = made.of_type("AWS::SNS::Topic").items()
        [policy] = made.of_type("AWS::SNS::TopicPolicy").values()
        deny, *allow = policy["Properties"]["PolicyDocument"]["Statement"]

        assert policy["Properties"]["Topics"] == [{"Ref": topic}]
        assert (deny["Effect"], deny["Condition"]) == (
            "Deny",
            {"Bool": {"aws:SecureTransport": "false"}},
        )
        assert [(it["Principal"]["Service"], it["Effect"], it["Action"]) for it in allow] == [
            ("cloudwatch.amazonaws.com", "Allow", "sns:Publish"),
            ("events.amazonaws.com", "Allow", "sns:Publish"),
        ]
        for statement, source in zip(
            allow, (":alarm:inventory-prod-*", ":rule/inventory-prod-*"), strict=True
        ):
            assert statement["Resource"] == {"Ref": topic}
            condition = statement["Condition"]
            assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
            assert {"Ref": "AWS::AccountId"} in condition["ArnLike"]["aws:SourceArn"]["Fn::Join"][1]
            assert condition["ArnLike"]["aws:SourceArn"]["Fn::Join"][1][-1] == source

    def test_an_existing_topic_can_be_told(self, synthesize):
        """Its policy is its owner's."""
        topic = "arn:aws:sns:us-east-1:123456789012:ops"
        made = synthesize("prod", alarmTopic=topic)

        assert not made.of_type("AWS::SNS::Topic")
        assert not made.of_type("AWS::SNS::TopicPolicy")
        for alarm in alarms(made).values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]

    def test_else_nobody_is(self, made):
        """An alarm can be looked at."""
        assert not made.of_type("AWS::SNS::Topic")


def transformations(made):
    """What each metric filter counts."""
    return [
        {"FilterPattern": it["Properties"]["FilterPattern"], **transformation}
        for it in made.of_type(FILTER).values()
        for transformation in it["Properties"]["MetricTransformations"]
    ]


class TestLogMetrics:
    def filters(self, made, log_group):
        """What is counted in a log group, by the name of the metric."""
        group = made.named("AWS::Logs::LogGroup", "LogGroupName", log_group)
        return {
            transformation["MetricName"]: (it["Properties"]["FilterPattern"], transformation)
            for it in made.of_type(FILTER).values()
            for transformation in it["Properties"]["MetricTransformations"]
            if it["Properties"]["LogGroupName"] == {"Ref": group}
        }

    def test_429_is_counted_where_every_answer_is_logged(self, env, made):
        """The gateway's and the functions' alike; the access log holds the status as text."""
        filters = self.filters(made, f"/aws/apigateway/inventory-{env}")

        assert filters == {
            "TooManyRequests": (
                '{ $.status = "429" }',
                {
                    "MetricName": "TooManyRequests",
                    "MetricNamespace": f"Inventory/{env}",
                    "MetricValue": "1",
                },
            )
        }

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_failed_requests_are_counted_by_their_log_lines(self, env, made, route):
        """All functions count into one metric."""
        filters = self.filters(made, f"/aws/lambda/inventory-{env}-{hyphenated(route.name)}")

        assert filters == {
            "FailedRequests": (
                '{ $.message = "request" && $.status >= 500 }',
                {
                    "MetricName": "FailedRequests",
                    "MetricNamespace": f"Inventory/{env}",
                    "MetricValue": "1",
                },
            )
        }

    def test_a_rollout_counts_them_by_version_too(self, synthesize):
        """So that an old version that fails does not undo the new one."""
        made = synthesize("prod", canary="true")

        for route in ROUTES:
            filters = self.filters(made, f"/aws/lambda/inventory-prod-{hyphenated(route.name)}")
            pattern, transformation = filters["FailedRequestsByVersion"]
            assert set(filters) == {"FailedRequests", "FailedRequestsByVersion"}
            assert pattern == '{ $.message = "request" && $.status >= 500 }'
            assert transformation["Dimensions"] == [
                {"Key": "Operation", "Value": "$.route"},
                {"Key": "Version", "Value": "$.function_version"},
            ]

    def test_the_line_of_a_request_is_what_the_filters_look_for(self, caplog):
        """Its message, its status as a number, the operation, and the version that answered."""
        from inventory_adapters.http.api_gateway import Cors, make_handler
        from inventory_adapters.http.routes import route_named

        class Context:
            function_version = "7"

        def broken():
            raise RuntimeError("no wiring")

        with caplog.at_level("INFO", logger="inventory_adapters.http"):
            result = make_handler(route_named("get_item"), broken)({}, Context())
            make_handler(route_named("get_item"), lambda: (None, Cors()))({})

        [line, local] = [it for it in caplog.records if it.message == "request"]
        assert (result["statusCode"], line.status, line.route) == (500, 500, "get_item")
        assert line.function_version == "7"
        assert not hasattr(local, "function_version")


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

    def test_a_new_version_gets_a_tenth_first_and_goes_back_on_alarm(self, canary):
        """Function by function."""
        groups = canary.of_type("AWS::CodeDeploy::DeploymentGroup").values()

        assert len(groups) == len(OPERATIONS)
        for group in groups:
            properties = group["Properties"]
            assert (
                properties["DeploymentConfigName"]
                == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
            )
            assert properties["AlarmConfiguration"]["Enabled"] is True
            assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]

    def test_its_alarms_fire_when_they_must(self, canary):
        """At once for the version under test, and at five in a minute for all that answer."""
        expected = in_environment(ALARMS | ROLLOUT_ALARMS, "prod")

        assert conditions(canary) == expected

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_what_a_group_watches(self, canary, operation):
        """Crashes, failed requests of its version and of all functions, and the gateway's failures."""
        [alias] = [
            it
            for name, it in canary.of_type("AWS::Lambda::Alias").items()
            if operation.replace("_", "") in name
        ]
        group = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        watched = canary.template["Resources"][group]["Properties"]["AlarmConfiguration"]["Alarms"]
        by_id = canary.of_type(ALARM)
        names = {by_id[it["Name"]["Ref"]]["Properties"]["AlarmName"] for it in watched}

        name = f"inventory-prod-{hyphenated(operation)}-rollout"
        of_requests = {f"{name}-failed-requests"} if operation in ANSWERING else set()
        assert names == {
            name,
            *of_requests,
            "inventory-prod-rollout-failed-requests",
            "inventory-prod-rollout-api-5xx",
        }

    @pytest.mark.parametrize("operation", sorted(ANSWERING))
    def test_failed_requests_are_those_of_the_version_under_test(self, canary, operation):
        """The very version that the alias is moved to."""
        alarm = alarms(canary)[f"{hyphenated(operation)}-rollout-failed-requests"]
        dimensions = {it["Name"]: it["Value"] for it in alarm["Dimensions"]}
        function = canary.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-prod-{hyphenated(operation)}"
        )
        [version] = [
            name
            for name, it in canary.of_type("AWS::Lambda::Version").items()
            if it["Properties"]["FunctionName"] == {"Ref": function}
        ]

        assert dimensions == {
            "Operation": operation,
            "Version": {"Fn::GetAtt": [version, "Version"]},
        }

    def test_the_gateway_is_watched_by_its_names(self, canary):
        """Its stage depends on the aliases, so that they cannot depend on it."""
        alarm = alarms(canary)["rollout-api-5xx"]

        assert {it["Name"]: it["Value"] for it in alarm["Dimensions"]} == {
            "ApiName": "inventory-api-prod",
            "Stage": "prod",
        }

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
