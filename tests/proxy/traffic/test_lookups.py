"""Documents that queries fetch by themselves: from where they may, and what is not looked at."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import cbor2
import orjson
import pytest
import yaml
from aiohttp import web

from pipelines.wasm import Runtime
from proxy.backend.client import Backend
from proxy.backend.resolver import Resolver
from proxy.protocol.target import read_target
from proxy.server.exchange import Exchange
from proxy.traffic.lookups import Lookups
from proxy.traffic.selection import Selector
from proxy.traffic.templates import Templates
from tests.pipelines.conftest import Core, open_core
from tests.proxy.conftest import OpenUpstream, StartBare
from tests.proxy.wire import Client, Message, ScriptedBackend, Wire, http_response, request

JSON = "Content-Type: application/json"
YAML = "Content-Type: application/yaml"
CBOR = "Content-Type: application/cbor"
VENDOR = "Content-Type: application/vnd.elasticsearch+json;compatible-with=8"


async def tell(message: Message, wire: Wire) -> None:
    """What a name means: itself, or `final` of the alias `behind`; and what templates come to."""
    name = message.target.rpartition("/")[2]
    if name == "template":
        source = orjson.loads(message.body)["source"]
        said: dict[str, Any] = {"template_output": orjson.loads(source.replace("{{x}}", "final"))}
    else:
        said = {"indices": [], "aliases": [], "data_streams": []}
        if name == "behind":
            said["aliases"] = [{"name": name, "indices": ["final"]}]
        else:
            said["indices"] = [{"name": name}]
    await wire.send(http_response(orjson.dumps(said), "200 OK", "content-type: application/json"))


@pytest.fixture
async def guarded_core(runtime: Runtime) -> AsyncIterator[Core]:
    """One query pipeline, final on the index `final`."""
    async with open_core(runtime) as core:
        core.udf("same", "def query(request, context): return request")
        core.pipeline("same", name="same")
        core.registry.change(
            core.registry.udfs, {}, {"final": {"index.query.final_pipeline": "same"}}
        )
        yield core


Check = Callable[..., Awaitable[str]]


@pytest.fixture
async def check(
    guarded_core: Core,
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    start_bare: StartBare,
) -> Check:
    """Sends a request; gives "clear" where one look is enough, "passes", or the refusal."""
    backend.reply = tell
    upstream = Backend(await open_upstream())
    selector = Selector(guarded_core.registry, Resolver(upstream, ttl=60.0), "off")
    lookups = Lookups(selector, Templates(upstream), max_body=10_000_000)

    async def traffic(exchange: Exchange) -> web.StreamResponse:
        target = read_target(exchange.method, exchange.target)
        await exchange.body(10_000_000)
        if lookups.is_clear(exchange, target):
            return exchange.respond_json(200, b'"clear"')
        await lookups.check(exchange, target)
        return exchange.respond_json(200, b'"passes"')

    proxy = await start_bare(traffic=traffic)

    async def ask(target: str, body: bytes, *fields: str, method: str = "POST") -> str:
        client: Client = await proxy.client()
        got = await client.ask(request(target, method, body, *(fields or (JSON,))))
        said = json.loads(got.body)
        if got.status == 200:
            return str(said)
        return f"{got.status} {said['error']['type']}"

    return ask


def terms(index: str) -> dict[str, Any]:
    """A query that takes its terms from a stored document."""
    return {"query": {"terms": {"user": {"index": index, "id": "1", "path": "users"}}}}


def text(value: object) -> bytes:
    return json.dumps(value).encode()


FORBIDDEN = "403 security_exception"
LIKE = {"_index": "final", "_id": "1"}
SHAPE = {"indexed_shape": {"index": "final", "id": "1"}}
LINES = b'{"index":"a"}\n%s\n'


@pytest.mark.parametrize(
    ("target", "body", "said"),
    [
        # from where
        ("/a/_search", text(terms("final")), FORBIDDEN),
        ("/a/_search", text(terms("behind")), FORBIDDEN),
        ("/a/_search", text(terms(".querymill")), FORBIDDEN),
        ("/a/_search", text(terms("<.querymill>")), FORBIDDEN),
        ("/a/_search", text(terms("other")), "passes"),
        ("/a/_search", b'{"query":{"terms":{"index":["final"]}}}', "passes"),
        ("/a/_search", b'{"query":{"match":{"title":"final"}}}', "clear"),
        ("/a/_search", b'{"query":{"match":{"title":".querymill"}}}', "passes"),
        ("/a/_search", b'{"query":{"terms":{"x":{"\\u0069ndex":"final","id":1}}}}', FORBIDDEN),
        ("/a/_search", b'{"query":{"terms":{"x":{"id":1,/**/"index":"final"}}}}', FORBIDDEN),
        ("/a/_search", b'{"query":{"terms":{"x":{"index":"final","id":1}}}', FORBIDDEN),
        # by which query
        ("/a/_search", text({"query": {"more_like_this": {"like": [LIKE]}}}), FORBIDDEN),
        ("/a/_search", text({"query": {"geo_shape": {"area": SHAPE}}}), FORBIDDEN),
        ("/a/_search", text({"query": {"percolate": {"field": "q", **LIKE}}}), FORBIDDEN),
        ("/a/_search", text({"post_filter": terms("final")["query"]}), FORBIDDEN),
        ("/a/_search", text({"aggs": {"x": {"filter": terms("final")["query"]}}}), FORBIDDEN),
        # on which endpoint
        ("/a/_count", text(terms("final")), FORBIDDEN),
        ("/a/_explain/1", text(terms("final")), FORBIDDEN),
        ("/a/_validate/query", text(terms("final")), FORBIDDEN),
        ("/a/_delete_by_query", text(terms("final")), FORBIDDEN),
        ("/a/_update_by_query", text(terms("final")), FORBIDDEN),
        ("/a/_async_search", text(terms("final")), FORBIDDEN),
        ("/a/_msearch", LINES % text(terms("final")), FORBIDDEN),
        ("/a/_msearch", LINES % text(terms("other")), "passes"),
        ("/a/_msearch", LINES % b"{" + LINES % text(terms("final")), FORBIDDEN),
        ("/a/_doc", text(terms("final")), "clear"),
        ("/a/_mapping", text(terms("final")), "clear"),
        ("/a/_search", b"", "clear"),
        # by a template
        ("/a/_search/template", text({"source": json.dumps(terms("{{x}}"))}), FORBIDDEN),
        ("/a/_search/template", text({"source": json.dumps(terms("other"))}), "passes"),
        ("/a/_msearch/template", LINES % text({"source": json.dumps(terms("{{x}}"))}), FORBIDDEN),
        ("/a/_search/template", text({"params": {"x": "final"}}), "passes"),
    ],
)
async def test_lookups(check: Check, target: str, body: bytes, said: str) -> None:
    """An object with an index and an id is one: refused from the store and what has final ones."""
    assert await check(target, body) == said


@pytest.mark.parametrize(
    ("body", "fields", "said"),
    [
        (gzip.compress(text(terms("final"))), (JSON, "Content-Encoding: gzip"), FORBIDDEN),
        (gzip.compress(text(terms("other"))), (JSON, "Content-Encoding: gzip"), "passes"),
        (yaml.safe_dump(terms("final")).encode(), (YAML,), FORBIDDEN),
        (yaml.safe_dump(terms("other")).encode(), (YAML,), "passes"),
        (b"query: {terms: {x: {index: final, id: 1}}}", (YAML,), FORBIDDEN),
        (b'query: {terms: {x: {"\\x69ndex": final, id: 1}}}', (YAML,), FORBIDDEN),
        (b"a: [", (YAML,), "passes"),
        (b"index: [", (YAML,), "400 parse_exception"),
        (cbor2.dumps(terms("final")), (CBOR,), FORBIDDEN),
        (cbor2.dumps(terms("other")), (CBOR,), "passes"),
        (b"\xff", (CBOR,), "passes"),
        (text(terms("final")), (VENDOR,), FORBIDDEN),
        (text(terms("final")) + b" " * 300_000, (JSON,), FORBIDDEN),
        (text(terms("other")) + b" " * 300_000, (JSON,), "passes"),
    ],
)  # fmt: skip
async def test_lookups_in_any_form(
    check: Check, body: bytes, fields: tuple[str, ...], said: str
) -> None:
    """Compressed, large, or in another format; what cannot be read and names no index goes on."""
    assert await check("/a/_search", body, *fields) == said


@pytest.mark.parametrize(
    ("index", "said"), [("final", "passes"), (".querymill", FORBIDDEN), (".q*", FORBIDDEN)]
)
async def test_without_final_pipelines(
    check: Check, guarded_core: Core, index: str, said: str
) -> None:
    """Any index may be looked up in, but for the store; most bodies show that at once."""
    guarded_core.registry.change(guarded_core.registry.udfs, {}, {"final": {}})
    assert await check("/a/_search", text(terms("other"))) == "clear"
    assert await check("/a/_search", text(terms(index))) == ("clear" if said == "passes" else said)
    template = text({"source": json.dumps(terms(index))})
    assert await check("/a/_search/template", template) == said
