"""One connection to a backend node, and the upload that may still run on it."""

from __future__ import annotations

import asyncio
import errno
import re
import ssl
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from aiohttp.client_exceptions import SocketTimeoutError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.http_writer import StreamWriter

from proxy.http.headers import FieldsMemory
from proxy.http.limits import JOIN_LIMIT
from proxy.http.origin import Origin
from proxy.upstream.acknowledgement import Acknowledgement
from proxy.upstream.errors import UpstreamTimeout
from proxy.upstream.http11 import BackendProtocol, Response
from proxy.upstream.request_head import Framing

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# Heads that were looked through.
_clean: Final = FieldsMemory[bool]()


class Connection:
    """An open connection; carries one request at a time. Owned by a pool, lent to one caller."""

    __slots__ = ("_acknowledgement", "_protocol", "doubted", "idle_since", "reused")

    def __init__(self, protocol: BackendProtocol, acknowledgement: Acknowledgement) -> None:
        self._protocol = protocol
        self._acknowledgement = acknowledgement
        self.idle_since = 0.0
        self.reused = False
        # Whether silence may be its own fault, and its request can be begun anew on another one.
        self.doubted = False

    @classmethod
    async def open(cls, origin: Origin, tls: ssl.SSLContext | None, patience: float) -> Connection:
        """Connect. A peer that acknowledges nothing for `patience` is gone. Raises OSError."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(
            lambda: BackendProtocol(loop),
            origin.host,
            origin.port,
            ssl=tls if origin.scheme == "https" else None,
        )
        acknowledgement = Acknowledgement(transport)
        acknowledgement.ask(patience)
        return cls(protocol, acknowledgement)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: open, and nothing left over from the last one."""
        return self._protocol.usable

    @property
    def heard(self) -> bool:
        """Whether anything came since the request was sent."""
        return self._protocol.heard

    @property
    def flushed(self) -> bool:
        """Whether the request has left this process."""
        transport = self._protocol.transport
        return transport is not None and not transport.get_write_buffer_size()

    def ask(self, method: str, head: bytes, body: bytes) -> None:
        """Send a whole request. Raises ConnectionError when the connection is gone."""
        self._begin(method)
        transport = self._transport()
        if len(body) <= JOIN_LIMIT:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        self._protocol.wait_for_peer()

    def upload(
        self,
        method: str,
        head: bytes,
        framing: Framing,
        source: AsyncIterator[bytes],
        idle_timeout: float,
    ) -> Upload:
        """Send `head`, and return the upload that sends what `source` yields."""
        self._begin(method)
        self._transport().write(head)
        writer = StreamWriter(self._protocol, asyncio.get_running_loop())
        if framing == "chunked":
            writer.enable_chunking()
        return Upload(self, writer, source, idle_timeout)

    def _begin(self, method: str) -> None:
        self._acknowledgement.begin()
        self._protocol.expect(bodiless=method == "HEAD")

    def receive(self) -> Coroutine[Any, Any, Response]:
        """The head of the final response, and the reader of its body. Raises as the protocol.

        For `require_final` to look through.
        """
        return self._protocol.head()

    def start_timeout(self) -> None:
        """Count the time until the first byte of the response from now on."""
        self._protocol.wait_for_peer()

    def expire(self, now: float, idle_timeout: float, kept_timeout: float) -> None:
        """End the wait for a peer that has owed something for so long.

        The second time is for doubted connections on which nothing came, and for those whose other
        end does not even acknowledge what it was sent.
        """
        protocol = self._protocol
        doubted = self.doubted and not protocol.heard
        if now - protocol.silent_since > (kept_timeout if doubted else idle_timeout):
            protocol.fail(SocketTimeoutError("nothing came from the backend"))
        elif self._acknowledgement.is_missing(now, kept_timeout):
            protocol.fail(TimeoutError(errno.ETIMEDOUT, "nothing was acknowledged by the backend"))

    def close(self) -> None:
        """Close at once; what was not sent yet is lost."""
        self._protocol.abort()

    def _transport(self) -> asyncio.Transport:
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed by the backend")
        return transport


def require_final(message: RawResponseMessage) -> None:
    """Raise HttpProcessingError for what the parser lets through and no client can be sent."""
    if message.code == 101:
        raise HttpProcessingError(message="change to a protocol that nobody asked for")
    if message.chunked and message.headers["Transfer-Encoding"].lower() != "chunked":
        raise HttpProcessingError(message="transfer coding that nobody asked for")
    key = (message.raw_headers, message.reason)
    if _clean.get(key):
        return
    text = b" ".join([value for _, value in message.raw_headers])
    if _CONTROLS.search(text) or not (message.reason or "").isprintable():
        raise HttpProcessingError(message="control character in the head of a response")
    _clean.keep(key, True)


class Upload:
    """A request body on its way to the backend, in chunks, while the response may already come.

    `failure` says why the body could not be sent to its end, when that is the source's fault or the
    backend stopped reading; `complete` whether all of it was sent.
    """

    def __init__(
        self,
        connection: Connection,
        writer: StreamWriter,
        source: AsyncIterator[bytes],
        idle_timeout: float,
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._source = source
        self._idle_timeout = idle_timeout
        self.failure: Exception | None = None
        self.complete = False
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Send everything, then wait for the response's first byte under the timeout."""
        try:
            async for chunk in self._source:
                if not await self._send(chunk):
                    return
            await self._writer.write_eof()
        except ConnectionError:
            # The backend hung up. Its response may say why, so whoever reads that finds out.
            return
        except Exception as exc:
            self.failure = exc
            self._connection.close()
            return
        self.complete = True
        self._connection.start_timeout()

    async def _send(self, chunk: bytes) -> bool:
        try:
            async with asyncio.timeout(self._idle_timeout):
                await self._writer.write(chunk)
        except ConnectionError:
            return False
        except TimeoutError as exc:
            raise UpstreamTimeout(
                f"the backend read nothing of the request body for {self._idle_timeout:g} s"
            ) from exc
        return True

    def stop(self) -> None:
        """Send no more."""
        if self.task is not None:
            self.task.cancel()
