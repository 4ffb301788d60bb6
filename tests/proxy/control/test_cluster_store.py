"""The backend's errors, as the store in it tells them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from proxy.backend.client import Backend
from proxy.control.cluster_store import ClusterStore
from proxy.store.errors import (
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreTimeout,
    StoreUnavailable,
)
from proxy.store.records import Entry, Key
from proxy.store.store import Point
from tests.proxy.conftest import OpenUpstream
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response

FORBIDDEN = b'{"error":{"type":"security_exception","reason":"no"},"status":403}'
HELD = Entry(id="pipeline:p", stamp=(3, 1), kind="pipeline", name="p", revision=1)

Call = Callable[[ClusterStore], Awaitable[object]]


async def read_bodies(store: ClusterStore) -> None:
    async for _ in store.bodies([HELD]):
        pass


CALLS: dict[str, Call] = {
    "changes": lambda store: store.changes({}, Point()),
    "bodies": read_bodies,
    "access": lambda store: store.check_access({}),
    "write": lambda store: store.write(Key("pipeline", "p", 2), b"{}", {}, over=HELD),
    "delete": lambda store: store.delete(HELD, {}),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


async def failure(call: Call, store: ClusterStore, kind: type[StoreError]) -> StoreError:
    with pytest.raises(kind) as caught:
        await call(store)
    assert caught.type is kind
    return caught.value


@each_call
async def test_a_refusal_brings_the_backends_words(
    call: Call, backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Whatever is asked; where the proxy asks for itself it is told which setting is meant."""
    backend.reply = http_response(FORBIDDEN, "403 Forbidden")
    store = ClusterStore(Backend(await open_upstream()))
    refused = await failure(call, store, StoreRefused)
    assert isinstance(refused, StoreRefused)
    assert refused.response is not None
    assert (refused.response.status, refused.response.body()) == (403, FORBIDDEN)
    assert ("[backend_authorization]" in str(refused)) == (call is CALLS["changes"])


@each_call
async def test_a_backend_that_is_gone(
    call: Call, open_upstream: OpenUpstream, closed_port: int
) -> None:
    """Nobody can tell what is stored."""
    store = ClusterStore(Backend(await open_upstream(f"http://127.0.0.1:{closed_port}")))
    await failure(call, store, StoreUnavailable)


@each_call
async def test_a_backend_that_says_nothing(
    call: Call, backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """It took too long; a write may have been done."""

    async def silent(message: Message, wire: Wire) -> None:
        await wire.closed_by_peer.wait()

    backend.reply = silent
    store = ClusterStore(Backend(await open_upstream(idle_timeout=0.2)))
    await failure(call, store, StoreTimeout)


@pytest.mark.parametrize("name", ["write", "delete"])
async def test_another_write_that_came_first(
    name: str, backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """What is written over is named to the backend, which refuses if something else is there."""
    backend.reply = http_response(b"{}", "409 Conflict")
    target = "/.querymill/_doc/pipeline%3Ap?refresh=true&if_seq_no=3&if_primary_term=1"
    backend.replies["/.querymill"] = http_response()
    store = ClusterStore(Backend(await open_upstream()))
    conflict = await failure(CALLS[name], store, StoreConflict)
    assert str(conflict) == "pipeline [p] was changed by someone else meanwhile; try again"
    assert backend.targets[-1] == target
