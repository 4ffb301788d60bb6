"""What both Python programs share: steps whose outcomes are told as JSON on standard output."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

COUNT = 300

# What differs from one run to the next, on the same backend too.
_VOLATILE = frozenset({"took", "_scroll_id", "pit_id", "creation_time", "max_score", "_score"})

# A story makes its client and tells it; a teller runs and records steps.
Story = Callable[["Reporter", str, str], Coroutine[Any, Any, None]]


class Reporter:
    """Runs steps of either kind of client, one after the other, and keeps what came out."""

    def __init__(self, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.reported: list[list[Any]] = []

    async def ask(self, response: Any) -> Any:
        """What a call of the client comes to; an asynchronous client answers later."""
        return await response if inspect.isawaitable(response) else response

    async def every(self, hits: Any) -> list[Any]:
        """All of what a helper yields."""
        if hasattr(hits, "__aiter__"):
            return [hit async for hit in hits]
        return list(hits)

    def report(self, step: str, outcome: Any) -> None:
        """Record an outcome without what changes from run to run."""
        self.reported.append([step, steady(getattr(outcome, "body", outcome))])

    async def step(self, step: str, call: Callable[[], Any]) -> Any:
        """Make a call, record and return its response, or record its error's status and kind."""
        try:
            response = await self.ask(call())
        except Exception as error:
            self.reported.append([step, *failure(error)])
            return None
        self.report(step, response)
        return response


def steady(value: Any) -> Any:
    """A JSON value without what changes from run to run."""
    if isinstance(value, dict):
        return {key: steady(part) for key, part in value.items() if key not in _VOLATILE}
    return [steady(part) for part in value] if isinstance(value, list) else value


def failure(error: Exception) -> list[Any]:
    """An error of a client: its class, its status, and the type the backend gave."""
    status = getattr(error, "status_code", None)
    meta = getattr(error, "meta", None)
    body = getattr(error, "body", None) or getattr(error, "info", None)
    cause = body.get("error") if isinstance(body, dict) else None
    kind = cause.get("type") if isinstance(cause, dict) else None
    return [type(error).__name__, getattr(meta, "status", status), kind]


def documents(index: str) -> Iterator[dict[str, Any]]:
    """Documents for a bulk helper; the last one cannot be stored."""
    for number in range(COUNT):
        title = f"red shoe {number % 7}"
        yield {"_index": index, "_id": str(number), "_source": {"n": number, "title": title}}
    yield {"_index": index, "_id": "bad", "_source": {"n": "no number"}}


def main(story: Story) -> None:
    """``program INDEX URL...``: what either kind of a client tells of each server, in order."""
    index, *urls = sys.argv[1:]
    stories = []
    for url in urls:
        for asynchronous in (False, True):
            reporter = Reporter(asynchronous=asynchronous)
            asyncio.run(story(reporter, url, index))
            stories.append(reporter.reported)
    json.dump(stories, sys.stdout)
