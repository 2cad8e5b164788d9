"""Schedules, alarms, the dashboard and rollouts."""

import json
import re
from pathlib import Path

import pytest

from deploy.events import PUBLISH_EVENTS
from deploy.sweeper import SCHEDULED
from inventory_adapters.http.routes import ROUTES

pytestmark = pytest.mark.synth

ALARM = "AWS::CloudWatch::Alarm"
FILTER = "AWS::Logs::MetricFilter"
OPERATIONS = [
    *(route.name for route in ROUTES),
    *(operation.name for operation in SCHEDULED),
    PUBLISH_EVENTS,
]
ROUTED = {route.name for route in ROUTES}


def hyphenated(operation):
    return operation.replace("_", "-")


# For each alarm: namespace, metric, statistic, period in seconds, number of periods, comparison, threshold, missing data.
AT_LEAST, ABOVE, BELOW = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
)
ONE = (300, 1, AT_LEAST, 1, "notBreaching")
ONE_IN_A_MINUTE = (60, 1, AT_LEAST, 1, "notBreaching")
FIVE_IN_A_MINUTE = (60, 1, AT_LEAST, 5, "notBreaching")
ALARMS = {
    **{f"{hyphenated(name)}-errors": ("AWS/Lambda", "Errors", "Sum", *ONE) for name in OPERATIONS},
    **{
        f"{hyphenated(name)}-throttles": ("AWS/Lambda", "Throttles", "Sum", *ONE)
        for name in OPERATIONS
    },
    "expire-reservations-not-started": ("AWS/Events", "FailedInvocations", "Sum", *ONE),
    "expire-reservations-stopped": (
        *("AWS/Lambda", "Invocations", "Sum", 300, 3, BELOW, 1, "breaching"),
    ),
    "api-5xx": ("AWS/ApiGateway", "5XXError", "Average", 300, 1, ABOVE, 0.01, "notBreaching"),
    "api-latency": ("AWS/ApiGateway", "Latency", "p99", 300, 3, ABOVE, 3000, "notBreaching"),
    "api-429": ("Inventory/{env}", "TooManyRequests", "Sum", *ONE),
    "contention": ("Inventory/{env}", "Contention", "Sum", *ONE),
    "oldest-due": (
        "Inventory/{env}",
        "OldestDueSeconds",
        "Maximum",
        300,
        1,
        AT_LEAST,
        300,
        "notBreaching",
    ),
    "dead-letters": ("AWS/SQS", "NumberOfMessagesSent", "Sum", *ONE),
    "event-dead-letters": ("AWS/SQS", "NumberOfMessagesSent", "Sum", *ONE),
    "events-late": (
        "AWS/Lambda",
        "IteratorAge",
        "Maximum",
        300,
        1,
        AT_LEAST,
        300_000,
        "notBreaching",
    ),
    # Sums of several metrics, which another test checks.
    "items-throttles": (None, None, None, None, *ONE[1:]),
    "ledger-throttles": (None, None, None, None, *ONE[1:]),
}
MAPPING = "AWS::Lambda::EventSourceMapping"
FIREWALL_ALARMS = {"firewall-blocked": ("AWS/WAFV2", "BlockedRequests", "Sum", *ONE)}
ROLLOUT_ALARMS = {
    **{
        f"{hyphenated(name)}-rollout": ("AWS/Lambda", "Errors", "Sum", *ONE_IN_A_MINUTE)
        for name in OPERATIONS
    },
    **{
        f"{hyphenated(route.name)}-rollout-failed-requests": (
            *("Inventory/{env}", "FailedRequestsByVersion", "Sum", *ONE_IN_A_MINUTE),
        )
        for route in ROUTES
    },
    "rollout-failed-requests": ("Inventory/{env}", "FailedRequests", "Sum", *FIVE_IN_A_MINUTE),
    "rollout-api-5xx": ("AWS/ApiGateway", "5XXError", "Sum", *FIVE_IN_A_MINUTE),
}


def alarms(synthesized):
    """Return the properties of all alarms, by name without the prefix."""
    prefix = f"inventory-{synthesized.stack.environment_suffix}-"
    return {
        alarm["Properties"]["AlarmName"].removeprefix(prefix): alarm["Properties"]
        for alarm in synthesized.of_type(ALARM).values()
    }


