"""What names mean is asked once for all who want to know, and ahead of time where it is used."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from proxy.backend import Backend
from proxy.resolver import Concrete, Resolver
from proxy.upstream_errors import UpstreamError
from tests.proxy.conftest import OpenUpstream
from tests.proxy.wire import Message, ScriptedBackend, Wire, answer

ALIASES = [{"name": "name", "indices": ["real"]}]
FOUND = answer(orjson.dumps({"indices": [], "aliases": ALIASES, "data_streams": []}))
REAL = (Concrete("real", ("name",)),)


class Held:
    """A backend that answers when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, message: Message, wire: Wire) -> None:
        self.asked.set()
        await self.go.wait()
        await wire.send(FOUND)


async def resolver_of(open_upstream: OpenUpstream, ttl: float = 60.0) -> Resolver:
    return Resolver(Backend(await open_upstream()), ttl=ttl)


async def test_one_question_for_all(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """Those who come while it is asked wait for the same answer; later ones have it."""
    backend.reply = held = Held()
    resolver = await resolver_of(open_upstream)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(resolver.resolve(("name",))) for _ in range(5)]
        await held.asked.wait()
        held.go.set()
    assert [task.result() for task in tasks] == [REAL] * 5
    assert await resolver.resolve(("name",)) == REAL
    assert len(backend.received) == 1


async def test_one_failure_for_all(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """A backend that cannot tell is not asked by each of them in turn; the next one asks anew."""

    async def hang_up(message: Message, wire: Wire) -> None:
        wire.reset()

    backend.reply = hang_up
    resolver = await resolver_of(open_upstream)
    ask = [resolver.resolve(("name",), strict=True) for _ in range(5)]
    results = await asyncio.gather(*ask, return_exceptions=True)
    assert all(isinstance(result, UpstreamError) for result in results)
    assert await resolver.resolve(("name",)) == (Concrete("name"),)
    backend.reply = FOUND
    assert await resolver.resolve(("name",), strict=True) == REAL


async def test_who_asked_has_gone(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """One of those who waited asks in its place."""
    backend.reply = held = Held()
    resolver = await resolver_of(open_upstream)
    first = asyncio.ensure_future(resolver.resolve(("name",)))
    await held.asked.wait()
    second = asyncio.ensure_future(resolver.resolve(("name",)))
    await asyncio.sleep(0)
    first.cancel()
    held.go.set()
    assert await second == REAL
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_forgotten_while_asked(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """An answer from before a change is not kept, nor given to who asks after it."""
    backend.reply = held = Held()
    resolver = await resolver_of(open_upstream)
    before = asyncio.ensure_future(resolver.resolve(("name",)))
    await held.asked.wait()
    resolver.forget()
    backend.reply = FOUND
    assert await resolver.resolve(("name",)) == REAL
    assert len(backend.received) == 2
    held.go.set()
    assert await before == REAL


async def test_ahead_of_time(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """A name in use is asked for again before its time is over, and nobody waits for that."""
    backend.reply = FOUND
    resolver = await resolver_of(open_upstream, ttl=0.5)
    assert await resolver.resolve(("name",)) == REAL
    backend.reply = held = Held()
    while not held.asked.is_set():
        assert await resolver.resolve(("name",)) == REAL
        await asyncio.sleep(0.01)
    held.go.set()
    await resolver.close()
