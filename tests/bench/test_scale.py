"""The simulation of DynamoDB's limits, and the page with its results."""

import random
import re
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import scale, scenarios
from bench.scale import costs, tables
from bench.scenarios import Sweeper, hot_item, sales, stock_write
from bench.simulation import WRITE_UNITS, Clock, DynamoDB, Meter, call, execute
from deploy import environments
from deploy.limits import FunctionLimits
from inventory import retry
from inventory.errors import ContentionError, StaleReadError, StorageThrottledError
from inventory_adapters.aws.transport import ServiceError
from inventory_adapters.storage.dynamodb import calls

PAGE = Path(scale.DOCS).read_text(encoding="utf-8")


def outcomes(clock, processes):
    """Start the processes at once, run them, and return what each ended with."""
    ended = {}

    def watched(name, process):
        try:
            yield from process
        except (ContentionError, StaleReadError, StorageThrottledError) as error:
            ended[name] = type(error)
        else:
            ended[name] = "done"

    for name, process in enumerate(processes):
        clock.start(watched(name, process), clock.now)
    clock.run()
    return [ended[name] for name in sorted(ended)]


class TestSimulation:
    def test_processes_run_in_the_order_of_time(self):
        """Those of the same time run in the order in which they began to wait."""
        clock, seen = Clock(), []

        def process(name, seconds):
            for pause in seconds:
                yield pause
                seen.append((name, clock.now))

        clock.start(process("a", [2, 1]))
        clock.start(process("b", [1, 1]))
        clock.run(until=2.5)

        assert seen == [("b", 1), ("a", 2), ("b", 2)]

    @given(
        st.lists(
            st.tuples(st.integers(0, 10).map(lambda tenths: tenths / 8), st.integers(1, 12)),
            max_size=60,
        )
    )
    def test_a_partition_never_exceeds_its_limit(self, requests):
        """It serves no more in any second, wherever that begins, and nothing that fits is refused."""
        meter, limit, now, served = Meter(10), 10, 0.0, []

        for pause, units in requests:
            now += pause
            recent = sum(number for at, number in served if at > now - 1)
            assert meter.has_room(units, now) == (recent + units <= limit)
            if meter.has_room(units, now):
                meter.serve(units, now)
                served.append((now, units))

        for end, _ in served:
            assert sum(number for at, number in served if end - 1 < at <= end) <= limit

    def test_gathered_processes_run_at_the_same_time(self):
        """Whoever gathers them goes on when the last has ended."""
        clock, ended = Clock(), []

        def process(seconds):
            yield seconds

        def gathering():
            yield from clock.gather([process(3), process(1)])
            ended.append(clock.now)

        clock.start(gathering(), 1)
        clock.run()

        assert ended == [4]

    def test_a_throttled_index_holds_up_its_table(self):
        """The refused write consumes nothing, so a write without the index is served."""
        clock = Clock()
        dynamodb = DynamoDB(clock)
        to_index = [dynamodb.write({f"item {i}": 1, "index": 1}) for i in range(WRITE_UNITS + 1)]

        ended = outcomes(clock, [*to_index, dynamodb.write({"item 0": WRITE_UNITS - 1})])

        assert ended == ["done"] * WRITE_UNITS + [StorageThrottledError, "done"]

    @pytest.mark.parametrize("writers", [2, 10])
    def test_a_conflict_has_exactly_one_winner(self, writers):
        """The others are told that the row has changed, and write nothing."""
        clock = Clock()
        dynamodb = DynamoDB(clock)

        ended = outcomes(clock, [dynamodb.transact({}, {"row": 0}) for _ in range(writers)])

        assert sorted(map(str, ended)) == sorted(["done", *[str(StaleReadError)] * (writers - 1)])
        assert dynamodb.versions["row"] == 1

    def test_transactions_of_other_rows_do_not_conflict(self):
        """Each wins."""
        clock = Clock()
        dynamodb = DynamoDB(clock)

        ended = outcomes(clock, [dynamodb.transact({}, {f"row {i}": 0}) for i in range(3)])

        assert ended == ["done"] * 3

    def test_a_transaction_on_an_old_version_is_refused(self):
        """Whoever read before it must read again."""
        clock = Clock()
        dynamodb = DynamoDB(clock)
        outcomes(clock, [dynamodb.transact({}, {"row": 0})])

        assert outcomes(clock, [dynamodb.transact({}, {"row": 0})]) == [StaleReadError]
        assert outcomes(clock, [dynamodb.transact({}, {"row": 1})]) == ["done"]

    def test_a_refused_transaction_consumes_its_units(self):
        """As on DynamoDB, where refusals can throttle a hot item."""
        clock = Clock()
        dynamodb = DynamoDB(clock)

        ended = outcomes(
            clock,
            [
                dynamodb.transact({"item": WRITE_UNITS / 2}, {"item": 7}),
                dynamodb.transact({"item": WRITE_UNITS / 2}, {"item": 0}),
                dynamodb.write({"item": 1}),
            ],
        )

        assert ended == [StaleReadError, "done", StorageThrottledError]


