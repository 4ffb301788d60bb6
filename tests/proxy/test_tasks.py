"""Tasks: kept, named, logged, cancelled, and several side by side."""

from __future__ import annotations

import asyncio

import pytest
from structlog.typing import EventDict

from proxy.tasks import Tasks, for_each


async def test_task_is_kept_while_it_runs() -> None:
    """A task is held until it ends, and carries its name."""
    tasks = Tasks()
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()

    task = tasks.start("worker", work())
    assert (len(tasks), task.get_name()) == (1, "worker")
    go.set()
    await task
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_crash_is_logged(logged: list[EventDict]) -> None:
    """A task that crashes is in the log under its name."""
    tasks = Tasks()

    async def work() -> None:
        raise ValueError("broken")

    await asyncio.gather(tasks.start("worker", work()), return_exceptions=True)
    await asyncio.sleep(0)
    (line,) = logged
    assert (line["event"], line["task"]) == ("background task failed", "worker")
    assert isinstance(line["exc_info"], ValueError)


async def test_close_cancels_and_waits(logged: list[EventDict]) -> None:
    """Closing ends every task, lets it clean up, and is no crash."""
    tasks = Tasks()
    cleaned: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(number)

    for number in range(3):
        tasks.start("worker", work(number))
    await asyncio.sleep(0)
    await tasks.close()
    assert (sorted(cleaned), len(tasks), logged) == ([0, 1, 2], 0, [])


@pytest.mark.parametrize(("count", "most"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (10, 3)])
async def test_so_many_are_worked_on_at_once(count: int, most: int) -> None:
    """Under, at and over the limit; each is done once, and they are begun in their order."""
    begun: list[int] = []
    done: list[int] = []
    seen: list[int] = []

    async def work(thing: int) -> None:
        begun.append(thing)
        seen.append(len(begun) - len(done))
        await asyncio.sleep(0)
        done.append(thing)

    await for_each(range(count), work, at_once=3, name="work")
    assert begun == sorted(done) == list(range(count))
    assert max(seen, default=0) == most


async def test_the_failure_of_one_ends_the_others() -> None:
    """Nothing goes on behind the back of who waits for all of them."""
    held: list[asyncio.CancelledError] = []

    async def work(thing: int) -> None:
        if thing == 1:
            raise ValueError("one")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            held.append(error)
            raise

    with pytest.raises(ExceptionGroup):
        await for_each(range(3), work, at_once=2, name="work")
    assert len(held) == 1
