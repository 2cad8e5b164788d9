"""The takeover of a table of an earlier version, as in docs/deploy.md, on an emulator."""

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

pytestmark = pytest.mark.synth

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


def test_earlier_table_needs_one_index_in_one_update(client):
    """After the update its rows are found by SKU, and its indexes are those of the stack."""
    earlier = evolve(ITEMS, indexes=(CATEGORY_INDEX, STATUS_INDEX))
    client.create_table(**create_table_arguments(earlier, NAME))
    client.create_table(**create_table_arguments(LEDGER, f"{NAME}-ledger"))
    client.put_item(TableName=NAME, Item=ROW)
    arguments = create_table_arguments(ITEMS, NAME)
    [index] = [
        index
        for index in arguments["GlobalSecondaryIndexes"]
        if index["IndexName"] == SKU_INDEX.name
    ]

    client.update_table(
        TableName=NAME,
        AttributeDefinitions=arguments["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )

    repository = DynamoDBRepository(client, table=NAME, ledger_table=f"{NAME}-ledger")
    page = repository.list_items(ItemFilter(sku="HAMMER"), PageRequest(size=10))
    assert [item.name for item in page.items] == ["Claw hammer"]
    table = client.describe_table(TableName=NAME)["Table"]
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {
        index.name for index in ITEMS.indexes
    }


def test_preflight_reports_remains_of_an_earlier_stack_until_they_are_taken_over(
    client, monkeypatch
):
    """It reports the table until it is imported, and the log groups until they are deleted."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    session = botocore.session.Session()
    logs, cloudformation = map(session.create_client, ("logs", "cloudformation"))
    planned = plan({"environmentSuffix": "prod", "allowedOrigins": "https://shop.example.com"})
    [(table, resource)] = [
        (name, resource)
        for name, resource in planned.resources.items()
        if resource["Properties"].get("TableName") == "inventory-prod"
    ]
    groups = ["/aws/apigateway/inventory-prod", "/aws/lambda/inventory-prod-create-item"]

    def taken():
        findings = check(Account(session), planned)
        texts = [finding.text for finding in findings if finding.result == "problem"]
        return [text.rpartition("are taken: ")[2] for text in texts if "are taken: " in text]

    # The earlier stack retains its table. AWS created its log groups outside of the stack.
    earlier = {"Resources": {"Table": {**resource, "DeletionPolicy": "Retain"}}}
    cloudformation.create_stack(StackName="Earlier", TemplateBody=json.dumps(earlier))
    client.put_item(TableName="inventory-prod", Item=ROW)
    for group in groups:
        logs.create_log_group(logGroupName=group)
    assert taken() == ["DynamoDB inventory-prod", ", ".join(groups)]

    for group in groups:
        logs.delete_log_group(logGroupName=group)
    assert taken() == ["DynamoDB inventory-prod"]

    # The emulator does not support imports. This stack owns the table, as a stack does after an import.
    client.update_table(TableName="inventory-prod", DeletionProtectionEnabled=False)
    client.delete_table(TableName="inventory-prod")
    imported = {"Resources": {table: resource}}
    cloudformation.create_stack(StackName="TapStackprod", TemplateBody=json.dumps(imported))
    assert taken() == []
