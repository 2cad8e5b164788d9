"""New versions by degrees: a tenth of the traffic first, and back to the version before if that fails."""

from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.functions import hyphenated

__all__ = ["Rollout"]

_ALIAS: Final = "live"


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
        application = codedeploy.LambdaApplication(self, "Application", application_name=prefix)
        self.aliases: dict[str, lambda_.Alias] = {}
        for operation, function in functions.items():
            place = Construct(self, hyphenated(operation))
            alias = lambda_.Alias(
                place, "Alias", alias_name=_ALIAS, version=function.current_version
            )
            failing = cloudwatch.Alarm(
                place,
                "Failing",
                alarm_name=f"{prefix}-{hyphenated(operation)}-rollout",
                alarm_description=f"{operation} fails while a new version is being rolled out",
                metric=alias.metric_errors(period=cdk.Duration.minutes(1)),
                threshold=1,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
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
            self.aliases[operation] = alias
