"""What each function may do, tried out with the credentials of its role: what deploy/grants.py says, and nothing else."""

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from deploy.grants import NEEDS, needs_of
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER
from tests.e2e.ministack import Credentials

pytestmark = pytest.mark.e2e

TABLES = {"items": ITEMS, "ledger": LEDGER}


class Role:
    """The role of one function, and what became of the calls that were made with it."""

    def __init__(self, deployed, operation):
        self.deployed = deployed
        assumed = deployed.aws.client("sts").assume_role(
            RoleArn=deployed.role_arn(operation), RoleSessionName="tests"
        )["Credentials"]
        self.who = Credentials(
            key=assumed["AccessKeyId"],
            secret=assumed["SecretAccessKey"],
            token=assumed["SessionToken"],
        )
        self.dynamodb = self.client("dynamodb")
        self.allowed = set()

    def client(self, service):
        return self.deployed.aws.client(service, self.who)

    @contextmanager
    def trying(self, name):
        """Note *name* as allowed unless the call in the block is denied; that it fails in another way is as good."""
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}:
                return
        self.allowed.add(name)

    def try_table(self, name, table, schema):
        """Make the calls that read and write rows, and two that are about the table, on *table* and its indexes."""
        key = {
            schema.partition_key: {"S": "nobody"},
            schema.sort_key: {"S": "nothing"},
        }
        call = self.dynamodb
        # What is allowed must change nothing.
        never = {
            "ConditionExpression": "attribute_exists(#key)",
            "ExpressionAttributeNames": {"#key": schema.partition_key},
        }
        single = {
            "GetItem": lambda: call.get_item(TableName=table, Key=key),
            "PutItem": lambda: call.put_item(TableName=table, Item=key, **never),
            "UpdateItem": lambda: call.update_item(TableName=table, Key=key, **never),
            "DeleteItem": lambda: call.delete_item(TableName=table, Key=key, **never),
            "Query": lambda: self._query(table, schema),
            "Scan": lambda: call.scan(TableName=table, Limit=1),
            "BatchGetItem": lambda: call.batch_get_item(RequestItems={table: {"Keys": [key]}}),
            "BatchWriteItem": lambda: call.batch_write_item(
                RequestItems={table: [{"DeleteRequest": {"Key": key}}]}
            ),
            "ConditionCheckItem": lambda: call.transact_write_items(
                TransactItems=[{"ConditionCheck": {"TableName": table, "Key": key, **never}}]
            ),
            "DescribeTable": lambda: call.describe_table(TableName=table),
            "UpdateTable": lambda: call.update_table(TableName=table),
        }
        for action, make in single.items():
            with self.trying(f"{name} {action}"):
                make()
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

    def try_the_rest(self):
        """Make calls to the other services that a function has to do with, and to those of its neighbours."""
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
    """What deploy/grants.py says, by the names that `Role` uses."""
    needs = needs_of(operation)
    return {
        *(f"items {action}" for action in needs.items),
        *(f"ledger {action}" for action in needs.ledger),
        *(f"{index.name} Query" for index in needs.queried),
        *(["limits"] if needs.limits else []),
    }


@pytest.mark.parametrize("operation", NEEDS)
def test_a_function_is_denied_what_it_does_not_need(deployed, operation):
    """With the role's own credentials, every call on every table and index is allowed if it was granted, else denied."""
    role = Role(deployed, operation)

    for name, schema in TABLES.items():
        table = f"inventory-{deployed.suffix}" + ("-ledger" if name == "ledger" else "")
        role.try_table(name, table, schema)
    role.try_the_rest()

    assert role.allowed == expected(operation)


@pytest.mark.parametrize("operation", NEEDS)
def test_a_function_knows_nothing_of_the_other_environment(deployments, operation):
    """What runs in dev reads and writes nothing of prod, whatever it is told."""
    role = Role(deployments["dev"], operation)

    for name, schema in TABLES.items():
        table = "inventory-prod" + ("-ledger" if name == "ledger" else "")
        role.try_table(name, table, schema)

    assert role.allowed == set()
