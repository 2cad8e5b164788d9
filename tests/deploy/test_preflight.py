"""What is looked at before a first deployment, on an emulated account."""

import json
from contextlib import contextmanager
from functools import cache

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.stub import Stubber
from moto import mock_aws

from deploy import preflight
from deploy.environments import SettingsError
from deploy.preflight import Account, check, main

REGION = "us-east-1"
CONTEXT = {
    "environmentSuffix": "prod",
    "allowedOrigins": "https://shop.example.com",
    "alarmEmail": "ops@example.com",
    "canary": "true",
    "cmk": "true",
}
ARGUMENTS = [part for key, value in CONTEXT.items() for part in ("-c", f"{key}={value}")]
ROLE = "arn:aws:iam::123456789012:role/gateway-logs"


PLAN = preflight.plan


@cache
def synthesized(context):
    return PLAN(dict(context))


def plan(context):
    """Plan a deployment, once for each context: a synthesis takes seconds."""
    return synthesized(tuple(sorted(context.items())))


@pytest.fixture(scope="module")
def planned():
    return plan(CONTEXT)


@pytest.fixture(autouse=True)
def aws(monkeypatch):
    """An account where nothing is in the way but what a test puts there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("ssm").put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String"
        )
        set_log_role(ROLE)
        yield


def set_log_role(role):
    boto3.client("apigateway").update_account(
        patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    )


def account_with(unreserved):
    """An account; moto does not know its settings, so that they are told here."""
    account = Account(Session())
    settings = Session().create_client("lambda")
    stubber = Stubber(settings)
    stubber.add_response(
        "get_account_settings", {"AccountLimit": {"UnreservedConcurrentExecutions": unreserved}}
    )
    stubber.activate()
    account._client("lambda").get_account_settings = settings.get_account_settings
    return account


def problems(planned, unreserved=1000):
    findings = list(check(account_with(unreserved), planned))
    assert not [it for it in findings if it.result == "unknown"]
    return [it.text for it in findings if it.result == "problem"]


def test_an_empty_account_is_ready(planned):
    """Bootstrapped, with the gateway's role and the concurrency."""
    assert problems(planned) == []


def test_without_the_gateways_role_it_is_not(planned):
    """The stage would fail."""
    set_log_role("")

    assert problems(planned) == [
        "API Gateway has no role to write logs with: set -c gatewayLogRole=true"
    ]
    assert problems(plan({**CONTEXT, "gatewayLogRole": "true"})) == []


def test_a_role_of_another_stack_must_not_be_replaced():
    """Other APIs of the region log with it."""
    [problem] = problems(plan({**CONTEXT, "gatewayLogRole": "true"}))

    assert problem.endswith("already: leave out gatewayLogRole")


@pytest.mark.parametrize(("unreserved", "enough"), [(10, False), (161, False), (162, True)])
def test_the_concurrency_that_is_reserved_must_be_there(planned, unreserved, enough):
    """62 for the functions, and 100 that AWS keeps for others."""
    found = problems(planned, unreserved)

    assert (found == []) is enough
    assert all("62 concurrent executions are to be reserved and 100" in it for it in found)


def test_an_account_without_concurrency_can_do_without():
    """As the message says."""
    assert problems(plan({**CONTEXT, "reservedConcurrency": "none"}), unreserved=10) == []


def test_an_account_that_is_not_bootstrapped_is_told(planned):
    """By the command to run."""
    boto3.client("ssm").delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")

    assert problems(planned) == ["the CDK is not bootstrapped: run npx aws-cdk@2 bootstrap"]


def make_table(name="inventory-prod-ledger", **more):
    return boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )


