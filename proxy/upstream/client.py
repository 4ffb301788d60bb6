"""The way to the backend: ``send(request) -> response``, over kept-alive connections."""

from __future__ import annotations

import asyncio
import math
import ssl
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from proxy.http.headers import Fields, Headers, as_fields
from proxy.http.origin import Origin
from proxy.tasks import Tasks
from proxy.upstream.connection import Connection, Upload, require_final
from proxy.upstream.connection_pool import Pool
from proxy.upstream.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from proxy.upstream.nodes import Node, Nodes
from proxy.upstream.request_head import Framing, HeadLimits, request_head
from proxy.upstream.response import (
    FOREIGN,
    UpstreamResponse,
    failure_of,
    is_gone,
    says_unread,
)

__all__ = ["Upstream", "UpstreamRequest", "UpstreamResponse"]

# What a socket takes at once, and so has left by the time a response comes.
_AT_ONCE: Final = 16 * 1024

# Silence on a kept connection is no sign of a broken one for so long after it was not.
SLOW_SECONDS: Final = 300.0


@dataclass(slots=True, kw_only=True)
class UpstreamRequest:
    """A request for the backend.

    `target` is the path and query exactly as they go on the wire. `headers` are end to end, as text
    or as they came; Host and the body's framing are added. A streamed `body` is sent with the
    Content-Length among the headers, or chunked without one. `retry` says that the request may be
    sent twice, and is used once, when a kept-alive connection turns out to be closed before any
    byte of a response.
    """

    method: str
    target: str
    headers: Headers | Fields = ()
    body: bytes | AsyncIterator[bytes] | None = None
    retry: bool = False


