"""Requests as they are framed: what is no HTTP is refused, what came before it is answered."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.proxy.conftest import StartBare
from tests.proxy.wire import Client, Message, ScriptedBackend, Wire, request

# What has to be refused before anything reaches the backend: a proxy and a backend that read these
# differently would let one request hide another.
BAD_FRAMING = {
    "both lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Content-Length: 4\r\n\r\nabcd",
    "same length twice": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "signed length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "hex length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
    "underscored length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n0123456789",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "other coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked not last": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "vertical tab": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "bare line feed": b"GET / HTTP/1.1\nHost: x\n\n",
    "lone carriage return": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\rX-C: d\r\n\r\n",
    "null byte": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x00\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "signed chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"+3\r\nabc\r\n0\r\n\r\n",
    "chunk with line feed": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\nabc\r\n0\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw byte in target": b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "foreign target": b"GET http://other/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD_FRAMING.values(), ids=BAD_FRAMING.keys())
async def test_bad_framing(backend: ScriptedBackend, client: Client, data: bytes) -> None:
    """What is not clean HTTP gets a 400 in the error envelope and a closed connection; the backend
    never hears of it."""
    await client.send(data)
    got = await client.read_response()
    assert got.first_line == b"HTTP/1.1 400 Bad Request"
    error = orjson.loads(got.body)
    assert error["status"] == 400
    assert error["error"]["root_cause"][0]["reason"] == error["error"]["reason"]
    assert "\\x" not in error["error"]["reason"]
    assert await client.at_end()
    assert backend.received == []


@pytest.mark.parametrize("tail", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n"])
async def test_body_whose_framing_breaks(
    backend: ScriptedBackend, client: Client, tail: bytes
) -> None:
    """A chunked body that breaks on its way is a 400, and no whole request for the backend."""
    backend.head_only = {"/"}
    ended = asyncio.Event()

    async def wait(message: Message, wire: Wire) -> None:
        rest = await wire.reader.read()
        assert not rest.endswith(b"0\r\n\r\n")
        ended.set()

    backend.reply = wait
    await client.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    await backend.arrival()
    await client.send(tail)
    got = await client.read_response("POST")
    assert (got.status, b"framed wrongly" in got.body) == (400, True)
    assert await client.at_end()
    await ended.wait()


async def test_full_url_as_target(backend: ScriptedBackend, client: Client) -> None:
    """A target with the scheme and host of the Host header is the path in it."""
    for target in (
        "http://search.example/a/b?c=d",
        "HTTP://SEARCH.example",
        "http://search.example?x",
    ):
        assert (await client.ask(request(target))).status == 200
    assert backend.targets == ["/a/b?c=d", "/", "/?x"]


async def test_asterisk_target(backend: ScriptedBackend, client: Client) -> None:
    """OPTIONS * passes."""
    assert (await client.ask(request("*", "OPTIONS"))).status == 200
    assert backend.targets == ["*"]


async def test_trace_is_refused(backend: ScriptedBackend, client: Client) -> None:
    """TRACE, which would show a client's credentials, is a 405."""
    assert (await client.ask(request("/", "TRACE"))).status == 405
    assert backend.received == []


async def test_unknown_expectation_is_refused(backend: ScriptedBackend, client: Client) -> None:
    """An Expect that is not 100-continue is a 417."""
    got = await client.ask(request("/", "GET", b"", "Expect: tea"))
    assert (got.status, got.get("connection")) == (417, b"close")


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/3.7", b"HTCPCP/1.0"])
async def test_refusals_are_in_the_proxys_own_version(client: Client, version: bytes) -> None:
    """What is malformed is told so in HTTP/1.1, whatever version it claims to be."""
    await client.send(b"GET /a b " + version + b"\r\n\r\n")
    got = await client.read_response()
    assert (got.first_line, got.get("connection")) == (b"HTTP/1.1 400 Bad Request", b"close")


async def test_good_request_in_an_old_version(client: Client) -> None:
    """HTTP/1.0 is answered in kind."""
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.read_response()).first_line == b"HTTP/1.0 200 OK"
    assert await client.at_end()


GOOD = b"POST /good HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = (
    b"POST /good HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
)
BROKEN = {
    "nonsense": b"\x00\x01\x02",
    "words": b"stray bytes",
    "bad line": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad field": b"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("good", [GOOD, CHUNKED, request("/good")], ids=["body", "chunks", "get"])
async def test_what_came_before_a_broken_request_is_answered(
    backend: ScriptedBackend, client: Client, good: bytes, broken: bytes
) -> None:
    """Whole requests in the same piece have their responses; then comes the 400, and the end."""
    await client.send(good + b"\r\n" + good + broken)
    got = [await client.read_response() for _ in range(3)]
    assert [each.status for each in got] == [200, 200, 400]
    assert await client.at_end()
    assert backend.targets == ["/good", "/good"]


async def test_bytes_behind_the_last_request(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """Whatever follows a request that ends its connection, the request has its response."""
    proxy = await start_bare()
    for stray in (b"\r\n", b"\r\n\r\n", b"x", b"\x00" * 5000, *BROKEN.values(), request("/next")):
        for head in (b"HTTP/1.1\r\nHost: x\r\nConnection: close", b"HTTP/1.0"):
            for last in (b"GET / ", b"POST / "):
                body = b"\r\nContent-Length: 2\r\n\r\n{}" if last[:1] == b"P" else b"\r\n\r\n"
                client = await proxy.client()
                await client.send(last + head + body + stray)
                assert (await client.read_response()).status == 200
                assert await client.at_end()
    assert set(backend.targets) == {"/"}
