"""Reads responses off a connection to a backend node. aiohttp's parser does the framing.

Time is not kept here: `silent_since` says how long the peer has owed something, and whoever lent
the connection looks at it now and then. A timer for each request would cost more than that.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_exceptions import ServerDisconnectedError
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD

from proxy.http.limits import READ_BUFFER
from proxy.upstream.limits import MAX_FIELD, MAX_FIELDS

Response = tuple[RawResponseMessage, StreamReader]


class BackendProtocol(BaseProtocol):
    """One response after the other, each asked for with `expect` and awaited with `head`."""

    __slots__ = (
        "_ended",
        "_failure",
        "_heads",
        "_owed",
        "_payload",
        "_waiter",
        "heard",
        "silent_since",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._heads: deque[Response] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._payload: StreamReader | None = None
        self._failure: Exception | None = None
        self._owed = False
        self._ended = False
        self.silent_since = math.inf
        self.heard = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: open, and nothing left over from the last one."""
        transport = self.transport
        return (
            not self._ended
            and not self._owed
            and not self._heads
            and transport is not None
            and not transport.is_closing()
        )

    def expect(self, *, bodiless: bool) -> None:
        """Get ready for a response; `bodiless` where the request says it has no body (HEAD)."""
        # A new one each time: nothing of what came before can be part of what comes next.
        self._parser = HttpResponseParser(
            self,
            self._loop,
            READ_BUFFER,
            payload_exception=ClientPayloadError,
            response_with_body=not bodiless,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
        )
        self._payload = None
        self._owed = True
        self.heard = False

    def wait_for_peer(self) -> None:
        """It is the peer's turn from now on."""
        self.silent_since = self._loop.time()

    async def head(self) -> Response:
        """The head of the final response and the reader of its body; interim ones are left out.

        Raises HttpProcessingError, SocketTimeoutError, ServerDisconnectedError or OSError.
        """
        while not self._heads:
            if self._failure is not None:
                raise self._failure
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._heads.popleft()

    def fail(self, failure: Exception) -> None:
        """Tell whoever waits for a head or reads a body; the connection carries nothing more."""
        self._ended = True
        self.silent_since = math.inf
        if self._failure is None:
            self._failure = failure
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(failure)
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(failure)

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        self._ended = True
        self._failure = None
        self.silent_since = math.inf
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
            self._payload = None

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or not self._owed:
            # Nothing was asked for: whatever this is, no response may come behind it.
            self._ended = self._ended or bool(data)
            return
        if data:
            self.silent_since = self._loop.time()
            self.heard = True
        try:
            messages, upgraded, _ = parser.feed_data(data)
        except HttpProcessingError as error:
            if self.transport is not None:
                self.transport.close()
            self.fail(HttpProcessingError(code=error.code, message=error.message))
            return
        for message, payload in messages:
            self._take(message, payload)
        if upgraded or (self._payload is not None and self._payload.is_eof()):
            self._owed = False
            self.silent_since = math.inf

    def _take(self, message: RawResponseMessage, payload: StreamReader) -> None:
        if message.code < 200 and message.code != 101:
            return
        if self._payload is not None or message.should_close or message.upgrade:
            # Two responses to one request, or the last on this connection.
            self._ended = True
        self._payload = payload
        empty = message.code in EMPTY_BODY_STATUS_CODES
        self._heads.append((message, EMPTY_PAYLOAD if empty else payload))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def pause_reading(self) -> None:
        """Stop reading; the peer owes nothing while nobody takes what it sends."""
        super().pause_reading()
        self.silent_since = math.inf

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on; readers say so each time they were given something."""
        if not self._reading_paused:
            return
        super().resume_reading(resume_parser)
        if not self._reading_paused and self._payload is not None and not self._payload.is_eof():
            self.silent_since = self._loop.time()

    def eof_received(self) -> None:
        """The peer sends no more; the transport closes, and `connection_lost` tells."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """End a body that lasts until the connection does; anything else ends in a failure."""
        parser, self._parser = self._parser, None
        if parser is not None:
            try:
                parser.feed_eof()
            except Exception as cut:
                self.fail(ClientPayloadError(f"the body ended early: {cut}"))
        self.fail(exc if isinstance(exc, OSError) else ServerDisconnectedError())
        super().connection_lost(exc)