def conditions(synthesized):
    """Return the conditions of all alarms, in the form of `ALARMS`."""
    return {
        name: (
            alarm.get("Namespace"),
            alarm.get("MetricName"),
            alarm.get("Statistic", alarm.get("ExtendedStatistic")),
            alarm.get("Period"),
            alarm["EvaluationPeriods"],
            alarm["ComparisonOperator"],
            alarm["Threshold"],
            alarm["TreatMissingData"],
        )
        for name, alarm in alarms(synthesized).items()
    }


def in_environment(table, env):
    return {
        name: (namespace and namespace.format(env=env), *rest)
        for name, (namespace, *rest) in table.items()
    }


class TestSweeper:
    def test_sweeper_runs_each_minute(self, env, synthesized):
        """EventBridge has the permission to invoke it."""
        rule = synthesized.properties(
            "AWS::Events::Rule", Name=f"inventory-{env}-expire-reservations"
        )
        function = synthesized.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-{env}-expire-reservations"
        )
        [target] = rule["Targets"]
        [permission] = [
            permission["Properties"]
            for permission in synthesized.of_type("AWS::Lambda::Permission").values()
            if permission["Properties"]["Principal"] == "events.amazonaws.com"
        ]

        assert rule["ScheduleExpression"] == "rate(1 minute)"
        assert rule["State"] == "ENABLED"
        assert target["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
        assert permission["FunctionName"] == {"Fn::GetAtt": [function, "Arn"]}

    def test_failed_run_goes_to_the_queue_and_is_not_retried(self, synthesized):
        """This applies to runs that could not be started and to runs that failed."""
        name = f"inventory-{synthesized.stack.environment_suffix}-dead-letters"
        queue = synthesized.named("AWS::SQS::Queue", "QueueName", name)
        [rule] = synthesized.of_type("AWS::Events::Rule").values()
        [invoked] = synthesized.of_type("AWS::Lambda::EventInvokeConfig").values()
        [target] = rule["Properties"]["Targets"]
        arn = {"Fn::GetAtt": [queue, "Arn"]}

        assert target["DeadLetterConfig"] == {"Arn": arn}
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
        assert invoked["Properties"]["DestinationConfig"]["OnFailure"]["Destination"] == arn
        assert invoked["Properties"]["MaximumRetryAttempts"] == 0

    @pytest.mark.parametrize("name", ["dead-letters", "event-dead-letters"])
    def test_queue_is_encrypted_and_retains_messages_for_two_weeks(self, env, synthesized, name):
        """Operators need time to look at the messages."""
        queue = synthesized.properties("AWS::SQS::Queue", QueueName=f"inventory-{env}-{name}")

        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


class TestEvents:
    def test_both_streams_are_read_in_order(self, env, synthesized):
        """With their filters; a failed batch is repeated for hours and divided, and goes to the queue at the end."""
        queue = synthesized.named(
            "AWS::SQS::Queue", "QueueName", f"inventory-{env}-event-dead-letters"
        )
        function = synthesized.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-{env}-publish-events"
        )
        filters = {}
        for mapping in synthesized.of_type(MAPPING).values():
            properties = {**mapping["Properties"]}
            [table, attribute] = properties.pop("EventSourceArn")["Fn::GetAtt"]
            [pattern] = properties.pop("FilterCriteria")["Filters"]
            name = synthesized.template["Resources"][table]["Properties"]["TableName"]
            filters[name] = json.loads(pattern["Pattern"])
            properties.pop("Tags", None)
            assert attribute == "StreamArn"
            assert properties == {
                "BatchSize": 100,
                "BisectBatchOnFunctionError": True,
                "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": [queue, "Arn"]}}},
                "FunctionName": {"Ref": function},
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "MaximumRecordAgeInSeconds": 72_000,
                "MaximumRetryAttempts": 100,
                "ParallelizationFactor": 1,
                "StartingPosition": "TRIM_HORIZON",
            }

        written = {"eventName": ["INSERT", "MODIFY"]}
        sk = {"S": [{"prefix": "movement#"}, "reservation"]}
        assert filters == {
            f"inventory-{env}": written,
            f"inventory-{env}-ledger": {**written, "dynamodb": {"Keys": {"sk": sk}}},
        }

    def test_streams_contain_both_images(self, synthesized):
        """Events tell what has changed."""
        for table in synthesized.of_type("AWS::DynamoDB::Table").values():
            stream = table["Properties"]["StreamSpecification"]
            assert stream["StreamViewType"] == "NEW_AND_OLD_IMAGES"

    def test_function_knows_bus_and_queue(self, env, synthesized):
        """By name and by URL."""
        function = synthesized.properties(
            "AWS::Lambda::Function", FunctionName=f"inventory-{env}-publish-events"
        )
        bus = synthesized.named("AWS::Events::EventBus", "Name", f"inventory-{env}")
        variables = function["Environment"]["Variables"]

        assert variables["EVENT_BUS"] == {"Ref": bus}
        assert "Ref" in variables["DEAD_LETTERS"]

    def test_there_is_no_archive_by_default(self, synthesize, synthesized):
        """A setting gives the days."""
        archived = synthesize("dev", eventArchive="30")

        assert not synthesized.of_type("AWS::Events::Archive")
        [archive] = archived.of_type("AWS::Events::Archive").values()
        assert archive["Properties"]["RetentionDays"] == 30

    def test_events_can_be_left_out(self, synthesize):
        """With their function, queue and alarms."""
        without = synthesize("dev", events="false")

        assert not without.of_type("AWS::Events::EventBus")
        assert not without.of_type(MAPPING)
        assert len(without.of_type("AWS::SQS::Queue")) == 1
        assert not [name for name in alarms(without) if "event" in name]


