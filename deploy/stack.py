"""The stack: connects the constructs and names the outputs."""

import json
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from attrs import frozen
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.api import Access, Api, Domain, api_name
from deploy.environments import Settings, settings_for
from deploy.events import PUBLISH_EVENTS, EventBus
from deploy.firewall import Firewall
from deploy.functions import Functions, LogPolicy
from deploy.log_metrics import LogMetrics
from deploy.monitoring import Monitoring
from deploy.rollout import Rollout
from deploy.sweeper import SCHEDULED, SweeperSchedule
from deploy.tables import Tables
from inventory.paging import PageLimits
from inventory_adapters.http.routes import ROUTES

__all__ = ["STUB_BUNDLE", "TapStack", "TapStackProps"]

STUB_BUNDLE: Final = Path(__file__).parent / "stub_bundle"
"""A folder without code, for templates that are not deployed."""

_DEFAULT_SUFFIX: Final = "dev"


@frozen(kw_only=True)
class TapStackProps:
    """
    The properties of a stack.

    Attributes:
        environment_suffix: The name of the environment; None for the value in the context, or `dev`.
        bundle: The folder with the code of all functions; None for a stub, which the CDK refuses to deploy.
        env: The account and region; None for those of the credentials at deployment.
    """

    environment_suffix: str | None = None
    bundle: Path | str | None = None
    env: cdk.Environment | None = None


