"""Limits and patience: heads at and above their limits, clients that dawdle, what is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest
from aiohttp import web

from proxy.server.exchange import Exchange
from proxy.traffic.relay import only_reads
from tests.proxy.conftest import StartBare
from tests.proxy.wire import Client, Message, ScriptedBackend, Wire, http_response, request

KB64 = 64 * 1024


def long_target(size: int) -> bytes:
    return request("/" + "a" * (size - 1))


def long_value(size: int) -> bytes:
    return request("/", "GET", b"", "X-A: " + "a" * size)


def fields(count: int) -> bytes:
    # Host is one of them.
    return request("/", "GET", b"", *[f"X-{n}: b" for n in range(count - 1)])


LIMITS = [
    pytest.param(long_target, KB64, 414, id="target"),
    pytest.param(long_value, 2 * KB64, 431, id="value"),
    pytest.param(fields, 1024, 431, id="fields"),
]
MakeRequest = Callable[[int], bytes]


@pytest.mark.parametrize(("make", "limit", "status"), LIMITS)
async def test_head_limits_obeyed(
    start_bare: StartBare, make: MakeRequest, limit: int, status: int
) -> None:
    """A head one below its limit, and one at it, are taken as they are."""
    seen: list[int] = []

    async def count(exchange: Exchange) -> web.StreamResponse:
        seen.append(sum(map(len, (exchange.target, *map(b"".join, exchange.raw_headers)))))
        return exchange.respond(200)

    client = await (await start_bare(traffic=count)).client()
    for size in (limit - 1, limit):
        assert (await client.ask(make(size))).status == 200
    assert seen[0] < seen[1]


@pytest.mark.parametrize(("make", "limit", "status"), LIMITS)
async def test_head_limits_violated(
    backend: ScriptedBackend, client: Client, make: MakeRequest, limit: int, status: int
) -> None:
    """One byte or field above the limit is a 414 or 431, and the connection ends."""
    got = await client.ask(make(limit + 1))
    assert (got.status, orjson.loads(got.body)["status"]) == (status, status)
    assert await client.at_end()
    assert backend.received == []


async def test_head_without_an_end(backend: ScriptedBackend, client: Client) -> None:
    """A head that never ends is cut off when its fields are too many; memory stays bounded."""
    sent = 0
    try:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        while sent < 100_000:
            await client.send(b"X-A: b\r\n" * 50)
            sent += 50
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    assert sent < 100_000
    assert backend.received == []


async def test_large_head_is_cut_off_before_its_end(
    backend: ScriptedBackend, client: Client
) -> None:
    """However its lines are cut, a head above 256 KB is a 431 before all of it has come."""
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"")
    for number in range(4):
        await client.send(b"X-%d: " % number + b"a" * 70_000 + b"\r\n")
    got = await client.read_response()
    assert (got.status, b"262144 bytes" in got.body) == (431, True)
    assert await client.at_end()
    assert backend.received == []


async def test_trickling_head_is_cut_off(backend: ScriptedBackend, start_bare: StartBare) -> None:
    """header_timeout is for the whole head: a byte every now and then does not prolong it."""
    proxy = await start_bare(header_timeout=0.4)
    client = await proxy.client()
    data = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100_000
    sent = 0

    async def trickle() -> None:
        nonlocal sent
        while sent < len(data):
            await client.send(data[sent : sent + 1])
            sent += 1
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        trickling = group.create_task(trickle())
        assert (await client.read_response()).status == 408
        trickling.cancel()
    assert backend.received == []


async def test_slow_clients_hold_no_backend_connection(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """Clients that dawdle with small bodies, however many, leave the backend to the others."""
    proxy = await start_bare(backend_connections=1)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab"
    slow = [await proxy.client() for _ in range(50)]
    for client in slow:
        await client.send(head)
    quick = await proxy.client()
    assert (await quick.ask(request("/quick"))).status == 200
    assert (backend.accepted, backend.targets) == (1, ["/quick"])
    for client in slow:
        await client.send(b"cdefghij")
        assert (await client.read_response("POST")).status == 200


async def drop_every_second(message: Message, wire: Wire) -> None:
    """Answer; hang up on the next request of the same connection, once it was read."""
    await wire.send(http_response(b""))
    await wire.reader.readuntil(b"\r\n\r\n")
    wire.reset()


SAFE = [
    ("GET", "/i/_search"),
    ("POST", "/i/_search"),
    ("POST", "/_all/_search?scroll=1m"),
    ("POST", "/_msearch"),
    ("POST", "/i/_count"),
    ("POST", "/i/_mget"),
    ("POST", "/i/_explain/1"),
    ("POST", "/_field_caps"),
    ("POST", "/i/_validate/query"),
    ("POST", "/i/_search/template"),
    ("GET", "/i/_doc/1"),
    ("HEAD", "/i"),
]
UNSAFE = [
    ("POST", "/_bulk"),
    ("PUT", "/i/_bulk"),
    ("POST", "/i/_doc"),
    ("PUT", "/i/_doc/1?op_type=create"),
    ("POST", "/i/_doc/_search"),
    ("POST", "/i/_update/_count"),
    ("POST", "/i/_update/1"),
    ("DELETE", "/i/_doc/1"),
    ("POST", "/_search/scroll"),
    ("GET", "/_search/scroll/abc"),
    ("POST", "/i/_search/point_in_time"),
    ("POST", "/i/_pit"),
    ("POST", "/i/_async_search"),
    ("POST", "/_plugins/_asynchronous_search"),
    ("POST", "/i/_update_by_query"),
    ("POST", "/i/_delete_by_query"),
    ("POST", "/_reindex"),
    ("DELETE", "/_search/scroll"),
    ("POST", "/_ingest/pipeline/_search/_simulate"),
]


def names(cases: list[tuple[str, str]]) -> list[str]:
    return [" ".join(case) for case in cases]


@pytest.mark.parametrize(("method", "target"), SAFE, ids=names(SAFE))
async def test_reading_survives_a_stale_connection(
    backend: ScriptedBackend, client: Client, method: str, target: str
) -> None:
    """What only reads is sent again when the backend closed its kept-alive connection."""
    backend.reply = drop_every_second
    assert (await client.ask(request("/first"))).status == 200
    assert (await client.ask(request(target, method))).status == 200
    assert backend.targets == ["/first", target]
    assert backend.accepted == 2


@pytest.mark.parametrize(("method", "target"), UNSAFE, ids=names(UNSAFE))
async def test_writing_is_never_sent_twice(
    backend: ScriptedBackend, client: Client, method: str, target: str
) -> None:
    """What may have had an effect is not sent again: the client gets a 502 and decides."""
    backend.reply = drop_every_second
    assert (await client.ask(request("/first"))).status == 200
    assert (await client.ask(request(target, method))).status == 502
    assert backend.targets == ["/first"]
    assert backend.accepted == 1


def test_only_reads_looks_at_the_endpoint() -> None:
    """A document or index of a telling name makes no write a read."""
    assert not only_reads("POST", "/i/_create/_msearch")
    assert not only_reads("POST", "/i/_doc/1/_search")
    assert only_reads("POST", "/_all/_search")
    assert not only_reads("PUT", "/i/_search")
