"""Alarms and a dashboard for operators."""

from collections.abc import Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.events import PUBLISH_EVENTS, EventBus
from deploy.firewall import Firewall
from deploy.functions import hyphenated
from deploy.log_metrics import LogMetrics
from deploy.sweeper import SweeperSchedule
from deploy.tables import Tables
from inventory_adapters.storage.dynamodb.schema import TableSchema

__all__ = ["Monitoring"]

_PERIOD: Final = cdk.Duration.minutes(5)
_SLOW_MS: Final = 3_000
_FAILING_SHARE: Final = 0.01
_FULL_SHARE: Final = 0.9
_OLDEST_DUE_SECONDS: Final = 300
_LATE_SECONDS: Final = 300

_AT_LEAST: Final = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW: Final = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class Monitoring(Construct):
    """
    The alarms and the dashboard of a deployment.

    Args:
        functions: The functions, by operation.
        stage: The stage of the API.
        tables: The tables.
        sweeper: The schedules and their dead-letter queue.
        firewall: The firewall, if any.
        event_bus: The bus of the events, if any.
        log_metrics: The metrics from log lines.
        prefix: The prefix of every name: ``inventory-dev``.
        alarm_email: The e-mail address that receives alarms; None for no e-mail.
        alarm_topic_arn: An existing topic that receives alarms; None for no existing topic.

    Attributes:
        alarms: The alarms, by name without the prefix.
        dashboard: The dashboard.
        topic: The topic that receives alarms, if any.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Mapping[str, lambda_.Function],
        stage: apigateway.Stage,
        tables: Tables,
        sweeper: SweeperSchedule,
        firewall: Firewall | None,
        event_bus: EventBus | None,
        log_metrics: LogMetrics,
        prefix: str,
        alarm_email: str | None,
        alarm_topic_arn: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self.alarms: dict[str, cloudwatch.Alarm] = {}
        self.topic: sns.ITopic | None = None
        if alarm_topic_arn:
            self.topic = sns.Topic.from_topic_arn(self, "Topic", alarm_topic_arn)
        elif alarm_email:
            self.topic = self._make_topic(alarm_email)
        self._watch_functions(functions)
        self._watch_api(stage, log_metrics)
        self._watch_tables(tables)
        self._watch_sweeper(sweeper, functions, log_metrics)
        if firewall:
            self._alarm(
                "firewall-blocked",
                "The firewall blocked an IP address that sent too many requests",
                firewall.blocked(_PERIOD),
            )
        if event_bus:
            self._watch_events(event_bus, functions[PUBLISH_EVENTS])
        self.dashboard = self._make_dashboard(functions, stage, tables, log_metrics)

    def _make_topic(self, alarm_email: str) -> sns.Topic:
        topic = sns.Topic(self, "Topic", topic_name=f"{self._prefix}-alarms", enforce_ssl=True)
        subscription = topic.add_subscription(subscriptions.EmailSubscription(alarm_email))
        acknowledge(
            subscription,
            "Serverless-SNSRedrivePolicy",
            "SNS retries an e-mail for hours, and the alarm keeps its state, so a queue for failed messages adds nothing.",
        )
        # This policy replaces the default policy of a topic, which allows alarms of the account to publish.
        for service, source in (
            ("cloudwatch", f"alarm:{self._prefix}-*"),
            ("events", f"rule/{self._prefix}-*"),
        ):
            topic.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"PublishFrom{service.capitalize()}",
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["sns:Publish"],
                    resources=[topic.topic_arn],
                    conditions={
                        "StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
                        "ArnLike": {
                            "aws:SourceArn": f"arn:{cdk.Aws.PARTITION}:{service}:{cdk.Aws.REGION}:"
                            f"{cdk.Aws.ACCOUNT_ID}:{source}"
                        },
                    },
                )
            )
        return topic

    def _alarm(
        self, name: str, description: str, metric: cloudwatch.IMetric, **options: Any
    ) -> None:
        """Create an alarm, by default for a metric that reaches 1 in one period."""
        defaults: dict[str, Any] = {
            "threshold": 1,
            "evaluation_periods": 1,
            "comparison_operator": _AT_LEAST,
            "treat_missing_data": cloudwatch.TreatMissingData.NOT_BREACHING,
        }
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=description,
            metric=metric,
            **(defaults | options),
        )
        if self.topic:
            action = actions.SnsAction(self.topic)
            alarm.add_alarm_action(action)
            alarm.add_ok_action(action)
        self.alarms[name] = alarm

    def _watch_functions(self, functions: Mapping[str, lambda_.Function]) -> None:
        for operation, function in functions.items():
            name = hyphenated(operation)
            self._alarm(
                f"{name}-errors",
                f"{operation} crashed, timed out or ran out of memory",
                function.metric_errors(period=_PERIOD),
            )
            self._alarm(
                f"{name}-throttles",
                f"{operation} was throttled: its concurrency limit, or that of the account, was reached",
                function.metric_throttles(period=_PERIOD),
            )

    def _watch_api(self, stage: apigateway.Stage, log_metrics: LogMetrics) -> None:
        self._alarm(
            "api-5xx",
            "More than 1 % of requests failed with a status of 500 or above",
            stage.metric_server_error(statistic="Average", period=_PERIOD),
            threshold=_FAILING_SHARE,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        )
        self._alarm(
            "api-latency",
            f"The 99th percentile of latency was over {_SLOW_MS} ms for 15 minutes",
            stage.metric_latency(statistic="p99", period=_PERIOD),
            threshold=_SLOW_MS,
            evaluation_periods=3,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        )

        self._alarm(
            "api-429",
            "Requests were rejected with 429: clients are throttled, or the monthly quota of an API key is used up",
            log_metrics.too_many_requests(_PERIOD),
        )
        self._alarm(
            "contention",
            "Changes of an item were rejected with 409 contention: too many requests change it at the same time",
            log_metrics.contention(_PERIOD),
        )

    def _watch_tables(self, tables: Tables) -> None:
        for schema, table in tables.by_schema.items():
            name = table.node.id.lower()
            self._alarm(
                f"{name}-throttles",
                f"DynamoDB throttled requests to the {name} table or one of its indexes",
                _throttles(schema, table),
            )
            if tables.capacity:
                self._alarm(
                    f"{name}-capacity",
                    f"The {name} table or one of its indexes consumes {_FULL_SHARE:.0%} of the maximum of its capacity",
                    _consumed_per_second(schema, table),
                    threshold=_FULL_SHARE * tables.capacity[1],
                )

    def _watch_sweeper(
        self,
        sweeper: SweeperSchedule,
        functions: Mapping[str, lambda_.Function],
        log_metrics: LogMetrics,
    ) -> None:
        self._alarm(
            "oldest-due",
            f"A reservation has been due for {_OLDEST_DUE_SECONDS} s: the sweeper is too slow",
            log_metrics.oldest_due_seconds(_PERIOD),
            threshold=_OLDEST_DUE_SECONDS,
        )
        self._alarm(
            "dead-letters",
            "A scheduled run failed: see the message in the queue",
            # Counts arriving messages, not waiting ones: a message stays for two weeks and would hide later ones.
            sweeper.dead_letters.metric_number_of_messages_sent(period=_PERIOD),
        )
        for operation, rule in sweeper.rules.items():
            name = hyphenated(operation)
            self._alarm(
                f"{name}-not-started",
                f"EventBridge could not start {operation}",
                cloudwatch.Metric(
                    namespace="AWS/Events",
                    metric_name="FailedInvocations",
                    dimensions_map={"RuleName": rule.rule_name},
                    statistic="Sum",
                    period=_PERIOD,
                ),
            )
            self._alarm(
                f"{name}-stopped",
                f"{operation} has not run for 15 minutes: due reservations expire only when another request needs their units",
                functions[operation].metric_invocations(period=_PERIOD),
                evaluation_periods=3,
                comparison_operator=_BELOW,
                treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            )

    def _watch_events(self, event_bus: EventBus, function: lambda_.Function) -> None:
        self._alarm(
            "events-late",
            f"Events are published more than {_LATE_SECONDS} s after their change",
            function.metric("IteratorAge", statistic="Maximum", period=_PERIOD),
            threshold=_LATE_SECONDS * 1000,
        )
        self._alarm(
            "event-dead-letters",
            "An event could not be published: see the message in the queue",
            event_bus.dead_letters.metric_number_of_messages_sent(period=_PERIOD),
        )

    def _make_dashboard(
        self,
        functions: Mapping[str, lambda_.Function],
        stage: apigateway.Stage,
        tables: Tables,
        log_metrics: LogMetrics,
    ) -> cloudwatch.Dashboard:
        lambdas = functions.values()
        return cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self._prefix,
            widgets=[
                [cloudwatch.AlarmStatusWidget(alarms=list(self.alarms.values()), width=24)],
                [
                    _graph(
                        "Requests",
                        stage.metric_count(period=_PERIOD),
                        stage.metric_client_error(period=_PERIOD),
                        stage.metric_server_error(period=_PERIOD),
                        log_metrics.failed_requests(_PERIOD),
                        log_metrics.too_many_requests(_PERIOD),
                    ),
                    _graph(
                        "Latency",
                        stage.metric_latency(statistic="p50", period=_PERIOD),
                        stage.metric_latency(statistic="p99", period=_PERIOD),
                    ),
                ],
                [
                    _graph(
                        "Invocations",
                        *(function.metric_invocations(period=_PERIOD) for function in lambdas),
                    ),
                    _graph(
                        "Duration, p99",
                        *(
                            function.metric_duration(statistic="p99", period=_PERIOD)
                            for function in lambdas
                        ),
                    ),
                ],
                [
                    _graph(
                        "Capacity consumed",
                        *(
                            metric
                            for table in tables.by_schema.values()
                            for metric in (
                                table.metric_consumed_read_capacity_units(period=_PERIOD),
                                table.metric_consumed_write_capacity_units(period=_PERIOD),
                            )
                        ),
                    ),
                    _graph(
                        "Requests throttled by DynamoDB",
                        *(_throttles(*pair) for pair in tables.by_schema.items()),
                    ),
                ],
            ],
        )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=12)


def _throttles(schema: TableSchema, table: dynamodb.Table) -> cloudwatch.MathExpression:
    """Return the number of throttled requests of a table and its indexes."""
    metrics = _metrics(schema, table, "ReadThrottleEvents", "WriteThrottleEvents")
    # A table that was never throttled has no data points. FILL replaces them by 0.
    expression = " + ".join(f"FILL({name}, 0)" for name in metrics)
    return cloudwatch.MathExpression(
        expression=expression,
        using_metrics=metrics,
        label=f"{table.node.id}: throttled",
        period=_PERIOD,
    )


def _consumed_per_second(schema: TableSchema, table: dynamodb.Table) -> cloudwatch.MathExpression:
    """Return the units that the busiest of a table and its indexes reads or writes in a second."""
    metrics = _metrics(schema, table, "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
    filled = ", ".join(f"FILL({name}, 0)" for name in metrics)
    return cloudwatch.MathExpression(
        expression=f"MAX([{filled}]) / {_PERIOD.to_seconds()}",
        using_metrics=metrics,
        label=f"{table.node.id}: units per second",
        period=_PERIOD,
    )


def _metrics(
    schema: TableSchema, table: dynamodb.Table, *names: str
) -> dict[str, cloudwatch.IMetric]:
    """Return the sums of these metrics of a table and each of its indexes, by their ids in an expression."""
    dimensions = {"TableName": table.table_name}
    indexes = ({"GlobalSecondaryIndexName": index.name} for index in schema.indexes)
    return {
        f"{table.node.id}_{name}_{i}".lower(): cloudwatch.Metric(
            namespace="AWS/DynamoDB",
            metric_name=name,
            dimensions_map={**dimensions, **index},
            statistic="Sum",
            period=_PERIOD,
        )
        for i, index in enumerate(({}, *indexes))
        for name in names
    }
