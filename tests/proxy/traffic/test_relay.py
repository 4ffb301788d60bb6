"""What passes through: the same bytes both ways, and broken connections where something broke."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from proxy.traffic.relay import only_reads
from tests.proxy.conftest import Proxy, StartBare
from tests.proxy.wire import Client, Message, ScriptedBackend, Wire, http_response, request

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/_search?",
        "/_search?q=a%20b&&x=%2F?y",
        "/a%2Fb/_doc/c%2fd",
        "/%3Clogs-%7Bnow%2Fd%7D%3E/_search",
        "//double//slash/",
        "/a/../b/./c",
        "/x?q=" + "y" * 4_000,
        "/a;b,c*d|e'f\"g\\h",
    ],
)
async def test_target_is_unchanged(backend: ScriptedBackend, client: Client, target: str) -> None:
    """The path and query reach the backend with exactly the bytes the client sent."""
    await client.ask(request(target))
    assert backend.targets == [target]


async def test_request_fields_keep_order_case_and_duplicates(
    backend: ScriptedBackend, client: Client
) -> None:
    """Request fields go on as they are, less hop-by-hop; Host is the backend's; none is added."""
    await client.send(
        b"POST /a HTTP/1.1\r\nHOST: x\r\nX-oDd-CaSe: 1\r\nX-Dup: a\r\naccept: */*\r\nX-Dup: b\r\n"
        b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
        b"Upgrade: h2c\r\nProxy-Authorization: Basic eDp5\r\nX-Latin: \xe9\r\nX-Empty:\r\n"
        b"content-length: 2\r\n\r\n{}"
    )
    await client.read_response()
    assert backend.received[0].fields == [
        (b"Host", backend.url[7:].encode()),
        (b"X-oDd-CaSe", b"1"),
        (b"X-Dup", b"a"),
        (b"accept", b"*/*"),
        (b"X-Dup", b"b"),
        (b"X-Latin", b"\xe9"),
        (b"X-Empty", b""),
        (b"content-length", b"2"),
    ]


async def test_response_is_unchanged(backend: ScriptedBackend, client: Client) -> None:
    """Status, reason, fields and body reach the client as the backend sent them; none is added."""
    backend.reply = (
        b"HTTP/1.1 418 Short And Stout\r\nx-oDd: 1\r\nWarning: 299 a\r\nWarning: 299 b\r\n"
        b"Connection: close, X-Hop\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\n"
        b"content-LENGTH: 5\r\n\r\nh\x00\xff\r\n"
    )
    got = await client.ask(request("/"))
    assert got.first_line == b"HTTP/1.1 418 Short And Stout"
    assert got.fields == [
        (b"x-oDd", b"1"),
        (b"Warning", b"299 a"),
        (b"Warning", b"299 b"),
        (b"content-LENGTH", b"5"),
    ]
    assert got.body == b"h\x00\xff\r\n"


async def test_response_value_outside_utf8(backend: ScriptedBackend, client: Client) -> None:
    """A field value that is not UTF-8 arrives as it was sent."""
    backend.reply = b"HTTP/1.1 200 OK\r\nX-L: \xe9\r\nX-U: \xc3\xa9\r\nContent-Length: 0\r\n\r\n"
    got = await client.ask(request("/"))
    assert (got.get("X-L"), got.get("X-U")) == (b"\xe9", "\u00e9".encode())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_methods_with_and_without_body(
    backend: ScriptedBackend, client: Client, method: str
) -> None:
    """Each method goes through, with a body and without; a bodiless one gets no body framing."""
    assert (await client.ask(request("/a", method))).body == b"{}"
    assert (await client.ask(request("/b", method, b'{"x": 1}'))).body == b"{}"
    bare, full = backend.received
    assert bare.first_line == f"{method} /a HTTP/1.1".encode()
    assert bare.names() == [b"Host"]
    assert full.body == b'{"x": 1}'


async def test_head_keeps_the_length_and_sends_no_body(
    backend: ScriptedBackend, client: Client
) -> None:
    """HEAD answers carry the Content-Length of the body they do not have; the connection stays."""
    backend.replies["/gone"] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 123\r\n\r\n"
    got = await client.ask(request("/gone", "HEAD"))
    assert (got.status, got.get("Content-Length"), got.body) == (404, b"123", b"")
    assert (await client.ask(request("/next"))).body == b"{}"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_statuses_without_body(backend: ScriptedBackend, client: Client, status: str) -> None:
    """204 and 304 have no body, and the connection goes on."""
    backend.replies["/x"] = f"HTTP/1.1 {status}\r\nETag: a\r\n\r\n".encode()
    got = await client.ask(request("/x"))
    assert (got.status, got.fields) == (int(status[:3]), [(b"ETag", b"a")])
    assert (await client.ask(request("/next"))).body == b"{}"


async def test_gzip_is_untouched(backend: ScriptedBackend, client: Client) -> None:
    """Compressed bodies pass in both directions as the bytes they are."""
    zipped = gzip.compress(b'{"query": {"match_all": {}}}' * 50)
    backend.reply = http_response(zipped, "200 OK", "content-encoding: gzip")
    got = await client.ask(request("/_search", "POST", zipped, "Content-Encoding: gzip"))
    assert backend.received[0].body == zipped
    assert (got.get("content-encoding"), got.body) == (b"gzip", zipped)


