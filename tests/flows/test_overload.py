"""More traffic than there are places, and pipelines that hang, on the real OpenSearch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from pipelines.execution.breaker import BreakerFigure
from pipelines.wasm import Runtime
from proxy.admin.pipelines import shown_breaker
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.server.server import ProxyServer
from proxy.workers.board import Board, Notices
from proxy.workers.context import Place
from tests.client import Client
from tests.conftest import StartProxy, connect
from tests.proxy.wire import Client as RawClient
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response, request

DOCUMENTS = {"1": {"title": "red laptop"}, "2": {"title": "blue notebook"}}
JSON = "Content-Type: application/json"
BODY = b'{"query":{"match_all":{}}}'
ENDLESS = "def query(request, context):\n    while True: pass\n"
SIZE_ONE = "def query(request, context):\n    return {**request, 'size': 1}\n"


@asynccontextmanager
async def raw_client(server: ProxyServer) -> AsyncIterator[RawClient]:
    assert server.address is not None
    client = await RawClient.connect(server.address.port)
    yield client
    client.close()


async def metric(client: Client, name: str) -> float:
    """One sample, by its name with labels."""
    text = (await client.get("/_querymill/metrics")).body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


class Held:
    """A search that is in flight for as long as its client holds back the end of its body.

    The body comes in chunks: one of a small length takes no place before all of it is there.
    """

    def __init__(self, raw: RawClient) -> None:
        self.raw = raw

    @classmethod
    async def begin(cls, raw: RawClient, watch: Client, target: str, count: int = 1) -> Held:
        """Send all but the end; gives it once `count` requests are in flight."""
        await raw.send(request(target, "POST", b"", JSON, "Transfer-Encoding: chunked"))
        while await metric(watch, "querymill_in_flight_requests") < count:
            continue
        return cls(raw)

    async def end(self) -> Message:
        await self.raw.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
        return await self.raw.read_response("POST")


async def waiting(watch: Client, count: int) -> None:
    """Returns once so many requests wait for their turn."""
    while await metric(watch, "querymill_waiting_requests") != count:
        continue


def check_refused(got: Message, words: bytes) -> None:
    """A 429 in the backend's envelope that says when to come again."""
    assert (got.status, got.get("retry-after")) == (429, b"1")
    data = orjson.loads(got.body)
    (cause,) = data["error"]["root_cause"]
    assert (data["status"], cause["type"]) == (429, "rejected_execution_exception")
    assert cause["reason"] == data["error"]["reason"]
    assert words in cause["reason"].encode()


async def test_one_request_too_many_is_a_429(start_proxy: StartProxy, index_name: str) -> None:
    """At once, in the envelope, with Retry-After; the connection goes on to be used."""
    server = await start_proxy(max_in_flight=1, max_waiting=0)
    search = f"/{index_name}/_search"
    async with connect(server) as watch, raw_client(server) as raw, raw_client(server) as other:
        await watch.index(index_name, DOCUMENTS)
        held = await Held.begin(raw, watch, search)
        for refused in (request(search), request(search, "POST", BODY, JSON)):
            check_refused(await other.ask(refused), b"max_in_flight, max_waiting")
        assert await metric(watch, 'querymill_refused_requests_total{reason="queue_full"}') == 2
        assert (await held.end()).status == 200
        assert (await other.ask(request(search))).status == 200
        refused_calls = 'querymill_requests_total{operation="search",status="4xx"}'
        assert await metric(watch, refused_calls) == 2
        assert await metric(watch, "querymill_in_flight_requests") == 0


async def test_a_refused_body_is_not_awaited(start_proxy: StartProxy, index_name: str) -> None:
    """The 429 comes before a byte of it; sent all the same, it is thrown away unread."""
    server = await start_proxy(max_in_flight=1, max_waiting=0)
    async with connect(server) as watch, raw_client(server) as raw, raw_client(server) as other:
        await watch.index(index_name, DOCUMENTS)
        held = await Held.begin(raw, watch, f"/{index_name}/_search")
        body = b" " * 200_000
        head = request("/_bulk", "POST", body, JSON)[: -len(body)]
        check_refused(await other.ask(head), b"max_in_flight")
        await other.send(body)
        check_refused(await other.ask(request("/")), b"max_in_flight")
        # Who asks first is not told to go on, and may then send the body or not.
        asked = head.replace(JSON.encode(), JSON.encode() + b"\r\nExpect: 100-continue")
        last = await other.ask(asked)
        check_refused(last, b"max_in_flight")
        assert last.get("connection") == b"close"
        assert await other.at_end()
        assert (await held.end()).status == 200


