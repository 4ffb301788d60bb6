"""The way to the backend: reuse, retries, limits, dead nodes, and what each failure becomes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from structlog.typing import EventDict

from proxy.headers import Headers
from proxy.request_head import BadHeadError
from proxy.upstream import Upstream, UpstreamRequest
from proxy.upstream_errors import (
    UpstreamBroken,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from tests.proxy.wire import Message, ScriptedBackend, Wire, answer

OpenUpstream = Callable[..., Awaitable[Upstream]]


@pytest.fixture
async def open_upstream(
    backend: ScriptedBackend, logged: list[EventDict]
) -> AsyncIterator[OpenUpstream]:
    """Open an upstream to the scripted backend, or to others; closed at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(*urls: str, connections: int = 4, idle_timeout: float = 30.0) -> Upstream:
            upstream = Upstream(
                urls or (backend.url,),
                connect_timeout=2.0,
                idle_timeout=idle_timeout,
                connections=connections,
            )
            return await stack.enter_async_context(upstream)

        yield start


@pytest.fixture
def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def get(upstream: Upstream, target: str = "/", *, retry: bool = False) -> bytes:
    """The body of a GET."""
    request = UpstreamRequest(method="GET", target=target, retry=retry)
    async with await upstream.send(request) as response:
        return await response.read(10_000)


