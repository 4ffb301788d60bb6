"""The server: who answers what, slow clients, and how it stops."""

from __future__ import annotations

import asyncio
import re
import socket

import orjson
import pytest
from aiohttp import web
from structlog.typing import EventDict

from pipelines.errors import PipelineError
from proxy.config.settings import load
from proxy.http.errors import ErrorResponse
from proxy.server.exchange import Exchange
from proxy.server.listener import ListenError
from proxy.server.server import ProxyServer, is_admin
from tests.proxy.conftest import StartBare
from tests.proxy.wire import Client, Message, ScriptedBackend, Wire, http_response, request


async def admin(exchange: Exchange) -> web.StreamResponse:
    """An administration that says it was here."""
    return exchange.respond_json(200, b'{"admin": true}')


async def test_slow_head_is_cut_off(start_bare: StartBare) -> None:
    """A head that does not come in header_timeout ends in a 408 and a closed connection."""
    proxy = await start_bare(header_timeout=0.2)
    client = await proxy.client()
    await client.send(b"GET / HTTP/1.1\r\nHost:")
    got = await client.read_response()
    assert (got.status, b"request_timeout_exception" in got.body) == (408, True)
    assert await client.at_end()


async def test_silent_connection_is_closed(start_bare: StartBare) -> None:
    """A connection without a first request is closed after keepalive_timeout, without a word."""
    proxy = await start_bare(keepalive_timeout=1, header_timeout=300)
    assert await (await proxy.client()).at_end()


