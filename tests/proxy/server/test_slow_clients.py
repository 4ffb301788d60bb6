"""Clients that dawdle with a body or a response: for how long, and what they hold meanwhile."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from structlog.typing import EventDict

from proxy.config.client_settings import ClientSettings
from proxy.server.connection import ClientConnection
from proxy.server.exchange import Exchange
from proxy.server.pace import Pace
from proxy.server.server import ProxyServer
from tests.proxy.conftest import Proxy, StartBare
from tests.proxy.wire import Client, ScriptedBackend, http_response, request

LARGE = b"x" * 24_000_000
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


def test_pace_at_the_rate_and_below() -> None:
    """At the least rate the grace lasts for ever; below it, it is used up; early bytes buy none."""
    patience = ClientSettings(client_min_rate=100, client_grace=2.0)
    steady, slow, early = Pace(patience), Pace(patience), Pace(patience)
    for _ in range(100):
        steady.moved(100, 1.0)
    assert steady.left == 2.0
    for _ in range(3):
        slow.moved(10, 1.0)
    assert slow.left < 0
    early.moved(1_000_000, 0.0)
    early.moved(1, 1.9)
    assert 0 < early.left < 0.2


def test_pace_without_a_rate() -> None:
    """A rate of 0 never runs out."""
    pace = Pace(ClientSettings(client_min_rate=0, client_grace=0.1))
    pace.moved(0, 10_000)
    assert pace.left == float("inf")


@pytest.mark.parametrize("length", [1000, 1_000_000])
async def test_a_dripping_body_is_cut_off(
    backend: ScriptedBackend, start_bare: StartBare, length: int
) -> None:
    """Bytes that keep coming, but too slowly, are a 408, whether the body is read or streams."""
    proxy = await start_bare(body_timeout=60, client_min_rate=100, client_grace=0.3)
    client = await proxy.client()
    await client.send(HEAD % length)

    async def drip() -> None:
        while True:
            await client.send(b"x")
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        dripping = group.create_task(drip())
        got = await client.read_response()
        dripping.cancel()
    assert (got.status, b"client_min_rate" in got.body) == (408, True)
    assert got.get("connection") == b"close"
    assert backend.received == []


async def test_a_body_at_the_least_rate_passes(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """What keeps up may take longer than the grace."""
    proxy = await start_bare(client_min_rate=1, client_grace=1.0)
    client = await proxy.client()
    await client.send(HEAD % 15)
    for _ in range(15):
        await asyncio.sleep(0.1)
        await client.send(b"x")
    assert (await client.read_response()).status == 200
    assert backend.received[0].body == b"x" * 15


async def never_reading(proxy: Proxy, sent: bytes) -> Client:
    """A client with a small buffer that reads nothing of its response."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", proxy.port))
    reader, writer = await asyncio.open_connection(sock=peer, limit=1024)
    client = Client(reader, writer)
    proxy.clients.append(client)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(sent)
    return client


def connections(server: ProxyServer) -> list[ClientConnection]:
    """The connections that clients have to a proxy."""
    found: list[Any] = [each for clients in server._clients for each in clients.connections]
    return found


async def settled(server: ProxyServer, logged: list[EventDict], count: int) -> None:
    """Returns once so many connections were given up, and none is left."""
    while True:
        reported = [line for line in logged if line["event"] == "client does not take its response"]
        if len(reported) == count and not connections(server):
            return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"write_timeout": 0.4, "client_min_rate": 0}, "write_timeout"),
        ({"client_min_rate": 1000, "client_grace": 0.4}, "client_min_rate"),
    ],
)
async def test_a_response_nobody_takes(
    backend: ScriptedBackend,
    start_bare: StartBare,
    logged: list[EventDict],
    whole: bool,
    values: dict[str, object],
    setting: str,
) -> None:
    """Its connection is closed, its handler ends, and what waited to be sent is gone with it."""
    ended = 0

    async def large(exchange: Exchange) -> web.StreamResponse:
        nonlocal ended
        try:
            got = exchange.respond(200, {}, LARGE)
            await exchange.deliver(got)
            return got
        finally:
            ended += 1

    backend.reply = http_response(LARGE)
    proxy = await start_bare(traffic=large if whole else None, **values)
    clients = [await never_reading(proxy, request("/")) for _ in range(5)]
    await settled(proxy.server, logged, 5)
    reasons = [line["reason"] for line in logged if "client does not" in line["event"]]
    assert all(setting in reason for reason in reasons)
    assert ended == (5 if whole else 0)
    assert len(clients) == 5


async def test_small_responses_nobody_takes(
    backend: ScriptedBackend, start_bare: StartBare, logged: list[EventDict]
) -> None:
    """Many small responses to requests sent ahead count like a large one, and no more are made."""
    backend.reply = http_response(b"x" * 50_000)
    proxy = await start_bare(write_timeout=0.4)
    await never_reading(proxy, request("/") * 2000)
    await settled(proxy.server, logged, 1)
    assert len(backend.received) < 2000


async def test_a_slow_reader_that_keeps_up_gets_everything(
    backend: ScriptedBackend, start_bare: StartBare, logged: list[EventDict]
) -> None:
    """Reading slowly is no fault: the response may take longer than the grace and the timeout."""
    backend.reply = http_response(LARGE)
    proxy = await start_bare(write_timeout=0.5, client_min_rate=1000, client_grace=0.5)
    client = await never_reading(proxy, request("/"))
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    left = len(LARGE)
    while left:
        left -= len(await client.reader.read(min(left, 100_000)))
        await asyncio.sleep(0.002)
    assert [line for line in logged if "client does not" in line["event"]] == []
