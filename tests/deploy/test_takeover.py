"""What docs/deploy.md says of a table that an earlier version made, as far as an emulator can tell."""

import json

import botocore.session
import pytest
from attrs import evolve
from moto import mock_aws

from deploy.preflight import Account, check, plan
from inventory.paging import PageRequest
from inventory.ports import ItemFilter
from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.storage.dynamodb.schema import (
    CATEGORY_INDEX,
    ITEMS,
    LEDGER,
    SKU_INDEX,
    STATUS_INDEX,
    create_table_arguments,
)

NAME = "inventory-test"
ROW = {
    "item_id": {"S": "1"},
    "sku": {"S": "HAMMER"},
    "name": {"S": "Claw hammer"},
    "category": {"S": "tools"},
    "status": {"S": "available"},
    "quantity": {"N": "3"},
    "price": {"N": "9.99"},
    "created_at": {"S": "2024-01-01T00:00:00"},
    "updated_at": {"S": "2024-01-01T00:00:00"},
}


@pytest.fixture
def client():
    with mock_aws():
        yield botocore.session.Session().create_client("dynamodb", region_name="us-east-1")


def test_one_index_in_one_update_makes_an_earlier_table_ours(client):
    """Its rows are found by SKU then, and the table is the one that the stack describes."""
    earlier = evolve(ITEMS, indexes=(CATEGORY_INDEX, STATUS_INDEX))
    client.create_table(**create_table_arguments(earlier, NAME))
    client.create_table(**create_table_arguments(LEDGER, f"{NAME}-ledger"))
    client.put_item(TableName=NAME, Item=ROW)
    wanted = create_table_arguments(ITEMS, NAME)
    [index] = [it for it in wanted["GlobalSecondaryIndexes"] if it["IndexName"] == SKU_INDEX.name]

    client.update_table(
        TableName=NAME,
        AttributeDefinitions=wanted["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )

    repository = DynamoDBRepository(client, table=NAME, ledger_table=f"{NAME}-ledger")
    found = repository.list_items(ItemFilter(sku="HAMMER"), PageRequest(size=10))
    assert [item.name for item in found.items] == ["Claw hammer"]
    table = client.describe_table(TableName=NAME)["Table"]
    assert {it["IndexName"] for it in table["GlobalSecondaryIndexes"]} == {
        it.name for it in ITEMS.indexes
    }


def test_what_an_earlier_stack_leaves_behind_is_named_until_it_is_out_of_the_way(
    client, monkeypatch
):
    """The table until it is imported, and the log groups until they are deleted; the table's rows stay."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    session = botocore.session.Session()
    logs, cloudformation = map(session.create_client, ("logs", "cloudformation"))
    planned = plan({"environmentSuffix": "prod", "allowedOrigins": "https://shop.example.com"})
    [(table, resource)] = [
        (name, it)
        for name, it in planned.resources.items()
        if it["Properties"].get("TableName") == "inventory-prod"
    ]
    groups = ["/aws/apigateway/inventory-prod", "/aws/lambda/inventory-prod-create-item"]

    def taken():
        found = [it.text for it in check(Account(session), planned) if it.result == "problem"]
        return [it.rpartition("are taken: ")[2] for it in found if "are taken: " in it]

    # The earlier stack keeps its table, and leaves the logs that AWS has made for it.
    earlier = {"Resources": {"Table": {**resource, "DeletionPolicy": "Retain"}}}
    cloudformation.create_stack(StackName="Earlier", TemplateBody=json.dumps(earlier))
    client.put_item(TableName="inventory-prod", Item=ROW)
    for group in groups:
        logs.create_log_group(logGroupName=group)
    assert taken() == ["DynamoDB inventory-prod", ", ".join(groups)]

    for group in groups:
        logs.delete_log_group(logGroupName=group)
    assert taken() == ["DynamoDB inventory-prod"]

    # The emulator knows no import: this is a stack that has the table, as after one.
    client.update_table(TableName="inventory-prod", DeletionProtectionEnabled=False)
    client.delete_table(TableName="inventory-prod")
    imported = {"Resources": {table: resource}}
    cloudformation.create_stack(StackName="TapStackprod", TemplateBody=json.dumps(imported))
    assert taken() == []
