"""Group commit: requests that write at the same time share one transaction, and one wait for the disk."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import repeat
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from attrs import frozen

from inventory.ports import ExclusiveRepository
from inventory.timeouts import deadline

__all__ = ["GroupCommit"]

R = TypeVar("R")

# A group of this size takes milliseconds, so that other processes can write in between.
_LARGEST_GROUP: Final = 64


@frozen(eq=False)
class _Job(Generic[R]):
    """A function to call, the future of its result, and its deadline."""

    work: Callable[[], R]
    result: asyncio.Future[R]
    ends_at: float


@frozen(eq=False)
class _Group:
    """The jobs that were submitted in one iteration of an event loop."""

    loop: asyncio.AbstractEventLoop
    jobs: list[_Job[Any]]


class GroupCommit:
    """
    A thread that runs requests one after the other, while its `with` block lasts.

    While one group waits for the disk, the next one is collected. No result is returned before it is committed.

    Args:
        repository: The repository that the requests write to. It must be open until the block ends.
    """

    def __init__(self, repository: ExclusiveRepository) -> None:
        self._repository = repository
        self._collected: list[_Job[Any]] = []
        self._groups: SimpleQueue[_Group | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="writer")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._groups.put(None)
        self._thread.join()

    async def run(self, work: Callable[[], R], ends_at: float = inf) -> R:
        """
        Return the result of *work* once its writes are committed.

        Args:
            work: Called in the thread, with exclusive access to the repository. It must not raise, because an error rolls back
                the writes of the whole group.
            ends_at: The deadline of *work*, as `time.monotonic`. The group waits for its transaction no longer than its
                earliest deadline. After its deadline, *work* is called outside a transaction and must not write.

        Raises:
            StorageError: The transaction of the group was rolled back.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        if not self._collected:
            # Called after the current callbacks of the loop, so that the requests of all of them form one group.
            loop.call_soon(self._submit, loop)
        self._collected.append(_Job(work, result, ends_at))
        return await result

    def _submit(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs, self._collected = self._collected, []
        self._groups.put(_Group(loop, jobs))

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            with suppress(Empty):
                while len(group.jobs) < _LARGEST_GROUP:
                    more = self._groups.get_nowait()
                    if more is None:
                        self._groups.put(None)  # Stop after this group.
                        break
                    group.jobs.extend(more.jobs)
            self._run_group(group)

    def _run_group(self, group: _Group) -> None:
        # Requests that were cancelled before they started, because the server stops, already have a response.
        jobs = [job for job in group.jobs if not job.result.cancelled()]
        now = monotonic()
        in_time = [job for job in jobs if job.ends_at > now]
        settle = [partial(_set_result, job, job.work()) for job in jobs if job.ends_at <= now]
        try:
            results = self._results(in_time)
        except Exception as error:  # noqa: BLE001 - every future gets a result or an error
            settle += [partial(_set_error, job, error) for job in in_time]
        else:
            settle += map(partial, repeat(_set_result), in_time, results)
        with suppress(RuntimeError):  # The loop is closed, so nothing awaits the results.
            group.loop.call_soon_threadsafe(_call_all, settle)

    def _results(self, jobs: Sequence[_Job[Any]]) -> list[Any]:
        """Run *jobs* in one transaction and return their results once it is committed."""
        if not jobs:
            return []
        with ExitStack() as transaction:
            with deadline(min(job.ends_at for job in jobs) - monotonic()):
                transaction.enter_context(self._repository.exclusive())
            return [job.work() for job in jobs]


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _set_result(job: _Job[Any], result: Any) -> None:
    if not job.result.done():
        job.result.set_result(result)


def _set_error(job: _Job[Any], error: Exception) -> None:
    if not job.result.done():
        job.result.set_exception(error)
