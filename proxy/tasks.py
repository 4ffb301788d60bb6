"""Tasks that are neither lost nor silent: in the background, and several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import TypeVar

import structlog

_T = TypeVar("_T")

_log = structlog.get_logger("proxy.tasks")


class Tasks:
    """Owns the background tasks of one component, from `start` to `close`.

    A task that crashes is logged with its name; nobody has to await it. Used from one event loop.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, name: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run `work` in the background and return its task, which may be cancelled or awaited."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background task failed", task=task.get_name(), exc_info=error)


async def for_each(
    things: Collection[_T], work: Callable[[_T], Awaitable[None]], *, at_once: int, name: str
) -> None:
    """Have each thing worked on, `at_once` of them at a time, begun in their order."""
    waiting = iter(things)

    async def work_off() -> None:
        for thing in waiting:
            await work(thing)

    count = min(at_once, len(things))
    if count < 2:
        # No task is needed.
        await work_off()
        return
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(work_off(), name=f"{name} {number}")
