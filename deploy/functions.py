"""One Lambda function per operation, with a least-privilege role."""

from collections.abc import Iterable, Mapping
from typing import Final

import aws_cdk as cdk
from attrs import frozen
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.environments import LOG_RETENTION_DAYS
from deploy.grants import needs_of
from deploy.limits import limits_of
from deploy.tables import Tables

__all__ = ["Functions", "LogPolicy", "hyphenated"]


@frozen(kw_only=True)
class LogPolicy:
    """
    Retention, removal and encryption of log groups.

    Attributes:
        retention_days: The retention period of log lines.
        removal: The removal policy of the log groups.
        key: The key that encrypts log lines; None for the key of CloudWatch.
    """

    retention_days: int
    removal: cdk.RemovalPolicy
    key: kms.IKey | None = None

    def group(self, scope: Construct, construct_id: str, name: str) -> logs.LogGroup:
        """
        Create a log group.

        Without one in the stack, AWS creates it, with unlimited retention and outside of the stack.
        """
        return logs.LogGroup(
            scope,
            construct_id,
            log_group_name=name,
            retention=_RETENTION[self.retention_days],
            removal_policy=self.removal,
            encryption_key=self.key,
        )


# The CDK orders this enumeration by length. Its last member, "infinite", has no counterpart in our list.
_RETENTION: Final = dict(zip(LOG_RETENTION_DAYS, logs.RetentionDays, strict=False))


def hyphenated(operation: str) -> str:
    """Return the name of *operation* in the names of AWS resources: ``create-item``."""
    return operation.replace("_", "-")


class Functions(Construct):
    """
    The functions of a deployment.

    Args:
        operations: The operations: names of handlers in `inventory_adapters.lambda_entry`.
        prefix: The prefix of every name: ``inventory-dev``.
        code: The bundle.
        python_version: The Python version: ``3.11``.
        environment: The environment variables of every function.
        tables: The tables that the functions use.
        limits_parameter_arn: The Parameter Store entry with the page limits.
        log_policy: How log groups are created.
        memory_mb: Memory of every function; None for the default of each function.
        reserved_concurrency: Whether functions reserve concurrent executions.
        concurrency: The reserved concurrency of single operations, which overrides `reserved_concurrency`; None for none.

    Attributes:
        by_operation: The functions, by operation.
        logs: Their log groups, by operation.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        operations: Iterable[str],
        prefix: str,
        code: lambda_.Code,
        python_version: str,
        environment: Mapping[str, str],
        tables: Tables,
        limits_parameter_arn: str,
        log_policy: LogPolicy,
        memory_mb: int | None,
        reserved_concurrency: bool,
        concurrency: Mapping[str, int | None],
    ) -> None:
        super().__init__(scope, construct_id)
        self.by_operation: dict[str, lambda_.Function] = {}
        self.logs: dict[str, logs.LogGroup] = {}
        for operation in operations:
            name = f"{prefix}-{hyphenated(operation)}"
            limits = limits_of(operation)
            parent = Construct(self, hyphenated(operation))
            log_group = log_policy.group(parent, "Logs", f"/aws/lambda/{name}")
            self.logs[operation] = log_group
            default_concurrency = limits.reserved_concurrency if reserved_concurrency else None
            role = iam.Role(
                parent,
                "Role",
                assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
                description=f"Permissions of the function {name}",
            )
            log_group.grant_write(role)
            for statement in _statements(operation, tables, limits_parameter_arn):
                role.add_to_policy(statement)
            self.by_operation[operation] = lambda_.Function(
                parent,
                "Function",
                function_name=name,
                description=f"Inventory: {operation.replace('_', ' ')}",
                runtime=lambda_.Runtime(f"python{python_version}", lambda_.RuntimeFamily.PYTHON),
                architecture=lambda_.Architecture.ARM_64,
                code=code,
                handler=f"inventory_adapters.lambda_entry.{operation}",
                role=role,
                timeout=cdk.Duration.seconds(limits.timeout_seconds),
                memory_size=memory_mb or limits.memory_mb,
                reserved_concurrent_executions=concurrency.get(operation, default_concurrency),
                environment=dict(environment),
                tracing=lambda_.Tracing.ACTIVE,
                # No application log level: it would set the root logger, and at DEBUG the SDK would log every header.
                logging_format=lambda_.LoggingFormat.JSON,
                log_group=log_group,
            )
            self._acknowledge(role, self.by_operation[operation])

    @staticmethod
    def _acknowledge(role: iam.Role, function: lambda_.Function) -> None:
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "The two X-Ray actions do not support resources; no other statement of this role has a wildcard.",
        )
        for finding in ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"):
            acknowledge(
                function,
                finding,
                "The code is tested on this version and compiled for it; the setting `runtime` selects a newer one.",
            )
        acknowledge(
            function,
            "Serverless-LambdaDLQ",
            "HTTP callers receive the error; scheduled functions have an on-failure destination instead.",
        )


def _statements(
    operation: str, tables: Tables, limits_parameter_arn: str
) -> Iterable[iam.PolicyStatement]:
    needs = needs_of(operation)
    table_actions: list[tuple[dynamodb.Table, frozenset[str]]] = [
        (tables.items, needs.items),
        (tables.ledger, needs.ledger),
    ]
    for table, actions in table_actions:
        if actions:
            yield iam.PolicyStatement(
                actions=[f"dynamodb:{action}" for action in sorted(actions)],
                resources=[table.table_arn],
            )
    if needs.queried:
        yield iam.PolicyStatement(
            actions=["dynamodb:Query"],
            resources=sorted(tables.index_arn(index) for index in needs.queried),
        )
    if needs.limits:
        yield iam.PolicyStatement(actions=["ssm:GetParameter"], resources=[limits_parameter_arn])