class TestAlarms:
    def test_alarms_have_these_conditions(self, env, synthesized):
        """The table `ALARMS` has the metric, statistic, period, condition and treatment of missing data of each."""
        expected = ALARMS | (FIREWALL_ALARMS if env == "prod" else {})

        assert conditions(synthesized) == in_environment(expected, env)

    def test_alarms_fire_if_all_periods_breach(self, synthesized):
        """No alarm is disabled or requires other numbers of data points."""
        for name, alarm in alarms(synthesized).items():
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
                summand = metric["MetricStat"]["Metric"]
                yield summand["Namespace"], summand["MetricName"], summand["Dimensions"]

    def test_every_dimension_is_a_resource_of_the_stack(self, synthesized):
        """An alarm on a metric without data never fires."""
        for name, alarm in alarms(synthesized).items():
            metrics = list(self.metrics(alarm))
            assert metrics, name
            for namespace, metric, dimensions in metrics:
                if namespace.startswith("Inventory/"):
                    assert metric in {
                        transformation["MetricName"]
                        for transformation in transformations(synthesized)
                    }, name
                for dimension in dimensions:
                    self.resolve(synthesized, dimension["Name"], dimension["Value"], dimensions)

    def resolve(self, synthesized, name, value, dimensions):
        resources = synthesized.template["Resources"]
        types = {
            "FunctionName": "AWS::Lambda::Function",
            "TableName": "AWS::DynamoDB::Table",
            "Stage": "AWS::ApiGateway::Stage",
            "RuleName": "AWS::Events::Rule",
        }
        if name == "ApiName":
            synthesized.named("AWS::ApiGateway::RestApi", "Name", value)
        elif name == "WebACL":
            synthesized.named("AWS::WAFv2::WebACL", "Name", value)
        elif name == "Rule":
            [acl] = synthesized.of_type("AWS::WAFv2::WebACL").values()
            assert value in {
                rule["VisibilityConfig"]["MetricName"] for rule in acl["Properties"]["Rules"]
            }
        elif name == "Region":
            assert value == {"Ref": "AWS::Region"}
        elif name == "QueueName":
            assert resources[value["Fn::GetAtt"][0]]["Type"] == "AWS::SQS::Queue"
            assert value["Fn::GetAtt"][1] == "QueueName"
        elif name == "GlobalSecondaryIndexName":
            [table] = [
                dimension["Value"]["Ref"]
                for dimension in dimensions
                if dimension["Name"] == "TableName"
            ]
            indexes = resources[table]["Properties"]["GlobalSecondaryIndexes"]
            assert value in {index["IndexName"] for index in indexes}
        else:
            assert resources[value["Ref"]]["Type"] == types[name]

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("metric", ["Errors", "Throttles"])
    def test_every_function_has_its_own_alarms(self, env, synthesized, operation, metric):
        """The alarms watch the metrics of the function's name."""
        function = synthesized.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-{env}-{hyphenated(operation)}"
        )
        alarm = alarms(synthesized)[f"{hyphenated(operation)}-{metric.lower()}"]

        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]

    def test_alarms_of_the_api_cover_the_stage(self, synthesized):
        """They watch all methods of the stage together."""
        for name in ("api-5xx", "api-latency"):
            assert {dimension["Name"] for dimension in alarms(synthesized)[name]["Dimensions"]} == {
                "ApiName",
                "Stage",
            }

    @pytest.mark.parametrize(("name", "indexes"), [("items", 3), ("ledger", 1)])
    def test_alarm_of_a_table_includes_its_indexes(self, synthesized, name, indexes):
        """Each index has its own throttling metrics."""
        alarm = alarms(synthesized)[f"{name}-throttles"]
        metrics = list(self.metrics(alarm))

        [expression] = [metric for metric in alarm["Metrics"] if "Expression" in metric]
        summands = [metric for metric in alarm["Metrics"] if "MetricStat" in metric]

        assert len(metrics) == 2 * (1 + indexes)
        assert {
            (summand["MetricStat"]["Stat"], summand["MetricStat"]["Period"]) for summand in summands
        } == {("Sum", 300)}
        assert expression["Expression"] == " + ".join(
            f"FILL({summand['Id']}, 0)" for summand in summands
        )
        assert {metric for _, metric, _ in metrics} == {"ReadThrottleEvents", "WriteThrottleEvents"}

    def test_each_ceiling_has_its_alarm(self, customized_preview):
        """The last column of the table in docs/scale.md names it; this preview has a firewall and provisioned capacity."""
        page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
        table = page.partition("begin: ceilings -->\n")[2].partition("<!-- end")[0]
        named = [
            name.replace("<operation>", hyphenated(operation))
            for row in table.splitlines()[2:]
            for name in row.split("|")[4].replace("`", "").strip().split(", ")
            for operation in OPERATIONS
        ]

        assert named
        assert set(named) <= set(alarms(customized_preview))

    @pytest.mark.parametrize(("name", "indexes"), [("items", 3), ("ledger", 1)])
    def test_provisioned_capacity_has_an_alarm_at_nine_tenths_of_its_maximum(
        self, customized_preview, name, indexes
    ):
        """The busiest of a table and its indexes counts, in units per second."""
        alarm = alarms(customized_preview)[f"{name}-capacity"]

        [expression] = [metric for metric in alarm["Metrics"] if "Expression" in metric]
        consumed = [metric for metric in alarm["Metrics"] if "MetricStat" in metric]

        assert alarm["Threshold"] == 0.9 * 400
        assert len(consumed) == 2 * (1 + indexes)
        assert {(it["MetricStat"]["Stat"], it["MetricStat"]["Period"]) for it in consumed} == {
            ("Sum", 300)
        }
        filled = ", ".join(f"FILL({it['Id']}, 0)" for it in consumed)
        assert expression["Expression"] == f"MAX([{filled}]) / 300"
        assert {metric for _, metric, _ in self.metrics(alarm)} == {
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
        }

    def test_alarms_are_sent_to_an_e_mail_address(self, customized_prod):
        """The address receives the start and the end of an alarm."""
        [(topic, _)] = customized_prod.of_type("AWS::SNS::Topic").items()
        [subscription] = customized_prod.of_type("AWS::SNS::Subscription").values()

        assert subscription["Properties"]["Protocol"] == "email"
        assert subscription["Properties"]["Endpoint"] == "ops@example.com"
        for alarm in alarms(customized_prod).values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]

    def test_only_alarms_of_the_stack_may_publish_to_the_topic(self, customized_prod):
        """The policy replaces the default policy of the topic, so it must allow the alarms."""
        [(topic, _)] = customized_prod.of_type("AWS::SNS::Topic").items()
        [policy] = customized_prod.of_type("AWS::SNS::TopicPolicy").values()
        deny, *allow = policy["Properties"]["PolicyDocument"]["Statement"]

        assert policy["Properties"]["Topics"] == [{"Ref": topic}]
        assert (deny["Effect"], deny["Condition"]) == (
            "Deny",
            {"Bool": {"aws:SecureTransport": "false"}},
        )
        assert [
            (statement["Principal"]["Service"], statement["Effect"], statement["Action"])
            for statement in allow
        ] == [
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

    def test_alarms_are_sent_to_an_existing_topic(self, minimal_prod):
        """The stack does not change the policy of the topic."""
        topic = "arn:aws:sns:us-east-1:123456789012:ops"

        assert not minimal_prod.of_type("AWS::SNS::Topic")
        assert not minimal_prod.of_type("AWS::SNS::TopicPolicy")
        for alarm in alarms(minimal_prod).values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]

    def test_there_is_no_topic_by_default(self, synthesized):
        """Alarms are still visible in CloudWatch."""
        assert not synthesized.of_type("AWS::SNS::Topic")