TAKEN = {
    "DynamoDB inventory-prod-ledger": make_table,
    "SSM /inventory/prod/config": lambda: boto3.client("ssm").put_parameter(
        Name="/inventory/prod/config", Value="{}", Type="String"
    ),
    "SQS inventory-prod-dead-letters": lambda: boto3.client("sqs").create_queue(
        QueueName="inventory-prod-dead-letters"
    ),
    "Events inventory-prod-expire-reservations": lambda: boto3.client("events").put_rule(
        Name="inventory-prod-expire-reservations", ScheduleExpression="rate(1 minute)"
    ),
    "CodeDeploy inventory-prod": lambda: boto3.client("codedeploy").create_application(
        applicationName="inventory-prod", computePlatform="Lambda"
    ),
    "CloudWatch inventory-prod": lambda: boto3.client("cloudwatch").put_dashboard(
        DashboardName="inventory-prod", DashboardBody=json.dumps({"widgets": []})
    ),
    "/aws/apigateway/inventory-prod": lambda: boto3.client("logs").create_log_group(
        logGroupName="/aws/apigateway/inventory-prod"
    ),
    "/aws/lambda/inventory-prod-get-item": lambda: boto3.client("logs").create_log_group(
        logGroupName="/aws/lambda/inventory-prod-get-item"
    ),
    "inventory-prod-api-5xx": lambda: boto3.client("cloudwatch").put_metric_alarm(
        AlarmName="inventory-prod-api-5xx",
        MetricName="5XXError",
        Namespace="AWS/ApiGateway",
        Period=300,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    ),
    "inventory-prod-alarms": lambda: boto3.client("sns").create_topic(Name="inventory-prod-alarms"),
    "inventory-prod": lambda: boto3.client("wafv2").create_web_acl(
        Name="inventory-prod",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig={
            "SampledRequestsEnabled": False,
            "CloudWatchMetricsEnabled": False,
            "MetricName": "it",
        },
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_is_taken_is_told(planned, name):
    """CloudFormation would fail halfway."""
    TAKEN[name]()

    [problem] = problems(planned)
    assert problem.startswith("names of ")
    assert problem.endswith(f" are taken: {name}")


def test_names_that_only_begin_alike_are_free(planned):
    """As those of another environment."""
    make_table("inventory-prod-eu")
    boto3.client("logs").create_log_group(logGroupName="/aws/apigateway/inventory-prod-eu")

    assert problems(planned) == []


def make_stack(resources, name="TapStackprod"):
    template = {"Resources": resources}
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


def test_what_the_stack_owns_is_not_in_its_way():
    """An update, or a stack that has imported its table: everything else is still looked at."""
    planned = plan({key: value for key, value in CONTEXT.items() if key != "cmk"})
    [items] = [
        name
        for name, it in planned.resources.items()
        if it["Properties"].get("TableName") == "inventory-prod"
    ]
    make_stack({items: {**planned.resources[items], "DeletionPolicy": "Retain"}})
    make_table()

    assert problems(planned) == [
        "names of tables, functions and other resources are taken: DynamoDB inventory-prod-ledger"
    ]


def test_an_export_of_another_stack_is_told(planned):
    """Exports are one list for a region."""
    template = {
        "Resources": {"Q": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"O": {"Value": "x", "Export": {"Name": "InventoryApi-prod-Endpoint"}}},
    }
    boto3.client("cloudformation").create_stack(
        StackName="Earlier", TemplateBody=json.dumps(template)
    )

    assert problems(planned) == ["names of exports are taken: InventoryApi-prod-Endpoint"]


def test_a_stack_that_failed_is_told_and_owns_nothing(planned, monkeypatch):
    """Its tables were kept, and are in the way."""
    make_table()
    monkeypatch.setattr("deploy.preflight._status", lambda *_: "ROLLBACK_COMPLETE")

    first, second = problems(planned)

    assert first.startswith("the stack is ROLLBACK_COMPLETE: a first deployment failed")
    assert second.endswith("are taken: DynamoDB inventory-prod-ledger")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("alarmTopic", "arn:aws:sns:us-east-1:123456789012:ops"),
        ("logKey", "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"),
    ],
)
def test_what_a_setting_names_must_exist(setting, value):
    """The deployment does not make it."""
    context = {key: it for key, it in CONTEXT.items() if key != "alarmEmail"}

    assert problems(plan({**context, setting: value})) == [f"{setting} does not exist: {value}"]


def test_what_cannot_be_looked_at_is_told(planned):
    """And the rest is checked all the same."""
    account = Account(Session())  # whose settings moto does not know

    findings = list(check(account, planned))

    [unknown] = [it for it in findings if it.result == "unknown"]
    assert unknown.text.startswith("concurrency: ")
    assert sum(it.result == "ok" for it in findings) >= 9


class TestCommand:
    @pytest.fixture(autouse=True)
    def _planned_once(self, monkeypatch):
        monkeypatch.setattr("deploy.preflight.plan", plan)

    @contextmanager
    def ends_with(self, code):
        with pytest.raises(SystemExit) as ended:
            yield
        assert ended.value.code == code

    def test_what_could_not_be_checked_is_2(self, capsys):
        """A line for each, and for what no program can check."""
        with self.ends_with(2):
            main(ARGUMENTS)

        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"TapStackprod in account 123456789012, region {REGION}"
        assert sum(line.startswith("unknown  concurrency") for line in lines) == 1
        assert "skipped  whether your credentials may create everything" in lines

    def test_a_problem_is_1(self, capsys):
        """Whatever else could not be checked."""
        make_table()

        with self.ends_with(1):
            main(ARGUMENTS)

        assert "DynamoDB inventory-prod-ledger" in capsys.readouterr().out

    def test_nothing_in_the_way_is_0(self, capsys):
        """Where nothing is reserved, nobody has to be asked how much there is."""
        with self.ends_with(0):
            main([*ARGUMENTS, "-c", "reservedConcurrency=none"])

        assert "problem" not in capsys.readouterr().out

    def test_without_credentials_nothing_is_checked(self, monkeypatch, capsys):
        """It says so, and does not pass."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setattr("botocore.session.Session.get_credentials", lambda *_, **__: None)

        with self.ends_with(2):
            main(ARGUMENTS)

        assert "nothing could be checked" in capsys.readouterr().err

    def test_settings_are_checked_first(self):
        """As for a deployment."""
        with pytest.raises(SystemExit, match=r"preflight\.py: allowedOrigins must name"):
            main(["-c", "environmentSuffix=prod"])
        with pytest.raises(SettingsError):
            plan({"environmentSuffix": "live"})


def test_tables_that_a_failed_deployment_left_can_be_removed():
    """The first command of the recovery in docs/deploy.md, call by call: protection first, or nothing happens."""
    dynamodb = boto3.client("dynamodb")
    make_table(DeletionProtectionEnabled=True)
    with pytest.raises(ClientError, match="can't be deleted"):
        dynamodb.delete_table(TableName="inventory-prod-ledger")

    dynamodb.update_table(TableName="inventory-prod-ledger", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="inventory-prod-ledger")

    assert dynamodb.list_tables()["TableNames"] == []
