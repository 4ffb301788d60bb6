"""Requests that end their connection, with another one behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.corpus.cases import (
    CHUNKED_ABC,
    GET_A,
    HIDDEN,
    Case,
    Sent,
    chunked,
    get,
    post,
)

# What ends a connection: nothing behind it is read.
_UPGRADE: Final = (b"Connection: upgrade", b"Upgrade: h2c")
_SOCKET: Final = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
ENDINGS: Final[Mapping[str, Case]] = {
    "close": Case(get(b"Connection: close") + HIDDEN, (GET_A,), (200,)),
    "close in a list": Case(get(b"Connection: X-A, close") + HIDDEN, (GET_A,), (200,)),
    "close in capitals": Case(get(b"CONNECTION: CLOSE") + HIDDEN, (GET_A,), (200,)),
    "HTTP/1.0": Case(get(version=b"1.0") + HIDDEN, (GET_A,), (200,)),
    "HTTP/1.0 without a host": Case(b"GET /a HTTP/1.0\r\n\r\n" + HIDDEN, (GET_A,), (200,)),
    "upgrade to HTTP/2": Case(get(*_UPGRADE) + HIDDEN, (GET_A,), (200,)),
    "upgrade to HTTP/2 with a body": Case(
        post(b"abc", b"Content-Length: 3", *_UPGRADE) + HIDDEN,
        (Sent("POST", b"/a", b"abc"),),
        (200,),
    ),
    "upgrade to HTTP/2 with chunks": Case(
        chunked(b"3\r\nabc\r\n0\r\n\r\n", *_UPGRADE) + HIDDEN, (CHUNKED_ABC,), (200,)
    ),
    "upgrade to a web socket": Case(get(*_SOCKET) + HIDDEN, (GET_A,), (200,)),
    "upgrade to a web socket with a body": Case(
        post(b"abc", b"Content-Length: 3", *_SOCKET) + HIDDEN,
        (Sent("POST", b"/a", b"abc"),),
        (200,),
    ),
    "upgrade twice": Case(get(*_SOCKET) + get(*_UPGRADE) + HIDDEN, (GET_A,), (200,)),
}
