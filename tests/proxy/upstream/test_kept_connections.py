"""Connections to the backend that are kept: which are never used again, and which are doubted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.http.headers import Headers
from proxy.upstream.client import Upstream, UpstreamRequest
from proxy.upstream.errors import UpstreamTimeout
from proxy.upstream.response import says_unread
from tests.proxy.conftest import OpenUpstream, get
from tests.proxy.wire import Message, Script, ScriptedBackend, Wire, http_response

UNREAD = [
    "408 Request Timeout",
    "411 Length Required",
    "413 Request Entity Too Large",
    "414 URI Too Long",
    "417 Expectation Failed",
    "431 Request Header Fields Too Large",
    "501 Not Implemented",
    "505 HTTP Version Not Supported",
]
READ = ["400 Bad Request", "404 Not Found", "409 Conflict", "429 Too Many Requests", "500 Error"]


@pytest.mark.parametrize("status", UNREAD)
async def test_responses_to_what_was_not_read(
    backend: ScriptedBackend, open_upstream: OpenUpstream, status: str
) -> None:
    """The connection is closed, whatever the response says of it."""
    backend.replies["/bad"] = http_response(b"{}", status, "Connection: keep-alive")
    upstream = await open_upstream()
    await get(upstream, "/bad")
    await get(upstream)
    assert backend.accepted == 2


@pytest.mark.parametrize("status", READ)
async def test_errors_of_the_request_s_meaning(
    backend: ScriptedBackend, open_upstream: OpenUpstream, status: str
) -> None:
    """A request that was read and refused leaves its connection to the next."""
    backend.replies["/bad"] = http_response(b"{}", status)
    upstream = await open_upstream()
    await get(upstream, "/bad")
    await get(upstream)
    assert backend.accepted == 1


def test_a_400_to_a_large_head() -> None:
    """Above 2 KB a 400 may be of the head; other errors never are, nor is any success."""
    assert [says_unread(400, size) for size in (100, 2048, 2049)] == [False, False, True]
    assert not any(says_unread(status, 16_000) for status in (200, 404, 429, 500))


async def test_a_400_to_a_large_head_ends_the_connection(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """As where the backend's limits are lower than the settings say."""
    backend.reply = http_response(b"{}", "400 Bad Request")
    upstream = await open_upstream()
    for size in (1000, 4000, 4000):
        request = UpstreamRequest(method="GET", target="/", headers=Headers({"Cookie": "x" * size}))
        with await upstream.send(request) as response:
            await response.read(100)
    assert backend.accepted == 2


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 1000
        await asyncio.sleep(0)


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "413 Too Large"])
async def test_a_response_before_the_end_of_a_streamed_body(
    backend: ScriptedBackend, open_upstream: OpenUpstream, status: str
) -> None:
    """Its connection is not used again, whatever the response says."""
    backend.head_only = {"/"}

    async def early(message: Message, wire: Wire) -> None:
        if message.get("transfer-encoding"):
            await wire.send(http_response(b"{}", status))
            await wire.closed_by_peer.wait()
        else:
            await wire.send(http_response())

    backend.reply = early
    upstream = await open_upstream()
    with await upstream.send(
        UpstreamRequest(method="POST", target="/", body=endless())
    ) as response:
        assert await response.read(10) == b"{}"
    await get(upstream)
    assert backend.accepted == 2


async def test_a_response_before_the_end_of_a_whole_body(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """The same where the body was given in one piece, and part of it has not left yet."""
    backend.head_only = {"/"}

    async def early(message: Message, wire: Wire) -> None:
        await wire.send(http_response())
        if message.get("content-length"):
            await wire.closed_by_peer.wait()

    backend.reply = early
    upstream = await open_upstream()
    body = b"x" * 30_000_000
    with await upstream.send(UpstreamRequest(method="POST", target="/", body=body)) as response:
        await response.read(10)
    await get(upstream)
    assert backend.accepted == 2


def forgetful() -> Script:
    """Handles the first request of each connection, and is silent on it from then on."""
    known: list[Wire] = []

    async def reply(message: Message, wire: Wire) -> None:
        if wire in known:
            await wire.reader.read()
            return
        known.append(wire)
        await wire.send(http_response())

    return reply


async def send(upstream: Upstream, method: str, *, retry: bool) -> bytes:
    body = b"{}" if method == "POST" else None
    request = UpstreamRequest(method=method, target="/", body=body, retry=retry)
    with await upstream.send(request) as response:
        return await response.read(100)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_read_is_begun_anew_after_silence(
    backend: ScriptedBackend, open_upstream: OpenUpstream, method: str
) -> None:
    """On a fresh connection, long before the whole timeout; the other kept ones are not tried."""
    backend.reply = forgetful()
    upstream = await open_upstream(idle_timeout=60, kept_timeout=0.2)
    await asyncio.gather(*[get(upstream) for _ in range(3)])
    assert backend.accepted == 3
    assert await send(upstream, method, retry=True) == b"{}"
    assert backend.accepted == 4
    assert len(backend.received) == 5
    # The fresh one was quick, so that the next silence is doubted as well.
    assert await send(upstream, method, retry=True) == b"{}"
    assert backend.accepted == 5


async def test_a_write_is_never_begun_anew(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """What may not be sent twice waits for the whole timeout; then the kept ones are dropped."""
    backend.reply = forgetful()
    upstream = await open_upstream(idle_timeout=1.0, kept_timeout=0.1)
    await asyncio.gather(*[get(upstream) for _ in range(3)])
    with pytest.raises(UpstreamTimeout):
        await send(upstream, "POST", retry=False)
    assert (backend.accepted, len(backend.received)) == (3, 4)
    assert await send(upstream, "POST", retry=False) == b"{}"
    assert backend.accepted == 4


async def slow(message: Message, wire: Wire) -> None:
    """A search that takes longer than a kept connection is trusted."""
    if message.target == "/slow":
        await asyncio.sleep(0.6)
    await wire.send(http_response())


async def test_slow_searches_are_not_begun_anew_for_ever(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Where the fresh connection is as silent, the node is slow: the next ones are waited for."""
    backend.reply = slow
    upstream = await open_upstream(idle_timeout=60, kept_timeout=0.2)
    await get(upstream)
    for _ in range(3):
        assert await get(upstream, "/slow", retry=True) == b"{}"
    assert backend.targets == ["/", "/slow", "/slow", "/slow", "/slow"]


async def test_a_fresh_connection_has_the_whole_timeout(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Silence on a connection that never carried a request is the backend's own."""
    backend.reply = slow
    upstream = await open_upstream(idle_timeout=60, kept_timeout=0.2)
    assert await get(upstream, "/slow", retry=True) == b"{}"
    assert backend.targets == ["/slow"]


async def test_a_response_that_has_begun_is_not_begun_anew(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A byte of a response shows that the connection lives."""

    async def drip(message: Message, wire: Wire) -> None:
        whole = http_response()
        if message.target == "/slow":
            await wire.send(whole[:10])
            await asyncio.sleep(0.6)
            whole = whole[10:]
        await wire.send(whole)

    backend.reply = drip
    upstream = await open_upstream(idle_timeout=60, kept_timeout=0.2)
    await get(upstream)
    assert await get(upstream, "/slow", retry=True) == b"{}"
    assert backend.targets == ["/", "/slow"]
