"""A state machine that compares all repositories with one model."""

import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from moto import mock_aws

from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from tests.machine import InventoryMachine, memory, run
from tests.storage import test_dynamodb
from tests.storage.test_dynamodb import create_tables
from tests.wire import TRANSPORTS, forget_all, shared_client, shared_wire

transport_name = test_dynamodb.transport_name


@contextmanager
def sqlite():
    """Yield a repository in a temporary file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteRepository(Path(folder, "inventory.db"), durability="normal") as repository,
    ):
        yield repository


class WithTtl(DynamoDBRepository):
    """`purge` deletes rows by their `delete_after`, as DynamoDB's TTL does."""

    def __init__(self, client, wire, table):
        self.client, self.ledger_table = client, f"{table}-ledger"
        create_tables(client, table, self.ledger_table)
        super().__init__(wire, table=table)

    def purge(self, at):
        now = int(at.as_datetime().timestamp())
        for page in self.client.get_paginator("scan").paginate(TableName=self.ledger_table):
            for row in page["Items"]:
                if "delete_after" in row and int(row["delete_after"]["N"]) <= now:
                    key = {name: row[name] for name in ("pk", "sk")}
                    self.client.delete_item(TableName=self.ledger_table, Key=key)


@contextmanager
def moto():
    """Yield a repository on moto inside boto3."""
    with mock_aws():
        yield WithTtl(shared_client(), shared_wire("boto3"), "inventory-test")


@contextmanager
def moto_over_http(server):
    """Yield a repository on moto as a server."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_ENDPOINT_URL", server)
        try:
            wire = shared_wire("http", server)
            yield WithTtl(shared_client(server), wire, "inventory-test")
        finally:
            forget_all()


@contextmanager
def dynamodb_local(transport_name, endpoint):
    """Yield a repository on two new tables."""
    table = f"inventory-{uuid4()}"
    client = shared_client(endpoint)
    repository = WithTtl(client, shared_wire(transport_name, endpoint), table)
    try:
        yield repository
    finally:
        for name in (table, repository.ledger_table):
            client.delete_table(TableName=name)


@pytest.fixture
def side_by_side(transport_name, moto_server):
    """Return a state machine for all repositories."""
    on_moto = moto if transport_name == "boto3" else partial(moto_over_http, moto_server)

    class SideBySide(InventoryMachine):
        repositories = (memory, sqlite, on_moto)

    return SideBySide


def test_all_repositories_behave_alike(side_by_side):
    """All behave as the model does, including the messages of errors."""
    run(side_by_side, examples=8, steps=30)


@pytest.mark.slow
def test_all_repositories_behave_alike_in_long_runs(side_by_side):
    """Longer runs also reach rare combinations."""
    run(side_by_side, examples=300, steps=50)


@pytest.mark.dynamodb_local
def test_dynamodb_local_behaves_alike(dynamodb_local_endpoint, monkeypatch):
    """DynamoDB Local behaves as the model does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local_endpoint)

    class WithDynamoDBLocal(InventoryMachine):
        repositories = (
            memory,
            *(partial(dynamodb_local, name, dynamodb_local_endpoint) for name in TRANSPORTS),
        )

    run(WithDynamoDBLocal, examples=30, steps=40)