def transformations(synthesized):
    """Return the metric transformations of all metric filters, with their patterns."""
    return [
        {"FilterPattern": metric_filter["Properties"]["FilterPattern"], **transformation}
        for metric_filter in synthesized.of_type(FILTER).values()
        for transformation in metric_filter["Properties"]["MetricTransformations"]
    ]


class TestLogMetrics:
    def filters(self, synthesized, log_group):
        """Return pattern and transformation of the filters of a log group, by metric."""
        group = synthesized.named("AWS::Logs::LogGroup", "LogGroupName", log_group)
        return {
            transformation["MetricName"]: (
                metric_filter["Properties"]["FilterPattern"],
                transformation,
            )
            for metric_filter in synthesized.of_type(FILTER).values()
            for transformation in metric_filter["Properties"]["MetricTransformations"]
            if metric_filter["Properties"]["LogGroupName"] == {"Ref": group}
        }

    def test_429_is_counted_in_the_access_log(self, env, synthesized):
        """The access log contains all responses, with the status as text."""
        filters = self.filters(synthesized, f"/aws/apigateway/inventory-{env}")

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

    def test_the_oldest_due_reservation_is_taken_from_the_log_of_the_sweeper(
        self, env, synthesized
    ):
        """The value is that of the log line."""
        filters = self.filters(synthesized, f"/aws/lambda/inventory-{env}-expire-reservations")

        assert filters == {
            "OldestDueSeconds": (
                "{ $.oldest_due_seconds >= 0 }",
                {
                    "MetricName": "OldestDueSeconds",
                    "MetricNamespace": f"Inventory/{env}",
                    "MetricValue": "$.oldest_due_seconds",
                },
            )
        }

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_failed_requests_are_counted_in_the_logs_of_functions(self, env, synthesized, route):
        """All functions contribute to one metric, and so they do for requests that were given up."""
        filters = self.filters(synthesized, f"/aws/lambda/inventory-{env}-{hyphenated(route.name)}")

        assert filters == {
            name: (
                f'{{ $.message = "request" && {condition} }}',
                {
                    "MetricName": name,
                    "MetricNamespace": f"Inventory/{env}",
                    "MetricValue": "1",
                },
            )
            for name, condition in (
                ("FailedRequests", "$.status >= 500"),
                ("Contention", '$.code = "contention"'),
            )
        }

    def test_canary_counts_failed_requests_by_version(self, synthesize):
        """Failures of the old version must not roll back the new one."""
        synthesized = synthesize("prod", canary="true")

        for route in ROUTES:
            filters = self.filters(
                synthesized, f"/aws/lambda/inventory-prod-{hyphenated(route.name)}"
            )
            pattern, transformation = filters["FailedRequestsByVersion"]
            assert set(filters) == {"FailedRequests", "FailedRequestsByVersion", "Contention"}
            assert pattern == '{ $.message = "request" && $.status >= 500 }'
            assert transformation["Dimensions"] == [
                {"Key": "Operation", "Value": "$.route"},
                {"Key": "Version", "Value": "$.function_version"},
            ]

    def test_log_line_of_a_request_matches_the_filters(self, caplog):
        """It has the message, the status as a number, the operation and the function version."""
        from inventory_adapters.http.api_gateway import App, make_handler
        from inventory_adapters.http.routes import route_named

        class Context:
            function_version = "7"

        def broken():
            raise RuntimeError("no configuration")

        with caplog.at_level("INFO", logger="inventory_adapters.http"):
            result = make_handler(route_named("get_item"), broken)({}, Context())
            make_handler(route_named("get_item"), lambda: App(None))({})

        [line, local] = [record for record in caplog.records if record.message == "request"]
        assert (result["statusCode"], line.status, line.route) == (500, 500, "get_item")
        assert line.code == json.loads(result["body"])["code"]
        assert line.function_version == "7"
        assert not hasattr(local, "function_version")


