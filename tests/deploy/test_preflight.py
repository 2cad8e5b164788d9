"""The checks before a first deployment, on an emulated account."""

import json
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

import pytest
from attrs import evolve
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.stub import Stubber
from moto import mock_aws

from deploy import preflight
from deploy.environments import SettingsError, settings_for
from deploy.preflight import Account, check, main
from inventory_adapters.storage.dynamodb.schema import create_table_arguments, items_schema

pytestmark = pytest.mark.synth

REGION = "us-east-1"
ORIGINS = {"allowedOrigins": "https://shop.example.com"}
CONTEXT = {
    "environmentSuffix": "prod",
    **ORIGINS,
    "alarmEmail": "ops@example.com",
    "canary": "true",
    "cmk": "true",
}
ARGUMENTS = [part for key, value in CONTEXT.items() for part in ("-c", f"{key}={value}")]
ROLE = "arn:aws:iam::123456789012:role/gateway-logs"


# Shared by all tests, because a session reads the models of its services only once.
SESSION = Session()


@cache
def plan(**changes):
    """Plan a deployment, once for each set of changes to `CONTEXT`, because a synthesis takes seconds."""
    return preflight.plan(CONTEXT | changes)


@pytest.fixture
def planned():
    return plan()


@pytest.fixture
def small():
    """A plan of a stack with other settings: it reserves no concurrency, sets the log role, and has no key."""
    return plan(reservedConcurrency="none", gatewayLogRole="true", cmk="false")


@cache
def account():
    """The account, once, because creating its clients takes longer than their calls."""
    return Account(SESSION)


def client(service):
    """The client of the account for *service*."""
    return account()._client(service)


def with_settings(planned, **context):
    """Return *planned* with the settings of *context*, which do not change its resources' names."""
    return evolve(planned, settings=settings_for("prod", (ORIGINS | context).get))


