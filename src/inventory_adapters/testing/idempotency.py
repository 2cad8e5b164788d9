"""Records of idempotency keys."""

from decimal import Decimal

import pytest
from attrs import evolve

from inventory.batch import RowResult
from inventory.errors import DuplicateRequestError, StaleReadError
from inventory.idempotency import IdempotencyRecord
from inventory.items import Timestamp
from inventory.ports import InventoryRepository
from inventory.stock import Transfer, adjust
from inventory_adapters.testing.examples import (
    a_record,
    a_reservation,
    a_time,
    an_item,
    closed,
    combined,
    creation,
    record_change,
    stale_parts,
)

__all__ = ["IdempotencyContract"]


_OTHER = an_item("second")


class IdempotencyContract:
    """A record rejects every other change with its key until it expires."""

    @pytest.mark.parametrize(
        "record",
        [
            pytest.param(a_record(), id="plain"),
            pytest.param(a_record("f" * 64, fingerprint="0" * 64), id="digests"),
            pytest.param(
                a_record(answer=an_item(name="ключ \N{SNOWMAN}\n", price=Decimal("1.1"))), id="item"
            ),
            pytest.param(
                a_record(answer=adjust(an_item(), 2, reason="delivery", at=a_time())),
                id="stock change",
            ),
            pytest.param(
                a_record(answer=Transfer(source=an_item(), destination=an_item("item-2"))),
                id="transfer",
            ),
            pytest.param(a_record(answer=closed(a_reservation())), id="reservation"),
            pytest.param(
                a_record(answer=(RowResult.of(0, an_item(), created=True),)), id="rows of a batch"
            ),
            pytest.param(a_record(answer=an_item(description="a" * 200_000)), id="200 kB"),
        ],
    )
    def test_a_record_is_returned_as_it_was_stored(
        self, repository: InventoryRepository, record: IdempotencyRecord
    ) -> None:
        """Every field is equal; the answer has the same type."""
        repository.commit(record_change(record))

        stored = repository.get_idempotency_record(record.record_id)

        assert stored == record
        assert stored is not None
        assert type(stored.answer) is type(record.answer)
        assert repr(stored.answer) == repr(record.answer)
        assert isinstance(stored.stored_at, Timestamp)
        assert isinstance(stored.expires_at, Timestamp)

    def test_an_unused_key_has_no_record(self, repository: InventoryRepository) -> None:
        """The read returns None, with and without another record."""
        assert repository.get_idempotency_record("record-1") is None

        repository.commit(record_change(a_record("record-11")))

        assert repository.get_idempotency_record("record-1") is None

    @pytest.mark.parametrize("stored_at", [-1, 0, 86_400, 86_400.499999])
    def test_a_key_is_used_once_until_its_record_expires(
        self, repository: InventoryRepository, stored_at: float
    ) -> None:
        """Until the last microsecond, a second change with the key is rejected."""
        repository.commit(record_change(a_record(expires_at=86_400.5)))
        again = a_record(answer=_OTHER, stored_at=stored_at, expires_at=99_999)

        with pytest.raises(DuplicateRequestError):
            repository.commit(combined(creation(an_item()), idempotency_record=again))

        assert repository.get_idempotency_record("record-1") == a_record(expires_at=86_400.5)
        assert repository.get_item(an_item().key) is None

    @pytest.mark.parametrize("stored_at", [86_400.5, 86_400.500001, 200_000])
    def test_an_expired_record_is_replaced(
        self, repository: InventoryRepository, stored_at: float
    ) -> None:
        """From its expiry on it may be replaced, and the new one is in force."""
        repository.commit(record_change(a_record(expires_at=86_400.5)))
        again = a_record(
            answer=_OTHER, fingerprint="other", stored_at=stored_at, expires_at=300_000
        )

        repository.commit(combined(creation(an_item()), idempotency_record=again))

        assert repository.get_idempotency_record("record-1") == again
        assert repository.get_item(an_item().key) == an_item()
        with pytest.raises(DuplicateRequestError):
            repository.commit(record_change(evolve(again, answer=an_item("third"))))

    def test_each_key_has_its_own_record(self, repository: InventoryRepository) -> None:
        """Keys are compared exactly."""
        records = [a_record(record_id) for record_id in ("a", "A", "aa", "a ", "a#", "\N{SNOWMAN}")]

        for record in records:
            repository.commit(record_change(record))

        assert [
            repository.get_idempotency_record(record.record_id) for record in records
        ] == records

    @pytest.mark.parametrize("reason", ["stale item", "used key", "used seq", "reservation"])
    def test_a_duplicate_request_takes_precedence(
        self, repository: InventoryRepository, reason: str
    ) -> None:
        """A repeat conflicts with its own effect, and is still a duplicate."""
        bad, reservation = stale_parts(repository)[reason]
        repository.commit(record_change(a_record()))
        again = a_record(answer=_OTHER)

        with pytest.raises(DuplicateRequestError):
            repository.commit(combined(bad, reservation=reservation, idempotency_record=again))

        assert repository.get_idempotency_record("record-1") == a_record()

    @pytest.mark.parametrize("reason", ["stale item", "used key", "used seq", "reservation"])
    def test_an_expired_record_hides_no_conflict(
        self, repository: InventoryRepository, reason: str
    ) -> None:
        """If another part is stale, the commit keeps the expired record."""
        bad, reservation = stale_parts(repository)[reason]
        repository.commit(record_change(a_record(expires_at=10)))

        with pytest.raises(StaleReadError):
            repository.commit(
                combined(
                    bad,
                    reservation=reservation,
                    idempotency_record=a_record(stored_at=20, answer=_OTHER),
                )
            )

        assert repository.get_idempotency_record("record-1") == a_record(expires_at=10)
