"""Who begins next on the threads UDFs run on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from pipelines.wasm.pool.scheduler import SHORT_SECONDS, Lane, NotBegunError, Scheduler


class Work:
    """A run that says when it began and ends when it is let."""

    def __init__(
        self, scheduler: Scheduler, lane: Lane = "short", within: float | None = None
    ) -> None:
        self._begun = threading.Event()
        self._free = threading.Event()
        self.result = asyncio.ensure_future(scheduler.run(self._work, lane, within=within))

    def _work(self) -> None:
        self._begun.set()
        assert self._free.wait(30)

    @property
    def has_begun(self) -> bool:
        return self._begun.is_set()

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 30)

    def let_end(self) -> None:
        self._free.set()

    async def end(self) -> None:
        self.let_end()
        await self.result


Make = Callable[[int], Scheduler]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Scheduler] = []

    def new(threads: int) -> Scheduler:
        made.append(Scheduler(threads))
        return made[-1]

    yield new
    for scheduler in made:
        await scheduler.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short run stays one however slow this machine is."""
    monkeypatch.setattr("pipelines.wasm.pool.scheduler.SHORT_SECONDS", 3600.0)


async def turns() -> None:
    """All that is due on the event loop is done, and a thread had time to begin what it may."""
    for _ in range(3):
        await asyncio.sleep(0.005)


@pytest.mark.usefixtures("patient")
async def test_the_next_short_run_waits_for_the_last(make: Make) -> None:
    """One after the other, in order of arrival."""
    scheduler = make(4)
    first, second, third = (Work(scheduler) for _ in range(3))
    await first.begun()
    await turns()
    assert not second.has_begun
    await first.end()
    await second.begun()
    await turns()
    assert not third.has_begun
    await second.end()
    await third.end()


async def test_a_long_run_holds_up_nobody(make: Make) -> None:
    """After a while others run beside it, up to the number of threads."""
    scheduler = make(2)
    long, second, third = (Work(scheduler) for _ in range(3))
    await long.begun()
    await second.begun()
    await asyncio.sleep(2 * SHORT_SECONDS)
    assert not third.has_begun
    await long.end()
    await third.begun()
    await second.end()
    await third.end()


@pytest.mark.usefixtures("patient")
async def test_a_run_that_is_long_from_the_start_is_never_young(make: Make) -> None:
    """It waits for a thread only, and short ones begin beside it."""
    scheduler = make(3)
    long = [Work(scheduler, "long") for _ in range(2)]
    for each in long:
        await each.begun()
    young, more = Work(scheduler), Work(scheduler, "long")
    await young.begun()
    await turns()
    assert not more.has_begun
    await young.end()
    await more.begun()
    for each in (*long, more):
        await each.end()


@pytest.mark.usefixtures("patient")
async def test_runaways_have_one_place_among_them(make: Make) -> None:
    """However many threads there are; others pass them at once, and the place comes back."""
    scheduler = make(3)
    first, waiting, other = Work(scheduler, "runaway"), Work(scheduler, "runaway"), Work(scheduler)
    await first.begun()
    await other.begun()
    await turns()
    assert not waiting.has_begun
    await first.end()
    await waiting.begun()
    await waiting.end()
    await other.end()


async def test_new_ones_leave_a_thread_to_the_others(make: Make) -> None:
    """However long they take; where there is one thread only, they have it."""
    scheduler = make(2)
    new, more = Work(scheduler, "new"), Work(scheduler, "new")
    await new.begun()
    await asyncio.sleep(2 * SHORT_SECONDS)
    assert not more.has_begun
    short = Work(scheduler)
    await short.begun()
    assert not more.has_begun
    for work in (short, new, more):
        await work.end()
    alone = Work(make(1), "new")
    await alone.begun()
    await alone.end()


async def test_runaways_wait_for_new_ones(make: Make) -> None:
    """What gives way would keep the interpreter's lock while these have all processors."""
    scheduler = make(4)
    new, runaway = Work(scheduler, "new"), Work(scheduler, "runaway")
    await new.begun()
    await asyncio.sleep(2 * SHORT_SECONDS)
    assert not runaway.has_begun
    await new.end()
    await runaway.begun()
    later = Work(scheduler, "new")
    await later.begun()
    await runaway.end()
    await later.end()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_caller_that_gave_up_keeps_no_place(make: Make, cancelled: bool) -> None:
    """Its run is not begun any more, and the next one is."""
    scheduler = make(2)
    first = Work(scheduler)
    await first.begun()
    late = Work(scheduler, within=None if cancelled else 0.01)
    next_ = Work(scheduler)
    if cancelled:
        await turns()
        late.result.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else NotBegunError):
        await late.result
    await first.end()
    await next_.begun()
    await next_.end()
    assert not late.has_begun


@pytest.mark.usefixtures("patient")
async def test_what_has_begun_is_not_late(make: Make) -> None:
    """The time is that of waiting; one that is cancelled then keeps its place to its end."""
    scheduler = make(1)
    work, cancelled = Work(scheduler, within=0.01), Work(scheduler, "long")
    await work.begun()
    await asyncio.sleep(0.03)
    await work.end()
    await cancelled.begun()
    cancelled.result.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled.result
    next_ = Work(scheduler)
    await turns()
    assert not next_.has_begun
    cancelled.let_end()
    await next_.begun()
    await next_.end()


async def test_an_error_is_the_callers(make: Make) -> None:
    """And the thread goes on with the next."""
    scheduler = make(1)

    def fail() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await scheduler.run(fail)
    assert await scheduler.run(lambda: 3) == 3


async def test_closing(make: Make) -> None:
    """What has begun is waited for, what waits is told, and nothing begins."""
    scheduler = make(1)
    work, waiting = Work(scheduler), Work(scheduler)
    await work.begun()
    closing: Awaitable[None] = asyncio.ensure_future(scheduler.close())
    with pytest.raises(NotBegunError):
        await waiting.result
    with pytest.raises(NotBegunError):
        await scheduler.run(lambda: 1)
    work.let_end()
    await closing
    await work.result
    assert not waiting.has_begun


async def test_runs_do_not_wait_for_the_event_loop(make: Make) -> None:
    """One after the other they are done while the loop itself does something else."""
    scheduler = make(2)
    done = threading.Semaphore(0)
    runs = [asyncio.ensure_future(scheduler.run(done.release)) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in runs:
        # holds the loop's thread, but not the interpreter
        assert done.acquire(timeout=30)
    await asyncio.gather(*runs)


async def test_a_run_that_gives_way(make: Make) -> None:
    """It is on a thread of its own, and others begin beside it."""
    scheduler = make(2)
    names = [
        await scheduler.run(lambda: threading.current_thread().name, "runaway", last=last)
        for last in (True, False)
    ]
    assert [name.split("_")[0] for name in names] == ["querymill-runaway", "querymill-udf"]


async def test_the_longest_look(make: Make) -> None:
    """Short runs that wait behind several that grow long begin as soon as there is a thread."""
    scheduler = make(4)
    began = time.monotonic()
    works = [Work(scheduler) for _ in range(4)]
    for work in works:
        await work.begun()
    assert time.monotonic() - began >= 3 * SHORT_SECONDS
    for work in works:
        await work.end()
