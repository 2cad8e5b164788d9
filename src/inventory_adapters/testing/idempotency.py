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
    creation,
    serving,
    stale_parts,
    together,
)

__all__ = ["IdempotencyContract"]


_OTHER = an_item("second")


class IdempotencyContract:
    """The note that a key was served stands until it expires, and keeps every other effect under that key out."""

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
    def test_a_record_comes_back_exactly_as_it_was_stored(
        self, repository: InventoryRepository, record: IdempotencyRecord
    ) -> None:
        """Every field survives; the answer is an equal value of the same type."""
        repository.commit(serving(record))

        found = repository.get_idempotency_record(record.record_id)

        assert found == record
        assert found is not None
        assert type(found.answer) is type(record.answer)
        assert repr(found.answer) == repr(record.answer)
        assert isinstance(found.stored_at, Timestamp)
        assert isinstance(found.expires_at, Timestamp)

    def test_a_key_that_was_not_served_is_not_found(self, repository: InventoryRepository) -> None:
        """Nothing comes back, in an empty repository and beside another record."""
        assert repository.get_idempotency_record("record-1") is None

        repository.commit(serving(a_record("record-11")))

        assert repository.get_idempotency_record("record-1") is None

    @pytest.mark.parametrize("stored_at", [-1, 0, 86_400, 86_400.499999])
    def test_a_key_is_served_once_while_its_record_counts(
        self, repository: InventoryRepository, stored_at: float
    ) -> None:
        """Up to the last microsecond a second change under the key is refused, whole, and the first answer stays."""
        repository.commit(serving(a_record(expires_at=86_400.5)))
        again = a_record(answer=_OTHER, stored_at=stored_at, expires_at=99_999)

        with pytest.raises(DuplicateRequestError):
            repository.commit(together(creation(an_item()), idempotency_record=again))

        assert repository.get_idempotency_record("record-1") == a_record(expires_at=86_400.5)
        assert repository.get_item(an_item().key) is None

    @pytest.mark.parametrize("stored_at", [86_400.5, 86_400.500001, 200_000])
    def test_a_record_that_has_expired_is_written_over(
        self, repository: InventoryRepository, stored_at: float
    ) -> None:
        """From the very instant on, deleted or not; the new record counts as the first did."""
        repository.commit(serving(a_record(expires_at=86_400.5)))
        again = a_record(
            answer=_OTHER, fingerprint="other", stored_at=stored_at, expires_at=300_000
        )

        repository.commit(together(creation(an_item()), idempotency_record=again))

        assert repository.get_idempotency_record("record-1") == again
        assert repository.get_item(an_item().key) == an_item()
        with pytest.raises(DuplicateRequestError):
            repository.commit(serving(evolve(again, answer=an_item("third"))))

    def test_each_key_has_a_record_of_its_own(self, repository: InventoryRepository) -> None:
        """Keys that differ at all are different keys, also with one answer."""
        records = [a_record(record_id) for record_id in ("a", "A", "aa", "a ", "a#", "\N{SNOWMAN}")]

        for record in records:
            repository.commit(serving(record))

        assert [
            repository.get_idempotency_record(record.record_id) for record in records
        ] == records

    @pytest.mark.parametrize("why", ["stale item", "taken key", "taken place", "reservation"])
    def test_that_a_key_was_served_is_told_before_anything_else(
        self, repository: InventoryRepository, why: str
    ) -> None:
        """Whatever else is stale: a repeat finds its own effect in the way, and must hear of its answer instead."""
        bad, reservation = stale_parts(repository)[why]
        repository.commit(serving(a_record()))
        again = a_record(answer=_OTHER)

        with pytest.raises(DuplicateRequestError):
            repository.commit(together(bad, reservation=reservation, idempotency_record=again))

        assert repository.get_idempotency_record("record-1") == a_record()

    @pytest.mark.parametrize("why", ["stale item", "taken key", "taken place", "reservation"])
    def test_an_expired_record_hides_no_other_refusal(
        self, repository: InventoryRepository, why: str
    ) -> None:
        """Where the key is free and something else is stale, that is told, and the old record stays."""
        bad, reservation = stale_parts(repository)[why]
        repository.commit(serving(a_record(expires_at=10)))

        with pytest.raises(StaleReadError):
            repository.commit(
                together(
                    bad,
                    reservation=reservation,
                    idempotency_record=a_record(stored_at=20, answer=_OTHER),
                )
            )

        assert repository.get_idempotency_record("record-1") == a_record(expires_at=10)
