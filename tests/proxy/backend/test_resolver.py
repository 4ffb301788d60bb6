"""What names mean is asked once for all who want to know, and ahead of time where it is used."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from proxy.backend.client import Backend, BackendRefusedError
from proxy.backend.name_batches import CALLS, NAMES
from proxy.backend.resolver import Concrete, Resolver
from proxy.upstream.errors import UpstreamError
from tests.proxy.conftest import OpenUpstream
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response

ALIASES = [{"name": "name", "indices": ["real"]}]
FOUND = http_response(orjson.dumps({"indices": [], "aliases": ALIASES, "data_streams": []}))
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
    """Those who come while it is asked wait for the same response; later ones have it."""
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
    """A response from before a change is not kept, nor given to who asks after it."""
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


def named(message: Message) -> list[str]:
    return message.target.rpartition("/")[2].split(",")


def found(*names: str) -> bytes:
    """What a backend says of names: `a...` is an alias, `d...` a data stream, others indices."""
    meanings: dict[str, list[dict[str, object]]] = {
        "indices": [],
        "aliases": [],
        "data_streams": [],
    }
    for name in names:
        if name[0] == "a":
            meanings["aliases"].append({"name": name, "indices": [f"{name}-1", f"{name}-2"]})
        else:
            meanings["data_streams" if name[0] == "d" else "indices"].append({"name": name})
    return http_response(orjson.dumps(meanings))


def meaning(name: str) -> tuple[Concrete, ...]:
    if name[0] != "a":
        return (Concrete(name),)
    return Concrete(f"{name}-1", (name,)), Concrete(f"{name}-2", (name,))


class Known:
    """Handles calls that only have known names; `refusal` is the status of others."""

    def __init__(self, refusal: int = 404) -> None:
        self.refusal = refusal
        self.calls: list[list[str]] = []

    async def __call__(self, message: Message, wire: Wire) -> None:
        names = named(message)
        self.calls.append(names)
        refused = any(name.startswith("missing") for name in names)
        await wire.send(http_response(b"{}", f"{self.refusal} No") if refused else found(*names))


async def test_many_names_at_once(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """Some calls go out as names come, then several names share one; each gets its own meaning."""
    backend.reply = known = Known()
    resolver = await resolver_of(open_upstream)
    names = [f"{kind}{number}" for number in range(40) for kind in ("index", "alias", "data")]
    responses = await asyncio.gather(*(resolver.resolve((name,)) for name in names))
    assert list(responses) == [meaning(name) for name in names]
    assert [len(call) for call in known.calls[:CALLS]] == [1] * CALLS
    assert sorted(name for call in known.calls for name in call) == sorted(names)
    assert len(known.calls) <= CALLS + -(-len(names) // NAMES)


@pytest.mark.parametrize("refusal", [400, 401, 403, 404])
async def test_one_of_many_names(
    backend: ScriptedBackend, open_upstream: OpenUpstream, refusal: int
) -> None:
    """What the backend does not know, or does not show, is no harm to the others."""
    backend.reply = Known(refusal)
    resolver = await resolver_of(open_upstream)
    names = [f"alias{number}" for number in range(20)] + ["missing"]
    asked = [resolver.resolve((name,), strict=True) for name in names]
    *responses, of_missing = await asyncio.gather(*asked, return_exceptions=True)
    assert responses == [meaning(name) for name in names[:-1]]
    if refusal in (400, 404):
        assert of_missing == (Concrete("missing"),)
    else:
        assert isinstance(of_missing, BackendRefusedError)


async def test_a_backend_that_fails(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """Fails all names of a call, which are not asked again one by one."""
    backend.reply = known = Known(503)
    resolver = await resolver_of(open_upstream)
    names = [f"missing{number}" for number in range(20)]
    asked = [resolver.resolve((name,), strict=True) for name in names]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, BackendRefusedError) for result in results)
    assert sum(len(call) > 1 for call in known.calls) == 1


async def test_more_than_was_asked_for(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A response to several names that has others cannot be told apart: each is asked alone."""

    async def more(message: Message, wire: Wire) -> None:
        names = named(message)
        await wire.send(found(*names, *["other"] * (len(names) > 1)))

    backend.reply = more
    resolver = await resolver_of(open_upstream)
    names = [f"index{number}" for number in range(12)]
    responses = await asyncio.gather(*(resolver.resolve((name,)) for name in names))
    assert list(responses) == [meaning(name) for name in names]


async def test_closed_while_names_wait(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Nobody is left waiting, and nothing more is asked."""
    backend.reply = held = Held()
    resolver = await resolver_of(open_upstream)
    asked = [asyncio.ensure_future(resolver.resolve((f"index{n}",))) for n in range(20)]
    await held.asked.wait()
    await resolver.close()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert len(backend.received) <= CALLS
    held.go.set()
