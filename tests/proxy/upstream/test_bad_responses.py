"""Responses of a backend that two parsers could read differently: none splits into two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from tests.proxy.wire import Client, ScriptedBackend, request

CHUNKS: Final = b"5\r\nabcde\r\n0\r\n\r\n"
EVIL: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


def head(*fields: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *fields, b"", b""])


REFUSED: Final[Mapping[str, bytes]] = {
    "two equal lengths": head(b"Content-Length: 5", b"Content-Length: 5") + b"abcde",
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 3") + b"abcde",
    "list of lengths": head(b"Content-Length: 5, 5") + b"abcde",
    "signed length": head(b"Content-Length: +5") + b"abcde",
    "negative length": head(b"Content-Length: -5") + b"abcde",
    "length and chunked": head(b"Content-Length: 3", b"Transfer-Encoding: chunked") + CHUNKS,
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 3") + CHUNKS,
    "other coding": head(b"Transfer-Encoding: gzip, chunked") + CHUNKS,
    "return in a value": head(b"X-A: b\rc", b"Content-Length: 0"),
    "null byte in a value": head(b"X-A: b\x00c", b"Content-Length: 0"),
    "control character in a value": head(b"X-A: b\x01c", b"Content-Length: 0"),
    "control character in the reason": head(b"Content-Length: 0", status=b"HTTP/1.1 200 O\x01K"),
    "space in a name": head(b"X A: b", b"Content-Length: 0"),
    "garbage behind the body": head(b"Content-Length: 5") + b"abcdefgh",
    "body of an answer without one": head(b"Content-Length: 5", status=b"HTTP/1.1 204 No")
    + b"abcde",
    "other protocol": head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Go") + EVIL,
    "status of two digits": head(b"Content-Length: 0", status=b"HTTP/1.1 99 x"),
    "status of four digits": head(b"Content-Length: 0", status=b"HTTP/1.1 1000 x"),
}


@pytest.mark.parametrize("reply", REFUSED.values(), ids=REFUSED.keys())
async def test_refused(backend: ScriptedBackend, client: Client, reply: bytes) -> None:
    """A response that is not clean HTTP is a 502, and the next request gets its own response."""
    backend.replies["/bad"] = reply
    # A connection used before must not make the request go out twice.
    assert (await client.ask(request("/first"))).status == 200
    assert (await client.ask(request("/bad"))).status == 502
    assert (await client.ask(request("/next"))).body == b"{}"
    assert backend.targets == ["/first", "/bad", "/next"]


PASSED: Final[Mapping[str, bytes]] = {
    "second answer": head(b"Content-Length: 5") + b"abcde" + EVIL,
    "folded field": head(b"X-A: b\r\n c", b"Content-Length: 5") + b"abcde",
    "line feeds": b"HTTP/1.1 200 OK\nX-A: b c\nContent-Length: 5\n\nabcde",
    "no reason": head(b"Content-Length: 5", status=b"HTTP/1.1 200") + b"abcde",
}


@pytest.mark.parametrize("reply", PASSED.values(), ids=PASSED.keys())
async def test_passed(backend: ScriptedBackend, client: Client, reply: bytes) -> None:
    """What is merely written oddly reaches the client in clean form; what follows it does not."""
    backend.replies["/odd"] = reply
    got = await client.ask(request("/odd"))
    assert (got.status, got.body, got.get("x-a") or b"b c") == (200, b"abcde", b"b c")
    assert (await client.ask(request("/next"))).body == b"{}"