async def test_those_who_wait_are_served_in_their_turn(
    start_proxy: StartProxy, index_name: str
) -> None:
    """One waits, the next is refused, and one whose client leaves makes room."""
    server = await start_proxy(max_in_flight=1, max_waiting=1, queue_timeout=60)
    search = f"/{index_name}/_search"
    async with (
        connect(server) as watch,
        raw_client(server) as raw,
        raw_client(server) as second,
        raw_client(server) as third,
    ):
        await watch.index(index_name, DOCUMENTS)
        held = await Held.begin(raw, watch, search)
        async with raw_client(server) as gone:
            await gone.send(request(search))
            await waiting(watch, 1)
        await waiting(watch, 0)
        await second.send(request(search))
        await waiting(watch, 1)
        check_refused(await third.ask(request(search)), b"1 requests are under way and 1 wait")
        assert (await held.end()).status == 200
        assert (await second.read_response()).status == 200
        assert (await third.ask(request(search))).status == 200


async def test_who_waits_too_long_is_refused(start_proxy: StartProxy, index_name: str) -> None:
    """After queue_timeout, with the same response."""
    server = await start_proxy(max_in_flight=1, queue_timeout=0.05)
    async with connect(server) as watch, raw_client(server) as raw, raw_client(server) as other:
        await watch.index(index_name, DOCUMENTS)
        held = await Held.begin(raw, watch, f"/{index_name}/_search")
        check_refused(await other.ask(request("/")), b"waited 0.05 s for its turn (queue_timeout)")
        assert await metric(watch, 'querymill_refused_requests_total{reason="queue_timeout"}') == 1
        assert (await held.end()).status == 200


async def test_one_index_cannot_take_every_place(start_proxy: StartProxy, index_name: str) -> None:
    """At its limit requests to it wait or are refused; others pass them."""
    server = await start_proxy(index_max_in_flight=1, queue_timeout=60)
    other_index = f"{index_name}-other"
    async with (
        connect(server) as watch,
        raw_client(server) as raw,
        raw_client(server) as second,
        raw_client(server) as third,
    ):
        await watch.index(index_name, DOCUMENTS)
        await watch.index(other_index, DOCUMENTS)
        held = await Held.begin(raw, watch, f"/{index_name}/_search")
        await second.send(request(f"/{index_name}/_count"))
        await waiting(watch, 1)
        both = request(f"/{other_index},{index_name}/_search")
        check_refused(await third.ask(both), f"[{index_name}]".encode())
        assert await metric(watch, 'querymill_refused_requests_total{reason="index"}') == 1
        assert (await third.ask(request(f"/{other_index}/_search"))).status == 200
        assert (await held.end()).status == 200
        assert (await second.read_response()).status == 200
        assert (await third.ask(both)).status == 200


async def test_administration_is_served_during_overload(
    start_proxy: StartProxy, index_name: str
) -> None:
    """With every place and every connection to the backend taken, it has its own."""
    server = await start_proxy(
        max_in_flight=2, max_waiting=0, backend_connections=1, backend_connect_timeout=0.2
    )
    async with connect(server) as watch, raw_client(server) as raw, raw_client(server) as other:
        await watch.index(index_name, DOCUMENTS)
        # Too large to be awaited first, so it has the connection until its end comes.
        upload = request("/_analyze", "POST", b" " * 100_000 + b'{"text":"x"}', JSON)
        await raw.send(upload[:-1])
        while (await watch.get(f"/{index_name}/_search")).status == 200:
            continue
        busy = await watch.get(f"/{index_name}/_search")
        assert (busy.status, "backend_connections" in busy.error["reason"]) == (429, True)
        held = await Held.begin(other, watch, f"/{index_name}/_search", count=2)
        refused = await watch.get(f"/{index_name}/_search")
        assert (refused.status, "max_in_flight" in refused.error["reason"]) == (429, True)
        for path in ("/_querymill/livez", "/_querymill/readyz", "/_pipeline", "/_udf"):
            assert (await watch.get(path)).status == 200
        await watch.define("one", "query", SIZE_ONE)
        assert (await watch.get("/_pipeline/one/_stats")).data["count"] == 0
        await raw.send(upload[-1:])
        assert (await raw.read_response("POST")).status == 200
        assert (await held.end()).status == 200


