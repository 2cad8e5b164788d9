"""
Checks of an account before a first deployment: what would make it fail halfway.

    python -m deploy.preflight -c environmentSuffix=prod -c allowedOrigins=https://shop.example.com

A deployment that fails halfway leaves protected tables behind, which block the next one. Exit code 0: nothing is in the way;
1: something is; 2: not everything could be checked. It only reads.
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

__all__ = ["Account", "Finding", "Planned", "check", "main", "plan"]

# Executions that AWS keeps for functions that reserve none. Source: "Configuring reserved concurrency for a function".
_LEAST_UNRESERVED: Final = 100
_BOOTSTRAP_VERSION: Final = "/cdk-bootstrap/hnb659fds/version"
# A stack that never came to be. The CDK's command line deletes one in the first state, unless it is protected.
_FAILED_CREATION: Final = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")

# What cannot be asked of an account beforehand.
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
        text: What was found, for people.
    """

    result: Literal["ok", "problem", "unknown"]
    text: str


@frozen
class Planned:
    """
    What a deployment is going to make.

    Attributes:
        stack: Name of the stack.
        settings: Settings of the environment.
        resources: The resources of its template, by logical id.
        exports: Names that it exports.
    """

    stack: str
    settings: Settings
    resources: Mapping[str, Any]
    exports: frozenset[str]


