"""Repeats of one action, each timed; bounded in count and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

# Runs that are not counted, before those that are.
_WARM_UP: Final = 5


def timed(action: Callable[[], object], runs: int, seconds: float) -> list[int]:
    """Nanoseconds of each run, at least of one."""
    for _ in range(min(_WARM_UP, runs)):
        action()
    times: list[int] = []
    end = time.monotonic() + seconds
    while not times or (len(times) < runs and time.monotonic() < end):
        began = time.perf_counter_ns()
        action()
        times.append(time.perf_counter_ns() - began)
    return times


async def timed_async(
    action: Callable[[], Awaitable[object]], runs: int, seconds: float, *, pause: float = 0
) -> list[int]:
    """The same for what is awaited, one at a time, with a pause (seconds) ahead of each."""
    for _ in range(min(_WARM_UP, runs)):
        await action()
    times: list[int] = []
    end = time.monotonic() + seconds
    while not times or (len(times) < runs and time.monotonic() < end):
        if pause:
            await asyncio.sleep(pause)
        began = time.perf_counter_ns()
        await action()
        times.append(time.perf_counter_ns() - began)
    return times