class TestRetryPolicy:
    """The policy is that of the package: it is imported, not typed twice."""

    def pauses(self, process, error):
        """Return the seconds that *process* waits until it gives up."""
        seen = []
        random.seed(7)
        with pytest.raises(error):
            seen.extend(process)
        return seen

    def refused(self, error):
        raise error
        yield

    @pytest.mark.parametrize("attempts", [retry._MAX_ATTEMPTS, 5])
    def test_a_conflict_is_retried_as_by_the_executor(self, monkeypatch, attempts):
        """As often, and after the same pauses."""
        monkeypatch.setattr(retry, "_MAX_ATTEMPTS", attempts)
        real = []
        executor = retry.Executor(
            repository=object(),
            now=None,
            pause=real.append,
            expire_due=lambda: False,
            committed=None,
        )

        def decide():
            raise StaleReadError

        simulated = self.pauses(
            execute(Clock(), lambda: self.refused(StaleReadError), inf), ContentionError
        )
        random.seed(7)
        with pytest.raises(ContentionError):
            executor.execute(None, decide)

        assert len(real) == attempts - 1
        assert simulated == real

    @pytest.mark.parametrize("attempts", [calls._MAX_ATTEMPTS, 3])
    def test_a_throttled_call_is_retried_as_by_the_repository(self, monkeypatch, attempts):
        """As often, and after the same pauses."""
        monkeypatch.setattr(calls, "_MAX_ATTEMPTS", attempts)
        real = []

        class Throttled:
            def send(self, *_arguments, **_more):
                raise ServiceError("ThrottlingException")

        simulated = self.pauses(
            call(Clock(), lambda: self.refused(StorageThrottledError), inf), StorageThrottledError
        )
        random.seed(7)
        with pytest.raises(StorageThrottledError):
            calls.Calls(Throttled(), pause=real.append)("GetItem")

        assert len(real) == attempts - 1
        assert simulated == real

    @pytest.mark.parametrize(
        ("retried", "refusal", "given_up"),
        [
            (execute, StaleReadError, ContentionError),
            (call, StorageThrottledError, StorageThrottledError),
        ],
    )
    def test_no_retry_begins_after_the_time_of_the_request(self, retried, refusal, given_up):
        """Pauses that do not fit into it are not made."""
        clock = Clock()

        ended = outcomes(clock, [retried(clock, lambda: self.refused(refusal), 0.5)])

        assert ended == [given_up]
        assert 0 < clock.now < 0.5


class TestScenarios:
    def test_the_same_seed_has_the_same_outcome(self):
        """Another seed has another one."""

        def simulated(seed):
            random.seed(seed)
            return hot_item(8, during=3)

        assert simulated(1) == simulated(1)
        assert simulated(1) != simulated(2)

    def test_units_are_those_of_the_costs(self):
        """A test of the repository counts the units of an adjustment and of a reservation."""
        adjust, reserve = costs()["adjust"], costs()["reserve 1 line"]
        indexes = sum(stock_write("item").values()) - adjust.writes

        assert sum(stock_write("item", projection="keys").values()) == adjust.writes
        assert indexes == adjust.of_indexes
        # The due index.
        assert indexes + 1 == reserve.of_indexes

    def test_a_lonely_buyer_is_as_fast_as_the_calls(self):
        """Nothing refuses, and nothing waits."""
        outcome = hot_item(1, during=3)

        assert outcome.refused == 0
        assert (outcome.p50, outcome.p99) == pytest.approx((0.022, 0.022))

    def test_an_index_serves_as_many_sales_as_it_has_units(self):
        """A sale writes two entries; what other partitions take does not matter."""
        assert sales(shards=1, projection="keys").per_second == pytest.approx(500, rel=0.1)

    def test_every_due_reservation_expires(self):
        """The sweeper starts again each minute until nothing is due."""
        slow = Sweeper(group=1, threads=1, limits=FunctionLimits(timeout_seconds=5))

        made = scenarios._Sweep(slow, due=300, items=3)

        assert not made.held
        assert made.ended_at > 60


class TestPage:
    def test_tables_are_those_that_the_command_prints(self):
        """`python -m bench.scale --docs` writes them again."""
        for name, text in tables():
            assert f"<!-- begin: {name} -->\n{text}<!-- end: {name} -->" in PAGE, name

    def test_50_000_due_reservations_are_swept_within_two_minutes(self):
        """That is the commitment; the minutes are simulated, and include the pointers that are deleted."""
        [seconds] = re.findall(r"in groups, 8 threads, .*? \| (\d+) s \|", PAGE)

        assert 0 < int(seconds) <= 120

    def test_each_setting_of_a_ceiling_exists(self):
        """In the third column, between backquotes."""
        rows = re.search(r"begin: ceilings -->\n.*\n.*\n((?:.*\n)*?)<!-- end", PAGE)[1].splitlines()
        named = {name for row in rows for name in re.findall("`(.*?)`", row.split("|")[3])}

        assert named
        assert named <= set(environments._OVERRIDES)
