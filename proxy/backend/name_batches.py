"""Asks for names as they come, and for several in one call when they come faster than responses.

A backend's work on such a call is with all its indices, hardly with the names asked for: a thousand
indices in use, asked for one by one, kept it from searching.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from proxy.tasks import Tasks

T = TypeVar("T")

CALLS: Final = 4
"""Calls under way before names wait for one of them."""
NAMES: Final = 32
"""Names in one call. One that is not known costs as many more calls as this can be halved."""


class NameQueue(Generic[T]):
    """`ask` is given names and says what each of them means, or why that cannot be told.

    Used from one event loop.
    """

    def __init__(
        self, ask: Callable[[tuple[str, ...]], Awaitable[Mapping[str, T | Exception]]], tasks: Tasks
    ) -> None:
        self._ask = ask
        self._tasks = tasks
        self._waiting: deque[tuple[str, asyncio.Future[T]]] = deque()
        self._calls = 0

    async def ask(self, name: str) -> T:
        """What a name means. Raises what `ask` raised, or said of this name."""
        response: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, response))
        self._send()
        return await response

    def _send(self) -> None:
        while self._waiting and self._calls < CALLS:
            batch: dict[str, list[asyncio.Future[T]]] = {}
            while self._waiting and len(batch) < NAMES:
                name, response = self._waiting.popleft()
                if not response.done():
                    batch.setdefault(name, []).append(response)
            if batch:
                self._calls += 1
                self._tasks.start("resolve names", self._call(batch))

    async def _call(self, batch: dict[str, list[asyncio.Future[T]]]) -> None:
        try:
            found = await self._ask(tuple(batch))
        except Exception as error:
            for response in _open(batch.values()):
                response.set_exception(error)
        except asyncio.CancelledError:
            # All is over: nobody sends what still waits.
            for response in _open([*batch.values(), [each for _, each in self._waiting]]):
                response.cancel()
            raise
        else:
            for name, responses in batch.items():
                meaning = found[name]
                for response in _open([responses]):
                    if isinstance(meaning, Exception):
                        response.set_exception(meaning)
                    else:
                        response.set_result(meaning)
        self._calls -= 1
        self._send()


def _open(groups: Iterable[list[asyncio.Future[T]]]) -> Iterator[asyncio.Future[T]]:
    """Those nobody has given up on meanwhile."""
    return (each for group in groups for each in group if not each.done())