async def test_connections_are_reused(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Requests one after the other share a connection."""
    upstream = await open_upstream()
    for _ in range(3):
        assert await get(upstream) == b"{}"
    assert backend.accepted == 1


@pytest.mark.parametrize("fields", [("Connection: close",), ()], ids=["said", "unread"])
async def test_connections_are_not_reused(
    backend: ScriptedBackend, open_upstream: OpenUpstream, fields: tuple[str, ...]
) -> None:
    """A connection the backend closes, or whose answer was not read, carries no second request."""
    backend.reply = answer(b"x" * 2_000_000, "200 OK", *fields)
    upstream = await open_upstream()
    for _ in range(2):
        request = UpstreamRequest(method="GET", target="/")
        async with await upstream.send(request) as response:
            if fields:
                await response.read(2_000_000)
    assert backend.accepted == 2


async def test_request_has_no_field_but_those_given(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Nothing is added but Host and the body's length."""
    upstream = await open_upstream()
    request = UpstreamRequest(method="POST", target="/x?", headers=Headers({"a": "b"}), body=b"{}")
    async with await upstream.send(request) as response:
        await response.read(10)
    assert backend.received[0].first_line == b"POST /x? HTTP/1.1"
    assert backend.received[0].names() == [b"Host", b"a", b"Content-Length"]


async def drop_second(message: Message, wire: Wire) -> None:
    """Answer the first request of a connection; at the second, hang up."""
    await wire.send(answer())
    await wire.reader.readuntil(b"\r\n\r\n")
    wire.reset()


async def test_stale_connection_is_retried_when_allowed(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A kept-alive connection that ends before an answer costs a repeatable request nothing."""
    backend.reply = drop_second
    upstream = await open_upstream()
    assert await get(upstream) == b"{}"
    assert await get(upstream, retry=True) == b"{}"
    assert backend.accepted == 2


async def test_stale_connection_is_not_retried_otherwise(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A request that may not be sent twice is not: the caller is told."""
    backend.reply = drop_second
    upstream = await open_upstream()
    await get(upstream)
    with pytest.raises(UpstreamBroken, match=r"127\.0\.0\.1"):
        await get(upstream)
    assert backend.accepted == 1


async def test_streamed_body_is_never_sent_twice(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A body that streams cannot be had again, so its request is not repeated."""
    backend.reply = drop_second
    upstream = await open_upstream()
    await get(upstream)

    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(UpstreamBroken):
        await upstream.send(UpstreamRequest(method="POST", target="/", body=body(), retry=True))
    assert backend.accepted == 1


async def test_fresh_connection_is_not_retried(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A backend that hangs up on a new connection is broken; asking again would not help."""

    async def hang_up(message: Message, wire: Wire) -> None:
        wire.reset()

    backend.reply = hang_up
    upstream = await open_upstream()
    with pytest.raises(UpstreamBroken):
        await get(upstream, retry=True)
    assert backend.accepted == 1


async def test_connection_closed_while_idle_is_replaced(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """An idle connection the backend closed is not used again, even without leave to retry."""
    noticed = asyncio.Event()

    async def answer_and_end(message: Message, wire: Wire) -> None:
        await wire.send(answer())
        wire.writer.write_eof()
        assert await wire.reader.read() == b""
        noticed.set()

    backend.reply = answer_and_end
    upstream = await open_upstream()
    await get(upstream)
    await noticed.wait()
    assert await get(upstream) == b"{}"


async def test_timeout_without_a_byte(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A backend that takes a request and stays silent is timed out, before and in its answer."""

    async def silent(message: Message, wire: Wire) -> None:
        if message.target == "/half":
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await wire.reader.read()

    backend.reply = silent
    upstream = await open_upstream(idle_timeout=0.2)
    for target in ("/", "/half"):
        with pytest.raises(UpstreamTimeout, match="backend_timeout"):
            await get(upstream, target)


async def test_slow_answer_is_not_timed_out(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """The timeout is for silence: an answer that keeps coming may take longer than it."""

    async def drip(message: Message, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(0.25)
            await wire.send(b"x")

    backend.reply = drip
    upstream = await open_upstream(idle_timeout=1.2)
    assert await get(upstream) == b"xxxxxx"


async def test_backend_that_reads_nothing_of_an_upload(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A backend that stops reading a body is timed out too."""
    backend.head_only = {"/"}

    async def deaf(message: Message, wire: Wire) -> None:
        await wire.closed_by_peer.wait()

    backend.reply = deaf
    upstream = await open_upstream(idle_timeout=0.3)

    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with pytest.raises(UpstreamTimeout, match="read nothing"):
        await upstream.send(UpstreamRequest(method="POST", target="/", body=body()))


async def test_failure_of_a_streamed_body(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """What the source of a body raises reaches the caller, and the backend sees no request."""
    upstream = await open_upstream()

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await upstream.send(UpstreamRequest(method="POST", target="/", body=body()))
    assert backend.received == []
    assert await get(upstream) == b"{}"


async def test_streamed_body_with_a_length(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A streamed body is framed by the Content-Length it came with, and its connection reused."""
    upstream = await open_upstream()

    async def body() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    request = UpstreamRequest(
        method="POST", target="/", headers=Headers({"content-length": "3"}), body=body()
    )
    async with await upstream.send(request) as response:
        await response.read(10)
    assert backend.received[0].fields[1:] == [(b"content-length", b"3")]
    assert backend.received[0].body == b"abc"
    await get(upstream)
    assert backend.accepted == 1


async def test_garbage_is_no_answer(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """What is not HTTP is a broken backend, and names it."""
    backend.reply = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"
    upstream = await open_upstream()
    with pytest.raises(UpstreamBroken, match="not HTTP"):
        await get(upstream)


async def test_interim_answers_are_skipped(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """1xx answers are not the answer."""
    backend.reply = b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + answer(b"real")
    assert await get(await open_upstream()) == b"real"


async def test_read_limit_obeyed(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """A body of exactly the limit is read."""
    backend.reply = answer(b"x" * 10_000)
    assert len(await get(await open_upstream())) == 10_000


@pytest.mark.parametrize("chunked", [False, True])
async def test_read_limit_violated(
    backend: ScriptedBackend, open_upstream: OpenUpstream, chunked: bool
) -> None:
    """A body one byte above the limit is refused, whether its length was announced or not."""
    body = b"x" * 10_001
    backend.reply = answer(body)
    if chunked:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        backend.reply = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with pytest.raises(UpstreamTooLarge, match="10000 bytes"):
        await get(await open_upstream())


async def test_connection_limit(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """With every connection in use a request waits for one, and goes first come first served."""
    let_go = asyncio.Event()

    async def wait(message: Message, wire: Wire) -> None:
        await let_go.wait()
        await wire.send(answer())

    backend.reply = wait
    upstream = await open_upstream(connections=2)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(get(upstream)) for _ in range(6)]
        await backend.arrival(2)
        let_go.set()
    assert [call.result() for call in calls] == [b"{}"] * 6
    assert backend.accepted == 2


async def test_connection_limit_reached_for_too_long(
    backend: ScriptedBackend, unblocked: None
) -> None:
    """A request that gets no connection in the connect timeout is turned away; later ones pass."""
    let_go = asyncio.Event()

    async def wait(message: Message, wire: Wire) -> None:
        await let_go.wait()
        await wire.send(answer())

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
        await wire.send(answer())

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
        # The queue of a listener that never accepts is soon full; the next connect gets no answer.
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
    """A node that cannot be reached costs no request: the next one answers, and it is left out."""
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


async def test_request_that_would_split_is_refused(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A target or field with a line break is refused before anything is sent."""
    upstream = await open_upstream()
    with pytest.raises(BadHeadError):
        await get(upstream, "/ HTTP/1.1\r\nX: y\r\n\r\nGET /secret")
    assert await get(upstream) == b"{}"
    assert backend.targets == ["/"]
