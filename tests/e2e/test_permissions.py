"""The permissions of each function, tested with the credentials of its role."""

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from deploy.grants import NEEDS, needs_of
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER
from tests.e2e.ministack import Credentials

pytestmark = pytest.mark.e2e

TABLES = {"items": ITEMS, "ledger": LEDGER}


class Role:
    """The role of one function, and the calls that it was allowed to make."""

    def __init__(self, deployed, operation):
        self.deployed = deployed
        assumed = deployed.aws.client("sts").assume_role(
            RoleArn=deployed.role_arn(operation), RoleSessionName="tests"
        )["Credentials"]
        self.credentials = Credentials(
            key=assumed["AccessKeyId"],
            secret=assumed["SecretAccessKey"],
            token=assumed["SessionToken"],
        )
        self.dynamodb = self.client("dynamodb")
        self.allowed = set()

    def client(self, service):
        return self.deployed.aws.client(service, self.credentials)

    @contextmanager
    def trying(self, name):
        """Record *name* as allowed unless access is denied in the block; other errors are ignored."""
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}:
                return
        self.allowed.add(name)

    def try_table(self, name, table, schema):
        """Try to read and write rows, and to manage the table, on *table* and its indexes."""
        key = {
            schema.partition_key: {"S": "nobody"},
            schema.sort_key: {"S": "nothing"},
        }
        client = self.dynamodb
        # A false condition, so that allowed calls change nothing.
        condition = {
            "ConditionExpression": "attribute_exists(#key)",
            "ExpressionAttributeNames": {"#key": schema.partition_key},
        }
        calls = {
            "GetItem": lambda: client.get_item(TableName=table, Key=key),
            "PutItem": lambda: client.put_item(TableName=table, Item=key, **condition),
            "UpdateItem": lambda: client.update_item(TableName=table, Key=key, **condition),
            "DeleteItem": lambda: client.delete_item(TableName=table, Key=key, **condition),
            "Query": lambda: self._query(table, schema),
            "Scan": lambda: client.scan(TableName=table, Limit=1),
            "BatchGetItem": lambda: client.batch_get_item(RequestItems={table: {"Keys": [key]}}),
            "BatchWriteItem": lambda: client.batch_write_item(
                RequestItems={table: [{"DeleteRequest": {"Key": key}}]}
            ),
            "ConditionCheckItem": lambda: client.transact_write_items(
                TransactItems=[{"ConditionCheck": {"TableName": table, "Key": key, **condition}}]
            ),
            "DescribeTable": lambda: client.describe_table(TableName=table),
            "UpdateTable": lambda: client.update_table(TableName=table),
        }
        for action, call in calls.items():
            with self.trying(f"{name} {action}"):
                call()
        for index in schema.indexes:
            with self.trying(f"{index.name} Query"):
                self._query(table, index, IndexName=index.name)

    def _query(self, table, keys, **further):
        return self.dynamodb.query(
            TableName=table,
            KeyConditionExpression="#key = :key",
            ExpressionAttributeNames={"#key": keys.partition_key},
            ExpressionAttributeValues={":key": {"S": "nobody"}},
            **further,
        )

    def try_other_services(self):
        """Try calls to other services, and to resources of other functions."""
        suffix = self.deployed.suffix
        ssm, logs = self.client("ssm"), self.client("logs")
        with self.trying("limits"):
            ssm.get_parameter(Name=f"/inventory/{suffix}/config")
        with self.trying("another parameter"):
            ssm.get_parameter(Name=f"/inventory/{suffix}/table-name")
        with self.trying("changing the limits"):
            ssm.put_parameter(Name=f"/inventory/{suffix}/config", Value="{}", Overwrite=True)
        with self.trying("logs of the gateway"):
            logs.create_log_stream(
                logGroupName=f"/aws/apigateway/inventory-{suffix}", logStreamName="tests"
            )
        with self.trying("a new log group"):
            logs.create_log_group(logGroupName=f"/aws/lambda/inventory-{suffix}-tests")
        with self.trying("another function"):
            self.client("lambda").invoke(FunctionName=f"inventory-{suffix}-expire-reservations")
        with self.trying("the roles"):
            self.client("iam").list_roles()


def expected(operation):
    """Return the permissions in deploy/grants.py, by the names that `Role` uses."""
    needs = needs_of(operation)
    return {
        *(f"items {action}" for action in needs.items),
        *(f"ledger {action}" for action in needs.ledger),
        *(f"{index.name} Query" for index in needs.queried),
        *(["limits"] if needs.limits else []),
    }


@pytest.mark.parametrize("operation", NEEDS)
def test_role_allows_exactly_the_granted_calls(deployed, operation):
    """Every call on every table and index is allowed if it is granted, and otherwise denied."""
    role = Role(deployed, operation)

    for name, schema in TABLES.items():
        table = f"inventory-{deployed.suffix}" + ("-ledger" if name == "ledger" else "")
        role.try_table(name, table, schema)
    role.try_other_services()

    assert role.allowed == expected(operation)


@pytest.mark.parametrize("operation", NEEDS)
def test_role_has_no_access_to_another_environment(deployments, operation):
    """Functions of dev can neither read nor write the tables of prod."""
    role = Role(deployments["dev"], operation)

    for name, schema in TABLES.items():
        table = "inventory-prod" + ("-ledger" if name == "ledger" else "")
        role.try_table(name, table, schema)

    assert role.allowed == set()
