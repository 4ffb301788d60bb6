"""Asynchronous searches keep their pipelines.

The distributions of both backends that the tests run have no asynchronous search, so the responses
around the results have the documented shapes and come from `AsyncBackend`. What is found is found
by the real OpenSearch behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp.test_utils import RawTestServer

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.embedded import EmbeddedCluster
from proxy.server.server import ProxyServer
from tests.client import Client, Response
from tests.conftest import connect
from tests.crew import crew_of
from tests.flows.async_backend import AsyncBackend

SMALL = """def query(r, c):
    c.state['asked'] = 'yes'
    return {**r, 'query': {'range': {'n': {'lt': 3}}}, 'sort': ['n'],
            '_pipeline_metadata': {'narrowed': True}}
"""
MARK = """def result(r, c):
    return {**r, 'marked': c.state.get('asked'), 'wanted': c.request.get('size')}
"""
REDACT = """def result(r, c):
    for hit in r['hits']['hits']:
        hit['_source'].pop('secret', None)
    return r
"""
# Where a search begins, and below which path its id stands.
PLUGIN, LEGACY = "/_plugins/_asynchronous_search", "/_opendistro/_asynchronous_search"
SPELLINGS = {
    "elasticsearch": ("/{index}/_async_search?", "/_async_search"),
    "opensearch": (PLUGIN + "?index={index}&", PLUGIN),
    "opensearch path": ("/{index}" + PLUGIN + "?", PLUGIN),
    "opendistro": (LEGACY + "?index={index}&", LEGACY),
}
each_spelling = pytest.mark.parametrize(("begin", "below"), SPELLINGS.values(), ids=SPELLINGS)
RUNNING = "wait_for_completion_timeout=0"
KEPT = "keep_on_completion=true"


@pytest.fixture
async def async_backend(opensearch: EmbeddedCluster) -> AsyncIterator[AsyncBackend]:
    """The state of a backend that has asynchronous searches."""
    async with aiohttp.ClientSession(opensearch.url) as real:
        yield AsyncBackend(real)
        await Client(real).delete("/.querymill?ignore_unavailable=true")


Start = Callable[..., Awaitable[ProxyServer]]


@pytest.fixture
async def start_async(async_backend: AsyncBackend, runtime: Runtime) -> AsyncIterator[Start]:
    """Starts proxies in front of that backend."""
    async with RawTestServer(async_backend.handle) as server, AsyncExitStack() as stack:
        url = str(server.make_url("")).rstrip("/")

        async def start(**values: Any) -> ProxyServer:
            settings = load({"backend": (url,), "listen": "127.0.0.1:0", **values}, {})
            return await stack.enter_async_context(open_proxy(settings, runtime))

        yield start


@pytest.fixture
async def through_async(start_async: Start) -> AsyncIterator[Client]:
    """A client of such a proxy."""
    async with connect(await start_async()) as client:
        yield client


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n, "secret": f"s{n}"} for n in range(5)})


async def marked(proxy: Client, index: str) -> None:
    """An index with a query and a result pipeline."""
    await prepared(proxy, index)
    await proxy.define("small", "query", SMALL)
    await proxy.define("mark", "result", MARK)
    await proxy.attach(index, query="small", result="mark")


async def guarded(proxy: Client, index: str) -> None:
    """An index whose documents leave it redacted only."""
    await prepared(proxy, index)
    await proxy.define("redact", "result", REDACT)
    settings = {"index.result.final_pipeline": "redact"}
    assert (await proxy.put(f"/{index}/_settings", settings)).status == 200


def hits(response: Response) -> list[str]:
    return [hit["_id"] for hit in response.data["response"]["hits"]["hits"]]


@each_spelling
async def test_every_response_has_the_pipelines_of_the_search(
    start_async: Start, async_backend: AsyncBackend, index_name: str, begin: str, below: str
) -> None:
    """Partial and whole, with state, request and metadata, after a restart; the id stays one."""
    async with connect(await start_async()) as proxy:
        await marked(proxy, index_name)
        target = begin.format(index=index_name) + RUNNING
        first = await proxy.post(target, {"size": 4})
        search_id = first.data["id"]
        assert search_id.startswith("qm1.")
        assert hits(first) == ["0"]
        assert first.data["response"]["marked"] == "yes"
        assert first.headers["Querymill-Pipelines"] == "small@1.0.0#1, mark@1.0.0#1"
        assert async_backend.calls[0].data["query"] == {"range": {"n": {"lt": 3}}}
    async with connect(await start_async()) as proxy:
        for _ in range(2):
            shown = await proxy.get(f"{below}/{search_id}?keep_alive=1d")
            assert (shown.status, hits(shown)) == (200, ["0", "1", "2"])
            response = shown.data["response"]
            assert (response["marked"], response["wanted"]) == ("yes", 4)
            assert response["_pipeline_metadata"] == {"narrowed": True}
            assert shown.data["id"] == search_id
            assert shown.headers["Querymill-Pipelines"] == "mark@1.0.0#1"
        assert (await proxy.delete(f"{below}/{search_id}")).data == {"acknowledged": True}
        assert (await proxy.get(f"{below}/{search_id}/")).status == 404
    own = search_id.split(".", 3)[3]
    assert [call.target for call in async_backend.calls[1:]] == [
        f"{below}/{own}?keep_alive=1d",
        f"{below}/{own}?keep_alive=1d",
        f"{below}/{own}",
        f"{below}/{own}",
    ]


async def test_any_worker_responds(
    async_backend: AsyncBackend, index_name: str, tmp_path: Path
) -> None:
    """A search submitted through one worker has its pipelines on every one."""
    async with RawTestServer(async_backend.handle) as server:
        url = str(server.make_url("")).rstrip("/")
        crews = crew_of(url, tmp_path / "config.toml")
        crew = await asyncio.to_thread(crews.__enter__)
        async with crew.client_of_each() as clients:
            await marked(clients[0], index_name)
            first = await clients[0].post(f"/{index_name}/_async_search?{RUNNING}", {})
            for client in clients:
                response = await client.get(f"/_async_search/{first.data['id']}")
                assert (response.status, hits(response)) == (200, ["0", "1", "2"])
                assert response.data["response"]["marked"] == "yes"
        await asyncio.to_thread(crews.__exit__, None, None, None)


async def test_the_status_of_a_search_carries_its_id(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """And nothing for a pipeline to see."""
    await marked(through_async, index_name)
    first = await through_async.post(f"/{index_name}/_async_search?{RUNNING}")
    search_id = first.data["id"]
    assert first.headers["X-Elasticsearch-Async-Id"] == search_id
    status = await through_async.get(f"/_async_search/status/{search_id}?keep_alive=2d")
    assert (status.data["id"], status.data["is_running"]) == (search_id, True)
    assert "Querymill-Pipelines" not in status.headers
    own = search_id.split(".", 3)[3]
    assert async_backend.calls[-1].target == f"/_async_search/status/{own}?keep_alive=2d"


async def test_url_parameters_are_part_of_the_search(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """The pipeline sees them in the body, and the backend there only; its own stay in the URL."""
    await prepared(through_async, index_name)
    twice = "def query(r, c):\n    return {**r, 'size': r['size'] * 2}\n"
    await through_async.define("twice", "query", twice)
    target = f"/{index_name}/_async_search?q=n:[0 TO 3]&size=1&sort=n&{KEPT}&pipeline=twice"
    response = await through_async.post(target.replace(" ", "%20"))
    assert hits(response) == ["0", "1"]
    assert async_backend.calls[0].target == f"/{index_name}/_async_search?{KEPT}"
    assert async_backend.calls[0].data["query"] == {"query_string": {"query": "n:[0 TO 3]"}}
    # No later response has to know of a query pipeline, so this id is the backend's.
    assert response.data["id"] in async_backend.searches
    body = "source=%7B%22size%22%3A2%7D&source_content_type=application/json"
    url = f"/{index_name}/_async_search?{body}&pipeline=twice"
    assert len(hits(await through_async.post(url))) == 4


async def test_a_search_without_pipelines_is_untouched(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """Byte for byte both ways, its id the backend's own."""
    await marked(through_async, index_name)
    body = b'{ "size":1,"query" : {"match_all":{}} }'
    response = await through_async.post(f"/{index_name}/_async_search?pipeline=_none&{KEPT}", body)
    assert async_backend.calls[0].body == body
    assert async_backend.calls[0].target == f"/{index_name}/_async_search?{KEPT}"
    (search_id,) = async_backend.searches
    assert response.data["id"] == search_id
    later = await through_async.get(f"/_async_search/{search_id}?a&&b=%2f")
    assert async_backend.calls[-1].target == f"/_async_search/{search_id}?a&&b=%2f"
    assert "Querymill-Pipelines" not in later.headers
    assert (await through_async.delete(f"/_async_search/{search_id}")).status == 200


