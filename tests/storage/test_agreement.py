"""Every repository gives the same answers: one machine drives them side by side, and compares them with the model."""

import tempfile
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from moto import mock_aws

from inventory_adapters.storage.dynamodb import DynamoDBRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from tests.machine import InventoryMachine, memory
from tests.storage.test_dynamodb import LEDGER_TABLE, TABLE, create_tables, shared_client


@contextmanager
def sqlite():
    """Yield a repository in a file that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteRepository(Path(folder, "inventory.db"), durability="normal") as repository,
    ):
        yield repository


@contextmanager
def moto():
    """Yield a repository on DynamoDB as moto imitates it."""
    with mock_aws():
        client = shared_client()
        create_tables(client, TABLE, LEDGER_TABLE)
        yield DynamoDBRepository(client, table=TABLE, ledger_table=LEDGER_TABLE)


class SideBySide(InventoryMachine):
    """What every build runs."""

    repositories = (memory, sqlite, moto)


def test_all_repositories_answer_alike():
    """Memory, SQLite and DynamoDB do what the model says, to the sentence of a refusal."""
    run_state_machine_as_test(
        SideBySide, settings=settings(max_examples=10, stateful_step_count=30)
    )
