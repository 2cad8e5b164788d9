"""Gradual rollout: a new version gets a tenth of the traffic first, and is rolled back if requests fail."""

from collections.abc import Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.functions import hyphenated
from deploy.log_metrics import LogMetrics

__all__ = ["Rollout"]

_ALIAS: Final = "live"
_PERIOD: Final = cdk.Duration.minutes(1)
# One failure of the version under test is enough. What the other versions answer too has to fail more often: a single 503,
# while storage was away, says nothing about the new version.
_FAILURES_OF_ALL: Final = 5


class Rollout(Construct):
    """
    An alias for each function, which a deployment moves to the new version by degrees.

    Args:
        functions: The functions, by operation.
        prefix: What every name begins with: ``inventory-dev``.

    Attributes:
        aliases: What callers are to call instead of the functions.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Mapping[str, lambda_.Function],
        prefix: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._versions: dict[str, str] = {}
        self._groups: dict[str, codedeploy.LambdaDeploymentGroup] = {}
        self.aliases: dict[str, lambda_.Alias] = {}
        application = codedeploy.LambdaApplication(self, "Application", application_name=prefix)
        for operation, function in functions.items():
            name = hyphenated(operation)
            place = Construct(self, name)
            version = function.current_version
            alias = lambda_.Alias(place, "Alias", alias_name=_ALIAS, version=version)
            failing = self._alarm(
                place,
                "Failing",
                f"{name}-rollout",
                f"{operation} crashes or runs out of time while a new version is being rolled out",
                alias.metric_errors(period=_PERIOD),
            )
            group = codedeploy.LambdaDeploymentGroup(
                place,
                "Group",
                application=application,
                alias=alias,
                alarms=[failing],
                deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
            )
            acknowledge(
                group.node.find_child("ServiceRole"),
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]",
                "CodeDeploy's own policy for this role, as AWS keeps it: what it needs is CodeDeploy's to say.",
            )
            self._versions[operation] = version.version
            self._groups[operation] = group
            self.aliases[operation] = alias

    def watch(
        self, metrics: LogMetrics, *, answering: Mapping[str, Any], api: str, stage: str
    ) -> None:
        """
        Roll back on failed requests as well, which a handler answers with 500 or above instead of crashing.

        Args:
            metrics: Failed requests, by version and of all functions.
            answering: The operations that answer requests, as keys.
            api: Name of the API. Names rather than constructs: the stage depends on the aliases, and they on these alarms.
            stage: Name of its stage.
        """
        for operation in answering:
            self._groups[operation].add_alarm(
                self._alarm(
                    self,
                    f"{hyphenated(operation)}-failed",
                    f"{hyphenated(operation)}-rollout-failed-requests",
                    f"The new version of {operation} answered a request with 500 or above",
                    metrics.failed_requests_of(operation, self._versions[operation], _PERIOD),
                )
            )
        of_all = [
            self._alarm(
                self,
                "AllFailing",
                "rollout-failed-requests",
                "The functions answered requests with 500 or above while a new version is being rolled out",
                metrics.failed_requests(_PERIOD),
                threshold=_FAILURES_OF_ALL,
            ),
            self._alarm(
                self,
                "ApiFailing",
                "rollout-api-5xx",
                "The API answered requests with 500 or above while a new version is being rolled out",
                cloudwatch.Metric(
                    namespace="AWS/ApiGateway",
                    metric_name="5XXError",
                    dimensions_map={"ApiName": api, "Stage": stage},
                    statistic="Sum",
                    period=_PERIOD,
                ),
                threshold=_FAILURES_OF_ALL,
            ),
        ]
        for group in self._groups.values():
            for alarm in of_all:
                group.add_alarm(alarm)

    def _alarm(
        self,
        place: Construct,
        construct_id: str,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        threshold: int = 1,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            place,
            construct_id,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
