"""Gradual rollout of new versions, with rollback if requests fail."""

from collections.abc import Iterable, Mapping
from typing import Final

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
# One failed request of the new version stops a rollout. Metrics that include other versions have a higher threshold, because a
# single 503 during a storage outage does not indicate a fault of the new version.
_SHARED_THRESHOLD: Final = 5


class Rollout(Construct):
    """
    An alias for each function; a deployment shifts its traffic to the new version gradually.

    Args:
        functions: The functions, by operation.
        prefix: The prefix of every name: ``inventory-dev``.

    Attributes:
        aliases: The aliases, by operation. Callers invoke them instead of the functions.
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
            parent = Construct(self, name)
            version = function.current_version
            alias = lambda_.Alias(parent, "Alias", alias_name=_ALIAS, version=version)
            errors = self._alarm(
                parent,
                "Errors",
                f"{name}-rollout",
                f"{operation} crashed or timed out during a rollout",
                alias.metric_errors(period=_PERIOD),
            )
            group = codedeploy.LambdaDeploymentGroup(
                parent,
                "Group",
                application=application,
                alias=alias,
                alarms=[errors],
                deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
            )
            acknowledge(
                group.node.find_child("ServiceRole"),
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]",
                "AWS maintains this policy with exactly the permissions that CodeDeploy needs.",
            )
            self._versions[operation] = version.version
            self._groups[operation] = group
            self.aliases[operation] = alias

    def watch(
        self, metrics: LogMetrics, *, operations: Iterable[str], api: str, stage: str
    ) -> None:
        """
        Also roll back on responses with status 500 or above.

        Handlers return such a response instead of crashing. The API and stage are given by name because their constructs depend
        on the aliases, which depend on these alarms.

        Args:
            metrics: Failed requests, by version and of all functions.
            operations: The operations that handle requests.
            api: Name of the API.
            stage: Name of its stage.
        """
        for operation in operations:
            self._groups[operation].add_alarm(
                self._alarm(
                    self,
                    f"{hyphenated(operation)}-failed",
                    f"{hyphenated(operation)}-rollout-failed-requests",
                    f"The new version of {operation} returned a response with status 500 or above",
                    metrics.failed_requests_of(operation, self._versions[operation], _PERIOD),
                )
            )
        shared_alarms = [
            self._alarm(
                self,
                "FailedRequests",
                "rollout-failed-requests",
                "The functions returned responses with status 500 or above during a rollout",
                metrics.failed_requests(_PERIOD),
                threshold=_SHARED_THRESHOLD,
            ),
            self._alarm(
                self,
                "ApiErrors",
                "rollout-api-5xx",
                "The API returned responses with status 500 or above during a rollout",
                cloudwatch.Metric(
                    namespace="AWS/ApiGateway",
                    metric_name="5XXError",
                    dimensions_map={"ApiName": api, "Stage": stage},
                    statistic="Sum",
                    period=_PERIOD,
                ),
                threshold=_SHARED_THRESHOLD,
            ),
        ]
        for group in self._groups.values():
            for alarm in shared_alarms:
                group.add_alarm(alarm)

    def _alarm(
        self,
        parent: Construct,
        construct_id: str,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        threshold: int = 1,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            parent,
            construct_id,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