async def test_a_search_that_is_done_at_once_has_no_id(
    through_async: Client, index_name: str
) -> None:
    """Its only response has the pipelines."""
    await marked(through_async, index_name)
    response = await through_async.post(f"/{index_name}/_async_search")
    assert "id" not in response.data
    assert (response.data["response"]["marked"], hits(response)) == ("yes", ["0", "1", "2"])


@each_spelling
async def test_no_response_gets_past_a_final_pipeline(
    through_async: Client, async_backend: AsyncBackend, index_name: str, begin: str, below: str
) -> None:
    """Not a partial one, not `_none`, not the results of a search that failed."""
    await guarded(through_async, index_name)
    target = begin.format(index=index_name)
    first = await through_async.post(f"{target}{RUNNING}&pipeline=_none")
    responses = [first, await through_async.get(f"{below}/{first.data['id']}")]
    async_backend.failing = True
    responses.append(await through_async.get(f"{below}/{first.data['id']}"))
    assert responses[2].data["error"]["reason"] == "shards"
    assert responses[2].status == (500 if "/_async_search" in below else 200)
    for response in responses:
        assert hits(response)
        assert b"secret" not in response.body
        assert response.headers["Querymill-Pipelines"] == "redact@1.0.0#1"


@each_spelling
async def test_ids_from_elsewhere_are_refused_where_there_is_a_final_pipeline(
    through_async: Client, async_backend: AsyncBackend, index_name: str, begin: str, below: str
) -> None:
    """Ids of searches elsewhere, and the backend's own in ours; ending a search harms nobody."""
    target = begin.format(index=index_name) + RUNNING
    await prepared(through_async, index_name)
    before = (await through_async.post(target)).data["id"]
    assert (await through_async.get(f"{below}/{before}")).status == 200
    await guarded(through_async, f"{index_name}-guarded")
    refused = await through_async.get(f"{below}/{before}")
    assert (refused.status, refused.error["type"]) == (403, "security_exception")
    own = await through_async.post(begin.format(index=f"{index_name}-guarded") + RUNNING)
    inside = own.data["id"].split(".", 3)[3]
    assert (await through_async.get(f"{below}/{inside}")).status == 403
    assert (await through_async.delete(f"{below}/{before}")).status == 200
    # A search of an open index that was begun here may go on.
    other = (await through_async.post(target)).data["id"]
    assert other.startswith("qm1.")
    assert (await through_async.get(f"{below}/{other}")).data["response"]["hits"]["hits"]
    if "_asynchronous_search" in below:
        assert (await through_async.get(f"{below}/stats")).data == {"nodes": {}}
        assert (await through_async.get(f"{below}/_nodes/n1/stats")).data == {"nodes": {}}


