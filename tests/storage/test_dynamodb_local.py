"""The contract, and our own tests, on DynamoDB Local: what moto gets wrong, above all threads."""

from functools import cache
from uuid import uuid4

import pytest

from inventory_adapters.storage.dynamodb import DynamoDBRepository, make_client
from inventory_adapters.testing import RepositoryContract
from tests.storage import test_dynamodb, test_dynamodb_costs, test_dynamodb_ledger

pytestmark = pytest.mark.dynamodb_local

calls = test_dynamodb.calls
pauses = test_dynamodb.pauses
new_world = test_dynamodb_ledger.new_world
world = test_dynamodb_ledger.world


@cache
def shared_client(endpoint):
    return make_client(endpoint_url=endpoint, parameter_validation=True)


@pytest.fixture
def client(dynamodb_local_endpoint):
    return shared_client(dynamodb_local_endpoint)


@pytest.fixture
def repository(client):
    """A repository on two tables of its own."""
    table = f"inventory-{uuid4()}"
    ledger_table = f"{table}-ledger"
    test_dynamodb.create_tables(client, table, ledger_table)
    yield DynamoDBRepository(client, table=table, ledger_table=ledger_table)
    for name in (table, ledger_table):
        client.delete_table(TableName=name)


class TestContract(RepositoryContract):
    purges = False
    orders_ties = False  # An index gives what has one sort key in no particular order.

    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository


class TestEarlierRows(test_dynamodb.EarlierRows):
    pass


class TestLostAnswers(test_dynamodb.LostAnswers):
    pass


class TestCosts(test_dynamodb.Costs):
    pass


class TestLists(test_dynamodb.Lists):
    pass


class TestRows(test_dynamodb_ledger.Rows):
    pass


class TestPages(test_dynamodb_ledger.Pages):
    pass


class TestLostLedgerAnswers(test_dynamodb_ledger.LostLedgerAnswers):
    pass


class TestKills(test_dynamodb_ledger.Kills):
    pass


class TestUnits(test_dynamodb_costs.Units):
    pass
