"""Who takes a connection, where several wait at one socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from proxy.config.settings import Address
from proxy.server import listener as listening
from proxy.server.listener import Listener, listen_on
from proxy.workers.board import Board
from proxy.workers.share import Share
from tests.waiting import until


class Watched(Share):
    """Counts how often it is asked, and is ahead as long as it is told to be."""

    def __init__(self, ahead: bool = False) -> None:
        super().__init__(Board())
        self.asked = 0
        self._ahead = ahead

    @property
    def is_ahead(self) -> bool:
        self.asked += 1
        return self._ahead


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    listening = listen_on(Address("127.0.0.1", 0))
    yield listening
    listening.close()


class Clients:
    """Says when a connection was made."""

    def __init__(self) -> None:
        self.made = 0
        self.one = asyncio.Event()

    def __call__(self) -> asyncio.BaseProtocol:
        self.made += 1
        self.one.set()
        return asyncio.Protocol()


async def connect(listener: socket.socket) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(*listener.getsockname())
    return writer


async def test_who_is_ahead_stands_aside(listener: socket.socket) -> None:
    """Every connection is the other's."""
    ahead, other = Clients(), Clients()
    twin = listener.dup()
    with twin:
        open_doors = [
            Listener(listener, ahead, Watched(ahead=True)),
            Listener(twin, other, Watched()),
        ]
        for _ in range(10):
            other.one.clear()
            writer = await connect(listener)
            async with asyncio.timeout(30):
                await other.one.wait()
            writer.close()
        for each in open_doors:
            each.close()
    assert (ahead.made, other.made) == (0, 10)


async def test_who_is_ahead_takes_what_nobody_else_does(listener: socket.socket) -> None:
    """Others may be too busy: after so many moments the connection is its own."""
    clients, share = Clients(), Watched(ahead=True)
    opened = Listener(listener, clients, share)
    for number in (1, 2):
        clients.one.clear()
        writer = await connect(listener)
        async with asyncio.timeout(30):
            await clients.one.wait()
        writer.close()
        assert share.asked == number * listening._ASIDE_TIMES
        assert clients.made == number
    opened.close()


async def test_a_closed_door_stays_closed(listener: socket.socket) -> None:
    """Also when it stood aside just then."""
    clients, share = Clients(), Watched(ahead=True)
    opened = Listener(listener, clients, share)
    writer = await connect(listener)
    await until(lambda: share.asked)
    opened.close()
    await asyncio.sleep(2 * listening._ASIDE_SECONDS * listening._ASIDE_TIMES)
    writer.close()
    assert (share.asked, clients.made) == (1, 0)