def test_the_runbook_has_an_entry_for_each_alarm(synthesize, customized_preview):
    """And no other: of alarms with one name for each function, there is one."""
    functions = "|".join(map(hyphenated, OPERATIONS))
    stacks = [
        customized_preview,
        synthesize("prod", canary="true"),
        synthesize("prod", billing="provisioned", capacity="5-100"),
    ]
    names = {
        re.sub(rf"^({functions})-(errors|throttles|rollout.*)$", r"<function>-\2", name)
        for stack in stacks
        for alarm in stack.of_type(ALARM).values()
        for name in [re.sub("^inventory-(prod|feature-42)-", "", alarm["Properties"]["AlarmName"])]
    }
    runbook = (Path(__file__).parents[2] / "docs/how-to/runbook.md").read_text()
    entries = [
        name
        for heading in re.findall("^### (.+)$", runbook, re.MULTILINE)
        for name in re.findall("`([^`]+)`", heading)
    ]

    assert sorted(entries) == sorted(names)
    for part in ("Meaning", "Look", "Do"):
        assert runbook.count(f"- **{part}:**") == runbook.count("\n### ")


def test_dashboard_shows_all_alarms(env, synthesized):
    """They are in one row."""
    [dashboard] = synthesized.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(dashboard["Properties"]["DashboardBody"])

    assert dashboard["Properties"]["DashboardName"] == f"inventory-{env}"
    for alarm in synthesized.of_type(ALARM):
        assert alarm in body