async def test_a_final_query_pipeline_narrows_the_search(
    through_async: Client, index_name: str
) -> None:
    """What it leaves out is in no response, whatever the client names."""
    await prepared(through_async, index_name)
    await through_async.define("small", "query", SMALL)
    await through_async.put(f"/{index_name}/_settings", {"index.query.final_pipeline": "small"})
    target = f"/{index_name}*/_async_search?{RUNNING}&pipeline=_none"
    search_id = (await through_async.post(target, {"query": {"match_all": {}}})).data["id"]
    assert hits(await through_async.get(f"/_async_search/{search_id}")) == ["0", "1", "2"]


async def test_a_refused_search_never_begins(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """By a UDF or an unknown pipeline."""
    await prepared(through_async, index_name)
    await through_async.define("no", "query", "def query(r, c):\n    reject('not today', 422)\n")
    target = f"/{index_name}/_async_search?pipeline="
    assert (await through_async.post(f"{target}no", {})).error["reason"].endswith(": not today")
    assert (await through_async.post(f"{target}missing", {})).status == 404
    assert async_backend.calls == []


async def test_an_id_that_was_changed_is_refused(through_async: Client, index_name: str) -> None:
    """For every call that takes one."""
    await marked(through_async, index_name)
    first = await through_async.post(f"/{index_name}/_async_search?{RUNNING}")
    prefix, body, signature, own = first.data["id"].split(".", 3)
    for changed in (f"{prefix}.{body}.{signature}.x{own}", f"{prefix}.{body[:-2]}.{signature}.x"):
        for method, path in (("GET", ""), ("GET", "status/"), ("DELETE", "")):
            response = await through_async.call(method, f"/_async_search/{path}{changed}")
            assert response.status == 400, (method, path)
            assert "begin the search anew" in response.error["reason"]


async def test_a_pipeline_that_changed_or_went_is_reported(
    through_async: Client, index_name: str
) -> None:
    """With a Warning; but a final one that went ends the search."""
    await marked(through_async, index_name)
    target = f"/{index_name}/_async_search?{RUNNING}"
    later = f"/_async_search/{(await through_async.post(target)).data['id']}"
    await through_async.put_pipeline("mark", "result", "mark", version="2.0.0")
    assert "was 1.0.0 when the search began" in (await through_async.get(later)).headers["Warning"]
    await through_async.delete("/_pipeline/mark?force=true")
    without = await through_async.get(later)
    assert (without.status, "marked" in without.data["response"]) == (200, False)
    assert "did not run: it was deleted" in without.headers["Warning"]
    await guarded(through_async, f"{index_name}-guarded")
    target = f"/{index_name}-guarded/_async_search?{RUNNING}"
    later = f"/_async_search/{(await through_async.post(target)).data['id']}"
    await through_async.delete("/_pipeline/redact?force=true")
    assert (await through_async.get(later)).status == 500


async def test_a_point_in_time_is_searched_with_the_pipelines_of_its_indices(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """The backend gets its own id of it, the client never does."""
    await marked(through_async, index_name)
    pit = (await through_async.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")).data[
        "pit_id"
    ]
    body = {"pit": {"id": pit, "keep_alive": "1m"}}
    first = await through_async.post(f"/_async_search?{RUNNING}", body)
    assert async_backend.calls[0].data["pit"]["id"] == pit.split(".", 3)[3]
    for response in (first, await through_async.get(f"/_async_search/{first.data['id']}")):
        assert response.data["response"]["marked"] == "yes"
        assert response.data["response"]["pit_id"] == pit


async def test_responses_come_in_the_form_the_client_wants(
    through_async: Client, index_name: str
) -> None:
    """Filtered, indented, in YAML; not in SMILE, which cannot be written."""
    await marked(through_async, index_name)
    target = f"/{index_name}/_async_search?{RUNNING}&filter_path=id,response.marked"
    first = await through_async.post(target)
    assert first.data == {"id": first.data["id"], "response": {"marked": "yes"}}
    later = f"/_async_search/{first.data['id']}"
    filtered = await through_async.get(f"{later}?filter_path=response.wanted,is_running&pretty")
    assert filtered.data == {"is_running": False, "response": {"wanted": None}}
    assert filtered.body.startswith(b"{\n")
    in_yaml = await through_async.get(f"{later}?format=yaml")
    assert yaml.safe_load(in_yaml.body)["response"]["marked"] == "yes"
    assert (await through_async.get(f"{later}?format=smile")).status == 406


async def test_what_does_not_fit_into_an_id_is_left_out_and_reported(
    through_async: Client, index_name: str
) -> None:
    """The request first, then the state; the pipelines run without."""
    await prepared(through_async, index_name)
    noise = (
        "import hashlib\ntext = ''.join(hashlib.md5(b'%d' % n).hexdigest() for n in range(200))\n"
    )
    keep = f"{noise}def query(r, c):\n    c.state['asked'] = text\n    return r\n"
    await through_async.define("keep", "query", keep)
    await through_async.define("mark", "result", MARK)
    await through_async.attach(index_name, query="keep", result="mark")
    first = await through_async.post(f"/{index_name}/_async_search?{RUNNING}", {"size": 3})
    assert len(first.data["id"]) < 4096
    warnings = first.headers.getall("Warning")
    assert [text.split("'")[0].split('"')[1].split(" of")[0] for text in warnings] == [
        "the request",
        "the state",
    ]
    later = (await through_async.get(f"/_async_search/{first.data['id']}")).data["response"]
    assert (later["marked"], later["wanted"]) == (None, None)


async def test_a_final_pipeline_misses_nothing_that_does_not_fit(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """The search is refused before it begins."""
    await guarded(through_async, index_name)
    ids = [str(n * 7919 % 99991) for n in range(3000)]
    body = {"query": {"ids": {"values": ids}}}
    response = await through_async.post(f"/{index_name}/_async_search?{RUNNING}", body)
    assert (response.status, response.error["type"]) == (413, "content_too_long_exception")
    assert async_backend.calls == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"<html>", "text/html"), (b'{"response":', "application/json"), (b"[]", "application/json")],
)
async def test_a_response_that_cannot_be_read_passes_without_pipelines_unless_one_is_final(
    through_async: Client,
    async_backend: AsyncBackend,
    index_name: str,
    body: bytes,
    content_type: str,
) -> None:
    """As it came and with a Warning, or as an error."""
    await marked(through_async, index_name)
    await guarded(through_async, f"{index_name}-guarded")
    async_backend.verbatim = (body, content_type)
    response = await through_async.post(f"/{index_name}/_async_search")
    assert (response.status, response.body) == (200, body)
    assert "[mark@1.0.0#1] did not run" in response.headers["Warning"]
    refused = await through_async.post(f"/{index_name}-guarded/_async_search")
    assert (refused.status, refused.error["pipeline"]) == (500, "redact")


