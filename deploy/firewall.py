"""A web ACL for the API: managed rules and a rate limit per IP address."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

__all__ = ["Firewall"]

# Rules of managed groups that count instead of block. This one blocks bodies over 8 KB, but a batch may have up to 1 MiB.
_COUNTED: Final = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
# The rule and its metric.
_RATE: Final = "RequestsPerAddress"
_MANAGED: Final = ("AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet")


class Firewall(Construct):
    """
    The web ACL of one stage.

    Args:
        name: The name of the web ACL.
        stage: The stage to protect.
        requests_per_ip: The requests that one IP address may send in five minutes.

    Attributes:
        web_acl: The web ACL.
        association: The association of the web ACL with the stage.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        stage: apigateway.Stage,
        requests_per_ip: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = name
        limit = wafv2.CfnWebACL.RuleProperty(
            name=_RATE,
            priority=0,
            action=wafv2.CfnWebACL.RuleActionProperty(block={}),
            statement=wafv2.CfnWebACL.StatementProperty(
                rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                    aggregate_key_type="IP", limit=requests_per_ip, evaluation_window_sec=300
                )
            ),
            visibility_config=_visible(_RATE),
        )
        self.web_acl = wafv2.CfnWebACL(
            self,
            "WebAcl",
            name=name,
            description=f"Protects the API of {name}",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[limit, *(_managed(group, i) for i, group in enumerate(_MANAGED, start=1))],
            visibility_config=_visible(name),
        )
        self.association = wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=stage.stage_arn, web_acl_arn=self.web_acl.attr_arn
        )

    def blocked(self, period: cdk.Duration) -> cloudwatch.Metric:
        """Return the number of requests that the limit per IP address blocked."""
        return cloudwatch.Metric(
            namespace="AWS/WAFV2",
            metric_name="BlockedRequests",
            dimensions_map={"WebACL": self._name, "Rule": _RATE, "Region": cdk.Aws.REGION},
            statistic="Sum",
            period=period,
        )


def _managed(group: str, priority: int) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name=group,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    wafv2.CfnWebACL.RuleActionOverrideProperty(
                        name=rule, action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={})
                    )
                    for rule in _COUNTED.get(group, ())
                ]
                or None,
            )
        ),
        visibility_config=_visible(group),
    )


def _visible(metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
    )
