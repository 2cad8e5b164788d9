"""
The contract of repositories, as tests to subclass.

    import pytest

    from inventory_adapters.testing import RepositoryContract


    class TestMyRepository(RepositoryContract):
        @pytest.fixture
        def repository(self):
            return MyRepository()

If the repository supports exclusive access, subclass `ExclusiveContract` as well; if its records can be copied,
`SnapshotContract`. The tests need only pytest and the domain.
For readable failures, put ``pytest.register_assert_rewrite("inventory_adapters.testing")`` into `conftest.py`.
"""

import pytest

from inventory.ports import InventoryRepository
from inventory_adapters.testing.atomicity import AtomicityContract
from inventory_adapters.testing.commits import CommitsContract, DeletesContract
from inventory_adapters.testing.concurrency import ConcurrencyContract
from inventory_adapters.testing.edits import EditsContract
from inventory_adapters.testing.examples import (
    a_record,
    a_reservation,
    a_time,
    an_edit,
    an_item,
    closed,
    combined,
    creation,
    deletion,
    record_change,
    reservation_change,
    rewrite,
)
from inventory_adapters.testing.exclusive import ExclusiveContract
from inventory_adapters.testing.idempotency import IdempotencyContract
from inventory_adapters.testing.lists import ListsContract
from inventory_adapters.testing.movements import MovementsContract
from inventory_adapters.testing.pagination import (
    held,
    item_pages,
    ledger,
    list_all,
    with_short_pages,
)
from inventory_adapters.testing.purges import PurgeContract
from inventory_adapters.testing.reads import ReadsContract
from inventory_adapters.testing.reservations import ReservationsContract
from inventory_adapters.testing.search import SearchContract
from inventory_adapters.testing.snapshots import SnapshotContract, a_shop
from inventory_adapters.testing.unreadable import UnreadableRowsContract

__all__ = [
    "ExclusiveContract",
    "RepositoryContract",
    "SnapshotContract",
    "a_record",
    "a_reservation",
    "a_shop",
    "a_time",
    "an_edit",
    "an_item",
    "closed",
    "combined",
    "creation",
    "deletion",
    "held",
    "item_pages",
    "ledger",
    "list_all",
    "record_change",
    "reservation_change",
    "rewrite",
    "with_short_pages",
]


class RepositoryContract(
    ReadsContract,
    CommitsContract,
    EditsContract,
    DeletesContract,
    ListsContract,
    SearchContract,
    MovementsContract,
    ReservationsContract,
    IdempotencyContract,
    AtomicityContract,
    PurgeContract,
    UnreadableRowsContract,
    ConcurrencyContract,
):
    """
    Every guarantee of `inventory.ports.InventoryRepository`.

    A subclass overrides the fixture `repository`. The tests assume that lists are up to date at once, so test a repository
    whose lists may lag behind on a stand-in whose lists do not.
    """

    @pytest.fixture
    def repository(self) -> InventoryRepository:
        """Return an empty repository, a new one for each test."""
        msg = "override the fixture `repository` and return an empty repository"
        raise NotImplementedError(msg)