class Upstream:
    """Owns the connections to all backend nodes, from `open` to `close`. Used from one event loop.

    `origins` are URLs such as ``http://search-1:9200``; `connect_timeout` and `idle_timeout` are
    seconds, `connections` is the limit for each node. Certificates are checked against those of the
    file `authority`, or the system's. `limits` are of the heads that the nodes take, and `via` is
    this proxy's name in them; `max_response` are the bytes of a response that is read whole. A
    connection without a request is kept for `keepalive` seconds.

    A kept connection on which nothing comes for `kept_timeout` seconds may be one that the node, or
    something on the way, has forgotten. A request that may be sent twice is then begun anew on a
    fresh one, and the old one closed, which cancels what was running there. Where the fresh one is
    silent as long the node is slow, and silence is no sign for a while.
    """

    def __init__(
        self,
        origins: Sequence[str],
        *,
        connect_timeout: float,
        idle_timeout: float,
        connections: int,
        authority: Path | None = None,
        kept_timeout: float = math.inf,
        keepalive: float = math.inf,
        limits: HeadLimits | None = None,
        max_response: int = sys.maxsize,
        via: str = "",
    ) -> None:
        self._authority = authority
        self._origins = [Origin.parse(url) for url in origins]
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._connections = connections
        self._kept_timeout = kept_timeout if kept_timeout < idle_timeout else math.inf
        self._patient_until = math.inf if self._kept_timeout == math.inf else 0.0
        self._keepalive = keepalive
        self._limits = limits or HeadLimits(line=sys.maxsize, fields=sys.maxsize)
        self._least_limit = self._limits.least
        self._max_response = max_response
        self._via = via.encode()
        self._tasks = Tasks()
        self._nodes = Nodes(())

    async def open(self) -> None:
        """Get ready; no connection is made before the first request."""
        tls = None
        if any(origin.scheme == "https" for origin in self._origins):
            tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._authority)
        self._nodes = Nodes(
            [
                Node(
                    Pool(
                        origin,
                        limit=self._connections,
                        connect_timeout=self._connect_timeout,
                        idle_timeout=self._idle_timeout,
                        kept_timeout=self._kept_timeout,
                        keepalive=self._keepalive,
                        tls=tls,
                    )
                )
                for origin in self._origins
            ]
        )

    async def close(self) -> None:
        """Stop uploads and close the connections that are not lent."""
        await self._tasks.close()
        for node in self._nodes.all:
            node.pool.drop_idle()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` to the next live node and return its response, the head read.

        A node that cannot be connected to is skipped. Raises UpstreamError, HeadTooLargeError where
        the backend would not read it, and whatever the iterator of a streamed body raises.
        """
        node = self._nodes.pick(time.monotonic())
        connection = node.pool.take()
        if connection is None:
            node, connection = await self._connection(node)
        try:
            return await self._exchange(node, connection, request)
        except _StaleConnection as exc:
            if not _repeatable(request):
                raise exc.failure from exc.__cause__
        begun = time.monotonic()
        node, connection = await self._connection(self._nodes.pick(begun), fresh=True)
        try:
            return await self._exchange(node, connection, request)
        finally:
            if (now := time.monotonic()) - begun >= self._kept_timeout:
                self._patient_until = now + SLOW_SECONDS

    async def _connection(self, node: Node, *, fresh: bool = False) -> tuple[Node, Connection]:
        attempts = len(self._nodes.all)
        while True:
            try:
                return node, await node.pool.acquire(fresh=fresh)
            except UpstreamUnreachable:
                node.mark_dead(time.monotonic())
                attempts -= 1
                if attempts <= 0:
                    raise
            node = self._nodes.pick(time.monotonic())

    async def _exchange(
        self, node: Node, connection: Connection, request: UpstreamRequest
    ) -> UpstreamResponse:
        try:
            framing = _framing(request)
            fields = request.headers
            if isinstance(fields, CIMultiDict):
                fields = as_fields(fields)
            authority = node.pool.origin.authority
            head = request_head(
                request.method, request.target, authority, fields, framing, self._via
            )
            if len(head) > self._least_limit:
                self._limits.check(head)
        except BaseException:
            node.pool.release(connection, reusable=True)
            raise
        upload: Upload | None = None
        try:
            body = request.body
            if body is None or isinstance(body, bytes):
                connection.ask(request.method, head, body or b"")
            else:
                upload = self._upload(connection, request, body, head, framing)
            # Where there is an upload, it may have given away its first chunks already.
            connection.doubted = (
                connection.reused
                and request.retry
                and upload is None
                and (not self._patient_until or self._patient_until <= time.monotonic())
            )
            message, payload = await connection.receive()
            require_final(message)
        except BaseException as exc:
            if upload is not None:
                upload.stop()
            node.pool.release(connection, reusable=False)
            if not isinstance(exc, FOREIGN):
                raise
            failure = failure_of(exc, node, upload)
            # Where something came, if only nonsense, the backend had the request.
            nonsense = isinstance(exc, HttpProcessingError)
            if connection.reused and isinstance(failure, UpstreamBroken) and not nonsense:
                raise _StaleConnection(failure) from exc
            if connection.reused and isinstance(failure, UpstreamTimeout):
                # What was kept as long may be as dead.
                node.pool.drop_idle()
                if (connection.doubted or is_gone(exc)) and not connection.heard:
                    raise _StaleConnection(failure) from exc
            raise failure from exc
        connection.doubted = False
        node.mark_live()
        unread = message.code >= 400 and says_unread(message.code, len(head))
        if upload is not None:
            unread = unread or not (upload.complete and connection.flushed)
        elif isinstance(framing, int) and framing > _AT_ONCE:
            unread = unread or not connection.flushed
        return UpstreamResponse(
            node,
            connection,
            upload,
            message,
            payload,
            unread=unread,
            largest=self._max_response,
        )

    def _upload(
        self,
        connection: Connection,
        request: UpstreamRequest,
        body: AsyncIterator[bytes],
        head: bytes,
        framing: Framing,
    ) -> Upload:
        upload = connection.upload(request.method, head, framing, body, self._idle_timeout)
        upload.task = self._tasks.start(f"upload {request.method}", upload.run())
        return upload


class _StaleConnection(Exception):
    """A kept-alive connection ended before a byte of the response; `failure` is what that means."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _repeatable(request: UpstreamRequest) -> bool:
    # An iterator may have given away its first chunks already.
    return request.retry and (request.body is None or isinstance(request.body, bytes))


def _framing(request: UpstreamRequest) -> Framing:
    if isinstance(request.body, bytes):
        return len(request.body)
    length = _announced(request.headers)
    if request.body is None:
        return 0 if length is not None else None
    return "chunked" if length is None else length


def _announced(headers: Headers | Fields) -> int | None:
    if isinstance(headers, CIMultiDict):
        length = headers.get("Content-Length")
        return None if length is None else int(length)
    found = (int(value) for name, value in headers if name.lower() == b"content-length")
    return next(found, None)
