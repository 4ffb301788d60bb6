"""Waiting for what no event tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; the test's own time limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - there is no event of it
        await asyncio.sleep(0.005)
