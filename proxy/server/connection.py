"""The client's side of a connection: aiohttp's, with a watchdog for slow heads and JSON errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage, StreamWriter

from proxy.config.client_settings import ClientSettings
from proxy.http.limits import READ_BUFFER
from proxy.server.exchange import first_line, refusal
from proxy.server.head_limits import LARGE, LATE, refused
from proxy.server.limits import MAX_FIELD, MAX_FIELDS, MAX_HEAD, MAX_LINE
from proxy.server.pace import Outflow
from proxy.workers.share import Share

_log = structlog.get_logger("proxy.server.connection")

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# How long a client may go on sending behind its last request.
_PART_SECONDS: Final = 1.0
_HEAD_END: Final = b"\r\n\r\n"
_LENGTHS: Final = (b"Content-Length: ", b"content-length: ")


class ClientConnection(web.RequestHandler):
    """One connection of a client; closed where nothing comes for the keep-alive timeout.

    The head of each request has to come within `header_timeout` s of its first byte, and a response
    that waits for the client to take it is closed as `patience` says.
    """

    __slots__ = ("_begun", "_ends", "_header_timeout", "_outflow", "_payload", "_watchdog")

    def __init__(
        self, manager: web.Server, *, header_timeout: float, patience: ClientSettings, **kwargs: Any
    ) -> None:
        super().__init__(
            manager,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            read_bufsize=READ_BUFFER,
            auto_decompress=False,
            **kwargs,
        )
        self._header_timeout = header_timeout
        self._watchdog: asyncio.TimerHandle | None = None
        # How much there is of a head whose end has not come.
        self._begun = 0
        self._ends = False
        # The body of the last request that came.
        self._payload: StreamReader | None = None
        self._outflow = Outflow(patience, self._too_slow)

    @property
    def ends(self) -> bool:
        """Whether the next response has to be the last, as nobody knows what stands behind it."""
        return self._ends

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for its turn."""
        return self._request_in_progress or bool(self._messages)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._watch(self._keepalive_timeout)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._unwatch()
        self._outflow.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take its response as fast as it comes."""
        super().pause_writing()
        if self.transport is not None:
            self._outflow.begin(self.transport)

    def resume_writing(self) -> None:
        """It took it."""
        self._outflow.end()
        super().resume_writing()

    def _too_slow(self, reason: str) -> None:
        _log.warning("client does not take its response", peer=self.peername, reason=reason)
        if self.transport is not None:
            self.transport.abort()
        self.force_close()

    async def start(self) -> None:
        """Answer requests one after the other, in the connection's own task.

        aiohttp makes a task for each, which with its way there and back costs more than relaying a
        small request does. What is no usual request goes back to the queue, and it and all behind
        it are left to aiohttp.
        """
        manager = self._manager
        assert manager is not None
        while not self._force_close:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message, payload = self._messages[0]
            if self._upgraded or not isinstance(message, RawRequestMessage) or message.upgrade:
                return await super().start()
            self._messages.popleft()
            self._make_room()
            manager.requests_count += 1
            if not await self._serve(manager.request_handler, message, payload):
                break
            self._await_next()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self._part(self.transport)
        return None

    def _part(self, transport: asyncio.Transport) -> None:
        """Close once the client did, or soon: at once could take the response from under its eyes.

        For the system answers with a reset to what comes when nobody listens (RFC 9112, 9.6).
        """
        self._close = True
        if transport.is_closing() or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self._resume_transport_reading()
        self._watch(_PART_SECONDS)

    def _make_room(self) -> None:
        """A request was taken from the queue: the parser may go on, and the transport read."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _serve(
        self, handler: _Handler, message: RawRequestMessage, payload: StreamReader
    ) -> bool:
        """Answer one request; whether the connection may carry another one."""
        task = self._task_handler or asyncio.current_task()
        writer = StreamWriter(self, self._loop)
        request = web.BaseRequest(message, payload, self, writer, task, self._loop)  # type: ignore[arg-type]
        self._request_in_progress, self._current_request = True, request
        try:
            response = await handler(request)
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            # The client is gone.
            return False
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception as error:
            self.log_exception("Unhandled exception", exc_info=error)
            self.force_close()
            return False
        finally:
            self._request_in_progress, self._current_request = False, None
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)
        if not payload.is_eof():
            await self._linger(payload)
        return bool(response.keep_alive) and not (self._close or self._force_close)

    async def _linger(self, payload: StreamReader) -> None:
        """Read what is left of a body that nobody wanted, so that the client sees its response."""
        if not self._force_close:
            # A second reader at once is a RuntimeError.
            with suppress(TimeoutError, web.RequestPayloadError, RuntimeError):
                async with asyncio.timeout(self._lingering_time):
                    # Who read it so far was told to stop, and does so before this goes on.
                    await asyncio.sleep(0)
                    while not payload.is_eof():
                        await payload.readany()
            if not payload.is_eof():
                self.close()
        payload.set_exception(web.PayloadAccessError())

    def _await_next(self) -> None:
        """Close the connection unless the next request comes in time."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )

    def data_received(self, data: bytes) -> None:
        if self._close:
            return
        before = self._request_count
        idle = not self.busy
        payload = self._payload
        between = payload is None or payload.is_eof()
        end = data.find(_HEAD_END) + 4 if between else 0
        if 4 <= end < len(data) and not _is_whole(data, end):
            self._feed(data, end)
        else:
            super().data_received(data)
        if self._request_count != before:
            self._unwatch()
            self._look_at_last(data if idle and self._request_count == before + 1 else b"")
        elif data and idle and between:
            self._look_at_beginning(len(data))

    def _feed(self, data: bytes, end: int) -> None:
        """Parse a piece that is more than one request a head at a time, the first till `end`.

        For the parser gives nothing of a piece in which anything is wrong, and what came whole
        before that is to be answered.
        """
        start = 0
        while start < len(data):
            before = self._request_count
            super().data_received(data[start:end])
            message, payload = self._messages[-1] if self._messages else (None, None)
            if isinstance(message, RawRequestMessage) and self._request_count != before:
                self._payload = payload
                if message.upgrade:
                    self._look_behind_upgrade(message, data[start:])
            start, at = end, data.find(_HEAD_END, end)
            end = at + 4 if at >= 0 and not self._buffer_paused else len(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on; readers say so each time they were given something."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP; a request that our handler lost ends its connection."""
        if request.writer.output_size > 0 or status != 400 or exc is None:
            raise ConnectionError("the connection cannot be used any further") from exc
        _log.debug("bad request", peer=request.remote, reason=first_line(exc))
        return refusal(refused(exc))

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log what aiohttp could not handle; a body whose framing broke was answered already."""
        error = kwargs.get("exc_info")
        if not isinstance(error, web.RequestPayloadError):
            _log.error("connection failed", exc_info=error)

    def _look_at_last(self, data: bytes) -> None:
        """See to the last message in the queue, most of all where it is no usual request."""
        message, payload = self._messages[-1] if self._messages else (None, None)
        if not isinstance(message, RawRequestMessage):
            self._tell_reader(message)
            return
        self._payload = payload
        if message.upgrade:
            self._look_behind_upgrade(message, data)

    def _look_at_beginning(self, size: int) -> None:
        """A head has begun, or goes on."""
        if not self._begun:
            # Its own timeout holds from here on.
            self._next_keepalive_close_time = self._loop.time() + 2 * self._header_timeout
            self._watch(self._header_timeout)
        self._begun += size
        if self._begun > MAX_HEAD:
            self._refuse(LARGE)

    def _look_behind_upgrade(self, message: RawRequestMessage, data: bytes) -> None:
        """End the connection where bytes behind a request to change the protocol may be lost.

        The parser stops at such a request. Most of them go on as if nothing had been asked for,
        and then it loses what came in one piece with them. `data` is that piece where it holds
        nothing before the request.
        """
        head, end, body = data.partition(b"\r\n\r\n")
        length = message.headers.get("Content-Length", "0")
        alone = bool(head and end) and not message.chunked and len(body) == int(length)
        # What comes later is kept for a web socket, and read by other ways after the response.
        web_socket = message.headers.get("Upgrade", "").lower() == "websocket"
        self._ends = self._ends or web_socket or not alone

    def _tell_reader(self, message: Any) -> None:
        """Tell of a body whose framing broke whoever reads it; aiohttp queues the error behind."""
        payload = self._payload
        if payload is not None and message is not None and not payload.is_eof():
            payload.set_exception(web.RequestPayloadError(message.message))

    def _watch(self, seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = self._loop.call_later(seconds, self._expired)

    def _unwatch(self) -> None:
        self._begun = 0
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _expired(self) -> None:
        self._watchdog = None
        if self.busy and not self._close:
            return
        if self._begun and not self._close:
            self._refuse(LATE)
        else:
            self.force_close()

    def _refuse(self, response: bytes) -> None:
        if self.transport is not None:
            self.transport.write(response)
        self.force_close()


def _is_whole(data: bytes, end: int) -> bool:
    """Whether a piece is one request with a body of the length that its head, till `end`, tells.

    A guess that saves work: both ways of reading the piece come to the same.
    """
    for spelling in _LENGTHS:
        at = data.find(spelling, 0, end)
        if at >= 0:
            return data.startswith(b"%d\r\n" % (len(data) - end), at + len(spelling))
    return False


class ClientServer(web.Server):
    """Makes a ClientConnection of each connection it gets; `options` are aiohttp's."""

    def __init__(
        self,
        handler: Any,
        *,
        header_timeout: float,
        patience: ClientSettings,
        share: Share,
        **options: Any,
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._share = share
        self._header_timeout = header_timeout
        self._patience = patience
        self._options = options
        self._lost: asyncio.Future[None] | None = None

    def __call__(self) -> web.RequestHandler:
        return ClientConnection(
            self,
            header_timeout=self._header_timeout,
            patience=self._patience,
            loop=self._loop,
            **self._options,
        )

    async def empty(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            self._lost = asyncio.get_running_loop().create_future()
            await self._lost

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._share.add()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._share.remove()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def close_idle(self) -> None:
        """Close the connections on which no request is being answered."""
        for connection in self.connections:
            if isinstance(connection, ClientConnection) and not connection.busy:
                connection.force_close()


def ends_with(request: web.BaseRequest) -> bool:
    """Whether the connection has to end with the response to `request`."""
    connection = request.protocol
    return isinstance(connection, ClientConnection) and connection.ends