@pytest.fixture(autouse=True)
def aws(monkeypatch):
    """An account that passes all checks until a test adds a problem."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client("ssm").put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String"
        )
        set_log_role(ROLE)
        yield


def set_log_role(role):
    client("apigateway").update_account(
        patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    )


@cache
def stubbed_client():
    """A second client of Lambda, because a stubbed client answers no other call."""
    return SESSION.create_client("lambda")


@contextmanager
def unreserved_concurrency(executions):
    """Give the account a concurrency limit, which moto does not support."""
    stubbed = stubbed_client()
    with (
        Stubber(stubbed) as stubber,
        patch.object(client("lambda"), "get_account_settings", stubbed.get_account_settings),
    ):
        stubber.add_response(
            "get_account_settings", {"AccountLimit": {"UnreservedConcurrentExecutions": executions}}
        )
        yield


def problems(planned, unreserved=1000):
    with unreserved_concurrency(unreserved):
        findings = list(check(account(), planned))
    assert not [finding for finding in findings if finding.result == "unknown"]
    return [finding.text for finding in findings if finding.result == "problem"]


def test_empty_account_has_no_problems(planned):
    """A bootstrapped account with a log role and enough concurrency is ready."""
    assert problems(planned) == []


def test_missing_log_role_is_a_problem_unless_the_stack_sets_it(planned, small):
    """Without the role, the deployment of the stage fails."""
    set_log_role("")

    assert problems(planned) == [
        "API Gateway has no role to write logs with: set -c gatewayLogRole=true"
    ]
    assert problems(small) == []


def test_existing_log_role_must_not_be_replaced(small):
    """Other APIs of the region use the role."""
    assert problems(small) == [
        f"API Gateway already writes logs with the role {ROLE}: omit gatewayLogRole"
    ]


@pytest.mark.parametrize(("unreserved", "enough"), [(10, False), (161, False), (162, True)])
def test_reserved_concurrency_must_be_available(planned, unreserved, enough):
    """The functions reserve 62 executions, and 100 must stay unreserved."""
    texts = problems(planned, unreserved)

    assert (texts == []) is enough
    assert all("62 concurrent executions will be reserved and 100" in text for text in texts)


def test_deployment_without_reserved_concurrency_needs_none(small):
    """The setting that the message names solves the problem."""
    set_log_role("")

    assert problems(small, unreserved=10) == []


def test_missing_bootstrap_is_a_problem(planned):
    """The message contains the command to run."""
    client("ssm").delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")

    assert problems(planned) == ["the CDK is not bootstrapped: run npx aws-cdk@2 bootstrap"]


def make_table(name="inventory-prod-ledger", **more):
    return client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )


TAKEN = {
    "tables, functions and other resources": {
        "DynamoDB inventory-prod-ledger": make_table,
        "SSM /inventory/prod/config": lambda: client("ssm").put_parameter(
            Name="/inventory/prod/config", Value="{}", Type="String"
        ),
        "SQS inventory-prod-dead-letters": lambda: client("sqs").create_queue(
            QueueName="inventory-prod-dead-letters"
        ),
        "Events inventory-prod": lambda: client("events").create_event_bus(Name="inventory-prod"),
        "SQS inventory-prod-event-dead-letters": lambda: client("sqs").create_queue(
            QueueName="inventory-prod-event-dead-letters"
        ),
        "Events inventory-prod-expire-reservations": lambda: client("events").put_rule(
            Name="inventory-prod-expire-reservations", ScheduleExpression="rate(1 minute)"
        ),
        "CodeDeploy inventory-prod": lambda: client("codedeploy").create_application(
            applicationName="inventory-prod", computePlatform="Lambda"
        ),
        "CloudWatch inventory-prod": lambda: client("cloudwatch").put_dashboard(
            DashboardName="inventory-prod", DashboardBody=json.dumps({"widgets": []})
        ),
    },
    "log groups": {
        "/aws/apigateway/inventory-prod": lambda: client("logs").create_log_group(
            logGroupName="/aws/apigateway/inventory-prod"
        ),
        "/aws/lambda/inventory-prod-get-item": lambda: client("logs").create_log_group(
            logGroupName="/aws/lambda/inventory-prod-get-item"
        ),
    },
    "alarms": {
        "inventory-prod-api-5xx": lambda: client("cloudwatch").put_metric_alarm(
            AlarmName="inventory-prod-api-5xx",
            MetricName="5XXError",
            Namespace="AWS/ApiGateway",
            Period=300,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            Statistic="Sum",
        ),
    },
    "topics": {
        "inventory-prod-alarms": lambda: client("sns").create_topic(Name="inventory-prod-alarms"),
    },
    "web ACLs": {
        "inventory-prod": lambda: client("wafv2").create_web_acl(
            Name="inventory-prod",
            Scope="REGIONAL",
            DefaultAction={"Allow": {}},
            VisibilityConfig={
                "SampledRequestsEnabled": False,
                "CloudWatchMetricsEnabled": False,
                "MetricName": "inventory",
            },
        ),
    },
}


def test_taken_names_are_problems(planned):
    """CloudFormation cannot create a resource whose name exists. Each name is listed with its kind."""
    for names in TAKEN.values():
        for create in names.values():
            create()

    assert problems(planned) == [
        f"names of {kind} are taken: {', '.join(sorted(names))}" for kind, names in TAKEN.items()
    ]


@pytest.mark.parametrize(
    ("projection", "existing"), [("keys", "all"), ("all", "keys"), ("keys", "keys")]
)
def test_existing_indexes_must_suit_the_index_projection(planned, projection, existing):
    """DynamoDB cannot change them, whichever they are."""
    planned = with_settings(planned, indexProjection=projection, newTables="true")
    client("dynamodb").create_table(
        **create_table_arguments(items_schema(existing), "inventory-prod")
    )

    different = [text for text in problems(planned) if "indexProjection" in text]

    assert len(different) == (projection != existing)
    for text in different:
        assert (
            f"table inventory-prod exists with other indexes than indexProjection={projection}"
            in text
        )
        assert "category-index is" in text
        assert "status-index is" in text


def test_name_with_the_same_prefix_is_no_problem(planned):
    """Names of another environment do not conflict."""
    make_table("inventory-prod-eu")
    client("logs").create_log_group(logGroupName="/aws/apigateway/inventory-prod-eu")

    assert problems(planned) == []


def make_stack(resources, name="TapStackprod"):
    template = {"Resources": resources}
    client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


def test_resource_of_the_stack_is_no_problem(small):
    """For an update, or after an import, the names of other resources are still checked."""
    set_log_role("")
    [items] = [
        name
        for name, resource in small.resources.items()
        if resource["Properties"].get("TableName") == "inventory-prod"
    ]
    make_stack({items: {**small.resources[items], "DeletionPolicy": "Retain"}})
    make_table()

    assert problems(small) == [
        "names of tables, functions and other resources are taken: DynamoDB inventory-prod-ledger"
    ]


def test_export_of_another_stack_is_a_problem(planned):
    """Names of exports are unique in a region."""
    template = {
        "Resources": {"Q": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"O": {"Value": "x", "Export": {"Name": "InventoryApi-prod-Endpoint"}}},
    }
    client("cloudformation").create_stack(StackName="Earlier", TemplateBody=json.dumps(template))

    assert problems(planned) == ["names of exports are taken: InventoryApi-prod-Endpoint"]


def test_failed_stack_is_a_problem_and_owns_nothing(planned, monkeypatch):
    """Its tables were retained, so their names are taken."""
    make_table()
    monkeypatch.setattr("deploy.preflight._status", lambda *_: "ROLLBACK_COMPLETE")

    first, second = problems(planned)

    assert first.startswith("the stack is ROLLBACK_COMPLETE: its creation failed. See ")
    assert second.endswith("are taken: DynamoDB inventory-prod-ledger")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("alarmTopic", "arn:aws:sns:us-east-1:123456789012:ops"),
        ("logKey", "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"),
    ],
)
def test_resource_in_a_setting_must_exist(planned, setting, value):
    """The deployment does not create it."""
    assert problems(with_settings(planned, **{setting: value})) == [
        f"{setting} does not exist: {value}"
    ]


def test_failed_check_is_reported_and_the_others_continue(planned):
    """A check that raises an error yields `unknown`."""
    findings = list(check(account(), planned))  # moto does not support the concurrency limit

    [unknown] = [finding for finding in findings if finding.result == "unknown"]
    assert unknown.text.startswith("concurrency: ")
    assert sum(finding.result == "ok" for finding in findings) >= 9


class TestCommand:
    @pytest.fixture
    def contexts(self, monkeypatch, planned):
        """The contexts that the command plans; the plan itself is the shared one."""
        contexts = []
        monkeypatch.setattr(
            "deploy.preflight.plan", lambda context: contexts.append(context) or planned
        )
        return contexts

    @pytest.fixture
    def shared(self, monkeypatch):
        """Let the command check the shared account, whose clients exist."""
        monkeypatch.setattr("deploy.preflight.Account", lambda _session: account())

    @contextmanager
    def exits_with(self, code):
        with pytest.raises(SystemExit) as exit_info:
            yield
        assert exit_info.value.code == code

    def test_exit_code_is_2_if_a_check_failed(self, shared, contexts, capsys):
        """The output has a line for each check, and for each condition that cannot be checked."""
        with self.exits_with(2):
            main(ARGUMENTS)

        assert contexts == [CONTEXT]

        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"TapStackprod in account 123456789012, region {REGION}"
        assert sum(line.startswith("unknown  concurrency") for line in lines) == 1
        assert "skipped  whether your credentials may create everything" in lines

    def test_exit_code_is_1_for_a_problem(self, shared, contexts, capsys):
        """A problem takes precedence over a failed check."""
        make_table()

        with self.exits_with(1):
            main(ARGUMENTS)

        assert "DynamoDB inventory-prod-ledger" in capsys.readouterr().out

    def test_exit_code_is_0_if_all_checks_pass(self, shared, monkeypatch, small, capsys):
        """Without reserved concurrency the limit is not checked, so no check fails on moto."""
        set_log_role("")
        monkeypatch.setattr("deploy.preflight.plan", lambda _context: small)

        with self.exits_with(0):
            main(ARGUMENTS)

        assert "problem" not in capsys.readouterr().out

    def test_exit_code_is_2_without_credentials(self, contexts, monkeypatch, capsys):
        """An account that could not be checked does not pass."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setattr("botocore.session.Session.get_credentials", lambda *_, **__: None)

        with self.exits_with(2):
            main(ARGUMENTS)

        assert "the account could not be checked" in capsys.readouterr().err

    def test_invalid_settings_are_rejected(self):
        """The settings have the same rules as for a deployment."""
        with pytest.raises(SystemExit, match=r"preflight\.py: allowedOrigins must name"):
            main(["-c", "environmentSuffix=prod"])
        with pytest.raises(SettingsError):
            preflight.plan({"environmentSuffix": "live"})


def test_tables_of_a_failed_deployment_can_be_deleted_after_their_protection():
    """These are the calls of the first command of the recovery in docs/deploy.md."""
    dynamodb = client("dynamodb")
    make_table(DeletionProtectionEnabled=True)
    with pytest.raises(ClientError, match="can't be deleted"):
        dynamodb.delete_table(TableName="inventory-prod-ledger")

    dynamodb.update_table(TableName="inventory-prod-ledger", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="inventory-prod-ledger")

    assert dynamodb.list_tables()["TableNames"] == []