class TapStack(cdk.Stack):
    """
    The inventory of one environment.

    Args:
        props: The properties.
        **stack: Arguments of `aws_cdk.Stack`; they override those that follow from the settings.

    Attributes:
        environment_suffix: The name of the environment.
        settings: The settings of the environment.
        table: The items table.
        api_endpoint: The URL of the API.

    Raises:
        SettingsError: The settings are invalid.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: TapStackProps | None = None,
        **stack: Any,
    ) -> None:
        props = props or TapStackProps()
        context = scope.node.try_get_context
        suffix = props.environment_suffix
        if suffix is None:
            suffix = context("environmentSuffix")
        settings = settings_for(_DEFAULT_SUFFIX if suffix is None else suffix, context)
        defaults: dict[str, Any] = {
            "description": f"Inventory Management: a serverless CRUD API ({settings.suffix})",
            "termination_protection": settings.protected,
            "env": props.env,
            "analytics_reporting": False,
        }
        super().__init__(scope, construct_id, **(defaults | stack))
        self.settings: Final = settings
        self.environment_suffix: Final = settings.suffix
        for key, value in {
            "Environment": settings.suffix,
            "Application": "InventoryManagement",
            "ManagedBy": "CDK",
            "Project": "TAP",
        }.items():
            cdk.Tags.of(self).add(key, value)

        prefix = f"inventory-{settings.suffix}"
        log_policy = LogPolicy(
            retention_days=settings.log_retention_days,
            # Not retained on create: a log group of a failed first deployment would make the next one fail.
            removal=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
            if settings.protected
            else cdk.RemovalPolicy.DESTROY,
            key=kms.Key.from_key_arn(self, "LogKey", settings.log_key_arn)
            if settings.log_key_arn
            else None,
        )
        tables = Tables(
            self,
            "Tables",
            prefix=prefix,
            items_name=settings.items_table,
            ledger_name=settings.ledger_table,
            index_projection=settings.index_projection,
            capacity=settings.capacity if settings.billing == "provisioned" else None,
            protected=settings.protected,
            customer_key=settings.customer_key,
        )
        limits_parameter = self._make_parameters(tables)
        functions = Functions(
            self,
            "Functions",
            operations=[
                *(route.name for route in ROUTES),
                *(task.name for task in SCHEDULED),
                *([PUBLISH_EVENTS] if settings.events else []),
            ],
            prefix=prefix,
            code=lambda_.Code.from_asset(self._bundle(props)),
            python_version=settings.python_version,
            environment=_variables(settings, tables, limits_parameter),
            tables=tables,
            limits_parameter_arn=limits_parameter.parameter_arn,
            log_policy=log_policy,
            memory_mb=settings.memory_mb,
            reserved_concurrency=settings.reserved_concurrency,
            concurrency=settings.concurrency,
        )
        handlers: dict[str, lambda_.IFunction] = {**functions.by_operation}
        rollout = None
        if settings.canary:
            rollout = Rollout(self, "Rollout", functions=functions.by_operation, prefix=prefix)
            handlers.update(rollout.aliases)
        api = Api(
            self,
            "Api",
            routes=ROUTES,
            handlers=handlers,
            stage_name=settings.suffix,
            access=Access(
                auth=settings.auth,
                user_pool_arn=settings.user_pool_arn,
                origins=settings.allowed_origins,
                monthly_requests=settings.monthly_requests,
            ),
            log_policy=log_policy,
            data_trace=settings.data_trace,
            gateway_log_role=settings.gateway_log_role,
            domain=_domain(settings),
        )
        route_logs = {route.name: functions.logs[route.name] for route in ROUTES}
        log_metrics = LogMetrics(
            self,
            "LogMetrics",
            environment=settings.suffix,
            function_logs=route_logs,
            sweeper_log=functions.logs["expire_reservations"],
            access_log=api.access_log,
            by_version=settings.canary,
        )
        if rollout:
            rollout.watch(
                log_metrics,
                operations=route_logs,
                api=api_name(settings.suffix),
                stage=settings.suffix,
            )
        firewall = None
        if settings.firewall:
            firewall = Firewall(
                self,
                "Firewall",
                name=prefix,
                stage=api.stage,
                requests_per_ip=settings.requests_per_ip,
            )
        else:
            acknowledge(
                api.stage,
                "AwsSolutions-APIG3",
                "The setting `waf` is false: this environment does not justify the monthly price of a web ACL.",
            )
        sweeper = SweeperSchedule(
            self, "Sweeper", scheduled=SCHEDULED, handlers=handlers, prefix=prefix
        )
        event_bus = None
        if settings.events:
            event_bus = EventBus(
                self,
                "Events",
                prefix=prefix,
                function=functions.by_operation[PUBLISH_EVENTS],
                handler=handlers[PUBLISH_EVENTS],
                tables=tables,
                archive_days=settings.event_archive_days,
            )
        Monitoring(
            self,
            "Monitoring",
            functions=functions.by_operation,
            stage=api.stage,
            tables=tables,
            sweeper=sweeper,
            firewall=firewall,
            event_bus=event_bus,
            log_metrics=log_metrics,
            prefix=prefix,
            alarm_email=settings.alarm_email,
            alarm_topic_arn=settings.alarm_topic_arn,
        )
        self.table = tables.items
        self.api_endpoint = api.url
        self._make_outputs()

    def _bundle(self, props: TapStackProps) -> str:
        if props.bundle is not None:
            return str(props.bundle)
        if str(self.node.try_get_context("stubBundle")).lower() != "true":
            cdk.Annotations.of(self).add_error(
                "The functions have no code: pass a bundle as TapStackProps.bundle"
            )
        return str(STUB_BUNDLE)

    def _make_parameters(self, tables: Tables) -> ssm.StringParameter:
        """Create the entries of Parameter Store and return the one with the page limits."""
        path = f"/inventory/{self.environment_suffix}"
        ssm.StringParameter(
            self,
            "TableNameParameter",
            parameter_name=f"{path}/table-name",
            description="Name of the items table",
            string_value=tables.items.table_name,
        )
        limits = PageLimits()
        return ssm.StringParameter(
            self,
            "ConfigParameter",
            parameter_name=f"{path}/config",
            description="Page limits; functions apply a change within five minutes",
            string_value=json.dumps(
                {
                    "max_items_per_page": limits.max_items_per_page,
                    "default_page_size": limits.default_page_size,
                }
            ),
        )

    def _make_outputs(self) -> None:
        suffix = self.environment_suffix
        for name, value, description, export in (
            ("ApiEndpoint", self.api_endpoint, "URL of the API", "Endpoint"),
            ("TableName", self.table.table_name, "Name of the items table", "TableName"),
            ("EnvironmentName", suffix, "Name of the environment", "Environment"),
        ):
            cdk.CfnOutput(
                self,
                name,
                value=value,
                description=description,
                export_name=f"InventoryApi-{suffix}-{export}",
            )


def _domain(settings: Settings) -> Domain | None:
    if settings.domain_name is None or settings.certificate_arn is None:
        return None
    return Domain(name=settings.domain_name, certificate_arn=settings.certificate_arn)


def _variables(
    settings: Settings, tables: Tables, limits_parameter: ssm.StringParameter
) -> dict[str, str]:
    """Return the variables of `inventory_adapters.config`, and `ENVIRONMENT` for people."""
    return {
        "TABLE_NAME": tables.items.table_name,
        "LEDGER_TABLE_NAME": tables.ledger.table_name,
        "ENVIRONMENT": settings.suffix,
        "CONFIG_PARAMETER": limits_parameter.parameter_name,
        "LOG_LEVEL": settings.log_level,
        "ALLOWED_ORIGINS": ",".join(settings.allowed_origins),
        "ACTOR_CLAIM": settings.actor_claim,
        "TRANSPORT": settings.transport,
        "INDEX_PROJECTION": settings.index_projection,
    }
