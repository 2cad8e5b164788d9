"""Requests that write, together: those that wait at the same time share one transaction, and one wait for the disk."""

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

# A group takes milliseconds, so that other processes have their turns as well.
_LARGEST_GROUP: Final = 64


@frozen(eq=False)
class _Job(Generic[R]):
    """Some work, who waits for what it returns, and until when."""

    work: Callable[[], R]
    result: asyncio.Future[R]
    ends_at: float


@frozen(eq=False)
class _Group:
    """Jobs that came in one turn of an event loop."""

    loop: asyncio.AbstractEventLoop
    jobs: list[_Job[Any]]


class GroupCommit:
    """
    A thread that carries out requests one after the other, for as long as its `with` block lasts.

    While one group waits for the disk, the next one gathers. Nobody hears of a result before it is kept.

    Args:
        repository: Where the requests write; it must outlast the block.
    """

    def __init__(self, repository: ExclusiveRepository) -> None:
        self._repository = repository
        self._gathering: list[_Job[Any]] = []
        self._waiting: SimpleQueue[_Group | None] = SimpleQueue()
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
        self._waiting.put(None)
        self._thread.join()

    async def run(self, work: Callable[[], R], ends_at: float = inf) -> R:
        """
        Return what *work* returns, once all that it wrote is kept.

        Args:
            work: Called in the thread, while that has the repository alone. An error that it raises would undo the work of
                others as well: it has to answer for itself.
            ends_at: The deadline of the work, in the time of `time.monotonic`. The group does not wait longer for its
                transaction; after it, *work* is called outside one, and must change nothing.

        Raises:
            StorageError: Nothing of it was kept; neither was what others wrote beside it.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        if not self._gathering:
            # Later in this turn of the loop, with all that have come by then: the thread, once awake, takes turns with us.
            loop.call_soon(self._hand_over, loop)
        self._gathering.append(_Job(work, result, ends_at))
        return await result

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs, self._gathering = self._gathering, []
        self._waiting.put(_Group(loop, jobs))

    def _run(self) -> None:
        while (group := self._waiting.get()) is not None:
            with suppress(Empty):
                while len(group.jobs) < _LARGEST_GROUP:
                    more = self._waiting.get_nowait()
                    if more is None:
                        self._waiting.put(None)  # The end comes after this group.
                        break
                    group.jobs.extend(more.jobs)
            self._carry_out(group)

    def _carry_out(self, group: _Group) -> None:
        # What was called off before it has begun, as when the server stops, was answered so.
        jobs = [job for job in group.jobs if not job.result.cancelled()]
        now = monotonic()
        in_time = [job for job in jobs if job.ends_at > now]
        settle = [partial(_tell, job, job.work()) for job in jobs if job.ends_at <= now]
        try:
            results = self._results(in_time)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for an answer
            settle += [partial(_refuse, job, error) for job in in_time]
        else:
            settle += map(partial, repeat(_tell), in_time, results)
        with suppress(RuntimeError):  # The loop has ended, and nobody waits any more.
            group.loop.call_soon_threadsafe(_call_all, settle)

    def _results(self, jobs: Sequence[_Job[Any]]) -> list[Any]:
        """Return what the work of *jobs* returns, once all that it wrote is kept."""
        if not jobs:
            return []
        with ExitStack() as transaction:
            with deadline(min(job.ends_at for job in jobs) - monotonic()):
                transaction.enter_context(self._repository.exclusive())
            return [job.work() for job in jobs]


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _tell(job: _Job[Any], result: Any) -> None:
    if not job.result.done():
        job.result.set_result(result)


def _refuse(job: _Job[Any], error: Exception) -> None:
    if not job.result.done():
        job.result.set_exception(error)
