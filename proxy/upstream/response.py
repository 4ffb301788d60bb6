"""The backend's response, and what it means when there is none."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, Self

from aiohttp import ClientError, StreamReader
from aiohttp.client_exceptions import SocketTimeoutError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage

from proxy.http.headers import (
    Fields,
    Headers,
    as_fields,
    decode,
    encode,
    response_fields,
    response_headers,
)
from proxy.upstream.connection import Connection, Upload
from proxy.upstream.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTooLarge,
)
from proxy.upstream.nodes import Node

# Responses of a server's HTTP layer to what it did not read, or not to its end. Backends keep the
# connection open behind most of them, and then never answer on it again.
_UNREAD: Final = frozenset({408, 411, 413, 414, 417, 431, 501, 505})
# A 400 is mostly of the request's meaning. That of a head too large is one as well, and there may
# be lower limits on the way than those the settings tell of.
_ORDINARY_HEAD: Final = 2048

# What aiohttp's protocol, its reader and the socket raise; mapped in `failure_of` and nowhere else.
FOREIGN: Final = (ClientError, HttpProcessingError, OSError, EOFError, RuntimeError)


class UpstreamResponse:
    """The backend's response; its head has come, its body is read once, by `read` or `chunks`.

    Use it as a context manager: a body read to its end leaves the connection to the next
    request, anything else closes it. `headers` are the end-to-end fields, in order.
    """

    __slots__ = ("_begun", "_connection", "_headers", "_message", "_more", "_node", "_payload",
                 "_replaced", "_unread", "_upload", "largest", "length", "reason",
                 "status")  # fmt: skip

    def __init__(
        self,
        node: Node,
        connection: Connection,
        upload: Upload | None,
        message: RawResponseMessage,
        payload: StreamReader,
        *,
        unread: bool = False,
        largest: int = sys.maxsize,
    ) -> None:
        self._node = node
        self._connection: Connection | None = connection
        self._upload = upload
        self._payload = payload
        # Whether the backend answered before it had read the request to its end.
        self._unread = unread
        self.largest = largest
        self._replaced: bytes | None = None
        # What was looked at of the body, and is still to be read.
        self._begun = b""
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

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body. Raises UpstreamTooLarge above `limit` bytes, or UpstreamError.

        Without a limit of the caller's, `largest` is it.
        """
        if limit is None:
            limit = self.largest
        if self._replaced is not None:
            return self._replaced
        payload = self._payload
        if payload.is_eof():
            if payload.exception() is None:
                whole = self._begun + payload.read_nowait()
                if len(whole) > limit:
                    raise self._too_large(limit)
                return whole
        elif self.length is not None and self.length > limit:
            raise self._too_large(limit)
        # Put together as it comes: all at once, a large one would hold up the event loop.
        body = io.BytesIO()
        async for chunk in self.chunks():
            body.write(chunk)
            if body.tell() > limit:
                raise self._too_large(limit)
        return body.getvalue()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises UpstreamError when it ends before its end."""
        if self._replaced is not None:
            yield self._replaced
            return
        if self._begun:
            begun, self._begun = self._begun, b""
            yield begun
        while True:
            try:
                chunk = await self._payload.readany()
            except FOREIGN as exc:
                raise failure_of(exc, self._node, self._upload) from exc
            if not chunk:
                return
            yield chunk

    async def beginning(self, size: int) -> bytes:
        """The first bytes of the body, `size` or more if there are so many; all can still be read.

        Raises UpstreamError.
        """
        if self._replaced is not None:
            return self._replaced
        pieces: list[bytes] = []
        async for chunk in self.chunks():
            pieces.append(chunk)
            size -= len(chunk)
            if size <= 0:
                break
        self._begun = b"".join(pieces)
        return self._begun

    def replace(self, status: int, body: bytes) -> None:
        """Put a response in the place of the one that came, whose body was read to its end."""
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
        if self._upload is not None:
            self._upload.stop()
        reusable = self._payload.is_eof() and not self._unread
        self._node.pool.release(connection, reusable=reusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _too_large(self, limit: int) -> UpstreamTooLarge:
        origin, setting = self._node.pool.origin, ""
        if limit == self.largest:
            setting = " (max_response_bytes)"
        return UpstreamTooLarge(
            f"the response of the backend {origin} is larger than {limit} bytes{setting}"
        )


def failure_of(exc: BaseException, node: Node, upload: Upload | None) -> Exception:
    """What `exc`, met on the way to or from a node, tells the caller."""
    if upload is not None and upload.failure is not None:
        return upload.failure
    return _mapped(exc, node)


def _mapped(exc: BaseException, node: Node) -> UpstreamError:
    origin = node.pool.origin
    if is_gone(exc):
        return UpstreamTimeout(
            f"the backend {origin} does not acknowledge what it is sent: it, or the connection to "
            "it, is gone (backend_kept_timeout)"
        )
    if isinstance(exc, SocketTimeoutError):
        return UpstreamTimeout(f"the backend {origin} sent nothing for too long (backend_timeout)")
    if isinstance(exc, HttpProcessingError):
        return UpstreamBroken(f"the backend {origin} sent something that is not HTTP")
    return UpstreamBroken(
        f"the backend {origin} closed the connection before its response was done"
    )


def is_gone(exc: BaseException) -> bool:
    """Whether the other end of a connection acknowledged nothing for too long."""
    return isinstance(exc, OSError) and exc.errno == errno.ETIMEDOUT


def says_unread(status: int, head: int) -> bool:
    """Whether a response may mean that a request with a head of so many bytes was not read."""
    return status in _UNREAD or (status == 400 and head > _ORDINARY_HEAD)
