"""What clients do to the connection itself, before a real OpenSearch."""

from __future__ import annotations

import asyncio
import socket

from tests.client import Client
from tests.conftest import StartProxy, connect
from tests.proxy.wire import Client as RawClient
from tests.proxy.wire import request


async def test_a_udf_is_never_shown_the_admin_token(
    start_proxy: StartProxy, index_name: str
) -> None:
    """Whatever `pipeline_headers` says; the other fields that it names are there."""
    server = await start_proxy(pipeline_headers="Querymill-Admin-Token,x-seen")
    source = (
        "def query(request, context):\n"
        "    return {**request, '_pipeline_metadata': dict(context.headers)}\n"
    )
    async with connect(server) as client:
        await client.index(index_name, {"1": {}})
        await client.define("seen", "query", source)
        target = f"/{index_name}/_search?pipeline=seen"
        fields = {"X-Seen": "yes", "Querymill-Admin-Token": "secret"}
        answer = await client.call("GET", target, headers=fields)
        assert answer.data["_pipeline_metadata"] == {"x-seen": "yes"}


SMALL_BODY = "POST /{index}/_search HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
CHUNKS = "POST /{index}/_search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
PASS_ON = "def result(response, context):\n    return response\n"


async def never_reading(port: int, sent: bytes) -> socket.socket:
    """A connection with a small buffer that reads nothing of its answer."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", port))
    await loop.sock_sendall(peer, sent)
    return peer


async def figure(client: Client, name: str) -> float:
    """One sample of the metrics, by its name with labels."""
    text = (await client.get("/_querymill/metrics")).body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


async def test_slow_clients_cost_the_others_nothing(
    start_proxy: StartProxy, index_name: str
) -> None:
    """Who reads nothing of a large answer, made by a pipeline or not, or drips its body in, is cut
    off; meanwhile everybody else is answered, and afterwards all places are free.
    """
    server = await start_proxy(
        max_in_flight=32,
        max_waiting=0,
        write_timeout=1,
        client_min_rate=1000,
        client_grace=1,
    )
    assert server.address is not None
    port = server.address.port
    async with connect(server) as client:
        await client.index(index_name, {f"{n}": {"t": "x" * 900_000} for n in range(9)})
        await client.define("pass-on", "result", PASS_ON, stage={"timeout_ms": 30_000})
        search = f"/{index_name}/_search"
        held: list[socket.socket] = []
        for number in range(20):
            target = search if number % 4 else f"{search}?pipeline=pass-on"
            held.append(await never_reading(port, request(target)))
            head = SMALL_BODY if number % 2 else CHUNKS
            held.append(await never_reading(port, head.format(index=index_name).encode()))
        statuses = set()
        # Until the last of them is cut off.
        while await figure(client, "querymill_in_flight_requests"):
            statuses.add((await client.get(f"/{index_name}/_count")).status)
        assert statuses <= {200}
        left = [each for clients in server._clients for each in clients.connections]
        while len(left) > 1:
            await asyncio.sleep(0.01)
            left = [each for clients in server._clients for each in clients.connections]
        for refused in ("queue_full", "queue_timeout"):
            name = f'querymill_refused_requests_total{{reason="{refused}"}}'
            assert await figure(client, name) == 0
        for peer in held:
            peer.close()


async def test_a_dripping_small_body_takes_no_place(
    start_proxy: StartProxy, index_name: str
) -> None:
    """While it comes, another request has the only place; whole, it is answered like any other."""
    server = await start_proxy(max_in_flight=1, max_waiting=0)
    assert server.address is not None
    async with connect(server) as client:
        await client.index(index_name, {"1": {}})
        raw = await RawClient.connect(server.address.port)
        body = b'{"size":1}'
        whole = request(f"/{index_name}/_search", "POST", body, "Content-Type: application/json")
        await raw.send(whole[:-1])
        for _ in range(20):
            assert (await client.get(f"/{index_name}/_count")).status == 200
        assert await figure(client, "querymill_in_flight_requests") == 0
        await raw.send(whole[-1:])
        assert (await raw.answer("POST")).status == 200
        raw.close()
