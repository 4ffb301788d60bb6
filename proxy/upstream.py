"""The way to the backend: ``send(request) -> response``, over kept-alive connections."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError, StreamReader
from aiohttp.client_exceptions import SocketTimeoutError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict

from proxy.connection import Connection, Upload, require_final
from proxy.headers import (
    Fields,
    Headers,
    as_fields,
    decode,
    encode,
    response_fields,
    response_headers,
)
from proxy.node import Node, Nodes
from proxy.origin import Origin
from proxy.pool import Pool
from proxy.request_head import Framing, request_head
from proxy.tasks import Tasks
from proxy.upstream_errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)

# What aiohttp's protocol, its reader and the socket raise; mapped in `_mapped` and nowhere else.
_FOREIGN: Final = (ClientError, HttpProcessingError, OSError, EOFError, RuntimeError)


@dataclass(slots=True, kw_only=True)
class UpstreamRequest:
    """A request for the backend.

    `target` is the path and query exactly as they go on the wire. `headers` are end to end, as text
    or as they came; Host and the body's framing are added. A streamed `body` is sent with the
    Content-Length among the headers, or chunked without one. `retry` says that the request may be
    sent twice, and is used once, when a kept-alive connection turns out to be closed before any
    byte of an answer.
    """

    method: str
    target: str
    headers: Headers | Fields = ()
    body: bytes | AsyncIterator[bytes] | None = None
    retry: bool = False


class UpstreamResponse:
    """The backend's answer; its head has come, its body is read once, by `read` or `chunks`.

    Use it as a context manager: a body read to its end leaves the connection to the next
    request, anything else closes it. `headers` are the end-to-end fields, in order.
    """

    __slots__ = ("_connection", "_headers", "_message", "_more", "_node", "_payload", "_replaced",
                 "_upload", "length", "reason", "status")  # fmt: skip

    def __init__(
        self,
        node: Node,
        connection: Connection,
        upload: Upload | None,
        message: RawResponseMessage,
        payload: StreamReader,
    ) -> None:
        self._node = node
        self._connection: Connection | None = connection
        self._upload = upload
        self._payload = payload
        self._replaced: bytes | None = None
        self.status: int = message.code
        self.reason: str = message.reason or ""
        self._message = message
        self._headers: Headers | None = None
        self._more: list[tuple[bytes, bytes]] = []
        length = None if message.chunked else message.headers.get("Content-Length")
        self.length: int | None = int(length) if length is not None else None

    @property
    def headers(self) -> Headers:
        """The end-to-end fields, to look into and change."""
        if self._headers is None:
            self._headers = response_headers(self._message.raw_headers)
            self._headers.extend((decode(name), decode(value)) for name, value in self._more)
            if self._message.chunked:
                self._headers.popall("Content-Length", None)
        return self._headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    def get(self, name: str) -> str | None:
        """The first value of a field, as `headers` has it, without making those."""
        if self._headers is not None or self._more:
            return self.headers.get(name)
        return self._message.headers.get(name)

    @property
    def fields(self) -> Fields:
        """The same as they go on the wire."""
        if self._headers is None and not self._message.chunked:
            kept = response_fields(self._message.raw_headers)
            return [*kept, *self._more] if self._more else kept
        return as_fields(self.headers)

    def add(self, name: str, value: str) -> None:
        """Add a field of the proxy's own, behind those of the backend."""
        if self._headers is None:
            self._more.append((encode(name), encode(value)))
        else:
            self._headers.add(name, value)

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises UpstreamTooLarge above `limit` bytes, or UpstreamError."""
        if self._replaced is not None:
            return self._replaced
        payload = self._payload
        if payload.is_eof():
            if payload.exception() is None:
                whole = payload.read_nowait()
                if len(whole) > limit:
                    raise self._too_large(limit)
                return whole
        elif self.length is not None and self.length > limit:
            raise self._too_large(limit)
        pieces: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise self._too_large(limit)
            pieces.append(chunk)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises UpstreamError when it ends before its end."""
        if self._replaced is not None:
            yield self._replaced
            return
        while True:
            try:
                chunk = await self._payload.readany()
            except _FOREIGN as exc:
                raise _failure(exc, self._node, self._upload) from exc
            if not chunk:
                return
            yield chunk

    def replace(self, status: int, body: bytes) -> None:
        """Put an answer in the place of the one that came, whose body was read to its end."""
        if status != self.status:
            self.status, self.reason = status, HTTPStatus(status).phrase
        self._replaced, self.length = body, len(body)
        if "Content-Length" in self.headers:
            self.headers["Content-Length"] = str(len(body))

    def release(self) -> None:
        """Give the connection back, or close it when the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        sent = True
        if self._upload is not None:
            sent = self._upload.complete
            self._upload.stop()
        self._node.pool.release(connection, reusable=sent and self._payload.is_eof())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _too_large(self, limit: int) -> UpstreamTooLarge:
        return UpstreamTooLarge(
            f"the answer of the backend {self._node.pool.origin} is larger than {limit} bytes"
        )


class Upstream:
    """Owns the connections to all backend nodes, from `open` to `close`. Used from one event loop.

    `origins` are URLs such as ``http://search-1:9200``; `connect_timeout` and `idle_timeout` are
    seconds, `connections` is the limit for each node. Certificates are checked against those of the
    file `authority`, or the system's.
    """

    def __init__(
        self,
        origins: Sequence[str],
        *,
        connect_timeout: float,
        idle_timeout: float,
        connections: int,
        authority: Path | None = None,
    ) -> None:
        self._authority = authority
        self._origins = [Origin.parse(url) for url in origins]
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._connections = connections
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

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` to the next live node and return its answer, the head read.

        A node that cannot be connected to is skipped. Raises UpstreamError, and whatever the
        iterator of a streamed body raises.
        """
        node = self._nodes.pick(time.monotonic())
        connection = node.pool.take()
        if connection is None:
            node, connection = await self._connection(node)
        try:
            return await self._exchange(node, connection, request)
        except _StaleConnection as exc:
            # An iterator may have given away its first chunks already.
            if not request.retry or not isinstance(request.body, bytes | None):
                raise exc.failure from exc.__cause__
        node, connection = await self._connection(self._nodes.pick(time.monotonic()), fresh=True)
        return await self._exchange(node, connection, request)

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
        upload: Upload | None = None
        try:
            upload = self._start(node, connection, request)
            message, payload = await connection.receive()
            require_final(message)
        except BaseException as exc:
            if upload is not None:
                upload.stop()
            node.pool.release(connection, reusable=False)
            if not isinstance(exc, _FOREIGN):
                raise
            failure = _failure(exc, node, upload)
            # Where something came, if only nonsense, the backend had the request.
            nonsense = isinstance(exc, HttpProcessingError)
            if connection.reused and isinstance(failure, UpstreamBroken) and not nonsense:
                raise _StaleConnection(failure) from exc
            raise failure from exc
        node.mark_live()
        return UpstreamResponse(node, connection, upload, message, payload)

    def _start(self, node: Node, connection: Connection, request: UpstreamRequest) -> Upload | None:
        framing = _framing(request)
        headers = request.headers
        fields = as_fields(headers) if isinstance(headers, CIMultiDict) else headers
        head = request_head(
            request.method, request.target, node.pool.origin.authority, fields, framing
        )
        connection.begin(request.method)
        if request.body is None or isinstance(request.body, bytes):
            connection.write(head, request.body or b"")
            return None
        upload = connection.upload(head, framing, request.body, self._idle_timeout)
        upload.task = self._tasks.start(f"upload {request.method}", upload.run())
        return upload


class _StaleConnection(Exception):
    """A kept-alive connection ended before a byte of the answer; `failure` is what that means."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(str(failure))
        self.failure = failure


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


def _failure(exc: BaseException, node: Node, upload: Upload | None) -> Exception:
    if upload is not None and upload.failure is not None:
        return upload.failure
    return _mapped(exc, node)


def _mapped(exc: BaseException, node: Node) -> UpstreamError:
    origin = node.pool.origin
    if isinstance(exc, SocketTimeoutError):
        return UpstreamTimeout(f"the backend {origin} sent nothing for too long (backend_timeout)")
    if isinstance(exc, HttpProcessingError):
        return UpstreamBroken(f"the backend {origin} sent something that is not HTTP")
    return UpstreamBroken(f"the backend {origin} closed the connection before its answer was done")