async def test_a_pipeline_that_hangs_is_turned_off(
    start_proxy: StartProxy, index_name: str
) -> None:
    """Other pipelines go on, its state can be seen, and a new version of the UDF is on at once."""
    server = await start_proxy(breaker_timeouts=3, breaker_rest=300)
    other = f"{index_name}-other"
    async with connect(server) as client:
        for index, name, source in (
            (index_name, "endless", ENDLESS),
            (other, "one", SIZE_ONE),
        ):
            await client.index(index, DOCUMENTS)
            await client.define(name, "query", source, stage={"timeout_ms": 100})
            await client.attach(index, query=name)

        async def searched() -> str:
            """What the client is told of the hanging pipeline; the other one does its work."""
            http_response = await client.get(f"/{index_name}/_search")
            assert (http_response.status, len(http_response.ids)) == (200, 2)
            good = await client.get(f"/{other}/_search")
            assert (len(good.ids), good.headers.get("Warning")) == (1, None)
            return http_response.headers.get("Warning", "")

        for _ in range(3):
            assert (await client.get("/_pipeline/endless/_stats")).data["breaker"] == {
                "state": "closed",
                "workers": {"closed": 1, "half_open": 0, "open": 0},
            }
            assert "failed (timeout)" in await searched()
        assert "breaker: pipeline [endless] is turned off, as 3 runs" in await searched()
        stats = (await client.get("/_pipeline/endless/_stats")).data
        assert 0 < stats["breaker"].pop("retry_in_millis") <= 300_000
        assert stats["breaker"] == {
            "state": "open",
            "workers": {"closed": 0, "half_open": 0, "open": 1},
        }
        assert (stats["count"], stats["timeouts"], stats["turned_off"]) == (4, 3, 1)
        assert await metric(client, 'querymill_breaker_open{pipeline="endless"}') == 1
        assert await metric(client, 'querymill_breaker_open{pipeline="one"}') == 0

        # A trial by hand runs, and tells the breaker nothing.
        tried = await client.post("/_pipeline/endless/_execute", {"input": {}})
        assert tried.data["error"]["kind"] == "timeout"
        assert (await client.get("/_pipeline/endless/_stats")).data["count"] == 4

        # What else changes in the store leaves it off.
        await client.define("another", "query", SIZE_ONE)
        assert "is turned off" in await searched()
        await client.put_udf("endless", f"# @udf: version=1.1.0\n{SIZE_ONE}")
        http_response = await client.get(f"/{index_name}/_search")
        assert (len(http_response.ids), http_response.headers.get("Warning")) == (1, None)
        assert await metric(client, 'querymill_breaker_open{pipeline="endless"}') == 0


async def test_a_final_pipeline_that_is_off_lets_nothing_pass(
    start_proxy: StartProxy, index_name: str
) -> None:
    """It fails closed: a 500 that names the pipeline and the kind of error."""
    server = await start_proxy(breaker_timeouts=1, breaker_rest=300)
    async with connect(server) as client:
        await client.index(index_name, DOCUMENTS)
        await client.define("endless", "query", ENDLESS, stage={"timeout_ms": 100})
        settings = {"index.query.final_pipeline": "endless"}
        assert (await client.put(f"/{index_name}/_settings", settings)).status == 200
        errors = [(await client.get(f"/{index_name}/_search")).error for _ in range(2)]
    assert [error["kind"] for error in errors] == ["timeout", "breaker"]
    assert errors[1]["type"] == "pipeline_execution_exception"
    assert errors[1]["reason"].startswith(
        "pipeline [endless] failed (breaker): pipeline [endless] is turned"
    )
    assert errors[1]["id"]


def test_the_worst_state_of_all_workers_is_shown() -> None:
    """With how many are in which, and when the first of those that are open tries again."""
    closed, half, opened = (
        BreakerFigure("closed"),
        BreakerFigure("half_open"),
        BreakerFigure("open", 7),
    )
    assert shown_breaker([]) == {"state": "off"}
    assert shown_breaker([closed, half])["state"] == "half_open"
    assert shown_breaker([opened, closed, BreakerFigure("open", 2.5), half]) == {
        "state": "open",
        "workers": {"closed": 1, "half_open": 1, "open": 2},
        "retry_in_millis": 2500,
    }


async def test_a_refusal_does_not_wait_for_a_slow_store(runtime: Runtime) -> None:
    """A request that waits for changed definitions has its place, and the next one is refused."""
    board = Board()
    place = Place(notices=Notices(board, 0))

    async def hang(message: Message, wire: Wire) -> None:
        await wire.closed_by_peer.wait()

    async with ScriptedBackend() as backend:
        backend.reply = http_response(b"{}", "404 Not Found")
        given = {"backend": (backend.url,), "listen": "127.0.0.1:0"}
        settings = load({**given, "max_in_flight": 1, "max_waiting": 0}, {})
        async with open_proxy(settings, runtime, place) as server, raw_client(server) as raw:
            backend.reply = hang
            Notices(board, 1).announce("definitions")
            async with connect(server) as watch, raw_client(server) as first:
                await first.send(request("/a/_search"))
                while await metric(watch, "querymill_in_flight_requests") != 1:
                    continue
                check_refused(await raw.ask(request("/a/_search")), b"max_in_flight, max_waiting")
            assert place.notices.unread()


async def test_health_does_not_wait_for_a_slow_store(runtime: Runtime) -> None:
    """While what another worker changed cannot be read, the process still tells that it lives."""
    board = Board()
    place = Place(notices=Notices(board, 0))

    async def hang(message: Message, wire: Wire) -> None:
        await wire.closed_by_peer.wait()

    async with ScriptedBackend() as backend:
        backend.reply = http_response(b"{}", "404 Not Found")
        settings = load({"backend": (backend.url,), "listen": "127.0.0.1:0"}, {})
        async with open_proxy(settings, runtime, place) as server, raw_client(server) as raw:
            backend.reply = hang
            Notices(board, 1).announce("definitions")
            for path in ("livez", "readyz", "metrics"):
                assert (await raw.ask(request(f"/_querymill/{path}"))).status == 200
            assert place.notices.unread()
