"""One Lambda function per operation, with a role that may do what the operation needs and no more."""

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
from deploy.tables import Tables

__all__ = ["Functions", "Limits", "LogKeeping", "hyphenated"]


@frozen(kw_only=True)
class Limits:
    """
    What a function may take.

    Attributes:
        timeout_seconds: How long one call may last.
        memory_mb: Also decides the share of a processor.
        reserved_concurrency: The executions that it may have at once, kept free for it; None for what the account has left.
    """

    timeout_seconds: int = 10
    memory_mb: int = 256
    reserved_concurrency: int | None = None


_USUAL: Final = Limits()
_LIMITS: Final = {
    "create_item": Limits(reserved_concurrency=10),
    "get_item": Limits(timeout_seconds=5, reserved_concurrency=20),
    "update_item": Limits(reserved_concurrency=10),
    "delete_item": Limits(timeout_seconds=5, reserved_concurrency=5),
    "list_items": Limits(memory_mb=512, reserved_concurrency=15),
    # A second run may start while one is still busy; more would only get into each other's way.
    "expire_reservations": Limits(timeout_seconds=55, memory_mb=512, reserved_concurrency=2),
}


@frozen(kw_only=True)
class LogKeeping:
    """
    What becomes of logs.

    Attributes:
        retention_days: How long a line is kept.
        removal: What becomes of the log group with the stack.
        key: The key that lines are encrypted with; None for CloudWatch's own.
    """

    retention_days: int
    removal: cdk.RemovalPolicy
    key: kms.IKey | None = None

    def group(self, scope: Construct, construct_id: str, name: str) -> logs.LogGroup:
        """Make a log group. Ours, because one that AWS makes is kept for ever and belongs to nobody."""
        return logs.LogGroup(
            scope,
            construct_id,
            log_group_name=name,
            retention=_RETENTION[self.retention_days],
            removal_policy=self.removal,
            encryption_key=self.key,
        )


# The CDK lists its words for them from the shortest on; "for ever", which is none of ours, comes last.
_RETENTION: Final = dict(zip(LOG_RETENTION_DAYS, logs.RetentionDays, strict=False))


def hyphenated(operation: str) -> str:
    """Return the name of an operation as names of AWS resources have it: ``create-item``."""
    return operation.replace("_", "-")


class Functions(Construct):
    """
    The functions of a deployment.

    Args:
        operations: The operations to make functions for: entries of `inventory_adapters.lambda_entry`.
        prefix: What every name begins with: ``inventory-dev``.
        code: The bundle.
        python_version: As in ``3.11``.
        environment: The variables of every function.
        tables: The tables they work on.
        limits_parameter_arn: The Parameter Store entry with the page limits.
        logs_kept: What becomes of their logs.
        memory_mb: For each function; None for what each needs.
        reserved_concurrency: Whether functions reserve their share of the account's concurrent executions.
        concurrency: The reserved concurrency of single operations, whatever `reserved_concurrency` says; None for none.

    Attributes:
        by_operation: The functions.
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
        logs_kept: LogKeeping,
        memory_mb: int | None,
        reserved_concurrency: bool,
        concurrency: Mapping[str, int | None],
    ) -> None:
        super().__init__(scope, construct_id)
        self.by_operation: dict[str, lambda_.Function] = {}
        self.logs: dict[str, logs.LogGroup] = {}
        for operation in operations:
            name = f"{prefix}-{hyphenated(operation)}"
            limits = _LIMITS.get(operation, _USUAL)
            place = Construct(self, hyphenated(operation))
            log_group = logs_kept.group(place, "Logs", f"/aws/lambda/{name}")
            self.logs[operation] = log_group
            usual_concurrency = limits.reserved_concurrency if reserved_concurrency else None
            role = iam.Role(
                place,
                "Role",
                assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
                description=f"What the function {name} may do",
            )
            log_group.grant_write(role)
            for statement in _statements(operation, tables, limits_parameter_arn):
                role.add_to_policy(statement)
            self.by_operation[operation] = lambda_.Function(
                place,
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
                reserved_concurrent_executions=concurrency.get(operation, usual_concurrency),
                environment=dict(environment),
                tracing=lambda_.Tracing.ACTIVE,
                # No application log level: it would be the root logger's, and have the SDK log every header at DEBUG.
                logging_format=lambda_.LoggingFormat.JSON,
                log_group=log_group,
            )
            self._acknowledge(role, self.by_operation[operation])

    @staticmethod
    def _acknowledge(role: iam.Role, function: lambda_.Function) -> None:
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "X-Ray's two actions know no resources; nothing else in this role has a wildcard.",
        )
        for finding in ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"):
            acknowledge(
                function,
                finding,
                "The code is tested on this version, and compiled for it; the setting `runtime` names a newer one.",
            )
        acknowledge(
            function,
            "Serverless-LambdaDLQ",
            "Whoever calls over HTTP waits for the answer; what runs by the clock has a destination for failures instead.",
        )


def _statements(
    operation: str, tables: Tables, limits_parameter_arn: str
) -> Iterable[iam.PolicyStatement]:
    needs = needs_of(operation)
    named: list[tuple[dynamodb.Table, frozenset[str]]] = [
        (tables.items, needs.items),
        (tables.ledger, needs.ledger),
    ]
    for table, actions in named:
        if actions:
            yield iam.PolicyStatement(
                actions=[f"dynamodb:{action}" for action in sorted(actions)],
                resources=[table.table_arn],
            )
    if needs.queried:
        yield iam.PolicyStatement(
            actions=["dynamodb:Query"],
            resources=sorted(tables.index_arn(it) for it in needs.queried),
        )
    if needs.limits:
        yield iam.PolicyStatement(actions=["ssm:GetParameter"], resources=[limits_parameter_arn])
