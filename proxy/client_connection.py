"""The client's side of a connection: aiohttp's, with a watchdog for slow heads and JSON errors."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http import RawRequestMessage

from proxy.errors import MalformedRequest, answer_for, envelope
from proxy.exchange import JSON, first_line, refusal

_log = structlog.get_logger("proxy.client_connection")

_SLOW_BODY: Final = envelope(
    408, "request_timeout_exception", "the head of the request did not come in time"
)
_SLOW: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
    b"Content-Type: " + JSON.encode() + b"\r\n"
    b"Content-Length: " + str(len(_SLOW_BODY)).encode() + b"\r\n\r\n" + _SLOW_BODY
)


class ClientConnection(web.RequestHandler):
    """One connection of a client. The head of each request has to come in `header_timeout` s."""

    __slots__ = ("_ends", "_header_timeout", "_received", "_watchdog")

    def __init__(self, manager: web.Server, *, header_timeout: float, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._header_timeout = header_timeout
        self._watchdog: asyncio.TimerHandle | None = None
        self._received = False
        self._ends = False

    @property
    def ends(self) -> bool:
        """Whether the next answer has to be the last, as nobody knows what stands behind it."""
        return self._ends

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for its turn."""
        return self._request_in_progress or bool(self._messages)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        idle = not self.busy
        super().data_received(data)
        if self._request_count != before:
            self._unwatch()
            self._tell_reader()
            self._look_behind_upgrade(data if idle and self._request_count == before + 1 else b"")
        elif not self.busy:
            self._received = True
            if self._watchdog is None:
                self._watch()

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
        error = answer_for(MalformedRequest(f"not a valid HTTP/1.1 request: {first_line(exc)}"))
        return refusal(error)

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log what aiohttp could not handle; a body whose framing broke was answered already."""
        error = kwargs.get("exc_info")
        if not isinstance(error, web.RequestPayloadError):
            _log.error("connection failed", exc_info=error)

    def _look_behind_upgrade(self, data: bytes) -> None:
        """End the connection where bytes behind a request to change the protocol may be lost.

        The parser stops at such a request. Most of them go on as if nothing had been asked for,
        and then it loses what came in one piece with them. `data` is that piece where it holds
        nothing before the request.
        """
        message = self._messages[-1][0] if self._messages else None
        if not isinstance(message, RawRequestMessage) or not message.upgrade:
            return
        head, end, body = data.partition(b"\r\n\r\n")
        length = message.headers.get("Content-Length", "0")
        alone = bool(head and end) and not message.chunked and len(body) == int(length)
        # What comes later is kept for a web socket, and read by other ways after the answer.
        web_socket = message.headers.get("Upgrade", "").lower() == "websocket"
        self._ends = self._ends or web_socket or not alone

    def _tell_reader(self) -> None:
        """Wake whoever reads a body whose framing broke; aiohttp queues the error behind it."""
        request = self._current_request
        message = self._messages[-1][0] if self._messages else None
        if request is None or message is None or isinstance(message, RawRequestMessage):
            return
        if not request.content.is_eof():
            request.content.set_exception(web.RequestPayloadError(message.message))

    def _watch(self) -> None:
        self._watchdog = self._loop.call_later(self._header_timeout, self._expired)

    def _unwatch(self) -> None:
        self._received = False
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _expired(self) -> None:
        self._watchdog = None
        if self.busy:
            return
        if self._received and self.transport is not None:
            self.transport.write(_SLOW)
        self.force_close()


class ClientServer(web.Server):
    """Makes a ClientConnection of each connection it gets; `options` are aiohttp's."""

    def __init__(self, handler: Any, *, header_timeout: float, **options: Any) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._header_timeout = header_timeout
        self._options = options
        self._lost: asyncio.Future[None] | None = None

    def __call__(self) -> web.RequestHandler:
        return ClientConnection(
            self, header_timeout=self._header_timeout, loop=self._loop, **self._options
        )

    async def empty(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            self._lost = asyncio.get_running_loop().create_future()
            await self._lost

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def close_idle(self) -> None:
        """Close the connections on which no request is being answered."""
        for connection in self.connections:
            if isinstance(connection, ClientConnection) and not connection.busy:
                connection.force_close()


def ends_with(request: web.BaseRequest) -> bool:
    """Whether the connection has to end with the answer to `request`."""
    connection = request.protocol
    return isinstance(connection, ClientConnection) and connection.ends
