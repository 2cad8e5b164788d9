"""The contract, and our own tests, on DynamoDB Local: what moto gets wrong, above all threads."""

from uuid import uuid4

import pytest

from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.testing import RepositoryContract
from tests.storage import test_dynamodb, test_dynamodb_costs, test_dynamodb_ledger
from tests.storage.test_dynamodb import create_tables
from tests.wire import shared_client

pytestmark = pytest.mark.dynamodb_local

transport_name = test_dynamodb.transport_name
wire = test_dynamodb.wire
calls = test_dynamodb.calls
pauses = test_dynamodb.pauses
new_world = test_dynamodb_ledger.new_world
world = test_dynamodb_ledger.world


@pytest.fixture
def endpoint(dynamodb_local_endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local_endpoint)
    return dynamodb_local_endpoint


@pytest.fixture
def client(endpoint):
    return shared_client(endpoint)


@pytest.fixture
def repository(client, wire):
    """A repository on two tables of its own."""
    yield from on_new_tables(client, wire)


def on_new_tables(client, wire):
    table = f"inventory-{uuid4()}"
    ledger_table = f"{table}-ledger"
    create_tables(client, table, ledger_table)
    yield DynamoDBRepository(wire, table=table)
    for name in (table, ledger_table):
        client.delete_table(TableName=name)


class TestContract(RepositoryContract):
    purges = False
    orders_ties = False  # An index gives what has one sort key in no particular order.

    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository


class TestSnapshots(test_dynamodb.Snapshots):
    @pytest.fixture
    def repository(self, repository):
        """The one that all tests of this module use."""
        return repository

    @pytest.fixture
    def target(self, client, wire):
        """A repository on two more tables."""
        yield from on_new_tables(client, wire)


class TestEarlierRows(test_dynamodb.EarlierRows):
    pass


class TestLostAnswers(test_dynamodb.LostAnswers):
    pass


class TestCosts(test_dynamodb.Costs):
    pass


class TestLists(test_dynamodb.Lists):
    pass


class TestKeysOnly(test_dynamodb.KeysOnly):
    orders_ties = False


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