class TestRollout:
    @pytest.fixture
    def canary(self, synthesize):
        return synthesize("prod", canary="true")

    def test_new_version_gets_a_tenth_of_traffic_and_is_rolled_back_on_alarm(self, canary):
        """Each function has its own deployment group."""
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

    def test_rollout_alarms_have_these_conditions(self, canary):
        """The threshold is one failure of the new version, or five in a minute of all versions."""
        expected = in_environment(ALARMS | FIREWALL_ALARMS | ROLLOUT_ALARMS, "prod")

        assert conditions(canary) == expected

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_deployment_group_has_these_alarms(self, canary, operation):
        """They cover crashes, failed requests of the version and of all functions, and errors of the gateway."""
        [alias] = [
            alias
            for name, alias in canary.of_type("AWS::Lambda::Alias").items()
            if operation.replace("_", "") in name
        ]
        group = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        group_alarms = canary.template["Resources"][group]["Properties"]["AlarmConfiguration"][
            "Alarms"
        ]
        by_id = canary.of_type(ALARM)
        names = {by_id[alarm["Name"]["Ref"]]["Properties"]["AlarmName"] for alarm in group_alarms}

        name = f"inventory-prod-{hyphenated(operation)}-rollout"
        of_requests = {f"{name}-failed-requests"} if operation in ROUTED else set()
        assert names == {
            name,
            *of_requests,
            "inventory-prod-rollout-failed-requests",
            "inventory-prod-rollout-api-5xx",
        }

    @pytest.mark.parametrize("operation", sorted(ROUTED))
    def test_alarm_counts_failed_requests_of_the_new_version(self, canary, operation):
        """It is the version that the alias moves to."""
        alarm = alarms(canary)[f"{hyphenated(operation)}-rollout-failed-requests"]
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
        function = canary.named(
            "AWS::Lambda::Function", "FunctionName", f"inventory-prod-{hyphenated(operation)}"
        )
        [version] = [
            name
            for name, version in canary.of_type("AWS::Lambda::Version").items()
            if version["Properties"]["FunctionName"] == {"Ref": function}
        ]

        assert dimensions == {
            "Operation": operation,
            "Version": {"Fn::GetAtt": [version, "Version"]},
        }

    def test_alarm_of_the_gateway_uses_names_of_api_and_stage(self, canary):
        """References would be circular, because the stage depends on the aliases."""
        alarm = alarms(canary)["rollout-api-5xx"]

        assert {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]} == {
            "ApiName": "inventory-api-prod",
            "Stage": "prod",
        }

    def test_gateway_and_schedule_invoke_the_aliases(self, canary):
        """Only aliases shift traffic gradually."""
        aliases = canary.of_type("AWS::Lambda::Alias")
        invoked = [
            json.dumps(permission["Properties"]["FunctionName"])
            for permission in canary.of_type("AWS::Lambda::Permission").values()
        ]

        invoked += [
            json.dumps(mapping["Properties"]["FunctionName"])
            for mapping in canary.of_type(MAPPING).values()
        ]

        # Two streams invoke one alias.
        assert len(aliases) == len(OPERATIONS) == len({*invoked})
        assert all(any(alias in name for alias in aliases) for name in invoked)

    def test_there_is_no_rollout_by_default(self, synthesized):
        """A deployment replaces the code immediately."""
        assert not synthesized.of_type("AWS::Lambda::Alias")
        assert not synthesized.of_type("AWS::CodeDeploy::DeploymentGroup")
