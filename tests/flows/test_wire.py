"""What clients do to the connection itself, before a real OpenSearch."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.conftest import StartOn, StartProxy, connect
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
        response = await client.call("GET", target, headers=fields)
        assert response.data["_pipeline_metadata"] == {"x-seen": "yes"}


JSON = "Content-Type: application/json"
SMALL_BODY = "POST /{index}/_search HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
CHUNKS = "POST /{index}/_search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
PASS_ON = "def result(response, context):\n    return response\n"


async def never_reading(port: int, sent: bytes) -> socket.socket:
    """A connection with a small buffer that reads nothing of its response."""
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
    """Who reads nothing of a large response, made by a pipeline or not, or drips its body in, is
    cut off; meanwhile everybody else is answered, and afterwards all places are free.
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
        assert (await raw.read_response("POST")).status == 200
        raw.close()


# More than a backend takes of a head, or nothing that it would read to its end.
BAD = [
    ("GET", "/", b"", [f"Cookie: {'a' * 17_000}"], 431),
    ("POST", "/_search", b'{"size":1}', [f"Cookie: {'a' * 17_000}", JSON], 431),
    ("POST", "/_search", b" " * 100_000, [f"Cookie: {'a' * 17_000}", JSON], 431),
    ("GET", "/_search?q=" + "a" * 5000, b"", [], 414),
    ("GET", "/", b"", [f"X-{number}: {'b' * 20}" for number in range(800)], 431),
    ("GET", "/", b"", [f"Cookie: {'a' * 15_000}", "Expect: tea"], 417),
    ("POST", "/_search", b"{}", ["Expect: 200-fine", JSON], 417),
]


async def test_bad_heads_cost_the_others_nothing(
    start_on: StartOn, each_backend: EmbeddedCluster
) -> None:
    """Beside clients whose heads no backend reads, fifty others have every response, and none waits
    for a connection that was spoilt.
    """
    server = await start_on(each_backend, backend_timeout=60, queue_timeout=60)
    assert server.address is not None
    port = server.address.port
    statuses: Counter[int] = Counter()
    ending = asyncio.Event()

    async def spoil() -> None:
        while not ending.is_set():
            for method, target, body, fields, status in BAD:
                raw = await RawClient.connect(port)
                got = await raw.ask(request(target, method, body, *fields))
                assert got.status == status
                raw.close()

    async def ask() -> None:
        raw = await RawClient.connect(port)
        for _ in range(20):
            got = await raw.ask(request("/_cluster/health"))
            statuses[got.status] += 1
        raw.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(spoil())
        async with asyncio.timeout(40):
            await asyncio.gather(*[ask() for _ in range(50)])
        ending.set()
    assert statuses == {200: 1000}


@pytest.mark.parametrize("size", [16_384, 16_385])
async def test_the_limit_of_fields_is_the_backend_s(
    start_on: StartOn, each_backend: EmbeddedCluster, size: int
) -> None:
    """What fits to the byte passes and is read by the backend; one more is refused by the proxy."""
    server = await start_on(each_backend)
    assert server.address is not None
    via = len("Via: 1.1 querymill-0123456789abcdef")
    used = len("Host: ") + len(each_backend.url.removeprefix("http://")) + via + len("Cookie: ")
    raw = await RawClient.connect(server.address.port)
    sent = request("/_cluster/health", "GET", b"", f"Cookie: {'a' * (size - used)}")
    assert (await raw.ask(sent)).status == (200 if size == 16_384 else 431)
    assert (await raw.ask(request("/_cluster/health"))).status == 200
    raw.close()


@pytest.mark.parametrize("size", [4096, 4097])
async def test_the_limit_of_a_line_is_the_backend_s(
    start_on: StartOn, each_backend: EmbeddedCluster, size: int
) -> None:
    """The same for the request line."""
    server = await start_on(each_backend)
    assert server.address is not None
    raw = await RawClient.connect(server.address.port)
    begin = "/_cluster/health?filter_path=status,"
    target = begin + "a" * (size - len(f"GET {begin} HTTP/1.1"))
    assert (await raw.ask(request(target))).status == (200 if size == 4096 else 414)
    assert (await raw.ask(request("/_cluster/health"))).status == 200
    raw.close()


async def test_a_backend_with_lower_limits_spoils_no_connection(
    start_on: StartOn, each_backend: EmbeddedCluster
) -> None:
    """Where the settings promise more than it takes, its 400 passes and its connection goes."""
    values = {"backend_max_header": "64kb", "backend_max_line": "32kb"}
    server = await start_on(each_backend, backend_timeout=60, **values)
    assert server.address is not None
    raw = await RawClient.connect(server.address.port)
    for method, target, body, fields, _ in BAD[:5]:
        got = await raw.ask(request(target, method, body, *fields))
        assert got.status == 400
        async with asyncio.timeout(30):
            for _ in range(3):
                assert (await raw.ask(request("/_cluster/health"))).status == 200
    raw.close()


async def test_a_body_above_the_backend_s_limit_spoils_no_connection(
    start_on: StartOn, each_backend: EmbeddedCluster
) -> None:
    """A 413 comes before the body was read; the next request goes elsewhere."""
    server = await start_on(each_backend, max_request_bytes="2gb", backend_timeout=60)
    assert server.address is not None
    head = "POST /_refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    raw = await RawClient.connect(server.address.port)
    await raw.send(head.encode() + b"Content-Length: 104857601\r\n\r\n" + b" " * 100_000)
    assert (await raw.read_response("POST")).status == 413
    raw.close()
    other = await RawClient.connect(server.address.port)
    async with asyncio.timeout(30):
        for _ in range(3):
            assert (await other.ask(request("/_cluster/health"))).status == 200
    other.close()
