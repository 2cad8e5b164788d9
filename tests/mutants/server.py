"""Planted bugs of the local server: gateway, group commit, sweeper, imports."""

from contextlib import nullcontext

import attrs

from inventory.timeouts import deadline
from inventory_adapters.far_reservations import FarReservationsWatch
from inventory_adapters.server import gateway, http_protocol, sweeper
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.server.group_commit import GroupCommit
from inventory_adapters.server.http_protocol import ArrivalLimits
from inventory_adapters.storage.sqlite import SqliteRepository
from tests.mutants.planting import noticed_by, replace, wrap

GROUPS = "tests/server/test_group_commit.py"
ORIGINS = "tests/server/test_origins.py"
SWEEPER = "tests/server/test_sweeper.py"


@noticed_by("tests/server/test_gateway.py::test_site_on_all_interfaces_allows_any_address")
def every_host_is_this_server(patch):
    patch.setattr(Site, "is_called", lambda *_: True)


@noticed_by(ORIGINS)
def pages_of_other_sites_may_write(patch):
    patch.setattr(LocalGateway, "_check_origin", lambda *_: None)


@noticed_by("tests/server/test_gateway.py::test_health_without_storage_is_503")
def a_server_without_storage_is_healthy(patch):
    healthy = attrs.evolve(gateway.HEALTH, use_case=lambda *_: None)
    patch.setattr(gateway, "HEALTH", healthy)


@noticed_by(GROUPS)
def a_response_does_not_wait_for_the_commit(patch):
    def results(_original, group_commit, jobs):
        with group_commit._repository.exclusive():
            for job in jobs:
                value = job.work()
                job.result.get_loop().call_soon_threadsafe(
                    lambda job=job, value=value: job.result.done() or job.result.set_result(value)
                )
        return [None for _ in jobs]

    wrap(patch, GroupCommit, "_results", results)


@noticed_by(GROUPS)
def each_request_of_a_group_has_a_transaction(patch):
    def results(original, group_commit, jobs):
        return [original(group_commit, [job])[0] for job in jobs]

    wrap(patch, GroupCommit, "_results", results)


@noticed_by(GROUPS)
def a_late_request_is_applied(patch):
    def run(original, group_commit, work, _ends_at=0):
        return original(group_commit, work)

    wrap(patch, GroupCommit, "run", run)
    replace(patch, deadline, lambda _seconds: nullcontext())


@noticed_by("tests/storage/test_sqlite.py::TestExclusive")
def a_failed_group_is_kept(patch):
    from contextlib import contextmanager

    @contextmanager
    def exclusive(repository):
        failed = None
        with original(repository):
            try:
                yield
            except Exception as error:  # noqa: BLE001
                failed = error
        if failed:
            raise failed

    original = SqliteRepository.exclusive
    patch.setattr(SqliteRepository, "exclusive", exclusive)


@noticed_by(SWEEPER)
def a_sweep_purges_nothing(patch):
    def sweep(inventory, command=None):
        result = inventory.expire_reservations(command or sweeper.ExpireReservations())
        return sweeper.SweepSummary(expired=result.expired, failed=result.failed, purged=0)

    replace(patch, sweeper.sweep, sweep)


@noticed_by(SWEEPER)
def the_daily_warning_comes_with_each_sweep(patch):
    def look(original, watch, inventory):
        watch._checked_on = None
        return original(watch, inventory)

    wrap(patch, FarReservationsWatch, "look", look)


@noticed_by("tests/test_deadlines.py")
def a_background_sweep_has_no_deadline(patch):
    patch.setattr(sweeper, "deadline", lambda _seconds: nullcontext())


@noticed_by("tests/server/test_http_protocol.py::TestTime::test_default_limit_is_30_seconds")
def a_request_may_arrive_for_ever(patch):
    def limits(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        object.__setattr__(self, "seconds", 10_000.0)

    wrap(patch, ArrivalLimits, "__init__", limits)


@noticed_by(
    "tests/server/test_http_protocol.py::TestNumber::test_limit_on_connections_is_below_the_limit_on_files"
)
def the_server_takes_any_number_of_connections(patch):
    replace(patch, http_protocol.max_connections, lambda: 1 << 30)