async def test_chunked_both_ways(backend: ScriptedBackend, client: Client) -> None:
    """A chunked body stays chunked, whatever the chunks; its trailers do not pass."""
    backend.reply = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    await client.send(
        b"POST /_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"
    )
    got = await client.read_response("POST")
    assert backend.received[0].body == b"hello world"
    assert backend.received[0].get("content-length") is None
    assert (got.body, got.get("content-length"), got.get("trailer")) == (b"abcde", None, None)


async def test_one_byte_at_a_time(backend: ScriptedBackend, client: Client) -> None:
    """A request and a response that come byte by byte arrive whole."""

    async def trickle(message: Message, wire: Wire) -> None:
        for byte in http_response(b'{"slow": true}', "200 OK", "X-A: b"):
            await wire.send(bytes([byte]))

    backend.reply = trickle
    for byte in request("/slow", "POST", b'{"a": 1}'):
        await client.send(bytes([byte]))
    got = await client.read_response()
    assert backend.received[0].body == b'{"a": 1}'
    assert (got.get("X-A"), got.body) == (b"b", b'{"slow": true}')


async def test_large_bodies_stream(backend: ScriptedBackend, client: Client) -> None:
    """Bodies far above the buffers pass whole in both directions."""
    body = bytes(range(256)) * 4096 * 12
    backend.reply = http_response(body)
    await asyncio.gather(client.send(request("/big", "POST", body)))
    got = await client.read_response("POST")
    assert backend.received[0].body == body
    assert got.body == body


async def test_slow_reader_slows_the_backend(backend: ScriptedBackend, client: Client) -> None:
    """A client that does not read stops the backend's sending after a bounded number of bytes."""
    sent = 0
    stuck = asyncio.Event()

    async def flood(message: Message, wire: Wire) -> None:
        nonlocal sent
        total = 200 * MEGABYTE
        wire.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        block = b"x" * MEGABYTE
        while sent < total:
            wire.writer.write(block)
            sent += len(block)
            try:
                async with asyncio.timeout(1):
                    await wire.writer.drain()
            except TimeoutError:
                stuck.set()
                await wire.closed_by_peer.wait()

    backend.reply = flood
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(request("/flood"))
    await stuck.wait()
    assert sent < 60 * MEGABYTE


async def test_large_response_without_a_length_to_an_old_client(
    backend: ScriptedBackend, client: Client
) -> None:
    """An HTTP/1.0 client gets a body of unknown length unchunked, ended by closing."""
    backend.reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    got = await client.read_response()
    assert got.body == b"abc"
    assert got.get("transfer-encoding") is None


async def test_response_ended_by_closing(backend: ScriptedBackend, client: Client) -> None:
    """A backend's body that ends with its connection is chunked for the client."""

    async def old(message: Message, wire: Wire) -> None:
        await wire.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
        wire.writer.close()

    backend.reply = old
    got = await client.ask(request("/"))
    assert (got.body, got.get("transfer-encoding")) == (b"abc", b"chunked")


async def test_expect_is_answered_when_the_body_is_read(
    backend: ScriptedBackend, client: Client
) -> None:
    """100 Continue comes before the body is sent, and Expect does not go to the backend."""
    head = b"PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    await client.send(head)
    assert (await client.read_response()).status == 100
    await client.send(b"{}")
    assert (await client.read_response()).status == 200
    assert backend.received[0].get("expect") is None


async def test_expect_is_not_answered_when_the_body_is_refused(start_bare: StartBare) -> None:
    """A body announced as too large is refused without 100 Continue, and the connection ends."""
    proxy = await start_bare(max_request_bytes="1kb")
    client = await proxy.client()
    head = b"PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1025\r\n\r\n"
    got = await client.ask(head)
    assert (got.status, got.get("connection")) == (413, b"close")
    assert b"content_too_long_exception" in got.body


@pytest.mark.parametrize("size", [1024, 1025, 200_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_request_size_limit(
    backend: ScriptedBackend, start_bare: StartBare, size: int, chunked: bool
) -> None:
    """A body of max_request_bytes passes; one byte more is a 413, announced or not."""
    proxy: Proxy = await start_bare(max_request_bytes="1kb")
    client = await proxy.client()
    if chunked:
        head = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
    else:
        await client.send(request("/a", "PUT", b"x" * size))
    got = await client.read_response()
    assert got.status == (200 if size == 1024 else 413)
    assert [len(message.body) for message in backend.received] == ([size] if size == 1024 else [])


async def test_pipelined_requests_are_answered_in_order(
    backend: ScriptedBackend, client: Client
) -> None:
    """Requests sent without waiting are answered one after the other."""
    backend.replies = {f"/{n}": http_response(b"%d" % n) for n in range(5)}
    await client.send(b"".join(request(f"/{n}") for n in range(5)))
    assert [(await client.read_response()).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/a/_doc/1", True),
        ("HEAD", "/a", True),
        ("POST", "/_search", True),
        ("POST", "/a/_search/template", True),
        ("POST", "/_msearch", True),
        ("POST", "/a/_count", True),
        ("POST", "/a/_explain/1", True),
        ("POST", "/a/_validate/query", True),
        ("GET", "/_search/scroll", False),
        ("POST", "/_search/scroll", False),
        ("GET", "/_async_search/x", False),
        ("POST", "/_bulk", False),
        ("POST", "/a/_doc", False),
        ("PUT", "/a/_doc/1", False),
        ("DELETE", "/a", False),
        ("POST", "/a/_update_by_query", False),
    ],
)
def test_only_reads(method: str, path: str, expected: bool) -> None:
    """Only what changes nothing at the backend may be sent a second time."""
    assert only_reads(method, path) is expected
