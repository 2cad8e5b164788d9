"""Every repository gives the same answers: one machine drives them side by side, and compares them with the model."""

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
from tests.storage.test_dynamodb import create_tables
from tests.wire import TRANSPORTS, forget_all, shared_client, shared_wire


@contextmanager
def sqlite():
    """Yield a repository in a file that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteRepository(Path(folder, "inventory.db"), durability="normal") as repository,
    ):
        yield repository


class Forgetful(DynamoDBRepository):
    """DynamoDB deletes by itself what `delete_after` says, a while later; here, when it is told to."""

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
    """Yield a repository on DynamoDB as moto imitates it, inside boto3."""
    with mock_aws():
        yield Forgetful(shared_client(), shared_wire("boto3"), "inventory-test")


@contextmanager
def moto_over_http(server):
    """Yield one on a moto that is a server."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_ENDPOINT_URL", server)
        try:
            wire = shared_wire("http", server)
            # The other moto is in this process too, and has the same accounts.
            yield Forgetful(shared_client(server), wire, "inventory-http")
        finally:
            forget_all(server)


@contextmanager
def dynamodb_local(transport_name, endpoint):
    """Yield a repository on two tables of its own."""
    table = f"inventory-{uuid4()}"
    client = shared_client(endpoint)
    repository = Forgetful(client, shared_wire(transport_name, endpoint), table)
    try:
        yield repository
    finally:
        for name in (table, repository.ledger_table):
            client.delete_table(TableName=name)


@pytest.fixture
def side_by_side(moto_server):
    """Memory, SQLite, and DynamoDB over both transports."""

    class SideBySide(InventoryMachine):
        repositories = (memory, sqlite, moto, partial(moto_over_http, moto_server))

    return SideBySide


def test_all_repositories_answer_alike(side_by_side):
    """Memory, SQLite and DynamoDB do what the model says, to the sentence of a refusal."""
    run(side_by_side, examples=8, steps=30)


@pytest.mark.slow
def test_all_repositories_answer_alike_for_long(side_by_side):
    """As above, with the time that rare meetings take."""
    run(side_by_side, examples=300, steps=50)


@pytest.mark.dynamodb_local
def test_dynamodb_local_answers_alike(dynamodb_local_endpoint, monkeypatch):
    """What moto imitates, done by DynamoDB's own code."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_local_endpoint)

    class WithDynamoDBLocal(InventoryMachine):
        repositories = (
            memory,
            *(partial(dynamodb_local, name, dynamodb_local_endpoint) for name in TRANSPORTS),
        )

    run(WithDynamoDBLocal, examples=30, steps=40)
