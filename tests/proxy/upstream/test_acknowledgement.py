"""Backends that are gone without a word: nothing that is sent to them is acknowledged any more.

The system here throws away all that arrives at a connection of the scripted backend, as if the
machine were turned off or a firewall had forgotten the connection.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
from collections.abc import AsyncIterator

import pytest

from proxy.upstream.acknowledgement import Acknowledgement
from proxy.upstream.client import Upstream, UpstreamRequest
from proxy.upstream.errors import UpstreamTimeout
from tests.proxy.conftest import OpenUpstream, StartBare, get
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it")

_ATTACH_FILTER = 26
_LARGE = b"x" * 30_000_000


def cut_off(wire: Wire) -> None:
    """Let nothing through to this end of a connection: a packet filter of the one rule `drop`."""
    rules = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)
    program = struct.pack("HL", 1, ctypes.addressof(rules))
    peer = wire.writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


class Vanishing:
    """Answers; behind `vanish` only on new connections."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    async def __call__(self, message: Message, wire: Wire) -> None:
        if wire not in self.wires:
            self.wires.append(wire)
        await wire.send(http_response())

    def vanish(self) -> None:
        for wire in self.wires:
            if not wire.writer.is_closing():
                cut_off(wire)


async def write(upstream: Upstream, body: bytes | AsyncIterator[bytes]) -> bytes:
    request = UpstreamRequest(method="POST", target="/", body=body)
    with await upstream.send(request) as response:
        return await response.read(100)


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_write_fails_when_nothing_of_it_is_acknowledged(
    backend: ScriptedBackend, open_upstream: OpenUpstream, size: int
) -> None:
    """Long before the whole timeout, and once; kept connections as old are not tried any more."""
    backend.reply = vanishing = Vanishing()
    upstream = await open_upstream(idle_timeout=600, kept_timeout=0.5)
    await asyncio.gather(*[get(upstream) for _ in range(3)])
    vanishing.vanish()
    with pytest.raises(UpstreamTimeout, match="does not acknowledge what it is sent"):
        await write(upstream, b"x" * size)
    assert (backend.accepted, len(backend.received)) == (3, 3)
    assert await write(upstream, b"x" * size) == b"{}"
    assert (backend.accepted, len(backend.received)) == (4, 4)


async def test_a_streamed_write_fails_as_well(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """While its body is on its way, however much of it is still to come."""

    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    backend.reply = vanishing = Vanishing()
    upstream = await open_upstream(idle_timeout=600, kept_timeout=0.5)
    await get(upstream)
    vanishing.vanish()
    with pytest.raises(UpstreamTimeout, match="does not acknowledge what it is sent"):
        await write(upstream, body())


async def test_a_read_is_begun_anew_even_where_the_backend_is_known_to_be_slow(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Silence alone says nothing then; that nothing is acknowledged does."""
    vanishing = Vanishing()

    async def slow(message: Message, wire: Wire) -> None:
        if message.target == "/slow":
            await asyncio.sleep(1.2)
        await vanishing(message, wire)

    backend.reply = slow
    upstream = await open_upstream(idle_timeout=600, kept_timeout=0.5)
    await get(upstream)
    assert await get(upstream, "/slow", retry=True) == b"{}"
    assert backend.targets == ["/", "/slow", "/slow"]
    vanishing.vanish()
    assert await get(upstream, "/last", retry=True) == b"{}"
    assert backend.targets[3:] == ["/last"]


async def test_a_backend_that_vanishes_while_it_works_is_asked(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """What was sent is acknowledged, so that only the system's own questions can tell."""
    silent = asyncio.Event()

    async def vanish(message: Message, wire: Wire) -> None:
        cut_off(wire)
        silent.set()
        await asyncio.Event().wait()

    backend.reply = vanish
    upstream = await open_upstream(idle_timeout=600, kept_timeout=1)
    with pytest.raises(UpstreamTimeout, match="does not acknowledge what it is sent"):
        await write(upstream, b"{}")
    assert silent.is_set()
    assert len(backend.received) == 1


async def test_a_backend_that_takes_nothing_is_not_gone(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Its system says so: a body waits for it as long as `backend_timeout` allows."""
    backend.head_only = {"/"}

    async def late(message: Message, wire: Wire) -> None:
        await asyncio.sleep(2.5)
        await wire.reader.readexactly(len(_LARGE))
        await wire.send(http_response())

    backend.reply = late
    upstream = await open_upstream(idle_timeout=600, kept_timeout=0.2)
    assert await write(upstream, _LARGE) == b"{}"


async def test_a_slow_backend_is_not_gone(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A write that takes longer than a kept connection is doubted has its response."""

    async def slow(message: Message, wire: Wire) -> None:
        await asyncio.sleep(1.5)
        await wire.send(http_response())

    backend.reply = slow
    upstream = await open_upstream(idle_timeout=600, kept_timeout=0.2)
    assert await write(upstream, b"{}") == b"{}"
    assert await write(upstream, b"{}") == b"{}"
    assert (backend.accepted, len(backend.received)) == (1, 2)


async def test_a_client_is_reported_with_a_504(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """In the backend's envelope, through the whole proxy."""
    backend.reply = vanishing = Vanishing()
    proxy = await start_bare(backend_timeout=600, backend_kept_timeout=0.5)
    client = await proxy.client()
    head = b"POST /i/_doc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: 2\r\n\r\n{}"
    assert (await client.ask(request)).status == 200
    vanishing.vanish()
    reported = await client.ask(request)
    assert reported.status == 504
    assert b"does not acknowledge what it is sent" in reported.body


async def test_what_the_system_does_not_tell_is_not_missing() -> None:
    """A transport without a socket, or with one that is closed, is never said to be gone."""
    loop = asyncio.get_running_loop()
    reader, writer = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=writer)
    try:
        found = Acknowledgement(transport)
        transport.write(b"x")
        assert not found.is_missing(loop.time(), 0.0)
        transport.abort()
        assert not found.is_missing(loop.time(), 0.0)
        assert not Acknowledgement(asyncio.Transport()).is_missing(0.0, 0.0)
        Acknowledgement(asyncio.Transport()).ask(1.0)
    finally:
        reader.close()


async def test_a_kept_connection_ends_after_its_time(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """`backend_keepalive_timeout` says how long one without a request is used again."""
    short, long = await open_upstream(keepalive=0.2), await open_upstream(keepalive=600)
    for upstream, accepted in ((short, 2), (long, 3)):
        await get(upstream)
        await asyncio.sleep(0.3)
        await get(upstream)
        assert backend.accepted == accepted