@frozen
class Account:
    """
    The account and region of a session, as far as its credentials may look.

    Attributes:
        session: Whose clients are used.
    """

    session: botocore.session.Session
    _clients: dict[str, Any] = field(factory=dict, init=False, repr=False)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.create_client(service)
        return self._clients[service]

    def call(self, service: str, method: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to one call."""
        answer: dict[str, Any] = getattr(self._client(service), method)(**arguments)
        return answer

    def find(
        self, service: str, method: str, absent: Sequence[str], **arguments: Any
    ) -> dict[str, Any] | None:
        """Return the answer to a call, or None if its error code is one of *absent*."""
        try:
            return self.call(service, method, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in absent:
                return None
            raise

    def pages(self, service: str, method: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing."""
        yield from self._client(service).get_paginator(method).paginate(**arguments)


Check = Callable[[Account, Planned], Iterable[Finding]]


@frozen
class _Named:
    """
    How to look for a resource of one type by its name.

    Attributes:
        property: Holds the name in a template.
        service: The service to ask.
        method: The call to make.
        argument: Takes the name.
        absent: Error codes that mean that there is none.
    """

    property: str
    service: str
    method: str
    argument: str
    absent: Sequence[str]


_NAMED: Final = {
    "AWS::DynamoDB::Table": _Named(
        "TableName", "dynamodb", "describe_table", "TableName", ["ResourceNotFoundException"]
    ),
    "AWS::Lambda::Function": _Named(
        "FunctionName", "lambda", "get_function", "FunctionName", ["ResourceNotFoundException"]
    ),
    "AWS::SSM::Parameter": _Named("Name", "ssm", "get_parameter", "Name", ["ParameterNotFound"]),
    "AWS::SQS::Queue": _Named(
        "QueueName",
        "sqs",
        "get_queue_url",
        "QueueName",
        ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"],
    ),
    "AWS::Events::Rule": _Named(
        "Name", "events", "describe_rule", "Name", ["ResourceNotFoundException"]
    ),
    "AWS::KMS::Alias": _Named("AliasName", "kms", "describe_key", "KeyId", ["NotFoundException"]),
    "AWS::CodeDeploy::Application": _Named(
        "ApplicationName",
        "codedeploy",
        "get_application",
        "applicationName",
        ["ApplicationDoesNotExistException"],
    ),
    "AWS::CloudWatch::Dashboard": _Named(
        "DashboardName",
        "cloudwatch",
        "get_dashboard",
        "DashboardName",
        ["ResourceNotFound", "DashboardNotFoundError"],
    ),
    "AWS::ApiGateway::DomainName": _Named(
        "DomainName", "apigateway", "get_domain_name", "domainName", ["NotFoundException"]
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the account of the shell's credentials, and exit with 0, 1 or 2."""
    parser = argparse.ArgumentParser(prog="python -m deploy.preflight", description=__doc__)
    parser.add_argument(
        "-c",
        "--context",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting, as for cdk deploy",
    )
    given = parser.parse_args(arguments).context
    context = {key: value for key, _, value in (it.partition("=") for it in given)}
    try:
        planned = plan(context)
    except SettingsError as error:
        sys.exit(f"deploy/preflight.py: {error}")
    try:
        account = Account(botocore.session.Session())
        identity = account.call("sts", "get_caller_identity")
    except (BotoCoreError, ClientError) as error:
        print(f"deploy/preflight.py: nothing could be checked: {error}", file=sys.stderr)  # noqa: T201 - a command talks to its user
        sys.exit(2)
    where = f"account {identity['Account']}, region {account.session.get_config_variable('region')}"
    print(f"{planned.stack} in {where}")  # noqa: T201
    findings = list(check(account, planned))
    for finding in findings:
        print(f"{finding.result:8} {finding.text}")  # noqa: T201
    for text in NOT_CHECKED:
        print(f"{'skipped':8} {text}")  # noqa: T201
    results = {finding.result for finding in findings}
    sys.exit(1 if "problem" in results else 2 if "unknown" in results else 0)


def plan(context: Mapping[str, str]) -> Planned:
    """
    Return what a deployment with *context* is going to make, without its code.

    Raises:
        SettingsError: The settings are invalid.
    """
    with TemporaryDirectory() as scratch:
        app = make_app({**context, "stubBundle": "true"}, outdir=scratch, check_templates=False)
        [stack] = [it for it in app.node.children if isinstance(it, TapStack)]
        template = app.synth().get_stack_by_name(stack.stack_name).template
    exports = frozenset(it["Export"]["Name"] for it in template["Outputs"].values())
    return Planned(stack.stack_name, stack.settings, template["Resources"], exports)


def check(account: Account, planned: Planned) -> Iterator[Finding]:
    """Yield the findings of all checks; one that fails is `unknown`, and the others go on."""
    for label, each in _CHECKS.items():
        try:
            yield from each(account, planned)
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
            f"the stack is {status}: a first deployment failed; docs/deploy.md says how to recover",
        )
    else:
        yield Finding("ok", f"the stack is {status or 'new'}")


def _status(account: Account, stack: str) -> str | None:
    # CloudFormation has no error code of its own for a stack that is not there.
    found = account.find("cloudformation", "describe_stacks", ["ValidationError"], StackName=stack)
    return str(found["Stacks"][0]["StackStatus"]) if found else None


def _check_log_role(account: Account, planned: Planned) -> Iterator[Finding]:
    role = account.call("apigateway", "get_account").get("cloudwatchRoleArn")
    is_ours = any(it["Type"] == "AWS::ApiGateway::Account" for it in planned.resources.values())
    if is_ours and role and not _status(account, planned.stack):
        yield Finding(
            "problem", f"API Gateway writes logs as {role} already: leave out gatewayLogRole"
        )
    elif is_ours or role:
        yield Finding("ok", f"API Gateway can write logs: {role or 'the stack makes the role'}")
    else:
        yield Finding(
            "problem", "API Gateway has no role to write logs with: set -c gatewayLogRole=true"
        )


def _check_concurrency(account: Account, planned: Planned) -> Iterator[Finding]:
    functions = [
        it["Properties"]
        for it in planned.resources.values()
        if it["Type"] == "AWS::Lambda::Function"
    ]
    wanted = sum(it.get("ReservedConcurrentExecutions", 0) for it in functions)
    if not wanted:
        yield Finding("ok", "no concurrency is reserved")
        return
    limit = account.call("lambda", "get_account_settings")["AccountLimit"]
    # What this stack has reserved before is its own.
    free: int = limit["UnreservedConcurrentExecutions"]
    if _status(account, planned.stack):
        free += sum(_reserved(account, it["FunctionName"]) for it in functions)
    needed = wanted + _LEAST_UNRESERVED
    if free >= needed:
        yield Finding("ok", f"{wanted} of {free} unreserved concurrent executions are needed")
    else:
        yield Finding(
            "problem",
            f"{wanted} concurrent executions are to be reserved and {_LEAST_UNRESERVED} must stay unreserved,"
            f" but there are {free}: raise the quota, or set -c reservedConcurrency=none",
        )


def _reserved(account: Account, function: str) -> int:
    found = account.find(
        "lambda",
        "get_function_concurrency",
        ["ResourceNotFoundException"],
        FunctionName=function,
    )
    return int((found or {}).get("ReservedConcurrentExecutions", 0))


def _check_names(account: Account, planned: Planned) -> Iterator[Finding]:
    owned = _owned(account, planned.stack)
    taken: list[str] = []
    for logical_id, resource in planned.resources.items():
        kind, properties = resource["Type"], resource["Properties"]
        if logical_id in owned or kind not in _NAMED:
            continue
        how = _NAMED[kind]
        name = properties[how.property]
        if account.find(how.service, how.method, how.absent, **{how.argument: name}):
            taken.append(f"{kind.split('::')[1]} {name}")
    yield _names_found("tables, functions and other resources", taken)


def _check_log_groups(account: Account, planned: Planned) -> Iterator[Finding]:
    owned = _owned(account, planned.stack)
    taken = []
    for logical_id, resource in planned.resources.items():
        # The name of the execution log holds the id of an API that is not there yet.
        name = resource["Properties"].get("LogGroupName")
        if (
            logical_id not in owned
            and resource["Type"] == "AWS::Logs::LogGroup"
            and isinstance(name, str)
        ):
            groups = account.pages("logs", "describe_log_groups", logGroupNamePrefix=name)
            taken += [
                name for page in groups for it in page["logGroups"] if it["logGroupName"] == name
            ]
    yield _names_found("log groups", taken)


def _check_alarms(account: Account, planned: Planned) -> Iterator[Finding]:
    wanted = _names(account, planned, "AWS::CloudWatch::Alarm", "AlarmName")
    # Every name of ours begins so; a listing by name takes no more than a hundred.
    prefix = f"inventory-{planned.settings.suffix}-"
    pages = account.pages("cloudwatch", "describe_alarms", AlarmNamePrefix=prefix)
    found = {it["AlarmName"] for page in pages for it in page["MetricAlarms"]}
    yield _names_found("alarms", sorted(wanted & found))


def _check_topics(account: Account, planned: Planned) -> Iterator[Finding]:
    if wanted := _names(account, planned, "AWS::SNS::Topic", "TopicName"):
        pages = account.pages("sns", "list_topics")
        found = {it["TopicArn"].rpartition(":")[2] for page in pages for it in page["Topics"]}
        yield _names_found("topics", sorted(wanted & found))


def _check_firewall(account: Account, planned: Planned) -> Iterator[Finding]:
    if wanted := _names(account, planned, "AWS::WAFv2::WebACL", "Name"):
        found = account.call("wafv2", "list_web_acls", Scope="REGIONAL", Limit=100)["WebACLs"]
        yield _names_found("web ACLs", sorted(wanted & {it["Name"] for it in found}))


def _names(account: Account, planned: Planned, kind: str, name: str) -> set[str]:
    """Return the names of the resources of a type that the stack has yet to make."""
    owned = _owned(account, planned.stack)
    return {
        it["Properties"][name]
        for logical_id, it in planned.resources.items()
        if it["Type"] == kind and logical_id not in owned
    }


def _check_exports(account: Account, planned: Planned) -> Iterator[Finding]:
    taken = [
        it["Name"]
        for page in account.pages("cloudformation", "list_exports")
        for it in page["Exports"]
        if it["Name"] in planned.exports
        and f":stack/{planned.stack}/" not in it["ExportingStackId"]
    ]
    yield _names_found("exports", taken)


def _check_references(account: Account, planned: Planned) -> Iterator[Finding]:
    """Look for what settings name, and the deployment does not make."""
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
    """Return the logical ids of what *stack* has made or imported: those names are its own."""
    if _status(account, stack) in (None, *_FAILED_CREATION):
        return frozenset()
    return frozenset(
        it["LogicalResourceId"]
        for page in account.pages("cloudformation", "list_stack_resources", StackName=stack)
        for it in page["StackResourceSummaries"]
        if not it["ResourceStatus"].startswith("DELETE_")
    )


def _names_found(what: str, taken: Sequence[str]) -> Finding:
    if taken:
        return Finding("problem", f"names of {what} are taken: {', '.join(sorted(taken))}")
    return Finding("ok", f"names of {what} are free, or the stack's own")


_CHECKS: Final[dict[str, Check]] = {
    "bootstrap": _check_bootstrap,
    "stack": _check_stack,
    "log role of API Gateway": _check_log_role,
    "concurrency": _check_concurrency,
    "names of resources": _check_names,
    "names of log groups": _check_log_groups,
    "names of alarms": _check_alarms,
    "names of topics": _check_topics,
    "names of web ACLs": _check_firewall,
    "names of exports": _check_exports,
    "what settings name": _check_references,
}


if __name__ == "__main__":
    main()