async def test_silent_connection_outlives_the_header_timeout(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """The time for a head begins with its first byte, so that clients may connect ahead."""
    proxy = await start_bare(header_timeout=0.1)
    early, late = await proxy.client(), await proxy.client()
    await late.send(b"GET")
    assert (await late.read_response()).status == 408
    assert (await early.ask(request("/"))).status == 200


async def test_head_begun_on_an_idle_connection(start_bare: StartBare) -> None:
    """A head that begins shortly before keepalive_timeout has its own time, and its 408."""
    proxy = await start_bare(keepalive_timeout=1, header_timeout=2)
    client = await proxy.client()
    assert (await client.ask(request("/"))).status == 200
    await client.send(b"GET")
    assert (await client.read_response()).status == 408


async def test_slow_second_head_is_cut_off(start_bare: StartBare) -> None:
    """The watchdog holds for each request of a connection, not only for the first."""
    proxy = await start_bare(header_timeout=0.3)
    client = await proxy.client()
    assert (await client.ask(request("/"))).status == 200
    await client.send(b"GET / HT")
    assert (await client.read_response()).status == 408


async def test_slow_response_is_not_a_slow_head(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """While a request is answered, or its body comes, the watchdog sleeps."""

    async def slow(message: Message, wire: Wire) -> None:
        await asyncio.sleep(0.5)
        await wire.send(http_response())

    backend.reply = slow
    proxy = await start_bare(header_timeout=0.2)
    client = await proxy.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
    await asyncio.sleep(0.4)
    await client.send(b"}")
    assert (await client.read_response()).status == 200


async def test_idle_connection_is_closed(start_bare: StartBare) -> None:
    """A connection without a next request is closed after keepalive_timeout."""
    proxy = await start_bare(keepalive_timeout=1)
    client = await proxy.client()
    assert (await client.ask(request("/"))).status == 200
    assert await client.at_end()


@pytest.mark.parametrize("length", [10, 100_000])
async def test_slow_body_is_cut_off(
    backend: ScriptedBackend, start_bare: StartBare, length: int
) -> None:
    """A body that stops coming is a 408 after body_timeout, whether it is read whole or streams."""
    proxy = await start_bare(body_timeout=0.2)
    client = await proxy.client()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nabc" % length
    got = await client.ask(head)
    assert (got.status, b"body_timeout" in got.body) == (408, True)
    assert backend.received == []
    assert await client.at_end()


async def test_administration_on_the_main_address(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """The paths of administration are answered by the proxy, all others by the backend."""
    proxy = await start_bare(admin=admin)
    client = await proxy.client()
    for path in ("/_pipeline", "/_udf/x", "/_querymill/livez", "/_pipeline?type=query"):
        assert (await client.ask(request(path))).body == b'{"admin": true}'
    for path in ("/_pipelines", "/a/_pipeline", "//_pipeline", "/"):
        assert (await client.ask(request(path))).body == b"{}"
    assert backend.targets == ["/_pipelines", "/a/_pipeline", "//_pipeline", "/"]


async def test_administration_on_its_own_address(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """With admin_listen each address answers 404 to what belongs to the other; health has both."""
    proxy = await start_bare(admin=admin, admin_listen="127.0.0.1:0")
    assert proxy.server.admin_address is not None
    main = await proxy.client()
    other = await proxy.client(proxy.server.admin_address.port)
    for path in (
        "/_pipeline/x",
        "/_querymill/metrics",
        "/_querymill",
        "/_querymill/livez/x",
        "/_querymill/livezz",
        "/_querymill//livez",
    ):
        assert (await main.ask(request(path))).status == 404, path
    for path in ("/_querymill/livez", "/_querymill/readyz", "/_querymill/readyz?pretty"):
        for client in (main, other):
            assert (await client.ask(request(path))).body == b'{"admin": true}'
    assert (await main.ask(request("/x"))).body == b"{}"
    assert (await other.ask(request("/_pipeline/x"))).body == b'{"admin": true}'
    assert (await other.ask(request("/x"))).status == 404
    assert backend.targets == ["/x"]


def test_is_admin_is_exact() -> None:
    """Only a first segment spelt out is administration; an encoded one goes to the backend."""
    assert is_admin("/_pipeline/x")
    assert not any(map(is_admin, ("*", "", "/", "/%5Fpipeline", "_pipeline", "x/_udf")))


async def test_unexpected_error(start_bare: StartBare, logged: list[EventDict]) -> None:
    """A bug is a 500 with an id and nothing else; the log has the traceback under that id."""

    async def fail(exchange: Exchange) -> web.StreamResponse:
        raise KeyError("secret")

    proxy = await start_bare(traffic=fail)
    client = await proxy.client()
    got = await client.ask(request("/"))
    assert (got.status, b"secret" in got.body) == (500, False)
    error = orjson.loads(got.body)["error"]
    assert error["type"] == "proxy_exception"
    assert re.fullmatch(r"[0-9a-f]{16}", error["id"])
    (line,) = logged
    assert (line["id"], line["log_level"]) == (error["id"], "error")
    assert isinstance(line["exc_info"], KeyError)
    assert (await client.ask(request("/"))).status == 500


async def test_error_of_another_package(start_bare: StartBare) -> None:
    """An exception class without a row of its own never shows its text to the client."""

    class Odd(PipelineError):
        pass

    async def fail(exchange: Exchange) -> web.StreamResponse:
        raise Odd("odd text")

    client = await (await start_bare(traffic=fail)).client()
    got = await client.ask(request("/"))
    assert got.status == 500


async def test_error_after_the_head(start_bare: StartBare, logged: list[EventDict]) -> None:
    """An error in the middle of a response breaks the connection and is in the log."""

    async def fail(exchange: Exchange) -> web.StreamResponse:
        stream = await exchange.start(200, {})
        await stream.write(b"half")
        raise KeyError("late")

    client = await (await start_bare(traffic=fail)).client()
    await client.send(request("/"))
    rest = await client.reader.read()
    assert not rest.endswith(b"0\r\n\r\n")
    assert [line["event"] for line in logged] == ["request failed"]


async def test_error_for_an_elasticsearch_client(start_bare: StartBare) -> None:
    """Responses of the proxy's own have the media type and product that such a client expects."""

    async def refuse(exchange: Exchange) -> web.StreamResponse:
        raise ErrorResponse(409, "version_conflict_engine_exception", "taken", headers={"X-A": "b"})

    client = await (await start_bare(traffic=refuse)).client()
    accept = "Accept: application/vnd.elasticsearch+json; compatible-with=9"
    got = await client.ask(request("/", "GET", b"", accept))
    assert got.get("content-type") == b"application/vnd.elasticsearch+json;compatible-with=9"
    assert got.get("x-elastic-product") == b"Elasticsearch"
    assert got.get("x-a") == b"b"
    plain = await client.ask(request("/"))
    assert plain.get("content-type") == b"application/json; charset=UTF-8"
    assert plain.get("x-elastic-product") is None


async def test_error_to_head_has_no_body(start_bare: StartBare) -> None:
    """A failed HEAD has the length of the error it does not send."""

    async def refuse(exchange: Exchange) -> web.StreamResponse:
        raise ErrorResponse(404, "resource_not_found_exception", "not here")

    client = await (await start_bare(traffic=refuse)).client()
    got = await client.ask(request("/", "HEAD"))
    assert (got.status, got.body) == (404, b"")
    assert int(got.get("content-length") or 0) > 100
    assert (await client.ask(request("/"))).status == 404


async def test_body_is_read_once_and_kept(start_bare: StartBare) -> None:
    """A handler can ask for the body again, and stream one that was read; limits hold each time."""

    async def twice(exchange: Exchange) -> web.StreamResponse:
        first = await exchange.body(10)
        again = [chunk async for chunk in exchange.stream()]
        assert [first] == again
        return exchange.respond(200, {}, await exchange.body(len(first) - 1))

    client = await (await start_bare(traffic=twice)).client()
    got = await client.ask(request("/", "POST", b"12345"))
    assert (got.status, b"limit of 4 bytes" in got.body) == (413, True)


async def test_stop_finishes_what_is_in_flight(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """Stopping closes idle connections at once and lets an upload under way get its response."""
    backend.head_only = {"/up"}
    proxy = await start_bare()
    idle, busy = await proxy.client(), await proxy.client()
    assert (await idle.ask(request("/"))).status == 200

    async def take(message: Message, wire: Wire) -> None:
        await wire.reader.readexactly(200_000)
        await wire.send(http_response(b"done"))

    backend.replies["/up"] = take
    await busy.send(
        b"PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000
    )
    await backend.arrival(2)
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(proxy.server.stop())
        assert await idle.at_end()
        assert not stopping.done()
        await busy.send(b"x" * 100_000)
        got = await busy.read_response("PUT")
        assert (got.body, got.get("connection")) == (b"done", b"close")
    with pytest.raises(ConnectionError):
        await proxy.client()


async def test_stop_cuts_off_what_takes_too_long(
    backend: ScriptedBackend, start_bare: StartBare, logged: list[EventDict]
) -> None:
    """After shutdown_timeout a request that still runs is cut off, and the log says so."""

    async def hang(message: Message, wire: Wire) -> None:
        await wire.closed_by_peer.wait()

    backend.reply = hang
    proxy = await start_bare(shutdown_timeout=0.1)
    client = await proxy.client()
    await client.send(request("/"))
    await backend.arrival()
    await proxy.server.stop()
    assert await client.at_end()
    assert [line["event"] for line in logged] == ["requests cut off at shutdown"]


async def test_port_taken(unblocked: None) -> None:
    """An address in use is a ListenError that names it and says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = load({"listen": "127.0.0.1:0", "admin_listen": f"127.0.0.1:{port}"}, {})
        server = ProxyServer(settings, traffic=admin)
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}.*another address"):
            await server.start()
        # The first listener was closed again.
        assert server.address is not None
        with pytest.raises(ConnectionError):
            await Client.connect(server.address.port)
