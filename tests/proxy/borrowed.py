"""Names of aiohttp that it promises nobody, and what the proxy takes each for.

This is the one list of them: `test_borrowed.py` finds what the code uses in the sources, and proves
each meaning on aiohttp's own classes, without ours. `USED_IN` says where to look when one fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE: Final = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

USED_IN: Final = "proxy/server/connection.py, response.py, exchange.py and proxy/upstream/http11.py"

# Modules that aiohttp does not document, and what is imported of them.
IMPORTS: Final = {
    "aiohttp.base_protocol": {"BaseProtocol"},
    "aiohttp.client_exceptions": {"ServerDisconnectedError", "SocketTimeoutError"},
    "aiohttp.helpers": {"EMPTY_BODY_STATUS_CODES"},
    "aiohttp.http": {"RawRequestMessage", "StreamWriter"},
    "aiohttp.http_exceptions": {"HttpProcessingError", "LineTooLong"},
    "aiohttp.http_parser": {"HttpResponseParser", "RawResponseMessage"},
    "aiohttp.http_writer": {"StreamWriter"},
    "aiohttp.streams": {"EMPTY_PAYLOAD"},
}


class Recording(asyncio.Transport):
    """A transport without a socket: what was written, and the calls that were made."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls


class Stock:
    """aiohttp's own connection of a client, and a handler that answers when it is let."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.go = asyncio.Event()
        self.requests: list[web.BaseRequest] = []
        self.server = web.Server(self._respond, handler_cancellation=True)
        self.connection: Any = web.RequestHandler(
            self.server, loop=self.loop, keepalive_timeout=70.0, lingering_time=7.0
        )
        self.transport = Recording()
        self.connection.connection_made(self.transport)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        await self.go.wait()
        return web.Response()

    async def turns(self) -> None:
        """Let everything that can go on do so."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def responding(self) -> Any:
        """The connection while its first request is being answered."""
        await self.turns()
        self.connection.data_received(GET)
        await self.turns()
        assert len(self.requests) == 1
        return self.connection


async def the_loop(stock: Stock) -> None:
    assert stock.connection._loop is stock.loop


async def the_keep_alive_timeout(stock: Stock) -> None:
    assert stock.connection._keepalive_timeout == 70.0


async def the_lingering_time(stock: Stock) -> None:
    assert stock.connection._lingering_time == 7.0


async def the_server(stock: Stock) -> None:
    connection = stock.connection
    assert connection._manager is stock.server
    assert connection in stock.server.connections
    connection.connection_lost(None)
    assert connection._manager is None


async def the_parser(stock: Stock) -> None:
    connection = stock.connection
    assert type(connection._parser) is HttpRequestParser
    connection.connection_lost(None)
    assert connection._parser is None
    # As towards the backend, where each request makes another one.
    protocol: Any = BaseProtocol(stock.loop)
    assert protocol._parser is None


async def the_queue(stock: Stock) -> None:
    stock.connection.data_received(GET * 2)
    (message, payload), _ = stock.connection._messages
    assert type(message) is RawRequestMessage
    assert isinstance(payload, StreamReader)
    stock.connection.data_received(b"no HTTP\r\n\r\n")
    assert not isinstance(stock.connection._messages[-1][0], RawRequestMessage)


async def the_count(stock: Stock) -> None:
    stock.connection.data_received(GET * 2)
    assert stock.connection._request_count == 2


async def the_waiter(stock: Stock) -> None:
    connection = stock.connection
    await stock.turns()
    waiter = connection._waiter
    assert not waiter.done()
    connection.data_received(GET)
    assert waiter.done()
    await stock.turns()
    assert connection._waiter is None


async def while_responding(stock: Stock) -> None:
    connection = await stock.responding()
    assert connection._request_in_progress is True
    assert connection._current_request is stock.requests[0]
    stock.go.set()
    await stock.turns()
    assert connection._request_in_progress is False
    assert connection._current_request is None
    assert connection._keepalive_handle is not None


async def the_task(stock: Stock) -> None:
    connection = await stock.responding()
    task = connection._task_handler
    assert task.get_coro().__name__ == "start"
    connection.connection_lost(None)
    assert connection._task_handler is None
    await stock.turns()
    assert task.cancelled()


async def who_waits_for_the_handler(stock: Stock) -> None:
    connection = await stock.responding()
    waiter: Any = connection._handler_waiter
    assert waiter is None
    ending = asyncio.ensure_future(connection.shutdown(5.0))
    await stock.turns()
    waiter = connection._handler_waiter
    assert not waiter.done()
    stock.go.set()
    await ending
    assert waiter.done()


async def close_at_once(stock: Stock) -> None:
    await stock.turns()
    assert stock.connection._force_close is False
    stock.connection.force_close()
    assert stock.connection._force_close is True
    assert stock.transport.calls == ["close"]


async def close_after_this(stock: Stock) -> None:
    connection = await stock.responding()
    assert connection._close is False
    connection.close()
    assert connection._close is True
    assert stock.transport.calls == []
    connection.data_received(GET)
    assert not connection._messages


async def another_protocol(stock: Stock) -> None:
    assert stock.connection._upgraded is False
    stock.connection.data_received(UPGRADE + b"behind")
    assert stock.connection._upgraded is True
    assert stock.connection._messages[0][0].upgrade is True


