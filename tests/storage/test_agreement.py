"""Every repository gives the same answers: one machine drives them side by side, and compares them with the model."""

import tempfile
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from moto import mock_aws

from inventory_adapters.storage.dynamodb import DynamoDBRepository, make_client
from inventory_adapters.storage.sqlite import SqliteRepository
from tests.machine import InventoryMachine, memory, run
from tests.storage.test_dynamodb import create_tables, shared_client


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

    def __init__(self, client, table):
        self.client, self.ledger_table = client, f"{table}-ledger"
        create_tables(client, table, self.ledger_table)
        super().__init__(client, table=table, ledger_table=self.ledger_table)

    def purge(self, at):
        now = int(at.as_datetime().timestamp())
        for page in self.client.get_paginator("scan").paginate(TableName=self.ledger_table):
            for row in page["Items"]:
                if "delete_after" in row and int(row["delete_after"]["N"]) <= now:
                    key = {name: row[name] for name in ("pk", "sk")}
                    self.client.delete_item(TableName=self.ledger_table, Key=key)


@contextmanager
def moto():
    """Yield a repository on DynamoDB as moto imitates it."""
    with mock_aws():
        yield Forgetful(shared_client(), "inventory-test")


@contextmanager
def dynamodb_local(client):
    """Yield a repository on two tables of its own."""
    table = f"inventory-{uuid4()}"
    repository = Forgetful(client, table)
    try:
        yield repository
    finally:
        for name in (table, repository.ledger_table):
            client.delete_table(TableName=name)


class SideBySide(InventoryMachine):
    """What every build runs."""

    repositories = (memory, sqlite, moto)


def test_all_repositories_answer_alike():
    """Memory, SQLite and DynamoDB do what the model says, to the sentence of a refusal."""
    run(SideBySide, examples=8, steps=30)


@pytest.mark.slow
def test_all_repositories_answer_alike_for_long():
    """As above, with the time that rare meetings take."""
    run(SideBySide, examples=300, steps=50)


@pytest.mark.dynamodb_local
def test_dynamodb_local_answers_alike(dynamodb_local_endpoint):
    """What moto imitates, done by DynamoDB's own code."""
    client = make_client(endpoint_url=dynamodb_local_endpoint)

    class WithDynamoDBLocal(InventoryMachine):
        repositories = (memory, lambda: dynamodb_local(client))

    run(WithDynamoDBLocal, examples=30, steps=40)
