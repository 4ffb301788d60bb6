"""One search: its query pipelines, the backend, its result pipelines.

Every kind of search is run here, whatever it is asked by: `_search`, an item of `_msearch`, an
asynchronous search, the next page of a scroll. They differ in how the backend is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from pipelines.payload import Payload
from proxy.tasks import for_each
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen


@dataclass(slots=True)
class Found:
    """What the backend returned for a search.

    `request` is the search that it returned this for. `payload` is the response where it is one
    that result pipelines can read, and what they made of it behind them.
    """

    request: Payload
    payload: Payload | None = None

    def release(self) -> None:
        """Nobody will look at it any more."""


F = TypeVar("F", bound=Found)


@dataclass(frozen=True, slots=True)
class SearchRun:
    """The search `request` with its pipelines. It can be run any number of times."""

    query: Chosen
    result: Chosen
    request: Payload

    def before(self, runs: Runs) -> Awaitable[Payload]:
        """The request as its query pipelines leave it. Raises `ErrorResponse`."""
        return runs.run(self.query, "query", self.request)

    def after(self, runs: Runs, payload: Payload, request: Payload) -> Awaitable[Payload]:
        """The response to `request` as the result pipelines leave it. Raises `ErrorResponse`."""
        return runs.run(self.result, "result", payload, request=request.text)

    async def run(self, runs: Runs, ask: Callable[[Payload], Awaitable[F]]) -> F:
        """Run the pipelines around `ask`, which puts a search to the backend.

        `runs` is told what became of them, and is for this one run. Raises `ErrorResponse` where a
        pipeline ended the search, and what `ask` raises.
        """
        try:
            request = await self.before(runs) if self.query else self.request
            found = await ask(request)
            if self.result and found.payload is not None:
                try:
                    found.payload = await self.after(runs, found.payload, found.request)
                except BaseException:
                    found.release()
                    raise
            return found
        finally:
            # What the backend was not asked, nobody will ever know.
            runs.accepted()


class Together(Protocol):
    """One of several searches that are put to the backend in one request."""

    runs: Runs


T = TypeVar("T", bound=Together)
A = TypeVar("A")


async def run_together(
    searches: Sequence[T],
    before: Callable[[T], Awaitable[None]],
    ask: Callable[[], Awaitable[A]],
    after: Callable[[A, T], Awaitable[None]],
    *,
    at_once: int,
) -> A:
    """The same for searches that are asked together: `before` and `after` run the pipelines of one.

    Both keep what ends a search with it, so that one that fails does so alone. `at_once` are under
    way at a time; more would wait for the same sandboxes.
    """
    try:
        await for_each(searches, before, at_once=at_once, name="search")
        asked = await ask()
        await for_each(searches, partial(after, asked), at_once=at_once, name="search")
        return asked
    finally:
        for search in searches:
            search.runs.accepted()
