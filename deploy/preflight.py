"""
Checks of an AWS account before a first deployment.

    python -m deploy.preflight -c environmentSuffix=prod -c allowedOrigins=https://shop.example.com

A first deployment that fails leaves protected tables behind, which block the next one. The command only reads. Exit codes: 0 if
all checks pass, 1 if a check finds a problem, 2 if a check could not be made.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import botocore.session
from attrs import field, frozen
from botocore.exceptions import BotoCoreError, ClientError

from deploy.app import make_app
from deploy.environments import Settings, SettingsError
from deploy.stack import TapStack
from inventory_adapters.storage.dynamodb.schema import items_schema

__all__ = ["Account", "Finding", "Planned", "check", "main", "plan"]

# Concurrent executions that must stay unreserved. Source: "Configuring reserved concurrency for a function".
_MIN_UNRESERVED: Final = 100
_BOOTSTRAP_VERSION: Final = "/cdk-bootstrap/hnb659fds/version"
# States of a stack whose creation failed. The CDK deletes a stack in the first of them, unless it is protected.
_FAILED_CREATION: Final = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")

# Conditions that cannot be checked in advance.
NOT_CHECKED: Final = (
    "whether your credentials may create everything",
    "quotas other than concurrent executions",
)


@frozen
class Finding:
    """
    The result of one check.

    Attributes:
        result: `ok`, `problem`, or `unknown` if it could not be checked.
        text: The finding, for people.
    """

    result: Literal["ok", "problem", "unknown"]
    text: str


@frozen
class Planned:
    """
    The resources of a future deployment.

    Attributes:
        stack: Name of the stack.
        settings: Settings of the environment.
        resources: The resources of its template, by logical id.
        exports: Names of its exports.
    """

    stack: str
    settings: Settings
    resources: Mapping[str, Any]
    exports: frozenset[str]


@frozen
class Account:
    """
    The account and region of a session.

    Attributes:
        session: The session that creates clients.
    """

    session: botocore.session.Session
    _clients: dict[str, Any] = field(factory=dict, init=False, repr=False)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.create_client(service)
        return self._clients[service]

    def call(self, service: str, method: str, **arguments: Any) -> dict[str, Any]:
        """Return the response to one call."""
        response: dict[str, Any] = getattr(self._client(service), method)(**arguments)
        return response

    def find(
        self, service: str, method: str, absent: Sequence[str], **arguments: Any
    ) -> dict[str, Any] | None:
        """Return the response to a call, or None if its error code is one of *absent*."""
        try:
            return self.call(service, method, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in absent:
                return None
            raise

    def pages(self, service: str, method: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a list."""
        yield from self._client(service).get_paginator(method).paginate(**arguments)


Check = Callable[[Account, Planned], Iterable[Finding]]


@frozen
class _Lookup:
    """
    The call that finds a resource of one type by name.

    Attributes:
        property: The property of the template that contains the name.
        service: The service.
        method: The method to call.
        argument: The argument for the name.
        absent: Error codes of a resource that does not exist.
    """

    property: str
    service: str
    method: str
    argument: str
    absent: Sequence[str]


