"""What docs/deploy.md says of a table that an earlier version made, as far as an emulator can tell."""

import botocore.session
import pytest
from attrs import evolve
from moto import mock_aws

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
