"""Taking connections off a listening socket, which several processes may share."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from proxy.config.settings import Address
from proxy.tasks import Tasks
from proxy.workers.share import Share

_log = structlog.get_logger("proxy.server.listener")

BACKLOG: Final = 1024
# Out of file descriptors, most likely: waiting lets some connections end.
_PAUSE_SECONDS: Final = 0.2
# For so long another process that holds fewer connections gets the chance to take one, so often.
_ASIDE_SECONDS: Final = 0.001
_ASIDE_TIMES: Final = 5


class ListenError(Exception):
    """An address cannot be listened on; the message says which, why and what to do."""


def listen_on(address: Address) -> socket.socket:
    """Return a socket that listens on `address`. Raises ListenError."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        listener = socket.create_server(where[:2], family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ListenError(
            f"cannot listen on {address}: {exc.strerror or exc}; choose another address with "
            "--listen or --admin-listen, or stop what uses it"
        ) from exc
    listener.setblocking(False)
    return listener


class Listener:
    """Accepts connections, one each time around the event loop.

    A server of the event loop takes all that wait at once, and of processes that share a socket
    the first to look would get them all. One that is ahead of the others by its `share` stands
    aside for a moment first; if they are too busy, it takes the connection all the same.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        share: Share,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._share = share
        self._stood_aside = 0
        self._tasks = Tasks()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept no more; the socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        if self._stood_aside < _ASIDE_TIMES and self._share.is_ahead:
            self._stood_aside += 1
            self._rest(_ASIDE_SECONDS)
            return
        self._stood_aside = 0
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            # Another process was faster, or the client has gone.
            return
        except OSError as exc:
            _log.error("connections cannot be accepted", reason=exc.strerror or str(exc))
            self._rest(_PAUSE_SECONDS)
            return
        connection.setblocking(False)
        self._tasks.start("accept", self._connect(connection))

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._reopen)

    def _reopen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()