async def the_keep_alive_timer(stock: Stock) -> None:
    await stock.turns()
    connection = stock.connection
    first = connection._keepalive_handle
    # Event loops round.
    assert abs(first.when() - connection._next_keepalive_close_time) < 1.0
    # Before its time it only sets another one.
    connection._next_keepalive_close_time += 100.0
    connection._process_keepalive()
    assert stock.transport.calls == []
    second = connection._keepalive_handle
    assert abs(second.when() - connection._next_keepalive_close_time) < 1.0
    connection._next_keepalive_close_time = stock.loop.time() - 1.0
    connection._process_keepalive()
    assert stock.transport.calls == ["close"]
    first.cancel()
    second.cancel()


async def a_full_queue(stock: Stock) -> None:
    connection = stock.connection
    connection.data_received(GET * 40)
    held = len(connection._messages)
    assert connection._buffer_paused is True
    assert stock.transport.calls == ["pause_reading"]
    assert 0 < connection._msg_queue_resume_size < held < 40
    # Each message that was taken makes room for one that came.
    for _ in range(held):
        connection._messages.popleft()
        connection._parser.message_consumed()
    connection._resume_reading_if_drained()
    assert len(connection._messages) == 40 - held
    assert connection._buffer_paused is False
    assert stock.transport.calls[-1] == "resume_reading"


async def reading(stock: Stock) -> None:
    connection = stock.connection
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    assert connection._reading_paused is False
    connection.pause_reading()
    assert connection._reading_paused is True
    connection._resume_transport_reading()
    assert stock.transport.calls == ["pause_reading", "resume_reading"]
    connection.resume_reading()
    assert connection._reading_paused is False


async def draining(stock: Stock) -> None:
    connection = stock.connection
    await connection._drain_helper()
    connection.pause_writing()
    assert connection.writing_paused is True
    draining = asyncio.ensure_future(connection._drain_helper())
    await stock.turns()
    assert not draining.done()
    connection.resume_writing()
    await draining
    connection.connection_lost(None)
    try:
        await connection._drain_helper()
    except ConnectionResetError:
        return
    raise AssertionError("a connection that is lost can be written to")


async def the_status(stock: Stock) -> None:
    response: Any = web.StreamResponse(status=418, reason="odd")
    assert (response._status, response._reason) == (418, "odd")


async def keep_alive(stock: Stock) -> None:
    response: Any = web.StreamResponse()
    assert response._keep_alive is None
    response.force_close()
    assert response._keep_alive is False


async def added_fields(stock: Stock) -> None:
    class Looking(web.StreamResponse):
        async def _prepare_headers(self) -> None:
            assert not self.headers
            await super()._prepare_headers()
            assert {"Date", "Server", "Content-Type"} <= set(self.headers)
            self.headers.popall("Date")

    await stock.responding()
    await Looking().prepare(stock.requests[0])
    head = stock.transport.written
    assert b"\r\nServer: " in head
    assert b"\r\nDate: " not in head


async def the_loop_of_a_server(stock: Stock) -> None:
    assert vars(stock.server)["_loop"] is stock.loop


Proof = Callable[[Stock], Awaitable[None]]

# class.name -> what it is taken for, and the proof.
NAMES: Final[dict[str, tuple[str, Proof]]] = {
    "BaseProtocol._buffer_paused": ("that the queue is full and nothing is read", a_full_queue),
    "BaseProtocol._drain_helper": ("waits until the client took most of it", draining),
    "BaseProtocol._loop": ("the event loop", the_loop),
    "BaseProtocol._parser": ("what reads bytes, until the connection is lost", the_parser),
    "BaseProtocol._reading_paused": ("that a reader wants no more", reading),
    "BaseProtocol._resume_transport_reading": ("lets the transport read", reading),
    "BaseProtocol._upgraded": ("that another protocol was asked for", another_protocol),
    "RequestHandler._close": ("that this response is the last one", close_after_this),
    "RequestHandler._current_request": ("the request that is being answered", while_responding),
    "RequestHandler._force_close": ("that it is closed", close_at_once),
    "RequestHandler._handler_waiter": ("told when the handler is done", who_waits_for_the_handler),
    "RequestHandler._keepalive_handle": ("the timer of an idle one", the_keep_alive_timer),
    "RequestHandler._keepalive_timeout": ("the seconds given", the_keep_alive_timeout),
    "RequestHandler._lingering_time": ("the seconds given", the_lingering_time),
    "RequestHandler._manager": ("the server, until the connection is lost", the_server),
    "RequestHandler._messages": ("what came and waits for its turn", the_queue),
    "RequestHandler._msg_queue_resume_size": ("when there is room again", a_full_queue),
    "RequestHandler._next_keepalive_close_time": ("when an idle one ends", the_keep_alive_timer),
    "RequestHandler._process_keepalive": ("ends an idle one in its time", the_keep_alive_timer),
    "RequestHandler._request_count": ("how many messages came", the_count),
    "RequestHandler._request_in_progress": ("whether one is being answered", while_responding),
    "RequestHandler._resume_reading_if_drained": ("reads on where there is room", a_full_queue),
    "RequestHandler._task_handler": ("the task of start()", the_task),
    "RequestHandler._waiter": ("told when a message comes", the_waiter),
    "Server._loop": ("the event loop", the_loop_of_a_server),
    "StreamResponse._keep_alive": ("None, or what was decided", keep_alive),
    "StreamResponse._prepare_headers": ("adds Date, Server and Content-Type", added_fields),
    "StreamResponse._reason": ("the reason given", the_status),
    "StreamResponse._status": ("the status given", the_status),
}
