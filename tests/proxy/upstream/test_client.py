"""The way to the backend: reuse, retries, timeouts, and what each failure becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.http.headers import Headers
from proxy.upstream.client import UpstreamRequest
from proxy.upstream.errors import (
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamTooLarge,
)
from proxy.upstream.request_head import BadHeadError
from tests.proxy.conftest import OpenUpstream, get
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response


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
    """A connection that is closed, or whose response was not read, carries no second request."""
    backend.reply = http_response(b"x" * 2_000_000, "200 OK", *fields)
    upstream = await open_upstream()
    for _ in range(2):
        request = UpstreamRequest(method="GET", target="/")
        with await upstream.send(request) as response:
            if fields:
                await response.read(2_000_000)
    assert backend.accepted == 2


async def test_request_has_no_field_but_those_given(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Nothing is added but Host and the body's length."""
    upstream = await open_upstream()
    request = UpstreamRequest(method="POST", target="/x?", headers=Headers({"a": "b"}), body=b"{}")
    with await upstream.send(request) as response:
        await response.read(10)
    assert backend.received[0].first_line == b"POST /x? HTTP/1.1"
    assert backend.received[0].names() == [b"Host", b"a", b"Content-Length"]


async def drop_second(message: Message, wire: Wire) -> None:
    """Answer the first request of a connection; at the second, hang up."""
    await wire.send(http_response())
    await wire.reader.readuntil(b"\r\n\r\n")
    wire.reset()


async def test_stale_connection_is_retried_when_allowed(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A kept-alive connection that ends before a response costs a repeatable request nothing."""
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

    async def respond_and_end(message: Message, wire: Wire) -> None:
        await wire.send(http_response())
        wire.writer.write_eof()
        assert await wire.reader.read() == b""
        noticed.set()

    backend.reply = respond_and_end
    upstream = await open_upstream()
    await get(upstream)
    await noticed.wait()
    assert await get(upstream) == b"{}"


async def test_timeout_without_a_byte(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A backend that takes a request and stays silent is timed out, before and in its response."""

    async def silent(message: Message, wire: Wire) -> None:
        if message.target == "/half":
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await wire.reader.read()

    backend.reply = silent
    upstream = await open_upstream(idle_timeout=0.2)
    for target in ("/", "/half"):
        with pytest.raises(UpstreamTimeout, match="backend_timeout"):
            await get(upstream, target)


async def test_slow_response_is_not_timed_out(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """The timeout is for silence: a response that keeps coming may take longer than it."""

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
    with await upstream.send(request) as response:
        await response.read(10)
    assert backend.received[0].fields[1:] == [(b"content-length", b"3")]
    assert backend.received[0].body == b"abc"
    await get(upstream)
    assert backend.accepted == 1


async def test_garbage_is_no_response(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """What is not HTTP is a broken backend, and names it."""
    backend.reply = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"
    upstream = await open_upstream()
    with pytest.raises(UpstreamBroken, match="not HTTP"):
        await get(upstream)


async def test_interim_responses_are_skipped(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """1xx responses are not the response."""
    backend.reply = b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + http_response(b"real")
    assert await get(await open_upstream()) == b"real"


async def test_read_limit_obeyed(backend: ScriptedBackend, open_upstream: OpenUpstream) -> None:
    """A body of exactly the limit is read."""
    backend.reply = http_response(b"x" * 10_000)
    assert len(await get(await open_upstream())) == 10_000


@pytest.mark.parametrize("chunked", [False, True])
async def test_read_limit_violated(
    backend: ScriptedBackend, open_upstream: OpenUpstream, chunked: bool
) -> None:
    """A body one byte above the limit is refused, whether its length was announced or not."""
    body = b"x" * 10_001
    backend.reply = http_response(body)
    if chunked:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        backend.reply = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with pytest.raises(UpstreamTooLarge, match="10000 bytes"):
        await get(await open_upstream())


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_largest_response(
    backend: ScriptedBackend, open_upstream: OpenUpstream, chunked: bool
) -> None:
    """Under and at the setting it is read whole; one byte above it is refused, by its name."""
    upstream = await open_upstream(max_response=5000)
    for size in (4999, 5000, 5001):
        body = b"x" * size
        backend.reply = http_response(body)
        if chunked:
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            backend.reply = head + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        with await upstream.send(UpstreamRequest(method="GET", target="/")) as response:
            if size <= 5000:
                assert await response.read() == body
                continue
            with pytest.raises(UpstreamTooLarge, match=r"5000 bytes \(max_response_bytes\)"):
                await response.read()
            assert response.largest == 5000


async def test_request_that_would_split_is_refused(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A target or field with a line break is refused before anything is sent."""
    upstream = await open_upstream()
    with pytest.raises(BadHeadError):
        await get(upstream, "/ HTTP/1.1\r\nX: y\r\n\r\nGET /secret")
    assert await get(upstream) == b"{}"
    assert backend.targets == ["/"]
