"""The connections to one backend node: kept alive, counted, and waited for within limits."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from typing import Final

from proxy.http.origin import Origin
from proxy.upstream.connection import Connection
from proxy.upstream.errors import UpstreamBusy, UpstreamUnreachable

# How much later than asked a silent backend is noticed, at most.
_LONGEST_LOOK: Final = 1.0


class Pool:
    """Owns the connections to `origin`; at most `limit` are open. Used from one event loop.

    Idle connections are reused newest first, so that the pool shrinks when traffic does: after
    `keepalive` seconds without a request one is closed. A lent one
    on which the backend sent nothing for `idle_timeout` seconds fails whoever waits; a doubted one,
    and one on which the backend acknowledges nothing, for `kept_timeout`.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        limit: int,
        connect_timeout: float,
        idle_timeout: float,
        kept_timeout: float,
        keepalive: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.origin = origin
        self._limit = limit
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._kept_timeout = kept_timeout
        self._keepalive = keepalive
        self._tls = tls
        self._lent: set[Connection] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._open = 0
        self._idle: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    def take(self) -> Connection | None:
        """Lend an idle connection at once, if there is one."""
        connection = self._reuse()
        if connection is not None:
            self._lend(connection)
        return connection

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """Lend a connection; `fresh` asks for one that never carried a request.

        Raises UpstreamUnreachable, or UpstreamBusy when none came free in the connect timeout.
        """
        if fresh:
            self.drop_idle()
        connection = self._reuse() or await self._open_or_wait(fresh=fresh)
        self._lend(connection)
        return connection

    async def _open_or_wait(self, *, fresh: bool) -> Connection:
        if self._open < self._limit:
            self._open += 1
        elif (connection := await self._wait()) is not None:
            if connection.usable and not fresh:
                return connection
            connection.close()
        return await self._connect()

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Take a lent connection back; closed unless it is `reusable`."""
        self._lent.discard(connection)
        if reusable and connection.usable:
            connection.idle_since = time.monotonic()
            connection.reused = True
            self._hand_out(connection)
        else:
            connection.close()
            self._hand_out(None)

    def drop_idle(self) -> None:
        """Close every connection that is not lent."""
        while self._idle:
            self._idle.pop().close()
            self._open -= 1

    def _lend(self, connection: Connection) -> None:
        self._lent.add(connection)
        if self._watch is None:
            self._look_later()

    def _look_later(self) -> None:
        period = min(self._idle_timeout / 4, self._kept_timeout / 4, _LONGEST_LOOK)
        self._watch = asyncio.get_running_loop().call_later(period, self._look)

    def _look(self) -> None:
        """Fail those that wait too long; once nothing is lent, nobody needs to look."""
        now = asyncio.get_running_loop().time()
        for connection in self._lent:
            connection.expire(now, self._idle_timeout, self._kept_timeout)
        self._watch = None
        if self._lent:
            self._look_later()

    def _reuse(self) -> Connection | None:
        now = time.monotonic()
        while self._idle and now - self._idle[0].idle_since > self._keepalive:
            self._idle.popleft().close()
            self._open -= 1
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
            self._open -= 1
        return None

    async def _wait(self) -> Connection | None:
        """Wait for an idle connection, or None for leave to open one (already counted)."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await waiter
        except BaseException as exc:
            self._pass_on(waiter)
            if isinstance(exc, TimeoutError):
                raise UpstreamBusy(
                    f"all {self._limit} connections to the backend {self.origin} are in use; "
                    "try again later, or raise backend_connections"
                ) from exc
            raise

    def _hand_out(self, connection: Connection | None) -> None:
        """Hand a connection, or leave to open one, to who has waited longest: nobody overtakes."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._open -= 1
        else:
            self._idle.append(connection)

    def _pass_on(self, waiter: asyncio.Future[Connection | None]) -> None:
        """What was given to one that was cancelled in the same moment belongs to the next one."""
        if waiter.done() and not waiter.cancelled():
            self._hand_out(waiter.result())
        elif waiter in self._waiters:
            self._waiters.remove(waiter)

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout):
                patience = min(self._kept_timeout, self._idle_timeout)
                return await Connection.open(self.origin, self._tls, patience)
        except BaseException as exc:
            self._hand_out(None)
            if isinstance(exc, TimeoutError):
                raise UpstreamUnreachable(
                    f"the backend {self.origin} did not accept a connection within "
                    f"{self._connect_timeout:g} s"
                ) from exc
            if isinstance(exc, OSError):
                raise UpstreamUnreachable(
                    f"the backend {self.origin} cannot be reached: {_why(exc)}"
                ) from exc
            raise


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); name a file of those that "
            "are with backend_ca"
        )
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as expected ({error.reason}); check its URL"
    return error.strerror or str(error)
