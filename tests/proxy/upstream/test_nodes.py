"""Several connections, several nodes: limits, waiting, dead nodes and their return."""

from __future__ import annotations

import asyncio
import socket

import pytest
from structlog.typing import EventDict

from proxy.upstream.client import Upstream
from proxy.upstream.errors import (
    UpstreamBusy,
    UpstreamUnreachable,
)
from tests.proxy.conftest import OpenUpstream, get
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response


async def test_connection_limit(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """With every connection in use a request waits for one, and goes first come first served."""
    let_go = asyncio.Event()

    async def wait(message: Message, wire: Wire) -> None:
        await let_go.wait()
        await wire.send(http_response())

    backend.reply = wait
    upstream = await open_upstream(connections=2)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(get(upstream)) for _ in range(6)]
        await backend.arrival(2)
        let_go.set()
    assert [call.result() for call in calls] == [b"{}"] * 6
    assert backend.accepted == 2


async def test_nobody_overtakes(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """Who asks again at once does not get the connection that another one waits for."""
    upstream = await open_upstream(connections=1)

    async def eager() -> None:
        for number in range(3):
            await get(upstream, target=f"/eager-{number}")

    async with asyncio.TaskGroup() as group:
        group.create_task(eager())
        group.create_task(get(upstream, target="/waiting"))
    targets = [message.first_line.split()[1] for message in backend.received]
    assert targets == [b"/eager-0", b"/waiting", b"/eager-1", b"/eager-2"]
    assert backend.accepted == 1


async def test_a_retry_that_waits_gets_a_fresh_connection(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """One that has carried a request is no proof against being closed as well."""

    async def drop_second(message: Message, wire: Wire) -> None:
        await wire.send(http_response())
        await wire.reader.readuntil(b"\r\n\r\n")
        wire.reset()

    backend.reply = drop_second
    upstream = await open_upstream(connections=1)
    assert await get(upstream) == b"{}"
    async with asyncio.TaskGroup() as group:
        # on the stale connection; the other one is next and has the second
        calls = [group.create_task(get(upstream, retry=retry)) for retry in (True, False)]
    assert [call.result() for call in calls] == [b"{}"] * 2
    assert backend.accepted == 3


async def test_connection_limit_reached_for_too_long(
    backend: ScriptedBackend, unblocked: None
) -> None:
    """A request that gets no connection in the connect timeout is turned away; later ones pass."""
    let_go = asyncio.Event()

    async def wait(message: Message, wire: Wire) -> None:
        await let_go.wait()
        await wire.send(http_response())

    backend.reply = wait
    async with (
        Upstream([backend.url], connect_timeout=0.2, idle_timeout=30, connections=1) as upstream,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(get(upstream))
        await backend.arrival()
        with pytest.raises(UpstreamBusy, match="all 1 connections"):
            await get(upstream)
        let_go.set()
        assert await first == b"{}"
        assert await get(upstream) == b"{}"


async def test_cancelled_waiter_loses_no_connection(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Requests cancelled while they wait, or as they are served, leave the pool whole."""
    let_go = asyncio.Event()

    async def wait(message: Message, wire: Wire) -> None:
        await let_go.wait()
        await wire.send(http_response())

    backend.reply = wait
    upstream = await open_upstream(connections=1)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(get(upstream)) for _ in range(4)]
        await backend.arrival()
        calls[1].cancel()
        calls[0].cancel()
        let_go.set()
    assert [call.cancelled() for call in calls] == [True, True, False, False]
    assert await get(upstream) == b"{}"


async def test_unreachable(open_upstream: OpenUpstream, closed_port: int) -> None:
    """Nothing listening is unreachable, and the message names the node."""
    upstream = await open_upstream(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(UpstreamUnreachable, match=str(closed_port)):
        await get(upstream)


async def test_name_that_does_not_resolve(open_upstream: OpenUpstream) -> None:
    """A host name without an address is unreachable."""
    upstream = await open_upstream("http://no-such-host.invalid:9200")
    with pytest.raises(UpstreamUnreachable, match=r"no-such-host\.invalid"):
        await get(upstream)


async def test_connect_timeout(unblocked: None, logged: list[EventDict]) -> None:
    """A node that does not accept a connection in time is unreachable."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # The queue of a listener that never accepts is soon full; the next connect hangs.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        upstream = Upstream(
            [f"http://127.0.0.1:{port}"], connect_timeout=0.2, idle_timeout=1, connections=1
        )
        async with upstream:
            with pytest.raises(UpstreamUnreachable, match=r"within 0\.2 s"):
                await get(upstream)
        for filler in fillers:
            filler.close()


async def test_round_robin(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """Several nodes take turns."""
    async with ScriptedBackend() as second:
        upstream = await open_upstream(backend.url, second.url)
        for _ in range(4):
            await get(upstream)
        assert (len(backend.received), len(second.received)) == (2, 2)


async def test_dead_node_is_left_out(
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    closed_port: int,
    logged: list[EventDict],
) -> None:
    """A node that cannot be reached costs no request: the next one responds, and it is left out."""
    upstream = await open_upstream(f"http://127.0.0.1:{closed_port}", backend.url)
    for _ in range(4):
        assert await get(upstream) == b"{}"
    assert [line["event"] for line in logged] == ["backend node marked dead"]


async def test_all_nodes_dead(open_upstream: OpenUpstream, closed_port: int) -> None:
    """With no node reachable each is tried once, and the next request tries again."""
    upstream = await open_upstream(
        f"http://127.0.0.1:{closed_port}", f"http://localhost:{closed_port}"
    )
    for _ in range(2):
        with pytest.raises(UpstreamUnreachable):
            await get(upstream)


async def test_node_that_comes_back(
    open_upstream: OpenUpstream, closed_port: int, logged: list[EventDict]
) -> None:
    """A lone node is tried again at once, and counts as live when it answers."""
    upstream = await open_upstream(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(UpstreamUnreachable):
        await get(upstream)
    back = ScriptedBackend()
    await back.start(closed_port)
    assert await get(upstream) == b"{}"
    assert logged[-1]["event"] == "backend node is back"
    await back.stop()