async def test_a_large_response_passes_without_pipelines_unless_one_is_final(
    start_async: Start, index_name: str
) -> None:
    """Its id is ours all the same."""
    async with connect(await start_async(max_transform_bytes=2048)) as through:
        large = {str(n): {"n": n, "secret": "s" * 1000} for n in range(4)}
        await through.index(index_name, large)
        await through.define("mark", "result", MARK)
        await through.attach(index_name, result="mark")
        response = await through.post(f"/{index_name}/_async_search?{KEPT}")
        assert (response.status, len(hits(response))) == (200, 4)
        assert response.data["id"].startswith("qm1.")
        assert "larger than 2048 bytes" in response.headers["Warning"]
        await guarded(through, f"{index_name}-guarded")
        await through.index(f"{index_name}-guarded", large)
        refused = await through.post(f"/{index_name}-guarded/_async_search")
        assert (refused.status, refused.error["pipeline"]) == (500, "redact")


async def test_a_search_that_the_backend_refuses_begins_as_the_client_wrote_it(
    through_async: Client, index_name: str
) -> None:
    """With a Warning; under `on_error: fail` it is an error, and the client's own fault a 400."""
    await prepared(through_async, index_name)
    source = "def query(r, c):\n    return {**r, 'query': {'matchx': {}}}\n"
    await through_async.define("bad", "query", source)
    await through_async.put_pipeline("strict", "query", "bad", on_error="fail")
    target = f"/{index_name}/_async_search?pipeline="
    response = await through_async.post(f"{target}bad", {"size": 2})
    assert len(response.data["response"]["hits"]["hits"]) == 2
    assert "degraded: stage [bad] failed (refused)" in response.headers["Warning"]
    strict = await through_async.post(f"{target}strict", {"size": 2})
    assert (strict.status, strict.error["kind"]) == (500, "refused")
    wrong = await through_async.post(f"{target}strict", {"query": {"nonsense": {}}})
    assert (wrong.status, "nonsense" in wrong.error["reason"]) == (400, True)


async def test_a_search_names_its_pipelines_in_every_way(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """As a plain search does; the backend sees none of it."""
    await prepared(through_async, index_name)
    await through_async.define("mark", "result", MARK)
    target = f"/{index_name}/_async_search"
    body = {"size": 1, "search_pipeline": "mark"}
    responses = [
        await through_async.post(target, body),
        await through_async.post(f"{target}?search_pipeline=mark", {"size": 1}),
        await through_async.call("POST", target, {"size": 1}, {"Querymill-Pipeline": "mark"}),
    ]
    for response in responses:
        assert response.headers["Querymill-Pipelines"] == "mark@1.0.0#1"
    assert all(b"search_pipeline" not in call.body for call in async_backend.calls)
    assert all("search_pipeline" not in call.target for call in async_backend.calls)