_LOOKUPS: Final = {
    "AWS::DynamoDB::Table": _Lookup(
        "TableName", "dynamodb", "describe_table", "TableName", ["ResourceNotFoundException"]
    ),
    "AWS::Lambda::Function": _Lookup(
        "FunctionName", "lambda", "get_function", "FunctionName", ["ResourceNotFoundException"]
    ),
    "AWS::SSM::Parameter": _Lookup("Name", "ssm", "get_parameter", "Name", ["ParameterNotFound"]),
    "AWS::SQS::Queue": _Lookup(
        "QueueName",
        "sqs",
        "get_queue_url",
        "QueueName",
        ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"],
    ),
    "AWS::Events::Rule": _Lookup(
        "Name", "events", "describe_rule", "Name", ["ResourceNotFoundException"]
    ),
    "AWS::Events::EventBus": _Lookup(
        "Name", "events", "describe_event_bus", "Name", ["ResourceNotFoundException"]
    ),
    "AWS::Events::Archive": _Lookup(
        "ArchiveName", "events", "describe_archive", "ArchiveName", ["ResourceNotFoundException"]
    ),
    "AWS::KMS::Alias": _Lookup("AliasName", "kms", "describe_key", "KeyId", ["NotFoundException"]),
    "AWS::CodeDeploy::Application": _Lookup(
        "ApplicationName",
        "codedeploy",
        "get_application",
        "applicationName",
        ["ApplicationDoesNotExistException"],
    ),
    "AWS::CloudWatch::Dashboard": _Lookup(
        "DashboardName",
        "cloudwatch",
        "get_dashboard",
        "DashboardName",
        ["ResourceNotFound", "DashboardNotFoundError"],
    ),
    "AWS::ApiGateway::DomainName": _Lookup(
        "DomainName", "apigateway", "get_domain_name", "domainName", ["NotFoundException"]
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the account of the current credentials and exit with 0, 1 or 2."""
    parser = argparse.ArgumentParser(prog="python -m deploy.preflight", description=__doc__)
    parser.add_argument(
        "-c",
        "--context",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting, as for cdk deploy",
    )
    pairs = [pair.partition("=") for pair in parser.parse_args(arguments).context]
    context = {key: value for key, _, value in pairs}
    try:
        planned = plan(context)
    except SettingsError as error:
        sys.exit(f"deploy/preflight.py: {error}")
    try:
        account = Account(botocore.session.Session())
        identity = account.call("sts", "get_caller_identity")
    except (BotoCoreError, ClientError) as error:
        parser.exit(2, f"deploy/preflight.py: the account could not be checked: {error}\n")
    region = account.session.get_config_variable("region")
    _write_line(f"{planned.stack} in account {identity['Account']}, region {region}")
    results = set()
    for finding in check(account, planned):
        results.add(finding.result)
        _write_line(f"{finding.result:8} {finding.text}")
    for text in NOT_CHECKED:
        _write_line(f"{'skipped':8} {text}")
    sys.exit(1 if "problem" in results else 2 if "unknown" in results else 0)


def _write_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def plan(context: Mapping[str, str]) -> Planned:
    """
    Return the resources of a deployment with *context*, without its code.

    Raises:
        SettingsError: The settings are invalid.
    """
    with TemporaryDirectory() as scratch:
        app = make_app({**context, "stubBundle": "true"}, outdir=scratch, check_templates=False)
        [stack] = [child for child in app.node.children if isinstance(child, TapStack)]
        template = app.synth().get_stack_by_name(stack.stack_name).template
    exports = frozenset(output["Export"]["Name"] for output in template["Outputs"].values())
    return Planned(stack.stack_name, stack.settings, template["Resources"], exports)


def check(account: Account, planned: Planned) -> Iterator[Finding]:
    """Yield the findings of all checks; a check that fails yields `unknown`."""
    for label, run_check in _CHECKS.items():
        try:
            yield from run_check(account, planned)
        except (BotoCoreError, ClientError) as error:
            yield Finding("unknown", f"{label}: {error}")


def _check_bootstrap(account: Account, _planned: Planned) -> Iterator[Finding]:
    if account.find("ssm", "get_parameter", ["ParameterNotFound"], Name=_BOOTSTRAP_VERSION):
        yield Finding("ok", "the CDK is bootstrapped")
    else:
        yield Finding("problem", "the CDK is not bootstrapped: run npx aws-cdk@2 bootstrap")


def _check_stack(account: Account, planned: Planned) -> Iterator[Finding]:
    status = _status(account, planned.stack)
    if status in _FAILED_CREATION:
        yield Finding(
            "problem",
            f'the stack is {status}: its creation failed. See "Recover from a failed first deployment" in docs/deploy.md',
        )
    else:
        yield Finding("ok", f"the stack is {status or 'new'}")


def _status(account: Account, stack: str) -> str | None:
    # CloudFormation has no specific error code for a stack that does not exist.
    response = account.find(
        "cloudformation", "describe_stacks", ["ValidationError"], StackName=stack
    )
    return str(response["Stacks"][0]["StackStatus"]) if response else None


def _check_log_role(account: Account, planned: Planned) -> Iterator[Finding]:
    role = account.call("apigateway", "get_account").get("cloudwatchRoleArn")
    sets_role = any(
        resource["Type"] == "AWS::ApiGateway::Account" for resource in planned.resources.values()
    )
    if sets_role and role and not _status(account, planned.stack):
        yield Finding(
            "problem", f"API Gateway already writes logs with the role {role}: omit gatewayLogRole"
        )
    elif sets_role or role:
        yield Finding("ok", f"API Gateway can write logs: {role or 'the stack sets the role'}")
    else:
        yield Finding(
            "problem", "API Gateway has no role to write logs with: set -c gatewayLogRole=true"
        )


def _check_concurrency(account: Account, planned: Planned) -> Iterator[Finding]:
    functions = [
        resource["Properties"]
        for resource in planned.resources.values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    reserved = sum(function.get("ReservedConcurrentExecutions", 0) for function in functions)
    if not reserved:
        yield Finding("ok", "no concurrency is reserved")
        return
    limit = account.call("lambda", "get_account_settings")["AccountLimit"]
    # Executions that this stack has already reserved count as free.
    free: int = limit["UnreservedConcurrentExecutions"]
    if _status(account, planned.stack):
        free += sum(_reserved(account, function["FunctionName"]) for function in functions)
    if free >= reserved + _MIN_UNRESERVED:
        yield Finding(
            "ok", f"{reserved} of {free} unreserved concurrent executions will be reserved"
        )
    else:
        yield Finding(
            "problem",
            f"{reserved} concurrent executions will be reserved and {_MIN_UNRESERVED} must stay unreserved,"
            f" but only {free} are available: raise the quota, or set -c reservedConcurrency=none",
        )


def _reserved(account: Account, function: str) -> int:
    response = account.find(
        "lambda",
        "get_function_concurrency",
        ["ResourceNotFoundException"],
        FunctionName=function,
    )
    return int((response or {}).get("ReservedConcurrentExecutions", 0))


def _check_names(account: Account, planned: Planned) -> Iterator[Finding]:
    owned = _owned(account, planned.stack)
    taken: list[str] = []
    for logical_id, resource in planned.resources.items():
        kind, properties = resource["Type"], resource["Properties"]
        if logical_id in owned or kind not in _LOOKUPS:
            continue
        lookup = _LOOKUPS[kind]
        name = properties[lookup.property]
        if account.find(lookup.service, lookup.method, lookup.absent, **{lookup.argument: name}):
            taken.append(f"{kind.split('::')[1]} {name}")
    yield _name_finding("tables, functions and other resources", taken)


def _check_index_projection(account: Account, planned: Planned) -> Iterator[Finding]:
    name = planned.settings.items_table
    lookup = _LOOKUPS["AWS::DynamoDB::Table"]
    table = account.find(lookup.service, lookup.method, lookup.absent, TableName=name)
    if table is None:
        return
    existing = {
        index["IndexName"]: index["Projection"]["ProjectionType"]
        for index in table["Table"].get("GlobalSecondaryIndexes", ())
    }
    projection = planned.settings.index_projection
    different = [
        f"{index.name} is {existing[index.name]}, not {index.projection}"
        for index in items_schema(projection).indexes
        if existing.get(index.name, index.projection) != index.projection
    ]
    if different:
        yield Finding(
            "problem",
            f"table {name} exists with other indexes than indexProjection={projection} needs, and DynamoDB cannot change them:"
            f" {', '.join(different)}",
        )
    else:
        yield Finding("ok", f"the indexes of table {name} suit indexProjection={projection}")


def _check_log_groups(account: Account, planned: Planned) -> Iterator[Finding]:
    owned = _owned(account, planned.stack)
    taken = []
    for logical_id, resource in planned.resources.items():
        # The name of the execution log group contains the id of the API, so it is not known yet.
        name = resource["Properties"].get("LogGroupName")
        if (
            logical_id not in owned
            and resource["Type"] == "AWS::Logs::LogGroup"
            and isinstance(name, str)
        ):
            groups = account.pages("logs", "describe_log_groups", logGroupNamePrefix=name)
            taken += [
                name
                for page in groups
                for group in page["logGroups"]
                if group["logGroupName"] == name
            ]
    yield _name_finding("log groups", taken)


def _check_alarms(account: Account, planned: Planned) -> Iterator[Finding]:
    names = _new_names(account, planned, "AWS::CloudWatch::Alarm", "AlarmName")
    # All names of the stack have this prefix. A request for single names accepts at most 100.
    prefix = f"inventory-{planned.settings.suffix}-"
    pages = account.pages("cloudwatch", "describe_alarms", AlarmNamePrefix=prefix)
    existing = {alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]}
    yield _name_finding("alarms", sorted(names & existing))


def _check_topics(account: Account, planned: Planned) -> Iterator[Finding]:
    if names := _new_names(account, planned, "AWS::SNS::Topic", "TopicName"):
        pages = account.pages("sns", "list_topics")
        existing = {
            topic["TopicArn"].rpartition(":")[2] for page in pages for topic in page["Topics"]
        }
        yield _name_finding("topics", sorted(names & existing))


def _check_firewall(account: Account, planned: Planned) -> Iterator[Finding]:
    if names := _new_names(account, planned, "AWS::WAFv2::WebACL", "Name"):
        acls = account.call("wafv2", "list_web_acls", Scope="REGIONAL", Limit=100)["WebACLs"]
        yield _name_finding("web ACLs", sorted(names & {acl["Name"] for acl in acls}))


def _new_names(account: Account, planned: Planned, kind: str, name: str) -> set[str]:
    """Return the names of the resources of a type that the stack does not own yet."""
    owned = _owned(account, planned.stack)
    return {
        resource["Properties"][name]
        for logical_id, resource in planned.resources.items()
        if resource["Type"] == kind and logical_id not in owned
    }


def _check_exports(account: Account, planned: Planned) -> Iterator[Finding]:
    taken = [
        export["Name"]
        for page in account.pages("cloudformation", "list_exports")
        for export in page["Exports"]
        if export["Name"] in planned.exports
        and f":stack/{planned.stack}/" not in export["ExportingStackId"]
    ]
    yield _name_finding("exports", taken)


def _check_references(account: Account, planned: Planned) -> Iterator[Finding]:
    """Look up resources that settings refer to and the deployment does not create."""
    settings = planned.settings
    pool = settings.user_pool_arn if settings.auth == "cognito" else None
    for setting, value, service, method, arguments in (
        (
            "userPoolArn",
            pool,
            "cognito-idp",
            "describe_user_pool",
            {"UserPoolId": str(pool).rpartition("/")[2]},
        ),
        (
            "certificateArn",
            settings.certificate_arn,
            "acm",
            "describe_certificate",
            {"CertificateArn": settings.certificate_arn},
        ),
        (
            "alarmTopic",
            settings.alarm_topic_arn,
            "sns",
            "get_topic_attributes",
            {"TopicArn": settings.alarm_topic_arn},
        ),
        ("logKey", settings.log_key_arn, "kms", "describe_key", {"KeyId": settings.log_key_arn}),
    ):
        if value is None:
            continue
        absent = ["ResourceNotFoundException", "NotFound", "NotFoundException"]
        if account.find(service, method, absent, **arguments):
            yield Finding("ok", f"{setting} exists")
        else:
            yield Finding("problem", f"{setting} does not exist: {value}")


def _owned(account: Account, stack: str) -> frozenset[str]:
    """Return the logical ids of the resources that *stack* created or imported."""
    if _status(account, stack) in (None, *_FAILED_CREATION):
        return frozenset()
    return frozenset(
        resource["LogicalResourceId"]
        for page in account.pages("cloudformation", "list_stack_resources", StackName=stack)
        for resource in page["StackResourceSummaries"]
        if not resource["ResourceStatus"].startswith("DELETE_")
    )


def _name_finding(kind: str, taken: Sequence[str]) -> Finding:
    if taken:
        return Finding("problem", f"names of {kind} are taken: {', '.join(sorted(taken))}")
    return Finding("ok", f"names of {kind} are free or owned by the stack")


_CHECKS: Final[dict[str, Check]] = {
    "bootstrap": _check_bootstrap,
    "stack": _check_stack,
    "log role of API Gateway": _check_log_role,
    "concurrency": _check_concurrency,
    "names of resources": _check_names,
    "index projection": _check_index_projection,
    "names of log groups": _check_log_groups,
    "names of alarms": _check_alarms,
    "names of topics": _check_topics,
    "names of web ACLs": _check_firewall,
    "names of exports": _check_exports,
    "references in settings": _check_references,
}


if __name__ == "__main__":
    main()
