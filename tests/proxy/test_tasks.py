"""Background tasks: kept, named, logged, cancelled."""

from __future__ import annotations

import asyncio

from structlog.typing import EventDict

from proxy.tasks import Tasks


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
