"""Translated calls on the wire: what OpenSearch gets, and what the client gets back."""

from __future__ import annotations

import gzip

import orjson
import pytest

from proxy.upstream.client import UpstreamRequest
from tests.proxy.conftest import OpenUpstream, Proxy
from tests.proxy.wire import ScriptedBackend, http_response, request

pytestmark = pytest.mark.usefixtures("opensearch_like")

V9 = "application/vnd.elasticsearch+json;compatible-with=9"
ELASTIC = (f"Accept: {V9}", f"Content-Type: {V9}")
JSON = "content-type: application/json; charset=UTF-8"
OPEN = "/a/_search/point_in_time?keep_alive=1m&allow_partial_pit_creation=false"
CLOSE = "/_search/point_in_time"
CLOSED = b'{"pits":[{"successful":true,"pit_id":"x"}]}'


async def test_opening(backend: ScriptedBackend, bare: Proxy) -> None:
    """Path, media types and answer are the other one's; the client's gzip is not asked for."""
    backend.replies[OPEN] = http_response(b'{"pit_id":"x","_shards":{}}', "200 OK", JSON)
    gzipped = "Accept-Encoding: gzip"
    sent = request("/a/_pit?keep_alive=1m", "POST", b"", *ELASTIC, gzipped)
    message = await (await bare.client()).ask(sent)
    assert (message.status, message.body) == (200, b'{"id":"x","_shards":{}}')
    assert message.get("content-length") == b"23"
    assert message.get("content-type") == V9.encode()
    assert backend.received[-1].get("accept-encoding") is None


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
async def test_closing(
    backend: ScriptedBackend, bare: Proxy, chunked: bool, compressed: bool
) -> None:
    """However the body comes, it goes on whole and plain."""
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CLOSED), CLOSED)
    head = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    backend.replies[CLOSE] = head.encode() + chunks
    body, fields = b'{"id":"x"}', list(ELASTIC)
    if compressed:
        body = gzip.compress(body)
        fields.append("Content-Encoding: gzip")
    sent = request("/_pit", "DELETE", body, *fields)
    if chunked:
        head = "\r\n".join(
            ["DELETE /_pit HTTP/1.1", "Host: h", *fields, "Transfer-Encoding: chunked"]
        )
        sent = head.encode() + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    message = await (await bare.client()).ask(sent)
    assert (message.status, orjson.loads(message.body)) == (
        200,
        {"succeeded": True, "num_freed": 1},
    )
    received = backend.received[-1]
    assert (received.body, received.get("content-encoding")) == (b'{"pit_id":["x"]}', None)


async def test_closing_nothing(backend: ScriptedBackend, bare: Proxy) -> None:
    """The status is the other one's, too; a bad body does not reach the backend."""
    backend.replies[CLOSE] = http_response(b'{"pits":[]}', "200 OK", JSON)
    client = await bare.client()
    message = await client.ask(request("/_pit", "DELETE", b'{"id":"x"}', *ELASTIC))
    assert message.first_line == b"HTTP/1.1 404 Not Found"
    bad = await client.ask(request("/_pit", "DELETE", b'{"id":7}', *ELASTIC))
    assert (bad.status, backend.targets) == (400, ["/", CLOSE])


async def test_a_response_in_another_form_stays(backend: ScriptedBackend, bare: Proxy) -> None:
    """YAML, asked for by the client, and errors."""
    client = await bare.client()
    yaml = http_response(b"pit_id: x\n", "200 OK", "content-type: application/yaml")
    for reply in (yaml, http_response(b'{"error":{},"status":404}', "404 Not Found", JSON)):
        backend.replies[OPEN] = reply
        message = await client.ask(request("/a/_pit?keep_alive=1m", "POST", b"", *ELASTIC))
        assert message.body == reply.partition(b"\r\n\r\n")[2]


async def test_a_broken_response(backend: ScriptedBackend, bare: Proxy) -> None:
    """The client is told, and the connection is not used again."""
    broken = http_response(b'{"pit_id":"x","_shards":{}}', "200 OK", JSON)[:-5] + b"\xff" * 5
    backend.replies[OPEN] = broken.replace(b"Content-Length: 27", b"Content-Length: 99999999")
    client = await bare.client()
    message = await client.ask(request("/a/_pit?keep_alive=1m", "POST", b"", *ELASTIC))
    assert message.status == 502
    backend.replies[OPEN] = http_response(b'{"pit_id":"x","_shards":{}}', "200 OK", JSON)
    message = await client.ask(request("/a/_pit?keep_alive=1m", "POST", b"", *ELASTIC))
    assert (message.status, backend.accepted) == (200, 2)


async def test_a_replaced_response_is_read_either_way(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Whole or in chunks, with the length it has now."""
    upstream = await open_upstream()
    with await upstream.send(UpstreamRequest(method="GET", target="/")) as response:
        await response.read(1000)
        response.replace(404, b"new")
        assert (response.status, response.reason, response.length) == (404, "Not Found", 3)
        assert response.headers["Content-Length"] == "3"
        assert await response.read(1000) == b"new"
        assert [chunk async for chunk in response.chunks()] == [b"new"]
