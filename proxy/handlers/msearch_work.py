"""The searches of an msearch on their way: their pipelines, their runs, and what came of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipelines.payload import Payload
from proxy.protocol.msearch_body import MsearchItem
from proxy.protocol.resume_id import Memory
from proxy.server.errors import response_for
from proxy.traffic.failed_shards import failed_shards_of
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Selection

# Items that are under way at once; more would only wait for the same sandboxes.
CONCURRENCY = 8
RESPONSE_MAX = 200 * 1024 * 1024
_NOTHING = Payload("{}", {})


@dataclass(slots=True)
class Work:
    """An item with its pipelines and runs.

    `request` is the search it brings, `sent` the one that query pipelines made of it. `alone` is
    the response to an item that had to be sent by itself, `refused` one that refuses it as the
    client wrote it.
    """

    item: MsearchItem
    selection: Selection
    runs: Runs
    request: Payload = _NOTHING
    sent: Payload = _NOTHING
    touched: bool = False
    failure: dict[str, Any] | None = None
    alone: str | None = None
    memory: Memory | None = None
    rendered: bool = False
    refused: bytes = b""


def needs_work(works: list[Work]) -> bool:
    """Whether a response is another than the backend gave."""
    return any(
        work.failure is not None
        or work.alone is not None
        or work.memory is not None
        or work.selection.result
        or work.runs.metadata
        for work in works
    )


_REFUSED: Final = b'"status":400'
_SOME_FAILED: Final = re.compile(rb'"failed":(?!0[,}])')


def judged_items(raw: bytes, works: list[Work]) -> list[Work]:
    """The items with a response of 400; others are told of shards that failed on what changed."""
    if _REFUSED not in raw and _SOME_FAILED.search(raw) is None:
        return []
    responses = orjson.loads(raw)["responses"]
    sent = [work for work in works if work.item.local is None]
    refused: list[Work] = []
    for work, response in zip(sent, responses, strict=True):
        if response.get("status") == 400:
            refused.append(work)
        elif work.runs.changed and (failed := failed_shards_of(response)) is not None:
            work.runs.failed_in_part(failed)
    return refused


def is_refused(response: Any) -> bool:
    """Whether the only search of an msearch was refused."""
    responses = response.get("responses") if isinstance(response, dict) else None
    return bool(responses and responses[0].get("status") == 400)


async def each(works: list[Work], run: Callable[[Work], Awaitable[None]]) -> None:
    waiting = iter(works)

    async def work_off() -> None:
        for work in waiting:
            await run(work)

    async with asyncio.TaskGroup() as group:
        for number in range(min(CONCURRENCY, len(works))):
            group.create_task(work_off(), name=f"msearch worker {number}")


def together(works: list[Work]) -> Runs:
    first, *others = (work.runs for work in works)
    for runs in others:
        first.take(runs)
    return first


def failure_of(error: Exception, request_id: str) -> dict[str, Any]:
    """An item's response to an error, as the backend gives it."""
    shown: dict[str, Any] = orjson.loads(response_for(error, request_id).body())
    return shown
